/* Which table this host gets. */
#include "kernels/kernels.h"

const weft_kernels *weft_kernels_choose(bool deterministic) {
  (void)deterministic;
  return &weft_kernels_portable;
}
