/* Sorting in place, without memory of its own: equal items end in any order. */
#ifndef WEFT_BASE_SORT_H
#define WEFT_BASE_SORT_H

#include <stddef.h>

/* As qsort, for items whose size is a multiple of 4. */
void weft_sort(void *items, size_t count, size_t size, int (*compare)(const void *, const void *));

#endif
