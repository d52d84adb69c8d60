/* Failures become one sentence here. Text that came from a model may hold anything: what is no printable character of
 * well-formed UTF-8 is replaced, so that a message can be shown anywhere. */
#include "context.h"

#include <string.h>

#include "text.h"

size_t weft_character_length(const char *text) {
  const unsigned char *p = (const unsigned char *)text;
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (*p < 0x80) {
    return *p >= 0x20 && *p != 0x7f;
  }
  size_t length = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
  uint32_t code = *p & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((p[i] & 0xc0u) != 0x80u) {
      return 0; /* at the latest at the end */
    }
    code = code << 6 | (p[i] & 0x3fu);
  }
  return *p < 0xf8 && code >= least[length] && code <= 0x10ffff && (code & ~0x7ffu) != 0xd800 ? length : 0;
}

static void make_printable(char *text) {
  while (*text != 0) {
    size_t length = weft_character_length(text);
    *text = length == 0 ? '?' : *text;
    text += length == 0 ? 1 : length;
  }
}

static void copy_name(char *out, size_t size, const char *name) {
  weft_print(out, size, "%s", name != NULL ? name : "");
  make_printable(out);
}

weft_status weft_vfail(weft_context *cx, weft_status code, const char *format, va_list args) {
  weft_error *error = cx->error;
  error->code = code;
  copy_name(error->node, sizeof error->node, cx->node);
  copy_name(error->op, sizeof error->op, cx->node != NULL ? cx->op : NULL);
  size_t used = 0;
  if (cx->node != NULL) {
    used = weft_print(error->message, sizeof error->message, "node '%s' (%s): ", error->node, error->op);
  }
  weft_vprint(error->message + used, sizeof error->message - used, format, args);
  make_printable(error->message);
  return code;
}

weft_status weft_fail(weft_context *cx, weft_status code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  weft_vfail(cx, code, format, args);
  va_end(args);
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
