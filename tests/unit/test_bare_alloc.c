/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The embedded guest's table of pages, on the host: addresses are numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bare/alloc.h"

enum { BLOCKS = 16 };
#define RAM_START ALLOC_BLOCK_BYTES
#define RAM_END	  (BLOCKS * ALLOC_BLOCK_BYTES)

static struct alloc alloc;
static struct alloc_block blocks[BLOCKS];

/* RAM is blocks 1 to 15. */
static int start(void **state)
{
	(void)state;
	alloc_init(&alloc, blocks, BLOCKS);
	alloc_add_ram(&alloc, RAM_START, RAM_END, 0);
	return 0;
}

static void all_ram_is_free_and_counted(void **state)
{
	(void)state;
	assert_int_equal(alloc.pages[ALLOC_FREE], (BLOCKS - 1) * ALLOC_BLOCK_PAGES);
	assert_int_equal(alloc_whole_blocks(&alloc), BLOCKS - 1);
	assert_int_equal(alloc_owner_of(&alloc, 0), ALLOC_SYSTEM);
}

static void ram_with_odd_ends_gives_whole_pages(void **state)
{
	(void)state;
	alloc_init(&alloc, blocks, BLOCKS);
	alloc_add_ram(&alloc, RAM_START + 1, RAM_START + 3 * ALLOC_PAGE_BYTES - 1, 0);
	assert_int_equal(alloc.pages[ALLOC_FREE], 1);
	alloc_add_ram(&alloc, RAM_END - ALLOC_PAGE_BYTES, RAM_END + ALLOC_BLOCK_BYTES, 0);
	assert_int_equal(alloc.pages[ALLOC_FREE], 2);
}

static void blocks_come_from_the_asked_end(void **state)
{
	uint64_t address;

	(void)state;
	assert_true(alloc_take_block(&alloc, ALLOC_BALLOON, ALLOC_HIGHEST, 0, &address));
	assert_int_equal(address, RAM_END - ALLOC_BLOCK_BYTES);
	assert_true(alloc_take_block(&alloc, ALLOC_WORK, ALLOC_LOWEST, 1, &address));
	assert_int_equal(address, RAM_START);
}

static void pages_come_in_falling_order_from_the_top(void **state)
{
	uint64_t address, before = RAM_END;

	(void)state;
	for (unsigned i = 0; i < 3 * ALLOC_BLOCK_PAGES; i++) {
		assert_true(alloc_take_page(&alloc, ALLOC_BALLOON, ALLOC_HIGHEST, 0, &address));
		assert_int_equal(address, before - ALLOC_PAGE_BYTES);
		before = address;
	}
}

static void reserved_pages_are_never_handed_out(void **state)
{
	uint64_t address, taken = 0;

	(void)state;
	alloc_reserve(&alloc, RAM_START + 5, RAM_START + ALLOC_PAGE_BYTES + 1);
	while (alloc_take_page(&alloc, ALLOC_BALLOON, ALLOC_LOWEST, 0, &address)) {
		assert_true(address >= RAM_START + 2 * ALLOC_PAGE_BYTES);
		taken++;
	}
	assert_int_equal(taken, (BLOCKS - 1) * ALLOC_BLOCK_PAGES - 2);
}

static void a_page_of_the_working_set_shows_after_it_is_written(void **state)
{
	uint64_t address, found;

	(void)state;
	assert_true(alloc_take_page(&alloc, ALLOC_WORK, ALLOC_LOWEST, 7, &address));
	assert_false(alloc_find(&alloc, ALLOC_WORK, 0, &found));
	alloc_publish(&alloc, address, 1);
	assert_true(alloc_find(&alloc, ALLOC_WORK, 0, &found));
	assert_int_equal(found, address);
}

static void a_block_has_working_pages_of_one_seed(void **state)
{
	uint64_t first, second;

	(void)state;
	assert_true(alloc_take_page(&alloc, ALLOC_WORK, ALLOC_LOWEST, 1, &first));
	assert_true(alloc_take_page(&alloc, ALLOC_WORK, ALLOC_LOWEST, 2, &second));
	assert_int_not_equal(first >> ALLOC_BLOCK_SHIFT, second >> ALLOC_BLOCK_SHIFT);
}

