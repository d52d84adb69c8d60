/* com.microsoft MatMulNBits: a float matrix times weights of 2, 4 or 8 bits in blocks with a scale and a zero point
 * each. The weights stay as they are: a single row is multiplied with them directly, more rows with panels that are
 * expanded block by block just before their product. */
#include "../kernels/nbits.h"
#include "product.h"

#include <string.h>

enum { A, WEIGHTS, SCALES, ZEROS, ORDER, BIAS };
enum { DIRECT_ROWS = 4, DIRECT_COLUMNS = 32 };

typedef struct nbits {
  const weft_kernels *kernels;
  unsigned bits;
  size_t m, n, k, block, blocks; /* blocks of a column */
  size_t blob, zero_row;         /* bytes of a block; of a column's packed zero points */
  const float *a, *bias, *scales;
  const float *float_zeros; /* zero points in floating form; NULL: packed, or none */
  const uint8_t *weights, *zeros;
  const int32_t *order; /* each of the k rows' block of scales and zero points; NULL: the one it lies in */
  const float *prepared, *sums; /* of a's rows: as the kernel reads them, and per block */
  float *y;
} nbits;

static weft_status make(weft_op *op, nbits *w) {
  const weft_tensor *a = weft_op_in(op, A);
  int64_t k = weft_op_attr_int(op, "K", 0), n = weft_op_attr_int(op, "N", 0), bits = weft_op_attr_int(op, "bits", 4);
  int64_t block = weft_op_attr_int(op, "block_size", 0);
  if (k < 1 || n < 1 || k > INT32_MAX || n > INT32_MAX || (bits != 2 && bits != 4 && bits != 8) || block < 8 ||
      block > INT32_MAX || (block & (block - 1)) != 0) {
    return weft_op_fail(op, "K %lld, N %lld, bits %lld and block size %lld are not all allowed", (long long)k,
                        (long long)n, (long long)bits, (long long)block);
  }
  if (a->shape.dims[a->shape.rank - 1] != k) {
    return weft_op_fail(op, "input 'A' has %lld columns, attribute 'K' says %lld",
                        (long long)a->shape.dims[a->shape.rank - 1], (long long)k);
  }
  *w = (nbits){.kernels = op->cx->kernels,
               .bits = (unsigned)bits,
               .n = (size_t)n,
               .k = (size_t)k,
               .block = (size_t)block,
               .m = weft_shape_product(&a->shape, 0, a->shape.rank - 1)};
  w->blocks = (w->k + w->block - 1) / w->block;
  w->blob = w->block * w->bits / 8;
  w->zero_row = (w->blocks * w->bits + 7) / 8;
  return WEFT_OK;
}

static weft_status expect_count(weft_op *op, int i, const char *name, size_t count) {
  const weft_tensor *t = weft_op_in(op, i);
  return t == NULL || t->count == count
             ? WEFT_OK
             : weft_op_fail(op, "input '%s' holds %zu elements, expected %zu", name, t->count, count);
}

weft_status weft_matmul_nbits_infer(weft_op *op) {
  uint32_t floats = WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE);
  WEFT_TRY(weft_op_expect_inputs(op, 3, 6));
  WEFT_TRY(weft_op_expect_type(op, A, "A", floats));
  WEFT_TRY(weft_op_expect_rank(op, A, "A", 1, WEFT_MAX_RANK));
  WEFT_TRY(weft_op_expect_type(op, WEIGHTS, "B", WEFT_TYPE_BIT(WEFT_UINT8)));
  WEFT_TRY(weft_op_expect_type(op, SCALES, "scales", floats));
  WEFT_TRY(weft_op_expect_type(op, ZEROS, "zero_points", floats | WEFT_TYPE_BIT(WEFT_UINT8)));
  WEFT_TRY(weft_op_expect_type(op, BIAS, "bias", floats));
  WEFT_TRY(weft_op_expect_type(op, ORDER, "g_idx", WEFT_TYPE_BIT(WEFT_INT32)));
  nbits w;
  WEFT_TRY(make(op, &w));
  WEFT_TRY(expect_count(op, WEIGHTS, "B", w.n * w.blocks * w.blob));
  WEFT_TRY(expect_count(op, SCALES, "scales", w.n * w.blocks));
  const weft_tensor *zeros = weft_op_in(op, ZEROS);
  if (zeros != NULL) {
    WEFT_TRY(expect_count(op, ZEROS, "zero_points", zeros->type == WEFT_UINT8 ? w.n * w.zero_row : w.n * w.blocks));
  }
  if (weft_op_has(op, ORDER) && weft_op_in(op, ORDER)->count < w.k) {
    return weft_op_fail(op, "input 'g_idx' holds %zu elements, expected %zu", weft_op_in(op, ORDER)->count, w.k);
  }
  WEFT_TRY(expect_count(op, BIAS, "bias", w.n));
  weft_shape out = weft_op_in(op, A)->shape;
  out.dims[out.rank - 1] = (int64_t)w.n;
  return weft_op_set(op, 0, weft_op_in(op, A)->type, &out);
}

static float zero_of(const nbits *w, size_t column, size_t block) {
  if (w->float_zeros != NULL) {
    return w->float_zeros[column * w->blocks + block];
  }
  if (w->zeros == NULL) {
    return (float)(1u << (w->bits - 1));
  }
  size_t bit = block * w->bits;
  return (float)(w->zeros[column * w->zero_row + bit / 8] >> (bit % 8) & ((1u << w->bits) - 1));
}

