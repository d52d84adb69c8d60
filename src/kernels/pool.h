/* Pooling of one plane: see pool.c. */
#ifndef WEFT_KERNELS_POOL_H
#define WEFT_KERNELS_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct weft_pool_axis {
  size_t in, out, kernel, stride, dilation;
  int64_t pad, pad_end;
} weft_pool_axis;

/* out[y->out x x->out] = the greatest (NaN wins) or the mean over windows of in[y->in x x->in]. With `count_padding` a
 * mean counts the padding's elements as zeros. */
void weft_pool_plane_f32(const float *in, const weft_pool_axis *y, const weft_pool_axis *x, bool average,
                         bool count_padding, float *out);
/* out[i] = the greatest (NaN wins) of a plane's elements at offsets[i * taps] and so on, passing over negative ones, and
 * best[i] the first offset where it is: -infinity and -1 if there are none. Of floats, or doubles. */
void weft_pool_places(bool doubles, size_t n, size_t taps, const int64_t *offsets, const void *plane, void *out,
                      int64_t *best);

#endif
