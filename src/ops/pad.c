/* Pad and CenterCropPad: a tensor with its edges grown or cut away. Every axis is described by the range of the input
 * that is kept and how many places are added before and after; constant padding fills and copies that range, the other
 * modes give each output place the input place it shows. */
#include "op.h"
#include "strided.h"

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;

typedef struct pad_axis {
  int64_t skip, keep; /* the kept range of the input */
  int64_t before, after;
} pad_axis;

static weft_status read_mode(weft_op *op, pad_mode *out) {
  int mode;
  WEFT_TRY(weft_op_choice(op, "mode", "constant reflect edge wrap", PAD_CONSTANT, &mode));
  *out = (pad_mode)mode;
  return WEFT_OK;
}

static weft_status set_axis(weft_op *op, pad_mode mode, int d, int64_t dim, int64_t before, int64_t after,
                            pad_axis *axis) {
  int64_t cut_before = before < 0 && before > -INT64_MAX ? -before : before < 0 ? INT64_MAX : 0;
  int64_t cut_after = after < 0 && after > -INT64_MAX ? -after : after < 0 ? INT64_MAX : 0;
  if (cut_before > dim || cut_after > dim - cut_before) {
    return weft_op_fail(op, "input pads: %lld and %lld take more than dim %d of %lld has", (long long)before,
                        (long long)after, d, (long long)dim);
  }
  *axis = (pad_axis){cut_before, dim - cut_before - cut_after, before < 0 ? 0 : before, after < 0 ? 0 : after};
  if (axis->before > INT64_MAX / 4 || axis->after > INT64_MAX / 4) {
    return weft_op_fail(op, "input pads: %lld and %lld of dim %d are too large", (long long)before, (long long)after,
                        d);
  }
  if (mode != PAD_CONSTANT && axis->keep == 0 && axis->before + axis->after > 0) {
    return weft_op_fail(op, "dim %d has no elements to pad with", d);
  }
  return WEFT_OK;
}

static weft_status read_pads(weft_op *op, pad_mode mode, pad_axis *out) {
  const weft_shape *shape = &weft_op_in(op, 0)->shape;
  int64_t pads[2 * WEFT_MAX_RANK], axes[WEFT_MAX_RANK];
  size_t count, axis_count;
  bool seen[WEFT_MAX_RANK];
  WEFT_TRY(weft_op_ints(op, 1, "pads", 2 * WEFT_MAX_RANK, pads, &count));
  WEFT_TRY(weft_op_ints(op, 3, "axes", WEFT_MAX_RANK, axes, &axis_count));
  if (!weft_op_has(op, 3)) {
    axis_count = (size_t)shape->rank;
    for (int d = 0; d < shape->rank; d++) {
      axes[d] = d;
    }
  }
  WEFT_TRY(weft_op_axes(op, "axes", axis_count, axes, shape->rank, seen));
  if (count != 2 * axis_count) {
    return weft_op_fail(op, "input pads: expected %zu elements, two for each axis, found %zu", 2 * axis_count, count);
  }
  for (int d = 0; d < shape->rank; d++) {
    out[d] = (pad_axis){0, shape->dims[d], 0, 0};
  }
  for (size_t i = 0; i < axis_count; i++) {
    int d = (int)(axes[i] < 0 ? axes[i] + shape->rank : axes[i]);
    WEFT_TRY(set_axis(op, mode, d, shape->dims[d], pads[i], pads[axis_count + i], &out[d]));
  }
  return WEFT_OK;
}

static weft_status set_padded(weft_op *op, const pad_axis *axes) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_shape shape = {in->shape.rank, {0}};
  for (int d = 0; d < shape.rank; d++) {
    if (axes[d].keep > INT64_MAX / 4) {
      return weft_op_fail(op, "dim %d is too large", d);
    }
    shape.dims[d] = axes[d].before + axes[d].keep + axes[d].after;
  }
  return weft_op_set(op, 0, in->type, &shape);
}

weft_status weft_pad_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 4));
  WEFT_TRY(weft_op_expect_type(op, 1, "pads", WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 2));
  pad_mode mode;
  pad_axis axes[WEFT_MAX_RANK];
  WEFT_TRY(read_mode(op, &mode));
  WEFT_TRY(weft_op_expect_count(op, 2, "constant_value", 1));
  WEFT_TRY(read_pads(op, mode, axes));
  return set_padded(op, axes);
}

