/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_fixture.h - a store with one worker, and blocks to put into it. */
#ifndef NEAP_TESTS_UNIT_SWAP_FIXTURE_H
#define NEAP_TESTS_UNIT_SWAP_FIXTURE_H

#include "../support/swapdir.h"

#include <sys/mman.h>

#include "memory/swap_internal.h"

static const uint64_t all_live[SWAP_LIVE_WORDS] = { ~0ULL, ~0ULL, ~0ULL, ~0ULL,
						    ~0ULL, ~0ULL, ~0ULL, ~0ULL };

struct swap_fixture {
	struct swap_store *store;
	struct swap_worker *worker;
	uint8_t *block; /* what is written */
	uint8_t *back;	/* what came back */
};

TESTING_INLINE uint8_t *fixture_block(void)
{
	void *at = mmap(NULL, SWAP_BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

TESTING_INLINE struct swap_config fixture_config(uint64_t blocks)
{
	return (struct swap_config){ .dir = swapdir(),
				     .size_bytes = blocks * SWAP_BLOCK_BYTES,
				     .block_count = 64,
				     .vm_uuid = { 1, 2, 3 },
				     .encrypt = true,
				     .compress = true };
}

TESTING_INLINE struct swap_fixture fixture_open(const struct swap_config *config)
{
	struct swap_fixture fixture = { .block = fixture_block(), .back = fixture_block() };
	struct err err = { 0 };

	if (swap_store_open(config, &fixture.store, &err) ||
	    swap_worker_open(fixture.store, &fixture.worker, &err))
		fail_msg("%s", err.text);
	return fixture;
}

TESTING_INLINE void fixture_close(struct swap_fixture *fixture)
{
	swap_worker_close(fixture->worker);
	swap_store_close(fixture->store);
	(void)munmap(fixture->block, SWAP_BLOCK_BYTES);
	(void)munmap(fixture->back, SWAP_BLOCK_BYTES);
}

TESTING_INLINE struct swap_stats fixture_stats(const struct swap_fixture *fixture)
{
	struct swap_stats stats;

	swap_store_stats(fixture->store, &stats);
	return stats;
}

TESTING_INLINE void fill_random(struct test_random *random, uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t word = test_random_next(random);

		memcpy(at + i, &word, sizeof(word));
	}
}

/* Text-like: LZ4 makes it a third or less. */
TESTING_INLINE void fill_compressible(struct test_random *random, uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i += 64) {
		memset(at + i, 'a' + (int)test_random_below(random, 20), 64);
		at[i + test_random_below(random, 64)] = (uint8_t)test_random_next(random);
	}
}

/* Write the block as number @number and bring it back; @back was zeros. */
TESTING_INLINE void assert_comes_back(struct swap_fixture *fixture, uint64_t number,
				      uint64_t len_bytes, const uint8_t *expected)
{
	memset(fixture->back, 0, SWAP_BLOCK_BYTES);
	assert_int_equal(swap_store_read(fixture->worker, number, fixture->back, len_bytes), 0);
	assert_memory_equal(fixture->back, expected, len_bytes);
}

#endif
