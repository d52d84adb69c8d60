/* Convolution as 5 to 36 products of matrices over channels (kernels.h).
 *
 * Kernels know a few taps next to each other, in a plane. Larger filters are cut into pieces of so many taps, with
 * zeros beyond the last; a filter's planes are pieces, too: each meets its own input, and all add to the same products.
 * With strides every so many taps are pieces of their own: of 3 taps with a stride of 2 the first and the last meet even
 * elements, that in the middle odd ones. A piece that has fewer taps than its tile adds nothing to the product that
 * belongs to infinity. With dilations every so many rows and columns are a plane of the result of their own.
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
  CHANNELS = 64,       /* whose transformed filters are there at a time, */
  FILTERS = 64,        /* and of so many filters */
  AT_ONCE = 32 * 36,   /* products of a block's groups of tiles; with more pieces fewer, */
  LEAST_AT_ONCE = 8,   /* but so many groups */
  GROUPS = 4,          /* of tiles whose inputs are one task where a block is shared */
  LEAST_TASKS = 4,     /* for threads to share */
  APART = 16           /* floats between matrices: at powers of two they would share the lines of a cache */
};

/* A dimension; a window of less than three has more of length 1. */
typedef struct axis {
  size_t in, out, taps, dilation, stride;
  int64_t pad;
  size_t phases, apart; /* of the result; taps of a piece: so that all of both are as far apart in the input */
} axis;

typedef struct space {
  axis z, y, x;
} space;

static axis axis_of(const weft_window *window, int from_last) {
  const int d = window->rank - 1 - from_last;
  if (d < 0) return (axis){1, 1, 1, 1, 1, 0, 1, 1};
  axis axis = {.in = (size_t)window->in[d],
               .out = (size_t)window->out[d],
               .taps = (size_t)window->kernel[d],
               .dilation = window->kernel[d] == 1 ? 1 : (size_t)window->dilation[d],
               .stride = (size_t)window->stride[d],
               .pad = window->pad_begin[d]};
  size_t common = axis.stride, rest = axis.dilation;
  while (rest != 0) {
    const size_t next = common % rest;
    common = rest;
    rest = next;
  }
  axis.phases = axis.dilation / common;
  axis.apart = axis.stride / common;
  return axis;
}

static space space_of(const weft_window *window) {
  return (space){axis_of(window, 2), axis_of(window, 1), axis_of(window, 0)};
}

/* Of a plane of the result, at most. */
static size_t grid_of(const axis *a) {
  return weft_parts(a->out, a->phases);
}

/* Taps along an axis, so many from `first` on, and every axis.apart-th. */
typedef struct piece {
  size_t first, taps;
} piece;

/* The piece of a number, or where that is their count, one without taps. */
static piece piece_at(const axis *a, weft_winograd_line line, size_t index) {
  for (size_t phase = 0; phase < a->apart && phase < a->taps; phase++) {
    const size_t taps = weft_parts(a->taps - phase, a->apart), pieces = weft_parts(taps, line.taps);
    if (index < pieces) {
      const size_t before = index * line.taps;
      return (piece){phase + before * a->apart, weft_smaller(taps - before, line.taps)};
    }
    index -= pieces;
  }
  return (piece){0, 0};
}

/* Pieces along an axis, and their products. */
static size_t pieces_of(const axis *a, weft_winograd_line line, size_t *products) {
  size_t count = 0;
  *products = 0;
  for (size_t taps; (taps = piece_at(a, line, count).taps) > 0; count++) {
    *products += weft_winograd_side(line) - (taps < line.taps);
  }
  return count;
}

/* How long so many columns of a product take, in multiplications of vectors. */
static double vectors_of(size_t columns) {
  return (double)(weft_parts(columns, WEFT_GEMM_NR) * (WEFT_GEMM_NR / 4));
}

/* How long a filter's plane and a channel take: directly, or with such tiles. For each product making an element of a
 * filter takes one and a half, and making one of a tile's inputs, or results of it, three, for all filters or channels.
 */
static double direct_cost(const space *s) {
  const size_t plane = s->y.out * s->x.out;
  return (double)(s->y.taps * s->x.taps) * (plane % WEFT_GEMM_NR == 1 ? (double)plane / 4 : vectors_of(plane));
}

