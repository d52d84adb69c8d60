/* Convolution with stride 1 as 6, 16 or 36 products of matrices over channels (kernels.h).
 *
 * Kernels know taps of 3 x 3, 1 x 3 or 3 x 1, next to each other, in a plane. Larger filters are cut into pieces of so
 * many taps, with zeros beyond the last; a filter's planes are pieces, too: each meets its own input, and all add to
 * the same products. With dilations every so many rows and columns are a plane of the result of their own.
 *
 * Transforms take 16 / 9, 2 or 4 times the memory of filters, and making them takes no longer than reading them: so
 * they are made at every run, for some filters and channels at a time. Outputs are cut into blocks of tiles. Either a
 * thread makes a block, or, where blocks are few and filters many, all threads make one block after the other, each
 * its share of the filters; every element is the same sum in either way. */
#include "winograd.h"

#include "product.h"

#include <string.h>

enum {
  LEAST_CHANNELS = 16, /* with fewer, the transforms cost what the products save */
  CHANNELS = 128,      /* whose transformed filters are there at a time, */
  FILTERS = 32,        /* and of so many filters */
  AT_ONCE = 32,        /* groups of tiles of a block, */
  LINES_AT_ONCE = 192, /* of 6 products instead of 36; as many fewer as there are pieces, */
  LEAST_AT_ONCE = 8,   /* but so many */
  GROUPS = 4,          /* of tiles whose inputs are one task where a block is shared */
  LEAST_TASKS = 4,     /* for threads to share */
  APART = 16,          /* floats between matrices: at powers of two they would share the lines of a cache */
  PIECE_TAPS = 9       /* at most */
};

/* A dimension; a window of less than three has more of length 1. */
typedef struct axis {
  size_t in, out, taps, dilation, stride;
  int64_t pad;
} axis;

typedef struct space {
  axis z, y, x;
} space;

static axis axis_of(const weft_window *window, int from_last) {
  const int d = window->rank - 1 - from_last;
  if (d < 0) return (axis){1, 1, 1, 1, 1, 0};
  return (axis){.in = (size_t)window->in[d],
                .out = (size_t)window->out[d],
                .taps = (size_t)window->kernel[d],
                .dilation = window->kernel[d] == 1 ? 1 : (size_t)window->dilation[d],
                .stride = (size_t)window->stride[d],
                .pad = window->pad_begin[d]};
}

static space space_of(const weft_window *window) {
  return (space){axis_of(window, 2), axis_of(window, 1), axis_of(window, 0)};
}

static size_t whole_panels(size_t columns) {
  return weft_parts(columns, WEFT_GEMM_NR) * WEFT_GEMM_NR;
}

/* Of the result, what one phase of a dilation makes at most. */
static size_t grid_of(const axis *a) {
  return weft_parts(a->out, a->dilation);
}

/* Along an axis. */
static size_t pieces_of(const axis *a, size_t outputs) {
  return weft_parts(a->taps, weft_winograd_taps(outputs));
}

/* How long a filter's plane and a channel take, in multiplications of vectors: directly, or with such tiles.
 * Transforming a filter takes as long as so many of its products. */
static uint64_t direct_cost(const space *s) {
  const uint64_t plane = s->y.out * s->x.out;
  return s->y.taps * s->x.taps * (plane % WEFT_GEMM_NR == 1 ? plane / 4 : whole_panels((size_t)plane) / 4);
}

static uint64_t cost_of(const space *s, weft_winograd_tile tile) {
  enum { FILTER_LINE = 12, FILTER_2 = 20, FILTER_4 = 50 };
  const size_t filter = tile.rows != tile.columns ? FILTER_LINE : tile.rows == 2 ? FILTER_2 : FILTER_4;
  const size_t tiles = weft_winograd_groups(tile, grid_of(&s->y), grid_of(&s->x)) * WEFT_WINOGRAD_GROUP;
  return (uint64_t)pieces_of(&s->y, tile.rows) * pieces_of(&s->x, tile.columns) *
         (s->y.dilation * s->x.dilation * weft_winograd_products(tile) * (whole_panels(tiles) / 4) + filter);
}

/* False if no tile pays. */
static bool best_tile(const space *s, weft_winograd_tile *best) {
  static const weft_winograd_tile plane[] = {{4, 4}, {2, 2}}, row[] = {{1, 4}}, column[] = {{4, 1}};
  const weft_winograd_tile *tiles = s->y.taps == 1 ? row : s->x.taps == 1 ? column : plane;
  const size_t count = tiles == plane ? 2 : 1;
  uint64_t least = direct_cost(s) / 8 * 7;
  bool pays = false;
  for (size_t i = 0; i < count; i++) {
    const uint64_t cost = cost_of(s, tiles[i]);
    if (cost < least) {
      least = cost;
      *best = tiles[i];
      pays = true;
    }
  }
  return pays;
}

