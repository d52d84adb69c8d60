/* The common part of com.microsoft's attention operators, as optimised and quantised transformer files have them. */
#include "microsoft_attention.h"
#include "product.h"

#include <math.h>
#include <string.h>

weft_status weft_attention_open(weft_op *op, weft_cached_attention *f, int past, int present) {
  WEFT_TRY(weft_op_grow(op, present, past, f->appends));
  const weft_value *out = weft_op_out(op, present) != NULL ? op->outputs[present] : NULL;
  const weft_tensor *in = weft_op_in_block(op, past);
  f->past_room = in != NULL ? (size_t)in->shape.dims[2] : 0;
  f->present_room = out != NULL && out->apart != 0 ? (size_t)weft_value_block(out)->shape.dims[2] : f->present_rows;
  return WEFT_OK;
}

/* Lays the past and the new rows of keys or values end to end: out is [batch][kv_heads][present_room][size]. */
static void join(weft_op *op, const weft_cached_attention *f, weft_type type, const char *past, const float *now,
                 const weft_heads *at, size_t size, char *out) {
  const weft_attention *a = &f->a;
  const size_t row = size * weft_type_size(type);
  const bool there = past == out;
  for (size_t i = 0; i < a->batch * a->kv_heads; i++, out += f->present_room * row) {
    size_t batch = i / a->kv_heads, head = i % a->kv_heads;
    size_t before = f->past_rows != NULL ? (size_t)f->past_rows[batch] : f->past;
    size_t rows = f->new_counts != NULL ? (size_t)f->new_counts[batch] : f->new_rows;
    if (past != NULL && !there) {
      memcpy(out, past + i * f->past_room * row, before * row);
    }
    for (size_t r = 0; r < rows; r++) {
      weft_narrow(op->cx->kernels, type, size, now + batch * at->batch + head * at->head + r * at->row,
                  out + (before + r) * row);
    }
    size_t end = before + rows, rest = (f->present_rows - end) * row;
    if (past != NULL && f->past_rows == NULL && rest > 0) { /* a shared buffer stays as it is */
      memcpy(out + end * row, past + (i * f->past_room + end) * row, rest);
    } else {
      memset(out + end * row, 0, rest);
    }
  }
}

weft_status weft_attention_join(weft_op *op, const weft_cached_attention *f, const float *past, float *present,
                                size_t size, const float **now, weft_heads *at) {
  if (past == NULL && present == NULL && f->present_rows == f->new_rows) {
    return WEFT_OK;
  }
  float *out = present;
  if (out == NULL) {
    WEFT_TRY(weft_op_scratch_floats(op, f->a.batch * f->a.kv_heads, f->present_room * size, &out));
  }
  join(op, f, WEFT_FLOAT, (const char *)past, *now, at, size, (char *)out);
  *now = out;
  *at = weft_heads_of(false, f->a.kv_heads, f->present_room, size);
  return WEFT_OK;
}

weft_status weft_attention_join_halves(weft_op *op, const weft_cached_attention *f, weft_type type, const void *past,
                                       void *present, size_t size, const float *now, weft_heads *at,
                                       const uint16_t **out) {
  if (present == NULL) {
    WEFT_TRY(weft_op_scratch_array(op, f->a.batch * f->a.kv_heads * f->present_room, size * sizeof **out, &present));
  }
  join(op, f, type, past, now, at, size, present);
  *out = present;
  *at = weft_heads_of(false, f->a.kv_heads, f->present_room, size);
  return WEFT_OK;
}

