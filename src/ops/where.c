/* Where: chooses between two tensors element by element. Only the size of an element matters, so strings and complex
 * numbers come for free. */
#include "../kernels/typed.h"
#include "broadcast.h"

#include <string.h>

typedef struct where {
  char *z;
  size_t size;
} where;

weft_status weft_where_infer(weft_op *op) {
  char a[96], b[96];
  weft_shape shape;
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  WEFT_TRY(weft_op_expect_type(op, 0, "condition", WEFT_TYPE_BIT(WEFT_BOOL)));
  WEFT_TRY(weft_op_expect_same_type(op, 1, 2));
  shape = weft_op_in(op, 0)->shape;
  for (int i = 1; i < 3; i++) {
    const weft_shape *other = &weft_op_in(op, i)->shape;
    if (!weft_shape_broadcast(&shape, other, &shape)) {
      return weft_op_fail(op, "input %s: shape %s does not broadcast with %s", i == 1 ? "X" : "Y",
                          weft_shape_print(other, b, sizeof b), weft_shape_print(&shape, a, sizeof a));
    }
  }
  return weft_op_set(op, 0, weft_op_in(op, 1)->type, &shape);
}

static void choose(void *arg, const weft_run *run) {
  const where *w = arg;
  const uint8_t *condition = run->in[0];
  char *z = w->z + run->out * w->size;
  if (weft_typed_choose(w->size, run->n, condition, run->in[1], run->in[2], z)) {
    return;
  }
  for (size_t i = 0; i < run->n; i++) { /* strings, and complex numbers of 16 bytes */
    memmove(z + i * w->size, (const char *)run->in[condition[i] != 0 ? 1 : 2] + i * w->size, w->size);
  }
}

weft_status weft_where_run(weft_op *op) {
  const weft_tensor *z = weft_op_out(op, 0);
  where w = {z->data, weft_type_size(z->type)};
  weft_broadcast broadcast;
  weft_broadcast_init(&broadcast, &z->shape, 3,
                      (const weft_tensor *const[]){weft_op_in(op, 0), weft_op_in(op, 1), weft_op_in(op, 2)});
  weft_broadcast_run(op->cx, &broadcast, SIZE_MAX, true, choose, &w);
  return WEFT_OK;
}
