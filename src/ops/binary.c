/* Operators of two broadcast inputs (or of a list, taken two by two) that work element by element: arithmetic,
 * comparison, logic, bits. Floats of up to 32 bits use the float kernels where there is one; the rest is one line of
 * a table, in double for floating types and in int64 for all others, where unsigned 64-bit numbers keep their bits. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../kernels/elements.h"
#include "../kernels/typed.h"
#include "broadcast.h"

#include <math.h>
#include <string.h>

typedef struct binary {
  weft_context *cx;
  weft_run_body inner; /* of run_widened */
  int variant;
  const weft_tensor *z_tensor;
  weft_type x_type, y_type, z_type;
  void *z;
  bool is_unsigned; /* the integers compare as unsigned */
  bool fmod;        /* of integers */
  int power;        /* 2 or 3: squares and cubes */
  bool left;        /* shifts */
} binary;

/* ---- double ------------------------------------------------------------------------------------------------------ */
#define DOUBLE(name, expression)                                                                                       \
  static double name(double x, double y) {                                                                             \
    return expression;                                                                                                 \
  }

/* The remainder with the divisor's sign. */
static double floor_mod(double x, double y) {
  double rest = fmod(x, y);
  if (rest == 0) {
    return copysign(0, y);
  }
  return (rest < 0) != (y < 0) ? rest + y : rest;
}

DOUBLE(prelu, x < 0 ? x * y : x)

static double (*const doubles[])(double x, double y) = {
    [WEFT_BINARY_POW] = weft_pow,
    [WEFT_BINARY_FMOD] = fmod,
    [WEFT_BINARY_MOD] = floor_mod,
    [WEFT_BINARY_PRELU] = prelu,
};

static void run_double(void *arg, const weft_run *run) {
  const binary *b = arg;
  double x[WEFT_BLOCK], y[WEFT_BLOCK];
  double (*function)(double, double) = doubles[b->variant];
  weft_load_double(b->x_type, run->in[0], 0, run->step[0], run->n, x);
  weft_load_double(b->y_type, run->in[1], 0, run->step[1], run->n, y);
  for (size_t i = 0; i < run->n; i++) {
    x[i] = function(x[i], y[i]);
  }
  weft_store_double(b->z_type, x, run->n, b->z, run->out, 1);
}

/* ---- float ------------------------------------------------------------------------------------------------------- */
static void run_float(void *arg, const weft_run *run) {
  const binary *b = arg;
  const float *x = run->in[0], *y = run->in[1];
  float *z = (float *)b->z + run->out;
  if (b->variant == WEFT_BINARY_PRELU && run->step[0] == 1 && run->step[1] == 0) {
    const float slope = *y; /* z may be y */
    memmove(z, x, run->n * sizeof *z);
    weft_activate_f32(b->cx->kernels, run->n, z, WEFT_ACT_LEAKY, slope, 0);
  } else if (b->variant == WEFT_BINARY_PRELU) {
    for (size_t i = 0; i < run->n; i++) {
      float v = x[i * run->step[0]];
      z[i] = v < 0 ? v * y[i * run->step[1]] : v;
    }
  } else {
    b->cx->kernels->binary_f32[b->variant](run->n, x, run->step[0], y, run->step[1], z);
  }
}

/* 2 or 3, which are products, or 0: another power. */
static int small_power(const weft_tensor *y) {
  double exponent = 0;
  if (y->count == 1) {
    weft_load_double(y->type, y->data, 0, 1, 1, &exponent);
  }
  return exponent == 2 ? 2 : exponent == 3 ? 3 : 0;
}

/* ---- integers and bool ------------------------------------------------------------------------------------------- */
static int64_t power(int64_t base, int64_t exponent, bool is_unsigned) {
  if (exponent < 0 && !is_unsigned) {
    return base == 1 ? 1 : base == -1 ? ((exponent & 1) != 0 ? -1 : 1) : 0;
  }
  uint64_t result = 1, square = (uint64_t)base;
  for (uint64_t rest = (uint64_t)exponent; rest != 0; rest >>= 1) {
    result *= (rest & 1) != 0 ? square : 1;
    square *= square;
  }
  return (int64_t)result;
}

