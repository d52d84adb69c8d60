/* Every SIMD kernel of integers and of weights of few bits against the portable one, whose bits it must give: see
 * kernels.c. */
#include "../../src/kernels/conv_i8.h"
#include "check.h"
#include "kernels_test.h"

/* Weights of models: most of them small, so that sums of two products exceed 16 bits nowhere, now and then, or, of any
 * size, everywhere. */
static void fill_weights(size_t n, uint8_t *to, bool is_signed) {
  const size_t odds = (size_t[]){0, 4, 30, 300}[below(4)]; /* one in so many is of any size */
  for (size_t i = 0; i < n; i++) {
    int32_t x = odds != 0 && below(odds) == 0 ? (int32_t)below(256) - 128 : (int32_t)below(129) - 64;
    to[i] = (uint8_t)(is_signed ? x : x + 128);
  }
}

static void check_gemm_i8(size_t m, size_t n, size_t k) {
  size_t lda = k + 1, ldc = n + 2;
  const bool a_is_weights = draw() % 2;
  bool a_signed = draw() % 2, b_signed = draw() % 2, transposed = draw() % 2;
  size_t ldb = (transposed ? k : n) + 1, b_size = transposed ? n * ldb : k * ldb;
  uint8_t *a = allocate(m * lda), *b = allocate(b_size);
  int32_t *a_zero = allocate((m + 1) * sizeof *a_zero), *b_zero = allocate((n + 1) * sizeof *b_zero);
  int32_t *wanted = allocate(m * ldc * sizeof *wanted), *got = allocate(m * ldc * sizeof *got);
  fill_bytes(m * lda, a);
  fill_bytes(b_size, b);
  if (draw() % 4 != 0)
    fill_weights(a_is_weights ? m * lda : b_size, a_is_weights ? a : b, a_is_weights ? a_signed : b_signed);
  for (size_t i = 0; i <= m; i++) {
    a_zero[i] = (int32_t)(draw() % 256) - (a_signed ? 128 : 0);
  }
  for (size_t i = 0; i <= n; i++) {
    b_zero[i] = (int32_t)(draw() % 256) - (b_signed ? 128 : 0);
  }
  memset(wanted, 0, m * ldc * sizeof *wanted);
  memset(got, 0, m * ldc * sizeof *got);
  size_t first = n > WEFT_GEMM_NR && draw() % 2 == 0 ? WEFT_GEMM_NR : 0;
  const weft_kernels *tables[] = {portable, tested};
  int32_t *results[] = {wanted, got};
  for (int t = 0; t < 2; t++) {
    void *pa = allocate(tables[t]->gemm_i8_a_size(m, k, a_is_weights));
    void *pb = allocate(tables[t]->gemm_i8_b_size(n, k, a_is_weights));
    tables[t]->gemm_i8_pack_a(m, k, a, lda, a_signed, a_zero, 1, pa, a_is_weights);
    tables[t]->gemm_i8_pack_b(n, k, b, ldb, transposed, b_signed, b_zero, 1, pb, a_is_weights);
    tables[t]->gemm_i8(m, n - first, k, pa, pb, first, results[t], ldc, a_is_weights);
    free(pa);
    free(pb);
  }
  expect_bytes("int8 gemm", m * ldc * sizeof *got, got, wanted);
  free(a);
  free(b);
  free(a_zero);
  free(b_zero);
  free(wanted);
  free(got);
}

static void check_quantize(size_t n) {
  float *x = make(n, draw_special), *wanted = make(n, NULL), *got = make(n, NULL);
  uint8_t *q = allocate(n), *r = allocate(n);
  for (int form = 0; form < 4; form++) {
    bool is_signed = form % 2 != 0;
    float scale = form < 2 ? 0.05f : 1.0f;
    int32_t zero = is_signed ? -3 : 130;
    portable->quantize_i8(n, x, scale, zero, is_signed, q);
    tested->quantize_i8(n, x, scale, zero, is_signed, r);
    expect_bytes("quantize", n, r, q);
    portable->dequantize_i8(n, q, scale, zero, is_signed, wanted);
    tested->dequantize_i8(n, q, scale, zero, is_signed, got);
    expect_same("dequantize", n, got, wanted);
  }
  free(q);
  free(r);
  drop(x);
  drop(wanted);
  drop(got);
}

