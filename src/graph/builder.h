/* What the files of the builder share; nobody else includes it.
 *
 * A scope maps the names that one GraphProto or one function call defines to slots of a graph. A subgraph's scope has
 * the enclosing scope as its parent, so that a name found further out is captured level by level. A function's body
 * lives in the graph of its caller but sees only its own names: its scope has no parent. */
#ifndef WEFT_GRAPH_BUILDER_H
#define WEFT_GRAPH_BUILDER_H

#include "build.h"
#include "edit.h"
#include "names.h"

enum {
  WEFT_CONSTANT = -3, /* producer of a Constant's output that is not built yet, and needs no order */
  WEFT_PENDING = -2,  /* producer of an output whose node is not built yet */
  WEFT_ABSENT = -1    /* an input that is left out */
};

typedef struct weft_builder {
  weft_context *cx;
  weft_onnx_model *file;
  weft_model *model;
  uint32_t max_nodes, max_depth;
  uint32_t nodes;          /* built so far, calls included */
  bool inputs_may_default; /* from IR version 4 on; before, an input with an initializer is simply a constant */
  weft_names kept;         /* every string that went into the arena */
  weft_names functions;    /* key -> number in the file */
} weft_builder;

struct weft_scope;

/* Where nodes come from: the main model or one call of a function. */
typedef struct weft_origin {
  size_t opset_count;
  Weft__OperatorSetIdProto **opsets;
  const Weft__FunctionProto *function; /* NULL: the main model */
  const Weft__NodeProto *call;
  struct weft_scope *caller;
  const weft_names *outputs; /* of the function: name -> slot of the caller's graph; NULL in the main model */
  const char *prefix;        /* of node names */
} weft_origin;

typedef struct weft_scope {
  weft_names names;
  weft_graph *graph;
  struct weft_scope *parent;
  const weft_origin *origin;
  bool *unsorted; /* set when a node of `graph` comes before one it needs */
  uint32_t depth;
} weft_scope;

/* convert.c */
weft_status weft_build_keep(weft_builder *b, const char *text, const char **out);
weft_status weft_build_info(weft_builder *b, const char *name, const Weft__TypeProto *type, weft_info *out);
/* "" for the default domain, however it is written. */
const char *weft_build_domain(const char *domain);
weft_status weft_build_attributes(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto, weft_graph *graph,
                                  weft_node *node);
/* The value of a Constant node. */
weft_status weft_build_constant(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto, weft_value **out);

/* build.c */
/* `parent` is the graph the new one is an attribute of, `scope` that in which its outer names are looked up. */
weft_status weft_build_graph(weft_builder *b, const Weft__GraphProto *proto, weft_graph *parent, weft_scope *scope,
                             const weft_origin *origin, uint32_t depth, weft_graph **out);
weft_status weft_build_nodes(weft_builder *b, weft_scope *scope, size_t count, Weft__NodeProto **protos);
/* The slot of a name in scope->graph; captures it from outside if need be. */
weft_status weft_build_find(weft_builder *b, weft_scope *scope, const char *name, int32_t *out, bool *found);
/* The slot of a node's input; WEFT_ABSENT where the name is empty. Fails where nothing has that name. */
weft_status weft_build_find_input(weft_builder *b, weft_scope *scope, const char *name, int32_t *out);
weft_status weft_build_count_node(weft_builder *b);

/* functions.c */
weft_status weft_build_index_functions(weft_builder *b);
/* NULL: not a call. */
const Weft__FunctionProto *weft_build_find_function(const weft_builder *b, const Weft__NodeProto *proto);
weft_status weft_build_call(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto,
                            const Weft__FunctionProto *function, const char *name);

static inline bool weft_is_empty(const char *text) {
  return text == NULL || text[0] == 0;
}

#endif
