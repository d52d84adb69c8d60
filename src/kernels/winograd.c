/* Convolution with 3 x 3 filters and stride 1 by Winograd's minimal filtering F(2 x 2, 3 x 3) (Lavin and Gray, "Fast
 * Algorithms for Convolutional Neural Networks", 2015), portable: tiles of 4 x 4 inputs and the filters are transformed
 * so that a tile of 2 x 2 outputs takes 16 products a channel instead of 36, as 16 matrix products over channels. The
 * transforms only add, subtract and halve, so little accuracy is lost. */
#include "portable.h"

enum { TILE = 4, GROUP = WEFT_WINOGRAD_GROUP };

size_t weft_winograd_groups(size_t oh, size_t ow) {
  return (oh + 1) / 2 * ((ow + 2 * GROUP - 1) / (2 * GROUP));
}

/* y = G x, G = (1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1), elements `step` apart. */
static void transform_filter(const float *x, size_t x_step, float *y, size_t y_step) {
  float a = x[0], b = x[x_step], c = x[2 * x_step];
  y[0] = a;
  y[y_step] = 0.5f * (a + b + c);
  y[2 * y_step] = 0.5f * (a - b + c);
  y[3 * y_step] = c;
}

void weft_winograd_weights(size_t filters, size_t channels, const float *w, float *out) {
  for (size_t i = 0; i < filters * channels; i++) {
    float half[TILE * 3], whole[TILE * TILE];
    for (size_t j = 0; j < 3; j++) {
      transform_filter(w + i * 9 + j, 3, half + j, 3);
    }
    for (size_t j = 0; j < TILE; j++) {
      transform_filter(half + j * 3, 1, whole + j * TILE, 1);
    }
    for (size_t j = 0; j < WEFT_WINOGRAD_PRODUCTS; j++) {
      out[j * filters * channels + i] = whole[j];
    }
  }
}

/* y = B' x, B' = (1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1). */
static void transform_input(const float *x, size_t x_step, float *y, size_t y_step) {
  float a = x[0], b = x[x_step], c = x[2 * x_step], d = x[3 * x_step];
  y[0] = a - c;
  y[y_step] = b + c;
  y[2 * y_step] = c - b;
  y[3 * y_step] = b - d;
}

/* y = A' x, A' = (1 1 1 0; 0 1 -1 -1). */
static void transform_output(const float *x, size_t x_step, float *y, size_t y_step) {
  float a = x[0], b = x[x_step], c = x[2 * x_step], d = x[3 * x_step];
  y[0] = a + b + c;
  y[y_step] = b - c - d;
}

/* The transformed tile whose first output is at (row, column). */
static void input_tile(const weft_patches *p, const float *channel, size_t row, size_t column, float *out) {
  float x[TILE * TILE], half[TILE * TILE];
  for (size_t i = 0; i < TILE * TILE; i++) {
    int64_t y = (int64_t)(row + i / TILE) - p->pad_top, at = (int64_t)(column + i % TILE) - p->pad_left;
    bool inside = y >= 0 && (uint64_t)y < p->ih && at >= 0 && (uint64_t)at < p->iw;
    x[i] = inside ? channel[(size_t)y * p->iw + (size_t)at] : 0.0f;
  }
  for (size_t j = 0; j < TILE; j++) {
    transform_input(x + j, TILE, half + j, TILE);
  }
  for (size_t j = 0; j < TILE; j++) {
    transform_input(half + j * TILE, 1, out + j * TILE, 1);
  }
}

void weft_portable_winograd_input(const weft_patches *patches, size_t begin, size_t end, float *out) {
  const size_t width = weft_winograd_groups(1, patches->ow), k = patches->channels, tiles = (end - begin) * GROUP;
  const size_t matrix = weft_gemm_packed_size(tiles, k);
  for (size_t t = 0; t < (tiles + WEFT_GEMM_NR - 1) / WEFT_GEMM_NR * WEFT_GEMM_NR; t++) {
    size_t group = begin + t / GROUP, row = group / width * 2, column = (group % width * GROUP + t % GROUP) * 2;
    for (size_t c = 0; c < k; c++) {
      float tile[TILE * TILE] = {0};
      if (t < tiles) input_tile(patches, patches->in + c * patches->ih * patches->iw, row, column, tile);
      for (size_t j = 0; j < WEFT_WINOGRAD_PRODUCTS; j++) {
        out[j * matrix + (t / WEFT_GEMM_NR * k + c) * WEFT_GEMM_NR + t % WEFT_GEMM_NR] = tile[j];
      }
    }
  }
}

void weft_portable_winograd_output(const float *products, size_t stride, size_t begin, size_t end, float bias,
                                   const float *residual, weft_activation activation, float lo, float hi, float *out,
                                   size_t oh, size_t ow) {
  const size_t width = weft_winograd_groups(1, ow);
  for (size_t t = 0; t < (end - begin) * GROUP; t++, products++) {
    float x[TILE * TILE], half[2 * TILE], whole[4];
    for (size_t j = 0; j < WEFT_WINOGRAD_PRODUCTS; j++) {
      x[j] = products[j * stride];
    }
    for (size_t j = 0; j < TILE; j++) {
      transform_output(x + j, TILE, half + j, TILE);
    }
    transform_output(half, 1, whole, 1);
    transform_output(half + TILE, 1, whole + 2, 1);
    size_t group = begin + t / GROUP;
    for (size_t j = 0; j < 4; j++) {
      size_t row = group / width * 2 + j / 2, column = (group % width * GROUP + t % GROUP) * 2 + j % 2;
      if (row >= oh || column >= ow) continue;
      float y = whole[j] + bias;
      if (residual != NULL) y += residual[row * ow + column];
      out[row * ow + column] = weft_activate_one(y, activation, lo, hi);
    }
  }
}
