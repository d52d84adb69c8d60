/* Two loops in short rounds, of which the best counts: engines compile hot code while it runs, and machines are shared.
 * */
#include "measure.h"

#include <string.h>

#include "../base/memory.h"
#include "../base/parallel.h"
#include "kernels.h"

/* Rounds take a few tenths of a millisecond to a few milliseconds, long against a clock's steps; FLOATS are more than
 * most caches hold. */
enum { TURNS = 4000, FLOATS = 8 << 20, PIECES = 64 };
static const double milliseconds = 100;

typedef struct measure {
  const weft_kernels *kernels;
  const float *floats;
  float sums[PIECES]; /* results must be wanted, or compilers leave the work out */
} measure;

static void add_and_multiply(void *arg, size_t begin, size_t end) {
  measure *m = arg;
  for (size_t i = begin; i < end; i++) {
    m->sums[i] = m->kernels->multiply_adds(TURNS, 1.0f / (float)(i + 2), 1.0f);
  }
}

static void read_all(void *arg, size_t begin, size_t end) {
  measure *m = arg;
  for (size_t i = begin; i < end; i++) {
    m->sums[i] = m->kernels->sum_f32(FLOATS / PIECES, m->floats + i * (FLOATS / PIECES));
  }
}

/* The most of `work` in a millisecond, when each of all pieces does it once. */
static double best_rate(weft_context *cx, const weft_clock *clock, measure *m, weft_parallel_body body, double work) {
  double start = clock->now(clock->user), now = start, best = 0;
  do {
    double begin = now;
    weft_parallel(cx, PIECES, 1, body, m);
    now = clock->now(clock->user);
    double rate = now > begin ? work * (double)PIECES / (now - begin) : 0;
    best = rate > best ? rate : best;
  } while (now - start < milliseconds && !cx->cancelled);
  return best;
}

weft_status weft_measure(weft_context *cx, const weft_clock *clock, weft_limits *out) {
  void *floats;
  measure m = {.kernels = cx->kernels};
  WEFT_TRY(weft_alloc(cx, FLOATS * sizeof(float), &floats));
  memset(floats, 1, FLOATS * sizeof(float)); /* pages that were never written may all be one */
  m.floats = floats;
  out->operations = best_rate(cx, clock, &m, add_and_multiply, (double)TURNS * 2 * WEFT_MULTIPLY_ADDS);
  out->bytes = best_rate(cx, clock, &m, read_all, (double)(FLOATS / PIECES) * sizeof(float));
  weft_free(floats);
  return WEFT_OK;
}
