/* How much memory a session holds and has held at most, as multiples of its weights, which are nearly all of the file. */
#include "base/convert.h"
#include "model_bytes.h"
#include "weft.h"

enum { SIZE = 256, LAYERS = 8, ROWS = 8 * SIZE };

/* Weights that `rounded` holds without loss. */
static void weights(bytes *g, const char *name, int i, weft_type type, weft_type rounded, int64_t rows) {
  static float data[2 * ROWS * SIZE];
  static uint16_t narrow[2 * ROWS * SIZE];
  const int64_t dims[] = {rows, SIZE};
  const size_t count = (size_t)rows * SIZE;
  char numbered[16];
  for (size_t k = 0; k < count; k++) {
    data[k] = 1 / (float)(k + (size_t)i + 3);
    if (rounded != WEFT_FLOAT) {
      weft_store_float(rounded, &data[k], 1, narrow, k, 1);
      weft_load_float(rounded, narrow, k, 1, 1, &data[k]);
    }
  }
  snprintf(numbered, sizeof numbered, "%s%d", name, i);
  bool half = type != WEFT_FLOAT;
  graph_tensor(g, numbered, (int)type, half ? 2 : 4, rows == 1 ? 1 : 2, rows == 1 ? dims + 1 : dims,
               half ? (const void *)narrow : data);
}

static weft_session *open_session(const bytes *m, weft_optimize optimize, size_t *used, size_t *peak) {
  const weft_options options = {.optimize = optimize};
  weft_error error = {0};
  weft_session *session;
  CHECK(weft_session_create_from_bytes(m->data, m->size, &options, &session, &error) == WEFT_OK);
  weft_session_memory(session, used, peak);
  return session;
}

/* What was answered with and without optimisation; both are released. */
static void check_answers(weft_type type, weft_value *optimized, weft_value *plain) {
  for (size_t i = 0; i < weft_value_count(optimized); i++) {
    float a, b;
    weft_load_float(type, weft_value_data(optimized), i, 1, 1, &a);
    weft_load_float(type, weft_value_data(plain), i, 1, 1, &b);
    CHECK(a - b <= 4e-3f * (1 + b) && b - a <= 4e-3f * (1 + b));
  }
  weft_value_release(optimized);
  weft_value_release(plain);
}

static bytes branch(const char *name, bool negate, bool reads_otherwise) {
  bytes g = {0};
  char inputs[3][16], outputs[3][16];
  add_text(&g, GRAPH_NAME, name);
  graph_node(&g, node(negate ? "Neg" : "Abs", "x", "v0"));
  for (int i = 0; i < LAYERS; i++) {
    snprintf(inputs[0], sizeof inputs[0], "v%d w%d", i, i);
    snprintf(outputs[0], sizeof outputs[0], "p%d", i);
    snprintf(inputs[1], sizeof inputs[1], "p%d b%d", i, i);
    snprintf(outputs[1], sizeof outputs[1], "s%d", i);
    snprintf(inputs[2], sizeof inputs[2], "s%d", i);
    snprintf(outputs[2], sizeof outputs[2], "v%d", i + 1);
    graph_node(&g, node("MatMul", inputs[0], outputs[0]));
    graph_node(&g, node("Add", inputs[1], outputs[1]));
    graph_node(&g, node("Relu", inputs[2], outputs[2]));
  }
  if (reads_otherwise) {
    graph_node(&g, node("ReduceMax", "w1", "most"));
    graph_node(&g, node("Mul", "most v8", "scaled"));
  }
  graph_output(&g, reads_otherwise ? "scaled" : outputs[2]);
  return g;
}

/* The branches of a merged decoder read the same weights: they hold them once, in whatever form; but for one that one of
 * them reads as it is in the file. */
