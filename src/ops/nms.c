/* NonMaxSuppression: of boxes that overlap, the one with the highest score. Scores come out of a heap one after
 * another, since far fewer boxes are kept than there are. */
#include "../kernels/typed.h"
#include "op.h"
#include "product.h"

#include <math.h>
#include <string.h>

typedef struct nms_job {
  const float *scores; /* of one batch, one class */
  size_t count;
  int64_t most;
  double overlap, least;
  bool center;
  const float *boxes; /* of one batch */
  float *kept;        /* count times five: those kept so far, for weft_typed_overlaps */
  uint64_t *heap;     /* of those not looked at yet */
  int64_t *order;     /* the numbers of those kept */
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

/* Low ends, high ends and the area. Few boxes are ever asked for. */
static void read_box(const nms_job *job, size_t number, float out[5]) {
  const float *box = job->boxes + 4 * number;
  box_range(job, box, 0, out, out + 2);
  box_range(job, box, 1, out + 1, out + 3);
  out[4] = (out[2] - out[0]) * (out[3] - out[1]);
}

/* Greater for higher scores and, where they are equal, for lower numbers. */
static uint64_t key_of(float score, size_t number) {
  uint32_t bits;
  score += 0.0F; /* no -0 */
  memcpy(&bits, &score, sizeof bits);
  bits ^= (bits & 0x80000000U) != 0 ? 0xffffffffU : 0x80000000U;
  return (uint64_t)bits << 32 | (0xffffffffU - (uint32_t)number);
}

static void sink(uint64_t *heap, size_t count, size_t at) {
  const uint64_t key = heap[at];
  for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
    child += child + 1 < count && heap[child + 1] > heap[child];
    if (heap[child] <= key) {
      break;
    }
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = key;
}

/* Selects boxes of one class; their numbers end up first in job->order. Returns how many. */
static size_t select_boxes(nms_job *job) {
  size_t left = 0, kept = 0;
  for (size_t i = 0; i < job->count; i++) {
    if ((double)job->scores[i] > job->least) {
      job->heap[left++] = key_of(job->scores[i], i);
    }
  }
  for (size_t i = left / 2; i-- > 0;) {
    sink(job->heap, left, i);
  }
  while (left > 0 && (int64_t)kept < job->most) {
    size_t number = 0xffffffffU - (uint32_t)job->heap[0];
    job->heap[0] = job->heap[--left];
    if (left > 0) {
      sink(job->heap, left, 0);
    }
    float box[5];
    read_box(job, number, box);
    if (weft_typed_overlaps(kept, job->kept, job->count, box, (float)job->overlap)) {
      continue;
    }
    for (size_t k = 0; k < 5; k++) {
      job->kept[k * job->count + kept] = box[k];
    }
    job->order[kept++] = (int64_t)number;
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
  if (job.count > UINT32_MAX) {
    return weft_op_unsupported(op, "%zu boxes", job.count);
  }
  WEFT_TRY(weft_op_scratch_array(op, job.count, 2 * sizeof(int64_t) + 5 * sizeof(float), &block));
  job.order = block;
  job.heap = (uint64_t *)(job.order + job.count);
  job.kept = (float *)(job.heap + job.count);
  weft_status status = select_all(op, &job, &selected);
  weft_free(selected.rows);
  return status;
}
