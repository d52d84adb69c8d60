/* Matrix products. A tile is up to twelve vectors of sums where multiply-adds are fused, 4 to 6 rows of one panel of 8
 * columns, and eight where they are not, 2 rows of two panels (tests/bench/NOTES.md). With elements of a splatted one
 * by one, just before they are used, that is what engines with 16 vector registers keep without spilling. K is cut so
 * that a panel stays in the first-level cache and rows so that their part of a stays in the second. Every element is
 * the same chain of multiply-adds in each block of k (but for what is left beside whole panels), and the same chain of
 * blocks, whatever tile it fell in, so results do not depend on how callers cut the work. */

enum {
  NR = WEFT_GEMM_NR,
  BLOCK_K = WEFT_GEMM_BLOCK_K,
  BLOCK_ROWS = FUSED ? 60 : 64,
  MOST_ROWS = FUSED ? 6 : 4, /* of a tile */
  BLOCK_PANELS = 512,        /* rows of panels that are walked together: 16 kB */
  LARGE = 32768,             /* elements of a plain b for one row: likely to come from memory, fastest in order */
  STREAMS = FUSED ? 4 : 3,   /* panels that one row takes at once */
  HOT_ROW = 1024,            /* elements of a that are kept in the first-level cache beside a cold b */
  LINE = 16                  /* floats of a cache's line, or fewer */
};

/* A piece of the product, k cut already. */
typedef struct gemm_part {
  size_t k;
  const float *a;
  size_t lda;
  const float *panel;
  size_t panel_stride; /* to the next panel of 8 columns */
  float *c;
  size_t ldc;
  bool accumulate;
  const weft_epilogue *epilogue; /* NULL before the last block of k */
  size_t row, column;            /* of c[0] in the whole: for biases and residual */
  const int32_t *offsets;        /* of a panel's rows of 8, where they do not follow each other */
} gemm_part;

/* The activations that are part of a tile; others are done when the rows are finished. */
static bool is_light(const weft_epilogue *e) {
  return e->activation == WEFT_ACT_NONE || e->activation == WEFT_ACT_CLIP ||
         (e->activation == WEFT_ACT_LEAKY && e->lo > 0 && e->lo <= 1);
}

/* LeakyRelu, if it is light. */
INLINE real leaky_of(real x, real slope) {
  return r_at_least(x, r_mul(x, slope));
}

/* Bias, residual and light activation of rows x vectors finished sums. */
INLINE void finish_tile(const weft_epilogue *e, size_t row, size_t column, const size_t rows, const size_t vectors,
                        real sums[MOST_ROWS][4]) {
  for (size_t i = 0; e->row_bias != NULL && i < rows; i++) {
    real bias = load_splat(e->row_bias + row + i);
    for (size_t j = 0; j < vectors; j++) {
      sums[i][j] = r_add(sums[i][j], bias);
    }
  }
  for (size_t j = 0; e->column_bias != NULL && j < vectors; j++) {
    real bias = load(e->column_bias + column + j * LANES);
    for (size_t i = 0; i < rows; i++) {
      sums[i][j] = r_add(sums[i][j], bias);
    }
  }
  for (size_t i = 0; e->residual != NULL && i < rows; i++) {
    const float *residual = e->residual + (row + i) * e->residual_stride + column;
    for (size_t j = 0; j < vectors; j++) {
      sums[i][j] = r_add(sums[i][j], load(residual + j * LANES));
    }
  }
  if (e->activation == WEFT_ACT_CLIP) {
    const real low = r_set(e->lo), high = r_set(e->hi);
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < vectors; j++) {
        sums[i][j] = r_at_most(r_at_least(sums[i][j], low), high);
      }
    }
  } else if (e->activation == WEFT_ACT_LEAKY && is_light(e)) {
    const real slope = r_set(e->lo);
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < vectors; j++) {
        sums[i][j] = leaky_of(sums[i][j], slope);
      }
    }
  }
}

/* The same for a row of any length. (Not with scalar min and max: clang 22 makes relaxed ones of them, which lose NaN.)
 */
