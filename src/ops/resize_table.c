/* Resize's parameters: what sizes come out, which input coordinate an output place has, and which input places it takes
 * with what weight. Formulas are those of the specification of Resize (coordinate_transformation_mode) and, for cubic,
 * of Keys, "Cubic convolution interpolation for digital image processing" (1981). */
#include "number.h"
#include "resize.h"

#include <math.h>

static weft_status read_attributes(weft_op *op, weft_resize *r) {
  int mode, coordinate, round;
  WEFT_TRY(weft_op_choice(op, "mode", "nearest linear cubic", 0, &mode));
  WEFT_TRY(
      weft_op_choice(op, "coordinate_transformation_mode",
                     "half_pixel half_pixel_symmetric pytorch_half_pixel align_corners asymmetric tf_crop_and_resize "
                     "tf_half_pixel_for_nn",
                     0, &coordinate));
  WEFT_TRY(weft_op_choice(op, "nearest_mode", "round_prefer_floor round_prefer_ceil floor ceil outward", 0, &round));
  r->mode = (weft_resize_mode)mode;
  r->coordinates = (weft_resize_coordinates)coordinate;
  r->round = (weft_resize_round)round;
  r->antialias = weft_op_attr_int(op, "antialias", 0) != 0;
  r->exclude_outside = weft_op_attr_int(op, "exclude_outside", 0) != 0;
  r->cubic_a = weft_op_attr_float(op, "cubic_coeff_a", -0.75f);
  weft_type type = weft_op_in(op, 0)->type;
  if (r->mode != WEFT_RESIZE_NEAREST && (WEFT_TYPE_BIT(type) & WEFT_TYPES_NUMERIC) == 0) {
    return weft_op_fail(op, "mode %s: expected numbers, found %s", weft_op_attr_string(op, "mode", ""),
                        weft_type_name(type));
  }
  return WEFT_OK;
}

/* Input i must be a known list of `count` numbers. */
static weft_status expect_list(weft_op *op, int i, const char *name, size_t count) {
  const weft_tensor *in = weft_op_in(op, i);
  WEFT_TRY(weft_op_expect_count(op, i, name, count));
  return in->data == NULL ? WEFT_DEFERRED : WEFT_OK;
}

static weft_status read_scales(weft_op *op, size_t count, const int *axes, weft_resize *r) {
  WEFT_TRY(weft_op_expect_type(op, 2, "scales", WEFT_TYPE_BIT(WEFT_FLOAT)));
  WEFT_TRY(expect_list(op, 2, "scales", count));
  for (size_t i = 0; i < count; i++) {
    weft_resize_axis *axis = &r->axes[axes[i]];
    float scale = ((const float *)weft_op_in(op, 2)->data)[i];
    float out = floorf((float)axis->in * scale);
    if (!(scale > 0) || !(out < 0x1p62f)) {
      return weft_op_fail(op, "input scales: element %zu is not a positive number that keeps dim %d in bounds", i,
                          axes[i]);
    }
    axis->scale = scale;
    axis->length = (double)scale * (double)axis->in;
    axis->out = (int64_t)out;
  }
  return WEFT_OK;
}

