/* Comparing values, as ONNX's own test runner does. Every element type is read through one function as a double; 64-bit
 * integers are compared as they are first, so that equal ones never differ by rounding. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- small floating-point types ------------------------------------------------------------------------------------------ */
/* A format without infinities unless said: sign, exponent, mantissa, bias; which codes are NaN is told apart below. */
static double small_float(unsigned code, unsigned exponent_bits, unsigned mantissa_bits, int bias) {
  unsigned mantissa = code & ((1u << mantissa_bits) - 1);
  unsigned exponent = code >> mantissa_bits & ((1u << exponent_bits) - 1);
  double value = exponent == 0 ? ldexp((double)mantissa, 1 - bias - (int)mantissa_bits)
                               : ldexp((double)(mantissa | 1u << mantissa_bits), (int)exponent - bias - (int)mantissa_bits);
  return (code >> (exponent_bits + mantissa_bits) & 1) != 0 ? -value : value;
}

static double float8(weft_type type, unsigned code) {
  switch (type) {
    case WEFT_FLOAT8E4M3FN:
      return (code & 0x7f) == 0x7f ? (double)NAN : small_float(code, 4, 3, 7);
    case WEFT_FLOAT8E4M3FNUZ:
      return code == 0x80 ? (double)NAN : small_float(code, 4, 3, 8);
    case WEFT_FLOAT8E5M2:
      if ((code & 0x7f) > 0x7c) {
        return (double)NAN;
      }
      return (code & 0x7f) == 0x7c ? (code > 0x7f ? -(double)INFINITY : (double)INFINITY) : small_float(code, 5, 2, 15);
    case WEFT_FLOAT8E5M2FNUZ:
      return code == 0x80 ? (double)NAN : small_float(code, 5, 2, 16);
    case WEFT_FLOAT8E8M0:
      return code == 0xff ? (double)NAN : ldexp(1.0, (int)code - 127);
    default: /* float4e2m1 */
      return small_float(code, 2, 1, 1);
  }
}

double weft_cli_number(const weft_tensor *t, size_t i) {
  switch (t->type) {
    case WEFT_FLOAT:
      return (double)((const float *)t->data)[i];
    case WEFT_DOUBLE:
      return ((const double *)t->data)[i];
    case WEFT_FLOAT16:
      return (double)weft_float16_to_float(((const uint16_t *)t->data)[i]);
    case WEFT_BFLOAT16:
      return (double)weft_bfloat16_to_float(((const uint16_t *)t->data)[i]);
    case WEFT_INT8:
    case WEFT_INT4:
    case WEFT_INT2:
      return ((const int8_t *)t->data)[i];
    case WEFT_UINT8:
    case WEFT_BOOL:
    case WEFT_UINT4:
    case WEFT_UINT2:
      return ((const uint8_t *)t->data)[i];
    case WEFT_INT16:
      return ((const int16_t *)t->data)[i];
    case WEFT_UINT16:
      return ((const uint16_t *)t->data)[i];
    case WEFT_INT32:
      return ((const int32_t *)t->data)[i];
    case WEFT_UINT32:
      return ((const uint32_t *)t->data)[i];
    case WEFT_INT64:
      return (double)((const int64_t *)t->data)[i];
    case WEFT_UINT64:
      return (double)((const uint64_t *)t->data)[i];
    default:
      return float8(t->type, ((const uint8_t *)t->data)[i]);
  }
}

/* ---- tensors --------------------------------------------------------------------------------------------------------------- */
static bool is_close(double expected, double found, double rtol, double atol) {
  if (expected == found || (isnan(expected) && isnan(found))) {
    return true;
  }
  return isfinite(expected) && isfinite(found) && fabs(found - expected) <= atol + rtol * fabs(expected);
}

/* Where element i lies: "[0,2]". */
static const char *print_place(const weft_shape *shape, size_t i, char text[96]) {
  weft_shape place = {.rank = shape->rank};
  for (int d = shape->rank; d-- > 0;) {
    place.dims[d] = (int64_t)(i % (size_t)shape->dims[d]);
    i /= (size_t)shape->dims[d];
  }
  return weft_shape_print(&place, text, 96);
}

