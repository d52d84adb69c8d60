/* Products of 8-bit integers: MatMulInteger, QLinearMatMul, com.microsoft's QGemm, MatMulIntegerToFloat and
 * DynamicQuantizeMatMul, and Weft's own QMatMul, which differ in where their operands stand among the inputs and in what
 * becomes of the 32-bit sums; DynamicQuantizeMatMul makes integers of its floating a first. Zero points are taken off
 * while packing; a constant b is packed once. */
#include "../base/convert.h"
#include "broadcast.h"
#include "integer.h"
#include "matmul.h"
#include "number.h"
#include "product.h"

#include <string.h>

enum { TILE_ROWS = 64, TILE_BYTES = 262144 };

static const weft_integer_roles roles_of[] = {
    [WEFT_INTEGER_PLAIN] = {0, -1, 2, 1, -1, 3, -1, -1, -1, 2, 4},
    [WEFT_INTEGER_QLINEAR] = {0, 1, 2, 3, 4, 5, -1, 6, 7, 8, 8},
    [WEFT_INTEGER_GEMM] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 6, 9},
    [WEFT_INTEGER_TO_FLOAT] = {0, 2, 4, 1, 3, 5, 6, -1, -1, 4, 7},
    [WEFT_INTEGER_DYNAMIC] = {0, -1, -1, 1, 2, 3, 4, -1, -1, 3, 5},
    [WEFT_INTEGER_FUSED] = WEFT_INTEGER_FUSED_ROLES,
};

static const weft_integer_roles *roles_for(const weft_op *op) {
  return &roles_of[op->def->variant];
}

static bool is_transposed(const weft_op *op, const char *attribute) {
  const int variant = op->def->variant;
  return (variant == WEFT_INTEGER_GEMM || variant == WEFT_INTEGER_FUSED) && weft_op_attr_int(op, attribute, 0) != 0;
}

static weft_status make_plan(weft_op *op, weft_matmul_plan *p) {
  const weft_integer_roles *r = roles_for(op);
  weft_matmul_flags flags = {0};
  flags.transposed_a = is_transposed(op, "transA");
  flags.transposed_b = is_transposed(op, "transB");
  return weft_matmul_plan_make(op, &weft_op_in(op, r->a)->shape, &weft_op_in(op, r->b)->shape, &flags, p);
}

static weft_status expect_operand(weft_op *op, int i, const char *name, uint32_t types, int zero,
                                  const char *zero_name) {
  WEFT_TRY(weft_op_expect_type(op, i, name, types));
  WEFT_TRY(weft_op_expect_rank(op, i, name, 1, WEFT_MAX_RANK));
  return weft_op_has(op, zero) ? weft_op_expect_type(op, zero, zero_name, WEFT_TYPE_BIT(weft_op_in(op, i)->type))
                               : WEFT_OK;
}

/* QLinearMatMul also takes 8-bit floats, for any of its operands and its result. */
static bool is_float8(const weft_tensor *t) {
  return t != NULL && (WEFT_TYPE_BIT(t->type) & WEFT_TYPES_FLOAT8) != 0;
}

/* Whether the operands of a QLinearMatMul whose zero points say what they are, are integers. */
static bool is_of_integers(const weft_op *op, const weft_integer_roles *r) {
  return op->def->variant != WEFT_INTEGER_QLINEAR ||
         (weft_op_is_constant(op, r->a_zero) && weft_op_is_constant(op, r->y_zero) &&
          !is_float8(weft_op_in(op, r->a_zero)) && !is_float8(weft_op_in(op, r->y_zero)));
}

/* Rows of a and columns of b over all of their own leading dimensions, which broadcasting repeats. */
static size_t rows_of_a(const weft_matmul_plan *p, const weft_tensor *a) {
  return a->shape.rank > 2 ? weft_shape_product(&a->shape, 0, a->shape.rank - 1) : p->m;
}

static size_t columns_of_b(const weft_matmul_plan *p, const weft_tensor *b) {
  return b->shape.rank > 2 ? weft_shape_product(&b->shape, 0, b->shape.rank - 2) * p->n : p->n;
}

