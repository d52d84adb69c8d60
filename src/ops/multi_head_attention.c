/* com.microsoft's MultiHeadAttention and DecoderMaskedMultiHeadAttention: queries, keys and values come projected,
 * apart or packed, with their biases. The second is the first with its inputs in another order; both may keep past and
 * present in one buffer and let the beams of a search look into each other's past. */
#include "microsoft_attention.h"
#include "product.h"

#include <float.h>
#include <string.h>

enum { Q, K, V };

/* Input numbers by role. */
typedef struct multi_roles {
  int bias, mask, attention_bias, past_key, past_value, past_rows, beams, inputs;
} multi_roles;

static const multi_roles roles_of[] = {
    [WEFT_ATTENTION_MULTI] = {3, 4, 5, 6, 7, 8, 9, 10},
    [WEFT_ATTENTION_MASKED] = {10, 3, 4, 5, 6, 7, 9, 11},
};

typedef struct multi {
  const multi_roles *roles;
  size_t batch, heads, rows, kv_rows, size, v_size;
  size_t past, past_room; /* rows that count, rows that there are: more where past and present share a buffer */
  bool shared;
  bool packed_qkv, packed_kv; /* [..., heads, 3 or 2, size] */
  bool kv_by_head;            /* keys and values are [batch][heads][rows][size] */
} multi;

/* Keys and values of earlier calls: all rows of them, or of a shared buffer as many as an input says. */
static weft_status read_past(weft_op *op, multi *m) {
  const multi_roles *r = m->roles;
  size_t n = m->batch, h = m->heads;
  int64_t past = 0;
  if (weft_op_has(op, r->past_key) != weft_op_has(op, r->past_value)) {
    return weft_op_fail(op, "past_key and past_value go together");
  }
  if (!weft_op_has(op, r->past_key)) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_attention_expect_shape(op, r->past_key, "past_key", 4, (size_t[]){n, h, SIZE_MAX, m->size}));
  m->past = m->past_room = (size_t)weft_op_in(op, r->past_key)->shape.dims[2];
  WEFT_TRY(weft_attention_expect_shape(op, r->past_value, "past_value", 4, (size_t[]){n, h, m->past_room, m->v_size}));
  if (!weft_op_has(op, r->past_rows)) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scalar_int(op, r->past_rows, "past_sequence_length", 0, &past));
  if (past < 0 || (size_t)past > m->past_room || m->kv_rows > m->past_room - (size_t)past) {
    return weft_op_fail(op, "past_sequence_length is %lld: %zu new rows do not fit a buffer of %zu", (long long)past,
                        m->kv_rows, m->past_room);
  }
  m->past = (size_t)past;
  m->shared = true;
  return WEFT_OK;
}

static size_t present_room(const multi *m) {
  return m->shared ? m->past_room : m->past + m->kv_rows;
}

