/* Convolution's own loops.
 *
 * Depthwise: a band of input rows is copied into a small buffer with its padding, columns of each stride phase side by
 * side. There every tap of every output column is a plain load at a fixed offset, whatever the stride, dilation and
 * padding, and no border needs code of its own. The copy is one load and store an element, the taps are nine or more.
 *
 * Few channels: the same for a product, which needs no patches then.
 *
 * Patches: 8 output positions make a panel's columns. Where their elements of a tap lie in the image is worked out once
 * a panel and used for all channels. */

enum {
  BAND_FLOATS = 6144,
  HALF_BAND = BAND_FLOATS / 2 + 16, /* to a stride of two's other phase: a constant, and on other lines of a cache */
  MAX_TAPS = WEFT_CONV_TAPS,
  DEPTHWISE_TAPS = 1024,
  SQUARE_TAPS = 25,
  PACK_CHANNELS = 32 /* whose taps are packed one after the other, while their rows and patches are near */
};

typedef struct depthwise {
  const weft_patches *p;
  const float *w; /* of the channel at work, as are its bias and the taps of a small square, each in all lanes */
  real bias, taps[SQUARE_TAPS];
  real lo, hi;       /* of what is stored */
  size_t length;     /* of one phase of a buffered row: whole vectors in pairs, and the last taps */
  size_t phase;      /* from one phase to the next */
  size_t row_floats; /* from one buffered row to the next */
  size_t line;       /* from one row of the output to the next */
  size_t rows;       /* of the output that a band makes */
  size_t spare;      /* rows of the buffer that are read and count in nothing */
  bool whole;        /* one band makes all rows */
  bool simple;       /* a row goes into its phases by whole vectors */
  uint16_t offsets[DEPTHWISE_TAPS];
} depthwise;

/* A row's n elements behind `before` zeros, which are there already. */
INLINE void copy_row(const float *from, size_t n, size_t before, float *to) {
  to += before;
  if (n < LANES) {
    store_part(to, load_part(from, n), n);
    return;
  }
  const real last = load(from + n - LANES);
  float *const end = to + n - LANES;
  for (; to + LANES < end; to += 2 * LANES, from += 2 * LANES) {
    store(to, load(from));
    store(to + LANES, load(from + LANES));
  }
  if (to < end) store(to, load(from));
  store(end, last);
}

INLINE void split_pairs(const float *from, float *even, float *odd) {
  const real a = load(from), b = load(from + LANES);
  store(even, wasm_i32x4_shuffle(a, b, 0, 2, 4, 6));
  store(odd, wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
}

/* The same of a row's even and odd elements, in two lines `phase` floats from each other: which is first depends on
 * whether the number of zeros before the row is even. */
INLINE void copy_halves(const float *from, size_t n, size_t before, size_t phase, float *to) {
  float *const even = to + before % 2 * phase + before / 2, *const odd =
                                                                to + (before + 1) % 2 * phase + (before + 1) / 2;
  size_t i = 0;
  if (n >= 2 * LANES) {
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
      split_pairs(from + i, even + i / 2, odd + i / 2);
    }
    i = n / 2 - LANES;
    split_pairs(from + 2 * i, even + i, odd + i);
    i = n / 2 * 2;
  }
  for (; i < n; i++) {
    (i % 2 == 0 ? even : odd)[i / 2] = from[i];
  }
}

/* Elements of `row` at columns first, first + stride, ... into [0, length); outside [0, iw) is zero. */
static void copy_phase(const float *row, size_t iw, int64_t first, size_t stride, size_t length, float *to) {
  int64_t column = first;
  for (size_t q = 0; q < length; q++, column += (int64_t)stride) {
    to[q] = column >= 0 && (size_t)column < iw ? row[column] : 0.0f;
  }
}

static size_t padded(const weft_patches *p) {
  return p->pad_left > 0 ? (size_t)p->pad_left : 0;
}

static void clear_rows(const depthwise *d, size_t count, float *band) {
  for (size_t i = 0; i < d->p->stride_w; i++, band += d->phase) {
    for (size_t row = 0; row < count; row++) {
      clear_floats(band + row * d->row_floats, d->length);
    }
  }
}

/* The rows of `in` that `count` output rows from `first` on are made of. The band is all zeros at first, and only what
 * lies inside the image changes. */
