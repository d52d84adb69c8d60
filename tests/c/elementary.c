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

/* ---- functions that C does not have ------------------------------------------------------------------------------ */
/* x / (1 + e^-(v + rest)) */
static long double logistic(long double x, long double v, long double rest) {
  long double e = expl(-fabsl(v)) * (1 - copysignl(rest, v));
  return v >= 0 ? x / (1 + e) : x * e / (1 + e);
}
static long double sigmoidl(long double x) {
  return logistic(1, x, 0);
}
static long double softplusl(long double x) {
  return log1pl(expl(-fabsl(x))) + (x > 0 ? x : 0);
}
static long double mishl(long double x) {
  long double e = expl(x), v = e * (e + 2);
  return x > 50 ? x : x * v / (v + 2);
}
/* Digits that products lose are kept where exponents are large. */
static long double swishl(long double x) {
  const long double alpha = (long double)0.1234567890123456;
  return logistic(x, alpha * x, isinf(x) ? 0 : fmal(alpha, x, -alpha * x));
}
static double weft_swish_of(double x) {
  return weft_swish(x, 0.1234567890123456);
}
static long double gelul(long double x) {
  const long double by_root_2 = 0.707106781186547524400844362104849039L, y = -x * by_root_2;
  const long double rest = fmal(-x, by_root_2, -y);
  return isinf(x) ? (x > 0 ? x : (long double)NAN)
                  : x / 2 * (erfcl(y) - rest * 1.128379167095512573896L * expl(-y * y));
}
static long double gelu_tanhl(long double x) {
  const long double linear = 1.595769121605730711759784L, cubic = 0.07135481627260024877633875L;
  long double square = x * x, square_rest = fmal(x, x, -square);
  long double term = cubic * square, term_rest = fmal(cubic, square, -term) + cubic * square_rest;
  long double sum = linear + term, sum_rest = linear > term ? term - (sum - linear) : linear - (sum - term);
  long double v = x * sum, rest = fmal(x, sum, -v) + x * (sum_rest + term_rest);
  return fabsl(x) > 50 ? (x > 0 ? x : x * 0) : logistic(x, v, rest);
}
static double weft_gelu_tanh_of(double x) {
  return weft_gelu_tanh(x, 0);
}

#define ROW(name, limit) {#name, weft_##name, name##l, limit}
static const struct {
  const char *name;
  double (*function)(double);
  long double (*exact)(long double);
  double limit;
} functions[] = {ROW(exp, 1),     ROW(expm1, 1.2),
                 ROW(log, 0.6),   ROW(log1p, 0.8),
                 ROW(sin, 0.7),   ROW(cos, 0.7),
                 ROW(tan, 0.7),   ROW(asin, 0.7),
                 ROW(acos, 0.7),  ROW(atan, 0.7),
                 ROW(sinh, 1.2),  ROW(cosh, 0.7),
                 ROW(tanh, 0.8),  ROW(asinh, 1.2),
                 ROW(acosh, 1.5), ROW(atanh, 0.7),
                 ROW(erf, 1.3),   ROW(erfc, 1.7),
                 ROW(sigmoid, 1), ROW(softplus, 1.2),
                 ROW(mish, 1.5),  {"swish", weft_swish_of, swishl, 1.5},
                 ROW(gelu, 2),    {"gelu by tanh", weft_gelu_tanh_of, gelu_tanhl, 2}};

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
  printf("%-12s %.3f at %a %a\n", name, worst, x, y);
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
    double got = functions[f].function(x);
    long double exact = functions[f].exact((long double)x);
    if (x == -INFINITY && isnan(got) && (isnan(exact) || exact == 0)) continue; /* -inf times 0 */
    double error = distance(got, exact);
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
  return report("pow", worst, at[0], at[1], 0.9);
}

int main(void) {
  bool good = check_powers();
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    good = check_function(f) && good;
  }
  return good ? 0 : 1;
}
