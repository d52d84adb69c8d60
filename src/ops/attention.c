/* ONNX's Attention: checks the many forms its inputs may take and describes them to the core. Halves are widened. Weft's
 * own, which optimize/attention.c makes of others' nodes, differs as that file says. */
#include "attention.h"
#include "../base/convert.h"

#include "product.h"

#include <math.h>
#include <string.h>

enum { Q, K, V, MASK, PAST_KEY, PAST_VALUE, VALID, FACTORS };
enum { Y, PRESENT_KEY, PRESENT_VALUE, SCORES };

/* The sizes of a three- or four-dimensional operand. */
typedef struct sizes {
  size_t batch, heads, rows, size;
  bool rows_first;
} sizes;

typedef struct form {
  sizes q, k, v;
  size_t past, total;
} form;

static weft_status read_sizes(weft_op *op, int i, const char *name, int64_t heads, sizes *out) {
  const weft_shape *shape = &weft_op_in(op, i)->shape;
  if (shape->rank == 4) {
    *out =
        (sizes){(size_t)shape->dims[0], (size_t)shape->dims[1], (size_t)shape->dims[2], (size_t)shape->dims[3], false};
    return WEFT_OK;
  }
  if (shape->rank != 3 || heads < 1 || shape->dims[2] % heads != 0) {
    char text[96];
    return weft_op_fail(op,
                        "input '%s' of shape %s: expected 4 dimensions, or 3 of which the last divides into %lld heads",
                        name, weft_shape_print(shape, text, sizeof text), (long long)heads);
  }
  *out = (sizes){(size_t)shape->dims[0], (size_t)heads, (size_t)shape->dims[1], (size_t)(shape->dims[2] / heads), true};
  return WEFT_OK;
}

static weft_status expect_past(weft_op *op, int i, const char *name, const sizes *now, size_t *past) {
  const weft_tensor *t = weft_op_in(op, i);
  if (t == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_expect_rank(op, i, name, 4, 4));
  const int64_t *d = t->shape.dims;
  if ((size_t)d[0] != now->batch || (size_t)d[1] != now->heads || (size_t)d[3] != now->size) {
    char text[96];
    return weft_op_fail(op, "input '%s' has shape %s, expected [%zu,%zu,past,%zu]", name,
                        weft_shape_print(&t->shape, text, sizeof text), now->batch, now->heads, now->size);
  }
  *past = (size_t)d[2];
  return WEFT_OK;
}

static weft_status read_form(weft_op *op, form *f) {
  *f = (form){0};
  WEFT_TRY(read_sizes(op, Q, "Q", weft_op_attr_int(op, "q_num_heads", 0), &f->q));
  int64_t heads = weft_op_attr_int(op, "kv_num_heads", weft_op_attr_int(op, "q_num_heads", 0));
  WEFT_TRY(read_sizes(op, K, "K", heads, &f->k));
  WEFT_TRY(read_sizes(op, V, "V", heads, &f->v));
  if (f->q.batch != f->k.batch || f->q.batch != f->v.batch || f->k.heads != f->v.heads || f->k.rows != f->v.rows ||
      f->q.size != f->k.size || f->k.heads == 0 || f->q.heads % f->k.heads != 0) {
    char q[96], k[96], v[96];
    return weft_op_fail(op, "Q %s, K %s and V %s do not go together",
                        weft_shape_print(&weft_op_in(op, Q)->shape, q, sizeof q),
                        weft_shape_print(&weft_op_in(op, K)->shape, k, sizeof k),
                        weft_shape_print(&weft_op_in(op, V)->shape, v, sizeof v));
  }
  size_t other = 0;
  WEFT_TRY(expect_past(op, PAST_KEY, "past_key", &f->k, &f->past));
  WEFT_TRY(expect_past(op, PAST_VALUE, "past_value", &f->v, &other));
  if (weft_op_has(op, PAST_KEY) != weft_op_has(op, PAST_VALUE) || f->past != other) {
    return weft_op_fail(op, "past_key and past_value go together, with the same length");
  }
  f->total = f->past + f->k.rows;
  return WEFT_OK;
}

