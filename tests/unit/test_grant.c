/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_grant.c - a VM never holds more than its grant and the slack, and can always give back.
 *
 * Run with 4K or 2M; 2 MiB frames come from a private pool. A "toucher" is a thread that stands for a vCPU.
 */
#include "../support/hugemount.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../support/swapdir.h"
#include "base/clock.h"
#include "memory/access.h"
#include "memory/block.h"
#include "memory/discard.h"
#include "memory/prepare.h"
#include "memory/ram_internal.h"

enum { BLOCKS = 24, POOL_FRAMES = BLOCKS, PATIENCE_S = 20, RANDOM_STEPS = 4000 };

#define BLOCK(n) ((uint64_t)(n)*BLOCK_BYTES)

static uint64_t frame_bytes;
static char pool_dir[HUGEMOUNT_TEXT_BYTES];

static struct told {
	atomic_bool starving;
	atomic_uint times, wanting;
} told;

static void on_starved(void *ctx, gpa_t gpa, bool starving)
{
	(void)ctx;
	(void)gpa;
	atomic_fetch_add(&told.times, starving);
	atomic_store(&told.starving, starving);
}

static void on_wanting(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&told.wanting, 1);
}

static void on_failed(void *ctx, const char *why)
{
	(void)ctx;
	fail_msg("guest memory failed: %s", why);
}

static struct ram *open_ram(struct ram_config config)
{
	struct ram *ram = NULL;
	struct err err = { 0 };

	atomic_store(&told.starving, false);
	atomic_store(&told.times, 0);
	atomic_store(&told.wanting, 0);
	config.ram_bytes = BLOCK(BLOCKS);
	config.frame_bytes = frame_bytes;
	config.hugetlbfs_dir = frame_bytes == HUGE_FRAME_BYTES ? pool_dir : NULL;
	config.events = (struct ram_events){ .starved = on_starved,
					     .wanting = on_wanting,
					     .failed = on_failed };
	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	if (!ram_has_pager(ram))
		test_skip_program("this process may not use userfaultfd");
	return ram;
}

#define AWAIT(condition)                                                        \
	do {                                                                    \
		uint64_t await_end_ns = clock_now_ns() + PATIENCE_S * NS_PER_S; \
		while (!(condition))                                            \
			if (clock_now_ns() > await_end_ns)                      \
				fail_msg("did not come: %s", #condition);       \
	} while (0)

static volatile uint8_t *byte_of(struct ram *ram, uint64_t block)
{
	return (uint8_t *)ram_guest_view(ram, 0) + BLOCK(block);
}

/* Each page of a block, as a guest that uses it. */
static void touch(struct ram *ram, uint64_t block)
{
	for (uint64_t at = 0; at < BLOCK_BYTES; at += GUEST_PAGE_BYTES)
		byte_of(ram, block)[at] = (uint8_t)(block + 1);
}

struct toucher {
	struct ram *ram;
	uint64_t first, end;
	_Atomic uint64_t done; /* blocks */
	pthread_t thread;
};

static void *touch_blocks(void *arg)
{
	struct toucher *toucher = arg;

	for (uint64_t block = toucher->first; block < toucher->end; block++) {
		touch(toucher->ram, block);
		atomic_fetch_add(&toucher->done, 1);
	}
	return NULL;
}

static void start_touching(struct toucher *toucher, struct ram *ram, uint64_t first, uint64_t end)
{
	*toucher = (struct toucher){ .ram = ram, .first = first, .end = end };
	assert_int_equal(pthread_create(&toucher->thread, NULL, touch_blocks, toucher), 0);
}

static void end_touching(struct toucher *toucher)
{
	assert_int_equal(pthread_join(toucher->thread, NULL), 0);
	assert_int_equal(toucher->done, toucher->end - toucher->first);
	for (uint64_t block = toucher->first; block < toucher->end; block++)
		assert_int_equal(*byte_of(toucher->ram, block), (uint8_t)(block + 1));
}

static void discard(struct ram *ram, uint64_t first_block, uint64_t count)
{
	uint64_t frames = BLOCK_BYTES / frame_bytes;

	AWAIT(ram_discard(ram, first_block * frames, count * frames) == 0);
}

static uint64_t held(const struct ram *ram)
{
	return ram_resident_bytes(ram);
}

static uint64_t most_of(const struct ram *ram)
{
	struct ram_statistics statistics;

	ram_read_statistics(ram, &statistics);
	return statistics.grant_most_bytes;
}

/* ---- Held ---- */

static void a_touch_beyond_the_grant_and_its_slack_waits_and_goes_on_with_a_larger_one(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ 0 });
	struct ram_statistics statistics;
	struct toucher toucher;

	(void)state;
	ram_set_grant(ram, BLOCK(4), BLOCK(2));
	start_touching(&toucher, ram, 0, 10);
	AWAIT(atomic_load(&told.starving));
	assert_int_equal(atomic_load(&told.wanting), 1); /* before that */
	assert_true(ram_wants_grant(ram));
	assert_int_equal(held(ram), BLOCK(6));
	ram_set_grant(ram, BLOCK(7), BLOCK(2));
	AWAIT(held(ram) == BLOCK(9));
	ram_set_grant(ram, BLOCK(16), 0);
	end_touching(&toucher);
	AWAIT(!atomic_load(&told.starving));
	assert_false(ram_wants_grant(ram));
	ram_read_statistics(ram, &statistics);
	assert_true(statistics.over_grant_ns > 0 && statistics.starved_ns == 0);
	assert_true(statistics.kept_waiting_ns >= statistics.over_grant_ns / 2);
	ram_close(ram);
}

