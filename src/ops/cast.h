/* Casting elements, for operators that do so beside their own work. */
#ifndef WEFT_OPS_CAST_H
#define WEFT_OPS_CAST_H

#include "op.h"

/* Fills y with x's elements, as Cast does without attributes: as many elements, of two types that are not the same. */
weft_status weft_cast_elements(weft_op *op, const weft_tensor *x, weft_tensor *y);

#endif
