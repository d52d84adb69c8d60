/* If, Loop, Scan, SequenceMap: operators that run a subgraph of their node. The executor binds what a subgraph
 * captures; here its own inputs are fed, its outputs are carried from one turn to the next, and what each turn yields
 * is kept until the end, when it is stacked (Loop, Scan) or put in a sequence (SequenceMap). */
#include "op.h"
#include "strided.h"

#include <string.h>

/* A subgraph that is run turn after turn. */
typedef struct turns {
  weft_op *op;
  weft_graph *body;
  size_t carried;      /* values that go from turn to turn */
  size_t yields;       /* outputs kept from every turn */
  size_t first;        /* the body's first carried output; yields follow the carried ones */
  weft_value **state;  /* the carried values */
  weft_value **inputs; /* for one turn */
  weft_value **own;    /* the inputs that are made for each turn, which are freed at the end */
  size_t own_count;
  weft_value **outputs;  /* of one turn */
  weft_value **kept;     /* yields of all turns, turn after turn */
  size_t capacity, done; /* kept has room for `capacity` values; turns done */
} turns;

static void release_all(weft_value **values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    weft_value_release(values[i]);
    values[i] = NULL;
  }
}

static weft_status zeroed_values(weft_op *op, size_t count, weft_value ***out) {
  void *block;
  WEFT_TRY(weft_op_scratch(op, (count + 1) * sizeof(weft_value *), &block));
  memset(block, 0, (count + 1) * sizeof(weft_value *));
  *out = block;
  return WEFT_OK;
}

static weft_status read_body(weft_op *op, const char *name, weft_graph **out) {
  *out = weft_op_attr_graph(op, name);
  return *out == NULL ? weft_op_fail(op, "attribute %s: expected a graph", name) : WEFT_OK;
}

/* `lead` is how many inputs and outputs of the body come before the carried ones in both lists (inputs: lead_inputs).
 */
static weft_status begin_turns(weft_op *op, size_t lead_inputs, size_t lead_outputs, size_t carried, size_t fed,
                               turns *t) {
  weft_graph *body = t->body;
  t->op = op;
  t->carried = carried;
  t->first = lead_outputs;
  if (body->input_count != lead_inputs + carried + fed) {
    return weft_op_fail(op, "body: expected %zu inputs, found %zu", lead_inputs + carried + fed, body->input_count);
  }
  if (body->output_count < lead_outputs + carried || (size_t)op->output_count + lead_outputs > body->output_count) {
    return weft_op_fail(op, "body: %zu outputs do not go with %zu carried values and %d outputs of the node",
                        body->output_count, carried, op->output_count);
  }
  t->yields = body->output_count - lead_outputs - carried;
  WEFT_TRY(zeroed_values(op, carried, &t->state));
  WEFT_TRY(zeroed_values(op, body->input_count, &t->inputs));
  return zeroed_values(op, body->output_count, &t->outputs);
}

static weft_status keep_state(turns *t, weft_value *const *values) {
  for (size_t i = 0; i < t->carried; i++) {
    if (values[i] == NULL) {
      return weft_op_fail(t->op, "the initial value of carried value %zu is missing", i);
    }
    WEFT_TRY(weft_value_keep(t->op->cx, values[i], &t->state[i]));
  }
  return WEFT_OK;
}

/* Runs the body on t->inputs, takes its carried outputs over as the new state and keeps its yields. */
static weft_status one_turn(turns *t) {
  weft_op *op = t->op;
  void *kept = t->kept;
  if (op->cx->cancelled) {
    return weft_fail(op->cx, WEFT_CANCELLED, "the run was cancelled");
  }
  WEFT_TRY(weft_grow(op->cx, &kept, &t->capacity, (t->done + 1) * t->yields, sizeof(weft_value *)));
  t->kept = kept;
  for (size_t i = 0; i < t->carried; i++) {
    t->state[i]->spent = t->state[i]->refs == 1;
  }
  WEFT_TRY(op->host->run_graph(op, t->body, t->body->input_count, t->inputs, t->outputs));
  for (size_t i = 0; i < t->carried; i++) {
    weft_value_release(t->state[i]);
    t->state[i] = t->outputs[t->first + i];
    t->state[i]->spent = false;
    t->outputs[t->first + i] = NULL;
  }
  for (size_t i = 0; i < t->yields; i++) {
    t->kept[t->done * t->yields + i] = t->outputs[t->first + t->carried + i];
    t->outputs[t->first + t->carried + i] = NULL;
  }
  t->done++;
  return WEFT_OK;
}

