/* Elements moved or changed in width, portable. */
#include "portable.h"

#include "../base/value.h"

#include <string.h>

/* Blocks keep both sides in the cache; a copy of constant size is one load and one store. */
#define DEFINE_TRANSPOSE(SIZE)                                                                                         \
  static void transpose_##SIZE(size_t rows, size_t columns, const char *in, size_t in_stride, char *out,               \
                               size_t out_stride) {                                                                    \
    for (size_t i0 = 0; i0 < rows; i0 += BLOCK) {                                                                      \
      size_t i1 = rows - i0 < BLOCK ? rows : i0 + BLOCK;                                                               \
      for (size_t j = 0; j < columns; j++) {                                                                           \
        for (size_t i = i0; i < i1; i++) {                                                                             \
          memcpy(out + (j * out_stride + i) * SIZE, in + (i * in_stride + j) * SIZE, SIZE);                            \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }

enum { BLOCK = 32 };

DEFINE_TRANSPOSE(1)
DEFINE_TRANSPOSE(2)
DEFINE_TRANSPOSE(4)
DEFINE_TRANSPOSE(8)
DEFINE_TRANSPOSE(16)

void weft_portable_transpose(size_t rows, size_t columns, size_t element_size, const void *in, size_t in_stride,
                             void *out, size_t out_stride) {
  switch (element_size) {
  case 1:
    transpose_1(rows, columns, in, in_stride, out, out_stride);
    break;
  case 2:
    transpose_2(rows, columns, in, in_stride, out, out_stride);
    break;
  case 4:
    transpose_4(rows, columns, in, in_stride, out, out_stride);
    break;
  case 8:
    transpose_8(rows, columns, in, in_stride, out, out_stride);
    break;
  default:
    transpose_16(rows, columns, in, in_stride, out, out_stride);
  }
}

void weft_portable_float16_to_f32(size_t n, const uint16_t *x, float *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] = weft_float16_to_float(x[i]);
  }
}

void weft_portable_f32_to_float16(size_t n, const float *x, uint16_t *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] = weft_float_to_float16(x[i]);
  }
}

void weft_portable_bfloat16_to_f32(size_t n, const uint16_t *x, float *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] = weft_bfloat16_to_float(x[i]);
  }
}

void weft_portable_f32_to_bfloat16(size_t n, const float *x, uint16_t *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] = weft_float_to_bfloat16(x[i]);
  }
}
