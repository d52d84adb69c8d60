/* The sums of blocks that Strassen's products are made of (ops/strassen.c). */
#ifndef WEFT_KERNELS_STRASSEN_H
#define WEFT_KERNELS_STRASSEN_H

#include "kernels.h"

/* Magnitudes of the elements of two rows or panels: the greatest of both, and the sum of each one's; of panels column by
 * column and of their upper and lower halves, of rows in a few parts. */
typedef struct weft_strassen_sizes {
  float most[WEFT_GEMM_NR], sums[4][WEFT_GEMM_NR];
} weft_strassen_sizes;

/* Two rows of a, each of 2 * half floats, as rows of four sums, `apart` floats from each other. */
void weft_strassen_left(size_t half, const float *top, const float *bottom, float *sums, size_t apart,
                        weft_strassen_sizes *sizes);
/* The same for two panels of b of 2 * half rows: panels of half as many rows. */
void weft_strassen_right(size_t half, const float *left, const float *right, float *sums, size_t apart,
                         weft_strassen_sizes *sizes);
/* c22 = c21 + c12, rows of n floats; then c12 += added (rows without space between), unless that is NULL. n is a multiple
 * of WEFT_GEMM_NR. */
void weft_strassen_add(size_t rows, size_t n, const float *added, float *c12, const float *c21, float *c22, size_t ldc);

#endif
