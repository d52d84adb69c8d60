/* What operators on text and moved data stand on: UTF-8 and case, regular expressions against expressions whose answers
 * are known, and strided copies and walks over broadcast operands against the loops that define them, for all element
 * sizes and random blocks. */
#include "base/convert.h"
#include "base/parallel.h"
#include "ops/broadcast.h"
#include "ops/regex.h"
#include "ops/strided.h"
#include "ops/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
static uint32_t seed = 1;

static uint32_t draw(uint32_t below) {
  seed = seed * 1664525u + 1013904223u;
  return (seed >> 8) % below;
}

static void expect(bool good, const char *what, const char *text) {
  if (!good) {
    fprintf(stderr, "%s: %s\n", what, text);
    failures++;
  }
}

/* ---- text -------------------------------------------------------------------------------------------------------- */
static void test_case(const char *lower, const char *upper) {
  char made[64];
  size_t at = 0, size = 0;
  while (at < strlen(lower)) {
    size += weft_text_put(weft_text_upper(weft_text_next(lower, strlen(lower), &at)), made + size);
  }
  expect(size == strlen(upper) && memcmp(made, upper, size) == 0, "upper case", lower);
  at = size = 0;
  while (at < strlen(upper)) {
    size += weft_text_put(weft_text_lower(weft_text_next(upper, strlen(upper), &at)), made + size);
  }
  expect(size == strlen(lower) && memcmp(made, lower, size) == 0, "lower case", upper);
}

/* Bytes that are no UTF-8 must be passed one at a time, and never read behind the end. */
static void test_broken_text(void) {
  static const char *const broken[] = {"\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\x80\x80", "\xc0\xaf"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    size_t at = 0, size = strlen(broken[i]);
    char *exact = malloc(size);
    memcpy(exact, broken[i], size);
    uint32_t c = weft_text_next(exact, size, &at);
    expect(at == 1 && c == (unsigned char)broken[i][0], "broken UTF-8", "one byte is taken");
    free(exact);
  }
}

/* ---- regular expressions ----------------------------------------------------------------------------------------- */
typedef struct regex_case {
  const char *pattern, *text;
  bool matches;
} regex_case;

