/* Derivatives through If, Loop and Scan: their subgraph is copied, walked backwards there, and run by a node of its own
 * that computes it again on the way. Of an If that is another If. Of a Loop or Scan it is a Scan in the other direction:
 * it carries the derivatives by the state and the sums of those by what the body captures, and reads what the body read
 * at each turn, which the Loop or Scan is made to yield. */
#include "backward.h"

#include <string.h>

#include "build.h"
#include "gradient.h"

enum { MOST_DEPTH = 4 }; /* of nesting: each level doubles what is inside */

/* ---- copies ------------------------------------------------------------------------------------------------------ */
static weft_status copy_list(weft_model *model, size_t count, size_t room, const int32_t *from, int32_t **out) {
  void *block;
  WEFT_TRY(weft_arena_alloc(model->cx, &model->arena, count + room + 1, sizeof *from, &block));
  if (count > 0) {
    memcpy(block, from, count * sizeof *from);
  }
  *out = block;
  return WEFT_OK;
}

static weft_status copy_graph(weft_model *model, weft_graph *parent, const weft_graph *from, weft_graph **out);

/* Into `graph`. Whatever fails, the copy holds what can be released. */
static weft_status copy_attributes(weft_model *model, weft_graph *graph, const weft_node *from, weft_node *to) {
  void *block;
  WEFT_TRY(weft_arena_alloc(model->cx, &model->arena, from->attribute_count + 1, sizeof *to->attributes, &block));
  to->attributes = block;
  for (size_t i = 0; i < from->attribute_count; i++) {
    const weft_attribute *old = &from->attributes[i];
    weft_attribute *copy = &to->attributes[i];
    if (old->kind == WEFT_ATTRIBUTE_TENSORS || old->kind == WEFT_ATTRIBUTE_GRAPHS) {
      return weft_fail(model->cx, WEFT_UNSUPPORTED, "derivatives around node '%.80s' are not known here", from->name);
    }
    *copy = *old;
    if (old->kind == WEFT_ATTRIBUTE_TENSOR) {
      weft_value_retain(copy->tensor);
    }
    copy->graph = old->kind == WEFT_ATTRIBUTE_GRAPH ? NULL : copy->graph;
    to->attribute_count++;
    WEFT_TRY(old->kind == WEFT_ATTRIBUTE_GRAPH ? copy_graph(model, graph, old->graph, &copy->graph) : WEFT_OK);
  }
  return WEFT_OK;
}

/* Values keep their numbers, constants are shared. */
static weft_status copy_graph(weft_model *model, weft_graph *parent, const weft_graph *from, weft_graph **out) {
  weft_graph *graph;
  WEFT_TRY(weft_graph_create(model, parent, from->name, &graph));
  *out = graph;
  WEFT_TRY(weft_graph_reserve(model, graph, from->value_count, from->node_count));
  if (from->value_count > 0) {
    memcpy(graph->values, from->values, from->value_count * sizeof *from->values);
  }
  graph->value_count = from->value_count;
  for (size_t v = 0; v < graph->value_count; v++) {
    weft_value_retain(graph->values[v].constant);
  }
  WEFT_TRY(copy_list(model, from->input_count, 0, from->inputs, &graph->inputs));
  graph->input_count = from->input_count;
  WEFT_TRY(copy_list(model, from->output_count, 0, from->outputs, &graph->outputs));
  graph->output_count = from->output_count;
  for (size_t n = 0; n < from->node_count; n++) {
    const weft_node *old = &from->nodes[n];
    weft_node *node = &graph->nodes[n];
    *node = *old;
    node->attribute_count = 0;
    graph->node_count++;
    WEFT_TRY(copy_list(model, (size_t)old->input_count, 0, old->inputs, &node->inputs));
    WEFT_TRY(copy_list(model, (size_t)old->output_count, 0, old->outputs, &node->outputs));
    WEFT_TRY(copy_attributes(model, graph, old, node));
  }
  return WEFT_OK;
}

