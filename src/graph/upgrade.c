/* The driver of the upgrade and the tools of the rewriting functions. A graph whose nodes are all new is left as it is;
 * otherwise its nodes move to a new list one by one, so that a rewrite may put nodes before and after its own in
 * constant time. */
#include "upgrade.h"

#include <string.h>

#include "names.h"

typedef struct weft_node_list {
  weft_node *items;
  size_t count, capacity;
} weft_node_list;

enum { MAX_ROWS = 256 };

typedef struct upgrader {
  weft_model *model;
  const weft_upgrade_row *rows[MAX_ROWS + 1]; /* NULL at the end */
  weft_names first[2];                        /* operator -> its first row: of the default domain, of the others */
} upgrader;

static weft_status index_rows(upgrader *all) {
  const weft_upgrade_row *const lists[] = {weft_upgrade_math,    weft_upgrade_shape,   weft_upgrade_neural,
                                           weft_upgrade_control, weft_upgrade_legacy,  weft_upgrade_microsoft,
                                           weft_upgrade_blocked, weft_upgrade_formulas};
  size_t count = 0;
  for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
    for (const weft_upgrade_row *row = lists[l]; row->op_type != NULL; row++) {
      int32_t old;
      if (count == MAX_ROWS) {
        return weft_fail(all->model->cx, WEFT_INTERNAL, "more than %d rows of the upgrade", MAX_ROWS);
      }
      weft_names *first = &all->first[*row->domain != 0];
      if (!weft_names_find(first, row->op_type, &old)) {
        WEFT_TRY(weft_names_put(all->model->cx, first, row->op_type, (int32_t)count));
      }
      all->rows[count++] = row;
    }
  }
  return WEFT_OK;
}

/* The next row that applies to node, or NULL. */
static const weft_upgrade_row *find_row(const upgrader *all, const weft_node *node) {
  int32_t i;
  if (!weft_names_find(&all->first[*node->domain != 0], node->op_type, &i)) {
    return NULL;
  }
  for (; all->rows[i] != NULL && strcmp(all->rows[i]->op_type, node->op_type) == 0; i++) {
    if (all->rows[i]->version > node->version && strcmp(all->rows[i]->domain, node->domain) == 0) {
      return all->rows[i];
    }
  }
  return NULL;
}

/* The node's attributes belong to the list now; on failure they are gone. */
static weft_status push(weft_model *model, weft_node_list *list, weft_node *node, weft_node **out) {
  void *items = list->items;
  weft_status status =
      weft_arena_grow(model->cx, &model->arena, &items, &list->capacity, list->count + 1, sizeof *list->items);
  if (status != WEFT_OK) {
    weft_node_discard(node);
    return status;
  }
  list->items = items;
  list->items[list->count] = *node;
  *out = &list->items[list->count++];
  return WEFT_OK;
}

static weft_status apply_rows(upgrader *all, weft_upgrade *u) {
  const weft_upgrade_row *row;
  while (!u->dropped && (row = find_row(all, u->node)) != NULL) {
    u->node->version = row->version; /* a rewrite into another operator sets that one's version */
    u->model->cx->node = u->node->name;
    u->model->cx->op = u->node->op_type;
    WEFT_TRY(row->rewrite(u));
    WEFT_TRY(u->refused);
  }
  return WEFT_OK;
}

/* Moves one node, and what its rewriting put after it, to the new list; whatever happens, attributes have one owner. */
static weft_status upgrade_node(upgrader *all, weft_upgrade *u, weft_node *old) {
  weft_node node = *old;
  weft_node *kept;
  *old = (weft_node){0};
  u->node = &node;
  u->dropped = false;
  weft_status status = apply_rows(all, u);
  if (status != WEFT_OK || u->dropped) {
    weft_node_discard(&node);
  } else {
    status = push(u->model, u->done, &node, &kept);
  }
  for (size_t i = 0; i < u->after->count; i++) {
    if (status == WEFT_OK) {
      status = push(u->model, u->done, &u->after->items[i], &kept);
    } else {
      weft_node_discard(&u->after->items[i]);
    }
  }
  u->after->count = 0;
  return status;
}

