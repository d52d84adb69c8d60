/* Convolution by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
 * 2015), portable: tiles of the input and the filters are transformed so that of 3 x 3 taps a tile of 2 x 2 outputs
 * takes 16 products a channel instead of 36, one of 4 x 4 outputs 36 instead of 144, one of 4 in a line 6 instead of
 * 12, and of 2 x 2 taps one of 4 x 4 outputs 25 instead of 64, as so many matrix products over channels. The
 * one-dimensional transforms are in winograd_words.h; here they go over rows and columns. */
#include "portable.h"
#include "scalar.h"

#include "winograd_words.h"

enum { SIDE = WEFT_WINOGRAD_MOST_OUTPUTS + 2, GROUP = WEFT_WINOGRAD_GROUP };

typedef void (*words)(weft_winograd_line line, const real *x, real *y);

size_t weft_winograd_tiles(weft_winograd_tile tile, size_t oh, size_t ow) {
  return (oh + tile.rows.outputs - 1) / tile.rows.outputs * ((ow + tile.columns.outputs - 1) / tile.columns.outputs);
}

/* Down the columns of x, whose elements are `step` apart, then along the rows: sizes become those of y. */
static void transform(words words, weft_winograd_tile tile, size_t rows, size_t columns, const float *x, size_t step,
                      size_t to_rows, size_t to_columns, float *y) {
  float half[SIDE * SIDE];
  for (size_t j = 0; j < columns; j++) {
    float from[SIDE], to[SIDE];
    for (size_t i = 0; i < rows; i++) {
      from[i] = x[(i * columns + j) * step];
    }
    words(tile.rows, from, to);
    for (size_t i = 0; i < to_rows; i++) {
      half[i * columns + j] = to[i];
    }
  }
  for (size_t i = 0; i < to_rows; i++) {
    words(tile.columns, half + i * columns, y + i * to_columns);
  }
}

void weft_portable_winograd_filters(weft_winograd_tile tile, const weft_winograd_taps *taps, float *out,
                                    size_t stride) {
  for (size_t i = 0; i < taps->filters * taps->channels; i++, out++) {
    const float *from = taps->first + i / taps->channels * taps->filter_step + i % taps->channels * taps->channel_step;
    float x[SIDE * SIDE] = {0}, whole[SIDE * SIDE];
    for (size_t j = 0; j < taps->rows * taps->columns; j++) {
      const size_t row = j / taps->columns, column = j % taps->columns;
      x[row * tile.columns.taps + column] = from[row * taps->row_step + column * taps->column_step];
    }
    transform(winograd_filter_words, tile, tile.rows.taps, tile.columns.taps, x, 1, weft_winograd_side(tile.rows),
              weft_winograd_side(tile.columns), whole);
    for (size_t j = 0; j < weft_winograd_products(tile); j++) {
      out[j * stride] = whole[j];
    }
  }
}

/* The transformed tile whose first output is at (row, column). */
static void input_tile(weft_winograd_tile tile, const weft_patches *p, const float *channel, size_t row, size_t column,
                       float *out) {
  const size_t rows = weft_winograd_side(tile.rows), columns = weft_winograd_side(tile.columns);
  float x[SIDE * SIDE];
  for (size_t i = 0; i < rows * columns; i++) {
    const int64_t at_row = (int64_t)((row + i / columns) * p->dilation_h) - p->pad_top;
    const int64_t at = (int64_t)((column + i % columns) * p->dilation_w) - p->pad_left;
    const bool inside = at_row >= 0 && (uint64_t)at_row < p->ih && at >= 0 && (uint64_t)at < p->iw;
    x[i] = inside ? channel[(size_t)at_row * p->iw + (size_t)at] : 0.0f;
  }
  transform(winograd_input_words, tile, rows, columns, x, 1, rows, columns, out);
}

void weft_portable_winograd_input(weft_winograd_tile tile, const weft_patches *patches, size_t plane, size_t begin,
                                  size_t end, float *out, size_t stride) {
  const size_t width = weft_winograd_tiles(tile, 1, patches->ow), k = patches->channels;
  const size_t tiles = (end - begin) * GROUP, products = weft_winograd_products(tile);
  for (size_t t = 0; t < (tiles + WEFT_GEMM_NR - 1) / WEFT_GEMM_NR * WEFT_GEMM_NR; t++) {
    const size_t at = begin * GROUP + t, row = at / width * tile.rows.outputs;
    const size_t column = at % width * tile.columns.outputs;
    for (size_t c = 0; c < k; c++) {
      float whole[SIDE * SIDE] = {0};
      if (t < tiles) input_tile(tile, patches, patches->in + c * plane, row, column, whole);
      for (size_t j = 0; j < products; j++) {
        out[j * stride + (t / WEFT_GEMM_NR * k + c) * WEFT_GEMM_NR + t % WEFT_GEMM_NR] = whole[j];
      }
    }
  }
}

void weft_portable_winograd_output(weft_winograd_tile tile, const float *products, size_t stride, size_t begin,
                                   size_t end, const weft_winograd_result *r) {
  const size_t width = weft_winograd_tiles(tile, 1, r->ow);
  const size_t rows = tile.rows.outputs, columns = tile.columns.outputs;
  for (size_t t = begin * GROUP; t < end * GROUP; t++, products++) {
    float whole[SIDE * SIDE];
    transform(winograd_output_words, tile, weft_winograd_side(tile.rows), weft_winograd_side(tile.columns), products,
              stride, rows, columns, whole);
    for (size_t j = 0; j < rows * columns; j++) {
      const size_t row = t / width * rows + j / columns, column = t % width * columns + j % columns;
      if (row >= r->rows || column >= r->columns) continue;
      const size_t at = row * r->row_step + column * r->step;
      float y = whole[j] + r->bias;
      if (r->residual != NULL) y += r->residual[at];
      r->out[at] = weft_activate_one(y, r->activation, r->lo, r->hi);
    }
  }
}
