/* The loops of kernels/sample.h against what they stand for: sums over all elements, each with the weight that its
 * distance gives it. */
#include "kernels/sample.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
static uint32_t seed = 1;

static uint32_t draw(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}

/* In [-1, 1). */
static double draw_number(void) {
  return (double)draw() / 0x1p23 - 1;
}

static void check(double found, double wanted, const char *what, size_t i) {
  if (fabs(found - wanted) <= 1e-5 || failures > 20) return;
  fprintf(stderr, "%s: element %zu is %g, not %g\n", what, i, found, wanted);
  failures++;
}

static void check_rows(size_t n) {
  enum { ROWS = 5, MOST = 70, TAPS = 6 };
  float x[ROWS * MOST], y[MOST];
  int64_t places[MOST * TAPS];
  double weights[MOST * TAPS];
  for (size_t taps = 2; taps <= TAPS; taps += 2) {
    for (size_t i = 0; i < ROWS * n; i++)
      x[i] = (float)draw_number();
    for (size_t i = 0; i < n * taps; i++) {
      places[i] = draw() % ROWS;
      weights[i] = draw_number();
    }
    weft_sample_rows(n, taps, places, weights, x, y);
    for (size_t i = 0; i < n; i++) {
      double sum = 0;
      for (size_t t = 0; t < taps; t++)
        sum += weights[t] * (double)x[(size_t)places[t] * n + i];
      check((double)y[i], sum, "rows", i);
    }
    weft_sample_row(n, taps, places, weights, x, y);
    for (size_t i = 0; i < n; i++) {
      double sum = 0;
      for (size_t t = 0; t < taps; t++)
        sum += weights[i * taps + t] * (double)x[places[i * taps + t]];
      check((double)y[i], sum, "row", i);
    }
  }
}

/* Where a coordinate is along an axis, and how much of the element at `i` it has. */
static double share(const weft_grid *grid, double g, int64_t dim, int64_t i) {
  const double last = (double)dim - 1;
  double x = grid->align ? (g + 1) / 2 * last : ((g + 1) * (double)dim - 1) / 2;
  if (grid->padding == WEFT_GRID_BORDER) x = fmin(fmax(x, 0), last);
  if (grid->mode == WEFT_GRID_NEAREST) return rint(x) == (double)i;
  return fabs(x - (double)i) < 1 ? 1 - fabs(x - (double)i) : 0;
}

/* Every element of the plane, those along the first axes by the call before. */
static double sum_of(const weft_grid *grid, const double *coordinates, int d, size_t offset, const float *plane) {
  if (d == grid->axes) return (double)plane[offset];
  double sum = 0;
  for (int64_t i = 0; i < grid->dims[d]; i++) {
    const double part = share(grid, coordinates[grid->axes - 1 - d], grid->dims[d], i);
    if (part != 0) sum += part * sum_of(grid, coordinates, d + 1, offset * (size_t)grid->dims[d] + (size_t)i, plane);
  }
  return sum;
}

static void check_grid(void) {
  enum { PLANES = 6, MOST = 9 * 9 * 9 };
  static float x[PLANES * MOST], y[PLANES * WEFT_GRID_POINTS];
  static const double corners[] = {-1, 1, 0, -1.5, 1.5, 40, -40};
  double coordinates[WEFT_GRID_POINTS * WEFT_GRID_AXES];
  weft_grid_points points;
  weft_grid grid = {.mode = draw() % 2 == 0 ? WEFT_GRID_NEAREST : WEFT_GRID_LINEAR,
                    .padding = draw() % 2 == 0 ? WEFT_GRID_ZEROS : WEFT_GRID_BORDER,
                    .align = draw() % 2 == 0,
                    .axes = 1 + (int)(draw() % WEFT_GRID_AXES)};
  size_t plane = 1;
  for (int d = 0; d < grid.axes; d++) {
    grid.dims[d] = 1 + draw() % 9;
    plane *= (size_t)grid.dims[d];
  }
  for (size_t i = 0; i < PLANES * plane; i++)
    x[i] = (float)draw_number();
  const size_t n = 1 + draw() % weft_grid_at_once(&grid);
  for (size_t i = 0; i < n * (size_t)grid.axes; i++) {
    coordinates[i] = draw() % 4 == 0 ? corners[draw() % 7] : 1.25 * draw_number();
  }
  weft_grid_place(&grid, n, coordinates, &points);
  weft_grid_sample(&points, n, PLANES, x, plane, y, WEFT_GRID_POINTS);
  for (size_t p = 0; p < PLANES; p++) {
    for (size_t i = 0; i < n; i++) {
      const double wanted = sum_of(&grid, coordinates + i * (size_t)grid.axes, 0, 0, x + p * plane);
      check((double)y[p * WEFT_GRID_POINTS + i], wanted, "grid", i);
    }
  }
}

int main(void) {
  for (size_t n = 0; n <= 70; n++)
    check_rows(n);
  for (int round = 0; round < 2000; round++)
    check_grid();
  return failures > 0;
}
