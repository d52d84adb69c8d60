/* SVMClassifier and SVMRegressor, after libsvm: kernels against every support vector, then one decision for each pair
 * of classes; with prob_a and prob_b the decisions become probabilities by pairwise coupling (Wu, Lin and Weng 2004,
 * section 3). Without support vectors the coefficients are a linear model (liblinear). */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../kernels/typed.h"
#include "ml.h"
#include "product.h"

#include <math.h>
#include <string.h>

typedef enum kernel_type { KERNEL_LINEAR, KERNEL_POLY, KERNEL_RBF, KERNEL_SIGMOID } kernel_type;

typedef struct svm {
  size_t rows, columns, vectors, classes, pairs;
  kernel_type kernel;
  double gamma, coef0, degree;
  const float *coefficients, *support, *rho, *prob_a, *prob_b;
  const double *turned; /* the support vectors, [columns][vectors], or NULL */
  const int64_t *per_class;
  size_t coefficient_count, rho_count, prob_count;
  weft_post post;
} svm;

static weft_status read_kernel(weft_op *op, svm *s) {
  int kernel;
  size_t count;
  const float *params = weft_op_attr_floats(op, "kernel_params", &count);
  if (count != 0 && count != 3) {
    return weft_op_fail(op, "kernel_params: expected gamma, coef0 and degree, found %zu numbers", count);
  }
  s->gamma = count > 0 ? params[0] : 0;
  s->coef0 = count > 0 ? params[1] : 0;
  s->degree = count > 0 ? params[2] : 0;
  WEFT_TRY(weft_op_choice(op, "kernel_type", "LINEAR POLY RBF SIGMOID", 0, &kernel));
  s->kernel = (kernel_type)kernel;
  return WEFT_OK;
}

/* `vectors` support vectors, all else that both operators have. */
static weft_status read_svm(weft_op *op, size_t vectors, svm *s) {
  size_t support, needed;
  WEFT_TRY(weft_ml_rows(op, &s->rows, &s->columns));
  WEFT_TRY(weft_post_read(op, &s->post));
  WEFT_TRY(read_kernel(op, s));
  s->vectors = vectors;
  s->turned = op->node->state;
  s->coefficients = weft_op_attr_floats(op, "coefficients", &s->coefficient_count);
  s->support = weft_op_attr_floats(op, "support_vectors", &support);
  s->rho = weft_op_attr_floats(op, "rho", &s->rho_count);
  if (!weft_mul(vectors, s->columns, &needed) || (vectors > 0 && needed != support)) {
    return weft_op_fail(op, "support_vectors: expected %zu vectors of %zu features, found %zu numbers", vectors,
                        s->columns, support);
  }
  if (s->rho_count < 1 || s->coefficient_count < 1) {
    return weft_op_fail(op, "rho and coefficients: expected at least one number in each");
  }
  return WEFT_OK;
}

/* Numbers to the power of the degree, by products if it is whole; room for as many follows them. */
static void raise(const svm *s, size_t count, double *x) {
  const double degree = s->degree;
  double *base = x + count;
  if (!(degree >= 1 && degree <= 16 && degree == floor(degree))) {
    for (size_t i = 0; i < count; i++) {
      x[i] = weft_pow(x[i], degree);
    }
    return;
  }
  memcpy(base, x, count * sizeof *x);
  for (int i = 1; i < (int)degree; i++) {
    weft_typed_binary_of(WEFT_TYPED_MUL, WEFT_DOUBLE)(count, x, base, x);
  }
}

/* A row's kernel with each of `count` vectors; `out` has room for twice as many. */
static void compute_kernels(const svm *s, kernel_type type, const double *row, size_t count, const float *vectors,
                            double *out) {
  if (s->turned != NULL) {
    memset(out, 0, count * sizeof *out);
    weft_typed_add_rows(WEFT_DOUBLE, count, s->columns, row, s->turned, count, out);
  }
  for (size_t v = 0; v < count; v++) {
    const double sum =
        s->turned != NULL ? out[v] : weft_typed_dot(s->columns, row, vectors + v * s->columns, type == KERNEL_RBF);
    out[v] = type == KERNEL_LINEAR ? sum
             : type == KERNEL_RBF  ? -s->gamma * sum
             : type == KERNEL_POLY ? s->gamma * sum + s->coef0
                                   : 2 * (s->gamma * sum + s->coef0);
  }
  if (type == KERNEL_POLY) {
    raise(s, count, out);
  }
  if (type == KERNEL_RBF || type == KERNEL_SIGMOID) {
    weft_typed_exp(count, out, out);
  }
  for (size_t v = 0; type == KERNEL_SIGMOID && v < count; v++) { /* the hyperbolic tangent */
    out[v] = 1 - 2 / (out[v] + 1);
  }
}

