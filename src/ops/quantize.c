/* QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear. A tensor is cut into segments along which the scale is
 * either one number or walks with the elements; with that, scales per tensor, per axis and per block are one loop.
 * 8-bit segments of floats with one scale go to kernels, everything else is computed block by block. */
#include "../base/convert.h"
#include "../kernels/typed.h"
#include "broadcast.h"
#include "integer.h"
#include "product.h"

#include <math.h>

enum { X, SCALE, ZERO };

#define SMALL_FLOATS                                                                                                   \
  (WEFT_TYPES_FLOAT8 | WEFT_TYPE_BIT(WEFT_FLOAT4E2M1) | WEFT_TYPE_BIT(WEFT_FLOAT6E2M3) | WEFT_TYPE_BIT(WEFT_FLOAT6E3M2))
#define QUANTIZED_TYPES                                                                                                \
  (SMALL_FLOATS | WEFT_TYPE_BIT(WEFT_INT8) | WEFT_TYPE_BIT(WEFT_UINT8) | WEFT_TYPE_BIT(WEFT_INT16) |                   \
   WEFT_TYPE_BIT(WEFT_UINT16) | WEFT_TYPE_BIT(WEFT_INT4) | WEFT_TYPE_BIT(WEFT_UINT4) | WEFT_TYPE_BIT(WEFT_INT2) |      \
   WEFT_TYPE_BIT(WEFT_UINT2))
#define REAL_TYPES (WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE))

/* How scales lie over the elements. A line is what the scaled axis and those behind it span. */
typedef struct layout {
  size_t segments, per_line; /* segments in all, and of one line */
  size_t line, length;       /* elements of a line, and of a segment (the last of a line may be shorter) */
  size_t scale_step;         /* 0: one scale for a segment; 1: one for each of its elements */
  size_t scale_line;         /* scales from one line to the next: 0 where all lines share them */
  size_t scale_block;        /* neighbouring segments that share their scales */
} layout;

static weft_status wrong_scale(weft_op *op, const weft_tensor *x, const weft_tensor *scale) {
  char a[96], b[96];
  return weft_op_fail(op, "a scale of shape %s does not fit an input of shape %s with axis %lld and block size %lld",
                      weft_shape_print(&scale->shape, b, sizeof b), weft_shape_print(&x->shape, a, sizeof a),
                      (long long)weft_op_attr_int(op, "axis", 1), (long long)weft_op_attr_int(op, "block_size", 0));
}

static weft_status make_layout(weft_op *op, layout *l) {
  const weft_tensor *x = weft_op_in(op, X), *scale = weft_op_in(op, SCALE);
  int64_t block;
  *l = (layout){.segments = 1, .per_line = 1, .line = x->count, .length = x->count, .scale_block = 1};
  WEFT_TRY(weft_op_attr_within(op, "block_size", 0, 0, INT32_MAX, &block));
  if (scale->shape.rank == 0 || (block == 0 && scale->count == 1)) {
    return WEFT_OK;
  }
  int axis = 0;
  int64_t wanted = x->shape.rank == 1 ? 0 : weft_op_attr_int(op, "axis", 1);
  WEFT_TRY(weft_op_axis(op, "axis", wanted, x->shape.rank, &axis));
  size_t along = (size_t)x->shape.dims[axis];
  size_t outer = weft_shape_product(&x->shape, 0, axis);
  size_t inner = weft_shape_product(&x->shape, axis + 1, x->shape.rank);
  bool walks = block == 0 ? inner == 1 : inner != 1;
  *l = (layout){.line = along * inner, .scale_step = walks, .scale_block = 1};
  if (block == 0) {
    if (scale->shape.rank != 1 || scale->count != along) {
      return wrong_scale(op, x, scale);
    }
    l->per_line = walks ? 1 : along;
    l->length = walks ? along : inner;
  } else {
    size_t blocks = along / (size_t)block + (along % (size_t)block != 0);
    weft_shape expected = x->shape;
    expected.dims[axis] = (int64_t)blocks;
    if (!weft_shape_equal(&expected, &scale->shape)) {
      return wrong_scale(op, x, scale);
    }
    l->per_line = walks ? along : blocks;
    l->length = walks ? inner : (size_t)block;
    l->scale_block = walks ? (size_t)block : 1;
    l->scale_line = blocks * inner;
  }
  l->segments = outer * l->per_line;
  return WEFT_OK;
}

