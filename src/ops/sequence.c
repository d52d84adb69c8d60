/* Sequences and optionals. A sequence holds references to tensors that own their memory; operators make new sequences
 * that share the items of old ones. An absent optional is a value of kind NONE, a present one is the value itself. */
#include "op.h"
#include "strided.h"

#include <string.h>

static weft_status expect_sequence(weft_op *op, int i, const weft_value **out) {
  *out = NULL;
  if (i >= op->input_count || op->inputs[i] == NULL || op->inputs[i]->kind != WEFT_KIND_SEQUENCE) {
    return weft_op_fail(op, "input %d: expected a sequence", i);
  }
  *out = op->inputs[i];
  return WEFT_OK;
}

/* Input i as a position in [-count, limit], made non-negative; `fallback` when absent. */
static weft_status read_position(weft_op *op, int i, size_t count, int64_t limit, int64_t fallback, size_t *out) {
  int64_t position;
  WEFT_TRY(weft_op_scalar_int(op, i, "position", fallback, &position));
  if (position < -(int64_t)count || position > limit) {
    return weft_op_run_fail(op, "input position: expected one in a sequence of %zu items, found %lld", count,
                            (long long)position);
  }
  *out = (size_t)(position < 0 ? position + (int64_t)count : position);
  return WEFT_OK;
}

/* Shares items [begin, end) of `from` into `to` at `at`. */
static void share_items(const weft_value *from, size_t begin, size_t end, weft_value *to, size_t at) {
  for (size_t i = begin; i < end; i++) {
    weft_value_retain(from->items[i]);
    to->items[at++] = from->items[i];
  }
}

weft_status weft_sequence_empty_run(weft_op *op) {
  int64_t type = weft_op_attr_int(op, "dtype", WEFT_FLOAT);
  weft_value *sequence;
  if (!weft_type_is_valid(type)) {
    return weft_op_fail(op, "dtype: %lld is not an element type", (long long)type);
  }
  WEFT_TRY(weft_value_new_sequence(op->cx, (weft_type)type, 0, &sequence));
  return weft_op_put(op, 0, sequence);
}

weft_status weft_sequence_construct_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, op->input_count > 1 ? op->input_count : 1, op->input_count));
  weft_value *sequence;
  for (int i = 1; i < op->input_count; i++) {
    WEFT_TRY(weft_op_expect_same_type(op, 0, i));
  }
  WEFT_TRY(weft_value_new_sequence(op->cx, weft_op_in(op, 0)->type, (size_t)op->input_count, &sequence));
  for (int i = 0; i < op->input_count; i++) {
    weft_status status = weft_value_keep(op->cx, op->inputs[i], &sequence->items[i]);
    if (status != WEFT_OK) {
      weft_value_release(sequence);
      return status;
    }
  }
  return weft_op_put(op, 0, sequence);
}

weft_status weft_sequence_insert_run(weft_op *op) {
  const weft_value *from = NULL;
  const weft_tensor *tensor = weft_op_in(op, 1);
  weft_value *sequence, *item;
  size_t at, count;
  WEFT_TRY(expect_sequence(op, 0, &from));
  count = from->item_count;
  if (tensor == NULL || (count > 0 && tensor->type != from->tensor.type)) {
    return weft_op_fail(op, "input tensor: expected a %s tensor as the sequence holds",
                        weft_type_name(from->tensor.type));
  }
  WEFT_TRY(read_position(op, 2, count, (int64_t)count, (int64_t)count, &at));
  WEFT_TRY(weft_value_keep(op->cx, op->inputs[1], &item));
  weft_status status = weft_value_new_sequence(op->cx, tensor->type, count + 1, &sequence);
  if (status != WEFT_OK) {
    weft_value_release(item);
    return status;
  }
  share_items(from, 0, at, sequence, 0);
  sequence->items[at] = item;
  share_items(from, at, count, sequence, at + 1);
  return weft_op_put(op, 0, sequence);
}

weft_status weft_sequence_erase_run(weft_op *op) {
  const weft_value *from = NULL;
  weft_value *sequence;
  size_t at;
  WEFT_TRY(expect_sequence(op, 0, &from));
  WEFT_TRY(read_position(op, 1, from->item_count, (int64_t)from->item_count - 1, -1, &at));
  WEFT_TRY(weft_value_new_sequence(op->cx, from->tensor.type, from->item_count - 1, &sequence));
  share_items(from, 0, at, sequence, 0);
  share_items(from, at + 1, from->item_count, sequence, at);
  return weft_op_put(op, 0, sequence);
}

