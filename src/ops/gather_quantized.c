/* com.microsoft GatherBlockQuantized: Gather from a table of small integers with a scale, and maybe a zero point, for
 * each block along one axis. Only what is picked becomes floats. Bytes may hold several integers of the last dimension,
 * the lowest bits first. Indices out of range pick zeros. */
#include "../base/convert.h"
#include "index.h"
#include "product.h"

#include <string.h>

enum { DATA, INDICES, SCALES, ZEROS };

typedef struct table {
  const weft_tensor *data, *indices, *scales, *zeros;
  weft_shape shape;                                /* of data, one integer an element */
  weft_shape grid;                                 /* of blocks */
  int axis;                                        /* to pick along */
  unsigned bits;                                   /* of an integer in a byte; 0: elements are as their type says */
  size_t dim, inner, along, within, block, blocks; /* `within`: elements of one step along the axis of blocks */
  float middle;                                    /* the zero point where none is given */
  float *y;
} table;

static weft_status make(weft_op *op, table *t) {
  *t = (table){.data = weft_op_in(op, DATA),
               .indices = weft_op_in(op, INDICES),
               .scales = weft_op_in(op, SCALES),
               .zeros = weft_op_in(op, ZEROS)};
  int64_t bits = weft_op_attr_int(op, "bits", 4), block = weft_op_attr_int(op, "block_size", 128);
  int axis = 0, last = t->data->shape.rank - 1;
  t->shape = t->data->shape;
  bool small = (WEFT_TYPE_BIT(t->data->type) & (WEFT_TYPES_FLOAT8 | WEFT_TYPE_BIT(WEFT_FLOAT4E2M1))) != 0;
  if ((bits != 2 && bits != 4 && bits != 8) || block < !small || t->shape.dims[last] > INT64_MAX / 8) {
    return weft_op_fail(op, "attributes 'bits' and 'block_size': found %lld and %lld, which is no packing",
                        (long long)bits, (long long)block);
  }
  if (t->data->type == WEFT_UINT8) {
    t->bits = (unsigned)bits;
    t->middle = (float)(1u << (t->bits - 1));
    t->shape.dims[last] *= 8 / bits;
  }
  WEFT_TRY(weft_op_axis(op, "gather_axis", weft_op_attr_int(op, "gather_axis", 0), last + 1, &t->axis));
  WEFT_TRY(weft_op_axis(op, "quantize_axis", weft_op_attr_int(op, "quantize_axis", 1), last + 1, &axis));
  t->dim = (size_t)t->shape.dims[t->axis];
  t->inner = weft_shape_product(&t->shape, t->axis + 1, last + 1);
  t->along = (size_t)t->shape.dims[axis];
  t->within = weft_shape_product(&t->shape, axis + 1, last + 1);
  t->block = block > 0 ? (size_t)block : t->along + 1;
  t->blocks = t->along / t->block + (t->along % t->block != 0);
  weft_shape scales = t->shape, zeros = t->shape;
  scales.dims[axis] = zeros.dims[axis] = (int64_t)t->blocks;
  if (t->bits != 0) {
    zeros.dims[last] = (zeros.dims[last] * bits + 7) / 8;
  }
  t->grid = scales;
  for (int i = 0; small && i <= last && i < t->scales->shape.rank; i++) { /* one scale for all along a dimension */
    scales.dims[i] = i != axis && t->scales->shape.dims[i] == 1 ? 1 : scales.dims[i];
  }
  if ((t->bits != 0 && t->bits != 8 && t->axis == last) || !weft_shape_equal(&scales, &t->scales->shape) ||
      (t->zeros != NULL && !weft_shape_equal(&zeros, &t->zeros->shape))) {
    return weft_op_fail(op, "the scales, zero points or axes do not fit the data");
  }
  return WEFT_OK;
}