static void it_goes_on_when_it_gives_back(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ 0 });
	struct toucher toucher;

	(void)state;
	ram_set_grant(ram, BLOCK(6), 0);
	start_touching(&toucher, ram, 0, 8);
	AWAIT(atomic_load(&told.starving));
	discard(ram, 0, 2); /* a balloon's, on a thread of its own */
	assert_int_equal(pthread_join(toucher.thread, NULL), 0);
	assert_int_equal(held(ram), BLOCK(6));
	ram_close(ram);
}

static void without_a_grant_any_more_it_goes_on(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ 0 });
	struct toucher toucher;

	(void)state;
	ram_set_grant(ram, BLOCK(3), 0);
	start_touching(&toucher, ram, 0, BLOCKS);
	AWAIT(atomic_load(&told.starving));
	assert_int_equal(most_of(ram), BLOCK(3));
	ram_set_grant(ram, 0, 0);
	end_touching(&toucher);
	assert_int_equal(most_of(ram), 0);
	ram_close(ram);
}

static void what_is_there_is_never_waited_for(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ 0 });

	(void)state;
	for (uint64_t block = 0; block < 8; block++)
		touch(ram, block);
	ram_set_grant(ram, BLOCK(2), 0);
	for (uint64_t block = 0; block < 8; block++) {
		(void)block_unmap(ram, block); /* as the sampler does */
		touch(ram, block);
	}
	assert_int_equal(atomic_load(&told.wanting), 0);
	ram_close(ram);
}

static void a_device_is_told_to_come_back_and_who_granted_hears_of_it(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ 0 });
	uint8_t byte = 1;

	(void)state;
	ram_set_grant(ram, BLOCK(2), 0);
	assert_int_equal(ram_back(ram, GPA(0), BLOCK(2)), 0);
	assert_int_equal(ram_back(ram, GPA(BLOCK(1)), BLOCK(2)), -ENOSPC);
	assert_int_equal(ram_write(ram, GPA(BLOCK(9)), &byte, 1), -ENOSPC);
	assert_int_equal(held(ram), BLOCK(2));
	assert_int_equal(atomic_load(&told.wanting), 1);
	assert_true(ram_wants_grant(ram));
	discard(ram, 0, 1);
	assert_int_equal(ram_write(ram, GPA(BLOCK(9)), &byte, 1), 0);
	assert_false(ram_wants_grant(ram));
	assert_int_equal(atomic_load(&told.times), 0); /* nobody sleeps */
	ram_close(ram);
}

static void what_was_only_prepared_goes_first(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ .ahead_bytes = BLOCK(8) });
	struct ram_statistics statistics;
	struct toucher toucher;

	(void)state;
	if (frame_bytes != HUGE_FRAME_BYTES) { /* 4 KiB memory is not prepared */
		ram_close(ram);
		return;
	}
	ram_prepare(ram, GPA(BLOCK(16)), BLOCK(4));
	do
		ram_read_statistics(ram, &statistics);
	while (statistics.fresh_bytes < BLOCK(4));
	ram_set_grant(ram, held(ram) + BLOCK(1), 0);
	start_touching(&toucher, ram, 1, 5); /* as many as are only prepared, and the one */
	end_touching(&toucher);
	assert_int_equal(atomic_load(&told.times), 0);
	ram_close(ram);
}

