/* Elementary functions in single precision, written once over a few words (`r_add`, `b_and`, ...) that mean one float
 * in scalar.h and four in simd/vector.h: include one of them first. So portable and SIMD kernels give the same bits,
 * except where relaxed multiply-adds round once instead of twice.
 *
 * Reductions are the classic ones (Cody and Waite; Muller, "Elementary Functions"); polynomials were fitted for this
 * project by Lawson's iteration for the smallest relative error of the result. All stay within 2 units in the last
 * place, but Gelu within 6.5; tests/c/accuracy.c holds them to it. Infinities, NaN, signed zeros and
 * subnormals come out as IEEE 754 arithmetic has them, but that SiLU gives 0 for results below 4e-37. */
#ifndef WEFT_KERNELS_APPROXIMATIONS_H
#define WEFT_KERNELS_APPROXIMATIONS_H

#include "../base/elementary.h"
#include "kernels.h"

/* c[0] + c[1] x + ... by Horner's rule. `count` is a constant: compilers unroll it. */
static inline real polynomial(real x, const float *c, int count) {
  real y = r_load(c + count - 1);
  for (int i = count - 2; i >= 0; i--) {
    y = r_madd(y, x, r_load(c + i));
  }
  return y;
}

/* e^r - 1 for |r| <= ln 2 / 2, accurate also near zero. */
static inline real exp_of_rest(real r) {
  static const float c[] = {0x1.fffffep-2f, 0x1.5554aep-3f, 0x1.555676p-5f, 0x1.122886p-7f, 0x1.6bebd4p-10f};
  return r_madd(r_mul(r, r), polynomial(r, c, 5), r);
}

/* x = n ln 2 + r, |r| <= ln 2 / 2: gives e^r - 1, and n + `bias` in the low bits. Adding 1.5 * 2^23 + bias rounds to an
 * integer and leaves it there; ln 2 in two parts keeps the reduction exact. */
static inline bits exp_parts(real x, real magic, real *rest) {
  real shifted = r_madd(x, R_CONST(0x1.715476p0f), magic);
  real n = r_sub(shifted, magic);
  real r = r_madd(n, R_CONST(2.12194440e-4f), r_madd(n, R_CONST(-0.693359375f), x));
  *rest = exp_of_rest(r);
  return b_of(shifted);
}

/* The same for x in [-87, 89], infinite from 88.4 on: gives 2^n itself, whose exponent the low bits are with a bias of
 * 127. */
static inline real exp_scale(real x, real *rest) {
  return b_as_real(b_shift_left(exp_parts(x, R_CONST(0x1.8000fep23f), rest), 23));
}

/* 2^n for -127 < n < 128. */
static inline real power_of_two(bits n) {
  return b_as_real(b_shift_left(b_add(n, B_CONST(127)), 23));
}

/* The power of two is applied in two steps, so that subnormal results are rounded once and overflow is infinite. */
static inline real approx_exp(real x) {
  real rest;
  x = r_at_most(r_at_least(x, R_CONST(-104.0f)), R_CONST(89.0f));
  bits n = b_sub(exp_parts(x, R_CONST(0x1.8p23f), &rest), B_CONST(0x4b400000u));
  bits half = b_shift_right(n, 1);
  real y = r_mul(r_add(rest, R_CONST(1.0f)), power_of_two(half));
  return r_mul(y, power_of_two(b_sub(n, half)));
}

/* The same for x <= 0 where subnormal results may become 0: half of the work. Below -87.7 the power of two is 0. */
static inline real exp_of_negative(real x) {
  static const float c[] = {0x1.fffffep-2f, 0x1.5554aep-3f, 0x1.555676p-5f, 0x1.122886p-7f, 0x1.6bebd4p-10f};
  const real magic = R_CONST(0x1.8000fep23f);
  x = r_at_least(x, R_CONST(-87.7f));
  real shifted = r_madd(x, R_CONST(0x1.715476p0f), magic);
  real r = r_without_ln2(r_sub(shifted, magic), x), square = r_mul(r, r);
  real scale = b_as_real(b_shift_left(b_of(shifted), 23));
  real high = r_madd(r_load(c + 4), square, r_madd(r_load(c + 3), r, r_load(c + 2)));
  real p = r_madd(high, square, r_madd(r_load(c + 1), r, r_load(c)));
  return r_madd(r_madd(p, square, r), scale, scale);
}

