/* The helpers that build and rewrite graphs. Arrays grow by doubling inside the model's arena, which is freed as a
 * whole; only tensors have memory of their own, so whoever drops a node releases what it holds (weft_node_discard). */
#include "edit.h"

#include <string.h>

#include "../ops/custom.h"

const weft_attribute *weft_node_attribute(const weft_node *node, const char *name) {
  for (size_t i = 0; i < node->attribute_count; i++) {
    if (strcmp(node->attributes[i].name, name) == 0) {
      return &node->attributes[i];
    }
  }
  return NULL;
}

weft_status weft_attribute_refuse(weft_context *cx, const weft_attribute *attribute) {
  static const char *const kinds[] = {"a float",  "an integer", "a string", "a tensor", "a graph", "floats",
                                      "integers", "strings",    "tensors",  "graphs",   "a type"};
  return weft_fail(cx, WEFT_INVALID_MODEL, "attribute '%s' is %s, which is not what its operator takes",
                   attribute->name, kinds[attribute->kind]);
}

int64_t weft_node_int(const weft_node *node, const char *name, int64_t fallback) {
  const weft_attribute *attribute = weft_node_attribute(node, name);
  return attribute != NULL && attribute->kind == WEFT_ATTRIBUTE_INT ? attribute->i : fallback;
}

float weft_node_float(const weft_node *node, const char *name, float fallback) {
  const weft_attribute *attribute = weft_node_attribute(node, name);
  return attribute != NULL && attribute->kind == WEFT_ATTRIBUTE_FLOAT ? attribute->f : fallback;
}

weft_graph *weft_subgraphs_next(weft_subgraphs *at) {
  for (; at->attribute < at->node->attribute_count; at->attribute++) {
    const weft_attribute *attribute = &at->node->attributes[at->attribute];
    const bool one = attribute->kind == WEFT_ATTRIBUTE_GRAPH;
    if ((one || attribute->kind == WEFT_ATTRIBUTE_GRAPHS) && at->index < attribute->count) {
      return one ? at->index++, attribute->graph : attribute->graphs[at->index++];
    }
    at->index = 0;
  }
  return NULL;
}

void weft_node_visit_uses(const weft_node *node, void (*visit)(void *arg, int32_t value), void *arg) {
  for (int i = 0; i < node->input_count; i++) {
    if (node->inputs[i] >= 0) {
      visit(arg, node->inputs[i]);
    }
  }
  weft_subgraphs at = {.node = node};
  for (const weft_graph *inner; (inner = weft_subgraphs_next(&at)) != NULL;) {
    for (size_t v = 0; v < inner->value_count; v++) {
      if (inner->values[v].outer >= 0) {
        visit(arg, inner->values[v].outer);
      }
    }
  }
}

weft_value *weft_graph_constant(const weft_graph *graph, int32_t v) {
  if (v < 0) {
    return NULL;
  }
  while (graph->values[v].outer >= 0 && graph->parent != NULL) {
    v = graph->values[v].outer;
    graph = graph->parent;
  }
  return graph->values[v].is_input ? NULL : graph->values[v].constant;
}

weft_status weft_arena_grow(weft_context *cx, weft_arena *arena, void **items, size_t *capacity, size_t need,
                            size_t item_size) {
  if (need <= *capacity) {
    return WEFT_OK;
  }
  size_t next;
  if (!weft_mul(*capacity, 2, &next) || next < need) {
    next = need;
  }
  void *block;
  WEFT_TRY(weft_arena_alloc(cx, arena, next, item_size, &block));
  if (*capacity != 0) {
    memcpy(block, *items, *capacity * item_size);
  }
  *items = block;
  *capacity = next;
  return WEFT_OK;
}

weft_status weft_graph_create(weft_model *model, weft_graph *parent, const char *name, weft_graph **out) {
  void *block;
  *out = NULL;
  WEFT_TRY(weft_arena_alloc(model->cx, &model->arena, 1, sizeof(weft_graph), &block));
  *out = block;
  (*out)->name = name;
  (*out)->parent = parent;
  return WEFT_OK;
}

weft_status weft_graph_reserve(weft_model *model, weft_graph *graph, size_t values, size_t nodes) {
  void *items = graph->values;
  WEFT_TRY(weft_arena_grow(model->cx, &model->arena, &items, &graph->value_capacity, values, sizeof *graph->values));
  graph->values = items;
  items = graph->nodes;
  WEFT_TRY(weft_arena_grow(model->cx, &model->arena, &items, &graph->node_capacity, nodes, sizeof *graph->nodes));
  graph->nodes = items;
  return WEFT_OK;
}