static bool compare_strings(weft_cli *cli, const char *name, const weft_tensor *expected, const weft_tensor *found) {
  const weft_string *e = expected->data, *f = found->data;
  char place[96];
  for (size_t i = 0; i < expected->count; i++) {
    if (e[i].size != f[i].size || (e[i].size > 0 && memcmp(e[i].data, f[i].data, e[i].size) != 0)) {
      return weft_cli_fail(cli, WEFT_RUN_FAILED, "'%s' at %s is \"%.*s\", expected \"%.*s\"", name,
                           print_place(&expected->shape, i, place), (int)(f[i].size < 60 ? f[i].size : 60), f[i].data,
                           (int)(e[i].size < 60 ? e[i].size : 60), e[i].data);
    }
  }
  return true;
}

static bool compare_numbers(weft_cli *cli, const char *name, const weft_tensor *expected, const weft_tensor *found,
                            size_t parts, double rtol, double atol) {
  size_t count = expected->count * parts, size = weft_type_size(expected->type), wrong = 0, first = 0;
  double largest = 0;
  for (size_t i = 0; i < count; i++) {
    double e = weft_cli_number(expected, i), f = weft_cli_number(found, i);
    if (memcmp((const char *)expected->data + i * size, (const char *)found->data + i * size, size) == 0 ||
        is_close(e, f, rtol, atol)) {
      continue;
    }
    first = wrong++ == 0 ? i : first;
    largest = fabs(f - e) > largest || isnan(f - e) ? fabs(f - e) : largest;
  }
  if (wrong == 0) {
    return true;
  }
  char place[96];
  return weft_cli_fail(cli, WEFT_RUN_FAILED,
                       "%zu of %zu elements of '%s' differ, by up to %.3g; the first at %s is %.9g, expected %.9g", wrong,
                       count, name, largest, print_place(&expected->shape, first / parts, place),
                       weft_cli_number(found, first), weft_cli_number(expected, first));
}

static bool compare_tensors(weft_cli *cli, const char *name, const weft_tensor *expected, const weft_tensor *found,
                            double rtol, double atol) {
  char e[96], f[96];
  if (expected->type != found->type || !weft_shape_equal(&expected->shape, &found->shape)) {
    return weft_cli_fail(cli, WEFT_RUN_FAILED, "'%s' is %s %s, expected %s %s", name, weft_type_name(found->type),
                         weft_shape_print(&found->shape, f, sizeof f), weft_type_name(expected->type),
                         weft_shape_print(&expected->shape, e, sizeof e));
  }
  if (expected->type == WEFT_STRING) {
    return compare_strings(cli, name, expected, found);
  }
  if (expected->type == WEFT_COMPLEX64 || expected->type == WEFT_COMPLEX128) {
    weft_tensor a = *expected, b = *found;
    a.type = b.type = expected->type == WEFT_COMPLEX64 ? WEFT_FLOAT : WEFT_DOUBLE;
    return compare_numbers(cli, name, &a, &b, 2, rtol, atol);
  }
  if (expected->type == WEFT_BOOL) {
    rtol = atol = 0;
  }
  return compare_numbers(cli, name, expected, found, 1, rtol, atol);
}

/* ---- values ---------------------------------------------------------------------------------------------------------------- */
static const char *kind_name(weft_kind kind) {
  static const char *const names[] = {"absent", "a tensor", "a sequence", "a map"};
  return names[kind];
}

bool weft_cli_compare(weft_cli *cli, const char *name, const weft_value *expected, const weft_value *found, double rtol,
                      double atol) {
  if (expected->kind != found->kind) {
    return weft_cli_fail(cli, WEFT_RUN_FAILED, "'%s' is %s, expected %s", name, kind_name(found->kind),
                         kind_name(expected->kind));
  }
  if (expected->kind == WEFT_KIND_TENSOR) {
    return compare_tensors(cli, name, &expected->tensor, &found->tensor, rtol, atol);
  }
  if (expected->item_count != found->item_count) {
    return weft_cli_fail(cli, WEFT_RUN_FAILED, "'%s' has %zu items, expected %zu", name, found->item_count,
                         expected->item_count);
  }
  for (size_t i = 0; i < expected->item_count; i++) {
    char item[300];
    snprintf(item, sizeof item, expected->kind == WEFT_KIND_MAP ? (i == 0 ? "%s.keys" : "%s.values") : "%s[%zu]", name, i);
    if (!weft_cli_compare(cli, item, expected->items[i], found->items[i], rtol, atol)) {
      return false;
    }
  }
  return true;
}