/* ---- within a copy ----------------------------------------------------------------------------------------------- */
/* A walk through a copy of `body`, which becomes node `at`'s attribute; variables: what it captures of the path. */
static weft_status begin(weft_gradient *g, size_t at, const weft_node *node, const char *name, const weft_graph *body,
                         weft_gradient *in) {
  weft_attribute *attribute;
  *in = (weft_gradient){.model = g->model, .depth = g->depth + 1, .term = g->term};
  if (in->depth > MOST_DEPTH) {
    return weft_fail(g->model->cx, WEFT_UNSUPPORTED, "derivatives through more than %d levels of subgraphs",
                     MOST_DEPTH);
  }
  WEFT_TRY(weft_node_add_attribute(g->model, &g->graph->nodes[at], name, &attribute));
  attribute->kind = WEFT_ATTRIBUTE_GRAPH;
  attribute->graph = NULL;
  WEFT_TRY(copy_graph(g->model, g->graph, body, &attribute->graph));
  in->graph = in->term.graph = attribute->graph;
  in->term.node = node;
  const char *told = g->model->cx->node, *op = g->model->cx->op; /* by what fails */
  WEFT_TRY(weft_graph_expand(g->model, in->graph, g->term.max_nodes));
  g->model->cx->node = told;
  g->model->cx->op = op;
  WEFT_TRY(weft_gradient_prepare(in));
  for (size_t v = 0; v < in->values; v++) {
    int32_t outer = in->graph->values[v].outer;
    in->leaf[v] = in->path[v] = outer >= 0 && g->path[outer];
  }
  return WEFT_OK;
}

static weft_status end(weft_gradient *in, size_t outputs, const int32_t *values) {
  in->graph->output_count = outputs;
  WEFT_TRY(copy_list(in->model, outputs, 0, values, &in->graph->outputs));
  weft_graph_number_producers(in->graph);
  return weft_graph_sort(in->model, in->graph);
}

/* The derivative by v, or zeros. */
static weft_status derivative(weft_gradient *g, int32_t v, int32_t *out) {
  *out = (size_t)v < g->values ? g->derivative[v] : -1;
  return *out >= 0 ? WEFT_OK : weft_gradient_fill(g, "0", v, out);
}

static bool has_derivative(const weft_gradient *g, int32_t v) {
  return v >= 0 && g->derivative[v] >= 0 && g->path[v] && !g->leaf[v];
}

static const weft_graph *body_of(const weft_node *node, const char *name) {
  const weft_attribute *attribute = weft_node_attribute(node, name);
  return attribute != NULL && attribute->kind == WEFT_ATTRIBUTE_GRAPH ? attribute->graph : NULL;
}

static weft_status add_input(weft_gradient *in, int32_t *out) {
  WEFT_TRY(weft_graph_add_value(in->model, in->graph, "", out));
  in->graph->values[*out].is_input = true;
  return WEFT_OK;
}

/* The slot that shows a value of the parent; a new one where there is none. */
static weft_status capture(weft_gradient *in, int32_t outer, int32_t *out) {
  for (size_t v = 0; v < in->values; v++) {
    if (in->graph->values[v].outer == outer) {
      *out = (int32_t)v;
      return WEFT_OK;
    }
  }
  WEFT_TRY(weft_graph_add_value(in->model, in->graph, "", out));
  in->graph->values[*out].outer = outer;
  return WEFT_OK;
}

/* The node's outputs become new values, which are derivatives by `targets`. */
static weft_status hand_back(weft_gradient *g, size_t at, size_t count, const int32_t *targets) {
  WEFT_TRY(weft_node_resize(g->model, &g->graph->nodes[at], g->graph->nodes[at].input_count, (int)count));
  const int32_t *outputs = g->graph->nodes[at].outputs;
  for (size_t i = 0; i < count; i++) {
    WEFT_TRY(weft_graph_add_value(g->model, g->graph, "", &g->graph->nodes[at].outputs[i]));
    WEFT_TRY(targets[i] >= 0 ? weft_gradient_add(g, outputs[i], targets[i]) : WEFT_OK);
  }
  return WEFT_OK;
}

