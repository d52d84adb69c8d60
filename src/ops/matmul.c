/* MatMul and Gemm, and their fused forms, which differ only in what is done to a finished element. Both operands are
 * described by strides, so that transposition, broadcasting and one-dimensional operands need no code of their own. A
 * constant float b is packed once; the leading dimensions of a become rows when b has none of its own. */
#include <math.h>
#include <string.h>

#include "../kernels/typed.h"
#include "broadcast.h"
#include "matmul.h"
#include "number.h"
#include "product.h"

#define MATMUL_TYPES                                                                                                   \
  (WEFT_TYPES_FLOAT | WEFT_TYPE_BIT(WEFT_INT32) | WEFT_TYPE_BIT(WEFT_UINT32) | WEFT_TYPE_BIT(WEFT_INT64) |             \
   WEFT_TYPE_BIT(WEFT_UINT64))

typedef struct plan {
  weft_matmul_plan shape;
  float alpha, beta;
  weft_epilogue epilogue; /* the activation alone */
} plan;

static weft_status make_plan(weft_op *op, plan *p) {
  int variant = op->def->variant;
  bool gemm = variant == WEFT_MATMUL_GEMM || variant == WEFT_MATMUL_FUSED_GEMM;
  bool fused = variant == WEFT_MATMUL_FUSED;
  *p = (plan){.alpha = gemm || fused ? weft_op_attr_float(op, "alpha", 1) : 1,
              .beta = gemm ? weft_op_attr_float(op, "beta", 1) : 1};
  weft_matmul_flags flags = {0};
  if (gemm || fused) {
    flags.transposed_a = weft_op_attr_int(op, "transA", 0) != 0;
    flags.transposed_b = weft_op_attr_int(op, "transB", 0) != 0;
  }
  if (fused) {
    flags.batch_transposed_a = weft_op_attr_int(op, "transBatchA", 0) != 0;
    flags.batch_transposed_b = weft_op_attr_int(op, "transBatchB", 0) != 0;
  }
  if (fused || variant == WEFT_MATMUL_FUSED_GEMM) {
    WEFT_TRY(weft_op_activation(op, &p->epilogue));
  }
  return weft_matmul_plan_make(op, &weft_op_in(op, 0)->shape, &weft_op_in(op, 1)->shape, &flags, &p->shape);
}

static weft_status check_c(weft_op *op, const plan *p) {
  const weft_tensor *c = weft_op_in(op, 2);
  if (c == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_expect_same_type(op, 0, 2));
  weft_shape joined;
  if (!weft_shape_broadcast(&c->shape, &p->shape.out, &joined) || !weft_shape_equal(&joined, &p->shape.out)) {
    char found[96], expected[96];
    return weft_op_fail(op, "input 'C' of shape %s does not broadcast to the result's %s",
                        weft_shape_print(&c->shape, found, sizeof found),
                        weft_shape_print(&p->shape.out, expected, sizeof expected));
  }
  return WEFT_OK;
}

weft_status weft_matmul_infer(weft_op *op) {
  int variant = op->def->variant;
  bool gemm = variant == WEFT_MATMUL_GEMM || variant == WEFT_MATMUL_FUSED_GEMM;
  bool fused = variant == WEFT_MATMUL_FUSED || variant == WEFT_MATMUL_FUSED_GEMM;
  WEFT_TRY(weft_op_expect_inputs(op, 2, fused ? 4 : gemm ? 3 : 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "A", fused ? WEFT_TYPES_FLOAT : MATMUL_TYPES));
  /* B of 16 bits may meet floats: so a graph of 16-bit floats is computed in floats, its weights as they are. */
  if (!weft_type_is_half(weft_op_in(op, 1)->type) || weft_op_in(op, 0)->type != WEFT_FLOAT) {
    WEFT_TRY(weft_op_expect_same_type(op, 0, 1));
  }
  WEFT_TRY(weft_op_expect_rank(op, 0, "A", gemm ? 2 : 1, gemm ? 2 : WEFT_MAX_RANK));
  WEFT_TRY(weft_op_expect_rank(op, 1, "B", gemm ? 2 : 1, gemm ? 2 : WEFT_MAX_RANK));
  plan p;
  WEFT_TRY(make_plan(op, &p));
  WEFT_TRY(check_c(op, &p));
  const weft_tensor *residual = weft_op_in(op, 3);
  if (residual != NULL) {
    WEFT_TRY(weft_op_expect_same_type(op, 0, 3));
    if (!weft_shape_equal(&residual->shape, &p.shape.out)) {
      return weft_op_fail(op, "the residual's shape is not the result's");
    }
  }
  if (p.epilogue.activation != WEFT_ACT_NONE && weft_op_in(op, 0)->type == WEFT_DOUBLE) {
    return weft_op_unsupported(op, "a fused activation in double precision");
  }
  return weft_op_set(op, 0, weft_op_in(op, 0)->type, &p.shape.out);
}

