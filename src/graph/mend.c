/* Sizes that do not go together, operator by operator: which of them is given, and which has to follow. */
#include "mend.h"

#include <string.h>

#include "../ops/op.h"

enum { FIXED_NODES = 32 };

/* Whether the shape of v is the same in every run because nothing given to the graph goes into it, as far as `left` nodes
 * tell. */
static bool comes_from_constants(const weft_graph *graph, int32_t v, int *left) {
  if (v < 0 || weft_graph_constant(graph, v) != NULL) {
    return true;
  }
  const weft_slot *slot = &graph->values[v];
  const weft_node *node = slot->producer >= 0 ? &graph->nodes[slot->producer] : NULL;
  if (node == NULL || (*left)-- == 0 || (node->def->flags & (WEFT_OP_NOT_PURE | WEFT_OP_SUBGRAPH)) != 0) {
    return false;
  }
  for (int i = 0; i < node->input_count; i++) {
    if (!comes_from_constants(graph, node->inputs[i], left)) {
      return false;
    }
  }
  return true;
}

static bool is_fixed(const weft_graph *graph, int32_t v) {
  int left = FIXED_NODES;
  return comes_from_constants(graph, v, &left);
}

/* The input has another shape. */
static weft_status set_shape(weft_context *cx, weft_value **input, const weft_shape *shape) {
  weft_value *made;
  WEFT_TRY(weft_value_new(cx, WEFT_KIND_TENSOR, &made));
  made->tensor.type = (*input)->tensor.type;
  made->tensor.shape = *shape;
  if (!weft_shape_count(shape, made->tensor.type, &made->tensor.count)) {
    weft_value_release(made);
    return WEFT_DEFERRED;
  }
  weft_value_release(*input);
  *input = made;
  return WEFT_OK;
}

/* Another size along an axis, counted from the last. */
static weft_status set_dim(weft_context *cx, weft_value **input, int from_last, int64_t dim) {
  weft_shape shape = (*input)->tensor.shape;
  shape.dims[shape.rank - from_last] = dim;
  return set_shape(cx, input, &shape);
}

static weft_status mend_broadcast(weft_context *cx, const weft_graph *graph, const weft_node *node,
                                  weft_value **inputs) {
  for (int axis = 1; axis <= WEFT_MAX_RANK; axis++) {
    int64_t wanted = 1;
    for (int i = 0; i < node->input_count; i++) {
      const weft_shape *shape = &inputs[i]->tensor.shape;
      if (axis <= shape->rank && shape->dims[shape->rank - axis] != 1 && is_fixed(graph, node->inputs[i])) {
        wanted = shape->dims[shape->rank - axis];
      }
    }
    for (int i = 0; i < node->input_count && wanted != 1; i++) {
      const weft_shape *shape = &inputs[i]->tensor.shape;
      if (axis <= shape->rank && shape->dims[shape->rank - axis] != 1) {
        WEFT_TRY(set_dim(cx, &inputs[i], axis, wanted));
      }
    }
  }
  return WEFT_OK;
}

static weft_status mend_conv(weft_context *cx, const weft_graph *graph, const weft_node *node, weft_value **inputs) {
  const weft_shape *x = &inputs[0]->tensor.shape, *w = &inputs[1]->tensor.shape;
  const int64_t groups = weft_node_int(node, "group", 1);
  bool fits = x->rank > 2 && x->rank == w->rank && w->dims[1] < INT32_MAX && groups > 0 && groups < INT32_MAX &&
              is_fixed(graph, node->inputs[1]);
  return fits ? set_dim(cx, &inputs[0], x->rank - 1, w->dims[1] * groups) : WEFT_DEFERRED;
}

/* Rows of the second matrix, or elements of a vector, are as many as columns of the first. */
static weft_status mend_matmul(weft_context *cx, weft_value **inputs) {
  const weft_shape *a = &inputs[0]->tensor.shape, *b = &inputs[1]->tensor.shape;
  if (a->rank == 0 || b->rank == 0) {
    return WEFT_DEFERRED;
  }
  return set_dim(cx, &inputs[0], 1, b->dims[b->rank == 1 ? 0 : b->rank - 2]);
}

/* There are as many values as keys. */
static weft_status mend_attention(weft_context *cx, weft_value **inputs) {
  const weft_shape *k = &inputs[1]->tensor.shape, *v = &inputs[2]->tensor.shape;
  return k->rank >= 3 && v->rank >= 3 ? set_dim(cx, &inputs[2], 2, k->dims[k->rank - 2]) : WEFT_DEFERRED;
}

/* The dimension of -1 has as many elements as there are for it, although some are left over. */
static weft_status mend_reshape(weft_context *cx, weft_value **inputs) {
  const weft_tensor *x = &inputs[0]->tensor, *wanted = &inputs[1]->tensor;
  if (wanted->data == NULL || wanted->type != WEFT_INT64 || wanted->count > WEFT_MAX_RANK) {
    return WEFT_DEFERRED;
  }
  weft_shape shape = {.rank = (int)wanted->count};
  int free = -1;
  size_t others = 1;
  for (int d = 0; d < shape.rank; d++) {
    shape.dims[d] = ((const int64_t *)wanted->data)[d];
    if (shape.dims[d] == -1) {
      free = d;
    } else if (shape.dims[d] <= 0 || shape.dims[d] > INT32_MAX || !weft_mul(others, (size_t)shape.dims[d], &others)) {
      return WEFT_DEFERRED;
    }
  }
  if (free >= 0) {
    shape.dims[free] = (int64_t)(x->count / others);
  }
  return free < 0 || shape.dims[free] > 0 ? set_shape(cx, &inputs[0], &shape) : WEFT_DEFERRED;
}

weft_status weft_node_mend(weft_context *cx, const weft_graph *graph, const weft_node *node, weft_value **inputs) {
  static const char *const broadcasting[] = {"Add", "Sub", "Mul", "Div", "Where"};
  if (node->def->domain[0] != 0 || node->input_count < 2) {
    return WEFT_DEFERRED;
  }
  for (int i = 0; i < node->input_count; i++) {
    if ((inputs[i] == NULL && i < 3) || (inputs[i] != NULL && inputs[i]->kind != WEFT_KIND_TENSOR)) {
      return WEFT_DEFERRED;
    }
  }
  weft_status status = strcmp(node->op_type, "Conv") == 0      ? mend_conv(cx, graph, node, inputs)
                       : strcmp(node->op_type, "Reshape") == 0 ? mend_reshape(cx, inputs)
                       : strcmp(node->op_type, "MatMul") == 0  ? mend_matmul(cx, inputs)
                       : strcmp(node->op_type, "Attention") == 0 && node->input_count > 2 ? mend_attention(cx, inputs)
                                                                                          : WEFT_DEFERRED;
  for (size_t i = 0; i < sizeof broadcasting / sizeof *broadcasting && node->input_count <= 3; i++) {
    status = strcmp(node->op_type, broadcasting[i]) == 0 ? mend_broadcast(cx, graph, node, inputs) : status;
  }
  return status;
}
