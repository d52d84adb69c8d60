/* The loader: weft.h's way in. It owns the budget and the options of the session to come, pushes the file through the
 * wire walker, and says which bytes of other files are needed. A failed loader stays failed. */
#include "room.h"

#include <inttypes.h>
#include <string.h>

#include "../ops/custom.h"

static void set_defaults(weft_options *o) {
  o->max_elements = o->max_elements != 0 ? o->max_elements : (uint64_t)1 << 40;
  o->max_nodes = o->max_nodes != 0 ? o->max_nodes : 1000000;
  o->max_depth = o->max_depth != 0 ? o->max_depth : 32;
  o->threads = o->threads != 0 ? o->threads : 1;
}

/* Every call begins here: errors go to the caller's place, or nowhere. */
static void begin(weft_loader *loader, weft_error *error) {
  loader->cx.error = error != NULL ? error : &loader->ignored;
  memset(loader->cx.error, 0, sizeof *loader->cx.error);
}

static weft_status set_up(weft_loader *loader) {
  weft_walker_limits limits = {.max_nodes = loader->options.max_nodes, .max_depth = loader->options.max_depth};
  loader->model.cx = &loader->cx;
  loader->model.max_elements = loader->options.max_elements;
  return weft_walker_create(&loader->cx, &weft__model_proto__descriptor, limits, &loader->model, &loader->walker);
}

weft_status weft_loader_create(const weft_options *options, weft_loader **out, weft_error *error) {
  weft_error ignored;
  weft_memory *memory;
  void *block;
  *out = NULL;
  weft_context cx = {.error = error != NULL ? error : &ignored};
  memset(cx.error, 0, sizeof *cx.error);
  if (weft_memory_create(options != NULL ? options->max_memory : 0, &memory) != WEFT_OK) {
    return weft_fail(&cx, WEFT_OUT_OF_MEMORY, "no memory for a loader");
  }
  cx.memory = memory;
  weft_status status = weft_alloc_zeroed(&cx, 1, sizeof(weft_loader), &block);
  if (status != WEFT_OK) {
    weft_memory_release(memory);
    return status;
  }
  weft_loader *loader = block;
  loader->cx = cx;
  loader->cx.error = error != NULL ? error : &loader->ignored;
  if (options != NULL) {
    loader->options = *options;
  }
  set_defaults(&loader->options);
  status = set_up(loader);
  if (status != WEFT_OK) {
    weft_loader_destroy(loader);
    return status;
  }
  *out = loader;
  return WEFT_OK;
}

void weft_loader_destroy(weft_loader *loader) {
  if (loader == NULL) {
    return;
  }
  weft_memory *memory = loader->cx.memory;
  weft_walker_free(loader->walker);
  weft_onnx_model_free(&loader->model);
  weft_free(loader);
  weft_memory_release(memory);
}

void weft_onnx_model_free(weft_onnx_model *model) {
  for (size_t i = 0; i < model->payload_count; i++) {
    weft_free(model->payloads[i].data);
    weft_value_release(model->payloads[i].value);
  }
  weft_free(model->payloads);
  weft_customs_free(model->customs);
  weft_arena_free(&model->arena);
  model->customs = NULL;
  model->payloads = NULL;
  model->payload_count = model->payload_capacity = 0;
  model->proto = NULL;
}

/* ---- files that are something else ------------------------------------------------------------------------------- */
typedef struct signature {
  size_t at;
  const char *bytes;
  const char *meaning;
} signature;

/* What people load by mistake. An ONNX file begins with a small field number, never with these letters. */
static const signature signatures[] = {
    {0, "version https://git-lfs", "a Git LFS pointer: the model itself was not downloaded"},
    {0, "<!", "a web page"},
    {0, "<html", "a web page"},
    {0, "PK\003\004", "a zip archive (a PyTorch or Keras file?)"},
    {0, "\037\213", "compressed with gzip"},
    {4, "ORTM", "in ONNX Runtime's own format (.ort)"},
    {4, "TFL3", "a TensorFlow Lite model"},
    {1, "HDF", "an HDF5 file (a Keras model?)"},
    {0, "GGUF", "a GGUF model"},
    {8, "{\"", "a safetensors file: weights without a graph"},
    {0, "\200", "a Python pickle (a PyTorch or scikit-learn file?)"},
    {1, "NUMPY", "a NumPy array"},
    {1, "PNG", "a PNG image"},
    {0, "\377\330\377", "a JPEG image"},
    {1, "asm", "a WebAssembly module"},
    {0, "{", "a JSON text"},
};

/* A text's first line, as far as it is known; of no length if this is no text: an ONNX file has small numbers there. */
static int text_line(const uint8_t *bytes, size_t size, const uint8_t **line) {
  size_t begin = 0, end = size;
  for (size_t i = 0; i < size; i++) {
    bool space = bytes[i] >= '\t' && bytes[i] <= '\r';
    if (bytes[i] == 127 || bytes[i] > 0xf4 || (bytes[i] < ' ' && !space)) { /* UTF-8 ends there */
      return 0;
    }
    begin += space && begin == i;
    end = space && begin < i && i < end ? i : end;
  }
  *line = bytes + begin;
  return size >= 8 ? (int)(end - begin) : 0;
}

