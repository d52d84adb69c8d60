/* Depthwise convolution of bytes, in the way of convolution.h: a band of rows is widened into a buffer with its
 * padding and zero points taken off. Taps are taken two neighbours of a row at a time, which one i32x4.dot_i16x8
 * multiplies and adds: the buffer has for every output the elements that both meet, side by side. With a stride of 2 that
 * is the row as it is; else it holds every element twice. */

enum { SHORTS = 8 };

typedef struct depthwise_i8_pair {
  size_t offset;
  int32_t weights; /* two of 16 bits */
} depthwise_i8_pair;

typedef struct depthwise_i8_plan {
  const uint8_t *plane;
  const weft_pool_axis *y, *x;
  v128_t flips, zeros; /* bytes ^ flips are signed, and zero points moved with them */
  int32_t zero;
  bool is_signed;
  size_t phases; /* of pairs: those of output q begin at element stride * q + phase */
  size_t length; /* pairs of a phase of a buffered row */
  size_t row;    /* shorts of a buffered row */
  size_t count;
  depthwise_i8_pair pairs[WEFT_DEPTHWISE_I8_TAPS];
} depthwise_i8_plan;

/* What element `column` of a row, which may be padding, is in the buffer. */
INLINE int16_t element_i8(const depthwise_i8_plan *d, const uint8_t *row, int64_t column) {
  return column < 0 || (size_t)column >= d->x->in ? 0 : (int16_t)(byte_at(row, (size_t)column, d->is_signed) - d->zero);
}

/* 8 of them from column i on, or 4 in front. */
INLINE v128_t elements_i8(const uint8_t *row, size_t i, size_t part, v128_t flips, v128_t zeros) {
  const v128_t bytes = part == SHORTS ? wasm_v128_load64_zero(row + i) : wasm_v128_load32_zero(row + i);
  return wasm_i16x8_sub(wasm_i16x8_extend_low_i8x16(wasm_v128_xor(bytes, flips)), zeros);
}

