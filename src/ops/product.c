/* Cutting matrix products into tasks. A task is a block of columns (as many as keep the packed block of b in the
 * second-level cache) and, when there are few columns for so many threads, a part of the rows. Each thread walks its
 * own tasks with its own scratch; a result never depends on the cut, because every element is one sum over k in order.
 */
#include "product.h"
#include "../kernels/elements.h"
#include "../kernels/typed.h"
#include "strassen.h"

#include <math.h>
#include <string.h>

enum {
  SMALL_PRODUCT = 131072, /* multiplications that are not worth a thread */
  FEW_PANELS = 4,         /* for each thread: then rows are shared more evenly than columns */
  LINE = 64,              /* bytes of a cache's line, or fewer */
  MOST_AHEAD = 196608,    /* floats of weights that stay in the second-level cache */
  GEMV_ROWS = 2           /* so few rows are read against plain b: packing would cost more than the product */
};

typedef struct job {
  const weft_products *products;
  weft_context *cx;
  size_t columns;       /* of a block, at most */
  size_t blocks, parts; /* column blocks and row parts of one product */
  size_t rows;          /* of a part */
  size_t threads;       /* at work, each with its own scratch */
  char *scratch;
  size_t scratch_size, packed_size; /* bytes of a thread; bytes of its packed block, in front */
} job;

weft_epilogue weft_epilogue_from(const weft_epilogue *e, size_t row, size_t column) {
  weft_epilogue out = *e;
  out.row_bias = e->row_bias != NULL ? e->row_bias + row : NULL;
  out.column_bias = e->column_bias != NULL ? e->column_bias + column : NULL;
  out.residual = e->residual != NULL ? e->residual + row * e->residual_stride + column : NULL;
  return out;
}

size_t weft_product_scratch(size_t n, size_t k) {
  return weft_gemm_packed_size(n, k);
}

static void gemv_rows(const weft_kernels *kernels, size_t m, size_t n, size_t k, const weft_product *p) {
  for (size_t row = 0; row < m; row++) {
    /* A row's bias is the same for all its columns, a residual is added in either form. */
    const weft_epilogue epilogue = weft_epilogue_from(&p->epilogue, row, 0);
    kernels->gemv_f32(n, k, p->a + row * p->lda, p->b, p->ldb, p->transposed, p->c + row * p->ldc, &epilogue);
  }
}

void weft_product_run(const weft_kernels *kernels, size_t m, size_t n, size_t k, const weft_product *product,
                      bool accumulate, float *scratch) {
  const float *packed = product->packed;
  if (packed == NULL && product->narrow != NULL) {
    if (m <= GEMV_ROWS && !accumulate) {
      kernels->gemm_half(m, n, k, product->a, product->lda, product->narrow_type, product->narrow, product->c,
                         product->ldc, &product->epilogue);
      return;
    }
    weft_widen(kernels, product->narrow_type, weft_gemm_packed_size(n, k), product->narrow, scratch);
    packed = scratch;
  }
  if (packed == NULL) {
    if (m <= GEMV_ROWS && !accumulate) {
      gemv_rows(kernels, m, n, k, product);
      return;
    }
    kernels->gemm_f32_pack(n, k, product->b, product->ldb, product->transposed, scratch);
    packed = scratch;
  }
  kernels->gemm_f32(m, n, k, product->a, product->lda, packed, k * WEFT_GEMM_NR, product->c, product->ldc, accumulate,
                    &product->epilogue);
}

/* A packed block is used panel by panel, in pieces of 8 kB with much arithmetic between them, and every piece would be
 * waited for anew: read ahead in one stream a block takes a third of that time (tests/bench/NOTES.md). */
void weft_read_ahead(const void *data, size_t bytes) {
  const volatile char *at = data;
  for (size_t i = 0; i < bytes; i += LINE) {
    (void)at[i];
  }
}

/* Where b is made here, a may be weights that were last read in the run before. The first block meets them cold. */
static void read_ahead_weights(const weft_products *all, const weft_product *p, size_t m, size_t block) {
  if (block == 0 && m > GEMV_ROWS && p->lda == all->k && m <= MOST_AHEAD / (all->k + 1)) {
    weft_read_ahead(p->a, m * all->k * sizeof(float));
  }
}

static size_t column_of(const job *job, size_t block) {
  return weft_share_begin(job->products->n, WEFT_GEMM_NR, block, job->blocks);
}

