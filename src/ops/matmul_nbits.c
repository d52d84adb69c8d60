/* com.microsoft MatMulNBits: a float matrix times weights of 2, 4 or 8 bits in blocks with a scale and a zero point
 * each. The weights stay as they are: few rows are multiplied with them directly, more with panels that are expanded
 * just before their product. Where the model allows it (accuracy_level 4), rows are rounded to 8 bits first. */
#include "product.h"

#include <string.h>

enum { A, WEIGHTS, SCALES, ZEROS, ORDER, BIAS };
enum { DIRECT_ROWS = 4, DIRECT_COLUMNS = 32, LEVEL_I8 = 4 };

typedef struct nbits {
  const weft_kernels *kernels;
  weft_nbits w;
  size_t m;
  const float *a;
  const int32_t *order; /* each of the k rows' block of scales and zero points; NULL: the one it lies in */
  float *y;
  char *packed; /* rows as the kernel reads them, each of `row` bytes */
  size_t row;
  char *scratch;
  size_t slot_size;
} nbits;

static weft_status make(weft_op *op, nbits *out) {
  const weft_tensor *a = weft_op_in(op, A);
  int64_t k = weft_op_attr_int(op, "K", 0), n = weft_op_attr_int(op, "N", 0), bits = weft_op_attr_int(op, "bits", 4);
  int64_t block = weft_op_attr_int(op, "block_size", 0);
  if (k < 1 || n < 1 || k > INT32_MAX || n > INT32_MAX || (bits != 2 && bits != 4 && bits != 8) || block < 16 ||
      block > INT32_MAX || (block & (block - 1)) != 0) {
    return weft_op_fail(op, "K %lld, N %lld, bits %lld and block size %lld are not all allowed", (long long)k,
                        (long long)n, (long long)bits, (long long)block);
  }
  if (a->shape.dims[a->shape.rank - 1] != k) {
    return weft_op_fail(op, "input 'A' has %lld columns, attribute 'K' says %lld",
                        (long long)a->shape.dims[a->shape.rank - 1], (long long)k);
  }
  size_t blocks = ((size_t)k + (size_t)block - 1) / (size_t)block;
  *out = (nbits){.kernels = op->cx->kernels,
                 .m = weft_shape_product(&a->shape, 0, a->shape.rank - 1),
                 .w = {.bits = (unsigned)bits,
                       .n = (size_t)n,
                       .k = (size_t)k,
                       .block = (size_t)block,
                       .blocks = blocks,
                       .blob = (size_t)(block * bits / 8),
                       .zero_row = (blocks * (size_t)bits + 7) / 8}};
  return WEFT_OK;
}

/* Weights of no elements stand for zeros, whatever the scales are. */
static bool is_left_out(const weft_op *op) {
  return weft_op_in(op, WEIGHTS)->count == 0;
}

static weft_status expect_weights(weft_op *op, const weft_nbits *w) {
  const weft_tensor *zeros = weft_op_in(op, ZEROS);
  WEFT_TRY(weft_op_expect_count(op, WEIGHTS, "B", w->n * w->blocks * w->blob));
  WEFT_TRY(weft_op_expect_count(op, SCALES, "scales", w->n * w->blocks));
  if (zeros != NULL) {
    WEFT_TRY(weft_op_expect_count(op, ZEROS, "zero_points",
                                  zeros->type == WEFT_UINT8 ? w->n * w->zero_row : w->n * w->blocks));
  }
  if (weft_op_has(op, ORDER) && weft_op_in(op, ORDER)->count < w->k) {
    return weft_op_fail(op, "input 'g_idx' holds %zu elements, expected %zu", weft_op_in(op, ORDER)->count, w->k);
  }
  return WEFT_OK;
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
  if (weft_op_attr_int(op, "weight_prepacked", 0) != 0) {
    return weft_op_unsupported(op, "weights packed for another engine (attribute 'weight_prepacked')");
  }
  nbits nbits;
  WEFT_TRY(make(op, &nbits));
  const weft_nbits w = nbits.w;
  if (!is_left_out(op)) {
    WEFT_TRY(expect_weights(op, &w));
  }
  WEFT_TRY(weft_op_expect_count(op, BIAS, "bias", w.n));
  weft_shape out = weft_op_in(op, A)->shape;
  out.dims[out.rank - 1] = (int64_t)w.n;
  return weft_op_set(op, 0, weft_op_in(op, A)->type, &out);
}

/* ---- few rows: straight from the bits ---- */
static void run_direct(void *arg, size_t begin, size_t end) {
  const nbits *p = arg;
  for (size_t row = 0; row < p->m; row++) {
    p->kernels->nbits_gemv(&p->w, (const float *)(const void *)(p->packed + row * p->row), begin, end,
                           p->y + row * p->w.n + begin);
  }
}

static weft_status multiply_direct(weft_op *op, nbits *p) {
  void *room = NULL;
  p->row = weft_nbits_row_size(&p->w) * sizeof(float);
  WEFT_TRY(weft_op_scratch_array(op, p->m, p->row, &room));
  p->packed = room;
  for (size_t row = 0; row < p->m; row++) {
    p->kernels->nbits_prepare(&p->w, p->a + row * p->w.k, (float *)room + row * weft_nbits_row_size(&p->w));
  }
  weft_parallel(op->cx, p->w.n, DIRECT_COLUMNS, run_direct, p);
  return WEFT_OK;
}

