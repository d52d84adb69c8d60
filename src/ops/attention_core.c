/* Attention by blocks of query rows. The query heads that share keys are multiplied together. The keys and values of a
 * head are packed once for all its blocks: by the task that has the whole head, or before all tasks where there are too
 * few heads for the threads and a task is one block. A block's scores stay in the cache from the first product through
 * the softmax to the second. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "attention.h"
#include "product.h"
#include "softmax.h"

#include <math.h>
#include <string.h>

enum {
  BLOCK_ROWS = 60,
  LEAST_ROWS = 6,
  BLOCK_SCORES = 65536,
  DIRECT_ROWS = 2, /* queries of a key head that are multiplied with keys as they lie */
  TASKS = 4        /* for each thread */
};

typedef struct job {
  const weft_attention *a;
  const weft_kernels *kernels;
  size_t shared;       /* query heads of a key head */
  size_t rows, blocks; /* of a block; blocks of a key head */
  size_t parts;        /* tasks of a key head: 1, or one a block */
  bool direct;
  bool plain; /* scores become weights and nothing else: the kernel's work */
  char *scratch;
  size_t slot_size;
  float *packed;        /* keys and values of all heads, or NULL: each slot has room for those of one */
  size_t packed_floats; /* of one head */
} job;

/* A slot's scratch. */
typedef struct parts {
  float *queries, *results, *scores, *mask, *keys, *values;
  float *wide_k, *wide_v; /* room for those of a head that are in 16 bits */
  const float *k, *v;     /* those of the head, `k_row` and `v_row` apart, where they are not packed */
  size_t k_row, v_row;
  size_t mask_at, mask_count; /* what `mask` holds, and whether any key takes part */
  bool any;
} parts;

static size_t values_size(const weft_attention *a) {
  return weft_product_scratch(a->v_head, a->kv_len);
}

/* Floats of a head's packed keys and values, or false. */
static bool packed_floats(const weft_attention *a, size_t *out) {
  return weft_add(a->kv_len, WEFT_GEMM_NR, out) && weft_mul(*out, a->head, out) && weft_add(*out, values_size(a), out);
}

/* Floats of a slot, or false. */
static bool slot_floats(const job *job, size_t *out) {
  const weft_attention *a = job->a;
  size_t floats = 0;
  if (!weft_add(a->head, a->v_head, &floats) || !weft_add(floats, a->kv_len, &floats) ||
      !weft_mul(floats, job->rows, &floats) || !weft_add(floats, a->kv_len, &floats)) {
    return false;
  }
  size_t wide = (a->k_halves != NULL ? a->head : 0) + (a->v_halves != NULL ? a->v_head : 0);
  return weft_mul(wide, a->kv_len, &wide) && weft_add(floats, wide, &floats) &&
         weft_add(floats, job->parts == 1 ? job->packed_floats : 0, out);
}

static parts parts_of(const job *job, uint32_t slot) {
  const weft_attention *a = job->a;
  parts p = {.values = (float *)(job->scratch + slot * job->slot_size)}; /* what products read comes first: aligned */
  p.wide_k = p.values + (job->parts == 1 ? job->packed_floats : 0);
  p.wide_v = p.wide_k + (a->k_halves != NULL ? a->kv_len * a->head : 0);
  p.queries = p.wide_v + (a->v_halves != NULL ? a->kv_len * a->v_head : 0);
  p.results = p.queries + job->rows * a->head;
  p.scores = p.results + job->rows * a->v_head;
  p.mask = p.scores + job->rows * a->kv_len;
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
  int64_t low = a->left >= 0 && a->left < place ? place - a->left : 0, high = (int64_t)a->kv_len;
  if (a->right >= 0 && a->right < high - 1 - place) {
    high = place + a->right + 1;
  }
  if (a->valid != NULL && a->valid[batch] < high) {
    high = a->valid[batch];
  }
  if (a->mask != NULL && (int64_t)a->mask_len < high) {
    high = (int64_t)a->mask_len;
  }
  *begin = low < high ? (size_t)low : 0;
  *end = low < high ? (size_t)high : 0;
}