static void finish_row(const weft_epilogue *e, size_t row, size_t column, size_t count, float *c) {
  for (size_t j = 0; j < count; j += LANES) {
    size_t left = count - j < LANES ? count - j : LANES;
    real y = load_some(c + j, left);
    if (e->row_bias != NULL) y = r_add(y, load_splat(e->row_bias + row));
    if (e->column_bias != NULL) y = r_add(y, load_some(e->column_bias + column + j, left));
    if (e->residual != NULL) y = r_add(y, load_some(e->residual + row * e->residual_stride + column + j, left));
    if (e->activation == WEFT_ACT_CLIP) y = r_at_most(r_at_least(y, r_set(e->lo)), r_set(e->hi));
    if (e->activation == WEFT_ACT_LEAKY && is_light(e)) y = leaky_of(y, r_set(e->lo));
    store_some(c + j, y, left);
  }
}

/* Where a tile reads from. */
typedef struct gemm_from {
  const float *a[MOST_ROWS], *b[2];
  const int32_t *offset;
} gemm_from;

/* So many steps along k of a tile; all but `p` and `from` are constants where this is called. Pointers that clang cannot
 * see through are moved on once for all steps, where it would make each anew from the distance between rows. */
INLINE void gemm_steps(const gemm_part *p, gemm_from *from, const size_t steps, const size_t rows, const size_t panels,
                       const bool scattered, real sums[MOST_ROWS][4]) {
  UNROLLED
  for (size_t t = 0; t < steps; t++) {
    real right[4];
    if (scattered) from->b[0] = p->panel + from->offset[t];
    for (size_t j = 0; j < 2 * panels; j++) {
      right[j] = load(from->b[j / 2] + (scattered ? 0 : t * NR) + j % 2 * LANES);
    }
    for (size_t i = 0; i < rows; i++) {
      real left = load_splat(from->a[i] + t);
      for (size_t j = 0; j < 2 * panels; j++) {
        sums[i][j] = r_madd(left, right[j], sums[i][j]);
        FINISHED(sums[i][j]);
      }
    }
  }
  for (size_t i = 0; i < rows; i++) {
    from->a[i] += steps;
    FINISHED(from->a[i]);
  }
  for (size_t j = 0; j < panels && !scattered; j++) {
    from->b[j] += steps * NR;
  }
  if (scattered) from->offset += steps;
}

/* rows x (8 * panels) of c; both are constants where this is called, as is whether the one panel has offsets. */
INLINE void gemm_tile(const gemm_part *p, const size_t rows, const size_t panels, const bool scattered) {
  real sums[MOST_ROWS][4];
  const size_t vectors = panels * 2;
  for (size_t i = 0; i < rows * vectors; i++) {
    sums[i / vectors][i % vectors] = r_set(0.0f);
  }
  gemm_from from = {.offset = p->offsets};
  for (size_t i = 0; i < rows; i++) {
    from.a[i] = p->a + i * p->lda;
  }
  for (size_t j = 0; j < panels; j++) {
    from.b[j] = p->panel + j * p->panel_stride;
  }
  NOT_UNROLLED
  for (size_t turns = p->k / STEPS; turns > 0; turns--) {
    gemm_steps(p, &from, STEPS, rows, panels, scattered, sums);
  }
  NOT_UNROLLED
  for (size_t rest = p->k % STEPS; rest > 0; rest--) {
    gemm_steps(p, &from, 1, rows, panels, scattered, sums);
  }
  for (size_t i = 0; p->accumulate && i < rows * vectors; i++) {
    real *sum = &sums[i / vectors][i % vectors];
    *sum = r_add(load(p->c + i / vectors * p->ldc + i % vectors * LANES), *sum);
  }
  if (p->epilogue != NULL) finish_tile(p->epilogue, p->row, p->column, rows, vectors, sums);
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < vectors; j++) {
      store(p->c + i * p->ldc + j * LANES, sums[i][j]);
    }
  }
}

static void skip_rows(gemm_part *p, size_t rows) {
  p->a += rows * p->lda;
  p->c += rows * p->ldc;
  p->row += rows;
}

static void skip_columns(gemm_part *p, size_t panels) {
  p->panel += panels * p->panel_stride;
  p->c += panels * NR;
  p->column += panels * NR;
}