static size_t segment_begin(const layout *l, size_t s) {
  return s / l->per_line * l->line + s % l->per_line * l->length;
}

static size_t segment_length(const layout *l, size_t s) {
  size_t before = s % l->per_line * l->length;
  return l->line - before < l->length ? l->line - before : l->length;
}

static size_t segment_scale(const layout *l, size_t s) {
  size_t row = s % l->per_line / l->scale_block;
  return s / l->per_line * l->scale_line + (l->scale_step != 0 ? row * l->length : row);
}

/* What becomes of `n` elements from `at` on, whose scales begin with number `scale`; all lie in one segment. */
typedef struct sweep {
  const layout *l;
  void (*part)(const void *arg, size_t at, size_t n, size_t scale);
  const void *arg;
} sweep;

static void sweep_range(void *arg, size_t begin, size_t end) {
  const sweep *w = arg;
  const layout *l = w->l;
  size_t s = begin / l->line * l->per_line + begin % l->line / l->length;
  for (size_t at = begin; at < end; s++) {
    size_t first = segment_begin(l, s), stop = first + segment_length(l, s), n = (stop < end ? stop : end) - at;
    w->part(w->arg, at, n, segment_scale(l, s) + (at - first) * l->scale_step);
    at += n;
  }
}

static weft_status check_zero(weft_op *op) {
  const weft_tensor *zero = weft_op_in(op, ZERO), *scale = weft_op_in(op, SCALE);
  if (zero != NULL && zero->count != scale->count) {
    return weft_op_fail(op, "the zero point holds %zu elements, the scale %zu", zero->count, scale->count);
  }
  return WEFT_OK;
}

/* ---- QuantizeLinear ---------------------------------------------------------------------------------------------- */
static weft_status quantized_type(weft_op *op, weft_type *out) {
  const weft_tensor *zero = weft_op_in(op, ZERO);
  int64_t wanted = weft_op_attr_int(op, "output_dtype", 0);
  *out = zero != NULL ? zero->type : wanted != 0 ? (weft_type)wanted : WEFT_UINT8;
  if (!weft_type_is_valid(*out) || (WEFT_TYPE_BIT(*out) & QUANTIZED_TYPES) == 0) {
    return weft_op_unsupported(op, "quantizing to %s", weft_type_name(*out));
  }
  if (zero != NULL && wanted != 0 && wanted != (int64_t)zero->type) {
    return weft_op_fail(op, "attribute output_dtype: %lld is not %s, the zero point's type", (long long)wanted,
                        weft_type_name(zero->type));
  }
  return WEFT_OK;
}

weft_status weft_quantize_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 3));
  WEFT_TRY(weft_op_expect_type(op, X, "x", REAL_TYPES | WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_type(op, SCALE, "y_scale",
                               REAL_TYPES | WEFT_TYPE_BIT(WEFT_INT32) | WEFT_TYPE_BIT(WEFT_FLOAT8E8M0)));
  weft_type type = WEFT_UNDEFINED;
  layout l;
  WEFT_TRY(quantized_type(op, &type));
  WEFT_TRY(make_layout(op, &l));
  WEFT_TRY(check_zero(op));
  return weft_op_set(op, 0, type, &weft_op_in(op, X)->shape);
}

