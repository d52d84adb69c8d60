/* Sorting and finding: a merge sort, stable and never slower than n log n whatever a model holds, a radix sort where
 * there are keys, and binary search. */
#include "order.h"

#include "number.h"

#include <string.h>

void weft_order(size_t count, weft_compare compare, const void *arg, int64_t *order, int64_t *spare) {
  for (size_t i = 0; i < count; i++) {
    order[i] = (int64_t)i;
  }
  for (size_t width = 1; width < count; width *= 2) {
    for (size_t begin = 0; begin < count; begin += 2 * width) {
      size_t middle = begin + width < count ? begin + width : count;
      size_t end = middle + width < count ? middle + width : count, left = begin, right = middle;
      for (size_t i = begin; i < end; i++) {
        bool from_left = left < middle && (right == end || compare(arg, order[left], order[right]) <= 0);
        spare[i] = from_left ? order[left++] : order[right++];
      }
    }
    memcpy(order, spare, count * sizeof *order);
  }
}

/* Byte after byte, the lowest first; bytes that all keys have in common are passed over. */
void weft_order_keys(size_t count, const uint64_t *keys, int64_t *order, int64_t *spare) {
  int64_t *from = order, *to = spare;
  for (size_t i = 0; i < count; i++) {
    order[i] = (int64_t)i;
  }
  for (int shift = 0; shift < 64; shift += 8) {
    size_t begins[256] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++) {
      begins[keys[i] >> shift & 255]++;
    }
    if (count == 0 || begins[keys[0] >> shift & 255] == count) {
      continue;
    }
    for (int digit = 0; digit < 256; digit++) {
      const size_t held = begins[digit];
      begins[digit] = sum;
      sum += held;
    }
    for (size_t i = 0; i < count; i++) {
      to[begins[keys[from[i]] >> shift & 255]++] = from[i];
    }
    int64_t *const swapped = from;
    from = to;
    to = swapped;
  }
  if (from != order) {
    memcpy(order, from, count * sizeof *order);
  }
}

int weft_compare_elements(weft_type type, const void *a, size_t i, const void *b, size_t j) {
  if (type == WEFT_STRING) {
    const weft_string *x = (const weft_string *)a + i, *y = (const weft_string *)b + j;
    size_t shorter = x->size < y->size ? x->size : y->size;
    int order = shorter == 0 ? 0 : memcmp(x->data, y->data, shorter);
    return order != 0 ? order : x->size < y->size ? -1 : x->size > y->size;
  }
  if (type == WEFT_COMPLEX64 || type == WEFT_COMPLEX128) { /* by their real parts, then by the imaginary ones */
    weft_type part = type == WEFT_COMPLEX64 ? WEFT_FLOAT : WEFT_DOUBLE;
    int order = weft_compare_elements(part, a, 2 * i, b, 2 * j);
    return order != 0 ? order : weft_compare_elements(part, a, 2 * i + 1, b, 2 * j + 1);
  }
  uint64_t x = weft_number_key(type, a, i), y = weft_number_key(type, b, j);
  return x < y ? -1 : x > y;
}

static int compare_keys(const void *arg, int64_t a, int64_t b) {
  const weft_lookup *lookup = arg;
  return weft_compare_elements(lookup->type, lookup->keys, (size_t)a, lookup->keys, (size_t)b);
}

/* Eight bytes for each: positions, then of numbers the keys themselves and where each share of their range begins, of
 * which there are as many as keys, so that few keys are in one. */
static size_t room_of(size_t count) {
  return count < SIZE_MAX / 64 ? (3 * count + 1) * sizeof(int64_t) : SIZE_MAX / 2; /* more than there is */
}

static bool is_number(weft_type type) {
  return type != WEFT_STRING && type != WEFT_COMPLEX64 && type != WEFT_COMPLEX128;
}

/* The lookup of what has been sorted into `block`. */
static weft_lookup lookup_in(void *block, weft_type type, size_t count, const void *keys) {
  weft_lookup lookup = {.type = type, .count = count, .keys = keys, .order = block};
  if (is_number(type) && count > 0) {
    lookup.sorted = (uint64_t *)block + count;
    lookup.begins = lookup.order + 2 * count;
    while ((lookup.sorted[count - 1] - lookup.sorted[0]) >> lookup.shift >= count) {
      lookup.shift++;
    }
  }
  return lookup;
}

static weft_lookup sort_keys(void *block, weft_type type, size_t count, const void *keys) {
  weft_lookup lookup = {.type = type, .keys = keys};
  int64_t *behind = (int64_t *)block + count, *begins = behind + count;
  weft_order(count, compare_keys, &lookup, block, behind);
  for (size_t i = 0; is_number(type) && i < count; i++) {
    behind[i] = (int64_t)weft_number_key(type, keys, (size_t)((const int64_t *)block)[i]);
  }
  lookup = lookup_in(block, type, count, keys);
  for (size_t share = 0, i = 0; lookup.sorted != NULL && share <= count; share++) {
    while (i < count && (lookup.sorted[i] - lookup.sorted[0]) >> lookup.shift < share) {
      i++;
    }
    begins[share] = (int64_t)i;
  }
  return lookup;
}

weft_status weft_lookup_prepare(weft_op *op, weft_type type, size_t count, const void *keys, size_t more) {
  void *state;
  WEFT_TRY(weft_op_state(op, room_of(count) + more, &state));
  sort_keys(state, type, count, keys);
  return WEFT_OK;
}

void *weft_lookup_room(const weft_lookup *lookup) {
  return (char *)lookup->order + room_of(lookup->count);
}

weft_status weft_lookup_open(weft_op *op, weft_type type, size_t count, const void *keys, weft_lookup *out) {
  void *block = op->node->state;
  if (block != NULL) {
    *out = lookup_in(block, type, count, keys);
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch(op, room_of(count), &block));
  *out = sort_keys(block, type, count, keys);
  return WEFT_OK;
}

int64_t weft_lookup_find(const weft_lookup *lookup, const void *data, size_t i) {
  size_t low = 0, high = lookup->count;
  if (lookup->sorted != NULL) {
    const uint64_t key = weft_number_key(lookup->type, data, i);
    const uint64_t share = (key - lookup->sorted[0]) >> lookup->shift;
    if (key < lookup->sorted[0] || share >= lookup->count) {
      return -1;
    }
    low = (size_t)lookup->begins[share];
    high = (size_t)lookup->begins[share + 1] - low;
    for (size_t half; high > 1; high -= half) { /* the last that is not greater is among `high` from `low` on */
      half = high / 2;
      low += lookup->sorted[low + half] <= key ? half : 0;
    }
    return high > 0 && lookup->sorted[low] == key ? lookup->order[low] : -1;
  }
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (weft_compare_elements(lookup->type, lookup->keys, (size_t)lookup->order[middle], data, i) <= 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  bool found =
      low > 0 && weft_compare_elements(lookup->type, lookup->keys, (size_t)lookup->order[low - 1], data, i) == 0;
  return found ? lookup->order[low - 1] : -1;
}