/* `rows` of so many panels, `at_once` in a tile; both constants where this is called. */
INLINE void gemm_strip(gemm_part p, const size_t rows, const size_t at_once, size_t panels) {
  for (; panels > 0; panels -= at_once, skip_columns(&p, at_once)) {
    gemm_tile(&p, rows, at_once, false);
  }
}

/* How many of m rows the next tile takes: as many as the others, and where multiply-adds are fused at least 4 unless m is
 * 1 to 3 or 7. */
static size_t tile_rows(size_t m) {
  if (!FUSED) return m < MOST_ROWS ? m : MOST_ROWS;
  const size_t tiles = (m + MOST_ROWS - 1) / MOST_ROWS;
  return (m + tiles - 1) / tiles;
}

/* All rows of some panels, which stay in the first-level cache: row by row, so that c is written in whole lines. */
static void gemm_panels(gemm_part p, size_t m, size_t panels) {
  for (size_t rows; m > 0; m -= rows, skip_rows(&p, rows)) {
    rows = tile_rows(m);
    if (FUSED && rows == 6) gemm_strip(p, FUSED ? 6 : 1, 1, panels);
    if (FUSED && rows == 5) gemm_strip(p, FUSED ? 5 : 1, 1, panels);
    if (rows == 4) gemm_strip(p, 4, 1, panels);
    if (!FUSED && rows == 2) gemm_strip(p, FUSED ? 1 : 2, 1, panels);
  }
}

/* Two panels fill lines as they are. */
static void gemm_pair(gemm_part p, size_t m) {
  for (; m > 0; m -= 2, skip_rows(&p, 2)) {
    gemm_tile(&p, 2, 2, false);
  }
}

/* At least 4 rows and 8 columns, k uncut. The last ones are made in part again, so no residual may be where c is. */
static void gemm_scattered(const gemm_part *p, size_t m, size_t n) {
  for (size_t row = 0; row < m; row += 4) {
    gemm_part part = *p;
    skip_rows(&part, row + 4 <= m ? row : m - 4);
    for (size_t column = 0; column < n; column += NR, skip_columns(&part, 1)) {
      const size_t over = column + NR <= n ? 0 : column + NR - n;
      part.panel -= over;
      part.c -= over;
      part.column -= over;
      gemm_tile(&part, 4, 1, true);
    }
  }
}

/* `rows` dot products with x at once, a constant where this is called, each in two vectors of sums. */
INLINE void dot_rows(const size_t rows, size_t k, const float *x, const float *b, size_t ldb, float *y) {
  const size_t vectors = 2;
  real sums[4][2];
  for (size_t i = 0; i < rows * vectors; i++) {
    sums[i / vectors][i % vectors] = r_set(0.0f);
  }
  size_t l = 0;
  NOT_UNROLLED
  for (; l + vectors * LANES <= k; l += vectors * LANES) {
    for (size_t j = 0; j < vectors; j++) {
      real left = load(x + l + j * LANES);
      for (size_t i = 0; i < rows; i++) {
        sums[i][j] = r_madd(left, load(b + i * ldb + l + j * LANES), sums[i][j]);
      }
    }
  }
  for (size_t i = 0; i < rows; i++) {
    float sum = add_lanes(r_add(sums[i][0], sums[i][1]));
    for (size_t t = l; t < k; t++) {
      sum += x[t] * b[i * ldb + t];
    }
    y[i] = sum;
  }
}

/* Four rows whose results are so far apart, or one; as functions, for there are several that need them. */
static NOT_INLINE void dot_four_rows(size_t k, const float *x, const float *b, size_t ldb, float *y, size_t apart) {
  float sums[4];
  dot_rows(4, k, x, b, ldb, sums);
  for (size_t i = 0; i < 4; i++) {
    y[i * apart] = sums[i];
  }
}
static NOT_INLINE void dot_one_row(size_t k, const float *x, const float *b, float *y) {
  dot_rows(1, k, x, b, 0, y);
}

/* A single column of c: rows of a times that column, as dot products, an eighth of what a panel would take. So many
 * planes of convolutions are 7 x 7. */
