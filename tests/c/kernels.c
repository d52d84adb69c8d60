/* Every SIMD kernel of floats against the portable one: all tails, odd sizes, strides, unaligned pointers, NaN,
 * infinities, subnormals and signed zeros (how exact they are, accuracy.c tests; integers are in kernels_integer.c).
 *
 * Most SIMD kernels do the same operations in the same order as the portable ones and must give the same bits; only
 * fused multiply-adds are held to a tolerance. */
#include "kernels_test.h"

/* ---- elementwise ------------------------------------------------------------------------------------------------- */
static void check_elementwise(size_t n) {
  float *x = make(n, draw_special), *y = make(n, draw_special), *got = make(n, NULL), *wanted = make(n, NULL);
  for (int f = 0; f < WEFT_UNARY_COUNT; f++) {
    char name[32];
    snprintf(name, sizeof name, "unary %d, n %zu", f, n);
    portable->unary_f32[f](n, x, wanted);
    tested->unary_f32[f](n, x, got);
    expect_same(name, n, got, wanted);
    memcpy(got, x, n * sizeof(float));
    tested->unary_f32[f](n, got, got);
    expect_same(name, n, got, wanted);
  }
  for (int f = 0; f < WEFT_BINARY_COUNT; f++) {
    for (size_t steps = 0; steps < 4 && n > 0; steps++) {
      size_t xs = steps & 1, ys = steps >> 1;
      portable->binary_f32[f](n, x, xs, y, ys, wanted);
      tested->binary_f32[f](n, x, xs, y, ys, got);
      expect_close("binary", n, got, wanted, fused ? 1e-6f : 0.0f);
      memcpy(got, x, n * sizeof(float));
      tested->binary_f32[f](n, got, xs, y, ys, got);
      expect_close("binary in place", n, got, wanted, fused ? 1e-6f : 0.0f);
    }
  }
  portable->clip_f32(n, x, -1.0f, 2.0f, wanted);
  tested->clip_f32(n, x, -1.0f, 2.0f, got);
  expect_same("clip", n, got, wanted);
  portable->elu_f32(n, x, 1.5f, 0.75f, 2.0f, wanted);
  tested->elu_f32(n, x, 1.5f, 0.75f, 2.0f, got);
  expect_same("elu", n, got, wanted);
  memcpy(got, x, n * sizeof(float));
  tested->elu_f32(n, got, 1.5f, 0.75f, 2.0f, got);
  expect_same("elu in place", n, got, wanted);
  for (float alpha = 1.702f; alpha > -1; alpha -= 1.702f) { /* and 0 */
    portable->swish_f32(n, x, alpha, wanted);
    tested->swish_f32(n, x, alpha, got);
    expect_same("swish", n, got, wanted);
  }
  memcpy(got, x, n * sizeof *x);
  tested->swish_f32(n, got, 0.0f, got);
  expect_same("swish in place", n, got, wanted);
  for (int a = WEFT_ACT_NONE; a <= WEFT_ACT_GELU; a++) {
    memcpy(wanted, x, n * sizeof(float));
    memcpy(got, x, n * sizeof(float));
    portable->activate_f32(n, wanted, (weft_activation)a, 0.2f, 0.5f);
    tested->activate_f32(n, got, (weft_activation)a, 0.2f, 0.5f);
    expect_same("activate", n, got, wanted);
  }
  for (size_t i = 0; fused && i < n; i++) {
    x[i] = draw_float(); /* with one rounding an overflow may be none */
  }
  memcpy(wanted, y, n * sizeof(float));
  memcpy(got, y, n * sizeof(float));
  portable->axpy_f32(n, 1.7f, x, wanted);
  tested->axpy_f32(n, 1.7f, x, got);
  expect_same("axpy", n, got, wanted);
  drop(x);
  drop(y);
  drop(got);
  drop(wanted);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */
/* The same bits, or near them where a multiply-add may round once. */
static void expect_row(const char *what, size_t n, const float *got, const float *wanted) {
  if (fused) {
    expect_close(what, n, got, wanted, 1e-5f);
  } else {
    expect_same(what, n, got, wanted);
  }
}

/* Sums against double precision. */
static void check_sums(size_t n, const float *x, const float *y) {
  double sum = 0, squares = 0, product = 0;
  for (size_t i = 0; i < n; i++) {
    sum += (double)x[i];
    squares += (double)x[i] * (double)x[i];
    product += (double)x[i] * (double)y[i];
  }
  const float got[] = {tested->sum_f32(n, x), tested->sum_square_f32(n, x), tested->dot_f32(n, x, y)};
  const float wanted[] = {(float)sum, (float)squares, (float)product};
  const float error[] = {2e-6f * (float)n, 1e-6f * wanted[1], 4e-6f * (float)n};
  for (size_t i = 0; i < 3; i++) {
    if (!(fabsf(got[i] - wanted[i]) <= error[i])) fail("sum in double", i, (double)got[i], (double)wanted[i]);
  }
}

/* Rows of scores under a mask are a softmax each. */
static void check_weights(size_t n, const float *x, const float *mask) {
  enum { ROWS = 2 };
  float *got = make(ROWS * (n + 1), NULL), *wanted = make(ROWS * (n + 1), NULL), *row = make(n, NULL);
  for (size_t i = 0; i < ROWS; i++) {
    memcpy(got + i * (n + 1), x, n * sizeof *x);
  }
  memcpy(wanted, got, ROWS * (n + 1) * sizeof *got);
  portable->weigh_f32(ROWS, n, mask, wanted, n + 1);
  tested->weigh_f32(ROWS, n, mask, got, n + 1);
  for (size_t i = 0; i < n; i++) {
    row[i] = mask != NULL ? x[i] + mask[i] : x[i];
  }
  tested->softmax_f32(n, row, false, row);
  expect_row("weights", ROWS * (n + 1), got, wanted);
  expect_row("weights as a softmax", n, got + n + 1, row);
  drop(got);
  drop(wanted);
  drop(row);
}

static void check_rows_of(size_t n, const float *x, const float *y) {
  float *got = make(n, NULL), *wanted = make(n, NULL);
  float g[2], w[2];
  g[0] = tested->sum_f32(n, x);
  w[0] = portable->sum_f32(n, x);
  expect_row("sum", 1, g, w);
  g[0] = tested->sum_square_f32(n, x);
  w[0] = portable->sum_square_f32(n, x);
  expect_row("sum of squares", 1, g, w);
  g[0] = tested->dot_f32(n, x, y);
  w[0] = portable->dot_f32(n, x, y);
  expect_row("dot", 1, g, w);
  if (n > 0) {
    g[0] = tested->max_f32(n, x);
    w[0] = portable->max_f32(n, x);
    g[1] = tested->min_f32(n, x);
    w[1] = portable->min_f32(n, x);
    expect_close("max, min", 2, g, w, 0.0f);
  }
  for (int logarithm = 0; logarithm < 2; logarithm++) {
    portable->softmax_f32(n, x, logarithm, wanted);
    tested->softmax_f32(n, x, logarithm, got);
    expect_row("softmax", n, got, wanted);
    memcpy(got, x, n * sizeof(float));
    tested->softmax_f32(n, got, logarithm, got);
    expect_row("softmax in place", n, got, wanted);
  }
  for (int form = 0; form < 8 && n > 0; form++) {
    const float *scale = form & 1 ? y : NULL, *bias = form & 2 ? y : NULL;
    portable->layer_norm_f32(n, x, scale, bias, 1e-5f, form >= 4, wanted, w, w + 1);
    tested->layer_norm_f32(n, x, scale, bias, 1e-5f, form >= 4, got, g, g + 1);
    expect_row("layer norm", n, got, wanted);
    expect_row("layer norm's numbers", 2, g, w);
    memcpy(got, x, n * sizeof(float));
    tested->layer_norm_f32(n, got, scale, bias, 1e-5f, form >= 4, got, NULL, NULL);
    expect_row("layer norm in place", n, got, wanted);
  }
  if (n > 0) {
    check_weights(n, x, NULL);
    check_weights(n, x, y);
  }
  drop(got);
  drop(wanted);
}

static void check_rows(size_t n) {
  float *x = make(n, draw_float), *y = make(n, draw_float);
  check_rows_of(n, x, y);
  check_sums(n, x, y);
  for (size_t i = 0; i < n; i++) {
    static const float special[] = {NAN, INFINITY, -INFINITY, 200.0f, 1e-40f};
    for (size_t s = 0; s < sizeof special / sizeof *special && n < 20; s++) {
      float kept = x[i];
      x[i] = special[s];
      check_rows_of(n, x, y);
      x[i] = kept;
    }
  }
  for (size_t i = 0; i < n; i++) {
    x[i] = -INFINITY;
  }
  float *got = make(n, NULL);
  tested->softmax_f32(n, x, false, got);
  for (size_t i = 0; i < n; i++) {
    if (!isnan(got[i])) fail("softmax of nothing but -inf", i, (double)got[i], (double)NAN);
  }
  drop(got);
  drop(x);
  drop(y);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */
static weft_epilogue draw_epilogue(float *numbers, size_t m, size_t n) {
  weft_epilogue e = {
      .lo = draw() % 3 == 0 ? 0.25f : -0.5f, .hi = 3.0f, .activation = (weft_activation)(draw() % (WEFT_ACT_GELU + 1))};
  if (draw() % 2 == 0) e.activation = WEFT_ACT_CLIP;
  if (draw() % 2 == 0) e.row_bias = numbers;
  if (draw() % 2 == 0) e.column_bias = numbers + m;
  if (draw() % 2 == 0) {
    e.residual = numbers + m + n;
    e.residual_stride = n + 1;
  }
  return e;
}

static void check_cells(size_t rows, size_t n, float (*value)(void)) {
  size_t stride = 4 * n + 3, apart = n + 1, size = rows * n, spread = rows * apart;
  float *x = make(rows * stride, value), *r = make(rows * 4 * n, value);
  float *c = make(size, value), *h = make(spread, value), *next = make(spread, NULL);
  float *other_c = copy_of(size, c), *other_h = copy_of(spread, h), *other_next = copy_of(spread, next);
  portable->lstm_f32(rows, n, x, stride, r, c, h, apart);
  tested->lstm_f32(rows, n, x, stride, r, other_c, other_h, apart);
  expect_same("lstm state", size, other_c, c);
  expect_same("lstm", spread, other_h, h);
  memcpy(other_h, h, spread * sizeof *h);
  float *other_r = copy_of(rows * 4 * n, r), *third_r = copy_of(rows * 4 * n, r);
  portable->gru_f32(rows, n, x, stride, r, h, apart, next, apart);
  tested->gru_f32(rows, n, x, stride, other_r, other_h, apart, other_next, apart);
  expect_same("gru", spread, other_next, next);
  tested->gru_f32(rows, n, x, stride, third_r, other_h, apart, other_h, apart);
  for (size_t row = 0; row < rows; row++) {
    expect_same("gru in place", n, other_h + row * apart, next + row * apart);
  }
  drop(x), drop(r), drop(c), drop(h), drop(next), drop(other_c), drop(other_h), drop(other_next);
  drop(other_r), drop(third_r);
}

static double logistic(double x) {
  return 1 / (1 + exp(-x));
}

/* Within a few units in the last place of 1, or of what is larger. */
static void expect_double(const char *what, float got, double wanted) {
  double allowed = 5e-7 * (fabs(wanted) > 1 ? fabs(wanted) : 1);
  if (!(fabs((double)got - wanted) <= allowed)) fail(what, 0, (double)got, wanted);
}

/* Both cells against double precision, gates from far below to far above where their functions change. */
static void check_cell_accuracy(void) {
  for (int i = 0; i < 20000; i++) {
    float gates[4], none[4] = {0}, c = 4 * draw_float(), h = draw_float();
    for (int g = 0; g < 4; g++) {
      gates[g] = (i % 3 == 0 ? 60.0f : 8.0f) * draw_float();
    }
    double state = logistic((double)gates[2]) * (double)c + logistic((double)gates[0]) * tanh((double)gates[3]);
    double hidden = logistic((double)gates[1]) * tanh(state), z = logistic((double)gates[0]);
    float next = 0, x[3] = {gates[0], gates[1], draw_float()}, r[3] = {0, 0, draw_float()};
    tested->lstm_f32(1, 1, gates, 4, none, &c, &next, 1);
    expect_double("lstm state", c, state);
    expect_double("lstm", next, hidden);
    double inner = (double)x[2] + logistic((double)x[1]) * (double)r[2];
    double old = (double)h, candidate = tanh(inner);
    tested->gru_f32(1, 1, x, 3, r, &h, 1, &h, 1);
    expect_double("gru", h, (1 - z) * candidate + z * old);
  }
}

static void check_gemm(size_t m, size_t n, size_t k, float (*value)(void)) {
  size_t lda = k + 3, ldc = n + 5, packed_size = weft_gemm_packed_size(n, k);
  float *a = make(m == 0 ? 0 : (m - 1) * lda + k, value), *numbers = make(m + n + m * (n + 1), value);
  float *wanted_packed = make(packed_size, NULL), *packed = make(packed_size, NULL);
  float *wanted = make(m == 0 ? 0 : (m - 1) * ldc + n, value);
  float *got = copy_of(m == 0 ? 0 : (m - 1) * ldc + n, wanted);
  for (int transposed = 0; transposed < 2; transposed++) {
    size_t ldb = (transposed ? k : n) + 1, outer = transposed ? n : k;
    float *b = make(outer == 0 ? 0 : (outer - 1) * ldb + ldb - 1, value);
    portable->gemm_f32_pack(n, k, b, ldb, transposed, wanted_packed);
    tested->gemm_f32_pack(n, k, b, ldb, transposed, packed);
    expect_same("gemm pack", packed_size, packed, wanted_packed);
    if (m > 0) {
      weft_epilogue e = draw_epilogue(numbers, m, n);
      portable->gemv_f32(n, k, a, b, ldb, transposed, wanted, &e);
      tested->gemv_f32(n, k, a, b, ldb, transposed, got, &e);
      if (!transposed || value == draw_float) expect_same("gemv", n, got, wanted);
      memcpy(got, wanted, n * sizeof(float));
    }
    drop(b);
  }
  for (int accumulate = 0; accumulate < 2; accumulate++) {
    char name[64];
    snprintf(name, sizeof name, "gemm %zu x %zu x %zu", m, n, k);
    weft_epilogue e = draw_epilogue(numbers, m, n);
    const weft_epilogue *epilogue = draw() % 4 == 0 ? NULL : &e;
    const size_t depth = draw() % 4 == 0 ? k / 2 : k, panel = k * WEFT_GEMM_NR;
    portable->gemm_f32(m, n, depth, a, lda, packed, panel, wanted, ldc, accumulate, epilogue);
    tested->gemm_f32(m, n, depth, a, lda, packed, panel, got, ldc, accumulate, epilogue);
    expect_same(name, m == 0 ? 0 : (m - 1) * ldc + n, got, wanted);
    memcpy(got, wanted, (m == 0 ? 0 : (m - 1) * ldc + n) * sizeof(float));
  }
  drop(a);
  drop(numbers);
  drop(packed);
  drop(wanted_packed);
  drop(got);
  drop(wanted);
}

/* One or two rows and a b of finite 16-bit floats. */
static void check_gemm_half(size_t m, size_t n, size_t k, weft_type type) {
  size_t lda = k + 3, ldc = n + 5, count = (m - 1) * ldc + n, packed = weft_gemm_packed_size(n, k);
  float *a = make((m - 1) * lda + k, draw_float), *numbers = make(m + n + m * (n + 1), draw_float);
  float *b = make(packed, draw_float), *wanted = make(count, draw_float), *got = copy_of(count, wanted);
  uint16_t *half = malloc((packed + 1) * sizeof *half);
  if (half == NULL) exit(2);
  for (size_t i = 0; i < packed; i++) {
    if (draw() % 8 == 0) b[i] *= 1e-5f; /* subnormal halves */
  }
  (type == WEFT_FLOAT16 ? portable->f32_to_float16 : portable->f32_to_bfloat16)(packed, b, half + 1);
  static const float large[] = {3e4f, -7e4f, 1e30f, INFINITY, -INFINITY, NAN};
  if (k > 0 && draw() % 8 == 0) a[draw() % k] = large[draw() % 6];
  weft_epilogue e = draw_epilogue(numbers, m, n);
  const weft_epilogue *epilogue = draw() % 4 == 0 ? NULL : &e;
  portable->gemm_half(m, n, k, a, lda, type, half + 1, wanted, ldc, epilogue);
  tested->gemm_half(m, n, k, a, lda, type, half + 1, got, ldc, epilogue);
  expect_same("gemm of halves", count, got, wanted);
  (type == WEFT_FLOAT16 ? portable->float16_to_f32 : portable->bfloat16_to_f32)(packed, half + 1, b);
  portable->gemm_f32(m, n, k, a, lda, b, k * WEFT_GEMM_NR, wanted, ldc, false, epilogue);
  expect_close("gemm of halves as floats", count, got, wanted, 1e-4f);
  free(half);
  drop(a);
  drop(numbers);
  drop(b);
  drop(wanted);
  drop(got);
}

/* ---- convolution ------------------------------------------------------------------------------------------------- */
static void check_direct(const weft_patches *p, size_t oh) {
  const size_t filters = 1 + below(14), k = p->channels * p->kh * p->kw, plane = oh * p->ow, size = filters * plane;
  if (!weft_conv_is_direct(p, filters)) return;
  const float *planes[3]; /* any of them, some of them twice */
  weft_patches scattered = *p;
  for (size_t c = 0; c < p->channels; c++) {
    planes[c] = p->in + below(p->channels) * p->ih * p->iw;
  }
  if (draw() % 2 == 0) {
    scattered.planes = planes;
    p = &scattered;
  }
  float *w = make(filters * k, draw_float), *numbers = make(filters + size, draw_float);
  float *wanted = make(size, draw_float), *got = copy_of(size, wanted);
  float *scratch = make(WEFT_CONV_BAND + k * WEFT_GEMM_NR, draw_float);
  weft_epilogue e = draw_epilogue(numbers, filters, 0);
  e.column_bias = NULL;
  e.residual_stride = plane;
  const size_t begin = below(oh), end = begin + 1 + below(oh - begin);
  portable->conv_f32(p, filters, w, &e, begin, end, wanted, oh, scratch);
  tested->conv_f32(p, filters, w, &e, begin, end, got, oh, scratch);
  expect_same("conv", size, got, wanted);
  drop(w), drop(numbers), drop(wanted), drop(got), drop(scratch);
}

static void check_convolution(void) {
  size_t kh = 1 + below(5), kw = draw() % 3 == 0 ? 3 : 1 + below(6), sh = 1 + below(3), sw = 1 + below(3);
  size_t dh = draw() % 3 == 0 ? 2 : 1, dw = draw() % 3 == 0 ? 1 + below(3) : 1;
  size_t ih = 1 + below(20), iw = 1 + below(40), top = below(4), left = below(4), bottom = below(4), right = below(4);
  size_t eh = (kh - 1) * dh + 1, ew = (kw - 1) * dw + 1;
  if (ih + top + bottom < eh || iw + left + right < ew) return;
  size_t oh = (ih + top + bottom - eh) / sh + 1, ow = (iw + left + right - ew) / sw + 1, channels = 1 + below(3);
  float *in = make(channels * ih * iw, draw_float), *w = make(channels * kh * kw, draw_float);
  float *wanted = make(channels * oh * ow, NULL), *got = make(channels * oh * ow, NULL);
  weft_activation activation = (weft_activation)(draw() % (WEFT_ACT_GELU + 1));
  weft_patches p = {in, channels, ih, iw, kh, kw, sh, sw, dh, dw, (int64_t)top, (int64_t)left, ow, NULL};
  const float *bias = draw() % 2 == 0 ? w : NULL;
  portable->depthwise_f32(&p, w, bias, activation, -0.1f, 0.9f, wanted, oh);
  tested->depthwise_f32(&p, w, bias, activation, -0.1f, 0.9f, got, oh);
  expect_same("depthwise", channels * oh * ow, got, wanted);
  size_t begin = below(oh * ow), end = begin + 1 + below(oh * ow - begin);
  size_t size = weft_gemm_packed_size(end - begin, channels * kh * kw);
  float *wanted_panels = make(size, NULL), *panels = make(size, NULL);
  portable->conv_f32_pack(&p, begin, end, wanted_panels);
  tested->conv_f32_pack(&p, begin, end, panels);
  expect_same("conv pack", size, panels, wanted_panels);
  check_direct(&p, oh);
  drop(in);
  drop(w);
  drop(wanted);
  drop(got);
  drop(wanted_panels);
  drop(panels);
}

static void check_winograd_filters(weft_winograd_tile tile) {
  weft_winograd_taps t = {.filters = 1 + below(3),
                          .channels = 1 + below(20),
                          .rows = 1 + below(tile.rows.taps),
                          .columns = 1 + below(tile.columns.taps),
                          .column_step = 1 + below(3)};
  t.row_step = t.columns * t.column_step + below(3);
  t.channel_step = t.rows * t.row_step + below(3);
  if (draw() % 2 == 0) { /* filters as they lie */
    t.rows = tile.rows.taps, t.columns = tile.columns.taps;
    t.column_step = 1, t.row_step = t.columns, t.channel_step = t.rows * t.columns;
  }
  t.filter_step = t.channels * t.channel_step + below(5);
  const size_t each = t.filters * t.channels, stride = each + 3 + below(5),
               size = weft_winograd_products(tile) * stride;
  float *w = make((t.filters - 1) * t.filter_step + (t.channels - 1) * t.channel_step + (t.rows - 1) * t.row_step +
                      (t.columns - 1) * t.column_step + 1,
                  draw_float);
  float *wanted = make(size, draw_float), *got = copy_of(size, wanted);
  t.first = w;
  portable->winograd_filters(tile, &t, wanted, stride);
  tested->winograd_filters(tile, &t, got, stride);
  for (size_t i = 0; i < size; i += stride) {
    expect_same("winograd filters", each, got + i, wanted + i);
  }
  drop(w);
  drop(wanted);
  drop(got);
}

/* The transforms alone against the portable ones, and the whole against the definition. */
/* One filter over all channels, as it is defined. */
static float *convolve(const weft_patches *p, const float *w, float bias, size_t oh) {
  const size_t plane = oh * p->ow;
  float *sums = make(plane, NULL), *parts = make(p->channels * plane, NULL);
  const float biases[4] = {bias};
  portable->depthwise_f32(p, w, biases, WEFT_ACT_NONE, 0, 0, parts, oh);
  for (size_t c = 0; c < p->channels; c++) {
    portable->axpy_f32(plane, 1.0f, parts + c * plane, sums);
  }
  drop(parts);
  return sums;
}

static float *sizes_of(size_t n, const float *x) {
  float *sizes = make(n, NULL);
  for (size_t i = 0; i < n; i++) {
    sizes[i] = fabsf(x[i]);
  }
  return sizes;
}

/* What rounding may make of a sum is in proportion to the sizes of its terms, which are those of a whole tile: the
 * transforms of 4x4 outputs err by a few units of their largest (tests/bench/NOTES.md). */
static void expect_convolution(const weft_patches *p, const float *w, float bias, size_t oh, const float *got) {
  const size_t plane = oh * p->ow;
  float *in_sizes = sizes_of(p->channels * p->ih * p->iw, p->in), *w_sizes = sizes_of(p->channels * p->kh * p->kw, w);
  weft_patches sized = *p;
  sized.in = in_sizes;
  float *wanted = convolve(p, w, bias, oh), *sizes = convolve(&sized, w_sizes, bias, oh);
  float largest = 0;
  for (size_t i = 0; i < plane; i++) {
    largest = fmaxf(largest, sizes[i]);
  }
  for (size_t i = 0; i < plane; i++) {
    if (!(fabsf(got[i] - wanted[i]) <= 4e-6f * largest)) fail("winograd", i, (double)got[i], (double)wanted[i]);
  }
  float *all[] = {in_sizes, w_sizes, wanted, sizes};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    drop(all[i]);
  }
}

/* One phase of `p`, whose dilations' other phases stay as they were. */
static void check_winograd(weft_winograd_tile tile) {
  const size_t kh = tile.rows.taps, kw = tile.columns.taps;
  const size_t dh = kh == 1 ? 1 : 1 + below(2), dw = kw == 1 ? 1 : 1 + below(3);
  size_t ih = 5 + below(12), iw = 7 + below(60), top = below(2), left = below(2), channels = 1 + below(4);
  size_t oh = ih + 2 * top - (kh - 1) * dh, ow = iw + 2 * left - (kw - 1) * dw, row = below(dh), column = below(dw);
  size_t grid = (ow + dw - 1) / dw;
  size_t groups = (weft_winograd_tiles(tile, (oh + dh - 1) / dh, grid) + WEFT_WINOGRAD_GROUP - 1) / WEFT_WINOGRAD_GROUP;
  size_t begin = below(groups), end = begin + 1 + below(groups - begin);
  size_t count = weft_winograd_products(tile), tiles = (end - begin) * WEFT_WINOGRAD_GROUP;
  size_t matrix = weft_gemm_packed_size(tiles, channels) + below(3), size = count * matrix;
  size_t plane = ih * iw + below(5);
  float *in = make(channels * plane, draw_float), *w = make(channels * kh * kw, draw_float),
        *u = make(count * channels, NULL);
  float *wanted_packed = make(size, NULL), *packed = make(size, NULL), *products = make(count * tiles, NULL);
  float *wanted = make(oh * ow, draw_float), *residual = make(oh * ow, draw_float);
  float *got = copy_of(oh * ow, wanted), *defined = copy_of(oh * ow, wanted);
  weft_patches p = {
      in,   channels, ih, iw, kh, kw, 1, 1, dh, dw, (int64_t)top - (int64_t)row, (int64_t)left - (int64_t)column,
      grid, NULL};
  portable->winograd_input(tile, &p, plane, begin, end, wanted_packed, matrix);
  tested->winograd_input(tile, &p, plane, begin, end, packed, matrix);
  expect_same("winograd input", size, packed, wanted_packed);
  const weft_winograd_taps taps = {w, 1, channels, kh, kw, channels * kh * kw, kh * kw, kw, 1};
  portable->winograd_filters(tile, &taps, u, channels);
  for (size_t j = 0; j < count; j++) {
    portable->gemm_f32(1, tiles, channels, u + j * channels, channels, packed + j * matrix, channels * WEFT_GEMM_NR,
                       products + j * tiles, tiles, false, NULL);
  }
  weft_winograd_result r = {.ow = grid,
                            .rows = (oh - row + dh - 1) / dh,
                            .columns = (ow - column + dw - 1) / dw,
                            .row_step = ow * dh,
                            .step = dw,
                            .bias = 0.3f,
                            .residual = draw() % 2 == 0 ? residual + row * ow + column : NULL,
                            .activation = (weft_activation)(draw() % (WEFT_ACT_GELU + 1)),
                            .lo = -0.5f,
                            .hi = 1.0f,
                            .out = wanted + row * ow + column};
  portable->winograd_output(tile, products, tiles, begin, end, &r);
  r.out = got + row * ow + column;
  tested->winograd_output(tile, products, tiles, begin, end, &r);
  expect_same("winograd output", oh * ow, got, wanted);
  if (begin == 0 && end == groups && dh == 1 && dw == 1 && plane == ih * iw) {
    r.residual = NULL;
    r.activation = WEFT_ACT_NONE;
    r.out = defined;
    tested->winograd_output(tile, products, tiles, begin, end, &r);
    expect_convolution(&p, w, 0.3f, oh, defined);
  }
  float *all[] = {in, w, u, wanted_packed, packed, products, wanted, residual, got, defined};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    drop(all[i]);
  }
}

