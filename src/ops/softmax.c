/* Softmax, LogSoftmax, Hardmax and LpNormalization: one row along one axis at a time, or for the first two, many side
 * by side where rows are no neighbours. */
#include "softmax.h"
#include "../base/elementary.h"

#include "../base/convert.h"
#include "../kernels/typed.h"
#include "fold.h"
#include "product.h"

#include <math.h>
#include <string.h>

typedef struct softmax {
  weft_context *cx;
  weft_type type;
  int variant;
  int64_t p; /* of LpNormalization */
} softmax;

weft_status weft_softmax_infer(weft_op *op) {
  int axis;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPES_FLOAT));
  const weft_tensor *x = weft_op_in(op, 0);
  int64_t p;
  WEFT_TRY(op->def->variant == WEFT_LP_NORM ? weft_op_attr_within(op, "p", 2, 1, 2, &p) : WEFT_OK);
  if (x->shape.rank > 0) {
    WEFT_TRY(weft_op_axis(op, "attribute axis", weft_op_attr_int(op, "axis", -1), x->shape.rank, &axis));
  }
  return weft_op_set_like(op, 0, x);
}

void weft_round_floats(const weft_kernels *kernels, weft_type type, size_t n, float *x) {
  uint16_t block[WEFT_BLOCK];
  if (!weft_type_is_half(type)) {
    return;
  }
  for (size_t i = 0; i < n; i += WEFT_BLOCK) {
    size_t count = n - i < WEFT_BLOCK ? n - i : WEFT_BLOCK;
    weft_narrow(kernels, type, count, x + i, block);
    weft_widen(kernels, type, count, block, x + i);
  }
}

/* The sum of the exponentials of x, each rounded; they are left in `out`, which may be x, unless it is NULL. */
static float sum_of_exponentials(const weft_kernels *kernels, weft_type type, size_t n, const float *x, float *out) {
  float block[WEFT_BLOCK], sum = 0;
  for (size_t i = 0; i < n; i += WEFT_BLOCK) {
    size_t count = n - i < WEFT_BLOCK ? n - i : WEFT_BLOCK;
    float *to = out != NULL ? out + i : block;
    kernels->unary_f32[WEFT_UNARY_EXP](count, x + i, to);
    weft_round_floats(kernels, type, count, to);
    sum += kernels->sum_f32(count, to);
  }
  weft_round_floats(kernels, type, 1, &sum);
  return sum;
}

void weft_softmax_row(const weft_kernels *kernels, weft_type type, size_t n, const float *x, bool logarithm, float *y) {
  if (n == 0 || !weft_type_is_half(type)) {
    kernels->softmax_f32(n, x, logarithm, y);
    return;
  }
  float greatest = kernels->max_f32(n, x);
  kernels->binary_f32[WEFT_BINARY_SUB](n, x, 1, &greatest, 0, y);
  weft_round_floats(kernels, type, n, y);
  float sum = sum_of_exponentials(kernels, type, n, y, logarithm ? NULL : y);
  if (logarithm) {
    sum = (float)weft_log((double)sum);
    weft_round_floats(kernels, type, 1, &sum);
  }
  kernels->binary_f32[logarithm ? WEFT_BINARY_SUB : WEFT_BINARY_DIV](n, y, 1, &sum, 0, y);
}

void weft_softmax_scores(const weft_kernels *kernels, weft_type type, size_t n, float *x) {
  weft_round_floats(kernels, type, n, x);
  weft_softmax_row(kernels, type, n, x, false, x);
  weft_round_floats(kernels, type, n, x);
}

static void softmax_float(const void *arg, size_t n, const float *x, float *y) {
  const softmax *s = arg;
  weft_softmax_row(s->cx->kernels, s->type, n, x, s->variant == WEFT_LOG_SOFTMAX, y);
}

static size_t largest(size_t n, const double *x) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++) {
    if (x[i] > x[best] || (isnan(x[i]) && !isnan(x[best]))) {
      best = i;
    }
  }
  return best;
}

/* y may be x. */
static void softmax_double(const void *arg, size_t n, const double *x, double *y) {
  const softmax *s = arg;
  const double max = x[largest(n, x)];
  double sum = 0, block[WEFT_BLOCK];
  for (size_t done = 0, count; done < n; done += count) {
    double *e = s->variant == WEFT_LOG_SOFTMAX ? block : y + done;
    count = n - done < WEFT_BLOCK ? n - done : WEFT_BLOCK;
    for (size_t i = 0; i < count; i++) {
      y[done + i] = x[done + i] - max;
    }
    weft_typed_exp(count, y + done, e);
    weft_typed_row_of(WEFT_TYPED_ADD, WEFT_DOUBLE)(count, e, &sum);
  }
  const double log_sum = s->variant == WEFT_LOG_SOFTMAX ? weft_log(sum) : 0;
  for (size_t i = 0; i < n; i++) {
    y[i] = s->variant == WEFT_LOG_SOFTMAX ? y[i] - log_sum : y[i] / sum;
  }
}

static void hardmax_double(const void *arg, size_t n, const double *x, double *y) {
  size_t best = largest(n, x);
  (void)arg;
  for (size_t i = 0; i < n; i++) {
    y[i] = i == best;
  }
}

static void hardmax_float(const void *arg, size_t n, const float *x, float *y) {
  const softmax *s = arg;
  const size_t best = weft_typed_find(n, x, s->cx->kernels->max_f32(n, x), false);
  memset(y, 0, n * sizeof *y);
  if (best < n) { /* there are elements */
    y[best] = 1;
  }
}

