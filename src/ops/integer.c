/* See integer.h. */
#include "integer.h"

#include "../base/convert.h"
#include "broadcast.h"
#include "product.h"

#include <math.h>
#include <string.h>

enum { PARTS = 32 /* of a tensor whose extremes are looked for */ };

static weft_status check_count(weft_op *op, const weft_tensor *tensor, const char *name, size_t count) {
  if (tensor != NULL && (tensor->count == 0 || count % tensor->count != 0)) {
    return weft_op_fail(op, "input '%s' holds %zu elements, expected 1 or %zu", name, tensor->count, count);
  }
  return WEFT_OK;
}

weft_status weft_op_scales(weft_op *op, const weft_tensor *tensor, const char *name, size_t count, float *out) {
  WEFT_TRY(check_count(op, tensor, name, count));
  size_t own = tensor == NULL ? 1 : tensor->count < count ? tensor->count : count;
  if (tensor == NULL) {
    *out = 1;
  } else {
    weft_load_float(tensor->type, tensor->data, 0, 1, own, out);
  }
  for (size_t i = own; i < count; i++) {
    out[i] = out[i - own];
  }
  return WEFT_OK;
}

weft_status weft_op_zero_points(weft_op *op, const weft_tensor *tensor, const char *name, size_t count, int32_t *out) {
  WEFT_TRY(check_count(op, tensor, name, count));
  size_t own = tensor == NULL ? 1 : tensor->count < count ? tensor->count : count;
  for (size_t i = 0; i < own; i++) {
    uint8_t bits = tensor != NULL ? ((const uint8_t *)tensor->data)[i] : 0;
    out[i] = tensor != NULL && tensor->type == WEFT_INT8 ? (int8_t)bits : bits;
  }
  for (size_t i = own; i < count; i++) {
    out[i] = out[i - own];
  }
  return WEFT_OK;
}

static const weft_tensor *residual_of(const weft_op *op) {
  return op->def->variant == WEFT_INTEGER_FUSED ? weft_op_in(op, WEFT_INTEGER_RESIDUAL) : NULL;
}

weft_status weft_integer_expect_residual(weft_op *op, const weft_shape *out) {
  const weft_tensor *residual = residual_of(op);
  return residual == NULL || (residual->type == WEFT_FLOAT && weft_shape_equal(&residual->shape, out))
             ? WEFT_OK
             : weft_op_fail(op, "the residual's type or shape is not the result's");
}

static void scale_between(float least, float greatest, float *scale, uint8_t *zero) {
  least = least < 0 ? least : 0;
  greatest = greatest > 0 ? greatest : 0;
  float step = (greatest - least) / 255;
  *scale = step > 0 ? step : 1; /* all zero: any scale does */
  float middle = rintf(-least / *scale);
  *zero = (uint8_t)(middle > 255 ? 255 : middle > 0 ? middle : 0);
}

void weft_dynamic_scale(const weft_kernels *kernels, size_t n, const float *x, float *scale, uint8_t *zero) {
  scale_between(n > 0 ? kernels->min_f32(n, x) : 0, n > 0 ? kernels->max_f32(n, x) : 0, scale, zero);
}

typedef struct dynamic {
  const weft_kernels *kernels;
  const float *x;
  uint8_t *y;
  size_t n, part; /* elements; of a part */
  float least[PARTS], greatest[PARTS], scale;
  uint8_t zero;
} dynamic;

static void find_extremes(void *arg, size_t begin, size_t end) {
  dynamic *d = arg;
  for (size_t i = begin; i < end; i++) {
    size_t at = i * d->part, n = d->n - at < d->part ? d->n - at : d->part;
    d->least[i] = d->kernels->min_f32(n, d->x + at);
    d->greatest[i] = d->kernels->max_f32(n, d->x + at);
  }
}

static void quantize_range(void *arg, size_t begin, size_t end) {
  const dynamic *d = arg;
  d->kernels->quantize_i8(end - begin, d->x + begin, d->scale, d->zero, false, d->y + begin);
}

