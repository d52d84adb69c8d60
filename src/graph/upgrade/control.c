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

/* A new node of `graph` and its one output. */
static weft_status add(weft_upgrade *u, weft_graph *graph, const char *op_type, int inputs, const int32_t *values,
                       weft_node **made, int32_t *out) {
  WEFT_TRY(weft_graph_add_value(u->model, graph, "", out));
  WEFT_TRY(weft_graph_add_node(u->model, graph, u->node->name, "", op_type, inputs, 1, made));
  memcpy((*made)->inputs, values, (size_t)inputs * sizeof *values);
  (*made)->outputs[0] = *out;
  (*made)->version = WEFT_UPGRADE_ALWAYS;
  return WEFT_OK;
}

/* Where the lengths of sequences are given: one element's length, and constants, as vectors. */
typedef struct span {
  int32_t length, zero;
} span;

static weft_status make_span(weft_upgrade *u, weft_graph *middle, int32_t length, span *out) {
  weft_upgrade inner = *u;
  weft_node *node;
  inner.graph = middle;
  WEFT_TRY(weft_upgrade_ints(&inner, 1, 1, (int64_t[]){0}, &out->zero));
  return add(u, middle, "Unsqueeze", 2, (int32_t[]){length, out->zero}, &node, &out->length);
}

/* What is scanned ends at the length, */
static weft_status shorten(weft_upgrade *u, weft_graph *middle, const span *s, int32_t *value) {
  weft_node *node;
  return add(u, middle, "Slice", 4, (int32_t[]){*value, s->zero, s->length, s->zero}, &node, value);
}

/* and what is stacked is filled up with zeros to the length of `whole`. */
static weft_status fill_up(weft_upgrade *u, weft_graph *middle, const span *s, int32_t whole, int32_t part,
                           int32_t out) {
  weft_node *node;
  int32_t size, missing, pads, filled;
  WEFT_TRY(add(u, middle, "Shape", 1, &whole, &node, &size));
  WEFT_TRY(weft_node_set_int(u->model, node, "end", 1));
  WEFT_TRY(add(u, middle, "Sub", 2, (int32_t[]){size, s->length}, &node, &missing));
  WEFT_TRY(add(u, middle, "Concat", 2, (int32_t[]){s->zero, missing}, &node, &pads));
  WEFT_TRY(weft_node_set_int(u->model, node, "axis", 0));
  WEFT_TRY(add(u, middle, "Pad", 4, (int32_t[]){part, pads, -1, s->zero}, &node, &filled));
  node->outputs[0] = out;
  return WEFT_OK;
}

/* The old Scan of one element of the batch; its body and directions move there. */
static weft_status move_scan(weft_upgrade *u, weft_graph *middle, int inputs, const int32_t *in, int outputs,
                             const int32_t *out) {
  weft_node *scan;
  const weft_attribute *body = weft_node_attribute(u->node, "body");
  const weft_attribute *directions = weft_node_attribute(u->node, "directions");
  weft_attribute *moved;
  WEFT_TRY(weft_graph_add_node(u->model, middle, u->node->name, "", "Scan", inputs, outputs, &scan));
  memcpy(scan->inputs, in, (size_t)inputs * sizeof *in);
  memcpy(scan->outputs, out, (size_t)outputs * sizeof *out);
  scan->version = WEFT_UPGRADE_ALWAYS;
  WEFT_TRY(weft_node_set_int(u->model, scan, "num_scan_inputs", weft_upgrade_int(u, "num_scan_inputs", 1)));
  if (directions != NULL && directions->kind == WEFT_ATTRIBUTE_INTS) {
    WEFT_TRY(weft_node_set_ints(u->model, scan, "scan_input_directions", directions->count, directions->ints));
  }
  WEFT_TRY(weft_node_add_attribute(u->model, scan, "body", &moved));
  moved->kind = WEFT_ATTRIBUTE_GRAPH;
  moved->graph = body->graph;
  return WEFT_OK;
}

/* A graph that scans one element of the batch: its inputs and outputs are the node's, the length first if there is one.
 */
static weft_status wrap_body(weft_upgrade *u, bool has_length, weft_graph **out) {
  int inputs = u->node->input_count - !has_length, outputs = u->node->output_count, skipped = has_length;
  int64_t scanned = weft_upgrade_int(u, "num_scan_inputs", 1), carried;
  weft_graph *middle = NULL;
  int32_t *in, *made;
  span s;
  if (outputs < 1 || scanned < 1 || scanned > inputs - skipped || (carried = inputs - skipped - scanned) > outputs) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL,
                     "num_scan_inputs: %lld does not go with %d inputs and %d outputs", (long long)scanned,
                     inputs - skipped, outputs);
  }
  WEFT_TRY(weft_graph_create(u->model, u->graph, "batch", &middle));
  *out = middle;
  middle->input_count = (size_t)inputs;
  middle->output_count = (size_t)outputs;
  WEFT_TRY(new_list(u, middle, middle->input_count, &middle->inputs));
  WEFT_TRY(new_list(u, middle, middle->output_count, &middle->outputs));
  for (size_t i = 0; i < middle->input_count; i++) {
    middle->values[middle->inputs[i]].is_input = true;
  }
  WEFT_TRY(capture_through(u, middle, weft_node_attribute(u->node, "body")->graph));
  WEFT_TRY(new_list(u, middle, middle->input_count, &in));
  WEFT_TRY(new_list(u, middle, middle->output_count, &made));
  memcpy(in, middle->inputs + skipped, (size_t)(inputs - skipped) * sizeof *in);
  memcpy(made, middle->outputs, (size_t)(has_length ? carried : outputs) * sizeof *made);
  if (has_length) {
    WEFT_TRY(make_span(u, middle, middle->inputs[0], &s));
  }
  for (int64_t i = carried; has_length && i < inputs - skipped; i++) {
    WEFT_TRY(shorten(u, middle, &s, &in[i]));
  }
  WEFT_TRY(move_scan(u, middle, inputs - skipped, in, outputs, made));
  for (int64_t i = carried; has_length && i < outputs; i++) {
    WEFT_TRY(fill_up(u, middle, &s, middle->inputs[inputs - 1], made[i], middle->outputs[i]));
  }
  weft_graph_number_producers(middle);
  return WEFT_OK;
}

/* Version 8 had a batch axis in front of everything and an optional input with the lengths. Now a Scan over the batch
 * runs the old one: all of its inputs are scanned, all outputs stacked. */
static weft_status scan_9(weft_upgrade *u) {
  weft_node *node = u->node;
  weft_graph *middle = NULL;
  weft_attribute *body = (weft_attribute *)weft_node_attribute(node, "body");
  bool has_length = weft_upgrade_input(u, 0) >= 0;
  if (node->input_count < 2 || body == NULL || body->kind != WEFT_ATTRIBUTE_GRAPH) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "expected a body and something to scan");
  }
  WEFT_TRY(wrap_body(u, has_length, &middle));
  if (!has_length) {
    node->input_count--;
    memmove(node->inputs, node->inputs + 1, (size_t)node->input_count * sizeof *node->inputs);
  }
  body->graph = middle;
  weft_node_remove_attribute(node, "directions");
  return weft_node_set_int(u->model, node, "num_scan_inputs", node->input_count);
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
