/* Models quantised for simulation (DequantizeLinear -> operator -> QuantizeLinear) become what they simulate: the
 * operator on integers. The last node of such a chain, QuantizeLinear, turns into the integer operator; a
 * DequantizeLinear that nothing else reads is dead then. Only 8 bits, and only scales and zero points that are
 * constants: the results may differ from the simulated ones by one step of the output's scale. */
#include <math.h>
#include <string.h>

#include "match.h"

enum { ANY_AXIS = -1, MOST_PARTS = 64, LEAST_FILTERS = 16, MOST_TERMS = 33025 /* of an int32 */ };

typedef struct quantized_pass {
  weft_pass *pass;
  weft_graph *graph;
  weft_uses uses;
} quantized_pass;

/* An 8-bit value and what it means. */
typedef struct quantity {
  int32_t x, scale, zero;
} quantity;

static bool is_8_bit(weft_type type) {
  return type == WEFT_INT8 || type == WEFT_UINT8;
}

/* Whether the scale is one number above 0, which keeps the order of numbers and gives back what was quantised, or one
 * of any sign for each element along `axis` of x, which a product of weights may have. */
static bool scale_fits(const weft_graph *graph, const weft_node *node, int axis) {
  const weft_tensor *scale = weft_match_constant(graph, weft_node_in(node, 1), WEFT_FLOAT);
  const weft_info *x = &graph->values[node->inputs[0]].info;
  if (scale == NULL || weft_node_int(node, "block_size", 0) != 0) {
    return false;
  }
  const float *numbers = scale->data;
  for (size_t i = 0; i < scale->count; i++) {
    if (!isfinite(numbers[i])) {
      return false;
    }
  }
  if (scale->count == 1) {
    return numbers[0] > 0;
  }
  int64_t own = weft_node_int(node, "axis", 1);
  own = own < 0 ? own + x->rank : own;
  return axis >= 0 && x->rank > axis && own == axis && scale->shape.rank == 1 && x->dims[axis] == (int64_t)scale->count;
}

/* A constant zero for a zero point that is left out. */
static weft_status add_zeros(quantized_pass *p, weft_type type, const weft_tensor *scale, int32_t *out) {
  weft_value *value;
  WEFT_TRY(weft_value_new_tensor(p->pass->model->cx, type, &scale->shape, &value));
  memset(value->tensor.data, 0, value->tensor.count);
  return weft_graph_add_constant(p->pass->model, p->graph, "", value, out);
}

/* The 8-bit value that v is made of; out->x is -1 when it is none. `axis`: of the channels that may have their own
 * scale. */
static weft_status find_quantity(quantized_pass *p, int32_t v, int axis, quantity *out) {
  weft_graph *graph = p->graph;
  const weft_node *node = weft_match_producer(graph, v, "DequantizeLinear");
  *out = (quantity){-1, -1, -1};
  if (node == NULL || weft_node_in(node, 0) < 0 || weft_match_type(graph, v) != WEFT_FLOAT ||
      !scale_fits(graph, node, axis)) {
    return WEFT_OK;
  }
  int32_t zero = weft_node_in(node, 2);
  weft_type type = weft_match_type(graph, node->inputs[0]);
  if (!is_8_bit(type) || (zero >= 0 && weft_match_constant(graph, zero, type) == NULL)) {
    return WEFT_OK;
  }
  *out = (quantity){node->inputs[0], node->inputs[1], zero};
  return zero >= 0 ? WEFT_OK : add_zeros(p, type, weft_match_constant(graph, out->scale, WEFT_FLOAT), &out->zero);
}

/* Operators on quantities of one type only are not for those that have a sign here and none there. */
static bool same_type(const quantized_pass *p, int32_t a, int32_t b) {
  return weft_match_type(p->graph, a) == weft_match_type(p->graph, b);
}

static weft_node *find_quantizer(const quantized_pass *p, int32_t v) {
  return weft_match_quantizer(p->graph, &p->uses, v);
}

/* A Relu before the quantiser does nothing when its zero is the smallest number there is. */
static weft_node *find_quantizer_after_relu(const quantized_pass *p, int32_t v) {
  const weft_node *relu = weft_match_reader(p->graph, &p->uses, v, "Relu");
  weft_node *node = find_quantizer(p, relu != NULL ? relu->outputs[0] : v);
  if (relu == NULL || node == NULL) {
    return node;
  }
  const weft_tensor *zero = &weft_graph_constant(p->graph, node->inputs[2])->tensor;
  bool smallest =
      zero->type == WEFT_UINT8 ? *(const uint8_t *)zero->data == 0 : *(const int8_t *)zero->data == INT8_MIN;
  return smallest ? node : NULL;
}

