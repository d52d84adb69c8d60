/* What tests of loops over elements share: drawing numbers, many of them special, and telling what differs. Each test
 * is one program. */
#ifndef WEFT_TESTS_LOOPS_TEST_H
#define WEFT_TESTS_LOOPS_TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { MOST = 100 };

static int failures;
static uint32_t seed = 1;

static inline uint32_t draw(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}

static inline void check(bool good, const char *what, size_t n, size_t i) {
  if (good || failures > 20) return;
  fprintf(stderr, "%s: element %zu of %zu\n", what, i, n);
  failures++;
}

static inline float draw_float(void) {
  static const float special[] = {NAN,     INFINITY, -INFINITY, 0.0f,     -0.0f,   255.5f, -128.9f,
                                  3e9f,    -3e9f,    1e19f,     -1e19f,   1e30f,   0.5f,   -0.5f,
                                  0x1p31f, -0x1p31f, 0x1p63f,   -0x1p63f, 0x1p24f, 1e-40f, 2.0f};
  if (draw() % 2 == 0) return special[draw() % (sizeof special / sizeof *special)];
  return (float)(draw() % 4001) / 1000.0f - 2.0f;
}

static inline bool is_near(double a, double b, double error) {
  return a == b || fabs(a - b) <= error || (isnan(a) && isnan(b));
}

#endif
