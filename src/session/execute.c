/* Running a plan: node after node, planned ones into their places, dynamic ones into blocks of their own. A frame is one
 * graph in progress; a node with subgraphs starts another frame, which sees the values of this one. */
#include <string.h>

#include "plan.h"
#include "profile.h"

typedef struct frame {
  weft_run_state *state;
  weft_graph *graph;
  weft_plan *plan;
  weft_value **values; /* the plan's, per value of the graph; NULL: not there yet, or no longer */
} frame;

void weft_run_state_free(weft_run_state *state) {
  weft_scratch_free(&state->scratch);
  if (state->inner != NULL) {
    weft_run_state_free(state->inner);
    weft_free(state->inner);
    state->inner = NULL;
  }
}

static weft_status inner_state(weft_run_state *state, weft_run_state **out) {
  if (state->inner == NULL) {
    void *block;
    WEFT_TRY(weft_alloc_zeroed(state->cx, 1, sizeof *state->inner, &block));
    state->inner = block;
    state->inner->cx = state->cx;
    state->inner->strings = state->strings;
    state->inner->random = state->random;
  }
  state->inner->profile = state->profile;
  *out = state->inner;
  return WEFT_OK;
}

static void name_node(weft_context *cx, const weft_node *node) {
  cx->node = node->name;
  cx->op = node->op_type;
}

static weft_status run_graph(weft_op *op, weft_graph *graph, size_t input_count, weft_value *const *inputs,
                             weft_value **outputs) {
  const frame *f = op->host->state;
  weft_run_state *inner;
  WEFT_TRY(inner_state(f->state, &inner));
  WEFT_TRY(weft_execute(inner, graph, input_count, inputs, f->values, outputs));
  name_node(op->cx, op->node);
  return WEFT_OK;
}

static weft_status infer_graph(weft_op *op, weft_graph *graph, size_t input_count, weft_value *const *inputs,
                               weft_value **outputs) {
  const frame *f = op->host->state;
  weft_run_state *inner;
  WEFT_TRY(inner_state(f->state, &inner));
  weft_status status = weft_execute_shapes(inner, graph, input_count, inputs, f->values, outputs);
  name_node(op->cx, op->node);
  return status;
}

/* ---- one node ---------------------------------------------------------------------------------------------------- */
/* Whether the node reads its first input for the last time, nobody else has it, and its elements are where those of
 * the output begin. */
static bool may_continue(const frame *f, size_t n, weft_value *const *inputs, const weft_shape *shape) {
  const weft_node *node = &f->graph->nodes[n];
  const weft_value *in = (node->def->flags & WEFT_OP_CONTINUES) != 0 ? inputs[0] : NULL;
  if (in == NULL || !f->graph->values[node->inputs[0]].is_input || !in->spent || in->refs != 1 ||
      in->storage != WEFT_STORAGE_OWNED || in->tensor.type == WEFT_STRING ||
      f->plan->last_use[node->inputs[0]] != (int32_t)n) {
    return false;
  }
  for (int i = 1; i < node->input_count; i++) {
    if (inputs[i]->tensor.data == in->tensor.data) {
      return false;
    }
  }
  int axis = 0;
  while (axis < shape->rank && shape->dims[axis] == 1 && in->tensor.shape.dims[axis] == 1) {
    axis++;
  }
  return weft_shape_product(shape, axis + 1, shape->rank) ==
         weft_shape_product(&in->tensor.shape, axis + 1, shape->rank);
}

/* Gives every wanted output of a planned node its memory, but for caches: operators do that themselves. */
static weft_status planned_outputs(frame *f, size_t n, weft_value **inputs, weft_value **outputs) {
  const weft_node *node = &f->graph->nodes[n];
  weft_context *cx = f->state->cx;
  for (int i = 0; i < node->output_count; i++) {
    int32_t v = node->outputs[i];
    outputs[i] = NULL;
    if (v < 0) {
      continue;
    }
    if (f->plan->places[v] == WEFT_PLACE_OUTPUT) {
      const weft_tensor *shape = &f->plan->shapes[v]->tensor;
      const bool is_cache = f->graph->values[v].is_cache;
      if (is_cache || may_continue(f, n, inputs, &shape->shape)) {
        WEFT_TRY(weft_value_new(cx, WEFT_KIND_TENSOR, &f->values[v]));
        f->values[v]->tensor = *shape;
        if (!is_cache) {
          WEFT_TRY(weft_value_continue(cx, inputs[0], f->values[v]));
        }
      } else {
        WEFT_TRY(weft_value_new_tensor(cx, shape->type, &shape->shape, &f->values[v]));
      }
    }
    outputs[i] = f->values[v];
  }
  return WEFT_OK;
}

