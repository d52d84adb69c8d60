/* Operators of com.microsoft that are others under another name, or a few of them: they cost nothing at run time that
 * the operators they become would not. */
#include <string.h>

#include "../upgrade.h"

static void become(weft_upgrade *u, const char *domain, const char *op_type) {
  u->node->domain = domain;
  u->node->op_type = op_type;
}

/* The node's output 0 is made by a node behind it, from the new value that the node makes instead. */
static weft_status follow(weft_upgrade *u, const char *op_type, weft_node **made) {
  int32_t old;
  WEFT_TRY(weft_upgrade_replace_output(u, 0, &old));
  return weft_upgrade_after(u, op_type, 1, u->node->outputs, old, made);
}

static weft_status as_type(weft_upgrade *u, weft_type type, int i) {
  weft_node *cast;
  int32_t v = weft_upgrade_input(u, i);
  if (v < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_upgrade_before(u, "Cast", 1, &v, &cast, &u->node->inputs[i]));
  return weft_node_set_int(u->model, cast, "to", type);
}

/* Fails unless the node has its first `count` inputs and an output. */
static weft_status expect(weft_upgrade *u, int count) {
  for (int i = 0; i < count; i++) {
    if (weft_upgrade_input(u, i) < 0) {
      return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "expected at least %d inputs, input %d is missing", count, i);
    }
  }
  return weft_upgrade_output(u, 0) >= 0
             ? WEFT_OK
             : weft_fail(u->model->cx, WEFT_INVALID_MODEL, "the first output is required and has no name");
}

/* Fails where attribute `name` asks for what no other operator does. */
static weft_status expect_plain(weft_upgrade *u, const char *name, int64_t plain) {
  int64_t value = weft_upgrade_int(u, name, plain);
  if (value != plain) {
    return weft_upgrade_unsupported(u, "attribute '%s' of %lld: only %lld is", name, (long long)value,
                                    (long long)plain);
  }
  weft_node_remove_attribute(u->node, name);
  return WEFT_OK;
}

/* ---- the same under another name ------------------------------------------------------------------------------- */
static weft_status same(weft_upgrade *u) {
  become(u, "", u->node->op_type);
  return WEFT_OK;
}

static weft_status gather_nd(weft_upgrade *u) {
  become(u, "", u->node->op_type);
  return as_type(u, WEFT_INT64, 1);
}

/* Pads may be a matrix of one row. */
static weft_status pad(weft_upgrade *u) {
  int32_t row;
  WEFT_TRY(expect(u, 2));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){-1}, &row));
  become(u, "", u->node->op_type);
  return weft_upgrade_before(u, "Reshape", 2, (int32_t[]){u->node->inputs[1], row}, NULL, &u->node->inputs[1]);
}

static weft_status range(weft_upgrade *u) {
  int32_t delta = weft_upgrade_input(u, 2);
  WEFT_TRY(expect(u, 2));
  if (delta < 0) {
    WEFT_TRY(weft_upgrade_float_like(u, 1, u->node->inputs[0], &delta));
  }
  become(u, "", u->node->op_type);
  return weft_node_set_input(u->model, u->node, 2, delta);
}

static weft_status quick_gelu(weft_upgrade *u) {
  become(u, "", "Swish");
  return weft_node_set_float(u->model, u->node, "alpha", weft_upgrade_real(u, "alpha", 1.702f));
}

static weft_status expand_dims(weft_upgrade *u) {
  become(u, "", "Unsqueeze");
  return as_type(u, WEFT_INT64, 1);
}

static weft_status torch_embedding(weft_upgrade *u) {
  WEFT_TRY(expect(u, 2));
  become(u, "", "Gather");
  return weft_node_resize(u->model, u->node, 2, 1); /* padding_idx and scale_grad_by_freq are of training */
}

/* In order of appearance; the second output is where each element went, the third how often it occurred. */
static weft_status unique(weft_upgrade *u) {
  int32_t inverse = weft_upgrade_output(u, 1), counts = weft_upgrade_output(u, 2);
  WEFT_TRY(expect(u, 1));
  become(u, "", u->node->op_type);
  WEFT_TRY(weft_node_resize(u->model, u->node, 1, counts >= 0 ? 4 : inverse >= 0 ? 3 : 1));
  for (int i = 1; i < u->node->output_count; i++) {
    u->node->outputs[i] = i == 2 ? inverse : i == 3 ? counts : -1;
  }
  return weft_node_set_int(u->model, u->node, "sorted", 0);
}

