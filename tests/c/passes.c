/* Passes: what becomes of known patterns, that patterns which only look alike are left, and that results stay the same.
 */
#include <math.h>

#include "base/convert.h"
#include "graph/load.h"
#include "graph/shapes.h"
#include "model_bytes.h"
#include "onnx/loader.h"
#include "optimize/optimize.h"
#include "session/plan.h"

enum { MAX_ELEMENTS = 512 };

static const int64_t image[] = {0, 2, 5, 5}, filter[] = {2, 2, 3, 3}, vector[] = {2}, scalar[1];
static uint32_t state = 1;

static float number(void) {
  state = state * 1664525u + 1013904223u;
  return (float)(state >> 8) / (float)(1u << 23) - 1;
}

static void constant(bytes *g, const char *name, int rank, const int64_t *dims) {
  float data[MAX_ELEMENTS];
  size_t count = 1;
  for (int i = 0; i < rank; i++) {
    count *= (size_t)dims[i];
  }
  for (size_t i = 0; i < count; i++) {
    data[i] = number() + (strcmp(name, "variance") == 0 ? 2 : 0);
  }
  graph_tensor(g, name, 1, 4, rank, dims, data);
}

static void one(bytes *g, const char *name, float value) {
  graph_tensor(g, name, 1, 4, 0, scalar, &value);
}

static bytes begin(void) {
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 4, image);
  graph_output(&g, "y");
  constant(&g, "w", 4, filter);
  constant(&g, "b", 1, vector);
  return g;
}

static bytes convolution(const char *inputs, const char *output) {
  bytes n = node("Conv", inputs, output), pads = attribute("pads", ATTRIBUTE_INTS);
  for (int i = 0; i < 4; i++) {
    add_int(&pads, 8, 1);
  }
  add_message(&n, NODE_ATTRIBUTE, &pads);
  return n;
}

/* ---- what the graph becomes ------------------------------------------------------------------ */
static weft_status evaluate(void *arg, weft_node *n, weft_value *const *inputs, weft_value **outputs) {
  return weft_evaluate(arg, n, inputs, outputs);
}

static weft_status interpret(void *arg, const weft_graph *graph, weft_value **values) {
  ((weft_run_state *)arg)->probing = true;
  return weft_interpret(arg, graph, values);
}

/* The operators of the optimised graph in order, as "weft:Conv Add". */
static void expect_nodes(const bytes *m, const char *expected) {
  weft_error error;
  weft_loader *loader;
  weft_model *model = NULL;
  char found[512] = "";
  CHECK(weft_loader_create(NULL, &loader, &error) == WEFT_OK);
  CHECK(weft_loader_push(loader, m->data, m->size, &error) == WEFT_OK);
  CHECK(weft_loader_finish(loader, &error) == WEFT_OK);
  weft_context *cx = &loader->cx;
  cx->error = &error;
  cx->kernels = weft_kernels_choose(true);
  weft_strings *strings = NULL;
  uint64_t random = 1;
  weft_run_state run = {.cx = cx, .strings = &strings, .random = &random};
  if (weft_model_load(cx, &loader->model, &loader->options, &model) != WEFT_OK) {
    fprintf(stderr, "%s\n", error.message);
    exit(1);
  }
  CHECK(weft_graph_infer(model, interpret, &run) == WEFT_OK);
  run.probing = false;
  CHECK(weft_optimize_model(model, &loader->options, evaluate, &run) == WEFT_OK);
  for (size_t i = 0; i < model->graph->node_count; i++) {
    const weft_node *n = &model->graph->nodes[i];
    size_t used = strlen(found);
    snprintf(found + used, sizeof found - used, "%s%s%s%s", used == 0 ? "" : " ", n->domain,
             n->domain[0] != 0 ? ":" : "", n->op_type);
  }
  if (strcmp(found, expected) != 0) {
    fprintf(stderr, "expected '%s', found '%s'\n", expected, found);
    exit(1);
  }
  weft_run_state_free(&run);
  weft_model_destroy(model);
  weft_loader_destroy(loader);
}

/* ---- what it means --------------------------------------------------------------------------- */
/* The model's answer to x of these dimensions, of the type that the model asks for, with numbers up to `factor`. */
static weft_value *run(const bytes *m, int rank, const int64_t *dims, float factor, weft_optimize optimize) {
  weft_error error;
  weft_session *session;
  weft_value *x, *y;
  weft_info info;
  const weft_options options = {.optimize = optimize};
  CHECK(weft_session_create_from_bytes(m->data, m->size, &options, &session, &error) == WEFT_OK);
  CHECK(weft_session_input_info(session, 0, &info, &error) == WEFT_OK);
  CHECK(weft_value_create_tensor(info.type, rank, dims, &x, &error) == WEFT_OK);
  state = 99;
  for (size_t i = 0; i < weft_value_count(x); i++) {
    const float value = number() * factor;
    weft_store_float(info.type, &value, 1, weft_value_data(x), i, 1);
  }
  weft_status status = weft_session_run(session, 1, (const char *[]){"x"}, &x, 1, (const char *[]){"y"}, &y, &error);
  if (status != WEFT_OK) {
    fprintf(stderr, "%s\n", error.message);
    exit(1);
  }
  weft_value_release(x);
  weft_session_destroy(session);
  return y;
}