/* ---- packing constants ------------------------------------------------------------------------------------------- */
/* As gemm_f32_pack packs floats. */
static void pack_as_is(const weft_matmul_operand *shape, const uint16_t *b, uint16_t *out) {
  for (size_t column = 0; column < shape->columns; column += WEFT_GEMM_NR) {
    for (size_t i = 0; i < shape->rows; i++) {
      for (size_t j = column; j < column + WEFT_GEMM_NR; j++) {
        *out++ = j < shape->columns ? b[i * shape->row + j * shape->column] : 0;
      }
    }
  }
}

/* Panels, of floats or of the 16-bit elements as they are. */
static void pack(const weft_op *op, const weft_matmul_operand *shape, bool transposed, const void *b, void *panels) {
  if (weft_op_in(op, 1)->type == WEFT_FLOAT) {
    op->cx->kernels->gemm_f32_pack(shape->columns, shape->rows, b, transposed ? shape->column : shape->row, transposed,
                                   panels);
  } else {
    pack_as_is(shape, b, panels);
  }
}

/* Whole panels of a transposed b lie one after another in as many elements as they are packed in. */
static weft_status pack_in_place(weft_op *op, const weft_matmul_operand *shape) {
  weft_matmul_operand panel = *shape;
  panel.columns = WEFT_GEMM_NR;
  size_t size = WEFT_GEMM_NR * shape->rows * weft_type_size(weft_op_in(op, 1)->type);
  void *copy;
  WEFT_TRY(weft_op_scratch(op, size, &copy));
  char *at = weft_op_take_constant(op, 1);
  for (size_t column = 0; column < shape->columns; column += WEFT_GEMM_NR, at += size) {
    memcpy(copy, at, size);
    pack(op, &panel, true, copy, at);
  }
  return WEFT_OK;
}

/* Of float16. */
static bool all_finite(const weft_tensor *b) {
  const uint16_t *x = b->data;
  size_t i = 0;
  while (i < b->count && (x[i] & 0x7c00) != 0x7c00)
    i++;
  return i == b->count;
}

weft_status weft_matmul_prepare(weft_op *op) {
  const weft_tensor *b = weft_op_in(op, 1);
  if (!weft_op_is_constant(op, 1) || b == NULL || (b->type != WEFT_FLOAT && !weft_type_is_half(b->type)) ||
      b->shape.rank < 2 || weft_shape_product(&b->shape, 0, b->shape.rank - 2) != 1 ||
      weft_op_attr_int(op, "transBatchB", 0) != 0) {
    return WEFT_OK;
  }
  bool transposed = op->def->variant != WEFT_MATMUL_PLAIN && weft_op_attr_int(op, "transB", 0) != 0;
  weft_matmul_operand shape;
  weft_matmul_describe(&b->shape, false, transposed, false, &shape);
  if (shape.columns < WEFT_PACK_COLUMNS || b->count == 0) {
    return WEFT_OK;
  }
  if (b->type == WEFT_FLOAT16 && !all_finite(b)) {
    return WEFT_OK;
  }
  /* A b that has to stay anyway is read in place where it is transposed: one row takes as long, and many rows earn
   * packing it. So is one that a packed copy for each of many readers would multiply. Where layers share weights, one
   * packed form serves all of them. Of 16 bits there is a copy if there has to be: they would be widened in every run. */
  enum { MOST_COPIES = 2 };
  const bool half = b->type != WEFT_FLOAT;
  bool stays = weft_op_readers(op, 1) > (transposed ? 1 : MOST_COPIES) && (transposed || !half);
  const uint8_t form = transposed ? WEFT_FORM_PANELS_OF_TRANSPOSE : WEFT_FORM_PANELS;
  if (stays && !weft_op_agree(op, 1, form)) {
    if (!half) return WEFT_OK;
    stays = false;
  }
  if (transposed && shape.columns % WEFT_GEMM_NR == 0 && (stays || weft_op_readers(op, 1) == 1) &&
      weft_op_may_take(op, 1)) {
    WEFT_TRY(pack_in_place(op, &shape));
  } else {
    size_t size = weft_gemm_packed_size(shape.columns, shape.rows);
    if (!weft_mul(size, weft_type_size(b->type), &size)) {
      return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the packed B is larger than the address space");
    }
    void *panels;
    WEFT_TRY(weft_op_state(op, size, &panels));
    pack(op, &shape, transposed, b->data, panels);
  }
  if (stays) {
    weft_op_replace(op, 1, form, op->node->state);
    op->node->state = NULL;
  } else {
    weft_op_drop_constant(op, 1);
  }
  return WEFT_OK;
}

