/* Making plans: which value lies where and until when. Memory is one arena a graph, shared by all of its plans; values
 * are placed largest first into the lowest gap that is free for their lifetime (greedy by size: Pisarchyk & Lee,
 * "Efficient Memory Management for Deep Neural Net Inference", 2020); in graphs so large that comparing all pairs would
 * take long, as if they were allocated and freed one after another. Views and in-place results share the place of what
 * they show. */
#include "plan.h"

#include "../base/sort.h"

#include <string.h>

enum { PLANS_KEPT = 8, ALIGNMENT = 64, PAIRS_COMPARED = 4096, STRANGERS = 2, MOST_SLACK = 65536 };

/* ---- what is given ----------------------------------------------------------------------------------------------- */
static bool is_captured(const weft_graph *graph, size_t v) {
  return graph->values[v].outer >= 0 && weft_graph_constant(graph, (int32_t)v) == NULL;
}

weft_status weft_plans_get(weft_run_state *state, weft_graph *graph, weft_plans **out) {
  *out = graph->plans;
  if (*out != NULL) {
    return WEFT_OK;
  }
  size_t count = graph->input_count;
  for (size_t v = 0; v < graph->value_count; v++) {
    count += is_captured(graph, v);
  }
  WEFT_TRY(weft_alloc_zeroed(state->cx, 1, sizeof(weft_plans) + count * (sizeof(weft_value *) + sizeof(int32_t)),
                             &graph->plans));
  weft_plans *plans = *out = graph->plans;
  plans->now = (weft_value **)(plans + 1);
  plans->given = (int32_t *)(plans->now + count);
  for (; plans->given_count < graph->input_count; plans->given_count++) {
    plans->given[plans->given_count] = graph->inputs[plans->given_count];
  }
  for (size_t v = 0; v < graph->value_count; v++) {
    if (is_captured(graph, v)) {
      plans->given[plans->given_count++] = (int32_t)v;
    }
  }
  return WEFT_OK;
}

/* Whether two values have one kind, type and rank, or neither is there. */
static bool same_kind(const weft_value *a, const weft_value *b) {
  return a == NULL || b == NULL ? a == b
                                : a->kind == b->kind && a->tensor.type == b->tensor.type &&
                                      (a->kind != WEFT_KIND_TENSOR || a->tensor.shape.rank == b->tensor.shape.rank);
}

static bool same_shape(const weft_value *a, const weft_value *b) {
  return a == NULL || a->kind != WEFT_KIND_TENSOR || weft_shape_equal(&a->tensor.shape, &b->tensor.shape);
}

static bool suits(const weft_plan *plan, const weft_plans *plans) {
  for (size_t i = 0; i < plans->given_count; i++) {
    const weft_value *known = plan->shapes[plans->given[i]], *now = plans->now[i];
    if (!same_kind(known, now) || !same_shape(known, now)) {
      return false;
    }
  }
  return true;
}

/* ---- classes of nodes and values --------------------------------------------------------------------------------- */
static bool is_known(const weft_value *value) {
  return value != NULL && value->tensor.data != NULL;
}

static weft_place first_place(const weft_graph *graph, const weft_plan *plan, int32_t v) {
  /* A constant may be without data: packed by the only node that reads it. */
  if (is_known(plan->shapes[v]) || weft_graph_constant(graph, v) != NULL) {
    return WEFT_PLACE_KNOWN;
  }
  if (graph->values[v].is_input || graph->values[v].outer >= 0) {
    return WEFT_PLACE_GIVEN;
  }
  return plan->shapes[v] != NULL ? WEFT_PLACE_ARENA : WEFT_PLACE_DYNAMIC;
}

static void place_values(const weft_graph *graph, weft_plan *plan) {
  for (size_t v = 0; v < graph->value_count; v++) {
    plan->places[v] = first_place(graph, plan, (int32_t)v);
  }
  for (size_t i = 0; i < graph->output_count; i++) {
    weft_place *place = &plan->places[graph->outputs[i]];
    *place = *place == WEFT_PLACE_ARENA ? WEFT_PLACE_OUTPUT : *place;
  }
}

