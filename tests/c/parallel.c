/* Loops over the pool: every piece is done once, ranges keep to the grain, slots are never shared, and pools of all
 * sizes come and go, with workers that look for work, sleep or have only just been woken. Meant to be run under
 * ThreadSanitizer too. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include "base/parallel.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { COUNT = 1000, SLOTS = 16 };

typedef struct job {
  int done[COUNT];
  int busy[SLOTS];
  size_t grain;
  bool wrong;
} job;

static void count_pieces(void *arg, uint32_t slot, size_t begin, size_t end) {
  job *j = arg;
  if (slot >= SLOTS || j->busy[slot]++ != 0 || begin >= end || end > COUNT) j->wrong = true;
  if (begin % j->grain != 0) j->wrong = true;
  for (size_t i = begin; i < end; i++) {
    j->done[i]++;
  }
  j->busy[slot]--;
}

static void mark(void *arg, size_t begin, size_t end) {
  job *j = arg;
  for (size_t i = begin; i < end; i++) {
    j->done[i]++;
  }
}

static int check(weft_context *cx, size_t count, size_t grain) {
  job j = {.grain = grain};
  weft_parallel_slots(cx, count, grain, count_pieces, &j);
  weft_parallel(cx, count, grain, mark, &j);
  for (size_t i = 0; i < COUNT; i++) {
    if (j.done[i] != (i < count ? 2 : 0)) j.wrong = true;
  }
  if (j.wrong) fprintf(stderr, "a loop of %zu pieces with grain %zu went wrong\n", count, grain);
  return j.wrong;
}

static void rest(long microseconds) {
  struct timespec t = {0, microseconds * 1000};
  nanosleep(&t, NULL);
}

typedef struct chain {
  weft_context *cx;
  uint32_t values[64];
  uint32_t times; /* how often each was increased before */
  bool nested, late, wrong;
} chain;

static void increase(void *arg, size_t begin, size_t end) {
  chain *c = arg;
  for (size_t i = begin; i < end; i++) {
    if (c->values[i]++ != c->times) c->wrong = true;
  }
}

static void increase_each(void *arg, size_t begin, size_t end) {
  chain *c = arg;
  if (c->late && begin == 0) rest(500); /* the other threads are out of work long before */
  if (!c->nested) {
    increase(c, begin, end);
    return;
  }
  for (size_t i = begin; i < end; i++) {
    chain one = {.times = 0};
    weft_parallel(c->cx, 16, 1, increase, &one); /* a loop in a piece: on this thread */
    if (one.wrong || one.values[15] != 1) c->wrong = true;
    increase(c, i, i + 1);
  }
}

/* Many short loops in a row, each reading what the one before wrote on other threads. */
static int check_chain(weft_context *cx, uint32_t loops, bool nested) {
  chain c = {.cx = cx, .nested = nested};
  for (; c.times < loops; c.times++) {
    c.late = c.times % 256 == 255;
    if (c.times % 128 == 64) rest(c.times % 512); /* workers are about to fall asleep, or asleep */
    weft_parallel(cx, 64, 1, increase_each, &c);
  }
  if (c.wrong) fprintf(stderr, "a chain of %u loops went wrong\n", (unsigned)loops);
  return c.wrong;
}

int main(void) {
  weft_error error;
  weft_context cx = {.error = &error};
  if (weft_memory_create(0, &cx.memory) != WEFT_OK) return 1;
  int failed = 0;
  for (uint32_t threads = 0; threads <= 8; threads++) {
    if (weft_pool_create(&cx, threads, &cx.pool) != WEFT_OK) return 1;
    for (int round = 0; round < 50; round++) {
      failed |= check(&cx, 0, 1) | check(&cx, 1, 1) | check(&cx, 1000, 1) | check(&cx, 999, 7) | check(&cx, 10, 1000);
    }
    failed |= check_chain(&cx, 2000, false) | check_chain(&cx, 200, true);
    if (threads % 2 == 0) rest(400);
    weft_pool_destroy(cx.pool);
  }
  if (cx.memory->used != 0) {
    fprintf(stderr, "%zu bytes were not given back\n", cx.memory->used);
    failed = 1;
  }
  weft_memory_release(cx.memory);
  return failed;
}
