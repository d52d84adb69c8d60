/* Sums of what every tap of a window brings to every place it is put at: what transposed convolutions compute after their
 * product, and what Col2Im is. */
#ifndef WEFT_OPS_CONTRIBUTIONS_H
#define WEFT_OPS_CONTRIBUTIONS_H

#include "spatial.h"

/* The input places [begin, end) of dimension d where `tap` lands inside the output, and where the first lands. */
typedef struct weft_reach {
  int64_t begin, end, first;
} weft_reach;

weft_reach weft_reach_of(const weft_window *window, int d, int64_t tap);
/* The number of the output place that input place `at` (of the first `rank` dimensions) meets with `tap`, or -1. */
int64_t weft_output_place(const weft_window *window, int rank, const int64_t *at, const int64_t *tap);

/* out[output place] = start + the contributions[tap][input place] that land there, tap by tap, for one plane. `room` has
 * weft_contributions_room floats, fewer than two planes. */
size_t weft_contributions_room(const weft_window *window);
void weft_contributions_add(const weft_window *window, const float *contributions, float start, float *room,
                            float *out);

#endif