/* Sizes beyond what the buffers of the SIMD kernels hold. */
static void check_large_convolution(size_t kh, size_t kw, size_t ih, size_t iw, size_t stride) {
  enum { CHANNELS = 2, PAD = 1 };
  size_t oh = (ih + 2 * PAD - kh) / stride + 1, ow = (iw + 2 * PAD - kw) / stride + 1;
  float *in = make(CHANNELS * ih * iw, draw_float), *w = make(CHANNELS * kh * kw, draw_float);
  float *wanted = make(CHANNELS * oh * ow, NULL), *got = make(CHANNELS * oh * ow, NULL);
  weft_patches p = {in, CHANNELS, ih, iw, kh, kw, stride, stride, 1, 1, PAD, PAD, ow, NULL};
  portable->depthwise_f32(&p, w, w, WEFT_ACT_NONE, 0, 0, wanted, oh);
  tested->depthwise_f32(&p, w, w, WEFT_ACT_NONE, 0, 0, got, oh);
  expect_same("large depthwise", CHANNELS * oh * ow, got, wanted);
  const size_t begin = below(oh * ow), end = begin + 1 + below(oh * ow - begin < 50 ? oh * ow - begin : 50);
  const size_t size = weft_gemm_packed_size(end - begin, CHANNELS * kh * kw);
  float *wanted_panels = make(size, NULL), *panels = make(size, NULL);
  portable->conv_f32_pack(&p, begin, end, wanted_panels);
  tested->conv_f32_pack(&p, begin, end, panels);
  expect_same("large conv pack", size, panels, wanted_panels);
  drop(wanted_panels);
  drop(panels);
  drop(in);
  drop(w);
  drop(wanted);
  drop(got);
}

