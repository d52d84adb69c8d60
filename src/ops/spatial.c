/* Windows: attributes to sizes. All arithmetic is on int64 with attribute values bounded beforehand, so that nothing a
 * file can say overflows. */
#include "spatial.h"

#include <string.h>

/* No stride, dilation, kernel or pad of a real model is near this; below it sums and products of three stay in int64.
 */
#define LARGEST ((int64_t)1 << 31)

static weft_status read_list(weft_op *op, const char *name, int count, int64_t least, int64_t fallback, int64_t *out) {
  size_t found = 0;
  const int64_t *list = weft_op_attr_ints(op, name, &found);
  list = found > 0 ? list : NULL; /* an empty list is written for none */
  if (list != NULL && found != (size_t)count) {
    return weft_op_fail(op, "attribute '%s' has %zu entries, expected %d", name, found, count);
  }
  for (int d = 0; d < count; d++) {
    out[d] = list != NULL ? list[d] : fallback;
    if (out[d] < least || out[d] >= LARGEST) {
      return weft_op_fail(op, "attribute '%s' holds %lld, expected a value in [%lld, %lld]", name, (long long)out[d],
                          (long long)least, (long long)LARGEST - 1);
    }
  }
  return WEFT_OK;
}

weft_status weft_window_read(weft_op *op, int rank, const int64_t *in, const int64_t *kernel, weft_window *out) {
  *out = (weft_window){.rank = rank};
  for (int d = 0; d < rank; d++) {
    out->in[d] = in[d];
    if (in[d] >= LARGEST) {
      return weft_op_unsupported(op, "a spatial dimension of %lld", (long long)in[d]);
    }
  }
  WEFT_TRY(read_list(op, "strides", rank, 1, 1, out->stride));
  WEFT_TRY(read_list(op, "dilations", rank, 1, 1, out->dilation));
  size_t found = 0;
  weft_op_attr_ints(op, "kernel_shape", &found);
  if (kernel == NULL && found == 0 && rank > 0) {
    return weft_op_fail(op, "attribute 'kernel_shape' is missing");
  }
  WEFT_TRY(read_list(op, "kernel_shape", rank, 1, 1, out->kernel));
  for (int d = 0; kernel != NULL && d < rank; d++) {
    if (found > 0 && out->kernel[d] != kernel[d]) {
      return weft_op_fail(op, "attribute 'kernel_shape' says %lld where the weight's shape has %lld",
                          (long long)out->kernel[d], (long long)kernel[d]);
    }
    if (kernel[d] < 1 || kernel[d] >= LARGEST) {
      return weft_op_fail(op, "the weight's kernel: expected dimensions of at least 1, found %lld",
                          (long long)kernel[d]);
    }
    out->kernel[d] = kernel[d];
  }
  return WEFT_OK;
}

weft_status weft_window_pads(weft_op *op, weft_window *window) {
  int64_t pads[2 * WEFT_MAX_RANK];
  WEFT_TRY(read_list(op, "pads", 2 * window->rank, -LARGEST + 1, 0, pads));
  memcpy(window->pad_begin, pads, (size_t)window->rank * sizeof *pads);
  memcpy(window->pad_end, pads + window->rank, (size_t)window->rank * sizeof *pads);
  return WEFT_OK;
}

/* Nothing stands for NOTSET. */
enum { NOTSET, VALID, SAME_UPPER, SAME_LOWER };
static weft_status read_auto_pad(weft_op *op, int *out) {
  *out = NOTSET;
  return *weft_op_attr_string(op, "auto_pad", "") == 0
             ? WEFT_OK
             : weft_op_choice(op, "auto_pad", "NOTSET VALID SAME_UPPER SAME_LOWER", NOTSET, out);
}

/* Fills in_count, out_count, taps; fails when they overflow. */
static weft_status count_elements(weft_op *op, weft_window *window) {
  window->in_count = window->out_count = window->taps = 1;
  for (int d = 0; d < window->rank; d++) {
    if (!weft_mul(window->in_count, (size_t)window->in[d], &window->in_count) ||
        !weft_mul(window->out_count, (size_t)window->out[d], &window->out_count) ||
        !weft_mul(window->taps, (size_t)window->kernel[d], &window->taps)) {
      return weft_op_fail(op, "the window's sizes overflow");
    }
  }
  return WEFT_OK;
}

weft_status weft_window_forward(weft_op *op, bool pool, weft_window *window) {
  int mode;
  WEFT_TRY(read_auto_pad(op, &mode));
  bool explicit_pads = mode == NOTSET, same = mode >= SAME_UPPER;
  /* With automatic padding the specification's two formulas give the same sizes. */
  bool ceil_mode = pool && explicit_pads && weft_op_attr_int(op, "ceil_mode", 0) != 0;
  if (explicit_pads) {
    WEFT_TRY(weft_window_pads(op, window));
  }
  for (int d = 0; d < window->rank; d++) {
    int64_t extent = (window->kernel[d] - 1) * window->dilation[d] + 1;
    int64_t in = window->in[d], stride = window->stride[d];
    if (same) {
      window->out[d] = in == 0 ? 0 : (in - 1) / stride + 1;
      int64_t total = (window->out[d] - 1) * stride + extent - in;
      total = total > 0 ? total : 0;
      int64_t less = total / 2;
      window->pad_begin[d] = mode == SAME_UPPER ? less : total - less;
      window->pad_end[d] = total - window->pad_begin[d];
      continue;
    }
    int64_t room = in + window->pad_begin[d] + window->pad_end[d] - extent;
    int64_t way = room + (ceil_mode ? stride - 1 : 0); /* that the first window may move */
    if (way < 0) {
      if (in == 0 || (pool && room == -stride)) { /* however it is rounded, the specification's formula is 0 */
        window->out[d] = 0;
        continue;
      }
      return weft_op_fail(op, "spatial dimension %d: the window of %lld is larger than the padded input of %lld", d,
                          (long long)extent, (long long)(room + extent));
    }
    window->out[d] = way / stride + 1;
    /* A window that would begin beyond the input and its left padding is not counted. */
    if (ceil_mode && (window->out[d] - 1) * stride >= in + window->pad_begin[d]) {
      window->out[d]--;
    }
  }
  return count_elements(op, window);
}

