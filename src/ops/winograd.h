/* Convolution by Winograd's transforms: see winograd.c. */
#ifndef WEFT_OPS_WINOGRAD_H
#define WEFT_OPS_WINOGRAD_H

#include "spatial.h"

typedef struct weft_winograd {
  const weft_kernels *kernels;
  const weft_window *window;
  size_t images, groups;
  size_t channels, filters; /* of a group */
  const float *x, *weights;
  const float *bias, *residual; /* or NULL */
  weft_epilogue epilogue;       /* the activation alone */
  float *y;
} weft_winograd;

/* Whether it is faster here than directly, as far as is known. */
bool weft_winograd_pays(const weft_winograd *convolution);
weft_status weft_winograd_run(weft_op *op, const weft_winograd *convolution);

#endif
