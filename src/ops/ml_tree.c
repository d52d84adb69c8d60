/* TreeEnsemble and the older TreeEnsembleClassifier and TreeEnsembleRegressor, running. All three walk the flat array
 * of nodes that ml_tree_build.c makes of the attributes once, at load; this file knows nothing of attributes' layout.
 */
#include "ml_tree.h"

#include "../base/convert.h"
#include "product.h"

#include <math.h>
#include <string.h>

/* Walks side by side, of rows or of trees: each step of one waits for its node to arrive. Many rows walk one tree
 * before the next one's nodes take its place in the cache. */
enum { GRAIN = 16 /* rows for a thread */, WALKS = 8, BLOCK = 256 /* rows that walk a tree */, ROOM = 1 << 16 };

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

/* Rows of features, floats or else doubles. */
typedef struct features {
  const void *data;
  bool wide;
  size_t columns;
} features;

/* Takes at[i] from a root to a leaf, for each of `count` walks; walk i reads the features from first[i] on. */
static void walk(const weft_trees *trees, const features *f, size_t count, const size_t *first,
                 const weft_tree_node **at) {
  const weft_tree_node *nodes = weft_tree_nodes(trees);
  const double *sets = weft_tree_sets(trees);
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < count; i++) {
      const weft_tree_node *node = at[i];
      if (node->mode == WEFT_TREE_LEAF) continue;
      const size_t feature = first[i] + (size_t)node->feature;
      const double x = f->wide ? ((const double *)f->data)[feature] : (double)((const float *)f->data)[feature];
      const bool holds = node->mode == WEFT_TREE_LEQ ? x <= node->value : takes_true(node, sets, x);
      const int32_t yes = -(int32_t)(holds | ((x != x) & (node->missing_is_true != 0)));
      at[i] = &nodes[node->no ^ ((node->no ^ node->yes) & yes)]; /* no branch: it could not be foretold */
      more = true;
    }
  }
}

