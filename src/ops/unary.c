/* Operators of one input that work element by element. Floating types up to 32 bits use the float kernel of
 * kernels.h where there is one; every other function is one line of a table in double, which costs little and is
 * exact to the last float bit. Integers have their own function, in int64. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../kernels/typed.h"
#include "broadcast.h"

#include <math.h>
#include <string.h>

typedef struct unary {
  weft_context *cx;
  int variant;
  const weft_tensor *x_tensor, *y_tensor;
  weft_type in, out;
  const void *x;
  void *y;
  double a, b; /* the operator's numbers */
} unary;

/* ---- the functions, in double ------------------------------------------------------------------------------------ */
#define FUNCTION(name, expression)                                                                                     \
  static double name(double x, double a, double b) {                                                                   \
    (void)a;                                                                                                           \
    (void)b;                                                                                                           \
    return expression;                                                                                                 \
  }

/* Not fmax, fmin: NaN stays. */
static double clip(double x, double lo, double hi) {
  return x < lo ? lo : x > hi ? hi : x;
}

FUNCTION(of_erf, weft_erf(x))
FUNCTION(of_gelu, weft_gelu(x))
FUNCTION(of_gelu_tanh, weft_gelu_tanh(x, 0))
FUNCTION(of_silu, weft_swish(x, 1))
FUNCTION(of_hardswish, x *(clip(x + 3, 0, 6) / 6))
FUNCTION(of_softplus, weft_softplus(x))
FUNCTION(of_sign, isnan(x) ? x : (x > 0) - (x < 0))
FUNCTION(of_tan, weft_tan(x))
FUNCTION(of_asin, weft_asin(x))
FUNCTION(of_acos, weft_acos(x))
FUNCTION(of_atan, weft_atan(x))
FUNCTION(of_sinh, weft_sinh(x))
FUNCTION(of_cosh, weft_cosh(x))
FUNCTION(of_asinh, weft_asinh(x))
FUNCTION(of_acosh, weft_acosh(x))
FUNCTION(of_atanh, weft_atanh(x))
FUNCTION(of_erfc, weft_erfc(x))
FUNCTION(of_expm1, weft_expm1(x))
FUNCTION(of_log1p, weft_log1p(x))
FUNCTION(of_softsign, x / (1 + fabs(x)))
FUNCTION(of_mish, weft_mish(x))
FUNCTION(of_leaky, x < 0 ? a * x : x)
FUNCTION(of_hardsigmoid, clip(weft_multiply_add(a, x, b), 0, 1))
FUNCTION(of_elu, x > 0 ? x : a * weft_expm1(x))
FUNCTION(of_selu, x > 0 ? b * x : a * b * weft_expm1(x)) /* a and b are floats: their product is exact */
FUNCTION(of_celu, x > 0 ? x : a * weft_expm1(x / a))
FUNCTION(of_thresholded, x > a ? x : 0)
FUNCTION(of_shrink, x<-a ? x + b : x> a ? x - b : 0)
FUNCTION(of_swish, weft_swish(x, a))
FUNCTION(of_is_nan, isnan(x) ? 1 : 0)
FUNCTION(of_is_inf, isinf(x) ? (x > 0 ? a : b) : 0)

/* NULL: a loop has it. */
static double (*const functions[])(double x, double a, double b) = {
    [WEFT_UNARY_ERF] = of_erf,
    [WEFT_UNARY_GELU] = of_gelu,
    [WEFT_UNARY_GELU_TANH] = of_gelu_tanh,
    [WEFT_UNARY_SILU] = of_silu,
    [WEFT_UNARY_HARDSWISH] = of_hardswish,
    [WEFT_UNARY_SOFTPLUS] = of_softplus,
    [WEFT_UNARY_SIGN] = of_sign,
    [WEFT_UNARY_TAN] = of_tan,
    [WEFT_UNARY_ASIN] = of_asin,
    [WEFT_UNARY_ACOS] = of_acos,
    [WEFT_UNARY_ATAN] = of_atan,
    [WEFT_UNARY_SINH] = of_sinh,
    [WEFT_UNARY_COSH] = of_cosh,
    [WEFT_UNARY_ASINH] = of_asinh,
    [WEFT_UNARY_ACOSH] = of_acosh,
    [WEFT_UNARY_ATANH] = of_atanh,
    [WEFT_UNARY_ERFC] = of_erfc,
    [WEFT_UNARY_EXPM1] = of_expm1,
    [WEFT_UNARY_LOG1P] = of_log1p,
    [WEFT_UNARY_SOFTSIGN] = of_softsign,
    [WEFT_UNARY_MISH] = of_mish,
    [WEFT_UNARY_LEAKY] = of_leaky,
    [WEFT_UNARY_HARDSIGMOID] = of_hardsigmoid,
    [WEFT_UNARY_ELU] = of_elu,
    [WEFT_UNARY_SELU] = of_selu,
    [WEFT_UNARY_CELU] = of_celu,
    [WEFT_UNARY_THRESHOLDED] = of_thresholded,
    [WEFT_UNARY_SHRINK] = of_shrink,
    [WEFT_UNARY_SWISH] = of_swish,
    [WEFT_UNARY_IS_NAN] = of_is_nan,
    [WEFT_UNARY_IS_INF] = of_is_inf,
};

