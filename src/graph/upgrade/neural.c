/* Upgrades of normalisation and dropout. */
#include "../upgrade.h"
#include "../warn.h"

/* Only inference has a meaning here: the ratio says nothing then, and is_test was never set by many exporters. */
static weft_status dropout_12(weft_upgrade *u) {
  weft_node_remove_attribute(u->node, "ratio");
  weft_node_remove_attribute(u->node, "is_test");
  return WEFT_OK;
}

/* The mask was of the data's type. */
static weft_status dropout_10(weft_upgrade *u) {
  int32_t data = weft_upgrade_input(u, 0), old;
  if (data < 0 || weft_upgrade_output(u, 1) < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_upgrade_replace_output(u, 1, &old));
  return weft_upgrade_after(u, "CastLike", 2, (int32_t[]){u->node->outputs[1], data}, old, NULL);
}

/* spatial = 0: statistics per element instead of per channel, which plain broadcasting over the batch expresses. */
static weft_status batch_normalization_9(weft_upgrade *u) {
  bool spatial = weft_upgrade_int(u, "spatial", 1) != 0;
  weft_node_remove_attribute(u->node, "spatial");
  if (spatial || u->node->input_count < 5 || weft_upgrade_output(u, 0) < 0) {
    return WEFT_OK;
  }
  const int32_t *in = u->node->inputs;
  int32_t epsilon, variance, deviation, centred, normal, scaled, old;
  WEFT_TRY(weft_upgrade_float_like(u, weft_upgrade_real(u, "epsilon", 1e-5f), in[4], &epsilon));
  WEFT_TRY(weft_upgrade_before(u, "Add", 2, (int32_t[]){in[4], epsilon}, NULL, &variance));
  WEFT_TRY(weft_upgrade_before(u, "Sqrt", 1, &variance, NULL, &deviation));
  WEFT_TRY(weft_upgrade_before(u, "Sub", 2, (int32_t[]){in[0], in[3]}, NULL, &centred));
  WEFT_TRY(weft_upgrade_before(u, "Div", 2, (int32_t[]){centred, deviation}, NULL, &normal));
  WEFT_TRY(weft_upgrade_before(u, "Mul", 2, (int32_t[]){normal, in[1]}, NULL, &scaled));
  WEFT_TRY(weft_upgrade_replace_output(u, 0, &old));
  u->dropped = true;
  return weft_upgrade_after(u, "Add", 2, (int32_t[]){scaled, in[2]}, old, NULL);
}

/* More than one output meant training. Exporters named the outputs of training even where nothing reads them. */
static weft_status batch_normalization_14(weft_upgrade *u) {
  bool training = false, tested = weft_upgrade_int(u, "is_test", 0) != 0;
  weft_node_remove_attribute(u->node, "is_test");
  for (int i = 1; i < u->node->output_count; i++) {
    bool used;
    WEFT_TRY(weft_upgrade_is_used(u, i, &used));
    if (used && i >= 3) {
      return weft_upgrade_unsupported(u, "outputs saved_mean and saved_var, which only training needs");
    }
    training = training || used;
  }
  if (training) {
    WEFT_TRY(weft_node_set_int(u->model, u->node, "training_mode", 1));
  } else if (u->node->output_count > 1 && !tested) {
    WEFT_TRY(weft_model_warn(u->model, u->node,
                             "has outputs of training that nothing reads: it runs as in inference, with the stored "
                             "mean and variance, but the model was exported in training mode"));
  }
  int outputs = training ? 3 : 1;
  return weft_node_resize(u->model, u->node, u->node->input_count,
                          u->node->output_count < outputs ? u->node->output_count : outputs);
}

/* Scale and bias were one per group; every channel of the group gets them. */
static weft_status group_normalization_21(weft_upgrade *u) {
  int64_t groups = weft_upgrade_int(u, "num_groups", 1);
  int32_t channels, count, per_group, target, one;
  weft_node *shape, *concat;
  if (weft_upgrade_input(u, 0) < 0 || u->node->input_count < 3) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, u->node->inputs, &shape, &channels));
  WEFT_TRY(weft_node_set_int(u->model, shape, "start", 1));
  WEFT_TRY(weft_node_set_int(u->model, shape, "end", 2));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, &groups, &count));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){1}, &one));
  WEFT_TRY(weft_upgrade_before(u, "Div", 2, (int32_t[]){channels, count}, NULL, &per_group));
  WEFT_TRY(weft_upgrade_before(u, "Concat", 2, (int32_t[]){count, per_group}, &concat, &target));
  WEFT_TRY(weft_node_set_int(u->model, concat, "axis", 0));
  for (int i = 1; i < 3; i++) {
    int32_t column, matrix;
    if (u->node->inputs[i] < 0) {
      continue;
    }
    WEFT_TRY(weft_upgrade_before(u, "Unsqueeze", 2, (int32_t[]){u->node->inputs[i], one}, NULL, &column));
    WEFT_TRY(weft_upgrade_before(u, "Expand", 2, (int32_t[]){column, target}, NULL, &matrix));
    WEFT_TRY(weft_upgrade_before(u, "Reshape", 2, (int32_t[]){matrix, channels}, NULL, &u->node->inputs[i]));
  }
  return WEFT_OK;
}

static weft_status mean_variance_normalization_9(weft_upgrade *u) {
  const int64_t axes[] = {0, 1, 2, 3}, per_channel[] = {0, 2, 3};
  bool across = weft_upgrade_int(u, "across_channels", 0) != 0;
  weft_node_remove_attribute(u->node, "across_channels");
  weft_node_remove_attribute(u->node, "normalize_variance");
  return weft_node_set_ints(u->model, u->node, "axes", across ? 4 : 3, across ? axes : per_channel);
}

const weft_upgrade_row weft_upgrade_neural[] = {
    {"", "BatchNormalization", 9, batch_normalization_9},
    {"", "BatchNormalization", 14, batch_normalization_14},
    {"", "Dropout", 10, dropout_10},
    {"", "Dropout", 12, dropout_12},
    {"", "GroupNormalization", 21, group_normalization_21},
    {"", "MeanVarianceNormalization", 9, mean_variance_normalization_9},
    {NULL, NULL, 0, NULL},
};
