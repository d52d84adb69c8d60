/* The byte side of integer convolutions of planes: see conv_i8.c. */
#ifndef WEFT_KERNELS_CONV_I8_H
#define WEFT_KERNELS_CONV_I8_H

#include "pool.h"

/* What tap (ty, tx) meets in a plane at output positions [first, first + count), row by row; padding is `zero`. */
void weft_gather_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, size_t ty, size_t tx,
                    size_t first, size_t count, uint8_t zero, uint8_t *out);

/* What depthwise_i8 takes: its buffers hold a window's taps, and rows of input with every element twice. */
enum { WEFT_DEPTHWISE_I8_TAPS = 1024, WEFT_DEPTHWISE_I8_BAND = 16384 };

/* 16-bit numbers of such a row: two for every output, for each of the phases where strides over 2 begin. */
static inline size_t weft_depthwise_i8_row(const weft_pool_axis *x) {
  const size_t beyond = (x->kernel - 1) / 2 * 2 * x->dilation / x->stride, phases = x->stride > 2 ? x->stride : 1;
  return 2 * phases * (((x->out + 7) / 8 * 8 + beyond + 7) / 8 * 8);
}

/* Whether it does; else the convolution is a product like any other. */
bool weft_depthwise_i8_fits(const weft_pool_axis *y, const weft_pool_axis *x);

#endif