/* Near zero x + x^3 P(x^2); beyond, 1 - 2 / (e^2|x| + 1), where what is taken off is less than a half, and so is its
 * error: ln 2 / 2 in one part will do. */
static inline real approx_tanh(real x) {
  static const float small[] = {-0x1.555404p-2f, 0x1.10c0dep-3f, -0x1.ae138cp-5f, 0x1.07f726p-6f};
  static const float e[] = {1.0f, 0x1.fffff6p0f, 0x1.fffdc2p0f, 0x1.555a82p0f, 0x1.573ba8p-1f, 0x1.0f9fcep-2f};
  const real magic = R_CONST(0x1.8000fep23f);
  real a = r_at_most(r_abs(x), R_CONST(10.0f));
  real shifted = r_madd(a, R_CONST(2.8853900817779268f), magic);
  real r = r_madd(r_sub(shifted, magic), R_CONST(-0.34657359027997264f), a);
  real scale = b_as_real(b_shift_left(b_of(shifted), 23));
  real divisor = r_madd(polynomial(r, e, 6), scale, R_CONST(1.0f));
  real far_out = r_sub(R_CONST(1.0f), r_div(R_CONST(2.0f), divisor));
  real square = r_mul(a, a);
  real near_zero = r_madd(r_mul(a, square), polynomial(square, small, 4), a);
  return r_with_sign(r_select(r_less(a, R_CONST(0.57f)), near_zero, far_out), x);
}

/* e^-x is scaled by 2^-50, so that it may be as large as 1 / (1 + e^-x) may be small. What its power of two and 1 lose
 * of each other in their sum is added first, and the rest is rounded twice only where the first time hardly matters. */
static inline real approx_sigmoid(real x) {
  const real unit = R_CONST(0x1p-50f);
  real rest, minus = r_neg(r_at_most(r_at_least(x, R_CONST(-120.0f)), R_CONST(40.0f)));
  real scale = b_as_real(b_shift_left(exp_parts(minus, R_CONST(0x1.80009ap23f), &rest), 23));
  real sum = r_add(scale, unit);
  real lost = r_sub(unit, r_sub(sum, scale));
  return r_div(unit, r_add(r_madd(rest, scale, lost), sum));
}

/* x / (1 + e^-v), e^-v = (1 + rest) scale, finite. 1 goes to the smaller part, which has digits to spare. */
static inline real times_sigmoid(real x, real rest, real scale) {
  return r_div(x, r_add(r_madd(rest, scale, R_CONST(1.0f)), scale));
}

/* 2^t = (1 + rest) 2^n for an exponent in double, since its error is one of the result: gives n in the low bits. `magic`
 * is 1.5 2^52 and what is added to n. */
static inline bits exp2_parts(wide t, wide magic, real *rest) {
  wide shifted = w_add(t, magic);
  *rest = exp_of_rest(r_mul(r_of(w_sub(t, w_sub(shifted, magic))), R_CONST(0x1.62e43p-1f)));
  return w_low_bits(shifted);
}

/* `more` and the ln of a positive normal number: x = 2^e m with sqrt(1/2) <= m < sqrt 2, and ln m = f - f^2/2 + f^3
 * P(f), f = m - 1. */
static inline real log_of_normal(real x, real exponent, real more) {
  static const float c[] = {0x1.555554p-2f, -0x1.000228p-2f, 0x1.99a008p-3f, -0x1.547244p-3f,
                            0x1.22da22p-3f, -0x1.0d8552p-3f, 0x1.055b46p-3f, -0x1.38b4ccp-4f};
  const bits root_half = B_CONST(0x3f3504f3u);
  bits b = b_sub(b_of(x), root_half);
  real e = r_add(exponent, b_to_real(b_shift_right(b, 23)));
  real f = r_sub(b_as_real(b_add(b_and(b, B_CONST(0x7fffffu)), root_half)), R_CONST(1.0f));
  real square = r_mul(f, f);
  real y = r_mul(r_mul(f, square), polynomial(f, c, 8));
  y = r_madd(e, R_CONST(-2.12194440e-4f), y);
  y = r_sub(r_add(y, more), r_mul(square, R_CONST(0.5f)));
  return r_madd(e, R_CONST(0.693359375f), r_add(f, y));
}

