/* See convert.h. Integers go through int64, other rare types through float, in chunks on the stack: only the types that
 * whole models are made of (float, half, bfloat16, double) have a direct loop, so the code stays small. */
#include "convert.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 64 };

/* ---- small floating types ---------------------------------------------------------------------------------------- */
typedef struct small_format {
  uint8_t mantissa_bits, bias, max, nan, infinity; /* infinity == nan: has none */
  uint8_t sign;                                    /* the sign's bit */
  bool unsigned_zero;                              /* the code of -0 is NaN */
} small_format;

/* From the published layouts of OCP OFP8 and OCP MX, and of the "fnuz" variants. */
static const small_format *small_of(weft_type type) {
  static const small_format formats[] = {
      {3, 7, 0x7e, 0x7f, 0x7f, 0x80, false},  {3, 8, 0x7f, 0x80, 0x80, 0x80, true},
      {2, 15, 0x7b, 0x7e, 0x7c, 0x80, false}, {2, 16, 0x7f, 0x80, 0x80, 0x80, true},
      {1, 1, 0x07, 0x08, 0x07, 0x08, false},  {3, 1, 0x1f, 0x20, 0x1f, 0x20, false},
      {2, 3, 0x1f, 0x20, 0x1f, 0x20, false},
  };
  switch (type) {
  case WEFT_FLOAT8E4M3FN:
    return &formats[0];
  case WEFT_FLOAT8E4M3FNUZ:
    return &formats[1];
  case WEFT_FLOAT8E5M2:
    return &formats[2];
  case WEFT_FLOAT8E5M2FNUZ:
    return &formats[3];
  case WEFT_FLOAT6E2M3:
    return &formats[5];
  case WEFT_FLOAT6E3M2:
    return &formats[6];
  default:
    return &formats[4];
  }
}

static uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* ---- 16-bit floats: IEEE 754 binary16 and bfloat16, to nearest, ties to even ------------------------------------- */
float weft_float16_to_float(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
  uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) { /* infinity, NaN */
    return bits_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  }
  if (magnitude < 0x400u) { /* zero, subnormal: exact as an integer times 2^-24 */
    float small = (float)magnitude * 0x1p-24f;
    return bits_float(sign | float_bits(small));
  }
  return bits_float(sign | ((magnitude << 13) + 0x38000000u));
}

uint16_t weft_float_to_float16(float value) {
  uint32_t bits = float_bits(value);
  uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
  }
  if (magnitude >= 0x477ff000u) { /* rounds to infinity: 65520 and above */
    return (uint16_t)(sign | 0x7c00u);
  }
  if (magnitude < 0x38800000u) { /* below 2^-14: let the float adder round at the last subnormal bit */
    float rounded = bits_float(magnitude) + 0.5f;
    return (uint16_t)(sign | (float_bits(rounded) - 0x3f000000u));
  }
  uint32_t odd = magnitude >> 13 & 1u;
  return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

float weft_bfloat16_to_float(uint16_t bits) {
  return bits_float((uint32_t)bits << 16);
}

uint16_t weft_float_to_bfloat16(float value) {
  uint32_t bits = float_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return (uint16_t)(bits >> 16 | 0x40u);
  }
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

uint8_t weft_float_to_small(weft_type type, float value, bool saturate) {
  const small_format *f = small_of(type);
  uint32_t bits = float_bits(value), sign = bits >> 31 != 0 ? f->sign : 0u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return (uint8_t)(f->unsigned_zero ? f->nan : f->nan | sign);
  }
  int exponent = (int)(magnitude >> 23) - 127, least = 1 - f->bias;
  uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  int shift = 23 - f->mantissa_bits + (exponent < least ? least - exponent : 0);
  uint32_t code = 0;
  if (magnitude == 0x7f800000u) {
    code = 0x100;
  } else if (shift <= 24) {
    uint32_t half = 1u << (unsigned)(shift - 1), rest = mantissa & (2 * half - 1);
    code = mantissa >> (unsigned)shift;
    code += rest > half || (rest == half && (code & 1u) != 0) ? 1 : 0;
    code += exponent < least ? 0 : (uint32_t)(exponent - least) << f->mantissa_bits;
  }
  if (code > f->max) {
    if (saturate || f->sign != 0x80) {
      return (uint8_t)(f->max | sign);
    }
    return (uint8_t)(f->unsigned_zero ? f->nan : f->infinity | sign);
  }
  return (uint8_t)(code == 0 && f->unsigned_zero ? 0 : code | sign);
}

