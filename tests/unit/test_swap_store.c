/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swap_store.c - what is stored comes back, whatever it looks like, and takes what it should. */
#include "swap_fixture.h"

#include <errno.h>

enum { MODES = 4 };

/* With and without encryption, with and without compression. */
static struct swap_fixture open_mode(int mode)
{
	struct swap_config config = fixture_config(8);

	config.encrypt = mode & 1;
	config.compress = mode & 2;
	return fixture_open(&config);
}

static void random_bytes_come_back_and_take_their_own_size(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int mode = 0; mode < MODES; mode++) {
		struct swap_fixture f = open_mode(mode);

		fill_random(&random, f.block, SWAP_BLOCK_BYTES);
		assert_int_equal(swap_store_write(f.worker, 5, f.block, SWAP_BLOCK_BYTES, all_live),
				 0);
		assert_true(swap_store_has(f.store, 5));
		assert_comes_back(&f, 5, SWAP_BLOCK_BYTES, f.block);
		assert_comes_back(&f, 5, SWAP_BLOCK_BYTES, f.block); /* it stays stored */
		assert_int_equal(fixture_stats(&f).used_bytes, SWAP_BLOCK_BYTES);
		assert_int_equal(fixture_stats(&f).compressed_blocks, 0);
		swap_store_drop(f.store, 5);
		assert_false(swap_store_has(f.store, 5));
		assert_int_equal(fixture_stats(&f).used_bytes, 0);
		fixture_close(&f);
	}
}

static void compressible_bytes_come_back_and_take_less(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int mode = 0; mode < MODES; mode++) {
		struct swap_fixture f = open_mode(mode);
		bool compress = mode & 2;

		fill_compressible(&random, f.block, SWAP_BLOCK_BYTES);
		assert_int_equal(swap_store_write(f.worker, 0, f.block, SWAP_BLOCK_BYTES, all_live),
				 0);
		assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
		assert_int_equal(fixture_stats(&f).compressed_blocks, compress);
		if (compress)
			assert_in_range(fixture_stats(&f).used_bytes, 1, SWAP_BLOCK_BYTES / 2);
		swap_store_drop(f.store, 0);
		assert_int_equal(fixture_stats(&f).compressed_blocks, 0);
		fixture_close(&f);
	}
}

static void zeros_take_nothing_and_there_is_nothing_to_read(void **state)
{
	struct swap_fixture f = open_mode(3);

	(void)state;
	assert_int_equal(swap_store_write(f.worker, 1, f.block, SWAP_BLOCK_BYTES, all_live), 1);
	assert_false(swap_store_has(f.store, 1));
	assert_int_equal(fixture_stats(&f).used_bytes, 0);
	assert_int_equal(fixture_stats(&f).zero_blocks, 1);
	assert_int_equal(fixture_stats(&f).writes, 0);
	assert_int_equal(swap_store_read(f.worker, 1, f.back, SWAP_BLOCK_BYTES), -ENOENT);
	fixture_close(&f);
}

static void a_block_with_three_live_pages_takes_16_kib(void **state)
{
	const uint64_t live[SWAP_LIVE_WORDS] = { 1, 0, 0, 1ULL << 63, 0, 0, 0, 1ULL << 63 };
	struct test_random random = test_random_start();

	(void)state;
	for (int mode = 0; mode < MODES; mode++) {
		struct swap_fixture f = open_mode(mode);
		uint8_t *expected = fixture_block();

		/* The other pages hold what the guest gave up. */
		fill_random(&random, f.block, SWAP_BLOCK_BYTES);
		for (uint64_t page = 0; page < SWAP_BLOCK_PAGES; page++)
			if (live[page / 64] >> page % 64 & 1)
				memcpy(expected + pages_to_bytes(page),
				       f.block + pages_to_bytes(page), GUEST_PAGE_BYTES);
		assert_int_equal(swap_store_write(f.worker, 2, f.block, SWAP_BLOCK_BYTES, live), 0);
		assert_in_range(fixture_stats(&f).used_bytes, 3 * GUEST_PAGE_BYTES,
				4 * GUEST_PAGE_BYTES);
		assert_comes_back(&f, 2, SWAP_BLOCK_BYTES, expected);
		(void)munmap(expected, SWAP_BLOCK_BYTES);
		fixture_close(&f);
	}
}

static void zero_pages_among_others_come_back_as_zeros(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int mode = 0; mode < MODES; mode++) {
		struct swap_fixture f = open_mode(mode);

		for (uint64_t page = 0; page < SWAP_BLOCK_PAGES; page += 2)
			fill_random(&random, f.block + pages_to_bytes(page), GUEST_PAGE_BYTES);
		f.block[SWAP_BLOCK_BYTES - 1] = 1; /* a page that is zeros but for its last byte */
		assert_int_equal(swap_store_write(f.worker, 3, f.block, SWAP_BLOCK_BYTES, all_live),
				 0);
		assert_in_range(fixture_stats(&f).used_bytes, SWAP_BLOCK_BYTES / 2,
				SWAP_BLOCK_BYTES / 2 + 2 * GUEST_PAGE_BYTES);
		assert_comes_back(&f, 3, SWAP_BLOCK_BYTES, f.block);
		fixture_close(&f);
	}
}

