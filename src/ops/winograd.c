/* Convolution with 3 x 3 filters as 16 or 36 products of matrices over channels (kernels.h).
 *
 * Few filters are transformed once at load. Outputs are cut into blocks whose transforms stay in the second-level
 * cache; a block's inputs are transformed, multiplied and transformed back by one thread.
 *
 * Many filters would take 16 / 9 or 4 times their memory, which large layers cannot afford and their small images do
 * not reward: reading it takes as long as making it anew. They stay as they are and are transformed at every run, a
 * block of them at a time, which meets the transforms of all inputs.
 *
 * The cuts depend on the shape alone. It must not know operators but for the attributes that rule the method out. */
#include "winograd.h"

#include "product.h"

enum {
  LEAST_CHANNELS = 16,   /* with fewer, the transforms cost what the products save */
  MOST_KEPT = 32768,     /* channels x filters whose transforms are made at load */
  KEPT_OUTPUTS = 4,      /* of a row of their tiles */
  BLOCK_FLOATS = 131072, /* of a block's transforms */
  LEAST_TILES = 16,
  MOST_TILES = 128,
  APART = 16, /* floats between matrices: at powers of two they would share the lines of a cache */
  /* Filters that are transformed at every run: channels and filters of a block, tiles that a block meets, and groups of
   * tiles whose inputs are one task. */
  RUN_CHANNELS = 128,
  RUN_FILTERS = 32,
  RUN_TILES = 128,
  RUN_GROUPS = 8
};

static bool all_ones(const weft_op *op, const char *name) {
  size_t count = 0;
  const int64_t *values = weft_op_attr_ints(op, name, &count);
  for (size_t i = 0; i < count; i++) {
    if (values[i] != 1) return false;
  }
  return true;
}

static bool takes(const weft_op *op, const int64_t *filters) {
  return filters[2] == 3 && filters[3] == 3 && filters[0] >= LEAST_CHANNELS && filters[1] >= LEAST_CHANNELS &&
         weft_op_attr_int(op, "group", 1) == 1 && all_ones(op, "strides") && all_ones(op, "dilations");
}

weft_status weft_winograd_prepare(weft_op *op, int index) {
  const weft_tensor *w = weft_op_in(op, index);
  if (!weft_op_is_constant(op, index) || w->type != WEFT_FLOAT || w->shape.rank != 4) {
    return WEFT_OK;
  }
  const int64_t *dims = w->shape.dims;
  if (!takes(op, dims) || dims[0] > MOST_KEPT || dims[1] > MOST_KEPT / dims[0]) {
    return WEFT_OK;
  }
  void *state = NULL;
  size_t filters = (size_t)dims[0], channels = (size_t)dims[1];
  WEFT_TRY(weft_op_state(op, weft_winograd_products(KEPT_OUTPUTS) * filters * channels * sizeof(float), &state));
  op->cx->kernels->winograd_filters(KEPT_OUTPUTS, filters, channels, w->data, channels * 9, state, filters * channels);
  weft_op_drop_constant(op, index);
  return WEFT_OK;
}

