/* Loops over elements of any type, which compilers make fast by themselves: compiled for speed, unlike the operators
 * that use them, and with nothing to replace. Elements are neighbours; what broadcasts is repeated by the caller. */
#ifndef WEFT_KERNELS_TYPED_H
#define WEFT_KERNELS_TYPED_H

#include "../weft.h"

typedef enum weft_typed {
  WEFT_TYPED_ADD, /* integers wrap */
  WEFT_TYPED_SUB,
  WEFT_TYPED_MUL,
  WEFT_TYPED_DIV, /* of doubles, and signed integers: towards 0; y is not 0 */
  WEFT_TYPED_MOD, /* the remainder with the divisor's sign */
  WEFT_TYPED_MIN, /* of doubles, where NaN wins, and integers */
  WEFT_TYPED_MAX,
  WEFT_TYPED_AND,
  WEFT_TYPED_OR,
  WEFT_TYPED_XOR,
  WEFT_TYPED_LEFT,  /* shifts by y bits, of all bits where y is negative or too large */
  WEFT_TYPED_RIGHT, /* of signed integers, by copies of the sign */
  WEFT_TYPED_EQUAL, /* comparisons give bytes of 0 and 1 */
  WEFT_TYPED_LESS,
  WEFT_TYPED_LESS_OR_EQUAL
} weft_typed;

/* z may be x or y where elements have the same size. */
typedef void (*weft_typed_binary)(size_t n, const void *x, const void *y, void *z);
typedef void (*weft_typed_unary)(size_t n, const void *x, void *y);

/* NULL where there is no such loop: callers have a general way. */
weft_typed_binary weft_typed_binary_of(weft_typed what, weft_type type);
/* to[map[i]] = the sum of both, or their product, or what is less or greater (NaN wins), for n elements in order: floats,
 * doubles and integers of 4 or 8 bytes; false for other types. */
bool weft_typed_scatter(weft_typed what, weft_type type, size_t n, const int64_t *map, const void *from, void *to);
/* Adds n elements to a total, or multiplies it, or takes what is less or greater: integers, which wrap, or doubles. NULL
 * where there is no such loop; there are all for doubles and integers of 4 and 8 bytes. */
typedef void (*weft_typed_row)(size_t n, const void *x, void *total);
weft_typed_row weft_typed_row_of(weft_typed what, weft_type type);
/* Converts as base/convert.h says. */
weft_typed_unary weft_typed_convert_of(weft_type from, weft_type to);
/* Where there is no such loop, a type between the two, with loops to and from it that together convert so; or
 * WEFT_UNDEFINED. */
weft_type weft_typed_convert_by(weft_type from, weft_type to);
/* Functions of floats, but for the first, of bytes of 0 and 1, which a test gives too, and the last, of doubles. y may
 * be x, but for tests. */
typedef enum weft_typed_function {
  WEFT_TYPED_NOT,
  WEFT_TYPED_IS_NAN,
  WEFT_TYPED_IS_INFINITE,
  WEFT_TYPED_SIGN,
  WEFT_TYPED_SINE, /* this and the following rounded from double precision */
  WEFT_TYPED_COSINE,
  WEFT_TYPED_TANGENT,
  WEFT_TYPED_ASIN,
  WEFT_TYPED_ACOS,
  WEFT_TYPED_SINH,
  WEFT_TYPED_COSH,
  WEFT_TYPED_ASINH,
  WEFT_TYPED_ACOSH,
  WEFT_TYPED_ATANH,
  WEFT_TYPED_IS_NAN_DOUBLE, /* this and the following of doubles */
  WEFT_TYPED_IS_INFINITE_DOUBLE,
  WEFT_TYPED_FLOOR,
  WEFT_TYPED_CEIL,
  WEFT_TYPED_ROUND,
  WEFT_TYPED_SQRT,
  WEFT_TYPED_LOG, /* this and the following within 2 units in the last place */
  WEFT_TYPED_TANH,
  WEFT_TYPED_SINE_DOUBLE,
  WEFT_TYPED_COSINE_DOUBLE
} weft_typed_function;
weft_typed_unary weft_typed_unary_of(weft_typed_function what);
/* y = x < low ? x + bias : x > high ? x - bias : 0; y may be x. */
void weft_typed_shrink(size_t n, const float *x, float low, float high, float bias, float *y);
/* y = (x - center) * factor + shift; y may be x. */
void weft_typed_scale(size_t n, const float *x, float center, float factor, float shift, float *y);
/* Integers of 1 or 2 bytes from whole floats: those below `least`, and NaN, become `least`, those above `greatest` it. */
void weft_typed_saturate(size_t size, size_t n, const float *restrict x, float least, float greatest, void *restrict y);
/* z = condition ? x : y for elements of 1, 2, 4 or 8 bytes; false for other sizes. */
bool weft_typed_choose(size_t size, size_t n, const uint8_t *condition, const void *x, const void *y, void *z);

