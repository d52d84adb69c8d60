/* Interpreting a graph for concrete input shapes: each node's infer in turn, and run for what costs next to nothing and
 * depends on shapes or constants alone (Shape, Gather, Concat ... in front of a Reshape). Also where one node is
 * evaluated for the optimiser. */
#include <string.h>

#include "../base/text.h"
#include "../graph/mend.h"
#include "plan.h"

/* More elements than this are not computed while planning: it would cost as much as running. */
enum { KNOWN_LIMIT = 2048, STACK_VALUES = 32, SHOWN = 8 /* inputs of a node that failed */ };

static bool is_known(const weft_value *value) {
  return value != NULL && value->kind == WEFT_KIND_TENSOR && value->tensor.data != NULL;
}

/* Whether node's outputs, whose shapes are set, can be computed now. */
static bool can_compute(const weft_op *op) {
  if ((op->def->flags & (WEFT_OP_NOT_PURE | WEFT_OP_SUBGRAPH)) != 0) {
    return false;
  }
  bool by_shape = (op->def->flags & WEFT_OP_SHAPE_ONLY) != 0;
  for (int i = 0; i < op->input_count; i++) {
    const weft_value *in = op->inputs[i];
    if (in != NULL && !by_shape && (!is_known(in) || in->tensor.count > KNOWN_LIMIT)) {
      return false;
    }
  }
  for (int i = 0; i < op->output_count; i++) {
    if (op->outputs[i] != NULL && op->outputs[i]->tensor.count > KNOWN_LIMIT) {
      return false;
    }
  }
  return true;
}

weft_status weft_value_own_strings(weft_context *cx, weft_value **value) {
  if (*value == NULL) {
    return WEFT_OK;
  }
  for (size_t i = 0; i < (*value)->item_count; i++) {
    WEFT_TRY(weft_value_own_strings(cx, &(*value)->items[i]));
  }
  if ((*value)->kind != WEFT_KIND_TENSOR || (*value)->tensor.type != WEFT_STRING) {
    return WEFT_OK;
  }
  weft_value *copy;
  WEFT_TRY(weft_value_copy(cx, *value, &copy));
  weft_value_release(*value);
  *value = copy;
  return WEFT_OK;
}

weft_status weft_node_expect_made(weft_op *op) {
  for (int i = 0; i < op->output_count; i++) {
    const weft_value *value = op->outputs[i];
    if (value != NULL && value->kind == WEFT_KIND_TENSOR && value->tensor.data == NULL) {
      /* No operator gives an output of no type: the node names more than its operator has. */
      bool unknown = value->tensor.type == WEFT_UNDEFINED;
      return weft_fail(op->cx, unknown ? WEFT_INVALID_MODEL : WEFT_INTERNAL,
                       unknown ? "the operator gives no output %d" : "output %d was not made", i);
    }
  }
  return WEFT_OK;
}

/* Runs an operator whose results outlive the run's strings; `planned`: infer said what memory they need. */
static weft_status compute(weft_run_state *state, weft_op *op, bool planned) {
  for (int i = 0; planned && i < op->output_count; i++) {
    if (op->outputs[i] != NULL) {
      WEFT_TRY(weft_value_allocate(state->cx, op->outputs[i]));
    }
  }
  weft_status status = weft_op_call(op, op->def->run);
  weft_scratch_reset(state->cx, &state->scratch);
  status = status == WEFT_OK ? weft_node_expect_made(op) : status;
  for (int i = 0; status == WEFT_OK && i < op->output_count; i++) {
    status = weft_value_own_strings(state->cx, &op->outputs[i]);
  }
  return status;
}

weft_op weft_node_op(weft_run_state *state, weft_node *node, weft_value **inputs, weft_value **outputs) {
  return (weft_op){.cx = state->cx,
                   .def = node->def,
                   .node = node,
                   .input_count = node->input_count,
                   .output_count = node->output_count,
                   .inputs = inputs,
                   .outputs = outputs,
                   .scratch = &state->scratch,
                   .strings = state->strings,
                   .random = state->random};
}

weft_status weft_node_expect_outputs(weft_op *op) {
  for (int i = 0; i < op->output_count; i++) {
    if (op->outputs[i] != NULL && op->outputs[i]->tensor.type == WEFT_UNDEFINED) {
      return weft_fail(op->cx, WEFT_INVALID_MODEL, "the operator gives no output %d", i);
    }
  }
  return WEFT_OK;
}

