/* What a session promises to its callers through the public header: outputs are theirs alone, and mistakes are told. */
#include "model_bytes.h"
#include "weft.h"

static const int64_t two[] = {2};
static const float weights[] = {10, 20};

static weft_session *load(bytes m) {
  weft_error error = {0};
  weft_session *session;
  if (weft_session_create_from_bytes(m.data, m.size, NULL, &session, &error) != WEFT_OK) {
    fprintf(stderr, "%s\n", error.message);
    exit(1);
  }
  clear(&m);
  return session;
}

static bytes begin(void) {
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 1, two);
  graph_tensor(&g, "w", 1, 4, 1, two, weights);
  graph_output(&g, "y");
  return g;
}

static weft_value *make_x(void) {
  weft_value *x;
  CHECK(weft_value_create_tensor(WEFT_FLOAT, 1, two, &x, NULL) == WEFT_OK);
  memcpy(weft_value_data(x), (float[]){1, -2}, 2 * sizeof(float));
  return x;
}

static weft_value *run(weft_session *session, weft_value *x) {
  weft_error error = {0};
  weft_value *y;
  if (weft_session_run(session, 1, (const char *[]){"x"}, &x, 1, (const char *[]){"y"}, &y, &error) != WEFT_OK) {
    fprintf(stderr, "%s\n", error.message);
    exit(1);
  }
  return y;
}

static void expect_floats(const weft_value *value, float a, float b) {
  const float *data = weft_value_data(value);
  CHECK(data[0] == a && data[1] == b);
}

/* ---- outputs --------------------------------------------------------------------------------- */
static void scribble(weft_value *value) {
  memcpy(weft_value_data(value), (float[]){99, 99}, 2 * sizeof(float));
}

/* A feed, a constant, the feed again, and what the run made: whoever writes to one of the items writes to that alone. */
static void test_items_are_the_callers(void) {
  bytes g = begin();
  graph_node(&g, node("Neg", "x", "n"));
  graph_node(&g, node("SequenceConstruct", "x w x n n", "y"));
  weft_session *session = load(model(18, &g));
  weft_value *x = make_x();
  for (int again = 0; again < 2; again++) {
    weft_value *y = run(session, x);
    CHECK(weft_value_count(y) == 5);
    const float expected[][2] = {{1, -2}, {10, 20}, {1, -2}, {-1, 2}, {-1, 2}};
    for (size_t i = 0; i < 5; i++) {
      expect_floats(weft_value_item(y, i), expected[i][0], expected[i][1]);
      scribble(weft_value_item(y, i));
    }
    expect_floats(x, 1, -2);
    weft_value_release(y);
  }
  weft_value_release(x);
  weft_session_destroy(session);
}

/* It is there after its session, and another takes it as it is. */
static void test_outputs_outlive_their_session(void) {
  bytes first = begin(), second = begin();
  graph_node(&first, node("Neg", "x", "y"));
  graph_node(&second, node("Add", "x w", "y"));
  weft_session *session = load(model(18, &first)), *other = load(model(18, &second));
  weft_value *x = make_x(), *y = run(session, x);
  weft_session_destroy(session);
  weft_value_release(x);
  weft_value *z = run(other, y);
  weft_session_destroy(other);
  expect_floats(y, -1, 2);
  expect_floats(z, 9, 22);
  weft_value_release(y);
  weft_value_release(z);
}

/* A shape that only a run knows makes the output a view of the feed. */
static void test_views_are_the_callers(void) {
  bytes g = begin();
  graph_node(&g, node("NonZero", "x", "places"));
  graph_node(&g, node("Shape", "places", "sizes"));
  graph_node(&g, node("Reshape", "x sizes", "y"));
  weft_session *session = load(model(18, &g));
  weft_value *x = make_x(), *y = run(session, x);
  CHECK(weft_value_rank(y) == 2);
  expect_floats(y, 1, -2);
  scribble(y);
  expect_floats(x, 1, -2);
  weft_value_release(x);
  weft_value_release(y);
  weft_session_destroy(session);
}

