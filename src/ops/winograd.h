/* Convolution with 3 x 3 filters by Winograd's transforms: see winograd.c. */
#ifndef WEFT_OPS_WINOGRAD_H
#define WEFT_OPS_WINOGRAD_H

#include "op.h"

typedef struct weft_winograd {
  const weft_kernels *kernels;
  weft_patches patches; /* of one image; `in` is the first */
  size_t images, filters, oh;
  const float *weights;         /* transformed */
  const float *bias, *residual; /* or NULL */
  weft_epilogue epilogue;       /* the activation alone */
  float *y;
} weft_winograd;

/* In prepare: replaces constant input `index`, the filters, by their transforms in node->state where that will pay and
 * the attributes (strides, dilations, group) allow it; otherwise leaves the node as it is. */
weft_status weft_winograd_prepare(weft_op *op, int index);
weft_status weft_winograd_run(weft_op *op, const weft_winograd *convolution);

#endif
