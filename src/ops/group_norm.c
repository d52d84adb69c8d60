/* BatchNormalization, InstanceNormalization, GroupNormalization and MeanVarianceNormalization are one thing:
 * elements fall into groups (fold.h), each group has a mean and a deviation, computed or given, and within a group
 * each channel has a scale and a bias. y = (x - mean) / deviation * scale + bias, in double but for contiguous
 * floats. */
#include "../base/convert.h"
#include "../kernels/typed.h"
#include "fold.h"

#include <math.h>

typedef struct group_norm {
  weft_context *cx;
  weft_type type;
  const void *x;
  void *y;
  weft_fold fold;
  size_t channels, per_group; /* channels in all, and in one group; groups of channels repeat for each sample */
  double epsilon;
  bool given;                 /* mean and variance are inputs */
  bool epsilon_outside;       /* MeanVarianceNormalization adds it to the deviation, not to the variance */
  double *mean, *variance;    /* of each group; NULL: not kept */
  const double *scale, *bias; /* of each channel; NULL: 1, 0 */
} group_norm;

static bool is_direct(const group_norm *g) {
  return g->type == WEFT_FLOAT && g->fold.step == 1;
}

static double sum_of(const group_norm *g, size_t group) {
  double total = 0, block[WEFT_BLOCK];
  weft_fold_walk walk;
  weft_fold_begin(&g->fold, group, is_direct(g) ? SIZE_MAX : WEFT_BLOCK, &walk);
  while (weft_fold_next(&walk)) {
    if (is_direct(g)) {
      total += (double)g->cx->kernels->sum_f32(walk.n, (const float *)g->x + walk.offset);
      continue;
    }
    weft_load_double(g->type, g->x, walk.offset, g->fold.step, walk.n, block);
    for (size_t i = 0; i < walk.n; i++) {
      total += block[i];
    }
  }
  return total;
}

/* In two passes: distances from a mean that need not be exact, and what they say about it. */
static void measure(const group_norm *g, size_t group, double *mean, double *variance) {
  const double count = (double)g->fold.n;
  double sum = 0, square = 0, block[WEFT_BLOCK];
  double center = sum_of(g, group) / count;
  const float narrow = (float)center;
  center = is_direct(g) ? (double)narrow : center;
  weft_fold_walk walk;
  weft_fold_begin(&g->fold, group, WEFT_BLOCK, &walk);
  while (weft_fold_next(&walk)) {
    if (is_direct(g)) {
      const weft_kernels *kernels = g->cx->kernels;
      float near[WEFT_BLOCK];
      kernels->binary_f32[WEFT_BINARY_SUB](walk.n, (const float *)g->x + walk.offset, 1, &narrow, 0, near);
      sum += (double)kernels->sum_f32(walk.n, near);
      square += (double)kernels->sum_square_f32(walk.n, near);
      continue;
    }
    weft_load_double(g->type, g->x, walk.offset, g->fold.step, walk.n, block);
    for (size_t i = 0; i < walk.n; i++) {
      double distance = block[i] - center;
      sum += distance;
      square += distance * distance;
    }
  }
  double rest = sum / count, difference = square / count - rest * rest;
  *mean = center + rest;
  *variance = difference < 0 ? 0 : difference;
}

/* y = (x - mean) * a + b, the mean of floats in two parts: their distance from the first is exact where it matters. */
static void scale_run(const group_norm *g, size_t offset, size_t n, double mean, double a, double b) {
  size_t step = g->fold.step;
  double block[WEFT_BLOCK];
  const float center = (float)mean, factor = (float)a, shift = (float)(b - (mean - (double)center) * a);
  if (is_direct(g)) {
    weft_typed_scale(n, (const float *)g->x + offset, center, factor, shift, (float *)g->y + offset);
    return;
  }
  for (size_t done = 0; done < n; done += WEFT_BLOCK) {
    size_t m = n - done < WEFT_BLOCK ? n - done : WEFT_BLOCK;
    weft_load_double(g->type, g->x, offset + done * step, step, m, block);
    for (size_t i = 0; i < m; i++) {
      block[i] = (block[i] - mean) * a + b;
    }
    weft_store_double(g->type, block, m, g->y, offset + done * step, step);
  }
}

static void run_groups(void *arg, size_t begin, size_t end) {
  const group_norm *g = arg;
  size_t spatial = g->fold.n / g->per_group;
  for (size_t group = begin; group < end; group++) {
    double mean, variance;
    if (g->given) {
      mean = g->mean[group];
      variance = g->variance[group];
    } else {
      measure(g, group, &mean, &variance);
    }
    double deviation = g->epsilon_outside ? sqrt(variance) + g->epsilon : sqrt(variance + g->epsilon);
    size_t first = group * g->per_group % g->channels, done = 0;
    if (g->mean != NULL) {
      g->mean[group] = mean;
      g->variance[group] = variance;
    }
    weft_fold_walk walk;
    weft_fold_begin(&g->fold, group, SIZE_MAX, &walk);
    while (weft_fold_next(&walk)) {
      for (size_t i = 0, n; i < walk.n; i += n) {
        size_t channel = first + (g->per_group > 1 ? done / spatial : 0);
        n = g->per_group > 1 && spatial - done % spatial < walk.n - i ? spatial - done % spatial : walk.n - i;
        double a = (g->scale != NULL ? g->scale[channel] : 1) / deviation;
        scale_run(g, walk.offset + i * g->fold.step, n, mean, a, g->bias != NULL ? g->bias[channel] : 0);
        done += n;
      }
    }
  }
}

