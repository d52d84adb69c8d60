/* The leaves of the builder: strings, types and attributes of a file become their counterparts in a graph. Strings are
 * kept once each, however often a function that holds them is called. */
#include "builder.h"

#include <string.h>

weft_status weft_build_keep(weft_builder *b, const char *text, const char **out) {
  if (weft_is_empty(text)) {
    *out = "";
    return WEFT_OK;
  }
  *out = weft_names_kept(&b->kept, text);
  if (*out != NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_arena_copy_string(b->cx, &b->model->arena, text, strlen(text), out));
  return weft_names_put(b->cx, &b->kept, *out, 0);
}

const char *weft_build_domain(const char *domain) {
  return weft_is_empty(domain) || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* ---- types ----------------------------------------------------------------------------------- */
static weft_status check_type(weft_builder *b, const char *name, int32_t type, weft_type *out) {
  if (type != WEFT_UNDEFINED && !weft_type_is_valid(type)) {
    return weft_fail(b->cx, WEFT_INVALID_MODEL, "value '%s': its element type is %d, which is no type of ONNX", name,
                     type);
  }
  *out = (weft_type)type;
  return WEFT_OK;
}

static weft_status set_shape(weft_builder *b, const Weft__TensorShapeProto *shape, weft_info *out) {
  if (shape == NULL || out->kind != WEFT_KIND_TENSOR) {
    return WEFT_OK;
  }
  if (shape->n_dim > WEFT_MAX_RANK) {
    return weft_fail(b->cx, WEFT_UNSUPPORTED, "value '%s': it is declared with rank %zu, at most %d are supported",
                     out->name, shape->n_dim, WEFT_MAX_RANK);
  }
  out->rank = (int)shape->n_dim;
  for (size_t d = 0; d < shape->n_dim; d++) {
    const Weft__TensorShapeProto__Dimension *dim = shape->dim[d];
    out->dims[d] = -1;
    if (dim->value_case == WEFT__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value >= 0) {
      out->dims[d] = dim->dim_value;
    } else if (dim->value_case == WEFT__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
               !weft_is_empty(dim->dim_param)) {
      WEFT_TRY(weft_build_keep(b, dim->dim_param, &out->symbols[d]));
    }
  }
  return WEFT_OK;
}

weft_status weft_build_info(weft_builder *b, const char *name, const Weft__TypeProto *type, weft_info *out) {
  *out = (weft_info){.name = name, .rank = -1};
  while (type != NULL) {
    const Weft__TypeProto *inner = NULL;
    weft_kind kind = WEFT_KIND_TENSOR;
    switch (type->value_case) {
    case WEFT__TYPE_PROTO__VALUE_TENSOR_TYPE:
      out->kind = out->kind == WEFT_KIND_NONE ? kind : out->kind;
      WEFT_TRY(check_type(b, name, type->tensor_type->elem_type, &out->type));
      WEFT_TRY(set_shape(b, type->tensor_type->shape, out));
      break;
    case WEFT__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE: /* made dense when it is fed */
      out->kind = out->kind == WEFT_KIND_NONE ? kind : out->kind;
      WEFT_TRY(check_type(b, name, type->sparse_tensor_type->elem_type, &out->type));
      WEFT_TRY(set_shape(b, type->sparse_tensor_type->shape, out));
      break;
    case WEFT__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
      kind = WEFT_KIND_SEQUENCE;
      inner = type->sequence_type->elem_type;
      break;
    case WEFT__TYPE_PROTO__VALUE_MAP_TYPE:
      kind = WEFT_KIND_MAP;
      WEFT_TRY(check_type(b, name, type->map_type->key_type, &out->key_type));
      inner = type->map_type->value_type;
      break;
    case WEFT__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
      out->optional = true;
      type = type->optional_type->elem_type;
      continue;
    default:
      break;
    }
    if (inner != NULL && out->kind == WEFT_KIND_NONE) {
      out->kind = kind; /* the outermost container tells the kind, the innermost tensor the type */
    }
    type = inner;
  }
  return WEFT_OK;
}

/* ---- attributes ------------------------------------------------------------------------------ */
static const Weft__AttributeProto *find_attribute(size_t count, Weft__AttributeProto *const *attributes,
                                                  const char *name) {
  for (size_t i = 0; i < count; i++) {
    if (attributes[i]->name != NULL && strcmp(attributes[i]->name, name) == 0) {
      return attributes[i];
    }
  }
  return NULL;
}

/* Follows references to the caller's attributes; `scope` becomes the one in which the attribute was written. A parameter
 * that neither the call nor the function's defaults give is absent, and so is what refers to it: NULL. */
static const Weft__AttributeProto *resolve_attribute(weft_scope **scope, const Weft__AttributeProto *attribute) {
  if (attribute == NULL || weft_is_empty(attribute->ref_attr_name)) {
    return attribute;
  }
  const weft_origin *origin = (*scope)->origin;
  if (origin->function == NULL) {
    return NULL;
  }
  weft_scope *caller = origin->caller;
  const Weft__AttributeProto *given = resolve_attribute(
      &caller, find_attribute(origin->call->n_attribute, origin->call->attribute, attribute->ref_attr_name));
  if (given == NULL) {
    return find_attribute(origin->function->n_attribute_proto, origin->function->attribute_proto,
                          attribute->ref_attr_name);
  }
  *scope = caller;
  return given;
}

/* Files from before IR version 2 leave the type out: then the one field that is there tells it. */
static Weft__AttributeProto__AttributeType attribute_type(const Weft__AttributeProto *a) {
  if (a->has_type && a->type != WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) {
    return a->type;
  }
  return a->has_f                   ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT
         : a->has_i                 ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT
         : a->has_s                 ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING
         : a->t != NULL             ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR
         : a->g != NULL             ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH
         : a->n_floats != 0         ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS
         : a->n_strings != 0        ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS
         : a->n_tensors != 0        ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSORS
         : a->n_graphs != 0         ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPHS
         : a->sparse_tensor != NULL ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR
         : a->tp != NULL            ? WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTO
                                    : WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
}

static weft_status copy_list(weft_builder *b, size_t count, size_t size, const void *items, void *out) {
  void *block;
  WEFT_TRY(weft_arena_alloc(b->cx, &b->model->arena, count, size, &block));
  if (count != 0 && items != NULL) {
    memcpy(block, items, count * size);
  }
  memcpy(out, &block, sizeof block);
  return WEFT_OK;
}

static weft_status copy_bytes(weft_builder *b, ProtobufCBinaryData bytes, weft_string *out) {
  out->size = bytes.len;
  return weft_arena_copy_string(b->cx, &b->model->arena, (const char *)bytes.data, bytes.len, &out->data);
}

static weft_status missing(weft_builder *b, const Weft__AttributeProto *a, const char *what) {
  return weft_fail(b->cx, WEFT_INVALID_MODEL, "attribute '%s': its type says %s, but it holds none", a->name, what);
}

/* Lists are filled one by one and counted as they go, so that a failure leaves nothing behind that is not released. */
static weft_status convert_tensors(weft_builder *b, const Weft__AttributeProto *a, bool sparse, weft_attribute *out) {
  size_t count = sparse ? a->n_sparse_tensors : a->n_tensors;
  WEFT_TRY(copy_list(b, count, sizeof *out->tensors, NULL, &out->tensors));
  out->kind = WEFT_ATTRIBUTE_TENSORS;
  for (out->count = 0; out->count < count; out->count++) {
    weft_value **to = &out->tensors[out->count];
    WEFT_TRY(sparse ? weft_onnx_sparse(b->file, a->sparse_tensors[out->count], b->model->strings, to)
                    : weft_onnx_tensor(b->file, a->tensors[out->count], b->model->strings, to));
  }
  return WEFT_OK;
}

static weft_status convert_graphs(weft_builder *b, weft_scope *scope, weft_graph *parent, const Weft__AttributeProto *a,
                                  uint32_t depth, weft_attribute *out) {
  WEFT_TRY(copy_list(b, a->n_graphs, sizeof *out->graphs, NULL, &out->graphs));
  out->kind = WEFT_ATTRIBUTE_GRAPHS;
  out->count = a->n_graphs;
  for (size_t i = 0; i < a->n_graphs; i++) {
    WEFT_TRY(weft_build_graph(b, a->graphs[i], parent, scope, scope->origin, depth, &out->graphs[i]));
  }
  return WEFT_OK;
}

enum { NEAR = 4 };

static weft_status convert_strings(weft_builder *b, const Weft__AttributeProto *a, weft_attribute *out) {
  out->kind = WEFT_ATTRIBUTE_STRINGS;
  out->count = a->n_strings;
  WEFT_TRY(copy_list(b, a->n_strings, sizeof *out->strings, NULL, &out->strings));
  for (size_t i = 0; i < a->n_strings; i++) {
    const ProtobufCBinaryData from = a->strings[i];
    size_t same = i < NEAR ? 0 : i - NEAR; /* trees repeat their modes */
    while (same < i && (out->strings[same].size != from.len || from.len == 0 ||
                        memcmp(out->strings[same].data, from.data, from.len) != 0)) {
      same++;
    }
    if (same < i) {
      out->strings[i] = out->strings[same];
    } else {
      WEFT_TRY(copy_bytes(b, from, &out->strings[i]));
    }
  }
  return WEFT_OK;
}

static weft_status convert_type(weft_builder *b, const Weft__AttributeProto *a, weft_attribute *out) {
  weft_info info;
  WEFT_TRY(weft_build_info(b, a->name, a->tp, &info));
  out->kind = WEFT_ATTRIBUTE_TYPE;
  out->type_kind = info.kind;
  out->type = info.type;
  return WEFT_OK;
}

/* `scope` is where the attribute was written, `parent` the graph of the node that has it, `depth` that of a subgraph.
 */
static weft_status convert(weft_builder *b, weft_scope *scope, weft_graph *parent, uint32_t depth,
                           const Weft__AttributeProto *a, weft_attribute *out) {
  switch (attribute_type(a)) {
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
    out->kind = WEFT_ATTRIBUTE_FLOAT;
    out->f = a->f;
    return WEFT_OK;
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
    out->i = a->i;
    return WEFT_OK;
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
    out->kind = WEFT_ATTRIBUTE_STRING;
    return copy_bytes(b, a->s, &out->s);
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
    if (a->t == NULL) {
      return missing(b, a, "a tensor");
    }
    WEFT_TRY(weft_onnx_tensor(b->file, a->t, b->model->strings, &out->tensor));
    out->kind = WEFT_ATTRIBUTE_TENSOR;
    return WEFT_OK;
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR:
    if (a->sparse_tensor == NULL) {
      return missing(b, a, "a sparse tensor");
    }
    WEFT_TRY(weft_onnx_sparse(b->file, a->sparse_tensor, b->model->strings, &out->tensor));
    out->kind = WEFT_ATTRIBUTE_TENSOR;
    return WEFT_OK;
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH:
    if (a->g == NULL) {
      return missing(b, a, "a graph");
    }
    out->graph = NULL;
    out->kind = WEFT_ATTRIBUTE_GRAPH;
    return weft_build_graph(b, a->g, parent, scope, scope->origin, depth, &out->graph);
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
    out->kind = WEFT_ATTRIBUTE_FLOATS;
    out->count = a->n_floats;
    return copy_list(b, a->n_floats, sizeof *a->floats, a->floats, &out->floats);
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
    out->kind = WEFT_ATTRIBUTE_INTS;
    out->count = a->n_ints;
    return copy_list(b, a->n_ints, sizeof *a->ints, a->ints, &out->ints);
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
    return convert_strings(b, a, out);
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSORS:
    return convert_tensors(b, a, false, out);
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSORS:
    return convert_tensors(b, a, true, out);
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPHS:
    return convert_graphs(b, scope, parent, a, depth, out);
  case WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTO:
    return convert_type(b, a, out);
  default:
    return weft_fail(b->cx, WEFT_UNSUPPORTED, "attribute '%s': attributes of type %d are not supported", a->name,
                     (int)a->type);
  }
}

weft_status weft_build_attributes(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto, weft_graph *graph,
                                  weft_node *node) {
  WEFT_TRY(copy_list(b, proto->n_attribute, sizeof *node->attributes, NULL, &node->attributes));
  for (size_t i = 0; i < proto->n_attribute; i++) {
    weft_scope *written = scope;
    const char *name = proto->attribute[i]->name;
    const Weft__AttributeProto *a = resolve_attribute(&written, proto->attribute[i]);
    if (weft_is_empty(name)) {
      return weft_fail(b->cx, WEFT_INVALID_MODEL, "attribute %zu has no name", i);
    }
    if (a == NULL) {
      continue;
    }
    weft_attribute *out = &node->attributes[node->attribute_count];
    *out = (weft_attribute){.kind = WEFT_ATTRIBUTE_INT, .count = 1};
    WEFT_TRY(weft_build_keep(b, name, &out->name));
    node->attribute_count++;
    WEFT_TRY(convert(b, written, graph, scope->depth + 1, a, out));
  }
  return WEFT_OK;
}

/* ---- Constant -------------------------------------------------------------------------------- */
static weft_status list_tensor(weft_builder *b, weft_type type, int rank, size_t count, const void *items,
                               weft_value **out) {
  weft_shape shape = {.rank = rank, .dims = {(int64_t)count}};
  WEFT_TRY(weft_value_new_tensor(b->cx, type, &shape, out));
  if (count != 0) {
    memcpy((*out)->tensor.data, items, count * weft_type_size(type));
  }
  return WEFT_OK;
}

static weft_status string_tensor(weft_builder *b, int rank, size_t count, const ProtobufCBinaryData *items,
                                 weft_value **out) {
  weft_shape shape = {.rank = rank, .dims = {(int64_t)count}};
  weft_value *value;
  WEFT_TRY(weft_value_new_tensor(b->cx, WEFT_STRING, &shape, &value));
  weft_strings *strings = b->model->strings;
  weft_string *elements = value->tensor.data;
  for (size_t i = 0; i < count; i++) {
    weft_status status = weft_strings_add(b->cx, strings, (const char *)items[i].data, items[i].len, &elements[i]);
    if (status != WEFT_OK) {
      weft_value_release(value);
      return status;
    }
  }
  strings->refs++;
  weft_strings_release(value->strings);
  value->strings = strings;
  *out = value;
  return WEFT_OK;
}

weft_status weft_build_constant(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto, weft_value **out) {
  *out = NULL;
  for (size_t i = 0; i < proto->n_attribute; i++) {
    weft_scope *written = scope;
    const char *name = proto->attribute[i]->name;
    const Weft__AttributeProto *a = resolve_attribute(&written, proto->attribute[i]);
    if (a == NULL || name == NULL) {
      continue;
    }
    const Weft__AttributeProto__AttributeType type = attribute_type(a);
    if (strcmp(name, "value") == 0 && a->t != NULL) {
      return weft_onnx_tensor(b->file, a->t, b->model->strings, out);
    }
    if ((strcmp(name, "sparse_value") == 0 || strcmp(name, "value") == 0) && a->sparse_tensor != NULL) {
      return weft_onnx_sparse(b->file, a->sparse_tensor, b->model->strings, out);
    }
    if (type == WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT && strcmp(name, "value_int") == 0) {
      return list_tensor(b, WEFT_INT64, 0, 1, &a->i, out);
    }
    if (type == WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT && strcmp(name, "value_float") == 0) {
      return list_tensor(b, WEFT_FLOAT, 0, 1, &a->f, out);
    }
    if (type == WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS && strcmp(name, "value_ints") == 0) {
      return list_tensor(b, WEFT_INT64, 1, a->n_ints, a->ints, out);
    }
    if (type == WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS && strcmp(name, "value_floats") == 0) {
      return list_tensor(b, WEFT_FLOAT, 1, a->n_floats, a->floats, out);
    }
    if (type == WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING && strcmp(name, "value_string") == 0) {
      return string_tensor(b, 0, 1, &a->s, out);
    }
    if (type == WEFT__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS && strcmp(name, "value_strings") == 0) {
      return string_tensor(b, 1, a->n_strings, a->strings, out);
    }
  }
  return weft_fail(b->cx, WEFT_INVALID_MODEL, "expected an attribute with the constant's value, found none");
}
