/* The kernels: tight loops over plain pointers. Each has a portable C version here, which is its specification and the
 * oracle of the tests, and may have a SIMD version in simd/. A table of pointers is chosen once at start; a kernel that
 * simd/ does not replace stays portable. Kernels know neither graphs nor tensors; sizes are element counts. */
#ifndef WEFT_KERNELS_KERNELS_H
#define WEFT_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../weft.h"
#include "nbits.h"
#include "pool.h"

/* What is done to a result before it is stored, so that it is touched once: y = act(acc + bias [+ residual]). */
typedef enum weft_activation {
  WEFT_ACT_NONE = 0,
  WEFT_ACT_CLIP,  /* min(max(y, lo), hi); Relu is lo = 0, hi = inf. NaN stays NaN */
  WEFT_ACT_LEAKY, /* y < 0 ? lo * y : y */
  WEFT_ACT_SIGMOID,
  WEFT_ACT_TANH,
  WEFT_ACT_HARDSIGMOID, /* max(0, min(1, lo * y + hi)) */
  WEFT_ACT_HARDSWISH,
  WEFT_ACT_SILU,
  WEFT_ACT_GELU /* exact, by erf */
} weft_activation;

typedef struct weft_epilogue {
  const float *row_bias;    /* one per row of the result (convolution: per output channel), or NULL */
  const float *column_bias; /* one per column, or NULL */
  const float *residual;    /* added before the activation, laid out like the result, or NULL */
  size_t residual_stride;   /* between its rows */
  weft_activation activation;
  float lo, hi;
} weft_epilogue;

/* What becomes of the 32-bit sums of integer products. */
typedef struct weft_rescale {
  const int32_t *bias;
  size_t bias_step;
  const float *scale;
  size_t scale_step;
  const float *added;
} weft_rescale;

/* What quantised results lie between: of either type, and perhaps narrower, as Relu makes it. */
typedef struct weft_bytes {
  int32_t zero, least, greatest;
  bool is_signed;
} weft_bytes;

static inline weft_bytes weft_all_bytes(int32_t zero, bool is_signed) {
  const int32_t least = is_signed ? -128 : 0;
  return (weft_bytes){zero, least, least + 255, is_signed};
}

/* Columns of a packed right-hand panel: b is cut into panels of 8 columns, each stored K x 8, the last one zero-padded.
 */
#define WEFT_GEMM_NR 8

/* Unary functions with a vector form; y may be x. */
typedef enum weft_unary {
  WEFT_UNARY_EXP,
  WEFT_UNARY_LOG,
  WEFT_UNARY_TANH,
  WEFT_UNARY_SIGMOID,
  WEFT_UNARY_ERF,
  WEFT_UNARY_GELU,      /* exact, by erf */
  WEFT_UNARY_GELU_TANH, /* the tanh approximation */
  WEFT_UNARY_SILU,
  WEFT_UNARY_MISH,
  WEFT_UNARY_HARDSWISH,
  WEFT_UNARY_RELU,
  WEFT_UNARY_NEG,
  WEFT_UNARY_ABS,
  WEFT_UNARY_SQRT,
  WEFT_UNARY_RECIPROCAL,
  WEFT_UNARY_FLOOR,
  WEFT_UNARY_CEIL,
  WEFT_UNARY_ROUND, /* half to even */
  WEFT_UNARY_SOFTPLUS,
  WEFT_UNARY_ATAN,
  WEFT_UNARY_SOFTSIGN,
  WEFT_UNARY_COUNT
} weft_unary;

typedef enum weft_binary {
  WEFT_BINARY_ADD,
  WEFT_BINARY_SUB,
  WEFT_BINARY_MUL,
  WEFT_BINARY_DIV,
  WEFT_BINARY_MIN, /* NaN wins, as numpy.minimum */
  WEFT_BINARY_MAX,
  WEFT_BINARY_POW,
  WEFT_BINARY_FMOD, /* the remainder with x's sign */
  WEFT_BINARY_COUNT
} weft_binary;

/* A convolution's input as the kernels see it: the channels of one group of an NCHW image, each ih x iw floats, and
 * where the window goes. Padding reads as zero. Output positions are numbered row by row: y * ow + x. */
