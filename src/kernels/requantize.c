/* Loops around the 8-bit products, written so that compilers make vector code of them. */
#include "requantize.h"

void weft_sums_to_f32(size_t n, const int32_t *sums, const int32_t *bias, size_t bias_step, const float *scale,
                      size_t scale_step, float *y) {
  if (bias == NULL && scale_step == 0) {
    float factor = *scale;
    for (size_t i = 0; i < n; i++) {
      y[i] = (float)sums[i] * factor;
    }
  } else if (bias_step == 0 && scale_step == 0) {
    float factor = *scale;
    uint32_t term = (uint32_t)*bias;
    for (size_t i = 0; i < n; i++) {
      y[i] = (float)(int32_t)((uint32_t)sums[i] + term) * factor;
    }
  } else {
    for (size_t i = 0; i < n; i++) {
      uint32_t term = bias != NULL ? (uint32_t)bias[i * bias_step] : 0;
      y[i] = (float)(int32_t)((uint32_t)sums[i] + term) * scale[i * scale_step];
    }
  }
}
