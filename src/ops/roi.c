/* RoiAlign, MaxRoiPool: boxes in images. Formulas are those of the specification; RoiAlign follows
 * He et al., "Mask R-CNN" (2017), MaxRoiPool Girshick, "Fast R-CNN" (2015). */
#include "../kernels/sample.h"
#include "index.h"
#include "number.h"
#include "product.h"

#include <math.h>
#include <string.h>

typedef struct roi_job {
  const weft_tensor *in, *rois, *batches;
  weft_tensor *out;
  size_t channels, height, width, out_height, out_width;
  double scale;
  int64_t sampling;
  bool half_pixel, max;
  weft_sample *samples; /* RoiAlign: of one box, for each thread */
  size_t samples_size;
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

/* ---- RoiAlign ---------------------------------------------------------------------------------------------------- */
static weft_status read_align(const weft_op *op, int *max, int *half_pixel) {
  WEFT_TRY(weft_op_choice(op, "mode", "avg max", 0, max));
  return weft_op_choice(op, "coordinate_transformation_mode", "output_half_pixel half_pixel", 1, half_pixel);
}

weft_status weft_roi_align_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 3, 3));
  WEFT_TRY(expect_rois(op, 4));
  WEFT_TRY(weft_op_expect_type(op, 2, "batch_indices", WEFT_TYPES_INDEX));
  WEFT_TRY(weft_op_expect_rank(op, 2, "batch_indices", 1, 1));
  int max, half_pixel;
  WEFT_TRY(read_align(op, &max, &half_pixel));
  if (weft_op_in(op, 2)->count != (size_t)weft_op_in(op, 1)->shape.dims[0]) {
    return weft_op_fail(op, "input batch_indices: expected one for each of %lld rois, found %zu",
                        (long long)weft_op_in(op, 1)->shape.dims[0], weft_op_in(op, 2)->count);
  }
  return set_rois(op, weft_op_attr_int(op, "output_height", 1), weft_op_attr_int(op, "output_width", 1));
}

static weft_sample place_sample(double x, size_t size, size_t pitch) {
  if (!(x >= -1 && x <= (double)size)) {
    return (weft_sample){.inside = false};
  }
  x = x < 0 ? 0 : x;
  size_t low = (size_t)x >= size - 1 ? size - 1 : (size_t)x, high = low + 1 < size ? low + 1 : low;
  double part = low == size - 1 ? 0 : x - (double)low;
  return (weft_sample){
      .inside = true, .low = low * pitch, .high = high * pitch, .low_weight = 1 - part, .high_weight = part};
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

/* The samples of all bins along one axis. */
static void place_samples(double begin, double bin, size_t bins, int64_t each, size_t size, size_t pitch,
                          weft_sample *out) {
  for (size_t i = 0; i < bins; i++) {
    for (int64_t j = 0; j < each; j++) {
      *out++ = place_sample(begin + ((double)i + ((double)j + 0.5) / (double)each) * bin, size, pitch);
    }
  }
}

static inline double pixel(const roi_job *job, size_t at) {
  return job->in->type == WEFT_FLOAT ? ((const float *)job->in->data)[at]
                                     : weft_number_at(job->in->type, job->in->data, at);
}

/* The four pixels around a place, each times its weight. */
static inline void weighted_corners(const roi_job *job, size_t plane, const weft_sample *y, const weft_sample *x,
                                    double *corners) {
  corners[0] = y->low_weight * x->low_weight * pixel(job, plane + y->low + x->low);
  corners[1] = y->low_weight * x->high_weight * pixel(job, plane + y->low + x->high);
  corners[2] = y->high_weight * x->low_weight * pixel(job, plane + y->high + x->low);
  corners[3] = y->high_weight * x->high_weight * pixel(job, plane + y->high + x->high);
}

/* The mean of all samples; in mode max the largest weighted pixel, not the largest interpolated value: so the operator
 * is specified by its tests. */
static double align_bin(const roi_job *job, const roi_box *box, size_t plane, const weft_sample *y,
                        const weft_sample *x) {
  double result = job->max ? -INFINITY : 0, count = fmax((double)(box->rows * box->columns), 1);
  for (int64_t i = 0; i < box->rows; i++) {
    for (int64_t j = 0; j < box->columns; j++) {
      double corners[4] = {0};
      if (y[i].inside && x[j].inside) {
        weighted_corners(job, plane, &y[i], &x[j], corners);
      }
      for (int c = 0; c < 4; c++) {
        result = !job->max ? result + corners[c] : corners[c] > result ? corners[c] : result;
      }
    }
  }
  return job->max ? (box->rows * box->columns > 0 ? result : 0) : result / count;
}

/* Planes of the output; those of one box share its samples. */
static void align_planes(void *arg, uint32_t slot, size_t begin, size_t end) {
  const roi_job *job = arg;
  weft_sample *y = job->samples + slot * job->samples_size, *x;
  roi_box box = {0};
  const size_t pitch = job->height * job->width;
  for (size_t n = begin, count = 1; n < end; n += count) {
    size_t roi = n / job->channels, to = n * job->out_height * job->out_width;
    if (n == begin || n % job->channels == 0) {
      box = align_box(job, roi);
      place_samples(box.y, box.bin_height, job->out_height, box.rows, job->height, job->width, y);
    }
    x = y + job->out_height * (size_t)box.rows;
    if (n == begin || n % job->channels == 0) {
      place_samples(box.x, box.bin_width, job->out_width, box.columns, job->width, 1, x);
    }
    size_t plane = ((size_t)weft_index_at(job->batches, roi) * job->channels + n % job->channels) * pitch;
    if (job->in->type == WEFT_FLOAT && !job->max) {
      const weft_bins bins = {job->out_height, job->out_width, (size_t)box.rows, (size_t)box.columns, y, x};
      count = weft_smaller(job->channels - n % job->channels, end - n);
      count = weft_sample_bins(&bins, count, (const float *)job->in->data + plane, pitch, (float *)job->out->data + to);
      continue;
    }
    for (size_t i = 0; i < job->out_height * job->out_width; i++) {
      size_t row = i / job->out_width, column = i % job->out_width;
      double value = align_bin(job, &box, plane, y + row * (size_t)box.rows, x + column * (size_t)box.columns);
      weft_number_set(job->out->type, job->out->data, to + i, value);
    }
  }
}

/* The most samples that a box has along both axes together. */
static weft_status make_samples(weft_op *op, roi_job *job) {
  size_t size = 0;
  for (size_t roi = 0; roi < job->batches->count; roi++) {
    roi_box box = align_box(job, roi);
    size_t down = 0, across = 0;
    if (!weft_mul(job->out_height, (size_t)box.rows, &down) ||
        !weft_mul(job->out_width, (size_t)box.columns, &across) || !weft_add(down, across, &across)) {
      return weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "a box has more samples than can be addressed");
    }
    size = across > size ? across : size;
  }
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, size, weft_parallel_threads(op->cx) * sizeof(weft_sample), &room));
  job->samples = room;
  job->samples_size = size;
  return WEFT_OK;
}

