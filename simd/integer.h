/* Products of 8-bit integers, exact on every host: pairs along k as 16-bit numbers, multiplied and added by
 * i32x4.dot_i16x8. a is widened with its zero points taken off while it is packed; b stays in bytes and is widened as
 * it is loaded, so that it costs no more memory than the model's own weights. What b's zero points take from the
 * product is the zero times the sum of a's row, which is kept with the row:
 *
 *   row of a     int32 sum, then int16 pairs along k, the last one padded with zero
 *   panel of b   8 int32 zero points, then for every pair along k 8 columns of 2 int8; uint8 are stored 128 lower */

static size_t i8_pairs(size_t k) {
  return (k + 1) / 2;
}

static size_t gemm_i8_a_size(size_t m, size_t k) {
  return m * (1 + i8_pairs(k)) * sizeof(int32_t);
}

static size_t i8_panel_size(size_t k) {
  return NR * sizeof(int32_t) + i8_pairs(k) * 2 * NR;
}

static size_t gemm_i8_b_size(size_t n, size_t k) {
  return (n + NR - 1) / NR * i8_panel_size(k);
}

/* 16-bit numbers of 8 bytes, unsigned ones unless `is_signed`. */
INLINE v128_t widen_bytes(const void *x, bool is_signed) {
  return is_signed ? wasm_i16x8_load8x8(x) : wasm_u16x8_load8x8(x);
}

INLINE int32_t byte_at(const void *x, size_t i, bool is_signed) {
  return is_signed ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
}

static void pack_row(size_t k, const uint8_t *a, bool is_signed, int32_t zero, char *to) {
  const v128_t zeros = wasm_i16x8_splat((int16_t)zero), ones = wasm_i16x8_splat(1);
  char *pairs = to + sizeof(int32_t);
  v128_t sums = wasm_i32x4_splat(0);
  size_t i = 0;
  for (; i + 8 <= k; i += 8) {
    v128_t x = wasm_i16x8_sub(widen_bytes(a + i, is_signed), zeros);
    sums = wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(x, ones));
    wasm_v128_store(pairs + i * sizeof(int16_t), x);
  }
  int32_t sum = wasm_i32x4_extract_lane(sums, 0) + wasm_i32x4_extract_lane(sums, 1) + wasm_i32x4_extract_lane(sums, 2) +
                wasm_i32x4_extract_lane(sums, 3);
  for (; i < 2 * i8_pairs(k); i++) {
    int16_t x = i < k ? (int16_t)(byte_at(a, i, is_signed) - zero) : 0;
    sum += x;
    memcpy(pairs + i * sizeof x, &x, sizeof x);
  }
  memcpy(to, &sum, sizeof sum);
}

static void gemm_i8_pack_a(size_t m, size_t k, const void *a, size_t lda, bool is_signed, const int32_t *a_zero,
                           size_t zero_step, void *out) {
  for (size_t i = 0; i < m; i++) {
    pack_row(k, (const uint8_t *)a + i * lda, is_signed, a_zero[i * zero_step], (char *)out + gemm_i8_a_size(i, k));
  }
}

static void gemm_i8_pack_b(size_t n, size_t k, const void *b, size_t ldb, bool transposed, bool is_signed,
                           const int32_t *b_zero, size_t zero_step, void *out) {
  const int32_t shift = is_signed ? 0 : 128;
  char *to = out;
  for (size_t column = 0; column < n; column += NR) {
    size_t columns = n - column < NR ? n - column : NR;
    int32_t zeros[NR] = {0};
    for (size_t j = 0; j < columns; j++) {
      zeros[j] = b_zero[(column + j) * zero_step] - shift;
    }
    memcpy(to, zeros, sizeof zeros);
    to += sizeof zeros;
    for (size_t pair = 0; pair < i8_pairs(k); pair++) {
      for (size_t j = 0; j < NR; j++) {
        for (size_t i = 2 * pair; i < 2 * pair + 2; i++) {
          size_t at = transposed ? (column + j) * ldb + i : i * ldb + column + j;
          *to++ = j < columns && i < k ? (char)(byte_at(b, at, is_signed) - shift) : 0;
        }
      }
    }
  }
}

