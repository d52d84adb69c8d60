/* The public face of a session: from a finished loader to a model ready to run, and from named feeds to named outputs. */
#include <stdatomic.h>
#include <string.h>

#include "../base/seed.h"
#include "../base/text.h"
#include "../graph/load.h"
#include "../graph/names.h"
#include "../graph/shapes.h"
#include "../kernels/measure.h"
#include "../onnx/loader.h"
#include "../optimize/optimize.h"
#include "plan.h"
#include "profile.h"

struct weft_session {
  weft_context cx;
  weft_error ignored; /* where errors go when a caller wants none */
  weft_options options;
  weft_model *model;
  weft_names inputs, outputs; /* where in the graph's lists a name is */
  weft_run_state state;
  weft_strings *strings;
  uint64_t random;
  weft_profile profile;
  atomic_bool running;
};

static void enter(weft_session *session, weft_error *error) {
  session->cx.error = error != NULL ? error : &session->ignored;
  session->cx.node = NULL;
  memset(session->cx.error, 0, sizeof *session->cx.error);
}

/* ---- making one -------------------------------------------------------------------------------------------------- */
static weft_status evaluate(void *arg, weft_node *node, weft_value *const *inputs, weft_value **outputs) {
  weft_session *session = arg;
  return weft_evaluate(&session->state, node, inputs, outputs);
}

static weft_status interpret(void *arg, const weft_graph *graph, weft_value **values) {
  weft_session *session = arg;
  session->state.probing = true;
  weft_status status = weft_interpret(&session->state, graph, values);
  session->state.probing = false;
  return status;
}

static void mark_read(void *arg, int32_t v) {
  weft_graph *graph = arg;
  graph->values[v].info.unread = false;
}

/* Of the graph that runs: optimising it may have left an input without readers. */
static void mark_unread(weft_graph *graph) {
  for (size_t i = 0; i < graph->input_count; i++) {
    graph->values[graph->inputs[i]].info.unread = true;
  }
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_node_visit_uses(&graph->nodes[n], mark_read, graph);
  }
  for (size_t i = 0; i < graph->output_count; i++) {
    mark_read(graph, graph->outputs[i]);
  }
}

static weft_status name_list(weft_session *session, const int32_t *list, size_t count, weft_names *out) {
  WEFT_TRY(weft_names_reserve(&session->cx, out, count));
  for (size_t i = 0; i < count; i++) {
    WEFT_TRY(weft_names_put(&session->cx, out, session->model->graph->values[list[i]].name, (int32_t)i));
  }
  return WEFT_OK;
}

static weft_status fill_session(weft_session *session, weft_loader *loader) {
  weft_context *cx = &session->cx;
  cx->kernels = weft_kernels_choose(session->options.deterministic);
  if (cx->kernels == NULL) {
    return weft_fail(cx, WEFT_UNSUPPORTED,
                     "this WebAssembly module has relaxed instructions, which %s: give weft.simd.wasm",
                     session->options.deterministic ? "deterministic sessions must not use" : "this host rounds twice");
  }
  cx->plain = session->options.optimize == WEFT_OPTIMIZE_NONE;
  WEFT_TRY(weft_loader_check_ready(loader));
  if (session->options.threads > 1) {
    WEFT_TRY(weft_pool_create(cx, session->options.threads, &cx->pool));
  }
  loader->model.cx = cx;
  WEFT_TRY(weft_model_load(cx, &loader->model, &session->options, &session->model));
  weft_onnx_model_free(&loader->model);
  WEFT_TRY(weft_graph_infer(session->model, interpret, session));
  WEFT_TRY(weft_optimize_model(session->model, &session->options, evaluate, session));
  WEFT_TRY(weft_prepare(&session->state, session->model->graph));
  const weft_graph *graph = session->model->graph;
  mark_unread(session->model->graph);
  weft_mark_caches(session->model->graph);
  cx->node = NULL;
  WEFT_TRY(name_list(session, graph->inputs, graph->input_count, &session->inputs));
  return name_list(session, graph->outputs, graph->output_count, &session->outputs);
}

