/* RoiAlign, MaxRoiPool, NonMaxSuppression: boxes in images. Formulas are those of the specification; RoiAlign follows
 * He et al., "Mask R-CNN" (2017), MaxRoiPool Girshick, "Fast R-CNN" (2015). */
#include "index.h"
#include "number.h"
#include "order.h"

#include <math.h>
#include <string.h>

typedef struct roi_job {
  const weft_tensor *in, *rois, *batches;
  weft_tensor *out;
  size_t channels, height, width, out_height, out_width;
  double scale;
  int64_t sampling;
  bool half_pixel, max;
} roi_job;

static double roi_at(const roi_job *job, size_t roi, size_t i) {
  return weft_number_at(job->rois->type, job->rois->data, roi * (size_t)job->rois->shape.dims[1] + i);
}

static weft_status set_rois(weft_op *op, int64_t height, int64_t width) {
  const weft_tensor *in = weft_op_in(op, 0), *rois = weft_op_in(op, 1);
  if (height < 1 || width < 1) {
    return weft_op_fail(op, "the output's height and width: expected positive numbers, found %lld and %lld",
                        (long long)height, (long long)width);
  }
  weft_shape shape = {4, {rois->shape.dims[0], in->shape.dims[1], height, width}};
  return weft_op_set(op, 0, in->type, &shape);
}

static weft_status expect_rois(weft_op *op, int64_t columns) {
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_FLOAT));
  WEFT_TRY(weft_op_expect_same_type(op, 0, 1));
  WEFT_TRY(weft_op_expect_rank(op, 0, "X", 4, 4));
  WEFT_TRY(weft_op_expect_rank(op, 1, "rois", 2, 2));
  const weft_tensor *rois = weft_op_in(op, 1);
  if (rois->shape.dims[1] != columns) {
    return weft_op_fail(op, "input rois: expected %lld columns, found %lld", (long long)columns,
                        (long long)rois->shape.dims[1]);
  }
  return WEFT_OK;
}

static roi_job make_job(const weft_op *op) {
  const int64_t *dims = weft_op_in(op, 0)->shape.dims, *out = weft_op_out(op, 0)->shape.dims;
  return (roi_job){.in = weft_op_in(op, 0),
                   .rois = weft_op_in(op, 1),
                   .batches = weft_op_in(op, 2),
                   .out = weft_op_out(op, 0),
                   .channels = (size_t)dims[1],
                   .height = (size_t)dims[2],
                   .width = (size_t)dims[3],
                   .out_height = (size_t)out[2],
                   .out_width = (size_t)out[3],
                   .scale = weft_op_attr_float(op, "spatial_scale", 1)};
}

/* ---- RoiAlign
 * --------------------------------------------------------------------------------------------------------------- */
weft_status weft_roi_align_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  WEFT_TRY(expect_rois(op, 4));
  WEFT_TRY(weft_op_expect_type(op, 2, "batch_indices", WEFT_TYPES_INDEX));
  WEFT_TRY(weft_op_expect_rank(op, 2, "batch_indices", 1, 1));
  const char *mode = weft_op_attr_string(op, "mode", "avg");
  const char *coordinates = weft_op_attr_string(op, "coordinate_transformation_mode", "half_pixel");
  if (strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0) {
    return weft_op_fail(op, "mode: expected avg or max, found %s", mode);
  }
  if (strcmp(coordinates, "half_pixel") != 0 && strcmp(coordinates, "output_half_pixel") != 0) {
    return weft_op_fail(op, "coordinate_transformation_mode: expected half_pixel or output_half_pixel, found %s",
                        coordinates);
  }
  if (weft_op_in(op, 2)->count != (size_t)weft_op_in(op, 1)->shape.dims[0]) {
    return weft_op_fail(op, "input batch_indices: expected one for each of %lld rois, found %zu",
                        (long long)weft_op_in(op, 1)->shape.dims[0], weft_op_in(op, 2)->count);
  }
  return set_rois(op, weft_op_attr_int(op, "output_height", 1), weft_op_attr_int(op, "output_width", 1));
}

/* One coordinate's lower neighbour and how far behind it x lies; false beyond the image. */
static bool clamp_coordinate(double x, size_t size, size_t *low, double *part) {
  if (!(x >= -1 && x <= (double)size)) {
    return false;
  }
  x = x < 0 ? 0 : x;
  *low = (size_t)x >= size - 1 ? size - 1 : (size_t)x;
  *part = *low == size - 1 ? 0 : x - (double)*low;
  return true;
}

