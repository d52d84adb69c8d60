/* com.microsoft MoE and QMoE: every token goes to the few experts that its router likes best, and the results are mixed
 * by how much it likes them. Tokens are gathered expert by expert, so that an expert's weights, which may be of few
 * bits and are expanded just before their product, are read once. */
#include "../base/elementary.h"
#include "product.h"

#include <math.h>
#include <string.h>

enum { FIRST, SECOND, GATE, LAYERS };

/* Input numbers by role; -1: there is none. */
typedef struct expert_roles {
  int weights[LAYERS], scales[LAYERS], bias[LAYERS], zeros[LAYERS], mixing, inputs;
} expert_roles;

static const expert_roles roles_of[] = {
    [WEFT_EXPERTS_FLOAT] = {{2, 4, 6}, {-1, -1, -1}, {3, 5, 7}, {-1, -1, -1}, -1, 8},
    [WEFT_EXPERTS_INTEGER] = {{2, 5, 8}, {3, 6, 9}, {4, 7, 10}, {11, 12, 13}, 14, 15},
};

typedef enum expert_activation {
  EXPERT_RELU,
  EXPERT_GELU,
  EXPERT_SILU,
  EXPERT_IDENTITY,
  EXPERT_SWIGLU
} expert_activation;

static const char *const weight_names[] = {"fc1_experts_weights", "fc2_experts_weights", "fc3_experts_weights"};
static const char *const scale_names[] = {"fc1_scales", "fc2_scales", "fc3_scales"};
static const char *const zero_names[] = {"fc1_zero_points", "fc2_zero_points", "fc3_zero_points"};
static const char *const bias_names[] = {"fc1_experts_bias", "fc2_experts_bias", "fc3_experts_bias"};

/* [experts][n][k]; weights of few bits have a scale for each block of a row. */
typedef struct layer {
  const weft_tensor *weights;
  const float *scales, *bias;
  const uint8_t *zeros;
  bool zeros_by_row; /* a row of zero points begins at a byte; else all of an expert's follow each other */
  unsigned bits;     /* 0: weights are floats */
  size_t n, k, block, blocks;
} layer;

typedef struct experts {
  const weft_kernels *kernels;
  size_t tokens, hidden, inner, count, chosen;
  expert_activation activation;
  int64_t fusion; /* 1: gates and values alternate in the first layer, 2: they follow each other */
  layer layers[LAYERS];
} experts;

static weft_status read_activation(weft_op *op, experts *e) {
  int activation;
  WEFT_TRY(weft_op_choice(op, "activation_type", "relu gelu silu identity swiglu", 0, &activation));
  e->activation = (expert_activation)activation;
  return weft_op_attr_within(op, "swiglu_fusion", 0, 0, 2, &e->fusion);
}

