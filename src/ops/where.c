/* Where: chooses between two tensors element by element. Only the size of an element matters, so strings and complex
 * numbers come for free. */
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

#define CHOOSE(T)                                                                                                      \
  do {                                                                                                                 \
    const T *x = (const T *)(const void *)w->x + run->in[1];                                                           \
    const T *y = (const T *)(const void *)w->y + run->in[2];                                                           \
    T *z = (T *)(void *)w->z + run->out;                                                                               \
    for (size_t i = 0; i < run->n; i++) {                                                                              \
      z[i] = condition[i * step] != 0 ? x[i * run->step[1]] : y[i * run->step[2]];                                     \
    }                                                                                                                  \
  } while (0)

static void choose(void *arg, const weft_run *run) {
  const where *w = arg;
  const uint8_t *condition = w->condition + run->in[0];
  size_t step = run->step[0];
  switch (w->size) {
  case 1:
    CHOOSE(uint8_t);
    return;
  case 2:
    CHOOSE(uint16_t);
    return;
  case 4:
    CHOOSE(uint32_t);
    return;
  case 8:
    CHOOSE(uint64_t);
    return;
  default:
    for (size_t i = 0; i < run->n; i++) {
      const char *from = condition[i * step] != 0 ? w->x + (run->in[1] + i * run->step[1]) * w->size
                                                  : w->y + (run->in[2] + i * run->step[2]) * w->size;
      memmove(w->z + (run->out + i) * w->size, from, w->size);
    }
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