/* y is not 0: checked before. */
static int64_t quotient(const binary *b, int64_t x, int64_t y) {
  if (b->is_unsigned) {
    return (int64_t)((uint64_t)x / (uint64_t)y);
  }
  return y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
}

static int64_t remainder_of(const binary *b, int64_t x, int64_t y) {
  if (b->is_unsigned) {
    return (int64_t)((uint64_t)x % (uint64_t)y);
  }
  int64_t rest = y == -1 ? 0 : x % y;
  return rest != 0 && !b->fmod && (rest < 0) != (y < 0) ? rest + y : rest;
}

/* What has no loop. */
static int64_t of_integers(const binary *b, int64_t x, int64_t y) {
  bool below = b->is_unsigned ? (uint64_t)x < (uint64_t)y : x < y;
  switch (b->variant) {
  case WEFT_BINARY_DIV:
    return quotient(b, x, y);
  case WEFT_BINARY_MOD:
    return remainder_of(b, x, y);
  case WEFT_BINARY_POW:
    return power(x, y, b->is_unsigned);
  case WEFT_BINARY_PRELU:
    return !b->is_unsigned && x < 0 ? (int64_t)((uint64_t)x * (uint64_t)y) : x;
  case WEFT_BINARY_LESS:
    return below;
  case WEFT_BINARY_LESS_OR_EQUAL:
    return below || x == y;
  case WEFT_BINARY_GREATER:
    return !below && x != y;
  default:
    return !below;
  }
}

static void run_integer(void *arg, const weft_run *run) {
  const binary *b = arg;
  int64_t x[WEFT_BLOCK], y[WEFT_BLOCK];
  weft_load_int64(b->x_type, run->in[0], 0, run->step[0], run->n, x);
  weft_load_int64(b->y_type, run->in[1], 0, run->step[1], run->n, y);
  for (size_t i = 0; i < run->n; i++) {
    x[i] = of_integers(b, x[i], y[i]);
  }
  weft_store_int64(b->z_type, x, run->n, b->z, run->out, 1);
}

/* ---- loops of kernels/typed.h ------------------------------------------------------------------------------------ */
/* A greater b is b less a: `swapped`. */
static weft_typed_binary typed_loop(const binary *b, bool *swapped) {
  *swapped = false;
  if (b->power != 0) {
    return weft_typed_binary_of(WEFT_TYPED_MUL, b->x_type);
  }
  static const struct {
    int variant;
    weft_typed what;
    bool swapped;
  } loops[] = {
      {WEFT_BINARY_ADD, WEFT_TYPED_ADD, false},
      {WEFT_BINARY_SUB, WEFT_TYPED_SUB, false},
      {WEFT_BINARY_MUL, WEFT_TYPED_MUL, false},
      {WEFT_BINARY_DIV, WEFT_TYPED_DIV, false},
      {WEFT_BINARY_MOD, WEFT_TYPED_MOD, false},
      {WEFT_BINARY_MIN, WEFT_TYPED_MIN, false},
      {WEFT_BINARY_MAX, WEFT_TYPED_MAX, false},
      {WEFT_BINARY_AND, WEFT_TYPED_AND, false},
      {WEFT_BINARY_OR, WEFT_TYPED_OR, false},
      {WEFT_BINARY_XOR, WEFT_TYPED_XOR, false},
      {WEFT_BINARY_EQUAL, WEFT_TYPED_EQUAL, false},
      {WEFT_BINARY_LESS, WEFT_TYPED_LESS, false},
      {WEFT_BINARY_LESS_OR_EQUAL, WEFT_TYPED_LESS_OR_EQUAL, false},
      {WEFT_BINARY_GREATER, WEFT_TYPED_LESS, true},
      {WEFT_BINARY_GREATER_OR_EQUAL, WEFT_TYPED_LESS_OR_EQUAL, true},
  };
  if (b->variant == WEFT_BINARY_SHIFT && b->x_type == b->y_type) {
    return weft_typed_binary_of(b->left ? WEFT_TYPED_LEFT : WEFT_TYPED_RIGHT, b->x_type);
  }
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
    if (loops[i].variant == b->variant && b->x_type == b->y_type && !b->fmod) {
      *swapped = loops[i].swapped;
      return weft_typed_binary_of(loops[i].what, b->x_type);
    }
  }
  return NULL;
}

