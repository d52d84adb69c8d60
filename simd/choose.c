/* Which table this host gets: a module with relaxed instructions is only started where they exist, so what is left to
 * decide is whether results must be the same everywhere, and what the host's relaxed dot product means. */
#include "simd/tables.h"

const weft_kernels *weft_kernels_choose(bool deterministic) {
#if defined(WEFT_RELAXED)
  return deterministic ? &weft_kernels_simd : weft_kernels_probe_relaxed();
#else
  (void)deterministic;
  return &weft_kernels_simd;
#endif
}
