/* The transforms of src/kernels/winograd.c for the 4 tiles of a group at once. Columns of an input strip are laid apart
 * by their place in a tile, with their padding, so that a tile's columns are plain loads for all four; finished rows
 * of four tiles are transposed back. `outputs` is a constant where functions are called. */

enum {
  STRIP_GROUPS = 32,
  STRIP_LENGTH = (STRIP_GROUPS + 1) * LANES,
  MOST_OUTPUTS = WEFT_WINOGRAD_MOST_OUTPUTS,
  MOST_SIDE = MOST_OUTPUTS + 2
};

/* The filters of four channels; `x` are their taps. */
INLINE void filter_group(const weft_winograd_tile tile, const real *x, float *to, size_t stride) {
  const size_t kh = weft_winograd_taps(tile.rows), kw = weft_winograd_taps(tile.columns);
  const size_t rows = weft_winograd_side(tile.rows), columns = weft_winograd_side(tile.columns);
  real half[3 * MOST_SIDE];
  for (size_t j = 0; j < kw; j++) {
    real x_column[3], y[MOST_SIDE];
    for (size_t i = 0; i < kh; i++) {
      x_column[i] = x[i * kw + j];
    }
    winograd_filter_words(tile.rows, x_column, y);
    for (size_t i = 0; i < rows; i++) {
      half[i * kw + j] = y[i];
    }
  }
  NOT_UNROLLED
  for (size_t i = 0; i < rows; i++) {
    real y[MOST_SIDE];
    winograd_filter_words(tile.columns, half + i * kw, y);
    for (size_t j = 0; j < columns; j++) {
      store(to + (i * columns + j) * stride, y[j]);
    }
  }
}

INLINE void winograd_filters_of(const weft_winograd_tile tile, size_t filters, size_t channels, const float *w,
                                size_t w_stride, float *out, size_t stride) {
  const size_t taps = weft_winograd_taps(tile.rows) * weft_winograd_taps(tile.columns);
  for (size_t f = 0; f < filters; f++, w += w_stride, out += channels) {
    for (size_t c = 0; c < channels; c += LANES) {
      const float *from = w + c * taps;
      real x[9];
      for (size_t i = 0; i < LANES && taps == 9; i++) {
        x[i] = load(from + i * 9);
        x[LANES + i] = load(from + i * 9 + LANES);
      }
      if (taps == 9) {
        transpose_4x4(x);
        transpose_4x4(x + LANES);
      }
      for (size_t i = taps == 9 ? 8 : 0; i < taps; i++) {
        x[i] = wasm_f32x4_make(from[i], from[i + taps], from[i + 2 * taps], from[i + 3 * taps]);
      }
      filter_group(tile, x, out + c, stride);
    }
  }
}

/* Calls `function` with a constant tile, first of its arguments. */
#define WITH_TILE(tile, function, ...)                                                                                 \
  do {                                                                                                                 \
    if (tile.rows == 1) {                                                                                              \
      function((weft_winograd_tile){1, 4}, __VA_ARGS__);                                                               \
    } else if (tile.columns == 1) {                                                                                    \
      function((weft_winograd_tile){4, 1}, __VA_ARGS__);                                                               \
    } else if (tile.columns == 2) {                                                                                    \
      function((weft_winograd_tile){2, 2}, __VA_ARGS__);                                                               \
    } else {                                                                                                           \
      function((weft_winograd_tile){4, 4}, __VA_ARGS__);                                                               \
    }                                                                                                                  \
  } while (0)

static void winograd_filters(weft_winograd_tile tile, size_t filters, size_t channels, const float *w, size_t w_stride,
                             float *out, size_t stride) {
  if (channels % LANES != 0) {
    weft_portable_winograd_filters(tile, filters, channels, w, w_stride, out, stride);
  } else {
    WITH_TILE(tile, winograd_filters_of, filters, channels, w, w_stride, out, stride);
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
    } else if (outputs == 2) {
      real even = wasm_i32x4_shuffle(r[0], r[1], 0, 2, 4, 6);
      r[1] = wasm_i32x4_shuffle(r[0], r[1], 1, 3, 5, 7);
      r[0] = even;
    }
    for (size_t j = 0; j < outputs; j++) {
      store(strip + j * STRIP_LENGTH, r[j]);
    }
  }
}

