/* com.microsoft.nchwc: what ONNX Runtime writes when it saves a model optimised for its processor. Channels are padded
 * to whole blocks and lie block by block; only ReorderInput and ReorderOutput lead in and out of that order. Here such
 * a value is the plain tensor with the padded number of channels, so that every operator becomes the one it came from
 * and only weights have to be put back in order.
 *
 * A block has 8 or 16 channels, as the processor had it, and the file does not say which. What can be told from it:
 * numbers of channels, padding, and how unlike each other filters are, which mixing them up levels. */
#include "../../base/elementary.h"
#include "../upgrade.h"

#include <math.h>
#include <string.h>

/* ---- weights in blocks ---------------------------------------------------------------------------------------- */
typedef struct filters {
  const float *data;
  size_t outputs, inputs, taps; /* inputs of one group */
} filters;

/* Filters [outputs][inputs][taps]: blocks of outputs and, from a whole block on, of inputs; within them the taps, the
 * inputs of a block, the outputs of a block. */
static size_t place_of(const filters *f, size_t block, size_t output, size_t input, size_t tap) {
  size_t inner = f->inputs < block ? 1 : block;
  size_t place = (output / block * (f->inputs / inner) + input / inner) * f->taps + tap;
  return (place * inner + input % inner) * block + output % block;
}

static bool filters_of(const weft_graph *graph, const weft_node *node, filters *out) {
  const weft_value *w = node->input_count > 1 ? weft_graph_constant(graph, node->inputs[1]) : NULL;
  if (w == NULL || w->kind != WEFT_KIND_TENSOR || w->tensor.type != WEFT_FLOAT || w->tensor.shape.rank != 4 ||
      w->tensor.count == 0) {
    return false;
  }
  const weft_shape *s = &w->tensor.shape;
  *out = (filters){.data = w->tensor.data,
                   .outputs = (size_t)s->dims[0],
                   .inputs = (size_t)s->dims[1],
                   .taps = (size_t)(s->dims[2] * s->dims[3])};
  return true;
}

static bool fits(const filters *f, size_t block) {
  return f->outputs % block == 0 && (f->inputs < block || f->inputs % block == 0);
}

/* ---- the size of a block -------------------------------------------------------------------------------------- */
typedef struct evidence {
  bool can[2];            /* 8, 16 */
  double unlike, filters; /* log likelihood of 16 less that of 8, of so many filters */
} evidence;

static const size_t sizes[2] = {8, 16};

static double energy(const filters *f, size_t block, size_t output) {
  double sum = 0;
  for (size_t i = 0; i < f->inputs; i++) {
    for (size_t t = 0; t < f->taps; t++) {
      double w = (double)f->data[place_of(f, block, output, i, t)];
      sum += w * w;
    }
  }
  return sum;
}

static void weigh(const filters *f, evidence *e) {
  double each = (double)(f->inputs * f->taps), logs[2] = {0, 0};
  size_t empty = 0;
  for (int b = 0; b < 2; b++) {
    e->can[b] = e->can[b] && fits(f, sizes[b]);
  }
  if (!e->can[0] || !e->can[1]) {
    return;
  }
  for (size_t o = 0; o < f->outputs; o++) {
    double as[2] = {energy(f, 8, o), energy(f, 16, o)};
    empty += o + 8 >= f->outputs && as[1] == 0;
    for (int b = 0; b < 2; b++) {
      logs[b] += weft_log(as[b] / each + 1e-20);
    }
  }
  e->can[0] = e->can[0] && empty < 8; /* a block of 8 is not padded by 8 */
  e->unlike += each / 2 * (logs[0] - logs[1]);
  e->filters += (double)f->outputs;
}

static void consider(const weft_graph *graph, const weft_node *node, evidence *e) {
  filters f;
  if (node->op_type != NULL && strcmp(node->domain, "com.microsoft.nchwc") == 0 && strcmp(node->op_type, "Conv") == 0 &&
      filters_of(graph, node, &f)) {
    weigh(&f, e);
  }
}

static weft_status find_block(weft_upgrade *u, size_t *out) {
  evidence e = {.can = {true, true}};
  if (u->block == 0) {
    consider(u->graph, u->node, &e);
    for (size_t n = 0; n < u->graph->node_count; n++) {
      consider(u->graph, &u->graph->nodes[n], &e);
    }
    if (e.can[0] != e.can[1]) {
      u->block = e.can[0] ? 8 : 16;
    } else if (e.can[0] && fabs(e.unlike) > 12 * sqrt(e.filters)) { /* chance alone gives about sqrt(filters) */
      u->block = e.unlike < 0 ? 8 : 16;
    } else {
      return weft_fail(u->model->cx, WEFT_UNSUPPORTED,
                       "the model was saved for one processor, and nothing in it tells whether channels lie in blocks "
                       "of 8 or of 16: save it with graph optimisation at level 'extended'");
    }
  }
  *out = u->block;
  return WEFT_OK;
}

/* ---- nodes ---------------------------------------------------------------------------------------------------- */
static weft_status plain_weights(weft_upgrade *u, size_t block, int32_t *out) {
  filters f;
  weft_value *value;
  if (!filters_of(u->graph, u->node, &f) || !fits(&f, block)) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "input 'W': expected constant weights in blocks of %zu channels",
                     block);
  }
  weft_shape shape = weft_graph_constant(u->graph, u->node->inputs[1])->tensor.shape;
  WEFT_TRY(weft_value_new_tensor(u->model->cx, WEFT_FLOAT, &shape, &value));
  float *to = value->tensor.data;
  for (size_t o = 0; o < f.outputs; o++) {
    for (size_t i = 0; i < f.inputs; i++) {
      for (size_t t = 0; t < f.taps; t++) {
        *to++ = f.data[place_of(&f, block, o, i, t)];
      }
    }
  }
  return weft_graph_add_constant(u->model, u->graph, "", value, out);
}