static void class_node(const weft_graph *graph, weft_plan *plan, size_t n) {
  const weft_node *node = &graph->nodes[n];
  bool all_known = true, any_dynamic = false;
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i] >= 0) {
      all_known &= plan->places[node->outputs[i]] == WEFT_PLACE_KNOWN;
      any_dynamic |= plan->places[node->outputs[i]] == WEFT_PLACE_DYNAMIC;
    }
  }
  if (all_known) {
    plan->steps[n] = WEFT_STEP_SKIP;
  } else if (any_dynamic) {
    plan->steps[n] = WEFT_STEP_DYNAMIC;
  } else {
    int32_t out = node->outputs[0];
    bool view = (node->def->flags & WEFT_OP_VIEW) != 0 && node->output_count == 1 && node->inputs[0] >= 0 &&
                plan->places[out] == WEFT_PLACE_ARENA;
    plan->steps[n] = view ? WEFT_STEP_VIEW : WEFT_STEP_RUN;
    if (view) {
      plan->places[out] = WEFT_PLACE_VIEW;
    }
  }
}

static void mark_needed(void *arg, int32_t v) {
  ((bool *)arg)[v] = true;
}

/* What only serves to ask for shapes, which are known now, does not run. */
static weft_status skip_unneeded(weft_run_state *state, const weft_graph *graph, weft_plan *plan) {
  void *block;
  WEFT_TRY(weft_scratch_alloc(state->cx, &state->scratch, graph->value_count * sizeof(bool), &block));
  bool *needed = memset(block, 0, graph->value_count * sizeof(bool));
  for (size_t i = 0; i < graph->output_count; i++) {
    needed[graph->outputs[i]] = true;
  }
  for (size_t n = graph->node_count; n-- > 0;) {
    const weft_node *node = &graph->nodes[n];
    bool runs = (node->def->flags & (WEFT_OP_NOT_PURE | WEFT_OP_SUBGRAPH)) != 0;
    for (int i = 0; i < node->output_count; i++) {
      runs = runs || (node->outputs[i] >= 0 && needed[node->outputs[i]]);
    }
    if (plan->steps[n] != WEFT_STEP_SKIP && runs) {
      weft_node_visit_uses(node, mark_needed, needed);
      continue;
    }
    plan->steps[n] = WEFT_STEP_SKIP;
    for (int i = 0; i < node->output_count; i++) {
      if (node->outputs[i] >= 0 && plan->places[node->outputs[i]] != WEFT_PLACE_KNOWN) {
        plan->places[node->outputs[i]] = WEFT_PLACE_DYNAMIC; /* never made */
      }
    }
  }
  return WEFT_OK;
}

/* ---- lifetimes --------------------------------------------------------------------------------------------------- */
typedef struct layout {
  const weft_graph *graph;
  weft_plan *plan;
  int32_t *root;         /* the plan's */
  int32_t *first, *last; /* per root: the nodes between which its memory is in use */
  int32_t node;          /* of the visit in progress */
} layout;

/* The end of v's chain of views and in-place results; shortens the chain. */
static int32_t find_root(const layout *l, int32_t v) {
  while (l->root[v] != v) {
    l->root[v] = l->root[l->root[v]];
    v = l->root[v];
  }
  return v;
}

static void use_value(void *arg, int32_t v) {
  layout *l = arg;
  if (l->plan->last_use[v] < l->node) {
    l->plan->last_use[v] = l->node;
  }
  int32_t root = find_root(l, v);
  if (l->last[root] < l->node) {
    l->last[root] = l->node;
  }
}

static void find_views(layout *l) {
  const weft_graph *graph = l->graph;
  for (size_t v = 0; v < graph->value_count; v++) {
    l->root[v] = (int32_t)v;
    l->first[v] = l->last[v] = l->plan->last_use[v] = -1;
  }
  for (size_t n = 0; n < graph->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    if (l->plan->steps[n] == WEFT_STEP_VIEW) {
      l->root[node->outputs[0]] = find_root(l, node->inputs[0]);
    }
  }
}

static void find_uses(layout *l) {
  const weft_graph *graph = l->graph;
  for (size_t n = 0; n < graph->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    if (l->plan->steps[n] == WEFT_STEP_SKIP) {
      continue;
    }
    l->node = (int32_t)n;
    weft_node_visit_uses(node, use_value, l);
    for (int i = 0; i < node->output_count; i++) {
      if (node->outputs[i] >= 0) {
        int32_t out = node->outputs[i], root = find_root(l, out);
        if (l->first[root] < 0) {
          l->first[root] = (int32_t)n;
        }
        use_value(l, out); /* also one that nothing reads is written */
      }
    }
  }
  for (size_t i = 0; i < graph->output_count; i++) {
    l->node = (int32_t)graph->node_count;
    use_value(l, graph->outputs[i]);
  }
}

