/* com.microsoft's GreedySearch, Sampling and BeamSearch: text that a decoder, which is a subgraph of the node, writes
 * word by word. A decoder takes the new words, their places, a mask of all words and, for each layer, what it kept of
 * the words before; it gives scores of the next word and what it keeps now. Decoders of that form (GPT) are run; those
 * with an encoder are not. How words are chosen is what they differ in. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../base/seed.h"
#include "op.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { IDS = 0, MAX_LENGTH, MIN_LENGTH, LEAD = 3 /* the decoder's inputs before those of its layers */ };

/* Input numbers by role; -1: there is none. */
typedef struct search_roles {
  int beams, returned, length_penalty, repetition, vocabulary, prefix, mask, inputs;
} search_roles;

static const search_roles roles_of[] = {
    [WEFT_SEARCH_GREEDY] = {-1, -1, -1, 3, 4, 5, 6, 7},
    [WEFT_SEARCH_BEAMS] = {3, 4, 5, 6, 7, 8, 9, 12},
    [WEFT_SEARCH_SAMPLING] = {-1, -1, -1, 3, 4, 5, 6, 9},
};
enum { PRESENCE = 7, SEED = 8 }; /* of Sampling */

/* A text that has ended, in BeamSearch. */
typedef struct hypothesis {
  double score;
  size_t length;
} hypothesis;

typedef struct search {
  weft_op *op;
  const search_roles *roles;
  size_t batch, beams, rows;  /* rows: texts that are written at once, all beams of all batches */
  size_t first, length, most; /* words that are given, written so far, at most */
  size_t least, words;        /* no end before that many; words that there are, known after the first turn */
  size_t columns;             /* scores that the decoder gives of a word: those behind `words` count for nothing */
  int32_t end, padding;
  float repetition;
  size_t ngram;
  int32_t *texts, *others; /* [rows][most]; others: while beams change places */
  int32_t *next;           /* [rows] */
  size_t *sources;         /* [rows]: the row whose text goes on here */
  double *sums;            /* [rows]: logarithms of probabilities */
  float *scores;           /* [rows][words] */
  bool *done;              /* [batch] */
  weft_graph *graph;
  weft_value **inputs, **outputs;
  size_t layers;
  /* Sampling */
  uint64_t seed, *random;
  float temperature, presence, top;
  size_t kept; /* that many words may always be drawn */
  /* BeamSearch */
  double penalty;
  size_t returned;
  hypothesis *ended; /* [batch][beams + 1], best first */
  int32_t *ended_texts;
  size_t *ended_count;
} search;

/* ---- what is asked ---------------------------------------------------------------------------------------------- */
static weft_status take(search *s, size_t a, size_t b, size_t size, void **out) {
  size_t count, bytes;
  if (!weft_mul(a, b, &count) || !weft_mul(count, size, &bytes)) {
    return weft_fail(s->op->cx, WEFT_OUT_OF_MEMORY, "the texts are larger than the address space");
  }
  WEFT_TRY(weft_op_scratch(s->op, bytes, out));
  memset(*out, 0, bytes);
  return WEFT_OK;
}

