/* LinearClassifier and LinearRegressor: scores are products of a row of features with rows of coefficients. */
#include "../base/convert.h"
#include "../kernels/typed.h"
#include "ml.h"
#include "product.h"

typedef struct linear {
  size_t rows, columns, scores;
  const float *coefficients, *intercepts; /* intercepts may be NULL */
} linear;

/* `scores` is 0 where it follows from the coefficients. */
static weft_status read_linear(weft_op *op, size_t scores, linear *out) {
  size_t coefficients, intercepts;
  WEFT_TRY(weft_ml_rows(op, &out->rows, &out->columns));
  out->coefficients = weft_op_attr_floats(op, "coefficients", &coefficients);
  out->intercepts = weft_op_attr_floats(op, "intercepts", &intercepts);
  out->scores = scores > 0 ? scores : out->columns > 0 ? coefficients / out->columns : 0;
  size_t needed;
  if (!weft_mul(out->scores, out->columns, &needed) || needed != coefficients || out->scores == 0) {
    return weft_op_fail(op, "coefficients: %zu do not make rows for %zu features", coefficients, out->columns);
  }
  if (intercepts != 0 && intercepts != out->scores) {
    return weft_op_fail(op, "intercepts: expected %zu, found %zu", out->scores, intercepts);
  }
  out->intercepts = intercepts == 0 ? NULL : out->intercepts;
  return WEFT_OK;
}

/* Scores of `rows` rows, `columns` apart; `features` is room for those of the rows. */
static void score_rows(const weft_op *op, const linear *l, size_t row, size_t rows, size_t columns, double *features,
                       double *scores) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_load_double(in->type, in->data, row * l->columns, 1, rows * l->columns, features);
  for (size_t r = 0; r < rows; r++, scores += columns) {
    for (size_t s = 0; s < l->scores; s++) {
      scores[s] = weft_typed_dot(l->columns, features + r * l->columns, l->coefficients + s * l->columns, false) +
                  (l->intercepts == NULL ? 0 : (double)l->intercepts[s]);
    }
  }
}

/* Room for the features of rows that are scored together, which are followed by their scores, and one more each. */
static weft_status make_room(weft_op *op, const linear *l, double **features, double **scores) {
  void *room;
  const size_t each = l->columns + l->scores + 1;
  WEFT_TRY(weft_op_scratch_array(op, weft_smaller(l->rows, WEFT_ML_ROWS), each * sizeof(double), &room));
  *features = room;
  *scores = *features + weft_smaller(l->rows, WEFT_ML_ROWS) * l->columns;
  return WEFT_OK;
}

weft_status weft_linear_regressor_infer(weft_op *op) {
  linear l;
  weft_post post;
  int64_t targets;
  WEFT_TRY(weft_op_attr_within(op, "targets", 1, 1, INT64_MAX, &targets));
  WEFT_TRY(weft_post_read(op, &post));
  WEFT_TRY(read_linear(op, (size_t)targets, &l));
  weft_shape shape = {2, {(int64_t)l.rows, targets}};
  return weft_op_set(op, 0, WEFT_FLOAT, &shape);
}

weft_status weft_linear_regressor_run(weft_op *op) {
  linear l;
  weft_post post;
  double *features, *scores;
  WEFT_TRY(weft_post_read(op, &post));
  WEFT_TRY(read_linear(op, (size_t)weft_op_attr_int(op, "targets", 1), &l));
  WEFT_TRY(make_room(op, &l, &features, &scores));
  for (size_t row = 0, rows; row < l.rows; row += rows) {
    rows = weft_smaller(l.rows - row, WEFT_ML_ROWS);
    score_rows(op, &l, row, rows, l.scores, features, scores);
    weft_post_apply(post, rows, l.scores, scores);
    weft_store_double(WEFT_FLOAT, scores, rows * l.scores, weft_op_out(op, 0)->data, row * l.scores, 1);
  }
  return WEFT_OK;
}

/* One row of coefficients for two labels scores the second of them; the first gets the opposite. */
static bool is_binary(const linear *l, const weft_labels *labels) {
  return l->scores == 1 && labels->count == 2;
}

weft_status weft_linear_classifier_infer(weft_op *op) {
  linear l;
  weft_labels labels;
  weft_post post;
  WEFT_TRY(weft_post_read(op, &post));
  WEFT_TRY(weft_labels_read(op, "classlabels_ints", &labels));
  WEFT_TRY(read_linear(op, 0, &l));
  if (labels.count > 0 && labels.count != l.scores && l.scores != 1) {
    return weft_op_fail(op, "%zu class labels do not go with %zu rows of coefficients", labels.count, l.scores);
  }
  return weft_labels_set_outputs(op, &labels, l.rows, is_binary(&l, &labels) ? 2 : l.scores);
}

weft_status weft_linear_classifier_run(weft_op *op) {
  linear l;
  weft_labels labels;
  weft_post post;
  double *features, *scores;
  WEFT_TRY(weft_post_read(op, &post));
  WEFT_TRY(weft_labels_read(op, "classlabels_ints", &labels));
  WEFT_TRY(read_linear(op, 0, &l));
  WEFT_TRY(make_room(op, &l, &features, &scores));
  bool binary = is_binary(&l, &labels);
  size_t columns = binary ? 2 : l.scores;
  for (size_t row = 0, rows; row < l.rows; row += rows) {
    rows = weft_smaller(l.rows - row, WEFT_ML_ROWS);
    score_rows(op, &l, row, rows, columns, features, scores);
    for (size_t r = 0; r < rows; r++) {
      double *own = scores + r * columns;
      if (binary) {
        own[1] = own[0];
        own[0] = -own[1];
      }
      weft_labels_write(op, &labels, row + r, columns == 1 ? (size_t)(own[0] > 0) : weft_best(columns, own));
    }
    weft_post_apply(post, rows, columns, scores);
    weft_scores_write(op, row, rows, columns, scores);
  }
  return WEFT_OK;
}
