/* The geometry that convolutions and poolings share: kernel, strides, dilations and padding of N-dimensional windows,
 * read from a node's attributes and checked. It must not know what is computed in a window. */
#ifndef WEFT_OPS_SPATIAL_H
#define WEFT_OPS_SPATIAL_H

#include "../kernels/pool.h"
#include "op.h"

typedef struct weft_window {
  int rank; /* spatial dimensions only */
  int64_t in[WEFT_MAX_RANK], out[WEFT_MAX_RANK];
  int64_t kernel[WEFT_MAX_RANK], stride[WEFT_MAX_RANK], dilation[WEFT_MAX_RANK];
  int64_t pad_begin[WEFT_MAX_RANK], pad_end[WEFT_MAX_RANK];
  size_t in_count, out_count, taps; /* products of in, out, kernel */
} weft_window;

/* Reads strides, dilations and, unless `kernel` (rank entries) is given, kernel_shape; `in` has rank entries. With
 * `kernel`, a kernel_shape attribute must agree with it. Pads are left zero: see below. */
weft_status weft_window_read(weft_op *op, int rank, const int64_t *in, const int64_t *kernel, weft_window *out);
/* Reads pads, auto_pad and, for poolings, ceil_mode, and computes the output's size. */
weft_status weft_window_forward(weft_op *op, bool pool, weft_window *window);
/* The same for transposed convolution: output_padding and output_shape instead of ceil_mode. `pads` (rank begins, rank
 * ends) stand for the attribute of that name, unless NULL. */
weft_status weft_window_backward(weft_op *op, const int64_t *pads, weft_window *window);
/* The pads attribute: rank begins, rank ends; zero where absent. */
weft_status weft_window_pads(weft_op *op, weft_window *window);

/* The next position in row-major order of `dims`; false after the last, when it is all zero again. */
static inline bool weft_window_next(int rank, const int64_t *dims, int64_t *position) {
  for (int d = rank - 1; d >= 0; d--) {
    if (++position[d] < dims[d]) {
      return true;
    }
    position[d] = 0;
  }
  return false;
}

/* For every tap of the window at `position` of the output, the offset of its element in the input plane, or -1 where it
 * lies in the padding. */
void weft_window_offsets(const weft_window *window, const int64_t *position, int64_t *offsets);

/* Taps of the window at `position` that lie in the input or the padding around it. */
size_t weft_window_taps(const weft_window *window, const int64_t *position);

/* Dimension d as the kernels for planes take it; below 0: a dimension of one element that is not there. */
weft_pool_axis weft_window_axis(const weft_window *window, int d);

#endif
