/* The wire walker and the loader: the same model in pieces of every size, cut short, corrupted, nested too deep, and
 * with every trick of field numbers and lengths. Whatever arrives, there is a value or a sentence, and no memory is
 * left. */
#include "onnx/room.h"
#include "onnx_bytes.h"

enum { LARGE = 300 };

/* ---- a model with tensors in every place ------------------------------------------------------------------------- */
static void add_tensor(bytes *to, uint32_t id, const char *name, float first, bool packed) {
  bytes t = {0};
  float values[LARGE];
  for (int i = 0; i < LARGE; i++) {
    values[i] = first + (float)i;
  }
  add_field(&t, packed ? 4 : 9, values, sizeof values); /* elements before dims, as any order is allowed */
  add_int(&t, 1, 3);
  add_int(&t, 1, LARGE / 3);
  add_int(&t, 2, WEFT_FLOAT);
  add_text(&t, 12, "a documentation string that is not kept");
  add_int(&t, 1000, 77); /* Weft's own field: stripped */
  add_text(&t, 8, name);
  add_message(to, id, &t);
}

static void add_node(bytes *graph, const char *op, const char *input, const char *output, bytes *attribute) {
  bytes n = {0};
  add_text(&n, 1, input);
  add_text(&n, 2, output);
  add_text(&n, 4, op);
  add_text(&n, 6, "documentation");
  add_text(&n, 999, "an unknown field");
  if (attribute != NULL) {
    add_message(&n, 5, attribute);
  }
  add_message(graph, 1, &n);
}

static bytes make_model(void) {
  bytes model = {0}, graph = {0}, inner = {0}, attribute = {0}, opset = {0}, entry = {0};
  add_int(&model, 1, 10);
  add_int(&opset, 2, 21);
  add_message(&model, 8, &opset);
  add_tensor(&graph, 5, "W", 0.0f, false);
  add_tensor(&graph, 5, "P", 1000.0f, true);
  add_tensor(&inner, 5, "S", 2000.0f, false);
  add_text(&attribute, 1, "body");
  add_int(&attribute, 20, 5);
  add_message(&attribute, 6, &inner);
  add_node(&graph, "Outer", "x", "y", &attribute);
  add_text(&attribute, 1, "floats");
  add_int(&attribute, 20, 6);
  for (int i = 0; i < 20; i++) {
    add_float(&attribute, 7, (float)i); /* one field each */
  }
  for (int i = 0; i < 3; i++) {
    add_int(&attribute, 8, (uint64_t)(int64_t)-i);
  }
  add_node(&graph, "Numbers", "y", "z", &attribute);
  add_text(&entry, 1, "key");
  add_text(&entry, 2, "value");
  add_message(&model, 14, &entry);
  add_message(&model, 7, &graph);
  return model;
}

static void check_tensor(weft_onnx_model *model, const Weft__TensorProto *proto, const char *name, float first) {
  weft_value *value, *again;
  CHECK(strcmp(proto->name, name) == 0);
  CHECK(weft_onnx_tensor(model, proto, NULL, &value) == WEFT_OK);
  CHECK(value->tensor.type == WEFT_FLOAT && value->tensor.shape.rank == 2 && value->tensor.count == LARGE);
  CHECK(((uintptr_t)value->tensor.data & 15) == 0);
  CHECK(weft_onnx_tensor(model, proto, NULL, &again) == WEFT_OK);
  CHECK(again->tensor.data == value->tensor.data);
  for (int i = 0; i < LARGE; i++) {
    CHECK(((float *)value->tensor.data)[i] == first + (float)i);
  }
  weft_value_release(value);
  weft_value_release(again);
}

