/* Identity, Reshape, Flatten, Squeeze, Unsqueeze: the same elements under another shape. When the executor can let the
 * output share the input's memory, run is not called; otherwise it copies. Identity also passes sequences, maps and
 * optionals on. */
#include "op.h"

#include <string.h>

weft_status weft_view_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  if (out != NULL && out->data != in->data) {
    memcpy(out->data, in->data, in->count * weft_type_size(in->type));
  }
  return WEFT_OK;
}

weft_status weft_identity_infer(weft_op *op) {
  if (op->input_count == 1 && op->inputs[0] != NULL && op->inputs[0]->kind != WEFT_KIND_TENSOR) {
    return WEFT_DEFERRED;
  }
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

weft_status weft_identity_run(weft_op *op) {
  if (op->inputs[0]->kind != WEFT_KIND_TENSOR) {
    weft_value_retain(op->inputs[0]);
    return weft_op_put(op, 0, op->inputs[0]);
  }
  return weft_view_run(op);
}

/* Fills the dimension asked for with -1. Dimensions copied from the input stand on both sides and are left out, so that
 * a shape with a copied 0 still has one answer. */
static weft_status infer_rest(weft_op *op, const weft_tensor *in, const bool *copied, int rest, weft_shape *shape) {
  size_t have = 1, placed = 1;
  for (int d = 0; d < in->shape.rank; d++) {
    if (d >= shape->rank || !copied[d]) {
      have *= (size_t)in->shape.dims[d];
    }
  }
  for (int d = 0; d < shape->rank; d++) {
    if (d != rest && !copied[d] && !weft_mul(placed, (size_t)shape->dims[d], &placed)) {
      return weft_op_fail(op, "the dims of the new shape overflow");
    }
  }
  if (placed == 0 && have == 0) {
    shape->dims[rest] = 0;
    return WEFT_OK;
  }
  if (placed == 0 || have % placed != 0) {
    char text[96];
    return weft_op_fail(
        op, "input data of shape %s does not divide into the requested shape: -1 stands for %zu elements cut into %zu",
        weft_shape_print(&in->shape, text, sizeof text), have, placed);
  }
  shape->dims[rest] = (int64_t)(have / placed);
  return WEFT_OK;
}

weft_status weft_reshape_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 1, "shape", WEFT_TYPE_BIT(WEFT_INT64)));
  const weft_tensor *in = weft_op_in(op, 0);
  bool allow_zero = weft_op_attr_int(op, "allowzero", 0) != 0, copied[WEFT_MAX_RANK] = {false};
  weft_shape shape;
  size_t rank, count;
  int rest = -1;
  WEFT_TRY(weft_op_ints(op, 1, "shape", WEFT_MAX_RANK, shape.dims, &rank));
  shape.rank = (int)rank;
  for (int d = 0; d < shape.rank; d++) {
    if (shape.dims[d] < -1 || (shape.dims[d] == -1 && rest >= 0)) {
      return weft_op_fail(op, "input shape: dim %d is %lld; expected dims >= 0 and at most one -1", d,
                          (long long)shape.dims[d]);
    }
    if (shape.dims[d] == -1) {
      rest = d;
    } else if (shape.dims[d] == 0 && !allow_zero) {
      if (d >= in->shape.rank) {
        return weft_op_fail(op, "input shape: dim %d is 0, but input data has rank %d", d, in->shape.rank);
      }
      shape.dims[d] = in->shape.dims[d];
      copied[d] = true;
    }
  }
  if (rest >= 0) {
    WEFT_TRY(infer_rest(op, in, copied, rest, &shape));
  }
  if (!weft_shape_count(&shape, in->type, &count) || count != in->count) {
    char a[96], b[96];
    return weft_op_fail(op, "input data of shape %s has %zu elements and does not fit shape %s",
                        weft_shape_print(&in->shape, a, sizeof a), in->count, weft_shape_print(&shape, b, sizeof b));
  }
  return weft_op_set(op, 0, in->type, &shape);
}

weft_status weft_flatten_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  const weft_tensor *in = weft_op_in(op, 0);
  int64_t axis = weft_op_attr_int(op, "axis", 1);
  int rank = in->shape.rank;
  if (axis < -rank || axis > rank) {
    return weft_op_fail(op, "axis: expected a value in [%d, %d], found %lld", -rank, rank, (long long)axis);
  }
  int cut = (int)(axis < 0 ? axis + rank : axis);
  weft_shape shape = {
      2, {(int64_t)weft_shape_product(&in->shape, 0, cut), (int64_t)weft_shape_product(&in->shape, cut, rank)}};
  return weft_op_set(op, 0, in->type, &shape);
}

weft_status weft_squeeze_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 2));
  const weft_tensor *in = weft_op_in(op, 0);
  int64_t axes[WEFT_MAX_RANK];
  bool drop[WEFT_MAX_RANK];
  size_t count;
  WEFT_TRY(weft_op_ints(op, 1, "axes", WEFT_MAX_RANK, axes, &count));
  WEFT_TRY(weft_op_axes(op, "axes", count, axes, in->shape.rank, drop));
  weft_shape shape = {0, {0}};
  for (int d = 0; d < in->shape.rank; d++) {
    bool one = in->shape.dims[d] == 1;
    if (drop[d] && !one) {
      return weft_op_fail(op, "axes: dim %d to be squeezed is %lld, expected 1", d, (long long)in->shape.dims[d]);
    }
    if (weft_op_has(op, 1) ? !drop[d] : !one) {
      shape.dims[shape.rank++] = in->shape.dims[d];
    }
  }
  return weft_op_set(op, 0, in->type, &shape);
}

weft_status weft_unsqueeze_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  const weft_tensor *in = weft_op_in(op, 0);
  int64_t axes[WEFT_MAX_RANK];
  bool added[WEFT_MAX_RANK];
  size_t count;
  WEFT_TRY(weft_op_ints(op, 1, "axes", WEFT_MAX_RANK, axes, &count));
  weft_shape shape = {in->shape.rank + (int)count, {0}};
  if (shape.rank > WEFT_MAX_RANK) {
    return weft_op_unsupported(op, "output of rank %d, at most %d dims are supported", shape.rank, WEFT_MAX_RANK);
  }
  WEFT_TRY(weft_op_axes(op, "axes", count, axes, shape.rank, added));
  for (int d = 0, from = 0; d < shape.rank; d++) {
    shape.dims[d] = added[d] ? 1 : in->shape.dims[from++];
  }
  return weft_op_set(op, 0, in->type, &shape);
}