static void gemm_column(gemm_part p, size_t m) {
  float column[BLOCK_K], sums[4];
  for (size_t l = 0; l < p.k || l == 0; l += BLOCK_K) {
    const size_t depth = p.k - l < BLOCK_K ? p.k - l : BLOCK_K;
    for (size_t i = 0; i < depth; i++) {
      column[i] = p.panel[(l + i) * NR];
    }
    for (size_t row = 0; row < m; row += 4) {
      const size_t rows = m - row < 4 ? m - row : 4;
      const float *a = p.a + row * p.lda + l;
      if (rows == 4) {
        dot_four_rows(depth, column, a, p.lda, sums, 1);
      } else {
        for (size_t i = 0; i < rows; i++) {
          dot_one_row(depth, column, a + i * p.lda, sums + i);
        }
      }
      for (size_t i = 0; i < rows; i++) {
        float *c = p.c + (row + i) * p.ldc;
        *c = p.accumulate || l > 0 ? *c + sums[i] : sums[i];
        if (p.epilogue != NULL && l + depth == p.k) finish_row(p.epilogue, p.row + row + i, p.column, 1, c);
      }
    }
  }
}

/* Two to four columns of c: two rows of a times four columns, as dot products. */
static void gemm_columns(gemm_part p, size_t m, size_t columns) {
  float b[LANES][BLOCK_K];
  for (size_t l = 0; l < p.k || l == 0; l += BLOCK_K) {
    const size_t depth = p.k - l < BLOCK_K ? p.k - l : BLOCK_K, whole = depth / LANES * LANES;
    const float *const panel = p.panel + l * NR;
    transpose(whole, LANES, sizeof *panel, panel, NR, b[0], BLOCK_K);
    for (size_t row = 0; row < m;) {
      const float *const x[2] = {p.a + row * p.lda + l, p.a + (row + 1 < m ? row + 1 : row) * p.lda + l};
      real sums[2][LANES];
      for (size_t i = 0; i < 2 * LANES; i++) {
        sums[i / LANES][i % LANES] = r_set(0.0f);
      }
      NOT_UNROLLED
      for (size_t i = 0; i < whole; i += LANES) {
        const real left[2] = {load(x[0] + i), load(x[1] + i)};
        for (size_t j = 0; j < LANES; j++) {
          const real right = load(b[j] + i);
          sums[0][j] = r_madd(left[0], right, sums[0][j]);
          sums[1][j] = r_madd(left[1], right, sums[1][j]);
          if (FUSED) FINISHED(sums[0][j]);
          if (FUSED) FINISHED(sums[1][j]);
        }
      }
      for (size_t r = 0; r < 2 && row < m; r++, row++) {
        float *const c = p.c + row * p.ldc;
        transpose_4x4(sums[r]);
        real sum = r_add(r_add(sums[r][0], sums[r][2]), r_add(sums[r][1], sums[r][3]));
        for (size_t i = whole; i < depth; i++) {
          sum = r_madd(load_splat(x[r] + i), load(panel + i * NR), sum);
        }
        store_some(c, p.accumulate || l > 0 ? r_add(load_some(c, columns), sum) : sum, columns);
        if (p.epilogue != NULL && l + depth == p.k) finish_row(p.epilogue, p.row + row, p.column, columns, c);
      }
    }
  }
}

/* What is left beside whole panels. */
static void gemm_rest(gemm_part p, size_t m, size_t columns) {
  for (size_t count; columns > 0; columns -= count, p.panel += count, p.c += count, p.column += count) {
    count = columns < LANES ? columns : LANES;
    if (count == 1) {
      gemm_column(p, m);
    } else {
      gemm_columns(p, m, count);
    }
  }
}

/* One block of k and of whole tiles' rows. */
static void gemm_block(gemm_part p, size_t m, size_t n) {
  size_t panels = n / NR, together = BLOCK_PANELS / (p.k + 1) / 2 * 2; /* even: whole lines of c */
  together = together < 2 ? 2 : together;
  if (!FUSED) {
    for (; panels >= 2; panels -= 2, skip_columns(&p, 2)) {
      gemm_pair(p, m);
    }
  }
  for (; panels > 0; panels -= together, skip_columns(&p, together)) {
    together = together < panels ? together : panels;
    gemm_panels(p, m, together);
  }
  gemm_rest(p, m, n % NR);
}

