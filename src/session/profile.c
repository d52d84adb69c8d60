/* Entries in the order of their beginnings. The clock is read last when an interval begins and first when it ends, so
 * that recording is not in what is recorded. */
#include "profile.h"

#include <string.h>

#include "../ops/cost.h"

enum { MOST_ENTRIES = 1 << 18, DROPPED = UINT32_MAX };

static bool has_room(weft_context *cx, weft_profile *profile) {
  void *entries = profile->entries;
  if (profile->count == MOST_ENTRIES) {
    return false;
  }
  if (weft_grow(cx, &entries, &profile->capacity, profile->count + 1, sizeof(weft_profile_entry)) != WEFT_OK) {
    memset(cx->error, 0, sizeof *cx->error); /* the run goes on */
    return false;
  }
  profile->entries = entries;
  return true;
}

uint32_t weft_profile_enter(weft_context *cx, weft_profile *profile, const weft_node *node) {
  if (profile == NULL) {
    return DROPPED;
  }
  if (node == NULL) {
    profile->open = WEFT_PROFILE_ROOT;
  }
  if (!has_room(cx, profile)) {
    profile->dropped++;
    return DROPPED;
  }
  uint32_t index = (uint32_t)profile->count++;
  weft_profile_entry *entry = &profile->entries[index];
  *entry = (weft_profile_entry){.node = "", .domain = "", .op = "", .parent = profile->open};
  if (node != NULL) {
    entry->node = node->name;
    entry->domain = node->domain;
    entry->op = node->op_type;
  }
  profile->open = index;
  entry->begin = profile->clock.now(profile->clock.user);
  entry->end = entry->begin;
  return index;
}

void weft_profile_leave(weft_profile *profile, uint32_t index, const weft_op *op) {
  if (profile == NULL || index == DROPPED) {
    return;
  }
  double end = profile->clock.now(profile->clock.user);
  weft_profile_entry *entry = &profile->entries[index];
  entry->end = end;
  profile->open = entry->parent;
  if (op == NULL) {
    return;
  }
  weft_op_cost(op, &entry->operations, &entry->bytes);
  const weft_tensor *out = op->output_count > 0 ? weft_op_out(op, 0) : NULL;
  if (out != NULL && op->outputs[0]->kind == WEFT_KIND_TENSOR) {
    entry->type = out->type;
    entry->rank = out->shape.rank;
    memcpy(entry->dims, out->shape.dims, sizeof entry->dims);
  }
}

void weft_profile_free(weft_profile *profile) {
  weft_free(profile->entries);
  *profile = (weft_profile){0};
}
