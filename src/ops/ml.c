/* What the operators of ai.onnx.ml share. Scores are doubles here, whatever precision they were made in. */
#include "ml.h"
#include "../base/elementary.h"
#include "../kernels/typed.h"

#include <math.h>

weft_status weft_ml_rows(weft_op *op, size_t *rows, size_t *columns) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FEATURE));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 1, 2));
  const weft_shape *shape = &weft_op_in(op, 0)->shape;
  *rows = shape->rank == 2 ? (size_t)shape->dims[0] : 1;
  *columns = (size_t)shape->dims[shape->rank - 1];
  return WEFT_OK;
}

weft_status weft_post_read(weft_op *op, weft_post *out) {
  int post;
  WEFT_TRY(weft_op_choice(op, "post_transform", "NONE SOFTMAX LOGISTIC SOFTMAX_ZERO PROBIT", 0, &post));
  *out = (weft_post)post;
  return WEFT_OK;
}

/* The quantile of the normal distribution by Winitzki's approximation of the inverse error function (2008, a = 0.147),
 * which is what other runtimes give. What is no probability has none: NaN. */
static double probit(double p) {
  double x = 2 * p - 1, rest = weft_log1p(-x * x);
  if (rest == -INFINITY) {
    return x * INFINITY;
  }
  double v = 2 / (3.14159265358979323846 * 0.147) + rest / 2, w = -rest / 0.147;
  return copysign(sqrt(2) * sqrt(w / (sqrt(v * v + w) + v)), x); /* sqrt(v^2 + w) - v without a loss */
}

static double most_of(size_t count, const double *scores) {
  double most = -INFINITY;
  for (size_t i = 0; i < count; i++) {
    most = scores[i] > most ? scores[i] : most;
  }
  return most;
}

/* Every row's sum becomes 1. */
static void normalize(size_t rows, size_t count, double *scores) {
  for (; rows > 0; rows--, scores += count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
      sum += scores[i];
    }
    for (size_t i = 0; i < count; i++) {
      scores[i] = sum == 0 ? 0.5 : scores[i] / sum;
    }
  }
}

static void softmax(size_t rows, size_t count, double *scores) {
  for (size_t row = 0; row < rows; row++) {
    const double most = most_of(count, scores + row * count);
    for (size_t i = 0; i < count; i++) {
      scores[row * count + i] -= most;
    }
  }
  weft_typed_exp(rows * count, scores, scores);
  normalize(rows, count, scores);
}

/* Scores of 0 are left out: they stay 0. */
static void softmax_zero(size_t count, double *scores) {
  const double most = most_of(count, scores);
  for (size_t i = 0; i < count; i++) {
    scores[i] = fabs(scores[i]) <= 1e-7 ? scores[i] * weft_exp(-most) : weft_exp(scores[i] - most);
  }
  normalize(1, count, scores);
}

static void sigmoid(size_t count, double *scores) {
  for (size_t i = 0; i < count; i++) {
    scores[i] = -scores[i];
  }
  weft_typed_exp(count, scores, scores);
  for (size_t i = 0; i < count; i++) {
    scores[i] = 1 / (1 + scores[i]);
  }
}

void weft_post_apply(weft_post post, size_t rows, size_t count, double *scores) {
  if (post == WEFT_POST_SOFTMAX) {
    softmax(rows, count, scores);
  } else if (post == WEFT_POST_LOGISTIC) {
    sigmoid(rows * count, scores);
  }
  for (size_t row = 0; row < rows && post == WEFT_POST_SOFTMAX_ZERO; row++) {
    softmax_zero(count, scores + row * count);
  }
  for (size_t i = 0; i < rows * count && post == WEFT_POST_PROBIT; i++) {
    scores[i] = probit(scores[i]);
  }
}

weft_status weft_labels_read(weft_op *op, const char *ints_name, weft_labels *out) {
  size_t strings, ints;
  *out = (weft_labels){.strings = weft_op_attr_strings(op, "classlabels_strings", &strings),
                       .ints = weft_op_attr_ints(op, ints_name, &ints)};
  if (strings > 0 && ints > 0) {
    return weft_op_fail(op, "classlabels_strings and %s: expected one of them, found both", ints_name);
  }
  if (strings == 0) {
    out->strings = NULL; /* an empty list is none */
  }
  out->count = strings + ints;
  return WEFT_OK;
}

weft_status weft_labels_set_outputs(weft_op *op, const weft_labels *labels, size_t rows, size_t columns) {
  weft_shape label_shape = {1, {(int64_t)rows}}, score_shape = {2, {(int64_t)rows, (int64_t)columns}};
  bool strings = labels->count > 0 && labels->strings != NULL;
  WEFT_TRY(weft_op_set(op, 0, strings ? WEFT_STRING : WEFT_INT64, &label_shape));
  return weft_op_set(op, 1, WEFT_FLOAT, &score_shape);
}

void weft_labels_write(weft_op *op, const weft_labels *labels, size_t row, size_t index) {
  weft_tensor *out = weft_op_out(op, 0);
  if (out == NULL) {
    return;
  }
  if (out->type == WEFT_STRING) {
    ((weft_string *)out->data)[row] = index < labels->count ? labels->strings[index] : (weft_string){"", 0};
  } else {
    ((int64_t *)out->data)[row] = index < labels->count ? labels->ints[index] : (int64_t)index;
  }
}

void weft_scores_write(weft_op *op, size_t row, size_t rows, size_t count, const double *scores) {
  weft_tensor *out = weft_op_out(op, 1);
  if (out != NULL) {
    weft_typed_convert_of(WEFT_DOUBLE, WEFT_FLOAT)(rows * count, scores, (float *)out->data + row * count);
  }
}

size_t weft_best(size_t count, const double *scores) {
  size_t best = 0;
  for (size_t i = 1; i < count; i++) {
    best = scores[i] > scores[best] ? i : best;
  }
  return best;
}