/* Frees the model. */
static void expect_same(bytes *model, float tolerance) {
  bytes m = *model;
  const int64_t dims[] = {3, 2, 5, 5};
  weft_value *a = run(&m, 4, dims, 4, WEFT_OPTIMIZE_ALL), *b = run(&m, 4, dims, 4, WEFT_OPTIMIZE_NONE);
  CHECK(weft_value_count(a) == weft_value_count(b));
  for (size_t i = 0; i < weft_value_count(a); i++) {
    float p = ((float *)weft_value_data(a))[i], q = ((float *)weft_value_data(b))[i];
    CHECK(fabsf(p - q) <= tolerance * (1 + fabsf(q)));
  }
  weft_value_release(a);
  weft_value_release(b);
  clear(&m);
}

static void expect_within(bytes *g, const char *nodes, float tolerance) {
  bytes m = model(20, g);
  expect_nodes(&m, nodes);
  expect_same(&m, tolerance);
}

static void expect(bytes *g, const char *nodes) {
  expect_within(g, nodes, 1e-4f);
}

static void test_convolutions(void) {
  static const char *const statistics[] = {"scale", "shift", "mean", "variance"};
  bytes g = begin();
  for (int i = 0; i < 4; i++) {
    constant(&g, statistics[i], 1, vector);
  }
  graph_node(&g, convolution("x w b", "a"));
  graph_node(&g, node("BatchNormalization", "a scale shift mean variance", "n"));
  graph_node(&g, node("Relu", "n", "r"));
  graph_node(&g, convolution("r w", "c"));
  graph_node(&g, node("Add", "x c", "s"));
  graph_node(&g, node("LeakyRelu", "s", "y"));
  expect(&g, "weft:Conv weft:Conv");

  /* The weights are shared by a convolution whose result is not scaled. */
  g = begin();
  int64_t per_channel[] = {2, 1, 1};
  constant(&g, "k", 3, per_channel);
  graph_node(&g, convolution("x w", "a"));
  graph_node(&g, node("Mul", "a k", "m"));
  graph_node(&g, node("Add", "m k", "n"));
  graph_node(&g, convolution("x w b", "c"));
  graph_node(&g, node("Sub", "n c", "y"));
  expect(&g, "Conv Conv Sub");

  /* A result that is read twice stays; a residual made later than the product; x * sigmoid(x). */
  g = begin();
  graph_node(&g, convolution("x w b", "a"));
  graph_node(&g, node("Sigmoid", "a", "s"));
  graph_node(&g, node("Mul", "a s", "h"));
  graph_node(&g, convolution("h w b", "c"));
  graph_node(&g, node("Abs", "x", "late"));
  graph_node(&g, node("Add", "late c", "t"));
  graph_node(&g, node("Add", "t c", "y"));
  expect(&g, "weft:Conv Conv Abs Add Add");
}

static void test_products(void) {
  int64_t square[] = {5, 5}, row[] = {5};
  bytes g = begin();
  constant(&g, "m", 2, square);
  constant(&g, "r", 1, row);
  one(&g, "lo", -1);
  graph_node(&g, node("MatMul", "x m", "a"));
  graph_node(&g, node("Add", "r a", "c"));
  graph_node(&g, node("Clip", "c lo", "d"));
  graph_node(&g, node("MatMul", "d m", "e"));
  graph_node(&g, node("Add", "e x", "y"));
  expect(&g, "weft:MatMul weft:MatMul");

  g = begin();
  constant(&g, "m", 2, square);
  constant(&g, "r", 1, row);
  graph_node(&g, node("MatMul", "x m", "a"));
  graph_node(&g, node("com.microsoft:BiasGelu", "a r", "y"));
  expect(&g, "weft:MatMul");

  /* What seems to be of the result's shape, but may be a mask for all heads. */
  const int64_t unknown_heads[] = {3, 0, 5, 5};
  g = (bytes){0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 4, unknown_heads);
  graph_output(&g, "y");
  constant(&g, "m", 2, square);
  graph_node(&g, node("MatMul", "x m", "a"));
  graph_node(&g, node("Add", "a x", "y"));
  expect(&g, "MatMul Add");

  /* A column is no bias of a product's columns, and broadcasts the result: no residual either. */
  int64_t column[] = {5, 1};
  g = begin();
  constant(&g, "m", 2, square);
  constant(&g, "k", 2, column);
  graph_node(&g, node("MatMul", "x m", "a"));
  graph_node(&g, node("Add", "a k", "y"));
  expect(&g, "MatMul Add");
}

/* Rows made one dimension for a product, as of what was a product of matrices once. */
static void test_rows(void) {
  const int64_t square[] = {5, 5}, length[] = {5}, flat[] = {-1, 5}, apart[] = {-1, 2, 5, 5}, swapped[] = {5, 2, -1, 5},
                two[] = {2}, four[] = {4};
  static const char *const expected[] = {"weft:MatMul Abs", "weft:MatMul Abs", "Reshape Gemm Reshape Relu Abs",
                                         "Reshape Gemm Reshape Relu Abs"};
  for (int way = 0; way < 4; way++) {
    bytes g = begin(), product = node(way == 1 ? "MatMul" : "Gemm", way == 1 ? "f m" : "f m bias", "p");
    constant(&g, "m", 2, square);
    constant(&g, "bias", 1, length);
    graph_tensor(&g, "flat", WEFT_INT64, 8, 1, two, flat);
    graph_tensor(&g, "apart", WEFT_INT64, 8, 1, four, way == 3 ? swapped : apart);
    if (way == 2) {
      with_float(&product, "beta", 0.5f);
    }
    graph_node(&g, node("Reshape", "x flat", "f"));
    graph_node(&g, product);
    graph_node(&g, node("Reshape", "p apart", "q"));
    graph_node(&g, node("Relu", "q", "r"));
    graph_node(&g, node("Abs", "r", "y"));
    expect(&g, expected[way]);
  }

  /* Rows of two dimensions that were one. */
  const int64_t joined[] = {-1, 25}, wide[] = {25, 4}, to_three[] = {-1, 2, 4}, three[] = {3};
  bytes g = begin();
  constant(&g, "m", 2, wide);
  constant(&g, "bias", 1, (const int64_t[]){4});
  graph_tensor(&g, "flat", WEFT_INT64, 8, 1, two, joined);
  graph_tensor(&g, "apart", WEFT_INT64, 8, 1, three, to_three);
  graph_node(&g, node("Reshape", "x flat", "f"));
  graph_node(&g, node("Gemm", "f m bias", "p"));
  graph_node(&g, node("Reshape", "p apart", "y"));
  expect(&g, "Reshape weft:MatMul");
}

