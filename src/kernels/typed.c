/* See typed.h. Written so that every loop is one expression without branches. */
#include "typed.h"

#include <math.h>
#include <string.h>

#define BINARY(name, T, R, expression)                                                                                 \
  static void name(size_t n, const void *x, const void *y, void *z) {                                                  \
    const T *p = x, *q = y;                                                                                            \
    R *r = z;                                                                                                          \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      const T a = p[i], b = q[i];                                                                                      \
      r[i] = (R)(expression);                                                                                          \
    }                                                                                                                  \
  }

#define ARITHMETIC(bits)                                                                                               \
  BINARY(add##bits, uint##bits##_t, uint##bits##_t, a + b)                                                             \
  BINARY(sub##bits, uint##bits##_t, uint##bits##_t, a - b)                                                             \
  BINARY(mul##bits, uint##bits##_t, uint##bits##_t, a *b)

#define COMPARISONS(suffix, T)                                                                                         \
  BINARY(equal_##suffix, T, uint8_t, a == b)                                                                           \
  BINARY(less_##suffix, T, uint8_t, a < b)                                                                             \
  BINARY(less_or_equal_##suffix, T, uint8_t, a <= b)

ARITHMETIC(32)
ARITHMETIC(64)
BINARY(and8, uint8_t, uint8_t, a &b)
BINARY(or8, uint8_t, uint8_t, a | b)
BINARY(xor8, uint8_t, uint8_t, a ^ b)
COMPARISONS(float, float)
COMPARISONS(int32, int32_t)
COMPARISONS(int64, int64_t)
BINARY(equal8, uint8_t, uint8_t, a == b)

weft_typed_binary weft_typed_binary_of(weft_typed what, weft_type type) {
  static const weft_typed_binary of32[] = {add32, sub32, mul32}, of64[] = {add64, sub64, mul64};
  static const weft_typed_binary of_bool[] = {and8, or8, xor8, equal8};
  static const weft_typed_binary of_float[] = {equal_float, less_float, less_or_equal_float};
  static const weft_typed_binary of_int32[] = {equal_int32, less_int32, less_or_equal_int32};
  static const weft_typed_binary of_int64[] = {equal_int64, less_int64, less_or_equal_int64};
  bool arithmetic = what <= WEFT_TYPED_MUL, comparison = what >= WEFT_TYPED_EQUAL;
  switch (type) {
  case WEFT_FLOAT:
    return comparison ? of_float[what - WEFT_TYPED_EQUAL] : NULL;
  case WEFT_INT32:
    return comparison ? of_int32[what - WEFT_TYPED_EQUAL] : arithmetic ? of32[what] : NULL;
  case WEFT_INT64:
    return comparison ? of_int64[what - WEFT_TYPED_EQUAL] : arithmetic ? of64[what] : NULL;
  case WEFT_UINT32:
    return arithmetic ? of32[what] : NULL;
  case WEFT_UINT64:
    return arithmetic ? of64[what] : NULL;
  case WEFT_BOOL:
    return !arithmetic && what <= WEFT_TYPED_EQUAL ? of_bool[what - WEFT_TYPED_AND] : NULL;
  default:
    return NULL;
  }
}

/* ---- conversions ---------------------------------------------------------------------------------------------------- */
#define CONVERT(name, FROM, TO, expression)                                                                            \
  static void name(size_t n, const void *x, void *y) {                                                                 \
    const FROM *p = x;                                                                                                 \
    TO *r = y;                                                                                                         \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      const FROM a = p[i];                                                                                             \
      r[i] = (TO)(expression);                                                                                         \
    }                                                                                                                  \
  }

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

CONVERT(float_to_int8, float, uint8_t, low_bits(a))
CONVERT(float_to_int32, float, int32_t, to_int32(a))
CONVERT(float_to_int64, float, int64_t, to_int64(a))
CONVERT(float_to_bool, float, uint8_t, a != 0)
CONVERT(int8_to_float, int8_t, float, a)
CONVERT(uint8_to_float, uint8_t, float, a)
CONVERT(int32_to_float, int32_t, float, a)
CONVERT(int64_to_float, int64_t, float, a)
CONVERT(bool_to_float, uint8_t, float, a != 0)
CONVERT(int32_to_int64, int32_t, int64_t, a)
CONVERT(int64_to_int32, int64_t, int32_t, a)
CONVERT(bool_to_int64, uint8_t, int64_t, a != 0)
CONVERT(bool_to_int32, uint8_t, int32_t, a != 0)
CONVERT(bool_to_bool, uint8_t, uint8_t, a != 0)
CONVERT(int64_to_bool, int64_t, uint8_t, a != 0)
CONVERT(int32_to_bool, int32_t, uint8_t, a != 0)

weft_typed_unary weft_typed_convert_of(weft_type from, weft_type to) {
  static const struct {
    weft_type from, to;
    weft_typed_unary loop;
  } loops[] = {
      {WEFT_FLOAT, WEFT_INT8, float_to_int8},   {WEFT_FLOAT, WEFT_UINT8, float_to_int8},
      {WEFT_FLOAT, WEFT_INT32, float_to_int32}, {WEFT_FLOAT, WEFT_INT64, float_to_int64},
      {WEFT_FLOAT, WEFT_BOOL, float_to_bool},   {WEFT_INT8, WEFT_FLOAT, int8_to_float},
      {WEFT_UINT8, WEFT_FLOAT, uint8_to_float}, {WEFT_INT32, WEFT_FLOAT, int32_to_float},
      {WEFT_INT64, WEFT_FLOAT, int64_to_float}, {WEFT_BOOL, WEFT_FLOAT, bool_to_float},
      {WEFT_INT32, WEFT_INT64, int32_to_int64}, {WEFT_INT64, WEFT_INT32, int64_to_int32},
      {WEFT_BOOL, WEFT_INT64, bool_to_int64},   {WEFT_BOOL, WEFT_INT32, bool_to_int32},
      {WEFT_INT64, WEFT_BOOL, int64_to_bool},   {WEFT_INT32, WEFT_BOOL, int32_to_bool},
      {WEFT_BOOL, WEFT_BOOL, bool_to_bool},
  };
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
    if (loops[i].from == from && loops[i].to == to) return loops[i].loop;
  }
  return NULL;
}

CONVERT(not8, uint8_t, uint8_t, a == 0)

void weft_typed_not(size_t n, const void *x, void *y) {
  not8(n, x, y);
}

/* ---- choosing ------------------------------------------------------------------------------------------------------- */
/* A mask of ones chooses x: one expression, whatever the condition. */
#define CHOOSE(T)                                                                                                      \
  do {                                                                                                                 \
    const T *p = x, *q = y;                                                                                            \
    T *r = z;                                                                                                          \
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

/* ---- columns and rows ------------------------------------------------------------------------------------------------ */
void weft_typed_add_wide(size_t n, const float *x, double *totals) {
  for (size_t i = 0; i < n; i++) {
    totals[i] += (double)x[i];
  }
}

/* Elements that are looked at together before one of them is looked for. */
enum { TOGETHER = 32 };

static bool is_same(float x, float value) {
  return x == value || (x != x && value != value);
}

size_t weft_typed_find(size_t n, const float *x, float value, bool last) {
  size_t found = n;
  for (size_t begin = 0; begin < n; begin += TOGETHER) {
    size_t end = n - begin < TOGETHER ? n : begin + TOGETHER;
    uint32_t any = 0;
    for (size_t i = begin; i < end; i++) {
      any |= (uint32_t)(x[i] == value) | ((uint32_t)(x[i] != x[i]) & (uint32_t)(value != value));
    }
    for (size_t i = begin; any != 0 && i < end; i++) {
      if (!is_same(x[i], value)) continue;
      if (!last) return i;
      found = i;
    }
  }
  return found;
}

size_t weft_typed_next(size_t from, size_t n, const float *x, float value, bool least) {
  const float sign = least ? -1.0f : 1.0f, bound = sign * value;
  for (size_t begin = from; begin < n; begin += TOGETHER) {
    size_t end = n - begin < TOGETHER ? n : begin + TOGETHER;
    uint32_t any = 0;
    for (size_t i = begin; i < end; i++) {
      any |= (uint32_t)!(sign * x[i] < bound);
    }
    for (size_t i = begin; any != 0 && i < end; i++) {
      if (!(sign * x[i] < bound)) return i;
    }
  }
  return n;
}

/* Only numbers can be beaten, but for the last NaN; x[i] does when it is not less, or not as large. */
void weft_typed_beat(size_t n, const float *x, bool least, bool last, int32_t index, float *best, int32_t *winner) {
  const float sign = least ? -1.0f : 1.0f;
  for (size_t i = 0; i < n && last; i++) {
    const float a = sign * x[i], b = sign * best[i];
    const bool take = (!(a < b) & (b == b)) | (a != a);
    best[i] = take ? x[i] : best[i];
    winner[i] = take ? index : winner[i];
  }
  for (size_t i = 0; i < n && !last; i++) {
    const float a = sign * x[i], b = sign * best[i];
    const bool take = !(a <= b) & (b == b);
    best[i] = take ? x[i] : best[i];
    winner[i] = take ? index : winner[i];
  }
}

/* ---- running totals --------------------------------------------------------------------------------------------------- */
void weft_typed_run_on(size_t n, const float *x, bool product, bool exclusive, double *totals, float *y) {
  for (size_t i = 0; i < n; i++) {
    const double before = totals[i], after = product ? before * (double)x[i] : before + (double)x[i];
    totals[i] = after;
    y[i] = (float)(exclusive ? before : after);
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

/* ---- boxes ---------------------------------------------------------------------------------------------------------- */
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

/* ---- places between elements ---------------------------------------------------------------------------------------- */
static inline double sample_row(const weft_bins *b, const weft_sample *y, const weft_sample *x, const float *plane) {
  const float *low = plane + y->low, *high = plane + y->high;
  double sum = 0;
  for (size_t j = 0; j < b->wide; j++, x++) {
    if (x->inside) {
      sum += y->low_weight * (x->low_weight * (double)low[x->low] + x->high_weight * (double)low[x->high]) +
             y->high_weight * (x->low_weight * (double)high[x->low] + x->high_weight * (double)high[x->high]);
    }
  }
  return sum;
}

void weft_typed_sample_bins(const weft_bins *b, const float *plane, float *out) {
  const size_t count = b->tall * b->wide;
  for (size_t row = 0; row < b->rows; row++) {
    for (size_t column = 0; column < b->columns; column++) {
      double sum = 0;
      for (size_t i = 0; i < b->tall; i++) {
        const weft_sample *y = b->y + row * b->tall + i;
        sum += y->inside ? sample_row(b, y, b->x + column * b->wide, plane) : 0;
      }
      *out++ = (float)(count > 0 ? sum / (double)count : 0);
    }
  }
}

void weft_typed_weigh(size_t planes, const float *x, size_t x_step, size_t taps, const int64_t *offsets,
                      const double *weights, float *y, size_t y_step) {
  for (size_t i = 0; i < planes; i++, x += x_step, y += y_step) {
    double sum = 0;
    for (size_t t = 0; t < taps; t++) {
      sum += weights[t] * (double)x[offsets[t]];
    }
    *y = (float)sum;
  }
}

/* ---- sine and cosine -------------------------------------------------------------------------------------------------- */
/* x - n pi/2 in [-pi/4, pi/4]: pi/2 in two parts, the first of 33 bits, so that its product with n is exact; the Taylor series
 * there end where the next term is below 3e-14. Beyond SINE_LIMIT, and for what is no number, libm has the word. */
static const float SINE_LIMIT = 1e5f;

static inline double sine_or_cosine(double x, uint64_t quarter) {
  static const double magic = 0x1.8p52;
  double turned = x * 0x1.45f306dc9c883p-1 + magic, n = turned - magic;
  double r = (x - n * 0x1.921fb544p0) - n * 0x1.0b4611a626331p-34, s = r * r;
  uint64_t bits;
  memcpy(&bits, &turned, sizeof bits);
  bits += quarter;
  double sine = r * (1 + s * (-1.0 / 6 + s * (1.0 / 120 + s * (-1.0 / 5040 + s * (1.0 / 362880 +
                     s * (-1.0 / 39916800 + s * (1.0 / 6227020800.0)))))));
  double cosine = 1 + s * (-0.5 + s * (1.0 / 24 + s * (-1.0 / 720 + s * (1.0 / 40320 + s * (-1.0 / 3628800 +
                      s * (1.0 / 479001600 + s * (-1.0 / 87178291200.0)))))));
  double y = (bits & 1) != 0 ? cosine : sine;
  return (bits & 2) != 0 ? -y : y;
}

void weft_typed_sine(size_t n, const float *x, bool cosine, float *y) {
  float kept[TOGETHER];
  for (size_t begin = 0; begin < n; begin += TOGETHER) {
    size_t count = n - begin < TOGETHER ? n - begin : TOGETHER;
    uint32_t beyond = 0;
    for (size_t i = 0; i < count; i++) {
      kept[i] = x[begin + i];
      beyond |= (uint32_t)!(fabsf(kept[i]) < SINE_LIMIT);
    }
    for (size_t i = 0; i < count; i++) {
      y[begin + i] = (float)sine_or_cosine((double)kept[i], cosine);
    }
    for (size_t i = 0; beyond != 0 && i < count; i++) {
      if (fabsf(kept[i]) < SINE_LIMIT) continue;
      y[begin + i] = (float)(cosine ? cos((double)kept[i]) : sin((double)kept[i]));
    }
  }
}
