/* Gathering bytes for integer convolutions, and depthwise ones directly. A row of the output is cut into what lies left
 * of the input, inside and right of it, so that the inner loops have no conditions. */
#include "conv_i8.h"

#include "portable.h"

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

static void every_second(size_t n, const uint8_t *restrict in, uint8_t *restrict out) {
  for (size_t i = 0; i < n; i++) {
    out[i] = in[2 * i];
  }
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
      } else if (x->stride == 2) { /* vectors where compilers know the stride */
        every_second(s.end - s.begin, in, out + s.begin);
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

bool weft_depthwise_i8_fits(const weft_pool_axis *y, const weft_pool_axis *x) {
  const size_t room = WEFT_DEPTHWISE_I8_BAND;
  if (x->pad < 0 || y->kernel == 0 || x->kernel == 0 || y->kernel > room || x->kernel > room || x->dilation > room ||
      y->dilation > room || x->stride > room || x->out > room) {
    return false;
  }
  const size_t extent = (y->kernel - 1) * y->dilation + 1;
  return y->kernel * ((x->kernel + 1) / 2) <= WEFT_DEPTHWISE_I8_TAPS && extent <= room / weft_depthwise_i8_row(x);
}

static inline int32_t plus(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* Adds the taps of one input row to n sums: 16-bit weights let compilers use widening multiplications. */
#define ADD_TAPS(name, element)                                                                                        \
  static void name(size_t n, const element *restrict in, size_t stride, size_t taps, size_t dilation,                  \
                   const int16_t *restrict w, int32_t *restrict sums) {                                                \
    if (taps == 3 && dilation == 1 && stride == 1) {                                                                   \
      for (size_t i = 0; i < n; i++) {                                                                                 \
        sums[i] = plus(sums[i], (int16_t)in[i] * w[0] + (int16_t)in[i + 1] * w[1] + (int16_t)in[i + 2] * w[2]);        \
      }                                                                                                                \
    } else if (taps == 3 && dilation == 1 && stride == 2) {                                                            \
      for (size_t i = 0; i < n; i++) {                                                                                 \
        sums[i] =                                                                                                      \
            plus(sums[i], (int16_t)in[2 * i] * w[0] + (int16_t)in[2 * i + 1] * w[1] + (int16_t)in[2 * i + 2] * w[2]);  \
      }                                                                                                                \
    } else {                                                                                                           \
      for (size_t t = 0; t < taps; t++, in += dilation) {                                                              \
        for (size_t i = 0; i < n; i++) {                                                                               \
          sums[i] = plus(sums[i], (int16_t)in[i * stride] * w[t]);                                                     \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }

ADD_TAPS(add_unsigned, uint8_t)
ADD_TAPS(add_signed, int8_t)

/* One result whose window reaches over the left or right edge. */
static int32_t edge(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, const int16_t *weights,
                    int32_t zero, bool is_signed, int64_t top, int64_t left) {
  int32_t sum = 0;
  for (size_t t = 0; t < y->kernel * x->kernel; t++) {
    int64_t row = top + (int64_t)(t / x->kernel * y->dilation), column = left + (int64_t)(t % x->kernel * x->dilation);
    if (row >= 0 && row < (int64_t)y->in && column >= 0 && column < (int64_t)x->in) {
      uint8_t value = plane[(size_t)row * x->in + (size_t)column];
      sum = plus(sum, weights[t] * ((is_signed ? (int8_t)value : value) - zero));
    }
  }
  return sum;
}

static void depthwise_row(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x,
                          const int16_t *weights, int32_t zero, bool is_signed, int64_t top, inside whole,
                          int32_t *sums) {
  for (size_t i = 0; i < x->out; i++) {
    bool outside = i < whole.begin || i >= whole.end;
    sums[i] = outside ? edge(plane, y, x, weights, zero, is_signed, top, (int64_t)(i * x->stride) - x->pad) : 0;
  }
  int32_t offset = 0; /* zero times the weights in use: taken off once instead of from every element */
  for (size_t ty = 0; ty < y->kernel && whole.end > whole.begin; ty++) {
    int64_t row = top + (int64_t)(ty * y->dilation);
    if (row < 0 || row >= (int64_t)y->in) {
      continue;
    }
    const uint8_t *in = plane + (size_t)row * x->in + whole.at;
    const int16_t *w = weights + ty * x->kernel;
    for (size_t tx = 0; tx < x->kernel; tx++) {
      offset = plus(offset, zero * w[tx]);
    }
    if (is_signed) {
      add_signed(whole.end - whole.begin, (const int8_t *)in, x->stride, x->kernel, x->dilation, w, sums + whole.begin);
    } else {
      add_unsigned(whole.end - whole.begin, in, x->stride, x->kernel, x->dilation, w, sums + whole.begin);
    }
  }
  for (size_t i = whole.begin; i < whole.end; i++) {
    sums[i] = (int32_t)((uint32_t)sums[i] - (uint32_t)offset);
  }
}

void weft_portable_depthwise_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x,
                                const int16_t *weights, int32_t zero, bool is_signed, size_t begin, size_t end,
                                int32_t *sums) {
  inside whole = columns_inside(x, 0, 0, x->out), last = columns_inside(x, x->kernel - 1, 0, x->out);
  whole.end = last.end < whole.end ? last.end : whole.end;
  whole.end = whole.end > whole.begin ? whole.end : whole.begin;
  for (size_t row = begin; row < end; row++) {
    depthwise_row(plane, y, x, weights, zero, is_signed, (int64_t)(row * y->stride) - y->pad, whole,
                  sums + (row - begin) * x->out);
  }
}
