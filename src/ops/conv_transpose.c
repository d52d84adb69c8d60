/* Transposed convolution without stuffing zeros: a product of the transposed weights with the input gives every tap's
 * contribution at every input position, which is then added where it belongs. Output channels are made in chunks, so
 * that a chunk's contributions stay in the cache and threads never meet in one plane. */
#include "contributions.h"
#include "product.h"

#include <string.h>

enum { CHUNK_FLOATS = 131072 }; /* of contributions */

typedef struct transposed {
  const weft_kernels *kernels;
  weft_window window; /* `in` and `out` as the operator sees them */
  size_t images, groups;
  size_t in_channels, out_channels; /* of one group */
  const float *x, *bias, *residual;
  const float *w; /* [group][out channel][tap][in channel] */
  float *y;
  weft_epilogue epilogue; /* the activation alone */
} transposed;

/* Inputs from the third on: bias and residual, or, in com.microsoft's variant, pads and bias. */
enum { PADS = 2, RESIDUAL = 3 };

static int bias_at(const weft_op *op) {
  return op->def->variant == WEFT_CONV_DYNAMIC_PADS ? 3 : 2;
}

static weft_status make_window(weft_op *op, const weft_shape *x, const weft_shape *w, weft_window *window) {
  int64_t pads[2 * WEFT_MAX_RANK];
  size_t count = 0, wanted = 2 * (size_t)(x->rank - 2);
  WEFT_TRY(weft_window_read(op, x->rank - 2, x->dims + 2, w->dims + 2, window));
  if (op->def->variant != WEFT_CONV_DYNAMIC_PADS || !weft_op_has(op, PADS)) {
    return weft_window_backward(op, NULL, window);
  }
  WEFT_TRY(weft_op_ints(op, PADS, "Pads", 2 * WEFT_MAX_RANK, pads, &count));
  return count == wanted ? weft_window_backward(op, pads, window)
                         : weft_op_fail(op, "input 'Pads' holds %zu numbers, expected %zu", count, wanted);
}

static weft_status make(weft_op *op, transposed *c, weft_shape *out) {
  const weft_tensor *x = weft_op_in(op, 0), *w = weft_op_in(op, 1);
  *c = (transposed){.kernels = op->cx->kernels};
  int rank = x->shape.rank - 2;
  int64_t group = weft_op_attr_int(op, "group", 1);
  if (w->shape.rank != x->shape.rank) {
    return weft_op_fail(op, "input 'W' has %d dimensions where 'X' has %d", w->shape.rank, x->shape.rank);
  }
  int64_t channels = x->shape.dims[1];
  if (group < 1 || w->shape.dims[0] != channels || channels % group != 0 || w->shape.dims[1] > INT64_MAX / group) {
    return weft_op_fail(op, "%lld input channels, weights for %lld and group %lld do not go together",
                        (long long)channels, (long long)w->shape.dims[0], (long long)group);
  }
  int64_t filters = w->shape.dims[1] * group;
  WEFT_TRY(weft_op_expect_rank(op, bias_at(op), "B", 1, 1));
  WEFT_TRY(weft_op_expect_count(op, bias_at(op), "B", (size_t)filters));
  WEFT_TRY(make_window(op, &x->shape, &w->shape, &c->window));
  c->images = (size_t)x->shape.dims[0];
  c->groups = (size_t)group;
  c->in_channels = (size_t)(channels / group);
  c->out_channels = (size_t)w->shape.dims[1];
  *out = (weft_shape){.rank = rank + 2, .dims = {x->shape.dims[0], filters}};
  memcpy(out->dims + 2, c->window.out, (size_t)rank * sizeof *out->dims);
  return op->def->variant == WEFT_CONV_FUSED ? weft_op_activation(op, &c->epilogue) : WEFT_OK;
}

