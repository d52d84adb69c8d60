/* The one way operators walk broadcast operands: the output's elements in order, cut into runs in which every
 * operand either walks (step 1) or stands still (step 0). Neighbouring dimensions that all operands treat alike are
 * merged first, so most models' broadcasts are one long run, or rows. Short rows are taken many at a time: operands
 * that are no neighbours over them are spread out, once for all runs that see the same of them. Also the splitting of
 * long loops over threads. It must not know what is computed. */
#ifndef WEFT_OPS_BROADCAST_H
#define WEFT_OPS_BROADCAST_H

#include "op.h"

enum { WEFT_BROADCAST_MAX = 3, WEFT_GRAIN = 8192 /* cheap elements that are worth a thread's attention */ };

typedef struct weft_broadcast {
  int rank, operands;
  size_t count; /* of the output */
  size_t dims[WEFT_MAX_RANK];
  size_t strides[WEFT_BROADCAST_MAX][WEFT_MAX_RANK]; /* in elements; 0: repeated */
  const weft_tensor *tensors[WEFT_BROADCAST_MAX];
} weft_broadcast;

/* n neighbours of the output from index `out`; operand k's elements start at in[k] and step by step[k]. */
typedef struct weft_run {
  size_t n, out;
  const void *in[WEFT_BROADCAST_MAX];
  size_t step[WEFT_BROADCAST_MAX];
} weft_run;

typedef void (*weft_run_body)(void *arg, const weft_run *run);

/* `tensors` broadcast to `out`, as weft_shape_broadcast has checked. */
void weft_broadcast_init(weft_broadcast *broadcast, const weft_shape *out, int operands,
                         const weft_tensor *const *tensors);
/* Calls body for runs of at most `longest` elements (WEFT_BLOCK or more) that cover the output; large outputs are
 * spread over threads. With `neighbours` all operands walk. The output may share memory with one of its own shape. */
void weft_broadcast_run(weft_context *cx, const weft_broadcast *broadcast, size_t longest, bool neighbours,
                        weft_run_body body, void *arg);

/* y = a op b, floats that broadcast to `out`. */
void weft_broadcast_binary(weft_context *cx, weft_binary what, const weft_shape *out, const weft_tensor *a,
                           const weft_tensor *b, float *y);

/* weft_load_float and weft_store_float, by the kernels where elements are neighbours of 16 bits. */
void weft_block_load(const weft_kernels *kernels, const weft_tensor *x, size_t offset, size_t step, size_t n,
                     float *out);
void weft_block_store(const weft_kernels *kernels, const weft_tensor *y, size_t offset, size_t step, size_t n,
                      const float *in);

#endif