static void sigmoids(size_t n, double *x) {
  double powers[WEFT_BLOCK];
  for (size_t i = 0; i < n; i++) {
    powers[i] = -fabs(x[i]);
  }
  weft_typed_exp(n, powers, powers);
  for (size_t i = 0; i < n; i++) {
    x[i] = (x[i] < 0 ? powers[i] : 1) / (1 + powers[i]);
  }
}

static void run_double(void *arg, size_t begin, size_t end) {
  const unary *u = arg;
  double block[WEFT_BLOCK];
  double (*function)(double, double, double) = functions[u->variant];
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    weft_load_double(u->in, u->x, done, 1, n, block);
    if (u->variant == WEFT_UNARY_EXP) {
      weft_typed_exp(n, block, block);
    } else if (u->variant == WEFT_UNARY_SIGMOID) {
      sigmoids(n, block);
    }
    for (size_t i = 0; function != NULL && i < n; i++) {
      block[i] = function(block[i], u->a, u->b);
    }
    weft_store_double(u->out, block, n, u->y, done, 1);
  }
}

/* ---- float: kernels ---------------------------------------------------------------------------------------------- */
static bool has_float(int variant) {
  return variant < WEFT_UNARY_COUNT || variant == WEFT_UNARY_LEAKY || variant == WEFT_UNARY_HARDSIGMOID ||
         variant == WEFT_UNARY_SWISH;
}

/* y may be x. */
static void kernel(const unary *u, size_t n, const float *x, float *y) {
  const weft_kernels *kernels = u->cx->kernels;
  if (u->variant < WEFT_UNARY_COUNT) {
    kernels->unary_f32[u->variant](n, x, y);
  } else if (u->variant == WEFT_UNARY_SWISH) {
    kernels->swish_f32(n, x, (float)u->a, y);
  } else {
    if (x != y) {
      memcpy(y, x, n * sizeof *y);
    }
    weft_activate_f32(kernels, n, y, u->variant == WEFT_UNARY_LEAKY ? WEFT_ACT_LEAKY : WEFT_ACT_HARDSIGMOID,
                      (float)u->a, (float)u->b);
  }
}

static void run_float(void *arg, size_t begin, size_t end) {
  const unary *u = arg;
  kernel(u, end - begin, (const float *)u->x + begin, (float *)u->y + begin);
}

/* ---- integers ---------------------------------------------------------------------------------------------------- */
/* What has no loop. Unsigned 64-bit numbers arrive as the same bits: `negative` is then never true. */
static int64_t of_integer(const unary *u, int64_t x, bool negative) {
  switch (u->variant) {
  case WEFT_UNARY_ERF: /* as a double it is 1 from 6 on, and below that its fraction is lost */
    return negative ? -(x <= -6) : x < 0 || x >= 6;
  default: { /* Shrink */
    double wide = u->in == WEFT_UINT64 ? (double)(uint64_t)x : (double)x;
    double y = of_shrink(wide, u->a, u->b);
    return y == wide ? x : isnan(y) ? 0 : (int64_t)clip(y, -0x1p63, 0x1.fffffffffffffp62);
  }
  }
}

static void run_integer(void *arg, size_t begin, size_t end) {
  const unary *u = arg;
  int64_t block[WEFT_BLOCK];
  bool is_signed = weft_type_is_signed(u->in);
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    weft_load_int64(u->in, u->x, done, 1, n, block);
    for (size_t i = 0; i < n; i++) {
      block[i] = of_integer(u, block[i], is_signed && block[i] < 0);
    }
    weft_store_int64(u->out, block, n, u->y, done, 1);
  }
}

/* ---- by loops over two operands, one of them a constant ---------------------------------------------------------- */
typedef struct with_constant {
  weft_typed what;
  weft_type type;
  int64_t constant; /* of doubles its bits */
  bool first;       /* the constant comes before x */
} with_constant;

