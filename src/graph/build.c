/* One pass over a GraphProto: initializers and inputs first, then the names of all outputs, then the nodes. Because
 * every output has its slot before any node is built, nodes may come in any order; a graph found out of order is sorted
 * afterwards. Recursion (subgraphs, calls) is bounded by max_depth, work by max_nodes. */
#include "builder.h"

#include <string.h>

#include "../base/text.h"
#include "warn.h"

/* ---- names ----------------------------------------------------------------------------------- */
/* Captures value v of `from`, an ancestor of `graph` or itself, in every graph on the way. */
static weft_status capture(weft_builder *b, const weft_graph *from, weft_graph *graph, const char *name, int32_t v,
                           int32_t *out) {
  *out = v;
  if (graph == from || v == WEFT_ABSENT) {
    return WEFT_OK;
  }
  int32_t outer;
  WEFT_TRY(capture(b, from, graph->parent, name, v, &outer));
  WEFT_TRY(weft_graph_add_value(b->model, graph, name, out));
  graph->values[*out].outer = outer;
  return WEFT_OK;
}

weft_status weft_build_find(weft_builder *b, weft_scope *scope, const char *name, int32_t *out, bool *found) {
  *found = weft_names_find(&scope->names, name, out);
  if (*found) {
    if (*out >= 0 && scope->graph->values[*out].producer == WEFT_PENDING) {
      *scope->unsorted = true;
    }
    return WEFT_OK;
  }
  if (scope->parent == NULL) {
    return WEFT_OK;
  }
  int32_t outer;
  WEFT_TRY(weft_build_find(b, scope->parent, name, &outer, found));
  if (!*found) {
    return WEFT_OK;
  }
  const char *kept;
  WEFT_TRY(weft_build_keep(b, name, &kept));
  WEFT_TRY(capture(b, scope->parent->graph, scope->graph, kept, outer, out));
  return weft_names_put(b->cx, &scope->names, kept, *out);
}

weft_status weft_build_find_input(weft_builder *b, weft_scope *scope, const char *name, int32_t *out) {
  bool found = true;
  *out = WEFT_ABSENT;
  if (!weft_is_empty(name)) {
    WEFT_TRY(weft_build_find(b, scope, name, out, &found));
  }
  return found ? WEFT_OK
               : weft_fail(b->cx, WEFT_INVALID_MODEL,
                           "input '%s' is neither an input, an initializer nor the output of a node of graph '%s'",
                           name, scope->graph->name);
}

/* A new name in this scope; fails when it is already there. */
static weft_status define(weft_builder *b, weft_scope *scope, const char *name, int32_t *out) {
  const char *kept;
  int32_t old;
  if (weft_names_find(&scope->names, name, &old)) {
    return weft_fail(b->cx, WEFT_INVALID_MODEL, "value '%s' is defined twice in graph '%s'", name, scope->graph->name);
  }
  WEFT_TRY(weft_build_keep(b, name, &kept));
  WEFT_TRY(weft_graph_add_value(b->model, scope->graph, kept, out));
  return weft_names_put(b->cx, &scope->names, kept, *out);
}

/* A constant may be given again, as exporters do that write one for each use: the last is taken, as onnxruntime does. */
static bool is_given_again(const weft_scope *scope, const char *name, int32_t *v) {
  if (scope->origin->caller != NULL || !weft_names_find(&scope->names, name, v)) {
    return false;
  }
  const weft_slot *slot = &scope->graph->values[*v];
  return !slot->is_input && (slot->producer == WEFT_CONSTANT || slot->constant != NULL);
}

static weft_status give_constant(weft_builder *b, weft_slot *slot, const char *name, const char *kind,
                                 weft_value *value) {
  weft_value_release(slot->constant);
  weft_status status = slot->constant == NULL
                           ? WEFT_OK
                           : weft_model_warn(b->model, &(weft_node){.name = name, .op_type = kind},
                                             "gives a constant that is there already: the last one is taken");
  weft_slot_set_constant(slot, value);
  return status;
}

/* ---- nodes ----------------------------------------------------------------------------------- */
weft_status weft_build_count_node(weft_builder *b) {
  if (b->nodes >= b->max_nodes) {
    return weft_fail(b->cx, WEFT_LIMIT_EXCEEDED, "the model has more than %u nodes once its functions are written out",
                     b->max_nodes);
  }
  b->nodes++;
  return WEFT_OK;
}

