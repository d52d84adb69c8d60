/* Pooling of one plane of floats. Rows of the result are made tap by tap over all columns for which the tap lies
 * inside, a form that compilers turn into vector code. Knows neither graphs nor tensors. */
#include "pool.h"

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

/* The columns of the result for which a tap, `at` from the input's edge in the first window, lies inside; `columns` are
 * those of the tap before it. Both ends only go down. */
static span columns_inside(const weft_pool_axis *x, int64_t at, span columns) {
  while (columns.begin > 0 && at + (int64_t)((columns.begin - 1) * x->stride) >= 0) {
    columns.begin--;
  }
  while (columns.end > columns.begin && at + (int64_t)((columns.end - 1) * x->stride) >= (int64_t)x->in) {
    columns.end--;
  }
  return columns;
}

static inline float greater(float a, float b) {
  return b > a || b != b ? b : a;
}

static void add_tap(size_t n, const float *restrict in, size_t stride, bool average, float *restrict out) {
  if (average) {
    for (size_t i = 0; i < n; i++) {
      out[i] += in[i * stride];
    }
  } else if (stride == 1) {
    for (size_t i = 0; i < n; i++) {
      out[i] = greater(out[i], in[i]);
    }
  } else if (stride == 2) {
    for (size_t i = 0; i < n; i++) {
      out[i] = greater(out[i], in[i * 2]);
    }
  } else {
    for (size_t i = 0; i < n; i++) {
      out[i] = greater(out[i], in[i * stride]);
    }
  }
}

/* ---- the greatest, rows and columns apart ---------------------------------------------------------------------------
 */
enum { LINE = 1024 /* floats of a row of maxima */ };

/* out = the greater of two taps, or one tap again: what the others are added to. */
static void pair_taps(size_t n, const float *restrict a, const float *restrict b, size_t stride, float *restrict out) {
  if (stride == 1) {
    for (size_t i = 0; i < n; i++) {
      out[i] = greater(a[i], b[i]);
    }
  } else if (stride == 2 && b == a + 1) {
    for (size_t i = 0; i < n; i++) {
      out[i] = greater(a[2 * i], a[2 * i + 1]);
    }
  } else {
    for (size_t i = 0; i < n; i++) {
      out[i] = greater(a[i * stride], b[i * stride]);
    }
  }
}

/* line[i] becomes the greatest of column first + i of the window's rows; -infinity where the image does not reach. */
static void reduce_rows(const float *in, const weft_pool_axis *y, size_t width, span rows, int64_t top, int64_t first,
                        size_t n, float *line) {
  size_t begin = first < 0 ? (size_t)-first : 0;
  int64_t left = (int64_t)width - first;
  size_t end = left < 0 ? 0 : (size_t)left < n ? (size_t)left : n;
  if (rows.begin == rows.end || begin >= end) {
    begin = end = 0;
  }
  for (size_t i = 0; i < begin; i++) {
    line[i] = -INFINITY;
  }
  for (size_t i = end; i < n; i++) {
    line[i] = -INFINITY;
  }
  if (begin == end) {
    return;
  }
  const size_t step = y->dilation * width, count = rows.end - rows.begin;
  const float *row = in + (size_t)(top + (int64_t)(rows.begin * y->dilation)) * width + (first + (int64_t)begin);
  pair_taps(end - begin, row, count > 1 ? row + step : row, 1, line + begin);
  for (size_t i = 2; i < count; i++) {
    add_tap(end - begin, row + i * step, 1, false, line + begin);
  }
}

/* What a window costs is its height and its width, not their product. */
static void max_plane(const float *in, const weft_pool_axis *y, const weft_pool_axis *x, float *out) {
  float line[LINE];
  const size_t reach = (x->kernel - 1) * x->dilation + 1, most = (LINE - reach) / x->stride + 1;
  for (size_t oy = 0; oy < y->out; oy++, out += x->out) {
    int64_t top = (int64_t)(oy * y->stride) - y->pad;
    span rows = taps_inside(top, y->kernel, y->dilation, y->in);
    for (size_t ox = 0; ox < x->out; ox += most) {
      size_t n = x->out - ox < most ? x->out - ox : most;
      reduce_rows(in, y, x->in, rows, top, (int64_t)(ox * x->stride) - x->pad, (n - 1) * x->stride + reach, line);
      pair_taps(n, line, x->kernel > 1 ? line + x->dilation : line, x->stride, out + ox);
      for (size_t j = 2; j < x->kernel; j++) {
        add_tap(n, line + j * x->dilation, x->stride, false, out + ox);
      }
    }
  }
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

void weft_pool_plane_f32(const float *in, const weft_pool_axis *y, const weft_pool_axis *x, bool average,
                         bool count_padding, float *out) {
  if (!average && x->kernel <= LINE / x->dilation) {
    max_plane(in, y, x, out);
    return;
  }
  const size_t before = x->pad > 0 ? ((size_t)x->pad + x->stride - 1) / x->stride : 0;
  const span first = {before < x->out ? before : x->out, x->out};
  for (size_t oy = 0; oy < y->out; oy++, out += x->out) {
    int64_t top = (int64_t)(oy * y->stride) - y->pad;
    span rows = taps_inside(top, y->kernel, y->dilation, y->in);
    for (size_t ox = 0; ox < x->out; ox++) {
      out[ox] = average ? 0 : -INFINITY;
    }
    for (size_t i = rows.begin; i < rows.end; i++) {
      const float *row = in + (size_t)(top + (int64_t)(i * y->dilation)) * x->in;
      span columns = first;
      for (size_t j = 0; j < x->kernel; j++) {
        const int64_t at = (int64_t)(j * x->dilation) - x->pad;
        columns = columns_inside(x, at, columns);
        if (columns.begin == columns.end) continue;
        add_tap(columns.end - columns.begin, row + (at + (int64_t)(columns.begin * x->stride)), x->stride, average,
                out + columns.begin);
      }
    }
    if (average) {
      size_t tall = counted(y, top, count_padding);
      for (size_t ox = 0; ox < x->out; ox++) {
        const int64_t left = (int64_t)(ox * x->stride) - x->pad,
                      right = left + (int64_t)((x->kernel - 1) * x->dilation);
        size_t wide = left >= 0 && right < (int64_t)x->in ? x->kernel : counted(x, left, count_padding);
        out[ox] = tall * wide > 0 ? out[ox] / (float)(tall * wide) : 0;
      }
    }
  }
}
