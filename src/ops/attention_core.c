/* Attention by blocks of query rows. The query heads that share keys are multiplied together, so that keys are packed
 * once for all of them; a block's scores stay in the cache from the first product through the softmax to the second. */
#include "../base/convert.h"
#include "attention.h"
#include "product.h"
#include "softmax.h"

#include <math.h>
#include <string.h>

enum { BLOCK_ROWS = 64, LEAST_ROWS = 8, BLOCK_SCORES = 65536 };

typedef struct job {
  const weft_attention *a;
  const weft_kernels *kernels;
  size_t shared;       /* query heads of a key head */
  size_t rows, blocks; /* of a task; tasks of a key head */
  char *scratch;
  size_t slot_size;
} job;

/* A slot's scratch: scaled queries and results share a part. */
typedef struct parts {
  float *queries, *scores, *mask, *packed;
} parts;

static size_t wider(const weft_attention *a) {
  return a->head > a->v_head ? a->head : a->v_head;
}

static size_t packed_floats(const weft_attention *a) {
  size_t keys = weft_product_scratch(a->kv_len, a->head), values = weft_product_scratch(a->v_head, a->kv_len);
  return keys > values ? keys : values;
}

static parts parts_of(const job *job, uint32_t slot) {
  const weft_attention *a = job->a;
  float *at = (float *)(job->scratch + slot * job->slot_size);
  parts p = {.queries = at};
  p.scores = p.queries + job->rows * wider(a);
  p.mask = p.scores + job->rows * a->kv_len;
  p.packed = p.mask + a->kv_len;
  return p;
}

static size_t begin_of(const weft_heads *at, size_t batch, size_t head, size_t row) {
  return batch * at->batch + head * at->head + row * at->row;
}

weft_heads weft_heads_of(bool rows_first, size_t heads, size_t rows, size_t size) {
  return rows_first ? (weft_heads){heads * rows * size, size, heads * size}
                    : (weft_heads){heads * rows * size, rows * size, size};
}

/* The keys that query `row` of `batch` may see, before any mask: [*begin, *end). */
static void visible(const weft_attention *a, size_t batch, size_t row, size_t *begin, size_t *end) {
  int64_t place = (a->offsets != NULL ? a->offsets[batch] : a->offset) + (int64_t)row;
  int64_t low = a->left >= 0 ? place - a->left : 0, high = (int64_t)a->kv_len;
  if (a->right >= 0 && place + a->right + 1 < high) {
    high = place + a->right + 1;
  }
  if (a->valid != NULL && a->valid[batch] < high) {
    high = a->valid[batch];
  }
  if (a->mask != NULL && (int64_t)a->mask_len < high) {
    high = (int64_t)a->mask_len;
  }
  low = low > 0 ? low : 0;
  *begin = low < high ? (size_t)low : 0;
  *end = low < high ? (size_t)high : 0;
}

/* Adds the mask to scores[begin..end); narrows the range to nothing when every key is masked out. */
static void add_mask(const weft_attention *a, size_t at, float *mask, float *scores, size_t begin, size_t *end) {
  bool any = false;
  weft_load_float(a->mask->type, a->mask->data, at + begin, 1, *end - begin, mask);
  for (size_t j = begin; j < *end; j++) {
    float m = mask[j - begin];
    m = a->mask->type != WEFT_BOOL ? m : m != 0 ? 0 : -INFINITY;
    any = any || !(m < 0 && isinf(m));
    scores[j] += m;
  }
  if (!any) {
    *end = begin;
  }
}

static void keep(const weft_attention *a, int stage, size_t at, const float *scores) {
  if (a->scores != NULL && a->scores_stage == stage) {
    memcpy(a->scores + at, scores, a->kv_len * sizeof *scores);
  }
}

/* Softmax of n scores and one more that is not kept. The greatest weight is 1 / (the sum of the others' exponentials),
 * taken relative to the greatest score: from it follows how much the additional score takes. */
static void weigh_with_sink(const weft_kernels *kernels, size_t n, float sink, float *scores) {
  float greatest = kernels->max_f32(n, scores);
  kernels->softmax_f32(n, scores, false, scores);
  float share = 1 / (1 + expf(sink - greatest) * kernels->max_f32(n, scores));
  kernels->binary_f32[WEFT_BINARY_MUL](n, scores, 1, &share, 0, scores);
}

