/* Memory counted against a budget. Each block carries a 16-byte header with its size and its budget, so that freeing
 * needs nothing but the pointer and a value may outlive the session that made it. It must not know what is kept in the
 * blocks. */
#include "memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Kernels count on an alignment of 16 bytes: 8 bytes off, every fourth vector crosses a line of the cache, and a product
 * that reads its weights once takes a fifth longer. So malloc has to give it, as heap.c does in WebAssembly. */
typedef struct header {
  _Alignas(16) weft_memory *memory;
  size_t size; /* with the header */
} header;

#if !defined(__wasm__)
_Static_assert(_Alignof(max_align_t) >= _Alignof(header), "blocks of malloc are aligned");
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define POISONED 1
#endif
#endif

/* Pieces of one block lie side by side, and AddressSanitizer sees no step from one into the next: with it there is a
 * gap behind each that must not be touched. */
#ifdef POISONED
enum { GAP = 16 };
static void fence(void *piece, size_t size, size_t taken) {
  ASAN_POISON_MEMORY_REGION((char *)piece + size, taken - size);
}
static void unfence(void *block, size_t size) {
  ASAN_UNPOISON_MEMORY_REGION(block, size);
}
#else
enum { GAP = 0 };
static void fence(void *piece, size_t size, size_t taken) {
  (void)piece, (void)size, (void)taken;
}
static void unfence(void *block, size_t size) {
  (void)block, (void)size;
}
#endif

/* The shared budget: `refs` counts the session and every block. */
typedef struct budget {
  weft_memory memory; /* first: a weft_memory pointer is a budget pointer */
  size_t refs;
} budget;

bool weft_mul(size_t a, size_t b, size_t *out) {
  *out = a * b;
  return b == 0 || a <= SIZE_MAX / b;
}

bool weft_add(size_t a, size_t b, size_t *out) {
  *out = a + b;
  return a <= SIZE_MAX - b;
}

weft_status weft_memory_create(size_t limit, weft_memory **out) {
  budget *b = calloc(1, sizeof *b);
  *out = b != NULL ? &b->memory : NULL;
  if (b == NULL) {
    return WEFT_OUT_OF_MEMORY;
  }
  b->memory.limit = limit;
  b->refs = 1;
  return WEFT_OK;
}

void weft_memory_retain(weft_memory *memory) {
  ((budget *)memory)->refs++;
}

void weft_memory_release(weft_memory *memory) {
  if (memory != NULL && --((budget *)memory)->refs == 0) {
    free(memory);
  }
}

static weft_status fail_memory(weft_context *cx, size_t size) {
  const weft_memory *memory = cx->memory;
  if (memory->limit != 0) {
    return weft_fail(cx, WEFT_OUT_OF_MEMORY, "no memory for %zu more bytes: %zu are in use and max_memory is %zu", size,
                     memory->used, memory->limit);
  }
  return weft_fail(cx, WEFT_OUT_OF_MEMORY, "no memory for %zu more bytes: %zu are in use and the host gives no more",
                   size, memory->used);
}

static weft_status take(weft_context *cx, size_t size, bool zero, void **out) {
  weft_memory *memory = cx->memory;
  size_t total;
  *out = NULL;
  /* PTRDIFF_MAX bounds a block, as malloc does. */
  if (!weft_add(size, sizeof(header), &total) || total > SIZE_MAX / 2) {
    return fail_memory(cx, size);
  }
  if (memory->fail_at != 0 && --memory->fail_at == 0) {
    return fail_memory(cx, size);
  }
  if (memory->limit != 0 && (total > memory->limit || memory->used > memory->limit - total)) {
    return fail_memory(cx, size);
  }
  header *h = zero ? calloc(1, total) : malloc(total);
  if (h == NULL) {
    return fail_memory(cx, size);
  }
  h->memory = memory;
  h->size = total;
  weft_memory_retain(memory);
  memory->used += total;
  if (memory->used > memory->peak) {
    memory->peak = memory->used;
  }
  *out = h + 1;
  return WEFT_OK;
}

weft_status weft_alloc(weft_context *cx, size_t size, void **out) {
  return take(cx, size, false, out);
}

weft_status weft_alloc_zeroed(weft_context *cx, size_t count, size_t size, void **out) {
  size_t total;
  *out = NULL;
  if (!weft_mul(count, size, &total)) {
    return fail_memory(cx, SIZE_MAX);
  }
  return take(cx, total, true, out);
}

size_t weft_block_size(const void *block) {
  return ((const header *)block - 1)->size - sizeof(header);
}

void weft_free(void *block) {
  if (block == NULL) {
    return;
  }
  header *h = (header *)block - 1;
  weft_memory *memory = h->memory;
  memory->used -= h->size;
  free(h);
  weft_memory_release(memory);
}