/* The least and greatest of an integer type of up to 16 bits. */
static void range_of(weft_type type, double *least, double *greatest) {
  unsigned bits = weft_type_bits(type);
  bool is_signed = weft_type_is_signed(type);
  *least = is_signed ? -ldexp(1, (int)bits - 1) : 0;
  *greatest = ldexp(1, (int)(is_signed ? bits - 1 : bits)) - 1;
}

typedef struct quantizer {
  const weft_tensor *x, *scale, *zero;
  weft_tensor *y;
  weft_type precision; /* of the division */
  bool saturate, small_float;
  double least, greatest;
  const layout *l;
  const weft_kernels *kernels;
  bool floats, plain; /* in floats; by a kernel of its own */
} quantizer;

/* As a number of the precision that divides. */
static double rounded(const quantizer *q, double x) {
  switch (q->precision) {
  case WEFT_FLOAT:
    return (double)(float)x;
  case WEFT_FLOAT16:
    return (double)weft_float16_to_float(weft_float_to_float16(weft_double_to_float_odd(x)));
  case WEFT_BFLOAT16:
    return (double)weft_bfloat16_to_float(weft_float_to_bfloat16(weft_double_to_float_odd(x)));
  default:
    return x;
  }
}

static void quantize_block(const quantizer *q, size_t at, size_t n, size_t scale_at, size_t step) {
  double x[WEFT_BLOCK], scale[WEFT_BLOCK], zero[WEFT_BLOCK] = {0};
  weft_load_double(q->x->type, q->x->data, at, 1, n, x);
  weft_load_double(q->scale->type, q->scale->data, scale_at, step, n, scale);
  if (q->zero != NULL) {
    weft_load_double(q->zero->type, q->zero->data, scale_at, step, n, zero);
  }
  for (size_t i = 0; i < n; i++) {
    double v = rounded(q, rounded(q, x[i]) / rounded(q, scale[i]));
    if (q->small_float) {
      ((uint8_t *)q->y->data)[at + i] = weft_float_to_small(q->y->type, (float)(v + zero[i]), q->saturate);
    } else {
      v = rint(v) + zero[i];
      x[i] = v > q->greatest ? q->greatest : v >= q->least ? v : q->least;
    }
  }
  if (!q->small_float) {
    weft_store_double(q->y->type, x, n, q->y->data, at, 1);
  }
}

/* The same where floats divide, and results are whole numbers of at most 16 bits. */
static void quantize_floats(const quantizer *q, size_t at, size_t n, size_t scale_at, size_t step) {
  const weft_kernels *kernels = q->kernels;
  const float least = (float)q->least, greatest = (float)q->greatest;
  const size_t size = weft_type_size(q->y->type);
  float x[WEFT_BLOCK], zero[WEFT_BLOCK] = {0};
  if (q->zero != NULL) {
    weft_load_float(q->zero->type, q->zero->data, scale_at, step, step != 0 ? n : 1, zero);
  }
  kernels->binary_f32[WEFT_BINARY_DIV](n, (const float *)q->x->data + at, 1, (const float *)q->scale->data + scale_at,
                                       step, x);
  kernels->unary_f32[WEFT_UNARY_ROUND](n, x, x);
  if (step != 0 || *zero != 0) kernels->binary_f32[WEFT_BINARY_ADD](n, x, 1, zero, step, x);
  weft_typed_saturate(size, n, x, least, greatest, (uint8_t *)q->y->data + at * size);
}

static int32_t zero_at(const weft_tensor *zero, size_t i) {
  if (zero == NULL) {
    return 0;
  }
  return zero->type == WEFT_INT8 ? ((const int8_t *)zero->data)[i] : ((const uint8_t *)zero->data)[i];
}

static weft_type division_type(weft_op *op) {
  int64_t wanted = weft_op_attr_int(op, "precision", 0);
  weft_type x = weft_op_in(op, X)->type, scale = weft_op_in(op, SCALE)->type;
  if (wanted == WEFT_FLOAT || wanted == WEFT_FLOAT16 || wanted == WEFT_BFLOAT16 || wanted == WEFT_DOUBLE) {
    return (weft_type)wanted;
  }
  if (x == WEFT_INT32 || scale == WEFT_INT32) {
    return WEFT_DOUBLE;
  }
  return scale == WEFT_FLOAT8E8M0 ? x : scale;
}