void weft_node_explain(weft_context *cx, const weft_node *node, weft_value *const *inputs, weft_status status) {
  static const char *const kinds[] = {"absent", "tensor", "sequence", "map"};
  bool told = status == WEFT_INVALID_MODEL || status == WEFT_RUN_FAILED || status == WEFT_UNSUPPORTED;
  if (!told || cx->node != node->name || node->input_count == 0) { /* or a node of a subgraph failed, which was told */
    return;
  }
  char text[WEFT_MAX_RANK * 21];
  size_t used = strlen(cx->error->message);
  for (int i = 0; i < node->input_count && i <= SHOWN && used + 1 < sizeof cx->error->message; i++) {
    const weft_value *in = inputs[i];
    bool tensor = in != NULL && in->kind == WEFT_KIND_TENSOR && in->tensor.type != WEFT_UNDEFINED;
    const char *what = i == SHOWN ? "..."
                       : tensor   ? weft_shape_print(&in->tensor.shape, text, sizeof text)
                                  : kinds[in != NULL ? in->kind : WEFT_KIND_NONE];
    weft_print(cx->error->message + used, sizeof cx->error->message - used, "%s%s%s%s%s", i == 0 ? " (inputs: " : ", ",
               tensor && i < SHOWN ? weft_type_name(in->tensor.type) : "", tensor && i < SHOWN ? " " : "", what,
               i == SHOWN || i + 1 == node->input_count ? ")" : "");
    used += strlen(cx->error->message + used);
  }
}

weft_status weft_node_outputs(weft_run_state *state, const weft_node *node, weft_value **outputs) {
  for (int i = 0; i < node->output_count; i++) {
    outputs[i] = NULL;
  }
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i] >= 0) {
      WEFT_TRY(weft_value_new(state->cx, WEFT_KIND_TENSOR, &outputs[i]));
    }
  }
  return WEFT_OK;
}

static weft_status interpret_node(weft_run_state *state, weft_node *node, weft_value **inputs, weft_value **outputs) {
  for (int i = 0; i < node->input_count; i++) {
    if (node->inputs[i] >= 0 && inputs[i] == NULL) {
      return WEFT_DEFERRED;
    }
    if (inputs[i] != NULL && inputs[i]->kind != WEFT_KIND_TENSOR) {
      return WEFT_DEFERRED;
    }
  }
  if ((node->def->flags & WEFT_OP_SUBGRAPH) != 0) {
    return WEFT_DEFERRED;
  }
  WEFT_TRY(weft_node_outputs(state, node, outputs));
  weft_op op = weft_node_op(state, node, inputs, outputs);
  WEFT_TRY(weft_op_call(&op, node->def->infer));
  for (int i = 0; i < op.output_count; i++) {
    if (outputs[i] != NULL && outputs[i]->tensor.type == WEFT_UNDEFINED) {
      return WEFT_DEFERRED; /* infer leaves this one to run */
    }
  }
  return can_compute(&op) ? compute(state, &op, true) : WEFT_OK;
}

/* Whatever is wrong with a node, others may tell something. */
static weft_status interpret_probed(weft_run_state *state, const weft_graph *graph, weft_node *node,
                                    weft_value **inputs, weft_value **outputs) {
  weft_status status = interpret_node(state, node, inputs, outputs);
  if (status == WEFT_OK || status == WEFT_DEFERRED || status == WEFT_OUT_OF_MEMORY) {
    return status;
  }
  for (int i = 0; i < node->output_count; i++) {
    weft_value_release(outputs[i]);
    outputs[i] = NULL;
  }
  for (int i = 0; i < node->input_count; i++) {
    if (inputs[i] != NULL) {
      weft_value_retain(inputs[i]);
    }
  }
  status = weft_node_mend(state->cx, graph, node, inputs);
  if (status == WEFT_OK) {
    status = interpret_node(state, node, inputs, outputs);
  }
  for (int i = 0; i < node->input_count; i++) {
    weft_value_release(inputs[i]);
  }
  return status == WEFT_OK || status == WEFT_OUT_OF_MEMORY ? status : WEFT_DEFERRED;
}

/* Arrays for one node's inputs and outputs: on the stack for all but a few nodes. */
typedef struct node_values {
  weft_value *few[STACK_VALUES];
  void *many;
} node_values;

static weft_status take_values(weft_run_state *state, const weft_node *node, node_values *room, weft_value ***inputs,
                               weft_value ***outputs) {
  size_t count = (size_t)node->input_count + (size_t)node->output_count;
  room->many = NULL;
  *inputs = room->few;
  if (count > STACK_VALUES) {
    WEFT_TRY(weft_alloc(state->cx, count * sizeof(weft_value *), &room->many));
    *inputs = room->many;
  }
  *outputs = *inputs + node->input_count;
  memset(*inputs, 0, count * sizeof(weft_value *));
  return WEFT_OK;
}