static void run_typed(void *arg, const weft_run *run) {
  const binary *b = arg;
  bool swapped;
  int64_t squares[WEFT_BLOCK];
  weft_typed_binary loop = typed_loop(b, &swapped);
  const void *x = run->in[swapped];
  void *z = (char *)b->z + run->out * weft_type_size(b->z_type); /* may be x or y */
  if (b->power == 3) {
    loop(run->n, x, x, squares);
    loop(run->n, squares, x, z);
    return;
  }
  loop(run->n, x, b->power == 2 ? x : run->in[!swapped], z);
}

/* ---- narrow types ------------------------------------------------------------------------------------------------ */
/* The type that narrow ones are computed in where they have no loop of their own, or WEFT_UNDEFINED. */
static weft_type wide_of(weft_type type) {
  switch (type) {
  case WEFT_FLOAT16:
  case WEFT_BFLOAT16:
    return WEFT_FLOAT;
  case WEFT_INT8:
  case WEFT_UINT8:
  case WEFT_INT16:
  case WEFT_UINT16:
    return WEFT_INT32;
  case WEFT_UINT32:
    return WEFT_INT64;
  default:
    return WEFT_UNDEFINED;
  }
}

/* n neighbours, of which the first is repeated where `step` is 0. */
static void widen(const binary *b, const void *x, size_t step, size_t n, void *out) {
  const weft_tensor all = {.type = b->x_type, .data = (void *)(uintptr_t)x};
  const weft_type wide = wide_of(all.type);
  const size_t count = step == 0 ? 1 : n;
  if (wide == WEFT_FLOAT) {
    weft_block_load(b->cx->kernels, &all, 0, 1, count, out);
  } else {
    weft_typed_convert_of(all.type, wide)(count, x, out);
  }
  if (step == 0) {
    weft_copy_elements(weft_type_size(wide), n, out, 0, out, 1);
  }
}

static void run_widened(void *arg, const weft_run *run) {
  const binary *b = arg;
  const weft_type wide = wide_of(b->x_type);
  int64_t x[WEFT_BLOCK], y[WEFT_BLOCK];
  widen(b, run->in[0], run->step[0], run->n, x);
  widen(b, run->in[1], run->step[1], run->n, y);
  binary inner = *b;
  const weft_run all = {.n = run->n, .in = {x, y}, .step = {1, 1}};
  const bool test = b->z_type != b->x_type;
  void *z = (char *)b->z + run->out * weft_type_size(b->z_type);
  inner.x_type = inner.y_type = wide;
  inner.z_type = test ? b->z_type : wide;
  inner.z = test ? z : x;
  b->inner(&inner, &all);
  if (!test && wide == WEFT_FLOAT) {
    weft_block_store(b->cx->kernels, b->z_tensor, run->out, 1, run->n, inner.z);
  } else if (!test) {
    weft_typed_convert_of(wide, b->x_type)(run->n, x, z);
  }
}

static void run_strings(void *arg, const weft_run *run) {
  const binary *b = arg;
  const weft_string *x = run->in[0], *y = run->in[1];
  uint8_t *z = (uint8_t *)b->z + run->out;
  for (size_t i = 0; i < run->n; i++) {
    const weft_string *s = &x[i * run->step[0]], *t = &y[i * run->step[1]];
    z[i] = s->size == t->size && (s->size == 0 || memcmp(s->data, t->data, s->size) == 0);
  }
}

