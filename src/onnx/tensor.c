/* TensorProto to weft_value: one place where element counts become byte counts, for every type and each of the seven
 * fields a file may keep elements in. Where the file's layout is memory's layout, a payload's block becomes the
 * value's. It must not know what the tensor is for. */
#include "room.h"

#include <inttypes.h>
#include <string.h>

/* The numbers of TensorProto's fields that hold elements. */
enum {
  FLOAT_DATA = 4,
  INT32_DATA = 5,
  STRING_DATA = 6,
  INT64_DATA = 7,
  RAW_DATA = 9,
  DOUBLE_DATA = 10,
  UINT64_DATA = 11
};

/* Where a tensor's elements are. For raw_data and payloads `count` is in bytes, and a payload's numbers are still
 * encoded. */
typedef struct source {
  uint32_t field; /* 0: nowhere */
  const void *data;
  size_t count;
  weft_onnx_payload *payload; /* NULL: in the message */
  bool encoded;               /* varints */
} source;

static const char *name_of(const Weft__TensorProto *tensor) {
  return tensor->name != NULL ? tensor->name : "";
}

static const char *field_name(uint32_t field) {
  const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field(&weft__tensor_proto__descriptor, field);
  return d->name;
}

/* ---- type and shape ---------------------------------------------------------------------------------------------- */
static weft_status check_type(weft_onnx_model *model, const Weft__TensorProto *tensor, weft_type *out) {
  if (!weft_type_is_valid(tensor->data_type)) {
    return weft_fail(model->cx, WEFT_INVALID_MODEL, "tensor '%s' has the element type %d, which ONNX does not define",
                     name_of(tensor), tensor->data_type);
  }
  *out = (weft_type)tensor->data_type;
  return WEFT_OK;
}

static weft_status check_dims(weft_onnx_model *model, const char *name, weft_type type, size_t rank,
                              const int64_t *dims, weft_tensor *out) {
  char text[96];
  if (rank > WEFT_MAX_RANK) {
    return weft_fail(model->cx, WEFT_LIMIT_EXCEEDED, "tensor '%s' has %zu dimensions; Weft allows %d", name, rank,
                     WEFT_MAX_RANK);
  }
  bool negative = false;
  *out = (weft_tensor){.type = type, .shape.rank = (int)rank};
  for (size_t i = 0; i < rank; i++) {
    out->shape.dims[i] = dims[i];
    negative |= dims[i] < 0;
  }
  if (!weft_shape_count(&out->shape, type, &out->count)) {
    return weft_fail(model->cx, negative ? WEFT_INVALID_MODEL : WEFT_OUT_OF_MEMORY,
                     "tensor '%s' has the shape %s, which is negative or too large to address", name,
                     weft_shape_print(&out->shape, text, sizeof text));
  }
  if (out->count > model->max_elements) {
    return weft_fail(model->cx, WEFT_LIMIT_EXCEEDED, "tensor '%s' has %zu elements, more than max_elements allows",
                     name, out->count);
  }
  return WEFT_OK;
}

static size_t packed_bytes(weft_type type, size_t count) {
  unsigned bits = weft_type_bits(type);
  return bits >= 8 ? count * (bits / 8) : count / 8 * bits + (count % 8 * bits + 7) / 8;
}

weft_status weft_onnx_tensor_shape(weft_onnx_model *model, const Weft__TensorProto *tensor, weft_tensor *out,
                                   size_t *raw_bytes) {
  weft_type type = WEFT_UNDEFINED;
  WEFT_TRY(check_type(model, tensor, &type));
  WEFT_TRY(check_dims(model, name_of(tensor), type, tensor->n_dims, tensor->dims, out));
  *raw_bytes = type == WEFT_STRING ? 0 : packed_bytes(type, out->count);
  return WEFT_OK;
}

