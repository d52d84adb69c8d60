/* Compiling tree ensembles: the attributes' parallel lists are checked against each other, children are found by their
 * numbers, weights are gathered leaf by leaf, and a graph with a cycle is refused, so that walking always ends. Both
 * ways of writing trees (nodes named by tree and number; leaves in lists of their own) end in the same block. */
#include "ml_tree.h"
#include "order.h"

#include <math.h>
#include <string.h>

/* A list of numbers that may be given as float attributes or as a tensor. */
typedef struct number_list {
  size_t count;
  weft_type type;
  const void *data;
} number_list;

static number_list read_numbers(const weft_op *op, const char *floats_name, const char *tensor_name) {
  const weft_tensor *tensor = weft_op_attr_tensor(op, tensor_name);
  if (tensor != NULL) {
    return (number_list){tensor->count, tensor->type, tensor->data};
  }
  number_list list = {0, WEFT_FLOAT, NULL};
  list.data = floats_name == NULL ? NULL : weft_op_attr_floats(op, floats_name, &list.count);
  return list;
}

static double number_at(const number_list *list, size_t i) {
  return weft_number_at(list->type, list->data, i);
}

/* An integer list that must have `count` entries, or may be absent when `optional`. */
static weft_status read_ints(weft_op *op, const char *name, size_t count, bool optional, const int64_t **out) {
  size_t found;
  *out = weft_op_attr_ints(op, name, &found);
  if (found != count && !(optional && found == 0)) {
    return weft_op_fail(op, "%s: expected %zu entries, found %zu", name, count, found);
  }
  *out = found == 0 ? NULL : *out;
  return WEFT_OK;
}

static weft_status make_block(weft_op *op, const weft_trees *sizes, weft_trees **out) {
  size_t limit = INT32_MAX / 2;
  if (sizes->node_count > limit || sizes->weight_count > limit || sizes->set_count > limit || sizes->targets > limit ||
      sizes->base_count > limit) {
    return weft_op_unsupported(op, "a tree ensemble of %zu nodes, %zu weights and %zu targets", sizes->node_count,
                               sizes->weight_count, sizes->targets);
  }
  if (sizes->node_count == 0 || sizes->targets == 0) {
    return weft_op_fail(op, "expected at least one tree node and one target");
  }
  size_t bytes = sizeof *sizes + sizes->node_count * (sizeof(weft_tree_node) + sizeof(int32_t)) +
                 sizes->weight_count * sizeof(weft_tree_weight) +
                 (sizes->base_count + sizes->set_count) * sizeof(double);
  void *block;
  WEFT_TRY(weft_op_state(op, bytes, &block));
  *out = block;
  **out = *sizes;
  return WEFT_OK;
}

/* Kahn's algorithm: nodes are taken away once all that lead to them are; what cannot be taken lies on or behind a
 * cycle. */
static weft_status refuse_cycles(weft_op *op, const weft_trees *trees) {
  const weft_tree_node *nodes = weft_tree_nodes(trees);
  void *block;
  WEFT_TRY(weft_op_scratch(op, 2 * trees->node_count * sizeof(int32_t), &block));
  int32_t *entries = block, *ready = entries + trees->node_count;
  size_t taken = 0, found = 0;
  memset(entries, 0, trees->node_count * sizeof *entries);
  for (size_t n = 0; n < trees->node_count; n++) {
    if (nodes[n].mode != WEFT_TREE_LEAF) {
      entries[nodes[n].yes]++;
      entries[nodes[n].no]++;
    }
  }
  for (size_t n = 0; n < trees->node_count; n++) {
    if (entries[n] == 0) {
      ready[found++] = (int32_t)n;
    }
  }
  while (taken < found) {
    const weft_tree_node *node = &nodes[ready[taken++]];
    for (int child = 0; child < 2 && node->mode != WEFT_TREE_LEAF; child++) {
      int32_t next = child == 0 ? node->yes : node->no;
      if (--entries[next] == 0) {
        ready[found++] = next;
      }
    }
  }
  return taken == trees->node_count ? WEFT_OK : weft_op_fail(op, "the tree nodes form a cycle");
}

