/* MaxPool, AveragePool and LpPool, and their global forms. Floats go to a kernel, which takes a plane of two
 * dimensions; every other case (indices, other types, p-norms) is one loop in double, which is exact for all types that
 * may occur. */
#include "../base/elementary.h"
#include "../kernels/typed.h"
#include "product.h"
#include "spatial.h"
#include "variants.h"

#include <math.h>
#include <string.h>

#define POOL_TYPES (WEFT_TYPES_FLOAT | WEFT_TYPE_BIT(WEFT_INT8) | WEFT_TYPE_BIT(WEFT_UINT8))

static double load(const weft_tensor *tensor, size_t i) {
  switch (tensor->type) {
  case WEFT_FLOAT:
    return (double)((const float *)tensor->data)[i];
  case WEFT_DOUBLE:
    return ((const double *)tensor->data)[i];
  case WEFT_FLOAT16:
    return (double)weft_float16_to_float(((const uint16_t *)tensor->data)[i]);
  case WEFT_BFLOAT16:
    return (double)weft_bfloat16_to_float(((const uint16_t *)tensor->data)[i]);
  case WEFT_INT8:
    return ((const int8_t *)tensor->data)[i];
  default:
    return ((const uint8_t *)tensor->data)[i];
  }
}

static void store(weft_tensor *tensor, size_t i, double value) {
  switch (tensor->type) {
  case WEFT_FLOAT:
    ((float *)tensor->data)[i] = (float)value;
    break;
  case WEFT_DOUBLE:
    ((double *)tensor->data)[i] = value;
    break;
  case WEFT_FLOAT16:
    ((uint16_t *)tensor->data)[i] = weft_float_to_float16((float)value);
    break;
  case WEFT_BFLOAT16:
    ((uint16_t *)tensor->data)[i] = weft_float_to_bfloat16((float)value);
    break;
  case WEFT_INT8:
    ((int8_t *)tensor->data)[i] = (int8_t)value;
    break;
  default:
    ((uint8_t *)tensor->data)[i] = (uint8_t)value;
    break;
  }
}

static weft_status read_window(weft_op *op, weft_window *window, weft_shape *out) {
  const weft_tensor *x = weft_op_in(op, 0);
  int rank = x->shape.rank - 2;
  WEFT_TRY(weft_window_read(op, rank, x->shape.dims + 2, NULL, window));
  WEFT_TRY(weft_window_forward(op, true, window));
  *out = x->shape;
  memcpy(out->dims + 2, window->out, (size_t)rank * sizeof *out->dims);
  return WEFT_OK;
}

weft_status weft_pool_infer(weft_op *op) {
  bool max = op->def->variant == WEFT_POOL_MAX;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", max ? POOL_TYPES : WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 3, WEFT_MAX_RANK));
  weft_window window;
  weft_shape out;
  WEFT_TRY(read_window(op, &window, &out));
  if (op->def->variant == WEFT_POOL_LP) {
    int64_t p;
    WEFT_TRY(weft_op_attr_within(op, "p", 2, 1, INT64_MAX, &p));
  }
  WEFT_TRY(weft_op_set(op, 0, weft_op_in(op, 0)->type, &out));
  return max ? weft_op_set(op, 1, WEFT_INT64, &out) : WEFT_OK;
}

/* ---- planes of floats -------------------------------------------------------------------------------------------- */
typedef struct plane_run {
  weft_pool_axis y, x;
  bool average, count_padding;
  size_t in_count, out_count;
  const float *in;
  float *out;
} plane_run;

static void pool_planes(void *arg, size_t begin, size_t end) {
  const plane_run *run = arg;
  for (size_t i = begin; i < end; i++) {
    weft_pool_plane_f32(run->in + i * run->in_count, &run->y, &run->x, run->average, run->count_padding,
                        run->out + i * run->out_count);
  }
}

