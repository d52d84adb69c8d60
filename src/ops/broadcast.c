/* See broadcast.h. */
#include "broadcast.h"

#include <string.h>

#include "../base/convert.h"
#include "../kernels/elements.h"

/* Whether dimension d + 1 continues dimension d for every operand. */
static bool continues(const weft_broadcast *b, int last, const size_t *strides, size_t dim) {
  for (int k = 0; k < b->operands; k++) {
    if (b->strides[k][last] != strides[k] * dim) {
      return false;
    }
  }
  return true;
}

void weft_broadcast_init(weft_broadcast *b, const weft_shape *out, int operands, const weft_tensor *const *tensors) {
  size_t strides[WEFT_MAX_RANK][WEFT_BROADCAST_MAX] = {{0}};
  b->rank = 0;
  b->operands = operands;
  b->count = weft_shape_product(out, 0, out->rank);
  for (int k = 0; k < operands; k++) {
    const weft_shape *shape = &tensors[k]->shape;
    size_t stride = 1;
    b->tensors[k] = tensors[k];
    for (int i = 1; i <= shape->rank && i <= out->rank; i++) {
      size_t dim = (size_t)shape->dims[shape->rank - i];
      strides[out->rank - i][k] = dim == 1 ? 0 : stride;
      stride *= dim;
    }
  }
  for (int d = 0; d < out->rank; d++) {
    size_t dim = (size_t)out->dims[d];
    if (dim == 1) {
      continue;
    }
    if (b->rank > 0 && continues(b, b->rank - 1, strides[d], dim)) {
      b->dims[b->rank - 1] *= dim;
    } else {
      b->dims[b->rank++] = dim;
    }
    for (int k = 0; k < operands; k++) {
      b->strides[k][b->rank - 1] = strides[d][k];
    }
  }
  if (b->rank == 0) {
    b->dims[b->rank++] = 1;
    for (int k = 0; k < operands; k++) {
      b->strides[k][0] = 0;
    }
  }
}

/* Rows shorter than SHORT elements are put together; ROOM bytes hold what is spread out of an operand. */
enum { SHORT = 64, ROOM = 2048 };

typedef struct walk {
  const weft_broadcast *broadcast;
  int cut;      /* runs are steps of this dimension, whole in all after it */
  size_t inner; /* elements of one step */
  size_t longest;
  bool spread[WEFT_BROADCAST_MAX];
  weft_run_body body;
  void *arg;
} walk;

/* Copies n steps of dimension d of operand k, from `from` on, and all of the dimensions after it. */
static char *spread(const weft_broadcast *b, int k, int d, size_t n, const char *from, char *to) {
  const size_t size = weft_type_size(b->tensors[k]->type), *strides = &b->strides[k][d];
  weft_plane plane = {.element_size = size, .lines = 1, .n = n, .from_stride = (int64_t)strides[0], .to_stride = 1};
  const int below = b->rank - 1 - d;
  if (below > 1) {
    for (size_t i = 0; i < n; i++) {
      to = spread(b, k, d + 1, b->dims[d + 1], from + i * strides[0] * size, to);
    }
    return to;
  }
  if (below == 1) {
    plane.lines = n;
    plane.n = b->dims[d + 1];
    plane.from_line = (int64_t)strides[0];
    plane.to_line = (int64_t)plane.n;
    plane.from_stride = (int64_t)strides[1];
  }
  weft_copy_plane(&plane, from, to);
  return to + plane.lines * plane.n * size;
}

