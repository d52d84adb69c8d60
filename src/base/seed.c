/* Where random numbers begin when nobody says where: 64 bits from the host that are others for every session.
 * Emscripten's modules have no such source, so that they import nothing for it: JavaScript always gives a seed. */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include "seed.h"

#if !defined(__EMSCRIPTEN__)
#include <time.h>
#if defined(__wasi__) || defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#define HAS_ENTROPY 1
#if defined(__APPLE__)
#include <sys/random.h>
#endif
#endif

uint64_t weft_seed(const void *session) {
  uint64_t seed = 0;
#if HAS_ENTROPY
  if (getentropy(&seed, sizeof seed) == 0 && seed != 0) {
    return seed;
  }
#endif
  struct timespec now = {0};
  (void)timespec_get(&now, TIME_UTC);
  return ((uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec) + (uint64_t)(uintptr_t)session;
}
#else
uint64_t weft_seed(const void *session) {
  (void)session;
  return WEFT_FIXED_SEED;
}
#endif

double weft_uniform(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return (double)(z >> 11) * 0x1p-53;
}