static weft_status check_mask(weft_op *op, const form *f) {
  const weft_tensor *mask = weft_op_in(op, MASK);
  if (mask == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_expect_rank(op, MASK, "attn_mask", 1, 4));
  size_t full[4] = {f->q.batch, f->q.heads, f->q.rows, f->total};
  const bool may_be_short = op->def->variant == WEFT_ATTENTION_PLAIN;
  int skipped = 4 - mask->shape.rank;
  for (int d = skipped; d < 4; d++) {
    size_t dim = (size_t)mask->shape.dims[d - skipped];
    if (d == 3 ? dim > full[d] || (dim < full[d] && !may_be_short) : dim != 1 && dim != full[d]) {
      char text[96];
      return weft_op_fail(op, "attn_mask of shape %s does not broadcast to [%zu,%zu,%zu,%zu]",
                          weft_shape_print(&mask->shape, text, sizeof text), full[0], full[1], full[2], full[3]);
    }
  }
  return WEFT_OK;
}

/* Whether the result is [batch, row, heads x size], as Q is or Weft's own attribute says. */
static bool joins_heads(const weft_op *op, const form *f) {
  return f->q.rows_first || weft_op_attr_int(op, "joined", 0) != 0;
}

static weft_status check_precision(weft_op *op) {
  int64_t type = weft_op_attr_int(op, "softmax_precision", 0);
  if (type != 0 && (!weft_type_is_valid(type) || (WEFT_TYPE_BIT(type) & WEFT_TYPES_FLOAT) == 0)) {
    return weft_op_fail(op, "attribute softmax_precision: expected a floating type, found %lld", (long long)type);
  }
  return WEFT_OK;
}

