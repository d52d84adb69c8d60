/* The words of src/kernels/approximations.h for four floats at a time, and loads and stores. In wasm they are
 * intrinsics; natively SIMDe translates the same intrinsics, so that sanitizers see the code that ships. FUSED says
 * whether the file is compiled for the relaxed table: then a multiply-add may round once, whichever the host does
 * faster. */
#ifndef WEFT_SIMD_VECTOR_H
#define WEFT_SIMD_VECTOR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__wasm__)
#include <wasm_simd128.h>
#else
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/wasm/simd128.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define NOT_INLINE __attribute__((noinline))

/* In front of a loop whose unrolling would cost registers. */
#if defined(__clang__)
#define NOT_UNROLLED _Pragma("clang loop unroll(disable)")
/* And where arrays are registers only if it is. */
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define NOT_UNROLLED
#define UNROLLED
#endif

/* Makes clang finish v here. Left alone it turns a chain of multiply-adds into one expression, whose operands are all
 * loaded before its first instruction: more than there are registers. */
#if defined(__wasm__)
#define FINISHED(v) __asm__ volatile("" : "+r"(v))
#else
#define FINISHED(v) (void)(v)
#endif

/* Steps of the hottest loops a turn. Several leave out address computations, counting and checks: where another thread
 * shares the core, the number of instructions is the time. But wasmtime and engines that know no relaxed instructions
 * load for all steps before they multiply, and spill (tests/bench/NOTES.md). */
enum { STEPS = FUSED ? 4 : 1 };

enum { LANES = 4 };

typedef v128_t real;
typedef v128_t bits;
typedef v128_t mask;
/* Four reals in double precision. */
typedef struct wide {
  v128_t low, high;
} wide;

/* Constants of loops. V8 builds a v128.const anew from general registers at every use, so for the web they are loaded
 * where they are used, and compilers kept from knowing them: e^x takes 1.6 times as long otherwise. In wasmtime it takes
 * 1.6 times as long with such loads, which are three instructions there, and a constant is an operand in memory. */
INLINE v128_t load_constant(const void *p) {
  __asm__("" : "+r"(p));
  return wasm_v128_load32_splat(p);
}
#if defined(__EMSCRIPTEN__)
#define R_CONST(x)                                                                                                     \
  ({                                                                                                                   \
    static const float constant = (x);                                                                                 \
    load_constant(&constant);                                                                                          \
  })
#define B_CONST(x)                                                                                                     \
  ({                                                                                                                   \
    static const uint32_t constant = (x);                                                                              \
    load_constant(&constant);                                                                                          \
  })
#else
#define R_CONST(x) wasm_f32x4_splat(x)
#define B_CONST(x) wasm_i32x4_splat((int32_t)(x))
#endif

INLINE wide w_load(const double *p) {
  __asm__("" : "+r"(p));
  const v128_t both = wasm_v128_load64_splat(p);
  return (wide){both, both};
}
#define W_CONST(x)                                                                                                     \
  ({                                                                                                                   \
    static const double constant = (x);                                                                                \
    w_load(&constant);                                                                                                 \
  })

