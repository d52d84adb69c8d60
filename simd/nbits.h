/* Products with weights of a few bits, which stay as they are in memory.
 *
 * Floats: 16 elements of a block are taken at a time as 4 lanes of 4, so that element 4 l + i is in lane l after a
 * shift by i elements; a prepared row has its elements in that order, and the sums of its lanes. With 4 bits there is
 * no shift: the mask leaves q * 16^i, and the prepared elements are that much smaller, which is exact.
 *
 * 8-bit rows times 4-bit weights: products of 7 by 8 bits are exact in the relaxed dot products of every host, of 4
 * numbers where it has an instruction for that (the forms of integer.h), else of 2. Sums of a block are integers, and
 * blocks are added in order, so that all tables give the same bits, for one row or many. */

enum { UNIT = 16, WEIGHTS_AT_ONCE = 4 };

/* One unit of a column: lane l holds elements 4 l to 4 l + 3. */
INLINE v128_t nbits_unit(const uint8_t *q, const unsigned bits) {
  if (bits == 8) return wasm_v128_load(q);
  if (bits == 4) return wasm_u32x4_load16x4(q);
  v128_t shorts = wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(q));
  return wasm_u32x4_extend_low_u16x8(shorts);
}

static void nbits_prepare(const weft_nbits *w, const float *x, float *out) {
  float *to = out, *sums = out + w->blocks * w->block;
  for (size_t b = 0; b < w->blocks; b++, sums += LANES) {
    real sum = r_set(0.0f);
    for (size_t i = b * w->block; i < (b + 1) * w->block; i += UNIT, to += UNIT) {
      real v[4];
      for (size_t l = 0; l < 4; l++) {
        size_t at = i + l * LANES;
        v[l] = at < w->k ? load_some(x + at, w->k - at) : r_set(0.0f);
      }
      transpose_4x4(v);
      float factor = 1.0f;
      for (size_t j = 0; j < 4; j++) {
        sum = r_sub(sum, v[j]);
        store(to + j * LANES, r_mul(v[j], r_set(factor)));
        factor *= w->bits == 4 ? 1.0f / 16 : 1.0f;
      }
    }
    store(sums, sum);
  }
}

/* dots += unit u of 4 columns; element j of a lane's four is in x[j]'s lane. */
INLINE void nbits_unit_dots(const uint8_t *const *q, const size_t u, const float *prepared, const v128_t *masks,
                            real *dots, const unsigned bits) {
  v128_t v[4];
  for (size_t c = 0; c < 4; c++) {
    v[c] = nbits_unit(q[c] + u * UNIT * bits / 8, bits);
  }
  for (size_t j = 0; j < 4; j++) {
    const real x = load(prepared + u * UNIT + j * LANES);
    for (size_t c = 0; c < 4; c++) {
      v128_t part = bits == 4 ? v[c] : wasm_u32x4_shr(v[c], (uint32_t)(bits * j));
      part = wasm_v128_and(part, masks[j]);
      dots[c] = r_madd(x, b_to_real(part), dots[c]);
      FINISHED(dots[c]);
    }
  }
}

/* 4 columns of the product of one row; those from `end` on repeat the last. Usual weights have 4 bits, zero points
 * in the middle, and blocks of whole pairs of units; tables of several steps a turn have a loop for them. */
