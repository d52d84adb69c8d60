/* The loops of kernels/typed.h against what they stand for: the general conversions of base/convert.h, and definitions
 * written out one element at a time. All lengths up to a few vectors, special values everywhere. */
#include "kernels/typed.h"
#include "base/convert.h"
#include "base/elementary.h"
#include "base/value.h"
#include "loops_test.h"

#include <stdlib.h>
#include <string.h>

/* Random elements of a type; bools are 0 and 1, whole numbers small now and then so that some are equal. */
static void fill(weft_type type, size_t n, void *out) {
  for (size_t i = 0; i < n; i++) {
    int64_t whole =
        draw() % 3 == 0 ? (int64_t)(draw() % 3) - 1 : (int64_t)((uint64_t)draw() << 41 ^ (uint64_t)draw() << 20);
    if (type == WEFT_FLOAT) {
      ((float *)out)[i] = draw_float();
    } else if (type == WEFT_DOUBLE) {
      ((double *)out)[i] = (double)draw_float();
    } else if (type == WEFT_BOOL) {
      ((uint8_t *)out)[i] = draw() & 1;
    } else {
      weft_store_int64(type, &whole, 1, out, i, 1);
    }
  }
}

/* The same bits, or both NaN. */
static bool same_numbers(weft_type type, size_t n, const void *got, const void *wanted) {
  for (size_t i = 0; i < n; i++) {
    double a = 0, b = 0;
    if (weft_type_is_float(type)) {
      weft_load_double(type, got, i, 1, 1, &a);
      weft_load_double(type, wanted, i, 1, 1, &b);
    }
    const size_t size = weft_type_size(type);
    if (memcmp((const char *)got + i * size, (const char *)wanted + i * size, size) != 0 && !(isnan(a) && isnan(b))) {
      return false;
    }
  }
  return true;
}

/* ---- conversions ------------------------------------------------------------------------------------------------- */
static void convert_one(weft_type from, weft_type to, const void *x, size_t i, void *y) {
  if (from == WEFT_DOUBLE || to == WEFT_DOUBLE) {
    double number;
    weft_load_double(from, x, i, 1, 1, &number);
    weft_store_double(to, &number, 1, y, i, 1);
  } else if (from != WEFT_FLOAT && to != WEFT_FLOAT) {
    int64_t whole;
    weft_load_int64(from, x, i, 1, 1, &whole);
    weft_store_int64(to, &whole, 1, y, i, 1);
  } else {
    float number;
    weft_load_float(from, x, i, 1, 1, &number);
    weft_store_float(to, &number, 1, y, i, 1);
  }
}

static int check_conversions(size_t n) {
  int loops = 0;
  for (weft_type from = 1; from < WEFT_TYPE_COUNT; from++) {
    for (weft_type to = 1; to < WEFT_TYPE_COUNT; to++) {
      weft_typed_unary loop = weft_typed_convert_of(from, to);
      const weft_type by = weft_typed_convert_by(from, to);
      if (loop == NULL && by == WEFT_UNDEFINED) continue;
      uint64_t x[MOST], between[MOST], got[MOST] = {0}, wanted[MOST] = {0};
      fill(from, n, x);
      if (loop != NULL) {
        loop(n, x, got);
      } else {
        weft_typed_convert_of(from, by)(n, x, between);
        weft_typed_convert_of(by, to)(n, between, got);
      }
      for (size_t i = 0; i < n; i++)
        convert_one(from, to, x, i, wanted);
      check(same_numbers(to, n, got, wanted), weft_type_name(to), n, from);
      loops++;
    }
  }
  return loops;
}

