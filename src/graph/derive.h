/* How derivatives, and operators that are a few others, are written: as formulas, from which nodes are made. gradient.c
 * walks the graph, rules.c has a formula for each operator, upgrade/formulas.c has those of other operators, derive.c
 * reads them all. A formula is words in the order in which a stack machine takes them:
 *
 *   a b c        inputs 0, 1, 2 of the node (and so on to h, where it is no derivative); of a derivative also x, the
 *                input that is asked for; y the output, dy the derivative by it; i output 1
 *   t= t         other small letters: the top of the stack is kept under it, taken from there
 *   + - * / ^    Add, Sub, Mul, Div, Pow
 *   2 -0.5       a number of dy's (input 0's) element type, or a float (t->like is -1); @alpha:1 the node's attribute
 *                alpha, or 1; # how many inputs it has
 *   [0,-1]       a list of int64; entries may be attributes too: [@axis:0]
 *   Cos          any other operator: of one input, or, as Where/3, of three, the deepest first; its first output is
 * left, or, as TopK/2.1, the second. Attributes follow: ReduceSum/2{keepdims=1}, {axis=@axis:-1} with the node's own
 * attribute, or -1, {pads=@pads} with the node's own of any kind, or none, {equation='ij->ji'} with a text */
#ifndef WEFT_GRAPH_DERIVE_H
#define WEFT_GRAPH_DERIVE_H

#include "edit.h"

/* The term of one node and one of its inputs. */
typedef struct weft_term {
  weft_model *model;
  weft_graph *graph;
  uint32_t max_nodes;
  const char *name;             /* which the new nodes bear */
  const weft_node *node;        /* a copy: adding nodes moves them, not what they point to */
  int input, output;            /* the input that is asked for; the output that dy belongs to */
  int32_t like;                 /* the value whose element type numbers have; -1: float */
  struct weft_upgrade *upgrade; /* where new nodes go to instead, before the node at work; or NULL */
  int32_t registers[26];        /* -1: nothing there */
} weft_term;

/* The formula is for the node itself: its inputs have the letters from a to h. */
void weft_term_begin_forward(weft_term *t, const weft_node *node);
/* The same of the node that is being upgraded. */
void weft_term_begin_upgrade(weft_term *t, struct weft_upgrade *u);
/* Reads the letter that inputs have from the node; others are empty. */
void weft_term_begin(weft_term *t, const weft_node *node, int input, int output, int32_t dy);
/* The value that the formula leaves, in *out; -1 for no formula. */
weft_status weft_term_derive(weft_term *t, const char *formula, int32_t *out);
/* The same, kept under a letter. */
weft_status weft_term_let(weft_term *t, char letter, const char *formula);
/* `term`, summed over the axes along which `like` was repeated to get there. */
weft_status weft_term_sum_to(weft_term *t, int32_t term, int32_t like, int32_t *out);
/* A list of int64 as a value under a letter. */
weft_status weft_term_list(weft_term *t, char letter, size_t count, const int64_t *values);
/* A node like the term's own, over `inputs`; its outputs are new. */
weft_status weft_term_again(weft_term *t, const int32_t *inputs, weft_node **out);
bool weft_term_is_string(const weft_term *t, const char *name, const char *value);

static inline void weft_term_set(weft_term *t, char letter, int32_t value) {
  t->registers[letter - 'a'] = value;
}

/* What is to be told of an operator. */
#define weft_term_unknown(t, what)                                                                                     \
  weft_fail((t)->model->cx, WEFT_UNSUPPORTED, "the derivative of %s (node '%.80s') is not known here" what,            \
            (t)->node->op_type, (t)->node->name)

/* The term of the derivative by the node's input `t->input`; *out is -1 where there is none, because the output does
 * not depend on it smoothly (indices, conditions, shapes). Fails for operators without a rule. */
weft_status weft_term_apply_rule(weft_term *t, int32_t *out);

#endif
