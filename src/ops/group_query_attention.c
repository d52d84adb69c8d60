/* com.microsoft's GroupQueryAttention: query heads share key heads, positions are turned into the queries and keys
 * here, and every sequence of a batch has its own length within the buffers of past keys and values. */
#include "integer.h"
#include "microsoft_attention.h"
#include "product.h"

#include <math.h>
#include <string.h>

enum { Q, K, V, PAST_KEY, PAST_VALUE, LENGTHS, TOTAL, COSINE, SINE, POSITIONS, ATTENTION_BIAS, SINK };
enum { KEY_SCALE = 12, VALUE_SCALE, QUERY_NORM, KEY_NORM, QUERY_LENGTHS, INPUTS };

typedef struct group_query {
  size_t batch, heads, kv_heads, rows, size, past_room;
  size_t total, room; /* rows of keys that count at most, and that the present tensors hold */
  size_t staged;      /* rows that past and new ones take side by side: `room`, but of a windowed cache */
  size_t window;      /* past and present hold no more than the last rows, at least so many; 0: all of them */
  bool packed;
} group_query;

/* Whether past and present hold small integers, and of how many bits. */
static unsigned cache_bits(const weft_op *op) {
  const weft_tensor *past = weft_op_in(op, PAST_KEY);
  if (past == NULL || (WEFT_TYPE_BIT(past->type) & WEFT_TYPES_BYTE) == 0) {
    return 0;
  }
  return past->type == WEFT_INT8 ? 8 : 4;
}

/* Numbers of a head as the caches hold them. */
static size_t cache_row(const weft_op *op, const group_query *g) {
  return cache_bits(op) == 4 ? (g->size + 1) / 2 : g->size;
}

static weft_status read_window(weft_op *op, group_query *g) {
  int64_t window = weft_op_attr_int(op, "local_window_size", -1);
  if (weft_op_out(op, 3) != NULL) {
    return weft_op_unsupported(op, "output_qk where the cache is a window's");
  }
  if (window < 1 || window > INT32_MAX || (size_t)window > g->past_room) {
    return weft_op_fail(op, "sliding_window_cache: past_key of %zu rows cannot hold a window of %lld", g->past_room,
                        (long long)window);
  }
  g->window = (size_t)window;
  g->room = g->past_room;
  g->staged = g->past_room + g->rows;
  return WEFT_OK;
}

/* How many rows a windowed cache holds after so many tokens: once full it is cut to its window and fills again. */
static size_t resident(const group_query *g, size_t tokens) {
  size_t step = g->room - g->window + 1;
  return tokens <= g->room ? tokens : tokens - (tokens - g->room + step - 1) / step * step;
}

static weft_status read_group(weft_op *op, group_query *g) {
  const weft_tensor *q = weft_op_in(op, Q), *past = weft_op_in(op, PAST_KEY);
  int64_t heads = weft_op_attr_int(op, "num_heads", 0), kv_heads = weft_op_attr_int(op, "kv_num_heads", 0), total = 0;
  *g = (group_query){.batch = (size_t)q->shape.dims[0],
                     .rows = (size_t)q->shape.dims[1],
                     .heads = (size_t)heads,
                     .kv_heads = (size_t)kv_heads,
                     .packed = !weft_op_has(op, K)};
  bool sound = heads >= 1 && kv_heads >= 1 && heads <= INT32_MAX && kv_heads <= heads && heads % kv_heads == 0;
  int64_t all = !sound ? 1 : g->packed ? heads + 2 * kv_heads : heads;
  if (!sound || q->shape.dims[2] % all != 0) {
    return weft_op_fail(op, "%lld query heads and %lld key heads do not fit the query", (long long)heads,
                        (long long)kv_heads);
  }
  g->size = (size_t)(q->shape.dims[2] / all);
  WEFT_TRY(weft_attention_expect_shape(op, K, "key", 3, (size_t[]){g->batch, g->rows, g->kv_heads * g->size}));
  WEFT_TRY(weft_attention_expect_shape(op, V, "value", 3, (size_t[]){g->batch, g->rows, g->kv_heads * g->size}));
  if (weft_op_has(op, K) != weft_op_has(op, V) || weft_op_has(op, PAST_KEY) != weft_op_has(op, PAST_VALUE)) {
    return weft_op_fail(op, "keys and values go together");
  }
  if (past != NULL) {
    size_t row = cache_row(op, g);
    WEFT_TRY(
        weft_attention_expect_shape(op, PAST_KEY, "past_key", 4, (size_t[]){g->batch, g->kv_heads, SIZE_MAX, row}));
    g->past_room = (size_t)past->shape.dims[2];
    WEFT_TRY(weft_attention_expect_shape(op, PAST_VALUE, "past_value", 4,
                                         (size_t[]){g->batch, g->kv_heads, g->past_room, row}));
  }
  WEFT_TRY(weft_op_expect_count(op, LENGTHS, "seqlens_k", g->batch));
  WEFT_TRY(weft_op_scalar_int(op, TOTAL, "total_sequence_length", 0, &total));
  if (total < 0 || total > INT32_MAX) {
    return weft_op_fail(op, "total_sequence_length: expected 0 to 2^31 - 1, found %lld", (long long)total);
  }
  g->total = (size_t)total;
  g->room = g->staged = g->total > g->past_room ? g->total : g->past_room;
  return weft_op_attr_int(op, "sliding_window_cache", 0) != 0 ? read_window(op, g) : WEFT_OK;
}

