/* Reverse differentiation: from y back to xs, every node on the way adds to the derivatives of its inputs, by the rule of its
 * operator. The derivatives are nodes like others, so that all that follows (folding, fusing, planning) serves them too. An
 * operator without a rule is told by name. */
#include "gradient.h"

#include <string.h>

#include "build.h"
#include "edit.h"

enum { MOST = 100 }; /* Gradient nodes: each is a pass over the graph */

typedef struct gradient {
  weft_model *model;
  const weft_options *options;
  weft_graph *graph;
  const char *name;     /* of the Gradient node, which the new nodes bear */
  size_t values;        /* that the graph had before */
  uint8_t *leaf, *path; /* per value: a variable; something that depends on one */
  int32_t *derivative;  /* per value: of y by it, so far; -1: none */
} gradient;

/* A new node over these inputs; its output in *out. */
static weft_status emit(gradient *g, const char *op_type, int inputs, const int32_t *values, int32_t *out) {
  weft_node *node;
  if (g->graph->node_count >= g->options->max_nodes) {
    return weft_fail(g->model->cx, WEFT_LIMIT_EXCEEDED, "the derivatives take more than %u nodes", g->options->max_nodes);
  }
  WEFT_TRY(weft_graph_add_value(g->model, g->graph, "", out));
  WEFT_TRY(weft_graph_add_node(g->model, g->graph, g->name, "", op_type, inputs, 1, &node));
  memcpy(node->inputs, values, (size_t)inputs * sizeof *values);
  node->outputs[0] = *out;
  return WEFT_OK;
}

static weft_status emit_binary(gradient *g, const char *op_type, int32_t a, int32_t b, int32_t *out) {
  return emit(g, op_type, 2, (int32_t[]){a, b}, out);
}

static weft_node *last_node(gradient *g) {
  return &g->graph->nodes[g->graph->node_count - 1];
}

static weft_status constant(gradient *g, weft_type type, int rank, const void *data, int32_t *out) {
  weft_value *value;
  const weft_shape shape = {.rank = rank, .dims = {1}};
  WEFT_TRY(weft_value_new_tensor(g->model->cx, type, &shape, &value));
  memcpy(value->tensor.data, data, weft_type_size(type));
  return weft_graph_add_constant(g->model, g->graph, "", value, out);
}

/* A number of the element type that `like` turns out to have. */
static weft_status number_like(gradient *g, float number, int32_t like, int32_t *out) {
  int32_t scalar;
  WEFT_TRY(constant(g, WEFT_FLOAT, 0, &number, &scalar));
  return emit_binary(g, "CastLike", scalar, like, out);
}

/* As many of it as `like` has elements. */
static weft_status filled_like(gradient *g, float number, int32_t like, int32_t *out) {
  int32_t scalar, shape;
  WEFT_TRY(number_like(g, number, like, &scalar));
  WEFT_TRY(emit(g, "Shape", 1, &like, &shape));
  return emit_binary(g, "Expand", scalar, shape, out);
}

/* `term`, summed over the axes along which x was repeated to get there. */
static weft_status sum_to(gradient *g, int32_t term, int32_t x, int32_t *out) {
  const int64_t one = 1, zero = 0;
  int32_t ones, first, to, from, to_rank, from_rank, missing, pad, full, same, other, places, axes, sum;
  WEFT_TRY(constant(g, WEFT_INT64, 1, &one, &ones));
  WEFT_TRY(constant(g, WEFT_INT64, 1, &zero, &first));
  WEFT_TRY(emit(g, "Shape", 1, &x, &to));
  WEFT_TRY(emit(g, "Shape", 1, &term, &from));
  WEFT_TRY(emit(g, "Shape", 1, &to, &to_rank));
  WEFT_TRY(emit(g, "Shape", 1, &from, &from_rank));
  WEFT_TRY(emit_binary(g, "Sub", from_rank, to_rank, &missing));
  WEFT_TRY(emit_binary(g, "Expand", ones, missing, &pad));
  WEFT_TRY(emit_binary(g, "Concat", pad, to, &full));
  WEFT_TRY(weft_node_set_int(g->model, last_node(g), "axis", 0));
  WEFT_TRY(emit_binary(g, "Equal", full, from, &same));
  WEFT_TRY(emit(g, "Not", 1, &same, &other));
  WEFT_TRY(emit(g, "NonZero", 1, &other, &places));
  WEFT_TRY(emit_binary(g, "Squeeze", places, first, &axes));
  WEFT_TRY(emit_binary(g, "ReduceSum", term, axes, &sum));
  WEFT_TRY(weft_node_set_int(g->model, last_node(g), "noop_with_empty_axes", 1));
  return emit_binary(g, "Reshape", sum, to, out);
}

