/* Matrix products, portable. One row and one panel of 8 columns at a time: eight sums stay in registers while a row of
 * a and a panel of b are walked once, in blocks whose sums are added up. What is less than a panel is dot products. */
#include "portable.h"

#include <string.h>

enum { NR = WEFT_GEMM_NR };

/* Columns [column, column + count) of row `row`. */
static void finish(const weft_epilogue *e, size_t row, size_t column, size_t count, const float *sums, float *c) {
  for (size_t j = 0; j < count; j++) {
    float y = sums[j];
    if (e != NULL) {
      if (e->row_bias != NULL) y += e->row_bias[row];
      if (e->column_bias != NULL) y += e->column_bias[column + j];
      if (e->residual != NULL) y += e->residual[row * e->residual_stride + column + j];
      y = weft_activate_one(y, e->activation, e->lo, e->hi);
    }
    c[j] = y;
  }
}

/* x . b over k elements in as many sums side by side, and in the same order, as simd/gemm.h has. */
static float dot_row(size_t vectors, size_t k, const float *x, const float *b) {
  enum { LANES = 4 };
  float sums[2 * LANES] = {0}, lanes[LANES];
  size_t l = 0;
  for (; l + vectors * LANES <= k; l += vectors * LANES) {
    for (size_t i = 0; i < vectors * LANES; i++)
      sums[i] += x[l + i] * b[l + i];
  }
  for (size_t i = 0; i < LANES; i++) {
    lanes[i] = sums[i];
    for (size_t v = 1; v < vectors; v++)
      lanes[i] += sums[v * LANES + i];
  }
  float sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
  for (; l < k; l++)
    sum += x[l] * b[l];
  return sum;
}

/* One column of a group of up to four of a panel that is not whole: dot products, block by block of k. */
static void multiply_column(size_t m, size_t k, const float *a, size_t lda, const float *panel, float *c, size_t ldc,
                            bool accumulate, const weft_epilogue *epilogue, size_t at, size_t columns) {
  float column[WEFT_GEMM_BLOCK_K];
  for (size_t row = 0; row < m; row++, c += ldc) {
    float sum = 0;
    for (size_t l = 0; l < k || l == 0; l += WEFT_GEMM_BLOCK_K) {
      size_t depth = k - l < WEFT_GEMM_BLOCK_K ? k - l : WEFT_GEMM_BLOCK_K;
      for (size_t i = 0; i < depth; i++)
        column[i] = panel[(l + i) * NR];
      float part = dot_row(columns == 1 ? 2 : 1, depth, column, a + row * lda + l);
      sum = l > 0 ? sum + part : accumulate ? *c + part : part;
    }
    finish(epilogue, row, at, 1, &sum, c);
  }
}

void weft_portable_gemm_f32(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b_packed,
                            size_t panel_stride, float *c, size_t ldc, bool accumulate, const weft_epilogue *epilogue) {
  for (size_t column = 0; column < n; column += NR) {
    const float *panel = b_packed + column / NR * panel_stride;
    size_t count = n - column < NR ? n - column : NR;
    for (size_t j = 0; j < count && count < NR; j++) {
      multiply_column(m, k, a, lda, panel + j, c + column + j, ldc, accumulate, epilogue, column + j,
                      count - j / 4 * 4);
    }
    if (count < NR) return;
    for (size_t row = 0; row < m; row++) {
      float totals[NR] = {0};
      float *to = c + row * ldc + column;
      if (accumulate) memcpy(totals, to, count * sizeof(float));
      size_t i = 0;
      do {
        float sums[NR] = {0};
        const bool first = i == 0 && !accumulate;
        for (const size_t end = k - i < WEFT_GEMM_BLOCK_K ? k : i + WEFT_GEMM_BLOCK_K; i < end; i++) {
          float factor = a[row * lda + i];
          for (size_t j = 0; j < NR; j++) {
            sums[j] += factor * panel[i * NR + j];
          }
        }
        for (size_t j = 0; j < NR; j++) {
          totals[j] = first ? sums[j] : totals[j] + sums[j];
        }
      } while (i < k);
      finish(epilogue, row, column, count, totals, to);
    }
  }
}

void weft_portable_gemm_f32_pack(size_t n, size_t k, const float *b, size_t ldb, bool transposed, float *out) {
  size_t row_step = transposed ? 1 : ldb;
  size_t column_step = transposed ? ldb : 1;
  for (size_t column = 0; column < n; column += NR) {
    size_t count = n - column < NR ? n - column : NR;
    for (size_t i = 0; i < k; i++) {
      for (size_t j = 0; j < NR; j++) {
        *out++ = j < count ? b[i * row_step + (column + j) * column_step] : 0.0f;
      }
    }
  }
}

/* Panel by panel and block by block of k, widened beside it. */
void weft_portable_gemm_half(size_t m, size_t n, size_t k, const float *a, size_t lda, weft_type type,
                             const uint16_t *b_packed, float *c, size_t ldc, const weft_epilogue *epilogue) {
  float wide[WEFT_GEMM_BLOCK_K * NR];
  for (size_t column = 0; column < n; column += NR) {
    const size_t count = n - column < NR ? n - column : NR;
    for (size_t l = 0; l < k || l == 0; l += WEFT_GEMM_BLOCK_K) {
      const size_t depth = k - l < WEFT_GEMM_BLOCK_K ? k - l : WEFT_GEMM_BLOCK_K;
      (type == WEFT_FLOAT16 ? weft_portable_float16_to_f32
                            : weft_portable_bfloat16_to_f32)(depth * NR, b_packed + column * k + l * NR, wide);
      weft_portable_gemm_f32(m, count, depth, a + l, lda, wide, depth * NR, c + column, ldc, l > 0, NULL);
    }
    for (size_t row = 0; row < m; row++) {
      finish(epilogue, row, column, count, c + row * ldc + column, c + row * ldc + column);
    }
  }
}

/* x . a long column of b, in blocks. */
static float dot_column(size_t k, const float *x, const float *b, size_t ldb) {
  float total = 0;
  for (size_t l = 0; l < k;) {
    const size_t end = k - l < WEFT_GEMV_BLOCK_K ? k : l + WEFT_GEMV_BLOCK_K;
    float sum = 0;
    for (; l < end; l++)
      sum += x[l] * b[l * ldb];
    total += sum;
  }
  return total;
}

/* x . a row of b, in blocks if it is long. */
static float dot_long_row(size_t k, const float *x, const float *b) {
  if (k <= WEFT_GEMV_BLOCK_K) return dot_row(2, k, x, b);
  float total = 0;
  for (size_t l = 0; l < k; l += WEFT_GEMV_BLOCK_K) {
    total += dot_row(2, k - l < WEFT_GEMV_BLOCK_K ? k - l : WEFT_GEMV_BLOCK_K, x + l, b + l);
  }
  return total;
}

void weft_portable_gemv_f32(size_t n, size_t k, const float *x, const float *b, size_t ldb, bool transposed, float *y,
                            const weft_epilogue *epilogue) {
  if (transposed) {
    for (size_t j = 0; j < n; j++) {
      y[j] = dot_long_row(k, x, b + j * ldb);
    }
  } else {
    memset(y, 0, n * sizeof(float));
    for (size_t j = 0; j < n && k > WEFT_GEMV_BLOCK_K; j++) {
      y[j] = dot_column(k, x, b + j, ldb);
    }
    for (size_t i = 0; i < k && k <= WEFT_GEMV_BLOCK_K; i++) {
      weft_portable_axpy_f32(n, x[i], b + i * ldb, y);
    }
  }
  finish(epilogue, 0, 0, n, y, y);
}
