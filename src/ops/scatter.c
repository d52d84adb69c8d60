/* ScatterElements, ScatterND, TensorScatter: a copy of the data with elements or blocks written over it. Updates run in
 * order on one thread: where two of them meet the same place, the result must not depend on chance. */
#include "../kernels/typed.h"
#include "index.h"
#include "strided.h"

#include <string.h>

enum { MAP = 256 /* indices at a time */ };

typedef enum reduction { REDUCE_NONE, REDUCE_ADD, REDUCE_MUL, REDUCE_MIN, REDUCE_MAX } reduction;

static weft_status read_reduction(weft_op *op, reduction *out) {
  const weft_tensor *in = weft_op_in(op, 0);
  int how;
  WEFT_TRY(weft_op_choice(op, "reduction", "none add mul min max", REDUCE_NONE, &how));
  *out = (reduction)how;
  uint32_t types = WEFT_TYPES_NUMERIC | WEFT_TYPE_BIT(WEFT_BOOL) | (how <= REDUCE_MUL ? WEFT_TYPES_COMPLEX : 0);
  if (how != REDUCE_NONE && (WEFT_TYPE_BIT(in->type) & types) == 0) {
    return weft_op_unsupported(op, "reduction %s of %s elements", weft_op_attr_string(op, "reduction", ""),
                               weft_type_name(in->type));
  }
  return WEFT_OK;
}

/* NaN wins, as in numpy. */
static float reduce_float(reduction how, float a, float b) {
  switch (how) {
  case REDUCE_ADD:
    return a + b;
  case REDUCE_MUL:
    return a * b;
  case REDUCE_MIN:
    return a < b || a != a ? a : b;
  default:
    return a > b || a != a ? a : b;
  }
}

static void reduce_halves(reduction how, bool brain, size_t n, uint16_t *to, const uint16_t *from) {
  for (size_t i = 0; i < n; i++) {
    to[i] =
        brain
            ? weft_float_to_bfloat16(reduce_float(how, weft_bfloat16_to_float(to[i]), weft_bfloat16_to_float(from[i])))
            : weft_float_to_float16(reduce_float(how, weft_float16_to_float(to[i]), weft_float16_to_float(from[i])));
  }
}

/* Complex numbers have sums and products, but no order. */
#define REDUCE_COMPLEX(type)                                                                                           \
  for (size_t i = 0; i < 2 * n; i += 2) {                                                                              \
    type *a = (type *)to + i, re = a[0], im = a[1];                                                                    \
    const type *b = (const type *)from + i;                                                                            \
    a[0] = how == REDUCE_ADD ? re + b[0] : re * b[0] - im * b[1];                                                      \
    a[1] = how == REDUCE_ADD ? im + b[1] : re * b[1] + im * b[0];                                                      \
  }

static const uint8_t typed[][2] = {
    [REDUCE_ADD] = {WEFT_TYPED_ADD, WEFT_TYPED_OR}, /* and of bools */
    [REDUCE_MUL] = {WEFT_TYPED_MUL, WEFT_TYPED_AND},
    [REDUCE_MIN] = {WEFT_TYPED_MIN, WEFT_TYPED_AND},
    [REDUCE_MAX] = {WEFT_TYPED_MAX, WEFT_TYPED_OR},
};

static void reduce_block(const weft_op *op, reduction how, weft_type type, size_t n, void *to, const void *from) {
  static const uint8_t kernel[] = {
      [REDUCE_ADD] = WEFT_BINARY_ADD,
      [REDUCE_MUL] = WEFT_BINARY_MUL,
      [REDUCE_MIN] = WEFT_BINARY_MIN,
      [REDUCE_MAX] = WEFT_BINARY_MAX,
  };
  if (how == REDUCE_NONE) {
    memcpy(to, from, n * weft_type_size(type));
    return;
  }
  weft_typed_binary loop = weft_typed_binary_of((weft_typed)typed[how][type == WEFT_BOOL], type);
  if (loop != NULL) {
    loop(n, to, from, to);
  } else if (type == WEFT_FLOAT && n > 1) {
    op->cx->kernels->binary_f32[kernel[how]](n, to, 1, from, 1, to);
  } else if (type == WEFT_FLOAT) {
    float *a = to;
    *a = reduce_float(how, *a, *(const float *)from);
  } else if (type == WEFT_COMPLEX64) {
    REDUCE_COMPLEX(float)
  } else if (type == WEFT_COMPLEX128) {
    REDUCE_COMPLEX(double)
  } else {
    reduce_halves(how, type == WEFT_BFLOAT16, n, to, from);
  }
}