/* "prefix/name", made of operator and position where the file has no name; cut, because functions multiply it. */
static weft_status name_node(weft_builder *b, const weft_scope *scope, const Weft__NodeProto *proto, size_t index,
                             const char **out) {
  char text[200];
  const char *prefix = scope->origin->prefix;
  const char *separator = prefix[0] != 0 ? "/" : "";
  size_t n = weft_is_empty(proto->name)
                 ? weft_print(text, sizeof text, "%.120s%s%.60s_%zu", prefix, separator, proto->op_type, index)
                 : weft_print(text, sizeof text, "%.120s%s%s", prefix, separator, proto->name);
  return weft_arena_copy_string(b->cx, &b->model->arena, text, n < sizeof text ? n : sizeof text - 1, out);
}

/* A domain that is used but not imported: the newest for the default one, which files that import only ai.onnx.ml leave
 * out. */
static int version_of(const weft_origin *origin, const char *domain) {
  for (size_t i = 0; i < origin->opset_count; i++) {
    const Weft__OperatorSetIdProto *opset = origin->opsets[i];
    if (strcmp(weft_build_domain(opset->domain), domain) == 0) {
      return opset->version < 1 ? 1 : opset->version > INT32_MAX ? INT32_MAX : (int)opset->version;
    }
  }
  if (origin->caller != NULL) {
    return version_of(origin->caller->origin, domain);
  }
  return domain[0] == 0 ? WEFT_NEWEST_OPSET : 1;
}

/* Every output has its slot since define_outputs. */
static void take_outputs(weft_scope *scope, const Weft__NodeProto *proto, int32_t number, weft_node *node) {
  for (int i = 0; i < node->output_count; i++) {
    if (!weft_is_empty(proto->output[i]) && weft_names_find(&scope->names, proto->output[i], &node->outputs[i])) {
      scope->graph->values[node->outputs[i]].producer = number;
    }
  }
}

static weft_status build_constant(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto) {
  int32_t v;
  if (proto->n_output != 1 || !weft_names_find(&scope->names, proto->output[0], &v)) {
    return weft_fail(b->cx, WEFT_INVALID_MODEL, "expected one output, found %zu", proto->n_output);
  }
  weft_value *value;
  WEFT_TRY(weft_build_constant(b, scope, proto, &value));
  return give_constant(b, &scope->graph->values[v], b->cx->node, "Constant", value);
}

static weft_status build_node(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto, const char *name) {
  const char *domain = weft_build_domain(proto->domain);
  weft_graph *graph = scope->graph;
  weft_node *node;
  if (proto->n_input > INT16_MAX * 2 || proto->n_output > INT16_MAX * 2) {
    return weft_fail(b->cx, WEFT_LIMIT_EXCEEDED, "it has %zu inputs and %zu outputs, at most %d are supported",
                     proto->n_input, proto->n_output, INT16_MAX * 2);
  }
  WEFT_TRY(weft_build_keep(b, domain, &domain));
  const char *op_type;
  WEFT_TRY(weft_build_keep(b, proto->op_type, &op_type));
  const char *overload;
  WEFT_TRY(weft_build_keep(b, proto->overload, &overload));
  WEFT_TRY(
      weft_graph_add_node(b->model, graph, name, domain, op_type, (int)proto->n_input, (int)proto->n_output, &node));
  node->overload = overload;
  node->version = version_of(scope->origin, domain);
  if (domain[0] == 0 && node->version > WEFT_NEWEST_OPSET) {
    WEFT_TRY(weft_model_warn(b->model, node, "is of a newer opset than is known here: it runs as in the newest that is"));
  }
  for (int i = 0; i < node->input_count; i++) {
    WEFT_TRY(weft_build_find_input(b, scope, proto->input[i], &node->inputs[i]));
  }
  WEFT_TRY(weft_build_attributes(b, scope, proto, graph, node));
  take_outputs(scope, proto, (int32_t)(graph->node_count - 1), node);
  return WEFT_OK;
}

static bool is_constant(const Weft__NodeProto *proto) {
  return strcmp(proto->op_type, "Constant") == 0 && weft_build_domain(proto->domain)[0] == 0;
}

static weft_status build_named_node(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto,
                                    const char *name) {
  const Weft__FunctionProto *function = weft_build_find_function(b, proto);
  if (function != NULL) {
    return weft_build_call(b, scope, proto, function, name);
  }
  if (is_constant(proto)) {
    return build_constant(b, scope, proto);
  }
  return build_node(b, scope, proto, name);
}

