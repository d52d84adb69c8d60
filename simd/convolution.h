/* Convolution's own loops.
 *
 * Depthwise: a band of input rows is copied into a small buffer with its padding, columns of each stride phase side by
 * side. There every tap of every output column is a plain load at a fixed offset, whatever the stride, dilation and
 * padding, and no border needs code of its own. The copy is one load and store an element, the taps are nine or more.
 *
 * Patches: 8 output positions make a panel's columns. Where their elements of a tap lie in the image is worked out once
 * a panel and used for all channels. */

enum { BAND_FLOATS = 6144, MAX_TAPS = 128 };

typedef struct depthwise {
  const float *in;
  size_t ih, iw;
  const float *w;
  size_t kh, kw;
  size_t stride_h, stride_w;
  size_t dilation_h, dilation_w;
  int64_t pad_top, pad_left;
  float bias;
  bool clip;
  float lo, hi;
  size_t ow;
  size_t length; /* of one phase of a buffered row: whole vectors in pairs, and the last taps */
  size_t offsets[MAX_TAPS];
} depthwise;

enum { OVERRUN = LANES - 1 }; /* floats after a line that the two functions below may write */

/* A line of `length`: `before` zeros, n elements, zeros. */
NO_IDIOMS static void pad_line(const float *from, size_t n, size_t before, size_t length, float *to) {
  const real zero = r_set(0.0f);
  for (size_t i = 0; i < before; i += LANES) {
    store(to + i, zero);
  }
  float *const inner = to + before;
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    store(inner + i, load(from + i));
  }
  if (i < n && n >= LANES) {
    store(inner + n - LANES, load(from + n - LANES));
  } else if (i < n) {
    store(inner, load_part(from, n));
  }
  for (i = n; i < length - before; i += LANES) {
    store(inner + i, zero);
  }
}

/* The same of a row's even and odd elements, in two lines of `length` one after the other: which is first depends on
 * whether the number of zeros before the row is even. */
