/* The table of kernels with plain wasm SIMD: the same bits on every host. */
#define TABLE weft_kernels_simd
#define TABLE_NAME "simd"
#define FUSED 0
#include "simd/tables.h"

#include "simd/table.h"
