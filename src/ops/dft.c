/* DFT and STFT. A signal is a row along one axis; its last dimension holds one real or two complex parts. Rows are
 * zero-padded or cut to the transform's length. */
#include "../base/convert.h"
#include "broadcast.h"
#include "fft.h"

typedef struct spectrum {
  const weft_tensor *x, *window;
  weft_tensor *y;
  weft_fft fft;
  double *scratch; /* per slot: n complex numbers, n doubles, and the transform's work */
  size_t slot_size;
  size_t parts, y_parts;   /* 1: real, 2: complex */
  size_t length, y_length; /* elements along the axis, in and out */
  size_t step;             /* between them, in numbers of parts */
  size_t hop, frames;      /* STFT */
  bool inverse, onesided;
} spectrum;

/* Row `base` (in numbers of parts) of x, as n complex numbers. */
static void load_row(const spectrum *s, size_t base, double *row, double *room) {
  size_t n = s->fft.n, count = s->length < n ? s->length : n;
  for (size_t i = 0; i < 2 * n; i++) {
    row[i] = 0;
  }
  for (size_t part = 0; part < s->parts; part++) {
    weft_load_double(s->x->type, s->x->data, base * s->parts + part, s->step * s->parts, count, room);
    for (size_t i = 0; i < count; i++) {
      row[2 * i + part] = room[i];
    }
  }
  for (size_t i = 0; s->inverse && s->onesided && i < n; i++) { /* the half that is not stored */
    size_t mirror = n - i;
    if (i > n / 2 && mirror < count) {
      row[2 * i] = row[2 * mirror];
      row[2 * i + 1] = -row[2 * mirror + 1];
    }
  }
}

static void store_row(const spectrum *s, size_t base, size_t step, const double *row, double *room) {
  for (size_t part = 0; part < s->y_parts; part++) {
    for (size_t i = 0; i < s->y_length; i++) {
      room[i] = row[2 * i + part];
    }
    weft_store_double(s->y->type, room, s->y_length, s->y->data, base * s->y_parts + part, step * s->y_parts);
  }
}

static void run_rows(void *arg, uint32_t slot, size_t begin, size_t end) {
  const spectrum *s = arg;
  double *row = s->scratch + slot * s->slot_size, *room = row + 2 * s->fft.n, *work = room + s->fft.n;
  for (size_t i = begin; i < end; i++) {
    if (s->frames > 0) {
      size_t sample = i / s->frames * (s->x->count / s->parts / (size_t)s->x->shape.dims[0]);
      load_row(s, sample + i % s->frames * s->hop, row, room);
      if (s->window != NULL) {
        weft_load_double(s->window->type, s->window->data, 0, 1, s->fft.n, room);
        for (size_t k = 0; k < 2 * s->fft.n; k++) {
          row[k] *= room[k / 2];
        }
      }
    } else {
      load_row(s, i / s->step * s->length * s->step + i % s->step, row, room);
    }
    weft_fft_run(&s->fft, row, work, s->inverse);
    if (s->frames > 0) {
      store_row(s, i * s->y_length, 1, row, room);
    } else {
      store_row(s, i / s->step * s->y_length * s->step + i % s->step, s->step, row, room);
    }
  }
}

static weft_status run(weft_op *op, spectrum *s, size_t n, size_t rows) {
  void *scratch;
  if (s->y->count == 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_fft_init(op, n, s->inverse && s->y->type != WEFT_DOUBLE, &s->fft));
  s->slot_size = 3 * n + weft_fft_work(&s->fft);
  WEFT_TRY(weft_op_scratch_array(op, s->slot_size, weft_parallel_threads(op->cx) * sizeof(double), &scratch));
  s->scratch = scratch;
  weft_parallel_slots(op->cx, rows, n >= 1024 ? 1 : 1024 / n, run_rows, s);
  return WEFT_OK;
}

/* ---- DFT --------------------------------------------------------------------------------------------------------- */
static weft_status read_dft(weft_op *op, int *axis, int64_t *n) {
  const weft_shape *x = &weft_op_in(op, 0)->shape;
  int64_t value;
  WEFT_TRY(weft_op_scalar_int(op, 2, "axis", -2, &value));
  WEFT_TRY(weft_op_axis(op, "input axis", value, x->rank, axis));
  if (*axis == x->rank - 1) {
    return weft_op_fail(op, "input axis: the last dimension holds real and imaginary parts");
  }
  bool half = weft_op_attr_int(op, "onesided", 0) != 0 && weft_op_attr_int(op, "inverse", 0) != 0;
  WEFT_TRY(weft_op_scalar_int(op, 1, "dft_length", half ? 2 * (x->dims[*axis] - 1) : x->dims[*axis], n));
  if (*n <= 0) {
    return weft_op_run_fail(op, "a transform of %lld elements is not defined", (long long)*n);
  }
  return WEFT_OK;
}

