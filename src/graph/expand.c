/* Operators that have no rule of their own for their derivative: they become, on the way to it, the formula that they
 * stand for, whose operators have one. Only graphs with a Gradient node are changed so. */
#include <string.h>

#include "../base/text.h"
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

static weft_status lp_norm(expansion *e) {
  return give(e, 0,
              weft_node_int(&e->node, "p", 2) == 1 ? "a a [@axis:-1] ReduceL1/2 /" : "a a [@axis:-1] ReduceL2/2 /");
}

/* Mean and variance over some axes; the square root is of the variance alone. */
static weft_status mean_variance_norm(expansion *e) {
  const weft_attribute *axes = weft_node_attribute(&e->node, "axes");
  WEFT_TRY(let(e, 'r', "[0,2,3]"));
  if (axes != NULL && axes->kind == WEFT_ATTRIBUTE_INTS) {
    WEFT_TRY(weft_term_list(&e->term, 'r', axes->count, axes->ints));
  }
  return give(e, 0, "a a r ReduceMean/2 - x= x x x * r ReduceMean/2 Sqrt 0.000000001 + /");
}

/* m: which channels are added for each, a band of ones around the diagonal. */
static weft_status lrn(expansion *e) {
  WEFT_TRY(let(e, 'r', PLACES("a", "1", "2")));
  WEFT_TRY(let(e, 'm',
               "r r [-1,1] Reshape/2 - m= m [@size:1] [2] / Greater/2 m Neg [@size:1] [1] - [2] / Greater/2 "
               "Or/2 Not a CastLike/2"));
  return give(e, 0,
              "a m a a * Einsum/2{equation='dc,nc...->nd...'} @alpha:0.0001 [@size:1] a CastLike/2 / * @bias:1 + "
              "@beta:0.75 ^ /");
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
  if (weft_node_float(&e->node, "softcap", 0) != 0) {
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
  if (weft_node_int(t->node, "is_causal", 0) != 0) {
    WEFT_TRY(
        let(e, 's', PLACES("s", "3", "4") PLACES("s", "2", "3") "[-1,1] Reshape/2 Greater/2 -1000000000 s Where/3"));
  }
  WEFT_TRY(let(e, 'y',
               "s Softmax p Reshape/2 c Einsum/2{equation='bkgst,bktv->bkgsv'} " DIMS("a", "0", "3")
                   DIMS("c", "3", "4") "Concat/2{axis=0} Reshape/2"));
  return give(e, 0, flat ? "y Einsum{equation='bnsh->bsnh'} [0,0,-1] Reshape/2" : "y");
}

/* ---- recurrent layers ------------------------------------------------------------------------------------------- */
enum { MOST_STEPS = 1000 };

/* Their steps, one behind the other. Letters: n: how wide the state is, w, r, k, j, p: one direction's weights, biases
 * and peepholes, s, t: its state and cell, u: a step's input, z, y: what gates get of that and of the state, i, m, o, q:
 * gates, l: states so far; x, e, v: all directions' states of every step, last states, last cells. */
typedef struct layer {
  int gates, directions;
  int64_t steps;
  const char *activations[6];
} layer;

static const char *const gate_of[] = {"[0] n [1] Slice/4 ", "n n [2] * [1] Slice/4 ", "n [2] * n [3] * [1] Slice/4 ",
                                      "n [3] * n [4] * [1] Slice/4 "};
/* What a gate gets of the cell. */
static const char *const peep_of[] = {"p [0] n [0] Slice/4 t * + ", "p n n [2] * [0] Slice/4 t * + ",
                                      "p n [2] * n [3] * [0] Slice/4 t * + "};

static int functions_of(const layer *l) {
  return l->gates == 1 ? 1 : l->gates - 1;
}

/* Only functions that are operators with nothing to set. */
static bool read_activations(const weft_node *node, layer *l) {
  static const char *const known[] = {"Sigmoid", "Tanh", "Relu", "Softplus", "Softsign"};
  const weft_attribute *list = weft_node_attribute(node, "activations");
  int each = functions_of(l), count = each * l->directions;
  if (list != NULL && (list->kind != WEFT_ATTRIBUTE_STRINGS || list->count != (size_t)count)) {
    return false;
  }
  for (int i = 0; i < count; i++) {
    const char *asked = list != NULL ? list->strings[i].data : i % each == 0 && each > 1 ? "Sigmoid" : "Tanh";
    l->activations[i] = NULL;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
      l->activations[i] = strcmp(asked, known[k]) == 0 ? known[k] : l->activations[i];
    }
    if (l->activations[i] == NULL) {
      return false;
    }
  }
  return true;
}