static inline real approx_log(real x) {
  mask tiny = r_less(x, R_CONST(0x1p-126f));
  real y = log_of_normal(r_select(tiny, r_mul(x, R_CONST(0x1p23f)), x), r_select(tiny, R_CONST(-23.0f), R_CONST(0.0f)),
                         R_CONST(0.0f));
  y = r_select(r_less(x, R_CONST(INFINITY)), y, x);
  y = r_select(r_equal(x, R_CONST(0.0f)), R_CONST(-INFINITY), y);
  return r_select(r_less(x, R_CONST(0.0f)), R_CONST(NAN), y);
}

/* ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|); what rounding 1 + e^-|x| loses is given back to first order. */
static inline real approx_softplus(real x) {
  real e = approx_exp(r_neg(r_abs(x)));
  real u = r_add(e, R_CONST(1.0f));
  real lost = r_sub(e, r_sub(u, R_CONST(1.0f)));
  return r_add(r_at_least(x, R_CONST(0.0f)), log_of_normal(u, R_CONST(0.0f), r_div(lost, u)));
}

/* Below 1: x + x P(x^2). Above: 1 - e^Q(|x|), where an error of Q hardly matters. */
static inline real approx_erf(real x) {
  static const float small[] = {0x1.06eba8p-3f, -0x1.81273ep-2f,  0x1.ce2cf8p-4f, -0x1.b7f90cp-6f,
                                0x1.5405bp-8f,  -0x1.a3f6f8p-11f, 0x1.496a1ep-14f};
  static const float large[] = {-0x1.661a3p-12f, -0x1.2088ecp0f,  -0x1.46bae8p-1f, -0x1.a653560p-4f,
                                0x1.65cb9cp-6f,  -0x1.825b46p-9f, 0x1.86de08p-13f};
  real a = r_abs(x);
  real near_zero = r_madd(x, polynomial(r_mul(x, x), small, 7), x);
  real q = polynomial(r_at_most(a, R_CONST(3.95f)), large, 7);
  real far_out = r_copysign(r_sub(R_CONST(1.0f), exp_of_negative(q)), x);
  return r_select(r_less(a, R_CONST(1.0f)), near_zero, far_out);
}

/* x/2 (1 + erf(x / sqrt 2)) = max(x, 0) - |x| R(|x|) e^(-x^2/2), R = P/Q: nothing cancels for negative x, and P and
 * Q are taken in pairs of terms, which rounds less often than Horner's rule. The square is
 * taken in two parts, the first exact: an error of the exponent is one of the result. 2^30 makes a quotient of what the
 * power of two alone would have made subnormal. */
static inline real approx_gelu(real x) {
  static const float p[] = {0x1.0p-1f, 0x1.c04da4p-2f, 0x1.766f2ap-3f, 0x1.4ba8dep-5f, 0x1.0c205ap-8f};
  static const float q[] = {0x1.0p30f, 0x1.ac69p30f, 0x1.336dfp30f, 0x1.dfa184p28f, 0x1.9fb34p26f, 0x1.500aecp23f};
  const real magic = R_CONST(0x1.80013ap23f), minus_half = R_CONST(-0.5f);
  real a = r_at_most(r_abs(x), R_CONST(14.6f));
  real head = b_as_real(b_and(b_of(a), B_CONST(0xfffff000u)));
  real half = r_mul(head, minus_half);
  real high = r_mul(head, half), low = r_mul(r_sub(a, head), r_madd(a, minus_half, half));
  real shifted = r_madd(high, R_CONST(0x1.715476p0f), magic);
  real n = r_sub(shifted, magic);
  real r = r_add(r_madd(n, R_CONST(-0.693359375f), high), r_madd(n, R_CONST(2.12194440e-4f), low));
  real rest = exp_of_rest(r);
  real scale = b_as_real(b_shift_left(b_of(shifted), 23));
  real square = r_mul(a, a),
       part = r_mul(a, r_madd(r_madd(square, r_load(p + 4), polynomial(a, p + 2, 2)), square, polynomial(a, p, 2)));
  real divisor = r_madd(r_madd(polynomial(a, q + 4, 2), square, polynomial(a, q + 2, 2)), square, polynomial(a, q, 2));
  real tail = r_div(r_mul(r_madd(part, rest, part), scale), divisor);
  real positive = r_mul(x, r_unless(r_less(x, R_CONST(0.0f)), R_CONST(1.0f))); /* NaN of -inf, as by the formula */
  return r_sub(positive, tail);
}

