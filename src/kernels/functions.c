/* See typed.h: functions of one number. Those of floats without a kernel of their own are computed in double, by series
 * that end where a float cannot tell, two elements at a time, so that only the last step rounds. */
#include "../base/elementary.h"
#include "typed.h"

#include "loops.h"

#include <math.h>
#include <string.h>

/* ---- functions --------------------------------------------------------------------------------------------------- */
CONVERT(not8, uint8_t, uint8_t, a == 0)
CONVERT_TO_BYTE(is_nan, float, a != a)
CONVERT_TO_BYTE(is_infinite, float, a == INFINITY || a == -INFINITY)
CONVERT(sign, float, float, a != a ? a : (float)((a > 0) - (a < 0)))
CONVERT_TO_BYTE(is_nan_double, double, a != a)
CONVERT_TO_BYTE(is_infinite_double, double, a == (double)INFINITY || a == (double)-INFINITY)
CONVERT(floor_double, double, double, floor(a))
CONVERT(ceil_double, double, double, ceil(a))
CONVERT(round_double, double, double, rint(a))
CONVERT(sqrt_double, double, double, sqrt(a))

void weft_typed_shrink(size_t n, const float *x, float low, float high, float bias, float *y) {
  EACH_ALONE
  for (size_t i = 0; i < n; i++) {
    const float a = x[i];
    y[i] = a < low ? a + bias : a > high ? a - bias : 0;
  }
}

/* ---- in double precision ----------------------------------------------------------------------------------------- */
/* c[0] + c[1] x + ... by Horner's rule; `count` is a constant. */
static inline double polynomial(double x, const double *c, int count) {
  double y = c[count - 1];
  for (int i = count - 2; i >= 0; i--) {
    y = y * x + c[i];
  }
  return y;
}

/* ---- exponentials ------------------------------------------------------------------------------------------------ */
/* x = n ln 2 + r, |r| <= ln 2 / 2; the Taylor series of e^r ends where the next term is below 2^-56. 2^n is applied in
 * two steps, so that subnormal results are rounded once and overflow is infinite. */
static const double exp_table[] = {0x1.8p52,
                                   0x1.71547652b82fep0,
                                   -0x1.62e42p-1,
                                   -0x1.fdf473de6af28p-22, /* 1 / ln 2 and the parts of -ln 2 */
                                   1,
                                   1,
                                   0.5,
                                   1.0 / 6,
                                   1.0 / 24,
                                   1.0 / 120,
                                   1.0 / 720,
                                   1.0 / 5040,
                                   1.0 / 40320,
                                   1.0 / 362880,
                                   1.0 / 3628800,
                                   1.0 / 39916800,
                                   1.0 / 479001600,
                                   1.0 / 6227020800.0};

static inline double exp_of(double x, const double *table) {
  const double high = x > 710 ? 710 : x, a = high < -746 ? -746 : high;
  const double shifted = a * table[1] + table[0], whole = shifted - table[0];
  const double r = (a + whole * table[2]) + whole * table[3];
  const int64_t power = (int64_t)(weft_double_bits(shifted) - weft_double_bits(table[0])), half = power >> 1;
  const double e = (polynomial(r, table + 6, 12) * r) * r + r + 1;
  return e * weft_double_of((uint64_t)(half + 1023) << 52) * weft_double_of((uint64_t)(power - half + 1023) << 52);
}

void weft_typed_exp(size_t n, const double *x, double *y) {
  READ_AHEAD(table, exp_table);
  EACH_ALONE
  for (size_t i = 0; i < n; i++) {
    y[i] = exp_of(x[i], table);
  }
}

/* ---- functions of floats by way of double precision -------------------------------------------------------------- */
/* Errors stay below 1e-10: far below what rounding to a float costs. Blocks are always whole, so that there is no code
 * for single elements. */
