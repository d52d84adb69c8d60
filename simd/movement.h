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

/* The lower or upper halves of two vectors, byte by byte in turns. */
#define LOWER_BYTES(a, b) wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define UPPER_BYTES(a, b) wasm_i8x16_shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

/* Whole 8 x 8 squares of bytes: rows are woven with those four, two and one further on. */
static void transpose_bytes(size_t rows, size_t columns, const char *in, size_t in_stride, char *out,
                            size_t out_stride) {
  for (size_t j = 0; j < columns; j += 8) {
    for (size_t i = 0; i < rows; i += 8) {
      const char *from = in + i * in_stride + j;
      char *to = out + j * out_stride + i;
      v128_t r[8];
      for (size_t t = 0; t < 8; t++) {
        r[t] = wasm_v128_load64_zero(from + t * in_stride);
      }
      for (size_t t = 0; t < 4; t++) {
        r[t] = LOWER_BYTES(r[t], r[t + 4]);
      }
      const v128_t even[] = {LOWER_BYTES(r[0], r[2]), UPPER_BYTES(r[0], r[2])};
      const v128_t odd[] = {LOWER_BYTES(r[1], r[3]), UPPER_BYTES(r[1], r[3])};
      for (size_t t = 0; t < 2; t++, to += 4 * out_stride) {
        const v128_t first = LOWER_BYTES(even[t], odd[t]), second = UPPER_BYTES(even[t], odd[t]);
        wasm_v128_store64_lane(to, first, 0);
        wasm_v128_store64_lane(to + out_stride, first, 1);
        wasm_v128_store64_lane(to + 2 * out_stride, second, 0);
        wasm_v128_store64_lane(to + 3 * out_stride, second, 1);
      }
    }
  }
}

static void transpose(size_t rows, size_t columns, size_t element_size, const void *in, size_t in_stride, void *out,
                      size_t out_stride) {
  const size_t side = element_size == 1 ? 8 : LANES;
  if (element_size != 1 && element_size != sizeof(float)) {
    weft_portable_transpose(rows, columns, element_size, in, in_stride, out, out_stride);
    return;
  }
  const char *from = in;
  char *to = out;
  size_t r = rows / side * side, c = columns / side * side;
  if (element_size == 1) {
    transpose_bytes(r, c, in, in_stride, out, out_stride);
  } else {
    transpose_squares(r, c, in, in_stride, out, out_stride);
  }
  weft_portable_transpose(rows - r, c, element_size, from + r * in_stride * element_size, in_stride,
                          to + r * element_size, out_stride);
  weft_portable_transpose(rows, columns - c, element_size, from + c * element_size, in_stride,
                          to + c * out_stride * element_size, out_stride);
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
