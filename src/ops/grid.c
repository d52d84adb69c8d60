/* GridSample and AffineGrid: a tensor read at any places, and the places of an affine map. What a place takes from
 * where is worked out once, in kernels/sample.c, and then used for all channels. */
#include "../base/convert.h"
#include "../kernels/sample.h"
#include "number.h"
#include "op.h"
#include "strided.h"

#include <math.h>
#include <string.h>

typedef struct grid_job {
  weft_grid grid;
  const weft_tensor *in, *where;
  weft_tensor *out;
  size_t channels, plane, points; /* elements of an input plane, places of an output plane */
} grid_job;

static weft_status read_grid(weft_op *op, grid_job *job) {
  int mode, padding;
  WEFT_TRY(weft_op_choice(op, "mode", "nearest linear cubic bilinear bicubic", WEFT_GRID_LINEAR, &mode));
  WEFT_TRY(weft_op_choice(op, "padding_mode", "zeros border reflection", WEFT_GRID_ZEROS, &padding));
  *job = (grid_job){.in = weft_op_in(op, 0), .where = weft_op_in(op, 1), .out = weft_op_out(op, 0)};
  weft_grid *grid = &job->grid;
  grid->align = weft_op_attr_int(op, "align_corners", 0) != 0;
  grid->axes = job->in->shape.rank - 2;
  memcpy(grid->dims, job->in->shape.dims + 2, (size_t)grid->axes * sizeof *grid->dims);
  grid->mode = (weft_grid_mode)(mode > WEFT_GRID_CUBIC ? mode - 2 : mode); /* the older names of the same */
  grid->padding = (weft_grid_padding)padding;
  return WEFT_OK;
}

weft_status weft_grid_sample_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  uint32_t types = WEFT_TYPES_NUMERIC | WEFT_TYPE_BIT(WEFT_BOOL) | WEFT_TYPES_COMPLEX | WEFT_TYPE_BIT(WEFT_STRING);
  WEFT_TRY(weft_op_expect_type(op, 0, "X", types));
  WEFT_TRY(weft_op_expect_type(op, 1, "grid", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 3, WEFT_GRID_AXES + 2));
  grid_job job;
  WEFT_TRY(read_grid(op, &job));
  if (job.in->type == WEFT_STRING && job.grid.mode != WEFT_GRID_NEAREST) {
    return weft_op_fail(op, "input X: text has no mean: expected mode nearest");
  }
  const weft_shape *in = &job.in->shape, *grid = &job.where->shape;
  if (grid->rank != in->rank || grid->dims[0] != in->dims[0] || grid->dims[grid->rank - 1] != job.grid.axes) {
    char a[96], b[96];
    return weft_op_fail(op, "grid of shape %s does not give places in X of shape %s",
                        weft_shape_print(grid, a, sizeof a), weft_shape_print(in, b, sizeof b));
  }
  weft_shape shape = {in->rank, {in->dims[0], in->dims[1]}};
  memcpy(shape.dims + 2, grid->dims + 1, (size_t)job.grid.axes * sizeof *shape.dims);
  return weft_op_set(op, 0, job.in->type, &shape);
}

/* One result of any type but float. */
static void sample_one(const grid_job *job, size_t plane, size_t place, int taps, const size_t *offsets,
                       const double *weights) {
  const size_t from = plane * job->plane;
  if (job->in->type == WEFT_STRING) {
    const weft_string *words = (const weft_string *)job->in->data + from;
    ((weft_string *)job->out->data)[plane * job->points + place] = taps > 0 ? words[offsets[0]] : (weft_string){0};
    return;
  }
  weft_type type;
  size_t parts = weft_number_parts(job->in->type, &type);
  for (size_t part = 0; part < parts; part++) {
    double sum = 0;
    for (int t = 0; t < taps; t++) {
      sum += weights[t] * weft_number_at(type, job->in->data, (from + offsets[t]) * parts + part);
    }
    weft_number_set(type, job->out->data, (plane * job->points + place) * parts + part, sum);
  }
}

