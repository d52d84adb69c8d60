/* com.microsoft's helpers of decoders: NGramRepeatBlock forbids what would repeat itself, BifurcationDetector takes
 * guessed words as far as they were right, DynamicTimeWarping lays words against time. */
#include "../base/convert.h"
#include "op.h"

#include <math.h>
#include <string.h>

/* ---- NGramRepeatBlock: tokens so far, scores of the next ------------------------------------------------------- */
weft_status weft_ngram_block_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 2, 2));
  WEFT_TRY(weft_op_expect_type(op, 0, "input_ids", WEFT_TYPE_BIT(WEFT_INT64)));
  WEFT_TRY(weft_op_expect_type(op, 1, "scores", WEFT_TYPE_BIT(WEFT_FLOAT)));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input_ids", 2, 2));
  WEFT_TRY(weft_op_expect_rank(op, 1, "scores", 2, 2));
  if (weft_op_in(op, 0)->shape.dims[0] != weft_op_in(op, 1)->shape.dims[0] ||
      weft_op_attr_int(op, "ngram_size", 0) < 1) {
    return weft_op_fail(op, "expected a row of scores for each row of tokens, and a positive ngram_size");
  }
  return weft_op_set_like(op, 0, weft_op_in(op, 1));
}

weft_status weft_ngram_block_run(weft_op *op) {
  const weft_tensor *tokens = weft_op_in(op, 0), *scores = weft_op_in(op, 1);
  weft_tensor *out = weft_op_out(op, 0);
  int64_t words = scores->shape.dims[1], n = weft_op_attr_int(op, "ngram_size", 0), length = tokens->shape.dims[1];
  if (out->count > 0) {
    memcpy(out->data, scores->data, out->count * sizeof(float));
  }
  for (int64_t row = 0; row < tokens->shape.dims[0]; row++) {
    const int64_t *text = (const int64_t *)tokens->data + row * length;
    for (int64_t i = 0; n <= length && i + n <= length; i++) {
      if (memcmp(text + i, text + length - n + 1, (size_t)(n - 1) * sizeof *text) != 0) {
        continue;
      }
      int64_t word = text[i + n - 1];
      if (word < 0 || word >= words) {
        return weft_op_run_fail(op, "token %lld is out of range: there are %lld scores", (long long)word,
                                (long long)words);
      }
      ((float *)out->data)[row * words + word] = -INFINITY;
    }
  }
  return WEFT_OK;
}

/* ---- BifurcationDetector: words of a source that are guesses of what comes --------------------------------------- */
/* How many times `count` words occur in a text of `size`; where the first begins. */
static size_t find_words(const int64_t *words, size_t count, const int64_t *text, size_t size, size_t *first) {
  size_t found = 0;
  for (size_t i = 0; i + count <= size; i++) {
    if (memcmp(text + i, words, count * sizeof *words) == 0 && found++ == 0) {
      *first = i;
    }
  }
  return found;
}

weft_status weft_bifurcation_run(weft_op *op) {
  enum { SOURCE, CURRENT, PREVIOUS, PREDICTED };
  WEFT_TRY(weft_op_expect_inputs(op, 3, 4));
  for (int i = 0; i < op->input_count; i++) {
    WEFT_TRY(weft_op_expect_type(op, i, "tokens", WEFT_TYPE_BIT(WEFT_INT64)));
    WEFT_TRY(weft_op_expect_rank(op, i, "tokens", 0, 1));
  }
  const weft_tensor *source = weft_op_in(op, SOURCE), *current = weft_op_in(op, CURRENT);
  const weft_tensor *predicted = weft_op_in(op, PREDICTED);
  int64_t previous, least = weft_op_attr_int(op, "min_ngram_size", 1), most = weft_op_attr_int(op, "max_ngram_size", 3);
  WEFT_TRY(weft_op_scalar_int(op, PREVIOUS, "prev_suffix_match_idx", 0, &previous));
  if (previous < 0 || (size_t)previous > source->count || least < 1 ||
      (predicted != NULL && predicted->count != source->count - (size_t)previous + 1)) {
    return weft_op_run_fail(op, "%zu predicted tokens do not follow place %lld of %zu",
                            predicted != NULL ? predicted->count : 0, (long long)previous, source->count);
  }
  const int64_t *text = source->data, *guess = predicted != NULL ? predicted->data : NULL;
  size_t right = 0, count = current->count;
  while (guess != NULL && right < source->count - (size_t)previous && guess[right] == text[(size_t)previous + right]) {
    right++;
  }
  size_t taken = guess != NULL ? right + 1 : 0; /* the first wrong one is the model's own */
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_INT64, &(weft_shape){1, {(int64_t)(count + taken)}}));
  WEFT_TRY(weft_op_allocate(op, 1, WEFT_INT64, &(weft_shape){0, {0}}));
  void *room;
  WEFT_TRY(weft_op_scratch_array(op, count + taken, sizeof(int64_t), &room));
  int64_t *words = room, match = -1;
  if (count > 0) {
    memcpy(words, current->data, count * sizeof *words);
  }
  if (taken > 0) {
    memcpy(words + count, guess, taken * sizeof *words);
  }
  for (size_t n = (size_t)least; n <= count + taken && (int64_t)n <= most; n++) {
    size_t first = 0, found = find_words(words + count + taken - n, n, text, source->count, &first);
    match = found == 1 ? (int64_t)(first + n) : -1;
    if (found <= 1) { /* of more than one, more words may tell which */
      break;
    }
  }
  if (weft_op_out(op, 0) != NULL && count + taken > 0) {
    memcpy(weft_op_out(op, 0)->data, words, (count + taken) * sizeof *words);
  }
  if (weft_op_out(op, 1) != NULL) {
    *(int64_t *)weft_op_out(op, 1)->data = match;
  }
  return WEFT_OK;
}

