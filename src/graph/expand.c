/* Operators that have no rule of their own for their derivative: they become, on the way to it, the formula that they
 * stand for, whose operators have one. Only graphs with a Gradient node are changed so. */
#include <string.h>

#include "build.h"
#include "derive.h"
#include "gradient.h"

/* Some dimensions of a letter's shape. */
#define DIMS(letter, from, to) letter " Shape [" from "] [" to "] Slice/3 "
/* x is normalised along `axes`, in place; m and v: its mean and its variance. */
#define NORMALISE(axes)                                                                                                \
  "x " axes " ReduceMean/2 m= x m - x= x x * " axes " ReduceMean/2 v= x v @epsilon:0.00001 + Sqrt / "
/* [N, C, rest] times b and plus c by channel, as a was. */
#define BY_CHANNEL "b [-1,1] Reshape/2 * c [-1,1] Reshape/2 + a Shape Reshape/2"
/* 0, 1, ... for each of a letter's dimension. */
#define PLACES(letter, from, to) "[1] " DIMS(letter, from, to) "Expand/2 NonZero "

typedef struct expansion {
  weft_term term;
  weft_node node; /* a copy: adding nodes moves them */
} expansion;

static bool has(const expansion *e, int i) {
  return i < e->node.input_count && e->node.inputs[i] >= 0;
}

static bool wants(const expansion *e, int o) {
  return o < e->node.output_count && e->node.outputs[o] >= 0;
}

static weft_status let(expansion *e, char letter, const char *formula) {
  return weft_term_let(&e->term, letter, formula);
}

/* Output o of the node is what the formula leaves. */
static weft_status give(expansion *e, int o, const char *formula) {
  weft_node *made;
  int32_t v;
  if (!wants(e, o)) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_term_derive(&e->term, formula, &v));
  WEFT_TRY(weft_graph_add_node(e->term.model, e->term.graph, e->term.name, "", "Identity", 1, 1, &made));
  made->inputs[0] = v;
  made->outputs[0] = e->node.outputs[o];
  return WEFT_OK;
}

/* ---- normalisation, dropout ------------------------------------------------------------------------------------- */
static weft_status batch_norm(expansion *e) {
  WEFT_TRY(let(e, 'x', "a [0,0,-1] Reshape/2"));
  WEFT_TRY(give(e, 0, NORMALISE("[0,2]") BY_CHANNEL));
  WEFT_TRY(give(e, 1, "d @momentum:0.9 * m [-1] Reshape/2 1 @momentum:0.9 - * +"));
  return give(e, 2, "e @momentum:0.9 * v [-1] Reshape/2 1 @momentum:0.9 - * +");
}

static weft_status group_norm(expansion *e) {
  WEFT_TRY(let(e, 'x', "a [0,@num_groups:1,-1] Reshape/2"));
  return give(e, 0, NORMALISE("[2]") DIMS("a", "0", "2") "[-1] Concat/2{axis=0} Reshape/2 " BY_CHANNEL);
}

static weft_status instance_norm(expansion *e) {
  WEFT_TRY(let(e, 'x', "a [0,0,-1] Reshape/2"));
  return give(e, 0, NORMALISE("[2]") BY_CHANNEL);
}

/* What ones become is what the elements are multiplied by. */
static weft_status dropout(expansion *e) {
  if (!has(e, 1)) {
    WEFT_TRY(let(e, 'b', "0.5"));
  }
  WEFT_TRY(let(e, 'm', "1 a Shape Expand/2 b c Dropout/3{seed=@seed}"));
  WEFT_TRY(give(e, 0, "a m *"));
  return give(e, 1, "m Cast{to=9}");
}

