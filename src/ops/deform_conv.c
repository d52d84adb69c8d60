/* DeformConv: as a convolution, but every tap is read where an offset tells, between elements, by linear interpolation
 * in as many dimensions as there are. The sampled patches of a block of output positions become the right matrix of a
 * product. Outside the input there are zeros. */
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
  const float *x, *w, *offset, *bias, *mask;
  float *y;
} deform;

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
  WEFT_TRY(weft_op_expect_type(op, X, "X", WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE)));
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
  if (weft_op_has(op, B) && weft_op_in(op, B)->count != c.groups * c.out_channels) {
    return weft_op_fail(op, "input 'B' holds %zu elements, expected %zu", weft_op_in(op, B)->count,
                        c.groups * c.out_channels);
  }
  return weft_op_set(op, 0, weft_op_in(op, X)->type, &out);
}

/* The element at a fractional place of a plane: the corners around it, each by its nearness. */
static float sample(const weft_window *window, const float *plane, const float *place) {
  int rank = window->rank;
  int64_t low[WEFT_MAX_RANK];
  float above[WEFT_MAX_RANK];
  for (int d = 0; d < rank; d++) {
    if (!(place[d] > -1 && place[d] < (float)window->in[d])) {
      return 0;
    }
    float floor = floorf(place[d]);
    low[d] = (int64_t)floor;
    above[d] = place[d] - floor;
  }
  float sum = 0;
  for (uint32_t corner = 0; corner < 1u << rank; corner++) {
    float weight = 1;
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
    sum += weight != 0 ? weight * plane[offset] : 0;
  }
  return sum;
}

/* One row of the patches: what `tap` of a channel meets at output positions [first, first + count). */
static void sample_row(const deform *c, const float *plane, size_t map, size_t image, const int64_t *tap, size_t first,
                       size_t count, float *out) {
  const weft_window *window = &c->window;
  int rank = window->rank;
  size_t maps = c->offset_groups * window->taps;
  const float *offset = c->offset + (image * maps + map) * (size_t)rank * window->out_count + first;
  const float *mask = c->mask != NULL ? c->mask + (image * maps + map) * window->out_count + first : NULL;
  int64_t position[WEFT_MAX_RANK];
  size_t rest = first;
  for (int d = rank - 1; d >= 0; d--) {
    position[d] = (int64_t)(rest % (size_t)window->out[d]);
    rest /= (size_t)window->out[d];
  }
  for (size_t i = 0; i < count; i++) {
    float place[WEFT_MAX_RANK];
    for (int d = 0; d < rank; d++) {
      place[d] = (float)(position[d] * window->stride[d] - window->pad_begin[d] + tap[d] * window->dilation[d]) +
                 offset[(size_t)d * window->out_count + i];
    }
    out[i] = sample(window, plane, place) * (mask != NULL ? mask[i] : 1);
    weft_window_next(rank, window->out, position);
  }
}

static void pack_samples(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const deform *c = arg;
  float *rows = scratch;
  size_t image = index / c->groups, shared = c->groups * c->in_channels / c->offset_groups;
  for (size_t channel = 0; channel < c->in_channels; channel++) {
    size_t number = index % c->groups * c->in_channels + channel;
    const float *plane = c->x + (image * c->groups * c->in_channels + number) * c->window.in_count;
    int64_t tap[WEFT_MAX_RANK] = {0};
    for (size_t t = 0; t < c->window.taps; t++) {
      sample_row(c, plane, number / shared * c->window.taps + t, image, tap, column, columns,
                 rows + (channel * c->window.taps + t) * columns);
      weft_window_next(c->window.rank, c->window.kernel, tap);
    }
  }
  c->kernels->gemm_f32_pack(columns, c->k, rows, columns, false, out);
}

static void product_at(const void *arg, size_t index, weft_product *out) {
  const deform *c = arg;
  size_t group = index % c->groups;
  *out = (weft_product){.a = c->w + group * c->out_channels * c->k,
                        .lda = c->k,
                        .c = c->y + index * c->out_channels * c->window.out_count,
                        .ldc = c->window.out_count};
  out->epilogue.row_bias = c->bias != NULL ? c->bias + group * c->out_channels : NULL;
}

weft_status weft_deform_conv_run(weft_op *op) {
  deform c;
  weft_shape out;
  weft_tensor *y = weft_op_out(op, 0);
  WEFT_TRY(make(op, &c, &out));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, X), &c.x));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, W), &c.w));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, OFFSET), &c.offset));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, B), &c.bias));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, MASK), &c.mask));
  WEFT_TRY(weft_op_floats_out(op, y, &c.y));
  if (c.y == NULL || y->count == 0) {
    return WEFT_OK;
  }
  weft_products products = {.count = c.images * c.groups,
                            .m = c.out_channels,
                            .n = c.window.out_count,
                            .k = c.k,
                            .arg = &c,
                            .at = product_at,
                            .pack = pack_samples,
                            .scratch_column = c.k * sizeof(float)};
  WEFT_TRY(weft_products_run(op, &products));
  weft_op_floats_done(op, y, c.y);
  return WEFT_OK;
}