static void walk_range(void *arg, size_t begin, size_t end) {
  const walk *w = arg;
  const weft_broadcast *b = w->broadcast;
  const int cut = w->cut;
  uint64_t room[WEFT_BROADCAST_MAX][ROOM / sizeof(uint64_t)];
  size_t at[WEFT_BROADCAST_MAX] = {0}, held[WEFT_BROADCAST_MAX],
         steps[WEFT_BROADCAST_MAX] = {0}; /* spread out from there */
  size_t index[WEFT_MAX_RANK], rest = begin;
  weft_run run = {.out = begin * w->inner};
  for (int k = 0; k < b->operands; k++) {
    run.step[k] = w->spread[k] || b->strides[k][b->rank - 1] != 0;
  }
  for (int d = cut; d >= 0; d--) {
    index[d] = rest % b->dims[d];
    rest /= b->dims[d];
    for (int k = 0; k < b->operands; k++) {
      at[k] += index[d] * b->strides[k][d];
    }
  }
  while (begin < end) {
    size_t n = b->dims[cut] - index[cut];
    n = n < end - begin ? n : end - begin;
    n = n < w->longest ? n : w->longest;
    run.n = n * w->inner;
    for (int k = 0; k < b->operands; k++) {
      const size_t move = n * b->strides[k][cut];
      const char *from = (const char *)b->tensors[k]->data + at[k] * weft_type_size(b->tensors[k]->type);
      run.in[k] = w->spread[k] ? (const char *)room[k] : from;
      if (w->spread[k] && (n > steps[k] || at[k] != held[k])) {
        spread(b, k, cut, n, from, (char *)room[k]);
        held[k] = at[k];
        steps[k] = n;
      }
      at[k] += move;
    }
    w->body(w->arg, &run);
    run.out += run.n;
    begin += n;
    index[cut] += n;
    for (int d = cut; d > 0 && index[d] == b->dims[d]; d--) {
      index[d] = 0;
      index[d - 1]++;
      for (int k = 0; k < b->operands; k++) {
        at[k] += b->strides[k][d - 1] - b->dims[d] * b->strides[k][d];
      }
    }
  }
}

void weft_broadcast_run(weft_context *cx, const weft_broadcast *b, size_t longest, bool neighbours, weft_run_body body,
                        void *arg) {
  walk w = {.broadcast = b, .cut = b->rank - 1, .inner = 1, .longest = longest, .body = body, .arg = arg};
  if (b->count == 0) {
    return;
  }
  while (w.cut > 0 && w.inner * b->dims[w.cut] < SHORT) {
    w.inner *= b->dims[w.cut--];
  }
  for (int k = 0; k < b->operands; k++) {
    bool whole = true; /* neighbours, or one element */
    const bool walks = b->strides[k][b->rank - 1] != 0;
    size_t next = walks;
    for (int d = b->rank - 1; d >= w.cut; d--) {
      whole = whole && b->strides[k][d] == next;
      next *= b->dims[d];
    }
    w.spread[k] = !whole || (neighbours && !walks);
    const size_t fit = ROOM / weft_type_size(b->tensors[k]->type);
    if (w.spread[k] && fit < w.longest) {
      w.longest = fit;
    }
  }
  w.longest /= w.inner;
  weft_parallel(cx, b->count / w.inner, (WEFT_GRAIN + w.inner - 1) / w.inner, walk_range, &w);
}

typedef struct binary {
  void (*kernel)(size_t n, const float *x, size_t x_step, const float *y, size_t y_step, float *z);
  float *y;
} binary;

static void run_binary(void *arg, const weft_run *run) {
  const binary *b = arg;
  b->kernel(run->n, run->in[0], run->step[0], run->in[1], run->step[1], b->y + run->out);
}

void weft_broadcast_binary(weft_context *cx, weft_binary what, const weft_shape *out, const weft_tensor *a,
                           const weft_tensor *b, float *y) {
  binary job = {cx->kernels->binary_f32[what], y};
  weft_broadcast broadcast;
  weft_broadcast_init(&broadcast, out, 2, (const weft_tensor *const[]){a, b});
  weft_broadcast_run(cx, &broadcast, SIZE_MAX, false, run_binary, &job);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */
void weft_block_load(const weft_kernels *kernels, const weft_tensor *x, size_t offset, size_t step, size_t n,
                     float *out) {
  if (step == 1 && x->type == WEFT_FLOAT16) {
    kernels->float16_to_f32(n, (const uint16_t *)x->data + offset, out);
  } else if (step == 1 && x->type == WEFT_BFLOAT16) {
    kernels->bfloat16_to_f32(n, (const uint16_t *)x->data + offset, out);
  } else {
    weft_load_float(x->type, x->data, offset, step, n, out);
  }
}

void weft_block_store(const weft_kernels *kernels, const weft_tensor *y, size_t offset, size_t step, size_t n,
                      const float *in) {
  if (step == 1 && y->type == WEFT_FLOAT16) {
    kernels->f32_to_float16(n, in, (uint16_t *)y->data + offset);
  } else if (step == 1 && y->type == WEFT_BFLOAT16) {
    kernels->f32_to_bfloat16(n, in, (uint16_t *)y->data + offset);
  } else {
    weft_store_float(y->type, in, n, y->data, offset, step);
  }
}
