/* The table of kernels with plain wasm SIMD: the same bits on every host. */
#define TABLE_NAME "simd"
#define FUSED 0
#include "simd/tables.h"

#include "simd/table.h"

const weft_kernels weft_kernels_simd = {ENTRIES(pairs)};