weft_status weft_session_create(weft_loader *loader, weft_session **out, weft_error *error) {
  void *block;
  *out = NULL;
  loader->cx.error = error != NULL ? error : &loader->ignored;
  weft_status status = weft_alloc_zeroed(&loader->cx, 1, sizeof(weft_session), &block);
  if (status != WEFT_OK) {
    weft_loader_destroy(loader);
    return status;
  }
  weft_session *session = block;
  session->cx = loader->cx;
  weft_memory_retain(session->cx.memory);
  session->options = loader->options;
  session->random = session->options.seed != 0       ? session->options.seed
                    : session->options.deterministic ? WEFT_FIXED_SEED
                                                     : weft_seed(session);
  session->state = (weft_run_state){.cx = &session->cx, .strings = &session->strings, .random = &session->random};
  enter(session, error);
  status = fill_session(session, loader);
  weft_loader_destroy(loader);
  if (status != WEFT_OK) {
    weft_session_destroy(session);
    return status;
  }
  *out = session;
  return WEFT_OK;
}

void weft_session_destroy(weft_session *session) {
  if (session == NULL) {
    return;
  }
  weft_memory *memory = session->cx.memory;
  weft_run_state_free(&session->state);
  weft_names_free(&session->inputs);
  weft_names_free(&session->outputs);
  if (session->model != NULL) {
    weft_graph_destroy_plans(session->model->graph);
    weft_model_destroy(session->model);
  }
  weft_strings_release(session->strings);
  weft_profile_free(&session->profile);
  weft_pool_destroy(session->cx.pool);
  weft_free(session);
  weft_memory_release(memory);
}

/* ---- what it takes and gives ------------------------------------------------------------------------------------- */
size_t weft_session_input_count(const weft_session *session) {
  return session->model->graph->input_count;
}
size_t weft_session_output_count(const weft_session *session) {
  return session->model->graph->output_count;
}

static weft_status get_info(weft_session *session, const char *what, const int32_t *list, size_t count, size_t index,
                            const weft_info *told, weft_info *out, weft_error *error) {
  enter(session, error);
  memset(out, 0, sizeof *out);
  if (index >= count) {
    return weft_fail(&session->cx, WEFT_INVALID_ARGUMENT, "the model has %zu %ss: there is no number %zu", count, what,
                     index);
  }
  const weft_slot *slot = &session->model->graph->values[list[index]];
  *out = told != NULL ? told[index] : slot->info;
  out->name = slot->name;
  out->optional = slot->is_input && slot->constant != NULL;
  return WEFT_OK;
}

weft_status weft_session_input_info(const weft_session *session, size_t index, weft_info *out, weft_error *error) {
  const weft_graph *graph = session->model->graph;
  return get_info((weft_session *)session, "input", graph->inputs, graph->input_count, index, NULL, out, error);
}

weft_status weft_session_output_info(const weft_session *session, size_t index, weft_info *out, weft_error *error) {
  const weft_graph *graph = session->model->graph;
  return get_info((weft_session *)session, "output", graph->outputs, graph->output_count, index, graph->told, out,
                  error);
}

size_t weft_session_warning_count(const weft_session *session) {
  return session->model->warning_count;
}

const char *weft_session_warning(const weft_session *session, size_t index) {
  const weft_model *model = session->model;
  return index < model->warning_count ? model->warnings[index].sentence : NULL;
}

void weft_session_cancel(weft_session *session) {
  session->cx.cancelled = 1;
}
volatile int32_t *weft_session_cancel_flag(weft_session *session) {
  return &session->cx.cancelled;
}

