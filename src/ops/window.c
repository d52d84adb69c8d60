/* HannWindow, HammingWindow, BlackmanWindow and MelWeightMatrix: tables that audio models compute for themselves. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "op.h"

#include <math.h>
#include <string.h>

static weft_status output_type(weft_op *op, weft_type *out) {
  int64_t type = weft_op_attr_int(op, "output_datatype", WEFT_FLOAT);
  if (!weft_type_is_valid(type) || (WEFT_TYPE_BIT(type) & WEFT_TYPES_NUMERIC) == 0) {
    return weft_op_fail(op, "attribute output_datatype: %lld is not a type this operator makes", (long long)type);
  }
  *out = (weft_type)type;
  return WEFT_OK;
}

weft_status weft_window_infer(weft_op *op) {
  weft_shape shape = {.rank = 1};
  weft_type type;
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "size", WEFT_TYPES_INDEX));
  WEFT_TRY(output_type(op, &type));
  WEFT_TRY(weft_op_scalar_int(op, 0, "size", 0, &shape.dims[0]));
  return weft_op_set(op, 0, type, &shape);
}

weft_status weft_window_run(weft_op *op) {
  /* a0 - a1 cos(t) + a2 cos(2t); Hamming's are the exact fractions of which 0.54 and 0.46 are the rounded ones */
  static const double terms[][3] = {
      [WEFT_WINDOW_HANN] = {0.5, 0.5, 0},
      [WEFT_WINDOW_HAMMING] = {25.0 / 46, 21.0 / 46, 0},
      [WEFT_WINDOW_BLACKMAN] = {0.42, 0.5, 0.08},
  };
  const double *a = terms[op->def->variant];
  weft_tensor *y = weft_op_out(op, 0);
  double period = (double)y->count - (weft_op_attr_int(op, "periodic", 1) != 0 ? 0 : 1);
  for (size_t i = 0; i < y->count; i++) {
    double t = 6.28318530717958647692 * (double)i / period;
    double value = period > 0 ? a[0] + a[2] * weft_cos(2 * t) - a[1] * weft_cos(t) : 1;
    weft_store_double(y->type, &value, 1, y->data, i, 1);
  }
  return WEFT_OK;
}

/* ---- MelWeightMatrix --------------------------------------------------------------------------------------------- */
typedef struct mel {
  int64_t bins, length, rate;
  double low, high;
} mel;

static weft_status read_mel(weft_op *op, mel *m) {
  WEFT_TRY(weft_op_scalar_int(op, 0, "num_mel_bins", 0, &m->bins));
  WEFT_TRY(weft_op_scalar_int(op, 1, "dft_length", 0, &m->length));
  WEFT_TRY(weft_op_scalar_int(op, 2, "sample_rate", 0, &m->rate));
  WEFT_TRY(weft_op_scalar_float(op, 3, "lower_edge_hertz", 0, &m->low));
  WEFT_TRY(weft_op_scalar_float(op, 4, "upper_edge_hertz", 0, &m->high));
  if (m->bins < 0 || m->length < 0 || m->rate <= 0) {
    return weft_op_run_fail(op, "expected num_mel_bins and dft_length of 0 or more and a positive sample_rate");
  }
  return WEFT_OK;
}

weft_status weft_mel_infer(weft_op *op) {
  weft_type type;
  mel m;
  WEFT_TRY(weft_op_expect_inputs(op, 5, 5));
  WEFT_TRY(output_type(op, &type));
  WEFT_TRY(read_mel(op, &m));
  weft_shape shape = {2, {m.length / 2 + 1, m.bins}};
  return weft_op_set(op, 0, type, &shape);
}

/* The spectrum's bin at edge i of the mel scale, which the filters cut into bins + 2 steps. */
static double edge(const mel *m, int64_t i) {
  const double mel_by_log = 1127.01048033415743; /* 2595 / ln 10 */
  double low = mel_by_log * weft_log(1 + m->low / 700), high = mel_by_log * weft_log(1 + m->high / 700);
  double hertz = 700 * (weft_pow(10, (low + (double)i * (high - low) / (double)(m->bins + 2)) / 2595) - 1);
  return floor((double)(m->length + 1) * hertz / (double)m->rate);
}

/* Filter i is a triangle over three neighbouring edges, 1 in the middle. */
weft_status weft_mel_run(weft_op *op) {
  weft_tensor *y = weft_op_out(op, 0);
  mel m;
  WEFT_TRY(read_mel(op, &m));
  memset(y->data, 0, y->count * weft_type_size(y->type));
  for (int64_t i = 0; i < m.bins; i++) {
    double left = edge(&m, i), centre = edge(&m, i + 1), right = edge(&m, i + 2);
    for (int64_t bin = 0; bin < y->shape.dims[0]; bin++) {
      double at = (double)bin, value = 0;
      if (at == centre) {
        value = 1;
      } else if (at >= left && at < centre) {
        value = (at - left) / (centre - left);
      } else if (at > centre && at < right) {
        value = (right - at) / (right - centre);
      }
      weft_store_double(y->type, &value, 1, y->data, (size_t)(bin * m.bins + i), 1);
    }
  }
  return WEFT_OK;
}