/* ---- running: floats, halves ------------------------------------------------------------------------------------- */
typedef struct float_run {
  const weft_kernels *kernels;
  const plan *p;
  const float *a;
  size_t lda;
  bool a_dense; /* a copy laid out batch by batch */
  const weft_tensor *b;
  const float *packed;
  const uint16_t *narrow; /* panels in 16 bits */
  float *c;
  weft_epilogue epilogue;
} float_run;

static void product_at(const void *arg, size_t index, weft_product *out) {
  const float_run *run = arg;
  const plan *p = run->p;
  out->a = run->a +
           (run->a_dense ? index * p->shape.m * p->shape.k : weft_matmul_offset(&p->shape, p->shape.a_batch, index));
  out->lda = run->lda;
  out->packed = run->packed;
  if (run->narrow != NULL) {
    out->narrow = run->narrow;
    out->narrow_type = run->b->type;
  }
  out->transposed = p->shape.b.column != 1;
  out->ldb = out->transposed ? p->shape.b.column : p->shape.b.row;
  if (run->packed == NULL && run->b->type == WEFT_FLOAT) {
    out->b = (const float *)run->b->data + weft_matmul_offset(&p->shape, p->shape.b_batch, index);
  }
  out->c = run->c + index * p->shape.m * p->shape.n;
  out->ldc = p->shape.n;
  out->epilogue = run->epilogue;
  if (out->epilogue.residual != NULL) {
    out->epilogue.residual += index * p->shape.m * p->shape.n;
  }
}

/* A block of a 16-bit b: widened beside the panels, then packed. */
static void pack_narrow(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const float_run *run = arg;
  const plan *p = run->p;
  const uint16_t *b = (const uint16_t *)run->b->data + weft_matmul_offset(&p->shape, p->shape.b_batch, index);
  bool transposed = p->shape.b.column != 1;
  size_t lines = transposed ? columns : p->shape.k, length = transposed ? p->shape.k : columns;
  size_t stride = transposed ? p->shape.b.column : p->shape.b.row;
  float *wide = scratch;
  b += column * p->shape.b.column;
  for (size_t i = 0; i < lines; i++) {
    weft_widen(run->kernels, run->b->type, length, b + i * stride, wide + i * length);
  }
  run->kernels->gemm_f32_pack(columns, p->shape.k, wide, length, transposed, out);
}

/* a with its columns next to each other and multiplied by alpha. */
static weft_status copy_a(weft_op *op, const float *a, float_run *run) {
  const plan *p = run->p;
  float *out;
  WEFT_TRY(weft_op_scratch_floats(op, p->shape.batches * p->shape.m, p->shape.k, &out));
  run->a = out;
  for (size_t index = 0; index < p->shape.batches; index++) {
    const float *in = a + weft_matmul_offset(&p->shape, p->shape.a_batch, index);
    for (size_t i = 0; i < p->shape.m; i++) {
      for (size_t l = 0; l < p->shape.k; l++) {
        *out++ = p->alpha * in[i * p->shape.a.row + l * p->shape.a.column];
      }
    }
  }
  run->lda = p->shape.k;
  run->a_dense = true;
  return WEFT_OK;
}

