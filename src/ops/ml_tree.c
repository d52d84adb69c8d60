/* TreeEnsemble and the older TreeEnsembleClassifier and TreeEnsembleRegressor, running. All three walk the flat array
 * of nodes that ml_tree_build.c makes of the attributes once, at load; this file knows nothing of attributes' layout.
 */
#include "ml_tree.h"

#include "../base/convert.h"

#include <math.h>
#include <string.h>

/* Trees that are walked side by side: each step of one waits for its node to arrive. */
enum { ROWS_AT_ONCE = 16, TREES_AT_ONCE = 8 };

static bool is_member(const weft_tree_node *node, const double *sets, double x) {
  for (const double *set = sets + node->set; *set == *set; set++) {
    if (*set == x) {
      return true;
    }
  }
  return false;
}

static bool takes_true(const weft_tree_node *node, const double *sets, double x) {
  switch ((weft_tree_mode)node->mode) {
  case WEFT_TREE_LEQ:
    return x <= node->value;
  case WEFT_TREE_LT:
    return x < node->value;
  case WEFT_TREE_GTE:
    return x >= node->value;
  case WEFT_TREE_GT:
    return x > node->value;
  case WEFT_TREE_EQ:
    return x == node->value;
  case WEFT_TREE_NEQ:
    return x != node->value;
  case WEFT_TREE_MEMBER:
    return is_member(node, sets, x);
  case WEFT_TREE_LEAF:
    break;
  }
  return false;
}

/* Sums are rounded to float after every step when the weights are float: ties against a threshold must fall as they do
 * in the float arithmetic the trees were made for. */
static void aggregate(const weft_trees *trees, const weft_tree_weight *w, double *scores, bool *seen) {
  double *score = &scores[w->target], sum = *score + w->value;
  bool first = !seen[w->target];
  seen[w->target] = true;
  switch ((weft_aggregate)trees->aggregate) {
  case WEFT_AGGREGATE_AVERAGE:
  case WEFT_AGGREGATE_SUM:
    *score = trees->is_double ? sum : (double)(float)sum;
    return;
  case WEFT_AGGREGATE_MIN:
    *score = first || w->value < *score ? w->value : *score;
    return;
  case WEFT_AGGREGATE_MAX:
    *score = first || w->value > *score ? w->value : *score;
    return;
  }
}

/* Scores of one row, base values not yet added. */
static void walk_trees(const weft_trees *trees, const double *row, double *scores, bool *seen) {
  const weft_tree_node *nodes = weft_tree_nodes(trees);
  const weft_tree_weight *weights = weft_tree_weights(trees);
  const int32_t *roots = weft_tree_roots(trees);
  const double *sets = weft_tree_sets(trees);
  memset(scores, 0, trees->targets * sizeof *scores);
  memset(seen, 0, trees->targets * sizeof *seen);
  for (size_t t = 0; t < trees->root_count; t += TREES_AT_ONCE) {
    const size_t count = trees->root_count - t < TREES_AT_ONCE ? trees->root_count - t : TREES_AT_ONCE;
    const weft_tree_node *at[TREES_AT_ONCE];
    for (size_t i = 0; i < count; i++) {
      at[i] = &nodes[roots[t + i]];
    }
    for (bool more = true; more;) {
      more = false;
      for (size_t i = 0; i < count; i++) {
        const weft_tree_node *node = at[i];
        if (node->mode == WEFT_TREE_LEAF) continue;
        const double x = row[node->feature];
        const bool holds = node->mode == WEFT_TREE_LEQ ? x <= node->value : takes_true(node, sets, x);
        const int32_t yes = -(int32_t)(holds | ((x != x) & (node->missing_is_true != 0)));
        at[i] = &nodes[node->no ^ ((node->no ^ node->yes) & yes)]; /* no branch: it could not be foretold */
        more = true;
      }
    }
    for (size_t i = 0; i < count; i++) {
      for (int32_t w = at[i]->yes; w < at[i]->no; w++) {
        aggregate(trees, &weights[w], scores, seen);
      }
    }
  }
  for (size_t i = 0; i < trees->targets && trees->aggregate == WEFT_AGGREGATE_AVERAGE; i++) {
    scores[i] /= (double)trees->root_count;
  }
}

static void add_base(const weft_trees *trees, double *scores) {
  const double *base = weft_tree_base(trees);
  for (size_t i = 0; i < trees->targets && trees->base_count > 0; i++) {
    double sum = scores[i] + base[trees->base_count == 1 ? 0 : i];
    scores[i] = trees->is_double ? sum : (double)(float)sum;
  }
}

/* Rows are walked in parallel; each slot works in its own part of `work`. */
typedef struct tree_job {
  weft_op *op;
  const weft_trees *trees;
  const weft_labels *labels; /* NULL: a regressor */
  size_t columns, score_columns;
  double *work;
  size_t work_size; /* doubles of one slot */
} tree_job;

/* A classifier whose weights all belong to one class of two: its sum is the score of the second class. With weights
 * that are all positive and no transform it is a probability, else it is a margin around 0. */
