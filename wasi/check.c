/* weft check: runs models against the answers that lie beside them, in the layout of ONNX's own tests: DIR/model.onnx
 * and DIR/test_data_set_K/{input,output}_N.pb. A failing model is one line and the next model is tried; nothing ends
 * the run. */
#include "../src/onnx/model.h"
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 256 };

typedef struct settings {
  double rtol, atol;
  weft_cli_list expected; /* prefixes of the answers' file names: one of them has to match */
  weft_options session;
  weft_type declared; /* of the output that is compared */
} settings;

/* ---- one file ---------------------------------------------------------------------------------------------------- */
static bool read_value(weft_cli *cli, const char *path, weft_kind kind, char name[NAME_SIZE], weft_value **out) {
  weft_cli_bytes bytes;
  *out = NULL;
  if (!weft_cli_read(cli, path, &bytes)) {
    return false;
  }
  bool good = weft_onnx_value_from_bytes(&cli->cx, kind, bytes.data, bytes.size, name, NAME_SIZE, out) == WEFT_OK;
  free(bytes.data);
  return good;
}

/* The path of PREFIX_N.EXTENSION if there is such a file, otherwise NULL. */
static bool find_file(weft_cli *cli, const char *folder, const char *prefix, size_t n, const char *extension,
                      char **out) {
  if (!weft_cli_print(cli, out, "%s/%s_%zu.%s", folder, prefix, n, extension)) {
    return false;
  }
  if (!weft_cli_exists(*out)) {
    free(*out);
    *out = NULL;
  }
  return true;
}

static size_t count_files(weft_cli *cli, const char *folder, const char *prefix) {
  size_t n = 0;
  char *path = NULL;
  while (find_file(cli, folder, prefix, n, "pb", &path) && path != NULL) {
    free(path);
    n++;
  }
  return n;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */
/* The input that file `n` is for: the one the file names, or by position (skipping inputs with a default when there are
 * fewer files than inputs). */
static bool choose_input(weft_cli *cli, weft_session *session, const char *name, size_t n, bool skip_optional,
                         const char **out) {
  weft_info info;
  size_t count = weft_session_input_count(session), at = 0;
  *out = NULL;
  for (size_t i = 0; i < count; i++) {
    if (weft_session_input_info(session, i, &info, &cli->error) != WEFT_OK) {
      return false;
    }
    if (name[0] != 0 && strcmp(info.name, name) == 0) {
      *out = info.name;
      return true;
    }
    if (!(skip_optional && info.optional) && at++ == n) {
      *out = info.name;
    }
  }
  return *out != NULL ||
         weft_cli_fail(cli, WEFT_INVALID_ARGUMENT, "input_%zu.pb has no input: the model has %zu", n, count);
}

static bool kind_of_input(weft_cli *cli, weft_session *session, size_t n, weft_kind *out) {
  weft_info info;
  *out = WEFT_KIND_TENSOR;
  if (n >= weft_session_input_count(session)) {
    return true;
  }
  if (weft_session_input_info(session, n, &info, &cli->error) != WEFT_OK) {
    return false;
  }
  *out = info.kind != WEFT_KIND_NONE ? info.kind : WEFT_KIND_TENSOR;
  return true;
}

static bool read_inputs(weft_cli *cli, weft_session *session, const char *folder, weft_cli_named *out) {
  size_t count = count_files(cli, folder, "input");
  bool skip_optional = count < weft_session_input_count(session);
  if (!weft_cli_new_named(cli, count, out)) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    char *path, name[NAME_SIZE];
    weft_kind kind;
    if (!kind_of_input(cli, session, i, &kind) || !find_file(cli, folder, "input", i, "pb", &path)) {
      return false;
    }
    bool good = read_value(cli, path, kind, name, &out->values[i]);
    free(path);
    out->count += good;
    if (!good || !choose_input(cli, session, name, i, skip_optional, &out->names[i])) {
      return false;
    }
  }
  return true;
}

/* ---- outputs ----------------------------------------------------------------------------------------------------- */
static const weft_value *find_output(const weft_cli_named *outputs, const char *name, size_t n, const char **found) {
  for (size_t i = 0; i < outputs->count; i++) {
    if (name[0] != 0 && strcmp(outputs->names[i], name) == 0) {
      *found = outputs->names[i];
      return outputs->values[i];
    }
  }
  *found = n < outputs->count ? outputs->names[n] : "";
  return n < outputs->count ? outputs->values[n] : NULL;
}

