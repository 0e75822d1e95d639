/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_ahead.c - blocks are ready where the guest will touch them, and go back when they must.
 *
 * The frames come from a private pool of POOL_FRAMES; a second RAM is the neighbour. Time is the
 * test's; the RAM's own keeper prepares nothing.
 */
#include "../support/hugemount.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "memory/ahead.h"
#include "memory/block.h"
#include "memory/discard.h"
#include "memory/ram_internal.h"

enum { POOL_FRAMES = 64, BLOCKS = 48, MOST = 16, STOCK = 12, RACE_ROUNDS = 3000 };

static char pool_dir[HUGEMOUNT_TEXT_BYTES];

struct lab {
	struct ram *ram;
	struct ahead ahead;
	uint64_t now_ns;
	uint64_t ballooned; /* this block has a page in the balloon */
};

static bool is_dead(void *ctx, uint64_t first_page, uint64_t *ret_dead)
{
	const struct lab *lab = ctx;

	ret_dead[0] = first_page == lab->ballooned * BLOCK_PAGES;
	return ret_dead[0];
}

static struct ram_config config_of(struct lab *lab, uint64_t blocks, bool reserve)
{
	return (struct ram_config){
		.ram_bytes = blocks * BLOCK_BYTES,
		.frame_bytes = HUGE_FRAME_BYTES,
		.hugetlbfs_dir = pool_dir,
		.reserve = reserve,
		.events = { .dead = lab ? is_dead : NULL, .ctx = lab },
	};
}

static struct ram *open_ram(const struct ram_config *config)
{
	struct err err = { 0 };
	struct ram *ram = NULL;

	if (ram_open(config, &ram, &err))
		fail_msg("%s", err.text);
	if (!ram_has_pager(ram))
		test_skip_program("this process may not use userfaultfd");
	return ram;
}

static bool is_fresh(const struct lab *lab, uint64_t block)
{
	return frames_peek(&lab->ram->frames, block) & FRAME_FRESH;
}

static bool is_absent(const struct lab *lab, uint64_t block)
{
	return frame_state_of(frames_peek(&lab->ram->frames, block)) == FRAME_ABSENT;
}

static uint64_t count_fresh(const struct lab *lab)
{
	return atomic_load(&lab->ram->frames.fresh_blocks);
}

/* @ns later, all that is due is done. */
static void pass(struct lab *lab, uint64_t ns)
{
	lab->now_ns += ns;
	for (int i = 0; ahead_step(&lab->ahead, lab->now_ns) <= lab->now_ns; i++)
		assert_in_range(i, 0, 1000);
}

/* Who touched is woken a moment before the RAM's pager has noted it. */
static void await_pager(struct lab *lab, uint64_t block)
{
	(void)frames_lock(&lab->ram->frames, block);
	frames_unlock_same(&lab->ram->frames, block);
}

static void *block_at(const struct lab *lab, uint64_t block)
{
	return (uint8_t *)ram_guest_view(lab->ram, 0) + block * BLOCK_BYTES;
}

/* Does the guest's touch of @block wake the keeper? */
static bool touch_wakes(struct lab *lab, uint64_t block)
{
	bool wake;

	*(volatile uint8_t *)block_at(lab, block) += 1;
	await_pager(lab, block);
	(void)ahead_touched(&lab->ahead, block, &wake);
	return wake;
}

/* The guest touches @block, and the pager maps what ahead says. */
static int touch(struct lab *lab, uint64_t block)
{
	bool wake;
	int ready;

	*(volatile uint8_t *)block_at(lab, block) += 1;
	await_pager(lab, block);
	ready = ahead_touched(&lab->ahead, block, &wake);
	for (int i = 1; i <= abs(ready); i++)
		assert_int_equal(block_map_ahead(lab->ram, ready > 0 ? block + (uint64_t)i
								     : block - (uint64_t)i),
				 0);
	return ready;
}

static void discard(struct lab *lab, uint64_t block, uint64_t count)
{
	ahead_discarded(&lab->ahead, block, count);
	assert_int_equal(ram_discard(lab->ram, block, count), 0);
}

static void a_stock_is_kept_of_the_lowest_blocks(void **state)
{
	struct lab *lab = *state;

	pass(lab, NS_PER_S);
	assert_int_equal(count_fresh(lab), STOCK);
	for (uint64_t block = 1; block <= STOCK; block++)
		assert_true(is_fresh(lab, block));
	assert_int_equal(ram_resident_bytes(lab->ram), (STOCK + 1) * BLOCK_BYTES);
}

