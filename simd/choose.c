/* Which table this host gets. A module with relaxed instructions has no others, which would be an eighth of it: where
 * they may not be used, whoever chooses modules takes another one. What is left to decide is what the host makes of
 * them. */
#include "simd/tables.h"

const weft_kernels *weft_kernels_choose(bool deterministic) {
#if defined(WEFT_RELAXED)
  return deterministic ? NULL : weft_kernels_probe_relaxed();
#else
  (void)deterministic;
  return &weft_kernels_simd;
#endif
}
