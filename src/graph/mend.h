/* Shapes are tried out with made-up sizes for what a model leaves open (shapes.h), and not all of them suit every node. */
#ifndef WEFT_GRAPH_MEND_H
#define WEFT_GRAPH_MEND_H

#include "graph.h"

/* For a node whose inputs have sizes that it does not allow, although others would do: replaces inputs (references are
 * the caller's) by others with the sizes the node asks for, without elements: those of a constant that is added to
 * something, the channels of a convolution's weights, as many elements as a shape has, as many columns as there are rows
 * to multiply them with. Whatever the inputs' sizes are in a run that succeeds, they then lead to the same ones.
 * WEFT_DEFERRED where nothing is known to ask for; the sentence of any failure is the caller's to drop. */
weft_status weft_node_mend(weft_context *cx, const weft_graph *graph, const weft_node *node, weft_value **inputs);

#endif
