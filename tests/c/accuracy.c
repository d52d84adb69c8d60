/* How exact the elementary functions are: every one, by its kernels (portable, simd, relaxed) and as an operator of
 * floats, float16 and bfloat16, against double precision. The numbers tried are of all exponents and both signs, most
 * of them of the exponents where the functions bend, with what lies at and beside powers of two, thresholds of the
 * kernels and special values; 16-bit types are tried in full. Prints the largest error of each in units in the last
 * place, and fails beyond its limit.
 *
 * The limit is 2 units or what was reached below that, and half a unit more than rounding for 16-bit types. Two
 * functions of nearly every layer of some models are less exact for their speed: Gelu of negative numbers, and SiLU,
 * whose results below 4e-37 become 0. */
#include "base/value.h"
#include "kernels/kernels.h"

/* Natively the relaxed table rounds twice: so the words with multiply-adds that round once, as hosts of wasm may have
 * them, are a table of this file's. */
#define r_madd rounding_twice
#include "kernels/scalar.h"
#undef r_madd
static inline float r_madd(float a, float b, float c) {
  return fmaf(a, b, c);
}
#include "kernels/approximations.h"

#include "model_bytes.h"
#include "simd/tables.h"
#include "ulp.h"
#include "weft.h"

static int failures;

/* ---- the functions, in double ------------------------------------------------------------------------------------ */
static double sigmoid(double x) {
  double e = exp(-fabs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}
static double softplus(double x) {
  return log1p(exp(-fabs(x))) + (x > 0 ? x : 0);
}
static double reciprocal(double x) {
  return 1 / x;
}
static double gelu(double x) {
  return 0.5 * x * erfc(-x * 0.70710678118654752440);
}
static double twice_inner(double x) {
  return 1.5957691216057307117 * (x + 0.044715 * x * x * x);
}
static double gelu_tanh(double x) {
  return x * sigmoid(twice_inner(x));
}
static double silu(double x) {
  return x * sigmoid(x);
}
static double hardsigmoid(double x) {
  double y = (double)0.2f * x + 0.5;
  return y < 0 ? 0 : y > 1 ? 1 : y;
}
static double hardswish(double x) {
  return x < -3 ? 0.0 * x : x > 3 ? x : x * (x / 6 + 0.5);
}
static double relu(double x) {
  return x < 0 ? 0 : x;
}
static double negative(double x) {
  return -x;
}
static double mish(double x) {
  return x * tanh(softplus(x));
}
static double softsign(double x) {
  return isinf(x) ? NAN : x / (1 + fabs(x));
}
static double elu(double x) {
  return x > 0 ? x : expm1(x);
}
static double selu(double x) {
  return (double)1.05070102214813232421875f * (x > 0 ? x : (double)1.67326319217681884765625f * expm1(x));
}
static double leaky(double x) {
  return x < 0 ? (double)0.01f * x : x;
}
static double sign(double x) {
  return isnan(x) ? x : (x > 0) - (x < 0);
}
static double quick_gelu(double x) {
  return x * sigmoid((double)1.702f * x);
}
static double power(double x) {
  return pow(x, (double)2.7f);
}

typedef struct elementary {
  const char *name; /* of the operator */
  int kernel;       /* -1: none */
  double (*exact)(double);
  double limit;
} elementary;

enum { SWISH = WEFT_UNARY_COUNT };

static const elementary functions[] = {
    {"Exp", WEFT_UNARY_EXP, exp, 1.1},
    {"Log", WEFT_UNARY_LOG, log, 0.9},
    {"Tanh", WEFT_UNARY_TANH, tanh, 2.0},
    {"Sigmoid", WEFT_UNARY_SIGMOID, sigmoid, 1.8},
    {"Erf", WEFT_UNARY_ERF, erf, 1.2},
    {"Softplus", WEFT_UNARY_SOFTPLUS, softplus, 1.7},
    {"Atan", WEFT_UNARY_ATAN, atan, 1.4},
    {"Softsign", WEFT_UNARY_SOFTSIGN, softsign, 1.5},
    {"Elu", -1, elu, 1.1},
    {"Celu", -1, elu, 1.1},
    {"Selu", -1, selu, 2.0},
    {"Pow", -1, power, 1.3},
    {"Sqrt", WEFT_UNARY_SQRT, sqrt, 0.5},
    {"Reciprocal", WEFT_UNARY_RECIPROCAL, reciprocal, 0.5},
    {"Floor", WEFT_UNARY_FLOOR, floor, 0},
    {"Ceil", WEFT_UNARY_CEIL, ceil, 0},
    {"Round", WEFT_UNARY_ROUND, rint, 0},
    {"Abs", WEFT_UNARY_ABS, fabs, 0},
    {"Neg", WEFT_UNARY_NEG, negative, 0},
    {"Relu", WEFT_UNARY_RELU, relu, 0},
    {"Gelu", WEFT_UNARY_GELU, gelu, 6.5},
    {"Gelu tanh", WEFT_UNARY_GELU_TANH, gelu_tanh, 2.0},
    {"Swish", WEFT_UNARY_SILU, silu, 2.0},
    {"com.microsoft:QuickGelu", SWISH, quick_gelu, 2.0},
    {"HardSwish", WEFT_UNARY_HARDSWISH, hardswish, 1.9},
    {"Mish", WEFT_UNARY_MISH, mish, 1.2},
    {"HardSigmoid", -1, hardsigmoid, 1.5},
    {"LeakyRelu", -1, leaky, 0.5},
    /* By way of double precision. */
    {"Sin", -1, sin, 0.51},
    {"Cos", -1, cos, 0.51},
    {"Tan", -1, tan, 0.51},
    {"Asin", -1, asin, 0.51},
    {"Acos", -1, acos, 0.51},
    {"Sinh", -1, sinh, 0.51},
    {"Cosh", -1, cosh, 0.51},
    {"Asinh", -1, asinh, 0.51},
    {"Acosh", -1, acosh, 0.51},
    {"Atanh", -1, atanh, 0.51},
    {"Erfc", -1, erfc, 0.51},
    {"Expm1", -1, expm1, 0.51},
    {"Log1p", -1, log1p, 0.51},
    {"Sign", -1, sign, 0},
};

/* ---- the numbers ------------------------------------------------------------------------------------------------- */
typedef struct numbers {
  size_t n, room;
  float *x;
} numbers;

static void put(numbers *s, float x) {
  CHECK(s->n < s->room);
  s->x[s->n++] = x;
}

static float from_bits(uint32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}

/* x and its neighbours, of both signs. */
static void put_around(numbers *s, float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  for (uint32_t i = 0; i < 7; i++) {
    put(s, from_bits(b + i - 3));
    put(s, -from_bits(b + i - 3));
  }
}

static void collect(numbers *s) {
  static const float thresholds[] = {0.55f,   0.70710678f, 1.0f,  1.41421356f, 2.5f,        3.0f,       3.95f,
                                     9.0f,    10.0f,       14.6f, 16.64f,      17.33f,      40.0f,      87.33f,
                                     88.37f,  88.72284f,   89.0f, 103.97f,     104.0f,      120.0f,     0.3466f,
                                     0.1733f, 5.5f,        1e5f,  1.57f,       3.14159265f, 8388608.0f, 4194304.0f};
  enum { USUAL = 300, DENSE = 12000 };
  *s = (numbers){.room = 2 * (256 * USUAL + 20 * DENSE) + 64 * 256 * 2};
  s->x = malloc(s->room * sizeof *s->x);
  CHECK(s->x != NULL);
  uint32_t seed = 1;
  for (uint32_t exponent = 0; exponent < 255; exponent++) {
    bool dense = exponent >= 116 && exponent < 136; /* 2^-11 to 2^8 */
    put_around(s, from_bits(exponent << 23 | 3u));
    put_around(s, from_bits(exponent << 23 | 0x7ffffcu));
    for (int i = 0; i < (dense ? DENSE : USUAL); i++) {
      seed = seed * 1664525u + 1013904223u;
      put(s, from_bits(exponent << 23 | seed >> 9));
      put(s, -from_bits(exponent << 23 | seed >> 9));
    }
  }
  for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++)
    put_around(s, thresholds[i]);
  const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1p-126f, 3.40282347e38f};
  for (size_t i = 0; i < sizeof special / sizeof *special; i++)
    put(s, special[i]);
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */
typedef struct worst {
  double error;
  float at;
} worst;

