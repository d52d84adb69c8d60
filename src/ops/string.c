/* StringConcat, StringSplit, StringNormalizer, RegexFullMatch, and Tokenizer of com.microsoft: operators on text. New
 * strings live as long as the run's values; pieces of an input's string share its bytes. */
#include "op.h"
#include "order.h"
#include "regex.h"
#include "strided.h"
#include "text.h"

#include <string.h>

static weft_status expect_strings(weft_op *op, int i, const char *name) {
  return weft_op_expect_type(op, i, name, WEFT_TYPE_BIT(WEFT_STRING));
}

/* ---- StringConcat ------------------------------------------------------------------------------------------------ */
weft_status weft_string_concat_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(expect_strings(op, 0, "X"));
  WEFT_TRY(expect_strings(op, 1, "Y"));
  return weft_infer_broadcast(op);
}

/* Element i of the output's elements, read from an input that is broadcast. */
static const weft_string *broadcast_string(const weft_tensor *in, const weft_shape *out, size_t i) {
  size_t at = 0, scale = 1;
  for (int d = out->rank - 1, own = in->shape.rank - 1; own >= 0; d--, own--) {
    size_t dim = (size_t)in->shape.dims[own];
    at += dim == 1 ? 0 : i % (size_t)out->dims[d] * scale;
    scale *= dim;
    i /= (size_t)out->dims[d];
  }
  return (const weft_string *)in->data + at;
}

weft_status weft_string_concat_run(weft_op *op) {
  weft_tensor *out = weft_op_out(op, 0);
  for (size_t i = 0; i < out->count; i++) {
    const weft_string *x = broadcast_string(weft_op_in(op, 0), &out->shape, i);
    const weft_string *y = broadcast_string(weft_op_in(op, 1), &out->shape, i);
    void *joined;
    WEFT_TRY(weft_op_scratch(op, x->size + y->size, &joined));
    if (x->size > 0) {
      memcpy(joined, x->data, x->size);
    }
    if (y->size > 0) {
      memcpy((char *)joined + x->size, y->data, y->size);
    }
    WEFT_TRY(weft_op_string(op, joined, x->size + y->size, (weft_string *)out->data + i));
  }
  return WEFT_OK;
}

/* ---- StringSplit ------------------------------------------------------------------------------------------------- */
static bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes the next piece off `rest`; false when nothing is left. `last`: all that remains is one piece. An empty
 * delimiter stands for runs of white space, which also fall away at both ends. */
static bool next_piece(weft_string *rest, const char *delimiter, size_t length, bool last, weft_string *piece) {
  if (rest->data == NULL) {
    return false;
  }
  const char *begin = rest->data, *end = begin + rest->size, *at = begin;
  if (length == 0) {
    while (begin < end && is_space(*begin)) {
      begin++;
    }
    while (last && end > begin && is_space(end[-1])) {
      end--;
    }
    for (at = begin; at < end && (last || !is_space(*at)); at++) {
    }
    *rest = (weft_string){at == end ? NULL : at, (size_t)(end - at)};
    *piece = (weft_string){begin, (size_t)(at - begin)};
    return at > begin;
  }
  while (!last && (size_t)(end - at) >= length && memcmp(at, delimiter, length) != 0) {
    at++;
  }
  bool found = !last && (size_t)(end - at) >= length;
  at = found ? at : end;
  *piece = (weft_string){begin, (size_t)(at - begin)};
  *rest = found ? (weft_string){at + length, (size_t)(end - at) - length} : (weft_string){NULL, 0};
  return true;
}

typedef struct splitter {
  const char *delimiter;
  size_t length;
  int64_t most; /* splits; negative: no limit */
} splitter;

/* Cuts one string; writes up to `room` pieces to `out` and returns how many there are. */
static size_t split_one(const splitter *s, const weft_string *text, size_t room, weft_string *out) {
  weft_string rest = {text->data == NULL ? "" : text->data, text->size}, piece;
  size_t count = 0;
  while (next_piece(&rest, s->delimiter, s->length, s->most >= 0 && (int64_t)count >= s->most, &piece)) {
    if (count < room) {
      out[count] = piece;
    }
    count++;
  }
  return count;
}