static const regex_case cases[] = {
    {"", "", true},
    {"", "a", false},
    {"abc", "abc", true},
    {"abc", "abcd", false},
    {"a|bc|", "bc", true},
    {"a|bc|", "", true},
    {"a|bc|", "abc", false},
    {"(ab)*", "abab", true},
    {"(ab)*", "aba", false},
    {"a+b?c", "aaac", true},
    {"a{2,3}", "a", false},
    {"a{2,3}", "aaa", true},
    {"a{2,3}", "aaaa", false},
    {"a{2}", "aa", true},
    {"a{2,}", "aaaaaa", true},
    {"(a{2}){3}", "aaaaaa", true},
    {"(a|b){2,4}c", "abbac", true},
    {"a{,2}", "a{,2}", true},
    {"[a-c]+[^a-c]", "abcd", true},
    {"[]a]+", "a]", true},
    {"[^]]", "]", false},
    {"[a-]+", "-a-", true},
    {"[[:alpha:]_]+\\d", "ab_9", true},
    {"[[:print:]]+[[:^print:]]", "a b\t", true},
    {"[[:^alpha:][:cntrl:]]+", "1\x7f!", true},
    {"[[:^alpha:]]", "a", false},
    {"[[:^ascii:]]", "\xc3\xa9", true},
    {"(?i)[[:upper:]]+", "aB", true},
    {"[[:graph:]]", " ", false},
    {"a\n^b$\nc", "a\nb\nc", false},
    {"(?m)a\n^b$\nc", "a\nb\nc", true},
    {"(?m:^a$)\n^b", "a\nb", false},
    {"\\w+@\\w+\\.(com|org)", "me@site.org", true},
    {"\\w+@\\w+\\.(com|org)", "me@site_org", false},
    {".", "\xc3\xa9", true},
    {"..", "\xc3\xa9", false},
    {".", "\n", false},
    {"(?s).", "\n", true},
    {"\\Qa.(b\\E+", "a.(bb", true},
    {"a|\\Q\\x4\\E\\\\Q", "\\x4\\Q", true},
    {"\\Qa|b", "a|b", true},
    {"\\101\\0601", "A01", true},
    {"(?i)[[:^lower:]]", "a", false},
    {"(?i)[[:^lower:]]", "A", false},
    {"(?i)[^[:^upper:]]k\\w", "aK\xc5\xbf", true},      /* long s */
    {"(?i)\xcf\x83\\W", "\xcf\x82\xe2\x84\xaa", false}, /* sigmas, the sign of the kelvin */
    {"(?i)\xcf\x83[K-L]", "\xcf\x82\xe2\x84\xaa", true},
    {"(?i)i", "\xc4\xb0", false}, /* with a dot */
    {"(?i)stra\xc3\x9f"
     "e",
     "STRA\xc3\x9f"
     "E",
     true},
    {"(?i)a(?-i)b", "Ab", true},
    {"(?i)a(?-i)b", "AB", false},
    {"(?i:a)b", "AB", false},
    {"(?P<name>a)(?:b)", "ab", true},
    {"^a$", "a", true},
    {"a\\b.b", "a b", true},
    {"a\\Bb", "ab", true},
    {"\\x41\\x{e9}", "A\xc3\xa9", true},
    {"\\D\\S\\W", "ab ", true},
    {"(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false},
    {"(a|a)*", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
};

static const char *const bad_patterns[] = {"(",  ")",     "a)",         "[a",   "[z-a]",  "*a",  "a{3,2}",
                                           "\\", "(?x)a", "[[:none:]]", "\\x4", "\\p{L}", "\\1", "[[:^"};

static void test_regex(weft_context *cx) {
  weft_scratch scratch = {0};
  weft_op op = {.cx = cx, .scratch = &scratch};
  weft_regex *regex;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const regex_case *c = &cases[i];
    bool compiled = weft_regex_compile(&op, c->pattern, &regex) == WEFT_OK;
    expect(compiled && weft_regex_full_match(regex, c->text, strlen(c->text)) == c->matches, "pattern", c->pattern);
    weft_scratch_reset(cx, &scratch);
  }
  for (size_t i = 0; i < sizeof bad_patterns / sizeof *bad_patterns; i++) {
    expect(weft_regex_compile(&op, bad_patterns[i], &regex) != WEFT_OK, "a bad pattern passes", bad_patterns[i]);
    weft_scratch_reset(cx, &scratch);
  }
  expect(weft_regex_compile(&op, "((((((a{9}){9}){9}){9}){9}){9}){9}", &regex) == WEFT_UNSUPPORTED, "a bomb",
         "of repeats");
  weft_scratch_free(&scratch);
}

/* ---- strided copies ---------------------------------------------------------------------------------------------- */
/* A random block of up to 4 dims: a permutation of a dense tensor, some dims repeated or walked backwards. */
static void test_strided(weft_context *cx, size_t size) {
  int rank = (int)draw(5);
  int64_t dims[4], from[4], to[4], offset = 0, in = 1, out = 1;
  bool used[4] = {false};
  for (int d = 0; d < rank; d++) {
    dims[d] = draw(4) == 0 ? 1 : 1 + draw(draw(2) == 0 ? 5 : 40);
  }
  for (int n = 0; n < rank; n++) { /* input strides in random order */
    int d;
    do {
      d = (int)draw((uint32_t)rank);
    } while (used[d]);
    used[d] = true;
    from[d] = draw(6) == 0 ? 0 : in;
    in *= from[d] == 0 ? 1 : dims[d];
  }
  weft_strided block = {.rank = 0};
  for (int d = rank - 1; d >= 0; d--) {
    to[d] = out;
    out *= dims[d];
    if (draw(6) == 0) {
      offset += from[d] * (dims[d] - 1);
      from[d] = -from[d];
    }
  }
  for (int d = 0; d < rank; d++) {
    weft_strided_add(&block, dims[d], from[d], to[d]);
  }
  unsigned char *x = malloc((size_t)in * size), *y = malloc((size_t)out * size);
  for (size_t i = 0; i < (size_t)in * size; i++) {
    x[i] = (unsigned char)draw(256);
  }
  weft_strided_copy(cx, &block, size, x + (size_t)offset * size, y);
  for (int64_t i = 0; i < out; i++) {
    int64_t at = offset, rest = i;
    for (int d = rank - 1; d >= 0; d--) {
      at += rest % dims[d] * from[d];
      rest /= dims[d];
    }
    if (memcmp(x + (size_t)at * size, y + (size_t)i * size, size) != 0) {
      expect(false, "a strided copy", "moves the wrong element");
      break;
    }
  }
  free(x);
  free(y);
}

/* ---- broadcasts -------------------------------------------------------------------------------------------------- */
typedef struct seen {
  const weft_shape *shape;
  int operands;
  const weft_tensor *const *tensors;
  size_t longest;
  bool neighbours;
  unsigned char *times; /* each element of the output was part of a run, and right */
} seen;

/* The bytes of operand `x` that stand for element `i` of the output. */
static const char *broadcast_element(const seen *s, const weft_tensor *x, size_t i) {
  size_t at = 0, stride = 1;
  for (int d = 1; d <= s->shape->rank; d++) {
    const size_t index = i % (size_t)s->shape->dims[s->shape->rank - d];
    i /= (size_t)s->shape->dims[s->shape->rank - d];
    if (d <= x->shape.rank && x->shape.dims[x->shape.rank - d] != 1) {
      at += index * stride;
      stride *= (size_t)x->shape.dims[x->shape.rank - d];
    }
  }
  return (const char *)x->data + at * weft_type_size(x->type);
}

static void look(void *arg, const weft_run *run) {
  const seen *s = arg;
  bool good = run->n > 0 && run->n <= s->longest;
  for (int k = 0; k < s->operands; k++) {
    const size_t size = weft_type_size(s->tensors[k]->type);
    good = good && (run->step[k] == 1 || (run->step[k] == 0 && !s->neighbours));
    for (size_t i = 0; i < run->n; i++) {
      const char *found = (const char *)run->in[k] + i * run->step[k] * size;
      good = good && memcmp(found, broadcast_element(s, s->tensors[k], run->out + i), size) == 0;
    }
  }
  for (size_t i = 0; i < run->n; i++) {
    s->times[run->out + i] = (unsigned char)(s->times[run->out + i] + (good ? 1 : 2));
  }
}

static void test_broadcast(weft_context *cx) {
  static const weft_type types[] = {WEFT_FLOAT, WEFT_UINT8, WEFT_DOUBLE, WEFT_COMPLEX128, WEFT_FLOAT16};
  static const int64_t dims[] = {0, 1, 2, 3, 4, 5, 7, 16, 63, 64, 70, 300};
  weft_shape shape = {.rank = (int)draw(6)};
  weft_tensor operands[WEFT_BROADCAST_MAX];
  const weft_tensor *tensors[WEFT_BROADCAST_MAX];
  weft_broadcast broadcast;
  size_t count = 1;
  for (int d = 0; d < shape.rank; d++) {
    shape.dims[d] = dims[draw(sizeof dims / sizeof *dims)];
    shape.dims[d] = count * (size_t)shape.dims[d] > 40000 ? 1 : shape.dims[d];
    count *= (size_t)shape.dims[d];
  }
  seen s = {.shape = &shape, .operands = 1 + (int)draw(WEFT_BROADCAST_MAX), .tensors = tensors};
  s.longest = draw(2) == 0 ? SIZE_MAX : WEFT_BLOCK;
  s.neighbours = draw(2) == 0;
  s.times = calloc(count + 1, 1);
  for (int k = 0; k < s.operands; k++) {
    weft_tensor *x = &operands[k];
    *x = (weft_tensor){.type = types[draw(sizeof types / sizeof *types)], .count = 1};
    x->shape.rank = draw(3) != 0 ? shape.rank : (int)draw((uint32_t)shape.rank + 1);
    for (int d = 0; d < x->shape.rank; d++) {
      x->shape.dims[d] = draw(3) != 0 ? shape.dims[shape.rank - x->shape.rank + d] : 1;
      x->count *= (size_t)x->shape.dims[d];
    }
    x->data = malloc(x->count * weft_type_size(x->type) + 1);
    for (size_t i = 0; i < x->count * weft_type_size(x->type); i++) {
      ((unsigned char *)x->data)[i] = (unsigned char)draw(256);
    }
    tensors[k] = x;
  }
  weft_broadcast_init(&broadcast, &shape, s.operands, tensors);
  weft_broadcast_run(cx, &broadcast, s.longest, s.neighbours, look, &s);
  bool good = true;
  for (size_t i = 0; i < count; i++) {
    good = good && s.times[i] == 1;
  }
  char text[96];
  expect(good, "a broadcast", weft_shape_print(&shape, text, sizeof text));
  for (int k = 0; k < s.operands; k++) {
    free(operands[k].data);
  }
  free(s.times);
}

int main(void) {
  static const size_t sizes[] = {1, 2, 4, 8, 16, 3};
  weft_error error;
  weft_context cx = {.error = &error, .kernels = &weft_kernels_portable};
  if (weft_memory_create(0, &cx.memory) != WEFT_OK) {
    return 1;
  }
  test_case("na\xc3\xafve caf\xc3\xa9", "NA\xc3\x8fVE CAF\xc3\x89");
  test_case("\xce\xb1\xce\xb2\xce\xb3\xcf\x89", "\xce\x91\xce\x92\xce\x93\xce\xa9");
  test_case("\xd0\xb6\xd1\x91", "\xd0\x96\xd0\x81");
  test_case("\xc4\x8d\xc5\xbe\xc3\xbf", "\xc4\x8c\xc5\xbd\xc5\xb8");
  test_case("\xf0\x90\x90\xa8", "\xf0\x90\x90\x80");
  test_broken_text();
  test_regex(&cx);
  for (size_t n = 0; n < 3000; n++) {
    test_strided(&cx, sizes[n % 6]);
  }
  for (size_t n = 0; n < 2000; n++) {
    if (n == 1000) { /* runs begin anywhere */
      expect(weft_pool_create(&cx, 3, &cx.pool) == WEFT_OK, "threads", "are not made");
    }
    test_broadcast(&cx);
  }
  weft_pool_destroy(cx.pool);
  weft_memory_release(cx.memory);
  return failures == 0 ? 0 : 1;
}
