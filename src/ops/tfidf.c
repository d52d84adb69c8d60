/* TfIdfVectorizer: how often each n-gram of a pool occurs in a row of words or numbers. The pool's n-grams are sorted
 * by length and content at load; those of a row are found by binary search. */
#include "number.h"
#include "order.h"

#include <string.h>

enum { MAX_GRAM = 64 };

typedef struct pool {
  weft_type type;
  const void *items;
  size_t item_count, gram_count, length_count; /* length_count: n-grams of 1 .. length_count items are in the pool */
  const int64_t *starts;                       /* where the n-grams of each length begin in items */
  const int64_t *columns;                      /* of each n-gram in the output */
  const float *weights;                        /* NULL: all 1 */
  size_t width;                                /* of an output row */
} pool;

static size_t length_end(const pool *p, size_t n) {
  return n < p->length_count ? (size_t)p->starts[n] : p->item_count;
}

/* Number of the first n-gram of n items. */
static size_t first_gram(const pool *p, size_t n) {
  size_t count = 0;
  for (size_t m = 1; m < n; m++) {
    count += (length_end(p, m) - (size_t)p->starts[m - 1]) / m;
  }
  return count;
}

static weft_status check_starts(weft_op *op, pool *p) {
  if (p->length_count > MAX_GRAM) {
    return weft_op_unsupported(op, "n-grams of %zu items, at most %d are supported", p->length_count, MAX_GRAM);
  }
  for (size_t n = 1; n <= p->length_count; n++) {
    int64_t begin = p->starts[n - 1];
    if (begin < 0 || (size_t)begin > p->item_count || length_end(p, n) < (size_t)begin ||
        length_end(p, n) > p->item_count || (length_end(p, n) - (size_t)begin) % n != 0) {
      return weft_op_fail(op, "ngram_counts: entry %zu is %lld, which does not cut a pool of %zu items", n - 1,
                          (long long)begin, p->item_count);
    }
  }
  p->gram_count = first_gram(p, p->length_count + 1);
  return WEFT_OK;
}

static weft_status read_pool(weft_op *op, pool *p) {
  size_t ints, columns, weights;
  const int64_t *numbers = weft_op_attr_ints(op, "pool_int64s", &ints);
  p->items = weft_op_attr_strings(op, "pool_strings", &p->item_count);
  p->type = WEFT_STRING;
  if ((p->item_count > 0) == (ints > 0)) {
    return weft_op_fail(op, "pool_strings and pool_int64s: expected one of them");
  }
  if (ints > 0) {
    p->items = numbers;
    p->item_count = ints;
    p->type = WEFT_INT64;
  }
  p->starts = weft_op_attr_ints(op, "ngram_counts", &p->length_count);
  p->columns = weft_op_attr_ints(op, "ngram_indexes", &columns);
  p->weights = weft_op_attr_floats(op, "weights", &weights);
  WEFT_TRY(check_starts(op, p));
  if (columns != p->gram_count || (weights != 0 && weights != columns)) {
    return weft_op_fail(op, "ngram_indexes and weights: expected %zu entries, found %zu and %zu", p->gram_count,
                        columns, weights);
  }
  if (weights == 0) {
    p->weights = NULL; /* an empty list is none */
  }
  p->width = 0;
  for (size_t i = 0; i < columns; i++) {
    if (p->columns[i] < 0 || p->columns[i] > INT32_MAX) {
      return weft_op_fail(op, "ngram_indexes: expected numbers of at least 0, entry %zu is %lld", i,
                          (long long)p->columns[i]);
    }
    p->width = (size_t)p->columns[i] >= p->width ? (size_t)p->columns[i] + 1 : p->width;
  }
  return WEFT_OK;
}

/* Length and place of n-gram `gram`. */
static size_t gram_place(const pool *p, size_t gram, size_t *n) {
  for (*n = 1; *n < p->length_count && gram >= first_gram(p, *n + 1); ++*n) {
  }
  return (size_t)p->starts[*n - 1] + (gram - first_gram(p, *n)) * *n;
}

static int compare_grams(const void *arg, int64_t a, int64_t b) {
  const pool *p = arg;
  size_t length_a, length_b, at_a = gram_place(p, (size_t)a, &length_a), at_b = gram_place(p, (size_t)b, &length_b);
  int order = length_a < length_b ? -1 : length_a > length_b;
  for (size_t k = 0; k < length_a && order == 0; k++) {
    order = weft_compare_elements(p->type, p->items, at_a + k, p->items, at_b + k);
  }
  return order;
}

weft_status weft_tfidf_prepare(weft_op *op) {
  pool p;
  void *sorted, *state;
  WEFT_TRY(read_pool(op, &p));
  WEFT_TRY(weft_op_scratch(op, 2 * p.gram_count * sizeof(int64_t), &sorted));
  weft_order(p.gram_count, compare_grams, &p, sorted, (int64_t *)sorted + p.gram_count);
  WEFT_TRY(weft_op_state(op, p.gram_count * sizeof(int64_t), &state));
  memcpy(state, sorted, p.gram_count * sizeof(int64_t));
  return WEFT_OK;
}