/* Turns C into the epilogue's bias or residual, whichever form it broadcasts from. */
static weft_status place_c(weft_op *op, const plan *p, weft_epilogue *epilogue) {
  const weft_tensor *c = weft_op_in(op, 2);
  if (c == NULL || p->beta == 0) {
    return WEFT_OK;
  }
  const float *values = NULL;
  WEFT_TRY(weft_op_floats(op, c, &values));
  size_t last = c->shape.rank > 0 ? (size_t)c->shape.dims[c->shape.rank - 1] : 1;
  bool column = c->count == last && (last == p->shape.n || last == 1);
  bool row = !column && last == 1 && c->count == p->shape.m;
  bool whole = !column && !row && c->count == p->shape.m * p->shape.n * p->shape.batches;
  if (whole && p->beta == 1) {
    epilogue->residual = values;
    epilogue->residual_stride = p->shape.n;
    return WEFT_OK;
  }
  if (column && last == p->shape.n && p->beta == 1) {
    epilogue->column_bias = values;
    return WEFT_OK;
  }
  if (row && p->beta == 1 && p->shape.batches == 1) {
    epilogue->row_bias = values;
    return WEFT_OK;
  }
  /* Any other broadcast is written out: a bias of n elements, or the whole. */
  const weft_shape line = {1, {(int64_t)p->shape.n}};
  const size_t count = column ? p->shape.n : p->shape.m * p->shape.n * p->shape.batches;
  const weft_tensor from = {.type = WEFT_FLOAT, .shape = c->shape, .data = (void *)(uintptr_t)values};
  const weft_tensor beta = {.type = WEFT_FLOAT, .data = (void *)(uintptr_t)&p->beta};
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, count, sizeof(float), &room));
  weft_broadcast_binary(op->cx, WEFT_BINARY_MUL, column ? &line : &p->shape.out, &from, &beta, room);
  const float *out = room;
  if (column) {
    epilogue->column_bias = out;
  } else {
    epilogue->residual = out;
    epilogue->residual_stride = p->shape.n;
  }
  return WEFT_OK;
}

static weft_status add_residual(weft_op *op, const plan *p, weft_epilogue *epilogue) {
  const weft_tensor *residual = weft_op_in(op, 3);
  if (residual == NULL) {
    return WEFT_OK;
  }
  const float *values = NULL;
  WEFT_TRY(weft_op_floats(op, residual, &values));
  if (epilogue->residual != NULL) { /* C is whole as well: one of the two has to be added beforehand */
    void *room = NULL;
    WEFT_TRY(weft_op_scratch_array(op, residual->count, sizeof(float), &room));
    op->cx->kernels->binary_f32[WEFT_BINARY_ADD](residual->count, values, 1, epilogue->residual, 1, room);
    values = room;
  }
  epilogue->residual = values;
  epilogue->residual_stride = p->shape.n;
  return WEFT_OK;
}

/* Products too small for what the others need beforehand. */
static void run_small(void *arg, size_t begin, size_t end) {
  const plan *p = ((const float_run *)arg)->p;
  for (size_t index = begin; index < end; index++) {
    weft_product one = {0};
    product_at(arg, index, &one);
    weft_typed_small_product(p->shape.m, p->shape.n, p->shape.k, one.a, one.lda, one.b, p->shape.b.row,
                             p->shape.b.column, one.c);
  }
}

