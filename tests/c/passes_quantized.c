/* Passes: what becomes of models quantised for simulation, and that it means the same. */
#include "passes_test.h"

static void byte(bytes *g, const char *name, int type, uint8_t value) {
  graph_tensor(g, name, type, 1, 0, scalar, &value);
}

static void test_quantized(void) {
  int8_t weights[36];
  for (int i = 0; i < 36; i++) {
    weights[i] = (int8_t)(i * 7 % 90 - 45);
  }
  const float scales[] = {0.01f, -0.012f}; /* of weights, any sign will do */
  bytes g;
  for (int each = 0; each < 2; each++) {
    g = begin();
    one(&g, "x_scale", 0.03f);
    one(&g, "y_scale", 0.05f);
    byte(&g, "x_zero", WEFT_UINT8, 120);
    byte(&g, "y_zero", WEFT_UINT8, 0);
    bytes wide = node("DequantizeLinear", "wq w_scale w_zero", "e");
    with_int(&wide, "axis", 0);
    graph_tensor(&g, "w_scale", WEFT_FLOAT, 4, each, vector, scales);
    graph_tensor(&g, "w_zero", WEFT_INT8, 1, each, vector, (const int8_t[2]){0});
    graph_tensor(&g, "wq", WEFT_INT8, 1, 4, filter, weights);
    graph_node(&g, node("QuantizeLinear", "x x_scale x_zero", "q"));
    graph_node(&g, node("DequantizeLinear", "q x_scale x_zero", "d"));
    graph_node(&g, wide);
    graph_node(&g, convolution("d e b", "c"));
    graph_node(&g, node("Relu", "c", "r"));
    graph_node(&g, node("QuantizeLinear", "r y_scale y_zero", "s"));
    graph_node(&g, node("DequantizeLinear", "s y_scale y_zero", "y"));
    expect_within(&g, "QuantizeLinear QLinearConv DequantizeLinear", 0.051f);
  }

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

/* Scales that turn the order of numbers round, or lose them, and floats that are not of 32 bits. */
static void test_unlike_quantized(void) {
  const float scales[] = {0.1f, -0.1f, 0, INFINITY};
  for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
    bytes g = begin(), pool = node("MaxPool", "d", "m"), window = attribute("kernel_shape", ATTRIBUTE_INTS);
    add_int(&window, 8, 2), add_int(&window, 8, 2);
    add_message(&pool, NODE_ATTRIBUTE, &window);
    one(&g, "plain", 0.03f);
    one(&g, "scale", scales[i]);
    byte(&g, "zero", WEFT_UINT8, 120);
    graph_node(&g, node("QuantizeLinear", "x plain zero", "q"));
    graph_node(&g, node("DequantizeLinear", "q scale zero", "d"));
    graph_node(&g, pool);
    graph_node(&g, node("QuantizeLinear", "m scale zero", "s"));
    graph_node(&g, node("DequantizeLinear", "s plain zero", "y"));
    expect(&g, i == 0 ? "QuantizeLinear MaxPool DequantizeLinear"
                      : "QuantizeLinear DequantizeLinear MaxPool QuantizeLinear DequantizeLinear");
  }
  for (int narrow = 0; narrow < 2; narrow++) {
    const int8_t weights[25] = {1, 2, 3};
    bytes g = begin(), a = node("DequantizeLinear", "q scale zero", "d"),
          b = node("DequantizeLinear", "m scale none", "e"), cast = node("Cast", "p", "y");
    with_int(&a, "output_dtype", narrow ? WEFT_FLOAT16 : WEFT_FLOAT);
    with_int(&b, "output_dtype", narrow ? WEFT_FLOAT16 : WEFT_FLOAT);
    with_int(&cast, "to", WEFT_FLOAT);
    one(&g, "scale", 0.03f);
    byte(&g, "zero", WEFT_UINT8, 120);
    byte(&g, "none", WEFT_INT8, 0);
    graph_tensor(&g, "m", WEFT_INT8, 1, 2, (const int64_t[]){5, 5}, weights);
    graph_node(&g, node("QuantizeLinear", "x scale zero", "q"));
    graph_node(&g, a);
    graph_node(&g, b);
    graph_node(&g, node("MatMul", "d e", "p"));
    graph_node(&g, cast);
    bytes m = model(23, &g);
    expect_nodes(&m, narrow ? "QuantizeLinear DequantizeLinear MatMul<float16> Cast" : "QuantizeLinear weft:QMatMul");
    expect_same(&m, 1e-4f);
  }
}

/* ---- products whose results are floats, with what is done to these ---------------------------------------------- */
static uint32_t below(uint32_t n) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) % n;
}

