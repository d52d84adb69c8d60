/* Scaled dot product attention that an exporter wrote out becomes one Attention, whose scores never leave the cache:
 *
 *   MatMul(q, transposed k) -> Mul, Div, Add, Where -> Softmax [-> Where(IsNaN, 0, .)] -> MatMul(., v)
 *
 * It is Weft's own, in domain "weft": ONNX's, with inputs from position 7 on that scale it too, of which the last
 * `divisors` divide, with a result of joined heads where `joined` says so, and no mask that is shorter than the keys.
 * The scale may stand on either side of the first product, and in parts. Of several masks, or one that is scaled after
 * it was added, one is made by the nodes that did it to the scores. Queries, keys and values that were cut into heads
 * by Reshape and Transpose are taken uncut, [batch, row, heads x size], which saves copying them; so is the result.
 * Keys and values that were repeated for several heads are taken once. Batch and heads may be one dimension while
 * products and Softmax see them. A row whose scores are all -inf becomes zeros, as the specification of Attention says
 * and the Where asks for. */
#include <math.h>
#include <string.h>

#include "match.h"

enum { MOST_SCALES = 3, MOST_STEPS = 6, OPERANDS = 7, MOST_FACTORS = 8 };

/* What the scores are multiplied with: a number, and values of one element that are known when the model runs. */
typedef struct scaling {
  double number;
  int count, divisors; /* of values; how many of them, from the end of the array, divide */
  int32_t values[MOST_FACTORS];
  bool shared; /* something else reads a value on the way, so that it must stay what it is */
} scaling;

typedef struct attention_pass {
  weft_pass *pass;
  weft_graph *graph;
  weft_uses uses;
  uint32_t *asked; /* per value: how many of its readers ask for its shape */
} attention_pass;

/* What happens to scores on their way to Softmax. */
typedef struct step {
  weft_node *node;
  int scores;                    /* which of the node's inputs they are */
  int32_t mask, factor, divisor; /* the one that the node brings in, the others -1; Where: the condition is the mask */
} step;

typedef struct attention {
  int32_t q, k, v; /* [batch, heads, row, size] or, for each as it may be, [batch, row, heads x size] */
  scaling scale;
  int64_t heads, kv_heads;
  bool once;              /* k is not repeated for several heads, though the product had it so */
  weft_info scores;       /* as [batch, heads, row, key] */
  step steps[MOST_STEPS]; /* from Softmax on to the product */
  int step_count;
  weft_node *turned; /* NULL, or the Transpose that has to give [batch, heads, row, size] instead: k is its output */
  weft_node *last;   /* the result's node */
  bool joined;       /* which makes [batch, row, heads x size] */
} attention;

static const weft_info *info_of(const attention_pass *p, int32_t v) {
  return &p->graph->values[v].info;
}

static int rank_of(const attention_pass *p, int32_t v) {
  const weft_info *info = info_of(p, v);
  return v >= 0 && info->kind == WEFT_KIND_TENSOR && info->type == WEFT_FLOAT ? info->rank : -1;
}

static bool same_dim(const weft_info *a, int i, const weft_info *b, int j) {
  if (a->dims[i] >= 0 || b->dims[j] >= 0) {
    return a->dims[i] == b->dims[j];
  }
  return a->symbols[i] != NULL && a->symbols[i] == b->symbols[j];
}

static bool has_permutation(const weft_node *node, int rank, const int64_t *expected) {
  const weft_attribute *perm = node != NULL ? weft_node_attribute(node, "perm") : NULL;
  return perm != NULL && perm->kind == WEFT_ATTRIBUTE_INTS && perm->count == (size_t)rank &&
         memcmp(perm->ints, expected, (size_t)rank * sizeof *expected) == 0;
}

static const int64_t swap_heads[] = {0, 2, 1, 3}, swap_last[] = {0, 1, 3, 2}, swap_last_of_3[] = {0, 2, 1},
                     heads_and_last[] = {0, 2, 3, 1};

static bool is_read_once(const attention_pass *p, int32_t v) {
  return p->uses.count[v] == 1 && !p->uses.is_output[v];
}

/* ---- the products' operands ------------------------------------------------------------------ */
static bool is_one_float(const attention_pass *p, int32_t v) {
  const int rank = rank_of(p, v);
  return rank == 0 || (rank == 1 && info_of(p, v)->dims[0] == 1);
}