weft_status weft_conv_transpose_infer(weft_op *op) {
  bool fused = op->def->variant == WEFT_CONV_FUSED, dynamic = op->def->variant == WEFT_CONV_DYNAMIC_PADS;
  WEFT_TRY(weft_op_expect_inputs(op, 2, fused || dynamic ? 4 : 3));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", fused ? WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE) : WEFT_TYPES_FLOAT));
  for (int i = 1; i < op->input_count; i++) {
    if (weft_op_has(op, i) && !(dynamic && i == PADS)) {
      WEFT_TRY(weft_op_expect_same_type(op, 0, i));
    }
  }
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 3, WEFT_MAX_RANK));
  transposed c;
  weft_shape out;
  WEFT_TRY(make(op, &c, &out));
  if (fused && weft_op_has(op, RESIDUAL) && !weft_shape_equal(&weft_op_in(op, RESIDUAL)->shape, &out)) {
    return weft_op_fail(op, "the residual's shape is not the result's");
  }
  return weft_op_set(op, 0, weft_op_in(op, 0)->type, &out);
}

/* W[in channel][out channel][tap] of each group, turned. */
static void turn_weights(const weft_kernels *kernels, const weft_tensor *w, size_t groups, const float *in,
                         float *out) {
  size_t rows = (size_t)w->shape.dims[0] / groups, columns = rows > 0 ? w->count / groups / rows : 0;
  for (size_t g = 0; g < groups; g++) {
    kernels->transpose(rows, columns, sizeof(float), in + g * rows * columns, columns, out + g * rows * columns, rows);
  }
}

weft_status weft_conv_transpose_prepare(weft_op *op) {
  const weft_tensor *w = weft_op_in(op, 1);
  int64_t group = weft_op_attr_int(op, "group", 1);
  if (!weft_op_is_constant(op, 1) || w->type != WEFT_FLOAT || w->shape.rank < 2 || w->count == 0 || group < 1 ||
      w->shape.dims[0] % group != 0) {
    return WEFT_OK;
  }
  void *state = NULL;
  WEFT_TRY(weft_op_state(op, w->count * sizeof(float), &state));
  turn_weights(op->cx->kernels, w, (size_t)group, w->data, state);
  weft_op_drop_constant(op, 1);
  return WEFT_OK;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
typedef struct chunks {
  const transposed *c;
  size_t index; /* image and group */
  size_t channels, scratch_floats;
  const float *packed; /* the input of this image and group */
  float *scratch;      /* one part a slot */
} chunks;

static void run_chunks(void *arg, uint32_t slot, size_t begin, size_t end) {
  const chunks *job = arg;
  const transposed *c = job->c;
  const weft_window *window = &c->window;
  float *contributions = job->scratch + slot * job->scratch_floats;
  size_t group = job->index % c->groups;
  for (size_t chunk = begin; chunk < end; chunk++) {
    size_t first = chunk * job->channels;
    size_t count = c->out_channels - first < job->channels ? c->out_channels - first : job->channels;
    weft_product product = {.a = c->w + (group * c->out_channels + first) * window->taps * c->in_channels,
                            .lda = c->in_channels,
                            .packed = job->packed,
                            .c = contributions,
                            .ldc = window->in_count};
    weft_product_run(c->kernels, count * window->taps, window->in_count, c->in_channels, &product, false, NULL);
    for (size_t i = 0; i < count; i++) {
      float bias = c->bias != NULL ? c->bias[group * c->out_channels + first + i] : 0;
      float *out = c->y + (job->index * c->out_channels + first + i) * window->out_count;
      weft_contributions_add(window, contributions + i * window->taps * window->in_count, bias,
                             contributions + job->channels * window->taps * window->in_count, out);
      if (c->residual != NULL) {
        const float *residual = c->residual + (out - c->y);
        c->kernels->binary_f32[WEFT_BINARY_ADD](window->out_count, out, 1, residual, 1, out);
      }
      c->kernels->activate_f32(window->out_count, out, c->epilogue.activation, c->epilogue.lo, c->epilogue.hi);
    }
  }
}

static weft_status run_floats(weft_op *op, transposed *c) {
  const weft_window *window = &c->window;
  weft_tensor *y = weft_op_out(op, 0);
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, 0), &c->x));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, bias_at(op)), &c->bias));
  if (op->def->variant == WEFT_CONV_FUSED) {
    WEFT_TRY(weft_op_floats(op, weft_op_in(op, RESIDUAL), &c->residual));
  }
  WEFT_TRY(weft_op_floats_out(op, y, &c->y));
  c->w = op->node->state;
  void *room = NULL;
  if (c->w == NULL) {
    const weft_tensor *w = weft_op_in(op, 1);
    const float *plain = NULL;
    WEFT_TRY(weft_op_floats(op, w, &plain));
    WEFT_TRY(weft_op_scratch_array(op, w->count, sizeof(float), &room));
    turn_weights(c->kernels, w, c->groups, plain, room);
    c->w = room;
  }
  size_t per_channel = 0;
  if (!weft_mul(window->taps, window->in_count, &per_channel)) {
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the contributions are larger than the address space");
  }
  chunks job = {.c = c, .channels = per_channel < CHUNK_FLOATS && per_channel > 0 ? CHUNK_FLOATS / per_channel : 1};
  size_t threads = weft_parallel_threads(op->cx), share = (c->out_channels + threads - 1) / threads;
  job.channels = job.channels < share ? job.channels : share;
  if (!weft_mul(job.channels, per_channel, &job.scratch_floats) ||
      !weft_add(job.scratch_floats, weft_contributions_room(window), &job.scratch_floats) ||
      !weft_mul(job.scratch_floats, sizeof(float), &job.scratch_floats)) {
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the contributions are larger than the address space");
  }
  WEFT_TRY(weft_op_scratch_array(op, threads, job.scratch_floats, &room));
  job.scratch = room;
  job.scratch_floats /= sizeof(float);
  WEFT_TRY(weft_op_scratch_array(op, weft_gemm_packed_size(window->in_count, c->in_channels), sizeof(float), &room));
  job.packed = room;
  for (job.index = 0; job.index < c->images * c->groups; job.index++) {
    c->kernels->gemm_f32_pack(window->in_count, c->in_channels, c->x + job.index * c->in_channels * window->in_count,
                              window->in_count, false, room);
    weft_parallel_slots(op->cx, (c->out_channels + job.channels - 1) / job.channels, 1, run_chunks, &job);
  }
  weft_op_floats_done(op, y, c->y);
  return WEFT_OK;
}

