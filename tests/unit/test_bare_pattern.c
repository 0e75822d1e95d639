/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The embedded guest's page pattern: what it must see, on the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bare/pattern.h"

static uint8_t page[PATTERN_PAGE_BYTES] __attribute__((aligned(8)));
static const uint64_t address = 0x12345000;
enum { FIXED_BYTES = PATTERN_FIXED_WORDS * 8 }; /* the counters' own test has the rest */

static void a_written_page_is_good_at_its_place_only(void **state)
{
	struct pattern_fault fault;

	(void)state;
	pattern_write(page, address, 1);
	assert_true(pattern_check(page, address, 1, &fault));
	assert_false(pattern_check(page, address + PATTERN_PAGE_BYTES, 1, &fault));
	assert_true(fault.wrong_bytes > PATTERN_PAGE_BYTES * 9 / 10);
	assert_false(pattern_check(page, address, 2, &fault));
	assert_true(fault.wrong_bytes > PATTERN_PAGE_BYTES * 9 / 10);
}

static void every_lost_byte_is_found(void **state)
{
	(void)state;
	pattern_write(page, address, 1);
	for (unsigned i = 0; i < FIXED_BYTES; i++) {
		struct pattern_fault fault;
		uint8_t kept = page[i];

		assert_int_not_equal(kept, 0);
		page[i] = 0;
		assert_false(pattern_check(page, address, 1, &fault));
		assert_int_equal(fault.offset, i);
		assert_int_equal(fault.expected, kept);
		assert_int_equal(fault.seen, 0);
		assert_int_equal(fault.wrong_bytes, 1);
		page[i] = kept;
	}
}

static void every_flipped_bit_is_found(void **state)
{
	(void)state;
	pattern_write(page, address, 7);
	for (unsigned bit = 0; bit < FIXED_BYTES * 8; bit += 13) {
		struct pattern_fault fault;

		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(pattern_check(page, address, 7, &fault));
		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void a_word_alone_is_the_one_in_the_page(void **state)
{
	uint64_t word;

	(void)state;
	pattern_write(page, address, 7);
	for (unsigned i = 0; i < PATTERN_WORDS; i++) {
		memcpy(&word, page + i * sizeof(word), sizeof(word));
		assert_int_equal(word, pattern_word(address, 7, i));
	}
}

static void a_page_of_zeros_is_wrong_in_every_byte(void **state)
{
	struct pattern_fault fault;

	(void)state;
	memset(page, 0, sizeof(page));
	assert_false(pattern_check(page, address, 1, &fault));
	assert_int_equal(fault.wrong_bytes, FIXED_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_written_page_is_good_at_its_place_only),
		cmocka_unit_test(every_lost_byte_is_found),
		cmocka_unit_test(every_flipped_bit_is_found),
		cmocka_unit_test(a_word_alone_is_the_one_in_the_page),
		cmocka_unit_test(a_page_of_zeros_is_wrong_in_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
