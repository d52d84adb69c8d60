/* weft inspect: what is in a model and whether it runs. It reads the file's own messages, so that a model can be looked
 * into that cannot run; whether it does is found out by loading it. */
#include "../src/onnx/loader.h"
#include "../src/ops/op.h"
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct inspection {
  weft_onnx_model *model;
  const Weft__ModelProto *proto;
  const Weft__NodeProto **nodes; /* of all graphs and functions, sorted by operator */
  size_t node_count, node_room;
  size_t tensors, external; /* initializers of all graphs */
  uint64_t elements, bytes;
  bool runs;
  char why[sizeof((weft_error *)0)->message];
} inspection;

static const char *text_of(const char *text) {
  return text != NULL ? text : "";
}

/* The default domain has two names. */
static const char *domain_of(const char *domain) {
  return domain == NULL || domain[0] == 0 ? "ai.onnx" : domain;
}

/* ---- collecting -------------------------------------------------------------------------------------------------- */
static bool collect_graph(weft_cli *cli, inspection *in, const Weft__GraphProto *graph);

static bool collect_nodes(weft_cli *cli, inspection *in, size_t count, Weft__NodeProto **nodes) {
  if (count > in->node_room - in->node_count) {
    size_t room = in->node_count + count + in->node_room;
    const Weft__NodeProto **grown = realloc(in->nodes, room * sizeof *grown);
    if (grown == NULL) {
      return weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for %zu nodes", room);
    }
    in->nodes = grown;
    in->node_room = room;
  }
  for (size_t i = 0; i < count; i++) {
    in->nodes[in->node_count++] = nodes[i];
  }
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < nodes[i]->n_attribute; k++) {
      const Weft__AttributeProto *a = nodes[i]->attribute[k];
      bool good = a->g == NULL || collect_graph(cli, in, a->g);
      for (size_t j = 0; good && j < a->n_graphs; j++) {
        good = collect_graph(cli, in, a->graphs[j]);
      }
      if (!good) {
        return false;
      }
    }
  }
  return true;
}

static bool collect_graph(weft_cli *cli, inspection *in, const Weft__GraphProto *graph) {
  for (size_t i = 0; i < graph->n_initializer; i++) {
    weft_tensor shape;
    size_t bytes;
    if (weft_onnx_tensor_shape(in->model, graph->initializer[i], &shape, &bytes) != WEFT_OK) {
      return false;
    }
    in->tensors++;
    in->elements += shape.count;
    in->bytes += bytes;
    in->external += graph->initializer[i]->data_location == WEFT__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  }
  return collect_nodes(cli, in, graph->n_node, graph->node);
}

static int compare_nodes(const void *a, const void *b) {
  const Weft__NodeProto *x = *(const Weft__NodeProto *const *)a, *y = *(const Weft__NodeProto *const *)b;
  int order = strcmp(domain_of(x->domain), domain_of(y->domain));
  return order != 0 ? order : strcmp(text_of(x->op_type), text_of(y->op_type));
}

static bool collect(weft_cli *cli, inspection *in) {
  bool good = collect_graph(cli, in, in->proto->graph);
  for (size_t i = 0; good && i < in->proto->n_functions; i++) {
    good = collect_nodes(cli, in, in->proto->functions[i]->n_node, in->proto->functions[i]->node);
  }
  if (good && in->node_count > 0) {
    weft_sort(in->nodes, in->node_count, sizeof *in->nodes, compare_nodes);
  }
  return good;
}

static bool is_function(const inspection *in, const Weft__NodeProto *node) {
  for (size_t i = 0; i < in->proto->n_functions; i++) {
    const Weft__FunctionProto *f = in->proto->functions[i];
    if (strcmp(text_of(f->name), text_of(node->op_type)) == 0 &&
        strcmp(domain_of(f->domain), domain_of(node->domain)) == 0) {
      return true;
    }
  }
  return false;
}

/* Asked only of models that do not run: in others every operator is known. */
static bool is_known(const inspection *in, const Weft__NodeProto *node) {
  return in->runs || is_function(in, node) || weft_op_find(text_of(node->domain), text_of(node->op_type)) != NULL;
}