/* ---- If ---------------------------------------------------------------------------------------------------------- */
static weft_status pass_if(weft_gradient *g, const weft_node *node) {
  static const char *const names[] = {"then_branch", "else_branch"};
  const size_t at = g->graph->node_count;
  weft_gradient in[2];
  weft_node *made;
  if (node->input_count != 1) {
    return weft_term_unknown(&g->term, "");
  }
  WEFT_TRY(weft_graph_add_node(g->model, g->graph, g->term.name, "", "If", 1, 0, &made));
  made->inputs[0] = node->inputs[0];
  for (int s = 0; s < 2; s++) {
    const weft_graph *branch = body_of(node, names[s]);
    if (branch == NULL || branch->input_count > 0 || branch->output_count < (size_t)node->output_count) {
      return weft_term_unknown(&g->term, "");
    }
    WEFT_TRY(begin(g, at, node, names[s], branch, &in[s]));
    weft_gradient_mark(&in[s]);
    for (int o = 0; o < node->output_count; o++) {
      if (has_derivative(g, node->outputs[o])) {
        int32_t seed;
        WEFT_TRY(weft_graph_add_value(g->model, in[s].graph, "", &seed));
        in[s].graph->values[seed].outer = g->derivative[node->outputs[o]];
        WEFT_TRY(weft_gradient_add(&in[s], seed, in[s].graph->outputs[o]));
      }
    }
    WEFT_TRY(weft_gradient_run(&in[s], SIZE_MAX));
  }
  /* Whatever one of them has a derivative by, the other has one by too, or zeros. */
  int32_t *results[2], *targets;
  size_t count = 0;
  for (int s = 0; s < 2; s++) {
    WEFT_TRY(copy_list(g->model, 0, in[0].values + in[1].values, in[s].derivative, &results[s]));
  }
  WEFT_TRY(copy_list(g->model, 0, in[0].values + in[1].values, in[0].derivative, &targets));
  for (int s = 0; s < 2; s++) {
    for (size_t v = 0; v < in[s].values; v++) {
      int32_t other;
      if (!in[s].leaf[v] || in[s].derivative[v] < 0) {
        continue;
      }
      targets[count] = in[s].graph->values[v].outer;
      WEFT_TRY(capture(&in[1 - s], targets[count], &other));
      if (s == 1 && (size_t)other < in[0].values && in[0].derivative[other] >= 0) {
        continue; /* the first has brought it */
      }
      results[s][count] = in[s].derivative[v];
      WEFT_TRY(derivative(&in[1 - s], other, &results[1 - s][count]));
      count++;
    }
  }
  for (int s = 0; s < 2; s++) {
    WEFT_TRY(end(&in[s], count, results[s]));
  }
  return hand_back(g, at, count, targets);
}

/* ---- Loop, Scan -------------------------------------------------------------------------------------------------- */
/* An input of the Scan: its value inside and outside; what it leaves, or -1, and whose derivative that is. */
typedef struct strand {
  int32_t inner, outer, result, target;
  int64_t axis, direction;
} strand;

typedef struct turns {
  size_t lead, states, scanned, yields, first; /* inputs before the states; outputs before them */
  size_t carried, count;                       /* strands */
  strand *strands;
} turns;

static int64_t entry(const weft_node *node, const char *name, size_t count, size_t i) {
  const weft_attribute *list = weft_node_attribute(node, name);
  return list != NULL && list->kind == WEFT_ATTRIBUTE_INTS && list->count == count ? list->ints[i] : 0;
}

