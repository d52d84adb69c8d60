/* See elements.h. One loop for each usual size; the strides that whole models are made of are constants in loops of
 * their own, which compilers can make vectors of. */
#include "elements.h"

#include "loops.h"

#include <stdbool.h>
#include <string.h>

/* Elements are moved as bits, whatever type their owner reads them as. */
#if defined(__GNUC__)
#define ALIAS __attribute__((may_alias))
#define UNALIGNED __attribute__((may_alias, aligned(1)))
#else
#define ALIAS
#define UNALIGNED
#endif
typedef uint8_t ALIAS bits8;
typedef uint16_t UNALIGNED bits16;
typedef uint32_t UNALIGNED bits32;
typedef uint64_t UNALIGNED bits64;
#if defined(__GNUC__)
typedef uint8_t bits128 __attribute__((vector_size(16), aligned(1), may_alias));
#else
typedef struct bits128 {
  uint8_t bytes[16];
} bits128;
#endif

/* Copies that are longer are left to memcpy, which engines run as a call. */
enum { SHORT_LINE = 1024 };

/* Loops are not to be made such calls again. */
#if defined(__clang__)
#define NO_IDIOMS __attribute__((no_builtin("memcpy", "memmove")))
#else
#define NO_IDIOMS
#endif

/* `whole` elements of a stride that is known, as many as fill vectors. */
#define COPY_VECTORS(element)                                                                                          \
  EACH_ALONE                                                                                                           \
  for (size_t i = 0; i < whole; i++) {                                                                                 \
    q[i] = element;                                                                                                    \
  }

/* What fills no vector, and elements for which vectors are not faster, are left to a loop that serves all strides. */
#define FUNCTION(type)                                                                                                 \
  static void copy_##type(size_t n, const void *from, int64_t from_stride, void *to, int64_t to_stride) {              \
    const size_t lanes = sizeof(bits128) / sizeof(type);                                                               \
    const type *p = from;                                                                                              \
    type *q = to;                                                                                                      \
    size_t whole = to_stride == 1 ? n / lanes * lanes : 0;                                                             \
    if (from_stride == 0) {                                                                                            \
      const type element = *p;                                                                                         \
      for (size_t i = 0; i < whole; i++) {                                                                             \
        q[i] = element;                                                                                                \
      }                                                                                                                \
    } else if (from_stride == -1 && lanes > 1) {                                                                       \
      COPY_VECTORS(p[-(int64_t)i])                                                                                     \
    } else if (from_stride == 2 && lanes > 1) {                                                                        \
      COPY_VECTORS(p[2 * i])                                                                                           \
    } else if (from_stride == 3 && lanes > 2) {                                                                        \
      COPY_VECTORS(p[3 * i])                                                                                           \
    } else {                                                                                                           \
      whole = 0;                                                                                                       \
    }                                                                                                                  \
    p += (int64_t)whole * from_stride;                                                                                 \
    q += whole;                                                                                                        \
    NO_VECTORS                                                                                                         \
    for (size_t i = 0; i < n - whole; i++) {                                                                           \
      q[(int64_t)i * to_stride] = p[(int64_t)i * from_stride];                                                         \
    }                                                                                                                  \
  }                                                                                                                    \
  static void map_##type(size_t n, const int64_t *map, const void *from, void *to) {                                   \
    for (size_t i = 0; i < n; i++)                                                                                     \
      ((type *)to)[i] = ((const type *)from)[map[i]];                                                                  \
  }                                                                                                                    \
  static void spread_##type(size_t n, const int64_t *map, const void *from, void *to) {                                \
    for (size_t i = 0; i < n; i++)                                                                                     \
      ((type *)to)[map[i]] = ((const type *)from)[i];                                                                  \
  }

FUNCTION(bits8)
FUNCTION(bits16)
FUNCTION(bits32)
FUNCTION(bits64)
FUNCTION(bits128)