/* ---- Giving back ---- */

static void a_smaller_grant_takes_nothing_and_what_was_given_back_does_not_return(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ 0 });
	struct toucher toucher;

	(void)state;
	for (uint64_t block = 0; block < 12; block++)
		touch(ram, block);
	ram_set_grant(ram, BLOCK(4), BLOCK(1));
	assert_int_equal(most_of(ram), BLOCK(13));
	discard(ram, 0, 3);
	start_touching(&toucher, ram, 12, 14);
	AWAIT(atomic_load(&told.starving));
	assert_int_equal(most_of(ram), BLOCK(10)); /* 9 are left, and the slack */
	assert_int_equal(held(ram), BLOCK(10));
	discard(ram, 3, 8);
	end_touching(&toucher);
	assert_int_equal(held(ram), BLOCK(3));
	assert_true(most_of(ram) <= BLOCK(10)); /* it is looked at with the next frame: */
	assert_int_equal(ram_back(ram, GPA(0), BLOCK(2)), 0);
	assert_int_equal(most_of(ram), BLOCK(5));
	assert_int_equal(ram_back(ram, GPA(0), BLOCK(3)), -ENOSPC);
	ram_close(ram);
}

/* G3 */
static void a_grant_that_is_told_again_and_again_adds_no_slack(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ 0 });

	(void)state;
	for (uint64_t block = 0; block < 8; block++)
		touch(ram, block);
	for (uint64_t grant = 6; grant > 1; grant--) {
		ram_set_grant(ram, BLOCK(grant), BLOCK(2));
		(void)ram_back(ram, GPA(0), BLOCK(BLOCKS)); /* as much as it can get */
		assert_int_equal(held(ram), BLOCK(10));
		assert_int_equal(most_of(ram), BLOCK(10));
	}
	ram_close(ram);
}

/* A guest that clears each page before it hands it over, and has one block of slack: it never waits. */
static void a_guest_that_gives_back_can_always_take_the_next_step(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ 0 });
	struct toucher toucher;

	(void)state;
	for (uint64_t block = 0; block < 12; block++)
		touch(ram, block);
	ram_set_grant(ram, BLOCK(2), BLOCK(1));
	for (uint64_t block = 12; block < BLOCKS; block++) { /* never touched before */
		start_touching(&toucher, ram, block, block + 1);
		end_touching(&toucher);
		discard(ram, block, 1);
	}
	for (uint64_t block = 0; block < 10; block++) {
		discard(ram, block, 1);
		start_touching(&toucher, ram, block, block + 1); /* and to run it needs one more */
		end_touching(&toucher);
		discard(ram, block, 1);
	}
	assert_int_equal(held(ram), BLOCK(2));
	assert_int_equal(atomic_load(&told.wanting), 0);
	ram_close(ram);
}

/* ---- Any history ---- */

/* What grant.c promises, with one thread that takes. */
struct model {
	uint64_t grant, base, slack; /* blocks; base 0: none */
	bool there[BLOCKS];
	uint64_t held;
};

static void model_set(struct model *model, uint64_t grant, uint64_t slack)
{
	uint64_t base = model->base ? model->base : UINT64_MAX;

	if (base > model->held)
		base = model->held;
	model->grant = grant;
	model->slack = slack;
	model->base = grant == 0 ? 0 : base > grant ? base : grant;
}

static bool model_take(struct model *model, uint64_t block)
{
	if (model->there[block])
		return true;
	if (model->base > model->grant && model->held < model->base)
		model->base = model->held > model->grant ? model->held : model->grant;
	if (model->base && model->held + 1 > model->base + model->slack)
		return false;
	model->there[block] = true;
	model->held++;
	return true;
}

static void in_any_history_no_more_is_held_than_was_said(void **state)
{
	struct test_random random = test_random_start();
	struct ram *ram = open_ram((struct ram_config){ 0 });
	struct model model = { .there = { true }, .held = 1 };

	(void)state;
	touch(ram, 0);
	for (int step = 0; step < RANDOM_STEPS; step++) {
		uint64_t block = test_random_below(&random, BLOCKS), what;

		what = test_random_below(&random, 10);
		if (what < 6) {
			bool taken = model_take(&model, block);

			assert_int_equal(ram_back(ram, GPA(BLOCK(block)), BLOCK_BYTES),
					 taken ? 0 : -ENOSPC);
			if (!taken && frame_bytes != HUGE_FRAME_BYTES) /* some pages of it */
				discard(ram, block, 1);
		} else if (what < 9) {
			discard(ram, block, 1);
			model.held -= model.there[block];
			model.there[block] = false;
		} else {
			uint64_t grant = test_random_below(&random, 12);
			uint64_t slack = test_random_below(&random, 3);

			model_set(&model, grant, slack);
			ram_set_grant(ram, BLOCK(grant), BLOCK(slack));
		}
		assert_int_equal(held(ram), BLOCK(model.held));
	}
	ram_close(ram);
}

