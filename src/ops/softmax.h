/* Softmax of one row at the precision of a type: what Softmax itself and the attentions with a softmax_precision share.
 */
#ifndef WEFT_OPS_SOFTMAX_H
#define WEFT_OPS_SOFTMAX_H

#include "op.h"

/* The specification defines Softmax and LogSoftmax as a function of other operators, whose results have the tensor's
 * type. For 16-bit types each step is rounded to `type` therefore, as the function's nodes would be; the
 * last is left to whoever stores y. y may be x. For all other types this is the kernel. */
void weft_softmax_row(const weft_kernels *kernels, weft_type type, size_t n, const float *x, bool logarithm, float *y);
/* The same in place, of scores that are not of that type yet; the result is. */
void weft_softmax_scores(const weft_kernels *kernels, weft_type type, size_t n, float *x);
/* Numbers as a 16-bit type has them; for other types nothing happens. */
void weft_round_floats(const weft_kernels *kernels, weft_type type, size_t n, float *x);

#endif