INLINE real r_set(float x) {
  return wasm_f32x4_splat(x);
}
INLINE real r_load(const float *p) {
  return load_constant(p);
}
INLINE real r_add(real a, real b) {
  return wasm_f32x4_add(a, b);
}
INLINE real r_sub(real a, real b) {
  return wasm_f32x4_sub(a, b);
}
INLINE real r_mul(real a, real b) {
  return wasm_f32x4_mul(a, b);
}
INLINE real r_div(real a, real b) {
  return wasm_f32x4_div(a, b);
}
/* a * b + c. Natively the relaxed form is two roundings as well, which is one of the meanings it may have. */
INLINE real r_madd(real a, real b, real c) {
#if FUSED && defined(__wasm__)
  return wasm_f32x4_relaxed_madd(a, b, c);
#else
  return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
#endif
}
/* x - n ln 2; in one part where the product is not rounded. */
INLINE real r_without_ln2(real n, real x) {
#if FUSED && defined(__wasm__)
  return r_madd(n, R_CONST(-0x1.62e43p-1f), x);
#else
  return r_madd(n, R_CONST(2.12194440e-4f), r_madd(n, R_CONST(-0.693359375f), x));
#endif
}
/* NaN in the first argument stays; one instruction on x86, unlike f32x4.min and max. */
INLINE real r_at_least(real x, real low) {
  return wasm_f32x4_pmax(x, low);
}
INLINE real r_at_most(real x, real high) {
  return wasm_f32x4_pmin(x, high);
}
INLINE real r_abs(real x) {
  return wasm_f32x4_abs(x);
}
INLINE real r_sqrt(real x) {
  return wasm_f32x4_sqrt(x);
}
INLINE real r_floor(real x) {
  return wasm_f32x4_floor(x);
}
INLINE real r_ceil(real x) {
  return wasm_f32x4_ceil(x);
}
INLINE real r_round(real x) {
  return wasm_f32x4_nearest(x);
}
INLINE real r_min(real a, real b) {
  return wasm_f32x4_min(a, b);
}
INLINE real r_max(real a, real b) {
  return wasm_f32x4_max(a, b);
}
INLINE real r_neg(real x) {
  return wasm_f32x4_neg(x);
}
INLINE real r_copysign(real magnitude, real sign) {
  return wasm_v128_bitselect(sign, magnitude, B_CONST(0x80000000u));
}
INLINE real r_with_sign(real x, real sign) {
  return wasm_v128_or(x, wasm_v128_and(sign, B_CONST(0x80000000u)));
}
INLINE mask r_less(real a, real b) {
  return wasm_f32x4_lt(a, b);
}
INLINE mask r_equal(real a, real b) {
  return wasm_f32x4_eq(a, b);
}
INLINE real r_select(mask m, real a, real b) {
  return wasm_v128_bitselect(a, b, m);
}
INLINE real r_unless(mask m, real x) {
  return wasm_v128_andnot(x, m);
}
INLINE bits b_of(real x) {
  return x;
}
INLINE real b_as_real(bits b) {
  return b;
}
INLINE bits b_add(bits a, bits b) {
  return wasm_i32x4_add(a, b);
}
INLINE bits b_sub(bits a, bits b) {
  return wasm_i32x4_sub(a, b);
}
INLINE bits b_and(bits a, bits b) {
  return wasm_v128_and(a, b);
}
INLINE bits b_shift_left(bits a, unsigned n) {
  return wasm_i32x4_shl(a, n);
}
INLINE bits b_shift_right(bits a, unsigned n) {
  return wasm_i32x4_shr(a, n);
}
INLINE real b_to_real(bits a) {
  return wasm_f32x4_convert_i32x4(a);
}

INLINE mask b_below(bits a, bits b) {
  return wasm_u32x4_lt(a, b);
}
INLINE mask m_and(mask a, mask b) {
  return wasm_v128_and(a, b);
}
INLINE mask m_or(mask a, mask b) {
  return wasm_v128_or(a, b);
}
INLINE mask m_not(mask a) {
  return wasm_v128_not(a);
}
INLINE bool m_all(mask a) {
  return wasm_i32x4_all_true(a);
}
/* z where the mask is set, elsewhere the function of x and y: for what is rare. */
static NOT_INLINE real r_otherwise(mask m, real z, double (*function)(double, double), real x, real y) {
  float p[LANES], q[LANES], r[LANES];
  int32_t given[LANES];
  wasm_v128_store(p, x);
  wasm_v128_store(q, y);
  wasm_v128_store(r, z);
  wasm_v128_store(given, m);
  for (int i = 0; i < LANES; i++) {
    if (given[i] == 0) r[i] = (float)function((double)p[i], (double)q[i]);
  }
  return wasm_v128_load(r);
}

