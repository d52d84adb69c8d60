/* com.microsoft's operators on 8-bit tensors with a scale and a zero point: QLinearAdd and QLinearMul, QLinearSigmoid
 * and QLinearLeakyRelu, QLinearWhere, QLinearSoftmax, QLinearAveragePool, QLinearGlobalAveragePool and NhwcMaxPool,
 * QLinearConcat. Each is the floating operator between dequantising and quantising; a function of one element is a
 * table of its 256 values. */
#include "../base/elementary.h"
#include "../kernels/elements.h"
#include "../kernels/typed.h"
#include "broadcast.h"
#include "integer.h"
#include "product.h"
#include "spatial.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 1024 };

/* A tensor's numbers: real = (element - zero) * scale. */
typedef struct quantised {
  const weft_tensor *tensor; /* NULL for the result's */
  float scale;
  int32_t zero;
} quantised;

/* Reads scale and zero point from inputs i and i + 1 (the latter may be absent). */
static weft_status read_numbers(weft_op *op, int i, quantised *out) {
  WEFT_TRY(weft_op_scales(op, weft_op_in(op, i), "scale", 1, &out->scale));
  return weft_op_zero_points(op, weft_op_in(op, i + 1), "zero_point", 1, &out->zero);
}

/* The names of a scale and of a zero point: one of each. */
static weft_status expect_numbers(weft_op *op, int i, const char *const names[2], weft_type type) {
  WEFT_TRY(weft_op_expect_type(op, i, names[0], WEFT_TYPE_BIT(WEFT_FLOAT)));
  WEFT_TRY(weft_op_expect_count(op, i, names[0], 1));
  WEFT_TRY(weft_op_expect_type(op, i + 1, names[1], WEFT_TYPE_BIT(type)));
  return weft_op_expect_count(op, i + 1, names[1], 1);
}

/* The names of a tensor, its scale and its zero point. */
static weft_status expect_quantised(weft_op *op, int i, const char *const names[3]) {
  WEFT_TRY(weft_op_expect_type(op, i, names[0], WEFT_TYPES_BYTE));
  if (weft_op_in(op, i) == NULL) {
    return weft_op_fail(op, "input '%s' is missing", names[0]);
  }
  return expect_numbers(op, i + 1, names + 1, weft_op_in(op, i)->type);
}

static weft_status expect_result(weft_op *op, int i, weft_type type) {
  return expect_numbers(op, i, (const char *const[]){"Y_scale", "Y_zero_point"}, type);
}

static const char *const names_of_x[] = {"X", "X_scale", "X_zero_point"};

static void to_floats(const weft_kernels *kernels, const quantised *q, const void *from, size_t n, float *out) {
  kernels->dequantize_i8(n, from, q->scale, q->zero, q->tensor->type == WEFT_INT8, out);
}

static void from_floats(const weft_kernels *kernels, const quantised *q, const float *in, size_t n, weft_tensor *y,
                        size_t at) {
  kernels->quantize_i8(n, in, q->scale, q->zero, y->type == WEFT_INT8, (uint8_t *)y->data + at);
}

/* ---- two operands ------------------------------------------------------------------------------------------------ */
enum { A = 0, B = 3, C_SCALE = 6 };

weft_status weft_qlinear_binary_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 7, 8));
  WEFT_TRY(expect_quantised(op, A, (const char *const[]){"A", "A_scale", "A_zero_point"}));
  WEFT_TRY(expect_quantised(op, B, (const char *const[]){"B", "B_scale", "B_zero_point"}));
  WEFT_TRY(weft_op_expect_same_type(op, A, B));
  WEFT_TRY(expect_result(op, C_SCALE, weft_op_in(op, A)->type));
  const weft_tensor *a = weft_op_in(op, A), *b = weft_op_in(op, B);
  weft_shape out;
  if (!weft_shape_broadcast(&a->shape, &b->shape, &out)) {
    char left[96], right[96];
    return weft_op_fail(op, "shapes %s and %s do not broadcast", weft_shape_print(&a->shape, left, sizeof left),
                        weft_shape_print(&b->shape, right, sizeof right));
  }
  return weft_op_set(op, 0, a->type, &out);
}

