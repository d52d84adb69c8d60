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
  float *out;
  size_t oh, ow;
  size_t vectors; /* of an output row, even */
  size_t length;  /* of one phase of a buffered row */
  size_t offsets[MAX_TAPS];
  bool adjacent; /* taps of a kernel row are neighbours in the buffer */
} depthwise;

/* Elements of `row` at columns first, first + stride, ... into [0, length); outside [0, iw) is zero. */
static void copy_phase(const float *row, size_t iw, int64_t first, size_t stride, size_t length, float *to) {
  size_t q = 0;
  int64_t column = first;
  for (; q < length && column < 0; q++, column += (int64_t)stride) {
    to[q] = 0.0f;
  }
  size_t at = (size_t)column;
  if (stride == 1 && q < length && at < iw) {
    size_t count = iw - at < length - q ? iw - at : length - q;
    copy_floats(to + q, row + at, count);
    q += count;
    at += count;
  }
  for (; stride == 2 && q + LANES <= length && at + 2 * LANES <= iw; q += LANES, at += 2 * LANES) {
    store(to + q, wasm_i32x4_shuffle(load(row + at), load(row + at + LANES), 0, 2, 4, 6));
  }
  for (; q < length && at < iw; q++, at += stride) {
    to[q] = row[at];
  }
  clear_floats(to + q, length - q);
}

static void fill_band(const depthwise *d, size_t first_row, size_t rows, float *band) {
  for (size_t t = 0; t < rows; t++) {
    int64_t row = (int64_t)(first_row * d->stride_h + t) - d->pad_top;
    float *to = band + t * d->stride_w * d->length;
    if (row < 0 || (size_t)row >= d->ih) {
      clear_floats(to, d->stride_w * d->length);
      continue;
    }
    for (size_t phase = 0; phase < d->stride_w; phase++) {
      copy_phase(d->in + (size_t)row * d->iw, d->iw, (int64_t)phase - d->pad_left, d->stride_w, d->length,
                 to + phase * d->length);
    }
  }
}

/* `vectors` of an output row, a constant. kw = 0: the general case, by the table of offsets. Vectors may run over the
 * end of their row: the next row is written later. Only the channel's end is kept. */
INLINE void depthwise_vectors(const depthwise *d, const size_t kw, const size_t vectors, const float *from, size_t at) {
  real sums[4];
  for (size_t v = 0; v < vectors; v++) {
    sums[v] = r_set(d->bias);
  }
  const size_t steps = kw == 0 ? d->kh * d->kw : d->kh, taps = kw == 0 ? 1 : kw;
  const float *w = d->w;
  const size_t *offset = d->offsets;
  NOT_UNROLLED
  for (size_t i = steps; i > 0; i--) {
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
  const size_t left = d->oh * d->ow - at;
  for (size_t v = 0; v < vectors; v++) {
    real y = sums[v];
    if (d->clip) y = r_at_most(r_at_least(y, r_set(d->lo)), r_set(d->hi));
    if (left >= vectors * LANES) {
      store(d->out + at + v * LANES, y);
    } else if (left > v * LANES) {
      store_some(d->out + at + v * LANES, y, left - v * LANES);
    }
  }
}

INLINE void depthwise_band(const depthwise *d, const size_t kw, size_t first_row, size_t rows, const float *band) {
  const size_t row_floats = d->stride_h * d->stride_w * d->length;
  for (size_t row = 0; row < rows; row++, band += row_floats) {
    const size_t at = (first_row + row) * d->ow;
    size_t v = 0;
    for (; v + 4 <= d->vectors; v += 4) {
      depthwise_vectors(d, kw, 4, band + v * LANES, at + v * LANES);
    }
    if (v < d->vectors) depthwise_vectors(d, kw, 2, band + v * LANES, at + v * LANES);
  }
}

/* Fills in the geometry of the buffer; false when a single output row does not fit. */
static bool depthwise_plan(depthwise *d, size_t *rows) {
  d->vectors = (d->ow + 2 * LANES - 1) / (2 * LANES) * 2;
  d->length = d->vectors * LANES + (d->kw - 1) * d->dilation_w / d->stride_w;
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
  d->adjacent = d->stride_w == 1 && d->dilation_w == 1;
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
                 .out = out,
                 .oh = oh,
                 .ow = ow};
  size_t rows = 0;
  if (kh == 0 || kw == 0 || !depthwise_plan(&d, &rows)) {
    weft_portable_depthwise_f32(in, ih, iw, w, kh, kw, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left,
                                bias, activation, lo, hi, out, oh, ow);
    return;
  }
  for (size_t row = 0; row < oh; row += rows) {
    float band[BAND_FLOATS];
    size_t count = oh - row < rows ? oh - row : rows;
    fill_band(&d, row, (count - 1) * stride_h + (kh - 1) * dilation_h + 1, band);
    if (d.adjacent && kw == 3) {
      depthwise_band(&d, 3, row, count, band);
    } else if (d.adjacent && kw == 5) {
      depthwise_band(&d, 5, row, count, band);
    } else {
      depthwise_band(&d, 0, row, count, band);
    }
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
