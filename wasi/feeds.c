/* Values for a session's inputs: from files, or made up when none is given, so that any model can be tried at once.
 * What is made up depends on the input's name only: two runs on two hosts see the same numbers. */
#include "../src/base/convert.h"
#include "../src/onnx/model.h"
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void weft_cli_free_given(weft_cli_given *given) {
  weft_cli_free_list(&given->inputs);
  weft_cli_free_list(&given->dims);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */
static bool ends_with(const char *path, const char *end) {
  size_t n = strlen(path), m = strlen(end);
  return n >= m && strcmp(path + n - m, end) == 0;
}

static bool read_pb(weft_cli *cli, const char *path, weft_kind kind, weft_value **out) {
  weft_cli_bytes file;
  if (!weft_cli_read(cli, path, &file)) {
    return false;
  }
  bool good = weft_onnx_value_from_bytes(&cli->cx, kind, file.data, file.size, NULL, 0, out) == WEFT_OK ||
              weft_cli_fail(cli, WEFT_INVALID_ARGUMENT, "'%s': %s", path, cli->error.message);
  free(file.data);
  return good;
}

/* One string a line; the tensor has the input's shape if that has as many elements, otherwise one dimension. */
static bool split_lines(weft_cli *cli, const weft_cli_bytes *file, const weft_info *info, weft_value **out) {
  int64_t lines = 0, declared = info->rank >= 0 ? 1 : 0;
  for (size_t i = 0; i < file->size; i++) {
    lines += file->data[i] == '\n' || i + 1 == file->size;
  }
  for (int d = 0; d < info->rank; d++) {
    declared = info->dims[d] > 0 && declared <= lines ? declared * info->dims[d] : 0;
  }
  bool fits = info->rank >= 0 && declared == lines;
  if (weft_value_create_tensor(WEFT_STRING, fits ? info->rank : 1, fits ? info->dims : &lines, out, &cli->error) !=
      WEFT_OK) {
    return false;
  }
  const char *at = file->data;
  for (int64_t i = 0; i < lines; i++) {
    const char *end = memchr(at, '\n', (size_t)(file->data + file->size - at));
    size_t n = end != NULL ? (size_t)(end - at) : (size_t)(file->data + file->size - at);
    size_t kept = n > 0 && at[n - 1] == '\r' ? n - 1 : n;
    if (weft_value_set_string(*out, (size_t)i, at, kept, &cli->error) != WEFT_OK) {
      return false;
    }
    at += n + 1;
  }
  return true;
}

static bool read_lines(weft_cli *cli, const char *path, const weft_info *info, weft_value **out) {
  weft_cli_bytes file;
  if (!weft_cli_read(cli, path, &file)) {
    return false;
  }
  bool good = split_lines(cli, &file, info, out);
  free(file.data);
  return good;
}

static bool read_input(weft_cli *cli, const char *path, const weft_info *info, weft_kind kind, weft_value **out) {
  if (ends_with(path, ".npy")) {
    return weft_cli_read_npy(cli, path, info->type, out);
  }
  if (ends_with(path, ".pb")) {
    return read_pb(cli, path, kind, out);
  }
  if (ends_with(path, ".txt")) {
    return read_lines(cli, path, info, out);
  }
  return weft_cli_fail(cli, WEFT_INVALID_ARGUMENT, "'%s' is no .npy, .pb or .txt file", path);
}

/* The file behind "NAME=" when the item is for this name. */
static const char *file_of(const char *item, const char *name) {
  size_t n = strlen(name);
  return strncmp(item, name, n) == 0 && item[n] == '=' ? item + n + 1 : NULL;
}

/* The next file given for the input from item `*at` on, or NULL. */
static const char *next_file(const weft_cli_list *given, const char *name, size_t *at) {
  while (*at < given->count) {
    const char *path = file_of(given->items[(*at)++], name);
    if (path != NULL) {
      return path;
    }
  }
  return NULL;
}

static bool read_sequence(weft_cli *cli, const weft_cli_list *given, const weft_info *info, size_t files,
                          weft_value **out) {
  weft_value **items = calloc(files, sizeof *items);
  size_t at = 0, done = 0;
  bool good = items != NULL || weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for a sequence");
  for (; good && done < files; done++) {
    good = read_input(cli, next_file(given, info->name, &at), info, WEFT_KIND_TENSOR, &items[done]);
  }
  good = good && weft_value_create_sequence(info->type, files, items, out, &cli->error) == WEFT_OK;
  for (size_t i = 0; items != NULL && i < files; i++) {
    weft_value_release(items[i]);
  }
  free(items);
  return good;
}

/* ---- made up ----------------------------------------------------------------------------------------------------- */
/* SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* Floating-point numbers lie in [0, 1), bytes anywhere, other integers are 0 or 1: safe as indices, lengths and masks.
 */
static void fill(weft_tensor *t, uint64_t seed) {
  size_t parts = t->type == WEFT_COMPLEX64 || t->type == WEFT_COMPLEX128 ? 2 : 1;
  weft_type type = t->type == WEFT_COMPLEX64 ? WEFT_FLOAT : t->type == WEFT_COMPLEX128 ? WEFT_DOUBLE : t->type;
  bool integer = weft_type_is_integer(type) || type == WEFT_BOOL;
  uint64_t mask = type == WEFT_UINT8 ? 0xff : type == WEFT_INT8 ? 0x7f : 1;
  for (size_t i = 0; i < t->count * parts && type != WEFT_STRING; i++) {
    uint64_t r = next_random(&seed);
    int64_t whole = (int64_t)(r >> 32 & mask);
    double real = (double)(r >> 40) / (double)(1 << 24);
    if (integer) {
      weft_store_int64(type, &whole, 1, t->data, i, 1);
    } else {
      weft_store_double(type, &real, 1, t->data, i, 1);
    }
  }
}

static int64_t dim_of(const weft_cli_list *dims, const char *symbol) {
  size_t at = 0;
  uint64_t number;
  const char *value = symbol != NULL ? next_file(dims, symbol, &at) : NULL;
  return value != NULL && weft_cli_parse_number(value, &number) ? (int64_t)number : 1;
}

static bool make_up(weft_cli *cli, const weft_info *info, const weft_cli_list *dims, weft_value **out) {
  weft_shape shape = {.rank = info->rank > 0 ? info->rank : 0};
  char text[96];
  if (info->kind != WEFT_KIND_TENSOR) {
    return weft_cli_fail(cli, WEFT_INVALID_ARGUMENT, "the input '%s' is no tensor: give it with --input", info->name);
  }
  uint64_t seed = 1469598103934665603u; /* FNV-1a of the name */
  for (const char *c = info->name; *c != 0; c++) {
    seed = (seed ^ (uint8_t)*c) * 1099511628211u;
  }
  for (int d = 0; d < shape.rank; d++) {
    shape.dims[d] = info->dims[d] >= 0 ? info->dims[d] : dim_of(dims, info->symbols[d]);
  }
  if (weft_value_create_tensor(info->type, shape.rank, shape.dims, out, &cli->error) != WEFT_OK) {
    return weft_cli_fail(cli, cli->error.code, "the input '%s', made up: %s", info->name, cli->error.message);
  }
  fill(&(*out)->tensor, seed);
  weft_cli_say(stderr, "weft: made up the input '");
  weft_cli_name(stderr, info->name);
  weft_cli_say(stderr, "': %s %s\n", weft_type_name(info->type), weft_shape_print(&shape, text, sizeof text));
  return true;
}

/* ---- all inputs -------------------------------------------------------------------------------------------------- */
static bool make_feed(weft_cli *cli, const weft_cli_given *given, const weft_info *info, weft_value **out) {
  size_t at = 0, files = 0;
  while (next_file(&given->inputs, info->name, &at) != NULL) {
    files++;
  }
  at = 0;
  if (files == 0) {
    return info->optional || make_up(cli, info, &given->dims, out);
  }
  const char *path = next_file(&given->inputs, info->name, &at);
  if (info->kind == WEFT_KIND_SEQUENCE && (files > 1 || !ends_with(path, ".pb"))) {
    return read_sequence(cli, &given->inputs, info, files, out);
  }
  if (files > 1) {
    return weft_cli_fail(cli, WEFT_INVALID_ARGUMENT, "the input '%s' is given %zu times", info->name, files);
  }
  return read_input(cli, path, info, info->kind, out);
}

/* Every --input must name an input, every --dim a symbol of one. The last input tried is left in `info`. */
static bool find(weft_cli *cli, weft_session *session, const char *item, bool dim, bool *found, weft_info *info) {
  size_t count = weft_session_input_count(session);
  for (size_t k = 0; !*found && k < count; k++) {
    if (weft_session_input_info(session, k, info, &cli->error) != WEFT_OK) {
      return false;
    }
    *found = !dim && file_of(item, info->name) != NULL;
    for (int d = 0; dim && d < info->rank; d++) {
      uint64_t number;
      const char *value = info->symbols[d] != NULL ? file_of(item, info->symbols[d]) : NULL;
      *found |= value != NULL && weft_cli_parse_number(value, &number);
    }
  }
  return true;
}

static bool check_names(weft_cli *cli, weft_session *session, const weft_cli_given *given) {
  for (size_t i = 0; i < given->inputs.count + given->dims.count; i++) {
    bool found = false, dim = i >= given->inputs.count;
    const char *item = dim ? given->dims.items[i - given->inputs.count] : given->inputs.items[i];
    weft_info info = {.name = "NAME"};
    if (!find(cli, session, item, dim, &found, &info)) {
      return false;
    }
    if (!found) {
      return dim ? weft_cli_fail(cli, WEFT_INVALID_ARGUMENT,
                                 "--dim %s: expected SYMBOL=N, a dimension that an input leaves open and a number",
                                 item)
                 : weft_cli_fail(cli, WEFT_INVALID_ARGUMENT,
                                 "--input %s names no input of the model: expected something like %s=FILE", item,
                                 info.name);
    }
  }
  return true;
}

bool weft_cli_feeds(weft_cli *cli, weft_session *session, const weft_cli_given *given, weft_cli_named *out) {
  size_t count = weft_session_input_count(session);
  if (!check_names(cli, session, given) || !weft_cli_new_named(cli, count, out)) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    weft_info info;
    weft_value *value = NULL;
    bool good =
        weft_session_input_info(session, i, &info, &cli->error) == WEFT_OK && make_feed(cli, given, &info, &value);
    if (value != NULL) {
      out->names[out->count] = info.name;
      out->values[out->count++] = value;
    }
    if (!good) {
      return false;
    }
  }
  return true;
}