typedef struct binary {
  const weft_kernels *kernels;
  weft_binary function;
  quantised in[2], out;
  weft_tensor *y;
} binary;

static void run_binary(void *arg, const weft_run *run) {
  const binary *b = arg;
  float x[BLOCK], y[BLOCK];
  to_floats(b->kernels, &b->in[0], run->in[0], run->step[0] != 0 ? run->n : 1, x);
  to_floats(b->kernels, &b->in[1], run->in[1], run->step[1] != 0 ? run->n : 1, y);
  float z[BLOCK];
  b->kernels->binary_f32[b->function](run->n, x, run->step[0], y, run->step[1], z);
  from_floats(b->kernels, &b->out, z, run->n, b->y, run->out);
}

weft_status weft_qlinear_binary_run(weft_op *op) {
  binary b = {.kernels = op->cx->kernels,
              .function = (weft_binary)op->def->variant,
              .y = weft_op_out(op, 0),
              .in = {{.tensor = weft_op_in(op, A)}, {.tensor = weft_op_in(op, B)}}};
  if (b.y == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(read_numbers(op, A + 1, &b.in[0]));
  WEFT_TRY(read_numbers(op, B + 1, &b.in[1]));
  WEFT_TRY(read_numbers(op, C_SCALE, &b.out));
  weft_broadcast broadcast;
  weft_broadcast_init(&broadcast, &b.y->shape, 2, (const weft_tensor *const[]){b.in[0].tensor, b.in[1].tensor});
  weft_broadcast_run(op->cx, &broadcast, BLOCK, false, run_binary, &b);
  return WEFT_OK;
}

/* ---- functions of one element ------------------------------------------------------------------------------------ */
enum { X = 0, Y_SCALE = 3 };

weft_status weft_qlinear_unary_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 5));
  if (!weft_op_has(op, Y_SCALE)) {
    return weft_op_fail(op, "input 'Y_scale' is missing");
  }
  WEFT_TRY(expect_quantised(op, X, names_of_x));
  WEFT_TRY(expect_result(op, Y_SCALE, weft_op_in(op, X)->type));
  return weft_op_set_like(op, 0, weft_op_in(op, X));
}

/* What each of the 256 bytes stands for. */
static void every_value(const weft_kernels *kernels, weft_type type, const quantised *in, float *values) {
  uint8_t every[256];
  weft_tensor all = {.type = type, .count = 256, .data = every};
  for (int i = 0; i < 256; i++) {
    every[i] = (uint8_t)i;
  }
  to_floats(kernels, &(quantised){&all, in->scale, in->zero}, every, 256, values);
}

typedef struct mapping {
  const uint8_t *table, *from;
  uint8_t *to;
} mapping;

static void map_range(void *arg, size_t begin, size_t end) {
  const mapping *m = arg;
  weft_map_bytes(end - begin, m->table, m->from + begin, m->to + begin);
}

weft_status weft_qlinear_unary_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, X);
  weft_tensor *y = weft_op_out(op, 0);
  uint8_t table[256];
  float values[256];
  weft_tensor results = {.type = x->type, .count = 256, .data = table};
  quantised in = {0}, out = {0};
  WEFT_TRY(read_numbers(op, X + 1, &in));
  WEFT_TRY(read_numbers(op, Y_SCALE, &out));
  float alpha = weft_op_attr_float(op, "alpha", 0.01F);
  every_value(op->cx->kernels, x->type, &in, values);
  for (int i = 0; i < 256; i++) {
    values[i] = op->def->variant == WEFT_UNARY_SIGMOID ? 1 / (1 + weft_exp_f32(-values[i]))
                : values[i] < 0                        ? alpha * values[i]
                                                       : values[i];
  }
  from_floats(op->cx->kernels, &out, values, 256, &results, 0);
  if (y != NULL) {
    mapping m = {table, x->data, y->data};
    weft_parallel(op->cx, x->count, 4 * WEFT_GRAIN, map_range, &m);
  }
  return WEFT_OK;
}