static inline double pixel(const roi_job *job, size_t at) {
  return job->in->type == WEFT_FLOAT ? ((const float *)job->in->data)[at]
                                     : weft_number_at(job->in->type, job->in->data, at);
}

/* The four pixels around a place, each times its weight; all 0 beyond the image. */
static void weighted_corners(const roi_job *job, size_t plane, double y, double x, double *corners) {
  size_t row, column;
  double down, right;
  if (!clamp_coordinate(y, job->height, &row, &down) || !clamp_coordinate(x, job->width, &column, &right)) {
    memset(corners, 0, 4 * sizeof *corners);
    return;
  }
  size_t at = (plane * job->height + row) * job->width + column;
  size_t below = row + 1 < job->height ? job->width : 0, beside = column + 1 < job->width;
  corners[0] = (1 - down) * (1 - right) * pixel(job, at);
  corners[1] = (1 - down) * right * pixel(job, at + beside);
  corners[2] = down * (1 - right) * pixel(job, at + below);
  corners[3] = down * right * pixel(job, at + below + beside);
}

typedef struct roi_box {
  double y, x, bin_height, bin_width;
  int64_t rows, columns; /* samples of a bin */
} roi_box;

static roi_box align_box(const roi_job *job, size_t roi) {
  double offset = job->half_pixel ? 0.5 : 0;
  double x1 = roi_at(job, roi, 0) * job->scale - offset, y1 = roi_at(job, roi, 1) * job->scale - offset;
  double width = roi_at(job, roi, 2) * job->scale - offset - x1,
         height = roi_at(job, roi, 3) * job->scale - offset - y1;
  if (!job->half_pixel) { /* boxes of no size are taken as one pixel */
    width = fmax(width, 1);
    height = fmax(height, 1);
  }
  roi_box box = {y1,           x1, height / (double)job->out_height, width / (double)job->out_width, job->sampling,
                 job->sampling};
  if (job->sampling <= 0) {
    /* As many samples as pixels; a box larger than any image gains nothing from more. */
    box.rows = (int64_t)fmin(fmax(ceil(box.bin_height), 0), 2 * (double)job->height + 2);
    box.columns = (int64_t)fmin(fmax(ceil(box.bin_width), 0), 2 * (double)job->width + 2);
  }
  return box;
}

/* The mean of all samples; in mode max the largest weighted pixel, not the largest interpolated value: so the operator
 * is specified by its tests. */
static double align_bin(const roi_job *job, const roi_box *box, size_t plane, size_t row, size_t column) {
  double corners[4];
  double result = job->max ? -INFINITY : 0, count = fmax((double)(box->rows * box->columns), 1);
  for (int64_t i = 0; i < box->rows; i++) {
    for (int64_t j = 0; j < box->columns; j++) {
      double y = box->y + ((double)row + ((double)i + 0.5) / (double)box->rows) * box->bin_height;
      double x = box->x + ((double)column + ((double)j + 0.5) / (double)box->columns) * box->bin_width;
      weighted_corners(job, plane, y, x, corners);
      for (int c = 0; c < 4; c++) {
        result = job->max ? fmax(result, corners[c]) : result + corners[c];
      }
    }
  }
  return job->max ? (box->rows * box->columns > 0 ? result : 0) : result / count;
}

static void align_planes(void *arg, size_t begin, size_t end) {
  const roi_job *job = arg;
  for (size_t n = begin; n < end; n++) {
    size_t roi = n / job->channels;
    size_t plane = (size_t)weft_index_at(job->batches, roi) * job->channels + n % job->channels;
    roi_box box = align_box(job, roi);
    for (size_t i = 0; i < job->out_height * job->out_width; i++) {
      double value = align_bin(job, &box, plane, i / job->out_width, i % job->out_width);
      weft_number_set(job->out->type, job->out->data, n * job->out_height * job->out_width + i, value);
    }
  }
}

weft_status weft_roi_align_run(weft_op *op) {
  roi_job job = make_job(op);
  job.half_pixel = strcmp(weft_op_attr_string(op, "coordinate_transformation_mode", "half_pixel"), "half_pixel") == 0;
  job.max = strcmp(weft_op_attr_string(op, "mode", "avg"), "max") == 0;
  job.sampling = weft_op_attr_int(op, "sampling_ratio", 0);
  if (job.sampling > 1 << 12) {
    return weft_op_unsupported(op, "sampling_ratio %lld", (long long)job.sampling);
  }
  for (size_t i = 0; i < job.batches->count; i++) {
    int64_t batch = weft_index_at(job.batches, i);
    if (batch < 0 || batch >= job.in->shape.dims[0]) {
      return weft_op_run_fail(op, "input batch_indices: element %zu is %lld, expected a value in [0, %lld]", i,
                              (long long)batch, (long long)job.in->shape.dims[0] - 1);
    }
  }
  if (job.height == 0 || job.width == 0) {
    memset(job.out->data, 0, job.out->count * weft_type_size(job.out->type));
    return WEFT_OK;
  }
  weft_parallel(op->cx, job.batches->count * job.channels, 4, align_planes, &job);
  return WEFT_OK;
}

