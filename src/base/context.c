/* Failures become one sentence here. Text that came from a model may hold anything: bytes that are no printable ASCII or
 * well-formed-looking UTF-8 continuation are replaced, so that a message can be shown anywhere. */
#include "context.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void make_printable(char *text) {
  for (unsigned char *p = (unsigned char *)text; *p != 0; p++) {
    if (*p < 0x20 || *p == 0x7f) {
      *p = '?';
    }
  }
}

/* A cut must not leave half a UTF-8 character at the end. */
static void drop_cut_character(char *text, size_t size) {
  size_t n = strlen(text);
  if (n + 1 < size) {
    return;
  }
  size_t begin = n;
  while (begin > 0 && ((unsigned char)text[begin - 1] & 0xc0u) == 0x80u) {
    begin--;
  }
  if (begin > 0 && (unsigned char)text[begin - 1] >= 0xc0u) {
    begin--;
  }
  text[begin] = 0;
}

static void copy_name(char *out, size_t size, const char *name) {
  snprintf(out, size, "%s", name != NULL ? name : "");
  make_printable(out);
  drop_cut_character(out, size);
}

weft_status weft_fail(weft_context *cx, weft_status code, const char *format, ...) {
  weft_error *error = cx->error;
  error->code = code;
  copy_name(error->node, sizeof error->node, cx->node);
  copy_name(error->op, sizeof error->op, cx->node != NULL ? cx->op : NULL);
  size_t used = 0;
  if (cx->node != NULL) {
    int n = snprintf(error->message, sizeof error->message, "node '%s' (%s): ", error->node, error->op);
    used = n < 0 ? 0 : (size_t)n;
  }
  va_list args;
  va_start(args, format);
  vsnprintf(error->message + used, sizeof error->message - used, format, args);
  va_end(args);
  make_printable(error->message);
  drop_cut_character(error->message, sizeof error->message);
  return code;
}

const char *weft_version(void) {
  return WEFT_VERSION;
}

const char *weft_status_name(weft_status status) {
  static const char *const names[] = {
      "OK", "INVALID_ARGUMENT", "INVALID_MODEL", "UNSUPPORTED", "OUT_OF_MEMORY", "LIMIT_EXCEEDED",
      "IO", "CANCELLED",        "RUN_FAILED",    "INTERNAL",    "DEFERRED"};
  return (size_t)status < sizeof names / sizeof *names ? names[status] : "UNKNOWN";
}
