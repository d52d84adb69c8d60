/* The shapes of matrix products as numpy.matmul has them: operands by strides, leading dimensions broadcast. Shared by
 * the floating and the integer products. It must not know elements. */
#ifndef WEFT_OPS_MATMUL_H
#define WEFT_OPS_MATMUL_H

#include "op.h"

typedef struct weft_matmul_operand {
  size_t rows, columns;
  size_t row, column; /* strides in elements */
  int batch_rank;
  int64_t batch_dims[WEFT_MAX_RANK];
  size_t batch[WEFT_MAX_RANK]; /* strides of batch_dims */
} weft_matmul_operand;

typedef struct weft_matmul_flags {
  bool transposed_a, transposed_b;
  bool batch_transposed_a, batch_transposed_b; /* com.microsoft: the rows' dimension comes before the leading ones */
} weft_matmul_flags;

typedef struct weft_matmul_plan {
  weft_matmul_operand a, b;
  size_t m, n, k, batches; /* where b has no leading dimensions, a's are counted in m */
  weft_shape out;
  int batch_rank;
  size_t a_batch[WEFT_MAX_RANK], b_batch[WEFT_MAX_RANK]; /* strides along out's leading dims; 0 where broadcast */
} weft_matmul_plan;

void weft_matmul_describe(const weft_shape *shape, bool left, bool transposed, bool batch_transposed,
                          weft_matmul_operand *out);
weft_status weft_matmul_plan_make(weft_op *op, const weft_shape *a, const weft_shape *b, const weft_matmul_flags *flags,
                                  weft_matmul_plan *out);
/* The offset of product `index` in an operand with the plan's a_batch or b_batch. */
size_t weft_matmul_offset(const weft_matmul_plan *plan, const size_t *strides, size_t index);

#endif
