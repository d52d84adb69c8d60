/* ConvInteger, QLinearConv and Weft's own QConv: the weights packed as the left matrix (once, when constant), the patches
 * of a block of output positions gathered as bytes, packed as the right matrix, and the sums finished while they are in
 * the cache. Where a channel meets only its own filters there is a direct kernel. Padding holds the input's zero point. */
#include "../kernels/conv_i8.h"
#include "integer.h"
#include "product.h"
#include "spatial.h"

#include <string.h>

enum {
  BLOCK_BYTES = 131072,
  LARGEST_BLOCK = 1024,
  DEPTHWISE_FILTERS = 4,
  /* For each thread: so many tasks come out even as they are; fewer panels or filters are not cut. */
  FEW_TASKS = 8,
  FEW_PANELS = 6,
  FEW_FILTERS = 16
};

typedef struct conv {
  const weft_kernels *kernels;
  weft_window window;
  size_t images, groups, in_channels, out_channels; /* channels: of one group */
  size_t k;
  const uint8_t *x;
  weft_pool_axis rows, columns; /* the window again, where it has at most two dimensions */
  bool x_signed, w_signed;
  int32_t x_zero;
  const int32_t *w_zeros, *bias; /* of all filters */
  const int16_t *direct;         /* the weights less their zero points, for the direct kernel */
  const float *scales, *added;
  const uint8_t *w_packed; /* group after group */
  size_t w_group;          /* bytes */
  weft_sums sums;
  size_t unit;          /* output positions that stay together: a panel, or a row for the direct kernel */
  size_t block, blocks; /* output positions of a task, at most; blocks of a group */
  size_t part, parts;   /* filters of a task; tasks of a block */
  char *scratch;
  size_t slot_size;
} conv;

static const weft_integer_roles *roles_for(const weft_op *op) {
  static const weft_integer_roles roles_of[] = {
      [WEFT_INTEGER_PLAIN] = {0, -1, 2, 1, -1, 3, -1, -1, -1, 2, 4},
      [WEFT_INTEGER_QLINEAR] = {0, 1, 2, 3, 4, 5, 8, 6, 7, 8, 9},
      [WEFT_INTEGER_FUSED] = WEFT_INTEGER_FUSED_ROLES,
  };
  return &roles_of[op->def->variant];
}
static const weft_tensor *weights(const weft_op *op) {
  return weft_op_in(op, roles_for(op)->b);
}

static weft_status make(weft_op *op, conv *c, weft_shape *out) {
  const weft_tensor *x = weft_op_in(op, 0), *w = weights(op);
  *c = (conv){.kernels = op->cx->kernels, .x_signed = x->type == WEFT_INT8, .w_signed = w->type == WEFT_INT8};
  int rank = x->shape.rank - 2;
  int64_t group = weft_op_attr_int(op, "group", 1);
  if (w->shape.rank != x->shape.rank) {
    return weft_op_fail(op, "the weight has %d dimensions where the input has %d", w->shape.rank, x->shape.rank);
  }
  int64_t channels = x->shape.dims[1], filters = w->shape.dims[0];
  if (group < 1 || group > filters || filters % group != 0 || channels % group != 0 ||
      w->shape.dims[1] != channels / group) {
    return weft_op_fail(op, "%lld input channels, %lld filters of %lld channels and group %lld do not go together",
                        (long long)channels, (long long)filters, (long long)w->shape.dims[1], (long long)group);
  }
  WEFT_TRY(weft_window_read(op, rank, x->shape.dims + 2, w->shape.dims + 2, &c->window));
  WEFT_TRY(weft_window_forward(op, false, &c->window));
  c->images = (size_t)x->shape.dims[0];
  c->groups = (size_t)group;
  c->in_channels = (size_t)(channels / group);
  c->out_channels = (size_t)(filters / group);
  c->k = c->in_channels * c->window.taps;
  *out = (weft_shape){.rank = rank + 2, .dims = {x->shape.dims[0], filters}};
  memcpy(out->dims + 2, c->window.out, (size_t)rank * sizeof *out->dims);
  return WEFT_OK;
}

