/* Places between elements: what pictures are read at when they are resized, turned or cut out. Each is a sum of
 * elements with weights. Compiled for speed, with nothing to replace. */
#ifndef WEFT_KERNELS_SAMPLE_H
#define WEFT_KERNELS_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* y[i] = the sum of weights[i * taps + t] * x[places[i * taps + t]]. */
void weft_sample_row(size_t n, size_t taps, const int64_t *places, const double *weights, const float *x, float *y);
/* y = the sum of weights[t] * row number rows[t] of x, whose rows have n elements each. */
void weft_sample_rows(size_t n, size_t taps, const int64_t *rows, const double *weights, const float *x, float *y);

/* A place between two elements along an axis: their offsets and weights. Not `inside`: it counts as 0. */
typedef struct weft_sample {
  double low_weight, high_weight;
  size_t low, high;
  bool inside;
} weft_sample;
/* rows x columns bins, each the mean of tall x wide places between elements of a plane. */
typedef struct weft_bins {
  size_t rows, columns, tall, wide;
  const weft_sample *y, *x; /* rows * tall, columns * wide */
} weft_bins;
/* Of some of so many planes, `step` floats apart, one after the other: returns of how many. */
size_t weft_sample_bins(const weft_bins *bins, size_t planes, const float *from, size_t step, float *out);

/* Any places in planes of up to three dimensions, as GridSample means them. */
enum { WEFT_GRID_AXES = 3, WEFT_GRID_POINTS = 64, WEFT_GRID_ROOM = 512 };
typedef enum weft_grid_mode { WEFT_GRID_NEAREST, WEFT_GRID_LINEAR, WEFT_GRID_CUBIC } weft_grid_mode;
typedef enum weft_grid_padding { WEFT_GRID_ZEROS, WEFT_GRID_BORDER, WEFT_GRID_REFLECTION } weft_grid_padding;
typedef struct weft_grid {
  weft_grid_mode mode;
  weft_grid_padding padding;
  bool align;
  bool counted; /* coordinates count elements, not halves of a plane */
  int axes;
  int64_t dims[WEFT_GRID_AXES];
} weft_grid;
/* Points and how many taps each has, those of point i from number i * most on: offsets within a plane and weights. */
typedef struct weft_grid_points {
  size_t most;
  int taps[WEFT_GRID_POINTS];
  size_t offsets[WEFT_GRID_ROOM];
  double weights[WEFT_GRID_ROOM];
} weft_grid_points;
/* How many points there is room for. */
size_t weft_grid_at_once(const weft_grid *grid);
/* The taps of up to so many points with such coordinates, the last axis of a plane first. */
void weft_grid_place(const weft_grid *grid, size_t points, const double *coordinates, weft_grid_points *out);
/* For each of so many planes, x_step and y_step floats apart, the sums at the points, which are neighbours in y. */
void weft_grid_sample(const weft_grid_points *points, size_t n, size_t planes, const float *x, size_t x_step, float *y,
                      size_t y_step);

#endif