/* cache_indirection [batch / beams][beams][room] goes with a shared buffer. */
static weft_status check_beams(weft_op *op, const multi *m) {
  const weft_tensor *beams = weft_op_in(op, m->roles->beams);
  WEFT_TRY(weft_op_expect_type(op, m->roles->beams, "cache_indirection", WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_rank(op, m->roles->beams, "cache_indirection", 3, 3));
  if (beams == NULL || (m->shared && beams->shape.dims[1] > 0 && (size_t)beams->shape.dims[2] >= m->past &&
                        (size_t)(beams->shape.dims[0] * beams->shape.dims[1]) == m->batch)) {
    return WEFT_OK;
  }
  char text[96];
  return weft_op_fail(op, "cache_indirection of shape %s does not fit %zu sequences and the past",
                      weft_shape_print(&beams->shape, text, sizeof text), m->batch);
}

static weft_status read_multi(weft_op *op, multi *m) {
  const weft_tensor *q = weft_op_in(op, Q), *k = weft_op_in(op, K), *v = weft_op_in(op, V);
  int64_t heads = weft_op_attr_int(op, "num_heads", 0);
  *m = (multi){.roles = &roles_of[op->def->variant],
               .batch = (size_t)q->shape.dims[0],
               .rows = (size_t)q->shape.dims[1],
               .heads = (size_t)heads};
  m->packed_qkv = q->shape.rank == 5;
  m->packed_kv = !m->packed_qkv && k != NULL && k->shape.rank == 5;
  m->kv_by_head = k != NULL && k->shape.rank == 4;
  if (heads < 1 || (m->packed_qkv ? k != NULL || q->shape.dims[2] != heads || q->shape.dims[3] != 3
                                  : q->shape.rank != 3 || k == NULL || q->shape.dims[2] % heads != 0)) {
    return weft_op_fail(op, "the query does not fit %lld heads", (long long)heads);
  }
  m->size = m->v_size = (size_t)(m->packed_qkv ? q->shape.dims[4] : q->shape.dims[2] / heads);
  m->kv_rows = m->packed_qkv ? m->rows : (size_t)k->shape.dims[m->kv_by_head ? 2 : 1];
  size_t n = m->batch, h = m->heads, s = m->size;
  if (m->packed_kv) {
    WEFT_TRY(weft_attention_expect_shape(op, K, "key", 5, (size_t[]){n, m->kv_rows, h, 2, s}));
  } else if (m->kv_by_head) {
    WEFT_TRY(weft_attention_expect_shape(op, K, "key", 4, (size_t[]){n, h, m->kv_rows, s}));
    WEFT_TRY(weft_attention_expect_shape(op, V, "value", 4, (size_t[]){n, h, m->kv_rows, SIZE_MAX}));
    m->v_size = v != NULL ? (size_t)v->shape.dims[3] : 0;
  } else if (k != NULL) {
    WEFT_TRY(weft_attention_expect_shape(op, K, "key", 3, (size_t[]){n, m->kv_rows, h * s}));
    WEFT_TRY(weft_attention_expect_shape(op, V, "value", 3, (size_t[]){n, m->kv_rows, SIZE_MAX}));
    m->v_size = v != NULL && v->shape.dims[2] % heads == 0 ? (size_t)(v->shape.dims[2] / heads) : 0;
  }
  if (m->v_size == 0 || (k != NULL && !m->packed_kv && v == NULL)) {
    return weft_op_fail(op, "the value does not fit the key and %lld heads", (long long)heads);
  }
  WEFT_TRY(read_past(op, m));
  size_t bias = 2 * h * s + h * m->v_size;
  const weft_tensor *given = weft_op_in(op, m->roles->bias);
  return given != NULL && given->count != bias
             ? weft_op_fail(op, "the bias holds %zu elements, expected %zu", given->count, bias)
             : WEFT_OK;
}

weft_status weft_multi_head_attention_infer(weft_op *op) {
  const multi_roles *r = &roles_of[op->def->variant];
  WEFT_TRY(weft_op_expect_inputs(op, 1, r->inputs));
  WEFT_TRY(weft_attention_expect_floats(
      op, Q, (const int[]){K, V, r->bias, r->attention_bias, r->past_key, r->past_value}, 6));
  WEFT_TRY(weft_op_expect_rank(op, Q, "query", 3, 5));
  WEFT_TRY(weft_op_expect_type(op, r->mask, "key_padding_mask", WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_type(op, r->past_rows, "past_sequence_length", WEFT_TYPE_BIT(WEFT_INT32)));
  multi m;
  WEFT_TRY(read_multi(op, &m));
  WEFT_TRY(check_beams(op, &m));
  int64_t n = (int64_t)m.batch, h = (int64_t)m.heads, rows = (int64_t)m.rows, room = (int64_t)present_room(&m);
  weft_type type = weft_op_in(op, Q)->type;
  weft_shape y = {.rank = 3, .dims = {n, rows, h * (int64_t)m.v_size}};
  weft_shape key = {.rank = 4, .dims = {n, h, room, (int64_t)m.size}};
  weft_shape value = {.rank = 4, .dims = {n, h, room, (int64_t)m.v_size}};
  weft_shape scores = {.rank = 4, .dims = {n, h, rows, (int64_t)(m.past + m.kv_rows)}};
  WEFT_TRY(weft_op_set(op, 0, type, &y));
  WEFT_TRY(weft_op_set(op, 1, type, &key));
  WEFT_TRY(weft_op_set(op, 2, type, &value));
  return weft_op_set(op, 3, type, &scores);
}

/* in + bias of each head, as [batch][row][head][size]; without a bias `in` stays. */
static weft_status add_bias(weft_op *op, const multi *m, size_t rows, size_t size, const float *bias, const float **in,
                            weft_heads *at) {
  if (bias == NULL) {
    return WEFT_OK;
  }
  float *out = NULL;
  weft_heads to = weft_heads_of(true, m->heads, rows, size);
  WEFT_TRY(weft_op_scratch_floats(op, m->batch * rows, m->heads * size, &out));
  for (size_t i = 0; i < m->batch * rows * m->heads; i++) {
    size_t head = i % m->heads, row = i / m->heads % rows, batch = i / m->heads / rows;
    const float *from = *in + batch * at->batch + head * at->head + row * at->row;
    op->cx->kernels->binary_f32[WEFT_BINARY_ADD](size, from, 1, bias + head * size, 1,
                                                 out + batch * to.batch + head * to.head + row * to.row);
  }
  *in = out;
  *at = to;
  return WEFT_OK;
}

/* Those of a cache that nothing is added to stay as they are. */
static bool reads_halves(const weft_op *op, const multi *m) {
  return m->kv_by_head && weft_type_is_half(weft_op_in(op, K)->type) && !weft_op_has(op, m->roles->past_key) &&
         weft_op_out(op, 1) == NULL && weft_op_out(op, 2) == NULL;
}

static weft_status place_multi(weft_op *op, const multi *m, weft_attention *a) {
  const float *bias = NULL;
  size_t s = m->size, h = m->heads;
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, Q), &a->q));
  if (reads_halves(op, m)) {
    a->k_halves = weft_op_in(op, K)->data;
    a->v_halves = weft_op_in(op, V)->data;
  } else {
    WEFT_TRY(weft_op_floats(op, weft_op_in(op, K), &a->k));
    WEFT_TRY(weft_op_floats(op, weft_op_in(op, V), &a->v));
  }
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, m->roles->bias), &bias));
  a->q_at = weft_heads_of(true, h, m->rows, s);
  a->k_at = weft_heads_of(!m->kv_by_head, h, m->kv_rows, s);
  a->v_at = weft_heads_of(!m->kv_by_head, h, m->kv_rows, m->v_size);
  if (m->packed_qkv) {
    a->k = a->q + s;
    a->v = a->q + 2 * s;
    a->q_at = a->k_at = a->v_at = (weft_heads){m->rows * h * 3 * s, 3 * s, h * 3 * s};
  } else if (m->packed_kv) {
    a->v = a->k + s;
    a->k_at = a->v_at = (weft_heads){m->kv_rows * h * 2 * s, 2 * s, h * 2 * s};
  }
  WEFT_TRY(add_bias(op, m, m->rows, s, bias, &a->q, &a->q_at));
  if (m->kv_by_head) {
    return WEFT_OK; /* they come from a cache, which holds them with their bias */
  }
  WEFT_TRY(add_bias(op, m, m->kv_rows, s, bias != NULL ? bias + h * s : NULL, &a->k, &a->k_at));
  return add_bias(op, m, m->kv_rows, m->v_size, bias != NULL ? bias + 2 * h * s : NULL, &a->v, &a->v_at);
}