/* Whether queries see different keys. */
static bool has_window(const weft_attention *a) {
  return a->left >= 0 || a->right >= 0;
}

/* The mask's elements from `at` on as numbers to add, and whether they leave any key. Rows often share them. */
static const float *load_mask(const job *job, parts *p, size_t at, size_t count) {
  const weft_tensor *mask = job->a->mask;
  bool held = p->mask_count == count && p->mask_at == at, given = mask->type == WEFT_FLOAT;
  const float *values = given ? (const float *)mask->data + at : p->mask;
  if (held) {
    return values;
  }
  if (!given) {
    weft_load_float(mask->type, mask->data, at, 1, count, p->mask);
  }
  for (size_t j = 0; mask->type == WEFT_BOOL && j < count; j++) {
    p->mask[j] = p->mask[j] != 0 ? 0 : -INFINITY;
  }
  float greatest = job->kernels->max_f32(count, values);
  p->any = !(greatest < 0 && isinf(greatest));
  p->mask_at = at;
  p->mask_count = count;
  return values;
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
  float share = 1 / (1 + weft_exp_f32(sink - greatest) * kernels->max_f32(n, scores));
  kernels->binary_f32[WEFT_BINARY_MUL](n, scores, 1, &share, 0, scores);
}

/* What is done with the scores of one query before they are weights, but for a softmax that is rounded or has a sink. */
static void prepare(const job *job, size_t at, const float *mask, size_t begin, size_t end, float *scores) {
  const weft_attention *a = job->a;
  const size_t n = a->kv_len;
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
  if (mask != NULL) {
    job->kernels->binary_f32[WEFT_BINARY_ADD](end - begin, scores + begin, 1, mask, 1, scores + begin);
  }
  if (a->scores != NULL && a->scores_stage == 2) {
    for (size_t j = 0; j < n; j++) {
      a->scores[at + j] = j >= begin && j < end ? scores[j] : a->scores_hidden;
    }
  }
}

/* From scores of queries [row, row + rows) of a head to weights. Gives how many of the queries that was: all that see
 * the same keys through the same mask. */
static size_t weigh(const job *job, parts *p, size_t batch, size_t head, size_t row, size_t rows, float *scores) {
  const weft_attention *a = job->a;
  const size_t n = a->kv_len, at = ((batch * a->q_heads + head) * a->q_len + row) * n;
  const float *mask = NULL;
  size_t begin = 0, end = 0;
  visible(a, batch, row, &begin, &end);
  if (a->mask != NULL && begin < end) {
    mask = load_mask(job, p, begin_of(&a->mask_at, batch, head, row) + begin, end - begin);
    end = p->any ? end : begin;
  }
  rows = !job->plain || has_window(a) || a->mask_at.row > 0 ? 1 : weft_smaller(rows, a->q_len - row);
  if (!job->plain) {
    prepare(job, at, begin < end ? mask : NULL, begin, end, scores);
  }
  if (begin < end && job->plain) {
    job->kernels->weigh_f32(rows, end - begin, mask, scores + begin, n);
  } else if (begin < end && a->sinks != NULL) {
    weigh_with_sink(job->kernels, end - begin, a->sinks[head], scores + begin);
  } else if (begin < end) {
    weft_softmax_scores(job->kernels, a->softmax_type, end - begin, scores + begin);
  }
  for (size_t i = 0; end - begin < n && i < rows; i++) {
    memset(scores + i * n, 0, begin * sizeof *scores);
    memset(scores + i * n + end, 0, (n - end) * sizeof *scores);
  }
  keep(a, 3, at, scores);
  return rows;
}

/* How many of the first keys any of the queries [first, first + rows) sees. */
static size_t highest_key(const job *job, size_t batch, size_t first, size_t rows) {
  const weft_attention *a = job->a;
  if (a->scores != NULL) {
    return a->kv_len;
  }
  size_t highest = 1;
  rows = has_window(a) ? rows : 1;
  for (size_t i = 0; i < rows; i++) {
    size_t begin = 0, end = 0;
    visible(a, batch, (first + i) % a->q_len, &begin, &end);
    highest = end > highest ? end : highest;
  }
  return highest < a->kv_len ? highest : a->kv_len;
}