static void lp_double(const void *arg, size_t n, const double *x, double *y) {
  const softmax *s = arg;
  double norm = 0;
  for (size_t i = 0; i < n; i++) {
    norm += s->p == 1 ? fabs(x[i]) : x[i] * x[i];
  }
  norm = s->p == 1 ? norm : sqrt(norm);
  for (size_t i = 0; i < n; i++) {
    y[i] = norm == 0 ? 0 : x[i] / norm;
  }
}

/* In floats, but where squares leave their range. */
static void lp_float(const void *arg, size_t n, const float *x, float *y) {
  const softmax *s = arg;
  const weft_kernels *kernels = s->cx->kernels;
  float norm, block[WEFT_BLOCK];
  double total = s->p == 1 ? 0 : (double)kernels->sum_square_f32(n, x);
  for (size_t i = 0; s->p == 1 && i < n; i += WEFT_BLOCK) {
    const size_t count = n - i < WEFT_BLOCK ? n - i : WEFT_BLOCK;
    kernels->unary_f32[WEFT_UNARY_ABS](count, x + i, block);
    total += (double)kernels->sum_f32(count, block);
  }
  if (s->p != 1 && (total < 1e-20 || total > 1e37)) {
    total = 0;
    for (size_t i = 0; i < n; i++) {
      total += (double)x[i] * (double)x[i];
    }
  }
  norm = (float)(s->p == 1 ? total : sqrt(total));
  if (norm == 0) {
    memset(y, 0, n * sizeof *y);
    return;
  }
  kernels->binary_f32[WEFT_BINARY_DIV](n, x, 1, &norm, 0, y);
}

/* ---- along an axis that is not the last -------------------------------------------------------------------------- */
typedef struct columns {
  const weft_kernels *kernels;
  bool logarithm;
  const float *x;
  float *y;
  weft_fold fold;
} columns;

/* Groups side by side, one line of them after the other; y may be x. */
static void run_block(const columns *job, size_t count, const float *x, float *y) {
  const weft_kernels *kernels = job->kernels;
  const size_t n = job->fold.n, step = job->fold.step;
  const weft_lines line = {.lines = 1, .n = count, .step = 1};
  float greatest[WEFT_BLOCK], block[WEFT_BLOCK] = {0};
  double totals[WEFT_BLOCK] = {0};
  memcpy(greatest, x, count * sizeof *greatest);
  for (size_t i = 1; i < n; i++) {
    kernels->binary_f32[WEFT_BINARY_MAX](count, x + i * step, 1, greatest, 1, greatest);
  }
  for (size_t i = 0; i < n; i++) {
    float *to = y + i * step, *terms = job->logarithm ? block : to;
    kernels->binary_f32[WEFT_BINARY_SUB](count, x + i * step, 1, greatest, 1, to);
    kernels->unary_f32[WEFT_UNARY_EXP](count, to, terms);
    weft_typed_fold(WEFT_TYPED_VALUE, &line, terms, totals);
  }
  for (size_t c = 0; c < count; c++) {
    block[c] = (float)(job->logarithm ? totals[c] : 1 / totals[c]);
  }
  if (job->logarithm) {
    kernels->unary_f32[WEFT_UNARY_LOG](count, block, block);
  }
  for (size_t i = 0; i < n; i++) {
    kernels->binary_f32[job->logarithm ? WEFT_BINARY_SUB : WEFT_BINARY_MUL](count, y + i * step, 1, block, 1,
                                                                            y + i * step);
  }
}

static void run_columns(void *arg, size_t begin, size_t end) {
  const columns *job = arg;
  const size_t step = job->fold.step;
  for (size_t group = begin, count; group < end; group += count) {
    const size_t base = weft_fold_base(&job->fold, group);
    count = step - group % step < end - group ? step - group % step : end - group;
    count = count < WEFT_BLOCK ? count : WEFT_BLOCK;
    run_block(job, count, job->x + base, job->y + base);
  }
}

/* Whether it was done: for floats along an axis with elements between its own. */
static bool softmax_columns(weft_op *op, const weft_tensor *x, int axis) {
  columns job = {.kernels = op->cx->kernels,
                 .logarithm = op->def->variant == WEFT_LOG_SOFTMAX,
                 .x = x->data,
                 .y = weft_op_out(op, 0)->data};
  bool reduced[WEFT_MAX_RANK] = {false};
  if (x->type != WEFT_FLOAT || x->count == 0 || op->def->variant > WEFT_LOG_SOFTMAX) {
    return false;
  }
  reduced[axis] = x->shape.rank > 0;
  weft_fold_init(&job.fold, &x->shape, reduced);
  if (job.fold.step == 1) {
    return false;
  }
  const size_t grain = weft_fold_grain(&job.fold);
  weft_parallel(op->cx, job.fold.groups, grain < WEFT_BLOCK ? WEFT_BLOCK : grain, run_columns, &job);
  return true;
}

weft_status weft_softmax_run(weft_op *op) {
  static const weft_row_functions softmax_rows = {softmax_float, softmax_double, NULL};
  static const weft_row_functions hardmax_rows = {hardmax_float, hardmax_double, NULL};
  static const weft_row_functions lp_rows = {lp_float, lp_double, NULL};
  const weft_tensor *x = weft_op_in(op, 0);
  softmax s = {op->cx, x->type, op->def->variant, weft_op_attr_int(op, "p", 2)};
  int axis = 0;
  if (x->shape.rank > 0) {
    WEFT_TRY(weft_op_axis(op, "attribute axis", weft_op_attr_int(op, "axis", -1), x->shape.rank, &axis));
  }
  if (softmax_columns(op, x, axis)) {
    return WEFT_OK;
  }
  const weft_row_functions *rows = s.variant == WEFT_HARDMAX   ? &hardmax_rows
                                   : s.variant == WEFT_LP_NORM ? &lp_rows
                                                               : &softmax_rows;
  return weft_rows_run(op, x, weft_op_out(op, 0), axis, rows, &s);
}
