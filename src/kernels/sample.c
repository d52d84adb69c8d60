/* See sample.h. */
#include "sample.h"

#include "loops.h"

#include <math.h>
#include <string.h>

/* ---- along one axis ---------------------------------------------------------------------------------------------- */
void weft_sample_row(size_t n, size_t taps, const int64_t *places, const double *weights, const float *x, float *y) {
  if (taps == 2) {
    for (size_t i = 0; i < n; i++) {
      y[i] = (float)weights[2 * i] * x[places[2 * i]] + (float)weights[2 * i + 1] * x[places[2 * i + 1]];
    }
    return;
  }
  for (size_t i = 0; i < n; i++, places += taps, weights += taps) {
    float sum = 0;
    for (size_t t = 0; t < taps; t++) {
      sum += (float)weights[t] * x[places[t]];
    }
    y[i] = sum;
  }
}

/* Taps come in pairs: there are as many on either side of a place. */
void weft_sample_rows(size_t n, size_t taps, const int64_t *rows, const double *weights, const float *restrict x,
                      float *restrict y) {
  for (size_t t = 0; t < taps; t += 2) {
    const float *a = x + (size_t)rows[t] * n, *b = x + (size_t)rows[t + 1] * n;
    const float p = (float)weights[t], q = (float)weights[t + 1];
    if (t == 0) {
      for (size_t i = 0; i < n; i++) {
        y[i] = p * a[i] + q * b[i];
      }
      continue;
    }
    for (size_t i = 0; i < n; i++) {
      y[i] = (y[i] + p * a[i]) + q * b[i];
    }
  }
}

/* ---- bins -------------------------------------------------------------------------------------------------------- */
enum { PLANES = 4 /* side by side, which share places and weights */ };

static inline void sample_row(const weft_bins *b, const weft_sample *y, const weft_sample *x, const float *from,
                              size_t step, double *sums) {
  for (size_t j = 0; j < b->wide; j++, x++) {
    const double weights[] = {y->low_weight * x->low_weight, y->low_weight * x->high_weight,
                              y->high_weight * x->low_weight, y->high_weight * x->high_weight};
    const float *at[] = {from + y->low + x->low, from + y->low + x->high, from + y->high + x->low,
                         from + y->high + x->high};
    for (size_t p = 0; x->inside && p < PLANES; p++) {
      sums[p] += (weights[0] * (double)at[0][p * step] + weights[1] * (double)at[1][p * step]) +
                 (weights[2] * (double)at[2][p * step] + weights[3] * (double)at[3][p * step]);
    }
  }
}

/* Fewer planes one by one, as if they were as many. */
SMALL_CODE size_t weft_sample_bins(const weft_bins *b, size_t planes, const float *from, size_t step, float *out) {
  planes = planes < PLANES ? 1 : PLANES;
  step = planes < PLANES ? 0 : step;
  const size_t bins = b->rows * b->columns, count = b->tall * b->wide;
  for (size_t bin = 0; bin < bins; bin++) {
    const weft_sample *y = b->y + bin / b->columns * b->tall, *x = b->x + bin % b->columns * b->wide;
    double sums[PLANES] = {0};
    for (size_t i = 0; i < b->tall; i++) {
      if (y[i].inside) sample_row(b, &y[i], x, from, step, sums);
    }
    for (size_t p = 0; p < planes; p++) {
      out[p * bins + bin] = (float)(count > 0 ? sums[p] / (double)count : 0);
    }
  }
  return planes;
}

/* ---- grids ------------------------------------------------------------------------------------------------------- */
/* Turns x back at the bounds as often as it takes. */
static double reflect(double x, double low, double high) {
  double range = high - low;
  if (range <= 0) {
    return low;
  }
  double away = x < low ? low - x : x > high ? x - high : 0, turns = floor(away / range), rest = away - turns * range;
  bool even = fmod(turns, 2) == 0;
  if (x < low) {
    return even ? low + rest : high - rest;
  }
  return x > high ? (even ? high - rest : low + rest) : x;
}

