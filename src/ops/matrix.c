/* Det, EyeLike and com.microsoft's Inverse: small operators on square and identity matrices. */
#include "../base/convert.h"
#include "op.h"

#include <math.h>
#include <string.h>

weft_status weft_det_infer(weft_op *op) {
  char text[96];
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 2, WEFT_MAX_RANK));
  const weft_tensor *x = weft_op_in(op, 0);
  weft_shape shape = x->shape;
  shape.rank -= 2;
  if (x->shape.dims[shape.rank] != x->shape.dims[shape.rank + 1]) {
    return weft_op_fail(op, "input X: expected square matrices, found shape %s",
                        weft_shape_print(&x->shape, text, sizeof text));
  }
  return weft_op_set(op, 0, x->type, &shape);
}

/* By elimination with row pivoting, which destroys the matrix. */
static double determinant(double *a, size_t n) {
  double product = 1;
  for (size_t k = 0; k < n; k++) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; i++) {
      pivot = fabs(a[i * n + k]) > fabs(a[pivot * n + k]) ? i : pivot;
    }
    if (a[pivot * n + k] == 0) {
      return 0;
    }
    for (size_t j = k; pivot != k && j < n; j++) {
      double kept = a[k * n + j];
      a[k * n + j] = a[pivot * n + j];
      a[pivot * n + j] = kept;
    }
    product *= pivot != k ? -a[k * n + k] : a[k * n + k];
    for (size_t i = k + 1; i < n; i++) {
      double factor = a[i * n + k] / a[k * n + k];
      for (size_t j = k; j < n; j++) {
        a[i * n + j] -= factor * a[k * n + j];
      }
    }
  }
  return product;
}

weft_status weft_det_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  size_t n = (size_t)x->shape.dims[x->shape.rank - 1];
  void *matrix;
  WEFT_TRY(weft_op_scratch_array(op, n, n * sizeof(double), &matrix));
  for (size_t i = 0; i < y->count; i++) {
    weft_load_double(x->type, x->data, i * n * n, 1, n * n, matrix);
    double value = determinant(matrix, n);
    weft_store_double(y->type, &value, 1, y->data, i, 1);
  }
  return WEFT_OK;
}

weft_status weft_inverse_infer(weft_op *op) {
  char text[96];
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 2, WEFT_MAX_RANK));
  const weft_shape *shape = &weft_op_in(op, 0)->shape;
  if (shape->dims[shape->rank - 2] != shape->dims[shape->rank - 1]) {
    return weft_op_fail(op, "input X: expected square matrices, found shape %s",
                        weft_shape_print(shape, text, sizeof text));
  }
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

/* [a | 1] becomes [1 | the inverse of a] by elimination with row pivoting; a singular matrix gives infinities. */
static void invert(double *a, size_t n) {
  size_t width = 2 * n;
  for (size_t k = 0; k < n; k++) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; i++) {
      pivot = fabs(a[i * width + k]) > fabs(a[pivot * width + k]) ? i : pivot;
    }
    double divisor = a[pivot * width + k];
    for (size_t j = 0; j < width; j++) {
      double kept = a[k * width + j];
      a[k * width + j] = a[pivot * width + j] / divisor;
      if (pivot != k) {
        a[pivot * width + j] = kept;
      }
    }
    for (size_t i = 0; i < n; i++) {
      double factor = i != k ? a[i * width + k] : 0;
      for (size_t j = k; factor != 0 && j < width; j++) {
        a[i * width + j] -= factor * a[k * width + j];
      }
    }
  }
}

weft_status weft_inverse_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  size_t n = (size_t)x->shape.dims[x->shape.rank - 1];
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, n, 2 * n * sizeof(double), &room));
  double *matrix = room;
  for (size_t first = 0; first < y->count; first += n * n) {
    memset(matrix, 0, 2 * n * n * sizeof *matrix);
    for (size_t i = 0; i < n; i++) {
      weft_load_double(x->type, x->data, first + i * n, 1, n, matrix + i * 2 * n);
      matrix[i * 2 * n + n + i] = 1;
    }
    invert(matrix, n);
    for (size_t i = 0; i < n; i++) {
      weft_store_double(y->type, matrix + i * 2 * n + n, n, y->data, first + i * n, 1);
    }
  }
  return WEFT_OK;
}

weft_status weft_eye_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 2, 2));
  const weft_tensor *x = weft_op_in(op, 0);
  int64_t type = weft_op_attr_int(op, "dtype", (int64_t)x->type);
  uint32_t allowed = WEFT_TYPES_NUMERIC | WEFT_TYPE_BIT(WEFT_BOOL);
  if (!weft_type_is_valid(type) || (WEFT_TYPE_BIT(type) & allowed) == 0) {
    return weft_op_fail(op, "attribute dtype: %lld is not a type this operator makes", (long long)type);
  }
  return weft_op_set(op, 0, (weft_type)type, &x->shape);
}

weft_status weft_eye_run(weft_op *op) {
  weft_tensor *y = weft_op_out(op, 0);
  int64_t rows = y->shape.dims[0], columns = y->shape.dims[1], k = weft_op_attr_int(op, "k", 0);
  const double one = 1;
  memset(y->data, 0, y->count * weft_type_size(y->type));
  if (k >= columns || k <= -rows) {
    return WEFT_OK;
  }
  for (int64_t row = k < 0 ? -k : 0; row < rows && row + k < columns; row++) {
    weft_store_double(y->type, &one, 1, y->data, (size_t)(row * columns + row + k), 1);
  }
  return WEFT_OK;
}
