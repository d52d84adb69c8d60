/* The cells of LSTM and GRU, four elements at a time. */

INLINE void lstm_some(size_t n, size_t i, size_t count, const float *x, const float *r, float *c, float *h) {
  real gates[4];
  for (size_t g = 0; g < 4; g++) {
    gates[g] = r_add(load_some(x + g * n + i, count), load_some(r + g * n + i, count));
  }
  real state = load_some(c + i, count);
  store_some(h + i, lstm_cell(gates[0], gates[1], gates[2], gates[3], &state), count);
  store_some(c + i, state, count);
}

static void lstm_f32(size_t rows, size_t n, const float *x, size_t x_stride, const float *r, float *c, float *h) {
  for (size_t row = 0; row < rows; row++, x += x_stride, r += 4 * n, c += n, h += n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
      lstm_some(n, i, LANES, x, r, c, h);
    }
    if (i < n) lstm_some(n, i, n - i, x, r, c, h);
  }
}

INLINE void gru_some(size_t n, size_t i, size_t count, const float *x, const float *r, float *h) {
  real update = r_add(load_some(x + i, count), load_some(r + i, count));
  real reset = r_add(load_some(x + n + i, count), load_some(r + n + i, count));
  real hidden = load_some(x + 2 * n + i, count), recurrent = load_some(r + 2 * n + i, count);
  store_some(h + i, gru_cell(update, reset, hidden, recurrent, load_some(h + i, count)), count);
}

static void gru_f32(size_t rows, size_t n, const float *x, size_t x_stride, const float *r, float *h) {
  for (size_t row = 0; row < rows; row++, x += x_stride, r += 3 * n, h += n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
      gru_some(n, i, LANES, x, r, h);
    }
    if (i < n) gru_some(n, i, n - i, x, r, h);
  }
}
