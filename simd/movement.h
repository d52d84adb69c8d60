/* Elements moved or changed in width. */

/* Four rows become four columns. */
INLINE void transpose_4x4(real r[4]) {
  real a = wasm_i32x4_shuffle(r[0], r[1], 0, 4, 1, 5), b = wasm_i32x4_shuffle(r[0], r[1], 2, 6, 3, 7);
  real c = wasm_i32x4_shuffle(r[2], r[3], 0, 4, 1, 5), d = wasm_i32x4_shuffle(r[2], r[3], 2, 6, 3, 7);
  r[0] = wasm_i64x2_shuffle(a, c, 0, 2);
  r[1] = wasm_i64x2_shuffle(a, c, 1, 3);
  r[2] = wasm_i64x2_shuffle(b, d, 0, 2);
  r[3] = wasm_i64x2_shuffle(b, d, 1, 3);
}

/* Whole 4 x 4 squares, 16 rows at a time so that lines of the cache are filled before they are left. */
static void transpose_squares(size_t rows, size_t columns, const float *in, size_t in_stride, float *out,
                              size_t out_stride) {
  for (size_t i0 = 0; i0 < rows; i0 += 16) {
    size_t i1 = rows - i0 < 16 ? rows : i0 + 16;
    for (size_t j = 0; j < columns; j += LANES) {
      for (size_t i = i0; i < i1; i += LANES) {
        real r[LANES];
        for (size_t t = 0; t < LANES; t++) {
          r[t] = load(in + (i + t) * in_stride + j);
        }
        transpose_4x4(r);
        for (size_t t = 0; t < LANES; t++) {
          store(out + (j + t) * out_stride + i, r[t]);
        }
      }
    }
  }
}

static void transpose(size_t rows, size_t columns, size_t element_size, const void *in, size_t in_stride, void *out,
                      size_t out_stride) {
  if (element_size != sizeof(float)) {
    weft_portable_transpose(rows, columns, element_size, in, in_stride, out, out_stride);
    return;
  }
  const float *from = in;
  float *to = out;
  size_t r = rows / LANES * LANES, c = columns / LANES * LANES;
  transpose_squares(r, c, from, in_stride, to, out_stride);
  weft_portable_transpose(rows - r, c, sizeof(float), from + r * in_stride, in_stride, to + r, out_stride);
  weft_portable_transpose(rows, columns - c, sizeof(float), from + c, in_stride, to + c * out_stride, out_stride);
}

/* Exponent and fraction of a half, moved to a float's places, are 2^112 too small; infinities and NaN get their
 * exponent. */
INLINE real half_to_real(bits h) {
  bits magnitude = b_shift_left(b_and(h, B_CONST(0x7fff)), 13);
  real y = r_mul(b_as_real(magnitude), R_CONST(0x1p112f));
  mask special = wasm_i32x4_ge(magnitude, B_CONST(0x0f800000u));
  y = wasm_v128_or(y, wasm_v128_and(special, B_CONST(0x7f800000u)));
  return wasm_v128_or(y, b_shift_left(b_and(h, B_CONST(0x8000)), 16));
}

/* To nearest, ties to even: by adding what makes the dropped bits carry, or for subnormals by an addition whose unit in
 * the last place is the smallest half. */
INLINE bits half_of_real(real x) {
  bits magnitude = b_and(b_of(x), B_CONST(0x7fffffffu));
  bits odd = b_and(wasm_u32x4_shr(magnitude, 13), B_CONST(1));
  bits normal = b_add(b_add(magnitude, B_CONST(0xc8000fffu)), odd);
  normal = wasm_u32x4_shr(normal, 13);
  bits tiny = b_sub(b_of(r_add(b_as_real(magnitude), R_CONST(0.5f))), B_CONST(0x3f000000u));
  bits y = r_select(wasm_i32x4_lt(magnitude, B_CONST(0x38800000u)), tiny, normal);
  y = r_select(wasm_i32x4_ge(magnitude, B_CONST(0x477ff000u)), B_CONST(0x7c00), y);
  y = r_select(wasm_i32x4_gt(magnitude, B_CONST(0x7f800000u)), B_CONST(0x7e00), y);
  return wasm_v128_or(y, b_and(wasm_u32x4_shr(b_of(x), 16), B_CONST(0x8000)));
}

