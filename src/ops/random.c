/* RandomNormal, RandomUniform, their Like forms, Bernoulli, Multinomial and Dropout. A node with a seed gives
 * the same numbers in every run, one without draws on from the session's state. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../base/seed.h"
#include "../kernels/typed.h"
#include "op.h"

#include <math.h>
#include <string.h>

typedef struct generator {
  uint64_t state;
  bool seeded;
} generator;

static generator begin(const weft_op *op) {
  const weft_attribute *seed = weft_node_attribute(op->node, "seed");
  bool seeded = seed != NULL;
  uint64_t bits = 0;
  if (seeded && seed->kind == WEFT_ATTRIBUTE_INT) { /* Dropout's */
    bits = (uint64_t)seed->i;
  } else {
    float real = weft_op_attr_float(op, "seed", 0);
    memcpy(&bits, &real, sizeof real);
  }
  return (generator){seeded ? bits : *op->random, seeded};
}

static void finish(const weft_op *op, const generator *g) {
  if (!g->seeded) {
    *op->random = g->state;
  }
}

/* In [0, 1). */
static double uniform(generator *g) {
  return weft_uniform(&g->state);
}

/* By Box and Muller's transform, whose second number is left unused. */
static double normal(generator *g) {
  double radius = sqrt(-2 * weft_log(1 - uniform(g)));
  return radius * weft_cos(6.28318530717958647692 * uniform(g));
}

static size_t block_size(size_t left) {
  return left < WEFT_BLOCK ? left : WEFT_BLOCK;
}

/* The attribute dtype, or `fallback`; fails unless it is one of `types`. */
static weft_status read_type(weft_op *op, weft_type fallback, uint32_t types, weft_type *out) {
  int64_t type = weft_op_attr_int(op, "dtype", (int64_t)fallback);
  if (!weft_type_is_valid(type) || (WEFT_TYPE_BIT(type) & types) == 0) {
    return weft_op_fail(op, "attribute dtype: %s is not a type this operator makes", weft_type_name((weft_type)type));
  }
  *out = (weft_type)type;
  return WEFT_OK;
}

/* ---- RandomNormal, RandomUniform and Like ------------------------------------------------------------------------ */
weft_status weft_random_infer(weft_op *op) {
  weft_shape shape = {0};
  weft_type type;
  size_t rank;
  const int64_t *dims = weft_op_attr_ints(op, "shape", &rank);
  WEFT_TRY(weft_op_expect_inputs(op, 0, 0));
  WEFT_TRY(read_type(op, WEFT_FLOAT, WEFT_TYPES_FLOAT, &type));
  if (rank > WEFT_MAX_RANK) {
    return weft_op_fail(op, "attribute shape: expected at most %d dimensions, found %zu", WEFT_MAX_RANK, rank);
  }
  shape.rank = (int)rank;
  for (size_t d = 0; d < rank; d++) {
    shape.dims[d] = dims[d];
  }
  return weft_op_set(op, 0, type, &shape);
}

weft_status weft_random_like_infer(weft_op *op) {
  weft_type type;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(read_type(op, weft_op_in(op, 0)->type, WEFT_TYPES_FLOAT, &type));
  return weft_op_set(op, 0, type, &weft_op_in(op, 0)->shape);
}

/* The same in single precision. */
static void draw_normal(const weft_kernels *kernels, generator *g, size_t n, double *out) {
  float radius[WEFT_BLOCK], turn[WEFT_BLOCK];
  const float minus_two = -2;
  for (size_t i = 0; i < n; i++) {
    radius[i] = (float)(1 - uniform(g));
    turn[i] = (float)(6.28318530717958647692 * uniform(g));
  }
  kernels->unary_f32[WEFT_UNARY_LOG](n, radius, radius);
  kernels->binary_f32[WEFT_BINARY_MUL](n, radius, 1, &minus_two, 0, radius);
  kernels->unary_f32[WEFT_UNARY_SQRT](n, radius, radius);
  weft_typed_unary_of(WEFT_TYPED_COSINE)(n, turn, turn);
  for (size_t i = 0; i < n; i++) {
    out[i] = (double)(radius[i] * turn[i]);
  }
}

weft_status weft_random_run(weft_op *op) {
  bool is_normal = op->def->variant == WEFT_RANDOM_NORMAL;
  double mean = (double)weft_op_attr_float(op, "mean", 0), scale = (double)weft_op_attr_float(op, "scale", 1);
  double low = (double)weft_op_attr_float(op, "low", 0), high = (double)weft_op_attr_float(op, "high", 1);
  weft_tensor *y = weft_op_out(op, 0);
  generator g = begin(op);
  const double first = is_normal ? mean : low, factor = is_normal ? scale : high - low;
  for (size_t done = 0, n; done < y->count; done += n) {
    double block[WEFT_BLOCK];
    n = block_size(y->count - done);
    if (is_normal && y->type != WEFT_DOUBLE) {
      draw_normal(op->cx->kernels, &g, n, block);
    } else {
      for (size_t i = 0; i < n; i++) {
        block[i] = is_normal ? normal(&g) : uniform(&g);
      }
    }
    for (size_t i = 0; i < n; i++) {
      block[i] = first + factor * block[i];
    }
    weft_store_double(y->type, block, n, y->data, done, 1);
  }
  finish(op, &g);
  return WEFT_OK;
}

