/* The Reduce family, ArgMax and ArgMin. Each result is one fold over a group of elements (fold.h): in double for
 * floating types, whose contiguous float runs go through the kernels, and in int64 for the others. Composite
 * reductions (L2, LogSum ...) are a fold and a last step. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../kernels/typed.h"
#include "fold.h"

#include <math.h>
#include <string.h>

typedef struct reduce {
  weft_context *cx;
  int variant;
  weft_type type;
  const void *x;
  void *y;
  bool is_signed;
  bool last_index; /* Arg */
  weft_fold fold;
} reduce;

/* ---- floating ---------------------------------------------------------------------------------------------------- */
static double initial(int variant) {
  switch (variant) {
  case WEFT_REDUCE_PROD:
    return 1;
  case WEFT_REDUCE_MAX:
    return (double)-INFINITY;
  case WEFT_REDUCE_MIN:
    return (double)INFINITY;
  default:
    return 0;
  }
}

/* One element more; `shift` is the largest of all, for LogSumExp. */
static double fold_one(int variant, double total, double v, double shift) {
  switch (variant) {
  case WEFT_REDUCE_MAX:
    return isnan(total) || v <= total ? total : v;
  case WEFT_REDUCE_MIN:
    return isnan(total) || v >= total ? total : v;
  case WEFT_REDUCE_PROD:
    return total * v;
  case WEFT_REDUCE_L1:
    return total + fabs(v);
  case WEFT_REDUCE_L2:
  case WEFT_REDUCE_SUM_SQUARE:
    return total + v * v;
  case WEFT_REDUCE_LOG_SUM_EXP:
    return total + weft_exp(v - shift);
  default:
    return total + v;
  }
}

/* What is folded of floats; a variant's last step is `finish`. */
static weft_typed_term term_of(int variant) {
  switch (variant) {
  case WEFT_REDUCE_MAX:
    return WEFT_TYPED_GREATEST;
  case WEFT_REDUCE_MIN:
    return WEFT_TYPED_LEAST;
  case WEFT_REDUCE_PROD:
    return WEFT_TYPED_PRODUCT;
  case WEFT_REDUCE_L1:
    return WEFT_TYPED_MAGNITUDE;
  case WEFT_REDUCE_L2:
  case WEFT_REDUCE_SUM_SQUARE:
    return WEFT_TYPED_SQUARE;
  default:
    return WEFT_TYPED_VALUE;
  }
}

/* e to the power of n floats, `step` apart, above their shifts, of which there may be one. */
static void exponentials(const reduce *r, size_t offset, size_t step, size_t n, const float *shifts, size_t shift_step,
                         float *out) {
  const weft_kernels *kernels = r->cx->kernels;
  weft_load_float(WEFT_FLOAT, r->x, offset, step, n, out);
  kernels->binary_f32[WEFT_BINARY_SUB](n, out, 1, shifts, shift_step, out);
  kernels->unary_f32[WEFT_UNARY_EXP](n, out, out);
}

/* A row of neighbouring floats: by its kernel, or as lines of a few elements whose totals come together in the end. */
static void fold_row(const reduce *r, int variant, size_t offset, size_t n, float shift, double *total) {
  enum { CHAINS = 16 };
  const weft_kernels *kernels = r->cx->kernels;
  const float *x = (const float *)r->x + offset;
  const weft_typed_term term = term_of(variant);
  double chains[CHAINS];
  float block[WEFT_BLOCK];
  for (size_t done = 0; variant == WEFT_REDUCE_LOG_SUM_EXP && done < n; done += WEFT_BLOCK) {
    size_t count = n - done < WEFT_BLOCK ? n - done : WEFT_BLOCK;
    exponentials(r, offset + done, 1, count, &shift, 0, block);
    *total += (double)kernels->sum_f32(count, block);
  }
  if (variant == WEFT_REDUCE_LOG_SUM_EXP) {
    return;
  }
  switch (term) {
  case WEFT_TYPED_VALUE:
    *total += (double)kernels->sum_f32(n, x);
    return;
  case WEFT_TYPED_SQUARE:
    *total += (double)kernels->sum_square_f32(n, x);
    return;
  case WEFT_TYPED_GREATEST:
  case WEFT_TYPED_LEAST: {
    double run = (double)(term == WEFT_TYPED_GREATEST ? kernels->max_f32 : kernels->min_f32)(n, x);
    *total = fold_one(variant, *total, run, 0);
    return;
  }
  default:
    break;
  }
  for (size_t c = 0; c < CHAINS; c++) {
    chains[c] = initial(variant);
  }
  const weft_lines lines = {.lines = n / CHAINS, .n = CHAINS, .line_step = CHAINS, .step = 1};
  const weft_lines rest = {.lines = 1, .n = n % CHAINS, .step = 1};
  weft_typed_fold(term, &lines, x, chains);
  weft_typed_fold(term, &rest, x + n - rest.n, chains);
  for (size_t c = 0; c < CHAINS; c++) {
    *total = term == WEFT_TYPED_PRODUCT ? *total * chains[c] : *total + chains[c];
  }
}