/* A reference to what a node that only shows its input gives, where the memory it shows stays. */
static weft_status show(weft_context *cx, weft_value *in, const weft_shape *shape, weft_value **out) {
  if (weft_shape_equal(&in->tensor.shape, shape)) {
    weft_value_retain(in);
    *out = in;
    return WEFT_OK;
  }
  return weft_value_view(cx, in, shape, out);
}

/* infer with all values at hand, then memory for what it set, but for caches, then run. */
static weft_status run_dynamic(const weft_slot *slots, weft_op *op) {
  weft_context *cx = op->cx;
  weft_status status = weft_op_call(op, op->def->infer);
  if (status != WEFT_OK && status != WEFT_DEFERRED) {
    return status;
  }
  if (status == WEFT_OK) {
    WEFT_TRY(weft_node_expect_outputs(op));
  }
  weft_value *in = op->input_count > 0 ? op->inputs[0] : NULL;
  if (status == WEFT_OK && (op->def->flags & WEFT_OP_VIEW) != 0 && in != NULL && in->storage != WEFT_STORAGE_NONE) {
    weft_value *view;
    WEFT_TRY(show(cx, in, &op->outputs[0]->tensor.shape, &view));
    return weft_op_put(op, 0, view);
  }
  for (int i = 0; status == WEFT_OK && i < op->output_count; i++) {
    if (op->outputs[i] != NULL && !slots[op->node->outputs[i]].is_cache) {
      WEFT_TRY(weft_value_allocate(cx, op->outputs[i]));
    }
  }
  WEFT_TRY(weft_op_call(op, op->def->run));
  return weft_node_expect_made(op);
}

static weft_status dynamic_node(frame *f, weft_op *op) {
  const weft_node *node = op->node;
  weft_status status = weft_node_outputs(f->state, node, op->outputs);
  if (status == WEFT_OK) {
    status = run_dynamic(f->graph->values, op);
  }
  for (int i = 0; i < node->output_count; i++) {
    if (op->outputs[i] != NULL) {
      f->values[node->outputs[i]] = op->outputs[i]; /* on failure freed with the frame */
    }
  }
  return status;
}

/* Whether a planned node gives its input, which has memory of its own, away from the graph as it is. */
static bool shows_input(const frame *f, size_t n) {
  const weft_node *node = &f->graph->nodes[n];
  return (node->def->flags & WEFT_OP_VIEW) != 0 && f->plan->steps[n] == WEFT_STEP_RUN && node->output_count == 1 &&
         f->plan->places[node->outputs[0]] == WEFT_PLACE_OUTPUT && f->plan->one[0]->storage != WEFT_STORAGE_NONE;
}

static weft_status run_node(frame *f, size_t n) {
  weft_node *node = &f->graph->nodes[n];
  weft_run_state *state = f->state;
  weft_value **inputs = f->plan->one, **outputs = inputs + node->input_count;
  for (int i = 0; i < node->input_count; i++) {
    inputs[i] = node->inputs[i] >= 0 ? f->values[node->inputs[i]] : NULL;
  }
  if (f->plan->steps[n] == WEFT_STEP_VIEW) {
    f->values[node->outputs[0]]->tensor.data = inputs[0]->tensor.data;
    return WEFT_OK;
  }
  name_node(state->cx, node);
  weft_op_host host = {.run_graph = run_graph, .infer_graph = infer_graph, .state = f};
  weft_op op = weft_node_op(state, node, inputs, outputs);
  op.host = &host;
  uint32_t entry = weft_profile_enter(state->cx, state->profile, node);
  weft_status status;
  if (f->plan->steps[n] == WEFT_STEP_DYNAMIC) {
    status = dynamic_node(f, &op);
  } else if (shows_input(f, n)) {
    const int32_t v = node->outputs[0];
    status = show(state->cx, inputs[0], &f->plan->shapes[v]->tensor.shape, &f->values[v]);
    outputs[0] = f->values[v];
  } else {
    status = planned_outputs(f, n, inputs, outputs);
    status = status == WEFT_OK ? weft_op_call(&op, node->def->run) : status;
  }
  weft_node_explain(state->cx, node, inputs, status);
  weft_profile_leave(state->profile, entry, status == WEFT_OK ? &op : NULL);
  weft_scratch_reset(state->cx, &state->scratch);
  return status;
}

static void release_value(frame *f, int32_t v) {
  weft_value_release(f->values[v]);
  f->values[v] = NULL;
}

static weft_status run_nodes(frame *f) {
  const weft_plan *plan = f->plan;
  weft_context *cx = f->state->cx;
  for (size_t n = 0; n < f->graph->node_count; n++) {
    if (plan->steps[n] == WEFT_STEP_SKIP) {
      continue;
    }
    if (cx->cancelled) {
      return weft_fail(cx, WEFT_CANCELLED, "the run was cancelled");
    }
    WEFT_TRY(run_node(f, n));
    for (uint32_t r = plan->release_begin[n]; r < plan->release_begin[n + 1]; r++) {
      release_value(f, plan->release_list[r]);
    }
  }
  cx->node = NULL;
  return WEFT_OK;
}

