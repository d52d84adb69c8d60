/* What a recurrent layer is: its attributes, its activations, and the shapes and types of what goes in and out. */
#include "recurrent.h"

#include <string.h>

#include "integer.h"

static const struct {
  const char *name;
  bool has_alpha, has_beta;
  float alpha, beta;
} function_names[F_COUNT] = {
    [F_SIGMOID] = {"sigmoid", false, false, 0, 0},
    [F_TANH] = {"tanh", false, false, 0, 0},
    [F_RELU] = {"relu", false, false, 0, 0},
    [F_AFFINE] = {"affine", true, true, 1, 0},
    [F_LEAKY] = {"leakyrelu", true, false, 0.01F, 0},
    [F_THRESHOLDED] = {"thresholdedrelu", true, false, 1, 0},
    [F_SCALED_TANH] = {"scaledtanh", true, true, 1, 1},
    [F_HARDSIGMOID] = {"hardsigmoid", true, true, 0.2F, 0.5F},
    [F_ELU] = {"elu", true, false, 1, 0},
    [F_SOFTSIGN] = {"softsign", false, false, 0, 0},
    [F_SOFTPLUS] = {"softplus", false, false, 0, 0},
};

static bool same_name(const weft_string *text, const char *lower) {
  if (text->size != strlen(lower)) {
    return false;
  }
  for (size_t i = 0; i < text->size; i++) {
    char c = text->data[i];
    if ((c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c) != lower[i]) {
      return false;
    }
  }
  return true;
}

static weft_status read_functions(weft_op *op, weft_recurrent_layer *l) {
  size_t each = l->kind == WEFT_RECURRENT_LSTM ? 3 : l->kind == WEFT_RECURRENT_GRU ? 2 : 1;
  size_t count = 0, alphas = 0, betas = 0, alpha = 0, beta = 0;
  const weft_string *names = weft_op_attr_strings(op, "activations", &count);
  const float *alpha_list = weft_op_attr_floats(op, "activation_alpha", &alphas);
  const float *beta_list = weft_op_attr_floats(op, "activation_beta", &betas);
  if (count != 0 && count != each * l->directions) {
    return weft_op_fail(op, "attribute 'activations' has %zu entries, expected %zu", count, each * l->directions);
  }
  for (size_t i = 0; i < each * l->directions; i++) {
    weft_cell_function *f = &l->functions[i / each][i % each];
    f->kind = l->kind == WEFT_RECURRENT_RNN || i % each > 0 ? F_TANH : F_SIGMOID;
    if (count > 0) {
      f->kind = 0;
      while (f->kind < F_COUNT && !same_name(&names[i], function_names[f->kind].name)) {
        f->kind++;
      }
      if (f->kind == F_COUNT) {
        return weft_op_fail(op, "unknown activation '%.*s'", (int)(names[i].size < 64 ? names[i].size : 64),
                            names[i].data);
      }
    }
    f->alpha = function_names[f->kind].alpha;
    f->beta = function_names[f->kind].beta;
    if (function_names[f->kind].has_alpha && alpha < alphas) {
      f->alpha = alpha_list[alpha++];
    }
    if (function_names[f->kind].has_beta && beta < betas) {
      f->beta = beta_list[beta++];
    }
  }
  return WEFT_OK;
}

static weft_status expect_dims(weft_op *op, int i, const char *name, int rank, const size_t *dims) {
  const weft_tensor *t = weft_op_in(op, i);
  bool fits = t == NULL || t->shape.rank == rank;
  for (int d = 0; t != NULL && fits && d < rank; d++) {
    fits = (size_t)t->shape.dims[d] == dims[d];
  }
  if (fits) {
    return WEFT_OK;
  }
  weft_shape expected = {.rank = rank};
  for (int d = 0; d < rank; d++) {
    expected.dims[d] = (int64_t)dims[d];
  }
  char found[96], wanted[96];
  return weft_op_fail(op, "input '%s' has shape %s, expected %s", name,
                      weft_shape_print(&t->shape, found, sizeof found),
                      weft_shape_print(&expected, wanted, sizeof wanted));
}

bool weft_recurrent_is_quantised(const weft_op *op) {
  return op->def->variant == WEFT_RECURRENT_QUANTISED;
}
int weft_recurrent_kind(const weft_op *op) {
  return weft_recurrent_is_quantised(op) ? WEFT_RECURRENT_LSTM : op->def->variant;
}