weft_status weft_dft_infer(weft_op *op) {
  int axis;
  int64_t n;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 3));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 2, WEFT_MAX_RANK));
  const weft_tensor *x = weft_op_in(op, 0);
  int64_t parts = x->shape.dims[x->shape.rank - 1];
  bool onesided = weft_op_attr_int(op, "onesided", 0) != 0, inverse = weft_op_attr_int(op, "inverse", 0) != 0;
  if (parts != 1 && parts != 2) {
    return weft_op_fail(op, "input input: expected a last dimension of 1 or 2, found %lld", (long long)parts);
  }
  if (onesided && parts != (inverse ? 2 : 1)) {
    return weft_op_fail(op, "input input: a onesided transform takes %s numbers", inverse ? "complex" : "real");
  }
  WEFT_TRY(read_dft(op, &axis, &n));
  weft_shape shape = x->shape;
  shape.dims[axis] = onesided && !inverse ? n / 2 + 1 : n;
  shape.dims[shape.rank - 1] = onesided && inverse ? 1 : 2;
  return weft_op_set(op, 0, x->type, &shape);
}

weft_status weft_dft_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  int axis, last = x->shape.rank - 1;
  int64_t n;
  WEFT_TRY(read_dft(op, &axis, &n));
  spectrum s = {.x = x,
                .y = y,
                .parts = (size_t)x->shape.dims[last],
                .y_parts = (size_t)y->shape.dims[last],
                .length = (size_t)x->shape.dims[axis],
                .y_length = (size_t)y->shape.dims[axis],
                .step = weft_shape_product(&x->shape, axis + 1, last),
                .inverse = weft_op_attr_int(op, "inverse", 0) != 0,
                .onesided = weft_op_attr_int(op, "onesided", 0) != 0};
  return run(op, &s, (size_t)n, weft_shape_product(&x->shape, 0, axis) * s.step);
}

/* ---- STFT -------------------------------------------------------------------------------------------------------- */
static weft_status read_stft(weft_op *op, int64_t *hop, int64_t *n) {
  const weft_tensor *x = weft_op_in(op, 0), *window = weft_op_in(op, 2);
  WEFT_TRY(weft_op_scalar_int(op, 1, "frame_step", 0, hop));
  WEFT_TRY(weft_op_scalar_int(op, 3, "frame_length", window != NULL ? (int64_t)window->count : x->shape.dims[1], n));
  if (*hop <= 0 || *n <= 0) {
    return weft_op_run_fail(op, "expected a positive frame_step and frame_length, found %lld and %lld", (long long)*hop,
                            (long long)*n);
  }
  if (window != NULL && (uint64_t)*n != window->count) {
    return weft_op_fail(op, "input window: expected %lld elements as in a frame, found %zu", (long long)*n,
                        window->count);
  }
  return WEFT_OK;
}

/* Real numbers may lack the last dimension, as torch.stft's do. */
static int64_t signal_parts(const weft_tensor *x) {
  return x->shape.rank == 3 ? x->shape.dims[2] : 1;
}

weft_status weft_stft_infer(weft_op *op) {
  int64_t hop, n;
  WEFT_TRY(weft_op_expect_inputs(op, 2, 4));
  WEFT_TRY(weft_op_expect_type(op, 0, "signal", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_rank(op, 0, "signal", 2, 3));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 2));
  WEFT_TRY(weft_op_expect_rank(op, 2, "window", 1, 1));
  const weft_tensor *x = weft_op_in(op, 0);
  bool onesided = weft_op_attr_int(op, "onesided", 1) != 0;
  const int64_t parts = signal_parts(x);
  if (parts != 1 && parts != 2) {
    return weft_op_fail(op, "input signal: expected a last dimension of 1 or 2, found %lld", (long long)parts);
  }
  if (onesided && parts == 2) {
    return weft_op_fail(op, "input signal: a onesided transform takes real numbers");
  }
  WEFT_TRY(read_stft(op, &hop, &n));
  int64_t frames = x->shape.dims[1] < n ? 0 : (x->shape.dims[1] - n) / hop + 1;
  weft_shape shape = {4, {x->shape.dims[0], frames, onesided ? n / 2 + 1 : n, 2}};
  return weft_op_set(op, 0, x->type, &shape);
}

weft_status weft_stft_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  weft_tensor *y = weft_op_out(op, 0);
  int64_t hop, n;
  WEFT_TRY(read_stft(op, &hop, &n));
  spectrum s = {.x = x,
                .y = y,
                .window = weft_op_in(op, 2),
                .parts = (size_t)signal_parts(x),
                .y_parts = 2,
                .length = (size_t)n,
                .y_length = (size_t)y->shape.dims[2],
                .step = 1,
                .hop = (size_t)hop,
                .frames = (size_t)y->shape.dims[1]};
  return run(op, &s, (size_t)n, (size_t)x->shape.dims[0] * s.frames);
}