INLINE real nbits_columns(const weft_nbits *w, const float *prepared, size_t column, size_t end, const unsigned bits,
                          const bool is_usual) {
  const size_t at_once = is_usual ? 2 : 1;
  static const uint32_t places[4] = {15, 15 << 4, 15 << 8, 15 << 12};
  const float *sums = prepared + w->blocks * w->block;
  const bool is_middle = w->zeros == NULL && w->float_zeros == NULL;
  v128_t masks[4];
  const uint8_t *q[4];
  const float *scales[4];
  size_t at[4];
  real results[4];
  for (size_t c = 0; c < 4; c++) {
    masks[c] = bits == 4 ? load_constant(places + c) : wasm_i32x4_splat((1 << bits) - 1);
    at[c] = column + c < end ? column + c : end - 1;
    q[c] = w->weights + at[c] * w->blocks * w->blob;
    scales[c] = w->scales + at[c] * w->blocks;
    results[c] = r_set(0.0f);
  }
  for (size_t b = 0; b < w->blocks; b++) {
    real dots[4];
    for (size_t c = 0; c < 4; c++) {
      const float zero = is_middle ? (float)(1 << (bits - 1)) : weft_nbits_zero(w, at[c], b);
      dots[c] = r_mul(load(sums), is_usual ? R_CONST(8.0f) : r_set(zero));
    }
    sums += LANES;
    size_t i = w->block;
    NOT_UNROLLED
    do {
      UNROLLED
      for (size_t u = 0; u < at_once; u++) {
        nbits_unit_dots(q, u, prepared, masks, dots, bits);
      }
      prepared += at_once * UNIT;
      for (size_t c = 0; c < 4; c++) {
        q[c] += at_once * UNIT * bits / 8;
        FINISHED(q[c]);
      }
    } while ((i -= at_once * UNIT) > 0);
    for (size_t c = 0; c < 4; c++) {
      results[c] = r_madd(dots[c], load_splat(scales[c]++), results[c]);
      FINISHED(scales[c]);
    }
  }
  transpose_4x4(results);
  return r_add(r_add(results[0], results[2]), r_add(results[1], results[3]));
}

static void nbits_gemv(const weft_nbits *w, const float *prepared, size_t begin, size_t end, float *y) {
  const bool is_usual = STEPS > 1 && w->zeros == NULL && w->float_zeros == NULL && w->block % (2 * UNIT) == 0;
  for (size_t j = begin; j < end; j += WEIGHTS_AT_ONCE, y += WEIGHTS_AT_ONCE) {
    real sums = w->bits == 8   ? nbits_columns(w, prepared, j, end, 8, false)
                : w->bits == 2 ? nbits_columns(w, prepared, j, end, 2, false)
                : is_usual     ? nbits_columns(w, prepared, j, end, 4, true)
                               : nbits_columns(w, prepared, j, end, 4, false);
    if (w->bias != NULL) sums = r_add(sums, load_some(w->bias + j, end - j));
    store_some(y, sums, end - j);
  }
}

/* ---- panels of floats -------------------------------------------------------------------------------------------- */
/* What 4 columns' blocks have in common: x = (q - zero) * scale; both 0 from `end` on. */
typedef struct nbits_numbers {
  const uint8_t *q[4];
  real zeros, scales;
} nbits_numbers;

INLINE nbits_numbers nbits_numbers_of(const weft_nbits *w, size_t column, size_t end, size_t b) {
  nbits_numbers numbers;
  float zeros[4] = {0}, scales[4] = {0};
  for (size_t c = 0; c < 4; c++) {
    size_t at = column + c < end ? column + c : end - 1;
    numbers.q[c] = w->weights + (at * w->blocks + b) * w->blob;
    if (column + c < end) {
      zeros[c] = w->scales != NULL ? weft_nbits_zero(w, at, b) : 0.0f;
      scales[c] = w->scales != NULL ? w->scales[at * w->blocks + b] : 1.0f;
    }
  }
  numbers.zeros = load(zeros);
  numbers.scales = load(scales);
  return numbers;
}

/* A unit of 4 columns, half a panel. */
INLINE void nbits_expand_unit(const nbits_numbers *numbers, v128_t *v, float *out, const unsigned bits) {
  const v128_t mask = wasm_i32x4_splat((1 << bits) - 1);
  for (size_t l = 0; l < 4; l++) {
    for (size_t j = 0; j < 4; j++, out += NR) {
      real x = b_to_real(wasm_v128_and(wasm_u32x4_shr(v[l], (uint32_t)j * bits), mask));
      store(out, r_mul(r_sub(x, numbers->zeros), numbers->scales));
    }
  }
}

