/* Products of 8-bit integers, exact on every host, in three forms. Steps along k take
 *   2 numbers: a as 16-bit numbers with its zero points taken off, b's bytes widened as they are loaded,
 * i32x4.dot_i16x8; 4 numbers: the relaxed dot product of bytes, where relaxed.c has found what the host's means. The
 * specification leaves open whether its second operand is signed and whether sums of two products saturate. Where it
 * multiplies -128..127 by 0..255, or by -128..127, without saturating, a is moved into that range. b stays in bytes, so
 * that it costs no more memory than the model's own weights; unsigned ones are stored 128 lower. Sums begin with what
 * zero points make of them: (a - az)(b - bz) = a b - az sum(b) - bz sum(a - az).
 *
 *   row of a     int32 -az (0 where it is taken off already), int32 -sum(a - az), then 4 bytes a step
 *   panel of b   8 int32 bz, 8 int32 sum(b), then for every step 8 columns of 2 or 4 bytes
 *
 * Both are padded with zeros to whole turns of the loop, of several steps where the table has such.
 *
 * Processors without an instruction for it (x86 without AVX-VNNI) multiply -128..127 by 0..255, but sums of two
 * products saturate at 16 bits. There weights are the signed operand, whichever side they are on, and limited: of two
 * neighbours along k neither the positive nor the negative ones sum to more than 128. Where they would, the four bytes
 * of a step are cut to -64..64, and what is left of them is multiplied afterwards:
 *
 *   behind a row     int32 how many such steps, then for each int32 where it begins, from the end of the row's bytes,
 *                    and what is left of 4 bytes
 *   behind a panel   int32 how many of its left half, int32 how many of both, and the same with 16 bytes each
 *
 * Where there is no room for all of them (a count of -1), bytes are whole and widened for i32x4.dot_i16x8. Short rows
 * stay in pairs: much of them may be cut, and it takes as long however short they are.
 *
 * The form is a constant in every caller of products below. */

typedef enum i8_form {
  PAIRS,
  SIGNED_QUADS, /* by the kind of their bytes of a */
  UNSIGNED_QUADS,
  LIMITED_A, /* a is the weights, and signed; b is unsigned */
  LIMITED_B  /* b is the weights, and signed; a is unsigned */
} i8_form;

enum { ROW_HEADER = 2 * sizeof(int32_t), PANEL_HEADER = 2 * NR * sizeof(int32_t) };

enum { TURN = 2 * STEPS, SHORT_ROW = 48 }; /* numbers of k in a turn of the loop; up to where rows are short */

INLINE size_t i8_depth(const i8_form form) {
  return form == PAIRS ? 2 : 4;
}

/* Of whole turns. */
INLINE size_t i8_steps(size_t k, const i8_form form) {
  return (k + TURN - 1) / TURN * (TURN / i8_depth(form));
}

/* Of a panel, without its header. */
INLINE size_t i8_bytes(size_t k, const i8_form form) {
  return i8_steps(k, form) * i8_depth(form) * NR;
}

/* For how many steps that are cut there is room behind a row or panel: with more, whole bytes are as fast. */
INLINE int32_t i8_room(size_t k, const i8_form form) {
  return (int32_t)(i8_steps(k, form) / (form == LIMITED_A ? 4 : 2));
}

enum { LEFT_OF_ROW = 2 * sizeof(int32_t), LEFT_OF_HALF = sizeof(int32_t) + 16 };

INLINE size_t i8_row_size(size_t k, const i8_form form) {
  const size_t left = form == LIMITED_A ? sizeof(int32_t) + (size_t)i8_room(k, form) * LEFT_OF_ROW : 0;
  return ROW_HEADER + i8_steps(k, form) * sizeof(int32_t) + left;
}

INLINE size_t i8_panel_size(size_t k, const i8_form form) {
  const size_t left = form == LIMITED_B ? 2 * sizeof(int32_t) + (size_t)i8_room(k, form) * LEFT_OF_HALF : 0;
  return PANEL_HEADER + i8_bytes(k, form) + left;
}