/* The transpose of a constant that something else reads is read where it is; of any other it is folded. */
static void test_tied(void) {
  int64_t square[] = {5, 5};
  for (int tied = 0; tied < 2; tied++) {
    bytes g = begin();
    constant(&g, "m", 2, square);
    graph_node(&g, node("Mul", tied ? "x m" : "x x", "a"));
    graph_node(&g, node("Transpose", "m", "t"));
    graph_node(&g, node("MatMul", "a t", "y"));
    expect(&g, tied ? "Mul weft:MatMul" : "Mul MatMul");
  }
  static const uint16_t zeros[25];
  bytes g = begin(), cast = node("Cast", "m", "c");
  graph_tensor(&g, "m", WEFT_FLOAT16, 2, 2, square, zeros);
  with_int(&cast, "to", WEFT_FLOAT);
  graph_node(&g, cast);
  graph_node(&g, node("Mul", "x c", "a"));
  graph_node(&g, node("Transpose", "m", "t"));
  graph_node(&g, node("MatMul", "a t", "y"));
  expect(&g, "Mul weft:MatMul");
}

static void test_nothing_done(void) {
  bytes g = begin(), cast = node("Cast", "b", "c");
  with_int(&cast, "to", WEFT_FLOAT);
  graph_node(&g, node("Identity", "x", "a"));
  graph_node(&g, cast);
  graph_node(&g, node("Dropout", "a", "d mask"));
  graph_node(&g, node("Abs", "d", "e"));
  graph_node(&g, node("Neg", "c", "unused"));
  graph_node(&g, node("Identity", "e", "y"));
  expect(&g, "Abs");

  /* An output that is an input needs its node. */
  g = begin();
  graph_node(&g, node("Identity", "x", "y"));
  expect(&g, "Identity");
}

static void test_patterns(void) {
  bytes g = begin();
  one(&g, "root", 1.41421354f);
  one(&g, "one", 1);
  one(&g, "half", 0.5f);
  graph_node(&g, node("Div", "x root", "a"));
  graph_node(&g, node("Erf", "a", "e"));
  graph_node(&g, node("Add", "e one", "s"));
  graph_node(&g, node("Mul", "x s", "m"));
  graph_node(&g, node("Mul", "m half", "y"));
  expect(&g, "Gelu");

  g = begin();
  int64_t axis = -1, length[] = {5}, single[] = {1};
  graph_tensor(&g, "axis", 7, 8, 1, single, &axis);
  constant(&g, "scale", 1, length);
  constant(&g, "shift", 1, length);
  one(&g, "two", 2);
  one(&g, "epsilon", 1e-5f);
  graph_node(&g, node("ReduceMean", "x axis", "m"));
  graph_node(&g, node("Sub", "x m", "c"));
  graph_node(&g, node("Pow", "c two", "q"));
  graph_node(&g, node("ReduceMean", "q axis", "v"));
  graph_node(&g, node("Add", "v epsilon", "u"));
  graph_node(&g, node("Sqrt", "u", "d"));
  graph_node(&g, node("Div", "c d", "n"));
  graph_node(&g, node("Mul", "n scale", "k"));
  graph_node(&g, node("Add", "k shift", "y"));
  expect(&g, "LayerNormalization");

  /* Without the mean: three ways to divide; and what divides something else. */
  for (int way = 0; way < 4; way++) {
    g = begin();
    graph_tensor(&g, "axis", 7, 8, 1, single, &axis);
    constant(&g, "scale", 1, length);
    one(&g, "one", 1);
    one(&g, "epsilon", 1e-5f);
    graph_node(&g, node("Mul", "x x", "q"));
    graph_node(&g, node("ReduceMean", "q axis", "v"));
    graph_node(&g, node("Add", "v epsilon", "u"));
    graph_node(&g, node("Sqrt", "u", "d"));
    if (way == 1) {
      graph_node(&g, node("Reciprocal", "d", "i"));
    } else if (way == 2) {
      graph_node(&g, node("Div", "one d", "i"));
    }
    graph_node(&g, way == 1 || way == 2 ? node("Mul", "x i", "n") : node("Div", way == 0 ? "x d" : "q d", "n"));
    graph_node(&g, node("Mul", "scale n", "y"));
    expect(&g, way < 3 ? "RMSNormalization" : "Mul ReduceMean Add Sqrt Div Mul");
  }

  g = begin();
  one(&g, "factor", 1.702f);
  graph_node(&g, node("Mul", "factor x", "a"));
  graph_node(&g, node("Sigmoid", "a", "s"));
  graph_node(&g, node("Mul", "x s", "y"));
  expect(&g, "Swish");
}

