/* Values: reference counting and the three ways to hold data (own block, a part of another value, someone's arena). */
#include "value.h"

#include <string.h>

/* Up to so many bytes of elements lie in their value's block, from where they are aligned: one block is had faster than
 * two. */
enum { LITTLE = 1024, LITTLE_FROM = (sizeof(weft_value) + 15) & ~(size_t)15 };

weft_status weft_value_new(weft_context *cx, weft_kind kind, weft_value **out) {
  void *block;
  *out = NULL;
  WEFT_TRY(weft_alloc_zeroed(cx, 1, sizeof(weft_value), &block));
  *out = block;
  (*out)->refs = 1;
  (*out)->kind = kind;
  return WEFT_OK;
}

weft_status weft_value_allocate(weft_context *cx, weft_value *value) {
  weft_tensor *tensor = &value->tensor;
  size_t bytes = tensor->count * weft_type_size(tensor->type); /* checked where count was set */
  if (tensor->type == WEFT_STRING) {
    WEFT_TRY(weft_alloc_zeroed(cx, bytes, 1, &tensor->data));
  } else {
    WEFT_TRY(weft_alloc(cx, bytes, &tensor->data));
  }
  value->storage = WEFT_STORAGE_OWNED;
  return WEFT_OK;
}

weft_status weft_value_new_tensor(weft_context *cx, weft_type type, const weft_shape *shape, weft_value **out) {
  char text[96];
  size_t count;
  *out = NULL;
  if (!weft_type_is_valid((int64_t)type)) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT, "%d is not an element type", (int)type);
  }
  if (!weft_shape_count(shape, type, &count)) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT, "the shape %s of %s is negative or too large to address",
                     weft_shape_print(shape, text, sizeof text), weft_type_name(type));
  }
  bool behind = count * weft_type_size(type) <= LITTLE;
  size_t room = behind ? LITTLE_FROM + count * weft_type_size(type) : sizeof(weft_value);
  void *block;
  WEFT_TRY(weft_alloc(cx, room, &block));
  weft_value *value = memset(block, 0, type == WEFT_STRING ? room : sizeof(weft_value));
  value->refs = 1;
  value->kind = WEFT_KIND_TENSOR;
  value->tensor.type = type;
  value->tensor.shape = *shape;
  value->tensor.count = count;
  if (behind) {
    value->tensor.data = (char *)block + LITTLE_FROM;
    value->storage = WEFT_STORAGE_BEHIND;
    *out = value;
    return WEFT_OK;
  }
  weft_status status = weft_value_allocate(cx, value);
  if (status != WEFT_OK) {
    weft_value_release(value);
    return status;
  }
  *out = value;
  return WEFT_OK;
}

weft_status weft_value_view(weft_context *cx, weft_value *owner, const weft_shape *shape, weft_value **out) {
  weft_value *view;
  *out = NULL;
  WEFT_TRY(weft_value_new(cx, WEFT_KIND_TENSOR, &view));
  view->tensor = owner->tensor;
  view->tensor.shape = *shape;
  view->storage = WEFT_STORAGE_SHARED;
  view->owner = owner;
  weft_value_retain(owner);
  *out = view;
  return WEFT_OK;
}

weft_status weft_value_new_sequence(weft_context *cx, weft_type type, size_t count, weft_value **out) {
  weft_value *value;
  void *items;
  *out = NULL;
  WEFT_TRY(weft_value_new(cx, WEFT_KIND_SEQUENCE, &value));
  weft_status status = weft_alloc_zeroed(cx, count, sizeof(weft_value *), &items);
  if (status != WEFT_OK) {
    weft_value_release(value);
    return status;
  }
  value->tensor.type = type;
  value->items = items;
  value->item_count = count;
  *out = value;
  return WEFT_OK;
}

static weft_status copy_strings(weft_context *cx, weft_value *copy) {
  weft_string *items = copy->tensor.data;
  WEFT_TRY(weft_strings_create(cx, &copy->strings));
  for (size_t i = 0; i < copy->tensor.count; i++) {
    weft_string from = items[i];
    WEFT_TRY(weft_strings_add(cx, copy->strings, from.data, from.size, &items[i]));
  }
  return WEFT_OK;
}

