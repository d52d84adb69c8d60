/* Conversion of elements between the types of tensors and the four types that operators compute in: float, double,
 * int64 and uint64. An operator loads a block of any type, computes, and stores the block: thus one loop serves many
 * types. The small floating types (8, 6 and 4 bits) are described by a table and share one encoder. It must not know
 * operators. */
#ifndef WEFT_BASE_CONVERT_H
#define WEFT_BASE_CONVERT_H

#include "value.h"

/* Elements that a block on the stack should hold. */
enum { WEFT_BLOCK = 256 };

/* n elements of `data`, the first at index `offset`, as numbers in `out`. A step of 0 repeats the first element,
 * another walks by as many elements. Every type but strings and complex numbers; a bool counts as 0 or 1. load_int64
 * takes integers and bool only; uint64 keeps its bits. */
void weft_load_float(weft_type type, const void *data, size_t offset, size_t step, size_t n, float *out);
void weft_load_double(weft_type type, const void *data, size_t offset, size_t step, size_t n, double *out);
void weft_load_int64(weft_type type, const void *data, size_t offset, size_t step, size_t n, int64_t *out);

/* The way back, to n elements `step` apart from index `offset`. Floating targets round to nearest, ties to even;
 * small floats saturate. Floating numbers lose their fraction in integers, out-of-range ones become the nearest
 * 64-bit (for int32: 32-bit) number, of which narrower types keep the low bits; NaN becomes 0. store_int64 keeps the
 * low bits; in a bool all but 0 is 1. */
void weft_store_float(weft_type type, const float *in, size_t n, void *data, size_t offset, size_t step);
void weft_store_double(weft_type type, const double *in, size_t n, void *data, size_t offset, size_t step);
void weft_store_int64(weft_type type, const int64_t *in, size_t n, void *data, size_t offset, size_t step);

/* To float keeping an inexactness visible in the last bit (rounding to odd), so that rounding the result once more to a
 * format with fewer digits gives what rounding `value` at once would. */
float weft_double_to_float_odd(double value);

/* One number of FLOAT8E4M3FN, E4M3FNUZ, E5M2, E5M2FNUZ, FLOAT6 or FLOAT4. Without `saturate`, numbers beyond the largest
 * become infinity where the type has one, else NaN. FLOAT6 and FLOAT4 always saturate, NaN
 * becomes -0 in them. */
uint8_t weft_float_to_small(weft_type type, float value, bool saturate);
float weft_small_to_float(weft_type type, uint8_t bits);

/* FLOAT8E8M0: powers of two from 2^-127 to 2^127, and NaN. */
typedef enum weft_rounding { WEFT_ROUND_UP, WEFT_ROUND_DOWN, WEFT_ROUND_NEAREST } weft_rounding;
uint8_t weft_float_to_e8m0(float value, bool saturate, weft_rounding rounding);

#endif
