/* Every node's operator is looked up once, after the upgrade: first among the caller's own, then in the registry. What is
 * missing is told in one sentence for the whole model, so that a person need not fix one operator to hear of the next. */
#include "resolve.h"

#include <string.h>

#include "../base/text.h"
#include "../ops/custom.h"
#include "names.h"

enum { LISTED = 10, TEXT = 640, NO_OPERATOR = -1 };

typedef struct resolver {
  weft_model *model;
  weft_names known; /* "domain:operator" -> row, or NO_OPERATOR */
  size_t missing;   /* kinds */
  const weft_node *first_missing;
  char text[TEXT];
  size_t used, first; /* characters of the text; of its first operator, without the node */
} resolver;

static void note(resolver *r, const char *format, ...) {
  va_list list;
  va_start(list, format);
  r->used += r->used < TEXT ? weft_vprint(r->text + r->used, TEXT - r->used, format, list) : 0;
  va_end(list);
}

static void note_missing(resolver *r, const weft_node *node) {
  if (r->missing++ >= LISTED) {
    return;
  }
  note(r, "%s%s%s%.60s", r->used == 0 ? "" : ", ", node->domain, node->domain[0] != 0 ? ":" : "", node->op_type);
  if (node->version < INT32_MAX) { /* which nodes have that the upgrade made */
    note(r, " version %d", node->version);
  }
  if (r->missing == 1) {
    r->first_missing = node;
    r->first = r->used < TEXT ? r->used : TEXT - 1;
  }
  note(r, " (node '%.60s')", node->name);
}

/* *def is NULL when the operator is missing. */
static weft_status find_def(resolver *r, const weft_node *node, const weft_op_def **def) {
  *def = weft_custom_find(r->model->customs, node->domain, node->op_type);
  if (*def != NULL) {
    return WEFT_OK;
  }
  char key[256];
  int32_t row;
  weft_print(key, sizeof key, "%s:%s", node->domain, node->op_type);
  if (weft_names_find(&r->known, key, &row)) {
    *def = row != NO_OPERATOR ? weft_op_at((size_t)row) : NULL;
    return WEFT_OK;
  }
  *def = weft_op_find(node->domain, node->op_type);
  row = *def != NULL ? (int32_t)(*def - weft_op_at(0)) : NO_OPERATOR;
  if (*def == NULL) {
    note_missing(r, node);
  }
  const char *kept;
  weft_context *cx = r->model->cx;
  WEFT_TRY(weft_arena_copy_string(cx, &r->model->arena, key, strlen(key), &kept));
  return weft_names_put(cx, &r->known, kept, row);
}

static void trim(int32_t *list, int *count) {
  while (*count > 0 && list[*count - 1] < 0) {
    (*count)--;
  }
}

/* Operators may rely on their first output: a node without one is refused here, unless its operator can do without. */
static weft_status expect_output(weft_context *cx, const weft_node *node) {
  bool optional = (node->def->flags & (WEFT_OP_FIRST_OPTIONAL | WEFT_OP_SUBGRAPH)) != 0;
  if (optional || (node->output_count > 0 && node->outputs[0] >= 0)) {
    return WEFT_OK;
  }
  cx->node = node->name;
  cx->op = node->op_type;
  weft_status status = weft_fail(cx, WEFT_INVALID_MODEL, "the first output is required and has no name");
  cx->node = NULL;
  return status;
}

typedef struct unmade {
  const weft_graph *graph;
  const char *name; /* of a value that is read and that nothing makes, or NULL */
} unmade;

static void find_unmade(void *arg, int32_t v) {
  unmade *u = arg;
  const weft_slot *slot = &u->graph->values[v];
  if (slot->producer < 0 && slot->outer < 0 && !slot->is_input && slot->constant == NULL) {
    u->name = slot->name;
  }
}

/* A node that was rewritten, or stood for a formula, may have named more outputs than its operator has. */
static weft_status expect_made(weft_context *cx, const weft_graph *graph) {
  unmade u = {.graph = graph};
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_node_visit_uses(&graph->nodes[n], find_unmade, &u);
  }
  for (size_t i = 0; i < graph->output_count; i++) {
    find_unmade(&u, graph->outputs[i]);
  }
  return u.name == NULL ? WEFT_OK
                        : weft_fail(cx, WEFT_INVALID_MODEL,
                                    "'%s' is made by no node of graph '%s': its node names more outputs than its "
                                    "operator has",
                                    u.name, graph->name);
}

static weft_status resolve_graph(resolver *r, weft_graph *graph) {
  WEFT_TRY(expect_made(r->model->cx, graph));
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_node *node = &graph->nodes[n];
    const weft_op_def *def;
    WEFT_TRY(find_def(r, node, &def));
    trim(node->inputs, &node->input_count);
    trim(node->outputs, &node->output_count);
    if (def != NULL) {
      node->def = def;
      node->version = def->version;
      WEFT_TRY(expect_output(r->model->cx, node));
    }
    weft_subgraphs at = {.node = node};
    for (weft_graph *inner; (inner = weft_subgraphs_next(&at)) != NULL;) {
      WEFT_TRY(resolve_graph(r, inner));
    }
  }
  return WEFT_OK;
}

weft_status weft_graph_resolve(weft_model *model) {
  resolver r = {.model = model};
  weft_status status = resolve_graph(&r, model->graph);
  weft_names_free(&r.known);
  if (status != WEFT_OK || r.missing == 0) {
    return status;
  }
  model->cx->node = r.first_missing->name;
  model->cx->op = r.first_missing->op_type;
  /* Operators of ONNX's own domain cannot be given: in a build that has all, such a node is a mistake. */
  const char *way =
      r.first_missing->domain[0] != 0 ? "; export the model otherwise, or give operators of your own" : "";
  if (r.missing == 1) {
    status = weft_fail(model->cx, WEFT_UNSUPPORTED, "this build has no operator %.*s%s", (int)r.first, r.text, way);
  } else {
    status = weft_fail(model->cx, WEFT_UNSUPPORTED, "this build lacks %zu operators of the model: %s%s%s", r.missing,
                       r.text, r.missing > LISTED ? " and others" : "", way);
  }
  model->cx->node = NULL;
  return status;
}
