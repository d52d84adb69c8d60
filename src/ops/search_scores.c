/* The scores of a search's next words before one is chosen: words are forbidden or count for less, and Sampling draws. */
#include "../base/convert.h"
#include "../base/elementary.h"
#include "../base/seed.h"
#include "../base/text.h"
#include "search.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { PRESENCE = 7, SEED = 8 }; /* of Sampling */

/* ---- scores ----------------------------------------------------------------------------------------------------- */
/* Words that a text has already count for less. */
static void punish_repetition(const weft_search *s, const int32_t *text, float *scores) {
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

static void forbid_ngrams(const weft_search *s, const int32_t *text, float *scores) {
  size_t n = s->ngram;
  for (size_t i = 0; n > 0 && n <= s->length && i + n <= s->length; i++) {
    int32_t word = text[i + n - 1];
    if (memcmp(text + i, text + s->length - n + 1, (n - 1) * sizeof *text) == 0 && word >= 0 &&
        (size_t)word < s->words) {
      scores[word] = -FLT_MAX;
    }
  }
}

static weft_status forbid_words(const weft_search *s, int input, const char *name, size_t row, float *scores) {
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

/* Numbers become the logarithms of their probabilities. */
static void to_logarithms(size_t n, float *scores) {
  double max = (double)-INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++) {
    max = (double)scores[i] > max ? (double)scores[i] : max;
  }
  for (size_t i = 0; i < n; i++) {
    sum += weft_exp((double)scores[i] - max);
  }
  const double log_sum = weft_log(sum);
  for (size_t i = 0; i < n; i++) {
    scores[i] = (float)((double)scores[i] - max - log_sum);
  }
}

/* ---- Whisper ---------------------------------------------------------------------------------------------------- */
static void forbid(const weft_search *s, float *scores, int64_t begin, int64_t end) {
  for (int64_t w = begin < 0 ? 0 : begin; w < end && w < (int64_t)s->words; w++) {
    scores[w] = -FLT_MAX;
  }
}

/* A word that an attribute names; files of before there were such attributes go by their distance from the end. */
static int64_t special(const weft_search *s, const char *name, int64_t fallback) {
  int64_t word = weft_op_attr_int(s->op, name, -1);
  return word < 0 ? fallback : word < INT32_MAX ? word : INT32_MAX;
}

static void forbid_special(const weft_search *s, float *scores, const char *name, int64_t fallback) {
  int64_t word = special(s, name, fallback);
  forbid(s, scores, word, word + 1);
}

/* Words from `times` on are times. They come in pairs (but the first), do not go back, begin within a second, and one is
 * taken where all together are likelier than each other word. */
static void forbid_times(const weft_search *s, const int32_t *text, float *scores) {
  int64_t times = special(s, "beginning_timestamp_token_id", (int64_t)s->end + 107), words = (int64_t)s->words;
  int64_t latest = -1;
  size_t n = s->length, begin = 0;
  while (begin < n && text[begin++] < times) {
  }
  for (size_t i = 0; i < n; i++) {
    latest = text[i] >= times ? text[i] : latest;
  }
  bool last = text[n - 1] >= times, before = n <= begin || text[n - 2] >= times;
  forbid_special(s, scores, "no_timestamps_token_id", (int64_t)s->end + 106);
  forbid_special(s, scores, "start_of_lm_token_id", (int64_t)s->end + 105);
  if (n > begin) {
    forbid_special(s, scores, "decoder_start_token_id", (int64_t)s->end + 1);
    forbid_special(s, scores, "translate_token_id", 50358);
    forbid_special(s, scores, "transcribe_token_id", 50359);
  } else {
    forbid(s, scores, times + 51, words);
  }
  if (last) {
    forbid(s, scores, before ? times : 0, before ? words : s->end);
  }
  if (latest >= 0) {
    forbid(s, scores, times, latest + !(last && !before));
  }
  double sum = 0, likeliest = (double)-INFINITY;
  for (int64_t w = 0; w < words; w++) {
    sum += w >= times && scores[w] > -FLT_MAX ? weft_exp((double)scores[w]) : 0;
    likeliest = w < times && (double)scores[w] > likeliest ? (double)scores[w] : likeliest;
  }
  if (sum > 0 && weft_log(sum) > likeliest) {
    forbid(s, scores, 0, times);
  }
}

/* The words that the decoder has to write before it is free, a row for each batch; a negative one ends them. */
static weft_status force_word(const weft_search *s, size_t row, float *scores) {
  const weft_tensor *forced = s->has_extras ? weft_op_in(s->op, WEFT_SEARCH_FORCED_WORDS) : NULL;
  if (forced == NULL || forced->count == 0) {
    return WEFT_OK;
  }
  WEFT_TRY(weft_op_expect_type(s->op, WEFT_SEARCH_FORCED_WORDS, "extra_decoding_ids", WEFT_TYPE_BIT(WEFT_INT32)));
  if (forced->count % s->batch != 0) {
    return weft_op_run_fail(s->op, "extra_decoding_ids holds %zu words for %zu texts", forced->count, s->batch);
  }
  size_t count = forced->count / s->batch, at = s->length - s->first;
  const int32_t *words = (const int32_t *)forced->data + row / s->beams * count;
  for (size_t i = 0; i <= at && at < count; i++) {
    if (words[i] < 0) {
      return WEFT_OK;
    }
  }
  if (at < count && (size_t)words[at] < s->words) {
    forbid(s, scores, 0, (int64_t)s->words);
    scores[words[at]] = 0;
  }
  return WEFT_OK;
}

static weft_status change_whisper(const weft_search *s, size_t row, const int32_t *text, float *scores) {
  for (size_t w = 0; w < s->words && s->temperature != 1; w++) {
    scores[w] /= s->temperature;
  }
  if (s->has_times) {
    forbid_times(s, text, scores);
  }
  return force_word(s, row, scores);
}

/* ---- all together ----------------------------------------------------------------------------------------------- */
static weft_status keep_silence(const weft_search *s, size_t row, const float *scores) {
  int64_t word = weft_op_attr_int(s->op, "no_speech_token_id", -1);
  if (s->silence == NULL || s->length > s->first) {
    return WEFT_OK;
  }
  if (word < 0 || word >= (int64_t)s->words) {
    return weft_op_fail(s->op, "attribute no_speech_token_id: expected one of %zu words, found %lld", s->words,
                        (long long)word);
  }
  s->silence[row / s->beams] = weft_exp_f32(scores[word]);
  return WEFT_OK;
}

weft_status weft_search_change_scores(const weft_search *s) {
  for (size_t row = 0; row < s->rows; row++) {
    float *scores = s->scores + row * s->words;
    const int32_t *text = s->texts + row * s->most;
    if (s->roles->beams >= 0) {
      to_logarithms(s->words, scores);
      WEFT_TRY(keep_silence(s, row, scores));
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
    if (s->model == WEFT_SEARCH_WHISPER) {
      WEFT_TRY(change_whisper(s, row, text, scores));
    }
  }
  return WEFT_OK;
}

/* ---- Sampling --------------------------------------------------------------------------------------------------- */
weft_status weft_search_begin_sampling(weft_search *s) {
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
  if (s->temperature > 0) {
    return WEFT_OK;
  }
  char text[WEFT_DECIMAL_SIZE];
  weft_decimal_print(text, WEFT_FLOAT, (double)s->temperature, WEFT_DECIMAL_DIGITS);
  return weft_op_fail(op, "attribute temperature: expected a number above 0, found %s", text);
}

/* Words that are not among the fewest most probable ones that together have `top` get no chance. The bits of positive
 * floats are in order, so the least chance among those is found by halving. */
static void keep_most_probable(const weft_search *s, float *chances) {
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

size_t weft_search_draw(weft_search *s, size_t row, float *scores) {
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