weft_status weft_conv_integer_infer(weft_op *op) {
  const weft_integer_roles *r = roles_for(op);
  WEFT_TRY(weft_op_expect_inputs(op, r->required, r->inputs));
  WEFT_TRY(weft_op_expect_type(op, r->a, "x", WEFT_TYPES_BYTE));
  WEFT_TRY(weft_op_expect_type(op, r->b, "w", WEFT_TYPES_BYTE));
  WEFT_TRY(weft_op_expect_rank(op, r->a, "x", 3, WEFT_MAX_RANK));
  WEFT_TRY(weft_op_expect_type(op, r->a_zero, "x_zero_point", WEFT_TYPE_BIT(weft_op_in(op, 0)->type)));
  WEFT_TRY(weft_op_expect_type(op, r->b_zero, "w_zero_point", WEFT_TYPE_BIT(weights(op)->type)));
  weft_type type = WEFT_INT32;
  conv c;
  weft_shape out;
  WEFT_TRY(make(op, &c, &out));
  if (r->b_scale >= 0) {
    const weft_tensor *y_zero = weft_op_in(op, r->y_zero);
    bool fused = op->def->variant == WEFT_INTEGER_FUSED;
    WEFT_TRY(weft_op_expect_type(op, r->a_scale, "x_scale", WEFT_TYPE_BIT(WEFT_FLOAT)));
    WEFT_TRY(weft_op_expect_type(op, r->b_scale, "w_scale", WEFT_TYPE_BIT(WEFT_FLOAT)));
    WEFT_TRY(weft_op_expect_type(op, r->y_scale, "y_scale", WEFT_TYPE_BIT(WEFT_FLOAT)));
    WEFT_TRY(weft_op_expect_type(op, r->y_zero, "y_zero_point", WEFT_TYPES_BYTE));
    WEFT_TRY(weft_op_expect_type(op, r->bias, "B", WEFT_TYPE_BIT(fused ? WEFT_FLOAT : WEFT_INT32)));
    WEFT_TRY(weft_op_expect_count(op, r->bias, "B", c.groups * c.out_channels));
    type = y_zero != NULL ? y_zero->type : WEFT_FLOAT;
  }
  WEFT_TRY(weft_integer_expect_residual(op, &out));
  return weft_op_set(op, 0, type, &out);
}

/* ---- packing the weights ----------------------------------------------------------------------------------------- */
static void pack_weights(const weft_kernels *kernels, const weft_tensor *w, size_t groups, const int32_t *zeros,
                         uint8_t *out) {
  size_t filters = (size_t)w->shape.dims[0] / groups, k = w->count / (size_t)w->shape.dims[0];
  for (size_t g = 0; g < groups; g++) {
    kernels->gemm_i8_pack_a(filters, k, (const uint8_t *)w->data + g * filters * k, k, w->type == WEFT_INT8,
                            zeros + g * filters, 1, out + g * kernels->gemm_i8_a_size(filters, k, true), true);
  }
}

/* By the weights' shape; a window may yet be too large for the kernel. */
static bool is_direct(size_t in_channels, size_t out_channels, int rank) {
  return in_channels == 1 && out_channels <= DEPTHWISE_FILTERS && rank <= 2;
}

weft_status weft_conv_integer_prepare(weft_op *op) {
  const weft_integer_roles *r = roles_for(op);
  const weft_tensor *w = weights(op), *zero = weft_op_in(op, r->b_zero);
  int64_t group = weft_op_attr_int(op, "group", 1);
  if (!weft_op_is_constant(op, r->b) || (zero != NULL && !weft_op_is_constant(op, r->b_zero)) || w == NULL ||
      w->count == 0 || w->shape.rank < 3 || (WEFT_TYPE_BIT(w->type) & WEFT_TYPES_BYTE) == 0 || group < 1 ||
      w->shape.dims[0] % group != 0 ||
      (zero != NULL && (zero->count == 0 || (size_t)w->shape.dims[0] % zero->count != 0)) ||
      is_direct((size_t)w->shape.dims[1], (size_t)(w->shape.dims[0] / group), w->shape.rank - 2)) {
    return WEFT_OK;
  }
  size_t filters = (size_t)w->shape.dims[0];
  size_t size = op->cx->kernels->gemm_i8_a_size(filters, w->count / filters, true);
  void *zeros = NULL, *state = NULL;
  WEFT_TRY(weft_op_scratch_array(op, filters, sizeof(int32_t), &zeros));
  WEFT_TRY(weft_op_zero_points(op, zero, "w_zero_point", filters, zeros));
  WEFT_TRY(weft_op_state(op, size, &state));
  pack_weights(op->cx->kernels, w, (size_t)group, zeros, state);
  weft_op_drop_constant(op, r->b);
  return WEFT_OK;
}