/* Weights [experts][n][k], packed where they are of few bits; n of 0: as many rows as there are. */
static weft_status read_layer(weft_op *op, const experts *e, int which, size_t n, size_t k, layer *l) {
  static const char *const bit_names[] = {"fc1_expert_weight_bits", "fc2_expert_weight_bits", "fc3_expert_weight_bits"};
  const expert_roles *r = &roles_of[op->def->variant];
  const weft_tensor *w = weft_op_in(op, r->weights[which]);
  *l = (layer){.weights = w, .k = k, .block = k, .blocks = 1};
  if (w == NULL) {
    return which == GATE ? WEFT_OK : weft_op_fail(op, "input '%s' is missing", weight_names[which]);
  }
  WEFT_TRY(weft_op_expect_rank(op, r->weights[which], weight_names[which], 3, 3));
  size_t packed = k;
  if (op->def->variant == WEFT_EXPERTS_INTEGER) {
    int64_t bits = weft_op_attr_int(op, bit_names[which], weft_op_attr_int(op, "expert_weight_bits", 4));
    int64_t block = weft_op_attr_int(op, "block_size", 0);
    if ((bits != 2 && bits != 4 && bits != 8) || (block > 0 && (block % 8 != 0 || k % (size_t)block != 0)) ||
        k % (size_t)(8 / bits) != 0) {
      return weft_op_fail(op, "weights of %lld bits in blocks of %lld do not fit rows of %zu", (long long)bits,
                          (long long)block, k);
    }
    l->bits = (unsigned)bits;
    l->block = block > 0 ? (size_t)block : k;
    l->blocks = k / l->block;
    l->zeros_by_row = block > 0;
    packed = k * l->bits / 8;
  }
  l->n = n != 0 ? n : (size_t)w->shape.dims[1];
  if ((size_t)w->shape.dims[0] != e->count || (size_t)w->shape.dims[1] != l->n || (size_t)w->shape.dims[2] != packed) {
    char text[96];
    return weft_op_fail(op, "input '%s' has shape %s, expected [%zu,%zu,%zu]", weight_names[which],
                        weft_shape_print(&w->shape, text, sizeof text), e->count, l->n, packed);
  }
  WEFT_TRY(weft_op_expect_count(op, r->bias[which], bias_names[which], e->count * l->n));
  if (l->bits == 0) {
    return WEFT_OK;
  }
  size_t row = (l->blocks * l->bits + 7) / 8, whole = (l->n * l->bits + 7) / 8;
  if (!weft_op_has(op, r->scales[which])) {
    return weft_op_fail(op, "input %s is missing", scale_names[which]);
  }
  WEFT_TRY(weft_op_expect_count(op, r->scales[which], scale_names[which], e->count * l->n * l->blocks));
  return weft_op_expect_count(op, r->zeros[which], zero_names[which],
                              e->count * (l->zeros_by_row ? l->n * row : whole));
}

static weft_status make(weft_op *op, experts *e) {
  const weft_tensor *x = weft_op_in(op, 0), *router = weft_op_in(op, 1);
  int64_t chosen = weft_op_attr_int(op, "k", 1);
  *e = (experts){.kernels = op->cx->kernels, .count = (size_t)router->shape.dims[1], .chosen = (size_t)chosen};
  e->hidden = (size_t)x->shape.dims[x->shape.rank - 1];
  e->tokens = weft_shape_product(&x->shape, 0, x->shape.rank - 1);
  if ((size_t)router->shape.dims[0] != e->tokens || chosen < 1 || (size_t)chosen > e->count) {
    return weft_op_fail(op, "%zu tokens that each take %lld of %zu experts do not fit the router's rows", e->tokens,
                        (long long)chosen, e->count);
  }
  WEFT_TRY(read_activation(op, e));
  WEFT_TRY(read_layer(op, e, FIRST, 0, e->hidden, &e->layers[FIRST]));
  bool gated = e->activation == EXPERT_SWIGLU && e->fusion != 0;
  e->inner = e->layers[FIRST].n / (gated ? 2 : 1);
  WEFT_TRY(read_layer(op, e, SECOND, e->hidden, e->inner, &e->layers[SECOND]));
  WEFT_TRY(read_layer(op, e, GATE, e->inner, e->hidden, &e->layers[GATE]));
  bool third = e->layers[GATE].weights != NULL;
  if ((gated && (e->layers[FIRST].n % 2 != 0 || third)) || (e->activation == EXPERT_SWIGLU && !gated && !third)) {
    return weft_op_fail(op, "swiglu takes a first layer of gates and values, or a third layer");
  }
  return WEFT_OK;
}