/* ---- two operands ------------------------------------------------------------------------------------------------ */
static int64_t of_whole(weft_typed what, bool is_signed, int64_t a, int64_t b) {
  const bool below = is_signed ? a < b : (uint64_t)a < (uint64_t)b;
  switch (what) {
  case WEFT_TYPED_ADD:
    return (int64_t)((uint64_t)a + (uint64_t)b);
  case WEFT_TYPED_SUB:
    return (int64_t)((uint64_t)a - (uint64_t)b);
  case WEFT_TYPED_MUL:
    return (int64_t)((uint64_t)a * (uint64_t)b);
  case WEFT_TYPED_DIV:
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
  case WEFT_TYPED_MOD:
    return b == -1 ? 0 : ((a % b) + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0));
  case WEFT_TYPED_MIN:
    return below ? a : b;
  case WEFT_TYPED_MAX:
    return below ? b : a;
  case WEFT_TYPED_AND:
    return a & b;
  case WEFT_TYPED_OR:
    return a | b;
  case WEFT_TYPED_XOR:
    return a ^ b;
  case WEFT_TYPED_LEFT:
    return (uint64_t)b < 64 ? (int64_t)((uint64_t)a << b) : 0;
  case WEFT_TYPED_RIGHT:
    return is_signed ? a >> ((uint64_t)b < 64 ? b : 63) : (int64_t)((uint64_t)b < 64 ? (uint64_t)a >> b : 0);
  case WEFT_TYPED_EQUAL:
    return a == b;
  case WEFT_TYPED_LESS:
    return below;
  default:
    return below || a == b;
  }
}

static bool of_floats(weft_typed what, float a, float b) {
  return what == WEFT_TYPED_EQUAL ? a == b : what == WEFT_TYPED_LESS ? a < b : a <= b;
}

/* NaN wins. */
static double of_doubles(weft_typed what, double a, double b) {
  switch (what) {
  case WEFT_TYPED_ADD:
    return a + b;
  case WEFT_TYPED_SUB:
    return a - b;
  case WEFT_TYPED_MUL:
    return a * b;
  case WEFT_TYPED_DIV:
    return a / b;
  case WEFT_TYPED_MIN:
    return isnan(a) || a < b ? a : b;
  default:
    return isnan(a) || a > b ? a : b;
  }
}

static int check_binary(size_t n) {
  int loops = 0;
  for (weft_typed what = 0; what <= WEFT_TYPED_LESS_OR_EQUAL; what++) {
    for (weft_type type = 1; type < WEFT_TYPE_COUNT; type++) {
      weft_typed_binary loop = weft_typed_binary_of(what, type);
      if (loop == NULL) continue;
      uint64_t x[MOST], y[MOST], got[MOST] = {0}, wanted[MOST] = {0};
      weft_type to = what >= WEFT_TYPED_EQUAL ? WEFT_BOOL : type;
      fill(type, n, x);
      fill(type, n, y);
      const int64_t one = 1;
      for (size_t i = 0; i < n && type != WEFT_DOUBLE && (what == WEFT_TYPED_DIV || what == WEFT_TYPED_MOD); i++) {
        int64_t divisor;
        weft_load_int64(type, y, i, 1, 1, &divisor);
        if (divisor == 0) weft_store_int64(type, &one, 1, y, i, 1);
      }
      for (size_t i = 0; i < n; i++) {
        int64_t a, b, c;
        if (type == WEFT_FLOAT && to == WEFT_FLOAT) { /* products */
          ((float *)(void *)wanted)[i] = ((float *)(void *)x)[i] * ((float *)(void *)y)[i];
          continue;
        }
        if (type == WEFT_FLOAT) {
          c = of_floats(what, ((float *)(void *)x)[i], ((float *)(void *)y)[i]);
        } else if (type == WEFT_DOUBLE && to == WEFT_BOOL) {
          c = of_floats(what, (float)((double *)(void *)x)[i], (float)((double *)(void *)y)[i]);
        } else if (type == WEFT_DOUBLE) {
          ((double *)(void *)wanted)[i] = of_doubles(what, ((double *)(void *)x)[i], ((double *)(void *)y)[i]);
          continue;
        } else {
          weft_load_int64(type, x, i, 1, 1, &a);
          weft_load_int64(type, y, i, 1, 1, &b);
          c = of_whole(what, weft_type_is_signed(type), a, b);
        }
        weft_store_int64(to, &c, 1, wanted, i, 1);
      }
      loop(n, x, y, got);
      check(same_numbers(to, n, got, wanted), weft_type_name(type), n, what);
      if (weft_type_size(to) == weft_type_size(type)) { /* in place of either */
        memcpy(got, x, sizeof got);
        loop(n, got, y, got);
        check(same_numbers(to, n, got, wanted), "in place", n, what);
        memcpy(got, y, sizeof got);
        loop(n, x, got, got);
        check(same_numbers(to, n, got, wanted), "in place of the second", n, what);
      }
      loops++;
    }
  }
  return loops;
}