static bool add_factor(const attention_pass *p, int32_t v, bool divides, scaling *scale) {
  float number;
  if (weft_match_scalar(p->graph, v, &number)) {
    const double product = divides ? scale->number / (double)number : scale->number * (double)number;
    scale->number = isfinite(product) ? product : scale->number;
    return isfinite(product); /* else masked scores are numbers again, which no sum with a mask makes them */
  }
  if (v < 0 || !is_one_float(p, v) || scale->count == MOST_FACTORS) {
    return false;
  }
  scale->values[divides ? MOST_FACTORS - 1 - scale->divisors++ : scale->count - scale->divisors] = v;
  scale->count++;
  return true;
}

/* Looks through products with one number and quotients by one, which may have had more dimensions than what they
 * scale. */
static int32_t skip_scales(const attention_pass *p, int32_t v, scaling *scale) {
  for (int n = 0; n < MOST_SCALES; n++) {
    const weft_node *mul = weft_match_producer(p->graph, v, "Mul"), *div = weft_match_producer(p->graph, v, "Div");
    const weft_node *node = mul != NULL ? mul : div;
    const int operands = node == NULL || node->input_count != 2 ? 0 : node == mul ? 2 : 1;
    int i = 0;
    while (i < operands &&
           (rank_of(p, node->inputs[i]) != rank_of(p, v) || !add_factor(p, node->inputs[1 - i], node == div, scale))) {
      i++;
    }
    if (i == operands) {
      break;
    }
    scale->shared = scale->shared || !is_read_once(p, v);
    v = node->inputs[i];
  }
  return v;
}

/* [batch, row, heads x size] for a value [batch, row, heads, size] that is cut from it, or -1. */
static int32_t uncut(const attention_pass *p, int32_t v) {
  const weft_node *reshape = weft_match_producer(p->graph, v, "Reshape");
  int32_t from = reshape != NULL ? weft_node_in(reshape, 0) : -1;
  if (from < 0 || rank_of(p, from) != 3 || rank_of(p, v) != 4) {
    return -1;
  }
  const weft_info *a = info_of(p, from), *b = info_of(p, v);
  bool fits = same_dim(a, 0, b, 0) && same_dim(a, 1, b, 1) && b->dims[2] > 0 && b->dims[3] > 0 &&
              b->dims[2] < INT32_MAX && b->dims[3] < INT32_MAX && a->dims[2] == b->dims[2] * b->dims[3];
  return fits ? from : -1;
}

/* The same for a value [batch, heads, row, size]. */
static int32_t rows_of(const attention_pass *p, int32_t v) {
  const weft_node *transpose = weft_match_producer(p->graph, v, "Transpose");
  return has_permutation(transpose, 4, swap_heads) ? uncut(p, transpose->inputs[0]) : -1;
}

/* [batch, heads, row, size] for a value [batch, heads, several, row, size] that repeats it, `all` heads together; or
 * -1. */
static int32_t repeated_in(const attention_pass *p, int32_t v, int64_t all) {
  const weft_node *expand = weft_match_producer(p->graph, v, "Expand");
  int32_t inserted = expand != NULL ? expand->inputs[0] : -1;
  const weft_node *insert = weft_match_producer(p->graph, inserted, "Unsqueeze");
  insert = insert == NULL ? weft_match_producer(p->graph, inserted, "Reshape") : insert;
  int32_t from = insert != NULL ? weft_node_in(insert, 0) : -1;
  if (from < 0 || rank_of(p, from) != 4 || rank_of(p, inserted) != 5 || rank_of(p, v) != 5) {
    return -1;
  }
  const weft_info *k = info_of(p, from), *one = info_of(p, inserted), *many = info_of(p, v);
  static const int places[] = {0, 1, 3, 4};
  for (int d = 0; d < 4; d++) {
    if (!same_dim(k, d, one, places[d]) || !same_dim(k, d, many, places[d])) {
      return -1;
    }
  }
  bool fits = one->dims[2] == 1 && k->dims[1] > 0 && k->dims[1] < INT32_MAX && many->dims[2] > 0 &&
              many->dims[2] < INT32_MAX && all == k->dims[1] * many->dims[2];
  return fits ? from : -1;
}

