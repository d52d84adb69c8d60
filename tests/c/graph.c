/* Graphs from files: order, captures, functions, the upgrade, what is refused. Models are run through the public
 * header, so that what is tested is what they mean. */
#include "model_bytes.h"
#include "weft.h"

static const int64_t two[] = {2};

static weft_session *try_load(bytes *m, const weft_options *options, weft_error *error) {
  weft_session *session = NULL;
  weft_status status = weft_session_create_from_bytes(m->data, m->size, options, &session, error);
  CHECK((status == WEFT_OK) == (session != NULL));
  clear(m);
  return session;
}

/* Loads and runs with x = {1, -2} (float, [2]) and compares output "y". */
static void expect(bytes m, size_t count, const float *expected) {
  weft_error error = {0};
  weft_session *session = try_load(&m, NULL, &error);
  if (session == NULL) {
    fprintf(stderr, "%s\n", error.message);
    exit(1);
  }
  weft_value *x, *y;
  CHECK(weft_value_create_tensor(WEFT_FLOAT, 1, two, &x, &error) == WEFT_OK);
  memcpy(weft_value_data(x), (float[]){1, -2}, 2 * sizeof(float));
  weft_status status = weft_session_run(session, 1, (const char *[]){"x"}, &x, 1, (const char *[]){"y"}, &y, &error);
  if (status != WEFT_OK) {
    fprintf(stderr, "%s\n", error.message);
    exit(1);
  }
  CHECK(weft_value_count(y) == count);
  for (size_t i = 0; i < count; i++) {
    float found = ((float *)weft_value_data(y))[i];
    if (found != expected[i]) {
      fprintf(stderr, "element %zu is %g, expected %g\n", i, (double)found, (double)expected[i]);
      exit(1);
    }
  }
  weft_value_release(x);
  weft_value_release(y);
  weft_session_destroy(session);
}

static void refuse(bytes m, const weft_options *options, weft_status code, const char *part) {
  weft_error error = {0};
  CHECK(try_load(&m, options, &error) == NULL);
  if (error.code != code || strstr(error.message, part) == NULL) {
    fprintf(stderr, "expected '%s', found %s: %s\n", part, weft_status_name(error.code), error.message);
    exit(1);
  }
}

/* What is wrong may first be seen in a run. */
static void survive(bytes m) {
  weft_error error;
  weft_session *session = try_load(&m, NULL, &error);
  weft_session_destroy(session);
}

static bytes begin(void) {
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 1, two);
  graph_output(&g, "y");
  return g;
}

static void test_order(void) {
  bytes g = begin();
  graph_node(&g, node("Add", "a b", "y"));
  graph_node(&g, node("Neg", "a", "b0"));
  graph_node(&g, node("Add", "b0 x", "b"));
  graph_node(&g, node("Relu", "x", "a"));
  expect(model(18, &g), 2, (float[]){1, -2});

  g = begin();
  graph_node(&g, node("Add", "x c", "a"));
  graph_node(&g, node("Relu", "a", "b"));
  graph_node(&g, node("Relu", "b", "c"));
  graph_node(&g, node("Relu", "x", "y"));
  refuse(model(18, &g), NULL, WEFT_INVALID_MODEL, "cycle");
}

static void test_names(void) {
  bytes g = begin();
  graph_node(&g, node("Add", "x missing", "y"));
  refuse(model(18, &g), NULL, WEFT_INVALID_MODEL, "'missing'");

  g = begin();
  graph_node(&g, node("Relu", "x", "y"));
  graph_node(&g, node("Abs", "x", "y"));
  refuse(model(18, &g), NULL, WEFT_INVALID_MODEL, "'y' is defined twice");

  bytes constant = node("Constant", "", "y");
  with_tensor(&constant, "value", 1);
  g = begin();
  graph_node(&g, node("Relu", "x", "y"));
  graph_node(&g, constant);
  refuse(model(18, &g), NULL, WEFT_INVALID_MODEL, "'y' is defined twice");

  constant = node("Constant", "", "x");
  with_tensor(&constant, "value", 1);
  g = begin();
  graph_node(&g, constant);
  refuse(model(18, &g), NULL, WEFT_INVALID_MODEL, "'x' is defined twice");

  g = begin();
  graph_node(&g, node("Relu", "x", "z"));
  refuse(model(18, &g), NULL, WEFT_INVALID_MODEL, "output 'y'");

  g = begin();
  graph_node(&g, node("Foo", "x", "z"));
  graph_node(&g, node("some.where:Bar", "z", "y"));
  refuse(model(18, &g), NULL, WEFT_UNSUPPORTED, "Foo version 18 (node 'Foo_0'), some.where:Bar");

  bytes fused = node("com.microsoft:FusedGemm", "x x", "y");
  with_string(&fused, "activation", "Baz");
  g = begin();
  graph_node(&g, fused);
  refuse(model(18, &g), NULL, WEFT_UNSUPPORTED, "no operator Baz");
}