static weft_status expect_inputs(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, INPUTS));
  WEFT_TRY(weft_attention_expect_floats(
      op, Q, (const int[]){K, V, COSINE, SINE, ATTENTION_BIAS, SINK, QUERY_NORM, KEY_NORM}, 8));
  WEFT_TRY(weft_op_expect_rank(op, Q, "query", 3, 3));
  WEFT_TRY(weft_op_expect_type(op, LENGTHS, "seqlens_k", WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_type(op, POSITIONS, "position_ids", WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(weft_op_expect_type(op, PAST_KEY, "past_key", WEFT_TYPE_BIT(weft_op_in(op, Q)->type) | WEFT_TYPES_BYTE));
  WEFT_TRY(weft_op_expect_same_type(op, PAST_KEY, PAST_VALUE));
  if (!weft_op_has(op, LENGTHS) || !weft_op_has(op, TOTAL)) {
    return weft_op_fail(op, "seqlens_k and total_sequence_length are needed");
  }
  if (weft_op_has(op, QUERY_NORM) != weft_op_has(op, KEY_NORM)) {
    return weft_op_fail(op, "q_norm_weight and k_norm_weight go together");
  }
  return WEFT_OK;
}

/* Small integers have one scale, or one for each number of each head. */
static weft_status expect_scale(weft_op *op, const group_query *g, int i, const char *name) {
  const weft_tensor *scale = weft_op_in(op, i);
  WEFT_TRY(weft_op_expect_type(op, i, name, WEFT_TYPE_BIT(WEFT_FLOAT)));
  if (cache_bits(op) == 0 || (scale != NULL && (scale->count == 1 || scale->count == g->kv_heads * g->size))) {
    return WEFT_OK;
  }
  return weft_op_fail(op, "%s: expected one scale or %zu for past of small integers", name, g->kv_heads * g->size);
}

weft_status weft_group_query_attention_infer(weft_op *op) {
  WEFT_TRY(expect_inputs(op));
  const weft_tensor *cosine = weft_op_in(op, COSINE), *sine = weft_op_in(op, SINE);
  group_query g;
  WEFT_TRY(read_group(op, &g));
  if (weft_op_attr_int(op, "do_rotary", 0) != 0 &&
      (cosine == NULL || sine == NULL || cosine->shape.rank != 2 || !weft_shape_equal(&cosine->shape, &sine->shape) ||
       cosine->shape.dims[1] < 1 || (size_t)cosine->shape.dims[1] > g.size / 2)) {
    return weft_op_fail(op, "cos_cache and sin_cache do not fit heads of %zu", g.size);
  }
  WEFT_TRY(weft_op_expect_type(op, QUERY_LENGTHS, "query_seqlens", WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_count(op, QUERY_LENGTHS, "query_seqlens", g.batch));
  WEFT_TRY(weft_op_expect_count(op, SINK, "head_sink", g.heads));
  WEFT_TRY(weft_op_expect_count(op, POSITIONS, "position_ids", g.batch * g.rows));
  WEFT_TRY(weft_op_expect_count(op, QUERY_NORM, "q_norm_weight", g.size));
  WEFT_TRY(weft_op_expect_count(op, KEY_NORM, "k_norm_weight", g.size));
  WEFT_TRY(expect_scale(op, &g, KEY_SCALE, "k_scale"));
  WEFT_TRY(expect_scale(op, &g, VALUE_SCALE, "v_scale"));
  int64_t bits = cache_bits(op), told = weft_op_attr_int(op, "kv_cache_bit_width", bits);
  if (bits != 0 && told != bits) {
    return weft_op_unsupported(op, "kv_cache_bit_width %lld in caches of %lld bits", (long long)told, (long long)bits);
  }
  weft_type type = weft_op_in(op, Q)->type, cache = cache_bits(op) != 0 ? weft_op_in(op, PAST_KEY)->type : type;
  int64_t n = (int64_t)g.batch, rows = (int64_t)g.rows, heads = (int64_t)g.heads;
  weft_shape y = {.rank = 3, .dims = {n, rows, heads * (int64_t)g.size}};
  weft_shape present = {.rank = 4, .dims = {n, (int64_t)g.kv_heads, (int64_t)g.room, (int64_t)cache_row(op, &g)}};
  weft_shape scores = {.rank = 4, .dims = {n, heads, rows, (int64_t)g.total}};
  WEFT_TRY(weft_op_set(op, 0, type, &y));
  WEFT_TRY(weft_op_set(op, 1, cache, &present));
  WEFT_TRY(weft_op_set(op, 2, cache, &present));
  return weft_op_set(op, 3, type, &scores);
}

/* ---- heads: normalised, turned -------------------------------------------------------------------------------- */
/* Divides all heads of queries (or keys) by their root mean square, in a copy. */
static weft_status normalise(weft_op *op, const group_query *g, size_t heads, int weight, const float **in,
                             weft_heads *at) {
  const float *scale = NULL;
  float *out = NULL;
  weft_heads to = weft_heads_of(true, heads, g->rows, g->size);
  float epsilon = weft_op_attr_float(op, "qk_norm_epsilon", 1e-6F);
  epsilon = weft_op_attr_float(op, weight == QUERY_NORM ? "q_norm_epsilon" : "k_norm_epsilon", epsilon);
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, weight), &scale));
  if (scale == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch_floats(op, g->batch * g->rows, heads * g->size, &out));
  for (size_t i = 0; i < g->batch * g->rows * heads; i++) {
    size_t head = i % heads, row = i / heads % g->rows, batch = i / heads / g->rows;
    op->cx->kernels->layer_norm_f32(g->size, *in + batch * at->batch + head * at->head + row * at->row, scale, NULL,
                                    epsilon, true, out + i * g->size, NULL, NULL);
  }
  *in = out;
  *at = to;
  return WEFT_OK;
}

