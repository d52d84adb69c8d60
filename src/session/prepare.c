/* Preparing nodes once at load: operators pack constant weights into a form of their own, and the original's memory is
 * given back when nothing else reads it. While this runs each reader of a constant holds a reference to it, graphs'
 * outputs included, so that the last one to drop it is known. Nodes that are alike and read the same constants, as in the
 * branches of a merged decoder, are prepared once. */
#include "plan.h"

#include <string.h>

/* Every graph, with NULL for a node, and then its nodes, those of inner graphs after the node they belong to. */
static weft_status each_node(weft_graph *graph, weft_status (*visit)(void *arg, weft_graph *graph, weft_node *node),
                             void *arg) {
  WEFT_TRY(visit(arg, graph, NULL));
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_node *node = &graph->nodes[n];
    WEFT_TRY(visit(arg, graph, node));
    weft_subgraphs at = {.node = node};
    for (weft_graph *inner; (inner = weft_subgraphs_next(&at)) != NULL;) {
      WEFT_TRY(each_node(inner, visit, arg));
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
  for (size_t v = 0; node == NULL && v < graph->value_count; v++) {
    if (graph->values[v].constant != NULL) graph->values[v].constant->owners++;
  }
  change_references(graph, node, weft_value_retain);
  return WEFT_OK;
}

/* A node that borrows has let go of them before. */
static weft_status release_constants(void *arg, weft_graph *graph, weft_node *node) {
  (void)arg;
  if (node == NULL || !node->borrows_state) {
    change_references(graph, node, weft_value_release);
  }
  return WEFT_OK;
}

enum { MOST_INPUTS = 32, MOST_COMPARED = 16 };

typedef struct reader {
  const weft_graph *graph;
  const weft_node *node;
  uint32_t twin;    /* the first that reads the same constants for the same purpose: perhaps this one */
  uint32_t next;    /* of those that read its first constant and are unlike: number + 1 of the one before, or 0 */
  uint32_t dropped; /* inputs, as bits */
} reader;

typedef struct preparation {
  weft_run_state *state;
  weft_value *unknown; /* stands for inputs that are not constant */
  reader *nodes;       /* those that prepare, in their order */
  uint32_t count;
} preparation;

static weft_status count_node(void *arg, weft_graph *graph, weft_node *node) {
  (void)graph;
  ((preparation *)arg)->count += node != NULL;
  return WEFT_OK;
}

static bool prepares(const weft_node *node) {
  return node != NULL && node->def->prepare != weft_no_prepare && node->input_count <= MOST_INPUTS;
}

static void find_inputs(const preparation *p, const weft_graph *graph, const weft_node *node, weft_value **inputs) {
  for (int i = 0; i < node->input_count; i++) {
    weft_value *constant = weft_graph_constant(graph, node->inputs[i]);
    inputs[i] = constant != NULL ? constant : node->inputs[i] >= 0 ? p->unknown : NULL;
  }
}

static bool same_attribute(const weft_attribute *a, const weft_attribute *b) {
  if (a->kind != b->kind || a->count != b->count || strcmp(a->name, b->name) != 0) {
    return false;
  }
  switch (a->kind) {
  case WEFT_ATTRIBUTE_INT:
    return a->i == b->i;
  case WEFT_ATTRIBUTE_FLOAT:
    return memcmp(&a->f, &b->f, sizeof a->f) == 0;
  case WEFT_ATTRIBUTE_INTS:
    return memcmp(a->ints, b->ints, a->count * sizeof *a->ints) == 0;
  case WEFT_ATTRIBUTE_STRING:
    return a->s.size == b->s.size && memcmp(a->s.data, b->s.data, a->s.size) == 0;
  default:
    return false;
  }
}

static bool is_twin(const preparation *p, const reader *other, const weft_node *node, weft_value *const *inputs) {
  weft_value *others[MOST_INPUTS];
  bool same = other->node->def == node->def && other->node->input_count == node->input_count &&
              other->node->attribute_count == node->attribute_count;
  for (size_t a = 0; same && a < node->attribute_count; a++) {
    same = same_attribute(&node->attributes[a], &other->node->attributes[a]);
  }
  if (!same) {
    return false;
  }
  find_inputs(p, other->graph, other->node, others);
  return memcmp(inputs, others, (size_t)node->input_count * sizeof *inputs) == 0;
}

/* It has what another node prepares, and does not count among the readers of its inputs. */
static void borrow(weft_graph *graph, weft_node *node) {
  node->borrows_state = true;
  change_references(graph, node, weft_value_release);
}

/* Of nodes that are alike in several graphs only the first counts as a reader: what it packs may then be packed where it
 * lies. */
static weft_status find_twin(void *arg, weft_graph *graph, weft_node *node) {
  preparation *p = arg;
  weft_value *inputs[MOST_INPUTS];
  if (!prepares(node)) {
    return WEFT_OK;
  }
  find_inputs(p, graph, node, inputs);
  reader *self = &p->nodes[p->count];
  *self = (reader){.graph = graph, .node = node, .twin = p->count++};
  int first = 0;
  while (first < node->input_count && (inputs[first] == NULL || inputs[first] == p->unknown)) {
    first++;
  }
  if (first == node->input_count) {
    return WEFT_OK;
  }
  uint32_t *last = &inputs[first]->prepared;
  for (uint32_t at = *last, i = 0; at != 0 && i < MOST_COMPARED; at = p->nodes[at - 1].next, i++) {
    if (is_twin(p, &p->nodes[at - 1], node, inputs)) {
      self->twin = at - 1;
    }
  }
  if (&p->nodes[self->twin] == self) {
    self->next = *last;
    *last = p->count;
  }
  if (p->nodes[self->twin].graph != graph) {
    borrow(graph, node);
  }
  return WEFT_OK;
}

static weft_status prepare_node(void *arg, weft_graph *graph, weft_node *node) {
  preparation *p = arg;
  weft_context *cx = p->state->cx;
  weft_value *inputs[MOST_INPUTS];
  if (!prepares(node)) {
    return WEFT_OK;
  }
  find_inputs(p, graph, node, inputs);
  reader *self = &p->nodes[p->count++];
  const reader *twin = &p->nodes[self->twin];
  if (twin != self && !node->borrows_state && twin->node->state != NULL) {
    borrow(graph, node);
  }
  weft_op op = {.cx = cx,
                .def = node->def,
                .node = node,
                .input_count = node->input_count,
                .inputs = inputs,
                .scratch = &p->state->scratch,
                .strings = p->state->strings,
                .random = p->state->random};
  if (node->borrows_state) {
    node->state = twin->node->state;
    self->dropped = twin->dropped;
  } else {
    cx->node = node->name;
    cx->op = node->op_type;
    weft_status status = weft_op_call(&op, node->def->prepare);
    weft_scratch_reset(cx, &p->state->scratch);
    WEFT_TRY(status);
    self->dropped = op.dropped;
  }
  for (int i = 0; i < node->input_count; i++) {
    weft_value *constant = inputs[i];
    if ((self->dropped >> (unsigned)i & 1u) == 0 || constant == NULL) {
      continue;
    }
    constant->dropped += !node->borrows_state;
    if (constant->dropped == weft_op_readers(&op, i) && constant->storage == WEFT_STORAGE_OWNED) {
      weft_value_clear(constant);
    }
  }
  return WEFT_OK;
}

weft_status weft_prepare(weft_run_state *state, weft_graph *graph) {
  preparation p = {.state = state};
  void *block;
  WEFT_TRY(each_node(graph, count_node, &p));
  WEFT_TRY(weft_alloc_zeroed(state->cx, p.count, sizeof *p.nodes, &block));
  p.nodes = block;
  p.count = 0;
  weft_status status = weft_value_new(state->cx, WEFT_KIND_TENSOR, &p.unknown);
  if (status == WEFT_OK) {
    each_node(graph, hold_constants, NULL);
    each_node(graph, find_twin, &p);
    p.count = 0;
    status = each_node(graph, prepare_node, &p);
    each_node(graph, release_constants, NULL);
    weft_scratch_free(&state->scratch); /* runs need less, as a rule */
  }
  weft_value_release(p.unknown);
  weft_free(p.nodes);
  return status;
}

static weft_status destroy_plans(void *arg, weft_graph *graph, weft_node *node) {
  (void)arg;
  if (node == NULL) {
    weft_plans_destroy(graph);
  }
  return WEFT_OK;
}

void weft_graph_destroy_plans(weft_graph *graph) {
  (void)each_node(graph, destroy_plans, NULL);
}
