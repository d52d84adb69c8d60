/* Clip: min(max(x, lo), hi). NaN stays NaN; integers are compared as integers. */
#include "../base/convert.h"
#include "../kernels/typed.h"
#include "broadcast.h"

#include <math.h>

typedef struct clip {
  weft_context *cx;
  weft_type type;
  const void *x;
  void *y;
  double lo, hi;
  int64_t low, high; /* of integers; biased for unsigned ones */
  uint64_t bias;     /* turns the order of unsigned numbers into that of signed ones */
} clip;

weft_status weft_clip_infer(weft_op *op) {
  static const char *const names[] = {"input", "min", "max"};
  WEFT_TRY(weft_op_expect_inputs(op, 1, 3));
  WEFT_TRY(weft_op_expect_type(op, 0, names[0], WEFT_TYPES_NUMERIC));
  for (int i = 1; i < 3; i++) {
    const weft_tensor *bound = weft_op_in(op, i);
    WEFT_TRY(weft_op_expect_same_type(op, 0, i));
    if (bound != NULL && bound->count != 1) {
      return weft_op_fail(op, "input %s: expected one element, found %zu", names[i], bound->count);
    }
  }
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

static void run_float(void *arg, size_t begin, size_t end) {
  const clip *c = arg;
  c->cx->kernels->clip_f32(end - begin, (const float *)c->x + begin, (float)c->lo, (float)c->hi, (float *)c->y + begin);
}

static void run_double(void *arg, size_t begin, size_t end) {
  const clip *c = arg;
  double block[WEFT_BLOCK];
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    weft_load_double(c->type, c->x, done, 1, n, block);
    for (size_t i = 0; i < n; i++) {
      double v = block[i] < c->lo ? c->lo : block[i];
      block[i] = v > c->hi ? c->hi : v;
    }
    weft_store_double(c->type, block, n, c->y, done, 1);
  }
}

/* Both bounds as loops over a repeated one, which the place of the results has room for only in blocks. */
static void run_typed(void *arg, size_t begin, size_t end) {
  const clip *c = arg;
  const weft_typed_binary bounds[] = {weft_typed_binary_of(WEFT_TYPED_MAX, c->type),
                                      weft_typed_binary_of(WEFT_TYPED_MIN, c->type)};
  const size_t size = weft_type_size(c->type);
  int64_t low[WEFT_BLOCK], high[WEFT_BLOCK];
  for (size_t i = 0; i < WEFT_BLOCK; i++) {
    weft_store_int64(c->type, &c->low, 1, low, i, 1);
    weft_store_int64(c->type, &c->high, 1, high, i, 1);
  }
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    char *y = (char *)c->y + done * size;
    bounds[0](n, (const char *)c->x + done * size, low, y);
    bounds[1](n, y, high, y);
  }
}

static void run_integer(void *arg, size_t begin, size_t end) {
  const clip *c = arg;
  int64_t block[WEFT_BLOCK];
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    weft_load_int64(c->type, c->x, done, 1, n, block);
    for (size_t i = 0; i < n; i++) {
      int64_t v = (int64_t)((uint64_t)block[i] ^ c->bias);
      v = v < c->low ? c->low : v;
      v = v > c->high ? c->high : v;
      block[i] = (int64_t)((uint64_t)v ^ c->bias);
    }
    weft_store_int64(c->type, block, n, c->y, done, 1);
  }
}

weft_status weft_clip_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0), *lo = weft_op_in(op, 1), *hi = weft_op_in(op, 2);
  clip c = {.cx = op->cx,
            .type = x->type,
            .x = x->data,
            .y = weft_op_out(op, 0)->data,
            .lo = -INFINITY,
            .hi = INFINITY,
            .low = x->type == WEFT_INT32 ? INT32_MIN : INT64_MIN,
            .high = x->type == WEFT_INT32 ? INT32_MAX : INT64_MAX};
  weft_parallel_body body = x->type == WEFT_FLOAT ? run_float : run_double;
  if (weft_type_is_float(x->type)) {
    WEFT_TRY(weft_op_scalar_float(op, 1, "min", c.lo, &c.lo));
    WEFT_TRY(weft_op_scalar_float(op, 2, "max", c.hi, &c.hi));
  } else {
    body = weft_typed_binary_of(WEFT_TYPED_MAX, x->type) != NULL ? run_typed : run_integer;
    c.bias = weft_type_is_signed(x->type) ? 0 : (uint64_t)1 << 63;
    if (lo != NULL) {
      weft_load_int64(lo->type, lo->data, 0, 1, 1, &c.low);
      c.low = (int64_t)((uint64_t)c.low ^ c.bias);
    }
    if (hi != NULL) {
      weft_load_int64(hi->type, hi->data, 0, 1, 1, &c.high);
      c.high = (int64_t)((uint64_t)c.high ^ c.bias);
    }
  }
  if (x->count > 0) {
    weft_parallel(op->cx, x->count, WEFT_GRAIN, body, &c);
  }
  return WEFT_OK;
}