/* Transposing by way of three dimensions, as PyTorch exports it; what is made three may also be repeated heads. */
static bool find_through_three(const attention_pass *p, int32_t v, attention *out) {
  const weft_node *back = weft_match_producer(p->graph, v, "Reshape");
  const weft_node *transpose = back != NULL ? weft_match_producer(p->graph, weft_node_in(back, 0), "Transpose") : NULL;
  const weft_node *there = transpose != NULL ? weft_match_producer(p->graph, transpose->inputs[0], "Reshape") : NULL;
  int32_t k = there != NULL ? weft_node_in(there, 0) : -1;
  if (!has_permutation(transpose, 3, swap_last_of_3) || k < 0 || rank_of(p, there->outputs[0]) != 3) {
    return false;
  }
  const weft_info *b = info_of(p, there->outputs[0]), *c = info_of(p, v);
  out->once = rank_of(p, k) == 5;
  out->k = out->once ? repeated_in(p, k, c->dims[1]) : rank_of(p, k) == 4 ? k : -1;
  if (out->k < 0) {
    return false;
  }
  const weft_info *a = info_of(p, out->k);
  return same_dim(a, 2, b, 1) && same_dim(a, 3, b, 2) && same_dim(a, 0, c, 0) && (out->once || same_dim(a, 1, c, 1)) &&
         same_dim(a, 2, c, 3) && same_dim(a, 3, c, 2);
}

/* Sets k from its transpose, [batch, heads, size, row]. */
static bool find_keys(const attention_pass *p, int32_t v, attention *out) {
  weft_node *transpose = weft_match_producer(p->graph, v, "Transpose");
  if (has_permutation(transpose, 4, swap_last)) {
    out->k = transpose->inputs[0];
    return true;
  }
  if (has_permutation(transpose, 4, heads_and_last)) {
    int32_t rows = uncut(p, transpose->inputs[0]);
    out->turned = rows < 0 && is_read_once(p, v) && !out->scale.shared ? transpose : NULL;
    out->k = rows >= 0 ? rows : out->turned != NULL ? v : -1;
    return out->k >= 0;
  }
  return find_through_three(p, v, out);
}

/* [batch, heads, row, size] for a value [batch x heads, row, size] that is made of it, or -1. */
static int32_t unmerged(const attention_pass *p, int32_t v) {
  const weft_node *reshape = weft_match_producer(p->graph, v, "Reshape");
  int32_t from = reshape != NULL ? weft_node_in(reshape, 0) : -1;
  if (from < 0 || rank_of(p, from) != 4 || rank_of(p, v) != 3) {
    return -1;
  }
  const weft_info *a = info_of(p, from), *b = info_of(p, v);
  return a->dims[1] > 0 && same_dim(a, 2, b, 1) && same_dim(a, 3, b, 2) ? from : -1;
}

/* The same for a value [batch, several x heads, row, size] in which every head follows itself. */
static int32_t repeated_from(const attention_pass *p, int32_t v) {
  const weft_node *join = weft_match_producer(p->graph, v, "Reshape");
  int32_t from =
      join != NULL && rank_of(p, v) == 4 ? repeated_in(p, weft_node_in(join, 0), info_of(p, v)->dims[1]) : -1;
  const weft_info *k = from >= 0 ? info_of(p, from) : NULL, *all = info_of(p, v);
  return k != NULL && same_dim(k, 0, all, 0) && same_dim(k, 2, all, 2) && same_dim(k, 3, all, 3) ? from : -1;
}

/* ---- from the first product to Softmax ------------------------------------------------------- */
/* Whether a value broadcasts to the scores and leaves them their shape. Where batch and heads are one dimension it may
 * have no size along either. */
static bool suits_scores(const weft_info *a, const weft_info *scores, bool merged) {
  for (int d = 0; d < a->rank; d++) {
    const int to = 4 - a->rank + d;
    if (a->dims[d] != 1 && (to < 0 || (merged && to < 2) || !same_dim(a, d, scores, to))) {
      return false;
    }
  }
  return a->kind == WEFT_KIND_TENSOR && a->rank >= 0 && a->rank <= 4;
}