weft_status weft_string_split_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(expect_strings(op, 0, "X"));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 0, WEFT_MAX_RANK - 1));
  const weft_tensor *in = weft_op_in(op, 0);
  const weft_string *text = in->data;
  splitter s = {weft_op_attr_string(op, "delimiter", ""), 0, weft_op_attr_int(op, "maxsplit", -1)};
  s.length = strlen(s.delimiter);
  size_t most = 0;
  for (size_t i = 0; i < in->count; i++) {
    size_t count = split_one(&s, &text[i], 0, NULL);
    most = count > most ? count : most;
  }
  weft_shape shape = in->shape;
  shape.dims[shape.rank++] = (int64_t)most;
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_STRING, &shape));
  WEFT_TRY(weft_op_allocate(op, 1, WEFT_INT64, &in->shape));
  weft_tensor *pieces = weft_op_out(op, 0), *counts = weft_op_out(op, 1);
  if (pieces != NULL) {
    memset(pieces->data, 0, pieces->count * sizeof(weft_string));
  }
  for (size_t i = 0; i < in->count; i++) {
    weft_string *row = pieces == NULL ? NULL : (weft_string *)pieces->data + i * most;
    size_t count = split_one(&s, &text[i], pieces == NULL ? 0 : most, row);
    if (counts != NULL) {
      ((int64_t *)counts->data)[i] = (int64_t)count;
    }
  }
  return WEFT_OK;
}

/* ---- StringNormalizer -------------------------------------------------------------------------------------------- */
typedef enum case_change { CASE_NONE, CASE_LOWER, CASE_UPPER } case_change;

static weft_status change_case(weft_op *op, case_change change, const weft_string *from, weft_string *to) {
  void *block;
  size_t at = 0, written = 0;
  if (change == CASE_NONE) {
    *to = *from;
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch_array(op, from->size, 4, &block));
  while (at < from->size) {
    uint32_t c = weft_text_next(from->data, from->size, &at);
    written += weft_text_put(change == CASE_LOWER ? weft_text_lower(c) : weft_text_upper(c), (char *)block + written);
  }
  return weft_op_string(op, block, written, to);
}

static weft_status read_case(weft_op *op, case_change *out) {
  int choice;
  WEFT_TRY(weft_op_choice(op, "case_change_action", "NONE LOWER UPPER", CASE_NONE, &choice));
  *out = (case_change)choice;
  const char *locale = weft_op_attr_string(op, "locale", "");
  if (*out != CASE_NONE && (strncmp(locale, "tr", 2) == 0 || strncmp(locale, "az", 2) == 0)) {
    return weft_op_unsupported(op, "the letters i of the locale %s", locale);
  }
  return WEFT_OK;
}

static bool is_stopword(const weft_string *text, size_t count, const weft_string *stopwords) {
  for (size_t i = 0; i < count; i++) {
    if (weft_compare_elements(WEFT_STRING, text, 0, stopwords, i) == 0) {
      return true;
    }
  }
  return false;
}

/* The stopwords, in lower case when case does not count. */
static weft_status read_stopwords(weft_op *op, bool sensitive, size_t *count, const weft_string **out) {
  void *block;
  *out = weft_op_attr_strings(op, "stopwords", count);
  if (sensitive || *count == 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch(op, *count * sizeof(weft_string), &block));
  weft_string *folded = block;
  for (size_t i = 0; i < *count; i++) {
    WEFT_TRY(change_case(op, CASE_LOWER, &(*out)[i], &folded[i]));
  }
  *out = folded;
  return WEFT_OK;
}

/* Writes what is kept of the input to `kept`. */
static weft_status normalize(weft_op *op, const weft_tensor *in, weft_string *kept, size_t *count) {
  bool sensitive = weft_op_attr_int(op, "is_case_sensitive", 0) != 0;
  case_change change;
  size_t stopword_count;
  const weft_string *stopwords, *text = in->data;
  WEFT_TRY(read_case(op, &change));
  WEFT_TRY(read_stopwords(op, sensitive, &stopword_count, &stopwords));
  *count = 0;
  for (size_t i = 0; i < in->count; i++) {
    weft_string compared = text[i];
    if (stopword_count > 0 && !sensitive) {
      WEFT_TRY(change_case(op, CASE_LOWER, &text[i], &compared));
    }
    if (!is_stopword(&compared, stopword_count, stopwords)) {
      WEFT_TRY(change_case(op, change, &text[i], &kept[(*count)++]));
    }
  }
  return WEFT_OK;
}

