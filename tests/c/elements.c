/* The loops of kernels/elements.h and pool.h against definitions written out one element at a time: all lengths up to a
 * few vectors, and special values. */
#include "kernels/elements.h"
#include "kernels/pool.h"
#include "loops_test.h"

#include <string.h>

/* ---- moving elements --------------------------------------------------------------------------------------------- */
/* Planes of lines of any element size, at strides that have loops of their own and at others. */
static void check_plane(size_t n) {
  static const size_t sizes[] = {1, 2, 3, 4, 8, 12, 16};
  static const int64_t strides[] = {-1, 0, 1, 2, 3, 5};
  static uint8_t from[16 * 8 * MOST], to[sizeof from], wanted[sizeof from];
  for (size_t i = 0; i < sizeof from; i++)
    from[i] = (uint8_t)draw();
  const size_t size = sizes[draw() % 7], lines = draw() % 4, m = n / 3;
  const int64_t from_stride = strides[draw() % 6], to_stride = draw() % 2 == 0 ? 1 : 2,
                gap = (int64_t)(2 * m + draw() % 3);
  const weft_plane plane = {size, lines, m, (int64_t)m, gap, from_stride, to_stride};
  const uint8_t *first = from + (from_stride < 0 ? m * size : 0);
  memset(to, 0, sizeof to);
  memset(wanted, 0, sizeof wanted);
  for (size_t line = 0; line < lines; line++) {
    for (size_t i = 0; i < m; i++) {
      memcpy(wanted + (int64_t)size * ((int64_t)line * gap + (int64_t)i * to_stride),
             first + (int64_t)size * ((int64_t)(line * m) + (int64_t)i * from_stride), size);
    }
  }
  weft_copy_plane(&plane, first, to);
  for (size_t i = 0; i < sizeof to; i++)
    check(to[i] == wanted[i], "plane", n, i);
}

static void check_map_bytes(size_t n) {
  uint8_t table[256], from[MOST + 1], to[MOST + 2];
  for (size_t i = 0; i < sizeof table; i++) {
    table[i] = (uint8_t)draw();
  }
  for (size_t i = 0; i <= n; i++) {
    from[i] = (uint8_t)draw();
    to[i + 1] = from[i];
  }
  weft_map_bytes(n, table, to + 1, to + 1); /* in place, unaligned */
  for (size_t i = 0; i < n; i++) {
    check(to[i + 1] == table[from[i]], "bytes through a table", n, i);
  }
  check(to[n + 1] == from[n], "bytes through a table, beyond", n, n);
}

static void check_indices(size_t n) {
  static const size_t sizes[] = {1, 2, 4, 8, 16, 20};
  const size_t size = sizes[draw() % 6];
  const int64_t dim = 1 + draw() % 50;
  const bool wide = draw() % 2 == 0, below = draw() % 2 == 0;
  int64_t indices[MOST], room[MOST];
  int32_t narrow[MOST];
  uint8_t from[50 * 20], to[MOST * 20], back[50 * 20];
  for (size_t i = 0; i < sizeof from; i++)
    from[i] = (uint8_t)draw();
  for (size_t i = 0; i < n; i++) {
    indices[i] = draw() % dim - (below ? dim : 0);
    narrow[i] = (int32_t)indices[i];
  }
  weft_indices list = {wide ? (const void *)indices : narrow, wide ? 8 : 4, dim, true};
  check(weft_indices_check(&list, n, &list.negative) == n && list.negative == (below && n > 0), "indices", n, 0);
  const int64_t *map = weft_indices_map(&list, n / 2, n - n / 2, 3, 2, room);
  for (size_t i = 0; i < n - n / 2; i++) {
    int64_t index = indices[n / 2 + i] + (below ? dim : 0);
    check(map[i] == (int64_t)(2 * i) + 3 * index, "map of indices", n, i);
  }
  map = weft_indices_map(&list, 0, n, 1, 0, room);
  weft_map_elements(size, n, map, from, to);
  for (size_t i = 0; i < n; i++)
    check(memcmp(to + i * size, from + (size_t)map[i] * size, size) == 0, "gather", n, i);
  memcpy(back, from, sizeof from);
  weft_spread_elements(size, n, map, to, back);
  check(memcmp(back, from, sizeof from) == 0, "spread", n, 0);
  if (n > 0) {
    size_t at = draw() % n;
    indices[at] = draw() % 2 == 0 ? dim : -dim - 1;
    narrow[at] = (int32_t)indices[at];
    check(weft_indices_check(&list, n, &list.negative) == at, "a wrong index", n, at);
  }
}

static void check_lanes(size_t taps) {
  enum { LANES = 8 };
  int32_t offsets[MOST * LANES];
  uint8_t next[MOST];
  float plane[MOST + LANES], out[MOST * LANES];
  for (size_t i = 0; i < MOST + LANES; i++)
    plane[i] = (float)(1 + draw() % 1000);
  for (size_t t = 0; t < taps; t++) {
    next[t] = draw() % 2 == 0;
    offsets[t * LANES] = (int32_t)(draw() % MOST);
    for (int lane = 1; lane < LANES; lane++)
      offsets[t * LANES + (size_t)lane] =
          next[t] ? offsets[t * LANES] + lane : (int32_t)(draw() % (2 * MOST)) - (int32_t)MOST;
  }
  weft_pack_lanes(taps, offsets, next, plane, out);
  for (size_t i = 0; i < taps * LANES; i++)
    check(out[i] == (offsets[i] < 0 ? 0 : plane[offsets[i]]), "lanes", taps, i);
}

