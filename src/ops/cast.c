/* Cast, CastLike, BitCast. Numbers go through int64, float or double, whichever keeps all that the target can hold,
 * so that nothing is rounded twice. Strings are read and written here: texts of floats have as few digits as tell
 * them apart. */
#include "cast.h"
#include "../base/convert.h"
#include "../base/text.h"
#include "../kernels/typed.h"
#include "broadcast.h"

#include <math.h>
#include <string.h>

typedef struct cast {
  const weft_kernels *kernels;
  const weft_tensor *x_tensor, *y_tensor;
  weft_type from, to;
  const void *x;
  void *y;
  bool saturate;
  weft_rounding rounding;
} cast;

static weft_status target(weft_op *op, weft_type *out) {
  int64_t to = weft_op_attr_int(op, "to", 0);
  if (op->def->variant == WEFT_CAST_LIKE) {
    to = (int64_t)weft_op_in(op, 1)->type;
  }
  if (!weft_type_is_valid(to)) {
    return weft_op_fail(op, "attribute to: %lld is not an element type", (long long)to);
  }
  *out = (weft_type)to;
  return WEFT_OK;
}

weft_status weft_cast_infer(weft_op *op) {
  weft_type to;
  int inputs = op->def->variant == WEFT_CAST_LIKE ? 2 : 1;
  WEFT_TRY(weft_op_expect_inputs(op, inputs, inputs));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPES_ANY & ~WEFT_TYPES_COMPLEX));
  WEFT_TRY(target(op, &to));
  if ((WEFT_TYPE_BIT(to) & WEFT_TYPES_COMPLEX) != 0) {
    return weft_op_fail(op, "casting to %s is not defined", weft_type_name(to));
  }
  return weft_op_set(op, 0, to, &weft_op_in(op, 0)->shape);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */
static bool is_whole(weft_type type) {
  return weft_type_is_integer(type) || type == WEFT_BOOL;
}

/* Float 8 targets with rules that differ from those of weft_store_float. */
static void store_small(const cast *c, const float *block, size_t n, uint8_t *y) {
  for (size_t i = 0; i < n; i++) {
    y[i] = c->to == WEFT_FLOAT8E8M0 ? weft_float_to_e8m0(block[i], c->saturate, c->rounding)
                                    : weft_float_to_small(c->to, block[i], c->saturate);
  }
}

/* n elements by a loop, or by two with a type between them; false where there are none. */
static bool convert(weft_type from, weft_type to, size_t n, const void *x, void *y) {
  weft_typed_unary loop = weft_typed_convert_of(from, to);
  weft_type by = WEFT_UNDEFINED;
  if (loop == NULL && (by = weft_typed_convert_by(from, to)) == WEFT_UNDEFINED) {
    return false;
  }
  if (loop != NULL) {
    loop(n, x, y);
    return true;
  }
  for (size_t done = 0; done < n; done += WEFT_BLOCK) {
    int64_t block[WEFT_BLOCK];
    const size_t count = n - done < WEFT_BLOCK ? n - done : WEFT_BLOCK;
    weft_typed_convert_of(from, by)(count, (const char *)x + done * weft_type_size(from), block);
    weft_typed_convert_of(by, to)(count, block, (char *)y + done * weft_type_size(to));
  }
  return true;
}