/* ---- MaxRoiPool
 * ------------------------------------------------------------------------------------------------------------- */
weft_status weft_max_roi_pool_infer(weft_op *op) {
  size_t count;
  const int64_t *pooled = weft_op_attr_ints(op, "pooled_shape", &count);
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(expect_rois(op, 5));
  if (count != 2) {
    return weft_op_fail(op, "pooled_shape: expected height and width, found %zu numbers", count);
  }
  return set_rois(op, pooled[0], pooled[1]);
}

/* The part of an axis that bin `i` of `bins` covers, kept within the image. */
static void pool_range(double begin, double end, size_t i, size_t bins, size_t size, size_t *first, size_t *last) {
  double length = fmax(end - begin + 1, 1) / (double)bins;
  double low = begin + floor((double)i * length), high = begin + ceil((double)(i + 1) * length);
  *first = (size_t)fmin(fmax(low, 0), (double)size);
  *last = (size_t)fmin(fmax(high, 0), (double)size);
}

static void pool_plane(const roi_job *job, size_t roi, size_t plane, size_t to) {
  double box[4];
  for (size_t i = 0; i < 4; i++) {
    box[i] = floor(roi_at(job, roi, i + 1) * job->scale + 0.5);
  }
  for (size_t i = 0; i < job->out_height * job->out_width; i++) {
    size_t top, bottom, left, right;
    pool_range(box[1], box[3], i / job->out_width, job->out_height, job->height, &top, &bottom);
    pool_range(box[0], box[2], i % job->out_width, job->out_width, job->width, &left, &right);
    double most = top < bottom && left < right ? -INFINITY : 0;
    for (size_t y = top; y < bottom; y++) {
      for (size_t x = left; x < right; x++) {
        most = fmax(most, weft_number_at(job->in->type, job->in->data, (plane * job->height + y) * job->width + x));
      }
    }
    weft_number_set(job->out->type, job->out->data, to + i, most);
  }
}

weft_status weft_max_roi_pool_run(weft_op *op) {
  roi_job job = make_job(op);
  size_t rois = (size_t)job.rois->shape.dims[0];
  for (size_t roi = 0; roi < rois; roi++) {
    double batch = roi_at(&job, roi, 0);
    if (!(batch >= 0 && batch < (double)job.in->shape.dims[0])) {
      return weft_op_run_fail(op, "input rois: row %zu does not name one of %lld images", roi,
                              (long long)job.in->shape.dims[0]);
    }
    for (size_t c = 0; c < job.channels; c++) {
      pool_plane(&job, roi, (size_t)batch * job.channels + c,
                 (roi * job.channels + c) * job.out_height * job.out_width);
    }
  }
  return WEFT_OK;
}

/* ---- NonMaxSuppression
 * ------------------------------------------------------------------------------------------------------- */
typedef struct nms_job {
  const float *boxes, *scores; /* of one batch, one class */
  size_t count;
  int64_t most;
  double overlap, least;
  bool center;
  int64_t *order, *spare;
} nms_job;

static weft_status check_boxes(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 5));
  WEFT_TRY(weft_op_expect_type(op, 0, "boxes", WEFT_TYPE_BIT(WEFT_FLOAT)));
  WEFT_TRY(weft_op_expect_type(op, 1, "scores", WEFT_TYPE_BIT(WEFT_FLOAT)));
  WEFT_TRY(weft_op_expect_rank(op, 0, "boxes", 3, 3));
  WEFT_TRY(weft_op_expect_rank(op, 1, "scores", 3, 3));
  const int64_t *boxes = weft_op_in(op, 0)->shape.dims, *scores = weft_op_in(op, 1)->shape.dims;
  if (boxes[2] != 4 || boxes[0] != scores[0] || boxes[1] != scores[2]) {
    char a[96], b[96];
    return weft_op_fail(op, "boxes of shape %s and scores of shape %s do not go together",
                        weft_shape_print(&weft_op_in(op, 0)->shape, a, sizeof a),
                        weft_shape_print(&weft_op_in(op, 1)->shape, b, sizeof b));
  }
  return WEFT_OK;
}

