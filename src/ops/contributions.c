/* See contributions.h. */
#include "contributions.h"
#include "../kernels/elements.h"
#include "../kernels/typed.h"

weft_reach weft_reach_of(const weft_window *window, int d, int64_t tap) {
  int64_t stride = window->stride[d], shift = tap * window->dilation[d] - window->pad_begin[d];
  weft_reach r = {.begin = shift < 0 ? (-shift + stride - 1) / stride : 0, .end = window->in[d]};
  int64_t room = window->out[d] - shift; /* places from here on land beyond the end */
  int64_t last = room > 0 ? (room + stride - 1) / stride : 0;
  r.end = r.end < last ? r.end : last;
  r.first = r.begin * stride + shift;
  return r;
}

int64_t weft_output_place(const weft_window *window, int rank, const int64_t *at, const int64_t *tap) {
  int64_t number = 0;
  for (int d = 0; d < rank; d++) {
    int64_t to = at[d] * window->stride[d] + tap[d] * window->dilation[d] - window->pad_begin[d];
    if (to < 0 || to >= window->out[d]) {
      return -1;
    }
    number = number * window->out[d] + to;
  }
  return number;
}

/* Where the sums of one plane are made: in the plane itself, or, with a stride along the last dimension, one plane for
 * each remainder of the column beside it, so that additions run over neighbours, unless these are few. */
typedef struct sums {
  float *at;
  size_t phases, rows, columns;
} sums;

enum { FEW = 8 };

static sums sums_of(const weft_window *window) {
  size_t width = (size_t)window->out[window->rank - 1], stride = (size_t)window->stride[window->rank - 1];
  size_t phases = window->in[window->rank - 1] < FEW ? 1 : stride < width ? stride : width;
  return (sums){.phases = phases, .rows = window->out_count / width, .columns = (width + phases - 1) / phases};
}

/* Adds contributions[tap][input position] to the sums: for each tap as many lines as the last dimension but one has. */
static void add_taps(const weft_window *window, const float *contributions, const sums *sums) {
  const int last = window->rank - 1, outer = last > 0 ? last - 1 : 0;
  const size_t width = (size_t)window->in[last], height = last > 0 ? (size_t)window->in[last - 1] : 1;
  const size_t down = last > 0 ? (size_t)window->stride[last - 1] : 1;
  const size_t rows = last > 0 ? (size_t)window->out[last - 1] : 1;
  int64_t stride = window->stride[last], tap[WEFT_MAX_RANK] = {0};
  do {
    weft_reach x = weft_reach_of(window, last, tap[last]), y = {0, 1, 0};
    if (last > 0) {
      y = weft_reach_of(window, last - 1, tap[last - 1]);
    }
    const bool apart = sums->phases == 1 && stride > 1;
    size_t first =
        apart ? (size_t)x.first : (size_t)(x.first % stride) * sums->rows * sums->columns + (size_t)(x.first / stride);
    int64_t at[WEFT_MAX_RANK] = {0};
    do {
      int64_t plane = x.begin < x.end && y.begin < y.end ? weft_output_place(window, outer, at, tap) : -1;
      if (plane >= 0) {
        const size_t row = (size_t)plane * rows + (size_t)y.first, lines = (size_t)(y.end - y.begin);
        const size_t n = (size_t)(x.end - x.begin), down_line = down * sums->columns;
        const float *from = contributions + (size_t)y.begin * width + x.begin;
        float *to = sums->at + first + row * sums->columns;
        for (size_t line = 0; apart && line < lines; line++) {
          for (size_t i = 0; i < n; i++) {
            to[line * down_line + i * (size_t)stride] += from[line * width + i];
          }
        }
        if (!apart) {
          weft_typed_add_lines(lines, n, from, width, to, down_line);
        }
      }
      contributions += height * width;
    } while (weft_window_next(outer, window->in, at));
  } while (weft_window_next(window->rank, window->kernel, tap));
}

/* Puts the columns of all phases where they belong. */
static void interleave(const weft_window *window, const sums *sums, float *out) {
  size_t width = (size_t)window->out[window->rank - 1];
  if (sums->phases == 2) {
    weft_typed_weave(sums->rows, width, sums->at, sums->rows * sums->columns, sums->columns, out);
    return;
  }
  for (size_t phase = 0; phase < sums->phases; phase++) {
    weft_plane plane = {.element_size = sizeof(float),
                        .lines = sums->rows,
                        .n = (width - phase + sums->phases - 1) / sums->phases,
                        .from_line = (int64_t)sums->columns,
                        .to_line = (int64_t)width,
                        .from_stride = 1,
                        .to_stride = (int64_t)sums->phases};
    weft_copy_plane(&plane, sums->at + phase * sums->rows * sums->columns, out + phase);
  }
}

size_t weft_contributions_room(const weft_window *window) {
  if (window->out_count == 0) {
    return 0;
  }
  const sums sums = sums_of(window);
  return sums.phases > 1 ? sums.phases * sums.rows * sums.columns : 0;
}

void weft_contributions_add(const weft_window *window, const float *contributions, float start, float *room,
                            float *out) {
  if (window->out_count == 0) {
    return;
  }
  sums sums = sums_of(window);
  sums.at = sums.phases > 1 ? room : out;
  weft_copy_elements(sizeof start, sums.phases * sums.rows * sums.columns, &start, 0, sums.at, 1);
  if (window->in_count > 0) {
    add_taps(window, contributions, &sums);
  }
  if (sums.phases > 1) {
    interleave(window, &sums, out);
  }
}
