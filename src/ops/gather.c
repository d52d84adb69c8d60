/* Gather, GatherElements, GatherND: elements or blocks picked by index. All indices are checked before the first is
 * used, so that the copying itself can neither fail nor be left half done by threads. */
#include "index.h"
#include "strided.h"

#include <string.h>

enum { GRAIN_BYTES = 1 << 14 };

weft_status weft_index_check(weft_op *op, const weft_tensor *indices, int64_t dim, int axis) {
  for (size_t i = 0; i < indices->count; i++) {
    int64_t index = weft_index_at(indices, i);
    if (index < -dim || index >= dim) {
      return weft_op_run_fail(op, "input indices: element %zu is %lld, expected a value in [%lld, %lld] for axis %d", i,
                              (long long)index, (long long)-dim, (long long)dim - 1, axis);
    }
  }
  return WEFT_OK;
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
  const weft_tensor *indices;
  size_t block; /* bytes */
  int64_t dim;
  const char *from;
  char *to;
} gather_job;

/* Copies of a size that is not known are calls. */
static inline void copy_element(char *to, const char *from, size_t size) {
  switch (size) {
  case 4:
    memcpy(to, from, 4);
    break;
  case 8:
    memcpy(to, from, 8);
    break;
  default:
    memcpy(to, from, size);
  }
}

static void gather_blocks(void *arg, size_t begin, size_t end) {
  const gather_job *job = arg;
  size_t count = job->indices->count, size = job->block;
  for (size_t i = begin; i < end; i++) {
    int64_t index = weft_index_at(job->indices, i % count), outer = (int64_t)(i / count);
    const char *from = job->from + (outer * job->dim + (index < 0 ? index + job->dim : index)) * (int64_t)size;
    copy_element(job->to + i * size, from, size);
  }
}

weft_status weft_gather_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  weft_tensor *out = weft_op_out(op, 0);
  int axis, rank = in->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  int64_t dim = in->shape.dims[axis];
  WEFT_TRY(weft_index_check(op, indices, dim, axis));
  size_t block = weft_shape_product(&in->shape, axis + 1, rank) * weft_type_size(in->type);
  size_t outer = weft_shape_product(&in->shape, 0, axis);
  if (out->count == 0) {
    return WEFT_OK;
  }
  gather_job job = {indices, block, dim, in->data, out->data};
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

weft_status weft_gather_elements_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *indices = weft_op_in(op, 1);
  weft_tensor *out = weft_op_out(op, 0);
  int axis, rank = in->shape.rank;
  int64_t strides[WEFT_MAX_RANK], index[WEFT_MAX_RANK] = {0};
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  WEFT_TRY(weft_index_check(op, indices, in->shape.dims[axis], axis));
  weft_dense_strides(&in->shape, strides);
  int64_t dim = in->shape.dims[axis], along = strides[axis], row = indices->shape.dims[rank - 1];
  int64_t step = axis == rank - 1 ? 0 : 1, size = (int64_t)weft_type_size(in->type);
  for (size_t i = 0; i < out->count; i += (size_t)row) {
    int64_t base = 0;
    for (int d = 0; d < rank - 1; d++) {
      base += d == axis ? 0 : index[d] * strides[d];
    }
    for (int64_t j = 0; j < row; j++) {
      int64_t at = weft_index_at(indices, i + (size_t)j);
      int64_t from = base + j * step + (at < 0 ? at + dim : at) * along;
      copy_element((char *)out->data + ((int64_t)i + j) * size, (const char *)in->data + from * size, (size_t)size);
    }
    for (int d = rank - 2; d >= 0 && ++index[d] == indices->shape.dims[d]; d--) {
      index[d] = 0;
    }
  }
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
    return weft_op_fail(op, "batch_dims: %lld is too large for data of shape %s and indices of shape %s",
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
  WEFT_TRY(weft_op_expect_type(op, 1, "indices", WEFT_TYPE_BIT(WEFT_INT64)));
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

weft_status weft_index_tuple(weft_op *op, const weft_shape *shape, const int64_t *tuple, size_t number, int first,
                             int length, int64_t *offset) {
  *offset = 0;
  for (int k = 0; k < length; k++) {
    int64_t dim = shape->dims[first + k], at = tuple[k];
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
  const int64_t *index = indices->data;
  for (size_t i = 0; i < tuples; i++) {
    int64_t offset;
    WEFT_TRY(weft_index_tuple(op, &in->shape, index + i * (size_t)tuple, i, batch, tuple, &offset));
    memcpy((char *)out->data + i * block, (const char *)in->data + i / per_batch * batch_bytes + (size_t)offset * block,
           block);
  }
  return WEFT_OK;
}
