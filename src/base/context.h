/* The context: what nearly every function of Weft needs and nothing else — the memory budget, the place for an error's
 * sentence, the thread pool, the kernels, and the flag that stops a run. It is passed as the first argument, so that
 * there are no globals and two sessions never meet. It must not know ONNX. */
#ifndef WEFT_BASE_CONTEXT_H
#define WEFT_BASE_CONTEXT_H

#include <stdarg.h>

#include "../weft.h"

struct weft_memory;
struct weft_pool;
struct weft_kernels;

typedef struct weft_context {
  struct weft_memory *memory;         /* never NULL */
  weft_error *error;                  /* never NULL: a caller that wants none gets a dummy */
  struct weft_pool *pool;             /* NULL: everything on this thread */
  const struct weft_kernels *kernels; /* chosen once at start */
  volatile int32_t cancelled;         /* set by another thread, polled between nodes and tiles */
  bool plain;                         /* products and all else as they are written: nothing is optimised */
  const char *node;                   /* the node at work, for errors; NULL: none */
  const char *op;                     /* its operator */
} weft_context;

#if defined(__GNUC__)
#define WEFT_PRINTF(text, args) __attribute__((format(printf, text, args)))
#else
#define WEFT_PRINTF(text, args)
#endif

/* Passes any status but WEFT_OK up to the caller. */
#define WEFT_TRY(expr)                                                                                                 \
  do {                                                                                                                 \
    weft_status weft_try_status = (expr);                                                                              \
    if (weft_try_status != WEFT_OK) {                                                                                  \
      return weft_try_status;                                                                                          \
    }                                                                                                                  \
  } while (0)

/* The bytes of the first character of a text that goes on or ends with a zero; 0 where it is no printable one (RFC 3629). */
size_t weft_character_length(const char *text);

/* Writes the sentence into cx->error, prefixed with the node and operator at work if there is one, and returns `code`.
 * Text from a model may be passed with %s: it is cut to the buffer, and made printable. No floating-point conversions. */
weft_status weft_fail(weft_context *cx, weft_status code, const char *format, ...) WEFT_PRINTF(3, 4);
weft_status weft_vfail(weft_context *cx, weft_status code, const char *format, va_list args);

#endif
