/* How exact long sums are: every operator that adds many numbers up, over lengths to a quarter of a million, and
 * kernels to ten millions, against double precision, and a softmax of doubles against a longer one. Two kinds of
 * numbers, because each finds its own mistakes: all positive, where a sum grows far beyond its terms and a single
 * running float loses a bit at each doubling; and small deviations from a large mean, where a variance as the difference
 * of two large squares has no digits left. Prints errors in units of 2^-24 of the result (of 1 for normalized rows), and
 * fails beyond the limit, which is what a sum in blocks with a few roundings after it may lose. */
#include "kernels/kernels.h"
#include "model_bytes.h"
#include "ops/product.h"
#include "simd/tables.h"
#include "weft.h"

#include <math.h>

static int failures;
static uint32_t seed = 1;

static double draw(void) {
  seed = seed * 1664525u + 1013904223u;
  return (double)(seed >> 8) * 0x1p-24;
}

typedef enum kind { POSITIVE, OFFSET } kind;

static float *make(size_t n, kind k) {
  float *x = malloc(n * sizeof *x);
  CHECK(x != NULL);
  for (size_t i = 0; i < n; i++) {
    x[i] = (float)(k == POSITIVE ? 0.5 + draw() : 1000.0 + 0.1 * (draw() + draw() + draw() - 1.5));
  }
  return x;
}

static void report(const char *what, size_t n, double error, double limit) {
  error *= 0x1p24;
  printf("%-44s %9zu %9.2f\n", what, n, error);
  if (!(error <= limit)) {
    fprintf(stderr, "%s over %zu: %.3g units of 2^-24 away, at most %.3g are expected\n", what, n, error, limit);
    failures++;
  }
}

static double relative(double got, double wanted) {
  return fabs(got - wanted) / fabs(wanted);
}

/* ---- running one operator ---------------------------------------------------------------------------------------- */
typedef struct tensor {
  int rank;
  int64_t dims[4];
  const float *data;
} tensor;

/* The answer of a node whose inputs are x, of `type`, for Conv twice, and a, b, c as far as they have data; `attributes`
 * may be NULL. */
static weft_value *run_typed(weft_type type, const char *op, const tensor *x, const tensor *more,
                             void (*attributes)(bytes *n)) {
  static const char *const names[] = {"a", "b", "c", "d"};
  char inputs[16] = "x";
  bytes g = {0};
  weft_error error = {0};
  weft_session *session;
  weft_value *in, *out;
  graph_typed_value(&g, GRAPH_INPUT, "x", (int)type, x->rank, x->dims);
  for (int i = 0; i < 4 && more != NULL && more[i].data != NULL; i++) {
    bool axes = strncmp(op, "Reduce", 6) == 0 || strcmp(op, "CumSum") == 0;
    graph_tensor(&g, names[i], axes ? WEFT_INT64 : WEFT_FLOAT, axes ? 8 : 4, more[i].rank, more[i].dims, more[i].data);
    strcat(strcat(inputs, " "), names[i]);
  }
  bytes n = node(op, strcmp(op, "Conv") == 0 ? "x x" : inputs, "y");
  if (attributes != NULL) attributes(&n);
  add_text(&g, GRAPH_NAME, "main");
  graph_node(&g, n);
  graph_output(&g, "y");
  bytes m = model(21, &g);
  if (weft_session_create_from_bytes(m.data, m.size, NULL, &session, &error) != WEFT_OK ||
      weft_value_create_tensor(type, x->rank, x->dims, &in, &error) != WEFT_OK) {
    fprintf(stderr, "%s: %s\n", op, error.message);
    exit(1);
  }
  clear(&m);
  memcpy(weft_value_data(in), x->data, weft_value_count(in) * (type == WEFT_DOUBLE ? sizeof(double) : sizeof(float)));
  if (weft_session_run(session, 1, (const char *[]){"x"}, &in, 1, (const char *[]){"y"}, &out, &error) != WEFT_OK) {
    fprintf(stderr, "%s: %s\n", op, error.message);
    exit(1);
  }
  weft_value_release(in);
  weft_session_destroy(session);
  return out;
}