INLINE bool is_limited(const i8_form form) {
  return form == LIMITED_A || form == LIMITED_B;
}

INLINE bool a_is_signed(const i8_form form) {
  return form == SIGNED_QUADS || form == LIMITED_A;
}

INLINE bool b_is_signed(const i8_form form) {
  return form != LIMITED_A;
}

INLINE int32_t load_i32(const void *p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return x;
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

/* Their sums of two. */
INLINE v128_t extadd_bytes(v128_t x, bool is_signed) {
  return is_signed ? wasm_i16x8_extadd_pairwise_i8x16(x) : wasm_u16x8_extadd_pairwise_u8x16(x);
}

/* ---- limiting weights -------------------------------------------------------------------------------------------- */
/* Whether sums of two of these bytes' products with 0..255 may leave 16 bits. */
INLINE bool i8_exceeds(v128_t x) {
  const v128_t zero = wasm_i8x16_splat(0);
  v128_t above = wasm_i16x8_extadd_pairwise_i8x16(wasm_i8x16_max(x, zero));
  v128_t below = wasm_i16x8_extadd_pairwise_i8x16(wasm_i8x16_min(x, zero));
  return wasm_v128_any_true(
      wasm_v128_or(wasm_i16x8_gt(above, wasm_i16x8_splat(128)), wasm_i16x8_lt(below, wasm_i16x8_splat(-128))));
}

INLINE v128_t i8_cut(v128_t x) {
  return wasm_i8x16_max(wasm_i8x16_min(x, wasm_i8x16_splat(64)), wasm_i8x16_splat(-64));
}

INLINE v128_t load_bytes(const char *p, size_t width) {
  return width == sizeof(int32_t) ? wasm_v128_load32_splat(p) : wasm_v128_load(p);
}

INLINE void store_bytes(char *p, v128_t x, size_t width) {
  if (width == sizeof(int32_t)) {
    wasm_v128_store32_lane(p, x, 0);
  } else {
    wasm_v128_store(p, x);
  }
}

/* The `size` bytes of a row or panel before `end`, `width` at a time: of each of `parts` that take turns what is cut,
 * with their numbers, this and all before, in front. Where there is no room, what was cut is put back. */
static NOT_INLINE void i8_limit(char *end, size_t size, size_t width, size_t parts, int32_t room) {
  int32_t counts[2] = {-1, -1}, count = 0;
  char *const first = end + parts * sizeof(int32_t), *left = first;
  const size_t step = sizeof(int32_t) + width;
  bool limits = size <= INT32_MAX;
  for (size_t part = 0; limits && part < parts; part++) {
    for (ptrdiff_t at = (ptrdiff_t)(part * width - size); at < 0; at += (ptrdiff_t)(parts * width)) {
      const v128_t x = load_bytes(end + at, width);
      if (!i8_exceeds(x)) continue;
      if (count++ == room) {
        counts[0] = -1;
        for (limits = false; left > first;) {
          left -= step;
          char *to = end + load_i32(left);
          store_bytes(to, wasm_i8x16_add(load_bytes(to, width), load_bytes(left + sizeof(int32_t), width)), width);
        }
        break;
      }
      const v128_t cut = i8_cut(x);
      const int32_t from_end = (int32_t)at;
      memcpy(left, &from_end, sizeof from_end);
      store_bytes(left + sizeof from_end, wasm_i8x16_sub(x, cut), width);
      store_bytes(end + at, cut, width);
      left += step;
    }
    if (limits) counts[part] = count;
  }
  memcpy(end, counts, parts * sizeof(int32_t));
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
  NOT_UNROLLED
  for (; i < 2 * i8_steps(k, PAIRS); i++) {
    int16_t x = i < k ? (int16_t)(byte_at(a, i, is_signed) - zero) : 0;
    header[1] -= x;
    memcpy(pairs + i * sizeof x, &x, sizeof x);
  }
  memcpy(to, header, sizeof header);
}

/* The bytes themselves, moved by 128 where the host's dot product takes the other kind. */
INLINE void pack_row_of_quads(size_t k, const uint8_t *a, bool is_signed, int32_t zero, char *to, const i8_form form) {
  const bool to_signed = a_is_signed(form);
  const uint8_t flip = is_signed == to_signed ? 0 : 0x80;
  const v128_t flips = wasm_i8x16_splat((int8_t)flip);
  char *bytes = to + ROW_HEADER;
  v128_t sums = wasm_i32x4_splat(0);
  size_t i = 0;
  for (; i + 16 <= k; i += 16) {
    v128_t x = wasm_v128_xor(wasm_v128_load(a + i), flips);
    v128_t pairs = extadd_bytes(x, to_signed);
    sums = wasm_i32x4_add(sums, wasm_i32x4_extadd_pairwise_i16x8(pairs));
    wasm_v128_store(bytes + i, x);
  }
  int32_t sum = add_i32_lanes(sums);
  NOT_UNROLLED
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
    if (form == LIMITED_A) {
      const size_t size = i8_steps(k, form) * sizeof(int32_t);
      i8_limit(to + ROW_HEADER + size, size, sizeof(int32_t), 1, i8_room(k, form));
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
  NOT_UNROLLED
  for (size_t j = 0; j < NR; j++) {
    NOT_UNROLLED
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
    NOT_UNROLLED
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
      v128_t pairs = extadd_bytes(wasm_v128_load(bytes + half * 16), b_is_signed(form));
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
  const bool flips = is_signed != b_is_signed(form);
  const int32_t moved = !flips ? 0 : is_signed ? 128 : -128;
  i8_source s = {.ldb = ldb, .k = k, .transposed = transposed, .flip = flips ? 0x80 : 0};
  s.flips = wasm_i8x16_splat((int8_t)s.flip);
  for (size_t column = 0; column < n; column += NR, to += i8_panel_size(k, form)) {
    int32_t zeros[NR] = {0};
    s.b = (const uint8_t *)b + (transposed ? column * ldb : column);
    s.columns = n - column < NR ? n - column : NR;
    for (size_t j = 0; j < s.columns; j++) {
      zeros[j] = b_zero[(column + j) * zero_step] + moved;
    }
    i8_pack_panel(&s, zeros, to, form);
    if (form == LIMITED_B) {
      const size_t size = i8_bytes(k, form);
      i8_limit(to + PANEL_HEADER + size, size, 16, 2, i8_room(k, form));
    }
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

/* The same of limited bytes x times any unsigned y; `ones` are 16 bits each. */
INLINE v128_t i8_limited_step(v128_t x, v128_t y, v128_t sums, v128_t ones) {
#if defined(__wasm__) && FUSED
  v128_t pairs = wasm_i16x8_relaxed_dot_i8x16_i7x16(x, y);
#else
  v128_t low = wasm_i16x8_mul(wasm_i16x8_extend_low_i8x16(x), wasm_u16x8_extend_low_u8x16(y));
  v128_t high = wasm_i16x8_mul(wasm_i16x8_extend_high_i8x16(x), wasm_u16x8_extend_high_u8x16(y));
  v128_t even = wasm_i16x8_shuffle(low, high, 0, 2, 4, 6, 8, 10, 12, 14);
  v128_t odd = wasm_i16x8_shuffle(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
  v128_t pairs = wasm_i16x8_add_sat(even, odd);
#endif
  return wasm_i32x4_add(wasm_i32x4_dot_i16x8(pairs, ones), sums);
}

INLINE v128_t i8_step_of(v128_t x, v128_t y, v128_t sums, v128_t ones, const i8_form form) {
  if (form == LIMITED_A) return i8_limited_step(x, y, sums, ones);
  if (form == LIMITED_B) return i8_limited_step(y, x, sums, ones);
  return i8_step(x, y, sums, form);
}

/* What a sum begins with: `zeros` is bz of its columns, at the panel's front. */
INLINE v128_t i8_first(const char *row, const char *zeros) {
  return wasm_i32x4_mul(wasm_v128_load(zeros), wasm_v128_load32_splat(row + sizeof(int32_t)));
}

/* And what the row's zero point adds, which is 0 in pairs. */
INLINE v128_t i8_second(const char *row, const char *zeros, v128_t sum) {
  v128_t column_sums = wasm_v128_load(zeros + NR * sizeof(int32_t));
  return wasm_i32x4_add(sum, wasm_i32x4_mul(wasm_v128_load32_splat(row), column_sums));
}

/* Whether it is nothing, as weights on the left have it as a rule. */
INLINE bool i8_no_second(size_t k, const char *a, const size_t rows, const i8_form form) {
  if (form == PAIRS) return true;
  int32_t any = 0;
  for (size_t i = 0; i < rows; i++) {
    any |= load_i32(a + i * i8_row_size(k, form));
  }
  return form == LIMITED_A && any == 0;
}

/* c += products of what is left of steps that were cut. `rows` is constant. */
INLINE void i8_add_left(size_t k, const char *a, const char *b, int32_t *c, size_t ldc, const size_t rows,
                        size_t panels, const i8_form form) {
  const size_t row_size = i8_row_size(k, form), panel_size = i8_panel_size(k, form);
  const v128_t ones = B_CONST(0x10001u);
  a += ROW_HEADER + i8_steps(k, form) * sizeof(int32_t);
  b += PANEL_HEADER + i8_bytes(k, form);
  NOT_UNROLLED
  for (size_t i = 0; form == LIMITED_A && i < rows; i++, a += row_size, c += ldc) {
    const char *at = a + sizeof(int32_t);
    v128_t sums[2] = {wasm_v128_load(c), wasm_v128_load(c + LANES)};
    NOT_UNROLLED
    for (int32_t n = load_i32(a); n > 0; n--, at += LEFT_OF_ROW) {
      const v128_t x = wasm_v128_load32_splat(at + sizeof(int32_t));
      const char *step = b + (ptrdiff_t)load_i32(at) * NR;
      sums[0] = i8_limited_step(x, wasm_v128_load(step), sums[0], ones);
      sums[1] = i8_limited_step(x, wasm_v128_load(step + 16), sums[1], ones);
    }
    wasm_v128_store(c, sums[0]);
    wasm_v128_store(c + LANES, sums[1]);
  }
  NOT_UNROLLED
  for (size_t j = 0; form == LIMITED_B && j < 2 * panels; j++, c += LANES) {
    const char *counts = b + j / 2 * panel_size, *at = counts + 2 * sizeof(int32_t);
    int32_t n = load_i32(counts + j % 2 * sizeof(int32_t));
    if (j % 2 != 0) {
      const int32_t before = load_i32(counts);
      n -= before;
      at += before * LEFT_OF_HALF;
    }
    v128_t sums[4];
    for (size_t i = 0; i < rows; i++) {
      sums[i] = wasm_v128_load(c + i * ldc);
    }
    NOT_UNROLLED
    for (; n > 0; n--, at += LEFT_OF_HALF) {
      const v128_t y = wasm_v128_load(at + sizeof(int32_t));
      const char *x = a + (load_i32(at) - (int32_t)(j % 2) * 16) / NR;
      for (size_t i = 0; i < rows; i++) {
        sums[i] = i8_limited_step(y, wasm_v128_load32_splat(x + i * row_size), sums[i], ones);
      }
    }
    for (size_t i = 0; i < rows; i++) {
      wasm_v128_store(c + i * ldc, sums[i]);
    }
  }
}

/* rows x (8 * panels) of c, both constant where this is called. Where sums and pointers are FINISHED, all loads of a
 * turn are from constant places behind the pointers. */
INLINE void i8_tile(size_t k, const char *a, const char *b, int32_t *c, size_t ldc, const size_t rows,
                    const size_t panels, const i8_form form) {
  const size_t row_size = i8_row_size(k, form), panel_size = i8_panel_size(k, form), vectors = 2 * panels;
  const size_t steps = form == PAIRS && FUSED ? 2 : TURN / i8_depth(form);
  const bool has_no_second = i8_no_second(k, a, rows, form);
  const v128_t ones = B_CONST(0x10001u); /* loaded, or binaryen puts it into the loop */
  v128_t sums[4][8];
  const char *left[4], *right[4];
  for (size_t i = 0; i < rows; i++) {
    left[i] = a + i * row_size;
    for (size_t j = 0; j < vectors; j++) {
      sums[i][j] = i8_first(left[i], b + j / 2 * panel_size + j % 2 * LANES * sizeof(int32_t));
    }
    left[i] += ROW_HEADER;
  }
  for (size_t i = 0; i < rows && !has_no_second; i++) {
    for (size_t j = 0; j < vectors; j++) {
      const char *zeros = b + j / 2 * panel_size + j % 2 * LANES * sizeof(int32_t);
      sums[i][j] = i8_second(a + i * row_size, zeros, sums[i][j]);
    }
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
          sums[i][j] = i8_step_of(x, y[j], sums[i][j], ones, form);
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

/* One or two rows of a panel, which is not limited; with limited panels, a row may be and the other not. */
INLINE void i8_whole_tile(size_t k, const char *a, const char *b, int32_t *c, size_t ldc, size_t rows,
                          const i8_form form) {
  const char *left[2] = {a + ROW_HEADER, a + ROW_HEADER + (rows > 1 ? i8_row_size(k, form) : 0)};
  const char *bytes = b + PANEL_HEADER;
  _Static_assert(TURN % 8 == 0 || !FUSED, "steps come in twos");
  v128_t sums[2][4]; /* even and odd lanes of a vector sum to a column each */
  for (size_t j = 0; j < 8; j++) {
    sums[j / 4][j % 4] = wasm_i32x4_splat(0);
  }
  NOT_UNROLLED
  for (size_t l = i8_steps(k, form); l > 0; l -= 2, bytes += 2 * 4 * NR) {
    UNROLLED
    for (size_t step = 0; step < 2; step++) {
      v128_t y[4];
      for (size_t j = 0; j < 4; j++) {
        y[j] = widen_bytes(bytes + 4 * NR * step + 8 * j, b_is_signed(form));
      }
      for (size_t i = 0; i < 2; i++) {
        v128_t x = wasm_v128_load32_splat(left[i] + step * sizeof(int32_t));
        x = a_is_signed(form) ? wasm_i16x8_extend_low_i8x16(x) : wasm_u16x8_extend_low_u8x16(x);
        for (size_t j = 0; j < 4; j++) {
          sums[i][j] = wasm_i32x4_add(wasm_i32x4_dot_i16x8(x, y[j]), sums[i][j]);
          FINISHED(sums[i][j]);
        }
      }
    }
    for (size_t i = 0; i < 2; i++) {
      left[i] += 2 * sizeof(int32_t);
      FINISHED(left[i]);
    }
    FINISHED(bytes);
  }
  for (size_t i = 0; i < rows; i++, a += i8_row_size(k, form), c += ldc) {
    for (size_t j = 0; j < 2; j++) {
      const char *zeros = b + j * LANES * sizeof(int32_t);
      const v128_t first = i8_second(a, zeros, i8_first(a, zeros)), *s = sums[i] + 2 * j;
      const v128_t even = wasm_i32x4_shuffle(s[0], s[1], 0, 2, 4, 6), odd = wasm_i32x4_shuffle(s[0], s[1], 1, 3, 5, 7);
      wasm_v128_store(c + j * LANES, wasm_i32x4_add(first, wasm_i32x4_add(even, odd)));
    }
    i8_add_left(k, a, b, c, ldc, 1, 1, form);
  }
}

#if FUSED
static NOT_INLINE void i8_whole_tile_a(size_t k, const char *a, const char *b, int32_t *c, size_t ldc, size_t rows) {
  i8_whole_tile(k, a, b, c, ldc, rows, LIMITED_A);
}

static NOT_INLINE void i8_whole_tile_b(size_t k, const char *a, const char *b, int32_t *c, size_t ldc, size_t rows) {
  i8_whole_tile(k, a, b, c, ldc, rows, LIMITED_B);
}
#endif

/* Of these rows or panels: 0 where no steps are cut, negative where there are whole ones. */
INLINE int32_t i8_left(size_t k, const char *a, const char *b, const size_t rows, const size_t panels,
                       const i8_form form) {
  int32_t any = 0;
  for (size_t i = 0; form == LIMITED_A && i < rows; i++) {
    any |= load_i32(a + i * i8_row_size(k, form) + ROW_HEADER + i8_steps(k, form) * sizeof(int32_t));
  }
  for (size_t j = 0; form == LIMITED_B && j < panels; j++) {
    const char *counts = b + j * i8_panel_size(k, form) + PANEL_HEADER + i8_bytes(k, form);
    any |= load_i32(counts + sizeof(int32_t));
  }
  return any;
}

/* rows and panels, constant and at most 4 and 1, or 1 and 4. */
INLINE void i8_tiles(size_t k, const char *a, const char *b, int32_t *c, size_t ldc, const size_t rows,
                     const size_t panels, const i8_form form) {
  const int32_t left = i8_left(k, a, b, rows, panels, form);
  if (left >= 0) {
    i8_tile(k, a, b, c, ldc, rows, panels, form);
    if (left > 0) i8_add_left(k, a, b, c, ldc, rows, panels, form);
    return;
  }
#if FUSED
  NOT_UNROLLED
  for (size_t j = 0; j < panels; j++, b += i8_panel_size(k, form), c += NR) {
    NOT_UNROLLED
    for (size_t i = 0; i < rows; i += 2) {
      const char *row = a + i * i8_row_size(k, form);
      (form == LIMITED_A ? i8_whole_tile_a : i8_whole_tile_b)(k, row, b, c + i * ldc, ldc, rows - i < 2 ? 1 : 2);
    }
  }
#endif
}

/* All rows of one panel. */
INLINE void i8_panel(size_t m, size_t k, const char *a, const char *b, int32_t *c, size_t ldc, const i8_form form) {
  const size_t row_size = i8_row_size(k, form);
  for (; m >= 4; m -= 4, a += 4 * row_size, c += 4 * ldc) {
    i8_tiles(k, a, b, c, ldc, 4, 1, form);
  }
  for (; m > 0; m--, a += row_size, c += ldc) {
    i8_tiles(k, a, b, c, ldc, 1, 1, form);
  }
}

INLINE void i8_product(size_t m, size_t n, size_t k, const char *a, const char *b, int32_t *c, size_t ldc,
                       const i8_form form) {
  const size_t panel_size = i8_panel_size(k, form), row_size = i8_row_size(k, form);
  for (; form != LIMITED_A && (form != PAIRS || !FUSED) && m == 1 && n >= 4 * NR;
       n -= 4 * NR, b += 4 * panel_size, c += 4 * NR) {
    i8_tiles(k, a, b, c, ldc, 1, 4, form);
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

/* ---- the forms as kernels ---------------------------------------------------------------------------------------- */
/* Packing is the same code for all forms. */
static NOT_INLINE void i8_pack_rows(size_t m, size_t k, const void *a, size_t lda, bool is_signed,
                                    const int32_t *a_zero, size_t zero_step, void *out, i8_form form) {
  i8_pack_a(m, k, a, lda, is_signed, a_zero, zero_step, out, FUSED ? form : PAIRS);
}

static NOT_INLINE void i8_pack_panels(size_t n, size_t k, const void *b, size_t ldb, bool transposed, bool is_signed,
                                      const int32_t *b_zero, size_t zero_step, void *out, i8_form form) {
  i8_pack_b(n, k, b, ldb, transposed, is_signed, b_zero, zero_step, out, FUSED ? form : PAIRS);
}

/* FORM may depend on k and a_is_weights. */
#define DEFINE_GEMM_I8(NAME, FORM)                                                                                     \
  static size_t NAME##_a_size(size_t m, size_t k, bool a_is_weights) {                                                 \
    (void)a_is_weights;                                                                                                \
    return weft_packed_size(m, i8_row_size(k, FORM), SIZE_MAX / 2);                                                    \
  }                                                                                                                    \
  static size_t NAME##_b_size(size_t n, size_t k, bool a_is_weights) {                                                 \
    (void)a_is_weights;                                                                                                \
    return weft_packed_size((n + NR - 1) / NR, i8_panel_size(k, FORM), SIZE_MAX / 2);                                  \
  }                                                                                                                    \
  static void NAME##_pack_a(size_t m, size_t k, const void *a, size_t lda, bool is_signed, const int32_t *a_zero,      \
                            size_t zero_step, void *out, bool a_is_weights) {                                          \
    (void)a_is_weights;                                                                                                \
    i8_pack_rows(m, k, a, lda, is_signed, a_zero, zero_step, out, FORM);                                               \
  }                                                                                                                    \
  static void NAME##_pack_b(size_t n, size_t k, const void *b, size_t ldb, bool transposed, bool is_signed,            \
                            const int32_t *b_zero, size_t zero_step, void *out, bool a_is_weights) {                   \
    (void)a_is_weights;                                                                                                \
    i8_pack_panels(n, k, b, ldb, transposed, is_signed, b_zero, zero_step, out, FORM);                                 \
  }

#define DEFINE_PRODUCT_I8(NAME, FORM)                                                                                  \
  static void NAME##_product(size_t m, size_t n, size_t k, const void *a_packed, const void *b_packed, size_t first,   \
                             int32_t *c, size_t ldc, bool a_is_weights) {                                              \
    (void)a_is_weights;                                                                                                \
    i8_product(m, n, k, a_packed, (const char *)b_packed + first / NR * i8_panel_size(k, FORM), c, ldc, FORM);         \
  }

DEFINE_GEMM_I8(pairs, PAIRS)
DEFINE_PRODUCT_I8(pairs, PAIRS)
#if FUSED
DEFINE_GEMM_I8(signed_quads, SIGNED_QUADS)
DEFINE_PRODUCT_I8(signed_quads, SIGNED_QUADS)
DEFINE_GEMM_I8(unsigned_quads, UNSIGNED_QUADS)
DEFINE_PRODUCT_I8(unsigned_quads, UNSIGNED_QUADS)

/* Modules of 64-bit addresses, which are larger, do without limited weights on the left: a kilobyte. */
#if defined(__wasm64__)
enum { LIMITS_A = 0 };
#else
enum { LIMITS_A = 1 };
#endif

INLINE i8_form limited_form(size_t k, bool a_is_weights) {
  return k <= SHORT_ROW || (a_is_weights && !LIMITS_A) ? PAIRS : a_is_weights ? LIMITED_A : LIMITED_B;
}

DEFINE_GEMM_I8(limited, limited_form(k, a_is_weights))
DEFINE_PRODUCT_I8(limited_a, LIMITED_A)
DEFINE_PRODUCT_I8(limited_b, LIMITED_B)

static void limited_product(size_t m, size_t n, size_t k, const void *a_packed, const void *b_packed, size_t first,
                            int32_t *c, size_t ldc, bool a_is_weights) {
  const i8_form form = limited_form(k, a_is_weights);
  if (form == PAIRS) {
    pairs_product(m, n, k, a_packed, b_packed, first, c, ldc, a_is_weights);
  } else if (form == LIMITED_A && LIMITS_A) {
    limited_a_product(m, n, k, a_packed, b_packed, first, c, ldc, a_is_weights);
  } else {
    limited_b_product(m, n, k, a_packed, b_packed, first, c, ldc, a_is_weights);
  }
}
#endif
