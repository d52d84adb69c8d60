/* What the single and the double precision forms of recurrent layers share. */
#ifndef WEFT_OPS_RECURRENT_H
#define WEFT_OPS_RECURRENT_H

#include "op.h"

/* Input numbers. */
enum { X, W, R, B, SEQUENCE_LENS, INITIAL_H, INITIAL_C, P, W_SCALE, W_ZERO, R_SCALE, R_ZERO };

typedef enum weft_cell_kind {
  F_SIGMOID,
  F_TANH,
  F_RELU,
  F_AFFINE,
  F_LEAKY,
  F_THRESHOLDED,
  F_SCALED_TANH,
  F_HARDSIGMOID,
  F_ELU,
  F_SOFTSIGN,
  F_SOFTPLUS,
  F_COUNT
} weft_cell_kind;

typedef struct weft_cell_function {
  weft_cell_kind kind;
  float alpha, beta;
} weft_cell_function;

typedef struct weft_recurrent_layer {
  const weft_kernels *kernels;
  int kind; /* WEFT_RECURRENT_... */
  size_t gates, directions, steps, batch, input, hidden;
  bool reverse_first, input_forget, linear_before_reset;
  bool by_batch, x_by_batch, y_by_batch; /* the batch comes before the steps, or the directions: in states, X and Y */
  bool quantised;                        /* weights are [direction][input][gates * hidden] */
  float clip;
  weft_cell_function functions[2][3];
} weft_recurrent_layer;

/* Whether weights are bytes: DynamicQuantizeLSTM. */
bool weft_recurrent_is_quantised(const weft_op *op);
/* WEFT_RECURRENT_... */
int weft_recurrent_kind(const weft_op *op);
/* The layer that attributes and the shapes of X and R describe, which have three dimensions. */
weft_status weft_recurrent_read(weft_op *op, weft_recurrent_layer *l);
/* Fails unless input i is 8-bit weights with a scale and a zero point for each direction, or for each of its columns. */
weft_status weft_recurrent_check_bytes(weft_op *op, int i, const char *name, size_t directions, size_t rows,
                                       size_t columns);

/* y = f(x) for the `hidden` elements of a gate, clipped before; y may be x. */
void weft_cell_apply(const weft_recurrent_layer *l, const weft_cell_function *f, const float *x, float *y);
/* y += x * z */
void weft_cell_add_product(const weft_recurrent_layer *l, const float *x, const float *z, float *y);
/* From the sums of the four gates, which are overwritten, to the new states; `peephole` may be NULL. */
void weft_cell_lstm(const weft_recurrent_layer *l, const weft_cell_function *f, const float *peephole, float *gates,
                    float *h, float *c);

/* The whole layer in double precision: the definition, one state after the other. */
weft_status weft_recurrent_run_double(weft_op *op, const weft_recurrent_layer *layer);

#endif
