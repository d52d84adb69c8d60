/* com.microsoft's Attention and QAttention (with the projection of their inputs), MultiHeadAttention and
 * GroupQueryAttention, as optimised and quantised transformer files have them. Each brings queries, keys and values into
 * one description for the core; the keys and values of earlier calls are joined to the new ones first. Arithmetic is in
 * float, but for QAttention's projection. */
#include "attention.h"
#include "integer.h"
#include "product.h"

#include <math.h>
#include <string.h>

/* What the three have in common once their inputs are read. */
typedef struct frame {
  weft_attention a;
  const float *past_key, *past_value; /* [batch][kv_heads][past_room][size], or NULL */
  size_t past_room;                   /* rows that the past tensors hold */
  size_t present_room;                /* rows of present_key and present_value */
  size_t new_rows;
  const int64_t *past_rows; /* per batch: rows of the past that count; NULL: a.offset of them */
} frame;

static weft_status floats(weft_op *op, size_t a, size_t b, float **out) {
  void *room = NULL;
  size_t count = 0;
  if (!weft_mul(a, b, &count)) {
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the projections are larger than the address space");
  }
  WEFT_TRY(weft_op_scratch_array(op, count, sizeof(float), &room));
  *out = room;
  return WEFT_OK;
}

/* Lays the past and the new rows of keys or values end to end: out is [batch][kv_heads][present_room][size]. */
static void join(const frame *f, const float *past, const float *now, const weft_heads *at, size_t size, float *out) {
  const weft_attention *a = &f->a;
  for (size_t i = 0; i < a->batch * a->kv_heads; i++, out += f->present_room * size) {
    size_t batch = i / a->kv_heads, head = i % a->kv_heads;
    size_t before = f->past_rows != NULL ? (size_t)f->past_rows[batch] : (size_t)a->offset;
    if (past != NULL) {
      memcpy(out, past + i * f->past_room * size, before * size * sizeof *out);
    }
    for (size_t r = 0; r < f->new_rows; r++) {
      memcpy(out + (before + r) * size, now + batch * at->batch + head * at->head + r * at->row, size * sizeof *out);
    }
    memset(out + (before + f->new_rows) * size, 0, (f->present_room - before - f->new_rows) * size * sizeof *out);
  }
}

/* Keys (or values) become the joined ones where there is a past or the result is wanted; `present` may be NULL. */
static weft_status place_joined(weft_op *op, const frame *f, const float *past, float *present, size_t size,
                                const float **now, weft_heads *at) {
  if (past == NULL && present == NULL) {
    return WEFT_OK;
  }
  float *out = present;
  if (out == NULL) {
    WEFT_TRY(floats(op, f->a.batch * f->a.kv_heads, f->present_room * size, &out));
  }
  join(f, past, *now, at, size, out);
  *now = out;
  *at = weft_heads_of(false, f->a.kv_heads, f->present_room, size);
  return WEFT_OK;
}

static weft_status expect_shape(weft_op *op, int i, const char *name, int rank, const size_t *dims) {
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

static weft_status expect_floats(weft_op *op, int first, const int *numbers, size_t count) {
  uint32_t types = WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE);
  WEFT_TRY(weft_op_expect_type(op, first, "query", types));
  for (size_t i = 0; i < count; i++) {
    if (weft_op_has(op, numbers[i])) {
      WEFT_TRY(weft_op_expect_same_type(op, first, numbers[i]));
    }
  }
  return WEFT_OK;
}

