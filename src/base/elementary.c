/* Elementary functions of doubles from a few series that converge fast once their argument is reduced (Muller,
 * "Elementary Functions"): coefficients are products of 1 / k, so there are no other tables but the bits of 2 / pi.
 * What a last step would magnify is kept as a pair of doubles. It must not know who calls. */
#include "elementary.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LN2_HIGH 0x1.62e42p-1 /* times a whole number below 2^32: exact */
#define LN2_LOW 0x1.fdf473de6af28p-22
#define HALF_PI 1.57079632679489661923

/* The unevaluated sum of two doubles, the second far smaller. */
typedef struct pair {
  double hi, lo;
} pair;

static uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static double from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* |a| >= |b|, or a is 0. */
static pair exact_sum(double a, double b) {
  double sum = a + b;
  return (pair){sum, b - (sum - a)};
}

/* Halves of 26 and 27 bits multiply exactly. */
static pair exact_product(double a, double b) {
  const uint64_t upper = ~(uint64_t)0x7ffffff;
  double product = a * b, a_hi = from_bits(bits_of(a) & upper), b_hi = from_bits(bits_of(b) & upper);
  double a_lo = a - a_hi, b_lo = b - b_hi;
  return (pair){product, ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo};
}

static const double inverse[] = {0,        1.0 / 1,  1.0 / 2,  1.0 / 3,  1.0 / 4,  1.0 / 5,  1.0 / 6,
                                 1.0 / 7,  1.0 / 8,  1.0 / 9,  1.0 / 10, 1.0 / 11, 1.0 / 12, 1.0 / 13,
                                 1.0 / 14, 1.0 / 15, 1.0 / 16, 1.0 / 17, 1.0 / 18, 1.0 / 19, 1.0 / 20,
                                 1.0 / 21, 1.0 / 22, 1.0 / 23, 1.0 / 24, 1.0 / 25, 1.0 / 26, 1.0 / 27};

/* 1 / n + z / (n + 2) + z^2 / (n + 4) + ... for |z| < 0.03 and n of 3 or 5. */
static double odd_series(double z, int n) {
  double y = 0;
  for (int k = n + 20; k >= n; k -= 2) {
    y = y * z + inverse[k];
  }
  return y;
}

/* ---- exponentials ------------------------------------------------------------------------------------------------ */
static double power_of_two(int n) {
  return from_bits((uint64_t)(n + 1023) << 52);
}

/* hi + lo = n ln 2 + r, |r| <= ln 2 / 2: gives e^r - 1. */
static double exp_rest(double hi, double lo, int *n) {
  double whole = rint(hi * 1.44269504088896340736);
  double r = ((hi - whole * LN2_HIGH) - whole * LN2_LOW) + lo, y = 1;
  for (int k = 14; k > 2; k--) {
    y = 1 + y * (r * inverse[k]);
  }
  *n = (int)whole;
  return r + 0.5 * r * r * y;
}

/* e^(hi + lo), which is no NaN. The power of two is applied in two steps, so that subnormal results are rounded once and
 * overflow is infinite. */
static double exp_sum(double hi, double lo) {
  int n;
  double kept = fmax(fmin(hi, 710), -746), y = 1 + exp_rest(kept, kept == hi ? lo : 0, &n);
  return y * power_of_two(n / 2) * power_of_two(n - n / 2);
}

double weft_exp(double x) {
  return x != x ? x : exp_sum(x, 0);
}

double weft_expm1(double x) {
  int n;
  if (!(fabs(x) >= 0x1p-54)) {
    return x;
  }
  if (x > 700) {
    return exp_sum(x, 0);
  }
  double rest = exp_rest(x < -40 ? -40 : x, 0, &n), scale = power_of_two(n);
  return scale * rest + (scale - 1);
}

/* ---- logarithms and powers --------------------------------------------------------------------------------------- */
/* Of a positive, finite number x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt 2: gives f. */
static double fraction_of(double x, double *e) {
  const uint64_t root_half = 0x3fe6a09e667f3bcd;
  double tiny = x < 0x1p-1022 ? 54 : 0;
  uint64_t bits = bits_of(tiny > 0 ? x * 0x1p54 : x) - root_half;
  *e = (double)((int64_t)bits >> 52) - tiny;
  return from_bits((bits & (((uint64_t)1 << 52) - 1)) + root_half) - 1;
}

/* ln (1 + f) is 2 (s + s^3 / 3 + s^5 / 5 + ...) of s = f / (2 + f). `more` is added. */
static double log_of_positive(double x, double more) {
  double e, f = fraction_of(x, &e), s = f / (2 + f), square = s * s;
  return e * LN2_HIGH + (2 * s + (2 * s * square * odd_series(square, 3) + (e * LN2_LOW + more)));
}

