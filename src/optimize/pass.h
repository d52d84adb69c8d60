/* What passes share. A pass works on one graph at a time, subgraphs before the graph that holds them; nodes stay in an
 * order that may be run. Knowledge comes from constants and from slots' infos, never from running with made-up inputs.
 */
#ifndef WEFT_OPTIMIZE_PASS_H
#define WEFT_OPTIMIZE_PASS_H

#include "../graph/edit.h"
#include "../ops/op.h"
#include "optimize.h"

typedef struct weft_pass {
  weft_model *model;
  weft_evaluator evaluate;
  void *arg;
  size_t growth; /* bytes that folding has added to the model */
} weft_pass;

typedef weft_status (*weft_pass_function)(weft_pass *pass, weft_graph *graph);

/* The one that is always run: without it the model cannot be. */
weft_status weft_pass_strings(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_halves(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_noop(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_nbits(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_quantized(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_tied(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_fold(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_dynamic(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_pattern(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_attention(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_turn(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_scale(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_fuse(weft_pass *pass, weft_graph *graph);
weft_status weft_pass_dead(weft_pass *pass, weft_graph *graph);

/* Who reads the values of a graph: nodes, subgraphs that capture them, the graph's outputs. */
typedef struct weft_uses {
  uint32_t *count;    /* per value; an output of the graph counts as a use */
  int32_t *reader;    /* per value: the last node that reads it, or -1 */
  bool *is_output;    /* per value */
  size_t value_count; /* of the values that were there */
  void *block;
} weft_uses;

weft_status weft_uses_find(weft_pass *pass, const weft_graph *graph, weft_uses *out);
void weft_uses_free(weft_uses *uses);
/* One reader of v less. A constant without any gives its memory back at once, so that a pass which replaces all weights
 * of a model holds one of them twice, not all. */
void weft_uses_drop(weft_uses *uses, weft_graph *graph, int32_t v);

/* Value `from` becomes `to` for all readers, once weft_aliases_apply is called; chains are followed. */
typedef struct weft_aliases {
  int32_t *to; /* per value: -1 where it stays */
  size_t count;
} weft_aliases;

weft_status weft_aliases_create(weft_pass *pass, const weft_graph *graph, weft_aliases *out);
/* Makes `out`, an output of a node to be removed, be `in` instead. Where `out` is an output of the graph, its producer
 * writes it directly; false when that cannot be done, and then the node has to stay. */
bool weft_aliases_bypass(weft_aliases *aliases, const weft_graph *graph, const weft_uses *uses, int32_t in,
                         int32_t out);
int32_t weft_aliases_find(const weft_aliases *aliases, int32_t v);
void weft_aliases_apply(weft_aliases *aliases, weft_graph *graph);
void weft_aliases_free(weft_aliases *aliases);

static inline bool weft_node_is(const weft_node *node, const char *op_type) {
  const char *have = node->op_type;
  if (have == NULL || node->domain[0] != 0) {
    return false;
  }
  while (*have != 0 && *have == *op_type) {
    have++;
    op_type++;
  }
  return *have == *op_type;
}
static inline int32_t weft_node_in(const weft_node *node, int i) {
  return i < node->input_count ? node->inputs[i] : -1;
}
static inline int32_t weft_node_out(const weft_node *node, int i) {
  return i < node->output_count ? node->outputs[i] : -1;
}

#endif
