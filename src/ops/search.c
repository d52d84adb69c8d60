/* com.microsoft's GreedySearch, Sampling, BeamSearch and WhisperBeamSearch: text that a decoder, which is a subgraph of
 * the node, writes word by word, alone (GPT) or with what an encoder made of a text (T5, BART) or of what was heard
 * (Whisper). Here is what is asked, how words are chosen, which the operators differ in, and the answer. */
#include "search.h"
#include "../base/convert.h"
#include "../base/elementary.h"

#include <math.h>
#include <string.h>

static const weft_search_roles roles_of[] = {
    [WEFT_SEARCH_GREEDY] = {-1, -1, -1, 3, 4, 5, 6, 7},
    [WEFT_SEARCH_BEAMS] = {3, 4, 5, 6, 7, 8, 9, 12},
    [WEFT_SEARCH_SAMPLING] = {-1, -1, -1, 3, 4, 5, 6, 9},
    [WEFT_SEARCH_SPEECH] = {3, 4, 5, 6, 7, 8, 9, 15},
};
enum { ALL_SCORES = 2, CROSS = 3, SILENCE = 4 }; /* outputs */

/* ---- what is asked ---------------------------------------------------------------------------------------------- */
weft_status weft_search_take(weft_search *s, size_t a, size_t b, size_t size, void **out) {
  size_t count, bytes;
  if (!weft_mul(a, b, &count) || !weft_mul(count, size, &bytes)) {
    return weft_fail(s->op->cx, WEFT_OUT_OF_MEMORY, "the texts are larger than the address space");
  }
  WEFT_TRY(weft_op_scratch(s->op, bytes, out));
  memset(*out, 0, bytes);
  return WEFT_OK;
}

static weft_status read_model(weft_search *s) {
  weft_op *op = s->op;
  bool speech = op->def->variant == WEFT_SEARCH_SPEECH;
  int64_t model = weft_op_attr_int(op, "model_type", speech ? WEFT_SEARCH_WHISPER : WEFT_SEARCH_GPT);
  s->graph = weft_op_attr_graph(op, "decoder");
  if (s->graph == NULL || s->graph->output_count < 1) {
    return weft_op_fail(op, "attribute decoder: expected a graph with outputs");
  }
  if (model < WEFT_SEARCH_GPT || model > WEFT_SEARCH_WHISPER || (speech && model != WEFT_SEARCH_WHISPER) ||
      (s->roles->beams < 0 && model == WEFT_SEARCH_WHISPER)) {
    return weft_op_unsupported(op, "attribute model_type is %lld", (long long)model);
  }
  s->model = (weft_search_model)model;
  if ((weft_op_attr_graph(op, "encoder") != NULL) != (s->model != WEFT_SEARCH_GPT)) {
    return weft_op_fail(op, "attribute encoder: expected a graph where model_type is 1 or 2, which is %lld here",
                        (long long)model);
  }
  s->has_extras = speech;
  return WEFT_OK;
}

