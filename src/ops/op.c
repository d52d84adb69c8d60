/* The registry, made of ops.def, and the helpers of op.h. The executor fills a weft_op and calls; nothing here knows
 * it. */
#include "op.h"

#include "../base/convert.h"
#include "../base/text.h"

#include <string.h>

/* A size-reduced build names a list of its own, made by CMake from ops.def: files that no line of it names are not
 * linked. */
#ifndef WEFT_OPS_LIST
#define WEFT_OPS_LIST "ops.def"
#endif

#define OP(domain, name, version, infer, prepare, run, variant, flags)                                                 \
  weft_status infer(weft_op *op);                                                                                      \
  weft_status prepare(weft_op *op);                                                                                    \
  weft_status run(weft_op *op);
#include WEFT_OPS_LIST
#undef OP

static const weft_op_def ops[] = {
#define OP(domain, name, version, infer, prepare, run, variant, flags)                                                 \
  {domain, name, version, infer, prepare, run, variant, flags},
#include WEFT_OPS_LIST
#undef OP
};

enum { OP_COUNT = sizeof ops / sizeof *ops };

const weft_op_def *weft_op_at(size_t index) {
  return index < OP_COUNT ? &ops[index] : NULL;
}

const weft_op_def *weft_op_find(const char *domain, const char *name) {
  if (strcmp(domain, "ai.onnx") == 0) {
    domain = "";
  }
  for (size_t i = 0; i < OP_COUNT; i++) {
    if (strcmp(ops[i].name, name) == 0 && strcmp(ops[i].domain, domain) == 0) {
      return &ops[i];
    }
  }
  return NULL;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */
const weft_tensor *weft_op_in(const weft_op *op, int i) {
  if (i < 0 || i >= op->input_count || op->inputs[i] == NULL || op->inputs[i]->kind != WEFT_KIND_TENSOR) {
    return NULL;
  }
  return &op->inputs[i]->tensor;
}

const weft_tensor *weft_op_in_block(const weft_op *op, int i) {
  return weft_op_has(op, i) ? weft_value_block(op->inputs[i]) : NULL;
}

weft_status weft_op_expect_inputs(weft_op *op, int min, int max) {
  if (op->input_count > max) {
    return weft_op_fail(op, "expected at most %d inputs, found %d", max, op->input_count);
  }
  for (int i = 0; i < op->input_count || i < min; i++) {
    if (i >= op->input_count || op->inputs[i] == NULL) {
      if (i < min) {
        return weft_op_fail(op, "expected at least %d inputs, input %d is missing", min, i);
      }
    } else if (op->inputs[i]->kind != WEFT_KIND_TENSOR) {
      return weft_op_fail(op, "input %d: expected a tensor, found a sequence, map or absent optional", i);
    }
  }
  return WEFT_OK;
}

/* "float32, float16 or int64" */
static void print_types(uint32_t types, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (int t = 1; t < WEFT_TYPE_COUNT; t++) {
    uint32_t bit = 1u << (unsigned)t;
    if ((types & bit) == 0) {
      continue;
    }
    const char *separator = used == 0 ? "" : (types >> (unsigned)t) == 1u ? " or " : ", ";
    used += weft_print(text + used, size - used, "%s%s", separator, weft_type_name((weft_type)t));
    if (used >= size) {
      return;
    }
  }
}

weft_status weft_op_expect_type(weft_op *op, int i, const char *name, uint32_t types) {
  const weft_tensor *in = weft_op_in(op, i);
  if (in == NULL || (WEFT_TYPE_BIT(in->type) & types) != 0) {
    return WEFT_OK;
  }
  char text[320];
  print_types(types, text, sizeof text);
  return weft_op_fail(op, "input %s: expected type %s, found %s", name, text, weft_type_name(in->type));
}

weft_status weft_op_expect_same_type(weft_op *op, int i, int j) {
  const weft_tensor *a = weft_op_in(op, i), *b = weft_op_in(op, j);
  if (a == NULL || b == NULL || a->type == b->type) {
    return WEFT_OK;
  }
  return weft_op_fail(op, "inputs %d and %d: expected the same type, found %s and %s", i, j, weft_type_name(a->type),
                      weft_type_name(b->type));
}

weft_status weft_op_expect_count(weft_op *op, int i, const char *name, size_t count) {
  const weft_tensor *in = weft_op_in(op, i);
  return in == NULL || in->count == count
             ? WEFT_OK
             : weft_op_fail(op, "input %s: expected %zu elements, found %zu", name, count, in->count);
}

weft_status weft_op_expect_rank(weft_op *op, int i, const char *name, int min, int max) {
  const weft_tensor *in = weft_op_in(op, i);
  char shape[96];
  if (in == NULL || (in->shape.rank >= min && in->shape.rank <= max)) {
    return WEFT_OK;
  }
  weft_shape_print(&in->shape, shape, sizeof shape);
  if (min == max) {
    return weft_op_fail(op, "input %s: expected rank %d, found shape %s", name, min, shape);
  }
  return weft_op_fail(op, "input %s: expected rank %d to %d, found shape %s", name, min, max, shape);
}

static int64_t integer_at(const weft_tensor *tensor, size_t i) {
  switch (tensor->type) {
  case WEFT_INT64:
  case WEFT_UINT64:
    return ((const int64_t *)tensor->data)[i];
  case WEFT_INT32:
    return ((const int32_t *)tensor->data)[i];
  case WEFT_UINT32:
    return ((const uint32_t *)tensor->data)[i];
  case WEFT_INT16:
    return ((const int16_t *)tensor->data)[i];
  case WEFT_UINT16:
    return ((const uint16_t *)tensor->data)[i];
  case WEFT_INT8:
  case WEFT_INT4:
  case WEFT_INT2:
    return ((const int8_t *)tensor->data)[i];
  default:
    return ((const uint8_t *)tensor->data)[i];
  }
}

weft_status weft_op_ints(weft_op *op, int i, const char *name, size_t capacity, int64_t *out, size_t *count) {
  const weft_tensor *in = weft_op_in(op, i);
  *count = 0;
  if (in == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_expect_rank(op, i, name, 0, 1));
  if (!weft_type_is_integer(in->type)) {
    return weft_op_fail(op, "input %s: expected an integer type, found %s", name, weft_type_name(in->type));
  }
  if (in->count > capacity) {
    return weft_op_fail(op, "input %s: expected at most %zu elements, found %zu", name, capacity, in->count);
  }
  if (in->data == NULL) {
    return WEFT_DEFERRED;
  }
  for (size_t k = 0; k < in->count; k++) {
    out[k] = integer_at(in, k);
  }
  *count = in->count;
  return WEFT_OK;
}

/* The one element of input i; fails for another count. */
static weft_status expect_one(weft_op *op, int i, const char *name) {
  const weft_tensor *in = weft_op_in(op, i);
  char shape[96];
  if (in->count != 1) {
    return weft_op_fail(op, "input %s: expected one element, found shape %s", name,
                        weft_shape_print(&in->shape, shape, sizeof shape));
  }
  return in->data == NULL ? WEFT_DEFERRED : WEFT_OK;
}

weft_status weft_op_scalar_int(weft_op *op, int i, const char *name, int64_t fallback, int64_t *out) {
  const weft_tensor *in = weft_op_in(op, i);
  *out = fallback;
  if (in == NULL) {
    return WEFT_OK;
  }
  if (!weft_type_is_integer(in->type) && in->type != WEFT_BOOL) {
    double value;
    WEFT_TRY(weft_op_scalar_float(op, i, name, 0, &value));
    if (!(value >= -0x1p63 && value < 0x1p63)) {
      return weft_op_run_fail(op, "input %s: expected a number that fits in 64 bits", name);
    }
    *out = (int64_t)value;
    return WEFT_OK;
  }
  WEFT_TRY(expect_one(op, i, name));
  *out = integer_at(in, 0);
  return WEFT_OK;
}

weft_status weft_op_scalar_float(weft_op *op, int i, const char *name, double fallback, double *out) {
  const weft_tensor *in = weft_op_in(op, i);
  *out = fallback;
  if (in == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(expect_one(op, i, name));
  switch (in->type) {
  case WEFT_FLOAT:
    *out = *(const float *)in->data;
    return WEFT_OK;
  case WEFT_DOUBLE:
    *out = *(const double *)in->data;
    return WEFT_OK;
  case WEFT_FLOAT16:
    *out = weft_float16_to_float(*(const uint16_t *)in->data);
    return WEFT_OK;
  case WEFT_BFLOAT16:
    *out = weft_bfloat16_to_float(*(const uint16_t *)in->data);
    return WEFT_OK;
  case WEFT_UINT64:
    *out = (double)*(const uint64_t *)in->data;
    return WEFT_OK;
  default:
    if (weft_type_is_float(in->type)) { /* of 8 bits and less */
      weft_load_double(in->type, in->data, 0, 1, 1, out);
      return WEFT_OK;
    }
    if (!weft_type_is_integer(in->type) && in->type != WEFT_BOOL) {
      return weft_op_fail(op, "input %s: expected a number, found %s", name, weft_type_name(in->type));
    }
    *out = (double)integer_at(in, 0);
    return WEFT_OK;
  }
}

weft_status weft_op_axis(weft_op *op, const char *name, int64_t axis, int rank, int *out) {
  *out = 0;
  if (rank == 0) {
    return weft_op_fail(op, "%s: a scalar has no axis %lld", name, (long long)axis);
  }
  if (axis < -rank || axis >= rank) {
    return weft_op_fail(op, "%s: expected a value in [%d, %d], found %lld", name, -rank, rank - 1, (long long)axis);
  }
  *out = (int)(axis < 0 ? axis + rank : axis);
  return WEFT_OK;
}

weft_status weft_op_axes(weft_op *op, const char *name, size_t count, const int64_t *axes, int rank, bool *flags) {
  memset(flags, 0, (size_t)rank * sizeof *flags);
  for (size_t i = 0; i < count; i++) {
    int axis;
    WEFT_TRY(weft_op_axis(op, name, axes[i], rank, &axis));
    if (flags[axis]) {
      return weft_op_fail(op, "%s: axis %d is named twice", name, axis);
    }
    flags[axis] = true;
  }
  return WEFT_OK;
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */
static const weft_attribute *attribute(const weft_op *op, const char *name, weft_attribute_kind kind) {
  const weft_attribute *a = weft_node_attribute(op->node, name);
  if (a == NULL || a->kind == kind) {
    return a;
  }
  if (a->count > 0) { /* an empty list is of any kind */
    *op->misfit = a;
  }
  return NULL;
}

weft_status weft_op_call(weft_op *op, weft_op_function function) {
  const weft_attribute *misfit = NULL;
  op->misfit = &misfit;
  weft_status status = function(op);
  if (misfit == NULL || status == WEFT_OUT_OF_MEMORY || status == WEFT_CANCELLED) {
    return status;
  }
  return weft_attribute_refuse(op->cx, misfit);
}

weft_status weft_op_attr_needed(const weft_op *op, const char *name) {
  return weft_node_attribute(op->node, name) != NULL ? WEFT_OK : weft_op_fail(op, "attribute '%s' is missing", name);
}

int64_t weft_op_attr_int(const weft_op *op, const char *name, int64_t fallback) {
  const weft_attribute *a = attribute(op, name, WEFT_ATTRIBUTE_INT);
  return a != NULL ? a->i : fallback;
}

weft_status weft_op_attr_within(const weft_op *op, const char *name, int64_t fallback, int64_t least, int64_t most,
                                int64_t *out) {
  *out = weft_op_attr_int(op, name, fallback);
  if (*out < least && most == INT64_MAX) {
    return weft_op_fail(op, "attribute '%s': expected at least %lld, found %lld", name, (long long)least,
                        (long long)*out);
  }
  return *out >= least && *out <= most
             ? WEFT_OK
             : weft_op_fail(op, "attribute '%s': expected a value in [%lld, %lld], found %lld", name, (long long)least,
                            (long long)most, (long long)*out);
}

float weft_op_attr_float(const weft_op *op, const char *name, float fallback) {
  const weft_attribute *a = attribute(op, name, WEFT_ATTRIBUTE_FLOAT);
  return a != NULL ? a->f : fallback;
}

const char *weft_op_attr_string(const weft_op *op, const char *name, const char *fallback) {
  const weft_attribute *a = attribute(op, name, WEFT_ATTRIBUTE_STRING);
  return a != NULL ? a->s.data : fallback;
}

weft_status weft_op_choice(const weft_op *op, const char *name, const char *choices, int fallback, int *out) {
  const char *text = weft_op_attr_string(op, name, fallback < 0 ? "" : NULL), *word = choices;
  *out = fallback;
  if (text == NULL) {
    return WEFT_OK;
  }
  for (int i = 0; *word != 0; i++) {
    const size_t size = strcspn(word, " ");
    if (strlen(text) == size && memcmp(text, word, size) == 0) {
      *out = i;
      return WEFT_OK;
    }
    word += size + (word[size] == ' ');
  }
  return weft_op_fail(op, "attribute '%s': expected one of %s, found '%.64s'", name, choices, text);
}

const int64_t *weft_op_attr_ints(const weft_op *op, const char *name, size_t *count) {
  const weft_attribute *a = attribute(op, name, WEFT_ATTRIBUTE_INTS);
  *count = a != NULL ? a->count : 0;
  return a != NULL ? a->ints : NULL;
}

const float *weft_op_attr_floats(const weft_op *op, const char *name, size_t *count) {
  const weft_attribute *a = attribute(op, name, WEFT_ATTRIBUTE_FLOATS);
  *count = a != NULL ? a->count : 0;
  return a != NULL ? a->floats : NULL;
}

const weft_string *weft_op_attr_strings(const weft_op *op, const char *name, size_t *count) {
  const weft_attribute *a = attribute(op, name, WEFT_ATTRIBUTE_STRINGS);
  *count = a != NULL ? a->count : 0;
  return a != NULL ? a->strings : NULL;
}

const weft_tensor *weft_op_attr_tensor(const weft_op *op, const char *name) {
  const weft_attribute *a = attribute(op, name, WEFT_ATTRIBUTE_TENSOR);
  return a != NULL ? &a->tensor->tensor : NULL;
}

weft_graph *weft_op_attr_graph(const weft_op *op, const char *name) {
  const weft_attribute *a = attribute(op, name, WEFT_ATTRIBUTE_GRAPH);
  return a != NULL ? a->graph : NULL;
}

/* ---- outputs ----------------------------------------------------------------------------------------------------- */
static bool wanted(const weft_op *op, int i) {
  return i < op->output_count && op->outputs[i] != NULL;
}

weft_tensor *weft_op_out(const weft_op *op, int i) {
  return wanted(op, i) ? &op->outputs[i]->tensor : NULL;
}

weft_status weft_op_grow(weft_op *op, int i, int past, bool appends) {
  weft_value *out = wanted(op, i) ? op->outputs[i] : NULL;
  if (out == NULL || out->tensor.data != NULL) {
    return WEFT_OK;
  }
  return appends && weft_op_has(op, past) && op->inputs[past]->result_of == op->cx && out->tensor.count > 0
             ? weft_value_grow(op->cx, op->inputs[past], out)
             : weft_value_allocate(op->cx, out);
}

weft_status weft_op_set(weft_op *op, int i, weft_type type, const weft_shape *shape) {
  char text[96];
  size_t count;
  if (!weft_type_is_valid((int64_t)type)) {
    return weft_op_fail(op, "output %d: %d is not an element type", i, (int)type);
  }
  if (!weft_shape_count(shape, type, &count)) {
    bool negative = false;
    for (int d = 0; d < shape->rank; d++) {
      negative = negative || shape->dims[d] < 0;
    }
    return weft_fail(op->cx, negative ? WEFT_INVALID_MODEL : WEFT_LIMIT_EXCEEDED,
                     "output %d has the shape %s, which is %s", i, weft_shape_print(shape, text, sizeof text),
                     negative ? "negative" : "too large to address");
  }
  if (wanted(op, i)) {
    weft_value *value = op->outputs[i];
    value->kind = WEFT_KIND_TENSOR;
    value->tensor.type = type;
    value->tensor.shape = *shape;
    value->tensor.count = count;
  }
  return WEFT_OK;
}

weft_status weft_op_set_like(weft_op *op, int i, const weft_tensor *like) {
  return weft_op_set(op, i, like->type, &like->shape);
}

weft_status weft_op_allocate(weft_op *op, int i, weft_type type, const weft_shape *shape) {
  WEFT_TRY(weft_op_set(op, i, type, shape));
  if (!wanted(op, i)) {
    return WEFT_OK;
  }
  weft_value_clear(op->outputs[i]);
  return weft_value_allocate(op->cx, op->outputs[i]);
}

weft_status weft_op_put(weft_op *op, int i, weft_value *value) {
  if (wanted(op, i)) {
    weft_value_release(op->outputs[i]);
    op->outputs[i] = value;
  } else {
    weft_value_release(value);
  }
  return WEFT_OK;
}

weft_status weft_op_string(weft_op *op, const char *data, size_t size, weft_string *out) {
  if (*op->strings == NULL) {
    WEFT_TRY(weft_strings_create(op->cx, op->strings));
  }
  return weft_strings_add(op->cx, *op->strings, data, size, out);
}

/* ---- while running ----------------------------------------------------------------------------------------------- */
weft_status weft_op_scratch(weft_op *op, size_t size, void **out) {
  return weft_scratch_alloc(op->cx, op->scratch, size, out);
}

weft_status weft_op_scratch_array(weft_op *op, size_t count, size_t size, void **out) {
  size_t bytes = 0;
  if (!weft_mul(count, size, &bytes)) {
    *out = NULL;
    return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "scratch of %zu times %zu bytes is larger than the address space",
                     count, size);
  }
  return weft_op_scratch(op, bytes, out);
}

weft_status weft_op_scratch_floats(weft_op *op, size_t rows, size_t columns, float **out) {
  void *room;
  const size_t row = columns <= SIZE_MAX / sizeof(float) ? columns * sizeof(float) : SIZE_MAX;
  const weft_status status = weft_op_scratch_array(op, rows, row, &room);
  *out = room;
  return status;
}

weft_status weft_op_state(weft_op *op, size_t size, void **out) {
  WEFT_TRY(weft_alloc(op->cx, size, out));
  weft_free(op->node->state);
  op->node->state = *out;
  return WEFT_OK;
}

bool weft_op_is_constant(const weft_op *op, int i) {
  const weft_tensor *in = weft_op_in(op, i);
  return in != NULL && in->data != NULL;
}

size_t weft_op_readers(const weft_op *op, int i) {
  return (size_t)op->inputs[i]->refs - op->inputs[i]->owners;
}

bool weft_op_may_take(const weft_op *op, int i) {
  return op->inputs[i]->storage == WEFT_STORAGE_OWNED;
}

void *weft_op_take_constant(weft_op *op, int i) {
  weft_value *constant = op->inputs[i];
  weft_free(op->node->state);
  op->node->state = constant->tensor.data;
  constant->tensor.data = NULL;
  constant->storage = WEFT_STORAGE_NONE;
  return op->node->state;
}

void weft_op_drop_constant(weft_op *op, int i) {
  op->dropped |= 1u << (unsigned)i;
}

bool weft_op_agree(const weft_op *op, int i, uint8_t form) {
  weft_value *constant = op->inputs[i];
  constant->readers = constant->offered == form ? constant->readers + 1 : 1;
  constant->offered = form;
  return constant->readers == weft_op_readers(op, i);
}

void weft_op_replace(const weft_op *op, int i, uint8_t form, void *block) {
  weft_value *constant = op->inputs[i];
  weft_value_clear(constant);
  constant->tensor.data = block;
  constant->storage = WEFT_STORAGE_OWNED;
  constant->form = form;
}

uint8_t weft_op_form(const weft_op *op, int i) {
  return op->inputs[i]->form;
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */
weft_status weft_op_fail(const weft_op *op, const char *format, ...) {
  va_list args;
  va_start(args, format);
  weft_vfail(op->cx, WEFT_INVALID_MODEL, format, args);
  va_end(args);
  return WEFT_INVALID_MODEL;
}

weft_status weft_op_run_fail(const weft_op *op, const char *format, ...) {
  va_list args;
  va_start(args, format);
  weft_vfail(op->cx, WEFT_RUN_FAILED, format, args);
  va_end(args);
  return WEFT_RUN_FAILED;
}

/* ---- shared infer functions -------------------------------------------------------------------------------------- */
weft_status weft_infer_same(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, op->input_count));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

static weft_status broadcast_all(weft_op *op, weft_shape *shape) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, op->input_count));
  *shape = weft_op_in(op, 0)->shape;
  for (int i = 1; i < op->input_count; i++) {
    const weft_tensor *in = weft_op_in(op, i);
    char a[96], b[96];
    if (in == NULL) {
      return weft_op_fail(op, "input %d is missing", i);
    }
    WEFT_TRY(weft_op_expect_same_type(op, 0, i));
    if (!weft_shape_broadcast(shape, &in->shape, shape)) {
      return weft_op_fail(op, "input %d: shape %s does not broadcast with %s", i,
                          weft_shape_print(&in->shape, b, sizeof b), weft_shape_print(shape, a, sizeof a));
    }
  }
  return WEFT_OK;
}

weft_status weft_infer_broadcast(weft_op *op) {
  weft_shape shape;
  WEFT_TRY(broadcast_all(op, &shape));
  return weft_op_set(op, 0, weft_op_in(op, 0)->type, &shape);
}

weft_status weft_infer_compare(weft_op *op) {
  weft_shape shape;
  WEFT_TRY(broadcast_all(op, &shape));
  return weft_op_set(op, 0, WEFT_BOOL, &shape);
}

weft_status weft_infer_deferred(weft_op *op) {
  (void)op;
  return WEFT_DEFERRED;
}

weft_status weft_no_prepare(weft_op *op) {
  (void)op;
  return WEFT_OK;
}
