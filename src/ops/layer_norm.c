/* LayerNormalization, RMSNormalization and ONNX Runtime's Skip... and Simplified... forms of them: rows normalized
 * by their own mean and deviation, then scaled and shifted, all in float (double for double) and rounded once. In
 * the Skip forms the row is first the sum of input, skip and bias. */
#include "../base/convert.h"
#include "broadcast.h"

#include <math.h>

typedef struct layer_norm {
  weft_context *cx;
  const weft_tensor *x, *skip, *skip_bias;
  weft_tensor *y, *mean, *inverse, *sum;
  const void *scale, *bias;         /* in the type of the computation; NULL: none */
  size_t scale_stride, bias_stride; /* between rows: 0, or n */
  size_t n, skip_count;
  double epsilon;
  bool root_mean_square, wide;
  char *scratch; /* two rows a slot */
} layer_norm;

static void normalize_double(const layer_norm *l, size_t n, const double *x, const double *scale, const double *bias,
                             double *y, double *mean, double *inverse) {
  double sum = 0, square = 0;
  for (size_t i = 0; i < n && !l->root_mean_square; i++) {
    sum += x[i];
  }
  *mean = sum / (double)n;
  for (size_t i = 0; i < n; i++) {
    square += (x[i] - *mean) * (x[i] - *mean);
  }
  *inverse = 1 / sqrt(square / (double)n + l->epsilon);
  for (size_t i = 0; i < n; i++) {
    y[i] = (x[i] - *mean) * *inverse * (scale != NULL ? scale[i] : 1) + (bias != NULL ? bias[i] : 0);
  }
}

/* row += term's elements from index `offset` */
static void add_float(const layer_norm *l, const weft_tensor *term, size_t offset, float *row, float *room) {
  weft_block_load(l->cx->kernels, term, offset, 1, l->n, room);
  l->cx->kernels->binary_f32[WEFT_BINARY_ADD](l->n, row, 1, room, 1, row);
}

static void row_float(const layer_norm *l, size_t index, float *row, float *room) {
  size_t offset = index * l->n;
  const float *x = (const float *)l->x->data + offset, *scale = l->scale, *bias = l->bias;
  float *y = (float *)l->y->data + offset, mean = 0, inverse;
  bool direct = l->y->type == WEFT_FLOAT;
  if (l->x->type != WEFT_FLOAT || l->skip != NULL) {
    weft_block_load(l->cx->kernels, l->x, offset, 1, l->n, row);
    x = row;
  }
  if (l->skip != NULL) {
    add_float(l, l->skip, offset % l->skip_count, row, room);
  }
  if (l->skip_bias != NULL) {
    add_float(l, l->skip_bias, 0, row, room);
  }
  if (l->sum != NULL) {
    weft_block_store(l->cx->kernels, l->sum, offset, 1, l->n, x);
  }
  l->cx->kernels->layer_norm_f32(l->n, x, scale + index * l->scale_stride,
                                 bias == NULL ? NULL : bias + index * l->bias_stride, (float)l->epsilon,
                                 l->root_mean_square, direct ? y : row, l->root_mean_square ? NULL : &mean, &inverse);
  if (!direct) {
    weft_block_store(l->cx->kernels, l->y, offset, 1, l->n, row);
  }
  if (l->mean != NULL) {
    weft_store_float(l->mean->type, &mean, 1, l->mean->data, index, 1);
  }
  if (l->inverse != NULL) {
    weft_store_float(l->inverse->type, &inverse, 1, l->inverse->data, index, 1);
  }
}

static void row_double(const layer_norm *l, size_t index, double *row, double *room) {
  size_t offset = index * l->n;
  const double *scale = l->scale, *bias = l->bias;
  double mean, inverse;
  weft_load_double(l->x->type, l->x->data, offset, 1, l->n, row);
  const weft_tensor *terms[] = {l->skip, l->skip_bias};
  for (int t = 0; t < 2; t++) {
    if (terms[t] != NULL) {
      weft_load_double(terms[t]->type, terms[t]->data, t == 0 ? offset % l->skip_count : 0, 1, l->n, room);
      for (size_t i = 0; i < l->n; i++) {
        row[i] += room[i];
      }
    }
  }
  if (l->sum != NULL) {
    weft_store_double(l->sum->type, row, l->n, l->sum->data, offset, 1);
  }
  normalize_double(l, l->n, row, scale + index * l->scale_stride, bias == NULL ? NULL : bias + index * l->bias_stride,
                   row, &mean, &inverse);
  weft_store_double(l->y->type, row, l->n, l->y->data, offset, 1);
  if (l->mean != NULL) {
    weft_store_double(l->mean->type, &mean, 1, l->mean->data, index, 1);
  }
  if (l->inverse != NULL) {
    weft_store_double(l->inverse->type, &inverse, 1, l->inverse->data, index, 1);
  }
}