/* ---- a few operators in one -------------------------------------------------------------------------------------- */
/* Of the halves of x + bias the left one times Gelu of the right one. */
static weft_status bias_split_gelu(weft_upgrade *u) {
  int32_t sum, left, right, gelu;
  weft_node *split;
  WEFT_TRY(expect(u, 2));
  WEFT_TRY(weft_upgrade_before(u, "Add", 2, u->node->inputs, NULL, &sum));
  WEFT_TRY(weft_graph_add_value(u->model, u->graph, "", &right));
  WEFT_TRY(weft_upgrade_before(u, "Split", 1, &sum, &split, &left));
  WEFT_TRY(weft_node_resize(u->model, split, 1, 2));
  split->outputs[1] = right;
  WEFT_TRY(weft_node_set_int(u->model, split, "axis", -1));
  WEFT_TRY(weft_node_set_int(u->model, split, "num_outputs", 2));
  WEFT_TRY(weft_upgrade_before(u, "Gelu", 1, &right, NULL, &gelu));
  u->dropped = true;
  return weft_upgrade_after(u, "Mul", 2, (int32_t[]){left, gelu}, u->node->outputs[0], NULL);
}

/* A dropout of x + bias, with what is to be added to it: inference lets all through. */
static weft_status bias_dropout(weft_upgrade *u) {
  bool masked;
  int32_t rest = weft_upgrade_input(u, 2), sum;
  WEFT_TRY(expect(u, 2));
  WEFT_TRY(weft_upgrade_is_used(u, 1, &masked));
  if (masked || weft_upgrade_input(u, 4) >= 0) {
    return weft_upgrade_unsupported(u, "a mask and training_mode, which only training needs");
  }
  u->dropped = true;
  if (rest < 0) {
    return weft_upgrade_after(u, "Add", 2, u->node->inputs, u->node->outputs[0], NULL);
  }
  WEFT_TRY(weft_upgrade_before(u, "Add", 2, u->node->inputs, NULL, &sum));
  return weft_upgrade_after(u, "Add", 2, (int32_t[]){sum, rest}, u->node->outputs[0], NULL);
}

/* An activation that the product itself does not know becomes its own node. */
static weft_status split_activation(weft_upgrade *u, const char *op_type) {
  static const char *const known[] = {"Relu", "LeakyRelu", "HardSigmoid", "Sigmoid", "Tanh"};
  static const char *const parameters[][2] = {
      {"activation_alpha", "alpha"}, {"activation_beta", "beta"}, {"activation_gamma", "gamma"}};
  const weft_attribute *name = weft_node_attribute(u->node, "activation");
  WEFT_TRY(expect(u, 2));
  become(u, "com.microsoft", op_type);
  for (size_t i = 0; name != NULL && i < sizeof known / sizeof *known; i++) {
    if (weft_upgrade_is_string(u, "activation", known[i])) {
      name = NULL;
    }
  }
  if (name == NULL || name->kind != WEFT_ATTRIBUTE_STRING || name->s.size == 0) {
    return WEFT_OK;
  }
  weft_node *made;
  WEFT_TRY(follow(u, name->s.data, &made));
  for (size_t i = 0; i < 3; i++) {
    if (weft_node_attribute(u->node, parameters[i][0]) != NULL) {
      WEFT_TRY(weft_node_set_float(u->model, made, parameters[i][1], weft_upgrade_real(u, parameters[i][0], 0)));
      weft_node_remove_attribute(u->node, parameters[i][0]);
    }
  }
  if (weft_node_attribute(u->node, "activation_axis") != NULL) {
    WEFT_TRY(weft_node_set_int(u->model, made, "axis", weft_upgrade_int(u, "activation_axis", -1)));
  }
  weft_node_remove_attribute(u->node, "activation");
  return WEFT_OK;
}

static weft_status fused_gemm(weft_upgrade *u) {
  return split_activation(u, "FusedGemm");
}