/* ---- mistakes -------------------------------------------------------------------------------- */
/* What a node packs is kept as it was where a caller gets it too. */
static void test_packed_weights_are_given(void) {
  static const int64_t dims[] = {8, 2};
  float matrix[16];
  for (int i = 0; i < 16; i++) {
    matrix[i] = (float)i;
  }
  for (int kept = 0; kept < 2; kept++) {
    bytes g = {0}, transposed = node("Gemm", "a v", "y");
    add_text(&g, GRAPH_NAME, "main");
    graph_value(&g, GRAPH_INPUT, "x", 1, two);
    graph_tensor(&g, "v", 1, 4, 2, dims, matrix);
    graph_tensor(&g, "axes", 7, 8, 1, (int64_t[]){1}, (int64_t[]){0});
    graph_node(&g, node("Unsqueeze", "x axes", "a"));
    with_int(&transposed, "transB", 1);
    graph_node(&g, transposed);
    graph_output(&g, "y");
    if (kept) {
      graph_output(&g, "v");
    }
    weft_session *session = load(model(18, &g));
    weft_value *x = make_x(), *out[2];
    CHECK(weft_session_run(session, 1, (const char *[]){"x"}, &x, kept ? 2 : 1, (const char *[]){"y", "v"}, out,
                           NULL) == WEFT_OK);
    for (int i = 0; i < 8; i++) {
      CHECK(((const float *)weft_value_data(out[0]))[i] == matrix[2 * i] - 2 * matrix[2 * i + 1]);
    }
    if (kept) {
      CHECK(memcmp(weft_value_data(out[1]), matrix, sizeof matrix) == 0);
      weft_value_release(out[1]);
    }
    weft_value_release(out[0]);
    weft_value_release(x);
    weft_session_destroy(session);
  }
}

static void test_kinds_are_told(void) {
  bytes g = begin();
  graph_node(&g, node("Neg", "x", "y"));
  weft_session *session = load(model(18, &g));
  weft_error error = {0};
  weft_value *none, *y;
  CHECK(weft_value_create_none(&none, &error) == WEFT_OK);
  CHECK(weft_session_run(session, 1, (const char *[]){"x"}, &none, 1, (const char *[]){"y"}, &y, &error) ==
        WEFT_INVALID_ARGUMENT);
  CHECK(strcmp(error.message, "input 'x': expected a tensor, found an absent optional") == 0);
  weft_value_release(none);
  weft_session_destroy(session);
}

static void test_values_are_there(void) {
  bytes g = begin();
  graph_node(&g, node("Neg", "x", "y"));
  weft_session *session = load(model(18, &g));
  weft_error error = {0};
  weft_value *none = NULL, *y, *x = make_x(), *list;
  CHECK(weft_session_run(session, 1, (const char *[]){"x"}, &none, 1, (const char *[]){"y"}, &y, &error) ==
        WEFT_INVALID_ARGUMENT);
  CHECK(strcmp(error.message, "input 'x': expected a value, found nothing") == 0);
  CHECK(weft_value_create_sequence(WEFT_FLOAT, 2, (weft_value *[]){x, NULL}, &list, &error) == WEFT_INVALID_ARGUMENT);
  CHECK(strcmp(error.message, "item 1 of a sequence: expected float32, found nothing") == 0 && list == NULL);
  CHECK(weft_value_create_sequence(WEFT_INT64, 1, &x, &list, &error) == WEFT_INVALID_ARGUMENT);
  CHECK(strcmp(error.message, "item 0 of a sequence: expected int64, found float32") == 0);
  weft_value_release(x);
  weft_session_destroy(session);
}

/* Runs a model whose nodes cannot make y of x. */
static void expect_refusal(bytes *g, const char *part) {
  weft_session *session = load(model(18, g));
  weft_error error = {0};
  weft_value *x = make_x(), *y;
  CHECK(weft_session_run(session, 1, (const char *[]){"x"}, &x, 1, (const char *[]){"y"}, &y, &error) ==
        WEFT_INVALID_MODEL);
  CHECK(strstr(error.message, part) != NULL);
  weft_value_release(x);
  weft_session_destroy(session);
}

static void test_refusals(void) {
  bytes g = begin();
  graph_node(&g, node("Neg", "x", "y z"));
  expect_refusal(&g, "(Neg): the operator gives no output 1");
}

/* Loads a model with the nodes that make y of x, and expects one warning, or none. */
static void expect_warning(int64_t version, bytes *g, const char *expected) {
  weft_session *session = load(model(version, g));
  CHECK(weft_session_warning_count(session) == (expected != NULL));
  const char *found = weft_session_warning(session, 0);
  if (expected != NULL ? strcmp(found, expected) != 0 : found != NULL) {
    fprintf(stderr, "found %s\n", found);
    exit(1);
  }
  weft_session_destroy(session);
}

