/* What is known of every value before anything runs: type, rank, dimensions and their symbols. */
#ifndef WEFT_GRAPH_SHAPES_H
#define WEFT_GRAPH_SHAPES_H

#include "graph.h"

/* Fills values[] of a graph (type and shape, data where computing it is cheap) from those the caller set:
 * weft_interpret. */
typedef weft_status (*weft_interpreter)(void *arg, const weft_graph *graph, weft_value **values);

/* Sets the infos of all values that interpretation reaches; declarations of outputs stay where it does not. Symbols are
 * compared as pointers: the same pointer means the same size in every run. A dimension that is no constant and no
 * symbol of an input gets an invented symbol; `told` of the main graph has the file's name for it instead, if any. */
weft_status weft_graph_infer(weft_model *model, weft_interpreter interpret, void *arg);

static inline bool weft_symbol_is_invented(const char *symbol) {
  return symbol != NULL && symbol[0] == '?';
}

#endif
