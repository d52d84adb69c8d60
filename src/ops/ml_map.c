/* ZipMap, DictVectorizer, CastMap: between tensors and maps. A map's value is a tensor of keys and a tensor of values.
 */
#include "cast.h"
#include "ml.h"
#include "order.h"

#include <string.h>

/* ---- ZipMap: rows of scores as a sequence of maps ---------------------------------------------------------------- */
static weft_status map_keys(weft_op *op, size_t columns, weft_value **out) {
  weft_labels labels;
  weft_shape shape = {1, {(int64_t)columns}};
  WEFT_TRY(weft_labels_read(op, "classlabels_int64s", &labels));
  if (labels.count != columns) {
    return weft_op_fail(op, "input X: expected %zu columns, one for each class label, found %zu", labels.count,
                        columns);
  }
  bool strings = labels.strings != NULL;
  WEFT_TRY(weft_value_new_tensor(op->cx, strings ? WEFT_STRING : WEFT_INT64, &shape, out));
  const void *from = strings ? (const void *)labels.strings : labels.ints;
  if (columns > 0) {
    memcpy((*out)->tensor.data, from, columns * weft_type_size((*out)->tensor.type));
  }
  return WEFT_OK;
}

/* A map of `keys` (a reference is taken) to one row of scores. */
static weft_status row_map(weft_op *op, weft_value *keys, const float *row, weft_value **out) {
  weft_value *map;
  void *items;
  WEFT_TRY(weft_value_new(op->cx, WEFT_KIND_MAP, &map));
  weft_status status = weft_alloc_zeroed(op->cx, 2, sizeof(weft_value *), &items);
  if (status == WEFT_OK) {
    map->items = items;
    map->item_count = 2;
    status = weft_value_new_tensor(op->cx, WEFT_FLOAT, &keys->tensor.shape, &map->items[1]);
  }
  if (status != WEFT_OK) {
    weft_value_release(map);
    return status;
  }
  weft_value_retain(keys);
  map->items[0] = keys;
  map->tensor.type = WEFT_FLOAT;
  memcpy(map->items[1]->tensor.data, row, keys->tensor.count * sizeof *row);
  *out = map;
  return WEFT_OK;
}

weft_status weft_zip_map_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPE_BIT(WEFT_FLOAT)));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 1, 2));
  const weft_tensor *in = weft_op_in(op, 0);
  size_t columns = (size_t)in->shape.dims[in->shape.rank - 1],
         rows = in->shape.rank == 2 ? (size_t)in->shape.dims[0] : 1;
  weft_value *keys, *sequence;
  WEFT_TRY(map_keys(op, columns, &keys));
  weft_status status = weft_value_new_sequence(op->cx, WEFT_FLOAT, rows, &sequence);
  for (size_t row = 0; row < rows && status == WEFT_OK; row++) {
    status = row_map(op, keys, (const float *)in->data + row * columns, &sequence->items[row]);
  }
  weft_value_release(keys);
  if (status != WEFT_OK) {
    weft_value_release(sequence);
    return status;
  }
  return weft_op_put(op, 0, sequence);
}

/* ---- maps in ----------------------------------------------------------------------------------------------------- */
static weft_status expect_map(weft_op *op, const weft_tensor **keys, const weft_tensor **values) {
  if (op->input_count != 1 || op->inputs[0] == NULL || op->inputs[0]->kind != WEFT_KIND_MAP) {
    return weft_op_fail(op, "input X: expected a map");
  }
  const weft_value *map = op->inputs[0];
  if (map->items[1]->kind != WEFT_KIND_TENSOR) {
    return weft_op_unsupported(op, "a map whose values are not in one tensor");
  }
  *keys = &map->items[0]->tensor;
  *values = &map->items[1]->tensor;
  return WEFT_OK;
}

