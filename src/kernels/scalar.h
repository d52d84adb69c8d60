/* The words of approximations.h for one float at a time. simd/vector.h has the same words for four. */
#ifndef WEFT_KERNELS_SCALAR_H
#define WEFT_KERNELS_SCALAR_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef float real;
typedef uint32_t bits;
typedef bool mask;
typedef double wide; /* a real in double precision */

#define R_CONST(x) (x)
#define B_CONST(x) ((bits)(x))
#define W_CONST(x) (x)

static inline real r_set(float x) {
  return x;
}
static inline real r_load(const float *x) {
  return *x;
}
static inline real r_add(real a, real b) {
  return a + b;
}
static inline real r_sub(real a, real b) {
  return a - b;
}
static inline real r_mul(real a, real b) {
  return a * b;
}
static inline real r_div(real a, real b) {
  return a / b;
}
static inline real r_madd(real a, real b, real c) {
  return a * b + c;
}
/* x - n ln 2, in two parts, the first of them exact. */
static inline real r_without_ln2(real n, real x) {
  return r_madd(n, R_CONST(2.12194440e-4f), r_madd(n, R_CONST(-0.693359375f), x));
}
/* NaN in the first argument stays. */
static inline real r_at_least(real x, real low) {
  return x < low ? low : x;
}
static inline real r_at_most(real x, real high) {
  return high < x ? high : x;
}
static inline real r_abs(real x) {
  return fabsf(x);
}
static inline real r_sqrt(real x) {
  return sqrtf(x);
}
static inline real r_floor(real x) {
  return floorf(x);
}
static inline real r_ceil(real x) {
  return ceilf(x);
}
/* Half to even. */
static inline real r_round(real x) {
  return rintf(x);
}
/* NaN wins. */
static inline real r_min(real a, real b) {
  return a < b || a != a ? a : b;
}
static inline real r_max(real a, real b) {
  return a > b || a != a ? a : b;
}
static inline real r_neg(real x) {
  return -x;
}
static inline real r_copysign(real magnitude, real sign) {
  return copysignf(magnitude, sign);
}
/* x, which is not negative, with the sign of `sign`. */
static inline real r_with_sign(real x, real sign) {
  return copysignf(x, sign);
}
static inline mask r_less(real a, real b) {
  return a < b;
}
static inline mask r_equal(real a, real b) {
  return a == b;
}
static inline real r_select(mask m, real a, real b) {
  return m ? a : b;
}
/* x, or 0 where the mask is set. */
static inline real r_unless(mask m, real x) {
  return m ? 0.0f : x;
}
static inline bits b_of(real x) {
  bits b;
  memcpy(&b, &x, sizeof b);
  return b;
}
static inline real b_as_real(bits b) {
  real x;
  memcpy(&x, &b, sizeof x);
  return x;
}
static inline bits b_add(bits a, bits b) {
  return a + b;
}
static inline bits b_sub(bits a, bits b) {
  return a - b;
}
static inline bits b_and(bits a, bits b) {
  return a & b;
}
static inline bits b_shift_left(bits a, unsigned n) {
  return a << n;
}
/* The sign is kept. */
static inline bits b_shift_right(bits a, unsigned n) {
  return (bits)((int32_t)a >> n);
}
/* The signed integer as a float. */
static inline real b_to_real(bits a) {
  return (float)(int32_t)a;
}

static inline mask b_below(bits a, bits b) {
  return a < b;
}
static inline mask m_and(mask a, mask b) {
  return a && b;
}
static inline mask m_or(mask a, mask b) {
  return a || b;
}
static inline mask m_not(mask a) {
  return !a;
}
static inline bool m_all(mask a) {
  return a;
}
/* z where the mask is set, elsewhere the function of x and y. */
static inline real r_otherwise(mask m, real z, double (*function)(double, double), real x, real y) {
  return m ? z : (real)function((double)x, (double)y);
}

static inline wide w_of(real x) {
  return (wide)x;
}
static inline real r_of(wide x) {
  return (real)x;
}
static inline wide w_load(const double *x) {
  return *x;
}
static inline wide w_add(wide a, wide b) {
  return a + b;
}
static inline wide w_sub(wide a, wide b) {
  return a - b;
}
static inline wide w_mul(wide a, wide b) {
  return a * b;
}
static inline wide w_div(wide a, wide b) {
  return a / b;
}
static inline wide w_at_least(wide x, wide low) {
  return x < low ? low : x;
}
static inline wide w_at_most(wide x, wide high) {
  return high < x ? high : x;
}
static inline wide w_truncate(wide x) {
  return trunc(x);
}
/* The low half of a double's bits. */
static inline bits w_low_bits(wide x) {
  uint64_t b;
  memcpy(&b, &x, sizeof b);
  return (bits)b;
}

#endif
