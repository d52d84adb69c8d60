/* Scaled dot product attention that an exporter wrote out becomes one Attention, whose scores never leave the cache:
 *
 *   MatMul(q, transposed k), scaled and with a mask added -> Softmax [-> Where(IsNaN, 0, .)] -> MatMul(., v)
 *
 * It is Weft's own, in domain "weft": ONNX's, with inputs from position 7 on that scale it too, and no mask that is
 * shorter than the keys. The scale may stand on either side of the first product, and in parts. Queries, keys and values that were cut into heads by Reshape
 * and Transpose are taken uncut, [batch, row, heads x size], which saves copying them; so is the result, if the queries
 * are. A row whose scores are all -inf becomes zeros, as the specification of Attention says and the Where asks for. */
#include <string.h>

#include "match.h"

enum { MOST_SCALES = 3, OPERANDS = 7, MOST_FACTORS = 8 };

/* What the scores are multiplied with: a number, and values of one element that are known when the model runs. */
typedef struct scaling {
  double number;
  int count, divisors; /* of values; how many of them, from the end of the array, divide */
  int32_t values[MOST_FACTORS];
} scaling;

typedef struct attention_pass {
  weft_pass *pass;
  weft_graph *graph;
  weft_uses uses;
} attention_pass;

typedef struct attention {
  int32_t q, k, v, mask; /* [batch, heads, row, size] or, for each as it may be, [batch, row, heads x size] */
  scaling scale;
  int64_t heads;
  weft_node *turned; /* NULL, or the Transpose that has to give [batch, heads, row, size] instead: k is its output */
  weft_node *last;   /* the result's node */
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

/* ---- the products' operands ------------------------------------------------------------------ */
static bool is_one_float(const attention_pass *p, int32_t v) {
  const int rank = rank_of(p, v);
  return rank == 0 || (rank == 1 && info_of(p, v)->dims[0] == 1);
}

static bool add_factor(const attention_pass *p, int32_t v, bool divides, scaling *scale) {
  float number;
  if (weft_match_scalar(p->graph, v, &number) && (!divides || number != 0)) {
    scale->number *= divides ? 1 / (double)number : (double)number;
    return true;
  }
  if (v < 0 || !is_one_float(p, v) || scale->count == MOST_FACTORS) {
    return false;
  }
  scale->values[divides ? MOST_FACTORS - 1 - scale->divisors++ : scale->count - scale->divisors] = v;
  scale->count++;
  return true;
}

/* Looks through products with one number and quotients by one. */
static int32_t skip_scales(const attention_pass *p, int32_t v, scaling *scale) {
  for (int i = 0; i < MOST_SCALES; i++) {
    const weft_node *mul = weft_match_producer(p->graph, v, "Mul"), *div = weft_match_producer(p->graph, v, "Div");
    if (mul != NULL && mul->input_count == 2 && add_factor(p, mul->inputs[1], false, scale)) {
      v = mul->inputs[0];
    } else if (mul != NULL && mul->input_count == 2 && add_factor(p, mul->inputs[0], false, scale)) {
      v = mul->inputs[1];
    } else if (div != NULL && add_factor(p, weft_node_in(div, 1), true, scale)) {
      v = div->inputs[0];
    } else {
      break;
    }
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

/* Transposing by way of three dimensions, as PyTorch exports it. */
static int32_t through_three(const attention_pass *p, int32_t v) {
  const weft_node *back = weft_match_producer(p->graph, v, "Reshape");
  const weft_node *transpose = back != NULL ? weft_match_producer(p->graph, weft_node_in(back, 0), "Transpose") : NULL;
  const weft_node *there = transpose != NULL ? weft_match_producer(p->graph, transpose->inputs[0], "Reshape") : NULL;
  int32_t k = there != NULL ? weft_node_in(there, 0) : -1;
  if (!has_permutation(transpose, 3, swap_last_of_3) || k < 0 || rank_of(p, k) != 4 ||
      rank_of(p, there->outputs[0]) != 3) {
    return -1;
  }
  const weft_info *a = info_of(p, k), *b = info_of(p, there->outputs[0]), *c = info_of(p, v);
  bool fits = same_dim(a, 2, b, 1) && same_dim(a, 3, b, 2) && same_dim(a, 0, c, 0) && same_dim(a, 1, c, 1) &&
              same_dim(a, 2, c, 3) && same_dim(a, 3, c, 2);
  return fits ? k : -1;
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
    out->turned = rows < 0 && p->uses.count[v] == 1 && !p->uses.is_output[v] ? transpose : NULL;
    out->k = rows >= 0 ? rows : out->turned != NULL ? v : -1;
    return out->k >= 0;
  }
  out->k = through_three(p, v);
  return out->k >= 0;
}

/* ---- the chain ------------------------------------------------------------------------------- */
static bool is_read_once(const attention_pass *p, int32_t v) {
  return p->uses.count[v] == 1 && !p->uses.is_output[v];
}

/* Whether a mask's shape broadcasts to that of the scores, its last dimension in full. */
static bool is_mask(const attention_pass *p, int32_t mask, int32_t scores) {
  const weft_info *a = info_of(p, mask), *b = info_of(p, scores);
  int rank = rank_of(p, mask);
  for (int d = 0; d < rank; d++) {
    if (!same_dim(a, d, b, 4 - rank + d) && (a->dims[d] != 1 || d == rank - 1)) {
      return false;
    }
  }
  return rank >= 1 && rank <= 4;
}

static weft_node *find_product(const attention_pass *p, int32_t v, scaling *scale) {
  int32_t product = skip_scales(p, v, scale);
  weft_node *node = weft_match_producer(p->graph, product, "MatMul");
  return node != NULL && is_read_once(p, product) && is_read_once(p, v) ? node : NULL;
}

/* The first product, from what Softmax reads. */
static weft_node *find_scores(const attention_pass *p, int32_t v, attention *out) {
  out->scale = (scaling){.number = 1};
  out->mask = -1;
  weft_node *product = find_product(p, v, &out->scale);
  const weft_node *add = weft_match_producer(p->graph, v, "Add");
  for (int i = 0; product == NULL && add != NULL && add->input_count == 2 && is_read_once(p, v) && i < 2; i++) {
    out->scale = (scaling){.number = 1};
    out->mask = add->inputs[1 - i];
    product = is_mask(p, out->mask, v) ? find_product(p, add->inputs[i], &out->scale) : NULL;
  }
  return product;
}

/* The second product, from what Softmax makes. */
static weft_node *find_result(const attention_pass *p, int32_t weights) {
  int32_t reader = p->uses.reader[weights];
  const weft_node *where = reader >= 0 ? &p->graph->nodes[reader] : NULL;
  if (p->uses.count[weights] == 2 && !p->uses.is_output[weights] && weft_node_is(where, "Where") &&
      where->input_count == 3) {
    const weft_node *is_nan = weft_match_producer(p->graph, where->inputs[0], "IsNaN");
    float zero;
    if (is_nan == NULL || is_nan->inputs[0] != weights || where->inputs[2] != weights ||
        !weft_match_scalar(p->graph, where->inputs[1], &zero) || zero != 0) {
      return NULL;
    }
    weights = where->outputs[0];
  }
  weft_node *product = weft_match_reader(p->graph, &p->uses, weights, "MatMul");
  return product != NULL && product->inputs[0] == weights ? product : NULL;
}

/* Whether everything has the sizes that Attention asks for, so that the products broadcast nothing. */
static bool check_sizes(const attention_pass *p, const weft_node *scores, const weft_node *result) {
  int32_t q = scores->inputs[0], k = scores->inputs[1], v = result->inputs[1];
  if (rank_of(p, q) != 4 || rank_of(p, k) != 4 || rank_of(p, v) != 4) {
    return false;
  }
  const weft_info *a = info_of(p, q), *b = info_of(p, k), *c = info_of(p, v);
  return a->dims[1] > 0 && same_dim(a, 0, b, 0) && same_dim(a, 0, c, 0) && same_dim(a, 1, b, 1) &&
         same_dim(a, 1, c, 1) && same_dim(a, 3, b, 2) && same_dim(b, 3, c, 2);
}

/* The node that puts the heads of the result together again, or NULL. */
static weft_node *find_joined(const attention_pass *p, const weft_node *result) {
  weft_node *transpose = weft_match_reader(p->graph, &p->uses, result->outputs[0], "Transpose");
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

static bool find_attention(const attention_pass *p, const weft_node *softmax, attention *out) {
  const weft_attribute *axis = weft_node_attribute(softmax, "axis");
  *out = (attention){.k = -1};
  if (rank_of(p, softmax->inputs[0]) != 4 || (axis != NULL && axis->i != -1 && axis->i != 3)) {
    return false;
  }
  const weft_node *scores = find_scores(p, softmax->inputs[0], out);
  weft_node *result = scores != NULL ? find_result(p, softmax->outputs[0]) : NULL;
  if (result == NULL || !check_sizes(p, scores, result) ||
      !find_keys(p, skip_scales(p, scores->inputs[1], &out->scale), out)) {
    return false;
  }
  out->heads = info_of(p, scores->inputs[0])->dims[1];
  out->q = skip_scales(p, scores->inputs[0], &out->scale);
  out->k = out->turned == NULL ? skip_scales(p, out->k, &out->scale) : out->k;
  out->v = result->inputs[1];
  weft_node *joined = find_joined(p, result);
  int32_t q_rows = rows_of(p, out->q), k_rows = rows_of(p, out->k), v_rows = rows_of(p, out->v);
  bool by_rows = joined != NULL && q_rows >= 0;
  out->last = by_rows ? joined : result;
  out->q = by_rows ? q_rows : out->q;
  out->k = k_rows >= 0 ? k_rows : out->k;
  out->v = v_rows >= 0 ? v_rows : out->v;
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

static weft_status visit(attention_pass *p, const weft_node *softmax) {
  attention a;
  if (!find_attention(p, softmax, &a)) {
    return WEFT_OK;
  }
  if (a.turned != NULL) {
    WEFT_TRY(turn(p, a.turned));
  }
  weft_model *model = p->pass->model;
  const scaling *scale = &a.scale;
  const int factors = scale->count - scale->divisors;
  int32_t values[OPERANDS + MOST_FACTORS] = {a.q, a.k, a.v, a.mask, -1, -1, -1};
  memcpy(values + OPERANDS, scale->values, (size_t)factors * sizeof *values);
  memcpy(values + OPERANDS + factors, scale->values + MOST_FACTORS - scale->divisors,
         (size_t)scale->divisors * sizeof *values);
  WEFT_TRY(weft_match_become(p->pass, a.last, "weft", "Attention",
                             scale->count != 0 ? OPERANDS + scale->count
                             : a.mask >= 0     ? 4
                                               : 3,
                             values));
  WEFT_TRY(weft_node_set_float(model, a.last, "scale", (float)scale->number));
  WEFT_TRY(weft_node_set_int(model, a.last, "divisors", scale->divisors));
  WEFT_TRY(weft_node_set_int(model, a.last, "q_num_heads", a.heads));
  return weft_node_set_int(model, a.last, "kv_num_heads", a.heads);
}

weft_status weft_pass_attention(weft_pass *pass, weft_graph *graph) {
  attention_pass p = {.pass = pass, .graph = graph};
  if (weft_op_find("weft", "Attention") == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_uses_find(pass, graph, &p.uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    const weft_node *node = &graph->nodes[n];
    if (weft_node_is(node, "Softmax") && weft_node_in(node, 0) >= 0 && weft_node_out(node, 0) >= 0) {
      status = visit(&p, node);
    }
  }
  weft_uses_free(&p.uses);
  return status;
}
