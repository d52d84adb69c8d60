/* Text in UTF-8, without any locale. Bytes that are not UTF-8 are taken one by one, as the code points 0x80 to 0xff. */
#ifndef WEFT_OPS_TEXT_H
#define WEFT_OPS_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* The code point at text[*at], which is moved behind it; *at < size. */
uint32_t weft_text_next(const char *text, size_t size, size_t *at);
/* Writes a code point, at most 4 bytes; returns how many. */
size_t weft_text_put(uint32_t c, char *out);
/* The simple case mappings of Unicode for the scripts that have case. */
uint32_t weft_text_lower(uint32_t c);
uint32_t weft_text_upper(uint32_t c);

#endif
