/* RNN, GRU, LSTM and com.microsoft's DynamicQuantizeLSTM. The inputs' part of the gates is one matrix product for all
 * steps; a step then adds the product of the hidden state and the recurrent weights, packed once, and applies the
 * cell's formulas. The three kinds differ in the number of gates and in those formulas only. Arithmetic is in float;
 * halves are widened. The quantised form has 8-bit weights, laid out the other way round, and rounds what is multiplied
 * with them to 8 bits first. */
#include "recurrent.h"
#include "../base/convert.h"
#include "../kernels/elements.h"
#include "integer.h"
#include "product.h"

#include <string.h>

enum {
  SHORT_STEP = 4194304, /* multiplications */
  FEW_SEQUENCES = 8,    /* below, the inputs' products of all steps are made first */
  BLOCK = 4096,         /* gates of a block of sequences that take all their steps together */
  LEAST_BLOCK = 36,     /* sequences of it, unless there are fewer */
  NEAR = 131072         /* weights of a direction that stay in the second-level cache */
};

/* Recurrent weights are packed in parts that are multiplied at different times: GRU's hidden gate may wait for the
 * reset. */
static bool waits(const weft_recurrent_layer *l) {
  return l->kind == WEFT_RECURRENT_GRU && !l->linear_before_reset;
}
static size_t part_count(const weft_recurrent_layer *l) {
  return waits(l) ? 2 : 1;
}
static size_t part_columns(const weft_recurrent_layer *l, size_t part) {
  return !waits(l) ? l->gates * l->hidden : part == 0 ? 2 * l->hidden : l->hidden;
}
static size_t packed_recurrent_size(const weft_recurrent_layer *l) {
  size_t size = 0;
  for (size_t part = 0; part < part_count(l); part++) {
    size += weft_gemm_packed_size(part_columns(l, part), l->hidden);
  }
  return size;
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */
/* Weights are packed where they are, one block per direction after the other, one tensor after the other so that only
 * one of them is there twice meanwhile. How R is cut depends on the node, and what bytes mean on its scales. */
static uint8_t form_of(const weft_recurrent_layer *l, int i) {
  return (uint8_t)(WEFT_FORM_RECURRENT + 4 * l->kind + 2 * l->linear_before_reset + (i == R));
}

static void pack_input(const weft_recurrent_layer *l, size_t directions, const float *w, float *out) {
  size_t n = l->gates * l->hidden, size = weft_gemm_packed_size(n, l->input);
  for (size_t d = 0; d < directions; d++) {
    l->kernels->gemm_f32_pack(n, l->input, w + d * n * l->input, l->quantised ? n : l->input, !l->quantised,
                              out + d * size);
  }
}

static void pack_recurrent(const weft_recurrent_layer *l, const float *r, float *out) {
  for (size_t part = 0; part < part_count(l); part++) {
    size_t n = part_columns(l, part);
    l->kernels->gemm_f32_pack(n, l->hidden, r, l->quantised ? n : l->hidden, !l->quantised, out);
    r += n * l->hidden;
    out += weft_gemm_packed_size(n, l->hidden);
  }
}

/* Weights as floats: widened, or (q - zero) * scale. */
static weft_status float_weights(weft_op *op, int i, const float **out) {
  const weft_tensor *t = weft_op_in(op, i);
  if (!weft_recurrent_is_quantised(op)) {
    return weft_op_floats(op, t, out);
  }
  const weft_tensor *scale = weft_op_in(op, i == W ? W_SCALE : R_SCALE),
                    *zero = weft_op_in(op, i == W ? W_ZERO : R_ZERO);
  const size_t columns = (size_t)t->shape.dims[2], directions = (size_t)t->shape.dims[0];
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, t->count + zero->count, sizeof(float), &room));
  float *values = room, *zeros = values + t->count;
  op->cx->kernels->dequantize_i8(t->count, t->data, 1, 0, t->type == WEFT_INT8, values);
  weft_load_float(zero->type, zero->data, 0, 1, zero->count, zeros);
  for (size_t at = 0, column = 0, first = 0; at < t->count; at++, column++) {
    if (column == columns) {
      column = 0;
      first = at / ((size_t)t->shape.dims[1] * columns);
    }
    const size_t number = first * columns + column; /* of a scale for each column */
    values[at] = (values[at] - zeros[zero->count == directions ? first : number]) *
                 ((const float *)scale->data)[scale->count == directions ? first : number];
  }
  *out = values;
  return WEFT_OK;
}