/* Elements 0 to n - 1 where `to` is, or with `paired` each with the one `dilation` behind it; parts of 8 or 4 overlap. */
INLINE void widen_row_i8(const depthwise_i8_plan *d, const uint8_t *row, size_t n, int16_t *to, const size_t part,
                         const bool paired) {
  const v128_t flips = d->flips, zeros = d->zeros;
  const size_t dilation = d->x->dilation;
  for (size_t i = 0; i < n; i += part) {
    const size_t at = part_at(i, n, part);
    const v128_t a = elements_i8(row, at, part, flips, zeros);
    if (!paired) {
      wasm_v128_store(to + at, a);
      continue;
    }
    const v128_t b = elements_i8(row, at + dilation, part, flips, zeros);
    wasm_v128_store(to + 2 * at, wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
    if (part == SHORTS) {
      wasm_v128_store(to + 2 * at + SHORTS, wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
    }
  }
}

/* Pairs `begin` to `end` of a phase. */
static void pair_some_i8(const depthwise_i8_plan *d, const uint8_t *row, size_t phase, size_t begin, size_t end,
                         int16_t *to) {
  for (size_t i = begin; i < end; i++) {
    const int64_t column = (int64_t)(i * d->x->stride + phase) - d->x->pad;
    to[2 * i] = element_i8(d, row, column);
    to[2 * i + 1] = element_i8(d, row, column + (int64_t)d->x->dilation);
  }
}

static void fill_row_i8(const depthwise_i8_plan *d, const uint8_t *row, int16_t *to) {
  const size_t in = d->x->in, dilation = d->x->dilation, pad = (size_t)d->x->pad, stride = d->x->stride;
  if (stride == 2 && dilation == 1 && in >= SHORTS && pad + in <= d->row) {
    widen_row_i8(d, row, in, to + pad, SHORTS, false);
  } else if (stride == 1 && in >= dilation + LANES && pad + in <= d->length) {
    const size_t n = in - dilation;
    if (n >= SHORTS) {
      widen_row_i8(d, row, n, to + 2 * pad, SHORTS, true);
    } else {
      widen_row_i8(d, row, n, to + 2 * pad, LANES, true);
    }
    pair_some_i8(d, row, 0, pad > dilation ? pad - dilation : 0, pad, to);
    pair_some_i8(d, row, 0, pad + n, pad + in, to);
  } else {
    for (size_t phase = 0; phase < d->phases; phase++) {
      pair_some_i8(d, row, phase, 0, d->length, to + phase * 2 * d->length);
    }
  }
}

static void fill_band_i8(const depthwise_i8_plan *d, size_t first_row, size_t rows, int16_t *band) {
  for (size_t i = 0; i < rows * d->row; i += SHORTS) {
    wasm_v128_store(band + i, wasm_i16x8_splat(0));
  }
  for (size_t t = 0; t < rows; t++, band += d->row) {
    int64_t row = (int64_t)(first_row * d->y->stride + t) - d->y->pad;
    if (row >= 0 && (size_t)row < d->y->in) fill_row_i8(d, d->plane + (size_t)row * d->x->in, band);
  }
}

INLINE void store_some_sums(int32_t *to, const v128_t *sums, const int32_t *last) {
  const size_t left = (size_t)(last - to);
  int32_t part[SHORTS];
  int32_t *out = left >= SHORTS ? to : part;
  wasm_v128_store(out, sums[0]);
  wasm_v128_store(out + LANES, sums[1]);
  for (size_t i = 0; out == part && i < left; i++) {
    to[i] = part[i];
  }
}

/* 8 outputs of each of two rows, whose elements are `step` shorts apart and whose outputs `gap`: both share what is
 * looked up for a pair of taps. What a row shorter than 8 has beyond its end is written over by the next; nothing is
 * written at `last` and beyond. */
INLINE void depthwise_i8_vectors(const depthwise_i8_plan *d, const int16_t *from, size_t step, int32_t *to, size_t gap,
                                 const int32_t *last) {
  const int16_t *rows[2] = {from, from + step};
  v128_t sums[2][2];
  for (size_t h = 0; h < 2; h++) {
    sums[h][0] = sums[h][1] = wasm_i32x4_splat(0);
  }
  NOT_UNROLLED
  for (const depthwise_i8_pair *p = d->pairs, *end = p + d->count; p < end; p++) {
    const v128_t weights = wasm_v128_load32_splat(&p->weights);
    const size_t offset = p->offset;
    for (size_t h = 0; h < 2; h++) {
      const int16_t *x = rows[h] + offset;
      sums[h][0] = wasm_i32x4_add(sums[h][0], wasm_i32x4_dot_i16x8(wasm_v128_load(x), weights));
      sums[h][1] = wasm_i32x4_add(sums[h][1], wasm_i32x4_dot_i16x8(wasm_v128_load(x + SHORTS), weights));
    }
  }
  store_some_sums(to, sums[0], last);
  store_some_sums(to + gap, sums[1], last);
}

/* Fills in the buffer's geometry and the taps; returns how many output rows fit. */
static size_t depthwise_i8_make(depthwise_i8_plan *d, const int16_t *weights) {
  const weft_pool_axis *y = d->y, *x = d->x;
  const size_t per_row = (x->kernel + 1) / 2, extent = (y->kernel - 1) * y->dilation + 1;
  d->phases = x->stride > 2 ? x->stride : 1;
  d->row = weft_depthwise_i8_row(x);
  d->length = d->row / (2 * d->phases);
  d->count = y->kernel * per_row;
  for (size_t j = 0; j < per_row; j++) {
    const size_t column = 2 * j * x->dilation, last = 2 * j + 1 == x->kernel; /* of an odd row, without a partner */
    const size_t place = 2 * (column % x->stride * d->length + column / x->stride);
    const int16_t *w = weights + 2 * j;
    for (size_t i = 0; i < y->kernel; i++, w += x->kernel) {
      const uint32_t high = last ? 0 : (uint16_t)w[1];
      d->pairs[i * per_row + j] =
          (depthwise_i8_pair){i * y->dilation * d->row + place, (int32_t)(high << 16 | (uint16_t)w[0])};
    }
  }
  return (WEFT_DEPTHWISE_I8_BAND / d->row - extent) / y->stride + 1;
}

static void depthwise_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, const int16_t *weights,
                         int32_t zero, bool is_signed, size_t begin, size_t end, int32_t *sums) {
  depthwise_i8_plan d; /* its tables are long: not cleared for every plane */
  d.plane = plane;
  d.y = y;
  d.x = x;
  d.zero = zero;
  d.is_signed = is_signed;
  d.flips = wasm_i8x16_splat(is_signed ? 0 : -128);
  d.zeros = wasm_i16x8_splat((int16_t)(is_signed ? zero : zero - 128));
  const size_t rows = depthwise_i8_make(&d, weights);
  const int32_t *last = sums + (end - begin) * x->out;
  for (size_t row = begin; row < end; row += rows) {
    int16_t band[WEFT_DEPTHWISE_I8_BAND];
    size_t count = end - row < rows ? end - row : rows;
    fill_band_i8(&d, row, (count - 1) * y->stride + (y->kernel - 1) * y->dilation + 1, band);
    for (size_t r = 0; r < count; r += 2, sums += 2 * x->out) {
      const bool is_last = r + 1 == count; /* twice */
      const size_t step = is_last ? 0 : y->stride * d.row, gap = is_last ? 0 : x->out;
      const int16_t *from = band + r * y->stride * d.row;
      for (size_t i = 0; i < x->out; i += SHORTS) {
        const size_t at = x->out < SHORTS ? 0 : part_at(i, x->out, SHORTS);
        depthwise_i8_vectors(&d, from + 2 * at, step, sums + at, gap, last);
      }
    }
    sums -= count % 2 * x->out;
  }
}

/* ---- with a dot product of bytes ------------------------------------------------------------------------------------
 * The band stays in bytes of the kind that the host's instruction takes, padding being the zero point, which comes off
 * in one number for the whole plane. 4 taps of a row are taken at a time: the bytes that 4 neighbours meet are
 * spread from one load. Weights have to fit into signed bytes. */
#if FUSED
enum { BAND_BYTES = 24576, MOST_QUADS = 32, QUAD_GROUP = 4 };

typedef struct depthwise_quads {
  const uint8_t *plane;
  const weft_pool_axis *y, *x;
  uint8_t flip, padding; /* bytes are stored ^ flip */
  v128_t pattern;        /* bytes of 4 outputs' windows */
  size_t row;            /* bytes of a buffered row */
  size_t quads;
  size_t offsets[MOST_QUADS];
  int32_t weights[MOST_QUADS]; /* 4 bytes each */
  int32_t offset;
} depthwise_quads;

/* n bytes ^ flip; parts shorter than a vector overlap what was copied before. */
NO_IDIOMS static void copy_flipped(uint8_t *to, const uint8_t *from, size_t n, uint8_t flip) {
  const v128_t flips = wasm_i8x16_splat((int8_t)flip);
  if (n < 4) {
    for (size_t i = 0; i < n; i++) {
      to[i] = from[i] ^ flip;
    }
  } else if (n < 8) {
    wasm_v128_store32_lane(to, wasm_v128_xor(wasm_v128_load32_zero(from), flips), 0);
    wasm_v128_store32_lane(to + n - 4, wasm_v128_xor(wasm_v128_load32_zero(from + n - 4), flips), 0);
  } else if (n < 16) {
    wasm_v128_store64_lane(to, wasm_v128_xor(wasm_v128_load64_zero(from), flips), 0);
    wasm_v128_store64_lane(to + n - 8, wasm_v128_xor(wasm_v128_load64_zero(from + n - 8), flips), 0);
  } else {
    for (size_t i = 0; i + 16 <= n; i += 16) {
      wasm_v128_store(to + i, wasm_v128_xor(wasm_v128_load(from + i), flips));
    }
    wasm_v128_store(to + n - 16, wasm_v128_xor(wasm_v128_load(from + n - 16), flips));
  }
}

static void fill_band_quads(const depthwise_quads *d, size_t first_row, size_t rows, uint8_t *band) {
  const size_t pad = (size_t)d->x->pad, inside = d->x->in < d->row - pad ? d->x->in : d->row - pad;
  for (size_t t = 0; t < rows; t++, band += d->row) {
    int64_t row = (int64_t)(first_row * d->y->stride + t) - d->y->pad;
    for (size_t i = 0; i < d->row; i += 16) {
      wasm_v128_store(band + i, wasm_i8x16_splat((int8_t)d->padding));
    }
    if (row >= 0 && (size_t)row < d->y->in) {
      copy_flipped(band + pad, d->plane + (size_t)row * d->x->in, inside, d->flip);
    }
  }
}

INLINE v128_t spread_bytes(v128_t bytes, v128_t pattern) {
#if defined(__wasm__)
  return wasm_i8x16_relaxed_swizzle(bytes, pattern);
#else
  return wasm_i8x16_swizzle(bytes, pattern);
#endif
}

/* 4 * vectors outputs; `left` as in depthwise_i8_vector. */
INLINE void depthwise_quads_group(const depthwise_quads *d, const uint8_t *from, size_t left, int32_t *to,
                                  const size_t vectors, const i8_form form) {
  const size_t step = LANES * d->x->stride;
  const v128_t pattern = d->pattern;
  const v128_t ones = B_CONST(0x10001u);
  v128_t sums[QUAD_GROUP];
  for (size_t v = 0; v < vectors; v++) {
    sums[v] = wasm_i32x4_splat(d->offset);
  }
  NOT_UNROLLED
  for (size_t q = 0; q < d->quads; q++) {
    v128_t weights = wasm_v128_load32_splat(d->weights + q);
    const uint8_t *at = from + d->offsets[q];
    for (size_t v = 0; v < vectors; v++, at += step) {
      sums[v] = i8_step_of(spread_bytes(wasm_v128_load(at), pattern), weights, sums[v], ones, form);
    }
  }
  int32_t part[QUAD_GROUP * LANES];
  int32_t *out = left >= vectors * LANES ? to : part;
  for (size_t v = 0; v < vectors; v++) {
    wasm_v128_store(out + v * LANES, sums[v]);
  }
  for (size_t i = 0; out == part && i < left; i++) {
    to[i] = part[i];
  }
}

static void add_quad(depthwise_quads *d, v128_t weights, size_t offset) {
  wasm_v128_store32_lane(d->weights + d->quads, weights, 0);
  d->offsets[d->quads++] = offset;
}

/* Taps and geometry; false where the taps do not suit or a single output row does not fit. */
static bool depthwise_quads_make(depthwise_quads *d, const int16_t *weights, int32_t zero, bool is_signed,
                                 const i8_form form, size_t *rows) {
  static const uint8_t patterns[2][16] = {{0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6},
                                          {0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9}};
  const weft_pool_axis *y = d->y, *x = d->x;
  const size_t per_row = (x->kernel + 3) / 4, extent = (y->kernel - 1) * y->dilation + 1;
  const int32_t moved = is_signed == a_is_signed(form) ? 0 : is_signed ? 128 : -128;
  const size_t quads = y->kernel * per_row;
  const size_t most = is_limited(form) ? MOST_QUADS / 2 : MOST_QUADS; /* one that is cut becomes two */
  if (x->dilation != 1 || x->stride > 2 || x->pad < 0 || quads > most || x->out > BAND_BYTES) return false;
  d->row = ((x->out + LANES) * x->stride + 4 * per_row + 31) / 16 * 16;
  size_t room = BAND_BYTES / d->row;
  if (extent > room || (size_t)x->pad > d->row) return false;
  *rows = (room - extent) / y->stride + 1;
  d->pattern = wasm_v128_load(patterns[x->stride - 1]);
  d->flip = moved == 0 ? 0 : 0x80;
  d->padding = (uint8_t)(zero + moved);
  int32_t total = 0;
  d->quads = 0;
  for (size_t q = 0; q < quads; q++) {
    int8_t bytes[4] = {0};
    const size_t column = q % per_row * 4;
    for (size_t j = 0; j < 4 && column + j < x->kernel; j++) {
      int16_t w = weights[q / per_row * x->kernel + column + j];
      if (w < -128 || w > 127) return false;
      bytes[j] = (int8_t)w;
      total += w;
    }
    const size_t offset = q / per_row * y->dilation * d->row + column;
    v128_t taps = wasm_v128_load32_splat(bytes);
    if (is_limited(form) && i8_exceeds(taps)) {
      add_quad(d, wasm_i8x16_sub(taps, i8_cut(taps)), offset);
      taps = i8_cut(taps);
    }
    add_quad(d, taps, offset);
  }
  d->offset = -total * (zero + moved);
  return true;
}

INLINE void run_depthwise_quads(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x,
                                const int16_t *weights, int32_t zero, bool is_signed, size_t begin, size_t end,
                                int32_t *sums, const i8_form form) {
  depthwise_quads d = {.plane = plane, .y = y, .x = x};
  size_t rows = 0;
  if (!depthwise_quads_make(&d, weights, zero, is_signed, form, &rows)) {
    depthwise_i8(plane, y, x, weights, zero, is_signed, begin, end, sums);
    return;
  }
  size_t left = (end - begin) * x->out;
  for (size_t row = begin; row < end; row += rows) {
    uint8_t band[BAND_BYTES];
    size_t count = end - row < rows ? end - row : rows;
    fill_band_quads(&d, row, (count - 1) * y->stride + (y->kernel - 1) * y->dilation + 1, band);
    for (size_t r = 0; r < count; r++, sums += x->out, left -= x->out) {
      const uint8_t *from = band + r * y->stride * d.row;
      size_t i = 0;
      for (; i + (QUAD_GROUP - 1) * LANES < x->out; i += QUAD_GROUP * LANES) {
        depthwise_quads_group(&d, from + i * x->stride, left - i, sums + i, QUAD_GROUP, form);
      }
      for (; i < x->out; i += LANES) {
        depthwise_quads_group(&d, from + i * x->stride, left - i, sums + i, 1, form);
      }
    }
  }
}

#define DEFINE_DEPTHWISE_QUADS(NAME, FORM)                                                                             \
  static void NAME##_depthwise(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x,                 \
                               const int16_t *weights, int32_t zero, bool is_signed, size_t begin, size_t end,         \
                               int32_t *sums) {                                                                        \
    run_depthwise_quads(plane, y, x, weights, zero, is_signed, begin, end, sums, FORM);                                \
  }

DEFINE_DEPTHWISE_QUADS(signed_quads, SIGNED_QUADS)
DEFINE_DEPTHWISE_QUADS(unsigned_quads, UNSIGNED_QUADS)
DEFINE_DEPTHWISE_QUADS(limited, LIMITED_B)
#endif

#define pairs_depthwise depthwise_i8
