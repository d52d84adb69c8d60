/* The transforms of src/kernels/winograd.c for the 4 tiles of a group at once, or for 4 channels of a filter. Columns
 * of the input are transformed as they lie, to lines with their padding; then rows, of which four tiles' are transposed
 * so that a vector has the same column of each. Finished rows of four tiles are transposed back. */

enum {
  STRIP_GROUPS = 4, /* whose columns are transformed together */
  MOST_OUTPUTS = WEFT_WINOGRAD_MOST_OUTPUTS,
  MOST_SIDE = MOST_OUTPUTS + 2,
  LINE_LENGTH = MOST_OUTPUTS * STRIP_GROUPS * LANES * LANES /* where every tile is in a row of its own */
};

/* Calls `function` with a constant line, first of its arguments. */
#define WITH_LINE(line, function, ...)                                                                                 \
  do {                                                                                                                 \
    if (line.outputs == 1) {                                                                                           \
      function((weft_winograd_line){1, 1}, __VA_ARGS__);                                                               \
    } else if (line.outputs == 2) {                                                                                    \
      function((weft_winograd_line){2, 3}, __VA_ARGS__);                                                               \
    } else if (line.taps == 2) {                                                                                       \
      function((weft_winograd_line){4, 2}, __VA_ARGS__);                                                               \
    } else {                                                                                                           \
      function((weft_winograd_line){4, 3}, __VA_ARGS__);                                                               \
    }                                                                                                                  \
  } while (0)

/* Four channels of a filter, taps in rows of three, down the columns, then along the rows. */
INLINE void filter_columns(const weft_winograd_line line, const real *x, float *half) {
  for (size_t j = 0; j < 3; j++) {
    real taps[3], y[MOST_SIDE];
    for (size_t i = 0; i < line.taps; i++) {
      taps[i] = x[i * 3 + j];
    }
    winograd_filter_words(line, taps, y);
    for (size_t i = 0; i < weft_winograd_side(line); i++) {
      store(half + (i * 3 + j) * LANES, y[i]);
    }
  }
}

INLINE void filter_rows(const weft_winograd_line line, size_t count, const float *half, float *to, size_t stride) {
  NOT_UNROLLED
  for (; count > 0; count--, half += 3 * LANES) {
    real taps[3], y[MOST_SIDE];
    for (size_t i = 0; i < line.taps; i++) {
      taps[i] = load(half + i * LANES);
    }
    winograd_filter_words(line, taps, y);
    for (size_t i = 0; i < weft_winograd_side(line); i++, to += stride) {
      store(to, y[i]);
    }
  }
}

/* What is left of the last channels repeats the last of them, and is written over by what follows or lies in the room
 * between matrices. */
static void winograd_filters(weft_winograd_tile tile, const weft_winograd_taps *t, float *out, size_t stride) {
  const size_t step = t->channel_step, channels = t->channels;
  float half[3 * MOST_SIDE * LANES];
  for (size_t f = 0; f < t->filters; f++, out += channels) {
    const float *from = t->first + f * t->filter_step;
    for (size_t c = 0; c < channels; c += LANES, from += LANES * step) {
      real x[9];
      if (t->rows * t->columns == 9 && step == 9 && channels - c >= LANES) {
        for (size_t i = 0; i < LANES; i++) {
          x[i] = load(from + i * 9);
          x[LANES + i] = load(from + i * 9 + LANES);
        }
        transpose_4x4(x);
        transpose_4x4(x + LANES);
        x[8] = wasm_f32x4_make(from[8], from[17], from[26], from[35]);
      } else {
        const size_t last = channels - c - 1;
        const size_t second = last < 1 ? 0 : step, third = last < 2 ? second : 2 * step,
                     fourth = last < 3 ? third : 3 * step;
        for (size_t i = 0; i < 9; i++) {
          const float *at = from + i / 3 * t->row_step + i % 3 * t->column_step;
          x[i] = i / 3 < t->rows && i % 3 < t->columns ? wasm_f32x4_make(at[0], at[second], at[third], at[fourth])
                                                       : r_set(0.0f);
        }
      }
      WITH_LINE(tile.rows, filter_columns, x, half);
      WITH_LINE(tile.columns, filter_rows, weft_winograd_side(tile.rows), half, out + c, stride);
    }
  }
}