/* Block b of 4 columns. Of a unit that the column ends in, only the rows that there are. */
INLINE void nbits_expand_block(const weft_nbits *w, size_t column, size_t end, size_t b, float *out,
                               const unsigned bits) {
  nbits_numbers numbers = nbits_numbers_of(w, column, end, b);
  size_t n = w->k - b * w->block < w->block ? w->k - b * w->block : w->block;
  for (size_t i = 0; i < n; i += UNIT, out += UNIT * NR) {
    float rest[UNIT * NR];
    v128_t v[4];
    for (size_t c = 0; c < 4; c++) {
      v[c] = nbits_unit(numbers.q[c], bits);
      numbers.q[c] += UNIT * bits / 8;
    }
    transpose_4x4(v);
    nbits_expand_unit(&numbers, v, n - i < UNIT ? rest : out, bits);
    for (size_t row = 0; n - i < UNIT && row < n - i; row++) {
      store(out + row * NR, load(rest + row * NR));
    }
  }
}

static void nbits_expand(const weft_nbits *w, size_t begin, size_t end, float *out) {
  for (size_t column = begin; column < end; column += NR, out += NR * w->k) {
    for (size_t b = 0; b < 2 * w->blocks; b++) {
      size_t half = b % 2 * LANES;
      float *to = out + b / 2 * w->block * NR + half;
      if (w->bits == 4) {
        nbits_expand_block(w, column + half, end, b / 2, to, 4);
      } else if (w->bits == 8) {
        nbits_expand_block(w, column + half, end, b / 2, to, 8);
      } else {
        nbits_expand_block(w, column + half, end, b / 2, to, 2);
      }
    }
  }
}

/* ---- rows of 8 bits ------------------------------------------------------------------------------------------------
 * A packed row has for each block its negative sum, for every 32 elements first the even, then the odd ones: what the
 * low and the high halves of 16 bytes of weights meet, and its scale. Elements are bytes where there is a relaxed dot
 * product, else 16-bit numbers. All is in the order in which one pointer comes by it, as in a panel of weights. */
enum {
  HALVES = 32, /* elements in 16 bytes of weights */
  A_BYTE = FUSED ? 1 : 2,
  BLOCK_NUMBERS = sizeof(int32_t) + sizeof(float),
  I8_ROWS = FUSED ? 4 : 2
};

INLINE size_t nbits_i8_block_size(const weft_nbits *w) {
  return BLOCK_NUMBERS + w->block * A_BYTE;
}

static size_t nbits_i8_a_size(const weft_nbits *w, size_t m) {
  return m * w->blocks * nbits_i8_block_size(w);
}

