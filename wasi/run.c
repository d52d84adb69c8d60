/* weft run: one run of a model, inputs from files, outputs to files. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 8, SHOWN_DIGITS = 6, STEM_SIZE = 200 };

/* ---- on the screen ----------------------------------------------------------------------------------------------- */
static void print_element(const weft_tensor *t, size_t i) {
  switch (t->type) {
  case WEFT_STRING: {
    weft_string s = ((const weft_string *)t->data)[i];
    weft_cli_say(stdout, "\"%.*s\"", (int)(s.size < 40 ? s.size : 40), s.size > 0 ? s.data : "");
    return;
  }
  case WEFT_INT64:
    weft_cli_say(stdout, "%" PRId64, ((const int64_t *)t->data)[i]);
    return;
  case WEFT_UINT64:
    weft_cli_say(stdout, "%" PRIu64, ((const uint64_t *)t->data)[i]);
    return;
  case WEFT_COMPLEX64:
  case WEFT_COMPLEX128: {
    weft_tensor parts = *t;
    parts.type = t->type == WEFT_COMPLEX64 ? WEFT_FLOAT : WEFT_DOUBLE;
    double imaginary = weft_cli_number(&parts, 2 * i + 1);
    weft_cli_say(stdout, "%s%s%si", weft_cli_digits(WEFT_DOUBLE, weft_cli_number(&parts, 2 * i), SHOWN_DIGITS).text,
                 signbit(imaginary) ? "" : "+", weft_cli_digits(WEFT_DOUBLE, imaginary, SHOWN_DIGITS).text);
    return;
  }
  default:
    weft_cli_say(stdout, "%s", weft_cli_digits(WEFT_DOUBLE, weft_cli_number(t, i), SHOWN_DIGITS).text);
  }
}

static void print_tensor(const weft_tensor *t) {
  char text[96];
  size_t shown = t->count < SHOWN ? t->count : SHOWN;
  weft_cli_say(stdout, "%s %s:", weft_type_name(t->type), weft_shape_print(&t->shape, text, sizeof text));
  for (size_t i = 0; i < shown; i++) {
    putchar(' ');
    print_element(t, i);
  }
  weft_cli_say(stdout, "%s\n", shown < t->count ? " ..." : "");
}

static void print_value(const char *name, const weft_value *value) {
  weft_cli_name(stdout, name);
  weft_cli_say(stdout, ": ");
  switch (value->kind) {
  case WEFT_KIND_TENSOR:
    print_tensor(&value->tensor);
    return;
  case WEFT_KIND_SEQUENCE:
    weft_cli_say(stdout, "a sequence of %zu\n", value->item_count);
    return;
  case WEFT_KIND_MAP:
    weft_cli_say(stdout, "a map of %zu\n", weft_value_count(value));
    return;
  default:
    weft_cli_say(stdout, "absent\n");
  }
}

/* ---- to files ---------------------------------------------------------------------------------------------------- */
/* A file name from an output's name: what is no letter, digit, dot, dash or underscore becomes an underscore, and then
 * the output's number is added so that names stay apart. */
static void make_stem(const char *name, size_t index, char out[STEM_SIZE]) {
  size_t n = 0;
  bool changed = name[0] == 0 || name[0] == '.';
  for (; name[n] != 0 && n < STEM_SIZE - 24; n++) {
    char c = name[n];
    bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    out[n] = plain && !(n == 0 && c == '.') ? c : '_';
    changed |= out[n] != c;
  }
  out[n] = 0;
  if (changed || name[n] != 0) {
    weft_print(out + n, STEM_SIZE - n, "_%zu", index);
  }
}

/* Tensors become one file, sequences and maps one for each item, numbered. Absent ones leave none. */
static bool write_value(weft_cli *cli, const char *stem, const weft_value *value) {
  char *path;
  bool good = true;
  if (value->kind == WEFT_KIND_TENSOR) {
    good = weft_cli_print(cli, &path, "%s.npy", stem);
    good = good && weft_cli_write_npy(cli, path, &value->tensor);
    free(path);
    return good;
  }
  for (size_t i = 0; good && i < value->item_count; i++) {
    static const char *const parts[] = {"keys", "values"};
    good = value->kind == WEFT_KIND_MAP ? weft_cli_print(cli, &path, "%s.%s", stem, parts[i & 1])
                                        : weft_cli_print(cli, &path, "%s.%zu", stem, i);
    good = good && write_value(cli, path, value->items[i]);
    free(path);
  }
  return good;
}

static bool write_outputs(weft_cli *cli, const char *folder, const weft_cli_named *outputs) {
  for (size_t i = 0; i < outputs->count; i++) {
    char stem[STEM_SIZE], *path;
    make_stem(outputs->names[i], i, stem);
    bool good = weft_cli_print(cli, &path, "%s/%s", folder, stem) && write_value(cli, path, outputs->values[i]);
    free(path);
    if (!good) {
      return false;
    }
  }
  return true;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */
static bool run_session(weft_cli *cli, weft_session *session, const weft_cli_given *given, const char *folder) {
  weft_cli_named feeds = {0}, outputs = {0};
  bool good = weft_cli_feeds(cli, session, given, &feeds) && weft_cli_outputs(cli, session, &outputs) &&
              (folder == NULL || weft_cli_make_folder(cli, folder)) && /* before a run, which may be long */
              weft_session_run(session, feeds.count, feeds.names, feeds.values, outputs.count, outputs.names,
                               outputs.values, &cli->error) == WEFT_OK;
  for (size_t i = 0; good && i < outputs.count; i++) {
    print_value(outputs.names[i], outputs.values[i]);
  }
  good = good && (folder == NULL || write_outputs(cli, folder, &outputs));
  weft_cli_free_named(&feeds);
  weft_cli_free_named(&outputs);
  return good;
}

static int run_model(weft_cli *cli, const weft_cli_list *operands, const weft_cli_session *options,
                     const weft_cli_given *given, const char *folder) {
  weft_session *session;
  weft_options o = weft_cli_options(options);
  if (weft_session_create_from_file(operands->items[0], &o, &session, &cli->error) != WEFT_OK) {
    return weft_cli_report(cli);
  }
  weft_cli_warn(session);
  bool good = run_session(cli, session, given, folder);
  weft_session_destroy(session);
  return good ? WEFT_CLI_OK : weft_cli_report(cli);
}

static int run(weft_cli *cli, int argc, char **argv) {
  weft_cli_session session = {0};
  weft_cli_given given = {0};
  weft_cli_list operands = {0};
  const char *folder = NULL;
  const weft_cli_option options[] = {
      WEFT_CLI_INPUT_OPTIONS(given),
      {"--output", WEFT_CLI_TEXT, &folder, "DIR", "write every output there as a .npy file"},
      WEFT_CLI_SESSION_OPTIONS(session),
  };
  int code = weft_cli_parse(cli, &weft_cli_run, options, sizeof options / sizeof *options, argc, argv, &operands, true);
  if (code < 0) {
    code = run_model(cli, &operands, &session, &given, folder);
  }
  weft_cli_free_list(&operands);
  weft_cli_free_given(&given);
  return code;
}

const weft_cli_command weft_cli_run = {"run", "MODEL", "Run a model once and show or write its outputs.", run};
