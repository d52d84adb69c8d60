/* Dead code: nodes whose outputs nobody reads go, so do constants without a reader (their memory is given back) and
 * optional outputs that operators need not compute. */
#include <string.h>

#include "pass.h"

static void mark(void *live, int32_t value) {
  ((bool *)live)[value] = true;
}

/* Operators that do less work when asked for less; all of their outputs after the first are optional. */
static bool has_optional_outputs(const weft_node *node) {
  static const char *const names[] = {"BatchNormalization", "Dropout", "GRU", "LSTM",
                                      "LayerNormalization", "MaxPool", "RNN"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (weft_node_is(node, names[i])) {
      return true;
    }
  }
  return false;
}

static void drop_outputs(weft_node *node, const bool *live) {
  if (!has_optional_outputs(node)) {
    return;
  }
  for (int i = 1; i < node->output_count; i++) {
    if (node->outputs[i] >= 0 && !live[node->outputs[i]]) {
      node->outputs[i] = -1;
    }
  }
  while (node->output_count > 1 && node->outputs[node->output_count - 1] < 0) {
    node->output_count--;
  }
}

static bool is_live(const weft_node *node, const bool *live) {
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i] >= 0 && live[node->outputs[i]]) {
      return true;
    }
  }
  return false;
}

static void drop_values(weft_graph *graph, const bool *live) {
  for (size_t v = 0; v < graph->value_count; v++) {
    weft_slot *slot = &graph->values[v];
    if (!live[v] && !slot->is_input) {
      weft_value_release(slot->constant);
      slot->constant = NULL;
      slot->outer = -1;
    }
  }
}

weft_status weft_pass_dead(weft_pass *pass, weft_graph *graph) {
  void *block;
  WEFT_TRY(weft_alloc_zeroed(pass->model->cx, graph->value_count, sizeof(bool), &block));
  bool *live = block;
  for (size_t i = 0; i < graph->output_count; i++) {
    live[graph->outputs[i]] = true;
  }
  for (size_t n = graph->node_count; n-- > 0;) {
    weft_node *node = &graph->nodes[n];
    if (is_live(node, live)) {
      weft_node_visit_uses(node, mark, live);
      drop_outputs(node, live);
    } else {
      weft_node_remove(node);
    }
  }
  weft_graph_compact(graph);
  drop_values(graph, live);
  weft_free(live);
  return WEFT_OK;
}
