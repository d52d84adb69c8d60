/* Operators that exporters wrote out in parts are put together again: Gelu, Swish, HardSwish, LayerNormalization and
 * RMSNormalization have kernels that read and write their tensor once. Each pattern is found from a node that no other
 * pattern has, and checked down to its constants; the last node becomes the operator, the others die if nothing else
 * reads them. */
#include <math.h>
#include <string.h>

#include "match.h"

typedef struct pattern_pass {
  weft_pass *pass;
  weft_graph *graph;
  weft_uses uses;
} pattern_pass;

/* Whether a pattern's result has as many dimensions as what it began with. A constant of one element may have more, which
 * the result has then. */
static bool keeps_rank(const weft_graph *graph, int32_t x, const weft_node *last) {
  const int rank = graph->values[x].info.rank;
  return rank >= 0 && rank == graph->values[last->outputs[0]].info.rank;
}

/* ---- Gelu: x * 0.5 * (1 + erf(x / sqrt(2))), the factors in any order ------------------------ */
static bool is_erf_input(const weft_graph *graph, int32_t v, int32_t *x) {
  const weft_node *div = weft_match_producer(graph, v, "Div"), *mul = weft_match_producer(graph, v, "Mul");
  if (div != NULL && weft_match_near(graph, weft_node_in(div, 1), 1.4142135623730951)) {
    *x = div->inputs[0];
    return true;
  }
  for (int i = 0; mul != NULL && mul->input_count == 2 && i < 2; i++) {
    if (weft_match_near(graph, mul->inputs[i], 0.7071067811865476)) {
      *x = mul->inputs[1 - i];
      return true;
    }
  }
  return false;
}

static bool is_half_of(const weft_graph *graph, int32_t v, int32_t x) {
  const weft_node *mul = weft_match_producer(graph, v, "Mul");
  int32_t half = mul != NULL ? weft_match_other(mul, x) : -1;
  return half >= 0 && weft_match_near(graph, half, 0.5);
}

/* The node that ends x * 0.5 * (1 + f), or NULL; v is f. */
static weft_node *find_gelu(pattern_pass *p, int32_t v, int32_t x) {
  weft_graph *graph = p->graph;
  weft_node *add = weft_match_reader(graph, &p->uses, v, "Add");
  if (add == NULL || !weft_match_near(graph, weft_match_other(add, v), 1)) {
    return NULL;
  }
  v = add->outputs[0];
  bool halved = false, multiplied = false;
  weft_node *last = NULL;
  for (int step = 0; step < 2 && !(halved && multiplied); step++) {
    weft_node *mul = weft_match_reader(graph, &p->uses, v, "Mul");
    int32_t other = mul != NULL ? weft_match_other(mul, v) : -1;
    if (other < 0) {
      return NULL;
    }
    if (!multiplied && (other == x || is_half_of(graph, other, x))) {
      multiplied = true;
      halved = halved || other != x;
    } else if (!halved && weft_match_near(graph, other, 0.5)) {
      halved = true;
    } else {
      return NULL;
    }
    last = mul;
    v = mul->outputs[0];
  }
  return halved && multiplied && keeps_rank(graph, x, last) ? last : NULL;
}

static weft_status join_gelu(pattern_pass *p, weft_node *node) {
  int32_t x;
  weft_node *last = is_erf_input(p->graph, node->inputs[0], &x) ? find_gelu(p, node->outputs[0], x) : NULL;
  return last != NULL ? weft_match_become(p->pass, last, "", "Gelu", 1, &x) : WEFT_OK;
}

/* ---- its approximation: tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)) instead of erf ------------- */
/* The other factor of a product with that number, or -1. */
static int32_t without_factor(const weft_graph *graph, int32_t v, double factor) {
  const weft_node *mul = weft_match_producer(graph, v, "Mul");
  for (int i = 0; mul != NULL && mul->input_count == 2 && i < 2; i++) {
    if (weft_match_near(graph, mul->inputs[i], factor)) {
      return mul->inputs[1 - i];
    }
  }
  return -1;
}

