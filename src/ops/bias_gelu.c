/* com.microsoft's BiasGelu and FastGelu: Gelu (exact, or by tanh) of an input plus a bias along its last dimension. */
#include "../base/convert.h"
#include "broadcast.h"

typedef struct bias_gelu {
  weft_context *cx;
  weft_unary function;
  const weft_tensor *x, *bias;
  weft_tensor *y;
} bias_gelu;

weft_status weft_bias_gelu_infer(weft_op *op) {
  char a[96], b[96];
  weft_shape shape;
  WEFT_TRY(weft_op_expect_inputs(op, op->def->variant == WEFT_UNARY_GELU ? 2 : 1, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE)));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 1));
  const weft_tensor *x = weft_op_in(op, 0), *bias = weft_op_in(op, 1);
  if (bias != NULL &&
      (!weft_shape_broadcast(&x->shape, &bias->shape, &shape) || !weft_shape_equal(&shape, &x->shape))) {
    return weft_op_fail(op, "input bias: shape %s does not broadcast to X's %s",
                        weft_shape_print(&bias->shape, a, sizeof a), weft_shape_print(&x->shape, b, sizeof b));
  }
  return weft_op_set_like(op, 0, x);
}

static void run(void *arg, const weft_run *run) {
  const bias_gelu *g = arg;
  const weft_kernels *kernels = g->cx->kernels;
  float x[WEFT_BLOCK], bias[WEFT_BLOCK];
  weft_block_load(kernels, g->x, run->in[0], run->step[0], run->n, x);
  if (g->bias != NULL) {
    weft_block_load(kernels, g->bias, run->in[1], run->step[1], run->n, bias);
    kernels->binary_f32[WEFT_BINARY_ADD](run->n, x, 1, bias, 1, x);
  }
  kernels->unary_f32[g->function](run->n, x, x);
  weft_block_store(kernels, g->y, run->out, 1, run->n, x);
}

weft_status weft_bias_gelu_run(weft_op *op) {
  bias_gelu g = {op->cx, (weft_unary)op->def->variant, weft_op_in(op, 0), weft_op_in(op, 1), weft_op_out(op, 0)};
  const weft_shape *shapes[] = {&g.x->shape, g.bias != NULL ? &g.bias->shape : NULL};
  weft_broadcast broadcast;
  weft_broadcast_init(&broadcast, &g.y->shape, g.bias != NULL ? 2 : 1, shapes);
  weft_broadcast_run(op->cx, &broadcast, WEFT_BLOCK, run, &g);
  return WEFT_OK;
}