/* ---- movement ---------------------------------------------------------------------------------------------------- */
static void check_transpose(size_t rows, size_t columns, size_t apart, size_t size) {
  size_t in_stride = columns + apart, out_stride = rows + 2;

  size_t in_size = (rows * in_stride) * size, out_size = (columns * out_stride) * size;
  uint8_t *in = allocate(in_size), *wanted = allocate(out_size), *got = allocate(out_size);
  fill_bytes(in_size, in);
  memset(wanted, 0, out_size);
  memset(got, 0, out_size);
  portable->transpose(rows, columns, size, in, in_stride, wanted, out_stride);
  tested->transpose(rows, columns, size, in, in_stride, got, out_stride);
  expect_bytes("transpose", out_size, got, wanted);
  free(in);
  free(wanted);
  free(got);
}

static void check_narrow(size_t n) {
  float *x = make(n, draw_special), *wanted = make(n, NULL), *got = make(n, NULL);
  uint16_t *q = allocate(n * sizeof *q), *r = allocate(n * sizeof *r);
  for (int kind = 0; kind < 2; kind++) {
    for (size_t i = 0; i < n; i++) {
      if (draw() % 2 == 0) x[i] *= 1e-5f; /* subnormal halves */
    }
    (kind ? portable->f32_to_bfloat16 : portable->f32_to_float16)(n, x, q);
    (kind ? tested->f32_to_bfloat16 : tested->f32_to_float16)(n, x, r);
    (kind ? portable->bfloat16_to_f32 : portable->float16_to_f32)(n, q, wanted);
    (kind ? portable->bfloat16_to_f32 : portable->float16_to_f32)(n, r, got);
    expect_same(kind ? "float to bfloat16" : "float to float16", n, got, wanted);
    (kind ? tested->bfloat16_to_f32 : tested->float16_to_f32)(n, q, got);
    expect_same(kind ? "bfloat16 to float" : "float16 to float", n, got, wanted);
  }
  free(q);
  free(r);
  drop(x);
  drop(wanted);
  drop(got);
}