static void run(weft_op *op, group_norm *g, const weft_tensor *x) {
  g->cx = op->cx;
  g->type = x->type;
  g->x = x->data;
  g->y = weft_op_out(op, 0)->data;
  if (x->count > 0) {
    weft_parallel(op->cx, g->fold.groups, weft_fold_grain(&g->fold), run_groups, g);
  }
}

/* Input i in double, in scratch. */
static weft_status load(weft_op *op, int i, double **out) {
  const weft_tensor *in = weft_op_in(op, i);
  void *room;
  WEFT_TRY(weft_op_scratch_array(op, in->count, sizeof(double), &room));
  weft_load_double(in->type, in->data, 0, 1, in->count, room);
  *out = room;
  return WEFT_OK;
}

static weft_status expect_channels(weft_op *op, int i, const char *name, int64_t channels) {
  const weft_tensor *in = weft_op_in(op, i);
  char text[96];
  WEFT_TRY(weft_op_expect_type(op, i, name, WEFT_TYPES_FLOAT));
  if (in->shape.rank != 1 || in->shape.dims[0] != channels) {
    return weft_op_fail(op, "input %s: expected shape [%lld], found %s", name, (long long)channels,
                        weft_shape_print(&in->shape, text, sizeof text));
  }
  return WEFT_OK;
}

/* ---- BatchNormalization ------------------------------------------------------------------------------------------ */
static size_t batch_channels(const weft_tensor *x) {
  return x->shape.rank < 2 ? 1 : (size_t)x->shape.dims[1];
}

weft_status weft_batch_norm_infer(weft_op *op) {
  static const char *const names[] = {"X", "scale", "B", "input_mean", "input_var"};
  WEFT_TRY(weft_op_expect_inputs(op, 5, 5));
  WEFT_TRY(weft_op_expect_type(op, 0, names[0], WEFT_TYPES_FLOAT));
  const weft_tensor *x = weft_op_in(op, 0);
  WEFT_TRY(weft_op_expect_rank(op, 0, names[0], 1, WEFT_MAX_RANK));
  for (int i = 1; i < 5; i++) {
    WEFT_TRY(expect_channels(op, i, names[i], (int64_t)batch_channels(x)));
  }
  if (weft_op_attr_int(op, "training_mode", 0) != 0) {
    WEFT_TRY(weft_op_set_like(op, 1, weft_op_in(op, 3)));
    WEFT_TRY(weft_op_set_like(op, 2, weft_op_in(op, 4)));
  } else if (op->output_count > 1) {
    return weft_op_fail(op, "only the first output exists outside of training mode");
  }
  return weft_op_set_like(op, 0, x);
}

/* running = input * momentum + current * (1 - momentum) */
static void update(weft_op *op, int in, const double *current, double momentum, int out) {
  const weft_tensor *from = weft_op_in(op, in);
  weft_tensor *to = weft_op_out(op, out);
  for (size_t i = 0; to != NULL && i < to->count; i++) {
    double value;
    weft_load_double(from->type, from->data, i, 1, 1, &value);
    value = value * momentum + current[i] * (1 - momentum);
    weft_store_double(to->type, &value, 1, to->data, i, 1);
  }
}

/* Rows of floats, an element of each channel after the other: as scale_run, all channels at once. */
typedef struct feature_rows {
  const weft_kernels *kernels;
  size_t channels;
  const float *x, *center, *factor, *shift;
  float *y;
} feature_rows;

static void scale_rows(void *arg, size_t begin, size_t end) {
  const feature_rows *r = arg;
  for (size_t row = begin; row < end; row++) {
    float *y = r->y + row * r->channels;
    r->kernels->binary_f32[WEFT_BINARY_SUB](r->channels, r->x + row * r->channels, 1, r->center, 1, y);
    r->kernels->binary_f32[WEFT_BINARY_MUL](r->channels, y, 1, r->factor, 1, y);
    r->kernels->binary_f32[WEFT_BINARY_ADD](r->channels, y, 1, r->shift, 1, y);
  }
}