/* Whether everything the weights are made of is constant. */
static bool can_pack(const weft_op *op) {
  bool constant = weft_op_is_constant(op, W) && weft_op_is_constant(op, R);
  for (int i = W_SCALE; weft_recurrent_is_quantised(op) && i <= R_ZERO; i++) {
    constant = constant && weft_op_is_constant(op, i);
  }
  return constant && (weft_recurrent_is_quantised(op) ||
                      (weft_op_in(op, W)->type == WEFT_FLOAT && weft_op_in(op, R)->type == WEFT_FLOAT));
}

static weft_status pack_weights(weft_op *op, const weft_recurrent_layer *l, int i) {
  const size_t columns = l->gates * l->hidden, recurrent = packed_recurrent_size(l);
  const size_t size = i == W ? weft_gemm_packed_size(columns, l->input) : recurrent;
  if ((l->quantised && weft_op_readers(op, i) != 1) || !weft_op_agree(op, i, form_of(l, i))) {
    return WEFT_OK;
  }
  const float *values = NULL;
  void *block = NULL;
  WEFT_TRY(float_weights(op, i, &values));
  WEFT_TRY(weft_alloc(op->cx, size * l->directions * sizeof(float), &block));
  if (i == W) {
    pack_input(l, l->directions, values, block);
  }
  for (size_t d = 0; i == R && d < l->directions; d++) {
    pack_recurrent(l, values + d * columns * l->hidden, (float *)block + d * recurrent);
  }
  weft_op_replace(op, i, form_of(l, i), block);
  return WEFT_OK;
}

