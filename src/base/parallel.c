/* The thread pool behind weft_parallel. Workers are made with the pool, so that they are ready before the first run,
 * and sleep on a condition between loops; a loop never waits for a worker that has not come to it, so a host that
 * starts threads late (a page, whose workers load) loses speed and nothing else. Pieces are handed out by a shared
 * counter: who runs what is left to chance, which bodies may not notice. Builds without threads keep the plain loop
 * alone. It must not know what a loop computes. */
#include "parallel.h"

#include "memory.h"

#if defined(WEFT_THREADS)

#include <pthread.h>
#include <stdatomic.h>

enum {
  SPINS = 2000, /* looks at a flag before sleeping: some microseconds, what a chain of small operators needs */
  SHARES = 4,   /* ranges a thread takes on average: evens out threads of unequal speed */
  MAX_THREADS = 256
};

typedef struct weft_worker {
  struct weft_pool *pool;
  pthread_t thread;
  uint32_t slot;
} weft_worker;

struct weft_pool {
  pthread_mutex_t mutex;
  pthread_cond_t work; /* a loop began, or the pool ends */
  pthread_cond_t done; /* the last worker left the loop */
  atomic_uint loop;    /* counts loops; changes when one begins */
  atomic_uint inside;  /* workers in the loop */
  bool open, quit;     /* guarded by mutex */
  atomic_size_t next;
  size_t count, chunk;
  weft_parallel_slot_body body;
  void *arg;
  uint32_t workers; /* started: the caller of weft_parallel is one thread more */
  weft_worker worker[];
};

static void take_pieces(struct weft_pool *pool, uint32_t slot) {
  for (;;) {
    size_t begin = atomic_fetch_add_explicit(&pool->next, pool->chunk, memory_order_relaxed);
    if (begin >= pool->count) return;
    size_t left = pool->count - begin;
    pool->body(pool->arg, slot, begin, begin + (left < pool->chunk ? left : pool->chunk));
  }
}

/* Enters the loop that is open, or waits for one that this worker has not seen. False: the pool ends. */
static bool enter_loop(struct weft_pool *pool, unsigned *seen) {
  for (int i = 0; i < SPINS && atomic_load_explicit(&pool->loop, memory_order_relaxed) == *seen; i++) {
  }
  pthread_mutex_lock(&pool->mutex);
  while (!pool->quit && (!pool->open || atomic_load(&pool->loop) == *seen)) {
    pthread_cond_wait(&pool->work, &pool->mutex);
  }
  bool go = !pool->quit;
  if (go) {
    *seen = atomic_load(&pool->loop);
    atomic_fetch_add(&pool->inside, 1);
  }
  pthread_mutex_unlock(&pool->mutex);
  return go;
}

static void *work(void *arg) {
  weft_worker *worker = arg;
  struct weft_pool *pool = worker->pool;
  unsigned seen = 0;
  while (enter_loop(pool, &seen)) {
    take_pieces(pool, worker->slot);
    pthread_mutex_lock(&pool->mutex);
    if (atomic_fetch_sub(&pool->inside, 1) == 1) pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->mutex);
  }
  return NULL;
}

static void run_loop(struct weft_pool *pool, size_t count, size_t grain, weft_parallel_slot_body body, void *arg) {
  size_t shares = ((size_t)pool->workers + 1) * SHARES;
  size_t grains = (count - 1) / grain + 1;
  pthread_mutex_lock(&pool->mutex);
  pool->count = count;
  pool->chunk = ((grains - 1) / shares + 1) * grain;
  pool->body = body;
  pool->arg = arg;
  atomic_store(&pool->next, 0);
  pool->open = true;
  atomic_fetch_add(&pool->loop, 1);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);

  take_pieces(pool, 0);
  for (int i = 0; i < SPINS && atomic_load_explicit(&pool->inside, memory_order_relaxed) != 0; i++) {
  }
  pthread_mutex_lock(&pool->mutex);
  pool->open = false;
  while (atomic_load(&pool->inside) != 0) {
    pthread_cond_wait(&pool->done, &pool->mutex);
  }
  pthread_mutex_unlock(&pool->mutex);
}

void weft_parallel_slots(weft_context *cx, size_t count, size_t grain, weft_parallel_slot_body body, void *arg) {
  if (count == 0) return;
  if (grain == 0) grain = 1;
  if (cx->pool == NULL || cx->pool->workers == 0 || count <= grain) {
    body(arg, 0, 0, count);
  } else {
    run_loop(cx->pool, count, grain, body, arg);
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
  pthread_mutex_lock(&pool->mutex);
  pool->quit = true;
  atomic_fetch_add(&pool->loop, 1);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
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