/* Padding that makes the output `want` long; what does not divide goes to the end for SAME_UPPER, else to the begin. */
static void pad_to(weft_window *window, int d, int64_t natural, int64_t want, bool upper) {
  int64_t total = natural - want;
  if (total < 0) {
    total = 0; /* the output is longer than anything reaches: zeros at its end */
  }
  window->pad_begin[d] = upper ? total / 2 : total - total / 2;
  window->pad_end[d] = total - window->pad_begin[d];
  window->out[d] = want;
}

weft_status weft_window_backward(weft_op *op, const int64_t *pads, weft_window *window) {
  int mode;
  WEFT_TRY(read_auto_pad(op, &mode));
  int64_t extra[WEFT_MAX_RANK], shape[WEFT_MAX_RANK];
  size_t given = 0;
  const int64_t *list = weft_op_attr_ints(op, "output_shape", &given);
  int rank = window->rank;
  WEFT_TRY(read_list(op, "output_padding", rank, 0, 0, extra));
  for (int d = 0; pads != NULL && d < rank; d++) {
    window->pad_begin[d] = pads[d];
    window->pad_end[d] = pads[rank + d];
    if (pads[d] <= -LARGEST || pads[d] >= LARGEST || pads[rank + d] <= -LARGEST || pads[rank + d] >= LARGEST) {
      return weft_op_run_fail(op, "the padding of spatial dimension %d is out of range", d);
    }
  }
  if (pads == NULL && mode == NOTSET) {
    WEFT_TRY(weft_window_pads(op, window));
  }
  if (given > 0 && given != (size_t)rank && given != (size_t)rank + 2) {
    return weft_op_fail(op, "attribute 'output_shape' has %zu entries, expected %d", given, rank);
  }
  for (int d = 0; d < rank; d++) {
    int64_t extent = (window->kernel[d] - 1) * window->dilation[d] + 1;
    int64_t natural = window->stride[d] * (window->in[d] - 1) + extra[d] + extent;
    if (given > 0) {
      shape[d] = list[given - (size_t)rank + (size_t)d];
      if (shape[d] < 0 || shape[d] >= LARGEST) {
        return weft_op_fail(op, "attribute 'output_shape' holds %lld", (long long)shape[d]);
      }
      pad_to(window, d, natural, shape[d], mode == SAME_UPPER);
    } else if (mode >= SAME_UPPER) {
      pad_to(window, d, natural, window->in[d] * window->stride[d], mode == SAME_UPPER);
    } else {
      window->out[d] = natural - window->pad_begin[d] - window->pad_end[d];
      if (window->in[d] == 0) {
        window->out[d] = 0;
      }
      if (window->out[d] < 0) {
        return weft_op_fail(op, "spatial dimension %d: the padding leaves an output of %lld", d,
                            (long long)window->out[d]);
      }
    }
  }
  return count_elements(op, window);
}

void weft_window_offsets(const weft_window *window, const int64_t *position, int64_t *offsets) {
  int64_t tap[WEFT_MAX_RANK] = {0};
  int rank = window->rank;
  for (size_t t = 0; t < window->taps; t++) {
    int64_t offset = 0;
    for (int d = 0; d < rank && offset >= 0; d++) {
      int64_t at = position[d] * window->stride[d] - window->pad_begin[d] + tap[d] * window->dilation[d];
      offset = at < 0 || at >= window->in[d] ? -1 : offset * window->in[d] + at;
    }
    offsets[t] = offset;
    weft_window_next(rank, window->kernel, tap);
  }
}

weft_pool_axis weft_window_axis(const weft_window *window, int d) {
  if (d < 0) {
    return (weft_pool_axis){.in = 1, .out = 1, .kernel = 1, .stride = 1, .dilation = 1};
  }
  return (weft_pool_axis){.in = (size_t)window->in[d],
                          .out = (size_t)window->out[d],
                          .kernel = (size_t)window->kernel[d],
                          .stride = (size_t)window->stride[d],
                          .dilation = (size_t)window->dilation[d],
                          .pad = window->pad_begin[d],
                          .pad_end = window->pad_end[d]};
}

size_t weft_window_taps(const weft_window *window, const int64_t *position) {
  size_t count = 1;
  for (int d = 0; d < window->rank; d++) {
    size_t here = 0;
    for (int64_t t = 0; t < window->kernel[d]; t++) {
      int64_t at = position[d] * window->stride[d] - window->pad_begin[d] + t * window->dilation[d];
      here += at >= -window->pad_begin[d] && at < window->in[d] + window->pad_end[d];
    }
    count *= here;
  }
  return count;
}
