/* Conversions between element types: every code of the small floats survives the way to float and back, rounding is to
 * nearest even and happens once, out-of-range numbers do what convert.h says. */
#include "base/convert.h"

#include <math.h>
#include <stdio.h>

static int failures;

static void expect(const char *what, double expected, double found) {
  if (!(expected == found || (isnan(expected) && isnan(found)))) {
    fprintf(stderr, "%s: expected %g, found %g\n", what, expected, found);
    failures++;
  }
}

static void all_codes(void) {
  static const weft_type types[] = {WEFT_FLOAT8E4M3FN, WEFT_FLOAT8E4M3FNUZ, WEFT_FLOAT8E5M2, WEFT_FLOAT8E5M2FNUZ,
                                    WEFT_FLOAT6E2M3,   WEFT_FLOAT6E3M2,     WEFT_FLOAT4E2M1};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    for (int code = 0; code < 1 << weft_type_bits(types[t]); code++) {
      float value = weft_small_to_float(types[t], (uint8_t)code);
      uint8_t back = weft_float_to_small(types[t], value, false);
      expect(weft_type_name(types[t]), (double)value, (double)weft_small_to_float(types[t], back));
      if (!isnan(value)) {
        expect(weft_type_name(types[t]), code, back);
      }
    }
  }
}

static double through(weft_type type, double value) {
  uint64_t room = 0;
  weft_store_double(type, &value, 1, &room, 0, 1);
  weft_load_double(type, &room, 0, 1, 1, &value);
  return value;
}

static void edges(void) {
  expect("E4M3FN saturates", 448, through(WEFT_FLOAT8E4M3FN, 1e9));
  expect("E4M3FN without saturation", (double)NAN,
         (double)weft_small_to_float(WEFT_FLOAT8E4M3FN, weft_float_to_small(WEFT_FLOAT8E4M3FN, 1e9f, false)));
  expect("E5M2 without saturation", (double)INFINITY,
         (double)weft_small_to_float(WEFT_FLOAT8E5M2, weft_float_to_small(WEFT_FLOAT8E5M2, 1e9f, false)));
  expect("E4M3FN ties to even", 16, through(WEFT_FLOAT8E4M3FN, 17));
  expect("E2M3 saturates", 7.5,
         (double)weft_small_to_float(WEFT_FLOAT6E2M3, weft_float_to_small(WEFT_FLOAT6E2M3, 8, false)));
  expect("E3M2 saturates", -28, through(WEFT_FLOAT6E3M2, -INFINITY));
  expect("E2M3 has subnormals", 0.125, through(WEFT_FLOAT6E2M3, 0.13));
  expect("E3M2 ties to even", 0.0, through(WEFT_FLOAT6E3M2, 0.03125));
  expect("E8M0 rounds up", 4, through(WEFT_FLOAT8E8M0, 3));
  expect("E8M0 down", 128, weft_float_to_e8m0(3, true, WEFT_ROUND_DOWN));
  expect("float16 is rounded once", 1 + 0x1p-10, through(WEFT_FLOAT16, 1 + 0x1p-11 + 0x1p-40));
  expect("int8 keeps the low bits", -56, through(WEFT_INT8, 200));
  expect("uint8 of a negative number", 255, through(WEFT_UINT8, -1.5));
  expect("int32 saturates", INT32_MAX, through(WEFT_INT32, 1e20));
  expect("uint64 at its end", 0x1p63, through(WEFT_UINT64, 0x1p63));
  expect("NaN as an integer", 0, through(WEFT_INT64, (double)NAN));
  expect("NaN as bool", 1, through(WEFT_BOOL, (double)NAN));
  expect("int4 keeps its sign", -7, through(WEFT_INT4, 9));
}

static void steps(void) {
  const int16_t from[] = {1, 2, 3, 4, 5, 6};
  float to[6] = {0}, block[3];
  weft_load_float(WEFT_INT16, from, 1, 2, 3, block);
  weft_store_float(WEFT_FLOAT, block, 3, to, 0, 2);
  for (size_t i = 0; i < 6; i++) {
    expect("steps", i % 2 == 0 ? (double)(i + 2) : 0, (double)to[i]);
  }
}

int main(void) {
  all_codes();
  edges();
  steps();
  return failures != 0;
}
