/* Small questions that patterns ask of a graph. */
#include "match.h"

#include <math.h>
#include <string.h>

const weft_tensor *weft_match_constant(const weft_graph *graph, int32_t v, weft_type type) {
  const weft_value *value = weft_graph_constant(graph, v);
  bool fits =
      value != NULL && value->kind == WEFT_KIND_TENSOR && value->tensor.data != NULL && value->tensor.type == type;
  return fits ? &value->tensor : NULL;
}

bool weft_match_scalar(const weft_graph *graph, int32_t v, float *out) {
  const weft_tensor *t = weft_match_constant(graph, v, WEFT_FLOAT);
  if (t == NULL || t->count != 1) {
    return false;
  }
  *out = ((const float *)t->data)[0];
  return true;
}

bool weft_match_near(const weft_graph *graph, int32_t v, double expected) {
  float x;
  if (!weft_match_scalar(graph, v, &x)) {
    return false;
  }
  /* The graph may have been one of 16-bit floats. */
  return fabs((double)x - expected) <= 1e-5 * fabs(expected) ||
         x == weft_float16_to_float(weft_float_to_float16((float)expected));
}

weft_node *weft_match_producer(const weft_graph *graph, int32_t v, const char *op_type) {
  int32_t n = v >= 0 ? graph->values[v].producer : -1;
  weft_node *node = n >= 0 ? &graph->nodes[n] : NULL;
  return node != NULL && weft_node_is(node, op_type) && weft_node_out(node, 0) == v ? node : NULL;
}

weft_node *weft_match_reader(const weft_graph *graph, const weft_uses *uses, int32_t v, const char *op_type) {
  if (v < 0 || uses->count[v] != 1 || uses->is_output[v] || uses->reader[v] < 0) {
    return NULL;
  }
  weft_node *node = &graph->nodes[uses->reader[v]];
  return weft_node_is(node, op_type) ? node : NULL;
}

weft_node *weft_match_quantizer(const weft_graph *graph, const weft_uses *uses, int32_t v) {
  weft_node *node = weft_match_reader(graph, uses, v, "QuantizeLinear");
  float scale;
  if (node == NULL || node->inputs[0] != v || weft_node_in(node, 2) < 0 ||
      !weft_match_scalar(graph, weft_node_in(node, 1), &scale) || !(scale > 0) || !isfinite(scale)) {
    return NULL;
  }
  weft_type type = weft_match_type(graph, node->inputs[2]);
  bool is_byte = type == WEFT_INT8 || type == WEFT_UINT8;
  const weft_tensor *zero = is_byte ? weft_match_constant(graph, node->inputs[2], type) : NULL;
  return zero != NULL && zero->count == 1 ? node : NULL;
}

int32_t weft_match_other(const weft_node *node, int32_t v) {
  if (node->input_count != 2) {
    return -1;
  }
  return node->inputs[0] == v ? node->inputs[1] : node->inputs[1] == v ? node->inputs[0] : -1;
}

weft_type weft_match_type(const weft_graph *graph, int32_t v) {
  const weft_info *info = &graph->values[v].info;
  return info->kind == WEFT_KIND_TENSOR ? info->type : WEFT_UNDEFINED;
}

bool weft_info_same_shape(const weft_info *x, const weft_info *y) {
  if (x->kind != WEFT_KIND_TENSOR || y->kind != WEFT_KIND_TENSOR || x->type != y->type || x->rank < 0 ||
      x->rank != y->rank) {
    return false;
  }
  for (int d = 0; d < x->rank; d++) {
    bool symbols = x->dims[d] < 0 && y->dims[d] < 0 && x->symbols[d] != NULL && x->symbols[d] == y->symbols[d];
    if (!symbols && (x->dims[d] < 0 || x->dims[d] != y->dims[d])) {
      return false;
    }
  }
  return true;
}

bool weft_match_same_shape(const weft_graph *graph, int32_t a, int32_t b) {
  return weft_info_same_shape(&graph->values[a].info, &graph->values[b].info);
}

bool weft_match_per_channel(const weft_tensor *t, size_t channels, int rank, int axis) {
  if (t->count == 1) {
    return t->shape.rank <= rank;
  }
  int before = rank - t->shape.rank; /* axes that broadcasting adds in front */
  if (before < 0 || axis < before || t->count != channels) {
    return false;
  }
  return t->shape.dims[axis - before] == (int64_t)channels;
}

weft_status weft_match_become(weft_pass *pass, weft_node *node, const char *domain, const char *op_type, int inputs,
                              const int32_t *values) {
  weft_context *cx = pass->model->cx;
  for (int i = 1; i < node->output_count; i++) {
    if (node->outputs[i] >= 0) { /* what becomes another node has one output */
      cx->node = node->name;
      cx->op = node->op_type;
      return weft_fail(cx, WEFT_INVALID_MODEL, "the operator gives no output %d", i);
    }
  }
  const weft_op_def *def = weft_op_find(domain, op_type);
  if (def == NULL) {
    return weft_fail(cx, WEFT_INTERNAL, "a pass made a node of the missing operator %s", op_type);
  }
  weft_node_discard(node);
  node->domain = def->domain;
  node->op_type = def->name;
  node->version = def->version;
  node->def = def;
  WEFT_TRY(weft_node_resize(pass->model, node, inputs, 1));
  memcpy(node->inputs, values, (size_t)inputs * sizeof *values);
  return WEFT_OK;
}