static bytes turned(const char *in, const char *out, int rank, const int64_t *order) {
  bytes n = node("Transpose", in, out), perm = attribute("perm", ATTRIBUTE_INTS);
  for (int i = 0; i < rank; i++) {
    add_int(&perm, 8, (uint64_t)order[i]);
  }
  add_message(&n, NODE_ATTRIBUTE, &perm);
  return n;
}

static void turn(bytes *g, const char *in, const char *out, int rank, const int64_t *order) {
  graph_node(g, turned(in, out, rank, order));
}

static void reshape(bytes *g, const char *in, const char *out, int64_t rank, const int64_t *dims) {
  char inputs[32];
  snprintf(inputs, sizeof inputs, "%s to_%s", in, out);
  graph_tensor(g, inputs + strlen(in) + 1, 7, 8, 1, &rank, dims);
  graph_node(g, node("Reshape", inputs, out));
}

/* x is [?, 2, 5, 5]: one axis of which all that is known is that it stays the same. */
static void test_turns(void) {
  const int64_t swap[] = {0, 2, 1, 3}, swap3[] = {1, 0, 2};
  const int64_t joined[] = {-1, 5, 10}, split[] = {-1, 5, 1, 2, 5}, crossing[] = {-1, 25, 2};
  /* What is joined stays together. */
  bytes g = begin();
  graph_node(&g, node("Abs", "x", "a"));
  turn(&g, "a", "t", 4, swap);
  reshape(&g, "t", "r", 3, joined);
  turn(&g, "r", "y", 3, swap3);
  expect(&g, "Abs Transpose Reshape");

  /* There and back again. */
  g = begin();
  graph_node(&g, node("Abs", "x", "a"));
  turn(&g, "a", "t", 4, swap);
  reshape(&g, "t", "r", 5, split);
  turn(&g, "r", "u", 5, (int64_t[]){0, 3, 1, 2, 4});
  graph_node(&g, node("Neg", "u", "y"));
  expect(&g, "Abs Reshape Neg");

  /* Only an axis of one moves. */
  g = begin();
  graph_node(&g, node("Abs", "x", "a"));
  reshape(&g, "a", "r", 5, (int64_t[]){-1, 1, 2, 5, 5});
  turn(&g, "r", "u", 5, (int64_t[]){0, 2, 3, 1, 4});
  graph_node(&g, node("Neg", "u", "y"));
  expect(&g, "Abs Reshape Reshape Neg");

  /* A Reshape that cuts across axes, and one that something else reads. */
  g = begin();
  turn(&g, "x", "t", 4, swap);
  reshape(&g, "t", "r", 3, crossing);
  turn(&g, "r", "y", 3, swap3);
  expect(&g, "Transpose Reshape Transpose");

  g = begin();
  turn(&g, "x", "t", 4, swap);
  reshape(&g, "t", "r", 3, joined);
  turn(&g, "r", "u", 3, swap3);
  graph_node(&g, node("Neg", "r", "n"));
  turn(&g, "n", "v", 3, swap3);
  graph_node(&g, node("Add", "u v", "y"));
  expect(&g, "Transpose Reshape Transpose Neg Transpose Add");
}

