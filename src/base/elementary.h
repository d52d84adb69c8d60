/* Elementary functions of doubles, for all that is not a hot loop: within 2 units in the last place, and the same on
 * every host. A C library's own would take 20 kB more of a module, most of it tables. Infinities, NaN, signed zeros and
 * what lies outside a function's domain are as C has them; errno is left alone. */
#ifndef WEFT_BASE_ELEMENTARY_H
#define WEFT_BASE_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

/* The bits that a double is, and the double that bits are. */
static inline uint64_t weft_double_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
static inline double weft_double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* A long sum, which begins as {first}: `rest` gathers what rounding takes of the total each time, and is added in the end,
 * so its length costs no accuracy (Ogita, Rump and Oishi 2005, Sum2). */
typedef struct weft_sum {
  double total, rest;
} weft_sum;
static inline void weft_sum_add(weft_sum *sum, double x) {
  const double now = sum->total + x, added = now - sum->total;
  sum->rest += (sum->total - (now - added)) + (x - added);
  sum->total = now;
}
static inline double weft_sum_end(const weft_sum *sum) {
  const double all = sum->total + sum->rest;
  return all == all ? all : sum->total; /* of infinities the rest is none */
}

double weft_exp(double x);
static inline float weft_exp_f32(float x) {
  return (float)weft_exp((double)x);
}
double weft_expm1(double x);
double weft_log(double x);
double weft_log1p(double x);
double weft_pow(double x, double y);

double weft_sin(double x);
double weft_cos(double x);
double weft_tan(double x);
double weft_asin(double x);
double weft_acos(double x);
double weft_atan(double x);

double weft_sinh(double x);
double weft_cosh(double x);
double weft_tanh(double x);
double weft_asinh(double x);
double weft_acosh(double x);
double weft_atanh(double x);

double weft_erf(double x);
double weft_erfc(double x);

double weft_sigmoid(double x);
double weft_softplus(double x);
double weft_swish(double x, double alpha);              /* x sigmoid(alpha x) */
double weft_gelu(double x);                             /* by erf */
double weft_gelu_tanh(double x, double unused);         /* the approximation by tanh */
double weft_mish(double x);                             /* x tanh(softplus(x)) */
double weft_multiply_add(double a, double b, double c); /* a b + c, right also where they nearly cancel */

#endif
