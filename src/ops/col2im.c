/* Col2Im: blocks of columns added back to the image they were cut from, over any number of axes. */
#include "broadcast.h"
#include "contributions.h"
#include "number.h"
#include "product.h"

#include <string.h>

typedef struct col2im {
  weft_window window;         /* from where blocks are put (`in`) to the image (`out`) */
  int64_t block_size, blocks; /* products of `kernel` and `in` */
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
  weft_window *w = &c->window;
  *c = (col2im){.block_size = 1, .blocks = 1};
  WEFT_TRY(weft_op_ints(op, 1, "image_shape", WEFT_MAX_RANK - 2, w->out, &axes));
  WEFT_TRY(weft_op_ints(op, 2, "block_shape", WEFT_MAX_RANK - 2, w->kernel, &block_axes));
  if (axes != block_axes || axes == 0) {
    return weft_op_fail(op, "inputs image_shape and block_shape: expected as many elements, found %zu and %zu", axes,
                        block_axes);
  }
  WEFT_TRY(read_list(op, "strides", axes, 1, 1, w->stride));
  WEFT_TRY(read_list(op, "dilations", axes, 1, 1, w->dilation));
  WEFT_TRY(read_list(op, "pads", 2 * axes, 0, 0, pads));
  w->rank = (int)axes;
  for (size_t d = 0; d < axes; d++) {
    if (w->out[d] < 0 || w->out[d] > INT32_MAX || w->kernel[d] < 1 || w->kernel[d] > INT32_MAX) {
      return weft_op_fail(op, "axis %zu: an image of %lld and blocks of %lld", d, (long long)w->out[d],
                          (long long)w->kernel[d]);
    }
    w->pad_begin[d] = pads[d];
    int64_t room = w->out[d] + pads[d] + pads[axes + d] - w->dilation[d] * (w->kernel[d] - 1) - 1;
    w->in[d] = room < 0 ? 0 : room / w->stride[d] + 1;
    if (c->block_size > INT32_MAX / w->kernel[d] || (w->in[d] > 0 && c->blocks > INT64_MAX / 2 / w->in[d])) {
      return weft_op_fail(op, "block_shape: the blocks are too large");
    }
    c->block_size *= w->kernel[d];
    c->blocks *= w->in[d];
  }
  w->taps = (size_t)c->block_size;
  w->in_count = (size_t)c->blocks;
  w->out_count = 1;
  for (size_t d = 0; d < axes; d++) {
    w->out_count *= (size_t)w->out[d];
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
  weft_shape shape = {c.window.rank + 2, {in->shape.dims[0], in->shape.dims[1] / c.block_size}};
  memcpy(shape.dims + 2, c.window.out, (size_t)c.window.rank * sizeof *shape.dims);
  return weft_op_set(op, 0, in->type, &shape);
}

/* Float planes, each by one thread. */
typedef struct planes {
  const weft_window *window;
  const float *in;
  float *out, *room; /* room: one part a slot */
} planes;

static void add_planes(void *arg, uint32_t slot, size_t begin, size_t end) {
  const planes *job = arg;
  const weft_window *w = job->window;
  for (size_t p = begin; p < end; p++) {
    weft_contributions_add(w, job->in + p * w->taps * w->in_count, 0, job->room + slot * weft_contributions_room(w),
                           job->out + p * w->out_count);
  }
}

/* Of any type, `parts` numbers an element: the definition. */
static void add_numbers(const weft_window *w, weft_type type, size_t parts, size_t plane, const weft_tensor *in,
                        weft_tensor *out) {
  int64_t tap[WEFT_MAX_RANK] = {0}, at[WEFT_MAX_RANK] = {0};
  size_t from = plane * w->taps * w->in_count * parts;
  do {
    do {
      int64_t place = weft_output_place(w, w->rank, at, tap);
      for (size_t part = 0; part < parts; part++, from++) {
        size_t to = (plane * w->out_count + (size_t)(place < 0 ? 0 : place)) * parts + part;
        if (place >= 0) {
          double sum = weft_number_at(type, out->data, to) + weft_number_at(type, in->data, from);
          weft_number_set(type, out->data, to, sum);
        }
      }
    } while (weft_window_next(w->rank, w->in, at));
  } while (weft_window_next(w->rank, w->kernel, tap));
}

weft_status weft_col2im_run(weft_op *op) {
  col2im c;
  WEFT_TRY(read_col2im(op, &c));
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  const weft_window *w = &c.window;
  size_t count = (size_t)out->shape.dims[0] * (size_t)out->shape.dims[1];
  if (out->count == 0) {
    return WEFT_OK;
  }
  if (out->type == WEFT_FLOAT) {
    void *room;
    WEFT_TRY(
        weft_op_scratch_array(op, weft_parallel_threads(op->cx), weft_contributions_room(w) * sizeof(float), &room));
    planes job = {w, in->data, out->data, room};
    weft_parallel_slots(op->cx, count, WEFT_GRAIN / w->out_count + 1, add_planes, &job);
    return WEFT_OK;
  }
  weft_type type;
  size_t parts = weft_number_parts(out->type, &type);
  memset(out->data, 0, out->count * weft_type_size(out->type));
  for (size_t p = 0; p < count && in->count > 0; p++) {
    add_numbers(w, type, parts, p, in, out);
  }
  return WEFT_OK;
}
