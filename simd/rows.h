/* One row to a number or to a row. Sums run in four vectors over blocks, whose results are added in double. */

enum { SUM_BLOCK = 2048 };

/* What is summed of x and y at one place. */
typedef real (*sum_term)(real x, real y, real z);

INLINE real term_value(real x, real y, real z) {
  (void)y;
  return r_add(x, z);
}
INLINE real term_product(real x, real y, real z) {
  return r_madd(x, y, z);
}
/* y is the mean. */
INLINE real term_square(real x, real y, real z) {
  real d = r_sub(x, y);
  return r_madd(d, d, z);
}

/* The sum of term(x[i], y[i]), or of term(x[i], constant) when y is NULL. */
INLINE double sum_terms(size_t n, const float *x, const float *y, real constant, sum_term term) {
  double total = 0.0;
  size_t i = 0;
  while (n - i >= LANES) {
    real sums[4];
    for (size_t v = 0; v < 4; v++) {
      sums[v] = r_set(0.0f);
    }
    size_t end = n - i < SUM_BLOCK ? n : i + SUM_BLOCK;
    for (; end - i >= 4 * LANES; i += 4 * LANES) {
      for (size_t v = 0; v < 4; v++) {
        size_t at = i + v * LANES;
        sums[v] = term(load(x + at), y != NULL ? load(y + at) : constant, sums[v]);
      }
    }
    for (; end - i >= LANES; i += LANES) {
      sums[0] = term(load(x + i), y != NULL ? load(y + i) : constant, sums[0]);
    }
    total += (double)add_lanes(r_add(r_add(sums[0], sums[1]), r_add(sums[2], sums[3])));
  }
  for (; i < n; i++) {
    real one = term(r_set(x[i]), y != NULL ? r_set(y[i]) : constant, r_set(0.0f));
    total += (double)wasm_f32x4_extract_lane(one, 0);
  }
  return total;
}

static float sum_f32(size_t n, const float *x) {
  return (float)sum_terms(n, x, NULL, r_set(0.0f), term_value);
}

static float dot_f32(size_t n, const float *x, const float *y) {
  return (float)sum_terms(n, x, y, r_set(0.0f), term_product);
}

static float sum_square_f32(size_t n, const float *x) {
  return (float)sum_terms(n, x, NULL, r_set(0.0f), term_square);
}

INLINE float extreme_lane(real x, two_numbers better) {
  x = better(x, wasm_i32x4_shuffle(x, x, 2, 3, 0, 1));
  x = better(x, wasm_i32x4_shuffle(x, x, 1, 0, 3, 2));
  return wasm_f32x4_extract_lane(x, 0);
}

/* NaN is looked for aside: comparing selections are one instruction where f32x4.max is many. */
INLINE float extreme(size_t n, const float *x, two_numbers better) {
  real best[2] = {load_splat(x), load_splat(x)};
  mask is_nan = r_set(0.0f);
  size_t i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    real a = load(x + i), b = load(x + i + LANES);
    best[0] = better(best[0], a);
    best[1] = better(best[1], b);
    is_nan = wasm_v128_or(is_nan, wasm_f32x4_ne(a, a));
    is_nan = wasm_v128_or(is_nan, wasm_f32x4_ne(b, b));
  }
  for (; i < n; i++) {
    real a = load_splat(x + i);
    best[0] = better(best[0], a);
    is_nan = wasm_v128_or(is_nan, wasm_f32x4_ne(a, a));
  }
  if (wasm_v128_any_true(is_nan)) return NAN;
  return extreme_lane(better(best[0], best[1]), better);
}

static float max_f32(size_t n, const float *x) {
  return extreme(n, x, r_at_least);
}

static float min_f32(size_t n, const float *x) {
  return extreme(n, x, r_at_most);
}

/* The sum of e^(x - max); the terms go to y unless it is NULL. */
static NOT_INLINE double sum_exponentials(size_t n, const float *x, float max, float *y) {
  const real shift = r_set(max);
  double total = 0.0;
  size_t i = 0;
  while (n - i >= LANES) {
    real sum = r_set(0.0f);
    size_t end = n - i < SUM_BLOCK / 4 ? n : i + SUM_BLOCK / 4;
    NOT_UNROLLED
    for (; end - i >= LANES; i += LANES) {
      real e = exp_of_negative(r_sub(load(x + i), shift));
      if (y != NULL) store(y + i, e);
      sum = r_add(sum, e);
    }
    total += (double)add_lanes(sum);
  }
  if (i < n) {
    real e = exp_of_negative(r_sub(load_part(x + i, n - i), shift));
    if (y != NULL) store_part(y + i, e, n - i);
    float part[LANES];
    store(part, e);
    for (size_t j = 0; i + j < n; j++) {
      total += (double)part[j];
    }
  }
  return total;
}