typedef struct weft_patches {
  const float *in;
  size_t channels, ih, iw;
  size_t kh, kw;
  size_t stride_h, stride_w, dilation_h, dilation_w;
  int64_t pad_top, pad_left;
  size_t ow;
  const float *const *planes; /* conv_f32 alone: where each channel lies; NULL: one after another from `in` on */
} weft_patches;

static inline const float *weft_patches_channel(const weft_patches *p, size_t channel) {
  return p->planes != NULL ? p->planes[channel] : p->in + channel * p->ih * p->iw;
}

/* Of a row of one channel as kernels lay it out: the columns of each stride phase side by side, panels of output columns
 * whole. */
static inline size_t weft_conv_row_floats(const weft_patches *p) {
  const size_t whole = (p->ow + WEFT_GEMM_NR - 1) / WEFT_GEMM_NR * WEFT_GEMM_NR;
  return p->stride_w * (whole + (p->kw - 1) * p->dilation_w / p->stride_w);
}
/* Whether conv_f32 is for it: it is faster than packed patches, and what a row of the result is made of fits the cache. */
bool weft_conv_is_direct(const weft_patches *patches, size_t filters);
enum { WEFT_CONV_BAND = 8192 /* floats of such rows */, WEFT_CONV_TAPS = 128 };

/* Outputs of a tile along one dimension, and the taps that make each: 4 of 3, 2 of 3, 4 of 2 or 1 of 1. */
typedef struct weft_winograd_line {
  size_t outputs, taps;
} weft_winograd_line;

/* 4 x 4 or 2 x 2 of 3 x 3 taps, 4 x 4 of 2 x 2, 1 x 4 of 1 x 3 or of 1 x 2, 4 x 1 of 3 x 1. */
typedef struct weft_winograd_tile {
  weft_winograd_line rows, columns;
} weft_winograd_tile;

/* Taps of some filters and channels: so many rows and columns, zeros in place of what a tile has more. Steps are floats
 * from one to the next. */
typedef struct weft_winograd_taps {
  const float *first;
  size_t filters, channels, rows, columns;
  size_t filter_step, channel_step, row_step, column_step;
} weft_winograd_taps;

/* Where a filter's results go: y = activation(product + bias + residual), `residual` (may be NULL) and `out` alike.
 * Tiles cover `ow` columns; rows and columns that exist are `row_step` and `step` floats apart. */
typedef struct weft_winograd_result {
  size_t ow, rows, columns, row_step, step;
  float bias;
  const float *residual;
  weft_activation activation;
  float lo, hi;
  float *out;
} weft_winograd_result;