size_t weft_value_pieces(const weft_value *value) {
  return value->apart == 0 ? 1 : value->owner->tensor.count / value->apart;
}

static void copy_elements(const weft_value *value, char *to) {
  const size_t size = weft_type_size(value->tensor.type), pieces = weft_value_pieces(value);
  const size_t bytes = value->tensor.count * size / pieces;
  for (size_t i = 0; i < pieces; i++) {
    memcpy(to + i * bytes, (const char *)value->tensor.data + i * value->apart * size, bytes);
  }
}

static weft_status copy_into(weft_context *cx, const weft_value *value, weft_value *copy) {
  if (value->kind == WEFT_KIND_TENSOR && value->tensor.data != NULL) {
    copy->tensor = value->tensor;
    copy->tensor.data = NULL;
    WEFT_TRY(weft_value_allocate(cx, copy));
    copy_elements(value, copy->tensor.data);
    if (value->tensor.type == WEFT_STRING) {
      WEFT_TRY(copy_strings(cx, copy));
    }
  } else {
    copy->tensor = value->tensor;
  }
  if (value->item_count > 0) {
    void *items;
    WEFT_TRY(weft_alloc_zeroed(cx, value->item_count, sizeof(weft_value *), &items));
    copy->items = items;
    copy->item_count = value->item_count;
    for (size_t i = 0; i < value->item_count; i++) {
      WEFT_TRY(weft_value_copy(cx, value->items[i], &copy->items[i]));
    }
  }
  return WEFT_OK;
}

weft_status weft_value_copy(weft_context *cx, const weft_value *value, weft_value **out) {
  weft_value *copy;
  *out = NULL;
  WEFT_TRY(weft_value_new(cx, value->kind, &copy));
  weft_status status = copy_into(cx, value, copy);
  if (status != WEFT_OK) {
    weft_value_release(copy);
    return status;
  }
  *out = copy;
  return WEFT_OK;
}

static bool owns_memory(const weft_value *value) {
  while (value->storage == WEFT_STORAGE_SHARED) {
    value = value->owner;
  }
  return value->storage != WEFT_STORAGE_NONE || value->tensor.data == NULL;
}

weft_status weft_value_keep(weft_context *cx, weft_value *value, weft_value **out) {
  if (value->kind == WEFT_KIND_TENSOR && !owns_memory(value)) {
    const weft_tensor *tensor = &value->tensor;
    WEFT_TRY(weft_value_new_tensor(cx, tensor->type, &tensor->shape, out));
    memcpy((*out)->tensor.data, tensor->data, tensor->count * weft_type_size(tensor->type));
    return WEFT_OK;
  }
  weft_value_retain(value);
  *out = value;
  return WEFT_OK;
}

weft_status weft_value_continue(weft_context *cx, weft_value *from, weft_value *out) {
  size_t bytes = weft_value_bytes(out);
  if (bytes > weft_block_size(from->tensor.data)) {
    void *larger;
    WEFT_TRY(weft_alloc(cx, bytes + bytes / 4, &larger));
    memcpy(larger, from->tensor.data, weft_value_bytes(from));
    weft_free(from->tensor.data);
    from->tensor.data = larger;
  }
  out->tensor.data = from->tensor.data;
  out->storage = WEFT_STORAGE_OWNED;
  from->storage = WEFT_STORAGE_NONE;
  return WEFT_OK;
}

weft_status weft_value_grow(weft_context *cx, weft_value *past, weft_value *out) {
  enum { LEAST_SPARE = 16, SPARE_PART = 8 };
  const weft_shape *shape = &out->tensor.shape;
  const size_t size = (size_t)shape->dims[3], taken = (size_t)shape->dims[2] * size;
  weft_value *block = past->owner;
  if (past->apart < taken || block->filled != (size_t)past->tensor.shape.dims[2] * size) {
    weft_shape room = *shape;
    room.dims[2] += room.dims[2] / SPARE_PART + LEAST_SPARE;
    if (weft_value_new_tensor(cx, out->tensor.type, &room, &block) != WEFT_OK) {
      return weft_value_allocate(cx, out); /* there may be memory for what is there */
    }
  } else {
    weft_value_retain(block);
  }
  out->storage = WEFT_STORAGE_SHARED;
  out->owner = block;
  out->tensor.data = block->tensor.data;
  out->apart = (size_t)block->tensor.shape.dims[2] * size;
  block->filled = taken;
  return WEFT_OK;
}