static bool same_elements(const weft_tensor *a, const weft_tensor *b) {
  return a->type != WEFT_STRING && memcmp(a->data, b->data, a->count * weft_type_size(a->type)) == 0;
}

/* Brings a value up to date with `made`, which is taken over; the object stays, unless its elements are known. False
 * where more or less is known than before. */
static bool renew_value(weft_value **value, weft_value *made, bool *changed) {
  weft_value *old = *value;
  bool known = is_known(made);
  bool fits =
      made != NULL && old != NULL ? known == is_known(old) && made->tensor.type == old->tensor.type : made == old;
  if (fits && made != NULL) {
    weft_tensor *from = &made->tensor, *to = &old->tensor;
    *changed = !weft_shape_equal(&from->shape, &to->shape) || (known && !same_elements(from, to));
    if (known) {
      *value = made;
      made = old;
    } else {
      to->shape = from->shape;
      to->count = from->count;
    }
  }
  weft_value_release(made);
  return fits;
}

/* `changed` is NULL where nothing is known yet of what the node makes. */
static weft_status visit_node(weft_run_state *state, const weft_graph *graph, weft_node *node, weft_value **values,
                              bool *changed, bool *fits) {
  node_values room;
  weft_value **inputs, **outputs;
  WEFT_TRY(take_values(state, node, &room, &inputs, &outputs));
  for (int i = 0; i < node->input_count; i++) {
    inputs[i] = node->inputs[i] >= 0 ? values[node->inputs[i]] : NULL;
  }
  state->cx->node = node->name;
  state->cx->op = node->op_type;
  weft_status status = state->probing ? interpret_probed(state, graph, node, inputs, outputs)
                                      : interpret_node(state, node, inputs, outputs);
  weft_node_explain(state->cx, node, inputs, status);
  for (int i = 0; i < node->output_count; i++) {
    int32_t v = node->outputs[i];
    if (status != WEFT_OK) {
      weft_value_release(outputs[i]);
      outputs[i] = NULL;
    }
    if (changed != NULL && v >= 0) {
      *fits = renew_value(&values[v], outputs[i], &changed[v]) && *fits;
    } else if (outputs[i] != NULL) {
      values[v] = outputs[i];
    }
  }
  weft_free(room.many);
  return status == WEFT_DEFERRED ? WEFT_OK : status;
}

weft_status weft_interpret(weft_run_state *state, const weft_graph *graph, weft_value **values) {
  for (size_t v = 0; v < graph->value_count; v++) {
    weft_value *constant = weft_graph_constant(graph, (int32_t)v);
    if (values[v] == NULL && constant != NULL) {
      values[v] = constant;
      weft_value_retain(constant);
    }
  }
  for (size_t n = 0; n < graph->node_count; n++) {
    WEFT_TRY(visit_node(state, graph, &graph->nodes[n], values, NULL, NULL));
  }
  state->cx->node = NULL;
  return WEFT_OK;
}

static bool reads_changed(const weft_node *node, const bool *changed) {
  for (int i = 0; i < node->input_count; i++) {
    if (node->inputs[i] >= 0 && changed[node->inputs[i]]) {
      return true;
    }
  }
  return false;
}

weft_status weft_interpret_again(weft_run_state *state, const weft_graph *graph, weft_value **values, bool *changed,
                                 bool *fits) {
  *fits = true;
  for (size_t n = 0; n < graph->node_count && *fits; n++) {
    weft_node *node = &graph->nodes[n];
    if (reads_changed(node, changed)) {
      WEFT_TRY(visit_node(state, graph, node, values, changed, fits));
    }
  }
  state->cx->node = NULL;
  return WEFT_OK;
}

weft_status weft_evaluate(weft_run_state *state, weft_node *node, weft_value *const *inputs, weft_value **outputs) {
  weft_status status = weft_node_outputs(state, node, outputs);
  weft_op op = weft_node_op(state, node, (weft_value **)inputs, outputs);
  state->cx->node = node->name;
  state->cx->op = node->op_type;
  if (status == WEFT_OK) {
    status = weft_op_call(&op, node->def->infer);
    bool planned = status == WEFT_OK;
    if (planned) {
      status = weft_node_expect_outputs(&op);
    }
    if (status == WEFT_OK || status == WEFT_DEFERRED) {
      status = compute(state, &op, planned);
    }
  }
  for (int i = 0; i < node->output_count && status != WEFT_OK; i++) {
    weft_value_release(outputs[i]);
    outputs[i] = NULL;
  }
  if (status == WEFT_OK) {
    state->cx->node = NULL;
  }
  return status;
}