/* An initializer that is an input too is its default. */
static void test_default(void) {
  bytes g = begin();
  graph_value(&g, GRAPH_INPUT, "w", 1, two);
  graph_tensor(&g, "w", 1, 4, 1, two, (float[]){10, 20});
  graph_node(&g, node("Add", "x w", "y"));
  expect(model(18, &g), 2, (float[]){11, 18});
}

/* A branch whose one output is `inner`, found outside under that name, plus what `inner` names. */
static bytes branch(const char *in, bytes *nested) {
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "branch");
  if (nested != NULL) {
    graph_node(&g, *nested);
    *nested = (bytes){0};
  } else {
    graph_node(&g, node("Neg", in, "r"));
  }
  graph_output(&g, "r");
  return g;
}

static bytes choice(const char *in, bytes *nested, const char *out) {
  bytes n = node("If", "condition", out), yes = branch(in, nested), no = branch("x", NULL);
  with_graph(&n, "then_branch", &yes);
  with_graph(&n, "else_branch", &no);
  return n;
}

/* `a` is captured through two levels, and made after the node that captures it. */
static void test_captures(void) {
  bytes g = begin(), inner = choice("a", NULL, "r"), outer = choice("a", &inner, "y");
  graph_tensor(&g, "condition", 9, 1, 0, NULL, (char[]){1});
  graph_node(&g, outer);
  graph_node(&g, node("Abs", "x", "a"));
  expect(model(18, &g), 2, (float[]){-1, -2});
}

static void test_depth(void) {
  bytes g = begin(), n = choice("x", NULL, "r");
  for (int i = 0; i < 40; i++) {
    n = choice("x", &n, i == 39 ? "y" : "r");
  }
  graph_tensor(&g, "condition", 9, 1, 0, NULL, (char[]){1});
  graph_node(&g, n);
  refuse(model(18, &g), NULL, WEFT_LIMIT_EXCEEDED, "32");
}

static bytes with_function(bytes m, bytes f) {
  add_message(&m, 25, &f);
  return m;
}

static void test_functions(void) {
  /* y = leaky(x) + third, where third may be absent; alpha has a default */
  bytes f = function("Leaky", "in third", "out same"), n = node("LeakyRelu", "in", "out"),
        fallback = attribute("alpha", 1);
  with_reference(&n, "alpha", ATTRIBUTE_FLOAT, "alpha");
  add_float(&fallback, 2, 0.5f);
  add_message(&f, 11, &fallback);
  function_node(&f, n);
  function_node(&f, node("Identity", "out", "same"));
  bytes g = begin(), call = node("f:Leaky", "x", "a"), with_alpha = node("f:Leaky", "x", "_ b");
  with_float(&with_alpha, "alpha", 2);
  graph_node(&g, call);
  graph_node(&g, with_alpha);
  graph_node(&g, node("Add", "a b", "y"));
  expect(with_function(model(18, &g), f), 2, (float[]){2, -5});

  /* Inputs handed through, a function in a function, a name of the caller's that is also one inside. */
  bytes swap = function("Swap", "p q", "q p"), twice = function("Twice", "x z", "u v");
  function_node(&twice, node("f:Swap", "x z", "t s"));
  function_node(&twice, node("Sub", "t s", "u"));
  function_node(&twice, node("Identity", "s", "v"));
  g = begin();
  graph_node(&g, node("Abs", "x", "t"));
  graph_node(&g, node("f:Twice", "t x", "y"));
  expect(with_function(with_function(model(18, &g), swap), twice), 2, (float[]){0, -4});

  /* The function is read at its own opset, in which axes are an input. */
  bytes sum = function("Sum2", "in", "out");
  function_node(&sum, node("ReduceSum", "in", "out"));
  g = begin();
  graph_node(&g, node("f:Sum2", "x", "y"));
  expect(with_function(model(1, &g), sum), 1, (float[]){-1});
}