static bool compare_value(weft_cli *cli, const char *path, size_t n, const weft_cli_named *outputs, const settings *s) {
  char name[NAME_SIZE];
  const char *output;
  weft_value *expected;
  weft_kind kind = n < outputs->count ? outputs->values[n]->kind : WEFT_KIND_TENSOR;
  bool good = read_value(cli, path, kind, name, &expected);
  if (good) {
    const weft_value *value = find_output(outputs, name, n, &output);
    good = value != NULL ? weft_cli_compare(cli, output, expected, value, s->declared, s->rtol, s->atol)
                         : weft_cli_fail(cli, WEFT_RUN_FAILED, "'%s' has no output", path);
  }
  weft_value_release(expected);
  return good;
}

/* Compares PREFIX_N with its output; `*found` says whether there is such a file. */
static bool compare_file(weft_cli *cli, const char *folder, const char *prefix, size_t n, const weft_cli_named *outputs,
                         const settings *s, bool *found) {
  char *values, *maps = NULL;
  bool good = find_file(cli, folder, prefix, n, "pb", &values) && find_file(cli, folder, prefix, n, "json", &maps);
  *found = values != NULL || maps != NULL;
  if (values != NULL) {
    good = good && compare_value(cli, values, n, outputs, s);
  } else if (maps != NULL) {
    good = good && weft_cli_compare_maps(cli, outputs->names[n], maps, outputs->values[n], s->rtol, s->atol);
  } else {
    good = false;
  }
  free(values);
  free(maps);
  return good;
}

/* Output n is right when one of the prefixes' files agrees; where a prefix has no file, output_N stands for it. */
static bool compare_output(weft_cli *cli, const char *folder, size_t n, const weft_cli_named *outputs,
                           const settings *s, size_t *compared) {
  bool any = false, found;
  for (size_t p = 0; p < s->expected.count; p++) {
    bool good = compare_file(cli, folder, s->expected.items[p], n, outputs, s, &found);
    if (!found) {
      good = compare_file(cli, folder, "output", n, outputs, s, &found);
    }
    any |= found;
    if (good) {
      ++*compared;
      return true;
    }
  }
  return !any;
}

static bool compare_outputs(weft_cli *cli, weft_session *session, const char *folder, const weft_cli_named *outputs,
                            const settings *s) {
  size_t compared = 0;
  settings own = *s;
  for (size_t i = 0; i < outputs->count; i++) {
    weft_info info;
    if (weft_session_output_info(session, i, &info, &cli->error) != WEFT_OK) {
      return false;
    }
    own.declared = info.type;
    if (!compare_output(cli, folder, i, outputs, &own, &compared)) {
      return false;
    }
  }
  return compared > 0 || outputs->count == 0 ||
         weft_cli_fail(cli, WEFT_INVALID_ARGUMENT, "there are no answers to compare with in '%s'", folder);
}

/* ---- one folder -------------------------------------------------------------------------------------------------- */
static bool check_data(weft_cli *cli, weft_session *session, const char *folder, const settings *s) {
  weft_cli_named inputs = {0}, outputs = {0};
  bool good = read_inputs(cli, session, folder, &inputs) && weft_cli_outputs(cli, session, &outputs);
  if (good) {
    good = weft_session_run(session, inputs.count, inputs.names, inputs.values, outputs.count, outputs.names,
                            outputs.values, &cli->error) == WEFT_OK &&
           compare_outputs(cli, session, folder, &outputs, s);
  }
  weft_cli_free_named(&inputs);
  weft_cli_free_named(&outputs);
  return good;
}

static bool check_data_sets(weft_cli *cli, weft_session *session, const char *dir, const settings *s) {
  for (size_t k = 0;; k++) {
    char *folder;
    if (!weft_cli_print(cli, &folder, "%s/test_data_set_%zu", dir, k)) {
      return false;
    }
    bool there = weft_cli_exists(folder), good = there && check_data(cli, session, folder, s);
    free(folder);
    if (!there) {
      return k > 0 || weft_cli_fail(cli, WEFT_INVALID_ARGUMENT, "there is no test_data_set_0");
    }
    if (!good) {
      return false;
    }
  }
}

static bool check_folder(weft_cli *cli, const char *dir, const settings *s) {
  weft_session *session = NULL;
  char *path;
  if (!weft_cli_print(cli, &path, "%s/model.onnx", dir)) {
    return false;
  }
  bool good = weft_session_create_from_file(path, &s->session, &session, &cli->error) == WEFT_OK;
  free(path);
  good = good && check_data_sets(cli, session, dir, s);
  weft_session_destroy(session);
  return good;
}

