/* Operators of com.microsoft that are formulas of ONNX's own (derive.h tells how they are written): they need no kernel
 * of their own, and what the optimiser fuses it fuses here as well. Facts are those of their documentation,
 * ContribOperators.md, and of what ONNX Runtime answers where that is silent. */
#include <string.h>

#include "../derive.h"
#include "../upgrade.h"

#define END "[9223372036854775807]"
/* Some dimensions of a letter's shape: one, those from one on, those before the last. */
#define DIM(letter, i, next) letter " Shape [" i "] [" next "] Slice/3 "
#define DIMS(letter, from) letter " Shape [" from "] " END " Slice/3 "
#define BUT_LAST(letter) letter " Shape [0] [-1] Slice/3 "
/* 0, 1, 2... up to a count, as a row. */
#define ROW(count) "[1] " count "[-1] Reshape/2 Expand/2 NonZero "
/* Real and imaginary parts, which are the last dimension. */
#define PARTS "a [0] [1] [-1] Slice/4 p= a [1] [2] [-1] Slice/4 q= b [0] [1] [-1] Slice/4 r= b [1] [2] [-1] Slice/4 s= "
/* The rows of `letter` at the places that the first of `offsets` name; others are 0. */
#define RESTORE(letter, offsets)                                                                                       \
  "0 " offsets                                                                                                         \
  " [-1] Reshape/2 Shape " DIMS(letter, "1") "Concat/2{axis=0} Expand/2 " offsets " [-1] Reshape/2 [0] " DIM(          \
      letter, "0", "1") "Slice/3 Cast{to=7} [1] Unsqueeze/2 " letter " ScatterND/3 " offsets                           \
                        " Shape " DIMS(letter, "1") "Concat/2{axis=0} Reshape/2 "
/* Over the root mean square along the last dimension; in float. */
#define RMS(letter) letter " " letter " " letter " * [-1] ReduceMean/2 @epsilon:0.00001 + Sqrt / "
#define TO_FLOAT "Cast{to=1} "
#define FLOAT(letter) letter " " TO_FLOAT

typedef struct formula {
  const char *op_type;
  int inputs;    /* that must be there */
  bool in_float; /* numbers are floats, whatever input 0 is */
  const char *outputs[4];
} formula;

/* clang-format off */
static const formula formulas[] = {
    {"BiasAdd", 3, false, {"a b + c +"}},
    {"BiasGelu", 2, false, {"a b + Gelu"}},
    {"BiasSoftmax", 2, false, {"a b + s= s Flatten{axis=@axis:1} Softmax{axis=-1} s Shape Reshape/2{allowzero=1}"}},
    {"ComplexMul", 2, false, {PARTS "p r * q s * - p s * q r * + Concat/2{axis=-1}"}},
    {"ComplexMulConj", 2, false, {PARTS "p r * q s * + q r * p s * - Concat/2{axis=-1}"}},
    /* The hidden states' gate: by how much the key is like the query, both normalised. */
    {"EngramGate", 5, true,
     {FLOAT("a") "p= " FLOAT("b") "q= " RMS("p") FLOAT("d") "* " RMS("q") FLOAT("e") "* * [-1] ReduceSum/2 "
      DIM("a", "3", "4") TO_FLOAT "Sqrt / t= t Sign t Abs 0.000001 Max/2 Sqrt * Sigmoid "
      FLOAT("c") "[2] Unsqueeze/2 * s= s a CastLike/2"}},
    {"GemmaRotaryEmbedding", 5, false,
     {"a Cos b CastLike/2 [1] Unsqueeze/2 p= a Sin b CastLike/2 [1] Unsqueeze/2 q= b p * c q * +", "d p * e q * +"}},
    /* The table is [heads][buckets], whatever its shape says. Places are a key's less a query's; h: buckets of one
     * sign, of which the first half are for one place each, the others for ever longer spans up to max_distance. */
    {"RelativePositionBias", 3, true,
     {ROW("c ") ROW("b ") "[-1,1] Reshape/2 - r= " DIM("a", "0", "1") "n= n [@is_bidirectional:0] [1] + / h= "
      "[@is_bidirectional:0] [1] - Cast{to=9} m= m r Neg [0] Max/2 r Abs Where/3 k= "
      "h [2] / e= " FLOAT("e") "g= k [1] Max/2 " TO_FLOAT "g / Log [@max_distance:1] " TO_FLOAT "g / Log / "
      "h e - " TO_FLOAT "* Cast{to=7} e + h [1] - Min/2 l= "
      "k e Less/2 k l Where/3 r [0] Greater/2 Cast{to=7} h * [@is_bidirectional:0] * + s= "
      "a " DIM("a", "1", "2") "n Concat/2{axis=0} Reshape/2 s Gather/2{axis=1} [0] Unsqueeze/2"}},
    /* Input, counts: tokens, their places and then the padding's, sums of counts, the largest count. */
    {"RemovePadding", 2, false,
     {ROW(DIM("a", "1", "2")) "b Cast{to=7} [1] Unsqueeze/2 Less/2 m= m [-1] Reshape/2 f= f NonZero [-1] Reshape/2 r= "
      "a [-1] " DIMS("a", "2") "Concat/2{axis=0} Reshape/2 r Gather/2",
      "r f Not NonZero [-1] Reshape/2 Concat/2{axis=0} Cast{to=6} m Shape Reshape/2",
      "[0] Cast{to=6} b [0] [0] Squeeze/2 CumSum/2 Concat/2{axis=0}", "b ReduceMax"}},
    {"RestorePadding", 2, false, {RESTORE("a", "b")}},
    {"SampleOp", 1, false, {"a"}},
    /* Letters of words, filters, their bias, the letters' vectors. Windows reach as far as a word has letters, or at
     * least one window; an empty word gives 0. */
    {"WordConvEmbedding", 4, true,
     {DIM("b", "2", "3") "w= "
      "a [0] Cast{to=6} Greater/2 Cast{to=7} [-1] ReduceSum/2{keepdims=0} [-1,1,1,1] Reshape/2 n= "
      "d a Gather/2 [-1,1] " DIM("a", "-1", "9999") DIM("d", "1", "2") "Concat/3{axis=0} Reshape/2 b c Conv/3 Tanh y= "
      ROW(DIM("y", "2", "3")) "[1,1,-1,1] Reshape/2 n w Max/2 w - Greater/2 -2 y Where/3 "
      "[2,3] ReduceMax/2{keepdims=0} "
      "n [0] Greater/2 " TO_FLOAT "[-1,1] Reshape/2 * " BUT_LAST("a") DIM("b", "0", "1") "Concat/2{axis=0} Reshape/2"}},
};
/* clang-format on */