/* ---- patches ----------------------------------------------------------------------------------------------------- */
/* The bytes that `tap` meets at output positions [first, first + count), padding being `zero`: for windows of more
 * dimensions than the kernel knows. */
static void gather_any(const weft_window *window, const uint8_t *plane, const int64_t *tap, size_t first, size_t count,
                       uint8_t zero, uint8_t *out) {
  int last = window->rank - 1;
  int64_t position[WEFT_MAX_RANK];
  weft_position(first, window->rank, window->out, position);
  while (count > 0) {
    size_t n = (size_t)(window->out[last] - position[last]);
    n = n < count ? n : count;
    int64_t row = 0;
    for (int d = 0; d < last && row >= 0; d++) {
      int64_t at = position[d] * window->stride[d] - window->pad_begin[d] + tap[d] * window->dilation[d];
      row = at < 0 || at >= window->in[d] ? -1 : row * window->in[d] + at;
    }
    int64_t stride = window->stride[last], width = window->in[last];
    int64_t x = position[last] * stride - window->pad_begin[last] + tap[last] * window->dilation[last];
    const uint8_t *line = row >= 0 ? plane + row * width : plane;
    bool inside = row >= 0 && x >= 0 && x + (int64_t)(n - 1) * stride < width;
    if (inside && stride == 1) {
      memcpy(out, line + x, n);
    } else {
      for (size_t i = 0; i < n; i++, x += stride) {
        out[i] = row >= 0 && x >= 0 && x < width ? line[x] : zero;
      }
    }
    out += n;
    count -= n;
    position[last] = window->out[last] - 1;
    weft_window_next(window->rank, window->out, position);
  }
}

static bool is_pointwise(const weft_window *window) {
  for (int d = 0; d < window->rank; d++) {
    if (window->kernel[d] != 1 || window->stride[d] != 1 || window->pad_begin[d] != 0 || window->pad_end[d] != 0) {
      return false;
    }
  }
  return true;
}

/* The parts of a slot's scratch. */
typedef struct slot_parts {
  int32_t *sums;  /* [filters of a group][block] */
  float *row;     /* [block] */
  uint8_t *bytes; /* [k][block] */
  void *packed;
} slot_parts;

static slot_parts parts_of(const conv *c, uint32_t slot) {
  char *at = c->scratch + slot * c->slot_size;
  slot_parts parts = {.sums = (int32_t *)at};
  at += c->out_channels * c->block * sizeof(int32_t);
  parts.row = (float *)at;
  at += c->block * sizeof(float);
  parts.packed = at;
  at += (c->kernels->gemm_i8_b_size(c->block, c->k, true) + 15) / 16 * 16;
  parts.bytes = (uint8_t *)at;
  return parts;
}

/* What one task makes: some positions of some filters of a group (index counts images times groups). */
typedef struct task {
  size_t index, first, count, filter, filters;
} task;

static size_t block_begin(const conv *c, size_t block) {
  return weft_share_begin(c->window.out_count, c->unit, block, c->blocks);
}

static task task_of(const conv *c, size_t i) {
  const size_t block = i / c->parts % c->blocks;
  task t = {.index = i / c->parts / c->blocks,
            .first = block_begin(c, block),
            .filter = i % c->parts * c->part,
            .filters = c->part};
  t.count = block_begin(c, block + 1) - t.first;
  t.filters = weft_smaller(t.filters, c->out_channels - t.filter);
  return t;
}