/* The end of the run of nodes with the operator of node i. */
static size_t next_operator(const inspection *in, size_t i) {
  size_t end = i + 1;
  while (end < in->node_count && compare_nodes(&in->nodes[i], &in->nodes[end]) == 0) {
    end++;
  }
  return end;
}

/* ---- types ------------------------------------------------------------------------------------------------------- */
static void print_shape(const Weft__TensorShapeProto *shape) {
  if (shape == NULL) {
    return;
  }
  weft_cli_say(stdout, " [");
  for (size_t i = 0; i < shape->n_dim; i++) {
    const Weft__TensorShapeProto__Dimension *dim = shape->dim[i];
    weft_cli_say(stdout, "%s", i > 0 ? "," : "");
    if (dim->value_case == WEFT__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
      weft_cli_say(stdout, "%" PRId64, dim->dim_value);
    } else if (dim->value_case == WEFT__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM) {
      weft_cli_name(stdout, dim->dim_param);
    } else {
      putchar('?');
    }
  }
  weft_cli_say(stdout, "]");
}

static const char *type_name(int32_t type) {
  return weft_type_is_valid(type) ? weft_type_name((weft_type)type) : "undefined";
}

/* As deep as the walker lets types nest. */
static void print_type(const Weft__TypeProto *type) {
  switch (type != NULL ? type->value_case : WEFT__TYPE_PROTO__VALUE__NOT_SET) {
  case WEFT__TYPE_PROTO__VALUE_TENSOR_TYPE:
    weft_cli_say(stdout, "%s", type_name(type->tensor_type->elem_type));
    print_shape(type->tensor_type->shape);
    return;
  case WEFT__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
    weft_cli_say(stdout, "sparse %s", type_name(type->sparse_tensor_type->elem_type));
    print_shape(type->sparse_tensor_type->shape);
    return;
  case WEFT__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
    weft_cli_say(stdout, "sequence(");
    print_type(type->sequence_type->elem_type);
    break;
  case WEFT__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
    weft_cli_say(stdout, "optional(");
    print_type(type->optional_type->elem_type);
    break;
  case WEFT__TYPE_PROTO__VALUE_MAP_TYPE:
    weft_cli_say(stdout, "map(%s, ", type_name(type->map_type->key_type));
    print_type(type->map_type->value_type);
    break;
  case WEFT__TYPE_PROTO__VALUE_OPAQUE_TYPE:
    weft_cli_say(stdout, "opaque(");
    break;
  default:
    weft_cli_say(stdout, "(unknown");
  }
  weft_cli_say(stdout, ")");
}

/* ---- as text ----------------------------------------------------------------------------------------------------- */
static void print_values(const char *title, size_t count, Weft__ValueInfoProto **values) {
  weft_cli_say(stdout, "%s\n", title);
  for (size_t i = 0; i < count; i++) {
    weft_cli_say(stdout, "  ");
    weft_cli_name(stdout, text_of(values[i]->name));
    weft_cli_say(stdout, ": ");
    print_type(values[i]->type);
    weft_cli_say(stdout, "\n");
  }
}

static void print_text(const inspection *in) {
  const Weft__ModelProto *m = in->proto;
  weft_cli_say(stdout, "producer  ");
  weft_cli_name(stdout, text_of(m->producer_name));
  weft_cli_say(stdout, "\nopsets   ");
  for (size_t i = 0; i < m->n_opset_import; i++) {
    putchar(' ');
    weft_cli_name(stdout, domain_of(m->opset_import[i]->domain));
    weft_cli_say(stdout, " %" PRId64, m->opset_import[i]->version);
  }
  weft_cli_say(stdout, " (IR version %" PRId64 ")\n", m->ir_version);
  print_values("inputs", m->graph->n_input, m->graph->input);
  print_values("outputs", m->graph->n_output, m->graph->output);
  weft_cli_say(stdout, "weights   %zu tensors, %" PRIu64 " elements, %" PRIu64 " bytes, %zu in other files\n",
               in->tensors, in->elements, in->bytes, in->external);
  weft_cli_say(stdout, "nodes     %zu\n", in->node_count);
  for (size_t i = 0; i < in->node_count;) {
    size_t end = next_operator(in, i);
    const char *domain = domain_of(in->nodes[i]->domain);
    weft_cli_say(stdout, "  %6zu  ", end - i);
    if (strcmp(domain, "ai.onnx") != 0) {
      weft_cli_name(stdout, domain);
      putchar(':');
    }
    weft_cli_name(stdout, text_of(in->nodes[i]->op_type));
    weft_cli_say(stdout, "%s\n", is_known(in, in->nodes[i]) ? "" : "  (not in this build)");
    i = end;
  }
  weft_cli_say(stdout, "runs      %s%s\n", in->runs ? "yes" : "no: ", in->runs ? "" : in->why);
}

