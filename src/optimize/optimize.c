/* The order of the passes, and what they share. */
#include <string.h>

#include "pass.h"

static weft_status run_pass(weft_pass *pass, weft_pass_function function, weft_graph *graph) {
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_subgraphs at = {.node = &graph->nodes[n]};
    for (weft_graph *inner; (inner = weft_subgraphs_next(&at)) != NULL;) {
      WEFT_TRY(run_pass(pass, function, inner));
    }
  }
  return function(pass, graph);
}

weft_status weft_optimize_model(weft_model *model, const weft_options *options, weft_evaluator evaluate, void *arg) {
  static const weft_pass_function passes[] = {
      weft_pass_halves,    weft_pass_noop, weft_pass_nbits,   weft_pass_quantized, weft_pass_tied,
      weft_pass_dead,      weft_pass_fold, weft_pass_dynamic, weft_pass_pattern,   weft_pass_dead,
      weft_pass_attention, weft_pass_fold, /* masks */
      weft_pass_turn,      weft_pass_dead, weft_pass_scale,   weft_pass_fuse,      weft_pass_dead,
  };
  weft_pass pass = {.model = model, .evaluate = evaluate, .arg = arg};
  WEFT_TRY(run_pass(&pass, weft_pass_strings, model->graph));
  if (options->optimize == WEFT_OPTIMIZE_NONE) {
    return WEFT_OK;
  }
  for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
    WEFT_TRY(run_pass(&pass, passes[i], model->graph));
  }
  return WEFT_OK;
}

/* ---- uses ------------------------------------------------------------------------------------ */
typedef struct use_counter {
  weft_uses *uses;
  int32_t node;
} use_counter;

static void count_use(void *arg, int32_t value) {
  use_counter *counter = arg;
  counter->uses->count[value]++;
  counter->uses->reader[value] = counter->node;
}

weft_status weft_uses_find(weft_pass *pass, const weft_graph *graph, weft_uses *out) {
  size_t size = sizeof(uint32_t) + sizeof(int32_t) + sizeof(bool);
  *out = (weft_uses){0};
  WEFT_TRY(weft_alloc_zeroed(pass->model->cx, graph->value_count, size, &out->block));
  out->count = out->block;
  out->value_count = graph->value_count;
  out->reader = (int32_t *)(out->count + graph->value_count);
  out->is_output = (bool *)(out->reader + graph->value_count);
  memset(out->reader, 0xff, graph->value_count * sizeof(int32_t));
  use_counter counter = {.uses = out};
  for (size_t n = 0; n < graph->node_count; n++) {
    counter.node = (int32_t)n;
    weft_node_visit_uses(&graph->nodes[n], count_use, &counter);
  }
  for (size_t i = 0; i < graph->output_count; i++) {
    out->count[graph->outputs[i]]++;
    out->is_output[graph->outputs[i]] = true;
  }
  return WEFT_OK;
}

void weft_uses_free(weft_uses *uses) {
  weft_free(uses->block);
}

void weft_uses_drop(weft_uses *uses, weft_graph *graph, int32_t v) {
  weft_slot *slot = &graph->values[v];
  if (--uses->count[v] == 0 && !slot->is_input && slot->outer < 0) {
    weft_value_release(slot->constant);
    slot->constant = NULL;
  }
}

/* ---- aliases --------------------------------------------------------------------------------- */
weft_status weft_aliases_create(weft_pass *pass, const weft_graph *graph, weft_aliases *out) {
  void *block;
  out->count = graph->value_count;
  WEFT_TRY(weft_alloc(pass->model->cx, graph->value_count * sizeof(int32_t), &block));
  out->to = block;
  memset(out->to, 0xff, graph->value_count * sizeof(int32_t));
  return WEFT_OK;
}

void weft_aliases_free(weft_aliases *aliases) {
  weft_free(aliases->to);
}

int32_t weft_aliases_find(const weft_aliases *aliases, int32_t v) {
  while (v >= 0 && (size_t)v < aliases->count && aliases->to[v] >= 0) {
    v = aliases->to[v];
  }
  return v;
}

bool weft_aliases_bypass(weft_aliases *aliases, const weft_graph *graph, const weft_uses *uses, int32_t in,
                         int32_t out) {
  in = weft_aliases_find(aliases, in);
  if (!uses->is_output[out]) {
    aliases->to[out] = in;
    return true;
  }
  const weft_slot *slot = &graph->values[in];
  if (slot->producer < 0 || slot->outer >= 0 || slot->is_input || slot->constant != NULL || uses->is_output[in]) {
    return false;
  }
  aliases->to[in] = out;
  return true;
}

static void apply_to_captures(const weft_aliases *aliases, weft_graph *inner) {
  for (size_t v = 0; v < inner->value_count; v++) {
    inner->values[v].outer = weft_aliases_find(aliases, inner->values[v].outer);
  }
}

void weft_aliases_apply(weft_aliases *aliases, weft_graph *graph) {
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_node *node = &graph->nodes[n];
    for (int i = 0; i < node->input_count; i++) {
      node->inputs[i] = weft_aliases_find(aliases, node->inputs[i]);
    }
    for (int i = 0; i < node->output_count; i++) {
      node->outputs[i] = weft_aliases_find(aliases, node->outputs[i]);
    }
    weft_subgraphs at = {.node = node};
    for (weft_graph *inner; (inner = weft_subgraphs_next(&at)) != NULL;) {
      apply_to_captures(aliases, inner);
    }
  }
}