static void check_model(weft_loader *loader) {
  weft_onnx_model *model = &loader->model;
  Weft__GraphProto *graph = model->proto->graph;
  CHECK(model->proto->ir_version == 10 && model->proto->opset_import[0]->version == 21);
  CHECK(graph->n_node == 2 && graph->n_initializer == 2 && model->payload_count == 3);
  check_tensor(model, graph->initializer[0], "W", 0.0f);
  check_tensor(model, graph->initializer[1], "P", 1000.0f);
  check_tensor(model, graph->node[0]->attribute[0]->g->initializer[0], "S", 2000.0f);
  Weft__AttributeProto *numbers = graph->node[1]->attribute[0];
  CHECK(numbers->n_floats == 20 && numbers->floats[19] == 19.0f);
  CHECK(numbers->n_ints == 3 && numbers->ints[2] == -2);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */
static weft_status load(const weft_options *options, const uint8_t *data, size_t size, size_t piece, bool expect,
                        bool check, weft_error *error) {
  weft_loader *loader;
  weft_status status = weft_loader_create(options, &loader, error);
  if (status != WEFT_OK) {
    return status;
  }
  weft_memory *memory = loader->cx.memory;
  weft_memory_retain(memory);
  if (expect) {
    weft_loader_expect(loader, size);
  }
  for (size_t at = 0; at < size && status == WEFT_OK; at += piece) {
    status = weft_loader_push(loader, data + at, size - at < piece ? size - at : piece, error);
  }
  if (status == WEFT_OK) {
    status = weft_loader_finish(loader, error);
  }
  if (status == WEFT_OK && check) {
    check_model(loader);
  }
  weft_loader_destroy(loader);
  CHECK(memory->used == 0);
  weft_memory_release(memory);
  return status;
}

static weft_status load_all(const bytes *b, weft_error *error) {
  return load(NULL, b->data, b->size, b->size + 1, false, false, error);
}

static void test_pieces(const bytes *model) {
  weft_error error;
  for (size_t piece = 1; piece < 40; piece++) {
    CHECK(load(NULL, model->data, model->size, piece, piece % 2 == 0, true, &error) == WEFT_OK);
  }
  CHECK(load(NULL, model->data, model->size, model->size, true, true, &error) == WEFT_OK);
}

/* In two pieces, cut at every byte. */
static void test_every_cut(const bytes *model) {
  weft_error error;
  for (size_t cut = 1; cut < model->size; cut++) {
    weft_loader *loader;
    CHECK(weft_loader_create(NULL, &loader, &error) == WEFT_OK);
    CHECK(weft_loader_push(loader, model->data, cut, &error) == WEFT_OK);
    CHECK(weft_loader_push(loader, model->data + cut, model->size - cut, &error) == WEFT_OK);
    CHECK(weft_loader_finish(loader, &error) == WEFT_OK);
    check_model(loader);
    weft_loader_destroy(loader);
  }
}

static void test_truncated(const bytes *model) {
  weft_error error;
  for (size_t size = 0; size < model->size; size++) {
    CHECK(load(NULL, model->data, size, size + 1, true, false, &error) == WEFT_INVALID_MODEL);
    CHECK(error.message[0] != 0);
  }
}

static void test_corrupted(const bytes *model) {
  static const uint8_t patterns[] = {0x01, 0x80, 0xff, 0x7f, 0x08};
  weft_error error;
  uint8_t *copy = malloc(model->size);
  CHECK(copy != NULL);
  memcpy(copy, model->data, model->size);
  for (size_t i = 0; i < model->size; i++) {
    for (size_t p = 0; p < sizeof patterns; p++) {
      copy[i] = (uint8_t)(model->data[i] ^ patterns[p]);
      load(NULL, copy, model->size, 64, (i & 1) != 0, false, &error);
    }
    copy[i] = model->data[i];
  }
  free(copy);
}

/* Every allocation fails once, by a budget that grows by little steps. */
static void test_budget(const bytes *model) {
  weft_error error;
  bool loaded = false;
  for (size_t limit = 64; limit < 200000; limit += 512) {
    weft_options options = {.max_memory = limit};
    weft_status status = load(&options, model->data, model->size, 100, false, false, &error);
    CHECK(status == WEFT_OUT_OF_MEMORY || status == WEFT_OK);
    loaded |= status == WEFT_OK;
  }
  CHECK(loaded);
}

/* ---- hostile files ----------------------------------------------------------------------------------------------- */
/* `levels` messages inside each other, field `ids[i % cycle]` at level i, written from the inside out. */
static bytes nest(size_t levels, const uint32_t *ids, size_t cycle) {
  bytes reversed = {0};
  for (size_t i = levels; i-- > 0;) {
    bytes head = {0};
    add_varint(&head, (uint64_t)ids[i % cycle] << 3 | 2);
    add_varint(&head, reversed.size);
    for (size_t j = head.size; j-- > 0;) {
      add(&reversed, &head.data[j], 1);
    }
    clear(&head);
  }
  for (size_t i = 0; i < reversed.size / 2; i++) {
    uint8_t byte = reversed.data[i];
    reversed.data[i] = reversed.data[reversed.size - 1 - i];
    reversed.data[reversed.size - 1 - i] = byte;
  }
  return reversed;
}

static void expect_message(bytes *b, weft_status status, const char *part) {
  weft_error error;
  weft_status found = load_all(b, &error);
  if (found != status || strstr(error.message, part) == NULL) {
    fprintf(stderr, "expected %s and '%s', found %s and '%s'\n", weft_status_name(status), part,
            weft_status_name(found), error.message);
    exit(1);
  }
  clear(b);
}

static void test_nesting(void) {
  static const uint32_t subgraphs[] = {1, 5, 6}; /* GraphProto.node, NodeProto.attribute, AttributeProto.g */
  static const uint32_t types[] = {4, 1};        /* TypeProto.sequence_type, Sequence.elem_type */
  bytes b = nest(3000000, subgraphs, 3), model = {0}, graph = {0}, value = {0};
  add_message(&model, 7, &b);
  expect_message(&model, WEFT_LIMIT_EXCEEDED, "max_depth");
  b = nest(1000000, types, 2);
  add_message(&value, 2, &b);
  add_message(&graph, 11, &value);
  add_message(&model, 7, &graph);
  expect_message(&model, WEFT_LIMIT_EXCEEDED, "512 deep");
}

static void test_nodes(void) {
  bytes model = {0}, graph = {0};
  for (int i = 0; i < 11; i++) {
    add_field(&graph, 1, "", 0);
  }
  add_message(&model, 7, &graph);
  weft_error error;
  weft_options options = {.max_nodes = 10};
  CHECK(load(&options, model.data, model.size, 1000, false, false, &error) == WEFT_LIMIT_EXCEEDED);
  options.max_nodes = 11;
  CHECK(load(&options, model.data, model.size, 1000, false, false, &error) == WEFT_OK);
  clear(&model);
}

static void test_fields(void) {
  bytes b = {0}, graph = {0};
  static const uint8_t overlong[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
  add(&b, overlong, sizeof overlong);
  expect_message(&b, WEFT_INVALID_MODEL,
                 "ModelProto.ir_version at byte 0 of the file holds a number of more than 64 bits");
  add(&b, "\x0b", 1);
  expect_message(&b, WEFT_INVALID_MODEL, "wire type");
  add(&b, "\x00", 1);
  expect_message(&b, WEFT_INVALID_MODEL, "has a number outside");
  add_int(&b, 7, 1);
  expect_message(&b, WEFT_INVALID_MODEL, "ModelProto.graph at byte 0 of the file has the wrong wire type");
  add_field(&graph, 2, "a\0b", 3);
  add_message(&b, 7, &graph);
  expect_message(&b, WEFT_INVALID_MODEL, "GraphProto.name at byte 2 of the file is a text with a zero byte");
  add_field(&b, 7, "", 0);
  add_field(&b, 7, "", 0);
  expect_message(&b, WEFT_INVALID_MODEL, "ModelProto.graph at byte 2 of the file is there a second time");
  add(&graph, "\x0a\x05", 2);
  add_message(&b, 7, &graph);
  expect_message(&b, WEFT_INVALID_MODEL, "GraphProto.node at byte 2 of the file claims to be longer");
  add(&graph, "\xa0\x01", 2); /* an unknown field 20 whose number is not there */
  add_message(&b, 7, &graph);
  add_int(&b, 1, 1);
  expect_message(&b, WEFT_INVALID_MODEL, "is cut off by the end of its message");
  add(&b, "version https://git-lfs.github.com/spec/v1\n", 43);
  expect_message(&b, WEFT_INVALID_MODEL, "Git LFS pointer");
  add(&b, "<!DOCTYPE html>", 15);
  expect_message(&b, WEFT_INVALID_MODEL, "web page");
  add(&b, "# Weft\n\nRuns any model.\n", 24);
  expect_message(&b, WEFT_INVALID_MODEL, "a text that begins with '# Weft");
  add(&b, "\x40\0\0\0\0\0\0\0{\"a\":{}}", 16);
  expect_message(&b, WEFT_INVALID_MODEL, "safetensors");
  add(&b, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  expect_message(&b, WEFT_INVALID_MODEL, "PNG image");
  add(&b, "\x93NUMPY\x01\0v\0{'descr'", 18);
  expect_message(&b, WEFT_INVALID_MODEL, "NumPy array");
  expect_message(&b, WEFT_INVALID_MODEL, "holds no graph");
}

/* A length of 2^62 costs nothing, whether the file's size is known or not. */
static void test_huge_length(void) {
  bytes tensor = {0}, model = {0};
  add_varint(&tensor, 9 << 3 | 2);
  add_varint(&tensor, (uint64_t)1 << 30);
  add_varint(&model, 7 << 3 | 2);
  add_varint(&model, (uint64_t)1 << 40);
  add_varint(&model, 5 << 3 | 2);
  add_varint(&model, (uint64_t)1 << 39);
  add(&model, tensor.data, tensor.size);
  clear(&tensor);
  for (int known = 0; known < 2; known++) {
    weft_options options = {.max_memory = (size_t)3 << 20};
    weft_error error;
    CHECK(load(&options, model.data, model.size, 1000, known == 1, false, &error) == WEFT_INVALID_MODEL);
    CHECK(strstr(error.message, "TensorProto.raw_data") != NULL);
  }
  clear(&model);
}

int main(void) {
  bytes model = make_model();
  test_pieces(&model);
  test_every_cut(&model);
  test_truncated(&model);
  test_corrupted(&model);
  test_budget(&model);
  test_nesting();
  test_nodes();
  test_fields();
  test_huge_length();
  clear(&model);
  return 0;
}