static void compare(const elementary *f, const ulp_type *type, double limit, float x, float got, double exact, worst *w,
                    const char *where) {
  double error = ulp_distance(type, (double)got, exact);
  if (f->kernel == WEFT_UNARY_SILU && got == 0 && fabs(exact) < 4e-37) return;
  bool sign_lost = exact == 0 && x == 0 && got == 0 && signbit(exact) != signbit(got);
  if (error > w->error) *w = (worst){error, x};
  if ((error > limit || sign_lost) && failures++ < 20) {
    fprintf(stderr, "%s of %.9g (%a) by %s, %s: %.9g, wanted %.9g, %.3g units away\n", f->name, (double)x, (double)x,
            where, type->name, (double)got, exact, error);
  }
}

/* The kernels as relaxed multiply-adds may make them. */
#define FUSED(NAME, word, is_long)                                                                                     \
  static void fused_##NAME(size_t n, const float *x, float *y) {                                                       \
    for (size_t i = 0; i < n; i++)                                                                                     \
      y[i] = word(x[i]);                                                                                               \
  }
UNARY_WORDS(FUSED)

#define FUSED_ENTRY(NAME, word, is_long) [WEFT_UNARY_##NAME] = fused_##NAME,
static const weft_kernels fused = {.name = "fused", .unary_f32 = {UNARY_WORDS(FUSED_ENTRY)}};

