/* com.microsoft MatMulBnb4: a float matrix times weights that are 4-bit indices into a table of 16 values, with the
 * greatest magnitude of each block beside them. The tables are those of the bitsandbytes library: FP4, and NF4 of
 * Dettmers et al., "QLoRA" (2023). Weights are expanded into panels just before their product. */
#include "product.h"

#include <string.h>

enum { A, WEIGHTS, SCALES };

static const float tables[2][16] = {
    {0, 0.00520833333F, 0.66666667F, 1, 0.33333333F, 0.5F, 0.16666667F, 0.25F, -0.0F, -0.00520833333F, -0.66666667F, -1,
     -0.33333333F, -0.5F, -0.16666667F, -0.25F},
    {-1, -0.6961928009986877F, -0.5250730514526367F, -0.39491748809814453F, -0.28444138169288635F,
     -0.18477343022823334F, -0.09105003625154495F, 0, 0.07958029955625534F, 0.16093020141124725F, 0.24611230194568634F,
     0.33791524171829224F, 0.44070982933044434F, 0.5626170039176941F, 0.7229568362236023F, 1},
};

typedef struct tabled {
  const weft_kernels *kernels;
  const float *table, *a, *scales;
  const uint8_t *weights;
  size_t m, n, k, block; /* weights are [n][k]; the result has n columns, or k when they are not transposed */
  bool transposed;
  float *y;
} tabled;

static weft_status make(weft_op *op, tabled *t) {
  const weft_tensor *a = weft_op_in(op, A);
  int64_t k = weft_op_attr_int(op, "K", 0), n = weft_op_attr_int(op, "N", 0);
  int64_t block = weft_op_attr_int(op, "block_size", 0), table = weft_op_attr_int(op, "quant_type", 1);
  *t = (tabled){.kernels = op->cx->kernels, .transposed = weft_op_attr_int(op, "transB", 1) != 0};
  if (k < 1 || n < 1 || k > INT32_MAX || n > INT32_MAX || block < 1 || (table != 0 && table != 1)) {
    return weft_op_fail(op, "K %lld, N %lld, block size %lld and quant_type %lld are not all allowed", (long long)k,
                        (long long)n, (long long)block, (long long)table);
  }
  int64_t depth = t->transposed ? k : n;
  if (a->shape.dims[a->shape.rank - 1] != depth) {
    return weft_op_fail(op, "input 'A' has %lld columns, expected %lld", (long long)a->shape.dims[a->shape.rank - 1],
                        (long long)depth);
  }
  t->table = tables[table];
  t->m = weft_shape_product(&a->shape, 0, a->shape.rank - 1);
  t->n = (size_t)n;
  t->k = (size_t)k;
  t->block = (size_t)block;
  size_t count = 0;
  if (!weft_mul(t->n, t->k, &count) || weft_op_in(op, WEIGHTS)->count != count / 2 + count % 2 ||
      weft_op_in(op, SCALES)->count != count / t->block + (count % t->block != 0)) {
    return weft_op_fail(op, "inputs 'B' and 'absmax' do not hold %lld x %lld weights in blocks of %lld", (long long)n,
                        (long long)k, (long long)block);
  }
  return WEFT_OK;
}

weft_status weft_matmul_bnb_infer(weft_op *op) {
  uint32_t floats = WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE);
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  WEFT_TRY(weft_op_expect_type(op, A, "A", floats));
  WEFT_TRY(weft_op_expect_rank(op, A, "A", 1, WEFT_MAX_RANK));
  WEFT_TRY(weft_op_expect_type(op, WEIGHTS, "B", WEFT_TYPE_BIT(WEFT_UINT8)));
  WEFT_TRY(weft_op_expect_type(op, SCALES, "absmax", floats));
  tabled t;
  WEFT_TRY(make(op, &t));
  weft_shape out = weft_op_in(op, A)->shape;
  out.dims[out.rank - 1] = (int64_t)(t.transposed ? t.n : t.k);
  return weft_op_set(op, 0, weft_op_in(op, A)->type, &out);
}

/* Weight i; the first of two in a byte is its upper half. */
static float weight_at(const tabled *t, size_t i) {
  return t->table[t->weights[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15] * t->scales[i / t->block];
}

static void expand_columns(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const tabled *t = arg;
  float *wide = scratch;
  size_t depth = t->transposed ? t->k : t->n;
  (void)index;
  for (size_t j = 0; j < columns; j++) {
    for (size_t i = 0; i < depth; i++) {
      wide[j * depth + i] = weight_at(t, t->transposed ? (column + j) * t->k + i : i * t->k + column + j);
    }
  }
  t->kernels->gemm_f32_pack(columns, depth, wide, depth, true, out);
}

static void product_at(const void *arg, size_t index, weft_product *out) {
  const tabled *t = arg;
  (void)index;
  *out = (weft_product){.a = t->a, .lda = t->transposed ? t->k : t->n, .c = t->y, .ldc = t->transposed ? t->n : t->k};
}

weft_status weft_matmul_bnb_run(weft_op *op) {
  tabled t;
  weft_tensor *y = weft_op_out(op, 0);
  WEFT_TRY(make(op, &t));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, A), &t.a));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, SCALES), &t.scales));
  WEFT_TRY(weft_op_floats_out(op, y, &t.y));
  t.weights = weft_op_in(op, WEIGHTS)->data;
  if (y->count == 0) {
    return WEFT_OK;
  }
  size_t depth = t.transposed ? t.k : t.n;
  weft_products products = {.count = 1,
                            .m = t.m,
                            .n = t.transposed ? t.n : t.k,
                            .k = depth,
                            .arg = &t,
                            .at = product_at,
                            .pack = expand_columns,
                            .scratch_column = depth * sizeof(float)};
  WEFT_TRY(weft_products_run(op, &products));
  weft_op_floats_done(op, y, t.y);
  return WEFT_OK;
}
