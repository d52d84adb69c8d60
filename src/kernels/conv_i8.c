/* Gathering bytes for integer convolutions, and depthwise ones directly. A row of the output is cut into what lies left of
 * the input, inside and right of it, so that the inner loops have no conditions. */
#include "conv_i8.h"

#include <string.h>

/* The part [begin, end) of n output columns from `column` whose tap lies inside, and where the first of them reads. */
typedef struct inside {
  size_t begin, end, at;
} inside;

static inside columns_inside(const weft_pool_axis *x, size_t tx, size_t column, size_t n) {
  int64_t first = (int64_t)(column * x->stride + tx * x->dilation) - x->pad, stride = (int64_t)x->stride;
  int64_t begin = first < 0 ? (-first + stride - 1) / stride : 0;
  int64_t end = first < (int64_t)x->in ? ((int64_t)x->in - first + stride - 1) / stride : 0;
  inside s = {.begin = begin < (int64_t)n ? (size_t)begin : n, .end = end < (int64_t)n ? (size_t)end : n};
  s.end = s.end > s.begin ? s.end : s.begin;
  s.at = s.end > s.begin ? (size_t)(first + begin * stride) : 0;
  return s;
}

void weft_gather_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, size_t ty, size_t tx,
                    size_t first, size_t count, uint8_t zero, uint8_t *out) {
  size_t row = first / x->out, column = first % x->out;
  for (; count > 0; row++, column = 0) {
    size_t n = x->out - column < count ? x->out - column : count;
    int64_t in_row = (int64_t)(row * y->stride + ty * y->dilation) - y->pad;
    inside s = {n, n, 0};
    if (in_row >= 0 && in_row < (int64_t)y->in) {
      s = columns_inside(x, tx, column, n);
    }
    memset(out, zero, s.begin);
    if (s.end > s.begin) {
      const uint8_t *in = plane + (size_t)in_row * x->in + s.at;
      if (x->stride == 1) {
        memcpy(out + s.begin, in, s.end - s.begin);
      } else {
        for (size_t i = s.begin; i < s.end; i++, in += x->stride) {
          out[i] = *in;
        }
      }
    }
    memset(out + s.end, zero, n - s.end);
    out += n;
    count -= n;
  }
}

static inline int32_t wrapping(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

/* sums[i] += weight * (in[i * stride] - zero) */
static void add_tap(size_t n, const uint8_t *in, size_t stride, int32_t weight, int32_t zero, bool is_signed, int32_t *sums) {
  const int8_t *signed_in = (const int8_t *)in;
  if (is_signed) {
    for (size_t i = 0; i < n; i++) {
      sums[i] = wrapping(sums[i], weight * (signed_in[i * stride] - zero));
    }
  } else if (stride == 1) {
    for (size_t i = 0; i < n; i++) {
      sums[i] = wrapping(sums[i], weight * (in[i] - zero));
    }
  } else {
    for (size_t i = 0; i < n; i++) {
      sums[i] = wrapping(sums[i], weight * (in[i * stride] - zero));
    }
  }
}

void weft_depthwise_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, const int32_t *weights,
                       int32_t zero, bool is_signed, size_t begin, size_t end, int32_t *sums) {
  memset(sums, 0, (end - begin) * x->out * sizeof *sums);
  for (size_t tx = 0; tx < x->kernel; tx++) {
    inside s = columns_inside(x, tx, 0, x->out);
    for (size_t row = begin; row < end && s.end > s.begin; row++) {
      for (size_t ty = 0; ty < y->kernel; ty++) {
        int64_t in_row = (int64_t)(row * y->stride + ty * y->dilation) - y->pad;
        if (in_row >= 0 && in_row < (int64_t)y->in) {
          add_tap(s.end - s.begin, plane + (size_t)in_row * x->in + s.at, x->stride, weights[ty * x->kernel + tx], zero,
                  is_signed, sums + (row - begin) * x->out + s.begin);
        }
      }
    }
  }
}
