/* Resize. Every way of interpolating is separable: an output place along one axis is a weighted sum of a few input
 * places. So each axis gets a table of places and weights (resize_table.c), and the tensor is passed through one axis
 * after the other. Nearest needs no sums: its tables are maps for a plain copy of any element type. */
#include "resize.h"

#include "../base/convert.h"
#include "../kernels/elements.h"
#include "../kernels/sample.h"
#include "broadcast.h"
#include "number.h"
#include "strided.h"

#include <string.h>

enum { GRAIN = 1 << 13 };

weft_status weft_resize_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 4));
  weft_resize r;
  WEFT_TRY(weft_resize_read(op, &r));
  const weft_tensor *in = weft_op_in(op, 0);
  weft_shape shape = {in->shape.rank, {0}};
  for (int d = 0; d < shape.rank; d++) {
    shape.dims[d] = r.axes[d].out;
    if (r.axes[d].out > 0 && r.axes[d].in == 0) {
      return weft_op_fail(op, "dim %d of input X has no elements to resize to %lld", d, (long long)r.axes[d].out);
    }
  }
  return weft_op_set(op, 0, in->type, &shape);
}

typedef struct pass {
  const weft_resize_table *table;
  size_t outer, in, out, inner;
  const void *from;
  void *to;
} pass;

/* Rows [begin, end) of outer x out: each is `inner` sums over the same taps; single elements are a row together. */
static void pass_float(void *arg, size_t begin, size_t end) {
  const pass *p = arg;
  const size_t taps = p->table->taps, inner = p->inner;
  for (size_t row = begin, n; row < end; row += n) {
    const size_t x = row % p->out;
    const int64_t *places = p->table->places + x * taps;
    const double *weights = p->table->weights + x * taps;
    const float *from = (const float *)p->from + row / p->out * p->in * inner;
    float *to = (float *)p->to + row * inner;
    n = inner > 1 ? 1 : p->out - x < end - row ? p->out - x : end - row;
    if (inner > 1) {
      weft_sample_rows(inner, taps, places, weights, from, to);
    } else {
      weft_sample_row(n, taps, places, weights, from, to);
    }
  }
}

static void pass_double(void *arg, size_t begin, size_t end) {
  const pass *p = arg;
  const size_t taps = p->table->taps, inner = p->inner;
  for (size_t i = begin * inner; i < end * inner; i++) {
    const size_t row = i / inner, x = row % p->out;
    const double *from = (const double *)p->from + row / p->out * p->in * inner + i % inner;
    double sum = 0;
    for (size_t t = 0; t < taps; t++) {
      sum += p->table->weights[x * taps + t] * from[(size_t)p->table->places[x * taps + t] * inner];
    }
    ((double *)p->to)[i] = sum;
  }
}

/* Types that a float holds exactly, or nearly, are passed as floats. */
static bool works_in_double(weft_type type) {
  return weft_type_size(type) >= 4 && type != WEFT_FLOAT;
}

static weft_status load_numbers(weft_op *op, const weft_tensor *in, weft_type work, const void **out) {
  void *block;
  if (in->type == work) {
    *out = in->data;
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch_array(op, in->count, weft_type_size(work), &block));
  *out = block;
  if (work == WEFT_DOUBLE) {
    weft_load_double(in->type, in->data, 0, 1, in->count, block);
  } else if (weft_type_size(in->type) == 1) {
    op->cx->kernels->dequantize_i8(in->count, in->data, 1, 0, in->type == WEFT_INT8, block);
  } else {
    weft_block_load(op->cx->kernels, in, 0, 1, in->count, block);
  }
  return WEFT_OK;
}

/* Rounded half to even and kept within the type. */
static void store_numbers(weft_op *op, const void *from, weft_type work, weft_tensor *out) {
  if (weft_type_size(out->type) == 1) {
    op->cx->kernels->quantize_i8(out->count, from, 1, 0, out->type == WEFT_INT8, out->data);
    return;
  }
  for (size_t i = 0; i < out->count; i++) {
    weft_number_set(out->type, out->data, i, weft_number_at(work, from, i));
  }
}

/* The axis of the next pass, before `done` have been made: those that shrink from the outermost on, then those that
 * grow from the innermost on, which has single elements as rows: so these are fewest. -1: none is left. */
static int next_axis(const weft_resize *r, const weft_resize_table *tables, int rank, const bool *done) {
  for (int d = 0; d < rank; d++) {
    if (tables[d].places != NULL && !done[d] && r->axes[d].out < r->axes[d].in) {
      return d;
    }
  }
  for (int d = rank - 1; d >= 0; d--) {
    if (tables[d].places != NULL && !done[d]) {
      return d;
    }
  }
  return -1;
}

