/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swapper.c - blocks go to swap and come back, whoever comes in between: test-swapper 2M | 4K.
 *
 * A real RAM on a small pool of its own (2M) or a memfd (4K), a real swap file, and threads that
 * touch the guest view as a guest does.
 */
#include "swapper_rig.h"

#include <errno.h>

#include "memory/swapper_internal.h"

enum {
	POOL_BLOCKS = 24,
	GUEST_BLOCKS = 32,
	LIMIT_BLOCKS = 12,
	SWEEP_BLOCKS = 48,
	SWEEP_LIMIT_BLOCKS = 20,
	COUNTERS = 4,
	COUNTS = 500
};

static uint64_t frame_bytes;
static char pool_dir[HUGEMOUNT_TEXT_BYTES];

static struct rig make_rig(uint64_t blocks)
{
	return (struct rig){ .blocks = blocks,
			     .frame_bytes = frame_bytes,
			     .pool_dir = frame_bytes == HUGE_FRAME_BYTES ? pool_dir : NULL };
}

/* More RAM than there is room for, and a limit that holds it. */
static void open_limited(struct rig *rig, uint64_t blocks, uint64_t limit_blocks)
{
	struct ram_config config;

	*rig = make_rig(blocks);
	config = rig_config(rig);
	config.limit_bytes = limit_blocks * BLOCK_BYTES;
	rig_open(rig, &config);
}

static bool is_within(const struct rig *rig, uint64_t blocks)
{
	return ram_resident_bytes(rig->ram) <= blocks * BLOCK_BYTES;
}

static void above_the_limit_blocks_go_and_every_byte_comes_back(void **state)
{
	struct ram_statistics s;
	struct rig rig;

	(void)state;
	open_limited(&rig, GUEST_BLOCKS, LIMIT_BLOCKS);
	rig_fill(&rig, 1);
	rig_wait_for(is_within(&rig, LIMIT_BLOCKS));
	rig_check(&rig, 1);
	rig_fill(&rig, 2);
	rig_check(&rig, 2);
	rig_wait_for(is_within(&rig, LIMIT_BLOCKS));
	s = rig_statistics(&rig);
	assert_true(s.swap_out_limit_bytes >= (GUEST_BLOCKS - LIMIT_BLOCKS) * BLOCK_BYTES);
	assert_true(s.refaults > 0);
	assert_int_equal(s.limit_bytes, LIMIT_BLOCKS * BLOCK_BYTES);
	assert_int_equal(atomic_load(&rig.told.lost), 0);
	rig_check_counters(&rig);
	rig_close(&rig);
}

static void more_than_the_pool_holds_fits_with_swap(void **state)
{
	struct rig rig = make_rig(POOL_BLOCKS + POOL_BLOCKS / 2);
	struct ram_config config = rig_config(&rig);
	struct ram_statistics s;

	(void)state;
	if (frame_bytes != HUGE_FRAME_BYTES)
		test_skip_case("4 KiB memory has no pool that could be empty");
	rig_open(&rig, &config);
	rig_fill(&rig, 7);
	rig_check(&rig, 7);
	s = rig_statistics(&rig);
	assert_true(s.swap_out_famine_bytes >= POOL_BLOCKS / 2 * BLOCK_BYTES);
	rig_check_counters(&rig);
	rig_close(&rig);
}

struct counter {
	const struct rig *rig;
	struct test_random random;
	_Atomic uint64_t *expected; /* per block */
	pthread_t thread;
};

/* A word in one of the block's pages that are filled with zeros. */
static _Atomic uint64_t *count_word(const struct rig *rig, uint64_t block)
{
	return rig_word(rig, block * BLOCK_PAGES + 8 * (block % 64) + 7, 1 + block);
}

static void *count(void *arg)
{
	struct counter *counter = arg;

	for (unsigned i = 0; i < COUNTS; i++) {
		uint64_t block = test_random_below(&counter->random, counter->rig->blocks);

		atomic_fetch_add(count_word(counter->rig, block), 1);
		atomic_fetch_add(&counter->expected[block], 1);
	}
	return NULL;
}

