/* One number of any type. */
#include "number.h"

#include <math.h>
#include <string.h>

double weft_number_at(weft_type type, const void *data, size_t i) {
  switch (type) {
  case WEFT_FLOAT:
    return ((const float *)data)[i];
  case WEFT_DOUBLE:
    return ((const double *)data)[i];
  case WEFT_FLOAT16:
    return weft_float16_to_float(((const uint16_t *)data)[i]);
  case WEFT_BFLOAT16:
    return weft_bfloat16_to_float(((const uint16_t *)data)[i]);
  case WEFT_INT64:
    return (double)((const int64_t *)data)[i];
  case WEFT_UINT64:
    return (double)((const uint64_t *)data)[i];
  case WEFT_INT32:
    return ((const int32_t *)data)[i];
  case WEFT_UINT32:
    return ((const uint32_t *)data)[i];
  case WEFT_INT16:
    return ((const int16_t *)data)[i];
  case WEFT_UINT16:
    return ((const uint16_t *)data)[i];
  case WEFT_INT8:
    return ((const int8_t *)data)[i];
  case WEFT_UINT8:
  case WEFT_BOOL:
    return ((const uint8_t *)data)[i];
  default:
    return 0;
  }
}

size_t weft_number_parts(weft_type type, weft_type *part) {
  bool complex = type == WEFT_COMPLEX64 || type == WEFT_COMPLEX128;
  *part = type == WEFT_COMPLEX64 ? WEFT_FLOAT : complex ? WEFT_DOUBLE : type;
  return complex ? 2 : 1;
}

/* Rounded and kept within [low, high]. */
static double clamped(double value, double low, double high) {
  value = rint(value);
  return value != value ? 0 : value < low ? low : value > high ? high : value;
}

void weft_number_set(weft_type type, void *data, size_t i, double value) {
  switch (type) {
  case WEFT_FLOAT:
    ((float *)data)[i] = (float)value;
    return;
  case WEFT_DOUBLE:
    ((double *)data)[i] = value;
    return;
  case WEFT_FLOAT16:
    ((uint16_t *)data)[i] = weft_float_to_float16((float)value);
    return;
  case WEFT_BFLOAT16:
    ((uint16_t *)data)[i] = weft_float_to_bfloat16((float)value);
    return;
  case WEFT_INT64:
    /* 2^63 itself has no int64; the doubles below it do. */
    ((int64_t *)data)[i] = value >= 0x1p63 ? INT64_MAX : (int64_t)clamped(value, -0x1p63, 0x1p63);
    return;
  case WEFT_UINT64:
    ((uint64_t *)data)[i] = value >= 0x1p64 ? UINT64_MAX : (uint64_t)clamped(value, 0, 0x1p64);
    return;
  case WEFT_INT32:
    ((int32_t *)data)[i] = (int32_t)clamped(value, INT32_MIN, INT32_MAX);
    return;
  case WEFT_UINT32:
    ((uint32_t *)data)[i] = (uint32_t)clamped(value, 0, UINT32_MAX);
    return;
  case WEFT_INT16:
    ((int16_t *)data)[i] = (int16_t)clamped(value, INT16_MIN, INT16_MAX);
    return;
  case WEFT_UINT16:
    ((uint16_t *)data)[i] = (uint16_t)clamped(value, 0, UINT16_MAX);
    return;
  case WEFT_INT8:
    ((int8_t *)data)[i] = (int8_t)clamped(value, INT8_MIN, INT8_MAX);
    return;
  case WEFT_UINT8:
    ((uint8_t *)data)[i] = (uint8_t)clamped(value, 0, UINT8_MAX);
    return;
  case WEFT_BOOL:
    ((uint8_t *)data)[i] = value != 0;
    return;
  default:
    return;
  }
}

static const uint64_t sign_bit = (uint64_t)1 << 63;

uint64_t weft_number_key(weft_type type, const void *data, size_t i) {
  if (type == WEFT_INT64) {
    return ((const uint64_t *)data)[i] ^ sign_bit;
  }
  if (type == WEFT_UINT64) {
    return ((const uint64_t *)data)[i];
  }
  /* All other types fit in a double, whose bits are in order once negative ones are turned round. */
  double value = weft_number_at(type, data, i);
  uint64_t bits;
  if (value != value) {
    return UINT64_MAX;
  }
  value = value == 0 ? 0 : value;
  memcpy(&bits, &value, sizeof bits);
  return (bits & sign_bit) != 0 ? ~bits : bits | sign_bit;
}