static weft_status matmul_activation(weft_upgrade *u) {
  return split_activation(u, "FusedMatMul");
}

/* Both operands less their zero points, in int32. */
static weft_status mul_integer(weft_upgrade *u) {
  int32_t v[2];
  WEFT_TRY(expect(u, 1));
  WEFT_TRY(weft_node_resize(u->model, u->node, 4, 1));
  for (int i = 0; i < 2; i++) {
    WEFT_TRY(as_type(u, WEFT_INT32, 2 * i));
    WEFT_TRY(as_type(u, WEFT_INT32, 2 * i + 1));
    v[i] = u->node->inputs[2 * i];
    if (u->node->inputs[2 * i + 1] >= 0) {
      WEFT_TRY(weft_upgrade_before(u, "Sub", 2, u->node->inputs + 2 * i, NULL, &v[i]));
    }
  }
  u->dropped = true;
  return weft_upgrade_after(u, "Mul", 2, v, u->node->outputs[0], NULL);
}

static weft_status matmul_integer_16(weft_upgrade *u) {
  WEFT_TRY(expect(u, 2));
  become(u, "", "MatMul");
  WEFT_TRY(as_type(u, WEFT_INT32, 0));
  return as_type(u, WEFT_INT32, 1);
}

/* x, its scale and zero point; the result's scale and zero point. */
static weft_status reduce_mean(weft_upgrade *u) {
  WEFT_TRY(expect(u, 2));
  WEFT_TRY(weft_node_resize(u->model, u->node, 5, 1));
  const int32_t in[5] = {u->node->inputs[0], u->node->inputs[1], u->node->inputs[2], u->node->inputs[3],
                         u->node->inputs[4]};
  int32_t real, old;
  WEFT_TRY(weft_upgrade_before(u, "DequantizeLinear", in[2] >= 0 ? 3 : 2, in, NULL, &real));
  WEFT_TRY(weft_node_resize(u->model, u->node, 1, 1));
  u->node->inputs[0] = real;
  become(u, "", "ReduceMean");
  WEFT_TRY(weft_upgrade_ints_to_input(u, "axes", 1, true));
  WEFT_TRY(weft_upgrade_replace_output(u, 0, &old));
  return weft_upgrade_after(u, "QuantizeLinear", in[4] >= 0 ? 3 : 2, (int32_t[]){u->node->outputs[0], in[3], in[4]},
                            old, NULL);
}

/* ---- channels last ----------------------------------------------------------------------------------------------- */
/* Dimensions of value v where the file says how many, else `fallback`. */
static int rank_of(const weft_upgrade *u, int32_t v, int fallback) {
  const weft_value *constant = weft_graph_constant(u->graph, v);
  int declared = u->graph->values[v].info.rank;
  return constant != NULL && constant->kind == WEFT_KIND_TENSOR ? constant->tensor.shape.rank
         : declared > 0                                         ? declared
                                                                : fallback;
}

/* Input i with its channels first. */
static weft_status channels_first(weft_upgrade *u, int rank, int i) {
  int64_t order[WEFT_MAX_RANK] = {0};
  weft_node *node;
  int32_t v = weft_upgrade_input(u, i);
  if (v < 0) {
    return WEFT_OK;
  }
  for (int d = 1; d < rank; d++) {
    order[d] = d == 1 ? rank - 1 : d - 1;
  }
  WEFT_TRY(weft_upgrade_before(u, "Transpose", 1, &v, &node, &u->node->inputs[i]));
  return weft_node_set_ints(u->model, node, "perm", (size_t)rank, order);
}

/* What the node makes as output i is turned back behind it, and given a `shape`, unless that is -1. */
static weft_status channels_back(weft_upgrade *u, int rank, int i, int32_t shape) {
  int64_t order[WEFT_MAX_RANK] = {0};
  weft_node *node;
  int32_t old, turned;
  if (weft_upgrade_output(u, i) < 0) {
    return WEFT_OK;
  }
  for (int d = 1; d < rank; d++) {
    order[d] = d == rank - 1 ? 1 : d + 1;
  }
  WEFT_TRY(weft_upgrade_replace_output(u, i, &old));
  turned = old;
  if (shape >= 0) {
    WEFT_TRY(weft_graph_add_value(u->model, u->graph, "", &turned));
  }
  WEFT_TRY(weft_upgrade_after(u, "Transpose", 1, &u->node->outputs[i], turned, &node));
  WEFT_TRY(weft_node_set_ints(u->model, node, "perm", (size_t)rank, order));
  return shape < 0 ? WEFT_OK : weft_upgrade_after(u, "Reshape", 2, (int32_t[]){turned, shape}, old, NULL);
}