static void no_increment_is_lost_under_constant_eviction(void **state)
{
	struct test_random random = test_random_start();
	_Atomic uint64_t expected[GUEST_BLOCKS];
	struct counter counters[COUNTERS];
	struct rig rig;

	(void)state;
	memset(expected, 0, sizeof(expected));
	open_limited(&rig, GUEST_BLOCKS, LIMIT_BLOCKS);
	rig_fill(&rig, 1);
	for (unsigned i = 0; i < COUNTERS; i++) {
		counters[i] = (struct counter){ .rig = &rig,
						.random = { .state = test_random_next(&random) },
						.expected = expected };
		assert_int_equal(pthread_create(&counters[i].thread, NULL, count, &counters[i]), 0);
	}
	for (unsigned i = 0; i < COUNTERS; i++)
		assert_int_equal(pthread_join(counters[i].thread, NULL), 0);
	for (uint64_t block = 0; block < GUEST_BLOCKS; block++)
		assert_int_equal(atomic_load(count_word(&rig, block)),
				 atomic_load(&expected[block]));
	rig_wait_for(is_within(&rig, LIMIT_BLOCKS));
	assert_true(rig_statistics(&rig).refaults > 0);
	rig_check_counters(&rig);
	rig_close(&rig);
}

static void zeros_take_no_swap_and_are_first_touches_again(void **state)
{
	struct ram_statistics s;
	struct rig rig;

	(void)state;
	open_limited(&rig, LIMIT_BLOCKS, 0);
	for (uint64_t page = 0; page < rig.blocks * BLOCK_PAGES; page++)
		atomic_store(rig_word(&rig, page, 0), 0);
	assert_int_equal(ram_set_limit(rig.ram, 2 * BLOCK_BYTES), 0);
	rig_wait_for(rig_statistics(&rig).state_bytes[FRAME_ABSENT] >=
		     (rig.blocks - 2) * BLOCK_BYTES);
	s = rig_statistics(&rig);
	assert_int_equal(s.swap_used_bytes, 0);
	assert_int_equal(s.swap_out_bytes, s.swap_out_zero_bytes);
	for (uint64_t block = 0; block < rig.blocks; block++)
		assert_int_equal(atomic_load(rig_word(&rig, block * BLOCK_PAGES, 0)), 0);
	assert_int_equal(rig_statistics(&rig).refaults, 0);
	rig_check_counters(&rig);
	rig_close(&rig);
}

static void blocks_come_back_when_the_limit_is_gone(void **state)
{
	struct ram_statistics s;
	struct rig rig;

	(void)state;
	open_limited(&rig, LIMIT_BLOCKS, 4);
	rig_fill(&rig, 3);
	rig_wait_for(is_within(&rig, 4));
	assert_int_equal(ram_set_limit(rig.ram, 0), 0);
	rig_wait_for(rig_statistics(&rig).state_bytes[FRAME_SWAPPED] == 0 &&
		     rig_statistics(&rig).state_bytes[FRAME_READING] == 0);
	s = rig_statistics(&rig);
	assert_true(s.swap_back_bytes > 0);
	assert_int_equal(s.swap_used_bytes, 0); /* what is back is not kept twice */
	rig_check(&rig, 3);
	rig_check_counters(&rig);
	rig_close(&rig);
}

static void a_sweep_is_read_ahead(void **state)
{
	struct ram_statistics s;
	struct rig rig;

	(void)state;
	open_limited(&rig, SWEEP_BLOCKS, SWEEP_LIMIT_BLOCKS);
	rig_fill(&rig, 1);
	/* Only where evictions keep up is there room to read ahead: not in every round. */
	for (int round = 0; round < 30 && !rig_statistics(&rig).swap_ahead_bytes; round++)
		for (uint64_t block = 0; block < rig.blocks; block++)
			rig_check_page(&rig, block * BLOCK_PAGES, 1);
	s = rig_statistics(&rig);
	print_message("refaults %llu, read ahead %llu blocks\n", (unsigned long long)s.refaults,
		      (unsigned long long)(s.swap_ahead_bytes / BLOCK_BYTES));
	assert_true(s.swap_ahead_bytes > 0);
	rig_check_counters(&rig);
	rig_close(&rig);
}