static void fill_band(const depthwise *d, const float *in, size_t first, size_t count, float *band) {
  const weft_patches *p = d->p;
  const size_t rows = (count - 1) * p->stride_h + (p->kh - 1) * p->dilation_h + 1, before = padded(p);
  const size_t left = p->pad_left >= 0 ? 0 : (size_t)-p->pad_left, skipped = left < p->iw ? left : p->iw;
  const size_t width = p->iw - skipped, room = d->length * p->stride_w - before;
  const size_t inside = d->simple && room < width ? room : width;
  const int64_t top = (int64_t)(first * p->stride_h) - p->pad_top, height = (int64_t)p->ih;
  const size_t outside = top < 0 ? (size_t)-top : 0, above = outside < rows ? outside : rows;
  const int64_t below = height - top < (int64_t)rows ? height - top : (int64_t)rows; /* the first row below the image */
  const size_t end = below > (int64_t)above ? (size_t)below : above;
  if (!d->whole) {
    clear_rows(d, above, band);
    clear_rows(d, rows - end, band + end * d->row_floats);
  }
  const float *row = in + (top + (int64_t)above) * (int64_t)p->iw + (int64_t)skipped;
  float *to = band + above * d->row_floats;
  for (size_t t = above; t < end; t++, to += d->row_floats, row += p->iw) {
    if (d->simple && p->stride_w == 1) {
      copy_row(row, inside, before, to);
    } else if (d->simple) {
      copy_halves(row, inside, before, d->phase, to);
    } else {
      for (size_t phase = 0; phase < p->stride_w; phase++) {
        copy_phase(row, width, (int64_t)phase - (int64_t)before, p->stride_w, d->length, to + phase * d->phase);
      }
    }
  }
}

/* What is stored: with the activation, if it is a clip. */
INLINE real depthwise_result(const depthwise *d, real y) {
  return r_at_most(r_at_least(y, d->lo), d->hi);
}

/* `vectors` of an output row, a constant, with any window. */
INLINE void depthwise_vectors(const depthwise *d, const size_t vectors, const float *from, float *to, size_t columns) {
  real sums[4];
  for (size_t v = 0; v < vectors; v++) {
    sums[v] = d->bias;
  }
  const float *w = d->w;
  const uint16_t *offset = d->offsets;
  NOT_UNROLLED
  for (size_t i = d->p->kh * d->p->kw; i > 0; i--) {
    const float *x = from + *offset++;
    real weight = load_splat(w++);
    for (size_t v = 0; v < vectors; v++) {
      sums[v] = r_madd(weight, load(x + v * LANES), sums[v]);
    }
  }
  for (size_t v = 0; v < vectors && v * LANES < columns; v++) {
    store_some(to + v * LANES, depthwise_result(d, sums[v]), columns - v * LANES);
  }
}

static void depthwise_row(const depthwise *d, const float *from, float *to) {
  const size_t ow = d->p->ow;
  size_t column = 0;
  for (; column + 2 * LANES < ow; column += 4 * LANES) {
    depthwise_vectors(d, 4, from + column, to + column, ow - column);
  }
  if (column < ow) depthwise_vectors(d, 2, from + column, to + column, ow - column);
}

/* Two vectors of columns, `second` floats from each other, of all rows of a k x k window without dilation, from the top
 * down: elements are loaded once for all the output rows that they count in, whose sums stay in registers, and weights
 * where they are used. The first of these sums belong to rows above the first and are dropped. k and stride are
 * constants. */
INLINE void depthwise_strip(const depthwise *d, const size_t k, const size_t stride, const float *from, size_t rows,
                            float *to, size_t second) {
  const size_t alive = (k + stride - 1) / stride, row_floats = d->row_floats, line = d->line, vectors = 2;
  const float *others = from + second;
  real sums[5][2];
  for (size_t i = 0; i < alive * vectors; i++) {
    sums[i / vectors][i % vectors] = d->bias;
  }
  NOT_UNROLLED
  for (size_t turn = 0; turn < rows + alive - 1; turn++) {
    UNROLLED
    for (size_t u = 0; u < stride; u++) {
      UNROLLED
      for (size_t j = 0; j < k; j++) {
        real x[2];
        for (size_t v = 0; v < vectors; v++) {
          x[v] = load((v == 0 ? from : others) + j % stride * HALF_BAND + j / stride);
        }
        UNROLLED
        for (size_t i = u; i < k; i += stride) {
          const real weight = d->taps[i * k + j];
          for (size_t v = 0; v < vectors; v++) {
            sums[i / stride][v] = r_madd(weight, x[v], sums[i / stride][v]);
            FINISHED(sums[i / stride][v]);
          }
        }
      }
      from += row_floats;
      others += row_floats;
      FINISHED(from);
      FINISHED(others);
    }
    if (turn >= alive - 1) {
      for (size_t v = 0; v < vectors; v++) {
        store(to + v * second, depthwise_result(d, sums[alive - 1][v]));
      }
      to += line;
    }
    for (size_t v = 0; v < vectors; v++) {
      UNROLLED
      for (size_t i = alive - 1; i > 0; i--) {
        sums[i][v] = sums[i - 1][v];
      }
      sums[0][v] = d->bias;
    }
  }
}