/* Both ends of a box along axis 0 or 1, in order. */
static void box_range(const nms_job *job, const float *box, int axis, float *low, float *high) {
  if (job->center) { /* x, y, width, height */
    *low = box[axis] - box[axis + 2] / 2;
    *high = box[axis] + box[axis + 2] / 2;
  } else {
    *low = fminf(box[axis], box[axis + 2]);
    *high = fmaxf(box[axis], box[axis + 2]);
  }
}

static bool overlaps(const nms_job *job, int64_t a, int64_t b) {
  float low_a[2], high_a[2], low_b[2], high_b[2], common = 1;
  for (int axis = 0; axis < 2; axis++) {
    box_range(job, job->boxes + 4 * a, axis, &low_a[axis], &high_a[axis]);
    box_range(job, job->boxes + 4 * b, axis, &low_b[axis], &high_b[axis]);
    float length = fminf(high_a[axis], high_b[axis]) - fmaxf(low_a[axis], low_b[axis]);
    common *= length > 0 ? length : 0;
  }
  float area_a = (high_a[0] - low_a[0]) * (high_a[1] - low_a[1]),
        area_b = (high_b[0] - low_b[0]) * (high_b[1] - low_b[1]);
  float together = area_a + area_b - common;
  return area_a > 0 && area_b > 0 && together > 0 && common / together > (float)job->overlap;
}

static int compare_scores(const void *arg, int64_t a, int64_t b) {
  const float *scores = ((const nms_job *)arg)->scores;
  return scores[a] > scores[b] ? -1 : scores[a] < scores[b];
}

/* Selects boxes of one class; they end up first in job->order. Returns how many. */
static size_t select_boxes(nms_job *job) {
  size_t kept = 0;
  weft_order(job->count, compare_scores, job, job->order, job->spare);
  for (size_t i = 0; i < job->count && (int64_t)kept < job->most; i++) {
    int64_t box = job->order[i];
    bool keep = (double)job->scores[box] > job->least;
    for (size_t k = 0; k < kept && keep; k++) {
      keep = !overlaps(job, job->order[k], box);
    }
    if (keep) {
      job->order[kept++] = box; /* kept never passes i */
    }
  }
  return kept;
}

typedef struct selection {
  void *rows; /* int64 triples */
  size_t count, capacity;
} selection;

static weft_status select_all(weft_op *op, nms_job *job, selection *out) {
  const int64_t *dims = weft_op_in(op, 1)->shape.dims;
  for (int64_t n = 0; n < dims[0] * dims[1]; n++) {
    int64_t batch = n / dims[1];
    job->boxes = (const float *)weft_op_in(op, 0)->data + batch * dims[2] * 4;
    job->scores = (const float *)weft_op_in(op, 1)->data + n * dims[2];
    size_t kept = select_boxes(job);
    WEFT_TRY(weft_grow(op->cx, &out->rows, &out->capacity, out->count + kept, 3 * sizeof(int64_t)));
    for (size_t k = 0; k < kept; k++) {
      int64_t row[3] = {batch, n % dims[1], job->order[k]};
      memcpy((int64_t *)out->rows + 3 * out->count++, row, sizeof row);
    }
  }
  weft_shape shape = {2, {(int64_t)out->count, 3}};
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_INT64, &shape));
  if (out->count > 0) {
    memcpy(weft_op_out(op, 0)->data, out->rows, out->count * 3 * sizeof(int64_t));
  }
  return WEFT_OK;
}

weft_status weft_non_max_suppression_run(weft_op *op) {
  nms_job job = {.center = weft_op_attr_int(op, "center_point_box", 0) != 0};
  selection selected = {NULL, 0, 0};
  void *block;
  WEFT_TRY(check_boxes(op));
  WEFT_TRY(weft_op_scalar_int(op, 2, "max_output_boxes_per_class", 0, &job.most));
  WEFT_TRY(weft_op_scalar_float(op, 3, "iou_threshold", 0, &job.overlap));
  WEFT_TRY(weft_op_scalar_float(op, 4, "score_threshold", -INFINITY, &job.least));
  if (!(job.overlap >= 0 && job.overlap <= 1)) {
    return weft_op_run_fail(op, "input iou_threshold: expected a value in [0, 1]");
  }
  job.count = (size_t)weft_op_in(op, 1)->shape.dims[2];
  WEFT_TRY(weft_op_scratch(op, 2 * job.count * sizeof(int64_t), &block));
  job.order = block;
  job.spare = job.order + job.count;
  weft_status status = select_all(op, &job, &selected);
  weft_free(selected.rows);
  return status;
}