/* One total of all elements; sums of doubles in any order. */
static int check_row_totals(size_t n) {
  static const weft_typed whats[] = {WEFT_TYPED_ADD, WEFT_TYPED_MUL, WEFT_TYPED_MIN, WEFT_TYPED_MAX};
  int loops = 0;
  for (size_t w = 0; w < sizeof whats / sizeof *whats; w++) {
    for (weft_type type = 1; type < WEFT_TYPE_COUNT; type++) {
      weft_typed_row loop = weft_typed_row_of(whats[w], type);
      if (loop == NULL) continue;
      uint64_t x[MOST], got, wanted;
      fill(type, n, x);
      fill(type, 1, &wanted);
      got = wanted;
      loop(n, x, &got);
      if (type == WEFT_DOUBLE) {
        double total, found, size = 1;
        memcpy(&total, &wanted, sizeof total);
        memcpy(&found, &got, sizeof found);
        for (size_t i = 0; i < n; i++) {
          const double one = ((double *)(void *)x)[i];
          size = fmax(size, fabs(one));
          total = whats[w] == WEFT_TYPED_MUL ? total * one : of_doubles(whats[w], total, one);
        }
        if (whats[w] == WEFT_TYPED_MUL) size = fabs(total);
        check(is_near(found, total, isinf(size) ? 0 : 1e-13 * size), "double", n, whats[w]);
      } else {
        int64_t total, one;
        weft_load_int64(type, &wanted, 0, 1, 1, &total);
        for (size_t i = 0; i < n; i++) {
          weft_load_int64(type, x, i, 1, 1, &one);
          total = of_whole(whats[w], weft_type_is_signed(type), total, one);
        }
        weft_store_int64(type, &total, 1, &wanted, 0, 1);
        check(got == wanted, weft_type_name(type), n, whats[w]);
      }
      loops++;
    }
  }
  return loops;
}

/* Running totals, forwards and backwards, in place. */
static void check_scan(size_t n) {
  static const weft_type types[] = {WEFT_FLOAT, WEFT_DOUBLE, WEFT_INT32, WEFT_UINT64};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    const weft_type type = types[t];
    const bool back = draw() % 2 == 0, product = draw() % 2 == 0, exclusive = draw() % 2 == 0, wide = t < 2;
    uint64_t x[MOST], wanted[MOST];
    double total = product;
    int64_t whole = product;
    fill(type, n, x);
    for (size_t k = 0; k < n; k++) {
      const size_t i = back ? n - 1 - k : k;
      double one = 0, before = total;
      int64_t one_whole = 0, before_whole = whole;
      if (wide) {
        weft_load_double(type, x, i, 1, 1, &one);
      } else {
        weft_load_int64(type, x, i, 1, 1, &one_whole);
      }
      total = product ? total * one : total + one;
      whole = of_whole(product ? WEFT_TYPED_MUL : WEFT_TYPED_ADD, true, whole, one_whole);
      if (wide) {
        weft_store_double(type, exclusive ? &before : &total, 1, wanted, i, 1);
      } else {
        weft_store_int64(type, exclusive ? &before_whole : &whole, 1, wanted, i, 1);
      }
    }
    char *first = (char *)x + (back && n > 0 ? (n - 1) * weft_type_size(type) : 0);
    weft_typed_scan(type, n, first, back ? -1 : 1, product, exclusive, first);
    check(same_numbers(type, n, x, wanted), "running totals", n, type);
  }
}