void weft_session_memory(const weft_session *session, size_t *used, size_t *peak) {
  *used = session->cx.memory->used;
  *peak = session->cx.memory->peak;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
static const char *kind_name(weft_kind kind) {
  static const char *const names[] = {"an absent optional", "a tensor", "a sequence", "a map"};
  return names[kind];
}

/* The names in `list`, for a message: "'a', 'b'", cut to the room there is. */
static const char *print_names(const weft_graph *graph, const int32_t *list, size_t count, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (size_t i = 0; i < count && used + 8 < size; i++) {
    const char *name = graph->values[list[i]].name;
    size_t length = strlen(name), room = size - used - 7;
    length = length < room ? length : room;
    memcpy(text + used, used == 0 ? "'" : ", '", used == 0 ? 1 : 3);
    used += used == 0 ? 1 : 3;
    memcpy(text + used, name, length);
    used += length;
    text[used++] = '\'';
    text[used] = 0;
  }
  return text;
}

static weft_status find_name(weft_session *session, const char *what, const weft_names *known, const int32_t *list,
                             size_t count, const char *name, int32_t *index) {
  char names[512];
  if (weft_names_find(known, name, index)) {
    return WEFT_OK;
  }
  return weft_fail(&session->cx, WEFT_INVALID_ARGUMENT, "the model has no %s '%.200s': its %ss are %s", what, name,
                   what, print_names(session->model->graph, list, count, names, sizeof names));
}

static weft_status find_output(weft_session *session, const char *name, int32_t *index) {
  const weft_graph *graph = session->model->graph;
  return find_name(session, "output", &session->outputs, graph->outputs, graph->output_count, name, index);
}

/* " [N,3,224,224]" of what is declared, nothing of what has no shape. */
static const char *print_declared(const weft_info *info, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  if (info->kind != WEFT_KIND_TENSOR || info->rank < 0) {
    return text;
  }
  text[used++] = ' ';
  text[used++] = '[';
  for (int i = 0; i < info->rank && used + 32 < size; i++) {
    weft_shape one = {.rank = 1, .dims = {info->dims[i]}};
    char number[32];
    const char *dim = info->dims[i] >= 0 ? weft_shape_print(&one, number, sizeof number) : info->symbols[i];
    size_t length = dim == NULL ? 0 : strlen(dim);
    if (i > 0) {
      text[used++] = ',';
    }
    if (info->dims[i] >= 0) { /* without the brackets */
      dim += 1;
      length -= 2;
    } else if (length == 0 || length > 24) {
      dim = "?";
      length = 1;
    }
    memcpy(text + used, dim, length);
    used += length;
  }
  text[used++] = ']';
  text[used] = 0;
  return text;
}

static weft_status check_feed(weft_session *session, const weft_slot *slot, const weft_value *feed) {
  weft_context *cx = &session->cx;
  const weft_info *info = &slot->info;
  bool may_be_absent = info->optional && slot->constant == NULL;
  if (info->kind == WEFT_KIND_NONE || (feed->kind == WEFT_KIND_NONE && may_be_absent)) {
    return WEFT_OK; /* nothing declared, or an absent optional */
  }
  if (feed->kind != info->kind) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT, "input '%s': expected %s, found %s", slot->name, kind_name(info->kind),
                     kind_name(feed->kind));
  }
  if (feed->kind != WEFT_KIND_TENSOR) {
    return WEFT_OK;
  }
  char declared[256], found[96];
  const weft_shape *shape = &feed->tensor.shape;
  if (info->type != WEFT_UNDEFINED && feed->tensor.type != info->type) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT, "input '%s': expected %s, found %s", slot->name,
                     weft_type_name(info->type), weft_type_name(feed->tensor.type));
  }
  bool fits = info->rank < 0 || info->rank == shape->rank;
  for (int i = 0; fits && i < info->rank; i++) {
    fits = info->dims[i] < 0 || info->dims[i] == shape->dims[i];
  }
  if (!fits) {
    return weft_fail(cx, WEFT_INVALID_ARGUMENT, "input '%s': expected shape%s, found %s", slot->name,
                     print_declared(info, declared, sizeof declared), weft_shape_print(shape, found, sizeof found));
  }
  return WEFT_OK;
}

