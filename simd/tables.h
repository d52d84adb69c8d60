/* The tables that simd/ has. */
#ifndef WEFT_SIMD_TABLES_H
#define WEFT_SIMD_TABLES_H

#include "kernels/kernels.h"

extern const weft_kernels weft_kernels_simd;

/* Only where relaxed.c compiles them. The first does without the relaxed dot product; the others give right integer
 * products only where it takes bytes of that kind, and the second where it saturates, too. */
extern const weft_kernels weft_kernels_relaxed;
extern const weft_kernels weft_kernels_relaxed_limited;
extern const weft_kernels weft_kernels_relaxed_signed;
extern const weft_kernels weft_kernels_relaxed_unsigned;

/* The one of them that is right and fastest here; NULL if none is, multiply-adds being rounded twice. */
const weft_kernels *weft_kernels_probe_relaxed(void);

#endif