weft_status weft_gather_quantized_infer(weft_op *op) {
  table t;
  WEFT_TRY(weft_op_expect_inputs(op, 3, 4));
  WEFT_TRY(weft_op_expect_type(op, DATA, "data",
                               WEFT_TYPE_BIT(WEFT_UINT8) | WEFT_TYPE_BIT(WEFT_INT4) | WEFT_TYPE_BIT(WEFT_UINT4) |
                                   WEFT_TYPES_FLOAT8 | WEFT_TYPE_BIT(WEFT_FLOAT4E2M1)));
  WEFT_TRY(weft_op_expect_rank(op, DATA, "data", 1, WEFT_MAX_RANK));
  WEFT_TRY(weft_op_expect_type(op, INDICES, "indices", WEFT_TYPES_INDEX));
  WEFT_TRY(weft_op_expect_type(op, SCALES, "scales", WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE)));
  if (weft_op_has(op, ZEROS)) {
    WEFT_TRY(weft_op_expect_same_type(op, DATA, ZEROS));
  }
  WEFT_TRY(make(op, &t));
  int picked = t.indices->shape.rank, behind = t.shape.rank - t.axis - 1;
  weft_shape out = {.rank = t.axis + picked + behind};
  if (out.rank > WEFT_MAX_RANK) {
    return weft_op_unsupported(op, "output of rank %d, at most %d dims are supported", out.rank, WEFT_MAX_RANK);
  }
  memcpy(out.dims, t.shape.dims, (size_t)t.axis * sizeof *out.dims);
  memcpy(out.dims + t.axis, t.indices->shape.dims, (size_t)picked * sizeof *out.dims);
  memcpy(out.dims + t.axis + picked, t.shape.dims + t.axis + 1, (size_t)behind * sizeof *out.dims);
  return weft_op_set(op, 0, t.scales->type, &out);
}

/* Integer i of a tensor whose rows of `row` integers begin at a byte each. */
static float integer_at(const weft_tensor *tensor, unsigned bits, size_t row, size_t i) {
  float value = 0;
  if (bits == 0) {
    weft_load_float(tensor->type, tensor->data, i, 1, 1, &value);
    return value;
  }
  size_t bit = i % row * bits;
  uint8_t byte = ((const uint8_t *)tensor->data)[i / row * ((row * bits + 7) / 8) + bit / 8];
  return (float)(byte >> (bit % 8) & ((1u << bits) - 1));
}

/* The scale of a block: along dimensions of one it is the same. */
static float scale_of(const table *t, size_t at) {
  float scale = 0;
  size_t place = 0;
  for (size_t d = (size_t)t->grid.rank, stride = 1; d-- > 0;) {
    size_t dim = (size_t)t->grid.dims[d], held = (size_t)t->scales->shape.dims[d];
    place += held == dim ? at % dim * stride : 0;
    stride *= held;
    at /= dim;
  }
  weft_load_float(t->scales->type, t->scales->data, place, 1, 1, &scale);
  return scale;
}

static void gather_rows(void *arg, size_t begin, size_t end) {
  const table *t = arg;
  size_t row = (size_t)t->shape.dims[t->shape.rank - 1];
  size_t scale_row = (size_t)t->scales->shape.dims[t->shape.rank - 1];
  for (size_t i = begin; i < end; i++) {
    int64_t index = weft_index_at(t->indices, i % t->indices->count);
    size_t place = index < 0 ? (size_t)index + t->dim : (size_t)index;
    if (place >= t->dim) {
      memset(t->y + i * t->inner, 0, t->inner * sizeof *t->y);
      continue;
    }
    size_t first = (i / t->indices->count * t->dim + place) * t->inner, held = SIZE_MAX;
    float scale = 0, zero = t->middle;
    for (size_t j = 0; j < t->inner; j++) {
      size_t step = (first + j) / t->within;
      size_t at = (step / t->along * t->blocks + step % t->along / t->block) * t->within + (first + j) % t->within;
      if (at != held) {
        scale = scale_of(t, at);
        zero = t->zeros != NULL ? integer_at(t->zeros, t->bits, scale_row, at) : zero;
        held = at;
      }
      t->y[i * t->inner + j] = (integer_at(t->data, t->bits, row, first + j) - zero) * scale;
    }
  }
}

weft_status weft_gather_quantized_run(weft_op *op) {
  table t;
  weft_tensor *y = weft_op_out(op, 0);
  WEFT_TRY(make(op, &t));
  WEFT_TRY(weft_op_floats_out(op, y, &t.y));
  if (t.y == NULL || y->count == 0) {
    return WEFT_OK;
  }
  weft_parallel(op->cx, y->count / t.inner, 8, gather_rows, &t);
  weft_op_floats_done(op, y, t.y);
  return WEFT_OK;
}