bool weft_winograd_pays(const weft_winograd *w) {
  enum { MOST_TAPS = 64, MOST_TERMS = 4096 /* of a product, where there are pieces: all of its inputs wait */ };
  if (w->window->rank > 3 || w->filters < LEAST_CHANNELS || w->channels < LEAST_CHANNELS) return false;
  const space s = space_of(w->window);
  weft_winograd_tile tile;
  if (s.y.stride != 1 || s.x.stride != 1 || s.z.taps > MOST_TAPS || s.y.dilation > s.y.out || s.x.dilation > s.x.out ||
      s.y.taps > MOST_TAPS || s.x.taps > MOST_TAPS || !best_tile(&s, &tile)) {
    return false;
  }
  const size_t pieces = s.z.taps * pieces_of(&s.y, tile.rows) * pieces_of(&s.x, tile.columns);
  return pieces == 1 || (w->channels <= MOST_TERMS && pieces * w->channels <= MOST_TERMS);
}

/* ---- a convolution -------------------------------------------------------------------------- */
typedef struct job {
  const weft_winograd *w;
  space space;
  weft_winograd_tile tile;
  size_t products;
  size_t rows, columns, pieces; /* pieces of a filter: along an axis, and of all planes */
  size_t groups;                /* of a plane of the result: one image, one place in depth, one phase of dilations; */
  size_t all_groups;            /* whole panels of them, plane after plane */
  size_t at_once, blocks;       /* groups of a block */
  size_t channels, channel_blocks; /* channels of a block */
  size_t filters, filter_blocks;   /* filters of a block */
  size_t matrix;                   /* floats of one product's transformed inputs, of a block of channels */
  size_t input_floats;             /* [pieces][channel blocks][products][matrix] */
  size_t slot_floats;
  bool shared; /* all threads make one block after the other */
  float *scratch;
} job;

/* Some groups of tiles, and their transformed inputs. */
typedef struct block {
  const job *job;
  size_t group; /* of the convolution */
  size_t begin, end;
  float *inputs;
} block;

static block block_at(const job *job, size_t index, float *inputs) {
  const size_t begin = index % job->blocks * job->at_once;
  return (block){.job = job,
                 .group = index / job->blocks,
                 .begin = begin,
                 .end = weft_smaller(begin + job->at_once, job->all_groups),
                 .inputs = inputs};
}

/* What some groups have of one plane, whose first row and column are told. */
typedef struct part {
  size_t image, z, row, column;
  size_t begin, end;
} part;

static part part_at(const job *job, size_t begin, size_t end) {
  const space *s = &job->space;
  const size_t plane = begin / job->groups, phases = s->y.dilation * s->x.dilation, phase = plane % phases;
  const size_t first = begin % job->groups;
  return (part){.image = plane / phases / s->z.out,
                .z = plane / phases % s->z.out,
                .row = phase / s->x.dilation,
                .column = phase % s->x.dilation,
                .begin = first,
                .end = weft_smaller(first + end - begin, job->groups)};
}

static size_t channels_of(const job *job, size_t index) {
  return weft_smaller(job->channels, job->w->channels - index * job->channels);
}

/* The plane of the input that a piece's taps lie in; false outside. */
static bool plane_of(const job *job, const part *part, size_t piece, size_t *plane) {
  const axis *z = &job->space.z;
  const size_t tap = piece / (job->rows * job->columns);
  const int64_t at = (int64_t)(part->z * z->stride + tap * z->dilation) - z->pad;
  *plane = (size_t)at;
  return at >= 0 && (uint64_t)at < z->in;
}

/* Whether a piece has anything to add to a block. */
static bool is_met(const block *b, size_t piece) {
  for (size_t at = b->begin; at < b->end;) {
    const part part = part_at(b->job, at, b->end);
    size_t plane;
    if (plane_of(b->job, &part, piece, &plane)) return true;
    at += part.end - part.begin;
  }
  return false;
}