weft_status weft_recurrent_prepare(weft_op *op) {
  const weft_tensor *w = weft_op_in(op, W), *r = weft_op_in(op, R);
  bool quantised = weft_recurrent_is_quantised(op);
  if (!can_pack(op) || w->shape.rank != 3 || r->shape.rank != 3 || w->count == 0 || r->count == 0) {
    return WEFT_OK;
  }
  int kind = weft_recurrent_kind(op), deep = quantised ? 1 : 2, wide = quantised ? 2 : 1;
  weft_recurrent_layer l = {.kernels = op->cx->kernels,
                            .kind = kind,
                            .directions = (size_t)w->shape.dims[0],
                            .quantised = quantised,
                            .linear_before_reset = weft_op_attr_int(op, "linear_before_reset", 0) != 0,
                            .gates = kind == WEFT_RECURRENT_LSTM  ? 4
                                     : kind == WEFT_RECURRENT_GRU ? 3
                                                                  : 1,
                            .input = (size_t)w->shape.dims[deep],
                            .hidden = (size_t)r->shape.dims[deep]};
  size_t columns = l.gates * l.hidden;
  if ((size_t)w->shape.dims[wide] != columns || (size_t)r->shape.dims[wide] != columns ||
      w->shape.dims[0] != r->shape.dims[0] ||
      (quantised && (weft_recurrent_check_bytes(op, W, "W", l.directions, l.input, columns) != WEFT_OK ||
                     weft_recurrent_check_bytes(op, R, "R", l.directions, l.hidden, columns) != WEFT_OK))) {
    return WEFT_OK; /* infer will say what is wrong */
  }
  WEFT_TRY(pack_weights(op, &l, W));
  return pack_weights(op, &l, R);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */
/* The work of one direction. */
typedef struct pass {
  const weft_recurrent_layer *l;
  const weft_cell_function *functions;
  bool alone; /* a step's products stay on one thread */
  const float *packed_w, *packed_r;
  const float *x;
  float *before; /* the inputs' part of all gates: rows as in x */
  float *gates;  /* [batch][gates][hidden] of a step */
  float *after;  /* the same of the state's part alone, where that is kept apart */
  float *extra;  /* [batch][hidden]: r * h of GRU, or h rounded to 8 bits */
  float *h, *c;  /* [batch][hidden], but for rows of h that lie in Y */
  size_t h_stride;
  size_t first, count;     /* the sequences */
  bool by_step;            /* `before` holds one step */
  const float *bias;       /* [gates][hidden], but for what is in reset_bias */
  const float *reset_bias; /* [gates][hidden] of `after`, or NULL: GRU resets a part of the bias as well */
  const float *peephole;
} pass;

static void input_at(const void *arg, size_t index, weft_product *out) {
  const pass *p = arg;
  (void)index;
  size_t columns = p->l->gates * p->l->hidden;
  *out = (weft_product){.a = p->x,
                        .lda = p->l->input,
                        .packed = p->packed_w,
                        .c = p->before,
                        .ldc = columns,
                        .epilogue = {.column_bias = p->bias}};
}

/* gates += h * R of all gates, but for GRU's hidden gate where it waits for the reset */
static void recurrent_at(const void *arg, size_t index, weft_product *out) {
  const pass *p = arg;
  (void)index;
  *out = (weft_product){.a = p->l->quantised ? p->extra : p->h,
                        .lda = p->l->quantised ? p->l->hidden : p->h_stride,
                        .packed = p->packed_r,
                        .c = p->gates,
                        .ldc = p->l->gates * p->l->hidden};
}

/* after = h * R + reset_bias */
static void apart_at(const void *arg, size_t index, weft_product *out) {
  const pass *p = arg;
  recurrent_at(arg, index, out);
  out->c = p->after;
  out->epilogue.column_bias = p->reset_bias;
}

/* gates' hidden part += extra * Rh, extra being r * h */
static void after_reset_at(const void *arg, size_t index, weft_product *out) {
  const pass *p = arg;
  (void)index;
  *out = (weft_product){.a = p->extra,
                        .lda = p->l->hidden,
                        .packed = p->packed_r + weft_gemm_packed_size(2 * p->l->hidden, p->l->hidden),
                        .c = p->gates + 2 * p->l->hidden,
                        .ldc = 3 * p->l->hidden};
}

static weft_status multiply(weft_op *op, const pass *p, size_t n, bool accumulate,
                            void (*at)(const void *arg, size_t index, weft_product *out)) {
  if (p->alone) {
    weft_product product;
    at(p, 0, &product);
    weft_product_run(p->l->kernels, p->count, n, p->l->hidden, &product, accumulate, NULL);
    return WEFT_OK;
  }
  weft_products products = {
      .count = 1, .m = p->l->batch, .n = n, .k = p->l->hidden, .accumulate = accumulate, .arg = p, .at = at};
  return weft_products_run(op, &products);
}

/* One step of GRU for the whole batch; the new state goes to `gates`' hidden part, for the caller to take over. */
static weft_status gru_step(weft_op *op, const pass *p) {
  const weft_recurrent_layer *l = p->l;
  size_t n = l->hidden;
  for (size_t b = 0; b < l->batch; b++) {
    float *update = p->gates + b * 3 * n, *reset = update + n;
    const float *after = p->after + b * 3 * n;
    if (l->linear_before_reset) {
      l->kernels->binary_f32[WEFT_BINARY_ADD](2 * n, update, 1, after, 1, update);
    }
    weft_cell_apply(l, &p->functions[0], update, update);
    weft_cell_apply(l, &p->functions[0], reset, reset);
    if (l->linear_before_reset) {
      weft_cell_add_product(l, reset, after + 2 * n, reset + n);
    } else {
      l->kernels->binary_f32[WEFT_BINARY_MUL](n, reset, 1, p->h + b * n, 1, p->extra + b * n);
    }
  }
  if (!l->linear_before_reset) {
    WEFT_TRY(multiply(op, p, n, true, after_reset_at));
  }
  for (size_t b = 0; b < l->batch; b++) {
    float *update = p->gates + b * 3 * n, *hidden = update + 2 * n;
    weft_cell_apply(l, &p->functions[1], hidden, hidden);
    for (size_t i = 0; i < n; i++) {
      hidden[i] = (1 - update[i]) * hidden[i] + update[i] * p->h[b * n + i];
    }
  }
  return WEFT_OK;
}

/* The state of batch entry b after a step whose products are in p->gates. */
static void finish_entry(const pass *p, size_t b) {
  const weft_recurrent_layer *l = p->l;
  size_t n = l->hidden;
  float *gates = p->gates + b * l->gates * n, *h = p->h + b * n;
  if (l->kind == WEFT_RECURRENT_LSTM) {
    weft_cell_lstm(l, p->functions, p->peephole, gates, h, p->c + b * n);
  } else if (l->kind == WEFT_RECURRENT_GRU) {
    memcpy(h, gates + 2 * n, n * sizeof *h);
  } else {
    weft_cell_apply(l, &p->functions[0], gates, h);
  }
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
typedef struct run {
  weft_recurrent_layer l;
  const float *x, *w, *r, *b, *initial_h, *initial_c, *peephole;
  float *y, *y_h, *y_c;
  const int32_t *lengths;
  uint8_t *bytes; /* of the largest thing that is rounded to 8 bits */
} run;

/* y = x with the scale and zero point of DynamicQuantizeLinear. */
static void round_to_bytes(const weft_kernels *kernels, size_t n, const float *x, uint8_t *bytes, float *y) {
  float scale = 1;
  uint8_t zero = 0;
  weft_dynamic_scale(kernels, n, x, &scale, &zero);
  kernels->quantize_i8(n, x, scale, zero, false, bytes);
  kernels->dequantize_i8(n, bytes, scale, zero, false, y);
}

static size_t state_row(const weft_recurrent_layer *l, size_t direction, size_t b) {
  return (l->by_batch ? b * l->directions + direction : direction * l->batch + b) * l->hidden;
}

static size_t length_of(const run *r, size_t b) {
  return r->lengths != NULL ? (size_t)r->lengths[b] : r->l.steps;
}

/* Where step t of entry b lies among the rows of the input. */
static size_t row_of(const weft_recurrent_layer *l, size_t t, size_t b) {
  return l->x_by_batch ? b * l->steps + t : t * l->batch + b;
}

/* And among those of Y. */
static size_t y_row(const weft_recurrent_layer *l, size_t direction, size_t t, size_t b) {
  return l->y_by_batch ? (b * l->steps + t) * l->directions + direction
                       : (t * l->directions + direction) * l->batch + b;
}

/* Cells as nearly all models have them: a step is a product and one kernel. */
static bool is_usual(const run *r, size_t direction) {
  const weft_recurrent_layer *l = &r->l;
  const weft_cell_function *f = l->functions[direction];
  bool usual = f[0].kind == F_SIGMOID && f[1].kind == F_TANH && l->clip <= 0 && r->lengths == NULL && !l->quantised;
  if (l->kind == WEFT_RECURRENT_LSTM) {
    return usual && f[2].kind == F_TANH && !l->input_forget && r->peephole == NULL;
  }
  return usual && l->kind == WEFT_RECURRENT_GRU && l->linear_before_reset;
}

/* c = a * b + bias for the sequences of a pass and all gates. */
static void multiply_step(const pass *p, size_t k, const float *a, size_t lda, const float *b, const float *bias,
                          float *c) {
  const size_t row = p->l->gates * p->l->hidden;
  const weft_epilogue epilogue = {.column_bias = bias};
  p->l->kernels->gemm_f32(p->count, row, k, a, lda, b, k * WEFT_GEMM_NR, c, row, false, &epilogue);
}

/* New states go to Y where there is one, and are read there by the next step. */
static weft_status usual_step(weft_op *op, const run *r, pass *p, size_t direction, size_t t) {
  const weft_recurrent_layer *l = &r->l;
  const size_t row = l->gates * l->hidden, first = row_of(l, t, p->first), apart = l->x_by_batch ? l->steps : 1;
  const float *x = p->before;
  size_t x_stride = row, y_stride = p->h_stride;
  float *y = p->h;
  if (p->by_step) {
    multiply_step(p, l->input, p->x + first * l->input, apart * l->input, p->packed_w, p->bias, p->before);
  } else {
    x += first * row;
    x_stride *= apart;
  }
  if (p->alone) {
    multiply_step(p, l->hidden, p->h, p->h_stride, p->packed_r, p->reset_bias, p->after);
  } else {
    WEFT_TRY(multiply(op, p, row, false, apart_at));
  }
  if (r->y != NULL) {
    y = r->y + y_row(l, direction, t, p->first) * l->hidden;
    y_stride = (l->y_by_batch ? l->steps * l->directions : 1) * l->hidden;
  }
  if (l->kind == WEFT_RECURRENT_LSTM) {
    l->kernels->lstm_f32(p->count, l->hidden, x, x_stride, p->after, p->c, y, y_stride);
  } else {
    l->kernels->gru_f32(p->count, l->hidden, x, x_stride, p->after, p->h, p->h_stride, y, y_stride);
  }
  p->h = y;
  p->h_stride = y_stride;
  return WEFT_OK;
}

static weft_status run_step(weft_op *op, const run *r, pass *p, size_t direction, size_t step) {
  const weft_recurrent_layer *l = &r->l;
  size_t row = l->gates * l->hidden;
  bool reverse = l->reverse_first || direction == 1;
  if (is_usual(r, direction)) {
    return usual_step(op, r, p, direction, reverse ? l->steps - 1 - step : step);
  }
  for (size_t b = 0; b < l->batch; b++) {
    size_t length = length_of(r, b), t = step < length && reverse ? length - 1 - step : step;
    memcpy(p->gates + b * row, p->before + row_of(l, t, b) * row, row * sizeof(float));
  }
  if (l->quantised) {
    round_to_bytes(l->kernels, l->batch * l->hidden, p->h, r->bytes, p->extra);
  }
  if (l->kind == WEFT_RECURRENT_GRU && l->linear_before_reset) {
    WEFT_TRY(multiply(op, p, row, false, apart_at));
  } else {
    WEFT_TRY(multiply(op, p, part_columns(l, 0), true, recurrent_at));
  }
  if (l->kind == WEFT_RECURRENT_GRU) {
    WEFT_TRY(gru_step(op, p));
  }
  for (size_t b = 0; b < l->batch; b++) {
    size_t length = length_of(r, b);
    if (step < length) {
      finish_entry(p, b);
      const size_t t = reverse ? length - 1 - step : step;
      if (r->y != NULL) {
        memcpy(r->y + y_row(l, direction, t, b) * l->hidden, p->h + b * l->hidden, l->hidden * sizeof(float));
      }
    }
  }
  return WEFT_OK;
}

static weft_status make_bias(weft_op *op, const run *r, size_t direction, pass *p) {
  const weft_recurrent_layer *l = &r->l;
  size_t n = l->gates * l->hidden;
  if (r->b == NULL) {
    return WEFT_OK;
  }
  const float *input = r->b + direction * 2 * n, *recurrent = input + n;
  size_t common = l->linear_before_reset && l->kind == WEFT_RECURRENT_GRU ? 2 * l->hidden : n;
  float *sum = NULL;
  WEFT_TRY(weft_op_scratch_floats(op, n, 1, &sum));
  for (size_t i = 0; i < n; i++) {
    sum[i] = input[i] + (i < common ? recurrent[i] : 0);
  }
  p->bias = sum;
  p->reset_bias = NULL;
  if (common == n) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch_floats(op, n, 1, &sum));
  for (size_t i = 0; i < n; i++) {
    sum[i] = i < common ? 0 : recurrent[i];
  }
  p->reset_bias = sum;
  return WEFT_OK;
}

static weft_status place_weights(weft_op *op, const run *r, size_t direction, pass *p) {
  const weft_recurrent_layer *l = &r->l;
  size_t n = l->gates * l->hidden, size = packed_recurrent_size(l);
  if (weft_op_form(op, W) != 0) {
    p->packed_w = (const float *)weft_op_in(op, W)->data + direction * weft_gemm_packed_size(n, l->input);
  } else {
    float *room = NULL;
    WEFT_TRY(weft_op_scratch_floats(op, weft_gemm_packed_size(n, l->input), 1, &room));
    pack_input(l, 1, r->w + direction * n * l->input, room);
    p->packed_w = room;
  }
  if (weft_op_form(op, R) != 0) {
    p->packed_r = (const float *)weft_op_in(op, R)->data + direction * size;
    return WEFT_OK;
  }
  float *room = NULL;
  WEFT_TRY(weft_op_scratch_floats(op, size, 1, &room));
  pack_recurrent(l, r->r + direction * n * l->hidden, room);
  p->packed_r = room;
  return WEFT_OK;
}

static void begin_state(const weft_recurrent_layer *l, const pass *p, size_t direction, const float *initial,
                        float *out) {
  for (size_t b = 0; out != NULL && b < p->count; b++) {
    if (initial != NULL) {
      memcpy(out + b * l->hidden, initial + state_row(l, direction, p->first + b), l->hidden * sizeof *out);
    } else {
      memset(out + b * l->hidden, 0, l->hidden * sizeof *out);
    }
  }
}

static void begin_states(const run *r, size_t direction, pass *p) {
  begin_state(&r->l, p, direction, r->initial_h, p->h);
  begin_state(&r->l, p, direction, r->initial_c, p->c);
  p->h_stride = r->l.hidden;
}

static void end_state(const weft_recurrent_layer *l, const pass *p, size_t direction, const float *state, size_t stride,
                      float *out) {
  for (size_t b = 0; out != NULL && b < p->count; b++) {
    memcpy(out + state_row(l, direction, p->first + b), state + b * stride, l->hidden * sizeof *out);
  }
}

static weft_status make_pass(weft_op *op, const run *r, bool alone, pass *p) {
  const weft_recurrent_layer *l = &r->l;
  size_t row = l->gates * l->hidden;
  *p = (pass){.l = l, .x = r->x, .alone = alone, .count = l->batch};
  WEFT_TRY(weft_op_scratch_floats(op, l->steps * l->batch, row, &p->before));
  WEFT_TRY(weft_op_scratch_floats(op, l->batch, row, &p->gates));
  WEFT_TRY(weft_op_scratch_floats(op, l->batch, row, &p->after));
  WEFT_TRY(weft_op_scratch_floats(op, l->batch, l->hidden, &p->h));
  WEFT_TRY(weft_op_scratch_floats(op, l->batch, l->hidden, &p->c));
  return weft_op_scratch_floats(op, l->batch, l->hidden, &p->extra);
}

static weft_status place_direction(weft_op *op, const run *r, size_t direction, pass *p) {
  const weft_recurrent_layer *l = &r->l;
  p->functions = l->functions[direction];
  p->peephole = r->peephole != NULL ? r->peephole + direction * 3 * l->hidden : NULL;
  WEFT_TRY(make_bias(op, r, direction, p));
  return place_weights(op, r, direction, p);
}

static weft_status begin_direction(weft_op *op, const run *r, size_t direction, pass *p) {
  const weft_recurrent_layer *l = &r->l;
  WEFT_TRY(place_direction(op, r, direction, p));
  weft_products inputs = {
      .count = 1, .m = l->steps * l->batch, .n = l->gates * l->hidden, .k = l->input, .arg = p, .at = input_at};
  WEFT_TRY(weft_products_run(op, &inputs));
  begin_states(r, direction, p);
  return WEFT_OK;
}

static weft_status run_direction(weft_op *op, const run *r, const pass *begun, size_t direction) {
  const weft_recurrent_layer *l = &r->l;
  pass p = *begun;
  for (size_t step = 0; step < l->steps && !op->cx->cancelled; step++) {
    WEFT_TRY(run_step(op, r, &p, direction, step));
  }
  end_state(l, &p, direction, p.h, p.h_stride, r->y_h);
  end_state(l, &p, direction, p.c, l->hidden, r->y_c);
  return WEFT_OK;
}

typedef struct both {
  weft_op *op;
  const run *r;
  const pass *passes;
} both;

/* Passes that stay on a thread have nothing that could fail. */
static void run_both(void *arg, size_t begin, size_t end) {
  const both *b = arg;
  for (size_t direction = begin; direction < end; direction++) {
    run_direction(b->op, b->r, &b->passes[direction], direction);
  }
}

/* Whether a step is so short that threads would spend it waiting for each other: then each has its own direction. */
static bool has_short_steps(const weft_recurrent_layer *l) {
  size_t work = 0;
  return weft_mul(l->batch * l->gates, l->hidden, &work) && weft_mul(work, l->hidden, &work) && work < SHORT_STEP;
}

/* The quantised form's input, rounded once for all steps. */
static weft_status round_input(weft_op *op, run *r, pass *p) {
  size_t inputs = r->l.steps * r->l.batch * r->l.input, states = r->l.batch * r->l.hidden;
  float *rounded = NULL;
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_floats(op, inputs, 1, &rounded));
  WEFT_TRY(weft_op_scratch(op, inputs > states ? inputs : states, &room));
  r->bytes = room;
  round_to_bytes(r->l.kernels, inputs, r->x, r->bytes, rounded);
  p->x = rounded;
  return WEFT_OK;
}

