/* What an operator is to the rest of Weft, and all it may use. An operator is two functions and one line in ops.def:
 *
 *   infer  checks the inputs' types and shapes and the attributes, and sets the outputs' types and shapes. Called while
 *          planning (inputs may have no data) and, for shapes that depend on values, again while running.
 *   run    fills the outputs, which have memory, but for caches that may grow (weft_op_grow). It may rely on all that
 *          infer checked, but must check values it meets (indices, divisors).
 *
 * and optionally `prepare`, once per node at load, to pack constant weights or parse attributes into node->state.
 * An operator knows its inputs, outputs and attributes, never the graph around them. */
#ifndef WEFT_OPS_OP_H
#define WEFT_OPS_OP_H

#include "../base/parallel.h"
#include "../graph/graph.h"
#include "variants.h"

typedef struct weft_op weft_op;

typedef weft_status (*weft_op_function)(weft_op *op);

enum {
  WEFT_OP_INPLACE = 1, /* run tolerates an output in the memory of any input of the same shape and element size */
  WEFT_OP_VIEW = 2,    /* output 0 is input 0's data under another shape: run is not called when memory can be shared */
  WEFT_OP_SHAPE_ONLY = 4,      /* never reads its inputs' elements (Shape, Size): may be computed while planning */
  WEFT_OP_NOT_PURE = 8,        /* random, or has a state: never folded, never merged */
  WEFT_OP_SUBGRAPH = 16,       /* runs subgraphs */
  WEFT_OP_FIRST_OPTIONAL = 32, /* output 0 may be absent; of all others it is required, which is checked at load */
  WEFT_OP_CONTINUES =
      64, /* output 0 is input 0 and then more along one axis; knows when the elements are there, or apart */
  WEFT_OP_READS_CACHES = 128, /* inputs 1 and 2, [batch, heads, rows, size], may have heads apart */
  /* Times n: outputs 1 and 2 are inputs n and n + 1 and then more rows; knows when those are there, or apart. */
  WEFT_OP_PASTS = 256
};

typedef struct weft_op_def {
  const char *domain, *name;
  int version; /* the opset version whose meaning is implemented; older nodes are upgraded to it */
  weft_op_function infer;
  weft_op_function prepare; /* weft_no_prepare: nothing to do */
  weft_op_function run;
  int variant; /* tells members of a family apart */
  unsigned flags;
} weft_op_def;

/* The row of (domain, name), or NULL. The default domain is "" (also written "ai.onnx"). */
const weft_op_def *weft_op_find(const char *domain, const char *name);
/* By its place in ops.def; NULL beyond the last. */
const weft_op_def *weft_op_at(size_t index);

/* What the executor offers an operator beyond memory: filled in by session/, NULL while planning. */
typedef struct weft_op_host {
  /* Runs a subgraph of op's node. `inputs` are borrowed; `outputs` receives graph->output_count new references. */
  weft_status (*run_graph)(weft_op *op, weft_graph *graph, size_t input_count, weft_value *const *inputs,
                           weft_value **outputs);
  /* What the subgraph's outputs would be, by the types and shapes of `inputs` alone: as above, but nothing runs, their
   * elements are not to be read, and what does not follow from these is NULL. */
  weft_status (*infer_graph)(weft_op *op, weft_graph *graph, size_t input_count, weft_value *const *inputs,
                             weft_value **outputs);
  void *state;
} weft_op_host;

struct weft_op {
  weft_context *cx;
  const weft_op_def *def;
  weft_node *node;
  int input_count, output_count;
  weft_value **inputs;  /* NULL: absent */
  weft_value **outputs; /* NULL: not wanted (absent in the node) */
  weft_scratch *scratch;
  weft_strings **strings; /* the run's pool, made at first use */
  uint64_t *random;       /* the session's generator state, for nodes without a seed */
  const weft_op_host *host;
  const weft_attribute **misfit; /* becomes an attribute that was asked for as another kind than the node has */
  uint32_t dropped;              /* bit i: weft_op_drop_constant(op, i) was called */
};

/* Calls one of def's functions; fails as well where it met an attribute of another kind than the operator has. */
weft_status weft_op_call(weft_op *op, weft_op_function function);

