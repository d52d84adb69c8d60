/* Products of 8-bit integers, and quantisation, portable. Zero points are taken off while packing, so that the product
 * needs no corrections: a and b become 16-bit numbers, rows of a and columns of b each contiguous along k. */
#include "portable.h"

#include <math.h>

/* An element of an 8-bit tensor of either kind. */
static int32_t element(const void *x, size_t i, bool is_signed) {
  return is_signed ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
}

size_t weft_portable_gemm_i8_a_size(size_t m, size_t k, bool a_is_weights) {
  (void)a_is_weights;
  return weft_packed_size(m, k * sizeof(int16_t), SIZE_MAX / 2);
}

size_t weft_portable_gemm_i8_b_size(size_t n, size_t k, bool a_is_weights) {
  (void)a_is_weights;
  return weft_packed_size(n, k * sizeof(int16_t), SIZE_MAX / 2);
}

void weft_portable_gemm_i8_pack_a(size_t m, size_t k, const void *a, size_t lda, bool is_signed, const int32_t *a_zero,
                                  size_t zero_step, void *out, bool a_is_weights) {
  (void)a_is_weights;
  int16_t *to = out;
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < k; j++) {
      *to++ = (int16_t)(element(a, i * lda + j, is_signed) - a_zero[i * zero_step]);
    }
  }
}

void weft_portable_gemm_i8_pack_b(size_t n, size_t k, const void *b, size_t ldb, bool transposed, bool is_signed,
                                  const int32_t *b_zero, size_t zero_step, void *out, bool a_is_weights) {
  (void)a_is_weights;
  int16_t *to = out;
  for (size_t j = 0; j < n; j++) {
    for (size_t i = 0; i < k; i++) {
      size_t at = transposed ? j * ldb + i : i * ldb + j;
      *to++ = (int16_t)(element(b, at, is_signed) - b_zero[j * zero_step]);
    }
  }
}

void weft_portable_gemm_i8(size_t m, size_t n, size_t k, const void *a_packed, const void *b_packed, size_t first,
                           int32_t *c, size_t ldc, bool a_is_weights) {
  (void)a_is_weights;
  const int16_t *a = a_packed;
  const int16_t *b = (const int16_t *)b_packed + first * k;
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < n; j++) {
      uint32_t sum = 0;
      for (size_t l = 0; l < k; l++) {
        sum += (uint32_t)(a[i * k + l] * b[j * k + l]);
      }
      c[i * ldc + j] = (int32_t)sum;
    }
  }
}

/* Element i before rounding. */
static float rescaled(const int32_t *sums, const weft_rescale *r, size_t i) {
  uint32_t bias = r->bias != NULL ? (uint32_t)r->bias[i * r->bias_step] : 0;
  float y = (float)(int32_t)((uint32_t)sums[i] + bias) * r->scale[i * r->scale_step];
  return r->added != NULL ? y + r->added[i * r->scale_step] : y;
}

void weft_portable_sums_to_f32(size_t n, const int32_t *sums, const weft_rescale *r, float *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] = rescaled(sums, r, i);
  }
}

static uint8_t quantized(float x, const weft_bytes *bytes) {
  const float low = (float)bytes->least, high = (float)bytes->greatest;
  float v = rintf(x) + (float)bytes->zero;
  v = v > low ? v : low; /* NaN too: there is no such integer */
  v = v < high ? v : high;
  return (uint8_t)(int32_t)v;
}

void weft_portable_sums_to_i8(size_t n, const int32_t *sums, const weft_rescale *r, const weft_bytes *bytes, void *y) {
  for (size_t i = 0; i < n; i++) {
    ((uint8_t *)y)[i] = quantized(rescaled(sums, r, i), bytes);
  }
}

void weft_portable_quantize_i8(size_t n, const float *x, float scale, int32_t zero, bool is_signed, void *y) {
  const weft_bytes bytes = weft_all_bytes(zero, is_signed);
  for (size_t i = 0; i < n; i++) {
    ((uint8_t *)y)[i] = quantized(x[i] / scale, &bytes);
  }
}

void weft_portable_dequantize_i8(size_t n, const void *x, float scale, int32_t zero, bool is_signed, float *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] = (float)(element(x, i, is_signed) - zero) * scale;
  }
}
