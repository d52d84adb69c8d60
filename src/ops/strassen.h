/* Large products with packed constants in seven products of halves instead of eight. */
#ifndef WEFT_OPS_STRASSEN_H
#define WEFT_OPS_STRASSEN_H

#include "product.h"

bool weft_strassen_fits(const weft_context *cx, const weft_products *products, const weft_product *product);
weft_status weft_strassen_run(weft_op *op, const weft_products *products, const weft_product *product);

#endif
