/* GridSample and AffineGrid: a tensor read at any places, and the places of an affine map. A place has up to 4 taps
 * along each axis; their products are worked out once and then used for all channels. */
#include "../kernels/typed.h"
#include "number.h"
#include "op.h"
#include "strided.h"

#include <math.h>
#include <string.h>

enum { MAX_AXES = 3, MAX_TAPS = 64, POINTS_AT_ONCE = 64 };

typedef enum grid_mode { GRID_NEAREST, GRID_LINEAR, GRID_CUBIC } grid_mode;
typedef enum grid_padding { GRID_ZEROS, GRID_BORDER, GRID_REFLECTION } grid_padding;

typedef struct grid_job {
  const weft_tensor *in, *grid;
  weft_tensor *out;
  grid_mode mode;
  grid_padding padding;
  bool align;
  int axes;
  size_t channels, plane, points; /* elements of an input plane, places of an output plane */
} grid_job;

static weft_status read_grid(weft_op *op, grid_job *job) {
  const char *mode = weft_op_attr_string(op, "mode", "linear");
  const char *padding = weft_op_attr_string(op, "padding_mode", "zeros");
  *job = (grid_job){.in = weft_op_in(op, 0), .grid = weft_op_in(op, 1), .out = weft_op_out(op, 0)};
  job->align = weft_op_attr_int(op, "align_corners", 0) != 0;
  job->axes = job->in->shape.rank - 2;
  job->mode = strcmp(mode, "nearest") == 0 ? GRID_NEAREST : strcmp(mode, "cubic") == 0 ? GRID_CUBIC : GRID_LINEAR;
  job->padding = strcmp(padding, "zeros") == 0    ? GRID_ZEROS
                 : strcmp(padding, "border") == 0 ? GRID_BORDER
                                                  : GRID_REFLECTION;
  if (job->mode == GRID_LINEAR && strcmp(mode, "linear") != 0 && strcmp(mode, "bilinear") != 0) {
    if (strcmp(mode, "bicubic") != 0) {
      return weft_op_fail(op, "mode: expected linear, nearest or cubic, found %s", mode);
    }
    job->mode = GRID_CUBIC;
  }
  if (job->padding == GRID_REFLECTION && strcmp(padding, "reflection") != 0) {
    return weft_op_fail(op, "padding_mode: expected zeros, border or reflection, found %s", padding);
  }
  return WEFT_OK;
}

weft_status weft_grid_sample_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  uint32_t types = WEFT_TYPES_NUMERIC | WEFT_TYPE_BIT(WEFT_BOOL) | WEFT_TYPES_COMPLEX | WEFT_TYPE_BIT(WEFT_STRING);
  WEFT_TRY(weft_op_expect_type(op, 0, "X", types));
  WEFT_TRY(weft_op_expect_type(op, 1, "grid", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 3, MAX_AXES + 2));
  grid_job job;
  WEFT_TRY(read_grid(op, &job));
  if (job.in->type == WEFT_STRING && job.mode != GRID_NEAREST) {
    return weft_op_fail(op, "input X: text has no mean: expected mode nearest");
  }
  const weft_shape *in = &job.in->shape, *grid = &job.grid->shape;
  if (grid->rank != in->rank || grid->dims[0] != in->dims[0] || grid->dims[grid->rank - 1] != job.axes) {
    char a[96], b[96];
    return weft_op_fail(op, "grid of shape %s does not give places in X of shape %s",
                        weft_shape_print(grid, a, sizeof a), weft_shape_print(in, b, sizeof b));
  }
  weft_shape shape = {in->rank, {in->dims[0], in->dims[1]}};
  memcpy(shape.dims + 2, grid->dims + 1, (size_t)job.axes * sizeof *shape.dims);
  return weft_op_set(op, 0, job.in->type, &shape);
}

/* Turns x back at the bounds as often as it takes. */
static double reflect(double x, double low, double high) {
  double range = high - low;
  if (range <= 0) {
    return low;
  }
  double away = x < low ? low - x : x > high ? x - high : 0, turns = floor(away / range), rest = away - turns * range;
  bool even = fmod(turns, 2) == 0;
  if (x < low) {
    return even ? low + rest : high - rest;
  }
  return x > high ? (even ? high - rest : low + rest) : x;
}

