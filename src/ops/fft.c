/* See fft.h. */
#include "fft.h"
#include "../base/elementary.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

#define REAL float
#define NAME(name) name##_float
#include "fft_transform.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(name) name##_double
#include "fft_transform.h"

/* A two at most once, then fours, then odd factors; false if a prime is too large. */
static bool make_plan(size_t n, weft_fft_plan *plan) {
  *plan = (weft_fft_plan){.n = n};
  size_t rest = n;
  int twos = 0;
  for (; rest % 2 == 0; rest /= 2) {
    twos++;
  }
  if (twos % 2 == 1) {
    plan->factors[plan->factor_count++] = 2;
  }
  for (int i = 0; i < twos / 2; i++) {
    plan->factors[plan->factor_count++] = 4;
  }
  for (size_t p = 3; p <= FFT_LARGEST_RADIX; p += 2) {
    for (; rest % p == 0; rest /= p) {
      plan->factors[plan->factor_count++] = (uint8_t)p;
    }
  }
  return rest == 1;
}

/* e^(-2 pi i k / n) for k < n. The angle is folded into an eighth of the circle, where cosine and sine are most exact:
 * the four axes come out as they are. */
static void make_turn(size_t k, size_t n, double *out) {
  size_t eighth = 8 * k / n, odd = eighth % 2;
  size_t from_axis = odd ? (eighth + 1) * n - 8 * k : 8 * k - eighth * n;
  double angle = PI / 4 * (double)from_axis / (double)n;
  bool upright = (eighth + 1) / 2 % 2 == 1; /* nearer to the imaginary axis */
  double re = upright ? weft_sin(angle) : weft_cos(angle), im = upright ? weft_cos(angle) : weft_sin(angle);
  out[0] = eighth >= 2 && eighth < 6 ? -re : re;
  out[1] = eighth < 4 ? -im : im;
}

static void make_turns(weft_fft *f) {
  for (size_t k = 0; k < f->plan.n; k++) {
    double turn[2];
    make_turn(k, f->plan.n, turn);
    for (size_t part = 0; part < 2; part++) {
      if (f->narrow) {
        ((float *)f->turns)[2 * k + part] = (float)turn[part];
      } else {
        ((double *)f->turns)[2 * k + part] = turn[part];
      }
    }
  }
}

/* Tables of Bluestein's form: jk = (j^2 + k^2 - (k - j)^2) / 2. */
static void make_chirp(weft_fft *f, double *work) {
  size_t n = f->n, m = f->plan.n, square = 0; /* k^2 mod 2n: keeps the angle small, so exact */
  for (size_t k = 0; k < n; k++) {
    make_turn(square, 2 * n, f->chirp + 2 * k);
    square = (square + 2 * k + 1) % (2 * n);
  }
  memset(f->filter, 0, 2 * m * sizeof *f->filter);
  for (size_t k = 0; k < n; k++) {
    double *at[] = {&f->filter[2 * k], &f->filter[2 * ((m - k) % m)]};
    for (int i = 0; i < 2; i++) {
      at[i][0] = f->chirp[2 * k];
      at[i][1] = -f->chirp[2 * k + 1];
    }
  }
  transform_double(&f->plan, f->turns, f->filter, work);
}

weft_status weft_fft_init(weft_op *op, size_t n, bool narrow, weft_fft *out) {
  void *memory;
  if (n > SIZE_MAX / 1024) {
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "a transform of %zu elements is too long", n);
  }
  *out = (weft_fft){.n = n, .narrow = narrow};
  bool direct = make_plan(n, &out->plan);
  if (!direct) {
    size_t m = 1;
    while (m < 2 * n - 1) {
      m *= 2;
    }
    make_plan(m, &out->plan);
    out->narrow = false; /* the chirp's errors are larger */
  }
  size_t m = out->plan.n;
  WEFT_TRY(weft_op_scratch(op, (2 * m + (direct ? 0 : 2 * n + 4 * m)) * sizeof(double), &memory));
  out->turns = memory;
  make_turns(out);
  if (!direct) {
    out->chirp = (double *)memory + 2 * m;
    out->filter = out->chirp + 2 * n;
    make_chirp(out, out->filter + 2 * m);
  }
  return WEFT_OK;
}

size_t weft_fft_work(const weft_fft *f) {
  return (f->chirp != NULL ? 4 : 2) * f->plan.n;
}

static void run_chirp(const weft_fft *f, double *x, double *work) {
  size_t m = f->plan.n;
  double *room = work + 2 * m;
  memset(work, 0, 2 * m * sizeof *work);
  for (size_t k = 0; k < f->n; k++) {
    multiply_double(&x[2 * k], &f->chirp[2 * k], &work[2 * k]);
  }
  transform_double(&f->plan, f->turns, work, room);
  for (size_t k = 0; k < m; k++) { /* times the filter, conjugated: the way back is the same transform */
    multiply_double(&work[2 * k], &f->filter[2 * k], &work[2 * k]);
    work[2 * k + 1] = -work[2 * k + 1];
  }
  transform_double(&f->plan, f->turns, work, room);
  for (size_t k = 0; k < f->n; k++) {
    double back[2] = {work[2 * k] / (double)m, -work[2 * k + 1] / (double)m};
    multiply_double(back, &f->chirp[2 * k], &x[2 * k]);
  }
}

static void run_narrow(const weft_fft *f, double *x, float *work) {
  for (size_t i = 0; i < 2 * f->n; i++) {
    work[i] = (float)x[i];
  }
  transform_float(&f->plan, f->turns, work, work + 2 * f->n);
  for (size_t i = 0; i < 2 * f->n; i++) {
    x[i] = (double)work[i];
  }
}

static void forward(const weft_fft *f, double *x, double *work) {
  if (f->chirp != NULL) {
    run_chirp(f, x, work);
  } else if (f->narrow) {
    run_narrow(f, x, (float *)work);
  } else {
    transform_double(&f->plan, f->turns, x, work);
  }
}

static void swap_parts(size_t n, double *x, double divisor) {
  for (size_t k = 0; k < n; k++) {
    double re = x[2 * k];
    x[2 * k] = x[2 * k + 1] / divisor;
    x[2 * k + 1] = re / divisor;
  }
}

void weft_fft_run(const weft_fft *f, double *x, double *work, bool inverse) {
  if (inverse) { /* with real and imaginary parts swapped, forward is backward */
    swap_parts(f->n, x, 1);
  }
  forward(f, x, work);
  if (inverse) {
    swap_parts(f->n, x, (double)f->n);
  }
}
