/* Memory: every byte a session holds is counted against its budget, every allocation may fail, and a failure is a status
 * with the size that was asked for. Three ways to hold memory, by lifetime:
 *   weft_alloc   one block, freed by its owner (weights, values)
 *   weft_arena   many small objects freed together (a graph)
 *   weft_scratch what one node needs while it runs, handed back when it ends, its pages kept for the next node
 * Blocks are aligned to 16 bytes. Only the thread that runs the session allocates: bodies of weft_parallel do not. */
#ifndef WEFT_BASE_MEMORY_H
#define WEFT_BASE_MEMORY_H

#include "context.h"

typedef struct weft_memory {
  size_t limit; /* 0: none */
  size_t used;
  size_t peak;
  size_t fail_at; /* for tests: counts allocations down and fails the one that reaches 0; 0: off */
} weft_memory;

/* `out` gets NULL on failure. A size of 0 gives a block that may be freed. */
weft_status weft_alloc(weft_context *cx, size_t size, void **out);
weft_status weft_alloc_zeroed(weft_context *cx, size_t count, size_t size, void **out);
/* How many bytes a block has. */
size_t weft_block_size(const void *block);
/* Frees and un-counts; NULL is allowed. The budget is found through the block, so a value may outlive its session. */
void weft_free(void *block);
/* Grows `*items` (of `item_size` bytes each) so that at least `need` fit; keeps the first `*capacity`. */
weft_status weft_grow(weft_context *cx, void **items, size_t *capacity, size_t need, size_t item_size);

/* a*b and a+b, false when they overflow. */
bool weft_mul(size_t a, size_t b, size_t *out);
bool weft_add(size_t a, size_t b, size_t *out);
static inline size_t weft_smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* The budget is shared by reference: it lives until its session and all its values are gone. */
weft_status weft_memory_create(size_t limit, weft_memory **out);
void weft_memory_retain(weft_memory *memory);
void weft_memory_release(weft_memory *memory);

typedef struct weft_arena_block weft_arena_block;
typedef struct weft_arena {
  weft_arena_block *last;
} weft_arena;

/* Zeroed memory that lives until weft_arena_free. */
weft_status weft_arena_alloc(weft_context *cx, weft_arena *arena, size_t count, size_t size, void **out);
/* A zero-terminated copy. */
weft_status weft_arena_copy_string(weft_context *cx, weft_arena *arena, const char *data, size_t size,
                                   const char **out);
void weft_arena_free(weft_arena *arena);

typedef struct weft_scratch {
  void *block; /* grows to the largest node's need */
  size_t size, used, wanted;
  void *extra; /* blocks taken while `block` was too small, freed at reset */
} weft_scratch;

weft_status weft_scratch_alloc(weft_context *cx, weft_scratch *scratch, size_t size, void **out);
/* Hands everything back. Growing `block` to what was wanted happens here, so no pointer into it moves while in use. */
void weft_scratch_reset(weft_context *cx, weft_scratch *scratch);
void weft_scratch_free(weft_scratch *scratch);

#endif