/* rows x (8 * panels) of c, both constant where this is called. */
INLINE void i8_tile(size_t pairs, const char *a, const char *b, size_t panel_size, int32_t *c, size_t ldc,
                    const size_t rows, const size_t panels) {
  const size_t row_size = (1 + pairs) * sizeof(int32_t), vectors = 2 * panels;
  v128_t sums[4][8];
  const char *left[4], *right[4];
  for (size_t i = 0; i < rows; i++) {
    left[i] = a + i * row_size + sizeof(int32_t);
    for (size_t j = 0; j < vectors; j++) {
      sums[i][j] = wasm_i32x4_splat(0);
    }
  }
  for (size_t j = 0; j < panels; j++) {
    right[j] = b + j * panel_size + NR * sizeof(int32_t);
  }
  NOT_UNROLLED
  for (size_t l = pairs; l > 0; l--) {
    v128_t y[8];
    for (size_t j = 0; j < vectors; j++) {
      y[j] = wasm_i16x8_load8x8(right[j / 2] + j % 2 * 8);
    }
    for (size_t i = 0; i < rows; i++) {
      v128_t x = wasm_v128_load32_splat(left[i]);
      left[i] += sizeof(int32_t);
      for (size_t j = 0; j < vectors; j++) {
        sums[i][j] = wasm_i32x4_add(wasm_i32x4_dot_i16x8(x, y[j]), sums[i][j]);
      }
    }
    for (size_t j = 0; j < panels; j++) {
      right[j] += 2 * NR;
    }
  }
  for (size_t i = 0; i < rows; i++) {
    v128_t sum = wasm_v128_load32_splat(a + i * row_size);
    for (size_t j = 0; j < vectors; j++) {
      v128_t zero = wasm_v128_load(b + j / 2 * panel_size + j % 2 * 16);
      wasm_v128_store(c + i * ldc + j * LANES, wasm_i32x4_sub(sums[i][j], wasm_i32x4_mul(zero, sum)));
    }
  }
}

static void i8_rows(size_t rows, size_t pairs, const char *a, const char *b, int32_t *c, size_t ldc) {
  switch (rows) {
  case 1:
    i8_tile(pairs, a, b, 0, c, ldc, 1, 1);
    break;
  case 2:
    i8_tile(pairs, a, b, 0, c, ldc, 2, 1);
    break;
  case 3:
    i8_tile(pairs, a, b, 0, c, ldc, 3, 1);
    break;
  default:
    i8_tile(pairs, a, b, 0, c, ldc, 4, 1);
  }
}

static void gemm_i8(size_t m, size_t n, size_t k, const void *a_packed, const void *b_packed, size_t first, int32_t *c,
                    size_t ldc) {
  const size_t pairs = i8_pairs(k), panel_size = i8_panel_size(k), row_size = gemm_i8_a_size(1, k);
  const char *b = (const char *)b_packed + first / NR * panel_size;
  for (; m == 1 && n >= 4 * NR; n -= 4 * NR, b += 4 * panel_size, c += 4 * NR) {
    i8_tile(pairs, a_packed, b, panel_size, c, ldc, 1, 4);
  }
  for (; n > 0; n -= n < NR ? n : NR, b += panel_size, c += NR) {
    const char *a = a_packed;
    for (size_t i = 0; i < m; i += 4, a += 4 * row_size) {
      size_t rows = m - i < 4 ? m - i : 4;
      if (n >= NR) {
        i8_rows(rows, pairs, a, b, c + i * ldc, ldc);
        continue;
      }
      int32_t whole[4 * NR];
      i8_rows(rows, pairs, a, b, whole, NR);
      for (size_t r = 0; r < rows; r++) {
        memcpy(c + (i + r) * ldc, whole + r * NR, n * sizeof(int32_t));
      }
    }
  }
}

INLINE v128_t quantize_vector(real x, real scale, real zero, real low, real high) {
  real v = r_add(r_round(r_div(x, scale)), zero);
  v = wasm_f32x4_pmin(high, wasm_f32x4_pmax(low, v)); /* NaN becomes low, as in the portable kernel */
  return wasm_i32x4_trunc_sat_f32x4(v);
}

static void quantize_i8(size_t n, const float *x, float scale, int32_t zero, bool is_signed, void *y) {
  const real low = r_set(is_signed ? -128.0f : 0.0f), high = r_set(is_signed ? 127.0f : 255.0f);
  const real divisor = r_set(scale), offset = r_set((float)zero);
  uint8_t *to = y;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v128_t q[4];
    for (size_t j = 0; j < 4; j++) {
      q[j] = quantize_vector(load(x + i + j * LANES), divisor, offset, low, high);
    }
    v128_t a = wasm_i16x8_narrow_i32x4(q[0], q[1]), b = wasm_i16x8_narrow_i32x4(q[2], q[3]);
    wasm_v128_store(to + i, is_signed ? wasm_i8x16_narrow_i16x8(a, b) : wasm_u8x16_narrow_i16x8(a, b));
  }
  for (; i < n; i++) {
    to[i] = (uint8_t)wasm_i32x4_extract_lane(quantize_vector(load_splat(x + i), divisor, offset, low, high), 0);
  }
}

static void dequantize_i8(size_t n, const void *x, float scale, int32_t zero, bool is_signed, float *y) {
  const v128_t zeros = wasm_i16x8_splat((int16_t)zero);
  const real factor = r_set(scale);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    v128_t v = wasm_i16x8_sub(widen_bytes((const uint8_t *)x + i, is_signed), zeros);
    store(y + i, r_mul(b_to_real(wasm_i32x4_extend_low_i16x8(v)), factor));
    store(y + i + LANES, r_mul(b_to_real(wasm_i32x4_extend_high_i16x8(v)), factor));
  }
  for (; i < n; i++) {
    y[i] = (float)(byte_at(x, i, is_signed) - zero) * scale;
  }
}
