/* malloc, calloc, realloc and free of the WebAssembly modules: a tenth of what a C library brings, one for both of them,
 * and every block is aligned to 16 bytes. Memory that the host gives lies in regions, which blocks fill from end to end;
 * a block knows its size and that of the block before it, so that free neighbours are joined at once. Free blocks are in
 * lists by size, two for each power of two, and the best of the first few that are large enough is taken. It must not
 * know who asks. Native programs have their own; tests/c/heap.c includes this file with other names. */
#if defined(__wasm__) || defined(WEFT_HEAP_TEST)

#define _DEFAULT_SOURCE /* sbrk */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What follows `size` is the owner's in a block that is in use. A region's last block is a header alone, always in use. */
typedef struct block {
  size_t before; /* the size of the block before; 0: this one is a region's first */
  size_t size;   /* with its header, a multiple of UNIT; and IN_USE */
  struct block *next, *previous;
} block;

enum { HEADER = offsetof(block, next), UNIT = sizeof(block), IN_USE = 1, TRIES = 32, LISTS = 64 };

/* With addresses of 64 bits, the lists have places for less than there might be. */
static const size_t GROWTH = 65536, MOST = sizeof(size_t) == 4 ? PTRDIFF_MAX - 2 * 65536 : (size_t)UNIT << 31;

static struct {
  block *lists[LISTS];
  uint64_t filled; /* a bit for each list that is not empty */
  block *end;      /* of the region that grows */
} heap;

#if defined(WEFT_THREADS)
#include <stdatomic.h>
static atomic_flag taken = ATOMIC_FLAG_INIT;
static void lock(void) {
  while (atomic_flag_test_and_set_explicit(&taken, memory_order_acquire)) {
  }
}
static void unlock(void) {
  atomic_flag_clear_explicit(&taken, memory_order_release);
}
#else
static void lock(void) {}
static void unlock(void) {}
#endif

static block *block_at(void *place, ptrdiff_t bytes) {
  return (block *)((char *)place + bytes);
}

static bool is_free(const block *b) {
  return (b->size & IN_USE) == 0;
}

static unsigned list_of(size_t size) {
  const size_t units = size / UNIT;
  const unsigned log = 8 * sizeof(long) - 1 - (unsigned)__builtin_clzl(units);
  return 2 * log + (log > 0 && (units >> (log - 1) & 1) != 0);
}

static void take_out(block *b) {
  const unsigned list = list_of(b->size);
  if (b->next != NULL) b->next->previous = b->previous;
  if (b->previous != NULL) {
    b->previous->next = b->next;
    return;
  }
  heap.lists[list] = b->next;
  if (b->next == NULL) heap.filled &= ~((uint64_t)1 << list);
}

/* Frees `size` bytes, joined with free neighbours. */
static void put_in(block *b, size_t size) {
  block *after = block_at(b, (ptrdiff_t)size);
  if (is_free(after)) {
    take_out(after);
    size += after->size;
  }
  if (b->before != 0 && is_free(block_at(b, -(ptrdiff_t)b->before))) {
    b = block_at(b, -(ptrdiff_t)b->before);
    take_out(b);
    size += b->size;
  }
  const unsigned list = list_of(size);
  b->size = size;
  b->previous = NULL;
  b->next = heap.lists[list];
  if (b->next != NULL) b->next->previous = b;
  heap.lists[list] = b;
  heap.filled |= (uint64_t)1 << list;
  block_at(b, (ptrdiff_t)size)->before = size;
}

/* Makes a block that is in no list one in use of `size` bytes, and frees what it has more. */
static void keep(block *b, size_t size) {
  const size_t rest = (b->size & ~(size_t)IN_USE) - size;
  block *after = block_at(b, (ptrdiff_t)size);
  b->size = size | IN_USE;
  after->before = size;
  if (rest > 0) put_in(after, rest);
}

/* The lists after a size's own hold nothing that is smaller. */
static block *find(size_t size) {
  for (uint64_t left = heap.filled >> list_of(size) << list_of(size); left != 0; left &= left - 1) {
    block *best = NULL;
    int tries = TRIES;
    for (block *b = heap.lists[__builtin_ctzll(left)]; b != NULL && tries > 0; b = b->next, tries--) {
      if (b->size >= size && (best == NULL || b->size < best->size)) best = b;
      if (best != NULL && best->size == size) break;
    }
    if (best != NULL) return best;
  }
  return NULL;
}

/* Asks for so much that a block of `size` bytes fits behind what is free at the end. */
static bool grow(size_t size) {
  const block *end = heap.end;
  const block *last = end != NULL && end->before != 0 ? block_at(heap.end, -(ptrdiff_t)end->before) : NULL;
  const size_t there = last != NULL && is_free(last) ? last->size : 0;
  const size_t bytes = (size - there + UNIT + GROWTH - 1) / GROWTH * GROWTH;
  char *fresh = sbrk((intptr_t)bytes);
  if (fresh == (char *)-1) return false;
  block *b = end == NULL ? NULL : block_at(heap.end, 0);
  size_t room = bytes;
  if (b == NULL || fresh != (char *)b + HEADER) { /* a region of its own */
    b = block_at(fresh, HEADER);
    b->before = 0;
    room -= UNIT;
  }
  heap.end = block_at(b, (ptrdiff_t)room);
  heap.end->size = IN_USE;
  put_in(b, room);
  return true;
}

static size_t size_of(size_t bytes) {
  return (bytes + HEADER + UNIT - 1) / UNIT * UNIT;
}

static void *take(size_t bytes) {
  const size_t size = size_of(bytes);
  block *b = NULL;
  lock();
  while (bytes <= MOST && (b = find(size)) == NULL && grow(size)) {
  }
  if (b != NULL) {
    take_out(b);
    keep(b, size);
  }
  unlock();
  return b != NULL ? (char *)b + HEADER : NULL;
}

static void give(void *data) {
  block *b = block_at(data, -HEADER);
  lock();
  put_in(b, b->size - IN_USE);
  unlock();
}

/* Whether a block has `bytes` where it is: by giving its end back, or taking what follows if that is free and enough. */
static bool resize(void *data, size_t bytes) {
  block *b = block_at(data, -HEADER);
  const size_t size = size_of(bytes), had = b->size - IN_USE;
  lock();
  block *after = block_at(b, (ptrdiff_t)had);
  if (size > had && is_free(after) && after->size >= size - had) {
    take_out(after);
    b->size += after->size;
  }
  const bool fits = size < b->size;
  if (fits) keep(b, size);
  unlock();
  return fits;
}

void *malloc(size_t bytes) {
  return take(bytes);
}

void free(void *data) {
  if (data != NULL) give(data);
}

void *calloc(size_t count, size_t size) {
  void *data = size != 0 && count > MOST / size ? NULL : take(count * size);
  return data != NULL ? memset(data, 0, count * size) : NULL;
}

void *realloc(void *data, size_t bytes) {
  if (data != NULL && bytes <= MOST && resize(data, bytes)) return data;
  void *moved = take(bytes);
  if (data != NULL && moved != NULL) {
    memcpy(moved, data, block_at(data, -HEADER)->size - IN_USE - HEADER);
    give(data);
  }
  return moved;
}

#if defined(__EMSCRIPTEN__)
/* What Emscripten's own code calls. It aligns nothing to more than blocks are. */
void *emscripten_builtin_malloc(size_t bytes) {
  return take(bytes);
}
void *emscripten_builtin_memalign(size_t alignment, size_t bytes) {
  (void)alignment;
  return take(bytes);
}
void emscripten_builtin_free(void *data) {
  free(data);
}
#endif

#endif