/* ---- rows of 8 bits ---- */
static void pack_rows(void *arg, size_t begin, size_t end) {
  const nbits *p = arg;
  for (size_t row = begin; row < end; row++) {
    p->kernels->nbits_i8_pack_a(&p->w, p->a + row * p->w.k, p->packed + row * p->row);
  }
}

static void run_groups(void *arg, uint32_t slot, size_t begin, size_t end) {
  const nbits *p = arg;
  size_t column = begin * DIRECT_COLUMNS, last = end * DIRECT_COLUMNS < p->w.n ? end * DIRECT_COLUMNS : p->w.n;
  p->kernels->nbits_i8(&p->w, p->m, p->packed, column, last, p->y + column, p->w.n, p->scratch + slot * p->slot_size);
}

static weft_status multiply_i8(weft_op *op, nbits *p) {
  void *room = NULL;
  p->row = p->kernels->nbits_i8_a_size(&p->w, 1);
  WEFT_TRY(weft_op_scratch_array(op, p->m, p->row, &room));
  p->packed = room;
  p->slot_size = (weft_nbits_i8_scratch(&p->w) + 63) / 64 * 64;
  WEFT_TRY(weft_op_scratch_array(op, weft_parallel_threads(op->cx), p->slot_size, &room));
  p->scratch = room;
  weft_parallel(op->cx, p->m, 8, pack_rows, p);
  weft_parallel_slots(op->cx, (p->w.n + DIRECT_COLUMNS - 1) / DIRECT_COLUMNS, 1, run_groups, p);
  return WEFT_OK;
}

/* ---- many rows: expanded into panels ---- */
/* Row i of a column has the scale and zero point of block order[i], wherever it lies. */
static void rescale(const nbits *p, size_t column, size_t columns, float *panels) {
  const weft_nbits *w = &p->w;
  for (size_t j = 0; j < columns; j++) {
    float *values = panels + j / WEFT_GEMM_NR * WEFT_GEMM_NR * w->k + j % WEFT_GEMM_NR;
    for (size_t i = 0; i < w->k; i++, values += WEFT_GEMM_NR) {
      size_t block = (size_t)p->order[i];
      *values = (*values - weft_nbits_zero(w, column + j, block)) * w->scales[(column + j) * w->blocks + block];
    }
  }
}

static void expand_columns(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const nbits *p = arg;
  weft_nbits w = p->w;
  (void)index;
  (void)scratch;
  w.scales = p->order != NULL ? NULL : w.scales;
  p->kernels->nbits_expand(&w, column, column + columns, out);
  if (p->order != NULL) {
    rescale(p, column, columns, out);
  }
}

static void product_at(const void *arg, size_t index, weft_product *out) {
  const nbits *p = arg;
  (void)index;
  *out = (weft_product){.a = p->a, .lda = p->w.k, .c = p->y, .ldc = p->w.n, .epilogue = {.column_bias = p->w.bias}};
}

static weft_status multiply_panels(weft_op *op, nbits *p) {
  weft_products products = {.count = 1,
                            .m = p->m,
                            .n = p->w.n,
                            .k = p->w.k,
                            .arg = p,
                            .at = product_at,
                            .pack = expand_columns,
                            .weights = true};
  return weft_products_run(op, &products);
}

static weft_status place_order(weft_op *op, nbits *p) {
  const weft_tensor *order = weft_op_in(op, ORDER);
  p->order = order != NULL ? order->data : NULL;
  for (size_t i = 0; order != NULL && i < p->w.k; i++) {
    if (p->order[i] < 0 || (size_t)p->order[i] >= p->w.blocks) {
      return weft_op_run_fail(op, "input 'g_idx' holds %ld, expected a block below %zu", (long)p->order[i],
                              p->w.blocks);
    }
  }
  return WEFT_OK;
}

static void run_left_out(const nbits *p) {
  memset(p->y, 0, p->m * p->w.n * sizeof *p->y);
  for (size_t row = 0; p->w.bias != NULL && row < p->m; row++) {
    memcpy(p->y + row * p->w.n, p->w.bias, p->w.n * sizeof *p->y);
  }
}

weft_status weft_matmul_nbits_run(weft_op *op) {
  nbits p;
  weft_tensor *y = weft_op_out(op, 0);
  const weft_tensor *zeros = weft_op_in(op, ZEROS);
  WEFT_TRY(make(op, &p));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, A), &p.a));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, SCALES), &p.w.scales));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, BIAS), &p.w.bias));
  if (zeros != NULL && zeros->type == WEFT_UINT8) {
    p.w.zeros = zeros->data;
  } else {
    WEFT_TRY(weft_op_floats(op, zeros, &p.w.float_zeros));
  }
  WEFT_TRY(weft_op_floats_out(op, y, &p.y));
  p.w.weights = weft_op_in(op, WEIGHTS)->data;
  if (p.y == NULL || y->count == 0) {
    return WEFT_OK;
  }
  if (is_left_out(op)) {
    run_left_out(&p);
    weft_op_floats_done(op, y, p.y);
    return WEFT_OK;
  }
  WEFT_TRY(place_order(op, &p));
  bool is_i8 = weft_op_attr_int(op, "accuracy_level", 0) == LEVEL_I8 && weft_nbits_has_i8(&p.w);
  if (p.order != NULL || (p.m > DIRECT_ROWS && !is_i8)) {
    WEFT_TRY(multiply_panels(op, &p));
  } else {
    WEFT_TRY((is_i8 ? multiply_i8 : multiply_direct)(op, &p));
  }
  weft_op_floats_done(op, y, p.y);
  return WEFT_OK;
}