static weft_status read_inputs(search *s) {
  weft_op *op = s->op;
  const search_roles *r = s->roles;
  int64_t most, least, beams, returned, start = weft_op_attr_int(op, "model_type", 0);
  double repetition, penalty;
  if (start != 0 || weft_op_attr_graph(op, "encoder") != NULL) {
    return weft_op_unsupported(op, "a model with an encoder");
  }
  WEFT_TRY(weft_op_expect_inputs(op, 2, r->inputs));
  WEFT_TRY(weft_op_expect_type(op, IDS, "input_ids", WEFT_TYPE_BIT(WEFT_INT32)));
  WEFT_TRY(weft_op_expect_rank(op, IDS, "input_ids", 2, 2));
  for (int i = r->inputs - 2; i < op->input_count && r->beams >= 0; i++) {
    if (weft_op_has(op, i)) {
      return weft_op_unsupported(op, "input %d", i);
    }
  }
  WEFT_TRY(weft_op_scalar_int(op, MAX_LENGTH, "max_length", 0, &most));
  WEFT_TRY(weft_op_scalar_int(op, MIN_LENGTH, "min_length", 0, &least));
  WEFT_TRY(weft_op_scalar_int(op, r->beams, "num_beams", 1, &beams));
  WEFT_TRY(weft_op_scalar_int(op, r->returned, "num_return_sequences", 1, &returned));
  WEFT_TRY(weft_op_scalar_float(op, r->length_penalty, "length_penalty", 1, &penalty));
  WEFT_TRY(weft_op_scalar_float(op, r->repetition, "repetition_penalty", 1, &repetition));
  const weft_shape *ids = &weft_op_in(op, IDS)->shape;
  if (ids->dims[0] < 1 || ids->dims[1] < 1 || most <= ids->dims[1] || most > INT32_MAX || beams < 1 ||
      beams > INT32_MAX || returned < 1 || returned > beams || !(repetition > 0)) {
    char text[96];
    return weft_op_run_fail(op, "input_ids of shape %s, max_length %lld, %lld beams of which %lld are wanted",
                            weft_shape_print(ids, text, sizeof text), (long long)most, (long long)beams,
                            (long long)returned);
  }
  s->batch = (size_t)ids->dims[0];
  s->beams = (size_t)beams;
  s->returned = (size_t)returned;
  s->first = s->length = (size_t)ids->dims[1];
  s->most = (size_t)most;
  s->least = least < 0 ? 0 : (size_t)least;
  s->penalty = penalty;
  s->repetition = (float)repetition;
  int64_t ngram = weft_op_attr_int(op, "no_repeat_ngram_size", 0);
  s->ngram = ngram < 0 ? 0 : (size_t)ngram;
  s->end = (int32_t)weft_op_attr_int(op, "eos_token_id", -1);
  s->padding = (int32_t)weft_op_attr_int(op, "pad_token_id", -1);
  return weft_mul(s->batch, s->beams, &s->rows)
             ? WEFT_OK
             : weft_fail(op->cx, WEFT_OUT_OF_MEMORY, "the texts are larger than the address space");
}

/* Each text is there once for each of its beams. */
static weft_status begin_texts(search *s) {
  const int32_t *ids = weft_op_in(s->op, IDS)->data;
  void *texts, *others, *next, *sources, *sums, *done, *ended, *ended_texts, *counts;
  WEFT_TRY(take(s, s->rows, s->most, sizeof(int32_t), &texts));
  WEFT_TRY(take(s, s->rows, s->most, sizeof(int32_t), &others));
  WEFT_TRY(take(s, s->rows, 1, sizeof(int32_t), &next));
  WEFT_TRY(take(s, s->rows, 1, sizeof(size_t), &sources));
  WEFT_TRY(take(s, s->rows, 1, sizeof(double), &sums));
  WEFT_TRY(take(s, s->batch, 1, sizeof(bool), &done));
  WEFT_TRY(take(s, s->rows + s->batch, 1, sizeof(hypothesis), &ended));
  WEFT_TRY(take(s, s->rows + s->batch, s->most, sizeof(int32_t), &ended_texts));
  WEFT_TRY(take(s, s->batch, 1, sizeof(size_t), &counts));
  s->texts = texts;
  s->others = others;
  s->next = next;
  s->sources = sources;
  s->sums = sums;
  s->done = done;
  s->ended = ended;
  s->ended_texts = ended_texts;
  s->ended_count = counts;
  for (size_t row = 0; row < s->rows; row++) {
    memcpy(s->texts + row * s->most, ids + row / s->beams * s->first, s->first * sizeof *ids);
    s->sources[row] = row;
    s->sums[row] = row % s->beams == 0 ? 0 : -1e9; /* at first all beams are the same: one counts */
  }
  return WEFT_OK;
}

