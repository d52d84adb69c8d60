/* com.microsoft MurmurHash3: every element's bytes as 32 bits that look random, by Austin Appleby's MurmurHash3_x86_32.
 */
#include "op.h"

#include <string.h>

weft_status weft_hash_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "X",
                               WEFT_TYPES_INDEX | WEFT_TYPE_BIT(WEFT_UINT32) | WEFT_TYPE_BIT(WEFT_UINT64) |
                                   WEFT_TYPE_BIT(WEFT_FLOAT) | WEFT_TYPE_BIT(WEFT_DOUBLE) |
                                   WEFT_TYPE_BIT(WEFT_STRING)));
  bool positive = weft_op_attr_int(op, "positive", 1) != 0;
  return weft_op_set(op, 0, positive ? WEFT_UINT32 : WEFT_INT32, &weft_op_in(op, 0)->shape);
}

static uint32_t turned(uint32_t value, int by) {
  return value << by | value >> (32 - by);
}

static uint32_t mixed(uint32_t word) {
  return turned(word * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static uint32_t hash(const uint8_t *data, size_t size, uint32_t seed) {
  uint32_t result = seed, last = 0;
  size_t whole = size / 4 * 4;
  for (size_t i = 0; i < whole; i += 4) {
    uint32_t word =
        (uint32_t)data[i] | (uint32_t)data[i + 1] << 8 | (uint32_t)data[i + 2] << 16 | (uint32_t)data[i + 3] << 24;
    result = turned(result ^ mixed(word), 13) * 5 + 0xe6546b64u;
  }
  for (size_t i = size; i > whole; i--) {
    last = last << 8 | data[i - 1];
  }
  result ^= mixed(last) ^ (uint32_t)size;
  result = (result ^ result >> 16) * 0x85ebca6bu;
  result = (result ^ result >> 13) * 0xc2b2ae35u;
  return result ^ result >> 16;
}

weft_status weft_hash_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  uint32_t seed = (uint32_t)weft_op_attr_int(op, "seed", 0);
  for (size_t i = 0; i < y->count; i++) {
    const void *data = (const char *)x->data + i * weft_type_size(x->type);
    size_t size = weft_type_size(x->type);
    if (x->type == WEFT_STRING) {
      const weft_string *text = data;
      data = text->data;
      size = text->size;
    }
    ((uint32_t *)y->data)[i] = hash(data, size, seed);
  }
  return WEFT_OK;
}
