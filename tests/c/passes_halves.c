/* The pass that computes 16-bit floats in floats, and keeps weights in 16 bits: what becomes of graphs, branches and
 * caches, and that they mean the same but for roundings in between. */
#include "passes_test.h"

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
static void expect_halves_of(bytes *g, const char *expected, int rank, const int64_t *dims) {
  bytes m = model(20, g);
  expect_nodes(&m, expected);
  weft_value *a = run(&m, rank, dims, 1, WEFT_OPTIMIZE_ALL), *b = run(&m, rank, dims, 1, WEFT_OPTIMIZE_NONE);
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

static void expect_halves(bytes *g, const char *expected) {
  expect_halves_of(g, expected, 2, (const int64_t[]){3, 32});
}

enum { LARGE = 40, SMALL = 4 };

static void test_halves(void) {
  bytes g = begin_halves(WEFT_FLOAT16, LARGE);
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("Add", "p b", "a"));
  graph_node(&g, node("Relu", "a", "y"));
  expect_halves(&g, "Cast weft:MatMul<float16> Cast");

  g = begin_halves(WEFT_FLOAT16, SMALL); /* nothing is gained */
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul<float16>");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* what the pass does not know keeps its types */
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("Softsign", "p", "y"));
  expect_halves(&g, "Cast MatMul<float16> Cast Softsign");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* its result is an output that others read, its input one of the graph */
  graph_output(&g, "s");
  graph_node(&g, node("Softsign", "x", "s"));
  graph_node(&g, node("Add", "s x", "t"));
  graph_node(&g, node("MatMul", "t w", "p"));
  graph_node(&g, node("Softsign", "p", "q"));
  graph_node(&g, node("Mul", "q p", "y"));
  expect_halves(&g, "Softsign Cast Cast Add MatMul<float16> Cast Softsign Cast Mul Cast");

  g = begin_halves(WEFT_FLOAT16, SMALL); /* so many operators gain without weights */
  static const char *const names[] = {"x", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "y"};
  for (int i = 0; i < 9; i++) {
    graph_node(&g, node("Neg", names[i], names[i + 1]));
  }
  bytes m = model(20, &g);
  expect_nodes(&m, "Cast Neg Neg Neg Neg Neg Neg Neg Neg Neg Cast");
  clear(&m);

  /* An output whose type is not known before it is there: all tried sizes of x are wrong. */
  g = begin_halves_of(WEFT_FLOAT16, (const int64_t[]){0, 0}, LARGE);
  graph_node(&g, node("Gemm", "x w", "y"));
  expect_halves(&g, "Gemm<float16>");

  g = begin_halves(WEFT_FLOAT, LARGE); /* weights that are cast */
  bytes cast = node("Cast", "w", "wide");
  with_int(&cast, "to", WEFT_FLOAT);
  graph_node(&g, cast);
  graph_node(&g, node("MatMul", "x wide", "y"));
  expect_halves(&g, "MatMul<float16>");
}

static void test_halves_that_leave(void) {
  bytes g = begin_halves(WEFT_FLOAT16, LARGE); /* an output that nodes read, and another */
  graph_output(&g, "p");
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("Add", "p b", "y"));
  expect_halves(&g, "Cast MatMul<float16> Add Cast Cast");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* the same output twice */
  graph_output(&g, "y");
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul<float16>");

  g = begin_halves(WEFT_FLOAT16, LARGE); /* an input that is an output */
  graph_output(&g, "x");
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul<float16>");
}

/* A fixed split of an axis of any size: of what follows not even the types are known. */
static void test_halves_not_known(void) {
  const int64_t any[] = {0, 32}, weights[] = {32, LARGE}, bias[] = {LARGE}, out[] = {0, LARGE};
  bytes g = {0}, split = node("Split", "x parts", "u v"), concat = node("Concat", "v u", "q"),
        cast = node("Cast", "p", "c");
  add_text(&g, GRAPH_NAME, "main");
  graph_typed_value(&g, GRAPH_INPUT, "x", WEFT_FLOAT16, 2, any);
  graph_typed_value(&g, GRAPH_OUTPUT, "y", WEFT_FLOAT16, 2, out);
  half_constant(&g, "w", 2, weights);
  half_constant(&g, "b", 1, bias);
  graph_tensor(&g, "parts", WEFT_INT64, 8, 1, (const int64_t[]){2}, (const int64_t[]){1, 2});
  graph_node(&g, split);
  with_int(&concat, "axis", 0);
  graph_node(&g, concat);
  graph_node(&g, node("MatMul", "q w", "p"));
  with_int(&cast, "to", WEFT_FLOAT16);
  graph_node(&g, cast);
  graph_node(&g, node("Add", "c b", "y"));
  expect_halves(&g, "Cast Split Concat MatMul<float16> Cast Add Cast");
}