/* A number that leaves nothing of what is added to it, nor of a weight beside others: -inf or the least floats. */
static bool hides(const attention_pass *p, int32_t v) {
  float number;
  return weft_match_scalar(p->graph, v, &number) && number < -1e37f;
}

/* A mask before it was expanded, unless along the keys. */
static int32_t unexpanded(const attention_pass *p, int32_t mask) {
  const weft_node *expand = weft_match_producer(p->graph, mask, "Expand");
  if (expand == NULL) {
    return mask;
  }
  const weft_info *a = info_of(p, expand->inputs[0]), *b = info_of(p, mask);
  return a->rank > 0 && b->rank > 0 && same_dim(a, a->rank - 1, b, b->rank - 1) ? expand->inputs[0] : mask;
}

/* Whether a node may pass on its input i as scores, and how. */
static bool find_step(const attention_pass *p, weft_node *node, int i, step *out) {
  const int32_t other = node->input_count == 2 ? node->inputs[1 - i] : -1;
  *out = (step){.node = node, .scores = i, .mask = -1, .factor = -1, .divisor = -1};
  if (weft_node_is(node, "Reshape")) {
    return i == 0;
  }
  if (weft_node_is(node, "Where") && node->input_count == 3 && i != 0 && hides(p, node->inputs[3 - i])) {
    out->mask = unexpanded(p, node->inputs[0]);
  } else if (weft_node_is(node, "Add")) {
    out->mask = unexpanded(p, other);
  } else if (weft_node_is(node, "Mul")) {
    out->factor = other;
  } else if (weft_node_is(node, "Div") && i == 0) {
    out->divisor = other;
  }
  return out->mask >= 0 || out->factor >= 0 || out->divisor >= 0;
}

/* The same, but for nodes that ask for its shape: they need no more than that the node which makes it is still there. */
static bool is_read_once_or_asked(const attention_pass *p, int32_t v) {
  return p->uses.count[v] == 1 + p->asked[v] && !p->uses.is_output[v];
}

/* The first product; fills in the steps to v, which is read once. */
static weft_node *find_product(const attention_pass *p, int32_t v, attention *out) {
  weft_node *product = weft_match_producer(p->graph, v, "MatMul");
  int32_t producer = v >= 0 ? p->graph->values[v].producer : -1;
  if (product != NULL) {
    return is_read_once_or_asked(p, v) ? product : NULL;
  }
  if (v < 0 || !is_read_once(p, v) || producer < 0 || out->step_count == MOST_STEPS) {
    return NULL;
  }
  weft_node *node = &p->graph->nodes[producer];
  for (int i = 0; i < node->input_count && i < 3 && product == NULL; i++) {
    if (find_step(p, node, i, &out->steps[out->step_count])) {
      out->step_count++;
      product = find_product(p, node->inputs[i], out);
      out->step_count -= product == NULL;
    }
  }
  return product;
}

/* Whether a step leaves scores as many as they are, and batch and heads at most one dimension or two again. */
static bool keeps_shape(const attention_pass *p, const step *s, const weft_info *scores) {
  const int32_t in = s->node->inputs[s->scores], out = s->node->outputs[0];
  const weft_info *from = info_of(p, in), *to = info_of(p, out);
  const int rank = rank_of(p, out);
  if ((rank != 3 && rank != 4) || !same_dim(to, rank - 1, scores, 3) || !same_dim(to, rank - 2, scores, 2)) {
    return false;
  }
  return rank == 4 ? same_dim(to, 0, scores, 0) && same_dim(to, 1, scores, 1)
                   : from->rank == 4 || same_dim(to, 0, from, 0);
}

/* Whether the steps do what they may, now that the scores' sizes are known. */
static bool check_steps(const attention_pass *p, attention *out) {
  bool masked = false, covered = false;
  const weft_info *scores = &out->scores;
  for (int i = out->step_count - 1; i >= 0; i--) {
    const step *s = &out->steps[i];
    const int32_t factor = s->factor >= 0 ? s->factor : s->divisor;
    if (!keeps_shape(p, s, scores) || (factor >= 0 && !add_factor(p, factor, s->divisor >= 0, &out->scale))) {
      return false;
    }
    if (s->mask >= 0) {
      const weft_info *mask = info_of(p, s->mask);
      if (!suits_scores(mask, scores, rank_of(p, s->node->outputs[0]) == 3)) {
        return false;
      }
      masked = true;
      covered = covered || (mask->rank > 0 && same_dim(mask, mask->rank - 1, scores, 3));
    }
  }
  return covered || !masked;
}

