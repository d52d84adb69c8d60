/* Convolution as a matrix product without an im2col matrix: the weights are the left matrix as they lie in the file,
 * and the patches of a block of output positions are packed straight into the panels that the product reads. Where a
 * channel meets only its own filter (depthwise) there is a direct kernel, whose planes are added up where there are only
 * one to three filters, and where there is one output position it is a product with a vector; few filters of few
 * channels read their patches from rows of the input, unpacked; many filters of many channels go mostly through
 * winograd.c. Bias, residual and activation are applied as results are stored. */
#include "../base/elementary.h"
#include "../kernels/elements.h"
#include "product.h"
#include "spatial.h"
#include "variants.h"
#include "winograd.h"

#include <string.h>

enum {
  DEPTHWISE_FILTERS = 4, /* of one channel; with more, the product shares the patches among them */
  SUMMED_FILTERS = 3,    /* of several channels */
  PART = 2048            /* floats of a plane that are summed at once */
};

typedef struct conv {
  const weft_kernels *kernels;
  weft_window window;
  size_t images, groups;
  size_t in_channels, out_channels; /* of one group */
  size_t k;                         /* in_channels * taps: the inner size of a group's product */
  const float *x, *w, *bias, *residual;
  float *y;
  weft_epilogue epilogue; /* the activation alone */
} conv;

static weft_status make(weft_op *op, conv *c, weft_shape *out) {
  const weft_tensor *x = weft_op_in(op, 0), *w = weft_op_in(op, 1);
  *c = (conv){.kernels = op->cx->kernels};
  int rank = x->shape.rank - 2;
  int64_t group = weft_op_attr_int(op, "group", 1);
  if (w->shape.rank != x->shape.rank) {
    return weft_op_fail(op, "input 'W' has %d dimensions where 'X' has %d", w->shape.rank, x->shape.rank);
  }
  int64_t channels = x->shape.dims[1], filters = w->shape.dims[0];
  if (group < 1 || filters % group != 0 || channels % group != 0 || w->shape.dims[1] != channels / group) {
    return weft_op_fail(op, "%lld input channels, %lld filters of %lld channels and group %lld do not go together",
                        (long long)channels, (long long)filters, (long long)w->shape.dims[1], (long long)group);
  }
  WEFT_TRY(weft_op_expect_rank(op, 2, "B", 1, 1));
  WEFT_TRY(weft_op_expect_count(op, 2, "B", (size_t)filters));
  WEFT_TRY(weft_window_read(op, rank, x->shape.dims + 2, w->shape.dims + 2, &c->window));
  WEFT_TRY(weft_window_forward(op, false, &c->window));
  c->images = (size_t)x->shape.dims[0];
  c->groups = (size_t)group;
  c->in_channels = (size_t)(channels / group);
  c->out_channels = (size_t)(filters / group);
  c->k = c->in_channels * c->window.taps;
  *out = (weft_shape){.rank = rank + 2, .dims = {x->shape.dims[0], filters}};
  memcpy(out->dims + 2, c->window.out, (size_t)rank * sizeof *out->dims);
  if (op->def->variant == WEFT_CONV_FUSED) {
    WEFT_TRY(weft_op_activation(op, &c->epilogue));
  }
  return WEFT_OK;
}

weft_status weft_conv_infer(weft_op *op) {
  bool fused = op->def->variant == WEFT_CONV_FUSED;
  WEFT_TRY(weft_op_expect_inputs(op, 2, fused ? 4 : 3));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 3, WEFT_MAX_RANK));
  /* Exporters that fold a normalisation into a 16-bit convolution leave its weights in float: any mixture of what is
   * widened anyway is taken. */
  static const char *const names[] = {"X", "W", "B", "residual"};
  bool wide = weft_op_in(op, 0)->type == WEFT_DOUBLE;
  for (int i = 1; i < op->input_count; i++) {
    WEFT_TRY(weft_op_expect_type(op, i, names[i],
                                 wide ? WEFT_TYPE_BIT(WEFT_DOUBLE) : WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE)));
  }
  conv c;
  weft_shape out;
  WEFT_TRY(make(op, &c, &out));
  const weft_tensor *residual = weft_op_in(op, 3);
  if (residual != NULL && !weft_shape_equal(&residual->shape, &out)) {
    return weft_op_fail(op, "the residual's shape is not the result's");
  }
  if (fused && weft_op_in(op, 0)->type == WEFT_DOUBLE) {
    return weft_op_unsupported(op, "a fused convolution in double precision");
  }
  return weft_op_set(op, 0, weft_op_in(op, 0)->type, &out);
}