/* Place i of an axis of `dim` elements, or -1 where nothing is. */
static int64_t tap_place(const grid_job *job, double i, int64_t dim) {
  double last = (double)dim - 1;
  if (i >= 0 && i <= last) {
    return (int64_t)i;
  }
  if (job->padding == GRID_ZEROS || !isfinite(i)) {
    return -1;
  }
  if (job->padding == GRID_REFLECTION) {
    i = trunc(reflect(i, job->align ? 0 : -0.5, job->align ? last : last + 0.5));
  }
  return i <= 0 ? 0 : i >= last ? dim - 1 : (int64_t)i;
}

static double cubic_weight(double x) {
  const double a = -0.75;
  x = fabs(x);
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* The taps of normalised coordinate g along one axis; returns how many. */
static int axis_taps(const grid_job *job, double g, int64_t dim, int64_t *places, double *weights) {
  double last = (double)dim - 1, x = job->align ? (g + 1) / 2 * last : ((g + 1) * (double)dim - 1) / 2;
  double low = job->align ? 0 : -0.5, high = job->align ? last : last + 0.5;
  x = job->mode == GRID_NEAREST ? rint(x) : x;
  /* A cubic's place stays beyond the border: its four taps are brought to the border one by one (tap_place). */
  if (job->padding == GRID_BORDER && job->mode != GRID_CUBIC) {
    x = x < low ? 0 : x > high ? last : x;
  } else if (job->padding == GRID_REFLECTION && isfinite(x)) {
    x = reflect(x, low, high);
  }
  double first = floor(x);
  switch (job->mode) {
  case GRID_NEAREST:
    places[0] = tap_place(job, x, dim);
    weights[0] = 1;
    return 1;
  case GRID_LINEAR:
    for (int t = 0; t < 2; t++) {
      places[t] = tap_place(job, first + t, dim);
      weights[t] = t == 0 ? 1 - (x - first) : x - first;
    }
    return 2;
  case GRID_CUBIC:
    for (int t = 0; t < 4; t++) {
      places[t] = tap_place(job, first - 1 + t, dim);
      weights[t] = cubic_weight(x - (first - 1 + t));
    }
    return 4;
  }
  return 0;
}

/* All taps of one point: offsets within an input plane and weights; returns how many. */
static int point_taps(const grid_job *job, size_t point, int64_t *offsets, double *weights) {
  int count = 1;
  offsets[0] = 0;
  weights[0] = 1;
  for (int d = 0; d < job->axes; d++) {
    int64_t places[4], dim = job->in->shape.dims[2 + d];
    double axis_weights[4];
    /* The grid's last coordinate belongs to the first axis. */
    size_t at = point * (size_t)job->axes + (size_t)(job->axes - 1 - d);
    int taps = axis_taps(job, weft_number_at(job->grid->type, job->grid->data, at), dim, places, axis_weights),
        kept = 0;
    int64_t old_offsets[MAX_TAPS];
    double old_weights[MAX_TAPS];
    memcpy(old_offsets, offsets, (size_t)count * sizeof *offsets);
    memcpy(old_weights, weights, (size_t)count * sizeof *weights);
    for (int o = 0; o < count; o++) {
      for (int t = 0; t < taps; t++) {
        if (places[t] >= 0) {
          offsets[kept] = old_offsets[o] * dim + places[t];
          weights[kept++] = old_weights[o] * axis_weights[t];
        }
      }
    }
    count = kept;
  }
  return count;
}

static void sample_points(void *arg, size_t begin, size_t end) {
  const grid_job *job = arg;
  int64_t offsets[MAX_TAPS];
  double weights[MAX_TAPS];
  for (size_t point = begin; point < end; point++) {
    int taps = point_taps(job, point, offsets, weights);
    size_t batch = point / job->points, place = point % job->points, first = batch * job->channels;
    if (job->in->type == WEFT_FLOAT) {
      weft_typed_weigh(job->channels, (const float *)job->in->data + first * job->plane, job->plane, (size_t)taps,
                       offsets, weights, (float *)job->out->data + first * job->points + place, job->points);
      continue;
    }
    for (size_t c = 0; c < job->channels; c++) {
      size_t plane = first + c, from = plane * job->plane;
      double sum = 0;
      if (job->in->type == WEFT_STRING) {
        const weft_string *words = (const weft_string *)job->in->data + from;
        ((weft_string *)job->out->data)[plane * job->points + place] = taps > 0 ? words[offsets[0]] : (weft_string){0};
        continue;
      }
      weft_type type;
      size_t parts = weft_number_parts(job->in->type, &type);
      for (size_t part = 0; part < parts; part++) {
        sum = 0;
        for (int t = 0; t < taps; t++) {
          sum += weights[t] * weft_number_at(type, job->in->data, (from + (size_t)offsets[t]) * parts + part);
        }
        weft_number_set(type, job->out->data, (plane * job->points + place) * parts + part, sum);
      }
    }
  }
}

weft_status weft_grid_sample_run(weft_op *op) {
  grid_job job;
  WEFT_TRY(read_grid(op, &job));
  const weft_shape *in = &job.in->shape, *out = &job.out->shape;
  job.channels = (size_t)in->dims[1];
  job.plane = weft_shape_product(in, 2, in->rank);
  job.points = weft_shape_product(out, 2, out->rank);
  if (job.plane == 0) {
    memset(job.out->data, 0, job.out->count * weft_type_size(job.out->type));
    return WEFT_OK;
  }
  weft_parallel(op->cx, (size_t)in->dims[0] * job.points, POINTS_AT_ONCE, sample_points, &job);
  return WEFT_OK;
}

/* ---- AffineGrid
 * ----------------------------------------------------------------------------------------------------------- */
weft_status weft_affine_grid_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "theta", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_type(op, 1, "size", WEFT_TYPE_BIT(WEFT_INT64)));
  const weft_tensor *theta = weft_op_in(op, 0);
  int64_t size[5];
  size_t count;
  WEFT_TRY(weft_op_ints(op, 1, "size", 5, size, &count));
  int axes = (int)count - 2;
  const int64_t *dims = theta->shape.dims;
  if (axes < 2 || theta->shape.rank != 3 || dims[0] != size[0] || dims[1] != axes || dims[2] != axes + 1) {
    char text[96];
    return weft_op_fail(op, "theta of shape %s does not go with a size of %zu dims",
                        weft_shape_print(&theta->shape, text, sizeof text), count);
  }
  weft_shape shape = {axes + 2, {size[0]}};
  memcpy(shape.dims + 1, size + 2, (size_t)axes * sizeof *size);
  shape.dims[axes + 1] = axes;
  return weft_op_set(op, 0, theta->type, &shape);
}

weft_status weft_affine_grid_run(weft_op *op) {
  const weft_tensor *theta = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  bool align = weft_op_attr_int(op, "align_corners", 0) != 0;
  int axes = out->shape.rank - 2;
  size_t points = weft_shape_product(&out->shape, 1, axes + 1), rows = (size_t)axes, columns = rows + 1;
  for (size_t n = 0; n < out->count / rows; n++) {
    double place[MAX_AXES + 1];
    size_t rest = n % points, batch = n / points;
    place[axes] = 1;
    /* place[0] is the innermost axis, x. */
    for (int d = 0; d < axes; d++) {
      size_t dim = (size_t)out->shape.dims[axes - d], i = rest % dim;
      rest /= dim;
      place[d] = !align     ? (2.0 * (double)i + 1) / (double)dim - 1
                 : dim == 1 ? 0
                            : 2.0 * (double)i / (double)(dim - 1) - 1;
    }
    for (size_t r = 0; r < rows; r++) {
      double sum = 0;
      for (size_t c = 0; c < columns; c++) {
        sum += weft_number_at(theta->type, theta->data, (batch * rows + r) * columns + c) * place[c];
      }
      weft_number_set(out->type, out->data, n * rows + r, sum);
    }
  }
  return WEFT_OK;
}