/* Dimensions of what both broadcast to, of which each is the scores' or 1. */
static void join_shapes(const weft_info *a, const weft_info *b, weft_info *out) {
  const weft_info *longer = a->rank >= b->rank ? a : b, *other = longer == a ? b : a;
  weft_info joined = *longer;
  const int before = longer->rank - other->rank;
  for (int d = before; d < longer->rank; d++) {
    if (joined.dims[d] == 1) {
      joined.dims[d] = other->dims[d - before];
      joined.symbols[d] = other->symbols[d - before];
    }
  }
  joined.type = WEFT_FLOAT;
  *out = joined;
}

/* Lets the steps' nodes make one mask instead of scores. */
static weft_status make_mask(attention_pass *p, const attention *a, int32_t *mask) {
  *mask = -1;
  for (int i = a->step_count - 1; i >= 0; i--) {
    const step *s = &a->steps[i];
    const bool where = s->mask >= 0 && weft_node_is(s->node, "Where");
    const int32_t out = s->node->outputs[0];
    if (*mask < 0 && !where) {
      *mask = s->mask;
    } else if (s->mask >= 0 || s->factor >= 0 || s->divisor >= 0) {
      if (*mask < 0) {
        WEFT_TRY(weft_graph_add_numbers(p->pass->model, p->graph, WEFT_FLOAT, 0, 1, &(float){0}, mask));
      }
      s->node->inputs[s->scores] = *mask;
      if (s->mask >= 0) {
        s->node->inputs[where ? 0 : 1 - s->scores] = s->mask;
      }
      join_shapes(info_of(p, *mask), s->mask >= 0 ? info_of(p, s->mask) : info_of(p, *mask),
                  &p->graph->values[out].info);
      *mask = out;
    }
  }
  return WEFT_OK;
}

/* The second product, from what Softmax makes. */
static weft_node *find_result(const attention_pass *p, int32_t weights) {
  int32_t reader = p->uses.reader[weights];
  const weft_node *where = reader >= 0 ? &p->graph->nodes[reader] : NULL;
  if (p->uses.count[weights] == 2 && !p->uses.is_output[weights] && weft_node_is(where, "Where") &&
      where->input_count == 3) {
    const weft_node *is_nan = weft_match_producer(p->graph, where->inputs[0], "IsNaN");
    float zero;
    if (is_nan == NULL || is_nan->inputs[0] != weights || !is_read_once(p, is_nan->outputs[0]) ||
        where->inputs[2] != weights || !weft_match_scalar(p->graph, where->inputs[1], &zero) || zero != 0) {
      return NULL;
    }
    weights = where->outputs[0];
  }
  const weft_node *merge = weft_match_reader(p->graph, &p->uses, weights, "Reshape");
  if (merge != NULL && merge->inputs[0] == weights && rank_of(p, weights) == 4 && rank_of(p, merge->outputs[0]) == 3 &&
      same_dim(info_of(p, weights), 2, info_of(p, merge->outputs[0]), 1) &&
      same_dim(info_of(p, weights), 3, info_of(p, merge->outputs[0]), 2)) {
    weights = merge->outputs[0];
  }
  weft_node *product = weft_match_reader(p->graph, &p->uses, weights, "MatMul");
  return product != NULL && product->inputs[0] == weights ? product : NULL;
}

/* Whether everything has the sizes that Attention asks for, so that the products broadcast nothing but all of keys and
 * values. k is transposed. There are as many values as keys, or the second product fails; files may name them apart. */
static bool check_sizes(const attention_pass *p, int32_t q, int32_t k, int32_t v, attention *out) {
  if (rank_of(p, q) != 4 || rank_of(p, k) != 4 || rank_of(p, v) != 4) {
    return false;
  }
  const weft_info *a = info_of(p, q), *b = info_of(p, k), *c = info_of(p, v);
  out->heads = a->dims[1];
  out->kv_heads = b->dims[1];
  out->scores = *a;
  out->scores.dims[3] = b->dims[3];
  out->scores.symbols[3] = b->symbols[3];
  return a->dims[1] > 0 && same_dim(a, 0, b, 0) && same_dim(a, 0, c, 0) && same_dim(b, 1, c, 1) &&
         (same_dim(a, 1, b, 1) || b->dims[1] == 1) && same_dim(a, 3, b, 2);
}

