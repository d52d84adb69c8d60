/* Caches of language models: an input [batch, heads, rows, size] to which a Concat, or an attention that takes the past
 * itself, adds rows for the result of that step. Where nothing else reads the elements of either, but operators that
 * can step from head to head, a result that is fed again grows where it lies, and the shorter one shows the first rows
 * of the same memory. */
#include "plan.h"

#include "../ops/op.h"

enum { ROWS_AXIS = 2, CACHE_RANK = 4 };

typedef struct uses {
  int32_t value;
  int count;
} uses;

static void count_use(void *arg, int32_t v) {
  uses *u = arg;
  u->count += v == u->value;
}

/* Whether what reads v's elements finds them also where heads lie apart; `joins` does so as its input `past`. */
static bool may_lie_apart(const weft_graph *graph, int32_t v, const weft_node *joins, int past) {
  for (size_t n = 0; n < graph->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    uses u = {v, 0};
    weft_node_visit_uses(node, count_use, &u);
    for (int i = 0; i < node->input_count; i++) {
      const bool reads = (node->def->flags & WEFT_OP_READS_CACHES) != 0 && (i == 1 || i == 2);
      u.count -= node->inputs[i] == v && (node == joins ? i == past : reads);
    }
    if (u.count > 0 && (node->def->flags & WEFT_OP_SHAPE_ONLY) == 0) {
      return false;
    }
  }
  return true;
}

static bool is_cache(const weft_graph *graph, int32_t v) {
  const weft_slot *slot = &graph->values[v];
  return slot->is_input && slot->info.kind == WEFT_KIND_TENSOR && slot->info.rank == CACHE_RANK &&
         (slot->info.type == WEFT_FLOAT || weft_type_is_half(slot->info.type));
}

static bool is_output(const weft_graph *graph, int32_t v) {
  size_t i = 0;
  while (i < graph->output_count && graph->outputs[i] != v) {
    i++;
  }
  return i < graph->output_count;
}

static void mark_cache(weft_graph *graph, const weft_node *node, int in, int out) {
  const int32_t past = in < node->input_count ? node->inputs[in] : -1;
  const int32_t present = out < node->output_count ? node->outputs[out] : -1;
  if (past >= 0 && present >= 0 && is_cache(graph, past) && is_output(graph, present) &&
      may_lie_apart(graph, past, node, in) && may_lie_apart(graph, present, NULL, 0)) {
    graph->values[past].is_cache = graph->values[present].is_cache = true;
  }
}

void weft_mark_caches(weft_graph *graph) {
  for (size_t n = 0; n < graph->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    const int pasts = (int)(node->def->flags / WEFT_OP_PASTS);
    const weft_attribute *axis = weft_node_attribute(node, "axis");
    if (pasts > 0) {
      mark_cache(graph, node, pasts, 1);
      mark_cache(graph, node, pasts + 1, 2);
    } else if ((node->def->flags & WEFT_OP_CONTINUES) != 0 && axis != NULL &&
               (axis->i == ROWS_AXIS || axis->i == ROWS_AXIS - CACHE_RANK)) {
      mark_cache(graph, node, 0, 0);
    }
  }
}
