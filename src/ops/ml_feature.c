/* Scaler, Imputer, Binarizer, Normalizer, ArrayFeatureExtractor, FeatureVectorizer: features made ready for a model. */
#include "../base/convert.h"
#include "index.h"
#include "ml.h"
#include "product.h"

#include <math.h>
#include <string.h>

/* ---- Scaler ------------------------------------------------------------------------------------------------------ */
static weft_status feature_floats(weft_op *op, const char *name, size_t columns, const float **out, size_t *count) {
  *out = weft_op_attr_floats(op, name, count);
  if (*count != 1 && *count != columns) {
    return weft_op_fail(op, "%s: expected 1 or %zu numbers, found %zu", name, columns, *count);
  }
  return WEFT_OK;
}

static size_t last_dim(const weft_tensor *tensor) {
  return tensor->shape.rank == 0 ? 1 : (size_t)tensor->shape.dims[tensor->shape.rank - 1];
}

static weft_status expect_features(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  return weft_op_expect_type(op, 0, "X", WEFT_TYPES_FEATURE);
}

weft_status weft_scaler_infer(weft_op *op) {
  const float *list;
  size_t count;
  WEFT_TRY(expect_features(op));
  const weft_tensor *in = weft_op_in(op, 0);
  WEFT_TRY(feature_floats(op, "offset", last_dim(in), &list, &count));
  WEFT_TRY(feature_floats(op, "scale", last_dim(in), &list, &count));
  return weft_op_set(op, 0, WEFT_FLOAT, &in->shape);
}

weft_status weft_scaler_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  const float *offset, *scale;
  size_t columns = last_dim(in), offsets, scales;
  WEFT_TRY(feature_floats(op, "offset", columns, &offset, &offsets));
  WEFT_TRY(feature_floats(op, "scale", columns, &scale, &scales));
  float *out = weft_op_out(op, 0)->data;
  for (size_t i = 0; i < in->count; i++) {
    size_t c = i % columns;
    double x = weft_number_at(in->type, in->data, i) - offset[offsets == 1 ? 0 : c];
    out[i] = (float)(x * scale[scales == 1 ? 0 : c]);
  }
  return WEFT_OK;
}

/* ---- Imputer ----------------------------------------------------------------------------------------------------- */
typedef struct imputer {
  size_t count;
  const float *floats; /* one of the two */
  const int64_t *ints;
  double replaced_float;
  int64_t replaced_int;
} imputer;

static weft_status read_imputer(weft_op *op, imputer *out) {
  const weft_tensor *in = weft_op_in(op, 0);
  bool is_float = weft_type_is_float(in->type);
  *out = (imputer){0};
  if (is_float) {
    out->floats = weft_op_attr_floats(op, "imputed_value_floats", &out->count);
    out->replaced_float = (double)weft_op_attr_float(op, "replaced_value_float", 0);
  } else {
    out->ints = weft_op_attr_ints(op, "imputed_value_int64s", &out->count);
    out->replaced_int = weft_op_attr_int(op, "replaced_value_int64", 0);
  }
  if (out->count != 1 && out->count != last_dim(in)) {
    return weft_op_fail(op, "%s: expected 1 or %zu values, found %zu",
                        is_float ? "imputed_value_floats" : "imputed_value_int64s", last_dim(in), out->count);
  }
  return WEFT_OK;
}

weft_status weft_imputer_infer(weft_op *op) {
  imputer im;
  WEFT_TRY(expect_features(op));
  WEFT_TRY(read_imputer(op, &im));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

static void impute_float(const imputer *im, size_t c, weft_tensor *out, size_t i) {
  double x = weft_number_at(out->type, out->data, i);
  if (x == im->replaced_float || (x != x && im->replaced_float != im->replaced_float)) {
    weft_number_set(out->type, out->data, i, im->floats[c]);
  }
}

static void impute_int(const imputer *im, size_t c, weft_tensor *out, size_t i) {
  int64_t x;
  weft_load_int64(out->type, out->data, i, 1, 1, &x);
  if (x == im->replaced_int) {
    weft_store_int64(out->type, &im->ints[c], 1, out->data, i, 1);
  }
}

weft_status weft_imputer_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  imputer im;
  WEFT_TRY(read_imputer(op, &im));
  size_t columns = last_dim(in);
  if (out->data != in->data) {
    memcpy(out->data, in->data, in->count * weft_type_size(in->type));
  }
  for (size_t i = 0; i < in->count; i++) {
    size_t c = im.count == 1 ? 0 : i % columns;
    if (im.floats != NULL) {
      impute_float(&im, c, out, i);
    } else {
      impute_int(&im, c, out, i);
    }
  }
  return WEFT_OK;
}