#define FUNCTION(name, source, expression)                                                                             \
  static void name(size_t n, const void *x, void *y) {                                                                 \
    READ_AHEAD(table, source);                                                                                         \
    for (size_t begin = 0; begin < n; begin += TOGETHER) {                                                             \
      const size_t count = n - begin < TOGETHER ? n - begin : TOGETHER;                                                \
      float block[TOGETHER];                                                                                           \
      take_block((const float *)x + begin, count, block);                                                              \
      EACH_ALONE                                                                                                       \
      for (size_t i = 0; i < TOGETHER; i++) {                                                                          \
        const double v = (double)block[i];                                                                             \
        block[i] = (float)(expression);                                                                                \
      }                                                                                                                \
      give_block(block, count, (float *)y + begin);                                                                    \
    }                                                                                                                  \
  }

SMALL_CODE static void take_block(const float *x, size_t count, float *block) {
  for (size_t i = 0; i < TOGETHER; i++) {
    block[i] = i < count ? x[i] : 0;
  }
}

SMALL_CODE static void give_block(const float *block, size_t count, float *y) {
  for (size_t i = 0; i < count; i++) {
    y[i] = block[i];
  }
}

static inline double sinh_of(double v, const double *table) {
  const double a = fabs(v), e = exp_of(a, table), z = v * v, far_out = 0.5 * e - 0.5 / e;
  const double near_zero = v + v * z * (table[7] + z * (table[9] + z * (table[11] + z * table[13])));
  return a < 0.5 ? near_zero : v < 0 ? -far_out : far_out;
}

static inline double cosh_of(double v, const double *table) {
  const double e = exp_of(fabs(v), table);
  return 0.5 * e + 0.5 / e;
}

/* ln x of a positive normal number 2^e (1 + f): 2 (s + s^3 / 3 + s^5 / 5 + ...) of s = f / (2 + f), |s| < 0.172. What
 * else x may be comes out as itself if it is infinite or NaN, and below 0 as NaN. */
static const double log_table[] = {
    0x1.62e42fefa39efp-1, 0x1.8p52, 2, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 1.0 / 6, 1.0 / 3};

static inline double log_of(double x, const double *table) {
  const uint64_t root_half = 0x3fe6a09e667f3bcd, bits = weft_double_bits(x) - root_half;
  const double e = weft_double_of((uint64_t)((int64_t)bits >> 52) + weft_double_bits(table[1])) - table[1];
  const double f = weft_double_of((bits & (((uint64_t)1 << 52) - 1)) + root_half) - 1, s = f / (2 + f);
  const double y = e * table[0] + s * polynomial(s * s, table + 2, 7);
  return x < INFINITY ? y : x;
}

static inline double asinh_of(double v, const double *table) {
  const double a = fabs(v), far_out = log_of(a + sqrt(a * a + 1), table);
  return a < 1e-3 ? v * (1 - v * v * table[9]) : v < 0 ? -far_out : far_out; /* -0 stays */
}

static inline double acosh_of(double v, const double *table) {
  const double y = log_of(v + sqrt(v * v - 1), table);
  return v >= 1 ? y : (v - v) / (v - v);
}

static inline double atanh_of(double v, const double *table) {
  const double a = fabs(v), far_out = 0.5 * log_of((1 + a) / (1 - a), table);
  const double y = a < 1e-3 ? v * (1 + v * v * table[10]) : v < 0 ? -far_out : far_out;
  return a <= 1 ? y : (v - v) / (v - v);
}

/* t + t^3 P(t^2) for |t| <= 1/2, interpolated at Chebyshev's points; beyond, pi/2 less twice the same of the root of
 * (1 - |t|) / 2. */
static const double arc_table[] = {1.57079632679489661923, 0.1666666668608564,  0.07499992404401838,
                                   0.04464766388813485,    0.03026913872858918, 0.02361181700889175,
                                   0.01057441551691291,    0.03097454037135507};