/* Of some channels, the first of which is told of all. */
static void transform_part(const job *job, const part *part, size_t piece, size_t channel, size_t channels, float *to) {
  const space *s = &job->space;
  const size_t area = s->y.in * s->x.in;
  size_t plane;
  if (!plane_of(job, part, piece, &plane)) {
    for (size_t i = 0; i < job->products; i++) {
      memset(to + i * job->matrix, 0, (part->end - part->begin) * WEFT_WINOGRAD_GROUP * channels * sizeof *to);
    }
    return;
  }
  const size_t row = piece / job->columns % job->rows * weft_winograd_taps(job->tile.rows);
  const size_t column = piece % job->columns * weft_winograd_taps(job->tile.columns);
  const weft_patches patches = {
      .in = job->w->x + ((part->image * job->w->groups * job->w->channels + channel) * s->z.in + plane) * area,
      .channels = channels,
      .ih = s->y.in,
      .iw = s->x.in,
      .dilation_h = s->y.dilation,
      .dilation_w = s->x.dilation,
      .pad_top = s->y.pad - (int64_t)(part->row + row * s->y.dilation),
      .pad_left = s->x.pad - (int64_t)(part->column + column * s->x.dilation),
      .ow = grid_of(&s->x)};
  job->w->kernels->winograd_input(job->tile, &patches, area * s->z.in, part->begin, part->end, to, job->matrix);
}

static size_t tasks_of_inputs(const block *b) {
  return weft_parts(b->end - b->begin, GROUPS) * b->job->channel_blocks * b->job->pieces;
}

static void transform_inputs(void *arg, size_t begin, size_t end) {
  const block *b = arg;
  const job *job = b->job;
  const size_t matrices = job->channel_blocks * job->pieces;
  for (size_t task = begin; task < end; task++) {
    const size_t index = task % job->channel_blocks, piece = task % matrices / job->channel_blocks;
    const size_t channels = channels_of(job, index), first = b->group * job->w->channels + index * job->channels;
    size_t at = b->begin + task / matrices * GROUPS;
    const size_t last = weft_smaller(at + GROUPS, b->end);
    float *inputs = b->inputs + task % matrices * job->products * job->matrix;
    while (is_met(b, piece) && at < last) {
      const part part = part_at(job, at, last);
      transform_part(job, &part, piece, first, channels, inputs + (at - b->begin) * WEFT_WINOGRAD_GROUP * channels);
      at += part.end - part.begin;
    }
  }
}

/* Whether filters have the taps of one piece, and may be read where they lie. */
static bool is_whole(const job *job) {
  const space *s = &job->space;
  return s->z.taps == 1 && s->y.taps == weft_winograd_taps(job->tile.rows) &&
         s->x.taps == weft_winograd_taps(job->tile.columns);
}

/* The taps of a piece of some filters and channels, `step` floats from a filter to the next; in `room`, unless filters
 * are whole. */
static const float *taps_of(const job *job, size_t piece, size_t filter, size_t filters, size_t channel,
                            size_t channels, size_t *step, float *room) {
  const space *s = &job->space;
  const size_t kh = weft_winograd_taps(job->tile.rows), kw = weft_winograd_taps(job->tile.columns);
  const size_t plane = s->y.taps * s->x.taps, each = s->z.taps * plane;
  const float *from = job->w->weights + (filter * job->w->channels + channel) * each;
  if (is_whole(job)) {
    *step = job->w->channels * each;
    return from;
  }
  const size_t row = piece / job->columns % job->rows * kh, column = piece % job->columns * kw;
  *step = channels * kh * kw;
  const size_t rows = weft_smaller(kh, s->y.taps - row), columns = weft_smaller(kw, s->x.taps - column);
  from += piece / (job->rows * job->columns) * plane + row * s->x.taps + column;
  memset(room, 0, filters * *step * sizeof *room);
  for (size_t i = 0; i < filters; i++, from += (job->w->channels - channels) * each) {
    for (size_t c = 0; c < channels; c++, from += each) {
      float *to = room + (i * channels + c) * kh * kw;
      for (size_t y = 0; y < rows; y++) {
        for (size_t x = 0; x < columns; x++) {
          to[y * kw + x] = from[y * s->x.taps + x];
        }
      }
    }
  }
  return room;
}

/* A filter's results of a block. */
static void put_results(const block *b, size_t filter, const float *products, size_t stride) {
  const job *job = b->job;
  const weft_winograd *w = job->w;
  const axis *y = &job->space.y, *x = &job->space.x;
  weft_winograd_result result = {.ow = grid_of(x),
                                 .row_step = x->out * y->dilation,
                                 .step = x->dilation,
                                 .bias = w->bias != NULL ? w->bias[filter] : 0,
                                 .activation = w->epilogue.activation,
                                 .lo = w->epilogue.lo,
                                 .hi = w->epilogue.hi};
  for (size_t at = b->begin; at < b->end;) {
    const part part = part_at(job, at, b->end);
    const size_t to = ((part.image * w->groups * w->filters + filter) * job->space.z.out + part.z) * y->out * x->out +
                      part.row * x->out + part.column;
    result.rows = weft_parts(y->out - part.row, y->dilation);
    result.columns = weft_parts(x->out - part.column, x->dilation);
    result.residual = w->residual != NULL ? w->residual + to : NULL;
    result.out = w->y + to;
    w->kernels->winograd_output(job->tile, products + (at - b->begin) * WEFT_WINOGRAD_GROUP, stride, part.begin,
                                part.end, &result);
    at += part.end - part.begin;
  }
}