/* Where groups are no long rows, as many as lie at even distances are folded side by side, line after line. */
static bool is_rows(const weft_fold *f) {
  return f->kept_rank == 0 || (f->step == 1 && f->run >= 8);
}

/* How many groups from `group` on are folded together. */
static size_t side_by_side(const weft_fold *f, size_t group, size_t end) {
  if (is_rows(f)) {
    return 1;
  }
  size_t dim = f->kept_dims[f->kept_rank - 1], count = dim - group % dim;
  count = count < end - group ? count : end - group;
  return count < WEFT_BLOCK ? count : WEFT_BLOCK;
}

/* n lines of a number of each of `count` groups, `step` apart. */
static void fold_lines(const reduce *r, int variant, size_t n, size_t offset, size_t count, size_t step,
                       const double *shifts, double *totals) {
  const weft_lines lines = {.lines = n, .n = count, .line_step = r->fold.step, .step = step};
  if (r->type == WEFT_FLOAT && variant != WEFT_REDUCE_LOG_SUM_EXP) {
    weft_typed_fold(term_of(variant), &lines, (const float *)r->x + offset, totals);
    return;
  }
  if (r->type == WEFT_FLOAT) {
    float block[WEFT_BLOCK], single[WEFT_BLOCK];
    const weft_lines line = {.lines = 1, .n = count, .step = 1};
    for (size_t c = 0; c < count; c++) {
      single[c] = (float)shifts[c];
    }
    for (size_t i = 0; i < n; i++) {
      exponentials(r, offset + i * r->fold.step, step, count, single, 1, block);
      weft_typed_fold(WEFT_TYPED_VALUE, &line, block, totals);
    }
    return;
  }
  for (size_t line = 0; line < n; line++) {
    double block[WEFT_BLOCK];
    weft_load_double(r->type, r->x, offset + line * r->fold.step, step, count, block);
    for (size_t c = 0; c < count; c++) {
      totals[c] = fold_one(variant, totals[c], block[c], shifts[c]);
    }
  }
}

/* The totals of `count` groups from `group` on. */
static void fold_groups(const reduce *r, int variant, size_t group, size_t count, const double *shifts,
                        double *totals) {
  const weft_fold *f = &r->fold;
  const bool rows = is_rows(f), whole = !rows || r->type == WEFT_FLOAT;
  weft_fold_walk walk;
  for (size_t c = 0; c < count; c++) {
    totals[c] = initial(variant);
  }
  weft_fold_begin(f, group, whole ? SIZE_MAX : WEFT_BLOCK, &walk);
  while (weft_fold_next(&walk)) {
    if (!rows) {
      fold_lines(r, variant, walk.n, walk.offset, count, f->kept_strides[f->kept_rank - 1], shifts, totals);
    } else if (whole) {
      fold_row(r, variant, walk.offset, walk.n, (float)shifts[0], totals);
    } else {
      double block[WEFT_BLOCK];
      weft_load_double(r->type, r->x, walk.offset, 1, walk.n, block);
      for (size_t i = 0; i < walk.n; i++) {
        totals[0] = fold_one(variant, totals[0], block[i], shifts[0]);
      }
    }
  }
}

static double finish(const reduce *r, double total, double shift) {
  switch (r->variant) {
  case WEFT_REDUCE_MEAN: /* of nothing it is undefined: 0, which PyTorch's exporter of EmbeddingBag counts on */
    return total / (double)(r->fold.n > 0 ? r->fold.n : 1);
  case WEFT_REDUCE_L2:
    return sqrt(total);
  case WEFT_REDUCE_LOG_SUM:
    return weft_log(total);
  case WEFT_REDUCE_LOG_SUM_EXP:
    return weft_log(total) + shift;
  default:
    return total;
  }
}

static double finite_or_zero(double shift) {
  return isinf(shift) ? 0 : shift;
}