/* Rotates all heads of queries (or keys) into a copy. */
static weft_status rotate(weft_op *op, const group_query *g, size_t heads, const int64_t *past, const int64_t *counts,
                          const float **in, weft_heads *at) {
  const weft_tensor *cache = weft_op_in(op, COSINE), *given = weft_op_in(op, POSITIONS);
  const float *cosine = NULL, *sine = NULL;
  size_t half = (size_t)cache->shape.dims[1];
  bool interleaved = weft_op_attr_int(op, "rotary_interleaved", 0) != 0;
  float *out = NULL;
  weft_heads to = weft_heads_of(true, heads, g->rows, g->size);
  WEFT_TRY(weft_op_floats(op, cache, &cosine));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, SINE), &sine));
  WEFT_TRY(weft_op_scratch_floats(op, g->batch * g->rows, heads * g->size, &out));
  for (size_t i = 0; i < g->batch * g->rows * heads; i++) {
    size_t head = i % heads, row = i / heads % g->rows, batch = i / heads / g->rows;
    int64_t place = past[batch] + (int64_t)row;
    if (given != NULL) { /* a prompt has its first place only */
      const int64_t *places = given->data;
      place = g->total == g->rows ? places[0] + (int64_t)row : places[batch * g->rows + row];
    }
    if (counts != NULL && (int64_t)row >= counts[batch]) {
      place = 0; /* padding */
    }
    if (place < 0 || place >= cache->shape.dims[0]) {
      return weft_op_run_fail(op, "position %lld is out of range: the caches hold %lld", (long long)place,
                              (long long)cache->shape.dims[0]);
    }
    const float *x = *in + batch * at->batch + head * at->head + row * at->row;
    float *y = out + batch * to.batch + head * to.head + row * to.row;
    weft_rotate_head(g->size, 2 * half, interleaved, x, cosine + (size_t)place * half, sine + (size_t)place * half, y);
  }
  *in = out;
  *at = to;
  return WEFT_OK;
}

