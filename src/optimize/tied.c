/* A product with the transpose of a constant that something else reads as well, such as a model's last layer with the
 * weights of its embedding, reads the constant where it is. Folding the transposition would keep all of it twice, and
 * packing a third time. A transpose that only the product needs is folded: packed weights are faster for many rows. Of
 * 16 bits the product packs a copy all the same, since reading across rows would widen all of them in every run. */
#include "match.h"

/* The matrix that v is the transpose of, or -1. */
static int32_t find_shared(const weft_graph *graph, const weft_uses *uses, int32_t v) {
  const weft_node *transpose = weft_match_producer(graph, v, "Transpose");
  int32_t from = transpose != NULL ? weft_node_in(transpose, 0) : -1;
  static const weft_type types[] = {WEFT_FLOAT, WEFT_FLOAT16, WEFT_BFLOAT16};
  const weft_tensor *matrix = NULL;
  for (size_t i = 0; matrix == NULL && i < sizeof types / sizeof *types; i++) {
    matrix = weft_match_constant(graph, from, types[i]);
  }
  const weft_attribute *perm = transpose != NULL ? weft_node_attribute(transpose, "perm") : NULL;
  if (matrix == NULL || matrix->shape.rank != 2 || uses->count[from] < 2) {
    return -1;
  }
  bool swaps = perm == NULL ||
               (perm->kind == WEFT_ATTRIBUTE_INTS && perm->count == 2 && perm->ints[0] == 1 && perm->ints[1] == 0);
  return swaps ? from : -1;
}

weft_status weft_pass_tied(weft_pass *pass, weft_graph *graph) {
  weft_uses uses;
  if (weft_op_find("weft", "MatMul") == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_uses_find(pass, graph, &uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    weft_node *node = &graph->nodes[n];
    if (!weft_node_is(node, "MatMul") || weft_node_in(node, 0) < 0) {
      continue;
    }
    int32_t matrix = find_shared(graph, &uses, weft_node_in(node, 1));
    if (matrix >= 0) {
      status = weft_match_become(pass, node, "weft", "MatMul", 2, (int32_t[]){node->inputs[0], matrix});
      status = status == WEFT_OK ? weft_node_set_int(pass->model, node, "transB", 1) : status;
    }
  }
  weft_uses_free(&uses);
  return status;
}
