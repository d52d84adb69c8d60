/* What compilers are told about loops that they are to make vectors of. */
#ifndef WEFT_KERNELS_LOOPS_H
#define WEFT_KERNELS_LOOPS_H

/* Elements do not depend on each other, also where a result takes the place of an operand. Without vectors clang would
 * warn that there are none. */
#if defined(__clang__) && (!defined(__wasm__) || defined(__wasm_simd128__))
#define EACH_ALONE _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__) && !defined(__clang__)
#define EACH_ALONE _Pragma("GCC ivdep")
#else
#define EACH_ALONE
#endif

/* A function of whole numbers that is as fast when it is small. */
#if defined(__clang__)
#define SMALL_CODE __attribute__((minsize, noinline))
#else
#define SMALL_CODE
#endif

/* Coefficients of loops are read before these, as numbers that compilers do not know: V8 builds a v128.const anew at
 * every use. */
#if defined(__GNUC__)
#define UNKNOWN(pointer) __asm__("" : "+r"(pointer))
#else
#define UNKNOWN(pointer) (void)pointer
#endif
#define READ_AHEAD(name, constants)                                                                                    \
  double name[sizeof constants / sizeof *constants];                                                                   \
  const double *name##_from = constants;                                                                               \
  UNKNOWN(name##_from);                                                                                                \
  for (size_t c = 0; c < sizeof name / sizeof *name; c++)                                                              \
  name[c] = name##_from[c]

/* A loop from one array to another, which may be the same where elements are as large; an element is `a`. */
#define CONVERT(name, FROM, TO, expression)                                                                            \
  static void name(size_t n, const void *x, void *y) {                                                                 \
    const FROM *p = x;                                                                                                 \
    TO *r = y;                                                                                                         \
    EACH_ALONE                                                                                                         \
    for (size_t i = 0; i < n; i++) {                                                                                   \
      const FROM a = p[i];                                                                                             \
      r[i] = (TO)(expression);                                                                                         \
    }                                                                                                                  \
  }

#endif
