/* Operators that draw random numbers: whether what they draw has the distribution they are to have (moments, and
 * Kolmogorov and Smirnov's distance; seeds are fixed, so the answer is always the same), and from where sessions draw.
 */
#include "model_bytes.h"
#include "weft.h"

#include <math.h>

#define COUNT 100000

enum { CLASSES = 4 };

static const int64_t row[] = {1, COUNT};

/* ---- running ----------------------------------------------------------------------------------------------------- */
/* A node that makes `y` (and `m`) of x, which holds COUNT times `fill`, or of the logarithms of 1, 2, 3, 4; empties
 * `n`. */
static bytes one_node(bytes n, float fill, bool weights) {
  static float data[COUNT];
  const int64_t classes[] = {1, CLASSES};
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  for (int i = 0; i < COUNT; i++)
    data[i] = weights ? logf((float)(i % CLASSES) + 1) : fill;
  graph_tensor(&g, "x", WEFT_FLOAT, sizeof(float), 2, weights ? classes : row, data);
  graph_tensor(&g, "yes", WEFT_BOOL, 1, 0, NULL, &(char){1});
  graph_tensor(&g, "p", WEFT_FLOAT, sizeof(float), 0, NULL, &(float){0.3f});
  graph_node(&g, n);
  graph_output(&g, "y");
  return model(22, &g);
}

static weft_session *load(bytes *m, const weft_options *options) {
  weft_session *session;
  weft_error error = {0};
  weft_status status = weft_session_create_from_bytes(m->data, m->size, options, &session, &error);
  if (status != WEFT_OK) fprintf(stderr, "%s\n", error.message);
  CHECK(status == WEFT_OK);
  return session;
}

static weft_value *run(weft_session *session) {
  weft_value *y;
  weft_error error = {0};
  weft_status status = weft_session_run(session, 0, NULL, NULL, 1, (const char *[]){"y"}, &y, &error);
  if (status != WEFT_OK) fprintf(stderr, "%s\n", error.message);
  CHECK(status == WEFT_OK);
  return y;
}

/* The node's numbers as doubles; empties `n`. */
static const double *draw(bytes n, float fill, bool weights) {
  static double out[COUNT];
  bytes m = one_node(n, fill, weights);
  weft_session *session = load(&m, NULL);
  weft_value *y = run(session);
  CHECK(weft_value_count(y) == COUNT);
  for (size_t i = 0; i < COUNT; i++) {
    weft_type type = weft_value_type(y);
    out[i] = type == WEFT_DOUBLE  ? ((const double *)weft_value_data(y))[i]
             : type == WEFT_INT32 ? ((const int32_t *)weft_value_data(y))[i]
                                  : (double)((const float *)weft_value_data(y))[i];
  }
  weft_value_release(y);
  weft_session_destroy(session);
  clear(&m);
  return out;
}

/* ---- distributions ----------------------------------------------------------------------------------------------- */
static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double normal(double z) {
  return 0.5 * erfc(-z / sqrt(2));
}
static double uniform(double z) {
  return z < 0 ? 0 : z > 1 ? 1 : z;
}

/* (numbers - shift) / scale against a distribution function and its first four moments about 0; neighbours must not
 * hang together. The bounds are some four standard errors, and of the distance those of one in a hundred. */
static void expect_distribution(const char *what, const double *numbers, double shift, double scale,
                                double (*below)(double), const double moments[4]) {
  static double z[COUNT];
  double sums[4] = {0}, distance = 0, pairs = 0;
  for (int i = 0; i < COUNT; i++) {
    z[i] = (numbers[i] - shift) / scale;
    for (int k = 0; k < 4; k++)
      sums[k] += pow(z[i], k + 1);
    pairs += i > 0 ? (z[i] - moments[0]) * (z[i - 1] - moments[0]) : 0;
  }
  qsort(z, COUNT, sizeof *z, ascending);
  for (int i = 0; i < COUNT; i++) {
    double p = below(z[i]);
    distance = fmax(distance, fmax(p - (double)i / COUNT, (double)(i + 1) / COUNT - p));
  }
  printf("%-24s D * sqrt(n) = %.3f, moments %.4f %.4f %.4f %.4f, neighbours %.4f\n", what, distance * sqrt(COUNT),
         sums[0] / COUNT, sums[1] / COUNT, sums[2] / COUNT, sums[3] / COUNT, pairs / COUNT);
  CHECK(distance * sqrt(COUNT) < 1.63);
  for (int k = 0; k < 4; k++)
    CHECK(fabs(sums[k] / COUNT - moments[k]) < (k == 3 ? 0.13 : 0.05) / (k == 0 ? 4 : 1));
  CHECK(fabs(pairs / COUNT) < 0.013);
}

static bytes seeded(bytes n, float seed) {
  with_float(&n, "seed", seed);
  return n;
}

