/* weft bench --profile and --trace: what a session recorded, as a table of operators and nodes for people, and as a
 * trace in the JSON that browsers' developer tools and Perfetto show. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_SHOWN = 20 };

/* All calls of one operator, or of one node. */
typedef struct row {
  const char *node, *domain, *op; /* node is NULL in a row of an operator */
  weft_profile_entry one;         /* one of the calls */
  size_t calls;
  double time, operations, bytes; /* time without what is inside: nodes of subgraphs have their own rows */
} row;

typedef struct table {
  row *rows;
  size_t count;
} table;

static bool is_run(const weft_profile_entry *e) {
  return e->parent == WEFT_PROFILE_ROOT;
}

/* Entries of nodes, each a row of its own. */
static void fill_rows(table *t, const weft_session *session, size_t count, const double *inside, bool by_node) {
  t->count = 0;
  for (size_t i = 0; i < count; i++) {
    weft_profile_entry e;
    weft_session_profile_at(session, i, &e);
    if (!is_run(&e)) {
      t->rows[t->count++] = (row){.node = by_node ? e.node : NULL,
                                  .domain = e.domain,
                                  .op = e.op,
                                  .one = e,
                                  .calls = 1,
                                  .time = e.end - e.begin - inside[i],
                                  .operations = e.operations,
                                  .bytes = e.bytes};
    }
  }
}

/* A node has one name in memory, which tells it from others of that name. */
static int by_name(const void *a, const void *b) {
  const row *x = a, *y = b;
  if (x->node != NULL) {
    return (x->node > y->node) - (x->node < y->node);
  }
  int order = strcmp(x->op, y->op);
  return order != 0 ? order : strcmp(x->domain, y->domain);
}

/* Rows of the same name become one. */
static void merge_rows(table *t) {
  size_t made = 0;
  weft_sort(t->rows, t->count, sizeof *t->rows, by_name);
  for (size_t i = 0; i < t->count; i++) {
    row *r = &t->rows[i], *last = made > 0 ? &t->rows[made - 1] : NULL;
    if (last == NULL || by_name(last, r) != 0) {
      t->rows[made++] = *r;
      continue;
    }
    last->calls += r->calls;
    last->time += r->time;
    last->operations += r->operations;
    last->bytes += r->bytes;
  }
  t->count = made;
}

static int by_time(const void *a, const void *b) {
  double x = ((const row *)a)->time, y = ((const row *)b)->time;
  return (x < y) - (x > y);
}

/* The time of entries inside each entry: to be taken off. */
static double *times_inside(const weft_session *session, size_t count) {
  double *inside = calloc(count + 1, sizeof *inside);
  for (size_t i = 0; inside != NULL && i < count; i++) {
    weft_profile_entry e;
    weft_session_profile_at(session, i, &e);
    if (!is_run(&e)) {
      inside[e.parent] += e.end - e.begin;
    }
  }
  return inside;
}

static void print_row(const row *r, double total, size_t runs, const weft_limits *limits) {
  char name[80], shape[96] = "";
  double needed = r->operations / limits->operations, moving = r->bytes / limits->bytes;
  needed = needed > moving ? needed : moving;
  weft_print(name, sizeof name, "%s%s%s", r->domain, r->domain[0] != 0 ? ":" : "", r->op);
  if (r->node != NULL && r->one.type != WEFT_UNDEFINED) {
    weft_shape out = {.rank = r->one.rank};
    memcpy(out.dims, r->one.dims, sizeof out.dims);
    weft_shape_print(&out, shape, sizeof shape);
  }
  double time = r->time > 0 ? r->time : 1e-9;
  weft_cli_say(stdout, "%-28.28s %7zu %10s %6s %9s %8s %6s  %s%s", name, r->calls / (runs > 0 ? runs : 1),
               weft_cli_fixed(r->time / (double)runs, 4).text, weft_cli_fixed(100 * r->time / total, 1).text,
               weft_cli_fixed(r->operations / time / 1e6, 2).text, weft_cli_fixed(r->bytes / time / 1e6, 2).text,
               weft_cli_fixed(100 * needed / time, 0).text, shape, shape[0] != 0 ? " " : "");
  char node[61];
  weft_print(node, sizeof node, "%s", r->node != NULL ? r->node : "");
  weft_cli_name(stdout, node);
  fputc('\n', stdout);
}

