/* A product of a with a packed constant b in seven products of halves and a few sums instead of eight: Winograd's
 * variant of Strassen's algorithm (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 23.1), one
 * level deep. a's rows and b's columns are cut in halves, as is k:
 *
 *     s1 = a21 + a22   t1 = b12 - b11   p5 = s1 t1   u2  = a11 b11 + s2 t2
 *     s2 = s1 - a11    t2 = b22 - t1                 u3  = u2 + s3 t3
 *     s3 = a11 - a21   t3 = b22 - b12                c11 = a11 b11 + a12 b21   c12 = u2 + p5 + s4 b22
 *     s4 = a12 - s2    t4 = b21 - t2                 c21 = u3 + a22 t4         c22 = u3 + p5
 *
 * Errors of the four are as large as those of the greatest would be, so rows, or columns, that are paired have to be of
 * like size; others, and a row without a partner, are multiplied as usual, as are all where there are many others. What
 * is paired with what depends on the shape alone, and so does the result on the numbers, not on threads. */
#include "strassen.h"

#include "../kernels/strassen.h"

#include <math.h>
#include <string.h>

enum {
  NR = WEFT_GEMM_NR,
  FEW_ROWS = 72, /* fewer of m, n and k gain nothing */
  FEW_COLUMNS = 128,
  SHORT = 128,
  MOST_ROWS = 72,       /* at once */
  GROUP = 512,          /* rows whose sums there are at once, */
  SUM_FLOATS = 2 << 20, /* and at most so many of these */
  TASK_FLOATS = 8192,   /* of a that are worth a thread */
  SUMS = 4
};

typedef struct strassen {
  weft_context *cx;
  const weft_products *products;
  const weft_product *product; /* of a group of rows */
  size_t m, n, k;
  size_t rows, columns, half; /* half of m, n and k */
  float *sums;                /* of a: SUMS times [rows x half] */
  float *usual;               /* per column of a: magnitudes of some rows */
  bool *alike;                /* per pair of rows */
  size_t block, blocks;       /* columns of half of b, at most */
  float *scratch;
  size_t scratch_size; /* floats of a thread */
} strassen;

/* Rows whose sums there are at once. */
static size_t most_rows(size_t k) {
  return SUM_FLOATS / k < GROUP ? SUM_FLOATS / k : GROUP;
}

bool weft_strassen_fits(const weft_context *cx, const weft_products *products, const weft_product *p) {
  return !cx->plain && products->count == 1 && !products->accumulate &&
         (p->packed != NULL || p->narrow != NULL || products->weights) && p->epilogue.row_bias == NULL &&
         products->m >= FEW_ROWS && products->k >= SHORT && most_rows(products->k) >= FEW_ROWS &&
         products->k % (2 * NR) == 0 && products->n >= FEW_COLUMNS && products->n % (2 * NR) == 0;
}

/* Products of sums have errors as large as what they multiply. Where all elements are of one size these are three times
 * those of a plain sum; up to about eight times they may be, so neither a row, nor a column with what it meets in a, may
 * have elements much larger than the others of the pair. */
static bool are_alike(float most, float first, float second) {
  static const float ratio = 32; /* 4 where all columns are of one size */
  return most <= ratio * (first < second ? first : second) && first + second < INFINITY;
}

static void sum_rows(void *arg, size_t begin, size_t end) {
  const strassen *s = arg;
  const weft_product *p = s->product;
  for (size_t i = begin; i < end; i++) {
    weft_strassen_sizes sizes;
    weft_strassen_left(s->half, p->a + i * p->lda, p->a + (s->rows + i) * p->lda, s->sums + i * s->half,
                       s->rows * s->half, &sizes);
    for (size_t j = 1; j < NR; j++) {
      sizes.most[0] = sizes.most[j] > sizes.most[0] ? sizes.most[j] : sizes.most[0];
      sizes.sums[0][0] += sizes.sums[0][j];
      sizes.sums[1][0] += sizes.sums[1][j];
    }
    s->alike[i] = are_alike(sizes.most[0] * (float)s->k, sizes.sums[0][0], sizes.sums[1][0]);
  }
}

/* Two panels' sums, and whether all their columns are alike. */
static bool sum_panels(const strassen *s, const float *left, const float *right, float *sums) {
  weft_strassen_sizes sizes;
  weft_strassen_right(s->half, left, right, s->usual, sums, s->block * s->half, &sizes);
  bool alike = true;
  for (size_t j = 0; j < NR; j++) {
    alike &= are_alike(sizes.most[j], sizes.sums[0][j], sizes.sums[1][j]);
  }
  return alike;
}

/* Columns of both halves of b, the same of each: `panels` of floats, and the sums made of them. */
typedef struct columns {
  size_t at, count;
  const float *panels[2];
  const float *sums;
  float *room; /* MOST_ROWS x count floats */
} columns;

