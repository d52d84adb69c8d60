/* Caches of language models: an input [batch, heads, rows, size] to which a Concat, or an attention that takes the past
 * itself, adds rows for the result of that step. Where nothing else reads the elements of either, but operators that
 * can step from head to head, a result that is fed again grows where it lies, and the shorter one shows the first rows
 * of the same memory. So it does where a branch of an If adds the rows, and gives the result. */
#include "plan.h"

#include "../ops/op.h"

#include <string.h>

enum { ROWS_AXIS = 2, CACHE_RANK = 4 };

/* Graphs from the main one, whose `if_node` is NULL, to a branch of an If in them all. */
typedef struct scope {
  const weft_graph *graph;
  const weft_node *if_node;
  const struct scope *outer;
} scope;

typedef struct uses {
  int32_t value;
  int count;
} uses;

static void count_use(void *arg, int32_t v) {
  uses *u = arg;
  u->count += v == u->value;
}

/* The first output that v is; the number of outputs where it is none. */
static size_t output_of(const weft_graph *graph, int32_t v) {
  size_t i = 0;
  while (i < graph->output_count && graph->outputs[i] != v) {
    i++;
  }
  return i;
}

/* How many of the node's uses of v find elements also where heads lie apart; `joins` does so as its input `past`. */
static int uses_apart(const weft_node *node, int32_t v, const weft_node *joins, int past);

/* Whether all that read v's elements do. */
static bool may_lie_apart(const weft_graph *graph, int32_t v, const weft_node *joins, int past) {
  for (size_t n = 0; n < graph->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    uses u = {v, 0};
    weft_node_visit_uses(node, count_use, &u);
    if (u.count > 0 && (node->def->flags & WEFT_OP_SHAPE_ONLY) == 0 && u.count > uses_apart(node, v, joins, past)) {
      return false;
    }
  }
  return true;
}

static int uses_apart(const weft_node *node, int32_t v, const weft_node *joins, int past) {
  int count = 0;
  for (int i = 0; i < node->input_count; i++) {
    const bool reads = (node->def->flags & WEFT_OP_READS_CACHES) != 0 && (i == 1 || i == 2);
    count += node->inputs[i] == v && (node == joins ? i == past : reads);
  }
  weft_subgraphs at = {.node = node};
  for (const weft_graph *inner; (inner = weft_subgraphs_next(&at)) != NULL;) {
    for (size_t i = 0; i < inner->value_count; i++) {
      count += inner->values[i].outer == v && output_of(inner, (int32_t)i) == inner->output_count &&
               may_lie_apart(inner, (int32_t)i, joins, past);
    }
  }
  return count;
}

/* The input of the main graph that v captures; -1: none. */
static int32_t input_of(const scope *at, int32_t v, const weft_graph **main) {
  for (; at->outer != NULL && v >= 0; at = at->outer) {
    v = at->graph->values[v].outer;
  }
  *main = at->graph;
  return v;
}

/* Whether v is given from one If to the next, and from the main graph, and is read only by what finds heads apart. */
static bool is_present(const scope *at, int32_t v) {
  for (; v >= 0 && may_lie_apart(at->graph, v, NULL, 0); at = at->outer) {
    const size_t i = output_of(at->graph, v);
    if (i == at->graph->output_count || at->outer == NULL) return i < at->graph->output_count;
    v = i < (size_t)at->if_node->output_count ? at->if_node->outputs[i] : -1;
  }
  return false;
}

static bool is_cache(const weft_graph *graph, int32_t v) {
  const weft_slot *slot = &graph->values[v];
  return slot->is_input && slot->info.kind == WEFT_KIND_TENSOR && slot->info.rank == CACHE_RANK &&
         (slot->info.type == WEFT_FLOAT || weft_type_is_half(slot->info.type));
}

static void mark_cache(const scope *at, const weft_node *node, int in, int out) {
  const weft_graph *main;
  const int32_t past = in < node->input_count ? input_of(at, node->inputs[in], &main) : -1;
  const int32_t present = out < node->output_count ? node->outputs[out] : -1;
  if (past >= 0 && is_cache(main, past) && may_lie_apart(main, past, node, in) && is_present(at, present)) {
    main->values[past].is_cache = at->graph->values[present].is_cache = true;
  }
}

static void mark_caches(const scope *at) {
  for (size_t n = 0; n < at->graph->node_count; n++) {
    const weft_node *node = &at->graph->nodes[n];
    const int pasts = (int)(node->def->flags / WEFT_OP_PASTS);
    const weft_attribute *axis = weft_node_attribute(node, "axis");
    if (pasts > 0) {
      mark_cache(at, node, pasts, 1);
      mark_cache(at, node, pasts + 1, 2);
    } else if ((node->def->flags & WEFT_OP_CONTINUES) != 0 && axis != NULL &&
               (axis->i == ROWS_AXIS || axis->i == ROWS_AXIS - CACHE_RANK)) {
      mark_cache(at, node, 0, 0);
    }
    scope branch = {.if_node = node, .outer = at};
    weft_subgraphs inner = {.node = node};
    while (strcmp(node->op_type, "If") == 0 && (branch.graph = weft_subgraphs_next(&inner)) != NULL) {
      mark_caches(&branch);
    }
  }
}

void weft_mark_caches(weft_graph *graph) {
  mark_caches(&(scope){.graph = graph});
}
