/* What tests of passes share: a graph in which x is [?, 2, 5, 5], what the optimiser makes of it, and that its answers
 * stay the same. Each test is one program. */
#ifndef WEFT_TESTS_PASSES_TEST_H
#define WEFT_TESTS_PASSES_TEST_H

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
static bool has_dot_i8; /* what a model is optimised for */

static inline float number(void) {
  state = state * 1664525u + 1013904223u;
  return (float)(state >> 8) / (float)(1u << 23) - 1;
}

static inline void constant(bytes *g, const char *name, int rank, const int64_t *dims) {
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

static inline void one(bytes *g, const char *name, float value) {
  graph_tensor(g, name, 1, 4, 0, scalar, &value);
}

static inline bytes begin(void) {
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 4, image);
  graph_output(&g, "y");
  constant(&g, "w", 4, filter);
  constant(&g, "b", 1, vector);
  return g;
}

static inline bytes convolution(const char *inputs, const char *output) {
  bytes n = node("Conv", inputs, output), pads = attribute("pads", ATTRIBUTE_INTS);
  for (int i = 0; i < 4; i++) {
    add_int(&pads, 8, 1);
  }
  add_message(&n, NODE_ATTRIBUTE, &pads);
  return n;
}

/* ---- what the graph becomes ------------------------------------------------------------------ */
static inline weft_status evaluate(void *arg, weft_node *n, weft_value *const *inputs, weft_value **outputs) {
  return weft_evaluate(arg, n, inputs, outputs);
}

static inline weft_status interpret(void *arg, const weft_graph *graph, weft_value **values) {
  ((weft_run_state *)arg)->probing = true;
  return weft_interpret(arg, graph, values);
}

/* Adds the operators of a graph in order, as "weft:Conv Add MatMul<float16> If[Neg][Abs]": with the types of matrices in
 * 16 bits, and with subgraphs. */
static inline void print_nodes(const weft_graph *graph, char *found, size_t size) {
  for (size_t i = 0; i < graph->node_count; i++) {
    const weft_node *n = &graph->nodes[i];
    const char *between = found[0] == 0 || i == 0 ? "" : " ";
    snprintf(found + strlen(found), size - strlen(found), "%s%s%s%s", between, n->domain, n->domain[0] != 0 ? ":" : "",
             n->op_type);
    for (int k = 0; k < n->input_count; k++) {
      const weft_value *constant = weft_graph_constant(graph, n->inputs[k]);
      const weft_type type = constant != NULL ? weft_value_type(constant) : WEFT_UNDEFINED;
      if ((type == WEFT_FLOAT16 || type == WEFT_BFLOAT16) && constant->tensor.shape.rank == 2) {
        snprintf(found + strlen(found), size - strlen(found), "<%s>", weft_type_name(type));
      }
    }
    for (size_t a = 0; a < n->attribute_count; a++) {
      if (n->attributes[a].kind == WEFT_ATTRIBUTE_GRAPH) {
        snprintf(found + strlen(found), size - strlen(found), "[");
        print_nodes(n->attributes[a].graph, found, size);
        snprintf(found + strlen(found), size - strlen(found), "]");
      }
    }
  }
}

/* What print_nodes says of the optimised graph. */
static inline void expect_nodes(const bytes *m, const char *expected) {
  weft_error error;
  weft_loader *loader;
  weft_model *model = NULL;
  char found[512] = "";
  CHECK(weft_loader_create(NULL, &loader, &error) == WEFT_OK);
  CHECK(weft_loader_push(loader, m->data, m->size, &error) == WEFT_OK);
  CHECK(weft_loader_finish(loader, &error) == WEFT_OK);
  weft_context *cx = &loader->cx;
  cx->error = &error;
  weft_kernels table = *weft_kernels_choose(true);
  table.has_dot_i8 = has_dot_i8;
  cx->kernels = &table;
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
  print_nodes(model->graph, found, sizeof found);
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
static inline weft_value *run(const bytes *m, int rank, const int64_t *dims, float factor, weft_optimize optimize) {
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
static inline void expect_same(bytes *model, float tolerance) {
  bytes m = *model;
  const int64_t dims[] = {3, 2, 5, 5};
  weft_value *a = run(&m, 4, dims, 4, WEFT_OPTIMIZE_ALL), *b = run(&m, 4, dims, 4, WEFT_OPTIMIZE_NONE);
  CHECK(weft_value_rank(a) == weft_value_rank(b));
  CHECK(memcmp(weft_value_dims(a), weft_value_dims(b), (size_t)weft_value_rank(a) * sizeof(int64_t)) == 0);
  for (size_t i = 0; i < weft_value_count(a); i++) {
    float p = ((float *)weft_value_data(a))[i], q = ((float *)weft_value_data(b))[i];
    CHECK(fabsf(p - q) <= tolerance * (1 + fabsf(q)));
  }
  weft_value_release(a);
  weft_value_release(b);
  clear(&m);
}

static inline void expect_within(bytes *g, const char *nodes, float tolerance) {
  bytes m = model(20, g);
  expect_nodes(&m, nodes);
  expect_same(&m, tolerance);
}

static inline void expect(bytes *g, const char *nodes) {
  expect_within(g, nodes, 1e-4f);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */
static inline bytes turned(const char *in, const char *out, int rank, const int64_t *order) {
  bytes n = node("Transpose", in, out), perm = attribute("perm", ATTRIBUTE_INTS);
  for (int i = 0; i < rank; i++) {
    add_int(&perm, 8, (uint64_t)order[i]);
  }
  add_message(&n, NODE_ATTRIBUTE, &perm);
  return n;
}

static inline void turn(bytes *g, const char *in, const char *out, int rank, const int64_t *order) {
  graph_node(g, turned(in, out, rank, order));
}

static inline void reshape(bytes *g, const char *in, const char *out, int64_t rank, const int64_t *dims) {
  char inputs[32];
  snprintf(inputs, sizeof inputs, "%s to_%s", in, out);
  graph_tensor(g, inputs + strlen(in) + 1, 7, 8, 1, &rank, dims);
  graph_node(g, node("Reshape", inputs, out));
}

#endif
