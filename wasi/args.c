/* Arguments: one table of options for each command, from which both parsing and --help come. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool weft_cli_add(weft_cli *cli, weft_cli_list *list, const char *item) {
  if (list->count == list->room) {
    size_t room = list->room == 0 ? 8 : list->room * 2;
    const char **items = realloc(list->items, room * sizeof *items);
    if (items == NULL) {
      return weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for a list of %zu", room);
    }
    list->items = items;
    list->room = room;
  }
  list->items[list->count++] = item;
  return true;
}

void weft_cli_free_list(weft_cli_list *list) {
  free(list->items);
  *list = (weft_cli_list){0};
}

weft_options weft_cli_options(const weft_cli_session *s) {
  return (weft_options){
      .max_memory = s->max_memory > SIZE_MAX ? SIZE_MAX : (size_t)s->max_memory,
      .threads = s->threads > 1024 ? 1024 : (uint32_t)s->threads,
      .optimize = s->no_optimize ? WEFT_OPTIMIZE_NONE : WEFT_OPTIMIZE_ALL,
      .deterministic = s->deterministic,
      .seed = s->seed,
  };
}

int weft_cli_report(const weft_cli *cli) {
  fflush(stdout);
  weft_cli_say(stderr, "weft: %s\n", cli->error.message);
  return WEFT_CLI_FAILED;
}

void weft_cli_warn(const weft_session *session) {
  fflush(stdout);
  for (size_t i = 0; i < weft_session_warning_count(session); i++) {
    weft_cli_say(stderr, "weft: warning: %s\n", weft_session_warning(session, i));
  }
}

/* ---- help -------------------------------------------------------------------------------------------------------- */
static void print_help(const weft_cli_command *command, const weft_cli_option *options, size_t count) {
  weft_cli_say(stdout, "weft %s %s\n\n%s\n\n", command->name, command->operands, command->summary);
  for (size_t i = 0; i < count; i++) {
    char left[64];
    weft_print(left, sizeof left, "%s%s%s", options[i].name, options[i].value != NULL ? " " : "",
               options[i].value != NULL ? options[i].value : "");
    weft_cli_say(stdout, "  %-24s %s\n", left, options[i].help);
  }
  weft_cli_say(stdout, "  %-24s %s\n", "--help", "this text");
}

int weft_cli_usage(const weft_cli_command *command, const char *what, const char *text) {
  weft_cli_say(stderr, "weft %s: %s '%s' (weft %s --help tells more)\n", command->name, what, text, command->name);
  return WEFT_CLI_USAGE;
}

/* ---- parsing ----------------------------------------------------------------------------------------------------- */
bool weft_cli_parse_number(const char *text, uint64_t *out) {
  const char *end;
  uint64_t value = (uint64_t)weft_whole_read(text, &end, true);
  unsigned shift = *end == 'k' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
  end += shift != 0;
  *out = value << shift;
  return text[0] >= '0' && text[0] <= '9' && *end == 0 && *out >> shift == value;
}

static bool parse_real(const char *text, double *out) {
  const char *end;
  *out = weft_decimal_read(text, &end, false);
  return *text != 0 && *end == 0;
}

/* Stores the value; false when it cannot be read. */
static bool store(weft_cli *cli, const weft_cli_option *option, const char *value) {
  switch (option->kind) {
  case WEFT_CLI_TEXT:
    *(const char **)option->target = value;
    return true;
  case WEFT_CLI_MANY:
    return weft_cli_add(cli, option->target, value);
  case WEFT_CLI_NUMBER:
    return weft_cli_parse_number(value, option->target);
  case WEFT_CLI_REAL:
    return parse_real(value, option->target);
  default:
    return false;
  }
}

/* The option that `arg` names, and its value if it is written behind an equals sign. */
static const weft_cli_option *find_option(const weft_cli_option *options, size_t count, const char *arg,
                                          const char **value) {
  size_t n = strcspn(arg, "=");
  *value = arg[n] == '=' ? arg + n + 1 : NULL;
  for (size_t i = 0; i < count; i++) {
    if (strncmp(options[i].name, arg, n) == 0 && options[i].name[n] == 0) {
      return &options[i];
    }
  }
  return NULL;
}

int weft_cli_parse(weft_cli *cli, const weft_cli_command *command, const weft_cli_option *options, size_t count,
                   int argc, char **argv, weft_cli_list *operands, bool one) {
  for (int i = 0; i < argc; i++) {
    const char *arg = argv[i], *value;
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
      print_help(command, options, count);
      return WEFT_CLI_OK;
    }
    if (arg[0] != '-' || arg[1] == 0) {
      if (!weft_cli_add(cli, operands, arg)) {
        return weft_cli_report(cli);
      }
      continue;
    }
    const weft_cli_option *option = find_option(options, count, arg, &value);
    if (option == NULL) {
      return weft_cli_usage(command, "there is no option", arg);
    }
    if (option->kind == WEFT_CLI_FLAG) {
      if (value != NULL) {
        return weft_cli_usage(command, "no value belongs to", option->name);
      }
      *(bool *)option->target = true;
      continue;
    }
    if (value == NULL && i + 1 < argc) {
      value = argv[++i];
    }
    if (value == NULL) {
      return weft_cli_usage(command, "a value is missing after", arg);
    }
    if (!store(cli, option, value)) {
      char what[64];
      weft_print(what, sizeof what, "%s cannot be", option->name);
      return weft_cli_usage(command, what, value);
    }
  }
  if (one && operands->count == 0) {
    return weft_cli_usage(command, "a model is missing after", command->name);
  }
  if (one && operands->count > 1) {
    return weft_cli_usage(command, "expected one model, found also", operands->items[1]);
  }
  return -1;
}
