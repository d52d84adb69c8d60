/* How far a result is from the exact one, in units in the last place of the exact one's type: for the tests of
 * accuracy. */
#ifndef TESTS_ULP_H
#define TESTS_ULP_H

#include <math.h>
#include <stdbool.h>

/* A binary floating type: digits of its significand, and the exponents of its least normal and of its infinity as
 * powers of 2. */
typedef struct ulp_type {
  const char *name;
  int digits, least, most;
} ulp_type;

static const ulp_type ulp_float = {"float", 24, -126, 128};
static const ulp_type ulp_float16 = {"float16", 11, -14, 16};
static const ulp_type ulp_bfloat16 = {"bfloat16", 8, -126, 128};

/* The unit of numbers of that size: between two powers of two, and of subnormals, the distance of neighbours. */
static inline double ulp_unit(const ulp_type *type, double exact) {
  int exponent;
  frexp(exact, &exponent);
  return ldexp(1.0, (exponent - 1 < type->least ? type->least : exponent - 1) - type->digits + 1);
}

/* 0 for NaN where it belongs, infinity where it or an infinity or a number is of the wrong kind. Beyond the largest
 * number, infinity counts as the power of two that would be next. */
static inline double ulp_distance(const ulp_type *type, double got, double exact) {
  if (isnan(exact) || isnan(got)) return isnan(exact) && isnan(got) ? 0.0 : INFINITY;
  double next = ldexp(1.0, type->most), unit = ldexp(1.0, type->most - type->digits);
  if (isinf(got)) got = copysign(next, got);
  if (fabs(exact) >= next - unit / 2) {
    exact = copysign(next, exact);
    return fabs(got - exact) / unit;
  }
  return fabs(got - exact) / ulp_unit(type, exact);
}

#endif
