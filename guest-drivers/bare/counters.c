/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* counters.c - see counters.h. A counter is its word of the pattern plus the count: zeros are seen
 * here, too. */
#include "counters.h"

static uint64_t *word_at(void *page, unsigned which)
{
	return (uint64_t *)page + PATTERN_FIXED_WORDS + which;
}

static uint64_t zero_of(uint64_t address, uint32_t seed, unsigned which)
{
	return pattern_word(address, seed, PATTERN_FIXED_WORDS + which);
}

void counters_join(void *page, const uint64_t rounds[COUNTERS_CPUS])
{
	for (unsigned i = 0; i < COUNTERS_CPUS; i++) {
		*word_at(page, i) += rounds[i];
		*word_at(page, COUNTERS_SHARED) += rounds[i];
	}
}

void counters_read(const void *page, uint64_t address, uint32_t seed,
		   uint64_t ret_counts[PATTERN_COUNTERS])
{
	const uint64_t *words = page;

	for (unsigned i = 0; i < PATTERN_COUNTERS; i++)
		ret_counts[i] = __atomic_load_n(&words[PATTERN_FIXED_WORDS + i], __ATOMIC_ACQUIRE) -
				zero_of(address, seed, i);
}

uint64_t counters_add(void *page, uint64_t address, uint32_t seed, unsigned which)
{
	return __atomic_fetch_add(word_at(page, which), 1, __ATOMIC_RELAXED) -
	       zero_of(address, seed, which);
}

bool counters_check(const uint64_t counts[PATTERN_COUNTERS], uint64_t address, uint32_t seed,
		    const struct counters_bounds *bounds, struct pattern_fault *ret_fault)
{
	struct pattern_fault fault = { 0 };

	for (unsigned i = 0; i < PATTERN_COUNTERS; i++) {
		uint64_t zero = zero_of(address, seed, i);

		if (counts[i] < bounds->least[i] || counts[i] > bounds->most[i])
			pattern_compare(zero + counts[i], PATTERN_FIXED_WORDS + i,
					zero + bounds->least[i], &fault);
	}
	if (fault.wrong_bytes)
		*ret_fault = fault;
	return !fault.wrong_bytes;
}