INLINE wide w_of(real x) {
  return (wide){wasm_f64x2_promote_low_f32x4(x), wasm_f64x2_promote_low_f32x4(wasm_i32x4_shuffle(x, x, 2, 3, 0, 1))};
}
INLINE real r_of(wide x) {
  return wasm_i32x4_shuffle(wasm_f32x4_demote_f64x2_zero(x.low), wasm_f32x4_demote_f64x2_zero(x.high), 0, 1, 4, 5);
}
INLINE wide w_add(wide a, wide b) {
  return (wide){wasm_f64x2_add(a.low, b.low), wasm_f64x2_add(a.high, b.high)};
}
INLINE wide w_sub(wide a, wide b) {
  return (wide){wasm_f64x2_sub(a.low, b.low), wasm_f64x2_sub(a.high, b.high)};
}
INLINE wide w_mul(wide a, wide b) {
  return (wide){wasm_f64x2_mul(a.low, b.low), wasm_f64x2_mul(a.high, b.high)};
}
INLINE wide w_div(wide a, wide b) {
  return (wide){wasm_f64x2_div(a.low, b.low), wasm_f64x2_div(a.high, b.high)};
}
INLINE wide w_at_least(wide a, wide b) {
  return (wide){wasm_f64x2_pmax(a.low, b.low), wasm_f64x2_pmax(a.high, b.high)};
}
INLINE wide w_at_most(wide a, wide b) {
  return (wide){wasm_f64x2_pmin(a.low, b.low), wasm_f64x2_pmin(a.high, b.high)};
}
INLINE wide w_truncate(wide x) {
  return (wide){wasm_f64x2_trunc(x.low), wasm_f64x2_trunc(x.high)};
}
INLINE bits w_low_bits(wide x) {
  return wasm_i32x4_shuffle(x.low, x.high, 0, 2, 4, 6);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */
INLINE real load(const float *p) {
  return wasm_v128_load(p);
}
INLINE void store(float *p, real x) {
  wasm_v128_store(p, x);
}
INLINE real load_splat(const float *p) {
  return wasm_v128_load32_splat(p);
}
/* The first n < LANES elements, the others zero. */
INLINE real load_part(const float *p, size_t n) {
  if ((n & 2) == 0) return (n & 1) == 0 ? r_set(0.0f) : wasm_v128_load32_zero(p);
  real low = wasm_v128_load64_zero(p);
  return (n & 1) == 0 ? low : wasm_v128_load32_lane(p + 2, low, 2);
}
INLINE void store_part(float *p, real x, size_t n) {
  if ((n & 2) != 0) {
    wasm_v128_store64_lane(p, x, 0);
    if ((n & 1) != 0) wasm_v128_store32_lane(p + 2, x, 2);
  } else if ((n & 1) != 0) {
    wasm_v128_store32_lane(p, x, 0);
  }
}

/* The first n elements, or all there are in a vector. */
INLINE real load_some(const float *p, size_t n) {
  return n >= LANES ? load(p) : load_part(p, n);
}
INLINE void store_some(float *p, real x, size_t n) {
  if (n >= LANES) {
    store(p, x);
  } else {
    store_part(p, x, n);
  }
}

/* Short rows are copied and cleared by loops of our own, as these: memcpy and memset become instructions that V8
 * runs as calls, and clang would make them of the loops too. */
#if defined(__clang__)
#define NO_IDIOMS __attribute__((no_builtin("memcpy", "memset", "memmove")))
#else
#define NO_IDIOMS
#endif

NO_IDIOMS static void clear_floats(float *to, size_t n) {
  const real zero = r_set(0.0f);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    store(to + i, zero);
  }
  store_part(to + i, zero, n - i);
}

/* (a0 + a2) + (a1 + a3) */
INLINE float add_lanes(real a) {
  real halves = r_add(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
  return wasm_f32x4_extract_lane(halves, 0) + wasm_f32x4_extract_lane(halves, 1);
}

#endif
