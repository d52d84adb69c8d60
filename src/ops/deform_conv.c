/* DeformConv: as a convolution, but every tap is read where an offset tells, between elements, by linear interpolation
 * in as many dimensions as there are. The sampled patches of a block of output positions become the right matrix of a
 * product. Outside the input there are zeros. */
#include "../kernels/sample.h"
#include "product.h"
#include "spatial.h"

#include <math.h>
#include <string.h>

enum { X, W, OFFSET, B, MASK };

typedef struct deform {
  const weft_kernels *kernels;
  weft_window window;
  size_t images, groups, in_channels, out_channels; /* channels: of one group */
  size_t offset_groups, k;
  bool wide; /* all elements are double, else float */
  const void *x, *w, *offset, *bias, *mask;
  void *y;
} deform;

static double number(const deform *c, const void *values, size_t i) {
  return c->wide ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

static weft_status make(weft_op *op, deform *c, weft_shape *out) {
  const weft_tensor *x = weft_op_in(op, X), *w = weft_op_in(op, W);
  *c = (deform){.kernels = op->cx->kernels};
  int rank = x->shape.rank - 2;
  int64_t group = weft_op_attr_int(op, "group", 1), offsets = weft_op_attr_int(op, "offset_group", 1);
  if (w->shape.rank != x->shape.rank) {
    return weft_op_fail(op, "input 'W' has %d dimensions where 'X' has %d", w->shape.rank, x->shape.rank);
  }
  int64_t channels = x->shape.dims[1], filters = w->shape.dims[0];
  if (group < 1 || group > filters || filters % group != 0 || channels % group != 0 || offsets < 1 ||
      channels % offsets != 0 || w->shape.dims[1] != channels / group) {
    return weft_op_fail(
        op,
        "%lld input channels, %lld filters of %lld channels, group %lld and offset group %lld do not go "
        "together",
        (long long)channels, (long long)filters, (long long)w->shape.dims[1], (long long)group, (long long)offsets);
  }
  WEFT_TRY(weft_window_read(op, rank, x->shape.dims + 2, w->shape.dims + 2, &c->window));
  WEFT_TRY(weft_window_forward(op, false, &c->window));
  c->images = (size_t)x->shape.dims[0];
  c->groups = (size_t)group;
  c->in_channels = (size_t)(channels / group);
  c->out_channels = (size_t)(filters / group);
  c->offset_groups = (size_t)offsets;
  c->k = c->in_channels * c->window.taps;
  *out = (weft_shape){.rank = rank + 2, .dims = {x->shape.dims[0], filters}};
  memcpy(out->dims + 2, c->window.out, (size_t)rank * sizeof *out->dims);
  return WEFT_OK;
}

/* `t` must be [images, offset groups * taps * each, output positions...]. */
static weft_status expect_maps(weft_op *op, const weft_tensor *t, const char *name, const deform *c, size_t each) {
  bool fits = t->shape.rank == c->window.rank + 2 && (size_t)t->shape.dims[0] == c->images &&
              (size_t)t->shape.dims[1] == c->offset_groups * c->window.taps * each;
  for (int d = 0; fits && d < c->window.rank; d++) {
    fits = t->shape.dims[d + 2] == c->window.out[d];
  }
  char text[96];
  return fits ? WEFT_OK
              : weft_op_fail(op, "input '%s' has shape %s, expected %zu maps of the output's size for %zu images", name,
                             weft_shape_print(&t->shape, text, sizeof text), c->offset_groups * c->window.taps * each,
                             c->images);
}

weft_status weft_deform_conv_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 3, 5));
  WEFT_TRY(weft_op_expect_type(op, X, "X", WEFT_TYPES_FLOAT));
  for (int i = W; i < op->input_count; i++) {
    if (weft_op_has(op, i)) {
      WEFT_TRY(weft_op_expect_same_type(op, X, i));
    }
  }
  WEFT_TRY(weft_op_expect_rank(op, X, "X", 3, WEFT_MAX_RANK));
  deform c;
  weft_shape out;
  WEFT_TRY(make(op, &c, &out));
  WEFT_TRY(expect_maps(op, weft_op_in(op, OFFSET), "offset", &c, (size_t)c.window.rank));
  if (weft_op_has(op, MASK)) {
    WEFT_TRY(expect_maps(op, weft_op_in(op, MASK), "mask", &c, 1));
  }
  WEFT_TRY(weft_op_expect_count(op, B, "B", c.groups * c.out_channels));
  return weft_op_set(op, 0, weft_op_in(op, X)->type, &out);
}

/* The element at a fractional place of the plane that begins at `plane`: the corners around it, each by its nearness.
 */