/* Quantises `in` to bytes and back: `name`_s and `name`_z are the numbers. */
static void simulate(bytes *g, const char *in, const char *name, float scale, int type, int zero) {
  char numbers[64], values[64], bytes_of[16];
  snprintf(bytes_of, sizeof bytes_of, "%s_q", name);
  snprintf(numbers, sizeof numbers, "%s_s", name);
  one(g, numbers, scale);
  snprintf(numbers, sizeof numbers, "%s_z", name);
  byte(g, numbers, type, (uint8_t)zero);
  snprintf(values, sizeof values, "%s %s_s %s_z", in, name, name);
  graph_node(g, node("QuantizeLinear", values, bytes_of));
  snprintf(values, sizeof values, "%s_q %s_s %s_z", name, name, name);
  graph_node(g, node("DequantizeLinear", values, name));
}

/* Weights in bytes, with a scale (and a zero point) for each along `axis`, or one for all. */
static void weights(bytes *g, const char *name, int rank, const int64_t *dims, int axis, bool each, int type) {
  uint8_t data[MAX_ELEMENTS], zeros[MAX_ELEMENTS];
  float scales[MAX_ELEMENTS];
  char names[3][16], values[64];
  size_t count = 1;
  for (int i = 0; i < rank; i++) {
    count *= (size_t)dims[i];
  }
  for (size_t i = 0; i < count; i++) {
    data[i] = (uint8_t)below(256);
    scales[i] = 0.005f + 0.01f * (float)below(4);
    zeros[i] = type == WEFT_UINT8 ? (uint8_t)(100 + below(50)) : 0;
  }
  snprintf(names[0], sizeof names[0], "%s_q", name);
  snprintf(names[1], sizeof names[1], "%s_s", name);
  snprintf(names[2], sizeof names[2], "%s_z", name);
  graph_tensor(g, names[0], type, 1, rank, dims, data);
  graph_tensor(g, names[1], WEFT_FLOAT, 4, each, &dims[axis], scales);
  graph_tensor(g, names[2], type, 1, each, &dims[axis], zeros);
  snprintf(values, sizeof values, "%s %s %s", names[0], names[1], names[2]);
  bytes n = node("DequantizeLinear", values, name);
  with_int(&n, "axis", axis);
  graph_node(g, n);
}

/* As exporters for accelerators write it: symmetric, and a quantiser only before the next product. */
static void test_fused(void) {
  static const struct {
    const char *nodes[4], *in[4], *out[4]; /* from the convolution's result c to y */
    const char *expected;
  } cases[] = {
      {{"Relu"}, {"c"}, {"r"}, "QuantizeLinear weft:QConv DequantizeLinear"},
      {{"Clip"}, {"c low high"}, {"r"}, "QuantizeLinear weft:QConv DequantizeLinear"},
      {{"HardSwish"}, {"c"}, {"r"}, "QuantizeLinear weft:QConv DequantizeLinear"},
      {{"Sigmoid", "Mul"}, {"c", "s c"}, {"s", "r"}, "QuantizeLinear weft:QConv DequantizeLinear"},
      {{"Add", "Relu"}, {"c x", "t"}, {"t", "r"}, "QuantizeLinear weft:QConv DequantizeLinear"},
      {{"Add", "LeakyRelu"}, {"per_channel c", "t"}, {"t", "r"}, "QuantizeLinear weft:QConv DequantizeLinear"},
      {{"Relu", "Abs"}, {"c", "p"}, {"p", "r"}, "QuantizeLinear weft:QConv Abs QuantizeLinear DequantizeLinear"},
  };
  const int64_t three[] = {2, 1, 1};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int type = WEFT_UINT8; type <= WEFT_INT8; type++) {
      bytes g = begin();
      constant(&g, "per_channel", 3, three);
      one(&g, "low", -0.5f);
      one(&g, "high", 6);
      simulate(&g, "x", "d", 0.03f, type, type == WEFT_INT8 ? 0 : 120);
      weights(&g, "v", 4, filter, 0, i % 2 == 0, WEFT_INT8);
      graph_node(&g, convolution("d v b", "c"));
      for (int n = 0; n < 4 && cases[i].nodes[n] != NULL; n++) {
        graph_node(&g, node(cases[i].nodes[n], cases[i].in[n], cases[i].out[n]));
      }
      simulate(&g, "r", "y", 0.05f, type, type == WEFT_INT8 ? 0 : 30);
      expect_within(&g, cases[i].expected, 0.051f);
    }
  }

  /* Read by a sum in floats and, quantised alike, by two more. */
  bytes g = begin();
  simulate(&g, "x", "d", 0.03f, WEFT_INT8, 0);
  weights(&g, "v", 4, filter, 0, true, WEFT_INT8);
  graph_node(&g, convolution("d v", "c"));
  graph_node(&g, node("Relu", "c", "r"));
  simulate(&g, "r", "e", 0.05f, WEFT_INT8, 0);
  simulate(&g, "r", "f", 0.05f, WEFT_INT8, 0);
  graph_node(&g, convolution("e v b", "m"));
  graph_node(&g, convolution("f v", "n"));
  graph_node(&g, node("Add", "n r", "s"));
  graph_node(&g, node("Mul", "s m", "y"));
  expect_within(&g, "QuantizeLinear weft:QConv QuantizeLinear weft:QConv weft:QConv Mul", 0.2f);

  /* Products of matrices. */
  const int64_t square[] = {5, 5}, row[] = {5};
  for (int each = 0; each < 2; each++) {
    g = begin();
    constant(&g, "bias", 1, row);
    simulate(&g, "x", "d", 0.03f, WEFT_UINT8, 120);
    weights(&g, "v", 2, square, 1, each, WEFT_INT8);
    graph_node(&g, node("MatMul", "d v", "p"));
    graph_node(&g, node("Add", "bias p", "q"));
    graph_node(&g, node("Add", "q x", "r"));
    graph_node(&g, node("Tanh", "r", "t"));
    simulate(&g, "t", "y", 0.01f, WEFT_INT8, 3);
    expect_within(&g, "QuantizeLinear weft:QMatMul DequantizeLinear", 0.011f);
  }
  for (int transposed = 0; transposed < 2; transposed++) {
    const int64_t rows[] = {-1, 5}, two[] = {2};
    bytes gemm = node("Gemm", "d v bias", "p");
    with_int(&gemm, "transB", transposed);
    g = begin();
    graph_tensor(&g, "shape", WEFT_INT64, 8, 1, two, rows);
    constant(&g, "bias", 1, row);
    graph_node(&g, node("Reshape", "x shape", "f"));
    simulate(&g, "f", "d", 0.03f, WEFT_INT8, -7);
    weights(&g, "v", 2, square, 1 - transposed, true, WEFT_INT8);
    graph_node(&g, gemm);
    graph_node(&g, node("Relu", "p", "y"));
    expect(&g, "Reshape QuantizeLinear weft:QMatMul");
  }
}

