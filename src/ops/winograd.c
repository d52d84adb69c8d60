/* Convolution with 3 x 3 filters as 16 or 36 products of matrices over channels (kernels.h).
 *
 * Transforms take 16 / 9 or 4 times the memory of filters, and making them takes no longer than reading them: so they
 * are made at every run, for some filters and channels at a time. Outputs are cut into blocks of tiles. Either a
 * thread makes a block, or, where blocks are few and filters many, all threads make one block after the other, each
 * its share of the filters; every element is the same sum in either way.
 *
 * It must not know operators but for the attributes that rule the method out. */
#include "winograd.h"

#include "product.h"

enum {
  LEAST_CHANNELS = 16, /* with fewer, the transforms cost what the products save */
  CHANNELS = 128,      /* whose transformed filters are there at a time, */
  FILTERS = 32,        /* and of so many filters */
  AT_ONCE = 32,        /* groups of tiles of a block */
  GROUPS = 4,          /* of tiles whose inputs are one task where a block is shared */
  LEAST_TASKS = 4,     /* for threads to share */
  APART = 16           /* floats between matrices: at powers of two they would share the lines of a cache */
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

static size_t whole_panels(size_t columns) {
  return weft_parts(columns, WEFT_GEMM_NR) * WEFT_GEMM_NR;
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

/* ---- a convolution -------------------------------------------------------------------------- */
typedef struct job {
  const weft_winograd *w;
  size_t outputs, products;
  size_t groups, at_once, blocks;  /* of an image; groups of a block; blocks of an image */
  size_t channels, channel_blocks; /* channels of a block */
  size_t filters, filter_blocks;   /* filters of a block */
  size_t matrix;                   /* floats of one product's transformed inputs, of a block of channels */
  size_t input_floats;             /* [channel blocks][products][matrix] */
  size_t slot_floats;
  bool shared; /* all threads make one block after the other */
  float *scratch;
} job;

/* Some groups of tiles, and their transformed inputs. */
typedef struct block {
  const job *job;
  size_t image, begin, end;
  float *inputs;
} block;

static block block_at(const job *job, size_t index, float *inputs) {
  const size_t begin = index % job->blocks * job->at_once;
  return (block){.job = job,
                 .image = index / job->blocks,
                 .begin = begin,
                 .end = weft_smaller(begin + job->at_once, job->groups),
                 .inputs = inputs};
}

static size_t channels_of(const job *job, size_t index) {
  return weft_smaller(job->channels, job->w->patches.channels - index * job->channels);
}

static size_t tasks_of_inputs(const block *b) {
  return weft_parts(b->end - b->begin, GROUPS) * b->job->channel_blocks;
}

static void transform_inputs(void *arg, size_t begin, size_t end) {
  const block *b = arg;
  const job *job = b->job;
  for (size_t task = begin; task < end; task++) {
    const size_t index = task % job->channel_blocks, part = task / job->channel_blocks * GROUPS;
    const size_t channels = channels_of(job, index);
    weft_patches patches = job->w->patches;
    patches.in += (b->image * patches.channels + index * job->channels) * patches.ih * patches.iw;
    patches.channels = channels;
    float *to = b->inputs + index * job->products * job->matrix;
    job->w->kernels->winograd_input(job->outputs, &patches, b->begin + part,
                                    weft_smaller(b->begin + part + GROUPS, b->end),
                                    to + part * WEFT_WINOGRAD_GROUP * channels, job->matrix);
  }
}

/* A block of filters meets all transformed inputs. */
static void run_filters(const block *b, size_t first, float *scratch) {
  const job *job = b->job;
  const weft_winograd *w = job->w;
  const size_t filters = weft_smaller(job->filters, w->filters - first);
  const size_t all_channels = w->patches.channels, plane = w->oh * w->patches.ow;
  const size_t tiles = whole_panels((b->end - b->begin) * WEFT_WINOGRAD_GROUP), stride = filters * tiles + APART;
  float *products = scratch, *transformed = scratch + job->products * stride;
  for (size_t index = 0; index < job->channel_blocks; index++) {
    const size_t channels = channels_of(job, index), size = filters * channels + APART;
    const float *inputs = b->inputs + index * job->products * job->matrix;
    w->kernels->winograd_filters(job->outputs, filters, channels,
                                 w->weights + (first * all_channels + index * job->channels) * 9, all_channels * 9,
                                 transformed, size);
    for (size_t i = 0; i < job->products; i++) {
      w->kernels->gemm_f32(filters, tiles, channels, transformed + i * size, channels, inputs + i * job->matrix,
                           channels * WEFT_GEMM_NR, products + i * stride, tiles, index > 0, NULL);
    }
  }
  for (size_t i = 0; i < filters; i++) {
    const size_t at = (b->image * w->filters + first + i) * plane;
    w->kernels->winograd_output(job->outputs, products + i * tiles, stride, b->begin, b->end,
                                w->bias != NULL ? w->bias[first + i] : 0, w->residual != NULL ? w->residual + at : NULL,
                                w->epilogue.activation, w->epilogue.lo, w->epilogue.hi, w->y + at, w->oh,
                                w->patches.ow);
  }
}

/* Of the one block that all threads make. */
static void share_filters(void *arg, uint32_t slot, size_t begin, size_t end) {
  const block *b = arg;
  for (size_t task = begin; task < end; task++) {
    run_filters(b, task * b->job->filters, b->job->scratch + slot * b->job->slot_floats);
  }
}

static void run_blocks(void *arg, uint32_t slot, size_t begin, size_t end) {
  const job *job = arg;
  float *inputs = job->scratch + slot * job->slot_floats, *scratch = inputs + job->input_floats;
  for (size_t task = begin; task < end; task++) {
    block b = block_at(job, task, inputs);
    transform_inputs(&b, 0, tasks_of_inputs(&b));
    for (size_t first = 0; first < job->w->filters; first += job->filters) {
      run_filters(&b, first, scratch);
    }
  }
}

/* Parts of `most` at most, in multiples of `unit` and as many for each thread. */
static size_t share_of(size_t count, size_t most, size_t unit, size_t threads) {
  const size_t parts = weft_parts(weft_parts(count, most), threads) * threads;
  return weft_smaller(weft_parts(weft_parts(count, parts), unit) * unit, most);
}

static job plan(const weft_winograd *w, size_t threads) {
  const size_t channels = w->patches.channels;
  job job = {.w = w, .outputs = best_outputs(w->oh, w->patches.ow)};
  job.products = weft_winograd_products(job.outputs);
  job.groups = weft_winograd_groups(job.outputs, w->oh, w->patches.ow);
  job.channels = weft_smaller(channels, CHANNELS);
  job.channel_blocks = weft_parts(channels, job.channels);
  job.shared = w->filters > FILTERS * (LEAST_TASKS - 1) || w->images * weft_parts(job.groups, AT_ONCE) < LEAST_TASKS;
  const size_t unit = WEFT_GEMM_NR / WEFT_WINOGRAD_GROUP;
  job.at_once = share_of(job.groups, AT_ONCE, unit, job.shared || w->images > 1 ? 1 : threads);
  job.blocks = weft_parts(job.groups, job.at_once);
  job.filters = share_of(w->filters, FILTERS, 4, job.shared ? threads : 1);
  job.filter_blocks = weft_parts(w->filters, job.filters);
  const size_t tiles = whole_panels(job.at_once * WEFT_WINOGRAD_GROUP);
  job.matrix = tiles * job.channels + APART;
  job.input_floats = job.channel_blocks * job.products * job.matrix;
  job.slot_floats = job.products * (job.filters * (tiles + job.channels) + 2 * APART);
  return job;
}

weft_status weft_winograd_run(weft_op *op, const weft_winograd *w) {
  const size_t threads = weft_parallel_threads(op->cx);
  job job = plan(w, threads);
  const size_t blocks = w->images * job.blocks;
  job.slot_floats += job.shared ? 0 : job.input_floats;
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, threads * job.slot_floats, sizeof(float), &room));
  job.scratch = room;
  if (!job.shared) {
    weft_parallel_slots(op->cx, blocks, 1, run_blocks, &job);
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch_array(op, job.input_floats, sizeof(float), &room));
  for (size_t i = 0; i < blocks; i++) {
    block b = block_at(&job, i, room);
    weft_parallel(op->cx, tasks_of_inputs(&b), 1, transform_inputs, &b);
    weft_parallel_slots(op->cx, job.filter_blocks, 1, share_filters, &b);
  }
  return WEFT_OK;
}
