/* LinearAttention: a state matrix for each key head, decayed and updated with every token, read by the queries. Token
 * by token, as the definition has it; the heads are independent and spread over the threads. */
#include "../base/elementary.h"
#include "product.h"

#include <math.h>
#include <string.h>

enum { QUERY, KEY, VALUE, PAST, DECAY, BETA };
enum { OUTPUT, PRESENT };

typedef struct linear {
  const weft_kernels *kernels;
  size_t batch, steps, q_heads, kv_heads, key, value;
  bool decays, corrects;        /* gated..., ...delta */
  size_t decay_each, beta_each; /* decays of a head: 1 or key; betas of a token: kv_heads or 1 */
  float scale;
  const float *q, *k, *v, *decay, *beta;
  float *y, *state, *delta; /* state: [batch][kv_heads][key][value]; delta: [batch][kv_heads][value] */
} linear;

/* A key head is shared by query heads, or the other way round. */
static size_t out_heads(const linear *l) {
  return l->q_heads > l->kv_heads ? l->q_heads : l->kv_heads;
}

static weft_status wrong(weft_op *op, const char *name, const weft_tensor *t) {
  char text[96];
  return weft_op_fail(op, "input '%s' of shape %s does not fit the other inputs", name,
                      weft_shape_print(&t->shape, text, sizeof text));
}

/* Of [batch][steps][width], or [batch][steps][heads][size]. */
static int64_t width_of(const weft_tensor *t) {
  return t->shape.dims[2] * (t->shape.rank == 4 ? t->shape.dims[3] : 1);
}

static bool is_packed(const weft_tensor *t, const linear *l, size_t width) {
  return t->shape.rank >= 3 && t->shape.rank <= 4 && (size_t)t->shape.dims[0] == l->batch &&
         (size_t)t->shape.dims[1] == l->steps && (size_t)width_of(t) == width;
}

/* The attribute, or what the shape says. */
static int64_t read_heads(const weft_op *op, const char *name, const weft_tensor *t) {
  return t->shape.rank == 4 ? t->shape.dims[2] : weft_op_attr_int(op, name, 0);
}

static weft_status make(weft_op *op, linear *l) {
  const weft_tensor *q = weft_op_in(op, QUERY), *k = weft_op_in(op, KEY), *v = weft_op_in(op, VALUE);
  const weft_tensor *decay = weft_op_in(op, DECAY), *beta = weft_op_in(op, BETA), *past = weft_op_in(op, PAST);
  int rule;
  WEFT_TRY(weft_op_choice(op, "update_rule", "linear gated delta gated_delta", 3, &rule));
  int64_t q_heads = read_heads(op, "q_num_heads", q), kv_heads = read_heads(op, "kv_num_heads", v);
  *l = (linear){.kernels = op->cx->kernels};
  if (q_heads < 1 || kv_heads < 1 || (q_heads % kv_heads != 0 && kv_heads % q_heads != 0) ||
      width_of(q) % q_heads != 0 || width_of(v) % kv_heads != 0) {
    return weft_op_fail(op, "%lld query heads and %lld key heads do not fit the inputs", (long long)q_heads,
                        (long long)kv_heads);
  }
  l->decays = rule % 2 != 0;
  l->corrects = rule >= 2;
  if ((l->decays && decay == NULL) || (l->corrects && beta == NULL)) {
    return weft_op_fail(op, "update rule '%s' needs the input '%s'",
                        weft_op_attr_string(op, "update_rule", "gated_delta"),
                        l->decays && decay == NULL ? "decay" : "beta");
  }
  l->batch = (size_t)q->shape.dims[0];
  l->steps = (size_t)q->shape.dims[1];
  l->q_heads = (size_t)q_heads;
  l->kv_heads = (size_t)kv_heads;
  l->key = (size_t)(width_of(q) / q_heads);
  l->value = (size_t)(width_of(v) / kv_heads);
  if (!is_packed(k, l, l->kv_heads * l->key)) {
    return wrong(op, "key", k);
  }
  if (!is_packed(v, l, l->kv_heads * l->value)) {
    return wrong(op, "value", v);
  }
  l->decay_each = decay != NULL && is_packed(decay, l, l->kv_heads) ? 1 : l->key;
  if (l->decays && !is_packed(decay, l, l->kv_heads * l->decay_each)) {
    return wrong(op, "decay", decay);
  }
  l->beta_each = beta != NULL && is_packed(beta, l, 1) ? 1 : l->kv_heads;
  if (l->corrects && !is_packed(beta, l, l->beta_each)) {
    return wrong(op, "beta", beta);
  }
  if (past != NULL &&
      (past->shape.rank != 4 || (size_t)past->shape.dims[0] != l->batch || (size_t)past->shape.dims[1] != l->kv_heads ||
       (size_t)past->shape.dims[2] != l->key || (size_t)past->shape.dims[3] != l->value)) {
    return wrong(op, "past_state", past);
  }
  l->scale = weft_op_attr_float(op, "scale", 0);
  l->scale = l->scale != 0 ? l->scale : 1 / sqrtf((float)l->key);
  return WEFT_OK;
}