static weft_status expect_no_zero(weft_op *op, const weft_tensor *y) {
  int64_t block[WEFT_BLOCK];
  for (size_t done = 0; done < y->count; done += WEFT_BLOCK) {
    size_t n = y->count - done < WEFT_BLOCK ? y->count - done : WEFT_BLOCK;
    weft_load_int64(y->type, y->data, done, 1, n, block);
    for (size_t i = 0; i < n; i++) {
      if (block[i] == 0) {
        return weft_op_run_fail(op, "division of integers by zero: element %zu of input B", done + i);
      }
    }
  }
  return WEFT_OK;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
static weft_run_body body_for(binary *b, const weft_tensor *y, size_t *longest) {
  bool kernel = b->variant < WEFT_BINARY_COUNT || b->variant == WEFT_BINARY_PRELU, swapped;
  const bool integers = weft_type_is_integer(b->x_type) && weft_type_is_integer(b->y_type);
  *longest = WEFT_BLOCK;
  if (b->variant == WEFT_BINARY_POW && (b->x_type == WEFT_FLOAT || b->x_type == WEFT_DOUBLE || integers)) {
    b->power = small_power(y);
  }
  if (b->power != 0) {
    return run_typed;
  }
  if (kernel && b->x_type == WEFT_FLOAT && b->y_type == WEFT_FLOAT) {
    *longest = SIZE_MAX;
    return run_float;
  }
  if (typed_loop(b, &swapped) != NULL) {
    *longest = SIZE_MAX;
    return run_typed;
  }
  if (b->x_type == WEFT_STRING) {
    return run_strings;
  }
  if (wide_of(b->x_type) != WEFT_UNDEFINED && b->x_type == b->y_type) {
    binary inner = *b;
    size_t unlimited;
    inner.x_type = inner.y_type = wide_of(b->x_type);
    b->inner = body_for(&inner, y, &unlimited);
    if (b->inner == run_float || b->inner == run_typed) {
      b->power = inner.power;
      return run_widened;
    }
  }
  return weft_type_is_float(b->x_type) || weft_type_is_float(b->y_type) ? run_double : run_integer;
}

/* z = x op y, elements of z broadcast from both; z may share memory with one of its own shape. */
static void run_pair(weft_op *op, binary *b, const weft_tensor *x, const weft_tensor *y, const weft_tensor *z) {
  weft_broadcast broadcast;
  size_t longest;
  b->z_tensor = z;
  b->x_type = x->type;
  b->y_type = y->type;
  b->z_type = z->type;
  b->z = z->data;
  /* For Pow the exponent's sign counts, else both have one type. */
  b->is_unsigned = !weft_type_is_signed(y->type);
  weft_run_body body = body_for(b, y, &longest);
  weft_broadcast_init(&broadcast, &z->shape, 2, (const weft_tensor *const[]){x, y});
  weft_broadcast_run(op->cx, &broadcast, longest, body == run_typed, body, b);
}

weft_status weft_binary_run(weft_op *op) {
  binary b = {.cx = op->cx, .variant = op->def->variant};
  const weft_tensor *x = weft_op_in(op, 0), *y = weft_op_in(op, 1);
  if (b.variant == WEFT_BINARY_MOD) {
    b.fmod = weft_op_attr_int(op, "fmod", 0) != 0;
    b.variant = b.fmod && weft_type_is_float(x->type) ? WEFT_BINARY_FMOD : WEFT_BINARY_MOD;
  } else if (b.variant == WEFT_BINARY_SHIFT) {
    b.left = weft_op_attr_string(op, "direction", "")[0] == 'L';
  }
  if ((b.variant == WEFT_BINARY_DIV || b.variant == WEFT_BINARY_MOD) && weft_type_is_integer(x->type)) {
    WEFT_TRY(expect_no_zero(op, y));
  }
  weft_tensor single = *y; /* PRelu's slope may have a rank above X's */
  if (b.variant == WEFT_BINARY_PRELU && y->count == 1) {
    single.shape.rank = 0;
  }
  run_pair(op, &b, x, &single, weft_op_out(op, 0));
  return WEFT_OK;
}

weft_status weft_variadic_run(weft_op *op) {
  binary b = {.cx = op->cx, .variant = op->def->variant == WEFT_BINARY_MEAN ? WEFT_BINARY_ADD : op->def->variant};
  const weft_tensor *first = weft_op_in(op, 0), *out = weft_op_out(op, 0);
  if (op->input_count == 1) {
    memmove(out->data, first->data, out->count * weft_type_size(out->type));
    return WEFT_OK;
  }
  for (int i = 1; i < op->input_count; i++) {
    run_pair(op, &b, i == 1 ? first : out, weft_op_in(op, i), out);
  }
  if (op->def->variant == WEFT_BINARY_MEAN) {
    double count = op->input_count, room;
    weft_tensor divisor = {.type = out->type, .count = 1, .data = &room};
    weft_store_double(out->type, &count, 1, &room, 0, 1);
    b.variant = WEFT_BINARY_DIV;
    run_pair(op, &b, out, &divisor, out);
  }
  return WEFT_OK;
}

/* ---- inferring --------------------------------------------------------------------------------------------------- */
static uint32_t allowed(const weft_op *op) {
  switch (op->def->variant) {
  case WEFT_BINARY_POW:
    return WEFT_TYPES_FLOAT | WEFT_TYPES_INDEX;
  case WEFT_BINARY_PRELU:
    return WEFT_TYPES_FLOAT | WEFT_TYPES_INDEX | WEFT_TYPE_BIT(WEFT_UINT32) | WEFT_TYPE_BIT(WEFT_UINT64);
  case WEFT_BINARY_AND:
  case WEFT_BINARY_OR:
  case WEFT_BINARY_XOR:
    return op->def->name[0] == 'B' ? WEFT_TYPES_INTEGER : WEFT_TYPE_BIT(WEFT_BOOL);
  case WEFT_BINARY_SHIFT:
    return WEFT_TYPES_INTEGER;
  case WEFT_BINARY_EQUAL:
    return WEFT_TYPES_NUMERIC | WEFT_TYPE_BIT(WEFT_BOOL) | WEFT_TYPE_BIT(WEFT_STRING);
  default:
    return WEFT_TYPES_NUMERIC;
  }
}

weft_status weft_binary_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "A", allowed(op)));
  if (op->def->variant == WEFT_BINARY_SHIFT) {
    int right;
    WEFT_TRY(weft_op_choice(op, "direction", "LEFT RIGHT", -1, &right));
  }
  return op->def->variant >= WEFT_BINARY_EQUAL ? weft_infer_compare(op) : weft_infer_broadcast(op);
}

