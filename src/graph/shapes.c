/* Symbolic shapes by probing. Operators infer concrete shapes only; so the graph is interpreted a few times with
 * different sizes for its symbols, and what a dimension did each time tells what it is: always the same number is a
 * constant, always the size of a symbol is that symbol, and two dimensions that moved together are equal. Sizes are
 * primes, the smallest because tables may end, primes times 32 for networks that halve their input several times, and
 * once all are 1, or what is cut off at a few would seem to be as many always. An interpretation that fails (a size the
 * model does not allow) tells nothing, and two that succeed are enough. A last one of nothing at all only tells which
 * dimensions of 1 are cut off at one: they may be 0. A name such as "past + sequence" means what it says. */
#include "shapes.h"

#include <string.h>

#include "../base/text.h"
#include "names.h"

enum { PROBES = 4, OF_NOTHING = PROBES, ALL, NEEDED = 2, LARGE_FACTOR = 32 };
enum { MAX_SYMBOLS = 64, MAX_COMPARED = 128, MAX_PROBED_VALUES = 1 << 18 };

typedef struct symbol {
  const char *name; /* NULL: a dimension of its own */
  int64_t sizes[ALL];
} symbol;

typedef struct prober {
  weft_model *model;
  weft_interpreter interpret;
  void *arg;
  size_t probes; /* 1 when nothing is symbolic */
  size_t all;    /* with that of nothing, if anything is */
  size_t needed;
  symbol symbols[MAX_SYMBOLS];
  size_t symbol_count;
  weft_names invented; /* symbols, and the first of them with their sizes */
  symbol compared[MAX_COMPARED];
  size_t compared_count;
} prober;

/* ---- sizes ----------------------------------------------------------------------------------- */
static int64_t next_prime(int64_t after) {
  for (int64_t p = after + 1;; p++) {
    bool prime = true;
    for (int64_t d = 2; d * d <= p && prime; d++) {
      prime = p % d != 0;
    }
    if (prime) {
      return p;
    }
  }
}

/* Symbols beyond the room there is share the last one's sizes: then they look equal, so they must not be told apart
 * either; the caller gives up on symbols altogether. */
static bool add_symbol(prober *p, const char *name, int64_t *prime) {
  for (size_t i = 0; name != NULL && i < p->symbol_count; i++) {
    if (p->symbols[i].name == name) {
      return true;
    }
  }
  if (p->symbol_count == MAX_SYMBOLS) {
    return false;
  }
  symbol *s = &p->symbols[p->symbol_count++];
  s->name = name;
  *prime = next_prime(*prime);
  const int64_t sizes[ALL] = {*prime * LARGE_FACTOR, next_prime(*prime) * LARGE_FACTOR, *prime, 1, 0};
  memcpy(s->sizes, sizes, sizeof sizes);
  return true;
}

/* Moves behind spaces and a number or the name of a symbol, whose size is set. */
static bool read_factor(const prober *p, const char **text, size_t probe, int64_t *size) {
  const char *from = *text + strspn(*text, " ");
  size_t length = strcspn(from, " +*");
  *text = from + length + strspn(from + length, " ");
  *size = 0;
  for (size_t i = 0; i < length && from[i] >= '0' && from[i] <= '9' && *size < INT32_MAX; i++) {
    *size = *size * 10 + (from[i] - '0');
    if (i + 1 == length) {
      return true;
    }
  }
  for (size_t i = 0; i < p->symbol_count; i++) {
    const char *name = p->symbols[i].name;
    if (name != NULL && length != 0 && strncmp(name, from, length) == 0 && name[length] == 0) {
      *size = p->symbols[i].sizes[probe];
      return true;
    }
  }
  return false;
}

/* The size that a sum of products of symbols and numbers has. */
static bool read_sum(const prober *p, const char *text, size_t probe, int64_t *size) {
  int64_t product = 1, factor;
  for (*size = 0;; text++) {
    if (!read_factor(p, &text, probe, &factor) || (factor != 0 && product > INT32_MAX / factor)) {
      return false;
    }
    product *= factor;
    if (*text != '*') {
      *size += product;
      product = 1;
    }
    if (*text != '*' && *text != '+') {
      return *text == 0 && (*size > 0 || probe == OF_NOTHING);
    }
  }
}

