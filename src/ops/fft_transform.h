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

/* One factor of a transform: `done` of its n numbers are the product of the factors before it, `rest` of those after
 * it. Number i of the rest is turned by i * j * done after the points are computed. */
typedef struct NAME(pass) {
  const REAL *turns, *from;
  REAL *to;
  size_t n, done, rest;
} NAME(pass);

static void NAME(pass_two)(const NAME(pass) * s) {
  size_t half = 2 * s->rest;
  for (size_t i = 0; i < s->rest; i++) {
    const REAL *turn = s->turns + 2 * i * s->done, *in = s->from + 2 * i;
    REAL *out = s->to + 2 * i, *high = out + half * s->done;
    for (size_t k = 0; k < s->done; k++, in += 2 * half, out += half, high += half) {
      REAL re = in[0] - in[half], im = in[1] - in[half + 1];
      out[0] = in[0] + in[half];
      out[1] = in[1] + in[half + 1];
      high[0] = re * turn[0] - im * turn[1];
      high[1] = re * turn[1] + im * turn[0];
    }
  }
}

static void NAME(pass_four)(const NAME(pass) * s) {
  size_t quarter = 2 * s->rest, block = quarter * s->done;
  for (size_t i = 0; i < s->rest; i++) {
    const REAL *in = s->from + 2 * i, *turn = s->turns + 2 * i * s->done;
    const REAL *turn2 = s->turns + 4 * i * s->done, *turn3 = s->turns + 6 * i * s->done;
    const REAL w1r = turn[0], w1i = turn[1], w2r = turn2[0], w2i = turn2[1], w3r = turn3[0], w3i = turn3[1];
    REAL *out = s->to + 2 * i;
    for (size_t k = 0; k < s->done; k++, in += 4 * quarter, out += quarter) {
      const REAL *b = in + quarter, *c = b + quarter, *d = c + quarter;
      REAL sum_r = in[0] + c[0], sum_i = in[1] + c[1], even_r = in[0] - c[0], even_i = in[1] - c[1];
      REAL other_r = b[0] + d[0], other_i = b[1] + d[1], odd_r = b[0] - d[0], odd_i = b[1] - d[1];
      REAL y1r = even_r + odd_i, y1i = even_i - odd_r, y3r = even_r - odd_i, y3i = even_i + odd_r;
      REAL y2r = sum_r - other_r, y2i = sum_i - other_i;
      out[0] = sum_r + other_r;
      out[1] = sum_i + other_i;
      out[block] = y1r * w1r - y1i * w1i;
      out[block + 1] = y1r * w1i + y1i * w1r;
      out[2 * block] = y2r * w2r - y2i * w2i;
      out[2 * block + 1] = y2r * w2i + y2i * w2r;
      out[3 * block] = y3r * w3r - y3i * w3i;
      out[3 * block + 1] = y3r * w3i + y3i * w3r;
    }
  }
}

static void NAME(pass_odd)(const NAME(pass) * s, size_t p) {
  for (size_t k = 0; k < s->done; k++) {
    for (size_t i = 0; i < s->rest; i++) {
      REAL x[2 * FFT_LARGEST_RADIX];
      const REAL *in = s->from + 2 * (k * p * s->rest + i);
      for (size_t j = 0; j < p; j++) {
        x[2 * j] = in[2 * j * s->rest];
        x[2 * j + 1] = in[2 * j * s->rest + 1];
      }
      NAME(odd_points)(s->turns, s->n, p, x);
      REAL *out = s->to + 2 * (k * s->rest + i);
      for (size_t j = 0; j < p; j++, out += 2 * s->done * s->rest) {
        NAME(multiply)(x + 2 * j, s->turns + 2 * (i * j * s->done), out);
      }
    }
  }
}

/* Forward, in place: by one factor after the other, Stockham's way, so that the result comes out in order. `turns` has
 * the n roots of unity, clockwise; `work` room for n numbers. */
static void NAME(transform)(const weft_fft_plan *plan, const REAL *turns, REAL *data, REAL *work) {
  NAME(pass) s = {.turns = turns, .from = data, .to = work, .n = plan->n, .done = 1, .rest = plan->n};
  for (int f = 0; f < plan->factor_count; f++) {
    size_t p = plan->factors[f];
    s.rest /= p;
    if (p == 2) {
      NAME(pass_two)(&s);
    } else if (p == 4) {
      NAME(pass_four)(&s);
    } else {
      NAME(pass_odd)(&s, p);
    }
    s.from = s.to;
    s.to = s.to == work ? data : work;
    s.done *= p;
  }
  if (s.from != data) {
    memcpy(data, s.from, 2 * plan->n * sizeof *data);
  }
}