/* 32 elements; the sums of lanes are taken off `sum`. */
INLINE v128_t nbits_i8_pack_part(const float *x, size_t n, real inverse, char *to, v128_t sum) {
  v128_t shorts[4];
  for (size_t j = 0; j < 4; j++) {
    v128_t v[2];
    for (size_t h = 0; h < 2; h++) {
      size_t at = (2 * j + h) * LANES;
      real y = r_mul(at < n ? load_some(x + at, n - at) : r_set(0.0f), inverse);
      v[h] = wasm_i32x4_sub(r_add(y, R_CONST(0x1.8p23f)), wasm_i32x4_splat(0x4b400000));
      sum = wasm_i32x4_sub(sum, v[h]);
    }
    shorts[j] = wasm_i16x8_narrow_i32x4(v[0], v[1]);
  }
  for (size_t j = 0; j < 2; j++) {
    v128_t a = shorts[2 * j], b = shorts[2 * j + 1];
    v128_t even = wasm_i16x8_shuffle(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
    v128_t odd = wasm_i16x8_shuffle(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
    if (!FUSED) {
      wasm_v128_store(to + j * 16, even);
      wasm_v128_store(to + 32 + j * 16, odd);
    } else {
      wasm_v128_store64_lane(to + j * 8, wasm_i8x16_narrow_i16x8(even, even), 0);
      wasm_v128_store64_lane(to + 16 + j * 8, wasm_i8x16_narrow_i16x8(odd, odd), 0);
    }
  }
  return sum;
}

/* The greatest magnitude; the bits of magnitudes are in their order, infinities and NaN above all. */
INLINE float greatest_of(const float *x, size_t n) {
  v128_t greatest = wasm_i32x4_splat(0);
  for (size_t i = 0; i < n; i += LANES) {
    greatest = wasm_i32x4_max(greatest, r_abs(load_some(x + i, n - i)));
  }
  greatest = wasm_i32x4_max(greatest, wasm_i32x4_shuffle(greatest, greatest, 2, 3, 0, 1));
  greatest = wasm_i32x4_max(greatest, wasm_i32x4_shuffle(greatest, greatest, 1, 0, 3, 2));
  float result = wasm_f32x4_extract_lane(greatest, 0);
  return isfinite(result) ? result : NAN;
}

static void nbits_i8_pack_a(const weft_nbits *w, const float *x, void *out) {
  char *to = out;
  for (size_t b = 0; b < w->blocks; b++) {
    size_t first = b * w->block, n = w->k - first < w->block ? w->k - first : w->block;
    float greatest = greatest_of(x + first, n), scale = greatest / 127;
    real inverse = r_set(greatest > 1e-36f ? 127 / greatest : 0);
    v128_t sum = wasm_i32x4_splat(0);
    char *header = to;
    to += sizeof(int32_t);
    for (size_t i = 0; i < w->block; i += HALVES, to += HALVES * A_BYTE) {
      bool is_inside = i < n && greatest > 1e-36f;
      sum = nbits_i8_pack_part(x + first + i, is_inside ? n - i : 0, inverse, to, sum);
    }
    int32_t negative = add_i32_lanes(sum);
    memcpy(header, &negative, sizeof negative);
    memcpy(to, &scale, sizeof scale);
    to += sizeof scale;
  }
}

/* 16 bytes times 16 weights below 16, each product added to its neighbour's. */
INLINE v128_t nbits_pairs(v128_t x, v128_t q) {
#if defined(__wasm__) && FUSED
  return wasm_i16x8_relaxed_dot_i8x16_i7x16(x, q);
#else
  v128_t low = wasm_i16x8_mul(wasm_i16x8_extend_low_i8x16(x), wasm_u16x8_extend_low_u8x16(q));
  v128_t high = wasm_i16x8_mul(wasm_i16x8_extend_high_i8x16(x), wasm_u16x8_extend_high_u8x16(q));
  return wasm_i16x8_narrow_i32x4(wasm_i32x4_extadd_pairwise_i16x8(low), wasm_i32x4_extadd_pairwise_i16x8(high));
#endif
}

/* sums += 16 elements at `a` times weights below 16; every lane holds a part of the sum. */
INLINE v128_t nbits_dot(const char *a, v128_t q, v128_t sums) {
  if (FUSED) return i8_step(q, wasm_v128_load(a), sums, UNSIGNED_QUADS);
  sums = i8_step(wasm_u16x8_extend_low_u8x16(q), wasm_v128_load(a), sums, PAIRS);
  return i8_step(wasm_u16x8_extend_high_u8x16(q), wasm_v128_load(a + 16), sums, PAIRS);
}

/* The same for 32 elements. Without an instruction for quads two products of pairs are added in 16 bits first. */
INLINE v128_t nbits_dot_halves(const char *a, v128_t v, v128_t mask, v128_t ones, v128_t sums, const i8_form form) {
  const v128_t even = wasm_v128_and(v, mask), odd = wasm_v128_and(wasm_u16x8_shr(v, 4), mask);
  if (FUSED && form == PAIRS) {
    v128_t pairs = wasm_i16x8_add(nbits_pairs(wasm_v128_load(a), even), nbits_pairs(wasm_v128_load(a + 16), odd));
    return wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(pairs, ones));
  }
  return nbits_dot(a + HALVES / 2 * A_BYTE, odd, nbits_dot(a, even, sums));
}

/* One row times 4 columns, straight from the blocks. */
INLINE real nbits_i8_columns(const weft_nbits *w, const char *a, size_t column, size_t end, const i8_form form) {
  const v128_t mask = B_CONST(0x0f0f0f0fu), ones = B_CONST(0x10001u);
  const uint8_t *q[4];
  const float *from[4];
  size_t at[4];
  v128_t zeros = wasm_i32x4_splat(8);
  real results = r_set(0.0f);
  for (size_t c = 0; c < 4; c++) {
    at[c] = column + c < end ? column + c : end - 1;
    q[c] = w->weights + at[c] * w->blocks * w->blob;
    from[c] = w->scales + at[c] * w->blocks;
  }
  for (size_t b = 0; b < w->blocks; b++) {
    v128_t sums[4];
    const v128_t negative = wasm_v128_load32_splat(a);
    a += sizeof(int32_t);
    for (size_t c = 0; c < 4; c++) {
      sums[c] = wasm_i32x4_splat(0);
    }
    size_t i = w->block;
    NOT_UNROLLED
    do {
      for (size_t c = 0; c < 4; c++) {
        sums[c] = nbits_dot_halves(a, wasm_v128_load(q[c]), mask, ones, sums[c], form);
        q[c] += HALVES / 2;
        FINISHED(q[c]);
      }
      a += HALVES * A_BYTE;
    } while ((i -= HALVES) > 0);
    transpose_4x4(sums);
    v128_t sum = wasm_i32x4_add(wasm_i32x4_add(sums[0], sums[1]), wasm_i32x4_add(sums[2], sums[3]));
    v128_t scales = wasm_v128_load32_zero(from[0]++);
    scales = wasm_v128_load32_lane(from[1]++, scales, 1);
    scales = wasm_v128_load32_lane(from[2]++, scales, 2);
    scales = wasm_v128_load32_lane(from[3]++, scales, 3);
    if (w->zeros != NULL) {
      zeros = wasm_i32x4_make(weft_nbits_whole_zero(w, at[0], b), weft_nbits_whole_zero(w, at[1], b),
                              weft_nbits_whole_zero(w, at[2], b), weft_nbits_whole_zero(w, at[3], b));
    }
    sum = wasm_i32x4_add(sum, wasm_i32x4_mul(zeros, negative));
    results = r_add(results, r_mul(b_to_real(sum), r_mul(wasm_v128_load32_splat(a), scales)));
    a += sizeof(float);
  }
  return results;
}

/* Block b of 8 columns: 8 zero points, steps of 4 bytes of each column, and 8 scales. */
INLINE char *nbits_i8_expand_block(const weft_nbits *w, size_t column, size_t end, size_t b, char *to) {
  const v128_t mask = wasm_i8x16_splat(15);
  const uint8_t *q[NR];
  float scales[NR];
  int32_t zeros[NR];
  for (size_t c = 0; c < NR; c++) {
    size_t at = column + c < end ? column + c : end - 1;
    q[c] = w->weights + (at * w->blocks + b) * w->blob;
    scales[c] = w->scales[at * w->blocks + b];
    zeros[c] = weft_nbits_whole_zero(w, at, b);
  }
  memcpy(to, zeros, sizeof zeros);
  to += sizeof zeros;
  for (size_t i = 0; i < w->blob; i += HALVES / 2, to += HALVES * NR) {
    for (size_t half = 0; half < 2; half++) {
      v128_t low[4], high[4];
      for (size_t c = 0; c < 4; c++) {
        v128_t v = wasm_v128_load(q[half * 4 + c] + i);
        low[c] = wasm_v128_and(v, mask);
        high[c] = wasm_v128_and(wasm_u16x8_shr(v, 4), mask);
      }
      transpose_4x4(low);
      transpose_4x4(high);
      for (size_t l = 0; l < 4; l++) {
        wasm_v128_store(to + l * 4 * NR + half * 16, low[l]);
        wasm_v128_store(to + (4 + l) * 4 * NR + half * 16, high[l]);
      }
    }
  }
  memcpy(to, scales, sizeof scales);
  return to + sizeof scales;
}

/* sums += the part of 32 elements: its 8 steps' products stay in 16 bits, into which 16 of a byte and a number below 16
 * fit, so that 16 products cost a multiplication and an addition. */
INLINE void nbits_i8_part(const char **a, const char *b, v128_t sums[I8_ROWS][4], const size_t rows) {
  const v128_t ones = B_CONST(0x10001u);
  v128_t pairs[I8_ROWS][2];
  UNROLLED
  for (size_t l = 0; l < HALVES / 4; l++, b += 4 * NR) {
    const v128_t y[2] = {wasm_v128_load(b), wasm_v128_load(b + 16)};
    for (size_t i = 0; i < rows; i++) {
      const v128_t x = wasm_v128_load32_splat(a[i] + 4 * l);
      for (size_t j = 0; j < 2; j++) {
        v128_t two = nbits_pairs(x, y[j]);
        pairs[i][j] = l == 0 ? two : wasm_i16x8_add(pairs[i][j], two);
        FINISHED(pairs[i][j]);
      }
    }
  }
  for (size_t i = 0; i < rows; i++) {
    a[i] += HALVES;
    FINISHED(a[i]);
    for (size_t j = 0; j < 2; j++) {
      sums[i][j] = wasm_i32x4_add(sums[i][j], wasm_i32x4_dot_i16x8(pairs[i][j], ones));
    }
  }
}

/* c += a block's part of `rows` rows times 8 columns, and moves the pointers on. Without a relaxed dot product 4 columns'
 * sums are in two vectors until the end, products of two neighbours each. */
INLINE const char *nbits_i8_block(const weft_nbits *w, const char **a, const char *b, float *c, const size_t rows,
                                  const i8_form form) {
  enum { VECTORS = FUSED ? 2 : 4 };
  const bool in_parts = FUSED && form == PAIRS;
  v128_t sums[I8_ROWS][4];
  for (size_t i = 0; i < rows; i++) {
    const v128_t negative = wasm_v128_load32_splat(a[i]);
    a[i] += sizeof(int32_t);
    FINISHED(a[i]);
    for (size_t j = 0; j < 2; j++) {
      const v128_t first = wasm_i32x4_mul(wasm_v128_load(b + 16 * j), negative);
      sums[i][FUSED ? j : 2 * j] = FUSED ? first : wasm_u64x2_extend_low_u32x4(first);
      if (!FUSED) sums[i][2 * j + 1] = wasm_u64x2_extend_high_u32x4(first);
    }
  }
  b += NR * sizeof(int32_t);
  FINISHED(b);
  NOT_UNROLLED
  for (size_t l = w->block / HALVES; in_parts && l > 0; l--) {
    nbits_i8_part(a, b, sums, rows);
    b += HALVES * NR;
    FINISHED(b);
  }
  NOT_UNROLLED
  for (size_t l = w->block / 4; !in_parts && l > 0; l -= STEPS) {
    UNROLLED
    for (size_t step = 0; step < STEPS; step++, b += 4 * NR) {
      v128_t y[VECTORS];
      for (size_t j = 0; j < VECTORS; j++) {
        y[j] = FUSED ? wasm_v128_load(b + 16 * j) : wasm_u16x8_load8x8(b + 8 * j);
      }
      for (size_t i = 0; i < rows; i++) {
        const char *from = a[i] + step * 4 * A_BYTE;
        const v128_t x = FUSED ? wasm_v128_load32_splat(from) : wasm_v128_load64_splat(from);
        for (size_t j = 0; j < VECTORS; j++) {
          sums[i][j] = i8_step(y[j], x, sums[i][j], FUSED ? UNSIGNED_QUADS : PAIRS);
          FINISHED(sums[i][j]);
        }
      }
    }
    FINISHED(b);
    for (size_t i = 0; i < rows; i++) {
      a[i] += STEPS * 4 * A_BYTE;
      FINISHED(a[i]);
    }
  }
  for (size_t i = 0; i < rows; i++) {
    const v128_t scale = wasm_v128_load32_splat(a[i]);
    a[i] += sizeof(float);
    for (size_t j = 0; j < 2; j++) {
      v128_t sum = sums[i][j];
      if (!FUSED) {
        v128_t low = sums[i][2 * j % VECTORS], high = sums[i][(2 * j + 1) % VECTORS];
        sum = wasm_i32x4_add(wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), wasm_i32x4_shuffle(low, high, 1, 3, 5, 7));
      }
      float *to = c + i * NR + j * LANES;
      store(to, r_add(load(to), r_mul(b_to_real(sum), r_mul(scale, wasm_v128_load(b + 16 * j)))));
    }
  }
  return b + NR * sizeof(float);
}