static weft_status conv(weft_upgrade *u) {
  size_t block;
  int32_t weights;
  WEFT_TRY(find_block(u, &block));
  WEFT_TRY(plain_weights(u, block, &weights));
  u->node->inputs[1] = weights;
  u->node->domain = "com.microsoft";
  u->node->op_type = "FusedConv";
  u->node->version = 1;
  return WEFT_OK;
}

static weft_status same(weft_upgrade *u) {
  u->node->domain = "";
  return WEFT_OK;
}

static weft_status upsample(weft_upgrade *u) {
  const weft_attribute *scales = weft_node_attribute(u->node, "scales");
  float factors[4];
  int32_t v;
  if (scales == NULL || scales->kind != WEFT_ATTRIBUTE_INTS || scales->count != 4) {
    return weft_fail(u->model->cx, WEFT_INVALID_MODEL, "attribute 'scales': expected four numbers");
  }
  for (int i = 0; i < 4; i++) {
    factors[i] = (float)scales->ints[i];
  }
  WEFT_TRY(weft_upgrade_floats(u, 4, factors, &v));
  u->node->domain = "";
  u->node->op_type = "Resize";
  weft_node_remove_attribute(u->node, "scales");
  WEFT_TRY(weft_node_set_string(u->model, u->node, "nearest_mode", "floor"));
  return weft_node_set_input(u->model, u->node, 2, v);
}

/* Adds channels of zeros up to whole blocks. */
static weft_status reorder_input(weft_upgrade *u) {
  size_t block;
  int32_t x = weft_upgrade_input(u, 0), channels, missing, size, none, pads, less, zero, axis;
  weft_node *shape, *concat, *turn;
  if (x < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(find_block(u, &block));
  if (weft_upgrade_int(u, "channels_last", 0) != 0) {
    WEFT_TRY(weft_upgrade_before(u, "Transpose", 1, (int32_t[]){x}, &turn, &x));
    WEFT_TRY(weft_node_set_ints(u->model, turn, "perm", 4, (int64_t[]){0, 3, 1, 2}));
  }
  WEFT_TRY(weft_upgrade_before(u, "Shape", 1, &x, &shape, &channels));
  WEFT_TRY(weft_node_set_int(u->model, shape, "start", 1));
  WEFT_TRY(weft_node_set_int(u->model, shape, "end", 2));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){(int64_t)block}, &size));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){0}, &zero));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){1}, &axis));
  WEFT_TRY(weft_upgrade_before(u, "Neg", 1, &channels, NULL, &less));
  WEFT_TRY(weft_upgrade_before(u, "Mod", 2, (int32_t[]){less, size}, NULL, &missing));
  WEFT_TRY(weft_upgrade_before(u, "Concat", 2, (int32_t[]){zero, missing}, &concat, &pads));
  WEFT_TRY(weft_node_set_int(u->model, concat, "axis", 0));
  none = -1;
  u->dropped = true;
  return weft_upgrade_after(u, "Pad", 4, (int32_t[]){x, pads, none, axis}, u->node->outputs[0], NULL);
}

/* Takes the added channels off. */
static weft_status reorder_output(weft_upgrade *u) {
  int64_t channels = weft_upgrade_int(u, "channels", 0);
  bool last = weft_upgrade_int(u, "channels_last", 0) != 0;
  int32_t x = weft_upgrade_input(u, 0), v[4] = {x}, kept;
  weft_node *turn;
  if (x < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){0}, &v[1]));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, &channels, &v[2]));
  WEFT_TRY(weft_upgrade_ints(u, 1, 1, (int64_t[]){1}, &v[3]));
  u->dropped = true;
  if (!last) {
    return weft_upgrade_after(u, "Slice", 4, v, u->node->outputs[0], NULL);
  }
  WEFT_TRY(weft_upgrade_before(u, "Slice", 4, v, NULL, &kept));
  WEFT_TRY(weft_upgrade_after(u, "Transpose", 1, &kept, u->node->outputs[0], &turn));
  return weft_node_set_ints(u->model, turn, "perm", 4, (int64_t[]){0, 2, 3, 1});
}

const weft_upgrade_row weft_upgrade_blocked[] = {
    {"com.microsoft.nchwc", "AveragePool", WEFT_UPGRADE_ALWAYS, same},
    {"com.microsoft.nchwc", "Conv", WEFT_UPGRADE_ALWAYS, conv},
    {"com.microsoft.nchwc", "GlobalAveragePool", WEFT_UPGRADE_ALWAYS, same},
    {"com.microsoft.nchwc", "GlobalMaxPool", WEFT_UPGRADE_ALWAYS, same},
    {"com.microsoft.nchwc", "MaxPool", WEFT_UPGRADE_ALWAYS, same},
    {"com.microsoft.nchwc", "ReorderInput", WEFT_UPGRADE_ALWAYS, reorder_input},
    {"com.microsoft.nchwc", "ReorderOutput", WEFT_UPGRADE_ALWAYS, reorder_output},
    {"com.microsoft.nchwc", "Upsample", WEFT_UPGRADE_ALWAYS, upsample},
    {NULL, NULL, 0, NULL},
};