static void a_stock_is_begun_with_the_first_touch(void **state)
{
	struct lab *lab = *state;

	pass(lab, NS_PER_MS - 1);
	assert_int_equal(count_fresh(lab), 0);
	assert_true(touch_wakes(lab, 20));
	assert_false(touch_wakes(lab, 30));
	pass(lab, 0);
	assert_int_equal(count_fresh(lab), STOCK);
}

static void without_a_touch_it_is_begun_soon(void **state)
{
	struct lab *lab = *state;

	pass(lab, NS_PER_MS);
	assert_int_equal(count_fresh(lab), STOCK);
}

static void the_stock_lies_around_the_latest_touch(void **state)
{
	struct lab *lab = *state;

	(void)touch(lab, 20);
	pass(lab, NS_PER_MS);
	assert_int_equal(count_fresh(lab), STOCK);
	for (uint64_t distance = 1; distance <= STOCK / 2; distance++)
		assert_true(is_fresh(lab, 20 + distance) && is_fresh(lab, 20 - distance));
}

/* On a busy host it would be in the way. */
static void touches_that_use_the_stock_do_not_wake_the_keeper(void **state)
{
	static const uint64_t blocks[] = { 23, 26, 14, 17 };
	struct lab *lab = *state;

	assert_true(touch_wakes(lab, 20)); /* the first */
	pass(lab, NS_PER_MS);
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		assert_false(touch_wakes(lab, blocks[i]));
	assert_int_equal(count_fresh(lab), STOCK - ARRAY_LEN(blocks));
}

static void a_stock_that_was_used_is_filled_again(void **state)
{
	struct lab *lab = *state;

	pass(lab, NS_PER_S);
	(void)touch(lab, 5);
	(void)touch(lab, 9);
	pass(lab, NS_PER_S);
	assert_int_equal(count_fresh(lab), STOCK);
	assert_true(is_fresh(lab, STOCK + 2));
}

static void a_ramp_finds_its_blocks_ready_and_mapped(void **state)
{
	static const int ready[] = { 0, 1, 2, 4, 7, 8 };
	struct lab *lab = *state;
	uint64_t block = 1;

	pass(lab, NS_PER_S);
	for (size_t i = 0; i < ARRAY_LEN(ready); i++) {
		assert_int_equal(touch(lab, block), ready[i]);
		block += 1 + (uint64_t)ready[i];
		pass(lab, NS_PER_MS);
		assert_true(is_fresh(lab, block));
	}
}

static void a_ramp_downwards_does_as_well(void **state)
{
	static const int ready[] = { 0, 0, -1, -3, -7 };
	struct lab *lab = *state;
	uint64_t block = 40;

	lab->ahead.look_again_ns = UINT64_MAX; /* no stock up there */
	for (size_t i = 0; i < ARRAY_LEN(ready); i++) {
		assert_int_equal(touch(lab, block), ready[i]);
		block -= 1 + (uint64_t)-ready[i];
		pass(lab, NS_PER_MS);
		if (i > 0)
			assert_true(is_fresh(lab, block));
	}
}

static void while_it_rests_nothing_but_wishes_is_prepared(void **state)
{
	struct lab *lab = *state;
	uint64_t idle_ns = lab->now_ns + 50 * NS_PER_MS;

	(void)touch(lab, 20);
	(void)touch(lab, 21);
	ahead_rest(&lab->ahead, AHEAD_FRONT, idle_ns);
	ahead_rest(&lab->ahead, AHEAD_STOCK, idle_ns);
	assert_int_equal(ahead_step(&lab->ahead, lab->now_ns), idle_ns);
	assert_int_equal(count_fresh(lab), 0);
	ahead_prepare(&lab->ahead, 30, 8);
	assert_true(ahead_is_wished(&lab->ahead));
	pass(lab, 49 * NS_PER_MS);
	assert_false(ahead_is_wished(&lab->ahead));
	assert_int_equal(count_fresh(lab), 8);
	assert_true(is_fresh(lab, 37) && is_absent(lab, 22) && is_absent(lab, 23));
	pass(lab, NS_PER_MS);
	assert_int_equal(count_fresh(lab), STOCK);
	assert_true(is_fresh(lab, 22) && is_fresh(lab, 23));
}

