/* mutations COUNT MODEL...: gives the fuzz target every model cut at each 64th of its length, and COUNT times with a
 * few bytes changed. The same seed every time, so that a finding is found again; what was tried last is told on a crash
 * by the sanitizer's trace and by the line printed before each model. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { CUTS = 64 };

/* xorshift64 */
static uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

/* The target gets a block of exactly `size` bytes, so that a read beyond it is seen. */
static void try_bytes(const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size > 0 ? size : 1);
  if (copy != NULL) {
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
  }
  free(copy);
}

/* Changes one to eight bytes; most of a model's structure lies at its ends and between its weights, so half of the
 * changes go into the first or last kilobyte. */
static void change(uint8_t *bytes, size_t size, uint64_t *state) {
  size_t count = 1 + next_random(state) % 8, edge = size < 1024 ? size : 1024;
  for (size_t i = 0; i < count; i++) {
    uint64_t random = next_random(state);
    size_t at = random % 4 == 0   ? (size_t)(next_random(state) % edge)
                : random % 4 == 1 ? size - 1 - (size_t)(next_random(state) % edge)
                                  : (size_t)(next_random(state) % size);
    bytes[at] = random & 64 ? (uint8_t)(bytes[at] ^ (1u << (random >> 8) % 8)) : (uint8_t)(random >> 16);
  }
}

static int try_model(const char *path, size_t count) {
  static uint8_t original[1 << 20], spoiled[sizeof original];
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    fprintf(stderr, "cannot open '%s'\n", path);
    return 1;
  }
  size_t size = fread(original, 1, sizeof original, file);
  fclose(file);
  printf("%s\n", path);
  fflush(stdout);
  for (size_t i = 0; i < CUTS; i++) {
    try_bytes(original, size * i / CUTS);
  }
  uint64_t state = 0x9e3779b97f4a7c15u ^ size;
  for (size_t i = 0; i < count && size > 0; i++) {
    memcpy(spoiled, original, size);
    change(spoiled, size, &state);
    try_bytes(spoiled, size);
  }
  return 0;
}

int main(int argc, char **argv) {
  int failed = argc < 3;
  for (int i = 2; i < argc; i++) {
    failed |= try_model(argv[i], (size_t)strtoul(argv[1], NULL, 10));
  }
  return failed;
}
