/* Matrix products cut for any number of threads: the same bits whatever the cut, for shapes with few rows, few columns
 * and remainders of both, with a plain b that each task packs for itself, and with packed ones, of which the large are
 * made of products of halves: these are as near to exact sums as may be, and what is unlike its neighbour is what the
 * kernel makes of it. */
#include "base/memory.h"
#include "kernels/kernels.h"
#include "ops/product.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 20 };

typedef struct shape {
  size_t count, m, n, k;
} shape;

typedef struct operands {
  shape shape;
  float *a, *b, *c;
} operands;

static void product_at(const void *arg, size_t index, weft_product *out) {
  const operands *o = arg;
  const shape *s = &o->shape;
  *out = (weft_product){.a = o->a + index * s->m * s->k,
                        .lda = s->k,
                        .b = o->b + index * s->k * s->n,
                        .ldb = s->n,
                        .c = o->c + index * s->m * s->n,
                        .ldc = s->n};
}

static float *numbers(size_t count) {
  float *x = malloc(count * sizeof(float));
  for (size_t i = 0; x != NULL && i < count; i++) {
    x[i] = (float)((i * 7919) % 2003) / 1001.5f - 1.0f;
  }
  return x;
}

static bool run(weft_context *cx, operands *o) {
  weft_scratch scratch = {0};
  weft_op op = {.cx = cx, .scratch = &scratch};
  const shape *s = &o->shape;
  weft_products products = {.count = s->count, .m = s->m, .n = s->n, .k = s->k, .arg = o, .at = product_at};
  weft_status status = weft_products_run(&op, &products);
  weft_scratch_free(&scratch);
  return status == WEFT_OK;
}

static int check(weft_context *cx, shape s) {
  size_t results = s.count * s.m * s.n;
  operands o = {s, numbers(s.count * s.m * s.k), numbers(s.count * s.k * s.n), numbers(results)};
  float *wanted = numbers(results);
  bool good = o.a != NULL && o.b != NULL && o.c != NULL && wanted != NULL;
  for (uint32_t threads = 1; good && threads <= 5; threads++) {
    good = weft_pool_create(cx, threads, &cx->pool) == WEFT_OK;
    for (int round = 0; good && round < (threads > 1 ? ROUNDS : 1); round++) { /* threads meet by chance */
      memset(o.c, 0, results * sizeof(float));
      good = run(cx, &o);
      if (threads == 1) memcpy(wanted, o.c, results * sizeof(float));
      good = good && memcmp(wanted, o.c, results * sizeof(float)) == 0;
    }
    weft_pool_destroy(cx->pool);
    cx->pool = NULL;
    if (!good) fprintf(stderr, "%zu of %zux%zux%zu, %u threads\n", s.count, s.m, s.n, s.k, threads);
  }
  free(o.a);
  free(o.b);
  free(o.c);
  free(wanted);
  return !good;
}

/* ---- products of halves -------------------------------------------------------------------------------------------- */
/* How the product is given b: panels, panels in 16 bits, or a function that makes panels. */
typedef enum source { PANELS, NARROW, MADE } source;

typedef struct halves {
  shape shape;
  source source;
  const float *panels;
  const uint16_t *bfloats; /* the same */
  weft_product product;    /* but for b */
} halves;

static void halves_at(const void *arg, size_t index, weft_product *out) {
  const halves *h = arg;
  (void)index;
  *out = h->product;
  out->packed = h->source == PANELS ? h->panels : NULL;
  out->narrow = h->source == NARROW ? h->bfloats : NULL;
  out->narrow_type = WEFT_BFLOAT16;
}

static void make_panels(const void *arg, size_t index, size_t column, size_t columns, float *out, void *scratch) {
  const halves *h = arg;
  (void)index;
  (void)scratch;
  memcpy(out, h->panels + column * h->shape.k, weft_gemm_packed_size(columns, h->shape.k) * sizeof(float));
}

static weft_status multiply(weft_context *cx, const halves *h) {
  weft_scratch scratch = {0};
  weft_op op = {.cx = cx, .scratch = &scratch};
  const shape *s = &h->shape;
  weft_products products = {.count = 1, .m = s->m, .n = s->n, .k = s->k, .arg = h, .at = halves_at};
  if (h->source == MADE) {
    products.pack = make_panels;
    products.weights = true;
  }
  const weft_status status = weft_products_run(&op, &products);
  weft_scratch_free(&scratch);
  return status;
}

