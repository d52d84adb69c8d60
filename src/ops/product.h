/* Matrix products for operators: cuts c = epilogue(a * b) into blocks that stay in the cache, packs the block of b that
 * is needed where it is not packed yet, and spreads the blocks over the threads. MatMul, Gemm, convolutions, attention
 * and recurrent layers differ only in where their operands come from. Also here: 16-bit tensors as floats and back, and
 * the plain loops for element types that have no fast kernel. It must not know operators. */
#ifndef WEFT_OPS_PRODUCT_H
#define WEFT_OPS_PRODUCT_H

#include "op.h"

enum {
  WEFT_PACK_COLUMNS = 4,     /* narrower constants are read as they are: a panel would mostly hold zeros */
  WEFT_PRODUCT_BLOCK = 49152 /* floats of b in one task */
};

/* How many parts of that size n has, the last perhaps smaller. */
static inline size_t weft_parts(size_t n, size_t part) {
  return (n + part - 1) / part;
}

/* Where a share of n begins, which is dealt out evenly in whole units (the last may be cut), for threads wait for the
 * largest share. */
static inline size_t weft_share_begin(size_t n, size_t unit, size_t share, size_t shares) {
  return weft_smaller((size_t)((uint64_t)weft_parts(n, unit) * share / shares) * unit, n);
}

/* The epilogue of what begins at that row and column. */
weft_epilogue weft_epilogue_from(const weft_epilogue *e, size_t row, size_t column);

/* One of a batch of products of equal size. b is `packed` whole, in panels of floats or (`narrow`) of 16-bit floats of
 * narrow_type, or plain (row stride ldb; `transposed`: b[n x k] read
 * as its transpose), or made by weft_products.pack. */
typedef struct weft_product {
  const float *a;
  size_t lda;
  const float *packed;
  const uint16_t *narrow; /* without infinities and NaN if float16 */
  weft_type narrow_type;
  const float *b;
  size_t ldb;
  bool transposed;
  float *c;
  size_t ldc;
  weft_epilogue epilogue;
} weft_product;

typedef struct weft_products {
  size_t count, m, n, k;
  bool accumulate; /* c += a * b before the epilogue */
  const void *arg;
  void (*at)(const void *arg, size_t index, weft_product *out);
  /* Packs columns [column, column + columns) of product `index` as weft_kernels.gemm_f32_pack does. NULL: b is plain.
   */
  void (*pack)(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch);
  size_t scratch_fixed, scratch_column; /* bytes of pack's scratch: fixed + column * columns */
  bool weights;                         /* pack needs no scratch, and makes the same in every run */
} weft_products;

weft_status weft_products_run(weft_op *op, const weft_products *products);
/* The same, but never as products of halves (strassen.h). */
weft_status weft_products_run_plain(weft_op *op, const weft_products *products);
/* The same without threads, for bodies of weft_parallel and for products too small to cut: `scratch` holds
 * weft_product_scratch(n, k) floats, or may be NULL when b is packed. */
void weft_product_run(const weft_kernels *kernels, size_t m, size_t n, size_t k, const weft_product *product,
                      bool accumulate, float *scratch);
size_t weft_product_scratch(size_t n, size_t k);

/* Brings memory that is about to be read in pieces into the second-level cache. */
void weft_read_ahead(const void *data, size_t bytes);

/* A float, half or bfloat16 tensor as floats: its own data, or a widened copy in the node's scratch. NULL gives NULL.
 */
weft_status weft_op_floats(weft_op *op, const weft_tensor *tensor, const float **out);
/* Where a result of `tensor` is to be written as floats: its own data, or scratch that weft_op_floats_done narrows into
 * it. */
weft_status weft_op_floats_out(weft_op *op, const weft_tensor *tensor, float **out);
void weft_op_floats_done(weft_op *op, const weft_tensor *tensor, const float *values);
void weft_widen(const weft_kernels *kernels, weft_type type, size_t n, const void *in, float *out);
void weft_narrow(const weft_kernels *kernels, weft_type type, size_t n, const float *in, void *out);

/* The activation that a fused node asks for: `activation`, `lo`, `hi` of Weft's own operators, or the names and
 * parameters of com.microsoft's FusedConv and FusedGemm. */
weft_status weft_op_activation(weft_op *op, weft_epilogue *out);

/* c[m x n] = a * b with any strides (in elements) for double and for integers, whose arithmetic wraps. */
typedef struct weft_plain_product {
  weft_type type;
  size_t m, n, k;
  const void *a;
  size_t a_row, a_column;
  const void *b;
  size_t b_row, b_column;
  void *c; /* rows of n */
} weft_plain_product;

void weft_plain_product_run(const weft_plain_product *product);
/* The same by all threads. */
void weft_plain_product_share(weft_context *cx, const weft_plain_product *product);

#endif