/* ---- as JSON ----------------------------------------------------------------------------------------------------- */
static void json_dims(const Weft__TensorShapeProto *shape) {
  weft_cli_say(stdout, ", \"shape\": [");
  for (size_t i = 0; i < shape->n_dim; i++) {
    const Weft__TensorShapeProto__Dimension *dim = shape->dim[i];
    weft_cli_say(stdout, "%s", i > 0 ? ", " : "");
    if (dim->value_case == WEFT__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
      weft_cli_say(stdout, "%" PRId64, dim->dim_value);
    } else if (dim->value_case == WEFT__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM) {
      weft_cli_json(stdout, dim->dim_param);
    } else {
      weft_cli_say(stdout, "null");
    }
  }
  weft_cli_say(stdout, "]");
}

static void json_type(const Weft__TypeProto *type) {
  switch (type != NULL ? type->value_case : WEFT__TYPE_PROTO__VALUE__NOT_SET) {
  case WEFT__TYPE_PROTO__VALUE_TENSOR_TYPE:
    weft_cli_say(stdout, "\"kind\": \"tensor\", \"type\": \"%s\"", type_name(type->tensor_type->elem_type));
    if (type->tensor_type->shape != NULL) {
      json_dims(type->tensor_type->shape);
    }
    return;
  case WEFT__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
    weft_cli_say(stdout, "\"kind\": \"sequence\", \"of\": {");
    json_type(type->sequence_type->elem_type);
    break;
  case WEFT__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
    weft_cli_say(stdout, "\"kind\": \"optional\", \"of\": {");
    json_type(type->optional_type->elem_type);
    break;
  case WEFT__TYPE_PROTO__VALUE_MAP_TYPE:
    weft_cli_say(stdout, "\"kind\": \"map\", \"key\": \"%s\", \"of\": {", type_name(type->map_type->key_type));
    json_type(type->map_type->value_type);
    break;
  default:
    weft_cli_say(stdout, "\"kind\": \"unknown\"");
    return;
  }
  weft_cli_say(stdout, "}");
}

static void json_values(const char *title, size_t count, Weft__ValueInfoProto **values) {
  weft_cli_say(stdout, "  \"%s\": [", title);
  for (size_t i = 0; i < count; i++) {
    weft_cli_say(stdout, "%s\n    {\"name\": ", i > 0 ? "," : "");
    weft_cli_json(stdout, text_of(values[i]->name));
    weft_cli_say(stdout, ", ");
    json_type(values[i]->type);
    weft_cli_say(stdout, "}");
  }
  weft_cli_say(stdout, "],\n");
}

static void json_operators(const inspection *in) {
  weft_cli_say(stdout, "  \"nodes\": %zu,\n  \"operators\": [", in->node_count);
  for (size_t i = 0; i < in->node_count;) {
    size_t end = next_operator(in, i);
    weft_cli_say(stdout, "%s\n    {\"domain\": ", i > 0 ? "," : "");
    weft_cli_json(stdout, domain_of(in->nodes[i]->domain));
    weft_cli_say(stdout, ", \"name\": ");
    weft_cli_json(stdout, text_of(in->nodes[i]->op_type));
    weft_cli_say(stdout, ", \"count\": %zu, \"supported\": %s}", end - i,
                 is_known(in, in->nodes[i]) ? "true" : "false");
    i = end;
  }
  weft_cli_say(stdout, "],\n");
}