static weft_value *run(const char *op, const tensor *x, const tensor *more, void (*attributes)(bytes *n)) {
  return run_typed(WEFT_FLOAT, op, x, more, attributes);
}

/* ---- reductions: of a whole row, and of each of 6 columns -------------------------------------------------------- */
typedef struct reduction {
  const char *op;
  double (*term)(double x, double greatest), (*end)(double sum, double n, double greatest);
} reduction;

static double itself(double x, double greatest) {
  (void)greatest;
  return x;
}
static double squared(double x, double greatest) {
  (void)greatest;
  return x * x;
}
static double exponential(double x, double greatest) {
  return exp(x - greatest);
}
static double as_it_is(double sum, double n, double greatest) {
  (void)n, (void)greatest;
  return sum;
}
static double mean(double sum, double n, double greatest) {
  (void)greatest;
  return sum / n;
}
static double root(double sum, double n, double greatest) {
  (void)n, (void)greatest;
  return sqrt(sum);
}
static double logarithm(double sum, double n, double greatest) {
  (void)n, (void)greatest;
  return log(sum);
}
static double above(double sum, double n, double greatest) {
  (void)n;
  return log(sum) + greatest;
}

static const reduction reductions[] = {
    {"ReduceSum", itself, as_it_is},        {"ReduceMean", itself, mean}, {"ReduceL1", itself, as_it_is},
    {"ReduceSumSquare", squared, as_it_is}, {"ReduceL2", squared, root},  {"ReduceLogSum", itself, logarithm},
    {"ReduceLogSumExp", exponential, above}};

static void check_reductions(size_t n, kind k) {
  enum { COLUMNS = 6 };
  float *x = make(n * COLUMNS, k);
  const int64_t axis[] = {0};
  const tensor axes = {1, {1}, (const float *)(const void *)axis};
  for (size_t i = 0; i < sizeof reductions / sizeof *reductions; i++) {
    const reduction *r = &reductions[i];
    for (size_t columns = 1; columns <= COLUMNS; columns += COLUMNS - 1) {
      const tensor in = {2, {(int64_t)n, (int64_t)columns}, x};
      weft_value *value = run(r->op, &in, (const tensor[]){axes, {0}}, NULL);
      const float *y = weft_value_data(value);
      double worst = 0;
      for (size_t c = 0; c < columns; c++) {
        double greatest = (double)-INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++)
          greatest = fmax(greatest, (double)x[j * columns + c]);
        for (size_t j = 0; j < n; j++)
          sum += r->term((double)x[j * columns + c], greatest);
        worst = fmax(worst, relative((double)y[c], r->end(sum, (double)n, greatest)));
      }
      char what[64];
      snprintf(what, sizeof what, "%s, %s%s", r->op, columns == 1 ? "a row" : "columns", k == OFFSET ? ", offset" : "");
      report(what, n, worst, 4);
      weft_value_release(value);
    }
  }
  free(x);
}

/* ---- normalizations ---------------------------------------------------------------------------------------------- */
static void of_one_group(bytes *n) {
  with_int(n, "num_groups", 1);
}
static void training(bytes *n) {
  with_int(n, "training_mode", 1);
}
static void along_all(bytes *n) {
  with_int(n, "axis", 1);
}