/* Rows as usual, with columns of both halves. */
static void multiply(const strassen *s, size_t row, size_t rows, const columns *c) {
  const weft_product *p = s->product;
  for (int half = 0; half < 2; half++) {
    const size_t column = c->at + (half == 0 ? 0 : s->columns);
    const weft_epilogue e = weft_epilogue_from(&p->epilogue, row, column);
    s->cx->kernels->gemm_f32(rows, c->count, s->k, p->a + row * p->lda, p->lda, c->panels[half], s->k * NR,
                             p->c + row * p->ldc + column, p->ldc, false, &e);
  }
}

/* m rows of both halves from `row` on. */
static void multiply_halves(const strassen *s, size_t row, size_t m, const columns *c) {
  const weft_kernels *kernels = s->cx->kernels;
  const weft_product *p = s->product;
  const size_t n = c->count, half = s->half, whole = s->k * NR, panel = half * NR, lda = p->lda, ldc = p->ldc;
  const size_t below = row + s->rows, right = c->at + s->columns, t_size = s->block * half;
  const float *a11 = p->a + row * lda, *a12 = a11 + half, *a22 = p->a + below * lda + half;
  const float *b11 = c->panels[0], *b21 = b11 + panel, *b22 = c->panels[1] + panel;
  const float *s1 = s->sums + row * half, *s2 = s1 + s->rows * half, *s3 = s2 + s->rows * half,
              *s4 = s3 + s->rows * half;
  const float *t1 = c->sums, *t2 = t1 + t_size, *t3 = t2 + t_size, *t4 = t3 + t_size;
  float *c11 = p->c + row * ldc + c->at, *c12 = c11 + s->columns, *c21 = p->c + below * ldc + c->at,
        *c22 = c21 + s->columns, *u2 = c->room;
  const weft_epilogue e11 = weft_epilogue_from(&p->epilogue, row, c->at),
                      e21 = weft_epilogue_from(&p->epilogue, below, c->at),
                      e22 = weft_epilogue_from(&p->epilogue, below, right),
                      plus_c11 = {.residual = c11, .residual_stride = ldc},
                      plus_u2 = {.residual = u2, .residual_stride = n};
  weft_epilogue e12 = weft_epilogue_from(&p->epilogue, row, right);
  const bool has_residual = e12.residual != NULL;
  kernels->gemm_f32(m, n, half, a11, lda, b11, whole, c11, ldc, false, NULL);
  kernels->gemm_f32(m, n, half, s2, half, t2, panel, u2, n, false, &plus_c11);
  kernels->gemm_f32(m, n, half, a12, lda, b21, whole, c11, ldc, true, &e11);
  kernels->gemm_f32(m, n, half, s3, half, t3, panel, c21, ldc, false, &plus_u2); /* u3 */
  kernels->gemm_f32(m, n, half, s1, half, t1, panel, c12, ldc, false, NULL);     /* p5 */
  weft_strassen_add(m, n, has_residual ? u2 : NULL, c12, c21, c22, ldc);
  kernels->gemm_f32(m, n, 0, a11, lda, b11, whole, c22, ldc, true, &e22);
  if (!has_residual) {
    e12.residual = u2;
    e12.residual_stride = n;
  }
  kernels->gemm_f32(m, n, half, s4, half, b22, whole, c12, ldc, true, &e12);
  kernels->gemm_f32(m, n, half, a22, lda, t4, panel, c21, ldc, true, &e21);
}

/* Columns whose pairs are all alike, or none. */
static void run_columns(const strassen *s, bool alike, const columns *c) {
  for (size_t row = 0, rows; row < s->rows; row += rows) {
    const bool both = alike && s->alike[row];
    for (rows = 1; rows < MOST_ROWS && row + rows < s->rows && (alike && s->alike[row + rows]) == both;) {
      rows++;
    }
    if (both) {
      multiply_halves(s, row, rows, c);
    } else {
      multiply(s, row, rows, c);
      multiply(s, row + s->rows, rows, c);
    }
  }
  if (s->m % 2 != 0) multiply(s, s->m - 1, 1, c);
}

/* n columns from `column` on of a half of b: read ahead, or made in `out`. */
static const float *fetch(const strassen *s, size_t column, size_t n, float *out) {
  const weft_product *p = s->product;
  const size_t count = n * s->k;
  if (p->packed != NULL) {
    weft_read_ahead(p->packed + column * s->k, count * sizeof(float));
    return p->packed + column * s->k;
  }
  if (p->narrow != NULL) {
    weft_widen(s->cx->kernels, p->narrow_type, count, p->narrow + column * s->k, out);
  } else {
    s->products->pack(s->products->arg, 0, column, n, out, NULL);
  }
  return out;
}