static void a_given_page_is_found_again_and_changes_the_generation(void **state)
{
	uint64_t address, again;

	(void)state;
	while (alloc_take_page(&alloc, ALLOC_BALLOON, ALLOC_LOWEST, 0, &address))
		;
	uint32_t generation = alloc_block_of(&alloc, address)->generation;

	alloc_give(&alloc, address, 1, 5);
	assert_int_not_equal(alloc_block_of(&alloc, address)->generation, generation);
	assert_true(alloc_take_page(&alloc, ALLOC_BALLOON, ALLOC_HIGHEST, 0, &again));
	assert_int_equal(address, again);
}

static void taking_makes_a_reported_block_unreported(void **state)
{
	uint64_t address;

	(void)state;
	for (unsigned i = 1; i < BLOCKS; i++)
		blocks[i].reported = true;
	assert_true(alloc_take_page(&alloc, ALLOC_BALLOON, ALLOC_HIGHEST, 0, &address));
	assert_false(alloc_block_of(&alloc, address)->reported);
}

static void find_wraps_around_once(void **state)
{
	uint64_t address, found;

	(void)state;
	assert_true(alloc_take_page(&alloc, ALLOC_BALLOON, ALLOC_LOWEST, 0, &address));
	assert_true(alloc_find(&alloc, ALLOC_BALLOON, address + ALLOC_PAGE_BYTES, &found));
	assert_int_equal(found, address);
	assert_false(alloc_find(&alloc, ALLOC_WORK, 0, &found));
	assert_true(alloc_find(&alloc, ALLOC_BALLOON, RAM_END + 5, &found));
}

static void a_run_ends_with_the_owner_or_the_block(void **state)
{
	(void)state;
	assert_int_equal(alloc_run(&alloc, RAM_START), ALLOC_BLOCK_PAGES);
	alloc_take_at(&alloc, RAM_START + 3 * ALLOC_PAGE_BYTES, 130, ALLOC_BALLOON);
	assert_int_equal(alloc_run(&alloc, RAM_START), 3);
	assert_int_equal(alloc_run(&alloc, RAM_START + 3 * ALLOC_PAGE_BYTES), 130);
	assert_int_equal(alloc_run(&alloc, RAM_START + 100 * ALLOC_PAGE_BYTES), 33);
	assert_int_equal(alloc_run(&alloc, RAM_START + 133 * ALLOC_PAGE_BYTES),
			 ALLOC_BLOCK_PAGES - 133);
}

static void a_bounded_search_ends_at_its_end(void **state)
{
	uint64_t address, found = 1;

	(void)state;
	alloc_take_at(&alloc, RAM_START + 5 * ALLOC_PAGE_BYTES, 1, ALLOC_BALLOON);
	address = RAM_START + 5 * ALLOC_PAGE_BYTES;
	assert_false(alloc_find_before(&alloc, ALLOC_BALLOON, 0, address, &found));
	assert_int_equal(found, 1);
	assert_true(alloc_find_before(&alloc, ALLOC_BALLOON, 0, address + 1, &found));
	assert_int_equal(found, address);
	assert_false(alloc_find_before(&alloc, ALLOC_BALLOON, address + ALLOC_PAGE_BYTES,
				       UINT64_MAX, &found));
	assert_false(alloc_find_before(&alloc, ALLOC_BALLOON, RAM_END, UINT64_MAX, &found));
}

static void the_working_set_has_a_span_of_whole_blocks(void **state)
{
	uint64_t start, end, address;

	(void)state;
	assert_false(alloc_work_span(&alloc, &start, &end));
	assert_true(alloc_take_page(&alloc, ALLOC_WORK, ALLOC_LOWEST, 1, &address));
	assert_true(alloc_work_span(&alloc, &start, &end));
	assert_int_equal(start, RAM_START);
	assert_int_equal(end, RAM_START + ALLOC_BLOCK_BYTES);
	assert_true(alloc_take_page(&alloc, ALLOC_WORK, ALLOC_HIGHEST, 1, &address));
	assert_true(alloc_work_span(&alloc, &start, &end));
	assert_int_equal(end, RAM_END);
}

