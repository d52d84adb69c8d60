/* ai.onnx.preview.training's Gradient is no operation on values but a request about the graph: it is replaced, at load,
 * by the nodes that compute the derivatives. */
#ifndef WEFT_GRAPH_GRADIENT_H
#define WEFT_GRAPH_GRADIENT_H

#include "graph.h"

/* All Gradient nodes of the main graph, after the upgrade and before operators are looked up. */
weft_status weft_model_differentiate(weft_model *model, const weft_options *options);

/* Nodes of operators that have no derivative of their own become the formula that they stand for. */
weft_status weft_graph_expand(weft_model *model, weft_graph *graph, uint32_t max_nodes);

#endif