/* Memory for own input i: the last turn's, unless its body passed that on. */
static weft_status own_input(turns *t, size_t i, weft_type type, const weft_shape *shape, void **data) {
  weft_value **own = &t->own[i];
  if (*own == NULL || (*own)->refs > 1) {
    weft_value_release(*own);
    WEFT_TRY(weft_value_new_tensor(t->op->cx, type, shape, own));
  }
  *data = (*own)->tensor.data;
  return WEFT_OK;
}

static void end_turns(turns *t) {
  release_all(t->own, t->own_count);
  if (t->state != NULL) {
    release_all(t->state, t->carried);
  }
  if (t->outputs != NULL) {
    release_all(t->outputs, t->body->output_count);
  }
  release_all(t->kept, t->done * t->yields);
  weft_free(t->kept);
}

/* t->outputs become what is known of those of a turn on t->inputs. */
static weft_status infer_turn(turns *t) {
  return t->op->host->infer_graph(t->op, t->body, t->body->input_count, t->inputs, t->outputs);
}

/* The shape and type of a yield that no turn has made: those that one would have had or, where they depend on elements,
 * what the body declares, unknown dims being 0, and an unknown rank what `axis` asks for. */
static weft_status expected_yield(turns *t, size_t yield, int64_t axis, weft_type *type, weft_shape *shape) {
  const weft_slot *slot = &t->body->values[t->body->outputs[t->first + t->carried + yield]];
  const weft_value *inferred = t->outputs[t->first + t->carried + yield];
  if (inferred != NULL && inferred->kind == WEFT_KIND_TENSOR) {
    *type = inferred->tensor.type;
    *shape = inferred->tensor.shape;
    return WEFT_OK;
  }
  int64_t asked = axis < 0 ? -(axis + 1) : axis;
  *type = slot->info.type;
  *shape = (weft_shape){asked < WEFT_MAX_RANK ? (int)asked : 0, {0}};
  if (slot->info.rank >= 0) {
    shape->rank = slot->info.rank;
  }
  if (slot->info.kind != WEFT_KIND_TENSOR || *type == WEFT_UNDEFINED) {
    return weft_op_unsupported(t->op, "the body never ran and does not declare the type of its output '%s'",
                               slot->name);
  }
  for (int d = 0; d < shape->rank; d++) {
    shape->dims[d] = slot->info.dims[d] < 0 ? 0 : slot->info.dims[d];
  }
  return WEFT_OK;
}

static weft_status check_yields(turns *t, size_t yield, const weft_tensor **first) {
  for (size_t n = 0; n < t->done; n++) {
    const weft_value *value = t->kept[n * t->yields + yield];
    if (value->kind != WEFT_KIND_TENSOR) {
      return weft_op_run_fail(t->op, "scan output %zu: expected tensors, found another kind of value", yield);
    }
    *first = n == 0 ? &value->tensor : *first;
    if (value->tensor.type != (*first)->type || !weft_shape_equal(&value->tensor.shape, &(*first)->shape)) {
      char a[96], b[96];
      return weft_op_run_fail(t->op, "scan output %zu: turn %zu yielded %s %s after %s %s", yield, n,
                              weft_type_name(value->tensor.type), weft_shape_print(&value->tensor.shape, a, sizeof a),
                              weft_type_name((*first)->type), weft_shape_print(&(*first)->shape, b, sizeof b));
    }
  }
  return WEFT_OK;
}

