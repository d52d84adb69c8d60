/* Operators that the caller of weft.h brings: each is a row like those of ops.def, whose `run` calls the caller's
 * function. They belong to the loader, then to the model. */
#ifndef WEFT_OPS_CUSTOM_H
#define WEFT_OPS_CUSTOM_H

#include "op.h"

typedef struct weft_custom weft_custom;

/* Puts a copy of `op` in front of `*list`; refuses what may not be replaced. */
weft_status weft_custom_add(weft_context *cx, const weft_custom_op *op, weft_custom **list);
const weft_op_def *weft_custom_find(const weft_custom *list, const char *domain, const char *name);
void weft_customs_free(weft_custom *list);

#endif
