/* Printing and reading of text against the C library's own. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/convert.h"
#include "base/elementary.h"
#include "base/text.h"

static int failures;

static void check(bool good, const char *what, const char *text) {
  if (!good && failures++ < 20) {
    fprintf(stderr, "%s: '%s'\n", what, text);
  }
}

static uint64_t state = 88172645463325252u;
static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

#define SAME_PRINT(...)                                                                                                \
  do {                                                                                                                 \
    for (size_t size = 0; size < 40; size++) {                                                                         \
      char own[64] = "untouched", libc[64] = "untouched";                                                              \
      size_t n = weft_print(own, size, __VA_ARGS__);                                                                   \
      check((int)n == snprintf(libc, size, __VA_ARGS__) && strcmp(own, libc) == 0, "weft_print", own);                 \
    }                                                                                                                  \
  } while (0)

static void test_print(void) {
  SAME_PRINT("plain, %d%%", 7);
  SAME_PRINT("%s and %.3s and %.*s and %.0s.", "one", "three", 2, "two", "none");
  SAME_PRINT("%d %d %u", INT32_MIN, INT32_MAX, UINT32_MAX);
  SAME_PRINT("%ld %lu", -5L, 5UL);
  SAME_PRINT("%lld", (long long)INT64_MIN);
  SAME_PRINT("%llu %zu", (unsigned long long)UINT64_MAX, (size_t)-1);
  SAME_PRINT("'%c' %s", 'x', "");
  const char open[3] = {'a', 'b', 'c'}; /* no end */
  SAME_PRINT("%.3s", open);
}

static bool same(double a, double b) {
  return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void test_read(const char *text) {
  const char *end;
  char *libc_end;
  double own = weft_decimal_read(text, &end, false), libc = strtod(text, &libc_end);
  check(same(own, libc) && end == libc_end, "weft_decimal_read", text);
  float narrow = (float)weft_decimal_read(text, NULL, true), libc_narrow = strtof(text, NULL);
  check(same(narrow, libc_narrow), "weft_decimal_read to odd", text);
}

static void test_whole(const char *text) {
  const char *end;
  char *libc_end;
  check(weft_whole_read(text, &end, false) == strtoll(text, &libc_end, 10) && end == libc_end, "weft_whole_read", text);
  if (strchr(text, '-') == NULL) {
    check((uint64_t)weft_whole_read(text, &end, true) == strtoull(text, &libc_end, 10) && end == libc_end,
          "weft_whole_read without a sign", text);
  }
}

static bool reads_back(weft_type type, const char *text, double value) {
  return type == WEFT_DOUBLE ? strtod(text, NULL) == value : strtof(text, NULL) == (float)value;
}

/* The shortest of the library's own forms. */
static void test_shortest(weft_type type, double value) {
  char own[WEFT_DECIMAL_SIZE], libc[64];
  size_t n = weft_decimal_print(own, type, value, WEFT_DECIMAL_DIGITS);
  int digits = 1;
  for (; digits < 17; digits++) {
    snprintf(libc, sizeof libc, "%.*e", digits - 1, value);
    if (reads_back(type, libc, value)) {
      break;
    }
  }
  snprintf(libc, sizeof libc, "%.*e", digits - 1, value);
  int exponent = atoi(strchr(libc, 'e') + 1);
  if (exponent >= -4 && exponent < 16) {
    int decimals = digits - 1 - exponent;
    snprintf(libc, sizeof libc, "%.*f", decimals > 0 ? decimals : 0, value);
  }
  check(strlen(own) == n && strcmp(own, libc) == 0, libc, own);
}

static void test_reading(void) {
  static const char *const texts[] = {
      "0",
      "-0",
      "+1",
      "  \t12",
      "1.",
      ".5",
      ".",
      "",
      "-",
      "e5",
      "1e",
      "1e+",
      "1e5x",
      "1.5.2",
      "--1",
      "0.000",
      "0e400",
      "1e308",
      "1.7976931348623157e308",
      "1.7976931348623158e308",
      "1.7976931348623159e308",
      "1e309",
      "1e-323",
      "5e-324",
      "2.4703282292062327e-324",
      "2.4703282292062328e-324",
      "1e-400",
      "1e99999999999999999999",
      "-1e-99999999999999999999",
      "9007199254740993",
      "9007199254740992.9999999",
      "3.4028235677973366e38",
      "3.4028235677973365e38",
      "1.17549435e-38",
      "7.0064923216240853e-46",
      "7.0064923216240854e-46",
      "16777217",
      "16777217.0000000000000000001",
      "00000000000000000012",
      "0."
      "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
      "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
      "3456e-100",
      "2.2250738585072011e-308",
      "2.2250738585072014e-308"};
  static const char *const wholes[] = {"0",
                                       "-0",
                                       "12",
                                       "-12x",
                                       " +7",
                                       "",
                                       "x",
                                       "-",
                                       "9223372036854775807",
                                       "9223372036854775808",
                                       "-9223372036854775808",
                                       "-9223372036854775809",
                                       "18446744073709551615",
                                       "18446744073709551616",
                                       "99999999999999999999999",
                                       "18446744073709551609"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    test_read(texts[i]);
  }
  for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
    test_whole(wholes[i]);
  }
}

