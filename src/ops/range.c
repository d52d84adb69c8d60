/* Range: start, start + delta, ... below limit. Integers count in unsigned arithmetic, where no distance overflows. */
#include "../base/convert.h"
#include "op.h"

#include <math.h>

#define RANGE_TYPES (WEFT_TYPES_FLOAT | WEFT_TYPES_INDEX | WEFT_TYPE_BIT(WEFT_INT16))

/* The number of elements; DEFERRED while the inputs are unknown. */
static weft_status count_floats(weft_op *op, double *start, double *delta, int64_t *count) {
  double limit;
  WEFT_TRY(weft_op_scalar_float(op, 0, "start", 0, start));
  WEFT_TRY(weft_op_scalar_float(op, 1, "limit", 0, &limit));
  WEFT_TRY(weft_op_scalar_float(op, 2, "delta", 0, delta));
  double steps = ceil((limit - *start) / *delta);
  if (isnan(steps) || *delta == 0 || steps > 0x1p53) {
    return weft_op_run_fail(op, "no finite number of steps leads from start to limit");
  }
  *count = steps > 0 ? (int64_t)steps : 0;
  return WEFT_OK;
}

static weft_status count_integers(weft_op *op, int64_t *start, int64_t *delta, int64_t *count) {
  int64_t limit;
  WEFT_TRY(weft_op_scalar_int(op, 0, "start", 0, start));
  WEFT_TRY(weft_op_scalar_int(op, 1, "limit", 0, &limit));
  WEFT_TRY(weft_op_scalar_int(op, 2, "delta", 0, delta));
  if (*delta == 0) {
    return weft_op_run_fail(op, "delta is zero");
  }
  *count = 0;
  if (*delta > 0 ? limit > *start : limit < *start) {
    uint64_t distance = *delta > 0 ? (uint64_t)limit - (uint64_t)*start : (uint64_t)*start - (uint64_t)limit;
    uint64_t step = *delta > 0 ? (uint64_t)*delta : 0 - (uint64_t)*delta, steps = (distance - 1) / step + 1;
    if (steps > INT64_MAX) {
      return weft_op_run_fail(op, "too many steps lead from start to limit");
    }
    *count = (int64_t)steps;
  }
  return WEFT_OK;
}

weft_status weft_range_infer(weft_op *op) {
  static const char *const names[] = {"start", "limit", "delta"};
  double start, delta;
  int64_t first, step;
  weft_shape shape = {.rank = 1};
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  for (int i = 0; i < 3; i++) {
    WEFT_TRY(weft_op_expect_type(op, i, names[i], RANGE_TYPES));
    WEFT_TRY(weft_op_expect_same_type(op, 0, i));
  }
  weft_type type = weft_op_in(op, 0)->type;
  if (weft_type_is_float(type)) {
    WEFT_TRY(count_floats(op, &start, &delta, &shape.dims[0]));
  } else {
    WEFT_TRY(count_integers(op, &first, &step, &shape.dims[0]));
  }
  return weft_op_set(op, 0, type, &shape);
}

weft_status weft_range_run(weft_op *op) {
  weft_tensor *y = weft_op_out(op, 0);
  double start, delta;
  int64_t first, step, count;
  if (weft_type_is_float(y->type)) {
    WEFT_TRY(count_floats(op, &start, &delta, &count));
    for (size_t i = 0; i < y->count; i++) {
      double value = start + (double)i * delta;
      weft_store_double(y->type, &value, 1, y->data, i, 1);
    }
    return WEFT_OK;
  }
  WEFT_TRY(count_integers(op, &first, &step, &count));
  for (size_t i = 0; i < y->count; i++) {
    int64_t value = (int64_t)((uint64_t)first + (uint64_t)i * (uint64_t)step);
    weft_store_int64(y->type, &value, 1, y->data, i, 1);
  }
  return WEFT_OK;
}