/* A row's elements from `column` on, every `step`-th: `length` with the padding's zeros. */
static void fill_line(const float *row, size_t width, int64_t column, size_t step, size_t length, float *line) {
  if (step == 1) {
    const size_t before = column < 0 ? ((size_t)-column < length ? (size_t)-column : length) : 0;
    const size_t from = column < 0 ? 0 : ((size_t)column < width ? (size_t)column : width);
    pad_line(row + from, width - from < length - before ? width - from : length - before, before, length, line);
    return;
  }
  for (size_t i = 0; i < length; i++, column += (int64_t)step) {
    line[i] = column >= 0 && (uint64_t)column < width ? row[column] : 0.0f;
  }
}

/* The strip of a channel that `count` groups from `group` on, all in one row of tiles, are made from. */
INLINE void fill_strip(const weft_winograd_tile tile, const weft_patches *p, const float *channel, size_t row,
                       size_t group, size_t count, float *strip) {
  float line[MOST_OUTPUTS * STRIP_LENGTH + OVERRUN];
  const size_t length = (count + 1) * tile.columns * LANES;
  const int64_t column = (int64_t)(group * tile.columns * LANES * p->dilation_w) - p->pad_left;
  for (size_t i = 0; i < weft_winograd_side(tile.rows); i++, strip += tile.columns * STRIP_LENGTH) {
    int64_t y = (int64_t)((row * tile.rows + i) * p->dilation_h) - p->pad_top;
    if (y < 0 || (uint64_t)y >= p->ih) {
      clear_floats(strip, tile.columns * STRIP_LENGTH);
      continue;
    }
    fill_line(channel + (size_t)y * p->iw, p->iw, column, p->dilation_w, length, line);
    split_line(tile.columns, line, count + 1, strip);
  }
}

/* One group of one channel; `strip` is where its first tile begins. `to` is its half of a panel's row in the first
 * matrix. */
INLINE void input_group(const weft_winograd_tile tile, const float *strip, float *to, size_t stride) {
  const size_t rows = weft_winograd_side(tile.rows), columns = weft_winograd_side(tile.columns);
  real half[MOST_SIDE * MOST_SIDE];
  for (size_t j = 0; j < columns; j++) {
    real x[MOST_SIDE], y[MOST_SIDE];
    for (size_t i = 0; i < rows; i++) {
      x[i] = load(strip + (i * tile.columns + j % tile.columns) * STRIP_LENGTH + j / tile.columns);
    }
    winograd_input_words(tile.rows, x, y);
    for (size_t i = 0; i < rows; i++) {
      half[i * columns + j] = y[i];
    }
  }
  NOT_UNROLLED
  for (size_t i = 0; i < rows; i++) {
    real y[MOST_SIDE];
    winograd_input_words(tile.columns, half + i * columns, y);
    for (size_t j = 0; j < columns; j++) {
      store(to, y[j]);
      to += stride;
    }
  }
}

INLINE void winograd_input_of(const weft_winograd_tile tile, const weft_patches *patches, size_t plane, size_t begin,
                              size_t end, float *out, size_t stride) {
  const size_t width = weft_winograd_groups(tile, 1, patches->ow), k = patches->channels;
  float strip[MOST_SIDE * MOST_OUTPUTS * STRIP_LENGTH];
  for (size_t group = begin, count = 0; group < end; group += count) {
    count = width - group % width;
    count = count < end - group ? count : end - group;
    count = count < STRIP_GROUPS ? count : STRIP_GROUPS;
    for (size_t c = 0; c < k; c++) {
      fill_strip(tile, patches, patches->in + c * plane, group / width, group % width, count, strip);
      for (size_t g = 0; g < count; g++) {
        size_t at = group - begin + g;
        input_group(tile, strip + g * LANES, out + (at / 2 * k + c) * NR + at % 2 * LANES, stride);
      }
    }
  }
  for (size_t c = 0; (end - begin) % 2 != 0 && c < k; c++) { /* the last panel's other half */
    for (size_t j = 0; j < weft_winograd_products(tile); j++) {
      store(out + j * stride + ((end - begin) / 2 * k + c) * NR + LANES, r_set(0.0f));
    }
  }
}

