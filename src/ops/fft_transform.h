/* The transform of fft.c for one type of real number: a template that fft.c includes once for each, with REAL and
 * NAME() defined. It knows lengths and their factors only. */

static void NAME(multiply)(const REAL *a, const REAL *b, REAL *out) {
  REAL re = a[0] * b[0] - a[1] * b[1], im = a[0] * b[1] + a[1] * b[0];
  out[0] = re;
  out[1] = im;
}

static void NAME(add)(const REAL *a, const REAL *b, REAL *sum, REAL *difference) {
  REAL re = a[0] - b[0], im = a[1] - b[1];
  sum[0] = a[0] + b[0];
  sum[1] = a[1] + b[1];
  difference[0] = re;
  difference[1] = im;
}

/* a + b turned a quarter clockwise, and a - it. */
static void NAME(add_turned)(const REAL *a, const REAL *b, REAL *sum, REAL *difference) {
  const REAL turned[2] = {b[1], -b[0]};
  NAME(add)(a, turned, sum, difference);
}

/* The definition for an odd number p of points, in place. What lies opposite is added first, as its roots are each
 * other's conjugates; `turns` has the root e^(-2 pi i / p) `step` places from 1. */
static void NAME(odd_points)(const REAL *turns, size_t n, size_t p, REAL *x) {
  REAL y[2 * FFT_LARGEST_RADIX], first[2] = {x[0], x[1]};
  size_t half = (p - 1) / 2, step = n / p;
  for (size_t j = 1; j <= half; j++) {
    NAME(add)(x + 2 * j, x + 2 * (p - j), x + 2 * j, x + 2 * (p - j));
  }
  for (size_t k = 1; k <= half; k++) {
    REAL even[2] = {first[0], first[1]}, odd[2] = {0, 0};
    size_t at = 0;
    for (size_t j = 1; j <= half; j++) {
      const REAL *sum = x + 2 * j, *difference = x + 2 * (p - j);
      at += k * step;
      at -= at >= n ? n : 0;
      even[0] += turns[2 * at] * sum[0];
      even[1] += turns[2 * at] * sum[1];
      odd[0] -= turns[2 * at + 1] * difference[0];
      odd[1] -= turns[2 * at + 1] * difference[1];
    }
    NAME(add_turned)(even, odd, y + 2 * k, y + 2 * (p - k));
  }
  for (size_t j = 1; j <= half; j++) {
    x[0] += x[2 * j];
    x[1] += x[2 * j + 1];
  }
  memcpy(x + 2, y + 2, 2 * (p - 1) * sizeof *x);
}

static void NAME(points)(const REAL *turns, size_t n, size_t p, REAL *x) {
  if (p == 2) {
    NAME(add)(x, x + 2, x, x + 2);
  } else if (p == 4) {
    REAL even[2], odd[2];
    NAME(add)(x, x + 4, x, even);
    NAME(add)(x + 2, x + 6, x + 4, odd);
    NAME(add)(x, x + 4, x, x + 4);
    NAME(add_turned)(even, odd, x + 2, x + 6);
  } else {
    NAME(odd_points)(turns, n, p, x);
  }
}

/* Forward, in place: by one factor after the other, Stockham's way, so that the result comes out in order. `turns` has
 * the n roots of unity, clockwise; `work` room for n numbers. */
static void NAME(transform)(const weft_fft_plan *plan, const REAL *turns, REAL *data, REAL *work) {
  size_t n = plan->n, done = 1; /* the product of the factors so far */
  REAL *from = data, *to = work;
  for (int f = 0; f < plan->factor_count; f++) {
    size_t p = plan->factors[f], rest = n / done / p;
    for (size_t k = 0; k < done; k++) {
      for (size_t i = 0; i < rest; i++) {
        REAL x[2 * FFT_LARGEST_RADIX];
        const REAL *in = from + 2 * (k * p * rest + i);
        for (size_t j = 0; j < p; j++) {
          x[2 * j] = in[2 * j * rest];
          x[2 * j + 1] = in[2 * j * rest + 1];
        }
        NAME(points)(turns, n, p, x);
        REAL *out = to + 2 * (k * rest + i);
        for (size_t j = 0; j < p; j++, out += 2 * done * rest) {
          NAME(multiply)(x + 2 * j, turns + 2 * (i * j * done), out);
        }
      }
    }
    REAL *kept = from;
    from = to;
    to = kept;
    done *= p;
  }
  if (from != data) {
    memcpy(data, from, 2 * n * sizeof *data);
  }
}