/* Per batch: the rows of the past that count, all rows that do, and the new ones (NULL: all of them). */
static weft_status place_lengths(weft_op *op, const group_query *g, int64_t **past, int64_t **valid, int64_t **counts) {
  const int32_t *lengths = weft_op_in(op, LENGTHS)->data;
  const weft_tensor *fresh = weft_op_in(op, QUERY_LENGTHS);
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, 3 * g->batch, sizeof(int64_t), &room));
  *past = room;
  *valid = *past + g->batch;
  *counts = fresh != NULL ? *valid + g->batch : NULL;
  bool first = g->total == g->rows &&
               fresh == NULL; /* a prompt: nothing of the past counts, short ones are padded at their end */
  for (size_t b = 0; b < g->batch; b++) {
    (*valid)[b] = (int64_t)lengths[b] + 1;
    int64_t rows = fresh != NULL ? ((const int32_t *)fresh->data)[b] : (int64_t)g->rows;
    if (rows < 0 || (size_t)rows > g->rows) {
      return weft_op_run_fail(op, "query_seqlens holds %lld, expected at most %zu", (long long)rows, g->rows);
    }
    if (fresh != NULL) {
      (*counts)[b] = rows;
    }
    (*past)[b] = first ? 0 : (*valid)[b] - rows;
    if ((*past)[b] < 0 || (g->window == 0 && (size_t)(*past)[b] > g->past_room) || (*valid)[b] < 0 ||
        (size_t)(*valid)[b] > g->total || (size_t)((*past)[b] + rows) > g->total) {
      return weft_op_run_fail(op, "seqlens_k holds %ld, which does not fit %zu new rows of %zu in all",
                              (long)lengths[b], g->rows, g->total);
    }
  }
  return WEFT_OK;
}

/* ---- past and present ----------------------------------------------------------------------------------------- */
/* A cache of integers: two of 4 bits share a byte, the even one its lower half, and stand for themselves less 8. */
typedef struct cache {
  size_t kv_heads, room, size, row;
  unsigned bits;
  const float *scale;
  size_t scales;
} cache;

static void cache_of(const weft_op *op, const group_query *g, int scale, size_t room, cache *out) {
  const weft_tensor *scales = weft_op_in(op, scale);
  *out = (cache){.kv_heads = g->kv_heads,
                 .room = room,
                 .size = g->size,
                 .row = cache_row(op, g),
                 .bits = cache_bits(op),
                 .scale = scales->data,
                 .scales = scales->count};
}

static float scale_at(const cache *c, size_t row, size_t i) {
  return c->scale[c->scales == 1 ? 0 : row / c->room % c->kv_heads * c->size + i];
}

static void cache_load(const cache *c, size_t rows, const uint8_t *in, float *out) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t i = 0; i < c->size; i++) {
      const uint8_t *at = in + row * c->row + (c->bits == 4 ? i / 2 : i);
      int32_t whole = c->bits == 4 ? (*at >> (i % 2 * 4) & 15) - 8 : (int8_t)*at;
      out[row * c->size + i] = (float)whole * scale_at(c, row, i);
    }
  }
}

static void cache_store(const cache *c, size_t rows, const float *in, uint8_t *out) {
  float low = c->bits == 4 ? -8 : -128, high = c->bits == 4 ? 7 : 127;
  memset(out, 0, rows * c->row);
  for (size_t row = 0; row < rows; row++) {
    for (size_t i = 0; i < c->size; i++) {
      float scale = scale_at(c, row, i);
      float whole = scale == 0 ? 0 : rintf(in[row * c->size + i] / scale);
      int32_t byte = (int32_t)(whole > low ? whole < high ? whole : high : low);
      if (c->bits == 4) {
        out[row * c->row + i / 2] |= (uint8_t)((byte + 8) << (i % 2 * 4));
      } else {
        out[row * c->row + i] = (uint8_t)byte;
      }
    }
  }
}

static weft_status load_past(weft_op *op, const group_query *g, int input, int scale, const float **out) {
  const weft_tensor *past = weft_op_in_block(op, input);
  if (past == NULL || cache_bits(op) == 0) {
    return weft_op_floats(op, past, out);
  }
  cache c;
  float *values = NULL;
  cache_of(op, g, scale, g->past_room, &c);
  WEFT_TRY(weft_op_scratch_floats(op, g->batch * g->kv_heads * g->past_room, g->size, &values));
  cache_load(&c, g->batch * g->kv_heads * g->past_room, past->data, values);
  *out = values;
  return WEFT_OK;
}

/* Of all tokens so far, past and new rows are those that a windowed cache held and the new ones: places within them.
 * How many rows there are at most. */