/* `dense` receives what is made of feeds for this run. */
static weft_status bind_feeds(weft_session *session, size_t count, const char *const *names, weft_value *const *feeds,
                              weft_value **inputs, weft_value **dense) {
  const weft_graph *graph = session->model->graph;
  for (size_t i = 0; i < count; i++) {
    int32_t at;
    WEFT_TRY(find_name(session, "input", &session->inputs, graph->inputs, graph->input_count, names[i], &at));
    if (inputs[at] != NULL) {
      return weft_fail(&session->cx, WEFT_INVALID_ARGUMENT, "input '%s' is fed twice", names[i]);
    }
    if (feeds[i] == NULL) {
      return weft_fail(&session->cx, WEFT_INVALID_ARGUMENT, "input '%s': expected a value, found nothing", names[i]);
    }
    const weft_slot *slot = &graph->values[graph->inputs[at]];
    WEFT_TRY(check_feed(session, slot, feeds[i]));
    if (!slot->is_cache) {
      WEFT_TRY(weft_value_dense(&session->cx, feeds[i], &dense[at]));
    }
    inputs[at] = slot->is_cache ? feeds[i] : dense[at];
  }
  for (size_t i = 0; i < graph->input_count; i++) {
    const weft_slot *slot = &graph->values[graph->inputs[i]];
    char declared[256];
    if (inputs[i] == NULL && slot->constant == NULL) {
      bool tensor = slot->info.kind == WEFT_KIND_TENSOR;
      return weft_fail(&session->cx, WEFT_INVALID_ARGUMENT, "input '%s' is missing: expected %s%s", slot->name,
                       tensor ? weft_type_name(slot->info.type) : kind_name(slot->info.kind),
                       print_declared(&slot->info, declared, sizeof declared));
    }
  }
  return WEFT_OK;
}

/* The first of the graph's inputs before number `end` that has a dimension with this name but of another size; -1:
 * none. */
static int64_t find_size(const weft_graph *graph, weft_value *const *inputs, size_t end, const char *symbol,
                         int64_t size, size_t *input) {
  for (size_t i = 0; i < end; i++) {
    const weft_info *info = &graph->values[graph->inputs[i]].info;
    for (int d = 0; inputs[i] != NULL && inputs[i]->kind == WEFT_KIND_TENSOR && d < info->rank; d++) {
      const int64_t other = inputs[i]->tensor.shape.dims[d];
      if (info->symbols[d] == symbol && other != size) {
        *input = i;
        return other;
      }
    }
  }
  return -1;
}

/* Feeds that give one name two sizes may run all the same, unless nodes were put together because of the name. So this is
 * told when a run has failed. */
static void explain_sizes(weft_session *session, weft_value *const *inputs) {
  const weft_graph *graph = session->model->graph;
  char *message = session->cx.error->message;
  const size_t used = strlen(message), room = sizeof session->cx.error->message;
  for (size_t i = 0; i < graph->input_count; i++) {
    const weft_slot *slot = &graph->values[graph->inputs[i]];
    for (int d = 0; inputs[i] != NULL && inputs[i]->kind == WEFT_KIND_TENSOR && d < slot->info.rank; d++) {
      const int64_t size = inputs[i]->tensor.shape.dims[d];
      const char *symbol = slot->info.symbols[d];
      size_t first;
      const int64_t other = symbol != NULL ? find_size(graph, inputs, i + 1, symbol, size, &first) : -1;
      if (other >= 0) {
        weft_print(message + used, room - used,
                   "; the model has one size '%.40s' for input '%.60s', here %lld, and '%.60s', here %lld", symbol,
                   graph->values[graph->inputs[first]].name, (long long)other, slot->name, (long long)size);
        return;
      }
    }
  }
}