static double cost_of(const weft_winograd *w, const space *s, weft_winograd_tile tile) {
  size_t rows, columns;
  const size_t pieces = pieces_of(&s->y, tile.rows, &rows) * pieces_of(&s->x, tile.columns, &columns);
  const double products = (double)(rows * columns), phases = (double)(s->y.phases * s->x.phases);
  const size_t tiles = weft_winograd_tiles(tile, grid_of(&s->y), grid_of(&s->x));
  const double transforms = 3 * (double)pieces / (double)w->filters + 3 / (double)w->channels;
  return products * (phases * vectors_of(tiles) + 1.5) +
         phases * (double)(tiles * weft_winograd_products(tile)) * transforms;
}

/* False if no tile pays. */
static bool best_tile(const weft_winograd *w, const space *s, weft_winograd_tile *best) {
  static const weft_winograd_tile tiles[] = {{{4, 3}, {4, 3}}, {{2, 3}, {2, 3}}, {{4, 2}, {4, 2}},
                                             {{1, 1}, {4, 3}}, {{1, 1}, {4, 2}}, {{4, 3}, {1, 1}}};
  double least = direct_cost(s) / 16 * 15;
  bool pays = false;
  for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
    if ((s->y.taps == 1) != (tiles[i].rows.taps == 1) || (s->x.taps == 1) != (tiles[i].columns.taps == 1)) continue;
    const double cost = cost_of(w, s, tiles[i]);
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
  if (s.z.taps > MOST_TAPS || s.y.phases > s.y.out || s.x.phases > s.x.out || s.y.taps > MOST_TAPS ||
      s.x.taps > MOST_TAPS || !best_tile(w, &s, &tile)) {
    return false;
  }
  size_t products;
  const size_t pieces = s.z.taps * pieces_of(&s.y, tile.rows, &products) * pieces_of(&s.x, tile.columns, &products);
  return pieces == 1 || (w->channels <= MOST_TERMS && pieces * w->channels <= MOST_TERMS);
}

