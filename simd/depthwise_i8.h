/* Depthwise convolution of bytes, in the way of convolution.h: a band of rows is widened into a buffer with its
 * padding, zero points taken off and stride phases side by side. Taps are taken two at a time: their elements
 * interleaved, one i32x4.dot_i16x8 multiplies and adds both. */

enum { BAND_SHORTS = 12288, SHORTS = 8 };

typedef struct depthwise_i8_plan {
  const uint8_t *plane;
  const weft_pool_axis *y, *x;
  v128_t zeros;
  int32_t zero;
  bool is_signed;
  size_t vectors; /* of 8, in an output row */
  size_t length;  /* of one phase of a buffered row */
  size_t row;     /* of a buffered row */
  size_t pairs;
  size_t offsets[MAX_TAPS + 1];
  int32_t weights[MAX_TAPS / 2 + 1]; /* two of 16 bits */
} depthwise_i8_plan;

NO_IDIOMS static void clear_shorts(int16_t *to, size_t n) {
  for (size_t i = 0; i < n; i++) {
    to[i] = 0;
  }
}

/* 8 elements from every first or second byte on. */
INLINE v128_t widen_strided(const uint8_t *from, const size_t stride, bool is_signed) {
  if (stride == 1) return widen_bytes(from, is_signed);
  v128_t bytes = wasm_v128_load(from);
  if (is_signed) return wasm_i16x8_shr(wasm_i16x8_shl(bytes, 8), 8);
  return wasm_v128_and(bytes, wasm_i16x8_splat(0xff));
}

INLINE size_t copy_whole_shorts(const depthwise_i8_plan *d, const uint8_t *from, const size_t stride, size_t inside,
                                size_t length, int16_t *to) {
  size_t q = 0;
  for (; q + SHORTS <= length && (q + SHORTS) * stride <= inside; q += SHORTS) {
    wasm_v128_store(to + q, wasm_i16x8_sub(widen_strided(from + q * stride, stride, d->is_signed), d->zeros));
  }
  return q;
}

/* As copy_phase of convolution.h. */
static void copy_phase_i8(const depthwise_i8_plan *d, const uint8_t *row, int64_t first, int16_t *to) {
  const size_t stride = d->x->stride, iw = d->x->in, length = d->length;
  size_t q = 0;
  int64_t column = first;
  for (; q < length && column < 0; q++, column += (int64_t)stride) {
    to[q] = 0;
  }
  size_t at = (size_t)column;
  if (q < length && at < iw && stride <= 2) {
    size_t done = stride == 1 ? copy_whole_shorts(d, row + at, 1, iw - at, length - q, to + q)
                              : copy_whole_shorts(d, row + at, 2, iw - at, length - q, to + q);
    q += done;
    at += done * stride;
  }
  for (; q < length && at < iw; q++, at += stride) {
    to[q] = (int16_t)(byte_at(row, at, d->is_signed) - d->zero);
  }
  clear_shorts(to + q, length - q);
}

static void fill_band_i8(const depthwise_i8_plan *d, size_t first_row, size_t rows, int16_t *band) {
  for (size_t t = 0; t < rows; t++, band += d->row) {
    int64_t row = (int64_t)(first_row * d->y->stride + t) - d->y->pad;
    if (row < 0 || (size_t)row >= d->y->in) {
      clear_shorts(band, d->row);
      continue;
    }
    for (size_t phase = 0; phase < d->x->stride; phase++) {
      copy_phase_i8(d, d->plane + (size_t)row * d->x->in, (int64_t)phase - d->x->pad, band + phase * d->length);
    }
  }
}

