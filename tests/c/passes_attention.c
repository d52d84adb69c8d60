/* The pass that puts attention together again: the many ways in which exporters write it out, and what only looks like
 * it.
 */
#include "passes_test.h"

/* Softmax of the product of these, times the values. */
static void end_attention(bytes *g, const char *query_and_keys, const char *weights_and_values, const char *nodes) {
  graph_node(g, node("MatMul", query_and_keys, "s"));
  graph_node(g, node("Softmax", "s", "p"));
  graph_node(g, node("MatMul", weights_and_values, "y"));
  expect(g, nodes);
}

static const int64_t rows_unknown[] = {3, 2, 0, 5};

static void test_attention(void) {
  const int64_t swap_last[] = {0, 1, 3, 2};
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
  g = (bytes){0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 4, rows_unknown);
  graph_output(&g, "y");
  graph_output(&g, "present");
  bytes concat = node("Concat", "x x", "present");
  with_int(&concat, "axis", 2);
  graph_node(&g, concat);
  graph_node(&g, turned("present", "k", 4, swap_last));
  end_attention(&g, "x k", "p present", "Concat weft:Attention");
}

/* A scale that the graph makes of a size, on both sides, as PyTorch exports it; -1 is "N + 1", the keys' length. */
static void test_scale_of_a_size(void) {
  const int64_t swap_last[] = {0, 1, 3, 2}, from[] = {3}, one_axis[] = {1};
  const int64_t mask_dims[] = {1, 1, 1, -1}, row_of[] = {3, 2, 1, 5};
  bytes shape = node("Shape", "x", "shape"), cast = node("Cast", "size", "real"),
        concat = node("Concat", "x row", "keys");
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 4, rows_unknown);
  graph_value(&g, GRAPH_INPUT, "mask", 4, mask_dims);
  graph_output(&g, "y");
  constant(&g, "row", 4, row_of);
  graph_tensor(&g, "three", 7, 8, 1, one_axis, from);
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
}

/* Cut into heads and put together again, with the guard against rows that are masked as a whole. */
static void test_heads(void) {
  const int64_t swap_heads[] = {0, 2, 1, 3}, heads_and_last[] = {0, 2, 3, 1};
  int64_t cut[] = {0, 0, 5, 5}, rows[] = {0, 2, 25}, four[] = {4}, three[] = {3};
  bytes g = begin();
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

/* What would mean something else if the nodes around it made attention's operands. */
static void test_read_elsewhere(void) {
  const int64_t heads_and_last[] = {0, 2, 3, 1}, swap_last[] = {0, 1, 3, 2};
  for (int shared = 0; shared < 2; shared++) { /* scaled keys, whose transposition is turned */
    bytes g = begin();
    one(&g, "scale", 0.3f);
    graph_node(&g, turned("x", "q", 4, (const int64_t[]){0, 2, 1, 3}));
    graph_node(&g, turned("x", "k", 4, heads_and_last));
    graph_node(&g, node("Mul", "k scale", "l"));
    graph_node(&g, node("MatMul", "q l", "s"));
    graph_node(&g, node("Softmax", "s", "p"));
    graph_node(&g, node("MatMul", "p q", "o"));
    if (shared) {
      graph_node(&g, node("MatMul", "o l", "y"));
      expect(&g, "Transpose Transpose Mul MatMul Softmax MatMul MatMul");
    } else {
      graph_node(&g, node("Abs", "o", "y"));
      expect(&g, "Transpose Transpose weft:Attention Abs");
    }
  }
  for (int shared = 0; shared < 2; shared++) { /* where weights are no numbers */
    bytes g = begin();
    const int64_t row[] = {5};
    constant(&g, "mask", 1, row);
    one(&g, "zero", 0);
    graph_node(&g, turned("x", "k", 4, swap_last));
    graph_node(&g, node("MatMul", "x k", "s"));
    graph_node(&g, node("Add", "s mask", "a"));
    graph_node(&g, node("Mul", "a a2", "t"));
    graph_node(&g, node("Softmax", "t", "p"));
    graph_node(&g, node("IsNaN", "p", "n"));
    graph_node(&g, node("Where", "n zero p", "guarded"));
    graph_node(&g, node("MatMul", "guarded x", "o"));
    one(&g, "a2", 2);
    if (shared) {
      bytes cast = node("Cast", "n", "f");
      with_int(&cast, "to", WEFT_FLOAT);
      graph_node(&g, cast);
      graph_node(&g, node("Add", "o f", "y"));
      expect(&g, "Transpose weft:MatMul Mul Softmax IsNaN Where Cast weft:MatMul");
    } else {
      graph_node(&g, node("Abs", "o", "y"));
      expect(&g, "weft:Attention Abs");
    }
  }
  /* A scale of more dimensions than what it scales. */
  bytes g = begin();
  const float scale = 0.3f;
  graph_tensor(&g, "scale", WEFT_FLOAT, 4, 4, (const int64_t[]){1, 1, 1, 1}, &scale);
  graph_tensor(&g, "axes", WEFT_INT64, 8, 1, (const int64_t[]){1}, (const int64_t[]){0});
  bytes reduce = node("ReduceMax", "x axes", "r");
  with_int(&reduce, "keepdims", 0);
  graph_node(&g, reduce);
  graph_node(&g, node("Mul", "r scale", "q"));
  graph_node(&g, node("Unsqueeze", "r axes", "v"));
  graph_node(&g, turned("v", "k", 4, swap_last));
  end_attention(&g, "q k", "p v", "ReduceMax Mul Unsqueeze weft:Attention");
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

  /* Scores that are no numbers, but where a mask hides them. */
  bytes g = begin_scores();
  graph_node(&g, node("Mul", "s infinity", "t"));
  graph_node(&g, node("Where", "condition least t", "u"));
  graph_node(&g, node("Softmax", "u", "p"));
  graph_node(&g, node("MatMul", "p v", "y"));
  bytes m = model(20, &g);
  expect_nodes(&m, "Neg Transpose MatMul Mul Where Softmax MatMul");
  clear(&m);

  /* A mask that is scaled after it was added, another, and a third; what is given is not folded. */
  g = begin_scores();
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
    end_attention(&g, "q k", "p r",
                  axis == 2 ? "Concat weft:Attention" : "Concat Unsqueeze Expand Reshape weft:Attention");
  }
  bytes g = begin();
  graph_tensor(&g, "at", WEFT_INT64, 8, 1, one_axis, one_axis);
  graph_node(&g, node("ReduceMax", "x at", "r"));
  graph_node(&g, turned("r", "k", 4, swap_last));
  end_attention(&g, "x k", "p r", "ReduceMax weft:Attention");
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

int main(void) {
  test_attention();
  test_scale_of_a_size();
  test_heads();
  test_read_elsewhere();
  test_scores();
  test_shared_heads();
  test_merged_heads();
  test_whole_attention();
  test_old_and_new();
  return 0;
}
