/* Mistakes that leave a model able to run, with answers that its user may not expect. They are found while it is
 * loaded. */
#ifndef WEFT_GRAPH_WARN_H
#define WEFT_GRAPH_WARN_H

#include "graph.h"

/* Notes that `node` does what `trouble`, a constant, says. */
weft_status weft_model_warn(weft_model *model, const weft_node *node, const char *trouble);

/* Looks through all graphs, after the operators are found, and words all warnings. */
weft_status weft_model_review(weft_model *model);

#endif
