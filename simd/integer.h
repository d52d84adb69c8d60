/* Products of 8-bit integers, exact on every host, in two forms. Steps along k take
 *   2 numbers: a as 16-bit numbers with its zero points taken off, b's bytes widened as they are loaded,
 * i32x4.dot_i16x8; 4 numbers: the relaxed dot product of bytes, where relaxed.c has found what the host's means. The
 * specification leaves open whether its second operand is signed and whether sums of two products saturate; where it
 * multiplies -128..127 by 0..255, or by -128..127, without saturating, a is moved into that range. b stays in bytes, so
 * that it costs no more memory than the model's own weights; unsigned ones are stored 128 lower. Sums begin with what
 * zero points make of them: (a - az)(b - bz) = a b - az sum(b) - bz sum(a - az).
 *
 *   row of a     int32 -az (0 where it is taken off already), int32 -sum(a - az), then 4 bytes a step
 *   panel of b   8 int32 bz, 8 int32 sum(b), then for every step 8 columns of 2 or 4 bytes
 *
 * Both are padded with zeros to whole turns of the loop, of several steps where the table has such.
 *
 * The form is a constant in every caller below. */

typedef enum i8_form { PAIRS, SIGNED_QUADS, UNSIGNED_QUADS } i8_form; /* the quads by the kind of their bytes of a */

enum { ROW_HEADER = 2 * sizeof(int32_t), PANEL_HEADER = 2 * NR * sizeof(int32_t) };

enum { TURN = 2 * STEPS }; /* numbers of k in a turn of the loop */

INLINE size_t i8_depth(const i8_form form) {
  return form == PAIRS ? 2 : 4;
}

/* Of whole turns. */
INLINE size_t i8_steps(size_t k, const i8_form form) {
  return (k + TURN - 1) / TURN * (TURN / i8_depth(form));
}

INLINE size_t i8_row_size(size_t k, const i8_form form) {
  return ROW_HEADER + i8_steps(k, form) * sizeof(int32_t);
}

INLINE size_t i8_panel_size(size_t k, const i8_form form) {
  return PANEL_HEADER + i8_steps(k, form) * i8_depth(form) * NR;
}

INLINE int32_t byte_at(const void *x, size_t i, bool is_signed) {
  return is_signed ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
}

INLINE int32_t add_i32_lanes(v128_t x) {
  return wasm_i32x4_extract_lane(x, 0) + wasm_i32x4_extract_lane(x, 1) + wasm_i32x4_extract_lane(x, 2) +
         wasm_i32x4_extract_lane(x, 3);
}

/* 16-bit numbers of 8 bytes. */
INLINE v128_t widen_bytes(const void *x, bool is_signed) {
  return is_signed ? wasm_i16x8_load8x8(x) : wasm_u16x8_load8x8(x);
}

/* ---- packing a --------------------------------------------------------------------------------------------------- */
static void pack_row_of_pairs(size_t k, const uint8_t *a, bool is_signed, int32_t zero, char *to) {
  const v128_t zeros = wasm_i16x8_splat((int16_t)zero), ones = wasm_i16x8_splat(1);
  char *pairs = to + ROW_HEADER;
  v128_t sums = wasm_i32x4_splat(0);
  size_t i = 0;
  for (; i + 8 <= k; i += 8) {
    v128_t x = wasm_i16x8_sub(widen_bytes(a + i, is_signed), zeros);
    sums = wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(x, ones));
    wasm_v128_store(pairs + i * sizeof(int16_t), x);
  }
  int32_t header[2] = {0, -add_i32_lanes(sums)};
  for (; i < 2 * i8_steps(k, PAIRS); i++) {
    int16_t x = i < k ? (int16_t)(byte_at(a, i, is_signed) - zero) : 0;
    header[1] -= x;
    memcpy(pairs + i * sizeof x, &x, sizeof x);
  }
  memcpy(to, header, sizeof header);
}

