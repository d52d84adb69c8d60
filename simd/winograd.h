/* The transforms of src/kernels/winograd.c for the 4 tiles of a group at once. Columns of an input strip are laid apart
 * by their place in a tile, with their padding, so that a tile's columns are plain loads for all four; finished rows
 * of four tiles are transposed back. `outputs` is a constant where functions are called. */

enum {
  STRIP_GROUPS = 32,
  STRIP_LENGTH = (STRIP_GROUPS + 1) * LANES,
  MOST_OUTPUTS = WEFT_WINOGRAD_MOST_OUTPUTS,
  MOST_TILE = MOST_OUTPUTS + 2
};

/* The filters of four channels; `x` are their nine elements each. */
INLINE void filter_group(const size_t outputs, const real *x, float *to, size_t stride) {
  const size_t tile = outputs + 2;
  real half[3 * MOST_TILE];
  for (size_t j = 0; j < 3; j++) {
    winograd_filter_words(outputs, x + j * 3, half + j * tile);
  }
  NOT_UNROLLED
  for (size_t j = 0; j < tile; j++) {
    const real column[3] = {half[j], half[tile + j], half[2 * tile + j]};
    real y[MOST_TILE];
    winograd_filter_words(outputs, column, y);
    for (size_t i = 0; i < tile; i++) {
      store(to + (i * tile + j) * stride, y[i]);
    }
  }
}

INLINE void winograd_filters_of(const size_t outputs, size_t filters, size_t channels, const float *w, size_t w_stride,
                                float *out, size_t stride) {
  for (size_t f = 0; f < filters; f++, w += w_stride, out += channels) {
    for (size_t c = 0; c < channels; c += LANES) {
      const float *from = w + c * 9;
      real x[9];
      for (size_t i = 0; i < LANES; i++) {
        x[i] = load(from + i * 9);
        x[LANES + i] = load(from + i * 9 + LANES);
      }
      transpose_4x4(x);
      transpose_4x4(x + LANES);
      x[8] = wasm_f32x4_make(from[8], from[17], from[26], from[35]);
      filter_group(outputs, x, out + c, stride);
    }
  }
}

static void winograd_filters(size_t outputs, size_t filters, size_t channels, const float *w, size_t w_stride,
                             float *out, size_t stride) {
  if (channels % LANES != 0) {
    weft_portable_winograd_filters(outputs, filters, channels, w, w_stride, out, stride);
  } else if (outputs == 2) {
    winograd_filters_of(2, filters, channels, w, w_stride, out, stride);
  } else {
    winograd_filters_of(4, filters, channels, w, w_stride, out, stride);
  }
}

/* `count` vectors of every `outputs`-th element, from each of the first ones. */
INLINE void split_line(const size_t outputs, const float *line, size_t count, float *strip) {
  for (size_t i = 0; i < count; i++, line += outputs * LANES, strip += LANES) {
    real r[MOST_OUTPUTS];
    for (size_t j = 0; j < outputs; j++) {
      r[j] = load(line + j * LANES);
    }
    if (outputs == 4) {
      transpose_4x4(r);
    } else {
      real even = wasm_i32x4_shuffle(r[0], r[1], 0, 2, 4, 6);
      r[1] = wasm_i32x4_shuffle(r[0], r[1], 1, 3, 5, 7);
      r[0] = even;
    }
    for (size_t j = 0; j < outputs; j++) {
      store(strip + j * STRIP_LENGTH, r[j]);
    }
  }
}

/* The strip of a channel that `count` groups from `group` on, all in one row of tiles, are made from. */
INLINE void fill_strip(const size_t outputs, const weft_patches *p, const float *channel, size_t row, size_t group,
                       size_t count, float *strip) {
  float line[MOST_OUTPUTS * STRIP_LENGTH + OVERRUN];
  const size_t length = (count + 1) * outputs * LANES;
  const int64_t column = (int64_t)(group * outputs * LANES) - p->pad_left;
  const size_t before = column < 0 ? ((size_t)-column < length ? (size_t)-column : length) : 0;
  const size_t from = column < 0 ? 0 : ((size_t)column < p->iw ? (size_t)column : p->iw);
  const size_t inside = p->iw - from < length - before ? p->iw - from : length - before;
  for (size_t i = 0; i < outputs + 2; i++, strip += outputs * STRIP_LENGTH) {
    int64_t y = (int64_t)(row * outputs + i) - p->pad_top;
    if (y < 0 || (uint64_t)y >= p->ih) {
      clear_floats(strip, outputs * STRIP_LENGTH);
      continue;
    }
    pad_line(channel + (size_t)y * p->iw + from, inside, before, length, line);
    split_line(outputs, line, count + 1, strip);
  }
}

/* One group of one channel; `strip` is where its first tile begins. `to` is its half of a panel's row in the first
 * matrix. */
