/* Convolutions and matrix products take over what is done to their results, so that a result is touched once while it
 * is in a register: y = activation(product + bias + residual).
 *
 * The fused operators are Weft's own, in domain "weft": Conv, ConvTranspose, Gemm, MatMul as far as ops.def has them.
 * Inputs: those of the original operator, the bias always at position 2 (for MatMul: one number per column), the
 * residual, of the result's shape, at position 3. Attributes: the original's, and `activation` (a weft_activation),
 * `lo`, `hi`. Only float32. QConv and QMatMul (quantized.c), products of integers whose results are floats, have the same
 * form, and may quantise in the end: the scale and zero point of that come last.
 *
 * What is absorbed is read by nothing else and is no output of the graph. The fused node stands where the last node of
 * the chain stood, because its residual may be made after the product. */
#include <math.h>
#include <string.h>

#include "match.h"

enum { MAX_CHAIN = 5, BIAS = 2, RESIDUAL = 3, SCALE = 8, ZERO = 9 };

typedef struct chain {
  weft_graph *graph;
  const weft_uses *uses;
  weft_node *product;
  const char *kind;            /* of product */
  weft_node *taken[MAX_CHAIN]; /* in their order; the last one's output is the result */
  int taken_count;
  int32_t out; /* the result so far */
  int32_t bias, residual;
  const weft_node *quantizer;
  weft_value *new_bias; /* made here: becomes a constant if the chain is fused */
  weft_activation activation;
  float lo, hi;
} chain;

/* Whether a node is one of integers. */
static bool is_quantized(const weft_node *node) {
  return node->op_type != NULL && strcmp(node->domain, "weft") == 0 && node->op_type[0] == 'Q';
}

/* The product of floats that a node is or stands for, or NULL. */
static const char *kind_of(const weft_node *node) {
  static const char *const products[] = {"Conv", "ConvTranspose", "Gemm", "MatMul"};
  bool quantized = is_quantized(node);
  for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
    if (quantized ? strcmp(node->op_type + 1, products[i]) == 0 : weft_node_is(node, products[i])) {
      return products[i];
    }
  }
  return NULL;
}

static bool is_a(const chain *c, const char *kind) {
  return strcmp(c->kind, kind) == 0;
}

static void take(chain *c, weft_node *node) {
  c->taken[c->taken_count++] = node;
  c->out = node->outputs[0];
}

/* ---- bias ------------------------------------------------------------------------------------ */
/* Columns of the result (MatMul, Gemm) or its channels; 0 when unknown. */
static size_t count_channels(const chain *c) {
  const weft_info *w = &c->graph->values[c->product->inputs[1]].info;
  if (w->kind != WEFT_KIND_TENSOR || w->rank < 2) {
    return 0;
  }
  int axis = is_a(c, "Conv") ? 0 : is_a(c, "MatMul") ? w->rank - 1 : 1;
  axis -= weft_node_int(c->product, "transB", 0) != 0;
  int64_t groups = is_a(c, "ConvTranspose") ? weft_node_int(c->product, "group", 1) : 1;
  return w->dims[axis] > 0 && groups > 0 && groups <= INT32_MAX && w->dims[axis] <= INT32_MAX
             ? (size_t)(w->dims[axis] * groups)
             : 0;
}

static weft_status add_to_bias(weft_pass *pass, chain *c, const weft_tensor *term, size_t channels) {
  const weft_tensor *old = weft_match_constant(c->graph, c->bias, WEFT_FLOAT);
  weft_shape shape = {.rank = 1, .dims = {(int64_t)channels}};
  WEFT_TRY(weft_value_new_tensor(pass->model->cx, WEFT_FLOAT, &shape, &c->new_bias));
  float *to = c->new_bias->tensor.data;
  for (size_t i = 0; i < channels; i++) {
    to[i] = ((const float *)term->data)[term->count == 1 ? 0 : i] + (old != NULL ? ((const float *)old->data)[i] : 0);
  }
  return WEFT_OK;
}

static bool scales_bias(const weft_node *node) {
  return weft_node_is(node, "Gemm") && weft_node_float(node, "beta", 1) != 1.0f;
}

static weft_status take_bias(weft_pass *pass, chain *c) {
  weft_node *add = weft_match_reader(c->graph, c->uses, c->out, "Add");
  const weft_tensor *term =
      add != NULL ? weft_match_constant(c->graph, weft_match_other(add, c->out), WEFT_FLOAT) : NULL;
  size_t channels = count_channels(c);
  int rank = c->graph->values[c->out].info.rank;
  if (term == NULL || channels == 0 || rank < 0 || scales_bias(c->product)) {
    return WEFT_OK;
  }
  bool is_conv = is_a(c, "Conv") || is_a(c, "ConvTranspose");
  const weft_tensor *old = weft_match_constant(c->graph, c->bias, WEFT_FLOAT);
  bool can_add = c->bias < 0 || (old != NULL && old->shape.rank == 1 && old->count == channels);
  if (can_add && weft_match_per_channel(term, channels, rank, is_conv ? 1 : rank - 1)) {
    if (c->bias < 0 && term->shape.rank == 1 && term->count == channels) {
      c->bias = weft_match_other(add, c->out); /* as it is: branches that share it stay alike */
    } else {
      WEFT_TRY(add_to_bias(pass, c, term, channels));
    }
    take(c, add);
  }
  return WEFT_OK;
}