static bool is_cube_of(const weft_graph *graph, int32_t v, int32_t x) {
  const weft_node *pow = weft_match_producer(graph, v, "Pow"), *mul = weft_match_producer(graph, v, "Mul");
  if (pow != NULL) {
    return pow->inputs[0] == x && weft_match_near(graph, weft_node_in(pow, 1), 3);
  }
  const weft_node *square = mul != NULL ? weft_match_producer(graph, weft_match_other(mul, x), "Mul") : NULL;
  return square != NULL && square->input_count == 2 && square->inputs[0] == x && square->inputs[1] == x;
}

static weft_status join_tanh_gelu(pattern_pass *p, weft_node *node) {
  weft_graph *graph = p->graph;
  const weft_node *add = weft_match_producer(graph, without_factor(graph, node->inputs[0], 0.7978845608028654), "Add");
  for (int i = 0; add != NULL && add->input_count == 2 && i < 2; i++) {
    int32_t x = add->inputs[i];
    weft_node *last = is_cube_of(graph, without_factor(graph, add->inputs[1 - i], 0.044715), x)
                          ? find_gelu(p, node->outputs[0], x)
                          : NULL;
    if (last != NULL) {
      WEFT_TRY(weft_match_become(p->pass, last, "", "Gelu", 1, &x));
      return weft_node_set_string(p->pass->model, last, "approximate", "tanh");
    }
  }
  return WEFT_OK;
}

/* ---- Swish: x * sigmoid(alpha * x); HardSwish: x * clip(x + 3, 0, 6) / 6 or x * hardsigmoid(x) with 1/6 and 1/2  */
static weft_status join_swish(pattern_pass *p, weft_node *node) {
  weft_node *mul = weft_match_reader(p->graph, &p->uses, node->outputs[0], "Mul");
  const weft_node *scaled = weft_match_producer(p->graph, node->inputs[0], "Mul");
  int32_t x = mul != NULL ? weft_match_other(mul, node->outputs[0]) : -1;
  float alpha = 1;
  bool fits =
      x >= 0 && keeps_rank(p->graph, x, mul) &&
      (x == node->inputs[0] || (scaled != NULL && weft_match_scalar(p->graph, weft_match_other(scaled, x), &alpha)));
  WEFT_TRY(fits ? weft_match_become(p->pass, mul, "", "Swish", 1, &x) : WEFT_OK);
  return fits && alpha != 1.0f ? weft_node_set_float(p->pass->model, mul, "alpha", alpha) : WEFT_OK;
}

static bool is_near(const weft_node *node, const char *name, float fallback, double expected) {
  return fabs((double)weft_node_float(node, name, fallback) - expected) <= 1e-5;
}

static weft_status join_hard_swish(pattern_pass *p, weft_node *node) {
  weft_node *mul = weft_match_reader(p->graph, &p->uses, node->outputs[0], "Mul");
  int32_t x = node->inputs[0];
  if (mul == NULL || weft_match_other(mul, node->outputs[0]) != x || !is_near(node, "alpha", 0.2f, 1.0 / 6) ||
      !is_near(node, "beta", 0.5f, 0.5)) {
    return WEFT_OK;
  }
  return weft_match_become(p->pass, mul, "", "HardSwish", 1, &x);
}

static weft_status join_clipped(pattern_pass *p, weft_node *node) {
  weft_graph *graph = p->graph;
  float lo, hi;
  const weft_node *add = weft_match_producer(graph, node->inputs[0], "Add");
  if (add == NULL || add->input_count != 2 || !weft_match_scalar(graph, weft_node_in(node, 1), &lo) || lo != 0 ||
      !weft_match_scalar(graph, weft_node_in(node, 2), &hi) || hi != 6) {
    return WEFT_OK;
  }
  int32_t x = weft_match_near(graph, add->inputs[1], 3)   ? add->inputs[0]
              : weft_match_near(graph, add->inputs[0], 3) ? add->inputs[1]
                                                          : -1;
  weft_node *mul = weft_match_reader(graph, &p->uses, node->outputs[0], "Mul");
  if (x < 0 || mul == NULL || weft_match_other(mul, node->outputs[0]) != x) {
    return WEFT_OK;
  }
  weft_node *div = weft_match_reader(graph, &p->uses, mul->outputs[0], "Div");
  weft_node *scale = weft_match_reader(graph, &p->uses, mul->outputs[0], "Mul");
  if (div != NULL && div->inputs[0] == mul->outputs[0] && weft_match_near(graph, weft_node_in(div, 1), 6) &&
      keeps_rank(graph, x, div)) {
    return weft_match_become(p->pass, div, "", "HardSwish", 1, &x);
  }
  if (scale != NULL && weft_match_near(graph, weft_match_other(scale, mul->outputs[0]), 1.0 / 6) &&
      keeps_rank(graph, x, scale)) {
    return weft_match_become(p->pass, scale, "", "HardSwish", 1, &x);
  }
  return WEFT_OK;
}