static void test_hostile_functions(void) {
  bytes a = function("A", "in", "out"), b = function("B", "in", "out"), g = begin();
  function_node(&a, node("f:B", "in", "out"));
  function_node(&b, node("f:A", "in", "out"));
  graph_node(&g, node("f:A", "x", "y"));
  refuse(with_function(with_function(model(18, &g), a), b), NULL, WEFT_INVALID_MODEL, "calls itself");

  /* Through a subgraph. */
  bytes body = {0}, c = function("C", "in condition", "out"), n = node("If", "condition", "out"), other = {0};
  graph_node(&body, node("f:C", "in condition", "r"));
  graph_output(&body, "r");
  graph_node(&other, node("Neg", "in", "r"));
  graph_output(&other, "r");
  with_graph(&n, "then_branch", &body);
  with_graph(&n, "else_branch", &other);
  function_node(&c, n);
  g = begin();
  graph_tensor(&g, "condition", 9, 1, 0, NULL, (char[]){1});
  graph_node(&g, node("f:C", "x condition", "y"));
  refuse(with_function(model(18, &g), c), NULL, WEFT_INVALID_MODEL, "calls itself");

  /* 2^20 calls, none of which has a node in the end. */
  g = begin();
  graph_node(&g, node("f:F0", "x", "y"));
  bytes m = model(18, &g);
  for (int i = 0; i < 20; i++) {
    char own[8], next[16];
    snprintf(own, sizeof own, "F%d", i);
    snprintf(next, sizeof next, "f:F%d", i + 1);
    bytes f = function(own, "in", "out");
    function_node(&f, node(next, "in", "t"));
    function_node(&f, node(next, "t", "out"));
    add_message(&m, 25, &f);
  }
  bytes last = function("F20", "in", "in");
  add_message(&m, 25, &last);
  const weft_options few = {.max_nodes = 10000};
  refuse(m, &few, WEFT_LIMIT_EXCEEDED, "more than 10000 nodes");
}

/* An operator with more inputs than it has, one of which is absent, and sizes that do not go together. */
static void test_too_many_inputs(void) {
  bytes g = begin();
  const int64_t three[] = {3};
  graph_tensor(&g, "c", 1, 4, 1, three, (float[]){1, 2, 3});
  graph_node(&g, node("Add", "x c c _ c", "y"));
  survive(model(18, &g));
}

/* Forms that tests/onnx does not reach: the ones without an opset of their own. */
static void test_upgrade(void) {
  bytes g = begin(), n = node("Softmax", "x2", "z");
  with_int(&n, "axis", 0);
  int64_t column[] = {2, 1};
  bytes shape = node("Reshape", "x column", "x2");
  graph_tensor(&g, "column", 7, 8, 1, two, column);
  graph_node(&g, shape);
  graph_node(&g, n);
  graph_node(&g, node("ReduceSum", "z", "y"));
  expect(model(11, &g), 1, (float[]){1}); /* the whole matrix is one row */
}

static bytes with_gradient(bytes *g, const char *inputs, const char *of) {
  bytes n = node("ai.onnx.preview.training:Gradient", inputs, "y"), training = opset("ai.onnx.preview.training", 1);
  with_strings(&n, "xs", "x");
  with_string(&n, "y", of);
  graph_node(g, n);
  bytes m = model(18, g);
  add_message(&m, 8, &training);
  return m;
}