/* A scale or zero point is one for all, one for each line of a matrix, or one for each line of every matrix. */
static weft_status expect_lines(weft_op *op, int i, const char *name, size_t lines, size_t all) {
  const weft_tensor *t = weft_op_in(op, i);
  return t == NULL || t->count == 1 || t->count == lines || t->count == all
             ? WEFT_OK
             : weft_op_fail(op, "input '%s' holds %zu elements, expected 1 or %zu", name, t->count, lines);
}

weft_status weft_matmul_integer_infer(weft_op *op) {
  const weft_integer_roles *r = roles_for(op);
  const weft_tensor *a = weft_op_in(op, r->a);
  uint32_t operands = WEFT_TYPES_BYTE | (op->def->variant == WEFT_INTEGER_QLINEAR ? WEFT_TYPES_FLOAT8 : 0);
  bool gemm = op->def->variant == WEFT_INTEGER_GEMM, dynamic = op->def->variant == WEFT_INTEGER_DYNAMIC;
  WEFT_TRY(weft_op_expect_inputs(op, r->required, r->inputs));
  WEFT_TRY(expect_operand(op, r->a, "A", dynamic ? WEFT_TYPE_BIT(WEFT_FLOAT) : operands, r->a_zero, "a_zero_point"));
  WEFT_TRY(expect_operand(op, r->b, "B", operands, r->b_zero, "b_zero_point"));
  if (gemm) {
    WEFT_TRY(weft_op_expect_rank(op, r->a, "A", 2, 2));
    WEFT_TRY(weft_op_expect_rank(op, r->b, "B", 2, 2));
  }
  if (is_transposed(op, "transA")) {
    WEFT_TRY(weft_op_expect_rank(op, r->a, "A", 2, 2));
  }
  weft_matmul_plan p;
  WEFT_TRY(make_plan(op, &p));
  size_t rows = rows_of_a(&p, a), columns = columns_of_b(&p, weft_op_in(op, r->b));
  WEFT_TRY(expect_lines(op, r->a_scale, "a_scale", p.m, rows));
  WEFT_TRY(expect_lines(op, r->a_zero, "a_zero_point", p.m, rows));
  WEFT_TRY(expect_lines(op, r->b_scale, "b_scale", p.n, columns));
  WEFT_TRY(expect_lines(op, r->b_zero, "b_zero_point", p.n, columns));
  const weft_tensor *y_zero = weft_op_in(op, r->y_zero), *a_scale = weft_op_in(op, r->a_scale);
  weft_type type = WEFT_INT32;
  if (r->b_scale >= 0) {
    uint32_t scales = WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE);
    WEFT_TRY(weft_op_expect_type(op, r->a_scale, "a_scale", scales));
    WEFT_TRY(weft_op_expect_type(op, r->b_scale, "b_scale", scales));
    WEFT_TRY(weft_op_expect_type(op, r->y_scale, "y_scale", scales));
    WEFT_TRY(weft_op_expect_type(op, r->y_zero, "y_zero_point", operands));
    bool quantised = weft_op_has(op, r->y_scale);
    type = y_zero != NULL ? y_zero->type : quantised ? a->type : a_scale != NULL ? a_scale->type : WEFT_FLOAT;
  }
  uint32_t bias = WEFT_TYPE_BIT(op->def->variant == WEFT_INTEGER_GEMM ? WEFT_INT32 : WEFT_FLOAT);
  WEFT_TRY(weft_op_expect_type(op, r->bias, "C", bias));
  const weft_tensor *c = weft_op_in(op, r->bias);
  weft_shape matrix = {.rank = 2, .dims = {(int64_t)p.m, (int64_t)p.n}}, whole;
  if (c != NULL && (!weft_shape_broadcast(&c->shape, gemm ? &matrix : &p.out, &whole) ||
                    !weft_shape_equal(&whole, gemm ? &matrix : &p.out))) {
    char text[96];
    return weft_op_fail(op, "the bias of shape %s does not fit %zu columns",
                        weft_shape_print(&c->shape, text, sizeof text), p.n);
  }
  if (c != NULL && !gemm && c->count != 1 && (c->count != p.n || c->shape.dims[c->shape.rank - 1] != (int64_t)p.n)) {
    return weft_op_unsupported(op, "a bias that differs from row to row");
  }
  WEFT_TRY(weft_integer_expect_residual(op, &p.out));
  return weft_op_set(op, 0, type, &p.out);
}