/* Bytes as floats: the node's own, or scratch. */
static weft_status load_planes(weft_op *op, const weft_tensor *x, const float **in, float **out) {
  weft_tensor *y = weft_op_out(op, 0);
  void *block;
  if (x->type != WEFT_INT8 && x->type != WEFT_UINT8) {
    WEFT_TRY(weft_op_floats(op, x, in));
    return weft_op_floats_out(op, y, out);
  }
  WEFT_TRY(weft_op_scratch_array(op, x->count + y->count, sizeof(float), &block));
  weft_typed_convert_of(x->type, WEFT_FLOAT)(x->count, x->data, block);
  *in = block;
  *out = (float *)block + x->count;
  return WEFT_OK;
}

/* One axis after the other but the last two, which go together: maxima of maxima, means of means. */
static weft_status run_planes(weft_op *op, const weft_window *window, size_t planes) {
  weft_tensor *y = weft_op_out(op, 0);
  plane_run run = {.average = op->def->variant == WEFT_POOL_AVERAGE,
                   .count_padding = weft_op_attr_int(op, "count_include_pad", 0) != 0};
  float *out;
  const weft_shape *shape = &weft_op_in(op, 0)->shape;
  WEFT_TRY(load_planes(op, weft_op_in(op, 0), &run.in, &out));
  for (int d = window->rank > 2 ? 0 : window->rank - 2; d <= window->rank - 2; d++) {
    const bool last = d == window->rank - 2;
    run.y = weft_window_axis(window, d);
    const size_t rest = weft_shape_product(shape, d + 3, shape->rank);
    run.x = last ? weft_window_axis(window, d + 1) : (weft_pool_axis){rest, rest, 1, 1, 1, 0, 0};
    run.in_count = run.y.in * run.x.in;
    run.out = out;
    size_t count;
    if (!weft_mul(run.y.out, run.x.out, &run.out_count) || !weft_mul(planes, run.out_count, &count)) {
      return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "planes between dimensions are too large");
    }
    if (!last) {
      void *room;
      WEFT_TRY(weft_op_scratch_array(op, count, sizeof(float), &room));
      run.out = room;
    }
    size_t work = run.out_count * (run.y.kernel + run.x.kernel);
    weft_parallel(op->cx, planes, 1 + 16384 / (work + 1), pool_planes, &run);
    planes *= run.y.out;
    run.in = run.out;
  }
  if (y->type == WEFT_INT8 || y->type == WEFT_UINT8) {
    weft_typed_convert_of(WEFT_FLOAT, y->type)(y->count, out, y->data);
  } else {
    weft_op_floats_done(op, y, out);
  }
  return WEFT_OK;
}

/* ---- everything else --------------------------------------------------------------------------------------------- */
/* An offset in a plane, counted with the first spatial dimension running fastest. */
static int64_t column_major(const weft_window *window, int64_t offset) {
  int64_t result = 0;
  for (int d = window->rank - 1; d >= 0; d--) {
    int64_t stride = 1;
    for (int e = 0; e < d; e++) {
      stride *= window->in[e];
    }
    result += offset % window->in[d] * stride;
    offset /= window->in[d];
  }
  return result;
}

/* x^p, where p is nearly always 2. */
static double power(double x, double p) {
  return p == 2 ? x * x : p == 0.5 ? sqrt(x) : weft_pow(x, p);
}

/* Results that are computed together, plane after plane. */
enum { POSITIONS = 64 };

typedef struct any_run {
  const weft_window *window;
  const weft_tensor *x;
  weft_tensor *y, *indices;
  int variant;
  bool count_padding, by_column;
  double p;
} any_run;

static void put_index(const any_run *run, size_t plane, size_t index, int64_t best) {
  if (run->indices != NULL) {
    best = best < 0 ? 0 : run->by_column ? column_major(run->window, best) : best;
    ((int64_t *)run->indices->data)[index] = (int64_t)(plane * run->window->in_count) + best;
  }
}