static weft_status set_feature(weft_op *op, weft_trees *trees, weft_tree_node *node, int64_t feature) {
  if (feature < 0 || feature > INT32_MAX / 2) {
    return weft_op_fail(op, "nodes_featureids: expected at least 0, found %lld", (long long)feature);
  }
  node->feature = (int32_t)feature;
  trees->features = (size_t)feature >= trees->features ? (size_t)feature + 1 : trees->features;
  return WEFT_OK;
}

static void copy_base(const number_list *base, weft_trees *trees) {
  for (size_t i = 0; i < base->count; i++) {
    weft_tree_base(trees)[i] = number_at(base, i);
  }
}

/* ---- nodes named by tree and number: TreeEnsembleRegressor, TreeEnsembleClassifier ------------------------------- */
typedef struct named_nodes {
  size_t count;
  const int64_t *trees, *numbers, *features, *yes, *no, *missing;
  const weft_string *modes;
  number_list values;
  int64_t *order; /* node positions sorted by tree and number */
} named_nodes;

static int compare_name(int64_t tree_a, int64_t number_a, int64_t tree_b, int64_t number_b) {
  if (tree_a != tree_b) {
    return tree_a < tree_b ? -1 : 1;
  }
  return number_a < number_b ? -1 : number_a > number_b;
}

static int compare_nodes(const void *arg, int64_t a, int64_t b) {
  const named_nodes *n = arg;
  return compare_name(n->trees[a], n->numbers[a], n->trees[b], n->numbers[b]);
}

/* The position of node `number` of tree `tree`, or -1. */
static int32_t find_node(const named_nodes *n, int64_t tree, int64_t number) {
  size_t low = 0, high = n->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int64_t at = n->order[middle];
    int order = compare_name(n->trees[at], n->numbers[at], tree, number);
    if (order == 0) {
      return (int32_t)at;
    }
    low = order < 0 ? middle + 1 : low;
    high = order < 0 ? high : middle;
  }
  return -1;
}

static weft_status read_named(weft_op *op, named_nodes *n) {
  size_t modes;
  void *block;
  n->trees = weft_op_attr_ints(op, "nodes_treeids", &n->count);
  WEFT_TRY(read_ints(op, "nodes_nodeids", n->count, false, &n->numbers));
  WEFT_TRY(read_ints(op, "nodes_featureids", n->count, false, &n->features));
  WEFT_TRY(read_ints(op, "nodes_truenodeids", n->count, false, &n->yes));
  WEFT_TRY(read_ints(op, "nodes_falsenodeids", n->count, false, &n->no));
  WEFT_TRY(read_ints(op, "nodes_missing_value_tracks_true", n->count, true, &n->missing));
  n->modes = weft_op_attr_strings(op, "nodes_modes", &modes);
  n->values = read_numbers(op, "nodes_values", "nodes_values_as_tensor");
  if (modes != n->count || n->values.count != n->count || n->count > INT32_MAX / 2) {
    return weft_op_fail(op, "nodes_modes and nodes_values: expected %zu entries, found %zu and %zu", n->count, modes,
                        n->values.count);
  }
  WEFT_TRY(weft_op_scratch(op, 2 * n->count * sizeof(int64_t), &block));
  n->order = block;
  weft_order(n->count, compare_nodes, n, n->order, n->order + n->count);
  for (size_t i = 1; i < n->count; i++) {
    int64_t a = n->order[i - 1], b = n->order[i];
    if (compare_nodes(n, a, b) == 0) {
      return weft_op_fail(op, "node %lld of tree %lld is there twice", (long long)n->numbers[a],
                          (long long)n->trees[a]);
    }
  }
  return WEFT_OK;
}

