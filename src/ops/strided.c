/* Moving elements. A block is first brought to its simplest form: dims merged, a dense innermost run taken as one
 * larger element. What is left is one of three rows: a run of bytes, elements at two strides, or a pair of dimensions
 * that swap places, which is cut into tiles so that both sides stay within the cache. It must not know operators or
 * types. */
#include "strided.h"

#include <string.h>

enum { TILE = 16, GRAIN_BYTES = 1 << 14, MOST_CUTS = 16 };

typedef enum row_kind { ROW_ELEMENTS, ROW_TILE } row_kind;

typedef struct copy_job {
  weft_strided block; /* the dimensions walked from row to row */
  row_kind kind;
  size_t size;                         /* bytes of one element */
  int64_t dim, from_stride, to_stride; /* the row itself, in elements */
  int64_t tile_dim, tile_to;           /* ROW_TILE: the dimension that is dense in `from` */
  int tile_axis;                       /* which of block.dims counts its tiles */
  const char *from;
  char *to;
} copy_job;

void weft_strided_add(weft_strided *block, int64_t dim, int64_t from, int64_t to) {
  if (dim == 1) {
    return;
  }
  int last = block->rank - 1;
  if (last >= 0 && block->from[last] == from * dim && block->to[last] == to * dim) {
    block->dims[last] *= dim;
    block->from[last] = from;
    block->to[last] = to;
    return;
  }
  block->dims[block->rank] = dim;
  block->from[block->rank] = from;
  block->to[block->rank] = to;
  block->rank++;
}

static void copy_tile(const copy_job *job, const char *from, char *to, int64_t rows) {
  int64_t size = (int64_t)job->size;
  for (int64_t c = 0; c < job->dim; c += TILE) {
    int64_t columns = job->dim - c < TILE ? job->dim - c : TILE;
    for (int64_t r = 0; r < rows; r++) {
      weft_copy_elements(job->size, (size_t)columns, from + (c * job->from_stride + r) * size, job->from_stride,
                         to + (c + r * job->tile_to) * size, 1);
    }
  }
}

static void copy_rows(void *arg, size_t begin, size_t end) {
  const copy_job *job = arg;
  const weft_strided *block = &job->block;
  int64_t index[WEFT_STRIDED_RANK], from = 0, to = 0, size = (int64_t)job->size;
  size_t rest = begin;
  for (int d = block->rank - 1; d >= 0; d--) {
    index[d] = (int64_t)(rest % (size_t)block->dims[d]);
    rest /= (size_t)block->dims[d];
    from += index[d] * block->from[d];
    to += index[d] * block->to[d];
  }
  for (size_t n = begin; n < end; n++) {
    if (job->kind == ROW_TILE) {
      int64_t rows = job->tile_dim - index[job->tile_axis] * TILE;
      copy_tile(job, job->from + from * size, job->to + to * size, rows < TILE ? rows : TILE);
    } else {
      weft_copy_elements(job->size, (size_t)job->dim, job->from + from * size, job->from_stride, job->to + to * size,
                         job->to_stride);
    }
    for (int d = block->rank - 1; d >= 0; d--) {
      from += block->from[d];
      to += block->to[d];
      if (++index[d] < block->dims[d]) {
        break;
      }
      index[d] = 0;
      from -= block->from[d] * block->dims[d];
      to -= block->to[d] * block->dims[d];
    }
  }
}

/* Takes a dense innermost run of 2, 4, 8 or 16 bytes as one element: its neighbours then decide the row. */
static void widen_element(copy_job *job) {
  weft_strided *block = &job->block;
  int last = block->rank - 1;
  if (last <= 0 || block->from[last] != 1 || block->to[last] != 1) {
    return;
  }
  size_t bytes = job->size * (size_t)block->dims[last];
  if (bytes != 2 && bytes != 4 && bytes != 8 && bytes != 16) {
    return;
  }
  for (int d = 0; d < last; d++) {
    if (block->from[d] % block->dims[last] != 0 || block->to[d] % block->dims[last] != 0) {
      return;
    }
  }
  if (((uintptr_t)job->from | (uintptr_t)job->to) % bytes != 0) {
    return;
  }
  for (int d = 0; d < last; d++) {
    block->from[d] /= block->dims[last];
    block->to[d] /= block->dims[last];
  }
  job->size = bytes;
  block->rank = last;
}

/* A short innermost dimension is left to the longest one: rows are loops, and beginning one costs as much as ten elements. */
static void lengthen_row(weft_strided *block) {
  int last = block->rank - 1, longest = last;
  for (int d = 0; d < last; d++) {
    longest = block->dims[d] > block->dims[longest] ? d : longest;
  }
  if (last < 0 || block->dims[last] >= 8 || block->dims[longest] < 4 * block->dims[last]) {
    return;
  }
  const int64_t dim = block->dims[last], from = block->from[last], to = block->to[last];
  block->dims[last] = block->dims[longest];
  block->from[last] = block->from[longest];
  block->to[last] = block->to[longest];
  block->dims[longest] = dim;
  block->from[longest] = from;
  block->to[longest] = to;
}