static size_t whole_panels(size_t columns) {
  return (columns + WEFT_GEMM_NR - 1) / WEFT_GEMM_NR * WEFT_GEMM_NR;
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* How long a filter and a channel take, in multiplications of vectors: with tiles of so many outputs in a row, or
 * directly (0). Transforming a filter takes as long as so many of its products. */
static size_t cost_of(size_t outputs, size_t oh, size_t ow) {
  enum { FILTER_2 = 20, FILTER_4 = 50 };
  if (outputs == 0) {
    return 9 * (oh * ow % WEFT_GEMM_NR == 1 ? oh * ow / 4 : whole_panels(oh * ow) / 4);
  }
  size_t tiles = weft_winograd_groups(outputs, oh, ow) * WEFT_WINOGRAD_GROUP;
  return weft_winograd_products(outputs) * (whole_panels(tiles) / 4) + (outputs == 2 ? FILTER_2 : FILTER_4);
}

static size_t best_outputs(size_t oh, size_t ow) {
  size_t two = cost_of(2, oh, ow), four = cost_of(4, oh, ow), direct = cost_of(0, oh, ow) / 8 * 7;
  return four <= two && four < direct ? 4 : two < direct ? 2 : 0;
}

bool weft_winograd_pays(const weft_op *op, const weft_shape *filters, const int64_t *out) {
  enum { LARGEST_SIDE = 1 << 20 };
  return filters->rank == 4 && takes(op, filters->dims) && out[0] <= LARGEST_SIDE && out[1] <= LARGEST_SIDE &&
         best_outputs((size_t)out[0], (size_t)out[1]) != 0;
}

/* ---- filters transformed at load
 * -------------------------------------------------------------------------------------
 */
typedef struct job {
  const weft_winograd *w;
  size_t groups, block, blocks; /* of one image; groups of a block */
  size_t slot_floats, packed;   /* floats of a thread's scratch; of these, the transformed inputs */
  float *scratch;
} job;

static void run_block(const job *job, size_t image, size_t begin, size_t end, float *scratch) {
  const weft_winograd *w = job->w;
  const weft_kernels *kernels = w->kernels;
  const size_t channels = w->patches.channels, plane = w->oh * w->patches.ow;
  const size_t tiles = whole_panels((end - begin) * WEFT_WINOGRAD_GROUP);
  const size_t matrix = weft_gemm_packed_size(tiles, channels) + APART, stride = w->filters * tiles + APART;
  float *products = scratch + job->packed;
  weft_patches patches = w->patches;
  patches.in += image * channels * patches.ih * patches.iw;
  kernels->winograd_input(KEPT_OUTPUTS, &patches, begin, end, scratch, matrix);
  for (size_t i = 0; i < weft_winograd_products(KEPT_OUTPUTS); i++) {
    kernels->gemm_f32(w->filters, tiles, channels, w->weights + i * w->filters * channels, channels,
                      scratch + i * matrix, products + i * stride, tiles, false, NULL);
  }
  for (size_t filter = 0; filter < w->filters; filter++) {
    size_t at = (image * w->filters + filter) * plane;
    kernels->winograd_output(KEPT_OUTPUTS, products + filter * tiles, stride, begin, end,
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

static weft_status run_kept(weft_op *op, const weft_winograd *w) {
  const size_t channels = w->patches.channels, products = weft_winograd_products(KEPT_OUTPUTS);
  size_t tiles = BLOCK_FLOATS / products / (channels + w->filters);
  tiles = tiles < LEAST_TILES ? LEAST_TILES : tiles > MOST_TILES ? MOST_TILES : tiles / WEFT_GEMM_NR * WEFT_GEMM_NR;
  job job = {
      .w = w, .groups = weft_winograd_groups(KEPT_OUTPUTS, w->oh, w->patches.ow), .block = tiles / WEFT_WINOGRAD_GROUP};
  job.blocks = (job.groups + job.block - 1) / job.block;
  job.packed = products * (weft_gemm_packed_size(tiles, channels) + APART);
  job.slot_floats = job.packed + products * (w->filters * tiles + APART);
  void *scratch = NULL;
  WEFT_TRY(weft_op_scratch_array(op, weft_parallel_threads(op->cx) * job.slot_floats, sizeof(float), &scratch));
  job.scratch = scratch;
  weft_parallel_slots(op->cx, w->images * job.blocks, 1, run_blocks, &job);
  return WEFT_OK;
}

/* ---- filters transformed at every run
 * --------------------------------------------------------------------------------
 */
typedef struct run_job {
  const weft_winograd *w;
  size_t outputs, products;
  size_t image, begin, end;        /* what is at work: groups of an image */
  size_t channels, channel_blocks; /* channels of a block */
  size_t filters;                  /* of a block */
  size_t matrix;                   /* floats of one product's transformed inputs, of a block of channels */
  float *inputs;                   /* [channel blocks][products][matrix] */
  size_t slot_floats;
  float *scratch;
} run_job;

static size_t channels_of(const run_job *job, size_t block) {
  return smaller(job->channels, job->w->patches.channels - block * job->channels);
}

static size_t tasks_of_inputs(const run_job *job) {
  return (job->end - job->begin + RUN_GROUPS - 1) / RUN_GROUPS;
}

static void transform_inputs(void *arg, size_t begin, size_t end) {
  const run_job *job = arg;
  const size_t parts = tasks_of_inputs(job);
  for (size_t task = begin; task < end; task++) {
    const size_t block = task / parts, part = task % parts * RUN_GROUPS, channels = channels_of(job, block);
    weft_patches patches = job->w->patches;
    patches.in += (job->image * patches.channels + block * job->channels) * patches.ih * patches.iw;
    patches.channels = channels;
    float *to = job->inputs + block * job->products * job->matrix;
    job->w->kernels->winograd_input(job->outputs, &patches, job->begin + part,
                                    smaller(job->begin + part + RUN_GROUPS, job->end),
                                    to + part * WEFT_WINOGRAD_GROUP * channels, job->matrix);
  }
}

/* A block of filters meets all transformed inputs. */
static void run_filters(const run_job *job, size_t first, size_t filters, float *scratch) {
  const weft_winograd *w = job->w;
  const size_t all_channels = w->patches.channels, plane = w->oh * w->patches.ow;
  const size_t tiles = whole_panels((job->end - job->begin) * WEFT_WINOGRAD_GROUP), stride = filters * tiles + APART;
  float *products = scratch, *transformed = scratch + job->products * stride;
  for (size_t block = 0; block < job->channel_blocks; block++) {
    const size_t channels = channels_of(job, block), size = filters * channels + APART;
    const float *inputs = job->inputs + block * job->products * job->matrix;
    w->kernels->winograd_filters(job->outputs, filters, channels,
                                 w->weights + (first * all_channels + block * job->channels) * 9, all_channels * 9,
                                 transformed, size);
    for (size_t i = 0; i < job->products; i++) {
      w->kernels->gemm_f32(filters, tiles, channels, transformed + i * size, channels, inputs + i * job->matrix,
                           products + i * stride, tiles, block > 0, NULL);
    }
  }
  for (size_t i = 0; i < filters; i++) {
    const size_t at = (job->image * w->filters + first + i) * plane;
    w->kernels->winograd_output(job->outputs, products + i * tiles, stride, job->begin, job->end,
                                w->bias != NULL ? w->bias[first + i] : 0, w->residual != NULL ? w->residual + at : NULL,
                                w->epilogue.activation, w->epilogue.lo, w->epilogue.hi, w->y + at, w->oh,
                                w->patches.ow);
  }
}

static void run_filter_blocks(void *arg, uint32_t slot, size_t begin, size_t end) {
  const run_job *job = arg;
  for (size_t task = begin; task < end; task++) {
    const size_t first = task * job->filters;
    run_filters(job, first, smaller(job->filters, job->w->filters - first), job->scratch + slot * job->slot_floats);
  }
}

static weft_status run_transforming(weft_op *op, const weft_winograd *w) {
  const size_t channels = w->patches.channels, outputs = best_outputs(w->oh, w->patches.ow);
  const size_t groups = weft_winograd_groups(outputs, w->oh, w->patches.ow);
  const size_t at_once = smaller(groups, RUN_TILES / WEFT_WINOGRAD_GROUP);
  const size_t tiles = whole_panels(at_once * WEFT_WINOGRAD_GROUP);
  run_job job = {.w = w,
                 .outputs = outputs,
                 .products = weft_winograd_products(outputs),
                 .channels = smaller(channels, RUN_CHANNELS),
                 .filters = smaller(w->filters, RUN_FILTERS)};
  job.channel_blocks = (channels + job.channels - 1) / job.channels;
  job.matrix = tiles * job.channels + APART;
  job.slot_floats = job.products * (job.filters * (tiles + job.channels) + 2 * APART);
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, job.channel_blocks * job.products * job.matrix, sizeof(float), &room));
  job.inputs = room;
  WEFT_TRY(weft_op_scratch_array(op, weft_parallel_threads(op->cx) * job.slot_floats, sizeof(float), &room));
  job.scratch = room;
  for (job.image = 0; job.image < w->images; job.image++) {
    for (job.begin = 0; job.begin < groups; job.begin = job.end) {
      job.end = smaller(job.begin + at_once, groups);
      weft_parallel(op->cx, job.channel_blocks * tasks_of_inputs(&job), 1, transform_inputs, &job);
      weft_parallel_slots(op->cx, (w->filters + job.filters - 1) / job.filters, 1, run_filter_blocks, &job);
    }
  }
  return WEFT_OK;
}

weft_status weft_winograd_run(weft_op *op, const weft_winograd *convolution) {
  return convolution->transformed ? run_kept(op, convolution) : run_transforming(op, convolution);
}