/* ---- patches ----------------------------------------------------------------------------------------------------- */
/* The tables that all channels share, for one panel: offsets[tap * 8 + lane] in a plane of the input, negative outside,
 * and whether a tap's eight elements are neighbours. An offset is a sum of one number for each dimension, which `axes`
 * has room for: eight for each place of the kernel along it. */
static void panel_tables(const weft_window *window, size_t first, size_t count, int64_t *axes, int32_t *offsets,
                         uint8_t *next) {
  const int64_t outside = -((int64_t)1 << 40);
  int64_t position[WEFT_MAX_RANK], sums[WEFT_MAX_RANK + 1][WEFT_GEMM_NR] = {{0}};
  size_t starts[WEFT_MAX_RANK], digit[WEFT_MAX_RANK] = {0}, start = 0;
  weft_position(first, window->rank, window->out, position);
  for (int d = window->rank - 1; d >= 0; d--) {
    starts[d] = start;
    start += (size_t)window->kernel[d] * WEFT_GEMM_NR;
  }
  for (size_t lane = 0; lane < WEFT_GEMM_NR; lane++) {
    int64_t stride = 1;
    for (int d = window->rank - 1; d >= 0; d--) {
      int64_t at = position[d] * window->stride[d] - window->pad_begin[d];
      for (int64_t i = 0; i < window->kernel[d]; i++, at += window->dilation[d]) {
        const bool inside = lane < count && at >= 0 && at < window->in[d];
        axes[starts[d] + (size_t)i * WEFT_GEMM_NR + lane] = inside ? at * stride : outside;
      }
      stride *= window->in[d];
    }
    if (lane + 1 < count) {
      weft_window_next(window->rank, window->out, position);
    }
  }
  for (size_t t = 0, changed = 0; t < window->taps; t++, offsets += WEFT_GEMM_NR) {
    for (int d = (int)changed; d < window->rank; d++) {
      const int64_t *axis = axes + starts[d] + digit[d] * WEFT_GEMM_NR;
      for (int lane = 0; lane < WEFT_GEMM_NR; lane++) {
        sums[d + 1][lane] = sums[d][lane] + axis[lane];
      }
    }
    const int64_t *sum = sums[window->rank];
    bool neighbours = sum[0] >= 0;
    for (int lane = 0; lane < WEFT_GEMM_NR; lane++) {
      offsets[lane] = (int32_t)(sum[lane] < 0 ? -1 : sum[lane]);
      neighbours &= sum[lane] == sum[0] + lane;
    }
    next[t] = neighbours;
    int d = window->rank - 1;
    for (; d > 0 && digit[d] + 1 == (size_t)window->kernel[d]; d--) {
      digit[d] = 0;
    }
    digit[d]++;
    changed = (size_t)d;
  }
}

static const float *group_input(const conv *c, size_t index) {
  return c->x + index * c->in_channels * c->window.in_count; /* index counts images times groups */
}

/* Numbers that panel_tables needs room for along all dimensions. */
static size_t axes_room(const weft_window *window) {
  size_t count = 0;
  for (int d = 0; d < window->rank; d++) {
    count += (size_t)window->kernel[d] * WEFT_GEMM_NR;
  }
  return count;
}

static void pack_patches(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const conv *c = arg;
  const size_t taps = c->window.taps;
  int64_t *axes = scratch;
  int32_t *offsets = (int32_t *)(axes + axes_room(&c->window));
  uint8_t *next = (uint8_t *)(offsets + taps * WEFT_GEMM_NR);
  for (size_t done = 0; done < columns; done += WEFT_GEMM_NR) {
    size_t count = columns - done < WEFT_GEMM_NR ? columns - done : WEFT_GEMM_NR;
    const float *plane = group_input(c, index);
    panel_tables(&c->window, column + done, count, axes, offsets, next);
    for (size_t channel = 0; channel < c->in_channels; channel++, plane += c->window.in_count) {
      weft_pack_lanes(taps, offsets, next, plane, out);
      out += taps * WEFT_GEMM_NR;
    }
  }
}

