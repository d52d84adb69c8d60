/* NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss. The second is the first of a LogSoftmax, which is its
 * second output. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "op.h"

#include <math.h>

typedef struct loss {
  const weft_tensor *scores, *labels, *weights;
  weft_tensor *out, *log_prob;
  size_t classes, spatial, count; /* count: of labels */
  bool cross_entropy, ignores;
  int64_t ignored;
} loss;

enum { NONE, SUM, MEAN };
static weft_status read_reduction(const weft_op *op, int *out) {
  return weft_op_choice(op, "reduction", "none sum mean", MEAN, out);
}

weft_status weft_loss_infer(weft_op *op) {
  char a[96], b[96];
  WEFT_TRY(weft_op_expect_inputs(op, 2, 3));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 2, WEFT_MAX_RANK));
  WEFT_TRY(weft_op_expect_type(op, 1, "target", WEFT_TYPES_INDEX));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 2));
  const weft_tensor *scores = weft_op_in(op, 0), *labels = weft_op_in(op, 1), *weights = weft_op_in(op, 2);
  weft_shape expected = {scores->shape.rank - 1, {scores->shape.dims[0]}}, scalar = {0};
  for (int d = 1; d < expected.rank; d++) {
    expected.dims[d] = scores->shape.dims[d + 1];
  }
  if (!weft_shape_equal(&expected, &labels->shape)) {
    return weft_op_fail(op, "input target: expected shape %s, found %s", weft_shape_print(&expected, a, sizeof a),
                        weft_shape_print(&labels->shape, b, sizeof b));
  }
  if (weights != NULL && (weights->shape.rank != 1 || weights->shape.dims[0] != scores->shape.dims[1])) {
    return weft_op_fail(op, "input weight: expected shape [%lld], found %s", (long long)scores->shape.dims[1],
                        weft_shape_print(&weights->shape, a, sizeof a));
  }
  int kind;
  WEFT_TRY(read_reduction(op, &kind));
  WEFT_TRY(weft_op_set_like(op, 1, scores));
  return weft_op_set(op, 0, scores->type, kind == NONE ? &labels->shape : &scalar);
}

static double at(const weft_tensor *tensor, size_t i) {
  double value;
  weft_load_double(tensor->type, tensor->data, i, 1, 1, &value);
  return value;
}

/* log(softmax(scores))[label] of the row that begins at `base`; keeps the whole row where it is wanted. */
static double log_softmax(const loss *l, size_t base, size_t label) {
  double max = (double)-INFINITY, chosen = 0;
  weft_sum sum = {0};
  for (size_t c = 0; c < l->classes; c++) {
    double v = at(l->scores, base + c * l->spatial);
    max = isnan(v) || v > max ? v : max;
  }
  for (size_t c = 0; c < l->classes; c++) {
    weft_sum_add(&sum, weft_exp(at(l->scores, base + c * l->spatial) - max));
  }
  double log_sum = weft_log(weft_sum_end(&sum));
  for (size_t c = 0; c < l->classes; c++) {
    double v = at(l->scores, base + c * l->spatial) - max - log_sum;
    chosen = c == label ? v : chosen;
    if (l->log_prob != NULL) {
      weft_store_double(l->log_prob->type, &v, 1, l->log_prob->data, base + c * l->spatial, 1);
    }
  }
  return chosen;
}

static weft_status run(weft_op *op, const loss *l) {
  weft_sum total = {0}, weights = {0};
  int kind;
  WEFT_TRY(read_reduction(op, &kind));
  for (size_t i = 0; i < l->count; i++) {
    int64_t label;
    weft_load_int64(l->labels->type, l->labels->data, i, 1, 1, &label);
    bool ignored = l->ignores && label == l->ignored;
    if (!ignored && (label < 0 || (uint64_t)label >= l->classes)) {
      return weft_op_run_fail(op, "element %zu of the labels is %lld, expected one of %zu classes", i, (long long)label,
                              l->classes);
    }
    size_t base = i / l->spatial * l->classes * l->spatial + i % l->spatial, at_class = ignored ? 0 : (size_t)label;
    double value = l->cross_entropy ? log_softmax(l, base, at_class) : 0;
    double weight = ignored ? 0 : l->weights != NULL ? at(l->weights, at_class) : 1;
    if (!ignored && !l->cross_entropy) {
      value = at(l->scores, base + at_class * l->spatial);
    }
    value = ignored ? 0 : -value * weight;
    if (kind == NONE && l->out != NULL) {
      weft_store_double(l->out->type, &value, 1, l->out->data, i, 1);
    }
    weft_sum_add(&total, value);
    weft_sum_add(&weights, weight);
  }
  if (kind != NONE && l->out != NULL) {
    double answer = weft_sum_end(&total) / (kind == MEAN ? weft_sum_end(&weights) : 1);
    weft_store_double(l->out->type, &answer, 1, l->out->data, 0, 1);
  }
  return WEFT_OK;
}

weft_status weft_loss_run(weft_op *op) {
  const weft_tensor *scores = weft_op_in(op, 0);
  loss l = {.scores = scores,
            .labels = weft_op_in(op, 1),
            .weights = weft_op_in(op, 2),
            .out = weft_op_out(op, 0),
            .log_prob = weft_op_out(op, 1),
            .classes = (size_t)scores->shape.dims[1],
            .spatial = weft_shape_product(&scores->shape, 2, scores->shape.rank),
            .count = weft_op_in(op, 1)->count,
            .cross_entropy = op->def->variant == WEFT_LOSS_CROSS_ENTROPY,
            .ignores = weft_node_attribute(op->node, "ignore_index") != NULL,
            .ignored = weft_op_attr_int(op, "ignore_index", 0)};
  return run(op, &l);
}
