/* The table of kernels with relaxed SIMD, in builds for hosts that have it; natively too, for the tests. */
#if defined(WEFT_RELAXED) || !defined(__wasm__)

#define TABLE weft_kernels_relaxed
#define TABLE_NAME "relaxed"
#define FUSED 1
#include "simd/tables.h"

#include "simd/table.h"

#else
typedef int nothing; /* ISO C wants a declaration in every file */
#endif