static void test_halves_that_are_compared(void) {
  const int64_t table[] = {100, 16};
  bytes g = begin_halves(WEFT_FLOAT16, LARGE); /* sums of 2000 and a little tie when they are rounded */
  const uint16_t big = weft_float_to_float16(2000);
  graph_tensor(&g, "big", WEFT_FLOAT16, 2, 0, scalar, &big);
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("Add", "p big", "s"));
  bytes arg_max = node("ArgMax", "s", "best"), cast = node("Cast", "best", "y");
  with_int(&arg_max, "axis", 1);
  graph_node(&g, arg_max);
  with_int(&cast, "to", WEFT_FLOAT16);
  graph_node(&g, cast);
  expect_halves(&g, "Cast weft:MatMul<float16> Cast Cast ArgMax Cast Cast");

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
  expect_halves(&g, "Cast ArgMax Squeeze Gather<float16> MatMul<float16> Cast Concat Cast");
}

/* A decoder's cache stays in 16 bits from the graph's input to its output, and attention reads it so. */
static void test_half_cache(void) {
  const int64_t past[] = {1, 2, 5, 4}, wide[] = {4, 256}, back[] = {256, 4};
  bytes g = {0}, q = node("ReduceMax", "x axes", "m"), present = node("Concat", "x m", "present"),
        turned = node("Transpose", "present", "k"), softmax = node("Softmax", "s", "w"),
        perm = attribute("perm", ATTRIBUTE_INTS);
  add_text(&g, GRAPH_NAME, "main");
  graph_typed_value(&g, GRAPH_INPUT, "x", WEFT_FLOAT16, 4, past);
  graph_output(&g, "y");
  graph_output(&g, "present");
  half_constant(&g, "up", 2, wide);
  half_constant(&g, "down", 2, back);
  graph_tensor(&g, "axes", WEFT_INT64, 8, 1, (const int64_t[]){1}, (const int64_t[]){2});
  graph_node(&g, q);
  graph_node(&g, node("MatMul", "m up", "u"));
  graph_node(&g, node("MatMul", "u down", "q"));
  with_int(&present, "axis", 2);
  graph_node(&g, present);
  add_int(&perm, 8, 0), add_int(&perm, 8, 1), add_int(&perm, 8, 3), add_int(&perm, 8, 2);
  add_message(&turned, NODE_ATTRIBUTE, &perm);
  graph_node(&g, turned);
  graph_node(&g, node("MatMul", "q k", "s"));
  graph_node(&g, softmax);
  graph_node(&g, node("MatMul", "w present", "y"));
  expect_halves_of(&g, "Cast ReduceMax MatMul<float16> MatMul<float16> Cast Concat weft:Attention Cast", 4, past);
}

/* Weights of floats, rounded to `type` first. */
static bytes begin_rounded(weft_type type, const int64_t *rows) {
  float data[32 * 40];
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_typed_value(&g, GRAPH_INPUT, "x", WEFT_FLOAT, 2, rows);
  graph_typed_value(&g, GRAPH_OUTPUT, "y", WEFT_FLOAT, 2, (const int64_t[]){0, -1});
  for (size_t i = 0; i < 32 * 40; i++) {
    const float x = number();
    weft_store_float(type, &x, 1, &data[i], 0, 1);
    weft_load_float(type, &data[i], 0, 1, 1, &data[i]);
  }
  graph_tensor(&g, "w", WEFT_FLOAT, 4, 2, (const int64_t[]){32, 40}, data);
  graph_tensor(&g, "last", WEFT_FLOAT, 4, 2, (const int64_t[]){32, 40}, data);
  return g;
}

/* Floats that fit in 16 bits stay in them where few rows, or nobody knows how many, meet them. */
static void test_rounded_weights(void) {
  const int64_t few[] = {3, 32}, many[] = {5, 32}, any[] = {-1, 32};
  bytes g = begin_rounded(WEFT_BFLOAT16, few);
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul<bfloat16>");

  g = begin_rounded(WEFT_FLOAT16, any);
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul<float16>");

  g = begin_rounded(WEFT_FLOAT16, few); /* beside branches, of which one reads `last` as floats */
  bytes choice = node("If", "condition", "c"), cast = node("Cast", "most", "condition"), yes = {0}, no = {0};
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("MatMul", "x last", "q"));
  bytes most = node("ReduceMax", "q", "most");
  with_int(&most, "keepdims", 0);
  graph_node(&g, most);
  with_int(&cast, "to", WEFT_BOOL);
  graph_node(&g, cast);
  add_text(&yes, GRAPH_NAME, "yes");
  graph_node(&yes, node("Abs", "last", "r"));
  graph_output(&yes, "r");
  add_text(&no, GRAPH_NAME, "no");
  graph_node(&no, node("Abs", "p", "r"));
  graph_output(&no, "r");
  with_graph(&choice, "then_branch", &yes);
  with_graph(&choice, "else_branch", &no);
  graph_node(&g, choice);
  graph_node(&g, node("Neg", "c", "y"));
  expect_halves(&g, "MatMul<float16> MatMul ReduceMax Cast If[][Abs] Neg");

  g = begin_rounded(WEFT_FLOAT16, many);
  graph_node(&g, node("MatMul", "x w", "y"));
  bytes m = model(20, &g);
  expect_nodes(&m, "MatMul");
  clear(&m);
}