/* ---- a convolution -------------------------------------------------------------------------- */
typedef struct job {
  const weft_winograd *w;
  space space;
  weft_winograd_tile tile;
  size_t products;
  size_t rows, columns, pieces; /* pieces of a filter: along an axis, and of all planes */
  size_t tiles, groups;         /* of a plane of the result: one image, one place in depth, one phase of dilations; */
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
  const size_t plane = begin / job->groups, phases = s->y.phases * s->x.phases, phase = plane % phases;
  const size_t first = begin % job->groups;
  return (part){.image = plane / phases / s->z.out,
                .z = plane / phases % s->z.out,
                .row = phase / s->x.phases,
                .column = phase % s->x.phases,
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

static piece row_piece(const job *job, size_t piece) {
  return piece_at(&job->space.y, job->tile.rows, piece / job->columns % job->rows);
}

static piece column_piece(const job *job, size_t piece) {
  return piece_at(&job->space.x, job->tile.columns, piece % job->columns);
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
  const size_t row = row_piece(job, piece).first * s->y.dilation,
               column = column_piece(job, piece).first * s->x.dilation;
  const weft_patches patches = {
      .in = job->w->x + ((part->image * job->w->groups * job->w->channels + channel) * s->z.in + plane) * area,
      .channels = channels,
      .ih = s->y.in,
      .iw = s->x.in,
      .dilation_h = s->y.dilation * s->y.apart,
      .dilation_w = s->x.dilation * s->x.apart,
      .pad_top = s->y.pad - (int64_t)(part->row * s->y.stride + row),
      .pad_left = s->x.pad - (int64_t)(part->column * s->x.stride + column),
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

/* The taps of a piece of some filters and channels. */
static weft_winograd_taps taps_of(const job *job, size_t piece, size_t filter, size_t filters, size_t channel,
                                  size_t channels) {
  const space *s = &job->space;
  const struct piece row = row_piece(job, piece), column = column_piece(job, piece);
  const size_t plane = s->y.taps * s->x.taps, each = s->z.taps * plane;
  return (weft_winograd_taps){.first = job->w->weights + (filter * job->w->channels + channel) * each +
                                       piece / (job->rows * job->columns) * plane + row.first * s->x.taps +
                                       column.first,
                              .filters = filters,
                              .channels = channels,
                              .rows = row.taps,
                              .columns = column.taps,
                              .filter_step = job->w->channels * each,
                              .channel_step = each,
                              .row_step = s->y.apart * s->x.taps,
                              .column_step = s->x.apart};
}

/* A filter's results of a block. */
static void put_results(const block *b, size_t filter, const float *products, size_t stride) {
  const job *job = b->job;
  const weft_winograd *w = job->w;
  const axis *y = &job->space.y, *x = &job->space.x;
  weft_winograd_result result = {.ow = grid_of(x),
                                 .row_step = x->out * y->phases,
                                 .step = x->phases,
                                 .bias = w->bias != NULL ? w->bias[filter] : 0,
                                 .activation = w->epilogue.activation,
                                 .lo = w->epilogue.lo,
                                 .hi = w->epilogue.hi};
  for (size_t at = b->begin; at < b->end;) {
    const part part = part_at(job, at, b->end);
    const size_t to = ((part.image * w->groups * w->filters + filter) * job->space.z.out + part.z) * y->out * x->out +
                      part.row * x->out + part.column;
    result.rows = weft_parts(y->out - part.row, y->phases);
    result.columns = weft_parts(x->out - part.column, x->phases);
    result.residual = w->residual != NULL ? w->residual + to : NULL;
    result.out = w->y + to;
    w->kernels->winograd_output(job->tile, products + (at - b->begin) * WEFT_WINOGRAD_GROUP, stride, part.begin,
                                part.end, &result);
    at += part.end - part.begin;
  }
}

/* Of a block's products: without those that lie behind a plane's last tile, where leaving them out saves time. */
static size_t columns_of(const block *b) {
  const job *job = b->job;
  const size_t all = (b->end - b->begin) * WEFT_WINOGRAD_GROUP;
  const size_t less = b->end % job->groups == 0 ? job->groups * WEFT_WINOGRAD_GROUP - job->tiles : 0;
  return (all - less) % WEFT_GEMM_NR == 1 ? all - less : all;
}

/* A block of filters meets all transformed inputs. */
static void run_filters(const block *b, size_t first, float *scratch) {
  const job *job = b->job;
  const weft_winograd *w = job->w;
  const size_t filters = weft_smaller(job->filters, w->filters - first);
  first += b->group * w->filters;
  const size_t tiles = (b->end - b->begin) * WEFT_WINOGRAD_GROUP, stride = filters * tiles + APART;
  const size_t side = weft_winograd_side(job->tile.columns), columns = columns_of(b);
  float *products = scratch, *transformed = scratch + job->products * stride;
  bool more = false;
  for (size_t index = 0; index < job->pieces * job->channel_blocks; index++) {
    const size_t piece = index / job->channel_blocks, part = index % job->channel_blocks;
    const size_t channels = channels_of(job, part), size = filters * channels + APART;
    const float *inputs = b->inputs + index * job->products * job->matrix;
    if (!is_met(b, piece)) continue;
    const weft_winograd_taps taps = taps_of(job, piece, first, filters, part * job->channels, channels);
    const bool few_rows = taps.rows < job->tile.rows.taps, few_columns = taps.columns < job->tile.columns.taps;
    w->kernels->winograd_filters(job->tile, &taps, transformed, size);
    for (size_t i = 0; i < job->products; i++) {
      if ((few_rows && i + side >= job->products) || (few_columns && i % side == side - 1)) {
        if (!more) memset(products + i * stride, 0, filters * tiles * sizeof *products);
        continue;
      }
      w->kernels->gemm_f32(filters, columns, channels, transformed + i * size, channels, inputs + i * job->matrix,
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
  best_tile(w, s, &job.tile);
  job.products = weft_winograd_products(job.tile);
  size_t products;
  job.rows = pieces_of(&s->y, job.tile.rows, &products);
  job.columns = pieces_of(&s->x, job.tile.columns, &products);
  job.pieces = s->z.taps * job.rows * job.columns;
  const size_t unit = WEFT_GEMM_NR / WEFT_WINOGRAD_GROUP;
  job.tiles = weft_winograd_tiles(job.tile, grid_of(&s->y), grid_of(&s->x));
  job.groups = weft_parts(job.tiles, WEFT_GEMM_NR) * unit;
  job.all_groups = w->images * s->z.out * s->y.phases * s->x.phases * job.groups;
  job.channels = weft_smaller(w->channels, CHANNELS);
  job.channel_blocks = weft_parts(w->channels, job.channels);
  const size_t room = AT_ONCE * 2 / (job.products * (job.pieces + 1)) / unit * unit;
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
  job.slot_floats = job.products * (job.filters * (tiles + job.channels) + 2 * APART);
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
