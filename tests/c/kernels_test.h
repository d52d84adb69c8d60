/* What tests of kernels share: drawing numbers, blocks of exactly the size a kernel may touch, so that AddressSanitizer
 * sees every step beside them, and comparing a table with the portable one. Each test is one program. */
#ifndef WEFT_TESTS_KERNELS_TEST_H
#define WEFT_TESTS_KERNELS_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "simd/tables.h"

static const weft_kernels *portable = &weft_kernels_portable;
static const weft_kernels *tested; /* the table at work */
static bool fused;                 /* whether it may round less often */
static int failures;
static uint32_t seed = 1;

static inline uint32_t draw(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}

static inline float draw_float(void) {
  return (float)(draw() % 4001) / 1000.0f - 2.0f;
}

static inline float from_bits(uint32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}

static inline uint32_t to_bits(float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

/* Any float: mostly tame, now and then something special. */
static inline float draw_special(void) {
  static const float special[] = {0.0f,    -0.0f,     INFINITY, -INFINITY, NAN,  1e-40f,
                                  -1e-40f, 0x1p-149f, 3e38f,    -3e38f,    1e10f};
  uint32_t r = draw() % 8;
  if (r == 0) return special[draw() % (sizeof special / sizeof *special)];
  if (r == 1) return from_bits(draw() << 8 ^ draw());
  return 5.0f * draw_float();
}

/* A block of exactly n elements that does not begin at 16 bytes, zero without `value`; to be freed by way of drop. */
static inline float *make(size_t n, float (*value)(void)) {
  float *block = calloc(n + 1, sizeof(float));
  if (block == NULL) exit(2);
  for (size_t i = 0; value != NULL && i < n; i++) {
    block[i + 1] = value();
  }
  return block + 1;
}

static inline float *copy_of(size_t n, const float *x) {
  float *y = make(n, NULL);
  memcpy(y, x, n * sizeof(float));
  return y;
}

static inline void drop(float *x) {
  free(x - 1);
}

static inline void fail(const char *what, size_t at, double got, double wanted) {
  if (failures++ < 20) {
    fprintf(stderr, "%s of %s: element %zu is %.9g, wanted %.9g\n", what, tested != NULL ? tested->name : "portable",
            at, got, wanted);
  }
}

static inline bool close_to(float got, float wanted, float tolerance) {
  if (isnan(got) || isnan(wanted)) return isnan(got) && isnan(wanted);
  if (got == wanted) return true;
  return fabsf(got - wanted) <= tolerance * (1.0f + fabsf(wanted));
}

static inline void expect_close(const char *what, size_t n, const float *got, const float *wanted, float tolerance) {
  for (size_t i = 0; i < n; i++) {
    if (!close_to(got[i], wanted[i], tolerance)) fail(what, i, (double)got[i], (double)wanted[i]);
  }
}

/* The same bits but for NaN; zeros keep their sign. */
static inline void expect_same(const char *what, size_t n, const float *got, const float *wanted) {
  if (fused) {
    expect_close(what, n, got, wanted, 1e-4f);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    if (to_bits(got[i]) != to_bits(wanted[i]) && !(isnan(got[i]) && isnan(wanted[i]))) {
      fail(what, i, (double)got[i], (double)wanted[i]);
    }
  }
}

static inline void expect_bytes(const char *what, size_t n, const void *got, const void *wanted) {
  for (size_t i = 0; i < n; i++) {
    if (((const uint8_t *)got)[i] != ((const uint8_t *)wanted)[i]) {
      fail(what, i, ((const uint8_t *)got)[i], ((const uint8_t *)wanted)[i]);
    }
  }
}

static inline size_t below(size_t n) {
  return draw() % n;
}

static inline void fill_bytes(size_t n, uint8_t *x) {
  for (size_t i = 0; i < n; i++) {
    x[i] = (uint8_t)(draw() % 3 == 0 ? (draw() % 2 == 0 ? 255 : 128) : draw());
  }
}

static inline void *allocate(size_t size) {
  void *block = malloc(size);
  if (block == NULL && size > 0) exit(2);
  return block;
}

/* Runs `check` for every table that this build may take here; gives the exit code. */
static int check_tables(void (*check)(void)) {
#if defined(__wasm__) && defined(WEFT_RELAXED)
  const weft_kernels *chosen = weft_kernels_choose(false); /* NULL where relaxed instructions are not fused */
#endif
  struct {
    const weft_kernels *table;
    bool fuses;
  } tables[] = {
      {portable, false},
      {&weft_kernels_simd, false},
#if defined(__wasm__) && defined(WEFT_RELAXED)
      {chosen != NULL ? &weft_kernels_relaxed : NULL, true},
      {chosen, true},
#elif !defined(__wasm__)
      {&weft_kernels_relaxed, false},
      {&weft_kernels_relaxed_limited, false},
      {&weft_kernels_relaxed_signed, false}, /* natively the dot product means what each table wants */
      {&weft_kernels_relaxed_unsigned, false},
#endif
  };
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    if (tables[i].table == NULL) continue;
    tested = tables[i].table;
    fused = tables[i].fuses;
    check();
  }
  if (failures > 0) fprintf(stderr, "%d failures\n", failures);
  return failures > 0;
}

#endif
