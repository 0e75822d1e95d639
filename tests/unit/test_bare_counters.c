/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The embedded guest's counters in a page: what they must see, on the host. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bare/counters.h"

enum { SEED = 5, THREADS = 4, ADDITIONS = 100000 };

static uint8_t page[PATTERN_PAGE_BYTES] __attribute__((aligned(8)));
static const uint64_t address = 0x7654000;

static int start(void **state)
{
	(void)state;
	pattern_write(page, address, SEED);
	return 0;
}

static bool is_within(uint64_t least, uint64_t most, struct pattern_fault *fault)
{
	struct counters_bounds bounds;
	uint64_t counts[PATTERN_COUNTERS];

	for (unsigned i = 0; i < PATTERN_COUNTERS; i++) {
		bounds.least[i] = least;
		bounds.most[i] = most;
	}
	counters_read(page, address, SEED, counts);
	return counters_check(counts, address, SEED, &bounds, fault);
}

static void a_written_page_stands_at_zero(void **state)
{
	struct pattern_fault fault;

	(void)state;
	assert_true(is_within(0, 0, &fault));
	assert_false(is_within(1, 2, &fault));
}

static void an_addition_says_what_was_there_and_moves_one_counter(void **state)
{
	uint64_t counts[PATTERN_COUNTERS];

	(void)state;
	assert_int_equal(counters_add(page, address, SEED, 3), 0);
	assert_int_equal(counters_add(page, address, SEED, 3), 1);
	counters_read(page, address, SEED, counts);
	for (unsigned i = 0; i < PATTERN_COUNTERS; i++)
		assert_int_equal(counts[i], i == 3 ? 2 : 0);
}

static void counting_leaves_the_pattern_alone(void **state)
{
	struct pattern_fault fault;

	(void)state;
	for (unsigned i = 0; i < PATTERN_COUNTERS; i++)
		counters_add(page, address, SEED, i);
	assert_true(pattern_check(page, address, SEED, &fault));
}

static void a_page_that_came_back_from_the_past_is_found(void **state)
{
	static uint8_t old[PATTERN_PAGE_BYTES];
	struct pattern_fault fault;

	(void)state;
	memcpy(old, page, sizeof(old));
	for (unsigned i = 0; i < PATTERN_COUNTERS; i++)
		counters_add(page, address, SEED, i);
	assert_true(is_within(1, 1, &fault));
	memcpy(page, old, sizeof(old));
	assert_true(pattern_check(page, address, SEED, &fault)); /* blind to it */
	assert_false(is_within(1, 1, &fault));
	assert_true(fault.offset >= PATTERN_FIXED_WORDS * sizeof(uint64_t));
}

static void every_flipped_bit_of_a_counter_is_found(void **state)
{
	(void)state;
	for (unsigned i = PATTERN_FIXED_WORDS * 8; i < PATTERN_PAGE_BYTES; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct pattern_fault fault;

			page[i] ^= (uint8_t)(1 << bit);
			assert_false(is_within(0, 0, &fault));
			assert_int_equal(fault.offset, i);
			assert_int_equal(fault.wrong_bytes, 1);
			assert_int_equal(fault.seen, page[i]);
			page[i] ^= (uint8_t)(1 << bit);
			assert_int_equal(fault.expected, page[i]);
		}
	}
}

static void a_page_of_zeros_is_found_whatever_was_counted(void **state)
{
	struct pattern_fault fault;

	(void)state;
	memset(page, 0, sizeof(page));
	assert_false(is_within(0, 1000000, &fault));
}

static void a_new_page_joins_as_if_it_had_been_counted(void **state)
{
	uint64_t rounds[COUNTERS_CPUS], counts[PATTERN_COUNTERS], sum = 0;

	(void)state;
	for (unsigned i = 0; i < COUNTERS_CPUS; i++)
		sum += rounds[i] = i * 3;
	counters_join(page, rounds);
	counters_read(page, address, SEED, counts);
	for (unsigned i = 0; i < COUNTERS_CPUS; i++)
		assert_int_equal(counts[i], rounds[i]);
	assert_int_equal(counts[COUNTERS_SHARED], sum);
}

static void *add_many(void *which)
{
	for (unsigned i = 0; i < ADDITIONS; i++) {
		if (counters_add(page, address, SEED, (unsigned)(uintptr_t)which) != i)
			return page;
		counters_add(page, address, SEED, COUNTERS_SHARED);
	}
	return NULL;
}

static void processors_lose_nothing_to_each_other(void **state)
{
	uint64_t counts[PATTERN_COUNTERS];
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, (void *)(uintptr_t)i),
				 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	counters_read(page, address, SEED, counts);
	assert_int_equal(counts[COUNTERS_SHARED], THREADS * ADDITIONS);
	assert_int_equal(counts[0], ADDITIONS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, start)
	const struct CMUnitTest tests[] = {
		TEST(a_written_page_stands_at_zero),
		TEST(an_addition_says_what_was_there_and_moves_one_counter),
		TEST(counting_leaves_the_pattern_alone),
		TEST(a_page_that_came_back_from_the_past_is_found),
		TEST(every_flipped_bit_of_a_counter_is_found),
		TEST(a_page_of_zeros_is_found_whatever_was_counted),
		TEST(a_new_page_joins_as_if_it_had_been_counted),
		TEST(processors_lose_nothing_to_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