/* A block of filters meets all transformed inputs. */
static void run_filters(const block *b, size_t first, float *scratch) {
  const job *job = b->job;
  const weft_winograd *w = job->w;
  const size_t filters = weft_smaller(job->filters, w->filters - first);
  first += b->group * w->filters;
  const size_t tiles = (b->end - b->begin) * WEFT_WINOGRAD_GROUP, stride = filters * tiles + APART;
  float *products = scratch, *transformed = scratch + job->products * stride;
  float *room = transformed + job->products * (job->filters * job->channels + APART);
  bool more = false;
  for (size_t index = 0; index < job->pieces * job->channel_blocks; index++) {
    const size_t piece = index / job->channel_blocks, part = index % job->channel_blocks;
    const size_t channels = channels_of(job, part), size = filters * channels + APART;
    const float *inputs = b->inputs + index * job->products * job->matrix;
    size_t step;
    if (!is_met(b, piece)) continue;
    const float *taps = taps_of(job, piece, first, filters, part * job->channels, channels, &step, room);
    w->kernels->winograd_filters(job->tile, filters, channels, taps, step, transformed, size);
    for (size_t i = 0; i < job->products; i++) {
      w->kernels->gemm_f32(filters, tiles, channels, transformed + i * size, channels, inputs + i * job->matrix,
                           channels * WEFT_GEMM_NR, products + i * stride, tiles, more, NULL);
    }
    more = true;
  }
  if (!more) memset(products, 0, job->products * stride * sizeof *products);
  for (size_t i = 0; i < filters; i++) {
    put_results(b, first + i, products + i * tiles, stride);
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
  float *scratch = job->scratch + slot * (job->slot_floats + job->input_floats), *inputs = scratch + job->slot_floats;
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
  job job = {.w = w, .space = space_of(w->window)};
  const space *s = &job.space;
  best_tile(s, &job.tile);
  job.products = weft_winograd_products(job.tile);
  job.rows = pieces_of(&s->y, job.tile.rows);
  job.columns = pieces_of(&s->x, job.tile.columns);
  job.pieces = s->z.taps * job.rows * job.columns;
  const size_t unit = WEFT_GEMM_NR / WEFT_WINOGRAD_GROUP;
  job.groups = weft_parts(weft_winograd_groups(job.tile, grid_of(&s->y), grid_of(&s->x)), unit) * unit;
  job.all_groups = w->images * s->z.out * s->y.dilation * s->x.dilation * job.groups;
  job.channels = weft_smaller(w->channels, CHANNELS);
  job.channel_blocks = weft_parts(w->channels, job.channels);
  const size_t room = (job.tile.rows == job.tile.columns ? AT_ONCE : LINES_AT_ONCE) / job.pieces / 2 * 2;
  const size_t most = room < LEAST_AT_ONCE ? LEAST_AT_ONCE : room;
  job.shared = w->groups * weft_parts(job.all_groups, most) < LEAST_TASKS ||
               (w->groups == 1 && w->filters > FILTERS * (LEAST_TASKS - 1));
  job.at_once = share_of(job.all_groups, most, unit, job.shared || w->groups > 1 ? 1 : threads);
  job.blocks = weft_parts(job.all_groups, job.at_once);
  job.filters = share_of(w->filters, FILTERS, 4, job.shared ? threads : 1);
  job.filter_blocks = weft_parts(w->filters, job.filters);
  const size_t tiles = job.at_once * WEFT_WINOGRAD_GROUP;
  job.matrix = tiles * job.channels + APART;
  job.input_floats = job.pieces * job.channel_blocks * job.products * job.matrix;
  const size_t taps = is_whole(&job) ? 0 : job.filters * job.channels * PIECE_TAPS;
  job.slot_floats = job.products * (job.filters * (tiles + job.channels) + 2 * APART) + taps;
  return job;
}

weft_status weft_winograd_run(weft_op *op, const weft_winograd *w) {
  const size_t threads = weft_parallel_threads(op->cx);
  job job = plan(w, threads);
  const size_t blocks = w->groups * job.blocks;
  void *room = NULL;
  WEFT_TRY(weft_op_scratch_array(op, threads * (job.slot_floats + (job.shared ? 0 : job.input_floats)), sizeof(float),
                                 &room));
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
