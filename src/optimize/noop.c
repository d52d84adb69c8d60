/* Nodes that hand their input on: Identity, Dropout (only inference is run), casts to the type a value has,
 * transpositions that cancel out, concatenations and sums of one. Readers get the input instead. */
#include "match.h"

typedef struct noop_pass {
  weft_graph *graph;
  weft_uses uses;
  weft_aliases aliases;
} noop_pass;

static bool is_false(const weft_graph *graph, int32_t v) {
  const weft_value *value = weft_graph_constant(graph, v);
  return v < 0 || (value != NULL && value->kind == WEFT_KIND_TENSOR && value->tensor.type == WEFT_BOOL &&
                   value->tensor.count == 1 && ((const bool *)value->tensor.data)[0] == false);
}

static bool is_dropout(const noop_pass *p, const weft_node *node) {
  int32_t mask = weft_node_out(node, 1);
  return weft_node_is(node, "Dropout") && is_false(p->graph, weft_node_in(node, 2)) &&
         (mask < 0 || p->uses.count[mask] == 0);
}

static bool is_cast_to_same(const noop_pass *p, const weft_node *node) {
  weft_type type = weft_match_type(p->graph, node->inputs[0]);
  if (type == WEFT_UNDEFINED) {
    return false;
  }
  if (weft_node_is(node, "Cast")) {
    return node->input_count == 1 && weft_node_int(node, "to", WEFT_UNDEFINED) == (int64_t)type;
  }
  return weft_node_is(node, "CastLike") && node->input_count == 2 && node->inputs[1] >= 0 &&
         weft_match_type(p->graph, node->inputs[1]) == type;
}

static bool is_of_one(const weft_node *node) {
  return node->input_count == 1 &&
         (weft_node_is(node, "Identity") || weft_node_is(node, "Concat") || weft_node_is(node, "Sum") ||
          weft_node_is(node, "Mean") || weft_node_is(node, "Max") || weft_node_is(node, "Min"));
}

/* ---- Transpose ------------------------------------------------------------------------------- */
/* NULL where it is none of the input's axes, which the operator says. */
static const weft_attribute *permutation(const weft_graph *graph, const weft_node *node) {
  const weft_attribute *perm = weft_node_is(node, "Transpose") ? weft_node_attribute(node, "perm") : NULL;
  const int rank = perm != NULL ? graph->values[node->inputs[0]].info.rank : -1;
  if (perm == NULL || perm->kind != WEFT_ATTRIBUTE_INTS || perm->count > WEFT_MAX_RANK ||
      (rank >= 0 && perm->count != (size_t)rank)) {
    return NULL;
  }
  for (size_t i = 0; i < perm->count; i++) {
    if (perm->ints[i] < 0 || perm->ints[i] >= (int64_t)perm->count) {
      return NULL;
    }
  }
  return perm;
}

static bool is_identity(const weft_attribute *perm) {
  for (size_t i = 0; i < perm->count; i++) {
    if (perm->ints[i] != (int64_t)i) {
      return false;
    }
  }
  return true;
}

/* A transposition of a transposition reads the first one's input, permuted by both. */
static weft_status join_transposes(weft_pass *pass, noop_pass *p, weft_node *node) {
  const weft_attribute *outer = permutation(p->graph, node);
  int32_t in = weft_aliases_find(&p->aliases, node->inputs[0]);
  int32_t producer = p->graph->values[in].producer;
  const weft_node *first = producer >= 0 ? &p->graph->nodes[producer] : NULL;
  if (outer == NULL || first == NULL || first->op_type == NULL || weft_node_in(first, 0) < 0) {
    return WEFT_OK;
  }
  const weft_attribute *inner = permutation(p->graph, first);
  if (inner == NULL || inner->count != outer->count) {
    return WEFT_OK;
  }
  int64_t both[WEFT_MAX_RANK];
  for (size_t i = 0; i < outer->count; i++) {
    both[i] = inner->ints[outer->ints[i]];
  }
  node->inputs[0] = first->inputs[0];
  return weft_node_set_ints(pass->model, node, "perm", outer->count, both);
}

static weft_status visit(weft_pass *pass, noop_pass *p, weft_node *node) {
  int32_t out = weft_node_out(node, 0);
  if (weft_node_in(node, 0) < 0 || out < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(join_transposes(pass, p, node));
  const weft_attribute *perm = permutation(p->graph, node);
  bool noop = is_of_one(node) || is_dropout(p, node) || is_cast_to_same(p, node) ||
              (perm != NULL && is_identity(perm) && node->input_count == 1);
  noop = noop && node->output_count <= 1 + weft_node_is(node, "Dropout"); /* of more the operator tells */
  if (noop && weft_aliases_bypass(&p->aliases, p->graph, &p->uses, node->inputs[0], out)) {
    weft_node_remove(node);
  }
  return WEFT_OK;
}

weft_status weft_pass_noop(weft_pass *pass, weft_graph *graph) {
  noop_pass p = {.graph = graph};
  WEFT_TRY(weft_uses_find(pass, graph, &p.uses));
  weft_status status = weft_aliases_create(pass, graph, &p.aliases);
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    status = visit(pass, &p, &graph->nodes[n]);
  }
  if (status == WEFT_OK) {
    weft_graph_compact(graph);
    weft_aliases_apply(&p.aliases, graph);
    weft_graph_number_producers(graph);
  }
  weft_aliases_free(&p.aliases);
  weft_uses_free(&p.uses);
  return status;
}
