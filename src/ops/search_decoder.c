/* The graphs of a search for texts: what they are fed and what they give. A decoder takes the new words and, for each
 * layer, what it kept of the words before; it gives scores of the next word and what it keeps now. One that stands alone
 * (GPT) also takes the words' places and a mask of all words, and begins with the words that are given. One with an
 * encoder (T5, BART, Whisper) takes what its layers see of the encoder's input, which the encoder gives; an encoder may
 * also do the decoder's first turn. How words are chosen is not known here. */
#include "../base/convert.h"
#include "search.h"

#include <string.h>

static weft_status new_input(weft_search *s, size_t i, weft_type type, const weft_shape *shape) {
  weft_value_release(s->inputs[i]);
  s->inputs[i] = NULL;
  return weft_value_new_tensor(s->op->cx, type, shape, &s->inputs[i]);
}

/* A value whose dimension `axis` is rows, or batches, of which each row gets its own: by its source's row. */
static weft_status follow_sources(weft_search *s, weft_value *from, int axis, weft_value **out) {
  const weft_tensor *x = &from->tensor;
  weft_shape shape = x->shape;
  bool is_tensor = from->kind == WEFT_KIND_TENSOR && shape.rank > axis;
  size_t rows = is_tensor ? (size_t)shape.dims[axis] : 0;
  if (!is_tensor || (rows != s->rows && rows != s->batch)) {
    return weft_op_fail(s->op, "the decoder keeps what does not belong to %zu texts", s->rows);
  }
  bool same = rows == s->rows;
  for (size_t row = 0; row < s->rows; row++) {
    same = same && s->sources[row] == row;
  }
  if (same) {
    weft_value_retain(from);
    *out = from;
    return WEFT_OK;
  }
  shape.dims[axis] = (int64_t)s->rows;
  WEFT_TRY(weft_value_new_tensor(s->op->cx, x->type, &shape, out));
  size_t outer = weft_shape_product(&shape, 0, axis), share = s->rows / rows;
  size_t size = weft_shape_product(&shape, axis + 1, shape.rank) * weft_type_size(x->type);
  for (size_t i = 0; i < outer * s->rows && size > 0; i++) {
    size_t row = i / s->rows * rows + s->sources[i % s->rows] / share;
    memcpy((char *)(*out)->tensor.data + i * size, (const char *)x->data + row * size, size);
  }
  return WEFT_OK;
}

/* ---- decoders that stand alone ----------------------------------------------------------------------------------- */
/* What the layers keep begins with no rows; how wide they are the decoder declares. */
static weft_status begin_layers(weft_search *s) {
  const weft_graph *g = s->graph;
  for (size_t i = 0; i < s->layers; i++) {
    const weft_info *info = &g->values[g->inputs[s->lead + i]].info;
    if (info->rank != 5 || info->dims[2] < 1 || info->dims[4] < 1 ||
        (info->type != WEFT_FLOAT && info->type != WEFT_FLOAT16)) {
      return weft_op_fail(s->op, "input %zu of the decoder does not declare heads and their size", s->lead + i);
    }
    weft_shape shape = {5, {2, (int64_t)s->rows, info->dims[2], 0, info->dims[4]}};
    WEFT_TRY(new_input(s, s->lead + i, info->type, &shape));
  }
  return WEFT_OK;
}

/* The words that are new, the places of all but padding (whatever a mask says, as ONNX Runtime has it), and which count.
 */
static weft_status feed_places(weft_search *s) {
  const weft_tensor *given = weft_op_in(s->op, s->roles->mask),
                    *old = s->length > s->first ? &s->inputs[2]->tensor : NULL;
  size_t fresh = old == NULL ? s->first : 1;
  weft_shape words = {2, {(int64_t)s->rows, (int64_t)fresh}}, all = {2, {(int64_t)s->rows, (int64_t)s->length}};
  weft_value *mask = NULL;
  WEFT_TRY(weft_value_new_tensor(s->op->cx, WEFT_INT32, &all, &mask));
  int32_t *seen = mask->tensor.data;
  for (size_t row = 0; row < s->rows; row++) {
    for (size_t i = 0; i < s->length; i++) {
      int32_t counts = i >= s->first   ? 1
                       : old != NULL   ? ((const int32_t *)old->data)[s->sources[row] * (s->length - 1) + i]
                       : given != NULL ? ((const int32_t *)given->data)[row / s->beams * s->first + i]
                                       : s->texts[row * s->most + i] != s->padding;
      seen[row * s->length + i] = counts;
    }
  }
  weft_value_release(s->inputs[2]);
  s->inputs[2] = mask;
  WEFT_TRY(new_input(s, 1, WEFT_INT32, &words));
  int32_t *places = s->inputs[1]->tensor.data;
  for (size_t row = 0; row < s->rows; row++) {
    int32_t place = 0;
    for (size_t i = 0; i < s->length; i++) {
      bool counts = i >= s->first || s->texts[row * s->most + i] != s->padding;
      if (i + fresh >= s->length) {
        places[row * fresh + i + fresh - s->length] = counts ? place : 0;
      }
      place += counts;
    }
  }
  return WEFT_OK;
}