/* Where rows of queries and keys differ in number, the last query stands at the last key. */
static void describe(const weft_op *op, const multi *m, weft_cached_attention *f) {
  size_t ahead = m->kv_rows > m->rows ? m->kv_rows - m->rows : 0;
  *f = (weft_cached_attention){
      .past = m->past, .present_rows = present_room(m), .appends = !m->shared, .new_rows = m->kv_rows};
  f->a = (weft_attention){.batch = m->batch,
                          .q_heads = m->heads,
                          .kv_heads = m->heads,
                          .q_len = m->rows,
                          .kv_len = m->past + m->kv_rows,
                          .head = m->size,
                          .v_head = m->v_size,
                          .y_at = weft_heads_of(true, m->heads, m->rows, m->v_size),
                          .k_type = weft_op_in(op, Q)->type,
                          .v_type = weft_op_in(op, Q)->type,
                          .scale = weft_attention_scale(op, m->size),
                          .left = -1,
                          .right = weft_op_attr_int(op, "unidirectional", 0) != 0 ? 0 : -1,
                          .offset = (int64_t)(m->past + ahead),
                          .scores_stage = 2,
                          .scores_hidden = -FLT_MAX};
}

/* The new keys (k: of queries' size) or values follow the past ones. */
static weft_status join_past(weft_op *op, const multi *m, weft_cached_attention *f, int input, int output, size_t size,
                             const float **now, const uint16_t **halves, weft_heads *at) {
  const float *past = NULL;
  float *joined = NULL;
  const weft_tensor *beams = weft_op_in(op, m->roles->beams), *present = weft_op_out(op, output);
  const weft_tensor *in = weft_op_in_block(op, input);
  WEFT_TRY(weft_attention_open(op, f, input, output));
  if (weft_type_is_half(f->a.k_type) && beams == NULL && (in != NULL || present != NULL)) {
    return weft_attention_join_halves(op, f, f->a.k_type, in != NULL ? in->data : NULL,
                                      present != NULL ? present->data : NULL, size, *now, at, halves);
  }
  WEFT_TRY(weft_op_floats(op, in, &past));
  WEFT_TRY(weft_op_floats_out(op, present, &joined));
  WEFT_TRY(weft_attention_join(op, f, past, joined, size, now, at));
  weft_op_floats_done(op, present, joined);
  return beams != NULL ? weft_attention_follow(op, f, beams, size, now, at) : WEFT_OK;
}

weft_status weft_multi_head_attention_run(weft_op *op) {
  multi m;
  weft_cached_attention f;
  weft_attention *a = &f.a;
  weft_tensor *y = weft_op_out(op, 0), *scores = weft_op_out(op, 3), made;
  WEFT_TRY(read_multi(op, &m));
  describe(op, &m, &f);
  WEFT_TRY(place_multi(op, &m, a));
  WEFT_TRY(join_past(op, &m, &f, m.roles->past_key, 1, m.size, &a->k, &a->k_halves, &a->k_at));
  WEFT_TRY(join_past(op, &m, &f, m.roles->past_value, 2, m.v_size, &a->v, &a->v_halves, &a->v_at));
  WEFT_TRY(weft_attention_place_bias(op, m.roles->attention_bias, a));
  WEFT_TRY(weft_attention_place_mask(op, m.roles->mask, a, &made));
  return weft_attention_answer(op, a, y, scores);
}