/* x >= 0 ? above * x : below * (e^(x / unit) - 1). From e^(-ln 2 / 2) down 2^n - 1 is exact and no less than a half. */
static inline real approx_elu(real x, real above, real below, real unit) {
  real rest, scale = exp_scale(r_at_least(r_div(x, unit), R_CONST(-87.0f)), &rest);
  real negative = r_mul(r_madd(rest, scale, r_sub(scale, R_CONST(1.0f))), below);
  return r_select(r_less(x, R_CONST(0.0f)), negative, r_mul(x, above));
}

/* t + t^3 P(t^2) for t <= 1; beyond, pi/2 less the same of 1/t. */
static inline real approx_atan(real x) {
  static const float c[] = {-0x1.55553ep-2f, 0x1.9991fep-3f,  -0x1.2421b6p-3f, 0x1.c099fep-4f,  -0x1.583492p-4f,
                            0x1.dac9e6p-5f,  -0x1.fed162p-6f, 0x1.65a66p-7f,   -0x1.d62ff4p-10f};
  const real one = R_CONST(1.0f);
  real a = r_abs(x);
  mask beyond = r_less(one, a);
  real t = r_div(r_select(beyond, one, a), r_select(beyond, a, one));
  real square = r_mul(t, t);
  real part = r_mul(r_mul(t, square), polynomial(square, c, 9));
  real far_out = r_sub(R_CONST(1.57079637f), r_add(t, r_add(part, R_CONST(4.37113883e-8f))));
  return r_with_sign(r_select(beyond, far_out, r_add(t, part)), x);
}

static inline real approx_softsign(real x) {
  return r_div(x, r_add(r_abs(x), R_CONST(1.0f)));
}

/* x^y: log2 x in double, since an error of the exponent is one of the result: e + s P(s^2), s = (m - 1) / (m + 1),
 * where x = 2^e m as above; the power of two as e^x. Zero and infinity only need an exponent that is large enough.
 * Of a negative x (-0 too) and a whole y it is the power of -x, with the sign of x where y is odd. Other powers of such
 * x, and y that is not finite, have rules of their own. */
static inline real approx_power(real x, real y) {
  static const double c[] = {0x1.71547652be962p1, 0x1.ec709d14d618cp-1, 0x1.27777ef0f39d1p-1, 0x1.a58de0498e73ap-2,
                             0x1.5ce32d372ce9cp-2};
  const bits root_half = B_CONST(0x3f3504f3u);
  const wide one = W_CONST(1.0);
  const real given = x, half_y = r_mul(y, R_CONST(0.5f));
  const mask whole = r_equal(y, r_round(y)), even = r_equal(half_y, r_round(half_y));
  x = r_abs(x);
  mask plain = m_and(b_below(b_of(x), B_CONST(0x7f800001u)), b_below(b_of(r_abs(y)), B_CONST(0x7f800000u)));
  plain = m_and(plain, m_or(whole, b_below(b_of(given), B_CONST(0x7f800001u))));
  mask endless = m_or(r_equal(x, R_CONST(0.0f)), r_equal(x, R_CONST(INFINITY)));
  mask tiny = r_less(x, R_CONST(0x1p-126f));
  real large = r_select(endless, R_CONST(0x1p100f), R_CONST(1.0f));
  bits b = b_sub(b_of(r_select(tiny, r_mul(x, R_CONST(0x1p23f)), x)), root_half);
  real e = r_add(b_to_real(b_shift_right(b, 23)), r_unless(m_not(tiny), R_CONST(-23.0f)));
  wide m = w_of(b_as_real(b_add(b_and(b, B_CONST(0x7fffffu)), root_half)));
  wide s = w_div(w_sub(m, one), w_add(m, one)), square = w_mul(s, s), p = w_load(c + 4);
  for (int i = 3; i >= 0; i--) {
    p = w_add(w_mul(p, square), w_load(c + i));
  }
  wide t = w_mul(w_add(w_of(e), w_mul(s, p)), w_of(r_mul(r_mul(y, large), large)));
  t = w_at_most(w_at_least(t, W_CONST(-200.0)), W_CONST(200.0));
  real rest;
  bits n = exp2_parts(t, W_CONST(0x1.8p52), &rest), half = b_shift_right(n, 1);
  real z = r_mul(r_mul(r_add(rest, R_CONST(1.0f)), power_of_two(half)), power_of_two(b_sub(n, half)));
  z = r_with_sign(z, r_unless(even, given));
  return m_all(plain) ? z : r_otherwise(plain, z, weft_pow, given, y);
}

