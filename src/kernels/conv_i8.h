/* The byte side of integer convolutions of planes: see conv_i8.c. */
#ifndef WEFT_KERNELS_CONV_I8_H
#define WEFT_KERNELS_CONV_I8_H

#include "pool.h"

/* What tap (ty, tx) meets in a plane at output positions [first, first + count), row by row; padding is `zero`. */
void weft_gather_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, size_t ty, size_t tx,
                    size_t first, size_t count, uint8_t zero, uint8_t *out);

#endif
