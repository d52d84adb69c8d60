/* Regular expressions: compiled to a program for a machine that is in many states at once (Thompson, "Regular
 * expression search algorithm", 1968; as told by Cox, "Regular expression matching: the virtual machine approach",
 * 2009), so that no expression makes it slow. A part that is repeated, or that stands before a `|`, is parsed once
 * without output to find its end, then as often as its code is needed. */
#include "regex.h"

#include "text.h"

#include <string.h>

enum {
  MAX_CODE = 8192,
  MAX_RANGES = 8192,
  MAX_DEPTH = 200,
  MAX_REPEAT = 1000,
  MAX_STEPS = 1 << 20,
  LAST_CODE_POINT = 0x10ffff
};

typedef enum opcode {
  OP_SET,
  OP_SPLIT,
  OP_JUMP,
  OP_BEGIN,
  OP_END,
  OP_LINE_BEGIN,
  OP_LINE_END,
  OP_WORD,
  OP_NOT_WORD,
  OP_MATCH
} opcode;

typedef struct instruction {
  uint8_t code;         /* opcode */
  bool negated, folded; /* OP_SET */
  int32_t a, b;         /* OP_SET: ranges [a, b); OP_SPLIT: both targets; OP_JUMP: a */
} instruction;

typedef struct range {
  uint32_t first, last;
} range;

struct weft_regex {
  int32_t code_count, range_count;
  bool folds; /* some set does */
  uint32_t turn;
  instruction code[MAX_CODE + 1];
  range ranges[MAX_RANGES];
  int32_t now[MAX_CODE + 1], next[MAX_CODE + 1], stack[2 * MAX_CODE + 2];
  uint32_t seen[MAX_CODE + 1]; /* the turn in which a state was added last */
};

typedef struct flags {
  bool fold, dot_all, multi_line; /* (?i), (?s), (?m) */
} flags;

typedef struct parser {
  weft_op *op;
  weft_regex *regex;
  const char *text;
  size_t size, at, steps;
  int depth;
  bool dry; /* no output */
  flags flags;
} parser;

static weft_status bad(parser *p, const char *what) {
  return weft_op_fail(p->op, "pattern '%.*s': %s at byte %zu", (int)(p->size < 200 ? p->size : 200), p->text, what,
                      p->at);
}

static weft_status emit(parser *p, opcode code, int32_t a, int32_t b) {
  if (p->dry) {
    return WEFT_OK;
  }
  if (p->regex->code_count == MAX_CODE) {
    return weft_op_unsupported(p->op, "a pattern of more than %d steps", MAX_CODE);
  }
  p->regex->folds = p->regex->folds || p->flags.fold;
  p->regex->code[p->regex->code_count++] =
      (instruction){.code = (uint8_t)code, .folded = p->flags.fold, .a = a, .b = b};
  return WEFT_OK;
}

static weft_status add_range(parser *p, uint32_t first, uint32_t last) {
  if (p->dry) {
    return WEFT_OK;
  }
  if (p->regex->range_count == MAX_RANGES) {
    return weft_op_unsupported(p->op, "a pattern of more than %d character ranges", MAX_RANGES);
  }
  p->regex->ranges[p->regex->range_count++] = (range){first, last};
  return WEFT_OK;
}

static bool more(const parser *p) {
  return p->at < p->size;
}
static bool peek(const parser *p, char c) {
  return more(p) && p->text[p->at] == c;
}

/* ---- characters and classes -------------------------------------------------------------------------------------- */
/* Ranges in their order, or what is between them. */
static weft_status add_ranges(parser *p, const range *list, size_t count, bool complement) {
  uint32_t from = 0;
  for (size_t i = 0; i < count && list[i].last != 0; i++) {
    if (!complement) {
      WEFT_TRY(add_range(p, list[i].first, list[i].last));
    } else if (list[i].first > from) {
      WEFT_TRY(add_range(p, from, list[i].first - 1));
    }
    from = list[i].last + 1;
  }
  return complement ? add_range(p, from, LAST_CODE_POINT) : WEFT_OK;
}