/* The exact remainder, with the sign of x: a quotient below 2^28 times y is exact in double. */
static inline real approx_fmod(real x, real y) {
  real a = r_abs(x), b = r_abs(y);
  wide p = w_of(a), q = w_of(b);
  mask plain = m_and(r_less(a, r_mul(b, R_CONST(0x1p28f))), r_less(b, R_CONST(INFINITY)));
  real z = r_with_sign(r_of(w_sub(p, w_mul(w_truncate(w_div(p, q)), q))), x);
  return m_all(plain) ? z : r_otherwise(plain, z, fmod, x, y);
}

/* x / (1 + e^-x), where results below 4e-37 are 0: others would cost a model 2 %. Of -inf the rest is NaN, and so is the
 * result, as by the formula. */
static inline real approx_silu(real x) {
  real rest, scale = exp_scale(r_at_least(r_neg(x), R_CONST(-87.0f)), &rest);
  mask tiny = m_and(r_less(x, R_CONST(-88.3f)), r_less(R_CONST(-INFINITY), x));
  return r_unless(tiny, times_sigmoid(x, rest, scale));
}

/* Of x / (1 + e^(-alpha x)): -alpha log2 e, and a number that x and -x may be as large as; -inf: none. */
static inline double swish_exponent(float alpha) {
  return -0x1.71547652b82fep0 * (double)alpha;
}
static inline float swish_limit(float alpha) {
  return alpha > 0 && alpha < INFINITY ? 87.0f / alpha : -INFINITY;
}

static inline real approx_swish(real x, real alpha, wide exponent, real limit) {
  real rest, kept = r_at_most(x, limit);
  mask plain = r_less(r_neg(limit), x);
  bits n = exp2_parts(w_mul(w_of(kept), exponent), W_CONST(0x1.800000000007fp52), &rest);
  real y = times_sigmoid(x, rest, b_as_real(b_shift_left(n, 23)));
  return m_all(plain) ? y : r_otherwise(plain, y, weft_swish, x, alpha);
}

/* x/2 (1 + tanh u) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3): no cancellation for negative x. */
static inline real approx_gelu_tanh(real x) {
  real rest;
  wide w = w_of(r_at_most(x, R_CONST(10.0f)));
  mask plain = r_less(R_CONST(-10.0f), x);
  wide inner = w_add(w_mul(w_mul(w, w), W_CONST(-0x1.a5a7cf7572a98p-4)), W_CONST(-0x1.26aec21bce759p1));
  bits n = exp2_parts(w_mul(w, inner), W_CONST(0x1.800000000007fp52), &rest);
  real y = times_sigmoid(x, rest, b_as_real(b_shift_left(n, 23)));
  return m_all(plain) ? y : r_otherwise(plain, y, weft_gelu_tanh, x, x);
}

/* x tanh(ln(1 + e^x)) = x v / (v + 2), v = e^x (e^x + 2), in double but for e^x, which is scaled by 2^64: so no result is
 * lost, however small. At -132.4 the scaled power's exponent is 0, and so is all. */
static inline real approx_mish(real x) {
  real rest, kept = r_at_most(r_at_least(x, R_CONST(-132.4f)), R_CONST(40.0f));
  real scale = b_as_real(b_shift_left(exp_parts(kept, R_CONST(0x1.80017ep23f), &rest), 23));
  wide e = w_mul(w_of(scale), w_add(w_of(rest), W_CONST(1.0)));
  wide v = w_mul(e, w_add(e, W_CONST(0x1p65)));
  return r_of(w_div(w_mul(w_of(x), v), w_add(v, W_CONST(0x1p129))));
}

/* The leading half of the digits: products of two such are exact. */
static inline real head_of(real x) {
  return b_as_real(b_and(b_of(x), B_CONST(0xfffff000u)));
}

