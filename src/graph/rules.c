/* The derivatives of operators. Most are a formula (derive.h) for each input; operators with attributes that change the
 * formula, or with any number of inputs, have a function that writes it. Terms need not have their input's shape where
 * it was repeated to get there: gradient.c sums them. Shapes are never known here: what depends on them is computed
 * while running, from Shape, and so folds away when a plan is made. */
#include <string.h>

#include "derive.h"

#define END "[9223372036854775807]"
/* All dimensions of a letter's shape but the first two. */
#define SPATIAL(letter) letter " Shape [2] " END " Slice/3 "
#define MEAN "ReduceMean/2{keepdims=1} "
#define MODE "coordinate_transformation_mode"

typedef struct rule {
  const char *op_type;
  const char *terms[3];                                                      /* by input; NULL: it has no derivative */
  weft_status (*write)(weft_term *t, const struct rule *rule, int32_t *out); /* instead, where it is not NULL */
} rule;

/* The formula for the input that is asked for; NULL: it has none. */
static const char *own_term(const weft_term *t, const rule *rule) {
  return t->input < 3 ? rule->terms[t->input] : NULL;
}

/* ---- elementwise, any number of inputs --------------------------------------------------------------------------- */
static weft_status by_every(weft_term *t, const rule *rule, int32_t *out) {
  return weft_term_derive(t, rule->terms[0], out);
}

/* Of several inputs that are the largest, each has its share. */
static weft_status by_extreme(weft_term *t, const rule *rule, int32_t *out) {
  (void)rule;
  WEFT_TRY(weft_term_let(t, 'n', "0"));
  for (int i = 0; i < t->node->input_count; i++) {
    weft_term_set(t, 'u', t->node->inputs[i]);
    WEFT_TRY(weft_term_let(t, 'n', "n u y Equal/2 dy CastLike/2 +"));
  }
  return weft_term_derive(t, "x y Equal/2 dy CastLike/2 n / dy *", out);
}

