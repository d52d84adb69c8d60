/* Recurrent layers in double precision, which models rarely use: the specification's formulas for one sequence after
 * the other. It must not know how the single precision form is cut. */
#include "../base/elementary.h"
#include "product.h"
#include "recurrent.h"

#include <math.h>
#include <string.h>

static double apply(const weft_recurrent_layer *l, const weft_cell_function *f, bool clipped, double x) {
  double alpha = (double)f->alpha, beta = (double)f->beta, limit = (double)l->clip;
  x = clipped && limit > 0 ? fmin(fmax(x, -limit), limit) : x;
  switch (f->kind) {
  case F_SIGMOID:
    return weft_sigmoid(x);
  case F_TANH:
    return weft_tanh(x);
  case F_RELU:
    return x > 0 ? x : 0;
  case F_AFFINE:
    return alpha * x + beta;
  case F_LEAKY:
    return x >= 0 ? x : alpha * x;
  case F_THRESHOLDED:
    return x >= alpha ? x : 0;
  case F_SCALED_TANH:
    return alpha * weft_tanh(beta * x);
  case F_HARDSIGMOID:
    return fmin(fmax(alpha * x + beta, 0), 1);
  case F_ELU:
    return x >= 0 ? x : alpha * weft_expm1(x);
  case F_SOFTSIGN:
    return x / (1 + fabs(x));
  default:
    return weft_softplus(x);
  }
}

/* The operands of one direction. */
typedef struct direction {
  const weft_recurrent_layer *l;
  const weft_cell_function *f;
  const double *w, *r, *bias, *peephole; /* bias: of inputs, then recurrent; NULL: none */
  double *h, *c, *gates, *next;
} direction;

static double dot(size_t n, const double *a, const double *b) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    sum += a[i] * b[i];
  }
  return sum;
}

/* Row `row` of the recurrent weights times `state`, with its bias. */
static double recurrent(const direction *d, size_t row, const double *state) {
  const weft_recurrent_layer *l = d->l;
  return dot(l->hidden, d->r + row * l->hidden, state) + (d->bias != NULL ? d->bias[(l->gates * l->hidden) + row] : 0);
}

static void lstm_step(const direction *d) {
  const weft_recurrent_layer *l = d->l;
  size_t n = l->hidden;
  const double *p = d->peephole;
  for (size_t i = 0; i < n; i++) {
    double c = d->c[i];
    double in = apply(l, &d->f[0], true, d->gates[i] + (p != NULL ? p[i] * c : 0));
    double forget = apply(l, &d->f[0], true, d->gates[2 * n + i] + (p != NULL ? p[2 * n + i] * c : 0));
    forget = l->input_forget ? 1 - in : forget;
    c = forget * c + in * apply(l, &d->f[1], true, d->gates[3 * n + i]);
    double out = apply(l, &d->f[0], true, d->gates[n + i] + (p != NULL ? p[n + i] * c : 0));
    d->c[i] = c;
    d->h[i] = out * apply(l, &d->f[2], false, c);
  }
}

/* gates: update, reset, hidden; the hidden one holds the input's part only. */
static void gru_step(const direction *d) {
  const weft_recurrent_layer *l = d->l;
  size_t n = l->hidden;
  double *update = d->gates, *reset = update + n, *hidden = reset + n;
  for (size_t i = 0; i < 2 * n; i++) {
    update[i] = apply(l, &d->f[0], true, update[i]);
  }
  for (size_t i = 0; i < n; i++) {
    d->next[i] = reset[i] * d->h[i];
  }
  for (size_t i = 0; i < n; i++) {
    hidden[i] += l->linear_before_reset ? reset[i] * recurrent(d, 2 * n + i, d->h) : recurrent(d, 2 * n + i, d->next);
  }
  for (size_t i = 0; i < n; i++) {
    d->h[i] = (1 - update[i]) * apply(l, &d->f[1], true, hidden[i]) + update[i] * d->h[i];
  }
}

