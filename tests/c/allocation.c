/* Every allocation fails once: a model is loaded and run again and again, each time with the next allocation refused,
 * until one round gets through. Each failure must come out as a sentence, leave nothing behind (the leak checker tells)
 * and, where it hits a run, leave the session able to run. */
#include "onnx/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const model_path = "models/digits/digits.onnx";

typedef struct bytes {
  unsigned char *data;
  size_t size;
} bytes;

static int fail(const char *what, const weft_error *error) {
  fprintf(stderr, "%s: %s: %s\n", what, weft_status_name(error->code), error->message);
  return 1;
}

static bytes read_model(void) {
  bytes b = {malloc((size_t)1 << 20), 0};
  FILE *file = fopen(model_path, "rb");
  if (file != NULL && b.data != NULL) {
    b.size = fread(b.data, 1, (size_t)1 << 20, file);
    fclose(file);
  }
  return b;
}

static weft_status load(bytes model, size_t fail_at, weft_session **out, weft_memory **memory, weft_error *error) {
  weft_loader *loader;
  *out = NULL;
  weft_status status = weft_loader_create(NULL, &loader, error);
  if (status != WEFT_OK) {
    return status;
  }
  *memory = loader->cx.memory;
  (*memory)->fail_at = fail_at;
  status = weft_loader_push(loader, model.data, model.size, error);
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
static size_t fail_loading(bytes model, weft_error *error) {
  for (size_t n = 1;; n++) {
    weft_session *session;
    weft_memory *memory = NULL;
    weft_status status = load(model, n, &session, &memory, error);
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
static size_t fail_running(bytes model, size_t before, weft_value *image, weft_error *error) {
  for (size_t n = 1;; n++) {
    weft_session *session;
    weft_memory *memory = NULL;
    if (load(model, 0, &session, &memory, error) != WEFT_OK) {
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
  bytes model = read_model();
  if (model.size == 0) {
    fprintf(stderr, "%s cannot be read\n", model_path);
    return 1;
  }
  if (create_images(1, &image, &error) != WEFT_OK) {
    return fail("no image", &error);
  }
  size_t loading = fail_loading(model, &error);
  size_t running = loading == 0 ? 0 : fail_running(model, 0, image, &error);
  size_t again = running == 0 ? 0 : fail_running(model, 4, image, &error);
  printf("%zu allocations while loading, %zu in a first run and %zu in one of another size were refused one by one\n",
         loading, running, again);
  weft_value_release(image);
  free(model.data);
  return loading == 0 || running == 0 || again == 0;
}