float weft_small_to_float(weft_type type, uint8_t bits) {
  const small_format *f = small_of(type);
  uint32_t magnitude = bits & (f->sign - 1u), sign = (bits & f->sign) != 0 ? 0x80000000u : 0u;
  if (f->unsigned_zero ? bits == f->nan : magnitude > f->max) {
    bool infinite = magnitude == f->infinity && f->infinity != f->nan;
    return bits_float(sign | (infinite ? 0x7f800000u : 0x7fc00000u));
  }
  uint32_t exponent = magnitude >> f->mantissa_bits, mantissa = magnitude & ((1u << f->mantissa_bits) - 1u);
  if (exponent == 0) {
    float value = (float)mantissa * bits_float((uint32_t)(128 - f->bias - f->mantissa_bits) << 23);
    return sign != 0 ? -value : value;
  }
  return bits_float(sign | (exponent + 127u - f->bias) << 23 | mantissa << (23 - f->mantissa_bits));
}

uint8_t weft_float_to_e8m0(float value, bool saturate, weft_rounding rounding) {
  uint32_t magnitude = float_bits(value) & 0x7fffffffu;
  if (magnitude > 0x7f800000u || (!saturate && (magnitude == 0x7f800000u || magnitude == 0))) {
    return 0xff;
  }
  uint32_t exponent = magnitude >> 23, fraction = magnitude & 0x7fffffu;
  if (rounding == WEFT_ROUND_UP ? fraction != 0 : rounding == WEFT_ROUND_NEAREST && fraction >= 0x400000u) {
    /* The smallest number, 2^-127, is a subnormal of float whose fraction is exactly one half. */
    exponent += exponent == 0 && fraction <= 0x400000u ? 0u : 1u;
  }
  return (uint8_t)(exponent > 0xfe ? (saturate ? 0xfe : 0xff) : exponent);
}

static float e8m0_to_float(uint8_t bits) {
  return bits == 0xff ? bits_float(0x7fc00000u) : bits_float(bits == 0 ? 0x400000u : (uint32_t)bits << 23);
}

float weft_double_to_float_odd(double value) {
  float nearest = (float)value;
  if ((double)nearest == value || isnan(value) || isinf(nearest)) {
    return nearest;
  }
  uint32_t bits = float_bits(nearest);
  if (fabs((double)nearest) > fabs(value)) {
    bits--;
  }
  return bits_float(bits | 1u);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */
#define LOAD(FROM, convert)                                                                                            \
  do {                                                                                                                 \
    const FROM *from = (const FROM *)data + offset;                                                                    \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      out[i] = convert(from[i * step]);                                                                                \
    }                                                                                                                  \
  } while (0)

static int is_not_zero(int64_t value) {
  return value != 0;
}

void weft_load_int64(weft_type type, const void *data, size_t offset, size_t step, size_t n, int64_t *out) {
  switch (type) {
  case WEFT_INT64:
  case WEFT_UINT64:
    LOAD(int64_t, );
    return;
  case WEFT_INT32:
    LOAD(int32_t, );
    return;
  case WEFT_UINT32:
    LOAD(uint32_t, );
    return;
  case WEFT_INT16:
    LOAD(int16_t, );
    return;
  case WEFT_UINT16:
    LOAD(uint16_t, );
    return;
  case WEFT_INT8:
  case WEFT_INT4:
  case WEFT_INT2:
    LOAD(int8_t, );
    return;
  case WEFT_BOOL:
    LOAD(uint8_t, is_not_zero);
    return;
  default:
    LOAD(uint8_t, );
    return;
  }
}

