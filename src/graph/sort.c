/* Puts nodes in an order that may be run, keeping the file's order where it can: a depth-first walk from every node to
 * those it needs, with a stack of its own so that a chain of a million nodes does not overflow the host's. A node needs
 * the producers of its inputs and of what its subgraphs capture. */
#include "build.h"
#include "edit.h"

#include <string.h>

enum { NEW = 0, OPEN, DONE };

/* Needed nodes of all nodes, one after the other: those of node n are needs[begin[n]..begin[n + 1]). */
typedef struct needs {
  const weft_graph *graph;
  size_t *begin;
  int32_t *list;
  size_t count;
} needs;

static void add_need(void *arg, int32_t value) {
  needs *all = arg;
  int32_t producer = all->graph->values[value].producer;
  if (producer >= 0) {
    if (all->list != NULL) {
      all->list[all->count] = producer;
    }
    all->count++;
  }
}

static weft_status collect(weft_context *cx, weft_arena *arena, const weft_graph *graph, needs *all) {
  void *block;
  WEFT_TRY(weft_arena_alloc(cx, arena, graph->node_count + 1, sizeof *all->begin, &block));
  all->begin = block;
  for (size_t n = 0; n < graph->node_count; n++) {
    all->begin[n] = all->count;
    weft_node_visit_uses(&graph->nodes[n], add_need, all);
  }
  all->begin[graph->node_count] = all->count;
  WEFT_TRY(weft_arena_alloc(cx, arena, all->count + 1, sizeof *all->list, &block));
  all->list = block;
  all->count = 0;
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_node_visit_uses(&graph->nodes[n], add_need, all);
  }
  return WEFT_OK;
}

static weft_status fail_cycle(weft_model *model, const weft_graph *graph, const weft_node *node) {
  model->cx->node = node->name;
  model->cx->op = node->op_type;
  return weft_fail(model->cx, WEFT_INVALID_MODEL, "the node needs its own output: graph '%s' has a cycle", graph->name);
}

/* `next` holds where in its needs each open node is. */
static weft_status order_from(weft_model *model, const weft_graph *graph, const needs *all, int32_t root,
                              uint8_t *marks, size_t *next, int32_t *stack, int32_t *order, size_t *count) {
  size_t depth = 0;
  stack[depth++] = root;
  marks[root] = OPEN;
  while (depth > 0) {
    int32_t n = stack[depth - 1];
    if (next[n] == all->begin[n + 1]) {
      marks[n] = DONE;
      order[(*count)++] = n;
      depth--;
      continue;
    }
    int32_t need = all->list[next[n]++];
    if (marks[need] == OPEN) {
      return fail_cycle(model, graph, &graph->nodes[need]);
    }
    if (marks[need] == NEW) {
      marks[need] = OPEN;
      stack[depth++] = need;
    }
  }
  return WEFT_OK;
}

static weft_status sort(weft_model *model, weft_arena *arena, weft_graph *graph) {
  size_t nodes = graph->node_count, count = 0;
  needs all = {.graph = graph};
  void *marks, *next, *stack, *order, *sorted;
  WEFT_TRY(collect(model->cx, arena, graph, &all));
  WEFT_TRY(weft_arena_alloc(model->cx, arena, nodes, 1, &marks));
  WEFT_TRY(weft_arena_alloc(model->cx, arena, nodes, sizeof(size_t), &next));
  WEFT_TRY(weft_arena_alloc(model->cx, arena, nodes, sizeof(int32_t), &stack));
  WEFT_TRY(weft_arena_alloc(model->cx, arena, nodes, sizeof(int32_t), &order));
  WEFT_TRY(weft_arena_alloc(model->cx, arena, nodes, sizeof(weft_node), &sorted));
  memcpy(next, all.begin, nodes * sizeof(size_t));
  for (size_t n = 0; n < nodes; n++) {
    if (((uint8_t *)marks)[n] == NEW) {
      WEFT_TRY(order_from(model, graph, &all, (int32_t)n, marks, next, stack, order, &count));
    }
  }
  for (size_t n = 0; n < nodes; n++) {
    ((weft_node *)sorted)[n] = graph->nodes[((int32_t *)order)[n]];
  }
  memcpy(graph->nodes, sorted, nodes * sizeof(weft_node));
  weft_graph_number_producers(graph);
  return WEFT_OK;
}

weft_status weft_graph_sort(weft_model *model, weft_graph *graph) {
  weft_arena arena = {0};
  weft_status status = graph->node_count != 0 ? sort(model, &arena, graph) : WEFT_OK;
  weft_arena_free(&arena);
  return status;
}
