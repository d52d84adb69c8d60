/* com.microsoft's Attention and QAttention: self-attention together with the projection of its input to queries, keys
 * and values, in float or with 8-bit operands. */
#include "../base/elementary.h"
#include "integer.h"
#include "microsoft_attention.h"
#include "product.h"

#include <math.h>
#include <string.h>

enum { INPUT, WEIGHTS, BIAS };
enum { INPUT_SCALE = 3, WEIGHT_SCALE, INPUT_ZERO = 6, WEIGHT_ZERO }; /* of QAttention */

/* Input numbers by role; -1: there is none. */
typedef struct projection_roles {
  int mask, past, bias, past_rows, inputs;
} projection_roles;

static const projection_roles roles_of[] = {
    [WEFT_ATTENTION_FLOAT] = {3, 4, 5, 6, 7},
    [WEFT_ATTENTION_INTEGER] = {5, 8, -1, -1, 9},
};

typedef struct projection {
  size_t batch, rows, input, heads;
  size_t past, past_room; /* rows that count, rows that there are: more where past and present share a buffer */
  bool shared;
  size_t width[3]; /* of queries, keys, values: all heads */
  size_t rotated;  /* numbers of a head that are turned by its place; 0: none */
} projection;

static bool wants_present(const weft_op *op) {
  return op->node->output_count > 1 && op->node->outputs[1] >= 0;
}

static weft_status read_rotation(weft_op *op, projection *p) {
  size_t size = p->width[0] / p->heads;
  int64_t rotated = weft_op_attr_int(op, "rotary_embedding_dim", 0);
  if (weft_op_attr_int(op, "do_rotary", 0) == 0) {
    return WEFT_OK;
  }
  p->rotated = rotated > 0 ? (size_t)rotated : size;
  return p->rotated > size || p->rotated % 2 != 0
             ? weft_op_fail(op, "attribute 'rotary_embedding_dim' is %lld where heads have %zu numbers",
                            (long long)rotated, size)
             : WEFT_OK;
}

/* Past and present are one buffer of fixed size; an input says how many of its rows count. */
static weft_status read_shared(weft_op *op, const projection_roles *r, projection *p) {
  int64_t past = 0;
  if (!weft_op_has(op, r->past_rows)) {
    return weft_op_fail(op, "past_sequence_length is needed where past and present share a buffer");
  }
  WEFT_TRY(weft_op_scalar_int(op, r->past_rows, "past_sequence_length", 0, &past));
  if (past < 0 || (size_t)past > p->past_room || p->rows > p->past_room - (size_t)past) {
    return weft_op_fail(op, "past_sequence_length is %lld: %zu new rows do not fit a buffer of %zu", (long long)past,
                        p->rows, p->past_room);
  }
  p->past = (size_t)past;
  p->shared = true;
  return WEFT_OK;
}

static size_t present_room(const projection *p) {
  return p->shared ? p->past_room : p->past + p->rows;
}

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
  if (p->width[0] != p->width[2] && (past != NULL || wants_present(op))) {
    return weft_op_unsupported(op, "a past or present with values of another size than the keys");
  }
  if (past != NULL) {
    WEFT_TRY(weft_attention_expect_shape(op, r->past, "past", 5,
                                         (size_t[]){2, p->batch, p->heads, SIZE_MAX, p->width[0] / p->heads}));
    p->past = p->past_room = (size_t)past->shape.dims[3];
  }
  WEFT_TRY(read_rotation(op, p));
  return weft_op_attr_int(op, "past_present_share_buffer", 0) != 0 && past != NULL ? read_shared(op, r, p) : WEFT_OK;
}

