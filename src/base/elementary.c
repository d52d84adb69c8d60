/* Elementary functions of doubles from a few series that converge fast once their argument is reduced (Muller,
 * "Elementary Functions"): coefficients are products of 1 / k, so there are no other tables but the bits of 2 / pi.
 * What a last step would magnify is kept as a pair of doubles. It must not know who calls. */
#include "elementary.h"

#include <math.h>
#include <stdbool.h>

#define LN2_HIGH 0x1.62e42p-1 /* times a whole number below 2^32: exact */
#define LN2_LOW 0x1.fdf473de6af28p-22
#define NEAR_ZERO 0.75 /* where the series of erf is taken */
/* The unevaluated sum of two doubles, the second far smaller. */
typedef struct pair {
  double hi, lo;
} pair;

static const pair half_pi = {0x1.921fb54442d18p0, 0x1.1a62633145c07p-54};

static double value_of(pair x) {
  return x.hi + x.lo;
}

/* |a| >= |b|, or a is 0. */
static pair quick_sum(double a, double b) {
  double sum = a + b;
  return (pair){sum, b - (sum - a)};
}

static pair exact_sum(double a, double b) {
  double sum = a + b, second = sum - a;
  return (pair){sum, (a - (sum - second)) + (b - second)};
}

static pair plus(pair a, pair b) {
  pair sum = exact_sum(a.hi, b.hi);
  return quick_sum(sum.hi, sum.lo + (a.lo + b.lo));
}

/* Halves of 26 and 27 bits multiply exactly. */
static pair exact_product(double a, double b) {
  const uint64_t upper = ~(uint64_t)0x7ffffff;
  double product = a * b, a_hi = weft_double_of(weft_double_bits(a) & upper),
         b_hi = weft_double_of(weft_double_bits(b) & upper);
  double a_lo = a - a_hi, b_lo = b - b_hi;
  return (pair){product, ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo};
}

static pair times(pair a, pair b) {
  pair product = exact_product(a.hi, b.hi);
  product.lo += a.hi * b.lo + a.lo * b.hi;
  return product;
}

static pair over(pair a, pair b) {
  double quotient = a.hi / b.hi;
  pair back = exact_product(quotient, b.hi);
  return (pair){quotient, (((a.hi - back.hi) - back.lo) + (a.lo - quotient * b.lo)) / b.hi};
}

static pair single(double x) {
  return (pair){x, 0};
}

static double scaled(double factor, pair x) {
  double y = factor * x.hi;
  return y == 0 || !isfinite(y) ? y : y + factor * x.lo;
}

double weft_multiply_add(double a, double b, double c) {
  pair product = exact_product(a, b), sum = exact_sum(product.hi, c);
  return isfinite(sum.hi) ? sum.hi + (sum.lo + product.lo) : a * b + c;
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
  return weft_double_of((uint64_t)(n + 1023) << 52);
}

/* x = n ln 2 + r, |r| <= ln 2 / 2: gives e^r - 1. */
static pair exp_rest(pair x, int *n) {
  double whole = rint(x.hi * 1.44269504088896340736), high = x.hi - whole * LN2_HIGH, low = whole * LN2_LOW - x.lo;
  double r = high - low, y = 1;
  for (int k = 14; k > 2; k--) {
    y = 1 + y * (r * inverse[k]);
  }
  *n = (int)whole;
  return quick_sum(r, 0.5 * r * r * y + ((high - r) - low) * (1 + r));
}

/* y 2^n in two steps, so that subnormal results are rounded once and overflow is infinite. */
static double with_power(double y, int n) {
  return y * power_of_two(n / 2) * power_of_two(n - n / 2);
}

/* factor e^x 2^power, for factors that are no larger than a float where x is very negative. */
static double scaled_exp(pair x, double factor, int power) {
  int n;
  if (!(x.hi >= -1400)) {
    return x.hi < 0 ? factor * 0 : x.hi;
  }
  pair rest = exp_rest(x.hi > 711 ? single(711) : x, &n);
  return with_power(scaled(factor, plus(single(1), rest)), n + power);
}

/* e^x - 1 for x in [-40, 700]. */
static pair expm1_parts(pair x) {
  int n;
  pair rest = exp_rest(x, &n);
  double scale = power_of_two(n);
  return plus(single(scale - 1), (pair){scale * rest.hi, scale * rest.lo});
}

/* The same for e^x. */
static pair exp_parts(pair x) {
  int n;
  pair y = plus(single(1), exp_rest(x, &n));
  double scale = power_of_two(n);
  return (pair){scale * y.hi, scale * y.lo};
}

double weft_exp(double x) {
  return scaled_exp(single(x), 1, 0);
}