/* ---- writing them ----------------------------------------------------------------------------------------------- */
static weft_status begin(weft_upgrade *u, int inputs, weft_term *t) {
  for (int i = 0; i < inputs; i++) {
    if (weft_upgrade_input(u, i) < 0) {
      return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "expected at least %d inputs, input %d is missing", inputs, i);
    }
  }
  weft_term_begin_upgrade(t, u);
  u->dropped = true;
  return WEFT_OK;
}

/* What the formula leaves is the node's output i. */
static weft_status give(weft_upgrade *u, weft_term *t, int i, const char *text) {
  int32_t made;
  WEFT_TRY(weft_term_derive(t, text, &made));
  return weft_upgrade_output(u, i) < 0 ? WEFT_OK
                                       : weft_upgrade_after(u, "Identity", 1, &made, u->node->outputs[i], NULL);
}

static weft_status write_formula(weft_upgrade *u) {
  const formula *f = formulas;
  weft_term t;
  while (strcmp(f->op_type, u->node->op_type) != 0) {
    f++;
  }
  WEFT_TRY(begin(u, f->inputs, &t));
  if (f->in_float) {
    t.like = -1;
  }
  for (int i = 0; i < 4 && f->outputs[i] != NULL; i++) {
    WEFT_TRY(give(u, &t, i, f->outputs[i]));
  }
  int32_t scale = weft_upgrade_input(u, 5);
  if (strcmp(f->op_type, "EngramGate") == 0 && scale >= 0) {
    return give(u, &t, 1, RMS("s") FLOAT("f") "* a CastLike/2");
  }
  return WEFT_OK;
}

/* ---- those that depend on what is there -------------------------------------------------------------------------- */
static bool has(const weft_upgrade *u, int i) {
  return weft_upgrade_input(u, i) >= 0;
}

#define FAST_GELU "Gelu{approximate='tanh'}"

static weft_status fast_gelu(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin(u, 1, &t));
  return give(u, &t, 0, has(u, 1) ? "a b + " FAST_GELU : "a " FAST_GELU);
}

static weft_status gemm_fast_gelu(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin(u, 2, &t));
  return give(u, &t, 0, has(u, 2) ? "a b MatMul/2 c + " FAST_GELU : "a b MatMul/2 " FAST_GELU);
}

static weft_status gated_add(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin(u, 3, &t));
  return give(u, &t, 0, has(u, 3) ? "a b c d MatMul/2 Sigmoid * +" : "a b c * +");
}

static weft_status scaled_silu(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin(u, 1, &t));
  return give(u, &t, 0, has(u, 1) ? "a b a CastLike/2 * s= s s Sigmoid *" : "a @alpha:1 * s= s s Sigmoid *");
}

/* The clamped form; without `up` the first input is both, one behind the other. */
static weft_status swiglu(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin(u, 1, &t));
  t.like = -1;
  WEFT_TRY(weft_term_let(&t, 'h', DIM("a", "-1", "9999") "[2] /"));
  WEFT_TRY(weft_term_let(&t, 'g', has(u, 1) ? FLOAT("a") : "a [0] h [-1] Slice/4 " TO_FLOAT));
  WEFT_TRY(weft_term_let(&t, 'l', has(u, 1) ? FLOAT("b") : "a h " END " [-1] Slice/4 " TO_FLOAT));
  if (weft_upgrade_real(u, "limit", 0) > 0) {
    WEFT_TRY(weft_term_let(&t, 'g', "g @limit:0 Min/2"));
    WEFT_TRY(weft_term_let(&t, 'l', "l @limit:0 Min/2 0 @limit:0 - Max/2"));
  }
  return give(u, &t, 0, "g g @activation_alpha:1 * Sigmoid * l @activation_beta:0 + * a CastLike/2");
}

/* s: the streams as [..., branches, size], in float. */
static weft_status begin_branches(weft_upgrade *u, int inputs, weft_term *t) {
  WEFT_TRY(begin(u, inputs, t));
  t->like = -1;
  return weft_term_let(t, 's',
                       weft_upgrade_int(u, "num_branches", 0) > 0
                           ? "a " BUT_LAST("a") "[@num_branches:1,-1] Concat/2{axis=0} Reshape/2 " TO_FLOAT
                           : FLOAT("a"));
}