weft_status weft_variadic_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, op->input_count));
  bool sum = op->def->variant == WEFT_BINARY_ADD || op->def->variant == WEFT_BINARY_MEAN;
  WEFT_TRY(weft_op_expect_type(op, 0, "data_0", sum ? WEFT_TYPES_FLOAT : WEFT_TYPES_NUMERIC));
  return weft_infer_broadcast(op);
}

/* Pow: the exponent has a type of its own. */
weft_status weft_pow_infer(weft_op *op) {
  char a[96], b[96];
  weft_shape shape;
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", allowed(op)));
  WEFT_TRY(weft_op_expect_type(op, 1, "Y", WEFT_TYPES_NUMERIC));
  const weft_tensor *x = weft_op_in(op, 0), *y = weft_op_in(op, 1);
  if (!weft_shape_broadcast(&x->shape, &y->shape, &shape)) {
    return weft_op_fail(op, "input Y: shape %s does not broadcast with %s", weft_shape_print(&y->shape, b, sizeof b),
                        weft_shape_print(&x->shape, a, sizeof a));
  }
  return weft_op_set(op, 0, x->type, &shape);
}

/* PRelu: the slope broadcasts to X, not the other way; a single one does whatever its rank. */
weft_status weft_prelu_infer(weft_op *op) {
  WEFT_TRY(weft_binary_infer(op));
  const weft_tensor *x = weft_op_in(op, 0), *slope = weft_op_in(op, 1);
  weft_shape shape = {0};
  char text[96];
  if (slope->count != 1 &&
      (!weft_shape_broadcast(&x->shape, &slope->shape, &shape) || !weft_shape_equal(&shape, &x->shape))) {
    return weft_op_fail(op, "input slope: shape %s does not broadcast to X's",
                        weft_shape_print(&slope->shape, text, sizeof text));
  }
  return weft_op_set_like(op, 0, x);
}
