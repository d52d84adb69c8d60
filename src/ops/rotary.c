/* RotaryEmbedding of ONNX and of com.microsoft, which orders its inputs differently and may give one first position
 * instead of a position for each token. */
#include "attention.h"
#include "product.h"

#include <string.h>

typedef struct rotary {
  const weft_tensor *positions; /* NULL: the caches hold a row for each token */
  size_t batch, heads, rows, size, rotated;
  weft_heads at;
  bool interleaved, first_position;
  const float *x, *cosine, *sine;
  float *y;
} rotary;

static weft_status make(weft_op *op, rotary *r) {
  bool own = op->def->variant == WEFT_ROTARY_ONNX;
  const weft_tensor *x = weft_op_in(op, 0), *cosine = weft_op_in(op, own ? 1 : 2), *sine = weft_op_in(op, own ? 2 : 3);
  *r = (rotary){.positions = weft_op_in(op, own ? 3 : 1), .interleaved = weft_op_attr_int(op, "interleaved", 0) != 0};
  int64_t heads = weft_op_attr_int(op, "num_heads", 0), rotated = weft_op_attr_int(op, "rotary_embedding_dim", 0);
  int64_t width = cosine->shape.rank > 0 ? cosine->shape.dims[cosine->shape.rank - 1] : 0;
  bool whole = x->shape.rank == 4;
  if (!whole && heads == 0 && !own && width > 0) {
    heads = x->shape.dims[2] / (2 * width); /* com.microsoft: a head is as wide as the cache says */
  }
  if (!whole && (heads < 1 || x->shape.dims[2] % heads != 0)) {
    return weft_op_fail(op, "attribute 'num_heads' is %lld where the input's last dimension is %lld", (long long)heads,
                        (long long)x->shape.dims[2]);
  }
  r->batch = (size_t)x->shape.dims[0];
  r->heads = (size_t)(whole ? x->shape.dims[1] : heads);
  r->rows = (size_t)x->shape.dims[whole ? 2 : 1];
  r->size = (size_t)(whole ? x->shape.dims[3] : x->shape.dims[2] / heads);
  r->at = weft_heads_of(!whole, r->heads, r->rows, r->size);
  r->rotated = rotated == 0 ? r->size : (size_t)rotated;
  if (rotated < 0 || r->rotated > r->size || r->rotated % 2 != 0 || (size_t)width != r->rotated / 2 ||
      !weft_shape_equal(&cosine->shape, &sine->shape)) {
    char text[96];
    return weft_op_fail(op, "caches of shape %s do not fit a rotated part of %zu out of %zu",
                        weft_shape_print(&cosine->shape, text, sizeof text), r->rotated, r->size);
  }
  size_t tokens = r->batch * r->rows;
  if (r->positions == NULL
          ? cosine->shape.rank != 3 || cosine->count != tokens * (size_t)width
          : cosine->shape.rank != 2 || (r->positions->count != tokens && (own || r->positions->count != 1))) {
    return weft_op_fail(op, "the caches and positions do not fit %zu tokens", tokens);
  }
  r->first_position = r->positions != NULL && !own && r->positions->count == 1;
  return WEFT_OK;
}

weft_status weft_rotary_infer(weft_op *op) {
  bool own = op->def->variant == WEFT_ROTARY_ONNX;
  WEFT_TRY(weft_op_expect_inputs(op, own ? 3 : 4, 4));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT & ~WEFT_TYPE_BIT(WEFT_DOUBLE)));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 3, 4));
  WEFT_TRY(weft_op_expect_same_type(op, 0, own ? 1 : 2));
  WEFT_TRY(weft_op_expect_same_type(op, 0, own ? 2 : 3));
  WEFT_TRY(weft_op_expect_type(op, own ? 3 : 1, "position_ids", WEFT_TYPE_BIT(WEFT_INT64)));
  rotary r;
  WEFT_TRY(make(op, &r));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

void weft_rotate_head(size_t size, size_t rotated, bool interleaved, const float *x, const float *cosine,
                      const float *sine, float *y) {
  size_t half = rotated / 2;
  for (size_t i = 0; i < half; i++) {
    size_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
    float a = x[first], b = x[second];
    y[first] = cosine[i] * a - sine[i] * b;
    y[second] = sine[i] * a + cosine[i] * b;
  }
  memcpy(y + rotated, x + rotated, (size - rotated) * sizeof *y);
}

weft_status weft_rotary_run(weft_op *op) {
  bool own = op->def->variant == WEFT_ROTARY_ONNX;
  const weft_tensor *cosine = weft_op_in(op, own ? 1 : 2), *sine = weft_op_in(op, own ? 2 : 3);
  weft_tensor *y = weft_op_out(op, 0);
  rotary r;
  WEFT_TRY(make(op, &r));
  WEFT_TRY(weft_op_floats(op, weft_op_in(op, 0), &r.x));
  WEFT_TRY(weft_op_floats(op, cosine, &r.cosine));
  WEFT_TRY(weft_op_floats(op, sine, &r.sine));
  WEFT_TRY(weft_op_floats_out(op, y, &r.y));
  if (r.y == NULL) {
    return WEFT_OK;
  }
  size_t half = r.rotated / 2;
  for (size_t token = 0; token < r.batch * r.rows; token++) {
    size_t batch = token / r.rows, row = token % r.rows, place = token;
    if (r.positions != NULL) {
      const int64_t *positions = r.positions->data;
      int64_t position = r.first_position ? positions[0] + (int64_t)row : positions[token];
      if (position < 0 || position >= cosine->shape.dims[0]) {
        return weft_op_run_fail(op, "position %lld is out of range: the caches hold %lld", (long long)position,
                                (long long)cosine->shape.dims[0]);
      }
      place = (size_t)position;
    }
    for (size_t head = 0; head < r.heads; head++) {
      size_t at = batch * r.at.batch + head * r.at.head + row * r.at.row;
      weft_rotate_head(r.size, r.rotated, r.interleaved, r.x + at, r.cosine + place * half, r.sine + place * half,
                       r.y + at);
    }
  }
  weft_op_floats_done(op, y, r.y);
  return WEFT_OK;
}
