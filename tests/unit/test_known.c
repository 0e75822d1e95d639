/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_known.c - the bitmap of known frames, and base's plain bitmap, against arrays of bools. */
#include "../support/testing.h"

#include <stdbool.h>
#include <string.h>

#include "base/bitmap.h"
#include "memory/known.h"

enum { FRAMES = 300, ROUNDS = 3000 };

static uint64_t plain_find(const bool *bits, uint64_t first, uint64_t end, bool wanted)
{
	while (first < end && bits[first] != wanted)
		first++;
	return first;
}

static uint64_t plain_count(const bool *plain, uint64_t first, uint64_t end)
{
	uint64_t count = 0;

	for (; first < end; first++)
		count += plain[first];
	return count;
}

static void finds_agree_with_a_plain_array_after_any_changes(void **state)
{
	struct test_random random = test_random_start();
	bool plain[FRAMES] = { false };
	struct known known;

	(void)state;
	assert_int_equal(known_init(&known, FRAMES), 0);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t first = test_random_below(&random, FRAMES + 1);
		uint64_t count = test_random_below(&random, FRAMES - first + 1);
		bool set = test_random_below(&random, 2);

		(set ? known_set : known_clear)(&known, first, count);
		memset(plain + first, set, count);
		first = test_random_below(&random, FRAMES + 1);
		uint64_t end = first + test_random_below(&random, FRAMES - first + 1);

		assert_int_equal(known_find_set(&known, first, end),
				 plain_find(plain, first, end, true));
		assert_int_equal(known_find_clear(&known, first, end),
				 plain_find(plain, first, end, false));
		assert_int_equal(known_count(&known, first, end), plain_count(plain, first, end));
	}
	known_fini(&known);
}

static void fini_of_a_zeroed_one_does_nothing(void **state)
{
	struct known known = { 0 };

	(void)state;
	known_fini(&known);
	assert_null(known.words);
}

static void bitmap_tells_what_a_bit_was_before(void **state)
{
	uint64_t words[BITMAP_WORDS(65)] = { 0 };

	(void)state;
	assert_int_equal(sizeof(words), 2 * sizeof(uint64_t));
	assert_false(bitmap_set(words, 64));
	assert_true(bitmap_set(words, 64));
	assert_true(bitmap_test(words, 64));
	assert_false(bitmap_test(words, 0));
	assert_true(bitmap_clear(words, 64));
	assert_false(bitmap_clear(words, 64));
	assert_int_equal(words[1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_agree_with_a_plain_array_after_any_changes),
		cmocka_unit_test(fini_of_a_zeroed_one_does_nothing),
		cmocka_unit_test(bitmap_tells_what_a_bit_was_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