/* The encoder's input, or the words that begin all texts; how many of those there are. */
static weft_status read_texts(weft_search *s, int64_t *first) {
  weft_op *op = s->op;
  bool speech = s->model == WEFT_SEARCH_WHISPER;
  WEFT_TRY(weft_op_expect_inputs(op, 2, s->roles->inputs));
  WEFT_TRY(weft_op_expect_type(op, WEFT_SEARCH_IDS, "input_ids",
                               speech ? WEFT_TYPE_BIT(WEFT_FLOAT) | WEFT_TYPE_BIT(WEFT_FLOAT16)
                                      : WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_rank(op, WEFT_SEARCH_IDS, "input_ids", speech ? 3 : 2, speech ? 3 : 2));
  const weft_shape *ids = &weft_op_in(op, WEFT_SEARCH_IDS)->shape;
  *first = s->model == WEFT_SEARCH_GPT ? ids->dims[1] : 1;
  if (s->roles->beams >= 0 && speech) {
    const weft_tensor *words = weft_op_in(op, WEFT_SEARCH_FIRST_WORDS);
    WEFT_TRY(weft_op_expect_type(op, WEFT_SEARCH_FIRST_WORDS, "decoder_input_ids", WEFT_TYPE_BIT(WEFT_INT32)));
    WEFT_TRY(weft_op_expect_rank(op, WEFT_SEARCH_FIRST_WORDS, "decoder_input_ids", 2, 2));
    if (words != NULL && words->shape.dims[0] != ids->dims[0]) {
      return weft_op_run_fail(op, "decoder_input_ids holds %lld texts, expected %lld", (long long)words->shape.dims[0],
                              (long long)ids->dims[0]);
    }
    *first = words != NULL ? words->shape.dims[1] : 1;
  }
  for (int i = WEFT_SEARCH_FIRST_WORDS; i < op->input_count && s->roles->beams >= 0 && !speech; i++) {
    if (weft_op_has(op, i)) {
      return weft_op_unsupported(op, "input %d", i);
    }
  }
  return WEFT_OK;
}

static weft_status read_inputs(weft_search *s) {
  weft_op *op = s->op;
  const weft_search_roles *r = s->roles;
  int64_t most, least, beams, returned, first, processor;
  double repetition, penalty, temperature;
  WEFT_TRY(read_texts(s, &first));
  WEFT_TRY(weft_op_scalar_int(op, WEFT_SEARCH_MAX_LENGTH, "max_length", 0, &most));
  WEFT_TRY(weft_op_scalar_int(op, WEFT_SEARCH_MIN_LENGTH, "min_length", 0, &least));
  WEFT_TRY(weft_op_scalar_int(op, r->beams, "num_beams", 1, &beams));
  WEFT_TRY(weft_op_scalar_int(op, r->returned, "num_return_sequences", 1, &returned));
  WEFT_TRY(weft_op_scalar_float(op, r->length_penalty, "length_penalty", 1, &penalty));
  WEFT_TRY(weft_op_scalar_float(op, r->repetition, "repetition_penalty", 1, &repetition));
  bool speech = s->model == WEFT_SEARCH_WHISPER;
  WEFT_TRY(weft_op_scalar_int(op, speech ? WEFT_SEARCH_PROCESSOR : -1, "logits_processor", 0, &processor));
  WEFT_TRY(weft_op_scalar_float(op, s->has_extras ? WEFT_SEARCH_TEMPERATURE : -1, "temperature", 1, &temperature));
  const weft_shape *ids = &weft_op_in(op, WEFT_SEARCH_IDS)->shape;
  if (ids->dims[0] < 1 || ids->dims[1] < 1 || first < 1 || most <= first || most > INT32_MAX || beams < 1 ||
      beams > INT32_MAX || returned < 1 || returned > beams || !(repetition > 0) || !(temperature > 0)) {
    char text[96];
    return weft_op_run_fail(op, "input_ids of shape %s, %lld first words, max_length %lld, %lld beams, %lld wanted",
                            weft_shape_print(ids, text, sizeof text), (long long)first, (long long)most,
                            (long long)beams, (long long)returned);
  }
  s->batch = (size_t)ids->dims[0];
  s->beams = (size_t)beams;
  s->returned = (size_t)returned;
  s->first = s->length = (size_t)first;
  s->most = (size_t)most;
  s->least = least < 0 ? 0 : (size_t)least;
  s->penalty = penalty;
  s->repetition = (float)repetition;
  s->temperature = (float)temperature;
  s->has_times = processor == 1;
  int64_t ngram = weft_op_attr_int(op, "no_repeat_ngram_size", 0);
  s->ngram = ngram < 0 ? 0 : (size_t)ngram;
  s->end = (int32_t)weft_op_attr_int(op, "eos_token_id", -1);
  s->padding = (int32_t)weft_op_attr_int(op, "pad_token_id", -1);
  const weft_tensor *like = weft_op_in(op, speech                           ? WEFT_SEARCH_IDS
                                           : weft_op_has(op, r->repetition) ? r->repetition
                                                                            : r->length_penalty);
  s->type = like != NULL && like->type == WEFT_FLOAT16 ? WEFT_FLOAT16 : WEFT_FLOAT;
  return weft_mul(s->batch, s->beams, &s->rows)
             ? WEFT_OK
             : weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the texts are larger than the address space");
}

static weft_status check_mask(weft_search *s) {
  const weft_tensor *mask = weft_op_in(s->op, s->roles->mask), *ids = weft_op_in(s->op, WEFT_SEARCH_IDS);
  WEFT_TRY(weft_op_expect_type(s->op, s->roles->mask, "attention_mask", WEFT_TYPE_BIT(WEFT_INT32)));
  if (mask != NULL && s->model != WEFT_SEARCH_WHISPER && mask->count != ids->count) {
    return weft_op_run_fail(s->op, "attention_mask holds %zu numbers, expected %zu", mask->count, ids->count);
  }
  return WEFT_OK;
}

/* The words that texts begin with: those that are given, or one. */
static weft_status first_words(const weft_search *s, const int32_t **given, int32_t *start) {
  const weft_tensor *words = s->model == WEFT_SEARCH_GPT       ? weft_op_in(s->op, WEFT_SEARCH_IDS)
                             : s->model == WEFT_SEARCH_WHISPER ? weft_op_in(s->op, WEFT_SEARCH_FIRST_WORDS)
                                                               : NULL;
  *given = words != NULL ? words->data : NULL;
  *start = (int32_t)weft_op_attr_int(s->op, "decoder_start_token_id", -1);
  return words != NULL || *start >= 0
             ? WEFT_OK
             : weft_op_fail(s->op, "attribute decoder_start_token_id: expected a word, found %d", (int)*start);
}

/* Each text is there once for each of its beams. */
static weft_status begin_texts(weft_search *s) {
  const int32_t *given;
  int32_t start;
  void *texts, *others, *next, *sources, *sums, *chosen, *done, *ended, *ended_texts, *counts;
  WEFT_TRY(first_words(s, &given, &start));
  WEFT_TRY(weft_search_take(s, s->rows, s->most, sizeof(int32_t), &texts));
  WEFT_TRY(weft_search_take(s, s->rows, s->most, sizeof(int32_t), &others));
  WEFT_TRY(weft_search_take(s, s->rows, 1, sizeof(int32_t), &next));
  WEFT_TRY(weft_search_take(s, s->rows, 1, sizeof(size_t), &sources));
  WEFT_TRY(weft_search_take(s, s->rows, 1, sizeof(double), &sums));
  WEFT_TRY(weft_search_take(s, s->beams, 1, sizeof(double), &chosen));
  WEFT_TRY(weft_search_take(s, s->batch, 1, sizeof(bool), &done));
  WEFT_TRY(weft_search_take(s, s->rows + s->batch, 1, sizeof(weft_hypothesis), &ended));
  WEFT_TRY(weft_search_take(s, s->rows + s->batch, s->most, sizeof(int32_t), &ended_texts));
  WEFT_TRY(weft_search_take(s, s->batch, 1, sizeof(size_t), &counts));
  s->texts = texts;
  s->others = others;
  s->next = next;
  s->sources = sources;
  s->sums = sums;
  s->chosen = chosen;
  s->done = done;
  s->ended = ended;
  s->ended_texts = ended_texts;
  s->ended_count = counts;
  for (size_t row = 0; row < s->rows; row++) {
    for (size_t i = 0; i < s->first; i++) {
      s->texts[row * s->most + i] = given != NULL ? given[row / s->beams * s->first + i] : start;
    }
    s->sources[row] = row;
    s->sums[row] = row % s->beams == 0 ? 0 : -1e9; /* at first all beams are the same: one counts */
  }
  return WEFT_OK;
}

/* ---- GreedySearch ----------------------------------------------------------------------------------------------- */
/* The best word each, or one that is drawn; true when all texts have ended. */
static bool choose_best(weft_search *s) {
  bool all = true;
  for (size_t row = 0; row < s->rows; row++) {
    float *scores = s->scores + row * s->words;
    size_t best = 0;
    for (size_t w = 1; w < s->words && s->random == NULL; w++) {
      best = scores[w] > scores[best] ? w : best;
    }
    best = s->random != NULL ? weft_search_draw(s, row, scores) : best;
    s->done[row] = s->done[row] || (int32_t)best == s->end;
    s->next[row] = s->done[row] ? s->padding : (int32_t)best;
    all = all && s->done[row];
  }
  return all;
}

/* ---- BeamSearch ------------------------------------------------------------------------------------------------- */
static double worth(const weft_search *s, double sum, size_t length) {
  return sum / weft_pow((double)length, s->penalty);
}

/* Keeps a text that has ended among the best of its batch. */
static void end_text(weft_search *s, size_t batch, const int32_t *text, double sum) {
  weft_hypothesis *list = s->ended + batch * (s->beams + 1);
  int32_t *texts = s->ended_texts + batch * (s->beams + 1) * s->most;
  double score = worth(s, sum, s->length);
  size_t at = s->ended_count[batch];
  if (at == s->beams && !(score > list[at - 1].score)) {
    return;
  }
  while (at > 0 && score > list[at - 1].score) {
    list[at] = list[at - 1];
    memcpy(texts + at * s->most, texts + (at - 1) * s->most, s->most * sizeof *texts);
    at--;
  }
  list[at] = (weft_hypothesis){score, s->length};
  memcpy(texts + at * s->most, text, s->length * sizeof *texts);
  s->ended_count[batch] += s->ended_count[batch] < s->beams;
}

/* The best candidate below `bound` in order: rows' sums and words' scores, of equal ones the first; false: no more. */
static bool next_best(const weft_search *s, size_t batch, double bound, size_t bound_at, double *score, size_t *at) {
  bool found = false;
  for (size_t i = 0; i < s->beams * s->words; i++) {
    double here = s->sums[batch * s->beams + i / s->words] + (double)s->scores[batch * s->beams * s->words + i];
    bool after = here < bound || (here == bound && i > bound_at);
    if (after && (!found || here > *score)) {
      *score = here;
      *at = i;
      found = true;
    }
  }
  return found;
}

static void go_on_with_padding(weft_search *s, size_t batch) {
  for (size_t row = batch * s->beams; row < (batch + 1) * s->beams; row++) {
    s->next[row] = s->padding;
    s->sources[row] = row;
  }
}

/* Of twice as many candidates as beams those that have not ended go on. */
static void choose_of_batch(weft_search *s, size_t batch) {
  double score = (double)INFINITY, best = 0;
  size_t at = 0, kept = 0;
  for (size_t k = 0; k < 2 * s->beams && kept < s->beams; k++) {
    double bound = score;
    size_t bound_at = at;
    if (!next_best(s, batch, bound, bound_at, &score, &at)) {
      break;
    }
    best = k == 0 ? score : best;
    size_t row = batch * s->beams + at / s->words, word = at % s->words;
    if ((int32_t)word == s->end) {
      if (k < s->beams) {
        end_text(s, batch, s->texts + row * s->most, score);
      }
      continue;
    }
    s->next[batch * s->beams + kept] = (int32_t)word;
    s->sources[batch * s->beams + kept] = row;
    s->chosen[kept++] = score;
  }
  for (; kept < s->beams; kept++) { /* fewer words than beams */
    s->next[batch * s->beams + kept] = s->padding;
    s->sources[batch * s->beams + kept] = batch * s->beams;
    s->chosen[kept] = -1e9;
  }
  memcpy(s->sums + batch * s->beams, s->chosen, s->beams * sizeof *s->sums);
  if (s->ended_count[batch] == s->beams) {
    double least = s->ended[batch * (s->beams + 1) + s->beams - 1].score;
    s->done[batch] = weft_op_attr_int(s->op, "early_stopping", 0) != 0 || least >= worth(s, best, s->length);
  }
}

/* True when all texts have ended. */
static bool choose_beams(weft_search *s) {
  bool all = true;
  for (size_t b = 0; b < s->batch; b++) {
    if (s->done[b]) {
      go_on_with_padding(s, b);
      continue;
    }
    choose_of_batch(s, b);
    all = all && s->done[b];
  }
  return all;
}

/* ---- the answer ------------------------------------------------------------------------------------------------- */
static weft_status give_greedy(weft_search *s) {
  weft_shape shape = {2, {(int64_t)s->batch, (int64_t)s->most}};
  WEFT_TRY(weft_op_allocate(s->op, 0, WEFT_INT32, &shape));
  int32_t *out = weft_op_out(s->op, 0)->data;
  for (size_t i = 0; i < s->batch * s->most; i++) {
    out[i] = i % s->most < s->length ? s->texts[i] : s->padding;
  }
  return WEFT_OK;
}

static weft_status give_beams(weft_search *s) {
  weft_shape shape = {3, {(int64_t)s->batch, (int64_t)s->returned, (int64_t)s->most}};
  WEFT_TRY(weft_op_allocate(s->op, 0, WEFT_INT32, &shape));
  shape.rank = 2;
  WEFT_TRY(weft_op_allocate(s->op, 1, s->type, &shape));
  for (size_t row = 0; row < s->rows; row++) {
    if (!s->done[row / s->beams]) {
      end_text(s, row / s->beams, s->texts + row * s->most, s->sums[row]);
    }
  }
  weft_tensor *out = weft_op_out(s->op, 0), *scores = weft_op_out(s->op, 1);
  for (size_t i = 0; i < s->batch * s->returned; i++) {
    size_t at = i / s->returned * (s->beams + 1) + i % s->returned;
    const weft_hypothesis *h = &s->ended[at];
    for (size_t k = 0; k < s->most && out != NULL; k++) {
      ((int32_t *)out->data)[i * s->most + k] = k < h->length ? s->ended_texts[at * s->most + k] : s->padding;
    }
    if (scores != NULL) {
      weft_store_double(s->type, &h->score, 1, scores->data, i, 1);
    }
  }
  if (s->silence != NULL) {
    shape.rank = 1;
    WEFT_TRY(weft_op_allocate(s->op, SILENCE, s->type, &shape));
    weft_store_float(s->type, s->silence, s->batch, weft_op_out(s->op, SILENCE)->data, 0, 1);
  }
  return WEFT_OK;
}

static bool is_wanted(const weft_search *s, int output) {
  return output < s->op->output_count && s->op->node->outputs[output] >= 0;
}

/* The scores of every word at every turn, with those of the text so far; 0 for turns that are not needed. */
static weft_status keep_scores(weft_search *s) {
  if (s->roles->beams < 0 || !is_wanted(s, ALL_SCORES)) {
    return WEFT_OK;
  }
  size_t turn = s->length - s->first;
  if (turn == 0) {
    weft_shape shape = {4, {(int64_t)(s->most - s->first), (int64_t)s->batch, (int64_t)s->beams, (int64_t)s->words}};
    WEFT_TRY(weft_op_allocate(s->op, ALL_SCORES, s->type, &shape));
    weft_tensor *out = weft_op_out(s->op, ALL_SCORES);
    memset(out->data, 0, out->count * weft_type_size(s->type));
  }
  for (size_t i = 0; i < s->rows * s->words; i++) {
    double score = (double)s->scores[i] + s->sums[i / s->words];
    weft_store_double(s->type, &score, 1, weft_op_out(s->op, ALL_SCORES)->data, turn * s->rows * s->words + i, 1);
  }
  return WEFT_OK;
}

static weft_status write_texts(weft_search *s) {
  for (bool all = false; s->length < s->most && !all;) {
    WEFT_TRY(weft_search_decode(s));
    WEFT_TRY(weft_search_change_scores(s));
    WEFT_TRY(keep_scores(s));
    all = s->roles->beams < 0 ? choose_best(s) : choose_beams(s);
    WEFT_TRY(weft_search_go_on(s));
  }
  return s->roles->beams < 0 ? give_greedy(s) : give_beams(s);
}

static weft_status check_outputs(weft_search *s) {
  void *silence = NULL;
  if (s->roles->beams < 0 && is_wanted(s, 1)) {
    return weft_op_unsupported(s->op, "the scores of every step");
  }
  if (is_wanted(s, CROSS)) {
    return weft_op_unsupported(s->op, "output cross_qk, which only decoders for GPUs make");
  }
  if (is_wanted(s, SILENCE)) {
    WEFT_TRY(weft_search_take(s, s->batch, 1, sizeof(float), &silence));
  }
  s->silence = silence;
  return WEFT_OK;
}

weft_status weft_search_run(weft_op *op) {
  weft_search s = {.op = op, .roles = &roles_of[op->def->variant]};
  WEFT_TRY(read_model(&s));
  WEFT_TRY(read_inputs(&s));
  WEFT_TRY(check_mask(&s));
  WEFT_TRY(check_outputs(&s));
  if (op->def->variant == WEFT_SEARCH_SAMPLING) {
    WEFT_TRY(weft_search_begin_sampling(&s));
  }
  WEFT_TRY(begin_texts(&s));
  weft_status status = weft_search_begin(&s);
  status = status == WEFT_OK ? write_texts(&s) : status;
  weft_search_release(&s);
  return status;
}