static void test_attention(void) {
  const int64_t swap_last[] = {0, 1, 3, 2}, swap_heads[] = {0, 2, 1, 3}, heads_and_last[] = {0, 2, 3, 1};
  int64_t mask[] = {5, 5};
  bytes g = begin();
  constant(&g, "mask", 2, mask);
  one(&g, "scale", 0.3f);
  graph_node(&g, node("Neg", "x", "v"));
  graph_node(&g, turned("x", "k", 4, swap_last));
  graph_node(&g, node("MatMul", "x k", "s"));
  graph_node(&g, node("Mul", "s scale", "t"));
  graph_node(&g, node("Add", "t mask", "u"));
  graph_node(&g, node("Softmax", "u", "p"));
  graph_node(&g, node("MatMul", "p v", "y"));
  expect(&g, "Neg weft:Attention");

  /* Keys and values of a length that no input has, which are outputs too, as of a cache that grows. */
  const int64_t rows_unknown[] = {3, 2, 0, 5};
  g = (bytes){0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 4, rows_unknown);
  graph_output(&g, "y");
  graph_output(&g, "present");
  bytes concat = node("Concat", "x x", "present");
  with_int(&concat, "axis", 2);
  graph_node(&g, concat);
  graph_node(&g, turned("present", "k", 4, swap_last));
  graph_node(&g, node("MatMul", "x k", "s"));
  graph_node(&g, node("Softmax", "s", "p"));
  graph_node(&g, node("MatMul", "p present", "y"));
  expect(&g, "Concat weft:Attention");

  /* A scale that the graph makes of a size, on both sides, as PyTorch exports it; -1 is "N + 1", the keys' length. */
  const int64_t from[] = {3}, one_axis[] = {1}, mask_dims[] = {1, 1, 1, -1}, row_of[] = {3, 2, 1, 5};
  bytes shape = node("Shape", "x", "shape"), cast = node("Cast", "size", "real");
  g = (bytes){0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 4, rows_unknown);
  graph_value(&g, GRAPH_INPUT, "mask", 4, mask_dims);
  graph_output(&g, "y");
  constant(&g, "row", 4, row_of);
  graph_tensor(&g, "three", 7, 8, 1, one_axis, from);
  concat = node("Concat", "x row", "keys");
  with_int(&concat, "axis", 2);
  with_int(&cast, "to", WEFT_FLOAT);
  graph_node(&g, shape);
  graph_node(&g, node("Gather", "shape three", "size"));
  graph_node(&g, cast);
  graph_node(&g, node("Sqrt", "real", "root"));
  graph_node(&g, node("Sqrt", "root", "scale"));
  graph_node(&g, concat);
  graph_node(&g, turned("keys", "k", 4, swap_last));
  graph_node(&g, node("Div", "x scale", "q"));
  graph_node(&g, node("Div", "k scale", "l"));
  graph_node(&g, node("MatMul", "q l", "s"));
  graph_node(&g, node("Add", "s mask", "u"));
  graph_node(&g, node("Softmax", "u", "p"));
  graph_node(&g, node("MatMul", "p keys", "y"));
  bytes m = model(20, &g);
  expect_nodes(&m, "Shape Gather Cast Sqrt Sqrt Concat weft:Attention");
  clear(&m);

  g = begin();
  graph_tensor(&g, "three", 7, 8, 1, one_axis, from);
  cast = node("Cast", "size", "real");
  with_int(&cast, "to", WEFT_FLOAT);
  graph_node(&g, node("Shape", "x", "shape"));
  graph_node(&g, node("Gather", "shape three", "size"));
  graph_node(&g, cast);
  graph_node(&g, node("Neg", "x", "v"));
  graph_node(&g, node("Mul", "x real", "q"));
  graph_node(&g, turned("x", "k", 4, swap_last));
  graph_node(&g, node("Div", "k real", "l"));
  graph_node(&g, node("MatMul", "q l", "s"));
  graph_node(&g, node("Div", "s real", "u"));
  graph_node(&g, node("Softmax", "u", "p"));
  graph_node(&g, node("MatMul", "p v", "y"));
  expect(&g, "Shape Gather Cast Neg weft:Attention");

  /* Cut into heads and put together again, with the guard against rows that are masked as a whole. */
  int64_t cut[] = {0, 0, 5, 5}, rows[] = {0, 2, 25}, four[] = {4}, three[] = {3};
  g = begin();
  graph_tensor(&g, "cut", 7, 8, 1, four, cut);
  graph_tensor(&g, "rows", 7, 8, 1, three, rows);
  one(&g, "zero", 0);
  graph_node(&g, node("Reshape", "x rows", "a"));
  graph_node(&g, node("Reshape", "a cut", "h"));
  graph_node(&g, turned("h", "q", 4, swap_heads));
  graph_node(&g, turned("h", "k", 4, heads_and_last));
  graph_node(&g, node("MatMul", "q k", "s"));
  graph_node(&g, node("Softmax", "s", "p"));
  graph_node(&g, node("IsNaN", "p", "n"));
  graph_node(&g, node("Where", "n zero p", "guarded"));
  graph_node(&g, node("MatMul", "guarded q", "o"));
  graph_node(&g, turned("o", "r", 4, swap_heads));
  graph_node(&g, node("Reshape", "r rows", "z"));
  graph_node(&g, node("Abs", "z", "y"));
  expect(&g, "Reshape weft:Attention Abs");
}

/* ---- scores on their way to Softmax ---------------------------------------------------------- */
static bytes begin_scores(void) {
  static const int64_t full[] = {5, 5}, row[] = {5}, column[] = {5, 1}, heads[] = {2, 1, 5}, swap_last[] = {0, 1, 3, 2};
  static const bool condition[25] = {[0] = true, [6] = true, [12] = true, [18] = true, [24] = true};
  bytes g = begin();
  constant(&g, "full", 2, full);
  constant(&g, "row", 1, row);
  constant(&g, "column", 2, column);
  constant(&g, "heads", 3, heads);
  graph_tensor(&g, "condition", WEFT_BOOL, 1, 2, full, condition);
  one(&g, "two", 2);
  one(&g, "least", -3.4028235e38f);
  one(&g, "infinity", -INFINITY);
  one(&g, "low", -1e9f);
  graph_node(&g, node("Neg", "x", "v"));
  graph_node(&g, turned("x", "k", 4, swap_last));
  graph_node(&g, node("MatMul", "x k", "s"));
  return g;
}

static void end_scores(bytes *g, const char *scores, const char *nodes) {
  graph_node(g, node("Softmax", scores, "p"));
  graph_node(g, node("MatMul", "p v", "y"));
  expect(g, nodes);
}

/* One node between product and Softmax. */
static void expect_step(const char *op, const char *inputs, const char *nodes) {
  bytes g = begin_scores();
  graph_node(&g, node(op, inputs, "t"));
  end_scores(&g, "t", nodes);
}