static weft_status read_mode(weft_op *op, const weft_string *mode, uint8_t *out) {
  static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE",    "BRANCH_GT",
                                      "BRANCH_EQ",  "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF"};
  for (int i = 0; i < 8; i++) {
    if (strlen(names[i]) == mode->size && memcmp(names[i], mode->data, mode->size) == 0 && i != WEFT_TREE_MEMBER) {
      *out = (uint8_t)i;
      return WEFT_OK;
    }
  }
  return weft_op_fail(op, "nodes_modes: %.*s is not a mode", (int)(mode->size < 64 ? mode->size : 64), mode->data);
}

static weft_status build_named(weft_op *op, const named_nodes *n, weft_trees *trees) {
  weft_tree_node *nodes = weft_tree_nodes(trees);
  for (size_t i = 0; i < n->count; i++) {
    weft_tree_node *node = &nodes[i];
    *node = (weft_tree_node){.value = number_at(&n->values, i)};
    WEFT_TRY(read_mode(op, &n->modes[i], &node->mode));
    node->missing_is_true = n->missing != NULL && n->missing[i] != 0;
    if (node->mode == WEFT_TREE_LEAF) {
      continue;
    }
    WEFT_TRY(set_feature(op, trees, node, n->features[i]));
    node->yes = find_node(n, n->trees[i], n->yes[i]);
    node->no = find_node(n, n->trees[i], n->no[i]);
    if (node->yes < 0 || node->no < 0) {
      return weft_op_fail(op, "node %lld of tree %lld branches to nodes %lld and %lld, which are not both there",
                          (long long)n->numbers[i], (long long)n->trees[i], (long long)n->yes[i], (long long)n->no[i]);
    }
  }
  return WEFT_OK;
}

/* The root of a tree is its node that no other leads to; roots stay in the order of the file. */
static weft_status find_roots(weft_op *op, const named_nodes *n, weft_trees *trees) {
  const weft_tree_node *nodes = weft_tree_nodes(trees);
  int32_t *roots = weft_tree_roots(trees);
  void *block;
  WEFT_TRY(weft_op_scratch(op, trees->node_count, &block));
  bool *is_child = block;
  memset(is_child, 0, trees->node_count);
  for (size_t i = 0; i < trees->node_count; i++) {
    if (nodes[i].mode != WEFT_TREE_LEAF) {
      is_child[nodes[i].yes] = is_child[nodes[i].no] = true;
    }
  }
  for (size_t i = 0; i < trees->node_count; i++) {
    if (!is_child[i]) {
      roots[trees->root_count++] = (int32_t)i;
    }
  }
  for (size_t r = 1; r < trees->root_count; r++) {
    if (n->trees[roots[r]] == n->trees[roots[r - 1]]) {
      return weft_op_fail(op, "tree %lld has more than one root", (long long)n->trees[roots[r]]);
    }
  }
  return WEFT_OK;
}

/* Which leaf each weight belongs to, and for which target. */
typedef struct named_weights {
  const int64_t *trees, *numbers, *targets;
  number_list values;
} named_weights;

static weft_status read_weights(weft_op *op, bool classifier, named_weights *w) {
  w->values = classifier ? read_numbers(op, "class_weights", "class_weights_as_tensor")
                         : read_numbers(op, "target_weights", "target_weights_as_tensor");
  size_t count = w->values.count;
  WEFT_TRY(read_ints(op, classifier ? "class_treeids" : "target_treeids", count, false, &w->trees));
  WEFT_TRY(read_ints(op, classifier ? "class_nodeids" : "target_nodeids", count, false, &w->numbers));
  return read_ints(op, classifier ? "class_ids" : "target_ids", count, false, &w->targets);
}