static bool is_whole(weft_type type) {
  return weft_type_is_integer(type) || type == WEFT_BOOL;
}

static void load_whole_float(weft_type type, const void *data, size_t offset, size_t step, size_t n, float *out) {
  int64_t chunk[CHUNK];
  for (size_t done = 0; done < n; done += CHUNK) {
    size_t m = n - done < CHUNK ? n - done : CHUNK;
    weft_load_int64(type, data, offset + done * step, step, m, chunk);
    for (size_t i = 0; i < m; i++) {
      out[done + i] = type == WEFT_UINT64 ? (float)(uint64_t)chunk[i] : (float)chunk[i];
    }
  }
}

void weft_load_float(weft_type type, const void *data, size_t offset, size_t step, size_t n, float *out) {
  const uint8_t *bytes = (const uint8_t *)data + offset;
  switch (type) {
  case WEFT_FLOAT:
    LOAD(float, );
    return;
  case WEFT_DOUBLE:
    LOAD(double, (float));
    return;
  case WEFT_FLOAT16:
    LOAD(uint16_t, weft_float16_to_float);
    return;
  case WEFT_BFLOAT16:
    LOAD(uint16_t, weft_bfloat16_to_float);
    return;
  case WEFT_FLOAT8E8M0:
    LOAD(uint8_t, e8m0_to_float);
    return;
  default:
    if (is_whole(type)) {
      load_whole_float(type, data, offset, step, n, out);
      return;
    }
    for (size_t i = 0; i < n; i++) {
      out[i] = weft_small_to_float(type, bytes[i * step]);
    }
  }
}

void weft_load_double(weft_type type, const void *data, size_t offset, size_t step, size_t n, double *out) {
  int64_t whole[CHUNK];
  float chunk[CHUNK];
  if (type == WEFT_DOUBLE) {
    LOAD(double, );
    return;
  }
  if (type == WEFT_FLOAT) {
    LOAD(float, (double));
    return;
  }
  for (size_t done = 0; done < n; done += CHUNK) {
    size_t m = n - done < CHUNK ? n - done : CHUNK;
    if (is_whole(type)) {
      weft_load_int64(type, data, offset + done * step, step, m, whole);
      for (size_t i = 0; i < m; i++) {
        out[done + i] = type == WEFT_UINT64 ? (double)(uint64_t)whole[i] : (double)whole[i];
      }
      continue;
    }
    weft_load_float(type, data, offset + done * step, step, m, chunk);
    for (size_t i = 0; i < m; i++) {
      out[done + i] = (double)chunk[i];
    }
  }
}

/* ---- storing ----------------------------------------------------------------------------------------------------- */
#define STORE(TO, convert)                                                                                             \
  do {                                                                                                                 \
    TO *to = (TO *)data + offset;                                                                                      \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      to[i * step] = (TO)convert(in[i]);                                                                               \
    }                                                                                                                  \
  } while (0)

/* The low `bits` of value, sign-extended. */
static int64_t low_signed(int64_t value, unsigned bits) {
  uint64_t sign = 1u << (bits - 1), low = (uint64_t)value & (2 * sign - 1);
  return (int64_t)(low ^ sign) - (int64_t)sign;
}
static int64_t low4(int64_t value) {
  return low_signed(value, 4);
}
static int64_t low2(int64_t value) {
  return low_signed(value, 2);
}