static void a_short_last_block_comes_back_at_every_length(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int mode = 0; mode < MODES; mode++) {
		struct swap_fixture f = open_mode(mode);

		for (uint64_t pages = 1; pages < SWAP_BLOCK_PAGES; pages += pages < 9 ? 1 : 97) {
			uint64_t len_bytes = pages_to_bytes(pages);

			if (pages % 2)
				fill_random(&random, f.block, len_bytes);
			else
				fill_compressible(&random, f.block, len_bytes);
			assert_int_equal(
				swap_store_write(f.worker, 63, f.block, len_bytes, all_live), 0);
			assert_comes_back(&f, 63, len_bytes, f.block);
			assert_int_equal(swap_store_read(f.worker, 63, f.back,
							 len_bytes + GUEST_PAGE_BYTES),
					 -EINVAL);
		}
		fixture_close(&f);
	}
}

static void what_is_no_block_is_refused(void **state)
{
	struct swap_fixture f = open_mode(3);
	const struct {
		uint64_t block, len_bytes;
	} wrong[] = { { 64, SWAP_BLOCK_BYTES },
		      { UINT64_MAX, SWAP_BLOCK_BYTES },
		      { 0, 0 },
		      { 0, GUEST_PAGE_BYTES + 1 },
		      { 0, SWAP_BLOCK_BYTES + GUEST_PAGE_BYTES },
		      { 0, UINT64_MAX } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(swap_store_write(f.worker, wrong[i].block, f.block,
						  wrong[i].len_bytes, all_live),
				 -EINVAL);
		assert_int_equal(swap_store_read(f.worker, wrong[i].block, f.back,
						 wrong[i].len_bytes),
				 -EINVAL);
		swap_store_drop(f.store, wrong[i].block);
	}
	assert_int_equal(swap_store_read(f.worker, 0, f.back, SWAP_BLOCK_BYTES), -ENOENT);
	fixture_close(&f);
}

static void a_second_write_replaces_the_first(void **state)
{
	struct test_random random = test_random_start();
	struct swap_fixture f = open_mode(3);

	(void)state;
	fill_random(&random, f.block, SWAP_BLOCK_BYTES);
	assert_int_equal(swap_store_write(f.worker, 4, f.block, SWAP_BLOCK_BYTES, all_live), 0);
	fill_compressible(&random, f.block, SWAP_BLOCK_BYTES);
	assert_int_equal(swap_store_write(f.worker, 4, f.block, SWAP_BLOCK_BYTES, all_live), 0);
	assert_comes_back(&f, 4, SWAP_BLOCK_BYTES, f.block);
	assert_int_equal(fixture_stats(&f).stored_blocks, 1);
	/* Zeros replace it as well: nothing older may come back. */
	memset(f.block, 0, SWAP_BLOCK_BYTES);
	assert_int_equal(swap_store_write(f.worker, 4, f.block, SWAP_BLOCK_BYTES, all_live), 1);
	assert_int_equal(swap_store_read(f.worker, 4, f.back, SWAP_BLOCK_BYTES), -ENOENT);
	assert_int_equal(fixture_stats(&f).used_bytes, 0);
	fixture_close(&f);
}

static void a_full_store_says_so_and_goes_on_when_there_is_room(void **state)
{
	struct test_random random = test_random_start();
	struct swap_fixture f = open_mode(3);

	(void)state;
	fill_random(&random, f.block, SWAP_BLOCK_BYTES);
	for (uint64_t block = 0; block < 8; block++)
		assert_int_equal(
			swap_store_write(f.worker, block, f.block, SWAP_BLOCK_BYTES, all_live), 0);
	assert_int_equal(fixture_stats(&f).used_bytes, fixture_stats(&f).size_bytes);
	assert_int_equal(swap_store_write(f.worker, 8, f.block, SWAP_BLOCK_BYTES, all_live),
			 -ENOSPC);
	assert_false(swap_store_has(f.store, 8));
	assert_int_equal(fixture_stats(&f).full_refusals, 1);
	assert_false(fixture_stats(&f).closed_for_writing);
	/* A stored block can be written again: its own room is free by then. */
	assert_int_equal(swap_store_write(f.worker, 7, f.block, SWAP_BLOCK_BYTES, all_live), 0);
	swap_store_drop(f.store, 3);
	assert_int_equal(swap_store_write(f.worker, 8, f.block, SWAP_BLOCK_BYTES, all_live), 0);
	for (uint64_t block = 0; block < 9; block++)
		if (block != 3)
			assert_comes_back(&f, block, SWAP_BLOCK_BYTES, f.block);
	fixture_close(&f);
}

static void closing_half_built_or_nothing_is_fine(void **state)
{
	(void)state;
	swap_store_close(NULL);
	swap_worker_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_bytes_come_back_and_take_their_own_size),
		cmocka_unit_test(compressible_bytes_come_back_and_take_less),
		cmocka_unit_test(zeros_take_nothing_and_there_is_nothing_to_read),
		cmocka_unit_test(a_block_with_three_live_pages_takes_16_kib),
		cmocka_unit_test(zero_pages_among_others_come_back_as_zeros),
		cmocka_unit_test(a_short_last_block_comes_back_at_every_length),
		cmocka_unit_test(what_is_no_block_is_refused),
		cmocka_unit_test(a_second_write_replaces_the_first),
		cmocka_unit_test(a_full_store_says_so_and_goes_on_when_there_is_room),
		cmocka_unit_test(closing_half_built_or_nothing_is_fine),
	};

	swapdir_need();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
