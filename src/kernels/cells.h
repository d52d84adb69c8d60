/* One element of the recurrent layers' cells, written over the words of scalar.h or simd/vector.h, one of which is
 * included first: so portable and SIMD kernels compute the same. */
#ifndef WEFT_KERNELS_CELLS_H
#define WEFT_KERNELS_CELLS_H

#include "approximations.h"

/* The gates in ONNX's order; *c becomes the new cell state. Gives the new hidden state. */
static inline real lstm_cell(real in, real out, real forget, real cell, real *c) {
  real kept = r_mul(approx_sigmoid(forget), *c);
  *c = r_add(kept, r_mul(approx_sigmoid(in), approx_tanh(cell)));
  return r_mul(approx_sigmoid(out), approx_tanh(*c));
}

/* x: the inputs' part of the hidden gate, r: the state's part, which the reset gate scales. */
static inline real gru_cell(real update, real reset, real x, real r, real h) {
  real z = approx_sigmoid(update);
  real candidate = approx_tanh(r_add(x, r_mul(approx_sigmoid(reset), r)));
  return r_add(r_mul(r_sub(R_CONST(1.0f), z), candidate), r_mul(z, h));
}

#endif