/* ---- LayerNormalization over the last axis: (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + bias, and
 * RMSNormalization: x / sqrt(mean(x^2) + epsilon) * scale  */
static bool is_last_axis_mean(const weft_graph *graph, const weft_node *mean) {
  const weft_tensor *axes = weft_match_constant(graph, weft_node_in(mean, 1), WEFT_INT64);
  int rank = graph->values[mean->inputs[0]].info.rank;
  if (axes == NULL || axes->count != 1 || weft_node_int(mean, "keepdims", 1) == 0) {
    return false;
  }
  int64_t axis = ((const int64_t *)axes->data)[0];
  return axis == -1 || (rank > 0 && axis == rank - 1);
}

/* The value whose square v is, or -1. */
static int32_t square_root_of(const weft_graph *graph, int32_t v) {
  const weft_node *pow = weft_match_producer(graph, v, "Pow"), *mul = weft_match_producer(graph, v, "Mul");
  if (pow != NULL && weft_match_near(graph, weft_node_in(pow, 1), 2)) {
    return pow->inputs[0];
  }
  return mul != NULL && mul->input_count == 2 && mul->inputs[0] == mul->inputs[1] ? mul->inputs[0] : -1;
}

/* x for a value that is x - mean(x), or -1. */
static int32_t centred_from(const weft_graph *graph, int32_t v) {
  const weft_node *sub = weft_match_producer(graph, v, "Sub");
  const weft_node *mean = sub != NULL ? weft_match_producer(graph, weft_node_in(sub, 1), "ReduceMean") : NULL;
  return mean != NULL && mean->inputs[0] == sub->inputs[0] && is_last_axis_mean(graph, mean) ? sub->inputs[0] : -1;
}

/* A vector as long as the last axis, whose length is known. */
static bool is_vector_for(const weft_graph *graph, int32_t v, int32_t x) {
  const weft_tensor *t = weft_match_constant(graph, v, WEFT_FLOAT);
  const weft_info *info = &graph->values[x].info;
  return t != NULL && t->shape.rank == 1 && info->kind == WEFT_KIND_TENSOR && info->type == WEFT_FLOAT &&
         info->rank > 0 && info->dims[info->rank - 1] == t->shape.dims[0];
}

/* The node that ends a / v, where v is a root that only this reads: Div, or Mul with Reciprocal or with 1 / v. */
static weft_node *find_quotient(pattern_pass *p, int32_t v, int32_t *a) {
  weft_node *div = weft_match_reader(p->graph, &p->uses, v, "Div"),
            *inverse = weft_match_reader(p->graph, &p->uses, v, "Reciprocal");
  if (div != NULL && div->inputs[1] == v && weft_match_near(p->graph, div->inputs[0], 1)) {
    inverse = div;
  } else if (div != NULL && div->inputs[1] == v) {
    *a = div->inputs[0];
    return div;
  }
  weft_node *mul = inverse != NULL ? weft_match_reader(p->graph, &p->uses, inverse->outputs[0], "Mul") : NULL;
  *a = mul != NULL ? weft_match_other(mul, inverse->outputs[0]) : -1;
  return *a >= 0 ? mul : NULL;
}

