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

#endif
