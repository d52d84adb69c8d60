/* See matmul.h. */
#include "matmul.h"

static void swap_sizes(size_t *a, size_t *b) {
  size_t t = *a;
  *a = *b;
  *b = t;
}

void weft_matmul_describe(const weft_shape *shape, bool left, bool transposed, bool batch_transposed,
                          weft_matmul_operand *out) {
  *out = (weft_matmul_operand){.rows = 1, .columns = 1, .row = 1, .column = 1};
  int rank = shape->rank;
  if (rank == 1) { /* a row on the left, a column on the right */
    size_t n = (size_t)shape->dims[0];
    *(left ? &out->columns : &out->rows) = n;
    *(left ? &out->row : &out->column) = n;
    return;
  }
  size_t stride[WEFT_MAX_RANK];
  size_t step = 1;
  for (int d = rank - 1; d >= 0; d--) {
    stride[d] = step;
    step *= (size_t)shape->dims[d];
  }
  int row = batch_transposed ? 0 : rank - 2;
  out->rows = (size_t)shape->dims[row];
  out->columns = (size_t)shape->dims[rank - 1];
  out->row = stride[row];
  out->column = stride[rank - 1];
  for (int d = 0; d < rank - 1; d++) {
    if (d != row) {
      out->batch_dims[out->batch_rank] = shape->dims[d];
      out->batch[out->batch_rank++] = stride[d];
    }
  }
  if (transposed) {
    swap_sizes(&out->rows, &out->columns);
    swap_sizes(&out->row, &out->column);
  }
}

static weft_status broadcast_batches(weft_op *op, weft_matmul_plan *p) {
  p->batch_rank = p->a.batch_rank > p->b.batch_rank ? p->a.batch_rank : p->b.batch_rank;
  p->out.rank = p->batch_rank;
  for (int d = 0; d < p->batch_rank; d++) {
    int i = d - (p->batch_rank - p->a.batch_rank), j = d - (p->batch_rank - p->b.batch_rank);
    int64_t x = i >= 0 ? p->a.batch_dims[i] : 1, y = j >= 0 ? p->b.batch_dims[j] : 1;
    if (x != y && x != 1 && y != 1) {
      return weft_op_fail(op, "the leading dimensions of A and B do not broadcast: %lld against %lld", (long long)x,
                          (long long)y);
    }
    p->out.dims[d] = x == 1 ? y : x;
    p->a_batch[d] = i >= 0 && x != 1 ? p->a.batch[i] : 0;
    p->b_batch[d] = j >= 0 && y != 1 ? p->b.batch[j] : 0;
  }
  return WEFT_OK;
}

weft_status weft_matmul_plan_make(weft_op *op, const weft_shape *a, const weft_shape *b, const weft_matmul_flags *flags,
                                  weft_matmul_plan *p) {
  *p = (weft_matmul_plan){.batches = 1};
  weft_matmul_describe(a, true, flags->transposed_a, flags->batch_transposed_a, &p->a);
  weft_matmul_describe(b, false, flags->transposed_b, flags->batch_transposed_b, &p->b);
  if (p->a.columns != p->b.rows) {
    char left[96], right[96];
    return weft_op_fail(op, "the inner dimensions differ: A %s has %zu columns, B %s has %zu rows",
                        weft_shape_print(a, left, sizeof left), p->a.columns, weft_shape_print(b, right, sizeof right),
                        p->b.rows);
  }
  WEFT_TRY(broadcast_batches(op, p));
  p->m = p->a.rows;
  p->n = p->b.columns;
  p->k = p->a.columns;
  bool dense = !flags->transposed_a && a->rank >= 2 && p->a.row == p->k;
  for (int d = 0; d < p->batch_rank; d++) {
    p->batches *= (size_t)p->out.dims[d];
    dense = dense && (p->b_batch[d] == 0 || p->out.dims[d] == 1) && (p->a_batch[d] != 0 || p->out.dims[d] == 1);
  }
  if (p->out.rank + 2 > WEFT_MAX_RANK) {
    return weft_op_unsupported(op, "the result would have more than %d dimensions", WEFT_MAX_RANK);
  }
  if (a->rank > 1) {
    p->out.dims[p->out.rank++] = (int64_t)p->m;
  }
  if (b->rank > 1) {
    p->out.dims[p->out.rank++] = (int64_t)p->n;
  }
  if (dense && p->batch_rank > 0) {
    p->m *= p->batches;
    p->batches = 1;
    p->batch_rank = 0;
  }
  return WEFT_OK;
}

size_t weft_matmul_offset(const weft_matmul_plan *plan, const size_t *strides, size_t index) {
  size_t offset = 0;
  for (int d = plan->batch_rank - 1; d >= 0; d--) {
    size_t dim = (size_t)plan->out.dims[d];
    offset += index % dim * strides[d];
    index /= dim;
  }
  return offset;
}