/* Whether element (i, j) is within `units` of what its terms' sizes round to. */
static bool is_near(const halves *h, const float *b, size_t i, size_t j, float found, double units) {
  const weft_product *p = &h->product;
  double sum = 0, sizes = 0;
  for (size_t l = 0; l < h->shape.k; l++) {
    const double x = p->a[i * p->lda + l], y = b[l * h->shape.n + j];
    sum += x * y;
    sizes += fabs(x * y);
  }
  sum += p->epilogue.column_bias != NULL ? p->epilogue.column_bias[j] : 0;
  sum += p->epilogue.residual != NULL ? p->epilogue.residual[i * p->epilogue.residual_stride + j] : 0;
  if (p->epilogue.activation == WEFT_ACT_CLIP && sum < 0) sum = 0;
  const double difference = fabs(found - sum), unit = (sizes + fabs(sum)) * FLT_EPSILON / 2;
  if (difference <= units * unit) return true;
  fprintf(stderr, "element %zu, %zu is %g units from its sum\n", i, j, difference / unit);
  return false;
}

/* Rows and columns that others would spoil: each against what the kernel makes of it alone. */
static bool is_apart(weft_context *cx, const halves *h, size_t row, size_t column, const float *c) {
  const shape *s = &h->shape;
  const weft_product *p = &h->product;
  float *alone = calloc(s->m * s->n, sizeof(float));
  bool same = alone != NULL;
  if (same) {
    cx->kernels->gemm_f32(s->m, s->n, s->k, p->a, p->lda, h->panels, s->k * WEFT_GEMM_NR, alone, s->n, false,
                          &p->epilogue);
    same = memcmp(alone + row * s->n, c + row * s->n, s->n * sizeof(float)) == 0;
    for (size_t i = 0; i < s->m; i++) {
      same = same && memcmp(alone + i * s->n + column, c + i * s->n + column, sizeof(float)) == 0;
    }
  }
  if (!same) fprintf(stderr, "row %zu or column %zu is not alone\n", row, column);
  free(alone);
  return same;
}

static int check_halves(weft_context *cx, shape s, int epilogue, source source) {
  enum { ROW = 5, COLUMN = 11, MOST_UNITS = 48 };
  static const float unlike[] = {1, 0, 1000, 1e-6F, NAN, INFINITY};
  float *a = numbers(s.m * (s.k + 3)), *b = numbers(s.k * s.n + 17), *c = numbers(s.m * s.n),
        *wanted = numbers(s.m * s.n);
  float *packed = numbers(weft_gemm_packed_size(s.n, s.k)), *more = numbers(s.m * s.n + s.n);
  uint16_t *bfloats = calloc(weft_gemm_packed_size(s.n, s.k), sizeof *bfloats);
  bool good =
      a != NULL && b != NULL && c != NULL && wanted != NULL && packed != NULL && more != NULL && bfloats != NULL;
  for (size_t t = 0; good && t < sizeof unlike / sizeof *unlike; t++) {
    for (size_t l = 0; l < s.k; l++) {
      a[ROW * (s.k + 3) + l] = unlike[t] * more[l];
      b[l * s.n + COLUMN] = unlike[t] * more[l + 1];
    }
    if (source == NARROW) { /* so that they lose nothing */
      cx->kernels->f32_to_bfloat16(s.k * s.n, b, bfloats);
      cx->kernels->bfloat16_to_f32(s.k * s.n, bfloats, b);
    }
    cx->kernels->gemm_f32_pack(s.n, s.k, b, s.n, false, packed);
    cx->kernels->f32_to_bfloat16(weft_gemm_packed_size(s.n, s.k), packed, bfloats);
    halves h = {.shape = s,
                .source = source,
                .panels = packed,
                .bfloats = bfloats,
                .product = {.a = a, .lda = s.k + 3, .c = c, .ldc = s.n, .epilogue.hi = INFINITY}};
    if (epilogue > 0) h.product.epilogue.column_bias = more;
    if (epilogue > 1) h.product.epilogue.residual = more + s.n;
    if (epilogue > 1) h.product.epilogue.residual_stride = s.n;
    if (epilogue > 0) h.product.epilogue.activation = WEFT_ACT_CLIP;
    for (uint32_t threads = 1; good && threads <= 5; threads++) {
      good = weft_pool_create(cx, threads, &cx->pool) == WEFT_OK;
      memset(c, 0, s.m * s.n * sizeof(float));
      good = good && multiply(cx, &h) == WEFT_OK;
      if (threads == 1) memcpy(wanted, c, s.m * s.n * sizeof(float));
      good = good && memcmp(wanted, c, s.m * s.n * sizeof(float)) == 0;
      weft_pool_destroy(cx->pool);
      cx->pool = NULL;
    }
    for (size_t i = 0; good && i < s.m; i += 1 + i % 3) {
      for (size_t j = 0; good && j < s.n; j += 1 + j % 5) {
        good = ((i == ROW || j == COLUMN) && t > 0) || is_near(&h, b, i, j, c[i * s.n + j], MOST_UNITS);
      }
    }
    good = good && (t == 0 || is_apart(cx, &h, ROW, COLUMN, c));
    if (!good)
      fprintf(stderr, "halves of %zux%zux%zu, epilogue %d, source %d, %g\n", s.m, s.n, s.k, epilogue, source,
              (double)unlike[t]);
  }
  free(a);
  free(b);
  free(c);
  free(wanted);
  free(packed);
  free(more);
  free(bfloats);
  return !good;
}