static void print_rows(const weft_session *session, const double *inside, size_t count, bool by_node, size_t most,
                       double total, size_t runs, const weft_limits *limits, table *t) {
  fill_rows(t, session, count, inside, by_node);
  merge_rows(t);
  weft_sort(t->rows, t->count, sizeof *t->rows, by_time);
  weft_cli_say(stdout, "\n%-28s %7s %10s %6s %9s %8s %6s  %s\n", by_node ? "node" : "operator", "calls", "ms", "%",
               "GFLOP/s", "GB/s", "limit%", by_node ? "output, name" : "");
  for (size_t i = 0; i < t->count && i < most; i++) {
    print_row(&t->rows[i], total, runs, limits);
  }
  if (t->count > most) {
    weft_cli_say(stdout, "... and %zu more nodes\n", t->count - most);
  }
}

bool weft_cli_print_profile(weft_cli *cli, const weft_session *session, const weft_limits *limits) {
  size_t count = weft_session_profile_count(session), runs = 0;
  double *inside = times_inside(session, count), total = 0, elsewhere = 0;
  table t = {.rows = malloc((count + 1) * sizeof *t.rows)};
  bool good = (inside != NULL && t.rows != NULL) || weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for a profile");
  for (size_t i = 0; good && i < count; i++) {
    weft_profile_entry e;
    weft_session_profile_at(session, i, &e);
    if (is_run(&e)) {
      runs++;
      total += e.end - e.begin;
      elsewhere += e.end - e.begin - inside[i];
    }
  }
  if (good && runs > 0) {
    weft_cli_say(stdout, "\n%zu runs of %s ms, %s of them outside nodes. Limits: %s GFLOP/s, %s GB/s.\n", runs,
                 weft_cli_fixed(total / (double)runs, 3).text, weft_cli_fixed(elsewhere / (double)runs, 3).text,
                 weft_cli_fixed(limits->operations / 1e6, 1).text, weft_cli_fixed(limits->bytes / 1e6, 1).text);
    print_rows(session, inside, count, false, SIZE_MAX, total, runs, limits, &t);
    print_rows(session, inside, count, true, NODES_SHOWN, total, runs, limits, &t);
  }
  size_t dropped = weft_session_profile_dropped(session);
  if (good && dropped > 0) {
    weft_cli_say(stdout, "%zu calls more were not recorded\n", dropped);
  }
  free(inside);
  free(t.rows);
  return good;
}

/* ---- the trace --------------------------------------------------------------------------------------------------- */
static void write_event(FILE *file, const weft_profile_entry *e, double origin) {
  fputs("{\"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"cat\": \"weft\", \"name\": ", file);
  weft_cli_json(file, is_run(e) ? "run" : e->op);
  weft_cli_say(file, ", \"ts\": %s, \"dur\": %s", weft_cli_fixed((e->begin - origin) * 1e3, 3).text,
               weft_cli_fixed((e->end - e->begin) * 1e3, 3).text);
  if (!is_run(e)) {
    fputs(", \"args\": {\"node\": ", file);
    weft_cli_json(file, e->node);
    fputs(", \"domain\": ", file);
    weft_cli_json(file, e->domain);
    if (e->type != WEFT_UNDEFINED) {
      weft_cli_say(file, ", \"type\": \"%s\", \"dims\": [", weft_type_name(e->type));
      for (int d = 0; d < e->rank; d++) {
        weft_cli_say(file, "%s%lld", d > 0 ? ", " : "", (long long)e->dims[d]);
      }
      fputc(']', file);
    }
    weft_cli_say(file, ", \"operations\": %s, \"bytes\": %s}", weft_cli_fixed(e->operations, 0).text,
                 weft_cli_fixed(e->bytes, 0).text);
  }
  fputc('}', file);
}

bool weft_cli_write_trace(weft_cli *cli, const weft_session *session, const char *path) {
  FILE *file = fopen(path, "wb");
  if (file == NULL) {
    return weft_cli_fail(cli, WEFT_IO, "cannot write '%s'", path);
  }
  weft_profile_entry first, e;
  fputs("{\"traceEvents\": [\n", file);
  weft_session_profile_at(session, 0, &first);
  for (size_t i = 0; weft_session_profile_at(session, i, &e); i++) {
    fputs(i > 0 ? ",\n" : "", file);
    write_event(file, &e, first.begin);
  }
  fputs("\n], \"displayTimeUnit\": \"ms\"}\n", file);
  bool good = ferror(file) == 0;
  good = fclose(file) == 0 && good;
  return good || weft_cli_fail(cli, WEFT_IO, "cannot write '%s'", path);
}