weft_status weft_attention_infer(weft_op *op) {
  const bool fused = op->def->variant == WEFT_ATTENTION_FUSED;
  WEFT_TRY(weft_op_expect_inputs(op, 3, fused ? op->input_count : FACTORS));
  for (int i = FACTORS; i < op->input_count; i++) {
    if (weft_op_in(op, i)->type != WEFT_FLOAT || weft_op_in(op, i)->count != 1) {
      return weft_op_fail(op, "a factor of the scores has %zu elements, expected one float", weft_op_in(op, i)->count);
    }
  }
  WEFT_TRY(check_precision(op));
  WEFT_TRY(weft_op_expect_type(op, Q, "Q", WEFT_TYPES_FLOAT));
  /* In Weft's own, keys of 16 bits may meet floats: so caches in 16 bits are read as they are. */
  const weft_type keys = weft_op_in(op, K)->type;
  if (!fused || weft_op_in(op, Q)->type != WEFT_FLOAT || !weft_type_is_half(keys)) {
    WEFT_TRY(weft_op_expect_same_type(op, Q, K));
  }
  WEFT_TRY(weft_op_expect_type(op, V, "V", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_type(op, MASK, "attn_mask", WEFT_TYPES_NUMERIC | WEFT_TYPE_BIT(WEFT_BOOL)));
  WEFT_TRY(weft_op_expect_type(op, PAST_KEY, "past_key", WEFT_TYPE_BIT(weft_op_in(op, K)->type)));
  WEFT_TRY(weft_op_expect_type(op, PAST_VALUE, "past_value", WEFT_TYPE_BIT(weft_op_in(op, V)->type)));
  WEFT_TRY(weft_op_expect_type(op, VALID, "nonpad_kv_seqlen", WEFT_TYPE_BIT(WEFT_INT64)));
  form f;
  if (weft_op_out(op, Y) == NULL) {
    return weft_op_fail(op, "output 'Y' is missing");
  }
  WEFT_TRY(read_form(op, &f));
  WEFT_TRY(check_mask(op, &f));
  WEFT_TRY(weft_op_expect_count(op, VALID, "nonpad_kv_seqlen", f.q.batch));
  if (weft_op_attr_int(op, "left_window_size", -1) < -1 || weft_op_attr_int(op, "right_window_size", -1) < -1) {
    return weft_op_fail(op, "left_window_size and right_window_size: expected at least -1");
  }
  int64_t stage;
  WEFT_TRY(weft_op_attr_within(op, "qk_matmul_output_mode", 0, 0, 3, &stage));
  int64_t batch = (int64_t)f.q.batch, heads = (int64_t)f.q.heads, rows = (int64_t)f.q.rows, size = (int64_t)f.v.size;
  weft_shape y = {.rank = 4, .dims = {batch, heads, rows, size}};
  if (joins_heads(op, &f)) {
    y = (weft_shape){.rank = 3, .dims = {batch, rows, heads * size}};
  }
  weft_shape key = {.rank = 4, .dims = {batch, (int64_t)f.k.heads, (int64_t)f.total, (int64_t)f.k.size}};
  weft_shape value = key;
  value.dims[3] = size;
  weft_shape scores = {.rank = 4, .dims = {batch, heads, rows, (int64_t)f.total}};
  weft_type type = weft_op_in(op, Q)->type;
  WEFT_TRY(weft_op_set(op, Y, type, &y));
  WEFT_TRY(weft_op_set(op, PRESENT_KEY, weft_op_in(op, K)->type, &key));
  WEFT_TRY(weft_op_set(op, PRESENT_VALUE, weft_op_in(op, V)->type, &value));
  return weft_op_set(op, SCORES, type, &scores);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
/* [batch][head][room][size] of the past, which may lie there already, and the new, in any element type. */
static void join(const weft_tensor *past, const weft_tensor *now, const weft_heads *at, const sizes *s,
                 size_t past_rows, size_t room, char *out) {
  const size_t unit = weft_type_size(now->type), row = s->size * unit;
  const char *from = past != NULL && past->data != out ? past->data : NULL;
  for (size_t i = 0; i < s->batch * s->heads; i++, out += room * row) {
    if (from != NULL) {
      memcpy(out, from + i * (size_t)past->shape.dims[2] * row, past_rows * row);
    }
    const char *fresh = (const char *)now->data + (i / s->heads * at->batch + i % s->heads * at->head) * unit;
    for (size_t r = 0; r < s->rows; r++) {
      memcpy(out + (past_rows + r) * row, fresh + r * at->row * unit, row);
    }
  }
}

/* Keys (or values) as the core reads them: as they are, or joined to the past. */
static weft_status place_cache(weft_op *op, int now, int past, int present, const sizes *s, size_t past_rows,
                               weft_tensor *out, weft_heads *at) {
  const weft_tensor *in = weft_op_in_block(op, now);
  *out = *in;
  *at = weft_heads_of(s->rows_first, s->heads, s->rows_first ? s->rows : (size_t)in->shape.dims[2], s->size);
  if (weft_op_out(op, present) == NULL && !weft_op_has(op, past)) {
    return WEFT_OK;
  }
  size_t room = past_rows + s->rows;
  WEFT_TRY(weft_op_grow(op, present, past, true));
  if (weft_op_out(op, present) != NULL) {
    *out = *weft_value_block(op->outputs[present]);
    room = (size_t)out->shape.dims[2];
  } else {
    out->count = s->batch * s->heads * room * s->size;
    WEFT_TRY(weft_op_scratch_array(op, out->count, weft_type_size(in->type), &out->data));
  }
  join(weft_op_in_block(op, past), in, at, s, past_rows, room, out->data);
  *at = weft_heads_of(false, s->heads, room, s->size);
  return WEFT_OK;
}

static void place_mask(weft_op *op, weft_attention *a) {
  a->mask = weft_op_in(op, MASK);
  if (a->mask == NULL) {
    return;
  }
  const weft_shape *shape = &a->mask->shape;
  size_t dims[4] = {1, 1, 1, 1};
  for (int d = 0; d < shape->rank; d++) {
    dims[4 - shape->rank + d] = (size_t)shape->dims[d];
  }
  a->mask_len = dims[3];
  a->mask_at = (weft_heads){.batch = dims[0] > 1 ? dims[1] * dims[2] * dims[3] : 0,
                            .head = dims[1] > 1 ? dims[2] * dims[3] : 0,
                            .row = dims[2] > 1 ? dims[3] : 0};
}

static weft_status describe(weft_op *op, const form *f, weft_attention *a) {
  *a = (weft_attention){.batch = f->q.batch,
                        .q_heads = f->q.heads,
                        .kv_heads = f->k.heads,
                        .q_len = f->q.rows,
                        .kv_len = f->total,
                        .head = f->q.size,
                        .v_head = f->v.size,
                        .q_at = weft_heads_of(f->q.rows_first, f->q.heads, f->q.rows, f->q.size),
                        .y_at = weft_heads_of(joins_heads(op, f), f->q.heads, f->q.rows, f->v.size),
                        .scale = weft_op_attr_float(op, "scale", 1 / sqrtf((float)f->q.size)),
                        .softcap = weft_op_attr_float(op, "softcap", 0),
                        .left = weft_op_attr_int(op, "left_window_size", -1),
                        .right = weft_op_attr_int(op, "right_window_size", -1),
                        .offset = (int64_t)f->past,
                        .scores_stage = (int)weft_op_attr_int(op, "qk_matmul_output_mode", 0),
                        .scores_hidden = -INFINITY,
                        .softmax_type = (weft_type)weft_op_attr_int(op, "softmax_precision", 0)};
  if (weft_op_attr_int(op, "is_causal", 0) != 0) {
    a->right = 0; /* a positive right window is cut by causality */
  }
  for (int i = FACTORS; i < op->input_count; i++) {
    const float factor = ((const float *)weft_op_in(op, i)->data)[0];
    a->scale = i < op->input_count - (int)weft_op_attr_int(op, "divisors", 0) ? a->scale * factor : a->scale / factor;
  }
  place_mask(op, a);
  const weft_tensor *valid = weft_op_in(op, VALID);
  if (valid != NULL) {
    a->valid = valid->data;
    void *room = NULL;
    WEFT_TRY(weft_op_scratch_array(op, f->q.batch, sizeof(int64_t), &room));
    for (size_t b = 0; b < f->q.batch; b++) {
      if (a->valid[b] < 0 || a->valid[b] > (int64_t)f->total) {
        return weft_op_run_fail(op, "nonpad_kv_seqlen holds %lld, expected 0 to %zu", (long long)a->valid[b], f->total);
      }
      ((int64_t *)room)[b] = a->valid[b] - (int64_t)f->q.rows;
    }
    a->offsets = f->past == 0 && !weft_op_has(op, PAST_KEY) ? room : NULL;
  }
  return WEFT_OK;
}

static weft_status run_double(weft_op *op, const weft_attention *a, const weft_tensor *k, const weft_tensor *v) {
  weft_tensor *scores = weft_op_out(op, SCORES);
  bool given = weft_node_attribute(op->node, "scale") != NULL;
  weft_attention_double d = {.q = weft_op_in(op, Q)->data,
                             .k = k->data,
                             .v = v->data,
                             .y = weft_op_out(op, Y)->data,
                             .scores = scores != NULL ? scores->data : NULL,
                             .scale = given ? (double)a->scale : 1 / sqrt((double)a->head)};
  return weft_attention_compute_double(op, a, &d);
}

/* V may have another floating type than Q and K: it takes theirs where one is double precision. */
static weft_status match_precision(weft_op *op, weft_type type, weft_tensor *v) {
  if ((v->type == WEFT_DOUBLE) == (type == WEFT_DOUBLE)) {
    return WEFT_OK;
  }
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, v->count, v->type == WEFT_DOUBLE ? sizeof(float) : sizeof(double), &room));
  if (v->type == WEFT_DOUBLE) {
    weft_load_float(v->type, v->data, 0, 1, v->count, room);
    v->type = WEFT_FLOAT;
  } else {
    weft_load_double(v->type, v->data, 0, 1, v->count, room);
    v->type = WEFT_DOUBLE;
  }
  v->data = room;
  return WEFT_OK;
}