/* The node that puts the heads of the result together again, or NULL. */
static weft_node *find_joined(const attention_pass *p, int32_t result) {
  weft_node *transpose = weft_match_reader(p->graph, &p->uses, result, "Transpose");
  if (!has_permutation(transpose, 4, swap_heads)) {
    return NULL;
  }
  int32_t cut = transpose->outputs[0];
  weft_node *reshape = weft_match_reader(p->graph, &p->uses, cut, "Reshape");
  if (reshape == NULL || reshape->inputs[0] != cut || rank_of(p, cut) != 4 || rank_of(p, reshape->outputs[0]) != 3) {
    return NULL;
  }
  const weft_info *a = info_of(p, cut), *b = info_of(p, reshape->outputs[0]);
  bool fits = same_dim(a, 0, b, 0) && same_dim(a, 1, b, 1) && a->dims[2] > 0 && a->dims[3] > 0 &&
              a->dims[2] < INT32_MAX && a->dims[3] < INT32_MAX && b->dims[2] == a->dims[2] * a->dims[3];
  return fits ? reshape : NULL;
}

/* Operands of products whose batch and heads are one dimension, and the node that makes them two again. */
static bool find_merged(const attention_pass *p, const weft_node *scores, weft_node **result, int32_t *q, int32_t *v,
                        attention *out) {
  const weft_node *transpose =
      weft_match_producer(p->graph, skip_scales(p, scores->inputs[1], &out->scale), "Transpose");
  weft_node *apart = weft_match_reader(p->graph, &p->uses, (*result)->outputs[0], "Reshape");
  *q = unmerged(p, skip_scales(p, scores->inputs[0], &out->scale));
  *v = unmerged(p, (*result)->inputs[1]);
  out->k = has_permutation(transpose, 3, swap_last_of_3) ? unmerged(p, transpose->inputs[0]) : -1;
  if (*q < 0 || *v < 0 || out->k < 0 || apart == NULL || apart->inputs[0] != (*result)->outputs[0]) {
    return false;
  }
  const weft_info *a = info_of(p, *q), *k = info_of(p, out->k), *c = info_of(p, *v), *y = info_of(p, apart->outputs[0]);
  out->heads = out->kv_heads = a->dims[1];
  out->scores = *a;
  out->scores.dims[3] = k->dims[2];
  out->scores.symbols[3] = k->symbols[2];
  *result = apart;
  return rank_of(p, apart->outputs[0]) == 4 && same_dim(a, 0, k, 0) && same_dim(a, 0, c, 0) && same_dim(a, 0, y, 0) &&
         same_dim(a, 1, k, 1) && same_dim(a, 1, c, 1) && same_dim(a, 1, y, 1) && same_dim(a, 3, k, 3) &&
         same_dim(k, 2, c, 2) && same_dim(a, 2, y, 2) && same_dim(c, 3, y, 3);
}

static bool find_operands(const attention_pass *p, const weft_node *scores, weft_node **result, attention *out) {
  int32_t q = scores->inputs[0], v = (*result)->inputs[1];
  if (rank_of(p, scores->outputs[0]) == 3) {
    if (!find_merged(p, scores, result, &q, &v, out)) {
      return false;
    }
  } else if (!check_sizes(p, q, scores->inputs[1], v, out) ||
             !find_keys(p, skip_scales(p, scores->inputs[1], &out->scale), out)) {
    return false;
  }
  out->q = skip_scales(p, q, &out->scale);
  out->k = out->turned == NULL ? skip_scales(p, out->k, &out->scale) : out->k;
  out->v = v;
  int32_t k_once = out->once ? out->k : repeated_from(p, out->k), v_once = repeated_from(p, v);
  if (k_once >= 0 && v_once >= 0 && same_dim(info_of(p, k_once), 1, info_of(p, v_once), 1)) {
    out->k = k_once;
    out->v = v_once;
    out->kv_heads = info_of(p, k_once)->dims[1];
    out->once = false;
  }
  return !out->once;
}

