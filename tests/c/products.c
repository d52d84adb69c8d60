/* Matrix products cut for any number of threads: the same bits whatever the cut, for shapes with few rows, few columns
 * and remainders of both, and with a plain b that each task packs for itself. */
#include "base/memory.h"
#include "kernels/kernels.h"
#include "ops/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 20 };

typedef struct shape {
  size_t count, m, n, k;
} shape;

typedef struct operands {
  shape shape;
  float *a, *b, *c;
} operands;

static void product_at(const void *arg, size_t index, weft_product *out) {
  const operands *o = arg;
  const shape *s = &o->shape;
  *out = (weft_product){.a = o->a + index * s->m * s->k,
                        .lda = s->k,
                        .b = o->b + index * s->k * s->n,
                        .ldb = s->n,
                        .c = o->c + index * s->m * s->n,
                        .ldc = s->n};
}

static float *numbers(size_t count) {
  float *x = malloc(count * sizeof(float));
  for (size_t i = 0; x != NULL && i < count; i++) {
    x[i] = (float)((i * 7919) % 2003) / 1001.5f - 1.0f;
  }
  return x;
}

static bool run(weft_context *cx, operands *o) {
  weft_scratch scratch = {0};
  weft_op op = {.cx = cx, .scratch = &scratch};
  const shape *s = &o->shape;
  weft_products products = {.count = s->count, .m = s->m, .n = s->n, .k = s->k, .arg = o, .at = product_at};
  weft_status status = weft_products_run(&op, &products);
  weft_scratch_free(&scratch);
  return status == WEFT_OK;
}

static int check(weft_context *cx, shape s) {
  size_t results = s.count * s.m * s.n;
  operands o = {s, numbers(s.count * s.m * s.k), numbers(s.count * s.k * s.n), numbers(results)};
  float *wanted = numbers(results);
  bool good = o.a != NULL && o.b != NULL && o.c != NULL && wanted != NULL;
  for (uint32_t threads = 1; good && threads <= 5; threads++) {
    good = weft_pool_create(cx, threads, &cx->pool) == WEFT_OK;
    for (int round = 0; good && round < (threads > 1 ? ROUNDS : 1); round++) { /* threads meet by chance */
      memset(o.c, 0, results * sizeof(float));
      good = run(cx, &o);
      if (threads == 1) memcpy(wanted, o.c, results * sizeof(float));
      good = good && memcmp(wanted, o.c, results * sizeof(float)) == 0;
    }
    weft_pool_destroy(cx->pool);
    cx->pool = NULL;
    if (!good) fprintf(stderr, "%zu of %zux%zux%zu, %u threads\n", s.count, s.m, s.n, s.k, threads);
  }
  free(o.a);
  free(o.b);
  free(o.c);
  free(wanted);
  return !good;
}

int main(void) {
  static const shape shapes[] = {{1, 320, 49, 192}, {1, 256, 9, 2048}, {1, 64, 4099, 24}, {1, 3, 1000, 200},
                                 {1, 67, 196, 96},  {3, 70, 33, 130},  {1, 96, 5, 1700},  {1, 40, 300, 400}};
  weft_error error;
  weft_context cx = {.error = &error, .kernels = weft_kernels_choose(false)};
  if (weft_memory_create(0, &cx.memory) != WEFT_OK) return 1;
  int failed = 0;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    failed |= check(&cx, shapes[i]);
  }
  weft_memory_release(cx.memory);
  return failed;
}