/* `last` becomes the operator, with the attributes of `node`, which leaves the graph unless it is the same. */
static weft_status replace(quantized_pass *p, weft_node *node, weft_node *last, const char *domain, const char *op_type,
                           int inputs, const int32_t *values) {
  weft_attribute *attributes = node->attributes;
  size_t count = node->attribute_count;
  const char *name = node->name;
  node->attribute_count = 0;
  weft_status status = weft_match_become(p->pass, last, domain, op_type, inputs, values);
  last->attributes = attributes;
  last->attribute_count = count;
  last->name = name;
  if (node != last) {
    weft_node_remove(node);
  }
  return status;
}

/* ---- bias ------------------------------------------------------------------------------------ */
/* The int32 form of a bias whose scale is that of the sums, x.scale * w.scale. Quantisers write it so; a float constant
 * is rounded to it. *out is -1 when v is neither. */
static weft_status find_bias(quantized_pass *p, int32_t v, const quantity *x, const quantity *w, size_t channels,
                             int32_t *out) {
  const weft_node *node = weft_match_producer(p->graph, v, "DequantizeLinear");
  const weft_tensor *x_scale = weft_match_constant(p->graph, x->scale, WEFT_FLOAT);
  const weft_tensor *w_scale = weft_match_constant(p->graph, w->scale, WEFT_FLOAT);
  const weft_tensor *plain = weft_match_constant(p->graph, v, WEFT_FLOAT);
  const weft_tensor *whole = node != NULL ? weft_match_constant(p->graph, weft_node_in(node, 0), WEFT_INT32) : NULL;
  const weft_tensor *scale = node != NULL ? weft_match_constant(p->graph, weft_node_in(node, 1), WEFT_FLOAT) : NULL;
  const weft_tensor *bias = plain != NULL ? plain : whole;
  *out = -1;
  if (bias == NULL || bias->shape.rank != 1 || bias->count != channels || (plain == NULL && scale == NULL) ||
      (scale != NULL && scale->count != 1 && scale->count != channels)) {
    return WEFT_OK;
  }
  weft_value *value;
  WEFT_TRY(weft_value_new_tensor(p->pass->model->cx, WEFT_INT32, &bias->shape, &value));
  for (size_t i = 0; i < channels; i++) {
    double unit =
        (double)((const float *)x_scale->data)[0] * (double)((const float *)w_scale->data)[w_scale->count == 1 ? 0 : i];
    double real = plain != NULL ? (double)((const float *)plain->data)[i]
                                : (double)((const int32_t *)whole->data)[i] *
                                      (double)((const float *)scale->data)[scale->count == 1 ? 0 : i];
    double steps = nearbyint(real / unit);
    if (!(fabs(steps) < 2147483647.0)) {
      weft_value_release(value);
      return WEFT_OK;
    }
    ((int32_t *)value->tensor.data)[i] = (int32_t)steps;
  }
  return weft_graph_add_constant(p->pass->model, p->graph, "", value, out);
}

/* ---- products -------------------------------------------------------------------------------- */
/* Where no quantiser follows at once, the product of integers gives floats, and takes over what is done to these, a
 * quantiser at the end included (fuse.c). */
static weft_status join_fused(quantized_pass *p, weft_node *node, const char *op_type, const quantity *a,
                              const quantity *b) {
  const int32_t values[] = {a->x, b->x, weft_node_in(node, 2), -1, a->scale, a->zero, b->scale, b->zero};
  return replace(p, node, node, "weft", op_type, 8, values);
}

/* Whether a convolution is faster with integers. Where they are multiplied in pairs, floats are as fast when a window
 * moves by one, by way of Winograd's short cut, or meets few channels; and what groups of few channels share is too
 * little for any product, unless a channel meets only its own filters. A normalisation goes into the weights of one of
 * floats (scale.c). */
static bool integers_pay(const quantized_pass *p, const weft_node *node, const weft_info *weights) {
  const weft_attribute *strides = weft_node_attribute(node, "strides");
  const int64_t groups = weft_node_int(node, "group", 1);
  bool moves_by_one = true, is_point = true;
  float terms = (float)weights->dims[1];
  for (int d = 2; d < weights->rank; d++) {
    is_point = is_point && weights->dims[d] == 1;
    terms *= (float)weights->dims[d];
  }
  for (size_t i = 0; strides != NULL && strides->kind == WEFT_ATTRIBUTE_INTS && i < strides->count; i++) {
    moves_by_one = moves_by_one && strides->ints[i] == 1;
  }
  if (terms > (float)MOST_TERMS ||
      weft_match_reader(p->graph, &p->uses, node->outputs[0], "BatchNormalization") != NULL) {
    return false;
  }
  const bool has_dot = p->pass->model->cx->kernels->has_dot_i8;
  if (groups == 1) {
    return has_dot || is_point || !moves_by_one;
  }
  return groups > 1 && (weights->dims[1] == 1 || (has_dot && weights->dims[0] / groups >= LEAST_FILTERS));
}