/* Whether the steps can be written one behind the other: how many there are is declared, and all are alike. */
static bool read_layer(const weft_graph *graph, const weft_node *node, layer *l) {
  const weft_term t = {.node = node};
  const weft_info *x = &graph->values[node->inputs[0]].info;
  l->gates = strcmp(node->op_type, "LSTM") == 0 ? 4 : strcmp(node->op_type, "GRU") == 0 ? 3 : 1;
  l->directions = weft_term_is_string(&t, "direction", "bidirectional") ? 2 : 1;
  l->steps = x->rank == 3 ? x->dims[0] : 0;
  return l->steps > 0 && l->steps <= MOST_STEPS && (node->input_count < 5 || node->inputs[4] < 0) &&
         read_activations(node, l) && weft_node_int(node, "layout", 0) == 0 &&
         weft_node_int(node, "input_forget", 0) == 0 && weft_node_attribute(node, "clip") == NULL;
}

/* A formula in parts, each with a blank behind it; the last is an operator. */
static weft_status let_parts(expansion *e, char letter, const char *a, const char *b, const char *c, const char *last) {
  char text[128];
  weft_print(text, sizeof text, "%s%s%s%s", a, b, c, last);
  return let(e, letter, text);
}

/* Item `i` of a letter's first dimension. */
static weft_status let_item(expansion *e, char letter, char from, int64_t i) {
  char text[96];
  weft_print(text, sizeof text, "%c [%lld] [%lld] [0] Slice/4 [0] Squeeze/2", from, (long long)i, (long long)i + 1);
  return let(e, letter, text);
}

static weft_status begin_direction(expansion *e, const layer *l, int d) {
  static const char none[] = "0 " DIMS("a", "1", "2") "n Concat/2{axis=0} Expand/2";
  const int64_t gates = l->gates;
  WEFT_TRY(let_item(e, 'w', 'b', d));
  WEFT_TRY(let_item(e, 'r', 'c', d));
  WEFT_TRY(weft_term_list(&e->term, 'm', 1, &gates));
  WEFT_TRY(let(e, 'm', "n m *"));
  WEFT_TRY(has(e, 3) ? let_item(e, 'k', 'd', d) : let(e, 'k', "0 m [2] * Expand/2"));
  WEFT_TRY(let(e, 'j', "k m m [2] * [0] Slice/4"));
  WEFT_TRY(let(e, 'k', "k [0] m [0] Slice/4"));
  WEFT_TRY(has(e, 5) ? let_item(e, 's', 'f', d) : let(e, 's', none));
  WEFT_TRY(has(e, 6) ? let_item(e, 't', 'g', d) : let(e, 't', none));
  return has(e, 7) ? let_item(e, 'p', 'h', d) : WEFT_OK;
}

/* The next state. */
static weft_status step(expansion *e, const layer *l, const char *const *active) {
  const char *none = "";
  bool peeps = has(e, 7), resets_after = weft_node_int(e->term.node, "linear_before_reset", 0) != 0;
  WEFT_TRY(let(e, 'z', "u w k Gemm/3{transB=1}"));
  WEFT_TRY(let(e, 'y', "s r j Gemm/3{transB=1}"));
  WEFT_TRY(let(e, 'u', "z y +"));
  if (l->gates == 1) {
    return let_parts(e, 's', "u ", none, none, active[0]);
  }
  WEFT_TRY(let_parts(e, 'i', "u ", gate_of[0], peeps ? peep_of[0] : none, active[0]));
  if (l->gates == 3) {
    WEFT_TRY(let_parts(e, 'm', "u ", gate_of[1], none, active[0]));
    WEFT_TRY(resets_after ? let_parts(e, 'o', "m y ", gate_of[2], none, "*")
                          : let(e, 'o',
                                "m s * r n [2] * n [3] * [0] Slice/4 j n [2] * n [3] * [0] Slice/4 "
                                "Gemm/3{transB=1}"));
    WEFT_TRY(let_parts(e, 'q', "z ", gate_of[2], "o + ", active[1]));
    return let(e, 's', "s q - i * q +");
  }
  WEFT_TRY(let_parts(e, 'm', "u ", gate_of[2], peeps ? peep_of[2] : none, active[0]));
  WEFT_TRY(let_parts(e, 'q', "u ", gate_of[3], none, active[1]));
  WEFT_TRY(let(e, 't', "m t * i q * +"));
  WEFT_TRY(let_parts(e, 'o', "u ", gate_of[1], peeps ? peep_of[1] : none, active[0]));
  WEFT_TRY(let_parts(e, 's', "t ", none, none, active[2]));
  return let(e, 's', "o s *");
}