/* ---- decoders with an encoder ------------------------------------------------------------------------------------ */
/* Which words of the encoder's text count: as given, or all but the padding in front (an end may look like padding). */
static weft_status make_mask(weft_search *s, weft_value **out) {
  const weft_tensor *ids = weft_op_in(s->op, WEFT_SEARCH_IDS), *given = weft_op_in(s->op, s->roles->mask);
  size_t length = (size_t)ids->shape.dims[1];
  WEFT_TRY(weft_value_new_tensor(s->op->cx, WEFT_INT32, &ids->shape, out));
  int32_t *mask = (*out)->tensor.data;
  for (size_t row = 0; row < s->batch; row++) {
    int32_t begun = 0;
    for (size_t i = row * length; i < (row + 1) * length; i++) {
      begun |= ((const int32_t *)ids->data)[i] != s->padding;
      mask[i] = given != NULL ? ((const int32_t *)given->data)[i] : begun;
    }
  }
  return WEFT_OK;
}

/* The first words of each batch. */
static weft_status make_words(weft_search *s, weft_value **out) {
  weft_shape shape = {2, {(int64_t)s->batch, (int64_t)s->first}};
  WEFT_TRY(weft_value_new_tensor(s->op->cx, WEFT_INT32, &shape, out));
  for (size_t b = 0; b < s->batch; b++) {
    memcpy((int32_t *)(*out)->tensor.data + b * s->first, s->texts + b * s->beams * s->most,
           s->first * sizeof(int32_t));
  }
  return WEFT_OK;
}

/* The decoder's inputs and, if the encoder has done its first turn, its outputs, from the encoder's: those of the turn
 * are the scores, what the encoder made of its input, and what each layer keeps; behind them, or alone, is what each
 * layer sees of the encoder. */
static weft_status take_encoded(weft_search *s, weft_value *mask, weft_value **made, bool begun) {
  size_t first = begun ? 2 + s->layers : 0;
  for (size_t i = 0; i < s->layers; i++) {
    WEFT_TRY(follow_sources(s, made[first + i], 0, &s->inputs[s->lead + s->layers + i]));
  }
  if (mask != NULL) {
    WEFT_TRY(follow_sources(s, mask, 0, &s->inputs[1]));
  }
  if (s->lead > (mask != NULL ? 2 : 1)) {
    WEFT_TRY(follow_sources(s, made[1], 0, &s->inputs[s->lead - 1]));
  }
  for (size_t i = 0; i < s->layers && !begun; i++) {
    const weft_tensor *like = &s->inputs[s->lead + s->layers + i]->tensor;
    if (like->shape.rank != 4) {
      return weft_op_fail(s->op, "output %zu of the encoder has %d dimensions, expected 4", i, like->shape.rank);
    }
    weft_shape none = like->shape;
    none.dims[2] = 0;
    WEFT_TRY(new_input(s, s->lead + i, like->type, &none));
  }
  for (size_t i = 0; i <= s->layers && begun; i++) {
    size_t from = i == 0 ? 0 : 1 + i;
    s->outputs[i] = made[from];
    made[from] = NULL;
  }
  return WEFT_OK;
}

static weft_status run_encoder(weft_search *s) {
  weft_op *op = s->op;
  weft_graph *encoder = weft_op_attr_graph(op, "encoder");
  size_t lead = s->model == WEFT_SEARCH_WHISPER ? 1 : 2; /* the encoder's inputs without the first words */
  bool begun = encoder->input_count == lead + 1;
  if ((!begun && (encoder->input_count != lead || s->lead > lead)) ||
      encoder->output_count != (begun ? 2 + s->layers : 0) + s->layers) {
    return weft_op_unsupported(op, "an encoder of %zu inputs and %zu outputs", encoder->input_count,
                               encoder->output_count);
  }
  void *block;
  WEFT_TRY(weft_search_take(s, encoder->output_count, 1, sizeof(weft_value *), &block));
  weft_value **made = block, *mask = NULL, *words = NULL;
  weft_status status = lead > 1 ? make_mask(s, &mask) : WEFT_OK;
  status = status == WEFT_OK && begun ? make_words(s, &words) : status;
  if (status == WEFT_OK) {
    weft_value *inputs[3] = {op->inputs[WEFT_SEARCH_IDS], lead > 1 ? mask : words, words};
    status = op->host->run_graph(op, encoder, encoder->input_count, inputs, made);
  }
  status = status == WEFT_OK ? take_encoded(s, mask, made, begun) : status;
  weft_value_release(mask);
  weft_value_release(words);
  for (size_t i = 0; i < encoder->output_count; i++) {
    weft_value_release(made[i]);
  }
  return status;
}