static weft_status run(weft_session *session, size_t feed_count, const char *const *feed_names,
                       weft_value *const *feeds, size_t output_count, const char *const *output_names,
                       weft_value **made, weft_value **outputs) {
  const weft_graph *graph = session->model->graph;
  weft_value **inputs = made + graph->output_count, **dense = inputs + graph->input_count;
  WEFT_TRY(bind_feeds(session, feed_count, feed_names, feeds, inputs, dense));
  for (size_t i = 0; i < output_count; i++) {
    int32_t at;
    WEFT_TRY(find_output(session, output_names[i], &at));
  }
  weft_status status = weft_execute(&session->state, session->model->graph, graph->input_count, inputs, NULL, made);
  if (status == WEFT_INVALID_MODEL) {
    explain_sizes(session, inputs);
  }
  WEFT_TRY(status);
  for (size_t i = 0; i < output_count; i++) {
    int32_t at;
    WEFT_TRY(find_output(session, output_names[i], &at));
    WEFT_TRY(weft_value_own_strings(&session->cx, &made[at]));
    outputs[i] = made[at];
    outputs[i]->result_of = &session->cx;
    weft_value_retain(made[at]);
  }
  return WEFT_OK;
}

static weft_status run_alone(weft_session *session, size_t feed_count, const char *const *feed_names,
                             weft_value *const *feeds, size_t output_count, const char *const *output_names,
                             weft_value **outputs, weft_error *error) {
  const weft_graph *graph = session->model->graph;
  uint64_t random = session->random;
  void *made;
  enter(session, error);
  session->cx.cancelled = 0;
  WEFT_TRY(weft_alloc_zeroed(&session->cx, graph->output_count + 2 * graph->input_count, sizeof(weft_value *), &made));
  uint32_t entry = weft_profile_enter(&session->cx, session->state.profile, NULL);
  weft_status status = run(session, feed_count, feed_names, feeds, output_count, output_names, made, outputs);
  weft_profile_leave(session->state.profile, entry, NULL);
  for (size_t i = 0; i < graph->output_count; i++) {
    weft_value_release(((weft_value **)made)[i]);
  }
  for (size_t i = 0; i < graph->input_count; i++) {
    weft_value_release(((weft_value **)made)[graph->output_count + graph->input_count + i]);
  }
  weft_free(made);
  weft_strings_release(session->strings);
  session->strings = NULL;
  if (status != WEFT_OK) {
    session->random = random; /* a run that is begun again meets the same numbers */
  }
  for (size_t i = 0; i < output_count && status != WEFT_OK; i++) {
    weft_value_release(outputs[i]);
    outputs[i] = NULL;
  }
  return status;
}

weft_status weft_session_run(weft_session *session, size_t feed_count, const char *const *feed_names,
                             weft_value *const *feeds, size_t output_count, const char *const *output_names,
                             weft_value **outputs, weft_error *error) {
  for (size_t i = 0; i < output_count; i++) {
    outputs[i] = NULL;
  }
  if (atomic_exchange(&session->running, true)) {
    weft_error ignored;
    weft_context cx = {.error = error != NULL ? error : &ignored}; /* the session's is in use */
    return weft_fail(&cx, WEFT_INVALID_ARGUMENT, "the session is running: its next run has to wait for that");
  }
  weft_status status = run_alone(session, feed_count, feed_names, feeds, output_count, output_names, outputs, error);
  atomic_store(&session->running, false);
  return status;
}

/* ---- where the time goes ----------------------------------------------------------------------------------------- */
void weft_session_profile(weft_session *session, const weft_clock *clock) {
  session->state.profile = NULL;
  if (clock != NULL) {
    weft_profile_free(&session->profile);
    session->profile = (weft_profile){.clock = *clock, .open = WEFT_PROFILE_ROOT};
    session->state.profile = &session->profile;
  }
}

size_t weft_session_profile_count(const weft_session *session) {
  return session->profile.count;
}
size_t weft_session_profile_dropped(const weft_session *session) {
  return session->profile.dropped;
}

bool weft_session_profile_at(const weft_session *session, size_t index, weft_profile_entry *out) {
  if (index >= session->profile.count) {
    return false;
  }
  *out = session->profile.entries[index];
  return true;
}

weft_status weft_session_measure(weft_session *session, const weft_clock *clock, weft_limits *out, weft_error *error) {
  enter(session, error);
  return weft_measure(&session->cx, clock, out);
}