static bool read_turns(const weft_node *node, const weft_graph *body, turns *t) {
  const bool loop = node->op_type[0] == 'L';
  int64_t scanned = loop ? 0 : weft_node_int(node, "num_scan_inputs", 0);
  *t = (turns){.lead = loop ? 2 : 0, .first = loop, .scanned = (size_t)scanned};
  if (body == NULL || scanned < !loop || (size_t)node->input_count < t->lead + t->scanned) {
    return false;
  }
  t->states = (size_t)node->input_count - t->lead - t->scanned;
  for (size_t i = t->lead; i < (size_t)node->input_count; i++) {
    if (node->inputs[i] < 0) {
      return false;
    }
  }
  if (body->input_count != (size_t)node->input_count || body->output_count < t->first + t->states ||
      body->output_count < t->first + (size_t)node->output_count) {
    return false;
  }
  t->yields = body->output_count - t->first - t->states;
  return true;
}

static weft_status lengthen(weft_gradient *g, weft_node *node, const char *name, size_t yields, size_t by) {
  void *block;
  if (weft_node_attribute(node, name) == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_arena_alloc(g->model->cx, &g->model->arena, yields + by, sizeof(int64_t), &block)); /* zeros */
  for (size_t i = 0; i < yields; i++) {
    ((int64_t *)block)[i] = entry(node, name, yields, i);
  }
  return weft_node_set_ints(g->model, node, name, yields + by, block);
}

/* Node k yields its states too, and a Loop the number of the turn; *first is the number of the first such output. */
static weft_status record(weft_gradient *g, size_t k, const turns *t, weft_graph *body, size_t *first) {
  weft_node *node = &g->graph->nodes[k];
  size_t count = t->states + (t->lead > 0);
  *first = t->states + t->yields;
  WEFT_TRY(copy_list(g->model, body->output_count, count, body->outputs, &body->outputs));
  WEFT_TRY(weft_node_resize(g->model, node, node->input_count, (int)(*first + count)));
  for (size_t i = 0; i < count; i++) {
    body->outputs[body->output_count++] = body->inputs[t->lead > 0 && i > 0 ? i + 1 : i];
  }
  for (size_t i = 0; i < *first + count; i++) {
    if (node->outputs[i] < 0) {
      WEFT_TRY(weft_graph_add_value(g->model, g->graph, "", &node->outputs[i]));
    }
  }
  WEFT_TRY(lengthen(g, node, "scan_output_axes", t->yields, count));
  return lengthen(g, node, "scan_output_directions", t->yields, count);
}

/* A state depends on the variables if its beginning does, or what a turn makes of it. */
static void mark_states(weft_gradient *g, const weft_node *node, const turns *t, weft_gradient *in) {
  const int32_t *inputs = in->graph->inputs;
  for (size_t i = t->lead; i < (size_t)node->input_count; i++) {
    in->leaf[inputs[i]] = in->path[inputs[i]] = g->path[node->inputs[i]];
  }
  for (bool more = true; more;) {
    more = false;
    weft_gradient_mark(in);
    for (size_t i = 0; i < t->states; i++) {
      int32_t v = inputs[t->lead + i];
      if (in->path[in->graph->outputs[t->first + i]] && !in->path[v]) {
        in->leaf[v] = in->path[v] = 1;
        more = true;
      }
    }
  }
}

static strand *add_strand(turns *t, int32_t inner, int32_t outer) {
  t->strands[t->count] = (strand){.inner = inner, .outer = outer, .result = -1, .target = -1};
  return &t->strands[t->count++];
}