static weft_status join_normalization(pattern_pass *p, weft_node *node) {
  weft_graph *graph = p->graph;
  const weft_node *add = weft_match_producer(graph, node->inputs[0], "Add");
  const weft_node *variance = NULL;
  float epsilon = 0;
  for (int i = 0; add != NULL && add->input_count == 2 && variance == NULL && i < 2; i++) {
    variance = weft_match_scalar(graph, add->inputs[1 - i], &epsilon)
                   ? weft_match_producer(graph, add->inputs[i], "ReduceMean")
                   : NULL;
  }
  if (variance == NULL || !is_last_axis_mean(graph, variance)) {
    return WEFT_OK;
  }
  int32_t squared = square_root_of(graph, variance->inputs[0]), divided = -1;
  weft_node *quotient = squared >= 0 ? find_quotient(p, node->outputs[0], &divided) : NULL;
  if (quotient == NULL) {
    return WEFT_OK;
  }
  /* Older exporters compute x - mean(x) twice. */
  int32_t x = centred_from(graph, squared);
  const bool centred = x >= 0 && centred_from(graph, divided) == x;
  if (!centred && divided != squared) {
    return WEFT_OK;
  }
  x = centred ? x : squared;
  weft_node *mul = weft_match_reader(graph, &p->uses, quotient->outputs[0], "Mul");
  int32_t scale = mul != NULL ? weft_match_other(mul, quotient->outputs[0]) : -1;
  const char *name = centred ? "LayerNormalization" : "RMSNormalization";
  if (!is_vector_for(graph, scale, x) || !keeps_rank(graph, x, mul) || weft_op_find("", name) == NULL) {
    return WEFT_OK;
  }
  weft_node *shift = weft_match_reader(graph, &p->uses, mul->outputs[0], "Add");
  int32_t bias = centred && shift != NULL ? weft_match_other(shift, mul->outputs[0]) : -1;
  bool has_bias = is_vector_for(graph, bias, x);
  weft_node *last = has_bias ? shift : mul;
  WEFT_TRY(weft_match_become(p->pass, last, "", name, has_bias ? 3 : 2, (int32_t[]){x, scale, bias}));
  WEFT_TRY(weft_node_set_int(p->pass->model, last, "axis", -1));
  return weft_node_set_float(p->pass->model, last, "epsilon", epsilon);
}

/* ---- MatMul: rows of several dimensions made one for a product with constant weights, and as many again after it  */
static bool is_plain_gemm(const weft_node *node) {
  return weft_node_float(node, "alpha", 1) == 1.0f && weft_node_float(node, "beta", 1) == 1.0f &&
         weft_node_int(node, "transA", 0) == 0 && weft_node_int(node, "transB", 0) == 0;
}

/* The shape of x with the rows that it had before they became one dimension: all but the last dimension, or two, of
 * which the product has `size` columns. */
static bool find_rows(const weft_graph *graph, int32_t x, int32_t y, int64_t size, weft_info *rows) {
  *rows = graph->values[x].info;
  const bool cut = rows->rank == 4 && graph->values[y].info.rank == 3 && rows->dims[2] > 0 && rows->dims[3] > 0 &&
                   rows->dims[2] < INT32_MAX && rows->dims[3] < INT32_MAX && rows->dims[2] * rows->dims[3] == size;
  if (cut) {
    rows->rank = 3;
    rows->dims[2] = size;
  }
  return rows->kind == WEFT_KIND_TENSOR && rows->rank >= 3 && rows->dims[rows->rank - 1] == size;
}