static void run_floats(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  for (size_t group = begin, count; group < end; group += count) {
    double totals[WEFT_BLOCK], shifts[WEFT_BLOCK];
    count = side_by_side(&r->fold, group, end);
    for (size_t c = 0; c < count; c++) {
      shifts[c] = 0;
    }
    if (r->variant == WEFT_REDUCE_LOG_SUM_EXP) {
      fold_groups(r, WEFT_REDUCE_MAX, group, count, shifts, totals);
      for (size_t c = 0; c < count; c++) {
        shifts[c] = finite_or_zero(totals[c]);
      }
    }
    fold_groups(r, r->variant, group, count, shifts, totals);
    for (size_t c = 0; c < count; c++) {
      totals[c] = finish(r, totals[c], shifts[c]);
    }
    weft_store_double(r->type, totals, count, r->y, group, 1);
  }
}

/* Greatest and least of neighbouring columns need neither double nor a walk. */
static bool is_extreme_columns(const reduce *r) {
  const weft_fold *f = &r->fold;
  return (r->variant == WEFT_REDUCE_MAX || r->variant == WEFT_REDUCE_MIN) && r->type == WEFT_FLOAT && f->rank == 0 &&
         f->step > 1 && f->n > 0;
}

static void run_extreme_columns(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  const weft_kernels *kernels = r->cx->kernels;
  for (size_t group = begin, count; group < end; group += count) {
    const float *x = (const float *)r->x + weft_fold_base(&r->fold, group);
    float *y = (float *)r->y + group;
    count = side_by_side(&r->fold, group, end);
    memcpy(y, x, count * sizeof *y);
    for (size_t i = 1; i < r->fold.n; i++) {
      kernels->binary_f32[r->variant == WEFT_REDUCE_MAX ? WEFT_BINARY_MAX : WEFT_BINARY_MIN](
          count, x + i * r->fold.step, 1, y, 1, y);
    }
  }
}

/* ---- integers ---------------------------------------------------------------------------------------------------- */
static bool is_below(const reduce *r, int64_t x, int64_t y) {
  return r->is_signed ? x < y : (uint64_t)x < (uint64_t)y;
}

/* What Max or Min of nothing is: the type's least or largest number. */
static int64_t extreme(const reduce *r, bool least) {
  unsigned bits = r->type == WEFT_BOOL ? 1 : weft_type_bits(r->type);
  uint64_t top = (uint64_t)1 << (bits - 1);
  if (!r->is_signed) {
    return least ? 0 : (int64_t)(top | (top - 1));
  }
  return least ? -(int64_t)(top - 1) - 1 : (int64_t)(top - 1);
}

static int64_t fold_integer(const reduce *r, int64_t total, int64_t v) {
  uint64_t t = (uint64_t)total, u = (uint64_t)v;
  switch (r->variant) {
  case WEFT_REDUCE_MAX:
    return is_below(r, total, v) ? v : total;
  case WEFT_REDUCE_MIN:
    return is_below(r, v, total) ? v : total;
  case WEFT_REDUCE_PROD:
    return (int64_t)(t * u);
  case WEFT_REDUCE_L1:
    return (int64_t)(r->is_signed && v < 0 ? t - u : t + u);
  case WEFT_REDUCE_L2:
  case WEFT_REDUCE_SUM_SQUARE:
    return (int64_t)(t + u * u);
  default:
    return (int64_t)(t + u);
  }
}

static int64_t finish_integer(const reduce *r, int64_t total) {
  if (r->variant == WEFT_REDUCE_MEAN && r->fold.n > 0) {
    return r->is_signed ? total / (int64_t)r->fold.n : (int64_t)((uint64_t)total / r->fold.n);
  }
  if (r->variant == WEFT_REDUCE_L2) {
    return (int64_t)sqrt((double)(uint64_t)total);
  }
  return total;
}

static void run_integer(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  int64_t block[WEFT_BLOCK];
  bool extremes = r->variant == WEFT_REDUCE_MAX || r->variant == WEFT_REDUCE_MIN;
  for (size_t group = begin; group < end; group++) {
    int64_t total = extremes ? extreme(r, r->variant == WEFT_REDUCE_MAX) : r->variant == WEFT_REDUCE_PROD;
    weft_fold_walk walk;
    weft_fold_begin(&r->fold, group, WEFT_BLOCK, &walk);
    while (weft_fold_next(&walk)) {
      weft_load_int64(r->type, r->x, walk.offset, r->fold.step, walk.n, block);
      for (size_t i = 0; i < walk.n; i++) {
        total = fold_integer(r, total, block[i]);
      }
    }
    total = finish_integer(r, total);
    weft_store_int64(r->type, &total, 1, r->y, group, 1);
  }
}

