/* CausalConvWithState: a depthwise convolution in one dimension that looks back only, and carries the last elements
 * over to the next call. Past and input are laid end to end, which makes it a plain depthwise convolution without
 * padding. com.microsoft's may be dilated. */
#include "product.h"

#include <string.h>

enum { X, W, B, PAST };

typedef struct causal {
  const weft_kernels *kernels;
  size_t rows, channels, length, kernel, dilation; /* rows: batch * channels */
  size_t carried;                                  /* (kernel - 1) * dilation */
  weft_activation activation;
  const float *x, *w, *bias, *past;
  float *joined, *y, *present; /* joined: [rows][carried + length] */
} causal;

static weft_status make(weft_op *op, causal *c) {
  const weft_tensor *x = weft_op_in(op, X), *w = weft_op_in(op, W), *b = weft_op_in(op, B),
                    *past = weft_op_in(op, PAST);
  int silu;
  WEFT_TRY(weft_op_choice(op, "activation", "none silu swish", 0, &silu));
  int64_t channels = x->shape.dims[1], kernel = w->shape.dims[2], dilation = weft_op_attr_int(op, "dilation", 1);
  if (dilation < 1 || kernel > INT32_MAX / dilation) {
    return weft_op_fail(op,
                        "attribute 'dilation': expected a number of at least 1 that fits a kernel of %lld, found %lld",
                        (long long)kernel, (long long)dilation);
  }
  if (w->shape.dims[0] != channels || w->shape.dims[1] != 1 || kernel < 1) {
    char text[96];
    return weft_op_fail(op, "input 'weight' has shape %s, expected [%lld,1,k]",
                        weft_shape_print(&w->shape, text, sizeof text), (long long)channels);
  }
  if ((b != NULL && (b->shape.rank != 1 || b->shape.dims[0] != channels)) ||
      (past != NULL && (past->shape.rank != 3 || past->shape.dims[0] != x->shape.dims[0] ||
                        past->shape.dims[1] != channels || past->shape.dims[2] != (kernel - 1) * dilation))) {
    return weft_op_fail(op, "the bias or the past state does not fit %lld channels and a kernel of %lld",
                        (long long)channels, (long long)kernel);
  }
  *c = (causal){.kernels = op->cx->kernels,
                .rows = (size_t)(x->shape.dims[0] * channels),
                .channels = (size_t)channels,
                .length = (size_t)x->shape.dims[2],
                .kernel = (size_t)kernel,
                .dilation = (size_t)dilation,
                .carried = (size_t)((kernel - 1) * dilation),
                .activation = silu ? WEFT_ACT_SILU : WEFT_ACT_NONE};
  return WEFT_OK;
}

weft_status weft_causal_conv_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 4));
  WEFT_TRY(weft_op_expect_type(op, X, "input", WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE)));
  for (int i = W; i < op->input_count; i++) {
    if (weft_op_has(op, i)) {
      WEFT_TRY(weft_op_expect_same_type(op, X, i));
    }
  }
  WEFT_TRY(weft_op_expect_rank(op, X, "input", 3, 3));
  WEFT_TRY(weft_op_expect_rank(op, W, "weight", 3, 3));
  causal c;
  WEFT_TRY(make(op, &c));
  const weft_tensor *x = weft_op_in(op, X);
  weft_shape state = {.rank = 3, .dims = {x->shape.dims[0], x->shape.dims[1], (int64_t)c.carried}};
  WEFT_TRY(weft_op_set_like(op, 0, x));
  return weft_op_set(op, 1, x->type, &state);
}

static void run_rows(void *arg, size_t begin, size_t end) {
  const causal *c = arg;
  size_t all = c->carried + c->length;
  for (size_t row = begin; row < end; row++) {
    float *line = c->joined + row * all;
    if (c->past != NULL) {
      memcpy(line, c->past + row * c->carried, c->carried * sizeof *line);
    } else {
      memset(line, 0, c->carried * sizeof *line);
    }
    memcpy(line + c->carried, c->x + row * c->length, c->length * sizeof *line);
    size_t channel = row % c->channels;
    if (c->y != NULL && c->length > 0) {
      weft_patches patches = {.in = line,
                              .channels = 1,
                              .ih = 1,
                              .iw = all,
                              .kh = 1,
                              .kw = c->kernel,
                              .stride_h = 1,
                              .stride_w = 1,
                              .dilation_h = 1,
                              .dilation_w = c->dilation,
                              .ow = c->length};
      c->kernels->depthwise_f32(&patches, c->w + channel * patches.kw, c->bias != NULL ? c->bias + channel : NULL,
                                c->activation, 0, 0, c->y + row * c->length, 1);
    }
    if (c->present != NULL) {
      memcpy(c->present + row * c->carried, line + c->length, c->carried * sizeof *line);
    }
  }
}

weft_status weft_causal_conv_run(weft_op *op) {
  causal c;
  weft_tensor *y = weft_op_out(op, 0), *present = weft_op_out(op, 1);
  WEFT_TRY(make(op, &c));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, X), &c.x));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, W), &c.w));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, B), &c.bias));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, PAST), &c.past));
  WEFT_TRY(weft_op_floats_out(op, y, &c.y));
  WEFT_TRY(weft_op_floats_out(op, present, &c.present));
  WEFT_TRY(weft_op_scratch_floats(op, c.rows, c.carried + c.length, &c.joined));
  weft_parallel(op->cx, c.rows, 1 + 16384 / c.kernel / (c.length + 1), run_rows, &c);
  weft_op_floats_done(op, y, c.y);
  weft_op_floats_done(op, present, c.present);
  return WEFT_OK;
}
