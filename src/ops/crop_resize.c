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

static float sample(const float *plane, size_t width, float y, float x, bool nearest) {
  if (nearest) {
    return plane[(size_t)roundf(y) * width + (size_t)roundf(x)];
  }
  size_t top = (size_t)floorf(y) * width, bottom = (size_t)ceilf(y) * width;
  size_t left = (size_t)floorf(x), right = (size_t)ceilf(x);
  float down = y - floorf(y), across = x - floorf(x);
  float a = plane[top + left], b = plane[top + right], c = plane[bottom + left], d = plane[bottom + right];
  float above = a + (b - a) * across, below = c + (d - c) * across;
  return above + (below - above) * down;
}

static weft_status floats_of(weft_op *op, int i, const float **out) {
  const weft_tensor *in = weft_op_in(op, i);
  void *room;
  *out = in->data;
  if (in->type != WEFT_FLOAT) {
    WEFT_TRY(weft_op_scratch_array(op, in->count, sizeof(float), &room));
    weft_load_float(in->type, in->data, 0, 1, in->count, room);
    *out = room;
  }
  return WEFT_OK;
}

weft_status weft_crop_resize_run(weft_op *op) {
  const weft_tensor *images = weft_op_in(op, IMAGES);
  const int32_t *batches = weft_op_in(op, BATCHES)->data;
  weft_tensor *out = weft_op_out(op, 0);
  const int64_t *dims = images->shape.dims;
  size_t channels = (size_t)dims[1], height = (size_t)dims[2], width = (size_t)dims[3];
  size_t rows = (size_t)out->shape.dims[2], columns = (size_t)out->shape.dims[3];
  int nearest;
  const float *from, *boxes;
  void *room;
  WEFT_TRY(weft_op_choice(op, "mode", "bilinear nearest", 0, &nearest));
  WEFT_TRY(floats_of(op, IMAGES, &from));
  WEFT_TRY(floats_of(op, BOXES, &boxes));
  WEFT_TRY(weft_op_scratch_array(op, columns, sizeof(float), &room));
  float *line = room;
  float outside = weft_op_attr_float(op, "extrapolation_value", 0);
  for (size_t i = 0; i < out->count; i += columns) {
    size_t plane = i / columns / rows, index = plane / channels;
    const float *box = boxes + index * 4;
    if (batches[index] < 0 || batches[index] >= dims[0]) {
      return weft_op_run_fail(op, "input 'batch_indices' holds %ld, expected an image below %lld", (long)batches[index],
                              (long long)dims[0]);
    }
    float y = place(box[0], box[2], height, rows, i / columns % rows);
    const float *image = from + ((size_t)batches[index] * channels + plane % channels) * height * width;
    for (size_t column = 0; column < columns; column++) {
      float x = place(box[1], box[3], width, columns, column);
      bool inside = y >= 0 && y <= (float)height - 1 && x >= 0 && x <= (float)width - 1;
      line[column] = inside ? sample(image, width, y, x, nearest) : outside;
    }
    weft_store_float(out->type, line, columns, out->data, i, 1);
  }
  return WEFT_OK;
}