weft_status weft_sequence_at_run(weft_op *op) {
  const weft_value *from = NULL;
  size_t at;
  WEFT_TRY(expect_sequence(op, 0, &from));
  WEFT_TRY(read_position(op, 1, from->item_count, (int64_t)from->item_count - 1, 0, &at));
  weft_value_retain(from->items[at]);
  return weft_op_put(op, 0, from->items[at]);
}

weft_status weft_sequence_length_run(weft_op *op) {
  const weft_value *from = NULL;
  weft_shape scalar = {0, {0}};
  WEFT_TRY(expect_sequence(op, 0, &from));
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_INT64, &scalar));
  *(int64_t *)weft_op_out(op, 0)->data = (int64_t)from->item_count;
  return WEFT_OK;
}

/* ---- SplitToSequence, ConcatFromSequence ------------------------------------------------------------------------- */
/* How the axis is cut: pieces of `split` each when it is a scalar, else as listed; without it one place each. */
typedef struct cut {
  size_t pieces;
  int64_t size;   /* of all but the last */
  int64_t *sizes; /* NULL: all alike */
} cut;

static weft_status read_cut(weft_op *op, int64_t dim, cut *out) {
  const weft_tensor *split = weft_op_in(op, 1);
  *out = (cut){(size_t)dim, 1, NULL};
  if (split == NULL) {
    return WEFT_OK;
  }
  if (split->shape.rank == 0) {
    WEFT_TRY(weft_op_scalar_int(op, 1, "split", 1, &out->size));
    if (out->size < 1) {
      return weft_op_run_fail(op, "input split: expected a positive number, found %lld", (long long)out->size);
    }
    out->pieces = (size_t)(dim / out->size + (dim % out->size != 0));
    return WEFT_OK;
  }
  void *sizes;
  WEFT_TRY(weft_op_scratch_array(op, split->count, sizeof(int64_t), &sizes));
  out->sizes = sizes;
  WEFT_TRY(weft_op_ints(op, 1, "split", split->count, out->sizes, &out->pieces));
  for (size_t i = 0; i < out->pieces; i++) {
    if (out->sizes[i] < 0 || out->sizes[i] > dim) {
      return weft_op_run_fail(op, "input split: piece %zu of %lld does not fit in the %lld places left", i,
                              (long long)out->sizes[i], (long long)dim);
    }
    dim -= out->sizes[i];
  }
  return dim == 0 ? WEFT_OK
                  : weft_op_run_fail(op, "input split: the pieces leave %lld places of the axis", (long long)dim);
}

static weft_status split_items(weft_op *op, const cut *c, int axis, bool keep_axis, weft_value *sequence) {
  const weft_tensor *in = weft_op_in(op, 0);
  int64_t dim = in->shape.dims[axis], begin = 0;
  size_t outer = weft_shape_product(&in->shape, 0, axis);
  size_t inner = weft_shape_product(&in->shape, axis + 1, in->shape.rank) * weft_type_size(in->type);
  for (size_t i = 0; i < c->pieces; i++) {
    int64_t size = c->sizes != NULL ? c->sizes[i] : dim - begin < c->size ? dim - begin : c->size;
    weft_shape shape = in->shape;
    shape.dims[axis] = size;
    if (!keep_axis) {
      memmove(shape.dims + axis, shape.dims + axis + 1, (size_t)(shape.rank - axis - 1) * sizeof *shape.dims);
      shape.rank--;
    }
    WEFT_TRY(weft_value_new_tensor(op->cx, in->type, &shape, &sequence->items[i]));
    for (size_t o = 0; o < outer; o++) {
      memcpy((char *)sequence->items[i]->tensor.data + o * (size_t)size * inner,
             (const char *)in->data + (o * (size_t)dim + (size_t)begin) * inner, (size_t)size * inner);
    }
    begin += size;
  }
  return WEFT_OK;
}

weft_status weft_split_to_sequence_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 2));
  WEFT_TRY(weft_op_expect_type(op, 1, "split", WEFT_TYPES_INDEX));
  const weft_tensor *in = weft_op_in(op, 0);
  int axis;
  cut c;
  weft_value *sequence;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), in->shape.rank, &axis));
  WEFT_TRY(read_cut(op, in->shape.dims[axis], &c));
  bool keep_axis = weft_op_has(op, 1) || weft_op_attr_int(op, "keepdims", 1) != 0;
  WEFT_TRY(weft_value_new_sequence(op->cx, in->type, c.pieces, &sequence));
  weft_status status = split_items(op, &c, axis, keep_axis, sequence);
  if (status != WEFT_OK) {
    weft_value_release(sequence);
    return status;
  }
  return weft_op_put(op, 0, sequence);
}