weft_status weft_graph_add_value(weft_model *model, weft_graph *graph, const char *name, int32_t *out) {
  *out = -1;
  if (graph->value_count >= INT32_MAX) {
    return weft_fail(model->cx, WEFT_LIMIT_EXCEEDED, "graph '%s' has more than %d values", graph->name, INT32_MAX);
  }
  WEFT_TRY(weft_graph_reserve(model, graph, graph->value_count + 1, 0));
  *out = (int32_t)graph->value_count++;
  weft_slot *slot = &graph->values[*out];
  *slot = (weft_slot){.name = name, .info = {.name = name, .rank = -1}, .producer = -1, .outer = -1};
  return WEFT_OK;
}

static void describe_constant(weft_slot *slot) {
  const weft_value *value = slot->constant;
  slot->info.kind = value->kind;
  slot->info.type = value->tensor.type;
  slot->info.rank = value->kind == WEFT_KIND_TENSOR ? value->tensor.shape.rank : -1;
  for (int d = 0; d < slot->info.rank; d++) {
    slot->info.dims[d] = value->tensor.shape.dims[d];
    slot->info.symbols[d] = NULL;
  }
}

void weft_slot_set_constant(weft_slot *slot, weft_value *value) {
  slot->constant = value;
  slot->producer = -1;
  describe_constant(slot);
}

weft_status weft_graph_add_constant(weft_model *model, weft_graph *graph, const char *name, weft_value *value,
                                    int32_t *out) {
  weft_status status = weft_graph_add_value(model, graph, name, out);
  if (status != WEFT_OK) {
    weft_value_release(value);
    return status;
  }
  weft_slot_set_constant(&graph->values[*out], value);
  return WEFT_OK;
}

weft_status weft_graph_add_numbers(weft_model *model, weft_graph *graph, weft_type type, int rank, size_t count,
                                   const void *numbers, int32_t *out) {
  weft_value *value;
  const weft_shape shape = {.rank = rank, .dims = {(int64_t)count}};
  WEFT_TRY(weft_value_new_tensor(model->cx, type, &shape, &value));
  if (count > 0) {
    memcpy(value->tensor.data, numbers, count * weft_type_size(type));
  }
  return weft_graph_add_constant(model, graph, "", value, out);
}

weft_status weft_graph_add_node(weft_model *model, weft_graph *graph, const char *name, const char *domain,
                                const char *op_type, int inputs, int outputs, weft_node **out) {
  *out = NULL;
  WEFT_TRY(weft_graph_reserve(model, graph, 0, graph->node_count + 1));
  weft_node node = {.name = name, .domain = domain, .op_type = op_type, .overload = ""};
  WEFT_TRY(weft_node_resize(model, &node, inputs, outputs));
  graph->nodes[graph->node_count] = node;
  *out = &graph->nodes[graph->node_count++];
  return WEFT_OK;
}

static weft_status resize_list(weft_model *model, int32_t **items, int *count, int need) {
  if (need > *count) {
    void *block;
    WEFT_TRY(weft_arena_alloc(model->cx, &model->arena, (size_t)need, sizeof **items, &block));
    int32_t *next = block;
    for (int i = 0; i < need; i++) {
      next[i] = i < *count ? (*items)[i] : -1;
    }
    *items = next;
  }
  *count = need;
  return WEFT_OK;
}

weft_status weft_node_resize(weft_model *model, weft_node *node, int inputs, int outputs) {
  WEFT_TRY(resize_list(model, &node->inputs, &node->input_count, inputs));
  return resize_list(model, &node->outputs, &node->output_count, outputs);
}

weft_status weft_node_set_input(weft_model *model, weft_node *node, int i, int32_t value) {
  WEFT_TRY(weft_node_resize(model, node, i >= node->input_count ? i + 1 : node->input_count, node->output_count));
  node->inputs[i] = value;
  return WEFT_OK;
}

/* ---- attributes ------------------------------------------------------------------------------ */
weft_status weft_node_add_attribute(weft_model *model, weft_node *node, const char *name, weft_attribute **out) {
  weft_node_remove_attribute(node, name);
  void *block;
  *out = NULL;
  WEFT_TRY(weft_arena_alloc(model->cx, &model->arena, node->attribute_count + 1, sizeof(weft_attribute), &block));
  if (node->attribute_count != 0) {
    memcpy(block, node->attributes, node->attribute_count * sizeof(weft_attribute));
  }
  node->attributes = block;
  *out = &node->attributes[node->attribute_count++];
  **out = (weft_attribute){.name = name, .kind = WEFT_ATTRIBUTE_INT, .count = 1};
  return WEFT_OK;
}

weft_status weft_node_set_int(weft_model *model, weft_node *node, const char *name, int64_t value) {
  weft_attribute *attribute;
  WEFT_TRY(weft_node_add_attribute(model, node, name, &attribute));
  attribute->i = value;
  return WEFT_OK;
}

