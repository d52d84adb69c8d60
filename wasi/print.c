/* What the command writes for people and as JSON. All goes through the core's own printing: a C library's would be 14 kB
 * more of the command. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "cli.h"

/* Into `room`, or into fresh memory where that is too small; NULL when there is none. */
static char *print(const char *format, va_list args, char *room, size_t size, size_t *length) {
  va_list again;
  va_copy(again, args);
  *length = weft_vprint(room, size, format, args);
  char *text = *length < size ? room : malloc(*length + 1);
  if (text != NULL && text != room) {
    weft_vprint(text, *length + 1, format, again);
  }
  va_end(again);
  return text;
}

bool weft_cli_print(weft_cli *cli, char **out, const char *format, ...) {
  size_t length;
  va_list args;
  va_start(args, format);
  *out = print(format, args, NULL, 0, &length);
  va_end(args);
  return *out != NULL || weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for a text");
}

void weft_cli_say(FILE *file, const char *format, ...) {
  char room[512];
  size_t length;
  va_list args;
  va_start(args, format);
  char *text = print(format, args, room, sizeof room, &length);
  va_end(args);
  if (text == NULL) {
    fputs("(no memory)", file);
    return;
  }
  fwrite(text, 1, length, file);
  if (text != room) {
    free(text);
  }
}

void weft_cli_name(FILE *file, const char *name) {
  for (size_t n; *name != 0; name += n != 0 ? n : 1) {
    n = weft_character_length(name);
    fwrite(n != 0 ? name : "?", 1, n != 0 ? n : 1, file);
  }
}

void weft_cli_json(FILE *file, const char *text) {
  fputc('"', file);
  for (size_t n = 1; *text != 0; text += n) {
    unsigned char c = (unsigned char)*text;
    n = 1;
    if (c < ' ') {
      weft_cli_say(file, "\\u00%c%c", "01"[c / 16], "0123456789abcdef"[c % 16]);
    } else if (c < 0x80) {
      weft_cli_say(file, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    } else if (weft_character_length(text) == 0) {
      fputs("\\ufffd", file);
    } else {
      n = weft_character_length(text);
      fwrite(text, 1, n, file);
    }
  }
  fputc('"', file);
}

weft_cli_number_text weft_cli_fixed(double value, int decimals) {
  weft_cli_number_text out;
  char fraction[20];
  uint64_t scale = 1;
  for (int i = 0; i < decimals; i++) {
    scale *= 10;
  }
  double scaled = fabs(value) * (double)scale + 0.5;
  if (!(scaled < 1e18)) {
    return weft_cli_digits(WEFT_DOUBLE, value, WEFT_DECIMAL_DIGITS);
  }
  uint64_t whole = (uint64_t)scaled, rest = whole % scale;
  for (int i = decimals; i-- > 0; rest /= 10) {
    fraction[i] = (char)('0' + rest % 10);
  }
  weft_print(out.text, sizeof out.text, "%s%llu%s%.*s", signbit(value) ? "-" : "", (unsigned long long)(whole / scale),
             decimals > 0 ? "." : "", decimals, fraction);
  return out;
}

weft_cli_number_text weft_cli_digits(weft_type type, double value, int most) {
  weft_cli_number_text out;
  weft_decimal_print(out.text, type, value, most);
  return out;
}
