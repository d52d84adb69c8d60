/* Names to numbers: the table that turns a file's value names, function names and operator names into indices. A file
 * may hold a million names, chosen by an adversary, so the hash is keyed and the table changes its key when names
 * cluster: looking up stays constant time whatever the file says. It keeps pointers to the names; it must not know what
 * they name. */
#ifndef WEFT_GRAPH_NAMES_H
#define WEFT_GRAPH_NAMES_H

#include "../base/memory.h"

typedef struct weft_names_entry {
  const char *name; /* NULL: free */
  uint32_t hash;
  int32_t number;
} weft_names_entry;

typedef struct weft_names {
  weft_names_entry *entries;
  size_t capacity; /* a power of two, or 0 */
  size_t count;
  uint64_t key;
} weft_names;

/* A table begins zeroed. The number of `name` in *out, or false. */
bool weft_names_find(const weft_names *names, const char *name, int32_t *out);
/* The pointer under which `name` was put, or NULL. */
const char *weft_names_kept(const weft_names *names, const char *name);
/* Adds a name, which must outlive the table; when it is already there, its number is changed. */
weft_status weft_names_put(weft_context *cx, weft_names *names, const char *name, int32_t number);
/* Room for `count` names without growing. */
weft_status weft_names_reserve(weft_context *cx, weft_names *names, size_t count);
void weft_names_free(weft_names *names);

#endif