/* Products with all vectors are taken a feature at a time, so the vectors are turned. Distances are not products. */
weft_status weft_svm_prepare(weft_op *op) {
  svm s;
  size_t vectors = 0, classes, numbers;
  const int64_t *per_class = weft_op_attr_ints(op, "vectors_per_class", &classes);
  const float *support = weft_op_attr_floats(op, "support_vectors", &numbers);
  if (op->def->variant == WEFT_SVM_REGRESSOR) {
    vectors = (size_t)weft_op_attr_int(op, "n_supports", 0);
    classes = 0;
  }
  for (size_t i = 0; i < classes; i++) {
    vectors += (size_t)per_class[i];
  }
  WEFT_TRY(read_kernel(op, &s));
  if (s.kernel == KERNEL_RBF || vectors == 0 || vectors > numbers || numbers % vectors != 0) {
    return WEFT_OK; /* what is wrong is said when it runs */
  }
  void *state;
  WEFT_TRY(weft_op_state(op, numbers * sizeof(double), &state));
  const size_t columns = numbers / vectors;
  for (size_t i = 0; i < numbers; i++) {
    ((double *)state)[i % columns * vectors + i / columns] = (double)support[i];
  }
  return WEFT_OK;
}

/* ---- SVMRegressor ------------------------------------------------------------------------------------------------ */
static weft_status read_regressor(weft_op *op, svm *s) {
  int64_t supports;
  WEFT_TRY(weft_op_attr_within(op, "n_supports", 0, 0, INT32_MAX, &supports));
  WEFT_TRY(read_svm(op, (size_t)supports, s));
  size_t expected = supports > 0 ? (size_t)supports : s->columns;
  if (s->coefficient_count != expected) {
    return weft_op_fail(op, "coefficients: expected %zu, found %zu", expected, s->coefficient_count);
  }
  return WEFT_OK;
}

weft_status weft_svm_regressor_infer(weft_op *op) {
  svm s;
  WEFT_TRY(read_regressor(op, &s));
  weft_shape shape = {2, {(int64_t)s.rows, 1}};
  return weft_op_set(op, 0, WEFT_FLOAT, &shape);
}

weft_status weft_svm_regressor_run(weft_op *op) {
  svm s;
  WEFT_TRY(read_regressor(op, &s));
  bool one_class = weft_op_attr_int(op, "one_class", 0) != 0;
  const weft_tensor *in = weft_op_in(op, 0);
  void *room;
  WEFT_TRY(weft_op_scratch_array(op, s.columns + 2 * s.vectors + 2, sizeof(double), &room));
  double *features = room, *kernels = features + s.columns;
  for (size_t row = 0; row < s.rows; row++) {
    weft_load_double(in->type, in->data, row * s.columns, 1, s.columns, features);
    double sum = s.rho[0];
    if (s.vectors == 0) {
      compute_kernels(&s, s.kernel, features, 1, s.coefficients, kernels);
      sum += *kernels;
    } else {
      compute_kernels(&s, s.kernel, features, s.vectors, s.support, kernels);
      sum += weft_typed_dot(s.vectors, kernels, s.coefficients, false);
    }
    if (one_class) {
      sum = sum > 0 ? 1 : -1;
    } else {
      weft_post_apply(s.post, 1, 1, &sum);
    }
    ((float *)weft_op_out(op, 0)->data)[row] = (float)sum;
  }
  return WEFT_OK;
}

