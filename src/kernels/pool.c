/* Pooling of one plane of floats, in loops over neighbouring columns, which compilers turn into vector code. Knows
 * neither graphs nor tensors. */
#include "pool.h"

#include "loops.h"

#include <math.h>

typedef struct span {
  size_t begin, end;
} span;

/* The taps of a window that begins at `start` which lie in [0, in). */
static span taps_inside(int64_t start, size_t kernel, size_t dilation, size_t in) {
  span s = {0, kernel};
  while (s.begin < kernel && start + (int64_t)(s.begin * dilation) < 0) {
    s.begin++;
  }
  while (s.end > s.begin && start + (int64_t)((s.end - 1) * dilation) >= (int64_t)in) {
    s.end--;
  }
  return s;
}

static inline float greater(float a, float b) {
  return b > a || b != b ? b : a;
}

/* out[i] = of taps a and b the greater, or their sum; out may be a. */
static inline void pair_at(size_t n, const float *a, size_t a_stride, const float *b, size_t b_stride, bool average,
                           float *out) {
  EACH_ALONE
  for (size_t i = 0; i < n; i++) {
    const float p = a[i * a_stride], q = b[i * b_stride];
    out[i] = average ? p + q : greater(p, q);
  }
}

static inline void pair_of(size_t n, const float *a, size_t a_stride, const float *b, size_t b_stride, bool average,
                           float *out) {
  if (a_stride == 1 && b_stride == 1) {
    pair_at(n, a, 1, b, 1, average, out);
  } else if (a_stride == 1 && b_stride == 2) {
    pair_at(n, a, 1, b, 2, average, out);
  } else if (a_stride == 2 && b == a + 1) {
    pair_at(n, a, 2, a + 1, 2, average, out);
  } else {
    pair_at(n, a, a_stride, b, b_stride, average, out);
  }
}

static void pair(size_t n, const float *a, size_t a_stride, const float *b, size_t b_stride, bool average, float *out) {
  if (average) {
    pair_of(n, a, a_stride, b, b_stride, true, out);
  } else {
    pair_of(n, a, a_stride, b, b_stride, false, out);
  }
}

/* out = `count` taps, `step` apart, of n windows that are `stride` apart; with `more`, and what out holds. */
static void gather_taps(size_t n, const float *in, size_t stride, size_t count, size_t step, bool average, bool more,
                        float *out) {
  size_t done = more ? 0 : count > 1 ? 2 : 1;
  if (done == 1) {
    for (size_t i = 0; i < n; i++) {
      out[i] = in[i * stride];
    }
  } else if (done == 2) {
    pair(n, in, stride, in + step, stride, average, out);
  }
  for (; done < count; done++) {
    pair(n, out, 1, in + done * step, stride, average, out);
  }
}

/* ---- rows and columns apart -------------------------------------------------------------------------------------- */
enum { LINE = 1024 /* floats of a row of maxima or sums */ };

/* line[i] becomes what column first + i of the window's rows makes together; where the image does not reach, what
 * changes nothing. */
static void reduce_rows(const float *in, const weft_pool_axis *y, size_t width, span rows, int64_t top, int64_t first,
                        size_t n, bool average, float *line) {
  size_t begin = first < 0 ? (size_t)-first : 0;
  int64_t left = (int64_t)width - first;
  size_t end = left < 0 ? 0 : (size_t)left < n ? (size_t)left : n;
  if (rows.begin == rows.end || begin >= end) {
    begin = end = 0;
  }
  const float nothing = average ? 0 : -INFINITY;
  for (size_t i = 0; i < begin; i++) {
    line[i] = nothing;
  }
  for (size_t i = end; i < n; i++) {
    line[i] = nothing;
  }
  if (begin == end) {
    return;
  }
  const size_t step = y->dilation * width;
  const float *row = in + (size_t)(top + (int64_t)(rows.begin * y->dilation)) * width + (first + (int64_t)begin);
  gather_taps(end - begin, row, 1, rows.end - rows.begin, step, average, false, line + begin);
}