/* The bytes themselves, moved by 128 where the host's dot product takes the other kind. */
INLINE void pack_row_of_quads(size_t k, const uint8_t *a, bool is_signed, int32_t zero, char *to, const i8_form form) {
  const bool to_signed = form == SIGNED_QUADS;
  const uint8_t flip = is_signed == to_signed ? 0 : 0x80;
  const v128_t flips = wasm_i8x16_splat((int8_t)flip);
  char *bytes = to + ROW_HEADER;
  v128_t sums = wasm_i32x4_splat(0);
  size_t i = 0;
  for (; i + 16 <= k; i += 16) {
    v128_t x = wasm_v128_xor(wasm_v128_load(a + i), flips);
    v128_t pairs = to_signed ? wasm_i16x8_extadd_pairwise_i8x16(x) : wasm_u16x8_extadd_pairwise_u8x16(x);
    sums = wasm_i32x4_add(sums, wasm_i32x4_extadd_pairwise_i16x8(pairs));
    wasm_v128_store(bytes + i, x);
  }
  int32_t sum = add_i32_lanes(sums);
  for (; i < 4 * i8_steps(k, SIGNED_QUADS); i++) {
    uint8_t x = i < k ? a[i] ^ flip : 0;
    sum += byte_at(&x, 0, to_signed);
    bytes[i] = (char)x;
  }
  int32_t moved = zero + (flip == 0 ? 0 : to_signed ? -128 : 128);
  int32_t header[2] = {-moved, (int32_t)((uint32_t)k * (uint32_t)moved - (uint32_t)sum)};
  memcpy(to, header, sizeof header);
}

INLINE void i8_pack_a(size_t m, size_t k, const void *a, size_t lda, bool is_signed, const int32_t *a_zero,
                      size_t zero_step, void *out, const i8_form form) {
  for (size_t i = 0; i < m; i++) {
    const uint8_t *row = (const uint8_t *)a + i * lda;
    char *to = (char *)out + i * i8_row_size(k, form);
    if (form == PAIRS) {
      pack_row_of_pairs(k, row, is_signed, a_zero[i * zero_step], to);
    } else {
      pack_row_of_quads(k, row, is_signed, a_zero[i * zero_step], to, form);
    }
  }
}

/* ---- packing b --------------------------------------------------------------------------------------------------- */
/* Where a panel's bytes come from. */
typedef struct i8_source {
  const uint8_t *b;
  size_t ldb, k, columns;
  bool transposed;
  v128_t flips;
  uint8_t flip;
} i8_source;

/* Step `l` byte by byte. */
INLINE void i8_pack_step(const i8_source *s, size_t l, uint8_t *to, const i8_form form) {
  for (size_t j = 0; j < NR; j++) {
    for (size_t i = l * i8_depth(form); i < (l + 1) * i8_depth(form); i++) {
      bool is_inside = j < s->columns && i < s->k;
      *to++ = is_inside ? s->b[s->transposed ? j * s->ldb + i : i * s->ldb + j] ^ s->flip : 0;
    }
  }
}

