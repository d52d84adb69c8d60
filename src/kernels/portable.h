/* The portable kernels by name: elementwise.c gathers them in a table, simd/ falls back on those it does not replace.
 * What each does is said in kernels.h. */
#ifndef WEFT_KERNELS_PORTABLE_H
#define WEFT_KERNELS_PORTABLE_H

#include "kernels.h"

/* gemm.c */
enum {
  WEFT_GEMM_BLOCK_K = 384, /* products that are added up before they are added to the rest: long sums stay exact */
  WEFT_GEMV_BLOCK_K = 4096 /* the same for one row against a b that is not packed */
};
void weft_portable_gemm_f32(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b_packed,
                            size_t panel, float *c, size_t ldc, bool accumulate, const weft_epilogue *epilogue);
void weft_portable_gemm_f32_pack(size_t n, size_t k, const float *b, size_t ldb, bool transposed, float *out);
void weft_portable_gemm_half(size_t m, size_t n, size_t k, const float *a, size_t lda, weft_type type,
                             const uint16_t *b_packed, float *c, size_t ldc, const weft_epilogue *epilogue);
void weft_portable_gemv_f32(size_t n, size_t k, const float *x, const float *b, size_t ldb, bool transposed, float *y,
                            const weft_epilogue *epilogue);

/* convolution.c */
/* Without the activation. */
void weft_portable_depthwise_sums(const weft_patches *p, const float *w, const float *bias, float *out, size_t oh);
void weft_portable_depthwise_f32(const weft_patches *p, const float *w, const float *bias, weft_activation activation,
                                 float lo, float hi, float *out, size_t oh);
void weft_portable_conv_f32_pack(const weft_patches *patches, size_t begin, size_t end, float *out);
void weft_portable_conv_f32(const weft_patches *patches, size_t filters, const float *w, const weft_epilogue *epilogue,
                            size_t begin, size_t end, float *out, size_t oh, float *scratch);

/* elementwise.c */
void weft_portable_clip_f32(size_t n, const float *x, float lo, float hi, float *y);
void weft_portable_axpy_f32(size_t n, float a, const float *x, float *y);
void weft_portable_activate_f32(size_t n, float *y, weft_activation activation, float lo, float hi);
/* One value through an activation. */
float weft_activate_one(float y, weft_activation activation, float lo, float hi);

/* rows.c */
float weft_portable_sum_f32(size_t n, const float *x);
float weft_portable_sum_square_f32(size_t n, const float *x);
float weft_portable_max_f32(size_t n, const float *x);
float weft_portable_min_f32(size_t n, const float *x);
float weft_portable_dot_f32(size_t n, const float *x, const float *y);
float weft_portable_multiply_adds(size_t turns, float factor, float addend);
void weft_portable_softmax_f32(size_t n, const float *x, bool logarithm, float *y);
void weft_portable_weigh_f32(size_t rows, size_t n, const float *mask, float *x, size_t ldx);
void weft_portable_layer_norm_f32(size_t n, const float *x, const float *scale, const float *bias, float epsilon,
                                  bool root_mean_square, float *y, float *mean, float *inverse);

/* 1 / deviation of a row whose mean is `rest` more than the float that its numbers are measured from, and whose mean
 * square distance from that float is `square`; what is missing of every distance once it is scaled is `shift`. A float
 * alone is too coarse for a mean much larger than the deviation. */
float weft_deviation(double square, double rest, float epsilon, float *shift);

/* cells.c */
void weft_portable_lstm_f32(size_t rows, size_t n, const float *x, size_t x_stride, const float *r, float *c, float *h,
                            size_t h_stride);
void weft_portable_gru_f32(size_t rows, size_t n, const float *x, size_t x_stride, float *r, const float *h,
                           size_t h_stride, float *to, size_t to_stride);

/* winograd.c */
void weft_portable_winograd_filters(weft_winograd_tile tile, const weft_winograd_taps *taps, float *out, size_t stride);
void weft_portable_winograd_input(weft_winograd_tile tile, const weft_patches *patches, size_t plane, size_t begin,
                                  size_t end, float *out, size_t stride);
void weft_portable_winograd_output(weft_winograd_tile tile, const float *products, size_t stride, size_t begin,
                                   size_t end, const weft_winograd_result *result);

/* conv_i8.c */
void weft_portable_depthwise_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x,
                                const int16_t *weights, int32_t zero, bool is_signed, size_t begin, size_t end,
                                int32_t *sums);

/* movement.c */
void weft_portable_transpose(size_t rows, size_t columns, size_t element_size, const void *in, size_t in_stride,
                             void *out, size_t out_stride);
void weft_portable_float16_to_f32(size_t n, const uint16_t *x, float *y);
void weft_portable_f32_to_float16(size_t n, const float *x, uint16_t *y);
void weft_portable_bfloat16_to_f32(size_t n, const uint16_t *x, float *y);
void weft_portable_f32_to_bfloat16(size_t n, const float *x, uint16_t *y);

/* integer.c */
size_t weft_portable_gemm_i8_a_size(size_t m, size_t k, bool a_is_weights);
size_t weft_portable_gemm_i8_b_size(size_t n, size_t k, bool a_is_weights);
void weft_portable_gemm_i8_pack_a(size_t m, size_t k, const void *a, size_t lda, bool is_signed, const int32_t *a_zero,
                                  size_t zero_step, void *out, bool a_is_weights);
void weft_portable_gemm_i8_pack_b(size_t n, size_t k, const void *b, size_t ldb, bool transposed, bool is_signed,
                                  const int32_t *b_zero, size_t zero_step, void *out, bool a_is_weights);
void weft_portable_gemm_i8(size_t m, size_t n, size_t k, const void *a_packed, const void *b_packed, size_t first,
                           int32_t *c, size_t ldc, bool a_is_weights);
void weft_portable_sums_to_f32(size_t n, const int32_t *sums, const weft_rescale *r, float *y);
void weft_portable_sums_to_i8(size_t n, const int32_t *sums, const weft_rescale *r, const weft_bytes *bytes, void *y);
void weft_portable_quantize_i8(size_t n, const float *x, float scale, int32_t zero, bool is_signed, void *y);
void weft_portable_dequantize_i8(size_t n, const void *x, float scale, int32_t zero, bool is_signed, float *y);

/* nbits.c */
void weft_portable_nbits_prepare(const weft_nbits *w, const float *x, float *out);
void weft_portable_nbits_gemv(const weft_nbits *w, const float *prepared, size_t begin, size_t end, float *y);
void weft_portable_nbits_expand(const weft_nbits *w, size_t begin, size_t end, float *out);
size_t weft_portable_nbits_i8_a_size(const weft_nbits *w, size_t m);
void weft_portable_nbits_i8_pack_a(const weft_nbits *w, const float *x, void *out);
void weft_portable_nbits_i8(const weft_nbits *w, size_t m, const void *a, size_t begin, size_t end, float *y,
                            size_t ldy, void *scratch);

#endif
