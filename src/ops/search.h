/* What the parts of a search for texts share: search.c reads what is asked, chooses words and gives the answer,
 * search_decoder.c runs the graphs that write, search_scores.c changes their scores before a choice. */
#ifndef WEFT_OPS_SEARCH_H
#define WEFT_OPS_SEARCH_H

#include "op.h"

/* Attribute model_type. Texts that answer others have an encoder, whose mask the decoder sees too; what was heard is
 * the encoder's alone. */
typedef enum weft_search_model { WEFT_SEARCH_GPT, WEFT_SEARCH_T5, WEFT_SEARCH_WHISPER } weft_search_model;

/* Input numbers of those that all kinds of search have, and of those that only some models of BeamSearch have. */
enum {
  WEFT_SEARCH_IDS = 0,
  WEFT_SEARCH_MAX_LENGTH,
  WEFT_SEARCH_MIN_LENGTH,
  WEFT_SEARCH_FIRST_WORDS = 10,
  WEFT_SEARCH_PROCESSOR = 11,
  WEFT_SEARCH_FORCED_WORDS = 13,
  WEFT_SEARCH_TEMPERATURE = 14
};

/* Input numbers by role; -1: there is none. */
typedef struct weft_search_roles {
  int beams, returned, length_penalty, repetition, vocabulary, prefix, mask, inputs;
} weft_search_roles;

/* A text that has ended, in BeamSearch. */
typedef struct weft_hypothesis {
  double score;
  size_t length;
} weft_hypothesis;

typedef struct weft_search {
  weft_op *op;
  const weft_search_roles *roles;
  weft_search_model model;
  weft_type type;             /* of scores that are an answer */
  size_t batch, beams, rows;  /* rows: texts that are written at once, all beams of all batches */
  size_t first, length, most; /* words that are given, written so far, at most */
  size_t least, words;        /* no end before that many; words that there are, known after the first turn */
  int32_t end, padding;
  float repetition;
  size_t ngram;
  int32_t *texts, *others; /* [rows][most]; others: while beams change places */
  int32_t *next;           /* [rows] */
  size_t *sources;         /* [rows]: the row whose text goes on here */
  double *sums;            /* [rows]: logarithms of probabilities */
  double *chosen;          /* [beams]: those of one batch that go on */
  float *scores;           /* [rows][words] */
  bool *done;              /* [batch] */
  /* The decoder: words, what comes from the encoder, `layers` values that layers keep, and what they keep of the
   * encoder's. Its outputs are scores and what layers keep now. */
  weft_graph *graph;
  weft_value **inputs, **outputs;
  size_t lead, layers; /* inputs before those of layers */
  int axis;            /* of rows in what layers keep */
  /* Whisper */
  bool has_extras, has_times; /* inputs that only WhisperBeamSearch has; times are asked for */
  float *silence;             /* [batch]: chances that nobody speaks */
  /* Sampling */
  uint64_t seed, *random;
  float temperature, presence, top;
  size_t kept; /* that many words may always be drawn */
  /* BeamSearch */
  double penalty;
  size_t returned;
  weft_hypothesis *ended; /* [batch][beams + 1], best first */
  int32_t *ended_texts;
  size_t *ended_count;
} weft_search;

/* Zeroed memory until the run ends. */
weft_status weft_search_take(weft_search *s, size_t a, size_t b, size_t size, void **out);

/* Checks the graphs, runs the encoder, and makes what the decoder's layers begin with. */
weft_status weft_search_begin(weft_search *s);
/* Runs the decoder and takes the scores of each text's next word. */
weft_status weft_search_decode(weft_search *s);
/* After the choice of words: each text with its new one, and what the layers kept of it. */
weft_status weft_search_go_on(weft_search *s);
void weft_search_release(weft_search *s);

weft_status weft_search_change_scores(const weft_search *s);
/* Sampling's own inputs and attributes; one of the row's words. */
weft_status weft_search_begin_sampling(weft_search *s);
size_t weft_search_draw(weft_search *s, size_t row, float *scores);

#endif