/* The same where all of it is inside. */
INLINE void i8_pack_whole_step(const i8_source *s, size_t l, uint8_t *to, const i8_form form) {
  const uint8_t *from = s->b + (s->transposed ? l * i8_depth(form) : l * i8_depth(form) * s->ldb);
  if (s->transposed) {
    for (size_t j = 0; j < NR; j++) {
      memcpy(to + j * i8_depth(form), from + j * s->ldb, i8_depth(form));
    }
    for (size_t i = 0; i < NR * i8_depth(form); i += 16) {
      wasm_v128_store(to + i, wasm_v128_xor(wasm_v128_load(to + i), s->flips));
    }
    return;
  }
  v128_t first = wasm_i8x16_shuffle(wasm_v128_load64_zero(from), wasm_v128_load64_zero(from + s->ldb), 0, 16, 1, 17, 2,
                                    18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  if (form == PAIRS) {
    wasm_v128_store(to, wasm_v128_xor(first, s->flips));
    return;
  }
  from += 2 * s->ldb;
  v128_t second = wasm_i8x16_shuffle(wasm_v128_load64_zero(from), wasm_v128_load64_zero(from + s->ldb), 0, 16, 1, 17, 2,
                                     18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  wasm_v128_store(to, wasm_v128_xor(wasm_i16x8_shuffle(first, second, 0, 8, 1, 9, 2, 10, 3, 11), s->flips));
  wasm_v128_store(to + 16, wasm_v128_xor(wasm_i16x8_shuffle(first, second, 4, 12, 5, 13, 6, 14, 7, 15), s->flips));
}

INLINE void i8_pack_panel(const i8_source *s, const int32_t *zeros, char *to, const i8_form form) {
  v128_t sums[2] = {wasm_i32x4_splat(0), wasm_i32x4_splat(0)};
  uint8_t *bytes = (uint8_t *)to + PANEL_HEADER;
  for (size_t l = 0; l < i8_steps(s->k, form); l++, bytes += i8_depth(form) * NR) {
    if (s->columns == NR && (l + 1) * i8_depth(form) <= s->k) {
      i8_pack_whole_step(s, l, bytes, form);
    } else {
      i8_pack_step(s, l, bytes, form);
    }
    for (size_t half = 0; form != PAIRS && half < 2; half++) {
      v128_t pairs = wasm_i16x8_extadd_pairwise_i8x16(wasm_v128_load(bytes + half * 16));
      sums[half] = wasm_i32x4_add(sums[half], wasm_i32x4_extadd_pairwise_i16x8(pairs));
    }
  }
  memcpy(to, zeros, NR * sizeof *zeros);
  wasm_v128_store(to + NR * sizeof(int32_t), sums[0]);
  wasm_v128_store(to + (NR + LANES) * sizeof(int32_t), sums[1]);
}

INLINE void i8_pack_b(size_t n, size_t k, const void *b, size_t ldb, bool transposed, bool is_signed,
                      const int32_t *b_zero, size_t zero_step, void *out, const i8_form form) {
  char *to = out;
  i8_source s = {.ldb = ldb, .k = k, .transposed = transposed, .flip = is_signed ? 0 : 0x80};
  s.flips = wasm_i8x16_splat((int8_t)s.flip);
  for (size_t column = 0; column < n; column += NR, to += i8_panel_size(k, form)) {
    int32_t zeros[NR] = {0};
    s.b = (const uint8_t *)b + (transposed ? column * ldb : column);
    s.columns = n - column < NR ? n - column : NR;
    for (size_t j = 0; j < s.columns; j++) {
      zeros[j] = b_zero[(column + j) * zero_step] - (is_signed ? 0 : 128);
    }
    i8_pack_panel(&s, zeros, to, form);
  }
}

/* ---- the product ------------------------------------------------------------------------------------------------- */
/* sums += products of one step: x holds a step of one row in every lane, y a step of four columns. */
INLINE v128_t i8_step(v128_t x, v128_t y, v128_t sums, const i8_form form) {
  if (form == PAIRS) return wasm_i32x4_add(wasm_i32x4_dot_i16x8(x, y), sums);
#if defined(__wasm__) && FUSED
  return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(y, x, sums);
#else
  /* Natively, what a host of either kind does. */
  bool is_signed = form == SIGNED_QUADS;
  v128_t x_low = is_signed ? wasm_i16x8_extend_low_i8x16(x) : wasm_u16x8_extend_low_u8x16(x);
  v128_t x_high = is_signed ? wasm_i16x8_extend_high_i8x16(x) : wasm_u16x8_extend_high_u8x16(x);
  v128_t low = wasm_i32x4_dot_i16x8(x_low, wasm_i16x8_extend_low_i8x16(y));
  v128_t high = wasm_i32x4_dot_i16x8(x_high, wasm_i16x8_extend_high_i8x16(y));
  v128_t even = wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), odd = wasm_i32x4_shuffle(low, high, 1, 3, 5, 7);
  return wasm_i32x4_add(wasm_i32x4_add(even, odd), sums);
#endif
}

/* What a sum begins with: `zeros` is bz of its columns, at the panel's front. */
INLINE v128_t i8_first(const char *row, const char *zeros, const i8_form form) {
  v128_t sum = wasm_i32x4_mul(wasm_v128_load(zeros), wasm_v128_load32_splat(row + sizeof(int32_t)));
  if (form == PAIRS) return sum;
  v128_t column_sums = wasm_v128_load(zeros + NR * sizeof(int32_t));
  return wasm_i32x4_add(sum, wasm_i32x4_mul(wasm_v128_load32_splat(row), column_sums));
}

/* rows x (8 * panels) of c, both constant where this is called. Where sums and pointers are FINISHED, all loads of a turn
 * are from constant places behind the pointers. */
INLINE void i8_tile(size_t k, const char *a, const char *b, int32_t *c, size_t ldc, const size_t rows,
                    const size_t panels, const i8_form form) {
  const size_t row_size = i8_row_size(k, form), panel_size = i8_panel_size(k, form), vectors = 2 * panels;
  const size_t steps = TURN / i8_depth(form);
  v128_t sums[4][8];
  const char *left[4], *right[4];
  for (size_t i = 0; i < rows; i++) {
    left[i] = a + i * row_size;
    for (size_t j = 0; j < vectors; j++) {
      sums[i][j] = i8_first(left[i], b + j / 2 * panel_size + j % 2 * LANES * sizeof(int32_t), form);
    }
    left[i] += ROW_HEADER;
  }
  for (size_t j = 0; j < panels; j++) {
    right[j] = b + j * panel_size + PANEL_HEADER;
  }
  NOT_UNROLLED
  for (size_t l = i8_steps(k, form); l > 0; l -= steps) {
    UNROLLED
    for (size_t step = 0; step < steps; step++) {
      v128_t y[8];
      for (size_t j = 0; j < vectors; j++) {
        const char *bytes = right[j / 2] + (2 * step + j % 2) * i8_depth(form) * LANES;
        y[j] = form == PAIRS ? wasm_i16x8_load8x8(bytes) : wasm_v128_load(bytes);
      }
      for (size_t i = 0; i < rows; i++) {
        const v128_t x = wasm_v128_load32_splat(left[i] + step * sizeof(int32_t));
        for (size_t j = 0; j < vectors; j++) {
          sums[i][j] = i8_step(x, y[j], sums[i][j], form);
          FINISHED(sums[i][j]);
        }
      }
    }
    for (size_t i = 0; i < rows; i++) {
      left[i] += steps * sizeof(int32_t);
      FINISHED(left[i]);
    }
    for (size_t j = 0; j < panels; j++) {
      right[j] += steps * i8_depth(form) * NR;
      FINISHED(right[j]);
    }
  }
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < vectors; j++) {
      wasm_v128_store(c + i * ldc + j * LANES, sums[i][j]);
    }
  }
}