weft_status weft_grow(weft_context *cx, void **items, size_t *capacity, size_t need, size_t item_size) {
  if (need <= *capacity) {
    return WEFT_OK;
  }
  size_t doubled = *capacity > SIZE_MAX / 2 ? need : *capacity * 2;
  size_t wanted = doubled < 8 ? 8 : doubled;
  if (wanted < need) {
    wanted = need;
  }
  size_t bytes;
  void *grown;
  if (!weft_mul(wanted, item_size, &bytes)) {
    return fail_memory(cx, SIZE_MAX);
  }
  WEFT_TRY(weft_alloc(cx, bytes, &grown));
  if (*items != NULL) {
    memcpy(grown, *items, *capacity * item_size);
    weft_free(*items);
  }
  *items = grown;
  *capacity = wanted;
  return WEFT_OK;
}

/* ---- arena: blocks of at least 4 kB, filled front to back -------------------------------------------------------- */
struct weft_arena_block {
  weft_arena_block *previous;
  size_t size, used; /* of the bytes behind this header */
  size_t padding;
};

_Static_assert(sizeof(weft_arena_block) % 16 == 0, "objects stay aligned to 16 bytes");

enum { ARENA_BLOCK = 4096 };

weft_status weft_arena_alloc(weft_context *cx, weft_arena *arena, size_t count, size_t size, void **out) {
  size_t wanted;
  *out = NULL;
  if (!weft_mul(count, size, &wanted) || wanted > SIZE_MAX / 4) {
    return fail_memory(cx, SIZE_MAX);
  }
  size_t bytes = (wanted + GAP + 15) & ~(size_t)15;
  weft_arena_block *block = arena->last;
  if (block == NULL || block->size - block->used < bytes) {
    /* Blocks grow with the arena, so that a large graph takes few of them. */
    size_t room = block == NULL ? ARENA_BLOCK : block->size < ((size_t)1 << 20) ? block->size * 2 : block->size;
    if (room < bytes) {
      room = bytes;
    }
    void *fresh;
    WEFT_TRY(weft_alloc(cx, sizeof *block + room, &fresh));
    block = fresh;
    block->previous = arena->last;
    block->size = room;
    block->used = 0;
    arena->last = block;
  }
  *out = (char *)(block + 1) + block->used;
  block->used += bytes;
  memset(*out, 0, bytes);
  fence(*out, wanted, bytes);
  return WEFT_OK;
}

weft_status weft_arena_copy_string(weft_context *cx, weft_arena *arena, const char *data, size_t size,
                                   const char **out) {
  void *copy;
  size_t total;
  *out = NULL;
  if (!weft_add(size, 1, &total)) {
    return fail_memory(cx, size);
  }
  WEFT_TRY(weft_arena_alloc(cx, arena, total, 1, &copy));
  if (size > 0) {
    memcpy(copy, data, size);
  }
  *out = copy;
  return WEFT_OK;
}

void weft_arena_free(weft_arena *arena) {
  while (arena->last != NULL) {
    weft_arena_block *block = arena->last;
    arena->last = block->previous;
    unfence(block + 1, block->size);
    weft_free(block);
  }
}

/* ---- scratch ----------------------------------------------------------------------------------------------------- */
typedef struct extra_block {
  void *next;
  char padding[16 - sizeof(void *)];
} extra_block;

weft_status weft_scratch_alloc(weft_context *cx, weft_scratch *scratch, size_t size, void **out) {
  *out = NULL;
  if (size > SIZE_MAX / 4) {
    return fail_memory(cx, size);
  }
  size_t bytes = (size + GAP + 15) & ~(size_t)15;
  scratch->wanted += bytes;
  if (scratch->size - scratch->used >= bytes && scratch->block != NULL) {
    *out = (char *)scratch->block + scratch->used;
    scratch->used += bytes;
    fence(*out, size, bytes);
    return WEFT_OK;
  }
  void *taken;
  if (scratch->used == 0) { /* too small for the first piece already: nothing lies in it */
    weft_free(scratch->block);
    scratch->block = NULL;
    scratch->size = 0;
  }
  WEFT_TRY(weft_alloc(cx, sizeof(extra_block) + bytes, &taken));
  extra_block *extra = taken;
  extra->next = scratch->extra;
  scratch->extra = extra;
  *out = extra + 1;
  return WEFT_OK;
}

static void free_extra(weft_scratch *scratch) {
  while (scratch->extra != NULL) {
    extra_block *extra = scratch->extra;
    scratch->extra = extra->next;
    weft_free(extra);
  }
}

void weft_scratch_reset(weft_context *cx, weft_scratch *scratch) {
  unfence(scratch->block, scratch->size);
  if (scratch->extra != NULL) {
    free_extra(scratch);
    weft_free(scratch->block);
    /* Failing to keep a block is no failure: the next node takes extra ones again. */
    weft_error ignored, *error = cx->error;
    cx->error = &ignored;
    scratch->size = weft_alloc(cx, scratch->wanted, &scratch->block) == WEFT_OK ? scratch->wanted : 0;
    cx->error = error;
  }
  scratch->used = 0;
  scratch->wanted = 0;
}

void weft_scratch_free(weft_scratch *scratch) {
  free_extra(scratch);
  unfence(scratch->block, scratch->size);
  weft_free(scratch->block);
  memset(scratch, 0, sizeof *scratch);
}
