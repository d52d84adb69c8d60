/* The tables that simd/ has. */
#ifndef WEFT_SIMD_TABLES_H
#define WEFT_SIMD_TABLES_H

#include "kernels/kernels.h"

extern const weft_kernels weft_kernels_simd;
extern const weft_kernels weft_kernels_relaxed; /* only where relaxed.c compiles it */

#endif
