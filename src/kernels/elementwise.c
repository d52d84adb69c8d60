/* Functions of one or two numbers, portable: loops around scalar.h and approximations.h; and the table of all portable
 * kernels, of which these are most. */
#include "portable.h"
#include "scalar.h"

#include "approximations.h"

#define DEFINE_UNARY(NAME, word, is_long)                                                                              \
  static void unary_##NAME(size_t n, const float *x, float *y) {                                                       \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      y[i] = word(x[i]);                                                                                               \
    }                                                                                                                  \
  }
UNARY_WORDS(DEFINE_UNARY)

#define DEFINE_BINARY(NAME, word)                                                                                      \
  static void binary_##NAME(size_t n, const float *x, size_t x_step, const float *y, size_t y_step, float *z) {        \
    const float x0 = n != 0 ? x[0] : 0.0f, y0 = n != 0 ? y[0] : 0.0f;                                                  \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      z[i] = word(x_step != 0 ? x[i] : x0, y_step != 0 ? y[i] : y0);                                                   \
    }                                                                                                                  \
  }
BINARY_WORDS(DEFINE_BINARY)

static void elu_f32(size_t n, const float *x, float above, float below, float unit, float *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] = approx_elu(x[i], above, below, unit);
  }
}

static void swish_f32(size_t n, const float *x, float alpha, float *y) {
  const double exponent = swish_exponent(alpha);
  const float limit = swish_limit(alpha);
  for (size_t i = 0; i < n; i++) {
    y[i] = approx_swish(x[i], alpha, exponent, limit);
  }
}

float weft_activate_one(float y, weft_activation activation, float lo, float hi) {
  return activate(y, activation, lo, hi);
}

void weft_portable_activate_f32(size_t n, float *y, weft_activation activation, float lo, float hi) {
  for (size_t i = 0; i < n; i++) {
    y[i] = activate(y[i], activation, lo, hi);
  }
}

void weft_portable_clip_f32(size_t n, const float *x, float lo, float hi, float *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] = r_at_most(r_at_least(x[i], lo), hi);
  }
}

void weft_portable_axpy_f32(size_t n, float a, const float *x, float *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] += a * x[i];
  }
}

#define UNARY_ENTRY(NAME, word, is_long) [WEFT_UNARY_##NAME] = unary_##NAME,
#define BINARY_ENTRY(NAME, word) [WEFT_BINARY_##NAME] = binary_##NAME,

const weft_kernels weft_kernels_portable = {
    .name = "portable",
    .gemm_f32 = weft_portable_gemm_f32,
    .gemm_f32_pack = weft_portable_gemm_f32_pack,
    .gemm_half = weft_portable_gemm_half,
    .gemv_f32 = weft_portable_gemv_f32,
    .depthwise_f32 = weft_portable_depthwise_f32,
    .unary_f32 = {UNARY_WORDS(UNARY_ENTRY)},
    .binary_f32 = {BINARY_WORDS(BINARY_ENTRY)},
    .clip_f32 = weft_portable_clip_f32,
    .elu_f32 = elu_f32,
    .swish_f32 = swish_f32,
    .activate_f32 = weft_portable_activate_f32,
    .sum_f32 = weft_portable_sum_f32,
    .sum_square_f32 = weft_portable_sum_square_f32,
    .max_f32 = weft_portable_max_f32,
    .min_f32 = weft_portable_min_f32,
    .dot_f32 = weft_portable_dot_f32,
    .softmax_f32 = weft_portable_softmax_f32,
    .weigh_f32 = weft_portable_weigh_f32,
    .layer_norm_f32 = weft_portable_layer_norm_f32,
    .lstm_f32 = weft_portable_lstm_f32,
    .gru_f32 = weft_portable_gru_f32,
    .axpy_f32 = weft_portable_axpy_f32,
    .conv_f32_pack = weft_portable_conv_f32_pack,
    .conv_f32 = weft_portable_conv_f32,
    .transpose = weft_portable_transpose,
    .float16_to_f32 = weft_portable_float16_to_f32,
    .f32_to_float16 = weft_portable_f32_to_float16,
    .bfloat16_to_f32 = weft_portable_bfloat16_to_f32,
    .f32_to_bfloat16 = weft_portable_f32_to_bfloat16,
    .gemm_i8_a_size = weft_portable_gemm_i8_a_size,
    .gemm_i8_b_size = weft_portable_gemm_i8_b_size,
    .gemm_i8_pack_a = weft_portable_gemm_i8_pack_a,
    .gemm_i8_pack_b = weft_portable_gemm_i8_pack_b,
    .gemm_i8 = weft_portable_gemm_i8,
    .winograd_filters = weft_portable_winograd_filters,
    .winograd_input = weft_portable_winograd_input,
    .winograd_output = weft_portable_winograd_output,
    .depthwise_i8 = weft_portable_depthwise_i8,
    .sums_to_f32 = weft_portable_sums_to_f32,
    .sums_to_i8 = weft_portable_sums_to_i8,
    .quantize_i8 = weft_portable_quantize_i8,
    .dequantize_i8 = weft_portable_dequantize_i8,
    .multiply_adds = weft_portable_multiply_adds,
    .nbits_prepare = weft_portable_nbits_prepare,
    .nbits_gemv = weft_portable_nbits_gemv,
    .nbits_expand = weft_portable_nbits_expand,
    .nbits_i8_a_size = weft_portable_nbits_i8_a_size,
    .nbits_i8_pack_a = weft_portable_nbits_i8_pack_a,
    .nbits_i8 = weft_portable_nbits_i8,
};

void weft_activate_f32(const weft_kernels *kernels, size_t n, float *y, weft_activation activation, float lo,
                       float hi) {
  if (activation != WEFT_ACT_NONE) kernels->activate_f32(n, y, activation, lo, hi);
}

#if !defined(WEFT_SIMD)
/* A build without SIMD has one table; with it, simd/choose.c decides. */
const weft_kernels *weft_kernels_choose(bool deterministic) {
  (void)deterministic;
  return &weft_kernels_portable;
}
#endif