static bytes constant(const char *name, float value) {
  bytes made = node("Constant", "", name);
  with_tensor(&made, "value", value);
  return made;
}

static void expect_last(bytes *g, const char *maker, float first, float second) {
  char warning[200];
  snprintf(warning, sizeof warning, "node %s: gives a constant that is there already: the last one is taken", maker);
  weft_session *session = load(model(18, g));
  CHECK(weft_session_warning_count(session) == 1 && strcmp(weft_session_warning(session, 0), warning) == 0);
  weft_value *x = make_x(), *y = run(session, x);
  expect_floats(y, first, second);
  weft_value_release(x);
  weft_value_release(y);
  weft_session_destroy(session);
}

/* Some exporters write a constant for each of its uses under one name. */
static void test_constants_given_again(void) {
  bytes g = begin();
  graph_node(&g, constant("k", 1));
  graph_node(&g, node("Add", "x k", "t"));
  graph_node(&g, constant("k", 4));
  graph_node(&g, node("Mul", "t k", "y"));
  expect_last(&g, "'Constant_2' (Constant)", 20, 8);
  g = begin();
  graph_node(&g, constant("w", 4));
  graph_node(&g, node("Mul", "x w", "y"));
  expect_last(&g, "'Constant_0' (Constant)", 4, -8);
  g = begin();
  graph_tensor(&g, "w", 1, 4, 0, NULL, (float[]){4});
  graph_node(&g, node("Mul", "x w", "y"));
  expect_last(&g, "'w' (initializer)", 4, -8);
}

static bytes dropout(const char *in, const char *out, char training) {
  bytes g = begin();
  graph_tensor(&g, "ratio", 1, 4, 0, NULL, (float[]){0.5f});
  graph_tensor(&g, "training", 9, 1, 0, NULL, &training);
  graph_node(&g, node("Dropout", in, out));
  return g;
}

static bytes normalization(const char *outputs) {
  const int64_t one[] = {1}, column[] = {2, 1};
  bytes g = begin();
  graph_tensor(&g, "one", 1, 4, 1, one, (float[]){1});
  graph_tensor(&g, "column", 7, 8, 1, two, column);
  graph_node(&g, node("Reshape", "x column", "c"));
  graph_node(&g, node("BatchNormalization", "c one one one one", outputs));
  return g;
}

static void test_training_is_told(void) {
  bytes g = dropout("x ratio training", "y", 1);
  expect_warning(18, &g,
                 "node 'Dropout_0' (Dropout): drops values at random, as in training: was the model exported in "
                 "training mode?");
  g = dropout("x ratio training", "y", 0);
  expect_warning(18, &g, NULL);
  g = dropout("x ratio training", "d", 1);
  graph_node(&g, node("Dropout", "d ratio training", "y"));
  expect_warning(18, &g,
                 "node 'Dropout_0' (Dropout): drops values at random, as in training: was the model exported in "
                 "training mode? (1 other node too)");
  g = normalization("y mean variance saved_mean saved_variance");
  expect_warning(9, &g,
                 "node 'BatchNormalization_1' (BatchNormalization): has outputs of training that nothing reads: "
                 "it runs as in inference, with the stored mean and variance, but the model was exported in "
                 "training mode");
  g = normalization("y");
  expect_warning(9, &g, NULL);
  g = normalization("n mean variance");
  graph_node(&g, node("Add", "n mean", "y"));
  expect_warning(9, &g,
                 "node 'BatchNormalization_1' (BatchNormalization): uses the mean and variance of each batch, as "
                 "in training: was the model exported in training mode?");
  /* Weights that a network standardises are no batch. */
  const int64_t one[] = {1}, column[] = {2, 1};
  for (int constant = 0; constant < 2; constant++) {
    bytes standardised = node("BatchNormalization", "c one one one one", "n mean variance");
    with_int(&standardised, "training_mode", 1);
    g = begin();
    graph_tensor(&g, "one", 1, 4, 1, one, (float[]){1});
    graph_tensor(&g, "column", 7, 8, 1, two, column);
    graph_tensor(&g, "row", 7, 8, 1, one, two);
    graph_node(&g, node("Reshape", constant ? "w column" : "x column", "c"));
    graph_node(&g, standardised);
    graph_node(&g, node("Reshape", "n row", "flat"));
    graph_node(&g, node("Add", "x flat", "y"));
    expect_warning(18, &g,
                   constant ? NULL
                            : "node 'BatchNormalization_1' (BatchNormalization): uses the mean and variance of each "
                              "batch, as in training: was the model exported in training mode?");
  }
}

