/* Every node is rewritten to the newest meaning of its operator at load, so that operators know one meaning only. The
 * rows are a table (upgrade.c): operator, the first version that has the new form, and the function that rewrites a
 * node of an older version into it. A node runs through all rows above its version, in order. */
#ifndef WEFT_GRAPH_UPGRADE_H
#define WEFT_GRAPH_UPGRADE_H

#include "edit.h"

/* All nodes of all graphs, before operators are looked up: outputs that a file leaves out at the end are still counted.
 */
weft_status weft_graph_upgrade(weft_model *model);

/* ---- for the rewriting functions ------------------------------------------------------------- */
/* The node at work, not yet part of the graph's new list of nodes. New nodes are put before it (weft_upgrade_before) or
 * after it (weft_upgrade_after), in the order of the calls. */
typedef struct weft_upgrade {
  weft_model *model;
  weft_graph *graph;
  weft_node *node;
  bool dropped; /* set by a rewriting function: the node itself is not needed any more */
  struct weft_node_list *done, *after;
  size_t block;        /* channels of a block in com.microsoft.nchwc, once it was found out; else 0 */
  bool *used;          /* per value that the graph had before: whether anything reads it; made at first use */
  weft_status refused; /* fails the upgrade once the function is done: an attribute was asked for as another kind */
} weft_upgrade;

typedef weft_status (*weft_upgrade_function)(weft_upgrade *u);

/* A version no file has: the operator is rewritten whatever the file's version, because it no longer exists. */
#define WEFT_UPGRADE_ALWAYS INT32_MAX

typedef struct weft_upgrade_row {
  const char *domain, *op_type;
  int version;
  weft_upgrade_function rewrite;
} weft_upgrade_row;

/* A new node of the default domain with these inputs (-1: absent) and one new value as output 0, which *out receives.
 * The node, valid until the next one is made, in *made unless that is NULL. */
weft_status weft_upgrade_before(weft_upgrade *u, const char *op_type, int inputs, const int32_t *values,
                                weft_node **made, int32_t *out);
/* As above, but after the node at work, and with `output` as its output. */
weft_status weft_upgrade_after(weft_upgrade *u, const char *op_type, int inputs, const int32_t *values, int32_t output,
                               weft_node **made);
/* A new value takes the place of the node's output i, which becomes *old: for weft_upgrade_after to make. */
weft_status weft_upgrade_replace_output(weft_upgrade *u, int i, int32_t *old);

/* New constants: a vector, or of integers also a scalar (rank 0). */
weft_status weft_upgrade_floats(weft_upgrade *u, size_t count, const float *values, int32_t *out);
weft_status weft_upgrade_ints(weft_upgrade *u, int rank, size_t count, const int64_t *values, int32_t *out);
/* A float of the element type that `like` turns out to have. */
weft_status weft_upgrade_float_like(weft_upgrade *u, float value, int32_t like, int32_t *out);

/* Input i becomes `v`, which the attribute says, and the attribute is gone. Fails where the node has such an input. */
weft_status weft_upgrade_to_input(weft_upgrade *u, const char *name, int i, int32_t v);
/* The same for an ints attribute (or an int, as a vector of one); nothing happens where it is absent or, with
 * `skip_empty`, empty. */
weft_status weft_upgrade_ints_to_input(weft_upgrade *u, const char *name, int i, bool skip_empty);

/* "node ... (Operator): not supported: ..." */
#define weft_upgrade_unsupported(u, ...) weft_fail((u)->model->cx, WEFT_UNSUPPORTED, "not supported: " __VA_ARGS__)

int64_t weft_upgrade_int(weft_upgrade *u, const char *name, int64_t fallback);
float weft_upgrade_real(weft_upgrade *u, const char *name, float fallback);
int32_t weft_upgrade_input(const weft_upgrade *u, int i);  /* -1: absent */
int32_t weft_upgrade_output(const weft_upgrade *u, int i); /* -1: absent */
/* Whether anything reads the value that is output i. */
weft_status weft_upgrade_is_used(weft_upgrade *u, int i, bool *out);
bool weft_upgrade_is_string(weft_upgrade *u, const char *name, const char *value);

/* The rows, one file a family, those of one operator next to each other and in order; each list ends with a NULL
 * operator. */
extern const weft_upgrade_row weft_upgrade_math[];
extern const weft_upgrade_row weft_upgrade_shape[];
extern const weft_upgrade_row weft_upgrade_neural[];
extern const weft_upgrade_row weft_upgrade_control[];
extern const weft_upgrade_row weft_upgrade_legacy[];
extern const weft_upgrade_row weft_upgrade_microsoft[];
extern const weft_upgrade_row weft_upgrade_blocked[];
extern const weft_upgrade_row weft_upgrade_formulas[];

#endif