/* ---- a whole graph ----------------------------------------------------------------------------------------------- */
/* The caller of the main graph may write to what it gets: that must be no feed, no constant, and no part of either. What
 * begins with a feed's rows is made dense before anyone can write to it. */
static weft_status separate_output(frame *f, int32_t v, weft_value **out) {
  weft_place place = f->plan->places[v];
  if (place == WEFT_PLACE_GIVEN || place == WEFT_PLACE_KNOWN) {
    return weft_value_copy(f->state->cx, f->values[v], out);
  }
  if ((place == WEFT_PLACE_DYNAMIC || place == WEFT_PLACE_OUTPUT) && f->values[v]->apart == 0) {
    WEFT_TRY(weft_value_separate(f->state->cx, &f->values[v]));
  }
  return weft_value_keep(f->state->cx, f->values[v], out);
}

static weft_status take_outputs(frame *f, bool main_graph, weft_value **outputs) {
  weft_context *cx = f->state->cx;
  for (size_t i = 0; i < f->graph->output_count; i++) {
    int32_t v = f->graph->outputs[i];
    if (f->values[v] == NULL) {
      return weft_fail(cx, WEFT_INTERNAL, "output '%s' was not made", f->graph->values[v].name);
    }
    WEFT_TRY(main_graph ? separate_output(f, v, &outputs[i]) : weft_value_keep(cx, f->values[v], &outputs[i]));
  }
  return WEFT_OK;
}

/* Tells the plans what is given in this run. */
static weft_status set_given(frame *f, weft_plans *plans, size_t input_count, weft_value *const *inputs,
                             weft_value *const *captured) {
  const weft_graph *graph = f->graph;
  if (input_count != graph->input_count) {
    return weft_fail(f->state->cx, WEFT_INVALID_MODEL, "subgraph '%s': expected %zu inputs, found %zu", graph->name,
                     graph->input_count, input_count);
  }
  for (size_t i = 0; i < plans->given_count; i++) {
    const weft_slot *slot = &graph->values[plans->given[i]];
    plans->now[i] = i >= input_count ? captured[slot->outer] : inputs[i] != NULL ? inputs[i] : slot->constant;
  }
  return WEFT_OK;
}

static weft_status run_frame(frame *f, weft_plans *plans, bool main_graph, weft_value **outputs) {
  weft_plan *plan = f->plan;
  f->values = plan->values;
  for (size_t i = 0; i < plans->given_count; i++) {
    f->values[plans->given[i]] = plans->now[i];
  }
  WEFT_TRY(weft_plan_bind(f->state, f->graph, plan));
  weft_status status = run_nodes(f);
  status = status == WEFT_OK ? take_outputs(f, main_graph, outputs) : status;
  for (size_t i = 0; i < plan->made_count; i++) {
    release_value(f, plan->made[i]);
  }
  return status;
}

weft_status weft_execute(weft_run_state *state, weft_graph *graph, size_t input_count, weft_value *const *inputs,
                         weft_value *const *captured, weft_value **outputs) {
  frame f = {.state = state, .graph = graph};
  weft_plans *plans;
  for (size_t i = 0; i < graph->output_count; i++) {
    outputs[i] = NULL;
  }
  WEFT_TRY(weft_plans_get(state, graph, &plans));
  WEFT_TRY(set_given(&f, plans, input_count, inputs, captured));
  weft_status status = weft_plan_find(state, graph, plans, &f.plan);
  weft_scratch_reset(state->cx, &state->scratch);
  WEFT_TRY(status);
  status = run_frame(&f, plans, captured == NULL, outputs);
  for (size_t i = 0; i < graph->output_count && status != WEFT_OK; i++) {
    weft_value_release(outputs[i]);
    outputs[i] = NULL;
  }
  return status;
}

weft_status weft_execute_shapes(weft_run_state *state, weft_graph *graph, size_t input_count, weft_value *const *inputs,
                                weft_value *const *captured, weft_value **outputs) {
  frame f = {.state = state, .graph = graph};
  weft_plans *plans;
  memset(outputs, 0, graph->output_count * sizeof *outputs);
  WEFT_TRY(weft_plans_get(state, graph, &plans));
  WEFT_TRY(set_given(&f, plans, input_count, inputs, captured));
  weft_status status = weft_plan_find(state, graph, plans, &f.plan);
  for (size_t i = 0; i < graph->output_count && status == WEFT_OK; i++) {
    outputs[i] = f.plan->shapes[graph->outputs[i]];
    weft_value_retain(outputs[i]);
  }
  return status == WEFT_OUT_OF_MEMORY ? status : WEFT_OK;
}
