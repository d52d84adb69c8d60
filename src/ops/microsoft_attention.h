/* What com.microsoft's attention operators share: the keys and values of earlier calls, additive biases and the many
 * forms of a mask, all brought into the description that the core takes. It must not know an operator's inputs. */
#ifndef WEFT_OPS_MICROSOFT_ATTENTION_H
#define WEFT_OPS_MICROSOFT_ATTENTION_H

#include "attention.h"

typedef struct weft_cached_attention {
  weft_attention a;
  size_t past;                    /* rows of the past tensors that count */
  const int64_t *past_rows;       /* how many count per batch, instead; may be NULL */
  size_t present_rows;            /* of the present tensors */
  size_t past_room, present_room; /* from one head to the next, in rows */
  bool appends;                   /* all rows of the past count, and those of present are no fewer */
  size_t new_rows;
  const int64_t *new_counts; /* how many of them count per batch; NULL: all */
} weft_cached_attention;

/* Present keys (or values), output `present`, get their memory: where the past ones, input `past`, lie, if they may
 * grow (weft_op_grow). Says how far heads are apart in either. */
weft_status weft_attention_open(weft_op *op, weft_cached_attention *f, int past, int present);
/* Keys (or values) of `size` numbers become past and new rows end to end, where there is a past or `present`, which
 * receives them, is wanted; both are [batch][kv_heads][room][size] and may be NULL. Where they are one, the past is
 * there already. */
weft_status weft_attention_join(weft_op *op, const weft_cached_attention *f, const float *past, float *present,
                                size_t size, const float **now, weft_heads *at);
/* The same where past and present are of a type of 16 bits: the core reads `out`, new rows as present holds them. */
weft_status weft_attention_join_halves(weft_op *op, const weft_cached_attention *f, weft_type type, const void *past,
                                       void *present, size_t size, const float *now, weft_heads *at,
                                       const uint16_t **out);
/* Keys (or values) as the beams of a search have come to them: of `beams` sequences that stand side by side in the
 * batch, row j of each is taken from the one that sources[batch][j] says. */
weft_status weft_attention_follow(weft_op *op, const weft_cached_attention *f, const weft_tensor *sources, size_t size,
                                  const float **now, weft_heads *at);

/* SIZE_MAX fits any dimension. */
weft_status weft_attention_expect_shape(weft_op *op, int i, const char *name, int rank, const size_t *dims);
/* Input `first` is of floats (no doubles), and those `numbers` that are present are of its type. */
weft_status weft_attention_expect_floats(weft_op *op, int first, const int *numbers, size_t count);
/* An additive bias [batch or 1][heads or 1][queries][keys], if present. */
weft_status weft_attention_place_bias(weft_op *op, int i, weft_attention *a);
/* An int32 mask of keys, if present, becomes numbers to add, joined with the bias placed before. `made` must outlive
 * the attention. */
weft_status weft_attention_place_mask(weft_op *op, int i, weft_attention *a, weft_tensor *made);
/* Computes a complete description into outputs y and scores, either of which may be NULL: without y there is nothing to
 * do. */
weft_status weft_attention_answer(weft_op *op, weft_attention *a, const weft_tensor *y, const weft_tensor *scores);
float weft_attention_scale(const weft_op *op, size_t head);

#endif