static weft_status join_conv(quantized_pass *p, weft_node *node) {
  weft_node *last = find_quantizer_after_relu(p, node->outputs[0]);
  quantity x, w;
  int32_t bias = -1;
  WEFT_TRY(find_quantity(p, weft_node_in(node, 0), ANY_AXIS, &x));
  WEFT_TRY(find_quantity(p, weft_node_in(node, 1), 0, &w));
  if (x.x < 0 || w.x < 0) {
    return WEFT_OK;
  }
  const weft_info *weights = &p->graph->values[w.x].info;
  bool has_bias = weft_node_in(node, 2) >= 0;
  if (weights->rank < 3 || weights->dims[0] < 1 || !integers_pay(p, node, weights)) {
    return WEFT_OK;
  }
  if (has_bias && last != NULL) {
    WEFT_TRY(find_bias(p, node->inputs[2], &x, &w, (size_t)weights->dims[0], &bias));
  }
  if (last == NULL || (has_bias && bias < 0)) {
    return join_fused(p, node, "QConv", &x, &w);
  }
  const int32_t values[] = {x.x, x.scale, x.zero, w.x, w.scale, w.zero, last->inputs[1], last->inputs[2], bias};
  return replace(p, node, last, "", "QLinearConv", has_bias ? 9 : 8, values);
}

static weft_status join_matmul(quantized_pass *p, weft_node *node) {
  const weft_info *b_info = weft_node_in(node, 1) >= 0 ? &p->graph->values[node->inputs[1]].info : NULL;
  weft_node *last = find_quantizer(p, node->outputs[0]);
  quantity a, b;
  WEFT_TRY(find_quantity(p, weft_node_in(node, 0), ANY_AXIS, &a));
  WEFT_TRY(find_quantity(p, weft_node_in(node, 1), b_info != NULL && b_info->rank == 2 ? 1 : ANY_AXIS, &b));
  if (a.x < 0 || b.x < 0) {
    return WEFT_OK;
  }
  if (last == NULL) {
    return join_fused(p, node, "QMatMul", &a, &b);
  }
  return replace(p, node, last, "", "QLinearMatMul", 8,
                 (int32_t[]){a.x, a.scale, a.zero, b.x, b.scale, b.zero, last->inputs[1], last->inputs[2]});
}

/* Whether a bias is one float for each column. */
static bool is_row(const quantized_pass *p, int32_t v, int64_t columns) {
  const weft_info *info = &p->graph->values[v].info;
  return weft_match_type(p->graph, v) == WEFT_FLOAT && info->rank == 1 && info->dims[0] == columns;
}

static weft_status join_gemm(quantized_pass *p, weft_node *node) {
  weft_node *last = find_quantizer_after_relu(p, node->outputs[0]);
  int axis = weft_node_int(node, "transB", 0) != 0 ? 0 : 1;
  quantity a, b;
  int32_t bias = -1;
  WEFT_TRY(find_quantity(p, weft_node_in(node, 0), ANY_AXIS, &a));
  WEFT_TRY(find_quantity(p, weft_node_in(node, 1), axis, &b));
  if (a.x < 0 || b.x < 0 || weft_node_float(node, "alpha", 1) != 1.0f || weft_node_float(node, "beta", 1) != 1.0f) {
    return WEFT_OK;
  }
  const weft_info *weights = &p->graph->values[b.x].info;
  bool has_bias = weft_node_in(node, 2) >= 0;
  if (weights->rank != 2 || weights->dims[axis] < 1) {
    return WEFT_OK;
  }
  if (has_bias && last != NULL) {
    WEFT_TRY(find_bias(p, node->inputs[2], &a, &b, (size_t)weights->dims[axis], &bias));
  }
  if (last == NULL || (has_bias && bias < 0)) {
    bool fits = p->graph->values[a.x].info.rank == 2 && (!has_bias || is_row(p, node->inputs[2], weights->dims[axis]));
    return fits ? join_fused(p, node, "QMatMul", &a, &b) : WEFT_OK;
  }
  return replace(p, node, last, "com.microsoft", "QGemm", 9,
                 (int32_t[]){a.x, a.scale, a.zero, b.x, b.scale, b.zero, bias, last->inputs[1], last->inputs[2]});
}

