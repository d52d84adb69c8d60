/* What the files of the command share: arguments, files, values read from and written to files, and comparing them. The
 * command is a user of weft.h like any other, but for reading ONNX's files of values and looking into a model that
 * cannot run. Functions that fail leave a sentence in cli->error and return false. */
#ifndef WEFT_WASI_CLI_H
#define WEFT_WASI_CLI_H

#include <stdio.h>

#include "../src/base/sort.h"
#include "../src/base/text.h"
#include "../src/base/value.h"

typedef struct weft_cli {
  weft_context cx; /* for values that belong to no session; its error is `error` */
  weft_error error;
} weft_cli;

/* Writes the sentence and returns false. */
bool weft_cli_fail(weft_cli *cli, weft_status code, const char *format, ...) WEFT_PRINTF(3, 4);

enum { WEFT_CLI_OK = 0, WEFT_CLI_FAILED = 1, WEFT_CLI_USAGE = 2 }; /* exit codes */

/* ---- arguments --------------------------------------------------------------------------------------------------- */
typedef struct weft_cli_list {
  const char **items;
  size_t count, room;
} weft_cli_list;

typedef enum weft_cli_kind {
  WEFT_CLI_FLAG,   /* bool */
  WEFT_CLI_TEXT,   /* const char * */
  WEFT_CLI_MANY,   /* weft_cli_list: may be given again and again */
  WEFT_CLI_NUMBER, /* uint64_t; k, M and G (of 1024) may follow */
  WEFT_CLI_REAL    /* double */
} weft_cli_kind;

typedef struct weft_cli_option {
  const char *name; /* with its dashes */
  weft_cli_kind kind;
  void *target;
  const char *value; /* what --help calls the value; NULL for flags */
  const char *help;
} weft_cli_option;

/* Options of every command that makes a session. */
typedef struct weft_cli_session {
  uint64_t threads, max_memory, seed;
  bool no_optimize, deterministic;
} weft_cli_session;

#define WEFT_CLI_SESSION_OPTIONS(s)                                                                                    \
  {"--threads", WEFT_CLI_NUMBER, &(s).threads, "N", "threads to run on (builds with threads; default 1)"},             \
      {"--max-memory", WEFT_CLI_NUMBER, &(s).max_memory, "BYTES", "the most the session may hold, as in 512M"},        \
      {"--no-optimize", WEFT_CLI_FLAG, &(s).no_optimize, NULL, "run the graph as it is"},                              \
      {"--deterministic", WEFT_CLI_FLAG, &(s).deterministic, NULL, "the same bits on every host"},                     \
      {"--seed", WEFT_CLI_NUMBER, &(s).seed, "N", "of random operators without their own (else: another each time)"}

typedef struct weft_cli_command {
  const char *name;
  const char *operands; /* for --help: "MODEL" */
  const char *summary;
  int (*run)(weft_cli *cli, int argc, char **argv);
} weft_cli_command;

extern const weft_cli_command weft_cli_run, weft_cli_inspect, weft_cli_check, weft_cli_bench;

/* Reads argv into the options' targets and the rest into `operands`, which are one model if `one` says so. Returns -1 to
 * go on, or the exit code (after --help or a mistake, which is printed). */
int weft_cli_parse(weft_cli *cli, const weft_cli_command *command, const weft_cli_option *options, size_t count,
                   int argc, char **argv, weft_cli_list *operands, bool one);
/* Prints what is wrong, with `text` in quotes; returns WEFT_CLI_USAGE. */
int weft_cli_usage(const weft_cli_command *command, const char *what, const char *text);
/* k, M or G may follow the digits. */
bool weft_cli_parse_number(const char *text, uint64_t *out);
bool weft_cli_add(weft_cli *cli, weft_cli_list *list, const char *item);
void weft_cli_free_list(weft_cli_list *list);
weft_options weft_cli_options(const weft_cli_session *session);
/* Prints "weft: " and the sentence to standard error; returns WEFT_CLI_FAILED. */
int weft_cli_report(const weft_cli *cli);
/* Prints what the session has to say about its model to standard error. */
void weft_cli_warn(const weft_session *session);

/* ---- files ------------------------------------------------------------------------------------------------------- */
typedef struct weft_cli_bytes {
  char *data; /* size + 1 bytes, the last is zero */
  size_t size;
} weft_cli_bytes;