static weft_status branchwise_norm(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin_branches(u, 1, &t));
  WEFT_TRY(weft_term_let(&t, 's', RMS("s")));
  if (has(u, 1)) {
    WEFT_TRY(weft_term_let(&t, 's', "s " FLOAT("b") "[-1] " DIM("s", "-1", "9999") "Concat/2{axis=0} Reshape/2 *"));
  }
  return give(u, &t, 0, "s a CastLike/2 a Shape Reshape/2");
}

/* One number, or as many as a branch has, for each branch. */
#define PER_BRANCH(letter) FLOAT(letter) BUT_LAST("s") "[-1] Concat/2{axis=0} Reshape/2 "

static weft_status pre_mix(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin_branches(u, 2, &t));
  return give(u, &t, 0, "s " PER_BRANCH("b") "* [-2] ReduceSum/2{keepdims=0} @reduction_scale:1 * a CastLike/2");
}

static weft_status post_mix(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin_branches(u, 3, &t));
  WEFT_TRY(weft_term_let(&t, 'p', PER_BRANCH("c") FLOAT("b") "[-2] Unsqueeze/2 *"));
  if (has(u, 3)) {
    WEFT_TRY(weft_term_let(&t, 's', FLOAT("d") "s Einsum/2{equation='...ck,...ch->...kh'}"));
  }
  return give(u, &t, 0, "s p + a CastLike/2 a Shape Reshape/2");
}

static weft_status gated_position_bias(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin(u, 6, &t));
  WEFT_TRY(weft_term_let(&t, 'q', has(u, 6) ? RESTORE("a", "g") "b +" : "a b +"));
  return give(
      u, &t, 0,
      "q [0,0,@num_heads:1,-1] Reshape/2 Einsum{equation='bsnh->bnsh'} d MatMul/2 e + [0,0,0,2,-1] Reshape/2 "
      "[-1] ReduceSum/2{keepdims=0} Sigmoid s= s [0] [1] [-1] Slice/4 s [1] [2] [-1] Slice/4 f * 1 - * 2 + c *");
}

static weft_status is_all_finite(weft_upgrade *u) {
  weft_term t;
  bool infinite = weft_upgrade_int(u, "isnan_only", 0) == 0, nan = weft_upgrade_int(u, "isinf_only", 0) == 0;
  WEFT_TRY(begin(u, 1, &t));
  WEFT_TRY(weft_term_let(&t, 's', "[0] [0] Less/2"));
  for (int i = 0; i < u->node->input_count; i++) {
    weft_term_set(&t, 'v', u->node->inputs[i]);
    WEFT_TRY(weft_term_let(&t, 's',
                           infinite && nan ? "v IsInf v IsNaN Or/2 ReduceMax{keepdims=0} s Or/2"
                           : nan           ? "v IsNaN ReduceMax{keepdims=0} s Or/2"
                                           : "v IsInf ReduceMax{keepdims=0} s Or/2"));
  }
  return give(u, &t, 0, "s Not [] Reshape/2");
}

/* The sum has 32 bits and, as far as the file tells, the input's sign. */
static weft_status reduce_sum_integer(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin(u, 1, &t));
  bool has_sign = u->graph->values[u->node->inputs[0]].info.type != WEFT_UINT8;
  const weft_attribute *axes = weft_node_attribute(u->node, "axes");
  bool some = axes != NULL && axes->kind == WEFT_ATTRIBUTE_INTS;
  WEFT_TRY(weft_term_list(&t, 'k', some ? axes->count : 0, some ? axes->ints : NULL));
  WEFT_TRY(weft_term_let(&t, 's', has_sign ? "a Cast{to=6}" : "a Cast{to=12}"));
  return give(u, &t, 0, "s k ReduceSum/2{keepdims=@keepdims}");
}

static weft_status begin_transform(weft_upgrade *u, weft_term *t, int64_t *axes) {
  *axes = weft_upgrade_int(u, "signal_ndim", 1);
  if (*axes < 1 || *axes > 3) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "attribute 'signal_ndim': expected 1 to 3, found %lld",
                     (long long)*axes);
  }
  return begin(u, 1, t);
}

/* The last dimensions of a real signal, the last one half. */
static weft_status rfft(weft_upgrade *u) {
  weft_term t;
  int64_t axes;
  WEFT_TRY(begin_transform(u, &t, &axes));
  WEFT_TRY(weft_term_let(&t, 's', "a [-1] Unsqueeze/2"));
  WEFT_TRY(weft_term_let(&t, 's', "s " DIM("s", "-2", "-1") "[-2] DFT/3{onesided=1}"));
  for (int64_t axis = -3; axis >= -1 - axes; axis--) {
    WEFT_TRY(weft_term_list(&t, 'k', 1, &axis));
    WEFT_TRY(weft_term_let(&t, 's', "s s Shape k Gather/2 k DFT/3"));
  }
  return give(u, &t, 0, "s");
}

static weft_status irfft(weft_upgrade *u) {
  weft_term t;
  int64_t axes;
  WEFT_TRY(begin_transform(u, &t, &axes));
  WEFT_TRY(weft_term_let(&t, 's', "a"));
  for (int64_t axis = -3; axis >= -1 - axes; axis--) {
    WEFT_TRY(weft_term_list(&t, 'k', 1, &axis));
    WEFT_TRY(weft_term_let(&t, 's', "s s Shape k Gather/2 k DFT/3{inverse=1}"));
  }
  return give(u, &t, 0, "s " DIM("s", "-2", "-1") "[1] - [2] * [-2] DFT/3{onesided=1,inverse=1} [-1] Squeeze/2");
}