static void test_branches(weft_type type, weft_type rounded, bool reads_otherwise) {
  const int64_t rows[] = {0, SIZE}, one[] = {1};
  bytes g = {0}, choice = node("If", "c", "y"), yes = branch("yes", false, false),
        no = branch("no", true, reads_otherwise);
  add_text(&g, GRAPH_NAME, "main");
  graph_typed_value(&g, GRAPH_INPUT, "x", (int)type, 2, rows);
  graph_typed_value(&g, GRAPH_INPUT, "c", WEFT_BOOL, 1, one);
  graph_typed_value(&g, GRAPH_OUTPUT, "y", (int)type, 2, rows);
  for (int i = 0; i < LAYERS; i++) {
    weights(&g, "w", i, type, rounded, SIZE);
    weights(&g, "b", i, type, rounded, 1);
  }
  with_graph(&choice, "then_branch", &yes);
  with_graph(&choice, "else_branch", &no);
  graph_node(&g, choice);
  bytes m = model(18, &g);
  const double size = (double)m.size;
  weft_error error = {0};
  weft_value *x, *c, *y[2][2];
  for (int plain = 0; plain < 2; plain++) {
    size_t used, peak;
    weft_session *session = open_session(&m, plain ? WEFT_OPTIMIZE_NONE : WEFT_OPTIMIZE_ALL, &used, &peak);
    const double limit = reads_otherwise ? 1.3 * size : size;
    CHECK(plain || ((double)used < (rounded != type ? 0.7 : 1.2) * limit && (double)peak < 1.3 * limit));
    CHECK(weft_value_create_tensor(type, 2, (const int64_t[]){2, SIZE}, &x, &error) == WEFT_OK);
    CHECK(weft_value_create_tensor(WEFT_BOOL, 1, one, &c, &error) == WEFT_OK);
    for (size_t i = 0; i < 2 * SIZE; i++) {
      const float value = (float)(i % 7) - 3;
      weft_store_float(type, &value, 1, weft_value_data(x), i, 1);
    }
    for (int which = 0; which < 2; which++) {
      *(bool *)weft_value_data(c) = which == 0;
      CHECK(weft_session_run(session, 2, (const char *[]){"x", "c"}, (weft_value *[]){x, c}, 1, (const char *[]){"y"},
                             &y[plain][which], &error) == WEFT_OK);
    }
    weft_value_release(x);
    weft_value_release(c);
    weft_session_destroy(session);
  }
  for (int which = 0; which < 2; which++) {
    CHECK(weft_value_count(y[0][which]) == 2 * SIZE);
    check_answers(type, y[0][which], y[1][which]);
  }
  clear(&m);
}

static void add_tied(bytes *g, const char *activation) {
  graph_node(g, node("Gather", "w0 ids", "rows"));
  graph_node(g, node(activation, "rows", "x"));
  graph_node(g, node("Transpose", "w0", "turned"));
  graph_node(g, node("MatMul", "x turned", "y"));
  graph_output(g, "y");
}

/* A last layer that multiplies with the table of the first: the two hold it once, for whole panels of rows without another
 * copy meanwhile, and so do those of two branches. */
static void test_tied(weft_type type, weft_type rounded, int64_t rows, bool in_branches) {
  const int64_t any[] = {0};
  static const int64_t ids[] = {7, -1, 0, 1001};
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_typed_value(&g, GRAPH_INPUT, "ids", WEFT_INT64, 1, any);
  weights(&g, "w", 0, type, rounded, rows);
  if (in_branches) {
    bytes choice = node("If", "c", "y"), yes = {0}, no = {0};
    graph_typed_value(&g, GRAPH_INPUT, "c", WEFT_BOOL, 0, NULL);
    add_text(&yes, GRAPH_NAME, "yes");
    add_text(&no, GRAPH_NAME, "no");
    add_tied(&yes, "Tanh");
    add_tied(&no, "Neg");
    with_graph(&choice, "then_branch", &yes);
    with_graph(&choice, "else_branch", &no);
    graph_node(&g, choice);
    graph_typed_value(&g, GRAPH_OUTPUT, "y", (int)type, 2, (const int64_t[]){0, rows});
  } else {
    add_tied(&g, "Tanh");
  }
  bytes m = model(18, &g);
  const double size = (double)m.size;
  weft_error error = {0};
  weft_value *feed, *c, *y[2];
  CHECK(weft_value_create_tensor(WEFT_BOOL, 0, NULL, &c, &error) == WEFT_OK);
  *(bool *)weft_value_data(c) = rows % 2 == 0;
  CHECK(weft_value_create_tensor(WEFT_INT64, 1, (const int64_t[]){4}, &feed, &error) == WEFT_OK);
  memcpy(weft_value_data(feed), ids, sizeof ids);
  for (int plain = 0; plain < 2; plain++) {
    size_t used, peak;
    weft_session *session = open_session(&m, plain ? WEFT_OPTIMIZE_NONE : WEFT_OPTIMIZE_ALL, &used, &peak);
    CHECK(plain || (double)used < (rounded != type ? 0.6 : 1.1) * size);
    CHECK(plain || rows % 8 != 0 || (double)peak < (rounded != type ? 1.6 : 1.1) * size);
    CHECK(weft_session_run(session, in_branches ? 2 : 1, (const char *[]){"ids", "c"}, (weft_value *[]){feed, c}, 1,
                           (const char *[]){"y"}, &y[plain], &error) == WEFT_OK);
    weft_session_destroy(session);
  }
  CHECK(weft_value_count(y[0]) == (size_t)(4 * rows));
  check_answers(type, y[0], y[1]);
  weft_value_release(feed);
  weft_value_release(c);
  clear(&m);
}