static void copy_data(const weft_tensor *in, weft_tensor *out) {
  if (out->data != in->data) {
    memcpy(out->data, in->data, in->count * weft_type_size(in->type));
  }
}

weft_status weft_scatter_elements_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  WEFT_TRY(weft_op_expect_type(op, 1, "indices", WEFT_TYPES_INDEX));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 2));
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1), *updates = weft_op_in(op, 2);
  int axis, rank = in->shape.rank;
  reduction how;
  WEFT_TRY(read_reduction(op, &how));
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  bool fits = indices->shape.rank == rank && weft_shape_equal(&indices->shape, &updates->shape);
  for (int d = 0; fits && d < rank; d++) {
    fits = d == axis || indices->shape.dims[d] <= in->shape.dims[d];
  }
  if (!fits) {
    char a[96], b[96], c[96];
    return weft_op_fail(op, "indices of shape %s and updates of shape %s do not fit data of shape %s",
                        weft_shape_print(&indices->shape, a, sizeof a), weft_shape_print(&updates->shape, b, sizeof b),
                        weft_shape_print(&in->shape, c, sizeof c));
  }
  return weft_op_set_like(op, 0, in);
}

/* Updates of one row of the indices, whose places begin at `base`. */
static void scatter_row(const weft_op *op, reduction how, const weft_indices *list, size_t first, size_t row,
                        int64_t along, int64_t step, int64_t base) {
  const weft_tensor *updates = weft_op_in(op, 2), *out = weft_op_out(op, 0);
  size_t size = weft_type_size(out->type);
  int64_t room[MAP];
  for (size_t j = 0; j < row; j += MAP) {
    size_t length = row - j < MAP ? row - j : MAP;
    const char *from = (const char *)updates->data + (first + j) * size;
    char *to = (char *)out->data + (base + (int64_t)j * step) * (int64_t)size;
    /* Whole rows often go to the same place, as where a graph network sums what edges bring to its nodes. */
    if (step == 1 && weft_indices_alike(list, first + j, length)) {
      const int64_t at = *weft_indices_map(list, first + j, 1, along, step, room);
      reduce_block(op, how, out->type, length, to + at * (int64_t)size, from);
      continue;
    }
    const int64_t *map = weft_indices_map(list, first + j, length, along, step, room);
    if (how == REDUCE_NONE) {
      weft_spread_elements(size, length, map, from, to);
      continue;
    }
    const bool alone = length > 1 && map[1] != map[0] + 1;
    if (alone && weft_typed_scatter((weft_typed)typed[how][0], out->type, length, map, from, to)) {
      continue;
    }
    /* Neighbours that go to neighbouring places are reduced at once. */
    for (size_t i = 0, n; i < length; i += n) {
      for (n = 1; i + n < length && map[i + n] == map[i] + (int64_t)n;) {
        n++;
      }
      reduce_block(op, how, out->type, n, to + map[i] * (int64_t)size, from + i * size);
    }
  }
}

weft_status weft_scatter_elements_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  int axis, rank = in->shape.rank;
  int64_t strides[WEFT_MAX_RANK], index[WEFT_MAX_RANK] = {0};
  reduction how;
  WEFT_TRY(read_reduction(op, &how));
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  weft_indices list;
  WEFT_TRY(weft_index_check(op, indices, in->shape.dims[axis], axis, &list));
  copy_data(in, weft_op_out(op, 0));
  weft_dense_strides(&in->shape, strides);
  size_t row = (size_t)indices->shape.dims[rank - 1];
  int64_t along = strides[axis];
  strides[axis] = 0;
  for (size_t i = 0; i < indices->count; i += row) {
    int64_t base = 0;
    for (int d = 0; d < rank - 1; d++) {
      base += index[d] * strides[d];
    }
    scatter_row(op, how, &list, i, row, along, strides[rank - 1], base);
    for (int d = rank - 2; d >= 0 && ++index[d] == indices->shape.dims[d]; d--) {
      index[d] = 0;
    }
  }
  return WEFT_OK;
}