/* ---- blocks of sequences ----------------------------------------------------------------------------------------- */
/* Where there are several sequences and few weights, blocks of sequences take all steps one after the other, the inputs'
 * part made step by step: so all that a block works on stays in the first-level cache. */
typedef struct blocks {
  weft_op *op;
  const run *r;
  pass passes[2];
  size_t count, most; /* blocks of a direction, sequences of one */
  float *scratch;
  size_t scratch_size; /* of a thread */
} blocks;

static bool has_blocks(const run *r) {
  const weft_recurrent_layer *l = &r->l;
  size_t work = 0;
  return l->batch >= FEW_SEQUENCES && is_usual(r, 0) && (l->directions == 1 || is_usual(r, 1)) &&
         weft_mul(l->gates * l->hidden, l->hidden + l->input, &work) && work <= NEAR;
}

static void run_block(void *arg, uint32_t slot, size_t begin, size_t end) {
  const blocks *all = arg;
  const weft_recurrent_layer *l = &all->r->l;
  const size_t row = l->gates * l->hidden;
  for (size_t i = begin; i < end && !all->op->cx->cancelled; i++) {
    const size_t direction = i / all->count, block = i % all->count;
    pass p = all->passes[direction];
    p.first = weft_share_begin(l->batch, 1, block, all->count);
    p.count = weft_share_begin(l->batch, 1, block + 1, all->count) - p.first;
    p.before = all->scratch + slot * all->scratch_size;
    p.after = p.before + all->most * row;
    p.h = p.after + all->most * row;
    p.c = p.h + all->most * l->hidden;
    begin_states(all->r, direction, &p);
    run_direction(all->op, all->r, &p, direction);
  }
}

