/* LabelEncoder, CategoryMapper, OneHotEncoder: elements looked up in a list of keys. The keys are sorted once, at load.
 */
#include "ml.h"
#include "order.h"
#include "strided.h"

#include <math.h>
#include <string.h>

/* A list of keys or values, from whichever attribute holds it. */
typedef struct list {
  weft_type type; /* WEFT_UNDEFINED: none */
  size_t count;
  const void *data;
} list;

static list float_list(const weft_op *op, const char *name) {
  list l = {WEFT_FLOAT, 0, NULL};
  l.data = weft_op_attr_floats(op, name, &l.count);
  return l;
}

static list int_list(const weft_op *op, const char *name) {
  list l = {WEFT_INT64, 0, NULL};
  l.data = weft_op_attr_ints(op, name, &l.count);
  return l;
}

static list string_list(const weft_op *op, const char *name) {
  list l = {WEFT_STRING, 0, NULL};
  l.data = weft_op_attr_strings(op, name, &l.count);
  return l;
}

static list tensor_list(const weft_op *op, const char *name) {
  const weft_tensor *tensor = weft_op_attr_tensor(op, name);
  return tensor == NULL ? (list){WEFT_UNDEFINED, 0, NULL} : (list){tensor->type, tensor->count, tensor->data};
}

/* The one of four that is there. */
static list pick_list(list floats, list ints, list strings, list tensor) {
  list none = {WEFT_UNDEFINED, 0, NULL};
  return tensor.data != NULL    ? tensor
         : floats.data != NULL  ? floats
         : ints.data != NULL    ? ints
         : strings.data != NULL ? strings
                                : none;
}

/* Every element becomes its key's value, or `other`. */
static void encode(const weft_lookup *lookup, const list *values, const void *other, const weft_tensor *in,
                   weft_tensor *out) {
  const size_t size = weft_type_size(values->type);
  for (size_t i = 0; i < in->count; i++) {
    const int64_t at = weft_lookup_find(lookup, in->data, i);
    const void *from = at < 0 ? other : (const char *)values->data + (size_t)at * size;
    weft_copy_elements(size, 1, from, 0, (char *)out->data + i * size, 1);
  }
}

/* ---- LabelEncoder ------------------------------------------------------------------------------------------------ */
static weft_status encoder_lists(weft_op *op, list *keys, list *values) {
  *keys = pick_list(float_list(op, "keys_floats"), int_list(op, "keys_int64s"), string_list(op, "keys_strings"),
                    tensor_list(op, "keys_tensor"));
  *values = pick_list(float_list(op, "values_floats"), int_list(op, "values_int64s"), string_list(op, "values_strings"),
                      tensor_list(op, "values_tensor"));
  if (keys->data == NULL || values->data == NULL || keys->count != values->count) {
    return weft_op_fail(op, "keys and values: expected two lists of one length, found %zu and %zu entries", keys->count,
                        values->count);
  }
  return WEFT_OK;
}

weft_status weft_label_encoder_prepare(weft_op *op) {
  list keys, values;
  WEFT_TRY(encoder_lists(op, &keys, &values));
  return weft_lookup_prepare(op, keys.type, keys.count, keys.data, 0);
}

weft_status weft_label_encoder_infer(weft_op *op) {
  list keys, values;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(encoder_lists(op, &keys, &values));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPE_BIT(keys.type)));
  const weft_tensor *other = weft_op_attr_tensor(op, "default_tensor");
  if (other != NULL && (other->type != values.type || other->count != 1)) {
    return weft_op_fail(op, "default_tensor: expected one %s element", weft_type_name(values.type));
  }
  return weft_op_set(op, 0, values.type, &weft_op_in(op, 0)->shape);
}

/* The element for what is not among the keys, in `room` where it has to be made. */
static const void *default_element(const weft_op *op, weft_type type, uint64_t room[2]) {
  const weft_tensor *tensor = weft_op_attr_tensor(op, "default_tensor");
  if (tensor != NULL) {
    return tensor->data;
  }
  room[0] = room[1] = 0;
  if (type == WEFT_STRING) {
    const char *text = weft_op_attr_string(op, "default_string", "_Unused");
    memcpy(room, &(weft_string){text, strlen(text)}, sizeof(weft_string));
  } else if (weft_type_is_float(type)) {
    weft_number_set(type, room, 0, weft_op_attr_float(op, "default_float", -0.0f));
  } else {
    weft_number_set(type, room, 0, (double)weft_op_attr_int(op, "default_int64", -1));
  }
  return room;
}