/* ---- residual -------------------------------------------------------------------------------- */
/* Scores of attention whose heads the file only names: exporters give a mask's heads the same name where there is one
 * mask for all of them. */
static bool may_be_masked(const chain *c) {
  const weft_info *info = &c->graph->values[c->out].info;
  return is_a(c, "MatMul") && info->rank > 3 && info->dims[info->rank - 3] < 0;
}

static void take_residual(chain *c) {
  weft_node *add = weft_match_reader(c->graph, c->uses, c->out, "Add");
  int32_t other = add != NULL ? weft_match_other(add, c->out) : -1;
  if (other >= 0 && other != c->out && weft_match_same_shape(c->graph, other, c->out) && !may_be_masked(c)) {
    c->residual = other;
    take(c, add);
  }
}

/* ---- activation ------------------------------------------------------------------------------ */
static bool is_plain_gelu(const weft_node *node) {
  const weft_attribute *mode = weft_node_attribute(node, "approximate");
  return mode == NULL || (mode->kind == WEFT_ATTRIBUTE_STRING && strcmp(mode->s.data, "none") == 0);
}

static bool take_as(chain *c, weft_node *node, weft_activation activation, float lo, float hi) {
  c->activation = activation;
  c->lo = lo;
  c->hi = hi;
  take(c, node);
  return true;
}

static bool take_clip(chain *c, weft_node *node) {
  float lo = -INFINITY, hi = INFINITY;
  int32_t low = weft_node_in(node, 1), high = weft_node_in(node, 2);
  bool known = node->inputs[0] == c->out && (low < 0 || weft_match_scalar(c->graph, low, &lo)) &&
               (high < 0 || weft_match_scalar(c->graph, high, &hi));
  return known && lo <= hi && take_as(c, node, WEFT_ACT_CLIP, lo, hi);
}

/* A slope that is one number. */
static bool take_slope(chain *c, weft_node *node) {
  float slope;
  return node->inputs[0] == c->out && weft_match_scalar(c->graph, weft_node_in(node, 1), &slope) &&
         take_as(c, node, WEFT_ACT_LEAKY, slope, 0);
}

/* x * sigmoid(x): two readers of x, which are nobody else's. */
static bool take_silu(chain *c) {
  int32_t x = c->out;
  if (c->uses->count[x] != 2 || c->uses->is_output[x] || c->uses->reader[x] < 0) {
    return false;
  }
  weft_node *mul = &c->graph->nodes[c->uses->reader[x]];
  int32_t gate = weft_node_is(mul, "Mul") ? weft_match_other(mul, x) : -1;
  weft_node *sigmoid = weft_match_producer(c->graph, gate, "Sigmoid");
  if (sigmoid == NULL || sigmoid->inputs[0] != x || c->uses->count[gate] != 1 || c->uses->is_output[gate]) {
    return false;
  }
  take(c, sigmoid);
  return take_as(c, mul, WEFT_ACT_SILU, 0, 0);
}

static bool take_activation(chain *c) {
  static const struct {
    const char *op_type;
    weft_activation activation;
    float lo, hi;
  } plain[] = {{"Relu", WEFT_ACT_CLIP, 0, INFINITY},
               {"Sigmoid", WEFT_ACT_SIGMOID, 0, 0},
               {"Tanh", WEFT_ACT_TANH, 0, 0},
               {"HardSwish", WEFT_ACT_HARDSWISH, 0, 0}};
  weft_node *node;
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
    if ((node = weft_match_reader(c->graph, c->uses, c->out, plain[i].op_type)) != NULL) {
      return take_as(c, node, plain[i].activation, plain[i].lo, plain[i].hi);
    }
  }
  if ((node = weft_match_reader(c->graph, c->uses, c->out, "Clip")) != NULL) {
    return take_clip(c, node);
  }
  if ((node = weft_match_reader(c->graph, c->uses, c->out, "LeakyRelu")) != NULL) {
    return take_as(c, node, WEFT_ACT_LEAKY, weft_node_float(node, "alpha", 0.01f), 0);
  }
  if ((node = weft_match_reader(c->graph, c->uses, c->out, "PRelu")) != NULL) {
    return take_slope(c, node);
  }
  if ((node = weft_match_reader(c->graph, c->uses, c->out, "HardSigmoid")) != NULL) {
    return take_as(c, node, WEFT_ACT_HARDSIGMOID, weft_node_float(node, "alpha", 0.2f),
                   weft_node_float(node, "beta", 0.5f));
  }
  if ((node = weft_match_reader(c->graph, c->uses, c->out, "Gelu")) != NULL && is_plain_gelu(node)) {
    return take_as(c, node, WEFT_ACT_GELU, 0, 0);
  }
  if ((node = weft_match_reader(c->graph, c->uses, c->out, "Swish")) != NULL &&
      weft_node_float(node, "alpha", 1) == 1.0f) {
    return take_as(c, node, WEFT_ACT_SILU, 0, 0);
  }
  return take_silu(c);
}

