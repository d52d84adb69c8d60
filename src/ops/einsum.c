/* Einsum. The equation becomes a table: how far each operand moves when a label's index grows by one (0: the label
 * is not there), so diagonals and broadcast ellipses need no case of their own. Two operands are laid out as
 * [batch, rows, sums] and [batch, sums, columns] and multiplied as matrices, several two by two; everything else, and
 * integers of less than 32 bits, are summed in loops over the table. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../kernels/typed.h"
#include "broadcast.h"
#include "product.h"
#include "strided.h"

#include <string.h>

enum { OPERANDS = 16, LETTERS = 52, LABELS = LETTERS + WEFT_MAX_RANK };

typedef struct einsum {
  weft_type type; /* of products: float for narrower floats too */
  int operands, out_rank, sum_rank;
  uint8_t out[WEFT_MAX_RANK], sums[LABELS]; /* labels in order */
  bool present[LABELS];
  size_t size[LABELS];
  size_t stride[OPERANDS][LABELS];
} einsum;

/* 'A'..'Z' are 0..25, 'a'..'z' 26..51: the order of implicit outputs; ellipsis dimensions follow. -1: not a letter. */
static int label_of(char c) {
  return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

/* The labels of one term, which ends at a comma, an arrow or the end. An ellipsis stands for `dots` dimensions. */
static weft_status read_term(weft_op *op, const char **text, int dots, uint8_t *labels, int *count) {
  const char *p = *text;
  bool seen = false;
  *count = 0;
  for (; *p != 0 && *p != ',' && *p != '-'; p++) {
    int label = label_of(*p), many = 1;
    if (*p == ' ') {
      continue;
    }
    if (strncmp(p, "...", 3) == 0 && !seen) {
      seen = true;
      many = dots < 0 ? 0 : dots;
      label = LABELS - many;
      p += 2;
    }
    if (label < 0 || *count + many > WEFT_MAX_RANK) {
      return weft_op_fail(op, "attribute equation: unexpected '%s'", p);
    }
    for (int i = 0; i < many; i++) {
      labels[(*count)++] = (uint8_t)(label + i);
    }
  }
  *text = p;
  return WEFT_OK;
}

/* Letters of a term, without its ellipsis. */
static int count_letters(const char *p) {
  int count = 0;
  for (; *p != 0 && *p != ',' && *p != '-'; p++) {
    count += label_of(*p) >= 0;
  }
  return count;
}

/* Enters operand k, whose dimensions have these labels. */
static weft_status enter(weft_op *op, einsum *e, int k, const uint8_t *labels, int count) {
  const weft_shape *shape = &weft_op_in(op, k)->shape;
  char text[96];
  if (count != shape->rank) {
    return weft_op_fail(op, "attribute equation: term %d has %d dimensions, the input's shape is %s", k, count,
                        weft_shape_print(shape, text, sizeof text));
  }
  for (int d = 0; d < count; d++) {
    size_t dim = (size_t)shape->dims[d], *size = &e->size[labels[d]];
    if (!e->present[labels[d]] || *size == 1) {
      *size = dim;
    } else if (dim != 1 && dim != *size) {
      return weft_op_fail(op, "input %d: dimension %d is %zu where an earlier one of its label is %zu", k, d, dim,
                          *size);
    }
    e->present[labels[d]] = true;
    e->stride[k][labels[d]] += dim == 1 ? 0 : weft_shape_product(shape, d + 1, shape->rank);
  }
  return WEFT_OK;
}

typedef struct reader {
  const char *text;
  int times[LABELS]; /* how often a letter occurs */
  int dots;          /* dimensions of the ellipsis */
} reader;

static weft_status read_inputs(weft_op *op, einsum *e, reader *r) {
  uint8_t labels[WEFT_MAX_RANK];
  int count;
  for (int k = 0;; k++) {
    if (k == e->operands) {
      return weft_op_fail(op, "attribute equation: more terms than the %d inputs", e->operands);
    }
    int beyond = weft_op_in(op, k)->shape.rank - count_letters(r->text);
    WEFT_TRY(read_term(op, &r->text, beyond, labels, &count));
    WEFT_TRY(enter(op, e, k, labels, count));
    for (int d = 0; d < count; d++) {
      bool letter = labels[d] < LETTERS;
      r->times[labels[d]] += letter;
      r->dots = !letter && LABELS - labels[d] > r->dots ? LABELS - labels[d] : r->dots;
    }
    if (*r->text != ',') {
      return k + 1 == e->operands ? WEFT_OK
                                  : weft_op_fail(op, "attribute equation: %d terms for %d inputs", k + 1, e->operands);
    }
    r->text++;
  }
}

/* Without an arrow: the ellipsis, then the letters that occur once, in order. */
static weft_status implicit_output(weft_op *op, einsum *e, const reader *r) {
  for (int i = 0; i < LABELS; i++) {
    int label = i < WEFT_MAX_RANK ? LETTERS + i : i - WEFT_MAX_RANK;
    if (label >= LETTERS ? e->present[label] : r->times[label] == 1) {
      if (e->out_rank == WEFT_MAX_RANK) {
        return weft_op_unsupported(op, "the output has more than %d dimensions", WEFT_MAX_RANK);
      }
      e->out[e->out_rank++] = (uint8_t)label;
    }
  }
  return WEFT_OK;
}

static weft_status read_output(weft_op *op, einsum *e, reader *r) {
  if (*r->text != '-') {
    return implicit_output(op, e, r);
  }
  if (r->text[1] == '>') {
    r->text += 2;
    WEFT_TRY(read_term(op, &r->text, r->dots, e->out, &e->out_rank));
  }
  return *r->text == 0 ? WEFT_OK : weft_op_fail(op, "attribute equation: unexpected '%s'", r->text);
}

static weft_status parse(weft_op *op, einsum *e) {
  reader r = {.text = weft_op_attr_string(op, "equation", "")};
  bool kept[LABELS] = {false};
  memset(e, 0, sizeof *e);
  e->operands = op->input_count;
  WEFT_TRY(read_inputs(op, e, &r));
  WEFT_TRY(read_output(op, e, &r));
  for (int d = 0; d < e->out_rank; d++) {
    if (!e->present[e->out[d]] || kept[e->out[d]]) {
      return weft_op_fail(op, "attribute equation: label %d of the output is repeated or in no input", d);
    }
    kept[e->out[d]] = true;
  }
  for (int i = 0; i < LABELS; i++) {
    if (e->present[i] && !kept[i]) {
      e->sums[e->sum_rank++] = (uint8_t)i;
    }
  }
  return WEFT_OK;
}

weft_status weft_einsum_infer(weft_op *op) {
  einsum e;
  weft_shape shape = {0};
  if (op->input_count > OPERANDS) {
    return weft_op_unsupported(op, "more than %d inputs", OPERANDS);
  }
  WEFT_TRY(weft_op_expect_inputs(op, 1, OPERANDS));
  WEFT_TRY(weft_op_expect_type(op, 0, "Inputs", WEFT_TYPES_NUMERIC));
  for (int i = 1; i < op->input_count; i++) {
    WEFT_TRY(weft_op_expect_inputs(op, i + 1, OPERANDS));
    WEFT_TRY(weft_op_expect_same_type(op, 0, i));
  }
  WEFT_TRY(parse(op, &e));
  shape.rank = e.out_rank;
  for (int d = 0; d < e.out_rank; d++) {
    shape.dims[d] = (int64_t)e.size[e.out[d]];
  }
  return weft_op_set(op, 0, weft_op_in(op, 0)->type, &shape);
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */
typedef struct loops {
  const einsum *e;
  const weft_tensor *in[OPERANDS];
  weft_tensor *out;
  size_t sums; /* elements of one sum */
} loops;

/* The product of all operands over a run of the innermost summed label, added up. */
static void add_run(const loops *l, const size_t *offset, size_t n, weft_sum *total, uint64_t *whole_total) {
  const einsum *e = l->e;
  bool is_float = weft_type_is_float(l->out->type);
  union {
    double wide[WEFT_BLOCK];
    int64_t whole[WEFT_BLOCK];
  } product, factor;
  weft_typed_row sum = weft_typed_row_of(WEFT_TYPED_ADD, is_float ? WEFT_DOUBLE : WEFT_INT64);
  for (size_t done = 0; done < n; done += WEFT_BLOCK) {
    size_t m = n - done < WEFT_BLOCK ? n - done : WEFT_BLOCK;
    for (int k = 0; k < e->operands; k++) {
      size_t step = e->sum_rank > 0 ? e->stride[k][e->sums[e->sum_rank - 1]] : 0, at = offset[k] + done * step;
      weft_typed_unary convert = weft_typed_convert_of(l->in[k]->type, is_float ? WEFT_DOUBLE : WEFT_INT64);
      if (k == 0 && step == 1 && convert != NULL) {
        convert(m, (const char *)l->in[k]->data + at * weft_type_size(l->in[k]->type), &product);
      } else if (is_float) {
        weft_load_double(l->in[k]->type, l->in[k]->data, at, step, m, k == 0 ? product.wide : factor.wide);
        for (size_t i = 0; k > 0 && i < m; i++) {
          product.wide[i] *= factor.wide[i];
        }
      } else {
        weft_load_int64(l->in[k]->type, l->in[k]->data, at, step, m, k == 0 ? product.whole : factor.whole);
        for (size_t i = 0; k > 0 && i < m; i++) {
          product.whole[i] = (int64_t)((uint64_t)product.whole[i] * (uint64_t)factor.whole[i]);
        }
      }
    }
    double part = 0;
    sum(m, &product, is_float ? (void *)&part : whole_total);
    weft_sum_add(total, part);
  }
}

/* Moves `offset` to position `index` of a space spanned by labels. */
static void seek(const einsum *e, const uint8_t *labels, int rank, size_t index, size_t *offset) {
  for (int d = rank - 1; d >= 0; d--) {
    size_t at = index % e->size[labels[d]];
    index /= e->size[labels[d]];
    for (int k = 0; k < e->operands; k++) {
      offset[k] += at * e->stride[k][labels[d]];
    }
  }
}

static void run_loops(void *arg, size_t begin, size_t end) {
  const loops *l = arg;
  const einsum *e = l->e;
  size_t run = e->sum_rank > 0 ? e->size[e->sums[e->sum_rank - 1]] : 1;
  for (size_t i = begin; i < end; i++) {
    size_t base[OPERANDS] = {0};
    weft_sum total = {0};
    uint64_t whole_total = 0;
    seek(e, e->out, e->out_rank, i, base);
    for (size_t outer = 0; l->sums > 0 && outer < l->sums / run; outer++) {
      size_t offset[OPERANDS];
      memcpy(offset, base, sizeof offset);
      seek(e, e->sums, e->sum_rank - 1, outer, offset);
      add_run(l, offset, run, &total, &whole_total);
    }
    if (weft_type_is_float(l->out->type)) {
      double answer = weft_sum_end(&total);
      weft_store_double(l->out->type, &answer, 1, l->out->data, i, 1);
    } else {
      int64_t whole = (int64_t)whole_total;
      weft_store_int64(l->out->type, &whole, 1, l->out->data, i, 1);
    }
  }
}

/* ---- two operands: a batch of matrix products -------------------------------------------------------------------- */
typedef struct pair {
  const void *a, *b;
  void *c;
  size_t m, n, k;
} pair;

static void pair_at(const void *arg, size_t index, weft_product *out) {
  const pair *p = arg;
  *out = (weft_product){.a = (const float *)p->a + index * p->m * p->k,
                        .lda = p->k,
                        .b = (const float *)p->b + index * p->k * p->n,
                        .ldb = p->n,
                        .c = (float *)p->c + index * p->m * p->n,
                        .ldc = p->n};
}

/* The labels of a kind: in the first operand, in the second, in the output. */
static int labels_of(const einsum *e, bool first, bool second, bool out, uint8_t *labels, size_t *size) {
  int count = 0;
  const uint8_t *from = out ? e->out : e->sums;
  *size = 1;
  for (int d = 0; d < (out ? e->out_rank : e->sum_rank); d++) {
    if (e->size[from[d]] > 1 && (e->stride[0][from[d]] > 0) == first && (e->stride[1][from[d]] > 0) == second) {
      labels[count++] = from[d];
      *size *= e->size[from[d]];
    }
  }
  return count;
}

/* A block over three lists of labels; `strides` is the distance of each label on one side, the other side is dense. */
static void add_labels(const einsum *e, const uint8_t *labels, int count, const size_t *from, const size_t *to,
                       weft_strided *block) {
  for (int d = 0; d < count; d++) {
    weft_strided_add(block, (int64_t)e->size[labels[d]], (int64_t)from[labels[d]], (int64_t)to[labels[d]]);
  }
}

typedef struct label_list {
  uint8_t labels[LABELS];
  int count;
  size_t size;
} label_list;

/* Distances of the labels of three lists laid out densely one after the other. */
static void dense(const einsum *e, const label_list *const *lists, size_t *strides) {
  size_t stride = 1;
  for (int l = 2; l >= 0; l--) {
    for (int d = lists[l]->count - 1; d >= 0; d--) {
      strides[lists[l]->labels[d]] = stride;
      stride *= e->size[lists[l]->labels[d]];
    }
  }
}

/* Operand k laid out as [batch, x, y]. */
static weft_status lay_out(weft_op *op, const einsum *e, int k, const void *from, const label_list *const *lists,
                           const void **out) {
  void *to;
  size_t strides[LABELS] = {0};
  weft_strided block = {0};
  dense(e, lists, strides);
  for (int l = 0; l < 3; l++) {
    add_labels(e, lists[l]->labels, lists[l]->count, e->stride[k], strides, &block);
  }
  *out = from;
  bool same = block.rank == 0 || (block.rank == 1 && block.from[0] == 1);
  if (!same) {
    WEFT_TRY(weft_op_scratch_array(op, lists[0]->size * lists[1]->size * lists[2]->size, weft_type_size(e->type), &to));
    weft_strided_copy(op->cx, &block, weft_type_size(e->type), from, to);
    *out = to;
  }
  return WEFT_OK;
}

/* The block that brings a dense [batch, rows, columns] into the order of the output. */
static void unpack(const einsum *e, const label_list *const *lists, weft_strided *block) {
  size_t from[LABELS] = {0}, to[LABELS] = {0}, stride = 1;
  dense(e, lists, from);
  for (int d = e->out_rank - 1; d >= 0; d--) {
    to[e->out[d]] = stride;
    stride *= e->size[e->out[d]];
  }
  for (int l = 0; l < 3; l++) {
    add_labels(e, lists[l]->labels, lists[l]->count, from, to, block);
  }
}

/* One operand of which nothing is summed: its elements in another order. */
static void run_copy(weft_op *op, const einsum *e) {
  const weft_tensor *y = weft_op_out(op, 0);
  weft_strided block = {0};
  int64_t to[WEFT_MAX_RANK], stride = 1;
  for (int d = e->out_rank - 1; d >= 0; d--) {
    to[d] = stride;
    stride *= (int64_t)e->size[e->out[d]];
  }
  for (int d = 0; d < e->out_rank; d++) {
    weft_strided_add(&block, (int64_t)e->size[e->out[d]], (int64_t)e->stride[0][e->out[d]], to[d]);
  }
  weft_strided_copy(op->cx, &block, weft_type_size(y->type), weft_op_in(op, 0)->data, y->data);
}

static void multiply_run(void *arg, const weft_run *run) {
  const weft_tensor *c = arg;
  weft_typed_binary_of(WEFT_TYPED_MUL, c->type)(run->n, run->in[0], run->in[1],
                                                (char *)c->data + run->out * weft_type_size(c->type));
}

/* Products of one term each. */
static void multiply(weft_context *cx, weft_type type, const pair *p, size_t batch) {
  const int64_t count = (int64_t)batch, m = (int64_t)p->m, n = (int64_t)p->n;
  const weft_shape out = {3, {count, m, n}};
  const weft_tensor a = {.type = type, .shape = {3, {count, m, 1}}, .data = (void *)(uintptr_t)p->a};
  const weft_tensor b = {.type = type, .shape = {3, {count, 1, n}}, .data = (void *)(uintptr_t)p->b};
  weft_tensor c = {.type = type, .data = p->c};
  weft_broadcast broadcast;
  weft_broadcast_init(&broadcast, &out, 2, (const weft_tensor *const[]){&a, &b});
  weft_broadcast_run(cx, &broadcast, SIZE_MAX, true, multiply_run, &c);
}

/* Products of doubles or integers. */
static void run_plain(weft_context *cx, weft_type type, const pair *p, size_t batch) {
  const size_t size = weft_type_size(type);
  for (size_t i = 0; i < batch; i++) {
    const weft_plain_product product = {.type = type,
                                        .m = p->m,
                                        .n = p->n,
                                        .k = p->k,
                                        .a = (const char *)p->a + i * p->m * p->k * size,
                                        .a_row = p->k,
                                        .a_column = 1,
                                        .b = (const char *)p->b + i * p->k * p->n * size,
                                        .b_row = p->n,
                                        .b_column = 1,
                                        .c = (char *)p->c + i * p->m * p->n * size};
    weft_plain_product_share(cx, &product);
  }
}

/* `out` has as many elements as the labels of e->out. */
static weft_status run_pair(weft_op *op, const einsum *e, const void *a, const void *b, void *out) {
  const size_t size = weft_type_size(e->type);
  label_list batch, rows, columns, sums;
  weft_strided block = {0};
  pair p;
  batch.count = labels_of(e, true, true, true, batch.labels, &batch.size);
  rows.count = labels_of(e, true, false, true, rows.labels, &rows.size);
  columns.count = labels_of(e, false, true, true, columns.labels, &columns.size);
  sums.count = labels_of(e, true, true, false, sums.labels, &sums.size);
  WEFT_TRY(lay_out(op, e, 0, a, (const label_list *const[]){&batch, &rows, &sums}, &p.a));
  WEFT_TRY(lay_out(op, e, 1, b, (const label_list *const[]){&batch, &sums, &columns}, &p.b));
  unpack(e, (const label_list *const[]){&batch, &rows, &columns}, &block);
  bool same = block.rank == 0 || (block.rank == 1 && block.to[0] == 1);
  void *room = out;
  if (!same) {
    WEFT_TRY(weft_op_scratch_array(op, batch.size * rows.size * columns.size, size, &room));
  }
  p.c = room;
  p.m = rows.size;
  p.n = columns.size;
  p.k = sums.size;
  weft_products products = {.count = batch.size, .m = p.m, .n = p.n, .k = p.k, .arg = &p, .at = pair_at};
  if (p.k == 1) {
    multiply(op->cx, e->type, &p, batch.size);
  } else if (e->type != WEFT_FLOAT) {
    run_plain(op->cx, e->type, &p, batch.size);
  } else {
    WEFT_TRY(weft_products_run(op, &products));
  }
  if (!same) {
    weft_strided_copy(op->cx, &block, size, p.c, out);
  }
  return WEFT_OK;
}

/* ---- several operands, two by two -------------------------------------------------------------------------------- */
/* An operand, or the product of some. */
typedef struct term {
  const void *data;
  size_t stride[LABELS];
} term;

typedef struct terms {
  const einsum *e;
  term of[OPERANDS];
  int count;
  size_t most; /* elements that a product may have: else loops, which need no memory, are the better way */
} terms;

/* Whether the result, or a term other than these two, has the label. */
static bool is_needed(const terms *t, int label, int i, int j) {
  bool needed = false;
  for (int d = 0; d < t->e->out_rank; d++) {
    needed |= t->e->out[d] == label;
  }
  for (int k = 0; k < t->count; k++) {
    needed |= k != i && k != j && t->of[k].stride[label] > 0;
  }
  return needed;
}

/* Terms i and j as an equation of their own, or term i alone if j is i: labels that are needed elsewhere stay. The number
 * of elements of the result, or SIZE_MAX if it has too many dimensions. */
static size_t make_step(const terms *t, int i, int j, einsum *step) {
  size_t count = 1;
  memset(step, 0, sizeof *step);
  step->type = t->e->type;
  step->operands = i == j ? 1 : 2;
  memcpy(step->size, t->e->size, sizeof step->size);
  memcpy(step->stride[0], t->of[i].stride, sizeof step->stride[0]);
  memcpy(step->stride[1], t->of[j].stride, sizeof step->stride[1]);
  for (int label = 0; label < LABELS; label++) {
    if (step->size[label] < 2 || (step->stride[0][label] == 0 && step->stride[1][label] == 0)) {
      continue;
    }
    if (!is_needed(t, label, i, j)) {
      step->sums[step->sum_rank++] = (uint8_t)label;
    } else if (step->out_rank == WEFT_MAX_RANK || !weft_mul(count, step->size[label], &count)) {
      return SIZE_MAX;
    } else {
      step->out[step->out_rank++] = (uint8_t)label;
    }
  }
  return count;
}

/* Term i becomes what a step made, dense in the order of its labels. */
static void put_term(terms *t, int i, const einsum *step, const void *data) {
  size_t stride = 1;
  memset(&t->of[i], 0, sizeof t->of[i]);
  t->of[i].data = data;
  for (int d = step->out_rank - 1; d >= 0; d--) {
    t->of[i].stride[step->out[d]] = stride;
    stride *= step->size[step->out[d]];
  }
}

/* Labels that only term i has, and the result has not, are summed before it is multiplied. */
static weft_status sum_alone(weft_op *op, terms *t, int i) {
  einsum step;
  size_t count = make_step(t, i, i, &step);
  void *room;
  if (step.sum_rank == 0 || count == SIZE_MAX) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_scratch_array(op, count, weft_type_size(step.type), &room));
  weft_tensor from = {.type = step.type, .data = (void *)(uintptr_t)t->of[i].data};
  weft_tensor to = {.type = step.type, .data = room};
  loops l = {.e = &step, .in = {&from}, .out = &to, .sums = 1};
  for (int d = 0; d < step.sum_rank; d++) {
    l.sums *= step.size[step.sums[d]];
  }
  weft_parallel(op->cx, count, 16, run_loops, &l);
  put_term(t, i, &step, room);
  return WEFT_OK;
}

/* The pair with the least product becomes one term; `done` is false if it would be too large. */
static weft_status join_pair(weft_op *op, terms *t, bool *done) {
  int best[2] = {0, 1};
  size_t least = SIZE_MAX;
  einsum step;
  void *room;
  for (int i = 0; i < t->count; i++) {
    for (int j = i + 1; j < t->count; j++) {
      size_t count = make_step(t, i, j, &step);
      if (count < least) {
        least = count;
        best[0] = i;
        best[1] = j;
      }
    }
  }
  *done = least <= t->most;
  if (!*done) {
    return WEFT_OK;
  }
  make_step(t, best[0], best[1], &step);
  WEFT_TRY(weft_op_scratch_array(op, least, weft_type_size(step.type), &room));
  WEFT_TRY(run_pair(op, &step, t->of[best[0]].data, t->of[best[1]].data, room));
  put_term(t, best[0], &step, room);
  t->of[best[1]] = t->of[--t->count];
  return WEFT_OK;
}

/* Multiplies two by two until two are left; those make the result. `done` is false where the loops have to. */
static weft_status run_pairs(weft_op *op, const einsum *e, bool *done) {
  weft_tensor *y = weft_op_out(op, 0);
  terms t = {.e = e, .count = e->operands, .most = y->count};
  einsum last = *e;
  const bool floats = e->type == WEFT_FLOAT;
  float *narrow = NULL;
  for (int k = 0; k < e->operands; k++) {
    t.most += weft_op_in(op, k)->count;
    memcpy(t.of[k].stride, e->stride[k], sizeof t.of[k].stride);
    const weft_tensor *in = weft_op_in(op, k);
    const float *wide = NULL;
    WEFT_TRY(weft_op_floats(op, floats ? in : NULL, &wide));
    t.of[k].data = floats ? (const void *)wide : in->data;
  }
  for (int k = 0; k < e->operands; k++) {
    WEFT_TRY(sum_alone(op, &t, k));
  }
  for (*done = true; *done && t.count > 2;) {
    WEFT_TRY(join_pair(op, &t, done));
  }
  if (!*done) {
    return WEFT_OK;
  }
  last.operands = 2;
  memcpy(last.stride[0], t.of[0].stride, sizeof last.stride[0]);
  memcpy(last.stride[1], t.of[1].stride, sizeof last.stride[1]);
  WEFT_TRY(weft_op_floats_out(op, floats ? y : NULL, &narrow));
  WEFT_TRY(run_pair(op, &last, t.of[0].data, t.of[1].data, floats ? narrow : y->data));
  weft_op_floats_done(op, floats ? y : NULL, narrow);
  return WEFT_OK;
}

weft_status weft_einsum_run(weft_op *op) {
  einsum e;
  weft_tensor *y = weft_op_out(op, 0);
  loops l = {.e = &e, .out = y, .sums = 1};
  bool empty = y->count == 0;
  WEFT_TRY(parse(op, &e));
  for (int k = 0; k < e.operands; k++) {
    l.in[k] = weft_op_in(op, k);
    empty |= l.in[k]->count == 0;
  }
  e.type = weft_type_is_half(y->type) ? WEFT_FLOAT : y->type;
  if (e.operands > 1 && !empty && weft_type_size(e.type) >= sizeof(float)) {
    bool done;
    WEFT_TRY(run_pairs(op, &e, &done));
    if (done) {
      return WEFT_OK;
    }
  }
  if (e.operands == 1 && e.sum_rank == 0 && !empty) {
    run_copy(op, &e);
    return WEFT_OK;
  }
  for (int d = 0; d < e.sum_rank; d++) {
    if (!weft_mul(l.sums, e.size[e.sums[d]], &l.sums)) {
      return weft_op_unsupported(op, "a sum has more terms than can be counted");
    }
  }
  if (y->count > 0) {
    weft_parallel(op->cx, y->count, l.sums >= WEFT_BLOCK ? 16 : 1024, run_loops, &l);
  }
  return WEFT_OK;
}