static weft_status run_blocks(weft_op *op, const run *r) {
  const weft_recurrent_layer *l = &r->l;
  const size_t most = BLOCK / (l->gates * l->hidden), threads = weft_parallel_threads(op->cx);
  blocks all = {.op = op, .r = r, .count = weft_parts(l->batch, most > LEAST_BLOCK ? most : LEAST_BLOCK)};
  all.count = weft_parts(all.count * l->directions, threads) * threads / l->directions; /* as many for each thread */
  all.count = weft_smaller(all.count, l->batch / FEW_SEQUENCES);
  all.most = weft_parts(l->batch, all.count);
  all.scratch_size = (all.most * 2 * (l->gates + 1) * l->hidden + 15) / 16 * 16;
  for (size_t d = 0; d < l->directions; d++) {
    all.passes[d] = (pass){.l = l, .x = r->x, .alone = true, .by_step = true};
    WEFT_TRY(place_direction(op, r, d, &all.passes[d]));
  }
  WEFT_TRY(weft_op_scratch_floats(op, threads, all.scratch_size, &all.scratch));
  weft_parallel_slots(op->cx, all.count * l->directions, 1, run_block, &all);
  return WEFT_OK;
}

static weft_status run_directions(weft_op *op, run *r) {
  const weft_recurrent_layer *l = &r->l;
  if (has_blocks(r)) {
    return run_blocks(op, r);
  }
  bool alone = has_short_steps(l);
  bool at_once = alone && l->directions > 1 && !l->quantised && weft_parallel_threads(op->cx) > 1;
  pass passes[2];
  WEFT_TRY(make_pass(op, r, alone, &passes[0]));
  if (l->quantised) {
    WEFT_TRY(round_input(op, r, &passes[0]));
  }
  for (size_t direction = 0; direction < l->directions && !at_once; direction++) {
    WEFT_TRY(begin_direction(op, r, direction, &passes[0]));
    WEFT_TRY(run_direction(op, r, &passes[0], direction));
  }
  if (at_once) {
    WEFT_TRY(make_pass(op, r, alone, &passes[1]));
    WEFT_TRY(begin_direction(op, r, 0, &passes[0]));
    WEFT_TRY(begin_direction(op, r, 1, &passes[1]));
    both both = {op, r, passes};
    weft_parallel(op->cx, 2, 1, run_both, &both);
  }
  return WEFT_OK;
}