/* ---- packing a constant b ---------------------------------------------------------------------------------------- */
/* b is plain rows (column == 1) or its transpose (row == 1). */
static void pack_b(const weft_kernels *kernels, const weft_matmul_plan *p, const weft_tensor *b, size_t offset,
                   const int32_t *zeros, void *out) {
  bool transposed = p->b.column != 1;
  kernels->gemm_i8_pack_b(p->n, p->k, (const uint8_t *)b->data + offset, transposed ? p->b.column : p->b.row,
                          transposed, b->type == WEFT_INT8, zeros, 1, out, false);
}

weft_status weft_matmul_integer_prepare(weft_op *op) {
  const weft_integer_roles *r = roles_for(op);
  const weft_tensor *b = weft_op_in(op, r->b), *zero = weft_op_in(op, r->b_zero);
  if (!weft_op_is_constant(op, r->b) || b == NULL || b->shape.rank != 2 || b->count == 0 ||
      (WEFT_TYPE_BIT(b->type) & WEFT_TYPES_BYTE) == 0 || !is_of_integers(op, r) ||
      (zero != NULL && !weft_op_is_constant(op, r->b_zero))) {
    return WEFT_OK;
  }
  weft_matmul_plan p = {0};
  weft_matmul_describe(&b->shape, false, is_transposed(op, "transB"), false, &p.b);
  p.n = p.b.columns;
  p.k = p.b.rows;
  if (zero != NULL && (zero->count == 0 || p.n % zero->count != 0 || zero->type != b->type)) {
    return WEFT_OK; /* infer will say what is wrong */
  }
  void *zeros = NULL, *state = NULL;
  WEFT_TRY(weft_op_scratch_array(op, p.n, sizeof(int32_t), &zeros));
  WEFT_TRY(weft_op_zero_points(op, zero, "b_zero_point", p.n, zeros));
  WEFT_TRY(weft_op_state(op, op->cx->kernels->gemm_i8_b_size(p.n, p.k, false), &state));
  pack_b(op->cx->kernels, &p, b, 0, zeros, state);
  weft_op_drop_constant(op, r->b);
  return WEFT_OK;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
typedef struct tiles {
  const weft_kernels *kernels;
  const weft_matmul_plan *p;
  size_t columns, blocks; /* of a tile; column tiles */
  const uint8_t *a_packed;
  const void *b_packed;
  weft_sums sums;
  const int32_t *bias; /* of a column */
  const int32_t *whole_bias;
  const float *added;             /* to a column, after its scale */
  float a_scale;                  /* of an a that was made here; else 1 */
  const float *row_scale, *scale; /* of a's rows, or NULL when all are 1; of columns: everything else */
  size_t first;                   /* y's element of this product */
  char *scratch;
  size_t slot_size;
} tiles;

static void run_tiles(void *arg, uint32_t slot, size_t begin, size_t end) {
  const tiles *t = arg;
  const weft_matmul_plan *p = t->p;
  for (size_t tile = begin; tile < end; tile++) {
    size_t row = tile / t->blocks * TILE_ROWS, column = tile % t->blocks * t->columns;
    size_t m = p->m - row < TILE_ROWS ? p->m - row : TILE_ROWS;
    size_t n = p->n - column < t->columns ? p->n - column : t->columns;
    bool direct = t->sums.y->type == WEFT_INT32;
    int32_t *sums = direct ? (int32_t *)t->sums.y->data + t->first + row * p->n + column
                           : (int32_t *)(t->scratch + slot * t->slot_size);
    size_t stride = direct ? p->n : n;
    t->kernels->gemm_i8(m, n, p->k, t->a_packed + t->kernels->gemm_i8_a_size(row, p->k, false), t->b_packed, column,
                        sums, stride, false);
    float *line = direct ? NULL : (float *)(sums + TILE_ROWS * t->columns), *scale = direct ? NULL : line + t->columns;
    for (size_t i = 0; i < m && !direct; i++) {
      const float *factors = t->scale + column;
      if (t->row_scale != NULL) {
        t->kernels->binary_f32[WEFT_BINARY_MUL](n, t->scale + column, 1, t->row_scale + row + i, 0, scale);
        factors = scale;
      }
      weft_rescale rescale = {.bias = t->bias != NULL         ? t->bias + column
                                      : t->whole_bias != NULL ? t->whole_bias + (row + i) * p->n + column
                                                              : NULL,
                              .bias_step = 1,
                              .scale = factors,
                              .scale_step = 1,
                              .added = t->added != NULL ? t->added + column : NULL};
      weft_sums_store(&t->sums, n, sums + i * stride, &rescale, line, t->first + (row + i) * p->n + column);
    }
  }
}

typedef struct packing {
  const weft_matmul_plan *p;
  const weft_kernels *kernels;
  const uint8_t *a;
  bool is_signed;
  const int32_t *zeros;
  uint8_t *out;
} packing;

static void pack_rows(void *arg, size_t begin, size_t end) {
  const packing *r = arg;
  r->kernels->gemm_i8_pack_a(end - begin, r->p->k, r->a + begin * r->p->k, r->p->k, r->is_signed, r->zeros + begin, 1,
                             r->out + r->kernels->gemm_i8_a_size(begin, r->p->k, false), false);
}

/* Where those of product `index` begin. */
static size_t first_line(const weft_matmul_plan *p, const size_t *strides, size_t index) {
  return p->k == 0 ? 0 : weft_matmul_offset(p, strides, index) / p->k;
}

/* Zero points of all rows (or columns). */
static weft_status zero_points(weft_op *op, int i, const char *name, size_t count, int32_t **out) {
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, count, sizeof(int32_t), &room));
  *out = room;
  return weft_op_zero_points(op, weft_op_in(op, i), name, count, room);
}