/* [C] or [1, C]; when nothing is kept, one empty string is. */
weft_status weft_string_normalizer_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(expect_strings(op, 0, "X"));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 1, 2));
  const weft_tensor *in = weft_op_in(op, 0);
  void *kept;
  size_t count;
  if (in->shape.rank == 2 && in->shape.dims[0] != 1) {
    return weft_op_fail(op, "input X: expected one row, found %lld", (long long)in->shape.dims[0]);
  }
  WEFT_TRY(weft_op_scratch(op, (in->count + 1) * sizeof(weft_string), &kept));
  WEFT_TRY(normalize(op, in, kept, &count));
  if (count == 0) {
    ((weft_string *)kept)[count++] = (weft_string){"", 0};
  }
  weft_shape shape = in->shape;
  shape.dims[shape.rank - 1] = (int64_t)count;
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_STRING, &shape));
  memcpy(weft_op_out(op, 0)->data, kept, count * sizeof(weft_string));
  return WEFT_OK;
}

/* ---- RegexFullMatch ---------------------------------------------------------------------------------------------- */
weft_status weft_regex_full_match_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(expect_strings(op, 0, "X"));
  return weft_op_set(op, 0, WEFT_BOOL, &weft_op_in(op, 0)->shape);
}

weft_status weft_regex_full_match_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  const weft_string *text = in->data;
  uint8_t *out = weft_op_out(op, 0)->data;
  weft_regex *regex;
  WEFT_TRY(weft_regex_compile(op, weft_op_attr_string(op, "pattern", ""), &regex));
  for (size_t i = 0; i < in->count; i++) {
    out[i] = weft_regex_full_match(regex, text[i].data == NULL ? "" : text[i].data, text[i].size);
  }
  return WEFT_OK;
}

/* ---- Tokenizer --------------------------------------------------------------------------------------------------- */
enum { MOST_SEPARATORS = 100 }; /* each cuts what the ones before it left, by a call of its own */

typedef struct tokenizer {
  weft_regex *token;       /* tokens are what it matches, or */
  weft_regex **separators; /* what lies between these, or */
  size_t separator_count;  /* 0 without `token`: characters */
  int64_t least;           /* characters of a token */
} tokenizer;

/* Where tokens go; those beyond `room` are only counted. */
typedef struct tokens {
  size_t count, room;
  weft_string *out;
} tokens;

static weft_status read_tokenizer(weft_op *op, tokenizer *t) {
  const char *expression = weft_op_attr_string(op, "tokenexp", NULL);
  const weft_string *separators = weft_op_attr_strings(op, "separators", &t->separator_count);
  void *block;
  t->least = weft_op_attr_int(op, "mincharnum", 1);
  t->token = NULL;
  if ((expression == NULL) == (t->separator_count == 0)) {
    return weft_op_fail(op, "tokenexp and separators: expected one of them");
  }
  if (expression != NULL) {
    return weft_regex_compile(op, expression, &t->token);
  }
  if (t->separator_count > MOST_SEPARATORS) {
    return weft_op_unsupported(op, "%zu separators, at most %d are supported", t->separator_count, MOST_SEPARATORS);
  }
  if (t->separator_count == 1 && separators[0].size == 0) {
    t->separator_count = 0;
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch(op, t->separator_count * sizeof(weft_regex *), &block));
  t->separators = block;
  for (size_t i = 0; i < t->separator_count; i++) {
    WEFT_TRY(weft_regex_compile(op, separators[i].data, &t->separators[i]));
  }
  return WEFT_OK;
}

static size_t characters(const char *text, size_t size) {
  size_t count = 0;
  for (size_t at = 0; at < size; count++) {
    weft_text_next(text, size, &at);
  }
  return count;
}

