/* Weights of a few bits. The elements of a byte are spread over separate runs of x, so that the inner loops take whole
 * bytes apart without shuffling, a form that compilers turn into vector code. */
#include "nbits.h"

float weft_nbits_prepare(unsigned bits, size_t n, const float *x, float *out) {
  size_t per = 8 / bits, groups = n / per;
  float sum = 0;
  for (size_t i = 0; i < n; i++) {
    sum += x[i];
    out[i % per * groups + i / per] = x[i];
  }
  return sum;
}

float weft_nbits_dot(unsigned bits, size_t n, const uint8_t *q, const float *x) {
  enum { LANES = 8 }; /* independent sums, so that the order of additions does not forbid vectors */
  float sums[LANES] = {0};
  size_t per = 8 / bits, groups = n / per, i = 0;
  if (bits == 4) {
    const float *high = x + groups;
    for (; i + LANES <= groups; i += LANES) {
      for (size_t j = 0; j < LANES; j++) {
        sums[j] += (float)(q[i + j] & 15) * x[i + j] + (float)(q[i + j] >> 4) * high[i + j];
      }
    }
  } else if (bits == 8) {
    for (; i + LANES <= groups; i += LANES) {
      for (size_t j = 0; j < LANES; j++) {
        sums[j] += (float)q[i + j] * x[i + j];
      }
    }
  }
  float sum = 0;
  for (; i < groups; i++) {
    for (size_t part = 0; part < per; part++) {
      sum += (float)(q[i] >> (part * bits) & ((1u << bits) - 1)) * x[part * groups + i];
    }
  }
  for (size_t j = 0; j < LANES; j++) {
    sum += sums[j];
  }
  return sum;
}

void weft_nbits_expand(unsigned bits, size_t n, const uint8_t *q, float scale, float zero, float *out) {
  if (bits == 4 && n % 2 == 0) {
    for (size_t i = 0; i < n / 2; i++) {
      out[2 * i] = ((float)(q[i] & 15) - zero) * scale;
      out[2 * i + 1] = ((float)(q[i] >> 4) - zero) * scale;
    }
    return;
  }
  size_t per = 8 / bits;
  for (size_t i = 0; i < n; i++) {
    out[i] = ((float)(q[i / per] >> (i % per * bits) & ((1u << bits) - 1)) - zero) * scale;
  }
}
