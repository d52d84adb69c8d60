/* See typed.h: which elements of a row are the greatest or least, and where a number is. */
#include "typed.h"

#include "loops.h"

#include <string.h>

static bool is_same(float x, float value) {
  return x == value || (x != x && value != value);
}

size_t weft_typed_find(size_t n, const float *x, float value, bool last) {
  size_t found = n;
  for (size_t begin = 0; begin < n; begin += TOGETHER) {
    size_t end = n - begin < TOGETHER ? n : begin + TOGETHER;
    uint32_t any = 0;
    for (size_t i = begin; i < end; i++) {
      any |= (uint32_t)(x[i] == value) | ((uint32_t)(x[i] != x[i]) & (uint32_t)(value != value));
    }
    for (size_t i = begin; any != 0 && i < end; i++) {
      if (!is_same(x[i], value)) continue;
      if (!last) return i;
      found = i;
    }
  }
  return found;
}

size_t weft_typed_next(size_t from, size_t n, const float *x, float value, bool least) {
  const float sign = least ? -1.0f : 1.0f, bound = sign * value;
  for (size_t begin = from; begin < n; begin += TOGETHER) {
    size_t end = n - begin < TOGETHER ? n : begin + TOGETHER;
    uint32_t any = 0;
    for (size_t i = begin; i < end; i++) {
      any |= (uint32_t)!(sign * x[i] < bound);
    }
    for (size_t i = begin; any != 0 && i < end; i++) {
      if (!(sign * x[i] < bound)) return i;
    }
  }
  return n;
}

/* A number that is less for what is better: how it compares, then its place. */
static inline uint64_t rank_of(float x, bool least, size_t place) {
  const float plain = x + 0.0f; /* not -0 */
  uint32_t bits;
  memcpy(&bits, &plain, sizeof bits);
  bits ^= (bits >> 31) != 0 ? UINT32_MAX : 0x80000000u;
  bits = x != x ? UINT32_MAX : bits;
  return (uint64_t)(least ? bits : ~bits) << 32 | place;
}

SMALL_CODE void weft_typed_arg_rows(size_t rows, size_t n, const float *x, bool least, bool last, int64_t *places) {
  const uint32_t turned = last ? UINT32_MAX : 0;
  for (size_t row = 0; row < rows; row++, x += n) {
    uint64_t best = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
      const uint64_t rank = rank_of(least ? -x[i] : x[i], false, (uint32_t)i ^ turned);
      best = rank < best ? rank : best;
    }
    places[row] = (uint32_t)best ^ turned;
  }
}

/* Restores the heap, whose worst is on top, below its top, which becomes `moved`. */
static inline void sift_down(uint64_t *heap, size_t count, size_t at, uint64_t moved) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    child += child + 1 < count && heap[child + 1] > heap[child];
    if (heap[child] <= moved) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

/* In order of their high halves; equal ones keep their order. */
SMALL_CODE static void sort_ranks(size_t n, uint64_t *x, uint64_t *room) {
  enum { DIGITS = 4 };
  uint32_t begins[DIGITS][256] = {{0}};
  uint64_t *from = x, *to = room;
  for (size_t i = 0; i < n; i++) {
    for (int d = 0; d < DIGITS; d++) {
      begins[d][x[i] >> (32 + 8 * d) & 255]++;
    }
  }
  for (int d = 0; d < DIGITS; d++) {
    for (uint32_t v = 0, sum = 0; v < 256; v++) {
      const uint32_t count = begins[d][v];
      begins[d][v] = sum;
      sum += count;
    }
    for (size_t i = 0; i < n; i++) {
      to[begins[d][from[i] >> (32 + 8 * d) & 255]++] = from[i];
    }
    uint64_t *const swapped = from;
    from = to;
    to = swapped;
  }
}

/* Where many are wanted: those whose first bits are among the best, sorted. False where they are more than there is
 * room for. */
SMALL_CODE static bool top_by_bits(size_t n, const float *x, size_t step, size_t k, bool least, uint64_t *ranks) {
  enum { BITS = 11 };
  uint32_t counts[1 << BITS] = {0};
  size_t last = 0, held = 0;
  for (size_t i = 0; i < n; i++) {
    counts[rank_of(x[i * step], least, 0) >> (64 - BITS)]++;
  }
  for (held = counts[0]; held < k; held += counts[last]) {
    last++;
  }
  if (held > k * (WEFT_TYPED_TOP_ROOM / 2)) return false;
  held = 0;
  for (size_t i = 0; i < n; i++) {
    const uint64_t rank = rank_of(x[i * step], least, i);
    if (rank >> (64 - BITS) <= last) ranks[held++] = rank;
  }
  sort_ranks(held, ranks, ranks + held);
  return true;
}

/* A heap of the best so far, then unheaped from its worst. Most elements are told to be worse than all of them without a
 * rank of their own, which is done for neighbours: others are put side by side first. */
SMALL_CODE void weft_typed_top(size_t n, const float *x, size_t step, size_t k, bool least, uint64_t *heap) {
  enum { MANY = 64, LINE = 256 };
  float line[LINE];
  if (k >= MANY && k >= n / 32 && top_by_bits(n, x, step, k, least, heap)) return;
  for (size_t i = 0; i < k; i++) {
    heap[i] = rank_of(x[i * step], least, i);
  }
  for (size_t at = k / 2; at-- > 0;) {
    sift_down(heap, k, at, heap[at]);
  }
  for (size_t begin = k, count; begin < n; begin += count) {
    count = step == 1 || n - begin < LINE ? n - begin : LINE;
    const float *block = step == 1 ? x + begin : line;
    for (size_t i = 0; step != 1 && i < count; i++) {
      line[i] = x[(begin + i) * step];
    }
    for (size_t i = 0; i < count; i++) {
      i = weft_typed_next(i, count, block, x[(heap[0] & UINT32_MAX) * step], least);
      if (i == count) break;
      const uint64_t rank = rank_of(block[i], least, begin + i);
      if (rank < heap[0]) sift_down(heap, k, 0, rank);
    }
  }
  for (size_t left = k; left > 1; left--) {
    const uint64_t worst = heap[0];
    sift_down(heap, left - 1, 0, heap[left - 1]);
    heap[left - 1] = worst;
  }
}

/* Only numbers can be beaten, but for the last NaN; x[i] does when it is not less, or not as large. */
void weft_typed_beat(size_t n, const float *x, bool least, bool last, int32_t index, float *best, int32_t *winner) {
  const float sign = least ? -1.0f : 1.0f;
  for (size_t i = 0; i < n && last; i++) {
    const float a = sign * x[i], b = sign * best[i];
    const bool take = (!(a < b) & (b == b)) | (a != a);
    best[i] = take ? x[i] : best[i];
    winner[i] = take ? index : winner[i];
  }
  for (size_t i = 0; i < n && !last; i++) {
    const float a = sign * x[i], b = sign * best[i];
    const bool take = !(a <= b) & (b == b);
    best[i] = take ? x[i] : best[i];
    winner[i] = take ? index : winner[i];
  }
}