static weft_status run_feature_rows(weft_op *op, const group_norm *g) {
  const weft_tensor *x = weft_op_in(op, 0);
  float *center;
  WEFT_TRY(weft_op_scratch_floats(op, 3, g->channels, &center));
  float *factor = center + g->channels, *shift = factor + g->channels;
  for (size_t c = 0; c < g->channels; c++) {
    const double a = g->scale[c] / sqrt(g->variance[c] + g->epsilon);
    center[c] = (float)g->mean[c];
    factor[c] = (float)a;
    shift[c] = (float)(g->bias[c] - (g->mean[c] - (double)center[c]) * a);
  }
  feature_rows rows = {op->cx->kernels, g->channels, x->data, center, factor, shift, weft_op_out(op, 0)->data};
  weft_parallel(op->cx, x->count / g->channels, 1 + 16384 / g->channels, scale_rows, &rows);
  return WEFT_OK;
}

weft_status weft_batch_norm_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  bool reduced[WEFT_MAX_RANK], training = weft_op_attr_int(op, "training_mode", 0) != 0;
  double *parameters[4];
  for (int d = 0; d < x->shape.rank; d++) {
    reduced[d] = d != 1;
  }
  for (int i = 0; i < 4; i++) {
    WEFT_TRY(load(op, i + 1, &parameters[i]));
  }
  group_norm g = {.channels = batch_channels(x),
                  .per_group = 1,
                  .given = !training,
                  .mean = parameters[2],
                  .variance = parameters[3],
                  .scale = parameters[0],
                  .bias = parameters[1],
                  .epsilon = (double)weft_op_attr_float(op, "epsilon", 1e-5f)};
  if (!training && x->type == WEFT_FLOAT && x->shape.rank > 1 && x->count > 0 &&
      x->count / g.channels == (size_t)x->shape.dims[0]) {
    return run_feature_rows(op, &g);
  }
  weft_fold_init(&g.fold, &x->shape, reduced);
  run(op, &g, x);
  if (training) {
    double momentum = (double)weft_op_attr_float(op, "momentum", 0.9f);
    update(op, 3, g.mean, momentum, 1);
    update(op, 4, g.variance, momentum, 2);
  }
  return WEFT_OK;
}

/* ---- InstanceNormalization, GroupNormalization ------------------------------------------------------------------- */
static int64_t group_count(const weft_op *op) {
  bool instance = op->def->variant == WEFT_INSTANCE_NORM;
  return instance ? weft_op_in(op, 0)->shape.dims[1] : weft_op_attr_int(op, "num_groups", 0);
}

weft_status weft_group_norm_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 2, WEFT_MAX_RANK));
  const weft_tensor *x = weft_op_in(op, 0);
  int64_t channels = x->shape.dims[1], groups = group_count(op);
  WEFT_TRY(expect_channels(op, 1, "scale", channels));
  WEFT_TRY(expect_channels(op, 2, "bias", channels));
  if (channels > 0 && (groups <= 0 || channels % groups != 0)) {
    return weft_op_fail(op, "attribute num_groups: expected a divisor of %lld channels, found %lld",
                        (long long)channels, (long long)groups);
  }
  return weft_op_set_like(op, 0, x);
}

weft_status weft_group_norm_run(weft_op *op) {
  static const bool reduced[] = {false, false, true};
  const weft_tensor *x = weft_op_in(op, 0);
  double *scale, *bias;
  if (x->count == 0) {
    return WEFT_OK;
  }
  int64_t channels = x->shape.dims[1], groups = group_count(op);
  int64_t spatial = (int64_t)weft_shape_product(&x->shape, 2, x->shape.rank);
  weft_shape shape = {3, {x->shape.dims[0], groups, channels / groups * spatial}};
  WEFT_TRY(load(op, 1, &scale));
  WEFT_TRY(load(op, 2, &bias));
  group_norm g = {.channels = (size_t)channels,
                  .per_group = (size_t)(channels / groups),
                  .scale = scale,
                  .bias = bias,
                  .epsilon = (double)weft_op_attr_float(op, "epsilon", 1e-5f)};
  weft_fold_init(&g.fold, &shape, reduced);
  run(op, &g, x);
  return WEFT_OK;
}

/* ---- MeanVarianceNormalization ----------------------------------------------------------------------------------- */
static weft_status variance_axes(weft_op *op, bool *reduced) {
  static const int64_t usual[] = {0, 2, 3};
  size_t count;
  const int64_t *axes = weft_op_attr_ints(op, "axes", &count);
  if (axes == NULL) {
    axes = usual;
    count = 3;
  }
  return weft_op_axes(op, "attribute axes", count, axes, weft_op_in(op, 0)->shape.rank, reduced);
}

weft_status weft_variance_norm_infer(weft_op *op) {
  bool reduced[WEFT_MAX_RANK];
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(variance_axes(op, reduced));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

weft_status weft_variance_norm_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  bool reduced[WEFT_MAX_RANK];
  group_norm g = {.channels = 1, .per_group = 1, .epsilon = 1e-9, .epsilon_outside = true};
  WEFT_TRY(variance_axes(op, reduced));
  weft_fold_init(&g.fold, &x->shape, reduced);
  run(op, &g, x);
  return WEFT_OK;
}