static void with_list(bytes *n, const char *name, int count, int64_t (*at)(int)) {
  bytes list = attribute(name, ATTRIBUTE_INTS);
  for (int i = 0; i < count; i++) {
    add_int(&list, 8, (uint64_t)at(i));
  }
  add_message(n, NODE_ATTRIBUTE, &list);
}

enum { TREE = 1 << 14, BRANCHES = TREE / 2 - 1 }; /* nodes of a whole tree, but for its root's number 0 */

static int64_t zero_of(int i) {
  return 0 * i;
}
static int64_t self_of(int i) {
  return i;
}
static int64_t yes_of(int i) {
  return i < BRANCHES ? 2 * i + 1 : 0;
}
static int64_t no_of(int i) {
  return i < BRANCHES ? 2 * i + 2 : 0;
}
static int64_t leaf_of(int i) {
  return BRANCHES + i;
}

/* A tree keeps no copy of its modes' names for each node, nor what was needed to compile it. */
static void test_tree(void) {
  const int64_t row[] = {0, 1}, one[] = {1, 1};
  bytes g = {0}, n = node("ai.onnx.ml:TreeEnsembleRegressor", "x", "y"),
        modes = attribute("nodes_modes", ATTRIBUTE_STRINGS);
  bytes values = attribute("nodes_values", 6), weight = attribute("target_weights", 6);
  for (int i = 0; i < 2 * BRANCHES + 1; i++) {
    add_text(&modes, 9, i < BRANCHES ? "BRANCH_LEQ" : "LEAF");
    add_float(&values, 7, i == 0 ? 0.5f : 0);
  }
  for (int i = 0; i <= BRANCHES; i++) {
    add_float(&weight, 7, (float)i);
  }
  add_message(&n, NODE_ATTRIBUTE, &modes);
  add_message(&n, NODE_ATTRIBUTE, &values);
  add_message(&n, NODE_ATTRIBUTE, &weight);
  with_list(&n, "nodes_treeids", 2 * BRANCHES + 1, zero_of);
  with_list(&n, "nodes_nodeids", 2 * BRANCHES + 1, self_of);
  with_list(&n, "nodes_featureids", 2 * BRANCHES + 1, zero_of);
  with_list(&n, "nodes_truenodeids", 2 * BRANCHES + 1, yes_of);
  with_list(&n, "nodes_falsenodeids", 2 * BRANCHES + 1, no_of);
  with_list(&n, "target_treeids", BRANCHES + 1, zero_of);
  with_list(&n, "target_nodeids", BRANCHES + 1, leaf_of);
  with_list(&n, "target_ids", BRANCHES + 1, zero_of);
  with_int(&n, "n_targets", 1);
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 2, row);
  graph_output(&g, "y");
  graph_node(&g, n);
  bytes m = model(18, &g);
  weft_error error = {0};
  size_t used, peak;
  weft_session *session = open_session(&m, WEFT_OPTIMIZE_ALL, &used, &peak);
  CHECK(used < 11 * m.size / 2);
  weft_value *x, *y;
  CHECK(weft_value_create_tensor(WEFT_FLOAT, 2, one, &x, &error) == WEFT_OK);
  *(float *)weft_value_data(x) = 0.25f; /* to the left once, then to the right */
  CHECK(weft_session_run(session, 1, (const char *[]){"x"}, &x, 1, (const char *[]){"y"}, &y, &error) == WEFT_OK);
  CHECK(*(const float *)weft_value_data(y) == (float)(BRANCHES / 2));
  weft_value_release(x);
  weft_value_release(y);
  weft_session_destroy(session);
  clear(&m);
}

int main(void) {
  test_tree();
  for (int i = 0; i < 4; i++) {
    const int64_t rows = ROWS + i % 2 * 5;
    test_tied(WEFT_FLOAT, WEFT_FLOAT, rows, i > 1);
    test_tied(WEFT_FLOAT, WEFT_BFLOAT16, rows, i > 1);
    test_tied(WEFT_FLOAT16, WEFT_FLOAT16, rows, i > 1);
    test_tied(WEFT_BFLOAT16, WEFT_BFLOAT16, rows, i > 1);
  }
  for (int otherwise = 0; otherwise < 2; otherwise++) {
    test_branches(WEFT_FLOAT, WEFT_FLOAT, otherwise);
    test_branches(WEFT_FLOAT, WEFT_FLOAT16, otherwise);
    test_branches(WEFT_FLOAT, WEFT_BFLOAT16, otherwise);
    test_branches(WEFT_FLOAT16, WEFT_FLOAT16, otherwise);
    test_branches(WEFT_BFLOAT16, WEFT_BFLOAT16, otherwise);
  }
  return 0;
}