/* ---- one or two rows --------------------------------------------------------------------------------------------- */
/* They read b once, from memory, which comes fastest in a few streams that are long: two rows take two panels at once,
 * half of b apart, one row takes four, or three where products and sums are apart, so that sums do not wait for each
 * other. Streams drive the row out of the first-level cache, and every line of it that is missed in the loop delays
 * them: so it is read before each block, at once (tests/bench/NOTES.md). */
typedef struct few_rows {
  size_t k;
  const float *a;
  size_t lda;
  const void *b; /* elements of the type that functions below name */
  size_t panel;  /* elements to the next panel */
  float *c;
  size_t ldc;
  bool accumulate;
} few_rows;

/* Four elements of b, of float16 HALF_PART of them. */
INLINE real load_right(const void *b, size_t at, const weft_type type) {
  const uint16_t *half = (const uint16_t *)b + at;
  return type == WEFT_FLOAT     ? load((const float *)b + at)
         : type == WEFT_FLOAT16 ? finite_half_to_part(wasm_i32x4_load16x4(half))
                                : bfloat_to_real(wasm_u32x4_load16x4(half));
}

/* So many steps along k; all but the pointers and sums are constants where this is called. */
INLINE void few_steps(const size_t steps, const size_t rows, const size_t panels, const weft_type type, const float **a,
                      const char **b, real sums[2][8]) {
  const size_t size = type == WEFT_FLOAT ? sizeof(float) : sizeof(uint16_t);
  UNROLLED
  for (size_t t = 0; t < steps; t++) {
    real factors[2];
    for (size_t i = 0; i < rows; i++) {
      factors[i] = load_splat(a[i] + t);
      if (type == WEFT_FLOAT16) factors[i] = r_mul(factors[i], R_CONST(1 / HALF_PART));
    }
    for (size_t j = 0; j < 2 * panels; j++) {
      const real right = load_right(b[j / 2], t * NR + j % 2 * LANES, type);
      for (size_t i = 0; i < rows; i++) {
        sums[i][j] = r_madd(factors[i], right, sums[i][j]);
        FINISHED(sums[i][j]);
      }
    }
  }
  for (size_t i = 0; i < rows; i++) {
    a[i] += steps;
    FINISHED(a[i]);
  }
  for (size_t j = 0; j < panels; j++) {
    b[j] += steps * NR * size;
    FINISHED(b[j]);
  }
}

/* `depth` steps of k from l on for rows x panels, the panels `apart` columns from each other; rows, panels and the
 * type are constants where this is called. */
INLINE void few_block(const few_rows *p, const size_t rows, const size_t panels, size_t column, size_t apart, size_t l,
                      size_t depth, const weft_type type) {
  real sums[2][8];
  const char *b[4];
  const size_t vectors = panels * 2, size = type == WEFT_FLOAT ? sizeof(float) : sizeof(uint16_t);
  float *c = p->c + column;
  for (size_t j = 0; j < panels; j++) {
    b[j] = (const char *)p->b + ((column + j * apart) / NR * p->panel + l * NR) * size;
  }
  for (size_t i = 0; i < rows * vectors; i++) {
    sums[i / vectors][i % vectors] = r_set(0.0f);
  }
  const float *a[2] = {p->a + l, rows > 1 ? p->a + l + p->lda : NULL};
  NOT_UNROLLED
  for (size_t turns = depth / STEPS; turns > 0; turns--) {
    few_steps(STEPS, rows, panels, type, a, b, sums);
  }
  NOT_UNROLLED
  for (size_t rest = depth % STEPS; rest > 0; rest--) {
    few_steps(1, rows, panels, type, a, b, sums);
  }
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < vectors; j++) {
      float *to = c + i * p->ldc + j / 2 * apart + j % 2 * LANES;
      store(to, p->accumulate || l > 0 ? r_add(load(to), sums[i][j]) : sums[i][j]);
    }
  }
}

INLINE void keep_row(const few_rows *p, size_t l, size_t depth) {
  const volatile float *a = p->k <= HOT_ROW ? p->a : p->a + l;
  for (size_t i = 0, count = p->k <= HOT_ROW ? p->k : depth; i < count; i += LINE) {
    (void)a[i];
  }
}

