/* From a decoded file to a graph: names become numbers, attributes and initializers become values, model-local
 * functions are written out where they are called, nodes are put into an order that may be run. Nodes keep the operator
 * versions of the file: upgrade.h comes next. */
#ifndef WEFT_GRAPH_BUILD_H
#define WEFT_GRAPH_BUILD_H

#include "../onnx/model.h"
#include "graph.h"

/* The newest version of the default domain that Weft knows. */
enum { WEFT_NEWEST_OPSET = 28 };

/* `options` has no zero limits. On failure *out is NULL. `cx` must outlive the model. */
weft_status weft_graph_build(weft_context *cx, weft_onnx_model *file, const weft_options *options, weft_model **out);

/* Puts the nodes of `graph` (not of its subgraphs) in an order that may be run; producers must be numbered. Refuses
 * cycles. */
weft_status weft_graph_sort(weft_model *model, weft_graph *graph);

#endif