/* Some elements of all rows are large and meet small ones of b: `pattern` says which. */
static int check_scales(weft_context *cx, int pattern) {
  enum { MOST_UNITS = 48 };
  const shape s = {1, 72, 128, 256};
  float *a = numbers(s.m * s.k), *b = numbers(s.k * s.n), *packed = numbers(s.k * s.n), *c = numbers(s.m * s.n);
  halves h = {.shape = s, .panels = packed, .product = {.a = a, .lda = s.k, .c = c, .ldc = s.n}};
  bool good = a != NULL && b != NULL && packed != NULL && c != NULL;
  for (size_t l = 0; good && l < s.k; l++) {
    const bool scaled = pattern == 0 ? l < s.k / 2 : pattern == 1 ? l < s.k / 4 : pattern == 2 ? l % 5 == 0 : l == 7;
    for (size_t i = 0; scaled && i < s.m; i++) {
      a[i * s.k + l] *= 3000;
    }
    for (size_t j = 0; scaled && j < s.n; j++) {
      b[l * s.n + j] /= 3000;
    }
  }
  if (good) cx->kernels->gemm_f32_pack(s.n, s.k, b, s.n, false, packed);
  good = good && multiply(cx, &h) == WEFT_OK;
  for (size_t i = 0; good && i < s.m; i++) {
    for (size_t j = 0; good && j < s.n; j++) {
      good = is_near(&h, b, i, j, c[i * s.n + j], MOST_UNITS);
    }
  }
  if (!good) fprintf(stderr, "large elements that meet small ones, pattern %d\n", pattern);
  free(a);
  free(b);
  free(packed);
  free(c);
  return !good;
}

/* A graph that is not optimised has its sums in order; others do not, which is what these tests are about. */
static int check_plain(weft_context *cx) {
  const shape s = {1, 72, 128, 128};
  float *a = numbers(s.m * s.k), *packed = numbers(s.n * s.k), *c = numbers(s.m * s.n), *sums = numbers(s.m * s.n);
  const halves h = {.shape = s, .panels = packed, .product = {.a = a, .lda = s.k, .c = c, .ldc = s.n}};
  cx->plain = true;
  bool good = a != NULL && packed != NULL && c != NULL && sums != NULL && multiply(cx, &h) == WEFT_OK &&
              is_apart(cx, &h, 0, 0, c) && is_apart(cx, &h, 71, 127, c);
  cx->plain = false;
  if (good) memcpy(sums, c, s.m * s.n * sizeof(float));
  good = good && multiply(cx, &h) == WEFT_OK && memcmp(sums, c, s.m * s.n * sizeof(float)) != 0;
  /* Nor have those whose rows are unlike each other. */
  for (size_t i = 0; a != NULL && i < s.m / 2; i += 3) {
    memset(a + i * s.k, 0, s.k * sizeof(float));
  }
  good = good && multiply(cx, &h) == WEFT_OK && is_apart(cx, &h, 1, 0, c) && is_apart(cx, &h, 33, 127, c);
  if (!good) fprintf(stderr, "plain products\n");
  free(sums);
  free(a);
  free(packed);
  free(c);
  return !good;
}

int main(void) {
  static const shape shapes[] = {{1, 320, 49, 192}, {1, 256, 9, 2048}, {1, 64, 4099, 24}, {1, 3, 1000, 200},
                                 {1, 67, 196, 96},  {3, 70, 33, 130},  {1, 96, 5, 1700},  {1, 40, 300, 400}};
  weft_error error;
  weft_context cx = {.error = &error, .kernels = weft_kernels_choose(false)};
  if (weft_memory_create(0, &cx.memory) != WEFT_OK) return 1;
  int failed = 0;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    failed |= check(&cx, shapes[i]);
  }
  static const shape large[] = {{1, 72, 128, 128}, {1, 131, 272, 144}, {1, 521, 144, 256}, {1, 75, 1024, 256}};
  for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
    for (int epilogue = 0; epilogue < 3; epilogue++) {
      failed |= check_halves(&cx, large[i], epilogue, (source)((i + (size_t)epilogue) % 3));
    }
  }
  for (int pattern = 0; pattern < 4; pattern++) {
    failed |= check_scales(&cx, pattern);
  }
  failed |= check_plain(&cx);
  weft_memory_release(cx.memory);
  return failed;
}
