/* Upgrades of arithmetic, reductions and what else computes element by element. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "../upgrade.h"

/* Before version 7, `broadcast` allowed the second operand to be smaller and `axis` told where its shape begins in the
 * first one's, or, negative, how far before its end: ones are added behind it until numpy's rule, aligned at the end,
 * says the same. */
static weft_status align(weft_upgrade *u, int64_t axis) {
  int32_t a = u->node->inputs[0], b = u->node->inputs[1];
  int32_t shape_a, shape_b, rank_a, rank_b, begin, room, zero, one, count, ones, shape, aligned;
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &a, NULL, &shape_a));
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &b, NULL, &shape_b));
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &shape_a, NULL, &rank_a));
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &shape_b, NULL, &rank_b));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){axis < 0 ? -axis : axis}, &begin));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){0}, &zero));
  WEFT_TRY(weft_upgrade_ints(u, 0, 1, (int64_t[]){1}, &one));
  WEFT_TRY(weft_upgrade_before(u, "Sub", 2, (int32_t[]){axis < 0 ? begin : rank_a, rank_b}, NULL, &room));
  if (axis >= 0) {
    WEFT_TRY(weft_upgrade_before(u, "Sub", 2, (int32_t[]){room, begin}, NULL, &room));
  }
  WEFT_TRY(weft_upgrade_before(u, "Max", 2, (int32_t[]){room, zero}, NULL, &count));
  WEFT_TRY(weft_upgrade_before(u, "Expand", 2, (int32_t[]){one, count}, NULL, &ones));
  weft_node *concat;
  WEFT_TRY(weft_upgrade_before(u, "Concat", 2, (int32_t[]){shape_b, ones}, &concat, &shape));
  WEFT_TRY(weft_node_set_int(u->model, concat, "axis", 0));
  WEFT_TRY(weft_upgrade_before(u, "Reshape", 2, (int32_t[]){b, shape}, NULL, &aligned));
  u->node->inputs[1] = aligned;
  return WEFT_OK;
}

static weft_status binary_7(weft_upgrade *u) {
  int64_t axis = weft_upgrade_int(u, "axis", -1);
  bool broadcast = weft_upgrade_int(u, "broadcast", 0) != 0;
  weft_node_remove_attribute(u->node, "axis");
  weft_node_remove_attribute(u->node, "broadcast");
  bool has_both = weft_upgrade_input(u, 0) >= 0 && weft_upgrade_input(u, 1) >= 0;
  return broadcast && axis != -1 && axis > INT64_MIN && has_both ? align(u, axis) : WEFT_OK;
}

/* The slope was one per channel. */
static weft_status prelu_7(weft_upgrade *u) {
  bool has_both = weft_upgrade_input(u, 0) >= 0 && weft_upgrade_input(u, 1) >= 0;
  return has_both ? align(u, 1) : WEFT_OK;
}

/* A limit of 0: there is no bound where the node does not say one. */
static weft_status bound_to_input(weft_upgrade *u, const char *name, int i, float limit) {
  int32_t v;
  if (weft_node_attribute(u->node, name) == NULL && (limit == 0 || weft_upgrade_input(u, i) >= 0)) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_upgrade_float_like(u, weft_upgrade_real(u, name, limit), weft_upgrade_input(u, 0), &v));
  return weft_upgrade_to_input(u, name, i, v);
}

static weft_status bounds_to_inputs(weft_upgrade *u, float limit) {
  if (weft_upgrade_input(u, 0) < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(bound_to_input(u, "min", 1, -limit));
  return bound_to_input(u, "max", 2, limit);
}

static weft_status clip(weft_upgrade *u) {
  return bounds_to_inputs(u, 0);
}

/* As now, but for the attributes. */
static weft_status clip_6(weft_upgrade *u) {
  u->node->version = 11;
  return WEFT_OK;
}

/* From version 6 on a bound that was not given was the last number: infinity is clipped. */
static weft_status clip_11(weft_upgrade *u) {
  return bounds_to_inputs(u, FLT_MAX);
}

static weft_status selu_6(weft_upgrade *u) {
  WEFT_TRY(weft_node_set_float(u->model, u->node, "alpha", weft_upgrade_real(u, "alpha", 1.6732f)));
  return weft_node_set_float(u->model, u->node, "gamma", weft_upgrade_real(u, "gamma", 1.0507f));
}

/* Softmax and its like used to see the input as a matrix: all axes from `axis` on were one. */
static weft_status softmax_13(weft_upgrade *u) {
  int32_t data = weft_upgrade_input(u, 0), shape, matrix, old;
  if (data < 0 || weft_upgrade_output(u, 0) < 0) {
    return WEFT_OK;
  }
  int64_t axis = weft_upgrade_int(u, "axis", 1);
  const weft_info *info = &u->graph->values[data].info;
  if (info->rank > 0 && (axis == -1 || axis == info->rank - 1)) {
    return weft_node_set_int(u->model, u->node, "axis", -1);
  }
  weft_node *flatten;
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &data, NULL, &shape));
  WEFT_TRY(weft_upgrade_before(u, "Flatten", 1, &data, &flatten, &matrix));
  WEFT_TRY(weft_node_set_int(u->model, flatten, "axis", axis));
  u->node->inputs[0] = matrix;
  WEFT_TRY(weft_node_set_int(u->model, u->node, "axis", -1));
  WEFT_TRY(weft_upgrade_replace_output(u, 0, &old));
  weft_node *reshape;
  WEFT_TRY(weft_upgrade_after(u, "Reshape", 2, (int32_t[]){u->node->outputs[0], shape}, old, &reshape));
  return weft_node_set_int(u->model, reshape, "allowzero", 1);
}

