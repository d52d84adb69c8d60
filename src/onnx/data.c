/* Values from files of their own, as ONNX's tests keep them: input_0.pb holds a TensorProto, SequenceProto, MapProto or
 * OptionalProto, and nothing in it says which. The caller knows the kind; what does not read as that kind is tried as
 * an optional around it. The bytes go through the same walker as a model, so the same limits hold. */
#include "room.h"

#include <string.h>

#include "../base/text.h"

/* What conversion needs: the walker's payloads and a pool for strings. */
typedef struct reader {
  weft_onnx_model model;
  weft_strings *strings;
} reader;

static weft_status decode(reader *r, const ProtobufCMessageDescriptor *root, const void *bytes, size_t size,
                          ProtobufCMessage **out) {
  weft_context *cx = r->model.cx;
  weft_walker_limits limits = {.max_nodes = 0, .max_depth = 0};
  weft_walker *walker;
  *out = NULL;
  WEFT_TRY(weft_walker_create(cx, root, limits, &r->model, &walker));
  weft_walker_expect(walker, size);
  weft_status status = weft_walker_push(cx, walker, bytes, size);
  if (status == WEFT_OK) {
    status = weft_walker_finish(cx, walker, out);
  }
  weft_walker_free(walker);
  return status;
}

/* ---- one message, one value -------------------------------------------------------------------------------------- */
static weft_status read_sequence(reader *r, const Weft__SequenceProto *message, weft_value **out);

/* A map's keys as a rank-1 tensor. */
static weft_status read_keys(reader *r, const Weft__MapProto *message, weft_value **out) {
  weft_context *cx = r->model.cx;
  bool strings = message->key_type == WEFT_STRING;
  size_t count = strings ? message->n_string_keys : message->n_keys;
  weft_shape shape = {.rank = 1, .dims = {(int64_t)count}};
  WEFT_TRY(weft_value_new_tensor(cx, strings ? WEFT_STRING : WEFT_INT64, &shape, out));
  if (!strings && count > 0) {
    memcpy((*out)->tensor.data, message->keys, count * sizeof(int64_t));
    return WEFT_OK;
  }
  (*out)->strings = r->strings;
  r->strings->refs++;
  weft_string *to = (*out)->tensor.data;
  for (size_t i = 0; i < count; i++) {
    const ProtobufCBinaryData *key = &message->string_keys[i];
    WEFT_TRY(weft_strings_add(cx, r->strings, (const char *)key->data, key->len, &to[i]));
  }
  return WEFT_OK;
}

/* Single numbers or strings of one type are kept as one tensor; anything else stays a sequence. */
static weft_status gather(reader *r, weft_value **values) {
  const weft_value *from = *values;
  weft_shape shape = {.rank = 1, .dims = {(int64_t)from->item_count}};
  weft_value *tensor;
  for (size_t i = 0; i < from->item_count; i++) {
    const weft_value *item = from->items[i];
    if (item->kind != WEFT_KIND_TENSOR || item->tensor.count != 1 || item->tensor.type != from->items[0]->tensor.type) {
      return WEFT_OK;
    }
  }
  if (from->item_count == 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_value_new_tensor(r->model.cx, from->items[0]->tensor.type, &shape, &tensor));
  size_t size = weft_type_size(tensor->tensor.type);
  for (size_t i = 0; i < from->item_count; i++) {
    memcpy((char *)tensor->tensor.data + i * size, from->items[i]->tensor.data, size);
  }
  if (tensor->tensor.type == WEFT_STRING) {
    tensor->strings = r->strings;
    r->strings->refs++;
  }
  weft_value_release(*values);
  *values = tensor;
  return WEFT_OK;
}

static weft_status read_map(reader *r, const Weft__MapProto *message, weft_value **out) {
  weft_context *cx = r->model.cx;
  size_t keys = message->key_type == WEFT_STRING ? message->n_string_keys : message->n_keys;
  if (message->values == NULL) {
    return weft_fail(cx, WEFT_INVALID_MODEL, "the map '%s' has no values", message->name != NULL ? message->name : "");
  }
  void *items;
  WEFT_TRY(weft_value_new(cx, WEFT_KIND_MAP, out));
  WEFT_TRY(weft_alloc_zeroed(cx, 2, sizeof(weft_value *), &items));
  (*out)->items = items;
  (*out)->item_count = 2;
  WEFT_TRY(read_keys(r, message, &(*out)->items[0]));
  WEFT_TRY(read_sequence(r, message->values, &(*out)->items[1]));
  if ((*out)->items[1]->item_count != keys) {
    return weft_fail(cx, WEFT_INVALID_MODEL, "the map '%s' has %zu keys and %zu values",
                     message->name != NULL ? message->name : "", keys, (*out)->items[1]->item_count);
  }
  return gather(r, &(*out)->items[1]);
}

