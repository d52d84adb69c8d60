/* TopK and Unique: elements in order. Numbers are compared by keys that order every type alike; equal ones keep the
 * order of their positions. */
#include "../base/convert.h"
#include "../kernels/typed.h"
#include "number.h"
#include "op.h"
#include "order.h"

#include <string.h>

/* ---- TopK -------------------------------------------------------------------------------------------------------- */
weft_status weft_top_k_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "X", WEFT_TYPES_NUMERIC));
  WEFT_TRY(weft_op_expect_type(op, 1, "K", WEFT_TYPE_BIT(WEFT_INT64)));
  const weft_tensor *in = weft_op_in(op, 0);
  weft_shape shape = in->shape;
  int axis;
  int64_t k;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", -1), shape.rank, &axis));
  WEFT_TRY(weft_op_scalar_int(op, 1, "K", 0, &k));
  if (k < 0 || k > shape.dims[axis]) {
    return weft_op_fail(op, "input K: expected a value in [0, %lld], the size of axis %d, found %lld",
                        (long long)shape.dims[axis], axis, (long long)k);
  }
  shape.dims[axis] = k;
  WEFT_TRY(weft_op_set(op, 0, in->type, &shape));
  return weft_op_set(op, 1, WEFT_INT64, &shape);
}

typedef struct ranked {
  uint64_t key; /* smaller is better */
  int64_t place;
} ranked;

static bool is_worse(const ranked *a, const ranked *b) {
  return a->key != b->key ? a->key > b->key : a->place > b->place;
}