/* What kernels see of a window's last two dimensions: of one, the plane is one row. */
static weft_patches plane_patches(const conv *c, const float *in, size_t channels) {
  const weft_window *v = &c->window;
  bool flat = v->rank == 1;
  int h = flat ? 0 : v->rank - 2, w = v->rank - 1;
  return (weft_patches){.in = in,
                        .channels = channels,
                        .ih = flat ? 1 : (size_t)v->in[h],
                        .iw = (size_t)v->in[w],
                        .kh = flat ? 1 : (size_t)v->kernel[h],
                        .kw = (size_t)v->kernel[w],
                        .stride_h = flat ? 1 : (size_t)v->stride[h],
                        .stride_w = (size_t)v->stride[w],
                        .dilation_h = flat ? 1 : (size_t)v->dilation[h],
                        .dilation_w = (size_t)v->dilation[w],
                        .pad_top = flat ? 0 : v->pad_begin[h],
                        .pad_left = v->pad_begin[w],
                        .ow = (size_t)v->out[w]};
}

/* The same with at most two spatial dimensions, where a kernel does it. */
static void pack_plane_patches(const void *arg, size_t index, size_t column, size_t columns, float *out,
                               void *scratch) {
  const conv *c = arg;
  weft_patches patches = plane_patches(c, group_input(c, index), c->in_channels);
  (void)scratch;
  c->kernels->conv_f32_pack(&patches, column, column + columns, out);
}

static void product_at(const void *arg, size_t index, weft_product *out) {
  const conv *c = arg;
  size_t group = index % c->groups, result = index * c->out_channels * c->window.out_count;
  out->a = c->w + group * c->out_channels * c->k;
  out->lda = c->k;
  out->b = group_input(c, index);
  out->ldb = c->window.in_count;
  out->c = c->y + result;
  out->ldc = c->window.out_count;
  out->epilogue = c->epilogue;
  out->epilogue.row_bias = c->bias != NULL ? c->bias + group * c->out_channels : NULL;
  out->epilogue.residual = c->residual != NULL ? c->residual + result : NULL;
  out->epilogue.residual_stride = c->window.out_count;
}

/* A signal in frames, as for a Fourier transform by filters: rows of a transposed b, which overlap. */
static bool is_framed(const conv *c) {
  const weft_window *window = &c->window;
  const int d = window->rank - 1;
  return c->in_channels == 1 && window->out_count == (size_t)window->out[d] &&
         window->taps == (size_t)window->kernel[d] && window->dilation[d] == 1 && window->pad_begin[d] == 0 &&
         window->pad_end[d] == 0 && window->in_count == (size_t)window->in[d];
}

static void frames_at(const void *arg, size_t index, weft_product *out) {
  const conv *c = arg;
  product_at(arg, index, out);
  out->ldb = (size_t)c->window.stride[c->window.rank - 1];
  out->transposed = true;
}