static void print_json(const inspection *in) {
  const Weft__ModelProto *m = in->proto;
  weft_cli_say(stdout, "{\n  \"ir_version\": %" PRId64 ",\n  \"producer\": ", m->ir_version);
  weft_cli_json(stdout, text_of(m->producer_name));
  weft_cli_say(stdout, ",\n  \"producer_version\": ");
  weft_cli_json(stdout, text_of(m->producer_version));
  weft_cli_say(stdout, ",\n  \"opsets\": {");
  for (size_t i = 0; i < m->n_opset_import; i++) {
    weft_cli_say(stdout, "%s", i > 0 ? ", " : "");
    weft_cli_json(stdout, domain_of(m->opset_import[i]->domain));
    weft_cli_say(stdout, ": %" PRId64, m->opset_import[i]->version);
  }
  weft_cli_say(stdout, "},\n");
  json_values("inputs", m->graph->n_input, m->graph->input);
  json_values("outputs", m->graph->n_output, m->graph->output);
  weft_cli_say(stdout,
               "  \"weights\": {\"tensors\": %zu, \"elements\": %" PRIu64 ", \"bytes\": %" PRIu64
               ", \"external\": %zu},\n",
               in->tensors, in->elements, in->bytes, in->external);
  json_operators(in);
  weft_cli_say(stdout, "  \"runs\": %s,\n  \"reason\": ", in->runs ? "true" : "false");
  weft_cli_json(stdout, in->why);
  weft_cli_say(stdout, "\n}\n");
}

/* ---- the command ------------------------------------------------------------------------------------------------- */
/* A file is read again; what came from standard input is in `given`. */
static bool push(weft_cli *cli, weft_loader *loader, const char *path, const weft_cli_bytes *given) {
  if (given->data == NULL) {
    return weft_loader_push_file(loader, path, &cli->error) == WEFT_OK;
  }
  return weft_loader_push(loader, given->data, given->size, &cli->error) == WEFT_OK &&
         weft_loader_finish(loader, &cli->error) == WEFT_OK;
}

static void try_to_load(weft_cli *cli, const char *path, const weft_cli_bytes *given, inspection *in) {
  weft_session *session;
  weft_loader *loader;
  if (weft_loader_create(NULL, &loader, &cli->error) == WEFT_OK) {
    if (!push(cli, loader, path, given) || weft_loader_read_external(loader, path, &cli->error) != WEFT_OK) {
      weft_loader_destroy(loader);
    } else {
      in->runs = weft_session_create(loader, &session, &cli->error) == WEFT_OK;
    }
  }
  if (in->runs) {
    weft_cli_warn(session);
    weft_session_destroy(session);
  } else {
    weft_print(in->why, sizeof in->why, "%s", cli->error.message);
  }
}

static bool inspect_file(weft_cli *cli, const char *path, bool json) {
  weft_loader *loader;
  inspection in = {0};
  weft_cli_bytes given = {0};
  if (strcmp(path, "-") == 0 && !weft_cli_read(cli, path, &given)) {
    return false;
  }
  try_to_load(cli, path, &given, &in); /* before the loader, so that the weights are in memory once */
  if (weft_loader_create(NULL, &loader, &cli->error) != WEFT_OK) {
    free(given.data);
    return false;
  }
  bool good = push(cli, loader, path, &given);
  free(given.data);
  if (good) {
    in.model = &loader->model;
    in.proto = loader->model.proto;
    loader->cx.error = &cli->error;
    good = collect(cli, &in);
  }
  if (good && json) {
    print_json(&in);
  } else if (good) {
    print_text(&in);
  }
  free(in.nodes);
  weft_loader_destroy(loader);
  return good;
}

static int inspect(weft_cli *cli, int argc, char **argv) {
  weft_cli_list operands = {0};
  bool json = false;
  const weft_cli_option options[] = {{"--json", WEFT_CLI_FLAG, &json, NULL, "print JSON"}};
  int code = weft_cli_parse(cli, &weft_cli_inspect, options, 1, argc, argv, &operands, true);
  if (code < 0) {
    code = inspect_file(cli, operands.items[0], json) ? WEFT_CLI_OK : weft_cli_report(cli);
  }
  weft_cli_free_list(&operands);
  return code;
}

const weft_cli_command weft_cli_inspect = {"inspect", "MODEL", "Show what is in a model and whether it runs.", inspect};
