/* Gather, GatherElements, GatherND: elements or blocks picked by index. All indices are checked before the first is
 * used, so that the copying itself can neither fail nor be left half done by threads. */
#include "index.h"
#include "strided.h"

#include <string.h>

enum { GRAIN_BYTES = 1 << 14, MAP = 256 /* indices at a time */ };

weft_status weft_index_check(weft_op *op, const weft_tensor *indices, int64_t dim, int axis, weft_indices *list) {
  weft_indices own;
  list = list != NULL ? list : &own;
  *list = (weft_indices){.data = indices->data, .size = weft_type_size(indices->type), .dim = dim};
  size_t i = weft_indices_check(list, indices->count, &list->negative);
  if (i == indices->count) {
    return WEFT_OK;
  }
  return weft_op_run_fail(op, "input indices: element %zu is %lld, expected a value in [%lld, %lld] for axis %d", i,
                          (long long)weft_index_at(indices, i), (long long)-dim, (long long)dim - 1, axis);
}

weft_status weft_gather_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 1, "indices", WEFT_TYPES_INDEX));
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  int axis, rank = in->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  weft_shape shape = {rank - 1 + indices->shape.rank, {0}};
  if (shape.rank > WEFT_MAX_RANK) {
    return weft_op_unsupported(op, "output of rank %d, at most %d dims are supported", shape.rank, WEFT_MAX_RANK);
  }
  size_t dim = sizeof *shape.dims;
  memcpy(shape.dims, in->shape.dims, (size_t)axis * dim);
  memcpy(shape.dims + axis, indices->shape.dims, (size_t)indices->shape.rank * dim);
  memcpy(shape.dims + axis + indices->shape.rank, in->shape.dims + axis + 1, (size_t)(rank - 1 - axis) * dim);
  return weft_op_set(op, 0, in->type, &shape);
}

typedef struct gather_job {
  weft_indices indices;
  size_t count; /* of indices */
  size_t block; /* bytes */
  const char *from;
  char *to;
} gather_job;

/* Blocks [begin, end) of the output, as many at once as belong to one outer position and fit in the map. */
static void gather_blocks(void *arg, size_t begin, size_t end) {
  const gather_job *job = arg;
  int64_t map[MAP];
  size_t outer = begin / job->count, first = begin % job->count;
  for (size_t n = begin, some; n < end; n += some, first = 0, outer++) {
    for (some = 0; first + some < job->count && n + some < end;) {
      size_t at = first + some, left = weft_smaller(job->count - at, end - n - some), length = weft_smaller(left, MAP);
      weft_map_elements(job->block, length, weft_indices_map(&job->indices, at, length, 1, 0, map),
                        job->from + outer * (size_t)job->indices.dim * job->block, job->to + (n + some) * job->block);
      some += length;
    }
  }
}

/* One index for all: a slice. */
static void gather_slice(weft_op *op, size_t outer, int64_t dim, size_t block, int64_t index) {
  const weft_tensor *in = weft_op_in(op, 0), *out = weft_op_out(op, 0);
  size_t size = weft_type_size(in->type);
  int64_t elements = (int64_t)(block / size);
  weft_strided slice = {.rank = 0};
  weft_strided_add(&slice, (int64_t)outer, dim * elements, elements);
  weft_strided_add(&slice, elements, 1, 1);
  weft_strided_copy(op->cx, &slice, size, (const char *)in->data + (index < 0 ? index + dim : index) * (int64_t)block,
                    out->data);
}

/* A table in 16 bits that the last layer multiplies with as well is read from the panels of that product. */
weft_status weft_gather_prepare(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  if (weft_op_is_constant(op, 0) && weft_type_is_half(in->type) && in->shape.rank == 2 &&
      weft_op_attr_int(op, "axis", 0) % 2 == 0) {
    weft_op_agree(op, 0, WEFT_FORM_PANELS_OF_TRANSPOSE);
  }
  return WEFT_OK;
}