/* From raw scores of one query to its weights. */
static void weigh(const job *job, size_t batch, size_t head, size_t row, float *scores, float *mask) {
  const weft_attention *a = job->a;
  size_t n = a->kv_len, at = ((batch * a->q_heads + head) * a->q_len + row) * n;
  keep(a, 0, at, scores);
  if (a->softcap > 0) {
    for (size_t j = 0; j < n; j++) {
      scores[j] /= a->softcap;
    }
    job->kernels->unary_f32[WEFT_UNARY_TANH](n, scores, scores);
    for (size_t j = 0; j < n; j++) {
      scores[j] *= a->softcap;
    }
  }
  keep(a, 1, at, scores);
  size_t begin = 0, end = 0;
  visible(a, batch, row, &begin, &end);
  if (a->mask != NULL && begin < end) {
    add_mask(a, begin_of(&a->mask_at, batch, head, row), mask, scores, begin, &end);
  }
  if (a->scores != NULL && a->scores_stage == 2) {
    for (size_t j = 0; j < n; j++) {
      a->scores[at + j] = j >= begin && j < end ? scores[j] : a->scores_hidden;
    }
  }
  if (begin < end && a->sinks != NULL) {
    weigh_with_sink(job->kernels, end - begin, a->sinks[head], scores + begin);
  } else if (begin < end) {
    weft_softmax_scores(job->kernels, a->softmax_type, end - begin, scores + begin);
  }
  memset(scores, 0, begin * sizeof *scores);
  memset(scores + end, 0, (n - end) * sizeof *scores);
  keep(a, 3, at, scores);
}

static void run_blocks(void *arg, uint32_t slot, size_t begin, size_t end) {
  const job *job = arg;
  const weft_attention *a = job->a;
  parts p = parts_of(job, slot);
  for (size_t task = begin; task < end; task++) {
    size_t index = task / job->blocks, batch = index / a->kv_heads, kv_head = index % a->kv_heads;
    size_t first = task % job->blocks * job->rows, all = job->shared * a->q_len;
    size_t rows = all - first < job->rows ? all - first : job->rows;
    for (size_t i = 0; i < rows; i++) { /* rows of the heads that share these keys, one head after the other */
      size_t head = kv_head * job->shared + (first + i) / a->q_len, row = (first + i) % a->q_len;
      const float *query = a->q + begin_of(&a->q_at, batch, head, row);
      for (size_t j = 0; j < a->head; j++) {
        p.queries[i * a->head + j] = query[j] * a->scale;
      }
    }
    weft_product keys = {.a = p.queries,
                         .lda = a->head,
                         .b = a->k + begin_of(&a->k_at, batch, kv_head, 0),
                         .ldb = a->k_at.row,
                         .transposed = true,
                         .c = p.scores,
                         .ldc = a->kv_len};
    weft_product_run(job->kernels, rows, a->kv_len, a->head, &keys, false, p.packed);
    for (size_t i = 0; i < rows; i++) {
      size_t head = kv_head * job->shared + (first + i) / a->q_len, row = (first + i) % a->q_len;
      weigh(job, batch, head, row, p.scores + i * a->kv_len, p.mask);
    }
    weft_product values = {.a = p.scores,
                           .lda = a->kv_len,
                           .b = a->v + begin_of(&a->v_at, batch, kv_head, 0),
                           .ldb = a->v_at.row,
                           .c = p.queries,
                           .ldc = a->v_head};
    weft_product_run(job->kernels, rows, a->v_head, a->kv_len, &values, false, p.packed);
    for (size_t i = 0; i < rows; i++) {
      size_t head = kv_head * job->shared + (first + i) / a->q_len, row = (first + i) % a->q_len;
      memcpy(a->y + begin_of(&a->y_at, batch, head, row), p.queries + i * a->v_head, a->v_head * sizeof(float));
    }
  }
}

weft_status weft_attention_compute(weft_op *op, const weft_attention *a) {
  job job = {.a = a, .kernels = op->cx->kernels, .shared = a->kv_heads > 0 ? a->q_heads / a->kv_heads : 0};
  size_t all = job.shared * a->q_len;
  if (a->batch == 0 || all == 0) {
    return WEFT_OK;
  }
  job.rows = BLOCK_SCORES / (a->kv_len + 1);
  job.rows = job.rows < LEAST_ROWS ? LEAST_ROWS : job.rows > BLOCK_ROWS ? BLOCK_ROWS : job.rows;
  job.rows = job.rows < all ? job.rows : all;
  job.blocks = (all + job.rows - 1) / job.rows;
  size_t floats = 0;
  if (!weft_mul(job.rows + 1, wider(a) + a->kv_len, &floats) || !weft_add(floats, packed_floats(a), &floats) ||
      !weft_mul(floats, sizeof(float), &job.slot_size)) {
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the scores are larger than the address space");
  }
  void *room = NULL;
  job.slot_size = (job.slot_size + 63) / 64 * 64;
  WEFT_TRY(weft_op_scratch_array(op, weft_parallel_threads(op->cx), job.slot_size, &room));
  job.scratch = room;
  weft_parallel_slots(op->cx, a->batch * a->kv_heads * job.blocks, 1, run_blocks, &job);
  return WEFT_OK;
}