/* Weights are counted leaf by leaf, then each is placed behind those of its leaf that came before it. */
static weft_status build_weights(weft_op *op, const named_nodes *n, const named_weights *w, weft_trees *trees) {
  weft_tree_node *nodes = weft_tree_nodes(trees);
  weft_tree_weight *weights = weft_tree_weights(trees);
  void *block;
  WEFT_TRY(weft_op_scratch(op, w->values.count * sizeof(int32_t), &block));
  int32_t *leaf_of = block, next = 0;
  for (size_t i = 0; i < w->values.count; i++) {
    leaf_of[i] = find_node(n, w->trees[i], w->numbers[i]);
    if (leaf_of[i] < 0 || w->targets[i] < 0 || w->targets[i] >= (int64_t)trees->targets) {
      return weft_op_fail(op, "weight %zu is for target %lld at node %lld of tree %lld; there are %zu targets", i,
                          (long long)w->targets[i], (long long)w->numbers[i], (long long)w->trees[i], trees->targets);
    }
    if (nodes[leaf_of[i]].mode == WEFT_TREE_LEAF) {
      nodes[leaf_of[i]].no++;
    }
  }
  for (size_t i = 0; i < trees->node_count; i++) {
    if (nodes[i].mode == WEFT_TREE_LEAF) {
      int32_t count = nodes[i].no;
      nodes[i].yes = nodes[i].no = next;
      next += count;
    }
  }
  for (size_t i = 0; i < w->values.count; i++) {
    weft_tree_node *leaf = &nodes[leaf_of[i]];
    /* Weights at branches are never met; of a leaf's for an only target the first counts, as in onnxruntime: sklearn-onnx
     * repeats a leaf's number once a class. */
    if (leaf->mode == WEFT_TREE_LEAF && (trees->targets > 1 || leaf->no == leaf->yes)) {
      weights[leaf->no++] = (weft_tree_weight){number_at(&w->values, i), (int32_t)w->targets[i]};
    }
  }
  return WEFT_OK;
}

static void describe_classes(const named_weights *w, weft_trees *trees) {
  trees->positive = true;
  trees->only_class = w->values.count > 0 ? (size_t)w->targets[0] : 0;
  trees->binary = trees->targets == 2;
  for (size_t i = 0; i < w->values.count; i++) {
    trees->positive = trees->positive && number_at(&w->values, i) >= 0;
    trees->binary = trees->binary && w->targets[i] == w->targets[0];
  }
}

static weft_status read_aggregate(weft_op *op, uint8_t *out) {
  int aggregate;
  WEFT_TRY(weft_op_choice(op, "aggregate_function", "AVERAGE SUM MIN MAX", 1, &aggregate));
  *out = (uint8_t)aggregate;
  return WEFT_OK;
}

static weft_status read_target_count(weft_op *op, bool classifier, size_t *out) {
  if (classifier) {
    weft_labels labels;
    WEFT_TRY(weft_labels_read(op, "classlabels_int64s", &labels));
    *out = labels.count;
    return WEFT_OK;
  }
  int64_t targets = weft_op_attr_int(op, "n_targets", 1);
  *out = targets < 0 ? 0 : (size_t)targets;
  return WEFT_OK;
}

static weft_status prepare_named(weft_op *op, bool classifier) {
  named_nodes n;
  named_weights w;
  weft_post post;
  number_list base = read_numbers(op, "base_values", "base_values_as_tensor");
  WEFT_TRY(read_named(op, &n));
  WEFT_TRY(read_weights(op, classifier, &w));
  WEFT_TRY(weft_post_read(op, &post));
  weft_trees sizes = {.node_count = n.count,
                      .weight_count = w.values.count,
                      .base_count = base.count,
                      .post = (uint8_t)post,
                      .is_double = w.values.type == WEFT_DOUBLE,
                      .aggregate = WEFT_AGGREGATE_SUM};
  WEFT_TRY(read_target_count(op, classifier, &sizes.targets));
  if (!classifier) {
    WEFT_TRY(read_aggregate(op, &sizes.aggregate));
  }
  if (base.count > 1 && base.count != sizes.targets) {
    return weft_op_fail(op, "base_values: expected %zu entries, found %zu", sizes.targets, base.count);
  }
  weft_trees *trees;
  WEFT_TRY(make_block(op, &sizes, &trees));
  copy_base(&base, trees);
  if (classifier) {
    describe_classes(&w, trees);
  }
  WEFT_TRY(build_named(op, &n, trees));
  WEFT_TRY(build_weights(op, &n, &w, trees));
  WEFT_TRY(refuse_cycles(op, trees));
  return find_roots(op, &n, trees);
}