/* An additive bias [batch or 1][heads or 1][queries][keys]. */
static weft_status place_bias(weft_op *op, int i, weft_attention *a) {
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

/* An int32 mask of keys: [batch] (how many count), [2 * batch] (ends, then begins), [batch][keys] or
 * [batch][queries][keys] (0: left out). It becomes numbers to add, joined with an additive bias where there is one. */
static weft_status place_key_mask(weft_op *op, int i, weft_attention *a, weft_tensor *made) {
  const weft_tensor *mask = weft_op_in(op, i);
  if (mask == NULL || (mask->shape.rank == 2 && mask->shape.dims[1] == 1 && a->kv_len != 1)) {
    return WEFT_OK; /* one column for many keys is how that runtime's own tools write "no mask" */
  }
  const int32_t *values = mask->data;
  bool by_length = mask->shape.rank == 1;
  size_t rows = mask->shape.rank == 3 ? a->q_len : 1;
  if (by_length ? mask->count != a->batch && mask->count != 2 * a->batch : mask->count != a->batch * rows * a->kv_len) {
    char text[96];
    return weft_op_unsupported(op, "a mask of shape %s", weft_shape_print(&mask->shape, text, sizeof text));
  }
  const weft_attention plain = *a;
  size_t heads = a->mask != NULL ? a->q_heads : 1;
  rows = a->mask != NULL ? a->q_len : rows;
  float *out = NULL, filter = weft_op_attr_float(op, "mask_filter_value", -10000);
  WEFT_TRY(floats(op, a->batch * heads, rows * a->kv_len, &out));
  *made = (weft_tensor){.type = WEFT_FLOAT, .count = a->batch * heads * rows * a->kv_len, .data = out};
  const float *bias = NULL;
  WEFT_TRY(weft_op_floats(op, plain.mask, &bias));
  for (size_t at = 0; at < made->count; at++) {
    size_t j = at % a->kv_len, row = at / a->kv_len % rows, head = at / a->kv_len / rows % heads;
    size_t batch = at / a->kv_len / rows / heads;
    bool seen =
        by_length
            ? (int64_t)j < values[batch] && (mask->count == a->batch || (int64_t)j >= values[a->batch + batch])
            : values[mask->shape.rank == 3 ? (batch * a->q_len + row) * a->kv_len + j : batch * a->kv_len + j] != 0;
    out[at] = seen ? 0 : filter;
    if (bias != NULL) {
      out[at] += bias[batch * plain.mask_at.batch + head * plain.mask_at.head + row * plain.mask_at.row + j];
    }
  }
  a->mask = made;
  a->mask_len = a->kv_len;
  a->mask_at = (weft_heads){
      .batch = heads * rows * a->kv_len, .head = heads > 1 ? rows * a->kv_len : 0, .row = rows > 1 ? a->kv_len : 0};
  return WEFT_OK;
}

static float scale_of(weft_op *op, size_t head) {
  float scale = weft_op_attr_float(op, "scale", 0);
  return scale != 0 ? scale : 1 / sqrtf((float)head);
}

/* ---- Attention
 * ---------------------------------------------------------------------------------------------------------- */
enum { INPUT, WEIGHTS, BIAS };
enum { INPUT_SCALE = 3, WEIGHT_SCALE, INPUT_ZERO = 6, WEIGHT_ZERO }; /* of QAttention */

/* Input numbers by role; -1: there is none. */
typedef struct projection_roles {
  int mask, past, bias, inputs;
} projection_roles;

static const projection_roles roles_of[] = {
    [WEFT_ATTENTION_FLOAT] = {3, 4, 5, 7},
    [WEFT_ATTENTION_INTEGER] = {5, 8, -1, 9},
};

typedef struct projection {
  size_t batch, rows, input, heads, past;
  size_t width[3]; /* of queries, keys, values: all heads */
} projection;

static weft_status read_projection(weft_op *op, projection *p) {
  const projection_roles *r = &roles_of[op->def->variant];
  const weft_tensor *x = weft_op_in(op, INPUT), *w = weft_op_in(op, WEIGHTS), *past = weft_op_in(op, r->past);
  size_t count = 0;
  const int64_t *sizes = weft_op_attr_ints(op, "qkv_hidden_sizes", &count);
  int64_t heads = weft_op_attr_int(op, "num_heads", 0);
  *p = (projection){.batch = (size_t)x->shape.dims[0],
                    .rows = (size_t)x->shape.dims[1],
                    .input = (size_t)x->shape.dims[2],
                    .heads = (size_t)heads};
  size_t columns = (size_t)w->shape.dims[1], sum = 0;
  for (int i = 0; i < 3; i++) {
    int64_t width = count == 3 ? sizes[i] : (int64_t)(columns / 3);
    if (heads < 1 || width < 1 || (size_t)width > columns || width % heads != 0) {
      return weft_op_fail(op, "%lld heads do not fit weights of %zu columns", (long long)heads, columns);
    }
    p->width[i] = (size_t)width;
    sum += p->width[i];
  }
  if (sum != columns || p->width[0] != p->width[1] || (size_t)w->shape.dims[0] != p->input ||
      (weft_op_has(op, BIAS) && weft_op_in(op, BIAS)->count != columns)) {
    return weft_op_fail(op, "the weights and bias do not fit an input of %zu columns", p->input);
  }
  if (past != NULL) {
    if (p->width[0] != p->width[2]) {
      return weft_op_unsupported(op, "a past with values of another size");
    }
    WEFT_TRY(expect_shape(op, r->past, "past", 5, (size_t[]){2, p->batch, p->heads, SIZE_MAX, p->width[0] / p->heads}));
    p->past = (size_t)past->shape.dims[3];
  }
  if (weft_op_attr_int(op, "do_rotary", 0) != 0 || weft_op_attr_int(op, "past_present_share_buffer", 0) != 0) {
    return weft_op_unsupported(op, "do_rotary and past_present_share_buffer");
  }
  return WEFT_OK;
}

static weft_status expect_projection(weft_op *op, const projection_roles *r) {
  if (op->def->variant == WEFT_ATTENTION_FLOAT) {
    return expect_floats(op, INPUT, (const int[]){WEIGHTS, BIAS, r->past, r->bias}, 4);
  }
  WEFT_TRY(weft_op_expect_inputs(op, WEIGHT_SCALE + 1, r->inputs));
  WEFT_TRY(weft_op_expect_type(op, INPUT, "input", WEFT_TYPES_BYTE));
  WEFT_TRY(weft_op_expect_type(op, WEIGHTS, "weight", WEFT_TYPES_BYTE));
  WEFT_TRY(weft_op_expect_type(op, INPUT_ZERO, "input_zero_point", WEFT_TYPE_BIT(weft_op_in(op, INPUT)->type)));
  WEFT_TRY(weft_op_expect_type(op, WEIGHT_ZERO, "weight_zero_point", WEFT_TYPE_BIT(weft_op_in(op, WEIGHTS)->type)));
  return expect_floats(op, INPUT_SCALE, (const int[]){WEIGHT_SCALE, BIAS, r->past}, 3);
}

weft_status weft_projected_attention_infer(weft_op *op) {
  const projection_roles *r = &roles_of[op->def->variant];
  WEFT_TRY(weft_op_expect_inputs(op, 2, r->inputs));
  WEFT_TRY(expect_projection(op, r));
  WEFT_TRY(weft_op_expect_rank(op, INPUT, "input", 3, 3));
  WEFT_TRY(weft_op_expect_rank(op, WEIGHTS, "weights", 2, 2));
  WEFT_TRY(weft_op_expect_type(op, r->mask, "mask_index", WEFT_TYPE_BIT(WEFT_INT32)));
  projection p;
  WEFT_TRY(read_projection(op, &p));
  weft_shape y = {.rank = 3, .dims = {(int64_t)p.batch, (int64_t)p.rows, (int64_t)p.width[2]}};
  weft_shape present = {
      .rank = 5,
      .dims = {2, (int64_t)p.batch, (int64_t)p.heads, (int64_t)(p.past + p.rows), (int64_t)(p.width[0] / p.heads)}};
  weft_type type = weft_op_in(op, op->def->variant == WEFT_ATTENTION_INTEGER ? INPUT_SCALE : INPUT)->type;
  WEFT_TRY(weft_op_set(op, 0, type, &y));
  return weft_op_set(op, 1, type, &present);
}

typedef struct projecting {
  const float *x, *w, *packed, *bias;
  size_t input, columns;
  float *out;
} projecting;

static void projection_at(const void *arg, size_t index, weft_product *out) {
  const projecting *p = arg;
  (void)index;
  *out = (weft_product){.a = p->x,
                        .lda = p->input,
                        .packed = p->packed,
                        .b = p->w,
                        .ldb = p->columns,
                        .c = p->out,
                        .ldc = p->columns,
                        .epilogue = {.column_bias = p->bias}};
}

static weft_status pack_integers(weft_op *op, size_t columns, size_t rows, void *out) {
  const weft_tensor *w = weft_op_in(op, WEIGHTS);
  void *zeros = NULL;
  WEFT_TRY(weft_op_scratch_array(op, columns, sizeof(int32_t), &zeros));
  WEFT_TRY(weft_op_zero_points(op, weft_op_in(op, WEIGHT_ZERO), "weight_zero_point", columns, zeros));
  op->cx->kernels->gemm_i8_pack_b(columns, rows, w->data, columns, false, w->type == WEFT_INT8, zeros, 1, out);
  return WEFT_OK;
}

weft_status weft_projected_attention_prepare(weft_op *op) {
  const weft_kernels *kernels = op->cx->kernels;
  const weft_tensor *w = weft_op_in(op, WEIGHTS);
  bool integer = op->def->variant == WEFT_ATTENTION_INTEGER;
  uint32_t types = integer ? WEFT_TYPES_BYTE : WEFT_TYPE_BIT(WEFT_FLOAT);
  if (!weft_op_is_constant(op, WEIGHTS) || (WEFT_TYPE_BIT(w->type) & types) == 0 || w->shape.rank != 2 ||
      w->count == 0 || (integer && weft_op_has(op, WEIGHT_ZERO) && !weft_op_is_constant(op, WEIGHT_ZERO))) {
    return WEFT_OK;
  }
  void *state = NULL;
  size_t rows = (size_t)w->shape.dims[0], columns = (size_t)w->shape.dims[1];
  size_t floats = weft_gemm_packed_size(columns, rows) * sizeof(float);
  WEFT_TRY(weft_op_state(op, integer ? kernels->gemm_i8_b_size(columns, rows) : floats, &state));
  if (integer) {
    WEFT_TRY(pack_integers(op, columns, rows, state));
  } else {
    kernels->gemm_f32_pack(columns, rows, w->data, columns, false, state);
  }
  weft_op_drop_constant(op, WEIGHTS);
  return WEFT_OK;
}

static weft_status project_floats(weft_op *op, size_t rows, projecting *job) {
  job->packed = op->node->state;
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, INPUT), &job->x));
  if (job->packed == NULL) {
    WEFT_TRY(weft_op_floats(op, weft_op_in(op, WEIGHTS), &job->w));
  }
  weft_products products = {
      .count = 1, .m = rows, .n = job->columns, .k = job->input, .arg = job, .at = projection_at};
  return weft_products_run(op, &products);
}