/* All rows of one panel. */
INLINE void i8_panel(size_t m, size_t k, const char *a, const char *b, int32_t *c, size_t ldc, const i8_form form) {
  const size_t row_size = i8_row_size(k, form);
  for (; m >= 4; m -= 4, a += 4 * row_size, c += 4 * ldc) {
    i8_tile(k, a, b, c, ldc, 4, 1, form);
  }
  if (m >= 2) {
    i8_tile(k, a, b, c, ldc, 2, 1, form);
    a += 2 * row_size;
    c += 2 * ldc;
  }
  if ((m & 1) != 0) i8_tile(k, a, b, c, ldc, 1, 1, form);
}

INLINE void i8_product(size_t m, size_t n, size_t k, const char *a, const char *b, int32_t *c, size_t ldc,
                       const i8_form form) {
  const size_t panel_size = i8_panel_size(k, form), row_size = i8_row_size(k, form);
  for (; m == 1 && n >= 4 * NR; n -= 4 * NR, b += 4 * panel_size, c += 4 * NR) {
    i8_tile(k, a, b, c, ldc, 1, 4, form);
  }
  for (; n > 0; n -= n < NR ? n : NR, b += panel_size, c += NR) {
    size_t rows = n < NR ? 4 : m; /* a narrow panel goes by way of whole tiles beside c */
    for (size_t i = 0; i < m; i += rows) {
      size_t count = m - i < rows ? m - i : rows;
      int32_t whole[4 * NR];
      i8_panel(count, k, a + i * row_size, b, n < NR ? whole : c, n < NR ? NR : ldc, form);
      for (size_t r = 0; n < NR && r < count; r++) {
        memcpy(c + (i + r) * ldc, whole + r * NR, n * sizeof(int32_t));
      }
    }
  }
}

/* ---- the forms as kernels ---- */
#define DEFINE_GEMM_I8(NAME, FORM)                                                                                     \
  static size_t NAME##_a_size(size_t m, size_t k) {                                                                    \
    return weft_packed_size(m, i8_row_size(k, FORM), SIZE_MAX / 2);                                                    \
  }                                                                                                                    \
  static size_t NAME##_b_size(size_t n, size_t k) {                                                                    \
    return weft_packed_size((n + NR - 1) / NR, i8_panel_size(k, FORM), SIZE_MAX / 2);                                  \
  }                                                                                                                    \
  static void NAME##_pack_a(size_t m, size_t k, const void *a, size_t lda, bool is_signed, const int32_t *a_zero,      \
                            size_t zero_step, void *out) {                                                             \
    i8_pack_a(m, k, a, lda, is_signed, a_zero, zero_step, out, FORM);                                                  \
  }                                                                                                                    \
  static void NAME##_pack_b(size_t n, size_t k, const void *b, size_t ldb, bool transposed, bool is_signed,            \
                            const int32_t *b_zero, size_t zero_step, void *out) {                                      \
    i8_pack_b(n, k, b, ldb, transposed, is_signed, b_zero, zero_step, out, FORM);                                      \
  }                                                                                                                    \
  static void NAME##_product(size_t m, size_t n, size_t k, const void *a_packed, const void *b_packed, size_t first,   \
                             int32_t *c, size_t ldc) {                                                                 \
    const char *b = (const char *)b_packed + first / NR * i8_panel_size(k, FORM);                                      \
    i8_product(m, n, k, a_packed, b, c, ldc, FORM);                                                                    \
  }

