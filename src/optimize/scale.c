/* A convolution or Gemm followed by something that scales and shifts each channel by constants (BatchNormalization, a
 * product with one number per channel) does that in its weights and bias instead. The weights are copied: other nodes
 * may read them. */
#include <math.h>
#include <string.h>

#include "match.h"

/* y[c] = scale[c] * x[c] + shift[c]; the arrays share one block. */
typedef struct scaling {
  size_t channels;
  float *scale, *shift;
} scaling;

/* Where an element of the weights finds its output channel. */
typedef struct layout {
  size_t channels;
  size_t outer, inner; /* sizes around the channel axis, of which there are `own` */
  size_t own, groups;  /* channel = group of the outer index x own + index on the axis */
} layout;

static weft_status new_scaling(weft_pass *pass, size_t channels, scaling *out) {
  void *block;
  WEFT_TRY(weft_alloc_zeroed(pass->model->cx, channels, 2 * sizeof(float), &block));
  *out = (scaling){channels, block, (float *)block + channels};
  return WEFT_OK;
}

static bool find_layout(const weft_node *node, const weft_tensor *w, layout *out) {
  const int64_t groups = weft_node_int(node, "group", 1);
  bool transposed = weft_node_is(node, "ConvTranspose"), gemm = weft_node_is(node, "Gemm");
  int axis = transposed || (gemm && weft_node_int(node, "transB", 0) == 0) ? 1 : 0;
  if (w->shape.rank < 2 || (gemm && w->shape.rank != 2) || groups < 1 || w->count == 0) {
    return false;
  }
  *out = (layout){.outer = weft_shape_product(&w->shape, 0, axis),
                  .inner = weft_shape_product(&w->shape, axis + 1, w->shape.rank),
                  .own = (size_t)w->shape.dims[axis],
                  .groups = transposed ? (size_t)groups : 1};
  out->channels = out->own * out->groups;
  return out->outer % out->groups == 0;
}

static weft_status scale_weights(weft_pass *pass, const weft_tensor *w, const layout *l, const scaling *s,
                                 weft_value **out) {
  WEFT_TRY(weft_value_new_tensor(pass->model->cx, WEFT_FLOAT, &w->shape, out));
  const float *from = w->data;
  float *to = (*out)->tensor.data;
  for (size_t i = 0; i < l->outer; i++) {
    size_t first = i / (l->outer / l->groups) * l->own;
    for (size_t c = 0; c < l->own; c++) {
      float factor = s->scale[first + c];
      for (size_t j = 0; j < l->inner; j++) {
        *to++ = *from++ * factor;
      }
    }
  }
  return WEFT_OK;
}

static weft_status shift_bias(weft_pass *pass, const weft_tensor *bias, const scaling *s, weft_value **out) {
  weft_shape shape = {.rank = 1, .dims = {(int64_t)s->channels}};
  WEFT_TRY(weft_value_new_tensor(pass->model->cx, WEFT_FLOAT, &shape, out));
  float *to = (*out)->tensor.data;
  for (size_t c = 0; c < s->channels; c++) {
    float b = bias != NULL ? ((const float *)bias->data)[c] : 0;
    to[c] = b * s->scale[c] + s->shift[c];
  }
  return WEFT_OK;
}

static weft_status rewrite(weft_pass *pass, weft_graph *graph, weft_uses *uses, weft_node *node, const layout *l,
                           const scaling *s) {
  int32_t old = node->inputs[1];
  const weft_tensor *w = weft_match_constant(graph, node->inputs[1], WEFT_FLOAT);
  const weft_tensor *bias = weft_match_constant(graph, weft_node_in(node, 2), WEFT_FLOAT);
  weft_value *weights, *shifted;
  int32_t weights_slot, bias_slot;
  WEFT_TRY(scale_weights(pass, w, l, s, &weights));
  weft_status status = shift_bias(pass, bias, s, &shifted);
  if (status != WEFT_OK) {
    weft_value_release(weights);
    return status;
  }
  status = weft_graph_add_constant(pass->model, graph, "", weights, &weights_slot);
  if (status != WEFT_OK) {
    weft_value_release(shifted);
    return status;
  }
  WEFT_TRY(weft_graph_add_constant(pass->model, graph, "", shifted, &bias_slot));
  node->inputs[1] = weights_slot;
  if ((size_t)old < uses->value_count) { /* else scaled before, and read here alone */
    weft_uses_drop(uses, graph, old);
  } else {
    weft_value_release(graph->values[old].constant);
    graph->values[old].constant = NULL;
  }
  return weft_node_set_input(pass->model, node, 2, bias_slot);
}