/* ---- where the time goes --------------------------------------------------------------------- */
/* Layers that share weights hold them once, packed for all of them, and not where something else reads them as well. */
static void test_shared_weights(bool read_otherwise) {
  enum { SIZE = 100, LAYERS = 12 };
  static float data[SIZE * SIZE];
  for (int i = 0; i < SIZE * SIZE; i++) { /* moves by one place and halves */
    data[i] = i % SIZE == (i / SIZE + 1) % SIZE ? 0.5f : 0;
  }
  const int64_t row[] = {0, SIZE}, square[] = {SIZE, SIZE};
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 2, row);
  graph_tensor(&g, "w", 1, 4, 2, square, data);
  graph_output(&g, "y");
  for (int i = 0; i < LAYERS; i++) {
    char inputs[16], output[8];
    snprintf(inputs, sizeof inputs, i == 0 ? "x w" : "v%d w", i);
    snprintf(output, sizeof output, i == LAYERS - 1 ? "y" : "v%d", i + 1);
    graph_node(&g, node("MatMul", inputs, output));
  }
  if (read_otherwise) {
    graph_node(&g, node("ReduceMax", "x", "m"));
    graph_node(&g, node("Add", "w m", "n"));
    graph_output(&g, "n");
  }
  weft_session *session = load(model(18, &g));
  size_t used, peak;
  weft_session_memory(session, &used, &peak);
  CHECK(used < 2 * sizeof data);
  weft_value *x = NULL, *y = NULL;
  weft_error error;
  for (int rows = 1; rows < 6; rows += 4) {
    CHECK(weft_value_create_tensor(WEFT_FLOAT, 2, (const int64_t[]){rows, SIZE}, &x, &error) == WEFT_OK);
    float *of_x = weft_value_data(x);
    for (int i = 0; i < rows * SIZE; i++) {
      of_x[i] = (float)i;
    }
    CHECK(weft_session_run(session, 1, (const char *[]){"x"}, &x, 1, (const char *[]){"y"}, &y, &error) == WEFT_OK);
    for (int i = 0; i < rows * SIZE; i++) {
      int from = i / SIZE * SIZE + (i % SIZE + SIZE - LAYERS) % SIZE;
      CHECK(((const float *)weft_value_data(y))[i] == (float)from / (1 << LAYERS));
    }
    weft_value_release(x);
    weft_value_release(y);
  }
  weft_session_destroy(session);
}

/* Only one of a layer's two tensors is there twice while they are packed, and then none. */
static void test_recurrent_weights(void) {
  enum { SIZE = 128 };
  static float data[4 * SIZE * SIZE];
  const int64_t sequence[] = {3, 1, SIZE}, weights[] = {1, 4 * SIZE, SIZE};
  bytes g = {0}, n = node("LSTM", "x w r", "y");
  with_int(&n, "hidden_size", SIZE);
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 3, sequence);
  graph_tensor(&g, "w", 1, 4, 3, weights, data);
  graph_tensor(&g, "r", 1, 4, 3, weights, data);
  graph_output(&g, "y");
  graph_node(&g, n);
  weft_session *session = load(model(18, &g));
  size_t used, peak;
  weft_session_memory(session, &used, &peak);
  CHECK(used < 2 * sizeof data + sizeof data / 4 && peak < 3 * sizeof data + sizeof data / 4);
  weft_session_destroy(session);
}

static double tick(void *user) {
  return ++*(double *)user;
}

