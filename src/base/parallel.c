/* The thread pool behind weft_parallel. Workers are made with the pool, so that they are ready before the first run. A
 * loop is cut into pieces and a worker belongs to it only while it holds one: the caller waits for pieces that were
 * taken, never for a worker, so threads that come late (a page, whose workers load; a machine that is busy) cost speed
 * and nothing else. Who runs what is left to chance, which bodies may not notice.
 *
 * Operators are often shorter than waking a thread takes, so whoever waits looks at a flag for a while before it
 * sleeps. Builds without threads keep the plain loop alone. It must not know what a loop computes. */
#if defined(WEFT_THREADS) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#endif
#include "parallel.h"

#include "memory.h"

#if defined(WEFT_THREADS)

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum {
  LOOKS = 1000,            /* at a flag between two looks at the clock */
  PATIENCE = 200 * 1000,   /* nanoseconds before sleeping: longer than what most operators do on one thread */
  CROWDED = 100000 * 1000, /* nanoseconds without patience after a thread that looked was not let run */
  SHARES = 8,              /* pieces a thread takes on average, at least: evens out threads of unequal speed */
  MAX_THREADS = 256,
  CACHE_LINE = 64
};

typedef struct weft_worker {
  struct weft_pool *pool;
  pthread_t thread;
  uint32_t slot;
} weft_worker;

/* The loop at work. `untaken` is the pieces nobody has taken, their first number in the lower half and their end in the
 * upper: taking a piece is one exchange, and until that piece is done the other members do not change. Their order is
 * that of `untaken`, written last and read first. */
typedef struct weft_loop {
  atomic_uint untaken;
  size_t count, chunk; /* of a piece, but the last */
  weft_parallel_slot_body body;
  void *arg;
} weft_loop;

struct weft_pool {
  weft_loop loop;
  char apart[CACHE_LINE];
  atomic_uint undone;   /* pieces of the loop; 0 between loops */
  atomic_bool waiting;  /* the caller sleeps until there are none */
  atomic_uint sleepers; /* workers that sleep until there is a loop */
  atomic_bool quit;
  _Atomic int64_t crowded; /* until then others want the processors */
  int64_t patience;
  pthread_mutex_t mutex; /* of those who sleep */
  pthread_cond_t work, done;
  uint32_t workers; /* started: the caller of weft_parallel is one thread more */
  weft_worker worker[];
};

