/* Products with weights of 2, 4 or 8 bits in blocks: see nbits.c. */
#ifndef WEFT_KERNELS_NBITS_H
#define WEFT_KERNELS_NBITS_H

#include <stddef.h>
#include <stdint.h>

/* x[n] as weft_nbits_dot reads it: element i of each group of 8 / bits goes to out[i * (n / per) + group]; n is a
 * multiple of 8 / bits. Returns the sum of x. */
float weft_nbits_prepare(unsigned bits, size_t n, const float *x, float *out);
/* The sum of q[i] * x[i] over n elements, x as prepared; q holds 8 / bits elements a byte, the lowest bits first. */
float weft_nbits_dot(unsigned bits, size_t n, const uint8_t *q, const float *x);
/* out[i] = (q[i] - zero) * scale */
void weft_nbits_expand(unsigned bits, size_t n, const uint8_t *q, float scale, float zero, float *out);

#endif