typedef struct weft_kernels {
  const char *name; /* "portable", "simd", "relaxed" */
  bool has_dot_i8;  /* integer products take four steps at once: always faster than those of floats */

  /* c[m x n] (row stride ldc) = epilogue(a[m x k] (row stride lda) * b), b packed in panels of WEFT_GEMM_NR columns that
   * are `panel` floats from each other, k * WEFT_GEMM_NR where they are whole. With `accumulate` the product is added to
   * what c holds before the epilogue. */
  void (*gemm_f32)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b_packed, size_t panel,
                   float *c, size_t ldc, bool accumulate, const weft_epilogue *epilogue);
  /* Packs columns [0, n) of b[k x n] (row stride ldb; with `transposed`, b[n x k] read as its transpose) into panels.
   * `out` holds weft_gemm_packed_size(n, k) floats. */
  void (*gemm_f32_pack)(size_t n, size_t k, const float *b, size_t ldb, bool transposed, float *out);
  /* The same for one or two rows and a b of 16-bit floats in such panels, which become floats as they are read: of
   * bfloat16, or of float16 without infinities and NaN. */
  void (*gemm_half)(size_t m, size_t n, size_t k, const float *a, size_t lda, weft_type type, const uint16_t *b_packed,
                    float *c, size_t ldc, const weft_epilogue *epilogue);
  /* y[n] = epilogue(x[k] * b[k x n]) for one row and an unpacked b: not worth packing. */
  void (*gemv_f32)(size_t n, size_t k, const float *x, const float *b, size_t ldb, bool transposed, float *y,
                   const weft_epilogue *epilogue);

  /* A depthwise convolution: channel by channel out[oh x ow] with a filter w[kh x kw] of its own; `bias` may be NULL. */
  void (*depthwise_f32)(const weft_patches *patches, const float *w, const float *bias, weft_activation activation,
                        float lo, float hi, float *out, size_t oh);

  void (*unary_f32[WEFT_UNARY_COUNT])(size_t n, const float *x, float *y);
  /* z = x op y; a step of 0 repeats the first element, 1 walks. z may be x or y. */
  void (*binary_f32[WEFT_BINARY_COUNT])(size_t n, const float *x, size_t x_step, const float *y, size_t y_step,
                                        float *z);
  void (*clip_f32)(size_t n, const float *x, float lo, float hi, float *y);
  /* y = x >= 0 ? above * x : below * (e^(x / unit) - 1), unit > 0; y may be x. */
  void (*elu_f32)(size_t n, const float *x, float above, float below, float unit, float *y);
  /* y = x sigmoid(alpha x), slow unless alpha > 0; y may be x. */
  void (*swish_f32)(size_t n, const float *x, float alpha, float *y);
  /* In place; any activation, WEFT_ACT_NONE included. */
  void (*activate_f32)(size_t n, float *y, weft_activation activation, float lo, float hi);

  float (*sum_f32)(size_t n, const float *x); /* in blocks, error O(log n) */
  float (*sum_square_f32)(size_t n, const float *x);
  float (*max_f32)(size_t n, const float *x); /* NaN wins; n > 0 */
  float (*min_f32)(size_t n, const float *x);
  float (*dot_f32)(size_t n, const float *x, const float *y);

  /* One row: y = exp(x - max) / sum. With `logarithm`: x - max - log(sum). y may be x. */
  void (*softmax_f32)(size_t n, const float *x, bool logarithm, float *y);
  /* Rows of scores become weights: the softmax of x + mask (NULL: none) takes the place of x. n > 0. */
  void (*weigh_f32)(size_t rows, size_t n, const float *mask, float *x, size_t ldx);
  /* One row: y = (x - mean) / sqrt(variance + epsilon) * scale + bias; `mean`, `inverse` receive mean and 1/deviation
   * (may be NULL); with `root_mean_square` no mean is taken off. scale, bias may be NULL. y may be x. */
  void (*layer_norm_f32)(size_t n, const float *x, const float *scale, const float *bias, float epsilon,
                         bool root_mean_square, float *y, float *mean, float *inverse);
  /* One step of an LSTM with sigmoid and tanh for `rows` sequences: the gates are the sum of x and r, [rows][4][n] in
   * ONNX's order; c, [rows][n], becomes the new cell states, and h the hidden ones. Rows of x and h lie so far apart. */
  void (*lstm_f32)(size_t rows, size_t n, const float *x, size_t x_stride, const float *r, float *c, float *h,
                   size_t h_stride);
  /* The same for a GRU whose reset gate scales r's hidden gate, which is overwritten: x and r are [rows][3][n], h
   * the old and `to` the new states; `to` may be h. */
  void (*gru_f32)(size_t rows, size_t n, const float *x, size_t x_stride, float *r, const float *h, size_t h_stride,
                  float *to, size_t to_stride);
  /* y[i] += a * x[i] */
  void (*axpy_f32)(size_t n, float a, const float *x, float *y);

  /* Convolution without a column buffer: packs the patches of output positions [begin, end), of planes of fewer than
   * 2^31 elements, as the right-hand matrix of gemm_f32, with K = channels * kh * kw rows in that order and end - begin
   * columns. `out` holds weft_gemm_packed_size(end - begin, K) floats. The left-hand matrix is the weights as ONNX stores
   * them. */
  void (*conv_f32_pack)(const weft_patches *patches, size_t begin, size_t end, float *out);
  /* A whole convolution where weft_conv_is_direct: rows [begin, end) of all filters' planes, which are oh * ow floats
   * from each other. `scratch` holds WEFT_CONV_BAND + K * WEFT_GEMM_NR floats. */
  void (*conv_f32)(const weft_patches *patches, size_t filters, const float *w, const weft_epilogue *epilogue,
                   size_t begin, size_t end, float *out, size_t oh, float *scratch);

  /* out[j * out_stride + i] = in[i * in_stride + j] for i < rows, j < columns, elements of 1, 2, 4, 8 or 16 bytes;
   * strides in elements. */
  void (*transpose)(size_t rows, size_t columns, size_t element_size, const void *in, size_t in_stride, void *out,
                    size_t out_stride);

  /* Rows of narrow floats; the conversions of base/value.h. */
  void (*float16_to_f32)(size_t n, const uint16_t *x, float *y);
  void (*f32_to_float16)(size_t n, const float *x, uint16_t *y);
  void (*bfloat16_to_f32)(size_t n, const uint16_t *x, float *y);
  void (*f32_to_bfloat16)(size_t n, const float *x, uint16_t *y);

  /* 8-bit integers: c[m x n] = (a - a_zero) * (b - b_zero), exact in 32 bits (wrapping). Both sides are packed, in a
   * form that belongs to the table: what stays the same from run to run once, the other per call. `a_is_weights` says
   * which that is, the same for both and for their product. */
  size_t (*gemm_i8_a_size)(size_t m, size_t k, bool a_is_weights); /* bytes */
  size_t (*gemm_i8_b_size)(size_t n, size_t k, bool a_is_weights);
  /* a_zero[i * zero_step] is the zero point of row i: a step of 0 for one that serves all. */
  void (*gemm_i8_pack_a)(size_t m, size_t k, const void *a, size_t lda, bool is_signed, const int32_t *a_zero,
                         size_t zero_step, void *out, bool a_is_weights);
  /* Columns [0, n) of b[k x n], or with `transposed` of b[n x k]. */
  void (*gemm_i8_pack_b)(size_t n, size_t k, const void *b, size_t ldb, bool transposed, bool is_signed,
                         const int32_t *b_zero, size_t zero_step, void *out, bool a_is_weights);
  /* Columns [first, first + n) of the product of m packed rows and the packed b of `k` rows; `first` is a multiple of
   * WEFT_GEMM_NR, c points to the first of these columns. Rows of a packed a can be cut with gemm_i8_a_size(row, k). */
  void (*gemm_i8)(size_t m, size_t n, size_t k, const void *a_packed, const void *b_packed, size_t first, int32_t *c,
                  size_t ldc, bool a_is_weights);
  /* Finished sums: y = (sums + bias) * scale + added, with the steps 0 or 1 of what is one number for all or one for each
   * element; `bias` and `added` (whose step is `scale`'s) may be NULL. */
  void (*sums_to_f32)(size_t n, const int32_t *sums, const weft_rescale *r, float *y);
  /* The same rounded half to even, plus `zero`, within the limits. */
  void (*sums_to_i8)(size_t n, const int32_t *sums, const weft_rescale *r, const weft_bytes *bytes, void *y);
  /* y = saturate(round half to even(x / scale) + zero). */
  void (*quantize_i8)(size_t n, const float *x, float scale, int32_t zero, bool is_signed, void *y);
  /* y = (x - zero) * scale */
  void (*dequantize_i8)(size_t n, const void *x, float scale, int32_t zero, bool is_signed, float *y);
  /* Convolution by Winograd's minimal filtering: a tile makes rows x columns elements by weft_winograd_products(tile)
   * matrix products over channels. Tiles are numbered row by row and come in groups of 4; the caller transforms the
   * inputs of groups [begin, end), multiplies, and transforms the products, filter by filter. Filters, as the left-hand
   * matrices of filters x channels, `stride` floats apart, with room for three floats more after each. */
  void (*winograd_filters)(weft_winograd_tile tile, const weft_winograd_taps *taps, float *out, size_t stride);
  /* Input: the right-hand matrices, each of weft_gemm_packed_size(4 * (end - begin), channels) floats, `stride` apart.
   * `plane` floats are between channels; of `patches`, kernel and strides do not count. */
  void (*winograd_input)(weft_winograd_tile tile, const weft_patches *patches, size_t plane, size_t begin, size_t end,
                         float *out, size_t stride);
  /* `products` points to the filter's row of the first product, `stride` floats before that of the second. */
  void (*winograd_output)(weft_winograd_tile tile, const float *products, size_t stride, size_t begin, size_t end,
                          const weft_winograd_result *result);
  /* Output rows [begin, end) of one plane with one filter: sums of weights[tap] * (element - zero), padding adding
   * nothing. Weights lie in [-255, 255], and weft_depthwise_i8_fits the window. */
  void (*depthwise_i8)(const uint8_t *plane, const weft_pool_axis *y, const weft_pool_axis *x, const int16_t *weights,
                       int32_t zero, bool is_signed, size_t begin, size_t end, int32_t *sums);
  /* For measuring what the machine can do at best: WEFT_MULTIPLY_ADDS sums, each `turns` times multiplied by `factor` and
   * increased by `addend`, without memory in the way. They begin at 0, 1, 2 ...; the result is their sum. */
  float (*multiply_adds)(size_t turns, float factor, float addend);

  /* One row times weights of a few bits: y[j - begin] for columns [begin, end). The row is prepared once, in a form that
   * belongs to the table, weft_nbits_row_size floats. */
  void (*nbits_prepare)(const weft_nbits *w, const float *x, float *out);
  void (*nbits_gemv)(const weft_nbits *w, const float *prepared, size_t begin, size_t end, float *y);
  /* Columns [begin, end) as panels of gemm_f32; `begin` is a multiple of WEFT_GEMM_NR. */
  void (*nbits_expand)(const weft_nbits *w, size_t begin, size_t end, float *out);
  /* The same products with rows that are first rounded to 8 bits, block by block to 127 steps of the greatest magnitude,
   * where weft_nbits_has_i8. y has `ldy` floats between rows, its first column is `begin`, a multiple of WEFT_GEMM_NR;
   * `scratch` has weft_nbits_i8_scratch bytes. Every table gives the same bits, for any cut. */
  size_t (*nbits_i8_a_size)(const weft_nbits *w, size_t m);                /* bytes of m packed rows */
  void (*nbits_i8_pack_a)(const weft_nbits *w, const float *x, void *out); /* one row */
  void (*nbits_i8)(const weft_nbits *w, size_t m, const void *a, size_t begin, size_t end, float *y, size_t ldy,
                   void *scratch);
} weft_kernels;