/* Groups for a thread's turn: at least as many as are folded side by side. */
static size_t grain(const weft_fold *f) {
  size_t groups = weft_fold_grain(f);
  return !is_rows(f) && groups < WEFT_BLOCK ? WEFT_BLOCK : groups;
}

/* ---- Reduce* ----------------------------------------------------------------------------------------------------- */
static weft_status read_axes(weft_op *op, bool *reduced) {
  int64_t axes[WEFT_MAX_RANK];
  size_t count;
  int rank = weft_op_in(op, 0)->shape.rank;
  WEFT_TRY(weft_op_ints(op, 1, "axes", WEFT_MAX_RANK, axes, &count));
  WEFT_TRY(weft_op_axes(op, "axes", count, axes, rank, reduced));
  bool all = count == 0 && weft_op_attr_int(op, "noop_with_empty_axes", 0) == 0;
  for (int d = 0; d < rank; d++) {
    reduced[d] |= all;
  }
  return WEFT_OK;
}

static weft_status set_reduced(weft_op *op, weft_type type, const bool *reduced) {
  const weft_shape *in = &weft_op_in(op, 0)->shape;
  bool keep = weft_op_attr_int(op, "keepdims", 1) != 0;
  weft_shape shape = {0};
  for (int d = 0; d < in->rank; d++) {
    if (!reduced[d] || keep) {
      shape.dims[shape.rank++] = reduced[d] ? 1 : in->dims[d];
    }
  }
  return weft_op_set(op, 0, type, &shape);
}

weft_status weft_reduce_infer(weft_op *op) {
  bool reduced[WEFT_MAX_RANK];
  bool extremes = op->def->variant == WEFT_REDUCE_MAX || op->def->variant == WEFT_REDUCE_MIN;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "data", WEFT_TYPES_NUMERIC | (extremes ? WEFT_TYPE_BIT(WEFT_BOOL) : 0u)));
  WEFT_TRY(read_axes(op, reduced));
  return set_reduced(op, weft_op_in(op, 0)->type, reduced);
}

weft_status weft_reduce_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  reduce r = {.cx = op->cx,
              .variant = op->def->variant,
              .type = x->type,
              .x = x->data,
              .y = y->data,
              .is_signed = weft_type_is_signed(x->type)};
  bool reduced[WEFT_MAX_RANK];
  bool logarithm = r.variant == WEFT_REDUCE_LOG_SUM || r.variant == WEFT_REDUCE_LOG_SUM_EXP;
  WEFT_TRY(read_axes(op, reduced));
  weft_fold_init(&r.fold, &x->shape, reduced);
  weft_parallel_body body = weft_type_is_float(x->type) || logarithm ? run_floats : run_integer;
  if (is_extreme_columns(&r)) {
    body = run_extreme_columns;
  }
  if (y->count > 0) {
    weft_parallel(op->cx, y->count, grain(&r.fold), body, &r);
  }
  return WEFT_OK;
}

/* ---- ArgMax, ArgMin ---------------------------------------------------------------------------------------------- */
weft_status weft_arg_infer(weft_op *op) {
  bool reduced[WEFT_MAX_RANK] = {false};
  int axis;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "data", WEFT_TYPES_NUMERIC));
  const weft_shape *in = &weft_op_in(op, 0)->shape;
  if (in->rank == 0) {
    return set_reduced(op, WEFT_INT64, reduced);
  }
  WEFT_TRY(weft_op_axis(op, "attribute axis", weft_op_attr_int(op, "axis", 0), in->rank, &axis));
  reduced[axis] = true;
  WEFT_TRY(set_reduced(op, WEFT_INT64, reduced));
  if (in->dims[axis] == 0 && weft_shape_product(in, 0, axis) * weft_shape_product(in, axis + 1, in->rank) > 0) {
    return weft_op_fail(op, "axis %d of the input is empty: there is no element to point at", axis);
  }
  return WEFT_OK;
}

/* Whether `value` takes the place of `best`: a NaN is met as the greatest and the least. */
static bool beats(const reduce *r, double best, double value) {
  if (isnan(best)) {
    return r->last_index && isnan(value);
  }
  if (isnan(value) || (r->last_index && value == best)) {
    return true;
  }
  return r->variant == WEFT_ARG_MAX ? value > best : value < best;
}

