/* Model-local functions, written out where they are called. A body's nodes go straight into the caller's graph under
 * the caller's slots, so nothing has to be renamed. A function that a file defines wins over an operator of the same
 * name. Calls are counted like nodes, because functions that call others twice grow exponentially without a node in
 * them. */
#include "builder.h"

#include <string.h>

#include "../base/text.h"

enum { KEY_SIZE = 512 };

/* Domain, name and overload as one string; false when they do not fit. */
static bool make_key(char *key, const char *domain, const char *name, const char *overload) {
  size_t n = weft_print(key, KEY_SIZE, "%s\n%s\n%s", weft_build_domain(domain), name != NULL ? name : "",
                        overload != NULL ? overload : "");
  return n > 0 && n < KEY_SIZE;
}

weft_status weft_build_index_functions(weft_builder *b) {
  const Weft__ModelProto *proto = b->file->proto;
  for (size_t i = 0; i < proto->n_functions; i++) {
    const Weft__FunctionProto *function = proto->functions[i];
    char key[KEY_SIZE];
    const char *kept;
    int32_t old;
    if (weft_is_empty(function->name) || !make_key(key, function->domain, function->name, function->overload)) {
      return weft_fail(b->cx, WEFT_INVALID_MODEL, "function %zu of the model has no name, or one that is too long", i);
    }
    if (weft_names_find(&b->functions, key, &old)) {
      return weft_fail(b->cx, WEFT_INVALID_MODEL, "function '%s' of domain '%s' is defined twice", function->name,
                       weft_build_domain(function->domain));
    }
    WEFT_TRY(weft_build_keep(b, key, &kept));
    WEFT_TRY(weft_names_put(b->cx, &b->functions, kept, (int32_t)i));
  }
  return WEFT_OK;
}

const Weft__FunctionProto *weft_build_find_function(const weft_builder *b, const Weft__NodeProto *proto) {
  char key[KEY_SIZE];
  int32_t i;
  if (b->functions.count == 0 || !make_key(key, proto->domain, proto->op_type, proto->overload) ||
      !weft_names_find(&b->functions, key, &i)) {
    return NULL;
  }
  return b->file->proto->functions[i];
}

static weft_status check_call(weft_builder *b, const weft_scope *scope, const Weft__NodeProto *proto,
                              const Weft__FunctionProto *function) {
  for (const weft_scope *s = scope; s != NULL; s = s->origin->caller) {
    if (s->origin->function == function) {
      return weft_fail(b->cx, WEFT_INVALID_MODEL, "function '%s' calls itself, directly or through others",
                       function->name);
    }
  }
  if (scope->depth >= b->max_depth) {
    return weft_fail(b->cx, WEFT_LIMIT_EXCEEDED, "subgraphs and functions are nested deeper than %u", b->max_depth);
  }
  if (proto->n_input > function->n_input || proto->n_output > function->n_output) {
    return weft_fail(b->cx, WEFT_INVALID_MODEL,
                     "function '%s' has %zu inputs and %zu outputs, it is called with %zu inputs and %zu outputs",
                     function->name, function->n_input, function->n_output, proto->n_input, proto->n_output);
  }
  return WEFT_OK;
}

static weft_status bind_inputs(weft_builder *b, weft_scope *caller, const Weft__NodeProto *proto, weft_scope *scope) {
  const Weft__FunctionProto *function = scope->origin->function;
  for (size_t i = 0; i < function->n_input; i++) {
    int32_t v, old;
    WEFT_TRY(weft_build_find_input(b, caller, i < proto->n_input ? proto->input[i] : NULL, &v));
    if (weft_names_find(&scope->names, function->input[i], &old)) {
      return weft_fail(b->cx, WEFT_INVALID_MODEL, "function '%s' has two inputs '%s'", function->name,
                       function->input[i]);
    }
    WEFT_TRY(weft_names_put(b->cx, &scope->names, function->input[i], v));
  }
  return WEFT_OK;
}

static weft_status bind_outputs(weft_builder *b, weft_scope *caller, const Weft__NodeProto *proto,
                                const Weft__FunctionProto *function, weft_names *outputs) {
  for (size_t i = 0; i < proto->n_output; i++) {
    int32_t v;
    if (!weft_is_empty(proto->output[i]) && weft_names_find(&caller->names, proto->output[i], &v)) {
      WEFT_TRY(weft_names_put(b->cx, outputs, function->output[i], v));
    }
  }
  return WEFT_OK;
}

/* An output that no node of the body made for the caller: an input handed through, or one value named twice. */
static weft_status finish_output(weft_builder *b, weft_scope *scope, int32_t v, const char *name) {
  weft_graph *graph = scope->graph;
  int32_t from;
  if (graph->values[v].producer != WEFT_PENDING) {
    return WEFT_OK;
  }
  if (!weft_names_find(&scope->names, name, &from) || from < 0 || from == v) {
    return weft_fail(b->cx, WEFT_INVALID_MODEL, "output '%s' of function '%s' is made by no node", name,
                     scope->origin->function->name);
  }
  weft_node *node;
  WEFT_TRY(weft_build_count_node(b));
  WEFT_TRY(weft_graph_add_node(b->model, graph, b->cx->node, "", "Identity", 1, 1, &node));
  node->version = WEFT_NEWEST_OPSET;
  node->inputs[0] = from;
  node->outputs[0] = v;
  graph->values[v].producer = (int32_t)(graph->node_count - 1);
  return WEFT_OK;
}

static weft_status write_out(weft_builder *b, weft_scope *caller, const Weft__NodeProto *proto, weft_scope *scope,
                             weft_names *outputs) {
  const Weft__FunctionProto *function = scope->origin->function;
  WEFT_TRY(bind_inputs(b, caller, proto, scope));
  WEFT_TRY(bind_outputs(b, caller, proto, function, outputs));
  WEFT_TRY(weft_build_nodes(b, scope, function->n_node, function->node));
  for (size_t i = 0; i < proto->n_output; i++) {
    int32_t v;
    if (!weft_is_empty(proto->output[i]) && weft_names_find(&caller->names, proto->output[i], &v)) {
      WEFT_TRY(finish_output(b, scope, v, function->output[i]));
    }
  }
  return WEFT_OK;
}

weft_status weft_build_call(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto,
                            const Weft__FunctionProto *function, const char *name) {
  WEFT_TRY(check_call(b, scope, proto, function));
  weft_names outputs = {0};
  const weft_origin origin = {.opset_count = function->n_opset_import,
                              .opsets = function->opset_import,
                              .function = function,
                              .call = proto,
                              .caller = scope,
                              .outputs = &outputs,
                              .prefix = name};
  weft_scope body = {.graph = scope->graph, .origin = &origin, .unsorted = scope->unsorted, .depth = scope->depth + 1};
  weft_status status = write_out(b, scope, proto, &body, &outputs);
  weft_names_free(&body.names);
  weft_names_free(&outputs);
  return status;
}