/* Not in training nothing is dropped. */
static weft_status bitmask_dropout(weft_upgrade *u) {
  bool masked;
  weft_term t;
  WEFT_TRY(weft_upgrade_is_used(u, 1, &masked));
  if (masked || has(u, 2)) {
    return weft_upgrade_unsupported(u, "a mask and training_mode, which only training needs");
  }
  WEFT_TRY(begin(u, 1, &t));
  return give(u, &t, 0, "a");
}

/* ---- attention: what is left is done by another operator --------------------------------------------------------- */
/* The node becomes another operator of com.microsoft, with these letters as its inputs (a blank: absent). */
static weft_status become(weft_upgrade *u, const weft_term *t, const char *op_type, const char *letters) {
  int count = (int)strlen(letters);
  WEFT_TRY(weft_node_resize(u->model, u->node, count, u->node->output_count));
  for (int i = 0; i < count; i++) {
    u->node->inputs[i] = letters[i] == ' ' ? -1 : t->registers[letters[i] - 'a'];
  }
  u->node->op_type = op_type;
  u->dropped = false;
  return WEFT_OK;
}

/* Sequences without their padding: they get it back, and lose it again behind the attention. */
static weft_status packed(weft_upgrade *u, int tensors, int offsets, const char *op_type, const char *letters) {
  weft_term t;
  int32_t old;
  WEFT_TRY(begin(u, 1, &t));
  for (int i = offsets; i < offsets + 2; i++) {
    if (!has(u, i)) {
      return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "input %d is needed", i);
    }
    weft_term_set(&t, i == offsets ? 'o' : 'n', u->node->inputs[i]);
  }
  weft_term_set(&t, 'z', weft_upgrade_input(u, offsets + 2));
  WEFT_TRY(weft_term_let(&t, 'n', "n [1] " END " [0] Slice/4 n [0] [-1] [0] Slice/4 -"));
  WEFT_TRY(weft_term_let(&t, 'p', "o [-1] Reshape/2 [0] " DIM("a", "0", "1") "Slice/3"));
  for (int i = 0; i < tensors; i++) {
    if (has(u, i)) {
      weft_term_set(&t, 'v', u->node->inputs[i]);
      WEFT_TRY(weft_term_let(&t, (char)('a' + i), RESTORE("v", "o")));
    }
  }
  WEFT_TRY(become(u, &t, op_type, letters));
  WEFT_TRY(weft_upgrade_replace_output(u, 0, &old));
  int32_t rows, flat = u->node->outputs[0];
  weft_node *made;
  WEFT_TRY(weft_graph_add_value(u->model, u->graph, "", &rows));
  WEFT_TRY(weft_upgrade_after(u, "Flatten", 1, &flat, rows, &made));
  WEFT_TRY(weft_node_set_int(u->model, made, "axis", 2));
  return weft_upgrade_after(u, "Gather", 2, (int32_t[]){rows, t.registers['p' - 'a']}, old, NULL);
}

static weft_status packed_attention(weft_upgrade *u) {
  return packed(u, 1, 3, "Attention", "abcn z");
}

static weft_status packed_multi_head(weft_upgrade *u) {
  return packed(u, 3, 4, "MultiHeadAttention", "abcdnz");
}

/* One new token after a past, whose buffer the present shares. */
static weft_status decoder_masked(weft_upgrade *u) {
  if (has(u, 7) || has(u, 8)) {
    return weft_upgrade_unsupported(u, "beams that look into each other's past");
  }
  u->node->op_type = "Attention";
  return weft_node_resize(u->model, u->node, 7, u->node->output_count);
}

/* Which blocks of keys a block of queries sees is in compressed rows, one layout for every so many heads. It becomes
 * what is added to the scores: m: [layout][block of queries][block of keys], q: places of queries, [sequence][query].
 */
static weft_status sparse_attention(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin(u, 1, &t));
  for (int i = 3; i < 9; i++) {
    if (!has(u, i)) {
      return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "input %d is needed", i);
    }
  }
  weft_term_set(&t, 'k', u->node->inputs[8]);
  weft_term_set(&t, 'u', weft_upgrade_input(u, 9));
  weft_term_set(&t, 'v', weft_upgrade_input(u, 10));
  t.like = -1;
  WEFT_TRY(weft_term_let(&t, 'n', "f Shape [1] [2] Slice/3 [1] -"));
  WEFT_TRY(weft_term_let(&t, 'r', "f [2] Unsqueeze/2 Cast{to=7}"));
  WEFT_TRY(weft_term_let(&t, 'j', ROW(DIM("g", "1", "2"))));
  WEFT_TRY(weft_term_let(&t, 'm',
                         "j r [0] [-1] [1] Slice/4 Less/2 Not j r [1] " END " [1] Slice/4 Less/2 And/2 " TO_FLOAT
                         "g [2] Unsqueeze/2 Cast{to=7} " ROW("n ") "Equal/2 " TO_FLOAT
                                                                   "MatMul/2 Cast{to=9} 0 -30000 Where/3"));
  WEFT_TRY(weft_term_let(&t, 's', DIM("a", "1", "2")));
  WEFT_TRY(weft_term_let(&t, 'l', "h Cast{to=7} [-1] Reshape/2"));
  WEFT_TRY(weft_term_let(
      &t, 'q', "k Cast{to=7} [-1,1] Reshape/2 s - s l Less/2 Cast{to=7} * " ROW("s ") "+ [@sparse_block_size:64] /"));
  WEFT_TRY(weft_term_let(
      &t, 'm', "m q Gather/2{axis=1} " ROW("l ") "[-1] Reshape/2 [@sparse_block_size:64] / Gather/2{axis=3}"));
  WEFT_TRY(weft_term_let(&t, 'm',
                         "m Einsum{equation='lbst->blst'} [1] [@num_heads:1] " DIM(
                             "f", "0", "1") "/ [1,1] Concat/3{axis=0} Tile/2 a CastLike/2"));
  WEFT_TRY(weft_term_let(&t, 'k', "k [1] Cast{to=6} -"));
  weft_node_remove_attribute(u->node, "sparse_block_size");
  return become(u, &t, "GroupQueryAttention", "abcdekhuv m");
}