/* ---- Binarizer, Normalizer --------------------------------------------------------------------------------------- */
weft_status weft_binarizer_infer(weft_op *op) {
  WEFT_TRY(expect_features(op));
  return weft_op_set_like(op, 0, weft_op_in(op, 0));
}

weft_status weft_binarizer_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  weft_tensor *out = weft_op_out(op, 0);
  float threshold = weft_op_attr_float(op, "threshold", 0);
  for (size_t done = 0, n; done < in->count; done += n) {
    double block[WEFT_BLOCK];
    n = in->count - done < WEFT_BLOCK ? in->count - done : WEFT_BLOCK;
    weft_load_double(in->type, in->data, done, 1, n, block);
    for (size_t i = 0; i < n; i++) {
      block[i] = block[i] > threshold;
    }
    weft_store_double(out->type, block, n, out->data, done, 1);
  }
  return WEFT_OK;
}

enum { NORM_MAX, NORM_L1, NORM_L2 };

static weft_status read_norm(weft_op *op, int *out) {
  return weft_op_choice(op, "norm", "MAX L1 L2", NORM_MAX, out);
}

weft_status weft_normalizer_infer(weft_op *op) {
  int kind;
  WEFT_TRY(expect_features(op));
  WEFT_TRY(read_norm(op, &kind));
  return weft_op_set(op, 0, WEFT_FLOAT, &weft_op_in(op, 0)->shape);
}

/* Each row divided by its largest element, the sum of magnitudes, or its length; a divisor of 0 leaves the row. */
weft_status weft_normalizer_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0);
  float *out = weft_op_out(op, 0)->data;
  size_t columns = last_dim(in);
  int kind;
  WEFT_TRY(read_norm(op, &kind));
  void *room;
  WEFT_TRY(weft_op_scratch_array(op, columns, sizeof(double), &room));
  double *row = room;
  for (size_t begin = 0; begin < in->count; begin += columns) {
    double divisor = kind == NORM_MAX ? -INFINITY : 0;
    weft_load_double(in->type, in->data, begin, 1, columns, row);
    for (size_t i = 0; i < columns; i++) {
      const double x = row[i];
      divisor = kind != NORM_MAX ? divisor + (kind == NORM_L1 ? fabs(x) : x * x) : x > divisor ? x : divisor;
    }
    divisor = kind == NORM_L2 ? sqrt(divisor) : divisor;
    for (size_t i = 0; i < columns; i++) {
      row[i] = divisor == 0 ? row[i] : row[i] / divisor;
    }
    weft_store_double(WEFT_FLOAT, row, columns, out, begin, 1);
  }
  return WEFT_OK;
}

/* ---- ArrayFeatureExtractor, FeatureVectorizer -------------------------------------------------------------------- */
weft_status weft_array_feature_extractor_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FEATURE | WEFT_TYPE_BIT(WEFT_STRING)));
  WEFT_TRY(weft_op_expect_type(op, 1, "Y", WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 1, WEFT_MAX_RANK));
  const weft_tensor *in = weft_op_in(op, 0), *places = weft_op_in(op, 1);
  weft_shape shape = in->shape;
  if (shape.rank == 1) {
    shape = (weft_shape){2, {1, 0}};
  }
  shape.dims[shape.rank - 1] = (int64_t)weft_shape_product(&places->shape, 0, places->shape.rank);
  return weft_op_set(op, 0, in->type, &shape);
}

