/* Elements that lie in other files. A model is not trusted: the place it names must be a relative path that stays below
 * the model's folder on any host, and the range must be exactly what the tensor's shape needs. Nothing is opened here:
 * the host is told what to read where (weft_loader_external), so the same rules hold in a page and on a disk. */
#include "room.h"

#include <string.h>

typedef struct place {
  const char *location;
  uint64_t offset, length;
  bool has_length;
} place;

static const char *name_of(const Weft__TensorProto *tensor) {
  return tensor->name != NULL ? tensor->name : "";
}

static weft_status fail_external(weft_onnx_model *model, const Weft__TensorProto *tensor, const char *what,
                                 const char *text) {
  return weft_fail(model->cx, WEFT_INVALID_MODEL, "the external data of tensor '%s' %s '%s'", name_of(tensor), what,
                   text);
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */
static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_absolute(const char *path) {
  return path[0] == '/' || (is_letter(path[0]) && path[1] == ':');
}

/* Copies `location` without "." and empty parts; NULL in `out` when it is refused. */
static weft_status normalise(weft_onnx_model *model, const char *location, const char **out) {
  void *block;
  *out = NULL;
  if (is_absolute(location) || strchr(location, '\\') != NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_arena_alloc(model->cx, &model->arena, strlen(location) + 1, 1, &block));
  char *path = block;
  size_t used = 0;
  while (*location != 0) {
    size_t n = strcspn(location, "/");
    if (n == 2 && memcmp(location, "..", 2) == 0) {
      return WEFT_OK;
    }
    if (n > 1 || (n == 1 && location[0] != '.')) {
      if (used > 0) {
        path[used++] = '/';
      }
      memcpy(path + used, location, n);
      used += n;
    }
    location += n;
    location += *location == '/';
  }
  *out = used > 0 ? path : NULL;
  return WEFT_OK;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */
/* Decimal digits only. */
static bool read_number(const char *text, uint64_t *out) {
  *out = 0;
  if (*text == 0) {
    return false;
  }
  for (; *text != 0; text++) {
    unsigned digit = (unsigned)(*text - '0');
    if (digit > 9 || *out > (UINT64_MAX - digit) / 10) {
      return false;
    }
    *out = *out * 10 + digit;
  }
  return true;
}

static weft_status read_keys(weft_onnx_model *model, const Weft__TensorProto *tensor, place *out) {
  *out = (place){0};
  for (size_t i = 0; i < tensor->n_external_data; i++) {
    const char *key = tensor->external_data[i]->key, *value = tensor->external_data[i]->value;
    key = key != NULL ? key : "";
    value = value != NULL ? value : "";
    if (strcmp(key, "location") == 0) {
      out->location = value;
    } else if (strcmp(key, "offset") == 0) {
      if (!read_number(value, &out->offset)) {
        return fail_external(model, tensor, "has an offset that is no number:", value);
      }
    } else if (strcmp(key, "length") == 0) {
      out->has_length = true;
      if (!read_number(value, &out->length)) {
        return fail_external(model, tensor, "has a length that is no number:", value);
      }
    } else if (strcmp(key, "checksum") != 0 && strncmp(key, "prepacked", 9) != 0) {
      /* checksum is not verified; prepacked keys describe copies for one other runtime. */
      return fail_external(model, tensor, "has a key that ONNX does not define:", key);
    }
  }
  return WEFT_OK;
}

static weft_status add_payload(weft_onnx_model *model, Weft__TensorProto *tensor, const weft_onnx_payload *payload) {
  void *items = model->payloads;
  weft_status status =
      weft_grow(model->cx, &items, &model->payload_capacity, model->payload_count + 1, sizeof *payload);
  model->payloads = items;
  WEFT_TRY(status);
  tensor->has_payload = true;
  tensor->payload = (uint32_t)model->payload_count;
  model->payloads[model->payload_count++] = *payload;
  return WEFT_OK;
}

static weft_status find_in_tensor(weft_onnx_model *model, Weft__TensorProto *tensor) {
  if (tensor == NULL || !tensor->has_data_location ||
      tensor->data_location != WEFT__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
    return WEFT_OK;
  }
  weft_tensor shape;
  weft_onnx_payload payload = {.field = WEFT_ONNX_EXTERNAL_DATA};
  place at;
  WEFT_TRY(weft_onnx_tensor_shape(model, tensor, &shape, &payload.size));
  WEFT_TRY(read_keys(model, tensor, &at));
  if (tensor->has_payload) {
    return fail_external(model, tensor, "is not its only data; it also names the file",
                         at.location != NULL ? at.location : "");
  }
  if (at.location == NULL) {
    return fail_external(model, tensor, "names no", "location");
  }
  WEFT_TRY(normalise(model, at.location, &payload.path));
  if (payload.path == NULL) {
    return fail_external(model, tensor, "lies outside the model's folder, at", at.location);
  }
  if (shape.type == WEFT_STRING) {
    return fail_external(model, tensor, "would hold strings, which ONNX does not allow, in", at.location);
  }
  if ((at.has_length && at.length != payload.size) || at.offset > UINT64_MAX - payload.size) {
    char text[96];
    return weft_fail(
        model->cx, WEFT_INVALID_MODEL,
        "the external data of tensor '%s' has offset %llu and length %llu, but %s of shape %s needs %zu bytes",
        name_of(tensor), (unsigned long long)at.offset, (unsigned long long)at.length, weft_type_name(shape.type),
        weft_shape_print(&shape.shape, text, sizeof text), payload.size);
  }
  payload.offset = at.offset;
  return payload.size == 0 ? WEFT_OK : add_payload(model, tensor, &payload);
}

/* ---- every tensor of the model ----------------------------------------------------------------------------------- */
static weft_status find_in_sparse(weft_onnx_model *model, Weft__SparseTensorProto *sparse) {
  if (sparse == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(find_in_tensor(model, sparse->values));
  return find_in_tensor(model, sparse->indices);
}

/* Calls itself through nodes, as deep as the walker let messages nest. */
static weft_status find_in_graph(weft_onnx_model *model, Weft__GraphProto *graph);

static weft_status find_in_attribute(weft_onnx_model *model, Weft__AttributeProto *attribute) {
  WEFT_TRY(find_in_tensor(model, attribute->t));
  WEFT_TRY(find_in_sparse(model, attribute->sparse_tensor));
  for (size_t i = 0; i < attribute->n_tensors; i++) {
    WEFT_TRY(find_in_tensor(model, attribute->tensors[i]));
  }
  for (size_t i = 0; i < attribute->n_sparse_tensors; i++) {
    WEFT_TRY(find_in_sparse(model, attribute->sparse_tensors[i]));
  }
  if (attribute->g != NULL) {
    WEFT_TRY(find_in_graph(model, attribute->g));
  }
  for (size_t i = 0; i < attribute->n_graphs; i++) {
    WEFT_TRY(find_in_graph(model, attribute->graphs[i]));
  }
  return WEFT_OK;
}

static weft_status find_in_nodes(weft_onnx_model *model, size_t count, Weft__NodeProto **nodes) {
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < nodes[i]->n_attribute; j++) {
      WEFT_TRY(find_in_attribute(model, nodes[i]->attribute[j]));
    }
  }
  return WEFT_OK;
}

static weft_status find_in_graph(weft_onnx_model *model, Weft__GraphProto *graph) {
  for (size_t i = 0; i < graph->n_initializer; i++) {
    WEFT_TRY(find_in_tensor(model, graph->initializer[i]));
  }
  for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
    WEFT_TRY(find_in_sparse(model, graph->sparse_initializer[i]));
  }
  return find_in_nodes(model, graph->n_node, graph->node);
}

weft_status weft_onnx_find_external(weft_onnx_model *model) {
  Weft__ModelProto *proto = model->proto;
  WEFT_TRY(find_in_graph(model, proto->graph));
  for (size_t i = 0; i < proto->n_functions; i++) {
    Weft__FunctionProto *function = proto->functions[i];
    WEFT_TRY(find_in_nodes(model, function->n_node, function->node));
    for (size_t j = 0; j < function->n_attribute_proto; j++) {
      WEFT_TRY(find_in_attribute(model, function->attribute_proto[j]));
    }
  }
  return WEFT_OK;
}