static void check_rescaled_sums(size_t n) {
  int32_t *sums = allocate((n + 1) * sizeof *sums), *bias = allocate((n + 1) * sizeof *bias);
  float *scale = make(n + 1, draw_float), *added = make(n + 1, draw_special);
  float *wanted = make(n, NULL), *got = make(n, NULL);
  uint8_t *q = allocate(n), *r = allocate(n);
  for (size_t i = 0; i <= n; i++) {
    sums[i] = (int32_t)(draw() % 2001) - 1000;
    bias[i] = draw() % 16 == 0 ? INT32_MAX : (int32_t)(draw() % 2001) - 1000;
  }
  for (int form = 0; form < 16; form++) {
    bool is_signed = form % 2 != 0;
    weft_rescale how = {.bias = form & 2 ? bias : NULL,
                        .bias_step = draw() % 2,
                        .scale = scale,
                        .scale_step = form & 4 ? 1 : 0,
                        .added = form & 8 ? added : NULL};
    portable->sums_to_f32(n, sums, &how, wanted);
    tested->sums_to_f32(n, sums, &how, got);
    for (size_t i = 0; i < n; i++) {
      if (isnan(wanted[i]) && isnan(got[i])) got[i] = wanted[i];
    }
    expect_bytes("sums to floats", n * sizeof(float), got, wanted);
    weft_bytes bytes = weft_all_bytes(is_signed ? -3 : 130, is_signed);
    if (below(2) == 0) {
      bytes.least = bytes.zero;
      bytes.greatest -= (int32_t)below(100);
    }
    portable->sums_to_i8(n, sums, &how, &bytes, q);
    tested->sums_to_i8(n, sums, &how, &bytes, r);
    expect_bytes("sums to bytes", n, r, q);
  }
  free(sums);
  free(bias);
  free(q);
  free(r);
  drop(scale);
  drop(added);
  drop(wanted);
  drop(got);
}

static void check_depthwise_i8(void) {
  enum { MOST = 15 };
  const size_t most = below(4) == 0 ? MOST : 5;
  weft_pool_axis y = {.in = 1 + below(20), .kernel = 1 + below(most), .stride = 1 + below(3), .dilation = 1 + below(2)};
  weft_pool_axis x = {.in = 1 + below(60), .kernel = 1 + below(most), .stride = 1 + below(3), .dilation = 1 + below(3)};
  y.pad = (int64_t)below(4);
  x.pad = (int64_t)below(4);
  size_t eh = (y.kernel - 1) * y.dilation + 1, ew = (x.kernel - 1) * x.dilation + 1;
  size_t h = y.in + (size_t)y.pad + below(4), w = x.in + (size_t)x.pad + below(4);
  if (h < eh || w < ew) return;
  y.out = (h - eh) / y.stride + 1;
  x.out = (w - ew) / x.stride + 1;
  CHECK(weft_depthwise_i8_fits(&y, &x));
  bool is_signed = below(2) == 0;
  int32_t zero = (int32_t)below(256) - (is_signed ? 128 : 0);
  size_t begin = below(y.out), end = begin + 1 + below(y.out - begin), count = (end - begin) * x.out;
  uint8_t *plane = allocate(y.in * x.in);
  int16_t weights[MOST * MOST];
  int32_t *wanted = allocate(count * sizeof *wanted), *got = allocate(count * sizeof *got);
  fill_bytes(y.in * x.in, plane);
  for (size_t i = 0; i < MOST * MOST; i++) {
    weights[i] = (int16_t)((int)below(511) - 255);
    if (x.in % 2 == 0) weights[i] /= 2; /* as signed bytes, which have a way of their own */
  }
  portable->depthwise_i8(plane, &y, &x, weights, zero, is_signed, begin, end, wanted);
  tested->depthwise_i8(plane, &y, &x, weights, zero, is_signed, begin, end, got);
  expect_bytes("int8 depthwise", count * sizeof *got, got, wanted);
  free(plane);
  free(wanted);
  free(got);
}

/* ---- weights of few bits -------------------------------------------------------------------- */
static void check_nbits_product(const weft_nbits *w, size_t m, float (*value)(void)) {
  size_t begin = below(w->n) / WEFT_GEMM_NR * WEFT_GEMM_NR, n = w->n - begin, ldy = n + 3;
  float *a = make(m * w->k, value), *wanted = make(m * ldy, NULL), *got = make(m * ldy, NULL);
  const weft_kernels *tables[] = {portable, tested};
  float *results[] = {wanted, got};
  for (int t = 0; t < 2; t++) {
    char *packed = allocate(tables[t]->nbits_i8_a_size(w, m)), *scratch = allocate(weft_nbits_i8_scratch(w));
    for (size_t i = 0; i < m; i++) {
      tables[t]->nbits_i8_pack_a(w, a + i * w->k, packed + tables[t]->nbits_i8_a_size(w, i));
    }
    tables[t]->nbits_i8(w, m, packed, begin, w->n, results[t], ldy, scratch);
    free(packed);
    free(scratch);
  }
  for (size_t i = 0; i < m * ldy; i++) {
    if (isnan(wanted[i]) && isnan(got[i])) got[i] = wanted[i];
  }
  expect_bytes("product of few bits with 8", m * ldy * sizeof(float), got, wanted);
  drop(a);
  drop(wanted);
  drop(got);
}