static void run_rows(void *arg, uint32_t slot, size_t begin, size_t end) {
  const layer_norm *l = arg;
  char *row = l->scratch + slot * 2 * l->n * sizeof(double), *room = row + l->n * sizeof(double);
  for (size_t i = begin; i < end; i++) {
    if (l->wide) {
      row_double(l, i, (double *)(void *)row, (double *)(void *)room);
    } else {
      row_float(l, i, (float *)(void *)row, (float *)(void *)room);
    }
  }
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */
typedef struct expand {
  weft_type type;
  void *to;
  bool wide;
} expand;

static void expand_run(void *arg, const weft_run *run) {
  const expand *e = arg;
  if (e->wide) {
    weft_load_double(e->type, run->in[0], 0, run->step[0], run->n, (double *)e->to + run->out);
  } else {
    weft_load_float(e->type, run->in[0], 0, run->step[0], run->n, (float *)e->to + run->out);
  }
}

/* Scale or bias as rows of the computation's type: its own memory where that fits, else spread out in scratch. */
static weft_status parameter(weft_op *op, const layer_norm *l, const weft_tensor *p, int axis, const void **out,
                             size_t *stride) {
  const weft_shape *x = &l->x->shape;
  weft_shape row = {.rank = x->rank - axis};
  *stride = 0;
  if (p == NULL) {
    return WEFT_OK;
  }
  for (int d = axis; d < x->rank; d++) {
    row.dims[d - axis] = x->dims[d];
  }
  int extra = p->shape.rank > row.rank ? p->shape.rank - row.rank : 0;
  bool each = p->count > weft_shape_product(&p->shape, extra, p->shape.rank);
  size_t count = each ? l->x->count : l->n;
  *stride = each ? l->n : 0;
  if (p->count == count && p->type == (l->wide ? WEFT_DOUBLE : WEFT_FLOAT)) {
    *out = p->data;
    return WEFT_OK;
  }
  expand e = {p->type, NULL, l->wide};
  weft_broadcast broadcast;
  weft_tensor trimmed = *p;
  if (!each) { /* leading dimensions of 1 beyond the row's */
    trimmed.shape.rank -= extra;
    for (int d = 0; d < trimmed.shape.rank; d++) {
      trimmed.shape.dims[d] = p->shape.dims[d + extra];
    }
  }
  WEFT_TRY(weft_op_scratch_array(op, count, l->wide ? sizeof(double) : sizeof(float), &e.to));
  weft_broadcast_init(&broadcast, each ? x : &row, 1, &(const weft_tensor *){&trimmed});
  weft_broadcast_run(op->cx, &broadcast, SIZE_MAX, false, expand_run, &e);
  *out = e.to;
  return WEFT_OK;
}

static weft_status run(weft_op *op, layer_norm *l, const weft_tensor *scale, const weft_tensor *bias, int axis) {
  void *scratch;
  size_t rows = weft_shape_product(&l->x->shape, 0, axis);
  l->cx = op->cx;
  l->y = weft_op_out(op, 0);
  l->n = weft_shape_product(&l->x->shape, axis, l->x->shape.rank);
  l->wide = l->x->type == WEFT_DOUBLE || scale->type == WEFT_DOUBLE;
  l->epsilon = (double)weft_op_attr_float(op, "epsilon", l->skip != NULL ? 1e-12F : 1e-5F);
  if (l->x->count == 0) { /* rows of nothing, if any: their mean is no number */
    const weft_tensor *statistics[] = {l->mean, l->inverse};
    for (size_t i = 0; i < 2 * rows; i++) {
      const weft_tensor *s = statistics[i % 2];
      if (s != NULL) {
        weft_store_float(s->type, &(float){NAN}, 1, s->data, i / 2, 1);
      }
    }
    return WEFT_OK;
  }
  WEFT_TRY(parameter(op, l, scale, axis, &l->scale, &l->scale_stride));
  WEFT_TRY(parameter(op, l, bias, axis, &l->bias, &l->bias_stride));
  WEFT_TRY(weft_op_scratch_array(op, l->n, weft_parallel_threads(op->cx) * 2 * sizeof(double), &scratch));
  l->scratch = scratch;
  weft_parallel_slots(op->cx, rows, l->n >= WEFT_GRAIN ? 1 : WEFT_GRAIN / l->n, run_rows, l);
  return WEFT_OK;
}

/* ---- LayerNormalization, RMSNormalization, SimplifiedLayerNormalization ------------------------------------------ */
static weft_status expect_parameter(weft_op *op, int i, const char *name, const weft_shape *x) {
  const weft_tensor *p = weft_op_in(op, i);
  weft_shape shape;
  char a[96], b[96];
  if (p != NULL && (!weft_shape_broadcast(x, &p->shape, &shape) || !weft_shape_equal(x, &shape))) {
    return weft_op_fail(op, "input %s: shape %s does not broadcast to X's %s", name,
                        weft_shape_print(&p->shape, a, sizeof a), weft_shape_print(x, b, sizeof b));
  }
  return weft_op_expect_type(op, i, name, WEFT_TYPES_FLOAT);
}

/* The output that receives the inverse deviation: RMS forms have no mean. */
static int inverse_output(const weft_op *op) {
  return op->def->variant == WEFT_RMS_NORM ? 1 : 2;
}

weft_status weft_layer_norm_infer(weft_op *op) {
  bool rms = op->def->variant == WEFT_RMS_NORM;
  int axis;
  WEFT_TRY(weft_op_expect_inputs(op, 2, rms ? 2 : 3));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  const weft_tensor *x = weft_op_in(op, 0);
  WEFT_TRY(expect_parameter(op, 1, "Scale", &x->shape));
  WEFT_TRY(expect_parameter(op, 2, "B", &x->shape));
  WEFT_TRY(weft_op_axis(op, "attribute axis", weft_op_attr_int(op, "axis", -1), x->shape.rank, &axis));
  int64_t stash = weft_op_attr_int(op, "stash_type", WEFT_FLOAT);
  if (stash <= 0 || stash >= WEFT_TYPE_COUNT || (WEFT_TYPE_BIT(stash) & WEFT_TYPES_FLOAT) == 0) {
    return weft_op_fail(op, "attribute stash_type: expected a floating type, found %lld", (long long)stash);
  }
  weft_shape statistics = x->shape;
  for (int d = axis; d < x->shape.rank; d++) {
    statistics.dims[d] = 1;
  }
  for (int i = 1; i <= inverse_output(op); i++) {
    WEFT_TRY(weft_op_set(op, i, (weft_type)stash, &statistics));
  }
  return weft_op_set(op, 0, rms ? weft_op_in(op, 1)->type : x->type, &x->shape);
}

weft_status weft_layer_norm_run(weft_op *op) {
  layer_norm l = {.x = weft_op_in(op, 0),
                  .root_mean_square = op->def->variant == WEFT_RMS_NORM,
                  .mean = op->def->variant == WEFT_RMS_NORM ? NULL : weft_op_out(op, 1),
                  .inverse = weft_op_out(op, inverse_output(op))};
  int axis;
  WEFT_TRY(weft_op_axis(op, "attribute axis", weft_op_attr_int(op, "axis", -1), l.x->shape.rank, &axis));
  return run(op, &l, weft_op_in(op, 1), weft_op_in(op, 2), axis);
}

/* ---- SkipLayerNormalization: input, skip, gamma, beta, bias; SkipSimplified...: input, skip, gamma, bias --------- */
weft_status weft_skip_layer_norm_infer(weft_op *op) {
  static const char *const names[] = {"input", "skip", "gamma", "beta", "bias"};
  bool rms = op->def->variant == WEFT_RMS_NORM;
  WEFT_TRY(weft_op_expect_inputs(op, 3, rms ? 4 : 5));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 1, WEFT_MAX_RANK));
  const weft_tensor *x = weft_op_in(op, 0), *skip = weft_op_in(op, 1);
  int rank = x->shape.rank;
  char a[96], b[96];
  for (int i = 0; i < op->input_count; i++) {
    const weft_tensor *in = weft_op_in(op, i);
    const char *name = names[rms && i == 3 ? 4 : i];
    WEFT_TRY(weft_op_expect_type(op, i, name, WEFT_TYPES_FLOAT));
    if (i >= 2 && in != NULL && (in->shape.rank != 1 || in->shape.dims[0] != x->shape.dims[rank - 1])) {
      return weft_op_fail(op, "input %s: expected shape [%lld], found %s", name, (long long)x->shape.dims[rank - 1],
                          weft_shape_print(&in->shape, a, sizeof a));
    }
  }
  /* The skip is of input's shape, or is repeated over the leading dimensions. */
  int extra = rank - skip->shape.rank;
  bool fits = extra >= 0 && extra < rank, repeats = true;
  for (int d = 0; fits && d < skip->shape.rank; d++) {
    repeats &= skip->shape.dims[d] == 1 && d + 1 < skip->shape.rank;
    fits = repeats || skip->shape.dims[d] == x->shape.dims[d + extra];
  }
  if (!fits) {
    return weft_op_fail(op, "input skip: shape %s does not fit input's %s", weft_shape_print(&skip->shape, a, sizeof a),
                        weft_shape_print(&x->shape, b, sizeof b));
  }
  weft_shape statistics = x->shape;
  statistics.dims[rank - 1] = 1;
  WEFT_TRY(weft_op_set(op, 1, WEFT_FLOAT, &statistics));
  WEFT_TRY(weft_op_set(op, 2, WEFT_FLOAT, &statistics));
  WEFT_TRY(weft_op_set_like(op, 3, x));
  return weft_op_set_like(op, 0, x);
}

weft_status weft_skip_layer_norm_run(weft_op *op) {
  bool rms = op->def->variant == WEFT_RMS_NORM;
  layer_norm l = {.x = weft_op_in(op, 0),
                  .skip = weft_op_in(op, 1),
                  .skip_bias = weft_op_in(op, rms ? 3 : 4),
                  .mean = weft_op_out(op, 1),
                  .inverse = weft_op_out(op, 2),
                  .sum = weft_op_out(op, 3),
                  .root_mean_square = rms};
  l.skip_count = l.skip->count;
  return run(op, &l, weft_op_in(op, 2), rms ? NULL : weft_op_in(op, 3), l.x->shape.rank - 1);
}