/* Double precision is rare: the definition. */
static void run_double(const weft_op *op, const transposed *c) {
  const double *x = weft_op_in(op, 0)->data, *w = weft_op_in(op, 1)->data;
  const double *bias = weft_op_in(op, bias_at(op)) != NULL ? weft_op_in(op, bias_at(op))->data : NULL;
  double *y = weft_op_out(op, 0)->data;
  const weft_window *window = &c->window;
  int rank = window->rank;
  for (size_t plane = 0; plane < c->images * c->groups * c->out_channels; plane++) {
    size_t channel = plane % c->out_channels, index = plane / c->out_channels, group = index % c->groups;
    double *out = y + plane * window->out_count;
    for (size_t at = 0; at < window->out_count; at++) {
      out[at] = bias != NULL ? bias[group * c->out_channels + channel] : 0;
    }
    for (size_t i = 0; i < c->in_channels && window->in_count > 0; i++) {
      const double *weight = w + ((group * c->in_channels + i) * c->out_channels + channel) * window->taps;
      int64_t tap[WEFT_MAX_RANK] = {0};
      do {
        const double *in = x + (index * c->in_channels + i) * window->in_count;
        weft_reach r = weft_reach_of(window, rank - 1, tap[rank - 1]);
        int64_t row[WEFT_MAX_RANK] = {0};
        do {
          int64_t number = weft_output_place(window, rank - 1, row, tap), offset = number * window->out[rank - 1];
          for (int64_t at = r.begin; number >= 0 && at < r.end; at++) {
            out[offset + r.first + (at - r.begin) * window->stride[rank - 1]] += *weight * in[at];
          }
          in += window->in[rank - 1];
        } while (weft_window_next(rank - 1, window->in, row));
        weight++;
      } while (weft_window_next(rank, window->kernel, tap));
    }
  }
}

weft_status weft_conv_transpose_run(weft_op *op) {
  transposed c;
  weft_shape out;
  WEFT_TRY(make(op, &c, &out));
  if (weft_op_out(op, 0) == NULL || weft_op_out(op, 0)->count == 0) {
    return WEFT_OK;
  }
  if (weft_op_in(op, 0)->type == WEFT_DOUBLE) {
    run_double(op, &c);
    return WEFT_OK;
  }
  return run_floats(op, &c);
}