/* \d, \w, \s; with `complement` \D, \W, \S. */
static weft_status add_class(parser *p, char kind, bool complement) {
  static const range digits[] = {{'0', '9'}}, words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                     spaces[] = {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}};
  const range *list = kind == 'd' ? digits : kind == 'w' ? words : spaces;
  return add_ranges(p, list, kind == 'd' ? 1 : kind == 'w' ? 4 : 3, complement);
}

static int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/* Behind \x: two digits, or any number in braces. */
static weft_status hex_escape(parser *p, uint32_t *out) {
  bool braces = peek(p, '{');
  size_t digits = 0;
  *out = 0;
  p->at += braces;
  while (more(p) && hex_digit(p->text[p->at]) >= 0 && digits < (braces ? 6u : 2u)) {
    *out = *out * 16 + (uint32_t)hex_digit(p->text[p->at++]);
    digits++;
  }
  if (digits == 0 || (!braces && digits != 2) || (braces && !peek(p, '}')) || *out > LAST_CODE_POINT) {
    return bad(p, "a bad \\x escape");
  }
  p->at += braces;
  return WEFT_OK;
}

static bool is_octal(const parser *p, size_t at) {
  return at < p->size && p->text[at] >= '0' && p->text[at] <= '7';
}

/* Behind a backslash: a class (its letter in *kind, lower case; complement set), or one code point. */
static weft_status escape(parser *p, char *kind, bool *complement, uint32_t *c) {
  static const char letters[] = "ntrfva", codes[] = "\n\t\r\f\v\a";
  *kind = 0;
  if (!more(p)) {
    return bad(p, "a backslash ends the pattern");
  }
  char e = p->text[p->at];
  const char *letter = memchr(letters, e, sizeof letters - 1);
  if (strchr("dwsDWS", e) != NULL && e != 0) {
    *complement = e < 'a';
    *kind = (char)(e | 0x20);
    p->at++;
  } else if (letter != NULL) {
    *c = (uint32_t)codes[letter - letters];
    p->at++;
  } else if (e == 'x') {
    p->at++;
    return hex_escape(p, c);
  } else if (is_octal(p, p->at) && (e == '0' || is_octal(p, p->at + 1))) {
    *c = 0;
    for (int i = 0; i < 3 && is_octal(p, p->at); i++) {
      *c = *c * 8 + (uint32_t)(p->text[p->at++] - '0');
    }
  } else if ((e >= 'a' && e <= 'z') || (e >= 'A' && e <= 'Z') || (e >= '0' && e <= '9')) {
    return bad(p, (e | 0x20) == 'p' ? "a class of Unicode, of which there is no table here (write its ranges instead),"
                                    : "an escape that is not supported");
  } else {
    *c = weft_text_next(p->text, p->size, &p->at);
  }
  return WEFT_OK;
}

/* What all letters have in common that (?i) takes for one; the Turkish ones are on their own. */
static uint32_t fold(uint32_t c) {
  return c == 0x130 || c == 0x131 ? c : weft_text_lower(weft_text_upper(c));
}

/* A range; when case is folded with what its letters become, which is all that the set will be asked for. */
static weft_status add_folded(parser *p, uint32_t first, uint32_t last) {
  WEFT_TRY(add_range(p, first, last));
  for (uint32_t c = first; p->flags.fold && c <= last && c - first < 1024; c++) {
    uint32_t folded = fold(c);
    if (folded < first || folded > last) {
      WEFT_TRY(add_range(p, folded, folded));
    }
  }
  return WEFT_OK;
}