static weft_status define_outputs(weft_builder *b, weft_scope *scope, const Weft__NodeProto *proto) {
  const weft_names *given = scope->parent == NULL ? scope->origin->outputs : NULL;
  for (size_t i = 0; i < proto->n_output; i++) {
    const char *name = proto->output[i];
    int32_t v, old;
    if (weft_is_empty(name)) {
      continue;
    }
    if (given != NULL && weft_names_find(given, name, &v) && !weft_names_find(&scope->names, name, &old)) {
      WEFT_TRY(weft_names_put(b->cx, &scope->names, name, v)); /* a slot that the call waits for */
      continue;
    }
    bool constant = is_constant(proto);
    if (!constant || !is_given_again(scope, name, &v)) {
      WEFT_TRY(define(b, scope, name, &v));
      scope->graph->values[v].producer = constant ? WEFT_CONSTANT : WEFT_PENDING;
    }
  }
  return WEFT_OK;
}

weft_status weft_build_nodes(weft_builder *b, weft_scope *scope, size_t count, Weft__NodeProto **protos) {
  weft_context *cx = b->cx;
  const char *outer_node = cx->node, *outer_op = cx->op;
  for (size_t i = 0; i < count; i++) {
    cx->op = protos[i]->op_type;
    cx->node = weft_is_empty(protos[i]->name) ? "" : protos[i]->name;
    if (weft_is_empty(cx->op)) {
      return weft_fail(cx, WEFT_INVALID_MODEL, "node %zu of graph '%s' has no operator", i, scope->graph->name);
    }
    WEFT_TRY(define_outputs(b, scope, protos[i]));
  }
  for (size_t i = 0; i < count; i++) {
    const char *name;
    cx->op = protos[i]->op_type;
    WEFT_TRY(weft_build_count_node(b));
    WEFT_TRY(name_node(b, scope, protos[i], i, &name));
    cx->node = name;
    WEFT_TRY(build_named_node(b, scope, protos[i], name));
  }
  cx->node = outer_node;
  cx->op = outer_op;
  return WEFT_OK;
}

/* ---- inputs, initializers, outputs ----------------------------------------------------------- */
static weft_status add_initializer(weft_builder *b, weft_scope *scope, const char *name, weft_value *value) {
  int32_t v;
  weft_status status = is_given_again(scope, name, &v) ? WEFT_OK : define(b, scope, name, &v);
  if (status != WEFT_OK) {
    weft_value_release(value);
    return status;
  }
  weft_slot *slot = &scope->graph->values[v];
  return give_constant(b, slot, slot->name, "initializer", value);
}

static weft_status build_initializers(weft_builder *b, weft_scope *scope, const Weft__GraphProto *proto) {
  weft_value *value;
  for (size_t i = 0; i < proto->n_initializer; i++) {
    const Weft__TensorProto *tensor = proto->initializer[i];
    if (!weft_is_empty(tensor->name)) {
      WEFT_TRY(weft_onnx_tensor(b->file, tensor, b->model->strings, &value));
      WEFT_TRY(add_initializer(b, scope, tensor->name, value));
    }
  }
  for (size_t i = 0; i < proto->n_sparse_initializer; i++) {
    const Weft__SparseTensorProto *sparse = proto->sparse_initializer[i];
    if (sparse->values != NULL && !weft_is_empty(sparse->values->name)) {
      WEFT_TRY(weft_onnx_sparse(b->file, sparse, b->model->strings, &value));
      WEFT_TRY(add_initializer(b, scope, sparse->values->name, value));
    }
  }
  return WEFT_OK;
}

static weft_status build_input(weft_builder *b, weft_scope *scope, const Weft__ValueInfoProto *proto) {
  weft_graph *graph = scope->graph;
  int32_t v;
  if (weft_is_empty(proto->name)) {
    return weft_fail(b->cx, WEFT_INVALID_MODEL, "an input of graph '%s' has no name", graph->name);
  }
  bool has_default = weft_names_find(&scope->names, proto->name, &v) && graph->values[v].constant != NULL &&
                     !graph->values[v].is_input;
  if (has_default && !b->inputs_may_default) {
    return WEFT_OK;
  }
  if (!has_default) {
    WEFT_TRY(define(b, scope, proto->name, &v));
  }
  weft_slot *slot = &graph->values[v];
  slot->is_input = true;
  if (!has_default || proto->type != NULL) {
    WEFT_TRY(weft_build_info(b, slot->name, proto->type, &slot->info));
  }
  slot->info.optional |= has_default;
  graph->inputs[graph->input_count++] = v;
  return WEFT_OK;
}

static weft_status build_inputs(weft_builder *b, weft_scope *scope, const Weft__GraphProto *proto) {
  void *block;
  WEFT_TRY(weft_arena_alloc(b->cx, &b->model->arena, proto->n_input, sizeof(int32_t), &block));
  scope->graph->inputs = block;
  for (size_t i = 0; i < proto->n_input; i++) {
    WEFT_TRY(build_input(b, scope, proto->input[i]));
  }
  return WEFT_OK;
}