INLINE void few_tile(const few_rows *p, const size_t rows, const size_t panels, size_t column, size_t apart,
                     const weft_type type) {
  size_t l = 0;
  do {
    const size_t depth = p->k - l < BLOCK_K ? p->k - l : BLOCK_K;
    if (rows == 1) keep_row(p, l, depth);
    few_block(p, rows, panels, column, apart, l, depth, type);
    l += depth;
  } while (l < p->k);
}

INLINE void few_panels(const few_rows *p, const size_t rows, const size_t streams, size_t n, const weft_type type) {
  size_t apart = n / NR / streams * NR, column = 0;
  for (; column < apart; column += NR) {
    few_tile(p, rows, streams, column, apart, type);
  }
  for (column = streams * apart; column + NR <= n; column += NR) {
    few_tile(p, rows, 1, column, 0, type);
  }
}

/* Whether finish_row has anything to do. */
static bool changes_rows(const weft_epilogue *e) {
  return e != NULL && (e->row_bias != NULL || e->column_bias != NULL || e->residual != NULL ||
                       (e->activation != WEFT_ACT_NONE && is_light(e)));
}

static void gemm_few_rows(const few_rows *p, size_t m, size_t n, const weft_epilogue *epilogue) {
  if (m == 1) {
    few_panels(p, 1, STREAMS, n, WEFT_FLOAT);
  } else {
    few_panels(p, 2, 2, n, WEFT_FLOAT);
  }
  const size_t whole = n / NR * NR;
  const gemm_part rest = {.k = p->k,
                          .a = p->a,
                          .lda = p->lda,
                          .panel = (const float *)p->b + whole / NR * p->panel,
                          .c = p->c + whole,
                          .ldc = p->ldc,
                          .accumulate = p->accumulate};
  gemm_rest(rest, m, n - whole);
  for (size_t i = 0; i < m && changes_rows(epilogue); i++) {
    finish_row(epilogue, i, 0, n, p->c + i * p->ldc);
  }
}

/* Activations that are no part of a tile. */
static void finish_rows(size_t m, size_t n, float *c, size_t ldc, const weft_epilogue *e) {
  for (size_t i = 0; e != NULL && !is_light(e) && i < m; i++) {
    activate_f32(n, c + i * ldc, e->activation, e->lo, e->hi);
  }
}

/* One or two rows from `row` on. */
static void gemm_last_rows(few_rows few, size_t row, size_t m, size_t n, const weft_epilogue *epilogue) {
  few.a += row * few.lda;
  few.c += row * few.ldc;
  if (epilogue == NULL) {
    gemm_few_rows(&few, m, n, NULL);
    return;
  }
  weft_epilogue e = *epilogue;
  if (e.row_bias != NULL) e.row_bias += row;
  if (e.residual != NULL) e.residual += row * e.residual_stride;
  gemm_few_rows(&few, m, n, &e);
  finish_rows(m, n, few.c, few.ldc, &e);
}

/* How many of m rows have tiles of one panel, or pairs of them; the others are one to three. */
static size_t whole_rows(size_t m) {
  if (!FUSED) return m <= 2 ? 0 : m / 2 * 2;
  return m < 4 ? 0 : m == 7 ? 5 : m;
}

static void gemm_f32(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b_packed, size_t panel,
                     float *c, size_t ldc, bool accumulate, const weft_epilogue *epilogue) {
  const size_t whole = whole_rows(m);
  size_t rows = 0;
  for (size_t row = 0; row < whole; row += rows) {
    rows = whole - row < BLOCK_ROWS + 2 * MOST_ROWS ? whole - row : BLOCK_ROWS; /* none of few rows at the end */
    size_t l = 0;
    do {
      size_t depth = k - l < BLOCK_K ? k - l : BLOCK_K;
      gemm_part part = {.k = depth,
                        .a = a + row * lda + l,
                        .lda = lda,
                        .panel = b_packed + l * NR,
                        .panel_stride = panel,
                        .c = c + row * ldc,
                        .ldc = ldc,
                        .accumulate = accumulate || l > 0,
                        .epilogue = l + depth == k ? epilogue : NULL,
                        .row = row};
      gemm_block(part, rows, n);
      l += depth;
    } while (l < k);
    finish_rows(rows, n, c + row * ldc, ldc, epilogue);
  }
  for (size_t row = whole; row < m; row += 2) {
    gemm_last_rows((few_rows){k, a, lda, b_packed, panel, c, ldc, accumulate}, row, m - row < 2 ? 1 : 2, n, epilogue);
  }
}