/* Place i of an axis of `dim` elements, or -1 where nothing is. */
static int64_t tap_place(const weft_grid *grid, double i, int64_t dim) {
  double last = (double)dim - 1;
  if (i >= 0 && i <= last) {
    return (int64_t)i;
  }
  if (grid->padding == WEFT_GRID_ZEROS || !isfinite(i)) {
    return -1;
  }
  if (grid->padding == WEFT_GRID_REFLECTION) {
    i = trunc(reflect(i, grid->align ? 0 : -0.5, grid->align ? last : last + 0.5));
  }
  return i <= 0 ? 0 : i >= last ? dim - 1 : (int64_t)i;
}

static double cubic_weight(double x) {
  const double a = -0.75;
  x = fabs(x);
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* Where coordinate g is along an axis whose last element is number `last`. */
static inline double place_of(const weft_grid *grid, double g, double last) {
  if (grid->counted) return g;
  return grid->align ? (g + 1) / 2 * last : ((g + 1) * (last + 1) - 1) / 2;
}

/* The taps of coordinate g along one axis; returns how many. */
static int axis_taps(const weft_grid *grid, double g, int64_t dim, int64_t *places, double *weights) {
  double last = (double)dim - 1, x = place_of(grid, g, last);
  double low = grid->align ? 0 : -0.5, high = grid->align ? last : last + 0.5;
  x = grid->mode == WEFT_GRID_NEAREST ? rint(x) : x;
  /* A cubic's place stays beyond the border: its four taps are brought to the border one by one (tap_place). */
  if (grid->padding == WEFT_GRID_BORDER && grid->mode != WEFT_GRID_CUBIC) {
    x = x < low ? 0 : x > high ? last : x;
  } else if (grid->padding == WEFT_GRID_REFLECTION && isfinite(x)) {
    x = reflect(x, low, high);
  }
  double first = floor(x);
  switch (grid->mode) {
  case WEFT_GRID_NEAREST:
    places[0] = tap_place(grid, x, dim);
    weights[0] = 1;
    return 1;
  case WEFT_GRID_LINEAR:
    for (int t = 0; t < 2; t++) {
      places[t] = tap_place(grid, first + t, dim);
      weights[t] = t == 0 ? 1 - (x - first) : x - first;
    }
    return 2;
  case WEFT_GRID_CUBIC:
    for (int t = 0; t < 4; t++) {
      places[t] = tap_place(grid, first - 1 + t, dim);
      weights[t] = cubic_weight(x - (first - 1 + t));
    }
    return 4;
  }
  return 0;
}

/* Taps of all axes so far, each with all taps of the next; returns how many. From the last on, so that each is read
 * before another takes its place. */
static int cross(int count, int64_t dim, int taps, const int64_t *places, const double *axis_weights, size_t *offsets,
                 double *weights) {
  int inside = 0;
  for (int t = 0; t < taps; t++) {
    inside += places[t] >= 0;
  }
  for (int o = count - 1, to = count * inside; o >= 0; o--) {
    const size_t offset = offsets[o] * (size_t)dim;
    const double weight = weights[o];
    for (int t = taps - 1; t >= 0; t--) {
      if (places[t] < 0) continue;
      to--;
      offsets[to] = offset + (size_t)places[t];
      weights[to] = weight * axis_weights[t];
    }
  }
  return count * inside;
}

/* Where all taps of a linear place in a plane lie inside, as nearly always, they need no looking at one by one. */
static bool place_inside(const weft_grid *grid, const double *coordinates, size_t *offsets, double *weights) {
  const double last_y = (double)(grid->dims[0] - 1), last_x = (double)(grid->dims[1] - 1);
  const double y = place_of(grid, coordinates[1], last_y), x = place_of(grid, coordinates[0], last_x);
  if (!(y >= 0 && y < last_y && x >= 0 && x < last_x && last_y < INT32_MAX && last_x < INT32_MAX)) {
    return false;
  }
  const int32_t row = (int32_t)y, column = (int32_t)x;
  const double low = y - row, right = x - column, high = 1 - low, left = 1 - right;
  const size_t width = (size_t)grid->dims[1], first = (size_t)row * width + (size_t)column;
  const size_t places[] = {first, first + 1, first + width, first + width + 1};
  const double shares[] = {high * left, high * right, low * left, low * right};
  memcpy(offsets, places, sizeof places);
  memcpy(weights, shares, sizeof shares);
  return true;
}

/* 1, 2 or 4 along every axis. */
static size_t most_taps(const weft_grid *grid) {
  return (size_t)1 << ((int)grid->mode * grid->axes);
}

size_t weft_grid_at_once(const weft_grid *grid) {
  const size_t room = WEFT_GRID_ROOM / most_taps(grid);
  return room < WEFT_GRID_POINTS ? room : WEFT_GRID_POINTS;
}

void weft_grid_place(const weft_grid *grid, size_t points, const double *coordinates, weft_grid_points *out) {
  out->most = most_taps(grid);
  for (size_t i = 0; i < points; i++, coordinates += grid->axes) {
    size_t *offsets = out->offsets + i * out->most;
    double *weights = out->weights + i * out->most;
    int count = 1;
    if (grid->axes == 2 && grid->mode == WEFT_GRID_LINEAR && place_inside(grid, coordinates, offsets, weights)) {
      out->taps[i] = 4;
      continue;
    }
    for (size_t t = 0; t < out->most; t++) { /* all may be read */
      offsets[t] = 0;
      weights[t] = 1;
    }
    for (int d = 0; d < grid->axes; d++) {
      int64_t places[4];
      double axis_weights[4];
      const int taps = axis_taps(grid, coordinates[grid->axes - 1 - d], grid->dims[d], places, axis_weights);
      count = cross(count, grid->dims[d], taps, places, axis_weights, offsets, weights);
    }
    out->taps[i] = count;
  }
}

/* Points of four taps, as nearly all have, in planes side by side. */
static inline void sample_planes(const weft_grid_points *points, size_t n, size_t planes, const float *x, size_t x_step,
                                 float *y, size_t y_step) {
  for (size_t i = 0; i < n; i++) {
    const size_t *o = points->offsets + i * points->most;
    const double *w = points->weights + i * points->most;
    const float w0 = (float)w[0], w1 = (float)w[1], w2 = (float)w[2], w3 = (float)w[3];
    for (size_t p = 0; p < planes; p++) {
      const float *from = x + p * x_step;
      y[p * y_step + i] = (w0 * from[o[0]] + w1 * from[o[1]]) + (w2 * from[o[2]] + w3 * from[o[3]]);
    }
  }
}

/* Few planes at a time, so that what is read and written lies close together. Points of other than four taps are taken
 * one by one, in the end. */
void weft_grid_sample(const weft_grid_points *points, size_t n, size_t planes, const float *x, size_t x_step, float *y,
                      size_t y_step) {
  uint8_t others[WEFT_GRID_POINTS];
  size_t count = 0, plane = 0;
  for (size_t i = 0; i < n; i++) {
    others[count] = (uint8_t)i;
    count += points->taps[i] != 4 || points->most != 4;
  }
  for (; points->most == 4 && planes - plane >= PLANES; plane += PLANES) {
    sample_planes(points, n, PLANES, x + plane * x_step, x_step, y + plane * y_step, y_step);
  }
  for (; points->most == 4 && plane < planes; plane++) {
    sample_planes(points, n, 1, x + plane * x_step, x_step, y + plane * y_step, y_step);
  }
  for (plane = 0; plane < planes; plane++, x += x_step, y += y_step) {
    for (size_t at = 0; at < count; at++) {
      const size_t i = others[at];
      const size_t *o = points->offsets + i * points->most;
      const double *w = points->weights + i * points->most;
      double sum = 0;
      for (int t = 0; t < points->taps[i]; t++) {
        sum += w[t] * (double)x[o[t]];
      }
      y[i] = (float)sum;
    }
  }
}