void weft_copy_elements(size_t element_size, size_t n, const void *from, int64_t from_stride, void *to,
                        int64_t to_stride) {
  if (from_stride == 1 && to_stride == 1) {
    memcpy(to, from, n * element_size);
    return;
  }
  switch (element_size) {
  case 1:
    copy_bits8(n, from, from_stride, to, to_stride);
    return;
  case 2:
    copy_bits16(n, from, from_stride, to, to_stride);
    return;
  case 4:
    copy_bits32(n, from, from_stride, to, to_stride);
    return;
  case 8:
    copy_bits64(n, from, from_stride, to, to_stride);
    return;
  case 16:
    copy_bits128(n, from, from_stride, to, to_stride);
    return;
  default:
    break;
  }
  for (size_t i = 0; i < n; i++) {
    memcpy((char *)to + (int64_t)i * to_stride * (int64_t)element_size,
           (const char *)from + (int64_t)i * from_stride * (int64_t)element_size, element_size);
  }
}

/* The last part may overlap the one before it. */
#define COPY_PART(type)                                                                                                \
  *(type *)to = *(const type *)from;                                                                                   \
  *(type *)(to + bytes - sizeof(type)) = *(const type *)(from + bytes - sizeof(type));

NO_IDIOMS static inline void copy_line(size_t bytes, const char *from, char *to) {
  if (bytes >= sizeof(bits128)) {
    for (size_t i = 0; i + sizeof(bits128) <= bytes; i += sizeof(bits128)) {
      *(bits128 *)(to + i) = *(const bits128 *)(from + i);
    }
    COPY_PART(bits128)
  } else if (bytes >= 8) {
    COPY_PART(bits64)
  } else if (bytes >= 4) {
    COPY_PART(bits32)
  } else if (bytes >= 2) {
    COPY_PART(bits16)
  } else if (bytes > 0) {
    *to = *from;
  }
}

static inline void copy_block(size_t bytes, const char *from, char *to) {
  if (bytes < SHORT_LINE) {
    copy_line(bytes, from, to);
  } else {
    memcpy(to, from, bytes);
  }
}

void weft_copy_plane(const weft_plane *p, const void *from, void *to) {
  const char *in = from;
  char *out = to;
  const int64_t size = (int64_t)p->element_size;
  const size_t bytes = p->n * p->element_size;
  const bool dense = p->from_stride == 1 && p->to_stride == 1;
  for (size_t line = 0; line < p->lines; line++, in += p->from_line * size, out += p->to_line * size) {
    if (dense) {
      copy_block(bytes, in, out);
    } else {
      weft_copy_elements(p->element_size, p->n, in, p->from_stride, out, p->to_stride);
    }
  }
}

void weft_map_elements(size_t element_size, size_t n, const int64_t *map, const void *from, void *to) {
  switch (element_size) {
  case 1:
    map_bits8(n, map, from, to);
    return;
  case 2:
    map_bits16(n, map, from, to);
    return;
  case 4:
    map_bits32(n, map, from, to);
    return;
  case 8:
    map_bits64(n, map, from, to);
    return;
  case 16:
    map_bits128(n, map, from, to);
    return;
  default:
    break;
  }
  char *out = to;
  for (size_t i = 0; i < n; i++, out += element_size) {
    copy_block(element_size, (const char *)from + map[i] * (int64_t)element_size, out);
  }
}

/* Eight at a time: what is read and written does not wait for what is looked up. */
void weft_map_bytes(size_t n, const uint8_t *table, const uint8_t *from, uint8_t *to) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const uint64_t x = *(const bits64 *)(from + i);
    uint64_t y = 0;
    for (int b = 0; b < 64; b += 8) {
      y |= (uint64_t)table[x >> b & 255] << b;
    }
    *(bits64 *)(to + i) = y;
  }
  for (; i < n; i++) {
    to[i] = table[from[i]];
  }
}

