/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_sampler.c - the share of memory in use is found, and who was cold the longest.
 *
 * On 4 KiB memory, where a block costs a page; time is the test's. The RAM's own sampler is off.
 */
#include "../support/testing.h"

#include <math.h>

#include "memory/block.h"
#include "memory/discard.h"
#include "memory/ram_internal.h"
#include "memory/sampler.h"

enum { BLOCKS = 1024, PERIODS = 16 };

#define PERIOD_NS (30 * NS_PER_S)
#define SIGMAS	  4.5 /* one run in 150,000 is wrong by more */

struct lab {
	struct ram *ram;
	struct sampler sampler;
	uint64_t now_ns;
};

static void touch(const struct lab *lab, uint64_t block)
{
	volatile uint8_t *view = ram_guest_view(lab->ram, 0);

	view[block * BLOCK_BYTES] += 1;
	(void)frames_lock(&lab->ram->frames, block); /* the pager is done with it */
	frames_unlock_same(&lab->ram->frames, block);
}

static void start_sampler(struct lab *lab, uint64_t sample_blocks, uint64_t seed)
{
	assert_int_equal(sampler_init(&lab->sampler, lab->ram, sample_blocks, PERIOD_NS, seed), 0);
}

/* All that is due until @ns later. */
static void pass(struct lab *lab, uint64_t ns)
{
	uint64_t end_ns = lab->now_ns + ns, next_ns;

	while ((next_ns = sampler_step(&lab->sampler, lab->now_ns)) <= end_ns)
		lab->now_ns = next_ns;
	lab->now_ns = end_ns;
}

static struct ram_statistics read_statistics(const struct lab *lab)
{
	struct ram_statistics statistics = { 0 };

	sampler_read_statistics(&lab->sampler, &statistics);
	return statistics;
}

static enum frame_state state_of(const struct lab *lab, uint64_t block)
{
	return frame_state_of(frames_peek(&lab->ram->frames, block));
}

static struct lab *lab_of(void **state)
{
	return *state;
}

/* Block 0 is in RAM since the start; @count in all. */
static void fill(struct lab *lab, uint64_t count)
{
	for (uint64_t block = 0; block < count; block++)
		touch(lab, block);
}

/* Which blocks are hot: the first @hot of a shuffled order. */
static void shuffle(struct test_random *random, uint64_t *blocks)
{
	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint64_t j = test_random_below(random, i + 1);

		blocks[i] = blocks[j];
		blocks[j] = i;
	}
}

/* In percent; see "Precision" in sampler.c. */
static double standard_error(double share, double drawn, double all)
{
	return 100 * sqrt(share * (1 - share) / drawn * (all - drawn) / (all - 1));
}

static double mean_of_periods(struct lab *lab, const uint64_t *hot, uint64_t hot_count,
			      double bound)
{
	double sum = 0, truth = 100.0 * (double)hot_count / BLOCKS;

	for (int period = 0; period < PERIODS; period++) {
		pass(lab, PERIOD_NS / 2); /* all are unmapped now */
		for (uint64_t i = 0; i < hot_count; i++)
			touch(lab, hot[i]);
		pass(lab, PERIOD_NS / 2);
		assert_int_equal(read_statistics(lab).sample_periods, period + 1);
		assert_true(fabs(read_statistics(lab).active_percent - truth) <= bound + 0.5);
		sum += read_statistics(lab).active_percent;
	}
	return sum / PERIODS;
}

/* 256 of 1,024 blocks: at one half the standard error is 2.7 points for one period, and 0.7 for the
 * mean of 16 of them (they are drawn independently; rounding adds at most half a point). */
static void known_working_sets_are_found(void **state)
{
	static const uint64_t percents[] = { 10, 50, 90 };
	struct lab *lab = lab_of(state);
	struct test_random random = test_random_start();
	uint64_t blocks[BLOCKS];

	fill(lab, BLOCKS);
	for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
		uint64_t hot = BLOCKS * percents[i] / 100;
		double share = (double)hot / BLOCKS, mean;
		double bound = SIGMAS * standard_error(share, 256, BLOCKS);

		shuffle(&random, blocks);
		start_sampler(lab, 256, test_random_next(&random));
		mean = mean_of_periods(lab, blocks, hot, bound);
		assert_int_equal(read_statistics(lab).sampled_blocks, 256);
		print_message("%.1f %% in use: found %.1f\n", 100 * share, mean);
		assert_true(fabs(mean - 100 * share) <= bound / sqrt(PERIODS) + 0.5);
		assert_true(fabs(mean - 100 * share) <= 5);
		sampler_fini(&lab->sampler);
	}
}