/* NhwcConv has the channels of the filters last as well, NhwcFusedConv has them first. */
static weft_status nhwc_conv(weft_upgrade *u) {
  WEFT_TRY(expect(u, 2));
  int rank = rank_of(u, u->node->inputs[1], rank_of(u, u->node->inputs[0], 4));
  const bool filters_too = strcmp(u->node->op_type, "NhwcConv") == 0;
  become(u, "com.microsoft", "FusedConv");
  WEFT_TRY(channels_first(u, rank, 0));
  if (filters_too) {
    WEFT_TRY(channels_first(u, rank, 1));
  }
  WEFT_TRY(channels_first(u, rank, 3));
  return channels_back(u, rank, 0, -1);
}

static weft_status qlinear_conv(weft_upgrade *u) {
  WEFT_TRY(expect(u, 4));
  int rank = rank_of(u, u->node->inputs[3], rank_of(u, u->node->inputs[0], 4));
  bool last = weft_upgrade_int(u, "channels_last", 0) != 0;
  weft_node_remove_attribute(u->node, "channels_last");
  become(u, "", u->node->op_type);
  if (!last) {
    return WEFT_OK;
  }
  WEFT_TRY(channels_first(u, rank, 0));
  return channels_back(u, rank, 0, -1);
}

/* With `skip`: x + skip + bias is normalised, and is the second output. */
static weft_status add_skip(weft_upgrade *u) {
  int32_t bias = weft_upgrade_input(u, 4), sum = weft_upgrade_output(u, 1), skip = weft_upgrade_input(u, 3), both;
  int32_t wide;
  weft_node *shape, *add;
  WEFT_TRY(expect(u, 4));
  /* A skip of [batch][channels] is one for all places. */
  WEFT_TRY(weft_upgrade_ints(u, 1, 4, (int64_t[]){0, 1, 1, -1}, &wide));
  if (rank_of(u, skip, 4) == 2) {
    WEFT_TRY(weft_upgrade_before(u, "Reshape", 2, (int32_t[]){skip, wide}, &shape, &skip));
  }
  WEFT_TRY(weft_upgrade_before(u, "Add", 2, (int32_t[]){u->node->inputs[0], skip}, &add, &both));
  if (bias >= 0) {
    WEFT_TRY(weft_upgrade_before(u, "Add", 2, (int32_t[]){both, bias}, &add, &both));
  }
  if (sum >= 0) {
    add->outputs[0] = both = sum;
  }
  WEFT_TRY(weft_node_resize(u->model, u->node, 3, 1));
  u->node->inputs[0] = both;
  return WEFT_OK;
}

static weft_status group_norm(weft_upgrade *u) {
  bool last = weft_upgrade_int(u, "channels_last", 1) != 0, silu = weft_upgrade_int(u, "activation", 0) != 0;
  bool skips = strcmp(u->node->op_type, "SkipGroupNorm") == 0;
  WEFT_TRY(expect(u, 3));
  if (skips && !last) {
    return weft_upgrade_unsupported(u, "channels that are not last");
  }
  if (skips) {
    WEFT_TRY(add_skip(u));
  }
  become(u, "", "GroupNormalization");
  WEFT_TRY(weft_node_set_int(u->model, u->node, "num_groups", weft_upgrade_int(u, "groups", 1)));
  for (int i = 1; i < 3; i++) { /* the parameters may be floats where the data are halves */
    int32_t pair[2] = {u->node->inputs[i], u->node->inputs[0]};
    WEFT_TRY(weft_upgrade_before(u, "CastLike", 2, pair, NULL, &u->node->inputs[i]));
  }
  if (last) {
    WEFT_TRY(channels_first(u, 4, 0));
  }
  int32_t normal, old;
  WEFT_TRY(weft_upgrade_replace_output(u, 0, &old));
  normal = u->node->outputs[0];
  if (silu) {
    int32_t active = old;
    if (last) {
      WEFT_TRY(weft_graph_add_value(u->model, u->graph, "", &active));
    }
    WEFT_TRY(weft_upgrade_after(u, "Swish", 1, &normal, active, NULL));
    normal = active;
  }
  if (!last && !silu) {
    u->node->outputs[0] = old;
    return WEFT_OK;
  }
  if (last) {
    weft_node *node;
    WEFT_TRY(weft_upgrade_after(u, "Transpose", 1, &normal, old, &node));
    return weft_node_set_ints(u->model, node, "perm", 4, (int64_t[]){0, 2, 3, 1});
  }
  return WEFT_OK;
}

