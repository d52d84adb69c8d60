/* com.microsoft EmbedLayerNormalization and QEmbedLayerNormalization: the sum of a word's, a position's and a segment's
 * embedding, normalised. In the second, all tables are of 8 bits with a scale and a zero point each. */
#include "integer.h"
#include "product.h"

#include <string.h>

enum { IDS, SEGMENTS, WORDS, POSITIONS, SEGMENT_WORDS, SCALE, BIAS, MASK, POSITION_IDS };
enum { TO_SCALE = 6, TO_ZERO = 11 }; /* from a table's input number to those of its scale and zero point */

static bool is_integer(const weft_op *op) {
  return op->def->variant == WEFT_EMBED_INTEGER;
}

static const weft_tensor *position_ids(const weft_op *op) {
  return is_integer(op) ? NULL : weft_op_in(op, POSITION_IDS);
}

/* n elements of table `table` as floats. */
static weft_status load_table(weft_op *op, int table, size_t first, size_t n, float *out) {
  const weft_tensor *t = weft_op_in(op, table);
  const char *from = (const char *)t->data + first * weft_type_size(t->type);
  float scale = 1;
  int32_t zero = 0;
  if (!is_integer(op)) {
    weft_widen(op->cx->kernels, t->type, n, from, out);
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scales(op, weft_op_in(op, table + TO_SCALE), "scale", 1, &scale));
  WEFT_TRY(weft_op_zero_points(op, weft_op_in(op, table + TO_ZERO), "zero_point", 1, &zero));
  op->cx->kernels->dequantize_i8(n, from, scale, zero, t->type == WEFT_INT8, out);
  return WEFT_OK;
}

weft_status weft_embed_layer_norm_infer(weft_op *op) {
  uint32_t types = is_integer(op) ? WEFT_TYPES_BYTE : WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE);
  uint32_t ints = WEFT_TYPE_BIT(WEFT_INT32);
  WEFT_TRY(weft_op_expect_inputs(op, 1, is_integer(op) ? 18 : 9));
  WEFT_TRY(weft_op_expect_type(op, IDS, "input_ids", ints));
  WEFT_TRY(weft_op_expect_type(op, SEGMENTS, "segment_ids", ints));
  WEFT_TRY(weft_op_expect_type(op, MASK, "mask", ints));
  if (position_ids(op) != NULL) {
    WEFT_TRY(weft_op_expect_type(op, POSITION_IDS, "position_ids", ints));
  }
  WEFT_TRY(weft_op_expect_rank(op, IDS, "input_ids", 2, 2));
  const weft_tensor *ids = weft_op_in(op, IDS), *words = weft_op_in(op, WORDS), *positions = position_ids(op);
  static const char *const names[] = {"word_embedding", "position_embedding", "segment_embedding", "gamma", "beta"};
  WEFT_TRY(weft_op_expect_rank(op, WORDS, names[0], 2, 2));
  for (int i = WORDS; i <= BIAS; i++) {
    const weft_tensor *t = weft_op_in(op, i);
    if (t == NULL && i == SEGMENT_WORDS) {
      continue;
    }
    int rank = i <= SEGMENT_WORDS ? 2 : 1;
    WEFT_TRY(weft_op_expect_type(op, i, names[i - WORDS], types));
    if (is_integer(op)) {
      WEFT_TRY(weft_op_expect_type(op, i + TO_SCALE, "scale", WEFT_TYPE_BIT(WEFT_FLOAT)));
      WEFT_TRY(weft_op_expect_type(op, i + TO_ZERO, "zero_point", types));
    }
    if (t == NULL || words == NULL || words->shape.rank != 2 || t->shape.rank != rank ||
        t->shape.dims[rank - 1] != words->shape.dims[1]) {
      return weft_op_fail(op, "input '%s' is missing or does not fit 'word_embedding'", names[i - WORDS]);
    }
  }
  bool segments = weft_op_has(op, SEGMENTS);
  if ((segments && (!weft_op_has(op, SEGMENT_WORDS) || weft_op_in(op, SEGMENTS)->count != ids->count)) ||
      (weft_op_has(op, MASK) && weft_op_in(op, MASK)->count != ids->count) ||
      (positions != NULL && positions->count != ids->count && (int64_t)positions->count != ids->shape.dims[1])) {
    return weft_op_fail(op, "segments, mask or positions do not fit 'input_ids'");
  }
  weft_shape out = {.rank = 3, .dims = {ids->shape.dims[0], ids->shape.dims[1], words->shape.dims[1]}};
  weft_shape lengths = {.rank = 1, .dims = {ids->shape.dims[0]}};
  weft_type type = is_integer(op) ? WEFT_FLOAT : words->type;
  WEFT_TRY(weft_op_set(op, 0, type, &out));
  WEFT_TRY(weft_op_set(op, 1, WEFT_INT32, &lengths));
  return weft_op_set(op, 2, type, &out);
}