/* ---- the decoder ------------------------------------------------------------------------------------------------ */
static weft_status new_input(search *s, size_t i, weft_type type, const weft_shape *shape) {
  weft_value_release(s->inputs[i]);
  s->inputs[i] = NULL;
  return weft_value_new_tensor(s->op->cx, type, shape, &s->inputs[i]);
}

/* What the layers keep begins with no rows; how wide they are the decoder declares. */
static weft_status begin_layers(search *s) {
  void *block;
  const weft_graph *g = s->graph;
  if (g->input_count <= LEAD || g->output_count != g->input_count - LEAD + 1) {
    return weft_op_unsupported(s->op, "a decoder of %zu inputs and %zu outputs", g->input_count, g->output_count);
  }
  s->layers = g->input_count - LEAD;
  WEFT_TRY(take(s, g->input_count, 1, sizeof(weft_value *), &block));
  s->inputs = block;
  WEFT_TRY(take(s, g->output_count, 1, sizeof(weft_value *), &block));
  s->outputs = block;
  for (size_t i = 0; i < s->layers; i++) {
    const weft_info *info = &g->values[g->inputs[LEAD + i]].info;
    if (info->rank != 5 || info->dims[2] < 1 || info->dims[4] < 1 ||
        (info->type != WEFT_FLOAT && info->type != WEFT_FLOAT16)) {
      return weft_op_fail(s->op, "input %zu of the decoder does not declare heads and their size", LEAD + i);
    }
    weft_shape shape = {5, {2, (int64_t)s->rows, info->dims[2], 0, info->dims[4]}};
    WEFT_TRY(new_input(s, LEAD + i, info->type, &shape));
  }
  return WEFT_OK;
}

/* What a layer kept goes on with the texts: rows change places as they did. */
static weft_status follow_sources(search *s, weft_value *kept, weft_value **out) {
  const weft_tensor *from = &kept->tensor;
  if (kept->kind != WEFT_KIND_TENSOR || from->shape.rank != 5 || from->shape.dims[1] != (int64_t)s->rows) {
    return weft_op_fail(s->op, "the decoder keeps what does not belong to %zu texts", s->rows);
  }
  bool same = true;
  for (size_t row = 0; row < s->rows; row++) {
    same = same && s->sources[row] == row;
  }
  if (same) {
    weft_value_retain(kept);
    *out = kept;
    return WEFT_OK;
  }
  WEFT_TRY(weft_value_new_tensor(s->op->cx, from->type, &from->shape, out));
  size_t size = from->count / 2 / s->rows * weft_type_size(from->type);
  for (size_t i = 0; i < 2 * s->rows && size > 0; i++) {
    size_t row = i / s->rows * s->rows + s->sources[i % s->rows];
    memcpy((char *)(*out)->tensor.data + i * size, (const char *)from->data + row * size, size);
  }
  return WEFT_OK;
}

/* The words that are new, the places of those that count, and which do of all. */
static weft_status feed_words(search *s) {
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
  WEFT_TRY(new_input(s, 0, WEFT_INT32, &words));
  WEFT_TRY(new_input(s, 1, WEFT_INT32, &words));
  int32_t *ids = s->inputs[0]->tensor.data, *places = s->inputs[1]->tensor.data;
  for (size_t row = 0; row < s->rows; row++) {
    int32_t place = 0;
    for (size_t i = 0; i < s->length; i++) {
      bool counts = seen[row * s->length + i] != 0;
      if (i + fresh >= s->length) {
        size_t at = row * fresh + i + fresh - s->length;
        ids[at] = s->texts[row * s->most + i];
        places[at] = counts ? place : 0;
      }
      place += counts;
    }
  }
  return WEFT_OK;
}