enum { INTEGER_ROWS = 64 }; /* of a piece of work */

typedef struct integers {
  const weft_kernels *kernels;
  const projecting *job;
  const uint8_t *a;
  const void *b;
  const float *scale;
  int32_t *sums;
} integers;

static void run_integers(void *arg, size_t begin, size_t end) {
  const integers *n = arg;
  size_t columns = n->job->columns, depth = n->job->input;
  const weft_rescale rescale = {.scale = n->scale, .scale_step = 1, .added = n->job->bias};
  n->kernels->gemm_i8(end - begin, columns, depth, n->a + n->kernels->gemm_i8_a_size(begin, depth), n->b, 0,
                      n->sums + begin * columns, columns);
  for (size_t i = begin; i < end; i++) {
    n->kernels->sums_to_f32(columns, n->sums + i * columns, &rescale, n->job->out + i * columns);
  }
}

static weft_status project_integers(weft_op *op, size_t rows, const projecting *job) {
  const weft_kernels *kernels = op->cx->kernels;
  const weft_tensor *x = weft_op_in(op, INPUT);
  void *a = NULL, *b = op->node->state, *scale = NULL, *sums = NULL;
  float x_scale = 1;
  int32_t x_zero = 0;
  WEFT_TRY(weft_op_scales(op, weft_op_in(op, INPUT_SCALE), "input_scale", 1, &x_scale));
  WEFT_TRY(weft_op_zero_points(op, weft_op_in(op, INPUT_ZERO), "input_zero_point", 1, &x_zero));
  WEFT_TRY(weft_op_scratch_array(op, job->columns, sizeof(float), &scale));
  WEFT_TRY(weft_op_scales(op, weft_op_in(op, WEIGHT_SCALE), "weight_scale", job->columns, scale));
  kernels->binary_f32[WEFT_BINARY_MUL](job->columns, scale, 1, &x_scale, 0, scale);
  WEFT_TRY(weft_op_scratch_array(op, rows * job->columns, sizeof(int32_t), &sums));
  WEFT_TRY(weft_op_scratch(op, kernels->gemm_i8_a_size(rows, job->input), &a));
  kernels->gemm_i8_pack_a(rows, job->input, x->data, job->input, x->type == WEFT_INT8, &x_zero, 0, a);
  if (b == NULL) {
    WEFT_TRY(weft_op_scratch(op, kernels->gemm_i8_b_size(job->columns, job->input), &b));
    WEFT_TRY(pack_integers(op, job->columns, job->input, b));
  }
  integers n = {.kernels = kernels, .job = job, .a = a, .b = b, .scale = scale, .sums = sums};
  weft_parallel(op->cx, rows, INTEGER_ROWS, run_integers, &n);
  return WEFT_OK;
}

