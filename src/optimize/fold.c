/* Constant folding: a node whose inputs are all constants is evaluated once, here. Folding may make a model larger (a
 * mask of a few bytes expanded to megabytes, 8-bit weights made floats), so all growth of a model together is bounded;
 * a node that cannot be evaluated is left to fail when, and if, it is run. */
#include "pass.h"

enum { SMALL = 1 << 16 };                    /* bytes: folded without counting */
static const size_t max_growth = 64u << 20u; /* bytes, of the whole model */

static size_t bytes_of(const weft_value *value) {
  return value != NULL ? value->tensor.count * weft_type_size(value->tensor.type) : 0;
}

/* The bytes of output v, SIZE_MAX where they are unknown. */
static size_t expected_bytes(const weft_graph *graph, int32_t v) {
  const weft_info *info = &graph->values[v].info;
  weft_shape shape = {.rank = info->rank};
  size_t count;
  if (info->kind != WEFT_KIND_TENSOR || info->rank < 0) {
    return SIZE_MAX;
  }
  for (int d = 0; d < info->rank; d++) {
    shape.dims[d] = info->dims[d];
  }
  return weft_shape_count(&shape, info->type, &count) ? count * weft_type_size(info->type) : SIZE_MAX;
}

/* What folding the node adds to the model at most; false when it must not be folded. */
static bool measure(const weft_pass *pass, const weft_graph *graph, const weft_node *node, size_t *growth) {
  size_t in = 0, out = 0;
  for (int i = 0; i < node->input_count; i++) {
    const weft_value *constant = weft_graph_constant(graph, node->inputs[i]);
    if (node->inputs[i] >= 0 &&
        (constant == NULL || constant->kind != WEFT_KIND_TENSOR || constant->tensor.data == NULL)) {
      return false;
    }
    in += bytes_of(constant);
  }
  for (int i = 0; i < node->output_count; i++) {
    size_t bytes = node->outputs[i] >= 0 ? expected_bytes(graph, node->outputs[i]) : 0;
    /* Sizes that depend on elements (NonZero, Unique ...) are at most a few times those of the input. */
    if (bytes == SIZE_MAX && in > SMALL) {
      return false;
    }
    if (bytes != SIZE_MAX && !weft_add(out, bytes, &out)) {
      return false;
    }
  }
  *growth = out > in && out > SMALL ? out - in : 0;
  return *growth <= max_growth && pass->growth <= max_growth - *growth;
}

static bool may_fold(const weft_node *node) {
  unsigned never = WEFT_OP_NOT_PURE | WEFT_OP_SUBGRAPH;
  return node->def != NULL && (node->def->flags & never) == 0 && node->input_count > 0 && node->output_count > 0;
}

/* A cast to the type of a value that is not constant, but whose type is known. */
static weft_status settle_cast_like(weft_pass *pass, const weft_graph *graph, weft_node *node) {
  if (!weft_node_is(node, "CastLike") || node->input_count != 2 || node->inputs[1] < 0) {
    return WEFT_OK;
  }
  const weft_info *like = &graph->values[node->inputs[1]].info;
  const weft_op_def *cast = weft_op_find("", "Cast");
  if (like->kind != WEFT_KIND_TENSOR || like->type == WEFT_UNDEFINED || cast == NULL) {
    return WEFT_OK;
  }
  node->op_type = "Cast";
  node->def = cast;
  node->version = cast->version;
  node->input_count = 1;
  return weft_node_set_int(pass->model, node, "to", (int64_t)like->type);
}

static weft_status evaluate(weft_pass *pass, weft_graph *graph, weft_node *node, weft_value **inputs,
                            weft_value **outputs) {
  weft_context *cx = pass->model->cx;
  for (int i = 0; i < node->input_count; i++) {
    inputs[i] = weft_graph_constant(graph, node->inputs[i]);
  }
  weft_error *told = cx->error, ignored;
  cx->error = &ignored;
  weft_status status = pass->evaluate(pass->arg, node, inputs, outputs);
  cx->error = told;
  cx->node = NULL;
  return status;
}

static bool all_tensors(const weft_node *node, weft_value *const *outputs) {
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i] >= 0 && (outputs[i] == NULL || outputs[i]->kind != WEFT_KIND_TENSOR)) {
      return false;
    }
  }
  return true;
}

static void replace(weft_graph *graph, weft_uses *uses, weft_node *node, weft_value **outputs) {
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i] >= 0) {
      weft_slot_set_constant(&graph->values[node->outputs[i]], outputs[i]);
    } else {
      weft_value_release(outputs[i]);
    }
  }
  for (int i = 0; i < node->input_count; i++) {
    if (node->inputs[i] >= 0) {
      weft_uses_drop(uses, graph, node->inputs[i]);
    }
  }
  weft_node_remove(node);
}

static weft_status fold(weft_pass *pass, weft_graph *graph, weft_uses *uses, weft_node *node, size_t growth) {
  void *block;
  size_t count = (size_t)node->input_count + (size_t)node->output_count;
  WEFT_TRY(weft_alloc_zeroed(pass->model->cx, count, sizeof(weft_value *), &block));
  weft_value **inputs = block, **outputs = inputs + node->input_count;
  if (evaluate(pass, graph, node, inputs, outputs) == WEFT_OK) {
    if (all_tensors(node, outputs)) {
      pass->growth += growth;
      replace(graph, uses, node, outputs);
    } else {
      for (int i = 0; i < node->output_count; i++) {
        weft_value_release(outputs[i]);
      }
    }
  }
  weft_free(block);
  return WEFT_OK;
}

weft_status weft_pass_fold(weft_pass *pass, weft_graph *graph) {
  weft_uses uses;
  WEFT_TRY(weft_uses_find(pass, graph, &uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    weft_node *node = &graph->nodes[n];
    size_t growth;
    status = settle_cast_like(pass, graph, node);
    if (status == WEFT_OK && may_fold(node) && measure(pass, graph, node, &growth)) {
      status = fold(pass, graph, &uses, node, growth);
    }
  }
  weft_uses_free(&uses);
  weft_graph_compact(graph);
  return status;
}