static void add_token(const tokenizer *t, const char *text, size_t size, tokens *to) {
  if (size > 0 && (int64_t)characters(text, size) >= t->least) {
    if (to->count < to->room) {
      to->out[to->count] = (weft_string){text, size};
    }
    to->count++;
  }
}

/* What `regex` matches at `at`; 0 when that is nothing. */
static size_t match_length(weft_regex *regex, const weft_string *text, size_t at) {
  size_t length = weft_regex_match_at(regex, text->data, text->size, at);
  return length == SIZE_MAX ? 0 : length;
}

static void take_matches(const tokenizer *t, const weft_string *text, tokens *to) {
  for (size_t at = 0; at < text->size;) {
    size_t length = match_length(t->token, text, at);
    add_token(t, text->data + at, length, to);
    at += length;
    if (length == 0) {
      weft_text_next(text->data, text->size, &at);
    }
  }
}

static void take_characters(const tokenizer *t, const weft_string *text, tokens *to) {
  for (size_t at = 0; at < text->size;) {
    size_t begin = at;
    weft_text_next(text->data, text->size, &at);
    add_token(t, text->data + begin, at - begin, to);
  }
}

/* Cuts at separator k; the pieces are cut at those behind it. */
static void split_at(const tokenizer *t, size_t k, weft_string text, tokens *to) {
  size_t begin = 0;
  if (k == t->separator_count) {
    add_token(t, text.data, text.size, to);
    return;
  }
  for (size_t at = 0; at < text.size;) {
    size_t length = match_length(t->separators[k], &text, at);
    if (length == 0) {
      weft_text_next(text.data, text.size, &at);
      continue;
    }
    split_at(t, k + 1, (weft_string){text.data + begin, at - begin}, to);
    at += length;
    begin = at;
  }
  split_at(t, k + 1, (weft_string){text.data + begin, text.size - begin}, to);
}

static size_t tokenize(const tokenizer *t, const weft_string *text, size_t room, weft_string *out) {
  tokens to = {0, room, out};
  if (text->size == 0) {
    return 0;
  }
  if (t->token != NULL) {
    take_matches(t, text, &to);
  } else if (t->separator_count == 0) {
    take_characters(t, text, &to);
  } else {
    split_at(t, 0, *text, &to);
  }
  return to.count;
}

/* [C] becomes [C, tokens], [N, C] becomes [N, C, tokens]; no text at all becomes [0] and [N, 0]. */
static weft_shape token_shape(const weft_tensor *in, size_t width) {
  weft_shape shape = in->shape;
  if (in->count == 0) {
    shape.dims[shape.rank - 1] = 0;
  } else {
    shape.dims[shape.rank++] = (int64_t)width;
  }
  return shape;
}

/* Rows are filled up with pad_value; where there is no token, there are no marks either. */
weft_status weft_tokenizer_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(expect_strings(op, 0, "X"));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 1, 2));
  const weft_tensor *in = weft_op_in(op, 0);
  const weft_string *text = in->data;
  tokenizer t;
  size_t most = 0;
  WEFT_TRY(read_tokenizer(op, &t));
  for (size_t i = 0; i < in->count; i++) {
    size_t count = tokenize(&t, &text[i], 0, NULL);
    most = count > most ? count : most;
  }
  size_t marks = most > 0 && weft_op_attr_int(op, "mark", 0) != 0 ? 2 : 0, width = most + marks;
  const weft_shape shape = token_shape(in, width);
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_STRING, &shape));
  weft_string *out = weft_op_out(op, 0)->data;
  const char *pad = weft_op_attr_string(op, "pad_value", "");
  weft_fill_elements(out, in->count * width, &(weft_string){pad, strlen(pad)}, sizeof *out);
  for (size_t i = 0; i < in->count && most > 0; i++) {
    weft_string *row = out + i * width;
    size_t count = tokenize(&t, &text[i], most, row + marks / 2);
    if (marks > 0) {
      row[0] = (weft_string){"\x02", 1};
      row[count + 1] = (weft_string){"\x03", 1};
    }
  }
  return WEFT_OK;
}