static bool is_finite(const scaling *s) {
  for (size_t c = 0; c < s->channels; c++) {
    if (!isfinite(s->scale[c]) || !isfinite(s->shift[c])) {
      return false;
    }
  }
  return true;
}

/* ---- what follows ---------------------------------------------------------------------------- */
static weft_status from_batch_normalization(weft_pass *pass, const weft_graph *graph, const weft_node *node,
                                            size_t channels, scaling *out) {
  const float *p[4];
  if (node->input_count != 5 || node->output_count != 1 || weft_node_int(node, "training_mode", 0) != 0) {
    return WEFT_OK;
  }
  for (int i = 0; i < 4; i++) {
    const weft_tensor *t = weft_match_constant(graph, node->inputs[i + 1], WEFT_FLOAT);
    if (t == NULL || t->count != channels) {
      return WEFT_OK;
    }
    p[i] = t->data;
  }
  const double e = (double)weft_node_float(node, "epsilon", 1e-5f);
  WEFT_TRY(new_scaling(pass, channels, out));
  for (size_t c = 0; c < channels; c++) {
    double scale = (double)p[0][c] / sqrt((double)p[3][c] + e);
    out->scale[c] = (float)scale;
    out->shift[c] = (float)((double)p[1][c] - (double)p[2][c] * scale);
  }
  return WEFT_OK;
}

static weft_status from_product(weft_pass *pass, const weft_graph *graph, const weft_node *node, int32_t in, int rank,
                                size_t channels, scaling *out) {
  const weft_tensor *t = weft_match_constant(graph, weft_match_other(node, in), WEFT_FLOAT);
  if (t == NULL || !weft_match_per_channel(t, channels, rank, 1)) {
    return WEFT_OK;
  }
  WEFT_TRY(new_scaling(pass, channels, out));
  for (size_t c = 0; c < channels; c++) {
    out->scale[c] = ((const float *)t->data)[t->count == 1 ? 0 : c];
  }
  return WEFT_OK;
}

/* ---- the pass -------------------------------------------------------------------------------- */
static bool can_scale(const weft_graph *graph, const weft_node *node, layout *l) {
  bool gemm = weft_node_is(node, "Gemm");
  if (!gemm && !weft_node_is(node, "Conv") && !weft_node_is(node, "ConvTranspose")) {
    return false;
  }
  const weft_tensor *w = weft_match_constant(graph, weft_node_in(node, 1), WEFT_FLOAT);
  int32_t bias = weft_node_in(node, 2);
  const weft_tensor *b = weft_match_constant(graph, bias, WEFT_FLOAT);
  return w != NULL && node->output_count == 1 &&
         (!gemm || (weft_node_float(node, "alpha", 1) == 1.0f && weft_node_float(node, "beta", 1) == 1.0f)) &&
         find_layout(node, w, l) && (bias < 0 || (b != NULL && b->count == l->channels && b->shape.rank == 1));
}

/* Whether something was absorbed, so that the next thing may be. */
static weft_status absorb(weft_pass *pass, weft_graph *graph, weft_uses *uses, weft_node *node, bool *again) {
  layout l;
  *again = false;
  if (!can_scale(graph, node, &l)) {
    return WEFT_OK;
  }
  scaling s = {0};
  int32_t out = node->outputs[0];
  const weft_tensor *w = weft_match_constant(graph, node->inputs[1], WEFT_FLOAT);
  weft_node *next = weft_match_reader(graph, uses, out, "BatchNormalization");
  if (next != NULL && next->inputs[0] == out) {
    WEFT_TRY(from_batch_normalization(pass, graph, next, l.channels, &s));
  } else if ((next = weft_match_reader(graph, uses, out, "Mul")) != NULL) {
    WEFT_TRY(from_product(pass, graph, next, out, w->shape.rank, l.channels, &s));
  }
  if (s.scale == NULL || !is_finite(&s)) {
    weft_free(s.scale);
    return WEFT_OK;
  }
  weft_status status = rewrite(pass, graph, uses, node, &l, &s);
  weft_free(s.scale);
  WEFT_TRY(status);
  node->outputs[0] = next->outputs[0];
  graph->values[node->outputs[0]].producer = (int32_t)(node - graph->nodes);
  weft_node_remove(next);
  *again = true;
  return WEFT_OK;
}

weft_status weft_pass_scale(weft_pass *pass, weft_graph *graph) {
  weft_uses uses;
  WEFT_TRY(weft_uses_find(pass, graph, &uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    bool again = true;
    while (again && status == WEFT_OK) {
      status = absorb(pass, graph, &uses, &graph->nodes[n], &again);
    }
  }
  weft_uses_free(&uses);
  weft_graph_compact(graph);
  return status;
}