/* ---- the rules: from dy, the derivative by the output of a node, the term for its input i --------------------------- */
static weft_status by_sum(gradient *g, const weft_node *node, int i, int32_t dy, int32_t *out) {
  (void)g;
  (void)node;
  (void)i;
  *out = dy;
  return WEFT_OK;
}

static weft_status by_negative(gradient *g, const weft_node *node, int i, int32_t dy, int32_t *out) {
  (void)node;
  (void)i;
  return emit(g, "Neg", 1, &dy, out);
}

static weft_status by_difference(gradient *g, const weft_node *node, int i, int32_t dy, int32_t *out) {
  return i == 0 ? by_sum(g, node, i, dy, out) : by_negative(g, node, i, dy, out);
}

static weft_status by_product(gradient *g, const weft_node *node, int i, int32_t dy, int32_t *out) {
  return emit_binary(g, "Mul", dy, node->inputs[1 - i], out);
}

static weft_status by_quotient(gradient *g, const weft_node *node, int i, int32_t dy, int32_t *out) {
  int32_t part, whole;
  WEFT_TRY(emit_binary(g, "Div", dy, node->inputs[1], &part));
  if (i == 0) {
    *out = part;
    return WEFT_OK;
  }
  WEFT_TRY(emit_binary(g, "Mul", part, node->outputs[0], &whole));
  return emit(g, "Neg", 1, &whole, out);
}

static weft_status by_exponential(gradient *g, const weft_node *node, int i, int32_t dy, int32_t *out) {
  (void)i;
  return emit_binary(g, "Mul", dy, node->outputs[0], out);
}

static weft_status by_relu(gradient *g, const weft_node *node, int i, int32_t dy, int32_t *out) {
  int32_t zero, positive, factor;
  WEFT_TRY(number_like(g, 0, dy, &zero));
  WEFT_TRY(emit_binary(g, "Greater", node->inputs[i], zero, &positive));
  WEFT_TRY(emit_binary(g, "CastLike", positive, dy, &factor));
  return emit_binary(g, "Mul", dy, factor, out);
}

static const struct rule {
  const char *op_type;
  weft_status (*term)(gradient *g, const weft_node *node, int i, int32_t dy, int32_t *out);
} rules[] = {
    {"Add", by_sum},       {"Div", by_quotient}, {"Exp", by_exponential},  {"Identity", by_sum},
    {"Mul", by_product},   {"Neg", by_negative}, {"Relu", by_relu},        {"Sub", by_difference},
};

/* ---- one Gradient node ------------------------------------------------------------------------------------------------ */
static const struct rule *find_rule(const weft_node *node) {
  for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
    if (node->domain[0] == 0 && strcmp(node->op_type, rules[r].op_type) == 0) {
      return &rules[r];
    }
  }
  return NULL;
}

static weft_status add_term(gradient *g, int32_t term, int32_t v) {
  int32_t fitting;
  WEFT_TRY(sum_to(g, term, v, &fitting));
  if (g->derivative[v] < 0) {
    g->derivative[v] = fitting;
    return WEFT_OK;
  }
  return emit_binary(g, "Add", g->derivative[v], fitting, &g->derivative[v]);
}

/* `node` is a copy: adding nodes moves them, not what they point to. */
static weft_status pass_back(gradient *g, weft_node node) {
  int32_t y = node.output_count > 0 ? node.outputs[0] : -1;
  if (y < 0 || g->derivative[y] < 0 || g->leaf[y] || !g->path[y]) {
    return WEFT_OK;
  }
  const struct rule *rule = find_rule(&node);
  if (rule == NULL) {
    return weft_fail(g->model->cx, WEFT_UNSUPPORTED, "the derivative of %s (node '%.80s') is not known here", node.op_type,
                     node.name);
  }
  for (int i = 0; i < node.input_count; i++) {
    int32_t v = node.inputs[i], term;
    if (v >= 0 && g->path[v]) {
      WEFT_TRY(rule->term(g, &node, i, g->derivative[y], &term));
      WEFT_TRY(add_term(g, term, v));
    }
  }
  return WEFT_OK;
}

static void mark_paths(gradient *g, size_t nodes) {
  for (size_t n = 0; n < nodes; n++) {
    const weft_node *node = &g->graph->nodes[n];
    bool depends = false;
    for (int i = 0; i < node->input_count; i++) {
      depends = depends || (node->inputs[i] >= 0 && g->path[node->inputs[i]]);
    }
    for (int i = 0; depends && i < node->output_count; i++) {
      if (node->outputs[i] >= 0) {
        g->path[node->outputs[i]] = 1;
      }
    }
  }
}

