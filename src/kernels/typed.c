/* See typed.h. Written so that every loop is one expression without branches. */
#include "typed.h"

#include "loops.h"

#include <math.h>
#include <string.h>

/* NaN wins. */
static inline double least_double(double a, double b) {
  return ((a < b) | (a != a)) ? a : b;
}
static inline double greatest_double(double a, double b) {
  return ((a > b) | (a != a)) ? a : b;
}
static inline double sum_double(double a, double b) {
  return a + b;
}
static inline double product_double(double a, double b) {
  return a * b;
}

#define BINARY(name, T, R, expression) LOOP(name, T, R, expression, EACH_ALONE)
#define LOOP(name, T, R, expression, EACH)                                                                             \
  static void name(size_t n, const void *x, const void *y, void *z) {                                                  \
    const T *p = x, *q = y;                                                                                            \
    R *r = z;                                                                                                          \
    EACH for (size_t i = 0; i < n; i++) {                                                                              \
      const T a = p[i], b = q[i];                                                                                      \
      r[i] = (R)(expression);                                                                                          \
    }                                                                                                                  \
  }

/* As unsigned numbers, of which 16 bits would multiply as int. */
#define ARITHMETIC(bits)                                                                                               \
  BINARY(add##bits, uint##bits##_t, uint##bits##_t, a + b)                                                             \
  BINARY(sub##bits, uint##bits##_t, uint##bits##_t, a - b)                                                             \
  BINARY(mul##bits, uint##bits##_t, uint##bits##_t, 1u * a * b)

#define EXTREMES(suffix, T)                                                                                            \
  BINARY(min_##suffix, T, T, a < b ? a : b)                                                                            \
  BINARY(max_##suffix, T, T, a < b ? b : a)

/* The least number divided by -1 wraps. */
#define SIGNED(bits)                                                                                                   \
  static inline int##bits##_t quotient##bits(int##bits##_t a, int##bits##_t b) {                                       \
    return b == -1 ? (int##bits##_t)(0 - (uint##bits##_t)a) : a / b;                                                   \
  }                                                                                                                    \
  static inline int##bits##_t modulo##bits(int##bits##_t a, int##bits##_t b) {                                         \
    const int##bits##_t rest = b == -1 ? 0 : a % b;                                                                    \
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;                                                       \
  }                                                                                                                    \
  BINARY(div##bits, int##bits##_t, int##bits##_t, quotient##bits(a, b))                                                \
  BINARY(mod##bits, int##bits##_t, int##bits##_t, modulo##bits(a, b))

/* Bits are what they are in elements of any size. */
#define BITS(name, expression)                                                                                         \
  BINARY(name##8, uint8_t, uint8_t, expression)                                                                        \
  static void name##16(size_t n, const void *x, const void *y, void *z) {                                              \
    name##8(2 * n, x, y, z);                                                                                           \
  }                                                                                                                    \
  static void name##32(size_t n, const void *x, const void *y, void *z) {                                              \
    name##8(4 * n, x, y, z);                                                                                           \
  }                                                                                                                    \
  static void name##64(size_t n, const void *x, const void *y, void *z) {                                              \
    name##8(8 * n, x, y, z);                                                                                           \
  }

#define COMPARE(name, T, expression) LOOP(name, T, uint8_t, expression, EACH_TO_BYTE)
#define ORDER(suffix, T)                                                                                               \
  COMPARE(less_##suffix, T, a < b)                                                                                     \
  COMPARE(less_or_equal_##suffix, T, a <= b)
#define COMPARISONS(suffix, T)                                                                                         \
  COMPARE(equal_##suffix, T, a == b)                                                                                   \
  ORDER(suffix, T)

ARITHMETIC(8)
ARITHMETIC(16)
ARITHMETIC(32)
ARITHMETIC(64)
SIGNED(32)
SIGNED(64)
EXTREMES(int8, int8_t)
EXTREMES(uint8, uint8_t)
EXTREMES(int16, int16_t)
EXTREMES(uint16, uint16_t)
EXTREMES(int32, int32_t)
EXTREMES(uint32, uint32_t)
EXTREMES(int64, int64_t)
EXTREMES(uint64, uint64_t)
BITS(and, a &b)
BITS(or, a | b)
BITS(xor, a ^ b)
COMPARISONS(float, float)
COMPARISONS(double, double)
BINARY(mul_float, float, float, a *b)
BINARY(add_double, double, double, a + b)
BINARY(sub_double, double, double, a - b)
BINARY(mul_double, double, double, a *b)
BINARY(div_double, double, double, a / b)
BINARY(min_double, double, double, least_double(a, b))
BINARY(max_double, double, double, greatest_double(a, b))
COMPARISONS(int32, int32_t)
COMPARISONS(int64, int64_t)
ORDER(int8, int8_t)
ORDER(uint8, uint8_t)
BINARY(equal8, uint8_t, uint8_t, a == b)
COMPARE(equal16, uint16_t, a == b)
/* There are no vectors of shifts by numbers of their own. */
LOOP(left32, uint32_t, uint32_t, b < 32 ? a << b : 0, )
LOOP(left64, uint64_t, uint64_t, b < 64 ? a << b : 0, )
LOOP(right32, int32_t, int32_t, a >> ((uint32_t)b < 32 ? b : 31), )
LOOP(right64, int64_t, int64_t, a >> ((uint64_t)b < 64 ? b : 63), )
LOOP(right_unsigned64, uint64_t, uint64_t, b < 64 ? a >> b : 0, )

weft_typed_binary weft_typed_binary_of(weft_typed what, weft_type type) {
  enum { TYPES = WEFT_UINT64 + 1 };
#define OF_WIDTHS(bits8, bits16, bits32, bits64)                                                                       \
  [WEFT_INT8] = bits8, [WEFT_UINT8] = bits8, [WEFT_INT16] = bits16, [WEFT_UINT16] = bits16, [WEFT_INT32] = bits32,     \
  [WEFT_UINT32] = bits32, [WEFT_INT64] = bits64, [WEFT_UINT64] = bits64
#define OF_TYPES(name)                                                                                                 \
  [WEFT_INT8] = name##_int8, [WEFT_UINT8] = name##_uint8, [WEFT_INT16] = name##_int16, [WEFT_UINT16] = name##_uint16,  \
  [WEFT_INT32] = name##_int32, [WEFT_UINT32] = name##_uint32, [WEFT_INT64] = name##_int64,                             \
  [WEFT_UINT64] = name##_uint64, [WEFT_DOUBLE] = name##_double
#define OF_MOST(name)                                                                                                  \
  [WEFT_INT8] = name##_int8, [WEFT_UINT8] = name##_uint8, [WEFT_INT32] = name##_int32, [WEFT_INT64] = name##_int64,    \
  OF_FLOATS(name)
#define OF_FLOATS(name) [WEFT_FLOAT] = name##_float, [WEFT_DOUBLE] = name##_double
  static const weft_typed_binary loops[][TYPES] = {
      [WEFT_TYPED_ADD] = {OF_WIDTHS(add8, add16, add32, add64), [WEFT_DOUBLE] = add_double},
      [WEFT_TYPED_SUB] = {OF_WIDTHS(sub8, sub16, sub32, sub64), [WEFT_DOUBLE] = sub_double},
      [WEFT_TYPED_MUL] = {OF_WIDTHS(mul8, mul16, mul32, mul64), OF_FLOATS(mul)},
      [WEFT_TYPED_DIV] = {[WEFT_INT32] = div32, [WEFT_INT64] = div64, [WEFT_DOUBLE] = div_double},
      [WEFT_TYPED_MOD] = {[WEFT_INT32] = mod32, [WEFT_INT64] = mod64},
      [WEFT_TYPED_MIN] = {OF_TYPES(min)},
      [WEFT_TYPED_MAX] = {OF_TYPES(max)},
      [WEFT_TYPED_AND] = {OF_WIDTHS(and8, and16, and32, and64), [WEFT_BOOL] = and8},
      [WEFT_TYPED_OR] = {OF_WIDTHS(or8, or16, or32, or64), [WEFT_BOOL] = or8},
      [WEFT_TYPED_XOR] = {OF_WIDTHS(xor8, xor16, xor32, xor64), [WEFT_BOOL] = xor8},
      [WEFT_TYPED_EQUAL] = {OF_WIDTHS(equal8, equal16, equal_int32, equal_int64), [WEFT_BOOL] = equal8,
                            OF_FLOATS(equal)},
      [WEFT_TYPED_LESS] = {OF_MOST(less)},
      [WEFT_TYPED_LESS_OR_EQUAL] = {OF_MOST(less_or_equal)},
      [WEFT_TYPED_LEFT] = {OF_WIDTHS(NULL, NULL, left32, left64)},
      [WEFT_TYPED_RIGHT] = {[WEFT_INT32] = right32, [WEFT_INT64] = right64, [WEFT_UINT64] = right_unsigned64},
  };
  return type < TYPES ? loops[what][type] : NULL;
}

/* ---- elements at places of their own ----------------------------------------------------------------------------- */
/* Integers wrap as U, but compare as T. */
#define SCATTER(name, T, U)                                                                                            \
  SMALL_CODE static void name(weft_typed what, size_t n, const int64_t *map, const T *from, T *to) {                   \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      const T a = to[map[i]], b = from[i];                                                                             \
      to[map[i]] = what == WEFT_TYPED_ADD   ? (T)((U)a + (U)b)                                                         \
                   : what == WEFT_TYPED_MUL ? (T)((U)a * (U)b)                                                         \
                   : what == WEFT_TYPED_MIN ? (a < b || a != a ? a : b)                                                \
                                            : (a > b || a != a ? a : b);                                               \
    }                                                                                                                  \
  }
SCATTER(scatter_float, float, float)
SCATTER(scatter_double, double, double)
SCATTER(scatter_int32, int32_t, uint32_t)
SCATTER(scatter_int64, int64_t, uint64_t)

bool weft_typed_scatter(weft_typed what, weft_type type, size_t n, const int64_t *map, const void *from, void *to) {
  switch (type) {
  case WEFT_FLOAT:
    scatter_float(what, n, map, from, to);
    return true;
  case WEFT_DOUBLE:
    scatter_double(what, n, map, from, to);
    return true;
  case WEFT_INT32:
    scatter_int32(what, n, map, from, to);
    return true;
  case WEFT_INT64:
    scatter_int64(what, n, map, from, to);
    return true;
  default:
    return false;
  }
}

/* ---- one total of neighbours ------------------------------------------------------------------------------------- */
#define FOLD(name, T, expression)                                                                                      \
  static void name(size_t n, const void *x, void *total) {                                                             \
    const T *p = x;                                                                                                    \
    T a = *(T *)total;                                                                                                 \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      const T b = p[i];                                                                                                \
      a = (T)(expression);                                                                                             \
    }                                                                                                                  \
    *(T *)total = a;                                                                                                   \
  }
#define FOLD_EXTREMES(suffix, T)                                                                                       \
  FOLD(least_of_##suffix, T, a < b ? a : b)                                                                            \
  FOLD(greatest_of_##suffix, T, a < b ? b : a)

/* In chains that do not wait for each other: their order counts. */
#define FOLD_DOUBLES(name, function)                                                                                   \
  static void name(size_t n, const void *x, void *total) {                                                             \
    enum { CHAINS = 8 };                                                                                               \
    const double *p = x;                                                                                               \
    double a = *(double *)total, chains[CHAINS];                                                                       \
    size_t i = 0;                                                                                                      \
    for (; i + CHAINS <= n; i += CHAINS) {                                                                             \
      for (size_t c = 0; c < CHAINS; c++) {                                                                            \
        chains[c] = i == 0 ? p[c] : function(chains[c], p[i + c]);                                                     \
      }                                                                                                                \
    }                                                                                                                  \
    for (size_t c = 0; i > 0 && c < CHAINS; c++) {                                                                     \
      a = function(a, chains[c]);                                                                                      \
    }                                                                                                                  \
    for (; i < n; i++) {                                                                                               \
      a = function(a, p[i]);                                                                                           \
    }                                                                                                                  \
    *(double *)total = a;                                                                                              \
  }

FOLD(sum_of32, uint32_t, a + b)
FOLD(sum_of64, uint64_t, a + b)
FOLD(product_of32, uint32_t, a *b)
FOLD(product_of64, uint64_t, a *b)
FOLD_EXTREMES(int8, int8_t)
FOLD_EXTREMES(uint8, uint8_t)
FOLD_EXTREMES(int32, int32_t)
FOLD_EXTREMES(uint32, uint32_t)
FOLD_EXTREMES(int64, int64_t)
FOLD_EXTREMES(uint64, uint64_t)
FOLD_DOUBLES(sum_of_doubles, sum_double)
FOLD_DOUBLES(product_of_doubles, product_double)
FOLD_DOUBLES(least_of_double, least_double)
FOLD_DOUBLES(greatest_of_double, greatest_double)

weft_typed_row weft_typed_row_of(weft_typed what, weft_type type) {
#define OF_USUAL(name)                                                                                                 \
  [WEFT_INT8] = name##_int8, [WEFT_UINT8] = name##_uint8, [WEFT_INT32] = name##_int32, [WEFT_UINT32] = name##_uint32,  \
  [WEFT_INT64] = name##_int64, [WEFT_UINT64] = name##_uint64, [WEFT_DOUBLE] = name##_double
  static const weft_typed_row least[] = {OF_USUAL(least_of)}, greatest[] = {OF_USUAL(greatest_of)};
  static const weft_typed_row sum[] = {OF_WIDTHS(NULL, NULL, sum_of32, sum_of64), [WEFT_DOUBLE] = sum_of_doubles};
  static const weft_typed_row product[] = {OF_WIDTHS(NULL, NULL, product_of32, product_of64),
                                           [WEFT_DOUBLE] = product_of_doubles};
  const weft_typed_row *loops = what == WEFT_TYPED_ADD   ? sum
                                : what == WEFT_TYPED_MUL ? product
                                : what == WEFT_TYPED_MIN ? least
                                                         : greatest;
  return type <= WEFT_UINT64 ? loops[type] : NULL;
}

/* ---- conversions ------------------------------------------------------------------------------------------------- */
/* NaN becomes 0; what is beyond 32 bits keeps the low bits it would have in 64. */
static inline int32_t low_bits(float a) {
  return a > -0x1p31f && a < 0x1p31f ? (int32_t)a : a >= 0x1p63f ? -1 : 0;
}

static inline int32_t to_int32(float a) {
  return a > -0x1p31f && a < 0x1p31f ? (int32_t)a : a >= 0x1p31f ? INT32_MAX : a <= -0x1p31f ? INT32_MIN : 0;
}

static inline int64_t to_int64(float a) {
  return a > -0x1p63f && a < 0x1p63f ? (int64_t)a : a >= 0x1p63f ? INT64_MAX : a <= -0x1p63f ? INT64_MIN : 0;
}

static inline int32_t wide_to_int32(double a) {
  return a > -0x1p31 && a < 0x1p31 ? (int32_t)a : a >= 0x1p31 ? INT32_MAX : a <= -0x1p31 ? INT32_MIN : 0;
}

static inline int64_t wide_to_int64(double a) {
  return a > -0x1p63 && a < 0x1p63 ? (int64_t)a : a >= 0x1p63 ? INT64_MAX : a <= -0x1p63 ? INT64_MIN : 0;
}

CONVERT_TO_BYTE(float_to_int8, float, low_bits(a))
CONVERT(float_to_int32, float, int32_t, to_int32(a))
CONVERT_TO_BYTE(float_to_bool, float, a != 0)

/* There are vectors of 32-bit numbers. */
static void float_to_int64(size_t n, const void *x, void *y) {
  for (size_t begin = 0; begin < n; begin += TOGETHER) {
    const size_t count = n - begin < TOGETHER ? n - begin : TOGETHER;
    const float *p = (const float *)x + begin;
    int64_t *r = (int64_t *)y + begin;
    uint32_t beyond = 0;
    for (size_t i = 0; i < count; i++) {
      beyond |= (uint32_t)!(fabsf(p[i]) < 0x1p31f);
    }
    for (size_t i = 0; beyond == 0 && i < count; i++) {
      r[i] = (int32_t)p[i];
    }
    for (size_t i = 0; beyond != 0 && i < count; i++) {
      r[i] = to_int64(p[i]);
    }
  }
}
CONVERT(int8_to_float, int8_t, float, a)
CONVERT(uint8_to_float, uint8_t, float, a)
CONVERT(int16_to_float, int16_t, float, a)
CONVERT(uint16_to_float, uint16_t, float, a)
CONVERT(int32_to_float, int32_t, float, a)
CONVERT(int64_to_float, int64_t, float, a)
CONVERT(bool_to_float, uint8_t, float, a != 0)
CONVERT(int32_to_int64, int32_t, int64_t, a)
CONVERT(int64_to_int32, int64_t, int32_t, a)
CONVERT(bool_to_int64, uint8_t, int64_t, a != 0)
CONVERT(bool_to_int32, uint8_t, int32_t, a != 0)
CONVERT(bool_to_bool, uint8_t, uint8_t, a != 0)
CONVERT_TO_BYTE(int64_to_bool, int64_t, a != 0)
CONVERT_TO_BYTE(int32_to_bool, int32_t, a != 0)
CONVERT(int8_to_int32, int8_t, int32_t, a)
CONVERT(uint8_to_int32, uint8_t, int32_t, a)
CONVERT(int16_to_int32, int16_t, int32_t, a)
CONVERT(uint16_to_int32, uint16_t, int32_t, a)
CONVERT(uint32_to_int64, uint32_t, int64_t, a)
CONVERT_TO_BYTE(int32_to_int8, int32_t, a)
CONVERT(int32_to_int16, int32_t, uint16_t, a)
CONVERT_TO_BYTE(int64_to_int8, int64_t, a)
CONVERT(int64_to_int16, int64_t, uint16_t, a)
CONVERT(float_to_double, float, double, a)
CONVERT(int32_to_double, int32_t, double, a)
CONVERT(int64_to_double, int64_t, double, a)
CONVERT(double_to_float, double, float, a)
CONVERT_TO_BYTE(double_to_bool, double, a != 0)
CONVERT(double_to_int32, double, int32_t, wide_to_int32(a))
CONVERT(double_to_int64, double, int64_t, wide_to_int64(a))

static void same8(size_t n, const void *x, void *y) {
  memmove(y, x, n);
}
static void same16(size_t n, const void *x, void *y) {
  memmove(y, x, 2 * n);
}
static void same32(size_t n, const void *x, void *y) {
  memmove(y, x, 4 * n);
}
static void same64(size_t n, const void *x, void *y) {
  memmove(y, x, 8 * n);
}

/* Of integers of one width as targets only the first is here, of sources of 8 bytes as well. */
weft_typed_unary weft_typed_convert_of(weft_type from, weft_type to) {
  static const struct {
    uint8_t from, to;
    weft_typed_unary loop;
  } loops[] = {
      {WEFT_FLOAT, WEFT_INT8, float_to_int8},     {WEFT_FLOAT, WEFT_INT32, float_to_int32},
      {WEFT_FLOAT, WEFT_INT64, float_to_int64},   {WEFT_FLOAT, WEFT_BOOL, float_to_bool},
      {WEFT_FLOAT, WEFT_DOUBLE, float_to_double}, {WEFT_DOUBLE, WEFT_FLOAT, double_to_float},
      {WEFT_DOUBLE, WEFT_INT32, double_to_int32}, {WEFT_DOUBLE, WEFT_INT64, double_to_int64},
      {WEFT_DOUBLE, WEFT_BOOL, double_to_bool},   {WEFT_INT8, WEFT_INT8, same8},
      {WEFT_INT8, WEFT_BOOL, bool_to_bool},       {WEFT_INT8, WEFT_INT32, int8_to_int32},
      {WEFT_INT8, WEFT_FLOAT, int8_to_float},     {WEFT_UINT8, WEFT_INT8, same8},
      {WEFT_UINT8, WEFT_BOOL, bool_to_bool},      {WEFT_UINT8, WEFT_INT32, uint8_to_int32},
      {WEFT_UINT8, WEFT_FLOAT, uint8_to_float},   {WEFT_INT16, WEFT_INT16, same16},
      {WEFT_INT16, WEFT_INT32, int16_to_int32},   {WEFT_INT16, WEFT_FLOAT, int16_to_float},
      {WEFT_UINT16, WEFT_INT16, same16},          {WEFT_UINT16, WEFT_INT32, uint16_to_int32},
      {WEFT_UINT16, WEFT_FLOAT, uint16_to_float}, {WEFT_INT32, WEFT_INT8, int32_to_int8},
      {WEFT_INT32, WEFT_INT16, int32_to_int16},   {WEFT_INT32, WEFT_INT32, same32},
      {WEFT_INT32, WEFT_INT64, int32_to_int64},   {WEFT_INT32, WEFT_FLOAT, int32_to_float},
      {WEFT_INT32, WEFT_DOUBLE, int32_to_double}, {WEFT_INT32, WEFT_BOOL, int32_to_bool},
      {WEFT_UINT32, WEFT_INT8, int32_to_int8},    {WEFT_UINT32, WEFT_INT16, int32_to_int16},
      {WEFT_UINT32, WEFT_INT32, same32},          {WEFT_UINT32, WEFT_INT64, uint32_to_int64},
      {WEFT_UINT32, WEFT_BOOL, int32_to_bool},    {WEFT_INT64, WEFT_INT8, int64_to_int8},
      {WEFT_INT64, WEFT_INT16, int64_to_int16},   {WEFT_INT64, WEFT_INT32, int64_to_int32},
      {WEFT_INT64, WEFT_INT64, same64},           {WEFT_INT64, WEFT_FLOAT, int64_to_float},
      {WEFT_INT64, WEFT_DOUBLE, int64_to_double}, {WEFT_INT64, WEFT_BOOL, int64_to_bool},
      {WEFT_BOOL, WEFT_INT8, bool_to_bool},       {WEFT_BOOL, WEFT_INT32, bool_to_int32},
      {WEFT_BOOL, WEFT_INT64, bool_to_int64},     {WEFT_BOOL, WEFT_FLOAT, bool_to_float},
      {WEFT_BOOL, WEFT_BOOL, bool_to_bool},
  };
  const bool to_number = to == WEFT_FLOAT || to == WEFT_DOUBLE, from_wide = from == WEFT_FLOAT || from == WEFT_DOUBLE;
  if (from == WEFT_UINT64 && !to_number) from = WEFT_INT64;
  to = to == WEFT_UINT8                  ? WEFT_INT8
       : to == WEFT_UINT16               ? WEFT_INT16
       : to == WEFT_UINT32 && !from_wide ? WEFT_INT32
       : to == WEFT_UINT64 && !from_wide ? WEFT_INT64
                                         : to;
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
    if (loops[i].from == from && loops[i].to == to) return loops[i].loop;
  }
  return NULL;
}

weft_type weft_typed_convert_by(weft_type from, weft_type to) {
  const bool from_wide = from == WEFT_FLOAT || from == WEFT_DOUBLE, from64 = from == WEFT_INT64 || from == WEFT_UINT64;
  const weft_type by = from_wide || from == WEFT_UINT32 ? WEFT_INT64 : WEFT_INT32;
  const bool has = weft_typed_convert_of(from, by) != NULL && weft_typed_convert_of(by, to) != NULL;
  const bool loses = from64 || (from_wide && (to == WEFT_UINT64 || to == WEFT_FLOAT || to == WEFT_DOUBLE));
  return has && !loses ? by : WEFT_UNDEFINED;
}

void weft_typed_scale(size_t n, const float *x, float center, float factor, float shift, float *y) {
  EACH_ALONE
  for (size_t i = 0; i < n; i++) {
    y[i] = (x[i] - center) * factor + shift;
  }
}

#define SATURATE(T)                                                                                                    \
  for (size_t i = 0; i < n; i++) {                                                                                     \
    float v = x[i] > least ? x[i] : least; /* NaN too: there is no such integer */                                     \
    v = v < greatest ? v : greatest;                                                                                   \
    ((T *)y)[i] = (T)(int32_t)v;                                                                                       \
  }

void weft_typed_saturate(size_t size, size_t n, const float *restrict x, float least, float greatest,
                         void *restrict y) {
  if (size == 1) {
    SATURATE(uint8_t)
  } else {
    SATURATE(uint16_t)
  }
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */
/* A mask of ones chooses x: one expression, whatever the condition. */
#define CHOOSE(T)                                                                                                      \
  do {                                                                                                                 \
    const T *p = x, *q = y;                                                                                            \
    T *r = z;                                                                                                          \
    EACH_ALONE                                                                                                         \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      const T mask = (T)(0 - (T)(condition[i] != 0));                                                                  \
      r[i] = (T)((p[i] & mask) | (q[i] & (T)~mask));                                                                   \
    }                                                                                                                  \
  } while (0)

bool weft_typed_choose(size_t size, size_t n, const uint8_t *condition, const void *x, const void *y, void *z) {
  switch (size) {
  case 1:
    CHOOSE(uint8_t);
    return true;
  case 2:
    CHOOSE(uint16_t);
    return true;
  case 4:
    CHOOSE(uint32_t);
    return true;
  case 8:
    CHOOSE(uint64_t);
    return true;
  default:
    return false;
  }
}

/* ---- columns and rows -------------------------------------------------------------------------------------------- */
static inline double greater_of(double a, double b) {
  return ((a != a) | (a > b)) ? a : b;
}

static inline double term_of(weft_typed_term term, double x) {
  switch (term) {
  case WEFT_TYPED_MAGNITUDE:
    return fabs(x);
  case WEFT_TYPED_SQUARE:
    return x * x;
  case WEFT_TYPED_LEAST:
    return -x;
  default:
    return x;
  }
}

static inline double together(weft_typed_term term, double a, double b) {
  return term == WEFT_TYPED_PRODUCT ? a * b : term >= WEFT_TYPED_GREATEST ? greater_of(a, b) : a + b;
}

/* Values are added four at a time in float. */
static inline double four_of(weft_typed_term term, float a, float b, float c, float d) {
  if (term == WEFT_TYPED_VALUE) return (double)((a + b) + (c + d));
  return together(term, together(term, term_of(term, (double)a), term_of(term, (double)b)),
                  together(term, term_of(term, (double)c), term_of(term, (double)d)));
}

/* Lines four at a time, so that totals are read and written once for four. */
static inline __attribute__((always_inline)) void fold(weft_typed_term term, const weft_lines *l, const float *x,
                                                       double *totals) {
  const double sign = term == WEFT_TYPED_LEAST ? -1 : 1;
  size_t line = 0;
  for (; l->step == 1 && l->lines - line >= 4; line += 4) {
    const float *a = x + line * l->line_step, *b = a + l->line_step, *c = b + l->line_step, *d = c + l->line_step;
    for (size_t i = 0; i < l->n; i++) {
      const double four = four_of(term, a[i], b[i], c[i], d[i]);
      totals[i] = sign * together(term, sign * totals[i], four);
    }
  }
  for (; line < l->lines; line++) {
    for (size_t i = 0; i < l->n; i++) {
      const double one = term_of(term, (double)x[line * l->line_step + i * l->step]);
      totals[i] = sign * together(term, sign * totals[i], one);
    }
  }
}

void weft_typed_fold(weft_typed_term term, const weft_lines *lines, const float *x, double *totals) {
  switch (term) {
  case WEFT_TYPED_VALUE:
    fold(WEFT_TYPED_VALUE, lines, x, totals);
    return;
  case WEFT_TYPED_MAGNITUDE:
    fold(WEFT_TYPED_MAGNITUDE, lines, x, totals);
    return;
  case WEFT_TYPED_SQUARE:
    fold(WEFT_TYPED_SQUARE, lines, x, totals);
    return;
  case WEFT_TYPED_PRODUCT:
    fold(WEFT_TYPED_PRODUCT, lines, x, totals);
    return;
  case WEFT_TYPED_GREATEST:
    fold(WEFT_TYPED_GREATEST, lines, x, totals);
    return;
  case WEFT_TYPED_LEAST:
    fold(WEFT_TYPED_LEAST, lines, x, totals);
    return;
  }
}

/* ---- products ---------------------------------------------------------------------------------------------------- */
static inline double term_of_pair(double x, float y, bool distances) {
  const double d = x - (double)y;
  return distances ? d * d : x * (double)y;
}

/* Sums that do not wait for each other. */
static inline __attribute__((always_inline)) double dot(size_t n, const double *x, const float *y, bool distances) {
  enum { CHAINS = 8 };
  double sums[CHAINS] = {0}, rest = 0;
  for (; n >= CHAINS; n -= CHAINS, x += CHAINS, y += CHAINS) {
    for (size_t c = 0; c < CHAINS; c++) {
      sums[c] += term_of_pair(x[c], y[c], distances);
    }
  }
  for (; n >= 2; n -= 2, x += 2, y += 2) {
    for (size_t c = 0; c < 2; c++) {
      sums[c] += term_of_pair(x[c], y[c], distances);
    }
  }
  if (n > 0) {
    rest = term_of_pair(*x, *y, distances);
  }
  return rest + (((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7])));
}

double weft_typed_dot(size_t n, const double *x, const float *y, bool distances) {
  return distances ? dot(n, x, y, true) : dot(n, x, y, false);
}

SMALL_CODE void weft_typed_small_product(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                                         size_t b_row, size_t b_column, float *c) {
  for (size_t i = 0; i < m; i++, a += lda) {
    for (size_t j = 0; j < n; j++) {
      float sum = 0;
      for (size_t l = 0; l < k; l++) {
        sum += a[l] * b[l * b_row + j * b_column];
      }
      *c++ = sum;
    }
  }
}

/* Four rows of b a turn, so that c is read and written once for them, and a long sum is one of sums of four. */
#define ADD_ROWS(name, T)                                                                                              \
  static void name(size_t n, size_t rows, const T *factors, const T *b, size_t b_row, T *c) {                          \
    size_t l = 0;                                                                                                      \
    for (; l + 4 <= rows; l += 4, b += 4 * b_row) {                                                                    \
      const T f0 = factors[l], f1 = factors[l + 1], f2 = factors[l + 2], f3 = factors[l + 3];                          \
      EACH_ALONE                                                                                                       \
      for (size_t j = 0; j < n; j++) {                                                                                 \
        c[j] += (f0 * b[j] + f1 * b[b_row + j]) + (f2 * b[2 * b_row + j] + f3 * b[3 * b_row + j]);                     \
      }                                                                                                                \
    }                                                                                                                  \
    for (; l < rows; l++, b += b_row) {                                                                                \
      const T f = factors[l];                                                                                          \
      EACH_ALONE                                                                                                       \
      for (size_t j = 0; j < n; j++) {                                                                                 \
        c[j] += f * b[j];                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
ADD_ROWS(add_rows_double, double)
ADD_ROWS(add_rows_32, uint32_t)
ADD_ROWS(add_rows_64, uint64_t)

void weft_typed_add_rows(weft_type type, size_t n, size_t rows, const void *factors, const void *b, size_t b_row,
                         void *c) {
  if (type == WEFT_DOUBLE) {
    add_rows_double(n, rows, factors, b, b_row, c);
  } else if (type == WEFT_INT32 || type == WEFT_UINT32) {
    add_rows_32(n, rows, factors, b, b_row, c);
  } else {
    add_rows_64(n, rows, factors, b, b_row, c);
  }
}

/* ---- running totals ---------------------------------------------------------------------------------------------- */
void weft_typed_run_on(size_t n, const float *x, bool product, bool exclusive, double *totals, float *y) {
  for (size_t i = 0; i < n; i++) {
    const double before = totals[i], after = product ? before * (double)x[i] : before + (double)x[i];
    totals[i] = after;
    y[i] = (float)(exclusive ? before : after);
  }
}

#define SCAN(name, T, S)                                                                                               \
  SMALL_CODE static void name(size_t n, const T *x, int step, bool product, bool exclusive, T *y) {                    \
    S total = product ? 1 : 0;                                                                                         \
    for (; n > 0; n--, x += step, y += step) {                                                                         \
      const S before = total, one = (S) * x;                                                                           \
      total = product ? total * one : total + one;                                                                     \
      *y = (T)(exclusive ? before : total);                                                                            \
    }                                                                                                                  \
  }
SCAN(scan_float, float, double)
SCAN(scan_double, double, double)
SCAN(scan32, uint32_t, uint32_t)
SCAN(scan64, uint64_t, uint64_t)

void weft_typed_scan(weft_type type, size_t n, const void *x, int step, bool product, bool exclusive, void *y) {
  if (type == WEFT_FLOAT) {
    scan_float(n, x, step, product, exclusive, y);
  } else if (type == WEFT_DOUBLE) {
    scan_double(n, x, step, product, exclusive, y);
  } else if (type == WEFT_INT32 || type == WEFT_UINT32) {
    scan32(n, x, step, product, exclusive, y);
  } else {
    scan64(n, x, step, product, exclusive, y);
  }
}

void weft_typed_add_lines(size_t lines, size_t n, const float *restrict x, size_t x_line, float *restrict y,
                          size_t y_line) {
  for (size_t line = 0; line < lines; line++, x += x_line, y += y_line) {
    for (size_t i = 0; i < n; i++) {
      y[i] += x[i];
    }
  }
}

void weft_typed_weave(size_t lines, size_t width, const float *restrict x, size_t odd, size_t x_line,
                      float *restrict y) {
  for (size_t line = 0; line < lines; line++, x += x_line, y += width) {
    for (size_t i = 0; i < width / 2; i++) {
      y[2 * i] = x[i];
      y[2 * i + 1] = x[odd + i];
    }
    if (width % 2 != 0) y[width - 1] = x[width / 2];
  }
}

/* ---- boxes ------------------------------------------------------------------------------------------------------- */
bool weft_typed_overlaps(size_t n, const float *boxes, size_t stride, const float box[5], float share) {
  enum { AT_ONCE = 32 };
  const float top = box[0], left = box[1], bottom = box[2], right = box[3], area = box[4];
  if (!(area > 0)) return false;
  for (size_t first = 0; first < n; first += AT_ONCE) {
    const size_t end = n - first < AT_ONCE ? n : first + AT_ONCE;
    unsigned found = 0;
    for (size_t i = first; i < end; i++) {
      const float *b = boxes + i;
      const float high = b[2 * stride] < bottom ? b[2 * stride] : bottom, low = b[0] > top ? b[0] : top;
      const float far = b[3 * stride] < right ? b[3 * stride] : right, near = b[stride] > left ? b[stride] : left;
      const float tall = high - low, wide = far - near;
      const float common = (tall > 0 ? tall : 0) * (wide > 0 ? wide : 0), together = area + b[4 * stride] - common;
      found |= (unsigned)(b[4 * stride] > 0) & (unsigned)(together > 0) & (unsigned)(common / together > share);
    }
    if (found != 0) return true;
  }
  return false;
}