/* x is repeated along the rows of w, so its derivative sums over them: w where w*x > 0, less 1 for each row. */
static void test_gradient(void) {
  const int64_t square[] = {2, 2};
  bytes g = begin();
  graph_tensor(&g, "w", 1, 4, 2, square, (float[]){1, 2, 3, 4});
  graph_node(&g, node("Mul", "x w", "a"));
  graph_node(&g, node("Relu", "a", "b"));
  graph_node(&g, node("Sub", "b x", "c"));
  expect(with_gradient(&g, "x", "c"), 2, (float[]){2, -2});

  g = begin();
  graph_node(&g, node("Neg", "x", "n"));
  graph_node(&g, node("Div", "n x", "c"));
  expect(with_gradient(&g, "x", "c"), 2, (float[]){0, 0});

  g = begin();
  graph_node(&g, node("NonMaxSuppression", "x x", "c"));
  refuse(with_gradient(&g, "x", "c"), NULL, WEFT_UNSUPPORTED, "the derivative of NonMaxSuppression");

  for (int kept = 0; kept < 2; kept++) {
    bytes mixed = node("Resize", "x _ r", "c");
    with_string(&mixed, "mode", "linear");
    g = begin();
    graph_tensor(&g, "r", 1, 4, 1, (int64_t[]){1}, (float[]){2});
    if (kept == 0) {
      graph_node(&g, mixed);
      expect(with_gradient(&g, "x", "c"), 2, (float[]){2, 2});
    } else {
      with_string(&mixed, "keep_aspect_ratio_policy", "not_larger");
      graph_node(&g, mixed);
      refuse(with_gradient(&g, "x", "c"), NULL, WEFT_UNSUPPORTED, "a ratio that is kept");
    }
  }

  g = begin();
  graph_node(&g, node("LSTM", "x x x", "c"));
  refuse(with_gradient(&g, "x", "c"), NULL, WEFT_UNSUPPORTED, "the derivative of LSTM");

  g = begin();
  graph_node(&g, node("Neg", "x", "c"));
  graph_node(&g, node("Neg", "c", "other"));
  refuse(with_gradient(&g, "other", "c"), NULL, WEFT_UNSUPPORTED, "input 0: expected 'x'");
}

/* Only the branches read x. */
static void test_gradient_of_branches(void) {
  bytes g = begin();
  graph_tensor(&g, "condition", 9, 1, 0, NULL, (char[]){1});
  graph_node(&g, choice("x", NULL, "c"));
  expect(with_gradient(&g, "x", "c"), 2, (float[]){-1, -1});

  bytes unknown = node("NonMaxSuppression", "x x", "r");
  g = begin();
  graph_tensor(&g, "condition", 9, 1, 0, NULL, (char[]){1});
  graph_node(&g, choice("x", &unknown, "c"));
  refuse(with_gradient(&g, "x", "c"), NULL, WEFT_UNSUPPORTED, "the derivative of NonMaxSuppression");

  bytes deep = choice("x", NULL, "r");
  for (int i = 0; i < 5; i++) {
    deep = choice("x", &deep, i == 4 ? "c" : "r");
  }
  g = begin();
  graph_tensor(&g, "condition", 9, 1, 0, NULL, (char[]){1});
  graph_node(&g, deep);
  refuse(with_gradient(&g, "x", "c"), NULL, WEFT_UNSUPPORTED, "more than 4 levels");
}

/* More inputs than the operator has, and texts that formulas have a meaning for. */
static void test_hostile_gradients(void) {
  static const char *const wide[] = {"RMSNormalization",
                                     "ReduceMax",
                                     "ReduceSum",
                                     "ScatterElements",
                                     "Conv",
                                     "ConvTranspose",
                                     "LayerNormalization",
                                     "Gemm",
                                     "Slice",
                                     "Concat",
                                     "TopK",
                                     "Where",
                                     "Attention",
                                     "Dropout",
                                     "Resize",
                                     "BatchNormalization",
                                     "GroupNormalization",
                                     "InstanceNormalization",
                                     "LSTM",
                                     "GRU",
                                     "RNN",
                                     "ScatterND",
                                     "MaxUnpool"};
  for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
    static const char *const inputs[] = {"x x x x x", "x", "x _ x"};
    for (size_t k = 0; k < sizeof inputs / sizeof *inputs; k++) {
      bytes n = node(wide[i], inputs[k], "c");
      with_int(&n, "training_mode", 1);
      with_string(&n, "mode", "cubic");
      bytes g = begin();
      graph_node(&g, n);
      survive(with_gradient(&g, "x", "c"));
    }
  }
  static const char *const equations[] = {"i'->i",
                                          "i}->i",
                                          "i'->{a=b",
                                          "i->",
                                          "ii->i",
                                          "->->",
                                          "-->",
                                          "i,i->i",
                                          "i,j",
                                          "...i",
                                          "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA,a"};
  for (size_t i = 0; i < sizeof equations / sizeof *equations; i++) {
    bytes einsum = node("Einsum", "x", "c");
    with_string(&einsum, "equation", equations[i]);
    bytes g = begin();
    graph_node(&g, einsum);
    survive(with_gradient(&g, "x", "c"));
  }
}

int main(void) {
  test_gradient();
  test_gradient_of_branches();
  test_hostile_gradients();
  test_order();
  test_names();
  test_default();
  test_captures();
  test_depth();
  test_functions();
  test_hostile_functions();
  test_too_many_inputs();
  test_upgrade();
  return 0;
}
