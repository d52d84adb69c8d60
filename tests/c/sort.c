/* weft_sort against what qsort makes of the same numbers, of every small count and some large ones. */
#include "base/sort.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 5000 };

typedef struct item {
  uint32_t key, copies[4]; /* of the key */
} item;

static int compare(const void *a, const void *b) {
  const item *x = a, *y = b;
  return (x->key > y->key) - (x->key < y->key);
}

static bool check(size_t count, uint32_t keys) {
  static item items[MOST + 1], sorted[MOST + 1];
  for (size_t i = 0; i <= count; i++) {
    const uint32_t key = (uint32_t)(i * 2654435761u + count) % keys;
    items[i] = sorted[i] = (item){key, {key, key, key, key}};
  }
  qsort(sorted, count, sizeof *sorted, compare);
  weft_sort(items, count, sizeof *items, compare);
  return memcmp(items, sorted, (count + 1) * sizeof *items) == 0;
}

int main(void) {
  for (size_t count = 0; count <= MOST; count += count < 100 ? 1 : 700) {
    for (uint32_t keys = 1; keys <= 100000; keys *= 10) {
      if (!check(count, keys)) {
        fprintf(stderr, "%zu items of %u keys are not sorted\n", count, keys);
        return 1;
      }
    }
  }
  return 0;
}
