/* Weights of 2, 4 or 8 bits in blocks of a column, as MatMulNBits has them: a column's blocks follow each other, its
 * first element in the lowest bits. Blocks have 16 rows or a multiple of that. An element means (q - zero) * scale, with
 * a scale and a zero point a block. */
#ifndef WEFT_KERNELS_NBITS_H
#define WEFT_KERNELS_NBITS_H

#include <stddef.h>
#include <stdint.h>

typedef struct weft_nbits {
  unsigned bits;
  size_t n, k, block, blocks; /* columns and rows; rows of a block; blocks of a column */
  size_t blob, zero_row;      /* bytes of a block; of a column's packed zero points */
  const uint8_t *weights;
  const float *scales;      /* [n][blocks]; NULL: elements are q as they are */
  const float *float_zeros; /* [n][blocks], or NULL */
  const uint8_t *zeros;     /* packed, or NULL; with neither, zero points are the middle */
  const float *bias;        /* [n], or NULL */
} weft_nbits;

/* Zero point of a block of column j, where there are no floating ones. */
static inline int32_t weft_nbits_whole_zero(const weft_nbits *w, size_t j, size_t block) {
  if (w->zeros == NULL) return 1 << (w->bits - 1);
  size_t bit = block * w->bits;
  return w->zeros[j * w->zero_row + bit / 8] >> (bit % 8) & ((1 << w->bits) - 1);
}

static inline float weft_nbits_zero(const weft_nbits *w, size_t j, size_t block) {
  return w->float_zeros != NULL ? w->float_zeros[j * w->blocks + block] : (float)weft_nbits_whole_zero(w, j, block);
}

/* Floats of a row that is prepared for nbits_gemv. */
static inline size_t weft_nbits_row_size(const weft_nbits *w) {
  return w->blocks * (w->block + 4);
}

/* Whether nbits_i8 can multiply with these. */
static inline _Bool weft_nbits_has_i8(const weft_nbits *w) {
  return w->bits == 4 && w->block % 32 == 0 && w->block <= 65536 && w->float_zeros == NULL;
}

/* Bytes of scratch for nbits_i8: a panel of 8 columns with 8 scales and 8 zero points for each block. */
static inline size_t weft_nbits_i8_scratch(const weft_nbits *w) {
  return w->blocks * (w->block + 8) * 8;
}

#endif
