/* NonZero, Compress, OneHot, Trilu, ReverseSequence: elements kept, placed or turned round by conditions and positions.
 */
#include "../base/convert.h"
#include "../kernels/typed.h"
#include "index.h"
#include "number.h"
#include "strided.h"

#include <math.h>
#include <string.h>

static bool is_nonzero(const weft_tensor *tensor, size_t i) {
  if (tensor->type == WEFT_STRING) {
    return ((const weft_string *)tensor->data)[i].size != 0;
  }
  if ((WEFT_TYPE_BIT(tensor->type) & WEFT_TYPES_COMPLEX) != 0) {
    weft_type part = tensor->type == WEFT_COMPLEX64 ? WEFT_FLOAT : WEFT_DOUBLE;
    return weft_number_at(part, tensor->data, 2 * i) != 0 || weft_number_at(part, tensor->data, 2 * i + 1) != 0;
  }
  double value;
  weft_load_double(tensor->type, tensor->data, i, 1, 1, &value);
  return value != 0;
}

/* Whether elements [begin, begin + n) are not zero, as bytes. */
static void find_nonzero(const weft_tensor *in, size_t begin, size_t n, uint8_t *flags) {
  weft_typed_unary loop = weft_typed_convert_of(in->type, WEFT_BOOL);
  if (loop != NULL) {
    loop(n, (const char *)in->data + begin * weft_type_size(in->type), flags);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    flags[i] = is_nonzero(in, begin + i);
  }
}

/* Calls of it fill `places` with the indices of elements that are not zero; NULL: they are only counted. */
static size_t list_nonzero(const weft_tensor *in, int64_t *places) {
  uint8_t flags[WEFT_BLOCK];
  size_t count = 0;
  for (size_t begin = 0; begin < in->count; begin += WEFT_BLOCK) {
    size_t n = in->count - begin < WEFT_BLOCK ? in->count - begin : WEFT_BLOCK;
    find_nonzero(in, begin, n, flags);
    for (size_t i = 0; i < n; i++) {
      if (places != NULL && flags[i] != 0) {
        places[count] = (int64_t)(begin + i);
      }
      count += flags[i];
    }
  }
  return count;
}

/* Data: [rank, count] coordinates in row-major order; [0, count] for a scalar. The places are listed in the last row, and
 * taken apart from there. */
weft_status weft_non_zero_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  const weft_tensor *in = weft_op_in(op, 0);
  size_t count = list_nonzero(in, NULL);
  int rank = in->shape.rank;
  weft_shape shape = {2, {rank, (int64_t)count}};
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_INT64, &shape));
  if (rank == 0 || count == 0) {
    return WEFT_OK;
  }
  int64_t *out = weft_op_out(op, 0)->data, *last = out + (size_t)(rank - 1) * count;
  list_nonzero(in, last);
  for (size_t n = 0; n < count; n++) {
    uint64_t rest = (uint64_t)last[n];
    for (int d = rank - 1; d >= 0; d--) {
      uint64_t dim = (uint64_t)in->shape.dims[d];
      bool narrow = (rest | dim) <= UINT32_MAX; /* a division of 32 bits is much faster */
      uint64_t quotient = narrow ? (uint32_t)rest / (uint32_t)dim : rest / dim;
      out[(size_t)d * count + n] = (int64_t)(rest - quotient * dim);
      rest = quotient;
    }
  }
  return WEFT_OK;
}

weft_status weft_compress_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 1, "condition", WEFT_TYPE_BIT(WEFT_BOOL)));
  bool flat = weft_node_attribute(op->node, "axis") == NULL; /* condition as well, which may be a mask of x's shape */
  WEFT_TRY(weft_op_expect_rank(op, 1, "condition", 1, flat ? WEFT_MAX_RANK : 1));
  const weft_tensor *in = weft_op_in(op, 0), *condition = weft_op_in(op, 1);
  const uint8_t *keep = condition->data;
  weft_shape shape = flat ? (weft_shape){1, {(int64_t)in->count}} : in->shape;
  int axis;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), shape.rank, &axis));
  size_t dim = (size_t)shape.dims[axis], looked_at = condition->count < dim ? condition->count : dim, kept = 0, n = 0;
  size_t outer = weft_shape_product(&shape, 0, axis);
  size_t block = weft_shape_product(&shape, axis + 1, shape.rank) * weft_type_size(in->type);
  for (size_t i = 0; i < looked_at; i++) {
    kept += keep[i] != 0;
  }
  for (size_t i = looked_at; i < condition->count; i++) {
    if (keep[i] != 0) {
      return weft_op_run_fail(op, "input condition: element %zu keeps a place beyond the %zu of the axis", i, dim);
    }
  }
  shape.dims[axis] = (int64_t)kept;
  WEFT_TRY(weft_op_allocate(op, 0, in->type, &shape));
  char *out = weft_op_out(op, 0)->data;
  for (size_t o = 0; o < outer; o++) {
    for (size_t i = 0; i < looked_at; i++) {
      if (keep[i] != 0) {
        memcpy(out + n++ * block, (const char *)in->data + (o * dim + i) * block, block);
      }
    }
  }
  return WEFT_OK;
}

