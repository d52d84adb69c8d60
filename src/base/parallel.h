/* weft_parallel: the only door to threads. A loop of `count` independent pieces is spread over the pool, or run here
 * when there is none. Pieces must not allocate, and a result must not depend on which thread ran a piece or how many
 * there are: cut the work by its shape, never by the number of threads. */
#ifndef WEFT_BASE_PARALLEL_H
#define WEFT_BASE_PARALLEL_H

#include "context.h"

typedef void (*weft_parallel_body)(void *arg, size_t begin, size_t end);

/* Calls body for disjoint ranges that cover [0, count), each of at least `grain` pieces but the last; ranges begin at
 * multiples of `grain`. Returns when all are done. Inside a body it is a plain loop on the body's thread. */
void weft_parallel(weft_context *cx, size_t count, size_t grain, weft_parallel_body body, void *arg);

/* The same for bodies that need scratch of their own: `slot` is below weft_parallel_threads, and no two ranges run at
 * once in one slot. A slot runs many ranges, in no certain order. */
typedef void (*weft_parallel_slot_body)(void *arg, uint32_t slot, size_t begin, size_t end);
void weft_parallel_slots(weft_context *cx, size_t count, size_t grain, weft_parallel_slot_body body, void *arg);

/* How many slots there are: the number of ranges that may run at once. */
uint32_t weft_parallel_threads(const weft_context *cx);

/* `out` gets NULL where there is nothing to gain: one thread, or a build without threads. */
weft_status weft_pool_create(weft_context *cx, uint32_t threads, struct weft_pool **out);
void weft_pool_destroy(struct weft_pool *pool);

#endif