void weft_store_int64(weft_type type, const int64_t *in, size_t n, void *data, size_t offset, size_t step) {
  switch (type) {
  case WEFT_INT64:
  case WEFT_UINT64:
    STORE(uint64_t, (uint64_t));
    return;
  case WEFT_INT32:
  case WEFT_UINT32:
    STORE(uint32_t, );
    return;
  case WEFT_INT16:
  case WEFT_UINT16:
    STORE(uint16_t, );
    return;
  case WEFT_INT8:
  case WEFT_UINT8:
    STORE(uint8_t, );
    return;
  case WEFT_INT4:
    STORE(int8_t, low4);
    return;
  case WEFT_INT2:
    STORE(int8_t, low2);
    return;
  case WEFT_UINT4:
    STORE(uint8_t, 15 &);
    return;
  case WEFT_UINT2:
    STORE(uint8_t, 3 &);
    return;
  default:
    STORE(uint8_t, is_not_zero);
    return;
  }
}

/* See convert.h for out-of-range numbers: never undefined, and what x86 compilers give for the narrow types. */
static int64_t double_to_whole(weft_type type, double value) {
  if (isnan(value)) {
    return type == WEFT_BOOL;
  }
  if (type == WEFT_BOOL) {
    return value != 0;
  }
  if (type == WEFT_INT32) {
    return value >= 0x1p31 ? INT32_MAX : value <= -0x1p31 ? INT32_MIN : (int64_t)value;
  }
  if (type == WEFT_UINT64 && value >= 0x1p63) {
    return (int64_t)(value >= 0x1p64 ? UINT64_MAX : (uint64_t)value);
  }
  return value >= 0x1p63 ? INT64_MAX : value <= -0x1p63 ? INT64_MIN : (int64_t)value;
}

static void store_whole(weft_type type, const double *in, size_t n, void *data, size_t offset, size_t step) {
  int64_t chunk[CHUNK];
  for (size_t i = 0; i < n; i++) {
    chunk[i] = double_to_whole(type, in[i]);
  }
  weft_store_int64(type, chunk, n, data, offset, step);
}

static uint8_t to_e8m0(float value) {
  return weft_float_to_e8m0(value, true, WEFT_ROUND_UP);
}

void weft_store_float(weft_type type, const float *in, size_t n, void *data, size_t offset, size_t step) {
  double wide[CHUNK];
  uint8_t *bytes = (uint8_t *)data + offset;
  switch (type) {
  case WEFT_FLOAT:
    STORE(float, );
    return;
  case WEFT_FLOAT16:
    STORE(uint16_t, weft_float_to_float16);
    return;
  case WEFT_BFLOAT16:
    STORE(uint16_t, weft_float_to_bfloat16);
    return;
  case WEFT_DOUBLE:
    STORE(double, (double));
    return;
  case WEFT_FLOAT8E8M0:
    STORE(uint8_t, to_e8m0);
    return;
  default:
    if (!is_whole(type)) {
      for (size_t i = 0; i < n; i++) {
        bytes[i * step] = weft_float_to_small(type, in[i], true);
      }
      return;
    }
    for (size_t done = 0; done < n; done += CHUNK) {
      size_t m = n - done < CHUNK ? n - done : CHUNK;
      for (size_t i = 0; i < m; i++) {
        wide[i] = (double)in[done + i];
      }
      store_whole(type, wide, m, data, offset + done * step, step);
    }
  }
}

void weft_store_double(weft_type type, const double *in, size_t n, void *data, size_t offset, size_t step) {
  float chunk[CHUNK];
  switch (type) {
  case WEFT_DOUBLE:
    STORE(double, );
    return;
  case WEFT_FLOAT:
    STORE(float, (float));
    return;
  default:
    break;
  }
  for (size_t done = 0; done < n; done += CHUNK) {
    size_t m = n - done < CHUNK ? n - done : CHUNK;
    if (is_whole(type)) {
      store_whole(type, in + done, m, data, offset + done * step, step);
      continue;
    }
    for (size_t i = 0; i < m; i++) {
      chunk[i] = weft_double_to_float_odd(in[done + i]);
    }
    weft_store_float(type, chunk, m, data, offset + done * step, step);
  }
}
