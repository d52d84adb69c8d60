/* LRN: each element over a power of the mean square of its neighbours in the channel direction. Spatial positions
 * are taken in blocks, so that memory is read along rows. */
#include "../base/convert.h"
#include "broadcast.h"

#include <math.h>

typedef struct lrn {
  weft_type type;
  const void *x;
  void *y;
  size_t channels, spatial, below, above; /* neighbours before and after */
  double alpha, beta, bias;               /* alpha is divided by the size already */
} lrn;

weft_status weft_lrn_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 2, WEFT_MAX_RANK));
  if (weft_op_attr_int(op, "size", 0) <= 0) {
    return weft_op_fail(op, "attribute size: expected a positive number");
  }
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

/* One channel of one sample. */
static void run_plane(const lrn *l, size_t sample, size_t channel) {
  size_t first = channel < l->below ? 0 : channel - l->below;
  size_t last = l->channels - 1 - channel < l->above ? l->channels - 1 : channel + l->above;
  double x[WEFT_BLOCK], sum[WEFT_BLOCK];
  for (size_t done = 0; done < l->spatial; done += WEFT_BLOCK) {
    size_t n = l->spatial - done < WEFT_BLOCK ? l->spatial - done : WEFT_BLOCK;
    size_t base = sample * l->channels * l->spatial + done;
    for (size_t i = 0; i < n; i++) {
      sum[i] = 0;
    }
    for (size_t c = first; c <= last; c++) {
      weft_load_double(l->type, l->x, base + c * l->spatial, 1, n, x);
      for (size_t i = 0; i < n; i++) {
        sum[i] += x[i] * x[i];
      }
    }
    weft_load_double(l->type, l->x, base + channel * l->spatial, 1, n, x);
    for (size_t i = 0; i < n; i++) {
      double s = l->bias + l->alpha * sum[i];
      x[i] /= l->beta == 0.75 ? sqrt(s * sqrt(s)) : pow(s, l->beta); /* the usual power, without pow's cost */
    }
    weft_store_double(l->type, x, n, l->y, base + channel * l->spatial, 1);
  }
}

static void run_planes(void *arg, size_t begin, size_t end) {
  const lrn *l = arg;
  for (size_t i = begin; i < end; i++) {
    run_plane(l, i / l->channels, i % l->channels);
  }
}

weft_status weft_lrn_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  int64_t size = weft_op_attr_int(op, "size", 1);
  lrn l = {.type = x->type,
           .x = x->data,
           .y = weft_op_out(op, 0)->data,
           .channels = (size_t)x->shape.dims[1],
           .spatial = weft_shape_product(&x->shape, 2, x->shape.rank),
           .below = (size_t)((size - 1) / 2),
           .above = (size_t)(size - 1 - (size - 1) / 2),
           .alpha = (double)weft_op_attr_float(op, "alpha", 1e-4f) / (double)size,
           .beta = (double)weft_op_attr_float(op, "beta", 0.75f),
           .bias = (double)weft_op_attr_float(op, "bias", 1)};
  if (x->count > 0) {
    weft_parallel(op->cx, (size_t)x->shape.dims[0] * l.channels, 1, run_planes, &l);
  }
  return WEFT_OK;
}