NO_IDIOMS static void pad_halves(const float *from, size_t n, size_t before, size_t length, float *to) {
  const real zero = r_set(0.0f);
  const size_t begin[2] = {before / 2, (before + 1) / 2};
  float *const line[2] = {to + before % 2 * length, to + (before + 1) % 2 * length};
  for (size_t i = 0; i < 2; i++) { /* zeros first, where an overrun meets nothing */
    float *const first = to + i * length;
    const size_t half = first == line[0] ? 0 : 1, count = (n + 1 - half) / 2;
    for (size_t j = 0; j < begin[half]; j += LANES) {
      store(first + j, zero);
    }
    for (size_t j = begin[half] + count; j < length; j += LANES) {
      store(first + j, zero);
    }
  }
  float *const even = line[0] + begin[0], *const odd = line[1] + begin[1];
  size_t i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    real a = load(from + i), b = load(from + i + LANES);
    store(even + i / 2, wasm_i32x4_shuffle(a, b, 0, 2, 4, 6));
    store(odd + i / 2, wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
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

static void fill_band(const depthwise *d, size_t first_row, size_t rows, float *band) {
  const size_t row_floats = d->stride_w * d->length, before = (size_t)d->pad_left;
  const bool simple = d->stride_w <= 2 && d->pad_left >= 0 && before < row_floats;
  const size_t inside = simple && row_floats - before < d->iw ? row_floats - before : d->iw;
  for (size_t t = 0; t < rows; t++, band += row_floats) {
    int64_t y = (int64_t)(first_row * d->stride_h + t) - d->pad_top;
    if (y < 0 || (size_t)y >= d->ih) {
      clear_floats(band, row_floats);
      continue;
    }
    const float *row = d->in + (size_t)y * d->iw;
    if (simple && d->stride_w == 1) {
      pad_line(row, inside, before, d->length, band);
    } else if (simple) {
      pad_halves(row, inside, before, d->length, band);
    } else {
      for (size_t phase = 0; phase < d->stride_w; phase++) {
        copy_phase(row, d->iw, (int64_t)phase - d->pad_left, d->stride_w, d->length, band + phase * d->length);
      }
    }
  }
}

/* What is stored: with the activation, if it is a clip. */
INLINE real depthwise_result(const depthwise *d, real y) {
  return d->clip ? r_at_most(r_at_least(y, load_splat(&d->lo)), load_splat(&d->hi)) : y;
}

/* `vectors` of an output row, a constant. With `taps`, also a constant, these are neighbours in the buffer and make up
 * a row of the window; with 1 anything goes. */
INLINE void depthwise_vectors(const depthwise *d, const size_t taps, const size_t vectors, const float *from, float *to,
                              size_t columns) {
  real sums[4];
  for (size_t v = 0; v < vectors; v++) {
    sums[v] = load_splat(&d->bias);
  }
  const float *w = d->w;
  const size_t *offset = d->offsets;
  NOT_UNROLLED
  for (size_t i = d->kh * d->kw; i > 0; i -= taps) {
    const float *row = from + *offset;
    for (size_t j = 0; j < taps; j++) {
      real weight = load_splat(w + j);
      for (size_t v = 0; v < vectors; v++) {
        sums[v] = r_madd(weight, load(row + j + v * LANES), sums[v]);
      }
    }
    w += taps;
    offset += taps;
  }
  for (size_t v = 0; v < vectors && v * LANES < columns; v++) {
    store_some(to + v * LANES, depthwise_result(d, sums[v]), columns - v * LANES);
  }
}

INLINE void depthwise_row(const depthwise *d, const size_t taps, const float *from, float *to) {
  size_t column = 0;
  for (; column + 2 * LANES < d->ow; column += 4 * LANES) {
    depthwise_vectors(d, taps, 4, from + column, to + column, d->ow - column);
  }
  if (column < d->ow) depthwise_vectors(d, taps, 2, from + column, to + column, d->ow - column);
}

/* One vector of each of four output rows of a 3 x 3 window without dilation. Each element is loaded once for all rows
 * that it counts in, and the weights stay in registers. */
INLINE void depthwise_square(const depthwise *d, const size_t stride, const real w[9], const float *from, float *to,
                             size_t columns) {
  real sums[4];
  for (size_t r = 0; r < 4; r++) {
    sums[r] = load_splat(&d->bias);
  }
  UNROLLED
  for (size_t t = 0; t < 3 * stride + 3; t++, from += stride * d->length) {
    UNROLLED
    for (size_t j = 0; j < 3; j++) {
      const real x = load(from + j % stride * d->length + j / stride);
      UNROLLED
      for (size_t r = 0; r < 4; r++) {
        if (t >= r * stride && t - r * stride < 3) sums[r] = r_madd(w[(t - r * stride) * 3 + j], x, sums[r]);
      }
    }
  }
  for (size_t r = 0; r < 4; r++, to += d->ow) {
    store_some(to, depthwise_result(d, sums[r]), columns);
  }
}

/* The last four rows may be made in part again. */
INLINE void depthwise_squares(const depthwise *d, const size_t stride, size_t count, const float *band, float *to) {
  real w[9];
  for (size_t i = 0; i < 9; i++) {
    w[i] = load_splat(d->w + i);
  }
  for (size_t row = 0; row < count; row += 4) {
    row = row + 4 <= count ? row : count - 4;
    const float *from = band + row * stride * stride * d->length;
    NOT_UNROLLED
    for (size_t column = 0; column < d->ow; column += LANES) {
      depthwise_square(d, stride, w, from + column, to + row * d->ow + column, d->ow - column);
    }
  }
}

static void depthwise_band(const depthwise *d, size_t count, const float *band, float *to) {
  const bool adjacent = d->stride_w == 1 && d->dilation_w == 1;
  const size_t row_floats = d->stride_h * d->stride_w * d->length;
  if (count >= 4 && d->kh == 3 && d->kw == 3 && adjacent && d->stride_h == 1 && d->dilation_h == 1) {
    depthwise_squares(d, 1, count, band, to);
  } else if (count >= 4 && d->kh == 3 && d->kw == 3 && d->stride_w == 2 && d->stride_h == 2 && d->dilation_h == 1 &&
             d->dilation_w == 1) {
    depthwise_squares(d, 2, count, band, to);
  } else if (adjacent && d->kw == 5) {
    for (size_t row = 0; row < count; row++) {
      depthwise_row(d, 5, band + row * row_floats, to + row * d->ow);
    }
  } else {
    for (size_t row = 0; row < count; row++) {
      depthwise_row(d, 1, band + row * row_floats, to + row * d->ow);
    }
  }
}

/* Fills in the geometry of the buffer; false when a single output row does not fit. */
static bool depthwise_plan(depthwise *d, size_t *rows) {
  d->length = (d->ow + 2 * LANES - 1) / (2 * LANES) * 2 * LANES + (d->kw - 1) * d->dilation_w / d->stride_w;
  size_t extent = (d->kh - 1) * d->dilation_h + 1;
  size_t row_floats = d->stride_w * d->length;
  size_t room = row_floats <= BAND_FLOATS ? BAND_FLOATS / row_floats : 0;
  if (d->kh * d->kw > MAX_TAPS || extent > room) return false;
  *rows = (room - extent) / d->stride_h + 1;
  size_t phase = 0, step = 0;
  for (size_t j = 0; j < d->kw; j++) { /* without divisions: small channels are planned in less time than they take */
    for (size_t i = 0; i < d->kh; i++) {
      d->offsets[i * d->kw + j] = i * d->dilation_h * row_floats + phase * d->length + step;
    }
    for (phase += d->dilation_w; phase >= d->stride_w; phase -= d->stride_w) {
      step++;
    }
  }
  return true;
}

static void depthwise_f32(const float *in, size_t ih, size_t iw, const float *w, size_t kh, size_t kw, size_t stride_h,
                          size_t stride_w, size_t dilation_h, size_t dilation_w, int64_t pad_top, int64_t pad_left,
                          float bias, weft_activation activation, float lo, float hi, float *out, size_t oh,
                          size_t ow) {
  depthwise d = {.in = in,
                 .ih = ih,
                 .iw = iw,
                 .w = w,
                 .kh = kh,
                 .kw = kw,
                 .stride_h = stride_h,
                 .stride_w = stride_w,
                 .dilation_h = dilation_h,
                 .dilation_w = dilation_w,
                 .pad_top = pad_top,
                 .pad_left = pad_left,
                 .bias = bias,
                 .clip = activation == WEFT_ACT_CLIP,
                 .lo = lo,
                 .hi = hi,
                 .ow = ow};
  size_t rows = 0;
  if (kh == 0 || kw == 0 || !depthwise_plan(&d, &rows)) {
    weft_portable_depthwise_f32(in, ih, iw, w, kh, kw, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left,
                                bias, activation, lo, hi, out, oh, ow);
    return;
  }
  for (size_t row = 0; row < oh; row += rows) {
    float band[BAND_FLOATS + OVERRUN];
    size_t count = oh - row < rows ? oh - row : rows;
    fill_band(&d, row, (count - 1) * stride_h + (kh - 1) * dilation_h + 1, band);
    depthwise_band(&d, count, band, out + row * ow);
  }
  if (!d.clip) activate_f32(oh * ow, out, activation, lo, hi);
}

/* ---- patches --------------------------------------------------------------------------------------------------------
 */
typedef enum tap_kind { TAP_OUTSIDE, TAP_ADJACENT, TAP_EVERY_SECOND, TAP_SCATTERED } tap_kind;

typedef struct tap {
  tap_kind kind;
  int32_t offsets[NR]; /* in a channel; -1: zero. Only the first unless SCATTERED */
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
    t->offsets[lane] = -1;
    if (lane >= at->count) continue;
    row = at->row[lane] + down;
    column = at->column[lane] + right;
    if (row >= 0 && row < height && column >= 0 && column < width) t->offsets[lane] = (int32_t)(row * width + column);
  }
}

INLINE void emit_tap(const tap *t, const float *channel, float *out) {
  real low = r_set(0.0f), high = low;
  const float *from = t->kind == TAP_OUTSIDE || t->kind == TAP_SCATTERED ? channel : channel + t->offsets[0];
  switch (t->kind) {
  case TAP_OUTSIDE:
    break;
  case TAP_ADJACENT:
    low = load(from);
    high = load(from + LANES);
    break;
  case TAP_EVERY_SECOND:
    low = wasm_i32x4_shuffle(load(from), load(from + 4), 0, 2, 4, 6);
    high = wasm_i32x4_shuffle(load(from + 8), load(from + 12), 0, 2, 4, 6);
    break;
  case TAP_SCATTERED:
    for (size_t lane = 0; lane < NR; lane++) {
      out[lane] = t->offsets[lane] < 0 ? 0.0f : channel[t->offsets[lane]];
    }
    return;
  }
  store(out, low);
  store(out + LANES, high);
}

static void conv_f32_pack(const weft_patches *patches, size_t begin, size_t end, float *out) {
  const size_t taps = patches->kh * patches->kw, plane = patches->ih * patches->iw;
  if (taps == 1 && patches->stride_h == 1 && patches->stride_w == 1 && patches->ow == patches->iw &&
      patches->pad_top == 0 && patches->pad_left == 0) {
    gemm_f32_pack(end - begin, patches->channels, patches->in + begin, plane, false, out);
    return;
  }
  if (taps > MAX_TAPS || plane > INT32_MAX) {
    weft_portable_conv_f32_pack(patches, begin, end, out);
    return;
  }
  tap table[MAX_TAPS];
  for (; begin < end; begin += NR) {
    panel_positions at;
    find_positions(patches, begin, end, &at);
    for (size_t t = 0; t < taps; t++) {
      find_tap(patches, &at, t / patches->kw, t % patches->kw, &table[t]);
    }
    for (size_t c = 0; c < patches->channels; c++) {
      for (size_t t = 0; t < taps; t++, out += NR) {
        emit_tap(&table[t], patches->in + c * plane, out);
      }
    }
  }
}
