/* The passes that make a graph smaller and faster without changing what it means, one file each. They know the graph,
 * not the file's format nor how anything runs; one node is evaluated through a function that the session gives. */
#ifndef WEFT_OPTIMIZE_OPTIMIZE_H
#define WEFT_OPTIMIZE_OPTIMIZE_H

#include "../graph/graph.h"

/* Runs node's operator on known inputs (NULL: absent); new references in outputs[0..node->output_count). */
typedef weft_status (*weft_evaluator)(void *arg, weft_node *node, weft_value *const *inputs, weft_value **outputs);

/* All passes in their order; none but what correctness needs with WEFT_OPTIMIZE_NONE. */
weft_status weft_optimize_model(weft_model *model, const weft_options *options, weft_evaluator evaluate, void *arg);

#endif