/* Whether node n may write its output over input `in`. */
static bool may_overwrite(const layout *l, size_t n, int32_t in, int32_t out) {
  const weft_node *node = &l->graph->nodes[n];
  const weft_tensor *from = &l->plan->shapes[in]->tensor, *to = &l->plan->shapes[out]->tensor;
  int32_t root = find_root(l, in);
  if (l->plan->places[root] != WEFT_PLACE_ARENA || l->last[root] != (int32_t)n || to->count == 0 ||
      weft_type_size(from->type) != weft_type_size(to->type) || !weft_shape_equal(&from->shape, &to->shape)) {
    return false;
  }
  for (int i = 0; i < node->input_count; i++) {
    int32_t other = node->inputs[i];
    if (other >= 0 && other != in && find_root(l, other) == root &&
        !weft_shape_equal(&l->plan->shapes[other]->tensor.shape, &to->shape)) {
      return false;
    }
  }
  return true;
}

/* Runs in node order, so that chains of in-place nodes collapse into one root. */
static void find_in_place(layout *l) {
  for (size_t n = 0; n < l->graph->node_count; n++) {
    const weft_node *node = &l->graph->nodes[n];
    if (l->plan->steps[n] != WEFT_STEP_RUN || (node->def->flags & WEFT_OP_INPLACE) == 0 || node->outputs[0] < 0 ||
        l->plan->places[node->outputs[0]] != WEFT_PLACE_ARENA) {
      continue;
    }
    int32_t out = node->outputs[0];
    for (int i = 0; i < node->input_count; i++) {
      int32_t in = node->inputs[i];
      if (in < 0 || !may_overwrite(l, n, in, out)) {
        continue;
      }
      int32_t from = find_root(l, in);
      l->root[out] = from;
      l->last[from] = l->last[out];
      break;
    }
  }
}

/* ---- offsets ----------------------------------------------------------------------------------------------------- */
typedef struct placed {
  int32_t value;
  int32_t first, last;
  size_t bytes, offset;
} placed;

static int by_size(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->bytes != y->bytes) {
    return x->bytes < y->bytes ? 1 : -1;
  }
  return x->value < y->value ? -1 : x->value > y->value;
}

static int by_first_use(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->first != y->first) {
    return x->first < y->first ? -1 : 1;
  }
  return x->value < y->value ? -1 : x->value > y->value;
}

/* The lowest offset at which `item` fits between those of `others`, in order of their offsets, whose lifetimes meet its
 * own. */
static size_t find_gap(const placed *const *others, size_t count, const placed *item) {
  size_t offset = 0;
  for (size_t i = 0; i < count; i++) {
    const placed *other = others[i];
    if (other->first > item->last || item->first > other->last) {
      continue;
    }
    if (other->offset >= offset && other->offset - offset >= item->bytes) {
      return offset;
    }
    size_t end = other->offset + other->bytes;
    offset = end > offset ? end : offset;
  }
  return offset;
}

static void place_by_size(placed *items, size_t count, const placed **others) {
  weft_sort(items, count, sizeof *items, by_size);
  for (size_t i = 0; i < count; i++) {
    items[i].offset = find_gap(others, i, &items[i]);
    size_t at = i;
    for (; at > 0 && others[at - 1]->offset > items[i].offset; at--) {
      others[at] = others[at - 1];
    }
    others[at] = &items[i];
  }
}

/* ---- many values: as if they were allocated and freed one after another ------------------------------------------ */
typedef struct gap {
  size_t offset, bytes;
} gap;

/* What is free below `top`, in order and never side by side. */
typedef struct gaps {
  gap *list;
  size_t count, top;
} gaps;

enum { GAPS_TRIED = 64 };

/* The lowest gap that is large enough, of the first few; or the end, with the gap that touches it. */
static size_t take_gap(gaps *g, size_t bytes) {
  for (size_t i = 0; i < g->count && i < GAPS_TRIED; i++) {
    gap *at = &g->list[i];
    if (at->bytes >= bytes) {
      size_t offset = at->offset;
      at->offset += bytes;
      at->bytes -= bytes;
      if (at->bytes == 0) {
        memmove(at, at + 1, (--g->count - i) * sizeof *at);
      }
      return offset;
    }
  }
  const gap *last = g->count > 0 ? &g->list[g->count - 1] : NULL;
  size_t offset = g->top;
  if (last != NULL && last->offset + last->bytes == g->top) {
    offset = last->offset;
    g->count--;
    if (last->bytes > bytes) { /* one that was not tried */
      g->list[g->count++] = (gap){offset + bytes, last->bytes - bytes};
      return offset;
    }
  }
  g->top = offset + bytes;
  return offset;
}