static void test_any_numbers(void) {
  for (int i = 0; i < 20000; i++) {
    char text[200];
    const uint32_t bits = (uint32_t)next();
    float narrow;
    weft_load_float(WEFT_FLOAT, &bits, 0, 1, 1, &narrow);
    double wide = weft_double_of(next());
    double middling = (double)(int64_t)(next() >> (next() % 64)) * pow(10, -(double)(next() % 12));
    if (isfinite(wide)) {
      test_shortest(WEFT_DOUBLE, wide);
      snprintf(text, sizeof text, "%.*e", (int)(next() % 25), wide);
      test_read(text);
    }
    if (isfinite(narrow)) {
      test_shortest(WEFT_FLOAT, (double)narrow);
      /* halfway between two floats, and a little beside it */
      double half = ((double)narrow + (double)nextafterf(narrow, FLT_MAX)) / 2;
      snprintf(text, sizeof text, "%.112e", half);
      test_read(text);
      snprintf(text, sizeof text, "%.25e", half);
      test_read(text);
    }
    test_shortest(WEFT_DOUBLE, middling);
    test_shortest(WEFT_FLOAT, (double)(float)middling);
    test_shortest(WEFT_DOUBLE, weft_double_of(next() >> 12)); /* subnormal, or 0 */
  }
}

static void test_chosen_numbers(void) {
  for (int i = -330; i < 308; i++) {
    test_shortest(WEFT_DOUBLE, pow(10, i));
    test_shortest(WEFT_DOUBLE, ldexp(1, i));
    test_shortest(WEFT_FLOAT, (double)(float)ldexp(1, i / 3));
  }
  const double kept[] = {DBL_MAX, -DBL_MIN, DBL_TRUE_MIN, -0.0,   0.1, 1e15, 1e16, 123456789012345678.0,
                         1e-5,    9.9e-6,   0.3,          1.0 / 3};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    test_shortest(WEFT_DOUBLE, kept[i]);
  }
  char text[WEFT_DECIMAL_SIZE];
  weft_decimal_print(text, WEFT_FLOAT16, 65504, WEFT_DECIMAL_DIGITS);
  check(strcmp(text, "65504") == 0, "float16", text);
  weft_decimal_print(text, WEFT_BFLOAT16, 9984, WEFT_DECIMAL_DIGITS);
  check(strcmp(text, "9984") == 0, "bfloat16", text);
  weft_decimal_print(text, WEFT_FLOAT16, 0.0999755859375, WEFT_DECIMAL_DIGITS);
  check(strcmp(text, "0.1") == 0, "float16", text);
  const struct {
    double value;
    const char *text;
  } least[] = {{1e-4, "0.0001"}, {9.9e-5, "9.9e-05"}, {1e-5, "1e-05"}};
  for (size_t i = 0; i < sizeof least / sizeof *least; i++) {
    weft_decimal_print(text, WEFT_DOUBLE, least[i].value, WEFT_DECIMAL_DIGITS);
    check(strcmp(text, least[i].text) == 0, least[i].text, text);
  }
  weft_decimal_print(text, WEFT_FLOAT, -(double)INFINITY, WEFT_DECIMAL_DIGITS);
  check(strcmp(text, "-INF") == 0, "infinity", text);
  const char *volatile nothing = NULL;
  weft_print(text, sizeof text, "%s", nothing);
  check(strcmp(text, "(none)") == 0, "no text", text);
}

int main(void) {
  test_print();
  test_reading();
  test_any_numbers();
  test_chosen_numbers();
  return failures != 0;
}