static void run_numbers(void *arg, size_t begin, size_t end) {
  const cast *c = arg;
  const void *x = (const char *)c->x + begin * weft_type_size(c->from);
  void *y = (char *)c->y + begin * weft_type_size(c->to);
  if (convert(c->from, c->to, end - begin, x, y)) {
    return;
  }
  bool special = c->to == WEFT_FLOAT8E8M0 || (weft_type_bits(c->to) == 8 && weft_type_is_float(c->to) && !c->saturate);
  union {
    int64_t whole[WEFT_BLOCK];
    double wide[WEFT_BLOCK];
    float narrow[WEFT_BLOCK];
  } block;
  for (size_t done = begin; done < end; done += WEFT_BLOCK) {
    size_t n = end - done < WEFT_BLOCK ? end - done : WEFT_BLOCK;
    if (weft_type_is_half(c->from)) { /* floats hold all of it */
      weft_block_load(c->kernels, c->x_tensor, done, 1, n, block.narrow);
      if (convert(WEFT_FLOAT, c->to, n, block.narrow, (char *)c->y + done * weft_type_size(c->to))) {
        continue;
      }
    }
    if (is_whole(c->from) && is_whole(c->to)) {
      weft_load_int64(c->from, c->x, done, 1, n, block.whole);
      weft_store_int64(c->to, block.whole, n, c->y, done, 1);
    } else if (!special && (c->from == WEFT_DOUBLE || c->to == WEFT_DOUBLE || is_whole(c->to))) {
      weft_load_double(c->from, c->x, done, 1, n, block.wide);
      weft_store_double(c->to, block.wide, n, c->y, done, 1);
    } else {
      if (!weft_type_is_half(c->to) ||
          !convert(c->from, WEFT_FLOAT, n, (const char *)c->x + done * weft_type_size(c->from), block.narrow)) {
        weft_block_load(c->kernels, c->x_tensor, done, 1, n, block.narrow);
      }
      if (special) {
        store_small(c, block.narrow, n, (uint8_t *)c->y + done);
      } else {
        weft_block_store(c->kernels, c->y_tensor, done, 1, n, block.narrow);
      }
    }
  }
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */
/* `text` is zero-terminated. Integers are read as such where they are written so: 64 bits do not fit in a double. */
static bool parse(const char *text, weft_type to, double *number, int64_t *whole, bool *is_integer) {
  const char *end;
  *is_integer = is_whole(to) && strpbrk(text, ".eEnNiI") == NULL;
  if (*is_integer) {
    *whole = weft_whole_read(text, &end, to == WEFT_UINT64);
  } else {
    *number = weft_decimal_read(text, &end, to != WEFT_DOUBLE);
  }
  if (end == text) {
    return false;
  }
  while (*end == ' ') {
    end++;
  }
  return *end == 0;
}

static weft_status from_strings(weft_op *op, const cast *c, size_t count) {
  const weft_string *x = c->x;
  for (size_t i = 0; i < count; i++) {
    char text[128];
    double number = 0;
    int64_t whole = 0;
    bool is_integer = false;
    size_t size = x[i].size < sizeof text ? x[i].size : 0;
    if (size > 0) {
      memcpy(text, x[i].data, size);
    }
    text[size] = 0;
    if (strlen(text) != size || !parse(text, c->to, &number, &whole, &is_integer)) {
      return weft_op_run_fail(op, "element %zu: '%s' is not a number", i, text);
    }
    if (is_integer) {
      weft_store_int64(c->to, &whole, 1, c->y, i, 1);
    } else if (weft_type_bits(c->to) == 8 && weft_type_is_float(c->to)) {
      float narrow = weft_double_to_float_odd(number);
      store_small(c, &narrow, 1, (uint8_t *)c->y + i);
    } else {
      weft_store_double(c->to, &number, 1, c->y, i, 1);
    }
  }
  return WEFT_OK;
}

static size_t print_whole(weft_type type, int64_t whole, char *text, size_t size) {
  if (type == WEFT_BOOL) {
    return weft_print(text, size, "%s", whole != 0 ? "True" : "False");
  }
  if (type == WEFT_UINT64) {
    return weft_print(text, size, "%llu", (unsigned long long)whole);
  }
  return weft_print(text, size, "%lld", (long long)whole);
}

static weft_status to_strings(weft_op *op, const cast *c, size_t count) {
  weft_string *y = c->y;
  for (size_t i = 0; i < count; i++) {
    char text[WEFT_DECIMAL_SIZE];
    size_t size;
    if (is_whole(c->from)) {
      int64_t whole;
      weft_load_int64(c->from, c->x, i, 1, 1, &whole);
      size = print_whole(c->from, whole, text, sizeof text);
    } else {
      double value;
      weft_load_double(c->from, c->x, i, 1, 1, &value);
      size = weft_decimal_print(text, c->from, value, WEFT_DECIMAL_DIGITS);
    }
    WEFT_TRY(weft_op_string(op, text, size, &y[i]));
  }
  return WEFT_OK;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
static weft_status cast_elements(weft_op *op, const cast *c, size_t count) {
  if (c->from == WEFT_STRING) {
    return from_strings(op, c, count);
  }
  if (c->to == WEFT_STRING) {
    return to_strings(op, c, count);
  }
  if (count > 0) {
    weft_parallel(op->cx, count, WEFT_GRAIN, run_numbers, (void *)c);
  }
  return WEFT_OK;
}

weft_status weft_cast_elements(weft_op *op, const weft_tensor *x, weft_tensor *y) {
  const cast c = {op->cx->kernels, x, y, x->type, y->type, x->data, y->data, true, WEFT_ROUND_UP};
  return cast_elements(op, &c, x->count);
}

weft_status weft_cast_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  int rounding;
  WEFT_TRY(weft_op_choice(op, "round_mode", "up down nearest", WEFT_ROUND_UP, &rounding));
  const cast c = {
      op->cx->kernels,        x, y, x->type, y->type, x->data, y->data, weft_op_attr_int(op, "saturate", 1) != 0,
      (weft_rounding)rounding};
  if (x->type == y->type) {
    memmove(y->data, x->data, y->count * weft_type_size(y->type));
    return WEFT_OK;
  }
  return cast_elements(op, &c, x->count);
}

weft_status weft_bitcast_infer(weft_op *op) {
  weft_type to;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPES_ANY & ~WEFT_TYPE_BIT(WEFT_STRING)));
  WEFT_TRY(target(op, &to));
  const weft_tensor *x = weft_op_in(op, 0);
  if (weft_type_bits(to) != weft_type_bits(x->type)) {
    return weft_op_fail(op, "attribute to: expected a type of %u bits, found %s", weft_type_bits(x->type),
                        weft_type_name(to));
  }
  return weft_op_set(op, 0, to, &x->shape);
}

weft_status weft_bitcast_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  memmove(y->data, x->data, y->count * weft_type_size(y->type));
  if (weft_type_bits(y->type) < 8) { /* a byte each: the signs of int4 and int2 fill it, others leave zeros */
    weft_type as = weft_type_is_integer(y->type) ? y->type : WEFT_UINT4;
    for (size_t i = 0; i < y->count; i++) {
      int64_t bits;
      weft_load_int64(WEFT_UINT8, y->data, i, 1, 1, &bits);
      weft_store_int64(as, &bits, 1, y->data, i, 1);
    }
  }
  return WEFT_OK;
}
