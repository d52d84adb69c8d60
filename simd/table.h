/* The SIMD kernels. This file is included once for plain and once for relaxed instructions: the including file says how
 * its tables are called (TABLE_NAME) and whether relaxed instructions may be used (FUSED), and makes them of ENTRIES.
 * Everything is static, so that both can lie in one module. */
#include "kernels/conv_i8.h"
#include "kernels/kernels.h"
#include "kernels/portable.h"
#include "simd/vector.h"

#include "kernels/approximations.h"
#include "kernels/cells.h"
#include "kernels/winograd_words.h"

#include "simd/cells.h"
#include "simd/elementwise.h"

#include "simd/movement.h"
#include "simd/rows.h"

#include "simd/gemm.h"

#include "simd/convolution.h"
#include "simd/integer.h"
#include "simd/quantize.h"
#include "simd/winograd.h"

#include "simd/depthwise_i8.h"
#include "simd/nbits.h"

#define UNARY_ENTRY(NAME, word, is_long) [WEFT_UNARY_##NAME] = unary_##NAME,
#define BINARY_ENTRY(NAME, word) [WEFT_BINARY_##NAME] = binary_##NAME,

/* The entries of a table with one form of integer products (integer.h). */
/* clang-format off */
#define ENTRIES(FORM) \
  .name = TABLE_NAME, \
  .gemm_f32 = gemm_f32, \
  .gemm_f32_pack = gemm_f32_pack, \
  .gemm_half = gemm_half, \
  .gemv_f32 = gemv_f32, \
  .depthwise_f32 = depthwise_f32, \
  .unary_f32 = {UNARY_WORDS(UNARY_ENTRY)}, \
  .binary_f32 = {BINARY_WORDS(BINARY_ENTRY)}, \
  .clip_f32 = clip_f32, \
  .elu_f32 = elu_f32, \
  .swish_f32 = swish_f32, \
  .activate_f32 = activate_f32, \
  .sum_f32 = sum_f32, \
  .sum_square_f32 = sum_square_f32, \
  .max_f32 = max_f32, \
  .min_f32 = min_f32, \
  .dot_f32 = dot_f32, \
  .softmax_f32 = softmax_f32, \
  .weigh_f32 = weigh_f32, \
  .layer_norm_f32 = layer_norm_f32, \
  .lstm_f32 = lstm_f32, \
  .gru_f32 = gru_f32, \
  .axpy_f32 = axpy_f32, \
  .conv_f32_pack = conv_f32_pack, \
  .conv_f32 = conv_f32, \
  .transpose = transpose, \
  .float16_to_f32 = float16_to_f32, \
  .f32_to_float16 = f32_to_float16, \
  .bfloat16_to_f32 = bfloat16_to_f32, \
  .f32_to_bfloat16 = f32_to_bfloat16, \
  .gemm_i8_a_size = FORM##_a_size, \
  .gemm_i8_b_size = FORM##_b_size, \
  .gemm_i8_pack_a = FORM##_pack_a, \
  .gemm_i8_pack_b = FORM##_pack_b, \
  .gemm_i8 = FORM##_product, \
  .winograd_filters = winograd_filters, \
  .winograd_input = winograd_input, \
  .winograd_output = winograd_output, \
  .depthwise_i8 = FORM##_depthwise, \
  .sums_to_f32 = sums_to_f32, \
  .sums_to_i8 = sums_to_i8, \
  .quantize_i8 = quantize_i8, \
  .dequantize_i8 = dequantize_i8, \
  .multiply_adds = multiply_adds, \
  .nbits_prepare = nbits_prepare, \
  .nbits_gemv = nbits_gemv, \
  .nbits_expand = nbits_expand, \
  .nbits_i8_a_size = nbits_i8_a_size, \
  .nbits_i8_pack_a = nbits_i8_pack_a, \
  .nbits_i8 = FORM##_nbits_i8
/* clang-format on */
