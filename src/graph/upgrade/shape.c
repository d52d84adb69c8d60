/* Upgrades of the operators that move data: attributes that became inputs, and resizing. */
#include "../upgrade.h"

static weft_status concat_4(weft_upgrade *u) {
  return weft_node_set_int(u->model, u->node, "axis", weft_upgrade_int(u, "axis", 1));
}

/* Attributes become inputs whatever the version: converters raise it and leave them. */
static weft_status shape_to_input(weft_upgrade *u) {
  return weft_upgrade_ints_to_input(u, "shape", 1, false);
}

static weft_status bounds_to_inputs(weft_upgrade *u) {
  WEFT_TRY(weft_upgrade_ints_to_input(u, "starts", 1, false));
  WEFT_TRY(weft_upgrade_ints_to_input(u, "ends", 2, false));
  return weft_upgrade_ints_to_input(u, "axes", 3, true);
}

/* Version 1 also took the sizes as an input of the data's type. */
static weft_status split_2(weft_upgrade *u) {
  int32_t sizes = weft_upgrade_input(u, 1), whole;
  weft_node *cast;
  if (sizes < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_upgrade_before(u, "Cast", 1, &sizes, &cast, &whole));
  WEFT_TRY(weft_node_set_int(u->model, cast, "to", WEFT_INT64));
  u->node->inputs[1] = whole;
  return WEFT_OK;
}

static weft_status sizes_to_input(weft_upgrade *u) {
  return weft_upgrade_ints_to_input(u, "split", 1, true);
}

/* Without sizes the parts were as many as the node has outputs. */
static weft_status split_18(weft_upgrade *u) {
  WEFT_TRY(sizes_to_input(u));
  if (weft_upgrade_input(u, 1) >= 0 || weft_node_attribute(u->node, "num_outputs") != NULL) {
    return WEFT_OK;
  }
  return weft_node_set_int(u->model, u->node, "num_outputs", u->node->output_count);
}

static weft_status axes_to_input(weft_upgrade *u) {
  return weft_upgrade_ints_to_input(u, "axes", 1, true);
}

static weft_status pad_2(weft_upgrade *u) {
  const weft_attribute *old = weft_node_attribute(u->node, "paddings");
  if (old == NULL || old->kind != WEFT_ATTRIBUTE_INTS) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_node_set_ints(u->model, u->node, "pads", old->count, old->ints));
  weft_node_remove_attribute(u->node, "paddings");
  return WEFT_OK;
}

static weft_status pads_to_inputs(weft_upgrade *u) {
  float value = weft_upgrade_real(u, "value", 0);
  int32_t v, data = weft_upgrade_input(u, 0);
  WEFT_TRY(weft_upgrade_ints_to_input(u, "pads", 1, false));
  if (value == 0 || data < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_upgrade_float_like(u, value, data, &v));
  return weft_upgrade_to_input(u, "value", 2, v);
}

/* An input as a vector of one int64. */
static weft_status as_vector(weft_upgrade *u, int32_t v, int32_t *out) {
  weft_node *cast;
  int32_t whole, one;
  WEFT_TRY(weft_upgrade_before(u, "Cast", 1, &v, &cast, &whole));
  WEFT_TRY(weft_node_set_int(u->model, cast, "to", WEFT_INT64));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){1}, &one));
  return weft_upgrade_before(u, "Reshape", 2, (int32_t[]){whole, one}, NULL, out);
}

/* Inputs `tiles` and `axis` became a list of repeats, one per axis. */
static weft_status tile_6(weft_upgrade *u) {
  int32_t data = weft_upgrade_input(u, 0), tiles = weft_upgrade_input(u, 1), axis = weft_upgrade_input(u, 2);
  int32_t shape, rank, one, ones, repeats;
  if (data < 0 || tiles < 0 || axis < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(as_vector(u, tiles, &tiles));
  WEFT_TRY(as_vector(u, axis, &axis));
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &data, NULL, &shape));
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &shape, NULL, &rank));
  WEFT_TRY(weft_upgrade_ints(u, 0, 1, (int64_t[]){1}, &one));
  WEFT_TRY(weft_upgrade_before(u, "Expand", 2, (int32_t[]){one, rank}, NULL, &ones));
  WEFT_TRY(weft_upgrade_before(u, "ScatterElements", 3, (int32_t[]){ones, axis, tiles}, NULL, &repeats));
  u->node->inputs[1] = repeats;
  return weft_node_resize(u->model, u->node, 2, u->node->output_count);
}

static weft_status scatter_11(weft_upgrade *u) {
  u->node->op_type = "ScatterElements";
  u->node->version = 11;
  return WEFT_OK;
}

/* ---- resizing -------------------------------------------------------------------------------- */
static weft_status upsample_7(weft_upgrade *u) {
  float scales[4] = {1, 1, weft_upgrade_real(u, "height_scale", 1), weft_upgrade_real(u, "width_scale", 1)};
  int32_t v;
  if (weft_upgrade_is_string(u, "mode", "bilinear")) {
    WEFT_TRY(weft_node_set_string(u->model, u->node, "mode", "linear"));
  }
  if (weft_upgrade_input(u, 1) >= 0 || weft_node_attribute(u->node, "scales") != NULL) {
    return WEFT_OK; /* a newer form */
  }
  WEFT_TRY(weft_upgrade_floats(u, 4, scales, &v));
  return weft_node_set_input(u->model, u->node, 1, v);
}