weft_status weft_linear_attention_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 3, 6));
  uint32_t types = WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE);
  static const char *const names[] = {"query", "key", "value", "past_state", "decay", "beta"};
  for (int i = QUERY; i <= BETA; i++) {
    WEFT_TRY(weft_op_expect_type(op, i, names[i], types));
  }
  for (int i = QUERY; i <= VALUE; i++) {
    WEFT_TRY(weft_op_expect_rank(op, i, names[i], 3, 4));
  }
  linear l;
  WEFT_TRY(make(op, &l));
  const weft_tensor *q = weft_op_in(op, QUERY), *past = weft_op_in(op, PAST);
  weft_shape y = {.rank = 3, .dims = {q->shape.dims[0], q->shape.dims[1], (int64_t)(out_heads(&l) * l.value)}};
  weft_shape state = {.rank = 4, .dims = {q->shape.dims[0], (int64_t)l.kv_heads, (int64_t)l.key, (int64_t)l.value}};
  WEFT_TRY(weft_op_set(op, OUTPUT, q->type, &y));
  return weft_op_set(op, PRESENT, past != NULL ? past->type : q->type, &state);
}

/* delta = beta * (v - state^T k), or v. */
static void make_delta(const linear *l, const float *state, const float *k, const float *v, float beta, float *delta) {
  memcpy(delta, v, l->value * sizeof *delta);
  if (l->corrects) {
    for (size_t i = 0; i < l->key; i++) {
      l->kernels->axpy_f32(l->value, -k[i], state + i * l->value, delta);
    }
    for (size_t j = 0; j < l->value; j++) {
      delta[j] *= beta;
    }
  }
}

static void run_heads(void *arg, size_t begin, size_t end) {
  const linear *l = arg;
  size_t heads = out_heads(l), shared = heads / l->kv_heads, same = heads / l->q_heads;
  for (size_t index = begin; index < end; index++) {
    size_t batch = index / l->kv_heads, head = index % l->kv_heads;
    float *state = l->state + index * l->key * l->value, *delta = l->delta + index * l->value;
    for (size_t step = 0; step < l->steps; step++) {
      size_t token = batch * l->steps + step, at = token * l->kv_heads + head;
      for (size_t i = 0; l->decays && i < l->key; i++) {
        float factor = weft_exp_f32(l->decay[at * l->decay_each + (l->decay_each > 1 ? i : 0)]);
        l->kernels->binary_f32[WEFT_BINARY_MUL](l->value, state + i * l->value, 1, &factor, 0, state + i * l->value);
      }
      float beta = l->corrects ? l->beta[l->beta_each > 1 ? at : token * l->beta_each] : 1;
      make_delta(l, state, l->k + at * l->key, l->v + at * l->value, beta, delta);
      for (size_t i = 0; i < l->key; i++) {
        l->kernels->axpy_f32(l->value, l->k[at * l->key + i], delta, state + i * l->value);
      }
      for (size_t q = head * shared; q < (head + 1) * shared; q++) {
        const float *query = l->q + (token * l->q_heads + q / same) * l->key;
        float *y = l->y + (token * heads + q) * l->value;
        memset(y, 0, l->value * sizeof *y);
        for (size_t i = 0; i < l->key; i++) {
          l->kernels->axpy_f32(l->value, l->scale * query[i], state + i * l->value, y);
        }
      }
    }
  }
}

weft_status weft_linear_attention_run(weft_op *op) {
  linear l;
  const float *past = NULL;
  void *room = NULL;
  weft_tensor *y = weft_op_out(op, OUTPUT), *present = weft_op_out(op, PRESENT);
  WEFT_TRY(make(op, &l));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, QUERY), &l.q));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, KEY), &l.k));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, VALUE), &l.v));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, PAST), &past));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, DECAY), &l.decay));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, BETA), &l.beta));
  WEFT_TRY(weft_op_floats_out(op, y, &l.y));
  WEFT_TRY(weft_op_floats_out(op, present, &l.state));
  size_t heads = l.batch * l.kv_heads, states = heads * l.key * l.value;
  if (l.y == NULL) {
    return WEFT_OK;
  }
  if (l.state == NULL) {
    WEFT_TRY(weft_op_scratch_array(op, states, sizeof(float), &room));
    l.state = room;
  }
  WEFT_TRY(weft_op_scratch_array(op, heads * l.value, sizeof(float), &room));
  l.delta = room;
  if (past != NULL) {
    memcpy(l.state, past, states * sizeof *past);
  } else {
    memset(l.state, 0, states * sizeof *l.state);
  }
  weft_parallel(op->cx, heads, 1, run_heads, &l);
  weft_op_floats_done(op, y, l.y);
  weft_op_floats_done(op, present, l.state);
  return WEFT_OK;
}