static weft_status by_gelu(weft_term *t, const rule *rule, int32_t *out) {
  (void)rule;
  if (!weft_term_is_string(t, "approximate", "tanh")) {
    return weft_term_derive(t, "dy a 0.7071067811865476 * Erf 1 + 0.5 * a a a * -0.5 * Exp 0.3989422804014327 * * + *",
                            out);
  }
  WEFT_TRY(weft_term_let(t, 't', "a a a * a * 0.044715 * + 0.7978845608028654 * Tanh"));
  return weft_term_derive(t, "dy t 1 + 0.5 * 1 t t * - a * 0.3989422804014327 * a a * 0.134145 * 1 + * + *", out);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */
/* p and q: the two factors as stacks of matrices, m and n telling whether a row or a column had to be added; e: dy
 * likewise. */
static weft_status by_matmul(weft_term *t, const rule *rule, int32_t *out) {
  (void)rule;
  WEFT_TRY(weft_term_let(t, 'm', "[2] a Shape Shape - [0] Max/2"));
  WEFT_TRY(weft_term_let(t, 'n', "[2] b Shape Shape - [0] Max/2"));
  WEFT_TRY(weft_term_let(t, 'p', "a [1] m Expand/2 a Shape Concat/2{axis=0} Reshape/2"));
  WEFT_TRY(weft_term_let(t, 'q', "b b Shape [1] n Expand/2 Concat/2{axis=0} Reshape/2"));
  WEFT_TRY(weft_term_let(t, 'e', "dy Shape [0] dy Shape Shape [2] - m + n + Slice/3"));
  WEFT_TRY(
      weft_term_let(t, 'e', "dy e p Shape [-2] [-1] Slice/3 q Shape [-1] " END " Slice/3 Concat/3{axis=0} Reshape/2"));
  if (t->input == 0) {
    return weft_term_derive(t, "e q Einsum/2{equation='...mn,...kn->...mk'}", out);
  }
  WEFT_TRY(weft_term_let(t, 'r', "p e Einsum/2{equation='...mk,...mn->...kn'}"));
  WEFT_TRY(weft_term_sum_to(t, t->registers['r' - 'a'], t->registers['q' - 'a'], &t->registers['r' - 'a']));
  return weft_term_derive(t, "r b Shape Reshape/2", out);
}

static weft_status by_gemm(weft_term *t, const rule *rule, int32_t *out) {
  bool a_turned = weft_node_int(t->node, "transA", 0) != 0, b_turned = weft_node_int(t->node, "transB", 0) != 0;
  (void)rule;
  if (t->input == 2) {
    return weft_term_derive(t, "dy @beta:1 *", out);
  }
  if (t->input == 0) {
    return weft_term_derive(t,
                            a_turned   ? "b dy Gemm/2{alpha=@alpha,transA=@transB,transB=1}"
                            : b_turned ? "dy b Gemm/2{alpha=@alpha}"
                                       : "dy b Gemm/2{alpha=@alpha,transB=1}",
                            out);
  }
  return weft_term_derive(t,
                          b_turned   ? "dy a Gemm/2{alpha=@alpha,transA=1,transB=@transA}"
                          : a_turned ? "a dy Gemm/2{alpha=@alpha}"
                                     : "a dy Gemm/2{alpha=@alpha,transA=1}",
                          out);
}

enum { EQUATION = 64 };

/* Whether nothing in it could be taken for a part of a formula. */
static bool is_plain(const char *equation) {
  for (; *equation != 0; equation++) {
    bool letter = (*equation >= 'a' && *equation <= 'z') || (*equation >= 'A' && *equation <= 'Z');
    if (!letter && strchr(" .,->", *equation) == NULL) {
      return false;
    }
  }
  return true;
}

/* The letters that a result has where the equation names none: those that are there once, in alphabetical order. */
static void name_result(char *equation) {
  size_t n = strlen(equation);
  const bool dots = strchr(equation, '.') != NULL;
  char found[EQUATION] = "";
  for (int c = 'A', k = 0; c <= 'z'; c++) {
    const char *first = strchr(equation, c);
    if (first != NULL && strchr(first + 1, c) == NULL) {
      found[k++] = (char)c;
    }
  }
  strcat(strcat(strcpy(equation + n, "->"), dots ? "..." : ""), found);
}

/* The input's letters change places with the output's; ones stand for the letters that it alone has. */
static weft_status by_einsum(weft_term *t, const rule *rule, int32_t *out) {
  const weft_attribute *equation = weft_node_attribute(t->node, "equation");
  char text[3 * EQUATION], formula[8 * EQUATION] = "", *terms = text;
  int32_t letters[] = {'a', 'b', 'c'};
  size_t n = 0;
  (void)rule;
  if (equation == NULL || equation->kind != WEFT_ATTRIBUTE_STRING || t->node->input_count > 3 ||
      equation->s.size >= EQUATION || !is_plain(equation->s.data)) {
    return weft_term_unknown(t, "");
  }
  for (const char *at = equation->s.data; *at != 0;
       at++) { /* no blanks; then the output's letters in the input's place */
    if (*at != ' ') {
      text[n++] = *at;
    }
  }
  text[n] = 0;
  if (strchr(text, '-') == NULL) {
    name_result(text);
  }
  char *result = strchr(text, '-'), own[EQUATION] = "", changed[4 * EQUATION] = "";
  if (result[1] != '>') {
    return weft_term_unknown(t, "");
  }
  *result = 0;
  result += 2;
  for (int i = 0; i < t->node->input_count; i++) {
    size_t size = strcspn(terms, ",");
    if (i == t->input) {
      strncat(own, terms, size);
    }
    strncat(changed, i == t->input ? result : terms, i == t->input ? EQUATION : size);
    strcat(changed, i + 1 < t->node->input_count ? "," : "");
    terms += size + (terms[size] == ',');
    const char word[] = {i == t->input ? 'd' : (char)letters[i], ' ', 0};
    strcat(formula, word);
  }
  bool lonely = false;
  for (const char *at = own; *at != 0; at++) {
    if (*at != '.' && strchr(at + 1, *at) != NULL) {
      return weft_term_unknown(t, " with a letter twice");
    }
    lonely = lonely || strchr(changed, *at) == NULL;
  }
  if (lonely) {
    strcat(formula, "1 x Shape Expand/2 ");
    strcat(strcat(changed, ","), own);
  }
  strcat(changed, "->");
  const char count[] = {(char)('0' + t->node->input_count + lonely), 0};
  strcat(strcat(strcat(formula, "Einsum/"), count), "{equation='");
  strcat(strcat(strcat(formula, changed), own), "'}");
  return weft_term_derive(t, formula, out);
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */
static bool is_same_pad(const weft_term *t) {
  return weft_term_is_string(t, "auto_pad", "SAME_UPPER") || weft_term_is_string(t, "auto_pad", "SAME_LOWER");
}

/* The attribute if it is a list of integers, or NULL. */
static const weft_attribute *ints_of(const weft_term *t, const char *name) {
  const weft_attribute *list = weft_node_attribute(t->node, name);
  return list != NULL && list->kind == WEFT_ATTRIBUTE_INTS ? list : NULL;
}

/* p and q: what was added before and behind each spatial dimension of a. f covers a with all that was added, as far as
 * windows reached. */
static weft_status let_pads(weft_term *t) {
  const weft_attribute *pads = ints_of(t, "pads");
  if (is_same_pad(t)) {
    WEFT_TRY(weft_term_let(t, 'z', SPATIAL("f") SPATIAL("a") "-"));
    WEFT_TRY(weft_term_let(t, 'z', "z z z - Max/2"));
    WEFT_TRY(weft_term_let(t, 'p', weft_term_is_string(t, "auto_pad", "SAME_UPPER") ? "z [2] /" : "z [1] + [2] /"));
    return weft_term_let(t, 'q', "z p -");
  }
  if (pads == NULL || weft_term_is_string(t, "auto_pad", "VALID")) {
    WEFT_TRY(weft_term_let(t, 'p', SPATIAL("a") "z= z z -"));
    return weft_term_let(t, 'q', "p");
  }
  WEFT_TRY(weft_term_list(t, 'p', pads->count / 2, pads->ints));
  return weft_term_list(t, 'q', pads->count / 2, pads->ints + pads->count / 2);
}

/* f without what was added, as large as a. */
#define CROP "f [0,0] p Neg [0,0] " SPATIAL("a") SPATIAL("f") "- p + Concat/4{axis=0} Pad/2"
#define SPREAD "ConvTranspose/2{strides=@strides,dilations=@dilations,group=@group}"

/* The weights' derivative is a convolution of a with dy: channels are taken for images, steps for dilations, and the
 * other way round. Windows may have left a rest of a, from which the result gets too long. */
static weft_status derive_weights(weft_term *t, int32_t *out) {
  WEFT_TRY(weft_term_let(t, 'a', "a [0,0] p [0,0] q Concat/4{axis=0} Pad/2"));
  WEFT_TRY(weft_term_let(t, 's', SPATIAL("a")));
  WEFT_TRY(weft_term_let(t, 'e',
                         "a a Shape [0] [1] Slice/3 [@group:1] [-1] s Concat/4{axis=0} Reshape/2 "
                         "Einsum{equation='ngc...->cgn...'}"));
  WEFT_TRY(weft_term_let(t, 'w',
                         "e e Shape [0] [1] Slice/3 [-1] s Concat/3{axis=0} Reshape/2 "
                         "dy Einsum{equation='nm...->mn...'} "
                         "Conv/2{strides=@dilations,dilations=@strides,group=@group}"));
  return weft_term_derive(t,
                          "w w Shape v= v v - [0,0] " SPATIAL("b") SPATIAL("w") "- Concat/3{axis=0} Pad/2 "
                                                                                "Einsum{equation='cm...->mc...'}",
                          out);
}

static weft_status by_conv(weft_term *t, const rule *rule, int32_t *out) {
  if (t->input == 2) {
    return weft_term_derive(t, rule->terms[2], out);
  }
  WEFT_TRY(weft_term_let(t, 'f', "dy b " SPREAD));
  WEFT_TRY(let_pads(t));
  return t->input == 0 ? weft_term_derive(t, CROP, out) : derive_weights(t, out);
}

static weft_status by_conv_transpose(weft_term *t, const rule *rule, int32_t *out) {
  if (weft_node_attribute(t->node, "output_shape") != NULL || is_same_pad(t)) {
    return weft_term_unknown(t, " with padding that depends on shapes");
  }
  if (t->input != 1) {
    return weft_term_derive(t, own_term(t, rule), out);
  }
  int32_t a = t->registers[0];
  WEFT_TRY(weft_term_let(t, 'a', "dy"));
  weft_term_set(t, 'd', a);
  WEFT_TRY(let_pads(t));
  return derive_weights(t, out);
}

/* Means of windows are a convolution of every channel with equal weights k, divided by how many elements were under it.
 */
/* n: how many elements each window holds, where the last windows reach beyond the padding; r is how far. */
static weft_status let_ragged_counts(weft_term *t, bool pads) {
  const weft_attribute *strides = ints_of(t, "strides"), *dilations = ints_of(t, "dilations");
  WEFT_TRY(let_pads(t));
  WEFT_TRY(weft_term_let(t, 'o', SPATIAL("a") "r= r r - [1] +"));
  WEFT_TRY(strides == NULL ? weft_term_let(t, 'u', "o") : weft_term_list(t, 'u', strides->count, strides->ints));
  WEFT_TRY(dilations == NULL ? weft_term_let(t, 'l', "o") : weft_term_list(t, 'l', dilations->count, dilations->ints));
  WEFT_TRY(weft_term_let(t, 'r', SPATIAL("d") "o - u * " SPATIAL("k") "o - l * + o + r - p - q - o o - Max/2"));
  return weft_term_derive(t,
                          pads ? "1 a Shape Expand/2 [0,0] p [0,0] q Concat/4{axis=0} 1 Pad/3 [0,0] o o - [0,0] r "
                                 "Concat/4{axis=0} Pad/2 k Conv/2{strides=@strides,dilations=@dilations}"
                               : "1 a Shape Expand/2 [0,0] p [0,0] q r + Concat/4{axis=0} Pad/2 k "
                                 "Conv/2{strides=@strides,dilations=@dilations}",
                          &t->registers['n' - 'a']);
}

static weft_status by_average_pool(weft_term *t, const rule *rule, int32_t *out) {
  const weft_attribute *kernel = ints_of(t, "kernel_shape");
  (void)rule;
  bool pads = weft_node_int(t->node, "count_include_pad", 0) != 0;
  bool ceil = weft_node_int(t->node, "ceil_mode", 0) != 0 && !is_same_pad(t);
  if (kernel == NULL) {
    return weft_term_unknown(t, "");
  }
  WEFT_TRY(weft_term_list(t, 'k', kernel->count, kernel->ints));
  WEFT_TRY(weft_term_let(t, 's', "a Shape"));
  WEFT_TRY(weft_term_let(t, 'k', "1 [1,1] k Concat/2{axis=0} Expand/2"));
  WEFT_TRY(weft_term_let(t, 'a', "a [-1,1] " SPATIAL("a") "Concat/2{axis=0} Reshape/2"));
  WEFT_TRY(weft_term_let(t, 'd', "dy [-1,1] " SPATIAL("dy") "Concat/2{axis=0} Reshape/2"));
  WEFT_TRY(ceil ? let_ragged_counts(t, pads)
                : weft_term_let(t, 'n',
                                pads ? "k Size dy CastLike/2"
                                     : "1 a Shape Expand/2 k "
                                       "Conv/2{strides=@strides,dilations=@dilations,pads=@pads,auto_pad=@auto_pad}"));
  WEFT_TRY(weft_term_let(t, 'f', "dy n / k " SPREAD));
  WEFT_TRY(let_pads(t));
  return weft_term_derive(t, CROP " s Reshape/2", out);
}

/* The largest elements' places, once more. */
static weft_status by_max_pool(weft_term *t, const rule *rule, int32_t *out) {
  weft_node *pool;
  int32_t places;
  if (weft_node_int(t->node, "storage_order", 0) != 0) {
    return weft_term_unknown(t, " with storage_order");
  }
  WEFT_TRY(weft_term_again(t, t->node->inputs, &pool));
  if (pool->output_count < 2) {
    WEFT_TRY(weft_node_resize(t->model, pool, 1, 2));
    WEFT_TRY(weft_graph_add_value(t->model, t->graph, "", &places));
    pool->outputs[1] = places;
  }
  weft_term_set(t, 'i', pool->outputs[1]);
  return weft_term_derive(t, rule->terms[0], out);
}

/* ---- normalisation ----------------------------------------------------------------------------------------------- */
/* r: the axes from `axis` on. */
static weft_status let_axes(weft_term *t, int64_t axis) {
  int64_t axes[8];
  if (axis >= 0) {
    axes[0] = axis;
    WEFT_TRY(weft_term_list(t, 'r', 1, axes));
    return weft_term_let(t, 'r', "r [] Reshape/2 a Shape Size [1] [] Reshape/2 Range/3");
  }
  size_t count = 0;
  for (; axis < 0 && count < 8; axis++) {
    axes[count++] = axis;
  }
  return weft_term_list(t, 'r', count, axes);
}

/* h: the normalised input, v: what it was multiplied by to become that, q: the derivative by it. */
static weft_status by_layer_norm(weft_term *t, const rule *rule, int32_t *out) {
  bool centred = strcmp(t->node->op_type, "RMSNormalization") != 0;
  WEFT_TRY(let_axes(t, weft_node_int(t->node, "axis", -1)));
  WEFT_TRY(weft_term_let(t, 'h', centred ? "a a r " MEAN "-" : "a"));
  WEFT_TRY(weft_term_let(t, 'v', "h h * r " MEAN "@epsilon:1e-5 + Sqrt Reciprocal"));
  WEFT_TRY(weft_term_let(t, 'h', "h v *"));
  WEFT_TRY(weft_term_let(t, 'q', t->registers[1] < 0 ? "dy" : "dy b *"));
  return weft_term_derive(t,
                          t->input > 0 ? own_term(t, rule)
                          : centred    ? "q q r " MEAN "- h q h * r " MEAN "* - v *"
                                       : "q h q h * r " MEAN "* - v *",
                          out);
}

/* The operator itself multiplies by channel: with means and biases of zero that is all it does. */
static weft_status by_batch_norm(weft_term *t, const rule *rule, int32_t *out) {
  const weft_node *node = t->node;
  if (node->input_count < 5 || t->input > 2) {
    return weft_term_unknown(t, " by its statistics");
  }
  weft_term_set(t, 'm', node->inputs[3]);
  weft_term_set(t, 'v', node->inputs[4]);
  WEFT_TRY(weft_term_let(t, 'z', "b b -"));
  WEFT_TRY(weft_term_let(t, 'o', "b Shape t= 1 t Expand/2"));
  return weft_term_derive(t, own_term(t, rule), out);
}

/* ---- reductions -------------------------------------------------------------------------------------------------- */
/* The node again, as another operator if that is not NULL, with the reduced axes kept. */
static weft_status reduce_again(weft_term *t, const char *op_type, int32_t a, char letter) {
  int32_t inputs[2] = {a, t->registers[1]};
  weft_node *node;
  WEFT_TRY(weft_term_again(t, inputs, &node));
  node->op_type = op_type != NULL ? op_type : node->op_type;
  weft_term_set(t, letter, node->outputs[0]);
  return weft_node_set_int(t->model, node, "keepdims", 1);
}

/* k: the result with the axes kept; dy like it. */
static weft_status by_reduction(weft_term *t, const rule *rule, int32_t *out) {
  if (t->input > 0 || t->node->input_count > 2) {
    *out = -1;
    return WEFT_OK;
  }
  WEFT_TRY(reduce_again(t, NULL, t->registers[0], 'k'));
  WEFT_TRY(weft_term_let(t, 'd', "dy k Shape Reshape/2"));
  return weft_term_derive(t, rule->terms[0], out);
}

static weft_status by_extreme_reduction(weft_term *t, const rule *rule, int32_t *out) {
  if (t->input > 0 || t->node->input_count > 2) {
    *out = -1;
    return WEFT_OK;
  }
  WEFT_TRY(reduce_again(t, NULL, t->registers[0], 'k'));
  WEFT_TRY(weft_term_let(t, 'm', "a k Equal/2 dy CastLike/2"));
  WEFT_TRY(reduce_again(t, "ReduceSum", t->registers['m' - 'a'], 'n'));
  return weft_term_derive(t, rule->terms[0], out);
}

/* s: the sum of what the rule says of each output, from the other end. */
static weft_status by_cumulation(weft_term *t, const rule *rule, int32_t *out) {
  if (t->input > 0) {
    *out = -1;
    return WEFT_OK;
  }
  WEFT_TRY(weft_term_let(t, 's', rule->terms[0]));
  WEFT_TRY(weft_term_let(t, 's',
                         weft_node_int(t->node, "reverse", 0) != 0 ? "s b CumSum/2{exclusive=@exclusive}"
                                                                   : "s b CumSum/2{exclusive=@exclusive,reverse=1}"));
  return weft_term_derive(t, rule->terms[1], out);
}

/* Turned back. */
static weft_status by_rotation(weft_term *t, const rule *rule, int32_t *out) {
  (void)rule;
  int32_t inputs[4] = {t->registers['d' - 'a'], t->registers[1], -1, -1};
  weft_node *node;
  if (t->input > 0 || t->node->input_count > 4) {
    return weft_term_unknown(t, " by its angles");
  }
  WEFT_TRY(weft_term_derive(t, "c Neg", &inputs[2]));
  inputs[3] = t->node->input_count > 3 ? t->node->inputs[3] : -1;
  WEFT_TRY(weft_term_again(t, inputs, &node));
  *out = node->outputs[0];
  return WEFT_OK;
}

/* ---- elements moved ---------------------------------------------------------------------------------------------- */
/* An operator that only moves elements is applied to their numbers, from 1 on: so it tells where every element of its
 * output came from, and 0 where it came from nowhere. */
static weft_status by_moving(weft_term *t, const rule *rule, int32_t *out) {
  int32_t inputs[5] = {-1, -1, -1, -1, -1};
  weft_node *node;
  if (t->input > 0 || t->node->input_count > 5) {
    *out = -1;
    return WEFT_OK;
  }
  memcpy(inputs, t->node->inputs, (size_t)t->node->input_count * sizeof *inputs);
  WEFT_TRY(weft_term_derive(t, "[1] [] Reshape/2 t= t a Size t + t Range/3 a Shape Reshape/2", &inputs[0]));
  if (strcmp(t->node->op_type, "Pad") == 0) {
    inputs[2] = -1; /* the value there is no number of an element */
  }
  WEFT_TRY(weft_term_again(t, inputs, &node));
  weft_term_set(t, 'p', node->outputs[t->output]);
  return weft_term_derive(t, rule->terms[0], out);
}

/* Along one axis it is a product with a matrix, which is what it makes of the unit matrix: r. That of axis `axis`, the
 * k-th that is resized of `count`, of which `sizes` or `scales` and a region tell. */
static weft_status let_resizing(weft_term *t, int64_t axis, size_t k, size_t count) {
  const int64_t begin = (int64_t)k, end = (int64_t)k + 1, behind = axis + 1;
  int32_t inputs[4] = {-1, -1, -1, -1};
  weft_node *node;
  WEFT_TRY(weft_term_list(t, 'i', 1, &axis));
  WEFT_TRY(weft_term_list(t, 'j', 1, &behind));
  WEFT_TRY(weft_term_list(t, 'k', 1, &begin));
  WEFT_TRY(weft_term_list(t, 'l', 1, &end));
  WEFT_TRY(weft_term_derive(t, "a Shape i j Slice/3 n= 0 n n Concat/2{axis=0} Expand/2 EyeLike", &inputs[0]));
  for (int i = 1; i < t->node->input_count && i < 4; i++) {
    weft_term_set(t, 'v', t->node->inputs[i]);
    if (t->node->inputs[i] >= 0 && i == 1 && weft_term_is_string(t, MODE, "tf_crop_and_resize")) {
      const int64_t ends[2] = {(int64_t)(count + k), (int64_t)(count + k + 1)};
      WEFT_TRY(weft_term_list(t, 'o', 1, &ends[0]));
      WEFT_TRY(weft_term_list(t, 'p', 1, &ends[1]));
      WEFT_TRY(weft_term_derive(t, "v k l Slice/3 v o p Slice/3 Concat/2{axis=0}", &inputs[1]));
    } else if (t->node->inputs[i] >= 0 && i > 1) {
      WEFT_TRY(weft_term_derive(t, "v k l Slice/3", &inputs[i]));
    }
  }
  WEFT_TRY(weft_term_again(t, inputs, &node));
  weft_node_remove_attribute(node, "extrapolation_value");
  weft_term_set(t, 'r', node->outputs[0]);
  return weft_node_set_ints(t->model, node, "axes", 1, (int64_t[]){1});
}

/* At the nearest places elements are moved. Between them they are mixed, along one axis after another: d goes back
 * through all that are resized. */
static weft_status by_resize(weft_term *t, const rule *rule, int32_t *out) {
  bool nearest = weft_node_attribute(t->node, "mode") == NULL || weft_term_is_string(t, "mode", "nearest");
  const weft_attribute *axes = ints_of(t, "axes"), *policy = weft_node_attribute(t->node, "keep_aspect_ratio_policy");
  int rank = t->graph->values[t->node->inputs[0]].info.rank;
  if (nearest && !weft_term_is_string(t, MODE, "tf_crop_and_resize")) {
    return by_moving(t, rule, out);
  }
  for (int i = 2; i < t->node->input_count && rank < 0 && axes == NULL; i++) {
    const weft_value *told = t->node->inputs[i] >= 0 ? weft_graph_constant(t->graph, t->node->inputs[i]) : NULL;
    rank = told != NULL && told->tensor.count > 0 && told->tensor.count <= WEFT_MAX_RANK ? (int)told->tensor.count : -1;
  }
  if (t->input > 0 || t->node->input_count > 4 || (axes == NULL && rank < 0) ||
      (policy != NULL && !weft_term_is_string(t, "keep_aspect_ratio_policy", "stretch"))) {
    return weft_term_unknown(t, " with a region that is learnt, a ratio that is kept, or a rank that is not known");
  }
  size_t count = axes != NULL ? axes->count : (size_t)rank;
  for (size_t k = 0; k < count; k++) {
    int64_t axis = axes != NULL ? axes->ints[k] : (int64_t)k;
    if (axis < 0 && rank < 0) {
      return weft_term_unknown(t, " of a rank that is not known");
    }
    WEFT_TRY(let_resizing(t, axis < 0 ? axis + rank : axis, k, count));
    WEFT_TRY(weft_term_let(t, 's', "dy Shape"));
    WEFT_TRY(weft_term_let(t, 'p', "s [0] i Slice/3"));
    WEFT_TRY(weft_term_let(t, 'q', "s j " END " Slice/3"));
    WEFT_TRY(weft_term_let(t, 'd',
                           "dy p ReduceProd s i j Slice/3 q ReduceProd Concat/3{axis=0} Reshape/2 r "
                           "Einsum/2{equation='pmq,nm->pnq'} p n q Concat/3{axis=0} Reshape/2"));
  }
  return weft_term_derive(t, "dy", out);
}

static weft_status by_transpose(weft_term *t, const rule *rule, int32_t *out) {
  const weft_attribute *perm = weft_node_attribute(t->node, "perm");
  return perm == NULL ? weft_term_derive(t, "dy Transpose", out) : by_moving(t, rule, out);
}

static weft_status by_concat(weft_term *t, const rule *rule, int32_t *out) {
  (void)rule;
  WEFT_TRY(weft_term_let(t, 'p', "[0]"));
  for (int i = 0; i < t->input; i++) {
    weft_term_set(t, 'u', t->node->inputs[i]);
    WEFT_TRY(weft_term_let(t, 'p', "p u Shape [@axis:0] Gather/2 +"));
  }
  return weft_term_derive(t, "dy p p x Shape [@axis:0] Gather/2 + [@axis:0] Slice/4", out);
}

static weft_status by_scatter(weft_term *t, const rule *rule, int32_t *out) {
  bool adds = weft_term_is_string(t, "reduction", "add");
  if (t->input == 1) {
    *out = -1;
    return WEFT_OK;
  }
  if (!adds && weft_node_attribute(t->node, "reduction") != NULL && !weft_term_is_string(t, "reduction", "none")) {
    return weft_term_unknown(t, " with such a reduction");
  }
  return weft_term_derive(t, t->input == 0 && adds ? "dy" : own_term(t, rule), out);
}

/* What expand.c could not write out. */
static weft_status by_recurrence(weft_term *t, const rule *rule, int32_t *out) {
  (void)rule;
  (void)out;
  return weft_term_unknown(t, " where X does not declare 1 to 1000 steps, not all are alike, or with such activations");
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */
/* l: the classes, o: them as rows with a 1, w: weights, g: the derivative by each element's loss. */
static weft_status by_loss(weft_term *t, const rule *rule, int32_t *out) {
  bool ignores = weft_node_attribute(t->node, "ignore_index") != NULL;
  if (t->output == 1) {
    return weft_term_derive(t, "dy a LogSoftmax{axis=1} Exp dy [1] ReduceSum/2{keepdims=1} * -", out);
  }
  if (t->input > 0) {
    *out = -1;
    return WEFT_OK;
  }
  WEFT_TRY(weft_term_let(t, 'l', "b Cast{to=7}"));
  if (ignores) {
    WEFT_TRY(weft_term_let(t, 'v', "l [@ignore_index] Equal/2 Not"));
    WEFT_TRY(weft_term_let(t, 'l', "v l [0] Where/3"));
  }
  WEFT_TRY(weft_term_let(t, 'w', t->registers[2] < 0 ? "1 l Shape Expand/2" : "c l Gather/2"));
  WEFT_TRY(weft_term_let(t, 'w', ignores ? "w v dy CastLike/2 *" : "w"));
  WEFT_TRY(weft_term_let(t, 'o', "l a Shape [1] Gather/2 [0,1] dy CastLike/2 OneHot/3{axis=1}"));
  bool mean = !weft_term_is_string(t, "reduction", "sum") && !weft_term_is_string(t, "reduction", "none");
  WEFT_TRY(weft_term_let(t, 'g', mean ? "dy w * w ReduceSum{keepdims=0} / [1] Unsqueeze/2" : "dy w * [1] Unsqueeze/2"));
  return weft_term_derive(t, rule->terms[0], out);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */
#define MOVED                                                                                                          \
  "a Size [1] + z= 0 z Expand/2 p [-1] Reshape/2 dy [-1] Reshape/2 ScatterElements/3{axis=0,reduction='add'} "         \
  "[1] z [0] Slice/4 a Shape Reshape/2"
#define RESHAPED "dy a Shape Reshape/2"
#define BY_CHANNEL "[0,0,-1] Reshape/2 [0,2] ReduceSum/2{keepdims=0}"
#define RATIO(letter) letter " Size dy CastLike/2 "

static const rule rules[] = {
    {"Abs", {"dy a Sign *"}, NULL},
    {"Acos", {"dy 1 a a * - Sqrt / Neg"}, NULL},
    {"Acosh", {"dy a a * 1 - Sqrt /"}, NULL},
    {"Add", {"dy", "dy"}, NULL},
    {"And", {NULL}, NULL},
    {"ArgMax", {NULL}, NULL},
    {"ArgMin", {NULL}, NULL},
    {"Asin", {"dy 1 a a * - Sqrt /"}, NULL},
    {"Asinh", {"dy a a * 1 + Sqrt /"}, NULL},
    {"Atan", {"dy a a * 1 + /"}, NULL},
    {"Atanh", {"dy 1 a a * - /"}, NULL},
    {"AveragePool", {NULL}, by_average_pool},
    {"BatchNormalization",
     {"dy b z z v BatchNormalization/5{epsilon=@epsilon}",
      "dy a o z m v BatchNormalization/5{epsilon=@epsilon} * " BY_CHANNEL, "dy " BY_CHANNEL},
     by_batch_norm},
    {"Cast", {"dy a CastLike/2"}, NULL},
    {"CastLike", {"dy a CastLike/2", NULL}, NULL},
    {"Ceil", {NULL}, NULL},
    {"CenterCropPad", {MOVED}, by_moving},
    {"Celu", {"dy a @alpha:1 / 0 Min/2 Exp *"}, NULL},
    {"Clip", {"a y Equal/2 dy 0 Where/3"}, NULL},
    {"Compress", {MOVED}, by_moving},
    {"Concat", {NULL}, by_concat},
    {"Conv", {NULL, NULL, "dy " BY_CHANNEL}, by_conv},
    {"ConvTranspose",
     {"dy b Conv/2{strides=@strides,dilations=@dilations,group=@group,pads=@pads,auto_pad=@auto_pad}", NULL,
      "dy " BY_CHANNEL},
     by_conv_transpose},
    {"Cos", {"dy a Sin * Neg"}, NULL},
    {"Cosh", {"dy a Sinh *"}, NULL},
    {"CumProd", {"dy y *", "s a /"}, by_cumulation},
    {"CumSum", {"dy", "s"}, by_cumulation},
    {"DepthToSpace", {MOVED}, by_moving},
    {"Div", {"dy b /", "dy b / y * Neg"}, NULL},
    {"Dropout", {"dy"}, NULL},
    {"Einsum", {NULL}, by_einsum},
    {"Elu", {"a 0 Greater/2 dy dy y @alpha:1 + * Where/3"}, NULL},
    {"Equal", {NULL}, NULL},
    {"Erf", {"dy 1.1283791670955126 * a a * Neg Exp *"}, NULL},
    {"Exp", {"dy y *"}, NULL},
    {"Expand", {"dy", NULL}, NULL},
    {"EyeLike", {NULL}, NULL},
    {"Flatten", {RESHAPED}, NULL},
    {"Floor", {NULL}, NULL},
    {"GRU", {NULL}, by_recurrence},
    {"Gather", {MOVED}, by_moving},
    {"GatherElements", {MOVED}, by_moving},
    {"GatherND", {MOVED}, by_moving},
    {"Gelu", {NULL}, by_gelu},
    {"Gemm", {NULL}, by_gemm},
    {"GlobalAveragePool", {"dy " RATIO("y") "* " RATIO("a") "/ a Shape Expand/2"}, NULL},
    {"GlobalMaxPool",
     {"a y Equal/2 dy CastLike/2 m= dy m * m GlobalAveragePool / " RATIO("y") "* " RATIO("a") "/"},
     NULL},
    {"Greater", {NULL}, NULL},
    {"GreaterOrEqual", {NULL}, NULL},
    {"HardSigmoid", {"y 0 Greater/2 y 1 Less/2 And/2 dy @alpha:0.2 * 0 Where/3"}, NULL},
    {"Hardmax", {NULL}, NULL},
    {"HardSwish", {"a -3 Greater/2 a 3 Less/2 dy a 3 / 0.5 + * dy Where/3 0 Where/3"}, NULL},
    {"Identity", {"dy"}, NULL},
    {"IsInf", {NULL}, NULL},
    {"IsNaN", {NULL}, NULL},
    {"LayerNormalization", {NULL, "dy h *", "dy"}, by_layer_norm},
    {"LeakyRelu", {"a 0 Greater/2 dy dy @alpha:0.01 * Where/3"}, NULL},
    {"LSTM", {NULL}, by_recurrence},
    {"Less", {NULL}, NULL},
    {"LessOrEqual", {NULL}, NULL},
    {"Log", {"dy a /"}, NULL},
    {"LogSoftmax", {"dy y Exp dy [@axis:-1] ReduceSum/2{keepdims=1} * -"}, NULL},
    {"MatMul", {NULL}, by_matmul},
    {"Max", {NULL}, by_extreme},
    {"MaxPool",
     {"0 a Size [1] * Expand/2 i [-1] Reshape/2 dy [-1] Reshape/2 ScatterElements/3{axis=0,reduction='add'} "
      "a Shape Reshape/2"},
     by_max_pool},
    {"MaxUnpool", {MOVED}, by_moving},
    {"Mean", {"dy # /"}, by_every},
    {"Min", {NULL}, by_extreme},
    {"Mish", {"a Softplus Tanh t= dy t a 1 t t * - * a Sigmoid * + *"}, NULL},
    {"Mod", {"dy", "dy a y - b / Round * Neg"}, NULL},
    {"Mul", {"dy b *", "dy a *"}, NULL},
    {"Neg", {"dy Neg"}, NULL},
    {"NegativeLogLikelihoodLoss", {"o g * Neg"}, by_loss},
    {"NonZero", {NULL}, NULL},
    {"Not", {NULL}, NULL},
    {"Or", {NULL}, NULL},
    {"PRelu", {"a 0 Less/2 dy b * dy Where/3", "a 0 Less/2 dy a * 0 Where/3"}, NULL},
    {"Pad", {MOVED}, by_moving},
    {"Pow", {"b dy CastLike/2 e= dy e * a e 1 - ^ *", "a 0 Greater/2 dy y * a Log * 0 Where/3"}, NULL},
    {"RNN", {NULL}, by_recurrence},
    {"RMSNormalization", {NULL, "dy h *"}, by_layer_norm},
    {"Range", {NULL}, NULL},
    {"Reciprocal", {"dy y y * * Neg"}, NULL},
    {"ReduceL1", {"dy a Sign *"}, by_reduction},
    {"ReduceL2", {"dy a * k /"}, by_reduction},
    {"ReduceLogSum", {"dy k Exp / a Shape Expand/2"}, by_reduction},
    {"ReduceLogSumExp", {"dy a k - Exp *"}, by_reduction},
    {"ReduceMax", {"dy k Shape Reshape/2 m * n /"}, by_extreme_reduction},
    {"ReduceMean", {"dy " RATIO("k") "* " RATIO("a") "/ a Shape Expand/2"}, by_reduction},
    {"ReduceMin", {"dy k Shape Reshape/2 m * n /"}, by_extreme_reduction},
    {"ReduceProd", {"dy k * a /"}, by_reduction},
    {"ReduceSum", {"dy a Shape Expand/2"}, by_reduction},
    {"ReduceSumSquare", {"dy a * 2 *"}, by_reduction},
    {"Relu", {"a 0 Greater/2 dy 0 Where/3"}, NULL},
    {"Resize", {MOVED}, by_resize},
    {"Reshape", {RESHAPED, NULL}, NULL},
    {"ReverseSequence", {MOVED}, by_moving},
    {"RotaryEmbedding", {NULL}, by_rotation},
    {"Round", {NULL}, NULL},
    {"ScatterElements",
     {"dy b 0 b Shape Expand/2 ScatterElements/3{axis=@axis:0}", NULL, "dy b GatherElements/2{axis=@axis:0}"},
     by_scatter},
    {"ScatterND", {"dy b 0 c Shape Expand/2 ScatterND/3", NULL, "dy b GatherND/2"}, by_scatter},
    {"Selu",
     {"dy a 0 Greater/2 @gamma:1.0507010221481323 y @gamma:1.0507010221481323 @alpha:1.6732631921768188 * + Where/3 *"},
     NULL},
    {"Shape", {NULL}, NULL},
    {"Shrink", {"a Abs @lambd:0.5 Greater/2 dy 0 Where/3"}, NULL},
    {"Sigmoid", {"dy y * 1 y - *"}, NULL},
    {"Sign", {NULL}, NULL},
    {"Sin", {"dy a Cos *"}, NULL},
    {"Sinh", {"dy a Cosh *"}, NULL},
    {"Size", {NULL}, NULL},
    {"Slice", {MOVED}, by_moving},
    {"Softmax", {"dy y * t= t y t [@axis:-1] ReduceSum/2{keepdims=1} * -"}, NULL},
    {"SoftmaxCrossEntropyLoss", {"a Softmax{axis=1} o - g *"}, by_loss},
    {"Softplus", {"dy a Sigmoid *"}, NULL},
    {"Softsign", {"a Abs 1 + t= dy t t * /"}, NULL},
    {"SpaceToDepth", {MOVED}, by_moving},
    {"Split", {MOVED}, by_moving},
    {"Sqrt", {"dy 0.5 * y /"}, NULL},
    {"Squeeze", {RESHAPED, NULL}, NULL},
    {"Sub", {"dy", "dy Neg"}, NULL},
    {"Sum", {"dy"}, by_every},
    {"Swish", {"a @alpha:1 * t= t Sigmoid s= dy s t 1 s - * 1 + * *"}, NULL},
    {"Tan", {"dy y y * 1 + *"}, NULL},
    {"Tanh", {"dy 1 y y * - *"}, NULL},
    {"ThresholdedRelu", {"a @alpha:1 Greater/2 dy 0 Where/3"}, NULL},
    {"Tile", {MOVED}, by_moving},
    {"TopK", {"0 a Shape Expand/2 i dy ScatterElements/3{axis=@axis:-1}", NULL}, NULL},
    {"Transpose", {MOVED}, by_transpose},
    {"Trilu", {MOVED}, by_moving},
    {"Unsqueeze", {RESHAPED, NULL}, NULL},
    {"Where", {NULL, "a dy 0 Where/3", "a 0 dy Where/3"}, NULL},
    {"Xor", {NULL}, NULL},
};

static const rule *find_rule(const weft_node *node) {
  for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
    if (node->domain[0] == 0 && strcmp(node->op_type, rules[r].op_type) == 0) {
      return &rules[r];
    }
  }
  return NULL;
}

weft_status weft_term_apply_rule(weft_term *t, int32_t *out) {
  const rule *rule = find_rule(t->node);
  if (rule == NULL) {
    return weft_term_unknown(t, "");
  }
  bool has_others = rule->write == by_loss || strcmp(rule->op_type, "Split") == 0;
  if (t->output > 0 && !has_others) {
    return weft_term_unknown(t, " through other outputs than the first");
  }
  if (rule->write != NULL) {
    return rule->write(t, rule, out);
  }
  return weft_term_derive(t, own_term(t, rule), out);
}
