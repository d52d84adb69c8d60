/* The caller's own operators. What they need to know of a node is asked through the call, so that their functions depend
 * on nothing but weft.h. Their types and shapes are known only when they have run, unless they tell them ahead, and
 * nothing else is assumed of them: they may keep a state, so they are neither folded nor merged. */
#include "custom.h"

#include <string.h>

struct weft_custom {
  weft_op_def def; /* first: a node's def leads here */
  weft_custom_op op;
  weft_custom *next;
};

struct weft_custom_call {
  weft_op *op;
  bool failed; /* and the sentence is in place */
};

/* ---- running ----------------------------------------------------------------------------------------------------- */
/* Operators move string elements without their bytes: these must live as long as the run. `value` is nobody else's. */
static weft_status keep_strings(weft_op *op, weft_value *value) {
  for (size_t i = 0; i < value->item_count; i++) {
    WEFT_TRY(keep_strings(op, value->items[i]));
  }
  weft_string *elements = value->tensor.data;
  bool has_strings = value->kind == WEFT_KIND_TENSOR && value->tensor.type == WEFT_STRING;
  for (size_t i = 0; has_strings && i < value->tensor.count; i++) {
    WEFT_TRY(weft_op_string(op, elements[i].data, elements[i].size, &elements[i]));
  }
  return WEFT_OK;
}

/* What infer told has its memory already. */
static weft_status fill_output(weft_op *op, int i, const weft_value *value) {
  weft_tensor *out = weft_op_out(op, i);
  char told[96], made[96];
  if (value->kind != WEFT_KIND_TENSOR || value->tensor.type != out->type ||
      !weft_shape_equal(&value->tensor.shape, &out->shape)) {
    bool tensor = value->kind == WEFT_KIND_TENSOR;
    return weft_op_run_fail(op, "output %d: its function told %s %s ahead and made %s %s", i, weft_type_name(out->type),
                            weft_shape_print(&out->shape, told, sizeof told),
                            tensor ? weft_type_name(value->tensor.type) : "no tensor",
                            tensor ? weft_shape_print(&value->tensor.shape, made, sizeof made) : "");
  }
  if (out->count > 0) {
    memcpy(out->data, value->tensor.data, out->count * weft_type_size(out->type));
  }
  return WEFT_OK;
}

/* Takes the reference over, also on failure. */
static weft_status take_output(weft_op *op, int i, weft_value *value) {
  if (op->outputs[i] != NULL && value == NULL) {
    return weft_op_run_fail(op, "its function made no output %d, which the model needs", i);
  }
  if (op->outputs[i] == NULL) {
    weft_value_release(value);
    return WEFT_OK;
  }
  weft_status status = weft_value_separate(op->cx, &value);
  status = status == WEFT_OK ? keep_strings(op, value) : status;
  bool told = op->outputs[i]->tensor.type != WEFT_UNDEFINED;
  if (status == WEFT_OK && told) {
    status = fill_output(op, i, value);
  }
  if (status != WEFT_OK || told) {
    weft_value_release(value);
    return status;
  }
  return weft_op_put(op, i, value);
}

static weft_status run(weft_op *op) {
  const weft_custom_op *own = &((const weft_custom *)(const void *)op->def)->op;
  weft_custom_call call = {.op = op};
  size_t size = (size_t)op->output_count * sizeof(weft_value *);
  void *block;
  WEFT_TRY(weft_op_scratch(op, size, &block));
  memset(block, 0, size);
  weft_value **outputs = block;
  weft_status status = own->run(own->user, (size_t)op->input_count, (const weft_value *const *)op->inputs,
                                (size_t)op->output_count, outputs, &call);
  if (status != WEFT_OK && !call.failed) {
    status = weft_op_run_fail(op, "its function failed: %s", weft_status_name(status));
  }
  for (int i = 0; i < op->output_count; i++) {
    if (status == WEFT_OK) {
      status = take_output(op, i, outputs[i]);
    } else {
      weft_value_release(outputs[i]);
    }
  }
  return status;
}

/* ---- telling ahead ----------------------------------------------------------------------------------------------- */
static weft_status infer(weft_op *op) {
  const weft_custom_op *own = &((const weft_custom *)(const void *)op->def)->op;
  weft_custom_call call = {.op = op};
  void *block;
  if (own->infer == NULL) {
    return WEFT_DEFERRED;
  }
  WEFT_TRY(weft_op_scratch(op, (size_t)op->output_count * sizeof(weft_info), &block));
  memset(block, 0, (size_t)op->output_count * sizeof(weft_info));
  weft_info *outputs = block;
  for (int i = 0; i < op->output_count; i++) {
    outputs[i].rank = -1;
  }
  weft_status status = own->infer(own->user, (size_t)op->input_count, (const weft_value *const *)op->inputs,
                                  (size_t)op->output_count, outputs, &call);
  if (status != WEFT_OK) {
    return call.failed ? status : weft_op_run_fail(op, "its function failed: %s", weft_status_name(status));
  }
  for (int i = 0; i < op->output_count; i++) {
    if (op->outputs[i] != NULL && (outputs[i].rank < 0 || outputs[i].type == WEFT_UNDEFINED)) {
      return WEFT_DEFERRED;
    }
  }
  for (int i = 0; i < op->output_count; i++) {
    weft_shape shape = {.rank = outputs[i].rank < 0 ? 0 : outputs[i].rank};
    if (shape.rank > WEFT_MAX_RANK) {
      return weft_op_run_fail(op, "output %d: its function told %d dimensions ahead", i, shape.rank);
    }
    memcpy(shape.dims, outputs[i].dims, (size_t)shape.rank * sizeof *shape.dims);
    if (op->outputs[i] != NULL) {
      WEFT_TRY(weft_op_set(op, i, outputs[i].type, &shape));
    }
  }
  return WEFT_OK;
}

