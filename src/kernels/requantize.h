/* From the 32-bit sums of integer products to results: see requantize.c. */
#ifndef WEFT_KERNELS_REQUANTIZE_H
#define WEFT_KERNELS_REQUANTIZE_H

#include <stddef.h>
#include <stdint.h>

/* y[i] = (sums[i] + bias[i * bias_step]) * scale[i * scale_step]; bias may be NULL. */
void weft_sums_to_f32(size_t n, const int32_t *sums, const int32_t *bias, size_t bias_step, const float *scale,
                      size_t scale_step, float *y);
#endif
