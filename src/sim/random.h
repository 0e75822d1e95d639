/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* random.h - random numbers that are the same everywhere: splitmix64, integers only.
 *
 * Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014), figure 17.
 */
#ifndef NEAP_SIM_RANDOM_H
#define NEAP_SIM_RANDOM_H

#include <stdint.h>

struct sim_random {
	uint64_t state;
};

static inline uint64_t sim_random_next(struct sim_random *random)
{
	uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9); /* units: a hash's own shift */
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Streams of different @number are unrelated, and do not depend on how many there are. */
static inline struct sim_random sim_random_stream(uint64_t seed, uint64_t number)
{
	struct sim_random random = { .state = seed };

	random.state = sim_random_next(&random) ^ (number * UINT64_C(0xd1342543de82ef95));
	return random;
}

/* low .. high, both included; low <= high, and high - low below 2^48. */
static inline uint64_t sim_random_between(struct sim_random *random, uint64_t low, uint64_t high)
{
	return low + sim_random_next(random) % (high - low + 1);
}

#endif