/* The states' derivatives, which go from turn to turn, and all that is read at each. */
static weft_status feed(weft_gradient *g, const weft_node *node, turns *t, size_t recorded, weft_gradient *in) {
  for (size_t i = 0; i < t->states; i++) {
    int32_t v = in->graph->inputs[t->lead + i], inner, outer;
    if (in->path[v]) {
      WEFT_TRY(add_input(in, &inner));
      WEFT_TRY(derivative(g, node->outputs[i], &outer));
      WEFT_TRY(weft_gradient_add(in, inner, in->graph->outputs[t->first + i]));
      add_strand(t, inner, outer)->target = g->path[node->inputs[t->lead + i]] ? node->inputs[t->lead + i] : -1;
    }
  }
  t->carried = t->count;
  const size_t yields = (size_t)node->output_count - t->states;
  for (size_t i = 0; i < in->graph->input_count; i++) {
    bool scanned = i >= t->lead + t->states;
    if (t->lead == 0 || i != 1) { /* that is the condition */
      strand *s = add_strand(t, in->graph->inputs[i],
                             scanned ? node->inputs[i] : node->outputs[recorded + i - (t->lead > 0 && i > 0)]);
      s->axis = scanned ? entry(node, "scan_input_axes", t->scanned, i - t->states) : 0;
      s->direction = !(scanned && entry(node, "scan_input_directions", t->scanned, i - t->states) != 0);
      s->target = scanned && g->path[node->inputs[i]] ? node->inputs[i] : -1;
    }
  }
  for (size_t i = t->states; i < recorded; i++) {
    int32_t inner;
    if ((size_t)node->outputs[i] < g->values && has_derivative(g, node->outputs[i])) {
      WEFT_TRY(add_input(in, &inner));
      WEFT_TRY(weft_gradient_add(in, inner, in->graph->outputs[t->first + i]));
      strand *s = add_strand(t, inner, g->derivative[node->outputs[i]]);
      s->axis = entry(node, "scan_output_axes", yields, i - t->states);
      s->direction = entry(node, "scan_output_directions", yields, i - t->states) == 0;
    }
  }
  return WEFT_OK;
}

/* What is left of each turn: of the states, of what is scanned, and sums of what is captured. */
static weft_status leave(weft_gradient *g, turns *t, weft_gradient *in) {
  size_t state = 0, rest = t->count - t->carried;
  for (size_t i = 0; i < t->states; i++) {
    int32_t v = in->graph->inputs[t->lead + i];
    if (in->path[v]) {
      WEFT_TRY(derivative(in, v, &t->strands[state++].result));
    }
  }
  for (size_t i = t->carried; i < t->count; i++) {
    strand *s = &t->strands[i];
    s->result = s->target >= 0 ? in->derivative[s->inner] : -1;
  }
  for (size_t v = 0; v < in->values; v++) {
    const weft_slot *slot = &in->graph->values[v];
    if (slot->outer >= 0 && in->leaf[v] && in->derivative[v] >= 0) {
      strand sum = {.target = slot->outer};
      WEFT_TRY(add_input(in, &sum.inner));
      WEFT_TRY(weft_gradient_fill(g, "0", sum.target, &sum.outer));
      weft_term_set(&in->term, 's', sum.inner);
      weft_term_set(&in->term, 't', in->derivative[v]);
      WEFT_TRY(weft_term_derive(&in->term, "s t +", &sum.result));
      memmove(&t->strands[t->carried + 1], &t->strands[t->carried], rest * sizeof sum);
      t->strands[t->carried++] = sum;
      t->count++;
    }
  }
  return WEFT_OK;
}