static weft_status scales(weft_op *op, int i, const char *name, size_t count, float **out) {
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, count, sizeof(float), &room));
  *out = room;
  return weft_op_scales(op, weft_op_in(op, i), name, count, room);
}

/* Scales per column hold everything that is the same for all rows. */
static weft_status place_scales(weft_op *op, tiles *t, size_t rows, size_t columns, float divisor) {
  const weft_integer_roles *r = roles_for(op);
  float *by_row = NULL, *by_column = NULL;
  if (r->b_scale < 0) {
    return WEFT_OK;
  }
  const weft_tensor *a_scale = weft_op_in(op, r->a_scale);
  bool one = a_scale == NULL || a_scale->count == 1;
  WEFT_TRY(scales(op, r->a_scale, "a_scale", one ? 1 : rows, &by_row));
  WEFT_TRY(scales(op, r->b_scale, "b_scale", columns, &by_column));
  float alpha = op->def->variant == WEFT_INTEGER_GEMM ? weft_op_attr_float(op, "alpha", 1) : t->a_scale;
  for (size_t i = 0; i < columns; i++) {
    by_column[i] = alpha * (one ? by_row[0] : 1) * by_column[i] / divisor;
  }
  t->row_scale = one ? NULL : by_row;
  t->scale = by_column;
  return WEFT_OK;
}

/* A bias for every element of a column, or of y where it differs from row to row. */
static weft_status place_bias(weft_op *op, tiles *t, float divisor) {
  const weft_tensor *c = weft_op_in(op, roles_for(op)->bias);
  const weft_matmul_plan *p = t->p;
  if (c == NULL) {
    return WEFT_OK;
  }
  bool by_row = c->shape.rank == 2 && c->shape.dims[0] > 1;
  size_t count = (by_row ? p->m : 1) * p->n;
  const void *data = c->data;
  if (c->count != count) { /* one number, or one a row */
    void *room = NULL;
    WEFT_TRY(weft_op_scratch_array(op, count, 4, &room));
    for (size_t i = 0; i < count; i++) {
      memcpy((char *)room + 4 * i, (const char *)c->data + 4 * (i / p->n), 4);
    }
    data = room;
  }
  if (c->type == WEFT_FLOAT && divisor != 1) {
    float *room = NULL;
    WEFT_TRY(weft_op_scratch_floats(op, 1, count, &room));
    op->cx->kernels->binary_f32[WEFT_BINARY_DIV](count, data, 1, &divisor, 0, room);
    data = room;
  }
  if (c->type == WEFT_FLOAT) {
    t->added = data;
  } else if (by_row) {
    t->whole_bias = data;
  } else {
    t->bias = data;
  }
  return WEFT_OK;
}