/* Keys or values as the core reads them. */
static weft_status place_rows(weft_op *op, const weft_tensor *rows, const float **floats, const uint16_t **halves,
                              weft_type *type) {
  if (weft_type_is_half(rows->type)) {
    *halves = rows->data;
    *type = rows->type;
    return WEFT_OK;
  }
  return weft_op_floats(op, rows, floats);
}

weft_status weft_attention_run(weft_op *op) {
  form f;
  weft_attention a;
  weft_tensor k, v;
  WEFT_TRY(read_form(op, &f));
  WEFT_TRY(describe(op, &f, &a));
  WEFT_TRY(place_cache(op, K, PAST_KEY, PRESENT_KEY, &f.k, f.past, &k, &a.k_at));
  WEFT_TRY(place_cache(op, V, PAST_VALUE, PRESENT_VALUE, &f.v, f.past, &v, &a.v_at));
  WEFT_TRY(match_precision(op, weft_op_in(op, Q)->type, &v));
  if (v.type == WEFT_DOUBLE) {
    return run_double(op, &a, &k, &v);
  }
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, Q), &a.q));
  WEFT_TRY(place_rows(op, &k, &a.k, &a.k_halves, &a.k_type));
  WEFT_TRY(place_rows(op, &v, &a.v, &a.v_halves, &a.v_type));
  WEFT_TRY(weft_op_floats_out(op, weft_op_out(op, Y), &a.y));
  WEFT_TRY(weft_op_floats_out(op, weft_op_out(op, SCORES), &a.scores));
  WEFT_TRY(weft_attention_compute(op, &a));
  weft_op_floats_done(op, weft_op_out(op, Y), a.y);
  weft_op_floats_done(op, weft_op_out(op, SCORES), a.scores);
  return WEFT_OK;
}