static weft_status rewrite_nodes(upgrader *all, weft_graph *graph) {
  weft_node_list done = {0}, after = {0};
  weft_upgrade u = {.model = all->model, .graph = graph, .done = &done, .after = &after};
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    status = upgrade_node(all, &u, &graph->nodes[n]);
  }
  for (size_t n = 0; n < done.count && status != WEFT_OK; n++) {
    weft_node_discard(&done.items[n]);
  }
  WEFT_TRY(status);
  graph->nodes = done.items;
  graph->node_count = done.count;
  graph->node_capacity = done.capacity;
  weft_graph_number_producers(graph);
  return WEFT_OK;
}

static weft_status upgrade_graph(upgrader *all, weft_graph *graph) {
  bool any = false;
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_subgraphs at = {.node = &graph->nodes[n]};
    for (weft_graph *inner; (inner = weft_subgraphs_next(&at)) != NULL;) {
      WEFT_TRY(upgrade_graph(all, inner));
    }
    any = any || find_row(all, &graph->nodes[n]) != NULL;
  }
  return any ? rewrite_nodes(all, graph) : WEFT_OK;
}

weft_status weft_graph_upgrade(weft_model *model) {
  upgrader all = {.model = model};
  weft_status status = index_rows(&all);
  if (status == WEFT_OK) {
    status = upgrade_graph(&all, model->graph);
  }
  weft_names_free(&all.first[0]);
  weft_names_free(&all.first[1]);
  return status;
}

/* ---- tools of the rewriting functions -------------------------------------------------------- */
static weft_status make_node(weft_upgrade *u, weft_node_list *list, const char *op_type, int inputs,
                             const int32_t *values, int32_t output, weft_node **made) {
  weft_node node = {
      .name = u->node->name, .domain = "", .op_type = op_type, .overload = "", .version = WEFT_UPGRADE_ALWAYS};
  weft_node *kept;
  WEFT_TRY(weft_node_resize(u->model, &node, inputs, 1));
  for (int i = 0; i < inputs; i++) {
    node.inputs[i] = values[i];
  }
  node.outputs[0] = output;
  WEFT_TRY(push(u->model, list, &node, &kept));
  if (made != NULL) {
    *made = kept;
  }
  return WEFT_OK;
}

weft_status weft_upgrade_before(weft_upgrade *u, const char *op_type, int inputs, const int32_t *values,
                                weft_node **made, int32_t *out) {
  WEFT_TRY(weft_graph_add_value(u->model, u->graph, "", out));
  return make_node(u, u->done, op_type, inputs, values, *out, made);
}

weft_status weft_upgrade_after(weft_upgrade *u, const char *op_type, int inputs, const int32_t *values, int32_t output,
                               weft_node **made) {
  return make_node(u, u->after, op_type, inputs, values, output, made);
}

weft_status weft_upgrade_replace_output(weft_upgrade *u, int i, int32_t *old) {
  *old = u->node->outputs[i];
  return weft_graph_add_value(u->model, u->graph, "", &u->node->outputs[i]);
}

weft_status weft_upgrade_floats(weft_upgrade *u, size_t count, const float *values, int32_t *out) {
  return weft_graph_add_numbers(u->model, u->graph, WEFT_FLOAT, 1, count, values, out);
}

weft_status weft_upgrade_ints(weft_upgrade *u, int rank, size_t count, const int64_t *values, int32_t *out) {
  return weft_graph_add_numbers(u->model, u->graph, WEFT_INT64, rank, count, values, out);
}