static void quantize_part(const void *arg, size_t at, size_t n, size_t scale) {
  const quantizer *q = arg;
  if (q->plain) {
    q->kernels->quantize_i8(n, (const float *)q->x->data + at, ((const float *)q->scale->data)[scale],
                            zero_at(q->zero, scale), q->y->type == WEFT_INT8, (uint8_t *)q->y->data + at);
    return;
  }
  for (size_t i = 0; i < n; i += WEFT_BLOCK) {
    (q->floats ? quantize_floats : quantize_block)(q, at + i, n - i < WEFT_BLOCK ? n - i : WEFT_BLOCK,
                                                   scale + i * q->l->scale_step, q->l->scale_step);
  }
}

weft_status weft_quantize_run(weft_op *op) {
  layout l;
  WEFT_TRY(make_layout(op, &l));
  quantizer q = {.x = weft_op_in(op, X),
                 .scale = weft_op_in(op, SCALE),
                 .zero = weft_op_in(op, ZERO),
                 .y = weft_op_out(op, 0),
                 .precision = division_type(op),
                 .saturate = weft_op_attr_int(op, "saturate", 1) != 0};
  if (q.y == NULL || q.y->count == 0) {
    return WEFT_OK;
  }
  q.small_float = (WEFT_TYPE_BIT(q.y->type) & SMALL_FLOATS) != 0;
  if (!q.small_float) {
    range_of(q.y->type, &q.least, &q.greatest);
  }
  q.floats = q.x->type == WEFT_FLOAT && q.scale->type == WEFT_FLOAT && q.precision == WEFT_FLOAT && !q.small_float;
  q.plain = q.floats && (q.y->type == WEFT_INT8 || q.y->type == WEFT_UINT8) && l.scale_step == 0;
  q.kernels = op->cx->kernels;
  q.l = &l;
  sweep all = {&l, quantize_part, &q};
  weft_parallel(op->cx, q.y->count, WEFT_GRAIN, sweep_range, &all);
  return WEFT_OK;
}

/* ---- DequantizeLinear -------------------------------------------------------------------------------------------- */
weft_status weft_dequantize_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 3));
  WEFT_TRY(weft_op_expect_type(op, X, "x", QUANTIZED_TYPES | WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_type(op, SCALE, "x_scale", REAL_TYPES | WEFT_TYPE_BIT(WEFT_FLOAT8E8M0)));
  if (weft_op_has(op, ZERO)) {
    WEFT_TRY(weft_op_expect_same_type(op, X, ZERO));
  }
  layout l;
  WEFT_TRY(make_layout(op, &l));
  WEFT_TRY(check_zero(op));
  weft_type scale = weft_op_in(op, SCALE)->type;
  int64_t wanted = weft_op_attr_int(op, "output_dtype", 0);
  weft_type type = wanted != 0 ? (weft_type)wanted : scale == WEFT_FLOAT8E8M0 ? WEFT_FLOAT : scale;
  if (type != WEFT_FLOAT && !weft_type_is_half(type)) {
    return weft_op_fail(op, "attribute 'output_dtype' is %lld, expected a floating type", (long long)wanted);
  }
  return weft_op_set(op, 0, type, &weft_op_in(op, X)->shape);
}

typedef struct dequantizer {
  const weft_tensor *in[3];
  weft_tensor *y;
  const layout *l;
  const weft_kernels *kernels;
  bool plain; /* by a kernel of its own */
} dequantizer;