/* A convolution of any kind, of what is simulated in any way, with any epilogue. */
static void test_any(void) {
  static const char *const activations[] = {"Relu", "Clip", "HardSwish", "Sigmoid", "Elu"};
  for (int turn = 0; turn < 300; turn++) {
    state = (uint32_t)turn * 7919u + 1;
    const int64_t group = 1 + below(2), filters = 2 * (1 + (int64_t)below(3));
    const int64_t dims[] = {filters, 2 / group, 1 + (int64_t)below(4), 1 + (int64_t)below(3)};
    const int type = below(2) ? WEFT_INT8 : WEFT_UINT8, weight_type = below(4) ? WEFT_INT8 : WEFT_UINT8;
    bytes g = begin(), conv = node("Conv", below(2) ? "d v bias" : "d v", "c"),
          pads = attribute("pads", ATTRIBUTE_INTS), strides = attribute("strides", ATTRIBUTE_INTS);
    const char *last = "c";
    constant(&g, "bias", 1, dims);
    one(&g, "low", -1);
    one(&g, "high", 2);
    for (int i = 0; i < 4; i++) {
      add_int(&pads, 8, below(2));
    }
    add_int(&strides, 8, 1 + below(2));
    add_int(&strides, 8, 1 + below(2));
    add_message(&conv, NODE_ATTRIBUTE, &pads);
    add_message(&conv, NODE_ATTRIBUTE, &strides);
    with_int(&conv, "group", group);
    simulate(&g, "x", "d", 0.03f, type, type == WEFT_INT8 ? (int)below(40) - 20 : (int)below(256));
    weights(&g, "v", 4, dims, 0, below(2), weight_type);
    graph_node(&g, conv);
    if (below(2)) {
      graph_node(&g, node("Add", "c c", "t"));
      last = "t";
    }
    uint32_t kind = below(7);
    if (kind < 5) {
      char inputs[24];
      snprintf(inputs, sizeof inputs, kind == 1 ? "%s low high" : "%s", last);
      graph_node(&g, node(activations[kind], inputs, "a"));
      last = "a";
    }
    const bool quantised = below(4) != 0;
    if (quantised) {
      simulate(&g, last, "y", 0.02f, type, type == WEFT_INT8 ? 0 : (int)below(256));
    } else {
      graph_node(&g, node("Identity", last, "y"));
    }
    bytes m = model(20, &g);
    expect_same(&m, quantised ? 0.0201f : 1e-4f);
  }
}

int main(void) {
  test_quantized();
  test_unlike_quantized();
  test_fused();
  test_any();
  return 0;
}