static void check_doubles(size_t n) {
  static double (*const functions[])(double) = {floor, ceil, rint, sqrt};
  for (int f = 0; f < 4; f++) {
    double x[MOST], wanted[MOST];
    fill(WEFT_DOUBLE, n, x);
    for (size_t i = 0; i < n; i++)
      wanted[i] = functions[f](x[i]);
    weft_typed_unary_of((weft_typed_function)(WEFT_TYPED_FLOOR + f))(n, x, x);
    check(same_numbers(WEFT_DOUBLE, n, x, wanted), "doubles", n, (size_t)f);
  }
  double x[MOST];
  uint8_t nan[MOST], infinite[MOST];
  fill(WEFT_DOUBLE, n, x);
  weft_typed_unary_of(WEFT_TYPED_IS_NAN_DOUBLE)(n, x, nan);
  weft_typed_unary_of(WEFT_TYPED_IS_INFINITE_DOUBLE)(n, x, infinite);
  for (size_t i = 0; i < n; i++)
    check(nan[i] == (isnan(x[i]) != 0) && infinite[i] == (isinf(x[i]) != 0), "tests of doubles", n, i);
}

static void check_exp(size_t n) {
  double x[MOST], y[MOST];
  for (size_t i = 0; i < n; i++) {
    x[i] = draw() % 4 == 0 ? (double)draw_float() : (double)draw() / 0x1p23 * 760 - 760;
    x[i] += draw() % 2 == 0 ? 760 : 0;
  }
  weft_typed_exp(n, x, y);
  for (size_t i = 0; i < n; i++) {
    const double wanted = exp(x[i]);
    check(is_near(y[i], wanted, isinf(wanted) ? 0 : 4.5e-16 * wanted + 5e-324), "exponentials", n, i);
  }
}

/* Within 2 units in the last place of numbers of any size; special values are those of elementary.c's functions. */
static void check_functions_of_doubles(size_t n) {
  static const double special[] = {0,          -0.0,    1,         -1,    INFINITY, -INFINITY, NAN,     0x1p-1074,
                                   -0x1p-1074, 0x1p-30, 0x1p-1022, 1e308, -1e308,   0x1p19,    -0x1p19, 0x1p19 - 1};
  static const struct {
    weft_typed_function what;
    double (*one)(double);
    long double (*exact)(long double);
  } functions[] = {{WEFT_TYPED_LOG, weft_log, logl},
                   {WEFT_TYPED_TANH, weft_tanh, tanhl},
                   {WEFT_TYPED_SINE_DOUBLE, weft_sin, sinl},
                   {WEFT_TYPED_COSINE_DOUBLE, weft_cos, cosl}};
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    double x[MOST], y[MOST];
    for (size_t i = 0; i < n; i++) {
      const double any = (double)draw_float(), multiple = (double)(draw() % 100000) * 1.5707963267948966;
      const size_t which = draw() % 4;
      x[i] = which == 0 ? special[draw() % (sizeof special / sizeof *special)] : which == 1 ? multiple : any;
      y[i] = x[i];
    }
    weft_typed_unary_of(functions[f].what)(n, y, y);
    for (size_t i = 0; i < n; i++) {
      const double one = functions[f].one(x[i]);
      const long double exact = functions[f].exact((long double)x[i]);
      const bool is_special = !(fabs(one) >= 0x1p-1022 && fabs(one) < (double)INFINITY);
      const bool same = isnan(one) ? isnan(y[i]) : y[i] == one && signbit(y[i]) == signbit(one);
      check(is_special ? same : fabsl((long double)y[i] - exact) <= 2 * ldexpl(1, ilogb(one) - 52),
            "functions of doubles", n, f);
    }
  }
}

static void check_choose(size_t n) {
  for (size_t size = 1; size <= 8; size *= 2) {
    uint64_t x[MOST], y[MOST], got[MOST];
    uint8_t condition[MOST];
    fill(WEFT_INT64, MOST, x);
    fill(WEFT_INT64, MOST, y);
    for (size_t i = 0; i < n; i++)
      condition[i] = (uint8_t)(draw() % 3);
    check(weft_typed_choose(size, n, condition, x, y, got), "choose", n, size);
    for (size_t i = 0; i < n; i++) {
      const char *from = (const char *)(condition[i] != 0 ? x : y) + i * size;
      check(memcmp((const char *)got + i * size, from, size) == 0, "choose", n, i);
    }
  }
  uint64_t z;
  check(!weft_typed_choose(16, 0, NULL, NULL, NULL, &z), "choose 16", 0, 0);
}