weft_status weft_upgrade_float_like(weft_upgrade *u, float value, int32_t like, int32_t *out) {
  int32_t plain;
  WEFT_TRY(weft_graph_add_numbers(u->model, u->graph, WEFT_FLOAT, 0, 1, &value, &plain));
  return weft_upgrade_before(u, "CastLike", 2, (int32_t[]){plain, like}, NULL, out);
}

weft_status weft_upgrade_to_input(weft_upgrade *u, const char *name, int i, int32_t v) {
  if (weft_upgrade_input(u, i) >= 0) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "attribute '%s' and input %d: expected one of them, found both",
                     name, i);
  }
  weft_node_remove_attribute(u->node, name);
  return weft_node_set_input(u->model, u->node, i, v);
}

weft_status weft_upgrade_ints_to_input(weft_upgrade *u, const char *name, int i, bool skip_empty) {
  const weft_attribute *attribute = weft_node_attribute(u->node, name);
  int32_t v;
  if (attribute == NULL || (attribute->kind == WEFT_ATTRIBUTE_INTS && attribute->count == 0 && skip_empty)) {
    return WEFT_OK;
  }
  const bool one = attribute->kind == WEFT_ATTRIBUTE_INT;
  if (!one && attribute->kind != WEFT_ATTRIBUTE_INTS) {
    return weft_attribute_refuse(u->model->cx, attribute);
  }
  WEFT_TRY(weft_upgrade_ints(u, 1, attribute->count, one ? &attribute->i : attribute->ints, &v));
  return weft_upgrade_to_input(u, name, i, v);
}

/* The attribute, or NULL where it is absent or of another kind. */
static const weft_attribute *attribute_of(weft_upgrade *u, const char *name, weft_attribute_kind kind) {
  const weft_attribute *attribute = weft_node_attribute(u->node, name);
  if (attribute != NULL && attribute->kind != kind) {
    u->refused = weft_attribute_refuse(u->model->cx, attribute);
    return NULL;
  }
  return attribute;
}

int64_t weft_upgrade_int(weft_upgrade *u, const char *name, int64_t fallback) {
  const weft_attribute *attribute = attribute_of(u, name, WEFT_ATTRIBUTE_INT);
  return attribute != NULL ? attribute->i : fallback;
}

float weft_upgrade_real(weft_upgrade *u, const char *name, float fallback) {
  const weft_attribute *attribute = attribute_of(u, name, WEFT_ATTRIBUTE_FLOAT);
  return attribute != NULL ? attribute->f : fallback;
}

int32_t weft_upgrade_input(const weft_upgrade *u, int i) {
  return i < u->node->input_count ? u->node->inputs[i] : -1;
}

int32_t weft_upgrade_output(const weft_upgrade *u, int i) {
  return i < u->node->output_count ? u->node->outputs[i] : -1;
}

bool weft_upgrade_is_string(weft_upgrade *u, const char *name, const char *value) {
  const weft_attribute *attribute = attribute_of(u, name, WEFT_ATTRIBUTE_STRING);
  return attribute != NULL && strcmp(attribute->s.data, value) == 0;
}

/* ---- which values are read ------------------------------------------------------------------- */
static void mark(void *used, int32_t value) {
  ((bool *)used)[value] = true;
}

weft_status weft_upgrade_is_used(weft_upgrade *u, int i, bool *out) {
  int32_t v = weft_upgrade_output(u, i);
  *out = false;
  if (v < 0) {
    return WEFT_OK;
  }
  if (u->used == NULL) {
    void *block;
    WEFT_TRY(weft_arena_alloc(u->model->cx, &u->model->arena, u->graph->value_count, sizeof(bool), &block));
    u->used = block;
    for (size_t n = 0; n < u->graph->node_count; n++) {
      weft_node_visit_uses(&u->graph->nodes[n], mark, u->used);
    }
    for (size_t o = 0; o < u->graph->output_count; o++) {
      mark(u->used, u->graph->outputs[o]);
    }
  }
  *out = u->used[v];
  return WEFT_OK;
}