static void give_gap(gaps *g, size_t offset, size_t bytes) {
  size_t low = 0, high = g->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (g->list[middle].offset < offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  gap *before = low > 0 ? &g->list[low - 1] : NULL, *after = low < g->count ? &g->list[low] : NULL;
  bool joins_before = before != NULL && before->offset + before->bytes == offset;
  bool joins_after = after != NULL && offset + bytes == after->offset;
  if (joins_before && joins_after) {
    before->bytes += bytes + after->bytes;
    memmove(after, after + 1, (--g->count - low) * sizeof *after);
  } else if (joins_before) {
    before->bytes += bytes;
  } else if (joins_after) {
    after->offset = offset;
    after->bytes += bytes;
  } else {
    memmove(&g->list[low + 1], &g->list[low], (g->count++ - low) * sizeof *g->list);
    g->list[low] = (gap){offset, bytes};
  }
}

static int by_last_use(const void *a, const void *b) {
  const placed *x = *(const placed *const *)a, *y = *(const placed *const *)b;
  if (x->last != y->last) {
    return x->last < y->last ? -1 : 1;
  }
  return x->value < y->value ? -1 : x->value > y->value;
}

/* An item that ends before another begins was placed before it, so walking `ending` never meets one without an offset. */
static void place_in_order(placed *items, size_t count, const placed **ending, gap *room) {
  gaps g = {.list = room};
  size_t ended = 0;
  weft_sort(items, count, sizeof *items, by_first_use);
  for (size_t i = 0; i < count; i++) {
    ending[i] = &items[i];
  }
  weft_sort((void *)ending, count, sizeof *ending, by_last_use);
  for (size_t i = 0; i < count; i++) {
    for (; ended < count && ending[ended]->last < items[i].first; ended++) {
      if (ending[ended]->bytes > 0) {
        give_gap(&g, ending[ended]->offset, ending[ended]->bytes);
      }
    }
    items[i].offset = take_gap(&g, items[i].bytes);
  }
}

static size_t bytes_of(const weft_plan *plan, size_t v) {
  const weft_tensor *tensor = &plan->shapes[v]->tensor;
  return tensor->count * weft_type_size(tensor->type);
}

static weft_status assign_offsets(weft_run_state *state, layout *l) {
  const weft_graph *graph = l->graph;
  weft_plan *plan = l->plan;
  void *block, *live, *room;
  size_t count = 0;
  plan->arena_size = 0;
  WEFT_TRY(weft_scratch_alloc(state->cx, &state->scratch, graph->value_count * sizeof(placed), &block));
  WEFT_TRY(weft_scratch_alloc(state->cx, &state->scratch, graph->value_count * sizeof(placed *), &live));
  placed *items = block;
  for (size_t v = 0; v < graph->value_count; v++) {
    if (plan->places[v] != WEFT_PLACE_ARENA || l->root[v] != (int32_t)v) {
      continue;
    }
    size_t bytes = bytes_of(plan, v);
    if (bytes > SIZE_MAX / 2 - ALIGNMENT - MOST_SLACK) {
      return weft_fail(state->cx, WEFT_OUT_OF_MEMORY, "'%s' needs %zu bytes", graph->values[v].name, bytes);
    }
    bytes += !plan->grows[v] ? 0 : bytes / 8 < MOST_SLACK ? bytes / 8 : MOST_SLACK;
    bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    plan->room[v] = bytes;
    items[count++] = (placed){(int32_t)v, l->first[v], l->last[v], bytes, 0};
  }
  if (count > PAIRS_COMPARED) {
    WEFT_TRY(weft_scratch_alloc(state->cx, &state->scratch, (count + 1) * sizeof(gap), &room));
    place_in_order(items, count, live, room);
  } else {
    place_by_size(items, count, live);
  }
  for (size_t i = 0; i < count; i++) {
    size_t end;
    if (!weft_add(items[i].offset, items[i].bytes, &end)) {
      return weft_fail(state->cx, WEFT_OUT_OF_MEMORY, "the intermediate values need more than can be addressed");
    }
    plan->arena_size = end > plan->arena_size ? end : plan->arena_size;
    plan->offsets[items[i].value] = items[i].offset;
  }
  for (size_t v = 0; v < graph->value_count; v++) {
    if (plan->places[v] == WEFT_PLACE_ARENA) {
      plan->offsets[v] = plan->offsets[find_root(l, (int32_t)v)];
    }
  }
  return WEFT_OK;
}

/* ---- freeing dynamic values -------------------------------------------------------------------------------------- */
static weft_status list_releases(weft_run_state *state, const weft_graph *graph, weft_plan *plan) {
  void *block;
  size_t nodes = graph->node_count, total = 0;
  WEFT_TRY(weft_arena_alloc(state->cx, &plan->memory, nodes + 1, sizeof *plan->release_begin, &block));
  plan->release_begin = block;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t v = 0; v < graph->value_count; v++) {
      int32_t last = plan->last_use[v];
      if (plan->places[v] != WEFT_PLACE_DYNAMIC || last < 0 || last >= (int32_t)nodes) {
        continue;
      }
      if (pass == 0) {
        plan->release_begin[last + 1]++;
        total++;
      } else {
        plan->release_list[plan->release_begin[last]++] = (int32_t)v;
      }
    }
    if (pass == 0) {
      WEFT_TRY(weft_arena_alloc(state->cx, &plan->memory, total, sizeof *plan->release_list, &block));
      plan->release_list = block;
      for (size_t n = 0; n < nodes; n++) {
        plan->release_begin[n + 1] += plan->release_begin[n];
      }
    }
  }
  /* Filling moved each begin to its end: shift them back. */
  memmove(plan->release_begin + 1, plan->release_begin, nodes * sizeof *plan->release_begin);
  plan->release_begin[0] = 0;
  return WEFT_OK;
}

