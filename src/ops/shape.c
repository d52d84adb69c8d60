/* Shape, Size, ConstantOfShape, Expand, Tile: shapes as data, and data spread over a shape. */
#include "op.h"
#include "strided.h"

#include <string.h>

/* The half-open range of dims that Shape reports: start and end count from the back when negative and are clamped. */
static void shape_range(const weft_op *op, int rank, int *begin, int *end) {
  int64_t range[2] = {weft_op_attr_int(op, "start", 0), weft_op_attr_int(op, "end", rank)};
  for (int i = 0; i < 2; i++) {
    range[i] += range[i] < 0 ? rank : 0;
    range[i] = range[i] < 0 ? 0 : range[i] > rank ? rank : range[i];
  }
  *begin = (int)range[0];
  *end = (int)(range[1] < range[0] ? range[0] : range[1]);
}

weft_status weft_shape_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  int begin, end;
  shape_range(op, weft_op_in(op, 0)->shape.rank, &begin, &end);
  weft_shape shape = {1, {end - begin}};
  return weft_op_set(op, 0, WEFT_INT64, &shape);
}

weft_status weft_shape_run(weft_op *op) {
  const weft_shape *shape = &weft_op_in(op, 0)->shape;
  int begin, end;
  shape_range(op, shape->rank, &begin, &end);
  memcpy(weft_op_out(op, 0)->data, shape->dims + begin, (size_t)(end - begin) * sizeof *shape->dims);
  return WEFT_OK;
}

weft_status weft_size_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  weft_shape scalar = {0, {0}};
  return weft_op_set(op, 0, WEFT_INT64, &scalar);
}

weft_status weft_size_run(weft_op *op) {
  const weft_shape *shape = &weft_op_in(op, 0)->shape;
  *(int64_t *)weft_op_out(op, 0)->data = (int64_t)weft_shape_product(shape, 0, shape->rank);
  return WEFT_OK;
}

weft_status weft_constant_of_shape_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPE_BIT(WEFT_INT64)));
  const weft_tensor *value = weft_op_attr_tensor(op, "value");
  if (value != NULL && value->count != 1) {
    return weft_op_fail(op, "value: expected one element, found %zu", value->count);
  }
  weft_shape shape;
  size_t rank;
  WEFT_TRY(weft_op_ints(op, 0, "input", WEFT_MAX_RANK, shape.dims, &rank));
  shape.rank = (int)rank;
  return weft_op_set(op, 0, value == NULL ? WEFT_FLOAT : value->type, &shape);
}

weft_status weft_constant_of_shape_run(weft_op *op) {
  static const float zero = 0;
  const weft_tensor *value = weft_op_attr_tensor(op, "value");
  weft_tensor *out = weft_op_out(op, 0);
  weft_fill_elements(out->data, out->count, value == NULL ? (const void *)&zero : value->data,
                     weft_type_size(out->type));
  return WEFT_OK;
}

weft_status weft_expand_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 1, "shape", WEFT_TYPE_BIT(WEFT_INT64)));
  const weft_tensor *in = weft_op_in(op, 0);
  weft_shape target, shape;
  size_t rank;
  WEFT_TRY(weft_op_ints(op, 1, "shape", WEFT_MAX_RANK, target.dims, &rank));
  target.rank = (int)rank;
  for (int d = 0; d < target.rank; d++) {
    if (target.dims[d] < 0) {
      return weft_op_fail(op, "input shape: dim %d is %lld, expected a value >= 0", d, (long long)target.dims[d]);
    }
  }
  if (!weft_shape_broadcast(&in->shape, &target, &shape)) {
    char a[96], b[96];
    return weft_op_fail(op, "input of shape %s does not broadcast with shape %s",
                        weft_shape_print(&in->shape, a, sizeof a), weft_shape_print(&target, b, sizeof b));
  }
  return weft_op_set(op, 0, in->type, &shape);
}

weft_status weft_expand_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  int64_t from[WEFT_MAX_RANK], to[WEFT_MAX_RANK];
  weft_dense_strides(&in->shape, from);
  weft_dense_strides(&out->shape, to);
  weft_strided block = {.rank = 0};
  int lead = out->shape.rank - in->shape.rank;
  for (int d = 0; d < out->shape.rank; d++) {
    bool walks = d >= lead && in->shape.dims[d - lead] != 1;
    weft_strided_add(&block, out->shape.dims[d], walks ? from[d - lead] : 0, to[d]);
  }
  weft_strided_copy(op->cx, &block, weft_type_size(in->type), in->data, out->data);
  return WEFT_OK;
}

weft_status weft_tile_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  const weft_tensor *in = weft_op_in(op, 0);
  int64_t repeats[WEFT_MAX_RANK];
  size_t count;
  WEFT_TRY(weft_op_ints(op, 1, "repeats", WEFT_MAX_RANK, repeats, &count));
  if ((int)count != in->shape.rank) {
    return weft_op_fail(op, "input repeats: expected %d elements, one for each dim of the input, found %zu",
                        in->shape.rank, count);
  }
  weft_shape shape = in->shape;
  for (int d = 0; d < shape.rank; d++) {
    if (repeats[d] < 0 || (shape.dims[d] > 0 && repeats[d] > INT64_MAX / shape.dims[d])) {
      return weft_op_fail(op, "input repeats: element %d is %lld, which is negative or too large", d,
                          (long long)repeats[d]);
    }
    shape.dims[d] *= repeats[d];
  }
  return weft_op_set(op, 0, in->type, &shape);
}

/* Every dim is cut in two: how often it repeats (standing still in the input), and itself. */
weft_status weft_tile_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  int64_t from[WEFT_MAX_RANK], to[WEFT_MAX_RANK];
  weft_dense_strides(&in->shape, from);
  weft_dense_strides(&out->shape, to);
  if (out->count == 0) {
    return WEFT_OK;
  }
  weft_strided block = {.rank = 0};
  for (int d = 0; d < in->shape.rank; d++) {
    int64_t dim = in->shape.dims[d];
    weft_strided_add(&block, out->shape.dims[d] / dim, 0, to[d] * dim);
    weft_strided_add(&block, dim, from[d], to[d]);
  }
  weft_strided_copy(op->cx, &block, weft_type_size(in->type), in->data, out->data);
  return WEFT_OK;
}
