/* The discrete Fourier transform of any length, in double: by halves for powers of two, and by Bluestein's chirp
 * (1970), a convolution of a power-of-two length, for all others, so that no length is slow. Tables and work space
 * are the caller's. */
#ifndef WEFT_OPS_FFT_H
#define WEFT_OPS_FFT_H

#include "op.h"

/* Complex numbers are pairs of doubles: real, imaginary. */
typedef struct weft_fft {
  size_t n, m;            /* the length, and the power of two that is computed */
  double *turns;          /* m / 2 roots of unity */
  double *chirp, *filter; /* n and m numbers, for lengths that are no power of two */
} weft_fft;

/* Makes the tables in op's scratch; n > 0. */
weft_status weft_fft_init(weft_op *op, size_t n, weft_fft *out);
/* Doubles of work space that a run needs. */
size_t weft_fft_work(const weft_fft *fft);
/* Transforms n numbers in place; the inverse divides by n. */
void weft_fft_run(const weft_fft *fft, double *data, double *work, bool inverse);

#endif