static void dead_pages_are_not_stored_and_their_blocks_leave(void **state)
{
	const uint64_t every_second = UINT64_C(0xaaaaaaaaaaaaaaaa);
	struct ram_statistics s;
	struct rig rig;

	(void)state;
	open_limited(&rig, LIMIT_BLOCKS, 0);
	rig_fill(&rig, 5);
	assert_int_equal(rig_statistics(&rig).swap_out_bytes, 0);
	atomic_store(&rig.told.dead_mask, every_second);
	rig_wait_for(is_within(&rig, LIMIT_BLOCKS / 10));
	s = rig_statistics(&rig);
	assert_int_equal(s.swap_out_bytes, s.swap_out_balloon_bytes);
	assert_true(s.swap_used_bytes <=
		    rig.blocks * BLOCK_BYTES / 2 + rig.blocks * GUEST_PAGE_BYTES);
	atomic_store(&rig.told.dead_mask, 0);
	for (uint64_t page = 0; page < rig.blocks * BLOCK_PAGES; page += 2)
		rig_check_page(&rig, page, 5);
	for (uint64_t page = 1; page < rig.blocks * BLOCK_PAGES; page += 2)
		if (atomic_load(rig_word(&rig, page, 3))) /* its block had not gone, or not dead */
			rig_check_page(&rig, page, 5);
	rig_check_counters(&rig);
	rig_close(&rig);
}

static uint64_t next_sweep_ns(const struct rig *rig)
{
	struct swapper *swapper = rig->ram->swapper;
	uint64_t next_ns;

	(void)pthread_mutex_lock(&swapper->lock);
	next_ns = swapper->balloon.next_sweep_ns;
	(void)pthread_mutex_unlock(&swapper->lock);
	return next_ns;
}

static void ballooned_blocks_that_came_back_are_not_sent_again(void **state)
{
	uint64_t out_bytes, last_ns;
	struct rig rig;

	(void)state;
	open_limited(&rig, LIMIT_BLOCKS, 0);
	rig_fill(&rig, 5);
	atomic_store(&rig.told.dead_mask, UINT64_C(0xffffffff));
	rig_wait_for(is_within(&rig, LIMIT_BLOCKS / 10));
	for (uint64_t page = 0; page < rig.blocks * BLOCK_PAGES; page += BLOCK_PAGES)
		(void)atomic_fetch_add(rig_word(&rig, page, 2), 1);
	out_bytes = rig_statistics(&rig).swap_out_balloon_bytes;
	last_ns = next_sweep_ns(&rig); /* a pause makes it later, so it is the clock that ends it */
	rig_wait_for(clock_now_ns() > last_ns + 2 * NS_PER_S);
	assert_int_equal(rig_statistics(&rig).swap_out_balloon_bytes, out_bytes);
	rig_check_counters(&rig);
	rig_close(&rig);
}

static void a_hushed_swapper_lets_everything_be_discarded(void **state)
{
	struct rig rig;

	(void)state;
	open_limited(&rig, GUEST_BLOCKS, LIMIT_BLOCKS);
	for (int round = 0; round < 3; round++) {
		rig_fill(&rig, 9);
		swapper_hush(rig.ram->swapper);
		assert_int_equal(ram_discard(rig.ram, 0, ram_frame_count(rig.ram)), 0);
		assert_int_equal(rig_statistics(&rig).swap_used_bytes, 0);
		assert_int_equal(ram_resident_bytes(rig.ram), 0);
		swapper_resume(rig.ram->swapper);
		for (uint64_t block = 0; block < rig.blocks; block++)
			assert_int_equal(atomic_load(rig_word(&rig, block * BLOCK_PAGES, 1)), 0);
	}
	rig_close(&rig);
}

