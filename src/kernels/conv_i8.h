/* The byte side of integer convolutions of planes: see conv_i8.c. */
#ifndef WEFT_KERNELS_CONV_I8_H
#define WEFT_KERNELS_CONV_I8_H

#include "pool.h"

/* What tap (ty, tx) meets in a plane at output positions [first, first + count), row by row; padding is `zero`. */
void weft_gather_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, size_t ty, size_t tx,
                    size_t first, size_t count, uint8_t zero, uint8_t *out);
/* Output rows [begin, end) of one plane with one filter: sums of weights[tap] * (element - zero), padding adding
 * nothing. */
void weft_depthwise_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, const int16_t *weights,
                       int32_t zero, bool is_signed, size_t begin, size_t end, int32_t *sums);

#endif
