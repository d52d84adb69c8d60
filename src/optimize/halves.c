/* A graph of 16-bit floats computes in floats: operators would widen their inputs and narrow their results one by one,
 * and none of the patterns that make graphs of floats fast would be found. So values become floats, which are rounded
 * where they leave the graph, and where a node makes much of small differences, as ArgMax and Floor do. Constants
 * become floats too, but for the large ones that products and look-ups read: those stay in 16 bits, as do the packed
 * forms made of them. Weights in 16 bits that a graph of floats casts are kept in the same way, and so are weights of
 * floats that lose nothing in 16 bits, as exporters write models that were trained or stored in them: half the memory,
 * and one row, which waits for it, in half the time. Not where a product is known to have many rows.
 *
 * Only graphs whose every node with a 16-bit value is known not to care are rewritten, and only for such weights: a
 * graph without them gains nothing. A branch of an If, or the body of a loop, is a graph of its own, with what it reads
 * of the graph around for inputs. */
#include <string.h>

#include "../base/convert.h"
#include "../kernels/kernels.h"
#include "match.h"

enum {
  LARGE = 1024, /* elements of a matrix */
  FEW_ROWS = 4, /* of a product that waits for its weights, not for arithmetic */
  BLOCK = 256
};

typedef struct halves {
  weft_pass *pass;
  weft_graph *graph;
  weft_uses uses;
  bool *narrow;       /* per value: stays in 16 bits */
  int32_t *floats;    /* per value: of an input or output in 16 bits, the float that nodes have in its place; or -1 */
  size_t value_count; /* of the values that were there */
  size_t node_count;
  int32_t *added; /* per node that was there: the number of the first node added for it; one more for the end */
} halves;

static bool is_half(const weft_graph *graph, int32_t v) {
  const weft_type type = v >= 0 ? weft_match_type(graph, v) : WEFT_UNDEFINED;
  return type == WEFT_FLOAT16 || type == WEFT_BFLOAT16;
}

/* Operators that mean the same in floats, and whose attributes do not name a type. */
static bool is_known(const weft_node *node) {
  /* clang-format off */
  static const char *const known[] = {
      "Abs", "Add", "ArgMax", "ArgMin", "Attention", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip",
      "Concat", "Conv", "ConvTranspose", "Cos", "CumSum", "DepthToSpace", "Div", "Dropout", "Einsum", "Elu", "Equal",
      "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm",
      "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "GroupNormalization", "HardSigmoid",
      "HardSwish", "Identity", "InstanceNormalization", "IsNaN", "LayerNormalization", "LeakyRelu", "Less",
      "LessOrEqual", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Min", "Mish", "Mul", "Neg", "PRelu", "Pad",
      "Pow", "RMSNormalization", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
      "ReduceMin", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize", "RotaryEmbedding", "Round",
      "ScatterElements", "ScatterND", "Selu", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax",
      "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Swish", "Tanh", "Tile", "TopK", "Transpose",
      "Trilu", "Unsqueeze", "Where"};
  /* clang-format on */
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (weft_node_is(node, known[i])) {
      return true;
    }
  }
  return false;
}

/* Whether two numbers that round to the same 16 bits give results far apart. */
static bool is_sharp(const weft_graph *graph, const weft_node *node) {
  static const char *const sharp[] = {"ArgMax",         "ArgMin", "Ceil",        "Equal", "Floor", "Greater",
                                      "GreaterOrEqual", "Less",   "LessOrEqual", "Round", "TopK"};
  for (size_t i = 0; i < sizeof sharp / sizeof *sharp; i++) {
    if (weft_node_is(node, sharp[i])) {
      return true;
    }
  }
  return weft_node_is(node, "Cast") && !weft_type_is_float(weft_match_type(graph, node->outputs[0]));
}

typedef struct search {
  const weft_graph *graph;
  bool found;
} search;

static void look_at(void *arg, int32_t v) {
  search *s = arg;
  s->found |= is_half(s->graph, v);
}

static bool touches_half(const weft_graph *graph, const weft_node *node) {
  search s = {.graph = graph};
  weft_node_visit_uses(node, look_at, &s);
  for (int i = 0; i < node->output_count; i++) {
    look_at(&s, node->outputs[i]);
  }
  return s.found;
}

/* Whether v comes from the graph around: a constant, or a value that is another in every run. */
static bool is_captured(const weft_graph *graph, size_t v) {
  return graph->values[v].outer >= 0;
}

