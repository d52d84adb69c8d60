/* Open addressing with linear probing, at most half full. The hash is SipHash-1-3 (Aumasson and Bernstein, "SipHash: a
 * fast short-input PRF", 2012): names that collide under one key do not under the next, so a run of more than
 * PROBE_LIMIT taken places means bad luck or an attack, and a new key ends both. */
#include "names.h"

#include <string.h>

enum { PROBE_LIMIT = 64, FIRST_CAPACITY = 16, KEY_TRIES = 16 };

static uint64_t rotate(uint64_t x, unsigned by) {
  return (x << by) | (x >> (64u - by));
}

static void sip_round(uint64_t v[4]) {
  v[0] += v[1];
  v[1] = rotate(v[1], 13) ^ v[0];
  v[0] = rotate(v[0], 32);
  v[2] += v[3];
  v[3] = rotate(v[3], 16) ^ v[2];
  v[0] += v[3];
  v[3] = rotate(v[3], 21) ^ v[0];
  v[2] += v[1];
  v[1] = rotate(v[1], 17) ^ v[2];
  v[2] = rotate(v[2], 32);
}

static uint32_t hash_name(uint64_t key, const char *name) {
  size_t size = strlen(name);
  uint64_t v[4] = {key ^ 0x736f6d6570736575u, ~key ^ 0x646f72616e646f6du, key ^ 0x6c7967656e657261u,
                   ~key ^ 0x7465646279746573u};
  for (size_t at = 0; at <= size; at += 8) {
    uint64_t word = 0;
    size_t n = size - at < 8 ? size - at : 8;
    memcpy(&word, name + at, n);
    if (n < 8) {
      word |= (uint64_t)(size & 0xffu) << 56u;
    }
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
  }
  v[2] ^= 0xffu;
  for (int i = 0; i < 3; i++) {
    sip_round(v);
  }
  uint64_t h = v[0] ^ v[1] ^ v[2] ^ v[3];
  return (uint32_t)(h ^ (h >> 32u));
}

/* The entry of `name`, or the free one where it belongs; NULL when neither is within PROBE_LIMIT. */
static weft_names_entry *probe(const weft_names *names, const char *name, uint32_t hash) {
  for (size_t i = 0; i < PROBE_LIMIT; i++) {
    weft_names_entry *entry = &names->entries[(hash + i) & (names->capacity - 1)];
    if (entry->name == NULL || (entry->hash == hash && strcmp(entry->name, name) == 0)) {
      return entry;
    }
  }
  return NULL;
}

static const weft_names_entry *find(const weft_names *names, const char *name) {
  const weft_names_entry *entry = names->count != 0 ? probe(names, name, hash_name(names->key, name)) : NULL;
  return entry != NULL && entry->name != NULL ? entry : NULL;
}

bool weft_names_find(const weft_names *names, const char *name, int32_t *out) {
  const weft_names_entry *entry = find(names, name);
  if (entry != NULL) {
    *out = entry->number;
  }
  return entry != NULL;
}

const char *weft_names_kept(const weft_names *names, const char *name) {
  const weft_names_entry *entry = find(names, name);
  return entry != NULL ? entry->name : NULL;
}

static bool fill(weft_names *to, const weft_names *from) {
  for (size_t i = 0; i < from->capacity; i++) {
    const weft_names_entry *old = &from->entries[i];
    if (old->name == NULL) {
      continue;
    }
    uint32_t hash = hash_name(to->key, old->name);
    weft_names_entry *entry = probe(to, old->name, hash);
    if (entry == NULL) {
      return false;
    }
    *entry = (weft_names_entry){old->name, hash, old->number};
  }
  to->count = from->count;
  return true;
}

static weft_status rebuild(weft_context *cx, weft_names *names, size_t capacity) {
  weft_names next = {.capacity = capacity, .key = names->key};
  for (int i = 0; i < KEY_TRIES; i++) {
    void *entries;
    WEFT_TRY(weft_alloc_zeroed(cx, capacity, sizeof *next.entries, &entries));
    next.entries = entries;
    next.key = next.key * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
    if (fill(&next, names)) {
      weft_free(names->entries);
      *names = next;
      return WEFT_OK;
    }
    weft_free(next.entries);
  }
  return weft_fail(cx, WEFT_LIMIT_EXCEEDED, "the model's names cannot be told apart in bounded time");
}

weft_status weft_names_reserve(weft_context *cx, weft_names *names, size_t count) {
  size_t capacity = names->capacity != 0 ? names->capacity : FIRST_CAPACITY;
  while (capacity / 2 < count) {
    if (!weft_mul(capacity, 2, &capacity)) {
      return weft_fail(cx, WEFT_OUT_OF_MEMORY, "too many names");
    }
  }
  return capacity == names->capacity ? WEFT_OK : rebuild(cx, names, capacity);
}

weft_status weft_names_put(weft_context *cx, weft_names *names, const char *name, int32_t number) {
  WEFT_TRY(weft_names_reserve(cx, names, names->count + 1));
  uint32_t hash = hash_name(names->key, name);
  weft_names_entry *entry = probe(names, name, hash);
  while (entry == NULL) {
    WEFT_TRY(rebuild(cx, names, names->capacity));
    hash = hash_name(names->key, name);
    entry = probe(names, name, hash);
  }
  if (entry->name == NULL) {
    names->count++;
  }
  *entry = (weft_names_entry){entry->name != NULL ? entry->name : name, hash, number};
  return WEFT_OK;
}

void weft_names_free(weft_names *names) {
  weft_free(names->entries);
  *names = (weft_names){0};
}