/* ---- putting it together ----------------------------------------------------------------------------------------- */
static void plan_destroy(const weft_graph *graph, weft_plan *plan) {
  for (size_t v = 0; plan->shapes != NULL && v < graph->value_count; v++) {
    weft_value_release(plan->shapes[v]);
  }
  weft_arena_free(&plan->memory);
  weft_free(plan);
}

static weft_status arena_array(weft_run_state *state, weft_plan *plan, size_t count, size_t size, void *out) {
  void *block;
  WEFT_TRY(weft_arena_alloc(state->cx, &plan->memory, count, size, &block));
  memcpy(out, &block, sizeof block);
  return WEFT_OK;
}

/* Gives what lies in the arena its place there. */
static weft_status lay_out(weft_run_state *state, const weft_graph *graph, weft_plan *plan) {
  layout l = {.graph = graph, .plan = plan, .root = plan->root};
  void *block;
  WEFT_TRY(weft_scratch_alloc(state->cx, &state->scratch, 2 * graph->value_count * sizeof(int32_t), &block));
  l.first = block;
  l.last = l.first + graph->value_count;
  find_views(&l);
  find_uses(&l);
  for (size_t i = 0; i < graph->input_count; i++) {
    plan->last_use[graph->inputs[i]] = l.last[graph->inputs[i]]; /* also of what shows it */
  }
  find_in_place(&l);
  return assign_offsets(state, &l);
}

static void set_values(const weft_graph *graph, weft_plan *plan) {
  for (size_t v = 0; v < graph->value_count; v++) {
    weft_place place = plan->places[v];
    bool kept = place == WEFT_PLACE_KNOWN || place == WEFT_PLACE_ARENA || place == WEFT_PLACE_VIEW;
    plan->values[v] = kept ? plan->shapes[v] : NULL;
  }
}

static weft_status make_layout(weft_run_state *state, const weft_graph *graph, weft_plan *plan) {
  size_t widest = 0;
  place_values(graph, plan);
  for (size_t n = 0; n < graph->node_count; n++) {
    size_t wide = (size_t)graph->nodes[n].input_count + (size_t)graph->nodes[n].output_count;
    widest = wide > widest ? wide : widest;
    class_node(graph, plan, n);
  }
  WEFT_TRY(arena_array(state, plan, widest, sizeof *plan->one, &plan->one));
  WEFT_TRY(arena_array(state, plan, graph->value_count, sizeof *plan->made, &plan->made));
  WEFT_TRY(skip_unneeded(state, graph, plan));
  for (size_t v = 0; v < graph->value_count; v++) {
    if (plan->places[v] == WEFT_PLACE_DYNAMIC || plan->places[v] == WEFT_PLACE_OUTPUT) {
      plan->made[plan->made_count++] = (int32_t)v;
    }
  }
  WEFT_TRY(lay_out(state, graph, plan));
  set_values(graph, plan);
  return list_releases(state, graph, plan);
}