/* The part of a product that one task makes. */
static void run_task(const job *job, size_t task, char *scratch) {
  const weft_products *all = job->products;
  size_t part = task % job->parts;
  size_t block = task / job->parts % job->blocks;
  size_t index = task / job->parts / job->blocks;
  size_t row = part * job->rows, column = column_of(job, block);
  size_t m = weft_smaller(job->rows, all->m - row), n = column_of(job, block + 1) - column;
  weft_product p = {0};
  all->at(all->arg, index, &p);
  p.a += row * p.lda;
  p.c += row * p.ldc + column;
  p.epilogue = weft_epilogue_from(&p.epilogue, row, column);
  if (p.packed != NULL) {
    p.packed += column * all->k;
    if (m > GEMV_ROWS) { /* so few read the block from memory as they use it, as one stream; the others find it near */
      weft_product_run(job->cx->kernels, GEMV_ROWS, n, all->k, &p, all->accumulate, NULL);
      m -= GEMV_ROWS;
      p.a += GEMV_ROWS * p.lda;
      p.c += GEMV_ROWS * p.ldc;
      p.epilogue = weft_epilogue_from(&p.epilogue, GEMV_ROWS, 0);
    }
  } else if (p.narrow != NULL) {
    p.narrow += column * all->k;
  } else if (all->pack != NULL) {
    all->pack(all->arg, index, column, n, (float *)scratch, scratch + job->packed_size);
    p.packed = (const float *)scratch;
  } else {
    p.b += p.transposed ? column * p.ldb : column;
  }
  if (p.packed == NULL || all->pack != NULL) {
    read_ahead_weights(all, &p, m, block);
  }
  weft_product_run(job->cx->kernels, m, n, all->k, &p, all->accumulate, (float *)scratch);
}

static void run_tasks(void *arg, uint32_t slot, size_t begin, size_t end) {
  const job *job = arg;
  char *scratch = job->scratch != NULL ? job->scratch + slot * job->scratch_size : NULL;
  for (size_t task = begin; task < end && !job->cx->cancelled; task++) {
    run_task(job, task, scratch);
  }
}

static bool small(const weft_products *products) {
  size_t work = 0;
  return weft_mul(products->m, products->n, &work) && weft_mul(work, products->k, &work) &&
         weft_mul(work, products->count, &work) && work < SMALL_PRODUCT;
}

/* One or two rows read b once, and as it lies. */
static bool is_direct(const weft_products *all, const weft_product *first) {
  return all->m <= GEMV_ROWS && (first->packed != NULL || (all->pack == NULL && !all->accumulate));
}

static void cut(job *job, const weft_product *first) {
  const weft_products *all = job->products;
  size_t threads = small(all) ? 1 : weft_parallel_threads(job->cx);
  size_t columns = WEFT_PRODUCT_BLOCK / (all->k > 0 ? all->k : 1) / WEFT_GEMM_NR * WEFT_GEMM_NR;
  size_t share =
      weft_parts(weft_parts(all->n * weft_smaller(all->count, threads), threads), WEFT_GEMM_NR) * WEFT_GEMM_NR;
  columns = weft_smaller(columns, share > 4 * WEFT_GEMM_NR ? share : 4 * WEFT_GEMM_NR);
  if (is_direct(all, first) && (first->packed != NULL || first->narrow != NULL || first->transposed)) {
    columns = share; /* the longer a stream of memory the better */
  }
  columns = columns > WEFT_GEMM_NR ? columns : WEFT_GEMM_NR;
  const bool by_rows = threads > 1 && all->count == 1 && all->m >= 32 * threads &&
                       weft_parts(all->n, WEFT_GEMM_NR) < FEW_PANELS * threads && all->n <= 2 * columns;
  const size_t panels = weft_parts(all->n, WEFT_GEMM_NR);
  size_t blocks = by_rows ? 1 : weft_parts(all->n, columns);
  if (!by_rows && all->count == 1 && all->m > GEMV_ROWS) { /* as many blocks for each thread */
    blocks = weft_smaller(weft_parts(blocks, threads) * threads, panels);
  }
  job->blocks = blocks;
  job->columns = weft_parts(panels, blocks) * WEFT_GEMM_NR;
  job->rows = all->m;
  size_t tasks = job->blocks * all->count;
  if (tasks < threads && all->m >= 32) {
    job->rows = weft_parts(weft_parts(all->m, threads / tasks + (threads % tasks != 0)), 8) * 8;
  }
  job->parts = weft_parts(all->m, job->rows);
  job->threads = threads;
}