/* ---- rows and columns -------------------------------------------------------------------------------------------- */
static bool beats(float best, float value, bool least, bool last) {
  if (isnan(best)) return last && isnan(value);
  if (isnan(value) || (last && value == best)) return true;
  return least ? value < best : value > best;
}

static void check_rows(size_t n) {
  float x[MOST], best[MOST], kept[MOST];
  int32_t winner[MOST];
  fill(WEFT_FLOAT, n, x);
  float value = n > 0 ? x[draw() % n] : 0;
  for (int form = 0; form < 4; form++) {
    bool least = form & 1, last = form & 2;
    fill(WEFT_FLOAT, n, best);
    memcpy(kept, best, sizeof kept);
    memset(winner, 0, sizeof winner);
    weft_typed_beat(n, x, least, last, 7, best, winner);
    size_t found = n, next = 0;
    for (size_t i = 0; i < n; i++) {
      bool take = beats(kept[i], x[i], least, last);
      check(winner[i] == (take ? 7 : 0) && memcmp(&best[i], take ? &x[i] : &kept[i], 4) == 0, "beat", n, i);
      bool same = x[i] == value || (isnan(x[i]) && isnan(value));
      found = same && (last || found == n) ? i : found;
    }
    check(weft_typed_find(n, x, value, last) == found, "find", n, found);
    next = n / 3;
    while (next < n && (least ? x[next] > value : x[next] < value))
      next++;
    check(weft_typed_next(n / 3 < n ? n / 3 : n, n, x, value, least) == next, "next", n, next);
  }
}

/* Rows of n of the numbers; some equal ones among them. */
static void check_arg_rows(size_t n) {
  enum { ROWS = 5 };
  float x[ROWS * MOST];
  int64_t places[ROWS];
  fill(WEFT_FLOAT, ROWS * n, x);
  for (size_t i = 0; i < ROWS * n; i += 3)
    x[i] = draw() % 2 == 0 ? 0.0f : -0.0f;
  for (int form = 0; form < 4; form++) {
    bool least = form & 1, last = form & 2;
    weft_typed_arg_rows(ROWS, n, x, least, last, places);
    for (size_t row = 0; row < ROWS; row++) {
      size_t best = row * n;
      for (size_t i = best + 1; i < row * n + n; i++) {
        best = beats(x[best], x[i], least, last) ? i : best;
      }
      check((size_t)places[row] == best - row * n, "arg rows", n, row);
    }
  }
}

static void check_weave(size_t width) {
  enum { LINES = 3, LINE = MOST / 2 + 2, ODD = LINES * LINE };
  float x[2 * ODD], y[LINES * MOST + 1];
  for (size_t i = 0; i < 2 * ODD; i++)
    x[i] = (float)i;
  y[LINES * width] = -1;
  weft_typed_weave(LINES, width, x, ODD, LINE, y);
  for (size_t i = 0; i < LINES * width; i++) {
    size_t column = i % width;
    check(y[i] == x[column % 2 * ODD + i / width * LINE + column / 2], "weave", width, i);
  }
  check(y[LINES * width] == -1, "weave beyond", width, 0);
}

/* Places of the best come in order, and no other is better than the last of them. */
static void check_top(size_t n) {
  float x[3 * MOST];
  uint64_t heap[WEFT_TYPED_TOP_ROOM * MOST];
  const size_t step = draw() % 2 == 0 ? 1 : 3, k = n > 0 ? 1 + draw() % n : 0;
  const bool least = draw() % 2 == 0;
  fill(WEFT_FLOAT, n * step, x);
  for (size_t i = 0; draw() % 4 == 0 && i < n * step; i++)
    x[i] = (float)(i % 7);
  if (k == 0) return;
  weft_typed_top(n, x, step, k, least, heap);
  for (size_t i = 0; i < k; i++) {
    size_t better = 0; /* than the one at hand */
    const size_t place = (size_t)(heap[i] & UINT32_MAX);
    for (size_t j = 0; j < n; j++) {
      const float a = x[j * step], b = x[place * step];
      const bool same = a == b || (isnan(a) && isnan(b));
      better += same                    ? j < place
                : !isnan(b) && isnan(a) ? !least
                : isnan(b) && !isnan(a) ? least
                : least                 ? a < b
                                        : a > b;
    }
    check(better == i, "top", n, i);
  }
}