/* ---- finding the elements ---------------------------------------------------------------------------------------- */
static weft_status find_payload(weft_onnx_model *model, const Weft__TensorProto *tensor, source *out) {
  if (tensor->payload >= model->payload_count) {
    return weft_fail(model->cx, WEFT_INTERNAL, "tensor '%s' refers to a payload that is not there", name_of(tensor));
  }
  weft_onnx_payload *payload = &model->payloads[tensor->payload];
  out->payload = payload;
  out->field = payload->field == WEFT_ONNX_EXTERNAL_DATA ? RAW_DATA : payload->field;
  out->data = payload->data;
  out->count = payload->size;
  out->encoded = out->field == INT32_DATA || out->field == INT64_DATA || out->field == UINT64_DATA;
  return WEFT_OK;
}

static weft_status find_elements(weft_onnx_model *model, const Weft__TensorProto *tensor, source *out) {
  const source places[] = {
      {.field = FLOAT_DATA, .data = tensor->float_data, .count = tensor->n_float_data},
      {.field = INT32_DATA, .data = tensor->int32_data, .count = tensor->n_int32_data},
      {.field = STRING_DATA, .data = tensor->string_data, .count = tensor->n_string_data},
      {.field = INT64_DATA, .data = tensor->int64_data, .count = tensor->n_int64_data},
      {.field = RAW_DATA, .data = tensor->raw_data.data, .count = tensor->raw_data.len},
      {.field = DOUBLE_DATA, .data = tensor->double_data, .count = tensor->n_double_data},
      {.field = UINT64_DATA, .data = tensor->uint64_data, .count = tensor->n_uint64_data},
  };
  *out = (source){0};
  if (tensor->has_payload) {
    WEFT_TRY(find_payload(model, tensor, out));
  }
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    if (places[i].count == 0) {
      continue;
    }
    if (out->field != 0) {
      return weft_fail(model->cx, WEFT_INVALID_MODEL, "tensor '%s' keeps elements in two places, %s and %s",
                       name_of(tensor), field_name(out->field), field_name(places[i].field));
    }
    *out = places[i];
  }
  return WEFT_OK;
}

/* The field for elements of `type` that are not in raw_data, and how many entries `count` elements make there. */
static uint32_t typed_field(weft_type type, size_t count, size_t *entries) {
  *entries = count;
  switch (type) {
  case WEFT_FLOAT:
    return FLOAT_DATA;
  case WEFT_COMPLEX64:
    *entries = 2 * count;
    return FLOAT_DATA;
  case WEFT_DOUBLE:
    return DOUBLE_DATA;
  case WEFT_COMPLEX128:
    *entries = 2 * count;
    return DOUBLE_DATA;
  case WEFT_INT64:
    return INT64_DATA;
  case WEFT_UINT32:
  case WEFT_UINT64:
    return UINT64_DATA;
  case WEFT_STRING:
    return STRING_DATA;
  default:
    if (weft_type_bits(type) < 6) { /* 6-bit numbers have an entry each */
      *entries = packed_bytes(type, count);
    }
    return INT32_DATA;
  }
}

/* Entries of a source; a varint has one byte without its top bit. */
static size_t count_entries(const source *from) {
  size_t size = from->field == FLOAT_DATA ? 4 : from->field == DOUBLE_DATA ? 8 : 1;
  if (from->payload == NULL || from->field == RAW_DATA) {
    return from->count;
  }
  if (!from->encoded) {
    return from->count % size == 0 ? from->count / size : SIZE_MAX;
  }
  const uint8_t *bytes = from->data;
  size_t entries = 0;
  for (size_t i = 0; i < from->count; i++) {
    entries += bytes[i] < 0x80;
  }
  return bytes[from->count - 1] < 0x80 ? entries : SIZE_MAX;
}

