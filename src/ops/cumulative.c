/* CumSum and CumProd: running totals along one axis, forwards or backwards, with or without the element itself. */
#include "fold.h"

typedef struct cumulative {
  bool product, exclusive, reverse;
} cumulative;

static weft_status read_axis(weft_op *op, int *axis) {
  int64_t value;
  WEFT_TRY(weft_op_scalar_int(op, 1, "axis", 0, &value));
  return weft_op_axis(op, "input axis", value, weft_op_in(op, 0)->shape.rank, axis);
}

weft_status weft_cumulative_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "x", WEFT_TYPES_NUMERIC));
  WEFT_TRY(weft_op_expect_type(op, 1, "axis", WEFT_TYPES_INDEX));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

static void of_doubles(const void *arg, size_t n, const double *x, double *y) {
  const cumulative *c = arg;
  double total = c->product ? 1 : 0;
  for (size_t k = 0; k < n; k++) {
    size_t i = c->reverse ? n - 1 - k : k;
    double before = total;
    total = c->product ? total * x[i] : total + x[i];
    y[i] = c->exclusive ? before : total;
  }
}

/* In unsigned arithmetic, which wraps. */
static void of_integers(const void *arg, size_t n, const int64_t *x, int64_t *y) {
  const cumulative *c = arg;
  uint64_t total = c->product ? 1 : 0;
  for (size_t k = 0; k < n; k++) {
    size_t i = c->reverse ? n - 1 - k : k;
    uint64_t before = total;
    total = c->product ? total * (uint64_t)x[i] : total + (uint64_t)x[i];
    y[i] = (int64_t)(c->exclusive ? before : total);
  }
}

weft_status weft_cumulative_run(weft_op *op) {
  static const weft_row_functions functions = {NULL, of_doubles, of_integers};
  cumulative c = {op->def->variant == WEFT_CUMULATIVE_PROD, weft_op_attr_int(op, "exclusive", 0) != 0,
                  weft_op_attr_int(op, "reverse", 0) != 0};
  int axis;
  WEFT_TRY(read_axis(op, &axis));
  return weft_rows_run(op, weft_op_in(op, 0), weft_op_out(op, 0), axis, &functions, &c);
}