/* Of at least as many columns as a vector has. The last vectors may be made in part again. */
INLINE void depthwise_strips(const depthwise *d, const size_t k, const size_t stride, size_t rows, const float *band,
                             float *to) {
  const size_t ow = d->p->ow;
  const size_t last = ow < 2 * LANES ? 0 : ow - 2 * LANES;
  for (size_t column = 0; column < ow; column += 2 * LANES) {
    const size_t at = column < last ? column : last;
    depthwise_strip(d, k, stride, band + at, rows, to + at, ow < 2 * LANES ? ow - LANES : LANES);
  }
}

/* One vector of each of four output rows of a 3 x 3 window, `line` from each other, and of the rows that they are made
 * of, `row` from each other: as many as the taps of a column are. Each element is loaded once for all rows that it
 * counts in, and the weights stay in registers. */
INLINE void depthwise_square(const depthwise *d, const size_t stride, const real w[9], const float *from, size_t row,
                             float *to, size_t line) {
  real sums[4];
  for (size_t r = 0; r < 4; r++) {
    sums[r] = d->bias;
  }
  UNROLLED
  for (size_t t = 0; t < 3 * stride + 3; t++, from += row) {
    UNROLLED
    for (size_t j = 0; j < 3; j++) {
      const real x = load(from + j % stride * HALF_BAND + j / stride);
      UNROLLED
      for (size_t r = 0; r < 4; r++) {
        if (t < r * stride || t - r * stride >= 3) continue;
        sums[r] = r_madd(w[(t - r * stride) * 3 + j], x, sums[r]);
        FINISHED(sums[r]);
      }
    }
  }
  for (size_t r = 0; r < 4; r++, to += line) {
    store(to, depthwise_result(d, sums[r]));
  }
}

/* Every `step`th of `count` rows, which are four or more, as are their columns. The last four of both may be made in
 * part again. */
INLINE void depthwise_squares(const depthwise *d, const size_t stride, size_t step, size_t count, const float *band,
                              float *to) {
  const size_t ow = d->p->ow, row_floats = step * d->row_floats, line = step * d->line;
  real w[9];
  for (size_t i = 0; i < 9; i++) {
    w[i] = d->taps[i];
  }
  count = (count + step - 1) / step;
  for (size_t row = 0; row < count; row += 4) {
    row = row + 4 <= count ? row : count - 4;
    const float *from = band + row * stride * row_floats;
    float *out = to + row * line;
    NOT_UNROLLED
    for (size_t column = 0; column < ow; column += LANES) {
      column = column + LANES <= ow ? column : ow - LANES;
      depthwise_square(d, stride, w, from + column, row_floats, out + column, line);
    }
  }
}

/* Whether the window is k x k, dilated by `down` in its columns alone, and goes by as much down as to the right, and
 * the result has whole vectors. */
static bool is_square(const weft_patches *p, size_t k, size_t down) {
  return p->ow >= LANES && p->kh == k && p->kw == k && p->stride_h == p->stride_w && p->stride_h <= 2 &&
         p->dilation_h == down && p->dilation_w == 1;
}

static void depthwise_band(const depthwise *d, size_t count, const float *band, float *to) {
  const weft_patches *p = d->p;
  const size_t down = p->dilation_h;
  if (count / 4 >= down && is_square(p, 3, down) && p->stride_h == 1) {
    for (size_t row = 0; row < down; row++) { /* every so many rows are an image of their own */
      depthwise_squares(d, 1, down, count - row, band + row * d->row_floats, to + row * d->line);
    }
  } else if (count >= 4 && is_square(p, 3, 1)) {
    depthwise_squares(d, 2, 1, count, band, to);
  } else if (is_square(p, 5, 1) && p->stride_h == 1) {
    depthwise_strips(d, 5, 1, count, band, to);
  } else if (is_square(p, 5, 1)) {
    depthwise_strips(d, 5, 2, count, band, to);
  } else {
    for (size_t row = 0; row < count; row++) {
      depthwise_row(d, band + row * p->stride_h * d->row_floats, to + row * d->line);
    }
  }
}

