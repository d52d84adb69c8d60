/* Tree ensembles compiled for walking: one flat block, made by ml_tree_build.c, read by ml_tree.c. It is the node's
 * state: this struct, then the arrays it counts, one after the other. */
#ifndef WEFT_OPS_ML_TREE_H
#define WEFT_OPS_ML_TREE_H

#include "ml.h"
#include "variants.h"

/* Numbered as the nodes_modes of TreeEnsemble version 5. */
typedef enum weft_tree_mode {
  WEFT_TREE_LEQ,
  WEFT_TREE_LT,
  WEFT_TREE_GTE,
  WEFT_TREE_GT,
  WEFT_TREE_EQ,
  WEFT_TREE_NEQ,
  WEFT_TREE_MEMBER,
  WEFT_TREE_LEAF
} weft_tree_mode;

/* Numbered as its aggregate_function. */
typedef enum weft_aggregate {
  WEFT_AGGREGATE_AVERAGE,
  WEFT_AGGREGATE_SUM,
  WEFT_AGGREGATE_MIN,
  WEFT_AGGREGATE_MAX
} weft_aggregate;

typedef struct weft_tree_node {
  double value;
  int32_t feature;
  int32_t yes, no; /* nodes; of a leaf: its weights [yes, no) */
  int32_t set;     /* WEFT_TREE_MEMBER: where its values begin; they end with a NaN */
  uint8_t mode;    /* weft_tree_mode */
  uint8_t missing_is_true;
} weft_tree_node;

typedef struct weft_tree_weight {
  double value;
  int32_t target;
} weft_tree_weight;

typedef struct weft_trees {
  size_t node_count, weight_count, root_count, base_count, set_count;
  size_t targets;  /* scores of a row */
  size_t features; /* that rows must have */
  size_t only_class;
  uint8_t aggregate, post;
  bool is_double; /* weights are double, and so are sums */
  bool binary;    /* a classifier of two classes with weights for one of them */
  bool positive;  /* no weight is negative */
} weft_trees;

/* Each array begins at a multiple of 8 bytes: doubles first. */
static inline weft_tree_node *weft_tree_nodes(const weft_trees *trees) {
  return (weft_tree_node *)(trees + 1);
}
static inline weft_tree_weight *weft_tree_weights(const weft_trees *trees) {
  return (weft_tree_weight *)(weft_tree_nodes(trees) + trees->node_count);
}
static inline double *weft_tree_base(const weft_trees *trees) {
  return (double *)(weft_tree_weights(trees) + trees->weight_count);
}
static inline double *weft_tree_sets(const weft_trees *trees) {
  return weft_tree_base(trees) + trees->base_count;
}
static inline int32_t *weft_tree_roots(const weft_trees *trees) {
  return (int32_t *)(weft_tree_sets(trees) + trees->set_count);
}

/* Checks the attributes and compiles them into node->state. */
weft_status weft_tree_prepare(weft_op *op);

#endif
