/* Convolution with stride 1 by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks", 2015), portable: tiles of the input and the filters are transformed so that a tile of 2 x 2 outputs takes
 * 16 products a channel instead of 36, one of 4 x 4 outputs 36 instead of 144, one of 4 in a line 6 instead of 12, as
 * so many matrix products over channels. The one-dimensional transforms are in winograd_words.h; here they go over rows
 * and columns. */
#include "portable.h"
#include "scalar.h"

#include "winograd_words.h"

enum { SIDE = WEFT_WINOGRAD_MOST_OUTPUTS + 2, GROUP = WEFT_WINOGRAD_GROUP };

typedef void (*words)(size_t outputs, const real *x, real *y);

size_t weft_winograd_groups(weft_winograd_tile tile, size_t oh, size_t ow) {
  return (oh + tile.rows - 1) / tile.rows * ((ow + tile.columns * GROUP - 1) / (tile.columns * GROUP));
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

void weft_portable_winograd_filters(weft_winograd_tile tile, size_t filters, size_t channels, const float *w,
                                    size_t w_stride, float *out, size_t stride) {
  const size_t kh = weft_winograd_taps(tile.rows), kw = weft_winograd_taps(tile.columns);
  for (size_t i = 0; i < filters * channels; i++, out++) {
    float whole[SIDE * SIDE];
    transform(winograd_filter_words, tile, kh, kw, w + i / channels * w_stride + i % channels * (kh * kw), 1,
              weft_winograd_side(tile.rows), weft_winograd_side(tile.columns), whole);
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
  const size_t width = weft_winograd_groups(tile, 1, patches->ow), k = patches->channels;
  const size_t tiles = (end - begin) * GROUP, products = weft_winograd_products(tile);
  for (size_t t = 0; t < (tiles + WEFT_GEMM_NR - 1) / WEFT_GEMM_NR * WEFT_GEMM_NR; t++) {
    const size_t group = begin + t / GROUP, row = group / width * tile.rows;
    const size_t column = (group % width * GROUP + t % GROUP) * tile.columns;
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
  const size_t width = weft_winograd_groups(tile, 1, r->ow);
  for (size_t t = 0; t < (end - begin) * GROUP; t++, products++) {
    float whole[SIDE * SIDE];
    transform(winograd_output_words, tile, weft_winograd_side(tile.rows), weft_winograd_side(tile.columns), products,
              stride, tile.rows, tile.columns, whole);
    const size_t group = begin + t / GROUP;
    for (size_t j = 0; j < tile.rows * tile.columns; j++) {
      const size_t row = group / width * tile.rows + j / tile.columns;
      const size_t column = (group % width * GROUP + t % GROUP) * tile.columns + j % tile.columns;
      if (row >= r->rows || column >= r->columns) continue;
      const size_t at = row * r->row_step + column * r->step;
      float y = whole[j] + r->bias;
      if (r->residual != NULL) y += r->residual[at];
      r->out[at] = weft_activate_one(y, r->activation, r->lo, r->hi);
    }
  }
}