double weft_expm1(double x) {
  if (!(fabs(x) >= 0x1p-54)) {
    return x;
  }
  return x > 700 ? weft_exp(x) : value_of(expm1_parts(single(x < -40 ? -40 : x)));
}

/* ---- logarithms and powers --------------------------------------------------------------------------------------- */
/* Of a positive, finite number x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt 2: gives f. */
static double fraction_of(double x, double *e) {
  const uint64_t root_half = 0x3fe6a09e667f3bcd;
  double tiny = x < 0x1p-1022 ? 54 : 0;
  uint64_t bits = weft_double_bits(tiny > 0 ? x * 0x1p54 : x) - root_half;
  *e = (double)((int64_t)bits >> 52) - tiny;
  return weft_double_of((bits & (((uint64_t)1 << 52) - 1)) + root_half) - 1;
}

/* Of a positive, finite number. ln (1 + f) is 2 (s + s^3 / 3 + s^5 / 5 + ...) of s = f / (2 + f). */
static pair log_parts(double x) {
  const pair two_thirds = {2.0 / 3, 0x1.5555555555555p-55};
  double e, f = fraction_of(x, &e);
  pair s = over(single(f), quick_sum(2, f)), square = times(s, s), third = times(times(s, square), two_thirds);
  double tail = 2 * s.hi * square.hi * square.hi * odd_series(square.hi, 5);
  pair first = quick_sum(e * LN2_HIGH, 2 * s.hi), both = quick_sum(first.hi, third.hi);
  return quick_sum(both.hi, both.lo + (first.lo + (2 * s.lo + third.lo + tail + e * LN2_LOW)));
}

/* ln(1 + x), x > -1. */
static pair log1p_parts(pair x) {
  pair sum = plus(single(1), x), y = log_parts(sum.hi);
  y.lo += sum.lo / sum.hi;
  return y;
}

double weft_log(double x) {
  return !(x > 0) ? x == 0 ? -INFINITY : NAN : x == INFINITY ? x : value_of(log_parts(x));
}

double weft_log1p(double x) {
  if (fabs(x) < 0x1p-54 || !(x > -1) || x == INFINITY) {
    return fabs(x) < 0x1p-54 ? x : weft_log(1 + x);
  }
  return value_of(log1p_parts(single(x)));
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
    power = scaled_exp(times(log_parts(a), single(kept)), 1, 0);
  }
  return odd ? copysign(power, x) : power;
}

/* ---- trigonometric functions ------------------------------------------------------------------------------------- */
/* |x| = n pi / 2 + r, |r| <= pi / 4: gives r, and n modulo 4. Of numbers that are not large, multiples of pi / 2 in three
 * parts are taken off, whose first two products are exact. Else x 2 / pi is the product of two whole numbers, of which
 * the digits (to base 2^32) worth 2^32 and more need not be known, nor those worth so little that no double is near
 * enough a multiple of pi / 2 to need them. */