static weft_status read_sizes(weft_op *op, size_t count, const int *axes, weft_resize *r) {
  int policy;
  double common = 0;
  WEFT_TRY(weft_op_choice(op, "keep_aspect_ratio_policy", "stretch not_larger not_smaller", 0, &policy));
  WEFT_TRY(weft_op_expect_type(op, 3, "sizes", WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(expect_list(op, 3, "sizes", count));
  for (size_t i = 0; i < count; i++) {
    weft_resize_axis *axis = &r->axes[axes[i]];
    axis->out = ((const int64_t *)weft_op_in(op, 3)->data)[i];
    if (axis->out < 0 || axis->out > (int64_t)1 << 62) {
      return weft_op_fail(op, "input sizes: expected a number of at least 0 and in bounds, element %zu is %lld", i,
                          (long long)axis->out);
    }
    axis->scale = axis->in == 0 ? 1 : (double)axis->out / (double)axis->in;
    axis->length = (double)axis->out;
    bool tighter = policy == 1 ? axis->scale < common : axis->scale > common;
    common = i == 0 || tighter ? axis->scale : common;
  }
  for (size_t i = 0; i < count && policy != 0; i++) {
    weft_resize_axis *axis = &r->axes[axes[i]];
    axis->scale = common;
    axis->length = common * (double)axis->in;
    if (!(axis->length < 0x1p62)) {
      return weft_op_fail(op, "input sizes: their common scale makes dim %d too large", axes[i]);
    }
    axis->out = (int64_t)floor(axis->length + 0.5);
  }
  return WEFT_OK;
}

static weft_status read_roi(weft_op *op, size_t count, const int *axes, weft_resize *r) {
  if (r->coordinates != WEFT_RESIZE_CROP) {
    return WEFT_OK;
  }
  const weft_tensor *roi = weft_op_in(op, 1);
  if (roi == NULL) {
    return weft_op_fail(op, "input roi: expected %zu numbers, as coordinate_transformation_mode is tf_crop_and_resize",
                        2 * count);
  }
  WEFT_TRY(weft_op_expect_type(op, 1, "roi", WEFT_TYPES_FLOAT));
  WEFT_TRY(expect_list(op, 1, "roi", 2 * count));
  for (size_t i = 0; i < count; i++) {
    r->axes[axes[i]].roi_begin = weft_number_at(roi->type, roi->data, i);
    r->axes[axes[i]].roi_end = weft_number_at(roi->type, roi->data, count + i);
  }
  return WEFT_OK;
}

weft_status weft_resize_read(weft_op *op, weft_resize *r) {
  const weft_shape *shape = &weft_op_in(op, 0)->shape;
  int axes[WEFT_MAX_RANK];
  bool seen[WEFT_MAX_RANK];
  size_t count;
  *r = (weft_resize){0};
  WEFT_TRY(read_attributes(op, r));
  const int64_t *given = weft_op_attr_ints(op, "axes", &count);
  WEFT_TRY(weft_op_axes(op, "axes", count, given, shape->rank, seen));
  count = given == NULL ? (size_t)shape->rank : count;
  for (size_t i = 0; i < count; i++) {
    axes[i] = given == NULL ? (int)i : (int)(given[i] < 0 ? given[i] + shape->rank : given[i]);
  }
  for (int d = 0; d < shape->rank; d++) {
    r->axes[d] = (weft_resize_axis){
        .in = shape->dims[d], .out = shape->dims[d], .length = (double)shape->dims[d], .scale = 1, .roi_end = 1};
  }
  const weft_tensor *scales = weft_op_in(op, 2), *sizes = weft_op_in(op, 3);
  bool by_scales = scales != NULL && scales->count > 0, by_sizes = sizes != NULL && sizes->count > 0;
  if (by_scales == by_sizes && (by_scales || count > 0)) { /* nothing to resize needs neither */
    return weft_op_fail(op, "expected one of the inputs scales and sizes, found %s", by_scales ? "both" : "neither");
  }
  if (by_scales || by_sizes) {
    WEFT_TRY(by_scales ? read_scales(op, count, axes, r) : read_sizes(op, count, axes, r));
  }
  return read_roi(op, count, axes, r);
}

/* The input coordinate of output place x, in float on purpose: 1 / (1/3) is 3 there, and the floor of it as meant. As
 * the specification has scale = length_resized / length_original, length_resized is `exact`, with a fraction where
 * scales were given. */
static float coordinate(const weft_resize *r, const weft_resize_axis *axis, float x) {
  float in = (float)axis->in, out = (float)axis->out, scale = (float)axis->scale;
  float exact = (float)axis->length;
  float begin = (float)axis->roi_begin, end = (float)axis->roi_end;
  switch (r->coordinates) {
  case WEFT_RESIZE_HALF_PIXEL:
    return (x + 0.5f) / scale - 0.5f;
  case WEFT_RESIZE_HALF_PIXEL_SYMMETRIC:
    return in / 2 * (1 - out / exact) + (x + 0.5f) / scale - 0.5f;
  case WEFT_RESIZE_PYTORCH_HALF_PIXEL:
    return exact > 1 ? (x + 0.5f) / scale - 0.5f : 0;
  case WEFT_RESIZE_ALIGN_CORNERS:
    return exact == 1 || out == 1 ? 0 : x * (in - 1) / (exact - 1);
  case WEFT_RESIZE_ASYMMETRIC:
    return x / scale;
  case WEFT_RESIZE_CROP:
    return exact > 1 ? begin * (in - 1) + x * (end - begin) * (in - 1) / (exact - 1) : 0.5f * (begin + end) * (in - 1);
  case WEFT_RESIZE_TF_HALF_PIXEL_FOR_NN:
    return (x + 0.5f) / scale;
  }
  return x;
}

static double rounded(weft_resize_round round, double x, double scale) {
  switch (round) {
  case WEFT_ROUND_PREFER_FLOOR:
    return ceil(x - 0.5);
  case WEFT_ROUND_PREFER_CEIL:
    return floor(x + 0.5);
  case WEFT_ROUND_FLOOR:
    return floor(x);
  case WEFT_ROUND_CEIL:
    return ceil(x);
  case WEFT_ROUND_OUTWARD:
    return scale < 1 ? ceil(x) : floor(x);
  }
  return x;
}

/* The interpolation's weight at distance x. */
static double kernel(const weft_resize *r, double x) {
  double a = r->cubic_a;
  x = fabs(x);
  if (r->mode == WEFT_RESIZE_LINEAR) {
    return x < 1 ? 1 - x : 0;
  }
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static int64_t clamp_place(double place, int64_t in) {
  return !(place > 0) ? 0 : place >= (double)in ? in - 1 : (int64_t)place;
}

/* Fills one row of a table: `reach` places on either side of x, with weights that sum to 1. A place beyond the edge
 * reads the edge, or nothing when outside ones are excluded. */
static void fill_row(const weft_resize *r, const weft_resize_axis *axis, double x, double stretch, size_t taps,
                     int64_t *places, double *weights) {
  double first = floor(x) - (double)(taps / 2) + 1, sum = 0;
  for (size_t t = 0; t < taps; t++) {
    double place = first + (double)t;
    bool excluded = r->exclude_outside && (place < 0 || place >= (double)axis->in);
    weights[t] = excluded ? 0 : kernel(r, (place - x) * stretch);
    places[t] = clamp_place(place, axis->in);
    sum += weights[t];
  }
  for (size_t t = 0; t < taps; t++) {
    weights[t] = sum == 0 ? (t == 0) : weights[t] / sum;
  }
}

weft_status weft_resize_make_table(weft_op *op, const weft_resize *r, int d, weft_resize_table *table) {
  const weft_resize_axis *axis = &r->axes[d];
  *table = (weft_resize_table){0};
  bool crops = r->coordinates == WEFT_RESIZE_CROP && (axis->roi_begin != 0 || axis->roi_end != 1);
  if (axis->out == axis->in && axis->scale == 1 && !crops) {
    return WEFT_OK;
  }
  bool nearest = r->mode == WEFT_RESIZE_NEAREST;
  double stretch = r->antialias && axis->scale < 1 ? axis->scale : 1;
  /* An antialiased axis has out >= 1, so that it reaches at most over a few times its input. */
  double reach = ceil((r->mode == WEFT_RESIZE_CUBIC ? 2 : 1) / stretch);
  size_t out = (size_t)axis->out;
  table->taps = nearest ? 1 : 2 * (size_t)reach;
  void *block;
  WEFT_TRY(weft_op_scratch_array(op, out, table->taps * (sizeof(int64_t) + sizeof(double)) + 1, &block));
  table->places = block;
  table->weights = (double *)(table->places + out * table->taps);
  table->outside = (bool *)(table->weights + out * table->taps);
  for (size_t i = 0; i < out; i++) {
    double x = coordinate(r, axis, (float)i);
    table->outside[i] = r->coordinates == WEFT_RESIZE_CROP && !(x >= 0 && x <= (double)(axis->in - 1));
    if (nearest) {
      table->places[i] = clamp_place(rounded(r->round, x, axis->scale), axis->in);
    } else {
      fill_row(r, axis, x, stretch, table->taps, table->places + i * table->taps, table->weights + i * table->taps);
    }
  }
  return WEFT_OK;
}
