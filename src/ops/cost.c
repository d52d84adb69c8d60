/* How much work a node is. Operators that multiply and add are counted by their definition, so that an algorithm that
 * saves multiplications (Winograd's) shows as a higher rate; all others move bytes, and are counted by those. Operators
 * are known by name here, which serves the fused and quantised members of a family too: this runs only while a profile is
 * taken, and a build that leaves an operator out still links. */
#include "cost.h"

#include <string.h>

/* `position` is that of the input which tells the work. */
typedef double (*cost_function)(const weft_op *op, int position);

static double count_of(const weft_tensor *tensor) {
  return tensor != NULL ? (double)tensor->count : 0;
}

static double dim_of(const weft_tensor *tensor, int axis) {
  return tensor != NULL && axis >= 0 && axis < tensor->shape.rank ? (double)tensor->shape.dims[axis] : 0;
}

/* Weights are [filters][channels of a group][window]: every output takes one filter. */
static double conv_cost(const weft_op *op, int position) {
  const weft_tensor *w = weft_op_in(op, position);
  double filters = dim_of(w, 0);
  return filters == 0 ? 0 : 2 * count_of(weft_op_out(op, 0)) * count_of(w) / filters;
}

/* Weights are [channels][filters of a group][window]: every input gives to as many outputs. */
static double conv_transpose_cost(const weft_op *op, int position) {
  const weft_tensor *w = weft_op_in(op, position);
  double channels = dim_of(w, 0);
  return channels == 0 ? 0 : 2 * count_of(weft_op_in(op, 0)) * count_of(w) / channels;
}

static double matmul_cost(const weft_op *op, int position) {
  const weft_tensor *a = weft_op_in(op, position);
  int rank = a != NULL ? a->shape.rank : 0;
  bool transposed = rank > 1 && weft_op_attr_int(op, "transA", 0) != 0;
  return 2 * count_of(weft_op_out(op, 0)) * dim_of(a, transposed ? rank - 2 : rank - 1);
}

/* Rows of keys or values in [batch][rows][size], [batch][heads][rows][size] or [2][batch][heads][rows][size]. */
static double rows_of(const weft_tensor *tensor) {
  int rank = tensor != NULL ? tensor->shape.rank : 0;
  return rank == 3 ? dim_of(tensor, 1) : rank > 3 ? dim_of(tensor, rank - 2) : 0;
}

/* Products of `rows` keys and values with the queries; what a mask leaves out is counted too. `position` is the past's.
 * */
static double attention_cost(const weft_op *op, int position) {
  const weft_tensor *q = weft_op_in(op, 0), *k = weft_op_in(op, 1), *y = weft_op_out(op, 0);
  const weft_tensor *present = op->output_count > 1 ? weft_op_out(op, 1) : NULL;
  double rows = rows_of(k != NULL ? k : q) + rows_of(weft_op_in(op, position));
  rows = rows_of(present) > 0 ? rows_of(present) : rows;
  return 2 * rows * (count_of(k != NULL ? q : y) + count_of(y));
}

/* The same with the projection of one input to queries, keys and values. */
static double projected_attention_cost(const weft_op *op, int position) {
  const weft_tensor *x = weft_op_in(op, 0), *y = weft_op_out(op, 0);
  const weft_tensor *present = op->output_count > 1 ? weft_op_out(op, 1) : NULL;
  double rows = present != NULL ? rows_of(present) : rows_of(x) + rows_of(weft_op_in(op, position));
  double projection = 2 * count_of(x) * dim_of(weft_op_in(op, 1), 1);
  return projection + 2 * rows * 2 * count_of(y);
}

/* Every weight of W and R once for every step and member of the batch. */
static double recurrent_cost(const weft_op *op, int position) {
  const weft_tensor *x = weft_op_in(op, position);
  return 2 * dim_of(x, 0) * dim_of(x, 1) * (count_of(weft_op_in(op, 1)) + count_of(weft_op_in(op, 2)));
}

static const struct {
  const char *op;
  cost_function cost;
  int position;
} costs[] = {
    {"Conv", conv_cost, 1},
    {"FusedConv", conv_cost, 1},
    {"ConvInteger", conv_cost, 1},
    {"DeformConv", conv_cost, 1},
    {"QLinearConv", conv_cost, 3},
    {"QConv", conv_cost, 1},
    {"ConvTranspose", conv_transpose_cost, 1},
    {"ConvTransposeWithDynamicPads", conv_transpose_cost, 1},
    {"MatMul", matmul_cost, 0},
    {"Gemm", matmul_cost, 0},
    {"FusedMatMul", matmul_cost, 0},
    {"FusedGemm", matmul_cost, 0},
    {"TransposeMatMul", matmul_cost, 0},
    {"MatMulInteger", matmul_cost, 0},
    {"MatMulIntegerToFloat", matmul_cost, 0},
    {"DynamicQuantizeMatMul", matmul_cost, 0},
    {"QLinearMatMul", matmul_cost, 0},
    {"QGemm", matmul_cost, 0},
    {"QMatMul", matmul_cost, 0},
    {"MatMulNBits", matmul_cost, 0},
    {"FlexAttention", attention_cost, -1},
    {"GroupQueryAttention", attention_cost, 3},
    {"MultiHeadAttention", attention_cost, 6},
    {"QAttention", projected_attention_cost, 8},
    {"LSTM", recurrent_cost, 0},
    {"GRU", recurrent_cost, 0},
    {"RNN", recurrent_cost, 0},
    {"DynamicQuantizeLSTM", recurrent_cost, 0},
};

/* Operators that read no more of their first input than they put out, or nothing of it. */
static const char *const picking[] = {"Gather", "GatherElements", "GatherND", "GatherBlockQuantized",
                                      "Slice",  "Shape",          "Size"};

static double bytes_of(const weft_value *value) {
  double sum = 0;
  for (size_t i = 0; value != NULL && i < value->item_count; i++) {
    sum += bytes_of(value->items[i]);
  }
  bool tensor = value != NULL && value->kind == WEFT_KIND_TENSOR;
  return tensor ? (double)value->tensor.count * (double)weft_type_size(value->tensor.type) : sum;
}

static bool is_picking(const char *op) {
  for (size_t i = 0; i < sizeof picking / sizeof *picking; i++) {
    if (strcmp(picking[i], op) == 0) {
      return true;
    }
  }
  return false;
}

static double operations_of(const weft_op *op) {
  const char *name = op->node->op_type;
  if (strcmp(name, "Attention") == 0) { /* three operators have this name */
    return strcmp(op->node->domain, "com.microsoft") != 0 ? attention_cost(op, 4) : projected_attention_cost(op, 4);
  }
  for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
    if (strcmp(costs[i].op, name) == 0) {
      return costs[i].cost(op, costs[i].position);
    }
  }
  return 0;
}

void weft_op_cost(const weft_op *op, double *operations, double *bytes) {
  double read = 0, made = 0;
  for (int i = 0; i < op->output_count; i++) {
    made += bytes_of(op->outputs[i]);
  }
  for (int i = 0; i < op->input_count; i++) {
    double all = bytes_of(op->inputs[i]);
    read += i == 0 && is_picking(op->node->op_type) && all > made ? made : all;
  }
  *operations = operations_of(op);
  *bytes = read + made;
}
