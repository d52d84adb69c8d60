/* Random numbers, and where a session's begin. */
#ifndef WEFT_BASE_SEED_H
#define WEFT_BASE_SEED_H

#include <stdint.h>

#define WEFT_FIXED_SEED UINT64_C(0x9e3779b97f4a7c15)

/* Another number on every call, as far as the host lets. `session` is an address that tells sessions apart. */
uint64_t weft_seed(const void *session);

/* The next number in [0, 1) of a generator, splitmix64 (Steele, Lea and Flood, 2014), whose state is any number. */
double weft_uniform(uint64_t *state);

#endif
