/* Sorting, and finding in what is sorted: positions are put in order, never the things themselves. */
#ifndef WEFT_OPS_ORDER_H
#define WEFT_OPS_ORDER_H

#include "op.h"

/* Less than, equal to or greater than 0, as position a comes before, with or after position b. */
typedef int (*weft_compare)(const void *arg, int64_t a, int64_t b);

/* Fills `order` with 0 .. count-1, sorted; equal ones keep their order. `spare` has room for as many. */
void weft_order(size_t count, weft_compare compare, const void *arg, int64_t *order, int64_t *spare);

/* The same by keys: a radix sort. */
void weft_order_keys(size_t count, const uint64_t *keys, int64_t *order, int64_t *spare);

/* Compares element i of `a` with element j of `b`, both of `type`: numbers (complex ones too), bools or strings (by
 * bytes). NaN equal each other and come last. */
int weft_compare_elements(weft_type type, const void *a, size_t i, const void *b, size_t j);

/* A list of keys that can be searched. */
typedef struct weft_lookup {
  weft_type type;
  size_t count;
  const void *keys;
  const int64_t *order;
  const uint64_t *sorted; /* of numbers: weft_number_key of all, in order */
  const int64_t *begins;  /* of numbers: where those begin that are `index` << shift and more above the first */
  int shift;
} weft_lookup;

/* In prepare: sorts the keys once, which becomes the node's state; behind it is room for `more` bytes. */
weft_status weft_lookup_prepare(weft_op *op, weft_type type, size_t count, const void *keys, size_t more);
/* In run: the lookup for the same keys, from the node's state, or sorted now where nothing was prepared. */
weft_status weft_lookup_open(weft_op *op, weft_type type, size_t count, const void *keys, weft_lookup *out);
/* The room behind the state. */
void *weft_lookup_room(const weft_lookup *lookup);
/* The last key equal to element i of `data` (of the keys' type), or -1. */
int64_t weft_lookup_find(const weft_lookup *lookup, const void *data, size_t i);

#endif