/* Runs the decoder and takes the scores of each text's next word. */
static weft_status run_decoder(search *s) {
  weft_op *op = s->op;
  weft_graph *begin = s->length == s->first ? weft_op_attr_graph(op, "init_decoder") : NULL;
  if (op->cx->cancelled) {
    return weft_fail(op->cx, WEFT_CANCELLED, "the run was cancelled");
  }
  WEFT_TRY(feed_words(s));
  weft_graph *graph = begin != NULL ? begin : s->graph;
  if (graph->input_count != s->graph->input_count || graph->output_count != s->graph->output_count) {
    return weft_op_fail(op, "init_decoder and decoder differ in their inputs or outputs");
  }
  WEFT_TRY(op->host->run_graph(op, graph, graph->input_count, s->inputs, s->outputs));
  const weft_tensor *logits = &s->outputs[0]->tensor;
  size_t fresh = (size_t)s->inputs[0]->tensor.shape.dims[1];
  int64_t vocabulary = weft_op_attr_int(op, "vocab_size", -1);
  if (s->outputs[0]->kind != WEFT_KIND_TENSOR || logits->shape.rank != 3 || logits->shape.dims[0] != (int64_t)s->rows ||
      logits->shape.dims[1] != (int64_t)fresh || logits->shape.dims[2] < vocabulary || logits->shape.dims[2] < 1 ||
      (logits->type != WEFT_FLOAT && logits->type != WEFT_FLOAT16) ||
      (s->words != 0 && logits->shape.dims[2] != (int64_t)s->columns)) {
    return weft_op_fail(op, "the decoder's scores do not fit %zu texts and %zu new words", s->rows, fresh);
  }
  if (s->words == 0) {
    void *scores;
    s->columns = (size_t)logits->shape.dims[2];
    s->words = vocabulary > 0 ? (size_t)vocabulary : s->columns;
    WEFT_TRY(take(s, s->rows, s->words, sizeof(float), &scores));
    s->scores = scores;
  }
  for (size_t row = 0; row < s->rows; row++) {
    weft_load_float(logits->type, logits->data, ((row + 1) * fresh - 1) * s->columns, 1, s->words,
                    s->scores + row * s->words);
  }
  return WEFT_OK;
}

/* After the choice of words: each text with its new one, and what the layers kept of it. */
static weft_status go_on(search *s) {
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
    weft_value_release(s->inputs[LEAD + i]);
    s->inputs[LEAD + i] = NULL;
    WEFT_TRY(follow_sources(s, s->outputs[1 + i], &s->inputs[LEAD + i]));
  }
  return WEFT_OK;
}

static void release(weft_value **values, size_t count) {
  for (size_t i = 0; values != NULL && i < count; i++) {
    weft_value_release(values[i]);
    values[i] = NULL;
  }
}

/* ---- scores ----------------------------------------------------------------------------------------------------- */
/* Words that a text has already count for less. */
static void punish_repetition(const search *s, const int32_t *text, float *scores) {
  for (size_t i = 0; i < s->length && s->repetition != 1; i++) {
    bool again = false;
    for (size_t k = 0; k < i && !again; k++) {
      again = text[k] == text[i];
    }
    if (!again && text[i] >= 0 && (size_t)text[i] < s->words) {
      float *score = &scores[text[i]];
      *score = *score < 0 ? *score * s->repetition : *score / s->repetition;
    }
  }
}

static void forbid_ngrams(const search *s, const int32_t *text, float *scores) {
  size_t n = s->ngram;
  for (size_t i = 0; n > 0 && n <= s->length && i + n <= s->length; i++) {
    int32_t word = text[i + n - 1];
    if (memcmp(text + i, text + s->length - n + 1, (n - 1) * sizeof *text) == 0 && word >= 0 &&
        (size_t)word < s->words) {
      scores[word] = -FLT_MAX;
    }
  }
}