/* a's rows next to each other: they are not when a is transposed. */
static weft_status dense_a(weft_op *op, const weft_matmul_plan *p, const weft_tensor *a, const uint8_t **out) {
  *out = a->data;
  if (p->a.column == 1) {
    return WEFT_OK;
  }
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, a->count, 1, &room));
  op->cx->kernels->transpose(p->k, p->m, 1, a->data, p->m, room, p->k);
  *out = room;
  return WEFT_OK;
}

/* a as DynamicQuantizeLinear makes it. */
static weft_status quantised_a(weft_op *op, const weft_tensor *a, size_t rows, const uint8_t **out, int32_t *zeros,
                               float *scale) {
  void *room = NULL;
  uint8_t zero = 0;
  WEFT_TRY(weft_op_scratch_array(op, a->count, 1, &room));
  weft_dynamic_quantize(op->cx, a->count, a->data, room, scale, &zero);
  for (size_t i = 0; i < rows; i++) {
    zeros[i] = zero;
  }
  *out = room;
  return WEFT_OK;
}

static weft_status place_tiles(weft_op *op, tiles *t) {
  const weft_matmul_plan *p = t->p;
  t->columns = TILE_BYTES / 2 / (p->k + 1) / WEFT_GEMM_NR * WEFT_GEMM_NR;
  t->columns = t->columns < 8 * WEFT_GEMM_NR ? 8 * WEFT_GEMM_NR : t->columns;
  size_t whole = (p->n + WEFT_GEMM_NR - 1) / WEFT_GEMM_NR * WEFT_GEMM_NR;
  t->columns = t->columns < whole ? t->columns : whole;
  t->blocks = (p->n + t->columns - 1) / t->columns;
  if (t->sums.y->type == WEFT_INT32) {
    return WEFT_OK;
  }
  t->slot_size = (TILE_ROWS + 2) * t->columns * sizeof(int32_t);
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, weft_parallel_threads(op->cx), t->slot_size, &room));
  t->scratch = room;
  return WEFT_OK;
}

/* ---- 8-bit floats ------------------------------------------------------------------------------------------------ */
/* n numbers of operand i, `step` apart from `at`, less the zero point and times the scale of their row or column. */
static void load_real(const weft_op *op, int i, size_t at, size_t step, size_t line, size_t n, float *out) {
  const weft_tensor *x = weft_op_in(op, i), *scale = weft_op_in(op, i + 1), *zero = weft_op_in(op, i + 2);
  float factor = 1, origin = 0;
  weft_load_float(x->type, x->data, at, step, n, out);
  weft_load_float(scale->type, scale->data, line % scale->count, 1, 1, &factor);
  weft_load_float(zero->type, zero->data, line % zero->count, 1, 1, &origin);
  for (size_t k = 0; k < n; k++) {
    out[k] = (out[k] - origin) * factor;
  }
}

/* No hardware has these products and few models: one sum after the other. */
static weft_status run_float8(weft_op *op, const weft_matmul_plan *p) {
  enum { A, A_SCALE, A_ZERO, B, B_SCALE, B_ZERO, Y_SCALE, Y_ZERO };
  weft_tensor *y = weft_op_out(op, 0);
  double scale, zero;
  WEFT_TRY(weft_op_scalar_float(op, Y_SCALE, "y_scale", 1, &scale));
  WEFT_TRY(weft_op_scalar_float(op, Y_ZERO, "y_zero_point", 0, &zero));
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, 2 * p->k, sizeof(float), &room));
  float *row = room, *column = row + p->k;
  for (size_t at = 0; at < y->count; at++) {
    size_t index = at / (p->m * p->n), i = at / p->n % p->m, j = at % p->n;
    size_t a_at = weft_matmul_offset(p, p->a_batch, index), b_at = weft_matmul_offset(p, p->b_batch, index);
    if (j == 0) {
      load_real(op, A, a_at + i * p->a.row, p->a.column, first_line(p, p->a_batch, index) + i, p->k, row);
    }
    load_real(op, B, b_at + j * p->b.column, p->b.row, first_line(p, p->b_batch, index) + j, p->k, column);
    double sum = 0;
    for (size_t k = 0; k < p->k; k++) {
      sum += (double)row[k] * (double)column[k];
    }
    sum = sum / scale + zero;
    if (is_float8(y)) {
      weft_store_double(y->type, &sum, 1, y->data, at, 1);
    } else {
      weft_number_set(y->type, y->data, at, sum);
    }
  }
  return WEFT_OK;
}