/* The geometry of a buffered row, whose phases follow each other or are halves of the band. */
static void plan_row(depthwise *d, bool halves) {
  const weft_patches *p = d->p;
  const size_t all = weft_conv_row_floats(p);
  d->length = all / p->stride_w;
  d->row_floats = halves ? d->length : all;
  d->phase = halves ? HALF_BAND : d->length;
  d->simple = p->stride_w <= 2 && padded(p) < all;
  size_t phase = 0, step = 0;
  for (size_t j = 0; j < p->kw; j++) { /* without divisions: small channels are planned in less time than they take */
    for (size_t i = 0; i < p->kh; i++) {
      d->offsets[i * p->kw + j] = (uint16_t)(i * p->dilation_h * d->row_floats + phase * d->phase + step);
    }
    for (phase += p->dilation_w; phase >= p->stride_w; phase -= p->stride_w) {
      step++;
    }
  }
}

/* Fills in the geometry of the buffer; false when a single output row does not fit. */
static bool depthwise_plan(depthwise *d, size_t oh) {
  const weft_patches *p = d->p;
  const bool halves = p->stride_w == 2;
  plan_row(d, halves);
  d->spare = is_square(p, 5, 1) ? p->stride_h - 1 : 0;
  const size_t extent = (p->kh - 1) * p->dilation_h + 1 + d->spare;
  const size_t room = (halves ? BAND_FLOATS / 2 : BAND_FLOATS) / d->row_floats;
  if (extent > room) return false;
  d->rows = (room - extent) / p->stride_h + 1;
  d->whole = d->rows >= oh;
  d->rows = d->whole ? oh : d->rows;
  return true;
}

/* Columns that are more than a band holds are made in parts of as many as it does. */
static void depthwise_f32(const weft_patches *p, const float *w, const float *bias, weft_activation activation,
                          float lo, float hi, float *out, size_t oh) {
  const size_t taps = p->kh * p->kw;
  weft_patches part = *p;
  const bool clip = activation == WEFT_ACT_CLIP;
  depthwise d = {.p = &part, .lo = r_set(clip ? lo : -INFINITY), .hi = r_set(clip ? hi : INFINITY), .line = p->ow};
  bool fits = taps > 0 && taps <= DEPTHWISE_TAPS && oh > 0;
  while (fits && !depthwise_plan(&d, oh)) {
    part.ow /= 2;
    fits = part.ow >= NR;
  }
  if (!fits) {
    weft_portable_depthwise_sums(p, w, bias, out, oh);
    activate_f32(p->channels * oh * p->ow, out, activation, lo, hi);
    return;
  }
  float band[HALF_BAND + BAND_FLOATS / 2];
  const size_t columns = part.ow, plane = oh * p->ow;
  for (size_t column = 0; column < p->ow; column += columns) {
    part.ow = columns < p->ow - column ? columns : p->ow - column;
    part.pad_left = p->pad_left - (int64_t)(column * p->stride_w);
    const size_t used = ((d.rows - 1) * p->stride_h + (p->kh - 1) * p->dilation_h + 1 + d.spare) * d.row_floats;
    clear_floats(band, used);
    if (p->stride_w == 2) clear_floats(band + HALF_BAND, used);
    for (size_t c = 0; c < p->channels; c++) {
      d.w = w + c * taps;
      d.bias = r_set(bias != NULL ? bias[c] : 0.0f);
      for (size_t i = 0; i < taps && taps <= SQUARE_TAPS; i++) {
        d.taps[i] = load_splat(d.w + i);
      }
      for (size_t row = 0; row < oh; row += d.rows) {
        size_t count = oh - row < d.rows ? oh - row : d.rows;
        fill_band(&d, p->in + c * p->ih * p->iw, row, count, band);
        depthwise_band(&d, count, band, out + c * plane + row * p->ow + column);
      }
    }
  }
  if (!clip) activate_f32(p->channels * plane, out, activation, lo, hi);
}

