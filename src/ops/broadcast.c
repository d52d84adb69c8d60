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

void weft_broadcast_init(weft_broadcast *b, const weft_shape *out, int operands, const weft_shape *const *shapes) {
  size_t strides[WEFT_MAX_RANK][WEFT_BROADCAST_MAX] = {{0}};
  b->rank = 0;
  b->operands = operands;
  b->count = weft_shape_product(out, 0, out->rank);
  for (int k = 0; k < operands; k++) {
    size_t stride = 1;
    for (int i = 1; i <= shapes[k]->rank && i <= out->rank; i++) {
      size_t dim = (size_t)shapes[k]->dims[shapes[k]->rank - i];
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

typedef struct walk {
  const weft_broadcast *broadcast;
  size_t longest;
  weft_run_body body;
  void *arg;
} walk;

static void walk_range(void *arg, size_t begin, size_t end) {
  const walk *w = arg;
  const weft_broadcast *b = w->broadcast;
  int last = b->rank - 1;
  size_t index[WEFT_MAX_RANK], rest = begin;
  weft_run run = {.out = begin};
  for (int d = last; d >= 0; d--) {
    index[d] = rest % b->dims[d];
    rest /= b->dims[d];
    for (int k = 0; k < b->operands; k++) {
      run.in[k] += index[d] * b->strides[k][d];
    }
  }
  for (int k = 0; k < b->operands; k++) {
    run.step[k] = b->strides[k][last];
  }
  while (run.out < end) {
    run.n = b->dims[last] - index[last];
    run.n = run.n < end - run.out ? run.n : end - run.out;
    run.n = run.n < w->longest ? run.n : w->longest;
    w->body(w->arg, &run);
    run.out += run.n;
    index[last] += run.n;
    for (int k = 0; k < b->operands; k++) {
      run.in[k] += run.n * run.step[k];
    }
    for (int d = last; d > 0 && index[d] == b->dims[d]; d--) {
      index[d] = 0;
      index[d - 1]++;
      for (int k = 0; k < b->operands; k++) {
        run.in[k] += b->strides[k][d - 1] - b->dims[d] * b->strides[k][d];
      }
    }
  }
}

void weft_broadcast_run(weft_context *cx, const weft_broadcast *b, size_t longest, weft_run_body body, void *arg) {
  walk w = {b, longest, body, arg};
  if (b->count > 0) {
    weft_parallel(cx, b->count, WEFT_GRAIN, walk_range, &w);
  }
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */
const void *weft_run_neighbours(const weft_run *run, int k, const void *data, size_t size, size_t done,
                                weft_repeated *repeated) {
  const char *from = (const char *)data + run->in[k] * size;
  if (run->step[k] != 0) {
    return from + done * size;
  }
  if (done == 0) {
    size_t room = sizeof repeated->bytes / size;
    weft_copy_elements(size, room < run->n ? room : run->n, from, 0, repeated->bytes, 1);
  }
  return repeated->bytes;
}

size_t weft_run_piece(const weft_run *run, int operands, size_t size) {
  for (int k = 0; k < operands; k++) {
    if (run->step[k] == 0) {
      return sizeof((weft_repeated *)NULL)->bytes / size;
    }
  }
  return run->n;
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
