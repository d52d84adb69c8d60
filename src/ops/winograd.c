/* Convolution with 3 x 3 filters as 16 or 36 products of matrices over channels (kernels.h). Outputs are cut into
 * blocks whose transforms stay in the second-level cache; a block's inputs are transformed, multiplied and transformed
 * back by one thread. The cut depends on the shape alone. It must not know operators but for the attributes that rule
 * the method out. */
#include "winograd.h"

#include "product.h"

enum {
  LEAST_CHANNELS = 16, /* with fewer, the transforms cost what the products save */
  /* Channels x filters up to which tiles of 4 x 4 and of 2 x 2 outputs are taken: the transforms take 4 and 16 / 9
   * times the filters' memory, and larger layers have small images. */
  MOST_WEIGHTS_4 = 32768,
  MOST_WEIGHTS_2 = 131072,
  BLOCK_FLOATS = 131072, /* of a block's transforms */
  LEAST_TILES = 16,
  MOST_TILES = 128,
  APART = 16 /* floats between matrices: at powers of two they would share the lines of a cache */
};

typedef struct job {
  const weft_winograd *w;
  size_t outputs;               /* of a tile's row */
  size_t groups, block, blocks; /* of one image; groups of a block */
  size_t slot_floats, packed;   /* floats of a thread's scratch; of these, the transformed inputs */
  float *scratch;
} job;

static bool all_ones(const weft_op *op, const char *name) {
  size_t count = 0;
  const int64_t *values = weft_op_attr_ints(op, name, &count);
  for (size_t i = 0; i < count; i++) {
    if (values[i] != 1) return false;
  }
  return true;
}

static size_t tile_outputs(size_t filters, size_t channels) {
  return filters * channels <= MOST_WEIGHTS_4 ? 4 : 2;
}

weft_status weft_winograd_prepare(weft_op *op, int index) {
  const weft_tensor *w = weft_op_in(op, index);
  if (!weft_op_is_constant(op, index) || w->type != WEFT_FLOAT || w->shape.rank != 4) {
    return WEFT_OK;
  }
  const int64_t *dims = w->shape.dims;
  if (dims[2] != 3 || dims[3] != 3 || dims[0] < LEAST_CHANNELS || dims[1] < LEAST_CHANNELS ||
      dims[0] > MOST_WEIGHTS_2 || dims[1] > MOST_WEIGHTS_2 / dims[0] || weft_op_attr_int(op, "group", 1) != 1 ||
      !all_ones(op, "strides") || !all_ones(op, "dilations")) {
    return WEFT_OK;
  }
  void *state = NULL;
  size_t filters = (size_t)dims[0], channels = (size_t)dims[1], outputs = tile_outputs(filters, channels);
  WEFT_TRY(weft_op_state(op, weft_winograd_products(outputs) * filters * channels * sizeof(float), &state));
  weft_winograd_weights(outputs, filters, channels, w->data, state);
  weft_op_drop_constant(op, index);
  return WEFT_OK;
}

static size_t whole_panels(size_t columns) {
  return (columns + WEFT_GEMM_NR - 1) / WEFT_GEMM_NR * WEFT_GEMM_NR;
}

static void run_block(const job *job, size_t image, size_t begin, size_t end, float *scratch) {
  const weft_winograd *w = job->w;
  const weft_kernels *kernels = w->kernels;
  const size_t channels = w->patches.channels, plane = w->oh * w->patches.ow;
  const size_t tiles = whole_panels((end - begin) * WEFT_WINOGRAD_GROUP);
  const size_t matrix = weft_gemm_packed_size(tiles, channels) + APART, stride = w->filters * tiles + APART;
  float *products = scratch + job->packed;
  weft_patches patches = w->patches;
  patches.in += image * channels * patches.ih * patches.iw;
  kernels->winograd_input(job->outputs, &patches, begin, end, scratch, matrix);
  for (size_t i = 0; i < weft_winograd_products(job->outputs); i++) {
    kernels->gemm_f32(w->filters, tiles, channels, w->weights + i * w->filters * channels, channels,
                      scratch + i * matrix, products + i * stride, tiles, false, NULL);
  }
  for (size_t filter = 0; filter < w->filters; filter++) {
    size_t at = (image * w->filters + filter) * plane;
    kernels->winograd_output(job->outputs, products + filter * tiles, stride, begin, end,
                             w->bias != NULL ? w->bias[filter] : 0, w->residual != NULL ? w->residual + at : NULL,
                             w->epilogue.activation, w->epilogue.lo, w->epilogue.hi, w->y + at, w->oh, w->patches.ow);
  }
}

static void run_blocks(void *arg, uint32_t slot, size_t begin, size_t end) {
  const job *job = arg;
  for (size_t task = begin; task < end; task++) {
    size_t first = task % job->blocks * job->block;
    size_t last = first + job->block < job->groups ? first + job->block : job->groups;
    run_block(job, task / job->blocks, first, last, job->scratch + slot * job->slot_floats);
  }
}

weft_status weft_winograd_run(weft_op *op, const weft_winograd *convolution) {
  const weft_winograd *w = convolution;
  const size_t channels = w->patches.channels, outputs = tile_outputs(w->filters, channels);
  const size_t products = weft_winograd_products(outputs);
  size_t tiles = BLOCK_FLOATS / products / (channels + w->filters);
  tiles = tiles < LEAST_TILES ? LEAST_TILES : tiles > MOST_TILES ? MOST_TILES : tiles / WEFT_GEMM_NR * WEFT_GEMM_NR;
  job job = {.w = w,
             .outputs = outputs,
             .groups = weft_winograd_groups(outputs, w->oh, w->patches.ow),
             .block = tiles / WEFT_WINOGRAD_GROUP};
  job.blocks = (job.groups + job.block - 1) / job.block;
  job.packed = products * (weft_gemm_packed_size(tiles, channels) + APART);
  job.slot_floats = job.packed + products * (w->filters * tiles + APART);
  void *scratch = NULL;
  WEFT_TRY(weft_op_scratch_array(op, weft_parallel_threads(op->cx) * job.slot_floats, sizeof(float), &scratch));
  job.scratch = scratch;
  weft_parallel_slots(op->cx, w->images * job.blocks, 1, run_blocks, &job);
  return WEFT_OK;
}
