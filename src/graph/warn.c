/* The review of a loaded model: a table of operators, how each is wrong, and in which words. Operators are in their
 * newest form; what only an older form tells is noted by the upgrade. */
#include "warn.h"

#include <string.h>

#include "edit.h"

weft_status weft_model_warn(weft_model *model, const weft_node *node, const char *trouble) {
  for (size_t i = 0; i < model->warning_count; i++) {
    if (strcmp(model->warnings[i].trouble, trouble) == 0) {
      model->warnings[i].count++;
      return WEFT_OK;
    }
  }
  void *items = model->warnings;
  WEFT_TRY(weft_arena_grow(model->cx, &model->arena, &items, &model->warning_capacity, model->warning_count + 1,
                           sizeof *model->warnings));
  model->warnings = items;
  model->warnings[model->warning_count++] =
      (weft_warning){.trouble = trouble, .node = node->name, .op = node->op_type, .count = 1};
  return WEFT_OK;
}

/* ---- what is wrong --------------------------------------------------------------------------- */
/* The one element of a constant input, or NULL. */
static const weft_tensor *constant_scalar(const weft_graph *graph, const weft_node *node, int i) {
  int32_t v = i < node->input_count ? node->inputs[i] : -1;
  const weft_value *value = weft_graph_constant(graph, v);
  return value != NULL && value->kind == WEFT_KIND_TENSOR && value->tensor.count == 1 ? &value->tensor : NULL;
}

/* Weights are no batch: networks without normalisation of their activations (NFNets) standardise their weights, reshaped,
 * with this very operator, and are right to. */
static bool uses_batch_statistics(const weft_graph *graph, const weft_node *node) {
  if (weft_node_int(node, "training_mode", 0) == 0) {
    return false;
  }
  int32_t v = node->input_count != 0 ? node->inputs[0] : -1;
  while (v >= 0 && graph->values[v].producer >= 0) {
    const weft_node *from = &graph->nodes[graph->values[v].producer];
    bool moves = strcmp(from->op_type, "Reshape") == 0 || strcmp(from->op_type, "Identity") == 0;
    v = moves && from->input_count != 0 ? from->inputs[0] : -1;
  }
  return v < 0 || weft_graph_constant(graph, v) == NULL;
}

static bool drops_values(const weft_graph *graph, const weft_node *node) {
  const weft_tensor *ratio = constant_scalar(graph, node, 1), *training = constant_scalar(graph, node, 2);
  bool nothing = ratio != NULL && ratio->type == WEFT_FLOAT && *(const float *)ratio->data == 0;
  return !nothing && training != NULL && training->type == WEFT_BOOL && *(const uint8_t *)training->data != 0;
}

static bool always(const weft_graph *graph, const weft_node *node) {
  (void)graph;
  (void)node;
  return true;
}

static const char no_operator[] =
    "is no operator of ONNX, which its converter did not notice: it runs here, elsewhere it may not";

static const struct {
  const char *op_type;
  bool (*is_wrong)(const weft_graph *graph, const weft_node *node);
  const char *trouble;
} reviews[] = {
    {"BatchNormalization", uses_batch_statistics,
     "uses the mean and variance of each batch, as in training: was the model exported in training mode?"},
    {"Dropout", drops_values, "drops values at random, as in training: was the model exported in training mode?"},
    {"Erfc", always, no_operator},
    {"Expm1", always, no_operator},
    {"Log1p", always, no_operator},
};

static weft_status review_node(weft_model *model, const weft_graph *graph, const weft_node *node) {
  for (size_t r = 0; r < sizeof reviews / sizeof *reviews; r++) {
    if (node->domain[0] == 0 && strcmp(node->op_type, reviews[r].op_type) == 0 && reviews[r].is_wrong(graph, node)) {
      WEFT_TRY(weft_model_warn(model, node, reviews[r].trouble));
    }
  }
  return WEFT_OK;
}

static weft_status review_graph(weft_model *model, const weft_graph *graph) {
  for (size_t n = 0; n < graph->node_count; n++) {
    const weft_node *node = &graph->nodes[n];
    WEFT_TRY(review_node(model, graph, node));
    weft_subgraphs at = {.node = node};
    for (const weft_graph *inner; (inner = weft_subgraphs_next(&at)) != NULL;) {
      WEFT_TRY(review_graph(model, inner));
    }
  }
  return WEFT_OK;
}

/* ---- in which words -------------------------------------------------------------------------- */
/* As an error is worded, so that nodes are named the same way and nothing unprintable is left. */
static weft_status word(weft_model *model, weft_warning *warning) {
  weft_context *cx = model->cx;
  weft_error *errors = cx->error, said;
  cx->error = &said;
  cx->node = warning->node;
  cx->op = warning->op;
  size_t others = warning->count - 1;
  if (others == 0) {
    (void)weft_fail(cx, WEFT_OK, "%s", warning->trouble);
  } else {
    (void)weft_fail(cx, WEFT_OK, "%s (%zu other node%s too)", warning->trouble, others, others == 1 ? "" : "s");
  }
  cx->error = errors;
  cx->node = NULL;
  return weft_arena_copy_string(cx, &model->arena, said.message, strlen(said.message), &warning->sentence);
}

weft_status weft_model_review(weft_model *model) {
  WEFT_TRY(review_graph(model, model->graph));
  for (size_t i = 0; i < model->warning_count; i++) {
    WEFT_TRY(word(model, &model->warnings[i]));
  }
  return WEFT_OK;
}