weft_status weft_label_encoder_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  list keys, values;
  weft_lookup lookup;
  uint64_t room[2];
  WEFT_TRY(encoder_lists(op, &keys, &values));
  WEFT_TRY(weft_lookup_open(op, keys.type, keys.count, keys.data, &lookup));
  const void *other = default_element(op, values.type, room);
  encode(&lookup, &values, other, in, out);
  return WEFT_OK;
}

/* ---- CategoryMapper: between strings and integers, whichever the input is ---------------------------------------- */
static weft_status category_lists(weft_op *op, list *strings, list *ints) {
  *strings = string_list(op, "cats_strings");
  *ints = int_list(op, "cats_int64s");
  if (strings->count != ints->count) {
    return weft_op_fail(op, "cats_strings and cats_int64s: expected as many entries, found %zu and %zu", strings->count,
                        ints->count);
  }
  return WEFT_OK;
}

weft_status weft_category_mapper_infer(weft_op *op) {
  list strings, ints;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPE_BIT(WEFT_STRING) | WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(category_lists(op, &strings, &ints));
  const weft_tensor *in = weft_op_in(op, 0);
  return weft_op_set(op, 0, in->type == WEFT_STRING ? WEFT_INT64 : WEFT_STRING, &in->shape);
}

weft_status weft_category_mapper_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  list strings, ints;
  weft_lookup lookup;
  WEFT_TRY(category_lists(op, &strings, &ints));
  bool to_ints = in->type == WEFT_STRING;
  list keys = to_ints ? strings : ints, values = to_ints ? ints : strings;
  WEFT_TRY(weft_lookup_open(op, keys.type, keys.count, keys.data, &lookup));
  const char *text = weft_op_attr_string(op, "default_string", "_Unused");
  weft_string other_string = {text, strlen(text)};
  int64_t other_int = weft_op_attr_int(op, "default_int64", -1);
  const void *other = to_ints ? (const void *)&other_int : &other_string;
  encode(&lookup, &values, other, in, out);
  return WEFT_OK;
}

/* ---- OneHotEncoder ----------------------------------------------------------------------------------------------- */
static weft_status one_hot_keys(weft_op *op, list *keys) {
  *keys = string_list(op, "cats_strings");
  if (keys->count == 0) {
    *keys = int_list(op, "cats_int64s");
  }
  return keys->count > 0 ? WEFT_OK : weft_op_fail(op, "cats_strings and cats_int64s: expected one of them");
}

weft_status weft_one_hot_encoder_prepare(weft_op *op) {
  list keys;
  WEFT_TRY(one_hot_keys(op, &keys));
  return weft_lookup_prepare(op, keys.type, keys.count, keys.data, 0);
}

weft_status weft_one_hot_encoder_infer(weft_op *op) {
  list keys;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(one_hot_keys(op, &keys));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", keys.type == WEFT_STRING ? WEFT_TYPE_BIT(WEFT_STRING) : WEFT_TYPES_FEATURE));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 0, WEFT_MAX_RANK - 1));
  weft_shape shape = weft_op_in(op, 0)->shape;
  shape.dims[shape.rank++] = (int64_t)keys.count;
  return weft_op_set(op, 0, WEFT_FLOAT, &shape);
}

weft_status weft_one_hot_encoder_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  float *out = weft_op_out(op, 0)->data;
  list keys;
  weft_lookup lookup;
  WEFT_TRY(one_hot_keys(op, &keys));
  WEFT_TRY(weft_lookup_open(op, keys.type, keys.count, keys.data, &lookup));
  bool zeros = weft_op_attr_int(op, "zeros", 1) != 0;
  memset(out, 0, in->count * keys.count * sizeof *out);
  for (size_t i = 0; i < in->count; i++) {
    int64_t at = -1;
    if (keys.type == in->type) {
      at = weft_lookup_find(&lookup, in->data, i);
    } else {
      double x = weft_number_at(in->type, in->data, i);
      int64_t number;
      weft_number_set(WEFT_INT64, &number, 0, trunc(x));
      at = x == x ? weft_lookup_find(&lookup, &number, 0) : -1;
    }
    if (at >= 0) {
      out[i * keys.count + (size_t)at] = 1;
    } else if (!zeros) {
      return weft_op_run_fail(op, "input X: element %zu is in no category", i);
    }
  }
  return WEFT_OK;
}