/* ---- recurrences ------------------------------------------------------------------------------------------------- */
/* What lies behind batch and sequence are channels: inputs 0 and 3 get one dimension of them, and *shape what makes it
 * those of input 0 again. */
static weft_status join_channels(weft_upgrade *u, int32_t *shape) {
  weft_node *node;
  int32_t rows, kept, tail;
  const int32_t x = u->node->inputs[0];
  WEFT_TRY(weft_upgrade_ints(u, 1, 3, (int64_t[]){0, 0, -1}, &rows));
  WEFT_TRY(weft_upgrade_ints(u, 1, 2, (int64_t[]){0, 0}, &kept));
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &x, &node, &tail));
  WEFT_TRY(weft_node_set_int(u->model, node, "start", 2));
  WEFT_TRY(weft_upgrade_before(u, "Concat", 2, (int32_t[]){kept, tail}, &node, shape));
  WEFT_TRY(weft_node_set_int(u->model, node, "axis", 0));
  for (int i = 0; i <= 3; i += 3) {
    int32_t pair[2] = {weft_upgrade_input(u, i), rows};
    if (pair[0] >= 0) {
      WEFT_TRY(weft_upgrade_before(u, "Reshape", 2, pair, NULL, &u->node->inputs[i]));
    }
  }
  return WEFT_OK;
}

static weft_status causal_conv(weft_upgrade *u) {
  int64_t last = weft_upgrade_int(u, "channels_last", 0), state = weft_upgrade_int(u, "state_channels_last", -1);
  WEFT_TRY(expect(u, 2));
  WEFT_TRY(expect_plain(u, "ndim", 1));
  WEFT_TRY(expect_plain(u, "state_window", 0));
  WEFT_TRY(expect_plain(u, "state_update_capacity", 0));
  WEFT_TRY(expect_plain(u, "state_channels_last", state == last ? last : -1));
  WEFT_TRY(expect_plain(u, "state_length", 0));
  WEFT_TRY(expect_plain(u, "input_channel_offset", 0));
  WEFT_TRY(expect_plain(u, "input_channels", 0));
  weft_node_remove_attribute(u->node, "channels_last");
  become(u, "", u->node->op_type);
  if (last == 0) {
    return WEFT_OK;
  }
  int32_t shape = -1;
  WEFT_TRY(rank_of(u, u->node->inputs[0], 4) == 3 ? WEFT_OK : join_channels(u, &shape));
  WEFT_TRY(channels_first(u, 3, 0));
  WEFT_TRY(channels_first(u, 3, 3));
  WEFT_TRY(channels_back(u, 3, 0, shape));
  return channels_back(u, 3, 1, shape);
}

static weft_status linear_attention(weft_upgrade *u) {
  WEFT_TRY(expect_plain(u, "state_window", 0));
  become(u, "", u->node->op_type);
  return WEFT_OK;
}