/* One row: for every word of the vocabulary the map's value, or zero. */
weft_status weft_dict_vectorizer_run(weft_op *op) {
  const weft_tensor *keys, *values;
  weft_lookup lookup;
  size_t strings, ints;
  WEFT_TRY(expect_map(op, &keys, &values));
  const weft_string *words = weft_op_attr_strings(op, "string_vocabulary", &strings);
  const int64_t *numbers = weft_op_attr_ints(op, "int64_vocabulary", &ints);
  weft_type type = strings > 0 ? WEFT_STRING : WEFT_INT64;
  if ((strings > 0) == (ints > 0) || keys->type != type) {
    return weft_op_fail(op, "a map with %s keys needs a vocabulary of that type, and no other",
                        weft_type_name(keys->type));
  }
  WEFT_TRY(weft_lookup_open(op, type, strings + ints, strings > 0 ? (const void *)words : numbers, &lookup));
  weft_shape shape = {2, {1, (int64_t)(strings + ints)}};
  WEFT_TRY(weft_op_allocate(op, 0, values->type, &shape));
  weft_tensor *out = weft_op_out(op, 0);
  size_t size = weft_type_size(values->type);
  memset(out->data, 0, out->count * size);
  for (size_t i = 0; i < keys->count; i++) {
    int64_t at = weft_lookup_find(&lookup, keys->data, i);
    if (at >= 0) {
      memcpy((char *)out->data + (size_t)at * size, (const char *)values->data + i * size, size);
    }
  }
  return WEFT_OK;
}

static weft_status cast_type(weft_op *op, weft_type *out) {
  static const weft_type types[] = {WEFT_FLOAT, WEFT_STRING, WEFT_INT64};
  int choice;
  WEFT_TRY(weft_op_choice(op, "cast_to", "TO_FLOAT TO_STRING TO_INT64", 0, &choice));
  *out = types[choice];
  return WEFT_OK;
}

static int compare_keys(const void *arg, int64_t a, int64_t b) {
  const weft_tensor *keys = arg;
  return weft_compare_elements(keys->type, keys->data, (size_t)a, keys->data, (size_t)b);
}

/* The values in the order of their keys, cast to `type`. */
static weft_status cast_in_order(weft_op *op, const weft_tensor *values, const int64_t *order, weft_type type,
                                 weft_tensor *out) {
  weft_tensor ordered = *values;
  size_t size = weft_type_size(values->type);
  WEFT_TRY(weft_op_scratch_array(op, values->count, size, &ordered.data));
  for (size_t i = 0; i < values->count; i++) {
    memcpy((char *)ordered.data + i * size, (const char *)values->data + (size_t)order[i] * size, size);
  }
  *out = ordered;
  if (type == values->type) {
    return WEFT_OK;
  }
  out->type = type;
  WEFT_TRY(weft_op_scratch_array(op, values->count, weft_type_size(type), &out->data));
  return weft_cast_elements(op, &ordered, out);
}

/* DENSE: the values in the order of their keys; SPARSE: each at the place its key names, zeros between. */
weft_status weft_cast_map_run(weft_op *op) {
  const weft_tensor *keys, *values;
  weft_tensor cast;
  weft_type type;
  void *block;
  WEFT_TRY(expect_map(op, &keys, &values));
  WEFT_TRY(cast_type(op, &type));
  bool sparse = strcmp(weft_op_attr_string(op, "map_form", "DENSE"), "SPARSE") == 0;
  int64_t width = sparse ? weft_op_attr_int(op, "max_map", 1) : (int64_t)keys->count;
  if (keys->type != WEFT_INT64 || width < 0) {
    return weft_op_fail(op, "expected a map with int64 keys and a max_map that is not negative");
  }
  weft_shape shape = {2, {1, width}};
  WEFT_TRY(weft_op_allocate(op, 0, type, &shape));
  WEFT_TRY(weft_op_scratch_array(op, keys->count, 2 * sizeof(int64_t), &block));
  int64_t *order = block;
  weft_tensor *out = weft_op_out(op, 0);
  size_t size = weft_type_size(type);
  weft_order(keys->count, compare_keys, keys, order, order + keys->count);
  WEFT_TRY(cast_in_order(op, values, order, type, &cast));
  memset(out->data, 0, out->count * size);
  for (size_t i = 0; i < keys->count; i++) {
    int64_t key = ((const int64_t *)keys->data)[order[i]];
    if (sparse && (key < 0 || key >= width)) {
      return weft_op_run_fail(op, "key %lld has no place below max_map %lld", (long long)key, (long long)width);
    }
    memcpy((char *)out->data + (sparse ? (size_t)key : i) * size, (const char *)cast.data + i * size, size);
  }
  return WEFT_OK;
}