static double fold_one(weft_typed_term term, double total, double x) {
  switch (term) {
  case WEFT_TYPED_MAGNITUDE:
    return total + fabs(x);
  case WEFT_TYPED_SQUARE:
    return total + x * x;
  case WEFT_TYPED_PRODUCT:
    return total * x;
  case WEFT_TYPED_GREATEST:
    return isnan(total) || total >= x ? total : x;
  case WEFT_TYPED_LEAST:
    return isnan(total) || total <= x ? total : x;
  default:
    return total + x;
  }
}

/* Lines of n floats, side by side and 3 apart; without special values in every other one. */
static void check_fold(size_t n) {
  enum { LINES = 11 };
  static float x[LINES * (3 * MOST + 5)];
  double totals[MOST], wanted[MOST], sizes[MOST];
  const bool special = draw() % 2 == 0;
  for (size_t i = 0; i < sizeof x / sizeof *x; i++)
    x[i] = special ? draw_float() : (float)draw() / 0x1p23f - 1.0f;
  for (weft_typed_term term = WEFT_TYPED_VALUE; term <= WEFT_TYPED_LEAST; term++) {
    const weft_lines l = {
        .lines = draw() % (LINES + 1), .n = n, .line_step = 3 * n + draw() % 5, .step = draw() % 2 ? 1 : 3};
    for (size_t i = 0; i < n; i++) {
      totals[i] = wanted[i] = draw() % 4;
      sizes[i] = fabs(wanted[i]);
      for (size_t line = 0; line < l.lines; line++) {
        const double one = (double)x[line * l.line_step + i * l.step];
        if (term <= WEFT_TYPED_MAGNITUDE) sizes[i] = fmax(sizes[i], fabs(one));
        wanted[i] = fold_one(term, wanted[i], one);
        sizes[i] = term == WEFT_TYPED_PRODUCT ? fabs(wanted[i]) : sizes[i];
      }
      sizes[i] = fmax(sizes[i], fabs(wanted[i]));
    }
    weft_typed_fold(term, &l, x, totals);
    for (size_t i = 0; i < n; i++) {
      double error = sizes[i] * (term == WEFT_TYPED_VALUE ? 3e-7 : 1e-14);
      check(is_near(totals[i], wanted[i], isinf(error) ? 0 : error), "fold", n, i);
    }
  }
}

static void check_dot(size_t n) {
  double x[MOST], product = 0, square = 0;
  float y[MOST];
  for (size_t i = 0; i < n; i++) {
    x[i] = (double)(draw() % 64) - 32;
    y[i] = (float)(draw() % 64) - 32;
    product += x[i] * (double)y[i];
    square += (x[i] - (double)y[i]) * (x[i] - (double)y[i]);
  }
  check(weft_typed_dot(n, x, y, false) == product, "products", n, 0);
  check(weft_typed_dot(n, x, y, true) == square, "distances", n, 0);
}