/* Passes the tensor through every axis that changes. The last pass writes into the output when types allow. */
static weft_status interpolate(weft_op *op, const weft_resize *r, const weft_resize_table *tables) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  weft_type work = works_in_double(in->type) ? WEFT_DOUBLE : WEFT_FLOAT;
  weft_shape shape = in->shape;
  const void *from;
  int left = 0;
  WEFT_TRY(load_numbers(op, in, work, &from));
  for (int d = 0; d < shape.rank; d++) {
    left += tables[d].places != NULL;
  }
  bool done[WEFT_MAX_RANK] = {false};
  for (int d; (d = next_axis(r, tables, shape.rank, done)) >= 0; done[d] = true) {
    pass p = {&tables[d],
              weft_shape_product(&shape, 0, d),
              (size_t)r->axes[d].in,
              (size_t)r->axes[d].out,
              weft_shape_product(&shape, d + 1, shape.rank),
              from,
              out->data};
    size_t rows = p.outer * p.out;
    if (--left > 0 || out->type != work) {
      WEFT_TRY(weft_op_scratch_array(op, rows * p.inner, weft_type_size(work), &p.to));
    }
    weft_parallel(op->cx, rows, GRAIN / (p.inner * p.table->taps) + 1, work == WEFT_FLOAT ? pass_float : pass_double,
                  &p);
    shape.dims[d] = r->axes[d].out;
    from = p.to;
  }
  if (from != out->data && out->type == work) {
    memcpy(out->data, from, out->count * weft_type_size(work));
  } else if (from != out->data) {
    store_numbers(op, from, work, out);
  }
  return WEFT_OK;
}

/* Nearest: tables have one tap; where an axis stays as it is, its map counts up. */
static weft_status pick_nearest(weft_op *op, const weft_resize *r, const weft_resize_table *tables) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  int64_t strides[WEFT_MAX_RANK];
  const int64_t *maps[WEFT_MAX_RANK];
  weft_dense_strides(&in->shape, strides);
  for (int d = 0; d < in->shape.rank; d++) {
    void *block;
    WEFT_TRY(weft_op_scratch_array(op, (size_t)r->axes[d].out, sizeof(int64_t), &block));
    int64_t *map = block;
    for (int64_t i = 0; i < r->axes[d].out; i++) {
      map[i] = (tables[d].places == NULL ? i : tables[d].places[i]) * strides[d];
    }
    maps[d] = map;
  }
  weft_mapped_copy(op->cx, in->shape.rank, out->shape.dims, maps, weft_type_size(in->type), in->data, out->data);
  return WEFT_OK;
}

/* tf_crop_and_resize: places that come from outside of the input get the extrapolation value. */
static void extrapolate(weft_op *op, const weft_resize *r, const weft_resize_table *tables) {
  weft_tensor *out = weft_op_out(op, 0);
  const size_t size = weft_type_size(out->type);
  double value; /* or another type's element */
  weft_number_set(out->type, &value, 0, weft_op_attr_float(op, "extrapolation_value", 0));
  for (int d = 0; d < out->shape.rank; d++) {
    const size_t inner = weft_shape_product(&out->shape, d + 1, out->shape.rank), dim = (size_t)r->axes[d].out;
    const bool *outside = tables[d].outside;
    for (size_t row = 0, i = 0; outside != NULL && row < out->count / inner; row++, i = i + 1 < dim ? i + 1 : 0) {
      if (outside[i]) {
        weft_copy_elements(size, inner, &value, 0, (char *)out->data + row * inner * size, 1);
      }
    }
  }
}

weft_status weft_resize_run(weft_op *op) {
  weft_resize r;
  weft_resize_table tables[WEFT_MAX_RANK];
  WEFT_TRY(weft_resize_read(op, &r));
  const weft_tensor *in = weft_op_in(op, 0);
  if (weft_op_out(op, 0)->count == 0) {
    return WEFT_OK;
  }
  for (int d = 0; d < in->shape.rank; d++) {
    WEFT_TRY(weft_resize_make_table(op, &r, d, &tables[d]));
  }
  WEFT_TRY(r.mode == WEFT_RESIZE_NEAREST ? pick_nearest(op, &r, tables) : interpolate(op, &r, tables));
  if (r.coordinates == WEFT_RESIZE_CROP) {
    extrapolate(op, &r, tables);
  }
  return WEFT_OK;
}