static weft_status joined_shape(weft_op *op, const weft_value *from, int axis, bool new_axis, weft_shape *shape) {
  const weft_tensor *first = &from->items[0]->tensor;
  *shape = first->shape;
  if (new_axis) {
    memmove(shape->dims + axis + 1, shape->dims + axis, (size_t)(shape->rank - axis) * sizeof *shape->dims);
    shape->rank++;
  }
  shape->dims[axis] = 0;
  for (size_t i = 0; i < from->item_count; i++) {
    const weft_tensor *item = &from->items[i]->tensor;
    if (from->items[i]->kind != WEFT_KIND_TENSOR) {
      return weft_op_run_fail(op, "item %zu: expected a tensor, found a sequence, map or absent optional", i);
    }
    bool fits = item->type == first->type && item->shape.rank == first->shape.rank;
    for (int d = 0; fits && d < first->shape.rank; d++) {
      fits = (d == axis && !new_axis) || item->shape.dims[d] == first->shape.dims[d];
    }
    if (!fits) {
      char a[96], b[96];
      return weft_op_run_fail(op, "item %zu of shape %s does not go with item 0 of shape %s along axis %d", i,
                              weft_shape_print(&item->shape, a, sizeof a), weft_shape_print(&first->shape, b, sizeof b),
                              axis);
    }
    shape->dims[axis] += new_axis ? 1 : item->shape.dims[axis];
  }
  return WEFT_OK;
}

weft_status weft_concat_from_sequence_run(weft_op *op) {
  const weft_value *from = NULL;
  weft_shape shape;
  int axis;
  bool new_axis = weft_op_attr_int(op, "new_axis", 0) != 0;
  WEFT_TRY(expect_sequence(op, 0, &from));
  if (from->item_count == 0) {
    return weft_op_run_fail(op, "input_sequence: expected at least one tensor, found none");
  }
  int rank = from->items[0]->tensor.shape.rank + (new_axis ? 1 : 0);
  if (rank > WEFT_MAX_RANK) {
    return weft_op_unsupported(op, "at most %d dims are supported in the output", WEFT_MAX_RANK);
  }
  WEFT_TRY(weft_op_attr_needed(op, "axis"));
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), rank, &axis));
  WEFT_TRY(joined_shape(op, from, axis, new_axis, &shape));
  WEFT_TRY(weft_op_allocate(op, 0, from->items[0]->tensor.type, &shape));
  weft_tensor *out = weft_op_out(op, 0);
  size_t outer = weft_shape_product(&shape, 0, axis), size = weft_type_size(out->type), offset = 0;
  size_t pitch = weft_shape_product(&shape, axis, rank) * size;
  for (size_t i = 0; outer > 0 && i < from->item_count; i++) {
    const weft_tensor *item = &from->items[i]->tensor;
    size_t run = item->count / outer * size;
    for (size_t o = 0; o < outer; o++) {
      memcpy((char *)out->data + o * pitch + offset, (const char *)item->data + o * run, run);
    }
    offset += run;
  }
  return WEFT_OK;
}

/* ---- optionals --------------------------------------------------------------------------------------------------- */
static weft_value *first_input(const weft_op *op) {
  return op->input_count > 0 && op->inputs[0] != NULL && op->inputs[0]->kind != WEFT_KIND_NONE ? op->inputs[0] : NULL;
}

weft_status weft_optional_run(weft_op *op) {
  weft_value *in = first_input(op), *out;
  WEFT_TRY(in == NULL ? weft_value_new(op->cx, WEFT_KIND_NONE, &out) : weft_value_keep(op->cx, in, &out));
  return weft_op_put(op, 0, out);
}

weft_status weft_optional_has_element_run(weft_op *op) {
  weft_shape scalar = {0, {0}};
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_BOOL, &scalar));
  *(uint8_t *)weft_op_out(op, 0)->data = first_input(op) != NULL;
  return WEFT_OK;
}

weft_status weft_optional_get_element_run(weft_op *op) {
  weft_value *in = first_input(op), *out;
  if (in == NULL) {
    return weft_op_run_fail(op, "the optional has no element");
  }
  WEFT_TRY(weft_value_keep(op->cx, in, &out));
  return weft_op_put(op, 0, out);
}