static bool can_rewrite(const weft_graph *graph) {
  for (size_t n = 0; n < graph->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    if (touches_half(graph, node) && !is_known(node)) {
      return false;
    }
  }
  for (size_t i = 0; i < graph->input_count; i++) {
    const int32_t v = graph->inputs[i];
    if (is_half(graph, v) && graph->values[v].constant != NULL) {
      return false; /* a default */
    }
    if (graph->parent != NULL && weft_match_type(graph, v) == WEFT_UNDEFINED) {
      return false; /* it might be in 16 bits */
    }
  }
  for (size_t v = 0; v < graph->value_count; v++) {
    if (is_captured(graph, v) && weft_match_type(graph, (int32_t)v) == WEFT_UNDEFINED) {
      return false;
    }
  }
  for (size_t i = 0; i < graph->output_count; i++) {
    const int32_t v = graph->outputs[i];
    if (weft_match_type(graph, v) == WEFT_UNDEFINED || (is_half(graph, v) && graph->values[v].producer < 0)) {
      return false; /* nobody knows whether it is to be cast, or it is handed on as it is */
    }
  }
  return true;
}

/* Also of the graph around: then this graph has its own from now on. */
static void replace_constant(weft_graph *graph, size_t v, weft_value *constant) {
  weft_value_release(graph->values[v].constant);
  graph->values[v].constant = NULL;
  graph->values[v].outer = -1;
  weft_slot_set_constant(&graph->values[v], constant);
}

/* ---- what stays narrow ------------------------------------------------------------------------------------------- */
static bool passes_on(const weft_node *node) {
  return (weft_node_is(node, "Transpose") || weft_node_is(node, "Cast")) && node->output_count == 1;
}

static bool has_many_rows(const weft_graph *graph, const weft_node *product) {
  const weft_info *a = &graph->values[product->inputs[0]].info;
  const int last = a->rank - 1, columns = weft_node_int(product, "transA", 0) != 0 ? last - 1 : last;
  bool many = false;
  for (int d = 0; d <= last; d++) {
    if (d != columns && a->dims[d] < 0) return false;
    many |= d != columns && a->dims[d] > FEW_ROWS;
  }
  return many;
}

/* Whether input i of the node may stay in 16 bits when the node's output is a float. Floats that happen to fit pay for
 * becoming floats again before a product of many rows. */
static bool takes_narrow(const halves *h, const weft_node *node, int i) {
  if (passes_on(node)) {
    return h->narrow[node->outputs[0]];
  }
  const bool product = i == 1 && (weft_node_is(node, "MatMul") || weft_node_is(node, "Gemm"));
  return (product && (is_half(h->graph, node->inputs[i]) || !has_many_rows(h->graph, node))) ||
         (i == 0 && weft_node_is(node, "Gather"));
}

static void narrow_block(const weft_kernels *kernels, weft_type type, size_t n, const float *in, uint16_t *out) {
  (type == WEFT_FLOAT16 ? kernels->f32_to_float16 : kernels->f32_to_bfloat16)(n, in, out);
}

static bool is_exact(const weft_kernels *kernels, const weft_tensor *x, weft_type type) {
  const float *values = x->data;
  float wide[BLOCK];
  uint16_t narrow[BLOCK];
  for (size_t i = 0, n; i < x->count; i += n) {
    n = x->count - i < BLOCK ? x->count - i : BLOCK;
    narrow_block(kernels, type, n, values + i, narrow);
    (type == WEFT_FLOAT16 ? kernels->float16_to_f32 : kernels->bfloat16_to_f32)(n, narrow, wide);
    if (memcmp(wide, values + i, n * sizeof(float)) != 0) {
      return false;
    }
  }
  return true;
}

/* The type of 16 bits that holds the constant as it is, or WEFT_UNDEFINED. */
static weft_type narrow_type(const halves *h, const weft_tensor *x) {
  const weft_kernels *kernels = h->pass->model->cx->kernels;
  static const weft_type types[] = {WEFT_BFLOAT16, WEFT_FLOAT16};
  for (size_t i = 0; i < 2; i++) {
    if (x->type == types[i] || (x->type == WEFT_FLOAT && is_exact(kernels, x, types[i]))) {
      return types[i];
    }
  }
  return WEFT_UNDEFINED;
}

