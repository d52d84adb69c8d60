/* Passes: what becomes of known patterns, that patterns which only look alike are left, and that results stay the same.
 * Attention, 16-bit floats and simulated quantisation have files of their own. */
#include "passes_test.h"

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

  g = begin(); /* one slope for all */
  one(&g, "slope", 0.25F);
  graph_node(&g, convolution("x w b", "a"));
  graph_node(&g, node("PRelu", "a slope", "y"));
  expect(&g, "weft:Conv");

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

/* What is infinite times zero is none of a channel's weights. */
static void test_infinite_scale(void) {
  const float infinite = INFINITY, some[] = {1, 0, 1, 1};
  const int64_t dims[] = {2, 2, 1, 1};
  bytes g = begin();
  graph_tensor(&g, "point", WEFT_FLOAT, 4, 4, dims, some);
  one(&g, "infinite", infinite);
  graph_node(&g, node("Conv", "x point", "c"));
  graph_node(&g, node("Mul", "c infinite", "p"));
  graph_node(&g, node("Sign", "p", "y"));
  expect(&g, "Conv Mul Sign");
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
  expect(&g, "Mul weft:MatMul<float16>");
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

  /* An order of fewer axes than there are is none: that has to be told. */
  g = begin();
  graph_node(&g, turned("x", "a", 3, (const int64_t[]){0, 1, 2}));
  graph_node(&g, node("Abs", "a", "y"));
  bytes m = model(20, &g);
  expect_nodes(&m, "Transpose Abs");
  clear(&m);
}

/* Constants of one element that have as many dimensions as x, or more: then the result has more as well. */
static void test_dimensions(void) {
  const int64_t ones[] = {1, 1, 1, 1, 1}, single[] = {1}, axis[] = {-1}, length[] = {5};
  const float half = 0.5f, factor = 1.702f, small = 1e-5f;
  for (int rank = 4; rank <= 5; rank++) {
    bytes g = begin();
    one(&g, "root", 1.41421354f);
    one(&g, "one", 1);
    graph_tensor(&g, "half", WEFT_FLOAT, 4, rank, ones, &half);
    graph_node(&g, node("Div", "x root", "a"));
    graph_node(&g, node("Erf", "a", "e"));
    graph_node(&g, node("Add", "e one", "s"));
    graph_node(&g, node("Mul", "x s", "m"));
    graph_node(&g, node("Mul", "m half", "y"));
    expect(&g, rank == 4 ? "Gelu" : "Div Erf Add Mul Mul");

    g = begin();
    graph_tensor(&g, "factor", WEFT_FLOAT, 4, rank, ones, &factor);
    graph_node(&g, node("Mul", "factor x", "a"));
    graph_node(&g, node("Sigmoid", "a", "s"));
    graph_node(&g, node("Mul", "x s", "y"));
    expect(&g, rank == 4 ? "Swish" : "Mul Sigmoid Mul");

    g = begin();
    graph_tensor(&g, "axis", WEFT_INT64, 8, 1, single, axis);
    graph_tensor(&g, "small", WEFT_FLOAT, 4, rank, ones, &small);
    constant(&g, "scale", 1, length);
    graph_node(&g, node("Mul", "x x", "q"));
    graph_node(&g, node("ReduceMean", "q axis", "v"));
    graph_node(&g, node("Add", "v small", "u"));
    graph_node(&g, node("Sqrt", "u", "d"));
    graph_node(&g, node("Div", "x d", "n"));
    graph_node(&g, node("Mul", "n scale", "y"));
    expect(&g, rank == 4 ? "RMSNormalization" : "Mul ReduceMean Add Sqrt Div Mul");
  }
  for (int rank = 1; rank <= 2; rank++) { /* the product of integers is a vector */
    const int64_t rows[] = {5, 3};
    const int8_t weights[15] = {1, 2, 3, 4, 5};
    const int64_t five[] = {5};
    const float number_of_it = 0.5f;
    bytes g = begin(), cast = node("Cast", "i", "c");
    with_int(&cast, "to", WEFT_FLOAT);
    graph_tensor(&g, "axes", WEFT_INT64, 8, 1, (const int64_t[]){3}, (const int64_t[]){0, 1, 2});
    graph_tensor(&g, "m", WEFT_INT8, 1, 2, rows, weights);
    graph_tensor(&g, "five", WEFT_INT64, 8, 1, single, five);
    graph_tensor(&g, "half", WEFT_FLOAT, 4, rank, ones, &number_of_it);
    graph_node(&g, node("ReduceMax", "x axes", "r"));
    graph_node(&g, node("Reshape", "r five", "v"));
    graph_node(&g, node("DynamicQuantizeLinear", "v", "q s z"));
    graph_node(&g, node("MatMulInteger", "q m z", "i"));
    graph_node(&g, cast);
    graph_node(&g, node("Mul", "s half", "t"));
    graph_node(&g, node("Mul", "c t", "y"));
    expect(&g, rank == 1 ? "ReduceMax Reshape DynamicQuantizeLinear com.microsoft:MatMulIntegerToFloat"
                         : "ReduceMax Reshape DynamicQuantizeLinear MatMulInteger Cast Mul Mul");
  }
}