static void test_scores(void) {
  expect_step("Add", "full s", "Neg weft:Attention");
  expect_step("Add", "s row", "Neg weft:Attention");
  expect_step("Add", "s heads", "Neg weft:Attention");
  expect_step("Mul", "two s", "Neg weft:Attention");
  expect_step("Where", "condition least s", "Neg weft:Attention"); /* whose mask is folded */
  expect_step("Where", "condition s infinity", "Neg weft:Attention");
  expect_step("Add", "s column", "Neg Transpose MatMul Add Softmax MatMul");
  expect_step("Mul", "s row", "Neg Transpose MatMul Mul Softmax MatMul");
  expect_step("Div", "two s", "Neg Transpose MatMul Div Softmax MatMul");
  expect_step("Where", "condition low s", "Neg Transpose MatMul Where Softmax MatMul");
  expect_step("Where", "condition s two", "Neg Transpose MatMul Where Softmax MatMul");

  /* A mask that is scaled after it was added, another, and a third; what is given is not folded. */
  bytes g = begin_scores();
  graph_node(&g, node("ReduceMax", "x axes", "given"));
  graph_tensor(&g, "axes", WEFT_INT64, 8, 1, (const int64_t[]){1}, (const int64_t[]){2});
  graph_node(&g, node("Add", "s given", "a"));
  graph_node(&g, node("Div", "a two", "h"));
  graph_node(&g, node("Where", "condition least h", "c"));
  graph_node(&g, node("Add", "full c", "d"));
  end_scores(&g, "d", "Neg ReduceMax Div Where Add weft:Attention");

  /* Scores whose shape is asked for, to expand a mask that may as well stay as it is; else the product stays for it. */
  g = begin_scores();
  graph_node(&g, node("Shape", "s", "shape"));
  graph_node(&g, node("Expand", "one_more shape", "mask"));
  graph_node(&g, node("Add", "s mask", "t"));
  one(&g, "one_more", 1);
  end_scores(&g, "t", "Neg Transpose MatMul Shape Expand weft:Attention");
  g = begin_scores();
  graph_node(&g, node("Shape", "s", "shape"));
  graph_node(&g, node("Expand", "full shape", "mask"));
  graph_node(&g, node("Add", "s mask", "t"));
  end_scores(&g, "t", "Neg weft:Attention");

  /* Scores that something else reads. */
  g = begin_scores();
  graph_node(&g, node("Add", "s full", "t"));
  graph_output(&g, "t");
  end_scores(&g, "t", "Neg Transpose MatMul Add Softmax MatMul");
}

/* Keys and values that several heads share: repeated one by one, all together (which is something else), or left to the
 * products to repeat. */
static void test_shared_heads(void) {
  const int64_t swap_last[] = {0, 1, 3, 2}, one_axis[] = {1}, five_axes[] = {5}, four_axes[] = {4};
  for (int axis = 1; axis <= 2; axis++) {
    const int64_t at[] = {axis}, joined[] = {0, 4, 5, 5};
    int64_t expanded[] = {1, 1, 1, 1, 1};
    expanded[axis] = 2;
    bytes g = begin(), concat = node("Concat", "x x", "q");
    with_int(&concat, "axis", 1);
    graph_tensor(&g, "at", WEFT_INT64, 8, 1, one_axis, at);
    graph_tensor(&g, "expanded", WEFT_INT64, 8, 1, five_axes, expanded);
    graph_tensor(&g, "joined", WEFT_INT64, 8, 1, four_axes, joined);
    graph_node(&g, concat);
    graph_node(&g, node("Unsqueeze", "x at", "u"));
    graph_node(&g, node("Expand", "u expanded", "e"));
    graph_node(&g, node("Reshape", "e joined", "r"));
    graph_node(&g, turned("r", "k", 4, swap_last));
    graph_node(&g, node("MatMul", "q k", "s"));
    graph_node(&g, node("Softmax", "s", "p"));
    graph_node(&g, node("MatMul", "p r", "y"));
    expect(&g, axis == 2 ? "Concat weft:Attention" : "Concat Unsqueeze Expand Reshape weft:Attention");
  }
  bytes g = begin();
  graph_tensor(&g, "at", WEFT_INT64, 8, 1, one_axis, one_axis);
  graph_node(&g, node("ReduceMax", "x at", "r"));
  graph_node(&g, turned("r", "k", 4, swap_last));
  graph_node(&g, node("MatMul", "x k", "s"));
  graph_node(&g, node("Softmax", "s", "p"));
  graph_node(&g, node("MatMul", "p r", "y"));
  expect(&g, "ReduceMax weft:Attention");
}

/* Batch and heads as one dimension, but for the mask and the result. */
static void test_merged_heads(void) {
  const int64_t three[] = {-1, 5, 5}, four[] = {0, 2, 5, 5}, apart[] = {-1, 2, 5, 5}, axes[] = {3}, axes4[] = {4};
  const int64_t mask[] = {2, 1, 5};
  for (int masked = 0; masked < 3; masked++) {
    bytes g = begin(), transpose = node("Transpose", "m", "k"), perm = attribute("perm", ATTRIBUTE_INTS);
    add_int(&perm, 8, 0), add_int(&perm, 8, 2), add_int(&perm, 8, 1);
    add_message(&transpose, NODE_ATTRIBUTE, &perm);
    graph_tensor(&g, "three", WEFT_INT64, 8, 1, axes, three);
    graph_tensor(&g, "four", WEFT_INT64, 8, 1, axes4, masked == 2 ? four : apart);
    graph_tensor(&g, "apart", WEFT_INT64, 8, 1, axes4, apart);
    constant(&g, "mask", 3, mask);
    graph_node(&g, node("Reshape", "x three", "m"));
    graph_node(&g, transpose);
    graph_node(&g, node("MatMul", "m k", "s"));
    if (masked) { /* the same numbers mean something else where batch and heads are one */
      graph_node(&g, node("Reshape", "s apart", "t"));
      graph_node(&g, node("Add", "t mask", "u"));
      graph_node(&g, node("Reshape", "u three", "l"));
    }
    graph_node(&g, node("Softmax", masked ? "l" : "s", "p"));
    graph_node(&g, node("MatMul", "p m", "o"));
    graph_node(&g, node("Reshape", "o apart", "z"));
    graph_node(&g, node("Abs", "z", "y"));
    expect(&g, "weft:Attention Abs");
  }
}