weft_status weft_projected_attention_run(weft_op *op) {
  projection p;
  WEFT_TRY(read_projection(op, &p));
  size_t columns = p.width[0] + p.width[1] + p.width[2], size = p.width[0] / p.heads;
  weft_tensor *y = weft_op_out(op, 0), *present = weft_op_out(op, 1);
  const projection_roles *r = &roles_of[op->def->variant];
  projecting job = {.input = p.input, .columns = columns};
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, BIAS), &job.bias));
  WEFT_TRY(floats(op, p.batch * p.rows, columns, &job.out));
  WEFT_TRY(op->def->variant == WEFT_ATTENTION_INTEGER ? project_integers(op, p.batch * p.rows, &job)
                                                      : project_floats(op, p.batch * p.rows, &job));
  frame f = {.past_room = p.past, .present_room = p.past + p.rows, .new_rows = p.rows};
  f.a = (weft_attention){.batch = p.batch,
                         .q_heads = p.heads,
                         .kv_heads = p.heads,
                         .q_len = p.rows,
                         .kv_len = f.present_room,
                         .head = size,
                         .v_head = p.width[2] / p.heads,
                         .q = job.out,
                         .k = job.out + p.width[0],
                         .v = job.out + p.width[0] + p.width[1],
                         .q_at = {p.rows * columns, size, columns},
                         .k_at = {p.rows * columns, size, columns},
                         .v_at = {p.rows * columns, p.width[2] / p.heads, columns},
                         .y_at = weft_heads_of(true, p.heads, p.rows, p.width[2] / p.heads),
                         .scale = scale_of(op, size),
                         .left = -1,
                         .offset = (int64_t)p.past,
                         .right = weft_op_attr_int(op, "unidirectional", 0) != 0 ? 0 : -1};
  float *joined = NULL;
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, r->past), &f.past_key));
  size_t half = p.batch * p.heads * size;
  f.past_value = f.past_key != NULL ? f.past_key + half * p.past : NULL;
  WEFT_TRY(weft_op_floats_out(op, present, &joined));
  WEFT_TRY(place_joined(op, &f, f.past_key, joined, size, &f.a.k, &f.a.k_at));
  WEFT_TRY(place_joined(op, &f, f.past_value, joined != NULL ? joined + half * f.present_room : NULL, f.a.v_head,
                        &f.a.v, &f.a.v_at));
  weft_tensor made;
  WEFT_TRY(place_bias(op, r->bias, &f.a));
  WEFT_TRY(place_key_mask(op, r->mask, &f.a, &made));
  WEFT_TRY(weft_op_floats_out(op, y, &f.a.y));
  if (f.a.y != NULL) {
    WEFT_TRY(weft_attention_compute(op, &f.a));
  }
  weft_op_floats_done(op, y, f.a.y);
  weft_op_floats_done(op, present, joined);
  return WEFT_OK;
}