/* Gated by groups of experts: u: what they are chosen by, k: places of the best groups, then of the best experts. */
static weft_status group_router(weft_upgrade *u) {
  weft_term t;
  WEFT_TRY(begin(u, 2, &t));
  t.like = -1;
  if (has(u, 2)) {
    WEFT_TRY(weft_term_let(&t, 's', FLOAT("a") FLOAT("c") "Einsum/2{equation='tw,ew->te'} Sigmoid"));
  } else {
    WEFT_TRY(weft_term_let(&t, 's', FLOAT("a") "[-1] " DIM("a", "-1", "9999") "Concat/2{axis=0} Reshape/2 Sigmoid"));
  }
  WEFT_TRY(weft_term_let(&t, 'u', "s b +"));
  WEFT_TRY(give(u, &t, 1, "u"));
  WEFT_TRY(give(u, &t, 2, "s"));
  if (weft_upgrade_output(u, 0) < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_term_let(&t, 'g', "u [0,@n_group:1,-1] Reshape/2"));
  WEFT_TRY(weft_term_let(&t, 'k',
                         "g [@group_topk:2] " DIM("g", "2", "3") "Min/2 TopK/2 [-1] ReduceSum/2{keepdims=0} "
                                                                 "[@topk_group:1] TopK/2.1"));
  WEFT_TRY(weft_term_let(&t, 'm',
                         DIM("g", "0", "2") "n= [0] n Expand/2 k [1] k Shape Expand/2 ScatterElements/3{axis=1} "
                                            "[2] Unsqueeze/2 Cast{to=9}"));
  WEFT_TRY(weft_term_let(&t, 'k', "m g -3e38 Where/3 s Shape Reshape/2 [@top_k:1] TopK/2.1"));
  return give(u, &t, 0,
              "@router_sentinel:-10000 s Shape Expand/2 k s k GatherElements/2{axis=1} 1e-20 Max/2 Log "
              "ScatterElements/3{axis=1} a CastLike/2");
}

/* ---- GatedDeltaNet: LinearAttention, whose tokens are apart by sequence ------------------------------------------ */
/* q, k and v: the queries, keys and values, with heads; b: which dimensions sequences and their tokens are. */
static weft_status read_delta_inputs(weft_upgrade *u, weft_term *t) {
  WEFT_TRY(weft_term_let(t, 'q', "a"));
  if (has(u, 1) && has(u, 2)) {
    WEFT_TRY(weft_term_let(t, 'k', "b"));
    WEFT_TRY(weft_term_let(t, 'v', "c"));
  } else { /* all in one: n: numbers of values, w: of queries */
    WEFT_TRY(weft_term_let(t, 'n', "g Shape [1] [3] Slice/3 r= r ReduceProd"));
    WEFT_TRY(weft_term_let(t, 'w', DIM("a", "-1", "9999") "n - [2] /"));
    WEFT_TRY(weft_term_let(t, 'p', BUT_LAST("a") "[-1] " DIM("g", "3", "4") "Concat/3{axis=0}"));
    WEFT_TRY(weft_term_let(t, 'q', "a [0] w [-1] Slice/4 p Reshape/2"));
    WEFT_TRY(weft_term_let(t, 'k', "a w w [2] * [-1] Slice/4 p Reshape/2"));
    WEFT_TRY(weft_term_let(t, 'v', "a w [2] * " END " [-1] Slice/4 " BUT_LAST("a") "r Concat/2{axis=0} Reshape/2"));
  }
  WEFT_TRY(weft_term_let(t, 's', "v Shape"));
  return weft_term_let(t, 'b', has(u, 6) ? DIM("g", "0", "1") "[-1] Concat/2{axis=0}" : "a Shape [0] [-2] Slice/3");
}

/* Sequences of several lengths, one behind the other, become rows of one: i: where they begin, m: which places of a row
 * are tokens, o: where those are among all. What is not is the first token, of which nothing may stay. */
static weft_status spread_sequences(weft_upgrade *u, weft_term *t) {
  static const char letters[] = "abcef";
  WEFT_TRY(weft_term_let(t, 'd', "d Cast{to=7} [-1] Reshape/2"));
  WEFT_TRY(weft_term_let(t, 'i', "d [0] [-1] [0] Slice/4 [1] Unsqueeze/2"));
  WEFT_TRY(weft_term_let(t, 'l', "d [1] " END " [0] Slice/4 [1] Unsqueeze/2 i -"));
  WEFT_TRY(weft_term_let(t, 'r', ROW("l ReduceMax{keepdims=0} ")));
  WEFT_TRY(weft_term_let(t, 'm', "r l Less/2"));
  WEFT_TRY(weft_term_let(t, 'o', "m [-1] Reshape/2 NonZero [-1] Reshape/2"));
  WEFT_TRY(weft_term_let(t, 'i', "m r i + [0] Where/3"));
  WEFT_TRY(weft_term_let(t, 'm', "m [2] Unsqueeze/2"));
  for (const char *letter = letters; *letter != 0; letter++) {
    if (has(u, *letter - 'a')) {
      weft_term_set(t, 'v', t->registers[*letter - 'a']);
      WEFT_TRY(weft_term_let(t, *letter, "v i Gather/2"));
    }
  }
  return WEFT_OK;
}