/* sum += row `index` of a table. */
static weft_status add_row(weft_op *op, int table, int32_t index, float *row, float *sum) {
  const weft_tensor *t = weft_op_in(op, table);
  if (index < 0 || index >= t->shape.dims[0]) {
    return weft_op_run_fail(op, "index %ld is out of range: the table has %lld rows", (long)index,
                            (long long)t->shape.dims[0]);
  }
  size_t width = (size_t)t->shape.dims[1];
  WEFT_TRY(load_table(op, table, (size_t)index * width, width, row));
  op->cx->kernels->binary_f32[WEFT_BINARY_ADD](width, sum, 1, row, 1, sum);
  return WEFT_OK;
}

weft_status weft_embed_layer_norm_run(weft_op *op) {
  const weft_tensor *ids = weft_op_in(op, IDS), *segments = weft_op_in(op, SEGMENTS), *mask = weft_op_in(op, MASK);
  const weft_tensor *positions = position_ids(op);
  weft_tensor *y = weft_op_out(op, 0), *lengths = weft_op_out(op, 1), *sums = weft_op_out(op, 2);
  size_t width = (size_t)weft_op_in(op, WORDS)->shape.dims[1], steps = (size_t)ids->shape.dims[1];
  float epsilon = weft_op_attr_float(op, "epsilon", 1e-12F);
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, 4 * width, sizeof(float), &room));
  float *row = room, *sum = row + width, *scale = sum + width, *bias = scale + width;
  WEFT_TRY(load_table(op, SCALE, 0, width, scale));
  WEFT_TRY(load_table(op, BIAS, 0, width, bias));
  for (size_t i = 0; i < ids->count; i++) {
    size_t given = positions == NULL ? 0 : positions->count == ids->count ? i : i % steps;
    int32_t position = positions != NULL ? ((const int32_t *)positions->data)[given] : (int32_t)(i % steps);
    memset(sum, 0, width * sizeof *sum);
    WEFT_TRY(add_row(op, WORDS, ((const int32_t *)ids->data)[i], row, sum));
    WEFT_TRY(add_row(op, POSITIONS, position, row, sum));
    if (segments != NULL) {
      WEFT_TRY(add_row(op, SEGMENT_WORDS, ((const int32_t *)segments->data)[i], row, sum));
    }
    if (sums != NULL) {
      weft_narrow(op->cx->kernels, sums->type, width, sum, (char *)sums->data + i * width * weft_type_size(sums->type));
    }
    if (y != NULL) {
      op->cx->kernels->layer_norm_f32(width, sum, scale, bias, epsilon, false, sum, NULL, NULL);
      weft_narrow(op->cx->kernels, y->type, width, sum, (char *)y->data + i * width * weft_type_size(y->type));
    }
  }
  for (size_t b = 0; lengths != NULL && b < lengths->count; b++) { /* how many of a sequence count; 0 without a mask */
    int32_t count = 0;
    for (size_t s = 0; mask != NULL && s < steps; s++) {
      count += ((const int32_t *)mask->data)[b * steps + s] == 1;
    }
    ((int32_t *)lengths->data)[b] = count;
  }
  return WEFT_OK;
}