/* ---- inputs ------------------------------------------------------------------------------------------------------ */
/* Input i as a tensor, or NULL when it is absent. */
const weft_tensor *weft_op_in(const weft_op *op, int i);
/* The same, but the whole block where a tensor's heads lie apart in one (weft_value_block). */
const weft_tensor *weft_op_in_block(const weft_op *op, int i);
static inline bool weft_op_has(const weft_op *op, int i) {
  return weft_op_in(op, i) != NULL;
}
/* Fails unless there are at least `min` inputs present (0..min-1 not absent), at most `max`, all tensors. */
weft_status weft_op_expect_inputs(weft_op *op, int min, int max);
/* Fails unless input i, if present, has one of `types` (bit mask). `name` is the input's name in the specification. */
weft_status weft_op_expect_type(weft_op *op, int i, const char *name, uint32_t types);
/* Fails unless inputs i and j have the same type. */
weft_status weft_op_expect_same_type(weft_op *op, int i, int j);
/* Fails unless input i has min <= rank <= max. */
weft_status weft_op_expect_rank(weft_op *op, int i, const char *name, int min, int max);
weft_status weft_op_expect_count(weft_op *op, int i, const char *name, size_t count); /* of elements */
/* The elements of an integer input (any integer type; rank 0 or 1) as int64; WEFT_DEFERRED when not yet known. At most
 * `capacity` elements, otherwise an error. An absent input gives count 0. */
weft_status weft_op_ints(weft_op *op, int i, const char *name, size_t capacity, int64_t *out, size_t *count);
/* One number, or `fallback` when absent; WEFT_DEFERRED when not yet known. Any integer or floating type. */
weft_status weft_op_scalar_int(weft_op *op, int i, const char *name, int64_t fallback, int64_t *out);
weft_status weft_op_scalar_float(weft_op *op, int i, const char *name, double fallback, double *out);
/* axis in [-rank, rank-1] made non-negative; fails with a sentence that names `name` otherwise. */
weft_status weft_op_axis(weft_op *op, const char *name, int64_t axis, int rank, int *out);
/* The same for a list; duplicates fail. flags[d] tells whether d is in the list; flags has `rank` entries. */
weft_status weft_op_axes(weft_op *op, const char *name, size_t count, const int64_t *axes, int rank, bool *flags);

/* ---- attributes -------------------------------------------------------------------------------------------------- */
/* Fails where the attribute is absent: its operator has no default for it. */
weft_status weft_op_attr_needed(const weft_op *op, const char *name);
int64_t weft_op_attr_int(const weft_op *op, const char *name, int64_t fallback);
/* Fails outside [least, most]; `most` INT64_MAX: there is none. */
weft_status weft_op_attr_within(const weft_op *op, const char *name, int64_t fallback, int64_t least, int64_t most,
                                int64_t *out);
float weft_op_attr_float(const weft_op *op, const char *name, float fallback);
/* Zero-terminated; `fallback` may be NULL. */
const char *weft_op_attr_string(const weft_op *op, const char *name, const char *fallback);
/* Which of the words of `choices`, one space apart, the text is, counted from 0; `fallback` where it is absent, below 0: it
 * must be there. Any other text fails. */
weft_status weft_op_choice(const weft_op *op, const char *name, const char *choices, int fallback, int *out);
/* The list, or NULL with count 0 when absent. */
const int64_t *weft_op_attr_ints(const weft_op *op, const char *name, size_t *count);
const float *weft_op_attr_floats(const weft_op *op, const char *name, size_t *count);
const weft_string *weft_op_attr_strings(const weft_op *op, const char *name, size_t *count);
const weft_tensor *weft_op_attr_tensor(const weft_op *op, const char *name);
weft_graph *weft_op_attr_graph(const weft_op *op, const char *name);

/* ---- outputs ----------------------------------------------------------------------------------------------------- */
/* In infer: sets output i's type and shape; checks that the count and bytes do not overflow. An output that is not wanted
 * is skipped. */
weft_status weft_op_set(weft_op *op, int i, weft_type type, const weft_shape *shape);
weft_status weft_op_set_like(weft_op *op, int i, const weft_tensor *like);
/* In run, only where infer said WEFT_DEFERRED although all inputs were known: type, shape and memory of output i. */
weft_status weft_op_allocate(weft_op *op, int i, weft_type type, const weft_shape *shape);
/* In run: output i becomes `value` (the reference is taken over, also on failure): sequences, maps, optionals, and
 * tensors made elsewhere. infer must have said WEFT_DEFERRED. */
