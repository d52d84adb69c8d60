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

  /* A normalisation is part of the weights of floats. */
  static const char *const statistics[] = {"scale", "shift", "mean", "variance"};
  g = begin();
  for (int i = 0; i < 4; i++) {
    constant(&g, statistics[i], 1, vector);
  }
  simulate(&g, "x", "d", 0.03f, WEFT_INT8, 0);
  weights(&g, "v", 4, filter, 0, true, WEFT_INT8);
  graph_node(&g, convolution("d v", "c"));
  graph_node(&g, node("BatchNormalization", "c scale shift mean variance", "n"));
  graph_node(&g, node("Relu", "n", "y"));
  expect(&g, "QuantizeLinear DequantizeLinear weft:Conv");

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

/* A convolution of any kind, of what is simulated in any way, and what follows: in parts, or as the one node that stands
 * for them. */
typedef struct simulated {
  int64_t group, dims[4];
  int type, zero, weight_type, y_zero;
  bool each, has_bias, has_residual, quantised;
  uint32_t activation, pads[4], strides[2];
} simulated;

static simulated any_convolution(void) {
  simulated s = {.group = 1 + below(2), .type = below(2) ? WEFT_INT8 : WEFT_UINT8};
  s.dims[0] = 2 * (1 + (int64_t)below(3));
  s.dims[1] = 2 / s.group;
  s.dims[2] = 1 + (int64_t)below(4);
  s.dims[3] = 1 + (int64_t)below(3);
  s.zero = s.type == WEFT_INT8 ? (int)below(40) - 20 : (int)below(256);
  s.weight_type = below(4) ? WEFT_INT8 : WEFT_UINT8;
  s.y_zero = s.type == WEFT_INT8 ? 0 : (int)below(256);
  s.each = below(2), s.has_bias = below(2), s.has_residual = below(2), s.quantised = below(4) != 0;
  s.activation = below(6);
  for (int i = 0; i < 4; i++) {
    s.pads[i] = below(2);
  }
  for (int i = 0; i < 2; i++) {
    s.strides[i] = 1 + below(2);
  }
  return s;
}

static void with_window(bytes *conv, const simulated *s) {
  bytes pads = attribute("pads", ATTRIBUTE_INTS), strides = attribute("strides", ATTRIBUTE_INTS);
  for (int i = 0; i < 4; i++) {
    add_int(&pads, 8, s->pads[i]);
  }
  for (int i = 0; i < 2; i++) {
    add_int(&strides, 8, s->strides[i]);
  }
  add_message(conv, NODE_ATTRIBUTE, &pads);
  add_message(conv, NODE_ATTRIBUTE, &strides);
  with_int(conv, "group", s->group);
}

static bytes simulated_model(const simulated *s, bool as_one) {
  static const char *const operators[] = {"Identity", "Relu", "Clip", "Sigmoid", "HardSwish", "Elu"};
  static const weft_activation activations[] = {WEFT_ACT_NONE,    WEFT_ACT_CLIP,      WEFT_ACT_CLIP,
                                                WEFT_ACT_SIGMOID, WEFT_ACT_HARDSWISH, WEFT_ACT_NONE};
  char inputs[128];
  bytes g = begin(), conv = node("Conv", s->has_bias ? "d v bias" : "d v", "c");
  constant(&g, "bias", 1, s->dims);
  one(&g, "low", -1);
  one(&g, "high", 2);
  simulate(&g, "x", "d", 0.03f, s->type, s->zero);
  weights(&g, "v", 4, s->dims, 0, s->each, s->weight_type);
  with_window(&conv, s);
  if (as_one) {
    const bool is_relu = s->activation == 1;
    one(&g, "y_s", 0.02f);
    byte(&g, "y_z", s->type, (uint8_t)s->y_zero);
    if (s->has_residual) {
      graph_node(&g, conv);
      graph_node(&g, node("Mul", "c two", "half"));
      one(&g, "two", 2);
    } else {
      clear(&conv);
    }
    snprintf(inputs, sizeof inputs, "d_q v_q %s %s d_s d_z v_s v_z %s", s->has_bias ? "bias" : "_",
             s->has_residual ? "half" : "_", s->quantised ? "y_s y_z" : "");
    bytes fused = node("weft:QConv", inputs, s->quantised ? "y_q" : "y");
    with_window(&fused, s);
    with_int(&fused, "activation", activations[s->activation]);
    with_float(&fused, "lo", is_relu ? 0 : -1);
    with_float(&fused, "hi", is_relu ? INFINITY : 2);
    graph_node(&g, fused);
    if (s->quantised) {
      graph_node(&g, node("DequantizeLinear", "y_q y_s y_z", "y"));
    }
    return model(20, &g);
  }
  graph_node(&g, conv);
  const char *last = "c";
  if (s->has_residual) {
    one(&g, "two", 2);
    graph_node(&g, node("Mul", "c two", "half"));
    graph_node(&g, node("Add", "c half", "t"));
    last = "t";
  }
  snprintf(inputs, sizeof inputs, s->activation == 2 ? "%s low high" : "%s", last);
  graph_node(&g, node(operators[s->activation], inputs, s->quantised ? "a" : "y"));
  if (s->quantised) {
    simulate(&g, "a", "y", 0.02f, s->type, s->y_zero);
  }
  return model(20, &g);
}