/* S2: what stays unmapped must not drop out of what is drawn from. 12 periods of the default sample
 * would have unmapped all that is cold. */
static void cold_blocks_are_drawn_again(void **state)
{
	struct lab *lab = lab_of(state);

	fill(lab, 128);
	start_sampler(lab, 128, 1);
	for (int period = 0; period < 3; period++) {
		pass(lab, PERIOD_NS / 2);
		for (uint64_t block = 0; block < 32; block++)
			touch(lab, block);
		pass(lab, PERIOD_NS / 2);
		assert_int_equal(read_statistics(lab).sampled_blocks, 128);
		assert_int_equal(read_statistics(lab).active_percent, 25);
	}
}

static void every_block_is_drawn_as_often(void **state)
{
	struct lab *lab = lab_of(state);
	struct test_random random = test_random_start();
	unsigned drawn[64] = { 0 };
	double expected = 400 * 16 / 64.0, bound = SIGMAS * sqrt(400 * 0.25 * 0.75);

	fill(lab, 64);
	start_sampler(lab, 16, test_random_next(&random));
	for (int period = 0; period < 400; period++) {
		pass(lab, PERIOD_NS);
		assert_int_equal(lab->sampler.sample_count, 16);
		for (uint64_t i = 0; i < 16; i++)
			drawn[lab->sampler.sample[i]]++;
	}
	for (size_t i = 0; i < ARRAY_LEN(drawn); i++)
		assert_true(fabs(drawn[i] - expected) <= bound);
}

static void only_what_is_in_ram_is_drawn(void **state)
{
	struct lab *lab = lab_of(state);

	touch(lab, 700);
	assert_int_equal(block_prepare(lab->ram, 500), 0);
	start_sampler(lab, 100, 1);
	pass(lab, PERIOD_NS);
	assert_int_equal(read_statistics(lab).sampled_blocks, 2); /* the first, and 700 */
	assert_int_equal(read_statistics(lab).active_percent, 0);
	assert_int_equal(state_of(lab, 700), FRAME_SAMPLED);
	assert_true(frames_peek(&lab->ram->frames, 500) & FRAME_FRESH);
}

static void held_blocks_are_in_neither_number(void **state)
{
	struct lab *lab = lab_of(state);

	fill(lab, 4);
	(void)frames_lock(&lab->ram->frames, 2);
	assert_true(frames_hold_locked(&lab->ram->frames, 2));
	frames_unlock_same(&lab->ram->frames, 2);
	start_sampler(lab, 100, 1);
	pass(lab, PERIOD_NS / 2);
	assert_int_equal(state_of(lab, 2), FRAME_RESIDENT);
	touch(lab, 1);
	pass(lab, PERIOD_NS / 2);
	assert_int_equal(read_statistics(lab).sampled_blocks, 3);
	assert_int_equal(read_statistics(lab).active_percent, 33);
	frames_release(&lab->ram->frames, 2);
}

static void discarded_blocks_are_in_neither_number(void **state)
{
	struct lab *lab = lab_of(state);

	fill(lab, 4);
	start_sampler(lab, 100, 1);
	pass(lab, PERIOD_NS / 2);
	assert_int_equal(ram_discard(lab->ram, BLOCK_PAGES, BLOCK_PAGES), 0);
	touch(lab, 2);
	pass(lab, PERIOD_NS / 2);
	assert_int_equal(read_statistics(lab).sampled_blocks, 3);
	assert_int_equal(read_statistics(lab).active_percent, 33);
}

/* S1 */
static void a_touch_is_not_forgotten_when_the_block_is_unmapped_again(void **state)
{
	struct lab *lab = lab_of(state);

	fill(lab, 4);
	start_sampler(lab, 4, 1);
	pass(lab, PERIOD_NS / 2);
	touch(lab, 3);
	sampler_touched(&lab->sampler, 3); /* as the pager does for the RAM's own */
	assert_int_equal(block_unmap(lab->ram, 3), 0);
	pass(lab, PERIOD_NS / 2);
	assert_int_equal(read_statistics(lab).active_percent, 25);
}

