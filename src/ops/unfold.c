/* com.microsoft UnfoldTensor: all slices of a size along one axis, laid out along a new last axis. */
#include "op.h"

#include <string.h>

weft_status weft_unfold_infer(weft_op *op) {
  int axis = 0;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  const weft_tensor *x = weft_op_in(op, 0);
  int64_t size = weft_op_attr_int(op, "size", 0), step = weft_op_attr_int(op, "step", 1);
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 1, WEFT_MAX_RANK - 1));
  WEFT_TRY(weft_op_axis(op, "dim", weft_op_attr_int(op, "dim", -1), x->shape.rank, &axis));
  if (size < 1 || step < 1 || size > x->shape.dims[axis]) {
    return weft_op_fail(op, "slices of %lld every %lld do not fit a dimension of %lld", (long long)size,
                        (long long)step, (long long)x->shape.dims[axis]);
  }
  weft_shape out = x->shape;
  out.dims[axis] = (out.dims[axis] - size) / step + 1;
  out.dims[out.rank++] = size;
  return weft_op_set(op, 0, x->type, &out);
}

weft_status weft_unfold_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  int axis = 0;
  WEFT_TRY(weft_op_axis(op, "dim", weft_op_attr_int(op, "dim", -1), x->shape.rank, &axis));
  size_t size = (size_t)weft_op_attr_int(op, "size", 0), step = (size_t)weft_op_attr_int(op, "step", 1);
  size_t inner = weft_shape_product(&x->shape, axis + 1, x->shape.rank), along = (size_t)x->shape.dims[axis];
  size_t slices = (size_t)y->shape.dims[axis], bytes = weft_type_size(x->type);
  for (size_t i = 0; i < y->count; i++) {
    size_t place = i % size, column = i / size % inner, slice = i / size / inner % slices;
    size_t outer = i / size / inner / slices, from = (outer * along + slice * step + place) * inner + column;
    memcpy((char *)y->data + i * bytes, (const char *)x->data + from * bytes, bytes);
  }
  return WEFT_OK;
}