static double sample(const deform *c, size_t plane, const double *place) {
  const weft_window *window = &c->window;
  int rank = window->rank;
  int64_t low[WEFT_MAX_RANK];
  double above[WEFT_MAX_RANK], sum = 0;
  for (int d = 0; d < rank; d++) {
    if (!(place[d] > -1 && place[d] < (double)window->in[d])) {
      return 0;
    }
    low[d] = (int64_t)floor(place[d]);
    above[d] = place[d] - floor(place[d]);
  }
  for (uint32_t corner = 0; corner < 1u << rank; corner++) {
    double weight = 1;
    int64_t offset = 0;
    for (int d = 0; d < rank; d++) {
      int64_t high = corner >> d & 1, at = low[d] + high;
      weight *= high != 0 ? above[d] : 1 - above[d];
      if (at < 0 || at >= window->in[d]) {
        weight = 0;
        at = 0;
      }
      offset = offset * window->in[d] + at;
    }
    sum += weight != 0 ? weight * number(c, c->x, plane + (size_t)offset) : 0;
  }
  return sum;
}

/* One row of the patches: what `tap` of a channel meets at output positions [first, first + count). */
static void sample_row(const deform *c, size_t plane, size_t map, size_t image, const int64_t *tap, size_t first,
                       size_t count, void *out) {
  const weft_window *window = &c->window;
  int rank = window->rank;
  size_t number_of_map = image * c->offset_groups * window->taps + map;
  size_t offset = number_of_map * (size_t)rank * window->out_count + first;
  int64_t position[WEFT_MAX_RANK];
  weft_position(first, rank, window->out, position);
  for (size_t i = 0; i < count; i++) {
    double place[WEFT_MAX_RANK];
    for (int d = 0; d < rank; d++) {
      int64_t at = position[d] * window->stride[d] - window->pad_begin[d] + tap[d] * window->dilation[d];
      place[d] = (double)at + number(c, c->offset, offset + (size_t)d * window->out_count + i);
    }
    double mask = c->mask != NULL ? number(c, c->mask, number_of_map * window->out_count + first + i) : 1;
    double value = sample(c, plane, place) * mask;
    if (c->wide) {
      ((double *)out)[i] = value;
    } else {
      ((float *)out)[i] = (float)value;
    }
    weft_window_next(rank, window->out, position);
  }
}

/* Where `tap` meets the input at n output positions from `first` on: coordinates as a grid has them, the last axis
 * first. */
static void tap_places(const deform *c, size_t map, const int64_t *tap, size_t first, size_t n, double *coordinates) {
  const weft_window *window = &c->window;
  const size_t rank = (size_t)window->rank;
  int64_t position[WEFT_MAX_RANK];
  weft_position(first, window->rank, window->out, position);
  for (size_t i = 0; i < n; i++) {
    for (size_t d = 0; d < rank; d++) {
      const int64_t at = position[d] * window->stride[d] - window->pad_begin[d] + tap[d] * window->dilation[d];
      coordinates[i * rank + rank - 1 - d] =
          (double)at + number(c, c->offset, (map * rank + d) * window->out_count + first + i);
    }
    weft_window_next(window->rank, window->out, position);
  }
}

/* The rows of one tap for `channels` channels from `plane` on that share a map, `row_step` floats apart: what a place
 * takes from where is worked out once for them. */
static void sample_channels(const deform *c, size_t plane, size_t channels, size_t map, const int64_t *tap,
                            size_t column, size_t columns, float *rows, size_t row_step) {
  const weft_window *window = &c->window;
  weft_grid grid = {.mode = WEFT_GRID_LINEAR, .padding = WEFT_GRID_ZEROS, .counted = true, .axes = window->rank};
  memcpy(grid.dims, window->in, (size_t)window->rank * sizeof *grid.dims);
  const size_t at_once = weft_grid_at_once(&grid);
  for (size_t done = 0; done < columns; done += at_once) {
    weft_grid_points points;
    double coordinates[WEFT_GRID_POINTS * WEFT_GRID_AXES];
    const size_t n = columns - done < at_once ? columns - done : at_once;
    tap_places(c, map, tap, column + done, n, coordinates);
    weft_grid_place(&grid, n, coordinates, &points);
    for (size_t i = 0; c->mask != NULL && i < n; i++) {
      const double mask = number(c, c->mask, map * window->out_count + column + done + i);
      for (int t = 0; t < points.taps[i]; t++) {
        points.weights[i * points.most + (size_t)t] *= mask;
      }
    }
    weft_grid_sample(&points, n, channels, (const float *)c->x + plane, window->in_count, rows + done, row_step);
  }
}

/* The patches of output positions [column, column + columns): k rows of them. */
static void sample_floats(const deform *c, size_t index, size_t column, size_t columns, float *rows) {
  const size_t image = index / c->groups, shared = c->groups * c->in_channels / c->offset_groups;
  const size_t taps = c->window.taps;
  for (size_t channel = 0, run; channel < c->in_channels; channel += run) {
    const size_t number = index % c->groups * c->in_channels + channel, left = c->in_channels - channel;
    const size_t plane = (image * c->groups * c->in_channels + number) * c->window.in_count;
    const size_t map = (image * c->offset_groups + number / shared) * taps;
    int64_t tap[WEFT_MAX_RANK] = {0};
    run = shared - number % shared < left ? shared - number % shared : left;
    for (size_t t = 0; t < taps; t++) {
      sample_channels(c, plane, run, map + t, tap, column, columns, rows + (channel * taps + t) * columns,
                      taps * columns);
      weft_window_next(c->window.rank, c->window.kernel, tap);
    }
  }
}

