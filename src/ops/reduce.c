/* The Reduce family, ArgMax and ArgMin. Each result is one fold over a group of elements (fold.h): of floats by the
 * kernels and in double, of doubles and integers by the loops of kernels/typed.h, in the type itself or in int64 where
 * that could not hold the result. Composite reductions (L2, LogSum ...) are a fold and a last step. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../kernels/elements.h"
#include "../kernels/typed.h"
#include "fold.h"
#include "number.h"

#include <math.h>
#include <string.h>

typedef struct reduce {
  weft_context *cx;
  int variant;
  weft_type type;
  weft_type work; /* what doubles and integers are folded in */
  const weft_tensor *tensor;
  const void *x;
  void *y;
  bool is_signed;
  bool last_index; /* Arg */
  weft_fold fold;
} reduce;

static bool is_extreme(int variant) {
  return variant == WEFT_REDUCE_MAX || variant == WEFT_REDUCE_MIN;
}

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

/* e to the power of n floats above their shifts, of which there may be one. */
static void exponentials(const weft_kernels *kernels, size_t n, const float *x, const float *shifts, size_t shift_step,
                         float *out) {
  kernels->binary_f32[WEFT_BINARY_SUB](n, x, 1, shifts, shift_step, out);
  kernels->unary_f32[WEFT_UNARY_EXP](n, out, out);
}