static weft_status check_lengths(weft_op *op, const weft_recurrent_layer *l) {
  const weft_tensor *lengths = weft_op_in(op, SEQUENCE_LENS);
  for (size_t b = 0; lengths != NULL && b < l->batch; b++) {
    int32_t length = ((const int32_t *)lengths->data)[b];
    if (length < 0 || (size_t)length > l->steps) {
      return weft_op_run_fail(op, "input 'sequence_lens' holds %ld where the sequences have %zu steps", (long)length,
                              l->steps);
    }
  }
  return WEFT_OK;
}

static weft_status place_operands(weft_op *op, run *r) {
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, X), &r->x));
  if (weft_op_form(op, W) == 0) {
    WEFT_TRY(float_weights(op, W, &r->w));
  }
  if (weft_op_form(op, R) == 0) {
    WEFT_TRY(float_weights(op, R, &r->r));
  }
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, B), &r->b));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, INITIAL_H), &r->initial_h));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, INITIAL_C), &r->initial_c));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, P), &r->peephole));
  WEFT_TRY(weft_op_floats_out(op, weft_op_out(op, 0), &r->y));
  WEFT_TRY(weft_op_floats_out(op, weft_op_out(op, 1), &r->y_h));
  WEFT_TRY(weft_op_floats_out(op, weft_op_out(op, 2), &r->y_c));
  const weft_tensor *lengths = weft_op_in(op, SEQUENCE_LENS);
  r->lengths = lengths != NULL ? lengths->data : NULL;
  return WEFT_OK;
}

weft_status weft_recurrent_run(weft_op *op) {
  run r = {0};
  WEFT_TRY(weft_recurrent_read(op, &r.l));
  WEFT_TRY(check_lengths(op, &r.l));
  if (weft_op_in(op, X)->type == WEFT_DOUBLE) {
    return weft_recurrent_run_double(op, &r.l);
  }
  WEFT_TRY(place_operands(op, &r));
  if (r.y != NULL && r.lengths != NULL) {
    memset(r.y, 0, weft_op_out(op, 0)->count * sizeof(float));
  }
  WEFT_TRY(run_directions(op, &r));
  weft_op_floats_done(op, weft_op_out(op, 0), r.y);
  weft_op_floats_done(op, weft_op_out(op, 1), r.y_h);
  weft_op_floats_done(op, weft_op_out(op, 2), r.y_c);
  return WEFT_OK;
}
