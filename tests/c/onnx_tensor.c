/* TensorProto to values: every element type from every field that may hold it, small (in the message) and large (a
 * payload), wrong counts and types, sparse tensors, external data and its paths, files of values. */
#include "onnx/room.h"
#include "onnx_bytes.h"

#include <stdbool.h>

/* ---- helpers ----------------------------------------------------------------------------------------------------- */
/* A model whose graph has `tensor` (emptied) as its initializer, or as field `id` of the graph. */
static weft_loader *load(bytes *tensor, uint32_t id, weft_status *status, weft_error *error) {
  bytes model = {0}, graph = {0};
  weft_loader *loader;
  add_message(&graph, id, tensor);
  add_message(&model, 7, &graph);
  CHECK(weft_loader_create(NULL, &loader, error) == WEFT_OK);
  *status = weft_loader_push(loader, model.data, model.size, error);
  if (*status == WEFT_OK) {
    *status = weft_loader_finish(loader, error);
  }
  clear(&model);
  return loader;
}

/* The value of a tensor, or NULL and an error. */
static weft_value *convert(bytes *tensor, uint32_t id, weft_error *error) {
  weft_status status;
  weft_value *value = NULL;
  weft_strings *strings;
  weft_loader *loader = load(tensor, id, &status, error);
  if (status == WEFT_OK) {
    Weft__GraphProto *graph = loader->model.proto->graph;
    loader->cx.error = error;
    CHECK(weft_strings_create(&loader->cx, &strings) == WEFT_OK);
    status = id == 5 ? weft_onnx_tensor(&loader->model, graph->initializer[0], strings, &value)
                     : weft_onnx_sparse(&loader->model, graph->sparse_initializer[0], strings, &value);
    weft_strings_release(strings);
  }
  weft_loader_destroy(loader);
  CHECK((status == WEFT_OK) == (value != NULL));
  return value;
}

static void expect_failure(bytes *tensor, const char *part) {
  weft_error error;
  weft_value *value = convert(tensor, 5, &error);
  if (value != NULL || strstr(error.message, part) == NULL) {
    fprintf(stderr, "expected a failure with '%s', found '%s'\n", part, value != NULL ? "a value" : error.message);
    exit(1);
  }
}

static bytes begin_tensor(weft_type type, size_t count) {
  bytes t = {0};
  add_int(&t, 1, count);
  add_int(&t, 2, (uint64_t)type);
  add_text(&t, 8, "T");
  return t;
}

/* ---- every type -------------------------------------------------------------------------------------------------- */
/* Element i is the number i % 50 or the lowest bits of its type; enough to see that each element comes to its place. */
static uint64_t element(size_t i, unsigned bits) {
  return bits < 6 ? i % (1u << bits) : i % 50;
}

static void check_integers(weft_value *value, weft_type type, size_t count) {
  unsigned bits = weft_type_bits(type);
  size_t size = weft_type_size(type);
  bool is_signed = weft_type_is_integer(type) && weft_type_is_signed(type);
  CHECK(value != NULL && value->tensor.type == type && value->tensor.count == count);
  for (size_t i = 0; i < count; i++) {
    uint64_t found = 0, expected = type == WEFT_BOOL ? element(i, bits) != 0 : element(i, bits);
    memcpy(&found, (uint8_t *)value->tensor.data + i * size, size);
    if (bits < 8 && is_signed && expected >= 1u << (bits - 1)) {
      expected = (uint8_t)(expected | 0xffu << bits);
    }
    CHECK(found == expected);
  }
  weft_value_release(value);
}

static bytes raw_bytes(weft_type type, size_t count) {
  unsigned bits = weft_type_bits(type);
  bytes raw = {0};
  for (size_t i = 0; i < count; i++) {
    uint64_t value = element(i, bits);
    if (bits >= 8) {
      add(&raw, &value, bits / 8);
      continue;
    }
    for (size_t b = 0; b < bits; b++) {
      size_t at = i * bits + b;
      if (at % 8 == 0) {
        add(&raw, "", 1);
      }
      raw.data[raw.size - 1] |= (uint8_t)((value >> b & 1u) << at % 8);
    }
  }
  return raw;
}