void weft_spread_elements(size_t element_size, size_t n, const int64_t *map, const void *from, void *to) {
  switch (element_size) {
  case 1:
    spread_bits8(n, map, from, to);
    return;
  case 2:
    spread_bits16(n, map, from, to);
    return;
  case 4:
    spread_bits32(n, map, from, to);
    return;
  case 8:
    spread_bits64(n, map, from, to);
    return;
  case 16:
    spread_bits128(n, map, from, to);
    return;
  default:
    break;
  }
  const char *in = from;
  for (size_t i = 0; i < n; i++, in += element_size) {
    copy_block(element_size, in, (char *)to + map[i] * (int64_t)element_size);
  }
}

void weft_pack_lanes(size_t taps, const int32_t *offsets, const uint8_t *next, const float *plane, float *out) {
  enum { LANES = 8 };
  for (size_t t = 0; t < taps; t++, offsets += LANES, out += LANES) {
    if (next[t]) {
      const bits128 *from = (const void *)(plane + offsets[0]);
      bits128 *to = (void *)out;
      to[0] = from[0];
      to[1] = from[1];
      continue;
    }
    for (int lane = 0; lane < LANES; lane++) {
      const int32_t at = offsets[lane];
      out[lane] = at < 0 ? 0 : plane[at]; /* a plane may be empty */
    }
  }
}

/* One pass says whether, another where: nearly always the first is enough, and has no exit that would keep it from
 * being made of vectors. */
#define CHECK(type)                                                                                                    \
  static size_t check_##type(size_t n, const type *x, int64_t dim, bool *negative) {                                   \
    type least = 0, most = 0;                                                                                          \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      least = x[i] < least ? x[i] : least;                                                                             \
      most = x[i] > most ? x[i] : most;                                                                                \
    }                                                                                                                  \
    *negative = least < 0;                                                                                             \
    if (least >= -dim && most < dim) return n;                                                                         \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      if (x[i] < -dim || x[i] >= dim) return i;                                                                        \
    }                                                                                                                  \
    return n;                                                                                                          \
  }

CHECK(int32_t)
CHECK(int64_t)

size_t weft_indices_check(const weft_indices *indices, size_t n, bool *negative) {
  return indices->size == sizeof(int32_t) ? check_int32_t(n, indices->data, indices->dim, negative)
                                          : check_int64_t(n, indices->data, indices->dim, negative);
}

bool weft_indices_alike(const weft_indices *indices, size_t first, size_t n) {
  const char *from = (const char *)indices->data + first * indices->size;
  uint64_t differences = 0;
  if (n < 2 || memcmp(from, from + indices->size, indices->size) != 0) return n == 1;
  if (indices->size == sizeof(int32_t)) {
    const uint32_t *narrow = (const uint32_t *)(const void *)from;
    uint32_t all = 0;
    for (size_t i = 1; i < n; i++) {
      all |= narrow[i] ^ narrow[0];
    }
    differences = all;
  } else {
    const uint64_t *wide = (const uint64_t *)(const void *)from;
    for (size_t i = 1; i < n; i++) {
      differences |= wide[i] ^ wide[0];
    }
  }
  return differences == 0;
}

/* Places are counted as what can be addressed, in 32 bits where that is so. */
const int64_t *weft_indices_map(const weft_indices *indices, size_t first, size_t n, int64_t along, int64_t step,
                                int64_t *room) {
  const int64_t *from = room;
  if (indices->size == sizeof(int32_t)) {
    const int32_t *narrow = (const int32_t *)indices->data + first;
    for (size_t i = 0; i < n; i++) {
      room[i] = narrow[i];
    }
  } else {
    from = (const int64_t *)indices->data + first;
  }
  if (!indices->negative && along == 1 && step == 0) {
    return from;
  }
  for (size_t i = 0; i < n; i++) {
    const size_t index = (size_t)from[i] + (from[i] < 0 ? (size_t)indices->dim : 0);
    room[i] = (int64_t)(i * (size_t)step + index * (size_t)along);
  }
  return room;
}
