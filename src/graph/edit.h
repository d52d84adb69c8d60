/* Building and rewriting graphs: what graph/ and optimize/ share beyond graph.h. Values, nodes and attributes are only
 * ever added; pointers into graph->values, graph->nodes and node->attributes are valid until the next addition. */
#ifndef WEFT_GRAPH_EDIT_H
#define WEFT_GRAPH_EDIT_H

#include "graph.h"

/* Grows an array that lives in an arena; the old one is left behind. New items are zero. */
weft_status weft_arena_grow(weft_context *cx, weft_arena *arena, void **items, size_t *capacity, size_t need,
                            size_t item_size);

weft_status weft_graph_create(weft_model *model, weft_graph *parent, const char *name, weft_graph **out);
/* Room for that many values and nodes in all. */
weft_status weft_graph_reserve(weft_model *model, weft_graph *graph, size_t values, size_t nodes);
/* Makes the value a constant; takes over the reference. */
void weft_slot_set_constant(weft_slot *slot, weft_value *value);

/* A new node at the end, with all inputs and outputs absent. Strings must live as long as the model. */
weft_status weft_graph_add_node(weft_model *model, weft_graph *graph, const char *name, const char *domain,
                                const char *op_type, int inputs, int outputs, weft_node **out);
/* Changes the numbers of inputs and outputs; new ones are absent. */
weft_status weft_node_resize(weft_model *model, weft_node *node, int inputs, int outputs);
/* Sets input i, adding absent ones before it if need be. */
weft_status weft_node_set_input(weft_model *model, weft_node *node, int i, int32_t value);
/* A new attribute of that name (an old one goes), an int until the caller says otherwise. */
weft_status weft_node_add_attribute(weft_model *model, weft_node *node, const char *name, weft_attribute **out);
/* Releases what a node that leaves its graph holds. */
void weft_node_discard(weft_node *node);

/* Removing nodes from a graph: the same, and a mark (its operator type is NULL) that weft_graph_compact looks for, which
 * takes marked nodes out of the list and numbers producers. Until then nodes keep their numbers. */
void weft_node_remove(weft_node *node);
void weft_graph_compact(weft_graph *graph);

/* Sets every slot's producer anew, after nodes moved. */
void weft_graph_number_producers(weft_graph *graph);

#endif