weft_status weft_matmul_integer_run(weft_op *op) {
  const weft_integer_roles *r = roles_for(op);
  const weft_tensor *a = weft_op_in(op, r->a), *b = weft_op_in(op, r->b);
  const weft_kernels *kernels = op->cx->kernels;
  weft_matmul_plan p;
  WEFT_TRY(make_plan(op, &p));
  tiles t = {.kernels = kernels, .p = &p, .a_scale = 1, .sums = {.y = weft_op_out(op, 0)}};
  float divisor = 1;
  if (t.sums.y == NULL || t.sums.y->count == 0) {
    return WEFT_OK;
  }
  if (is_float8(a) || is_float8(b) || is_float8(t.sums.y)) {
    return run_float8(op, &p);
  }
  const uint8_t *a_data = NULL;
  int32_t *a_zero = NULL, *b_zero = NULL;
  void *packed_a = NULL, *packed_b = NULL;
  size_t rows = rows_of_a(&p, a), columns = columns_of_b(&p, b);
  WEFT_TRY(zero_points(op, r->a_zero, "a_zero_point", rows, &a_zero));
  if (op->def->variant == WEFT_INTEGER_DYNAMIC) {
    WEFT_TRY(quantised_a(op, a, rows, &a_data, a_zero, &t.a_scale));
  } else {
    WEFT_TRY(dense_a(op, &p, a, &a_data));
  }
  if (op->node->state == NULL) {
    WEFT_TRY(zero_points(op, r->b_zero, "b_zero_point", columns, &b_zero));
  }
  WEFT_TRY(weft_sums_place(op, r, &t.sums, &divisor));
  WEFT_TRY(place_scales(op, &t, rows, columns, divisor));
  WEFT_TRY(place_bias(op, &t, divisor));
  WEFT_TRY(place_tiles(op, &t));
  WEFT_TRY(weft_op_scratch(op, kernels->gemm_i8_a_size(p.m, p.k, false), &packed_a));
  if (op->node->state == NULL) {
    WEFT_TRY(weft_op_scratch(op, kernels->gemm_i8_b_size(p.n, p.k, false), &packed_b));
  }
  t.a_packed = packed_a;
  t.b_packed = op->node->state != NULL ? op->node->state : packed_b;
  const float *row_scale = t.row_scale, *scale = t.scale;
  for (size_t index = 0; index < p.batches; index++) {
    size_t row = first_line(&p, p.a_batch, index), column = first_line(&p, p.b_batch, index);
    packing rows = {&p,           kernels, a_data + weft_matmul_offset(&p, p.a_batch, index), a->type == WEFT_INT8,
                    a_zero + row, packed_a};
    weft_parallel(op->cx, p.m, WEFT_GRAIN / (p.k + 1) + 1, pack_rows, &rows);
    if (packed_b != NULL) {
      pack_b(kernels, &p, b, weft_matmul_offset(&p, p.b_batch, index), b_zero + column, packed_b);
    }
    t.first = index * p.m * p.n;
    t.row_scale = row_scale != NULL ? row_scale + row : NULL;
    t.scale = scale != NULL ? scale + column : NULL;
    weft_parallel_slots(op->cx, (p.m + TILE_ROWS - 1) / TILE_ROWS * t.blocks, 1, run_tiles, &t);
  }
  return WEFT_OK;
}