/* Query i of those that share the keys of `kv_head`: one head after the other. */
static size_t head_of(const job *job, size_t kv_head, size_t i) {
  return kv_head * job->shared + i / job->a->q_len;
}

static void run_block(const job *job, parts *p, size_t batch, size_t kv_head, size_t first, size_t rows) {
  const weft_attention *a = job->a;
  const weft_kernels *kernels = job->kernels;
  for (size_t i = first; i < first + rows; i++) {
    const float *query = a->q + begin_of(&a->q_at, batch, head_of(job, kv_head, i), i % a->q_len);
    kernels->binary_f32[WEFT_BINARY_MUL](a->head, query, 1, &a->scale, 0, p->queries + (i - first) * a->head);
  }
  weft_product keys = {.a = p->queries,
                       .lda = a->head,
                       .packed = p->keys,
                       .b = p->k,
                       .ldb = p->k_row,
                       .transposed = true,
                       .c = p->scores,
                       .ldc = a->kv_len};
  weft_product_run(kernels, rows, highest_key(job, batch, first, rows), a->head, &keys, false, NULL);
  for (size_t i = first; i < first + rows;) {
    i += weigh(job, p, batch, head_of(job, kv_head, i), i % a->q_len, first + rows - i,
               p->scores + (i - first) * a->kv_len);
  }
  bool in_place = job->shared == 1;
  weft_product values = {.a = p->scores,
                         .lda = a->kv_len,
                         .packed = job->direct ? NULL : p->values,
                         .b = p->v,
                         .ldb = p->v_row,
                         .c = in_place ? a->y + begin_of(&a->y_at, batch, kv_head, first) : p->results,
                         .ldc = in_place ? a->y_at.row : a->v_head};
  weft_product_run(kernels, rows, a->v_head, a->kv_len, &values, false, NULL);
  for (size_t i = first; !in_place && i < first + rows; i++) {
    memcpy(a->y + begin_of(&a->y_at, batch, head_of(job, kv_head, i), i % a->q_len),
           p->results + (i - first) * a->v_head, a->v_head * sizeof(float));
  }
}

/* Rows of `size` halves as floats next to each other. */
static void widen_rows(const job *job, weft_type type, const uint16_t *halves, size_t row, size_t size, float *out) {
  const size_t rows = job->a->kv_len, together = row == size ? rows : 1;
  for (size_t i = 0; i < rows; i += together) {
    weft_widen(job->kernels, type, size * together, halves + i * row, out + i * size);
  }
}

/* Finds the keys and values of a head, of all heads of all batches, as floats. */
static void open_head(const job *job, parts *p, size_t index) {
  const weft_attention *a = job->a;
  const size_t k_at = begin_of(&a->k_at, index / a->kv_heads, index % a->kv_heads, 0);
  const size_t v_at = begin_of(&a->v_at, index / a->kv_heads, index % a->kv_heads, 0);
  p->k_row = a->k_at.row;
  p->v_row = a->v_at.row;
  if (a->k_halves != NULL) {
    widen_rows(job, a->k_type, a->k_halves + k_at, p->k_row, a->head, p->wide_k);
    p->k_row = a->head;
  }
  if (a->v_halves != NULL) {
    widen_rows(job, a->v_type, a->v_halves + v_at, p->v_row, a->v_head, p->wide_v);
    p->v_row = a->v_head;
  }
  p->k = a->k_halves != NULL ? p->wide_k : a->k + k_at;
  p->v = a->v_halves != NULL ? p->wide_v : a->v + v_at;
}

static void pack_head(const job *job, parts *p, size_t index, float *out) {
  const weft_attention *a = job->a;
  open_head(job, p, index);
  job->kernels->gemm_f32_pack(a->v_head, a->kv_len, p->v, p->v_row, false, out);
  job->kernels->gemm_f32_pack(a->kv_len, a->head, p->k, p->k_row, true, out + values_size(a));
}

