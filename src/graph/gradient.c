/* Reverse differentiation: from y back to xs, every node on the way adds to the derivatives of its inputs, by the rule
 * of its operator (rules.c). The derivatives are nodes like others, so that all that follows (folding, fusing,
 * planning) serves them too. An operator without a rule is told by name. */
#include "gradient.h"

#include <string.h>

#include "backward.h"
#include "build.h"

enum { MOST = 100 }; /* Gradient nodes: each is a pass over the graph */

weft_status weft_gradient_fill(weft_gradient *g, const char *number, int32_t v, int32_t *out) {
  g->term.like = v;
  weft_term_set(&g->term, 'v', v);
  WEFT_TRY(weft_term_let(&g->term, 'n', number));
  return weft_term_derive(&g->term, "n v Shape Expand/2", out);
}

/* ---- one Gradient node ------------------------------------------------------------------------------------------- */
weft_status weft_gradient_add(weft_gradient *g, int32_t term, int32_t v) {
  int32_t fitting;
  WEFT_TRY(weft_term_sum_to(&g->term, term, v, &fitting));
  if (g->derivative[v] >= 0) {
    weft_term_set(&g->term, 's', g->derivative[v]);
    weft_term_set(&g->term, 't', fitting);
    WEFT_TRY(weft_term_derive(&g->term, "s t +", &fitting));
  }
  g->derivative[v] = fitting;
  return WEFT_OK;
}

/* From output `o` of the node to its inputs. */
static weft_status pass_output(weft_gradient *g, const weft_node *node, int o) {
  int32_t y = node->outputs[o];
  bool passes = false;
  if (y < 0 || g->derivative[y] < 0 || g->leaf[y] || !g->path[y]) {
    return WEFT_OK;
  }
  for (int i = 0; i < node->input_count; i++) {
    int32_t v = node->inputs[i], term = -1;
    if (v >= 0 && g->path[v]) {
      passes = true;
      weft_term_begin(&g->term, node, i, o, g->derivative[y]);
      WEFT_TRY(weft_term_apply_rule(&g->term, &term));
      WEFT_TRY(term < 0 ? WEFT_OK : weft_gradient_add(g, term, v));
    }
  }
  g->term.node = node;
  return passes ? WEFT_OK : weft_term_unknown(&g->term, ""); /* its subgraphs depend on them */
}

/* Of a copy of node k: adding nodes moves them, not what they point to. */
static weft_status pass_back(weft_gradient *g, size_t k) {
  const weft_node node = g->graph->nodes[k];
  bool done;
  WEFT_TRY(weft_gradient_pass_subgraphs(g, k, &done));
  for (int o = 0; o < node.output_count && !done; o++) {
    WEFT_TRY(pass_output(g, &node, o));
  }
  return WEFT_OK;
}

weft_status weft_gradient_run(weft_gradient *g, size_t skip) {
  for (size_t k = g->nodes; k-- > 0;) {
    WEFT_TRY(k == skip ? WEFT_OK : pass_back(g, k));
  }
  return WEFT_OK;
}

static void note_use(void *arg, int32_t v) {
  weft_gradient *g = arg;
  g->depends = g->depends || g->path[v];
}

void weft_gradient_mark(weft_gradient *g) {
  for (size_t n = 0; n < g->nodes; n++) {
    const weft_node *node = &g->graph->nodes[n];
    g->depends = false;
    weft_node_visit_uses(node, note_use, g);
    for (int i = 0; g->depends && i < node->output_count; i++) {
      if (node->outputs[i] >= 0) {
        g->path[node->outputs[i]] = 1;
      }
    }
  }
}

weft_status weft_gradient_prepare(weft_gradient *g) {
  weft_context *cx = g->model->cx;
  void *block;
  g->values = g->graph->value_count;
  g->nodes = g->graph->node_count;
  WEFT_TRY(weft_arena_alloc(cx, &g->model->arena, g->values, 1, &block));
  g->leaf = block;
  WEFT_TRY(weft_arena_alloc(cx, &g->model->arena, g->values, 1, &block));
  g->path = block;
  WEFT_TRY(weft_arena_alloc(cx, &g->model->arena, g->values, sizeof(int32_t), &block));
  g->derivative = memset(block, 0xff, g->values * sizeof(int32_t));
  return WEFT_OK;
}