/* Of doubles and integers. Abs of integers is the greater of x and what this gives, Sign what is then no less than -1. */
static bool loop_of(const unary *u, with_constant *l) {
  const bool is_double = u->in == WEFT_DOUBLE, is_signed = weft_type_is_signed(u->in);
  const double one = 1;
  *l = (with_constant){.type = u->in};
  switch (u->variant) {
  case WEFT_UNARY_NEG:
  case WEFT_UNARY_ABS:
    l->what = WEFT_TYPED_SUB;
    l->first = true;
    if (is_double || !is_signed) { /* the sign's bit, and unsigned numbers as they are */
      l->type = is_double ? WEFT_INT64 : u->in;
      l->what = u->variant == WEFT_UNARY_NEG ? WEFT_TYPED_XOR : WEFT_TYPED_AND;
      l->constant = !is_double ? -1 : u->variant == WEFT_UNARY_NEG ? INT64_MIN : INT64_MAX;
    }
    break;
  case WEFT_UNARY_RELU:
    l->what = WEFT_TYPED_MAX;
    l->first = true; /* so -0 stays */
    break;
  case WEFT_UNARY_BITWISE_NOT:
    l->what = WEFT_TYPED_XOR;
    l->constant = -1;
    break;
  case WEFT_UNARY_SIGN:
    l->what = WEFT_TYPED_MIN;
    l->constant = 1;
    break;
  case WEFT_UNARY_RECIPROCAL:
    l->what = WEFT_TYPED_DIV;
    l->first = true;
    memcpy(&l->constant, &one, sizeof one);
    break;
  default:
    return false;
  }
  return weft_typed_binary_of(l->what, l->type) != NULL &&
         (u->variant == WEFT_UNARY_SIGN ? !is_double : u->variant != WEFT_UNARY_RECIPROCAL || is_double);
}

static void run_with_constant(void *arg, size_t begin, size_t end) {
  const unary *u = arg;
  const size_t size = weft_type_size(u->in);
  const bool is_signed = weft_type_is_signed(u->in);
  const int64_t least = -1;
  int64_t constants[WEFT_BLOCK], room[WEFT_BLOCK];
  with_constant l;
  loop_of(u, &l);
  weft_typed_binary loop = weft_typed_binary_of(l.what, l.type), greater = weft_typed_binary_of(WEFT_TYPED_MAX, u->in);
  for (size_t i = 0; i < WEFT_BLOCK; i++) {
    weft_store_int64(l.type == WEFT_DOUBLE ? WEFT_INT64 : l.type, &l.constant, 1, constants, i, 1);
    weft_store_int64(l.type == WEFT_DOUBLE ? WEFT_INT64 : l.type, &least, 1, room, i, 1);
  }
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    const size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    const void *x = (const char *)u->x + done * size;
    void *y = (char *)u->y + done * size;
    if (u->variant == WEFT_UNARY_ABS && is_signed) {
      loop(n, constants, x, room);
      greater(n, x, room, y);
      continue;
    }
    loop(n, l.first ? constants : x, l.first ? x : constants, y);
    if (u->variant == WEFT_UNARY_SIGN && is_signed) {
      greater(n, y, room, y);
    }
  }
}