/* One row of n elements under several shapes: (x - mean) / sqrt(variance + 1e-5). */
static void check_normalizations(size_t n, kind k) {
  const int64_t length = (int64_t)n;
  float *x = make(n, k), *ones = make(n, POSITIVE), *zeros = calloc(n, sizeof *zeros);
  CHECK(zeros != NULL);
  for (size_t i = 0; i < n; i++)
    ones[i] = 1;
  const tensor one = {1, {1}, ones}, zero = {1, {1}, zeros}, row = {1, {length}, ones}, none = {0};
  const struct {
    const char *op;
    tensor x, more[5];
    void (*attributes)(bytes *n);
  } cases[] = {
      {"LayerNormalization", {2, {1, length}, x}, {row}, along_all},
      {"InstanceNormalization", {3, {1, 1, length}, x}, {one, zero}, NULL},
      {"GroupNormalization", {3, {1, 1, length}, x}, {one, zero}, of_one_group},
      {"BatchNormalization", {3, {1, 1, length}, x}, {one, zero, zero, one}, training},
      {"BatchNormalization", {3, {length, 1, 1}, x}, {one, zero, zero, one}, training},
      {"MeanVarianceNormalization", {4, {1, 1, length, 1}, x}, {none}, NULL},
  };
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double)x[i];
  const double center = sum / (double)n;
  for (size_t i = 0; i < n; i++)
    squares += ((double)x[i] - center) * ((double)x[i] - center);
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    const double epsilon = cases[c].more[0].data != NULL ? (double)1e-5f : 0;
    const double deviation = sqrt(squares / (double)n + epsilon);
    weft_value *value = run(cases[c].op, &cases[c].x, cases[c].more, cases[c].attributes);
    const float *y = weft_value_data(value);
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
      double wanted = ((double)x[i] - center) / deviation;
      worst = fmax(worst, fabs((double)y[i] - wanted) / fmax(1, fabs(wanted)));
    }
    char what[64];
    snprintf(what, sizeof what, "%s%s", cases[c].op, k == OFFSET ? ", offset" : "");
    /* The mean itself is a float where the row is: half a unit of 1000 against the deviation. */
    report(what, n, worst, 8);
    weft_value_release(value);
  }
  free(x);
  free(ones);
  free(zeros);
}

/* ---- softmax, pooling, running totals ---------------------------------------------------------------------------- */
static void check_softmax(size_t n) {
  float *x = make(n, POSITIVE);
  const tensor in = {2, {1, (int64_t)n}, x};
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += exp((double)x[i]);
  weft_value *plain = run("Softmax", &in, NULL, NULL), *logs = run("LogSoftmax", &in, NULL, NULL);
  const float *y = weft_value_data(plain), *z = weft_value_data(logs);
  double worst = 0, worst_log = 0;
  for (size_t i = 0; i < n; i++) {
    worst = fmax(worst, relative((double)y[i], exp((double)x[i]) / sum));
    worst_log = fmax(worst_log, relative((double)z[i], (double)x[i] - log(sum)));
  }
  report("Softmax", n, worst, 6);
  report("LogSoftmax", n, worst_log, 4);
  weft_value_release(plain);
  weft_value_release(logs);
  free(x);
}

/* The first element is 1 over the sum, in units of 2^-53. */
static void check_softmax_of_doubles(size_t n) {
  double *x = malloc(n * sizeof *x);
  CHECK(x != NULL);
  long double sum = 0;
  for (size_t i = 0; i < n; i++) {
    x[i] = i == 0 ? 0 : -draw();
    sum += expl((long double)x[i]);
  }
  const tensor in = {2, {1, (int64_t)n}, (const float *)(const void *)x};
  weft_value *value = run_typed(WEFT_DOUBLE, "Softmax", &in, NULL, NULL);
  const double *y = weft_value_data(value);
  report("Softmax of doubles", n, (double)fabsl((long double)y[0] * sum - 1) * 0x1p29, 20);
  weft_value_release(value);
  free(x);
}

/* In units of 2^-53. */
static void check_product_of_doubles(size_t n) {
  double *x = malloc(2 * n * sizeof *x), *y = x + n;
  CHECK(x != NULL);
  long double sum = 0;
  for (size_t i = 0; i < n; i++) {
    x[i] = 0.5 + draw() + draw() * 0x1p-24;
    y[i] = 0.5 + draw() + draw() * 0x1p-24;
    sum += (long double)x[i] * (long double)y[i];
  }
  double found;
  weft_plain_product_run(&(weft_plain_product){.type = WEFT_DOUBLE,
                                               .m = 1,
                                               .n = 1,
                                               .k = n,
                                               .a = x,
                                               .a_row = n,
                                               .a_column = 1,
                                               .b = y,
                                               .b_row = 1,
                                               .b_column = 1,
                                               .c = &found});
  report("product of doubles", n, (double)fabsl((long double)found / sum - 1) * 0x1p29, 12);
  free(x);
}