/* Grid values are read as doubles, a block of points at a time. */
static void sample_points(void *arg, size_t begin, size_t end) {
  const grid_job *job = arg;
  weft_grid_points points;
  double coordinates[WEFT_GRID_POINTS * WEFT_GRID_AXES];
  const size_t axes = (size_t)job->grid.axes, at_once = weft_grid_at_once(&job->grid);
  for (size_t point = begin, n; point < end; point += n) {
    const size_t batch = point / job->points, place = point % job->points, first = batch * job->channels;
    n = job->points - place < end - point ? job->points - place : end - point;
    n = n < at_once ? n : at_once;
    weft_load_double(job->where->type, job->where->data, point * axes, 1, n * axes, coordinates);
    weft_grid_place(&job->grid, n, coordinates, &points);
    if (job->in->type == WEFT_FLOAT) {
      weft_grid_sample(&points, n, job->channels, (const float *)job->in->data + first * job->plane, job->plane,
                       (float *)job->out->data + first * job->points + place, job->points);
      continue;
    }
    for (size_t c = first; c < first + job->channels; c++) {
      for (size_t i = 0; i < n; i++) {
        sample_one(job, c, place + i, points.taps[i], points.offsets + i * points.most,
                   points.weights + i * points.most);
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
  weft_parallel(op->cx, (size_t)in->dims[0] * job.points, WEFT_GRID_POINTS, sample_points, &job);
  return WEFT_OK;
}

/* ---- AffineGrid -------------------------------------------------------------------------------------------------- */
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

/* Element i of `dim` in [-1, 1]. */
static double affine_place(size_t dim, size_t i, bool align) {
  if (!align) {
    return (2.0 * (double)i + 1) / (double)dim - 1;
  }
  return dim == 1 ? 0 : 2.0 * (double)i / (double)(dim - 1) - 1;
}

/* Points of one row share what their other coordinates make. */
weft_status weft_affine_grid_run(weft_op *op) {
  const weft_tensor *theta = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  bool align = weft_op_attr_int(op, "align_corners", 0) != 0;
  const int axes = out->shape.rank - 2;
  const size_t rows = (size_t)axes, columns = rows + 1, width = (size_t)out->shape.dims[axes];
  const size_t lines = weft_shape_product(&out->shape, 1, axes);
  const size_t all_lines = width > 0 ? out->count / rows / width : 0;
  for (size_t done = 0, n; done < width; done += n) {
    double x[WEFT_BLOCK], block[WEFT_BLOCK * WEFT_GRID_AXES];
    n = width - done < WEFT_BLOCK ? width - done : WEFT_BLOCK;
    for (size_t i = 0; i < n; i++) {
      x[i] = affine_place(width, done + i, align);
    }
    for (size_t line = 0; line < all_lines; line++) {
      double place[WEFT_GRID_AXES + 1], map[WEFT_GRID_AXES * (WEFT_GRID_AXES + 1)];
      size_t rest = line % lines;
      weft_load_double(theta->type, theta->data, line / lines * rows * columns, 1, rows * columns, map);
      place[axes] = 1;
      for (int d = 1; d < axes; d++) { /* place[0], x, is the innermost axis */
        place[d] = affine_place((size_t)out->shape.dims[axes - d], rest % (size_t)out->shape.dims[axes - d], align);
        rest /= (size_t)out->shape.dims[axes - d];
      }
      for (size_t r = 0; r < rows; r++) {
        double start = 0;
        for (size_t c = 1; c < columns; c++) {
          start += map[r * columns + c] * place[c];
        }
        for (size_t i = 0; i < n; i++) {
          block[i * rows + r] = map[r * columns] * x[i] + start;
        }
      }
      weft_store_double(out->type, block, n * rows, out->data, (line * width + done) * rows, 1);
    }
  }
  return WEFT_OK;
}
