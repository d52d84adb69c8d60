/* See sort.h. A heap sort, an eighth of a C library's qsort in bytes. */
#include "sort.h"

#include <stdint.h>
#include <string.h>

static void swap(char *a, char *b, size_t size) {
  for (size_t i = 0; i < size; i += sizeof(uint32_t)) {
    uint32_t x, y;
    memcpy(&x, a + i, sizeof x);
    memcpy(&y, b + i, sizeof y);
    memcpy(a + i, &y, sizeof y);
    memcpy(b + i, &x, sizeof x);
  }
}

void weft_sort(void *items, size_t count, size_t size, int (*compare)(const void *, const void *)) {
  char *x = items;
  for (size_t first = count / 2, left = count; left > 1;) {
    if (first > 0) { /* the first half's items become tops of heaps */
      first--;
    } else { /* the largest goes to the end */
      swap(x, x + --left * size, size);
    }
    for (size_t at = first, child; (child = 2 * at + 1) < left; at = child) {
      child += child + 1 < left && compare(x + child * size, x + (child + 1) * size) < 0;
      if (compare(x + at * size, x + child * size) >= 0) break;
      swap(x + at * size, x + child * size, size);
    }
  }
}