/* These blocks are zeroed in a moment, by whomever. */
static void without_an_idle_processor_streams_are_still_helped(void **state)
{
	struct lab *lab = *state;

	ahead_rest(&lab->ahead, AHEAD_STOCK, lab->now_ns + NS_PER_S);
	(void)touch(lab, 20);
	pass(lab, 0);
	assert_int_equal(count_fresh(lab), 0);
	assert_true(touch_wakes(lab, 21));
	pass(lab, 0);
	assert_true(is_fresh(lab, 22) && is_fresh(lab, 23) && is_absent(lab, 19));
}

/* It could do nothing for them. */
static void while_it_rests_touches_do_not_wake_the_keeper(void **state)
{
	struct lab *lab = *state;

	ahead_rest(&lab->ahead, AHEAD_FRONT, lab->now_ns + NS_PER_MS);
	assert_true(touch_wakes(lab, 20));
	pass(lab, 0);
	for (uint64_t block = 21; block < 26; block++)
		assert_false(touch_wakes(lab, block));
	pass(lab, NS_PER_MS);
	for (uint64_t block = 40; block < 42; block++)
		assert_true(touch_wakes(lab, block) == (block == 41));
}

static void the_ends_of_ram_are_the_ends_of_a_ramp(void **state)
{
	struct lab *lab = *state;

	for (uint64_t block = BLOCKS - 4; block < BLOCKS; block++) {
		(void)touch(lab, block);
		pass(lab, NS_PER_MS);
	}
	for (uint64_t block = 4; block-- > 0;) {
		(void)touch(lab, block);
		pass(lab, NS_PER_MS);
	}
	pass(lab, NS_PER_S);
	assert_int_equal(count_fresh(lab), STOCK);
}

static void what_a_ramp_left_behind_goes_back_with_no_stock(void **state)
{
	struct lab *lab = *state;
	struct ram_config config = config_of(NULL, POOL_FRAMES / 2, true);
	struct ram *neighbour = open_ram(&config);

	for (uint64_t block = 10; block < 13; block++) {
		(void)touch(lab, block);
		pass(lab, NS_PER_MS);
	}
	assert_true(count_fresh(lab) > 0);
	pass(lab, 5 * NS_PER_S);
	assert_int_equal(count_fresh(lab), 0);
	ram_close(neighbour);
}

static void a_stock_goes_back_while_the_host_fills_up(void **state)
{
	struct lab *lab = *state;
	struct ram_config config = config_of(NULL, 26, true);
	struct ram *neighbour;

	pass(lab, NS_PER_S);
	assert_int_equal(count_fresh(lab), STOCK);
	neighbour = open_ram(&config); /* 64 - 1 - 26: 37, 5 above half */
	pass(lab, 100 * NS_PER_MS);
	assert_int_equal(count_fresh(lab), 5);
	ram_close(neighbour);
	pass(lab, NS_PER_S); /* it may want them again at once */
	assert_int_equal(count_fresh(lab), 5);
	pass(lab, 2 * NS_PER_S);
	assert_int_equal(count_fresh(lab), STOCK);
}

static void a_famine_takes_it_all_and_for_a_while(void **state)
{
	struct lab *lab = *state;

	pass(lab, NS_PER_S);
	assert_int_equal(ahead_give_back(&lab->ahead, lab->now_ns), STOCK);
	assert_int_equal(count_fresh(lab), 0);
	assert_int_equal(ahead_give_back(&lab->ahead, lab->now_ns), 0);
	(void)touch(lab, 20);
	(void)touch(lab, 21);
	pass(lab, NS_PER_S);
	assert_int_equal(count_fresh(lab), 0);
	pass(lab, 2 * NS_PER_S);
	assert_int_equal(count_fresh(lab), STOCK);
}

/* A2 */
static void discarded_blocks_are_left_alone_until_somebody_wants_them(void **state)
{
	struct lab *lab = *state;

	discard(lab, 1, 10);
	pass(lab, NS_PER_S);
	for (uint64_t block = 1; block <= 10; block++)
		assert_true(is_absent(lab, block));
	assert_true(is_fresh(lab, 11));
	ahead_prepare(&lab->ahead, 3, 1);
	assert_true(is_fresh(lab, 3));
	(void)touch(lab, 7);
	discard(lab, 12, 30);
	pass(lab, NS_PER_S);
	assert_true(is_absent(lab, 8));
	(void)touch(lab, 8); /* 7 and 8: a stream; 9 was discarded, but is no balloon's */
	lab->ballooned = 10;
	pass(lab, NS_PER_MS);
	assert_true(is_fresh(lab, 9));
	assert_true(is_absent(lab, 10));
}

