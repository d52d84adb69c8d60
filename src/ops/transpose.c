/* Transpose, DepthToSpace, SpaceToDepth: dims that change places. */
#include "op.h"
#include "strided.h"
#include "variants.h"

/* The permutation, reversed dims by default. */
static weft_status read_perm(weft_op *op, int rank, int *perm) {
  size_t count;
  const int64_t *given = weft_op_attr_ints(op, "perm", &count);
  bool seen[WEFT_MAX_RANK];
  if (given == NULL) {
    for (int d = 0; d < rank; d++) {
      perm[d] = rank - 1 - d;
    }
    return WEFT_OK;
  }
  if ((int)count != rank) {
    return weft_op_fail(op, "perm: expected %d entries, one for each dim of the input, found %zu", rank, count);
  }
  WEFT_TRY(weft_op_axes(op, "perm", count, given, rank, seen));
  for (int d = 0; d < rank; d++) {
    perm[d] = (int)(given[d] < 0 ? given[d] + rank : given[d]);
  }
  return WEFT_OK;
}

weft_status weft_transpose_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  const weft_tensor *in = weft_op_in(op, 0);
  int perm[WEFT_MAX_RANK];
  WEFT_TRY(read_perm(op, in->shape.rank, perm));
  weft_shape shape = {in->shape.rank, {0}};
  for (int d = 0; d < shape.rank; d++) {
    shape.dims[d] = in->shape.dims[perm[d]];
  }
  return weft_op_set(op, 0, in->type, &shape);
}

weft_status weft_transpose_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  int perm[WEFT_MAX_RANK];
  int64_t from[WEFT_MAX_RANK], to[WEFT_MAX_RANK];
  WEFT_TRY(read_perm(op, in->shape.rank, perm));
  weft_dense_strides(&in->shape, from);
  weft_dense_strides(&out->shape, to);
  weft_strided block = {.rank = 0};
  for (int d = 0; d < out->shape.rank; d++) {
    weft_strided_add(&block, out->shape.dims[d], from[perm[d]], to[d]);
  }
  weft_strided_copy(op->cx, &block, weft_type_size(in->type), in->data, out->data);
  return WEFT_OK;
}

weft_status weft_depth_space_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 4, 4));
  const weft_tensor *in = weft_op_in(op, 0);
  int crd;
  int64_t block;
  WEFT_TRY(weft_op_choice(op, "mode", "DCR CRD", 0, &crd));
  WEFT_TRY(weft_op_attr_within(op, "blocksize", 0, 1, 1 << 24, &block));
  const int64_t *d = in->shape.dims;
  bool fits =
      op->def->variant == WEFT_DEPTH_TO_SPACE ? d[1] % (block * block) == 0 : d[2] % block == 0 && d[3] % block == 0;
  if (!fits) {
    char text[96];
    return weft_op_fail(op, "input of shape %s does not divide into blocks of %lld",
                        weft_shape_print(&in->shape, text, sizeof text), (long long)block);
  }
  weft_shape to_space = {4, {d[0], d[1] / (block * block), d[2] * block, d[3] * block}};
  weft_shape to_depth = {4, {d[0], d[1] * block * block, d[2] / block, d[3] / block}};
  return weft_op_set(op, 0, in->type, op->def->variant == WEFT_DEPTH_TO_SPACE ? &to_space : &to_depth);
}

/* Both are the same exchange of [n, block, block, c, h, w] and [n, c, h, block, w, block], read one way or the other.
 * CRD keeps c before the two blocks. */
weft_status weft_depth_space_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  bool to_space = op->def->variant == WEFT_DEPTH_TO_SPACE;
  const int64_t *deep = to_space ? in->shape.dims : out->shape.dims;
  int64_t b = weft_op_attr_int(op, "blocksize", 1), c = deep[1] / (b * b), h = deep[2], w = deep[3];
  int crd;
  WEFT_TRY(weft_op_choice(op, "mode", "DCR CRD", 0, &crd));
  int64_t block_row = crd ? b * h * w : b * c * h * w, block_column = crd ? h * w : c * h * w;
  int64_t depth[6] = {c * b * b * h * w, crd ? b * b * h * w : h * w, w, block_row, 1, block_column};
  int64_t space[6] = {c * b * b * h * w, b * b * h * w, b * b * w, b * w, b, 1};
  int64_t dims[6] = {deep[0], c, h, b, w, b};
  /* Walked in the output's order, so that writes run on. */
  static const int orders[2][6] = {{0, 3, 5, 1, 2, 4}, {0, 1, 2, 3, 4, 5}};
  static const int crd_order[6] = {0, 1, 3, 5, 2, 4};
  const int *order = to_space ? orders[1] : crd ? crd_order : orders[0];
  weft_strided block = {.rank = 0};
  for (int i = 0; i < 6; i++) {
    int d = order[i];
    weft_strided_add(&block, dims[d], to_space ? depth[d] : space[d], to_space ? space[d] : depth[d]);
  }
  weft_strided_copy(op->cx, &block, weft_type_size(in->type), in->data, out->data);
  return WEFT_OK;
}