/* ---- element by element, pools, concatenation ------------------------------------------------ */
static weft_status join_binary(quantized_pass *p, weft_node *node) {
  weft_node *last = find_quantizer_after_relu(p, node->outputs[0]);
  quantity a, b;
  WEFT_TRY(find_quantity(p, weft_node_in(node, 0), ANY_AXIS, &a));
  WEFT_TRY(find_quantity(p, weft_node_in(node, 1), ANY_AXIS, &b));
  if (last == NULL || a.x < 0 || b.x < 0 || !same_type(p, a.x, b.x) || !same_type(p, a.x, last->inputs[2])) {
    return WEFT_OK;
  }
  const char *op_type = weft_node_is(node, "Add") ? "QLinearAdd" : "QLinearMul";
  return replace(p, node, last, "com.microsoft", op_type, 8,
                 (int32_t[]){a.x, a.scale, a.zero, b.x, b.scale, b.zero, last->inputs[1], last->inputs[2]});
}

/* Whether a mean is that of all pixels of each channel. */
static bool is_global_mean(const quantized_pass *p, const weft_node *node) {
  const weft_tensor *axes = weft_match_constant(p->graph, weft_node_in(node, 1), WEFT_INT64);
  if (axes == NULL || axes->count != 2 || weft_node_int(node, "keepdims", 1) == 0 ||
      p->graph->values[node->inputs[0]].info.rank != 4) {
    return false;
  }
  const int64_t *list = axes->data;
  int64_t low = list[0] < 0 ? list[0] + 4 : list[0], high = list[1] < 0 ? list[1] + 4 : list[1];
  return (low == 2 && high == 3) || (low == 3 && high == 2);
}

static weft_status join_unary(quantized_pass *p, weft_node *node) {
  static const char *const names[][2] = {{"AveragePool", "QLinearAveragePool"},
                                         {"GlobalAveragePool", "QLinearGlobalAveragePool"},
                                         {"ReduceMean", "QLinearGlobalAveragePool"},
                                         {"LeakyRelu", "QLinearLeakyRelu"},
                                         {"Sigmoid", "QLinearSigmoid"}};
  weft_node *last = find_quantizer(p, node->outputs[0]);
  quantity x;
  WEFT_TRY(find_quantity(p, weft_node_in(node, 0), ANY_AXIS, &x));
  if (last == NULL || x.x < 0 || !same_type(p, x.x, last->inputs[2]) ||
      (weft_node_is(node, "ReduceMean") && !is_global_mean(p, node))) {
    return WEFT_OK;
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (weft_node_is(node, names[i][0])) {
      return replace(p, node, last, "com.microsoft", names[i][1], 5,
                     (int32_t[]){x.x, x.scale, x.zero, last->inputs[1], last->inputs[2]});
    }
  }
  return WEFT_OK;
}

static weft_status join_concat(quantized_pass *p, weft_node *node) {
  weft_node *last = find_quantizer(p, node->outputs[0]);
  int32_t values[2 + 3 * MOST_PARTS];
  if (last == NULL || node->input_count > MOST_PARTS) {
    return WEFT_OK;
  }
  values[0] = last->inputs[1];
  values[1] = last->inputs[2];
  for (int i = 0; i < node->input_count; i++) {
    quantity x;
    WEFT_TRY(find_quantity(p, node->inputs[i], ANY_AXIS, &x));
    if (x.x < 0 || !same_type(p, x.x, last->inputs[2])) {
      return WEFT_OK;
    }
    memcpy(&values[2 + 3 * i], (int32_t[]){x.x, x.scale, x.zero}, 3 * sizeof *values);
  }
  return replace(p, node, last, "com.microsoft", "QLinearConcat", 2 + 3 * node->input_count, values);
}

/* ---- data that only moves -------------------------------------------------------------------- */
static bool same_constant(const weft_graph *graph, int32_t a, int32_t b, weft_type type) {
  const weft_tensor *x = weft_match_constant(graph, a, type), *y = weft_match_constant(graph, b, type);
  return x != NULL && y != NULL && x->count == 1 && y->count == 1 &&
         memcmp(x->data, y->data, weft_type_size(type)) == 0;
}

