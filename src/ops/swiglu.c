/* SwiGLU: y = a * sigmoid(alpha * a) * b, two inputs of one shape. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "broadcast.h"

#include <math.h>

typedef struct swiglu {
  weft_context *cx;
  const weft_tensor *a, *b;
  weft_tensor *y;
  float alpha;
} swiglu;

weft_status weft_swiglu_infer(weft_op *op) {
  char a[96], b[96];
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "A", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 1));
  const weft_tensor *gate = weft_op_in(op, 0), *value = weft_op_in(op, 1);
  if (!weft_shape_equal(&gate->shape, &value->shape)) {
    return weft_op_fail(op, "inputs A and B: expected one shape, found %s and %s",
                        weft_shape_print(&gate->shape, a, sizeof a), weft_shape_print(&value->shape, b, sizeof b));
  }
  return weft_op_set_like(op, 0, gate);
}

static void run_float(const swiglu *s, size_t offset, size_t n) {
  const weft_kernels *kernels = s->cx->kernels;
  float gate[WEFT_BLOCK], factor[WEFT_BLOCK];
  weft_block_load(kernels, s->a, offset, 1, n, gate);
  kernels->swish_f32(n, gate, s->alpha, gate);
  weft_block_load(kernels, s->b, offset, 1, n, factor);
  kernels->binary_f32[WEFT_BINARY_MUL](n, gate, 1, factor, 1, gate);
  weft_block_store(kernels, s->y, offset, 1, n, gate);
}

static void run(void *arg, size_t begin, size_t end) {
  const swiglu *s = arg;
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    if (s->y->type != WEFT_DOUBLE) {
      run_float(s, done, n);
      continue;
    }
    const double *a = (const double *)s->a->data + done, *b = (const double *)s->b->data + done;
    double *y = (double *)s->y->data + done;
    for (size_t i = 0; i < n; i++) {
      y[i] = weft_swish(a[i], (double)s->alpha) * b[i];
    }
  }
}

weft_status weft_swiglu_run(weft_op *op) {
  swiglu s = {op->cx, weft_op_in(op, 0), weft_op_in(op, 1), weft_op_out(op, 0), weft_op_attr_float(op, "alpha", 1)};
  if (s.y->count > 0) {
    weft_parallel(op->cx, s.y->count, WEFT_GRAIN, run, &s);
  }
  return WEFT_OK;
}