DEFINE_GEMM_I8(pairs, PAIRS)
#if FUSED
DEFINE_GEMM_I8(signed_quads, SIGNED_QUADS)
DEFINE_GEMM_I8(unsigned_quads, UNSIGNED_QUADS)
#endif

/* ---- quantisation ------------------------------------------------------------------------------------------------ */
typedef struct quantizer {
  real divisor, low, high; /* of x / scale, zero point not yet added */
  v128_t offset;
} quantizer;

/* Adding 1.5 * 2^23 rounds half to even and leaves the integer in the low bits. NaN becomes the lowest number, as in
 * the portable kernel. */
INLINE v128_t quantize_vector(const quantizer *q, real x, const bool divide) {
  real v = divide ? r_div(x, q->divisor) : x;
  v = wasm_f32x4_pmin(q->high, wasm_f32x4_pmax(q->low, v));
  return wasm_i32x4_add(r_add(v, R_CONST(0x1.8p23f)), q->offset);
}

INLINE void quantize_row(const quantizer *q, size_t n, const float *x, bool is_signed, uint8_t *to, const bool divide) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v128_t v[4];
    for (size_t j = 0; j < 4; j++) {
      v[j] = quantize_vector(q, load(x + i + j * LANES), divide);
    }
    v128_t a = wasm_i16x8_narrow_i32x4(v[0], v[1]), b = wasm_i16x8_narrow_i32x4(v[2], v[3]);
    wasm_v128_store(to + i, is_signed ? wasm_i8x16_narrow_i16x8(a, b) : wasm_u8x16_narrow_i16x8(a, b));
  }
  for (; i < n; i++) {
    to[i] = (uint8_t)wasm_i32x4_extract_lane(quantize_vector(q, load_splat(x + i), divide), 0);
  }
}

INLINE quantizer quantizer_of(float scale, const weft_bytes *bytes) {
  return (quantizer){.divisor = r_set(scale),
                     .low = r_set((float)(bytes->least - bytes->zero)),
                     .high = r_set((float)(bytes->greatest - bytes->zero)),
                     .offset = wasm_i32x4_splat(bytes->zero - 0x4b400000)};
}

static void quantize_i8(size_t n, const float *x, float scale, int32_t zero, bool is_signed, void *y) {
  const weft_bytes bytes = weft_all_bytes(zero, is_signed);
  const quantizer q = quantizer_of(scale, &bytes);
  if (scale == 1.0f) {
    quantize_row(&q, n, x, is_signed, y, false);
  } else {
    quantize_row(&q, n, x, is_signed, y, true);
  }
}

/* The numbers of a weft_rescale, in vectors where they are the same for all elements: a constant of callers. */
typedef struct rescaler {
  const int32_t *biases;
  const float *scales, *addeds;
  v128_t bias;
  real scale, added;
} rescaler;

INLINE rescaler rescaler_of(const weft_rescale *r, size_t i, const bool walks, const bool has_bias,
                            const bool has_added) {
  const size_t at = walks ? i : 0;
  rescaler v = {.scale = load_splat(r->scale + at)};
  v.bias = has_bias ? wasm_v128_load32_splat(r->bias + i * r->bias_step) : wasm_i32x4_splat(0);
  v.added = has_added ? load_splat(r->added + at) : r_set(0.0f);
  v.biases = r->bias;
  v.scales = r->scale;
  v.addeds = r->added;
  return v;
}

INLINE real rescale(const rescaler *r, v128_t sum, const bool has_bias, const bool has_added) {
  if (has_bias) sum = wasm_i32x4_add(sum, r->bias);
  real y = r_mul(b_to_real(sum), r->scale);
  return has_added ? r_add(y, r->added) : y;
}

/* Elements i to i + 3 before rounding. A bias that does not walk with scales that do, or the other way round, is rare
 * and goes element by element. */