/* decay = scale * softplus(a + bias), in float; update rate = sigmoid(b). */
static weft_status attention_gate(weft_upgrade *u) {
  int32_t wide, sum, soft, scaled, rate = weft_upgrade_output(u, 1), b = weft_upgrade_input(u, 3);
  weft_node *cast;
  WEFT_TRY(expect(u, rate >= 0 ? 4 : 3));
  const int32_t *in = u->node->inputs;
  WEFT_TRY(weft_upgrade_before(u, "Cast", 1, in, &cast, &wide));
  WEFT_TRY(weft_node_set_int(u->model, cast, "to", WEFT_FLOAT));
  WEFT_TRY(weft_upgrade_before(u, "Add", 2, (int32_t[]){wide, in[1]}, NULL, &sum));
  WEFT_TRY(weft_upgrade_before(u, "Softplus", 1, &sum, NULL, &soft));
  WEFT_TRY(weft_upgrade_before(u, "Mul", 2, (int32_t[]){soft, in[2]}, NULL, &scaled));
  u->dropped = true;
  if (rate >= 0) {
    WEFT_TRY(weft_upgrade_after(u, "Sigmoid", 1, &b, rate, NULL));
  }
  return weft_upgrade_after(u, "CastLike", 2, (int32_t[]){scaled, in[0]}, u->node->outputs[0], NULL);
}

/* Groups of as many elements as the scale has are normalised, then weighted by the gate's activation. */
static weft_status gated_rms_norm(weft_upgrade *u) {
  int32_t count, less, rows, groups, shape, normal, flat, active;
  weft_node *concat;
  WEFT_TRY(expect(u, 3));
  const int32_t x = u->node->inputs[0], scale = u->node->inputs[1], gate = u->node->inputs[2];
  bool sigmoid = weft_upgrade_is_string(u, "activation", "sigmoid");
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){-1}, &less));
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &scale, NULL, &count));
  WEFT_TRY(weft_upgrade_before(u, "Concat", 2, (int32_t[]){less, count}, &concat, &rows));
  WEFT_TRY(weft_node_set_int(u->model, concat, "axis", 0));
  WEFT_TRY(weft_upgrade_before(u, "Reshape", 2, (int32_t[]){x, rows}, NULL, &groups));
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &x, NULL, &shape));
  WEFT_TRY(weft_upgrade_before(u, sigmoid ? "Sigmoid" : "Swish", 1, &gate, NULL, &active));
  WEFT_TRY(weft_graph_add_value(u->model, u->graph, "", &normal));
  WEFT_TRY(weft_graph_add_value(u->model, u->graph, "", &flat));
  int32_t old = u->node->outputs[0];
  become(u, "", "RMSNormalization");
  WEFT_TRY(weft_node_resize(u->model, u->node, 2, 1));
  u->node->inputs[0] = groups;
  u->node->outputs[0] = normal;
  weft_node_remove_attribute(u->node, "activation");
  WEFT_TRY(weft_upgrade_after(u, "Reshape", 2, (int32_t[]){normal, shape}, flat, NULL));
  return weft_upgrade_after(u, "Mul", 2, (int32_t[]){flat, active}, old, NULL);
}

#define ROW(name, rewrite) {"com.microsoft", name, WEFT_UPGRADE_ALWAYS, rewrite}
const weft_upgrade_row weft_upgrade_microsoft[] = {
    ROW("BiasDropout", bias_dropout),
    ROW("BiasSplitGelu", bias_split_gelu),
    ROW("BitmaskBiasDropout", bias_dropout),
    ROW("CausalConvWithState", causal_conv),
    ROW("ExpandDims", expand_dims),
    ROW("FusedGemm", fused_gemm),
    ROW("FusedMatMulActivation", matmul_activation),
    ROW("GatedRMSNorm", gated_rms_norm),
    ROW("GatherND", gather_nd),
    ROW("Gelu", same),
    ROW("GridSample", same),
    ROW("GroupNorm", group_norm),
    ROW("LinearAttention", linear_attention),
    ROW("LinearAttentionGate", attention_gate),
    ROW("MatMulInteger16", matmul_integer_16),
    ROW("MulInteger", mul_integer),
    ROW("NhwcConv", nhwc_conv),
    ROW("NhwcFusedConv", nhwc_conv),
    ROW("Pad", pad),
    ROW("QLinearConv", qlinear_conv),
    ROW("QLinearReduceMean", reduce_mean),
    ROW("QuickGelu", quick_gelu),
    ROW("Range", range),
    ROW("SkipGroupNorm", group_norm),
    ROW("TorchEmbedding", torch_embedding),
    ROW("Trilu", same),
    ROW("Unique", unique),
    {NULL, NULL, 0, NULL},
};
