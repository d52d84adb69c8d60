/* Moving elements: the copies that Transpose, Slice, Expand, Tile, Split, Concat, Pad and their kin come down to. An
 * element is any number of bytes, so one loop serves every type, strings too. Knows nothing of operators. */
#ifndef WEFT_OPS_STRIDED_H
#define WEFT_OPS_STRIDED_H

#include "../base/parallel.h"
#include "../base/value.h"
#include "../kernels/elements.h"

/* Room for shapes whose dims are each cut in two, as Tile and DepthToSpace do. */
#define WEFT_STRIDED_RANK (2 * WEFT_MAX_RANK + 2)

/* An N-dimensional block to copy. Strides are in elements; 0 repeats, a negative one walks backwards. */
typedef struct weft_strided {
  int rank;
  int64_t dims[WEFT_STRIDED_RANK];
  int64_t from[WEFT_STRIDED_RANK];
  int64_t to[WEFT_STRIDED_RANK];
} weft_strided;

/* Adds the next inner dimension; those of one element vanish and those that continue the one before are merged with it.
 */
void weft_strided_add(weft_strided *block, int64_t dim, int64_t from, int64_t to);
/* Copies the block; `from` and `to` point at its first element and must not overlap. */
void weft_strided_copy(weft_context *cx, const weft_strided *block, size_t element_size, const void *from, void *to);

/* to[i0, i1, ..] = from[maps[0][i0] + maps[1][i1] + ..] for all i within dims; maps hold offsets in elements. */
void weft_mapped_copy(weft_context *cx, int rank, const int64_t *dims, const int64_t *const *maps, size_t element_size,
                      const void *from, void *to);

/* Distances between neighbours of a dense tensor, in elements. */
void weft_dense_strides(const weft_shape *shape, int64_t *strides);
/* Writes `count` copies of one element. */
void weft_fill_elements(void *to, size_t count, const void *element, size_t element_size);
#endif
