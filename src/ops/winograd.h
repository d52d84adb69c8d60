/* Convolution with 3 x 3 filters by Winograd's transforms: see winograd.c. */
#ifndef WEFT_OPS_WINOGRAD_H
#define WEFT_OPS_WINOGRAD_H

#include "op.h"

typedef struct weft_winograd {
  const weft_kernels *kernels;
  weft_patches patches; /* of one image; `in` is the first */
  size_t images, filters, oh;
  const float *weights;
  const float *bias, *residual; /* or NULL */
  weft_epilogue epilogue;       /* the activation alone */
  float *y;
} weft_winograd;

/* Whether the attributes (strides, dilations, group) allow it, and out[0] x out[1] outputs are made faster here than
 * directly. */
bool weft_winograd_pays(const weft_op *op, const weft_shape *filters, const int64_t *out);
weft_status weft_winograd_run(weft_op *op, const weft_winograd *convolution);

#endif
