/* One element of the recurrent layers' cells, written over the words of scalar.h or simd/vector.h, one of which is
 * included first: so portable and SIMD kernels compute the same. */
#ifndef WEFT_KERNELS_CELLS_H
#define WEFT_KERNELS_CELLS_H

#include "approximations.h"

/* e^-fx = 2^n p(u) with x = u - n ln 2 / f: gives u, and 2^n. `by` holds the limits of x, -f log2(e) and ln 2 / f, of which
 * one part will do, for |n| is small where the result matters. */
static inline real cell_scale(real x, const float by[4], real *u) {
  const real magic = R_CONST(0x1.8000fep23f);
  x = r_at_most(r_at_least(x, r_load(by)), r_load(by + 1));
  const real shifted = r_madd(x, r_load(by + 2), magic);
  *u = r_madd(r_sub(shifted, magic), r_load(by + 3), x);
  return b_as_real(b_shift_left(b_of(shifted), 23));
}

/* e^-x = p(u) 2^n where a sigmoid still changes: 1 / (1 + e^43), 2e-19, is as good as 0. So products of what is made of it
 * are finite. */
static inline real sigmoid_exp(real x, real *scale) {
  static const float by[] = {-43.0f, 43.0f, -0x1.715476p0f, 0x1.62e43p-1f};
  static const float c[] = {1.0f, -0x1.fffff6p-1f, 0x1.fffdc4p-2f, -0x1.555a84p-3f, 0x1.573ac0p-5f, -0x1.0f9e30p-7f};
  real u;
  *scale = cell_scale(x, by, &u);
  return polynomial(u, c, 6);
}

/* 1 + e^-x: the sigmoid is 1 / d. */
static inline real sigmoid_part(real x) {
  real scale, rest = sigmoid_exp(x, &scale);
  return r_madd(rest, scale, R_CONST(1.0f));
}

/* t = (1 - e^-2x) / 2, accurate also near zero: the hyperbolic tangent is t / (1 - t). tanh 10 is 1. */
static inline real tanh_part(real x) {
  static const float by[] = {-10.0f, 10.0f, -0x1.715476p1f, 0x1.62e43p-2f};
  static const float c[] = {-0x1.fffffep-1f, 0x1.5554b4p-1f, -0x1.5556f2p-2f, 0x1.12254cp-3f, -0x1.6b9c78p-5f};
  real u, scale = cell_scale(x, by, &u);
  real rest = r_madd(r_mul(u, u), polynomial(u, c, 5), u);
  return r_madd(rest, scale, r_madd(scale, R_CONST(-0.5f), R_CONST(0.5f)));
}

/* A cell comes in two parts, each for a whole row: the second needs the result of the first, and a processor that meets
 * both in one loop waits for it. */

/* The new cell state. */
static inline real lstm_state(real in, real forget, real cell, real c) {
  real t = tanh_part(cell), d = r_mul(sigmoid_part(in), r_sub(R_CONST(1.0f), t));
  return r_add(r_div(c, sigmoid_part(forget)), r_div(t, d));
}

/* The new hidden state, c being the new cell state. */
static inline real lstm_hidden(real out, real c) {
  real t = tanh_part(c);
  return r_div(t, r_mul(sigmoid_part(out), r_sub(R_CONST(1.0f), t)));
}

/* The hidden gate before its function. x: the inputs' part of it, r: the state's part, which the reset gate scales. */
static inline real gru_candidate(real reset, real x, real r) {
  return r_add(x, r_div(r, sigmoid_part(reset)));
}

/* The new state: (1 - z) tanh(candidate) + z h with z = sigmoid(update), over one divisor. */
static inline real gru_hidden(real update, real candidate, real h) {
  real scale, rest = sigmoid_exp(update, &scale), e = r_mul(rest, scale);
  real t = tanh_part(candidate), w = r_sub(R_CONST(1.0f), t);
  return r_div(r_madd(e, t, r_mul(h, w)), r_madd(e, w, w));
}

#endif