/* ---- QLinearWhere ------------------------------------------------------------------------------------------------ */
enum { CONDITION, CHOSEN, OTHER = 4, Z_SCALE = 7 };

weft_status weft_qlinear_where_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 8, 9));
  WEFT_TRY(weft_op_expect_type(op, CONDITION, "condition", WEFT_TYPE_BIT(WEFT_BOOL)));
  WEFT_TRY(expect_quantised(op, CHOSEN, names_of_x));
  WEFT_TRY(expect_quantised(op, OTHER, (const char *const[]){"Y", "y_scale", "y_zero_point"}));
  WEFT_TRY(weft_op_expect_same_type(op, CHOSEN, OTHER));
  WEFT_TRY(expect_result(op, Z_SCALE, weft_op_in(op, CHOSEN)->type));
  weft_shape out;
  if (!weft_shape_broadcast(&weft_op_in(op, CHOSEN)->shape, &weft_op_in(op, OTHER)->shape, &out) ||
      !weft_shape_broadcast(&weft_op_in(op, CONDITION)->shape, &out, &out)) {
    return weft_op_fail(op, "the shapes of condition, X and Y do not broadcast");
  }
  return weft_op_set(op, 0, weft_op_in(op, CHOSEN)->type, &out);
}

typedef struct where {
  uint8_t table[2][256]; /* where the condition is false, where it is true */
  uint8_t *z;
} where;

static void run_where(void *arg, const weft_run *run) {
  const where *w = arg;
  uint8_t sides[2][BLOCK];
  for (int i = 0; i < 2; i++) {
    weft_map_bytes(run->n, w->table[i], run->in[1 + i], sides[i]);
  }
  weft_typed_choose(1, run->n, run->in[0], sides[1], sides[0], w->z + run->out);
}

weft_status weft_qlinear_where_run(weft_op *op) {
  static const int sides[] = {OTHER, CHOSEN};
  const weft_kernels *kernels = op->cx->kernels;
  weft_tensor *z = weft_op_out(op, 0);
  where w;
  quantised in = {0}, out = {0};
  WEFT_TRY(read_numbers(op, Z_SCALE, &out));
  for (int i = 0; i < 2; i++) {
    float values[256];
    weft_tensor results = {.type = weft_op_in(op, CHOSEN)->type, .count = 256, .data = w.table[i]};
    WEFT_TRY(read_numbers(op, sides[i] + 1, &in));
    every_value(kernels, results.type, &in, values);
    from_floats(kernels, &out, values, 256, &results, 0);
  }
  if (z == NULL) {
    return WEFT_OK;
  }
  w.z = z->data;
  weft_broadcast broadcast;
  weft_broadcast_init(
      &broadcast, &z->shape, 3,
      (const weft_tensor *const[]){weft_op_in(op, CONDITION), weft_op_in(op, OTHER), weft_op_in(op, CHOSEN)});
  weft_broadcast_run(op->cx, &broadcast, BLOCK, true, run_where, &w);
  return WEFT_OK;
}

/* ---- QLinearSoftmax ---------------------------------------------------------------------------------------------- */
weft_status weft_qlinear_softmax_infer(weft_op *op) {
  int axis = 0;
  WEFT_TRY(weft_qlinear_unary_infer(op));
  return weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", -1), weft_op_in(op, X)->shape.rank, &axis);
}

