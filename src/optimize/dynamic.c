/* Products quantised while running: MatMulInteger -> Cast to float -> times both scales [-> plus bias] becomes
 * MatMulIntegerToFloat, which finishes the sums while they are in the cache. */
#include "match.h"

typedef struct dynamic_pass {
  weft_pass *pass;
  weft_graph *graph;
  weft_uses uses;
} dynamic_pass;

/* Whether v holds one float in every run. */
static bool is_one_float(const weft_graph *graph, int32_t v) {
  const weft_info *info = &graph->values[v].info;
  return info->kind == WEFT_KIND_TENSOR && info->type == WEFT_FLOAT &&
         (info->rank == 0 || (info->rank == 1 && info->dims[0] == 1));
}

/* A constant float vector of that length. */
static bool is_vector(const weft_graph *graph, int32_t v, int64_t length) {
  const weft_tensor *t = weft_match_constant(graph, v, WEFT_FLOAT);
  return t != NULL && t->shape.rank == 1 && t->shape.dims[0] == length;
}

/* A constant float that adds no dimension to a vector. */
static bool is_number(const weft_graph *graph, int32_t v) {
  const weft_tensor *t = weft_match_constant(graph, v, WEFT_FLOAT);
  return is_vector(graph, v, 1) || (t != NULL && t->shape.rank == 0);
}

/* The scales of a and b from their product. */
static bool find_scales(const weft_graph *graph, int32_t v, int64_t columns, int32_t *a, int32_t *b) {
  const weft_node *mul = weft_match_producer(graph, v, "Mul");
  for (int i = 0; mul != NULL && mul->input_count == 2 && i < 2; i++) {
    *a = mul->inputs[i];
    *b = mul->inputs[1 - i];
    if (is_one_float(graph, *a) && (is_number(graph, *b) || is_vector(graph, *b, columns))) {
      return true;
    }
  }
  return false;
}

static weft_status visit(dynamic_pass *p, const weft_node *node) {
  weft_graph *graph = p->graph;
  const weft_info *b = &graph->values[node->inputs[1]].info;
  const weft_node *cast = weft_match_reader(graph, &p->uses, node->outputs[0], "Cast");
  if (cast == NULL || weft_match_type(graph, cast->outputs[0]) != WEFT_FLOAT || b->rank != 2 || b->dims[1] < 1) {
    return WEFT_OK;
  }
  int32_t v = cast->outputs[0], a_scale, b_scale;
  weft_node *scaled = weft_match_reader(graph, &p->uses, v, "Mul");
  if (scaled == NULL || !find_scales(graph, weft_match_other(scaled, v), b->dims[1], &a_scale, &b_scale)) {
    return WEFT_OK;
  }
  weft_node *shifted = weft_match_reader(graph, &p->uses, scaled->outputs[0], "Add");
  int32_t bias = shifted != NULL ? weft_match_other(shifted, scaled->outputs[0]) : -1;
  bool has_bias = is_vector(graph, bias, b->dims[1]);
  const int32_t values[] = {node->inputs[0],       node->inputs[1],       a_scale, b_scale,
                            weft_node_in(node, 2), weft_node_in(node, 3), bias};
  return weft_match_become(p->pass, has_bias ? shifted : scaled, "com.microsoft", "MatMulIntegerToFloat",
                           has_bias ? 7 : 6, values);
}

weft_status weft_pass_dynamic(weft_pass *pass, weft_graph *graph) {
  dynamic_pass p = {.pass = pass, .graph = graph};
  if (weft_op_find("com.microsoft", "MatMulIntegerToFloat") == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_uses_find(pass, graph, &p.uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    const weft_node *node = &graph->nodes[n];
    if (weft_node_is(node, "MatMulInteger") && weft_node_in(node, 0) >= 0 && weft_node_in(node, 1) >= 0 &&
        weft_node_out(node, 0) >= 0) {
      status = visit(&p, node);
    }
  }
  weft_uses_free(&p.uses);
  return status;
}
