/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* testing.h - what every test program needs beside cmocka: a seed that is printed, random numbers
 * made from it, and a skip that says why.
 *
 * Includes cmocka and what it wants included first. NEAP_SEED overrides the seed.
 */
#ifndef NEAP_TESTS_SUPPORT_TESTING_H
#define NEAP_TESTS_SUPPORT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEST_EXIT_SKIP = 77 };

/* Not every test uses all of it. */
#define TESTING_INLINE static inline __attribute__((unused))

/* splitmix64: any seed is a good seed. */
struct test_random {
	uint64_t state;
};

TESTING_INLINE uint64_t test_random_next(struct test_random *random)
{
	uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 .. limit - 1 */
TESTING_INLINE uint64_t test_random_below(struct test_random *random, uint64_t limit)
{
	return test_random_next(random) % limit;
}

/* A number of any magnitude: as often 3 as 3 * 2^60. */
TESTING_INLINE uint64_t test_random_any_size(struct test_random *random)
{
	return test_random_next(random) >> test_random_below(random, 64);
}

/* The seed of this run, printed, so that a failure can be repeated with NEAP_SEED=... */
TESTING_INLINE struct test_random test_random_start(void)
{
	const char *chosen = getenv("NEAP_SEED");
	uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : 20240229;

	print_message("seed: NEAP_SEED=%llu\n", (unsigned long long)seed);
	return (struct test_random){ .state = seed };
}

/* End this program as skipped; the summary of `make test` shows the reason. */
TESTING_INLINE _Noreturn void test_skip_program(const char *reason)
{
	fprintf(stderr, "skipped: %s\n", reason);
	exit(TEST_EXIT_SKIP);
}

/* Leave this cmocka case, saying why. */
#define test_skip_case(reason)                            \
	do {                                              \
		print_message("skipped: %s\n", (reason)); \
		skip();                                   \
	} while (0)

#endif