/* ---- MultiHeadAttention
 * ------------------------------------------------------------------------------------------------- */
enum { Q, K, V, M_BIAS, KEY_MASK, M_ATTENTION_BIAS, PAST_KEY, PAST_VALUE };

typedef struct multi {
  size_t batch, heads, rows, kv_rows, size, v_size, past;
  bool packed_qkv, packed_kv; /* [..., heads, 3 or 2, size] */
  bool kv_by_head;            /* keys and values are [batch][heads][rows][size] */
} multi;

static weft_status read_multi(weft_op *op, multi *m) {
  const weft_tensor *q = weft_op_in(op, Q), *k = weft_op_in(op, K), *v = weft_op_in(op, V);
  int64_t heads = weft_op_attr_int(op, "num_heads", 0);
  *m = (multi){.batch = (size_t)q->shape.dims[0], .rows = (size_t)q->shape.dims[1], .heads = (size_t)heads};
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
    WEFT_TRY(expect_shape(op, K, "key", 5, (size_t[]){n, m->kv_rows, h, 2, s}));
  } else if (m->kv_by_head) {
    WEFT_TRY(expect_shape(op, K, "key", 4, (size_t[]){n, h, m->kv_rows, s}));
    WEFT_TRY(expect_shape(op, V, "value", 4, (size_t[]){n, h, m->kv_rows, SIZE_MAX}));
    m->v_size = v != NULL ? (size_t)v->shape.dims[3] : 0;
  } else if (k != NULL) {
    WEFT_TRY(expect_shape(op, K, "key", 3, (size_t[]){n, m->kv_rows, h * s}));
    WEFT_TRY(expect_shape(op, V, "value", 3, (size_t[]){n, m->kv_rows, SIZE_MAX}));
    m->v_size = v != NULL && v->shape.dims[2] % heads == 0 ? (size_t)(v->shape.dims[2] / heads) : 0;
  }
  if (m->v_size == 0 || (k != NULL && !m->packed_kv && v == NULL)) {
    return weft_op_fail(op, "the value does not fit the key and %lld heads", (long long)heads);
  }
  if (weft_op_has(op, PAST_KEY)) {
    WEFT_TRY(expect_shape(op, PAST_KEY, "past_key", 4, (size_t[]){n, h, SIZE_MAX, s}));
    m->past = (size_t)weft_op_in(op, PAST_KEY)->shape.dims[2];
    if (!weft_op_has(op, PAST_VALUE)) {
      return weft_op_fail(op, "past_key without past_value");
    }
    WEFT_TRY(expect_shape(op, PAST_VALUE, "past_value", 4, (size_t[]){n, h, m->past, m->v_size}));
  }
  size_t bias = 2 * h * s + h * m->v_size;
  return weft_op_has(op, M_BIAS) && weft_op_in(op, M_BIAS)->count != bias
             ? weft_op_fail(op, "the bias holds %zu elements, expected %zu", weft_op_in(op, M_BIAS)->count, bias)
             : WEFT_OK;
}

weft_status weft_multi_head_attention_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 10));
  WEFT_TRY(expect_floats(op, Q, (const int[]){K, V, M_BIAS, M_ATTENTION_BIAS, PAST_KEY, PAST_VALUE}, 6));
  WEFT_TRY(weft_op_expect_rank(op, Q, "query", 3, 5));
  WEFT_TRY(weft_op_expect_type(op, KEY_MASK, "key_padding_mask", WEFT_TYPE_BIT(WEFT_INT32)));
  if (weft_op_has(op, 8) || weft_op_has(op, 9)) {
    return weft_op_unsupported(op, "a shared past buffer");
  }
  multi m;
  WEFT_TRY(read_multi(op, &m));
  int64_t n = (int64_t)m.batch, h = (int64_t)m.heads, total = (int64_t)(m.past + m.kv_rows);
  weft_type type = weft_op_in(op, Q)->type;
  weft_shape y = {.rank = 3, .dims = {n, (int64_t)m.rows, h * (int64_t)m.v_size}};
  weft_shape key = {.rank = 4, .dims = {n, h, total, (int64_t)m.size}};
  weft_shape value = {.rank = 4, .dims = {n, h, total, (int64_t)m.v_size}};
  weft_shape scores = {.rank = 4, .dims = {n, h, (int64_t)m.rows, total}};
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
  WEFT_TRY(floats(op, m->batch * rows, m->heads * size, &out));
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

