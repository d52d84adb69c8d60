/* A tensor cut into groups of elements that are folded together: what reductions and normalizations share. The
 * dimensions are either kept (an index over them names a group) or reduced (a walk over them meets the group's
 * elements in order). Neighbours of one kind are merged, so that most models' reductions are rows. It must not know
 * what is computed. */
#ifndef WEFT_OPS_FOLD_H
#define WEFT_OPS_FOLD_H

#include "broadcast.h"

typedef struct weft_fold {
  size_t groups, n; /* groups, and elements in each */
  size_t run, step; /* a group is runs of this length and step */
  int kept_rank, rank;
  size_t kept_dims[WEFT_MAX_RANK], kept_strides[WEFT_MAX_RANK];
  size_t dims[WEFT_MAX_RANK], strides[WEFT_MAX_RANK]; /* of the reduced dimensions but the innermost */
} weft_fold;

typedef struct weft_fold_walk {
  const weft_fold *fold;
  size_t offset, n; /* the run at hand: n elements from index `offset`, fold->step apart */
  size_t start, done, longest;
  size_t index[WEFT_MAX_RANK];
} weft_fold_walk;

/* reduced[d] tells whether dimension d is folded. */
void weft_fold_init(weft_fold *fold, const weft_shape *shape, const bool *reduced);
/* Index of a group's first element. */
size_t weft_fold_base(const weft_fold *fold, size_t group);
/* while (weft_fold_next(&walk)) { walk.offset, walk.n, fold->step } meets the group's elements, at most `longest` a
 * turn. */
void weft_fold_begin(const weft_fold *fold, size_t group, size_t longest, weft_fold_walk *walk);
bool weft_fold_next(weft_fold_walk *walk);
/* Groups worth one thread's turn. */
size_t weft_fold_grain(const weft_fold *fold);

/* Operators on whole rows along one axis: y = function(x), each row gathered into contiguous memory (or used in
 * place). `f` serves float and narrower types, `d` double and, without f, all floating types, `i` integers; y may be
 * x. */
typedef struct weft_row_functions {
  void (*f)(const void *arg, size_t n, const float *x, float *y);
  void (*d)(const void *arg, size_t n, const double *x, double *y);
  void (*i)(const void *arg, size_t n, const int64_t *x, int64_t *y);
} weft_row_functions;

weft_status weft_rows_run(weft_op *op, const weft_tensor *x, const weft_tensor *y, int axis,
                          const weft_row_functions *functions, const void *arg);

#endif