static void reduce(const any_run *run, size_t plane, size_t at, const int64_t *offsets, size_t padded) {
  size_t base = plane * run->window->in_count, inside = 0;
  double result = run->variant == WEFT_POOL_MAX ? -INFINITY : 0; /* of some of a sum */
  weft_sum sum = {0};
  int64_t best = -1;
  for (size_t t = 0; t < run->window->taps; t++) {
    if (offsets[t] < 0) {
      continue;
    }
    double v = load(run->x, base + (size_t)offsets[t]);
    inside++;
    if (run->variant == WEFT_POOL_LP) {
      result += power(fabs(v), run->p);
    } else if (run->variant == WEFT_POOL_AVERAGE) {
      result += v;
    } else if (best < 0 || v > result || (isnan(v) && !isnan(result))) {
      result = v;
      best = offsets[t];
    }
    if (inside % 64 == 0 && run->variant != WEFT_POOL_MAX) {
      weft_sum_add(&sum, result);
      result = 0;
    }
  }
  if (run->variant != WEFT_POOL_MAX) {
    result += weft_sum_end(&sum);
  }
  size_t count = run->count_padding ? padded : inside;
  if (run->variant == WEFT_POOL_LP) {
    result = power(result, 1 / run->p);
  } else if (run->variant == WEFT_POOL_AVERAGE && count > 0) {
    result /= (double)count;
  } else if (best < 0 && run->variant == WEFT_POOL_MAX && !weft_type_is_float(run->y->type)) {
    result = run->y->type == WEFT_INT8 ? INT8_MIN : 0;
  }
  size_t index = plane * run->window->out_count + at;
  store(run->y, index, result);
  put_index(run, plane, index, best);
}

/* Results `at` to `at` + n of a plane, whose windows' offsets are given. */
static void reduce_positions(const any_run *run, size_t plane, size_t at, size_t n, const int64_t *offsets,
                             const size_t *padded) {
  const bool doubles = run->x->type == WEFT_DOUBLE;
  const size_t size = weft_type_size(run->x->type), first = plane * run->window->out_count + at;
  int64_t best[POSITIONS];
  if (run->variant != WEFT_POOL_MAX || (run->x->type != WEFT_FLOAT && !doubles)) {
    for (size_t i = 0; i < n; i++) {
      reduce(run, plane, at + i, offsets + i * run->window->taps, padded[i]);
    }
    return;
  }
  weft_pool_places(doubles, n, run->window->taps, offsets,
                   (const char *)run->x->data + plane * run->window->in_count * size,
                   (char *)run->y->data + first * size, best);
  for (size_t i = 0; i < n; i++) {
    put_index(run, plane, first + i, best[i]);
  }
}

static weft_status run_any(weft_op *op, const weft_window *window, size_t planes) {
  any_run run = {.window = window,
                 .x = weft_op_in(op, 0),
                 .y = weft_op_out(op, 0),
                 .indices = weft_op_out(op, 1),
                 .variant = op->def->variant,
                 .count_padding = weft_op_attr_int(op, "count_include_pad", 0) != 0,
                 .by_column = weft_op_attr_int(op, "storage_order", 0) != 0,
                 .p = (double)weft_op_attr_int(op, "p", 2)};
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, window->taps, POSITIONS * sizeof(int64_t), &room));
  int64_t position[WEFT_MAX_RANK] = {0};
  for (size_t at = 0, n; at < window->out_count; at += n) {
    size_t padded[POSITIONS] = {0};
    n = window->out_count - at < POSITIONS ? window->out_count - at : POSITIONS;
    for (size_t i = 0; i < n; i++) {
      weft_window_offsets(window, position, (int64_t *)room + i * window->taps);
      padded[i] = run.count_padding ? weft_window_taps(window, position) : 0;
      weft_window_next(window->rank, window->out, position);
    }
    for (size_t plane = 0; plane < planes; plane++) {
      reduce_positions(&run, plane, at, n, room, padded);
    }
  }
  return WEFT_OK;
}