/* ---- leaves in lists of their own: TreeEnsemble ------------------------------------------------------------------ */
typedef struct listed_nodes {
  size_t count, leaf_count, root_count;
  const int64_t *features, *yes, *no, *yes_leaf, *no_leaf, *missing, *targets, *roots;
  number_list modes, splits, weights, sets;
} listed_nodes;

static weft_status read_listed(weft_op *op, listed_nodes *n) {
  n->modes = read_numbers(op, NULL, "nodes_modes");
  n->splits = read_numbers(op, NULL, "nodes_splits");
  n->weights = read_numbers(op, NULL, "leaf_weights");
  n->sets = read_numbers(op, NULL, "membership_values");
  n->count = n->modes.count;
  n->leaf_count = n->weights.count;
  n->roots = weft_op_attr_ints(op, "tree_roots", &n->root_count);
  WEFT_TRY(read_ints(op, "nodes_featureids", n->count, false, &n->features));
  WEFT_TRY(read_ints(op, "nodes_truenodeids", n->count, false, &n->yes));
  WEFT_TRY(read_ints(op, "nodes_falsenodeids", n->count, false, &n->no));
  WEFT_TRY(read_ints(op, "nodes_trueleafs", n->count, false, &n->yes_leaf));
  WEFT_TRY(read_ints(op, "nodes_falseleafs", n->count, false, &n->no_leaf));
  WEFT_TRY(read_ints(op, "nodes_missing_value_tracks_true", n->count, true, &n->missing));
  WEFT_TRY(read_ints(op, "leaf_targetids", n->leaf_count, false, &n->targets));
  if (n->splits.count != n->count || n->root_count > n->count || n->root_count == 0) {
    return weft_op_fail(op, "nodes_splits and tree_roots: found %zu and %zu entries for %zu nodes", n->splits.count,
                        n->root_count, n->count);
  }
  return WEFT_OK;
}

/* Where a branch leads in the block, where leaves come after the nodes. */
static weft_status listed_child(weft_op *op, const listed_nodes *n, int64_t to, bool leaf, int32_t *out) {
  size_t limit = leaf ? n->leaf_count : n->count;
  if (to < 0 || (uint64_t)to >= limit) {
    return weft_op_fail(op, "a node branches to %s %lld of %zu", leaf ? "leaf" : "node", (long long)to, limit);
  }
  *out = (int32_t)((leaf ? n->count : 0) + (size_t)to);
  return WEFT_OK;
}

/* Behind the NaN that ends the set at `set`. */
static size_t next_set(const double *sets, size_t set, size_t count) {
  while (set < count && sets[set] == sets[set]) {
    set++;
  }
  return set < count ? set + 1 : count;
}