void weft_dynamic_quantize(weft_context *cx, size_t n, const float *x, uint8_t *y, float *scale, uint8_t *zero) {
  dynamic d = {.kernels = cx->kernels, .x = x, .y = y, .n = n, .part = n / PARTS + 1, .scale = 1};
  size_t parts = (n + d.part - 1) / d.part;
  weft_parallel(cx, parts, WEFT_GRAIN / d.part + 1, find_extremes, &d);
  if (n > 0) {
    scale_between(d.kernels->min_f32(parts, d.least), d.kernels->max_f32(parts, d.greatest), &d.scale, &d.zero);
  }
  if (y != NULL) weft_parallel(cx, n, WEFT_GRAIN, quantize_range, &d);
  *scale = d.scale;
  *zero = d.zero;
}

static bool is_quantised(const weft_tensor *y) {
  return y->type == WEFT_INT8 || y->type == WEFT_UINT8;
}

/* The byte of a number that may be infinite. */
static int32_t byte_of(const weft_sums *s, float x, float scale) {
  uint8_t byte;
  s->kernels->quantize_i8(1, &x, scale, s->bytes.zero, s->bytes.is_signed, &byte);
  return s->bytes.is_signed ? (int8_t)byte : byte;
}

weft_status weft_sums_place(weft_op *op, const weft_integer_roles *roles, weft_sums *out, float *divisor) {
  float scale = 1;
  int32_t zero = 0;
  WEFT_TRY(weft_op_scales(op, weft_op_in(op, roles->y_scale), "y_scale", 1, &scale));
  WEFT_TRY(weft_op_zero_points(op, weft_op_in(op, roles->y_zero), "y_zero_point", 1, &zero));
  out->kernels = op->cx->kernels;
  out->bytes = weft_all_bytes(zero, out->y->type == WEFT_INT8);
  *divisor = scale;
  if (op->def->variant != WEFT_INTEGER_FUSED) {
    return WEFT_OK;
  }
  const weft_tensor *residual = residual_of(op);
  weft_epilogue *e = &out->epilogue;
  WEFT_TRY(weft_op_activation(op, e));
  e->residual = residual != NULL ? residual->data : NULL;
  if (residual != NULL || e->activation > WEFT_ACT_CLIP) {
    out->step = scale;
    *divisor = 1;
  } else if (e->activation == WEFT_ACT_CLIP && is_quantised(out->y)) {
    const int32_t least = byte_of(out, e->lo, scale);
    out->bytes.greatest = byte_of(out, e->hi, scale);
    out->bytes.least = least;
  }
  return WEFT_OK;
}

void weft_sums_store(const weft_sums *target, size_t n, const int32_t *sums, const weft_rescale *rescale, float *row,
                     size_t at) {
  weft_tensor *y = target->y;
  if (y->type == WEFT_INT32) {
    if ((const int32_t *)y->data + at != sums) {
      memcpy((int32_t *)y->data + at, sums, n * sizeof *sums);
    }
    return;
  }
  const weft_kernels *kernels = target->kernels;
  const weft_epilogue *e = &target->epilogue;
  if (is_quantised(y) && target->step == 0) {
    kernels->sums_to_i8(n, sums, rescale, &target->bytes, (uint8_t *)y->data + at);
    return;
  }
  float *to = y->type == WEFT_FLOAT ? (float *)y->data + at : row;
  kernels->sums_to_f32(n, sums, rescale, to);
  if (e->residual != NULL) {
    kernels->binary_f32[WEFT_BINARY_ADD](n, to, 1, e->residual + at, 1, to);
  }
  kernels->activate_f32(n, to, e->activation, e->lo, e->hi);
  if (is_quantised(y)) {
    kernels->quantize_i8(n, to, target->step, target->bytes.zero, target->bytes.is_signed, (uint8_t *)y->data + at);
  } else if (to == row) {
    weft_store_float(y->type, row, n, y->data, at, 1);
  }
}