/* 8 outputs. `left`: of the block from here on; what a vector has beyond its row is written over by the next. */
INLINE void depthwise_i8_vector(const depthwise_i8_plan *d, const int16_t *from, size_t left, int32_t *to) {
  v128_t sums[2] = {wasm_i32x4_splat(0), wasm_i32x4_splat(0)};
  NOT_UNROLLED
  for (size_t p = 0; p < d->pairs; p++) {
    v128_t weights = wasm_v128_load32_splat(d->weights + p);
    v128_t a = wasm_v128_load(from + d->offsets[2 * p]), b = wasm_v128_load(from + d->offsets[2 * p + 1]);
    v128_t low = wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    v128_t high = wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    sums[0] = wasm_i32x4_add(sums[0], wasm_i32x4_dot_i16x8(low, weights));
    sums[1] = wasm_i32x4_add(sums[1], wasm_i32x4_dot_i16x8(high, weights));
  }
  if (left >= SHORTS) {
    wasm_v128_store(to, sums[0]);
    wasm_v128_store(to + LANES, sums[1]);
    return;
  }
  int32_t part[SHORTS];
  wasm_v128_store(part, sums[0]);
  wasm_v128_store(part + LANES, sums[1]);
  for (size_t i = 0; i < left; i++) {
    to[i] = part[i];
  }
}

/* Fills in the buffer's geometry and the taps; false when a single output row does not fit. */
static bool depthwise_i8_make(depthwise_i8_plan *d, const int16_t *weights, size_t *rows) {
  const weft_pool_axis *y = d->y, *x = d->x;
  const size_t taps = y->kernel * x->kernel;
  d->vectors = (x->out + SHORTS - 1) / SHORTS;
  d->length = d->vectors * SHORTS + (x->kernel - 1) * x->dilation / x->stride;
  d->row = x->stride * d->length;
  size_t extent = (y->kernel - 1) * y->dilation + 1;
  size_t room = d->row <= BAND_SHORTS ? BAND_SHORTS / d->row : 0;
  if (taps == 0 || taps > MAX_TAPS || extent > room) return false;
  *rows = (room - extent) / y->stride + 1;
  size_t phase = 0, step = 0;
  for (size_t j = 0; j < x->kernel; j++) {
    for (size_t i = 0; i < y->kernel; i++) {
      d->offsets[i * x->kernel + j] = i * y->dilation * d->row + phase * d->length + step;
    }
    for (phase += x->dilation; phase >= x->stride; phase -= x->stride) {
      step++;
    }
  }
  d->offsets[taps] = 0; /* an odd tap's partner has no weight */
  d->pairs = (taps + 1) / 2;
  for (size_t p = 0; p < d->pairs; p++) {
    uint32_t high = 2 * p + 1 < taps ? (uint16_t)weights[2 * p + 1] : 0;
    d->weights[p] = (int32_t)(high << 16 | (uint16_t)weights[2 * p]);
  }
  return true;
}

static void depthwise_i8(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, const int16_t *weights,
                         int32_t zero, bool is_signed, size_t begin, size_t end, int32_t *sums) {
  depthwise_i8_plan d = {.plane = plane, .y = y, .x = x, .zero = zero, .is_signed = is_signed};
  size_t rows = 0;
  d.zeros = wasm_i16x8_splat((int16_t)zero);
  if (!depthwise_i8_make(&d, weights, &rows)) {
    weft_portable_depthwise_i8(plane, y, x, weights, zero, is_signed, begin, end, sums);
    return;
  }
  size_t left = (end - begin) * x->out;
  for (size_t row = begin; row < end; row += rows) {
    int16_t band[BAND_SHORTS];
    size_t count = end - row < rows ? end - row : rows;
    fill_band_i8(&d, row, (count - 1) * y->stride + (y->kernel - 1) * y->dilation + 1, band);
    for (size_t r = 0; r < count; r++, sums += x->out, left -= x->out) {
      for (size_t v = 0; v < d.vectors; v++) {
        depthwise_i8_vector(&d, band + r * y->stride * d.row + v * SHORTS, left - v * SHORTS, sums + v * SHORTS);
      }
    }
  }
}