static bool check_and_print(weft_cli *cli, const char *dir, const settings *s) {
  bool good = check_folder(cli, dir, s);
  if (good) {
    weft_cli_say(stdout, "ok %s\n", dir);
  } else {
    weft_cli_say(stdout, "FAIL %s: %s\n", dir, cli->error.message);
  }
  fflush(stdout);
  return good;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */
/* A line of a list: the folder, then settings of its own between tabs: rtol=, atol=, expected=. */
static bool parse_line(weft_cli *cli, char *line, settings *own) {
  for (char *word = strchr(line, '\t'); word != NULL;) {
    *word++ = 0;
    char *next = strchr(word, '\t');
    if (next != NULL) {
      *next = 0;
    }
    if (strncmp(word, "rtol=", 5) == 0) {
      own->rtol = weft_decimal_read(word + 5, NULL, false);
    } else if (strncmp(word, "atol=", 5) == 0) {
      own->atol = weft_decimal_read(word + 5, NULL, false);
    } else if (strncmp(word, "expected=", 9) == 0) {
      if (!weft_cli_add(cli, &own->expected, word + 9)) {
        return false;
      }
    } else {
      return weft_cli_fail(cli, WEFT_INVALID_ARGUMENT, "'%s' is no setting: rtol=, atol= and expected= are", word);
    }
    if (next != NULL) {
      *next = '\t';
    }
    word = next;
  }
  return true;
}

static bool check_line(weft_cli *cli, char *line, const settings *s) {
  settings own = *s;
  own.expected = (weft_cli_list){0};
  bool good = parse_line(cli, line, &own);
  if (!good) {
    weft_cli_say(stdout, "FAIL %s: %s\n", line, cli->error.message);
  } else {
    weft_cli_list mine = own.expected;
    own.expected = mine.count > 0 ? mine : s->expected;
    good = check_and_print(cli, line, &own);
    own.expected = mine;
  }
  weft_cli_free_list(&own.expected);
  return good;
}

static bool check_list(weft_cli *cli, const char *path, const settings *s, size_t *passed, size_t *failed) {
  weft_cli_bytes text;
  if (!weft_cli_read(cli, path, &text)) {
    return false;
  }
  for (char *line = text.data; *line != 0;) {
    size_t n = strcspn(line, "\r\n");
    char *next = line + n + (line[n] != 0);
    line[n] = 0;
    if (n > 0) {
      *(check_line(cli, line, s) ? passed : failed) += 1;
    }
    line = next;
  }
  free(text.data);
  return true;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */
static int check(weft_cli *cli, int argc, char **argv) {
  settings s = {.rtol = 1e-3, .atol = 1e-7};
  weft_cli_session session = {0};
  weft_cli_list folders = {0}, lists = {0};
  const weft_cli_option options[] = {
      {"--rtol", WEFT_CLI_REAL, &s.rtol, "X", "how far a number may be off, relative to the answer (1e-3)"},
      {"--atol", WEFT_CLI_REAL, &s.atol, "X", "and absolute (1e-7)"},
      {"--expected", WEFT_CLI_MANY, &s.expected, "PREFIX",
       "files of the answers (output); given twice, either may agree"},
      {"--list", WEFT_CLI_MANY, &lists, "FILE", "folders, one a line; tab, rtol=X, atol=X, expected=PREFIX may follow"},
      WEFT_CLI_SESSION_OPTIONS(session),
  };
  size_t passed = 0, failed = 0;
  int code =
      weft_cli_parse(cli, &weft_cli_check, options, sizeof options / sizeof *options, argc, argv, &folders, false);
  s.session = weft_cli_options(&session);
  if (code < 0 && folders.count + lists.count == 0) {
    code = weft_cli_usage(&weft_cli_check, "folders are missing after", "check");
  }
  if (code < 0 && s.expected.count == 0 && !weft_cli_add(cli, &s.expected, "output")) {
    code = weft_cli_report(cli);
  }
  for (size_t i = 0; code < 0 && i < folders.count; i++) {
    *(check_and_print(cli, folders.items[i], &s) ? &passed : &failed) += 1;
  }
  for (size_t i = 0; code < 0 && i < lists.count; i++) {
    if (!check_list(cli, lists.items[i], &s, &passed, &failed)) {
      code = weft_cli_report(cli);
    }
  }
  if (code < 0) {
    weft_cli_say(stdout, "%zu passed, %zu failed\n", passed, failed);
    code = failed > 0 ? WEFT_CLI_FAILED : WEFT_CLI_OK;
  }
  weft_cli_free_list(&folders);
  weft_cli_free_list(&lists);
  weft_cli_free_list(&s.expected);
  return code;
}

const weft_cli_command weft_cli_check = {"check", "DIR...", "Run models against the answers beside them.", check};