static bool is_sum(const char *name) {
  return name != NULL && strpbrk(name, "+*") != NULL;
}

/* Sums come last, when what they are made of is known. */
static bool collect_symbols(prober *p, const weft_graph *graph) {
  int64_t prime = 3;
  for (size_t i = 0; i < 2 * graph->input_count; i++) {
    const weft_info *info = &graph->values[graph->inputs[i % graph->input_count]].info;
    const bool sums = i >= graph->input_count;
    for (int d = 0; d < info->rank; d++) {
      const char *name = info->symbols[d];
      if (info->dims[d] >= 0 || is_sum(name) != sums) {
        continue;
      }
      int64_t sizes[ALL];
      bool made = sums;
      for (size_t k = 0; k < ALL && made; k++) {
        made = read_sum(p, name, k, &sizes[k]);
      }
      if (!add_symbol(p, name, &prime)) {
        return false;
      }
      for (size_t s = 0; s < p->symbol_count && made; s++) {
        if (p->symbols[s].name == name) {
          memcpy(p->symbols[s].sizes, sizes, sizeof sizes);
        }
      }
    }
  }
  return true;
}

/* Names are kept once each by the builder, so pointers tell them apart; a nameless dimension takes the next symbol in
 * turn. */
static int64_t size_of(const prober *p, const char *name, size_t probe, size_t *nameless) {
  for (size_t i = name != NULL ? 0 : *nameless; i < p->symbol_count; i++) {
    if (p->symbols[i].name == name) {
      *nameless = name == NULL ? i + 1 : *nameless;
      return p->symbols[i].sizes[probe];
    }
  }
  return -1;
}

static weft_status give_input(prober *p, const weft_info *info, size_t probe, size_t *nameless, weft_value **out) {
  *out = NULL;
  if (info->kind != WEFT_KIND_TENSOR || info->type == WEFT_UNDEFINED || info->rank < 0) {
    return WEFT_OK;
  }
  weft_value *value;
  WEFT_TRY(weft_value_new(p->model->cx, WEFT_KIND_TENSOR, &value));
  value->tensor.type = info->type;
  value->tensor.shape.rank = info->rank;
  for (int d = 0; d < info->rank; d++) {
    value->tensor.shape.dims[d] = info->dims[d] >= 0 ? info->dims[d] : size_of(p, info->symbols[d], probe, nameless);
  }
  if (weft_shape_count(&value->tensor.shape, value->tensor.type, &value->tensor.count)) {
    *out = value;
  } else {
    weft_value_release(value);
  }
  return WEFT_OK;
}

/* ---- what the probes say --------------------------------------------------------------------- */
/* An invented symbol with the same sizes wherever probes say something of both, or NULL; it learns what it lacked. */
static const char *find_like(prober *p, const int64_t *sizes) {
  for (size_t s = 0; s < p->compared_count; s++) {
    int64_t *known = p->compared[s].sizes;
    size_t common = 0;
    bool same = true;
    for (size_t i = 0; i < p->probes && same; i++) {
      const bool both = sizes[i] >= 0 && known[i] >= 0;
      common += both;
      same = !both || sizes[i] == known[i];
    }
    for (size_t i = 0; i < p->probes && same && common >= p->needed; i++) {
      known[i] = known[i] < 0 ? sizes[i] : known[i];
    }
    if (same && common >= p->needed) {
      return p->compared[s].name;
    }
  }
  return NULL;
}

/* The sizes are the name: dimensions that had the same ones share it. */
static weft_status invent(prober *p, const int64_t *sizes, const char **out) {
  char name[PROBES * 24] = "?";
  size_t used = 1;
  for (size_t i = 0; i < p->probes; i++) {
    used += weft_print(name + used, sizeof name - used, "%s%lld", i == 0 ? "" : "/", (long long)sizes[i]);
  }
  weft_context *cx = p->model->cx;
  *out = weft_names_kept(&p->invented, name);
  *out = *out != NULL ? *out : find_like(p, sizes);
  if (*out != NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_arena_copy_string(cx, &p->model->arena, name, used, out));
  if (p->compared_count < MAX_COMPARED) {
    p->compared[p->compared_count].name = *out;
    memcpy(p->compared[p->compared_count++].sizes, sizes, sizeof p->compared[0].sizes);
  }
  return weft_names_put(cx, &p->invented, *out, 0);
}