weft_status weft_qlinear_softmax_run(weft_op *op) {
  const weft_kernels *kernels = op->cx->kernels;
  const weft_tensor *x = weft_op_in(op, X);
  weft_tensor *y = weft_op_out(op, 0);
  int axis = 0, rank = x->shape.rank;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", -1), rank, &axis));
  bool matrix = weft_op_attr_int(op, "opset", 13) < 13; /* all dimensions from the axis on are one row */
  size_t n = weft_shape_product(&x->shape, axis, matrix ? rank : axis + 1);
  size_t step = matrix ? 1 : weft_shape_product(&x->shape, axis + 1, rank);
  void *bytes = NULL, *values = NULL;
  WEFT_TRY(weft_op_scratch_array(op, n, 1, &bytes));
  WEFT_TRY(weft_op_scratch_array(op, n, sizeof(float), &values));
  weft_tensor line = {.type = x->type, .count = n, .data = bytes};
  quantised in = {.tensor = &line}, out = {0};
  WEFT_TRY(read_numbers(op, X + 1, &in));
  WEFT_TRY(read_numbers(op, Y_SCALE, &out));
  for (size_t l = 0; y != NULL && n > 0 && l < x->count / n; l++) {
    size_t first = l / step * n * step + l % step;
    for (size_t i = 0; i < n; i++) {
      ((uint8_t *)bytes)[i] = ((const uint8_t *)x->data)[first + i * step];
    }
    to_floats(kernels, &in, bytes, n, values);
    kernels->softmax_f32(n, values, false, values);
    from_floats(kernels, &out, values, n, &line, 0);
    for (size_t i = 0; i < n; i++) {
      ((uint8_t *)y->data)[first + i * step] = ((const uint8_t *)bytes)[i];
    }
  }
  return WEFT_OK;
}

/* ---- poolings ---------------------------------------------------------------------------------------------------- */
/* NhwcMaxPool always has its channels last, and no scales: the greatest byte is the greatest number. */
static bool channels_last(const weft_op *op) {
  return op->def->variant == WEFT_POOL_MAX || weft_op_attr_int(op, "channels_last", 0) != 0;
}

static weft_status pool_window(weft_op *op, weft_window *window, weft_shape *out) {
  const weft_tensor *x = weft_op_in(op, X);
  int first = channels_last(op) ? 1 : 2, rank = x->shape.rank - 2;
  *out = x->shape;
  if (op->def->variant == WEFT_POOL_GLOBAL) {
    for (int d = 0; d < rank; d++) {
      out->dims[first + d] = 1;
    }
    return WEFT_OK;
  }
  WEFT_TRY(weft_window_read(op, rank, x->shape.dims + first, NULL, window));
  WEFT_TRY(weft_window_forward(op, true, window));
  memcpy(out->dims + first, window->out, (size_t)rank * sizeof *out->dims);
  return WEFT_OK;
}

weft_status weft_qlinear_pool_infer(weft_op *op) {
  if (op->def->variant == WEFT_POOL_MAX) {
    WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
    WEFT_TRY(weft_op_expect_type(op, X, "x", WEFT_TYPES_BYTE));
  } else {
    WEFT_TRY(weft_qlinear_unary_infer(op));
  }
  WEFT_TRY(weft_op_expect_rank(op, X, "X", 3, WEFT_MAX_RANK));
  weft_window window = {0};
  weft_shape out;
  WEFT_TRY(pool_window(op, &window, &out));
  return weft_op_set(op, 0, weft_op_in(op, X)->type, &out);
}

typedef struct pool {
  weft_window window;
  weft_tensor image; /* one image as pool_image reads it, channel by channel */
  quantised in, out;
  size_t channels, plane, result; /* elements of a plane before and after */
  size_t together;                /* planes that become floats at once: small ones are not worth three kernels each */
  float *wide, *small;
  int64_t *offsets; /* of a window's taps, with three or more spatial dimensions */
} pool;