static void test_raw(weft_type type, size_t count) {
  weft_error error;
  bytes t = begin_tensor(type, count), raw = raw_bytes(type, count);
  add_message(&t, 9, &raw);
  check_integers(convert(&t, 5, &error), type, count);
  t = begin_tensor(type, count + 9);
  raw = raw_bytes(type, count);
  add_message(&t, 9, &raw);
  expect_failure(&t, "in raw_data, found");
}

/* Types that live in int32_data, int64_data or uint64_data, one entry an element or packed byte; 6-bit types are not
 * packed there. */
static void test_integer_field(weft_type type, uint32_t field, size_t count, bool packed) {
  weft_error error;
  bytes t = begin_tensor(type, count), list = {0},
        raw = raw_bytes(weft_type_bits(type) == 6 ? WEFT_UINT8 : type, count);
  size_t size = weft_type_bits(type) < 8 ? 1 : weft_type_size(type);
  for (size_t i = 0; i < raw.size; i += size) {
    uint64_t value = 0;
    memcpy(&value, raw.data + i, size);
    if (packed) {
      add_varint(&list, value);
    } else {
      add_int(&t, field, value);
    }
  }
  if (packed) {
    add_message(&t, field, &list);
  }
  clear(&raw);
  check_integers(convert(&t, 5, &error), type, count);
}

static void test_all_types(size_t count) {
  for (int i = 1; i < WEFT_TYPE_COUNT; i++) {
    weft_type type = (weft_type)i;
    bool complex = type == WEFT_COMPLEX64 || type == WEFT_COMPLEX128;
    if (type == WEFT_STRING || complex) {
      continue;
    }
    test_raw(type, count);
    if (type == WEFT_FLOAT || type == WEFT_DOUBLE) {
      continue;
    }
    uint32_t field = type == WEFT_INT64 ? 7 : type == WEFT_UINT32 || type == WEFT_UINT64 ? 11 : 5;
    test_integer_field(type, field, count, true);
    test_integer_field(type, field, count, false);
  }
}

static void test_floats(size_t count) {
  weft_error error;
  bytes floats = {0}, doubles = {0};
  for (size_t i = 0; i < 2 * count; i++) {
    float f = (float)i;
    double d = (double)i;
    add(&floats, &f, 4);
    add(&doubles, &d, 8);
  }
  static const struct {
    weft_type type;
    uint32_t field;
    size_t entry, parts;
  } rows[] = {{WEFT_FLOAT, 4, 4, 1}, {WEFT_COMPLEX64, 4, 4, 2}, {WEFT_DOUBLE, 10, 8, 1}, {WEFT_COMPLEX128, 10, 8, 2}};
  for (size_t r = 0; r < 4; r++) {
    bytes t = begin_tensor(rows[r].type, count);
    const bytes *from = rows[r].entry == 4 ? &floats : &doubles;
    size_t size = count * rows[r].parts * rows[r].entry;
    add_field(&t, rows[r].field, from->data, size);
    weft_value *value = convert(&t, 5, &error);
    CHECK(value != NULL && memcmp(value->tensor.data, from->data, size) == 0);
    weft_value_release(value);
  }
  clear(&floats);
  clear(&doubles);
}