/* Sizes that a file gives names to although only one will do. */
static void test_fixed_sizes(void) {
  const int64_t unknown[] = {0, 0, 5, 5}, table[] = {2, 5, 5}, square[] = {5, 5};
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 4, unknown);
  graph_output(&g, "y");
  constant(&g, "w", 4, filter);
  constant(&g, "table", 3, table);
  constant(&g, "m", 2, square);
  graph_node(&g, convolution("x w", "c"));
  graph_node(&g, convolution("c w", "d"));
  graph_node(&g, node("Add", "d c", "e"));
  graph_node(&g, node("Add", "table x", "t"));
  graph_node(&g, node("MatMul", "t m", "p"));
  graph_node(&g, node("Add", "p t", "q"));
  graph_node(&g, node("Sub", "e q", "y"));
  expect(&g, "Conv weft:Conv Add weft:MatMul Sub");
}

/* Keys and values of caches whose lengths a file names apart, and a Softmax of an old opset between them. */
static void test_old_and_new(void) {
  const int64_t swap_last[] = {0, 1, 3, 2}, dims[] = {1, 2, 0, 5}, others[] = {1, 2, -1, 5};
  bytes g = {0}, flatten = node("Flatten", "s", "f");
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 4, dims);
  graph_value(&g, GRAPH_INPUT, "values", 4, others);
  graph_output(&g, "y");
  with_int(&flatten, "axis", 3);
  graph_node(&g, turned("x", "k", 4, swap_last));
  graph_node(&g, node("MatMul", "x k", "s"));
  graph_node(&g, node("Shape", "s", "shape"));
  graph_node(&g, flatten);
  graph_node(&g, node("Softmax", "f", "p"));
  graph_node(&g, node("Reshape", "p shape", "w"));
  graph_node(&g, node("MatMul", "w values", "o"));
  graph_node(&g, node("Add", "o x", "y"));
  bytes m = model(20, &g);
  expect_nodes(&m, "weft:Attention Add");
  clear(&m);
}

/* Attention in the file takes operands as they were before they were cut. */
static void test_whole_attention(void) {
  const int64_t swap_heads[] = {0, 2, 1, 3}, cut[] = {0, 0, 5, 5}, rows[] = {0, 2, 25}, four[] = {4}, three[] = {3};
  const int64_t mask[] = {2, 2}, shorter[] = {2, 1};
  for (int way = 0; way < 2; way++) {
    bytes g = begin();
    graph_tensor(&g, "cut", WEFT_INT64, 8, 1, four, cut);
    graph_tensor(&g, "rows", WEFT_INT64, 8, 1, three, rows);
    constant(&g, "mask", 2, way == 0 ? mask : shorter);
    graph_node(&g, node("Reshape", "x rows", "a"));
    graph_node(&g, node("Reshape", "a cut", "h"));
    graph_node(&g, turned("h", "q", 4, swap_heads));
    graph_node(&g, node("Attention", "q q q mask", "o"));
    graph_node(&g, turned("o", "r", 4, swap_heads));
    graph_node(&g, node("Reshape", "r rows", "z"));
    graph_node(&g, node("Abs", "z", "y"));
    bytes m = model(24, &g);
    expect_nodes(&m,
                 way == 0 ? "Reshape weft:Attention Abs" : "Reshape Reshape Transpose Attention Transpose Reshape Abs");
    expect_same(&m, 1e-4f);
  }
}

static void byte(bytes *g, const char *name, int type, uint8_t value) {
  graph_tensor(g, name, type, 1, 0, scalar, &value);
}

static void test_quantized(void) {
  int8_t weights[36];
  for (int i = 0; i < 36; i++) {
    weights[i] = (int8_t)(i * 7 % 90 - 45);
  }
  bytes g = begin();
  one(&g, "x_scale", 0.03f);
  one(&g, "w_scale", 0.01f);
  one(&g, "y_scale", 0.05f);
  byte(&g, "x_zero", WEFT_UINT8, 120);
  byte(&g, "w_zero", WEFT_INT8, 0);
  byte(&g, "y_zero", WEFT_UINT8, 0);
  graph_tensor(&g, "wq", WEFT_INT8, 1, 4, filter, weights);
  graph_node(&g, node("QuantizeLinear", "x x_scale x_zero", "q"));
  graph_node(&g, node("DequantizeLinear", "q x_scale x_zero", "d"));
  graph_node(&g, node("DequantizeLinear", "wq w_scale w_zero", "e"));
  graph_node(&g, convolution("d e b", "c"));
  graph_node(&g, node("Relu", "c", "r"));
  graph_node(&g, node("QuantizeLinear", "r y_scale y_zero", "s"));
  graph_node(&g, node("DequantizeLinear", "s y_scale y_zero", "y"));
  expect_within(&g, "QuantizeLinear QLinearConv DequantizeLinear", 0.051f);

  int8_t square[25];
  memcpy(square, weights, sizeof square);
  int64_t five[] = {5, 5}, row[] = {5};
  g = begin();
  one(&g, "w_scale", 0.01f);
  constant(&g, "bias", 1, row);
  graph_tensor(&g, "m", WEFT_INT8, 1, 2, five, square);
  graph_node(&g, node("DynamicQuantizeLinear", "x", "q scale zero"));
  graph_node(&g, node("MatMulInteger", "q m zero", "i"));
  bytes cast = node("Cast", "i", "f");
  with_int(&cast, "to", WEFT_FLOAT);
  graph_node(&g, cast);
  graph_node(&g, node("Mul", "scale w_scale", "k"));
  graph_node(&g, node("Mul", "f k", "p"));
  graph_node(&g, node("Add", "p bias", "y"));
  expect(&g, "DynamicQuantizeLinear com.microsoft:MatMulIntegerToFloat");
}