/* ---- quantiser ------------------------------------------------------------------------------- */
static void take_quantizer(chain *c) {
  weft_node *node = is_quantized(c->product) ? weft_match_quantizer(c->graph, c->uses, c->out) : NULL;
  if (node != NULL) {
    c->quantizer = node;
    take(c, node);
  }
}

/* ---- the fused node -------------------------------------------------------------------------- */
/* A bias alone needs no fused operator where the original has one. */
static bool needs_own_operator(const chain *c) {
  return c->activation != WEFT_ACT_NONE || c->residual >= 0 || is_a(c, "MatMul");
}

static weft_status fill(weft_pass *pass, chain *c, weft_node *node) {
  if (c->new_bias != NULL) {
    weft_value *bias = c->new_bias;
    c->new_bias = NULL;
    WEFT_TRY(weft_graph_add_constant(pass->model, c->graph, "", bias, &c->bias));
  }
  if (c->bias >= 0) {
    WEFT_TRY(weft_node_set_input(pass->model, node, BIAS, c->bias));
  }
  if (c->residual >= 0) {
    WEFT_TRY(weft_node_set_input(pass->model, node, RESIDUAL, c->residual));
  }
  if (c->activation != WEFT_ACT_NONE) {
    WEFT_TRY(weft_node_set_int(pass->model, node, "activation", (int64_t)c->activation));
    WEFT_TRY(weft_node_set_float(pass->model, node, "lo", c->lo));
    WEFT_TRY(weft_node_set_float(pass->model, node, "hi", c->hi));
  }
  return WEFT_OK;
}

static weft_status finish(weft_pass *pass, chain *c) {
  weft_node *last = c->taken[c->taken_count - 1];
  const int32_t scale = c->quantizer != NULL ? c->quantizer->inputs[1] : -1,
                zero = c->quantizer != NULL ? c->quantizer->inputs[2] : -1;
  const weft_op_def *def = weft_op_find("weft", c->product->op_type);
  weft_node node = *c->product;
  bool own = needs_own_operator(c);
  *c->product = (weft_node){0};
  node.outputs[0] = c->out;
  if (own) {
    node.domain = def->domain;
    node.op_type = def->name;
    node.version = def->version;
    node.def = def;
  }
  for (int i = 0; i < c->taken_count; i++) {
    weft_node_remove(c->taken[i]);
  }
  *last = node;
  c->graph->values[c->out].producer = (int32_t)(last - c->graph->nodes);
  if (scale >= 0) {
    WEFT_TRY(weft_node_set_input(pass->model, last, ZERO, zero));
    last->inputs[SCALE] = scale;
  }
  return fill(pass, c, last);
}

/* Weights in floats, or in the 16 bits that products of floats take as well. */
static bool has_weights(const weft_graph *graph, const weft_node *node) {
  const weft_type type = weft_match_type(graph, node->inputs[1]);
  return type == WEFT_FLOAT || is_quantized(node) ||
         (weft_type_is_half(type) && weft_match_type(graph, node->inputs[0]) == WEFT_FLOAT);
}

static weft_status fuse(weft_pass *pass, weft_graph *graph, const weft_uses *uses, weft_node *node) {
  const char *kind = kind_of(node);
  if (kind == NULL || weft_node_in(node, 0) < 0 || weft_node_in(node, 1) < 0 || node->output_count != 1 ||
      !has_weights(graph, node) || weft_op_find("weft", node->op_type) == NULL) {
    return WEFT_OK;
  }
  chain c = {.graph = graph,
             .uses = uses,
             .product = node,
             .kind = kind,
             .out = node->outputs[0],
             .bias = weft_node_in(node, BIAS),
             .residual = -1};
  WEFT_TRY(take_bias(pass, &c));
  take_residual(&c);
  take_activation(&c);
  take_quantizer(&c);
  return c.taken_count != 0 ? finish(pass, &c) : WEFT_OK;
}

weft_status weft_pass_fuse(weft_pass *pass, weft_graph *graph) {
  weft_uses uses;
  WEFT_TRY(weft_uses_find(pass, graph, &uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    status = fuse(pass, graph, &uses, &graph->nodes[n]);
  }
  weft_uses_free(&uses);
  weft_graph_compact(graph);
  return status;
}
