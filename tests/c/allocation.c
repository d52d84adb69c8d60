/* Every allocation fails once: a model is loaded and run again and again, each time with the next allocation refused,
 * until one round gets through. Each failure must come out as a sentence, leave nothing behind (the leak checker tells)
 * and, where it hits a run, leave the session able to run. */
#include "model_bytes.h"
#include "onnx/loader.h"

static const char *const model_path = "models/digits/digits.onnx";

static int fail(const char *what, const weft_error *error) {
  fprintf(stderr, "%s: %s: %s\n", what, weft_status_name(error->code), error->message);
  return 1;
}

static bytes read_model(void) {
  bytes b = {.data = malloc((size_t)1 << 20)};
  FILE *file = fopen(model_path, "rb");
  if (file != NULL && b.data != NULL) {
    b.size = fread(b.data, 1, (size_t)1 << 20, file);
    fclose(file);
  }
  return b;
}

/* Many nodes that hold a tensor each, moved to another list by the upgrade, which the first one needs. */
static bytes make_old_model(void) {
  bytes g = {0};
  const int64_t one[] = {1};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 1, one);
  graph_tensor(&g, "shape", 7, 8, 1, one, one);
  bytes old = node("Softmax", "x", "y");
  with_int(&old, "axis", 0);
  graph_node(&g, old);
  for (int i = 0; i < 150; i++) {
    char name[8];
    snprintf(name, sizeof name, "c%d", i);
    bytes filled = node("ConstantOfShape", "shape", name);
    with_tensor(&filled, "value", 2);
    graph_node(&g, filled);
  }
  graph_output(&g, "y");
  return model(11, &g);
}

static weft_status load(bytes file, size_t fail_at, weft_session **out, weft_memory **memory, weft_error *error) {
  weft_loader *loader;
  *out = NULL;
  weft_status status = weft_loader_create(NULL, &loader, error);
  if (status != WEFT_OK) {
    return status;
  }
  *memory = loader->cx.memory;
  (*memory)->fail_at = fail_at;
  status = weft_loader_push(loader, file.data, file.size, error);
  if (status == WEFT_OK) {
    status = weft_loader_finish(loader, error);
  }
  if (status != WEFT_OK) {
    weft_loader_destroy(loader);
    return status;
  }
  return weft_session_create(loader, out, error);
}

static weft_status run_once(weft_session *session, weft_value *image, weft_error *error) {
  const char *in = "image", *out = "probabilities";
  weft_value *result;
  weft_status status = weft_session_run(session, 1, &in, &image, 1, &out, &result, error);
  weft_value_release(result);
  return status;
}

static weft_status create_images(int64_t count, weft_value **out, weft_error *error) {
  return weft_value_create_tensor(WEFT_FLOAT, 4, (const int64_t[]){count, 1, 28, 28}, out, error);
}

/* Loading: returns the number of the first allocation that is never reached, 0 on a wrong outcome. */
static size_t fail_loading(bytes file, weft_error *error) {
  for (size_t n = 1;; n++) {
    weft_session *session;
    weft_memory *memory = NULL;
    weft_status status = load(file, n, &session, &memory, error);
    if (status == WEFT_OK) {
      bool unreached = memory->fail_at != 0;
      weft_session_destroy(session);
      if (unreached) {
        return n;
      }
    } else if (status != WEFT_OUT_OF_MEMORY || error->message[0] == 0) {
      fprintf(stderr, "allocation %zu refused while loading: ", n);
      fail("expected OUT_OF_MEMORY", error);
      return 0;
    }
  }
}

/* A session each time: only its first run makes the plan, or after `before` runs of other sizes the next one takes over
 * the last one's. */
static size_t fail_running(bytes file, size_t before, weft_value *image, weft_error *error) {
  for (size_t n = 1;; n++) {
    weft_session *session;
    weft_memory *memory = NULL;
    if (load(file, 0, &session, &memory, error) != WEFT_OK) {
      return 0;
    }
    for (size_t i = 0; i < before; i++) {
      weft_value *images;
      if (create_images((int64_t)i + 2, &images, error) != WEFT_OK || run_once(session, images, error) != WEFT_OK) {
        return 0;
      }
      weft_value_release(images);
    }
    memory->fail_at = n;
    weft_status status = run_once(session, image, error);
    bool unreached = memory->fail_at != 0;
    memory->fail_at = 0;
    bool usable = run_once(session, image, error) == WEFT_OK;
    weft_session_destroy(session);
    if (!usable || (status != WEFT_OK && status != WEFT_OUT_OF_MEMORY)) {
      fprintf(stderr, "allocation %zu refused while running: ", n);
      fail("the session is not usable afterwards", error);
      return 0;
    }
    if (status == WEFT_OK && unreached) {
      return n;
    }
  }
}

int main(void) {
  weft_error error;
  weft_value *image;
  bytes file = read_model();
  if (file.size == 0) {
    fprintf(stderr, "%s cannot be read\n", model_path);
    return 1;
  }
  if (create_images(1, &image, &error) != WEFT_OK) {
    return fail("no image", &error);
  }
  bytes old = make_old_model();
  size_t loading = fail_loading(file, &error), upgraded = fail_loading(old, &error);
  size_t running = loading == 0 ? 0 : fail_running(file, 0, image, &error);
  size_t again = running == 0 ? 0 : fail_running(file, 4, image, &error);
  printf("%zu and %zu allocations while loading, %zu in a first run and %zu in one of another size were refused one by "
         "one\n",
         loading, upgraded, running, again);
  weft_value_release(image);
  clear(&file);
  clear(&old);
  return loading == 0 || upgraded == 0 || running == 0 || again == 0;
}
