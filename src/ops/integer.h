/* What the operators on quantised integers share: where their operands stand among the inputs, zero points and scales
 * as plain arrays, and the way from a row of sums to an element type. It must not know products or windows. */
#ifndef WEFT_OPS_INTEGER_H
#define WEFT_OPS_INTEGER_H

#include "op.h"

#define WEFT_TYPES_BYTE (WEFT_TYPE_BIT(WEFT_INT8) | WEFT_TYPE_BIT(WEFT_UINT8))

/* `count` (at least 1) zero points: of an 8-bit tensor with one element, with `count`, or with a number of elements
 * that divides it and then repeats. An absent tensor gives zeros. */
weft_status weft_op_zero_points(weft_op *op, const weft_tensor *tensor, const char *name, size_t count, int32_t *out);
/* The same for scales; absent: ones. */
weft_status weft_op_scales(weft_op *op, const weft_tensor *tensor, const char *name, size_t count, float *out);

/* The scale and zero point that DynamicQuantizeLinear gives x. */
void weft_dynamic_scale(const weft_kernels *kernels, size_t n, const float *x, float *scale, uint8_t *zero);
/* DynamicQuantizeLinear on all threads; y may be NULL. */
void weft_dynamic_quantize(weft_context *cx, size_t n, const float *x, uint8_t *y, float *scale, uint8_t *zero);

/* Input numbers by role; -1: there is none. How many must be there, and how many there may be. */
typedef struct weft_integer_roles {
  int a, a_scale, a_zero, b, b_scale, b_zero, bias, y_scale, y_zero, required, inputs;
} weft_integer_roles;

/* Of Weft's own operators, whose bias is floats and added with the residual after the scales. */
#define WEFT_INTEGER_FUSED_ROLES {0, 4, 5, 1, 6, 7, 2, 8, 9, 2, 10}
enum { WEFT_INTEGER_RESIDUAL = 3 };
/* Fails unless it is floats of the result's shape, where there is one. */
weft_status weft_integer_expect_residual(weft_op *op, const weft_shape *out);

/* Where rows of sums go. `y` is INT32 (the sums as they are), 8 bits (quantised) or floating. */
typedef struct weft_sums {
  const weft_kernels *kernels;
  weft_tensor *y;
  weft_bytes bytes;       /* of a quantised y */
  float step;             /* by which it is quantised after all else; 0: its rescaling does it */
  weft_epilogue epilogue; /* activation and residual */
} weft_sums;

/* Everything but `y`, which is there. What is rescaled is to be divided by *divisor first. */
weft_status weft_sums_place(weft_op *op, const weft_integer_roles *roles, weft_sums *out, float *divisor);

/* y[at ... at + n) from sums, which may be y's own data when y is INT32. `row` holds n floats. */
void weft_sums_store(const weft_sums *target, size_t n, const int32_t *sums, const weft_rescale *rescale, float *row,
                     size_t at);

#endif