static weft_status forbid_words(const search *s, int input, const char *name, size_t row, float *scores) {
  const weft_tensor *mask = weft_op_in(s->op, input);
  if (mask == NULL) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_expect_type(s->op, input, name, WEFT_TYPE_BIT(WEFT_INT32)));
  size_t rows = input == s->roles->prefix ? s->batch : 1;
  if (mask->count != rows * s->words) {
    return weft_op_run_fail(s->op, "%s holds %zu numbers, expected %zu", name, mask->count, rows * s->words);
  }
  for (size_t w = 0; w < s->words; w++) {
    if (((const int32_t *)mask->data)[row / s->beams % rows * s->words + w] == 0) {
      scores[w] = -FLT_MAX;
    }
  }
  return WEFT_OK;
}

static void to_logarithms(size_t n, float *scores) {
  double max = (double)-INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++) {
    max = (double)scores[i] > max ? (double)scores[i] : max;
  }
  for (size_t i = 0; i < n; i++) {
    sum += weft_exp((double)scores[i] - max);
  }
  for (size_t i = 0; i < n; i++) {
    scores[i] = (float)((double)scores[i] - max - weft_log(sum));
  }
}

static weft_status change_scores(const search *s) {
  for (size_t row = 0; row < s->rows; row++) {
    float *scores = s->scores + row * s->words;
    const int32_t *text = s->texts + row * s->most;
    if (s->roles->beams >= 0) {
      to_logarithms(s->words, scores);
    }
    punish_repetition(s, text, scores);
    forbid_ngrams(s, text, scores);
    WEFT_TRY(forbid_words(s, s->roles->vocabulary, "vocab_mask", row, scores));
    if (s->length == s->first) {
      WEFT_TRY(forbid_words(s, s->roles->prefix, "prefix_vocab_mask", row, scores));
    }
    const weft_tensor *presence = s->random != NULL ? weft_op_in(s->op, PRESENCE) : NULL;
    if (presence != NULL && presence->count != s->rows * s->words) {
      return weft_op_run_fail(s->op, "presence_mask holds %zu numbers, expected %zu", presence->count,
                              s->rows * s->words);
    }
    if (s->length < s->least && s->end >= 0 && (size_t)s->end < s->words) {
      scores[s->end] = -FLT_MAX;
    }
  }
  return WEFT_OK;
}

/* ---- Sampling --------------------------------------------------------------------------------------------------- */
static weft_status begin_sampling(search *s) {
  weft_op *op = s->op;
  int64_t seed, kept = weft_op_attr_int(op, "min_tokens_to_keep", 0);
  WEFT_TRY(weft_op_scalar_int(op, SEED, "seed", 0, &seed));
  WEFT_TRY(weft_op_expect_type(op, PRESENCE, "presence_mask", WEFT_TYPE_BIT(WEFT_INT32)));
  s->seed = (uint64_t)seed;
  s->random = weft_op_has(op, SEED) ? &s->seed : op->random;
  s->temperature = weft_op_attr_float(op, "temperature", 1);
  s->presence = weft_op_attr_float(op, "presence_penalty", 0);
  s->top = weft_op_attr_float(op, "top_p", 0);
  s->kept = kept > 1 ? (size_t)kept : 1;
  return s->temperature > 0
             ? WEFT_OK
             : weft_op_fail(op, "attribute temperature: expected a number above 0, found %g", (double)s->temperature);
}

/* Words that are not among the fewest most probable ones that together have `top` get no chance. The bits of positive
 * floats are in order, so the least chance among those is found by halving. */
static void keep_most_probable(const search *s, float *chances) {
  uint32_t low = 0, high = 0x3f800001;
  float bound;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    double sum = 0;
    size_t count = 0;
    memcpy(&bound, &middle, sizeof bound);
    for (size_t w = 0; w < s->words; w++) {
      sum += chances[w] >= bound ? (double)chances[w] : 0;
      count += chances[w] >= bound;
    }
    if (count >= s->kept && sum >= (double)s->top) {
      low = middle;
    } else {
      high = middle;
    }
  }
  memcpy(&bound, &low, sizeof bound);
  for (size_t w = 0; w < s->words; w++) {
    chances[w] = chances[w] >= bound ? chances[w] : 0;
  }
}