weft_status weft_experts_infer(weft_op *op) {
  const expert_roles *r = &roles_of[op->def->variant];
  bool integer = op->def->variant == WEFT_EXPERTS_INTEGER;
  uint32_t floats = WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE);
  WEFT_TRY(weft_op_expect_inputs(op, 2, r->inputs));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", floats));
  WEFT_TRY(weft_op_expect_type(op, 1, "router_probs", floats));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 2, 3));
  WEFT_TRY(weft_op_expect_rank(op, 1, "router_probs", 2, 2));
  for (int i = 0; i < LAYERS; i++) {
    WEFT_TRY(weft_op_expect_type(op, r->weights[i], weight_names[i], integer ? WEFT_TYPE_BIT(WEFT_UINT8) : floats));
    WEFT_TRY(weft_op_expect_type(op, r->scales[i], scale_names[i], floats));
    WEFT_TRY(weft_op_expect_type(op, r->bias[i], bias_names[i], floats));
    WEFT_TRY(weft_op_expect_type(op, r->zeros[i], zero_names[i], WEFT_TYPE_BIT(WEFT_UINT8)));
  }
  WEFT_TRY(weft_op_expect_type(op, r->mixing, "router_weights", floats));
  if (strcmp(weft_op_attr_string(op, "quant_type", "int"), "int") != 0 ||
      weft_op_attr_int(op, "weights_prepacked", 0) > 0 ||
      weft_op_attr_int(op, "swiglu_limit_after_activation", 0) != 0 ||
      weft_op_attr_int(op, "use_sparse_mixer", 0) != 0) {
    return weft_op_unsupported(op, "quant_type other than 'int', prepacked weights, limits after the activation or a "
                                   "sparse mixer");
  }
  experts e;
  WEFT_TRY(make(op, &e));
  WEFT_TRY(weft_op_expect_count(op, r->mixing, "router_weights", e.tokens * e.count));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

/* ---- products ---------------------------------------------------------------------------------------------------- */
typedef struct turn {
  const layer *l;
  const weft_kernels *kernels;
  size_t expert;
  const float *x;
  float *y;
} turn;

static float zero_of(const layer *l, size_t expert, size_t column, size_t block) {
  if (l->zeros == NULL) {
    return (float)(1u << (l->bits - 1));
  }
  size_t row = l->zeros_by_row ? (l->blocks * l->bits + 7) / 8 : 0, whole = (l->n * l->bits + 7) / 8;
  size_t bit = (l->zeros_by_row ? block : column) * l->bits;
  const uint8_t *at = l->zeros + (l->zeros_by_row ? (expert * l->n + column) * row : expert * whole);
  return (float)(at[bit / 8] >> (bit % 8) & ((1u << l->bits) - 1));
}

/* The numbers that `count` elements of a few bits stand for, the first in the lowest bits. */
static void expand_block(unsigned bits, size_t count, const uint8_t *bytes, float scale, float zero, float *out) {
  for (size_t i = 0; i < count; i++) {
    unsigned q = bytes[i * bits / 8] >> (i * bits % 8) & ((1u << bits) - 1);
    out[i] = ((float)q - zero) * scale;
  }
}

static void expand_columns(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const turn *t = arg;
  const layer *l = t->l;
  float *wide = scratch;
  (void)index;
  for (size_t j = 0; j < columns; j++) {
    size_t row = t->expert * l->n + column + j;
    const char *data = l->weights->data;
    if (l->bits == 0) {
      weft_widen(t->kernels, l->weights->type, l->k, data + row * l->k * weft_type_size(l->weights->type),
                 wide + j * l->k);
      continue;
    }
    for (size_t b = 0; b < l->blocks; b++) {
      expand_block((unsigned)l->bits, l->block, (const uint8_t *)data + (row * l->k + b * l->block) * l->bits / 8,
                   l->scales[row * l->blocks + b], zero_of(l, t->expert, column + j, b),
                   wide + j * l->k + b * l->block);
    }
  }
  t->kernels->gemm_f32_pack(columns, l->k, wide, l->k, true, out);
}

static void product_at(const void *arg, size_t index, weft_product *out) {
  const turn *t = arg;
  const layer *l = t->l;
  (void)index;
  *out = (weft_product){.a = t->x, .lda = l->k, .c = t->y, .ldc = l->n};
  out->epilogue.column_bias = l->bias != NULL ? l->bias + t->expert * l->n : NULL;
  if (l->bits == 0 && l->weights->type == WEFT_FLOAT) {
    out->b = (const float *)l->weights->data + t->expert * l->n * l->k;
    out->ldb = l->k;
    out->transposed = true;
  }
}