/* The same to some 65 bits. */
static pair log_parts(double x) {
  const double two_thirds = 2.0 / 3;
  double e, f = fraction_of(x, &e);
  pair divisor = exact_sum(2, f);
  double s = f / divisor.hi;
  pair back = exact_product(s, divisor.hi), square = exact_product(s, s);
  double s_lo = (((f - back.hi) - back.lo) - s * divisor.lo) / divisor.hi;
  square.lo += 2 * s * s_lo;
  pair cube = exact_product(s, square.hi);
  cube.lo += s * square.lo + s_lo * square.hi;
  pair third = exact_product(cube.hi, two_thirds);
  third.lo += cube.lo * two_thirds + cube.hi * 0x1.5555555555555p-55; /* what two_thirds lacks */
  double tail = 2 * s * square.hi * square.hi * odd_series(square.hi, 5);
  pair first = exact_sum(e * LN2_HIGH, 2 * s), both = exact_sum(first.hi, third.hi);
  return exact_sum(both.hi, both.lo + (first.lo + (2 * s_lo + third.lo + tail + e * LN2_LOW)));
}

double weft_log(double x) {
  return !(x > 0) ? x == 0 ? -INFINITY : NAN : x == INFINITY ? x : log_of_positive(x, 0);
}

/* What 1 + x loses is added to its logarithm. */
double weft_log1p(double x) {
  double sum = 1 + x, back = sum - 1;
  if (fabs(x) < 0x1p-54 || !(sum > 0) || x == INFINITY) {
    return fabs(x) < 0x1p-54 ? x : weft_log(sum);
  }
  return log_of_positive(sum, ((1 - (sum - back)) + (x - back)) / sum);
}

double weft_pow(double x, double y) {
  double a = fabs(x), kept = fmax(fmin(y, 0x1p66), -0x1p66); /* all the same beyond: 0, 1 or infinity */
  bool whole = y == rint(y), odd = whole && y * 0.5 != rint(y * 0.5);
  double power = (a > 1) == (y > 0) ? INFINITY : 0; /* of 0 and infinity */
  if (y == 0 || x == 1) {
    return 1;
  }
  if (x != x || y != y) {
    return x + y;
  }
  if (x < 0 && !whole && a < INFINITY) {
    return NAN;
  }
  if (a > 0 && a < INFINITY) {
    pair log = log_parts(a), product = exact_product(log.hi, kept);
    power = exp_sum(product.hi, product.lo + log.lo * kept);
  }
  return odd ? copysign(power, x) : power;
}

/* ---- trigonometric functions ------------------------------------------------------------------------------------- */
/* |x| = n pi / 2 + r, |r| <= pi / 4: gives r, and n modulo 4. Of numbers that are not large, multiples of pi / 2 in three
 * parts are taken off, of which the first two are exact. Else x 2 / pi is the product of two whole numbers, of which the
 * digits (to base 2^32) worth 2^32 and more need not be known, nor those worth so little that no double is near enough
 * a multiple of pi / 2 to need them. */
static double reduced(double x, unsigned *n) {
  static const uint32_t two_by_pi[] = {
      0,          0,          0, /* so that the digits left of the point have a place */
      0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
      0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484,
      0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f,
      0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b,
      0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046, 0xfc7b6bab};
  const uint64_t bits = bits_of(fabs(x));
  *n = 0;
  if (fabs(x) <= HALF_PI / 2) {
    return fabs(x);
  }
  if (fabs(x) < 0x1p19) {
    double whole = rint(fabs(x) * 0.63661977236758134308);
    *n = (unsigned)whole;
    return ((fabs(x) - whole * 0x1.921fb544p0) - whole * 0x1.0b4611a6p-34) - whole * 0x1.3198a2e037073p-69;
  }
  /* |x| = m 2^(32 (first - 2)), m of three digits. */
  const int scale = (int)(bits >> 52) - 1075 + 64, first = scale / 32, shift = scale % 32;
  const uint64_t whole = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52, low = whole << shift;
  const uint32_t m[3] = {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)(whole >> 32 >> (32 - shift))};
  uint32_t digits[7]; /* the first one is left of the point */
  uint64_t carry = 0;
  for (int i = 6; i >= 0; i--) {
    uint64_t high = 0;
    for (int k = 0; k < 3; k++) {
      uint64_t product = (uint64_t)m[k] * two_by_pi[first + k + i];
      carry += (uint32_t)product;
      high += product >> 32;
    }
    digits[i] = (uint32_t)carry;
    carry = (carry >> 32) + high;
  }
  /* Beyond the middle it is what lacks until the next multiple. */
  bool beyond = digits[1] >> 31 != 0;
  double fraction = 0;
  for (int i = 6; i > 0; i--) {
    fraction = (fraction + (beyond ? ~digits[i] : digits[i])) * 0x1p-32;
  }
  *n = (digits[0] + beyond) & 3;
  return beyond ? -fraction * HALF_PI : fraction * HALF_PI;
}