/* `rows` rows times a panel, of which `columns` are stored. */
INLINE void nbits_i8_tile(const weft_nbits *w, const char *a, const char *b, size_t column, size_t columns, float *y,
                          size_t ldy, const size_t rows, const i8_form form) {
  float c[I8_ROWS * NR] = {0};
  const char *left[I8_ROWS];
  for (size_t i = 0; i < rows; i++) {
    left[i] = a + nbits_i8_a_size(w, i);
  }
  for (size_t block = 0; block < w->blocks; block++) {
    b = nbits_i8_block(w, left, b, c, rows, form);
  }
  for (size_t i = 0; i < rows; i++, y += ldy) {
    for (size_t j = 0; j < columns; j += LANES) {
      real x = load(c + i * NR + j);
      if (w->bias != NULL) x = r_add(x, load_some(w->bias + column + j, columns - j));
      store_some(y + j, x, columns - j);
    }
  }
}

INLINE void nbits_i8_direct(const weft_nbits *w, const char *a, size_t begin, size_t end, float *y,
                            const i8_form form) {
  for (size_t j = begin; j < end; j += WEIGHTS_AT_ONCE, y += WEIGHTS_AT_ONCE) {
    real sums = nbits_i8_columns(w, a, j, end, form);
    if (w->bias != NULL) sums = r_add(sums, load_some(w->bias + j, end - j));
    store_some(y, sums, end - j);
  }
}

