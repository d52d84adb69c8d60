/* Transpositions that meet: Transpose, Reshape, Transpose, where the Reshape only joins neighbouring axes and adds or
 * drops axes of one, are one Transpose and then a Reshape, which is a view. So recurrent layers are written, whose
 * sequences come first in ONNX and second in what exports it. A Transpose that moves only axes of one is a Reshape. After
 * attention, whose patterns are made of the same nodes. */
#include "match.h"

typedef struct turn_pass {
  weft_pass *pass;
  weft_graph *graph;
  weft_uses uses;
} turn_pass;

/* The node's order of axes, or NULL: where it is none, the operator says so. */
static const weft_attribute *permutation(const weft_node *node, int rank) {
  const weft_attribute *perm = weft_node_attribute(node, "perm");
  bool fits = rank > 0 && perm != NULL && perm->kind == WEFT_ATTRIBUTE_INTS && perm->count == (size_t)rank;
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

/* Sets `both` to the permutation of the first Transpose's input that, reshaped, is the last one's output. */
static bool join(const turn_pass *p, const weft_node *first, const weft_node *between, const weft_attribute *last,
                 int64_t *both) {
  const weft_info *from = shape_of(p, first->inputs[0]), *to = shape_of(p, between->outputs[0]);
  const weft_attribute *perm = from != NULL ? permutation(first, from->rank) : NULL;
  weft_info turned = {0};
  int ends[WEFT_MAX_RANK], count = 0;
  if (perm == NULL) {
    return false;
  }
  permute(from, perm->ints, &turned);
  if (!find_runs(&turned, to, ends)) {
    return false;
  }
  for (int j = 0; j < to->rank; j++) {
    int64_t run = last->ints[j];
    for (int i = run > 0 ? ends[run - 1] : 0; i < ends[run]; i++) {
      both[count++] = perm->ints[i];
    }
  }
  return true;
}

static weft_status visit(turn_pass *p, weft_node *node) {
  int32_t in = weft_node_in(node, 0);
  const weft_info *info = shape_of(p, in);
  const weft_attribute *last = info != NULL ? permutation(node, info->rank) : NULL;
  weft_info to = {0};
  int unknown = 0;
  if (last == NULL) {
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
  weft_node *between = weft_match_producer(p->graph, in, "Reshape");
  const weft_node *first =
      between != NULL ? weft_match_producer(p->graph, weft_node_in(between, 0), "Transpose") : NULL;
  int64_t both[WEFT_MAX_RANK];
  if (first == NULL || p->uses.count[in] != 1 || p->uses.is_output[in] || weft_node_in(first, 0) < 0 ||
      !join(p, first, between, last, both)) {
    return WEFT_OK;
  }
  int32_t from = first->inputs[0];
  const weft_info *whole = shape_of(p, from);
  if (!moves(whole, both)) {
    return reshape(p, node, &to, from);
  }
  permute(whole, both, &p->graph->values[in].info);
  WEFT_TRY(weft_match_become(p->pass, between, "", "Transpose", 1, &from));
  WEFT_TRY(weft_node_set_ints(p->pass->model, between, "perm", (size_t)whole->rank, both));
  return reshape(p, node, &to, in);
}

weft_status weft_pass_turn(weft_pass *pass, weft_graph *graph) {
  turn_pass p = {.pass = pass, .graph = graph};
  if (weft_op_find("", "Reshape") == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_uses_find(pass, graph, &p.uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    if (weft_node_is(&graph->nodes[n], "Transpose")) {
      status = visit(&p, &graph->nodes[n]);
    }
  }
  weft_uses_free(&p.uses);
  return status;
}