weft_status weft_recurrent_read(weft_op *op, weft_recurrent_layer *l) {
  *l = (weft_recurrent_layer){
      .kernels = op->cx->kernels, .kind = weft_recurrent_kind(op), .quantised = weft_recurrent_is_quantised(op)};
  l->gates = l->kind == WEFT_RECURRENT_LSTM ? 4 : l->kind == WEFT_RECURRENT_GRU ? 3 : 1;
  int direction;
  WEFT_TRY(weft_op_choice(op, "direction", "forward reverse bidirectional", 0, &direction));
  l->reverse_first = direction == 1;
  l->directions = direction == 2 ? 2 : 1;
  const int64_t layout = weft_op_attr_int(op, "layout", 0);
  l->by_batch = layout != 0;
  l->x_by_batch = weft_op_attr_int(op, "x_by_batch", layout) != 0; /* from src/optimize/turn.c */
  l->y_by_batch = weft_op_attr_int(op, "y_by_batch", layout) != 0;
  l->input_forget = weft_op_attr_int(op, "input_forget", 0) != 0;
  l->linear_before_reset = weft_op_attr_int(op, "linear_before_reset", 0) != 0;
  l->clip = weft_op_attr_float(op, "clip", 0);
  const weft_tensor *x = weft_op_in(op, X), *r = weft_op_in(op, R);
  l->steps = (size_t)x->shape.dims[l->x_by_batch ? 1 : 0];
  l->batch = (size_t)x->shape.dims[l->x_by_batch ? 0 : 1];
  l->input = (size_t)x->shape.dims[2];
  int64_t found = r->shape.dims[l->quantised ? 1 : 2], hidden = weft_op_attr_int(op, "hidden_size", found);
  l->hidden = (size_t)found;
  if (hidden != found || hidden < 1) {
    return weft_op_fail(op, "attribute 'hidden_size' is %lld where input 'R' is made for %lld", (long long)hidden,
                        (long long)found);
  }
  return read_functions(op, l);
}

weft_status weft_recurrent_check_bytes(weft_op *op, int i, const char *name, size_t directions, size_t rows,
                                       size_t columns) {
  int scale = i == W ? W_SCALE : R_SCALE;
  WEFT_TRY(weft_op_expect_type(op, i, name, WEFT_TYPES_BYTE));
  WEFT_TRY(expect_dims(op, i, name, 3, (size_t[]){directions, rows, columns}));
  WEFT_TRY(weft_op_expect_type(op, scale, "scale", WEFT_TYPE_BIT(WEFT_FLOAT)));
  WEFT_TRY(weft_op_expect_type(op, scale + 1, "zero_point", WEFT_TYPE_BIT(weft_op_in(op, i)->type)));
  for (int k = scale; k <= scale + 1; k++) {
    const weft_tensor *t = weft_op_in(op, k);
    if (t == NULL || (t->count != directions && t->count != directions * columns)) {
      return weft_op_fail(op, "scale and zero point of '%s' are needed, for each direction or column", name);
    }
  }
  return WEFT_OK;
}

weft_status weft_recurrent_infer(weft_op *op) {
  bool lstm = weft_recurrent_kind(op) == WEFT_RECURRENT_LSTM, quantised = weft_recurrent_is_quantised(op);
  WEFT_TRY(weft_op_expect_inputs(op, 3, quantised ? 12 : lstm ? 8 : 6));
  uint32_t single = WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE);
  WEFT_TRY(weft_op_expect_type(op, X, "X", quantised ? single : WEFT_TYPES_FLOAT));
  for (int i = quantised ? B : W; i <= P; i++) {
    if (i != SEQUENCE_LENS && weft_op_has(op, i)) {
      WEFT_TRY(weft_op_expect_same_type(op, X, i));
    }
  }
  WEFT_TRY(weft_op_expect_type(op, SEQUENCE_LENS, "sequence_lens", WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_rank(op, X, "X", 3, 3));
  WEFT_TRY(weft_op_expect_rank(op, R, "R", 3, 3));
  weft_recurrent_layer l;
  WEFT_TRY(weft_recurrent_read(op, &l));
  size_t d = l.directions, h = l.hidden, n = l.batch;
  if (quantised) {
    WEFT_TRY(weft_recurrent_check_bytes(op, W, "W", d, l.input, 4 * h));
    WEFT_TRY(weft_recurrent_check_bytes(op, R, "R", d, h, 4 * h));
  } else {
    WEFT_TRY(expect_dims(op, W, "W", 3, (size_t[]){d, l.gates * h, l.input}));
    WEFT_TRY(expect_dims(op, R, "R", 3, (size_t[]){d, l.gates * h, h}));
  }
  WEFT_TRY(expect_dims(op, B, "B", 2, (size_t[]){d, 2 * l.gates * h}));
  WEFT_TRY(expect_dims(op, SEQUENCE_LENS, "sequence_lens", 1, (size_t[]){n}));
  size_t state[3] = {l.by_batch ? n : d, l.by_batch ? d : n, h};
  WEFT_TRY(expect_dims(op, INITIAL_H, "initial_h", 3, state));
  WEFT_TRY(expect_dims(op, INITIAL_C, "initial_c", 3, state));
  WEFT_TRY(expect_dims(op, P, "P", 2, (size_t[]){d, 3 * h}));
  weft_type type = weft_op_in(op, X)->type;
  weft_shape y = {.rank = 4, .dims = {(int64_t)l.steps, (int64_t)d, (int64_t)n, (int64_t)h}};
  if (l.y_by_batch) {
    y = (weft_shape){.rank = 4, .dims = {(int64_t)n, (int64_t)l.steps, (int64_t)d, (int64_t)h}};
  }
  weft_shape last = {.rank = 3, .dims = {(int64_t)state[0], (int64_t)state[1], (int64_t)h}};
  WEFT_TRY(weft_op_set(op, 0, type, &y));
  WEFT_TRY(weft_op_set(op, 1, type, &last));
  return lstm ? weft_op_set(op, 2, type, &last) : WEFT_OK;
}
