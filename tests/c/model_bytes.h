/* Writes small models for the tests of graph/ and optimize/: a node from one line of text, and the messages around it.
 */
#ifndef TESTS_MODEL_BYTES_H
#define TESTS_MODEL_BYTES_H

#include "onnx_bytes.h"

enum {
  GRAPH_NODE = 1,
  GRAPH_NAME = 2,
  GRAPH_INITIALIZER = 5,
  GRAPH_INPUT = 11,
  GRAPH_OUTPUT = 12,
  NODE_ATTRIBUTE = 5,
  ATTRIBUTE_INT = 2,
  ATTRIBUTE_FLOAT = 1,
  ATTRIBUTE_TENSOR = 4,
  ATTRIBUTE_GRAPH = 5,
  ATTRIBUTE_INTS = 7,
  ATTRIBUTE_STRING = 3,
  ATTRIBUTE_STRINGS = 8
};

static inline void add_words(bytes *b, uint32_t id, const char *words) {
  char word[64];
  int n;
  while (sscanf(words, " %63s%n", word, &n) == 1) {
    add_text(b, id, strcmp(word, "_") == 0 ? "" : word); /* _ is an absent value */
    words += n;
  }
}

/* "domain:Operator" (or "Operator"), its inputs and its outputs, names with spaces between. Attributes may follow. */
static inline bytes node(const char *op, const char *inputs, const char *outputs) {
  bytes b = {0};
  const char *colon = strchr(op, ':');
  add_words(&b, 1, inputs);
  add_words(&b, 2, outputs);
  add_text(&b, 4, colon != NULL ? colon + 1 : op);
  if (colon != NULL) {
    add_field(&b, 7, op, (size_t)(colon - op));
  }
  return b;
}

static inline bytes attribute(const char *name, int type) {
  bytes b = {0};
  add_text(&b, 1, name);
  add_int(&b, 20, (uint64_t)type);
  return b;
}

static inline void with_int(bytes *to, const char *name, int64_t value) {
  bytes b = attribute(name, ATTRIBUTE_INT);
  add_int(&b, 3, (uint64_t)value);
  add_message(to, NODE_ATTRIBUTE, &b);
}

static inline void with_float(bytes *to, const char *name, float value) {
  bytes b = attribute(name, ATTRIBUTE_FLOAT);
  add_float(&b, 2, value);
  add_message(to, NODE_ATTRIBUTE, &b);
}

static inline void with_string(bytes *to, const char *name, const char *value) {
  bytes b = attribute(name, ATTRIBUTE_STRING);
  add_text(&b, 4, value);
  add_message(to, NODE_ATTRIBUTE, &b);
}

/* A tensor of one float. */
static inline void with_tensor(bytes *to, const char *name, float value) {
  bytes b = attribute(name, ATTRIBUTE_TENSOR), tensor = {0};
  add_int(&tensor, 1, 1);
  add_int(&tensor, 2, 1);
  add_field(&tensor, 9, &value, sizeof value);
  add_message(&b, 5, &tensor);
  add_message(to, NODE_ATTRIBUTE, &b);
}

/* A list of words with spaces between. */
static inline void with_strings(bytes *to, const char *name, const char *words) {
  bytes b = attribute(name, ATTRIBUTE_STRINGS);
  add_words(&b, 9, words);
  add_message(to, NODE_ATTRIBUTE, &b);
}

/* One of a function's attributes under the caller's name. */
static inline void with_reference(bytes *to, const char *name, int type, const char *reference) {
  bytes b = attribute(name, type);
  add_text(&b, 21, reference);
  add_message(to, NODE_ATTRIBUTE, &b);
}

/* Empties `graph`. */
static inline void with_graph(bytes *to, const char *name, bytes *graph) {
  bytes b = attribute(name, ATTRIBUTE_GRAPH);
  add_message(&b, 6, graph);
  add_message(to, NODE_ATTRIBUTE, &b);
}

static inline void graph_node(bytes *graph, bytes n) {
  add_message(graph, GRAPH_NODE, &n);
}

/* A tensor of a weft_type; a dimension of 0 has the symbol "N", one of -1 is "N + 1". */
static inline void graph_typed_value(bytes *graph, uint32_t id, const char *name, int elements, int rank,
                                     const int64_t *dims) {
  bytes value = {0}, type = {0}, tensor = {0}, shape = {0};
  for (int i = 0; i < rank; i++) {
    bytes dim = {0};
    if (dims[i] > 0) {
      add_int(&dim, 1, (uint64_t)dims[i]);
    } else {
      add_text(&dim, 2, dims[i] == 0 ? "N" : "N + 1");
    }
    add_message(&shape, 1, &dim);
  }
  add_int(&tensor, 1, (uint64_t)elements);
  add_message(&tensor, 2, &shape);
  add_message(&type, 1, &tensor);
  add_text(&value, 1, name);
  add_message(&value, 2, &type);
  add_message(graph, id, &value);
}

/* The same of floats. */
static inline void graph_value(bytes *graph, uint32_t id, const char *name, int rank, const int64_t *dims) {
  graph_typed_value(graph, id, name, 1, rank, dims);
}

/* An output without a declared type. */
static inline void graph_output(bytes *graph, const char *name) {
  bytes value = {0};
  add_text(&value, 1, name);
  add_message(graph, GRAPH_OUTPUT, &value);
}

/* `type` is a weft_type of `size` bytes an element. */
static inline void graph_tensor(bytes *graph, const char *name, int type, size_t size, int rank, const int64_t *dims,
                                const void *data) {
  bytes tensor = {0};
  size_t count = 1;
  for (int i = 0; i < rank; i++) {
    add_int(&tensor, 1, (uint64_t)dims[i]);
    count *= (size_t)dims[i];
  }
  add_int(&tensor, 2, (uint64_t)type);
  add_text(&tensor, 8, name);
  add_field(&tensor, 9, data, count * size);
  add_message(graph, GRAPH_INITIALIZER, &tensor);
}

static inline bytes opset(const char *domain, int64_t version) {
  bytes b = {0};
  add_text(&b, 1, domain);
  add_int(&b, 2, (uint64_t)version);
  return b;
}

/* A function of domain "f"; its nodes follow with function_node. */
static inline bytes function(const char *name, const char *inputs, const char *outputs) {
  bytes b = {0}, core = opset("", 18), own = opset("f", 1);
  add_text(&b, 1, name);
  add_words(&b, 4, inputs);
  add_words(&b, 5, outputs);
  add_text(&b, 10, "f");
  add_message(&b, 9, &core);
  add_message(&b, 9, &own);
  return b;
}

static inline void function_node(bytes *f, bytes n) {
  add_message(f, 7, &n);
}

/* A model of that opset; empties `graph`. Functions may be added as field 25. */
static inline bytes model(int64_t version, bytes *graph) {
  bytes b = {0}, core = opset("", version), own = opset("f", 1);
  add_int(&b, 1, 8);
  add_message(&b, 7, graph);
  add_message(&b, 8, &core);
  add_message(&b, 8, &own);
  return b;
}

#endif