/* Every reading of this clock is one later, so that begins and ends tell their order. */
static void test_profile(void) {
  bytes g = begin();
  graph_node(&g, node("Mul", "x w", "m"));
  graph_node(&g, node("Neg", "m", "y"));
  weft_session *session = load(model(18, &g));
  weft_value *x = make_x();
  double time = 0;
  const weft_clock clock = {.now = tick, .user = &time};
  weft_profile_entry e;
  weft_value_release(run(session, x));
  CHECK(weft_session_profile_count(session) == 0 && !weft_session_profile_at(session, 0, &e));
  weft_session_profile(session, &clock);
  weft_value_release(run(session, x));
  weft_value_release(run(session, x));
  weft_session_profile(session, NULL);
  weft_value_release(run(session, x));
  CHECK(weft_session_profile_count(session) == 6 && weft_session_profile_dropped(session) == 0 && time == 12);
  CHECK(weft_session_profile_at(session, 0, &e) && e.parent == WEFT_PROFILE_ROOT && e.begin == 1 && e.end == 6);
  CHECK(e.node[0] == 0 && e.op[0] == 0 && e.bytes == 0);
  CHECK(weft_session_profile_at(session, 1, &e) && e.parent == 0 && e.begin == 2 && e.end == 3);
  CHECK(strcmp(e.op, "Mul") == 0 && e.type == WEFT_FLOAT && e.rank == 1 && e.dims[0] == 2 && e.bytes == 24);
  CHECK(weft_session_profile_at(session, 5, &e) && strcmp(e.op, "Neg") == 0 && e.parent == 3 && e.end == 11);
  weft_value_release(x);
  weft_session_destroy(session);
}

/* What only leads to shapes, which planning has asked for, does not run. */
static void test_shapes_alone(void) {
  bytes g = begin(), cast = node("Cast", "s", "f");
  with_int(&cast, "to", WEFT_FLOAT);
  graph_tensor(&g, "repeats", WEFT_INT64, 8, 1, (const int64_t[]){1}, (const int64_t[]){3});
  graph_node(&g, node("Tile", "x repeats", "t"));
  graph_node(&g, node("Abs", "t", "a"));
  graph_node(&g, node("Shape", "a", "s"));
  graph_node(&g, cast);
  graph_node(&g, node("Mul", "x f", "y"));
  weft_session *session = load(model(18, &g));
  weft_value *x = make_x(), *y;
  double time = 0;
  const weft_clock clock = {.now = tick, .user = &time};
  weft_session_profile(session, &clock);
  y = run(session, x);
  expect_floats(y, 6, -12);
  CHECK(weft_session_profile_count(session) == 2); /* the run and Mul */
  weft_value_release(y);
  weft_value_release(x);
  weft_session_destroy(session);
}

/* ---- shapes that change from run to run ------------------------------------------------------ */
static const char *const changing_inputs[] = {"x", "z"}, *const changing_outputs[] = {"y", "count", "sum", "table"};
enum { CHANGING_OUTPUTS = 4 };

/* Results over what they were made of, views, sizes that are known ahead (few enough of them), and some that are not.
 */
static bytes changing_model(void) {
  const int64_t any[] = {0}, one[] = {1};
  const float factor = 3;
  const int64_t zero = 0, single = 1;
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 1, any);
  graph_value(&g, GRAPH_INPUT, "z", 1, any);
  graph_tensor(&g, "factor", 1, 4, 1, one, &factor);
  graph_tensor(&g, "axis", 7, 8, 1, one, &zero);
  graph_tensor(&g, "last", 7, 8, 1, one, &single);
  graph_tensor(&g, "from", 7, 8, 0, NULL, &zero);
  graph_tensor(&g, "step", 7, 8, 0, NULL, &single);
  for (int i = 0; i < CHANGING_OUTPUTS; i++) {
    graph_output(&g, changing_outputs[i]);
  }
  graph_node(&g, node("Neg", "x", "n"));
  graph_node(&g, node("Add", "n z", "a"));
  graph_node(&g, node("Shape", "a", "shape"));
  graph_node(&g, node("Expand", "factor shape", "e"));
  graph_node(&g, node("Mul", "a e", "m"));
  graph_node(&g, node("Unsqueeze", "m axis", "row"));
  bytes concat = node("Concat", "row row", "rows");
  with_int(&concat, "axis", 0);
  graph_node(&g, concat);
  graph_node(&g, node("ReduceSum", "rows", "total"));
  graph_node(&g, node("Add", "rows total", "y"));
  graph_node(&g, node("NonZero", "m", "found"));
  graph_node(&g, node("Size", "found", "count"));
  graph_node(&g, node("Squeeze", "shape", "length"));
  graph_node(&g, node("Range", "from length step", "range"));
  graph_node(&g, node("ReduceSum", "range", "sum"));
  graph_node(&g, node("Abs", "x", "b"));
  graph_node(&g, node("Unsqueeze", "b axis", "across"));
  graph_node(&g, node("Unsqueeze", "z last", "down"));
  graph_node(&g, node("Add", "across down", "both")); /* over b while z has one element */
  graph_node(&g, node("Neg", "both", "table"));
  return model(20, &g);
}