static inline double arc_of(double v, bool cosine, const double *table) {
  const double a = fabs(v), z = a > 0.5 ? 0.5 - 0.5 * a : v * v, t = a > 0.5 ? sqrt(z) : v;
  const double near_zero = t + t * z * polynomial(z, table + 1, 7), twice = 2 * near_zero;
  const double rest = table[0] - twice, sine = a <= 0.5 ? near_zero : v < 0 ? -rest : rest;
  const double other = a <= 0.5 ? table[0] - near_zero : v < 0 ? 2 * table[0] - twice : twice;
  return cosine ? other : sine;
}

FUNCTION(hyperbolic_sine, exp_table, sinh_of(v, table))
FUNCTION(hyperbolic_cosine, exp_table, cosh_of(v, table))
FUNCTION(inverse_hyperbolic_sine, log_table, asinh_of(v, table))
FUNCTION(inverse_hyperbolic_cosine, log_table, acosh_of(v, table))
FUNCTION(inverse_hyperbolic_tangent, log_table, atanh_of(v, table))
FUNCTION(inverse_sine, arc_table, arc_of(v, false, table))
FUNCTION(inverse_cosine, arc_table, arc_of(v, true, table))

/* ---- sine and cosine --------------------------------------------------------------------------------------------- */
/* x - n pi/2 in [-pi/4, pi/4]: pi/2 in two parts, the first of 33 bits, so that its product with n is exact; for floats
 * the Taylor series there end where the next term is below 3e-14. Beyond SINE_LIMIT, and for what is no number, libm has
 * the word. */
static const float SINE_LIMIT = 1e5f;

static const double sine_table[] = {0x1.8p52,
                                    0x1.45f306dc9c883p-1,
                                    0x1.921fb544p0,
                                    0x1.0b4611a626331p-34, /* 2 / pi and the parts of pi / 2 */
                                    0x1.0b4611a6p-34,
                                    0x1.3198a2e037073p-69, /* the second part in two */
                                    1,
                                    -1.0 / 6,
                                    1.0 / 120,
                                    -1.0 / 5040,
                                    1.0 / 362880,
                                    -1.0 / 39916800,
                                    1.0 / 6227020800.0,
                                    -1.0 / 1307674368000.0,
                                    1.0 / 355687428096000.0, /* sine */
                                    1,
                                    -0.5,
                                    1.0 / 24,
                                    -1.0 / 720,
                                    1.0 / 40320,
                                    -1.0 / 3628800,
                                    1.0 / 479001600,
                                    -1.0 / 87178291200.0,
                                    1.0 / 20922789888000.0};

/* Both are needed: which of them is the result depends on x, and the tangent is their quotient. */
static inline double sine_or_cosine(double x, weft_typed_function what, const double *table) {
  const uint64_t quarter = what == WEFT_TYPED_COSINE;
  const double turned = x * table[1] + table[0], n = turned - table[0];
  const double r = (x - n * table[2]) - n * table[3], s = r * r;
  const uint64_t bits = weft_double_bits(turned) + quarter;
  const double sine = r * polynomial(s, table + 6, 7), cosine = polynomial(s, table + 15, 8);
  if (what == WEFT_TYPED_TANGENT) return (bits & 1) != 0 ? -cosine / sine : sine / cosine;
  const double y = (bits & 1) != 0 ? cosine : sine;
  return (bits & 2) != 0 ? -y : y;
}

static inline void sines(size_t n, const float *x, weft_typed_function what, float *y) {
  float kept[TOGETHER], block[TOGETHER];
  READ_AHEAD(table, sine_table);
  for (size_t begin = 0; begin < n; begin += TOGETHER) {
    size_t count = n - begin < TOGETHER ? n - begin : TOGETHER;
    uint32_t beyond = 0;
    take_block(x + begin, count, kept);
    for (size_t i = 0; i < TOGETHER; i++) {
      beyond |= (uint32_t)!(fabsf(kept[i]) < SINE_LIMIT);
    }
    for (size_t i = 0; i < TOGETHER; i++) {
      block[i] = (float)sine_or_cosine((double)kept[i], what, table);
    }
    for (size_t i = 0; beyond != 0 && i < count; i++) {
      if (fabsf(kept[i]) < SINE_LIMIT) continue;
      const double far = (double)kept[i];
      block[i] = (float)(what == WEFT_TYPED_SINE     ? weft_sin(far)
                         : what == WEFT_TYPED_COSINE ? weft_cos(far)
                                                     : weft_tan(far));
    }
    give_block(block, count, y + begin);
  }
}