/* Values that are taken apart and put together with the same scale may stay as they are while they move. */
static weft_status join_movement(quantized_pass *p, weft_node *node) {
  weft_node *last = find_quantizer(p, node->outputs[0]);
  quantity x;
  WEFT_TRY(find_quantity(p, weft_node_in(node, 0), ANY_AXIS, &x));
  if (last == NULL || x.x < 0 || node->output_count != 1) {
    return WEFT_OK;
  }
  weft_type type = weft_match_type(p->graph, x.x);
  if (!same_constant(p->graph, x.scale, last->inputs[1], WEFT_FLOAT) ||
      !same_constant(p->graph, x.zero, last->inputs[2], type)) {
    return WEFT_OK;
  }
  node->inputs[0] = x.x;
  return replace(p, node, last, node->domain, node->op_type, node->input_count, node->inputs);
}

/* ---- quantisers of one value ----------------------------------------------------------------- */
static bool is_alike(const weft_graph *graph, const weft_node *a, const weft_node *b) {
  return weft_node_is(a, b->op_type) && weft_node_in(b, 2) >= 0 &&
         same_constant(graph, weft_node_in(a, 1), b->inputs[1], WEFT_FLOAT) &&
         same_constant(graph, weft_node_in(a, 2), b->inputs[2], weft_match_type(graph, b->inputs[2])) &&
         weft_node_int(a, "precision", 0) == weft_node_int(b, "precision", 0) &&
         weft_match_type(graph, a->outputs[0]) == weft_match_type(graph, b->outputs[0]);
}

/* Where each reader of a value has its own quantiser, or what undoes it, the first serves all who have one like it.
 * `first` has a place for each value. */
static void share_quantizers(weft_graph *graph, const weft_uses *uses, weft_aliases *aliases, weft_node **first) {
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_node *node = &graph->nodes[n];
    if ((!weft_node_is(node, "QuantizeLinear") && !weft_node_is(node, "DequantizeLinear")) ||
        weft_node_in(node, 0) < 0 || weft_node_out(node, 0) < 0) {
      continue;
    }
    weft_node **other = &first[weft_aliases_find(aliases, node->inputs[0])];
    if (*other == NULL) {
      *other = node;
    } else if (is_alike(graph, *other, node) &&
               weft_aliases_bypass(aliases, graph, uses, (*other)->outputs[0], node->outputs[0])) {
      weft_node_remove(node);
    }
  }
  weft_graph_compact(graph);
  weft_aliases_apply(aliases, graph);
  weft_graph_number_producers(graph);
}

static weft_status share(weft_pass *pass, weft_graph *graph) {
  void *first = NULL;
  weft_uses uses = {0};
  weft_aliases aliases = {0};
  weft_status status = weft_alloc_zeroed(pass->model->cx, graph->value_count, sizeof(weft_node *), &first);
  status = status == WEFT_OK ? weft_uses_find(pass, graph, &uses) : status;
  status = status == WEFT_OK ? weft_aliases_create(pass, graph, &aliases) : status;
  if (status == WEFT_OK) {
    share_quantizers(graph, &uses, &aliases, first);
  }
  weft_aliases_free(&aliases);
  weft_uses_free(&uses);
  weft_free(first);
  return status;
}

/* ---- the pass -------------------------------------------------------------------------------- */
static const struct {
  const char *op_type;
  weft_status (*join)(quantized_pass *p, weft_node *node);
} joins[] = {
    {"Add", join_binary},
    {"AveragePool", join_unary},
    {"Concat", join_concat},
    {"Conv", join_conv},
    {"DepthToSpace", join_movement},
    {"Expand", join_movement},
    {"Flatten", join_movement},
    {"Gather", join_movement},
    {"Gemm", join_gemm},
    {"GlobalAveragePool", join_unary},
    {"LeakyRelu", join_unary},
    {"MatMul", join_matmul},
    {"MaxPool", join_movement},
    {"Mul", join_binary},
    {"ReduceMean", join_unary},
    {"Reshape", join_movement},
    {"Sigmoid", join_unary},
    {"Slice", join_movement},
    {"SpaceToDepth", join_movement},
    {"Squeeze", join_movement},
    {"Tile", join_movement},
    {"Transpose", join_movement},
    {"Unsqueeze", join_movement},
};

weft_status weft_pass_quantized(weft_pass *pass, weft_graph *graph) {
  quantized_pass p = {.pass = pass, .graph = graph};
  WEFT_TRY(share(pass, graph));
  WEFT_TRY(weft_uses_find(pass, graph, &p.uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    weft_node *node = &graph->nodes[n];
    for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
      if (weft_node_is(node, joins[i].op_type) && weft_node_out(node, 0) >= 0) {
        status = joins[i].join(&p, node);
        break;
      }
    }
  }
  weft_uses_free(&p.uses);
  weft_graph_compact(graph);
  return status;
}