/* One output position: the weights' rows times the whole input of the group. */
static void vector_at(const void *arg, size_t index, weft_product *out) {
  const conv *c = arg;
  product_at(arg, index, out);
  out->b = out->a;
  out->ldb = c->k;
  out->transposed = true;
  out->a = group_input(c, index);
  out->epilogue.column_bias = out->epilogue.row_bias;
  out->epilogue.row_bias = NULL;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
/* Whether output elements are products of input elements in their own order: kernel 1, no stride, no padding. */
static bool is_pointwise(const weft_window *window) {
  for (int d = 0; d < window->rank; d++) {
    if (window->kernel[d] != 1 || window->stride[d] != 1 || window->pad_begin[d] != 0 || window->pad_end[d] != 0) {
      return false;
    }
  }
  return true;
}

static bool covers_input(const weft_window *window) {
  for (int d = 0; d < window->rank; d++) {
    if (window->kernel[d] != window->in[d] || window->dilation[d] != 1 || window->pad_begin[d] != 0) {
      return false;
    }
  }
  return window->out_count == 1;
}

static void depthwise_planes(void *arg, size_t begin, size_t end) {
  const conv *c = arg;
  const weft_window *v = &c->window;
  const size_t filters = c->groups * c->out_channels, plane = v->out_count;
  const weft_activation activation = c->residual != NULL ? WEFT_ACT_NONE : c->epilogue.activation;
  for (size_t i = begin, count = 1; i < end; i += count) {
    size_t filter = i % filters, image = i / filters, left = end - i < filters - filter ? end - i : filters - filter;
    float *out = c->y + i * plane;
    count = c->out_channels == 1 ? left : 1; /* channels with a filter each, or one with several, filter by filter */
    const float *in = c->x + (image * c->groups + filter / c->out_channels) * v->in_count;
    weft_patches patches = plane_patches(c, in, count);
    c->kernels->depthwise_f32(&patches, c->w + filter * v->taps, c->bias != NULL ? c->bias + filter : NULL, activation,
                              c->epilogue.lo, c->epilogue.hi, out, v->rank == 1 ? 1 : (size_t)v->out[0]);
    if (c->residual != NULL) {
      c->kernels->binary_f32[WEFT_BINARY_ADD](count * plane, out, 1, c->residual + i * plane, 1, out);
      c->kernels->activate_f32(count * plane, out, c->epilogue.activation, c->epilogue.lo, c->epilogue.hi);
    }
  }
}

/* With several channels or three dimensions: the sum of what each plane of a filter makes of its plane of the input,
 * part by part of the result's planes, which are rows or, of a single row, columns. */
typedef struct planes {
  const conv *c;
  size_t depth, lines, line; /* of the result: planes of a volume, parts' units of a plane, floats of these */
  size_t part, parts;        /* lines of a part, parts of a plane */
  float *scratch;            /* a part for each slot */
} planes;

static void sum_planes(const planes *v, size_t filter, size_t z, size_t first, size_t count, const float *x,
                       float *room, float *y) {
  const conv *c = v->c;
  const weft_window *w = &c->window;
  const bool deep = w->rank == 3, flat = w->rank == 1;
  const int64_t kernel = deep ? w->kernel[0] : 1, depth = deep ? w->in[0] : 1;
  const size_t in = deep ? (size_t)(w->in[1] * w->in[2]) : w->in_count, taps = w->taps / (size_t)kernel;
  const size_t n = count * v->line;
  const float *filters = c->w + filter * c->k, none = 0;
  weft_copy_elements(sizeof(float), n, c->bias != NULL ? c->bias + filter : &none, 0, y, 1);
  for (size_t channel = 0; channel < c->in_channels; channel++, x += (size_t)depth * in) {
    for (int64_t i = 0; i < kernel; i++, filters += taps) {
      const int64_t at = deep ? (int64_t)z * w->stride[0] + i * w->dilation[0] - w->pad_begin[0] : 0;
      if (at < 0 || at >= depth) continue;
      weft_patches p = plane_patches(c, x + (size_t)at * in, 1);
      if (flat) {
        p.pad_left -= (int64_t)(first * p.stride_w);
        p.ow = count;
      } else {
        p.pad_top -= (int64_t)(first * p.stride_h);
      }
      c->kernels->depthwise_f32(&p, filters, NULL, WEFT_ACT_NONE, 0, 0, room, flat ? 1 : count);
      c->kernels->binary_f32[WEFT_BINARY_ADD](n, y, 1, room, 1, y);
    }
  }
}

static void sum_parts(void *arg, uint32_t slot, size_t begin, size_t end) {
  const planes *v = arg;
  const conv *c = v->c;
  const size_t filters = c->groups * c->out_channels;
  float *room = v->scratch + slot * v->part * v->line;
  for (size_t task = begin; task < end; task++) {
    const size_t first = task % v->parts * v->part, count = weft_smaller(v->part, v->lines - first);
    const size_t plane = task / v->parts, filter = plane / v->depth; /* over all images */
    const size_t at = (plane * v->lines + first) * v->line, n = count * v->line;
    sum_planes(v, filter % filters, plane % v->depth, first, count,
               c->x + filter / c->out_channels * c->in_channels * c->window.in_count, room, c->y + at);
    if (c->residual != NULL) {
      c->kernels->binary_f32[WEFT_BINARY_ADD](n, c->y + at, 1, c->residual + at, 1, c->y + at);
    }
    c->kernels->activate_f32(n, c->y + at, c->epilogue.activation, c->epilogue.lo, c->epilogue.hi);
  }
}

/* Cuts planes into parts; false where sums of planes are not the way. */
static bool cut_planes(const conv *c, planes *v) {
  const weft_window *w = &c->window;
  const size_t columns = (size_t)w->out[w->rank - 1];
  if (w->rank > 3 || w->taps < 2 || (c->in_channels == 1 && (w->rank < 3 || c->out_channels > DEPTHWISE_FILTERS))) {
    return false;
  }
  *v = (planes){.c = c, .depth = w->rank == 3 ? (size_t)w->out[0] : 1, .line = w->rank == 1 ? 1 : columns};
  v->lines = w->out_count / v->depth / v->line;
  v->part = weft_smaller(v->line < PART ? PART / v->line : 1, v->lines);
  v->parts = weft_parts(v->lines, v->part);
  const weft_patches p = plane_patches(c, c->x, 1);
  /* Packing is worth more the more taps use what is packed, and laying out rows for a filter less with a stride. */
  return c->in_channels == 1 ||
         (c->out_channels <= SUMMED_FILTERS && SUMMED_FILTERS * c->out_channels * p.stride_w <= p.kh * p.kw);
}

static weft_status run_planes(weft_op *op, planes *v) {
  const conv *c = v->c;
  void *scratch = NULL;
  const size_t work = c->k * v->part * v->line;
  WEFT_TRY(weft_op_scratch_array(op, weft_parallel_threads(op->cx) * v->part * v->line, sizeof(float), &scratch));
  v->scratch = scratch;
  weft_parallel_slots(op->cx, c->images * c->groups * c->out_channels * v->depth * v->parts, 1 + 65536 / (work + 1),
                      sum_parts, v);
  return WEFT_OK;
}

static weft_winograd winograd_of(const conv *c) {
  return (weft_winograd){.kernels = c->kernels,
                         .window = &c->window,
                         .images = c->images,
                         .groups = c->groups,
                         .channels = c->in_channels,
                         .filters = c->out_channels,
                         .x = c->x,
                         .weights = c->w,
                         .bias = c->bias,
                         .residual = c->residual,
                         .epilogue = c->epilogue,
                         .y = c->y};
}

/* ---- few channels ------------------------------------------------------------------------------------------------ */
/* Packing patches would be much of the work, so kernels are given rows of the result as a whole. To them the planes of a
 * volume that a plane of the result is made of are channels. */
typedef struct direct {
  const conv *c;
  size_t depth, oh;    /* of the result: planes, and rows of these */
  size_t rows, blocks; /* rows of a task, tasks of a plane */
  size_t deep;         /* planes of a filter's channel */
  float *scratch;
  size_t floats;                /* of each slot */
  const float *zeros, **planes; /* of a volume: a plane beside it, and room for each slot's channels */
} direct;

/* The planes that plane z of the result is made of. */
static void find_planes(const direct *d, const float *x, size_t z, const float **planes) {
  const weft_window *w = &d->c->window;
  const size_t plane = w->in_count / (size_t)w->in[0];
  for (size_t i = 0; i < d->c->in_channels * d->deep; i++) {
    const int64_t at = (int64_t)z * w->stride[0] + (int64_t)(i % d->deep) * w->dilation[0] - w->pad_begin[0];
    const float *channel = x + i / d->deep * w->in_count;
    planes[i] = at >= 0 && at < w->in[0] ? channel + (size_t)at * plane : d->zeros;
  }
}

static void multiply_rows(void *arg, uint32_t slot, size_t begin, size_t end) {
  const direct *d = arg;
  const conv *c = d->c;
  const size_t channels = c->in_channels * d->deep;
  for (size_t i = begin; i < end; i++) {
    const size_t index = i / d->blocks / d->depth, z = i / d->blocks % d->depth, first = i % d->blocks * d->rows;
    const size_t last = first + d->rows, at = z * (c->window.out_count / d->depth);
    weft_patches patches = plane_patches(c, group_input(c, index), channels);
    weft_product p = {0};
    product_at(c, index, &p);
    p.epilogue.residual = p.epilogue.residual != NULL ? p.epilogue.residual + at : NULL;
    if (d->planes != NULL) {
      find_planes(d, patches.in, z, d->planes + slot * channels);
      patches.planes = d->planes + slot * channels;
    }
    c->kernels->conv_f32(&patches, c->out_channels, p.a, &p.epilogue, first, last < d->oh ? last : d->oh, p.c + at,
                         d->depth * d->oh, d->scratch + slot * d->floats);
  }
}

static weft_status run_direct(weft_op *op, const conv *c) {
  const weft_window *window = &c->window;
  const bool volume = window->rank == 3;
  direct d = {.c = c,
              .depth = volume ? (size_t)window->out[0] : 1,
              .oh = window->rank == 1 ? 1 : (size_t)window->out[window->rank - 2],
              .deep = volume ? (size_t)window->kernel[0] : 1,
              .floats = WEFT_CONV_BAND + c->k * WEFT_GEMM_NR};
  const size_t work = window->out_count / d.depth / d.oh * c->k * c->out_channels,
               threads = weft_parallel_threads(op->cx);
  d.rows = 1 + 131072 / (work + 1);
  d.blocks = (d.oh + d.rows - 1) / d.rows;
  void *scratch = NULL;
  WEFT_TRY(weft_op_scratch_array(op, threads * d.floats, sizeof(float), &scratch));
  d.scratch = scratch;
  if (volume) {
    const size_t plane = window->in_count / (size_t)window->in[0];
    WEFT_TRY(weft_op_scratch_array(op, threads * c->in_channels * d.deep, sizeof *d.planes, &scratch));
    d.planes = scratch;
    WEFT_TRY(weft_op_scratch_array(op, plane, sizeof(float), &scratch));
    memset(scratch, 0, plane * sizeof(float));
    d.zeros = scratch;
  }
  weft_parallel_slots(op->cx, c->images * c->groups * d.depth * d.blocks, 1, multiply_rows, &d);
  return WEFT_OK;
}

static bool is_direct(const conv *c) {
  const weft_window *w = &c->window;
  const weft_patches patches = plane_patches(c, c->x, c->in_channels * (w->rank == 3 ? (size_t)w->kernel[0] : 1));
  return w->rank <= 3 && w->in_count > 0 && weft_conv_is_direct(&patches, c->out_channels);
}

/* A volume whose filters have one tap along the last dimension, as a plane: rows of it are the last two dimensions, and
 * taps as far apart as the last is long. (Of many channels only where those have one tap, too: Winograd's tiles would
 * have to gather them.) */
static void flatten(const conv *c, weft_window *w) {
  const bool last = w->rank == 3 && w->kernel[2] == 1 && w->stride[2] == 1 && w->out[2] == w->in[2];
  if (!last || w->pad_begin[2] != 0 || w->stride[1] != 1 || (w->kernel[1] != 1 && c->in_channels > 1)) return;
  const int64_t length = w->in[2];
  w->rank = 2;
  w->in[1] *= length;
  w->out[1] *= length;
  w->dilation[1] *= length;
  w->pad_begin[1] *= length;
  w->pad_end[1] *= length;
}

static weft_status run_floats(weft_op *op, conv *c) {
  weft_tensor *y = weft_op_out(op, 0);
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, 0), &c->x));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, 1), &c->w));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, 2), &c->bias));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, 3), &c->residual));
  WEFT_TRY(weft_op_floats_out(op, y, &c->y));
  const weft_window *window = &c->window;
  flatten(c, &c->window);
  weft_products products = {.count = c->images * c->groups,
                            .m = c->out_channels,
                            .n = window->out_count,
                            .k = c->k,
                            .arg = c,
                            .at = product_at};
  if (window->in_count > INT32_MAX) {
    return weft_op_unsupported(op, "a plane of more than 2^31 elements");
  }
  planes planes;
  const weft_winograd winograd = winograd_of(c);
  if (weft_winograd_pays(&winograd)) {
    WEFT_TRY(weft_winograd_run(op, &winograd));
    weft_op_floats_done(op, y, c->y);
    return WEFT_OK;
  }
  if (covers_input(window)) {
    products.m = 1;
    products.n = c->out_channels;
    products.at = vector_at;
  } else if (is_framed(c) && (c->out_channels > DEPTHWISE_FILTERS || window->stride[window->rank - 1] > 2)) {
    products.at = frames_at;
  } else if (c->in_channels == 1 && c->out_channels <= DEPTHWISE_FILTERS && window->rank <= 2 && window->taps > 1) {
    size_t work = window->out_count * window->taps;
    weft_parallel(op->cx, c->images * c->groups * c->out_channels, 1 + 16384 / (work + 1), depthwise_planes, c);
    weft_op_floats_done(op, y, c->y);
    return WEFT_OK;
  } else if (cut_planes(c, &planes)) {
    WEFT_TRY(run_planes(op, &planes));
    weft_op_floats_done(op, y, c->y);
    return WEFT_OK;
  } else if (!is_pointwise(window) && is_direct(c)) {
    WEFT_TRY(run_direct(op, c));
    weft_op_floats_done(op, y, c->y);
    return WEFT_OK;
  } else if (window->rank <= 2 && !is_pointwise(window)) {
    products.pack = pack_plane_patches;
  } else if (!is_pointwise(window)) {
    products.pack = pack_patches;
    products.scratch_fixed = axes_room(window) * sizeof(int64_t) + window->taps * (WEFT_GEMM_NR * sizeof(int32_t) + 1);
  }
  WEFT_TRY(weft_products_run(op, &products));
  weft_op_floats_done(op, y, c->y);
  return WEFT_OK;
}