/* ---- DynamicTimeWarping: the cheapest way through a matrix of costs --------------------------------------------- */
typedef enum step { STEP_BOTH, STEP_ROW, STEP_COLUMN } step;

weft_status weft_time_warping_infer(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "input", WEFT_TYPE_BIT(WEFT_FLOAT)));
  WEFT_TRY(weft_op_expect_rank(op, 0, "input", 2, 3));
  const weft_shape *shape = &weft_op_in(op, 0)->shape;
  if (weft_op_in(op, 0)->count == 0 || (shape->rank == 3 && shape->dims[0] != 1)) {
    return weft_op_fail(op, "input: expected one matrix of costs");
  }
  return weft_infer_deferred(op);
}

/* The costs of the cheapest ways to all places of `columns` columns, row by row, and the steps that lead there. */
static void find_ways(size_t rows, size_t columns, const float *costs, float *line, uint8_t *steps) {
  line[0] = 0;
  for (size_t j = 1; j <= columns; j++) {
    line[j] = INFINITY;
  }
  for (size_t i = 0; i < rows; i++) {
    float diagonal = line[0];
    line[0] = INFINITY;
    for (size_t j = 0; j < columns; j++) {
      float both = diagonal, row = line[j + 1], column = line[j];
      step s = both < row && both < column ? STEP_BOTH : row < both && row < column ? STEP_ROW : STEP_COLUMN;
      diagonal = line[j + 1];
      line[j + 1] = costs[i * columns + j] + (s == STEP_BOTH ? both : s == STEP_ROW ? row : column);
      steps[i * columns + j] = (uint8_t)s;
    }
  }
}

weft_status weft_time_warping_run(weft_op *op) {
  const weft_tensor *x = weft_op_in(op, 0);
  const int64_t *dims = x->shape.dims + (x->shape.rank - 2);
  size_t rows = (size_t)dims[0], columns = (size_t)dims[1], length = 0;
  void *line = NULL, *steps = NULL, *path = NULL;
  WEFT_TRY(weft_op_scratch_array(op, columns + 1, sizeof(float), &line));
  WEFT_TRY(weft_op_scratch(op, x->count, &steps));
  WEFT_TRY(weft_op_scratch_array(op, rows + columns, 2 * sizeof(int32_t), &path));
  find_ways(rows, columns, x->data, line, steps);
  int32_t *back = path;
  for (size_t i = rows, j = columns; i > 0 || j > 0; length++) { /* beyond the edges the way goes along them */
    uint8_t s = i == 0 ? STEP_COLUMN : j == 0 ? STEP_ROW : ((const uint8_t *)steps)[(i - 1) * columns + j - 1];
    back[2 * length] = (int32_t)i - 1;
    back[2 * length + 1] = (int32_t)j - 1;
    i -= s != STEP_COLUMN;
    j -= s != STEP_ROW;
  }
  weft_shape out = {.rank = 2, .dims = {2, (int64_t)length}};
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_INT32, &out));
  int32_t *to = weft_op_out(op, 0)->data;
  for (size_t k = 0; k < length; k++) {
    to[k] = back[2 * (length - 1 - k)];
    to[length + k] = back[2 * (length - 1 - k) + 1];
  }
  return WEFT_OK;
}
