/* Convolution with 3 x 3 filters and stride 1 by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", 2015), portable: tiles of the input and the filters are transformed so that a tile of
 * 2 x 2 outputs takes 16 products a channel instead of 36, or one of 4 x 4 outputs 36 instead of 144, as so many matrix
 * products over channels. The one-dimensional transforms are in winograd_words.h; here they go over rows and columns.
 */
#include "portable.h"
#include "scalar.h"

#include "winograd_words.h"

enum { TILE = WEFT_WINOGRAD_MOST_OUTPUTS + 2, GROUP = WEFT_WINOGRAD_GROUP };

size_t weft_winograd_groups(size_t outputs, size_t oh, size_t ow) {
  return (oh + outputs - 1) / outputs * ((ow + outputs * GROUP - 1) / (outputs * GROUP));
}

void weft_portable_winograd_filters(size_t outputs, size_t filters, size_t channels, const float *w, size_t w_stride,
                                    float *out, size_t stride) {
  const size_t tile = outputs + 2;
  for (size_t i = 0; i < filters * channels; i++, out++) {
    const float *filter = w + i / channels * w_stride + i % channels * 9;
    float half[TILE * 3], whole[TILE * TILE];
    for (size_t j = 0; j < 3; j++) {
      winograd_filter_words(outputs, filter + j * 3, half + j * tile);
    }
    for (size_t j = 0; j < tile; j++) {
      const float x[3] = {half[j], half[tile + j], half[2 * tile + j]};
      float y[TILE];
      winograd_filter_words(outputs, x, y);
      for (size_t l = 0; l < tile; l++)
        whole[l * tile + j] = y[l];
    }
    for (size_t j = 0; j < tile * tile; j++) {
      out[j * stride] = whole[j];
    }
  }
}

/* The transformed tile whose first output is at (row, column). */
static void input_tile(size_t outputs, const weft_patches *p, const float *channel, size_t row, size_t column,
                       float *out) {
  const size_t tile = outputs + 2;
  float x[TILE], y[TILE], half[TILE * TILE];
  for (size_t j = 0; j < tile; j++) {
    for (size_t i = 0; i < tile; i++) {
      int64_t at_row = (int64_t)(row + i) - p->pad_top, at = (int64_t)(column + j) - p->pad_left;
      bool inside = at_row >= 0 && (uint64_t)at_row < p->ih && at >= 0 && (uint64_t)at < p->iw;
      x[i] = inside ? channel[(size_t)at_row * p->iw + (size_t)at] : 0.0f;
    }
    winograd_input_words(outputs, x, y);
    for (size_t i = 0; i < tile; i++) {
      half[i * tile + j] = y[i];
    }
  }
  for (size_t i = 0; i < tile; i++) {
    winograd_input_words(outputs, half + i * tile, out + i * tile);
  }
}

void weft_portable_winograd_input(size_t outputs, const weft_patches *patches, size_t begin, size_t end, float *out,
                                  size_t stride) {
  const size_t width = weft_winograd_groups(outputs, 1, patches->ow), k = patches->channels;
  const size_t tiles = (end - begin) * GROUP, products = weft_winograd_products(outputs);
  for (size_t t = 0; t < (tiles + WEFT_GEMM_NR - 1) / WEFT_GEMM_NR * WEFT_GEMM_NR; t++) {
    size_t group = begin + t / GROUP, row = group / width * outputs;
    size_t column = (group % width * GROUP + t % GROUP) * outputs;
    for (size_t c = 0; c < k; c++) {
      float tile[TILE * TILE] = {0};
      if (t < tiles) input_tile(outputs, patches, patches->in + c * patches->ih * patches->iw, row, column, tile);
      for (size_t j = 0; j < products; j++) {
        out[j * stride + (t / WEFT_GEMM_NR * k + c) * WEFT_GEMM_NR + t % WEFT_GEMM_NR] = tile[j];
      }
    }
  }
}

/* One tile's outputs of its products. */
static void output_tile(size_t outputs, const float *products, size_t stride, float *out) {
  const size_t tile = outputs + 2;
  float x[TILE], y[TILE], half[TILE * TILE];
  for (size_t j = 0; j < tile; j++) {
    for (size_t i = 0; i < tile; i++) {
      x[i] = products[(i * tile + j) * stride];
    }
    winograd_output_words(outputs, x, y);
    for (size_t i = 0; i < outputs; i++) {
      half[i * tile + j] = y[i];
    }
  }
  for (size_t i = 0; i < outputs; i++) {
    winograd_output_words(outputs, half + i * tile, out + i * outputs);
  }
}

void weft_portable_winograd_output(size_t outputs, const float *products, size_t stride, size_t begin, size_t end,
                                   float bias, const float *residual, weft_activation activation, float lo, float hi,
                                   float *out, size_t oh, size_t ow) {
  const size_t width = weft_winograd_groups(outputs, 1, ow);
  for (size_t t = 0; t < (end - begin) * GROUP; t++, products++) {
    float tile[TILE * TILE];
    output_tile(outputs, products, stride, tile);
    size_t group = begin + t / GROUP;
    for (size_t j = 0; j < outputs * outputs; j++) {
      size_t row = group / width * outputs + j / outputs;
      size_t column = (group % width * GROUP + t % GROUP) * outputs + j % outputs;
      if (row >= oh || column >= ow) continue;
      float y = tile[j] + bias;
      if (residual != NULL) y += residual[row * ow + column];
      out[row * ow + column] = weft_activate_one(y, activation, lo, hi);
    }
  }
}
