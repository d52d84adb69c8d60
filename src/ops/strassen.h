/* Large products with constant weights in seven products of halves instead of eight. */
#ifndef WEFT_OPS_STRASSEN_H
#define WEFT_OPS_STRASSEN_H

#include "product.h"

/* Whether these products, whose first is `product`, are made so; it depends on their shape alone. */
bool weft_strassen_fits(const weft_context *cx, const weft_products *products, const weft_product *product);
/* Fails where memory for sums is refused. */
weft_status weft_strassen_run(weft_op *op, const weft_products *products, const weft_product *product);

#endif
