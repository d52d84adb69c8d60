/* Transpositions that meet: Transpose, Reshape, Transpose, where the Reshape only joins neighbouring axes and adds or
 * drops axes of one, are one Transpose and then a Reshape, which is a view. If they undo each other, products with a
 * matrix and biases may stand between them. So recurrent layers are written, whose steps come first in ONNX and second
 * in what exports it; a Transpose that is left beside a layer is done as that reads or writes. A Transpose that moves
 * only axes of one is a Reshape. After attention, whose patterns are made of the same nodes. */
#include "match.h"

#include <string.h>

typedef struct turn_pass {
  weft_pass *pass;
  weft_graph *graph;
  weft_uses uses;
} turn_pass;

/* The node's order of axes, or NULL: where it is none, or the node has more inputs, the operator says so. */
static const weft_attribute *permutation(const weft_node *node, int rank) {
  const weft_attribute *perm = weft_node_attribute(node, "perm");
  bool fits = rank > 0 && node->input_count == 1 && perm != NULL && perm->kind == WEFT_ATTRIBUTE_INTS &&
              perm->count == (size_t)rank;
  bool taken[WEFT_MAX_RANK] = {false};
  for (int i = 0; fits && i < rank; i++) {
    const int64_t axis = perm->ints[i];
    fits = axis >= 0 && axis < rank && !taken[axis];
    if (fits) {
      taken[axis] = true;
    }
  }
  return fits ? perm : NULL;
}

static const weft_info *shape_of(const turn_pass *p, int32_t v) {
  const weft_info *info = v >= 0 ? &p->graph->values[v].info : NULL;
  return info != NULL && info->kind == WEFT_KIND_TENSOR && info->rank > 0 ? info : NULL;
}

/* ends[j]: one past the last of the neighbouring axes of `from` that axis j of `to` is made of. An unknown axis is made
 * of itself alone. */
static bool find_runs(const weft_info *from, const weft_info *to, int *ends) {
  int at = 0;
  for (int j = 0; j < to->rank; j++) {
    const int64_t whole = to->dims[j];
    int64_t size = 1;
    for (; at < from->rank && from->dims[at] > 0 && (whole < 0 ? from->dims[at] == 1 : size < whole); at++) {
      if (from->dims[at] > whole / size && whole > 0) {
        return false;
      }
      size *= from->dims[at];
    }
    if (whole < 0 && at < from->rank && from->dims[at] < 0 && to->symbols[j] != NULL &&
        to->symbols[j] == from->symbols[at]) {
      at++;
      size = whole;
    }
    if (size != whole) {
      return false;
    }
    ends[j] = at;
  }
  while (at < from->rank && from->dims[at] == 1)
    at++;
  ends[to->rank - 1] = at;
  return at == from->rank;
}

/* Whether axes that are not of one change their order. */
static bool moves(const weft_info *info, const int64_t *perm) {
  int64_t last = -1;
  for (int i = 0; i < info->rank; i++) {
    if (info->dims[perm[i]] != 1) {
      if (perm[i] < last) {
        return true;
      }
      last = perm[i];
    }
  }
  return false;
}

static void permute(const weft_info *from, const int64_t *perm, weft_info *out) {
  for (int i = 0; i < from->rank; i++) {
    out->dims[i] = from->dims[perm[i]];
    out->symbols[i] = from->symbols[perm[i]];
  }
  out->rank = from->rank;
}

/* The node becomes a Reshape of `in` to its own shape, of which one axis may be unknown. */
static weft_status reshape(turn_pass *p, weft_node *node, const weft_info *to, int32_t in) {
  int32_t shape;
  WEFT_TRY(weft_graph_add_numbers(p->pass->model, p->graph, WEFT_INT64, 1, (size_t)to->rank, to->dims, &shape));
  return weft_match_become(p->pass, node, "", "Reshape", 2, (int32_t[]){in, shape});
}

/* Where a Transpose has its input from: `first`, a Transpose of `v` or a layer, then nodes that make each row along the
 * last axis one of their own, down to `rows`, then views, the last of which is `between`. */
typedef struct source {
  int32_t v, rows;
  weft_node *first, *between; /* or NULL */
  weft_info from;             /* before `perm` is done to it */
  int64_t perm[WEFT_MAX_RANK];
  int64_t both[WEFT_MAX_RANK]; /* perm and the node's own: what is left to be done to `from` */
} source;

static void set_from(source *s, const weft_info *from, const int64_t *perm) {
  s->from = *from;
  memcpy(s->perm, perm, (size_t)from->rank * sizeof *perm);
}