static size_t finish_binary(const weft_trees *trees, double *scores) {
  bool probability = trees->positive && trees->post == WEFT_POST_NONE;
  double score = scores[trees->only_class];
  const double *base = weft_tree_base(trees);
  if (trees->base_count > 0) {
    score += base[trees->base_count - 1];
  }
  scores[0] = probability ? 1 - score : -score;
  scores[1] = score;
  weft_post_apply((weft_post)trees->post, 1, 2, scores);
  return score > (probability ? 0.5 : 0);
}

static void finish_row(const tree_job *job, size_t row, double *scores) {
  const weft_trees *trees = job->trees;
  size_t best;
  if (job->labels != NULL && trees->binary) {
    best = finish_binary(trees, scores);
  } else {
    add_base(trees, scores);
    best = trees->targets == 1 ? (size_t)(scores[0] > 0) : weft_best(trees->targets, scores);
    weft_post_apply((weft_post)trees->post, 1, trees->targets, scores);
  }
  if (job->labels != NULL) {
    weft_labels_write(job->op, job->labels, row, best);
    weft_scores_write(job->op, row, 1, job->score_columns, scores);
    return;
  }
  weft_tensor *out = weft_op_out(job->op, 0);
  for (size_t i = 0; i < trees->targets; i++) {
    weft_number_set(out->type, out->data, row * trees->targets + i, scores[i]);
  }
}

static void walk_rows(void *arg, uint32_t slot, size_t begin, size_t end) {
  const tree_job *job = arg;
  const weft_tensor *in = weft_op_in(job->op, 0);
  double *features = job->work + slot * job->work_size, *scores = features + job->columns;
  bool *seen = (bool *)(scores + job->trees->targets + 1);
  for (size_t row = begin; row < end; row++) {
    weft_load_double(in->type, in->data, row * job->columns, 1, job->columns, features);
    walk_trees(job->trees, features, scores, seen);
    finish_row(job, row, scores);
  }
}

static weft_status run_trees(weft_op *op, const weft_labels *labels, size_t score_columns) {
  const weft_trees *trees = op->node->state;
  const weft_tensor *in = weft_op_in(op, 0);
  size_t columns = (size_t)in->shape.dims[in->shape.rank - 1],
         rows = in->shape.rank == 2 ? (size_t)in->shape.dims[0] : 1;
  /* Features, scores with room for a second class, and a flag a target. */
  size_t size = columns + trees->targets + 1 + trees->targets / sizeof(double) + 1;
  void *work;
  WEFT_TRY(weft_op_scratch(op, weft_parallel_threads(op->cx) * size * sizeof(double), &work));
  tree_job job = {op, trees, labels, columns, score_columns, work, size};
  weft_parallel_slots(op->cx, rows, ROWS_AT_ONCE, walk_rows, &job);
  return WEFT_OK;
}

/* Every feature that a node asks for must be there. */
static weft_status check_features(weft_op *op, size_t columns) {
  if (op->node->state == NULL) { /* folding comes before the nodes are prepared */
    WEFT_TRY(weft_tree_prepare(op));
  }
  const weft_trees *trees = op->node->state;
  if (trees->features > columns) {
    return weft_op_fail(op, "input X: a tree node reads feature %zu, but rows have %zu features", trees->features - 1,
                        columns);
  }
  return WEFT_OK;
}

weft_status weft_tree_regressor_infer(weft_op *op) {
  size_t rows, columns;
  if (op->def->variant == WEFT_TREE_ENSEMBLE) {
    WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
    WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
    WEFT_TRY(weft_op_expect_rank(op, 0, "X", 2, 2));
    rows = (size_t)weft_op_in(op, 0)->shape.dims[0];
    columns = (size_t)weft_op_in(op, 0)->shape.dims[1];
  } else {
    WEFT_TRY(weft_ml_rows(op, &rows, &columns));
  }
  WEFT_TRY(check_features(op, columns));
  const weft_trees *trees = op->node->state;
  weft_shape shape = {2, {(int64_t)rows, (int64_t)trees->targets}};
  return weft_op_set(op, 0, op->def->variant == WEFT_TREE_ENSEMBLE ? weft_op_in(op, 0)->type : WEFT_FLOAT, &shape);
}

weft_status weft_tree_regressor_run(weft_op *op) {
  return run_trees(op, NULL, 0);
}

weft_status weft_tree_classifier_infer(weft_op *op) {
  size_t rows, columns;
  weft_labels labels;
  WEFT_TRY(weft_ml_rows(op, &rows, &columns));
  WEFT_TRY(check_features(op, columns));
  const weft_trees *trees = op->node->state;
  WEFT_TRY(weft_labels_read(op, "classlabels_int64s", &labels));
  return weft_labels_set_outputs(op, &labels, rows, trees->binary ? 2 : trees->targets);
}

weft_status weft_tree_classifier_run(weft_op *op) {
  const weft_trees *trees = op->node->state;
  weft_labels labels;
  WEFT_TRY(weft_labels_read(op, "classlabels_int64s", &labels));
  return run_trees(op, &labels, trees->binary ? 2 : trees->targets);
}