static weft_status axes_to_input(weft_upgrade *u) {
  return weft_upgrade_ints_to_input(u, "axes", 1, true);
}

static weft_status cast_6(weft_upgrade *u) {
  static const char *const names[] = {"UNDEFINED", "FLOAT",  "UINT8",     "INT8",      "UINT16",  "INT16",
                                      "INT32",     "INT64",  "STRING",    "BOOL",      "FLOAT16", "DOUBLE",
                                      "UINT32",    "UINT64", "COMPLEX64", "COMPLEX128"};
  const weft_attribute *to = weft_node_attribute(u->node, "to");
  for (size_t t = 1; to != NULL && to->kind == WEFT_ATTRIBUTE_STRING && t < sizeof names / sizeof *names; t++) {
    if (strcmp(to->s.data, names[t]) == 0) {
      return weft_node_set_int(u->model, u->node, "to", (int64_t)t);
    }
  }
  return WEFT_OK;
}

/* `p` was a float. */
static weft_status norm_2(weft_upgrade *u) {
  const weft_attribute *p = weft_node_attribute(u->node, "p");
  if (p == NULL || p->kind != WEFT_ATTRIBUTE_FLOAT) {
    return WEFT_OK;
  }
  int64_t whole = p->f >= 1 && p->f < 1e6f ? (int64_t)p->f : 2;
  return weft_node_set_int(u->model, u->node, "p", whole);
}

static weft_status k_to_input(weft_upgrade *u) {
  return weft_upgrade_ints_to_input(u, "k", 1, false);
}

static weft_status dft_20(weft_upgrade *u) {
  bool given = weft_upgrade_input(u, 2) >= 0;
  return given ? WEFT_OK : weft_node_set_int(u->model, u->node, "axis", weft_upgrade_int(u, "axis", 1));
}

static weft_status axis_to_input(weft_upgrade *u) {
  return weft_upgrade_ints_to_input(u, "axis", 2, false);
}

/* Whatever the version: converters raise it and leave the attributes. */
#define BINARY(name) {"", name, WEFT_UPGRADE_ALWAYS, binary_7}
#define REDUCE(name) {"", name, WEFT_UPGRADE_ALWAYS, axes_to_input}

const weft_upgrade_row weft_upgrade_math[] = {
    BINARY("Add"),
    BINARY("And"),
    {"", "Cast", 6, cast_6},
    {"", "Clip", 6, clip_6},
    {"", "Clip", 11, clip_11},
    {"", "Clip", WEFT_UPGRADE_ALWAYS, clip},
    {"", "DFT", 20, dft_20},
    {"", "DFT", WEFT_UPGRADE_ALWAYS, axis_to_input},
    BINARY("Div"),
    BINARY("Equal"),
    {"", "GlobalLpPool", 2, norm_2},
    BINARY("Greater"),
    {"", "Hardmax", 13, softmax_13},
    BINARY("Less"),
    {"", "LogSoftmax", 13, softmax_13},
    {"", "LpPool", 2, norm_2},
    BINARY("Mul"),
    BINARY("Or"),
    {"", "PRelu", 7, prelu_7},
    BINARY("Pow"),
    REDUCE("ReduceL1"),
    REDUCE("ReduceL2"),
    REDUCE("ReduceLogSum"),
    REDUCE("ReduceLogSumExp"),
    REDUCE("ReduceMax"),
    REDUCE("ReduceMean"),
    REDUCE("ReduceMin"),
    REDUCE("ReduceProd"),
    REDUCE("ReduceSum"),
    REDUCE("ReduceSumSquare"),
    {"", "Selu", 6, selu_6},
    {"", "Softmax", 13, softmax_13},
    BINARY("Sub"),
    {"", "TopK", WEFT_UPGRADE_ALWAYS, k_to_input},
    BINARY("Xor"),
    {NULL, NULL, 0, NULL},
};