static weft_status check_count(weft_onnx_model *model, const Weft__TensorProto *tensor, const weft_tensor *shape,
                               const source *from) {
  char text[96];
  size_t expected;
  uint32_t field = typed_field(shape->type, shape->count, &expected);
  if (from->field == RAW_DATA && shape->type != WEFT_STRING) {
    field = RAW_DATA;
    expected = packed_bytes(shape->type, shape->count);
  }
  if (from->field != 0 && from->field != field) {
    return weft_fail(model->cx, WEFT_INVALID_MODEL, "tensor '%s' of type %s keeps its elements in %s, expected %s",
                     name_of(tensor), weft_type_name(shape->type), field_name(from->field), field_name(field));
  }
  size_t found = from->field == 0 ? 0 : count_entries(from);
  if (found == SIZE_MAX) {
    return weft_fail(model->cx, WEFT_INVALID_MODEL, "tensor '%s' has a damaged %s", name_of(tensor), field_name(field));
  }
  if (found != expected) {
    return weft_fail(model->cx, WEFT_INVALID_MODEL, "tensor '%s' (%s, %s) needs %zu %s in %s, found %zu",
                     name_of(tensor), weft_type_name(shape->type), weft_shape_print(&shape->shape, text, sizeof text),
                     expected, field == RAW_DATA ? "bytes" : "entries", field_name(field), found);
  }
  return WEFT_OK;
}

/* ---- converting -------------------------------------------------------------------------------------------------- */
/* Numbers below 8 bits lie low bits first, those of 6 bits across bytes; signed ones are extended. `stride` is how many
 * bits each takes in the file. */
static void spread(weft_type type, unsigned stride, const uint8_t *from, size_t count, uint8_t *to) {
  unsigned bits = weft_type_bits(type);
  unsigned mask = (1u << bits) - 1,
           sign = weft_type_is_integer(type) && weft_type_is_signed(type) ? 1u << (bits - 1) : 0;
  for (size_t i = 0; i < count; i++) {
    size_t byte = i / 8 * stride + i % 8 * stride / 8;
    unsigned low = (unsigned)(i % 8 * stride % 8), value = (unsigned)(from[byte] >> low);
    if (low + bits > 8) {
      value |= (unsigned)from[byte + 1] << (8 - low);
    }
    value &= mask;
    to[i] = (uint8_t)((value ^ sign) - sign);
  }
}

static bool next_varint(const uint8_t **at, uint64_t *out) {
  *out = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    uint8_t byte = *(*at)++;
    *out |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      return true;
    }
  }
  return false;
}

static uint64_t integer_at(const source *from, size_t i) {
  switch (from->field) {
  case INT32_DATA:
    return (uint64_t)((const int32_t *)from->data)[i];
  case INT64_DATA:
    return (uint64_t)((const int64_t *)from->data)[i];
  default:
    return ((const uint64_t *)from->data)[i];
  }
}

/* Integer entries, cut to `size` bytes each. False: a varint of more than 64 bits. */
static bool store_integers(const source *from, size_t entries, size_t size, uint8_t *to) {
  const uint8_t *at = from->data;
  for (size_t i = 0; i < entries; i++) {
    uint64_t value;
    if (!from->encoded) {
      value = integer_at(from, i);
    } else if (!next_varint(&at, &value)) {
      return false;
    }
    memcpy(to + i * size, &value, size); /* little-endian */
  }
  return true;
}

static weft_status store_strings(weft_context *cx, const source *from, weft_strings *strings, weft_value *value) {
  const ProtobufCBinaryData *items = from->data;
  weft_string *to = value->tensor.data;
  value->strings = strings;
  strings->refs++;
  for (size_t i = 0; i < from->count; i++) {
    WEFT_TRY(weft_strings_add(cx, strings, (const char *)items[i].data, items[i].len, &to[i]));
  }
  return WEFT_OK;
}