static void pad_constant(weft_op *op, const pad_axis *axes, const void *value) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  int64_t from[WEFT_MAX_RANK], to[WEFT_MAX_RANK], skip = 0, place = 0;
  size_t size = weft_type_size(in->type);
  bool grows = false;
  weft_dense_strides(&in->shape, from);
  weft_dense_strides(&out->shape, to);
  weft_strided block = {.rank = 0};
  for (int d = 0; d < in->shape.rank; d++) {
    skip += axes[d].skip * from[d];
    place += axes[d].before * to[d];
    grows = grows || axes[d].before + axes[d].after > 0;
    weft_strided_add(&block, axes[d].keep, from[d], to[d]);
  }
  if (grows) {
    weft_fill_elements(out->data, out->count, value, size);
  }
  if (out->count > 0) {
    weft_strided_copy(op->cx, &block, size, (const char *)in->data + skip * (int64_t)size,
                      (char *)out->data + place * (int64_t)size);
  }
}

/* The place of the kept range that place `i` outside or inside of it shows. */
static int64_t mirrored_place(pad_mode mode, int64_t i, int64_t keep) {
  if (i >= 0 && i < keep) {
    return i;
  }
  if (mode == PAD_EDGE) {
    return i < 0 ? 0 : keep - 1;
  }
  int64_t period = mode == PAD_WRAP ? keep : keep == 1 ? 1 : 2 * (keep - 1);
  i %= period;
  i += i < 0 ? period : 0;
  return i < keep ? i : period - i;
}

static weft_status pad_mapped(weft_op *op, pad_mode mode, const pad_axis *axes) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  const int64_t *maps[WEFT_MAX_RANK];
  int64_t from[WEFT_MAX_RANK];
  weft_dense_strides(&in->shape, from);
  if (out->count == 0) {
    return WEFT_OK;
  }
  for (int d = 0; d < in->shape.rank; d++) {
    void *map;
    WEFT_TRY(weft_op_scratch_array(op, (size_t)out->shape.dims[d], sizeof(int64_t), &map));
    for (int64_t i = 0; i < out->shape.dims[d]; i++) {
      ((int64_t *)map)[i] = (axes[d].skip + mirrored_place(mode, i - axes[d].before, axes[d].keep)) * from[d];
    }
    maps[d] = map;
  }
  weft_mapped_copy(op->cx, in->shape.rank, out->shape.dims, maps, weft_type_size(in->type), in->data, out->data);
  return WEFT_OK;
}

weft_status weft_pad_run(weft_op *op) {
  static const char zeros[16];
  const weft_tensor *value = weft_op_in(op, 2);
  pad_mode mode;
  pad_axis axes[WEFT_MAX_RANK];
  WEFT_TRY(read_mode(op, &mode));
  WEFT_TRY(read_pads(op, mode, axes));
  if (mode != PAD_CONSTANT) {
    return pad_mapped(op, mode, axes);
  }
  pad_constant(op, axes, value == NULL ? zeros : value->data);
  return WEFT_OK;
}

static weft_status center_axes(weft_op *op, pad_axis *out) {
  const weft_shape *shape = &weft_op_in(op, 0)->shape;
  int64_t sizes[WEFT_MAX_RANK], defaults[WEFT_MAX_RANK];
  size_t count, axis_count;
  bool seen[WEFT_MAX_RANK];
  const int64_t *axes = weft_op_attr_ints(op, "axes", &axis_count);
  for (int d = 0; d < shape->rank; d++) {
    out[d] = (pad_axis){0, shape->dims[d], 0, 0};
    defaults[d] = d;
  }
  axis_count = axes == NULL ? (size_t)shape->rank : axis_count;
  axes = axes == NULL ? defaults : axes;
  WEFT_TRY(weft_op_axes(op, "axes", axis_count, axes, shape->rank, seen));
  WEFT_TRY(weft_op_ints(op, 1, "shape", WEFT_MAX_RANK, sizes, &count));
  if (count != axis_count) {
    return weft_op_fail(op, "input shape: expected %zu elements, one for each axis, found %zu", axis_count, count);
  }
  for (size_t i = 0; i < count; i++) {
    int d = (int)(axes[i] < 0 ? axes[i] + shape->rank : axes[i]);
    if (sizes[i] < 0 || sizes[i] > INT64_MAX / 4) {
      return weft_op_fail(op, "input shape: expected sizes of at least 0, element %zu is %lld", i, (long long)sizes[i]);
    }
    int64_t dim = shape->dims[d], more = sizes[i] - dim;
    out[d] = more < 0 ? (pad_axis){-more / 2, sizes[i], 0, 0} : (pad_axis){0, dim, more / 2, more - more / 2};
  }
  return WEFT_OK;
}

weft_status weft_center_crop_pad_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 1, "shape", WEFT_TYPES_INDEX));
  pad_axis axes[WEFT_MAX_RANK];
  WEFT_TRY(center_axes(op, axes));
  return set_padded(op, axes);
}

weft_status weft_center_crop_pad_run(weft_op *op) {
  static const char zeros[16];
  pad_axis axes[WEFT_MAX_RANK];
  WEFT_TRY(center_axes(op, axes));
  pad_constant(op, axes, zeros);
  return WEFT_OK;
}
