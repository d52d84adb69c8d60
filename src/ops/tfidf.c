/* TfIdfVectorizer: how often each n-gram of a pool occurs in a row of words or numbers. At load the pool's items get
 * numbers, and its n-grams are sorted by their first item, then by length and content; so few have to be searched for
 * one of a row, whose items are looked up once. */
#include "../base/convert.h"
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

/* What is made of a pool at load. */
typedef struct grams {
  weft_lookup lookup; /* of items */
  int64_t *ids;       /* of the pool's items: the last equal one's number */
  int64_t *order;     /* n-grams, sorted */
  size_t *begins;     /* where those begin in `order` whose first item has this number or a larger one */
  size_t *places;     /* where each n-gram begins in the pool */
  uint8_t *lengths;
} grams;

static weft_status open_grams(weft_op *op, const pool *p, grams *g) {
  WEFT_TRY(weft_lookup_open(op, p->type, p->item_count, p->items, &g->lookup));
  g->ids = weft_lookup_room(&g->lookup);
  g->order = g->ids + p->item_count;
  g->begins = (size_t *)(g->order + p->gram_count);
  g->places = g->begins + p->item_count + 1;
  g->lengths = (uint8_t *)(g->places + p->gram_count);
  return WEFT_OK;
}

/* N-gram `gram` against another whose first item is the same, which has n items with numbers `step` apart. */
static int compare_rest(const grams *g, int64_t gram, const int64_t *ids, size_t step, size_t n) {
  const size_t length = g->lengths[gram];
  const int64_t *own = g->ids + g->places[gram];
  int order = length < n ? -1 : length > n;
  for (size_t k = 1; k < n && order == 0; k++) {
    order = own[k] < ids[k * step] ? -1 : own[k] > ids[k * step];
  }
  return order;
}

static int64_t first_item(const grams *g, int64_t gram) {
  return g->ids[g->places[gram]];
}

static int compare_grams(const void *arg, int64_t a, int64_t b) {
  const grams *g = arg;
  const int64_t x = first_item(g, a), y = first_item(g, b);
  return x != y ? (x < y ? -1 : 1) : compare_rest(g, a, g->ids + g->places[b], 1, g->lengths[b]);
}

weft_status weft_tfidf_prepare(weft_op *op) {
  pool p;
  grams g;
  void *spare;
  size_t gram = 0, sorted = 0, more;
  WEFT_TRY(read_pool(op, &p));
  WEFT_TRY(weft_op_scratch_array(op, p.gram_count, sizeof(int64_t), &spare));
  if (!weft_mul(p.item_count + p.gram_count + 1, sizeof(int64_t) + sizeof(size_t) + 1, &more)) {
    more = SIZE_MAX / 2; /* than there is */
  }
  WEFT_TRY(weft_lookup_prepare(op, p.type, p.item_count, p.items, more));
  WEFT_TRY(open_grams(op, &p, &g));
  for (size_t i = 0; i < p.item_count; i++) {
    g.ids[i] = weft_lookup_find(&g.lookup, p.items, i);
  }
  for (size_t n = 1; n <= p.length_count; n++) {
    for (size_t place = (size_t)p.starts[n - 1]; place < length_end(&p, n); place += n) {
      g.lengths[gram] = (uint8_t)n;
      g.places[gram++] = place;
    }
  }
  weft_order(p.gram_count, compare_grams, &g, g.order, spare);
  for (size_t id = 0; id <= p.item_count; id++) {
    while (sorted < p.gram_count && first_item(&g, g.order[sorted]) < (int64_t)id) {
      sorted++;
    }
    g.begins[id] = sorted;
  }
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

/* The pool's n-gram of these items, the first of equals, or -1. */
static int64_t find_gram(const grams *g, const int64_t *ids, size_t step, size_t n) {
  if (ids[0] < 0) { /* no item of the pool */
    return -1;
  }
  size_t low = g->begins[ids[0]], high = g->begins[ids[0] + 1];
  const size_t end = high;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (compare_rest(g, g->order[middle], ids, step, n) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < end && compare_rest(g, g->order[low], ids, step, n) == 0 ? g->order[low] : -1;
}

/* `ids` are those of a row. */
static void count_row(const pool *p, const grams *g, const int64_t *ids, size_t size, const int64_t limits[3],
                      float *counts) {
  for (int64_t n = limits[0]; n <= limits[1] && n <= (int64_t)p->length_count; n++) {
    int64_t steps = n == 1 ? 1 : limits[2] + 1;
    for (int64_t step = 1; step <= steps && step <= (int64_t)size; step++) {
      size_t reach = (size_t)(n - 1) * (size_t)step;
      for (size_t i = 0; i + reach < size; i++) {
        int64_t gram = find_gram(g, ids + i, (size_t)step, (size_t)n);
        if (gram >= 0) {
          counts[gram] += 1;
        }
      }
    }
  }
}

weft_status weft_tfidf_run(weft_op *op) {
  pool p;
  grams g;
  void *block, *items;
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  int mode;
  int64_t limits[3];
  for (int i = 0; i < 3; i++) {
    static const char *const names[] = {"min_gram_length", "max_gram_length", "max_skip_count"};
    WEFT_TRY(weft_op_attr_needed(op, names[i]));
    limits[i] = weft_op_attr_int(op, names[i], 0);
  }
  WEFT_TRY(read_mode(op, &mode));
  WEFT_TRY(read_pool(op, &p));
  if (limits[0] < 1 || limits[1] < limits[0] || limits[2] < 0 || limits[2] > INT32_MAX) {
    return weft_op_fail(op, "min_gram_length %lld, max_gram_length %lld and max_skip_count %lld do not go together",
                        (long long)limits[0], (long long)limits[1], (long long)limits[2]);
  }
  WEFT_TRY(open_grams(op, &p, &g));
  size_t size = (size_t)in->shape.dims[in->shape.rank - 1], rows = in->shape.rank == 2 ? (size_t)in->shape.dims[0] : 1;
  WEFT_TRY(weft_op_scratch_array(op, p.gram_count, sizeof(float), &block));
  WEFT_TRY(weft_op_scratch_array(op, size, sizeof(int64_t), &items));
  float *counts = block, *result = out->data;
  int64_t *ids = items;
  memset(result, 0, out->count * sizeof *result);
  for (size_t row = 0; row < rows; row++) {
    const bool strings = p.type == WEFT_STRING;
    if (!strings) {
      weft_load_int64(in->type, in->data, row * size, 1, size, ids);
    }
    for (size_t i = 0; i < size; i++) {
      ids[i] = weft_lookup_find(&g.lookup, strings ? in->data : ids, strings ? row * size + i : i);
    }
    memset(counts, 0, p.gram_count * sizeof *counts);
    count_row(&p, &g, ids, size, limits, counts);
    for (size_t gram = 0; gram < p.gram_count; gram++) {
      if (counts[gram] > 0) {
        float count = mode == IDF ? 1 : counts[gram];
        float weight = p.weights == NULL || mode == TF ? 1 : p.weights[gram];
        result[row * p.width + (size_t)p.columns[gram]] += count * weight;
      }
    }
  }
  return WEFT_OK;
}