weft_status weft_roi_align_run(weft_op *op) {
  roi_job job = make_job(op);
  int max, half_pixel;
  WEFT_TRY(read_align(op, &max, &half_pixel));
  job.max = max != 0;
  job.half_pixel = half_pixel != 0;
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
  WEFT_TRY(make_samples(op, &job));
  weft_parallel_slots(op->cx, job.batches->count * job.channels, 4, align_planes, &job);
  return WEFT_OK;
}

/* ---- MaxRoiPool -------------------------------------------------------------------------------------------------- */
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

/* The greatest of `most` and n elements; NaN are passed over. */
static double greatest(const weft_tensor *in, size_t at, size_t n, double most) {
  const float *x = (const float *)in->data + at;
  float of_floats = (float)most;
  if (in->type == WEFT_FLOAT) {
    for (size_t i = 0; i < n; i++) {
      of_floats = x[i] > of_floats ? x[i] : of_floats;
    }
    return (double)of_floats;
  }
  for (size_t i = 0; i < n; i++) {
    most = fmax(most, weft_number_at(in->type, in->data, at + i));
  }
  return most;
}

/* One bin of all channels; of an image's, `plane` is the first. */
static void pool_bins(const roi_job *job, size_t roi, size_t plane, size_t i) {
  double box[4];
  size_t top, bottom, left, right;
  for (size_t b = 0; b < 4; b++) {
    box[b] = floor(roi_at(job, roi, b + 1) * job->scale + 0.5);
  }
  pool_range(box[1], box[3], i / job->out_width, job->out_height, job->height, &top, &bottom);
  pool_range(box[0], box[2], i % job->out_width, job->out_width, job->width, &left, &right);
  for (size_t c = 0; c < job->channels; c++) {
    double most = top < bottom && left < right ? -INFINITY : 0;
    for (size_t y = top; left < right && y < bottom; y++) {
      most = greatest(job->in, ((plane + c) * job->height + y) * job->width + left, right - left, most);
    }
    weft_number_set(job->out->type, job->out->data, (roi * job->channels + c) * job->out_height * job->out_width + i,
                    most);
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
    for (size_t i = 0; i < job.out_height * job.out_width; i++) {
      pool_bins(&job, roi, (size_t)batch * job.channels, i);
    }
  }
  return WEFT_OK;
}