/* Whole panels of 16-bit floats; the type is a constant where this is called. */
INLINE void half_panels(const few_rows *p, size_t m, size_t n, const weft_type type) {
  if (m == 1) {
    few_panels(p, 1, STREAMS, n, type);
  } else {
    few_panels(p, 2, 2, n, type);
  }
}

static bool are_below(size_t m, size_t k, const float *a, size_t lda, float bound) {
  bool below = k > 0;
  for (size_t i = 0; i < m; i++) {
    below = below && max_f32(k, a + i * lda) < bound && min_f32(k, a + i * lda) > -bound;
  }
  return below;
}

/* Columns that are widened before they are multiplied. */
static void gemm_widened(size_t m, size_t n, size_t k, const float *a, size_t lda, weft_type type,
                         const uint16_t *b_packed, float *c, size_t ldc) {
  float wide[BLOCK_K * NR];
  for (size_t column = 0; column < n; column += NR, b_packed += k * NR) {
    size_t l = 0;
    do {
      const size_t depth = k - l < BLOCK_K ? k - l : BLOCK_K;
      (type == WEFT_FLOAT16 ? float16_to_f32 : bfloat16_to_f32)(depth * NR, b_packed + l * NR, wide);
      gemm_f32(m, n - column < NR ? n - column : NR, depth, a + l, lda, wide, depth * NR, c + column, ldc, l > 0, NULL);
      l += depth;
    } while (l < k);
  }
}