#define HEADS(letter) letter " b " DIMS(letter, "-2") "Concat/2{axis=0} Reshape/2 "
/* For each value's head. */
#define BY_HEAD(letter) FLOAT(letter) "b n [-1] Concat/3{axis=0} Reshape/2 "

static weft_status read_delta_gates(weft_upgrade *u, weft_term *t) {
  bool softplus = weft_upgrade_is_string(u, "gate_activation", "softplus") ||
                  weft_upgrade_is_string(u, "gate_activation", "qwen"),
       bounded = weft_upgrade_is_string(u, "gate_activation", "sigmoid") ||
                 weft_upgrade_is_string(u, "gate_activation", "kda");
  if (has(u, 4)) {
    WEFT_TRY(weft_term_let(t, 'e', BY_HEAD("e")));
    if (softplus || bounded) {
      WEFT_TRY(weft_term_let(t, 'e', "e d n [-1] Concat/2{axis=0} Reshape/2 +"));
      WEFT_TRY(weft_term_let(t, 'h', "h [-1,1] Reshape/2 Exp"));
      WEFT_TRY(weft_term_let(t, 'e', softplus ? "e Softplus h * Neg" : "e h * Sigmoid @gate_lower_bound:-5 *"));
    }
    WEFT_TRY(weft_term_let(t, 'e', "e [0,0,-1] Reshape/2"));
  }
  if (has(u, 5)) {
    WEFT_TRY(weft_term_let(t, 'f', BY_HEAD("f") "[0,0,-1] Reshape/2"));
    if (weft_upgrade_is_string(u, "beta_activation", "sigmoid")) {
      WEFT_TRY(weft_term_let(t, 'f', "f Sigmoid"));
    }
  }
  return WEFT_OK;
}

static weft_status gated_delta_net(weft_upgrade *u) {
  static const char *const gone[] = {"beta_activation", "gate_activation", "gate_lower_bound", "qk_l2_norm"};
  weft_term t;
  int32_t old[2], made;
  WEFT_TRY(begin(u, 1, &t));
  bool ragged = has(u, 3);
  if (has(u, 9) || weft_upgrade_int(u, "state_update_capacity", 0) != 0) {
    return weft_upgrade_unsupported(u, "updates of the state (capture_count, state_update_capacity)");
  }
  if (!has(u, 6) && (!has(u, 1) || !has(u, 2) || (!ragged && u->graph->values[u->node->inputs[0]].info.rank == 3))) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "input initial_state is needed: it tells sequences apart");
  }
  t.like = -1;
  WEFT_TRY(ragged ? spread_sequences(u, &t) : WEFT_OK);
  WEFT_TRY(read_delta_inputs(u, &t));
  weft_term_set(&t, 'd', weft_upgrade_input(u, 8));
  WEFT_TRY(weft_term_let(&t, 'n', DIM("v", "-2", "-1")));
  WEFT_TRY(weft_term_let(&t, 'q', HEADS("q")));
  WEFT_TRY(weft_term_let(&t, 'b', "q Shape [0] [2] Slice/3"));
  WEFT_TRY(read_delta_gates(u, &t));
  WEFT_TRY(weft_term_let(&t, 'k', HEADS("k")));
  WEFT_TRY(weft_term_let(&t, 'v', HEADS("v")));
  if (weft_upgrade_int(u, "qk_l2_norm", 0) != 0) {
    WEFT_TRY(weft_term_let(&t, 'q', FLOAT("q") "q= q q q * [-1] ReduceSum/2 1e-12 + Sqrt / a CastLike/2"));
    WEFT_TRY(weft_term_let(&t, 'k', FLOAT("k") "k= k k k * [-1] ReduceSum/2 1e-12 + Sqrt / a CastLike/2"));
  }
  WEFT_TRY(weft_term_let(
      &t, 'k',
      "k [3] Unsqueeze/2 [1,1,1] n " DIM("k", "2", "3") "/ [1] Concat/3{axis=0} Expand/2 "
                                                        "b n " DIM("k", "3", "4") "Concat/3{axis=0} Reshape/2"));
  if (ragged) {
    WEFT_TRY(weft_term_let(&t, 'k', "m [3] Unsqueeze/2 k 0 k CastLike/2 Where/3"));
    WEFT_TRY(has(u, 4) ? weft_term_let(&t, 'e', "m e 0 Where/3") : WEFT_OK);
    WEFT_TRY(weft_term_let(&t, 's', "[-1] s [2] " END " Slice/3 Concat/2{axis=0}"));
  }
  if (has(u, 6)) {
    WEFT_TRY(weft_term_let(&t, 'g', "g Einsum{equation='bhvk->bhkv'}"));
  }
  WEFT_TRY(become(u, &t, "LinearAttention", has(u, 6) ? "qkvgef" : "qkv ef"));
  u->node->domain = "";
  for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
    weft_node_remove_attribute(u->node, gone[i]);
  }
  WEFT_TRY(weft_upgrade_replace_output(u, 0, &old[0]));
  int32_t rows = old[0];
  WEFT_TRY(ragged ? weft_graph_add_value(u->model, u->graph, "", &rows) : WEFT_OK);
  WEFT_TRY(weft_upgrade_after(u, "Reshape", 2, (int32_t[]){u->node->outputs[0], t.registers['s' - 'a']}, rows, NULL));
  if (ragged) {
    WEFT_TRY(weft_upgrade_after(u, "Gather", 2, (int32_t[]){rows, t.registers['o' - 'a']}, old[0], NULL));
  }
  if (weft_upgrade_output(u, 1) < 0) {
    return WEFT_OK;
  }
  weft_node *node;
  WEFT_TRY(weft_upgrade_replace_output(u, 1, &old[1]));
  WEFT_TRY(weft_graph_add_value(u->model, u->graph, "", &made));
  WEFT_TRY(weft_upgrade_after(u, "Transpose", 1, &u->node->outputs[1], made, &node));
  WEFT_TRY(weft_node_set_ints(u->model, node, "perm", 4, (int64_t[]){0, 1, 3, 2}));
  WEFT_TRY(weft_upgrade_after(u, "Cast", 1, &made, old[1], &node));
  return weft_node_set_int(u->model, node, "to", WEFT_FLOAT);
}

