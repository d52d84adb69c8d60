/* Answers that are sequences of maps. ONNX has a message for them that no exporter's test writes; what lies beside
 * models is a JSON file, {"value": [{"key": number, ...}, ...]}. It is compared while it is read, key by key in any
 * order; integer keys are texts in JSON. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
  weft_cli *cli;
  const char *path, *at; /* ends with a zero */
} reader;

static bool fail_json(reader *r, const char *expected) {
  return weft_cli_fail(r->cli, WEFT_INVALID_ARGUMENT, "'%s' is not the JSON it should be: expected %s", r->path,
                       expected);
}

/* Takes `c` if it comes next, after white space. */
static bool take(reader *r, char c) {
  r->at += strspn(r->at, " \t\r\n");
  bool there = *r->at == c;
  r->at += there;
  return there;
}

/* A text without its quotes; of escapes only those of quotes and backslashes are undone. */
static bool take_text(reader *r, char *out, size_t size) {
  size_t n = 0;
  if (!take(r, '"')) {
    return fail_json(r, "a text");
  }
  while (*r->at != '"') {
    r->at += r->at[0] == '\\' && (r->at[1] == '"' || r->at[1] == '\\');
    if (*r->at == 0 || n + 1 == size) {
      return fail_json(r, "the end of a text");
    }
    out[n++] = *r->at++;
  }
  r->at++;
  out[n] = 0;
  return true;
}

static bool take_number(reader *r, double *out) {
  const char *end;
  r->at += strspn(r->at, " \t\r\n");
  *out = weft_decimal_read(r->at, &end, false);
  if (end == r->at) {
    return fail_json(r, "a number");
  }
  r->at = end;
  return true;
}

/* The place of `key` among the map's keys; their count if it is not there. */
static size_t find_key(const weft_tensor *keys, const char *key) {
  for (size_t i = 0; i < keys->count; i++) {
    char number[32];
    if (keys->type == WEFT_STRING) {
      const weft_string *s = (const weft_string *)keys->data + i;
      if (s->size == strlen(key) && memcmp(s->data, key, s->size) == 0) {
        return i;
      }
      continue;
    }
    weft_print(number, sizeof number, "%" PRId64, ((const int64_t *)keys->data)[i]);
    if (strcmp(number, key) == 0) {
      return i;
    }
  }
  return keys->count;
}

static bool compare_entry(reader *r, const weft_value *map, const char *name, double rtol, double atol) {
  char key[256];
  double expected;
  if (!take_text(r, key, sizeof key) || (!take(r, ':') && !fail_json(r, "a colon")) || !take_number(r, &expected)) {
    return false;
  }
  const weft_tensor *keys = &map->items[0]->tensor, *values = &map->items[1]->tensor;
  size_t i = find_key(keys, key);
  if (i == keys->count || i >= values->count || values->type == WEFT_STRING) {
    return weft_cli_fail(r->cli, WEFT_RUN_FAILED, "'%s' has no number for the key '%s'", name, key);
  }
  double found = weft_cli_number(values, i);
  if (found == expected || fabs(found - expected) <= atol + rtol * fabs(expected)) {
    return true;
  }
  return weft_cli_fail(r->cli, WEFT_RUN_FAILED, "'%s' has %s for the key '%s', expected %s", name,
                       weft_cli_digits(WEFT_DOUBLE, found, 9).text, key,
                       weft_cli_digits(WEFT_DOUBLE, expected, 9).text);
}

static bool compare_map(reader *r, const weft_value *map, const char *name, double rtol, double atol) {
  size_t entries = 0;
  if (!take(r, '{')) {
    return fail_json(r, "a map");
  }
  if (map->kind != WEFT_KIND_MAP) {
    return weft_cli_fail(r->cli, WEFT_RUN_FAILED, "'%s' holds no maps", name);
  }
  if (!take(r, '}')) {
    do {
      if (!compare_entry(r, map, name, rtol, atol)) {
        return false;
      }
      entries++;
    } while (take(r, ','));
    if (!take(r, '}')) {
      return fail_json(r, "the end of a map");
    }
  }
  size_t count = map->items[0]->tensor.count;
  return entries == count ||
         weft_cli_fail(r->cli, WEFT_RUN_FAILED, "a map of '%s' has %zu entries, expected %zu", name, count, entries);
}

static bool compare_list(reader *r, const weft_value *found, const char *name, double rtol, double atol) {
  size_t n = 0;
  if (!take(r, '[')) {
    return fail_json(r, "a list");
  }
  do {
    if (n == found->item_count) {
      return weft_cli_fail(r->cli, WEFT_RUN_FAILED, "'%s' has %zu maps, expected more", name, n);
    }
    if (!compare_map(r, found->items[n++], name, rtol, atol)) {
      return false;
    }
  } while (take(r, ','));
  if (!take(r, ']')) {
    return fail_json(r, "the end of the list");
  }
  return n == found->item_count ||
         weft_cli_fail(r->cli, WEFT_RUN_FAILED, "'%s' has %zu maps, expected %zu", name, found->item_count, n);
}

bool weft_cli_compare_maps(weft_cli *cli, const char *name, const char *path, const weft_value *found, double rtol,
                           double atol) {
  weft_cli_bytes text;
  if (found->kind != WEFT_KIND_SEQUENCE) {
    return weft_cli_fail(cli, WEFT_RUN_FAILED, "'%s' is no sequence of maps", name);
  }
  if (!weft_cli_read(cli, path, &text)) {
    return false;
  }
  const char *value = weft_cli_after(text.data, "\"value\":");
  reader r = {.cli = cli, .path = path, .at = value != NULL ? value : text.data};
  bool good = compare_list(&r, found, name, rtol, atol);
  free(text.data);
  return good;
}