static weft_status run_changing(weft_session *session, int64_t x, int64_t z, weft_value **outputs) {
  weft_value *feeds[2];
  const int64_t sizes[] = {x, z};
  for (int i = 0; i < 2; i++) {
    CHECK(weft_value_create_tensor(WEFT_FLOAT, 1, &sizes[i], &feeds[i], NULL) == WEFT_OK);
    for (int64_t j = 0; j < sizes[i]; j++) {
      ((float *)weft_value_data(feeds[i]))[j] = (float)((j * 7 + i * 5) % 11);
    }
  }
  weft_error error;
  weft_status status =
      weft_session_run(session, 2, changing_inputs, feeds, CHANGING_OUTPUTS, changing_outputs, outputs, &error);
  CHECK(status == WEFT_OK || strstr(error.message, "the model has one size 'N' for input 'x', here ") != NULL);
  weft_value_release(feeds[0]);
  weft_value_release(feeds[1]);
  return status;
}

/* The plan of one run is made that of the next where no run has the shapes of another; each must answer as a session
 * does that has seen no other. */
static void test_shapes_that_change(void) {
  static const int64_t sizes[][2] = {{2, 2},   {3, 1},   {4, 1},     {5, 1},    {3, 3},    {6, 6},  {7, 7},
                                     {40, 40}, {8, 8},   {9, 1},     {1, 10},   {11, 11},  {4, 3},  {12, 12},
                                     {13, 13}, {14, 14}, {900, 900}, {3001, 1}, {15, 15},  {0, 0},  {0, 1},
                                     {16, 16}, {17, 17}, {5, 5},     {2900, 1}, {2047, 1}, {18, 18}};
  weft_session *session = load(changing_model());
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    weft_session *fresh = load(changing_model());
    weft_value *found[CHANGING_OUTPUTS], *expected[CHANGING_OUTPUTS];
    const int64_t x = sizes[i][0], z = sizes[i][1];
    const weft_status status = run_changing(fresh, x, z, expected);
    CHECK(status == (x == z || x == 1 || z == 1 ? WEFT_OK : WEFT_INVALID_MODEL));
    CHECK(run_changing(session, x, z, found) == status);
    for (int o = 0; o < CHANGING_OUTPUTS && status == WEFT_OK; o++) {
      CHECK(weft_value_bytes(found[o]) == weft_value_bytes(expected[o]));
      CHECK(weft_value_rank(found[o]) == weft_value_rank(expected[o]));
      CHECK(memcmp(weft_value_data(found[o]), weft_value_data(expected[o]), weft_value_bytes(found[o])) == 0);
      weft_value_release(found[o]);
      weft_value_release(expected[o]);
    }
    weft_session_destroy(fresh);
  }
  weft_session_destroy(session);
}

/* Strings that were made while the graph was optimised live as long as the session. */
static void test_folded_strings(void) {
  bytes g = {0}, upper = node("StringNormalizer", "w", "y");
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 1, two);
  bytes word = {0};
  add_int(&word, 1, 1);
  add_int(&word, 2, 8);
  add_text(&word, 6, "word");
  add_text(&word, 8, "w");
  add_message(&g, GRAPH_INITIALIZER, &word);
  with_string(&upper, "case_change_action", "UPPER");
  graph_node(&g, upper);
  graph_output(&g, "y");
  weft_session *session = load(model(18, &g));
  weft_value *x = make_x();
  for (int i = 0; i < 3; i++) {
    weft_value *y = run(session, x);
    const weft_string *text = weft_value_data(y);
    CHECK(text->size == 4 && memcmp(text->data, "WORD", 4) == 0);
    weft_value_release(y);
  }
  weft_value_release(x);
  weft_session_destroy(session);
}

int main(void) {
  test_training_is_told();
  test_constants_given_again();
  test_items_are_the_callers();
  test_outputs_outlive_their_session();
  test_views_are_the_callers();
  test_packed_weights_are_given();
  test_kinds_are_told();
  test_values_are_there();
  test_refusals();
  test_shared_weights(false);
  test_shared_weights(true);
  test_recurrent_weights();
  test_profile();
  test_shapes_alone();
  test_shapes_that_change();
  test_folded_strings();
  return 0;
}