/* Sine and cosine of |x|. */
static pair sine_and_cosine(double x) {
  unsigned n;
  double r = reduced(x, &n), square = r * r, sine = 1, cosine = 1;
  for (int k = 18; k > 2; k -= 2) {
    sine = 1 - sine * (square * (inverse[k] * inverse[k + 1]));
    cosine = 1 - cosine * (square * (inverse[k] * inverse[k - 1]));
  }
  sine = r - r * (square * sine * inverse[6]);
  cosine = 1 - square * cosine / 2;
  pair y = (n & 1) != 0 ? (pair){cosine, -sine} : (pair){sine, cosine};
  return (n & 2) != 0 ? (pair){-y.hi, -y.lo} : y;
}

double weft_sin(double x) {
  return !isfinite(x) ? NAN : x == 0 ? x : sine_and_cosine(x).hi * copysign(1, x);
}

double weft_cos(double x) {
  return !isfinite(x) ? NAN : sine_and_cosine(x).lo;
}

double weft_tan(double x) {
  if (!isfinite(x)) {
    return NAN;
  }
  pair y = sine_and_cosine(x);
  return y.hi / y.lo * copysign(1, x);
}

/* The arc of t is that of c and that of (t - c) / (1 + t c): c is the quarter next to t. */
double weft_atan(double x) {
  static const double quarters[] = {0, 0.24497866312686414, 0.4636476090008061, 0.6435011087932844, HALF_PI / 2};
  double a = fabs(x), t = a > 1 ? 1 / a : a;
  if (x != x) {
    return x;
  }
  int quarter = (int)(t * 4 + 0.5);
  double c = quarter * 0.25, r = (t - c) / (1 + t * c), square = r * r;
  double y = quarters[quarter] + (r - r * square * odd_series(-square, 3));
  return copysign(a > 1 ? HALF_PI - y : y, x);
}

double weft_asin(double x) {
  return weft_atan(x / sqrt((1 - x) * (1 + x)));
}

double weft_acos(double x) {
  return 2 * weft_atan(sqrt((1 - x) / (1 + x)));
}

/* ---- hyperbolic functions ---------------------------------------------------------------------------------------- */
/* e^a / 2 where e^a may be infinite. */
static double half_of_exp(double a) {
  double root = weft_exp(a / 2);
  return 0.5 * root * root;
}

double weft_sinh(double x) {
  double a = fabs(x);
  if (!(a < 700)) {
    return copysign(half_of_exp(a), x);
  }
  double e = weft_expm1(a);
  return copysign(0.5 * (e + e / (e + 1)), x);
}

double weft_cosh(double x) {
  double a = fabs(x);
  if (!(a < 700)) {
    return half_of_exp(a);
  }
  double e = weft_exp(a);
  return 0.5 * e + 0.5 / e;
}

double weft_tanh(double x) {
  double e = weft_expm1(2 * fabs(x));
  return copysign(fabs(x) > 20 ? 1 : e / (e + 2), x);
}

double weft_asinh(double x) {
  double a = fabs(x);
  return copysign(a > 0x1p28 ? weft_log(a) + (LN2_HIGH + LN2_LOW) : weft_log1p(a + a * a / (1 + sqrt(1 + a * a))), x);
}

double weft_acosh(double x) {
  double t = x - 1;
  return x < 1 ? NAN : x > 0x1p28 ? weft_log(x) + (LN2_HIGH + LN2_LOW) : weft_log1p(t + sqrt(t * (t + 2)));
}

double weft_atanh(double x) {
  double a = fabs(x);
  return copysign(0.5 * weft_log1p(2 * a / (1 - a)), x);
}

/* ---- the error function ------------------------------------------------------------------------------------------ */
/* 2 / sqrt(pi) e^(-x^2) (x + 2 x^3 / 3 + 4 x^5 / (3 5) + ...), whose terms are all positive. */
double weft_erf(double x) {
  double square = x * x, y = 1;
  if (square > 1) {
    return copysign(1 - weft_erfc(fabs(x)), x);
  }
  for (int k = 45; k > 1; k -= 2) {
    y = 1 + y * (2 * square / k); /* rare, and more terms than there are inverses */
  }
  return 1.12837916709551257390 * x * weft_exp(-square) * y;
}

/* e^(-x^2) / sqrt(pi) / (x + 1/2 / (x + 2/2 / (x + 3/2 / (x + ...)))): far in, each fraction is much like the next. */
double weft_erfc(double x) {
  if (!(x > 1)) {
    return 1 - weft_erf(x);
  }
  if (x > 28) {
    return 0;
  }
  const int depth = 12 + (int)(140 / (x * x));
  double fraction = 0.5 * (sqrt(x * x + 2 * depth) - x);
  for (int k = depth; k > 0; k--) {
    fraction = 0.5 * k / (x + fraction);
  }
  pair square = exact_product(x, x);
  return 0.56418958354775628695 * exp_sum(-square.hi, -square.lo) / (x + fraction);
}