static void test_rounded_weights_of_several(void) {
  const int64_t few[] = {3, 32};
  bytes g = begin_rounded(WEFT_FLOAT16, few); /* turned, and looked up as well */
  graph_node(&g, node("Transpose", "w", "turned"));
  graph_node(&g, node("MatMul", "x last", "p"));
  graph_node(&g, node("MatMul", "p turned", "q"));
  graph_node(&g, node("Gemm", "q last", "r"));
  bytes arg_max = node("ArgMax", "x", "best");
  with_int(&arg_max, "axis", 1);
  with_int(&arg_max, "keepdims", 0);
  graph_node(&g, arg_max);
  graph_node(&g, node("Gather", "w best", "rows"));
  graph_node(&g, node("Add", "r rows", "y"));
  expect_halves(&g, "MatMul<float16> weft:MatMul<float16> ArgMax Gather<float16> Cast weft:Gemm<float16>");

  g = begin_rounded(WEFT_FLOAT16, few); /* a default, which a run may replace */
  graph_typed_value(&g, GRAPH_INPUT, "w", WEFT_FLOAT, 2, (const int64_t[]){32, 40});
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul");

  g = begin_rounded(WEFT_FLOAT16, few); /* layers that share one matrix share its packed form */
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("Relu", "x", "q"));
  graph_node(&g, node("MatMul", "q w", "r"));
  graph_node(&g, node("Add", "p r", "s"));
  graph_node(&g, node("Neg", "x", "t"));
  graph_node(&g, node("MatMul", "t w", "u"));
  graph_node(&g, node("Mul", "s u", "y"));
  expect_halves(&g, "Relu MatMul weft:MatMul Neg MatMul Mul");

  g = begin_rounded(WEFT_FLOAT, few); /* no 16 bits hold them */
  graph_node(&g, node("MatMul", "x w", "y"));
  expect_halves(&g, "MatMul");

  g = begin_rounded(WEFT_FLOAT16, few); /* something else reads them, which wants floats */
  graph_node(&g, node("Transpose", "w", "turned"));
  graph_node(&g, node("MatMul", "x w", "p"));
  graph_node(&g, node("MatMul", "p turned", "q"));
  graph_node(&g, node("MatMul", "q w", "r"));
  graph_node(&g, node("ReduceMax", "w", "most"));
  graph_node(&g, node("Mul", "r most", "y"));
  expect_halves(&g, "MatMul weft:MatMul MatMul Mul");
}

static bytes half_branch(const char *w) {
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "branch");
  graph_node(&g, node("Mul", "a a", "p"));
  graph_node(&g, node("MatMul", w, "q"));
  graph_node(&g, node("Add", "q b", "r"));
  graph_output(&g, "r");
  return g;
}

/* Branches compute in floats too, from what they read of the graph around. */
static void test_half_branches(void) {
  bytes g = begin_halves(WEFT_FLOAT16, 40), n = node("If", "condition", "c"), most = node("ReduceMax", "x", "most"),
        cast = node("Cast", "most", "condition");
  half_constant(&g, "v", 2, (const int64_t[]){32, 40});
  with_int(&most, "keepdims", 0);
  graph_node(&g, most);
  with_int(&cast, "to", WEFT_BOOL);
  graph_node(&g, cast);
  graph_node(&g, node("Neg", "x", "a"));
  bytes then = half_branch("p w"), other = half_branch("p v");
  with_graph(&n, "then_branch", &then);
  with_graph(&n, "else_branch", &other);
  graph_node(&g, n);
  graph_node(&g, node("Softsign", "c", "y"));
  expect_halves(
      &g, "ReduceMax Cast Neg If[Cast Mul weft:MatMul<float16> Cast][Cast Mul weft:MatMul<float16> Cast] Softsign");
}
int main(void) {
  test_halves();
  test_halves_that_leave();
  test_halves_not_known();
  test_halves_that_are_compared();
  test_half_branches();
  test_half_cache();
  test_rounded_weights();
  test_rounded_weights_of_several();
  return 0;
}
