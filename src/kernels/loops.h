/* What compilers are told about loops that they are to make vectors of. */
#ifndef WEFT_KERNELS_LOOPS_H
#define WEFT_KERNELS_LOOPS_H

/* Elements do not depend on each other, also where a result takes the place of an operand. Without vectors clang would
 * warn that there are none. */
#if defined(__clang__) && (!defined(__wasm__) || defined(__wasm_simd128__))
#define EACH_ALONE _Pragma("clang loop vectorize(assume_safety)")
/* The same for bytes made of larger elements, of which clang takes only as many at once as make one vector. */
#define EACH_TO_BYTE _Pragma("clang loop vectorize(assume_safety) vectorize_width(16)")
#elif defined(__GNUC__) && !defined(__clang__)
#define EACH_ALONE _Pragma("GCC ivdep")
#define EACH_TO_BYTE EACH_ALONE
#else
#define EACH_ALONE
#define EACH_TO_BYTE
#endif

/* In front of a loop of which vectors would be bytes alone. */
#if defined(__clang__)
#define NO_VECTORS _Pragma("clang loop vectorize(disable)")
#else
#define NO_VECTORS
#endif

/* A function of whole numbers that is as fast when it is small. */
#if defined(__clang__)
#define SMALL_CODE __attribute__((minsize, noinline))
#else
#define SMALL_CODE
#endif

/* Elements that are looked at together, for what is rare, before all are treated alike. */
enum { TOGETHER = 32 };

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
#define CONVERT(name, FROM, TO, expression) CONVERT_LOOP(name, FROM, TO, expression, EACH_ALONE)
#define CONVERT_TO_BYTE(name, FROM, expression) CONVERT_LOOP(name, FROM, uint8_t, expression, EACH_TO_BYTE)
#define CONVERT_LOOP(name, FROM, TO, expression, EACH)                                                                 \
  static void name(size_t n, const void *x, void *y) {                                                                 \
    const FROM *p = x;                                                                                                 \
    TO *r = y;                                                                                                         \
    EACH for (size_t i = 0; i < n; i++) {                                                                              \
      const FROM a = p[i];                                                                                             \
      r[i] = (TO)(expression);                                                                                         \
    }                                                                                                                  \
  }

#endif