/* What is folded of a number: itself, its magnitude, its square; or what is not added but multiplied, or the greatest
 * or least, NaN being both. */
typedef enum weft_typed_term {
  WEFT_TYPED_VALUE,
  WEFT_TYPED_MAGNITUDE,
  WEFT_TYPED_SQUARE,
  WEFT_TYPED_PRODUCT,
  WEFT_TYPED_GREATEST,
  WEFT_TYPED_LEAST
} weft_typed_term;
/* `lines` lines of n floats, and the floats from one line, and from one element, to the next. */
typedef struct weft_lines {
  size_t lines, n, line_step, step;
} weft_lines;
/* Folds the elements with number i of all lines into totals[i]. Four values are added in float before their sum is in
 * double; all else is in double throughout. */
void weft_typed_fold(weft_typed_term term, const weft_lines *lines, const float *x, double *totals);
/* The index of the first, or with `last` of the last, element that equals `value` (NaN: that is NaN); n if none does. */
size_t weft_typed_find(size_t n, const float *x, float value, bool last);
/* The first index from `from` on whose element is not less (with `least`: not greater) than `value`; n if there is
 * none. */
size_t weft_typed_next(size_t from, size_t n, const float *x, float value, bool least);
/* The place of the greatest (or least) of each of `rows` rows of n neighbouring floats, n in 1..2^32 - 1: of equals, and
 * of NaN, which are both, the first or the `last`. */
void weft_typed_arg_rows(size_t rows, size_t n, const float *x, bool least, bool last, int64_t *places);
/* Places of the k largest (or least) of n > 0 floats, `step` apart, the best first, in the low 32 bits of each of
 * heap[k]; heap has room for WEFT_TYPED_TOP_ROOM numbers for each of them. NaN is the greatest, of equals the first is
 * better; n is below 2^32. */
#define WEFT_TYPED_TOP_ROOM 4
void weft_typed_top(size_t n, const float *x, size_t step, size_t k, bool least, uint64_t *heap);
/* Where x[i] beats best[i], it becomes best[i] and `index` becomes winner[i]: larger, or with `least` smaller; as large,
 * with `last`; NaN beats all numbers, and NaN with `last`. */
void weft_typed_beat(size_t n, const float *x, bool least, bool last, int32_t index, float *best, int32_t *winner);

/* e to the power of n doubles, within 2 units in the last place; y may be x. */
void weft_typed_exp(size_t n, const double *x, double *y);
/* The sum of the products of n numbers, or of the squares of their distances. */
double weft_typed_dot(size_t n, const double *x, const float *y, bool distances);
/* c[m x n] = a * b of floats: rows of a are `lda` apart, those of c dense. */
void weft_typed_small_product(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t b_row,
                              size_t b_column, float *c);
/* c[j] += factors[0] * b[j] + factors[1] * b[b_row + j] + ... for n elements and `rows` terms, four at a time: of
 * doubles, or of integers of 4 or 8 bytes, which wrap. */
void weft_typed_add_rows(weft_type type, size_t n, size_t rows, const void *factors, const void *b, size_t b_row,
                         void *c);
/* totals[i] += x[i], or with `product` *= x[i]; y[i] is the total after that, or with `exclusive` before. y may be x. */
void weft_typed_run_on(size_t n, const float *x, bool product, bool exclusive, double *totals, float *y);
/* The same along one row: y[i * step] is the total of x[0], x[step] ... from 1 or 0 on, of floats (in double), doubles,
 * or integers of 4 or 8 bytes, which wrap. */
void weft_typed_scan(weft_type type, size_t n, const void *x, int step, bool product, bool exclusive, void *y);
/* Adds `lines` lines of n floats, which are x_line and y_line floats apart, to y. */
void weft_typed_add_lines(size_t lines, size_t n, const float *x, size_t x_line, float *y, size_t y_line);
/* y, lines of `width` floats, gets its even columns from x and its odd ones from x + odd, lines x_line floats apart. */
void weft_typed_weave(size_t lines, size_t width, const float *x, size_t odd, size_t x_line, float *y);
/* Whether `box` has more than `share` of its union with one of n boxes in common with it. A box is its low ends along two
 * axes, its high ends, and its area; `boxes` has all the first of these, then at `stride` all the second, and so on. */
bool weft_typed_overlaps(size_t n, const float *boxes, size_t stride, const float box[5], float share);

#endif
