/* LRN: each element over a power of the mean square of its neighbours in the channel direction. Spatial positions
 * are taken in blocks, so that memory is read along rows. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../kernels/typed.h"
#include "broadcast.h"
#include "product.h"

#include <math.h>

typedef struct lrn {
  const weft_kernels *kernels;
  bool is_double;
  const void *x;
  void *y;
  size_t channels, spatial, below, above; /* neighbours before and after */
  double alpha, beta, bias;               /* alpha is divided by the size already */
} lrn;

weft_status weft_lrn_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 2, WEFT_MAX_RANK));
  int64_t size;
  WEFT_TRY(weft_op_attr_within(op, "size", 0, 1, INT64_MAX, &size));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

/* n elements `at`, whose neighbours' lines begin at `from`. */
static void run_floats(const lrn *l, size_t n, size_t from, size_t lines, size_t at) {
  const float *x = l->x, power = (float)l->beta;
  const weft_lines neighbours = {.lines = lines, .n = n, .line_step = l->spatial, .step = 1};
  double sums[WEFT_BLOCK] = {0};
  float factors[WEFT_BLOCK];
  weft_typed_fold(WEFT_TYPED_SQUARE, &neighbours, x + from, sums);
  for (size_t i = 0; i < n; i++) {
    factors[i] = (float)(l->bias + l->alpha * sums[i]);
  }
  if (l->beta == 0.75) { /* the usual power is two roots */
    float roots[WEFT_BLOCK];
    l->kernels->unary_f32[WEFT_UNARY_SQRT](n, factors, roots);
    l->kernels->unary_f32[WEFT_UNARY_SQRT](n, roots, factors);
    l->kernels->binary_f32[WEFT_BINARY_MUL](n, roots, 1, factors, 1, factors);
  } else {
    l->kernels->binary_f32[WEFT_BINARY_POW](n, factors, 1, &power, 0, factors);
  }
  l->kernels->binary_f32[WEFT_BINARY_DIV](n, x + at, 1, factors, 1, (float *)l->y + at);
}

static void run_doubles(const lrn *l, size_t n, size_t from, size_t lines, size_t at) {
  const double *x = l->x;
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    for (size_t line = 0; line < lines; line++) {
      const double v = x[from + line * l->spatial + i];
      sum += v * v;
    }
    ((double *)l->y)[at + i] = x[at + i] / weft_pow(l->bias + l->alpha * sum, l->beta);
  }
}

static void run_planes(void *arg, size_t begin, size_t end) {
  const lrn *l = arg;
  for (size_t i = begin; i < end; i++) {
    const size_t channel = i % l->channels, first = channel < l->below ? 0 : channel - l->below;
    const size_t last = l->channels - 1 - channel < l->above ? l->channels - 1 : channel + l->above;
    for (size_t done = 0; done < l->spatial; done += WEFT_BLOCK) {
      const size_t n = l->spatial - done < WEFT_BLOCK ? l->spatial - done : WEFT_BLOCK;
      (l->is_double ? run_doubles : run_floats)(l, n, (i - channel + first) * l->spatial + done, last - first + 1,
                                                i * l->spatial + done);
    }
  }
}

weft_status weft_lrn_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0), *y = weft_op_out(op, 0);
  int64_t size = weft_op_attr_int(op, "size", 1);
  lrn l = {.kernels = op->cx->kernels,
           .is_double = x->type == WEFT_DOUBLE,
           .x = x->data,
           .y = y->data,
           .channels = (size_t)x->shape.dims[1],
           .spatial = weft_shape_product(&x->shape, 2, x->shape.rank),
           .below = (size_t)((size - 1) / 2),
           .above = (size_t)(size - 1 - (size - 1) / 2),
           .alpha = (double)weft_op_attr_float(op, "alpha", 1e-4f) / (double)size,
           .beta = (double)weft_op_attr_float(op, "beta", 0.75f),
           .bias = (double)weft_op_attr_float(op, "bias", 1)};
  if (!l.is_double) {
    const float *in;
    float *out;
    WEFT_TRY(weft_op_floats(op, x, &in));
    WEFT_TRY(weft_op_floats_out(op, y, &out));
    l.x = in;
    l.y = out;
  }
  if (x->count > 0) {
    weft_parallel(op->cx, (size_t)x->shape.dims[0] * l.channels, 1, run_planes, &l);
  }
  if (!l.is_double) {
    weft_op_floats_done(op, y, l.y);
  }
  return WEFT_OK;
}