static void sine(size_t n, const void *x, void *y) {
  sines(n, x, WEFT_TYPED_SINE, y);
}

static void cosine(size_t n, const void *x, void *y) {
  sines(n, x, WEFT_TYPED_COSINE, y);
}

static void tangent(size_t n, const void *x, void *y) {
  sines(n, x, WEFT_TYPED_TANGENT, y);
}

/* ---- functions of doubles ---------------------------------------------------------------------------------------- */
/* Within 2 units in the last place, two elements at a time, by blocks as above. What is not at least `least` and below
 * `limit`, for which the series are not made, is left to base/elementary.h, one by one. */
#define DOUBLE_FUNCTION(name, source, expression, least, limit, exact)                                                 \
  static void name(size_t n, const void *x, void *y) {                                                                 \
    READ_AHEAD(table, source);                                                                                         \
    for (size_t begin = 0; begin < n; begin += TOGETHER) {                                                             \
      const size_t count = n - begin < TOGETHER ? n - begin : TOGETHER;                                                \
      double kept[TOGETHER], block[TOGETHER];                                                                          \
      memset(kept, 0, sizeof kept);                                                                                    \
      memcpy(kept, (const double *)x + begin, count * sizeof *kept);                                                   \
      EACH_ALONE                                                                                                       \
      for (size_t i = 0; i < TOGETHER; i++) {                                                                          \
        const double v = kept[i];                                                                                      \
        block[i] = expression;                                                                                         \
      }                                                                                                                \
      for (size_t i = 0; i < count; i++) {                                                                             \
        ((double *)y)[begin + i] = kept[i] >= (least) && kept[i] < (limit) ? block[i] : exact(kept[i]);                \
      }                                                                                                                \
    }                                                                                                                  \
  }

/* As log_of, but by f - (f^2 / 2 - s (f^2 / 2 + ...)), so that f, which is exact, is what the rest is added to. */
static const double exact_log_table[] = {0x1.62e42fefa3800p-1,
                                         0x1.ef35793c76730p-45, /* the parts of ln 2 */
                                         0x1.8p52,
                                         2.0 / 3,
                                         2.0 / 5,
                                         2.0 / 7,
                                         2.0 / 9,
                                         2.0 / 11,
                                         2.0 / 13,
                                         2.0 / 15,
                                         2.0 / 17,
                                         2.0 / 19,
                                         2.0 / 21};

static inline double exact_log_of(double x, const double *table) {
  const uint64_t root_half = 0x3fe6a09e667f3bcd, bits = weft_double_bits(x) - root_half;
  const double e = weft_double_of((uint64_t)((int64_t)bits >> 52) + weft_double_bits(table[2])) - table[2];
  const double f = weft_double_of((bits & (((uint64_t)1 << 52) - 1)) + root_half) - 1, s = f / (2 + f), z = s * s;
  const double half = 0.5 * f * f, rest = s * (half + z * polynomial(z, table + 3, 10)) + e * table[1];
  return e * table[0] - ((half - rest) - f);
}

/* e^2a - 1 by what is 2 more; what rounding takes of both, and of the reduced 2a, is added to the quotient. */
static inline double exact_tanh_of(double x, const double *table) {
  const double a = 2 * fabs(x), b = a > 44 ? 44 : a;
  const double shifted = b * table[1] + table[0], whole = shifted - table[0];
  const double high = b + whole * table[2], low = whole * table[3], r = high + low, lost = (high - r) + low;
  const double scale = weft_double_of((weft_double_bits(shifted) - weft_double_bits(table[0]) + 1023) << 52);
  const double more = (polynomial(r, table + 6, 12) * r) * r + lost, grown = r + more, rest = (r - grown) + more;
  const double e = scale * grown + (scale - 1), e_rest = (scale * grown - (e - (scale - 1))) + scale * rest;
  const double d = e + 2, second = d - e, d_rest = (e - (d - second)) + (2 - second), y = e / d;
  return copysign(y + (e_rest - y * d_rest) / d, x);
}

