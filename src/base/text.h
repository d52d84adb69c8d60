/* Text of messages and names, and numbers as text: the part of a C library's printing and reading that the core uses.
 * Its own brings floats of 128 bits, positions and wide characters along, 23 kB of a module. */
#ifndef WEFT_BASE_TEXT_H
#define WEFT_BASE_TEXT_H

#include <stdarg.h>

#include "context.h"

/* The longest number that weft_decimal_print writes, with its end. */
enum { WEFT_DECIMAL_SIZE = 32, WEFT_DECIMAL_DIGITS = 17 };

/* snprintf of %s, %c, %d, %u with the sizes l, ll and z, and %%; widths, also to the left (%-9s), and how much of a text
 * (%.9s, %.*s) may be given. Writes at most `size` bytes, the last of them 0 where size is not 0, and returns how many
 * characters the whole has. */
size_t weft_print(char *out, size_t size, const char *format, ...) WEFT_PRINTF(3, 4);
size_t weft_vprint(char *out, size_t size, const char *format, va_list args);

/* The whole number that `text` begins with, after spaces and a sign; what does not fit becomes the nearest that does: of
 * 64 bits without a sign if `is_unsigned` and there is no minus. *end (unless NULL) is where it stops: `text` where there
 * is none. */
int64_t weft_whole_read(const char *text, const char **end, bool is_unsigned);

/* The decimal number, perhaps with an exponent, or inf, infinity or nan in any case, that `text` begins with after spaces
 * and a sign: rounded to the nearest double, ties to even, if `to_odd` is false; else cut, with an odd last bit where
 * something was cut off, so that rounding it once more to a narrower type is as good as rounding once (Boldo and
 * Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd"). Exact for
 * texts of up to 127 digits. *end as above. */
double weft_decimal_read(const char *text, const char **end, bool to_odd);

/* The shortest decimal that read as a number of the type (a float type that holds `value`) is `value` again, or the
 * nearest of `most` digits (1 to WEFT_DECIMAL_DIGITS, which are always enough), or NaN, INF, -INF. From 1e-4 up to 1e16 it
 * has no exponent, and units it does not determine are those of `value`. Returns its length. */
size_t weft_decimal_print(char out[WEFT_DECIMAL_SIZE], weft_type type, double value, int most);

#endif
