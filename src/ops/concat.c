/* Concat, Split, Slice: pieces of tensors along axes. */
#include "op.h"
#include "strided.h"

weft_status weft_concat_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, op->input_count > 0 ? op->input_count : 1, op->input_count));
  const weft_tensor *first = weft_op_in(op, 0);
  weft_shape shape = first->shape;
  int axis;
  WEFT_TRY(weft_op_attr_needed(op, "axis"));
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), shape.rank, &axis));
  for (int i = 1; i < op->input_count; i++) {
    const weft_tensor *in = weft_op_in(op, i);
    WEFT_TRY(weft_op_expect_same_type(op, 0, i));
    bool fits = in->shape.rank == shape.rank;
    for (int d = 0; fits && d < shape.rank; d++) {
      fits = d == axis || in->shape.dims[d] == shape.dims[d];
    }
    if (!fits || in->shape.dims[axis] > INT64_MAX - shape.dims[axis]) {
      char a[96], b[96];
      return weft_op_fail(op, "input %d of shape %s does not continue input 0 of shape %s along axis %d", i,
                          weft_shape_print(&in->shape, a, sizeof a), weft_shape_print(&first->shape, b, sizeof b),
                          axis);
    }
    shape.dims[axis] += in->shape.dims[axis];
  }
  return weft_op_set(op, 0, first->type, &shape);
}

/* Elements from one run along the axis to the next. */
static size_t pitch_of(const weft_value *value, int axis) {
  const weft_shape *shape = &value->tensor.shape;
  return value->apart != 0 ? value->apart : weft_shape_product(shape, axis, shape->rank);
}

/* Copies `rows` runs of `run` bytes between two pitches: an input of Concat into the output, or the other way round. */
static void copy_runs(weft_context *cx, size_t rows, size_t run, const void *from, size_t from_pitch, void *to,
                      size_t to_pitch) {
  if (from == to) {
    return; /* it grows where it lies */
  }
  size_t unit = (run | from_pitch | to_pitch) % 8 == 0 ? 8 : (run | from_pitch | to_pitch) % 4 == 0 ? 4 : 1;
  if (((uintptr_t)from | (uintptr_t)to) % unit != 0) {
    unit = 1;
  }
  weft_strided block = {.rank = 0};
  weft_strided_add(&block, (int64_t)rows, (int64_t)(from_pitch / unit), (int64_t)(to_pitch / unit));
  weft_strided_add(&block, (int64_t)(run / unit), 1, 1);
  weft_strided_copy(cx, &block, unit, from, to);
}

weft_status weft_concat_run(weft_op *op) {
  weft_tensor *out = weft_op_out(op, 0);
  int axis, rank = out->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  WEFT_TRY(weft_op_grow(op, 0, 0, true));
  size_t rows = weft_shape_product(&out->shape, 0, axis), size = weft_type_size(out->type), offset = 0;
  size_t pitch = pitch_of(op->outputs[0], axis) * size;
  for (int i = 0; i < op->input_count; i++) {
    const weft_tensor *in = weft_op_in(op, i);
    size_t run = weft_shape_product(&in->shape, axis, rank) * size;
    copy_runs(op->cx, rows, run, in->data, pitch_of(op->inputs[i], axis) * size, (char *)out->data + offset, pitch);
    offset += run;
  }
  return WEFT_OK;
}

weft_status weft_split_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 2));
  const weft_tensor *in = weft_op_in(op, 0);
  int axis;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), in->shape.rank, &axis));
  const weft_tensor *sizes = weft_op_in(op, 1);
  int64_t pieces, dim = in->shape.dims[axis], left = dim;
  WEFT_TRY(weft_op_expect_type(op, 1, "split", WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(weft_op_expect_rank(op, 1, "split", 1, 1));
  WEFT_TRY(weft_op_attr_within(op, "num_outputs", op->output_count, 1, INT64_MAX, &pieces));
  if (sizes != NULL) {
    pieces = (int64_t)sizes->count;
    if (sizes->data == NULL) {
      return WEFT_DEFERRED;
    }
  }
  if (pieces < op->output_count || pieces < 1) {
    return weft_op_fail(op, "expected at most %lld outputs, found %d", (long long)pieces, op->output_count);
  }
  weft_shape shape = in->shape;
  int64_t chunk = dim / pieces + (dim % pieces != 0);
  for (int64_t i = 0; i < pieces && (sizes != NULL || i < op->output_count); i++) {
    int64_t size = sizes != NULL ? ((const int64_t *)sizes->data)[i] : left < chunk ? left : chunk;
    if (size < 0 || size > left) {
      return weft_op_fail(op, "input split: piece %lld of %lld does not fit in the %lld left of axis %d", (long long)i,
                          (long long)size, (long long)left, axis);
    }
    left -= size;
    shape.dims[axis] = size;
    if (i < op->output_count) {
      WEFT_TRY(weft_op_set(op, (int)i, in->type, &shape));
    }
  }
  if (left != 0 && sizes != NULL) {
    return weft_op_fail(op, "input split: the pieces leave %lld of dim %lld of axis %d", (long long)left,
                        (long long)dim, axis);
  }
  return WEFT_OK;
}

weft_status weft_split_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *sizes = weft_op_in(op, 1);
  int axis, rank = in->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  int64_t pieces = weft_op_attr_int(op, "num_outputs", op->output_count), dim = in->shape.dims[axis], left = dim;
  int64_t chunk = dim / pieces + (dim % pieces != 0);
  size_t rows = weft_shape_product(&in->shape, 0, axis), size = weft_type_size(in->type), offset = 0;
  size_t inner = weft_shape_product(&in->shape, axis + 1, rank) * size, pitch = (size_t)dim * inner;
  for (int i = 0; i < op->output_count; i++) {
    int64_t piece = sizes != NULL ? ((const int64_t *)sizes->data)[i] : left < chunk ? left : chunk;
    size_t run = (size_t)piece * inner;
    weft_tensor *out = weft_op_out(op, i);
    if (out != NULL) {
      copy_runs(op->cx, rows, run, (const char *)in->data + offset, pitch, out->data, run);
    }
    left -= piece;
    offset += run;
  }
  return WEFT_OK;
}