/* ---- pooling ----------------------------------------------------------------------------------------------------- */
static weft_pool_axis draw_axis(size_t in) {
  weft_pool_axis a = {.in = in, .kernel = 1 + draw() % 5, .stride = 1 + draw() % 3, .dilation = 1 + draw() % 3};
  a.pad = draw() % 5;
  a.pad_end = draw() % 5;
  const size_t reach = (a.kernel - 1) * a.dilation + 1, room = in + (size_t)(a.pad + a.pad_end);
  a.out = room < reach ? 0 : (room - reach) / a.stride + 1;
  return a;
}

static float greatest(const float *in, const weft_pool_axis *y, const weft_pool_axis *x, size_t row, size_t column) {
  float most = -INFINITY;
  for (size_t t = 0; t < y->kernel * x->kernel; t++) {
    int64_t i = (int64_t)(row * y->stride + t / x->kernel * y->dilation) - y->pad;
    int64_t j = (int64_t)(column * x->stride + t % x->kernel * x->dilation) - x->pad;
    if (i < 0 || j < 0 || i >= (int64_t)y->in || j >= (int64_t)x->in) continue;
    const float v = in[(size_t)i * x->in + (size_t)j];
    most = v > most || isnan(v) ? v : most;
    if (isnan(most)) return most;
  }
  return most;
}

/* The mean of a window, and the sum of its magnitudes. */
static double mean(const float *in, const weft_pool_axis *y, const weft_pool_axis *x, bool padding, size_t oy,
                   size_t ox, double *size) {
  double sum = 0, count = 0;
  *size = 0;
  for (size_t i = 0; i < y->kernel; i++) {
    for (size_t j = 0; j < x->kernel; j++) {
      const int64_t at_y = (int64_t)(oy * y->stride + i * y->dilation) - y->pad;
      const int64_t at_x = (int64_t)(ox * x->stride + j * x->dilation) - x->pad;
      const bool inside = at_y >= 0 && at_x >= 0 && at_y < (int64_t)y->in && at_x < (int64_t)x->in;
      const double value = inside ? (double)in[(size_t)at_y * x->in + (size_t)at_x] : 0;
      count += inside || (padding && at_y < (int64_t)y->in + y->pad_end && at_x < (int64_t)x->in + x->pad_end);
      sum += value;
      *size += fabs(value);
    }
  }
  return count > 0 ? sum / count : 0;
}

static void check_pool(size_t width) {
  enum { ROWS = 6, ROOM = 2600 };
  static float in[ROWS * ROOM], out[3 * ROWS * ROOM];
  const weft_pool_axis y = draw_axis(1 + draw() % ROWS), x = draw_axis(width);
  for (size_t i = 0; i < y.in * x.in; i++)
    in[i] = draw() % 4 == 0 ? draw_float() : (float)(draw() % 1000);
  weft_pool_plane_f32(in, &y, &x, false, false, out);
  for (size_t i = 0; i < y.out * x.out; i++) {
    const float wanted = greatest(in, &y, &x, i / x.out, i % x.out);
    check(out[i] == wanted || (isnan(out[i]) && isnan(wanted)), "maximum", width, i);
  }
  const bool padding = draw() % 2 == 0;
  weft_pool_plane_f32(in, &y, &x, true, padding, out);
  for (size_t i = 0; i < y.out * x.out; i++) {
    double size;
    const double wanted = mean(in, &y, &x, padding, i / x.out, i % x.out, &size);
    check(is_near((double)out[i], wanted, isinf(size) ? 0 : 1e-6 * size + 1e-44), "mean", width, i);
  }
}

/* The greatest of windows with offsets of their own, some of them outside, and where it is. */
static void check_places(size_t n) {
  enum { TAPS = 5 };
  int64_t offsets[MOST * TAPS], best[MOST];
  double plane[MOST], out[MOST];
  float narrow[MOST], out_narrow[MOST];
  for (size_t i = 0; i < MOST; i++)
    plane[i] = (double)(narrow[i] = draw_float());
  for (size_t i = 0; i < n * TAPS; i++)
    offsets[i] = draw() % 3 == 0 ? -1 : (int64_t)(draw() % MOST);
  for (int doubles = 0; doubles < 2; doubles++) {
    weft_pool_places(doubles, n, TAPS, offsets, doubles ? (void *)plane : narrow, doubles ? (void *)out : out_narrow,
                     best);
    for (size_t i = 0; i < n; i++) {
      double most = -INFINITY;
      int64_t place = -1;
      for (size_t t = 0; t < TAPS; t++) {
        const int64_t at = offsets[i * TAPS + t];
        if (at < 0 || (place >= 0 && (isnan(most) || plane[at] <= most))) continue;
        most = plane[at];
        place = at;
      }
      const double found = doubles ? out[i] : (double)out_narrow[i];
      check(best[i] == place && (found == most || (isnan(found) && isnan(most))), "places", n, i);
    }
  }
}

int main(void) {
  for (int round = 0; round < 20; round++) {
    for (size_t n = 0; n <= MOST; n++) {
      check_plane(n);
      check_indices(n);
      check_map_bytes(n);
      check_lanes(n);
      check_pool(n + 1);
      check_places(n);
    }
  }
  for (size_t width = 1000; width < 2600; width += 97)
    check_pool(width);
  return failures > 0;
}
