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

/* Both parts for as many short rows at a time as keep enough cells in flight. */
enum { CELLS_AT_ONCE = 64 };

INLINE size_t rows_at_once(size_t rows, size_t n) {
  const size_t most = 1 + CELLS_AT_ONCE / (n + 1);
  return rows < most ? rows : most;
}

static void lstm_f32(size_t rows, size_t n, const float *x, size_t x_stride, const float *r, float *c, float *h,
                     size_t h_stride) {
  for (size_t some; rows > 0;
       rows -= some, x += some * x_stride, r += some * 4 * n, c += some * n, h += some * h_stride) {
    some = rows_at_once(rows, n);
    for (size_t row = 0; row < some; row++) {
      size_t i = 0;
      for (; i + LANES <= n; i += LANES) {
        lstm_state_some(n, i, LANES, x + row * x_stride, r + row * 4 * n, c + row * n);
      }
      if (i < n) lstm_state_some(n, i, n - i, x + row * x_stride, r + row * 4 * n, c + row * n);
    }
    for (size_t row = 0; row < some; row++) {
      size_t i = 0;
      for (; i + LANES <= n; i += LANES) {
        lstm_hidden_some(n, i, LANES, x + row * x_stride, r + row * 4 * n, c + row * n, h + row * h_stride);
      }
      if (i < n) lstm_hidden_some(n, i, n - i, x + row * x_stride, r + row * 4 * n, c + row * n, h + row * h_stride);
    }
  }
}

INLINE void gru_candidate_some(size_t n, size_t i, size_t count, const float *x, float *r) {
  float *hidden = r + 2 * n + i;
  real candidate =
      gru_candidate(gate_sum(n, 1, i, count, x, r), load_some(x + 2 * n + i, count), load_some(hidden, count));
  store_some(hidden, candidate, count);
}

INLINE void gru_hidden_some(size_t n, size_t i, size_t count, const float *x, const float *r, const float *h,
                            float *to) {
  real candidate = load_some(r + 2 * n + i, count);
  store_some(to + i, gru_hidden(gate_sum(n, 0, i, count, x, r), candidate, load_some(h + i, count)), count);
}

static void gru_f32(size_t rows, size_t n, const float *x, size_t x_stride, float *r, const float *h, size_t h_stride,
                    float *to, size_t to_stride) {
  for (size_t some; rows > 0;
       rows -= some, x += some * x_stride, r += some * 3 * n, h += some * h_stride, to += some * to_stride) {
    some = rows_at_once(rows, n);
    for (size_t row = 0; row < some; row++) {
      size_t i = 0;
      for (; i + LANES <= n; i += LANES) {
        gru_candidate_some(n, i, LANES, x + row * x_stride, r + row * 3 * n);
      }
      if (i < n) gru_candidate_some(n, i, n - i, x + row * x_stride, r + row * 3 * n);
    }
    for (size_t row = 0; row < some; row++) {
      size_t i = 0;
      for (; i + LANES <= n; i += LANES) {
        gru_hidden_some(n, i, LANES, x + row * x_stride, r + row * 3 * n, h + row * h_stride, to + row * to_stride);
      }
      if (i < n)
        gru_hidden_some(n, i, n - i, x + row * x_stride, r + row * 3 * n, h + row * h_stride, to + row * to_stride);
    }
  }
}
