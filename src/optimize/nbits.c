/* A product with weights of 2, 4 or 8 bits that are expanded to floats in blocks of a column (DequantizeLinear with a
 * block size -> MatMul [-> plus bias]) becomes MatMulNBits, which reads the bits as they are: the weights are packed
 * here, once, and never exist as floats. */
#include <string.h>

#include "match.h"

typedef struct nbits_pass {
  weft_pass *pass;
  weft_graph *graph;
  weft_uses uses;
} nbits_pass;

/* Weights [k, n] with a scale and maybe a zero point for `block` elements of a column; elements are one byte each. */
typedef struct packing {
  weft_node *expand;
  const weft_tensor *weights, *scales, *zeros;
  unsigned bits;
  uint8_t offset; /* added to an element to make it unsigned */
  size_t k, n, block, blocks;
} packing;

static bool is_shape(const weft_tensor *t, size_t rows, size_t columns) {
  return t->shape.rank == 2 && t->shape.dims[0] == (int64_t)rows && t->shape.dims[1] == (int64_t)columns;
}

static bool find_packing(const nbits_pass *p, int32_t v, packing *out) {
  const weft_graph *graph = p->graph;
  weft_node *node = weft_match_producer(graph, v, "DequantizeLinear");
  int64_t block = node != NULL ? weft_node_int(node, "block_size", 0) : 0;
  if (block < 16 || block > INT32_MAX || (block & (block - 1)) != 0 || weft_node_in(node, 0) < 0 ||
      p->uses.count[v] != 1 || p->uses.is_output[v]) {
    return false;
  }
  weft_type type = weft_match_type(graph, node->inputs[0]);
  int64_t axis = weft_node_int(node, "axis", 1);
  *out = (packing){.expand = node,
                   .weights = weft_match_constant(graph, node->inputs[0], type),
                   .scales = weft_match_constant(graph, weft_node_in(node, 1), WEFT_FLOAT),
                   .zeros = weft_match_constant(graph, weft_node_in(node, 2), type),
                   .bits = weft_type_bits(type),
                   .block = (size_t)block};
  bool is_small = weft_type_is_integer(type) && (out->bits == 2 || out->bits == 4 || out->bits == 8);
  if (!is_small || out->weights == NULL || out->scales == NULL || out->weights->shape.rank != 2 ||
      out->weights->count == 0 || (axis != 0 && axis != -2) || (weft_node_in(node, 2) >= 0 && out->zeros == NULL)) {
    return false;
  }
  out->offset = weft_type_is_signed(type) ? (uint8_t)(1u << (out->bits - 1)) : 0;
  out->k = (size_t)out->weights->shape.dims[0];
  out->n = (size_t)out->weights->shape.dims[1];
  out->blocks = (out->k + out->block - 1) / out->block;
  return is_shape(out->scales, out->blocks, out->n) &&
         (out->zeros == NULL || is_shape(out->zeros, out->blocks, out->n));
}

/* ---- packing --------------------------------------------------------------------------------- */
static weft_status new_bytes(nbits_pass *p, size_t rows, size_t columns, weft_value **out) {
  weft_shape shape = {.rank = 2, .dims = {(int64_t)rows, (int64_t)columns}};
  WEFT_TRY(weft_value_new_tensor(p->pass->model->cx, WEFT_UINT8, &shape, out));
  memset((*out)->tensor.data, 0, rows * columns);
  return WEFT_OK;
}

/* Element `at` of a row of small numbers, the first in the lowest bits. */
static void put(uint8_t *row, size_t at, unsigned bits, uint8_t value) {
  size_t bit = at * bits;
  row[bit / 8] = (uint8_t)(row[bit / 8] | (uint8_t)((value & ((1u << bits) - 1)) << (bit % 8)));
}

/* A column of `from`, which has `rows` rows, becomes a row of `to`. */
static void pack(const packing *w, const weft_tensor *from, size_t rows, size_t row_bytes, uint8_t *to) {
  const uint8_t *elements = from->data;
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < w->n; c++) {
      put(to + c * row_bytes, r, w->bits, (uint8_t)(elements[r * w->n + c] + w->offset));
    }
  }
}

static weft_status pack_weights(nbits_pass *p, const packing *w, int32_t *out) {
  size_t row = w->blocks * (w->block * w->bits / 8);
  weft_value *value;
  WEFT_TRY(new_bytes(p, w->n, row, &value));
  pack(w, w->weights, w->k, row, value->tensor.data);
  return weft_graph_add_constant(p->pass->model, p->graph, "", value, out);
}

