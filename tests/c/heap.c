/* The allocator of the WebAssembly modules, in a region of memory of this program's own, between which another asks for
 * some too: blocks are apart and aligned, keep what is in them, and are one when all are freed. */
#include "check.h"

#include <stdint.h>
#include <string.h>

enum { ROOM = 16 << 20, PAGE = 65536 };
static _Alignas(PAGE) char room[ROOM];
static size_t given, limit = ROOM;

static void *give_pages(intptr_t bytes) {
  CHECK(bytes >= 0 && bytes % PAGE == 0);
  if ((size_t)bytes > limit - given) return (void *)-1;
  given += (size_t)bytes;
  return room + given - (size_t)bytes;
}

#define WEFT_HEAP_TEST
#define sbrk give_pages
#define malloc heap_malloc
#define calloc heap_calloc
#define realloc heap_realloc
#define free heap_free
#include "base/heap.c"

static uint32_t seed = 1;
static uint32_t any(uint32_t below) {
  seed = seed * 1664525 + 1013904223;
  return (uint32_t)(((uint64_t)seed * below) >> 32);
}

/* Mostly small, as those of a graph, some large. */
static size_t any_size(void) {
  const uint32_t kind = any(16);
  return kind == 0 ? any(400000) : kind < 4 ? any(5000) : any(200);
}

static char pattern_of(const void *data) {
  return (char)((uintptr_t)data >> 5 ^ (uintptr_t)data >> 12);
}

/* A block's own bytes are its pattern from end to end. */
static bool holds(const char *data, size_t size, char pattern) {
  for (size_t i = 0; i < size; i++) {
    if (data[i] != pattern) return false;
  }
  return true;
}

static size_t free_blocks(void) {
  size_t count = 0;
  for (int i = 0; i < LISTS; i++) {
    for (const block *b = heap.lists[i]; b != NULL; b = b->next) {
      CHECK(is_free(b) && (heap.filled >> i & 1) != 0 && list_of(b->size) == (unsigned)i);
      count++;
    }
    CHECK((heap.lists[i] != NULL) == (heap.filled >> i & 1));
  }
  return count;
}

static void check_at_random(void) {
  enum { BLOCKS = 200, STEPS = 40000 };
  static struct {
    char *data;
    size_t size;
    char pattern;
  } blocks[BLOCKS];
  for (int step = 0; step < STEPS; step++) {
    const uint32_t i = any(BLOCKS);
    const size_t size = any_size();
    char *data = blocks[i].data;
    CHECK(holds(data, blocks[i].size, blocks[i].pattern));
    if (any(4) == 0) {
      data = heap_realloc(data, size);
      CHECK(data != NULL && holds(data, size < blocks[i].size ? size : blocks[i].size, blocks[i].pattern));
    } else if (any(4) == 0) {
      heap_free(data);
      data = heap_calloc(size, 1);
      CHECK(data != NULL && holds(data, size, 0));
    } else {
      heap_free(data);
      data = any(2) == 0 ? NULL : heap_malloc(size);
    }
    CHECK((uintptr_t)data % 16 == 0);
    blocks[i].data = data;
    blocks[i].size = data != NULL ? size : 0;
    blocks[i].pattern = pattern_of(data);
    if (data != NULL) memset(data, blocks[i].pattern, size);
    if (step == 100) given += PAGE; /* somebody else's */
    if (step % 1000 == 0) free_blocks();
  }
  for (int i = 0; i < BLOCKS; i++) {
    CHECK(holds(blocks[i].data, blocks[i].size, blocks[i].pattern));
    heap_free(blocks[i].data);
  }
  CHECK(free_blocks() <= 2); /* a region each */
  CHECK(given < ROOM / 2);
}

/* What is free at the end is part of what is asked for. */
static void check_growth(void) {
  void *first = heap_malloc(ROOM / 4);
  heap_free(first);
  const size_t before = given;
  void *second = heap_malloc(ROOM / 2);
  CHECK(first != NULL && second != NULL && given - before <= ROOM / 4 + PAGE);
  heap_free(second);
}

static void check_refusals(void) {
  limit = given;
  CHECK(heap_malloc(ROOM) == NULL);
  CHECK(heap_malloc(SIZE_MAX) == NULL);
  CHECK(heap_malloc(PTRDIFF_MAX) == NULL);
  CHECK(heap_malloc(PTRDIFF_MAX / 64) == NULL);
  CHECK(heap_calloc(SIZE_MAX / 2, 3) == NULL);
  char *data = heap_malloc(100);
  CHECK(data != NULL);
  memset(data, 7, 100);
  CHECK(heap_realloc(data, ROOM) == NULL && heap_realloc(data, SIZE_MAX) == NULL && holds(data, 100, 7));
  heap_free(data);
  heap_free(NULL);
  void *nothing = heap_malloc(0), *other = heap_calloc(0, 8);
  CHECK(nothing != NULL && other != NULL && nothing != other);
  heap_free(nothing);
  heap_free(other);
  CHECK(free_blocks() <= 2);
}

int main(void) {
  check_at_random();
  check_growth();
  check_refusals();
  return 0;
}