/* Stacks the yields of all turns along a new axis into output i. */
static weft_status stack_yields(turns *t, size_t yield, int i, int64_t axis_wanted, bool reverse) {
  weft_op *op = t->op;
  const weft_tensor *first = NULL;
  weft_type type;
  weft_shape shape;
  int axis;
  WEFT_TRY(check_yields(t, yield, &first));
  if (first == NULL) {
    WEFT_TRY(expected_yield(t, yield, axis_wanted, &type, &shape));
  } else {
    type = first->type;
    shape = first->shape;
  }
  if (shape.rank == WEFT_MAX_RANK) {
    return weft_op_unsupported(op, "at most %d dims are supported in a scan output", WEFT_MAX_RANK);
  }
  WEFT_TRY(weft_op_axis(op, "scan_output_axes", axis_wanted, shape.rank + 1, &axis));
  size_t outer = weft_shape_product(&shape, 0, axis), inner = weft_shape_product(&shape, axis, shape.rank);
  memmove(shape.dims + axis + 1, shape.dims + axis, (size_t)(shape.rank - axis) * sizeof *shape.dims);
  shape.dims[axis] = (int64_t)t->done;
  shape.rank++;
  WEFT_TRY(weft_op_allocate(op, i, type, &shape));
  weft_tensor *out = weft_op_out(op, i);
  size_t run = inner * weft_type_size(type);
  for (size_t n = 0; out != NULL && n < t->done; n++) {
    const char *from = t->kept[n * t->yields + yield]->tensor.data;
    size_t place = reverse ? t->done - 1 - n : n;
    for (size_t o = 0; o < outer; o++) {
      memcpy((char *)out->data + (o * t->done + place) * run, from + o * run, run);
    }
  }
  return WEFT_OK;
}

/* Hands the carried values over as the node's first outputs. */
static weft_status put_state(turns *t) {
  for (size_t i = 0; i < t->carried && i < (size_t)t->op->output_count; i++) {
    weft_value *value = t->state[i];
    t->state[i] = NULL;
    WEFT_TRY(weft_op_put(t->op, (int)i, value));
  }
  return WEFT_OK;
}

/* ---- If ---------------------------------------------------------------------------------------------------------- */
weft_status weft_if_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "cond", WEFT_TYPE_BIT(WEFT_BOOL)));
  int64_t condition;
  weft_graph *branches[2];
  weft_value **outputs;
  WEFT_TRY(weft_op_scalar_int(op, 0, "cond", 0, &condition));
  WEFT_TRY(read_body(op, "else_branch", &branches[0]));
  WEFT_TRY(read_body(op, "then_branch", &branches[1]));
  weft_graph *branch = branches[condition != 0];
  if (branch->input_count != 0 || branch->output_count < (size_t)op->output_count) {
    return weft_op_fail(op, "%s: expected no inputs and %d outputs, found %zu and %zu",
                        condition != 0 ? "then_branch" : "else_branch", op->output_count, branch->input_count,
                        branch->output_count);
  }
  WEFT_TRY(zeroed_values(op, branch->output_count, &outputs));
  WEFT_TRY(op->host->run_graph(op, branch, 0, outputs, outputs));
  weft_status status = WEFT_OK;
  for (int i = 0; i < op->output_count && status == WEFT_OK; i++) {
    weft_value *value = outputs[i];
    outputs[i] = NULL;
    status = weft_op_put(op, i, value);
  }
  release_all(outputs, branch->output_count);
  return status;
}

/* ---- Loop -------------------------------------------------------------------------------------------------------- */
static weft_status loop_inputs(turns *t, int64_t n) {
  const weft_shape scalar = {0, {0}};
  void *turn, *condition;
  WEFT_TRY(own_input(t, 0, WEFT_INT64, &scalar, &turn));
  WEFT_TRY(own_input(t, 1, WEFT_BOOL, &scalar, &condition));
  *(int64_t *)turn = n;
  *(uint8_t *)condition = 1;
  memcpy(t->inputs + 2, t->state, t->carried * sizeof *t->state);
  return WEFT_OK;
}

static weft_status loop_turn(turns *t, int64_t n, bool *go_on) {
  weft_op *op = t->op;
  WEFT_TRY(loop_inputs(t, n));
  WEFT_TRY(one_turn(t));
  const weft_value *next = t->outputs[0];
  if (next->kind != WEFT_KIND_TENSOR || next->tensor.type != WEFT_BOOL || next->tensor.count != 1) {
    return weft_op_run_fail(op, "body: the first output, the condition, is not one bool");
  }
  *go_on = *(const uint8_t *)next->tensor.data != 0;
  release_all(t->outputs, 1);
  return WEFT_OK;
}