weft_status weft_node_set_float(weft_model *model, weft_node *node, const char *name, float value) {
  weft_attribute *attribute;
  WEFT_TRY(weft_node_add_attribute(model, node, name, &attribute));
  attribute->kind = WEFT_ATTRIBUTE_FLOAT;
  attribute->f = value;
  return WEFT_OK;
}

weft_status weft_node_set_string(weft_model *model, weft_node *node, const char *name, const char *value) {
  weft_attribute *attribute;
  const char *copy;
  size_t size = strlen(value);
  WEFT_TRY(weft_arena_copy_string(model->cx, &model->arena, value, size, &copy));
  WEFT_TRY(weft_node_add_attribute(model, node, name, &attribute));
  attribute->kind = WEFT_ATTRIBUTE_STRING;
  attribute->s = (weft_string){copy, size};
  return WEFT_OK;
}

weft_status weft_node_set_ints(weft_model *model, weft_node *node, const char *name, size_t count,
                               const int64_t *values) {
  weft_attribute *attribute;
  void *block;
  WEFT_TRY(weft_arena_alloc(model->cx, &model->arena, count, sizeof *values, &block));
  if (count != 0) {
    memcpy(block, values, count * sizeof *values);
  }
  WEFT_TRY(weft_node_add_attribute(model, node, name, &attribute));
  attribute->kind = WEFT_ATTRIBUTE_INTS;
  attribute->count = count;
  attribute->ints = block;
  return WEFT_OK;
}

static void discard_graph(weft_graph *graph) {
  for (size_t i = 0; i < graph->value_count; i++) {
    weft_value_release(graph->values[i].constant);
    graph->values[i].constant = NULL;
  }
  for (size_t i = 0; i < graph->node_count; i++) {
    weft_node_discard(&graph->nodes[i]);
  }
  graph->node_count = 0;
}

static void discard_attribute(weft_attribute *attribute) {
  switch (attribute->kind) {
  case WEFT_ATTRIBUTE_TENSOR:
    weft_value_release(attribute->tensor);
    break;
  case WEFT_ATTRIBUTE_TENSORS:
    for (size_t i = 0; i < attribute->count; i++) {
      weft_value_release(attribute->tensors[i]);
    }
    break;
  case WEFT_ATTRIBUTE_GRAPH:
    if (attribute->graph != NULL) {
      discard_graph(attribute->graph);
    }
    break;
  case WEFT_ATTRIBUTE_GRAPHS:
    for (size_t i = 0; i < attribute->count; i++) {
      if (attribute->graphs[i] != NULL) {
        discard_graph(attribute->graphs[i]);
      }
    }
    break;
  default:
    break;
  }
}

void weft_node_remove_attribute(weft_node *node, const char *name) {
  for (size_t i = 0; i < node->attribute_count; i++) {
    if (strcmp(node->attributes[i].name, name) == 0) {
      discard_attribute(&node->attributes[i]);
      memmove(&node->attributes[i], &node->attributes[i + 1],
              (node->attribute_count - i - 1) * sizeof *node->attributes);
      node->attribute_count--;
      return;
    }
  }
}

void weft_node_discard(weft_node *node) {
  for (size_t i = 0; i < node->attribute_count; i++) {
    discard_attribute(&node->attributes[i]);
  }
  node->attribute_count = 0;
  weft_free(node->borrows_state ? NULL : node->state);
  node->state = NULL;
}

void weft_graph_number_producers(weft_graph *graph) {
  for (size_t v = 0; v < graph->value_count; v++) {
    graph->values[v].producer = -1;
  }
  for (size_t n = 0; n < graph->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    for (int i = 0; i < node->output_count; i++) {
      if (node->outputs[i] >= 0) {
        graph->values[node->outputs[i]].producer = (int32_t)n;
      }
    }
  }
}

void weft_node_remove(weft_node *node) {
  weft_node_discard(node);
  node->op_type = NULL;
}

void weft_graph_compact(weft_graph *graph) {
  size_t kept = 0;
  for (size_t n = 0; n < graph->node_count; n++) {
    if (graph->nodes[n].op_type != NULL) {
      graph->nodes[kept++] = graph->nodes[n];
    }
  }
  graph->node_count = kept;
  weft_graph_number_producers(graph);
}

void weft_model_destroy(weft_model *model) {
  if (model == NULL) {
    return;
  }
  if (model->graph != NULL) {
    discard_graph(model->graph);
  }
  weft_strings_release(model->strings);
  weft_customs_free(model->customs);
  weft_arena_free(&model->arena);
  weft_free(model);
}