/* Takes operands and result uncut where they may be. */
static void take_rows(const attention_pass *p, attention *out) {
  weft_node *joined = find_joined(p, out->last->outputs[0]);
  int32_t q_rows = rows_of(p, out->q), k_rows = rows_of(p, out->k), v_rows = rows_of(p, out->v);
  out->joined = joined != NULL;
  out->last = joined != NULL ? joined : out->last;
  out->q = joined != NULL && q_rows >= 0 ? q_rows : out->q;
  out->k = k_rows >= 0 ? k_rows : out->k;
  out->v = v_rows >= 0 ? v_rows : out->v;
}

static bool find_attention(const attention_pass *p, const weft_node *softmax, attention *out) {
  const int64_t axis = weft_node_int(softmax, "axis", -1);
  const int rank = rank_of(p, softmax->inputs[0]);
  *out = (attention){.k = -1, .scale.number = 1};
  if ((rank != 3 && rank != 4) || (axis != -1 && axis != rank - 1)) {
    return false;
  }
  const weft_node *scores = find_product(p, softmax->inputs[0], out);
  weft_node *result = scores != NULL ? find_result(p, softmax->outputs[0]) : NULL;
  if (result == NULL || rank_of(p, scores->outputs[0]) != rank_of(p, result->outputs[0]) ||
      !find_operands(p, scores, &result, out) || !check_steps(p, out) ||
      (out->turned != NULL && !is_read_once(p, scores->outputs[0]))) {
    return false;
  }
  out->last = result;
  take_rows(p, out);
  return true;
}

/* ---- the pass -------------------------------------------------------------------------------- */
static weft_status turn(attention_pass *p, weft_node *transpose) {
  weft_info *info = &p->graph->values[transpose->outputs[0]].info;
  int64_t dim = info->dims[2];
  const char *symbol = info->symbols[2];
  info->dims[2] = info->dims[3];
  info->symbols[2] = info->symbols[3];
  info->dims[3] = dim;
  info->symbols[3] = symbol;
  return weft_node_set_ints(p->pass->model, transpose, "perm", 4, swap_heads);
}

/* Keys or values in 16 bits that are cast for floats are read as they are, as caches may be. */
static void take_halves(const attention_pass *p, attention *a) {
  int32_t *const operands[] = {&a->k, &a->v};
  for (int i = 0; i < 2 && weft_match_type(p->graph, a->q) == WEFT_FLOAT; i++) {
    const weft_node *cast = weft_match_producer(p->graph, *operands[i], "Cast");
    const weft_type type = cast != NULL ? weft_match_type(p->graph, cast->inputs[0]) : WEFT_UNDEFINED;
    if (weft_match_type(p->graph, *operands[i]) == WEFT_FLOAT && weft_type_is_half(type)) {
      *operands[i] = cast->inputs[0];
    }
  }
}

static weft_status visit(attention_pass *p, const weft_node *softmax) {
  attention a;
  if (!find_attention(p, softmax, &a)) {
    return WEFT_OK;
  }
  if (a.turned != NULL) {
    WEFT_TRY(turn(p, a.turned));
  }
  take_halves(p, &a);
  weft_model *model = p->pass->model;
  int32_t mask;
  WEFT_TRY(make_mask(p, &a, &mask));
  const scaling *scale = &a.scale;
  const int factors = scale->count - scale->divisors;
  int32_t values[OPERANDS + MOST_FACTORS] = {a.q, a.k, a.v, mask, -1, -1, -1};
  memcpy(values + OPERANDS, scale->values, (size_t)factors * sizeof *values);
  memcpy(values + OPERANDS + factors, scale->values + MOST_FACTORS - scale->divisors,
         (size_t)scale->divisors * sizeof *values);
  WEFT_TRY(weft_match_become(p->pass, a.last, "weft", "Attention",
                             scale->count != 0 ? OPERANDS + scale->count
                             : mask >= 0       ? 4
                                               : 3,
                             values));
  WEFT_TRY(weft_node_set_float(model, a.last, "scale", (float)scale->number));
  WEFT_TRY(weft_node_set_int(model, a.last, "divisors", scale->divisors));
  WEFT_TRY(weft_node_set_int(model, a.last, "joined", a.joined));
  WEFT_TRY(weft_node_set_int(model, a.last, "q_num_heads", a.heads));
  return weft_node_set_int(model, a.last, "kv_num_heads", a.kv_heads);
}