/* ---- loops of kernels/typed.h ------------------------------------------------------------------------------------ */
static weft_typed_unary typed_loop(const unary *u) {
  static const struct {
    int variant;
    weft_type type;
    weft_typed_function what;
  } loops[] = {
      {WEFT_UNARY_NOT, WEFT_BOOL, WEFT_TYPED_NOT},
      {WEFT_UNARY_IS_NAN, WEFT_FLOAT, WEFT_TYPED_IS_NAN},
      {WEFT_UNARY_SIGN, WEFT_FLOAT, WEFT_TYPED_SIGN},
      {WEFT_UNARY_SIN, WEFT_FLOAT, WEFT_TYPED_SINE},
      {WEFT_UNARY_COS, WEFT_FLOAT, WEFT_TYPED_COSINE},
      {WEFT_UNARY_IS_INF, WEFT_FLOAT, WEFT_TYPED_IS_INFINITE},
      {WEFT_UNARY_TAN, WEFT_FLOAT, WEFT_TYPED_TANGENT},
      {WEFT_UNARY_ASIN, WEFT_FLOAT, WEFT_TYPED_ASIN},
      {WEFT_UNARY_ACOS, WEFT_FLOAT, WEFT_TYPED_ACOS},
      {WEFT_UNARY_SINH, WEFT_FLOAT, WEFT_TYPED_SINH},
      {WEFT_UNARY_COSH, WEFT_FLOAT, WEFT_TYPED_COSH},
      {WEFT_UNARY_ASINH, WEFT_FLOAT, WEFT_TYPED_ASINH},
      {WEFT_UNARY_ACOSH, WEFT_FLOAT, WEFT_TYPED_ACOSH},
      {WEFT_UNARY_ATANH, WEFT_FLOAT, WEFT_TYPED_ATANH},
      {WEFT_UNARY_IS_NAN, WEFT_DOUBLE, WEFT_TYPED_IS_NAN_DOUBLE},
      {WEFT_UNARY_IS_INF, WEFT_DOUBLE, WEFT_TYPED_IS_INFINITE_DOUBLE},
      {WEFT_UNARY_FLOOR, WEFT_DOUBLE, WEFT_TYPED_FLOOR},
      {WEFT_UNARY_CEIL, WEFT_DOUBLE, WEFT_TYPED_CEIL},
      {WEFT_UNARY_ROUND, WEFT_DOUBLE, WEFT_TYPED_ROUND},
      {WEFT_UNARY_SQRT, WEFT_DOUBLE, WEFT_TYPED_SQRT},
      {WEFT_UNARY_LOG, WEFT_DOUBLE, WEFT_TYPED_LOG},
      {WEFT_UNARY_TANH, WEFT_DOUBLE, WEFT_TYPED_TANH},
      {WEFT_UNARY_SIN, WEFT_DOUBLE, WEFT_TYPED_SINE_DOUBLE},
      {WEFT_UNARY_COS, WEFT_DOUBLE, WEFT_TYPED_COSINE_DOUBLE},
  };
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
    const bool either = u->variant != WEFT_UNARY_IS_INF || (u->a != 0 && u->b != 0);
    if (loops[i].variant == u->variant && loops[i].type == u->in && either) {
      return weft_typed_unary_of(loops[i].what);
    }
  }
  return NULL;
}

static void run_typed(void *arg, size_t begin, size_t end) {
  const unary *u = arg;
  typed_loop(u)(end - begin, (const char *)u->x + begin * weft_type_size(u->in),
                (char *)u->y + begin * weft_type_size(u->out));
}

/* Elu, Selu and Celu. */
/* Whether the exponent falls with x, as elu_f32 has it: with a negative alpha, Celu's grows without end. */
static bool is_elu(const unary *u) {
  return u->variant == WEFT_UNARY_ELU || u->variant == WEFT_UNARY_SELU || (u->variant == WEFT_UNARY_CELU && u->a > 0);
}

static void run_elu(void *arg, size_t begin, size_t end) {
  const unary *u = arg;
  const double gamma = u->variant == WEFT_UNARY_SELU ? u->b : 1, unit = u->variant == WEFT_UNARY_CELU ? u->a : 1;
  u->cx->kernels->elu_f32(end - begin, (const float *)u->x + begin, (float)gamma, (float)(gamma * u->a), (float)unit,
                          (float *)u->y + begin);
}

static void run_shrink(void *arg, size_t begin, size_t end) {
  const unary *u = arg;
  const bool both = u->variant == WEFT_UNARY_SHRINK;
  const float high = (float)u->a;
  weft_typed_shrink(end - begin, (const float *)u->x + begin, both ? -high : -INFINITY, high, both ? (float)u->b : 0,
                    (float *)u->y + begin);
}

/* ---- the operators ----------------------------------------------------------------------------------------------- */
static uint32_t allowed(const weft_op *op) {
  uint32_t with_sign = WEFT_TYPE_BIT(WEFT_INT8) | WEFT_TYPE_BIT(WEFT_INT16) | WEFT_TYPES_INDEX;
  switch (op->def->variant) {
  case WEFT_UNARY_ABS:
  case WEFT_UNARY_SIGN:
  case WEFT_UNARY_SHRINK:
  case WEFT_UNARY_ERF:
    return WEFT_TYPES_NUMERIC;
  case WEFT_UNARY_NEG:
  case WEFT_UNARY_RELU:
    return WEFT_TYPES_FLOAT | with_sign;
  case WEFT_UNARY_IS_NAN:
  case WEFT_UNARY_IS_INF:
    return WEFT_TYPES_FLOAT | WEFT_TYPES_FLOAT8;
  case WEFT_UNARY_BITWISE_NOT:
    return WEFT_TYPES_INTEGER;
  case WEFT_UNARY_NOT:
    return WEFT_TYPE_BIT(WEFT_BOOL);
  default:
    return WEFT_TYPES_FLOAT;
  }
}