/* Sets `both`; false where the axes that the node permutes are not made of whole ones of `from`. */
static bool join(source *s, const weft_info *in, const int64_t *perm) {
  weft_info turned = {0};
  int ends[WEFT_MAX_RANK], count = 0;
  permute(&s->from, s->perm, &turned);
  if (!find_runs(&turned, in, ends)) {
    return false;
  }
  for (int j = 0; j < in->rank; j++) {
    for (int i = perm[j] > 0 ? ends[perm[j] - 1] : 0; i < ends[perm[j]]; i++) {
      s->both[count++] = s->perm[i];
    }
  }
  return true;
}

static bool is_alone(const turn_pass *p, int32_t v) {
  return v >= 0 && p->uses.count[v] == 1 && !p->uses.is_output[v];
}

static weft_node *view_of(const turn_pass *p, int32_t v) {
  static const char *const views[] = {"Reshape", "Squeeze", "Unsqueeze"};
  weft_node *node = NULL;
  for (size_t i = 0; i < sizeof views / sizeof *views && node == NULL; i++) {
    node = weft_match_producer(p->graph, v, views[i]);
  }
  return node;
}

/* Where the producer of v, a product with a matrix or the addition of a bias, has its rows from; or NULL. */
static int32_t *row_input(const turn_pass *p, int32_t v) {
  weft_node *node = weft_match_producer(p->graph, v, "MatMul");
  if (node != NULL) {
    const weft_info *b = shape_of(p, weft_node_in(node, 1));
    return b != NULL && b->rank == 2 ? &node->inputs[0] : NULL;
  }
  node = weft_match_producer(p->graph, v, "Add");
  for (int i = 0; node != NULL && node->input_count == 2 && i < 2; i++) {
    const weft_value *bias = weft_graph_constant(p->graph, node->inputs[1 - i]);
    if (bias != NULL && bias->kind == WEFT_KIND_TENSOR && bias->tensor.shape.rank <= 1) {
      return &node->inputs[i];
    }
  }
  return NULL;
}

static void skip_views(const turn_pass *p, int32_t in, source *s) {
  *s = (source){.rows = in};
  for (weft_node *view; is_alone(p, s->rows) && (view = view_of(p, s->rows)) != NULL; s->rows = weft_node_in(view, 0)) {
    s->between = s->between == NULL ? view : s->between;
  }
}

static bool find_transpose(const turn_pass *p, source *s) {
  int32_t v = s->rows, *in;
  while (is_alone(p, v) && shape_of(p, v) != NULL && (in = row_input(p, v)) != NULL) {
    v = *in;
  }
  s->first = weft_match_producer(p->graph, v, "Transpose");
  s->v = s->first != NULL ? weft_node_in(s->first, 0) : -1;
  const weft_info *from = shape_of(p, s->v);
  const weft_attribute *perm = from != NULL ? permutation(s->first, from->rank) : NULL;
  if (perm == NULL) {
    return false;
  }
  set_from(s, from, perm->ints);
  const int last = from->rank - 1;
  if (v == s->rows) {
    return true;
  }
  s->from.dims[last] = p->graph->values[s->rows].info.dims[last];
  s->from.symbols[last] = p->graph->values[s->rows].info.symbols[last];
  return is_alone(p, v) && perm->ints[last] == last;
}

/* A Transpose's input, for what reads its output; unused, it is left alone from now on. */
static int32_t read_before(turn_pass *p, const weft_node *transpose) {
  p->uses.count[transpose->inputs[0]] += !is_alone(p, transpose->outputs[0]);
  p->uses.count[transpose->outputs[0]]--;
  return transpose->inputs[0];
}

/* The nodes that make rows do so before the Transpose. */
static void lift_rows(turn_pass *p, const source *s) {
  const size_t outer = (size_t)s->from.rank - 1;
  for (int32_t v = s->rows, *in; (in = row_input(p, v)) != NULL && v != s->first->outputs[0]; v = *in) {
    weft_info *info = &p->graph->values[v].info;
    memcpy(info->dims, s->from.dims, outer * sizeof *info->dims);
    memcpy(info->symbols, s->from.symbols, outer * sizeof *info->symbols);
    if (*in == s->first->outputs[0]) {
      *in = read_before(p, s->first);
      return;
    }
  }
}

/* Whether the node is a recurrent layer whose order of input or result, `which`, is still to be chosen. */
static bool is_layer(const weft_node *node, const char *which) {
  return (weft_node_is(node, "GRU") || weft_node_is(node, "LSTM") || weft_node_is(node, "RNN")) &&
         weft_node_int(node, "layout", 0) == 0 && weft_node_int(node, which, 0) == 0;
}