static weft_status expect_projection(weft_op *op, const projection_roles *r) {
  if (op->def->variant == WEFT_ATTENTION_FLOAT) {
    return weft_attention_expect_floats(op, INPUT, (const int[]){WEIGHTS, BIAS, r->past, r->bias}, 4);
  }
  WEFT_TRY(weft_op_expect_inputs(op, WEIGHT_SCALE + 1, r->inputs));
  WEFT_TRY(weft_op_expect_type(op, INPUT, "input", WEFT_TYPES_BYTE));
  WEFT_TRY(weft_op_expect_type(op, WEIGHTS, "weight", WEFT_TYPES_BYTE));
  WEFT_TRY(weft_op_expect_type(op, INPUT_ZERO, "input_zero_point", WEFT_TYPE_BIT(weft_op_in(op, INPUT)->type)));
  WEFT_TRY(weft_op_expect_type(op, WEIGHT_ZERO, "weight_zero_point", WEFT_TYPE_BIT(weft_op_in(op, WEIGHTS)->type)));
  return weft_attention_expect_floats(op, INPUT_SCALE, (const int[]){WEIGHT_SCALE, BIAS, r->past}, 3);
}

weft_status weft_projected_attention_infer(weft_op *op) {
  const projection_roles *r = &roles_of[op->def->variant];
  WEFT_TRY(weft_op_expect_inputs(op, 2, r->inputs));
  WEFT_TRY(expect_projection(op, r));
  WEFT_TRY(weft_op_expect_rank(op, INPUT, "input", 3, 3));
  WEFT_TRY(weft_op_expect_rank(op, WEIGHTS, "weights", 2, 2));
  WEFT_TRY(weft_op_expect_type(op, r->mask, "mask_index", WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_type(op, r->past_rows, "past_sequence_length", WEFT_TYPE_BIT(WEFT_INT32)));
  projection p;
  WEFT_TRY(read_projection(op, &p));
  weft_shape y = {.rank = 3, .dims = {(int64_t)p.batch, (int64_t)p.rows, (int64_t)p.width[2]}};
  weft_shape present = {
      .rank = 5,
      .dims = {2, (int64_t)p.batch, (int64_t)p.heads, (int64_t)present_room(&p), (int64_t)(p.width[0] / p.heads)}};
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
  op->cx->kernels->gemm_i8_pack_b(columns, rows, w->data, columns, false, w->type == WEFT_INT8, zeros, 1, out, false);
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
  WEFT_TRY(weft_op_state(op, integer ? kernels->gemm_i8_b_size(columns, rows, false) : floats, &state));
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
  weft_products products = {.count = 1, .m = rows, .n = job->columns, .k = job->input, .arg = job, .at = projection_at};
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
  n->kernels->gemm_i8(end - begin, columns, depth, n->a + n->kernels->gemm_i8_a_size(begin, depth, false), n->b, 0,
                      n->sums + begin * columns, columns, false);
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
  WEFT_TRY(weft_op_scratch(op, kernels->gemm_i8_a_size(rows, job->input, false), &a));
  kernels->gemm_i8_pack_a(rows, job->input, x->data, job->input, x->type == WEFT_INT8, &x_zero, 0, a, false);
  if (b == NULL) {
    WEFT_TRY(weft_op_scratch(op, kernels->gemm_i8_b_size(job->columns, job->input, false), &b));
    WEFT_TRY(pack_integers(op, job->columns, job->input, b));
  }
  integers n = {.kernels = kernels, .job = job, .a = a, .b = b, .scale = scale, .sums = sums};
  weft_parallel(op->cx, rows, INTEGER_ROWS, run_integers, &n);
  return WEFT_OK;
}

/* Turns the queries' and keys' heads where they are, by angles of the usual base. */
static weft_status turn(weft_op *op, const projection *p, size_t columns, float *projected) {
  void *room = NULL;
  size_t half = p->rotated / 2, size = p->width[0] / p->heads;
  WEFT_TRY(weft_op_scratch_array(op, 2 * half + size, sizeof(float), &room));
  float *cosine = room, *sine = cosine + half, *head = sine + half;
  for (size_t i = 0; i < p->batch * p->rows && half > 0; i++) {
    double place = (double)(p->past + i % p->rows);
    for (size_t j = 0; j < half; j++) {
      double angle = place / weft_pow(10000, (double)(2 * j) / (double)p->rotated);
      cosine[j] = (float)weft_cos(angle);
      sine[j] = (float)weft_sin(angle);
    }
    for (size_t h = 0; h < 2 * p->heads; h++) { /* the keys follow the queries */
      float *at = projected + i * columns + h * size;
      weft_rotate_head(size, p->rotated, false, at, cosine, sine, head);
      memcpy(at, head, size * sizeof *at);
    }
  }
  return WEFT_OK;
}

static void describe(const weft_op *op, const projection *p, size_t columns, const float *projected,
                     weft_cached_attention *f) {
  size_t size = p->width[0] / p->heads, v_size = p->width[2] / p->heads;
  *f = (weft_cached_attention){
      .past_room = p->past_room, .past = p->past, .present_room = present_room(p), .new_rows = p->rows};
  f->present_rows = f->present_room;
  f->a = (weft_attention){.batch = p->batch,
                          .q_heads = p->heads,
                          .kv_heads = p->heads,
                          .q_len = p->rows,
                          .kv_len = p->past + p->rows,
                          .head = size,
                          .v_head = v_size,
                          .q = projected,
                          .k = projected + p->width[0],
                          .v = projected + p->width[0] + p->width[1],
                          .q_at = {p->rows * columns, size, columns},
                          .k_at = {p->rows * columns, size, columns},
                          .v_at = {p->rows * columns, v_size, columns},
                          .y_at = weft_heads_of(true, p->heads, p->rows, v_size),
                          .scale = weft_attention_scale(op, size),
                          .left = -1,
                          .offset = (int64_t)p->past,
                          .right = weft_op_attr_int(op, "unidirectional", 0) != 0 ? 0 : -1};
}

/* The past tensor holds all keys, then all values; so does the present one. */
static weft_status join_past(weft_op *op, int input, weft_cached_attention *f, float *present) {
  const float *past = NULL;
  weft_attention *a = &f->a;
  size_t half = a->batch * a->kv_heads * a->head;
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, input), &past));
  const float *values = past != NULL ? past + half * f->past_room : NULL;
  WEFT_TRY(weft_attention_join(op, f, past, present, a->head, &a->k, &a->k_at));
  present = present != NULL ? present + half * f->present_room : NULL;
  return weft_attention_join(op, f, values, present, a->v_head, &a->v, &a->v_at);
}

