/* How much work a node is, for profiles. */
#ifndef WEFT_OPS_COST_H
#define WEFT_OPS_COST_H

#include "op.h"

/* Of an op that has run: additions and multiplications as its definition has them (0 where this file does not count them)
 * and the bytes of the inputs it reads and the outputs it makes. */
void weft_op_cost(const weft_op *op, double *operations, double *bytes);

#endif
