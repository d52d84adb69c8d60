/* One row to a number or to a row: sums, extremes, softmax, normalisation. Sums run in blocks of floats whose results
 * are added in double: short chains, so errors stay near that of one block however long the row. Within a block there
 * are as many sums side by side as the SIMD kernels have, in the same order, so that both give the same bits. */
#include "portable.h"
#include "scalar.h"

#include "approximations.h"

enum { LANES = 4, VECTORS = 4, SUM_BLOCK = 2048 };

/* Sums of single lanes, as simd/vector.h adds a vector's. */
static float add_lanes(const float *a) {
  return (a[0] + a[2]) + (a[1] + a[3]);
}

/* What is summed. */
typedef enum term_kind { TERM_VALUE, TERM_PRODUCT, TERM_SQUARE } term_kind;

static inline float term(term_kind kind, const float *x, const float *y, float shift, size_t i) {
  if (kind == TERM_VALUE) return x[i];
  return kind == TERM_PRODUCT ? x[i] * y[i] : (x[i] - shift) * (x[i] - shift);
}

static inline double sum_terms(term_kind kind, size_t n, const float *x, const float *y, float shift) {
  double total = 0.0;
  size_t i = 0;
  while (n - i >= LANES) {
    float sums[VECTORS * LANES] = {0};
    size_t end = n - i < SUM_BLOCK ? n : i + SUM_BLOCK;
    for (; end - i >= VECTORS * LANES; i += VECTORS * LANES) {
      for (size_t l = 0; l < VECTORS * LANES; l++)
        sums[l] += term(kind, x, y, shift, i + l);
    }
    for (; end - i >= LANES; i += LANES) {
      for (size_t l = 0; l < LANES; l++)
        sums[l] += term(kind, x, y, shift, i + l);
    }
    float lanes[LANES];
    for (size_t l = 0; l < LANES; l++) {
      lanes[l] = (sums[l] + sums[LANES + l]) + (sums[2 * LANES + l] + sums[3 * LANES + l]);
    }
    total += (double)add_lanes(lanes);
  }
  for (; i < n; i++)
    total += (double)term(kind, x, y, shift, i);
  return total;
}

float weft_portable_sum_f32(size_t n, const float *x) {
  return (float)sum_terms(TERM_VALUE, n, x, NULL, 0.0f);
}

float weft_portable_dot_f32(size_t n, const float *x, const float *y) {
  return (float)sum_terms(TERM_PRODUCT, n, x, y, 0.0f);
}

float weft_portable_sum_square_f32(size_t n, const float *x) {
  return (float)sum_terms(TERM_SQUARE, n, x, NULL, 0.0f);
}

float weft_portable_max_f32(size_t n, const float *x) {
  float best = x[0];
  for (size_t i = 1; i < n; i++) {
    best = r_max(best, x[i]);
  }
  return best;
}

float weft_portable_min_f32(size_t n, const float *x) {
  float best = x[0];
  for (size_t i = 1; i < n; i++) {
    best = r_min(best, x[i]);
  }
  return best;
}

/* The sum of e^(x - max); with `keep` the terms go to y. */
static double sum_exponentials(size_t n, const float *x, float max, bool keep, float *y) {
  double total = 0.0;
  size_t i = 0;
  while (n - i >= LANES) {
    float sums[LANES] = {0};
    size_t end = n - i < SUM_BLOCK / 4 ? n : i + SUM_BLOCK / 4;
    for (; end - i >= LANES; i += LANES) {
      for (size_t l = 0; l < LANES; l++) {
        float e = exp_of_negative(x[i + l] - max);
        if (keep) y[i + l] = e;
        sums[l] += e;
      }
    }
    total += (double)add_lanes(sums);
  }
  for (; i < n; i++) {
    float e = exp_of_negative(x[i] - max);
    if (keep) y[i] = e;
    total += (double)e;
  }
  return total;
}

void weft_portable_softmax_f32(size_t n, const float *x, bool logarithm, float *y) {
  if (n == 0) return;
  float max = weft_portable_max_f32(n, x);
  double sum = sum_exponentials(n, x, max, !logarithm, y);
  float scale = (float)(1.0 / sum);
  float shift = approx_log((float)sum);
  for (size_t i = 0; i < n; i++) {
    y[i] = logarithm ? x[i] - max - shift : y[i] * scale;
  }
}

void weft_portable_weigh_f32(size_t rows, size_t n, const float *mask, float *x, size_t ldx) {
  for (; rows > 0; rows--, x += ldx) {
    for (size_t i = 0; mask != NULL && i < n; i++) {
      x[i] += mask[i];
    }
    weft_portable_softmax_f32(n, x, false, x);
  }
}

/* The sums of x - center and of its square. */
static void sum_distances(size_t n, const float *x, float center, double *sum, double *square) {
  size_t i = 0;
  *sum = *square = 0.0;
  while (n - i >= LANES) {
    float sums[LANES] = {0}, squares[LANES] = {0};
    size_t end = n - i < SUM_BLOCK / 4 ? n : i + SUM_BLOCK / 4;
    for (; end - i >= LANES; i += LANES) {
      for (size_t l = 0; l < LANES; l++) {
        const float d = x[i + l] - center;
        sums[l] += d;
        squares[l] += d * d;
      }
    }
    *sum += (double)add_lanes(sums);
    *square += (double)add_lanes(squares);
  }
  for (; i < n; i++) {
    const float d = x[i] - center;
    *sum += (double)d;
    *square += (double)(d * d);
  }
}

float weft_deviation(double square, double rest, float epsilon, float *shift) {
  double variance = square - rest * rest;
  float factor = 1.0f / sqrtf((float)(variance < 0.0 ? 0.0 : variance) + epsilon);
  *shift = -(float)rest * factor;
  return factor;
}

void weft_portable_layer_norm_f32(size_t n, const float *x, const float *scale, const float *bias, float epsilon,
                                  bool root_mean_square, float *y, float *mean, float *inverse) {
  const float center = root_mean_square ? 0.0f : (float)(sum_terms(TERM_VALUE, n, x, NULL, 0.0f) / (double)n);
  double rest = 0.0, square;
  if (root_mean_square) {
    square = sum_terms(TERM_SQUARE, n, x, NULL, 0.0f);
  } else {
    sum_distances(n, x, center, &rest, &square);
  }
  float shift;
  const float factor = weft_deviation(square / (double)n, rest / (double)n, epsilon, &shift);
  for (size_t i = 0; i < n; i++) {
    float v = (x[i] - center) * factor + shift;
    if (scale != NULL) v *= scale[i];
    if (bias != NULL) v += bias[i];
    y[i] = v;
  }
  if (mean != NULL) *mean = center;
  if (inverse != NULL) *inverse = factor;
}

/* As many sums at a time as there are registers for. */
float weft_portable_multiply_adds(size_t turns, float factor, float addend) {
  enum { AT_ONCE = 12 };
  float total = 0.0f;
  for (int first = 0; first < WEFT_MULTIPLY_ADDS; first += AT_ONCE) {
    float sums[AT_ONCE];
    for (int v = 0; v < AT_ONCE; v++)
      sums[v] = (float)(first + v);
    for (size_t t = 0; t < turns; t++) {
      for (int v = 0; v < AT_ONCE; v++)
        sums[v] = sums[v] * factor + addend;
    }
    for (int v = 0; v < AT_ONCE; v++)
      total += sums[v];
  }
  return total;
}
