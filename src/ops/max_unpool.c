/* MaxUnpool: puts elements back where MaxPool's indices say. Only the elements' size matters. */
#include "../base/convert.h"
#include "../kernels/elements.h"
#include "product.h"
#include "spatial.h"

#include <string.h>

enum { X, INDICES, OUTPUT_SHAPE };

/* The size that undoes the pooling, to which the indices refer. */
static weft_status natural_shape(weft_op *op, weft_shape *out) {
  const weft_tensor *x = weft_op_in(op, X);
  weft_window window;
  *out = x->shape;
  WEFT_TRY(weft_window_read(op, x->shape.rank - 2, x->shape.dims + 2, NULL, &window));
  WEFT_TRY(weft_window_pads(op, &window));
  for (int d = 0; d < window.rank; d++) {
    out->dims[d + 2] =
        (window.in[d] - 1) * window.stride[d] + window.kernel[d] - window.pad_begin[d] - window.pad_end[d];
    if (out->dims[d + 2] < 0) {
      return weft_op_fail(op, "spatial dimension %d would be %lld", d, (long long)out->dims[d + 2]);
    }
  }
  return WEFT_OK;
}

weft_status weft_max_unpool_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 3));
  WEFT_TRY(weft_op_expect_type(op, X, "X", WEFT_TYPES_NUMERIC));
  WEFT_TRY(weft_op_expect_type(op, INDICES, "I", WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(weft_op_expect_rank(op, X, "X", 3, WEFT_MAX_RANK));
  if (!weft_shape_equal(&weft_op_in(op, X)->shape, &weft_op_in(op, INDICES)->shape)) {
    return weft_op_fail(op, "inputs 'X' and 'I' differ in shape");
  }
  weft_shape out;
  WEFT_TRY(natural_shape(op, &out));
  if (weft_op_has(op, OUTPUT_SHAPE)) {
    int64_t wanted[WEFT_MAX_RANK];
    size_t count = 0;
    WEFT_TRY(weft_op_ints(op, OUTPUT_SHAPE, "output_shape", WEFT_MAX_RANK, wanted, &count));
    if (count != (size_t)out.rank) {
      return weft_op_fail(op, "output_shape has %zu entries, expected %d", count, out.rank);
    }
    for (int d = 0; d < out.rank; d++) {
      if (wanted[d] < out.dims[d]) {
        return weft_op_fail(op, "output_shape's entry %d is %lld, expected at least %lld", d, (long long)wanted[d],
                            (long long)out.dims[d]);
      }
      out.dims[d] = wanted[d];
    }
  }
  return weft_op_set(op, 0, weft_op_in(op, X)->type, &out);
}

weft_status weft_max_unpool_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, X);
  const int64_t *indices = weft_op_in(op, INDICES)->data;
  weft_tensor *y = weft_op_out(op, 0);
  size_t size = weft_type_size(x->type), count = 0;
  weft_shape natural;
  WEFT_TRY(natural_shape(op, &natural));
  if (y == NULL || !weft_shape_count(&natural, x->type, &count)) {
    return WEFT_OK;
  }
  memset(y->data, 0, y->count * size);
  const bool same = weft_shape_equal(&natural, &y->shape);
  int64_t map[WEFT_BLOCK];
  for (size_t done = 0, n; done < x->count; done += n) {
    n = weft_smaller(x->count - done, WEFT_BLOCK);
    for (size_t i = 0; i < n; i++) {
      const int64_t index = indices[done + i];
      if (index < 0 || (uint64_t)index >= count) {
        return weft_op_run_fail(op, "index %lld is out of range: the result has %zu elements", (long long)index, count);
      }
      int64_t at[WEFT_MAX_RANK];
      map[i] = same ? index : 0;
      if (!same) weft_position((size_t)index, natural.rank, natural.dims, at);
      for (int d = 0; d < natural.rank && !same; d++) {
        map[i] = map[i] * y->shape.dims[d] + at[d];
      }
    }
    weft_spread_elements(size, n, map, (const char *)x->data + done * size, y->data);
  }
  return WEFT_OK;
}