static weft_status place_multi(weft_op *op, const multi *m, weft_attention *a) {
  const float *bias = NULL;
  size_t s = m->size, h = m->heads;
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, Q), &a->q));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, K), &a->k));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, V), &a->v));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, M_BIAS), &bias));
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
  WEFT_TRY(add_bias(op, m, m->kv_rows, s, bias != NULL ? bias + h * s : NULL, &a->k, &a->k_at));
  return add_bias(op, m, m->kv_rows, m->v_size, bias != NULL ? bias + 2 * h * s : NULL, &a->v, &a->v_at);
}

weft_status weft_multi_head_attention_run(weft_op *op) {
  multi m;
  WEFT_TRY(read_multi(op, &m));
  weft_tensor *y = weft_op_out(op, 0), *keys = weft_op_out(op, 1), *values = weft_op_out(op, 2), made;
  frame f = {.past_room = m.past, .present_room = m.past + m.kv_rows, .new_rows = m.kv_rows};
  f.a = (weft_attention){.batch = m.batch,
                         .q_heads = m.heads,
                         .kv_heads = m.heads,
                         .q_len = m.rows,
                         .kv_len = f.present_room,
                         .head = m.size,
                         .v_head = m.v_size,
                         .y_at = weft_heads_of(true, m.heads, m.rows, m.v_size),
                         .scale = scale_of(op, m.size),
                         .left = -1,
                         .right = weft_op_attr_int(op, "unidirectional", 0) != 0 ? 0 : -1,
                         .offset = (int64_t)m.past};
  float *present_key = NULL, *present_value = NULL;
  WEFT_TRY(place_multi(op, &m, &f.a));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, PAST_KEY), &f.past_key));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, PAST_VALUE), &f.past_value));
  WEFT_TRY(weft_op_floats_out(op, keys, &present_key));
  WEFT_TRY(weft_op_floats_out(op, values, &present_value));
  WEFT_TRY(place_joined(op, &f, f.past_key, present_key, m.size, &f.a.k, &f.a.k_at));
  WEFT_TRY(place_joined(op, &f, f.past_value, present_value, m.v_size, &f.a.v, &f.a.v_at));
  WEFT_TRY(place_bias(op, M_ATTENTION_BIAS, &f.a));
  WEFT_TRY(place_key_mask(op, KEY_MASK, &f.a, &made));
  WEFT_TRY(weft_op_floats_out(op, y, &f.a.y));
  WEFT_TRY(weft_op_floats_out(op, weft_op_out(op, 3), &f.a.scores));
  if (f.a.y != NULL) {
    WEFT_TRY(weft_attention_compute(op, &f.a));
  }
  weft_op_floats_done(op, y, f.a.y);
  weft_op_floats_done(op, keys, present_key);
  weft_op_floats_done(op, values, present_value);
  weft_op_floats_done(op, weft_op_out(op, 3), f.a.scores);
  return WEFT_OK;
}

/* ---- GroupQueryAttention
 * ------------------------------------------------------------------------------------------------ */
enum { G_PAST_KEY = 3, G_PAST_VALUE, LENGTHS, TOTAL, COSINE, SINE, POSITIONS, G_ATTENTION_BIAS, SINK };

typedef struct group_query {
  size_t batch, heads, kv_heads, rows, size, past_room, total;
  bool packed;
} group_query;

static weft_status read_group(weft_op *op, group_query *g) {
  const weft_tensor *q = weft_op_in(op, Q), *past = weft_op_in(op, G_PAST_KEY);
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
  WEFT_TRY(expect_shape(op, K, "key", 3, (size_t[]){g->batch, g->rows, g->kv_heads * g->size}));
  WEFT_TRY(expect_shape(op, V, "value", 3, (size_t[]){g->batch, g->rows, g->kv_heads * g->size}));
  if (weft_op_has(op, K) != weft_op_has(op, V) || weft_op_has(op, G_PAST_KEY) != weft_op_has(op, G_PAST_VALUE)) {
    return weft_op_fail(op, "keys and values go together");
  }
  if (past != NULL) {
    WEFT_TRY(expect_shape(op, G_PAST_KEY, "past_key", 4, (size_t[]){g->batch, g->kv_heads, SIZE_MAX, g->size}));
    g->past_room = (size_t)past->shape.dims[2];
    WEFT_TRY(expect_shape(op, G_PAST_VALUE, "past_value", 4, (size_t[]){g->batch, g->kv_heads, g->past_room, g->size}));
  }
  if (weft_op_in(op, LENGTHS)->count != g->batch) {
    return weft_op_fail(op, "seqlens_k holds %zu numbers, expected %zu", weft_op_in(op, LENGTHS)->count, g->batch);
  }
  WEFT_TRY(weft_op_scalar_int(op, TOTAL, "total_sequence_length", 0, &total));
  if (total < 0 || total > INT32_MAX) {
    return weft_op_fail(op, "total_sequence_length is %lld", (long long)total);
  }
  g->total = (size_t)total > g->past_room ? (size_t)total : g->past_room;
  return WEFT_OK;
}