/* sums[filter][position] of one block by a product. */
static void multiply_block(const conv *c, const task *t, const slot_parts *parts) {
  const size_t index = t->index, first = t->first, count = t->count;
  const weft_window *window = &c->window;
  const uint8_t *x = c->x + index * c->in_channels * window->in_count;
  const void *b = x + first;
  size_t ldb = window->in_count;
  if (!is_pointwise(window)) {
    uint8_t *out = parts->bytes;
    for (size_t channel = 0; channel < c->in_channels; channel++) {
      int64_t tap[WEFT_MAX_RANK] = {0};
      for (size_t t = 0; t < window->taps; t++, out += count) {
        const uint8_t *plane = x + channel * window->in_count;
        if (window->rank <= 2) {
          weft_gather_i8(plane, &c->rows, &c->columns, t / c->columns.kernel, t % c->columns.kernel, first, count,
                         (uint8_t)c->x_zero, out);
        } else {
          gather_any(window, plane, tap, first, count, (uint8_t)c->x_zero, out);
        }
        weft_window_next(window->rank, window->kernel, tap);
      }
    }
    b = parts->bytes;
    ldb = count;
  }
  c->kernels->gemm_i8_pack_b(count, c->k, b, ldb, false, c->x_signed, &c->x_zero, 0, parts->packed, true);
  const uint8_t *w = c->w_packed + index % c->groups * c->w_group + c->kernels->gemm_i8_a_size(t->filter, c->k, true);
  c->kernels->gemm_i8(t->filters, count, c->k, w, parts->packed, 0, parts->sums, count, true);
}

/* The same where the group has one channel; blocks are whole rows. */
static void add_block(const conv *c, const task *t, const slot_parts *parts) {
  for (size_t i = 0; i < t->filters; i++) {
    size_t filter = t->index % c->groups * c->out_channels + t->filter + i;
    c->kernels->depthwise_i8(c->x + t->index * c->window.in_count, &c->rows, &c->columns,
                             c->direct + filter * c->window.taps, c->x_zero, c->x_signed, t->first / c->columns.out,
                             (t->first + t->count) / c->columns.out, parts->sums + i * t->count);
  }
}

static void run_blocks(void *arg, uint32_t slot, size_t begin, size_t end) {
  const conv *c = arg;
  size_t out_count = c->window.out_count;
  slot_parts parts = parts_of(c, slot);
  for (size_t i = begin; i < end; i++) {
    const task t = task_of(c, i);
    (c->direct != NULL ? add_block : multiply_block)(c, &t, &parts);
    for (size_t f = 0; f < t.filters; f++) {
      size_t channel = t.filter + f, filter = t.index % c->groups * c->out_channels + channel;
      weft_rescale rescale = {.bias = c->bias != NULL ? c->bias + filter : NULL,
                              .scale = c->scales != NULL ? c->scales + filter : NULL,
                              .added = c->added != NULL ? c->added + filter : NULL};
      weft_sums_store(&c->sums, t.count, parts.sums + f * t.count, &rescale, parts.row,
                      (t.index * c->out_channels + channel) * out_count + t.first);
    }
  }
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
static weft_status place_numbers(weft_op *op, conv *c) {
  const weft_integer_roles *r = roles_for(op);
  const weft_tensor *bias = weft_op_in(op, r->bias);
  size_t filters = c->groups * c->out_channels;
  float x_scale = 1, divisor = 1;
  void *room = NULL;
  WEFT_TRY(weft_op_zero_points(op, weft_op_in(op, r->a_zero), "x_zero_point", 1, &c->x_zero));
  WEFT_TRY(weft_op_scratch_array(op, filters, sizeof(int32_t), &room));
  WEFT_TRY(weft_op_zero_points(op, weft_op_in(op, r->b_zero), "w_zero_point", filters, room));
  c->w_zeros = room;
  WEFT_TRY(weft_sums_place(op, r, &c->sums, &divisor));
  if (r->b_scale < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scales(op, weft_op_in(op, r->a_scale), "x_scale", 1, &x_scale));
  WEFT_TRY(weft_op_scratch_array(op, filters, 2 * sizeof(float), &room));
  float *scales = room, *added = scales + filters;
  WEFT_TRY(weft_op_scales(op, weft_op_in(op, r->b_scale), "w_scale", filters, scales));
  for (size_t i = 0; i < filters; i++) {
    scales[i] *= x_scale / divisor;
  }
  c->scales = scales;
  if (bias != NULL && bias->type == WEFT_INT32) {
    c->bias = bias->data;
  } else if (bias != NULL) {
    for (size_t i = 0; i < filters; i++) {
      added[i] = ((const float *)bias->data)[i] / divisor;
    }
    c->added = added;
  }
  return WEFT_OK;
}

/* Few blocks become as many for each thread, rather fewer and larger ones, for each takes a while to begin. Where
 * positions are few, filters are shared out instead and the threads pack the same patches. */
static void share_out(conv *c, size_t threads) {
  const size_t planes = c->images * c->groups, tasks = planes * c->blocks;
  if (tasks >= FEW_TASKS * threads || tasks % threads == 0) return;
  if (weft_parts(c->window.out_count, WEFT_GEMM_NR) >= FEW_PANELS * threads) {
    const size_t each = (c->blocks + (threads - 1) / 2) / threads;
    c->blocks = (each > 0 ? each : 1) * threads;
  } else if (c->out_channels >= FEW_FILTERS * threads) {
    c->part = weft_parts(c->out_channels, threads);
    c->parts = weft_parts(c->out_channels, c->part);
  }
}

static weft_status place_scratch(weft_op *op, conv *c) {
  size_t positions = BLOCK_BYTES / (c->k + c->out_channels * sizeof(int32_t)) / WEFT_GEMM_NR * WEFT_GEMM_NR;
  positions = positions < 4 * WEFT_GEMM_NR ? 4 * WEFT_GEMM_NR : positions > LARGEST_BLOCK ? LARGEST_BLOCK : positions;
  if (c->direct != NULL) {
    positions = (LARGEST_BLOCK / c->columns.out + 1) * c->columns.out;
  }
  c->unit = c->direct != NULL ? c->columns.out : WEFT_GEMM_NR;
  c->blocks = weft_parts(c->window.out_count, positions);
  c->part = c->out_channels;
  c->parts = 1;
  if (c->direct == NULL) share_out(c, weft_parallel_threads(op->cx));
  positions = weft_parts(weft_parts(c->window.out_count, c->unit), c->blocks) * c->unit;
  c->block = positions;
  size_t bytes = 0, sums = 0;
  if (!weft_mul(c->k, positions, &bytes) || !weft_mul(c->out_channels, positions * sizeof(int32_t), &sums) ||
      !weft_add(bytes, sums, &c->slot_size) ||
      !weft_add(c->kernels->gemm_i8_b_size(positions, c->k, true), positions * sizeof(float) + 96, &sums) ||
      !weft_add(c->slot_size, sums, &c->slot_size)) {
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the patches are larger than the address space");
  }
  c->slot_size = c->slot_size / 64 * 64;
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, weft_parallel_threads(op->cx), c->slot_size, &room));
  c->scratch = room;
  return WEFT_OK;
}