/* ---- SVMClassifier ----------------------------------------------------------------------------------------------- */
static weft_status read_support(weft_op *op, size_t labels, size_t *vectors, svm *s) {
  size_t count;
  const int64_t *per_class = weft_op_attr_ints(op, "vectors_per_class", &count);
  *vectors = 0;
  for (size_t i = 0; i < count; i++) {
    if (per_class[i] < 0 || per_class[i] > INT32_MAX) {
      return weft_op_fail(op, "vectors_per_class: expected numbers of at least 0, entry %zu is %lld", i,
                          (long long)per_class[i]);
    }
    *vectors += (size_t)per_class[i];
    if (*vectors > INT32_MAX) {
      return weft_op_fail(op, "vectors_per_class: expected at most %d vectors in all", INT32_MAX);
    }
  }
  s->per_class = per_class;
  s->classes = *vectors > 0 ? count : labels > 0 ? labels : 1;
  if (*vectors > 0 && labels > 0 && labels != count) {
    return weft_op_fail(op, "vectors_per_class: expected one entry for each of %zu class labels, found %zu", labels,
                        count);
  }
  if (s->classes > INT16_MAX) {
    return weft_op_unsupported(op, "%zu classes, at most %d are supported", s->classes, INT16_MAX);
  }
  s->pairs = s->classes * (s->classes - 1) / 2;
  return WEFT_OK;
}

static weft_status read_classifier(weft_op *op, weft_labels *labels, svm *s) {
  size_t vectors, prob_b;
  WEFT_TRY(weft_labels_read(op, "classlabels_ints", labels));
  WEFT_TRY(read_support(op, labels->count, &vectors, s));
  WEFT_TRY(read_svm(op, vectors, s));
  s->prob_a = weft_op_attr_floats(op, "prob_a", &s->prob_count);
  s->prob_b = weft_op_attr_floats(op, "prob_b", &prob_b);
  size_t expected = vectors > 0 ? (s->classes - 1) * vectors : s->classes * s->columns;
  if (s->coefficient_count != expected) {
    return weft_op_fail(op, "coefficients: expected %zu, found %zu", expected, s->coefficient_count);
  }
  if (vectors > 0 && (s->rho_count < s->pairs || s->pairs == 0)) {
    return weft_op_fail(op, "rho: expected one number for each of %zu pairs of classes, found %zu", s->pairs,
                        s->rho_count);
  }
  if (prob_b != s->prob_count || (s->prob_count != 0 && s->prob_count < s->pairs)) {
    return weft_op_fail(op,
                        "prob_a and prob_b: expected one number in each for %zu pairs of classes, found %zu and %zu",
                        s->pairs, s->prob_count, prob_b);
  }
  s->prob_count = vectors > 0 ? s->prob_count : 0;
  return WEFT_OK;
}

/* How many scores come out: one a class, or one a pair of classes; a single one is given for both classes. */
static size_t raw_scores(const svm *s) {
  return s->vectors > 0 && s->prob_count == 0 ? s->pairs : s->classes;
}

static size_t score_columns(const svm *s, const weft_labels *labels) {
  size_t raw = raw_scores(s);
  return raw == 1 && s->rho_count == 1 && labels->count == 2 ? 2 : raw;
}

weft_status weft_svm_classifier_infer(weft_op *op) {
  svm s;
  weft_labels labels;
  WEFT_TRY(read_classifier(op, &labels, &s));
  return weft_labels_set_outputs(op, &labels, s.rows, score_columns(&s, &labels));
}

/* The decision of every pair of classes, and how many of its pairs each class wins. */
static void decide_pairs(const svm *s, const double *kernels, double *decisions, double *votes) {
  size_t pair = 0, start_i = 0;
  memset(votes, 0, s->classes * sizeof *votes);
  for (size_t i = 0; i < s->classes; i++) {
    size_t count_i = (size_t)s->per_class[i], start_j = start_i + count_i;
    for (size_t j = i + 1; j < s->classes; j++) {
      size_t count_j = (size_t)s->per_class[j];
      double sum = s->rho[pair];
      sum += weft_typed_dot(count_i, kernels + start_i, s->coefficients + (j - 1) * s->vectors + start_i, false);
      sum += weft_typed_dot(count_j, kernels + start_j, s->coefficients + i * s->vectors + start_j, false);
      votes[sum > 0 ? i : j] += 1;
      decisions[pair++] = sum;
      start_j += count_j;
    }
    start_i += count_i;
  }
}

/* One sweep of the coupling's iteration; returns whether p had already settled. */
static bool couple_once(size_t n, const double *q, double *qp, double *p) {
  double pqp = 0, error = 0;
  for (size_t t = 0; t < n; t++) {
    qp[t] = 0;
    for (size_t j = 0; j < n; j++) {
      qp[t] += q[t * n + j] * p[j];
    }
    pqp += p[t] * qp[t];
  }
  for (size_t t = 0; t < n; t++) {
    error = fmax(error, fabs(qp[t] - pqp));
  }
  if (error < 0.005 / (double)n) {
    return true;
  }
  for (size_t t = 0; t < n; t++) {
    double step = (pqp - qp[t]) / q[t * n + t];
    p[t] += step;
    pqp = (pqp + step * (step * q[t * n + t] + 2 * qp[t])) / (1 + step) / (1 + step);
    for (size_t j = 0; j < n; j++) {
      qp[j] = (qp[j] + step * q[t * n + j]) / (1 + step);
      p[j] /= 1 + step;
    }
  }
  return false;
}

