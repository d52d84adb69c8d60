/* Plans: how one graph runs for one set of input shapes. Inside src/session only.
 *
 * Shapes are never symbolic here. A graph is interpreted for the shapes at hand (interpret.c): every node's infer is
 * called, and what depends on shapes or constants alone is computed on the spot. The plan (plan.c) then gives every
 * value whose shape came out a place: in the graph's arena, as a view of another value, or as a fresh block for an
 * output. What remains (shapes that depend on data, sequences, control flow) is left dynamic: inferred and allocated
 * while running (execute.c). */
#ifndef WEFT_SESSION_PLAN_H
#define WEFT_SESSION_PLAN_H

#include "../ops/op.h"

typedef enum weft_place {
  WEFT_PLACE_DYNAMIC = 0, /* made while running, freed after its last use */
  WEFT_PLACE_GIVEN,       /* an input or a captured value */
  WEFT_PLACE_KNOWN,       /* a constant, or computed while planning */
  WEFT_PLACE_ARENA,       /* at `offset` of the arena */
  WEFT_PLACE_VIEW,        /* shows another value's memory */
  WEFT_PLACE_OUTPUT       /* planned shape, but a block of its own: it leaves the graph */
} weft_place;

typedef enum weft_step { WEFT_STEP_SKIP = 0, WEFT_STEP_RUN, WEFT_STEP_VIEW, WEFT_STEP_DYNAMIC } weft_step;

typedef struct weft_plan {
  struct weft_plan *next;  /* most recently used first */
  weft_step *steps;        /* per node */
  weft_place *places;      /* per value */
  weft_value **values;     /* per value: known ones with data, planned ones bound to the arena; others while running */
  weft_value **shapes;     /* per value: type and shape where known, else NULL */
  size_t *offsets;         /* per value: ARENA */
  size_t *room;            /* per value: bytes at its offset, where it is a root */
  int32_t *root;           /* per value: whose memory it uses, through any number of steps */
  bool *changed;           /* per value: its shape or elements are others than in the run before */
  bool *grows;             /* per value: they have ever been */
  int32_t *last_use;       /* per value: the node after which it (and what shows it) is not read; node_count: none */
  uint32_t *release_begin; /* per node: its part of release_list, node_count + 1 entries */
  int32_t *release_list;   /* dynamic values to free after a node */
  size_t made_count;
  int32_t *made;    /* what a run makes outside the arena */
  weft_value **one; /* room for one node's inputs and outputs */
  size_t arena_size;
  void *bound;       /* the arena the values point into */
  weft_arena memory; /* everything above */
} weft_plan;

/* What hangs on graph->plans. */
typedef struct weft_plans {
  weft_plan *first;
  size_t count;
  size_t strangers; /* runs in a row with shapes that no plan was there for */
  size_t given_count;
  int32_t *given;   /* inputs, in their order, and captured values that are no constants */
  weft_value **now; /* what they are in this run; NULL: absent */
  void *arena;
  size_t arena_size;
} weft_plans;

/* What running needs besides the graph: one for each level of nested subgraphs, so that a node that runs a subgraph keeps
 * its scratch memory. */
typedef struct weft_run_state {
  weft_context *cx;
  struct weft_profile *profile; /* NULL: nothing is recorded */
  weft_scratch scratch;
  weft_strings **strings; /* of the run in progress, shared by all levels */
  uint64_t *random;       /* likewise */
  struct weft_run_state *inner;
  bool probing; /* shapes are tried out: what is wrong with one node does not end weft_interpret */
} weft_run_state;

/* Frees scratch memory and inner levels. */
void weft_run_state_free(weft_run_state *state);

/* Fills values[] (one entry per value of `graph`; the caller sets the inputs' and captures' entries and owns all
 * references): type and shape where they follow from those, data where computing it is cheap. NULL stays where nothing
 * is known. */
weft_status weft_interpret(weft_run_state *state, const weft_graph *graph, weft_value **values);
/* The same for other shapes of inputs, from what was filled in before: `changed` tells which inputs' shapes did change,
 * and is told of all values. fits: as much is known of each value as was; if not, or on failure, values[] is half old. */
weft_status weft_interpret_again(weft_run_state *state, const weft_graph *graph, weft_value **values, bool *changed,
                                 bool *fits);

/* The plans of `graph`, of which there may be none yet. */
weft_status weft_plans_get(weft_run_state *state, weft_graph *graph, weft_plans **out);
/* The plan for what is given now, from the cache or made now. */
weft_status weft_plan_find(weft_run_state *state, const weft_graph *graph, weft_plans *plans, weft_plan **out);
/* Points the plan's values into the graph's arena, growing it if need be. */
weft_status weft_plan_bind(weft_run_state *state, weft_graph *graph, weft_plan *plan);
void weft_plans_destroy(weft_graph *graph);

/* Runs `graph`. inputs[i] belongs to graph->inputs[i]; NULL takes the default. `captured` are the values of the parent's
 * frame (NULL for the main graph). outputs receives graph->output_count new references, all of which own their memory; in
 * the main graph they share none with inputs and constants. */
weft_status weft_execute(weft_run_state *state, weft_graph *graph, size_t input_count, weft_value *const *inputs,
                         weft_value *const *captured, weft_value **outputs);

/* The same without running: outputs receives what is known of them by `inputs`' types and shapes, NULL where that is
 * nothing. What is wrong with nodes is left to a run to find. */
weft_status weft_execute_shapes(weft_run_state *state, weft_graph *graph, size_t input_count, weft_value *const *inputs,
                                weft_value *const *captured, weft_value **outputs);

/* Marks what caches the graph adds rows to. */
void weft_mark_caches(weft_graph *graph);
/* Lets every operator of `graph` and its subgraphs prepare its constants. */
weft_status weft_prepare(weft_run_state *state, weft_graph *graph);
/* Frees the plans of `graph` and its subgraphs. */
void weft_graph_destroy_plans(weft_graph *graph);

/* `node` as its operator sees it: without a host. */
weft_op weft_node_op(weft_run_state *state, weft_node *node, weft_value **inputs, weft_value **outputs);
/* Fails where the node names more outputs than its operator has: infer, which knew all inputs, did not set them. */
weft_status weft_node_expect_outputs(weft_op *op);
/* The same after a run, and for outputs that run did not make. */
weft_status weft_node_expect_made(weft_op *op);
/* Adds to the sentence of an operator that failed what its inputs were. */
void weft_node_explain(weft_context *cx, const weft_node *node, weft_value *const *inputs, weft_status status);
/* An empty value for each output that is wanted, NULL for the others; on failure those made are the caller's to
 * release. */
weft_status weft_node_outputs(weft_run_state *state, const weft_node *node, weft_value **outputs);
/* Strings of a run end with it, and those of constants and feeds may end too: every string tensor in `value` gets its
 * own. */
weft_status weft_value_own_strings(weft_context *cx, weft_value **value);

/* Calls the operator of `node` on values that are all known; new references in outputs[0..node->output_count). */
weft_status weft_evaluate(weft_run_state *state, weft_node *node, weft_value *const *inputs, weft_value **outputs);

#endif
