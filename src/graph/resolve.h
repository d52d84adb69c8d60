/* Nodes find their operators. */
#ifndef WEFT_GRAPH_RESOLVE_H
#define WEFT_GRAPH_RESOLVE_H

#include "graph.h"

/* Sets every node's def and version, in subgraphs too, and drops trailing absent inputs and outputs. */
weft_status weft_graph_resolve(weft_model *model);

#endif