/* Scores of rows, base values not yet added. Every row's weights are added up in the trees' order. */
static void walk_trees(const weft_trees *trees, const features *f, size_t rows, double *scores, bool *seen) {
  const weft_tree_weight *weights = weft_tree_weights(trees);
  const int32_t *roots = weft_tree_roots(trees);
  const size_t targets = trees->targets, trees_at_once = rows < WALKS ? WALKS / rows : 1;
  memset(scores, 0, rows * targets * sizeof *scores);
  memset(seen, 0, rows * targets * sizeof *seen);
  for (size_t t = 0, some; t < trees->root_count; t += some) {
    some = trees->root_count - t < trees_at_once ? trees->root_count - t : trees_at_once;
    for (size_t row = 0, those; row < rows; row += those) {
      those = rows - row < WALKS ? rows - row : WALKS;
      const weft_tree_node *at[WALKS];
      size_t row_of[WALKS], first[WALKS], count = 0;
      for (size_t tree = t; tree < t + some; tree++) {
        for (size_t r = row; r < row + those; r++, count++) {
          row_of[count] = r;
          first[count] = r * f->columns;
          at[count] = &weft_tree_nodes(trees)[roots[tree]];
        }
      }
      walk(trees, f, count, first, at);
      for (size_t i = 0; i < count; i++) {
        for (int32_t w = at[i]->yes; w < at[i]->no; w++) {
          aggregate(trees, &weights[w], scores + row_of[i] * targets, seen + row_of[i] * targets);
        }
      }
    }
  }
  for (size_t i = 0; i < rows * targets && trees->aggregate == WEFT_AGGREGATE_AVERAGE; i++) {
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
  size_t columns;
  double *work;
  size_t work_size; /* doubles of one slot */
  size_t block;     /* rows at once */
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
  return score > (probability ? 0.5 : 0);
}

/* The class of the greatest score, of those that any leaf or a base value scored; the first where nothing did. */
static size_t best_class(const weft_trees *trees, const double *scores, const bool *seen) {
  size_t best = 0;
  for (size_t i = 1; i < trees->targets; i++) {
    const bool scored = trees->base_count > 0 || seen[i], rival = trees->base_count > 0 || seen[best];
    best = scored && (!rival || scores[i] > scores[best]) ? i : best;
  }
  return best;
}

static void finish_rows(const tree_job *job, size_t row, size_t rows, double *scores, const bool *seen) {
  const weft_trees *trees = job->trees;
  const size_t targets = trees->targets;
  for (size_t i = 0; i < rows; i++) {
    double *own = scores + i * targets;
    size_t best;
    if (job->labels != NULL && trees->binary) {
      best = finish_binary(trees, own);
    } else {
      add_base(trees, own);
      best = targets == 1 ? (size_t)(own[0] > 0) : best_class(trees, own, seen + i * targets);
    }
    if (job->labels != NULL) {
      weft_labels_write(job->op, job->labels, row + i, best);
    }
  }
  weft_post_apply((weft_post)trees->post, rows, targets, scores);
  if (job->labels != NULL) {
    weft_scores_write(job->op, row, rows, targets, scores);
  } else {
    weft_tensor *out = weft_op_out(job->op, 0);
    weft_store_double(out->type, scores, rows * targets, out->data, row * targets, 1);
  }
}

static void walk_rows(void *arg, uint32_t slot, size_t begin, size_t end) {
  const tree_job *job = arg;
  const weft_tensor *in = weft_op_in(job->op, 0);
  double *scores = job->work + slot * job->work_size, *room = scores + job->block * job->trees->targets;
  bool *seen = (bool *)(room + job->block * job->columns);
  for (size_t row = begin, rows; row < end; row += rows) {
    rows = end - row < job->block ? end - row : job->block;
    features f = {(const float *)in->data + row * job->columns, in->type != WEFT_FLOAT, job->columns};
    if (f.wide) {
      weft_load_double(in->type, in->data, row * job->columns, 1, rows * job->columns, room);
      f.data = room;
    }
    walk_trees(job->trees, &f, rows, scores, seen);
    finish_rows(job, row, rows, scores, seen);
  }
}

static weft_status run_trees(weft_op *op, const weft_labels *labels) {
  const weft_trees *trees = op->node->state;
  const weft_tensor *in = weft_op_in(op, 0);
  size_t columns = (size_t)in->shape.dims[in->shape.rank - 1],
         rows = in->shape.rank == 2 ? (size_t)in->shape.dims[0] : 1;
  /* Of a row: scores, features, and flags. */
  size_t size = columns + trees->targets + trees->targets / sizeof(double) + 1, block = ROOM / size;
  block = block < WALKS ? WALKS : block < BLOCK ? block : BLOCK;
  block = rows < block ? rows : block;
  void *work;
  WEFT_TRY(weft_op_scratch_array(op, size, (size_t)weft_parallel_threads(op->cx) * block * sizeof(double), &work));
  tree_job job = {op, trees, labels, columns, work, size * block, block};
  weft_parallel_slots(op->cx, rows, GRAIN, walk_rows, &job);
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
  return run_trees(op, NULL);
}

weft_status weft_tree_classifier_infer(weft_op *op) {
  size_t rows, columns;
  weft_labels labels;
  WEFT_TRY(weft_ml_rows(op, &rows, &columns));
  WEFT_TRY(check_features(op, columns));
  const weft_trees *trees = op->node->state;
  WEFT_TRY(weft_labels_read(op, "classlabels_int64s", &labels));
  return weft_labels_set_outputs(op, &labels, rows, trees->targets);
}

weft_status weft_tree_classifier_run(weft_op *op) {
  weft_labels labels;
  WEFT_TRY(weft_labels_read(op, "classlabels_int64s", &labels));
  return run_trees(op, &labels);
}