static weft_status recurrent(expansion *e) {
  layer l;
  (void)read_layer(e->term.graph, &e->node, &l); /* find has asked */
  WEFT_TRY(let(e, 'n', DIMS("c", "2", "3")));
  for (int d = 0; d < l.directions; d++) {
    bool reverse = d == 1 || weft_term_is_string(&e->term, "direction", "reverse");
    WEFT_TRY(begin_direction(e, &l, d));
    for (int64_t k = 0; k < l.steps; k++) {
      WEFT_TRY(let_item(e, 'u', 'a', reverse ? l.steps - 1 - k : k));
      WEFT_TRY(step(e, &l, l.activations + d * functions_of(&l)));
      if (wants(e, 0)) {
        WEFT_TRY(let(e, 'l',
                     k == 0    ? "s [0,1] Unsqueeze/2"
                     : reverse ? "s [0,1] Unsqueeze/2 l Concat/2{axis=0}"
                               : "l s [0,1] Unsqueeze/2 Concat/2{axis=0}"));
      }
    }
    if (wants(e, 0)) {
      WEFT_TRY(let(e, 'x', d == 0 ? "l" : "x l Concat/2{axis=1}"));
    }
    WEFT_TRY(let(e, 'e', d == 0 ? "s [0] Unsqueeze/2" : "e s [0] Unsqueeze/2 Concat/2{axis=0}"));
    WEFT_TRY(let(e, 'v', d == 0 ? "t [0] Unsqueeze/2" : "v t [0] Unsqueeze/2 Concat/2{axis=0}"));
  }
  WEFT_TRY(give(e, 0, "x"));
  WEFT_TRY(give(e, 1, "e"));
  return give(e, 2, "v");
}

/* ---- the table -------------------------------------------------------------------------------------------------- */
typedef weft_status (*expand_function)(expansion *e);

/* NULL for operators that have a rule, and for nodes without inputs that they need: those are told of elsewhere. */
static expand_function find(const weft_graph *graph, const weft_node *node) {
  static const struct {
    const char *op_type;
    int inputs;
    expand_function write;
  } table[] = {{"Attention", 3, attention},
               {"BatchNormalization", 5, batch_norm},
               {"Dropout", 1, dropout},
               {"GRU", 3, recurrent},
               {"GroupNormalization", 3, group_norm},
               {"InstanceNormalization", 3, instance_norm},
               {"LRN", 1, lrn},
               {"LSTM", 3, recurrent},
               {"LpNormalization", 1, lp_norm},
               {"MeanVarianceNormalization", 1, mean_variance_norm},
               {"RNN", 3, recurrent}};
  for (size_t i = 0; i < sizeof table / sizeof *table && node->domain[0] == 0; i++) {
    if (strcmp(table[i].op_type, node->op_type) != 0) {
      continue;
    }
    bool expands = table[i].write == batch_norm ? weft_node_int(node, "training_mode", 0) != 0
                   : table[i].write == dropout  ? node->input_count > 2 && node->inputs[2] >= 0
                                                : true;
    for (int k = 0; k < table[i].inputs; k++) {
      expands = expands && k < node->input_count && node->inputs[k] >= 0;
    }
    layer l;
    expands = expands && (table[i].write != recurrent || read_layer(graph, node, &l));
    return expands ? table[i].write : NULL;
  }
  return NULL;
}

weft_status weft_graph_expand(weft_model *model, weft_graph *graph, uint32_t max_nodes) {
  size_t nodes = graph->node_count;
  for (size_t n = 0; n < nodes; n++) {
    expand_function write = find(graph, &graph->nodes[n]);
    if (write == NULL) {
      continue;
    }
    expansion e = {.node = graph->nodes[n]};
    e.term = (weft_term){.model = model, .graph = graph, .max_nodes = max_nodes, .name = e.node.name};
    weft_term_begin_forward(&e.term, &e.node);
    model->cx->node = e.node.name;
    model->cx->op = e.node.op_type;
    WEFT_TRY(write(&e));
    weft_node_remove(&graph->nodes[n]);
  }
  model->cx->node = NULL;
  weft_graph_compact(graph);
  return weft_graph_sort(model, graph);
}