static void dequantize_block(const dequantizer *d, size_t at, size_t n, size_t scale_at, size_t step) {
  const weft_tensor *x = d->in[X], *scale = d->in[SCALE], *zero = d->in[ZERO];
  const weft_typed_unary convert = weft_typed_convert_of(x->type, WEFT_FLOAT);
  const size_t others = step != 0 ? n : 1;
  const bool is_float = d->y->type == WEFT_FLOAT;
  float block[WEFT_BLOCK], other[WEFT_BLOCK];
  float *const y = is_float ? (float *)d->y->data + at : block;
  if (convert != NULL) {
    convert(n, (const char *)x->data + at * weft_type_size(x->type), block);
  } else {
    weft_load_float(x->type, x->data, at, 1, n, block);
  }
  if (zero != NULL) {
    weft_load_float(zero->type, zero->data, scale_at, step, others, other);
    if (step != 0 || *other != 0) d->kernels->binary_f32[WEFT_BINARY_SUB](n, block, 1, other, step, block);
  }
  weft_load_float(scale->type, scale->data, scale_at, step, others, other);
  d->kernels->binary_f32[WEFT_BINARY_MUL](n, block, 1, other, step, y);
  if (!is_float) weft_block_store(d->kernels, d->y, at, 1, n, block);
}

static void dequantize_part(const void *arg, size_t at, size_t n, size_t scale) {
  const dequantizer *d = arg;
  const weft_tensor *x = d->in[X];
  if (d->plain) {
    d->kernels->dequantize_i8(n, (const uint8_t *)x->data + at, ((const float *)d->in[SCALE]->data)[scale],
                              zero_at(d->in[ZERO], scale), x->type == WEFT_INT8, (float *)d->y->data + at);
    return;
  }
  for (size_t i = 0; i < n; i += WEFT_BLOCK) {
    dequantize_block(d, at + i, n - i < WEFT_BLOCK ? n - i : WEFT_BLOCK, scale + i * d->l->scale_step,
                     d->l->scale_step);
  }
}

weft_status weft_dequantize_run(weft_op *op) {
  layout l;
  WEFT_TRY(make_layout(op, &l));
  dequantizer d = {
      .in = {weft_op_in(op, X), weft_op_in(op, SCALE), weft_op_in(op, ZERO)}, .y = weft_op_out(op, 0), .l = &l};
  if (d.y == NULL || d.y->count == 0) {
    return WEFT_OK;
  }
  d.kernels = op->cx->kernels;
  d.plain = (d.in[X]->type == WEFT_INT8 || d.in[X]->type == WEFT_UINT8) && d.in[SCALE]->type == WEFT_FLOAT &&
            d.y->type == WEFT_FLOAT && l.scale_step == 0;
  sweep all = {&l, dequantize_part, &d};
  weft_parallel(op->cx, d.y->count, WEFT_GRAIN, sweep_range, &all);
  return WEFT_OK;
}

/* ---- DynamicQuantizeLinear --------------------------------------------------------------------------------------- */
weft_status weft_dynamic_quantize_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, X, "x", WEFT_TYPE_BIT(WEFT_FLOAT)));
  weft_shape scalar = {0};
  WEFT_TRY(weft_op_set(op, 0, WEFT_UINT8, &weft_op_in(op, X)->shape));
  WEFT_TRY(weft_op_set(op, 1, WEFT_FLOAT, &scalar));
  return weft_op_set(op, 2, WEFT_UINT8, &scalar);
}

weft_status weft_dynamic_quantize_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, X);
  weft_tensor *y = weft_op_out(op, 0), *y_scale = weft_op_out(op, 1), *y_zero = weft_op_out(op, 2);
  float scale = 1;
  uint8_t zero_point = 0;
  weft_dynamic_quantize(op->cx, x->count, x->data, y != NULL ? y->data : NULL, &scale, &zero_point);
  if (y_scale != NULL) {
    *(float *)y_scale->data = scale;
  }
  if (y_zero != NULL) {
    *(uint8_t *)y_zero->data = zero_point;
  }
  return WEFT_OK;
}
