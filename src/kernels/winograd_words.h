/* The transforms of Winograd's minimal filtering in one dimension: F(2, 3) with the points 0, 1, -1 and infinity,
 * F(4, 3) with 0, 5/8, -5/8, 3/2, -3/2 and infinity, and F(1, 1), which changes nothing. Written over the words of
 * scalar.h or simd/vector.h: include one of them first.
 *
 * The points of F(4, 3) are pairs, so that both of a pair share their even and odd parts. Their coefficients are exact
 * in single precision, and errors are about twice those of direct sums where the usual 1 and 2 make them four times
 * (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for DNNs", 2020, on why). */
#ifndef WEFT_KERNELS_WINOGRAD_WORDS_H
#define WEFT_KERNELS_WINOGRAD_WORDS_H

#include "kernels.h"

#define POINT_A 0.625f
#define POINT_B 1.5f

/* y = G x: each point's value of the polynomial with the coefficients x, divided by its distances from the others. */
static inline void winograd_filter_words(const size_t outputs, const real *x, real *y) {
  if (outputs == 1) {
    y[0] = x[0];
    return;
  }
  if (outputs == 2) {
    const real half = R_CONST(0.5f), even = r_mul(r_add(x[0], x[2]), half), odd = r_mul(x[1], half);
    y[0] = r_neg(x[0]);
    y[1] = r_add(even, odd);
    y[2] = r_sub(even, odd);
    y[3] = x[2];
    return;
  }
  const float aa = POINT_A * POINT_A, bb = POINT_B * POINT_B, apart = 2 * (aa - bb);
  const real even_a = r_madd(x[2], R_CONST(1 / apart), r_mul(x[0], R_CONST(1 / (aa * apart))));
  const real even_b = r_madd(x[2], R_CONST(-1 / apart), r_mul(x[0], R_CONST(-1 / (bb * apart))));
  const real odd_a = r_mul(x[1], R_CONST(1 / (POINT_A * apart))), odd_b = r_mul(x[1], R_CONST(-1 / (POINT_B * apart)));
  y[0] = r_mul(x[0], R_CONST(1 / (aa * bb)));
  y[1] = r_add(even_a, odd_a);
  y[2] = r_sub(even_a, odd_a);
  y[3] = r_add(even_b, odd_b);
  y[4] = r_sub(even_b, odd_b);
  y[5] = x[2];
}

/* y = B' x: weft_winograd_side(outputs) elements of each. */
static inline void winograd_input_words(const size_t outputs, const real *x, real *y) {
  if (outputs == 1) {
    y[0] = x[0];
    return;
  }
  if (outputs == 2) {
    y[0] = r_sub(x[2], x[0]);
    y[1] = r_add(x[1], x[2]);
    y[2] = r_sub(x[2], x[1]);
    y[3] = r_sub(x[3], x[1]);
    return;
  }
  const real aa = R_CONST(-POINT_A * POINT_A), bb = R_CONST(-POINT_B * POINT_B);
  const real product = R_CONST(POINT_A * POINT_A * POINT_B * POINT_B);
  const real sum = R_CONST(-POINT_A * POINT_A - POINT_B * POINT_B);
  const real even_a = r_madd(x[2], bb, x[4]), odd_a = r_mul(r_madd(x[1], bb, x[3]), R_CONST(POINT_A));
  const real even_b = r_madd(x[2], aa, x[4]), odd_b = r_mul(r_madd(x[1], aa, x[3]), R_CONST(POINT_B));
  y[0] = r_madd(x[2], sum, r_madd(x[0], product, x[4]));
  y[1] = r_add(even_a, odd_a);
  y[2] = r_sub(even_a, odd_a);
  y[3] = r_add(even_b, odd_b);
  y[4] = r_sub(even_b, odd_b);
  y[5] = r_madd(x[3], sum, r_madd(x[1], product, x[5]));
}

/* y = A' x: `outputs` elements of weft_winograd_side(outputs). */
static inline void winograd_output_words(const size_t outputs, const real *x, real *y) {
  if (outputs == 1) {
    y[0] = x[0];
    return;
  }
  if (outputs == 2) {
    y[0] = r_add(r_add(x[0], x[1]), x[2]);
    y[1] = r_add(r_sub(x[1], x[2]), x[3]);
    return;
  }
  const real even_a = r_add(x[1], x[2]), odd_a = r_sub(x[1], x[2]);
  const real even_b = r_add(x[3], x[4]), odd_b = r_sub(x[3], x[4]);
  y[0] = r_add(r_add(x[0], even_a), even_b);
  y[1] = r_madd(odd_b, R_CONST(POINT_B), r_mul(odd_a, R_CONST(POINT_A)));
  y[2] = r_madd(even_b, R_CONST(POINT_B * POINT_B), r_mul(even_a, R_CONST(POINT_A * POINT_A)));
  y[3] = r_madd(odd_b, R_CONST(POINT_B * POINT_B * POINT_B), r_madd(odd_a, R_CONST(POINT_A * POINT_A * POINT_A), x[5]));
}

#endif