/* What is known of a given value: its type and shape, not its elements (they differ from run to run). */
static weft_status given_shape(weft_run_state *state, const weft_value *given, weft_value **out) {
  *out = NULL;
  if (given == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_value_new(state->cx, given->kind, out));
  (*out)->tensor = given->tensor;
  (*out)->tensor.data = NULL;
  return WEFT_OK;
}

static weft_status fill_plan(weft_run_state *state, const weft_graph *graph, const weft_plans *plans, weft_plan *plan) {
  size_t values = graph->value_count, nodes = graph->node_count;
  WEFT_TRY(arena_array(state, plan, values, sizeof *plan->shapes, &plan->shapes));
  WEFT_TRY(arena_array(state, plan, values, sizeof *plan->values, &plan->values));
  WEFT_TRY(arena_array(state, plan, values, sizeof *plan->places, &plan->places));
  WEFT_TRY(arena_array(state, plan, values, sizeof *plan->offsets, &plan->offsets));
  WEFT_TRY(arena_array(state, plan, values, sizeof *plan->room, &plan->room));
  WEFT_TRY(arena_array(state, plan, values, sizeof *plan->root, &plan->root));
  WEFT_TRY(arena_array(state, plan, values, sizeof *plan->changed, &plan->changed));
  WEFT_TRY(arena_array(state, plan, values, sizeof *plan->grows, &plan->grows));
  WEFT_TRY(arena_array(state, plan, values, sizeof *plan->last_use, &plan->last_use));
  WEFT_TRY(arena_array(state, plan, nodes, sizeof *plan->steps, &plan->steps));
  for (size_t i = 0; i < plans->given_count; i++) {
    weft_value **shape = &plan->shapes[plans->given[i]];
    weft_value_release(*shape); /* an input of two names */
    WEFT_TRY(given_shape(state, plans->now[i], shape));
  }
  WEFT_TRY(weft_interpret(state, graph, plan->shapes));
  return make_layout(state, graph, plan);
}

static weft_status make_plan(weft_run_state *state, const weft_graph *graph, const weft_plans *plans, weft_plan **out) {
  void *block;
  *out = NULL;
  WEFT_TRY(weft_alloc_zeroed(state->cx, 1, sizeof(weft_plan), &block));
  weft_status status = fill_plan(state, graph, plans, block);
  if (status != WEFT_OK) {
    plan_destroy(graph, block);
    return status;
  }
  *out = block;
  return WEFT_OK;
}

/* ---- shapes that change from run to run -------------------------------------------------------------------------- */
/* Where each run has shapes of its own, as with a cache that grows, the last run's plan is brought up to date: only
 * nodes that read what changed infer anew, and memory is laid out anew only when something outgrows its place. */

/* Tells what inputs have another shape; false where that is not all that changed. */
static bool take_given(const weft_graph *graph, weft_plan *plan, const weft_plans *plans) {
  for (size_t v = 0; v < graph->value_count; v++) {
    if (plan->places[v] == WEFT_PLACE_ARENA || plan->places[v] == WEFT_PLACE_VIEW) {
      plan->shapes[v]->tensor.data = NULL; /* not known, though the last run had it */
    }
  }
  for (size_t i = 0; i < plans->given_count; i++) {
    weft_value *old = plan->shapes[plans->given[i]], *now = plans->now[i];
    if (!same_kind(old, now)) {
      return false;
    }
    if (!same_shape(old, now)) {
      plan->changed[plans->given[i]] = true;
      old->tensor = now->tensor;
      old->tensor.data = NULL;
    }
  }
  return true;
}

/* Whether results may still be written over what they were. */
static bool overwrites_same(const weft_plan *plan, const weft_node *node) {
  int32_t out = node->outputs[0];
  for (int i = 0; i < node->input_count && out >= 0 && plan->places[out] == WEFT_PLACE_ARENA; i++) {
    int32_t in = node->inputs[i];
    if (in >= 0 && plan->root[in] == plan->root[out] &&
        !weft_shape_equal(&plan->shapes[in]->tensor.shape, &plan->shapes[out]->tensor.shape)) {
      return false;
    }
  }
  return true;
}