/* ---- attention -------------------------------------------------------------------------------------------------- */
/* Without a cache. g: queries by key head, s: scores. */
static weft_status attention(expansion *e) {
  weft_term *t = &e->term;
  bool flat = weft_node_attribute(&e->node, "q_num_heads") != NULL;
  if (has(e, 4) || has(e, 5) || has(e, 6) || wants(e, 1) || wants(e, 2) || wants(e, 3)) {
    return weft_term_unknown(t, " with a cache");
  }
  if (flat) {
    WEFT_TRY(let(e, 'a', "a [0,0,@q_num_heads,-1] Reshape/2 Einsum{equation='bsnh->bnsh'}"));
    WEFT_TRY(let(e, 'b', "b [0,0,@kv_num_heads,-1] Reshape/2 Einsum{equation='bsnh->bnsh'}"));
    WEFT_TRY(let(e, 'c', "c [0,0,@kv_num_heads,-1] Reshape/2 Einsum{equation='bsnh->bnsh'}"));
  }
  WEFT_TRY(let(e, 'g', "a " DIMS("b", "0", "2") "[-1] " DIMS("a", "2", "4") "Concat/3{axis=0} Reshape/2"));
  WEFT_TRY(let(e, 's', "g b Einsum/2{equation='bkgsd,bktd->bkgst'}"));
  WEFT_TRY(let(e, 's',
               weft_node_attribute(&e->node, "scale") != NULL ? "s @scale:1 *"
                                                              : "s " DIMS("a", "3", "4") "a CastLike/2 Sqrt /"));
  WEFT_TRY(let(e, 'p', "s Shape"));
  WEFT_TRY(let(e, 's', "s " DIMS("a", "0", "3") DIMS("b", "2", "3") "Concat/2{axis=0} Reshape/2"));
  const weft_attribute *cap = weft_node_attribute(&e->node, "softcap");
  if (cap != NULL && cap->kind == WEFT_ATTRIBUTE_FLOAT && cap->f != 0) {
    WEFT_TRY(let(e, 's', "s @softcap:1 / Tanh @softcap:1 *"));
  }
  if (has(e, 3)) {
    const weft_value *constant = weft_graph_constant(t->graph, e->node.inputs[3]);
    weft_type type = constant != NULL ? constant->tensor.type : t->graph->values[e->node.inputs[3]].info.type;
    if (type == WEFT_UNDEFINED) {
      return weft_term_unknown(t, " with a mask whose type is not declared");
    }
    WEFT_TRY(let(e, 's', type == WEFT_BOOL ? "d s -1000000000 Where/3" : "s d +"));
  }
  if (weft_term_int(t, "is_causal", 0) != 0) {
    WEFT_TRY(
        let(e, 's', PLACES("s", "3", "4") PLACES("s", "2", "3") "[-1,1] Reshape/2 Greater/2 -1000000000 s Where/3"));
  }
  WEFT_TRY(let(e, 'y',
               "s Softmax p Reshape/2 c Einsum/2{equation='bkgst,bktv->bkgsv'} " DIMS("a", "0", "3")
                   DIMS("c", "3", "4") "Concat/2{axis=0} Reshape/2"));
  return give(e, 0, flat ? "y Einsum{equation='bnsh->bsnh'} [0,0,-1] Reshape/2" : "y");
}

/* ---- the table -------------------------------------------------------------------------------------------------- */
typedef weft_status (*expand_function)(expansion *e);

/* NULL for operators that have a rule, and for nodes without inputs that they need: those are told of elsewhere. */
static expand_function find(const weft_node *node) {
  static const struct {
    const char *op_type;
    int inputs;
    expand_function write;
  } table[] = {{"Attention", 3, attention},
               {"BatchNormalization", 5, batch_norm},
               {"Dropout", 1, dropout},
               {"GroupNormalization", 3, group_norm},
               {"InstanceNormalization", 3, instance_norm}};
  const weft_attribute *training = weft_node_attribute(node, "training_mode");
  for (size_t i = 0; i < sizeof table / sizeof *table && node->domain[0] == 0; i++) {
    if (strcmp(table[i].op_type, node->op_type) != 0) {
      continue;
    }
    bool expands = table[i].write == batch_norm
                       ? training != NULL && training->kind == WEFT_ATTRIBUTE_INT && training->i != 0
                   : table[i].write == dropout ? node->input_count > 2 && node->inputs[2] >= 0
                                               : true;
    for (int k = 0; k < table[i].inputs; k++) {
      expands = expands && k < node->input_count && node->inputs[k] >= 0;
    }
    return expands ? table[i].write : NULL;
  }
  return NULL;
}

weft_status weft_graph_expand(weft_model *model, weft_graph *graph, uint32_t max_nodes) {
  size_t nodes = graph->node_count, kept = 0;
  for (size_t n = 0; n < nodes; n++) {
    expand_function write = find(&graph->nodes[n]);
    if (write == NULL) {
      continue;
    }
    expansion e = {.node = graph->nodes[n]};
    e.term = (weft_term){.model = model, .graph = graph, .max_nodes = max_nodes, .name = e.node.name};
    weft_term_begin_forward(&e.term, &e.node);
    model->cx->node = e.node.name;
    model->cx->op = e.node.op_type;
    WEFT_TRY(write(&e));
    weft_node_discard(&graph->nodes[n]);
    graph->nodes[n].op_type = NULL; /* gone */
  }
  model->cx->node = NULL;
  for (size_t n = 0; n < graph->node_count; n++) {
    if (graph->nodes[n].op_type != NULL) {
      graph->nodes[kept++] = graph->nodes[n];
    }
  }
  if (kept == graph->node_count) {
    return WEFT_OK;
  }
  graph->node_count = kept;
  weft_graph_number_producers(graph);
  return weft_graph_sort(model, graph);
}
