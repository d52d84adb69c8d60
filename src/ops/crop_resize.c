/* com.microsoft CropAndResize: boxes cut out of images and resized to one size, corner to corner, as TensorFlow's
 * operator of that name does it, with channels first. */
#include "../base/convert.h"
#include "op.h"

#include <math.h>

enum { IMAGES, BOXES, BATCHES, SIZE };

weft_status weft_crop_resize_infer(weft_op *op) {
  int64_t size[2];
  size_t count = 0;
  int nearest;
  WEFT_TRY(weft_op_expect_inputs(op, 4, 4));
  WEFT_TRY(weft_op_expect_type(op, IMAGES, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_same_type(op, IMAGES, BOXES));
  WEFT_TRY(weft_op_expect_type(op, BATCHES, "batch_indices", WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_rank(op, IMAGES, "X", 4, 4));
  WEFT_TRY(weft_op_expect_rank(op, BOXES, "rois", 2, 2));
  const weft_tensor *boxes = weft_op_in(op, BOXES);
  WEFT_TRY(weft_op_choice(op, "mode", "bilinear nearest", 0, &nearest));
  if (boxes->shape.dims[1] != 4 || (int64_t)weft_op_in(op, BATCHES)->count != boxes->shape.dims[0]) {
    return weft_op_fail(op, "expected four numbers and a batch index for each box");
  }
  WEFT_TRY(weft_op_ints(op, SIZE, "crop_size", 2, size, &count));
  if (count != 2 || size[0] < 1 || size[1] < 1) {
    return weft_op_fail(op, "input 'crop_size': expected two positive numbers");
  }
  weft_shape out = {.rank = 4, .dims = {boxes->shape.dims[0], weft_op_in(op, IMAGES)->shape.dims[1], size[0], size[1]}};
  return weft_op_set(op, 0, weft_op_in(op, IMAGES)->type, &out);
}

/* The place in `length` rows (or columns) of row i of `count` that stretch from `from` to `to`. */
static float place(float from, float to, size_t length, size_t count, size_t i) {
  float last = (float)(length - 1);
  return count > 1 ? from * last + (float)i * ((to - from) * last / (float)(count - 1)) : (from + to) * last / 2;
}

static float load(const weft_tensor *t, size_t i) {
  float value = 0;
  weft_load_float(t->type, t->data, i, 1, 1, &value);
  return value;
}

static float sample(const weft_tensor *images, size_t plane, float y, float x, bool nearest) {
  size_t width = (size_t)images->shape.dims[3];
  if (nearest) {
    return load(images, plane + (size_t)roundf(y) * width + (size_t)roundf(x));
  }
  size_t top = (size_t)floorf(y), bottom = (size_t)ceilf(y), left = (size_t)floorf(x), right = (size_t)ceilf(x);
  float down = y - (float)top, across = x - (float)left;
  float a = load(images, plane + top * width + left), b = load(images, plane + top * width + right);
  float c = load(images, plane + bottom * width + left), d = load(images, plane + bottom * width + right);
  float above = a + (b - a) * across, below = c + (d - c) * across;
  return above + (below - above) * down;
}

weft_status weft_crop_resize_run(weft_op *op) {
  const weft_tensor *images = weft_op_in(op, IMAGES), *boxes = weft_op_in(op, BOXES);
  const int32_t *batches = weft_op_in(op, BATCHES)->data;
  weft_tensor *out = weft_op_out(op, 0);
  const int64_t *dims = images->shape.dims;
  size_t channels = (size_t)dims[1], height = (size_t)dims[2], width = (size_t)dims[3];
  size_t rows = (size_t)out->shape.dims[2], columns = (size_t)out->shape.dims[3];
  int nearest;
  WEFT_TRY(weft_op_choice(op, "mode", "bilinear nearest", 0, &nearest));
  float outside = weft_op_attr_float(op, "extrapolation_value", 0);
  for (size_t i = 0; i < out->count; i++) {
    size_t column = i % columns, row = i / columns % rows, c = i / columns / rows % channels;
    size_t box = i / columns / rows / channels;
    if (batches[box] < 0 || batches[box] >= dims[0]) {
      return weft_op_run_fail(op, "input 'batch_indices' holds %ld, expected an image below %lld", (long)batches[box],
                              (long long)dims[0]);
    }
    float y = place(load(boxes, box * 4), load(boxes, box * 4 + 2), height, rows, row);
    float x = place(load(boxes, box * 4 + 1), load(boxes, box * 4 + 3), width, columns, column), value = outside;
    if (y >= 0 && y <= (float)height - 1 && x >= 0 && x <= (float)width - 1) {
      value = sample(images, ((size_t)batches[box] * channels + c) * height * width, y, x, nearest);
    }
    weft_store_float(out->type, &value, 1, out->data, i, 1);
  }
  return WEFT_OK;
}