static weft_status read_item(reader *r, const Weft__SequenceProto *message, size_t i, weft_value **out) {
  switch (message->elem_type) {
  case WEFT__SEQUENCE_PROTO__DATA_TYPE__TENSOR:
    return weft_onnx_tensor(&r->model, message->tensor_values[i], r->strings, out);
  case WEFT__SEQUENCE_PROTO__DATA_TYPE__SPARSE_TENSOR:
    return weft_onnx_sparse(&r->model, message->sparse_tensor_values[i], r->strings, out);
  default:
    return read_map(r, message->map_values[i], out);
  }
}

static weft_status read_sequence(reader *r, const Weft__SequenceProto *message, weft_value **out) {
  weft_context *cx = r->model.cx;
  size_t counts[] = {0, message->n_tensor_values, message->n_sparse_tensor_values, 0, message->n_map_values, 0};
  int32_t type = message->elem_type;
  if (type < 0 || type > WEFT__SEQUENCE_PROTO__DATA_TYPE__OPTIONAL ||
      type == WEFT__SEQUENCE_PROTO__DATA_TYPE__SEQUENCE || type == WEFT__SEQUENCE_PROTO__DATA_TYPE__OPTIONAL) {
    return weft_fail(cx, WEFT_UNSUPPORTED, "the sequence '%s' has elements of kind %d: Weft reads tensors and maps",
                     message->name != NULL ? message->name : "", type);
  }
  WEFT_TRY(weft_value_new_sequence(cx, WEFT_UNDEFINED, counts[type], out));
  for (size_t i = 0; i < counts[type]; i++) {
    WEFT_TRY(read_item(r, message, i, &(*out)->items[i]));
  }
  if (counts[type] > 0 && (*out)->items[0]->kind == WEFT_KIND_TENSOR) {
    (*out)->tensor.type = (*out)->items[0]->tensor.type;
  }
  return WEFT_OK;
}

static weft_status read_optional(reader *r, const Weft__OptionalProto *message, weft_value **out) {
  if (message->tensor_value != NULL) {
    return weft_onnx_tensor(&r->model, message->tensor_value, r->strings, out);
  }
  if (message->sparse_tensor_value != NULL) {
    return weft_onnx_sparse(&r->model, message->sparse_tensor_value, r->strings, out);
  }
  if (message->sequence_value != NULL) {
    return read_sequence(r, message->sequence_value, out);
  }
  if (message->map_value != NULL) {
    return read_map(r, message->map_value, out);
  }
  return weft_value_new(r->model.cx, WEFT_KIND_NONE, out);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */
static const ProtobufCMessageDescriptor *message_of(weft_kind kind) {
  switch (kind) {
  case WEFT_KIND_TENSOR:
    return &weft__tensor_proto__descriptor;
  case WEFT_KIND_SEQUENCE:
    return &weft__sequence_proto__descriptor;
  case WEFT_KIND_MAP:
    return &weft__map_proto__descriptor;
  default:
    return &weft__optional_proto__descriptor;
  }
}

static weft_status read_value(reader *r, weft_kind kind, const ProtobufCMessage *message, const char **name,
                              weft_value **out) {
  switch (kind) {
  case WEFT_KIND_TENSOR:
    *name = ((const Weft__TensorProto *)message)->name;
    return weft_onnx_tensor(&r->model, (const Weft__TensorProto *)message, r->strings, out);
  case WEFT_KIND_SEQUENCE:
    *name = ((const Weft__SequenceProto *)message)->name;
    return read_sequence(r, (const Weft__SequenceProto *)message, out);
  case WEFT_KIND_MAP:
    *name = ((const Weft__MapProto *)message)->name;
    return read_map(r, (const Weft__MapProto *)message, out);
  default:
    *name = ((const Weft__OptionalProto *)message)->name;
    return read_optional(r, (const Weft__OptionalProto *)message, out);
  }
}

static weft_status read_file(weft_context *cx, weft_kind kind, const void *bytes, size_t size, char *name,
                             size_t name_size, weft_value **out) {
  reader r = {.model = {.cx = cx, .max_elements = (uint64_t)1 << 40}};
  ProtobufCMessage *message;
  const char *found = NULL;
  *out = NULL;
  WEFT_TRY(weft_strings_create(cx, &r.strings));
  weft_status status = decode(&r, message_of(kind), bytes, size, &message);
  if (status == WEFT_OK) {
    status = read_value(&r, kind, message, &found, out);
  }
  if (status == WEFT_OK && name != NULL) {
    weft_print(name, name_size, "%s", found != NULL ? found : "");
  }
  if (status != WEFT_OK) {
    weft_value_release(*out); /* half filled, or NULL */
    *out = NULL;
  }
  weft_strings_release(r.strings);
  weft_onnx_model_free(&r.model);
  return status;
}

weft_status weft_onnx_value_from_bytes(weft_context *cx, weft_kind kind, const void *bytes, size_t size, char *name,
                                       size_t name_size, weft_value **out) {
  weft_status status = read_file(cx, kind, bytes, size, name, name_size, out);
  if (status == WEFT_OK || kind == WEFT_KIND_NONE) {
    return status;
  }
  weft_error first = *cx->error;
  if (read_file(cx, WEFT_KIND_NONE, bytes, size, name, name_size, out) == WEFT_OK) {
    return WEFT_OK;
  }
  *cx->error = first;
  return status;
}
