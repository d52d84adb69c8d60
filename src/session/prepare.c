/* Preparing nodes once at load: operators pack constant weights into a form of their own, and the original's memory is
 * given back when nothing else reads it. While this runs each reader of a constant holds a reference to it, graphs'
 * outputs included, so that the last one to drop it is known. */
#include "plan.h"

/* Every graph, with NULL for a node, and then its nodes, those of inner graphs after the node they belong to. */
static weft_status each_node(weft_graph *graph, weft_status (*visit)(void *arg, weft_graph *graph, weft_node *node),
                             void *arg) {
  WEFT_TRY(visit(arg, graph, NULL));
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_node *node = &graph->nodes[n];
    WEFT_TRY(visit(arg, graph, node));
    for (size_t a = 0; a < node->attribute_count; a++) {
      const weft_attribute *attribute = &node->attributes[a];
      if (attribute->kind == WEFT_ATTRIBUTE_GRAPH) {
        WEFT_TRY(each_node(attribute->graph, visit, arg));
      }
      for (size_t g = 0; attribute->kind == WEFT_ATTRIBUTE_GRAPHS && g < attribute->count; g++) {
        WEFT_TRY(each_node(attribute->graphs[g], visit, arg));
      }
    }
  }
  return WEFT_OK;
}

/* What a graph gives, or a node takes. */
static void change_references(weft_graph *graph, const weft_node *node, void (*change)(weft_value *)) {
  const int32_t *list = node == NULL ? graph->outputs : node->inputs;
  size_t count = node == NULL ? graph->output_count : (size_t)node->input_count;
  for (size_t i = 0; i < count; i++) {
    if (list[i] >= 0) {
      change(weft_graph_constant(graph, list[i]));
    }
  }
}

static weft_status hold_constants(void *arg, weft_graph *graph, weft_node *node) {
  (void)arg;
  change_references(graph, node, weft_value_retain);
  return WEFT_OK;
}

static weft_status release_constants(void *arg, weft_graph *graph, weft_node *node) {
  (void)arg;
  change_references(graph, node, weft_value_release);
  return WEFT_OK;
}

typedef struct preparation {
  weft_run_state *state;
  weft_value *unknown; /* stands for inputs that are not constant */
} preparation;

static void drop_constant(weft_value *constant) {
  enum { GRAPH_AND_THIS_READER = 2 };
  if (constant->refs == GRAPH_AND_THIS_READER && constant->storage == WEFT_STORAGE_OWNED) {
    weft_value_clear(constant);
  }
}

static weft_status prepare_node(void *arg, weft_graph *graph, weft_node *node) {
  preparation *p = arg;
  weft_context *cx = p->state->cx;
  weft_value *inputs[32];
  if (node == NULL || node->def->prepare == weft_no_prepare ||
      node->input_count > (int)(sizeof inputs / sizeof *inputs)) {
    return WEFT_OK;
  }
  for (int i = 0; i < node->input_count; i++) {
    weft_value *constant = node->inputs[i] >= 0 ? weft_graph_constant(graph, node->inputs[i]) : NULL;
    inputs[i] = constant != NULL ? constant : node->inputs[i] >= 0 ? p->unknown : NULL;
  }
  weft_op op = {.cx = cx,
                .def = node->def,
                .node = node,
                .input_count = node->input_count,
                .inputs = inputs,
                .scratch = &p->state->scratch,
                .strings = p->state->strings,
                .random = p->state->random};
  cx->node = node->name;
  cx->op = node->op_type;
  weft_status status = weft_op_call(&op, node->def->prepare);
  weft_scratch_reset(cx, &p->state->scratch);
  for (int i = 0; status == WEFT_OK && i < node->input_count; i++) {
    if ((op.dropped >> (unsigned)i & 1u) != 0 && inputs[i] != NULL) {
      drop_constant(inputs[i]);
    }
  }
  return status;
}

weft_status weft_prepare(weft_run_state *state, weft_graph *graph) {
  preparation p = {.state = state};
  WEFT_TRY(weft_value_new(state->cx, WEFT_KIND_TENSOR, &p.unknown));
  weft_status status = each_node(graph, hold_constants, NULL);
  if (status == WEFT_OK) {
    status = each_node(graph, prepare_node, &p);
    each_node(graph, release_constants, NULL);
  }
  weft_value_release(p.unknown);
  return status;
}

void weft_graph_destroy_plans(weft_graph *graph) {
  weft_plans_destroy(graph);
  for (size_t n = 0; n < graph->node_count; n++) {
    for (size_t a = 0; a < graph->nodes[n].attribute_count; a++) {
      const weft_attribute *attribute = &graph->nodes[n].attributes[a];
      if (attribute->kind == WEFT_ATTRIBUTE_GRAPH) {
        weft_graph_destroy_plans(attribute->graph);
      }
      for (size_t g = 0; attribute->kind == WEFT_ATTRIBUTE_GRAPHS && g < attribute->count; g++) {
        weft_graph_destroy_plans(attribute->graphs[g]);
      }
    }
  }
}
