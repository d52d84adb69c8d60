/* The tables of kernels with relaxed SIMD, in builds for hosts that have it; natively too, for the tests. They differ
 * in what they need of the relaxed dot product; the probe says which of them is right on this host, if any is. */
#if defined(WEFT_RELAXED) || !defined(__wasm__)

#define TABLE_NAME "relaxed"
#define FUSED 1
#include "simd/tables.h"

#include "simd/table.h"

const weft_kernels weft_kernels_relaxed = {ENTRIES(pairs)};
const weft_kernels weft_kernels_relaxed_limited = {ENTRIES(limited)};
const weft_kernels weft_kernels_relaxed_signed = {ENTRIES(signed_quads), .has_dot_i8 = true};
const weft_kernels weft_kernels_relaxed_unsigned = {ENTRIES(unsigned_quads), .has_dot_i8 = true};

/* Whether the dot product of bytes is exact for 4 equal pairs of a signed byte and one of the form's kind. */
static bool dot_is_exact(int32_t b, int32_t a, const i8_form form) {
  volatile int8_t bytes[2] = {(int8_t)b, (int8_t)a}; /* not for the compiler to work out */
  v128_t y = wasm_i8x16_splat(bytes[0]), x = wasm_i8x16_splat(bytes[1]);
  v128_t sums = i8_step_of(x, y, wasm_i32x4_splat(1000), wasm_i16x8_splat(1), form);
  return wasm_i32x4_extract_lane(sums, 0) == 1000 + 4 * b * a;
}

/* Whether a multiply-add rounds once. Where it does not, nothing is gained by it; and V8 (of Node.js 24 at least) then
 * makes x y + x y of x y + y on processors without AVX. */
static bool multiply_add_is_fused(void) {
  volatile float numbers[2] = {0x1.001p0f, -0x1.002p0f}; /* the product of the first with itself has one bit too many */
  real x = r_set(numbers[0]);
  return wasm_f32x4_extract_lane(r_madd(x, x, r_set(numbers[1])), 0) != 0.0f;
}

const weft_kernels *weft_kernels_probe_relaxed(void) {
  if (!multiply_add_is_fused()) return NULL;
  const i8_form u = UNSIGNED_QUADS, i = SIGNED_QUADS;
  if (dot_is_exact(127, 255, u) && dot_is_exact(-128, 255, u) && dot_is_exact(-128, 128, u) &&
      dot_is_exact(127, 127, u)) {
    return &weft_kernels_relaxed_unsigned;
  }
  if (dot_is_exact(127, -128, i) && dot_is_exact(-128, -128, i) && dot_is_exact(-128, 127, i)) {
    return &weft_kernels_relaxed_signed;
  }
  if (dot_is_exact(64, 255, LIMITED_B) && dot_is_exact(-64, 255, LIMITED_B)) return &weft_kernels_relaxed_limited;
  return &weft_kernels_relaxed;
}

#else
typedef int nothing; /* ISO C wants a declaration in every file */
#endif
