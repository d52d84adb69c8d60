/* weft bench: how long loading and running take. The first run plans and packs, so it is told apart from the others. */
#define _XOPEN_SOURCE 700

#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_RUNS = 100000, PROFILED_RUNS = 10 };

typedef struct bench {
  uint64_t runs; /* 0: as many as fit into `seconds` */
  double seconds;
  bool json, profile;
  const char *trace;
  double load, first; /* all times in milliseconds */
  double *times;
  size_t count;
} bench;

static double now(void *user) {
  struct timespec t;
  (void)user;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool run_once(weft_cli *cli, weft_session *session, const weft_cli_named *feeds, weft_cli_named *outputs,
                     double *time) {
  double begin = now(NULL);
  bool good = weft_session_run(session, feeds->count, feeds->names, feeds->values, outputs->count, outputs->names,
                               outputs->values, &cli->error) == WEFT_OK;
  *time = now(NULL) - begin;
  for (size_t i = 0; i < outputs->count; i++) {
    weft_value_release(outputs->values[i]);
    outputs->values[i] = NULL;
  }
  return good;
}

static bool run_all(weft_cli *cli, weft_session *session, const weft_cli_named *feeds, weft_cli_named *outputs,
                    bench *b) {
  double spent = 0;
  if (!run_once(cli, session, feeds, outputs, &b->first)) {
    return false;
  }
  while (b->count < MAX_RUNS && (b->runs > 0 ? b->count < b->runs : b->count < 3 || spent < b->seconds * 1e3)) {
    if (!run_once(cli, session, feeds, outputs, &b->times[b->count])) {
      return false;
    }
    spent += b->times[b->count++];
  }
  return true;
}

/* Runs that are recorded come after those that are timed, so that these are as without recording. */
static bool profile(weft_cli *cli, weft_session *session, const weft_cli_named *feeds, weft_cli_named *outputs,
                    const bench *b) {
  const weft_clock clock = {.now = now};
  uint64_t runs = b->runs > 0 && b->runs < PROFILED_RUNS ? b->runs : PROFILED_RUNS;
  double time, spent = 0;
  weft_session_profile(session, &clock);
  for (uint64_t i = 0; i < runs && spent < b->seconds * 1e3; i++) {
    if (!run_once(cli, session, feeds, outputs, &time)) {
      return false;
    }
    spent += time;
  }
  weft_session_profile(session, NULL);
  weft_limits limits;
  bool good = b->trace == NULL || weft_cli_write_trace(cli, session, b->trace);
  return good && (!b->profile || (weft_session_measure(session, &clock, &limits, &cli->error) == WEFT_OK &&
                                  weft_cli_print_profile(cli, session, &limits)));
}

static int compare_times(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_times(const bench *b, weft_session *session) {
  size_t used, peak;
  double sum = 0;
  weft_sort(b->times, b->count, sizeof *b->times, compare_times);
  for (size_t i = 0; i < b->count; i++) {
    sum += b->times[i];
  }
  weft_session_memory(session, &used, &peak);
  size_t n = b->count;
  const struct {
    const char *name, *unit;
    double value;
    int decimals;
  } rows[] = {{"load", "ms", b->load, 3},
              {"first", "ms", b->first, 3},
              {"runs", "", (double)n, 0},
              {"min", "ms", b->times[0], 3},
              {"median", "ms", b->times[n / 2], 3},
              {"mean", "ms", sum / (double)n, 3},
              {"p90", "ms", b->times[n * 9 / 10], 3},
              {"memory", "bytes", (double)used, 0},
              {"peak", "bytes", (double)peak, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const weft_cli_number_text number = weft_cli_fixed(rows[i].value, rows[i].decimals);
    if (b->json) {
      weft_cli_say(stdout, "%s\"%s\": %s", i == 0 ? "{" : ", ", rows[i].name, number.text);
    } else {
      weft_cli_say(stdout, "%-7s %10s%s%s\n", rows[i].name, number.text, rows[i].unit[0] != 0 ? " " : "", rows[i].unit);
    }
  }
  fputs(b->json ? "}\n" : "", stdout);
}

static bool bench_session(weft_cli *cli, weft_session *session, const weft_cli_given *given, bench *b) {
  weft_cli_named feeds = {0}, outputs = {0};
  b->times = malloc(MAX_RUNS * sizeof *b->times);
  bool good = b->times != NULL || weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for times");
  good = good && weft_cli_feeds(cli, session, given, &feeds) && weft_cli_outputs(cli, session, &outputs) &&
         run_all(cli, session, &feeds, &outputs, b);
  if (good) {
    print_times(b, session);
    good = (!b->profile && b->trace == NULL) || profile(cli, session, &feeds, &outputs, b);
  }
  free(b->times);
  weft_cli_free_named(&feeds);
  weft_cli_free_named(&outputs);
  return good;
}

static int bench_model(weft_cli *cli, const weft_cli_list *operands, const weft_cli_session *options,
                       const weft_cli_given *given, bench *b) {
  weft_session *session;
  weft_options o = weft_cli_options(options);
  double begin = now(NULL);
  if (weft_session_create_from_file(operands->items[0], &o, &session, &cli->error) != WEFT_OK) {
    return weft_cli_report(cli);
  }
  b->load = now(NULL) - begin;
  weft_cli_warn(session);
  bool good = bench_session(cli, session, given, b);
  weft_session_destroy(session);
  return good ? WEFT_CLI_OK : weft_cli_report(cli);
}

static int run(weft_cli *cli, int argc, char **argv) {
  weft_cli_session session = {0};
  weft_cli_given given = {0};
  weft_cli_list operands = {0};
  bench b = {.seconds = 3};
  const weft_cli_option options[] = {
      WEFT_CLI_INPUT_OPTIONS(given),
      {"--runs", WEFT_CLI_NUMBER, &b.runs, "N", "how often to run after the first time"},
      {"--seconds", WEFT_CLI_REAL, &b.seconds, "S", "or how long (3), but three times at least"},
      {"--profile", WEFT_CLI_FLAG, &b.profile, NULL, "then tell where the time of some more runs goes"},
      {"--trace", WEFT_CLI_TEXT, &b.trace, "FILE", "and write them down for a trace viewer"},
      {"--json", WEFT_CLI_FLAG, &b.json, NULL, "print one line of JSON, times in milliseconds"},
      WEFT_CLI_SESSION_OPTIONS(session),
  };
  int code =
      weft_cli_parse(cli, &weft_cli_bench, options, sizeof options / sizeof *options, argc, argv, &operands, true);
  if (code < 0) {
    code = bench_model(cli, &operands, &session, &given, &b);
  }
  weft_cli_free_list(&operands);
  weft_cli_free_given(&given);
  return code;
}

const weft_cli_command weft_cli_bench = {"bench", "MODEL", "Measure how long a model takes.", run};