weft_status weft_projected_attention_run(weft_op *op) {
  projection p;
  WEFT_TRY(read_projection(op, &p));
  weft_tensor *y = weft_op_out(op, 0), *present = weft_op_out(op, 1), made;
  const projection_roles *r = &roles_of[op->def->variant];
  projecting job = {.input = p.input, .columns = p.width[0] + p.width[1] + p.width[2]};
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, BIAS), &job.bias));
  WEFT_TRY(weft_op_scratch_floats(op, p.batch * p.rows, job.columns, &job.out));
  WEFT_TRY(op->def->variant == WEFT_ATTENTION_INTEGER ? project_integers(op, p.batch * p.rows, &job)
                                                      : project_floats(op, p.batch * p.rows, &job));
  WEFT_TRY(turn(op, &p, job.columns, job.out));
  weft_cached_attention f;
  float *joined = NULL;
  describe(op, &p, job.columns, job.out, &f);
  WEFT_TRY(weft_op_floats_out(op, present, &joined));
  WEFT_TRY(join_past(op, r->past, &f, joined));
  WEFT_TRY(weft_attention_place_bias(op, r->bias, &f.a));
  WEFT_TRY(weft_attention_place_mask(op, r->mask, &f.a, &made));
  WEFT_TRY(weft_attention_answer(op, &f.a, y, NULL));
  weft_op_floats_done(op, present, joined);
  return WEFT_OK;
}