/* The zero points, -1 where they are what MatMulNBits takes by itself: the middle. */
static weft_status pack_zeros(nbits_pass *p, const packing *w, int32_t *out) {
  size_t row = (w->blocks * w->bits + 7) / 8;
  weft_value *value;
  *out = -1;
  if (w->zeros == NULL && w->offset != 0) {
    return WEFT_OK;
  }
  WEFT_TRY(new_bytes(p, w->n, row, &value));
  if (w->zeros != NULL) {
    pack(w, w->zeros, w->blocks, row, value->tensor.data);
  }
  return weft_graph_add_constant(p->pass->model, p->graph, "", value, out);
}

static weft_status turn_scales(nbits_pass *p, const packing *w, int32_t *out) {
  weft_shape shape = {.rank = 2, .dims = {(int64_t)w->n, (int64_t)w->blocks}};
  weft_value *value;
  WEFT_TRY(weft_value_new_tensor(p->pass->model->cx, WEFT_FLOAT, &shape, &value));
  float *to = value->tensor.data;
  const float *from = w->scales->data;
  for (size_t c = 0; c < w->n; c++) {
    for (size_t b = 0; b < w->blocks; b++) {
      *to++ = from[b * w->n + c];
    }
  }
  return weft_graph_add_constant(p->pass->model, p->graph, "", value, out);
}

/* ---- the pass -------------------------------------------------------------------------------- */
static bool is_bias(const weft_graph *graph, int32_t v, size_t n) {
  const weft_tensor *t = weft_match_constant(graph, v, WEFT_FLOAT);
  return t != NULL && t->shape.rank == 1 && t->count == n;
}

static weft_status visit(nbits_pass *p, weft_node *node) {
  packing w;
  int32_t a = node->inputs[0], weights, scales, zeros;
  if (weft_match_type(p->graph, a) != WEFT_FLOAT || !find_packing(p, node->inputs[1], &w)) {
    return WEFT_OK;
  }
  WEFT_TRY(pack_weights(p, &w, &weights));
  WEFT_TRY(turn_scales(p, &w, &scales));
  WEFT_TRY(pack_zeros(p, &w, &zeros));
  weft_node *add = weft_match_reader(p->graph, &p->uses, node->outputs[0], "Add");
  int32_t bias = add != NULL ? weft_match_other(add, node->outputs[0]) : -1;
  bool has_bias = is_bias(p->graph, bias, w.n);
  weft_node *last = has_bias ? add : node;
  const int32_t values[] = {a, weights, scales, zeros, -1, bias};
  WEFT_TRY(weft_match_become(p->pass, last, "com.microsoft", "MatMulNBits", has_bias ? 6 : zeros >= 0 ? 4 : 3, values));
  weft_model *model = p->pass->model;
  WEFT_TRY(weft_node_set_int(model, last, "K", (int64_t)w.k));
  WEFT_TRY(weft_node_set_int(model, last, "N", (int64_t)w.n));
  WEFT_TRY(weft_node_set_int(model, last, "bits", (int64_t)w.bits));
  WEFT_TRY(weft_node_set_int(model, last, "block_size", (int64_t)w.block));
  for (int i = 0; i < w.expand->input_count; i++) {
    if (w.expand->inputs[i] >= 0) {
      weft_uses_drop(&p->uses, p->graph, w.expand->inputs[i]);
    }
  }
  weft_node_remove(w.expand);
  if (has_bias) {
    weft_node_remove(node);
  }
  return WEFT_OK;
}

weft_status weft_pass_nbits(weft_pass *pass, weft_graph *graph) {
  nbits_pass p = {.pass = pass, .graph = graph};
  if (weft_op_find("com.microsoft", "MatMulNBits") == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_uses_find(pass, graph, &p.uses));
  weft_status status = WEFT_OK;
  for (size_t n = 0; n < graph->node_count && status == WEFT_OK; n++) {
    weft_node *node = &graph->nodes[n];
    if (weft_node_is(node, "MatMul") && weft_node_in(node, 0) >= 0 && weft_node_in(node, 1) >= 0 &&
        weft_node_out(node, 0) >= 0) {
      status = visit(&p, node);
    }
  }
  weft_uses_free(&p.uses);
  weft_graph_compact(graph);
  return status;
}