/* ---- few channels ------------------------------------------------------------------------------------------------ */
/* Bands of all channels, as for one above, are the right-hand side of a product that finds its rows by their offsets. */
static void conv_f32(const weft_patches *p, size_t filters, const float *w, const weft_epilogue *epilogue, size_t begin,
                     size_t end, float *out, size_t oh, float *scratch) {
  depthwise d = {.p = p};
  const size_t taps = p->kh * p->kw, k = p->channels * taps;
  plan_row(&d, false);
  const size_t below = (p->kh - 1) * p->dilation_h + 1, line = p->channels * d.row_floats;
  size_t rows = (WEFT_CONV_BAND / line - below) / p->stride_h + 1;
  rows = rows < end - begin ? rows : end - begin;
  const size_t height = (rows - 1) * p->stride_h + below;
  int32_t *offsets = (int32_t *)scratch;
  float *band = scratch + k;
  for (size_t l = 0; l < k; l++) {
    offsets[l] = (int32_t)(l / taps * height * d.row_floats + d.offsets[l % taps]);
  }
  clear_floats(band, height * line);
  for (size_t y = begin; y < end; y += rows) {
    rows = rows < end - y ? rows : end - y;
    for (size_t c = 0; c < p->channels; c++) {
      fill_band(&d, weft_patches_channel(p, c), y, rows, band + c * height * d.row_floats);
    }
    for (size_t row = 0; row < rows; row++) {
      const size_t position = (y + row) * p->ow;
      gemm_part part = {.k = k,
                        .a = w,
                        .lda = k,
                        .panel = band + row * p->stride_h * d.row_floats,
                        .panel_stride = NR,
                        .c = out + position,
                        .ldc = oh * p->ow,
                        .epilogue = epilogue,
                        .column = position,
                        .offsets = offsets};
      gemm_scattered(&part, filters, p->ow);
      finish_rows(filters, p->ow, out + position, oh * p->ow, epilogue);
    }
  }
}

/* ---- patches ----------------------------------------------------------------------------------------------------- */
typedef enum tap_kind { TAP_OUTSIDE, TAP_ADJACENT, TAP_EVERY_SECOND, TAP_SCATTERED } tap_kind;

typedef struct tap {
  tap_kind kind;
  int32_t offsets[NR]; /* in a channel. Only the first unless SCATTERED */
  int32_t inside[NR];  /* SCATTERED: all bits, or none where the offset is 0 and the element zero */
} tap;

/* The window's corner at each of a panel's positions. */
typedef struct panel_positions {
  int64_t row[NR], column[NR];
  size_t count;
  bool one_row; /* all 8 in one row of the output */
} panel_positions;

static void find_positions(const weft_patches *p, size_t begin, size_t end, panel_positions *at) {
  size_t y = begin / p->ow, x = begin % p->ow;
  at->count = end - begin < NR ? end - begin : NR;
  at->one_row = at->count == NR && x + NR <= p->ow;
  for (size_t lane = 0; lane < at->count; lane++) {
    at->row[lane] = (int64_t)(y * p->stride_h) - p->pad_top;
    at->column[lane] = (int64_t)(x * p->stride_w) - p->pad_left;
    if (++x == p->ow) {
      x = 0;
      y++;
    }
  }
}

/* Whether a panel that begins at column x has all its taps between the columns of the image: then those of the next one
 * in the row are as far apart. */
static bool is_inner(const weft_patches *p, size_t x) {
  const int64_t column = (int64_t)(x * p->stride_w) - p->pad_left;
  return p->stride_w <= 2 && x + NR <= p->ow && column >= 0 &&
         column + (int64_t)((p->kw - 1) * p->dilation_w + NR * p->stride_w) <= (int64_t)p->iw;
}

static void find_tap(const weft_patches *p, const panel_positions *at, size_t i, size_t j, tap *t) {
  const int64_t down = (int64_t)(i * p->dilation_h), right = (int64_t)(j * p->dilation_w);
  const int64_t height = (int64_t)p->ih, width = (int64_t)p->iw;
  int64_t row = at->row[0] + down, column = at->column[0] + right;
  if (at->one_row && (row < 0 || row >= height)) {
    t->kind = TAP_OUTSIDE;
    return;
  }
  if (at->one_row && p->stride_w <= 2 && column >= 0 && column + (int64_t)(NR * p->stride_w) <= width) {
    t->kind = p->stride_w == 1 ? TAP_ADJACENT : TAP_EVERY_SECOND;
    t->offsets[0] = (int32_t)(row * width + column);
    return;
  }
  t->kind = TAP_SCATTERED;
  for (size_t lane = 0; lane < NR; lane++) {
    row = lane < at->count ? at->row[lane] + down : -1;
    column = lane < at->count ? at->column[lane] + right : -1;
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    t->offsets[lane] = inside ? (int32_t)(row * width + column) : 0;
    t->inside[lane] = inside ? -1 : 0;
  }
}