/* [:alpha:] and its kin, at "[:"; [:^alpha:] is all else. */
static weft_status posix_class(parser *p) {
  static const struct {
    const char *name;
    range ranges[4];
  } classes[] = {
      {"alpha", {{'A', 'Z'}, {'a', 'z'}}}, /* and the two that follow, when case is folded */
      {"lower", {{'a', 'z'}}},
      {"upper", {{'A', 'Z'}}},
      {"digit", {{'0', '9'}}},
      {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
      {"ascii", {{0, 0x7f}}},
      {"blank", {{'\t', '\t'}, {' ', ' '}}},
      {"cntrl", {{0, 0x1f}, {0x7f, 0x7f}}},
      {"graph", {{'!', '~'}}},
      {"print", {{' ', '~'}}},
      {"space", {{'\t', '\r'}, {' ', ' '}}},
      {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
      {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
      {"word", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
  };
  const char *name = p->text + p->at + 2;
  bool complement = p->size - p->at > 2 && *name == '^';
  size_t left = p->size - p->at - 2 - complement;
  name += complement;
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    size_t length = strlen(classes[i].name);
    if (left < length + 2 || memcmp(name, classes[i].name, length) != 0 || memcmp(name + length, ":]", 2) != 0) {
      continue;
    }
    p->at += length + 4 + complement;
    return add_ranges(p, classes[p->flags.fold && i < 3 ? 0 : i].ranges, 4, complement);
  }
  return bad(p, "an unknown character class");
}

/* One member of [...]: a code point in *c, or a class that is added at once (*is_class). */
static weft_status set_member(parser *p, bool *is_class, uint32_t *c) {
  char kind = 0;
  bool complement = false;
  *is_class = false;
  if (peek(p, '[') && p->at + 1 < p->size && p->text[p->at + 1] == ':') {
    *is_class = true;
    return posix_class(p);
  }
  if (!peek(p, '\\')) {
    *c = weft_text_next(p->text, p->size, &p->at);
    return WEFT_OK;
  }
  p->at++;
  WEFT_TRY(escape(p, &kind, &complement, c));
  *is_class = kind != 0;
  return kind != 0 ? add_class(p, kind, complement) : WEFT_OK;
}

/* Behind the opening bracket. */
static weft_status parse_set(parser *p) {
  int32_t begin = p->regex->range_count;
  bool negated = peek(p, '^'), first = true;
  p->at += negated;
  while (first || !peek(p, ']')) {
    bool is_class, last_is_class;
    uint32_t low = 0, high;
    if (!more(p)) {
      return bad(p, "a [ without its ]");
    }
    first = false;
    WEFT_TRY(set_member(p, &is_class, &low));
    high = low;
    if (!is_class && peek(p, '-') && p->at + 1 < p->size && p->text[p->at + 1] != ']') {
      p->at++;
      WEFT_TRY(set_member(p, &last_is_class, &high));
      if (last_is_class || high < low) {
        return bad(p, "a bad character range");
      }
    }
    if (!is_class) {
      WEFT_TRY(add_folded(p, low, high));
    }
  }
  p->at++;
  WEFT_TRY(emit(p, OP_SET, begin, p->regex->range_count));
  if (!p->dry) {
    p->regex->code[p->regex->code_count - 1].negated = negated;
  }
  return WEFT_OK;
}

static weft_status parse_character(parser *p, uint32_t c) {
  int32_t begin = p->regex->range_count;
  WEFT_TRY(add_folded(p, c, c));
  return emit(p, OP_SET, begin, p->regex->range_count);
}

static weft_status parse_dot(parser *p) {
  int32_t begin = p->regex->range_count;
  WEFT_TRY(add_range(p, 0, p->flags.dot_all ? LAST_CODE_POINT : '\n' - 1));
  if (!p->flags.dot_all) {
    WEFT_TRY(add_range(p, '\n' + 1, LAST_CODE_POINT));
  }
  return emit(p, OP_SET, begin, p->regex->range_count);
}

static weft_status parse_escape(parser *p) {
  char kind = 0;
  bool complement = false;
  uint32_t c = 0;
  if (more(p) && strchr("bBAz", p->text[p->at]) != NULL && p->text[p->at] != 0) {
    char e = p->text[p->at++];
    return emit(p, e == 'b' ? OP_WORD : e == 'B' ? OP_NOT_WORD : e == 'A' ? OP_BEGIN : OP_END, 0, 0);
  }
  WEFT_TRY(escape(p, &kind, &complement, &c));
  if (kind == 0) {
    return parse_character(p, c);
  }
  int32_t begin = p->regex->range_count;
  WEFT_TRY(add_class(p, kind, complement));
  return emit(p, OP_SET, begin, p->regex->range_count);
}

/* ---- structure --------------------------------------------------------------------------------------------------- */
static weft_status parse_alternatives(parser *p);

/* Behind "(?": flags, a name, or ":". *only_flags: "(?i)" is a group without a body, its flags hold on. */
static weft_status group_head(parser *p, bool *only_flags) {
  bool on = true;
  *only_flags = false;
  if (peek(p, 'P')) {
    p->at++;
  }
  if (peek(p, '<')) {
    while (more(p) && p->text[p->at] != '>') {
      p->at++;
    }
    if (!more(p)) {
      return bad(p, "a group's name without its >");
    }
    p->at++;
    return WEFT_OK;
  }
  while (more(p)) {
    char c = p->text[p->at++];
    switch (c) {
    case ':':
      return WEFT_OK;
    case ')':
      *only_flags = true;
      return WEFT_OK;
    case '-':
      on = false;
      break;
    case 'i':
      p->flags.fold = on;
      break;
    case 's':
      p->flags.dot_all = on;
      break;
    case 'm':
      p->flags.multi_line = on;
      break;
    case 'U':
      break;
    default:
      return bad(p, "a group flag that is not supported");
    }
  }
  return bad(p, "a ( without its )");
}

static weft_status parse_group(parser *p) {
  const flags outer = p->flags;
  bool only_flags;
  if (peek(p, '?')) {
    p->at++;
    WEFT_TRY(group_head(p, &only_flags));
    if (only_flags) {
      return WEFT_OK;
    }
  }
  if (++p->depth > MAX_DEPTH) {
    return weft_op_unsupported(p->op, "a pattern with groups nested deeper than %d", MAX_DEPTH);
  }
  WEFT_TRY(parse_alternatives(p));
  p->depth--;
  if (!peek(p, ')')) {
    return bad(p, "a ( without its )");
  }
  p->at++;
  p->flags = outer;
  return WEFT_OK;
}

static weft_status parse_atom(parser *p) {
  if (++p->steps > MAX_STEPS) {
    return weft_op_unsupported(p->op, "a pattern that expands beyond measure");
  }
  char c = p->text[p->at];
  switch (c) {
  case '(':
    p->at++;
    return parse_group(p);
  case '[':
    p->at++;
    return parse_set(p);
  case '.':
    p->at++;
    return parse_dot(p);
  case '^':
    p->at++;
    return emit(p, p->flags.multi_line ? OP_LINE_BEGIN : OP_BEGIN, 0, 0);
  case '$':
    p->at++;
    return emit(p, p->flags.multi_line ? OP_LINE_END : OP_END, 0, 0);
  case '\\':
    p->at++;
    return parse_escape(p);
  case '*':
  case '+':
  case '?':
    return bad(p, "nothing to repeat");
  default:
    return parse_character(p, weft_text_next(p->text, p->size, &p->at));
  }
}

static bool read_count(parser *p, int *out) {
  size_t begin = p->at;
  *out = 0;
  while (more(p) && p->text[p->at] >= '0' && p->text[p->at] <= '9' && *out <= MAX_REPEAT) {
    *out = *out * 10 + (p->text[p->at++] - '0');
  }
  return p->at > begin;
}

/* How often the atom before may occur; most < 0: without end. A brace that is no count is a character. */
static weft_status parse_repeat(parser *p, int *least, int *most) {
  size_t begin = p->at;
  *least = *most = 1;
  if (peek(p, '*') || peek(p, '+') || peek(p, '?')) {
    char c = p->text[p->at++];
    *least = c == '+';
    *most = c == '?' ? 1 : -1;
  } else if (peek(p, '{')) {
    p->at++;
    bool counted = read_count(p, least);
    *most = *least;
    if (counted && peek(p, ',')) {
      p->at++;
      *most = read_count(p, most) ? *most : -1;
    }
    if (!counted || !peek(p, '}')) {
      p->at = begin;
      *least = *most = 1;
      return WEFT_OK;
    }
    p->at++;
    if (*least > MAX_REPEAT || *most > MAX_REPEAT || (*most >= 0 && *most < *least)) {
      return bad(p, "a bad count");
    }
  } else {
    return WEFT_OK;
  }
  p->at += peek(p, '?'); /* which match is preferred makes no difference here */
  return WEFT_OK;
}

/* The code of one atom `least` to `most` times; the parser stands at `begin` before each. */
static weft_status emit_repeats(parser *p, size_t begin, int least, int most) {
  weft_regex *r = p->regex;
  for (int i = 0; i < least; i++) {
    p->at = begin;
    WEFT_TRY(parse_atom(p));
  }
  int32_t split = r->code_count;
  if (most < 0) {
    WEFT_TRY(emit(p, OP_SPLIT, split + 1, 0));
    p->at = begin;
    WEFT_TRY(parse_atom(p));
    WEFT_TRY(emit(p, OP_JUMP, split, 0));
    r->code[split].b = r->code_count;
    return WEFT_OK;
  }
  /* Each optional copy may leave to the end; until that is known its exit points to the copy before. */
  int32_t last = -1;
  for (int i = least; i < most; i++) {
    split = r->code_count;
    WEFT_TRY(emit(p, OP_SPLIT, split + 1, last));
    last = split;
    p->at = begin;
    WEFT_TRY(parse_atom(p));
  }
  while (last >= 0) {
    int32_t before = r->code[last].b;
    r->code[last].b = r->code_count;
    last = before;
  }
  return WEFT_OK;
}

static weft_status parse_sequence(parser *p) {
  while (more(p) && !peek(p, '|') && !peek(p, ')')) {
    size_t begin = p->at, end;
    int least, most;
    bool dry = p->dry;
    const flags before = p->flags;
    p->dry = true;
    WEFT_TRY(parse_atom(p));
    WEFT_TRY(parse_repeat(p, &least, &most));
    p->dry = dry;
    end = p->at;
    if (!dry) {
      p->flags = before;
      WEFT_TRY(emit_repeats(p, begin, least, most));
      p->at = end;
    }
  }
  return WEFT_OK;
}

static weft_status parse_alternatives(parser *p) {
  weft_regex *r = p->regex;
  int32_t jumps = -1; /* jumps to the end, each pointing to the one before */
  for (;;) {
    size_t begin = p->at;
    bool dry = p->dry;
    const flags before = p->flags;
    p->dry = true;
    WEFT_TRY(parse_sequence(p));
    p->dry = dry;
    bool another = peek(p, '|');
    if (!dry) {
      int32_t split = r->code_count;
      p->at = begin;
      p->flags = before;
      if (another) {
        WEFT_TRY(emit(p, OP_SPLIT, split + 1, 0));
      }
      WEFT_TRY(parse_sequence(p));
      if (another) {
        WEFT_TRY(emit(p, OP_JUMP, jumps, 0));
        jumps = r->code_count - 1;
        r->code[split].b = r->code_count;
      }
    }
    if (!another) {
      break;
    }
    p->at++;
  }
  while (!p->dry && jumps >= 0) {
    int32_t before = r->code[jumps].a;
    r->code[jumps].a = r->code_count;
    jumps = before;
  }
  return WEFT_OK;
}

/* The pattern with what lies between \Q and \E escaped character by character. */
static weft_status unquote(weft_op *op, const char *pattern, const char **out) {
  bool quoted = false;
  void *block;
  WEFT_TRY(weft_op_scratch(op, 2 * strlen(pattern) + 1, &block));
  char *to = block;
  for (const char *s = pattern; *s != 0; s++) {
    if (*s == '\\' && s[1] == (quoted ? 'E' : 'Q')) {
      quoted = !quoted;
      s++;
      continue;
    }
    if (quoted && strchr("\\^$.[]|()?*+{}", *s) != NULL) {
      *to++ = '\\';
    }
    *to++ = *s;
    if (!quoted && *s == '\\' && s[1] != 0) {
      *to++ = *++s;
    }
  }
  *to = 0;
  *out = block;
  return WEFT_OK;
}

weft_status weft_regex_compile(weft_op *op, const char *pattern, weft_regex **out) {
  void *block;
  WEFT_TRY(unquote(op, pattern, &pattern));
  WEFT_TRY(weft_op_scratch(op, sizeof(weft_regex), &block));
  weft_regex *regex = block;
  regex->code_count = regex->range_count = 0;
  regex->turn = 0;
  regex->folds = false;
  memset(regex->seen, 0, sizeof regex->seen);
  parser p = {.op = op, .regex = regex, .text = pattern, .size = strlen(pattern)};
  WEFT_TRY(parse_alternatives(&p));
  if (p.at < p.size) {
    return bad(&p, "a ) without its (");
  }
  regex->code[regex->code_count] = (instruction){.code = OP_MATCH};
  *out = regex;
  return WEFT_OK;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */
static bool in_set(const weft_regex *r, const instruction *set, uint32_t c) {
  bool found = false;
  for (int32_t i = set->a; i < set->b && !found; i++) {
    found = c >= r->ranges[i].first && c <= r->ranges[i].last;
  }
  return found != set->negated;
}

static bool is_word(const char *text, size_t size, size_t at) {
  char c = at < size ? text[at] : 0;
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Whether a step without a character may be taken at `at`. */
static bool passes(const instruction *step, const char *text, size_t size, size_t at) {
  bool boundary = is_word(text, size, at) != (at > 0 && is_word(text, size, at - 1));
  switch ((opcode)step->code) {
  case OP_BEGIN:
    return at == 0;
  case OP_END:
    return at == size;
  case OP_LINE_BEGIN:
    return at == 0 || text[at - 1] == '\n';
  case OP_LINE_END:
    return at == size || text[at] == '\n';
  case OP_WORD:
    return boundary;
  case OP_NOT_WORD:
    return !boundary;
  default:
    return true;
  }
}

/* Adds a state and all that it reaches without reading; returns the new count. */
static int32_t add_state(weft_regex *r, int32_t state, const char *text, size_t size, size_t at, int32_t *list,
                         int32_t count) {
  int32_t depth = 0;
  r->stack[depth++] = state;
  while (depth > 0) {
    int32_t s = r->stack[--depth];
    const instruction *step = &r->code[s];
    if (r->seen[s] == r->turn) {
      continue;
    }
    r->seen[s] = r->turn;
    if (step->code == OP_SET || step->code == OP_MATCH) {
      list[count++] = s;
    } else if (step->code == OP_SPLIT) {
      r->stack[depth++] = step->b;
      r->stack[depth++] = step->a;
    } else if (passes(step, text, size, at)) {
      r->stack[depth++] = step->code == OP_JUMP ? step->a : s + 1;
    }
  }
  return count;
}

static void next_turn(weft_regex *r) {
  if (++r->turn == 0) {
    memset(r->seen, 0, sizeof r->seen);
    r->turn = 1;
  }
}

size_t weft_regex_match_at(weft_regex *r, const char *text, size_t size, size_t at) {
  size_t begin = at, longest = SIZE_MAX;
  int32_t *now = r->now, *next = r->next;
  next_turn(r);
  int32_t count = add_state(r, 0, text, size, at, now, 0);
  while (count > 0) {
    size_t here = at;
    for (int32_t i = 0; i < count; i++) {
      longest = r->code[now[i]].code == OP_MATCH ? here - begin : longest;
    }
    if (at == size) {
      break;
    }
    uint32_t c = weft_text_next(text, size, &at), folded = r->folds ? fold(c) : c;
    int32_t kept = 0;
    next_turn(r);
    for (int32_t i = 0; i < count; i++) {
      const instruction *step = &r->code[now[i]];
      if (step->code == OP_SET && in_set(r, step, step->folded ? folded : c)) {
        kept = add_state(r, now[i] + 1, text, size, at, next, kept);
      }
    }
    int32_t *swap = now;
    now = next;
    next = swap;
    count = kept;
  }
  return longest;
}

bool weft_regex_full_match(weft_regex *r, const char *text, size_t size) {
  return weft_regex_match_at(r, text, size, 0) == size;
}