INLINE void input_group(const size_t outputs, const float *strip, float *to, size_t stride) {
  const size_t tile = outputs + 2;
  real half[MOST_TILE * MOST_TILE];
  for (size_t j = 0; j < tile; j++) {
    real x[MOST_TILE], y[MOST_TILE];
    for (size_t i = 0; i < tile; i++) {
      x[i] = load(strip + (i * outputs + j % outputs) * STRIP_LENGTH + j / outputs);
    }
    winograd_input_words(outputs, x, y);
    for (size_t i = 0; i < tile; i++) {
      half[i * tile + j] = y[i];
    }
  }
  NOT_UNROLLED
  for (size_t i = 0; i < tile; i++) {
    real y[MOST_TILE];
    winograd_input_words(outputs, half + i * tile, y);
    for (size_t j = 0; j < tile; j++) {
      store(to, y[j]);
      to += stride;
    }
  }
}

INLINE void winograd_input_of(const size_t outputs, const weft_patches *patches, size_t begin, size_t end, float *out,
                              size_t stride) {
  const size_t width = weft_winograd_groups(outputs, 1, patches->ow), k = patches->channels;
  const size_t plane = patches->ih * patches->iw;
  float strip[MOST_TILE * MOST_OUTPUTS * STRIP_LENGTH];
  for (size_t group = begin, count = 0; group < end; group += count) {
    count = width - group % width;
    count = count < end - group ? count : end - group;
    count = count < STRIP_GROUPS ? count : STRIP_GROUPS;
    for (size_t c = 0; c < k; c++) {
      fill_strip(outputs, patches, patches->in + c * plane, group / width, group % width, count, strip);
      for (size_t g = 0; g < count; g++) {
        size_t at = group - begin + g;
        input_group(outputs, strip + g * LANES, out + (at / 2 * k + c) * NR + at % 2 * LANES, stride);
      }
    }
  }
  for (size_t c = 0; (end - begin) % 2 != 0 && c < k; c++) { /* the last panel's other half */
    for (size_t j = 0; j < weft_winograd_products(outputs); j++) {
      store(out + j * stride + ((end - begin) / 2 * k + c) * NR + LANES, r_set(0.0f));
    }
  }
}

static void winograd_input(size_t outputs, const weft_patches *patches, size_t begin, size_t end, float *out,
                           size_t stride) {
  if (outputs == 2) {
    winograd_input_of(2, patches, begin, end, out, stride);
  } else {
    winograd_input_of(4, patches, begin, end, out, stride);
  }
}

/* A group's rows of finished products, each outputs * LANES elements. */
INLINE void output_group(const size_t outputs, const float *products, size_t stride, float *rows) {
  const size_t tile = outputs + 2;
  real half[MOST_OUTPUTS * MOST_TILE];
  NOT_UNROLLED
  for (size_t j = 0; j < tile; j++) {
    real x[MOST_TILE], y[MOST_OUTPUTS];
    for (size_t i = 0; i < tile; i++) {
      x[i] = load(products + (i * tile + j) * stride);
    }
    winograd_output_words(outputs, x, y);
    for (size_t i = 0; i < outputs; i++) {
      half[i * tile + j] = y[i];
    }
  }
  NOT_UNROLLED
  for (size_t i = 0; i < outputs; i++, rows += outputs * LANES) {
    real y[MOST_OUTPUTS];
    winograd_output_words(outputs, half + i * tile, y);
    if (outputs == 4) {
      transpose_4x4(y);
    } else {
      real low = wasm_i32x4_shuffle(y[0], y[1], 0, 4, 1, 5);
      y[1] = wasm_i32x4_shuffle(y[0], y[1], 2, 6, 3, 7);
      y[0] = low;
    }
    for (size_t j = 0; j < outputs; j++) {
      store(rows + j * LANES, y[j]);
    }
  }
}

INLINE void winograd_output_of(const size_t outputs, const float *products, size_t stride, size_t begin, size_t end,
                               float bias, const float *residual, weft_activation activation, float lo, float hi,
                               float *out, size_t oh, size_t ow) {
  const size_t width = weft_winograd_groups(outputs, 1, ow), whole = outputs * LANES;
  size_t row = begin / width * outputs, column = begin % width * whole;
  for (size_t group = begin; group < end; group++, products += LANES) {
    float rows[MOST_OUTPUTS * MOST_OUTPUTS * LANES];
    const size_t columns = ow - column < whole ? ow - column : whole;
    const size_t count = oh - row < outputs ? oh - row : outputs;
    output_group(outputs, products, stride, rows);
    for (size_t i = 0; i < count; i++) {
      for (size_t j = 0; j < columns; j += LANES) {
        float *at = rows + i * whole + j;
        real y = r_add(load(at), r_set(bias));
        if (residual != NULL) y = r_add(y, load_some(residual + (row + i) * ow + column + j, columns - j));
        store(at, y);
      }
    }
    activate_f32(count * whole, rows, activation, lo, hi);
    for (size_t i = 0; i < count; i++) {
      copy_floats(out + (row + i) * ow + column, rows + i * whole, columns);
    }
    column += whole;
    if (column >= ow) {
      column = 0;
      row += outputs;
    }
  }
}

static void winograd_output(size_t outputs, const float *products, size_t stride, size_t begin, size_t end, float bias,
                            const float *residual, weft_activation activation, float lo, float hi, float *out,
                            size_t oh, size_t ow) {
  if (outputs == 2) {
    winograd_output_of(2, products, stride, begin, end, bias, residual, activation, lo, hi, out, oh, ow);
  } else {
    winograd_output_of(4, products, stride, begin, end, bias, residual, activation, lo, hi, out, oh, ow);
  }
}