INLINE real gather(const float *channel, const tap *t, const size_t first) {
  const int32_t *const offsets = t->offsets + first;
  real x = wasm_v128_load32_zero(channel + offsets[0]);
  x = wasm_v128_load32_lane(channel + offsets[1], x, 1);
  x = wasm_v128_load32_lane(channel + offsets[2], x, 2);
  x = wasm_v128_load32_lane(channel + offsets[3], x, 3);
  return wasm_v128_and(x, wasm_v128_load(t->inside + first));
}

/* A tap of so many channels, `plane` floats from each other, to rows of the panel that are `step` apart. */
static void emit_tap(const tap *t, const float *in, size_t plane, size_t channels, float *out, size_t step) {
  const float *from = t->kind == TAP_OUTSIDE ? in : in + t->offsets[0];
  switch (t->kind) {
  case TAP_OUTSIDE:
    for (; channels > 0; channels--, out += step) {
      store(out, r_set(0.0f));
      store(out + LANES, r_set(0.0f));
    }
    break;
  case TAP_ADJACENT:
    for (; channels > 0; channels--, from += plane, out += step) {
      store(out, load(from));
      store(out + LANES, load(from + LANES));
    }
    break;
  case TAP_EVERY_SECOND:
    for (; channels > 0; channels--, from += plane, out += step) {
      store(out, wasm_i32x4_shuffle(load(from), load(from + 4), 0, 2, 4, 6));
      store(out + LANES, wasm_i32x4_shuffle(load(from + 8), load(from + 12), 0, 2, 4, 6));
    }
    break;
  case TAP_SCATTERED:
    for (; channels > 0; channels--, in += plane, out += step) {
      store(out, gather(in, t, 0));
      store(out + LANES, gather(in, t, LANES));
    }
    break;
  }
}

static void conv_f32_pack(const weft_patches *patches, size_t begin, size_t end, float *out) {
  const size_t taps = patches->kh * patches->kw, plane = patches->ih * patches->iw;
  if (taps == 1 && patches->stride_h == 1 && patches->stride_w == 1 && patches->ow == patches->iw &&
      patches->pad_top == 0 && patches->pad_left == 0 && end <= plane) { /* positions below the image are padding */
    gemm_f32_pack(end - begin, patches->channels, patches->in + begin, plane, false, out);
    return;
  }
  if (plane == 0) { /* scattered taps read something in any case */
    clear_floats(out, weft_gemm_packed_size(end - begin, patches->channels * taps));
    return;
  }
  tap table[MAX_TAPS];
  for (size_t first = 0, count = MAX_TAPS; first < taps; first += MAX_TAPS) {
    float *to = out + first * NR;
    size_t known = SIZE_MAX, moved = 0; /* the row whose taps are in the table, and how far they have gone since */
    count = count < taps - first ? count : taps - first;
    for (size_t position = begin; position < end; position += NR) {
      const size_t y = position / patches->ow;
      const bool inner = end - position >= NR && is_inner(patches, position % patches->ow);
      moved += NR * patches->stride_w;
      if (!inner || y != known) {
        panel_positions at;
        find_positions(patches, position, end, &at);
        for (size_t t = 0; t < count; t++) {
          find_tap(patches, &at, (first + t) / patches->kw, (first + t) % patches->kw, &table[t]);
        }
        known = inner ? y : SIZE_MAX;
        moved = 0;
      }
      const float *in = patches->in + moved;
      for (size_t c = 0, some; c < patches->channels; c += some, in += some * plane, to += some * taps * NR) {
        some = patches->channels - c < PACK_CHANNELS ? patches->channels - c : PACK_CHANNELS;
        for (size_t t = 0; t < count; t++) {
          emit_tap(&table[t], in, plane, some, to + t * NR, taps * NR);
        }
      }
    }
  }
}