const weft_tensor *weft_value_block(const weft_value *value) {
  return value->apart != 0 ? &value->owner->tensor : &value->tensor;
}

weft_status weft_value_dense(weft_context *cx, weft_value *value, weft_value **out) {
  if (value->apart != 0) {
    return weft_value_copy(cx, value, out);
  }
  weft_value_retain(value);
  *out = value;
  return WEFT_OK;
}

static bool is_alone(const weft_value *value) {
  while (value->storage == WEFT_STORAGE_SHARED && value->refs == 1) {
    value = value->owner;
  }
  return value->refs == 1;
}

weft_status weft_value_separate(weft_context *cx, weft_value **value) {
  if (!is_alone(*value) || (*value)->apart != 0) {
    weft_value *copy;
    WEFT_TRY(weft_value_copy(cx, *value, &copy));
    weft_value_release(*value);
    *value = copy;
    return WEFT_OK;
  }
  for (size_t i = 0; i < (*value)->item_count; i++) {
    WEFT_TRY(weft_value_separate(cx, &(*value)->items[i]));
  }
  return WEFT_OK;
}

void weft_value_clear(weft_value *value) {
  if (value->storage == WEFT_STORAGE_OWNED) {
    weft_free(value->tensor.data);
  }
  for (size_t i = 0; i < value->item_count; i++) {
    weft_value_release(value->items[i]);
  }
  weft_free(value->items);
  weft_strings_release(value->strings);
  weft_value_release(value->owner);
  value->tensor.data = NULL;
  value->storage = WEFT_STORAGE_NONE;
  value->items = NULL;
  value->item_count = 0;
  value->strings = NULL;
  value->owner = NULL;
  value->apart = 0;
}

void weft_value_retain(weft_value *value) {
  if (value != NULL) {
    value->refs++;
  }
}

void weft_value_release(weft_value *value) {
  if (value != NULL && --value->refs == 0) {
    weft_value_clear(value);
    weft_free(value);
  }
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */
weft_status weft_strings_create(weft_context *cx, weft_strings **out) {
  void *block;
  *out = NULL;
  WEFT_TRY(weft_alloc_zeroed(cx, 1, sizeof(weft_strings), &block));
  *out = block;
  (*out)->refs = 1;
  return WEFT_OK;
}

void weft_strings_release(weft_strings *strings) {
  if (strings != NULL && --strings->refs == 0) {
    weft_arena_free(&strings->arena);
    weft_free(strings);
  }
}

weft_status weft_strings_add(weft_context *cx, weft_strings *strings, const char *data, size_t size, weft_string *out) {
  const char *copy;
  WEFT_TRY(weft_arena_copy_string(cx, &strings->arena, data, size, &copy));
  *out = (weft_string){copy, size};
  return WEFT_OK;
}

/* ---- what weft.h shows of a value -------------------------------------------------------------------------------- */
weft_kind weft_value_kind(const weft_value *value) {
  return value->kind;
}
weft_type weft_value_type(const weft_value *value) {
  return value->tensor.type;
}
int weft_value_rank(const weft_value *value) {
  return value->tensor.shape.rank;
}
const int64_t *weft_value_dims(const weft_value *value) {
  return value->tensor.shape.dims;
}
size_t weft_value_bytes(const weft_value *value) {
  return value->tensor.count * weft_type_size(value->tensor.type);
}

size_t weft_value_count(const weft_value *value) {
  switch (value->kind) {
  case WEFT_KIND_TENSOR:
    return value->tensor.count;
  case WEFT_KIND_SEQUENCE:
    return value->item_count;
  case WEFT_KIND_MAP:
    return weft_value_count(value->items[0]);
  case WEFT_KIND_NONE:
    break;
  }
  return 0;
}

weft_value *weft_value_item(const weft_value *value, size_t index) {
  return index < value->item_count ? value->items[index] : NULL;
}