/* One plane with any number of spatial dimensions. */
static void pool_windows(const pool *p, const float *wide, bool average, bool count_padding, float *small) {
  const weft_window *window = &p->window;
  int64_t position[WEFT_MAX_RANK] = {0};
  for (size_t i = 0; i < p->result; i++) {
    float greatest = -INFINITY, sum = 0;
    size_t inside = 0;
    weft_window_offsets(window, position, p->offsets);
    for (size_t t = 0; t < window->taps; t++) {
      if (p->offsets[t] >= 0) {
        float value = wide[p->offsets[t]];
        sum += value;
        greatest = value > greatest ? value : greatest;
        inside++;
      }
    }
    inside = count_padding ? weft_window_taps(window, position) : inside;
    small[i] = !average ? greatest : inside > 0 ? sum / (float)inside : 0;
    weft_window_next(window->rank, window->out, position);
  }
}

/* p->image to y's elements from `at`. */
static void pool_image(weft_op *op, const pool *p, weft_tensor *y, size_t at) {
  quantised in = {&p->image, p->in.scale, p->in.zero};
  const weft_kernels *kernels = op->cx->kernels;
  const weft_window *window = &p->window;
  int variant = op->def->variant;
  bool average = variant == WEFT_POOL_AVERAGE, count_padding = weft_op_attr_int(op, "count_include_pad", 0) != 0;
  for (size_t c = 0, count; c < p->channels; c += count) {
    count = weft_smaller(p->together, p->channels - c);
    to_floats(kernels, &in, (const uint8_t *)p->image.data + c * p->plane, count * p->plane, p->wide);
    for (size_t i = 0; i < count; i++) {
      const float *wide = p->wide + i * p->plane;
      float *small = p->small + i * p->result;
      if (variant == WEFT_POOL_GLOBAL) {
        *small = p->plane > 0 ? kernels->sum_f32(p->plane, wide) / (float)p->plane : 0;
      } else if (window->rank > 2) {
        pool_windows(p, wide, average, count_padding, small);
      } else {
        weft_pool_axis rows = weft_window_axis(window, window->rank - 2),
                       columns = weft_window_axis(window, window->rank - 1);
        weft_pool_plane_f32(wide, &rows, &columns, average, count_padding, small);
      }
    }
    from_floats(kernels, &p->out, p->small, count * p->result, y, at + c * p->result);
  }
}

static weft_status pool_all(weft_op *op, pool *p, size_t images) {
  const weft_tensor *x = weft_op_in(op, X);
  weft_tensor *y = weft_op_out(op, 0);
  weft_tensor to = {.type = x->type};
  bool turned = channels_last(op);
  p->image.type = x->type;
  if (turned) {
    WEFT_TRY(weft_op_scratch_array(op, p->plane, p->channels, &p->image.data));
    WEFT_TRY(weft_op_scratch_array(op, p->result, p->channels, &to.data));
  }
  for (size_t i = 0; i < images; i++) {
    uint8_t *in = (uint8_t *)x->data + i * p->channels * p->plane;
    if (!turned) {
      p->image.data = in;
      pool_image(op, p, y, i * p->channels * p->result);
      continue;
    }
    op->cx->kernels->transpose(p->plane, p->channels, 1, in, p->channels, p->image.data, p->plane);
    pool_image(op, p, &to, 0);
    op->cx->kernels->transpose(p->channels, p->result, 1, to.data, p->result,
                               (uint8_t *)y->data + i * p->channels * p->result, p->channels);
  }
  return WEFT_OK;
}