static weft_status find_value(weft_gradient *g, const char *name, int32_t *out) {
  for (size_t v = 0; v < g->values; v++) {
    if (strcmp(g->graph->values[v].name, name) == 0) {
      *out = (int32_t)v;
      return WEFT_OK;
    }
  }
  return weft_fail(g->model->cx, WEFT_INVALID_MODEL, "the graph has no value '%.200s'", name);
}

/* The variables must be the inputs: the graph is not computed again at other values. */
static weft_status mark_variables(weft_gradient *g, const weft_node *node, const char *attribute, int *at) {
  const weft_attribute *names = weft_node_attribute(node, attribute);
  for (size_t i = 0; names != NULL && names->kind == WEFT_ATTRIBUTE_STRINGS && i < names->count; i++, (*at)++) {
    int32_t v;
    WEFT_TRY(find_value(g, names->strings[i].data, &v));
    if (*at >= node->input_count || node->inputs[*at] != v) {
      return weft_fail(g->model->cx, WEFT_UNSUPPORTED,
                       "input %d: expected '%.200s', derivatives elsewhere are not known here", *at,
                       names->strings[i].data);
    }
    g->leaf[v] = g->path[v] = 1;
  }
  return WEFT_OK;
}

static weft_status begin(weft_gradient *g, const weft_node *node, int *variables) {
  weft_context *cx = g->model->cx;
  const weft_attribute *y = weft_node_attribute(node, "y");
  int32_t v;
  WEFT_TRY(weft_gradient_prepare(g));
  if (y == NULL || y->kind != WEFT_ATTRIBUTE_STRING) {
    return weft_fail(cx, WEFT_INVALID_MODEL, "attribute 'y' is required");
  }
  int at = 0;
  WEFT_TRY(mark_variables(g, node, "xs", &at));
  *variables = at;
  WEFT_TRY(mark_variables(g, node, "zs", &at));
  WEFT_TRY(find_value(g, y->s.data, &v));
  return weft_gradient_fill(g, "1", v, &g->derivative[v]);
}

/* Output i becomes the derivative by input i, or zeros where y does not depend on it. */
static weft_status give(weft_gradient *g, const weft_node *node, int i) {
  int32_t v = node->inputs[i], d = g->derivative[v];
  weft_node *made;
  if (d < 0) {
    WEFT_TRY(weft_gradient_fill(g, "0", v, &d));
  }
  WEFT_TRY(weft_graph_add_node(g->model, g->graph, g->term.name, "", "Identity", 1, 1, &made));
  made->inputs[0] = d;
  made->outputs[0] = node->outputs[i];
  return WEFT_OK;
}

static weft_status differentiate(weft_model *model, const weft_options *options, weft_graph *graph, size_t n) {
  weft_node node = graph->nodes[n];
  weft_gradient g = {.model = model, .graph = graph};
  g.term =
      (weft_term){.model = model, .graph = graph, .max_nodes = options->max_nodes, .name = node.name, .node = &node};
  int variables = 0;
  model->cx->node = node.name;
  model->cx->op = node.op_type;
  WEFT_TRY(begin(&g, &node, &variables));
  weft_gradient_mark(&g);
  WEFT_TRY(weft_gradient_run(&g, n));
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

static size_t find_gradient(const weft_graph *graph) {
  size_t n = 0;
  while (n < graph->node_count && (strcmp(graph->nodes[n].op_type, "Gradient") != 0 ||
                                   strcmp(graph->nodes[n].domain, "ai.onnx.preview.training") != 0)) {
    n++;
  }
  return n;
}

weft_status weft_model_differentiate(weft_model *model, const weft_options *options) {
  weft_graph *graph = model->graph;
  for (int count = 0; find_gradient(graph) < graph->node_count; count++) {
    if (count == MOST) {
      return weft_fail(model->cx, WEFT_LIMIT_EXCEEDED, "more than %d Gradient nodes", MOST);
    }
    if (count == 0) {
      WEFT_TRY(weft_graph_expand(model, graph, options->max_nodes));
    }
    WEFT_TRY(differentiate(model, options, graph, find_gradient(graph))); /* the order may be another one now */
  }
  return WEFT_OK;
}
