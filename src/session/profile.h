/* Where the time goes: intervals, recorded while a session runs. Without a profile (NULL) both functions do nothing.
 * Recording never makes a run fail. */
#ifndef WEFT_SESSION_PROFILE_H
#define WEFT_SESSION_PROFILE_H

#include "../ops/op.h"

typedef struct weft_profile {
  weft_clock clock;
  weft_profile_entry *entries;
  size_t count, capacity, dropped;
  uint32_t open; /* the entry that is not over yet, innermost; WEFT_PROFILE_ROOT: none */
} weft_profile;

/* Begins an interval: of a node, or of a whole run (NULL). */
uint32_t weft_profile_enter(weft_context *cx, weft_profile *profile, const weft_node *node);
/* Ends it; `op` (NULL for runs and failures) tells the output's shape and the work. */
void weft_profile_leave(weft_profile *profile, uint32_t entry, const weft_op *op);
void weft_profile_free(weft_profile *profile);

#endif