/* Sizes of one dimension, -1 where a probe says nothing. One that may be 0 has no symbol: which are 0 together is not
 * known. */
static weft_status describe_dim(prober *p, const int64_t *sizes, int64_t *dim, const char **name) {
  bool constant = true;
  int64_t first = -1;
  for (size_t i = 0; i < p->probes; i++) {
    first = first < 0 ? sizes[i] : first;
    constant = constant && (sizes[i] < 0 || sizes[i] == first);
  }
  *dim = constant ? first : -1;
  *name = NULL;
  if (*dim == 1 && sizes[OF_NOTHING] == 0) {
    *dim = -1;
    return WEFT_OK;
  }
  for (size_t s = 0; s < p->symbol_count && *dim < 0; s++) {
    bool same = p->symbols[s].name != NULL;
    for (size_t i = 0; i < p->probes && same; i++) {
      same = sizes[i] < 0 || sizes[i] == p->symbols[s].sizes[i];
    }
    if (same) {
      *name = p->symbols[s].name;
      return WEFT_OK;
    }
  }
  return *dim < 0 ? invent(p, sizes, name) : WEFT_OK;
}

/* `found` holds what each probe made of one value, NULL where it made nothing. */
static weft_status describe(prober *p, const weft_tensor *const *found, weft_info *out) {
  const weft_tensor *first = NULL;
  size_t known = 0;
  bool same_rank = true;
  for (size_t i = 0; i < p->probes; i++) {
    if (found[i] != NULL) {
      first = first != NULL ? first : found[i];
      same_rank = same_rank && found[i]->shape.rank == first->shape.rank;
      known++;
    }
  }
  if (first == NULL) {
    return WEFT_OK;
  }
  out->kind = WEFT_KIND_TENSOR;
  out->type = first->type; /* no size changes it, so one probe is enough */
  if (known < p->needed) {
    return WEFT_OK;
  }
  out->rank = same_rank ? first->shape.rank : -1;
  for (int d = 0; d < out->rank; d++) {
    int64_t sizes[ALL];
    for (size_t i = 0; i < ALL; i++) {
      sizes[i] = found[i] != NULL && d < found[i]->shape.rank ? found[i]->shape.dims[d] : -1;
    }
    WEFT_TRY(describe_dim(p, sizes, &out->dims[d], &out->symbols[d]));
  }
  return WEFT_OK;
}

static weft_status describe_all(prober *p, weft_graph *graph, weft_value **const *values) {
  for (size_t v = 0; v < graph->value_count; v++) {
    weft_slot *slot = &graph->values[v];
    const weft_tensor *found[ALL] = {0};
    for (size_t i = 0; i < p->all; i++) {
      const weft_value *value = values[i][v];
      bool is_known = value != NULL && value->kind == WEFT_KIND_TENSOR && value->tensor.type != WEFT_UNDEFINED;
      found[i] = is_known ? &value->tensor : NULL;
    }
    if (slot->constant == NULL && !slot->is_input) {
      WEFT_TRY(describe(p, found, &slot->info));
    }
  }
  return WEFT_OK;
}

/* What users see of a dimension that is not constant: the name the file gives it, and no invented one. Nothing says
 * that the file uses a name for the same size everywhere, so values keep their own symbols. */
static weft_status keep_declared(prober *p, weft_graph *graph) {
  void *block;
  WEFT_TRY(weft_arena_alloc(p->model->cx, &p->model->arena, graph->output_count, sizeof(weft_info), &block));
  graph->told = block;
  for (size_t o = 0; o < graph->output_count; o++) {
    graph->told[o] = graph->values[graph->outputs[o]].info;
  }
  return WEFT_OK;
}