/* Rows times factors, four at a time and then one by one, so that doubles have the same bits. */
#define CHECK_ADD_ROWS(suffix, T, type, number)                                                                        \
  static void check_add_rows_##suffix(size_t n) {                                                                      \
    T b[9 * (MOST + 1)], c[MOST], factors[9], expected[MOST];                                                          \
    const size_t rows = draw() % 10;                                                                                   \
    for (size_t i = 0; i < 9 * (MOST + 1); i++) {                                                                      \
      b[i] = (T)(number);                                                                                              \
      factors[i % 9] = (T)(number);                                                                                    \
    }                                                                                                                  \
    for (size_t j = 0; j < n; j++) {                                                                                   \
      c[j] = expected[j] = (T)(number);                                                                                \
      size_t l = 0;                                                                                                    \
      for (const T *f = factors, *x = b + j; l + 4 <= rows; l += 4, f += 4, x += 4 * (n + 1)) {                        \
        expected[j] += (f[0] * x[0] + f[1] * x[n + 1]) + (f[2] * x[2 * (n + 1)] + f[3] * x[3 * (n + 1)]);              \
      }                                                                                                                \
      for (; l < rows; l++) {                                                                                          \
        expected[j] += factors[l] * b[l * (n + 1) + j];                                                                \
      }                                                                                                                \
    }                                                                                                                  \
    weft_typed_add_rows(type, n, rows, factors, b, n + 1, c);                                                          \
    check(memcmp(c, expected, n * sizeof *c) == 0, "rows times factors", n, rows);                                     \
  }
CHECK_ADD_ROWS(double, double, WEFT_DOUBLE, (double)(int32_t)draw() / 1e6)
CHECK_ADD_ROWS(32, uint32_t, WEFT_INT32, draw())
CHECK_ADD_ROWS(64, uint64_t, WEFT_UINT64, (uint64_t)draw() * draw())

static void check_limits(size_t n) {
  float x[MOST], y[MOST];
  int8_t bytes[MOST];
  uint16_t words[MOST];
  fill(WEFT_FLOAT, n, x);
  weft_typed_shrink(n, x, -0.5f, 0.25f, 0.125f, y);
  for (size_t i = 0; i < n; i++) {
    check(y[i] == (x[i] < -0.5f ? x[i] + 0.125f : x[i] > 0.25f ? x[i] - 0.125f : 0), "shrink", n, i);
    x[i] = rintf(100 * x[i]);
  }
  weft_typed_saturate(1, n, x, -128, 127, bytes);
  weft_typed_saturate(2, n, x, 0, 65535, words);
  for (size_t i = 0; i < n; i++) {
    check(bytes[i] == (!(x[i] > -128) ? -128 : x[i] > 127 ? 127 : (int)x[i]), "bytes", n, i);
    check(words[i] == (!(x[i] > 0) ? 0 : x[i] > 65535 ? 65535 : (int)x[i]), "words", n, i);
  }
}

static void check_functions(size_t n) {
  float x[MOST], y[MOST];
  uint8_t bytes[MOST];
  fill(WEFT_FLOAT, n, x);
  weft_typed_unary_of(WEFT_TYPED_IS_INFINITE)(n, x, bytes);
  for (size_t i = 0; i < n; i++)
    check(bytes[i] == (isinf(x[i]) != 0), "is infinite", n, i);
  weft_typed_unary_of(WEFT_TYPED_IS_NAN)(n, x, bytes);
  weft_typed_unary_of(WEFT_TYPED_SIGN)(n, x, y);
  for (size_t i = 0; i < n; i++) {
    check(bytes[i] == isnan(x[i]), "is NaN", n, i);
    check(isnan(x[i]) ? isnan(y[i]) : y[i] == (x[i] > 0) - (x[i] < 0), "sign", n, i);
  }
  weft_typed_unary_of(WEFT_TYPED_NOT)(n, bytes, bytes);
  for (size_t i = 0; i < n; i++)
    check(bytes[i] == !isnan(x[i]), "not", n, i);
  for (size_t i = 0; i < n; i++)
    x[i] = draw() % 4 == 0 ? draw_float() : (float)((double)draw() / 100 - 80000);
  for (int cosine = 0; cosine < 2; cosine++) {
    weft_typed_unary_of(cosine ? WEFT_TYPED_COSINE : WEFT_TYPED_SINE)(n, x, y);
    for (size_t i = 0; i < n; i++) {
      float wanted = (float)(cosine ? cos((double)x[i]) : sin((double)x[i]));
      bool same = y[i] == wanted && signbit(y[i]) == signbit(wanted);
      check(same || (isnan(y[i]) && isnan(wanted)), cosine ? "cosine" : "sine", n, i);
    }
  }
}