static size_t draw(search *s, size_t row, float *scores) {
  const weft_tensor *mask = weft_op_in(s->op, PRESENCE);
  double total = 0;
  for (size_t w = 0; w < s->words; w++) {
    scores[w] /= s->temperature;
    if (mask != NULL && ((const int32_t *)mask->data)[row * s->words + w] != 0) {
      scores[w] -= s->presence;
    }
  }
  to_logarithms(s->words, scores);
  for (size_t w = 0; w < s->words; w++) {
    scores[w] = weft_exp_f32(scores[w]);
  }
  keep_most_probable(s, scores);
  for (size_t w = 0; w < s->words; w++) {
    total += (double)scores[w];
  }
  double at = weft_uniform(s->random) * total;
  size_t drawn = 0, last = 0;
  for (; drawn < s->words && !(at < 0); drawn++) {
    last = scores[drawn] > 0 ? drawn : last;
    at -= (double)scores[drawn];
  }
  return last;
}

/* ---- GreedySearch ----------------------------------------------------------------------------------------------- */
/* The best word each, or one that is drawn; true when all texts have ended. */
static bool choose_best(search *s) {
  bool all = true;
  for (size_t row = 0; row < s->rows; row++) {
    float *scores = s->scores + row * s->words;
    size_t best = 0;
    for (size_t w = 1; w < s->words && s->random == NULL; w++) {
      best = scores[w] > scores[best] ? w : best;
    }
    best = s->random != NULL ? draw(s, row, scores) : best;
    s->done[row] = s->done[row] || (int32_t)best == s->end;
    s->next[row] = s->done[row] ? s->padding : (int32_t)best;
    all = all && s->done[row];
  }
  return all;
}

/* ---- BeamSearch ------------------------------------------------------------------------------------------------- */
static double worth(const search *s, double sum, size_t length) {
  return sum / weft_pow((double)length, s->penalty);
}

/* Keeps a text that has ended among the best of its batch. */
static void end_text(search *s, size_t batch, const int32_t *text, double sum) {
  hypothesis *list = s->ended + batch * (s->beams + 1);
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
  list[at] = (hypothesis){score, s->length};
  memcpy(texts + at * s->most, text, s->length * sizeof *texts);
  s->ended_count[batch] += s->ended_count[batch] < s->beams;
}

/* The best candidate below `bound` in order: rows' sums and words' scores, of equal ones the first; false: no more. */
static bool next_best(const search *s, size_t batch, double bound, size_t bound_at, double *score, size_t *at) {
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

static void go_on_with_padding(search *s, size_t batch) {
  for (size_t row = batch * s->beams; row < (batch + 1) * s->beams; row++) {
    s->next[row] = s->padding;
    s->sources[row] = row;
  }
}

/* Of twice as many candidates as beams those that have not ended go on. */
static void choose_of_batch(search *s, size_t batch, double *sums) {
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
    sums[kept++] = score;
  }
  for (; kept < s->beams; kept++) { /* fewer words than beams */
    s->next[batch * s->beams + kept] = s->padding;
    s->sources[batch * s->beams + kept] = batch * s->beams;
    sums[kept] = -1e9;
  }
  if (s->ended_count[batch] == s->beams) {
    double least = s->ended[batch * (s->beams + 1) + s->beams - 1].score;
    s->done[batch] = weft_op_attr_int(s->op, "early_stopping", 0) != 0 || least >= worth(s, best, s->length);
  }
}

static weft_status choose_beams(search *s, bool *all) {
  void *room;
  WEFT_TRY(take(s, s->beams, 1, sizeof(double), &room));
  double *sums = room;
  *all = true;
  for (size_t b = 0; b < s->batch; b++) {
    if (s->done[b]) {
      go_on_with_padding(s, b);
      continue;
    }
    choose_of_batch(s, b, sums);
    memcpy(s->sums + b * s->beams, sums, s->beams * sizeof *sums);
    *all = *all && s->done[b];
  }
  return WEFT_OK;
}

