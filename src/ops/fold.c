/* See fold.h. */
#include "fold.h"

#include "../base/convert.h"

#include <string.h>

/* Appends a dimension to a list, merged with its neighbour when `joined`. */
static void append(size_t dim, size_t stride, bool joined, int *rank, size_t *dims, size_t *strides) {
  if (joined) {
    dims[*rank - 1] *= dim;
  } else {
    dims[(*rank)++] = dim;
  }
  strides[*rank - 1] = stride;
}

void weft_fold_init(weft_fold *f, const weft_shape *shape, const bool *reduced) {
  *f = (weft_fold){.groups = 1, .n = 1, .run = 1};
  bool any = false, last = false;
  for (int d = 0; d < shape->rank; d++) {
    size_t dim = (size_t)shape->dims[d], stride = weft_shape_product(shape, d + 1, shape->rank);
    if (dim == 1) {
      continue;
    }
    bool joined = any && last == reduced[d];
    if (reduced[d]) {
      f->n *= dim;
      append(dim, stride, joined, &f->rank, f->dims, f->strides);
    } else {
      f->groups *= dim;
      append(dim, stride, joined, &f->kept_rank, f->kept_dims, f->kept_strides);
    }
    any = true;
    last = reduced[d];
  }
  if (f->rank > 0) {
    f->rank--;
    f->run = f->dims[f->rank];
    f->step = f->strides[f->rank];
  } else {
    f->step = 1;
  }
}

size_t weft_fold_base(const weft_fold *f, size_t group) {
  size_t base = 0;
  for (int d = f->kept_rank - 1; d >= 0; d--) {
    base += group % f->kept_dims[d] * f->kept_strides[d];
    group /= f->kept_dims[d];
  }
  return base;
}

void weft_fold_begin(const weft_fold *f, size_t group, size_t longest, weft_fold_walk *w) {
  memset(w, 0, sizeof *w);
  w->fold = f;
  w->start = weft_fold_base(f, group);
  w->done = f->n > 0 ? 0 : f->run;
  w->longest = longest;
}

bool weft_fold_next(weft_fold_walk *w) {
  const weft_fold *f = w->fold;
  if (f->n == 0) {
    return false;
  }
  if (w->done == f->run) {
    int d = f->rank - 1;
    for (; d >= 0 && w->index[d] + 1 == f->dims[d]; d--) {
      w->start -= w->index[d] * f->strides[d];
      w->index[d] = 0;
    }
    if (d < 0) {
      return false;
    }
    w->index[d]++;
    w->start += f->strides[d];
    w->done = 0;
  }
  w->n = f->run - w->done < w->longest ? f->run - w->done : w->longest;
  w->offset = w->start + w->done * f->step;
  w->done += w->n;
  return true;
}

size_t weft_fold_grain(const weft_fold *f) {
  return f->n >= WEFT_GRAIN || f->n == 0 ? 1 : WEFT_GRAIN / f->n;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */
typedef struct rows {
  const weft_kernels *kernels;
  const weft_tensor *x, *y;
  const weft_row_functions *functions;
  const void *arg;
  char *scratch; /* a row of 8-byte numbers for each slot */
  weft_fold fold;
} rows;

static void run_rows(void *arg, uint32_t slot, size_t begin, size_t end) {
  const rows *r = arg;
  const weft_tensor *x = r->x, *y = r->y;
  size_t n = r->fold.n, step = r->fold.step;
  void *row = r->scratch == NULL ? NULL : r->scratch + slot * n * sizeof(double);
  for (size_t group = begin; group < end; group++) {
    size_t base = weft_fold_base(&r->fold, group);
    if (row == NULL) {
      r->functions->f(r->arg, n, (const float *)x->data + base, (float *)y->data + base);
    } else if (!weft_type_is_float(x->type)) {
      weft_load_int64(x->type, x->data, base, step, n, row);
      r->functions->i(r->arg, n, row, row);
      weft_store_int64(y->type, row, n, y->data, base, step);
    } else if (x->type != WEFT_DOUBLE && r->functions->f != NULL) {
      weft_block_load(r->kernels, x, base, step, n, row);
      r->functions->f(r->arg, n, row, row);
      weft_block_store(r->kernels, y, base, step, n, row);
    } else {
      weft_load_double(x->type, x->data, base, step, n, row);
      r->functions->d(r->arg, n, row, row);
      weft_store_double(y->type, row, n, y->data, base, step);
    }
  }
}

weft_status weft_rows_run(weft_op *op, const weft_tensor *x, const weft_tensor *y, int axis,
                          const weft_row_functions *functions, const void *arg) {
  bool reduced[WEFT_MAX_RANK] = {false};
  rows r = {.kernels = op->cx->kernels, .x = x, .y = y, .functions = functions, .arg = arg};
  if (x->count == 0) {
    return WEFT_OK;
  }
  if (x->shape.rank > 0) {
    reduced[axis] = true;
  }
  weft_fold_init(&r.fold, &x->shape, reduced);
  if (x->type != WEFT_FLOAT || functions->f == NULL || r.fold.step != 1) {
    void *scratch;
    WEFT_TRY(weft_op_scratch_array(op, r.fold.n, weft_parallel_threads(op->cx) * sizeof(double), &scratch));
    r.scratch = scratch;
  }
  weft_parallel_slots(op->cx, r.fold.groups, weft_fold_grain(&r.fold), run_rows, &r);
  return WEFT_OK;
}