typedef struct slice_range {
  int64_t start, step, count;
} slice_range;

/* Clamps one axis as the specification does: [0, dim] forwards, [0, dim-1] to [-1, dim-1] backwards. */
static slice_range clamp_range(int64_t dim, int64_t start, int64_t end, int64_t step) {
  start += start < 0 ? dim : 0;
  end += end < 0 ? dim : 0;
  int64_t low = step < 0 ? -1 : 0, high = step < 0 ? dim - 1 : dim;
  start = start < 0 ? 0 : start > high ? high : start;
  end = end < low ? low : end > high ? high : end;
  slice_range range = {start, step, 0};
  if (dim > 0 && step > 0 && end > start) {
    range.count = 1 + (end - start - 1) / step;
  } else if (dim > 0 && step < 0 && start > end) {
    range.count = 1 + (start - end - 1) / (step == INT64_MIN ? INT64_MAX : -step);
  }
  return range;
}

static weft_status slice_ranges(weft_op *op, const weft_shape *shape, slice_range *ranges) {
  int64_t starts[WEFT_MAX_RANK], ends[WEFT_MAX_RANK], axes[WEFT_MAX_RANK], steps[WEFT_MAX_RANK];
  size_t count, end_count, axis_count, step_count;
  bool seen[WEFT_MAX_RANK];
  WEFT_TRY(weft_op_ints(op, 1, "starts", WEFT_MAX_RANK, starts, &count));
  WEFT_TRY(weft_op_ints(op, 2, "ends", WEFT_MAX_RANK, ends, &end_count));
  WEFT_TRY(weft_op_ints(op, 3, "axes", WEFT_MAX_RANK, axes, &axis_count));
  WEFT_TRY(weft_op_ints(op, 4, "steps", WEFT_MAX_RANK, steps, &step_count));
  bool axes_fit = weft_op_has(op, 3) ? axis_count == count : count <= (size_t)shape->rank;
  if (end_count != count || !axes_fit || (weft_op_has(op, 4) && step_count != count)) {
    return weft_op_fail(
        op, "inputs starts, ends, axes and steps: expected as many elements in each, found %zu, %zu, %zu, %zu", count,
        end_count, axis_count, step_count);
  }
  for (size_t i = 0; i < count; i++) {
    axes[i] = weft_op_has(op, 3) ? axes[i] : (int64_t)i;
    steps[i] = weft_op_has(op, 4) ? steps[i] : 1;
  }
  WEFT_TRY(weft_op_axes(op, "axes", count, axes, shape->rank, seen));
  for (int d = 0; d < shape->rank; d++) {
    ranges[d] = (slice_range){0, 1, shape->dims[d]};
  }
  for (size_t i = 0; i < count; i++) {
    int64_t d = axes[i] < 0 ? axes[i] + shape->rank : axes[i];
    if (steps[i] == 0) {
      return weft_op_fail(op, "input steps: expected no 0, found it at element %zu", i);
    }
    ranges[d] = clamp_range(shape->dims[d], starts[i], ends[i], steps[i]);
  }
  return WEFT_OK;
}

weft_status weft_slice_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 3, 5));
  const weft_tensor *in = weft_op_in(op, 0);
  slice_range ranges[WEFT_MAX_RANK];
  WEFT_TRY(slice_ranges(op, &in->shape, ranges));
  weft_shape shape = {in->shape.rank, {0}};
  for (int d = 0; d < shape.rank; d++) {
    shape.dims[d] = ranges[d].count;
  }
  return weft_op_set(op, 0, in->type, &shape);
}

weft_status weft_slice_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  slice_range ranges[WEFT_MAX_RANK];
  int64_t from[WEFT_MAX_RANK], to[WEFT_MAX_RANK], offset = 0;
  WEFT_TRY(slice_ranges(op, &in->shape, ranges));
  if (out->count == 0) {
    return WEFT_OK;
  }
  weft_dense_strides(&in->shape, from);
  weft_dense_strides(&out->shape, to);
  weft_strided block = {.rank = 0};
  for (int d = 0; d < out->shape.rank; d++) {
    offset += ranges[d].start * from[d];
    /* With one element the step is never taken, and may be too large to multiply. */
    weft_strided_add(&block, out->shape.dims[d], ranges[d].count > 1 ? ranges[d].step * from[d] : 0, to[d]);
  }
  size_t size = weft_type_size(in->type);
  weft_strided_copy(op->cx, &block, size, (const char *)in->data + offset * (int64_t)size, out->data);
  return WEFT_OK;
}
