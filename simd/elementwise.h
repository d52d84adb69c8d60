/* Functions of one or two numbers, four at a time. The loops are written once; a function given as a constant is
 * inlined into them. The last, partial vector goes through a padded copy. */

typedef real (*one_number)(real);
typedef real (*two_numbers)(real, real);

/* Where a function is long, the last vector goes through the same code as the others. */
INLINE void map(size_t n, const float *x, float *y, one_number function, bool is_long) {
  size_t i = 0;
  for (; is_long ? i < n : i + LANES <= n; i += LANES) {
    if (is_long) {
      store_some(y + i, function(load_some(x + i, n - i)), n - i);
    } else {
      store(y + i, function(load(x + i)));
    }
  }
  if (!is_long && i < n) store_part(y + i, function(load_part(x + i, n - i)), n - i);
}

#define DEFINE_UNARY(NAME, word, is_long)                                                                              \
  static void unary_##NAME(size_t n, const float *x, float *y) {                                                       \
    map(n, x, y, word, is_long);                                                                                       \
  }
UNARY_WORDS(DEFINE_UNARY)

/* Whether x and y move are constants where this is called. */
INLINE void zip_moving(size_t n, const float *x, const bool x_moves, const float *y, const bool y_moves, float *z,
                       two_numbers function) {
  const real x0 = load_splat(x), y0 = load_splat(y);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    store(z + i, function(x_moves ? load(x + i) : x0, y_moves ? load(y + i) : y0));
  }
  if (i < n) {
    real last = function(x_moves ? load_part(x + i, n - i) : x0, y_moves ? load_part(y + i, n - i) : y0);
    store_part(z + i, last, n - i);
  }
}

/* Steps of 0 repeat the first element. */
INLINE void zip(size_t n, const float *x, size_t x_step, const float *y, size_t y_step, float *z,
                two_numbers function) {
  if (n == 0) return;
  if (x_step == 0) {
    zip_moving(n, x, false, y, y_step != 0, z, function);
  } else if (y_step == 0) {
    zip_moving(n, x, true, y, false, z, function);
  } else {
    zip_moving(n, x, true, y, true, z, function);
  }
}

#define DEFINE_BINARY(NAME, word)                                                                                      \
  static void binary_##NAME(size_t n, const float *x, size_t x_step, const float *y, size_t y_step, float *z) {        \
    zip(n, x, x_step, y, y_step, z, word);                                                                             \
  }
BINARY_WORDS(DEFINE_BINARY)

static void clip_f32(size_t n, const float *x, float lo, float hi, float *y) {
  const real low = r_set(lo), high = r_set(hi);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    store(y + i, r_at_most(r_at_least(load(x + i), low), high));
  }
  if (i < n) store_part(y + i, r_at_most(r_at_least(load_part(x + i, n - i), low), high), n - i);
}

static void elu_f32(size_t n, const float *x, float above, float below, float unit, float *y) {
  const real a = r_set(above), b = r_set(below), u = r_set(unit);
  for (size_t i = 0; i < n; i += LANES) {
    store_some(y + i, approx_elu(load_some(x + i, n - i), a, b, u), n - i);
  }
}

static void swish_f32(size_t n, const float *x, float alpha, float *y) {
  const real a = r_set(alpha), limit = r_set(swish_limit(alpha));
  const double exponent = swish_exponent(alpha);
  const wide t = w_load(&exponent);
  for (size_t i = 0; i < n; i += LANES) {
    store_some(y + i, approx_swish(load_some(x + i, n - i), a, t, limit), n - i);
  }
}

static void activate_f32(size_t n, float *y, weft_activation activation, float lo, float hi) {
  size_t i = 0;
  switch (activation) {
  case WEFT_ACT_NONE:
    break;
  case WEFT_ACT_CLIP:
    clip_f32(n, y, lo, hi, y);
    break;
  case WEFT_ACT_SIGMOID:
    unary_SIGMOID(n, y, y);
    break;
  case WEFT_ACT_TANH:
    unary_TANH(n, y, y);
    break;
  case WEFT_ACT_HARDSWISH:
    unary_HARDSWISH(n, y, y);
    break;
  case WEFT_ACT_SILU:
    unary_SILU(n, y, y);
    break;
  case WEFT_ACT_GELU:
    unary_GELU(n, y, y);
    break;
  case WEFT_ACT_LEAKY:
    for (; i + LANES <= n; i += LANES) {
      store(y + i, approx_leaky(load(y + i), lo));
    }
    if (i < n) store_part(y + i, approx_leaky(load_part(y + i, n - i), lo), n - i);
    break;
  case WEFT_ACT_HARDSIGMOID:
    for (; i + LANES <= n; i += LANES) {
      store(y + i, approx_hardsigmoid(load(y + i), lo, hi));
    }
    if (i < n) store_part(y + i, approx_hardsigmoid(load_part(y + i, n - i), lo, hi), n - i);
  }
}

static void axpy_f32(size_t n, float a, const float *x, float *y) {
  const real factor = r_set(a);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    store(y + i, r_madd(factor, load(x + i), load(y + i)));
  }
  if (i < n) store_part(y + i, r_madd(factor, load_part(x + i, n - i), load_part(y + i, n - i)), n - i);
}