static weft_status scales_to_input(weft_upgrade *u) {
  const weft_attribute *scales = weft_node_attribute(u->node, "scales");
  int32_t v;
  if (scales == NULL) {
    return WEFT_OK;
  }
  if (scales->kind != WEFT_ATTRIBUTE_FLOATS) {
    return weft_attribute_refuse(u->model->cx, scales);
  }
  WEFT_TRY(weft_upgrade_floats(u, scales->count, scales->floats, &v));
  return weft_upgrade_to_input(u, "scales", 1, v);
}

/* Before version 11 there was one way to find the old coordinate, x / scale. */
static weft_status resize_from_10(weft_upgrade *u, const char *nearest_mode) {
  int32_t scales = weft_upgrade_input(u, 1);
  WEFT_TRY(weft_node_set_string(u->model, u->node, "coordinate_transformation_mode", "asymmetric"));
  WEFT_TRY(weft_node_set_string(u->model, u->node, "nearest_mode", nearest_mode));
  WEFT_TRY(weft_node_set_input(u->model, u->node, 2, scales));
  u->node->inputs[1] = -1;
  return WEFT_OK;
}

/* Upsample's nearest element is the one below, and that is meant too where an exporter made it shrink an axis. */
static weft_status upsample_to_resize(weft_upgrade *u) {
  WEFT_TRY(scales_to_input(u));
  u->node->op_type = "Resize";
  u->node->version = 11;
  return resize_from_10(u, "floor");
}

/* The nearest element was the one below, and the one above along an axis that becomes smaller (as the test of version
 * 10 shows: columns 1 2 3 4 scaled by 0.6 give 1 3). No later mode rounds so: Resize knows it as "outward". */
static weft_status resize_11(weft_upgrade *u) {
  return u->node->input_count > 2 ? WEFT_OK /* the newer form */ : resize_from_10(u, "outward");
}

/* Where corners are aligned, length_resized of the specification has a fraction (0.7 of 5 elements are 3.5); PyTorch's
 * exporters write the same node and mean the elements that there are (3), as if the sizes were given. */
static weft_status resize_of_pytorch(weft_upgrade *u) {
  int32_t in = weft_upgrade_input(u, 0), scales = weft_upgrade_input(u, 2), shape, real, product, sizes;
  if (!u->model->from_pytorch || scales < 0 || weft_upgrade_input(u, 3) >= 0 ||
      weft_node_attribute(u->node, "axes") != NULL ||
      !weft_upgrade_is_string(u, "coordinate_transformation_mode", "align_corners")) {
    return WEFT_OK;
  }
  weft_node *cast;
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &in, NULL, &shape));
  WEFT_TRY(weft_upgrade_before(u, "CastLike", 2, (int32_t[]){shape, scales}, NULL, &real));
  WEFT_TRY(weft_upgrade_before(u, "Mul", 2, (int32_t[]){real, scales}, NULL, &product));
  WEFT_TRY(weft_upgrade_before(u, "Cast", 1, &product, &cast, &sizes));
  WEFT_TRY(weft_node_set_int(u->model, cast, "to", WEFT_INT64));
  u->node->inputs[2] = -1;
  return weft_node_set_input(u->model, u->node, 3, sizes);
}

/* Negative indices were out of range. */
static weft_status one_hot_11(weft_upgrade *u) {
  return weft_node_set_int(u->model, u->node, "negative", 0);
}

static weft_status roi_align_16(weft_upgrade *u) {
  return weft_node_set_string(u->model, u->node, "coordinate_transformation_mode", "output_half_pixel");
}

const weft_upgrade_row weft_upgrade_shape[] = {
    {"", "Concat", 4, concat_4},
    {"", "OneHot", 11, one_hot_11},
    {"", "Pad", 2, pad_2},
    {"", "Pad", WEFT_UPGRADE_ALWAYS, pads_to_inputs},
    {"", "Reshape", WEFT_UPGRADE_ALWAYS, shape_to_input},
    {"", "Resize", 11, resize_11},
    {"", "Resize", WEFT_UPGRADE_ALWAYS, resize_of_pytorch},
    {"", "RoiAlign", 16, roi_align_16},
    {"", "Scatter", WEFT_UPGRADE_ALWAYS, scatter_11},
    {"", "Slice", WEFT_UPGRADE_ALWAYS, bounds_to_inputs},
    {"", "Split", 2, split_2},
    {"", "Split", 18, split_18},
    {"", "Split", WEFT_UPGRADE_ALWAYS, sizes_to_input},
    {"", "Squeeze", WEFT_UPGRADE_ALWAYS, axes_to_input},
    {"", "Tile", 6, tile_6},
    {"", "Unsqueeze", WEFT_UPGRADE_ALWAYS, axes_to_input},
    {"", "Upsample", 7, upsample_7},
    {"", "Upsample", WEFT_UPGRADE_ALWAYS, upsample_to_resize},
    {NULL, NULL, 0, NULL},
};
