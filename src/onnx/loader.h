/* What a loader is inside, so that weft_session_create can take it over: the context with its budget, the options with
 * their defaults filled in, and the decoded model. */
#ifndef WEFT_ONNX_LOADER_H
#define WEFT_ONNX_LOADER_H

#include "model.h"

struct weft_walker;

struct weft_loader {
  weft_context cx; /* may be copied, since blocks find their budget by themselves; holds one reference to cx.memory */
  weft_error ignored;         /* where errors go between calls, and when a caller wants none */
  weft_options options;       /* no zero limits but max_memory */
  struct weft_walker *walker; /* until finish */
  weft_onnx_model model;
  size_t external_first; /* payloads from here on are external */
  uint8_t head[32];      /* the file's first bytes, to recognise what is no model */
  size_t head_size;
  bool failed, finished;
};

/* For weft_session_create: fails unless finish succeeded. */
weft_status weft_loader_check_ready(weft_loader *loader);

#ifndef __EMSCRIPTEN__
/* Pushes the file `path`, or standard input for "-", and finishes; external data is not read. Not in builds for
 * JavaScript, whose hosts bring the bytes. */
weft_status weft_loader_push_file(weft_loader *loader, const char *path, weft_error *error);
/* Then reads external data from beside it. Symbolic links never lead out of the model's folder. */
weft_status weft_loader_read_external(weft_loader *loader, const char *path, weft_error *error);
/* strerror, but for what WASI says of a file outside the folders that the host gave. */
const char *weft_file_reason(int code);
#endif

#endif
