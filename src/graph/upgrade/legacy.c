/* Operators that were experimental in the first opsets and are gone from the specification, but not from files, and one
 * that never was in it: each is written in terms of what replaced it. */
#include "../upgrade.h"

/* y = scale * x + bias, where either may be left out by its neutral element. */
static weft_status scale_and_shift(weft_upgrade *u, float scale, float bias) {
  int32_t data = weft_upgrade_input(u, 0), factor, term, scaled;
  if (data < 0 || weft_upgrade_output(u, 0) < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_upgrade_float_like(u, scale, data, &factor));
  WEFT_TRY(weft_upgrade_float_like(u, bias, data, &term));
  WEFT_TRY(weft_upgrade_before(u, "Mul", 2, (int32_t[]){data, factor}, NULL, &scaled));
  u->dropped = true;
  return weft_upgrade_after(u, "Add", 2, (int32_t[]){scaled, term}, u->node->outputs[0], NULL);
}

static weft_status affine(weft_upgrade *u) {
  return scale_and_shift(u, weft_upgrade_real(u, "alpha", 1), weft_upgrade_real(u, "beta", 0));
}

static weft_status scale(weft_upgrade *u) {
  return scale_and_shift(u, weft_upgrade_real(u, "scale", 1), 0);
}

/* y = alpha * f(beta * x) */
static weft_status scaled_function(weft_upgrade *u, const char *function) {
  int32_t data = weft_upgrade_input(u, 0), alpha, beta, scaled, result;
  if (data < 0 || weft_upgrade_output(u, 0) < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_upgrade_float_like(u, weft_upgrade_real(u, "alpha", 1), data, &alpha));
  WEFT_TRY(weft_upgrade_float_like(u, weft_upgrade_real(u, "beta", 1), data, &beta));
  WEFT_TRY(weft_upgrade_before(u, "Mul", 2, (int32_t[]){data, beta}, NULL, &scaled));
  WEFT_TRY(weft_upgrade_before(u, function, 1, &scaled, NULL, &result));
  u->dropped = true;
  return weft_upgrade_after(u, "Mul", 2, (int32_t[]){result, alpha}, u->node->outputs[0], NULL);
}

static weft_status scaled_tanh(weft_upgrade *u) {
  return scaled_function(u, "Tanh");
}
static weft_status parametric_softplus(weft_upgrade *u) {
  return scaled_function(u, "Softplus");
}

/* y = scale * x + bias[c] */
static weft_status image_scaler(weft_upgrade *u) {
  const weft_attribute *bias = weft_node_attribute(u->node, "bias");
  int32_t data = weft_upgrade_input(u, 0), factor, list, column, axes, term, scaled;
  if (data < 0 || weft_upgrade_output(u, 0) < 0 || bias == NULL || bias->kind != WEFT_ATTRIBUTE_FLOATS) {
    return scale(u);
  }
  WEFT_TRY(weft_upgrade_float_like(u, weft_upgrade_real(u, "scale", 1), data, &factor));
  WEFT_TRY(weft_upgrade_floats(u, bias->count, bias->floats, &list));
  WEFT_TRY(weft_upgrade_ints(u, 1, 2, (int64_t[]){1, 2}, &axes));
  WEFT_TRY(weft_upgrade_before(u, "Unsqueeze", 2, (int32_t[]){list, axes}, NULL, &column));
  WEFT_TRY(weft_upgrade_before(u, "CastLike", 2, (int32_t[]){column, data}, NULL, &term));
  WEFT_TRY(weft_upgrade_before(u, "Mul", 2, (int32_t[]){data, factor}, NULL, &scaled));
  u->dropped = true;
  return weft_upgrade_after(u, "Add", 2, (int32_t[]){scaled, term}, u->node->outputs[0], NULL);
}

