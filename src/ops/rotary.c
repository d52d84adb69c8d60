/* RotaryEmbedding of ONNX and of com.microsoft, which orders its inputs differently and may give one first position
 * instead of a position for each token; and MRotaryEmbedding, whose tokens have three positions, each for a section of
 * a head's pairs. */
#include "attention.h"
#include "product.h"

#include <string.h>

typedef struct rotary {
  const weft_tensor *positions; /* NULL: the caches hold a row for each token */
  size_t batch, heads, rows, size, rotated;
  weft_heads at;
  bool interleaved, first_position, shared; /* the caches hold rows of one batch for all */
  const int64_t *sections; /* how many pairs take the first, second and third position; NULL: there is one position */
  bool mixed;              /* the sections alternate instead of following each other */
  float scale;             /* of what is turned, where there are sections */
  const float *x, *cosine, *sine;
  float *y;
} rotary;

static weft_status read_sections(weft_op *op, rotary *r) {
  size_t count = 0;
  int64_t left = (int64_t)(r->rotated / 2);
  r->sections = weft_op_attr_ints(op, "mrope_section", &count);
  r->mixed = weft_op_attr_int(op, "mrope_layout", 0) != 0;
  r->scale = weft_op_attr_float(op, "scale", 1);
  for (size_t i = 0; i < count && left >= 0; i++) {
    left = r->sections[i] < 0 || r->sections[i] > left ? -1 : left - r->sections[i];
  }
  return count == 3 && left == 0
             ? WEFT_OK
             : weft_op_fail(op, "attribute 'mrope_section': expected three numbers that add up to %zu", r->rotated / 2);
}

/* Which of a token's positions pair i takes. */
static size_t section_of(const rotary *r, size_t i) {
  int64_t pair = (int64_t)i;
  if (r->sections == NULL) {
    return 0;
  }
  if (r->mixed) {
    return pair % 3 > 0 && pair < 3 * r->sections[pair % 3] ? i % 3 : 0;
  }
  return pair < r->sections[0] ? 0 : pair < r->sections[0] + r->sections[1] ? 1 : 2;
}

static weft_status make(weft_op *op, rotary *r) {
  bool own = op->def->variant == WEFT_ROTARY_ONNX;
  const weft_tensor *x = weft_op_in(op, 0), *cosine = weft_op_in(op, own ? 1 : 2), *sine = weft_op_in(op, own ? 2 : 3);
  *r = (rotary){.positions = weft_op_in(op, own ? 3 : 1), .interleaved = weft_op_attr_int(op, "interleaved", 0) != 0};
  int64_t heads = weft_op_attr_int(op, "num_heads", 0), rotated;
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
  WEFT_TRY(weft_op_attr_within(op, "rotary_embedding_dim", 0, 0, INT64_MAX, &rotated));
  r->rotated = rotated == 0 ? r->size : (size_t)rotated;
  if (r->rotated > r->size || r->rotated % 2 != 0 || (size_t)width != r->rotated / 2 ||
      !weft_shape_equal(&cosine->shape, &sine->shape)) {
    char text[96];
    return weft_op_fail(op, "caches of shape %s do not fit a rotated part of %zu out of %zu",
                        weft_shape_print(&cosine->shape, text, sizeof text), r->rotated, r->size);
  }
  if (op->def->variant == WEFT_ROTARY_SECTIONS) {
    WEFT_TRY(read_sections(op, r));
  }
  size_t tokens = r->batch * r->rows;
  r->shared = r->positions == NULL && cosine->shape.rank == 3 && cosine->shape.dims[0] == 1;
  if (r->positions == NULL
          ? cosine->shape.rank != 3 || cosine->count != (r->shared ? r->rows : tokens) * (size_t)width
          : cosine->shape.rank != 2 || (r->positions->count != tokens * (r->sections != NULL ? 3 : 1) &&
                                        (own || r->sections != NULL || r->positions->count != 1))) {
    return weft_op_fail(op, "the caches and positions do not fit %zu tokens", tokens);
  }
  r->first_position = r->positions != NULL && !own && r->sections == NULL && r->positions->count == 1;
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

/* The token's row of the caches, or one put together in `room` from as many as it has positions. */
static weft_status place_angles(weft_op *op, const rotary *r, size_t token, float *room, const float **cosines,
                                const float **sines) {
  const int64_t *positions = r->positions->data;
  size_t half = r->rotated / 2, tokens = r->batch * r->rows, first = 0;
  int64_t rows = weft_op_in(op, op->def->variant == WEFT_ROTARY_ONNX ? 1 : 2)->shape.dims[0];
  for (size_t i = 0; i < half; i++) {
    size_t section = section_of(r, i);
    int64_t position =
        r->first_position ? positions[0] + (int64_t)(token % r->rows) : positions[section * tokens + token];
    if (position < 0 || position >= rows) {
      return weft_op_run_fail(op, "position %lld is out of range: the caches hold %lld", (long long)position,
                              (long long)rows);
    }
    first = (size_t)position * half;
    if (r->sections == NULL) {
      break;
    }
    room[i] = r->scale * r->cosine[first + i];
    room[half + i] = r->scale * r->sine[first + i];
  }
  *cosines = r->sections == NULL ? r->cosine + first : room;
  *sines = r->sections == NULL ? r->sine + first : room + half;
  return WEFT_OK;
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
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, r.rotated, sizeof(float), &room));
  for (size_t token = 0; token < r.batch * r.rows; token++) {
    size_t batch = token / r.rows, row = token % r.rows, half = r.rotated / 2;
    const size_t from = (r.shared ? row : token) * half;
    const float *cosines = r.cosine + from, *sines = r.sine + from;
    if (r.positions != NULL) {
      WEFT_TRY(place_angles(op, &r, token, room, &cosines, &sines));
    }
    for (size_t head = 0; head < r.heads; head++) {
      size_t at = batch * r.at.batch + head * r.at.head + row * r.at.row;
      weft_rotate_head(r.size, r.rotated, r.interleaved, r.x + at, cosines, sines, r.y + at);
    }
  }
  weft_op_floats_done(op, y, r.y);
  return WEFT_OK;
}
