/* Reading index tensors: int32 or int64, negative ones counting from the back. */
#ifndef WEFT_OPS_INDEX_H
#define WEFT_OPS_INDEX_H

#include "../kernels/elements.h"
#include "op.h"

static inline int64_t weft_index_at(const weft_tensor *indices, size_t i) {
  return indices->type == WEFT_INT32 ? ((const int32_t *)indices->data)[i] : ((const int64_t *)indices->data)[i];
}

/* Fails with the first index outside [-dim, dim-1]; `list` (may be NULL) becomes the indices for use in loops. */
weft_status weft_index_check(weft_op *op, const weft_tensor *indices, int64_t dim, int axis, weft_indices *list);

/* Of the tuples of GatherND and ScatterND. The specification has int64 alone, but PyTorch's exporter writes int32. */
#define WEFT_INDEX_TYPES (WEFT_TYPE_BIT(WEFT_INT32) | WEFT_TYPE_BIT(WEFT_INT64))

/* The block that tuple `number` of `indices` names, counted in blocks: dims [first, first + length) of `shape`. Fails
 * with the first index out of range. */
weft_status weft_index_tuple(weft_op *op, const weft_shape *shape, const weft_tensor *indices, size_t number, int first,
                             int length, int64_t *offset);

#endif