static void check_nbits_floats(const weft_nbits *w) {
  size_t begin = below(w->n) / WEFT_GEMM_NR * WEFT_GEMM_NR, n = w->n - begin, size = weft_gemm_packed_size(n, w->k);
  float *a = make(w->k, draw_float), *wanted = make(size, NULL), *got = make(size, NULL);
  const weft_kernels *tables[] = {portable, tested};
  float *results[] = {wanted, got};
  for (int t = 0; t < 2; t++) {
    tables[t]->nbits_expand(w, begin, w->n, results[t]);
  }
  expect_same("weights of few bits", size, got, wanted);
  float *y = make(n, NULL), *z = make(n, NULL);
  float *sums[] = {y, z};
  for (int t = 0; t < 2 && w->scales != NULL; t++) {
    float *row = make(weft_nbits_row_size(w), NULL);
    tables[t]->nbits_prepare(w, a, row);
    tables[t]->nbits_gemv(w, row, begin, w->n, sums[t]);
    drop(row);
  }
  expect_close("row times weights of few bits", n, z, y, 1e-4f);
  float *all[] = {a, wanted, got, y, z};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    drop(all[i]);
  }
}

static float draw_greatest(void) {
  return draw() % 64 == 0 ? -3.0f : 3.0f;
}

static void check_nbits(void) {
  weft_nbits w = {.bits = 1u << (1 + below(3)), .n = 1 + below(20), .block = (size_t)16 << below(3)};
  w.k = 1 + below(draw() % 4 == 0 ? 300 : 3 * w.block);
  w.blocks = (w.k + w.block - 1) / w.block;
  w.blob = w.block * w.bits / 8;
  w.zero_row = (w.blocks * w.bits + 7) / 8;
  uint8_t *weights = allocate(w.n * w.blocks * w.blob), *zeros = allocate(w.n * w.zero_row);
  float *scales = make(w.n * w.blocks, draw_float), *float_zeros = make(w.n * w.blocks, draw_float);
  float *bias = make(w.n, draw_float);
  const bool greatest = draw() % 8 == 0; /* sums as large as they can be */
  fill_bytes(w.n * w.blocks * w.blob, weights);
  if (greatest) memset(weights, 0xff, w.n * w.blocks * w.blob);
  fill_bytes(w.n * w.zero_row, zeros);
  for (size_t i = 0; i < w.n * w.blocks; i++) {
    scales[i] /= (float)(1 << w.bits);
  }
  w.weights = weights;
  w.scales = scales;
  w.bias = draw() % 2 == 0 ? bias : NULL;
  w.zeros = draw() % 2 == 0 ? zeros : NULL;
  if (weft_nbits_has_i8(&w)) {
    check_nbits_product(&w, 1 + below(10), greatest ? draw_greatest : draw() % 8 == 0 ? draw_special : draw_float);
  }
  w.float_zeros = w.zeros == NULL && draw() % 2 == 0 ? float_zeros : NULL;
  w.scales = draw() % 8 == 0 ? NULL : scales;
  check_nbits_floats(&w);
  free(weights);
  free(zeros);
  drop(scales);
  drop(float_zeros);
  drop(bias);
}

/* Packed matrices that cannot be addressed are told as more than can be allocated, not as what is left of their size. */
static void check_sizes(void) {
  const size_t many = SIZE_MAX / 4 + 1;
  CHECK(weft_gemm_packed_size(WEFT_GEMM_NR + 1, many) == SIZE_MAX / 2 / sizeof(float));
  CHECK(portable->gemm_i8_a_size(many, 8, false) == SIZE_MAX / 2 &&
        portable->gemm_i8_b_size(many, 8, false) == SIZE_MAX / 2);
  CHECK(tested->gemm_i8_a_size(many, 8, false) == SIZE_MAX / 2 &&
        tested->gemm_i8_b_size(many * 2, 8, true) == SIZE_MAX / 2);
}

static void check_integers(void) {
  static const size_t depths[] = {0, 1, 2, 3, 7, 8, 31, 255, 256, 257};
  for (size_t n = 0; n <= 70; n++) {
    check_quantize(n);
    check_rescaled_sums(n);
  }
  for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
    for (size_t m = 0; m <= 9; m++) {
      for (size_t n = 0; n <= 20; n += depths[i] > 100 ? 4 : 1) {
        check_gemm_i8(m, n, depths[i]);
      }
    }
  }
  check_sizes();
  check_gemm_i8(1, 71, 300);
  check_gemm_i8(33, 50, 1031);
  for (int i = 0; i < 3000; i++) {
    check_depthwise_i8();
    check_nbits();
  }
}

int main(void) {
  return check_tables(check_integers);
}