static size_t place_window(const group_query *g, int64_t *past, int64_t *valid) {
  size_t most = 0;
  for (size_t b = 0; b < g->batch; b++) {
    int64_t gone = past[b] - (int64_t)resident(g, (size_t)past[b]);
    past[b] -= gone;
    valid[b] -= gone;
    most = (size_t)valid[b] > most ? (size_t)valid[b] : most;
  }
  return most;
}

/* The last rows, each of `unit` bytes, become a windowed cache. */
static void keep_window(const weft_op *op, const group_query *g, const int64_t *valid, size_t unit, const void *from,
                        void *to) {
  const int32_t *lengths = weft_op_in(op, LENGTHS)->data;
  for (size_t i = 0; i < g->batch * g->kv_heads; i++) {
    size_t b = i / g->kv_heads, count = resident(g, (size_t)((int64_t)lengths[b] + 1));
    char *out = (char *)to + i * g->room * unit;
    memcpy(out, (const char *)from + (i * g->staged + (size_t)valid[b] - count) * unit, count * unit);
    memset(out + count * unit, 0, (g->room - count) * unit);
  }
}

/* Whether all rows of the past count, in every sequence, and are fewer than those of present. */
static bool appends(const group_query *g, const int64_t *past) {
  bool all = g->window == 0 && g->total > g->past_room;
  for (size_t b = 0; all && b < g->batch; b++) {
    all = (size_t)past[b] == g->past_room;
  }
  return all;
}

/* Keys (or values) follow the past ones; what the present tensor cannot hold exactly is read back from it. */
static weft_status join_past(weft_op *op, const group_query *g, weft_cached_attention *f, int input, int output,
                             int scale, const float **now, const uint16_t **halves, weft_heads *at) {
  const float *past = NULL;
  float *joined = NULL, *kept = NULL;
  size_t rows = g->batch * g->kv_heads * g->staged;
  bool whole = g->window == 0, integers = cache_bits(op) != 0;
  WEFT_TRY(weft_attention_open(op, f, input, output));
  const weft_tensor *present = weft_op_out(op, output);
  void *held = present != NULL ? present->data : NULL;
  weft_type type = weft_op_in(op, Q)->type;
  if (whole && !integers && type != WEFT_FLOAT) {
    const weft_tensor *in = weft_op_in(op, input);
    return weft_attention_join_halves(op, f, type, in != NULL ? in->data : NULL, held, g->size, *now, at, halves);
  }
  WEFT_TRY(load_past(op, g, input, scale, &past));
  if (!integers) {
    WEFT_TRY(weft_op_floats_out(op, present, &kept));
  }
  joined = whole ? kept : NULL;
  if (joined == NULL) {
    WEFT_TRY(weft_op_scratch_floats(op, rows, g->size, &joined));
  }
  WEFT_TRY(weft_attention_join(op, f, past, joined, g->size, now, at));
  if (present == NULL) {
    return WEFT_OK;
  }
  if (integers) {
    cache c;
    cache_of(op, g, scale, g->staged, &c);
    if (!whole) {
      WEFT_TRY(weft_op_scratch_array(op, rows, c.row, &held));
    }
    cache_store(&c, rows, joined, held);
    cache_load(&c, rows, held, joined);
  }
  if (!whole) {
    size_t unit = integers ? cache_row(op, g) : g->size * sizeof *joined;
    keep_window(op, g, f->a.valid, unit, integers ? held : joined, integers ? present->data : (void *)kept);
  }
  if (!integers) {
    weft_op_floats_done(op, present, kept);
  }
  return WEFT_OK;
}

/* A bias has a column for every token so far: each sequence takes those of the rows that it still holds. */
static weft_status cut_bias(weft_op *op, const group_query *g, weft_attention *a, weft_tensor *made) {
  const int32_t *lengths = weft_op_in(op, LENGTHS)->data;
  const float *bias = NULL;
  float *out = NULL;
  if (a->mask == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_floats(op, a->mask, &bias));
  WEFT_TRY(weft_op_scratch_floats(op, g->batch * g->heads * g->rows, a->kv_len, &out));
  for (size_t i = 0; i < g->batch * g->heads * g->rows; i++) {
    size_t row = i % g->rows, head = i / g->rows % g->heads, b = i / g->rows / g->heads;
    size_t from = b * a->mask_at.batch + head * a->mask_at.head + row * a->mask_at.row;
    size_t gone = (size_t)(lengths[b] + 1 - a->valid[b]);
    memcpy(out + i * a->kv_len, bias + from + gone, (size_t)a->valid[b] * sizeof *out);
  }
  *made = (weft_tensor){.type = WEFT_FLOAT, .data = out};
  a->mask = made;
  a->mask_len = a->kv_len;
  a->mask_at = weft_heads_of(false, g->heads, g->rows, a->kv_len);
  return WEFT_OK;
}

