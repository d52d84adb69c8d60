/* Regular expressions in RE2's syntax, matched in time proportional to expression times text. Groups do not capture. */
#ifndef WEFT_OPS_REGEX_H
#define WEFT_OPS_REGEX_H

#include "op.h"

typedef struct weft_regex weft_regex;

/* Compiles into scratch memory of `op`, good until its run returns. */
weft_status weft_regex_compile(weft_op *op, const char *pattern, weft_regex **out);
/* Whether the whole text matches. */
bool weft_regex_full_match(weft_regex *regex, const char *text, size_t size);
/* The length of the longest match that begins at `at`; SIZE_MAX when there is none. */
size_t weft_regex_match_at(weft_regex *regex, const char *text, size_t size, size_t at);

#endif