/* Restores the heap, whose worst element is on top, below `at`. */
static void sift_down(ranked *heap, size_t count, size_t at) {
  ranked moved = heap[at];
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    child += child + 1 < count && is_worse(&heap[child + 1], &heap[child]);
    if (!is_worse(&heap[child], &moved)) {
      break;
    }
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

/* Keys of n elements of any type, less for what is better. */
static void load_keys(const weft_tensor *in, size_t begin, size_t step, size_t n, bool largest, uint64_t *keys) {
  const bool whole = weft_type_is_integer(in->type);
  const uint64_t sign = whole && weft_type_is_signed(in->type) ? (uint64_t)1 << 63 : 0;
  const uint64_t turned = largest ? ~sign : sign;
  if (whole) {
    weft_load_int64(in->type, in->data, begin, step, n, (int64_t *)keys);
  }
  for (size_t i = 0; !whole && i < n; i++) {
    keys[i] = weft_number_key(in->type, in->data, begin + i * step);
  }
  for (size_t i = 0; i < n; i++) {
    keys[i] ^= turned;
  }
}

/* The best k of a line of elements of any type but float, in order: a heap of the best so far, then unheaped from its
 * worst. */
static void rank_line(const weft_tensor *in, size_t begin, size_t step, size_t count, size_t k, bool largest,
                      ranked *heap) {
  uint64_t keys[WEFT_BLOCK];
  size_t held = 0;
  for (size_t i = 0; i < count; i++) {
    if (i % WEFT_BLOCK == 0) {
      const size_t n = count - i < WEFT_BLOCK ? count - i : WEFT_BLOCK;
      load_keys(in, begin + i * step, step, n, largest, keys);
    }
    const uint64_t key = keys[i % WEFT_BLOCK];
    if (held < k) {
      heap[held++] = (ranked){key, (int64_t)i};
      for (size_t at = held / 2; held == k && at-- > 0;) {
        sift_down(heap, k, at);
      }
    } else if (key < heap[0].key) { /* of equals the first is better */
      heap[0] = (ranked){key, (int64_t)i};
      sift_down(heap, k, 0);
    }
  }
  for (size_t left = k; left > 1; left--) {
    ranked worst = heap[0];
    heap[0] = heap[left - 1];
    sift_down(heap, left - 1, 0);
    heap[left - 1] = worst;
  }
}

enum { RANK_ROOM = WEFT_TYPED_TOP_ROOM * sizeof(uint64_t) }; /* not less than a ranked */

typedef struct top_k {
  const weft_kernels *kernels;
  const weft_tensor *in;
  char *values; /* or NULL, as this */
  int64_t *places;
  size_t k, dim, inner;
  bool largest;
  char *scratch; /* room for k ranks for each slot */
} top_k;

static void run_lines(void *arg, uint32_t slot, size_t begin, size_t end) {
  const top_k *t = arg;
  const size_t k = t->k, inner = t->inner, size = weft_type_size(t->in->type);
  const bool floats = t->in->type == WEFT_FLOAT && t->dim < UINT32_MAX;
  char *room = t->scratch + slot * k * RANK_ROOM;
  ranked *heap = (ranked *)(void *)room;
  uint64_t *ranks = (uint64_t *)(void *)room;
  for (size_t line = begin; line < end; line++) {
    const size_t from = line / inner * t->dim * inner + line % inner, to = line / inner * k * inner + line % inner;
    const char *in = (const char *)t->in->data + from * size;
    if (floats && k == 1 && t->largest && inner == 1) {
      const float *row = (const float *)(const void *)in;
      ranks[0] = weft_typed_find(t->dim, row, t->kernels->max_f32(t->dim, row), false);
    } else if (floats) {
      weft_typed_top(t->dim, (const float *)(const void *)in, inner, k, !t->largest, ranks);
    } else {
      rank_line(t->in, from, inner, t->dim, k, t->largest, heap);
    }
    for (size_t i = 0; i < k; i++) {
      const size_t place = floats ? ranks[i] & UINT32_MAX : (size_t)heap[i].place;
      if (t->values != NULL) {
        memcpy(t->values + (to + i * inner) * size, in + place * inner * size, size);
      }
      if (t->places != NULL) {
        t->places[to + i * inner] = (int64_t)place;
      }
    }
  }
}

weft_status weft_top_k_run(weft_op *op) {
  const weft_tensor *in = weft_op_in(op, 0), *values = weft_op_out(op, 0), *places = weft_op_out(op, 1);
  int axis;
  int64_t wanted;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", -1), in->shape.rank, &axis));
  WEFT_TRY(weft_op_scalar_int(op, 1, "K", 0, &wanted));
  const size_t lines = weft_shape_product(&in->shape, 0, axis);
  top_k t = {.kernels = op->cx->kernels,
             .in = in,
             .values = values != NULL ? values->data : NULL,
             .places = places != NULL ? places->data : NULL,
             .k = (size_t)wanted,
             .dim = (size_t)in->shape.dims[axis],
             .inner = weft_shape_product(&in->shape, axis + 1, in->shape.rank),
             .largest = weft_op_attr_int(op, "largest", 1) != 0};
  if (t.k == 0 || lines * t.inner == 0) {
    return WEFT_OK;
  }
  void *block;
  WEFT_TRY(weft_op_scratch_array(op, t.k, weft_parallel_threads(op->cx) * RANK_ROOM, &block));
  t.scratch = block;
  weft_parallel_slots(op->cx, lines * t.inner, 1 + 16384 / t.dim, run_lines, &t);
  return WEFT_OK;
}

/* ---- Unique ------------------------------------------------------------------------------------------------------ */
/* What is compared: slices of the input along an axis, or its elements as slices of one. */
typedef struct slices {
  const weft_tensor *in;
  size_t count, outer, inner;
  const uint64_t *keys; /* of elements that are numbers, else NULL */
} slices;

/* With keys only whether they differ. */
static int compare_slices(const void *arg, int64_t a, int64_t b) {
  const slices *s = arg;
  if (s->keys != NULL) {
    return s->keys[a] != s->keys[b];
  }
  for (size_t n = 0; n < s->outer * s->inner; n++) {
    size_t base = n / s->inner * s->count * s->inner + n % s->inner;
    size_t i = base + (size_t)a * s->inner, j = base + (size_t)b * s->inner;
    int order = weft_compare_elements(s->in->type, s->in->data, i, s->in->data, j);
    if (order != 0) {
      return order;
    }
  }
  return 0;
}

/* Groups of equal slices: first[g], size[g] and group_of[slice], numbered in sorted order; returns how many. */
static size_t group_slices(const slices *s, const int64_t *order, int64_t *first, int64_t *size, int64_t *group_of) {
  size_t groups = 0;
  for (size_t i = 0; i < s->count; i++) {
    if (i == 0 || compare_slices(s, order[i - 1], order[i]) != 0) {
      first[groups] = order[i];
      size[groups++] = 0;
    }
    size[groups - 1]++;
    group_of[order[i]] = (int64_t)groups - 1;
  }
  return groups;
}

/* Renumbers the groups by where they first occur. `renamed` has room for one number a slice. */
static void order_by_first(size_t count, int64_t *first, int64_t *size, int64_t *group_of, int64_t *renamed,
                           int64_t *sizes) {
  int64_t next = 0;
  for (size_t i = 0; i < count; i++) {
    int64_t group = group_of[i];
    if (first[group] == (int64_t)i) {
      sizes[next] = size[group];
      renamed[group] = next++;
    }
  }
  for (size_t i = count; i-- > 0;) {
    group_of[i] = renamed[group_of[i]];
  }
  memcpy(size, sizes, (size_t)next * sizeof *size);
  for (size_t i = count; i-- > 0;) {
    first[group_of[i]] = (int64_t)i;
  }
}

static weft_status put_numbers(weft_op *op, int output, size_t count, const int64_t *numbers) {
  weft_shape shape = {1, {(int64_t)count}};
  WEFT_TRY(weft_op_allocate(op, output, WEFT_INT64, &shape));
  weft_tensor *out = weft_op_out(op, output);
  if (out != NULL) {
    memcpy(out->data, numbers, count * sizeof *numbers);
  }
  return WEFT_OK;
}

weft_status weft_unique_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(
      op, 0, "X", WEFT_TYPES_NUMERIC | WEFT_TYPES_COMPLEX | WEFT_TYPE_BIT(WEFT_BOOL) | WEFT_TYPE_BIT(WEFT_STRING)));
  const weft_tensor *in = weft_op_in(op, 0);
  bool flat = weft_node_attribute(op->node, "axis") == NULL;
  weft_shape shape = flat ? (weft_shape){1, {(int64_t)in->count}} : in->shape;
  int axis;
  WEFT_TRY(weft_op_axis(op, "axis", weft_op_attr_int(op, "axis", 0), shape.rank, &axis));
  slices s = {in, (size_t)shape.dims[axis], weft_shape_product(&shape, 0, axis),
              weft_shape_product(&shape, axis + 1, shape.rank), NULL};
  const bool numbers = (WEFT_TYPE_BIT(in->type) & (WEFT_TYPES_NUMERIC | WEFT_TYPE_BIT(WEFT_BOOL))) != 0;
  int64_t *lists[6];
  for (int i = 0; i < 6; i++) {
    void *block;
    WEFT_TRY(weft_op_scratch_array(op, s.count, sizeof(int64_t), &block));
    lists[i] = block;
  }
  int64_t *order = lists[0], *spare = lists[1], *first = lists[2], *size = lists[3], *group_of = lists[4];
  if (numbers && s.outer * s.inner == 1) {
    uint64_t *keys = (uint64_t *)lists[5];
    for (size_t i = 0; i < s.count; i++) {
      keys[i] = weft_number_key(in->type, in->data, i);
    }
    s.keys = keys;
    weft_order_keys(s.count, keys, order, spare);
  } else {
    weft_order(s.count, compare_slices, &s, order, spare);
  }
  size_t groups = group_slices(&s, order, first, size, group_of);
  if (weft_op_attr_int(op, "sorted", 1) == 0) {
    order_by_first(s.count, first, size, group_of, spare, lists[5]);
  }
  shape.dims[axis] = (int64_t)groups;
  WEFT_TRY(weft_op_allocate(op, 0, in->type, &shape));
  weft_tensor *out = weft_op_out(op, 0);
  size_t block = s.inner * weft_type_size(in->type);
  for (size_t n = 0; out != NULL && n < s.outer * groups; n++) {
    memcpy((char *)out->data + n * block,
           (const char *)in->data + (n / groups * s.count + (size_t)first[n % groups]) * block, block);
  }
  WEFT_TRY(put_numbers(op, 1, groups, first));
  WEFT_TRY(put_numbers(op, 2, s.count, group_of));
  return put_numbers(op, 3, groups, size);
}