/* Replaces a failure by a better sentence when the file's first bytes are known ones. */
static weft_status explain(weft_loader *loader, weft_status status) {
  const char *meaning = NULL;
  const uint8_t *line;
  loader->failed = true;
  if (status != WEFT_INVALID_MODEL) {
    return status;
  }
  for (size_t i = 0; meaning == NULL && i < sizeof signatures / sizeof *signatures; i++) {
    const signature *s = &signatures[i];
    size_t n = strlen(s->bytes);
    if (loader->head_size >= s->at + n && memcmp(loader->head + s->at, s->bytes, n) == 0) {
      meaning = s->meaning;
    }
  }
  int length = meaning == NULL ? text_line(loader->head, loader->head_size, &line) : 0;
  if (length > 0) {
    return weft_fail(&loader->cx, status, "this is not an ONNX model: the file is a text that begins with '%.*s'",
                     length, (const char *)line);
  }
  if (meaning == NULL && loader->head_size > 0 && loader->head[0] == '\n') { /* its field 1 is no number */
    meaning = "another protobuf (a TensorFlow graph?)";
  }
  return meaning == NULL ? status
                         : weft_fail(&loader->cx, status, "this is not an ONNX model: the file is %s", meaning);
}

static void keep_head(weft_loader *loader, const void *bytes, size_t size) {
  size_t room = sizeof loader->head - loader->head_size;
  size_t n = size < room ? size : room;
  if (n > 0) {
    memcpy(loader->head + loader->head_size, bytes, n);
    loader->head_size += n;
  }
}

/* ---- taking the file --------------------------------------------------------------------------------------------- */
void weft_loader_expect(weft_loader *loader, uint64_t total) {
  if (loader->walker != NULL) {
    weft_walker_expect(loader->walker, total);
  }
}

static weft_status check_open(weft_loader *loader) {
  if (loader->failed || loader->finished) {
    return weft_fail(&loader->cx, WEFT_INVALID_ARGUMENT, "the loader has %s and takes nothing more",
                     loader->failed ? "failed" : "finished");
  }
  return WEFT_OK;
}

weft_status weft_loader_push(weft_loader *loader, const void *bytes, size_t size, weft_error *error) {
  begin(loader, error);
  WEFT_TRY(check_open(loader));
  keep_head(loader, bytes, size);
  weft_status status = weft_walker_push(&loader->cx, loader->walker, bytes, size);
  return status == WEFT_OK ? status : explain(loader, status);
}

weft_status weft_loader_add_operator(weft_loader *loader, const weft_custom_op *op, weft_error *error) {
  begin(loader, error);
  WEFT_TRY(check_open(loader));
  return weft_custom_add(&loader->cx, op, &loader->model.customs);
}

static weft_status finish(weft_loader *loader) {
  ProtobufCMessage *message;
  WEFT_TRY(weft_walker_finish(&loader->cx, loader->walker, &message));
  weft_walker_free(loader->walker);
  loader->walker = NULL;
  loader->model.proto = (Weft__ModelProto *)message;
  if (loader->model.proto->graph == NULL) {
    return weft_fail(&loader->cx, WEFT_INVALID_MODEL, "the file holds no graph: it is empty or not an ONNX model");
  }
  loader->external_first = loader->model.payload_count;
  return weft_onnx_find_external(&loader->model);
}

weft_status weft_loader_finish(weft_loader *loader, weft_error *error) {
  begin(loader, error);
  WEFT_TRY(check_open(loader));
  weft_status status = finish(loader);
  if (status != WEFT_OK) {
    return explain(loader, status);
  }
  loader->finished = true;
  return WEFT_OK;
}

weft_status weft_loader_check_ready(weft_loader *loader) {
  if (loader->failed || !loader->finished) {
    return weft_fail(&loader->cx, WEFT_INVALID_ARGUMENT, "the loader has %s",
                     loader->failed ? "failed" : "not finished");
  }
  return WEFT_OK;
}

/* ---- external data ----------------------------------------------------------------------------------------------- */
size_t weft_loader_external_count(const weft_loader *loader) {
  return loader->finished ? loader->model.payload_count - loader->external_first : 0;
}

weft_status weft_loader_external(weft_loader *loader, size_t index, weft_external *out, weft_error *error) {
  begin(loader, error);
  memset(out, 0, sizeof *out);
  if (index >= weft_loader_external_count(loader)) {
    return weft_fail(&loader->cx, WEFT_INVALID_ARGUMENT, "there is no external piece %zu: the model has %zu", index,
                     weft_loader_external_count(loader));
  }
  weft_onnx_payload *payload = &loader->model.payloads[loader->external_first + index];
  if (payload->data == NULL) {
    WEFT_TRY(weft_alloc(&loader->cx, payload->size, &payload->data));
  }
  *out =
      (weft_external){.path = payload->path, .offset = payload->offset, .size = payload->size, .data = payload->data};
  return WEFT_OK;
}
