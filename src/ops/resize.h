/* Resize's parameters and the tables that resize_table.c makes of them for resize.c. */
#ifndef WEFT_OPS_RESIZE_H
#define WEFT_OPS_RESIZE_H

#include "op.h"

typedef enum weft_resize_mode { WEFT_RESIZE_NEAREST, WEFT_RESIZE_LINEAR, WEFT_RESIZE_CUBIC } weft_resize_mode;

typedef enum weft_resize_coordinates {
  WEFT_RESIZE_HALF_PIXEL,
  WEFT_RESIZE_HALF_PIXEL_SYMMETRIC,
  WEFT_RESIZE_PYTORCH_HALF_PIXEL,
  WEFT_RESIZE_ALIGN_CORNERS,
  WEFT_RESIZE_ASYMMETRIC,
  WEFT_RESIZE_CROP,                /* tf_crop_and_resize */
  WEFT_RESIZE_TF_HALF_PIXEL_FOR_NN /* of opset 11 */
} weft_resize_coordinates;

typedef enum weft_resize_round {
  WEFT_ROUND_PREFER_FLOOR,
  WEFT_ROUND_PREFER_CEIL,
  WEFT_ROUND_FLOOR,
  WEFT_ROUND_CEIL,
  WEFT_ROUND_OUTWARD /* of opset 10: ceil along an axis that becomes smaller, else floor */
} weft_resize_round;

typedef struct weft_resize_axis {
  int64_t in, out;
  double scale;
  double length; /* scale * in: `out` before it was rounded */
  double roi_begin, roi_end;
} weft_resize_axis;

typedef struct weft_resize {
  weft_resize_mode mode;
  weft_resize_coordinates coordinates;
  weft_resize_round round;
  bool antialias, exclude_outside;
  double cubic_a;
  weft_resize_axis axes[WEFT_MAX_RANK];
} weft_resize;

/* For each output place `taps` input places and weights; all NULL for an axis that stays as it is. */
typedef struct weft_resize_table {
  size_t taps;
  int64_t *places;
  double *weights;
  bool *outside; /* crop only: the place lies outside of the input */
} weft_resize_table;

/* Reads attributes and the roi, scales and sizes inputs; WEFT_DEFERRED when those are not known. */
weft_status weft_resize_read(weft_op *op, weft_resize *out);
/* In run: the table of one axis, in scratch memory. */
weft_status weft_resize_make_table(weft_op *op, const weft_resize *r, int axis, weft_resize_table *out);

#endif