/* Worth being kept in 16 bits. A product does not pack fewer columns, but would widen them in every run. */
static bool is_matrix(const weft_tensor *x) {
  enum { FEW = 4 };
  return x->shape.rank == 2 && x->shape.dims[0] >= FEW && x->shape.dims[1] >= FEW && x->count >= LARGE;
}

static void keep_wide(void *narrow, int32_t v) {
  ((bool *)narrow)[v] = false;
}

/* A constant, its transpose or its cast is narrow where all who read it can take it. Floats that layers share are packed
 * once for all of them and stay floats. */
static bool find_narrow(halves *h) {
  const weft_graph *graph = h->graph;
  bool any = false;
  for (size_t v = 0; v < h->value_count; v++) {
    const weft_tensor *constant = weft_match_constant(graph, (int32_t)v, weft_match_type(graph, (int32_t)v));
    h->narrow[v] = constant != NULL && is_matrix(constant) && narrow_type(h, constant) != WEFT_UNDEFINED;
  }
  for (size_t n = 0; n < h->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    const int32_t in = weft_node_in(node, 0);
    if (passes_on(node) && in >= 0 && h->narrow[in] &&
        (weft_node_is(node, "Transpose") || weft_match_type(graph, node->outputs[0]) == WEFT_FLOAT)) {
      h->narrow[node->outputs[0]] = true;
    }
  }
  for (size_t v = 0; v < h->value_count; v++) {
    h->narrow[v] = h->narrow[v] && !h->uses.is_output[v] && (is_half(graph, (int32_t)v) || h->uses.count[v] <= 2);
  }
  for (size_t n = h->node_count; n-- > 0;) {
    const weft_node *node = &graph->nodes[n];
    if (node->def != NULL && (node->def->flags & WEFT_OP_SUBGRAPH) != 0) {
      weft_node_visit_uses(node, keep_wide, h->narrow);
    }
    for (int i = 0; i < node->input_count; i++) {
      if (node->inputs[i] >= 0 && !takes_narrow(h, node, i)) {
        h->narrow[node->inputs[i]] = false;
      }
    }
  }
  for (size_t n = 0; n < h->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    if (passes_on(node) && h->narrow[node->outputs[0]]) {
      h->narrow[node->outputs[0]] = h->narrow[node->inputs[0]];
    }
    const int32_t right = weft_node_in(node, 1);
    any |= right >= 0 && h->narrow[right] && !weft_node_is(node, "Gather");
  }
  return any;
}

/* Floats that are to be narrow become so. */
static weft_status narrow_floats(halves *h) {
  weft_graph *graph = h->graph;
  for (size_t v = 0; v < h->value_count; v++) {
    const weft_value *constant = weft_graph_constant(graph, (int32_t)v);
    if (h->narrow[v] && constant != NULL && !is_half(graph, (int32_t)v)) {
      const weft_tensor *old = &constant->tensor;
      weft_value *narrow;
      WEFT_TRY(weft_value_new_tensor(h->pass->model->cx, narrow_type(h, old), &old->shape, &narrow));
      narrow_block(h->pass->model->cx->kernels, narrow->tensor.type, old->count, old->data, narrow->tensor.data);
      replace_constant(graph, v, narrow);
    }
  }
  for (size_t n = 0; n < h->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    if (weft_node_is(node, "Transpose") && h->narrow[node->outputs[0]]) {
      graph->values[node->outputs[0]].info.type = weft_match_type(graph, node->inputs[0]);
    }
  }
  return WEFT_OK;
}

/* ---- rewriting --------------------------------------------------------------------------------------------------- */
static weft_status widen_constant(halves *h, int32_t v) {
  const weft_tensor *old = &weft_graph_constant(h->graph, v)->tensor;
  weft_value *wide;
  WEFT_TRY(weft_value_new_tensor(h->pass->model->cx, WEFT_FLOAT, &old->shape, &wide));
  weft_load_float(old->type, old->data, 0, 1, old->count, wide->tensor.data);
  replace_constant(h->graph, (size_t)v, wide);
  return WEFT_OK;
}

/* A new value of v's shape. */
static weft_status add_like(halves *h, int32_t v, weft_type type, int32_t *out) {
  WEFT_TRY(weft_graph_add_value(h->pass->model, h->graph, "", out));
  h->graph->values[*out].info = h->graph->values[v].info;
  h->graph->values[*out].info.type = type;
  return WEFT_OK;
}