weft_status weft_array_feature_extractor_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *places = weft_op_in(op, 1);
  weft_tensor *out = weft_op_out(op, 0);
  size_t columns = last_dim(in), picked = places->count, size = weft_type_size(in->type);
  WEFT_TRY(weft_index_check(op, places, (int64_t)columns, in->shape.rank - 1, NULL));
  for (size_t i = 0; i < out->count; i++) {
    int64_t at = weft_index_at(places, i % picked);
    size_t from = i / picked * columns + (size_t)(at < 0 ? at + (int64_t)columns : at);
    memcpy((char *)out->data + i * size, (const char *)in->data + from * size, size);
  }
  return WEFT_OK;
}

/* Rows and columns of input i as features: a list is one row. */
static void feature_dims(const weft_tensor *in, size_t *rows, size_t *columns) {
  *rows = in->shape.rank < 2 ? 1 : (size_t)in->shape.dims[0];
  *columns = last_dim(in);
}

static weft_status vectorizer_widths(weft_op *op, const int64_t **widths, size_t *rows) {
  size_t count;
  *widths = weft_op_attr_ints(op, "inputdimensions", &count);
  if (count != 0 && count != (size_t)op->input_count) {
    return weft_op_fail(op, "inputdimensions: expected %d entries, found %zu", op->input_count, count);
  }
  if (count == 0) {
    *widths = NULL; /* an empty list is none */
  }
  for (int i = 0; i < op->input_count; i++) {
    const weft_tensor *in = weft_op_in(op, i);
    size_t own, columns;
    feature_dims(in, &own, &columns);
    *rows = i == 0 ? own : *rows;
    if (in->shape.rank > 2 || own != *rows || (count != 0 && ((*widths)[i] < 0 || (*widths)[i] > INT32_MAX))) {
      char text[96];
      return weft_op_fail(op, "input %d of shape %s does not give features for %zu rows", i,
                          weft_shape_print(&in->shape, text, sizeof text), *rows);
    }
  }
  return WEFT_OK;
}

static size_t vectorizer_width(const weft_op *op, const int64_t *widths, int i) {
  size_t rows, columns;
  feature_dims(weft_op_in(op, i), &rows, &columns);
  return widths != NULL ? (size_t)widths[i] : columns;
}

weft_status weft_feature_vectorizer_infer(weft_op *op) {
  const int64_t *widths;
  size_t rows = 0, total = 0;
  WEFT_TRY(weft_op_expect_inputs(op, op->input_count > 0 ? op->input_count : 1, op->input_count));
  WEFT_TRY(vectorizer_widths(op, &widths, &rows));
  for (int i = 0; i < op->input_count; i++) {
    WEFT_TRY(weft_op_expect_type(op, i, "X", WEFT_TYPES_FEATURE));
    total += vectorizer_width(op, widths, i);
  }
  weft_shape shape = {2, {(int64_t)rows, (int64_t)total}};
  return weft_op_set(op, 0, WEFT_FLOAT, &shape);
}

/* Inputs wider than their place are cut, narrower ones filled up with 0. */
weft_status weft_feature_vectorizer_run(weft_op *op) {
  weft_tensor *out = weft_op_out(op, 0);
  const int64_t *widths;
  size_t rows = 0, offset = 0, pitch = (size_t)out->shape.dims[1];
  WEFT_TRY(vectorizer_widths(op, &widths, &rows));
  memset(out->data, 0, out->count * sizeof(float));
  for (int i = 0; i < op->input_count; i++) {
    const weft_tensor *in = weft_op_in(op, i);
    size_t own, columns, width = vectorizer_width(op, widths, i);
    feature_dims(in, &own, &columns);
    for (size_t row = 0; row < rows; row++) {
      for (size_t c = 0; c < columns && c < width; c++) {
        ((float *)out->data)[row * pitch + offset + c] = (float)weft_number_at(in->type, in->data, row * columns + c);
      }
    }
    offset += width;
  }
  return WEFT_OK;
}