static bool is_empty(unsigned pieces) {
  return (pieces & 0xffff) == pieces >> 16;
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Between two looks: lets the other thread of the core work, where there is an instruction for it. */
static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static bool has_work(struct weft_pool *pool) {
  return !is_empty(atomic_load_explicit(&pool->loop.untaken, memory_order_relaxed));
}

static bool is_done(struct weft_pool *pool) {
  return atomic_load_explicit(&pool->undone, memory_order_acquire) == 0;
}

/* Looks until `found`, or until it is time to sleep. Who finds that it did not run while it looked is in another's way.
 */
static bool look(struct weft_pool *pool, bool (*found)(struct weft_pool *)) {
  int64_t begin = 0, time = 0;
  do {
    for (int i = 0; i < LOOKS; i++) {
      if (found(pool)) return true;
      pause_briefly();
    }
    if (atomic_load_explicit(&pool->quit, memory_order_relaxed)) return false;
    int64_t before = time;
    time = now();
    if (before == 0) {
      begin = time;
    } else if (time - before > PATIENCE) {
      atomic_store_explicit(&pool->crowded, time + CROWDED, memory_order_relaxed);
    }
  } while (time - begin < pool->patience && time > atomic_load_explicit(&pool->crowded, memory_order_relaxed));
  return false;
}

/* Threads take neighbouring pieces, from both ends: what one operator wrote, the same core mostly reads in the next. */
static bool take(weft_loop *loop, bool front, unsigned *piece) {
  unsigned untaken = atomic_load_explicit(&loop->untaken, memory_order_relaxed);
  while (!is_empty(untaken)) {
    unsigned rest = front ? untaken + 1 : untaken - 0x10000;
    if (atomic_compare_exchange_weak_explicit(&loop->untaken, &untaken, rest, memory_order_acquire,
                                              memory_order_relaxed)) {
      *piece = front ? untaken & 0xffff : rest >> 16;
      return true;
    }
  }
  return false;
}

static void take_pieces(struct weft_pool *pool, uint32_t slot) {
  weft_loop *loop = &pool->loop;
  for (unsigned piece; take(loop, slot % 2 == 0, &piece);) {
    size_t begin = piece * loop->chunk, left = loop->count - begin;
    loop->body(loop->arg, slot, begin, begin + (left < loop->chunk ? left : loop->chunk));
    if (atomic_fetch_sub(&pool->undone, 1) == 1 && atomic_load(&pool->waiting)) {
      pthread_mutex_lock(&pool->mutex);
      pthread_cond_signal(&pool->done);
      pthread_mutex_unlock(&pool->mutex);
    }
  }
}

/* Whoever goes to sleep says so before the last look, and whoever changes something does it before looking for
 * sleepers. */
static void sleep_until_work(struct weft_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  if (is_empty(atomic_load(&pool->loop.untaken)) && !atomic_load(&pool->quit)) {
    pthread_cond_wait(&pool->work, &pool->mutex);
  }
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
}

static void wake_workers(struct weft_pool *pool) {
  if (atomic_load(&pool->sleepers) == 0) return;
  pthread_mutex_lock(&pool->mutex);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *arg) {
  weft_worker *worker = arg;
  struct weft_pool *pool = worker->pool;
  while (!atomic_load_explicit(&pool->quit, memory_order_relaxed)) {
    if (look(pool, has_work)) {
      take_pieces(pool, worker->slot);
    } else {
      sleep_until_work(pool);
    }
  }
  return NULL;
}

static void wait_for_pieces(struct weft_pool *pool) {
  if (look(pool, is_done)) return;
  pthread_mutex_lock(&pool->mutex);
  atomic_store(&pool->waiting, true);
  while (atomic_load(&pool->undone) != 0) {
    pthread_cond_wait(&pool->done, &pool->mutex);
  }
  atomic_store(&pool->waiting, false);
  pthread_mutex_unlock(&pool->mutex);
}

static void run_loop(struct weft_pool *pool, size_t count, size_t grain, weft_parallel_slot_body body, void *arg) {
  size_t shares = ((size_t)pool->workers + 1) * SHARES, grains = (count - 1) / grain + 1;
  weft_loop *loop = &pool->loop;
  loop->count = count;
  loop->chunk = (grains < shares ? 1 : grains / shares) * grain;
  loop->body = body;
  loop->arg = arg;
  unsigned pieces = (unsigned)((count - 1) / loop->chunk + 1);
  atomic_store_explicit(&pool->undone, pieces, memory_order_relaxed);
  atomic_store(&loop->untaken, pieces << 16);
  wake_workers(pool);
  take_pieces(pool, 0);
  wait_for_pieces(pool);
}

void weft_parallel_slots(weft_context *cx, size_t count, size_t grain, weft_parallel_slot_body body, void *arg) {
  if (count == 0) return;
  if (grain == 0) grain = 1;
  struct weft_pool *pool = cx->pool;
  /* Inside a body a piece is not done yet. */
  if (pool == NULL || pool->workers == 0 || count <= grain || !is_done(pool)) {
    body(arg, 0, 0, count);
  } else {
    run_loop(pool, count, grain, body, arg);
  }
}

uint32_t weft_parallel_threads(const weft_context *cx) {
  return cx->pool == NULL ? 1 : cx->pool->workers + 1;
}

weft_status weft_pool_create(weft_context *cx, uint32_t threads, struct weft_pool **out) {
  *out = NULL;
  if (threads <= 1) return WEFT_OK;
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  void *block = NULL;
  WEFT_TRY(weft_alloc_zeroed(cx, 1, sizeof(struct weft_pool) + (threads - 1) * sizeof(weft_worker), &block));
  struct weft_pool *pool = block;
  if (pthread_mutex_init(&pool->mutex, NULL) != 0 || pthread_cond_init(&pool->work, NULL) != 0 ||
      pthread_cond_init(&pool->done, NULL) != 0) {
    weft_free(block);
    return weft_fail(cx, WEFT_OUT_OF_MEMORY, "the host has no room for a thread pool");
  }
  /* Where threads outnumber processors, one that only looks keeps another from its work. */
  pool->patience = (long)threads <= sysconf(_SC_NPROCESSORS_ONLN) ? PATIENCE : 0;
  /* A host that gives fewer threads than asked for gets a smaller pool. */
  for (; pool->workers < threads - 1; pool->workers++) {
    weft_worker *worker = &pool->worker[pool->workers];
    worker->pool = pool;
    worker->slot = pool->workers + 1;
    if (pthread_create(&worker->thread, NULL, work, worker) != 0) break;
  }
  *out = pool;
  return WEFT_OK;
}

void weft_pool_destroy(struct weft_pool *pool) {
  if (pool == NULL) return;
  atomic_store(&pool->quit, true);
  wake_workers(pool);
  for (uint32_t i = 0; i < pool->workers; i++) {
    pthread_join(pool->worker[i].thread, NULL);
  }
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->mutex);
  weft_free(pool);
}

#else

void weft_parallel_slots(weft_context *cx, size_t count, size_t grain, weft_parallel_slot_body body, void *arg) {
  (void)cx;
  (void)grain;
  if (count != 0) body(arg, 0, 0, count);
}

uint32_t weft_parallel_threads(const weft_context *cx) {
  (void)cx;
  return 1;
}

weft_status weft_pool_create(weft_context *cx, uint32_t threads, struct weft_pool **out) {
  (void)cx;
  (void)threads;
  *out = NULL;
  return WEFT_OK;
}

void weft_pool_destroy(struct weft_pool *pool) {
  (void)pool;
}

#endif

typedef struct plain_loop {
  weft_parallel_body body;
  void *arg;
} plain_loop;

static void run_plain(void *arg, uint32_t slot, size_t begin, size_t end) {
  (void)slot;
  plain_loop *loop = arg;
  loop->body(loop->arg, begin, end);
}

void weft_parallel(weft_context *cx, size_t count, size_t grain, weft_parallel_body body, void *arg) {
  plain_loop loop = {body, arg};
  weft_parallel_slots(cx, count, grain, run_plain, &loop);
}