static void check_kernels(const elementary *f, const numbers *s, const double *exact, float *y) {
  const weft_kernels *const tables[] = {&weft_kernels_portable, &weft_kernels_simd, &weft_kernels_relaxed, &fused};
  for (size_t t = 0; t < (f->kernel == SWISH ? 3 : 4); t++) {
    worst w = {0, 0};
    if (f->kernel == SWISH) {
      tables[t]->swish_f32(s->n, s->x, 1.702f, y);
    } else {
      tables[t]->unary_f32[f->kernel](s->n, s->x, y);
    }
    for (size_t i = 0; i < s->n; i++)
      compare(f, &ulp_float, f->limit, s->x[i], y[i], exact[i], &w, tables[t]->name);
    printf(" %s %.3f", tables[t]->name, w.error);
  }
}

/* ---- operators --------------------------------------------------------------------------------------------------- */
static const int64_t any_length[] = {0};

static weft_session *make_session(const elementary *f, weft_type type) {
  bytes g = {0};
  weft_session *session;
  weft_error error = {0};
  const bool by_tanh = f->kernel == WEFT_UNARY_GELU_TANH;
  add_text(&g, GRAPH_NAME, "main");
  graph_typed_value(&g, GRAPH_INPUT, "x", (int)type, 1, any_length);
  if (strcmp(f->name, "Pow") == 0) {
    graph_tensor(&g, "e", WEFT_FLOAT, 4, 0, NULL, &(float){2.7f});
    graph_node(&g, node("Pow", "x e", "y"));
  } else {
    bytes n = node(by_tanh ? "Gelu" : f->name, "x", "y");
    if (by_tanh) with_string(&n, "approximate", "tanh");
    graph_node(&g, n);
  }
  graph_output(&g, "y");
  bytes m = model(24, &g), microsoft = opset("com.microsoft", 1);
  add_message(&m, 8, &microsoft);
  if (weft_session_create_from_bytes(m.data, m.size, NULL, &session, &error) != WEFT_OK) {
    fprintf(stderr, "%s: %s\n", f->name, error.message);
    exit(1);
  }
  clear(&m);
  return session;
}

/* y is the operator's answer to n elements x of the type. */
static weft_value *run(const elementary *f, weft_type type, size_t n, size_t size, const void *x) {
  weft_session *session = make_session(f, type);
  weft_value *in, *out;
  weft_error error = {0};
  CHECK(weft_value_create_tensor(type, 1, &(int64_t){(int64_t)n}, &in, NULL) == WEFT_OK);
  memcpy(weft_value_data(in), x, n * size);
  if (weft_session_run(session, 1, (const char *[]){"x"}, &in, 1, (const char *[]){"y"}, &out, &error) != WEFT_OK) {
    fprintf(stderr, "%s: %s\n", f->name, error.message);
    exit(1);
  }
  weft_value_release(in);
  weft_session_destroy(session);
  return out;
}

static void check_operator(const elementary *f, const numbers *s, const double *exact) {
  worst w = {0, 0};
  weft_value *value = run(f, WEFT_FLOAT, s->n, sizeof *s->x, s->x);
  const float *y = weft_value_data(value);
  for (size_t i = 0; i < s->n; i++)
    compare(f, &ulp_float, f->limit, s->x[i], y[i], exact[i], &w, "the operator");
  weft_value_release(value);
  printf(" operator %.3f at %a", w.error, (double)w.at);
}

static void check_halves(const elementary *f, weft_type type, const ulp_type *form) {
  static uint16_t x[1 << 16];
  const double limit = f->limit == 0 ? 0 : 0.5 + ldexp(f->limit, form->digits - 23);
  worst w = {0, 0};
  for (uint32_t i = 0; i < 1 << 16; i++)
    x[i] = (uint16_t)i;
  weft_value *value = run(f, type, 1 << 16, sizeof *x, x);
  const uint16_t *y = weft_value_data(value);
  float (*widen)(uint16_t) = type == WEFT_FLOAT16 ? weft_float16_to_float : weft_bfloat16_to_float;
  for (size_t i = 0; i < 1 << 16; i++) {
    float wide = widen(x[i]);
    compare(f, form, limit, wide, widen(y[i]), f->exact((double)wide), &w, "the operator");
  }
  weft_value_release(value);
  printf(" %s %.3f", form->name, w.error);
}

int main(void) {
  numbers s;
  collect(&s);
  double *exact = malloc(s.n * sizeof *exact);
  float *y = malloc(s.n * sizeof *y);
  CHECK(exact != NULL && y != NULL);
  printf("largest errors of %zu floats, in units in the last place\n", s.n);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    const elementary *f = &functions[i];
    for (size_t j = 0; j < s.n; j++)
      exact[j] = f->exact((double)s.x[j]);
    printf("%-23s", f->name);
    if (f->kernel >= 0) check_kernels(f, &s, exact, y);
    check_operator(f, &s, exact);
    check_halves(f, WEFT_FLOAT16, &ulp_float16);
    check_halves(f, WEFT_BFLOAT16, &ulp_bfloat16);
    printf("\n");
  }
  free(exact);
  free(y);
  free(s.x);
  return failures != 0;
}