static void gemm_half(size_t m, size_t n, size_t k, const float *a, size_t lda, weft_type type,
                      const uint16_t *b_packed, float *c, size_t ldc, const weft_epilogue *epilogue) {
  const few_rows few = {k, a, lda, b_packed, k * NR, c, ldc, false};
  size_t whole = n / NR * NR;
  if (type == WEFT_FLOAT16 && whole > 0 && !are_below(m, k, a, lda, 0x1p15f)) {
    whole = 0; /* a / HALF_PART might be too large */
  } else if (type == WEFT_FLOAT16) {
    half_panels(&few, m, whole, WEFT_FLOAT16);
  } else {
    half_panels(&few, m, whole, WEFT_BFLOAT16);
  }
  gemm_widened(m, n - whole, k, a, lda, type, b_packed + whole * k, c + whole, ldc);
  for (size_t i = 0; i < m && changes_rows(epilogue); i++) {
    finish_row(epilogue, i, 0, n, c + i * ldc);
  }
  finish_rows(m, n, c, ldc, epilogue);
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */
/* A whole panel from 8 rows of a transposed b. */
static void pack_transposed_panel(size_t k, const float *b, size_t ldb, float *out) {
  for (size_t half = 0; half < NR; half += LANES) {
    const float *from = b + half * ldb;
    float *to = out + half;
    size_t l = 0;
    for (; l + LANES <= k; l += LANES, to += LANES * NR) {
      real r[LANES];
      for (size_t i = 0; i < LANES; i++) {
        r[i] = load(from + i * ldb + l);
      }
      transpose_4x4(r);
      for (size_t i = 0; i < LANES; i++) {
        store(to + i * NR, r[i]);
      }
    }
    for (; l < k; l++, to += NR) {
      for (size_t i = 0; i < LANES; i++) {
        to[i] = from[i * ldb + l];
      }
    }
  }
}

static void gemm_f32_pack(size_t n, size_t k, const float *b, size_t ldb, bool transposed, float *out) {
  size_t whole = n / NR * NR;
  for (size_t column = 0; column < whole; column += NR, out += k * NR) {
    if (transposed) {
      pack_transposed_panel(k, b + column * ldb, ldb, out);
      continue;
    }
    for (size_t l = 0; l < k; l++) {
      real low = load(b + l * ldb + column), high = load(b + l * ldb + column + LANES);
      store(out + l * NR, low);
      store(out + l * NR + LANES, high);
    }
  }
  if (whole < n)
    weft_portable_gemm_f32_pack(n - whole, k, b + (transposed ? whole * ldb : whole), ldb, transposed, out);
}

/* ---- one row ----------------------------------------------------------------------------------------------------- */
/* y[n] += x[0] * b row 0 + ... + x[rows - 1] * b row (rows - 1): y is read and written once for all of them. */
INLINE void add_rows(const size_t rows, size_t n, const float *x, const float *b, size_t ldb, float *y) {
  real factors[4];
  for (size_t i = 0; i < rows; i++) {
    factors[i] = load_splat(x + i);
  }
  size_t j = 0;
  for (; j + LANES <= n; j += LANES) {
    real sum = load(y + j);
    for (size_t i = 0; i < rows; i++) {
      sum = r_madd(factors[i], load(b + i * ldb + j), sum);
    }
    store(y + j, sum);
  }
  for (; j < n; j++) {
    for (size_t i = 0; i < rows; i++) {
      y[j] += x[i] * b[i * ldb + j];
    }
  }
}

/* Neighbouring rows are read together where they are in the cache; memory is fastest in order. */
static void add_all_rows(size_t n, size_t k, const float *x, const float *b, size_t ldb, float *y) {
  size_t i = 0;
  for (; n * k < LARGE && i + 4 <= k; i += 4) {
    add_rows(4, n, x + i, b + i * ldb, ldb, y);
  }
  for (; i < k; i++) {
    add_rows(1, n, x + i, b + i * ldb, ldb, y);
  }
}

/* Four rows of a transposed b are read at once, where it may come from memory a quarter of b apart: they are its
 * streams. */
static void gemv_transposed(size_t n, size_t k, const float *x, const float *b, size_t ldb, float *y) {
  size_t i = 0;
  const size_t quarter = n * k >= LARGE ? n / 4 : 0;
  for (; i < quarter; i++) {
    dot_four_rows(k, x, b + i * ldb, quarter * ldb, y + i, quarter);
  }
  for (i = 4 * quarter; i + 4 <= n; i += 4) {
    dot_four_rows(k, x, b + i * ldb, ldb, y + i, 1);
  }
  for (; i < n; i++) {
    dot_one_row(k, x, b + i * ldb, y + i);
  }
}

enum { LONG_COLUMNS = 512 };

/* The same, or with a b that is not transposed, for up to LONG_COLUMNS columns that are long: in blocks whose sums are
 * added up. */
static void sum_long_columns(size_t n, size_t k, const float *x, const float *b, size_t ldb, bool transposed,
                             float *y) {
  float sums[LONG_COLUMNS];
  clear_floats(y, n);
  for (size_t l = 0; l < k; l += WEFT_GEMV_BLOCK_K) {
    const size_t depth = k - l < WEFT_GEMV_BLOCK_K ? k - l : WEFT_GEMV_BLOCK_K;
    if (transposed) {
      gemv_transposed(n, depth, x + l, b + l, ldb, sums);
    } else {
      clear_floats(sums, n);
      add_all_rows(n, depth, x + l, b + l * ldb, ldb, sums);
    }
    add_rows(1, n, (const float[]){1.0f}, sums, 0, y);
  }
}

static void gemv_f32(size_t n, size_t k, const float *x, const float *b, size_t ldb, bool transposed, float *y,
                     const weft_epilogue *epilogue) {
  if (k > WEFT_GEMV_BLOCK_K) {
    for (size_t i = 0; i < n; i += LONG_COLUMNS) {
      const size_t count = n - i < LONG_COLUMNS ? n - i : LONG_COLUMNS;
      sum_long_columns(count, k, x, b + i * (transposed ? ldb : 1), ldb, transposed, y + i);
    }
  } else if (transposed) {
    gemv_transposed(n, k, x, b, ldb, y);
  } else {
    clear_floats(y, n);
    add_all_rows(n, k, x, b, ldb, y);
  }
  if (epilogue != NULL) {
    finish_row(epilogue, 0, 0, n, y);
    if (!is_light(epilogue)) activate_f32(n, y, epilogue->activation, epilogue->lo, epilogue->hi);
  }
}