INLINE void nbits_i8_panel(const weft_nbits *w, size_t m, const char *a, const char *b, size_t column, size_t columns,
                           float *y, size_t ldy, const i8_form form) {
  const size_t row = nbits_i8_a_size(w, 1);
  for (; m >= I8_ROWS; m -= I8_ROWS, a += I8_ROWS * row, y += I8_ROWS * ldy) {
    nbits_i8_tile(w, a, b, column, columns, y, ldy, I8_ROWS, form);
  }
  for (; m > 0; m--, a += row, y += ldy) {
    nbits_i8_tile(w, a, b, column, columns, y, ldy, 1, form);
  }
}

INLINE void nbits_i8(const weft_nbits *w, size_t m, const void *a, size_t begin, size_t end, float *y, size_t ldy,
                     void *scratch, const i8_form form) {
  for (size_t i = 0; m < I8_ROWS && i < m; i++) {
    nbits_i8_direct(w, (const char *)a + nbits_i8_a_size(w, i), begin, end, y + i * ldy, form);
  }
  for (size_t column = begin; m >= I8_ROWS && column < end; column += NR, y += NR) {
    char *to = scratch;
    for (size_t b = 0; b < w->blocks; b++) {
      to = nbits_i8_expand_block(w, column, end, b, to);
    }
    nbits_i8_panel(w, m, a, scratch, column, end - column < NR ? end - column : NR, y, ldy, form);
  }
}

static void pairs_nbits_i8(const weft_nbits *w, size_t m, const void *a, size_t begin, size_t end, float *y, size_t ldy,
                           void *scratch) {
  nbits_i8(w, m, a, begin, end, y, ldy, scratch, PAIRS);
}

#if FUSED
static void quads_nbits_i8(const weft_nbits *w, size_t m, const void *a, size_t begin, size_t end, float *y, size_t ldy,
                           void *scratch) {
  nbits_i8(w, m, a, begin, end, y, ldy, scratch, UNSIGNED_QUADS);
}
#define signed_quads_nbits_i8 quads_nbits_i8
#define unsigned_quads_nbits_i8 quads_nbits_i8
#define limited_nbits_i8 pairs_nbits_i8
#endif