INLINE real rescale_vector(rescaler *r, const int32_t *sums, size_t i, const bool walks, const bool has_bias,
                           const bool has_added) {
  if (walks) {
    r->scale = load(r->scales + i);
    if (has_bias) r->bias = wasm_v128_load(r->biases + i);
    if (has_added) r->added = load(r->addeds + i);
  }
  return rescale(r, wasm_v128_load(sums + i), has_bias, has_added);
}

INLINE real rescale_one(const weft_rescale *r, const int32_t *sums, size_t i) {
  const bool walks = r->scale_step != 0, has_bias = r->bias != NULL, has_added = r->added != NULL;
  const rescaler v = rescaler_of(r, i, walks, has_bias, has_added);
  return rescale(&v, wasm_v128_load32_splat(sums + i), has_bias, has_added);
}

/* How many elements go in parts of that size: all, the last part overlapping the one before, or none. */
INLINE size_t rescaled_at_once(const weft_rescale *r, size_t n, size_t part) {
  bool is_even = r->bias == NULL || (r->bias_step != 0) == (r->scale_step != 0);
  return is_even && n >= part ? n : 0;
}

/* Where the part that begins at i or later begins. */
INLINE size_t part_at(size_t i, size_t n, size_t part) {
  return i + part <= n ? i : n - part;
}

INLINE void rescale_row(size_t n, const int32_t *sums, const weft_rescale *r, float *y, const bool walks,
                        const bool has_bias, const bool has_added) {
  rescaler v = rescaler_of(r, 0, walks, has_bias, has_added);
  for (size_t i = 0; i < n; i += LANES) {
    const size_t at = part_at(i, n, LANES);
    store(y + at, rescale_vector(&v, sums, at, walks, has_bias, has_added));
  }
}

static void sums_to_f32(size_t n, const int32_t *sums, const weft_rescale *r, float *y) {
  size_t whole = rescaled_at_once(r, n, LANES);
  if (whole == 0) {
    /* nothing to do by vectors */
  } else if (r->scale_step == 0) {
    rescale_row(whole, sums, r, y, false, r->bias != NULL, r->added != NULL);
  } else if (r->bias == NULL && r->added != NULL) {
    rescale_row(whole, sums, r, y, true, false, true);
  } else {
    rescale_row(whole, sums, r, y, true, r->bias != NULL, r->added != NULL);
  }
  for (size_t i = whole; i < n; i++) {
    y[i] = wasm_f32x4_extract_lane(rescale_one(r, sums, i), 0);
  }
}

INLINE void requantize_row(size_t n, const int32_t *sums, const weft_rescale *r, const quantizer *q, bool is_signed,
                           uint8_t *y, const bool walks, const bool has_bias, const bool has_added) {
  rescaler v = rescaler_of(r, 0, walks, has_bias, has_added);
  const quantizer own = *q;
  for (size_t i = 0; i < n; i += 16) {
    const size_t at = part_at(i, n, 16);
    v128_t x[4];
    for (size_t j = 0; j < 4; j++) {
      x[j] = quantize_vector(&own, rescale_vector(&v, sums, at + j * LANES, walks, has_bias, has_added), false);
    }
    v128_t a = wasm_i16x8_narrow_i32x4(x[0], x[1]), b = wasm_i16x8_narrow_i32x4(x[2], x[3]);
    wasm_v128_store(y + at, is_signed ? wasm_i8x16_narrow_i16x8(a, b) : wasm_u8x16_narrow_i16x8(a, b));
  }
}

static void sums_to_i8(size_t n, const int32_t *sums, const weft_rescale *r, const weft_bytes *bytes, void *y) {
  const quantizer q = quantizer_of(1.0f, bytes);
  const bool is_signed = bytes->is_signed;
  size_t whole = rescaled_at_once(r, n, 16);
  if (whole == 0) {
    /* nothing to do by vectors */
  } else if (r->scale_step == 0 && r->added == NULL && r->bias != NULL) {
    requantize_row(whole, sums, r, &q, is_signed, y, false, true, false);
  } else if (r->scale_step == 0 && r->added != NULL && r->bias == NULL) {
    requantize_row(whole, sums, r, &q, is_signed, y, false, false, true);
  } else {
    requantize_row(whole, sums, r, &q, is_signed, y, r->scale_step != 0, r->bias != NULL, r->added != NULL);
  }
  for (size_t i = whole; i < n; i++) {
    ((uint8_t *)y)[i] = (uint8_t)wasm_i32x4_extract_lane(quantize_vector(&q, rescale_one(r, sums, i), false), 0);
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