static void name_outputs(weft_graph *graph) {
  for (size_t o = 0; o < graph->output_count; o++) {
    const weft_info declared = graph->told[o];
    weft_info *told = &graph->told[o];
    *told = graph->values[graph->outputs[o]].info;
    for (int d = 0; d < told->rank; d++) {
      const char *name = declared.rank == told->rank ? declared.symbols[d] : NULL;
      if (told->dims[d] < 0 && told->symbols[d] == NULL && declared.rank == told->rank) {
        told->dims[d] = declared.dims[d]; /* at most 1, which the file takes for granted */
      }
      if (told->dims[d] < 0 && (name != NULL || weft_symbol_is_invented(told->symbols[d]))) {
        told->symbols[d] = name;
      }
    }
  }
}

/* ---- graphs ---------------------------------------------------------------------------------- */
static weft_status infer_graph(prober *p, weft_graph *graph, weft_value **const *outer);

static weft_status infer_subgraphs(prober *p, const weft_graph *graph, weft_value **const *values) {
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_subgraphs at = {.node = &graph->nodes[n]};
    for (weft_graph *inner; (inner = weft_subgraphs_next(&at)) != NULL;) {
      WEFT_TRY(infer_graph(p, inner, values));
    }
  }
  return WEFT_OK;
}

/* Inputs of the main graph have their declared shapes. Those of a body may change from turn to turn: nothing is known
 * of them, only of what it captures. */
static weft_status probe(prober *p, const weft_graph *graph, size_t number, weft_value **const *outer,
                         weft_value **values) {
  size_t nameless = 0;
  for (size_t i = 0; graph->parent == NULL && i < graph->input_count; i++) {
    int32_t v = graph->inputs[i];
    const weft_slot *slot = &graph->values[v];
    if (!slot->info.optional || slot->constant != NULL) { /* the value of an optional type may be absent */
      WEFT_TRY(give_input(p, &slot->info, number, &nameless, &values[v]));
    }
  }
  for (size_t v = 0; outer != NULL && v < graph->value_count; v++) {
    int32_t from = graph->values[v].outer;
    if (from >= 0 && outer[number][from] != NULL) {
      values[v] = outer[number][from];
      weft_value_retain(values[v]);
    }
  }
  weft_context *cx = p->model->cx;
  weft_error *told = cx->error, ignored;
  cx->error = &ignored; /* a size that the model does not allow is no error of the model */
  weft_status status = p->interpret(p->arg, graph, values);
  cx->error = told;
  cx->node = NULL;
  return status == WEFT_OUT_OF_MEMORY ? weft_fail(cx, status, "no memory to infer shapes") : WEFT_OK;
}

static weft_status probe_all(prober *p, weft_graph *graph, weft_value **const *outer, weft_value ***values) {
  for (size_t i = 0; i < p->all; i++) {
    void *block;
    WEFT_TRY(weft_alloc_zeroed(p->model->cx, graph->value_count, sizeof(weft_value *), &block));
    values[i] = block;
    WEFT_TRY(probe(p, graph, i, outer, values[i]));
  }
  WEFT_TRY(describe_all(p, graph, values));
  return infer_subgraphs(p, graph, values);
}

static weft_status infer_graph(prober *p, weft_graph *graph, weft_value **const *outer) {
  weft_value **values[ALL] = {0};
  weft_status status = probe_all(p, graph, outer, values);
  for (size_t i = 0; i < ALL; i++) {
    for (size_t v = 0; values[i] != NULL && v < graph->value_count; v++) {
      weft_value_release(values[i][v]);
    }
    weft_free(values[i]);
  }
  return status;
}

weft_status weft_graph_infer(weft_model *model, weft_interpreter interpret, void *arg) {
  prober p = {.model = model, .interpret = interpret, .arg = arg};
  if (model->graph->value_count > MAX_PROBED_VALUES || !collect_symbols(&p, model->graph)) {
    return WEFT_OK; /* too large to be interpreted several times, or more symbols than any real model has */
  }
  p.probes = p.symbol_count != 0 ? PROBES : 1;
  p.all = p.symbol_count != 0 ? ALL : 1;
  p.needed = p.symbol_count != 0 ? NEEDED : 1;
  WEFT_TRY(keep_declared(&p, model->graph));
  weft_status status = infer_graph(&p, model->graph, NULL);
  weft_names_free(&p.invented);
  name_outputs(model->graph);
  return status;
}