weft_status weft_attention_follow(weft_op *op, const weft_cached_attention *f, const weft_tensor *sources, size_t size,
                                  const float **now, weft_heads *at) {
  float *out = NULL;
  const weft_attention *a = &f->a;
  size_t beams = (size_t)sources->shape.dims[1], room = (size_t)sources->shape.dims[2];
  weft_heads to = weft_heads_of(false, a->kv_heads, a->kv_len, size);
  WEFT_TRY(weft_op_scratch_floats(op, a->batch * a->kv_heads, a->kv_len * size, &out));
  for (size_t i = 0; i < a->batch * a->kv_len; i++) {
    size_t batch = i / a->kv_len, row = i % a->kv_len;
    int32_t source = (int32_t)(batch % beams);
    if (row < f->past) {
      source = ((const int32_t *)sources->data)[batch * room + row];
    }
    if (source < 0 || (size_t)source >= beams) {
      return weft_op_run_fail(op, "cache_indirection holds %ld, expected a beam below %zu", (long)source, beams);
    }
    for (size_t head = 0; head < a->kv_heads; head++) {
      memcpy(out + batch * to.batch + head * to.head + row * to.row,
             *now + (batch - batch % beams + (size_t)source) * at->batch + head * at->head + row * at->row,
             size * sizeof *out);
    }
  }
  *now = out;
  *at = to;
  return WEFT_OK;
}

weft_status weft_attention_expect_shape(weft_op *op, int i, const char *name, int rank, const size_t *dims) {
  const weft_tensor *t = weft_op_in(op, i);
  bool fits = t == NULL || t->shape.rank == rank;
  for (int d = 0; t != NULL && fits && d < rank; d++) {
    fits = (size_t)t->shape.dims[d] == dims[d] || dims[d] == SIZE_MAX;
  }
  char text[96];
  return fits ? WEFT_OK
              : weft_op_fail(op, "input '%s' of shape %s does not fit the other inputs", name,
                             weft_shape_print(&t->shape, text, sizeof text));
}

weft_status weft_attention_expect_floats(weft_op *op, int first, const int *numbers, size_t count) {
  uint32_t types = WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE);
  WEFT_TRY(weft_op_expect_type(op, first, "query", types));
  for (size_t i = 0; i < count; i++) {
    if (weft_op_has(op, numbers[i])) {
      WEFT_TRY(weft_op_expect_same_type(op, first, numbers[i]));
    }
  }
  return WEFT_OK;
}

weft_status weft_attention_place_bias(weft_op *op, int i, weft_attention *a) {
  const weft_tensor *bias = weft_op_in(op, i);
  if (bias == NULL) {
    return WEFT_OK;
  }
  const int64_t *d = bias->shape.dims;
  if (bias->shape.rank != 4 || ((size_t)d[0] != a->batch && d[0] != 1) || ((size_t)d[1] != a->q_heads && d[1] != 1) ||
      (size_t)d[2] != a->q_len || (size_t)d[3] < a->kv_len) {
    char text[96];
    return weft_op_fail(op, "attention_bias of shape %s does not fit %zu queries and %zu keys",
                        weft_shape_print(&bias->shape, text, sizeof text), a->q_len, a->kv_len);
  }
  size_t row = (size_t)d[3], head = row * a->q_len;
  a->mask = bias;
  a->mask_len = a->kv_len;
  a->mask_at = (weft_heads){.batch = d[0] > 1 ? (size_t)d[1] * head : 0, .head = d[1] > 1 ? head : 0, .row = row};
  return WEFT_OK;
}

/* ---- masks of keys ----------------------------------------------------------------------------------------------- */
typedef enum mask_form { FORM_NONE, FORM_LENGTHS, FORM_RANGES, FORM_KEYS, FORM_QUERIES, FORM_PLACES } mask_form;

/* [batch] or [3 * batch + 2]: how many keys count, in the first of its numbers; [2 * batch]: ends, then begins;
 * [batch][keys] or [batch][queries][keys]: which keys; [batch][1][places][places]: the same for the places in a
 * sequence that the queries have. */