/* ---- registering ------------------------------------------------------------------------------------------------- */
static const char *plain_domain(const char *domain) {
  return domain == NULL || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

static weft_status check(weft_context *cx, const weft_custom_op *op) {
  const char *domain = plain_domain(op->domain);
  if (op->name == NULL || op->name[0] == 0 || op->run == NULL) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT, "an operator needs a name and a function");
  }
  if (domain[0] == 0 && weft_op_find(domain, op->name) != NULL) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT, "operator %s of ONNX's default domain cannot be replaced", op->name);
  }
  return WEFT_OK;
}

weft_status weft_custom_add(weft_context *cx, const weft_custom_op *op, weft_custom **list) {
  WEFT_TRY(check(cx, op));
  const char *domain = plain_domain(op->domain);
  size_t domain_size = strlen(domain) + 1, name_size = strlen(op->name) + 1;
  void *block;
  WEFT_TRY(weft_alloc(cx, sizeof(weft_custom) + domain_size + name_size, &block));
  weft_custom *custom = block;
  char *text = (char *)(custom + 1);
  memcpy(text, domain, domain_size);
  memcpy(text + domain_size, op->name, name_size);
  *custom = (weft_custom){.def = {.domain = text,
                                  .name = text + domain_size,
                                  .version = 1,
                                  .infer = infer,
                                  .prepare = weft_no_prepare,
                                  .run = run,
                                  .flags = WEFT_OP_NOT_PURE | WEFT_OP_FIRST_OPTIONAL},
                          .op = *op,
                          .next = *list};
  custom->op.domain = custom->def.domain;
  custom->op.name = custom->def.name;
  *list = custom;
  return WEFT_OK;
}

const weft_op_def *weft_custom_find(const weft_custom *list, const char *domain, const char *name) {
  for (; list != NULL; list = list->next) {
    if (strcmp(list->def.name, name) == 0 && strcmp(list->def.domain, domain) == 0) {
      return &list->def;
    }
  }
  return NULL;
}

void weft_customs_free(weft_custom *list) {
  while (list != NULL) {
    weft_custom *next = list->next;
    weft_free(list);
    list = next;
  }
}

/* ---- what a call tells ------------------------------------------------------------------------------------------- */
int64_t weft_custom_int(const weft_custom_call *call, const char *name, int64_t fallback) {
  return weft_op_attr_int(call->op, name, fallback);
}

float weft_custom_float(const weft_custom_call *call, const char *name, float fallback) {
  return weft_op_attr_float(call->op, name, fallback);
}

const char *weft_custom_string(const weft_custom_call *call, const char *name, const char *fallback) {
  return weft_op_attr_string(call->op, name, fallback);
}

const int64_t *weft_custom_ints(const weft_custom_call *call, const char *name, size_t *count) {
  return weft_op_attr_ints(call->op, name, count);
}

const float *weft_custom_floats(const weft_custom_call *call, const char *name, size_t *count) {
  return weft_op_attr_floats(call->op, name, count);
}

const weft_value *weft_custom_tensor(const weft_custom_call *call, const char *name) {
  const weft_attribute *a = weft_node_attribute(call->op->node, name);
  return a != NULL && a->kind == WEFT_ATTRIBUTE_TENSOR ? a->tensor : NULL;
}

size_t weft_custom_attribute_count(const weft_custom_call *call) {
  return call->op->node->attribute_count;
}

bool weft_custom_attribute_at(const weft_custom_call *call, size_t index, weft_custom_attribute *out) {
  const weft_attribute *a = &call->op->node->attributes[index];
  *out = (weft_custom_attribute){.name = a->name, .count = a->count};
  switch (a->kind) {
  case WEFT_ATTRIBUTE_INT:
  case WEFT_ATTRIBUTE_INTS:
    out->type = WEFT_INT64;
    out->list = a->kind == WEFT_ATTRIBUTE_INTS;
    out->data = out->list ? a->ints : &a->i;
    return true;
  case WEFT_ATTRIBUTE_FLOAT:
  case WEFT_ATTRIBUTE_FLOATS:
    out->type = WEFT_FLOAT;
    out->list = a->kind == WEFT_ATTRIBUTE_FLOATS;
    out->data = out->list ? a->floats : &a->f;
    return true;
  case WEFT_ATTRIBUTE_STRING:
  case WEFT_ATTRIBUTE_STRINGS:
    out->type = WEFT_STRING;
    out->list = a->kind == WEFT_ATTRIBUTE_STRINGS;
    out->data = out->list ? a->strings : &a->s;
    return true;
  case WEFT_ATTRIBUTE_TENSOR:
  case WEFT_ATTRIBUTE_TENSORS:
    out->list = a->kind == WEFT_ATTRIBUTE_TENSORS;
    out->data = out->list ? (const void *)a->tensors : (const void *)&a->tensor;
    return true;
  case WEFT_ATTRIBUTE_GRAPH:
  case WEFT_ATTRIBUTE_GRAPHS:
  case WEFT_ATTRIBUTE_TYPE:
    break;
  }
  return false;
}

weft_status weft_custom_fail(weft_custom_call *call, const char *sentence) {
  call->failed = true;
  return weft_op_run_fail(call->op, "%s", sentence);
}