static void *discard_and_fill(void *arg)
{
	struct rig *rig = arg;

	for (unsigned i = 0; i < 100; i++) {
		uint64_t block = 1 + i % 4;
		uint64_t frames = BLOCK_BYTES / rig->frame_bytes;

		rig_fill_page(rig, block * BLOCK_PAGES, i);
		rig_check_page(rig, block * BLOCK_PAGES, i);
		while (ram_discard(rig->ram, block * frames, frames))
			(void)sched_yield();
		assert_int_equal(atomic_load(rig_word(rig, block * BLOCK_PAGES, 1)), 0);
	}
	return NULL;
}

static void discarded_blocks_are_zeros_whatever_was_stored(void **state)
{
	pthread_t other;
	struct rig rig;

	(void)state;
	open_limited(&rig, GUEST_BLOCKS, 3);
	assert_int_equal(pthread_create(&other, NULL, discard_and_fill, &rig), 0);
	for (unsigned round = 0; round < 5; round++)
		for (uint64_t block = 8; block < 24; block++)
			rig_fill_page(&rig, block * BLOCK_PAGES, round);
	assert_int_equal(pthread_join(other, NULL), 0);
	for (uint64_t block = 8; block < 24; block++)
		rig_check_page(&rig, block * BLOCK_PAGES, 4);
	rig_check_counters(&rig);
	rig_close(&rig);
}

static void it_can_be_stopped_at_any_moment(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		struct rig rig;

		open_limited(&rig, LIMIT_BLOCKS, 1 + test_random_below(&random, 4));
		for (uint64_t touches = test_random_below(&random, 40); touches > 0; touches--)
			rig_fill_page(&rig, test_random_below(&random, rig.blocks * BLOCK_PAGES),
				      1);
		rig_close(&rig);
	}
}

static void no_swap_is_made_in_memory(void **state)
{
	struct rig rig = make_rig(2);
	struct ram_config config = rig_config(&rig);
	struct err err = { 0 };

	(void)state;
	config.swap.dir = "/dev/shm";
	assert_int_not_equal(ram_open(&config, &rig.ram, &err), 0);
	print_message("%s\n", err.text);
	assert_non_null(strstr(err.text, "/dev/shm"));
	config.swap.dir = "/nowhere/at/all";
	assert_int_equal(ram_open(&config, &rig.ram, &err), -ENOENT);
	if (frame_bytes == HUGE_FRAME_BYTES) { /* nothing was kept */
		config = rig_config(&rig);
		config.ram_bytes = POOL_BLOCKS * BLOCK_BYTES;
		config.reserve = true;
		rig_open(&rig, &config);
		rig_close(&rig);
	}
}

static void without_swap_there_is_no_limit(void **state)
{
	struct rig rig = make_rig(2);
	struct ram_config config = rig_config(&rig);

	(void)state;
	config.swap.dir = NULL;
	rig_open(&rig, &config);
	assert_int_equal(ram_set_limit(rig.ram, BLOCK_BYTES), -EOPNOTSUPP);
	rig_close(&rig);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(above_the_limit_blocks_go_and_every_byte_comes_back),
		cmocka_unit_test(more_than_the_pool_holds_fits_with_swap),
		cmocka_unit_test(no_increment_is_lost_under_constant_eviction),
		cmocka_unit_test(zeros_take_no_swap_and_are_first_touches_again),
		cmocka_unit_test(blocks_come_back_when_the_limit_is_gone),
		cmocka_unit_test(a_sweep_is_read_ahead),
		cmocka_unit_test(dead_pages_are_not_stored_and_their_blocks_leave),
		cmocka_unit_test(ballooned_blocks_that_came_back_are_not_sent_again),
		cmocka_unit_test(a_hushed_swapper_lets_everything_be_discarded),
		cmocka_unit_test(discarded_blocks_are_zeros_whatever_was_stored),
		cmocka_unit_test(it_can_be_stopped_at_any_moment),
		cmocka_unit_test(no_swap_is_made_in_memory),
		cmocka_unit_test(without_swap_there_is_no_limit),
	};

	swapdir_need();
	frame_bytes = argc > 1 && !strcmp(argv[1], "4K") ? GUEST_PAGE_BYTES : HUGE_FRAME_BYTES;
	if (frame_bytes == HUGE_FRAME_BYTES)
		hugemount_make(POOL_BLOCKS, pool_dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