/* ---- texts of any lengths, one behind the other ----------------------------------------------------------------- */
/* Rows of a and of the pasts that belong before each text's, n for each, in their order. */
#define JOINED(pasts, rows)                                                                                            \
  pasts " " rows " Concat/2{axis=0} j= 0 j CastLike/2 j Shape Expand/2 z [-1] Reshape/2 w Concat/2{axis=0} "           \
        "[-1,1] Reshape/2 j ScatterND/3 "

/* u: where texts begin, and the end; becomes int64. q: the beginnings. Places among what is joined: w of a's rows, z of
 * the pasts' and y of the last ones, both by text. */
static weft_status let_places(weft_term *t) {
  WEFT_TRY(weft_term_let(t, 'u', "u Cast{to=7}"));
  WEFT_TRY(weft_term_let(t, 'p', ROW(DIM("a", "0", "1"))));
  WEFT_TRY(weft_term_let(t, 'q', "u [0] [-1] Slice/3"));
  WEFT_TRY(weft_term_let(t, 'u', "u [1] " END " Slice/3"));
  WEFT_TRY(weft_term_let(t, 'w',
                         "u [-1,1] Reshape/2 p Greater/2 Not Cast{to=7} [0] ReduceSum/2{keepdims=0} [1] + n * p + "
                         "[-1] Reshape/2"));
  WEFT_TRY(weft_term_let(t, 'z', ROW("q Shape ") "n * q + [-1,1] Reshape/2 " ROW("n ") "+"));
  return weft_term_let(t, 'y', "z u q - [-1,1] Reshape/2 +");
}

/* Pasts are such as long as the kernel reaches back, so that it never reads another text's rows. */
static weft_status varlen_causal_conv(weft_upgrade *u) {
  weft_term t;
  if (weft_upgrade_input(u, 4) < 0) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "input initial_state is missing");
  }
  if (u->node->input_count > 5 || u->node->output_count > 2) {
    return weft_upgrade_unsupported(u, "captured updates of the state");
  }
  WEFT_TRY(begin(u, 3, &t));
  WEFT_TRY(weft_term_let(&t, 'u', "c"));
  WEFT_TRY(weft_term_let(&t, 'n', DIM("b", "2", "3") "[1] - [@dilation:1] *"));
  WEFT_TRY(let_places(&t));
  WEFT_TRY(
      weft_term_let(&t, 'e', "e Einsum{equation='bcn->bnc'} [-1] " DIM("a", "1", "2") "Concat/2{axis=0} Reshape/2"));
  WEFT_TRY(weft_term_let(&t, 'x', JOINED("e", "a")));
  WEFT_TRY(give(u, &t, 1, "x y Gather/2 Einsum{equation='bnc->bcn'}"));
  WEFT_TRY(weft_term_let(&t, 'x', "x Transpose [0] Unsqueeze/2"));
  WEFT_TRY(weft_term_let(&t, 'x',
                         has(u, 3) ? "x b d CausalConvWithState/3{dilation=@dilation,activation=@activation}"
                                   : "x b CausalConvWithState/2{dilation=@dilation,activation=@activation}"));
  return give(u, &t, 0, "x [0] Squeeze/2 Transpose w Gather/2");
}

/* Numbers of the last words, in groups of 2 to n, for tables of embeddings; of a batch or of texts of any lengths. x: the
 * words with those before them, s: their segments, f: what stands for a word that is none of the group: of before the
 * text, or of before an end or another segment. m: the words so far, mixed; l: where the group is unbroken. */