static weft_status add_cast(halves *h, int32_t from, int32_t to, weft_type type) {
  weft_node *node;
  WEFT_TRY(weft_graph_add_node(h->pass->model, h->graph, "", "", "Cast", 1, 1, &node));
  node->def = weft_op_find("", "Cast");
  node->version = node->def->version;
  node->inputs[0] = from;
  node->outputs[0] = to;
  return weft_node_set_int(h->pass->model, node, "to", (int64_t)type);
}

static void rename_values(const halves *h, size_t begin, size_t end) {
  for (size_t n = begin; n < end; n++) {
    weft_node *node = &h->graph->nodes[n];
    int32_t *const lists[] = {node->inputs, node->outputs};
    const int counts[] = {node->input_count, node->output_count};
    for (int l = 0; l < 2; l++) {
      for (int i = 0; i < counts[l]; i++) {
        const int32_t v = lists[l][i];
        if (v >= 0 && (size_t)v < h->value_count && h->floats[v] >= 0) lists[l][i] = h->floats[v];
      }
    }
  }
}

static weft_status add_floats(halves *h, const int32_t *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (is_half(h->graph, values[i])) {
      WEFT_TRY(add_like(h, values[i], WEFT_FLOAT, &h->floats[values[i]]));
    }
  }
  return WEFT_OK;
}

/* Inputs are cast by nodes in front of all others. */
static weft_status cast_inputs(halves *h) {
  for (size_t v = 0; v < h->value_count; v++) {
    const weft_slot *slot = &h->graph->values[v];
    if ((slot->is_input || slot->outer >= 0) && is_half(h->graph, (int32_t)v) &&
        weft_graph_constant(h->graph, (int32_t)v) == NULL) {
      WEFT_TRY(add_like(h, (int32_t)v, WEFT_FLOAT, &h->floats[v]));
      WEFT_TRY(add_cast(h, (int32_t)v, h->floats[v], WEFT_FLOAT));
    }
  }
  return WEFT_OK;
}

static bool stays_narrow(const halves *h, int32_t v) {
  return v >= 0 && (size_t)v < h->value_count && h->narrow[v];
}

static weft_status rewrite_cast(const halves *h, weft_node *node) {
  const int32_t in = node->inputs[0], out = node->outputs[0];
  weft_type to = WEFT_FLOAT;
  if (h->narrow[out]) { /* then it casts nothing, which another pass finds */
    to = weft_match_type(h->graph, in);
    h->graph->values[out].info.type = to;
  }
  return weft_node_set_int(h->pass->model, node, "to", (int64_t)to);
}

/* Rows of a table in 16 bits are cast after they were looked up. */
static weft_status cast_rows(halves *h, size_t n) {
  const int32_t in = weft_node_in(&h->graph->nodes[n], 0), out = h->graph->nodes[n].outputs[0];
  int32_t rows;
  WEFT_TRY(add_like(h, out, weft_match_type(h->graph, in), &rows));
  h->graph->nodes[n].outputs[0] = rows;
  return add_cast(h, rows, out, WEFT_FLOAT);
}

/* What nodes have computed is rounded before it is looked at closely. */
static weft_status round_inputs(halves *h, size_t n) {
  const int count = h->graph->nodes[n].input_count;
  for (int i = 0; i < count; i++) {
    const int32_t v = h->graph->nodes[n].inputs[i];
    int32_t rounded, wide;
    if (is_half(h->graph, v) && h->graph->values[v].producer >= 0) {
      const weft_type type = weft_match_type(h->graph, v);
      WEFT_TRY(add_like(h, v, type, &rounded));
      WEFT_TRY(add_like(h, v, WEFT_FLOAT, &wide));
      WEFT_TRY(add_cast(h, v, rounded, type));
      WEFT_TRY(add_cast(h, rounded, wide, WEFT_FLOAT));
      h->graph->nodes[n].inputs[i] = wide;
    }
  }
  return WEFT_OK;
}

static weft_status rewrite_nodes(halves *h) {
  for (size_t n = 0; n < h->node_count; n++) {
    weft_node *node = &h->graph->nodes[n];
    h->added[n] = (int32_t)h->graph->node_count;
    if (is_sharp(h->graph, node)) {
      WEFT_TRY(round_inputs(h, n));
    } else if (weft_node_is(node, "Gather") && stays_narrow(h, weft_node_in(node, 0))) {
      WEFT_TRY(cast_rows(h, n));
    } else if (weft_node_is(node, "Cast") && (h->narrow[node->outputs[0]] || is_half(h->graph, node->outputs[0]))) {
      WEFT_TRY(rewrite_cast(h, node));
    }
  }
  h->added[h->node_count] = (int32_t)h->graph->node_count;
  return WEFT_OK;
}

