/* The command `weft`: chooses what to do and hands over. The same source is the WASI module and the native program. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

static const weft_cli_command *const commands[] = {&weft_cli_run, &weft_cli_inspect, &weft_cli_check, &weft_cli_bench};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static int print_usage(FILE *to) {
  weft_cli_say(to, "weft %s runs ONNX models.\n\n", weft_version());
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    char left[64];
    weft_print(left, sizeof left, "weft %s %s", commands[i]->name, commands[i]->operands);
    weft_cli_say(to, "  %-24s %s\n", left, commands[i]->summary);
  }
  weft_cli_say(to, "\nweft COMMAND --help tells a command's options. Exit codes: 0 good, 1 failed, 2 wrong use.\n");
  return to == stdout ? WEFT_CLI_OK : WEFT_CLI_USAGE;
}

static int run_command(const weft_cli_command *command, int argc, char **argv) {
  weft_cli cli = {.cx = {.error = NULL}};
  weft_memory *memory;
  if (weft_memory_create(0, &memory) != WEFT_OK) {
    weft_cli_say(stderr, "weft: no memory\n");
    return WEFT_CLI_FAILED;
  }
  cli.cx.memory = memory;
  cli.cx.error = &cli.error;
  int code = command->run(&cli, argc, argv);
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == WEFT_CLI_OK) {
    weft_cli_say(stderr, "weft: cannot write to standard output\n");
    code = WEFT_CLI_FAILED;
  }
  weft_memory_release(memory);
  return code;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    return print_usage(stderr);
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
    return print_usage(stdout);
  }
  if (strcmp(argv[1], "--version") == 0) {
    return puts(weft_version()) < 0;
  }
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    if (strcmp(argv[1], commands[i]->name) == 0) {
      return run_command(commands[i], argc - 2, argv + 2);
    }
  }
  weft_cli_say(stderr, "weft: there is no command '%s' (weft --help lists them)\n", argv[1]);
  return WEFT_CLI_USAGE;
}
