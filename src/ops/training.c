/* Adagrad, Adam and Momentum of ai.onnx.preview.training: one step of an optimizer. Inputs are the learning rate R,
 * the count of updates T, then for every optimized tensor its value, its gradient and its states, each kind
 * together; outputs are the new values and the new states. Formulas are those of the specification. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "op.h"

#include <math.h>
#include <string.h>

typedef struct training {
  int variant, states; /* states of each tensor */
  double rate, alpha, beta, norm, norm_post, epsilon;
  bool nesterov;
} training;

static int states_of(const weft_op *op) {
  return op->def->variant == WEFT_TRAINING_ADAM ? 2 : 1;
}

weft_status weft_training_infer(weft_op *op) {
  int states = states_of(op), kinds = 2 + states;
  WEFT_TRY(weft_op_expect_inputs(op, 2 + kinds, op->input_count));
  int tensors = (op->input_count - 2) / kinds;
  if (op->input_count != 2 + tensors * kinds) {
    return weft_op_fail(op, "expected two inputs and %d for each tensor, found %d inputs", kinds, op->input_count);
  }
  WEFT_TRY(weft_op_expect_inputs(op, op->input_count, op->input_count));
  WEFT_TRY(weft_op_expect_type(op, 1, "T", WEFT_TYPE_BIT(WEFT_INT64)));
  for (int i = 0; i < tensors; i++) {
    const weft_tensor *x = weft_op_in(op, 2 + i);
    for (int kind = 0; kind < kinds; kind++) {
      const weft_tensor *in = weft_op_in(op, 2 + kind * tensors + i);
      WEFT_TRY(weft_op_expect_type(op, 2 + kind * tensors + i, "inputs", WEFT_TYPES_FLOAT));
      if (in->type != x->type || !weft_shape_equal(&in->shape, &x->shape)) {
        return weft_op_fail(op, "input %d: expected the type and shape of input %d", 2 + kind * tensors + i, 2 + i);
      }
    }
    for (int kind = 0; kind <= states; kind++) {
      WEFT_TRY(weft_op_set_like(op, kind * tensors + i, x));
    }
  }
  return WEFT_OK;
}

/* One element: x and its states are replaced by the new ones. */
static void step(const training *t, double gradient, double *x, double *states) {
  double g = t->norm * *x + gradient;
  switch (t->variant) {
  case WEFT_TRAINING_ADAGRAD:
    states[0] += g * g;
    *x -= t->rate * g / (sqrt(states[0]) + t->epsilon);
    return;
  case WEFT_TRAINING_ADAM:
    states[0] = t->alpha * states[0] + (1 - t->alpha) * g;
    states[1] = t->beta * states[1] + (1 - t->beta) * g * g;
    *x = (1 - t->norm_post) * (*x - t->rate * states[0] / (sqrt(states[1]) + t->epsilon));
    return;
  default:
    states[0] = t->alpha * states[0] + t->beta * g;
    *x -= t->rate * (t->nesterov ? g + t->alpha * states[0] : states[0]);
    return;
  }
}

static weft_status read(weft_op *op, training *t) {
  int64_t updates;
  bool adam = t->variant == WEFT_TRAINING_ADAM;
  WEFT_TRY(weft_op_scalar_float(op, 0, "R", 0, &t->rate));
  WEFT_TRY(weft_op_scalar_int(op, 1, "T", 0, &updates));
  int mode = 0;
  if (t->variant == WEFT_TRAINING_MOMENTUM) {
    static const char *const needed[] = {"alpha", "beta", "norm_coefficient"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
      WEFT_TRY(weft_op_attr_needed(op, needed[i]));
    }
    WEFT_TRY(weft_op_choice(op, "mode", "standard nesterov", -1, &mode));
  }
  t->alpha = (double)weft_op_attr_float(op, "alpha", 0.9f);
  t->beta = (double)weft_op_attr_float(op, "beta", adam ? 0.999f : 1);
  t->norm = (double)weft_op_attr_float(op, "norm_coefficient", 0);
  t->norm_post = (double)weft_op_attr_float(op, "norm_coefficient_post", 0);
  t->epsilon = (double)weft_op_attr_float(op, "epsilon", 1e-6f);
  t->nesterov = mode == 1;
  if (t->variant == WEFT_TRAINING_ADAGRAD) {
    t->rate /= 1 + (double)updates * (double)weft_op_attr_float(op, "decay_factor", 0);
  } else if (adam && updates > 0) {
    t->rate *= sqrt(1 - weft_pow(t->beta, (double)updates)) / (1 - weft_pow(t->alpha, (double)updates));
  } else if (!adam && updates <= 0) {
    t->beta = 1;
  }
  return WEFT_OK;
}

weft_status weft_training_run(weft_op *op) {
  training t = {.variant = op->def->variant, .states = states_of(op)};
  int tensors = (op->input_count - 2) / (2 + t.states);
  WEFT_TRY(read(op, &t));
  for (int i = 0; i < tensors; i++) {
    const weft_tensor *x = weft_op_in(op, 2 + i), *gradient = weft_op_in(op, 2 + tensors + i);
    for (size_t k = 0; k < x->count; k++) {
      double values[3] = {0}, g;
      weft_load_double(gradient->type, gradient->data, k, 1, 1, &g);
      for (int s = 0; s <= t.states; s++) { /* the value, then its states: kinds 0, 2 and 3 of the inputs */
        const weft_tensor *in = s == 0 ? x : weft_op_in(op, 2 + (s + 1) * tensors + i);
        weft_load_double(in->type, in->data, k, 1, 1, &values[s]);
      }
      step(&t, g, &values[0], &values[1]);
      for (int s = 0; s <= t.states; s++) {
        weft_tensor *out = weft_op_out(op, s * tensors + i);
        if (out != NULL) {
          weft_store_double(out->type, &values[s], 1, out->data, k, 1);
        }
      }
    }
  }
  return WEFT_OK;
}