static void gather_columns(const gather_job *job, const weft_tensor *indices) {
  const uint16_t *from = (const uint16_t *)(const void *)job->from;
  uint16_t *to = (uint16_t *)(void *)job->to;
  const size_t width = job->block / sizeof *to;
  for (size_t i = 0; i < job->count; i++) {
    const int64_t index = weft_index_at(indices, i);
    const size_t row = (size_t)(index < 0 ? index + job->indices.dim : index);
    const uint16_t *column = from + row / WEFT_GEMM_NR * WEFT_GEMM_NR * width + row % WEFT_GEMM_NR;
    for (size_t k = 0; k < width; k++) {
      *to++ = column[k * WEFT_GEMM_NR];
    }
  }
}

weft_status weft_gather_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  weft_tensor *out = weft_op_out(op, 0);
  int axis, rank = in->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  int64_t dim = in->shape.dims[axis];
  weft_indices list;
  WEFT_TRY(weft_index_check(op, indices, dim, axis, &list));
  size_t block = weft_shape_product(&in->shape, axis + 1, rank) * weft_type_size(in->type);
  size_t outer = weft_shape_product(&in->shape, 0, axis);
  if (out->count == 0) {
    return WEFT_OK;
  }
  gather_job job = {list, indices->count, block, in->data, out->data};
  if (weft_op_form(op, 0) != 0) {
    gather_columns(&job, indices);
    return WEFT_OK;
  }
  if (indices->count == 1) {
    gather_slice(op, outer, dim, block, weft_index_at(indices, 0));
    return WEFT_OK;
  }
  weft_parallel(op->cx, outer * indices->count, GRAIN_BYTES / block + 1, gather_blocks, &job);
  return WEFT_OK;
}

weft_status weft_gather_elements_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 1, "indices", WEFT_TYPES_INDEX));
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  int axis, rank = in->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  bool fits = indices->shape.rank == rank;
  for (int d = 0; fits && d < rank; d++) {
    fits = d == axis || indices->shape.dims[d] <= in->shape.dims[d];
  }
  if (!fits) {
    char a[96], b[96];
    return weft_op_fail(op, "input indices of shape %s reaches beyond data of shape %s",
                        weft_shape_print(&indices->shape, a, sizeof a), weft_shape_print(&in->shape, b, sizeof b));
  }
  return weft_op_set(op, 0, in->type, &indices->shape);
}

typedef struct elements_job {
  weft_indices indices;
  const weft_shape *shape;        /* of the indices */
  int64_t strides[WEFT_MAX_RANK]; /* of the data, 0 for the axis */
  int64_t along;                  /* the axis's own */
  size_t row, size;
  const char *from;
  char *to;
} elements_job;

/* Rows [begin, end) of the last dimension of the indices. */
static void gather_rows(void *arg, size_t begin, size_t end) {
  const elements_job *job = arg;
  int64_t map[MAP], step = job->strides[job->shape->rank - 1];
  for (size_t n = begin; n < end; n++) {
    int64_t base = 0;
    size_t rest = n;
    for (int d = job->shape->rank - 2; d >= 0; d--) {
      base += (int64_t)(rest % (size_t)job->shape->dims[d]) * job->strides[d];
      rest /= (size_t)job->shape->dims[d];
    }
    for (size_t j = 0; j < job->row; j += MAP) {
      size_t length = weft_smaller(job->row - j, MAP), at = n * job->row + j;
      weft_map_elements(job->size, length, weft_indices_map(&job->indices, at, length, job->along, step, map),
                        job->from + (base + (int64_t)j * step) * (int64_t)job->size, job->to + at * job->size);
    }
  }
}

weft_status weft_gather_elements_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  weft_tensor *out = weft_op_out(op, 0);
  int axis, rank = in->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  weft_indices list;
  WEFT_TRY(weft_index_check(op, indices, in->shape.dims[axis], axis, &list));
  if (out->count == 0) {
    return WEFT_OK;
  }
  elements_job job = {.indices = list,
                      .shape = &indices->shape,
                      .row = (size_t)indices->shape.dims[rank - 1],
                      .size = weft_type_size(in->type),
                      .from = in->data,
                      .to = out->data};
  weft_dense_strides(&in->shape, job.strides);
  job.along = job.strides[axis];
  job.strides[axis] = 0;
  weft_parallel(op->cx, out->count / job.row, GRAIN_BYTES / (job.row * job.size) + 1, gather_rows, &job);
  return WEFT_OK;
}