/* The strands as the lists that a Scan has. */
static weft_status tie(weft_gradient *g, size_t at, turns *t, weft_gradient *in) {
  weft_graph *graph = in->graph;
  int32_t *results, *targets;
  size_t count = 0, scans = t->count - t->carried;
  void *block;
  WEFT_TRY(weft_arena_alloc(g->model->cx, &g->model->arena, 4 * scans + 1, sizeof(int64_t), &block));
  int64_t *axes = block, *directions = axes + scans, *own = directions + scans, *ways = own + scans;
  WEFT_TRY(copy_list(g->model, 0, t->count, graph->inputs, &graph->inputs));
  WEFT_TRY(copy_list(g->model, 0, t->count, graph->inputs, &results));
  WEFT_TRY(copy_list(g->model, 0, t->count, graph->inputs, &targets));
  WEFT_TRY(weft_node_resize(g->model, &g->graph->nodes[at], (int)t->count, 0));
  graph->input_count = t->count;
  for (size_t i = 0; i < t->count; i++) {
    const strand *s = &t->strands[i];
    graph->inputs[i] = s->inner;
    g->graph->nodes[at].inputs[i] = s->outer;
    if (i >= t->carried) {
      axes[i - t->carried] = s->axis;
      directions[i - t->carried] = s->direction;
    }
    if (s->result >= 0) {
      if (i >= t->carried) {
        own[count - t->carried] = s->axis;
        ways[count - t->carried] = s->direction;
      }
      results[count] = s->result;
      targets[count++] = s->target;
    }
  }
  weft_node *node = &g->graph->nodes[at];
  WEFT_TRY(weft_node_set_int(g->model, node, "num_scan_inputs", (int64_t)scans));
  WEFT_TRY(weft_node_set_ints(g->model, node, "scan_input_axes", scans, axes));
  WEFT_TRY(weft_node_set_ints(g->model, node, "scan_input_directions", scans, directions));
  WEFT_TRY(weft_node_set_ints(g->model, node, "scan_output_axes", count - t->carried, own));
  WEFT_TRY(weft_node_set_ints(g->model, node, "scan_output_directions", count - t->carried, ways));
  WEFT_TRY(end(in, count, results));
  return hand_back(g, at, count, targets);
}

static weft_status pass_turns(weft_gradient *g, size_t k, const weft_node *old) {
  const size_t at = g->graph->node_count;
  weft_gradient in;
  weft_node *made;
  turns t;
  size_t recorded;
  void *block;
  const weft_attribute *body = weft_node_attribute(old, "body");
  if (!read_turns(old, body_of(old, "body"), &t)) {
    return weft_term_unknown(&g->term, "");
  }
  WEFT_TRY(weft_graph_add_node(g->model, g->graph, g->term.name, "", "Scan", 0, 0, &made));
  WEFT_TRY(begin(g, at, old, "body", body->graph, &in));
  WEFT_TRY(record(g, k, &t, body->graph, &recorded));
  const weft_node node = g->graph->nodes[k];
  if (t.lead > 0) { /* there is no turn that the condition did not want */
    weft_value *yes;
    const weft_shape scalar = {0, {0}};
    WEFT_TRY(weft_value_new_tensor(g->model->cx, WEFT_BOOL, &scalar, &yes));
    *(uint8_t *)yes->tensor.data = 1;
    weft_slot *condition = &in.graph->values[in.graph->inputs[1]];
    condition->is_input = false;
    weft_value_release(condition->constant);
    weft_slot_set_constant(condition, yes);
  }
  mark_states(g, &node, &t, &in);
  WEFT_TRY(weft_arena_alloc(g->model->cx, &g->model->arena, in.values + t.states + in.graph->input_count + t.yields + 1,
                            sizeof(strand), &block));
  t.strands = block;
  WEFT_TRY(feed(g, &node, &t, recorded, &in));
  WEFT_TRY(weft_gradient_run(&in, SIZE_MAX));
  WEFT_TRY(leave(g, &t, &in));
  return tie(g, at, &t, &in);
}

weft_status weft_gradient_pass_subgraphs(weft_gradient *g, size_t k, bool *out) {
  const weft_node node = g->graph->nodes[k];
  const bool choice = strcmp(node.op_type, "If") == 0;
  bool wanted = false;
  *out = node.domain[0] == 0 && (choice || strcmp(node.op_type, "Loop") == 0 || strcmp(node.op_type, "Scan") == 0);
  for (int o = 0; *out && o < node.output_count; o++) {
    wanted = wanted || has_derivative(g, node.outputs[o]);
  }
  g->term.node = &node;
  return !wanted ? WEFT_OK : choice ? pass_if(g, &node) : pass_turns(g, k, &node);
}
