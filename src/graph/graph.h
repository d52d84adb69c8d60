/* The graph: values, nodes and attributes of a model, in the newest opset's terms, with functions inlined and names
 * resolved to numbers. Built once by graph/, rewritten by optimize/, read by session/. Everything here lives in the
 * model's arena, except constants (values with their own memory) and what operators prepare. It must not know kernels
 * or bytes of files. */
#ifndef WEFT_GRAPH_GRAPH_H
#define WEFT_GRAPH_GRAPH_H

#include "../base/value.h"

struct weft_op_def;
typedef struct weft_graph weft_graph;

/* AttributeProto.AttributeType's kinds that Weft keeps apart. Lists have `count` entries. Tensors (also sparse ones,
 * made dense) and tensor lists are values. */
typedef enum weft_attribute_kind {
  WEFT_ATTRIBUTE_FLOAT,
  WEFT_ATTRIBUTE_INT,
  WEFT_ATTRIBUTE_STRING,
  WEFT_ATTRIBUTE_TENSOR,
  WEFT_ATTRIBUTE_GRAPH,
  WEFT_ATTRIBUTE_FLOATS,
  WEFT_ATTRIBUTE_INTS,
  WEFT_ATTRIBUTE_STRINGS,
  WEFT_ATTRIBUTE_TENSORS,
  WEFT_ATTRIBUTE_GRAPHS,
  WEFT_ATTRIBUTE_TYPE /* a TypeProto, reduced to kind and element type in `type_kind`, `type` */
} weft_attribute_kind;

typedef struct weft_attribute {
  const char *name;
  weft_attribute_kind kind;
  size_t count; /* 1 for single ones */
  union {
    float f;
    int64_t i;
    weft_string s; /* zero-terminated as well */
    weft_value *tensor;
    weft_graph *graph;
    float *floats;
    int64_t *ints;
    weft_string *strings;
    weft_value **tensors;
    weft_graph **graphs;
    struct {
      weft_kind type_kind;
      weft_type type;
    };
  };
} weft_attribute;

typedef struct weft_node {
  const char *name; /* never NULL: made from operator and position where the file has none */
  const char *domain, *op_type;
  const char *overload;
  int version;                   /* opset version its meaning follows: after the upgrade, the newest */
  const struct weft_op_def *def; /* NULL until resolved */
  int input_count, output_count; /* without trailing absent ones */
  int32_t *inputs, *outputs;     /* numbers of graph->values; -1: absent */
  size_t attribute_count;
  weft_attribute *attributes;
  void *state;        /* what the operator's prepare left: packed weights, parsed attributes */
  bool borrows_state; /* another node's, which frees it */
} weft_node;

/* One named value of a graph. In a subgraph a value with outer >= 0 is captured: number `outer` of the parent's values.
 */
typedef struct weft_slot {
  const char *name;     /* never NULL; may be "" for values made here */
  weft_info info;       /* declared or inferred; rank -1 where unknown; kind NONE where nothing is known */
  weft_value *constant; /* initializer or folded; NULL otherwise */
  int32_t producer;     /* node number, or -1 */
  int32_t outer;        /* -1: not captured */
  bool is_input;        /* of the graph; with a constant: that is its default */
  bool is_cache;        /* rows may be added to it where it lies: its elements may be apart (session/caches.c) */
} weft_slot;

struct weft_graph {
  const char *name;
  weft_graph *parent; /* NULL: the main graph */
  size_t value_count, value_capacity;
  weft_slot *values;
  size_t node_count, node_capacity;
  weft_node *nodes; /* in an order that may be run */
  size_t input_count, output_count;
  int32_t *inputs, *outputs;
  weft_info *told; /* of the outputs, what users are told; NULL: what their values say */
  void *plans;     /* session/'s cache */
};

/* Something about the model that its user should hear, though it runs: one for all nodes with the same trouble. */
typedef struct weft_warning {
  const char *trouble;   /* what the nodes do, for a sentence that begins with the first one */
  const char *node, *op; /* the first one */
  size_t count;
  const char *sentence; /* made at the end of the load */
} weft_warning;

typedef struct weft_model {
  weft_context *cx;
  weft_arena arena; /* all of the above */
  weft_graph *graph;
  weft_strings *strings; /* bytes of string constants */
  size_t warning_count, warning_capacity;
  weft_warning *warnings;
  struct weft_custom *customs; /* operators of the caller's, which nodes refer to */
  bool from_pytorch;           /* says the file; its exporters mean some nodes in a way of their own */
} weft_model;

/* The attribute called `name`, or NULL. */
const weft_attribute *weft_node_attribute(const weft_node *node, const char *name);
/* Fails, with a sentence: the attribute is of another kind than its operator has. */
weft_status weft_attribute_refuse(weft_context *cx, const weft_attribute *attribute);
/* What it says, or `fallback` where the node has none of that kind. */
int64_t weft_node_int(const weft_node *node, const char *name, int64_t fallback);
float weft_node_float(const weft_node *node, const char *name, float fallback);

/* Goes through the subgraphs that a node's attributes hold, from {.node = node} on. */
typedef struct weft_subgraphs {
  const weft_node *node;
  size_t attribute, index; /* of the next */
} weft_subgraphs;
/* The next one; NULL: there are no more. */
weft_graph *weft_subgraphs_next(weft_subgraphs *at);

/* Calls visit(arg, v) for every value number of `graph` that node reads: inputs, and what its subgraphs capture. */
void weft_node_visit_uses(const weft_node *node, void (*visit)(void *arg, int32_t value), void *arg);

/* The constant that value v of `graph` is, also through captures, or NULL. Inputs with a default are not constant. */
weft_value *weft_graph_constant(const weft_graph *graph, int32_t v);

/* ---- building and rewriting (graph/ and optimize/) --------------------------------------------------------------- */
/* A new value; numbers of others stay. */
weft_status weft_graph_add_value(weft_model *model, weft_graph *graph, const char *name, int32_t *out);
/* A new constant value; takes over the reference. */
weft_status weft_graph_add_constant(weft_model *model, weft_graph *graph, const char *name, weft_value *value,
                                    int32_t *out);
/* A new constant that is a copy of these: of rank 1, or 0 for one number alone. */
weft_status weft_graph_add_numbers(weft_model *model, weft_graph *graph, weft_type type, int rank, size_t count,
                                   const void *items, int32_t *out);
weft_status weft_node_set_int(weft_model *model, weft_node *node, const char *name, int64_t value);
weft_status weft_node_set_float(weft_model *model, weft_node *node, const char *name, float value);
weft_status weft_node_set_string(weft_model *model, weft_node *node, const char *name, const char *value);
weft_status weft_node_set_ints(weft_model *model, weft_node *node, const char *name, size_t count,
                               const int64_t *values);
void weft_node_remove_attribute(weft_node *node, const char *name);
/* Frees constants, node states and the arena. */
void weft_model_destroy(weft_model *model);

#endif
