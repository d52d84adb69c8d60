/* One element of the recurrent layers' cells, written over the words of scalar.h or simd/vector.h, one of which is
 * included first: so portable and SIMD kernels compute the same. */
#ifndef WEFT_KERNELS_CELLS_H
#define WEFT_KERNELS_CELLS_H

#include "approximations.h"

static inline real cell_clamp(real x, real limit) {
  return r_at_most(r_at_least(x, r_neg(limit)), limit);
}

/* What a sigmoid and a hyperbolic tangent are made of, -x and -2x, where they still change: 1 / (1 + e^43), 2e-19, is
 * as good as 0, and tanh 10 is 1. So products of what is made of them are finite. */
static inline real sigmoid_exponent(real x) {
  return cell_clamp(r_neg(x), R_CONST(43.0f));
}
static inline real tanh_exponent(real x) {
  return cell_clamp(r_mul(x, R_CONST(-2.0f)), R_CONST(20.0f));
}

/* 1 + e^-x and e^-2x - 1: the sigmoid is 1 / d, and the hyperbolic tangent -t / (t + 2). So their product takes one
 * division. */
static inline real sigmoid_part(real x) {
  real rest, scale = exp_scale(sigmoid_exponent(x), &rest);
  return r_madd(rest, scale, r_add(scale, R_CONST(1.0f)));
}
static inline real tanh_part(real x) {
  real rest, scale = exp_scale(tanh_exponent(x), &rest);
  return r_madd(scale, rest, r_sub(scale, R_CONST(1.0f)));
}

/* A cell comes in two parts, each for a whole row: the second needs the result of the first, and a processor that meets
 * both in one loop waits for it. */

/* The new cell state. */
static inline real lstm_state(real in, real forget, real cell, real c) {
  real t = tanh_part(cell), d = r_mul(sigmoid_part(in), r_add(t, R_CONST(2.0f)));
  return r_sub(r_div(c, sigmoid_part(forget)), r_div(t, d));
}

/* The new hidden state, c being the new cell state. */
static inline real lstm_hidden(real out, real c) {
  real t = tanh_part(c);
  return r_neg(r_div(t, r_mul(sigmoid_part(out), r_add(t, R_CONST(2.0f)))));
}

/* The hidden gate before its function. x: the inputs' part of it, r: the state's part, which the reset gate scales. */
static inline real gru_candidate(real reset, real x, real r) {
  return r_add(x, r_div(r, sigmoid_part(reset)));
}

/* The new state: (1 - z) tanh(candidate) + z h with z = sigmoid(update), over one divisor. */
static inline real gru_hidden(real update, real candidate, real h) {
  real rest, scale = exp_scale(sigmoid_exponent(update), &rest), e = r_madd(rest, scale, scale);
  real t = tanh_part(candidate), twice = r_add(t, R_CONST(2.0f));
  return r_div(r_sub(r_mul(h, twice), r_mul(e, t)), r_mul(r_add(e, R_CONST(1.0f)), twice));
}

#endif