/* ---- global poolings --------------------------------------------------------------------------------------------- */
weft_status weft_global_pool_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 2, WEFT_MAX_RANK));
  weft_shape out = weft_op_in(op, 0)->shape;
  for (int d = 2; d < out.rank; d++) {
    out.dims[d] = 1;
  }
  return weft_op_set(op, 0, weft_op_in(op, 0)->type, &out);
}

static double reduce_plane(const weft_tensor *x, size_t first, size_t n, int variant, double p) {
  double result = -INFINITY;
  weft_sum sum = {0};
  for (size_t i = 0; i < n; i++) {
    double v = load(x, first + i);
    if (variant == WEFT_POOL_LP) {
      weft_sum_add(&sum, power(fabs(v), p));
    } else if (variant == WEFT_POOL_AVERAGE) {
      weft_sum_add(&sum, v);
    } else if (v > result || isnan(v)) {
      result = v;
    }
  }
  result = variant == WEFT_POOL_MAX ? result : weft_sum_end(&sum);
  return variant == WEFT_POOL_LP ? power(result, 1 / p) : variant == WEFT_POOL_AVERAGE ? result / (double)n : result;
}

typedef struct global_run {
  const weft_kernels *kernels;
  const weft_tensor *x;
  weft_tensor *y;
  int variant;
  size_t n;
  double p;
} global_run;

static void pool_globally(void *arg, size_t begin, size_t end) {
  const global_run *run = arg;
  const size_t n = run->n;
  for (size_t i = begin; i < end; i++) {
    const float *plane = (const float *)run->x->data + i * n;
    if (run->x->type != WEFT_FLOAT || run->variant == WEFT_POOL_LP || n == 0) {
      store(run->y, i, reduce_plane(run->x, i * n, n, run->variant, run->p));
    } else if (run->variant == WEFT_POOL_MAX) {
      ((float *)run->y->data)[i] = run->kernels->max_f32(n, plane);
    } else {
      ((float *)run->y->data)[i] = run->kernels->sum_f32(n, plane) / (float)n;
    }
  }
}

weft_status weft_global_pool_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  global_run run = {.kernels = op->cx->kernels,
                    .x = x,
                    .y = weft_op_out(op, 0),
                    .variant = op->def->variant,
                    .n = weft_shape_product(&x->shape, 2, x->shape.rank),
                    .p = (double)weft_op_attr_int(op, "p", 2)};
  if (run.y != NULL && run.y->count > 0) {
    weft_parallel(op->cx, run.y->count, 1 + 16384 / (run.n + 1), pool_globally, &run);
  }
  return WEFT_OK;
}

/* ---- either ------------------------------------------------------------------------------------------------------ */
/* One window that is the whole plane. */
static bool is_global(const weft_window *window) {
  bool whole = window->out_count == 1;
  for (int d = 0; d < window->rank; d++) {
    whole &= window->kernel[d] == window->in[d] && window->pad_begin[d] == 0 && window->dilation[d] == 1;
  }
  return whole;
}

weft_status weft_pool_run(weft_op *op) {
  weft_window window;
  weft_shape out;
  WEFT_TRY(read_window(op, &window, &out));
  const weft_tensor *x = weft_op_in(op, 0);
  size_t planes = weft_shape_product(&out, 0, 2);
  if (weft_op_out(op, 0) == NULL || weft_op_out(op, 0)->count == 0) {
    return WEFT_OK;
  }
  if (x->type != WEFT_DOUBLE && op->def->variant != WEFT_POOL_LP && weft_op_out(op, 1) == NULL) {
    const bool global = x->type == WEFT_FLOAT && is_global(&window);
    return global ? weft_global_pool_run(op) : run_planes(op, &window, planes);
  }
  return run_any(op, &window, planes);
}
