/* Loops over elements of any type, which compilers make fast by themselves: compiled for speed, unlike the operators that use
 * them, and with nothing to replace. Elements are neighbours; what broadcasts is repeated by the caller. */
#ifndef WEFT_KERNELS_TYPED_H
#define WEFT_KERNELS_TYPED_H

#include "../weft.h"

typedef enum weft_typed {
  WEFT_TYPED_ADD, /* integers wrap */
  WEFT_TYPED_SUB,
  WEFT_TYPED_MUL,
  WEFT_TYPED_AND,
  WEFT_TYPED_OR,
  WEFT_TYPED_XOR,
  WEFT_TYPED_EQUAL, /* comparisons give bytes of 0 and 1 */
  WEFT_TYPED_LESS,
  WEFT_TYPED_LESS_OR_EQUAL
} weft_typed;

/* z may be x or y where elements have the same size. */
typedef void (*weft_typed_binary)(size_t n, const void *x, const void *y, void *z);
typedef void (*weft_typed_unary)(size_t n, const void *x, void *y);

/* NULL where there is no such loop: callers have a general way. */
weft_typed_binary weft_typed_binary_of(weft_typed what, weft_type type);
/* Converts as base/convert.h says. */
weft_typed_unary weft_typed_convert_of(weft_type from, weft_type to);
/* y = !x for bytes of 0 and 1. */
void weft_typed_not(size_t n, const void *x, void *y);
/* z = condition ? x : y for elements of 1, 2, 4 or 8 bytes; false for other sizes. */
bool weft_typed_choose(size_t size, size_t n, const uint8_t *condition, const void *x, const void *y, void *z);

/* totals[i] += x[i] */
void weft_typed_add_wide(size_t n, const float *x, double *totals);
/* The index of the first, or with `last` of the last, element that equals `value` (NaN: that is NaN); n if none does. */
size_t weft_typed_find(size_t n, const float *x, float value, bool last);
/* The first index from `from` on whose element is not less (with `least`: not greater) than `value`; n if there is none. */
size_t weft_typed_next(size_t from, size_t n, const float *x, float value, bool least);
/* Where x[i] beats best[i], it becomes best[i] and `index` becomes winner[i]: larger, or with `least` smaller; as large,
 * with `last`; NaN beats all numbers, and NaN with `last`. */
void weft_typed_beat(size_t n, const float *x, bool least, bool last, int32_t index, float *best, int32_t *winner);

/* totals[i] += x[i], or with `product` *= x[i]; y[i] is the total after that, or with `exclusive` before. y may be x. */
void weft_typed_run_on(size_t n, const float *x, bool product, bool exclusive, double *totals, float *y);
/* Adds `lines` lines of n floats, which are x_line and y_line floats apart, to y. */
void weft_typed_add_lines(size_t lines, size_t n, const float *x, size_t x_line, float *y, size_t y_line);
/* y, lines of `width` floats, gets its even columns from x and its odd ones from x + odd, lines x_line floats apart. */
void weft_typed_weave(size_t lines, size_t width, const float *x, size_t odd, size_t x_line, float *y);
/* Whether `box` has more than `share` of its union with one of n boxes in common with it. A box is its low ends along two
 * axes, its high ends, and its area; `boxes` has all the first of these, then at `stride` all the second, and so on. */
bool weft_typed_overlaps(size_t n, const float *boxes, size_t stride, const float box[5], float share);
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
void weft_typed_sample_bins(const weft_bins *bins, const float *plane, float *out);
/* For each of so many planes, x_step and y_step floats apart: y = the sum of weights[t] * x[offsets[t]]. */
void weft_typed_weigh(size_t planes, const float *x, size_t x_step, size_t taps, const int64_t *offsets,
                      const double *weights, float *y, size_t y_step);
/* y = sin x, or cos x, rounded from double precision; y may be x. */
void weft_typed_sine(size_t n, const float *x, bool cosine, float *y);

#endif
