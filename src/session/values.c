/* The public way to make values. They belong to no session: each is counted against a budget of its own, without a
 * limit. */
#include <string.h>

#include "../base/value.h"

typedef struct maker {
  weft_context cx;
  weft_error ignored;
} maker;

static weft_status begin(maker *m, weft_error *error) {
  memset(m, 0, sizeof *m);
  m->cx.error = error != NULL ? error : &m->ignored;
  memset(m->cx.error, 0, sizeof *m->cx.error);
  if (weft_memory_create(0, &m->cx.memory) != WEFT_OK) {
    return weft_fail(&m->cx, WEFT_OUT_OF_MEMORY, "the host gives no memory");
  }
  return WEFT_OK;
}

/* The value's blocks keep the budget alive. */
static void end(maker *m) {
  weft_memory_release(m->cx.memory);
}

/* Gives a value whose elements lie apart a block of its own. */
static void gather(weft_value *value) {
  maker m;
  weft_value *copy = NULL;
  if (begin(&m, NULL) != WEFT_OK) {
    return;
  }
  if (weft_value_copy(&m.cx, value, &copy) == WEFT_OK) {
    weft_value_clear(value);
    value->tensor.data = copy->tensor.data;
    value->storage = copy->storage;
    copy->storage = WEFT_STORAGE_NONE;
    weft_value_release(copy);
  }
  end(&m);
}

void *weft_value_data(const weft_value *value) {
  if (value->apart != 0) {
    gather((weft_value *)value);
  }
  return value->apart == 0 ? value->tensor.data : NULL;
}

weft_status weft_value_create_tensor(weft_type type, int rank, const int64_t *dims, weft_value **out,
                                     weft_error *error) {
  maker m;
  *out = NULL;
  WEFT_TRY(begin(&m, error));
  weft_shape shape = {.rank = rank};
  weft_status status = WEFT_OK;
  if (rank < 0 || rank > WEFT_MAX_RANK) {
    status = weft_fail(&m.cx, WEFT_INVALID_ARGUMENT, "expected a rank in [0, %d], found %d", WEFT_MAX_RANK, rank);
  } else {
    for (int i = 0; i < rank; i++) {
      shape.dims[i] = dims[i];
    }
    status = weft_value_new_tensor(&m.cx, type, &shape, out);
  }
  if (status == WEFT_OK) {
    memset((*out)->tensor.data, 0, (*out)->tensor.count * weft_type_size(type));
  }
  end(&m);
  return status;
}

static weft_status check_items(weft_context *cx, weft_type type, size_t count, weft_value *const *items) {
  for (size_t i = 0; i < count; i++) {
    const weft_value *item = items != NULL ? items[i] : NULL;
    if (item == NULL || (type != WEFT_UNDEFINED && item->kind != WEFT_KIND_NONE && item->tensor.type != type)) {
      return weft_fail(cx, WEFT_INVALID_ARGUMENT, "item %zu of a sequence: expected %s, found %s", i,
                       weft_type_name(type), item != NULL ? weft_type_name(item->tensor.type) : "nothing");
    }
  }
  return WEFT_OK;
}

weft_status weft_value_create_sequence(weft_type type, size_t count, weft_value *const *items, weft_value **out,
                                       weft_error *error) {
  maker m;
  *out = NULL;
  WEFT_TRY(begin(&m, error));
  weft_status status = check_items(&m.cx, type, count, items);
  status = status == WEFT_OK ? weft_value_new_sequence(&m.cx, type, count, out) : status;
  for (size_t i = 0; status == WEFT_OK && i < count; i++) {
    status = weft_value_dense(&m.cx, items[i], &(*out)->items[i]);
  }
  if (status != WEFT_OK) {
    weft_value_release(*out);
    *out = NULL;
  }
  end(&m);
  return status;
}

static weft_status check_map(weft_context *cx, const weft_value *keys, const weft_value *values) {
  weft_type type = keys->tensor.type;
  if (keys->kind != WEFT_KIND_TENSOR || keys->tensor.shape.rank != 1 || (type != WEFT_INT64 && type != WEFT_STRING)) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT,
                     "map keys: expected a rank-1 int64 or string tensor, found rank %d of %s", keys->tensor.shape.rank,
                     weft_type_name(type));
  }
  if (weft_value_count(values) != keys->tensor.count) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT, "map values: expected %zu, found %zu", keys->tensor.count,
                     weft_value_count(values));
  }
  return WEFT_OK;
}

weft_status weft_value_create_map(weft_value *keys, weft_value *values, weft_value **out, weft_error *error) {
  maker m;
  *out = NULL;
  WEFT_TRY(begin(&m, error));
  weft_status status = check_map(&m.cx, keys, values);
  if (status == WEFT_OK) {
    status = weft_value_new_sequence(&m.cx, values->tensor.type, 2, out);
  }
  if (status == WEFT_OK) {
    (*out)->kind = WEFT_KIND_MAP;
    weft_value_retain(keys); /* which no cache is: int64, or strings */
    (*out)->items[0] = keys;
    status = weft_value_dense(&m.cx, values, &(*out)->items[1]);
  }
  if (status != WEFT_OK) {
    weft_value_release(*out);
    *out = NULL;
  }
  end(&m);
  return status;
}

weft_status weft_value_create_none(weft_value **out, weft_error *error) {
  maker m;
  *out = NULL;
  WEFT_TRY(begin(&m, error));
  weft_status status = weft_value_new(&m.cx, WEFT_KIND_NONE, out);
  end(&m);
  return status;
}

static weft_status set_string(weft_context *cx, weft_value *value, size_t index, const char *data, size_t size) {
  if (value->kind != WEFT_KIND_TENSOR || value->tensor.type != WEFT_STRING || index >= value->tensor.count) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT, "element %zu of this %s value of %zu elements is no string", index,
                     weft_type_name(value->tensor.type), value->tensor.count);
  }
  if (value->strings == NULL) {
    WEFT_TRY(weft_strings_create(cx, &value->strings));
  }
  return weft_strings_add(cx, value->strings, data, size, &((weft_string *)value->tensor.data)[index]);
}

weft_status weft_value_set_string(weft_value *value, size_t index, const char *data, size_t size, weft_error *error) {
  maker m;
  WEFT_TRY(begin(&m, error));
  weft_status status = set_string(&m.cx, value, index, data, size);
  end(&m);
  return status;
}