static weft_status multiply(weft_op *op, const experts *e, int which, size_t expert, size_t rows, const float *x,
                            float *y) {
  const layer *l = &e->layers[which];
  turn t = {l, e->kernels, expert, x, y};
  bool plain = l->bits == 0 && l->weights->type == WEFT_FLOAT;
  weft_products products = {.count = 1,
                            .m = rows,
                            .n = l->n,
                            .k = l->k,
                            .arg = &t,
                            .at = product_at,
                            .pack = plain ? NULL : expand_columns,
                            .scratch_column = l->k * sizeof(float)};
  return weft_products_run(op, &products);
}

/* ---- routing ----------------------------------------------------------------------------------------------------- */
/* How much each token takes of each expert: 0 but for the chosen ones. */
static weft_status route(weft_op *op, const experts *e, float *shares) {
  const float *router = NULL, *mixing = NULL;
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, 1), &router));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, roles_of[op->def->variant].mixing), &mixing));
  bool renormal = weft_op_attr_int(op, "normalize_routing_weights", 0) != 0 ||
                  (op->def->variant == WEFT_EXPERTS_INTEGER && mixing == NULL); /* as that runtime does, unasked */
  memset(shares, 0, e->tokens * e->count * sizeof *shares);
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, 2 * e->count, sizeof(float), &room));
  float *likes = room, *left = likes + e->count;
  for (size_t token = 0; token < e->tokens; token++) {
    float sum = 0, *share = shares + token * e->count;
    memcpy(left, router + token * e->count, e->count * sizeof *left);
    e->kernels->softmax_f32(e->count, left, false, likes);
    for (size_t i = 0; i < e->chosen; i++) {
      size_t best = 0;
      for (size_t j = 1; j < e->count; j++) {
        best = left[j] > left[best] || (isnan(left[best]) && !isnan(left[j])) ? j : best;
      }
      left[best] = NAN; /* taken */
      share[best] = mixing != NULL ? mixing[token * e->count + best] : likes[best];
      sum += share[best];
    }
    for (size_t j = 0; renormal && sum != 0 && j < e->count; j++) {
      share[j] /= sum;
    }
  }
  return WEFT_OK;
}

/* ---- an expert --------------------------------------------------------------------------------------------------- */
typedef struct rooms {
  float *x, *first, *gate, *inner, *y;
} rooms;

static float limited(float value, float low, float high) {
  return value < low ? low : value > high ? high : value;
}

static void swiglu(const weft_op *op, const experts *e, size_t rows, const rooms *r) {
  float alpha = weft_op_attr_float(op, "activation_alpha", 1), beta = weft_op_attr_float(op, "activation_beta", 0);
  float limit = weft_op_attr_float(op, "swiglu_limit", INFINITY);
  const size_t n = rows * e->inner,
               gap = e->fusion == 1 ? 2 : 1; /* of fused layers: side by side, or one after the other */
  for (size_t i = 0; i < n; i++) {
    size_t row = i / e->inner, at = i % e->inner;
    r->inner[i] = limited(r->first[row * e->layers[FIRST].n + gap * at], -INFINITY, limit);
  }
  e->kernels->swish_f32(n, r->inner, alpha, r->inner);
  for (size_t i = 0; i < n; i++) {
    size_t row = i / e->inner, at = i % e->inner, second = e->fusion == 1 ? 1 : e->inner;
    float value = e->fusion == 0 ? r->gate[i] : r->first[row * e->layers[FIRST].n + second + gap * at];
    r->inner[i] *= limited(value, -limit, limit) + beta;
  }
}