static bool beats_integer(const reduce *r, int64_t best, int64_t value) {
  if (value == best) {
    return r->last_index;
  }
  return is_below(r, value, best) == (r->variant == WEFT_ARG_MIN);
}

/* Takes n elements into account, of which the first has index `first`. */
static void arg_doubles(const reduce *r, size_t first, size_t n, const double *x, double *best, size_t *winner) {
  for (size_t i = 0; i < n; i++) {
    if (first + i == 0 || beats(r, *best, x[i])) {
      *best = x[i];
      *winner = first + i;
    }
  }
}

static void arg_integers(const reduce *r, size_t first, size_t n, const int64_t *x, int64_t *best, size_t *winner) {
  for (size_t i = 0; i < n; i++) {
    if (first + i == 0 || beats_integer(r, *best, x[i])) {
      *best = x[i];
      *winner = first + i;
    }
  }
}

static void run_arg(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  bool is_float = weft_type_is_float(r->type);
  union {
    double wide[WEFT_BLOCK];
    int64_t whole[WEFT_BLOCK];
  } block;
  for (size_t group = begin; group < end; group++) {
    size_t base = weft_fold_base(&r->fold, group), winner = 0;
    double best = 0;
    int64_t best_whole = 0;
    for (size_t done = 0; done < r->fold.n; done += WEFT_BLOCK) {
      size_t n = r->fold.n - done < WEFT_BLOCK ? r->fold.n - done : WEFT_BLOCK, offset = base + done * r->fold.step;
      if (is_float) {
        weft_load_double(r->type, r->x, offset, r->fold.step, n, block.wide);
        arg_doubles(r, done, n, block.wide, &best, &winner);
      } else {
        weft_load_int64(r->type, r->x, offset, r->fold.step, n, block.whole);
        arg_integers(r, done, n, block.whole, &best_whole, &winner);
      }
    }
    ((int64_t *)r->y)[group] = (int64_t)winner;
  }
}

/* Floats in rows: the extreme by its kernel, then its place. */
static void run_arg_rows(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  const weft_kernels *kernels = r->cx->kernels;
  for (size_t group = begin; group < end; group++) {
    const float *x = (const float *)r->x + weft_fold_base(&r->fold, group);
    float best = (r->variant == WEFT_ARG_MAX ? kernels->max_f32 : kernels->min_f32)(r->fold.n, x);
    ((int64_t *)r->y)[group] = (int64_t)weft_typed_find(r->fold.n, x, best, r->last_index);
  }
}

static void run_arg_columns(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  for (size_t group = begin, count; group < end; group += count) {
    float best[WEFT_BLOCK];
    int32_t winner[WEFT_BLOCK] = {0};
    const float *x = (const float *)r->x + weft_fold_base(&r->fold, group);
    count = side_by_side(&r->fold, group, end);
    memcpy(best, x, count * sizeof *best);
    for (size_t i = 1; i < r->fold.n; i++) {
      weft_typed_beat(count, x + i * r->fold.step, r->variant == WEFT_ARG_MIN, r->last_index, (int32_t)i, best, winner);
    }
    for (size_t c = 0; c < count; c++) {
      ((int64_t *)r->y)[group + c] = winner[c];
    }
  }
}

/* Rows and columns of floats have loops of their own. */
static weft_parallel_body arg_body(const reduce *r) {
  if (r->type != WEFT_FLOAT) {
    return run_arg;
  }
  if (r->fold.step > 1 && r->fold.n < INT32_MAX) {
    return run_arg_columns;
  }
  return r->fold.step == 1 && r->fold.n > 0 ? run_arg_rows : run_arg;
}

weft_status weft_arg_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  reduce r = {.cx = op->cx,
              .variant = op->def->variant,
              .type = x->type,
              .x = x->data,
              .y = y->data,
              .is_signed = weft_type_is_signed(x->type),
              .last_index = weft_op_attr_int(op, "select_last_index", 0) != 0};
  bool reduced[WEFT_MAX_RANK] = {false};
  int axis;
  if (x->shape.rank > 0) {
    WEFT_TRY(weft_op_axis(op, "attribute axis", weft_op_attr_int(op, "axis", 0), x->shape.rank, &axis));
    reduced[axis] = true;
  }
  weft_fold_init(&r.fold, &x->shape, reduced);
  if (y->count > 0) {
    weft_parallel(op->cx, y->count, grain(&r.fold), arg_body(&r), &r);
  }
  return WEFT_OK;
}