/* ---- Attention in the file ------------------------------------------------------------------- */
/* One that may be Weft's own: without a cache, and with a mask as long as the keys. */
static bool is_plain(const attention_pass *p, const weft_node *node) {
  for (int i = 0; i < 3; i++) {
    if (weft_node_in(node, i) < 0 || rank_of(p, node->inputs[i]) != 4) {
      return false;
    }
  }
  const int32_t mask = weft_node_in(node, 3);
  const weft_info *a = mask >= 0 ? info_of(p, mask) : NULL, *k = info_of(p, node->inputs[1]);
  return node->input_count <= 4 && node->output_count == 1 && k->dims[1] > 0 &&
         info_of(p, node->inputs[0])->dims[1] > 0 && (a == NULL || (a->rank > 0 && same_dim(a, a->rank - 1, k, 2)));
}

static weft_status visit_whole(attention_pass *p, weft_node *node) {
  if (!is_plain(p, node)) {
    return WEFT_OK;
  }
  attention a = {.q = node->inputs[0], .k = node->inputs[1], .v = node->inputs[2], .last = node};
  a.heads = info_of(p, a.q)->dims[1];
  a.kv_heads = info_of(p, a.k)->dims[1];
  int32_t k = repeated_from(p, a.k), v = repeated_from(p, a.v);
  if (k >= 0 && v >= 0 && same_dim(info_of(p, k), 1, info_of(p, v), 1)) {
    a.k = k;
    a.v = v;
    a.kv_heads = info_of(p, k)->dims[1];
  }
  take_rows(p, &a);
  take_halves(p, &a);
  const weft_op_def *def = weft_op_find("weft", "Attention");
  node->domain = def->domain;
  node->version = def->version;
  node->def = def;
  memcpy(node->inputs, (int32_t[]){a.q, a.k, a.v}, 3 * sizeof *node->inputs);
  if (a.joined) {
    const int32_t cut = a.last->inputs[0], out = a.last->outputs[0];
    weft_node_remove(&p->graph->nodes[p->graph->values[cut].producer]);
    weft_node_remove(a.last);
    node->outputs[0] = out;
    p->graph->values[out].producer = (int32_t)(node - p->graph->nodes);
  }
  WEFT_TRY(weft_node_set_int(p->pass->model, node, "joined", a.joined));
  WEFT_TRY(weft_node_set_int(p->pass->model, node, "q_num_heads", a.heads));
  return weft_node_set_int(p->pass->model, node, "kv_num_heads", a.kv_heads);
}

/* ---- all of them ----------------------------------------------------------------------------- */
static weft_status visit_all(attention_pass *p) {
  for (size_t n = 0; n < p->graph->node_count; n++) {
    const weft_node *node = &p->graph->nodes[n];
    if (weft_node_is(node, "Shape") && weft_node_in(node, 0) >= 0) {
      p->asked[node->inputs[0]]++;
    }
  }
  for (size_t n = 0; n < p->graph->node_count; n++) {
    weft_node *node = &p->graph->nodes[n];
    if (weft_node_is(node, "Softmax") && weft_node_in(node, 0) >= 0 && weft_node_out(node, 0) >= 0) {
      WEFT_TRY(visit(p, node));
    } else if (weft_node_is(node, "Attention")) {
      WEFT_TRY(visit_whole(p, node));
    }
  }
  return WEFT_OK;
}

weft_status weft_pass_attention(weft_pass *pass, weft_graph *graph) {
  attention_pass p = {.pass = pass, .graph = graph};
  void *block;
  if (weft_op_find("weft", "Attention") == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_uses_find(pass, graph, &p.uses));
  weft_status status = weft_alloc_zeroed(pass->model->cx, graph->value_count, sizeof *p.asked, &block);
  if (status == WEFT_OK) {
    p.asked = block;
    status = visit_all(&p);
    weft_free(block);
  }
  weft_uses_free(&p.uses);
  weft_graph_compact(graph);
  return status;
}