static void test_continuous(void) {
  static const double of_normal[] = {0, 1, 0, 3}, of_uniform[] = {1.0 / 2, 1.0 / 3, 1.0 / 4, 1.0 / 5};
  for (int like = 0; like < 2; like++) {
    for (int type = WEFT_FLOAT; type <= WEFT_DOUBLE; type += WEFT_DOUBLE - WEFT_FLOAT) {
      bytes n = seeded(node(like ? "RandomNormalLike" : "RandomNormal", like ? "x" : "", "y"), (float)(1 + like));
      bytes u = seeded(node(like ? "RandomUniformLike" : "RandomUniform", like ? "x" : "", "y"), (float)(3 + like));
      bytes *both[] = {&n, &u};
      for (int i = 0; i < 2; i++) {
        with_int(both[i], "dtype", type);
        if (!like) {
          bytes shape = attribute("shape", ATTRIBUTE_INTS);
          add_int(&shape, 8, COUNT);
          add_message(both[i], NODE_ATTRIBUTE, &shape);
        }
      }
      with_float(&n, "mean", -3);
      with_float(&n, "scale", 0.5f);
      with_float(&u, "low", -1);
      with_float(&u, "high", 3);
      expect_distribution(like ? "RandomNormalLike" : "RandomNormal", draw(n, 0, false), -3, 0.5, normal, of_normal);
      expect_distribution(like ? "RandomUniformLike" : "RandomUniform", draw(u, 0, false), -1, 4, uniform, of_uniform);
    }
  }
}

/* How often `value` came, against its probability: four standard errors. */
static void expect_share(const char *what, const double *numbers, double value, double p) {
  int found = 0, together = 0;
  for (int i = 0; i < COUNT; i++) {
    bool hit = fabs(numbers[i] - value) < 1e-6;
    found += hit;
    together += hit && i > 0 && fabs(numbers[i - 1] - value) < 1e-6;
  }
  printf("%-24s %g: %.4f of %.4f, twice in a row %.4f\n", what, value, (double)found / COUNT, p,
         (double)together / COUNT);
  CHECK(fabs((double)found / COUNT - p) < 4 * sqrt(p * (1 - p) / COUNT));
  CHECK(fabs((double)together / COUNT - p * p) < 0.008);
}

static void test_discrete(void) {
  const double *y = draw(seeded(node("Bernoulli", "x", "y"), 5), 0.3f, false);
  expect_share("Bernoulli", y, 1, 0.3);
  expect_share("Bernoulli", y, 0, 0.7);

  bytes n = seeded(node("Multinomial", "x", "y"), 6);
  with_int(&n, "sample_size", COUNT);
  y = draw(n, 0, true);
  for (int c = 0; c < CLASSES; c++)
    expect_share("Multinomial", y, c, (c + 1) / 10.0);

  static double other[COUNT];
  n = node("Dropout", "x p yes", "y");
  with_int(&n, "seed", 8);
  memcpy(other, draw(n, 1, false), sizeof other);
  n = node("Dropout", "x p yes", "y");
  with_int(&n, "seed", 7);
  y = draw(n, 1, false);
  CHECK(memcmp(other, y, sizeof other) != 0);
  expect_share("Dropout", y, 0, 0.3);
  expect_share("Dropout", y, 1 / 0.7, 0.7);
}

/* ---- where sessions draw from ------------------------------------------------------------------------------------ */
/* Whether two runs of a session of each kind draw the same. */
static bool are_same(const weft_options *one, const weft_options *other, bool second_run) {
  bytes m = one_node(node("RandomUniformLike", "x", "y"), 0, false);
  weft_session *sessions[] = {load(&m, one), other != NULL ? load(&m, other) : NULL};
  weft_value *y[2] = {run(sessions[0])};
  y[1] = run(sessions[other != NULL]);
  if (second_run && other != NULL) { /* one run further each */
    for (int i = 0; i < 2; i++) {
      weft_value_release(y[i]);
      y[i] = run(sessions[i]);
    }
  }
  bool same = memcmp(weft_value_data(y[0]), weft_value_data(y[1]), COUNT * sizeof(float)) == 0;
  for (int i = 0; i < 2; i++) {
    weft_value_release(y[i]);
    weft_session_destroy(sessions[i]);
  }
  clear(&m);
  return same;
}

static void test_seeds(void) {
  const weft_options none = {0}, seed = {.seed = 7}, another = {.seed = 8}, fixed = {.deterministic = true};
  CHECK(!are_same(&none, &none, false));
  CHECK(!are_same(&none, NULL, false) && !are_same(&seed, NULL, false) && !are_same(&fixed, NULL, false));
  CHECK(are_same(&seed, &seed, false) && are_same(&seed, &seed, true) && !are_same(&seed, &another, false));
  CHECK(are_same(&fixed, &fixed, false) && are_same(&fixed, &fixed, true) && !are_same(&fixed, &seed, false));
}

int main(void) {
  test_continuous();
  test_discrete();
  test_seeds();
  return 0;
}