/* How many taps of the window that begins at `start` count for an average. */
static size_t counted(const weft_pool_axis *axis, int64_t start, bool with_padding) {
  int64_t low = with_padding ? -axis->pad : 0;
  int64_t high = (int64_t)axis->in + (with_padding ? axis->pad_end : 0);
  size_t count = 0;
  for (size_t i = 0; i < axis->kernel; i++) {
    int64_t at = start + (int64_t)(i * axis->dilation);
    count += at >= low && at < high;
  }
  return count;
}

/* Sums become means. */
static void divide(const weft_pool_axis *x, size_t tall, bool count_padding, float *out) {
  size_t begin = 0, end = 0;
  for (size_t ox = 0; ox < x->out; ox++) {
    const int64_t left = (int64_t)(ox * x->stride) - x->pad, right = left + (int64_t)((x->kernel - 1) * x->dilation);
    if (left >= 0 && right < (int64_t)x->in) {
      begin = begin == end ? ox : begin;
      end = ox + 1;
      continue;
    }
    const size_t count = tall * counted(x, left, count_padding);
    out[ox] = count > 0 ? out[ox] / (float)count : 0;
  }
  const float inside = (float)(tall * x->kernel);
  for (size_t ox = begin; ox < end; ox++) {
    out[ox] = inside > 0 ? out[ox] / inside : 0;
  }
}

/* What a window costs is its height and its width, not their product: a line of what its rows make together serves all
 * windows side by side. Windows that are wider than a line come one by one, in parts. */
void weft_pool_plane_f32(const float *in, const weft_pool_axis *y, const weft_pool_axis *x, bool average,
                         bool count_padding, float *out) {
  float line[LINE];
  const size_t reach = (x->kernel - 1) * x->dilation + 1, most = reach < LINE ? (LINE - reach) / x->stride + 1 : 1;
  for (size_t oy = 0; oy < y->out; oy++, out += x->out) {
    int64_t top = (int64_t)(oy * y->stride) - y->pad;
    span rows = taps_inside(top, y->kernel, y->dilation, y->in);
    for (size_t ox = 0; ox < x->out; ox += most) {
      const size_t n = x->out - ox < most ? x->out - ox : most, all_but_one = (n - 1) * x->stride;
      for (size_t j = 0, taps; j < x->kernel; j += taps) {
        taps = (LINE - 1 - all_but_one) / x->dilation + 1;
        taps = taps < x->kernel - j ? taps : x->kernel - j;
        reduce_rows(in, y, x->in, rows, top, (int64_t)(ox * x->stride + j * x->dilation) - x->pad,
                    all_but_one + (taps - 1) * x->dilation + 1, average, line);
        gather_taps(n, line, x->stride, taps, x->dilation, average, j > 0, out + ox);
      }
    }
    if (average) {
      divide(x, counted(y, top, count_padding), count_padding, out);
    }
  }
}

#define PLACES(name, T)                                                                                                \
  SMALL_CODE static void name(size_t n, size_t taps, const int64_t *offsets, const T *plane, T *out, int64_t *best) {  \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      T most = (T) - INFINITY;                                                                                         \
      int64_t place = -1;                                                                                              \
      for (size_t t = 0; t < taps; t++) {                                                                              \
        const int64_t at = *offsets++;                                                                                 \
        if (at >= 0 && (place < 0 || (!(plane[at] <= most) && most == most))) {                                        \
          most = plane[at];                                                                                            \
          place = at;                                                                                                  \
        }                                                                                                              \
      }                                                                                                                \
      out[i] = most;                                                                                                   \
      best[i] = place;                                                                                                 \
    }                                                                                                                  \
  }
PLACES(places_of_floats, float)
PLACES(places_of_doubles, double)

void weft_pool_places(bool doubles, size_t n, size_t taps, const int64_t *offsets, const void *plane, void *out,
                      int64_t *best) {
  if (doubles) {
    places_of_doubles(n, taps, offsets, plane, out, best);
  } else {
    places_of_floats(n, taps, offsets, plane, out, best);
  }
}