static void test_strings(void) {
  weft_error error;
  bytes t = begin_tensor(WEFT_STRING, 3);
  add_text(&t, 6, "one");
  add_field(&t, 6, "", 0);
  add_field(&t, 6, "t\0o", 3);
  weft_value *value = convert(&t, 5, &error);
  CHECK(value != NULL);
  const weft_string *s = value->tensor.data;
  CHECK(s[0].size == 3 && memcmp(s[0].data, "one", 3) == 0 && s[1].size == 0);
  CHECK(s[2].size == 3 && memcmp(s[2].data, "t\0o", 3) == 0);
  weft_value_release(value);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */
static void test_refused(void) {
  static const uint8_t raw[8] = {0};
  bytes t = begin_tensor(WEFT_FLOAT, 2);
  expect_failure(&t, "needs 2 entries in float_data, found 0");
  t = begin_tensor((weft_type)99, 1);
  expect_failure(&t, "the element type 99");
  t = begin_tensor(WEFT_FLOAT, (size_t)-1);
  expect_failure(&t, "negative or too large");
  t = begin_tensor(WEFT_FLOAT, (size_t)1 << 62);
  expect_failure(&t, "too large");
  t = begin_tensor(WEFT_INT8, (size_t)1 << 41);
  expect_failure(&t, "max_elements");
  t = begin_tensor(WEFT_FLOAT, 1);
  for (int i = 0; i < 20; i++) {
    add_int(&t, 1, 1);
  }
  expect_failure(&t, "21 dimensions");
  t = begin_tensor(WEFT_FLOAT, 1);
  add_field(&t, 5, raw, 1);
  expect_failure(&t, "keeps its elements in int32_data, expected float_data");
  t = begin_tensor(WEFT_FLOAT, 2);
  add_field(&t, 9, raw, 8);
  add_field(&t, 4, raw, 8);
  expect_failure(&t, "in two places");
}

/* ---- sparse tensors ---------------------------------------------------------------------------------------------- */
static bytes make_sparse(const int64_t *indices, size_t count, bool rows) {
  bytes s = {0}, values = begin_tensor(WEFT_FLOAT, count), places = {0};
  for (size_t i = 0; i < count; i++) {
    add_float(&values, 4, (float)(i + 1));
  }
  add_int(&places, 1, count);
  if (rows) {
    add_int(&places, 1, 2);
  }
  add_int(&places, 2, WEFT_INT64);
  add_field(&places, 9, indices, count * (rows ? 2 : 1) * 8);
  add_message(&s, 1, &values);
  add_message(&s, 2, &places);
  add_int(&s, 3, 2);
  add_int(&s, 3, 3);
  return s;
}

static void test_sparse(void) {
  static const int64_t flat[] = {1, 5}, rows[] = {0, 1, 1, 2}, bad[] = {1, 6}, negative[] = {-1, 0};
  static const float expected[] = {0, 1, 0, 0, 0, 2};
  weft_error error;
  for (int form = 0; form < 2; form++) {
    bytes s = make_sparse(form == 0 ? flat : rows, 2, form == 1);
    weft_value *value = convert(&s, 15, &error);
    CHECK(value != NULL && memcmp(value->tensor.data, expected, sizeof expected) == 0);
    weft_value_release(value);
  }
  bytes s = make_sparse(bad, 2, false);
  CHECK(convert(&s, 15, &error) == NULL && strstr(error.message, "lies outside its shape") != NULL);
  s = make_sparse(negative, 2, false);
  CHECK(convert(&s, 15, &error) == NULL && strstr(error.message, "lies outside its shape") != NULL);
  add_int(&s, 3, 2);
  CHECK(convert(&s, 15, &error) == NULL && strstr(error.message, "lacks its values") != NULL);
}

/* ---- external data ----------------------------------------------------------------------------------------------- */
static void add_entry(bytes *tensor, const char *key, const char *value) {
  bytes entry = {0};
  add_text(&entry, 1, key);
  add_text(&entry, 2, value);
  add_message(tensor, 13, &entry);
}

static bytes make_external(const char *location, const char *offset, const char *length) {
  bytes t = begin_tensor(WEFT_INT4, 5);
  add_int(&t, 14, 1);
  if (location != NULL) {
    add_entry(&t, "location", location);
  }
  add_entry(&t, "offset", offset);
  add_entry(&t, "length", length);
  return t;
}

static void test_external(void) {
  weft_error error;
  weft_status status;
  weft_external piece;
  weft_value *value;
  bytes t = make_external("./data//weights.bin", "4096", "3");
  weft_loader *loader = load(&t, 5, &status, &error);
  CHECK(status == WEFT_OK && weft_loader_external_count(loader) == 1);
  const Weft__TensorProto *tensor = loader->model.proto->graph->initializer[0];
  loader->cx.error = &error;
  CHECK(weft_onnx_tensor(&loader->model, tensor, NULL, &value) == WEFT_INVALID_MODEL);
  CHECK(strstr(error.message, "'data/weights.bin', which was not given") != NULL);
  CHECK(weft_loader_external(loader, 0, &piece, &error) == WEFT_OK);
  CHECK(strcmp(piece.path, "data/weights.bin") == 0 && piece.offset == 4096 && piece.size == 3 && piece.data != NULL);
  memcpy(piece.data, "\x21\xf3\x07", 3);
  CHECK(weft_onnx_tensor(&loader->model, tensor, NULL, &value) == WEFT_OK);
  CHECK(memcmp(value->tensor.data, "\x01\x02\x03\xff\x07", 5) == 0);
  weft_value_release(value);
  CHECK(weft_loader_external(loader, 1, &piece, &error) == WEFT_INVALID_ARGUMENT);
  weft_loader_destroy(loader);
}

static void test_external_refused(void) {
  static const char *const outside[] = {"/etc/passwd",  "../x", "a/../../x", "a/..",  "C:\\x", "c:x",
                                        "a\\..\\..\\x", "",     ".",         "././/", "..",    "\\\\host\\x"};
  for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
    bytes t = make_external(outside[i], "0", "3");
    expect_failure(&t, "lies outside the model's folder");
  }
  bytes t = make_external(NULL, "0", "3");
  expect_failure(&t, "names no 'location'");
  t = make_external("x", "0", "4");
  expect_failure(&t, "needs 3 bytes");
  t = make_external("x", "18446744073709551615", "3");
  expect_failure(&t, "needs 3 bytes");
  t = make_external("x", "18446744073709551616", "3");
  expect_failure(&t, "an offset that is no number");
  t = make_external("x", "-1", "3");
  expect_failure(&t, "an offset that is no number");
  t = make_external("x", "0", "");
  expect_failure(&t, "a length that is no number");
  t = make_external("x", "0", "3");
  add_entry(&t, "__class__", "x");
  expect_failure(&t, "a key that ONNX does not define: '__class__'");
}