/* The columns of four tiles from where each begins in a line. */
INLINE void tile_columns(const weft_winograd_line line, const float *const *tiles, real *x) {
  if (line.outputs == 1) {
    x[0] = wasm_f32x4_make(*tiles[0], *tiles[1], *tiles[2], *tiles[3]);
    return;
  }
  for (size_t t = 0; t < LANES; t++) {
    x[t] = load(tiles[t]);
  }
  transpose_4x4(x);
  if (line.outputs == 2) return;
  const real a = load(tiles[0] + LANES), b = load(tiles[1] + LANES), c = load(tiles[2] + LANES),
             d = load(tiles[3] + LANES);
  const real first = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), second = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5);
  x[4] = wasm_i32x4_shuffle(first, second, 0, 1, 4, 5);
  if (line.taps == 3) x[5] = wasm_i32x4_shuffle(first, second, 2, 3, 6, 7);
}

/* Four of seven elements. */
#define EVEN_OF_SEVEN(from) wasm_i32x4_shuffle(load(from), load((from) + 3), 0, 2, 5, 7)

/* n columns of a tile's rows, next to each other or every other one, to lines of their points. */
INLINE void input_columns(const weft_winograd_line line, const float *const *all, size_t n, const size_t step,
                          float *to) {
  const float *rows[MOST_SIDE];
  for (size_t i = 0; i < weft_winograd_side(line); i++) {
    rows[i] = all[i];
  }
  size_t alone = n % LANES != 0 ? n % LANES : LANES; /* columns that the first vector does not share with the next */
  NOT_UNROLLED
  for (size_t at = 0; at < n; at += alone, to += alone, alone = LANES) {
    real x[MOST_SIDE], y[MOST_SIDE];
    for (size_t i = 0; i < weft_winograd_side(line); i++) {
      const float *from = rows[i] + at * step;
      x[i] = step == 1 ? load(from) : EVEN_OF_SEVEN(from);
    }
    FINISHED(to);
    winograd_input_words(line, x, y);
    for (size_t i = 0; i < weft_winograd_side(line); i++) {
      store(to + i * LINE_LENGTH, y[i]);
    }
  }
}

/* The rows of a group of a channel's tiles, from where each begins in the first line; `to` is its half of a panel's row
 * in the first matrix. */
INLINE void input_rows(const weft_winograd_line line, size_t count, const float *const *tiles, float *to,
                       size_t stride) {
  const float *from[LANES] = {tiles[0], tiles[1], tiles[2], tiles[3]};
  NOT_UNROLLED
  for (; count > 0; count--) {
    real x[MOST_SIDE], y[MOST_SIDE];
    tile_columns(line, from, x);
    winograd_input_words(line, x, y);
    for (size_t i = 0; i < weft_winograd_side(line); i++, to += stride) {
      store(to, y[i]);
    }
    for (size_t t = 0; t < LANES; t++) {
      from[t] += LINE_LENGTH;
    }
  }
}

/* Tiles side by side in a row of tiles, and of each channel what they are made from: so many columns of these rows,
 * behind `before` zeros of the padding. */
typedef struct input_run {
  size_t tiles, before, columns;
  size_t rows[MOST_SIDE]; /* where the columns begin, or OUTSIDE */
  float *to;              /* of the first line */
} input_run;

#define OUTSIDE SIZE_MAX

/* The first of `count` tiles from `first` on. */
static input_run input_run_at(weft_winograd_tile tile, const weft_patches *p, size_t first, size_t count) {
  const size_t width = weft_winograd_tiles(tile, 1, p->ow), left = width - first % width, step = p->dilation_w;
  const int64_t column = (int64_t)(first % width * tile.columns.outputs * step) - p->pad_left;
  input_run run = {.tiles = left < count ? left : count};
  const size_t length = run.tiles * tile.columns.outputs + tile.columns.taps - 1;
  const size_t outside = column < 0 ? ((size_t)-column + step - 1) / step : 0;
  run.before = outside < length ? outside : length;
  const size_t begin = (size_t)column + run.before * step;
  const size_t inside = begin < p->iw ? (p->iw - begin + step - 1) / step : 0;
  run.columns = inside < length - run.before ? inside : length - run.before;
  for (size_t i = 0; i < weft_winograd_side(tile.rows); i++) {
    const int64_t row = (int64_t)((first / width * tile.rows.outputs + i) * p->dilation_h) - p->pad_top;
    const bool exists = run.columns > 0 && row >= 0 && (uint64_t)row < p->ih;
    run.rows[i] = exists ? (size_t)row * p->iw + begin : OUTSIDE;
  }
  return run;
}

