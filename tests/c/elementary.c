/* The elementary functions of doubles against the C library's of long doubles: numbers of all exponents, of the ranges
 * where the functions bend, and special values. Prints the largest error of each in units in the last place, and fails
 * beyond what elementary.h promises. */
#include "base/elementary.h"
#include "ulp.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const ulp_type ulp_double = {"double", 53, -1022, 1024};

#define ROW(name, limit) {#name, weft_##name, name##l, limit}
static const struct {
  const char *name;
  double (*function)(double);
  long double (*exact)(long double);
  double limit;
} functions[] = {ROW(exp, 3),  ROW(expm1, 3), ROW(log, 3),   ROW(log1p, 3), ROW(sin, 3),  ROW(cos, 3),
                 ROW(tan, 5),  ROW(asin, 3),  ROW(acos, 3),  ROW(atan, 3),  ROW(sinh, 3), ROW(cosh, 3),
                 ROW(tanh, 3), ROW(asinh, 3), ROW(acosh, 3), ROW(atanh, 3), ROW(erf, 5),  ROW(erfc, 16)};

static const double special[] = {0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 0x1p-1074, -0x1p-1074, 0x1p-1022, 1e308,
                                 -1e308, 0.5, 2, 3, -3, 709.78, 709.79, 710.4, -745.13, -745.14, -708.5, 28, 27.2,
                                 0x1p53, 0x1p54, -0x1p53 - 2,
                                 /* nearer to a multiple of pi / 2 than any other double */
                                 0x1.6ac5b262ca1ffp849};
enum { SPECIAL = sizeof special / sizeof *special };

static uint64_t state = 1;
static uint64_t next(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state ^ state >> 31;
}
static double uniform(double low, double high) {
  return low + (high - low) * (double)(next() >> 11) * 0x1p-53;
}
static double any(void) {
  uint64_t bits = next();
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static double distance(double got, long double exact) {
  double rounded = (double)exact;
  if (isnan(rounded) || isinf(rounded) || isinf(got) || rounded == 0) {
    bool same = isnan(rounded) ? isnan(got) : got == rounded && signbit(got) == signbit(rounded);
    return same ? 0 : INFINITY;
  }
  return isnan(got) ? INFINITY
                    : (double)(fabsl((long double)got - exact) / (long double)ulp_unit(&ulp_double, rounded));
}

static bool report(const char *name, double worst, double x, double y, double limit) {
  printf("%-6s %.3f at %a %a\n", name, worst, x, y);
  return worst <= limit;
}

static bool check_function(size_t f) {
  double worst = 0, at = 0;
  for (int i = 0; i < 200000; i++) {
    double x = i < SPECIAL  ? special[i]
               : i % 4 == 0 ? any()
                            : uniform(-1, 1) * (i % 4 == 1   ? 1
                                                : i % 4 == 2 ? 30
                                                             : 800);
    double error = distance(functions[f].function(x), functions[f].exact((long double)x));
    if (error > worst) {
      worst = error;
      at = x;
    }
  }
  return report(functions[f].name, worst, at, 0, functions[f].limit);
}

static bool check_powers(void) {
  double worst = 0, at[2] = {0, 0};
  for (int i = 0; i < 400000; i++) {
    double x = i < SPECIAL * SPECIAL ? special[i / SPECIAL]
               : i % 3 == 0          ? any()
               : i % 3 == 1          ? uniform(0, 3)
                                     : -uniform(0, 50);
    double y = i < SPECIAL * SPECIAL ? special[i % SPECIAL]
               : i % 3 == 0          ? any()
               : i % 3 == 1          ? uniform(-600, 600)
                                     : rint(uniform(-50, 50));
    double error = distance(weft_pow(x, y), powl((long double)x, (long double)y));
    if (error > worst) {
      worst = error;
      at[0] = x;
      at[1] = y;
    }
  }
  return report("pow", worst, at[0], at[1], 3);
}

int main(void) {
  bool good = check_powers();
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    good = check_function(f) && good;
  }
  return good ? 0 : 1;
}
