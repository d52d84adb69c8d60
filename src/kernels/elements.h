/* Moving elements of any size as bits: the innermost loops of ops/strided.c, compiled for speed. */
#ifndef WEFT_KERNELS_ELEMENTS_H
#define WEFT_KERNELS_ELEMENTS_H

#include <stddef.h>
#include <stdint.h>

/* n elements at strided places; strides are in elements, 0 repeats, a negative one walks backwards. */
void weft_copy_elements(size_t element_size, size_t n, const void *from, int64_t from_stride, void *to,
                        int64_t to_stride);
/* to[i] = from[map[i]] for n elements. */
void weft_map_elements(size_t element_size, size_t n, const int64_t *map, const void *from, void *to);

#endif