enum { TF, IDF, TFIDF };
static weft_status read_mode(const weft_op *op, int *out) {
  return weft_op_choice(op, "mode", "TF IDF TFIDF", -1, out);
}

weft_status weft_tfidf_infer(weft_op *op) {
  pool p;
  int mode;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 1, 2));
  WEFT_TRY(read_pool(op, &p));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", p.type == WEFT_STRING ? WEFT_TYPE_BIT(WEFT_STRING) : WEFT_TYPES_INDEX));
  WEFT_TRY(read_mode(op, &mode));
  if (op->node->state == NULL) { /* folding comes before the nodes are prepared */
    WEFT_TRY(weft_tfidf_prepare(op));
  }
  weft_shape shape = weft_op_in(op, 0)->shape;
  shape.dims[shape.rank - 1] = (int64_t)p.width;
  return weft_op_set(op, 0, WEFT_FLOAT, &shape);
}

/* Element `at` of the input against item `item` of the pool. */
static int compare_item(const pool *p, const weft_tensor *in, size_t item, size_t at) {
  if (p->type == WEFT_STRING) {
    return weft_compare_elements(p->type, p->items, item, in->data, at);
  }
  const int64_t pooled = ((const int64_t *)p->items)[item];
  const int64_t own = in->type == WEFT_INT64 ? ((const int64_t *)in->data)[at] : ((const int32_t *)in->data)[at];
  return pooled < own ? -1 : pooled > own;
}

/* The n items at `at`, `at + step`, .. of the input, against as many of the pool from `place` on. */
static int compare_gram(const pool *p, size_t place, const weft_tensor *in, size_t at, size_t step, size_t n) {
  int order = 0;
  for (size_t k = 0; k < n && order == 0; k++) {
    order = compare_item(p, in, place + k, at + k * step);
  }
  return order;
}

/* The pool's n-gram that stands there, the first of equals, or -1. Those of n items, from number `first` to `end`, lie
 * together in `order`. */
static int64_t find_gram(const pool *p, const int64_t *order, size_t first, size_t end, const weft_tensor *in,
                         size_t at, size_t step, size_t n) {
  const size_t begin = (size_t)p->starts[n - 1];
  size_t low = first, high = end;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (compare_gram(p, begin + ((size_t)order[middle] - first) * n, in, at, step, n) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const bool found = low < end && compare_gram(p, begin + ((size_t)order[low] - first) * n, in, at, step, n) == 0;
  return found ? order[low] : -1;
}

static void count_row(const pool *p, const int64_t *order, const weft_tensor *in, size_t begin, size_t size,
                      const int64_t limits[3], float *counts) {
  for (int64_t n = limits[0]; n <= limits[1] && n <= (int64_t)p->length_count; n++) {
    const size_t first = first_gram(p, (size_t)n), end = first_gram(p, (size_t)n + 1);
    int64_t steps = n == 1 ? 1 : limits[2] + 1;
    for (int64_t step = 1; step <= steps && step <= (int64_t)size; step++) {
      size_t reach = (size_t)(n - 1) * (size_t)step;
      for (size_t i = 0; i + reach < size; i++) {
        int64_t gram = find_gram(p, order, first, end, in, begin + i, (size_t)step, (size_t)n);
        if (gram >= 0) {
          counts[gram] += 1;
        }
      }
    }
  }
}

weft_status weft_tfidf_run(weft_op *op) {
  pool p;
  void *block;
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  int mode;
  int64_t limits[3] = {weft_op_attr_int(op, "min_gram_length", 1), weft_op_attr_int(op, "max_gram_length", 1),
                       weft_op_attr_int(op, "max_skip_count", 0)};
  WEFT_TRY(read_mode(op, &mode));
  WEFT_TRY(read_pool(op, &p));
  if (limits[0] < 1 || limits[1] < limits[0] || limits[2] < 0 || limits[2] > INT32_MAX) {
    return weft_op_fail(op, "min_gram_length %lld, max_gram_length %lld and max_skip_count %lld do not go together",
                        (long long)limits[0], (long long)limits[1], (long long)limits[2]);
  }
  WEFT_TRY(weft_op_scratch(op, p.gram_count * sizeof(float), &block));
  float *counts = block, *result = out->data;
  size_t size = (size_t)in->shape.dims[in->shape.rank - 1], rows = in->shape.rank == 2 ? (size_t)in->shape.dims[0] : 1;
  memset(result, 0, out->count * sizeof *result);
  for (size_t row = 0; row < rows; row++) {
    memset(counts, 0, p.gram_count * sizeof *counts);
    count_row(&p, op->node->state, in, row * size, size, limits, counts);
    for (size_t g = 0; g < p.gram_count; g++) {
      float count = mode == IDF && counts[g] > 0 ? 1 : counts[g];
      float weight = p.weights == NULL || mode == TF ? 1 : p.weights[g];
      result[row * p.width + (size_t)p.columns[g]] += count * weight;
    }
  }
  return WEFT_OK;
}