static void winograd_input(weft_winograd_tile tile, const weft_patches *patches, size_t plane, size_t begin, size_t end,
                           float *out, size_t stride) {
  WITH_TILE(tile, winograd_input_of, patches, plane, begin, end, out, stride);
}

/* A group's rows of finished products, each columns * LANES elements. */
INLINE void output_group(const weft_winograd_tile tile, const float *products, size_t stride, float *to) {
  const size_t rows = weft_winograd_side(tile.rows), columns = weft_winograd_side(tile.columns);
  real half[MOST_OUTPUTS * MOST_SIDE];
  NOT_UNROLLED
  for (size_t j = 0; j < columns; j++) {
    real x[MOST_SIDE], y[MOST_OUTPUTS];
    for (size_t i = 0; i < rows; i++) {
      x[i] = load(products + (i * columns + j) * stride);
    }
    winograd_output_words(tile.rows, x, y);
    for (size_t i = 0; i < tile.rows; i++) {
      half[i * columns + j] = y[i];
    }
  }
  NOT_UNROLLED
  for (size_t i = 0; i < tile.rows; i++, to += tile.columns * LANES) {
    real y[MOST_OUTPUTS];
    winograd_output_words(tile.columns, half + i * columns, y);
    if (tile.columns == 4) {
      transpose_4x4(y);
    } else if (tile.columns == 2) {
      real low = wasm_i32x4_shuffle(y[0], y[1], 0, 4, 1, 5);
      y[1] = wasm_i32x4_shuffle(y[0], y[1], 2, 6, 3, 7);
      y[0] = low;
    }
    for (size_t j = 0; j < tile.columns; j++) {
      store(to + j * LANES, y[j]);
    }
  }
}

/* n elements `step` apart, added to those at `to`, or put where those came from. */
static void add_spaced(const float *from, size_t step, size_t n, float *to) {
  for (size_t i = 0; i < n; i++) {
    to[i] += from[i * step];
  }
}

static void put_spaced(const float *from, size_t n, size_t step, float *to) {
  for (size_t i = 0; i < n; i++) {
    to[i * step] = from[i];
  }
}

INLINE void winograd_output_of(const weft_winograd_tile tile, const float *products, size_t stride, size_t begin,
                               size_t end, const weft_winograd_result *r) {
  const size_t width = weft_winograd_groups(tile, 1, r->ow), whole = tile.columns * LANES;
  size_t row = begin / width * tile.rows, column = begin % width * whole;
  for (size_t group = begin; group < end; group++, products += LANES) {
    float rows[MOST_OUTPUTS * MOST_OUTPUTS * LANES];
    const size_t left = r->columns > column ? r->columns - column : 0, columns = left < whole ? left : whole;
    const size_t below = r->rows > row ? r->rows - row : 0, count = below < tile.rows ? below : tile.rows;
    output_group(tile, products, stride, rows);
    for (size_t i = 0; i < count; i++) {
      float *at = rows + i * whole;
      const float *added = r->residual != NULL ? r->residual + (row + i) * r->row_step + column * r->step : NULL;
      for (size_t j = 0; j < columns; j += LANES) {
        real y = r_add(load(at + j), r_set(r->bias));
        if (added != NULL && r->step == 1) y = r_add(y, load_some(added + j, columns - j));
        store(at + j, y);
      }
      if (added != NULL && r->step != 1) add_spaced(added, r->step, columns, at);
    }
    activate_f32(count * whole, rows, r->activation, r->lo, r->hi);
    for (size_t i = 0; i < count; i++) {
      float *to = r->out + (row + i) * r->row_step + column * r->step;
      if (r->step == 1) {
        copy_floats(to, rows + i * whole, columns);
      } else {
        put_spaced(rows + i * whole, columns, r->step, to);
      }
    }
    column += whole;
    if (column >= r->ow) {
      column = 0;
      row += tile.rows;
    }
  }
}

static void winograd_output(weft_winograd_tile tile, const float *products, size_t stride, size_t begin, size_t end,
                            const weft_winograd_result *result) {
  WITH_TILE(tile, winograd_output_of, products, stride, begin, end, result);
}