weft_status weft_unary_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", allowed(op)));
  const weft_tensor *x = weft_op_in(op, 0);
  bool test = op->def->variant == WEFT_UNARY_IS_NAN || op->def->variant == WEFT_UNARY_IS_INF;
  return weft_op_set(op, 0, test ? WEFT_BOOL : x->type, &x->shape);
}

/* The operator's numbers, and the variant its attributes choose. */
static weft_status read_attributes(weft_op *op, unary *u) {
  int by_tanh;
  switch (u->variant) {
  case WEFT_UNARY_LEAKY:
    u->a = (double)weft_op_attr_float(op, "alpha", 0.01f);
    break;
  case WEFT_UNARY_HARDSIGMOID:
    u->a = (double)weft_op_attr_float(op, "alpha", 0.2f);
    u->b = (double)weft_op_attr_float(op, "beta", 0.5f);
    break;
  case WEFT_UNARY_ELU:
  case WEFT_UNARY_CELU:
  case WEFT_UNARY_THRESHOLDED:
    u->a = (double)weft_op_attr_float(op, "alpha", 1);
    break;
  case WEFT_UNARY_SELU:
    u->a = (double)weft_op_attr_float(op, "alpha", 1.67326319217681884765625f);
    u->b = (double)weft_op_attr_float(op, "gamma", 1.05070102214813232421875f);
    break;
  case WEFT_UNARY_SHRINK:
    u->a = (double)weft_op_attr_float(op, "lambd", 0.5f);
    u->b = (double)weft_op_attr_float(op, "bias", 0);
    break;
  case WEFT_UNARY_IS_INF:
    u->a = weft_op_attr_int(op, "detect_positive", 1) != 0;
    u->b = weft_op_attr_int(op, "detect_negative", 1) != 0;
    break;
  case WEFT_UNARY_SWISH:
    u->a = (double)weft_op_attr_float(op, "alpha", 1);
    u->variant = u->a == 1 ? WEFT_UNARY_SILU : WEFT_UNARY_SWISH;
    break;
  case WEFT_UNARY_GELU_ATTRIBUTE:
    WEFT_TRY(weft_op_choice(op, "approximate", "none tanh", 0, &by_tanh));
    u->variant = by_tanh ? WEFT_UNARY_GELU_TANH : WEFT_UNARY_GELU;
    break;
  default:
    break;
  }
  return WEFT_OK;
}

static weft_parallel_body body_of(const unary *u) {
  with_constant l;
  if (typed_loop(u) != NULL) {
    return run_typed;
  }
  if (loop_of(u, &l)) {
    return run_with_constant;
  }
  if (!weft_type_is_float(u->in)) {
    return run_integer;
  }
  if (u->in == WEFT_FLOAT && is_elu(u)) {
    return run_elu;
  }
  if (u->in == WEFT_FLOAT && (u->variant == WEFT_UNARY_SHRINK || u->variant == WEFT_UNARY_THRESHOLDED)) {
    return run_shrink;
  }
  return u->in == WEFT_FLOAT && has_float(u->variant) ? run_float : run_double;
}

/* Narrower floats by the loops of floats. */
static void run_narrow(void *arg, size_t begin, size_t end) {
  const unary *u = arg;
  const weft_kernels *kernels = u->cx->kernels;
  float block[WEFT_BLOCK];
  unary floats = *u;
  floats.in = WEFT_FLOAT;
  floats.x = block;
  floats.out = u->out == WEFT_BOOL ? WEFT_BOOL : WEFT_FLOAT;
  floats.y = block;
  weft_parallel_body body = body_of(&floats);
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    const size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    weft_block_load(kernels, u->x_tensor, done, 1, n, block);
    if (u->out == WEFT_BOOL) {
      floats.y = (uint8_t *)u->y + done;
    }
    body(&floats, 0, n);
    if (u->out != WEFT_BOOL) {
      weft_block_store(kernels, u->y_tensor, done, 1, n, block);
    }
  }
}

weft_status weft_unary_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  unary u = {op->cx, op->def->variant, x, y, x->type, y->type, x->data, y->data, 0, 0};
  WEFT_TRY(read_attributes(op, &u));
  unary floats = u;
  floats.in = WEFT_FLOAT;
  const bool narrow = weft_type_is_float(x->type) && x->type != WEFT_FLOAT && x->type != WEFT_DOUBLE;
  weft_parallel_body body = narrow && body_of(&floats) != run_double ? run_narrow : body_of(&u);
  if (x->count > 0) {
    weft_parallel(op->cx, x->count, WEFT_GRAIN, body, &u);
  }
  return WEFT_OK;
}
