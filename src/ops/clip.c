/* Clip: min(max(x, lo), hi). NaN stays NaN; integers are compared as integers. */
#include "../base/convert.h"
#include "../kernels/elements.h"
#include "../kernels/typed.h"
#include "broadcast.h"

#include <math.h>
#include <string.h>

typedef struct clip {
  weft_context *cx;
  const weft_tensor *x, *y;
  float lo, hi;          /* of floats */
  const void *bounds[2]; /* of other types, NULL: there is none */
} clip;

weft_status weft_clip_infer(weft_op *op) {
  static const char *const names[] = {"input", "min", "max"};
  WEFT_TRY(weft_op_expect_inputs(op, 1, 3));
  WEFT_TRY(weft_op_expect_type(op, 0, names[0], WEFT_TYPES_NUMERIC));
  for (int i = 1; i < 3; i++) {
    WEFT_TRY(weft_op_expect_same_type(op, 0, i));
    WEFT_TRY(weft_op_expect_count(op, i, names[i], 1));
  }
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

static void run_float(void *arg, size_t begin, size_t end) {
  const clip *c = arg;
  const weft_kernels *kernels = c->cx->kernels;
  float block[WEFT_BLOCK];
  if (c->x->type == WEFT_FLOAT) {
    kernels->clip_f32(end - begin, (const float *)c->x->data + begin, c->lo, c->hi, (float *)c->y->data + begin);
    return;
  }
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    const size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    weft_block_load(kernels, c->x, done, 1, n, block);
    kernels->clip_f32(n, block, c->lo, c->hi, block);
    weft_block_store(kernels, c->y, done, 1, n, block);
  }
}

/* Each bound as a loop over the repeated one, which the place of the results has room for only in blocks. */
static void run_typed(void *arg, size_t begin, size_t end) {
  static const weft_typed whats[] = {WEFT_TYPED_MAX, WEFT_TYPED_MIN};
  const clip *c = arg;
  const size_t size = weft_type_size(c->x->type);
  int64_t repeated[2][WEFT_BLOCK];
  for (int b = 0; b < 2; b++) {
    if (c->bounds[b] != NULL) {
      weft_copy_elements(size, WEFT_BLOCK, c->bounds[b], 0, repeated[b], 1);
    }
  }
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    const size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    const void *x = (const char *)c->x->data + done * size;
    char *y = (char *)c->y->data + done * size;
    for (int b = 0; b < 2; b++) {
      if (c->bounds[b] != NULL) {
        weft_typed_binary_of(whats[b], c->x->type)(n, x, repeated[b], y);
        x = y;
      }
    }
    if (x != y) {
      memcpy(y, x, n * size);
    }
  }
}

weft_status weft_clip_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  double lo = -INFINITY, hi = INFINITY;
  clip c = {.cx = op->cx, .x = x, .y = weft_op_out(op, 0)};
  const bool floats = weft_type_is_float(x->type);
  if (floats) {
    WEFT_TRY(weft_op_scalar_float(op, 1, "min", lo, &lo));
    WEFT_TRY(weft_op_scalar_float(op, 2, "max", hi, &hi));
    c.lo = (float)lo;
    c.hi = (float)hi;
  }
  for (int b = 0; b < 2; b++) { /* a bound that is NaN bounds nothing */
    const weft_tensor *bound = weft_op_in(op, 1 + b);
    c.bounds[b] = bound == NULL || isnan(b == 0 ? lo : hi) ? NULL : bound->data;
  }
  if (x->count > 0) {
    weft_parallel(op->cx, x->count, WEFT_GRAIN, floats && x->type != WEFT_DOUBLE ? run_float : run_typed, &c);
  }
  return WEFT_OK;
}