/* Types below 8 bits: bytes first, then one element a byte. */
static weft_status store_spread(weft_context *cx, const source *from, weft_tensor *to) {
  size_t bytes;
  typed_field(to->type, to->count, &bytes);
  if (from->field == RAW_DATA) {
    spread(to->type, weft_type_bits(to->type), from->data, to->count, to->data);
    return WEFT_OK;
  }
  void *packed;
  WEFT_TRY(weft_alloc(cx, bytes, &packed));
  bool good = store_integers(from, bytes, 1, packed);
  if (good) {
    spread(to->type, bytes == to->count ? 8 : weft_type_bits(to->type), packed, to->count, to->data);
  }
  weft_free(packed);
  return good ? WEFT_OK : weft_fail(cx, WEFT_INVALID_MODEL, "a number in int32_data has more than 64 bits");
}

static weft_status store_elements(weft_context *cx, const source *from, weft_strings *strings, weft_value *value) {
  weft_tensor *to = &value->tensor;
  size_t size = weft_type_size(to->type);
  if (to->type == WEFT_STRING) {
    return store_strings(cx, from, strings, value);
  }
  if (to->count == 0) {
    return WEFT_OK;
  }
  if (weft_type_bits(to->type) < 8) {
    return store_spread(cx, from, to);
  }
  if (from->field == RAW_DATA || from->field == FLOAT_DATA || from->field == DOUBLE_DATA) {
    memcpy(to->data, from->data, to->count * size);
  } else if (!store_integers(from, to->count, size, to->data)) {
    return weft_fail(cx, WEFT_INVALID_MODEL, "a number in %s has more than 64 bits", field_name(from->field));
  }
  return WEFT_OK;
}

/* Any byte but 0 counts as true in a file; in memory true is 1. */
static void normalise_bools(weft_tensor *tensor) {
  uint8_t *bytes = tensor->data;
  for (size_t i = 0; tensor->type == WEFT_BOOL && i < tensor->count; i++) {
    bytes[i] = bytes[i] != 0;
  }
}

/* ---- making the value -------------------------------------------------------------------------------------------- */
static bool may_adopt(const source *from, weft_type type) {
  return from->payload != NULL && !from->encoded && weft_type_bits(type) >= 8;
}

static weft_status make_value(weft_context *cx, const weft_tensor *shape, const source *from, weft_strings *strings,
                              weft_value **out) {
  weft_value *value;
  if (may_adopt(from, shape->type)) {
    WEFT_TRY(weft_value_new(cx, WEFT_KIND_TENSOR, &value));
    value->tensor = *shape;
    value->tensor.data = from->payload->data;
    value->storage = WEFT_STORAGE_OWNED;
    from->payload->data = NULL;
  } else {
    WEFT_TRY(weft_value_new_tensor(cx, shape->type, &shape->shape, &value));
    weft_status status = store_elements(cx, from, strings, value);
    if (status != WEFT_OK) {
      weft_value_release(value);
      return status;
    }
  }
  normalise_bools(&value->tensor);
  *out = value;
  return WEFT_OK;
}

weft_status weft_onnx_tensor(weft_onnx_model *model, const Weft__TensorProto *tensor, weft_strings *strings,
                             weft_value **out) {
  weft_context *cx = model->cx;
  weft_tensor shape;
  source from;
  size_t raw_bytes;
  *out = NULL;
  WEFT_TRY(weft_onnx_tensor_shape(model, tensor, &shape, &raw_bytes));
  WEFT_TRY(find_elements(model, tensor, &from));
  weft_onnx_payload *payload = from.payload;
  if (payload != NULL && payload->value != NULL) {
    return weft_value_view(cx, payload->value, &payload->value->tensor.shape, out);
  }
  if (payload != NULL && payload->data == NULL) {
    return weft_fail(cx, WEFT_INVALID_MODEL, "the elements of tensor '%s' lie in the file '%s', which was not given",
                     name_of(tensor), payload->path != NULL ? payload->path : "");
  }
  WEFT_TRY(check_count(model, tensor, &shape, &from));
  WEFT_TRY(make_value(cx, &shape, &from, strings, out));
  if (payload != NULL) {
    weft_free(payload->data);
    payload->data = NULL;
    payload->value = *out;
    weft_value_retain(*out);
  }
  return WEFT_OK;
}
