/* The transforms of src/kernels/winograd.c for the 4 tiles of a group at once. Of an input strip, even and odd columns
 * are laid apart with their padding (copy_phase of convolution.h), so that a tile's columns are plain loads for all
 * four. */

enum { STRIP_GROUPS = 32, STRIP_LENGTH = (STRIP_GROUPS + 1) * LANES, TILE = 4 };

/* B' of four vectors: see transform_input of the portable kernel. */
INLINE real input_row(const size_t i, real a, real b, real c, real d) {
  return i == 0 ? r_sub(a, c) : i == 1 ? r_add(b, c) : i == 2 ? r_sub(c, b) : r_sub(b, d);
}

/* One group of one channel; `strip` is where its first tile begins. `to` is its half of a panel's row in the first
 * matrix. */
INLINE void input_group(const float *strip, float *to, size_t matrix) {
  for (size_t i = 0; i < TILE; i++) {
    real half[TILE];
    for (size_t j = 0; j < TILE; j++) {
      real x[TILE];
      for (size_t r = 0; r < TILE; r++) {
        x[r] = load(strip + (r * 2 + j % 2) * STRIP_LENGTH + j / 2);
      }
      half[j] = input_row(i, x[0], x[1], x[2], x[3]);
    }
    for (size_t j = 0; j < TILE; j++) {
      store(to + (i * TILE + j) * matrix, input_row(j, half[0], half[1], half[2], half[3]));
    }
  }
}

/* The strip of a channel that `count` groups from `group` on, all in one row of tiles, are made from. */
static void fill_strip(const weft_patches *p, const float *channel, size_t row, size_t group, size_t count,
                       float *strip) {
  const size_t length = (count + 1) * LANES;
  const int64_t column = (int64_t)(group * 2 * LANES) - p->pad_left;
  for (size_t i = 0; i < TILE; i++, strip += 2 * STRIP_LENGTH) {
    int64_t y = (int64_t)(row * 2 + i) - p->pad_top;
    if (y < 0 || (uint64_t)y >= p->ih) {
      clear_floats(strip, length);
      clear_floats(strip + STRIP_LENGTH, length);
      continue;
    }
    copy_phase(channel + (size_t)y * p->iw, p->iw, column, 2, length, strip);
    copy_phase(channel + (size_t)y * p->iw, p->iw, column + 1, 2, length, strip + STRIP_LENGTH);
  }
}

static void winograd_input(const weft_patches *patches, size_t begin, size_t end, float *out) {
  const size_t width = weft_winograd_groups(1, patches->ow), k = patches->channels;
  const size_t matrix = weft_gemm_packed_size((end - begin) * LANES, k), plane = patches->ih * patches->iw;
  float strip[TILE * 2 * STRIP_LENGTH];
  for (size_t group = begin, count = 0; group < end; group += count) {
    count = width - group % width;
    count = count < end - group ? count : end - group;
    count = count < STRIP_GROUPS ? count : STRIP_GROUPS;
    for (size_t c = 0; c < k; c++) {
      fill_strip(patches, patches->in + c * plane, group / width, group % width, count, strip);
      for (size_t g = 0; g < count; g++) {
        size_t at = group - begin + g;
        input_group(strip + g * LANES, out + (at / 2 * k + c) * NR + at % 2 * LANES, matrix);
      }
    }
  }
  for (size_t c = 0; (end - begin) % 2 != 0 && c < k; c++) { /* the last panel's other half */
    for (size_t j = 0; j < WEFT_WINOGRAD_PRODUCTS; j++) {
      store(out + j * matrix + ((end - begin) / 2 * k + c) * NR + LANES, r_set(0.0f));
    }
  }
}

/* A' of four vectors. */
INLINE real output_row(const size_t i, real a, real b, real c, real d) {
  return i == 0 ? r_add(r_add(a, b), c) : r_sub(r_sub(b, c), d);
}

typedef struct winograd_target {
  float bias;
  const float *residual;
  weft_activation activation;
  float lo, hi;
  float *out;
} winograd_target;

/* Up to 8 finished columns of one row. */
INLINE void output_columns(const winograd_target *t, real even, real odd, size_t at, size_t columns) {
  real y[2] = {wasm_i32x4_shuffle(even, odd, 0, 4, 1, 5), wasm_i32x4_shuffle(even, odd, 2, 6, 3, 7)};
  for (size_t v = 0; v < 2 && v * LANES < columns; v++) {
    const size_t first = at + v * LANES, count = columns - v * LANES;
    real sum = r_add(y[v], r_set(t->bias));
    if (t->residual != NULL) sum = r_add(sum, load_some(t->residual + first, count));
    if (t->activation == WEFT_ACT_CLIP) {
      sum = r_at_most(r_at_least(sum, r_set(t->lo)), r_set(t->hi));
    } else if (t->activation != WEFT_ACT_NONE) {
      float part[LANES];
      store(part, sum);
      activate_f32(LANES, part, t->activation, t->lo, t->hi);
      sum = load(part);
    }
    store_some(t->out + first, sum, count);
  }
}

static void winograd_output(const float *products, size_t stride, size_t begin, size_t end, float bias,
                            const float *residual, weft_activation activation, float lo, float hi, float *out,
                            size_t oh, size_t ow) {
  const winograd_target target = {bias, residual, activation, lo, hi, out};
  const size_t width = weft_winograd_groups(1, ow);
  size_t row = begin / width * 2, column = begin % width * 2 * LANES;
  for (size_t group = begin; group < end; group++, products += LANES) {
    const size_t columns = ow - column < 2 * LANES ? ow - column : 2 * LANES;
    for (size_t i = 0; i < 2 && row + i < oh; i++) {
      real half[TILE];
      for (size_t j = 0; j < TILE; j++) {
        real x[TILE];
        for (size_t r = 0; r < TILE; r++) {
          x[r] = load(products + (r * TILE + j) * stride);
        }
        half[j] = output_row(i, x[0], x[1], x[2], x[3]);
      }
      output_columns(&target, output_row(0, half[0], half[1], half[2], half[3]),
                     output_row(1, half[0], half[1], half[2], half[3]), (row + i) * ow + column, columns);
    }
    column += 2 * LANES;
    if (column >= ow) {
      column = 0;
      row += 2;
    }
  }
}
