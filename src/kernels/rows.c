/* One row to a number or to a row: sums, extremes, softmax, normalisation. Sums run in blocks of floats whose results
 * are added in double: short chains, so errors stay near that of one block however long the row. */
#include "portable.h"
#include "scalar.h"

#include "approximations.h"

enum { BLOCK = 256 };

float weft_portable_sum_f32(size_t n, const float *x) {
  double total = 0.0;
  for (size_t i = 0; i < n;) {
    float sum = 0.0f;
    size_t end = n - i < BLOCK ? n : i + BLOCK;
    for (; i < end; i++) {
      sum += x[i];
    }
    total += (double)sum;
  }
  return (float)total;
}

float weft_portable_dot_f32(size_t n, const float *x, const float *y) {
  double total = 0.0;
  for (size_t i = 0; i < n;) {
    float sum = 0.0f;
    size_t end = n - i < BLOCK ? n : i + BLOCK;
    for (; i < end; i++) {
      sum += x[i] * y[i];
    }
    total += (double)sum;
  }
  return (float)total;
}

float weft_portable_sum_square_f32(size_t n, const float *x) {
  return weft_portable_dot_f32(n, x, x);
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

void weft_portable_softmax_f32(size_t n, const float *x, bool logarithm, float *y) {
  if (n == 0) return;
  float max = weft_portable_max_f32(n, x);
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    float e = exp_of_negative(x[i] - max);
    sum += (double)e;
    y[i] = logarithm ? x[i] - max : e;
  }
  float scale = (float)(1.0 / sum);
  float shift = approx_log((float)sum);
  for (size_t i = 0; i < n; i++) {
    y[i] = logarithm ? y[i] - shift : y[i] * scale;
  }
}

void weft_portable_layer_norm_f32(size_t n, const float *x, const float *scale, const float *bias, float epsilon,
                                  bool root_mean_square, float *y, float *mean, float *inverse) {
  float center = root_mean_square ? 0.0f : weft_portable_sum_f32(n, x) / (float)n;
  double squares = 0.0;
  for (size_t i = 0; i < n; i++) {
    float d = x[i] - center;
    squares += (double)(d * d);
  }
  float factor = 1.0f / sqrtf((float)(squares / (double)n) + epsilon);
  for (size_t i = 0; i < n; i++) {
    float v = (x[i] - center) * factor;
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
    for (int v = 0; v < AT_ONCE; v++) sums[v] = (float)(first + v);
    for (size_t t = 0; t < turns; t++) {
      for (int v = 0; v < AT_ONCE; v++) sums[v] = sums[v] * factor + addend;
    }
    for (int v = 0; v < AT_ONCE; v++) total += sums[v];
  }
  return total;
}