/* smooth_softmax is a sink of 0 in every head. */
static weft_status place_sinks(weft_op *op, const group_query *g, const float **out) {
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, SINK), out));
  if (*out == NULL && weft_op_attr_int(op, "smooth_softmax", 0) > 0) {
    float *zeros = NULL;
    WEFT_TRY(weft_op_scratch_floats(op, 1, g->heads, &zeros));
    memset(zeros, 0, g->heads * sizeof *zeros);
    *out = zeros;
  }
  return WEFT_OK;
}

/* Queries, keys and values where they lie in the inputs, then normalised and turned as is asked. */
static weft_status place_heads(weft_op *op, const group_query *g, const int64_t *past, const int64_t *counts,
                               weft_attention *a) {
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, Q), &a->q));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, K), &a->k));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, V), &a->v));
  a->q_at = weft_heads_of(true, g->heads, g->rows, g->size);
  a->k_at = a->v_at = weft_heads_of(true, g->kv_heads, g->rows, g->size);
  if (g->packed) {
    size_t row = (g->heads + 2 * g->kv_heads) * g->size;
    a->k = a->q + g->heads * g->size;
    a->v = a->k + g->kv_heads * g->size;
    a->q_at = a->k_at = a->v_at = (weft_heads){g->rows * row, g->size, row};
  }
  WEFT_TRY(normalise(op, g, g->heads, QUERY_NORM, &a->q, &a->q_at));
  WEFT_TRY(normalise(op, g, g->kv_heads, KEY_NORM, &a->k, &a->k_at));
  if (weft_op_attr_int(op, "do_rotary", 0) != 0) {
    WEFT_TRY(rotate(op, g, g->heads, past, counts, &a->q, &a->q_at));
    WEFT_TRY(rotate(op, g, g->kv_heads, past, counts, &a->k, &a->k_at));
  }
  return WEFT_OK;
}

weft_status weft_group_query_attention_run(weft_op *op) {
  group_query g;
  WEFT_TRY(read_group(op, &g));
  weft_tensor *y = weft_op_out(op, 0), *scores = weft_op_out(op, 3);
  int64_t *past = NULL, *valid = NULL, *counts = NULL, window = weft_op_attr_int(op, "local_window_size", -1);
  WEFT_TRY(place_lengths(op, &g, &past, &valid, &counts));
  weft_cached_attention f = {.present_rows = g.staged,
                             .appends = appends(&g, past),
                             .new_rows = g.rows,
                             .past_rows = past,
                             .new_counts = counts};
  f.a = (weft_attention){.batch = g.batch,
                         .q_heads = g.heads,
                         .kv_heads = g.kv_heads,
                         .q_len = g.rows,
                         .kv_len = g.total,
                         .head = g.size,
                         .v_head = g.size,
                         .y_at = weft_heads_of(true, g.heads, g.rows, g.size),
                         .scale = weft_attention_scale(op, g.size),
                         .softcap = weft_op_attr_float(op, "softcap", 0),
                         .left = window > 0 ? window - 1 : -1,
                         .right = weft_op_attr_int(op, "causal", 1) != 0 ? 0 : -1,
                         .offsets = past,
                         .valid = valid,
                         .scores_stage = weft_op_attr_int(op, "qk_output", 0) == 2 ? 3 : 2};
  weft_attention *a = &f.a;
  a->k_type = a->v_type = weft_op_in(op, Q)->type;
  weft_tensor cut;
  WEFT_TRY(place_heads(op, &g, past, counts, a));
  WEFT_TRY(weft_attention_place_bias(op, ATTENTION_BIAS, a));
  if (g.window != 0) {
    a->kv_len = place_window(&g, past, valid);
    WEFT_TRY(cut_bias(op, &g, a, &cut));
  }
  WEFT_TRY(join_past(op, &g, &f, PAST_KEY, 1, KEY_SCALE, &a->k, &a->k_halves, &a->k_at));
  WEFT_TRY(join_past(op, &g, &f, PAST_VALUE, 2, VALUE_SCALE, &a->v, &a->v_halves, &a->v_at));
  WEFT_TRY(place_sinks(op, &g, &a->sinks));
  return weft_attention_answer(op, a, y, scores);
}