static void a_reset_begins_anew(void **state)
{
	struct lab *lab = *state;

	discard(lab, 1, 10);
	pass(lab, NS_PER_S);
	assert_true(is_absent(lab, 1));
	discard(lab, 0, BLOCKS);
	pass(lab, NS_PER_S);
	assert_true(is_fresh(lab, 0) && is_fresh(lab, 1));
	assert_int_equal(count_fresh(lab), STOCK);
}

static void a_wish_is_granted_some_now_and_the_rest_soon(void **state)
{
	struct lab *lab = *state;
	struct ram_config config = config_of(NULL, POOL_FRAMES / 2, true);
	struct ram *neighbour = open_ram(&config); /* no stock: the host is half full */

	pass(lab, NS_PER_S);
	discard(lab, 30, 7);
	ahead_prepare(&lab->ahead, 30, 7);
	assert_in_range(count_fresh(lab), 1, 4); /* four, or as many as 1 ms was enough for */
	pass(lab, NS_PER_MS);
	assert_int_equal(count_fresh(lab), 7);
	for (uint64_t block = 30; block < 37; block++)
		assert_true(is_fresh(lab, block));
	lab->now_ns = clock_now_ns(); /* when it was granted */
	pass(lab, NS_PER_S);
	assert_int_equal(count_fresh(lab), 7);
	pass(lab, 5 * NS_PER_S);
	assert_int_equal(count_fresh(lab), 0);
	ram_close(neighbour);
}

static void wishes_without_end_are_forgotten(void **state)
{
	struct lab *lab = *state;

	pass(lab, NS_PER_MS);
	for (int i = 0; i < 10 * AHEAD_WISHES; i++)
		ahead_prepare(&lab->ahead, 0, BLOCKS);
	assert_in_range(lab->ahead.wish_count, 1, AHEAD_WISHES);
	pass(lab, NS_PER_MS);
	assert_in_range(count_fresh(lab), STOCK, MOST);
}

static void the_limit_holds_for_what_is_prepared(void **state)
{
	struct lab *lab = *state;

	atomic_store(&lab->ahead.limit_blocks, 8);
	pass(lab, NS_PER_S);
	assert_int_equal(count_fresh(lab), 7);
	(void)touch(lab, 20);
	pass(lab, NS_PER_MS);
	assert_int_equal(count_fresh(lab), 6); /* what is only prepared goes first */
	atomic_store(&lab->ahead.limit_blocks, 3);
	pass(lab, NS_PER_MS);
	assert_int_equal(count_fresh(lab), 1);
	atomic_store(&lab->ahead.limit_blocks, 0);
	pass(lab, 3 * NS_PER_S);
	assert_int_equal(count_fresh(lab), STOCK);
}

static void a_grant_holds_for_what_is_prepared_as_a_limit_does(void **state)
{
	struct lab *lab = *state;

	atomic_store(&lab->ahead.grant_blocks, 8);
	pass(lab, NS_PER_S);
	assert_int_equal(count_fresh(lab), 7);
	atomic_store(&lab->ahead.limit_blocks, 5); /* the smaller of the two */
	pass(lab, NS_PER_MS);
	assert_int_equal(count_fresh(lab), 4);
	atomic_store(&lab->ahead.grant_blocks, 3);
	pass(lab, NS_PER_MS);
	assert_int_equal(count_fresh(lab), 2);
	atomic_store(&lab->ahead.limit_blocks, 0);
	atomic_store(&lab->ahead.grant_blocks, 0);
	pass(lab, 3 * NS_PER_S);
	assert_int_equal(count_fresh(lab), STOCK);
}

static void switched_off_it_does_nothing(void **state)
{
	struct lab *lab = *state;
	bool wake;

	lab->ahead.most_blocks = 0;
	assert_int_equal(ahead_step(&lab->ahead, lab->now_ns), UINT64_MAX);
	for (uint64_t block = 1; block < 5; block++)
		assert_int_equal(ahead_touched(&lab->ahead, block, &wake), 0);
	ahead_prepare(&lab->ahead, 1, 4);
	assert_int_equal(count_fresh(lab), 0);
}

struct race {
	struct lab *lab;
	struct test_random random;
	atomic_bool stop;
};

static void *touch_at_random(void *arg)
{
	struct race *race = arg;
	volatile uint8_t *view = ram_guest_view(race->lab->ram, 0);

	while (!atomic_load(&race->stop))
		view[test_random_below(&race->random, BLOCKS) * BLOCK_BYTES] += 1;
	return NULL;
}

