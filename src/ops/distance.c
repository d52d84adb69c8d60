/* com.microsoft CDist: the distance of every row of one matrix from every row of another, as nearest neighbours ask. */
#include "../base/convert.h"
#include "../kernels/typed.h"
#include "op.h"
#include "product.h"

#include <math.h>

static weft_status read_metric(const weft_op *op, int *squared) {
  return weft_op_choice(op, "metric", "euclidean sqeuclidean", 1, squared);
}

weft_status weft_distance_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "A", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 1));
  WEFT_TRY(weft_op_expect_rank(op, 0, "A", 2, 2));
  WEFT_TRY(weft_op_expect_rank(op, 1, "B", 2, 2));
  const weft_tensor *a = weft_op_in(op, 0), *b = weft_op_in(op, 1);
  int squared;
  if (a->shape.dims[1] != b->shape.dims[1]) {
    return weft_op_fail(op, "rows of %lld and of %lld numbers have no distance", (long long)a->shape.dims[1],
                        (long long)b->shape.dims[1]);
  }
  WEFT_TRY(read_metric(op, &squared));
  weft_shape out = {.rank = 2, .dims = {a->shape.dims[0], b->shape.dims[0]}};
  return weft_op_set(op, 0, a->type, &out);
}

typedef struct distances {
  const weft_tensor *a, *b;
  weft_tensor *out;
  size_t size, columns;
  bool squared;
  double *rows; /* two for every slot */
} distances;

static void run_rows(void *arg, uint32_t slot, size_t begin, size_t end) {
  const distances *d = arg;
  double *x = d->rows + 2 * slot * d->size, *y = x + d->size;
  for (size_t i = begin; i < end; i++) {
    weft_load_double(d->a->type, d->a->data, i * d->size, 1, d->size, x);
    for (size_t j = 0; j < d->columns; j++) {
      double sum = 0;
      if (d->b->type == WEFT_FLOAT) {
        sum = weft_typed_dot(d->size, x, (const float *)d->b->data + j * d->size, true);
      } else {
        weft_load_double(d->b->type, d->b->data, j * d->size, 1, d->size, y);
        for (size_t k = 0; k < d->size; k++) {
          sum += (x[k] - y[k]) * (x[k] - y[k]);
        }
      }
      sum = d->squared ? sum : sqrt(sum);
      weft_store_double(d->out->type, &sum, 1, d->out->data, i * d->columns + j, 1);
    }
  }
}

weft_status weft_distance_run(weft_op *op) {
  distances d = {.a = weft_op_in(op, 0), .b = weft_op_in(op, 1), .out = weft_op_out(op, 0)};
  void *room = NULL;
  size_t slots = 2 * (size_t)weft_parallel_threads(op->cx);
  int squared;
  WEFT_TRY(read_metric(op, &squared));
  d.squared = squared != 0;
  d.size = (size_t)d.a->shape.dims[1];
  d.columns = (size_t)d.b->shape.dims[0];
  if (d.out->count == 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch_array(op, d.size, slots * sizeof(double), &room));
  d.rows = room;
  weft_parallel_slots(op->cx, (size_t)d.a->shape.dims[0], 8, run_rows, &d);
  return WEFT_OK;
}