static void of_all(bytes *n) {
  with_string(n, "equation", "ij->");
}

/* In units of 2^-53. */
static void check_sums_of_doubles(size_t n) {
  static const struct {
    const char *op;
    bool along_columns, squares, mean;
  } cases[] = {{"ReduceSum", false, false, false},        {"ReduceSum", true, false, false},
               {"ReduceSumSquare", false, true, false},   {"Einsum", false, false, false},
               {"GlobalAveragePool", false, false, true}, {"Conv", false, true, false}};
  const int64_t length = (int64_t)n, axes_data[] = {0, 1};
  double *x = malloc(2 * n * sizeof *x);
  CHECK(x != NULL);
  long double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) {
    x[i] = 0.5 + draw() + draw() * 0x1p-24;
    sum += (long double)x[i];
    squares += (long double)x[i] * (long double)x[i];
  }
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    const bool reduces = strncmp(cases[c].op, "Reduce", 6) == 0,
               planes = cases[c].mean || strcmp(cases[c].op, "Conv") == 0;
    const tensor flat = {2, {1, length}, (const float *)(const void *)x}, plane = {3, {1, 1, length}, flat.data},
                 columns = {2, {length / 2, 2}, flat.data};
    const tensor axes = {1, {cases[c].along_columns ? 1 : 2}, (const float *)(const void *)axes_data};
    weft_value *value =
        run_typed(WEFT_DOUBLE, cases[c].op,
                  planes                   ? &plane
                  : cases[c].along_columns ? &columns
                                           : &flat,
                  reduces ? (const tensor[]){axes, {0}} : NULL, strcmp(cases[c].op, "Einsum") == 0 ? of_all : NULL);
    const double *y = weft_value_data(value);
    const long double found = (long double)y[0] + (cases[c].along_columns ? (long double)y[1] : 0);
    const long double wanted = (cases[c].squares ? squares : sum) / (cases[c].mean ? (long double)n : 1);
    char what[64];
    snprintf(what, sizeof what, "%s of doubles%s", cases[c].op, cases[c].along_columns ? ", columns" : "");
    report(what, n, (double)fabsl(found / wanted - 1) * 0x1p29, 20);
    weft_value_release(value);
  }
  free(x);
}

static void of_order_1(bytes *n) {
  with_int(n, "p", 1);
}

static void check_lp(size_t n) {
  float *x = make(n, POSITIVE);
  const tensor in = {2, {1, (int64_t)n}, x};
  double sum = 0, worst = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double)x[i];
  weft_value *value = run("LpNormalization", &in, NULL, of_order_1);
  const float *y = weft_value_data(value);
  for (size_t i = 0; i < n; i++)
    worst = fmax(worst, relative((double)y[i], (double)x[i] / sum));
  report("LpNormalization of order 1", n, worst, 3);
  weft_value_release(value);
  free(x);
}

static void half_the_row(bytes *n) {
  bytes b = attribute("kernel_shape", ATTRIBUTE_INTS);
  add_int(&b, 8, 1);
  add_int(&b, 8, 1 << 16);
  add_message(n, NODE_ATTRIBUTE, &b);
}

static void check_pooling(size_t n, kind k) {
  float *x = make(n, k);
  const tensor in = {4, {1, 1, 1, (int64_t)n}, x};
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double)x[i];
  weft_value *value = run("GlobalAveragePool", &in, NULL, NULL);
  report(k == OFFSET ? "GlobalAveragePool, offset" : "GlobalAveragePool", n,
         relative((double)*(const float *)weft_value_data(value), sum / (double)n), 2);
  weft_value_release(value);
  if (n >= 1 << 16) {
    sum = 0;
    for (size_t i = 0; i < 1 << 16; i++)
      sum += (double)x[i];
    value = run("AveragePool", &in, NULL, half_the_row);
    report(k == OFFSET ? "AveragePool, offset" : "AveragePool", 1 << 16,
           relative((double)*(const float *)weft_value_data(value), sum / (1 << 16)), 64);
    weft_value_release(value);
  }
  free(x);
}