static void *give_back_at_random(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		uint64_t block = test_random_below(&race->random, BLOCKS - 8);

		switch (test_random_below(&race->random, 4)) {
		case 0: (void)ahead_give_back(&race->lab->ahead, 1); break;
		case 1: ahead_prepare(&race->lab->ahead, block, 8); break;
		default:
			ahead_discarded(&race->lab->ahead, block, 8);
			(void)ram_discard(race->lab->ram, block, 8);
		}
	}
	return NULL;
}

/* The table stays true whoever does what: A1. */
static void threads_at_once_leave_the_counts_right(void **state)
{
	struct lab *lab = *state;
	struct race race = { .lab = lab, .random = test_random_start() };
	struct race other = { .lab = lab, .random = { .state = race.random.state + 1 } };
	struct test_random random = { .state = race.random.state + 2 };
	uint64_t fresh = 0;
	pthread_t threads[2];
	bool wake;

	assert_int_equal(pthread_create(&threads[0], NULL, touch_at_random, &race), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, give_back_at_random, &other), 0);
	for (int i = 0; i < RACE_ROUNDS; i++) {
		lab->now_ns += NS_PER_MS;
		(void)ahead_step(&lab->ahead, lab->now_ns);
		(void)ahead_touched(&lab->ahead, test_random_below(&random, BLOCKS), &wake);
	}
	atomic_store(&race.stop, true);
	atomic_store(&other.stop, true);
	assert_int_equal(pthread_join(threads[0], NULL), 0);
	assert_int_equal(pthread_join(threads[1], NULL), 0);
	for (uint64_t block = 0; block < BLOCKS; block++) {
		await_pager(lab, block);
		fresh += is_fresh(lab, block);
	}
	assert_int_equal(count_fresh(lab), fresh);
	assert_int_equal(ram_resident_bytes(lab->ram),
			 (BLOCKS - atomic_load(&lab->ram->frames.in_state[FRAME_ABSENT])) *
				 BLOCK_BYTES);
}

static int set_up(void **state)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct ram_config config = config_of(lab, BLOCKS, false);

	if (!lab)
		return -1;
	lab->ram = open_ram(&config);
	config.ahead_bytes = MOST * BLOCK_BYTES;
	lab->now_ns = clock_now_ns();
	*state = lab;
	if (ahead_init(&lab->ahead, lab->ram, &config))
		return -1;
	(void)ahead_step(&lab->ahead, lab->now_ns); /* it counts from here */
	return 0;
}

static int tear_down(void **state)
{
	struct lab *lab = *state;

	ahead_fini(&lab->ahead);
	ram_close(lab->ram);
	free(lab);
	return 0;
}

#define WITH_LAB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LAB(a_stock_is_kept_of_the_lowest_blocks),
		WITH_LAB(a_stock_is_begun_with_the_first_touch),
		WITH_LAB(without_a_touch_it_is_begun_soon),
		WITH_LAB(the_stock_lies_around_the_latest_touch),
		WITH_LAB(touches_that_use_the_stock_do_not_wake_the_keeper),
		WITH_LAB(a_stock_that_was_used_is_filled_again),
		WITH_LAB(a_ramp_finds_its_blocks_ready_and_mapped),
		WITH_LAB(a_ramp_downwards_does_as_well),
		WITH_LAB(while_it_rests_nothing_but_wishes_is_prepared),
		WITH_LAB(without_an_idle_processor_streams_are_still_helped),
		WITH_LAB(while_it_rests_touches_do_not_wake_the_keeper),
		WITH_LAB(the_ends_of_ram_are_the_ends_of_a_ramp),
		WITH_LAB(what_a_ramp_left_behind_goes_back_with_no_stock),
		WITH_LAB(a_stock_goes_back_while_the_host_fills_up),
		WITH_LAB(a_famine_takes_it_all_and_for_a_while),
		WITH_LAB(discarded_blocks_are_left_alone_until_somebody_wants_them),
		WITH_LAB(a_reset_begins_anew),
		WITH_LAB(a_wish_is_granted_some_now_and_the_rest_soon),
		WITH_LAB(wishes_without_end_are_forgotten),
		WITH_LAB(the_limit_holds_for_what_is_prepared),
		WITH_LAB(a_grant_holds_for_what_is_prepared_as_a_limit_does),
		WITH_LAB(switched_off_it_does_nothing),
		WITH_LAB(threads_at_once_leave_the_counts_right),
	};

	hugemount_make(POOL_FRAMES, pool_dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