/* `first` nodes cast inputs: they are the only ones that keep the old names. */
static weft_status cast_outputs(halves *h, size_t first) {
  weft_graph *graph = h->graph;
  WEFT_TRY(add_floats(h, graph->outputs, graph->output_count));
  rename_values(h, 0, h->node_count);
  rename_values(h, h->node_count + first, graph->node_count);
  for (size_t i = 0; i < graph->output_count; i++) {
    const int32_t v = graph->outputs[i];
    if (h->floats[v] >= 0) {
      WEFT_TRY(add_cast(h, h->floats[v], v, weft_match_type(graph, v)));
    }
  }
  return WEFT_OK;
}

static weft_node *append(weft_node *to, const weft_node *nodes, size_t count) {
  memcpy(to, nodes, count * sizeof *nodes);
  return to + count;
}

/* The new nodes, which are at the end, to where they belong: `first` of them to the front. */
static weft_status order_nodes(halves *h, size_t first) {
  weft_graph *graph = h->graph;
  void *block;
  WEFT_TRY(weft_alloc(h->pass->model->cx, graph->node_count * sizeof(weft_node), &block));
  weft_node *nodes = block, *to = graph->nodes;
  memcpy(nodes, graph->nodes, graph->node_count * sizeof *nodes);
  to = append(to, nodes + h->node_count, first);
  for (size_t n = 0; n < h->node_count; n++) {
    const weft_node *added = nodes + h->added[n];
    const size_t count = (size_t)(h->added[n + 1] - h->added[n]);
    const bool before = is_sharp(graph, &nodes[n]);
    if (before) to = append(to, added, count);
    to = append(to, &nodes[n], 1);
    if (!before) to = append(to, added, count);
  }
  append(to, nodes + h->added[h->node_count], graph->node_count - (size_t)h->added[h->node_count]);
  weft_free(nodes);
  weft_graph_number_producers(graph);
  return WEFT_OK;
}

static weft_status rewrite(halves *h) {
  weft_graph *graph = h->graph;
  WEFT_TRY(narrow_floats(h));
  WEFT_TRY(cast_inputs(h));
  const size_t first = graph->node_count - h->node_count;
  WEFT_TRY(rewrite_nodes(h));
  WEFT_TRY(cast_outputs(h, first));
  for (size_t v = 0; v < h->value_count; v++) {
    if (!is_half(graph, (int32_t)v) || h->narrow[v] || h->floats[v] >= 0) {
      continue;
    }
    if (weft_graph_constant(graph, (int32_t)v) != NULL) {
      WEFT_TRY(widen_constant(h, (int32_t)v));
    }
    graph->values[v].info.type = WEFT_FLOAT;
  }
  return order_nodes(h, first);
}

/* The same value as two outputs. */
static bool gives_twice(const halves *h) {
  bool twice = false;
  for (size_t i = 0; i < h->graph->output_count; i++) {
    int32_t *seen = &h->floats[h->graph->outputs[i]];
    twice |= *seen == 0;
    *seen = 0;
  }
  for (size_t i = 0; i < h->graph->output_count; i++) {
    h->floats[h->graph->outputs[i]] = -1;
  }
  return twice;
}

weft_status weft_pass_halves(weft_pass *pass, weft_graph *graph) {
  halves h = {.pass = pass, .graph = graph, .value_count = graph->value_count, .node_count = graph->node_count};
  if (weft_op_find("", "Cast") == NULL || !can_rewrite(graph)) {
    return WEFT_OK;
  }
  void *block;
  const size_t numbers = (h.node_count + 1 + h.value_count) * sizeof(int32_t);
  WEFT_TRY(weft_alloc_zeroed(pass->model->cx, numbers + h.value_count, sizeof(bool), &block));
  h.added = block;
  h.floats = h.added + h.node_count + 1;
  h.narrow = (bool *)(h.floats + h.value_count);
  memset(h.floats, 0xff, h.value_count * sizeof *h.floats);
  weft_status status = weft_uses_find(pass, graph, &h.uses);
  status = status == WEFT_OK && find_narrow(&h) && !gives_twice(&h) ? rewrite(&h) : status;
  weft_uses_free(&h.uses);
  weft_free(block);
  return status;
}