static void check_running(size_t n) {
  float *x = make(n, POSITIVE);
  const int64_t axis[] = {1};
  const tensor in = {2, {1, (int64_t)n}, x}, along = {0, {0}, (const float *)(const void *)axis};
  weft_value *value = run("CumSum", &in, (const tensor[]){along, {0}}, NULL);
  const float *y = weft_value_data(value);
  double sum = 0, worst = 0;
  for (size_t i = 0; i < n; i++) {
    sum += (double)x[i];
    worst = fmax(worst, relative((double)y[i], sum));
  }
  report("CumSum", n, worst, 1);
  weft_value_release(value);
  free(x);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */
static void by_transpose(bytes *n) {
  with_int(n, "transB", 1);
}

/* m rows of k times k x 9, constant and so packed, or as rows of 9 x k. */
static void check_products(size_t m, size_t k) {
  enum { N = 9 };
  float *a = make(m * k, POSITIVE), *b = make(k * N, POSITIVE);
  const tensor left = {2, {(int64_t)m, (int64_t)k}, a};
  for (int transposed = 0; transposed < 2; transposed++) {
    const tensor right = {2, {transposed ? N : (int64_t)k, transposed ? (int64_t)k : N}, b};
    weft_value *value = run("Gemm", &left, (const tensor[]){right, {0}}, transposed ? by_transpose : NULL);
    const float *y = weft_value_data(value);
    double worst = 0;
    for (size_t i = 0; i < m * N; i++) {
      double sum = 0;
      for (size_t l = 0; l < k; l++) {
        sum += (double)a[i / N * k + l] * (double)b[transposed ? i % N * k + l : l * N + i % N];
      }
      worst = fmax(worst, relative((double)y[i], sum));
    }
    char what[64];
    snprintf(what, sizeof what, "Gemm of %zu rows%s", m, transposed ? ", transposed" : "");
    report(what, k, worst, 64);
    weft_value_release(value);
  }
  free(a);
  free(b);
}

/* ---- kernels alone ----------------------------------------------------------------------------------------------- */
static void check_kernels(size_t n) {
  const weft_kernels *const tables[] = {&weft_kernels_portable, &weft_kernels_simd, &weft_kernels_relaxed};
  float *x = make(n, POSITIVE), *y = make(n, POSITIVE), *c = malloc(9 * sizeof *c);
  CHECK(c != NULL);
  double sum = 0, squares = 0, products = 0;
  for (size_t i = 0; i < n; i++) {
    sum += (double)x[i];
    squares += (double)x[i] * (double)x[i];
    products += (double)x[i] * (double)y[i];
  }
  for (size_t t = 0; t < 3; t++) {
    printf("%s\n", tables[t]->name);
    report("sum", n, relative((double)tables[t]->sum_f32(n, x), sum), 2);
    report("sum of squares", n, relative((double)tables[t]->sum_square_f32(n, x), squares), 4);
    report("product of two rows", n, relative((double)tables[t]->dot_f32(n, x, y), products), 2);
    tables[t]->gemv_f32(1, n, x, y, n, true, c, NULL);
    report("row times a row", n, relative((double)*c, products), 64);
    tables[t]->gemv_f32(1, n, x, y, 1, false, c, NULL);
    report("row times a column", n, relative((double)*c, products), 64);
  }
  free(x);
  free(y);
  free(c);
}

int main(void) {
  for (size_t n = 1000; n <= 70000; n *= 70) {
    for (kind k = POSITIVE; k <= OFFSET; k++) {
      check_reductions(n, k);
      check_normalizations(n, k);
      check_pooling(n, k);
    }
    check_softmax(n);
    check_softmax_of_doubles(n);
    check_product_of_doubles(n);
    check_running(n);
    check_lp(n);
    check_kernels(n);
    for (size_t m = 1; m <= 4; m++)
      check_products(m, n);
  }
  check_lp(1000000);
  check_product_of_doubles(1000000);
  check_sums_of_doubles(1000000);
  check_kernels(2000000);
  return failures != 0;
}
