/* The cells of recurrent layers in all the forms ONNX has them, part by part. Those that nearly all models have are
 * kernels of their own (src/kernels/cells.c). */
#include "../base/elementary.h"
#include "recurrent.h"

#include <math.h>

static float apply_one(const weft_cell_function *f, float x) {
  switch (f->kind) {
  case F_RELU:
    return x > 0 ? x : 0;
  case F_AFFINE:
    return f->alpha * x + f->beta;
  case F_LEAKY:
    return x >= 0 ? x : f->alpha * x;
  case F_THRESHOLDED:
    return x >= f->alpha ? x : 0;
  case F_SCALED_TANH:
    return f->alpha * (float)weft_tanh((double)(f->beta * x));
  case F_HARDSIGMOID:
    return fminf(fmaxf(f->alpha * x + f->beta, 0), 1);
  case F_ELU:
    return x >= 0 ? x : f->alpha * (float)weft_expm1((double)x);
  case F_SOFTSIGN:
    return x / (1 + fabsf(x));
  default:
    return x;
  }
}

/* y = f(x); y may be x. */
static void activate(const weft_recurrent_layer *l, const weft_cell_function *f, const float *x, float *y) {
  if (f->kind == F_SIGMOID || f->kind == F_TANH || f->kind == F_SOFTPLUS) {
    weft_unary unary = f->kind == F_SIGMOID ? WEFT_UNARY_SIGMOID
                       : f->kind == F_TANH  ? WEFT_UNARY_TANH
                                            : WEFT_UNARY_SOFTPLUS;
    l->kernels->unary_f32[unary](l->hidden, x, y);
    return;
  }
  for (size_t i = 0; i < l->hidden; i++) {
    y[i] = apply_one(f, x[i]);
  }
}

void weft_cell_apply(const weft_recurrent_layer *l, const weft_cell_function *f, const float *x, float *y) {
  if (l->clip > 0) {
    l->kernels->clip_f32(l->hidden, x, -l->clip, l->clip, y);
    x = y;
  }
  activate(l, f, x, y);
}

void weft_cell_add_product(const weft_recurrent_layer *l, const float *x, const float *z, float *y) {
  for (size_t i = 0; i < l->hidden; i++) {
    y[i] += x[i] * z[i];
  }
}

void weft_cell_lstm(const weft_recurrent_layer *l, const weft_cell_function *f, const float *peephole, float *gates,
                    float *h, float *c) {
  size_t n = l->hidden;
  float *in = gates, *out = gates + n, *forget = gates + 2 * n, *cell = gates + 3 * n;
  if (peephole != NULL) {
    weft_cell_add_product(l, peephole, c, in);
    weft_cell_add_product(l, peephole + 2 * n, c, forget);
  }
  weft_cell_apply(l, &f[0], in, in);
  weft_cell_apply(l, &f[1], cell, cell);
  if (l->input_forget) {
    for (size_t i = 0; i < n; i++) {
      forget[i] = 1 - in[i];
    }
  } else {
    weft_cell_apply(l, &f[0], forget, forget);
  }
  for (size_t i = 0; i < n; i++) {
    c[i] = forget[i] * c[i] + in[i] * cell[i];
  }
  if (peephole != NULL) {
    weft_cell_add_product(l, peephole + n, c, out);
  }
  weft_cell_apply(l, &f[0], out, out);
  activate(l, &f[2], c, h); /* the state is no gate: it is not clipped */
  for (size_t i = 0; i < n; i++) {
    h[i] *= out[i];
  }
}