weft_status weft_group_query_attention_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 12));
  WEFT_TRY(
      expect_floats(op, Q, (const int[]){K, V, G_PAST_KEY, G_PAST_VALUE, COSINE, SINE, G_ATTENTION_BIAS, SINK}, 8));
  WEFT_TRY(weft_op_expect_rank(op, Q, "query", 3, 3));
  WEFT_TRY(weft_op_expect_type(op, LENGTHS, "seqlens_k", WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_type(op, POSITIONS, "position_ids", WEFT_TYPE_BIT(WEFT_INT64)));
  if (!weft_op_has(op, LENGTHS) || !weft_op_has(op, TOTAL)) {
    return weft_op_fail(op, "seqlens_k and total_sequence_length are needed");
  }
  bool rotary = weft_op_attr_int(op, "do_rotary", 0) != 0;
  const weft_tensor *cosine = weft_op_in(op, COSINE), *sine = weft_op_in(op, SINE);
  group_query g;
  WEFT_TRY(read_group(op, &g));
  if (rotary &&
      (cosine == NULL || sine == NULL || cosine->shape.rank != 2 || !weft_shape_equal(&cosine->shape, &sine->shape) ||
       cosine->shape.dims[1] < 1 || (size_t)cosine->shape.dims[1] > g.size / 2)) {
    return weft_op_fail(op, "cos_cache and sin_cache do not fit heads of %zu", g.size);
  }
  if (weft_op_has(op, SINK) && weft_op_in(op, SINK)->count != g.heads) {
    return weft_op_fail(op, "head_sink holds %zu numbers, expected %zu", weft_op_in(op, SINK)->count, g.heads);
  }
  if (weft_op_has(op, POSITIONS) && weft_op_in(op, POSITIONS)->count != g.batch * g.rows) {
    return weft_op_fail(op, "position_ids holds %zu numbers, expected %zu", weft_op_in(op, POSITIONS)->count,
                        g.batch * g.rows);
  }
  weft_type type = weft_op_in(op, Q)->type;
  weft_shape y = {.rank = 3, .dims = {(int64_t)g.batch, (int64_t)g.rows, (int64_t)(g.heads * g.size)}};
  weft_shape present = {.rank = 4, .dims = {(int64_t)g.batch, (int64_t)g.kv_heads, (int64_t)g.total, (int64_t)g.size}};
  WEFT_TRY(weft_op_set(op, 0, type, &y));
  WEFT_TRY(weft_op_set(op, 1, type, &present));
  return weft_op_set(op, 2, type, &present);
}

/* Rotates all heads of queries (or keys) into a copy. */
static weft_status rotate(weft_op *op, const group_query *g, size_t heads, const int64_t *past, const float **in,
                          weft_heads *at) {
  const weft_tensor *cache = weft_op_in(op, COSINE), *given = weft_op_in(op, POSITIONS);
  const float *cosine = NULL, *sine = NULL;
  size_t half = (size_t)cache->shape.dims[1];
  bool interleaved = weft_op_attr_int(op, "rotary_interleaved", 0) != 0;
  float *out = NULL;
  weft_heads to = weft_heads_of(true, heads, g->rows, g->size);
  WEFT_TRY(weft_op_floats(op, cache, &cosine));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, SINE), &sine));
  WEFT_TRY(floats(op, g->batch * g->rows, heads * g->size, &out));
  for (size_t i = 0; i < g->batch * g->rows * heads; i++) {
    size_t head = i % heads, row = i / heads % g->rows, batch = i / heads / g->rows;
    int64_t place = given != NULL ? ((const int64_t *)given->data)[batch * g->rows + row] : past[batch] + (int64_t)row;
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

/* Per batch: the rows of the past that count, and all rows that do. */
static weft_status place_lengths(weft_op *op, const group_query *g, int64_t **past, int64_t **valid) {
  const int32_t *lengths = weft_op_in(op, LENGTHS)->data;
  int64_t total = 0;
  void *room = NULL;
  WEFT_TRY(weft_op_scalar_int(op, TOTAL, "total_sequence_length", 0, &total));
  WEFT_TRY(weft_op_scratch_array(op, 2 * g->batch, sizeof(int64_t), &room));
  *past = room;
  *valid = *past + g->batch;
  bool first = total == (int64_t)g->rows; /* a prompt: nothing of the past counts, short ones are padded at their end */
  for (size_t b = 0; b < g->batch; b++) {
    (*valid)[b] = (int64_t)lengths[b] + 1;
    (*past)[b] = first ? 0 : (*valid)[b] - (int64_t)g->rows;
    if ((*past)[b] < 0 || (size_t)(*past)[b] > g->past_room || (*valid)[b] < 0 || (size_t)(*valid)[b] > g->total ||
        (size_t)(*past)[b] + g->rows > g->total) {
      return weft_op_run_fail(op, "seqlens_k holds %ld, which does not fit %zu new rows and room for %zu",
                              (long)lengths[b], g->rows, g->total);
    }
  }
  return WEFT_OK;
}

/* smooth_softmax is a sink of 0 in every head. */
static weft_status place_sinks(weft_op *op, const group_query *g, const float **out) {
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, SINK), out));
  if (*out == NULL && weft_op_attr_int(op, "smooth_softmax", 0) > 0) {
    float *zeros = NULL;
    WEFT_TRY(floats(op, 1, g->heads, &zeros));
    memset(zeros, 0, g->heads * sizeof *zeros);
    *out = zeros;
  }
  return WEFT_OK;
}