/* Class probabilities from pairwise ones. `work` has room for 2 n^2 + n numbers. */
static void couple(const svm *s, const double *decisions, double *work, double *p) {
  size_t n = s->classes, pair = 0;
  double *r = work, *q = work + n * n, *qp = q + n * n;
  for (size_t i = 0; i < n; i++) {
    for (size_t j = i + 1; j < n; j++, pair++) {
      double x = decisions[pair] * s->prob_a[pair] + s->prob_b[pair];
      double probability = fmin(fmax(1 / (1 + weft_exp(x)), 1e-7), 1 - 1e-7);
      r[i * n + j] = probability;
      r[j * n + i] = 1 - probability;
    }
  }
  for (size_t t = 0; t < n; t++) {
    p[t] = 1.0 / (double)n;
    q[t * n + t] = 0;
    for (size_t j = 0; j < n; j++) {
      if (j != t) {
        q[t * n + t] += r[j * n + t] * r[j * n + t];
        q[t * n + j] = -r[j * n + t] * r[t * n + j];
      }
    }
  }
  size_t sweeps = n > 100 ? n : 100;
  for (size_t sweep = 0; sweep < sweeps && !couple_once(n, q, qp, p); sweep++) {
  }
}

typedef struct svm_work {
  double *features, *kernels, *decisions, *votes, *coupling, *scores;
} svm_work;

static weft_status make_work(weft_op *op, const svm *s, svm_work *w) {
  size_t n = s->classes, total = s->columns + 2 * s->vectors + s->pairs + 1 + n +
                                 (s->prob_count > 0 ? 2 * n * n + n : 0) + n + s->pairs + 2;
  void *block;
  WEFT_TRY(weft_op_scratch(op, total * sizeof(double), &block));
  w->features = block;
  w->kernels = w->features + s->columns;
  w->decisions = w->kernels + 2 * s->vectors;
  w->votes = w->decisions + s->pairs + 1;
  w->scores = w->votes + n;
  w->coupling = w->scores + n + s->pairs + 2;
  return WEFT_OK;
}

/* Scores of one row; returns its class. */
static size_t classify(const weft_tensor *in, const svm *s, size_t row, svm_work *w) {
  weft_load_double(in->type, in->data, row * s->columns, 1, s->columns, w->features);
  if (s->vectors == 0) {
    compute_kernels(s, KERNEL_LINEAR, w->features, s->classes, s->coefficients, w->scores);
    for (size_t c = 0; c < s->classes; c++) {
      w->scores[c] += s->rho[0];
    }
    return s->classes == 1 ? (size_t)(w->scores[0] > 0) : weft_best(s->classes, w->scores);
  }
  compute_kernels(s, s->kernel, w->features, s->vectors, s->support, w->kernels);
  decide_pairs(s, w->kernels, w->decisions, w->votes);
  if (s->prob_count > 0) {
    couple(s, w->decisions, w->coupling, w->scores);
  } else {
    memcpy(w->scores, w->decisions, s->pairs * sizeof *w->scores);
  }
  return weft_best(s->classes, w->votes);
}

weft_status weft_svm_classifier_run(weft_op *op) {
  svm s;
  weft_labels labels;
  svm_work w;
  WEFT_TRY(read_classifier(op, &labels, &s));
  WEFT_TRY(make_work(op, &s, &w));
  size_t raw = raw_scores(&s), columns = score_columns(&s, &labels);
  for (size_t row = 0; row < s.rows; row++) {
    size_t best = classify(weft_op_in(op, 0), &s, row, &w);
    if (columns == 2 && raw == 1) {
      w.scores[1] = w.scores[0];
      w.scores[0] = -w.scores[1];
    }
    weft_post_apply(s.post, 1, columns, w.scores);
    weft_labels_write(op, &labels, row, best);
    weft_scores_write(op, row, 1, columns, w.scores);
  }
  return WEFT_OK;
}
