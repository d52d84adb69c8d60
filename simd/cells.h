/* The cells of LSTM and GRU, four elements at a time. */

/* The sum of gate number `gate` for `count` units from i on. */
INLINE real gate_sum(size_t n, size_t gate, size_t i, size_t count, const float *x, const float *r) {
  return r_add(load_some(x + gate * n + i, count), load_some(r + gate * n + i, count));
}

INLINE void lstm_state_some(size_t n, size_t i, size_t count, const float *x, const float *r, float *c) {
  store_some(c + i,
             lstm_state(gate_sum(n, 0, i, count, x, r), gate_sum(n, 2, i, count, x, r), gate_sum(n, 3, i, count, x, r),
                        load_some(c + i, count)),
             count);
}

INLINE void lstm_hidden_some(size_t n, size_t i, size_t count, const float *x, const float *r, const float *c,
                             float *h) {
  store_some(h + i, lstm_hidden(gate_sum(n, 1, i, count, x, r), load_some(c + i, count)), count);
}

static void lstm_f32(size_t rows, size_t n, const float *x, size_t x_stride, const float *r, float *c, float *h) {
  for (size_t row = 0; row < rows; row++, x += x_stride, r += 4 * n, c += n, h += n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
      lstm_state_some(n, i, LANES, x, r, c);
    }
    if (i < n) lstm_state_some(n, i, n - i, x, r, c);
    for (i = 0; i + LANES <= n; i += LANES) {
      lstm_hidden_some(n, i, LANES, x, r, c, h);
    }
    if (i < n) lstm_hidden_some(n, i, n - i, x, r, c, h);
  }
}

INLINE void gru_candidate_some(size_t n, size_t i, size_t count, const float *x, float *r) {
  float *hidden = r + 2 * n + i;
  real candidate =
      gru_candidate(gate_sum(n, 1, i, count, x, r), load_some(x + 2 * n + i, count), load_some(hidden, count));
  store_some(hidden, candidate, count);
}

INLINE void gru_hidden_some(size_t n, size_t i, size_t count, const float *x, const float *r, float *h) {
  real candidate = load_some(r + 2 * n + i, count);
  store_some(h + i, gru_hidden(gate_sum(n, 0, i, count, x, r), candidate, load_some(h + i, count)), count);
}

static void gru_f32(size_t rows, size_t n, const float *x, size_t x_stride, float *r, float *h) {
  for (size_t row = 0; row < rows; row++, x += x_stride, r += 3 * n, h += n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
      gru_candidate_some(n, i, LANES, x, r);
    }
    if (i < n) gru_candidate_some(n, i, n - i, x, r);
    for (i = 0; i + LANES <= n; i += LANES) {
      gru_hidden_some(n, i, LANES, x, r, h);
    }
    if (i < n) gru_hidden_some(n, i, n - i, x, r, h);
  }
}