/* Double precision is rare: the definition, one output element after the other. */
static weft_status run_double(weft_op *op, const conv *c) {
  const double *x = weft_op_in(op, 0)->data, *w = weft_op_in(op, 1)->data;
  const double *bias = weft_op_has(op, 2) ? weft_op_in(op, 2)->data : NULL;
  double *y = weft_op_out(op, 0)->data;
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, c->window.taps, sizeof(int64_t), &room));
  int64_t *offsets = room;
  int64_t position[WEFT_MAX_RANK] = {0};
  for (size_t at = 0; at < c->window.out_count; at++) {
    weft_window_offsets(&c->window, position, offsets);
    for (size_t i = 0; i < c->images * c->groups * c->out_channels; i++) {
      size_t filter = i % (c->groups * c->out_channels);
      const double *plane = x + i / c->out_channels * c->in_channels * c->window.in_count;
      const double *weight = w + filter * c->k;
      weft_sum sum = {bias != NULL ? bias[filter] : 0, 0};
      double part = 0; /* of some terms */
      size_t terms = 0;
      for (size_t channel = 0; channel < c->in_channels; channel++, plane += c->window.in_count) {
        for (size_t t = 0; t < c->window.taps; t++, weight++) {
          part += offsets[t] >= 0 ? *weight * plane[offsets[t]] : 0;
          if (++terms % 64 == 0) {
            weft_sum_add(&sum, part);
            part = 0;
          }
        }
      }
      weft_sum_add(&sum, part);
      y[i * c->window.out_count + at] = weft_sum_end(&sum);
    }
    weft_window_next(c->window.rank, c->window.out, position);
  }
  return WEFT_OK;
}

weft_status weft_conv_run(weft_op *op) {
  conv c;
  weft_shape out;
  WEFT_TRY(make(op, &c, &out));
  if (weft_op_out(op, 0) == NULL || weft_op_out(op, 0)->count == 0) {
    return WEFT_OK;
  }
  return weft_op_in(op, 0)->type == WEFT_DOUBLE ? run_double(op, &c) : run_floats(op, &c);
}