static void activate(const weft_op *op, const experts *e, size_t rows, const rooms *r) {
  size_t n = rows * e->inner;
  if (e->activation == EXPERT_SWIGLU) {
    swiglu(op, e, rows, r);
    return;
  }
  if (e->activation == EXPERT_GELU || e->activation == EXPERT_SILU || e->activation == EXPERT_RELU) {
    weft_unary unary = e->activation == EXPERT_GELU   ? WEFT_UNARY_GELU_TANH
                       : e->activation == EXPERT_SILU ? WEFT_UNARY_SILU
                                                      : WEFT_UNARY_RELU;
    e->kernels->unary_f32[unary](n, r->first, r->inner);
  } else {
    memcpy(r->inner, r->first, n * sizeof *r->inner);
  }
  if (r->gate != NULL) {
    e->kernels->binary_f32[WEFT_BINARY_MUL](n, r->inner, 1, r->gate, 1, r->inner);
  }
}

static weft_status run_expert(weft_op *op, const experts *e, size_t expert, const float *x, const float *shares,
                              const rooms *r, float *y) {
  size_t rows = 0;
  for (size_t token = 0; token < e->tokens; token++) {
    if (shares[token * e->count + expert] != 0) {
      memcpy(r->x + rows++ * e->hidden, x + token * e->hidden, e->hidden * sizeof *x);
    }
  }
  if (rows == 0) {
    return WEFT_OK;
  }
  WEFT_TRY(multiply(op, e, FIRST, expert, rows, r->x, r->first));
  if (r->gate != NULL) {
    WEFT_TRY(multiply(op, e, GATE, expert, rows, r->x, r->gate));
  }
  activate(op, e, rows, r);
  WEFT_TRY(multiply(op, e, SECOND, expert, rows, r->inner, r->y));
  rows = 0;
  for (size_t token = 0; token < e->tokens; token++) {
    float share = shares[token * e->count + expert];
    if (share != 0) {
      e->kernels->axpy_f32(e->hidden, share, r->y + rows++ * e->hidden, y + token * e->hidden);
    }
  }
  return WEFT_OK;
}

weft_status weft_experts_run(weft_op *op) {
  const expert_roles *roles = &roles_of[op->def->variant];
  weft_tensor *y = weft_op_out(op, 0);
  const float *x = NULL;
  float *out = NULL, *shares = NULL;
  rooms r = {0};
  experts e;
  WEFT_TRY(make(op, &e));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, 0), &x));
  for (int i = 0; i < LAYERS; i++) {
    const weft_tensor *zeros = weft_op_in(op, roles->zeros[i]);
    WEFT_TRY(weft_op_floats(op, weft_op_in(op, roles->scales[i]), &e.layers[i].scales));
    WEFT_TRY(weft_op_floats(op, weft_op_in(op, roles->bias[i]), &e.layers[i].bias));
    e.layers[i].zeros = zeros != NULL ? zeros->data : NULL;
  }
  WEFT_TRY(weft_op_scratch_floats(op, e.tokens, e.count, &shares));
  WEFT_TRY(weft_op_scratch_floats(op, e.tokens, e.hidden, &r.x));
  WEFT_TRY(weft_op_scratch_floats(op, e.tokens, e.layers[FIRST].n, &r.first));
  WEFT_TRY(weft_op_scratch_floats(op, e.tokens, e.inner, &r.inner));
  WEFT_TRY(weft_op_scratch_floats(op, e.tokens, e.hidden, &r.y));
  if (e.layers[GATE].weights != NULL) {
    WEFT_TRY(weft_op_scratch_floats(op, e.tokens, e.inner, &r.gate));
  }
  WEFT_TRY(weft_op_floats_out(op, y, &out));
  if (y->count == 0) {
    return WEFT_OK;
  }
  WEFT_TRY(route(op, &e, shares));
  memset(out, 0, y->count * sizeof *out);
  for (size_t expert = 0; expert < e.count; expert++) {
    WEFT_TRY(run_expert(op, &e, expert, x, shares, &r, out));
  }
  weft_op_floats_done(op, y, out);
  return WEFT_OK;
}
