/* The discrete Fourier transform of any length: by the length's factors where they are small (Cooley and Tukey), and
 * where one is large by Bluestein's chirp (1970), a convolution of a power-of-two length, so that no length is slow.
 * Tables and work space are the caller's.
 *
 * Rows are in double. The way forward is computed in double as well: spectra span many orders of magnitude, and what is
 * small in them must not drown in the rounding errors of what is large. The way back to samples of at most 32 bits is
 * computed in them: a sample's error is relative to its row's magnitude then, as the spectrum's own rounding errors
 * are. */
#ifndef WEFT_OPS_FFT_H
#define WEFT_OPS_FFT_H

#include "op.h"

/* A length as a product of factors of at most FFT_LARGEST_RADIX. */
enum { FFT_LARGEST_RADIX = 31, FFT_MOST_FACTORS = 64 };
typedef struct weft_fft_plan {
  size_t n;
  int factor_count;
  uint8_t factors[FFT_MOST_FACTORS];
} weft_fft_plan;

/* Complex numbers are pairs: real, imaginary. */
typedef struct weft_fft {
  size_t n;
  weft_fft_plan plan;     /* of n, or of the chirp's power of two */
  bool narrow;            /* computes in float */
  void *turns;            /* the roots of unity of the plan's length, in double or float */
  double *chirp, *filter; /* for lengths with a large factor, else NULL */
} weft_fft;

/* Makes the tables in op's scratch; n > 0. `narrow`: float is enough. */
weft_status weft_fft_init(weft_op *op, size_t n, bool narrow, weft_fft *out);
/* Doubles of work space that a run needs. */
size_t weft_fft_work(const weft_fft *fft);
/* Transforms n numbers in place; the inverse divides by n. */
void weft_fft_run(const weft_fft *fft, double *data, double *work, bool inverse);

#endif