/* ---- 16-bit floats --------------------------------------------------------------------------- */
static void half_constant(bytes *g, const char *name, int rank, const int64_t *dims) {
  uint16_t data[2048];
  size_t count = 1;
  for (int i = 0; i < rank; i++) {
    count *= (size_t)dims[i];
  }
  CHECK(count <= 2048);
  for (size_t i = 0; i < count; i++) {
    data[i] = weft_float_to_float16(number());
  }
  graph_tensor(g, name, WEFT_FLOAT16, 2, rank, dims, data);
}

static bytes begin_halves_of(weft_type type, const int64_t *rows, int64_t columns) {
  const int64_t weights[] = {32, columns}, bias[] = {columns};
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_typed_value(&g, GRAPH_INPUT, "x", (int)type, 2, rows);
  graph_output(&g, "y");
  half_constant(&g, "w", 2, weights);
  half_constant(&g, "b", 1, bias);
  return g;
}

static bytes begin_halves(weft_type type, int64_t columns) {
  return begin_halves_of(type, (const int64_t[]){3, 32}, columns);
}

/* What the graph becomes, and that it means the same but for roundings in between. */
static void expect_halves(bytes *g, const char *expected) {
  bytes m = model(20, g);
  expect_nodes(&m, expected);
  const int64_t dims[] = {3, 32};
  weft_value *a = run(&m, 2, dims, 1, WEFT_OPTIMIZE_ALL), *b = run(&m, 2, dims, 1, WEFT_OPTIMIZE_NONE);
  CHECK(weft_value_count(a) == weft_value_count(b) && weft_value_type(a) == weft_value_type(b));
  for (size_t i = 0; i < weft_value_count(a); i++) {
    float p, q;
    weft_load_float(weft_value_type(a), weft_value_data(a), i, 1, 1, &p);
    weft_load_float(weft_value_type(b), weft_value_data(b), i, 1, 1, &q);
    CHECK(fabsf(p - q) <= 2e-3f * (1 + fabsf(q)));
  }
  weft_value_release(a);
  weft_value_release(b);
  clear(&m);
}

static void test_halves(void) {
  enum { LARGE = 40, SMALL = 4 };
  const int64_t table[] = {100, 16};
  bytes cast, arg_max, g = begin_halves(WEFT_FLOAT16, LARGE);
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("Add", "p b", "a"));
  graph_node(&g, node("Relu", "a", "y"));
  expect_halves(&g, "Cast weft:MatMul Cast");

  g = begin_halves(WEFT_FLOAT16, SMALL); /* nothing is gained */
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* what the pass does not know */
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("Softsign", "p", "y"));
  expect_halves(&g, "MatMul Softsign");

  /* An output whose type is not known before it is there: all tried sizes of x are wrong. */
  g = begin_halves_of(WEFT_FLOAT16, (const int64_t[]){0, 0}, LARGE);
  graph_node(&g, node("Gemm", "x w", "y"));
  expect_halves(&g, "Gemm");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* an output that nodes read, and another */
  graph_output(&g, "p");
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("Add", "p b", "y"));
  expect_halves(&g, "Cast MatMul Add Cast Cast");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* the same output twice */
  graph_output(&g, "y");
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* an input that is an output */
  graph_output(&g, "x");
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* sums of 2000 and a little tie when they are rounded */
  const uint16_t big = weft_float_to_float16(2000);
  graph_tensor(&g, "big", WEFT_FLOAT16, 2, 0, scalar, &big);
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("Add", "p big", "s"));
  arg_max = node("ArgMax", "s", "best");
  with_int(&arg_max, "axis", 1);
  graph_node(&g, arg_max);
  cast = node("Cast", "best", "y");
  with_int(&cast, "to", WEFT_FLOAT16);
  graph_node(&g, cast);
  expect_halves(&g, "Cast weft:MatMul Cast Cast ArgMax Cast Cast");

  g = begin_halves(WEFT_FLOAT, LARGE); /* weights that are cast */
  cast = node("Cast", "w", "wide");
  with_int(&cast, "to", WEFT_FLOAT);
  graph_node(&g, cast);
  graph_node(&g, node("MatMul", "x wide", "y"));
  expect_halves(&g, "MatMul");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* rows of a table are cast, not all of it */
  half_constant(&g, "table", 2, table);
  arg_max = node("ArgMax", "x", "best");
  with_int(&arg_max, "axis", 1);
  graph_node(&g, arg_max);
  graph_tensor(&g, "last", WEFT_INT64, 8, 1, (const int64_t[]){1}, (const int64_t[]){1});
  graph_node(&g, node("Squeeze", "best last", "i"));
  graph_node(&g, node("Gather", "table i", "t"));
  graph_node(&g, node("MatMul", "x w", "p"));
  bytes concat = node("Concat", "p t", "y");
  with_int(&concat, "axis", 1);
  graph_node(&g, concat);
  expect_halves(&g, "Cast ArgMax Squeeze Gather Cast MatMul Concat Cast");
}

int main(void) {
  test_halves();
  test_attention();
  test_turns();
  test_scores();
  test_shared_heads();
  test_merged_heads();
  test_whole_attention();
  test_old_and_new();
  test_fixed_sizes();
  test_quantized();
  test_convolutions();
  test_products();
  test_rows();
  test_tied();
  test_nothing_done();
  test_patterns();
  return 0;
}