static void step(const direction *d, const double *x) {
  const weft_recurrent_layer *l = d->l;
  size_t n = l->hidden;
  for (size_t i = 0; i < l->gates * n; i++) {
    d->gates[i] = dot(l->input, d->w + i * l->input, x) + (d->bias != NULL ? d->bias[i] : 0);
    d->gates[i] += l->kind == WEFT_RECURRENT_GRU && i >= 2 * n ? 0 : recurrent(d, i, d->h);
  }
  if (l->kind == WEFT_RECURRENT_LSTM) {
    lstm_step(d);
  } else if (l->kind == WEFT_RECURRENT_GRU) {
    gru_step(d);
  } else {
    for (size_t i = 0; i < n; i++) {
      d->h[i] = apply(l, &d->f[0], true, d->gates[i]);
    }
  }
}

static const double *data_of(const weft_op *op, int i) {
  return weft_op_has(op, i) ? weft_op_in(op, i)->data : NULL;
}

static double *out_of(const weft_op *op, int i) {
  return weft_op_out(op, i) != NULL ? weft_op_out(op, i)->data : NULL;
}

/* Copies a state of n numbers; no source gives zeros, no target nothing. */
static void move(size_t n, const double *from, double *to) {
  if (to != NULL && from != NULL) {
    memcpy(to, from, n * sizeof *to);
  } else if (to != NULL) {
    memset(to, 0, n * sizeof *to);
  }
}

static void run_sequence(const weft_op *op, const direction *d, size_t number, size_t b) {
  const weft_recurrent_layer *l = d->l;
  const weft_tensor *lengths = weft_op_in(op, SEQUENCE_LENS);
  size_t n = l->hidden, length = lengths != NULL ? (size_t)((const int32_t *)lengths->data)[b] : l->steps;
  size_t state = (l->by_batch ? b * l->directions + number : number * l->batch + b) * n;
  const double *x = data_of(op, X), *h = data_of(op, INITIAL_H), *c = data_of(op, INITIAL_C);
  double *y = out_of(op, 0), *y_h = out_of(op, 1), *y_c = out_of(op, 2);
  move(n, h != NULL ? h + state : NULL, d->h);
  move(n, c != NULL ? c + state : NULL, d->c);
  for (size_t s = 0; s < l->steps; s++) {
    bool reverse = l->reverse_first || number == 1;
    size_t t = reverse && s < length ? length - 1 - s : s;
    size_t at =
        l->y_by_batch ? (b * l->steps + t) * l->directions + number : (t * l->directions + number) * l->batch + b;
    if (s < length) {
      step(d, x + (l->x_by_batch ? b * l->steps + t : t * l->batch + b) * l->input);
    }
    move(n, s < length ? d->h : NULL, y != NULL ? y + at * n : NULL);
  }
  move(n, d->h, y_h != NULL ? y_h + state : NULL);
  move(n, d->c, y_c != NULL ? y_c + state : NULL);
}

weft_status weft_recurrent_run_double(weft_op *op, const weft_recurrent_layer *l) {
  void *room = NULL;
  size_t n = l->hidden, gates = l->gates * n;
  const double *bias = data_of(op, B), *peephole = data_of(op, P);
  WEFT_TRY(weft_op_scratch_array(op, gates + 3 * n, sizeof(double), &room));
  for (size_t number = 0; number < l->directions; number++) {
    direction d = {.l = l,
                   .f = l->functions[number],
                   .w = data_of(op, W) + number * gates * l->input,
                   .r = data_of(op, R) + number * gates * n,
                   .bias = bias != NULL ? bias + number * 2 * gates : NULL,
                   .peephole = peephole != NULL ? peephole + number * 3 * n : NULL,
                   .h = room,
                   .c = (double *)room + n,
                   .next = (double *)room + 2 * n,
                   .gates = (double *)room + 3 * n};
    for (size_t b = 0; b < l->batch && !op->cx->cancelled; b++) {
      run_sequence(op, &d, number, b);
    }
  }
  return WEFT_OK;
}
