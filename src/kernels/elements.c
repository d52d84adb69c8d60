/* See elements.h. One loop for each usual size; the strides that whole models are made of are constants in loops of their own,
 * which compilers can make vectors of. */
#include "elements.h"

#include <string.h>

/* Elements are moved as bits, whatever type their owner reads them as. */
#if defined(__GNUC__)
#define ALIAS __attribute__((may_alias))
#else
#define ALIAS
#endif
typedef uint8_t ALIAS bits8;
typedef uint16_t ALIAS bits16;
typedef uint32_t ALIAS bits32;
typedef uint64_t ALIAS bits64;
typedef struct ALIAS bits128 {
  uint64_t words[2];
} bits128;

#define COPY(type, from_step, to_step)                                                                                 \
  for (size_t i = 0; i < n; i++) {                                                                                     \
    ((type *)to)[(int64_t)i * (to_step)] = ((const type *)from)[(int64_t)i * (from_step)];                             \
  }

#define FUNCTION(type)                                                                                                 \
  static void copy_##type(size_t n, const void *from, int64_t from_stride, void *to, int64_t to_stride) {              \
    if (from_stride == 0 && to_stride == 1) {                                                                          \
      const type element = *(const type *)from;                                                                        \
      for (size_t i = 0; i < n; i++) ((type *)to)[i] = element;                                                        \
    } else if (from_stride == 2 && to_stride == 1) {                                                                   \
      COPY(type, 2, 1)                                                                                                 \
    } else if (from_stride == -1 && to_stride == 1) {                                                                  \
      COPY(type, -1, 1)                                                                                                \
    } else {                                                                                                           \
      COPY(type, from_stride, to_stride)                                                                               \
    }                                                                                                                  \
  }                                                                                                                    \
  static void map_##type(size_t n, const int64_t *map, const void *from, void *to) {                                   \
    for (size_t i = 0; i < n; i++) ((type *)to)[i] = ((const type *)from)[map[i]];                                     \
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
  for (size_t i = 0; i < n; i++) {
    memcpy((char *)to + i * element_size, (const char *)from + map[i] * (int64_t)element_size, element_size);
  }
}
