/* A graph of 16-bit floats computes in floats: operators would widen their inputs and narrow their results one by one,
 * and none of the patterns that make graphs of floats fast would be found. So values become floats, which are rounded
 * where they leave the graph, and where a node makes much of small differences, as ArgMax and Floor do. Constants
 * become floats too, but for the large ones that products and look-ups read: those stay in 16 bits, as do the packed
 * forms made of them. Weights in 16 bits that a graph of floats casts are kept in the same way, and so are weights of
 * floats that lose nothing in 16 bits, as exporters write models that were trained or stored in them: half the memory,
 * and one row, which waits for it, in half the time. Not where a product is known to have many rows.
 *
 * Nodes that are not known to mean the same in floats keep their types, with casts around them. A graph without such
 * weights is rewritten where that saves more than its casts cost. A branch of an If, or the body of a loop, is a graph
 * of its own, with what it reads of the graph around for inputs. */
#include <string.h>

#include "../graph/build.h"
#include "../kernels/kernels.h"
#include "../ops/product.h"
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
} halves;

static bool is_half(const weft_graph *graph, int32_t v) {
  return v >= 0 && weft_type_is_half(weft_match_type(graph, v));
}

/* Operators that mean the same in floats, and whose attributes do not name a type. */
static bool is_known(const weft_node *node) {
  /* clang-format off */
  static const char *const known[] = {
      "Abs", "Add", "ArgMax", "ArgMin", "Attention", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip",
      "Concat", "Conv", "ConvTranspose", "Cos", "CumSum", "DepthToSpace", "Div", "Dropout", "Einsum", "Elu", "Equal",
      "Erf", "Exp", "Expand", "Flatten", "Floor", "GRU", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm",
      "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "GroupNormalization", "HardSigmoid",
      "HardSwish", "Identity", "InstanceNormalization", "IsNaN", "LSTM", "LayerNormalization", "LeakyRelu", "Less",
      "LessOrEqual", "Log", "LogSoftmax", "MatMul", "MatMulNBits", "Max", "MaxPool", "Min", "Mish", "Mul", "Neg",
      "PRelu", "Pad", "Pow", "RMSNormalization", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax",
      "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize", "RotaryEmbedding",
      "Round", "ScatterElements", "ScatterND", "Selu", "Shape", "Sigmoid", "Sign", "SimplifiedLayerNormalization",
      "Sin", "Size", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "Slice", "Softmax", "Softplus",
      "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Swish", "Tanh", "Tile", "TopK", "Transpose", "Trilu",
      "Unsqueeze", "Where"};
  /* clang-format on */
  bool found = false;
  for (size_t i = 0; !found && i < sizeof known / sizeof *known; i++) {
    found = strcmp(node->op_type, known[i]) == 0;
  }
  return found && (node->domain[0] == 0 || strcmp(node->domain, "com.microsoft") == 0);
}

/* What a Cast makes, also where nothing is known of its output. */
static weft_type cast_type(const weft_node *cast) {
  return (weft_type)weft_node_int(cast, "to", WEFT_UNDEFINED);
}