/* ---- the answer ------------------------------------------------------------------------------------------------- */
static weft_status give_greedy(search *s) {
  weft_shape shape = {2, {(int64_t)s->batch, (int64_t)s->most}};
  WEFT_TRY(weft_op_allocate(s->op, 0, WEFT_INT32, &shape));
  int32_t *out = weft_op_out(s->op, 0)->data;
  for (size_t i = 0; i < s->batch * s->most; i++) {
    out[i] = i % s->most < s->length ? s->texts[i] : s->padding;
  }
  return WEFT_OK;
}

static weft_status give_beams(search *s) {
  weft_shape shape = {3, {(int64_t)s->batch, (int64_t)s->returned, (int64_t)s->most}};
  WEFT_TRY(weft_op_allocate(s->op, 0, WEFT_INT32, &shape));
  shape.rank = 2;
  WEFT_TRY(weft_op_allocate(s->op, 1, WEFT_FLOAT, &shape));
  for (size_t row = 0; row < s->rows; row++) {
    if (!s->done[row / s->beams]) {
      end_text(s, row / s->beams, s->texts + row * s->most, s->sums[row]);
    }
  }
  weft_tensor *out = weft_op_out(s->op, 0), *scores = weft_op_out(s->op, 1);
  for (size_t i = 0; i < s->batch * s->returned; i++) {
    size_t at = i / s->returned * (s->beams + 1) + i % s->returned;
    const hypothesis *h = &s->ended[at];
    for (size_t k = 0; k < s->most && out != NULL; k++) {
      ((int32_t *)out->data)[i * s->most + k] = k < h->length ? s->ended_texts[at * s->most + k] : s->padding;
    }
    if (scores != NULL) {
      ((float *)scores->data)[i] = (float)h->score;
    }
  }
  return WEFT_OK;
}

static weft_status write_texts(search *s) {
  for (bool all = false; s->length < s->most && !all;) {
    WEFT_TRY(run_decoder(s));
    WEFT_TRY(change_scores(s));
    if (s->roles->beams < 0) {
      all = choose_best(s);
    } else {
      WEFT_TRY(choose_beams(s, &all));
    }
    WEFT_TRY(go_on(s));
    release(s->outputs, s->graph->output_count);
  }
  return s->roles->beams < 0 ? give_greedy(s) : give_beams(s);
}

weft_status weft_search_run(weft_op *op) {
  search s = {.op = op, .roles = &roles_of[op->def->variant], .graph = weft_op_attr_graph(op, "decoder")};
  if (s.graph == NULL) {
    return weft_op_fail(op, "attribute decoder: expected a graph");
  }
  bool samples = op->def->variant == WEFT_SEARCH_SAMPLING;
  if (op->output_count > (samples ? 1 : 2) && op->node->outputs[samples ? 1 : 2] >= 0) {
    return weft_op_unsupported(op, "the scores of every step");
  }
  WEFT_TRY(read_inputs(&s));
  if (samples) {
    WEFT_TRY(begin_sampling(&s));
  }
  const weft_tensor *mask = weft_op_in(op, s.roles->mask);
  WEFT_TRY(weft_op_expect_type(op, s.roles->mask, "attention_mask", WEFT_TYPE_BIT(WEFT_INT32)));
  if (mask != NULL && mask->count != s.batch * s.first) {
    return weft_op_run_fail(op, "attention_mask holds %zu numbers, expected %zu", mask->count, s.batch * s.first);
  }
  WEFT_TRY(begin_texts(&s));
  weft_status status = begin_layers(&s);
  status = status == WEFT_OK ? write_texts(&s) : status;
  release(s.inputs, s.inputs != NULL ? s.graph->input_count : 0);
  release(s.outputs, s.outputs != NULL ? s.graph->output_count : 0);
  return status;
}