weft_status weft_search_begin(weft_search *s) {
  void *block;
  const weft_graph *g = s->graph;
  bool alone = s->model == WEFT_SEARCH_GPT;
  s->axis = alone;
  s->lead = alone ? 3 : s->model == WEFT_SEARCH_T5 ? 2 : 1;
  s->lead +=
      !alone && g->input_count > s->lead && strcmp(g->values[g->inputs[s->lead]].name, "encoder_hidden_states") == 0;
  s->layers = g->output_count - 1;
  if (s->layers == 0 || g->input_count != s->lead + s->layers * (alone ? 1 : 2)) {
    return weft_op_unsupported(s->op, "a decoder of %zu inputs and %zu outputs", g->input_count, g->output_count);
  }
  WEFT_TRY(weft_search_take(s, g->input_count, 1, sizeof(weft_value *), &block));
  s->inputs = block;
  WEFT_TRY(weft_search_take(s, g->output_count, 1, sizeof(weft_value *), &block));
  s->outputs = block;
  return alone ? begin_layers(s) : run_encoder(s);
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */
/* The words that are new; all of them for decoders that take more than one at a time beside what they have kept. */
static weft_status feed_words(weft_search *s) {
  const weft_info *info = &s->graph->values[s->graph->inputs[0]].info;
  bool one = s->model == WEFT_SEARCH_GPT || (info->rank == 2 && info->dims[1] == 1);
  size_t fresh = one && s->length > s->first ? 1 : s->length;
  weft_shape shape = {2, {(int64_t)s->rows, (int64_t)fresh}};
  WEFT_TRY(new_input(s, 0, WEFT_INT32, &shape));
  for (size_t row = 0; row < s->rows; row++) {
    memcpy((int32_t *)s->inputs[0]->tensor.data + row * fresh, s->texts + row * s->most + s->length - fresh,
           fresh * sizeof(int32_t));
  }
  return s->model == WEFT_SEARCH_GPT ? feed_places(s) : WEFT_OK;
}

static weft_status take_scores(weft_search *s) {
  weft_op *op = s->op;
  const weft_tensor *logits = &s->outputs[0]->tensor;
  const int64_t *dims = logits->shape.dims;
  int64_t vocabulary = weft_op_attr_int(op, "vocab_size", -1);
  if (s->outputs[0]->kind != WEFT_KIND_TENSOR || logits->shape.rank != 3 ||
      (dims[0] != (int64_t)s->rows && dims[0] != (int64_t)s->batch) || dims[1] < 1 || dims[2] < vocabulary ||
      dims[2] < (int64_t)s->words || dims[2] < 1 || (logits->type != WEFT_FLOAT && logits->type != WEFT_FLOAT16)) {
    char text[96];
    return weft_op_fail(op, "the decoder's scores, %s %s, do not fit %zu texts", weft_type_name(logits->type),
                        weft_shape_print(&logits->shape, text, sizeof text), s->rows);
  }
  size_t columns = (size_t)dims[2], fresh = (size_t)dims[1], share = s->rows / (size_t)dims[0];
  if (s->words == 0) {
    void *scores;
    s->words = vocabulary > 0 ? (size_t)vocabulary : columns;
    WEFT_TRY(weft_search_take(s, s->rows, s->words, sizeof(float), &scores));
    s->scores = scores;
  }
  for (size_t row = 0; row < s->rows; row++) {
    weft_load_float(logits->type, logits->data, ((row / share + 1) * fresh - 1) * columns, 1, s->words,
                    s->scores + row * s->words);
  }
  return WEFT_OK;
}

weft_status weft_search_decode(weft_search *s) {
  weft_op *op = s->op;
  if (op->cx->cancelled) {
    return weft_fail(op->cx, WEFT_CANCELLED, "the run was cancelled");
  }
  if (s->outputs[0] == NULL) { /* else the encoder has done this turn */
    weft_graph *begin = s->length == s->first ? weft_op_attr_graph(op, "init_decoder") : NULL;
    weft_graph *graph = begin != NULL ? begin : s->graph;
    if (graph->input_count != s->graph->input_count || graph->output_count != s->graph->output_count) {
      return weft_op_fail(op, "init_decoder and decoder differ in their inputs or outputs");
    }
    WEFT_TRY(feed_words(s));
    WEFT_TRY(op->host->run_graph(op, graph, graph->input_count, s->inputs, s->outputs));
  }
  return take_scores(s);
}

static void release(weft_value **values, size_t count) {
  for (size_t i = 0; values != NULL && i < count; i++) {
    weft_value_release(values[i]);
    values[i] = NULL;
  }
}

weft_status weft_search_go_on(weft_search *s) {
  for (size_t row = 0; row < s->rows; row++) {
    int32_t *to = s->others + row * s->most;
    memcpy(to, s->texts + s->sources[row] * s->most, s->length * sizeof *to);
    to[s->length] = s->next[row];
  }
  int32_t *texts = s->texts;
  s->texts = s->others;
  s->others = texts;
  s->length++;
  for (size_t i = 0; i < s->layers; i++) {
    weft_value **kept = &s->inputs[s->lead + i];
    weft_value_release(*kept);
    *kept = NULL;
    WEFT_TRY(follow_sources(s, s->outputs[1 + i], s->axis, kept));
  }
  release(s->outputs, s->graph->output_count);
  return WEFT_OK;
}

void weft_search_release(weft_search *s) {
  release(s->inputs, s->graph->input_count);
  release(s->outputs, s->graph->output_count);
}