weft_status weft_op_put(weft_op *op, int i, weft_value *value);
/* In run: memory for output i, if it has none yet, as where it is a cache that may grow (WEFT_OP_CONTINUES,
 * WEFT_OP_PASTS). If `appends`, the output being all rows of input `past` and perhaps more, that may be the memory of
 * those rows. */
weft_status weft_op_grow(weft_op *op, int i, int past, bool appends);
/* Output i's tensor, or NULL when it is not wanted. */
weft_tensor *weft_op_out(const weft_op *op, int i);
/* A copy of `size` bytes that lives as long as the strings of this run's values. */
weft_status weft_op_string(weft_op *op, const char *data, size_t size, weft_string *out);

/* ---- while running ----------------------------------------------------------------------------------------------- */
/* Memory until run returns; aligned to 16 bytes, not zeroed. */
weft_status weft_op_scratch(weft_op *op, size_t size, void **out);
weft_status weft_op_scratch_array(weft_op *op, size_t count, size_t size, void **out); /* count * size bytes */
weft_status weft_op_scratch_floats(weft_op *op, size_t rows, size_t columns, float **out);
/* Memory for node->state, counted and freed with the model: one flat block (no pointers to other blocks inside). */
weft_status weft_op_state(weft_op *op, size_t size, void **out);
/* In prepare: whether input i is a constant, so that it may be packed. */
bool weft_op_is_constant(const weft_op *op, int i);
/* In prepare: the packed form in node->state replaces constant input i; its memory is given back when no other node
 * reads it. Afterwards the input has its type and shape but data == NULL. */
void weft_op_drop_constant(weft_op *op, int i);
/* In prepare: how many read constant input i, with this node: if more than one, dropping it gives nothing back. */
size_t weft_op_readers(const weft_op *op, int i);
/* In prepare: constant input i's own memory becomes node->state, to be packed where it lies; as after dropping it, the
 * input has its type and shape left. Only where it may be taken, since no file or caller owns it, and nothing else reads
 * it, or all who do agree on what it becomes. */
bool weft_op_may_take(const weft_op *op, int i);
void *weft_op_take_constant(weft_op *op, int i);

/* Forms of constants that operators of one kind share. */
enum {
  WEFT_FORM_PANELS = 1,
  WEFT_FORM_PANELS_OF_TRANSPOSE,
  WEFT_FORM_RECURRENT /* this and all beyond: recurrent.c's */
};
/* In prepare: this node could read constant input i in that form. True once all of its readers could: then
 * weft_op_replace gives them its elements, a block that the constant owns from now on. */
bool weft_op_agree(const weft_op *op, int i, uint8_t form);
void weft_op_replace(const weft_op *op, int i, uint8_t form, void *block);
/* In run: the form of input i; 0 where it is as in the file. */
uint8_t weft_op_form(const weft_op *op, int i);

/* ---- failures ---------------------------------------------------------------------------------------------------- */
/* As weft_fail: of a model that is wrong, and of values that only a run meets. A sentence names the input by its name in
 * the specification and says what was expected and what was found; node and operator are put in front. */
weft_status weft_op_fail(const weft_op *op, const char *format, ...) WEFT_PRINTF(2, 3);
weft_status weft_op_run_fail(const weft_op *op, const char *format, ...) WEFT_PRINTF(2, 3);
#define weft_op_unsupported(op, ...) weft_fail((op)->cx, WEFT_UNSUPPORTED, "not supported: " __VA_ARGS__)

/* ---- infer functions that many operators share ------------------------------------------------------------------- */
weft_status weft_infer_same(weft_op *op);      /* output 0 like input 0 (1..n inputs) */
weft_status weft_infer_broadcast(weft_op *op); /* all inputs one type, broadcast; output 0 of that type */
weft_status weft_infer_compare(weft_op *op);   /* as broadcast, output 0 is bool */
weft_status weft_infer_deferred(weft_op *op);  /* run decides */
weft_status weft_no_prepare(weft_op *op);

#endif
