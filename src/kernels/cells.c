/* The cells of LSTM and GRU, portable. */
#include "portable.h"
#include "scalar.h"

#include "cells.h"

void weft_portable_lstm_f32(size_t rows, size_t n, const float *x, size_t x_stride, const float *r, float *c, float *h,
                            size_t h_stride) {
  for (size_t row = 0; row < rows; row++, x += x_stride, r += 4 * n, c += n, h += h_stride) {
    for (size_t i = 0; i < n; i++) {
      c[i] = lstm_state(x[i] + r[i], x[2 * n + i] + r[2 * n + i], x[3 * n + i] + r[3 * n + i], c[i]);
      h[i] = lstm_hidden(x[n + i] + r[n + i], c[i]);
    }
  }
}

void weft_portable_gru_f32(size_t rows, size_t n, const float *x, size_t x_stride, float *r, const float *h,
                           size_t h_stride, float *to, size_t to_stride) {
  for (size_t row = 0; row < rows; row++, x += x_stride, r += 3 * n, h += h_stride, to += to_stride) {
    for (size_t i = 0; i < n; i++) {
      r[2 * n + i] = gru_candidate(x[n + i] + r[n + i], x[2 * n + i], r[2 * n + i]);
      to[i] = gru_hidden(x[i] + r[i], r[2 * n + i], h[i]);
    }
  }
}