static weft_status build_listed(weft_op *op, const listed_nodes *n, weft_trees *trees) {
  weft_tree_node *nodes = weft_tree_nodes(trees);
  double *sets = weft_tree_sets(trees);
  size_t set = 0;
  for (size_t i = 0; i < n->sets.count; i++) {
    sets[i] = number_at(&n->sets, i);
  }
  sets[n->sets.count] = NAN;
  for (size_t i = 0; i < n->count; i++) {
    double mode = number_at(&n->modes, i);
    weft_tree_node *node = &nodes[i];
    *node = (weft_tree_node){.value = number_at(&n->splits, i), .set = (int32_t)set};
    if (!(mode >= 0 && mode <= (double)WEFT_TREE_MEMBER)) {
      return weft_op_fail(op, "nodes_modes: entry %zu is not a mode", i);
    }
    node->mode = (uint8_t)mode;
    node->missing_is_true = n->missing != NULL && n->missing[i] != 0;
    WEFT_TRY(set_feature(op, trees, node, n->features[i]));
    WEFT_TRY(listed_child(op, n, n->yes[i], n->yes_leaf[i] != 0, &node->yes));
    WEFT_TRY(listed_child(op, n, n->no[i], n->no_leaf[i] != 0, &node->no));
    if (node->mode == WEFT_TREE_MEMBER) {
      set = next_set(sets, set, n->sets.count);
    }
  }
  return WEFT_OK;
}

static weft_status build_leaves(weft_op *op, const listed_nodes *n, weft_trees *trees) {
  for (size_t i = 0; i < n->leaf_count; i++) {
    if (n->targets[i] < 0 || n->targets[i] >= (int64_t)trees->targets) {
      return weft_op_fail(op, "leaf_targetids: entry %zu is %lld, expected a value below %zu", i,
                          (long long)n->targets[i], trees->targets);
    }
    weft_tree_weights(trees)[i] = (weft_tree_weight){number_at(&n->weights, i), (int32_t)n->targets[i]};
    weft_tree_nodes(trees)[n->count + i] =
        (weft_tree_node){.mode = WEFT_TREE_LEAF, .yes = (int32_t)i, .no = (int32_t)i + 1};
  }
  for (size_t i = 0; i < n->root_count; i++) {
    WEFT_TRY(listed_child(op, n, n->roots[i], false, &weft_tree_roots(trees)[i]));
  }
  return WEFT_OK;
}

static weft_status prepare_listed(weft_op *op) {
  listed_nodes n;
  WEFT_TRY(read_listed(op, &n));
  int64_t aggregate = weft_op_attr_int(op, "aggregate_function", WEFT_AGGREGATE_SUM);
  int64_t post = weft_op_attr_int(op, "post_transform", WEFT_POST_NONE), targets = weft_op_attr_int(op, "n_targets", 1);
  if (aggregate < 0 || aggregate > WEFT_AGGREGATE_MAX || post < 0 || post > WEFT_POST_PROBIT || targets < 1) {
    return weft_op_fail(op, "aggregate_function %lld, post_transform %lld or n_targets %lld is out of range",
                        (long long)aggregate, (long long)post, (long long)targets);
  }
  weft_trees sizes = {.node_count = n.count + n.leaf_count,
                      .weight_count = n.leaf_count,
                      .set_count = n.sets.count + 1,
                      .root_count = n.root_count,
                      .targets = (size_t)targets,
                      .aggregate = (uint8_t)aggregate,
                      .post = (uint8_t)post,
                      .is_double = n.weights.type == WEFT_DOUBLE};
  weft_trees *trees;
  WEFT_TRY(make_block(op, &sizes, &trees));
  WEFT_TRY(build_listed(op, &n, trees));
  WEFT_TRY(build_leaves(op, &n, trees));
  return refuse_cycles(op, trees);
}

weft_status weft_tree_prepare(weft_op *op) {
  if (op->node->state != NULL) { /* made when the graph was interpreted */
    return WEFT_OK;
  }
  bool listed = op->def->variant == WEFT_TREE_ENSEMBLE;
  weft_status status = listed ? prepare_listed(op) : prepare_named(op, op->def->variant == WEFT_TREE_CLASSIFIER);
  if (status == WEFT_OK && *op->misfit != NULL) { /* nobody will read the attributes again */
    status = weft_attribute_refuse(op->cx, *op->misfit);
  }
  if (status != WEFT_OK) { /* folding may ask again: half a state must not pass for a whole one */
    weft_free(op->node->state);
    op->node->state = NULL;
  }
  return status;
}
