/* From the decoded file to a graph in the newest opset's terms: built, functions inlined, upgraded, every node's
 * operator found. */
#ifndef WEFT_GRAPH_LOAD_H
#define WEFT_GRAPH_LOAD_H

#include "../onnx/model.h"
#include "graph.h"

/* The messages may be freed afterwards; constants keep what they took from them. */
weft_status weft_model_load(weft_context *cx, weft_onnx_model *onnx, const weft_options *options, weft_model **out);

#endif