/* A row of neighbouring floats: by its kernel, or as lines of a few elements whose totals come together in the end. */
static void fold_row(const weft_kernels *kernels, int variant, size_t n, const float *x, float shift, double *total) {
  enum { CHAINS = 16 };
  const weft_typed_term term = term_of(variant);
  double chains[CHAINS];
  float block[WEFT_BLOCK];
  for (size_t done = 0; variant == WEFT_REDUCE_LOG_SUM_EXP && done < n; done += WEFT_BLOCK) {
    size_t count = n - done < WEFT_BLOCK ? n - done : WEFT_BLOCK;
    exponentials(kernels, count, x + done, &shift, 0, block);
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

/* Floats, and narrower ones that become floats; of other types, logarithms are folded in double. */
static bool folds_floats(const reduce *r) {
  return weft_type_is_float(r->type) && r->type != WEFT_DOUBLE;
}

enum { SHORT = 8 };

/* Where groups are no long rows, as many as lie at even distances are folded side by side, line after line. */
static bool is_rows(const weft_fold *f) {
  return f->kept_rank == 0 || (f->step == 1 && f->run >= SHORT);
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
  const bool exponential = variant == WEFT_REDUCE_LOG_SUM_EXP;
  const weft_lines lines = {.lines = n, .n = count, .line_step = r->fold.step, .step = step};
  const weft_lines line = {.lines = 1, .n = count, .step = 1};
  float single[WEFT_BLOCK];
  if (r->type == WEFT_FLOAT && !exponential) {
    weft_typed_fold(term_of(variant), &lines, (const float *)r->x + offset, totals);
    return;
  }
  for (size_t c = 0; c < count; c++) {
    single[c] = (float)shifts[c];
  }
  for (size_t i = 0; i < n; i++) {
    float block[WEFT_BLOCK];
    double wide[WEFT_BLOCK];
    if (!folds_floats(r)) {
      weft_load_double(r->type, r->x, offset + i * r->fold.step, step, count, wide);
      for (size_t c = 0; c < count; c++) {
        totals[c] = fold_one(variant, totals[c], wide[c], shifts[c]);
      }
      continue;
    }
    weft_block_load(r->cx->kernels, r->tensor, offset + i * r->fold.step, step, count, block);
    if (exponential) {
      exponentials(r->cx->kernels, count, block, single, 1, block);
    }
    weft_typed_fold(term_of(variant), &line, block, totals);
  }
}

/* The totals of `count` groups from `group` on. */
static void fold_groups(const reduce *r, int variant, size_t group, size_t count, const double *shifts,
                        double *totals) {
  const weft_fold *f = &r->fold;
  const weft_kernels *kernels = r->cx->kernels;
  const bool rows = is_rows(f), whole = !rows || r->type == WEFT_FLOAT;
  weft_fold_walk walk;
  for (size_t c = 0; c < count; c++) {
    totals[c] = initial(variant);
  }
  weft_fold_begin(f, group, whole ? SIZE_MAX : WEFT_BLOCK, &walk);
  while (weft_fold_next(&walk)) {
    float block[WEFT_BLOCK];
    double wide[WEFT_BLOCK];
    if (!rows) {
      fold_lines(r, variant, walk.n, walk.offset, count, f->kept_strides[f->kept_rank - 1], shifts, totals);
    } else if (whole) {
      fold_row(kernels, variant, walk.n, (const float *)r->x + walk.offset, (float)shifts[0], totals);
    } else if (folds_floats(r)) {
      weft_block_load(kernels, r->tensor, walk.offset, 1, walk.n, block);
      fold_row(kernels, variant, walk.n, block, (float)shifts[0], totals);
    } else {
      weft_load_double(r->type, r->x, walk.offset, 1, walk.n, wide);
      for (size_t i = 0; i < walk.n; i++) {
        totals[0] = fold_one(variant, totals[0], wide[i], shifts[0]);
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

/* Greatest and least of neighbouring columns, and sums of as few as are added in float, need neither double nor a walk.
 * Nor do short rows, which are turned into columns. */
static bool is_short_rows(const weft_fold *f) {
  return f->step == 1 && f->n < SHORT && f->kept_rank == 1;
}

static bool is_plain_columns(const reduce *r) {
  enum { FEW = 4 };
  const weft_fold *f = &r->fold;
  const bool sum = r->variant == WEFT_REDUCE_SUM || r->variant == WEFT_REDUCE_MEAN, rows = is_short_rows(f);
  return (is_extreme(r->variant) || (sum && (rows || f->n <= FEW))) && r->type == WEFT_FLOAT && f->rank == 0 &&
         (rows || f->step > 1) && f->n > 0;
}

static void run_plain_columns(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  const weft_kernels *kernels = r->cx->kernels;
  const bool rows = is_short_rows(&r->fold);
  const weft_binary what = r->variant == WEFT_REDUCE_MAX   ? WEFT_BINARY_MAX
                           : r->variant == WEFT_REDUCE_MIN ? WEFT_BINARY_MIN
                                                           : WEFT_BINARY_ADD;
  const float n = (float)r->fold.n;
  for (size_t group = begin, count; group < end; group += count) {
    const float *x = (const float *)r->x + weft_fold_base(&r->fold, group);
    float *y = (float *)r->y + group, turned[SHORT * WEFT_BLOCK];
    count = side_by_side(&r->fold, group, end);
    if (rows) {
      kernels->transpose(count, r->fold.n, sizeof *x, x, r->fold.n, turned, WEFT_BLOCK);
      x = turned;
    }
    memcpy(y, x, count * sizeof *y);
    for (size_t i = 1; i < r->fold.n; i++) {
      kernels->binary_f32[what](count, x + i * (rows ? WEFT_BLOCK : r->fold.step), 1, y, 1, y);
    }
    if (r->variant == WEFT_REDUCE_MEAN) {
      kernels->binary_f32[WEFT_BINARY_DIV](count, y, 1, &n, 0, y);
    }
  }
}

/* What folds a row of floats at once, where rows are at even distances and there is nothing to walk; or NULL. */
typedef float (*row_kernel)(size_t n, const float *x);

static row_kernel row_kernel_of(const reduce *r) {
  const weft_fold *f = &r->fold;
  const weft_kernels *kernels = r->cx->kernels;
  if (r->type != WEFT_FLOAT || !is_rows(f) || f->rank > 0 || f->kept_rank > 1 || f->n == 0 ||
      r->variant == WEFT_REDUCE_LOG_SUM_EXP) {
    return NULL;
  }
  switch (term_of(r->variant)) {
  case WEFT_TYPED_VALUE:
    return kernels->sum_f32;
  case WEFT_TYPED_SQUARE:
    return kernels->sum_square_f32;
  case WEFT_TYPED_GREATEST:
    return kernels->max_f32;
  case WEFT_TYPED_LEAST:
    return kernels->min_f32;
  default:
    return NULL;
  }
}

static void run_row_kernel(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  const row_kernel kernel = row_kernel_of(r);
  const size_t stride = r->fold.kept_rank > 0 ? r->fold.kept_strides[0] : 0;
  for (size_t group = begin; group < end; group++) {
    const float total = kernel(r->fold.n, (const float *)r->x + group * stride);
    ((float *)r->y)[group] = (float)finish(r, (double)total, 0);
  }
}

/* ---- doubles and integers ---------------------------------------------------------------------------------------- */
/* What Max or Min of nothing is: the type's least or largest number. */
static int64_t extreme(const reduce *r, bool least) {
  unsigned bits = r->type == WEFT_BOOL ? 1 : weft_type_bits(r->type);
  uint64_t top = (uint64_t)1 << (bits - 1);
  if (!r->is_signed) {
    return least ? 0 : (int64_t)(top | (top - 1));
  }
  return least ? -(int64_t)(top - 1) - 1 : (int64_t)(top - 1);
}

/* The type itself where its arithmetic, which wraps, gives what is stored. */
static weft_type work_of(int variant, weft_type type) {
  if (type == WEFT_BOOL) {
    return WEFT_UINT8;
  }
  const unsigned bits = weft_type_bits(type);
  const bool sums = variant != WEFT_REDUCE_MEAN && variant != WEFT_REDUCE_L2;
  const bool extremes = is_extreme(variant) && weft_typed_row_of(WEFT_TYPED_MAX, type) != NULL;
  return bits == 64 || extremes || (bits == 32 && sums) ? type : WEFT_INT64;
}

static weft_typed what_of(int variant) {
  return variant == WEFT_REDUCE_MAX    ? WEFT_TYPED_MAX
         : variant == WEFT_REDUCE_MIN  ? WEFT_TYPED_MIN
         : variant == WEFT_REDUCE_PROD ? WEFT_TYPED_MUL
                                       : WEFT_TYPED_ADD;
}

typedef union block {
  int64_t whole[WEFT_BLOCK];
  double wide[WEFT_BLOCK];
} block;

/* n elements `step` apart, as neighbours of the type to work in, and each as it is to be folded: where they lie, or in
 * `room`. */
static const void *terms(const reduce *r, size_t offset, size_t step, size_t n, block *room) {
  static const block zeros;
  const size_t size = weft_type_size(r->type);
  const void *from = (const char *)r->x + offset * size;
  if (weft_type_size(r->work) != size) {
    weft_load_int64(r->type, r->x, offset, step, n, room->whole);
    from = room;
  } else if (step != 1) {
    weft_copy_elements(size, n, from, (int64_t)step, room, 1);
    from = room;
  }
  if (r->variant == WEFT_REDUCE_L2 || r->variant == WEFT_REDUCE_SUM_SQUARE) {
    weft_typed_binary_of(WEFT_TYPED_MUL, r->work)(n, from, from, room);
    return room;
  }
  if (r->variant == WEFT_REDUCE_L1 && (r->is_signed || r->work == WEFT_DOUBLE)) {
    block negative;
    weft_typed_binary_of(WEFT_TYPED_SUB, r->work)(n, &zeros, from, &negative);
    weft_typed_binary_of(WEFT_TYPED_MAX, r->work)(n, from, &negative, room);
    return room;
  }
  return from;
}

/* The totals of `count` groups from `group` on. */
static void fold_typed(const reduce *r, size_t group, size_t count, block *totals) {
  const weft_fold *f = &r->fold;
  const weft_typed what = what_of(r->variant);
  const bool rows = is_rows(f);
  const int64_t first = is_extreme(r->variant) ? extreme(r, r->variant == WEFT_REDUCE_MAX) : what == WEFT_TYPED_MUL;
  const double first_wide = initial(r->variant);
  block room, part, none;
  size_t held = 0;
  weft_fold_walk walk;
  for (size_t c = 0; c < count; c++) {
    if (r->work == WEFT_DOUBLE) {
      totals->wide[c] = first_wide;
    } else {
      weft_store_int64(r->work, &first, 1, totals, c, 1);
    }
  }
  const bool apart = f->n > 16 * WEFT_BLOCK; /* long sums are sums of blocks */
  block *sums = apart ? &part : totals;
  if (apart) {
    part = none = *totals;
  }
  weft_fold_begin(f, group, rows ? WEFT_BLOCK : SIZE_MAX, &walk);
  while (weft_fold_next(&walk)) {
    for (size_t i = 0; i < (rows ? 1 : walk.n); i++) {
      if (rows) {
        weft_typed_row_of(what, r->work)(walk.n, terms(r, walk.offset, 1, walk.n, &room), sums);
      } else {
        const void *line = terms(r, walk.offset + i * f->step, f->kept_strides[f->kept_rank - 1], count, &room);
        weft_typed_binary_of(what, r->work)(count, sums, line, sums);
      }
      if (apart && ++held % (rows ? 16 : WEFT_BLOCK) == 0) {
        weft_typed_binary_of(what, r->work)(count, totals, &part, totals);
        part = none;
      }
    }
  }
  if (apart) {
    weft_typed_binary_of(what, r->work)(count, totals, &part, totals);
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

static void run_typed(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  for (size_t group = begin, count; group < end; group += count) {
    block totals;
    count = side_by_side(&r->fold, group, end);
    fold_typed(r, group, count, &totals);
    if (r->work == WEFT_DOUBLE) {
      for (size_t c = 0; c < count; c++) {
        ((double *)r->y)[group + c] = finish(r, totals.wide[c], 0);
      }
    } else if (weft_type_size(r->work) < sizeof(int64_t)) {
      const size_t size = weft_type_size(r->type);
      memcpy((char *)r->y + group * size, &totals, count * size);
    } else {
      for (size_t c = 0; c < count; c++) {
        totals.whole[c] = finish_integer(r, totals.whole[c]);
      }
      weft_store_int64(r->type, totals.whole, count, r->y, group, 1);
    }
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
  /* A scalar may be reduced along axis 0 or -1 as if it had one: PyTorch does so, and exports such. */
  WEFT_TRY(weft_op_axes(op, "axes", count, axes, rank == 0 ? 1 : rank, reduced));
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
  bool extremes = is_extreme(op->def->variant);
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
              .work = work_of(op->def->variant, x->type),
              .tensor = x,
              .x = x->data,
              .y = y->data,
              .is_signed = weft_type_is_signed(x->type)};
  bool reduced[WEFT_MAX_RANK];
  bool logarithm = r.variant == WEFT_REDUCE_LOG_SUM || r.variant == WEFT_REDUCE_LOG_SUM_EXP;
  WEFT_TRY(read_axes(op, reduced));
  weft_fold_init(&r.fold, &x->shape, reduced);
  weft_parallel_body body = folds_floats(&r) || logarithm ? run_floats : run_typed;
  if (is_plain_columns(&r)) {
    body = run_plain_columns;
  } else if (row_kernel_of(&r) != NULL) {
    body = run_row_kernel;
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

/* Of element i, larger for what is better: a NaN is the greatest and the least. */
static uint64_t rank_of(const reduce *r, weft_type type, const void *x, size_t i) {
  const uint64_t key = weft_number_key(type, x, i);
  const bool not_a_number = weft_type_is_float(type) && key == UINT64_MAX;
  return r->variant == WEFT_ARG_MAX || not_a_number ? key : ~key;
}

static bool beats(const reduce *r, uint64_t best, uint64_t rank) {
  return rank > best || (r->last_index && rank == best);
}

static void run_arg(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  for (size_t group = begin; group < end; group++) {
    const size_t base = weft_fold_base(&r->fold, group);
    size_t winner = 0;
    uint64_t best = 0;
    for (size_t i = 0; i < r->fold.n; i++) {
      const uint64_t rank = rank_of(r, r->type, r->x, base + i * r->fold.step);
      if (i == 0 || beats(r, best, rank)) {
        best = rank;
        winner = i;
      }
    }
    ((int64_t *)r->y)[group] = (int64_t)winner;
  }
}

enum { SHORT_ROW = 16 };

/* Floats in rows: the extreme by its kernel, then its place; of short rows both together. */
static void run_arg_rows(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  const weft_kernels *kernels = r->cx->kernels;
  if (r->fold.n < SHORT_ROW) { /* one after the other: all but the last axis are kept */
    weft_typed_arg_rows(end - begin, r->fold.n, (const float *)r->x + begin * r->fold.n, r->variant == WEFT_ARG_MIN,
                        r->last_index, (int64_t *)r->y + begin);
    return;
  }
  for (size_t group = begin; group < end; group++) {
    const float *x = (const float *)r->x + weft_fold_base(&r->fold, group);
    float best = (r->variant == WEFT_ARG_MAX ? kernels->max_f32 : kernels->min_f32)(r->fold.n, x);
    ((int64_t *)r->y)[group] = (int64_t)weft_typed_find(r->fold.n, x, best, r->last_index);
  }
}

/* The first or last of n numbers that is `value`, which is one of them. */
static size_t find(const reduce *r, size_t n, const void *x, const void *value) {
  block repeated;
  uint8_t same[WEFT_BLOCK];
  const bool not_a_number = r->type == WEFT_DOUBLE && isnan(*(const double *)value);
  weft_copy_elements(weft_type_size(r->type), n, value, 0, &repeated, 1);
  weft_typed_binary_of(WEFT_TYPED_EQUAL, r->type)(n, x, not_a_number ? x : &repeated, same);
  size_t i = r->last_index ? n - 1 : 0;
  while (same[i] == not_a_number) {
    i += r->last_index ? SIZE_MAX : 1;
  }
  return i;
}

/* Other rows in pieces: where a piece's extreme beats the best so far, its place in the piece. */
static void run_arg_pieces(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  const weft_kernels *kernels = r->cx->kernels;
  const weft_typed what = r->variant == WEFT_ARG_MAX ? WEFT_TYPED_MAX : WEFT_TYPED_MIN;
  const bool floats = folds_floats(r);
  for (size_t group = begin; group < end; group++) {
    const size_t base = weft_fold_base(&r->fold, group);
    uint64_t best = 0;
    int64_t winner = 0;
    for (size_t done = 0, n; done < r->fold.n; done += n) {
      const void *x = (const char *)r->x + (base + done) * weft_type_size(r->type);
      float narrow[WEFT_BLOCK], value = 0;
      int64_t extreme_of = 0; /* of any type */
      n = r->fold.n - done < WEFT_BLOCK ? r->fold.n - done : WEFT_BLOCK;
      if (floats) {
        weft_block_load(kernels, r->tensor, base + done, 1, n, narrow);
        value = (r->variant == WEFT_ARG_MAX ? kernels->max_f32 : kernels->min_f32)(n, narrow);
        memcpy(&extreme_of, &value, sizeof value);
      } else {
        memcpy(&extreme_of, x, weft_type_size(r->type));
        weft_typed_row_of(what, r->type)(n, x, &extreme_of);
      }
      const uint64_t rank = rank_of(r, floats ? WEFT_FLOAT : r->type, &extreme_of, 0);
      if (done > 0 && !beats(r, best, rank)) {
        continue;
      }
      best = rank;
      winner =
          (int64_t)(done + (floats ? weft_typed_find(n, narrow, value, r->last_index) : find(r, n, x, &extreme_of)));
    }
    ((int64_t *)r->y)[group] = winner;
  }
}

static void run_arg_columns(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  for (size_t group = begin, count; group < end; group += count) {
    float best[WEFT_BLOCK], room[WEFT_BLOCK];
    int32_t winner[WEFT_BLOCK] = {0};
    const size_t base = weft_fold_base(&r->fold, group);
    count = side_by_side(&r->fold, group, end);
    weft_block_load(r->cx->kernels, r->tensor, base, 1, count, best);
    for (size_t i = 1; i < r->fold.n; i++) {
      const float *x = (const float *)r->x + base + i * r->fold.step;
      if (r->type != WEFT_FLOAT) {
        weft_block_load(r->cx->kernels, r->tensor, base + i * r->fold.step, 1, count, room);
        x = room;
      }
      weft_typed_beat(count, x, r->variant == WEFT_ARG_MIN, r->last_index, (int32_t)i, best, winner);
    }
    for (size_t c = 0; c < count; c++) {
      ((int64_t *)r->y)[group + c] = winner[c];
    }
  }
}

/* Of integers: a winner stays where the best does, or with last_index where the number is not the best. */
static void run_arg_integer_columns(void *arg, size_t begin, size_t end) {
  const reduce *r = arg;
  const size_t size = weft_type_size(r->type);
  weft_typed_binary extreme_of =
      weft_typed_binary_of(r->variant == WEFT_ARG_MAX ? WEFT_TYPED_MAX : WEFT_TYPED_MIN, r->type);
  weft_typed_binary equal = weft_typed_binary_of(WEFT_TYPED_EQUAL, r->type);
  for (size_t group = begin, count; group < end; group += count) {
    block best, better;
    uint8_t same[WEFT_BLOCK];
    int32_t winner[WEFT_BLOCK] = {0}, here[WEFT_BLOCK];
    const char *x = (const char *)r->x + weft_fold_base(&r->fold, group) * size;
    count = side_by_side(&r->fold, group, end);
    memcpy(&best, x, count * size);
    for (int32_t i = 1; (size_t)i < r->fold.n; i++) {
      x += r->fold.step * size;
      weft_copy_elements(sizeof i, count, &i, 0, here, 1);
      extreme_of(count, &best, x, &better);
      equal(count, &better, r->last_index ? x : (const void *)&best, same);
      weft_typed_choose(sizeof i, count, same, r->last_index ? here : winner, r->last_index ? winner : here, winner);
      memcpy(&best, &better, count * size);
    }
    for (size_t c = 0; c < count; c++) {
      ((int64_t *)r->y)[group + c] = winner[c];
    }
  }
}

/* Rows and columns have loops of their own, which very short ones do not repay, but not columns of doubles, with their
 * NaN. */
static weft_parallel_body arg_body(const reduce *r) {
  const bool loops = weft_typed_row_of(WEFT_TYPED_MAX, r->type) != NULL, floats = folds_floats(r);
  if (r->fold.step > 1 && r->fold.n < INT32_MAX && (floats || (loops && r->type != WEFT_DOUBLE))) {
    return floats ? run_arg_columns : run_arg_integer_columns;
  }
  if (r->fold.step == 1 && r->fold.n > 0 && r->type == WEFT_FLOAT) {
    return run_arg_rows;
  }
  return r->fold.step == 1 && r->fold.n >= SHORT_ROW && (floats || loops) ? run_arg_pieces : run_arg;
}

weft_status weft_arg_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  reduce r = {.cx = op->cx,
              .variant = op->def->variant,
              .type = x->type,
              .tensor = x,
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
