/* CumSum and CumProd: running totals along one axis, forwards or backwards, with or without the element itself. */
#include "../base/convert.h"
#include "../kernels/elements.h"
#include "../kernels/typed.h"
#include "fold.h"

#include <string.h>

typedef struct cumulative {
  bool product, exclusive, reverse;
} cumulative;

static weft_status read_axis(weft_op *op, int *axis) {
  int64_t value;
  WEFT_TRY(weft_op_scalar_int(op, 1, "axis", 0, &value));
  return weft_op_axis(op, "input axis", value, weft_op_in(op, 0)->shape.rank, axis);
}

weft_status weft_cumulative_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "x", WEFT_TYPES_NUMERIC));
  WEFT_TRY(weft_op_expect_type(op, 1, "axis", WEFT_TYPES_INDEX));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

/* Forwards or backwards. */
static void scan(const cumulative *c, weft_type type, size_t n, const char *x, char *y) {
  const size_t last = c->reverse ? (n - 1) * weft_type_size(type) : 0;
  weft_typed_scan(type, n, x + last, c->reverse ? -1 : 1, c->product, c->exclusive, y + last);
}

static void of_doubles(const void *arg, size_t n, const double *x, double *y) {
  scan(arg, WEFT_DOUBLE, n, (const char *)x, (char *)y);
}

static void of_integers(const void *arg, size_t n, const int64_t *x, int64_t *y) {
  scan(arg, WEFT_INT64, n, (const char *)x, (char *)y);
}

/* NULL where totals are not of the type itself. */
static weft_typed_binary loop_of(const cumulative *c, weft_type type) {
  return weft_typed_binary_of(c->product ? WEFT_TYPED_MUL : WEFT_TYPED_ADD, type);
}

/* Along any axis but the last, neighbouring rows run side by side. */
typedef struct columns {
  const cumulative *c;
  const weft_tensor *x, *y;
  size_t n, inner, pieces; /* elements of a row, between them, and of how many pieces `inner` consists */
} columns;

static void run_piece(const columns *k, size_t base, size_t count) {
  const cumulative *c = k->c;
  double totals[WEFT_BLOCK], block[WEFT_BLOCK];
  for (size_t j = 0; j < count; j++) {
    totals[j] = c->product ? 1 : 0;
  }
  for (size_t i = 0; i < k->n; i++) {
    size_t at = base + (c->reverse ? k->n - 1 - i : i) * k->inner;
    if (k->x->type == WEFT_FLOAT) {
      weft_typed_run_on(count, (const float *)k->x->data + at, c->product, c->exclusive, totals,
                        (float *)k->y->data + at);
      continue;
    }
    weft_load_double(k->x->type, k->x->data, at, 1, count, block);
    for (size_t j = 0; j < count; j++) {
      double before = totals[j];
      totals[j] = c->product ? before * block[j] : before + block[j];
      block[j] = c->exclusive ? before : totals[j];
    }
    weft_store_double(k->y->type, block, count, k->y->data, at, 1);
  }
}

/* Of doubles and integers, by a loop over two lines. */
static void run_typed_piece(const columns *k, weft_typed_binary loop, size_t base, size_t count) {
  const cumulative *c = k->c;
  const weft_type type = k->x->type;
  const size_t size = weft_type_size(type), bytes = count * size;
  const double first = c->product ? 1 : 0;
  int64_t totals[WEFT_BLOCK], kept[WEFT_BLOCK];
  weft_store_double(type, &first, 1, totals, 0, 1);
  weft_copy_elements(size, count, totals, 0, totals, 1);
  for (size_t i = 0; i < k->n; i++) {
    const size_t at = (base + (c->reverse ? k->n - 1 - i : i) * k->inner) * size;
    const void *x = (const char *)k->x->data + at;
    void *y = (char *)k->y->data + at;
    if (c->exclusive) { /* y may be x */
      memcpy(kept, x, bytes);
      memcpy(y, totals, bytes);
      x = kept;
    }
    loop(count, totals, x, totals);
    if (!c->exclusive) {
      memcpy(y, totals, bytes);
    }
  }
}

static void run_columns(void *arg, size_t begin, size_t end) {
  const columns *k = arg;
  weft_typed_binary loop = loop_of(k->c, k->x->type);
  for (size_t p = begin; p < end; p++) {
    size_t first = p % k->pieces * WEFT_BLOCK, rest = k->inner - first;
    size_t base = p / k->pieces * k->n * k->inner + first, count = rest < WEFT_BLOCK ? rest : WEFT_BLOCK;
    if (loop != NULL) {
      run_typed_piece(k, loop, base, count);
    } else {
      run_piece(k, base, count);
    }
  }
}

/* Along the last axis, of types that are their own totals, or floats. */
static void run_lines(void *arg, size_t begin, size_t end) {
  const columns *k = arg;
  const size_t bytes = k->n * weft_type_size(k->x->type);
  for (size_t line = begin; line < end; line++) {
    scan(k->c, k->x->type, k->n, (const char *)k->x->data + line * bytes, (char *)k->y->data + line * bytes);
  }
}

weft_status weft_cumulative_run(weft_op *op) {
  static const weft_row_functions functions = {NULL, of_doubles, of_integers};
  cumulative c = {op->def->variant == WEFT_CUMULATIVE_PROD, weft_op_attr_int(op, "exclusive", 0) != 0,
                  weft_op_attr_int(op, "reverse", 0) != 0};
  const weft_tensor *x = weft_op_in(op, 0), *y = weft_op_out(op, 0);
  int axis;
  WEFT_TRY(read_axis(op, &axis));
  columns k = {.c = &c, .x = x, .y = y, .n = 1, .inner = 1};
  if (x->shape.rank > 0) {
    k.n = (size_t)x->shape.dims[axis];
    k.inner = weft_shape_product(&x->shape, axis + 1, x->shape.rank);
  }
  const bool has_loop = loop_of(&c, x->type) != NULL;
  if (x->count == 0) {
    return WEFT_OK;
  }
  if (k.inner == 1 && (x->type == WEFT_FLOAT || (has_loop && weft_type_size(x->type) >= 4))) {
    weft_parallel(op->cx, x->count / k.n, k.n < WEFT_GRAIN ? WEFT_GRAIN / k.n : 1, run_lines, &k);
    return WEFT_OK;
  }
  if (k.inner == 1 || (!has_loop && !weft_type_is_float(x->type))) {
    return weft_rows_run(op, x, y, axis, &functions, &c);
  }
  k.pieces = (k.inner + WEFT_BLOCK - 1) / WEFT_BLOCK;
  weft_parallel(op->cx, x->count / (k.n * k.inner) * k.pieces, 1, run_columns, &k);
  return WEFT_OK;
}
