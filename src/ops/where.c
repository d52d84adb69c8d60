/* Where: chooses between two tensors element by element. Only the size of an element matters, so strings and complex
 * numbers come for free. */
#include "../kernels/typed.h"
#include "broadcast.h"

#include <string.h>

typedef struct where {
  const uint8_t *condition;
  const char *x, *y;
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

/* Strings and complex numbers of 16 bytes. */
static void choose_large(const where *w, const weft_run *run) {
  for (size_t i = 0; i < run->n; i++) {
    const char *from = w->condition[run->in[0] + i * run->step[0]] != 0
                           ? w->x + (run->in[1] + i * run->step[1]) * w->size
                           : w->y + (run->in[2] + i * run->step[2]) * w->size;
    memmove(w->z + (run->out + i) * w->size, from, w->size);
  }
}

static void choose(void *arg, const weft_run *run) {
  const where *w = arg;
  weft_repeated condition, x, y;
  if (w->size > 8) {
    choose_large(w, run);
    return;
  }
  size_t piece = weft_run_piece(run, 3, w->size);
  for (size_t done = 0; done < run->n; done += piece) {
    size_t n = run->n - done < piece ? run->n - done : piece;
    const void *c = weft_run_neighbours(run, 0, w->condition, 1, done, &condition);
    const void *p = weft_run_neighbours(run, 1, w->x, w->size, done, &x);
    const void *q = weft_run_neighbours(run, 2, w->y, w->size, done, &y);
    weft_typed_choose(w->size, n, c, p, q, w->z + (run->out + done) * w->size);
  }
}

weft_status weft_where_run(weft_op *op) {
  const weft_tensor *condition = weft_op_in(op, 0), *x = weft_op_in(op, 1), *y = weft_op_in(op, 2);
  weft_tensor *z = weft_op_out(op, 0);
  where w = {condition->data, x->data, y->data, z->data, weft_type_size(z->type)};
  const weft_shape *shapes[] = {&condition->shape, &x->shape, &y->shape};
  weft_broadcast broadcast;
  weft_broadcast_init(&broadcast, &z->shape, 3, shapes);
  weft_broadcast_run(op->cx, &broadcast, SIZE_MAX, choose, &w);
  return WEFT_OK;
}
