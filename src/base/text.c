/* Messages and names: what snprintf would do for the few conversions they use. */
#include "text.h"

#include <string.h>

typedef struct text_out {
  char *out;
  size_t size, used; /* `used` counts what found no room as well */
} text_out;

static void put(text_out *t, const char *text, size_t count) {
  for (size_t i = 0; i < count; i++, t->used++) {
    if (t->used + 1 < t->size) {
      t->out[t->used] = text[i];
    }
  }
}

/* What one conversion asks for. */
typedef struct text_form {
  size_t width, most;
  bool left;
} text_form;

static void put_wide(text_out *t, const text_form *form, const char *text, size_t count) {
  const size_t blanks = form->width > count ? form->width - count : 0;
  for (size_t i = 0; i < blanks && !form->left; i++) {
    put(t, " ", 1);
  }
  put(t, text, count);
  for (size_t i = 0; i < blanks && form->left; i++) {
    put(t, " ", 1);
  }
}

static void put_whole(text_out *t, const text_form *form, uint64_t magnitude, bool is_negative) {
  char digits[21];
  char *first = digits + sizeof digits;
  do {
    *--first = (char)('0' + magnitude % 10);
    magnitude /= 10;
  } while (magnitude != 0);
  if (is_negative) {
    *--first = '-';
  }
  put_wide(t, form, first, (size_t)(digits + sizeof digits - first));
}

static size_t read_size(const char **at) {
  size_t size = 0;
  for (; **at >= '0' && **at <= '9'; ++*at) {
    size = size * 10 + (size_t)(**at - '0');
  }
  return size;
}

size_t weft_vprint(char *out, size_t size, const char *format, va_list args) {
  text_out t = {out, size, 0};
  for (const char *at = format; *at != 0; at++) {
    if (*at != '%') {
      put(&t, at, 1);
      continue;
    }
    at++;
    size_t bytes = sizeof(int);
    text_form form = {0, SIZE_MAX, *at == '-'};
    at += form.left;
    form.width = read_size(&at);
    if (*at == '.') {
      at++;
      if (*at == '*') {
        form.most = (size_t)va_arg(args, int);
        at++;
      } else {
        form.most = read_size(&at);
      }
    }
    for (; *at == 'l' || *at == 'z'; at++) {
      bytes = at[-1] == 'l' ? sizeof(long long) : *at == 'l' ? sizeof(long) : sizeof(size_t);
    }
    if (*at == 's') {
      const char *text = va_arg(args, const char *);
      text = text != NULL ? text : "(none)";
      const char *end = memchr(text, 0, form.most);
      put_wide(&t, &form, text, end != NULL ? (size_t)(end - text) : form.most);
    } else if (*at == 'd') {
      long long number = bytes == sizeof number ? va_arg(args, long long) : va_arg(args, int);
      put_whole(&t, &form, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, number < 0);
    } else if (*at == 'u') {
      put_whole(&t, &form, bytes == sizeof(long long) ? va_arg(args, unsigned long long) : va_arg(args, unsigned),
                false);
    } else {
      char character = *at == 'c' ? (char)va_arg(args, int) : *at;
      put(&t, &character, 1);
    }
  }
  if (size > 0) {
    out[t.used < size ? t.used : size - 1] = 0;
  }
  return t.used;
}

size_t weft_print(char *out, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t used = weft_vprint(out, size, format, args);
  va_end(args);
  return used;
}