static weft_status find_value(gradient *g, const char *name, int32_t *out) {
  for (size_t v = 0; v < g->values; v++) {
    if (strcmp(g->graph->values[v].name, name) == 0) {
      *out = (int32_t)v;
      return WEFT_OK;
    }
  }
  return weft_fail(g->model->cx, WEFT_INVALID_MODEL, "the graph has no value '%.200s'", name);
}

/* The variables must be the inputs: the graph is not computed again at other values. */
static weft_status mark_variables(gradient *g, const weft_node *node, const char *attribute, int *at) {
  const weft_attribute *names = weft_node_attribute(node, attribute);
  for (size_t i = 0; names != NULL && names->kind == WEFT_ATTRIBUTE_STRINGS && i < names->count; i++, (*at)++) {
    int32_t v;
    WEFT_TRY(find_value(g, names->strings[i].data, &v));
    if (*at >= node->input_count || node->inputs[*at] != v) {
      return weft_fail(g->model->cx, WEFT_UNSUPPORTED, "input %d: expected '%.200s', derivatives elsewhere are not known here",
                       *at, names->strings[i].data);
    }
    g->leaf[v] = g->path[v] = 1;
  }
  return WEFT_OK;
}

static weft_status begin(gradient *g, const weft_node *node, int *variables) {
  weft_context *cx = g->model->cx;
  const weft_attribute *y = weft_node_attribute(node, "y");
  int32_t v;
  void *block;
  WEFT_TRY(weft_arena_alloc(cx, &g->model->arena, g->values, 1, &block));
  g->leaf = block;
  WEFT_TRY(weft_arena_alloc(cx, &g->model->arena, g->values, 1, &block));
  g->path = block;
  WEFT_TRY(weft_arena_alloc(cx, &g->model->arena, g->values, sizeof(int32_t), &block));
  g->derivative = memset(block, 0xff, g->values * sizeof(int32_t));
  if (y == NULL || y->kind != WEFT_ATTRIBUTE_STRING) {
    return weft_fail(cx, WEFT_INVALID_MODEL, "attribute 'y' is required");
  }
  int at = 0;
  WEFT_TRY(mark_variables(g, node, "xs", &at));
  *variables = at;
  WEFT_TRY(mark_variables(g, node, "zs", &at));
  WEFT_TRY(find_value(g, y->s.data, &v));
  return filled_like(g, 1, v, &g->derivative[v]);
}

/* Output i becomes the derivative by input i, or zeros where y does not depend on it. */
static weft_status give(gradient *g, const weft_node *node, int i) {
  int32_t v = node->inputs[i], d = g->derivative[v];
  weft_node *made;
  if (d < 0) {
    WEFT_TRY(filled_like(g, 0, v, &d));
  }
  WEFT_TRY(weft_graph_add_node(g->model, g->graph, g->name, "", "Identity", 1, 1, &made));
  made->inputs[0] = d;
  made->outputs[0] = node->outputs[i];
  return WEFT_OK;
}

static weft_status differentiate(weft_model *model, const weft_options *options, weft_graph *graph, size_t n) {
  weft_node node = graph->nodes[n];
  gradient g = {.model = model, .options = options, .graph = graph, .name = node.name, .values = graph->value_count};
  size_t nodes = graph->node_count;
  int variables = 0;
  model->cx->node = node.name;
  model->cx->op = node.op_type;
  WEFT_TRY(begin(&g, &node, &variables));
  mark_paths(&g, nodes);
  for (size_t k = nodes; k-- > 0;) {
    if (k != n) {
      WEFT_TRY(pass_back(&g, graph->nodes[k]));
    }
  }
  for (int i = 0; i < node.output_count && i < variables; i++) {
    if (node.outputs[i] >= 0) {
      WEFT_TRY(give(&g, &node, i));
    }
  }
  model->cx->node = NULL;
  weft_node_discard(&graph->nodes[n]);
  memmove(&graph->nodes[n], &graph->nodes[n + 1], (graph->node_count - n - 1) * sizeof(weft_node));
  graph->node_count--;
  weft_graph_number_producers(graph);
  return weft_graph_sort(model, graph);
}

weft_status weft_model_differentiate(weft_model *model, const weft_options *options) {
  size_t count = 0;
  for (size_t n = 0; n < model->graph->node_count;) {
    const weft_node *node = &model->graph->nodes[n];
    if (strcmp(node->op_type, "Gradient") == 0 && strcmp(node->domain, "ai.onnx.preview.training") == 0) {
      if (count++ == MOST) {
        return weft_fail(model->cx, WEFT_LIMIT_EXCEEDED, "more than %d Gradient nodes", MOST);
      }
      WEFT_TRY(differentiate(model, options, model->graph, n));
      n = 0; /* the order may be another one now */
    } else {
      n++;
    }
  }
  return WEFT_OK;
}
