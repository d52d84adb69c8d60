/* What the machine can do at best, for profiles to compare with. */
#ifndef WEFT_KERNELS_MEASURE_H
#define WEFT_KERNELS_MEASURE_H

#include "../base/context.h"

/* As weft_session_measure: on the context's threads, with its kernels. */
weft_status weft_measure(weft_context *cx, const weft_clock *clock, weft_limits *out);

#endif
