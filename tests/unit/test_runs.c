/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_runs.c - pages are made in runs where the guest goes one after the other, and few at a time
 * where it jumps. */
#include "../support/testing.h"

#include <stdbool.h>
#include <string.h>

#include "memory/ram.h"
#include "memory/runs.h"

enum { PAGES = 64 * BLOCK_PAGES, RANDOM_TOUCHES = 2000, STREAMS = 4 };

/* Which pages are there, and how many touches it took. */
struct guest {
	struct runs runs;
	bool made[PAGES];
	uint64_t made_pages, faults;
};

static struct page_run touch(struct guest *guest, uint64_t page, uint64_t page_count)
{
	struct page_run run = { page, 0 };

	if (guest->made[page])
		return run;
	run = runs_touched(&guest->runs, page, page_count, 0);
	assert_in_range(page, run.first, run.first + run.count - 1); /* U1 */
	assert_int_equal(run.first / BLOCK_PAGES, (run.first + run.count - 1) / BLOCK_PAGES);
	assert_true(run.first + run.count <= page_count);
	guest->faults++;
	for (uint64_t i = run.first; i < run.first + run.count; i++) {
		guest->made_pages += !guest->made[i];
		guest->made[i] = true;
	}
	return run;
}

static uint64_t first_not_made(const struct guest *guest, uint64_t page)
{
	while (guest->made[page])
		page++;
	return page;
}

static struct guest *new_guest(void **state)
{
	struct guest *guest = *state;

	memset(guest, 0, sizeof(*guest));
	return guest;
}

static void a_ramp_upwards_soon_takes_whole_blocks(void **state)
{
	static const uint64_t counts[] = { 16, 32, 64, 128, 256, 16, 512, 512 };
	struct guest *guest = new_guest(state);
	uint64_t page = 0;

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct page_run run = touch(guest, page, PAGES);

		assert_int_equal(run.first, page);
		assert_int_equal(run.count, counts[i]);
		page += run.count;
	}
	for (page = 0; page < PAGES; page++)
		(void)touch(guest, page, PAGES);
	assert_int_equal(guest->made_pages, PAGES);
	assert_int_equal(guest->faults, PAGES / BLOCK_PAGES + 5);
}

static void a_ramp_downwards_does_as_well(void **state)
{
	struct guest *guest = new_guest(state);

	for (uint64_t page = PAGES; page-- > 0;)
		(void)touch(guest, page, PAGES);
	assert_int_equal(guest->made_pages, PAGES);
	assert_in_range(guest->faults, PAGES / BLOCK_PAGES, PAGES / BLOCK_PAGES + 6);
}

static void several_ramps_at_once_are_told_apart(void **state)
{
	struct guest *guest = new_guest(state);
	uint64_t part = PAGES / STREAMS;

	for (uint64_t page = 0; page < part; page++)
		for (uint64_t stream = 0; stream < STREAMS; stream++)
			(void)touch(guest, stream * part + page, PAGES);
	assert_int_equal(guest->made_pages, PAGES);
	assert_in_range(guest->faults, 0, PAGES / BLOCK_PAGES + 6 * STREAMS);
}

/* The limit in runs.c: four times what was touched, sixteen for the first sixteen touches; a touch
 * next to an earlier one may look like a stream, so the bound is on what strays made. */
static void a_guest_that_jumps_holds_little_more_than_it_touched(void **state)
{
	struct guest *guest = new_guest(state);
	struct test_random random = test_random_start();
	uint64_t touched = 0;

	for (int i = 0; i < RANDOM_TOUCHES; i++) {
		uint64_t page = test_random_below(&random, PAGES);

		touched += !guest->made[page];
		(void)touch(guest, page, PAGES);
	}
	assert_in_range(guest->made_pages, touched, 5 * touched);
}

/* Every page of a block, in random order: the engine's part is told here what is there. */
static void a_block_that_fills_up_at_random_is_filled(void **state)
{
	struct guest *guest = new_guest(state);
	struct test_random random = test_random_start();
	uint64_t touches = 0, there = 0;

	for (uint64_t i = 0; i < 32; i++) /* it is known to jump */
		(void)touch(guest, (i * 7 + 8) % 60 * BLOCK_PAGES + 100, PAGES);
	memset(guest->made, 0, sizeof(guest->made));
	while (there < BLOCK_PAGES) {
		uint64_t page = test_random_below(&random, BLOCK_PAGES);
		struct page_run run = { page, 1 };

		if (guest->made[page])
			continue;
		run = runs_touched(&guest->runs, page, PAGES, there);
		touches++;
		for (uint64_t i = run.first; i < run.first + run.count; i++) {
			there += !guest->made[i];
			guest->made[i] = true;
		}
	}
	assert_int_equal(first_not_made(guest, 0), BLOCK_PAGES); /* and nothing of the next */
	assert_in_range(touches, 8, 64);
}

static void the_last_block_is_filled_to_the_end_of_ram(void **state)
{
	struct guest *guest = new_guest(state);
	struct page_run run = runs_touched(&guest->runs, 1000, 1023, BLOCK_PAGES / 4);

	assert_int_equal(run.first, BLOCK_PAGES);
	assert_int_equal(run.count, 1023 - BLOCK_PAGES);
	run = runs_touched(&guest->runs, 100, 1023, BLOCK_PAGES / 4 - 1);
	assert_int_equal(run.first, 100);
	assert_int_equal(run.count, 16);
}

static void a_ramp_after_jumps_is_seen_again(void **state)
{
	struct guest *guest = new_guest(state);

	for (uint64_t i = 0; i < 32; i++)
		(void)touch(guest, (i * 7 + 8) % 60 * BLOCK_PAGES + 100, PAGES);
	assert_int_equal(touch(guest, 2 * BLOCK_PAGES, PAGES).count, 4);
	assert_int_equal(touch(guest, 2 * BLOCK_PAGES + 4, PAGES).count, 32);
	assert_int_equal(touch(guest, 2 * BLOCK_PAGES + 36, PAGES).count, 64);
}

static void the_end_of_ram_is_the_end_of_a_run(void **state)
{
	struct guest *guest = new_guest(state);
	struct page_run run = touch(guest, 1020, 1023);

	assert_int_equal(run.first, 1020);
	assert_int_equal(run.count, 3);
}

static int set_up(void **state)
{
	*state = malloc(sizeof(struct guest));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ramp_upwards_soon_takes_whole_blocks),
		cmocka_unit_test(a_ramp_downwards_does_as_well),
		cmocka_unit_test(several_ramps_at_once_are_told_apart),
		cmocka_unit_test(a_guest_that_jumps_holds_little_more_than_it_touched),
		cmocka_unit_test(a_block_that_fills_up_at_random_is_filled),
		cmocka_unit_test(the_last_block_is_filled_to_the_end_of_ram),
		cmocka_unit_test(a_ramp_after_jumps_is_seen_again),
		cmocka_unit_test(the_end_of_ram_is_the_end_of_a_run),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
