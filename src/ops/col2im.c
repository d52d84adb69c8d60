/* Col2Im: blocks of columns added back to the image they were cut from, over any number of axes. */
#include "number.h"
#include "op.h"

#include <string.h>

typedef struct col2im {
  int axes;
  int64_t image[WEFT_MAX_RANK], block[WEFT_MAX_RANK];
  int64_t strides[WEFT_MAX_RANK], pads[WEFT_MAX_RANK], dilations[WEFT_MAX_RANK];
  int64_t steps[WEFT_MAX_RANK]; /* how many blocks lie along an axis */
  int64_t block_size, blocks;   /* products of block and steps */
} col2im;

/* A list attribute with one entry an axis, `fallback` each when absent; entries must be within [least, 2^31). */
static weft_status read_list(weft_op *op, const char *name, size_t count, int64_t fallback, int64_t least,
                             int64_t *out) {
  size_t found;
  const int64_t *list = weft_op_attr_ints(op, name, &found);
  if (list != NULL && found != count) {
    return weft_op_fail(op, "%s: expected %zu entries, found %zu", name, count, found);
  }
  for (size_t i = 0; i < count; i++) {
    out[i] = list == NULL ? fallback : list[i];
    if (out[i] < least || out[i] > INT32_MAX) {
      return weft_op_fail(op, "%s: expected numbers from %lld to %d, entry %zu is %lld", name, (long long)least,
                          INT32_MAX, i, (long long)out[i]);
    }
  }
  return WEFT_OK;
}

static weft_status read_col2im(weft_op *op, col2im *c) {
  int64_t pads[2 * WEFT_MAX_RANK];
  size_t axes, block_axes;
  WEFT_TRY(weft_op_ints(op, 1, "image_shape", WEFT_MAX_RANK - 2, c->image, &axes));
  WEFT_TRY(weft_op_ints(op, 2, "block_shape", WEFT_MAX_RANK - 2, c->block, &block_axes));
  if (axes != block_axes || axes == 0) {
    return weft_op_fail(op, "inputs image_shape and block_shape: expected as many elements, found %zu and %zu", axes,
                        block_axes);
  }
  WEFT_TRY(read_list(op, "strides", axes, 1, 1, c->strides));
  WEFT_TRY(read_list(op, "dilations", axes, 1, 1, c->dilations));
  WEFT_TRY(read_list(op, "pads", 2 * axes, 0, 0, pads));
  c->axes = (int)axes;
  c->block_size = c->blocks = 1;
  for (size_t d = 0; d < axes; d++) {
    if (c->image[d] < 0 || c->image[d] > INT32_MAX || c->block[d] < 1 || c->block[d] > INT32_MAX) {
      return weft_op_fail(op, "axis %zu: an image of %lld and blocks of %lld", d, (long long)c->image[d],
                          (long long)c->block[d]);
    }
    c->pads[d] = pads[d];
    int64_t room = c->image[d] + pads[d] + pads[axes + d] - c->dilations[d] * (c->block[d] - 1) - 1;
    c->steps[d] = room < 0 ? 0 : room / c->strides[d] + 1;
    if (c->block_size > INT32_MAX / c->block[d] || (c->steps[d] > 0 && c->blocks > INT64_MAX / 2 / c->steps[d])) {
      return weft_op_fail(op, "block_shape: the blocks are too large");
    }
    c->block_size *= c->block[d];
    c->blocks *= c->steps[d];
  }
  return WEFT_OK;
}

weft_status weft_col2im_infer(weft_op *op) {
  col2im c;
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPES_NUMERIC | WEFT_TYPE_BIT(WEFT_BOOL) | WEFT_TYPES_COMPLEX));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 3, 3));
  WEFT_TRY(read_col2im(op, &c));
  const weft_tensor *in = weft_op_in(op, 0);
  if (in->shape.dims[1] % c.block_size != 0 || in->shape.dims[2] != c.blocks) {
    char text[96];
    return weft_op_fail(op, "input of shape %s: expected dim 1 to be a multiple of %lld and dim 2 to be %lld",
                        weft_shape_print(&in->shape, text, sizeof text), (long long)c.block_size, (long long)c.blocks);
  }
  weft_shape shape = {c.axes + 2, {in->shape.dims[0], in->shape.dims[1] / c.block_size}};
  memcpy(shape.dims + 2, c.image, (size_t)c.axes * sizeof *shape.dims);
  return weft_op_set(op, 0, in->type, &shape);
}

/* The image place that element `inner` of block `step` covers, or -1 in the padding. */
static int64_t image_place(const col2im *c, int64_t inner, int64_t step) {
  int64_t place = 0, scale = 1;
  for (int d = c->axes - 1; d >= 0; d--) {
    int64_t at = step % c->steps[d] * c->strides[d] - c->pads[d] + inner % c->block[d] * c->dilations[d];
    if (at < 0 || at >= c->image[d]) {
      return -1;
    }
    place += at * scale;
    scale *= c->image[d];
    step /= c->steps[d];
    inner /= c->block[d];
  }
  return place;
}

weft_status weft_col2im_run(weft_op *op) {
  col2im c;
  WEFT_TRY(read_col2im(op, &c));
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  size_t image = weft_shape_product(&out->shape, 2, out->shape.rank);
  size_t planes = (size_t)out->shape.dims[0] * (size_t)out->shape.dims[1];
  weft_type type;
  size_t parts = weft_number_parts(out->type, &type), columns = (size_t)c.block_size * (size_t)c.blocks * parts;
  memset(out->data, 0, out->count * weft_type_size(out->type));
  for (size_t i = 0; i < (size_t)c.block_size * (size_t)c.blocks; i++) {
    int64_t place = image_place(&c, (int64_t)i / c.blocks, (int64_t)i % c.blocks);
    const bool floats = type == WEFT_FLOAT && parts == 1;
    for (size_t p = 0; floats && p < planes && place >= 0; p++) {
      ((float *)out->data)[p * image + (size_t)place] += ((const float *)in->data)[p * columns + i];
    }
    for (size_t p = 0; !floats && p < planes * parts && place >= 0; p++) {
      size_t part = p % parts, to = (p / parts * image + (size_t)place) * parts + part;
      double sum =
          weft_number_at(type, out->data, to) + weft_number_at(type, in->data, p / parts * columns + i * parts + part);
      weft_number_set(type, out->data, to, sum);
    }
  }
  return WEFT_OK;
}
