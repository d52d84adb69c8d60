/* The one way operators walk broadcast operands: the output's elements in order, cut into runs in which every
 * operand either walks (step 1) or stands still (step 0). Neighbouring dimensions that all operands treat alike are
 * merged first, so most models' broadcasts are one long run, or rows. Also the splitting of long loops over threads.
 * It must not know what is computed. */
#ifndef WEFT_OPS_BROADCAST_H
#define WEFT_OPS_BROADCAST_H

#include "op.h"

enum { WEFT_BROADCAST_MAX = 3, WEFT_GRAIN = 8192 /* cheap elements that are worth a thread's attention */ };

typedef struct weft_broadcast {
  int rank, operands;
  size_t count; /* of the output */
  size_t dims[WEFT_MAX_RANK];
  size_t strides[WEFT_BROADCAST_MAX][WEFT_MAX_RANK]; /* in elements; 0: repeated */
} weft_broadcast;

/* n neighbours of the output from index `out`; operand k's elements start at in[k] and step by step[k]. */
typedef struct weft_run {
  size_t n, out;
  size_t in[WEFT_BROADCAST_MAX], step[WEFT_BROADCAST_MAX];
} weft_run;

typedef void (*weft_run_body)(void *arg, const weft_run *run);

/* `shapes` broadcast to `out`, as weft_shape_broadcast has checked. */
void weft_broadcast_init(weft_broadcast *broadcast, const weft_shape *out, int operands,
                         const weft_shape *const *shapes);
/* Calls body for runs of at most `longest` elements that cover the output; large outputs are spread over threads. */
void weft_broadcast_run(weft_context *cx, const weft_broadcast *broadcast, size_t longest, weft_run_body body,
                        void *arg);

/* Room for an operand that stands still, repeated; and how many elements of `size` bytes fit. */
typedef union weft_repeated {
  uint64_t align;
  uint8_t bytes[2048];
} weft_repeated;
/* Operand `k` of a run from element `done` on, as neighbours: where they lie, or `repeated`, filled when done is 0. */
const void *weft_run_neighbours(const weft_run *run, int k, const void *data, size_t size, size_t done,
                                weft_repeated *repeated);
/* How many elements of `size` bytes may be taken at once: all, unless an operand is repeated. */
size_t weft_run_piece(const weft_run *run, int operands, size_t size);

/* weft_load_float and weft_store_float, by the kernels where elements are neighbours of 16 bits. */
void weft_block_load(const weft_kernels *kernels, const weft_tensor *x, size_t offset, size_t step, size_t n,
                     float *out);
void weft_block_store(const weft_kernels *kernels, const weft_tensor *y, size_t offset, size_t step, size_t n,
                      const float *in);

#endif
