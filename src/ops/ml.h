/* What the operators of ai.onnx.ml share: rows of features, class labels, and the transforms that turn scores into
 * probabilities. */
#ifndef WEFT_OPS_ML_H
#define WEFT_OPS_ML_H

#include "number.h"
#include "op.h"

/* Numbered as the post_transform of TreeEnsemble version 5. */
typedef enum weft_post {
  WEFT_POST_NONE,
  WEFT_POST_SOFTMAX,
  WEFT_POST_LOGISTIC,
  WEFT_POST_SOFTMAX_ZERO,
  WEFT_POST_PROBIT
} weft_post;

/* The class labels of a classifier: strings, integers, or neither (then a class is its number). */
typedef struct weft_labels {
  size_t count; /* 0: neither */
  const int64_t *ints;
  const weft_string *strings;
} weft_labels;

/* The element types of features in most ml operators. */
#define WEFT_TYPES_FEATURE                                                                                             \
  (WEFT_TYPE_BIT(WEFT_FLOAT) | WEFT_TYPE_BIT(WEFT_DOUBLE) | WEFT_TYPE_BIT(WEFT_INT64) | WEFT_TYPE_BIT(WEFT_INT32))

/* Rows of features that are scored together. */
enum { WEFT_ML_ROWS = 16 };

/* Input 0 as rows of features: [rows, columns], or one row of rank 1. Checks its type. */
weft_status weft_ml_rows(weft_op *op, size_t *rows, size_t *columns);

weft_status weft_post_read(weft_op *op, weft_post *out);
/* Transforms rows of `count` scores in place. */
void weft_post_apply(weft_post post, size_t rows, size_t count, double *scores);

/* Reads the labels, of which the operator's integer list is called `ints_name`. */
weft_status weft_labels_read(weft_op *op, const char *ints_name, weft_labels *out);
/* Sets output 0 to one label a row and output 1 to `columns` float scores a row. */
weft_status weft_labels_set_outputs(weft_op *op, const weft_labels *labels, size_t rows, size_t columns);
/* Writes label number `index` for a row into output 0, if it is wanted. */
void weft_labels_write(weft_op *op, const weft_labels *labels, size_t row, size_t index);
/* Writes rows of output 1 from `row` on, if it is wanted. */
void weft_scores_write(weft_op *op, size_t row, size_t rows, size_t count, const double *scores);
/* The place of the largest score, the first of equals. */
size_t weft_best(size_t count, const double *scores);

#endif
