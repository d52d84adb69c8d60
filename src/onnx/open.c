/* The whole way to a session, for a model in memory or in a file: a loader, its bytes, a session. Builds for JavaScript
 * have no files: their hosts bring the bytes. */
#include "room.h"

static weft_status load_bytes(weft_loader *loader, const void *bytes, size_t size, weft_error *error) {
  weft_loader_expect(loader, size);
  WEFT_TRY(weft_loader_push(loader, bytes, size, error));
  WEFT_TRY(weft_loader_finish(loader, error));
  if (weft_loader_external_count(loader) > 0) {
    return weft_fail(&loader->cx, WEFT_INVALID_ARGUMENT,
                     "the model keeps data in the file '%s': give it through a loader, or load the model from its file",
                     loader->model.payloads[loader->external_first].path);
  }
  return WEFT_OK;
}

weft_status weft_session_create_from_bytes(const void *bytes, size_t size, const weft_options *options,
                                           weft_session **out, weft_error *error) {
  weft_loader *loader;
  *out = NULL;
  WEFT_TRY(weft_loader_create(options, &loader, error));
  weft_status status = load_bytes(loader, bytes, size, error);
  if (status != WEFT_OK) {
    weft_loader_destroy(loader);
    return status;
  }
  return weft_session_create(loader, out, error);
}

#ifdef __EMSCRIPTEN__
static weft_status load_file(weft_loader *loader, const char *path, weft_error *error) {
  (void)error;
  return weft_fail(&loader->cx, WEFT_UNSUPPORTED, "cannot open '%s': this build has no files", path);
}
#else
static weft_status load_file(weft_loader *loader, const char *path, weft_error *error) {
  WEFT_TRY(weft_loader_push_file(loader, path, error));
  return weft_loader_read_external(loader, path, error);
}
#endif

weft_status weft_session_create_from_file(const char *path, const weft_options *options, weft_session **out,
                                          weft_error *error) {
  weft_loader *loader;
  *out = NULL;
  WEFT_TRY(weft_loader_create(options, &loader, error));
  weft_status status = load_file(loader, path, error);
  if (status != WEFT_OK) {
    weft_loader_destroy(loader);
    return status;
  }
  return weft_session_create(loader, out, error);
}