/* ---- few rows: straight from the bits
 * -------------------------------------------------------------------------------------- */
static void run_columns(void *arg, size_t begin, size_t end) {
  const nbits *w = arg;
  for (size_t column = begin; column < end; column++) {
    const uint8_t *weights = w->weights + column * w->blocks * w->blob;
    for (size_t row = 0; row < w->m; row++) {
      const float *x = w->prepared + row * w->blocks * w->block, *sums = w->sums + row * w->blocks;
      float result = w->bias != NULL ? w->bias[column] : 0;
      for (size_t b = 0; b < w->blocks; b++) {
        float dot = weft_nbits_dot(w->bits, w->block, weights + b * w->blob, x + b * w->block);
        result += w->scales[column * w->blocks + b] * (dot - zero_of(w, column, b) * sums[b]);
      }
      w->y[row * w->n + column] = result;
    }
  }
}

static weft_status run_direct(weft_op *op, nbits *w) {
  size_t width = w->blocks * w->block;
  void *prepared = NULL, *sums = NULL, *line = NULL;
  WEFT_TRY(weft_op_scratch_array(op, w->m * width, sizeof(float), &prepared));
  WEFT_TRY(weft_op_scratch_array(op, w->m * w->blocks, sizeof(float), &sums));
  WEFT_TRY(weft_op_scratch_array(op, w->block, sizeof(float), &line));
  for (size_t i = 0; i < w->m * w->blocks; i++) {
    size_t row = i / w->blocks, first = i % w->blocks * w->block;
    size_t n = w->k - first < w->block ? w->k - first : w->block;
    memset(line, 0, w->block * sizeof(float)); /* the last block may be longer than what is left of a row */
    memcpy(line, w->a + row * w->k + first, n * sizeof(float));
    ((float *)sums)[i] = weft_nbits_prepare(w->bits, w->block, line, (float *)prepared + row * width + first);
  }
  w->prepared = prepared;
  w->sums = sums;
  weft_parallel(op->cx, w->n, DIRECT_COLUMNS, run_columns, w);
  return WEFT_OK;
}

/* ---- many rows: expanded into panels
 * ------------------------------------------------------------------------------------------ */
/* Row i of a column has the scale and zero point of block order[i], wherever it lies. */
static void rescale(const nbits *w, size_t column, float *values) {
  for (size_t i = 0; i < w->k; i++) {
    size_t block = (size_t)w->order[i];
    values[i] = (values[i] - zero_of(w, column, block)) * w->scales[column * w->blocks + block];
  }
}

static void expand_columns(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const nbits *w = arg;
  float *wide = scratch;
  (void)index;
  for (size_t j = 0; j < columns; j++) {
    for (size_t b = 0; b < w->blocks; b++) {
      size_t first = b * w->block, n = w->k - first < w->block ? w->k - first : w->block,
             at = (column + j) * w->blocks + b;
      weft_nbits_expand(w->bits, n, w->weights + at * w->blob, w->order != NULL ? 1 : w->scales[at],
                        w->order != NULL ? 0 : zero_of(w, column + j, b), wide + j * w->k + first);
    }
    if (w->order != NULL) {
      rescale(w, column + j, wide + j * w->k);
    }
  }
  w->kernels->gemm_f32_pack(columns, w->k, wide, w->k, true, out);
}

static void product_at(const void *arg, size_t index, weft_product *out) {
  const nbits *w = arg;
  (void)index;
  *out = (weft_product){.a = w->a, .lda = w->k, .c = w->y, .ldc = w->n, .epilogue = {.column_bias = w->bias}};
}

static weft_status place_order(weft_op *op, nbits *w) {
  const weft_tensor *order = weft_op_in(op, ORDER);
  w->order = order != NULL ? order->data : NULL;
  for (size_t i = 0; order != NULL && i < w->k; i++) {
    if (w->order[i] < 0 || (size_t)w->order[i] >= w->blocks) {
      return weft_op_run_fail(op, "input 'g_idx' holds %ld, expected a block below %zu", (long)w->order[i], w->blocks);
    }
  }
  return WEFT_OK;
}

weft_status weft_matmul_nbits_run(weft_op *op) {
  nbits w;
  weft_tensor *y = weft_op_out(op, 0);
  const weft_tensor *zeros = weft_op_in(op, ZEROS);
  WEFT_TRY(make(op, &w));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, A), &w.a));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, SCALES), &w.scales));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, BIAS), &w.bias));
  if (zeros != NULL && zeros->type == WEFT_UINT8) {
    w.zeros = zeros->data;
  } else {
    WEFT_TRY(weft_op_floats(op, zeros, &w.float_zeros));
  }
  WEFT_TRY(weft_op_floats_out(op, y, &w.y));
  w.weights = weft_op_in(op, WEIGHTS)->data;
  WEFT_TRY(place_order(op, &w));
  if (w.y == NULL || y->count == 0) {
    return WEFT_OK;
  }
  if (w.m <= DIRECT_ROWS && w.order == NULL) {
    WEFT_TRY(run_direct(op, &w));
  } else {
    weft_products products = {.count = 1,
                              .m = w.m,
                              .n = w.n,
                              .k = w.k,
                              .arg = &w,
                              .at = product_at,
                              .pack = expand_columns,
                              .scratch_column = w.k * sizeof(float)};
    WEFT_TRY(weft_products_run(op, &products));
  }
  weft_op_floats_done(op, y, w.y);
  return WEFT_OK;
}
