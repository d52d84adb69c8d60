/* Upgrades of Scan's first form and of ai.onnx.ml's LabelEncoder. */
#include <string.h>

#include "../upgrade.h"

/* The new slot in `middle` that shows value v of its parent. */
static weft_status capture(weft_upgrade *u, weft_graph *middle, int32_t v, int32_t *out) {
  WEFT_TRY(weft_graph_add_value(u->model, middle, "", out));
  middle->values[*out].outer = v;
  return WEFT_OK;
}

/* What `body` captures now goes through `middle`, which lies between it and its old parent. */
static weft_status capture_through(weft_upgrade *u, weft_graph *middle, weft_graph *body) {
  for (size_t v = 0; v < body->value_count; v++) {
    if (body->values[v].outer >= 0) {
      WEFT_TRY(capture(u, middle, body->values[v].outer, &body->values[v].outer));
    }
  }
  body->parent = middle;
  return WEFT_OK;
}

static weft_status new_list(weft_upgrade *u, weft_graph *graph, size_t count, int32_t **out) {
  void *block;
  WEFT_TRY(weft_arena_alloc(u->model->cx, &u->model->arena, count, sizeof(int32_t), &block));
  *out = block;
  for (size_t i = 0; i < count; i++) {
    WEFT_TRY(weft_graph_add_value(u->model, graph, "", &(*out)[i]));
  }
  return WEFT_OK;
}

/* A graph whose one node is the old Scan of one element of the batch: its inputs and outputs are the node's. The body
 * and the directions move to that node. */
static weft_status wrap_body(weft_upgrade *u, int inputs, int outputs, weft_graph **out) {
  weft_node *node = u->node, *scan;
  weft_graph *middle;
  const weft_attribute *body = weft_node_attribute(node, "body"), *directions = weft_node_attribute(node, "directions");
  WEFT_TRY(weft_graph_create(u->model, u->graph, "batch", &middle));
  *out = middle;
  middle->input_count = (size_t)inputs;
  middle->output_count = (size_t)outputs;
  WEFT_TRY(new_list(u, middle, middle->input_count, &middle->inputs));
  WEFT_TRY(new_list(u, middle, middle->output_count, &middle->outputs));
  for (size_t i = 0; i < middle->input_count; i++) {
    middle->values[middle->inputs[i]].is_input = true;
  }
  WEFT_TRY(capture_through(u, middle, body->graph));
  WEFT_TRY(weft_graph_add_node(u->model, middle, node->name, "", "Scan", inputs, outputs, &scan));
  memcpy(scan->inputs, middle->inputs, middle->input_count * sizeof(int32_t));
  memcpy(scan->outputs, middle->outputs, middle->output_count * sizeof(int32_t));
  scan->version = WEFT_UPGRADE_ALWAYS;
  WEFT_TRY(weft_node_set_int(u->model, scan, "num_scan_inputs", weft_upgrade_int(u, "num_scan_inputs", 1)));
  if (directions != NULL && directions->kind == WEFT_ATTRIBUTE_INTS) {
    WEFT_TRY(weft_node_set_ints(u->model, scan, "scan_input_directions", directions->count, directions->ints));
  }
  weft_attribute *moved;
  WEFT_TRY(weft_node_add_attribute(u->model, scan, "body", &moved));
  moved->kind = WEFT_ATTRIBUTE_GRAPH;
  moved->graph = body->graph;
  weft_graph_number_producers(middle);
  return WEFT_OK;
}

/* Version 8 had a batch axis in front of everything and an optional input with the lengths. Now a Scan over the batch
 * runs the old one: all of its inputs are scanned, all outputs stacked. */
static weft_status scan_9(weft_upgrade *u) {
  weft_node *node = u->node;
  weft_graph *middle;
  weft_attribute *body = (weft_attribute *)weft_node_attribute(node, "body");
  if (weft_upgrade_input(u, 0) >= 0) {
    return weft_fail(u->model->cx, WEFT_UNSUPPORTED, "input sequence_lens of Scan version 8");
  }
  if (node->input_count < 2 || body == NULL || body->kind != WEFT_ATTRIBUTE_GRAPH) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "expected a body and something to scan");
  }
  int inputs = node->input_count - 1;
  memmove(node->inputs, node->inputs + 1, (size_t)inputs * sizeof *node->inputs);
  node->input_count = inputs;
  WEFT_TRY(wrap_body(u, inputs, node->output_count, &middle));
  body->graph = middle;
  weft_node_remove_attribute(node, "directions");
  return weft_node_set_int(u->model, node, "num_scan_inputs", inputs);
}

static bool is_of_type(const weft_upgrade *u, int32_t v, weft_type type) {
  return v >= 0 && u->graph->values[v].info.type == type;
}

/* Version 1 had one list: strings became their positions, int64 positions became the strings. */
static weft_status label_encoder_2(weft_upgrade *u) {
  weft_attribute *strings = (weft_attribute *)weft_node_attribute(u->node, "classes_strings");
  void *block;
  if (strings == NULL || strings->kind != WEFT_ATTRIBUTE_STRINGS) {
    return WEFT_OK;
  }
  size_t count = strings->count;
  bool backwards =
      is_of_type(u, weft_upgrade_input(u, 0), WEFT_INT64) || is_of_type(u, weft_upgrade_output(u, 0), WEFT_STRING);
  strings->name = backwards ? "values_strings" : "keys_strings";
  WEFT_TRY(weft_arena_alloc(u->model->cx, &u->model->arena, count, sizeof(int64_t), &block));
  int64_t *numbers = block;
  for (size_t i = 0; i < count; i++) {
    numbers[i] = (int64_t)i;
  }
  return weft_node_set_ints(u->model, u->node, backwards ? "keys_int64s" : "values_int64s", count, numbers);
}

const weft_upgrade_row weft_upgrade_control[] = {
    {"ai.onnx.ml", "LabelEncoder", 2, label_encoder_2},
    {"", "Scan", 9, scan_9},
    {NULL, NULL, 0, NULL},
};