INLINE bits bfloat_of_real(real x) {
  bits b = b_of(x);
  bits odd = b_and(wasm_u32x4_shr(b, 16), B_CONST(1));
  bits rounded = b_add(b_add(b, B_CONST(0x7fff)), odd);
  bits quiet = wasm_v128_or(b, B_CONST(0x400000));
  return wasm_u32x4_shr(r_select(wasm_f32x4_ne(x, x), quiet, rounded), 16);
}

INLINE real bfloat_to_real(bits b) {
  return b_shift_left(b, 16);
}

typedef real (*widening)(bits);
typedef bits (*narrowing)(real);

INLINE void widen(size_t n, const uint16_t *x, float *y, widening function) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    store(y + i, function(wasm_u32x4_load16x4(x + i)));
  }
  if (i < n) {
    uint16_t part[LANES] = {0};
    memcpy(part, x + i, (n - i) * sizeof *x);
    store_part(y + i, function(wasm_u32x4_load16x4(part)), n - i);
  }
}

INLINE void narrow(size_t n, const float *x, uint16_t *y, narrowing function) {
  size_t i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    wasm_v128_store(y + i, wasm_u16x8_narrow_i32x4(function(load(x + i)), function(load(x + i + LANES))));
  }
  for (; i < n; i++) {
    y[i] = (uint16_t)wasm_i32x4_extract_lane(function(load_splat(x + i)), 0);
  }
}

/* HALF_PART of a half that is a number and whose sign has been extended. */
#define HALF_PART 0x1p-112f
INLINE real finite_half_to_part(bits h) {
  return b_as_real(b_and(b_shift_left(h, 13), B_CONST(0x8fffe000u)));
}

/* The number itself. */
INLINE real finite_half_to_real(bits h) {
  return r_mul(finite_half_to_part(h), R_CONST(1 / HALF_PART));
}

/* Sixteen at once are looked at for infinities and NaN, which are rare. */
static void float16_to_f32(size_t n, const uint16_t *x, float *y) {
  const v128_t rest = wasm_i16x8_splat(0x7fff), infinity = wasm_i16x8_splat(0x7c00);
  for (; n >= 16; n -= 16, x += 16, y += 16) {
    const v128_t a = wasm_v128_load(x), b = wasm_v128_load(x + 8);
    const v128_t most = wasm_i16x8_max(wasm_v128_and(a, rest), wasm_v128_and(b, rest));
    if (wasm_v128_any_true(wasm_i16x8_ge(most, infinity))) {
      widen(16, x, y, half_to_real);
      continue;
    }
    store(y, finite_half_to_real(wasm_i32x4_extend_low_i16x8(a)));
    store(y + LANES, finite_half_to_real(wasm_i32x4_extend_high_i16x8(a)));
    store(y + 2 * LANES, finite_half_to_real(wasm_i32x4_extend_low_i16x8(b)));
    store(y + 3 * LANES, finite_half_to_real(wasm_i32x4_extend_high_i16x8(b)));
  }
  widen(n, x, y, half_to_real);
}

static void f32_to_float16(size_t n, const float *x, uint16_t *y) {
  narrow(n, x, y, half_of_real);
}

static void bfloat16_to_f32(size_t n, const uint16_t *x, float *y) {
  widen(n, x, y, bfloat_to_real);
}

static void f32_to_bfloat16(size_t n, const float *x, uint16_t *y) {
  narrow(n, x, y, bfloat_of_real);
}