/* The product is taken in parts, of which beta takes the largest away where the result is small. */
static inline real approx_hardsigmoid(real x, float alpha, float beta) {
  const real a = r_set(alpha), a_head = head_of(a), a_rest = r_sub(a, a_head), most = R_CONST(0x1.fffffep127f);
  if (alpha == 0) x = r_mul(x, a); /* NaN of what is infinite */
  real kept = r_at_most(r_at_least(x, r_neg(most)), most), head = head_of(kept), rest = r_sub(kept, head);
  real y = r_add(r_mul(head, a_head), r_set(beta));
  y = r_madd(rest, a_rest, r_madd(rest, a_head, r_madd(head, a_rest, y)));
  return r_at_most(r_at_least(y, R_CONST(0.0f)), R_CONST(1.0f));
}

/* x / 6 + 1/2 as (x + 3) / 6, which is right where it is small. */
static inline real approx_hardswish(real x) {
  real y = r_at_most(r_at_least(r_add(x, R_CONST(3.0f)), R_CONST(0.0f)), R_CONST(6.0f));
  return r_mul(x, r_div(y, R_CONST(6.0f)));
}

static inline real approx_leaky(real x, float slope) {
  return r_select(r_less(x, R_CONST(0.0f)), r_mul(x, r_set(slope)), x);
}

static inline real approx_relu(real x) {
  return r_at_least(x, R_CONST(0.0f));
}

static inline real approx_reciprocal(real x) {
  return r_div(R_CONST(1.0f), x);
}

/* What an epilogue does, but for WEFT_ACT_NONE. */
static inline real activate(real y, weft_activation activation, float lo, float hi) {
  switch (activation) {
  case WEFT_ACT_NONE:
    break;
  case WEFT_ACT_CLIP:
    return r_at_most(r_at_least(y, r_set(lo)), r_set(hi));
  case WEFT_ACT_LEAKY:
    return approx_leaky(y, lo);
  case WEFT_ACT_SIGMOID:
    return approx_sigmoid(y);
  case WEFT_ACT_TANH:
    return approx_tanh(y);
  case WEFT_ACT_HARDSIGMOID:
    return approx_hardsigmoid(y, lo, hi);
  case WEFT_ACT_HARDSWISH:
    return approx_hardswish(y);
  case WEFT_ACT_SILU:
    return approx_silu(y);
  case WEFT_ACT_GELU:
    return approx_gelu(y);
  }
  return y;
}

/* The members of weft_unary and weft_binary, each with the word that computes it; of the first kind, whether that is
 * long code. */
#define UNARY_WORDS(X)                                                                                                 \
  X(EXP, approx_exp, true)                                                                                             \
  X(LOG, approx_log, true)                                                                                             \
  X(TANH, approx_tanh, true)                                                                                           \
  X(SIGMOID, approx_sigmoid, true)                                                                                     \
  X(ERF, approx_erf, true)                                                                                             \
  X(GELU, approx_gelu, true)                                                                                           \
  X(GELU_TANH, approx_gelu_tanh, true)                                                                                 \
  X(SILU, approx_silu, true)                                                                                           \
  X(MISH, approx_mish, true)                                                                                           \
  X(HARDSWISH, approx_hardswish, false)                                                                                \
  X(RELU, approx_relu, false)                                                                                          \
  X(NEG, r_neg, false)                                                                                                 \
  X(ABS, r_abs, false)                                                                                                 \
  X(SQRT, r_sqrt, false)                                                                                               \
  X(RECIPROCAL, approx_reciprocal, false)                                                                              \
  X(FLOOR, r_floor, false)                                                                                             \
  X(CEIL, r_ceil, false)                                                                                               \
  X(ROUND, r_round, false)                                                                                             \
  X(SOFTPLUS, approx_softplus, true)                                                                                   \
  X(ATAN, approx_atan, true)                                                                                           \
  X(SOFTSIGN, approx_softsign, false)

#define BINARY_WORDS(X)                                                                                                \
  X(ADD, r_add)                                                                                                        \
  X(SUB, r_sub)                                                                                                        \
  X(MUL, r_mul)                                                                                                        \
  X(DIV, r_div)                                                                                                        \
  X(MIN, r_min)                                                                                                        \
  X(MAX, r_max)                                                                                                        \
  X(POW, approx_power)                                                                                                 \
  X(FMOD, approx_fmod)

#endif