static weft_status join_rows(pattern_pass *p, weft_node *node) {
  weft_graph *graph = p->graph;
  weft_node *there = weft_match_producer(graph, node->inputs[0], "Reshape");
  weft_node *back = weft_match_reader(graph, &p->uses, node->outputs[0], "Reshape");
  const int32_t w = weft_node_in(node, 1), bias = weft_node_in(node, 2), flat = node->inputs[0],
                product = node->outputs[0];
  const weft_value *weights = w >= 0 ? weft_graph_constant(graph, w) : NULL;
  if (there == NULL || weft_node_in(there, 0) < 0 || back == NULL || back->inputs[0] != product || weights == NULL ||
      weights->tensor.shape.rank != 2 || graph->values[flat].info.rank != 2 ||
      (weft_node_is(node, "Gemm") && !is_plain_gemm(node))) {
    return WEFT_OK;
  }
  int32_t x = there->inputs[0];
  const int64_t *dims = weights->tensor.shape.dims;
  const weft_tensor *shift = weft_match_constant(graph, bias, WEFT_FLOAT);
  const weft_info *y = &graph->values[back->outputs[0]].info;
  weft_info rows, result;
  if (!find_rows(graph, x, back->outputs[0], dims[0], &rows) || graph->values[flat].info.dims[1] != dims[0] ||
      (bias >= 0 && (shift == NULL || shift->shape.rank != 1 || shift->shape.dims[0] != dims[1]))) {
    return WEFT_OK;
  }
  result = rows;
  result.dims[rows.rank - 1] = dims[1];
  const bool cut = rows.rank != graph->values[x].info.rank;
  if (!weft_info_same_shape(&result, y) || (cut && (p->uses.count[flat] != 1 || p->uses.is_output[flat]))) {
    return WEFT_OK;
  }
  if (cut) {
    static const int64_t cut_dims[] = {0, 0, -1};
    int32_t shape;
    WEFT_TRY(weft_graph_add_numbers(p->pass->model, graph, WEFT_INT64, 1, 3, cut_dims, &shape));
    WEFT_TRY(weft_match_become(p->pass, there, "", "Reshape", 2, (int32_t[]){x, shape}));
    graph->values[flat].info = rows;
    x = flat;
  }
  if (bias < 0) {
    return weft_match_become(p->pass, back, "", "MatMul", 2, (int32_t[]){x, w});
  }
  graph->values[product].info = result;
  WEFT_TRY(weft_match_become(p->pass, node, "", "MatMul", 2, (int32_t[]){x, w}));
  return weft_match_become(p->pass, back, "", "Add", 2, (int32_t[]){product, bias});
}

/* ---- Softmax of old opsets, for which a tensor was a matrix: Flatten, Softmax, Reshape --------------------------- */
static weft_status join_flat_softmax(pattern_pass *p, weft_node *node) {
  weft_graph *graph = p->graph;
  const weft_node *flatten = weft_match_producer(graph, node->inputs[0], "Flatten");
  weft_node *back = weft_match_reader(graph, &p->uses, node->outputs[0], "Reshape");
  const int64_t last = weft_node_int(node, "axis", -1);
  if (flatten == NULL || back == NULL || back->inputs[0] != node->outputs[0] || (last != -1 && last != 1)) {
    return WEFT_OK;
  }
  const int64_t axis = weft_node_int(flatten, "axis", 1);
  int32_t x = flatten->inputs[0];
  const int rank = graph->values[x].info.rank;
  const weft_node *shape = weft_match_producer(graph, weft_node_in(back, 1), "Shape");
  bool whole = shape != NULL && shape->inputs[0] == x && weft_node_attribute(shape, "start") == NULL &&
               weft_node_attribute(shape, "end") == NULL;
  if (!whole || rank < 1 || (axis != -1 && axis != rank - 1)) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_match_become(p->pass, back, "", "Softmax", 1, &x));
  return weft_node_set_int(p->pass->model, back, "axis", -1);
}

/* ---- the pass -------------------------------------------------------------------------------- */
static const struct {
  const char *begin, *result; /* the node a pattern is found from; the operator it becomes, which must exist */
  weft_status (*join)(pattern_pass *p, weft_node *node);
} patterns[] = {
    {"Erf", "Gelu", join_gelu},
    {"Tanh", "Gelu", join_tanh_gelu},
    {"Sigmoid", "Swish", join_swish},
    {"HardSigmoid", "HardSwish", join_hard_swish},
    {"Clip", "HardSwish", join_clipped},
    {"Sqrt", "Identity", join_normalization},
    {"Gemm", "MatMul", join_rows},
    {"MatMul", "MatMul", join_rows},
    {"Softmax", "Softmax", join_flat_softmax},
};

static weft_status visit(pattern_pass *p, weft_node *node) {
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    bool begins = weft_node_is(node, patterns[i].begin) && weft_node_in(node, 0) >= 0 && weft_node_out(node, 0) >= 0;
    if (begins && weft_match_type(p->graph, node->inputs[0]) == WEFT_FLOAT &&
        weft_op_find("", patterns[i].result) != NULL) {
      return patterns[i].join(p, node);
    }
  }
  return WEFT_OK;
}

weft_status weft_pass_pattern(weft_pass *pass, weft_graph *graph) {
  pattern_pass p = {.pass = pass, .graph = graph};
  WEFT_TRY(weft_uses_find(pass, graph, &p.uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    status = visit(&p, &graph->nodes[n]);
  }
  weft_uses_free(&p.uses);
  return status;
}
