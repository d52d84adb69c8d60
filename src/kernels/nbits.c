/* Products with weights of a few bits, portable: element by element, which says what the others must give. */
#include "portable.h"

#include <math.h>
#include <string.h>

static uint32_t element(const weft_nbits *w, size_t j, size_t i) {
  size_t bit = i * w->bits;
  return w->weights[j * w->blocks * w->blob + bit / 8] >> (bit % 8) & ((1u << w->bits) - 1);
}

/* The part of block b that lies inside a column. */
static size_t length_of(const weft_nbits *w, size_t b) {
  return w->k - b * w->block < w->block ? w->k - b * w->block : w->block;
}

void weft_portable_nbits_prepare(const weft_nbits *w, const float *x, float *out) {
  memcpy(out, x, w->k * sizeof *x);
}

/* Column j of block b in four sums side by side, each of every fourth four elements, zero points first: in the same order
 * as simd/nbits.h has them. */
static void add_block(const weft_nbits *w, const float *x, size_t j, size_t b, float results[4]) {
  float dots[4] = {0}, zero = weft_nbits_zero(w, j, b), scale = w->scales[j * w->blocks + b];
  size_t first = b * w->block, n = length_of(w, b);
  for (size_t i = 0; i < n; i++) {
    dots[i / 4 % 4] -= x[first + i];
  }
  for (size_t l = 0; l < 4; l++) {
    dots[l] *= zero;
  }
  for (size_t i = 0; i < n; i++) {
    dots[i / 4 % 4] += (float)element(w, j, first + i) * x[first + i];
  }
  for (size_t l = 0; l < 4; l++) {
    results[l] += dots[l] * scale;
  }
}

void weft_portable_nbits_gemv(const weft_nbits *w, const float *prepared, size_t begin, size_t end, float *y) {
  for (size_t j = begin; j < end; j++) {
    float results[4] = {0};
    for (size_t b = 0; b < w->blocks; b++) {
      add_block(w, prepared, j, b, results);
    }
    *y++ = (results[0] + results[2]) + (results[1] + results[3]) + (w->bias != NULL ? w->bias[j] : 0);
  }
}

void weft_portable_nbits_expand(const weft_nbits *w, size_t begin, size_t end, float *out) {
  for (size_t panel = begin; panel < end; panel += WEFT_GEMM_NR) {
    for (size_t i = 0; i < w->k; i++) {
      for (size_t j = panel; j < panel + WEFT_GEMM_NR; j++) {
        size_t b = i / w->block;
        float q = j < end ? (float)element(w, j, i) : 0;
        *out++ = j >= end || w->scales == NULL ? q : (q - weft_nbits_zero(w, j, b)) * w->scales[j * w->blocks + b];
      }
    }
  }
}

/* ---- rows of 8 bits ----
 * A packed row has for each block its scale, its sum as an integer, and its elements. */
static size_t i8_block_size(const weft_nbits *w) {
  return sizeof(float) + sizeof(int32_t) + w->block;
}

size_t weft_portable_nbits_i8_a_size(const weft_nbits *w, size_t m) {
  return m * w->blocks * i8_block_size(w);
}

void weft_portable_nbits_i8_pack_a(const weft_nbits *w, const float *x, void *out) {
  char *to = out;
  for (size_t b = 0; b < w->blocks; b++, x += w->block, to += i8_block_size(w)) {
    size_t n = length_of(w, b);
    float greatest = 0;
    for (size_t i = 0; i < n; i++) {
      greatest = fabsf(x[i]) <= greatest ? greatest : fabsf(x[i]);
      if (!isfinite(x[i])) { /* then so is no result of this row */
        greatest = NAN;
        break;
      }
    }
    float scale = greatest / 127, inverse = greatest > 1e-36f ? 127 / greatest : 0;
    int32_t sum = 0;
    int8_t *bytes = (int8_t *)(to + sizeof scale + sizeof sum);
    memset(bytes, 0, w->block);
    for (size_t i = 0; i < n && inverse > 0; i++) {
      bytes[i] = (int8_t)(int32_t)rintf(x[i] * inverse);
      sum += bytes[i];
    }
    memcpy(to, &scale, sizeof scale);
    memcpy(to + sizeof scale, &sum, sizeof sum);
  }
}

void weft_portable_nbits_i8(const weft_nbits *w, size_t m, const void *a, size_t begin, size_t end, float *y,
                            size_t ldy, void *scratch) {
  (void)scratch;
  for (size_t i = 0; i < m; i++) {
    for (size_t j = begin; j < end; j++) {
      const char *from = (const char *)a + weft_portable_nbits_i8_a_size(w, i);
      float result = 0;
      for (size_t b = 0; b < w->blocks; b++, from += i8_block_size(w)) {
        float scale;
        int32_t sum;
        memcpy(&scale, from, sizeof scale);
        memcpy(&sum, from + sizeof scale, sizeof sum);
        const int8_t *bytes = (const int8_t *)from + sizeof scale + sizeof sum;
        int32_t dot = -weft_nbits_whole_zero(w, j, b) * sum;
        for (size_t l = 0; l < w->block; l++) {
          dot += bytes[l] * (int32_t)element(w, j, b * w->block + l);
        }
        result += (float)dot * (scale * w->scales[j * w->blocks + b]);
      }
      y[i * ldy + (j - begin)] = result + (w->bias != NULL ? w->bias[j] : 0);
    }
  }
}
