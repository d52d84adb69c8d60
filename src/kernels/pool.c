/* Pooling of one plane of floats. Rows of the result are made tap by tap over all columns whose window lies inside, a
 * form that compilers turn into vector code; the few columns at the edges are made one by one. Knows neither graphs nor
 * tensors. */
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

/* The columns of the result whose windows lie inside. */
static span columns_inside(const weft_pool_axis *x) {
  span s = {0, x->out};
  while (s.begin < x->out && (int64_t)(s.begin * x->stride) < x->pad) {
    s.begin++;
  }
  while (s.end > s.begin &&
         (int64_t)((s.end - 1) * x->stride + (x->kernel - 1) * x->dilation) - x->pad >= (int64_t)x->in) {
    s.end--;
  }
  return s;
}

static inline float greater(float a, float b) {
  return b > a || b != b ? b : a;
}

static float reduce_edge(const float *in, const weft_pool_axis *y, const weft_pool_axis *x, span rows, int64_t top,
                         int64_t left, bool average) {
  span columns = taps_inside(left, x->kernel, x->dilation, x->in);
  float result = average ? 0 : -INFINITY;
  for (size_t i = rows.begin; i < rows.end; i++) {
    const float *row = in + (size_t)(top + (int64_t)(i * y->dilation)) * x->in;
    for (size_t j = columns.begin; j < columns.end; j++) {
      float v = row[left + (int64_t)(j * x->dilation)];
      result = average ? result + v : greater(result, v);
    }
  }
  return result;
}

static void add_tap(size_t n, const float *in, size_t stride, bool average, float *out) {
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
  span inside = columns_inside(x);
  for (size_t oy = 0; oy < y->out; oy++, out += x->out) {
    int64_t top = (int64_t)(oy * y->stride) - y->pad;
    span rows = taps_inside(top, y->kernel, y->dilation, y->in);
    for (size_t ox = 0; ox < x->out; ox++) {
      bool edge = ox < inside.begin || ox >= inside.end;
      out[ox] = edge      ? reduce_edge(in, y, x, rows, top, (int64_t)(ox * x->stride) - x->pad, average)
                : average ? 0
                          : -INFINITY;
    }
    for (size_t i = rows.begin; i < rows.end && inside.end > inside.begin; i++) {
      const float *row = in + (size_t)(top + (int64_t)(i * y->dilation)) * x->in;
      for (size_t j = 0; j < x->kernel; j++) {
        const float *first = row + (int64_t)(inside.begin * x->stride + j * x->dilation) - x->pad;
        add_tap(inside.end - inside.begin, first, x->stride, average, out + inside.begin);
      }
    }
    if (average) {
      size_t tall = counted(y, top, count_padding);
      for (size_t ox = 0; ox < x->out; ox++) {
        bool edge = ox < inside.begin || ox >= inside.end;
        size_t wide = edge ? counted(x, (int64_t)(ox * x->stride) - x->pad, count_padding) : x->kernel;
        out[ox] = tall * wide > 0 ? out[ox] / (float)(tall * wide) : 0;
      }
    }
  }
}
