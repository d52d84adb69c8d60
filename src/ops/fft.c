/* See fft.h. */
#include "fft.h"

#include <math.h>

#define PI 3.14159265358979323846

static void multiply(const double *a, const double *b, double *out) {
  double re = a[0] * b[0] - a[1] * b[1], im = a[0] * b[1] + a[1] * b[0];
  out[0] = re;
  out[1] = im;
}

static void swap(double *a, double *b) {
  double kept = *a;
  *a = *b;
  *b = kept;
}

/* Cooley and Tukey's transform of m = 2^k numbers in place. */
static void transform(const weft_fft *f, double *x) {
  size_t m = f->m;
  for (size_t i = 1, j = 0; i < m; i++) { /* into the order of reversed bits */
    size_t bit = m >> 1;
    for (; (j & bit) != 0; bit >>= 1) {
      j ^= bit;
    }
    j ^= bit;
    if (i < j) {
      swap(&x[2 * i], &x[2 * j]);
      swap(&x[2 * i + 1], &x[2 * j + 1]);
    }
  }
  for (size_t half = 1; half < m; half *= 2) {
    for (size_t start = 0; start < m; start += 2 * half) {
      for (size_t k = 0; k < half; k++) {
        double *a = &x[2 * (start + k)], *b = a + 2 * half, t[2];
        multiply(b, &f->turns[2 * (k * (m / (2 * half)))], t);
        b[0] = a[0] - t[0];
        b[1] = a[1] - t[1];
        a[0] += t[0];
        a[1] += t[1];
      }
    }
  }
}

/* Tables of Bluestein's form: jk = (j^2 + k^2 - (k - j)^2) / 2. */
static void init_chirp(weft_fft *f) {
  size_t n = f->n, square = 0; /* k^2 mod 2n: keeps the angle small, so exact */
  for (size_t k = 0; k < n; k++) {
    double angle = PI * (double)square / (double)n;
    f->chirp[2 * k] = cos(angle);
    f->chirp[2 * k + 1] = -sin(angle);
    square = (square + 2 * k + 1) % (2 * n);
  }
  for (size_t i = 0; i < 2 * f->m; i++) {
    f->filter[i] = 0;
  }
  for (size_t k = 0; k < n; k++) {
    double *at[] = {&f->filter[2 * k], &f->filter[2 * ((f->m - k) % f->m)]};
    for (int i = 0; i < 2; i++) {
      at[i][0] = f->chirp[2 * k];
      at[i][1] = -f->chirp[2 * k + 1];
    }
  }
  transform(f, f->filter);
}

weft_status weft_fft_init(weft_op *op, size_t n, weft_fft *out) {
  bool power = (n & (n - 1)) == 0;
  size_t m = 1;
  void *memory;
  if (n > SIZE_MAX / 512) {
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "a transform of %zu elements is too long", n);
  }
  while (m < (power ? n : 2 * n - 1)) {
    m *= 2;
  }
  WEFT_TRY(weft_op_scratch(op, (m + (power ? 0 : 2 * n + 2 * m) + 2) * sizeof(double), &memory));
  *out = (weft_fft){.n = n, .m = m, .turns = memory};
  for (size_t k = 0; k < m / 2; k++) {
    out->turns[2 * k] = cos(2 * PI * (double)k / (double)m);
    out->turns[2 * k + 1] = -sin(2 * PI * (double)k / (double)m);
  }
  if (m == 1) {
    out->turns[0] = 1;
    out->turns[1] = 0;
  }
  if (!power) {
    out->chirp = out->turns + m + 2;
    out->filter = out->chirp + 2 * n;
    init_chirp(out);
  }
  return WEFT_OK;
}

size_t weft_fft_work(const weft_fft *f) {
  return f->chirp != NULL ? 2 * f->m : 0;
}

static void forward(const weft_fft *f, double *x, double *work) {
  if (f->chirp == NULL) {
    transform(f, x);
    return;
  }
  for (size_t k = 0; k < f->m; k++) {
    work[2 * k] = work[2 * k + 1] = 0;
    if (k < f->n) {
      multiply(&x[2 * k], &f->chirp[2 * k], &work[2 * k]);
    }
  }
  transform(f, work);
  for (size_t k = 0; k < f->m; k++) { /* times the filter, conjugated: the way back is the same transform */
    multiply(&work[2 * k], &f->filter[2 * k], &work[2 * k]);
    work[2 * k + 1] = -work[2 * k + 1];
  }
  transform(f, work);
  for (size_t k = 0; k < f->n; k++) {
    double back[2] = {work[2 * k] / (double)f->m, -work[2 * k + 1] / (double)f->m};
    multiply(back, &f->chirp[2 * k], &x[2 * k]);
  }
}

void weft_fft_run(const weft_fft *f, double *x, double *work, bool inverse) {
  if (!inverse) {
    forward(f, x, work);
    return;
  }
  for (size_t k = 0; k < f->n; k++) { /* with real and imaginary parts swapped, forward is backward */
    swap(&x[2 * k], &x[2 * k + 1]);
  }
  forward(f, x, work);
  for (size_t k = 0; k < f->n; k++) {
    swap(&x[2 * k], &x[2 * k + 1]);
    x[2 * k] /= (double)f->n;
    x[2 * k + 1] /= (double)f->n;
  }
}
