/* The transforms of Winograd's minimal filtering in one dimension: F(2, 3) with the points 0, 1, -1 and infinity,
 * F(4, 3) with 0, 5/8, -5/8, 3/2, -3/2 and infinity, F(4, 2) with the same but 0, and F(1, 1), which changes nothing.
 * Written over the words of scalar.h or simd/vector.h: include one of them first.
 *
 * The points of 4 outputs are pairs, so that both of a pair share their even and odd parts. Their coefficients are
 * exact in single precision, and errors are about twice those of direct sums where the usual 1 and 2 make them four
 * times (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for DNNs", 2020, on why).
 */
#ifndef WEFT_KERNELS_WINOGRAD_WORDS_H
#define WEFT_KERNELS_WINOGRAD_WORDS_H

#include "kernels.h"

#define POINT_A 0.625f
#define POINT_B 1.5f

/* y = G x: each point's value of the polynomial with the coefficients x, divided by its distances from the others. */
static inline void winograd_filter_words(const weft_winograd_line line, const real *x, real *y) {
  if (line.outputs == 1) {
    y[0] = x[0];
    return;
  }
  if (line.outputs == 2) {
    const real half = R_CONST(0.5f), even = r_mul(r_add(x[0], x[2]), half), odd = r_mul(x[1], half);
    y[0] = r_neg(x[0]);
    y[1] = r_add(even, odd);
    y[2] = r_sub(even, odd);
    y[3] = x[2];
    return;
  }
  const float aa = POINT_A * POINT_A, bb = POINT_B * POINT_B, apart = 2 * (aa - bb);
  const real last = x[line.taps - 1], before = x[line.taps - 2];
  real even_a = r_mul(last, R_CONST(1 / apart)), even_b = r_mul(last, R_CONST(-1 / apart));
  if (line.taps == 3) {
    even_a = r_madd(x[0], R_CONST(1 / (aa * apart)), even_a);
    even_b = r_madd(x[0], R_CONST(-1 / (bb * apart)), even_b);
    *y++ = r_mul(x[0], R_CONST(1 / (aa * bb)));
  }
  const real odd_a = r_mul(before, R_CONST(1 / (POINT_A * apart))),
             odd_b = r_mul(before, R_CONST(-1 / (POINT_B * apart)));
  y[0] = r_add(even_a, odd_a);
  y[1] = r_sub(even_a, odd_a);
  y[2] = r_add(even_b, odd_b);
  y[3] = r_sub(even_b, odd_b);
  y[4] = last;
}

/* What belongs to the point 0 or, of the next elements, to infinity. */
static inline real winograd_input_end(const real *x) {
  const real product = R_CONST(POINT_A * POINT_A * POINT_B * POINT_B);
  return r_madd(x[2], R_CONST(-POINT_A * POINT_A - POINT_B * POINT_B), r_madd(x[0], product, x[4]));
}

/* y = B' x: weft_winograd_side(line) elements of each. */
static inline void winograd_input_words(const weft_winograd_line line, const real *x, real *y) {
  if (line.outputs == 1) {
    y[0] = x[0];
    return;
  }
  if (line.outputs == 2) {
    y[0] = r_sub(x[2], x[0]);
    y[1] = r_add(x[1], x[2]);
    y[2] = r_sub(x[2], x[1]);
    y[3] = r_sub(x[3], x[1]);
    return;
  }
  if (line.taps == 3) *y++ = winograd_input_end(x++);
  const real a = R_CONST(POINT_A), b = R_CONST(POINT_B);
  const real aa = R_CONST(-POINT_A * POINT_A), bb = R_CONST(-POINT_B * POINT_B);
  const real even_a = r_madd(x[1], bb, x[3]), odd_a = r_mul(r_madd(x[0], bb, x[2]), a);
  const real even_b = r_madd(x[1], aa, x[3]), odd_b = r_mul(r_madd(x[0], aa, x[2]), b);
  y[0] = r_add(even_a, odd_a);
  y[1] = r_sub(even_a, odd_a);
  y[2] = r_add(even_b, odd_b);
  y[3] = r_sub(even_b, odd_b);
  y[4] = winograd_input_end(x);
}

/* y = A' x: `outputs` elements of weft_winograd_side(line). */
static inline void winograd_output_words(const weft_winograd_line line, const real *x, real *y) {
  if (line.outputs == 1) {
    y[0] = x[0];
    return;
  }
  if (line.outputs == 2) {
    y[0] = r_add(r_add(x[0], x[1]), x[2]);
    y[1] = r_add(r_sub(x[1], x[2]), x[3]);
    return;
  }
  const real *pairs = x + line.taps - 2;
  const real even_a = r_add(pairs[0], pairs[1]), odd_a = r_sub(pairs[0], pairs[1]);
  const real even_b = r_add(pairs[2], pairs[3]), odd_b = r_sub(pairs[2], pairs[3]);
  y[0] = r_add(line.taps == 3 ? r_add(x[0], even_a) : even_a, even_b);
  y[1] = r_madd(odd_b, R_CONST(POINT_B), r_mul(odd_a, R_CONST(POINT_A)));
  y[2] = r_madd(even_b, R_CONST(POINT_B * POINT_B), r_mul(even_a, R_CONST(POINT_A * POINT_A)));
  y[3] = r_madd(odd_b, R_CONST(POINT_B * POINT_B * POINT_B),
                r_madd(odd_a, R_CONST(POINT_A * POINT_A * POINT_A), pairs[4]));
}

#endif