/* All halves there are. */
static void check_all_halves(void) {
  enum { COUNT = 1 << 16 };
  static uint16_t half[COUNT], back[COUNT];
  static float wanted[COUNT], got[COUNT];
  for (uint32_t i = 0; i < COUNT; i++) {
    half[i] = (uint16_t)i;
  }
  portable->float16_to_f32(COUNT, half, wanted);
  tested->float16_to_f32(COUNT, half, got);
  expect_same("float16 to float", COUNT, got, wanted);
  tested->f32_to_float16(COUNT, got, back);
  for (size_t i = 0; i < COUNT; i++) {
    if (!isnan(got[i]) && back[i] != half[i]) fail("float to float16", i, back[i], half[i]);
  }
}

static void check_multiply_adds(void) {
  float expected = 48.0f * 2.0f; /* where every sum comes to rest */
  if (fabsf(tested->multiply_adds(100, 0.5f, 1.0f) - expected) > 1e-3f) {
    fprintf(stderr, "multiply_adds of %s\n", tested->name);
    failures++;
  }
  if (tested->multiply_adds(0, 0.5f, 1.0f) != 47.0f * 24.0f) {
    fprintf(stderr, "multiply_adds of %s without a turn\n", tested->name);
    failures++;
  }
}

static void check_floats(void) {
  static const size_t depths[] = {0, 1, 2, 3, 7, 8, 31, 383, 384, 385, 900};
  for (size_t n = 0; n <= 70; n++) {
    check_elementwise(n);
    check_rows(n);
    check_cells(n % 3 + 1, n, draw_float);
    if (!fused) check_cells(2, n, draw_special);
    check_narrow(n);
  }
  check_cell_accuracy();
  check_multiply_adds();
  check_rows(2047);
  check_rows(5003);
  for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
    for (size_t m = 0; m <= 9; m++) {
      for (size_t n = 0; n <= 20; n += depths[i] > 100 ? 4 : 1) {
        check_gemm(m, n, depths[i], draw_float);
        if (depths[i] < 10 && !fused) check_gemm(m, n, depths[i], draw_special);
      }
    }
  }
  for (size_t n = 1; n < 90; n += n < 20 ? 1 : 23) {
    for (size_t k = 0; k < 600; k = 3 * k + 1) {
      for (size_t m = 1; m <= 2; m++) {
        check_gemm_half(m, n, k, WEFT_FLOAT16);
        check_gemm_half(m, n, k, WEFT_BFLOAT16);
      }
    }
  }
  check_gemm(1, 3, 9000, draw_float); /* blocks of rows against a plain b */
  check_gemm(1, 530, 4100, draw_float);
  check_gemm(1, 1043, 800, draw_float); /* a row that stays in the cache beside a b from memory */
  check_gemm(1, 71, 500, draw_float);
  check_gemm(2, 70, 500, draw_float);
  check_gemm(1, 139, 40, draw_float); /* whole groups of far panels, whole panels, a part of one */
  check_gemm(2, 91, 40, draw_float);
  check_gemm(1, 515, 64, draw_float); /* a plain b that is likely to come from memory */
  check_gemm(130, 37, 70, draw_float);
  check_gemm(71, 27, 500, draw_float); /* tiles of as many rows as there are, and what they leave */
  check_gemm(13, 9, 10, draw_float);
  for (int i = 0; i < 3000; i++) {
    check_convolution();
    static const weft_winograd_tile tiles[] = {{{2, 3}, {2, 3}}, {{4, 3}, {4, 3}}, {{4, 2}, {4, 2}},
                                               {{1, 1}, {4, 3}}, {{1, 1}, {4, 2}}, {{4, 3}, {1, 1}}};
    for (size_t j = 0; j < sizeof tiles / sizeof *tiles; j++) {
      check_winograd(tiles[j]);
      check_winograd_filters(tiles[j]);
    }
  }
  check_large_convolution(3, 3, 9, 7000, 1);
  check_large_convolution(3, 3, 150, 150, 1);
  check_large_convolution(12, 12, 40, 40, 2);
  check_large_convolution(1, 256, 1, 17000, 2);
  check_large_convolution(2, 9, 4, 9000, 3);
  check_large_convolution(5, 5, 12, 3100, 1 + draw() % 2);
  check_large_convolution(31, 31, 40, 200, 1);
  for (size_t size = 1; size <= 16; size *= 2) {
    for (size_t n = 0; n <= 20; n++) {
      check_transpose(n, 19, 1, size);
      check_transpose(n, 3, 0, size);
      check_transpose(37, n, 1, size);
    }
    check_transpose(70, 70, 1, size);
  }
  check_all_halves();
}

int main(void) {
  return check_tables(check_floats);
}