static void run_block(const strassen *s, size_t column, size_t n, float *room) {
  float *t = room + s->block * MOST_ROWS, *wide = t + SUMS * s->block * s->half;
  const float *left = fetch(s, column, n, wide), *right = fetch(s, column + s->columns, n, wide + n * s->k);
  bool before = true;
  for (size_t i = 0, begin = 0; i <= n; i += NR) {
    const bool alike =
        i < n ? sum_panels(s, left + i * s->k, right + i * s->k, t + i * s->half) : !before; /* the end ends a run */
    if (alike != before && i > begin) {
      const columns c = {.at = column + begin,
                         .count = i - begin,
                         .panels = {left + begin * s->k, right + begin * s->k},
                         .sums = t + begin * s->half,
                         .room = room};
      run_columns(s, before, &c);
      begin = i;
    }
    before = alike;
  }
}

static size_t column_of(const strassen *s, size_t block) {
  return weft_share_begin(s->columns, NR, block, s->blocks);
}

static void run_blocks(void *arg, uint32_t slot, size_t begin, size_t end) {
  const strassen *s = arg;
  for (size_t i = begin; i < end && !s->cx->cancelled; i++) {
    const size_t column = column_of(s, i);
    run_block(s, column, column_of(s, i + 1) - column, s->scratch + slot * s->scratch_size);
  }
}

static void group_at(const void *arg, size_t index, weft_product *out) {
  (void)index;
  *out = *((const strassen *)arg)->product;
}

static void group_pack(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const weft_products *products = ((const strassen *)arg)->products;
  products->pack(products->arg, index, column, columns, out, scratch);
}

/* Whether nearly all rows are alike, for runs of rows that others interrupt fill no tiles. */
static bool pays(const strassen *s) {
  enum { FEW_UNLIKE = 64 /* one of so many */ };
  size_t unlike = 0;
  for (size_t i = 0; i < s->rows; i++) {
    unlike += !s->alike[i];
  }
  return unlike * FEW_UNLIKE <= s->rows;
}

static void sample_rows(const strassen *s) {
  enum { SAMPLE = 16 };
  const weft_product *p = s->product;
  memset(s->usual, 0, s->k * sizeof *s->usual);
  for (size_t i = 0; i < SAMPLE; i++) {
    weft_strassen_add_magnitudes(s->k, p->a + i * s->m / SAMPLE * p->lda, s->usual);
  }
}

weft_status weft_strassen_run(weft_op *op, const weft_products *products, const weft_product *product) {
  weft_product part = *product;
  strassen s = {.cx = op->cx,
                .products = products,
                .product = &part,
                .n = products->n,
                .k = products->k,
                .columns = products->n / 2,
                .half = products->k / 2};
  const size_t threads = weft_parallel_threads(op->cx), panels = s.columns / NR;
  size_t most = WEFT_PRODUCT_BLOCK / 2 / NR / s.k;
  s.blocks = weft_parts(weft_parts(panels, most > 1 ? most : 1), threads) * threads;
  s.blocks = weft_smaller(s.blocks, panels);
  s.block = weft_parts(panels, s.blocks) * NR;
  const size_t groups = weft_parts(products->m, most_rows(s.k)), group = weft_parts(products->m, 2 * groups) * 2;
  s.scratch_size = s.block * (MOST_ROWS + SUMS * s.half + (product->packed == NULL ? 2 * s.k : 0));
  void *room;
  WEFT_TRY(weft_op_scratch_array(op, group / 2 + 1, SUMS * s.half * sizeof(float) + 1, &room));
  s.sums = room;
  s.usual = s.sums + SUMS * (group / 2) * s.half;
  s.alike = (bool *)(s.usual + s.k);
  WEFT_TRY(weft_op_scratch_array(op, threads, s.scratch_size * sizeof(float), &room));
  s.scratch = room;
  for (size_t row = 0; row < products->m; row += group) {
    s.m = products->m - row < group ? products->m - row : group;
    s.rows = s.m / 2;
    part.a = product->a + row * product->lda;
    part.c = product->c + row * product->ldc;
    part.epilogue = weft_epilogue_from(&product->epilogue, row, 0);
    weft_parallel(op->cx, s.rows, 1 + TASK_FLOATS / s.k, sum_rows, &s);
    if (pays(&s)) {
      sample_rows(&s);
      weft_parallel_slots(op->cx, s.blocks, 1, run_blocks, &s);
    } else {
      const weft_products plain = {.count = 1,
                                   .m = s.m,
                                   .n = s.n,
                                   .k = s.k,
                                   .arg = &s,
                                   .at = group_at,
                                   .pack = products->pack != NULL ? group_pack : NULL};
      WEFT_TRY(weft_products_run_plain(op, &plain));
    }
  }
  return WEFT_OK;
}
