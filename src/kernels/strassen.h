/* The sums of blocks that Strassen's products are made of (ops/strassen.c). */
#ifndef WEFT_KERNELS_STRASSEN_H
#define WEFT_KERNELS_STRASSEN_H

#include "kernels.h"

/* How large the elements of two rows or panels are. Of rows, in a few parts: the greatest magnitude of both, and the sum of
 * each one's. Of panels, column by column: the sum of each one's magnitudes, each times the usual one of the elements of a
 * that it meets; and `most`, the sum of both times those that it meets in products of sums. */
typedef struct weft_strassen_sizes {
  float most[WEFT_GEMM_NR], sums[2][WEFT_GEMM_NR];
} weft_strassen_sizes;

/* Two rows of a, each of 2 * half floats, as rows of four sums, `apart` floats from each other. */
void weft_strassen_left(size_t half, const float *top, const float *bottom, float *sums, size_t apart,
                        weft_strassen_sizes *sizes);
/* The same for two panels of b of 2 * half rows: panels of half as many rows. `usual` are 2 * half magnitudes of a's columns. */
void weft_strassen_right(size_t half, const float *left, const float *right, const float *usual, float *sums,
                         size_t apart, weft_strassen_sizes *sizes);
/* sums += the magnitudes of x; n is a multiple of WEFT_GEMM_NR. */
void weft_strassen_add_magnitudes(size_t n, const float *x, float *sums);
/* c22 = c21 + c12, rows of n floats; then c12 += added (rows without space between), unless that is NULL. n is a multiple
 * of WEFT_GEMM_NR. */
void weft_strassen_add(size_t rows, size_t n, const float *added, float *c12, const float *c21, float *c22, size_t ldc);

#endif