/* Where the innermost dimension is dense in `to` only, and another is dense in `from`, the two are walked in tiles. */
static void choose_row(copy_job *job) {
  weft_strided *block = &job->block;
  int last = block->rank - 1;
  job->kind = ROW_ELEMENTS;
  job->dim = last < 0 ? 1 : block->dims[last];
  job->from_stride = last < 0 ? 1 : block->from[last];
  job->to_stride = last < 0 ? 1 : block->to[last];
  block->rank = last < 0 ? 0 : last;
  if (job->to_stride != 1 || job->from_stride == 1 || job->dim < 4) {
    return;
  }
  for (int d = 0; d < last; d++) {
    if (block->from[d] == 1 && block->dims[d] >= 4) {
      job->kind = ROW_TILE;
      job->tile_axis = d;
      job->tile_dim = block->dims[d];
      job->tile_to = block->to[d];
      block->dims[d] = (job->tile_dim + TILE - 1) / TILE;
      block->from[d] *= TILE;
      block->to[d] *= TILE;
      return;
    }
  }
}

/* Few long rows are cut, so that threads can share them. */
static void cut_row(copy_job *job) {
  weft_strided *block = &job->block;
  int64_t rows = 1, cuts = MOST_CUTS;
  for (int d = 0; d < block->rank; d++) {
    rows *= block->dims[d];
  }
  while (cuts > 1 && (job->dim % cuts != 0 || job->dim / cuts * (int64_t)job->size < GRAIN_BYTES)) {
    cuts /= 2;
  }
  if (job->kind == ROW_TILE || rows >= MOST_CUTS || cuts == 1) return;
  job->dim /= cuts;
  block->dims[block->rank] = cuts;
  block->from[block->rank] = job->dim * job->from_stride;
  block->to[block->rank] = job->dim * job->to_stride;
  block->rank++;
}

void weft_strided_copy(weft_context *cx, const weft_strided *block, size_t element_size, const void *from, void *to) {
  for (int d = 0; d < block->rank; d++) {
    if (block->dims[d] <= 0) {
      return;
    }
  }
  copy_job job = {.block = *block, .size = element_size, .from = from, .to = to};
  widen_element(&job);
  lengthen_row(&job.block);
  choose_row(&job);
  cut_row(&job);
  size_t rows = 1;
  for (int d = 0; d < job.block.rank; d++) {
    rows *= (size_t)job.block.dims[d];
  }
  size_t row_bytes = (size_t)job.dim * job.size * (job.kind == ROW_TILE ? TILE : 1);
  weft_parallel(cx, rows, GRAIN_BYTES / row_bytes + 1, copy_rows, &job);
}

typedef struct map_job {
  int rank;
  const int64_t *dims;
  const int64_t *const *maps;
  size_t size;
  const char *from;
  char *to;
} map_job;

static void map_rows(void *arg, size_t begin, size_t end) {
  const map_job *job = arg;
  int last = job->rank - 1;
  size_t row = (size_t)job->dims[last];
  for (size_t n = begin; n < end; n++) {
    size_t rest = n;
    int64_t from = 0;
    for (int d = last - 1; d >= 0; d--) {
      from += job->maps[d][rest % (size_t)job->dims[d]];
      rest /= (size_t)job->dims[d];
    }
    weft_map_elements(job->size, row, job->maps[last], job->from + from * (int64_t)job->size, job->to + n * row * job->size);
  }
}

void weft_mapped_copy(weft_context *cx, int rank, const int64_t *dims, const int64_t *const *maps, size_t element_size,
                      const void *from, void *to) {
  if (rank == 0) {
    memcpy(to, from, element_size);
    return;
  }
  size_t rows = 1;
  for (int d = 0; d < rank; d++) {
    if (dims[d] <= 0) {
      return;
    }
    rows *= d < rank - 1 ? (size_t)dims[d] : 1;
  }
  map_job job = {rank, dims, maps, element_size, from, to};
  weft_parallel(cx, rows, GRAIN_BYTES / (element_size * (size_t)dims[rank - 1]) + 1, map_rows, &job);
}

void weft_dense_strides(const weft_shape *shape, int64_t *strides) {
  int64_t stride = 1;
  for (int d = shape->rank - 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= shape->dims[d];
  }
}

void weft_fill_elements(void *to, size_t count, const void *element, size_t element_size) {
  bool zero = true;
  for (size_t i = 0; i < element_size && zero; i++) {
    zero = ((const char *)element)[i] == 0;
  }
  if (zero) {
    memset(to, 0, count * element_size);
  } else if (element_size == 1) {
    memset(to, *(const unsigned char *)element, count);
  } else {
    weft_copy_elements(element_size, count, element, 0, to, 1);
  }
}