weft_status weft_one_hot_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  WEFT_TRY(weft_op_expect_type(op, 0, "indices", WEFT_TYPES_NUMERIC));
  const weft_tensor *indices = weft_op_in(op, 0), *values = weft_op_in(op, 2);
  int64_t depth;
  int axis, rank = indices->shape.rank + 1;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", -1), rank, &axis));
  if (rank > WEFT_MAX_RANK) {
    return weft_op_unsupported(op, "at most %d dims are supported in the output", WEFT_MAX_RANK);
  }
  if (values->count != 2) {
    return weft_op_fail(op, "input values: expected two elements, off and on, found %zu", values->count);
  }
  WEFT_TRY(weft_op_scalar_int(op, 1, "depth", 0, &depth));
  if (depth < 0) {
    return weft_op_fail(op, "input depth: expected a value >= 0, found %lld", (long long)depth);
  }
  weft_shape shape = {rank, {0}};
  for (int d = 0, from = 0; d < rank; d++) {
    shape.dims[d] = d == axis ? depth : indices->shape.dims[from++];
  }
  return weft_op_set(op, 0, values->type, &shape);
}

/* An index outside [-depth, depth-1] leaves all its places off; so does a negative one with `negative` = 0, as before
 * opset 11 (graph/upgrade/shape.c). */
weft_status weft_one_hot_run(weft_op *op) {
  const weft_tensor *indices = weft_op_in(op, 0), *values = weft_op_in(op, 2);
  weft_tensor *out = weft_op_out(op, 0);
  size_t size = weft_type_size(out->type);
  const bool from_end = weft_op_attr_int(op, "negative", 1) != 0;
  int axis, rank = out->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", -1), rank, &axis));
  size_t inner = weft_shape_product(&out->shape, axis + 1, rank), depth = (size_t)out->shape.dims[axis];
  weft_fill_elements(out->data, out->count, values->data, size);
  for (size_t i = 0; i < indices->count; i++) {
    double at = trunc(weft_number_at(indices->type, indices->data, i));
    at = at < 0 && from_end ? at + (double)depth : at;
    if (at >= 0 && at < (double)depth) {
      size_t place = (i / inner * depth + (size_t)at) * inner + i % inner;
      memcpy((char *)out->data + place * size, (const char *)values->data + size, size);
    }
  }
  return WEFT_OK;
}

weft_status weft_trilu_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 2));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 2, WEFT_MAX_RANK));
  WEFT_TRY(weft_op_expect_type(op, 1, "k", WEFT_TYPE_BIT(WEFT_INT64)));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

weft_status weft_trilu_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  int64_t k, rows = in->shape.dims[in->shape.rank - 2], columns = in->shape.dims[in->shape.rank - 1];
  bool upper = weft_op_attr_int(op, "upper", 1) != 0;
  size_t size = weft_type_size(in->type), pitch = (size_t)columns * size;
  WEFT_TRY(weft_op_scalar_int(op, 1, "k", 0, &k));
  k = k < -rows ? -rows : k > columns ? columns : k;
  for (size_t n = 0; columns > 0 && n < in->count / (size_t)columns; n++) {
    int64_t cut = (int64_t)(n % (size_t)rows) + k + (upper ? 0 : 1);
    size_t left = (size_t)(cut < 0 ? 0 : cut > columns ? columns : cut) * size;
    const char *from = (const char *)in->data + n * pitch;
    char *to = (char *)out->data + n * pitch;
    memmove(to, from, pitch);
    memset(upper ? to : to + left, 0, upper ? left : pitch - left);
  }
  return WEFT_OK;
}

weft_status weft_reverse_sequence_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 2, WEFT_MAX_RANK));
  WEFT_TRY(weft_op_expect_type(op, 1, "sequence_lens", WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(weft_op_expect_rank(op, 1, "sequence_lens", 1, 1));
  const weft_tensor *in = weft_op_in(op, 0), *lengths = weft_op_in(op, 1);
  int64_t time = weft_op_attr_int(op, "time_axis", 0), batch = weft_op_attr_int(op, "batch_axis", 1);
  if ((time != 0 || batch != 1) && (time != 1 || batch != 0)) {
    return weft_op_fail(op, "time_axis and batch_axis: expected 0 and 1 or 1 and 0, found %lld and %lld",
                        (long long)time, (long long)batch);
  }
  if (lengths->shape.dims[0] != in->shape.dims[batch]) {
    return weft_op_fail(op, "input sequence_lens: expected %lld elements, one for each batch, found %lld",
                        (long long)in->shape.dims[batch], (long long)lengths->shape.dims[0]);
  }
  return weft_op_set_like(op, 0, in);
}

weft_status weft_reverse_sequence_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *lengths = weft_op_in(op, 1);
  weft_tensor *out = weft_op_out(op, 0);
  int batch_axis = (int)weft_op_attr_int(op, "batch_axis", 1);
  int64_t times = in->shape.dims[1 - batch_axis], batches = in->shape.dims[batch_axis];
  size_t block = weft_shape_product(&in->shape, 2, in->shape.rank) * weft_type_size(in->type);
  for (int64_t b = 0; b < batches; b++) {
    int64_t length = weft_index_at(lengths, (size_t)b);
    if (length < 0 || length > times) {
      return weft_op_run_fail(op, "input sequence_lens: element %lld is %lld, expected a value in [0, %lld]",
                              (long long)b, (long long)length, (long long)times);
    }
    for (int64_t t = 0; t < times; t++) {
      int64_t s = t < length ? length - 1 - t : t;
      int64_t to = batch_axis == 0 ? b * times + t : t * batches + b,
              from = batch_axis == 0 ? b * times + s : s * batches + b;
      memcpy((char *)out->data + (size_t)to * block, (const char *)in->data + (size_t)from * block, block);
    }
  }
  return WEFT_OK;
}