/* ---- files of values --------------------------------------------------------------------------------------------- */
static weft_value *read_value(weft_kind kind, bytes *b) {
  weft_error error;
  weft_memory *memory;
  char name[16];
  weft_value *value = NULL;
  CHECK(weft_memory_create(0, &memory) == WEFT_OK);
  weft_context cx = {.memory = memory, .error = &error};
  weft_onnx_value_from_bytes(&cx, kind, b->data, b->size, name, sizeof name, &value);
  weft_memory_release(memory);
  clear(b);
  return value;
}

static void test_values(void) {
  bytes tensor = begin_tensor(WEFT_INT64, 1), sequence = {0}, map = {0}, optional = {0};
  add_int(&tensor, 7, 42);
  add_int(&sequence, 2, 1);
  add_field(&sequence, 3, tensor.data, tensor.size);
  add_field(&sequence, 3, tensor.data, tensor.size);
  add_text(&map, 1, "M");
  add_int(&map, 2, WEFT_STRING);
  add_text(&map, 4, "a");
  add_text(&map, 4, "b");
  add_field(&map, 5, sequence.data, sequence.size);
  add_int(&optional, 2, 1);
  add_field(&optional, 3, tensor.data, tensor.size);
  weft_value *v = read_value(WEFT_KIND_SEQUENCE, &sequence);
  CHECK(v != NULL && v->item_count == 2 && *(int64_t *)v->items[1]->tensor.data == 42);
  weft_value_release(v);
  v = read_value(WEFT_KIND_MAP, &map);
  CHECK(v != NULL && v->items[0]->tensor.type == WEFT_STRING && v->items[1]->tensor.count == 2);
  weft_value_release(v);
  v = read_value(WEFT_KIND_TENSOR, &optional);
  CHECK(v != NULL && v->kind == WEFT_KIND_TENSOR && *(int64_t *)v->tensor.data == 42);
  weft_value_release(v);
  v = read_value(WEFT_KIND_TENSOR, &tensor);
  CHECK(v != NULL && *(int64_t *)v->tensor.data == 42);
  weft_value_release(v);
  add_int(&optional, 2, 1);
  v = read_value(WEFT_KIND_SEQUENCE, &optional);
  CHECK(v != NULL);
  weft_value_release(v);
  add_text(&tensor, 200, "nothing that is known");
  v = read_value(WEFT_KIND_TENSOR, &tensor);
  CHECK(v != NULL && v->kind == WEFT_KIND_NONE);
  weft_value_release(v);
  add(&tensor, "\xff", 1);
  CHECK(read_value(WEFT_KIND_TENSOR, &tensor) == NULL);
}

int main(void) {
  test_all_types(11);
  test_all_types(3001);
  test_floats(5);
  test_floats(500);
  test_strings();
  test_refused();
  test_sparse();
  test_external();
  test_external_refused();
  test_values();
  return 0;
}