static bool still_fits(const weft_graph *graph, weft_plan *plan) {
  const bool *changed = plan->changed;
  bool fits = true;
  for (size_t v = 0; v < graph->value_count; v++) {
    plan->grows[v] |= changed[v];
    bool moves = changed[v] && plan->places[v] == WEFT_PLACE_ARENA;
    fits = fits && (!moves || bytes_of(plan, v) <= plan->room[plan->root[v]]);
  }
  for (size_t n = 0; n < graph->node_count && fits; n++) {
    fits = plan->steps[n] != WEFT_STEP_RUN || overwrites_same(plan, &graph->nodes[n]);
  }
  return fits;
}

static weft_status renew_plan(weft_run_state *state, const weft_graph *graph, const weft_plans *plans, weft_plan *plan,
                              bool *done) {
  memset(plan->changed, 0, graph->value_count * sizeof *plan->changed);
  *done = take_given(graph, plan, plans);
  if (*done) {
    WEFT_TRY(weft_interpret_again(state, graph, plan->shapes, plan->changed, done));
  }
  if (*done && !still_fits(graph, plan)) {
    WEFT_TRY(lay_out(state, graph, plan));
  }
  set_values(graph, plan);
  plan->bound = NULL;
  return WEFT_OK;
}

static void drop_last(const weft_graph *graph, weft_plans *plans) {
  weft_plan **at = &plans->first;
  while ((*at)->next != NULL) {
    at = &(*at)->next;
  }
  plan_destroy(graph, *at);
  *at = NULL;
  plans->count--;
}

/* The plan of the last run for this one, or NULL where it cannot be; then it is gone. */
static weft_status renew_first(weft_run_state *state, const weft_graph *graph, weft_plans *plans, weft_plan **out) {
  weft_plan *plan = plans->first;
  bool done = false;
  weft_status status = renew_plan(state, graph, plans, plan, &done);
  *out = status == WEFT_OK && done ? plan : NULL;
  if (*out == NULL) {
    plans->first = plan->next;
    plans->count--;
    plan_destroy(graph, plan);
  }
  return status;
}

weft_status weft_plan_find(weft_run_state *state, const weft_graph *graph, weft_plans *plans, weft_plan **out) {
  *out = NULL;
  for (weft_plan **at = &plans->first; *at != NULL; at = &(*at)->next) {
    weft_plan *plan = *at;
    if (suits(plan, plans)) {
      *at = plan->next;
      plan->next = plans->first;
      plans->first = *out = plan;
      plans->strangers = 0;
      return WEFT_OK;
    }
  }
  if (++plans->strangers > STRANGERS && plans->first != NULL) {
    WEFT_TRY(renew_first(state, graph, plans, out));
    if (*out != NULL) {
      return WEFT_OK;
    }
  }
  WEFT_TRY(make_plan(state, graph, plans, out));
  (*out)->next = plans->first;
  plans->first = *out;
  if (++plans->count > PLANS_KEPT) {
    drop_last(graph, plans);
  }
  return WEFT_OK;
}

weft_status weft_plan_bind(weft_run_state *state, weft_graph *graph, weft_plan *plan) {
  weft_plans *plans = graph->plans;
  if (plans->arena_size < plan->arena_size || plans->arena == NULL) {
    weft_free(plans->arena);
    plans->arena = NULL;
    plans->arena_size = 0;
    for (weft_plan *p = plans->first; p != NULL; p = p->next) {
      p->bound = NULL;
    }
    WEFT_TRY(weft_alloc(state->cx, plan->arena_size, &plans->arena));
    plans->arena_size = plan->arena_size;
  }
  if (plan->bound != plans->arena) {
    plan->bound = plans->arena;
    for (size_t v = 0; v < graph->value_count; v++) {
      if (plan->places[v] == WEFT_PLACE_ARENA) {
        plan->values[v]->tensor.data = (char *)plans->arena + plan->offsets[v];
      }
    }
  }
  return WEFT_OK;
}

void weft_plans_destroy(weft_graph *graph) {
  weft_plans *plans = graph->plans;
  if (plans == NULL) {
    return;
  }
  while (plans->first != NULL) {
    drop_last(graph, plans);
  }
  weft_free(plans->arena);
  weft_free(plans);
  graph->plans = NULL;
}