weft_status weft_group_query_attention_run(weft_op *op) {
  group_query g;
  WEFT_TRY(read_group(op, &g));
  weft_tensor *y = weft_op_out(op, 0), *keys = weft_op_out(op, 1), *values = weft_op_out(op, 2);
  int64_t *past = NULL, *valid = NULL, window = weft_op_attr_int(op, "local_window_size", -1);
  WEFT_TRY(place_lengths(op, &g, &past, &valid));
  frame f = {.past_room = g.past_room, .present_room = g.total, .new_rows = g.rows, .past_rows = past};
  f.a = (weft_attention){.batch = g.batch,
                         .q_heads = g.heads,
                         .kv_heads = g.kv_heads,
                         .q_len = g.rows,
                         .kv_len = g.total,
                         .head = g.size,
                         .v_head = g.size,
                         .y_at = weft_heads_of(true, g.heads, g.rows, g.size),
                         .scale = scale_of(op, g.size),
                         .softcap = weft_op_attr_float(op, "softcap", 0),
                         .left = window > 0 ? window - 1 : -1,
                         .right = 0,
                         .offsets = past,
                         .valid = valid};
  weft_attention *a = &f.a;
  float *present_key = NULL, *present_value = NULL;
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, Q), &a->q));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, K), &a->k));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, V), &a->v));
  a->q_at = weft_heads_of(true, g.heads, g.rows, g.size);
  a->k_at = a->v_at = weft_heads_of(true, g.kv_heads, g.rows, g.size);
  if (g.packed) {
    size_t row = (g.heads + 2 * g.kv_heads) * g.size;
    a->k = a->q + g.heads * g.size;
    a->v = a->k + g.kv_heads * g.size;
    a->q_at = a->k_at = a->v_at = (weft_heads){g.rows * row, g.size, row};
  }
  if (weft_op_attr_int(op, "do_rotary", 0) != 0) {
    WEFT_TRY(rotate(op, &g, g.heads, past, &a->q, &a->q_at));
    WEFT_TRY(rotate(op, &g, g.kv_heads, past, &a->k, &a->k_at));
  }
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, G_PAST_KEY), &f.past_key));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, G_PAST_VALUE), &f.past_value));
  WEFT_TRY(weft_op_floats_out(op, keys, &present_key));
  WEFT_TRY(weft_op_floats_out(op, values, &present_value));
  if (present_key == NULL) {
    WEFT_TRY(floats(op, g.batch * g.kv_heads, g.total * g.size, &present_key));
  }
  if (present_value == NULL) {
    WEFT_TRY(floats(op, g.batch * g.kv_heads, g.total * g.size, &present_value));
  }
  WEFT_TRY(place_joined(op, &f, f.past_key, present_key, g.size, &a->k, &a->k_at));
  WEFT_TRY(place_joined(op, &f, f.past_value, present_value, g.size, &a->v, &a->v_at));
  WEFT_TRY(place_bias(op, G_ATTENTION_BIAS, a));
  WEFT_TRY(place_sinks(op, &g, &a->sinks));
  WEFT_TRY(weft_op_floats_out(op, y, &a->y));
  if (a->y != NULL) {
    WEFT_TRY(weft_attention_compute(op, a));
  }
  weft_op_floats_done(op, y, a->y);
  weft_op_floats_done(op, keys, present_key);
  weft_op_floats_done(op, values, present_value);
  return WEFT_OK;
}