/* The greatest of x + mask, which goes to y; without a mask of x. Which numbers there are beside a NaN does not matter. */
static float greatest_score(size_t n, const float *x, const float *mask, float *y) {
  real best[2] = {r_set(-INFINITY), r_set(-INFINITY)};
  size_t i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    for (size_t v = 0; v < 2; v++) {
      real a = load(x + i + v * LANES);
      if (mask != NULL) store(y + i + v * LANES, a = r_add(a, load(mask + i + v * LANES)));
      best[v] = r_at_least(a, best[v]);
    }
  }
  for (; i < n; i++) {
    const float a = mask != NULL ? y[i] = x[i] + mask[i] : x[i];
    best[0] = r_at_least(r_set(a), best[0]);
  }
  return extreme_lane(r_at_least(best[0], best[1]), r_at_least);
}

/* The softmax of x + mask; y may be x. */
static void weigh_row(size_t n, const float *mask, const float *x, float *y) {
  const float max = greatest_score(n, x, mask, y);
  const real scale = r_set((float)(1.0 / sum_exponentials(n, mask != NULL ? y : x, max, y)));
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    store(y + i, r_mul(load(y + i), scale));
  }
  if (i < n) store_part(y + i, r_mul(load_part(y + i, n - i), scale), n - i);
}

static void weigh_f32(size_t rows, size_t n, const float *mask, float *x, size_t ldx) {
  for (; rows > 0; rows--, x += ldx) {
    weigh_row(n, mask, x, x);
  }
}

static void softmax_f32(size_t n, const float *x, bool logarithm, float *y) {
  if (n == 0) return;
  if (!logarithm) {
    weigh_row(n, NULL, x, y);
    return;
  }
  const float max = max_f32(n, x);
  const real log_sum = approx_log(r_set((float)sum_exponentials(n, x, max, NULL)));
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    store(y + i, r_sub(r_sub(load(x + i), r_set(max)), log_sum));
  }
  if (i < n) store_part(y + i, r_sub(r_sub(load_part(x + i, n - i), r_set(max)), log_sum), n - i);
}

/* The sums of x - center and of its square. */
INLINE void sum_distances(size_t n, const float *x, float center, double *sum, double *square) {
  const real shift = r_set(center);
  size_t i = 0;
  *sum = *square = 0.0;
  while (n - i >= LANES) {
    real sums = r_set(0.0f), squares = r_set(0.0f);
    size_t end = n - i < SUM_BLOCK / 4 ? n : i + SUM_BLOCK / 4;
    for (; end - i >= LANES; i += LANES) {
      real d = r_sub(load(x + i), shift);
      sums = r_add(sums, d);
      squares = r_madd(d, d, squares);
    }
    *sum += (double)add_lanes(sums);
    *square += (double)add_lanes(squares);
  }
  for (; i < n; i++) {
    const float d = x[i] - center;
    *sum += (double)d;
    *square += (double)(d * d);
  }
}

static void layer_norm_f32(size_t n, const float *x, const float *scale, const float *bias, float epsilon,
                           bool root_mean_square, float *y, float *mean, float *inverse) {
  const float center = root_mean_square ? 0.0f : (float)(sum_terms(n, x, NULL, r_set(0.0f), term_value) / (double)n);
  double rest = 0.0, square;
  if (root_mean_square) {
    square = sum_terms(n, x, NULL, r_set(0.0f), term_square);
  } else {
    sum_distances(n, x, center, &rest, &square);
  }
  float shift;
  const float factor = weft_deviation(square / (double)n, rest / (double)n, epsilon, &shift);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    real v = r_madd(r_sub(load(x + i), r_set(center)), r_set(factor), r_set(shift));
    if (scale != NULL) v = r_mul(v, load(scale + i));
    if (bias != NULL) v = r_add(v, load(bias + i));
    store(y + i, v);
  }
  if (i < n) {
    real v = r_madd(r_sub(load_part(x + i, n - i), r_set(center)), r_set(factor), r_set(shift));
    if (scale != NULL) v = r_mul(v, load_part(scale + i, n - i));
    if (bias != NULL) v = r_add(v, load_part(bias + i, n - i));
    store_part(y + i, v, n - i);
  }
  if (mean != NULL) *mean = center;
  if (inverse != NULL) *inverse = factor;
}

static float multiply_adds(size_t turns, float factor, float addend) {
  enum { VECTORS = WEFT_MULTIPLY_ADDS / LANES };
  real sums[VECTORS];
  const real f = r_set(factor), a = r_set(addend);
  for (int v = 0; v < VECTORS; v++) {
    const float first = (float)(LANES * v);
    sums[v] = wasm_f32x4_make(first, first + 1.0f, first + 2.0f, first + 3.0f);
  }
  NOT_UNROLLED
  for (size_t t = 0; t < turns; t++) {
    for (int v = 0; v < VECTORS; v++) {
      sums[v] = r_madd(sums[v], f, a);
    }
  }
  for (int v = 1; v < VECTORS; v++) {
    sums[0] = r_add(sums[0], sums[v]);
  }
  return add_lanes(sums[0]);
}