weft_status weft_products_run(weft_op *op, const weft_products *products) {
  weft_product first = {0};
  if (products->count == 1 && products->m != 0 && products->n != 0) {
    products->at(products->arg, 0, &first);
  }
  return weft_strassen_fits(op->cx, products, &first) ? weft_strassen_run(op, products, &first)
                                                      : weft_products_run_plain(op, products);
}

weft_status weft_products_run_plain(weft_op *op, const weft_products *products) {
  if (products->count == 0 || products->m == 0 || products->n == 0) {
    return WEFT_OK;
  }
  job job = {.products = products, .cx = op->cx};
  weft_product first = {0};
  products->at(products->arg, 0, &first);
  cut(&job, &first);
  if (first.packed == NULL && !is_direct(products, &first)) {
    size_t columns = job.columns, extra = 0;
    if (!weft_mul(columns, products->k, &job.packed_size) ||
        !weft_mul(job.packed_size, sizeof(float), &job.packed_size) ||
        !weft_mul(columns, products->scratch_column, &extra) || !weft_add(extra, products->scratch_fixed, &extra) ||
        !weft_add(extra, job.packed_size, &job.scratch_size) || !weft_add(job.scratch_size, 63, &job.scratch_size)) {
      return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the product's scratch is larger than the address space");
    }
    job.scratch_size = job.scratch_size / 64 * 64;
    void *scratch = NULL;
    WEFT_TRY(weft_op_scratch_array(op, job.threads, job.scratch_size, &scratch));
    job.scratch = scratch;
  }
  size_t tasks = products->count * job.blocks * job.parts;
  if (job.threads == 1) {
    run_tasks(&job, 0, 0, tasks);
  } else {
    weft_parallel_slots(op->cx, tasks, 1, run_tasks, &job);
  }
  return WEFT_OK;
}

void weft_widen(const weft_kernels *kernels, weft_type type, size_t n, const void *in, float *out) {
  if (type == WEFT_FLOAT) {
    memcpy(out, in, n * sizeof(float));
  } else {
    (type == WEFT_FLOAT16 ? kernels->float16_to_f32 : kernels->bfloat16_to_f32)(n, in, out);
  }
}

void weft_narrow(const weft_kernels *kernels, weft_type type, size_t n, const float *in, void *out) {
  if (type == WEFT_FLOAT) {
    memcpy(out, in, n * sizeof(float));
  } else {
    (type == WEFT_FLOAT16 ? kernels->f32_to_float16 : kernels->f32_to_bfloat16)(n, in, out);
  }
}

weft_status weft_op_floats(weft_op *op, const weft_tensor *tensor, const float **out) {
  *out = NULL;
  if (tensor == NULL || tensor->type == WEFT_FLOAT) {
    *out = tensor != NULL ? tensor->data : NULL;
    return WEFT_OK;
  }
  void *copy = NULL;
  WEFT_TRY(weft_op_scratch_array(op, tensor->count, sizeof(float), &copy));
  weft_widen(op->cx->kernels, tensor->type, tensor->count, tensor->data, copy);
  *out = copy;
  return WEFT_OK;
}

weft_status weft_op_floats_out(weft_op *op, const weft_tensor *tensor, float **out) {
  *out = NULL;
  if (tensor == NULL || tensor->type == WEFT_FLOAT) {
    *out = tensor != NULL ? tensor->data : NULL;
    return WEFT_OK;
  }
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, tensor->count, sizeof(float), &room));
  *out = room;
  return WEFT_OK;
}

void weft_op_floats_done(weft_op *op, const weft_tensor *tensor, const float *values) {
  if (tensor != NULL && tensor->type != WEFT_FLOAT) {
    weft_narrow(op->cx->kernels, tensor->type, tensor->count, values, tensor->data);
  }
}