static weft_status place_direct(weft_op *op, conv *c) {
  const weft_tensor *w = weights(op);
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, w->count, sizeof(int16_t), &room));
  int16_t *out = room;
  for (size_t i = 0; i < w->count; i++) {
    uint8_t value = ((const uint8_t *)w->data)[i];
    out[i] = (int16_t)((c->w_signed ? (int8_t)value : value) - c->w_zeros[i / c->window.taps]);
  }
  c->direct = out;
  return WEFT_OK;
}

weft_status weft_conv_integer_run(weft_op *op) {
  conv c;
  weft_shape out;
  WEFT_TRY(make(op, &c, &out));
  c.sums.y = weft_op_out(op, 0);
  if (c.sums.y == NULL || c.sums.y->count == 0) {
    return WEFT_OK;
  }
  c.x = weft_op_in(op, 0)->data;
  WEFT_TRY(place_numbers(op, &c));
  if (c.window.rank <= 2) {
    c.rows = weft_window_axis(&c.window, c.window.rank - 2);
    c.columns = weft_window_axis(&c.window, c.window.rank - 1);
  }
  if (is_direct(c.in_channels, c.out_channels, c.window.rank) && weft_depthwise_i8_fits(&c.rows, &c.columns)) {
    WEFT_TRY(place_direct(op, &c));
  }
  WEFT_TRY(place_scratch(op, &c));
  c.w_group = c.kernels->gemm_i8_a_size(c.out_channels, c.k, true);
  c.w_packed = op->node->state;
  if (c.direct == NULL && c.w_packed == NULL) {
    void *room = NULL;
    WEFT_TRY(weft_op_scratch_array(op, c.groups, c.w_group, &room));
    pack_weights(c.kernels, weights(op), c.groups, c.w_zeros, room);
    c.w_packed = room;
  }
  weft_parallel_slots(op->cx, c.images * c.groups * c.blocks * c.parts, 1, run_blocks, &c);
  return WEFT_OK;
}