static void test_patterns(void) {
  bytes g = begin();
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

/* x, made [?, 10, 5], is read by a layer of `directions` step by step; what that gives is put in x's order. */
static bytes layer_between(const char *layer, int64_t directions) {
  const int64_t swap[] = {0, 2, 1, 3}, swap3[] = {1, 0, 2}, rows[] = {-1, 10, 5}, joined[] = {10, -1, 8}, axis[] = {1};
  const int64_t gates = 4 * (strcmp(layer, "GRU") == 0 ? 3 : strcmp(layer, "LSTM") == 0 ? 4 : 1), one_axis[] = {1};
  bytes g = begin(), n = node(layer, "t weights recurrence", "h state");
  with_int(&n, "hidden_size", 4);
  with_int(&n, "linear_before_reset", 1);
  with_string(&n, "direction", directions == 2 ? "bidirectional" : "reverse");
  constant(&g, "weights", 3, (const int64_t[]){directions, gates, 5});
  constant(&g, "recurrence", 3, (const int64_t[]){directions, gates, 4});
  reshape(&g, "x", "q", 3, rows);
  turn(&g, "q", "t", 3, swap3);
  graph_node(&g, n);
  if (directions == 2) {
    turn(&g, "h", "u", 4, swap);
    reshape(&g, "u", "v", 3, joined);
  } else {
    graph_tensor(&g, "axis", WEFT_INT64, 8, 1, one_axis, axis);
    graph_node(&g, node("Squeeze", "h axis", "v"));
  }
  return g;
}

/* Layers do the transpositions beside them. */
static void test_layers(void) {
  static const char *const layers[] = {"GRU", "LSTM", "RNN"};
  char expected[64];
  for (int i = 0; i < 6; i++) {
    bytes g = layer_between(layers[i / 2], 1 + i % 2);
    turn(&g, "v", "y", 3, (const int64_t[]){1, 0, 2});
    snprintf(expected, sizeof expected, "Reshape %s Reshape%s", layers[i / 2], i % 2 == 0 ? "" : " Reshape");
    expect(&g, expected);
    g = layer_between(layers[i / 2], 1 + i % 2); /* step by step */
    graph_node(&g, node("Abs", "v", "y"));
    snprintf(expected, sizeof expected, "Reshape %s %s Abs", layers[i / 2],
             i % 2 == 0 ? "Squeeze" : "Transpose Reshape");
    expect(&g, expected);
    g = layer_between(layers[i / 2], 1 + i % 2); /* batch by batch for a product alone */
    constant(&g, "m", 2, (const int64_t[]){4 + i % 2 * 4, 3});
    turn(&g, "v", "b2", 3, (const int64_t[]){1, 0, 2});
    graph_node(&g, node("MatMul", "b2 m", "p"));
    turn(&g, "p", "y", 3, (const int64_t[]){1, 0, 2});
    snprintf(expected, sizeof expected, "Reshape %s %s", layers[i / 2],
             i % 2 == 0 ? "Squeeze MatMul Reshape" : "Reshape Reshape MatMul Transpose");
    expect(&g, expected);
  }
}

/* A transposition that has become part of the next is none beside the layer. */
static void test_layer_before_two(void) {
  bytes g = layer_between("GRU", 2);
  turn(&g, "h", "batches", 4, (const int64_t[]){2, 0, 1, 3});
  reshape(&g, "batches", "rows", 3, (const int64_t[]){-1, 10, 8});
  turn(&g, "rows", "last", 3, (const int64_t[]){2, 0, 1});
  graph_node(&g, node("Abs", "last", "y"));
  expect(&g, "Reshape GRU Transpose Reshape Abs");
}

/* Two that undo each other, with products of rows between them; and where the rows are others, or read by others. */
static void test_rows_between(void) {
  const int64_t swap[] = {0, 2, 1, 3}, turn_last[] = {0, 1, 3, 2}, square[] = {5, 5}, length[] = {5}, rows[] = {2, 5};
  for (int way = 0; way < 4; way++) {
    bytes g = begin();
    constant(&g, "m", 2, square);
    constant(&g, "bias", way == 3 ? 2 : 1, way == 3 ? rows : length);
    graph_node(&g, node("Abs", "x", "a"));
    turn(&g, "a", "t", 4, way == 1 ? turn_last : swap);
    graph_node(&g, node("MatMul", "t m", "p"));
    graph_node(&g, node("Tanh", way == 2 ? "t" : "a", "other"));
    graph_node(&g, node("Add", "bias p", "q"));
    turn(&g, "q", "u", 4, way == 1 ? turn_last : swap);
    graph_node(&g, node("ReduceSum", "other", "s"));
    graph_node(&g, node("Add", "u s", "y"));
    static const char *const expected[] = {"Abs Tanh weft:MatMul Reshape ReduceSum Add",
                                           "Abs Transpose Tanh weft:MatMul Transpose ReduceSum Add",
                                           "Abs Transpose Tanh weft:MatMul Transpose ReduceSum Add",
                                           "Abs Transpose MatMul Tanh Add Transpose ReduceSum Add"};
    expect(&g, expected[way]);
  }
}

/* What is cut off at four has four rows in a run with as many, not in one with three. */
static void test_cut_off(void) {
  const int64_t one_axis[] = {1}, swap[] = {1, 0, 2, 3};
  bytes g = begin();
  graph_tensor(&g, "begin", WEFT_INT64, 8, 1, one_axis, (const int64_t[]){0});
  graph_tensor(&g, "end", WEFT_INT64, 8, 1, one_axis, (const int64_t[]){4});
  graph_tensor(&g, "axis", WEFT_INT64, 8, 1, one_axis, one_axis);
  graph_node(&g, node("Slice", "x begin end", "s"));
  graph_node(&g, node("ReduceMax", "s axis", "m"));
  graph_node(&g, turned("m", "t", 4, swap));
  graph_node(&g, node("Abs", "t", "y"));
  expect(&g, "Slice ReduceMax Reshape Abs");
}

/* The first of images of which there may be none: what is cut off at one is not always one. */
static void test_cut_off_at_one(void) {
  const int64_t begin_at[] = {0}, end_at[] = {1}, length[] = {1}, none[] = {0, 2, 5, 5}, turned_none[] = {2, 0, 5, 5};
  bytes g = begin();
  graph_tensor(&g, "from", 7, 8, 1, length, begin_at);
  graph_tensor(&g, "till", 7, 8, 1, length, end_at);
  graph_node(&g, node("Slice", "x from till", "first"));
  turn(&g, "first", "t", 4, (const int64_t[]){1, 0, 2, 3});
  graph_node(&g, node("Neg", "t", "y"));
  bytes m = model(20, &g);
  expect_nodes(&m, "Slice Transpose Neg");
  weft_value *y = run(&m, 4, none, 1, WEFT_OPTIMIZE_ALL);
  CHECK(weft_value_rank(y) == 4 && memcmp(weft_value_dims(y), turned_none, sizeof turned_none) == 0);
  weft_value_release(y);
  expect_same(&m, 0);
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

int main(void) {
  test_dimensions();
  test_turns();
  test_layers();
  test_layer_before_two();
  test_rows_between();
  test_cut_off();
  test_cut_off_at_one();
  test_fixed_sizes();
  test_convolutions();
  test_products();
  test_infinite_scale();
  test_rows();
  test_tied();
  test_nothing_done();
  test_patterns();
  return 0;
}