static weft_status ngram_hash(weft_upgrade *u) {
  weft_term t;
  const bool packed = u->node->op_type[0] == 'V';
  int64_t most = weft_upgrade_int(u, "max_ngram_size", 0), heads = weft_upgrade_int(u, "n_head_per_ngram", 0);
  WEFT_TRY(begin(u, 3 + packed, &t));
  if (most < 2 || most > 64 || heads < 1 || heads > INT32_MAX) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL,
                     "attributes max_ngram_size and n_head_per_ngram: found %lld, %lld", (long long)most,
                     (long long)heads);
  }
  if (u->node->input_count > 9 || u->node->output_count > 3) {
    return weft_upgrade_unsupported(u, "captured updates of the state");
  }
  const int64_t before = most - 1, width = before * heads;
  WEFT_TRY(weft_term_list(&t, 'n', 1, &before));
  WEFT_TRY(weft_term_list(&t, 'o', 1, &width));
  WEFT_TRY(weft_term_let(&t, 'r', "a Shape o Concat/2{axis=0}"));
  for (int i = 3; packed && i < 9; i++) { /* inputs have the letters of the other operator's */
    weft_term_set(&t, i == 3 ? 'u' : (char)('a' + i - 1), weft_upgrade_input(u, i));
  }
  bool ends = has(u, 5 + packed) && weft_upgrade_int(u, "reset_on_eos", 0) != 0, segments = has(u, 6 + packed);
  if (!packed) {
    WEFT_TRY(weft_term_let(&t, 'u', ROW(DIM("a", "0", "1") "[1] + ") DIM("a", "1", "2") "* [-1] Reshape/2"));
    WEFT_TRY(weft_term_let(&t, 'a', "a [-1] Reshape/2"));
  }
  WEFT_TRY(let_places(&t));
  WEFT_TRY(weft_term_let(&t, 'f', has(u, 5 + packed) ? "f [] Reshape/2" : "[@pad_id] a CastLike/2 [] Reshape/2"));
  WEFT_TRY(weft_term_let(&t, 'd', has(u, 3 + packed) ? "d [-1] Reshape/2" : "f z Shape Expand/2 [-1] Reshape/2"));
  WEFT_TRY(weft_term_let(&t, 'x', JOINED("d", "a")));
  WEFT_TRY(give(u, &t, 1, "x y Gather/2"));
  if (segments) {
    WEFT_TRY(weft_term_let(&t, 'g', "g [-1] Reshape/2"));
    WEFT_TRY(weft_term_let(&t, 'h',
                           has(u, 7 + packed) ? "h [-1] Reshape/2"
                                              : "g q Gather/2 [-1,1] Reshape/2 z Shape Expand/2 [-1] Reshape/2"));
    WEFT_TRY(weft_term_let(&t, 's', JOINED("h", "g")));
    WEFT_TRY(give(u, &t, 2, "s y Gather/2"));
  }
  WEFT_TRY(weft_term_let(&t, 'm', "a b [0] Gather/2 *"));
  for (int64_t k = 1; k < most; k++) {
    const int64_t first = (k - 1) * heads, last = k * heads;
    WEFT_TRY(weft_term_list(&t, 'k', 1, &k));
    WEFT_TRY(weft_term_list(&t, 'p', 1, &first));
    WEFT_TRY(weft_term_list(&t, 'q', 1, &last));
    WEFT_TRY(weft_term_let(&t, 'v', "x w k - Gather/2"));
    for (int by = 0; by < 2; by++) { /* an end, then a segment */
      if (by == 0 ? ends : segments) {
        WEFT_TRY(
            weft_term_let(&t, 'j', by == 0 ? "v f Equal/2 Not" : "s w k - [1] + Gather/2 s w k - Gather/2 Equal/2"));
        WEFT_TRY(weft_term_let(&t, 'l', t.registers['l' - 'a'] < 0 ? "j" : "l j And/2"));
      }
    }
    if (ends || segments) {
      WEFT_TRY(weft_term_let(&t, 'v', "l v f Where/3"));
    }
    WEFT_TRY(weft_term_let(&t, 'm', "m v b k Gather/2 * BitwiseXor/2"));
    WEFT_TRY(weft_term_let(&t, 'h', "m [1] Unsqueeze/2 c p q Slice/3 Mod/2"));
    WEFT_TRY(weft_term_let(&t, 'o', k == 1 ? "h" : "o h Concat/2{axis=1}"));
  }
  WEFT_TRY(weft_term_let(&t, 'o', "o r Reshape/2{allowzero=1}"));
  return give(u, &t, 0, has(u, 4 + packed) ? "o e +" : "o");
}

#define FORM(name, rewrite) {"com.microsoft", name, WEFT_UPGRADE_ALWAYS, rewrite}
const weft_upgrade_row weft_upgrade_formulas[] = {
    FORM("BiasAdd", write_formula),
    FORM("BiasGelu", write_formula),
    FORM("BiasSoftmax", write_formula),
    FORM("BitmaskDropout", bitmask_dropout),
    FORM("BranchwiseRMSNorm", branchwise_norm),
    FORM("ComplexMul", write_formula),
    FORM("ComplexMulConj", write_formula),
    FORM("DecoderMaskedSelfAttention", decoder_masked),
    FORM("EngramGate", write_formula),
    FORM("FastGelu", fast_gelu),
    FORM("GatedAdd", gated_add),
    FORM("GatedDeltaNet", gated_delta_net),
    FORM("GatedRelativePositionBias", gated_position_bias),
    FORM("GemmFastGelu", gemm_fast_gelu),
    FORM("GemmaRotaryEmbedding", write_formula),
    FORM("HyperConnectionPostMix", post_mix),
    FORM("HyperConnectionPreMix", pre_mix),
    FORM("Irfft", irfft),
    FORM("IsAllFinite", is_all_finite),
    FORM("MoEGroupRouter", group_router),
    FORM("NGramHashMapping", ngram_hash),
    FORM("PackedAttention", packed_attention),
    FORM("PackedMultiHeadAttention", packed_multi_head),
    FORM("ReduceSumInteger", reduce_sum_integer),
    FORM("RelativePositionBias", write_formula),
    FORM("RemovePadding", write_formula),
    FORM("RestorePadding", write_formula),
    FORM("Rfft", rfft),
    FORM("SampleOp", write_formula),
    FORM("ScaledSiLU", scaled_silu),
    FORM("SparseAttention", sparse_attention),
    FORM("SwiGLU", swiglu),
    FORM("VarlenCausalConvWithState", varlen_causal_conv),
    FORM("VarlenNGramHashMapping", ngram_hash),
    FORM("WordConvEmbedding", write_formula),
    {NULL, NULL, 0, NULL},
};