/* The same in double precision, or in more dimensions. */
static void sample_block(const deform *c, size_t index, size_t column, size_t columns, char *rows) {
  size_t image = index / c->groups, shared = c->groups * c->in_channels / c->offset_groups;
  size_t row = columns * (c->wide ? sizeof(double) : sizeof(float));
  for (size_t channel = 0; channel < c->in_channels; channel++) {
    size_t number = index % c->groups * c->in_channels + channel;
    size_t plane = (image * c->groups * c->in_channels + number) * c->window.in_count;
    int64_t tap[WEFT_MAX_RANK] = {0};
    for (size_t t = 0; t < c->window.taps; t++, rows += row) {
      sample_row(c, plane, number / shared * c->window.taps + t, image, tap, column, columns, rows);
      weft_window_next(c->window.rank, c->window.kernel, tap);
    }
  }
}

static void pack_samples(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const deform *c = arg;
  if (c->window.rank <= WEFT_GRID_AXES) {
    sample_floats(c, index, column, columns, scratch);
  } else {
    sample_block(c, index, column, columns, scratch);
  }
  c->kernels->gemm_f32_pack(columns, c->k, scratch, columns, false, out);
}

static void product_at(const void *arg, size_t index, weft_product *out) {
  const deform *c = arg;
  size_t group = index % c->groups;
  *out = (weft_product){.a = (const float *)c->w + group * c->out_channels * c->k,
                        .lda = c->k,
                        .c = (float *)c->y + index * c->out_channels * c->window.out_count,
                        .ldc = c->window.out_count};
  out->epilogue.row_bias = c->bias != NULL ? (const float *)c->bias + group * c->out_channels : NULL;
}

static weft_status run_floats(weft_op *op, deform *c) {
  const void **operands[] = {&c->x, &c->w, &c->offset, &c->bias, &c->mask};
  float *y = NULL;
  for (int i = X; i <= MASK; i++) {
    const float *values = NULL;
    WEFT_TRY(weft_op_floats(op, weft_op_in(op, i), &values));
    *operands[i] = values;
  }
  WEFT_TRY(weft_op_floats_out(op, weft_op_out(op, 0), &y));
  c->y = y;
  weft_products products = {.count = c->images * c->groups,
                            .m = c->out_channels,
                            .n = c->window.out_count,
                            .k = c->k,
                            .arg = c,
                            .at = product_at,
                            .pack = pack_samples,
                            .scratch_column = c->k * sizeof(float)};
  WEFT_TRY(weft_products_run(op, &products));
  weft_op_floats_done(op, weft_op_out(op, 0), y);
  return WEFT_OK;
}

static weft_status run_double(weft_op *op, deform *c) {
  const void **operands[] = {&c->x, &c->w, &c->offset, &c->bias, &c->mask};
  size_t n = c->window.out_count, values = 0;
  double *y = weft_op_out(op, 0)->data;
  void *rows = NULL;
  c->wide = true;
  for (int i = X; i <= MASK; i++) {
    *operands[i] = weft_op_has(op, i) ? weft_op_in(op, i)->data : NULL;
  }
  if (!weft_mul(c->k, n, &values)) {
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the patches are larger than the address space");
  }
  WEFT_TRY(weft_op_scratch_array(op, values, sizeof(double), &rows));
  for (size_t index = 0; index < c->images * c->groups; index++) {
    size_t filter = index % c->groups * c->out_channels;
    double *result = y + index * c->out_channels * n;
    weft_plain_product product = {.type = WEFT_DOUBLE,
                                  .m = c->out_channels,
                                  .n = n,
                                  .k = c->k,
                                  .a = (const double *)c->w + filter * c->k,
                                  .a_row = c->k,
                                  .a_column = 1,
                                  .b = rows,
                                  .b_row = n,
                                  .b_column = 1,
                                  .c = result};
    sample_block(c, index, 0, n, rows);
    weft_plain_product_run(&product);
    for (size_t i = 0; c->bias != NULL && i < c->out_channels * n; i++) {
      result[i] += number(c, c->bias, filter + i / n);
    }
  }
  return WEFT_OK;
}

weft_status weft_deform_conv_run(weft_op *op) {
  deform c;
  weft_shape out;
  WEFT_TRY(make(op, &c, &out));
  if (weft_op_out(op, 0) == NULL || weft_op_out(op, 0)->count == 0) {
    return WEFT_OK;
  }
  return weft_op_in(op, X)->type == WEFT_DOUBLE ? run_double(op, &c) : run_floats(op, &c);
}