/* As sine_or_cosine, of |x|, with pi / 2 in three parts and what rounding takes of the angle. */
static inline double exact_sine_of(double x, uint64_t quarter, const double *table) {
  const double a = fabs(x), turned = a * table[1] + table[0], n = turned - table[0];
  const double near = a - n * table[2], off = -(n * table[4]), sum = near + off, second = sum - near;
  const double lost = ((near - (sum - second)) + (off - second)) - n * table[5];
  const double r = sum + lost, rest = (sum - r) + lost, s = r * r, half = 0.5 * s, whole = 1 - half;
  const double sine = r + (rest + r * s * polynomial(s, table + 7, 8));
  const double cosine = whole + ((1 - whole - half) + (s * s * polynomial(s, table + 17, 7) - r * rest));
  const uint64_t bits = weft_double_bits(turned) + quarter;
  const uint64_t sign = (bits & 2) << 62 ^ (quarter != 0 ? 0 : weft_double_bits(x) & (uint64_t)1 << 63);
  return weft_double_of(weft_double_bits((bits & 1) != 0 ? cosine : sine) ^ sign);
}

DOUBLE_FUNCTION(log_double, exact_log_table, exact_log_of(v, table), 0x1p-1022, INFINITY, weft_log)
DOUBLE_FUNCTION(tanh_double, exp_table, exact_tanh_of(v, table), -INFINITY, INFINITY, weft_tanh)
DOUBLE_FUNCTION(sine_double, sine_table, exact_sine_of(v, 0, table), -0x1p19, 0x1p19, weft_sin)
DOUBLE_FUNCTION(cosine_double, sine_table, exact_sine_of(v, 1, table), -0x1p19, 0x1p19, weft_cos)

weft_typed_unary weft_typed_unary_of(weft_typed_function what) {
  static const weft_typed_unary functions[] = {
      [WEFT_TYPED_NOT] = not8,
      [WEFT_TYPED_IS_NAN] = is_nan,
      [WEFT_TYPED_IS_INFINITE] = is_infinite,
      [WEFT_TYPED_SIGN] = sign,
      [WEFT_TYPED_SINE] = sine,
      [WEFT_TYPED_COSINE] = cosine,
      [WEFT_TYPED_TANGENT] = tangent,
      [WEFT_TYPED_ASIN] = inverse_sine,
      [WEFT_TYPED_ACOS] = inverse_cosine,
      [WEFT_TYPED_SINH] = hyperbolic_sine,
      [WEFT_TYPED_COSH] = hyperbolic_cosine,
      [WEFT_TYPED_ASINH] = inverse_hyperbolic_sine,
      [WEFT_TYPED_ACOSH] = inverse_hyperbolic_cosine,
      [WEFT_TYPED_ATANH] = inverse_hyperbolic_tangent,
      [WEFT_TYPED_IS_NAN_DOUBLE] = is_nan_double,
      [WEFT_TYPED_IS_INFINITE_DOUBLE] = is_infinite_double,
      [WEFT_TYPED_FLOOR] = floor_double,
      [WEFT_TYPED_CEIL] = ceil_double,
      [WEFT_TYPED_ROUND] = round_double,
      [WEFT_TYPED_SQRT] = sqrt_double,
      [WEFT_TYPED_LOG] = log_double,
      [WEFT_TYPED_TANH] = tanh_double,
      [WEFT_TYPED_SINE_DOUBLE] = sine_double,
      [WEFT_TYPED_COSINE_DOUBLE] = cosine_double,
  };
  return functions[what];
}
