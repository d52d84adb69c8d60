/* SparseTensorProto to a dense weft_value. Operators only ever see dense tensors, so the two forms of indices (into the
 * flattened tensor, or one row of coordinates an element) end here. */
#include "room.h"

#include <inttypes.h>
#include <string.h>

typedef struct parts {
  const char *name;
  const weft_tensor *values, *indices;
  weft_tensor *dense;
} parts;

static weft_status check_parts(weft_context *cx, const parts *p) {
  char text[96];
  const weft_shape *shape = &p->indices->shape;
  if (p->values->shape.rank != 1) {
    return weft_fail(cx, WEFT_INVALID_MODEL, "sparse tensor '%s' has values of shape %s, expected one dimension",
                     p->name, weft_shape_print(&p->values->shape, text, sizeof text));
  }
  bool flat = shape->rank == 1, rows = shape->rank == 2 && shape->dims[1] == p->dense->shape.rank;
  if (p->indices->type != WEFT_INT64 || (!flat && !rows) || shape->dims[0] != p->values->shape.dims[0]) {
    return weft_fail(cx, WEFT_INVALID_MODEL,
                     "sparse tensor '%s' has %s indices of shape %s, expected int64 of [%" PRId64 "] or [%" PRId64
                     ",%d]",
                     p->name, weft_type_name(p->indices->type), weft_shape_print(shape, text, sizeof text),
                     p->values->shape.dims[0], p->values->shape.dims[0], p->dense->shape.rank);
  }
  return WEFT_OK;
}

/* The place of element i in the flattened tensor; false when an index is out of range. */
static bool place_of(const parts *p, size_t i, size_t *out) {
  const int64_t *indices = p->indices->data;
  const weft_shape *shape = &p->dense->shape;
  if (p->indices->shape.rank == 1) {
    *out = (size_t)indices[i];
    return indices[i] >= 0 && (uint64_t)indices[i] < p->dense->count;
  }
  size_t place = 0;
  for (int d = 0; d < shape->rank; d++) {
    int64_t index = indices[i * (size_t)shape->rank + (size_t)d];
    if (index < 0 || index >= shape->dims[d]) {
      return false;
    }
    place = place * (size_t)shape->dims[d] + (size_t)index;
  }
  *out = place;
  return true;
}

static weft_status fill(weft_context *cx, const parts *p) {
  size_t size = weft_type_size(p->dense->type);
  memset(p->dense->data, 0, p->dense->count * size);
  for (size_t i = 0; i < p->values->count; i++) {
    size_t place;
    if (!place_of(p, i, &place)) {
      char text[96];
      return weft_fail(cx, WEFT_INVALID_MODEL, "sparse tensor '%s': index %zu lies outside its shape %s", p->name, i,
                       weft_shape_print(&p->dense->shape, text, sizeof text));
    }
    memcpy((uint8_t *)p->dense->data + place * size, (const uint8_t *)p->values->data + i * size, size);
  }
  return WEFT_OK;
}

static weft_status make_dense(weft_onnx_model *model, const Weft__SparseTensorProto *sparse, const weft_value *values,
                              const weft_value *indices, weft_value **out) {
  weft_context *cx = model->cx;
  Weft__TensorProto dims = *sparse->values; /* the dense tensor: the values' name and type under the sparse dims */
  dims.n_dims = sparse->n_dims;
  dims.dims = sparse->dims;
  weft_tensor shape;
  size_t raw_bytes;
  WEFT_TRY(weft_onnx_tensor_shape(model, &dims, &shape, &raw_bytes));
  weft_value *dense;
  WEFT_TRY(weft_value_new_tensor(cx, shape.type, &shape.shape, &dense));
  const char *name = dims.name != NULL ? dims.name : "";
  parts p = {.name = name, .values = &values->tensor, .indices = &indices->tensor, .dense = &dense->tensor};
  weft_status status = check_parts(cx, &p);
  if (status == WEFT_OK) {
    status = fill(cx, &p);
  }
  if (status != WEFT_OK) {
    weft_value_release(dense);
    return status;
  }
  if (values->strings != NULL) {
    dense->strings = values->strings;
    dense->strings->refs++;
  }
  *out = dense;
  return WEFT_OK;
}

weft_status weft_onnx_sparse(weft_onnx_model *model, const Weft__SparseTensorProto *sparse, weft_strings *strings,
                             weft_value **out) {
  *out = NULL;
  if (sparse->values == NULL || sparse->indices == NULL) {
    return weft_fail(model->cx, WEFT_INVALID_MODEL, "a sparse tensor lacks its values or its indices");
  }
  weft_value *values, *indices;
  WEFT_TRY(weft_onnx_tensor(model, sparse->values, strings, &values));
  weft_status status = weft_onnx_tensor(model, sparse->indices, strings, &indices);
  if (status == WEFT_OK) {
    status = make_dense(model, sparse, values, indices, out);
    weft_value_release(indices);
  }
  weft_value_release(values);
  return status;
}
