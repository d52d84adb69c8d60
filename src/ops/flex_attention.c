/* FlexAttention of ai.onnx.preview: attention whose scores and probabilities may each pass through a subgraph of the
 * node. Because the subgraphs take them whole, scores are computed for all heads at once, in float, or in double where
 * softmax_precision asks for it. The specification's function multiplies the probabilities and V in that precision. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "product.h"
#include "softmax.h"

#include <math.h>

typedef struct flex {
  weft_op *op;
  const weft_tensor *q, *k, *v;
  size_t batch, heads, kv_heads, rows, columns, size, v_size;
  bool wide;           /* compute in double */
  weft_type precision; /* of what the subgraphs take and give */
  void *scores;        /* [batch, heads, rows, columns], float or double */
} flex;

static weft_type precision_of(const weft_op *op) {
  weft_type usual = weft_op_in(op, 0)->type == WEFT_DOUBLE ? WEFT_DOUBLE : WEFT_FLOAT;
  return (weft_type)weft_op_attr_int(op, "softmax_precision", (int64_t)usual);
}

weft_status weft_flex_attention_infer(weft_op *op) {
  static const char *const names[] = {"Q", "K", "V"};
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  for (int i = 0; i < 3; i++) {
    WEFT_TRY(weft_op_expect_type(op, i, names[i], WEFT_TYPES_FLOAT));
    WEFT_TRY(weft_op_expect_same_type(op, 0, i));
    WEFT_TRY(weft_op_expect_rank(op, i, names[i], 4, 4));
  }
  const int64_t *q = weft_op_in(op, 0)->shape.dims, *k = weft_op_in(op, 1)->shape.dims;
  const int64_t *v = weft_op_in(op, 2)->shape.dims;
  if (k[0] != q[0] || v[0] != q[0] || k[1] != v[1] || k[2] != v[2] || k[3] != q[3]) {
    return weft_op_fail(op, "inputs Q, K and V: batch, heads, sequence or head sizes do not agree");
  }
  if (k[1] == 0 ? q[1] != 0 : q[1] % k[1] != 0) {
    return weft_op_fail(op, "input Q: expected a multiple of %lld heads, found %lld", (long long)k[1], (long long)q[1]);
  }
  int64_t precision = (int64_t)precision_of(op);
  if (!weft_type_is_valid(precision) || (WEFT_TYPE_BIT(precision) & WEFT_TYPES_FLOAT) == 0) {
    return weft_op_fail(op, "attribute softmax_precision: expected a floating type, found %lld", (long long)precision);
  }
  if (weft_op_out(op, 0) == NULL) {
    return weft_op_fail(op, "output Y is required and has no name");
  }
  weft_shape shape = {4, {q[0], q[1], q[2], v[3]}};
  return weft_op_set(op, 0, weft_op_in(op, 0)->type, &shape);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */
/* c of each head = a * b; b belongs to a group of heads and may be read transposed. */
typedef struct heads {
  const flex *f;
  const void *a, *b;
  void *c;
  size_t m, n, k;
  bool transposed;
} heads;

/* The key and value head that goes with a query head. */
static size_t group_of(const flex *f, size_t head) {
  return head / f->heads * f->kv_heads + head % f->heads / (f->heads / f->kv_heads);
}

static void head_at(const void *arg, size_t index, weft_product *out) {
  const heads *h = arg;
  *out = (weft_product){.a = (const float *)h->a + index * h->m * h->k,
                        .lda = h->k,
                        .b = (const float *)h->b + group_of(h->f, index) * h->k * h->n,
                        .ldb = h->transposed ? h->k : h->n,
                        .transposed = h->transposed,
                        .c = (float *)h->c + index * h->m * h->n,
                        .ldc = h->n};
}

static weft_status multiply(const heads *h) {
  size_t count = h->f->batch * h->f->heads;
  if (!h->f->wide) {
    weft_products products = {.count = count, .m = h->m, .n = h->n, .k = h->k, .arg = h, .at = head_at};
    return weft_products_run(h->f->op, &products);
  }
  for (size_t i = 0; i < count; i++) {
    weft_plain_product product = {.type = WEFT_DOUBLE,
                                  .m = h->m,
                                  .n = h->n,
                                  .k = h->k,
                                  .a = (const double *)h->a + i * h->m * h->k,
                                  .a_row = h->k,
                                  .a_column = 1,
                                  .b = (const double *)h->b + group_of(h->f, i) * h->k * h->n,
                                  .b_row = h->transposed ? 1 : h->n,
                                  .b_column = h->transposed ? h->k : 1,
                                  .c = (double *)h->c + i * h->m * h->n};
    weft_plain_product_run(&product);
  }
  return WEFT_OK;
}

/* ---- scores and probabilities ------------------------------------------------------------------------------------ */
static void load(const flex *f, const weft_tensor *from, void *to) {
  if (f->wide) {
    weft_load_double(from->type, from->data, 0, 1, from->count, to);
  } else {
    weft_load_float(from->type, from->data, 0, 1, from->count, to);
  }
}

static void store(const flex *f, const void *from, const weft_tensor *to) {
  if (f->wide) {
    weft_store_double(to->type, from, to->count, to->data, 0, 1);
  } else {
    weft_store_float(to->type, from, to->count, to->data, 0, 1);
  }
}

/* The scores through the subgraph called `name`, if there is one. */
static weft_status modify(const flex *f, const char *name) {
  weft_op *op = f->op;
  weft_graph *graph = weft_op_attr_graph(op, name);
  weft_shape shape = {4, {(int64_t)f->batch, (int64_t)f->heads, (int64_t)f->rows, (int64_t)f->columns}};
  weft_value *in, *out = NULL;
  if (graph == NULL) {
    return WEFT_OK;
  }
  if (graph->input_count != 1 || graph->output_count != 1) {
    return weft_op_fail(op, "attribute %s: expected a graph of one input and one output", name);
  }
  WEFT_TRY(weft_value_new_tensor(op->cx, f->precision, &shape, &in));
  store(f, f->scores, &in->tensor);
  weft_status status = op->host->run_graph(op, graph, 1, &in, &out);
  weft_value_release(in);
  WEFT_TRY(status);
  const weft_tensor *made = &out->tensor;
  if (out->kind == WEFT_KIND_TENSOR && made->type == f->precision && weft_shape_equal(&made->shape, &shape)) {
    load(f, made, f->scores);
  } else {
    status = weft_op_run_fail(op, "attribute %s: the graph's output differs from its input in type or shape", name);
  }
  weft_value_release(out);
  return status;
}

static void softmax(const flex *f) {
  for (size_t row = 0; row < f->batch * f->heads * f->rows; row++) {
    if (!f->wide) {
      float *x = (float *)f->scores + row * f->columns;
      weft_softmax_scores(f->op->cx->kernels, f->precision, f->columns, x);
      continue;
    }
    double *x = (double *)f->scores + row * f->columns, max = x[0], sum = 0;
    for (size_t i = 0; i < f->columns; i++) {
      max = x[i] > max ? x[i] : max;
    }
    for (size_t i = 0; i < f->columns; i++) {
      x[i] = weft_exp(x[i] - max);
      sum += x[i];
    }
    for (size_t i = 0; i < f->columns; i++) {
      x[i] /= sum;
    }
  }
}

static void scale(const flex *f, size_t n, void *x, double factor) {
  for (size_t i = 0; i < n; i++) {
    if (f->wide) {
      ((double *)x)[i] *= factor;
    } else {
      ((float *)x)[i] *= (float)factor;
    }
  }
}

static weft_status run(const flex *f) {
  weft_op *op = f->op;
  weft_tensor *y = weft_op_out(op, 0);
  size_t element = f->wide ? sizeof(double) : sizeof(float);
  void *q, *k, *v, *out;
  WEFT_TRY(weft_op_scratch_array(op, f->q->count, element, &q));
  WEFT_TRY(weft_op_scratch_array(op, f->k->count, element, &k));
  WEFT_TRY(weft_op_scratch_array(op, f->v->count, element, &v));
  WEFT_TRY(weft_op_scratch_array(op, y->count, element, &out));
  load(f, f->q, q);
  load(f, f->k, k);
  load(f, f->v, v);
  scale(f, f->q->count, q, (double)weft_op_attr_float(op, "scale", 1 / sqrtf((float)f->size)));
  heads products = {
      .f = f, .a = q, .b = k, .c = f->scores, .m = f->rows, .n = f->columns, .k = f->size, .transposed = true};
  WEFT_TRY(multiply(&products));
  WEFT_TRY(modify(f, "score_mod"));
  softmax(f);
  WEFT_TRY(modify(f, "prob_mod"));
  products = (heads){.f = f, .a = f->scores, .b = v, .c = out, .m = f->rows, .n = f->v_size, .k = f->columns};
  if (!f->wide) {
    weft_round_floats(op->cx->kernels, f->precision, f->v->count, v);
  }
  WEFT_TRY(multiply(&products));
  if (!f->wide) {
    weft_round_floats(op->cx->kernels, f->precision, y->count, out);
  }
  store(f, out, y);
  return WEFT_OK;
}

weft_status weft_flex_attention_run(weft_op *op) {
  flex f = {
      .op = op, .q = weft_op_in(op, 0), .k = weft_op_in(op, 1), .v = weft_op_in(op, 2), .precision = precision_of(op)};
  const weft_shape *shape = &weft_op_out(op, 0)->shape;
  if (weft_op_out(op, 0)->count == 0) {
    return WEFT_OK;
  }
  f.batch = (size_t)shape->dims[0];
  f.heads = (size_t)shape->dims[1];
  f.rows = (size_t)shape->dims[2];
  f.size = (size_t)f.q->shape.dims[3];
  f.kv_heads = (size_t)f.k->shape.dims[1];
  f.columns = (size_t)f.k->shape.dims[2];
  f.v_size = (size_t)shape->dims[3];
  f.wide = f.precision == WEFT_DOUBLE;
  if (f.columns == 0 || f.size == 0) {
    return weft_op_unsupported(op, "attention over empty sequences or heads");
  }
  WEFT_TRY(weft_op_scratch_array(op, f.batch * f.heads * f.rows, f.columns * (f.wide ? sizeof(double) : sizeof(float)),
                                 &f.scores));
  return run(&f);
}