weft_status weft_op_activation(weft_op *op, weft_epilogue *out) {
  static const struct {
    const char *name;
    weft_activation activation;
    float lo, hi;
  } named[] = {{"Relu", WEFT_ACT_CLIP, 0, INFINITY},    {"Clip", WEFT_ACT_CLIP, -INFINITY, INFINITY},
               {"LeakyRelu", WEFT_ACT_LEAKY, 0.01F, 0}, {"HardSigmoid", WEFT_ACT_HARDSIGMOID, 0.2F, 0.5F},
               {"Sigmoid", WEFT_ACT_SIGMOID, 0, 0},     {"Tanh", WEFT_ACT_TANH, 0, 0},
               {"HardSwish", WEFT_ACT_HARDSWISH, 0, 0}, {"Gelu", WEFT_ACT_GELU, 0, 0}};
  const weft_attribute *attribute = weft_node_attribute(op->node, "activation");
  if (attribute == NULL) {
    return WEFT_OK;
  }
  if (attribute->kind == WEFT_ATTRIBUTE_INT) {
    if (attribute->i < WEFT_ACT_NONE || attribute->i > WEFT_ACT_GELU) {
      return weft_op_fail(op, "unknown activation %lld", (long long)attribute->i);
    }
    out->activation = (weft_activation)attribute->i;
    out->lo = weft_op_attr_float(op, "lo", 0);
    out->hi = weft_op_attr_float(op, "hi", 0);
    return WEFT_OK;
  }
  const char *name = weft_op_attr_string(op, "activation", "");
  for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
    if (strcmp(name, named[i].name) == 0) {
      size_t count = 0;
      const float *parameters = weft_op_attr_floats(op, "activation_params", &count);
      out->activation = named[i].activation;
      out->lo = named[i].lo;
      out->hi = named[i].hi;
      if (i > 0) { /* Relu has no parameters: those of others that a file gives it mean nothing */
        out->lo = weft_op_attr_float(op, "activation_alpha", count > 0 ? parameters[0] : out->lo);
        out->hi = weft_op_attr_float(op, "activation_beta", count > 1 ? parameters[1] : out->hi);
      }
      return WEFT_OK;
    }
  }
  return *name == 0 ? WEFT_OK : weft_op_unsupported(op, "activation '%s'", name);
}

/* In tiles of b that stay in the cache, and that are put in order where b is not; every element is summed in the same
 * order. Long sums are sums of blocks: deep, narrow tiles whose sums are made apart. */
void weft_plain_product_run(const weft_plain_product *p) {
  enum { DEPTH = 256, WIDTH = 16, LONG = 4096 };
  const bool apart = p->k > LONG;
  const size_t size = weft_type_size(p->type), most_deep = apart ? DEPTH : 16, most_wide = apart ? WIDTH : 64;
  uint64_t tile[DEPTH * WIDTH], factors[DEPTH], sums[WIDTH];
  memset(p->c, 0, p->m * p->n * size);
  for (size_t l = 0; l < p->k; l += most_deep) {
    const size_t depth = weft_smaller(most_deep, p->k - l);
    for (size_t j = 0; j < p->n; j += most_wide) {
      const size_t width = weft_smaller(most_wide, p->n - j);
      const char *b = (const char *)p->b + (l * p->b_row + j * p->b_column) * size;
      for (size_t r = 0; p->b_column != 1 && r < depth; r++) {
        weft_copy_elements(size, width, b + r * p->b_row * size, (int64_t)p->b_column,
                           (char *)tile + r * most_wide * size, 1);
      }
      for (size_t i = 0; i < p->m; i++) {
        const char *a = (const char *)p->a + (i * p->a_row + l * p->a_column) * size;
        char *c = (char *)p->c + (i * p->n + j) * size;
        if (p->a_column != 1) {
          weft_copy_elements(size, depth, a, (int64_t)p->a_column, factors, 1);
        }
        memset(sums, 0, apart ? sizeof sums : 0);
        weft_typed_add_rows(p->type, width, depth, p->a_column == 1 ? (const void *)a : factors,
                            p->b_column == 1 ? (const void *)b : tile, p->b_column == 1 ? p->b_row : most_wide,
                            apart ? (void *)sums : c);
        if (apart) {
          weft_typed_binary_of(WEFT_TYPED_ADD, p->type)(width, c, sums, c);
        }
      }
    }
  }
}

enum { PLAIN_GRAIN = 1 << 16 /* multiplications of a task, at least */ };

static void run_plain_rows(void *arg, size_t begin, size_t end) {
  weft_plain_product rows = *(const weft_plain_product *)arg;
  const size_t size = weft_type_size(rows.type);
  rows.a = (const char *)rows.a + begin * rows.a_row * size;
  rows.c = (char *)rows.c + begin * rows.n * size;
  rows.m = end - begin;
  weft_plain_product_run(&rows);
}

void weft_plain_product_share(weft_context *cx, const weft_plain_product *product) {
  weft_plain_product all = *product;
  weft_parallel(cx, all.m, 1 + PLAIN_GRAIN / (all.n * all.k + 1), run_plain_rows, &all);
}