/* A channel's columns of a run, transformed down them, to lines that have zeros around. */
static void transform_run(weft_winograd_line line, const input_run *run, const float *channel, size_t step, float *to) {
  static const float zeros[2 * LINE_LENGTH];
  float room[MOST_SIDE][LINE_LENGTH];
  const float *rows[MOST_SIDE];
  const bool plain = step <= 2 && run->columns >= LANES;
  for (size_t i = 0; i < weft_winograd_side(line); i++) {
    rows[i] = run->rows[i] == OUTSIDE ? zeros : channel + run->rows[i];
    if (!plain) {
      for (size_t j = 0; j < run->columns || j < LANES; j++) {
        room[i][j] = j < run->columns ? rows[i][run->rows[i] == OUTSIDE ? 0 : j * step] : 0;
      }
      rows[i] = room[i];
    }
  }
  if (plain && step == 2) {
    WITH_LINE(line, input_columns, rows, run->columns, 2, to);
  } else {
    WITH_LINE(line, input_columns, rows, run->columns, 1, to);
  }
}

static void winograd_input(weft_winograd_tile tile, const weft_patches *patches, size_t plane, size_t begin, size_t end,
                           float *out, size_t stride) {
  const size_t rows = weft_winograd_side(tile.rows), wide = tile.columns.outputs, k = patches->channels;
  float lines[MOST_SIDE * LINE_LENGTH];
  input_run runs[STRIP_GROUPS * LANES];
  const float *tiles[STRIP_GROUPS * LANES];
  for (size_t group = begin, count = 0; group < end; group += count) {
    count = end - group < STRIP_GROUPS ? end - group : STRIP_GROUPS;
    size_t all = 0;
    float *line = lines;
    for (size_t t = 0; t < count * LANES; all++) {
      input_run *run = &runs[all];
      *run = input_run_at(tile, patches, group * LANES + t, count * LANES - t);
      run->to = line + run->before;
      for (size_t i = 0; i < run->tiles; i++) {
        tiles[t++] = line + i * wide;
      }
      line += (run->tiles / LANES + 1) * wide * LANES;
    }
    clear_floats(lines, MOST_SIDE * LINE_LENGTH);
    for (size_t c = 0; c < k; c++) {
      for (size_t i = 0; i < all; i++) {
        transform_run(tile.rows, &runs[i], patches->in + c * plane, patches->dilation_w, runs[i].to);
      }
      for (size_t g = 0; g < count; g++) {
        const size_t at = group - begin + g;
        WITH_LINE(tile.columns, input_rows, rows, tiles + g * LANES, out + (at / 2 * k + c) * NR + at % 2 * LANES,
                  stride);
      }
    }
  }
  for (size_t c = 0; (end - begin) % 2 != 0 && c < k; c++) { /* the last panel's other half */
    for (size_t j = 0; j < weft_winograd_products(tile); j++) {
      store(out + j * stride + ((end - begin) / 2 * k + c) * NR + LANES, r_set(0.0f));
    }
  }
}

/* A group's finished products, `step` floats from row to row and `stride` along them, down their columns. */
INLINE void output_columns(const weft_winograd_line line, size_t count, const float *products, size_t step,
                           size_t stride, float *half) {
  NOT_UNROLLED
  for (; count > 0; count--, products += stride, half += LANES) {
    real x[MOST_SIDE], y[MOST_OUTPUTS];
    for (size_t i = 0; i < weft_winograd_side(line); i++) {
      x[i] = load(products + i * step);
    }
    winograd_output_words(line, x, y);
    for (size_t i = 0; i < line.outputs; i++) {
      store(half + i * MOST_SIDE * LANES, y[i]);
    }
  }
}

/* Then along the rows, with the bias and between limits: outputs * LANES elements of each, rows `step` floats apart. */
INLINE void output_rows(const weft_winograd_line line, size_t count, const float *half, float bias, float lo, float hi,
                        float *to, size_t step) {
  NOT_UNROLLED
  for (; count > 0; count--, half += MOST_SIDE * LANES, to += step) {
    real x[MOST_SIDE], y[MOST_OUTPUTS];
    for (size_t i = 0; i < weft_winograd_side(line); i++) {
      x[i] = load(half + i * LANES);
    }
    winograd_output_words(line, x, y);
    if (line.outputs == 4) {
      transpose_4x4(y);
    } else if (line.outputs == 2) {
      real low = wasm_i32x4_shuffle(y[0], y[1], 0, 4, 1, 5);
      y[1] = wasm_i32x4_shuffle(y[0], y[1], 2, 6, 3, 7);
      y[0] = low;
    }
    for (size_t i = 0; i < line.outputs; i++) {
      store(to + i * LANES, r_at_most(r_at_least(r_add(y[i], r_set(bias)), r_set(lo)), r_set(hi)));
    }
  }
}