static void pack_all(void *arg, uint32_t slot, size_t begin, size_t end) {
  const job *job = arg;
  parts p = parts_of(job, slot);
  for (size_t i = begin; i < end; i++) {
    pack_head(job, &p, i, job->packed + i * job->packed_floats);
  }
}

static void run_tasks(void *arg, uint32_t slot, size_t begin, size_t end) {
  const job *job = arg;
  const weft_attention *a = job->a;
  parts p = parts_of(job, slot);
  size_t all = job->shared * a->q_len;
  for (size_t task = begin; task < end; task++) {
    size_t index = task / job->parts, part = task % job->parts;
    if (job->direct) {
      open_head(job, &p, index);
    } else if (job->packed == NULL) {
      pack_head(job, &p, index, p.values);
      p.keys = p.values + values_size(a);
    } else {
      p.values = job->packed + index * job->packed_floats;
      p.keys = p.values + values_size(a);
    }
    for (size_t block = part; block < (job->parts > 1 ? part + 1 : job->blocks); block++) {
      size_t first = block * job->rows;
      run_block(job, &p, index / a->kv_heads, index % a->kv_heads, first,
                all - first < job->rows ? all - first : job->rows);
    }
  }
}

static weft_status place(weft_op *op, job *job, size_t heads, size_t threads) {
  size_t floats = 0, size = 0;
  void *room = NULL;
  if (!(job->direct || packed_floats(job->a, &job->packed_floats)) || !slot_floats(job, &floats) ||
      !weft_mul(floats, sizeof(float), &size) || !weft_add(size, 63, &size) ||
      !weft_mul(job->packed_floats, sizeof(float), &floats)) {
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the scores are larger than the address space");
  }
  if (job->parts > 1 && !job->direct) {
    WEFT_TRY(weft_op_scratch_array(op, heads, floats, &room));
    job->packed = room;
  }
  job->slot_size = size / 64 * 64;
  WEFT_TRY(weft_op_scratch_array(op, threads, job->slot_size, &room));
  job->scratch = room;
  return WEFT_OK;
}

/* Makes a task of each block, blocks of a size, and as many for each thread. */
static void share_out(job *job, size_t all, size_t heads, size_t threads) {
  while (heads * job->blocks % threads != 0) {
    job->blocks++;
  }
  job->rows = ((all - 1) / job->blocks / 4 + 1) * 4;
  job->rows = job->rows < all ? job->rows : all;
  job->blocks = (all + job->rows - 1) / job->rows;
  job->parts = job->blocks;
}

weft_status weft_attention_compute(weft_op *op, const weft_attention *a) {
  job job = {.a = a, .kernels = op->cx->kernels, .shared = a->kv_heads > 0 ? a->q_heads / a->kv_heads : 0};
  size_t all = job.shared * a->q_len, heads = a->batch * a->kv_heads, threads = weft_parallel_threads(op->cx);
  if (a->batch == 0 || all == 0) {
    return WEFT_OK;
  }
  job.direct = all <= DIRECT_ROWS;
  job.plain = a->scores == NULL && a->softcap <= 0 && a->sinks == NULL && !weft_type_is_half(a->softmax_type);
  job.rows = BLOCK_SCORES / (a->kv_len + 1) / LEAST_ROWS * LEAST_ROWS;
  job.rows = job.rows < LEAST_ROWS ? LEAST_ROWS : job.rows > BLOCK_ROWS ? BLOCK_ROWS : job.rows;
  job.rows = job.rows < all ? job.rows : all;
  job.blocks = (all + job.rows - 1) / job.rows;
  job.parts = 1;
  if (threads > 1 && heads < TASKS * threads && !job.direct) share_out(&job, all, heads, threads);
  WEFT_TRY(place(op, &job, heads, threads));
  if (job.packed != NULL) weft_parallel_slots(op->cx, heads, 1, pack_all, &job);
  weft_parallel_slots(op->cx, heads * job.parts, 1, run_tasks, &job);
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
    s[j] = j >= begin && j < end ? weft_exp(s[j] - greatest) : 0;
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
    s[j] = (double)a->softcap * weft_tanh(s[j] / (double)a->softcap);
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