static pair reduced(double x, unsigned *n) {
  static const uint32_t two_by_pi[] = {
      0,          0,          0, /* so that the digits left of the point have a place */
      0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
      0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484,
      0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f,
      0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b,
      0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046, 0xfc7b6bab};
  const uint64_t bits = weft_double_bits(fabs(x));
  *n = 0;
  if (fabs(x) <= half_pi.hi / 2) {
    return single(fabs(x));
  }
  if (fabs(x) < 0x1p19) {
    double whole = rint(fabs(x) * 0.63661977236758134308);
    *n = (unsigned)whole;
    pair r = exact_sum(fabs(x) - whole * 0x1.921fb544p0, -whole * 0x1.0b4611a6p-34);
    return plus(r, single(-whole * 0x1.3198a2e037073p-69));
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
  pair fraction = {0, 0};
  for (int i = 6; i > 0; i--) {
    fraction = plus(single(beyond ? ~digits[i] : digits[i]), fraction);
    fraction = (pair){fraction.hi * 0x1p-32, fraction.lo * 0x1p-32};
  }
  *n = (digits[0] + beyond) & 3;
  pair r = times(fraction, half_pi);
  return beyond ? (pair){-r.hi, -r.lo} : r;
}

typedef struct point {
  pair sine, cosine;
} point;

/* The point of that angle, |x|, on the unit circle. */
static point on_circle(double x) {
  unsigned n;
  pair r = reduced(x, &n), square = times(r, r);
  double sine = 1, cosine = 1;
  for (int k = 18; k > 4; k -= 2) {
    sine = 1 - sine * (square.hi * (inverse[k] * inverse[k + 1]));
    cosine = 1 - cosine * (square.hi * (inverse[k] * inverse[k - 1]));
  }
  sine = square.hi * square.hi * sine * (inverse[20] * inverse[6]);
  cosine = square.hi * square.hi * cosine * inverse[24];
  pair third = times(r, square), sixth = {inverse[6], 0x1.5555555555555p-57};
  third = times(third, sixth);
  point y = {plus(r, (pair){-third.hi, r.hi * sine - third.lo}),
             plus(quick_sum(1, cosine), (pair){-0.5 * square.hi, -0.5 * square.lo})};
  y = (n & 1) != 0 ? (point){y.cosine, {-y.sine.hi, -y.sine.lo}} : y;
  return (n & 2) != 0 ? (point){{-y.sine.hi, -y.sine.lo}, {-y.cosine.hi, -y.cosine.lo}} : y;
}

double weft_sin(double x) {
  return !isfinite(x) ? NAN : x == 0 ? x : value_of(on_circle(x).sine) * copysign(1, x);
}

double weft_cos(double x) {
  return !isfinite(x) ? NAN : value_of(on_circle(x).cosine);
}

double weft_tan(double x) {
  if (!isfinite(x) || x == 0) {
    return x == 0 ? x : NAN;
  }
  point y = on_circle(x);
  return value_of(over(y.sine, y.cosine)) * copysign(1, x);
}

/* The arc whose tangent is a >= 0, to some digits less than a double has: that of c and that of (t - c) / (1 + t c), c
 * being the quarter next to t. One step of Newton's method on the circle makes it exact. */
static double arc(double a) {
  static const double quarters[] = {0, 0.24497866312686414, 0.4636476090008061, 0.6435011087932844, 0.7853981633974483};
  double t = a > 1 ? 1 / a : a;
  int quarter = (int)(t * 4 + 0.5);
  double c = quarter * 0.25, r = (t - c) / (1 + t * c), square = r * r;
  double y = quarters[quarter] + (r - r * square * odd_series(-square, 3));
  return a > 1 ? half_pi.hi - y : y;
}

double weft_atan(double x) {
  double a = fabs(x);
  if (!(a > 0x1p-27) || a > 0x1p54) {
    return a > 1 ? copysign(half_pi.hi, x) : x;
  }
  double y = arc(a);
  point p = on_circle(y);
  pair off = plus(times(single(a), p.cosine), (pair){-p.sine.hi, -p.sine.lo});
  return copysign(y + off.hi / (a * p.sine.hi + p.cosine.hi), x);
}

double weft_asin(double x) {
  double a = fabs(x);
  if (!(a <= 1)) {
    return NAN;
  }
  double y = arc(a / sqrt((1 - a) * (1 + a)));
  point p = on_circle(y);
  return copysign(y + ((a - p.sine.hi) - p.sine.lo) / p.cosine.hi, x);
}

double weft_acos(double x) {
  if (!(fabs(x) <= 1)) {
    return NAN;
  }
  double y = 2 * arc(sqrt((1 - x) / (1 + x)));
  point p = on_circle(y);
  return y > 0 ? y + ((p.cosine.hi - x) + p.cosine.lo) / p.sine.hi : 0;
}

/* ---- hyperbolic functions ---------------------------------------------------------------------------------------- */
double weft_sinh(double x) {
  double a = fabs(x);
  if (!(a <= 40)) {
    return copysign(scaled_exp(single(a), 1, -1), x);
  }
  pair e = expm1_parts(single(a));
  return copysign(0.5 * value_of(plus(e, over(e, plus(single(1), e)))), x);
}

double weft_cosh(double x) {
  double a = fabs(x);
  if (!(a <= 40)) {
    return scaled_exp(single(a), 1, -1);
  }
  pair e = exp_parts(single(a));
  return 0.5 * value_of(plus(e, over(single(1), e)));
}

double weft_tanh(double x) {
  double a = fabs(x);
  if (!(a <= 20)) {
    return x != x ? x : copysign(1, x);
  }
  pair e = expm1_parts(single(2 * a));
  return copysign(value_of(over(e, plus(single(2), e))), x);
}

/* ln 2x of a large x. */
static double log_of_twice(double x) {
  return x < INFINITY ? value_of(plus(log_parts(x), (pair){LN2_HIGH, LN2_LOW})) : x;
}

double weft_asinh(double x) {
  double a = fabs(x);
  if (!(a <= 0x1p28)) {
    return x != x ? x : copysign(log_of_twice(a), x);
  }
  return copysign(value_of(log1p_parts(exact_sum(a, a * a / (1 + sqrt(1 + a * a))))), x);
}

double weft_acosh(double x) {
  double t = x - 1;
  if (!(x >= 1)) {
    return NAN;
  }
  return x > 0x1p28 ? log_of_twice(x) : value_of(log1p_parts(exact_sum(sqrt(t * (t + 2)), t)));
}

double weft_atanh(double x) {
  double a = fabs(x);
  if (!(a < 1)) {
    return a == 1 ? x * INFINITY : NAN;
  }
  pair below = log1p_parts(single(-a));
  return copysign(0.5 * value_of(plus(log1p_parts(single(a)), (pair){-below.hi, -below.lo})), x);
}

/* ---- the error function ------------------------------------------------------------------------------------------ */
/* 2 / sqrt(pi) (x - x^3 / 3 + x^5 / (2! 5) - ...) for |x| < 1. */
static pair erf_parts(pair x) {
  const pair factor = {0x1.20dd750429b6dp0, 0x1.1ae3a914fed80p-56};
  double square = x.hi * x.hi, y = 0;
  for (int k = 20; k > 0; k--) {
    y = 1.0 / (2 * k + 1) - y * (square * inverse[k + 1]);
  }
  pair first = times(x, factor);
  return plus(first, single(-first.hi * (square * y)));
}

/* factor times the function of x. Far from 0 it is e^(-x^2) / sqrt(pi) / (x + 1/2 / (x + 2/2 / (x + 3/2 / (x + ...)))),
 * and far in, each fraction is much like the next. */
static double scaled_erfc(pair x, double factor) {
  const pair by_root_pi = {0x1.20dd750429b6dp-1, 0x1.1ae3a914fed80p-57};
  if (x.hi != x.hi || x.hi > 28) {
    return x.hi > 28 ? factor * 0 : x.hi;
  }
  if (x.hi < -NEAR_ZERO) {
    return scaled(factor, exact_sum(2, -scaled_erfc((pair){-x.hi, -x.lo}, 1)));
  }
  if (x.hi < NEAR_ZERO) {
    pair y = erf_parts(x);
    return scaled(factor, plus(single(1), (pair){-y.hi, -y.lo}));
  }
  const int depth = 12 + (int)(140 / (x.hi * x.hi));
  double fraction = 0.5 * (sqrt(x.hi * x.hi + 2 * depth) - x.hi);
  for (int k = depth; k > 0; k--) {
    fraction = 0.5 * k / (x.hi + fraction);
  }
  int n;
  pair minus = {-x.hi, -x.lo}, power = plus(single(1), exp_rest(times(minus, x), &n));
  pair y = over(times(power, by_root_pi), plus(x, single(fraction)));
  return with_power(scaled(factor, y), n);
}

double weft_erf(double x) {
  double a = fabs(x);
  return copysign(a < NEAR_ZERO ? value_of(erf_parts(single(a))) : 1 - scaled_erfc(single(a), 1), x);
}

double weft_erfc(double x) {
  return scaled_erfc(single(x), 1);
}

/* ---- activations ------------------------------------------------------------------------------------------------- */
/* factor / (1 + e^-x) */
static double scaled_sigmoid(pair x, double factor) {
  if (!(fabs(x.hi) < 40)) {
    return x.hi > 0 ? factor : scaled_exp(x, factor, 0);
  }
  pair e = exp_parts(x);
  return scaled(factor, over(e, plus(single(1), e)));
}

double weft_sigmoid(double x) {
  return scaled_sigmoid(single(x), 1);
}

double weft_swish(double x, double alpha) {
  pair product = exact_product(alpha, x);
  return scaled_sigmoid(isfinite(product.lo) ? product : single(product.hi), x);
}

double weft_gelu(double x) {
  const pair by_root_2 = {0x1.6a09e667f3bcdp-1, -0x1.bdd3413b26456p-55};
  return scaled_erfc(times(single(-x), by_root_2), 0.5 * x);
}

double weft_gelu_tanh(double x, double unused) {
  const pair linear = {0x1.9884533d43651p0, -0x1.cbc0d30ebfd15p-54};
  const pair cubic = {0x1.2444f2a4d8b4bp-4, -0x1.6c843a29d1c70p-61};
  (void)unused;
  if (!(fabs(x) < 40)) {
    return x < 0 ? x * 0 : x;
  }
  return scaled_sigmoid(times(single(x), plus(linear, times(exact_product(x, x), cubic))), x);
}

double weft_softplus(double x) {
  if (!(fabs(x) < 40)) {
    return x < 0 ? weft_exp(x) : x;
  }
  return value_of(plus(single(x > 0 ? x : 0), log1p_parts(exp_parts(single(-fabs(x))))));
}

/* tanh(ln(1 + e)) is v / (v + 2), v = e (e + 2). */
double weft_mish(double x) {
  if (!(fabs(x) < 40)) {
    return x < 0 ? scaled_exp(single(x), x, 0) : x;
  }
  pair e = exp_parts(single(x)), v = times(e, plus(single(2), e));
  return scaled(x, over(v, plus(single(2), v)));
}