static weft_status run_floats(weft_op *op, const plan *p) {
  weft_tensor *y = weft_op_out(op, 0);
  float_run run = {
      .kernels = op->cx->kernels, .p = p, .b = weft_op_in(op, 1), .lda = p->shape.a.row, .epilogue = p->epilogue};
  WEFT_TRY(place_c(op, p, &run.epilogue));
  WEFT_TRY(add_residual(op, p, &run.epilogue));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, 0), &run.a));
  WEFT_TRY(weft_op_floats_out(op, y, &run.c));
  if (p->shape.a.column != 1 || p->alpha != 1) {
    WEFT_TRY(copy_a(op, run.a, &run));
  }
  weft_products products = {
      .count = p->shape.batches, .m = p->shape.m, .n = p->shape.n, .k = p->shape.k, .arg = &run, .at = product_at};
  const bool alone = weft_op_in(op, 2) == NULL && weft_op_in(op, 3) == NULL && p->epilogue.activation == WEFT_ACT_NONE;
  const void *panels = weft_op_form(op, 1) != 0 ? run.b->data : op->node->state;
  enum { SMALL = 128, NARROW = 512, GRAIN = 512 }; /* multiplications; narrow are those that fill no panel */
  const size_t few = products.n < WEFT_GEMM_NR ? NARROW : SMALL;
  if (panels == NULL && run.b->type == WEFT_FLOAT && products.count > 1 && alone && products.m <= few &&
      products.n <= few && products.k <= few && products.m * products.n * products.k <= few) {
    weft_parallel(op->cx, products.count, GRAIN, run_small, &run);
    weft_op_floats_done(op, y, run.c);
    return WEFT_OK;
  }
  if (panels != NULL && run.b->type == WEFT_FLOAT) {
    run.packed = panels;
  } else if (panels != NULL) {
    run.narrow = panels;
  } else if (run.b->type != WEFT_FLOAT) {
    products.pack = pack_narrow;
    products.scratch_column = p->shape.k * sizeof(float);
  }
  WEFT_TRY(weft_products_run(op, &products));
  weft_op_floats_done(op, y, run.c);
  return WEFT_OK;
}

/* ---- running: double, integers ----------------------------------------------------------------------------------- */
typedef struct sums {
  const plan *p;
  weft_type type;
  char *y;
} sums;

/* y = alpha * y + beta * C; numbers that wrap and doubles that are only added are not scaled. */
static void add_c(void *arg, const weft_run *run) {
  const sums *s = arg;
  const weft_type type = s->type;
  void *y = s->y + run->out * weft_type_size(type);
  if (s->p->alpha == 1 && s->p->beta == 1) {
    weft_typed_binary_of(WEFT_TYPED_ADD, type)(run->n, y, run->in[0], y);
    return;
  }
  for (size_t i = 0; i < run->n; i++) {
    const double scaled =
        (double)s->p->alpha * weft_number_at(type, y, i) + (double)s->p->beta * weft_number_at(type, run->in[0], i);
    weft_number_set(type, y, i, type == WEFT_DOUBLE ? scaled : trunc(scaled));
  }
}

static weft_status run_plain(weft_op *op, const plan *p) {
  const weft_tensor *a = weft_op_in(op, 0), *b = weft_op_in(op, 1), *c = weft_op_in(op, 2);
  weft_tensor *y = weft_op_out(op, 0);
  size_t size = weft_type_size(a->type);
  weft_plain_product product = {.type = a->type,
                                .m = p->shape.m,
                                .n = p->shape.n,
                                .k = p->shape.k,
                                .a_row = p->shape.a.row,
                                .a_column = p->shape.a.column,
                                .b_row = p->shape.b.row,
                                .b_column = p->shape.b.column};
  for (size_t index = 0; index < p->shape.batches; index++) {
    product.a = (const char *)a->data + weft_matmul_offset(&p->shape, p->shape.a_batch, index) * size;
    product.b = (const char *)b->data + weft_matmul_offset(&p->shape, p->shape.b_batch, index) * size;
    product.c = (char *)y->data + index * p->shape.m * p->shape.n * size;
    weft_plain_product_share(op->cx, &product);
  }
  if (c == NULL && p->alpha == 1) {
    return WEFT_OK;
  }
  uint64_t none = 0; /* of any type */
  const weft_tensor zero = {.type = y->type, .count = 1, .data = &none}, *added = c != NULL ? c : &zero;
  sums sums = {p, y->type, y->data};
  weft_broadcast broadcast;
  weft_broadcast_init(&broadcast, &y->shape, 1, &added);
  weft_broadcast_run(op->cx, &broadcast, SIZE_MAX, true, add_c, &sums);
  return WEFT_OK;
}

weft_status weft_matmul_run(weft_op *op) {
  plan p;
  WEFT_TRY(make_plan(op, &p));
  if (weft_op_out(op, 0) == NULL || weft_op_out(op, 0)->count == 0) {
    return WEFT_OK;
  }
  weft_type type = weft_op_in(op, 0)->type;
  return type == WEFT_FLOAT || weft_type_is_half(type) ? run_floats(op, &p) : run_plain(op, &p);
}