static void put_spaced(const float *from, size_t n, size_t step, float *to) {
  for (size_t i = 0; i < n && step != 1; i++) {
    to[i * step] = from[i];
  }
  if (step == 1) copy_row(from, n, 0, to);
}

/* Adds the residual to n elements of a row and activates them. */
static void finish_result(const weft_winograd_result *r, size_t at, size_t n) {
  float *out = r->out + at, room[LINE_LENGTH];
  const float *residual = r->residual != NULL ? r->residual + at : NULL;
  for (size_t count; n > 0; n -= count, out += count * r->step) {
    count = r->step == 1 || n < LINE_LENGTH ? n : LINE_LENGTH;
    float *y = r->step == 1 ? out : room;
    for (size_t i = 0; i < count && y != out; i++) {
      y[i] = out[i * r->step];
    }
    if (residual != NULL && r->step == 1) {
      binary_ADD(count, y, 1, residual, 1, y);
    } else if (residual != NULL) {
      for (size_t i = 0; i < count; i++, residual += r->step) {
        y[i] += *residual;
      }
    }
    activate_f32(count, y, r->activation, r->lo, r->hi);
    if (y != out) put_spaced(y, count, r->step, out);
  }
}

/* A tile of the result, in a row of tiles. */
typedef struct tile_place {
  size_t row, column; /* of tiles */
} tile_place;

/* Tiles side by side from a place on, at most so many, and what of their outputs exists. */
typedef struct tile_run {
  size_t tiles, rows, columns, at;
} tile_run;

INLINE tile_run next_run(weft_winograd_tile tile, const weft_winograd_result *r, size_t width, size_t most,
                         tile_place *place) {
  const size_t row = place->row * tile.rows.outputs, column = place->column * tile.columns.outputs;
  const size_t below = r->rows > row ? r->rows - row : 0, beside = r->columns > column ? r->columns - column : 0;
  const size_t left = width - place->column, tiles = left < most ? left : most, columns = tiles * tile.columns.outputs;
  place->row += tiles == left;
  place->column = tiles == left ? 0 : place->column + tiles;
  return (tile_run){tiles, below < tile.rows.outputs ? below : tile.rows.outputs, beside < columns ? beside : columns,
                    row * r->row_step + column * r->step};
}

static void winograd_output(weft_winograd_tile tile, const float *products, size_t stride, size_t begin, size_t end,
                            const weft_winograd_result *r) {
  const size_t wide = tile.columns.outputs, whole = wide * LANES, width = weft_winograd_tiles(tile, 1, r->ow);
  const size_t side = weft_winograd_side(tile.columns);
  const bool clip = r->activation == WEFT_ACT_CLIP && r->residual == NULL;
  const float lo = clip ? r->lo : -INFINITY, hi = clip ? r->hi : INFINITY;
  const tile_place first = {begin * LANES / width, begin * LANES % width};
  tile_place next = first;
  for (size_t group = begin; group < end; group++, products += LANES) {
    float half[MOST_OUTPUTS * MOST_SIDE * LANES], rows[MOST_OUTPUTS * MOST_OUTPUTS * LANES];
    tile_run run = next_run(tile, r, width, LANES, &next);
    const bool direct = r->step == 1 && run.rows == tile.rows.outputs && run.columns == whole;
    WITH_LINE(tile.rows, output_columns, side, products, side * stride, stride, half);
    WITH_LINE(tile.columns, output_rows, tile.rows.outputs, half, r->bias, lo, hi, direct ? r->out + run.at : rows,
              direct ? r->row_step : whole);
    for (size_t t = 0; !direct;) {
      for (size_t i = 0; i < run.rows; i++) {
        put_spaced(rows + i * whole + t * wide, run.columns, r->step, r->out + run.at + i * r->row_step);
      }
      t += run.tiles;
      if (t == LANES) break;
      run = next_run(tile, r, width, LANES - t, &next);
    }
  }
  next = first;
  for (size_t tiles = (end - begin) * LANES;
       tiles > 0 && !clip && (r->residual != NULL || r->activation != WEFT_ACT_NONE);) {
    const tile_run run = next_run(tile, r, width, tiles, &next);
    for (size_t i = 0; i < run.rows; i++) {
      finish_result(r, run.at + i * r->row_step, run.columns);
    }
    tiles -= run.tiles;
  }
}