/* ---- boxes, and elements at places of their own ------------------------------------------------------------------ */
/* Boxes whose corners are few, so that some touch, some are empty and some are the same. */
static void check_overlaps(size_t n) {
  float boxes[5 * MOST], box[5];
  for (size_t i = 0; i <= n; i++) {
    float *to = i < n ? boxes + i : box;
    const size_t step = i < n ? MOST : 1;
    to[0] = (float)(draw() % 4), to[step] = (float)(draw() % 4);
    to[2 * step] = to[0] + (float)(draw() % 4), to[3 * step] = to[step] + (float)(draw() % 4);
    to[4 * step] = (to[2 * step] - to[0]) * (to[3 * step] - to[step]);
  }
  const float share = (float)(draw() % 5) / 4;
  bool wanted = false;
  for (size_t i = 0; i < n; i++) {
    const float *b = boxes + i;
    float tall = fminf(b[2 * MOST], box[2]) - fmaxf(b[0], box[0]);
    float wide = fminf(b[3 * MOST], box[3]) - fmaxf(b[MOST], box[1]);
    float common = fmaxf(tall, 0) * fmaxf(wide, 0), together = b[4 * MOST] + box[4] - common;
    wanted = wanted || (b[4 * MOST] > 0 && box[4] > 0 && common / together > share);
  }
  check(weft_typed_overlaps(n, boxes, MOST, box, share) == wanted, "overlaps", n, 0);
}

/* Reduced at places that may be met again. */
static void check_scatter(size_t n) {
  static const weft_type types[] = {WEFT_FLOAT, WEFT_DOUBLE, WEFT_INT32, WEFT_INT64};
  static const weft_typed whats[] = {WEFT_TYPED_ADD, WEFT_TYPED_MUL, WEFT_TYPED_MIN, WEFT_TYPED_MAX};
  for (size_t c = 0; c < 16; c++) {
    const weft_type type = types[c / 4];
    uint64_t from[MOST], got[MOST], wanted[MOST];
    int64_t map[MOST];
    fill(type, n, from);
    fill(type, MOST, got);
    memcpy(wanted, got, sizeof got);
    for (size_t i = 0; i < n; i++) {
      map[i] = (int64_t)(draw() % MOST);
      double a, b;
      int64_t p, q;
      if (c < 8) {
        weft_load_double(type, wanted, (size_t)map[i], 1, 1, &a);
        weft_load_double(type, from, i, 1, 1, &b);
        a = whats[c % 4] == WEFT_TYPED_MUL ? a * b : of_doubles(whats[c % 4], a, b);
        weft_store_double(type, &a, 1, wanted, (size_t)map[i], 1);
      } else {
        weft_load_int64(type, wanted, (size_t)map[i], 1, 1, &p);
        weft_load_int64(type, from, i, 1, 1, &q);
        p = of_whole(whats[c % 4], true, p, q);
        weft_store_int64(type, &p, 1, wanted, (size_t)map[i], 1);
      }
    }
    check(weft_typed_scatter(whats[c % 4], type, n, map, from, got), "scatter", n, c);
    check(same_numbers(type, MOST, got, wanted), "scatter", n, c);
  }
  check(!weft_typed_scatter(WEFT_TYPED_ADD, WEFT_UINT8, 0, NULL, NULL, NULL), "scatter bytes", n, 0);
}

int main(void) {
  int loops = 0;
  for (int round = 0; round < 20; round++) {
    for (size_t n = 0; n <= MOST; n++) {
      loops = check_conversions(n) + check_binary(n) + check_row_totals(n);
      check_choose(n);
      check_scan(n);
      check_exp(n);
      check_functions_of_doubles(n);
      check_doubles(n);
      check_rows(n);
      if (n > 0) check_arg_rows(n);
      check_weave(n);
      check_top(n);
      check_functions(n);
      check_limits(n);
      check_dot(n);
      check_add_rows_double(n);
      check_add_rows_32(n);
      check_add_rows_64(n);
      check_fold(n);
      check_overlaps(n);
      check_scatter(n);
    }
  }
  if (loops != 247) {
    fprintf(stderr, "%d loops were tested\n", loops);
    failures++;
  }
  return failures > 0;
}