weft_status weft_qlinear_pool_run(weft_op *op) {
  pool p = {.in = {.scale = 1}, .out = {.scale = 1}};
  weft_shape shape;
  WEFT_TRY(pool_window(op, &p.window, &shape));
  if (op->def->variant != WEFT_POOL_MAX) {
    WEFT_TRY(read_numbers(op, X + 1, &p.in));
    WEFT_TRY(read_numbers(op, Y_SCALE, &p.out));
  }
  const weft_shape *in = &weft_op_in(op, X)->shape;
  int first = channels_last(op) ? 1 : 2;
  p.channels = (size_t)in->dims[first == 1 ? in->rank - 1 : 1];
  p.plane = weft_shape_product(in, first, first + in->rank - 2);
  p.result = weft_shape_product(&shape, first, first + in->rank - 2);
  if (weft_op_out(op, 0) == NULL || weft_op_out(op, 0)->count == 0) {
    return WEFT_OK;
  }
  void *wide = NULL, *small = NULL, *offsets = NULL;
  WEFT_TRY(weft_op_scratch_array(op, p.window.taps, sizeof(int64_t), &offsets));
  p.together = p.plane < 4096 ? weft_smaller(4096 / (p.plane + 1) + 1, p.channels) : 1;
  WEFT_TRY(weft_op_scratch_array(op, p.plane, p.together * sizeof(float), &wide));
  WEFT_TRY(weft_op_scratch_array(op, p.result, p.together * sizeof(float), &small));
  p.wide = wide;
  p.small = small;
  p.offsets = offsets;
  return pool_all(op, &p, (size_t)in->dims[0]);
}

/* ---- QLinearConcat ----------------------------------------------------------------------------------------------- */
enum { FIRST = 2 }; /* after the result's scale and zero point: tensor, scale, zero point, and so on */

static weft_status concat_shape(weft_op *op, int *axis, weft_shape *out) {
  const weft_tensor *first = weft_op_in(op, FIRST);
  if (first == NULL || (op->input_count - FIRST) % 3 != 0) {
    return weft_op_fail(op, "expected a scale, a zero point and three inputs for each tensor, found %d inputs",
                        op->input_count);
  }
  *out = first->shape;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), out->rank, axis));
  for (int i = FIRST; i < op->input_count; i += 3) {
    WEFT_TRY(expect_quantised(op, i, (const char *const[]){"tensor", "tensor_scale", "tensor_zero_point"}));
    WEFT_TRY(weft_op_expect_same_type(op, FIRST, i));
    weft_shape shape = weft_op_in(op, i)->shape;
    if (i > FIRST && shape.rank == out->rank) {
      int64_t along = shape.dims[*axis];
      shape.dims[*axis] = out->dims[*axis];
      out->dims[*axis] += weft_shape_equal(&shape, out) ? along : 0;
      shape.dims[*axis] = out->dims[*axis];
    }
    if (!weft_shape_equal(&shape, out)) {
      return weft_op_fail(op, "input %d does not fit the others", i);
    }
  }
  return WEFT_OK;
}

weft_status weft_qlinear_concat_infer(weft_op *op) {
  int axis = 0;
  weft_shape out;
  WEFT_TRY(concat_shape(op, &axis, &out));
  WEFT_TRY(expect_result(op, 0, weft_op_in(op, FIRST)->type));
  return weft_op_set(op, 0, weft_op_in(op, FIRST)->type, &out);
}

weft_status weft_qlinear_concat_run(weft_op *op) {
  int axis = 0;
  weft_shape shape;
  weft_tensor *y = weft_op_out(op, 0);
  quantised out = {0};
  WEFT_TRY(concat_shape(op, &axis, &shape));
  WEFT_TRY(read_numbers(op, 0, &out));
  size_t line = weft_shape_product(&shape, axis, shape.rank), lines = weft_shape_product(&shape, 0, axis), before = 0;
  for (int i = FIRST; y != NULL && i < op->input_count; i += 3) {
    quantised in = {.tensor = weft_op_in(op, i)};
    WEFT_TRY(read_numbers(op, i + 1, &in));
    size_t own = weft_shape_product(&in.tensor->shape, axis, shape.rank);
    for (size_t l = 0; l < lines; l++) {
      for (size_t done = 0; done < own; done += BLOCK) {
        float values[BLOCK];
        size_t n = own - done < BLOCK ? own - done : BLOCK;
        to_floats(op->cx->kernels, &in, (const uint8_t *)in.tensor->data + l * own + done, n, values);
        from_floats(op->cx->kernels, &out, values, n, y, l * line + before + done);
      }
    }
    before += own;
  }
  return WEFT_OK;
}