/* What follows the first `word`, or NULL. */
const char *weft_cli_after(const char *text, const char *word);
bool weft_cli_exists(const char *path);
bool weft_cli_read(weft_cli *cli, const char *path, weft_cli_bytes *out);
/* Writes a file that is complete or not there; existing ones are replaced. */
bool weft_cli_write(weft_cli *cli, const char *path, const void *head, size_t head_size, const void *data, size_t size);
/* And those above it, unless it is there. */
bool weft_cli_make_folder(weft_cli *cli, const char *path);

/* ---- printing (with weft_print's conversions) -------------------------------------------------------------------- */
void weft_cli_say(FILE *file, const char *format, ...) WEFT_PRINTF(2, 3);
/* Into fresh memory, to be freed; false when there is none. */
bool weft_cli_print(weft_cli *cli, char **out, const char *format, ...) WEFT_PRINTF(3, 4);
/* A name from a model: a terminal must not take its characters for commands. */
void weft_cli_name(FILE *file, const char *name);
/* The text as a JSON string. Bytes that are no UTF-8 become U+FFFD. */
void weft_cli_json(FILE *file, const char *text);

/* Numbers as text, for one call: weft_cli_say(stdout, "%10s ms", weft_cli_fixed(time, 3).text). */
typedef struct weft_cli_number_text {
  char text[WEFT_DECIMAL_SIZE];
} weft_cli_number_text;
weft_cli_number_text weft_cli_fixed(double value, int decimals);
/* As weft_decimal_print has it. */
weft_cli_number_text weft_cli_digits(weft_type type, double value, int most);

/* ---- values of a session ----------------------------------------------------------------------------------------- */
/* Values, some perhaps NULL, with the names they go by in a session. */
typedef struct weft_cli_named {
  size_t count;
  const char **names;
  weft_value **values;
} weft_cli_named;

/* Room for `count` of them, all NULL. */
bool weft_cli_new_named(weft_cli *cli, size_t count, weft_cli_named *out);
void weft_cli_free_named(weft_cli_named *named);
/* The names of all outputs. */
bool weft_cli_outputs(weft_cli *cli, weft_session *session, weft_cli_named *out);

/* How inputs are given: NAME=FILE (again for each item of a sequence), SYMBOL=N for dimensions that a model leaves
 * open. */
typedef struct weft_cli_given {
  weft_cli_list inputs, dims;
} weft_cli_given;

#define WEFT_CLI_INPUT_OPTIONS(g)                                                                                      \
  {"--input", WEFT_CLI_MANY, &(g).inputs, "NAME=FILE", "a value: .npy, .pb, or .txt with one string a line"},          \
      {"--dim", WEFT_CLI_MANY, &(g).dims, "SYMBOL=N", "a dimension of inputs that are made up (1)"}

/* A value for every input: read from its file, or made up, the same on every run, which is said on standard error.
 * Inputs with a default are left out unless given. */
bool weft_cli_feeds(weft_cli *cli, weft_session *session, const weft_cli_given *given, weft_cli_named *out);
void weft_cli_free_given(weft_cli_given *given);

/* A numpy file. Types that numpy lacks are read from and written as plain bytes or their nearest integers; `wanted`
 * says which type such bytes are. Strings are Unicode arrays. */
bool weft_cli_read_npy(weft_cli *cli, const char *path, weft_type wanted, weft_value **out);
bool weft_cli_write_npy(weft_cli *cli, const char *path, const weft_tensor *tensor);

/* ---- profiles ---------------------------------------------------------------------------------------------------- */
/* What the session has recorded, by operator and by node, on standard output. */
bool weft_cli_print_profile(weft_cli *cli, const weft_session *session, const weft_limits *limits);
/* The same as a file for trace viewers. */
bool weft_cli_write_trace(weft_cli *cli, const weft_session *session, const char *path);

/* ---- comparing --------------------------------------------------------------------------------------------------- */
/* As numpy's assert_allclose: |found - expected| <= atol + rtol * |expected|, NaN equal to NaN; kinds, types and shapes
 * the same, but that an answer in another floating type will do where `declared` is the type found. Strings and bools
 * must be equal. On false the sentence tells where and how far. */
bool weft_cli_compare(weft_cli *cli, const char *name, const weft_value *expected, const weft_value *found,
                      weft_type declared, double rtol, double atol);
/* The same for a JSON file with a sequence of maps. */
bool weft_cli_compare_maps(weft_cli *cli, const char *name, const char *path, const weft_value *found, double rtol,
                           double atol);
/* Element i of a tensor of any type but strings and complex numbers. */
double weft_cli_number(const weft_tensor *tensor, size_t i);

#endif
