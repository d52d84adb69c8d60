/* Element types and shapes: sizes, names and the one overflow-checked product that every allocation rests on. */
#include "value.h"

#include <string.h>

#include "text.h"

typedef struct type_row {
  const char *name;
  uint8_t size, bits;
} type_row;

static const type_row types[WEFT_TYPE_COUNT] = {
    [WEFT_UNDEFINED] = {"undefined", 0, 0},
    [WEFT_FLOAT] = {"float32", 4, 32},
    [WEFT_UINT8] = {"uint8", 1, 8},
    [WEFT_INT8] = {"int8", 1, 8},
    [WEFT_UINT16] = {"uint16", 2, 16},
    [WEFT_INT16] = {"int16", 2, 16},
    [WEFT_INT32] = {"int32", 4, 32},
    [WEFT_INT64] = {"int64", 8, 64},
    [WEFT_STRING] = {"string", sizeof(weft_string), 0},
    [WEFT_BOOL] = {"bool", 1, 8},
    [WEFT_FLOAT16] = {"float16", 2, 16},
    [WEFT_DOUBLE] = {"float64", 8, 64},
    [WEFT_UINT32] = {"uint32", 4, 32},
    [WEFT_UINT64] = {"uint64", 8, 64},
    [WEFT_COMPLEX64] = {"complex64", 8, 64},
    [WEFT_COMPLEX128] = {"complex128", 16, 128},
    [WEFT_BFLOAT16] = {"bfloat16", 2, 16},
    [WEFT_FLOAT8E4M3FN] = {"float8e4m3fn", 1, 8},
    [WEFT_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", 1, 8},
    [WEFT_FLOAT8E5M2] = {"float8e5m2", 1, 8},
    [WEFT_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", 1, 8},
    [WEFT_UINT4] = {"uint4", 1, 4},
    [WEFT_INT4] = {"int4", 1, 4},
    [WEFT_FLOAT4E2M1] = {"float4e2m1", 1, 4},
    [WEFT_FLOAT8E8M0] = {"float8e8m0", 1, 8},
    [WEFT_UINT2] = {"uint2", 1, 2},
    [WEFT_INT2] = {"int2", 1, 2},
    [WEFT_FLOAT6E2M3] = {"float6e2m3", 1, 6},
    [WEFT_FLOAT6E3M2] = {"float6e3m2", 1, 6},
};

bool weft_type_is_valid(int64_t type) {
  return type > WEFT_UNDEFINED && type < WEFT_TYPE_COUNT;
}

static const type_row *row(weft_type type) {
  return &types[weft_type_is_valid((int64_t)type) ? type : WEFT_UNDEFINED];
}

size_t weft_type_size(weft_type type) {
  return row(type)->size;
}
unsigned weft_type_bits(weft_type type) {
  return row(type)->bits;
}
const char *weft_type_name(weft_type type) {
  return row(type)->name;
}

static bool in(weft_type type, uint32_t set) {
  return weft_type_is_valid((int64_t)type) && (WEFT_TYPE_BIT(type) & set) != 0;
}

bool weft_type_is_half(weft_type type) {
  return type == WEFT_FLOAT16 || type == WEFT_BFLOAT16;
}

bool weft_type_is_float(weft_type type) {
  return in(type, WEFT_TYPES_FLOAT | WEFT_TYPE_BIT(WEFT_FLOAT8E4M3FN) | WEFT_TYPE_BIT(WEFT_FLOAT8E4M3FNUZ) |
                      WEFT_TYPE_BIT(WEFT_FLOAT8E5M2) | WEFT_TYPE_BIT(WEFT_FLOAT8E5M2FNUZ) |
                      WEFT_TYPE_BIT(WEFT_FLOAT4E2M1) | WEFT_TYPE_BIT(WEFT_FLOAT8E8M0) | WEFT_TYPE_BIT(WEFT_FLOAT6E2M3) |
                      WEFT_TYPE_BIT(WEFT_FLOAT6E3M2));
}

bool weft_type_is_integer(weft_type type) {
  return in(type, WEFT_TYPES_INTEGER | WEFT_TYPE_BIT(WEFT_INT4) | WEFT_TYPE_BIT(WEFT_UINT4) | WEFT_TYPE_BIT(WEFT_INT2) |
                      WEFT_TYPE_BIT(WEFT_UINT2));
}

bool weft_type_is_signed(weft_type type) {
  return in(type, WEFT_TYPE_BIT(WEFT_INT8) | WEFT_TYPE_BIT(WEFT_INT16) | WEFT_TYPE_BIT(WEFT_INT32) |
                      WEFT_TYPE_BIT(WEFT_INT64) | WEFT_TYPE_BIT(WEFT_INT4) | WEFT_TYPE_BIT(WEFT_INT2));
}

bool weft_shape_count(const weft_shape *shape, weft_type type, size_t *count) {
  size_t product = 1, bytes;
  bool overflow = false, empty = false;
  *count = 0;
  for (int i = 0; i < shape->rank; i++) {
    int64_t dim = shape->dims[i];
    if (dim < 0 || (uint64_t)dim > SIZE_MAX) {
      return false;
    }
    empty |= dim == 0;
    overflow |= !weft_mul(product, dim == 0 ? 1 : (size_t)dim, &product);
  }
  /* Where nothing is held, the other dims are bounded all the same: operators walk along them. */
  if (overflow || !weft_mul(product, row(type)->size, &bytes) || bytes > SIZE_MAX / 2) {
    return false;
  }
  *count = empty ? 0 : product;
  return true;
}

bool weft_shape_equal(const weft_shape *a, const weft_shape *b) {
  return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

void weft_position(size_t n, int rank, const int64_t *dims, int64_t *position) {
  for (int d = rank - 1; d >= 0; d--) {
    position[d] = (int64_t)(n % (size_t)dims[d]);
    n /= (size_t)dims[d];
  }
}

size_t weft_shape_product(const weft_shape *shape, int begin, int end) {
  size_t product = 1;
  for (int i = begin; i < end; i++) {
    product *= (size_t)shape->dims[i];
  }
  return product;
}

const char *weft_shape_print(const weft_shape *shape, char *text, size_t size) {
  size_t used = 0;
  for (int i = 0; i < shape->rank && used < size; i++) {
    used += weft_print(text + used, size - used, "%s%lld", i == 0 ? "[" : ",", (long long)shape->dims[i]);
  }
  if (used < size) {
    weft_print(text + used, size - used, shape->rank == 0 ? "[]" : "]");
  }
  return text;
}

bool weft_shape_broadcast(const weft_shape *a, const weft_shape *b, weft_shape *out) {
  weft_shape result = {.rank = a->rank > b->rank ? a->rank : b->rank};
  for (int i = 1; i <= result.rank; i++) {
    int64_t x = i <= a->rank ? a->dims[a->rank - i] : 1;
    int64_t y = i <= b->rank ? b->dims[b->rank - i] : 1;
    if (x != y && x != 1 && y != 1) {
      return false;
    }
    result.dims[result.rank - i] = x == 1 ? y : x;
  }
  *out = result;
  return true;
}