static void a_sample_is_unmapped_little_by_little(void **state)
{
	struct lab *lab = lab_of(state);
	const struct frames *frames = &lab->ram->frames;
	uint64_t before = 0;

	fill(lab, 100);
	start_sampler(lab, 100, 1);
	for (int part = 0; part < 16; part++) {
		uint64_t now;

		pass(lab, PERIOD_NS / 128);
		now = atomic_load(&frames->in_state[FRAME_SAMPLED]);
		assert_in_range(now - before, 4, 12);
		before = now;
		if (now == 100)
			break;
	}
	assert_int_equal(before, 100);
	pass(lab, PERIOD_NS / 2);
	assert_int_equal(read_statistics(lab).sample_periods, 0);
}

static void the_coldest_come_first_and_leave_when_touched(void **state)
{
	struct lab *lab = lab_of(state);
	uint64_t blocks[8];

	fill(lab, 2);
	start_sampler(lab, 8, 1);
	pass(lab, PERIOD_NS);
	touch(lab, 5);
	touch(lab, 6);
	pass(lab, PERIOD_NS);
	pass(lab, PERIOD_NS);
	assert_int_equal(sampler_coldest(&lab->sampler, blocks, 8), 4);
	assert_in_range(blocks[0], 0, 1);
	assert_in_range(blocks[1], 0, 1);
	assert_in_range(blocks[2], 5, 6);
	assert_in_range(blocks[3], 5, 6);
	touch(lab, 0);
	sampler_touched(&lab->sampler, 0);
	assert_int_equal(sampler_coldest(&lab->sampler, blocks, 1), 1);
	assert_int_equal(blocks[0], 1);
	assert_int_equal(sampler_coldest(&lab->sampler, blocks, 8), 3);
	assert_int_equal(ram_discard(lab->ram, 0, 8 * BLOCK_PAGES), 0);
	assert_int_equal(sampler_coldest(&lab->sampler, blocks, 8), 0);
}

static void without_a_sample_nothing_is_done(void **state)
{
	struct lab *lab = lab_of(state);
	uint64_t block;

	fill(lab, 4);
	start_sampler(lab, 0, 1);
	assert_int_equal(sampler_step(&lab->sampler, 1), UINT64_MAX);
	sampler_touched(&lab->sampler, 2);
	assert_int_equal(sampler_coldest(&lab->sampler, &block, 1), 0);
	assert_int_equal(state_of(lab, 2), FRAME_RESIDENT);
}

static int set_up(void **state)
{
	struct ram_config config = { .ram_bytes = BLOCKS * BLOCK_BYTES,
				     .frame_bytes = GUEST_PAGE_BYTES };
	struct lab *lab = calloc(1, sizeof(*lab));
	struct err err = { 0 };

	if (!lab || ram_open(&config, &lab->ram, &err)) {
		print_message("%s\n", err.text);
		return -1;
	}
	lab->now_ns = NS_PER_S;
	*state = lab;
	if (!ram_has_pager(lab->ram))
		test_skip_program("this process may not use userfaultfd");
	return 0;
}

static int tear_down(void **state)
{
	struct lab *lab = *state;

	sampler_fini(&lab->sampler);
	ram_close(lab->ram);
	free(lab);
	return 0;
}

#define WITH_LAB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LAB(known_working_sets_are_found),
		WITH_LAB(cold_blocks_are_drawn_again),
		WITH_LAB(every_block_is_drawn_as_often),
		WITH_LAB(only_what_is_in_ram_is_drawn),
		WITH_LAB(held_blocks_are_in_neither_number),
		WITH_LAB(discarded_blocks_are_in_neither_number),
		WITH_LAB(a_touch_is_not_forgotten_when_the_block_is_unmapped_again),
		WITH_LAB(a_sample_is_unmapped_little_by_little),
		WITH_LAB(the_coldest_come_first_and_leave_when_touched),
		WITH_LAB(without_a_sample_nothing_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