/* ---- double precision: the definition, query by query ------------------------------------------------------- */
static void keep_double(const weft_attention *a, const weft_attention_double *d, int stage, size_t at,
                        const double *s) {
  if (d->scores != NULL && a->scores_stage == stage) {
    memcpy(d->scores + at, s, a->kv_len * sizeof *s);
  }
}

/* Adds the mask to s[begin..end); gives whether any key is left. */
static bool mask_double(const weft_attention *a, size_t at, double *mask, double *s, size_t begin, size_t end) {
  bool any = false;
  weft_load_double(a->mask->type, a->mask->data, at + begin, 1, end - begin, mask);
  for (size_t j = begin; j < end; j++) {
    double m = mask[j - begin];
    m = a->mask->type != WEFT_BOOL ? m : m != 0 ? 0 : -INFINITY;
    any = any || !(m < 0 && isinf(m));
    s[j] += m;
  }
  return any;
}

/* s[begin..end) at the precision of a narrower type; room has as many numbers. */
static void softmax_narrow(weft_op *op, weft_type type, double *s, size_t begin, size_t end, float *room) {
  weft_store_double(WEFT_FLOAT, s + begin, end - begin, room, 0, 1);
  weft_softmax_scores(op->cx->kernels, type, end - begin, room);
  weft_load_double(WEFT_FLOAT, room, 0, 1, end - begin, s + begin);
}

static void softmax_double(double *s, size_t n, size_t begin, size_t end) {
  double greatest = -INFINITY, sum = 0;
  for (size_t j = begin; j < end; j++) {
    greatest = s[j] > greatest || isnan(s[j]) ? s[j] : greatest;
  }
  for (size_t j = 0; j < n; j++) {
    s[j] = j >= begin && j < end ? exp(s[j] - greatest) : 0;
    sum += s[j];
  }
  for (size_t j = begin; j < end; j++) {
    s[j] /= sum;
  }
}

static void weigh_double(weft_op *op, const weft_attention *a, const weft_attention_double *d, size_t batch,
                         size_t head, size_t row, double *s, double *mask) {
  size_t at = ((batch * a->q_heads + head) * a->q_len + row) * a->kv_len, begin = 0, end = 0;
  keep_double(a, d, 0, at, s);
  for (size_t j = 0; a->softcap > 0 && j < a->kv_len; j++) {
    s[j] = (double)a->softcap * tanh(s[j] / (double)a->softcap);
  }
  keep_double(a, d, 1, at, s);
  visible(a, batch, row, &begin, &end);
  if (a->mask != NULL && begin < end && !mask_double(a, begin_of(&a->mask_at, batch, head, row), mask, s, begin, end)) {
    end = begin;
  }
  for (size_t j = 0; j < a->kv_len; j++) {
    s[j] = j >= begin && j < end ? s[j] : -INFINITY;
  }
  keep_double(a, d, 2, at, s);
  if (begin < end && a->softmax_type != 0 && a->softmax_type != WEFT_DOUBLE) {
    softmax_narrow(op, a->softmax_type, s, begin, end, (float *)mask);
    memset(s, 0, begin * sizeof *s);
    memset(s + end, 0, (a->kv_len - end) * sizeof *s);
  } else {
    softmax_double(s, a->kv_len, begin, end);
  }
  keep_double(a, d, 3, at, s);
}

weft_status weft_attention_compute_double(weft_op *op, const weft_attention *a, const weft_attention_double *d) {
  void *room = NULL;
  size_t shared = a->kv_heads > 0 ? a->q_heads / a->kv_heads : 1;
  WEFT_TRY(weft_op_scratch_array(op, 2 * a->kv_len, sizeof(double), &room));
  double *s = room;
  for (size_t i = 0; i < a->batch * a->q_heads * a->q_len && !op->cx->cancelled; i++) {
    size_t row = i % a->q_len, head = i / a->q_len % a->q_heads, batch = i / a->q_len / a->q_heads;
    const double *q = d->q + begin_of(&a->q_at, batch, head, row);
    double *y = d->y + begin_of(&a->y_at, batch, head, row);
    for (size_t j = 0; j < a->kv_len; j++) {
      const double *k = d->k + begin_of(&a->k_at, batch, head / shared, j);
      s[j] = 0;
      for (size_t l = 0; l < a->head; l++) {
        s[j] += q[l] * d->scale * k[l];
      }
    }
    weigh_double(op, a, d, batch, head, row, s, s + a->kv_len);
    memset(y, 0, a->v_head * sizeof *y);
    for (size_t j = 0; j < a->kv_len; j++) {
      const double *v = d->v + begin_of(&a->v_at, batch, head / shared, j);
      for (size_t l = 0; l < a->v_head; l++) {
        y[l] += s[j] != 0 ? s[j] * v[l] : 0;
      }
    }
  }
  return WEFT_OK;
}
