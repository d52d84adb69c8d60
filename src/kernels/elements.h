/* Moving elements of any size as bits: the innermost loops of ops/strided.c, compiled for speed. */
#ifndef WEFT_KERNELS_ELEMENTS_H
#define WEFT_KERNELS_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* n elements at strided places; strides are in elements, 0 repeats, a negative one walks backwards. */
void weft_copy_elements(size_t element_size, size_t n, const void *from, int64_t from_stride, void *to,
                        int64_t to_stride);
/* `lines` lines of n elements each, the lines at strided places too. */
typedef struct weft_plane {
  size_t element_size, lines, n;
  int64_t from_line, to_line;     /* between lines, in elements */
  int64_t from_stride, to_stride; /* within a line */
} weft_plane;
void weft_copy_plane(const weft_plane *plane, const void *from, void *to);
/* to[i] = from[map[i]] for n elements. */
void weft_map_elements(size_t element_size, size_t n, const int64_t *map, const void *from, void *to);
/* to[i] = table[from[i]], of 256 bytes; to may be from. */
void weft_map_bytes(size_t n, const uint8_t *table, const uint8_t *from, uint8_t *to);
/* to[map[i]] = from[i], in order. */
void weft_spread_elements(size_t element_size, size_t n, const int64_t *map, const void *from, void *to);

/* Eight floats of a plane for each tap, at offsets[tap * 8 + lane] or 0 where that is negative; next[tap] tells whether
 * they are neighbours. */
void weft_pack_lanes(size_t taps, const int32_t *offsets, const uint8_t *next, const float *plane, float *out);

/* Indices of 4 or 8 bytes, those below 0 counting from the end of `dim`. */
typedef struct weft_indices {
  const void *data;
  size_t size; /* bytes of one */
  int64_t dim;
  bool negative; /* some may be below 0 */
} weft_indices;
/* The first of n indices that is not in [-dim, dim), or n; says whether some are below 0. */
size_t weft_indices_check(const weft_indices *indices, size_t n, bool *negative);
/* Whether n of them from `first` on are the same. */
bool weft_indices_alike(const weft_indices *indices, size_t first, size_t n);
/* The map with map[i] = i * step + along * index number first + i, in `room` or where the indices lie. */
const int64_t *weft_indices_map(const weft_indices *indices, size_t first, size_t n, int64_t along, int64_t step,
                                int64_t *room);

#endif