static weft_status build_outputs(weft_builder *b, weft_scope *scope, const Weft__GraphProto *proto) {
  weft_graph *graph = scope->graph;
  void *block;
  WEFT_TRY(weft_arena_alloc(b->cx, &b->model->arena, proto->n_output, sizeof(int32_t), &block));
  graph->outputs = block;
  for (size_t i = 0; i < proto->n_output; i++) {
    const char *name = proto->output[i]->name;
    bool found = false;
    int32_t v = WEFT_ABSENT;
    if (!weft_is_empty(name)) {
      WEFT_TRY(weft_build_find(b, scope, name, &v, &found));
    }
    if (!found || v == WEFT_ABSENT) {
      return weft_fail(b->cx, WEFT_INVALID_MODEL, "output '%s' of graph '%s' is made by no node",
                       name != NULL ? name : "", graph->name);
    }
    weft_slot *slot = &graph->values[v];
    if (slot->info.kind == WEFT_KIND_NONE && proto->output[i]->type != NULL) {
      WEFT_TRY(weft_build_info(b, slot->name, proto->output[i]->type, &slot->info));
    }
    graph->outputs[graph->output_count++] = v;
  }
  return WEFT_OK;
}

/* ---- graphs ---------------------------------------------------------------------------------- */
static weft_status reserve(weft_builder *b, weft_scope *scope, const Weft__GraphProto *proto) {
  size_t values = proto->n_input + proto->n_initializer + proto->n_sparse_initializer;
  for (size_t i = 0; i < proto->n_node; i++) {
    values += proto->node[i]->n_output;
  }
  WEFT_TRY(weft_names_reserve(b->cx, &scope->names, values));
  return weft_graph_reserve(b->model, scope->graph, values, proto->n_node);
}

static weft_status fill_graph(weft_builder *b, weft_scope *scope, const Weft__GraphProto *proto) {
  WEFT_TRY(reserve(b, scope, proto));
  WEFT_TRY(build_initializers(b, scope, proto));
  WEFT_TRY(build_inputs(b, scope, proto));
  WEFT_TRY(weft_build_nodes(b, scope, proto->n_node, proto->node));
  WEFT_TRY(build_outputs(b, scope, proto));
  return *scope->unsorted ? weft_graph_sort(b->model, scope->graph) : WEFT_OK;
}

weft_status weft_build_graph(weft_builder *b, const Weft__GraphProto *proto, weft_graph *parent, weft_scope *scope,
                             const weft_origin *origin, uint32_t depth, weft_graph **out) {
  if (depth > b->max_depth) {
    return weft_fail(b->cx, WEFT_LIMIT_EXCEEDED, "subgraphs and functions are nested deeper than %u", b->max_depth);
  }
  const char *name;
  WEFT_TRY(weft_build_keep(b, proto->name, &name));
  WEFT_TRY(weft_graph_create(b->model, parent, name, out));
  bool unsorted = false;
  weft_scope inner = {.graph = *out, .parent = scope, .origin = origin, .unsorted = &unsorted, .depth = depth};
  weft_status status = fill_graph(b, &inner, proto);
  weft_names_free(&inner.names);
  return status;
}

static weft_status build_model(weft_builder *b) {
  const Weft__ModelProto *proto = b->file->proto;
  const weft_origin origin = {.opset_count = proto->n_opset_import, .opsets = proto->opset_import, .prefix = ""};
  WEFT_TRY(weft_strings_create(b->cx, &b->model->strings));
  WEFT_TRY(weft_build_index_functions(b));
  return weft_build_graph(b, proto->graph, NULL, NULL, &origin, 0, &b->model->graph);
}

weft_status weft_graph_build(weft_context *cx, weft_onnx_model *file, const weft_options *options, weft_model **out) {
  *out = NULL;
  if (file->proto == NULL || file->proto->graph == NULL) {
    return weft_fail(cx, WEFT_INVALID_MODEL, "the model has no graph");
  }
  void *block;
  WEFT_TRY(weft_alloc_zeroed(cx, 1, sizeof(weft_model), &block));
  weft_model *model = block;
  model->cx = cx;
  const char *producer = file->proto->producer_name;
  model->from_pytorch = producer != NULL && strcmp(producer, "pytorch") == 0;
  weft_builder b = {.cx = cx,
                    .file = file,
                    .model = model,
                    .max_nodes = options->max_nodes,
                    .max_depth = options->max_depth,
                    .inputs_may_default = file->proto->ir_version >= 4};
  weft_status status = build_model(&b);
  weft_names_free(&b.kept);
  weft_names_free(&b.functions);
  cx->node = NULL;
  cx->op = NULL;
  if (status != WEFT_OK) {
    weft_model_destroy(model);
    return status;
  }
  *out = model;
  return WEFT_OK;
}