/* Touches from many sides at once: each may be one frame over. */
static void who_takes_at_once_is_at_most_one_frame_over_each(void **state)
{
	enum { TOUCHERS = 3, GRANT = 8 };
	struct ram *ram = open_ram((struct ram_config){ 0 });
	struct toucher touchers[TOUCHERS];

	(void)state;
	ram_set_grant(ram, BLOCK(GRANT), 0);
	for (uint64_t i = 0; i < TOUCHERS; i++)
		start_touching(&touchers[i], ram, i * 8, i * 8 + 8);
	for (int i = 0; i < RANDOM_STEPS; i++) { /* and a device */
		(void)ram_back(ram, GPA(BLOCK((unsigned)i % BLOCKS)), GUEST_PAGE_BYTES);
		assert_true(held(ram) <= BLOCK(GRANT) + frame_bytes);
	}
	ram_set_grant(ram, 0, 0);
	for (unsigned i = 0; i < TOUCHERS; i++)
		end_touching(&touchers[i]);
	ram_close(ram);
}

/* ---- With swap ---- */

static void with_swap_cold_blocks_go_and_nobody_is_held(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ .swap = { .dir = swapdir() } });
	struct ram_statistics statistics;
	struct toucher toucher;

	(void)state;
	ram_set_grant(ram, BLOCK(10), BLOCK(2));
	start_touching(&toucher, ram, 0, BLOCKS);
	end_touching(&toucher); /* and every byte is read again */
	AWAIT(held(ram) <= BLOCK(12));
	ram_read_statistics(ram, &statistics);
	assert_true(statistics.swap_out_bytes >= BLOCK(BLOCKS - 12));
	assert_int_equal(statistics.limit_bytes, 0); /* nobody set one */
	ram_close(ram);
}

static void with_a_swap_file_that_is_full_it_is_held_after_all(void **state)
{
	struct ram *ram = open_ram(
		(struct ram_config){ .swap = { .dir = swapdir(), .size_bytes = BLOCK(4) } });
	struct toucher toucher;

	(void)state;
	ram_set_grant(ram, BLOCK(10), BLOCK(2));
	start_touching(&toucher, ram, 0, BLOCKS);
	AWAIT(ram_wants_grant(ram) && atomic_load(&told.starving));
	assert_true(held(ram) <= BLOCK(12));
	ram_set_grant(ram, BLOCK(BLOCKS), 0);
	end_touching(&toucher);
	ram_close(ram);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_touch_beyond_the_grant_and_its_slack_waits_and_goes_on_with_a_larger_one),
		cmocka_unit_test(it_goes_on_when_it_gives_back),
		cmocka_unit_test(without_a_grant_any_more_it_goes_on),
		cmocka_unit_test(what_is_there_is_never_waited_for),
		cmocka_unit_test(a_device_is_told_to_come_back_and_who_granted_hears_of_it),
		cmocka_unit_test(what_was_only_prepared_goes_first),
		cmocka_unit_test(
			a_smaller_grant_takes_nothing_and_what_was_given_back_does_not_return),
		cmocka_unit_test(a_grant_that_is_told_again_and_again_adds_no_slack),
		cmocka_unit_test(a_guest_that_gives_back_can_always_take_the_next_step),
		cmocka_unit_test(in_any_history_no_more_is_held_than_was_said),
		cmocka_unit_test(who_takes_at_once_is_at_most_one_frame_over_each),
		cmocka_unit_test(with_swap_cold_blocks_go_and_nobody_is_held),
		cmocka_unit_test(with_a_swap_file_that_is_full_it_is_held_after_all),
	};

	frame_bytes = argc > 1 && argv[1][0] == '2' ? HUGE_FRAME_BYTES : GUEST_PAGE_BYTES;
	if (frame_bytes == HUGE_FRAME_BYTES)
		hugemount_make(POOL_FRAMES, pool_dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
