/* What gradient.c, which walks a graph backwards, and backward.c, which does so with subgraphs, have of each other. */
#ifndef WEFT_GRAPH_BACKWARD_H
#define WEFT_GRAPH_BACKWARD_H

#include "derive.h"

/* One walk through one graph, from where derivatives were set. Values and nodes that are made on the way come after
 * those counted here, and are not looked at. */
typedef struct weft_gradient {
  weft_term term; /* the model, the graph and how its nodes are made */
  weft_graph *graph;
  weft_model *model;
  int depth;            /* of subgraphs around the graph */
  size_t values, nodes; /* that the graph had before */
  uint8_t *leaf, *path; /* per value: a variable; something that depends on one */
  int32_t *derivative;  /* per value: of y by it, so far; -1: none */
  bool depends;         /* the node that is looked at, on a variable */
} weft_gradient;

/* For g->graph as it is now: no variables, no derivatives. */
weft_status weft_gradient_prepare(weft_gradient *g);
/* Marks what depends on variables; may be called again when there are more. */
void weft_gradient_mark(weft_gradient *g);
/* `term` is added to the derivative by v. */
weft_status weft_gradient_add(weft_gradient *g, int32_t term, int32_t v);
/* As many of a number as v has elements, of its element type. */
weft_status weft_gradient_fill(weft_gradient *g, const char *number, int32_t v, int32_t *out);
/* All nodes but `skip`, from the last on, pass on what they have. */
weft_status weft_gradient_run(weft_gradient *g, size_t skip);

/* Node k, an If, Loop or Scan, passes on what it has to all that it reads; *out is false for other operators. */
weft_status weft_gradient_pass_subgraphs(weft_gradient *g, size_t k, bool *out);

#endif