/* border = left, top, right, bottom; with `scale` (height, width) the size is given instead of right and bottom. */
static weft_status crop(weft_upgrade *u) {
  const weft_attribute *border = weft_node_attribute(u->node, "border"), *size = weft_node_attribute(u->node, "scale");
  if (border == NULL || border->kind != WEFT_ATTRIBUTE_INTS || border->count != 4) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "attribute 'border': expected four numbers");
  }
  bool sized = size != NULL && size->kind == WEFT_ATTRIBUTE_INTS && size->count == 2;
  const int64_t *cut = border->ints;
  int64_t begin[2] = {cut[1], cut[0]}, end[2] = {INT64_MAX, INT64_MAX};
  for (int i = 0; i < 2; i++) {
    int64_t behind = cut[3 - i];
    if (sized && size->ints[i] >= 0 && begin[i] >= 0 && begin[i] < INT64_MAX - size->ints[i]) {
      end[i] = begin[i] + size->ints[i];
    } else if (behind > 0) {
      end[i] = -behind;
    }
  }
  int32_t v[3];
  WEFT_TRY(weft_upgrade_ints(u, 1, 2, begin, &v[0]));
  WEFT_TRY(weft_upgrade_ints(u, 1, 2, end, &v[1]));
  WEFT_TRY(weft_upgrade_ints(u, 1, 2, (int64_t[]){2, 3}, &v[2]));
  u->node->op_type = "Slice";
  for (int i = 0; i < 3; i++) {
    WEFT_TRY(weft_node_set_input(u->model, u->node, i + 1, v[i]));
  }
  return WEFT_OK;
}

/* `value` in the shape of the input or, if that is a shape, in that one, with the dimensions of extra_shape behind. */
static weft_status constant_fill(weft_upgrade *u) {
  const weft_attribute *extra = weft_node_attribute(u->node, "extra_shape");
  int32_t input = weft_upgrade_input(u, 0), shape[2] = {input, -1}, whole, value, typed;
  const float number = weft_upgrade_real(u, "value", 0);
  weft_node *made;
  if (input >= 0 && weft_upgrade_int(u, "input_as_shape", 0) == 0) {
    WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &input, NULL, &shape[0]));
  }
  whole = shape[0];
  if (extra != NULL && extra->kind == WEFT_ATTRIBUTE_INTS) {
    WEFT_TRY(weft_upgrade_ints(u, 1, extra->count, extra->ints, &shape[1]));
    WEFT_TRY(weft_upgrade_before(u, "Concat", 2, shape, &made, &whole));
    WEFT_TRY(weft_node_set_int(u->model, made, "axis", 0));
  }
  WEFT_TRY(weft_graph_add_numbers(u->model, u->graph, WEFT_FLOAT, 0, 1, &number, &value));
  WEFT_TRY(weft_upgrade_before(u, "Cast", 1, &value, &made, &typed));
  WEFT_TRY(weft_node_set_int(u->model, made, "to", weft_upgrade_int(u, "dtype", 1)));
  u->node->op_type = "Expand";
  WEFT_TRY(weft_node_set_input(u->model, u->node, 0, typed));
  return whole < 0 ? weft_upgrade_ints_to_input(u, "shape", 1, false)
                   : weft_node_set_input(u->model, u->node, 1, whole);
}

/* data, starts, ends, axes: what Slice takes since opset 10, but for steps. */
static weft_status dynamic_slice(weft_upgrade *u) {
  u->node->op_type = "Slice";
  return WEFT_OK;
}

/* TensorFlow's, which tf2onnx leaves from Keras' argmax. */
static weft_status bitcast(weft_upgrade *u) {
  u->node->op_type = "BitCast";
  return weft_node_set_int(u->model, u->node, "to", weft_upgrade_int(u, "type", 0));
}

const weft_upgrade_row weft_upgrade_legacy[] = {
    {"", "Affine", WEFT_UPGRADE_ALWAYS, affine},
    {"", "Bitcast", WEFT_UPGRADE_ALWAYS, bitcast},
    {"", "ConstantFill", WEFT_UPGRADE_ALWAYS, constant_fill},
    {"", "Crop", WEFT_UPGRADE_ALWAYS, crop},
    {"", "DynamicSlice", WEFT_UPGRADE_ALWAYS, dynamic_slice},
    {"", "ImageScaler", WEFT_UPGRADE_ALWAYS, image_scaler},
    {"", "ParametricSoftplus", WEFT_UPGRADE_ALWAYS, parametric_softplus},
    {"", "Scale", WEFT_UPGRADE_ALWAYS, scale},
    {"", "ScaledTanh", WEFT_UPGRADE_ALWAYS, scaled_tanh},
    {NULL, NULL, 0, NULL},
};