/* How many leading dims batch_dims shares, and how many dims each index tuple names. */
static weft_status gather_nd_dims(weft_op *op, int *batch, int *tuple) {
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  int64_t batch_dims = weft_op_attr_int(op, "batch_dims", 0);
  int rank = in->shape.rank, index_rank = indices->shape.rank;
  char a[96], b[96];
  weft_shape_print(&in->shape, a, sizeof a);
  weft_shape_print(&indices->shape, b, sizeof b);
  if (rank < 1 || index_rank < 1) {
    return weft_op_fail(op, "expected data and indices of rank 1 or more, found shapes %s and %s", a, b);
  }
  if (batch_dims < 0 || batch_dims >= index_rank || batch_dims >= rank) {
    return weft_op_fail(op, "batch_dims: %lld does not suit data of shape %s and indices of shape %s",
                        (long long)batch_dims, a, b);
  }
  int64_t last = indices->shape.dims[index_rank - 1];
  bool fits = last <= rank - batch_dims;
  for (int d = 0; fits && d < batch_dims; d++) {
    fits = in->shape.dims[d] == indices->shape.dims[d];
  }
  if (!fits) {
    return weft_op_fail(op, "indices of shape %s do not address data of shape %s with batch_dims %lld", b, a,
                        (long long)batch_dims);
  }
  *batch = (int)batch_dims;
  *tuple = (int)last;
  return WEFT_OK;
}

weft_status weft_gather_nd_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 1, "indices", WEFT_INDEX_TYPES));
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  int batch, tuple, kept = indices->shape.rank - 1;
  WEFT_TRY(gather_nd_dims(op, &batch, &tuple));
  weft_shape shape = {kept, {0}};
  memcpy(shape.dims, indices->shape.dims, (size_t)kept * sizeof *shape.dims);
  for (int d = batch + tuple; d < in->shape.rank; d++) {
    if (shape.rank == WEFT_MAX_RANK) {
      return weft_op_unsupported(op, "at most %d dims are supported in the output", WEFT_MAX_RANK);
    }
    shape.dims[shape.rank++] = in->shape.dims[d];
  }
  return weft_op_set(op, 0, in->type, &shape);
}

weft_status weft_index_tuple(weft_op *op, const weft_shape *shape, const weft_tensor *indices, size_t number, int first,
                             int length, int64_t *offset) {
  *offset = 0;
  for (int k = 0; k < length; k++) {
    int64_t dim = shape->dims[first + k], at = weft_index_at(indices, number * (size_t)length + (size_t)k);
    if (at < -dim || at >= dim) {
      return weft_op_run_fail(op, "input indices: tuple %zu names %lld for axis %d, expected a value in [%lld, %lld]",
                              number, (long long)at, first + k, (long long)-dim, (long long)dim - 1);
    }
    *offset = *offset * dim + (at < 0 ? at + dim : at);
  }
  return WEFT_OK;
}

weft_status weft_gather_nd_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  weft_tensor *out = weft_op_out(op, 0);
  int batch, tuple;
  WEFT_TRY(gather_nd_dims(op, &batch, &tuple));
  size_t block = weft_shape_product(&in->shape, batch + tuple, in->shape.rank) * weft_type_size(in->type);
  size_t tuples = weft_shape_product(&indices->shape, 0, indices->shape.rank - 1);
  size_t per_batch = weft_shape_product(&indices->shape, batch, indices->shape.rank - 1);
  size_t batch_bytes = weft_shape_product(&in->shape, batch, batch + tuple) * block;
  for (size_t i = 0; i < tuples; i++) {
    int64_t offset;
    WEFT_TRY(weft_index_tuple(op, &in->shape, indices, i, batch, tuple, &offset));
    memcpy((char *)out->data + i * block, (const char *)in->data + i / per_batch * batch_bytes + (size_t)offset * block,
           block);
  }
  return WEFT_OK;
}