#define WEFT_MULTIPLY_ADDS 48

/* count * each; where that is more than `most`, so much, which is chosen so that no memory can be had for it. */
static inline size_t weft_packed_size(size_t count, size_t each, size_t most) {
  size_t size;
  return __builtin_mul_overflow(count, each, &size) || size > most ? most : size;
}

/* Floats of b packed for gemm_f32. */
static inline size_t weft_gemm_packed_size(size_t n, size_t k) {
  return weft_packed_size((n + WEFT_GEMM_NR - 1) / WEFT_GEMM_NR * WEFT_GEMM_NR, k, SIZE_MAX / 2 / sizeof(float));
}

#define WEFT_WINOGRAD_MOST_OUTPUTS 4
#define WEFT_WINOGRAD_GROUP 4 /* tiles */

/* Inputs of a tile along one dimension, and points that its transforms have. */
static inline size_t weft_winograd_side(weft_winograd_line line) {
  return line.outputs + line.taps - 1;
}
static inline size_t weft_winograd_products(weft_winograd_tile tile) {
  return weft_winograd_side(tile.rows) * weft_winograd_side(tile.columns);
}
/* Tiles that make oh x ow outputs. */
size_t weft_winograd_tiles(weft_winograd_tile tile, size_t oh, size_t ow);

extern const weft_kernels weft_kernels_portable;

/* The best table this build and host have; `deterministic` keeps to those that give the same bits everywhere. NULL if
 * there is none, as may be in builds with relaxed instructions only. */
const weft_kernels *weft_kernels_choose(bool deterministic);

/* One activation on finished values, in place: what epilogues do, for results that were made otherwise. */
void weft_activate_f32(const weft_kernels *kernels, size_t n, float *y, weft_activation activation, float lo, float hi);

#endif
