/* Scaled dot product attention on operands given by strides: the core that every attention operator describes its
 * inputs to. It must not know operators' inputs or attributes. */
#ifndef WEFT_OPS_ATTENTION_H
#define WEFT_OPS_ATTENTION_H

#include "op.h"

/* Where element (batch, head, row) begins, in elements; its values lie next to each other. */
typedef struct weft_heads {
  size_t batch, head, row;
} weft_heads;

typedef struct weft_attention {
  size_t batch, q_heads, kv_heads; /* kv_heads divides q_heads; neighbouring query heads share one */
  size_t q_len, kv_len, head, v_head;
  const float *q, *k, *v;
  weft_heads q_at, k_at, v_at, y_at;
  /* Keys or values in 16 bits, read instead of k or v where they are not NULL: floats of one head at a time. */
  const uint16_t *k_halves, *v_halves;
  weft_type k_type, v_type;
  float *y;
  float scale, softcap; /* softcap 0: none */
  /* Added to the scores, or of bools which take part; NULL: none. Keys from mask_len on take no part. A stride of 0
   * broadcasts; mask_at.row steps over queries. */
  const weft_tensor *mask;
  weft_heads mask_at;
  size_t mask_len;
  /* Query i stands at offset + i; it sees keys from its place - left to its place + right; -1: no bound. */
  int64_t left, right;
  int64_t offset;
  const int64_t *offsets; /* per batch, instead of offset; may be NULL */
  const int64_t *valid;   /* per batch: keys from here on take no part; may be NULL */
  /* [batch][q_heads][q_len][kv_len], or NULL: 0 scores, 1 after the cap, 2 with the mask, 3 after the softmax. */
  float *scores;
  int scores_stage;
  /* The type that the scores are rounded to before the softmax, which is computed in it; 0: as all else. */
  weft_type softmax_type;
  float scores_hidden; /* what stage 2 shows of a key that takes no part */
  /* Per query head a score that takes its part of the weights and has no value; NULL: none. Not in double precision. */
  const float *sinks;
} weft_attention;

weft_status weft_attention_compute(weft_op *op, const weft_attention *attention);

/* The same in double precision: operands here, everything else as described there. */
typedef struct weft_attention_double {
  const double *q, *k, *v;
  double *y, *scores;
  double scale;
} weft_attention_double;

weft_status weft_attention_compute_double(weft_op *op, const weft_attention *attention,
                                          const weft_attention_double *operands);

/* heads of [batch][row][head][size] or of [batch][head][row][size]. */
weft_heads weft_heads_of(bool rows_first, size_t heads, size_t rows, size_t size);

/* Turns the first `rotated` of a head's `size` numbers, in pairs, by angles whose cosines and sines are given. */
void weft_rotate_head(size_t size, size_t rotated, bool interleaved, const float *x, const float *cosine,
                      const float *sine, float *y);

#endif