/* A layer gives [step, direction, batch, unit]: as a Transpose of what it would give batch by batch. */
static bool find_layer(const turn_pass *p, source *s) {
  static const int64_t by_batch[] = {2, 0, 1, 3}, by_step[] = {1, 2, 0, 3};
  const weft_info *y = shape_of(p, s->rows);
  const int32_t producer = is_alone(p, s->rows) ? p->graph->values[s->rows].producer : -1;
  if (producer < 0 || y == NULL || y->rank != 4) {
    return false;
  }
  s->first = &p->graph->nodes[producer];
  set_from(s, y, by_step);
  permute(y, by_batch, &s->from);
  return weft_node_out(s->first, 0) == s->rows && is_layer(s->first, "y_by_batch");
}

/* The node as a Reshape of what comes before a Transpose that it undoes. */
static weft_status undo(turn_pass *p, const source *s, bool of_layer, weft_node *node, const weft_info *to) {
  int32_t from = s->rows;
  if (of_layer) {
    p->graph->values[from].info = s->from;
    WEFT_TRY(weft_node_set_int(p->pass->model, s->first, "y_by_batch", 1));
  } else if (from == s->first->outputs[0]) {
    from = read_before(p, s->first);
  } else {
    lift_rows(p, s);
  }
  return reshape(p, node, to, from);
}

static weft_status visit(turn_pass *p, weft_node *node, bool of_layers) {
  int32_t in = weft_node_in(node, 0);
  const weft_info *info = shape_of(p, in);
  const weft_attribute *last = info != NULL ? permutation(node, info->rank) : NULL;
  weft_info to = {0};
  int unknown = 0;
  if (last == NULL || p->uses.count[node->outputs[0]] == 0) {
    return WEFT_OK;
  }
  permute(info, last->ints, &to);
  for (int i = 0; i < to.rank; i++) {
    unknown += to.dims[i] < 0;
    unknown += to.dims[i] == 0 ? 2 : 0; /* means something else to a Reshape */
  }
  if (unknown > 1) {
    return WEFT_OK;
  }
  if (!moves(info, last->ints)) {
    return reshape(p, node, &to, in);
  }
  source s;
  skip_views(p, in, &s);
  if (!(of_layers ? find_layer(p, &s) : find_transpose(p, &s)) || !join(&s, info, last->ints)) {
    return WEFT_OK;
  }
  if (!moves(&s.from, s.both)) {
    return undo(p, &s, of_layers, node, &to);
  }
  if (of_layers || s.between == NULL || s.rows != s.first->outputs[0] || !is_alone(p, s.rows)) {
    return WEFT_OK;
  }
  permute(&s.from, s.both, &p->graph->values[in].info);
  WEFT_TRY(weft_match_become(p->pass, s.between, "", "Transpose", 1, (int32_t[]){read_before(p, s.first)}));
  WEFT_TRY(weft_node_set_ints(p->pass->model, s.between, "perm", (size_t)s.from.rank, s.both));
  return reshape(p, node, &to, in);
}

/* A layer reads what is left of a Transpose that puts steps first. */
static weft_status visit_layer(turn_pass *p, weft_node *node) {
  const weft_node *first = weft_match_producer(p->graph, weft_node_in(node, 0), "Transpose");
  const weft_attribute *perm = first != NULL ? permutation(first, 3) : NULL;
  if (perm == NULL || perm->ints[0] != 1 || perm->ints[2] != 2 || weft_node_in(first, 0) < 0 ||
      !is_layer(node, "x_by_batch")) {
    return WEFT_OK;
  }
  node->inputs[0] = read_before(p, first);
  return weft_node_set_int(p->pass->model, node, "x_by_batch", 1);
}

weft_status weft_pass_turn(weft_pass *pass, weft_graph *graph) {
  turn_pass p = {.pass = pass, .graph = graph};
  if (weft_op_find("", "Reshape") == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_uses_find(pass, graph, &p.uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < 2 * graph->node_count && status == WEFT_OK; n++) {
    const bool again = n >= graph->node_count; /* what is left, beside layers */
    weft_node *node = &graph->nodes[again ? n - graph->node_count : n];
    if (weft_node_is(node, "Transpose")) {
      status = visit(&p, node, again);
    } else if (again) {
      status = visit_layer(&p, node);
    }
  }
  weft_uses_free(&p.uses);
  return status;
}