/* Whether two numbers that round to the same 16 bits give results far apart. */
static bool is_sharp(const weft_node *node) {
  static const char *const sharp[] = {"ArgMax",         "ArgMin", "Ceil",        "Equal", "Floor", "Greater",
                                      "GreaterOrEqual", "Less",   "LessOrEqual", "Round", "TopK"};
  for (size_t i = 0; i < sizeof sharp / sizeof *sharp; i++) {
    if (weft_node_is(node, sharp[i])) {
      return true;
    }
  }
  return weft_node_is(node, "Cast") && !weft_type_is_float(cast_type(node));
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

/* Whether the node adds to what the graph is given and gives the whole back, as to the keys of a decoder's steps, or is
 * an attention with a past. */
static bool adds_to_cache(const weft_graph *graph, const weft_node *node) {
  bool given = false, back = weft_node_is(node, "Attention") && weft_node_in(node, 4) >= 0;
  for (int i = 0; weft_node_is(node, "Concat") && i < node->input_count; i++) {
    const int32_t v = node->inputs[i];
    given |= is_half(graph, v) && (graph->values[v].is_input || is_captured(graph, (size_t)v));
  }
  for (size_t i = 0; given && i < graph->output_count; i++) {
    back |= graph->outputs[i] == node->outputs[0];
  }
  return back;
}

/* Whether the node computes in 16 bits as before, with casts around it. */
static bool keeps_types(const weft_graph *graph, const weft_node *node) {
  return touches_half(graph, node) && (!is_known(node) || adds_to_cache(graph, node));
}

static bool has_known_outputs(const weft_graph *graph, const weft_node *node) {
  bool known = true;
  for (int i = 0; i < node->output_count; i++) {
    known = known && (node->outputs[i] < 0 || graph->values[node->outputs[i]].info.kind != WEFT_KIND_NONE);
  }
  return known;
}

static bool can_rewrite(const weft_graph *graph) {
  bool halves = false;
  for (size_t v = 0; v < graph->value_count; v++) {
    halves |= is_half(graph, (int32_t)v);
  }
  for (size_t n = 0; halves && n < graph->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    const bool runs_graphs = node->def == NULL || (node->def->flags & WEFT_OP_SUBGRAPH) != 0;
    if ((runs_graphs && touches_half(graph, node)) || (!is_known(node) && !has_known_outputs(graph, node))) {
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

/* ---- constants of another type ----------------------------------------------------------------------------------- */
/* A constant that several graphs read is converted once. Since nothing is lost by that, it is held in its new type alone,
 * as its `owner`, until it turns out that a graph reads it as it was. */
static const weft_tensor *find_constant(const weft_graph *graph, int32_t v) {
  const weft_value *constant = weft_graph_constant(graph, v);
  const bool converted = constant != NULL && constant->owner != NULL && constant->tensor.data == NULL;
  return converted ? &constant->owner->tensor : weft_match_constant(graph, v, weft_match_type(graph, v));
}

static void convert(const weft_kernels *kernels, const weft_tensor *from, const weft_tensor *to) {
  if (to->type == WEFT_FLOAT) {
    weft_widen(kernels, from->type, from->count, from->data, to->data);
  } else {
    weft_narrow(kernels, to->type, from->count, from->data, to->data);
  }
}

/* Also of the graph around: then this graph has its own from now on. */
static weft_status convert_constant(const halves *h, size_t v, weft_type type) {
  weft_context *cx = h->pass->model->cx;
  weft_slot *slot = &h->graph->values[v];
  weft_value *old = weft_graph_constant(h->graph, (int32_t)v), *now = old->owner;
  if (now == NULL || old->storage == WEFT_STORAGE_SHARED || now->tensor.type != type) {
    WEFT_TRY(weft_value_new_tensor(cx, type, &old->tensor.shape, &now));
    convert(cx->kernels, &old->tensor, &now->tensor);
    if (old->refs == 1) {
      weft_value_clear(old);
      old->owner = now;
    }
  }
  if (old->owner == now) {
    weft_value_retain(now);
  }
  weft_value_release(slot->constant);
  slot->outer = -1;
  weft_slot_set_constant(slot, now);
  return WEFT_OK;
}

static weft_status restore_constants(weft_pass *pass, const weft_graph *graph) {
  weft_context *cx = pass->model->cx;
  weft_uses uses;
  WEFT_TRY(weft_uses_find(pass, graph, &uses));
  weft_status status = WEFT_OK;
  for (size_t v = 0; v < graph->value_count && status == WEFT_OK; v++) {
    weft_value *constant = uses.count[v] > 0 ? weft_graph_constant(graph, (int32_t)v) : NULL;
    if (constant != NULL && constant->owner != NULL && constant->tensor.data == NULL) {
      status = weft_value_allocate(cx, constant);
      if (status == WEFT_OK) convert(cx->kernels, &constant->owner->tensor, &constant->tensor);
    }
  }
  weft_uses_free(&uses);
  return status;
}

/* ---- what stays narrow ------------------------------------------------------------------------------------------- */
static bool passes_on(const weft_node *node) {
  return (weft_node_is(node, "Transpose") || weft_node_is(node, "Cast")) && node->output_count == 1;
}

static bool has_many_rows(const weft_graph *graph, const weft_node *product) {
  if (product->inputs[0] < 0) return true; /* none, which is refused later */
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

static bool is_exact(const weft_kernels *kernels, const weft_tensor *x, weft_type type) {
  const float *values = x->data;
  float wide[BLOCK];
  uint16_t narrow[BLOCK];
  for (size_t i = 0, n; i < x->count; i += n) {
    n = x->count - i < BLOCK ? x->count - i : BLOCK;
    weft_narrow(kernels, type, n, values + i, narrow);
    weft_widen(kernels, type, n, narrow, wide);
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
  const int64_t *dims = x->shape.dims;
  return x->shape.rank == 2 && dims[0] >= WEFT_PACK_COLUMNS && dims[1] >= WEFT_PACK_COLUMNS && x->count >= LARGE;
}

static void keep_wide(void *narrow, int32_t v) {
  ((bool *)narrow)[v] = false;
}

/* Whether nodes that become floats are many more than casts. */
static bool is_worth_casts(const halves *h) {
  const weft_graph *graph = h->graph;
  enum { FEW = 4 };
  size_t gain = 0, casts = graph->output_count; /* most likely */
  for (size_t v = 0; v < h->value_count; v++) {
    const weft_slot *slot = &graph->values[v];
    casts += (slot->is_input || is_captured(graph, v)) && is_half(graph, (int32_t)v) &&
             weft_graph_constant(graph, (int32_t)v) == NULL;
  }
  for (size_t n = 0; n < h->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    const bool kept = keeps_types(graph, node);
    casts += kept ? (size_t)node->input_count + (size_t)node->output_count : 0;
    gain += !kept && touches_half(graph, node);
  }
  return gain > 2 * casts + FEW;
}

/* A constant, its transpose or its cast is narrow where all who read it can take it. Floats that layers share are packed
 * once for all of them and stay floats. */
static bool find_narrow(halves *h) {
  const weft_graph *graph = h->graph;
  bool any = false;
  for (size_t v = 0; v < h->value_count; v++) {
    const weft_tensor *constant = find_constant(graph, (int32_t)v);
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
    const weft_tensor *constant = find_constant(graph, (int32_t)v);
    if (h->narrow[v] && constant != NULL && !is_half(graph, (int32_t)v)) {
      WEFT_TRY(convert_constant(h, v, narrow_type(h, constant)));
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
    if (n < h->node_count && keeps_types(h->graph, node)) continue;
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

static weft_status cast_inputs(halves *h) {
  for (size_t v = 0; v < h->value_count; v++) {
    const weft_slot *slot = &h->graph->values[v];
    if ((slot->is_input || is_captured(h->graph, v)) && is_half(h->graph, (int32_t)v) &&
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

/* A node that keeps its types has what others compute rounded, and gives what others read as floats. Inputs and outputs
 * of the graph are its own as they are. */
static weft_status cast_around(halves *h, size_t n) {
  const int in_count = h->graph->nodes[n].input_count, out_count = h->graph->nodes[n].output_count;
  for (int i = 0; i < in_count; i++) {
    const int32_t v = h->graph->nodes[n].inputs[i];
    int32_t rounded;
    if (is_half(h->graph, v) && (h->floats[v] < 0 || h->graph->values[v].producer >= 0)) {
      WEFT_TRY(add_like(h, v, weft_match_type(h->graph, v), &rounded));
      WEFT_TRY(add_cast(h, v, rounded, weft_match_type(h->graph, v)));
      h->graph->nodes[n].inputs[i] = rounded;
    }
  }
  for (int i = 0; i < out_count; i++) {
    const int32_t v = h->graph->nodes[n].outputs[i];
    int32_t own;
    if (is_half(h->graph, v) && h->floats[v] < 0) {
      WEFT_TRY(add_like(h, v, weft_match_type(h->graph, v), &own));
      WEFT_TRY(add_cast(h, own, v, WEFT_FLOAT));
      h->graph->nodes[n].outputs[i] = own;
    }
  }
  return WEFT_OK;
}

static weft_status cast_kept_outputs(halves *h) {
  for (size_t i = 0; i < h->graph->output_count; i++) {
    const int32_t v = h->graph->outputs[i], producer = h->graph->values[v].producer;
    if (is_half(h->graph, v) && producer >= 0 && keeps_types(h->graph, &h->graph->nodes[producer])) {
      WEFT_TRY(add_like(h, v, WEFT_FLOAT, &h->floats[v]));
      WEFT_TRY(add_cast(h, v, h->floats[v], WEFT_FLOAT));
    }
  }
  return WEFT_OK;
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
    if (keeps_types(h->graph, node)) {
      WEFT_TRY(cast_around(h, n));
    } else if (is_sharp(node)) {
      WEFT_TRY(round_inputs(h, n));
    } else if (weft_node_is(node, "Gather") && stays_narrow(h, weft_node_in(node, 0))) {
      WEFT_TRY(cast_rows(h, n));
    } else if (weft_node_is(node, "Cast") && (h->narrow[node->outputs[0]] || weft_type_is_half(cast_type(node)))) {
      WEFT_TRY(rewrite_cast(h, node));
    }
  }
  return WEFT_OK;
}

/* `first` nodes read inputs, or outputs of nodes that keep their types: they keep the old names. */
static weft_status cast_outputs(halves *h, size_t first) {
  weft_graph *graph = h->graph;
  const int32_t begin = (int32_t)graph->value_count;
  for (size_t i = 0; i < graph->output_count; i++) {
    const int32_t v = graph->outputs[i];
    if (is_half(graph, v) && h->floats[v] < 0) {
      WEFT_TRY(add_like(h, v, WEFT_FLOAT, &h->floats[v]));
    }
  }
  rename_values(h, 0, h->node_count);
  rename_values(h, h->node_count + first, graph->node_count);
  for (size_t i = 0; i < graph->output_count; i++) {
    const int32_t v = graph->outputs[i];
    if (h->floats[v] >= begin) {
      WEFT_TRY(add_cast(h, h->floats[v], v, weft_match_type(graph, v)));
    }
  }
  return WEFT_OK;
}

static weft_status rewrite(halves *h) {
  weft_graph *graph = h->graph;
  WEFT_TRY(narrow_floats(h));
  WEFT_TRY(cast_inputs(h));
  WEFT_TRY(cast_kept_outputs(h));
  const size_t first = graph->node_count - h->node_count;
  WEFT_TRY(rewrite_nodes(h));
  WEFT_TRY(cast_outputs(h, first));
  for (size_t v = 0; v < h->value_count; v++) {
    if (!is_half(graph, (int32_t)v) || h->narrow[v] || h->floats[v] >= 0) {
      continue;
    }
    if (weft_graph_constant(graph, (int32_t)v) != NULL) {
      WEFT_TRY(convert_constant(h, v, WEFT_FLOAT));
    }
    graph->values[v].info.type = WEFT_FLOAT;
  }
  weft_graph_number_producers(graph);
  return weft_graph_sort(h->pass->model, graph);
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

static weft_status rewrite_graph(weft_pass *pass, weft_graph *graph) {
  halves h = {.pass = pass, .graph = graph, .value_count = graph->value_count, .node_count = graph->node_count};
  if (weft_op_find("", "Cast") == NULL || !can_rewrite(graph)) {
    return WEFT_OK;
  }
  void *block;
  WEFT_TRY(weft_alloc_zeroed(pass->model->cx, h.value_count, sizeof(int32_t) + sizeof(bool), &block));
  h.floats = block;
  h.narrow = (bool *)(h.floats + h.value_count);
  memset(h.floats, 0xff, h.value_count * sizeof *h.floats);
  weft_status status = weft_uses_find(pass, graph, &h.uses);
  status = status == WEFT_OK && (find_narrow(&h) || is_worth_casts(&h)) && !gives_twice(&h) ? rewrite(&h) : status;
  weft_uses_free(&h.uses);
  weft_free(block);
  return status;
}

weft_status weft_pass_halves(weft_pass *pass, weft_graph *graph) {
  WEFT_TRY(rewrite_graph(pass, graph));
  return restore_constants(pass, graph);
}