static weft_status form_of(weft_op *op, const weft_tensor *mask, const weft_attention *a, mask_form *out) {
  const weft_shape *s = &mask->shape;
  size_t batch = a->batch, keys = a->kv_len;
  if (s->rank == 1 && mask->count == 2 * batch) {
    *out = FORM_RANGES;
  } else if (s->rank == 1 && (mask->count == batch || mask->count == 3 * batch + 2)) {
    *out = FORM_LENGTHS;
  } else if (s->rank == 2 && mask->count == batch * keys) {
    *out = FORM_KEYS;
  } else if (s->rank == 2 && s->dims[1] == 1) {
    *out = FORM_NONE; /* one column for many keys is how that runtime's own tools write "no mask" */
  } else if (s->rank == 3 && mask->count == batch * a->q_len * keys) {
    *out = FORM_QUERIES;
  } else if (s->rank == 4 && (size_t)s->dims[0] == batch && s->dims[1] == 1 && s->dims[2] == s->dims[3] &&
             (size_t)s->dims[2] >= keys && a->offset + (int64_t)a->q_len <= s->dims[2]) {
    *out = FORM_PLACES;
  } else {
    char text[96];
    return weft_op_fail(op, "a mask of shape %s does not fit %zu sequences, %zu queries and %zu keys",
                        weft_shape_print(s, text, sizeof text), batch, a->q_len, keys);
  }
  return WEFT_OK;
}

static bool is_seen(const weft_tensor *mask, mask_form form, const weft_attention *a, size_t batch, size_t row,
                    size_t key) {
  const int32_t *values = mask->data;
  size_t side = (size_t)mask->shape.dims[mask->shape.rank - 1];
  switch (form) {
  case FORM_LENGTHS:
    return (int64_t)key < values[batch];
  case FORM_RANGES:
    return (int64_t)key < values[batch] && (int64_t)key >= values[a->batch + batch];
  case FORM_KEYS:
    return values[batch * a->kv_len + key] > 0;
  case FORM_QUERIES:
    return values[(batch * a->q_len + row) * a->kv_len + key] > 0;
  default:
    return values[(batch * side + (size_t)a->offset + row) * side + key] > 0;
  }
}

weft_status weft_attention_place_mask(weft_op *op, int i, weft_attention *a, weft_tensor *made) {
  const weft_tensor *mask = weft_op_in(op, i);
  mask_form form = FORM_NONE;
  if (mask != NULL) {
    WEFT_TRY(form_of(op, mask, a, &form));
  }
  if (form == FORM_NONE) {
    return WEFT_OK;
  }
  const weft_attention plain = *a;
  size_t heads = a->mask != NULL ? a->q_heads : 1, keys = a->kv_len;
  size_t rows = a->mask != NULL || form == FORM_QUERIES || form == FORM_PLACES ? a->q_len : 1;
  float *out = NULL, filter = weft_op_attr_float(op, "mask_filter_value", -10000);
  WEFT_TRY(weft_op_scratch_floats(op, a->batch * heads, rows * keys, &out));
  *made = (weft_tensor){.type = WEFT_FLOAT, .count = a->batch * heads * rows * keys, .data = out};
  const float *bias = NULL;
  WEFT_TRY(weft_op_floats(op, plain.mask, &bias));
  for (size_t at = 0; at < made->count; at++) {
    size_t j = at % keys, row = at / keys % rows, head = at / keys / rows % heads, batch = at / keys / rows / heads;
    out[at] = is_seen(mask, form, a, batch, row, j) ? 0 : filter;
    if (bias != NULL) {
      out[at] += bias[batch * plain.mask_at.batch + head * plain.mask_at.head + row * plain.mask_at.row + j];
    }
  }
  a->mask = made;
  a->mask_len = keys;
  a->mask_at =
      (weft_heads){.batch = heads * rows * keys, .head = heads > 1 ? rows * keys : 0, .row = rows > 1 ? keys : 0};
  return WEFT_OK;
}

float weft_attention_scale(const weft_op *op, size_t head) {
  float scale = weft_op_attr_float(op, "scale", 0);
  return scale != 0 ? scale : 1 / sqrtf((float)head);
}

weft_status weft_attention_answer(weft_op *op, weft_attention *a, const weft_tensor *y, const weft_tensor *scores) {
  WEFT_TRY(weft_op_floats_out(op, y, &a->y));
  WEFT_TRY(weft_op_floats_out(op, scores, &a->scores));
  if (a->y != NULL) {
    WEFT_TRY(weft_attention_compute(op, a));
  }
  weft_op_floats_done(op, y, a->y);
  weft_op_floats_done(op, scores, a->scores);
  return WEFT_OK;
}
