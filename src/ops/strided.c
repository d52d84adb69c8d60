/* Moving elements. A block is first brought to its simplest form: dims merged, a dense innermost run taken as one
 * larger element. What is left is one of three rows: a run of bytes, elements at two strides, or a pair of dimensions
 * that swap places, which is cut into tiles so that both sides stay within the cache. It must not know operators or
 * types. */
#include "strided.h"
#include "../kernels/kernels.h"
#include "../kernels/typed.h"

#include <string.h>

enum { TILE = 16, GRAIN_BYTES = 1 << 14, MOST_CUTS = 16 };

typedef enum row_kind { ROW_ELEMENTS, ROW_TILE } row_kind;

typedef struct copy_job {
  const weft_kernels *kernels;
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

static void copy_tile(const copy_job *job, const char *from, char *to, int64_t columns) {
  job->kernels->transpose((size_t)job->dim, (size_t)columns, job->size, from, (size_t)job->from_stride, to,
                          (size_t)job->tile_to);
}

/* As many of the rows from `index` on as lie in the innermost dimension, at most `count`: their number. */
static size_t copy_plane(const copy_job *job, const int64_t *index, size_t count, const char *from, char *to) {
  const weft_strided *block = &job->block;
  int last = block->rank - 1;
  if (job->kind == ROW_TILE) {
    int64_t columns = job->tile_dim - index[job->tile_axis] * TILE;
    copy_tile(job, from, to, columns < TILE ? columns : TILE);
    return 1;
  }
  size_t left = last < 0 ? 1 : (size_t)(block->dims[last] - index[last]);
  weft_plane plane = {.element_size = job->size,
                      .lines = left < count ? left : count,
                      .n = (size_t)job->dim,
                      .from_line = last < 0 ? 0 : block->from[last],
                      .to_line = last < 0 ? 0 : block->to[last],
                      .from_stride = job->from_stride,
                      .to_stride = job->to_stride};
  weft_copy_plane(&plane, from, to);
  return plane.lines;
}

static void copy_rows(void *arg, size_t begin, size_t end) {
  const copy_job *job = arg;
  const weft_strided *block = &job->block;
  int64_t index[WEFT_STRIDED_RANK], from = 0, to = 0, size = (int64_t)job->size;
  weft_position(begin, block->rank, block->dims, index);
  for (int d = block->rank - 1; d >= 0; d--) {
    from += index[d] * block->from[d];
    to += index[d] * block->to[d];
  }
  for (size_t n = begin; n < end;) {
    int64_t step = (int64_t)copy_plane(job, index, end - n, job->from + from * size, job->to + to * size);
    n += (size_t)step;
    for (int d = block->rank - 1; d >= 0; d--, step = 1) {
      from += step * block->from[d];
      to += step * block->to[d];
      index[d] += step;
      if (index[d] < block->dims[d]) {
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

/* The last dimension, if it is short, changes places with the next before it that is long, whose strides are the least:
 * what is walked inside is a loop, and beginning one costs as much as ten elements. */
static void lengthen(weft_strided *block) {
  const int d = block->rank - 1;
  int i = d - 1;
  while (i >= 0 && block->dims[i] < 4 * block->dims[d]) {
    i--;
  }
  if (i < 0 || block->dims[d] >= 8) {
    return;
  }
  const int64_t dim = block->dims[d], from = block->from[d], to = block->to[d];
  block->dims[d] = block->dims[i];
  block->from[d] = block->from[i];
  block->to[d] = block->to[i];
  block->dims[i] = dim;
  block->from[i] = from;
  block->to[i] = to;
}

static void take_row(copy_job *job) {
  weft_strided *block = &job->block;
  const int last = block->rank - 1;
  job->dim = last < 0 ? 1 : block->dims[last];
  job->from_stride = last < 0 ? 1 : block->from[last];
  job->to_stride = last < 0 ? 1 : block->to[last];
  block->rank = last < 0 ? 0 : last;
}

/* Where the innermost dimension is dense in `to` only, and another is dense in `from`, the two are walked in tiles. */
static void choose_row(copy_job *job) {
  weft_strided *block = &job->block;
  weft_strided whole = *block;
  take_row(job);
  const int last = block->rank;
  bool swaps = job->size <= 16 && (job->size & (job->size - 1)) == 0; /* what the kernel takes */
  swaps = swaps && job->to_stride == 1 && job->from_stride > 1 && job->dim >= 4;
  for (int d = 0; swaps && d < last; d++) {
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
  *block = whole;
  lengthen(block);
  take_row(job);
  lengthen(block);
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
  copy_job job = {.kernels = cx->kernels, .block = *block, .size = element_size, .from = from, .to = to};
  widen_element(&job);
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
  size_t run_begin, run_end; /* of the last dimension: places that are neighbours in `from` too */
  bool doubled;              /* each place of it follows itself, of 4 bytes: as when an image becomes twice as large */
  const char *from;
  char *to;
} map_job;

/* The longest range of a map in which it counts up by one: padding and cutting have one that is nearly all of it. */
static void find_run(map_job *job) {
  const int64_t *map = job->maps[job->rank - 1];
  size_t n = (size_t)job->dims[job->rank - 1];
  for (size_t begin = 0, end = 0; begin < n; begin = end) {
    for (end = begin + 1; end < n && map[end] == map[end - 1] + 1; end++) {
    }
    if (end - begin > job->run_end - job->run_begin) {
      job->run_begin = begin;
      job->run_end = end;
    }
  }
  if (job->run_end - job->run_begin < 16) {
    job->run_begin = job->run_end = n;
  }
  job->doubled = job->size == sizeof(float);
  for (size_t i = 0; job->doubled && i < n; i++) {
    job->doubled = map[i] == map[0] + (int64_t)(i / 2);
  }
}

static void map_row(const map_job *job, const char *from, char *to) {
  size_t row = (size_t)job->dims[job->rank - 1], run = job->run_end - job->run_begin;
  const int64_t *map = job->maps[job->rank - 1];
  if (job->doubled) {
    weft_typed_weave(1, row, (const float *)(const void *)from + map[0], 0, 0, (float *)(void *)to);
    return;
  }
  weft_map_elements(job->size, job->run_begin, map, from, to);
  if (run > 0) {
    weft_plane plane = {.element_size = job->size, .lines = 1, .n = run, .from_stride = 1, .to_stride = 1};
    weft_copy_plane(&plane, from + map[job->run_begin] * (int64_t)job->size, to + job->run_begin * job->size);
  }
  weft_map_elements(job->size, row - job->run_end, map + job->run_end, from, to + job->run_end * job->size);
}

static void map_rows(void *arg, size_t begin, size_t end) {
  const map_job *job = arg;
  int last = job->rank - 1;
  size_t bytes = (size_t)job->dims[last] * job->size;
  const weft_plane line = {.element_size = 1, .lines = 1, .n = bytes, .from_stride = 1, .to_stride = 1};
  int64_t before = -1, from = 0;
  int64_t index[WEFT_MAX_RANK];
  weft_position(begin, last, job->dims, index);
  for (int d = last - 1; d >= 0; d--) {
    from += job->maps[d][index[d]];
  }
  for (size_t n = begin; n < end; n++) {
    char *to = job->to + n * bytes;
    if (from == before) { /* the same row again, as when an image becomes larger */
      weft_copy_plane(&line, to - bytes, to);
    } else {
      map_row(job, job->from + from * (int64_t)job->size, to);
    }
    before = from;
    for (int d = last - 1; d >= 0; d--) {
      from -= job->maps[d][index[d]];
      index[d] = index[d] + 1 < job->dims[d] ? index[d] + 1 : 0;
      from += job->maps[d][index[d]];
      if (index[d] != 0) {
        break;
      }
    }
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
  map_job job = {.rank = rank, .dims = dims, .maps = maps, .size = element_size, .from = from, .to = to};
  find_run(&job);
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
