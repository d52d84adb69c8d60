/* In vectors of the compiler's, which are what the machine has: one loop for all. */
#include "strassen.h"

#include <string.h>

enum { LANES = 4, N = WEFT_GEMM_NR };
typedef float vector __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));
typedef int32_t bits __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

typedef struct sizes {
  vector most, sums[2];
} sizes;

static inline vector magnitude(vector x) {
  return (vector)((bits)x & INT32_MAX);
}

static inline void measure(sizes *s, int which, vector x) {
  const vector size = magnitude(x);
  const bits is_more = size > s->most;
  s->most = (vector)(((bits)size & is_more) | ((bits)s->most & ~is_more));
  s->sums[which] += size;
}

static inline void put(const sizes *s, size_t at, weft_strassen_sizes *out) {
  *(vector *)(out->most + at) = s->most;
  *(vector *)(out->sums[0] + at) = s->sums[0];
  *(vector *)(out->sums[1] + at) = s->sums[1];
}

void weft_strassen_left(size_t half, const float *top, const float *bottom, float *sums, size_t apart,
                        weft_strassen_sizes *out) {
  sizes s = {.most = {0}};
  for (size_t i = 0; i < half; i += LANES) {
    const vector a11 = *(const vector *)(top + i), a12 = *(const vector *)(top + half + i),
                 a21 = *(const vector *)(bottom + i), a22 = *(const vector *)(bottom + half + i), s1 = a21 + a22,
                 s2 = s1 - a11;
    *(vector *)(sums + i) = s1;
    *(vector *)(sums + apart + i) = s2;
    *(vector *)(sums + 2 * apart + i) = a11 - a21;
    *(vector *)(sums + 3 * apart + i) = a12 - s2;
    measure(&s, 0, a11);
    measure(&s, 0, a12);
    measure(&s, 1, a21);
    measure(&s, 1, a22);
  }
  memset(out, 0, sizeof *out);
  put(&s, 0, out);
}

void weft_strassen_right(size_t half, const float *left, const float *right, const float *usual, float *sums,
                         size_t apart, weft_strassen_sizes *out) {
  sizes s[N / LANES] = {{.most = {0}}};
  for (size_t i = 0; i < half; i++) {
    for (size_t j = 0; j < N / LANES; j++) {
      const size_t at = i * N + j * LANES;
      const vector b11 = *(const vector *)(left + at), b12 = *(const vector *)(right + at);
      const vector t1 = b12 - b11, size11 = magnitude(b11), size12 = magnitude(b12);
      *(vector *)(sums + at) = t1;
      const vector b22 = *(const vector *)(right + half * N + at), t2 = b22 - t1, size22 = magnitude(b22);
      *(vector *)(sums + apart + at) = t2;
      *(vector *)(sums + 2 * apart + at) = b22 - b12;
      const vector b21 = *(const vector *)(left + half * N + at), size21 = magnitude(b21);
      *(vector *)(sums + 3 * apart + at) = b21 - t2;
      s[j].sums[0] += size11 * usual[i] + size21 * usual[half + i];
      s[j].sums[1] += size12 * usual[i] + size22 * usual[half + i];
      s[j].most += ((size11 + size12) + (size21 + size22)) * (usual[i] + usual[half + i]);
    }
  }
  for (size_t j = 0; j < N / LANES; j++) {
    put(&s[j], j * LANES, out);
  }
}

void weft_strassen_add_magnitudes(size_t n, const float *x, float *sums) {
  for (size_t i = 0; i < n; i += LANES) {
    *(vector *)(sums + i) += magnitude(*(const vector *)(x + i));
  }
}

void weft_strassen_add(size_t rows, size_t n, const float *added, float *c12, const float *c21, float *c22,
                       size_t ldc) {
  for (size_t row = 0; row < rows; row++, c12 += ldc, c21 += ldc, c22 += ldc) {
    for (size_t j = 0; j < n; j += LANES) {
      const vector right = *(const vector *)(c12 + j);
      *(vector *)(c22 + j) = *(const vector *)(c21 + j) + right;
      if (added != NULL) *(vector *)(c12 + j) = right + *(const vector *)(added + row * n + j);
    }
  }
}