/* ---- Bernoulli --------------------------------------------------------------------------------------------------- */
weft_status weft_bernoulli_infer(weft_op *op) {
  weft_type type;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPES_FLOAT));
  WEFT_TRY(read_type(op, weft_op_in(op, 0)->type, WEFT_TYPES_NUMERIC | WEFT_TYPE_BIT(WEFT_BOOL), &type));
  return weft_op_set(op, 0, type, &weft_op_in(op, 0)->shape);
}

weft_status weft_bernoulli_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  generator g = begin(op);
  for (size_t done = 0, n; done < x->count; done += n) {
    double block[WEFT_BLOCK];
    n = block_size(x->count - done);
    weft_load_double(x->type, x->data, done, 1, n, block);
    for (size_t i = 0; i < n; i++) {
      block[i] = uniform(&g) < block[i];
    }
    weft_store_double(y->type, block, n, y->data, done, 1);
  }
  finish(op, &g);
  return WEFT_OK;
}

/* ---- Multinomial ------------------------------------------------------------------------------------------------- */
weft_status weft_multinomial_infer(weft_op *op) {
  weft_type type;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 2, 2));
  WEFT_TRY(read_type(op, WEFT_INT32, WEFT_TYPES_INDEX, &type));
  const weft_shape *in = &weft_op_in(op, 0)->shape;
  weft_shape shape = {2, {in->dims[0], weft_op_attr_int(op, "sample_size", 1)}};
  if (in->dims[1] == 0 && shape.dims[0] > 0 && shape.dims[1] > 0) {
    return weft_op_fail(op, "input input: there is no class to draw from");
  }
  return weft_op_set(op, 0, type, &shape);
}

/* The input holds logarithms of unscaled probabilities. */
weft_status weft_multinomial_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  size_t batch = (size_t)y->shape.dims[0], samples = (size_t)y->shape.dims[1], classes = (size_t)x->shape.dims[1];
  void *room;
  WEFT_TRY(weft_op_scratch_array(op, classes, sizeof(double), &room));
  double *sums = room;
  generator g = begin(op);
  for (size_t b = 0; b < batch && samples > 0; b++) {
    double max = (double)-INFINITY, total = 0;
    weft_load_double(x->type, x->data, b * classes, 1, classes, sums);
    for (size_t c = 0; c < classes; c++) {
      max = sums[c] > max ? sums[c] : max;
    }
    for (size_t c = 0; c < classes; c++) {
      sums[c] -= max;
    }
    weft_typed_exp(classes, sums, sums);
    for (size_t c = 0; c < classes; c++) {
      total += sums[c];
      sums[c] = total;
    }
    for (size_t s = 0; s < samples; s++) {
      double at = uniform(&g) * total;
      size_t c = 0;
      for (size_t last = classes - 1; c < last;) { /* the first sum above, or the last */
        const size_t middle = c + (last - c) / 2;
        last = at < sums[middle] ? middle : last;
        c = at < sums[middle] ? c : middle + 1;
      }
      int64_t chosen = (int64_t)c;
      weft_store_int64(y->type, &chosen, 1, y->data, b * samples + s, 1);
    }
  }
  finish(op, &g);
  return WEFT_OK;
}

/* ---- Dropout ----------------------------------------------------------------------------------------------------- */
weft_status weft_dropout_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 3));
  WEFT_TRY(weft_op_expect_type(op, 2, "training_mode", WEFT_TYPE_BIT(WEFT_BOOL)));
  const weft_tensor *x = weft_op_in(op, 0);
  if (!weft_type_is_float(x->type)) {
    return weft_op_fail(op, "input data: expected a floating type, found %s", weft_type_name(x->type));
  }
  WEFT_TRY(weft_op_set(op, 1, WEFT_BOOL, &x->shape));
  return weft_op_set_like(op, 0, x);
}

weft_status weft_dropout_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0), *mask = weft_op_out(op, 1);
  int64_t training;
  double ratio;
  WEFT_TRY(weft_op_scalar_int(op, 2, "training_mode", 0, &training));
  WEFT_TRY(weft_op_scalar_float(op, 1, "ratio", 0.5, &ratio));
  if (training == 0 || ratio == 0) {
    if (y != NULL) {
      memmove(y->data, x->data, x->count * weft_type_size(x->type));
    }
    if (mask != NULL) {
      memset(mask->data, 1, mask->count);
    }
    return WEFT_OK;
  }
  if (!(ratio > 0 && ratio < 1)) {
    return weft_op_run_fail(op, "input ratio: expected a number in [0, 1)");
  }
  generator g = begin(op);
  for (size_t done = 0, n; done < x->count; done += n) {
    double block[WEFT_BLOCK];
    n = block_size(x->count - done);
    weft_load_double(x->type, x->data, done, 1, n, block);
    for (size_t i = 0; i < n; i++) {
      bool kept = uniform(&g) >= ratio;
      block[i] = kept ? block[i] / (1 - ratio) : 0;
      if (mask != NULL) {
        ((uint8_t *)mask->data)[done + i] = kept;
      }
    }
    if (y != NULL) {
      weft_store_double(y->type, block, n, y->data, done, 1);
    }
  }
  finish(op, &g);
  return WEFT_OK;
}