static void test_any(void) {
  const int64_t dims[] = {3, 2, 5, 5};
  size_t count = 0, stepped = 0;
  for (uint32_t turn = 0; turn < 400; turn++) {
    state = turn * 7919u + 1;
    const simulated s = any_convolution();
    const float step = s.quantised ? 0.0201f : 1e-4f;
    weft_value *wanted = NULL;
    for (int way = 0; way < 3; way++) { /* as it is; optimised; as one node */
      if (way == 2 && s.activation == 5) continue;
      state = turn;
      bytes m = simulated_model(&s, way == 2);
      weft_value *y = run(&m, 4, dims, 4, way == 1 ? WEFT_OPTIMIZE_ALL : WEFT_OPTIMIZE_NONE);
      clear(&m);
      if (way == 0) {
        wanted = y;
        continue;
      }
      CHECK(weft_value_count(y) == weft_value_count(wanted));
      for (size_t i = 0; i < weft_value_count(y); i++) {
        float p = ((float *)weft_value_data(y))[i], q = ((float *)weft_value_data(wanted))[i];
        CHECK(fabsf(p - q) <= step + 1e-5f * fabsf(q));
        count++;
        stepped += s.quantised && fabsf(p - q) > step / 2;
      }
      weft_value_release(y);
    }
    weft_value_release(wanted);
  }
  CHECK(stepped * 1000 < count);
}

/* Where bytes are multiplied in pairs, floats are faster when a window moves by one; groups of few channels always,
 * unless each channel has filters of its own. */
static void test_which_pay(void) {
  static const struct {
    int64_t filters, channels, kernel, stride, group;
    bool by_pairs, by_dots;
  } cases[] = {{2, 2, 3, 1, 1, false, true}, {2, 2, 1, 1, 1, true, true},     {2, 2, 3, 2, 1, true, true},
               {2, 1, 3, 1, 2, true, true},  {20, 10, 1, 1, 2, false, false}, {40, 10, 1, 1, 2, false, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int dots = 0; dots < 2; dots++) {
      const int64_t channels = cases[i].channels * cases[i].group;
      const int64_t dims[] = {cases[i].filters, cases[i].channels, cases[i].kernel, cases[i].kernel},
                    in[] = {0, channels, 5, 5};
      bytes g = {0}, conv = node("Conv", "d v", "c"), strides = attribute("strides", ATTRIBUTE_INTS);
      add_text(&g, GRAPH_NAME, "main");
      graph_value(&g, GRAPH_INPUT, "x", 4, in);
      graph_output(&g, "y");
      add_int(&strides, 8, (uint64_t)cases[i].stride);
      add_int(&strides, 8, (uint64_t)cases[i].stride);
      add_message(&conv, NODE_ATTRIBUTE, &strides);
      with_int(&conv, "group", cases[i].group);
      simulate(&g, "x", "d", 0.03f, WEFT_INT8, 0);
      weights(&g, "v", 4, dims, 0, true, WEFT_INT8);
      graph_node(&g, conv);
      graph_node(&g, node("Relu", "c", "r"));
      simulate(&g, "r", "y", 0.05f, WEFT_INT8, 0);
      bytes m = model(20, &g);
      has_dot_i8 = dots;
      expect_nodes(&m, (dots ? cases[i].by_dots : cases[i].by_pairs)
                           ? "QuantizeLinear weft:QConv DequantizeLinear"
                           : "QuantizeLinear DequantizeLinear weft:Conv QuantizeLinear DequantizeLinear");
      clear(&m);
    }
  }
}

int main(void) {
  test_which_pay();
  has_dot_i8 = true;
  test_quantized();
  test_unlike_quantized();
  test_fused();
  test_any();
  return 0;
}