weft_status weft_scatter_nd_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  WEFT_TRY(weft_op_expect_type(op, 1, "indices", WEFT_INDEX_TYPES));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 2));
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1), *updates = weft_op_in(op, 2);
  reduction how;
  WEFT_TRY(read_reduction(op, &how));
  int kept = indices->shape.rank - 1;
  int64_t tuple = kept < 0 ? -1 : indices->shape.dims[kept];
  bool fits = kept >= 0 && tuple <= in->shape.rank && updates->shape.rank == kept + in->shape.rank - (int)tuple;
  for (int d = 0; fits && d < updates->shape.rank; d++) {
    int64_t expected = d < kept ? indices->shape.dims[d] : in->shape.dims[d - kept + (int)tuple];
    fits = updates->shape.dims[d] == expected;
  }
  if (!fits) {
    char a[96], b[96], c[96];
    return weft_op_fail(op, "indices of shape %s and updates of shape %s do not fit data of shape %s",
                        weft_shape_print(&indices->shape, a, sizeof a), weft_shape_print(&updates->shape, b, sizeof b),
                        weft_shape_print(&in->shape, c, sizeof c));
  }
  return weft_op_set_like(op, 0, in);
}

weft_status weft_scatter_nd_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1), *updates = weft_op_in(op, 2);
  weft_tensor *out = weft_op_out(op, 0);
  reduction how;
  WEFT_TRY(read_reduction(op, &how));
  int kept = indices->shape.rank - 1, tuple = (int)indices->shape.dims[kept];
  size_t tuples = weft_shape_product(&indices->shape, 0, kept), size = weft_type_size(in->type);
  size_t block = weft_shape_product(&in->shape, tuple, in->shape.rank);
  copy_data(in, out);
  for (size_t i = 0; i < tuples; i++) {
    int64_t offset;
    WEFT_TRY(weft_index_tuple(op, &in->shape, indices, i, 0, tuple, &offset));
    reduce_block(op, how, in->type, block, (char *)out->data + (size_t)offset * block * size,
                 (const char *)updates->data + i * block * size);
  }
  return WEFT_OK;
}

weft_status weft_tensor_scatter_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 3));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 1));
  WEFT_TRY(weft_op_expect_type(op, 2, "write_indices", WEFT_TYPE_BIT(WEFT_INT64)));
  const weft_tensor *past = weft_op_in(op, 0), *update = weft_op_in(op, 1), *start = weft_op_in(op, 2);
  int circular, axis, rank = past->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", -2), rank, &axis));
  WEFT_TRY(weft_op_choice(op, "mode", "linear circular", 0, &circular));
  bool fits = axis > 0 && update->shape.rank == rank;
  for (int d = 0; fits && d < rank; d++) {
    fits = d == axis ? update->shape.dims[d] <= past->shape.dims[d] : update->shape.dims[d] == past->shape.dims[d];
  }
  fits = fits && (start == NULL || (start->shape.rank == 1 && start->shape.dims[0] == past->shape.dims[0]));
  if (!fits) {
    char a[96], b[96];
    return weft_op_fail(
        op, "update of shape %s does not fit past_cache of shape %s along axis %d, one write index a batch",
        weft_shape_print(&update->shape, a, sizeof a), weft_shape_print(&past->shape, b, sizeof b), axis);
  }
  return weft_op_set_like(op, 0, past);
}

weft_status weft_tensor_scatter_run(weft_op *op) {
  const weft_tensor *past = weft_op_in(op, 0), *update = weft_op_in(op, 1), *start = weft_op_in(op, 2);
  weft_tensor *out = weft_op_out(op, 0);
  int circular, axis, rank = past->shape.rank;
  WEFT_TRY(weft_op_choice(op, "mode", "linear circular", 0, &circular));
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", -2), rank, &axis));
  int64_t room = past->shape.dims[axis], length = update->shape.dims[axis];
  size_t block = weft_shape_product(&past->shape, axis + 1, rank) * weft_type_size(past->type);
  size_t outer = weft_shape_product(&past->shape, 0, axis), per_batch = weft_shape_product(&past->shape, 1, axis);
  for (size_t b = 0; start != NULL && b < start->count; b++) {
    int64_t at = weft_index_at(start, b);
    if (at < 0 || (!circular && at > room - length)) {
      return weft_op_run_fail(op, "input write_indices: element %zu is %lld, but %lld entries must fit in %lld", b,
                              (long long)at, (long long)length, (long long)room);
    }
  }
  copy_data(past, out);
  for (size_t o = 0; o < outer; o++) {
    int64_t at = start == NULL ? 0 : weft_index_at(start, o / per_batch) % (room == 0 ? 1 : room);
    for (int64_t i = 0; i < length; i++) {
      memcpy((char *)out->data + (o * (size_t)room + (size_t)((at + i) % room)) * block,
             (const char *)update->data + (o * (size_t)length + (size_t)i) * block, block);
    }
  }
  return WEFT_OK;
}
