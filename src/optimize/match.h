/* Small questions that patterns ask of a graph, and the one thing they do: turn the last node of a pattern into the
 * operator that stands for all of it. What else the pattern had is then dead, and the pass for that removes it. */
#ifndef WEFT_OPTIMIZE_MATCH_H
#define WEFT_OPTIMIZE_MATCH_H

#include "pass.h"

/* The elements of a constant of that type, or NULL. */
const weft_tensor *weft_match_constant(const weft_graph *graph, int32_t v, weft_type type);
/* A float constant of one element. */
bool weft_match_scalar(const weft_graph *graph, int32_t v, float *out);
/* The same, close to a number that exporters round in their own ways. */
bool weft_match_near(const weft_graph *graph, int32_t v, double expected);
/* The node of that type whose output 0 is v, or NULL. */
weft_node *weft_match_producer(const weft_graph *graph, int32_t v, const char *op_type);
/* The node of that type that alone reads v, which is no output of the graph; or NULL. */
weft_node *weft_match_reader(const weft_graph *graph, const weft_uses *uses, int32_t v, const char *op_type);
/* The QuantizeLinear that alone reads v, by one constant scale, which keeps the order of numbers, to 8 bits with a constant
 * zero point; or NULL. */
weft_node *weft_match_quantizer(const weft_graph *graph, const weft_uses *uses, int32_t v);
/* The other one of two inputs; -1 when v is neither, or there are not two. */
int32_t weft_match_other(const weft_node *node, int32_t v);
weft_type weft_match_type(const weft_graph *graph, int32_t v);
/* Whether the two have the same type and shape in every run, as far as infos tell. */
bool weft_info_same_shape(const weft_info *x, const weft_info *y);
bool weft_match_same_shape(const weft_graph *graph, int32_t a, int32_t b);

/* Whether a constant that is added to (multiplied with) a tensor of that rank has one element for each of `channels`
 * along `axis`, or one for all. */
bool weft_match_per_channel(const weft_tensor *t, size_t channels, int rank, int axis);

/* The node becomes another operator with these inputs, without attributes; its output 0 stays. */
weft_status weft_match_become(weft_pass *pass, weft_node *node, const char *domain, const char *op_type, int inputs,
                              const int32_t *values);

#endif
