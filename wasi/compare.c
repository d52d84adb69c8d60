/* Comparing values, as ONNX's own test runner does: numbers of every type as doubles. */
#include "../src/base/convert.h"
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double weft_cli_number(const weft_tensor *tensor, size_t i) {
  double value;
  weft_load_double(tensor->type, tensor->data, i, 1, 1, &value);
  return value;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */
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
  size_t count = expected->count * parts, wrong = 0, first = 0;
  double largest = 0;
  for (size_t i = 0; i < count; i++) {
    double e = weft_cli_number(expected, i), f = weft_cli_number(found, i);
    if (!is_close(e, f, rtol, atol)) {
      first = wrong++ == 0 ? i : first;
      largest = fabs(f - e) > largest || isnan(f - e) ? fabs(f - e) : largest;
    }
  }
  if (wrong == 0) {
    return true;
  }
  char place[96];
  return weft_cli_fail(cli, WEFT_RUN_FAILED,
                       "%zu of %zu elements of '%s' differ, by up to %s; the first at %s is %s, expected %s", wrong,
                       count, name, weft_cli_digits(WEFT_DOUBLE, largest, 3).text,
                       print_place(&expected->shape, first / parts, place),
                       weft_cli_digits(WEFT_DOUBLE, weft_cli_number(found, first), 9).text,
                       weft_cli_digits(WEFT_DOUBLE, weft_cli_number(expected, first), 9).text);
}

/* A framework may have answered in another floating type than the one its exporter declared. */
static bool is_type_right(const weft_tensor *expected, const weft_tensor *found, weft_type declared) {
  bool floats = weft_type_is_float(expected->type) && weft_type_is_float(found->type);
  return expected->type == found->type || (floats && found->type == declared);
}

static bool compare_tensors(weft_cli *cli, const char *name, const weft_tensor *expected, const weft_tensor *found,
                            weft_type declared, double rtol, double atol) {
  char e[96], f[96];
  if (!is_type_right(expected, found, declared) || !weft_shape_equal(&expected->shape, &found->shape)) {
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
  if (expected->type == WEFT_BFLOAT16) { /* two units in the last place, as the onnx package's own runner allows */
    rtol = fmax(rtol, 0x1p-6);
  }
  return compare_numbers(cli, name, expected, found, 1, rtol, atol);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */
static const char *kind_name(weft_kind kind) {
  static const char *const names[] = {"absent", "a tensor", "a sequence", "a map"};
  return names[kind];
}

static bool is_same_key(const weft_tensor *a, size_t i, const weft_tensor *b, size_t j) {
  if (a->type == WEFT_STRING) {
    const weft_string *x = (const weft_string *)a->data + i, *y = (const weft_string *)b->data + j;
    return x->size == y->size && (x->size == 0 || memcmp(x->data, y->data, x->size) == 0);
  }
  int64_t x, y;
  weft_load_int64(a->type, a->data, i, 1, 1, &x);
  weft_load_int64(b->type, b->data, j, 1, 1, &y);
  return x == y;
}

/* Moves the entries of `values` so that each stands where its key stands in `expected`: a map has no order. */
static bool sort_entries(weft_cli *cli, const char *name, const weft_tensor *expected, const weft_tensor *keys,
                         weft_tensor *values) {
  size_t size = weft_type_size(values->type);
  char *sorted = malloc(values->count * size + 1);
  if (sorted == NULL) {
    return weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for the map '%s'", name);
  }
  for (size_t i = 0; i < expected->count; i++) {
    size_t j = i, left = keys->count; /* usually the orders are the same */
    while (left > 0 && !is_same_key(expected, i, keys, j)) {
      j = j + 1 < keys->count ? j + 1 : 0;
      left--;
    }
    if (left == 0) {
      free(sorted);
      return weft_cli_fail(cli, WEFT_RUN_FAILED, "the map '%s' lacks key %zu of those expected", name, i);
    }
    memcpy(sorted + i * size, (const char *)values->data + j * size, size);
  }
  values->data = sorted;
  return true;
}

static bool compare_maps(weft_cli *cli, const char *name, const weft_value *expected, const weft_value *found,
                         double rtol, double atol) {
  const weft_tensor *keys = &expected->items[0]->tensor, *found_keys = &found->items[0]->tensor;
  weft_tensor values = found->items[1]->tensor;
  char item[300];
  if (keys->type != found_keys->type || keys->count != found_keys->count) {
    return weft_cli_fail(cli, WEFT_RUN_FAILED, "the map '%s' has %zu %s keys, expected %zu %s keys", name,
                         found_keys->count, weft_type_name(found_keys->type), keys->count, weft_type_name(keys->type));
  }
  if (!sort_entries(cli, name, keys, found_keys, &values)) {
    return false;
  }
  weft_print(item, sizeof item, "%s.values", name);
  bool same = compare_tensors(cli, item, &expected->items[1]->tensor, &values, values.type, rtol, atol);
  free(values.data);
  return same;
}

bool weft_cli_compare(weft_cli *cli, const char *name, const weft_value *expected, const weft_value *found,
                      weft_type declared, double rtol, double atol) {
  if (expected->kind != found->kind) {
    return weft_cli_fail(cli, WEFT_RUN_FAILED, "'%s' is %s, expected %s", name, kind_name(found->kind),
                         kind_name(expected->kind));
  }
  if (expected->kind == WEFT_KIND_TENSOR) {
    return compare_tensors(cli, name, &expected->tensor, &found->tensor, declared, rtol, atol);
  }
  if (expected->item_count != found->item_count) {
    return weft_cli_fail(cli, WEFT_RUN_FAILED, "'%s' has %zu items, expected %zu", name, found->item_count,
                         expected->item_count);
  }
  if (expected->kind == WEFT_KIND_MAP && expected->items[1]->kind == WEFT_KIND_TENSOR &&
      found->items[1]->kind == WEFT_KIND_TENSOR) {
    return compare_maps(cli, name, expected, found, rtol, atol);
  }
  for (size_t i = 0; i < expected->item_count; i++) {
    char item[300];
    weft_print(item, sizeof item, expected->kind == WEFT_KIND_MAP ? (i == 0 ? "%s.keys" : "%s.values") : "%s[%zu]",
               name, i);
    if (!weft_cli_compare(cli, item, expected->items[i], found->items[i], declared, rtol, atol)) {
      return false;
    }
  }
  return true;
}