static void blocks_side_by_side_are_found_around_what_is_taken(void **state)
{
	uint64_t address;

	(void)state;
	assert_false(alloc_find_side_by_side(&alloc, BLOCKS, &address));
	assert_false(alloc_find_side_by_side(&alloc, 0, &address));
	assert_true(alloc_find_side_by_side(&alloc, BLOCKS - 1, &address));
	assert_int_equal(address, RAM_START);
	alloc_take_at(&alloc, RAM_START + 2 * ALLOC_BLOCK_BYTES, 1, ALLOC_BALLOON);
	assert_true(alloc_find_side_by_side(&alloc, 2, &address));
	assert_int_equal(address, RAM_START);
	assert_true(alloc_find_side_by_side(&alloc, 3, &address));
	assert_int_equal(address, RAM_START + 3 * ALLOC_BLOCK_BYTES);
	assert_false(alloc_find_side_by_side(&alloc, BLOCKS - 3, &address));
}

static uint64_t seed_of_run(void)
{
	const char *text = getenv("NEAP_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 20261121;

	print_message("NEAP_SEED=%lu\n", (unsigned long)seed);
	return seed | 1;
}

/* Counts by hand, next to the table's own. */
static void check_counts(void)
{
	uint64_t counts[ALLOC_OWNERS] = { 0 };

	for (uint64_t block = 1; block < BLOCKS; block++) {
		unsigned free = 0;

		for (unsigned i = 0; i < ALLOC_BLOCK_PAGES; i++) {
			enum alloc_owner owner = alloc_owner_of(
				&alloc, (block << ALLOC_BLOCK_SHIFT) + i * ALLOC_PAGE_BYTES);

			counts[owner]++;
			free += owner == ALLOC_FREE;
		}
		assert_int_equal(blocks[block].free_pages, free);
	}
	for (unsigned owner = 0; owner < ALLOC_OWNERS; owner++)
		assert_int_equal(counts[owner], alloc.pages[owner]);
}

static void any_mixture_keeps_the_counts(void **state)
{
	(void)state;
	alloc.random = seed_of_run();
	for (unsigned step = 0; step < 20000; step++) {
		uint64_t choice = alloc_random(&alloc), address;
		enum alloc_order order = (enum alloc_order)(choice >> 8 & 3) % 3;
		enum alloc_owner owner = choice & 1 ? ALLOC_WORK : ALLOC_BALLOON;
		bool give = choice >> 4 & 1;

		if (give && alloc_find(&alloc, owner, choice >> 16 << ALLOC_PAGE_SHIFT, &address))
			alloc_give(&alloc, address, 1, step);
		else if (choice >> 5 & 15)
			give = !alloc_take_page(&alloc, owner, order, choice & 2, &address);
		else
			give = !alloc_take_block(&alloc, owner, order, choice & 2, &address);
		if (!give && owner == ALLOC_WORK)
			alloc_publish(&alloc, address, choice >> 5 & 15 ? 1 : ALLOC_BLOCK_PAGES);
		if (step % 1000 == 0)
			check_counts();
	}
	check_counts();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, start)
	const struct CMUnitTest tests[] = {
		TEST(all_ram_is_free_and_counted),
		TEST(ram_with_odd_ends_gives_whole_pages),
		TEST(blocks_come_from_the_asked_end),
		TEST(pages_come_in_falling_order_from_the_top),
		TEST(reserved_pages_are_never_handed_out),
		TEST(a_page_of_the_working_set_shows_after_it_is_written),
		TEST(a_block_has_working_pages_of_one_seed),
		TEST(a_given_page_is_found_again_and_changes_the_generation),
		TEST(taking_makes_a_reported_block_unreported),
		TEST(find_wraps_around_once),
		TEST(a_run_ends_with_the_owner_or_the_block),
		TEST(a_bounded_search_ends_at_its_end),
		TEST(the_working_set_has_a_span_of_whole_blocks),
		TEST(blocks_side_by_side_are_found_around_what_is_taken),
		TEST(any_mixture_keeps_the_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