static weft_status run_loop(turns *t) {
  weft_op *op = t->op;
  int64_t limit, condition;
  WEFT_TRY(weft_op_scalar_int(op, 0, "M", INT64_MAX, &limit));
  WEFT_TRY(weft_op_scalar_int(op, 1, "cond", 1, &condition));
  size_t carried = op->input_count > 2 ? (size_t)op->input_count - 2 : 0;
  WEFT_TRY(begin_turns(op, 2, 1, carried, 0, t));
  t->own = t->inputs;
  t->own_count = 2;
  WEFT_TRY(keep_state(t, op->inputs + 2));
  bool go_on = condition != 0;
  for (int64_t n = 0; n < limit && go_on; n++) {
    WEFT_TRY(loop_turn(t, n, &go_on));
  }
  if (t->done == 0 && t->yields > 0) {
    WEFT_TRY(loop_inputs(t, 0));
    WEFT_TRY(infer_turn(t));
  }
  for (size_t i = carried; i < (size_t)op->output_count; i++) {
    if (op->outputs[i] != NULL) {
      WEFT_TRY(stack_yields(t, i - carried, (int)i, 0, false));
    }
  }
  return put_state(t);
}

weft_status weft_loop_run(weft_op *op) {
  turns t = {.op = op};
  WEFT_TRY(weft_op_expect_type(op, 0, "M", WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(weft_op_expect_type(op, 1, "cond", WEFT_TYPE_BIT(WEFT_BOOL)));
  WEFT_TRY(read_body(op, "body", &t.body));
  weft_status status = run_loop(&t);
  end_turns(&t);
  return status;
}

/* ---- Scan -------------------------------------------------------------------------------------------------------- */
/* Entry i of an optional list attribute of `expected` entries. */
static weft_status list_entry(weft_op *op, const char *name, size_t expected, size_t i, int64_t *out) {
  size_t count;
  const int64_t *list = weft_op_attr_ints(op, name, &count);
  if (list != NULL && count != expected) {
    return weft_op_fail(op, "%s: expected %zu entries, found %zu", name, expected, count);
  }
  *out = list == NULL ? 0 : list[i];
  return WEFT_OK;
}

/* A scan input. */
typedef struct scan {
  const weft_tensor *in;
  int axis;
  int64_t reverse;
} scan;

/* Own input i is place `at` of its scan input, a tensor of one dimension less; if that is empty, only the shape counts. */
static weft_status slice_input(turns *t, size_t i, const scan *from, size_t at) {
  const weft_tensor *in = from->in;
  weft_shape shape = in->shape;
  void *data;
  int axis = from->axis;
  size_t outer = weft_shape_product(&shape, 0, axis), dim = (size_t)shape.dims[axis];
  size_t run = weft_shape_product(&shape, axis + 1, shape.rank) * weft_type_size(in->type);
  memmove(shape.dims + axis, shape.dims + axis + 1, (size_t)(shape.rank - axis - 1) * sizeof *shape.dims);
  shape.rank--;
  WEFT_TRY(own_input(t, i, in->type, &shape, &data));
  for (size_t o = 0; o < outer && dim > 0; o++) {
    memcpy((char *)data + o * run, (const char *)in->data + (o * dim + at) * run, run);
  }
  return WEFT_OK;
}

static weft_status scan_inputs(turns *t, const scan *scans, size_t scanned, size_t length, size_t n) {
  memcpy(t->inputs, t->state, t->carried * sizeof *t->state);
  for (size_t i = 0; i < scanned; i++) {
    WEFT_TRY(slice_input(t, i, &scans[i], scans[i].reverse != 0 ? length - 1 - n : n));
  }
  return WEFT_OK;
}

/* Scan input i, and how many turns it is good for. */
static weft_status read_scan(turns *t, size_t i, scan *to, int64_t *length) {
  weft_op *op = t->op;
  int64_t wanted;
  to->in = weft_op_in(op, (int)(t->carried + i));
  if (to->in == NULL) {
    return weft_op_fail(op, "scan input %zu: expected a tensor", i);
  }
  WEFT_TRY(list_entry(op, "scan_input_axes", t->own_count, i, &wanted));
  WEFT_TRY(weft_op_axis(op, "scan_input_axes", wanted, to->in->shape.rank, &to->axis));
  *length = to->in->shape.dims[to->axis];
  return list_entry(op, "scan_input_directions", t->own_count, i, &to->reverse);
}

static weft_status run_scan(turns *t, size_t scanned) {
  weft_op *op = t->op;
  int64_t length = 0;
  void *scans;
  WEFT_TRY(begin_turns(op, 0, 0, (size_t)op->input_count - scanned, scanned, t));
  t->own = t->inputs + t->carried;
  t->own_count = scanned;
  WEFT_TRY(keep_state(t, op->inputs));
  WEFT_TRY(weft_op_scratch(op, scanned * sizeof(scan), &scans));
  for (size_t i = 0; i < scanned; i++) {
    scan *one = (scan *)scans + i;
    int64_t own;
    WEFT_TRY(read_scan(t, i, one, &own));
    if (i > 0 && own != length) {
      return weft_op_fail(op, "scan input %zu: expected %lld entries along axis %d as in scan input 0, found %lld", i,
                          (long long)length, one->axis, (long long)own);
    }
    length = own;
  }
  for (size_t n = 0; n < (size_t)length; n++) {
    WEFT_TRY(scan_inputs(t, scans, scanned, (size_t)length, n));
    WEFT_TRY(one_turn(t));
  }
  if (t->done == 0 && t->yields > 0) {
    WEFT_TRY(scan_inputs(t, scans, scanned, 0, 0));
    WEFT_TRY(infer_turn(t));
  }
  for (size_t i = t->carried; i < (size_t)op->output_count; i++) {
    int64_t axis, reverse;
    WEFT_TRY(list_entry(op, "scan_output_axes", t->yields, i - t->carried, &axis));
    WEFT_TRY(list_entry(op, "scan_output_directions", t->yields, i - t->carried, &reverse));
    if (op->outputs[i] != NULL) {
      WEFT_TRY(stack_yields(t, i - t->carried, (int)i, axis, reverse != 0));
    }
  }
  return put_state(t);
}

weft_status weft_scan_run(weft_op *op) {
  turns t = {.op = op};
  int64_t scanned = weft_op_attr_int(op, "num_scan_inputs", 0);
  WEFT_TRY(read_body(op, "body", &t.body));
  if (scanned < 1 || scanned > op->input_count) {
    return weft_op_fail(op, "num_scan_inputs: %lld does not go with %d inputs", (long long)scanned, op->input_count);
  }
  weft_status status = run_scan(&t, (size_t)scanned);
  end_turns(&t);
  return status;
}

/* ---- SequenceMap ------------------------------------------------------------------------------------------------- */
/* The body's inputs for turn n: item n of every sequence, tensors as they are. */
static weft_status map_inputs(turns *t, size_t n) {
  weft_op *op = t->op;
  for (int i = 0; i < op->input_count; i++) {
    weft_value *in = op->inputs[i];
    t->inputs[i] = in->kind == WEFT_KIND_SEQUENCE ? in->items[n] : in;
  }
  return one_turn(t);
}

static weft_status put_yields(turns *t, int i) {
  weft_op *op = t->op;
  weft_value *sequence;
  weft_type type = t->body->values[t->body->outputs[i]].info.type;
  if (t->done > 0) {
    type = t->kept[i]->tensor.type;
  }
  WEFT_TRY(weft_value_new_sequence(op->cx, type, t->done, &sequence));
  for (size_t n = 0; n < t->done; n++) {
    weft_value **kept = &t->kept[n * t->yields + (size_t)i];
    sequence->items[n] = *kept;
    *kept = NULL;
  }
  return weft_op_put(op, i, sequence);
}

static weft_status run_map(turns *t) {
  weft_op *op = t->op;
  WEFT_TRY(begin_turns(op, 0, 0, 0, (size_t)op->input_count, t));
  size_t length = op->inputs[0]->item_count;
  for (int i = 1; i < op->input_count; i++) {
    const weft_value *in = op->inputs[i];
    if (in == NULL || (in->kind == WEFT_KIND_SEQUENCE && in->item_count != length)) {
      return weft_op_fail(op, "input %d: expected a tensor or a sequence of %zu items", i, length);
    }
  }
  for (size_t n = 0; n < length; n++) {
    WEFT_TRY(map_inputs(t, n));
  }
  for (int i = 0; i < op->output_count; i++) {
    WEFT_TRY(put_yields(t, i));
  }
  return WEFT_OK;
}

weft_status weft_sequence_map_run(weft_op *op) {
  turns t = {.op = op};
  WEFT_TRY(read_body(op, "body", &t.body));
  if (op->input_count < 1 || op->inputs[0] == NULL || op->inputs[0]->kind != WEFT_KIND_SEQUENCE) {
    return weft_op_fail(op, "input_sequence: expected a sequence");
  }
  weft_status status = run_map(&t);
  end_turns(&t);
  return status;
}
