/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swapper_parts.c - the swapper's pure parts, one by one: how many go (pressure.c), what is read
 * ahead (readahead.c), and the queue and the wake-up that join it to the pager.
 */
#include "../support/testing.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "memory/pressure.h"
#include "memory/read_queue.h"
#include "memory/readahead.h"
#include "memory/wake.h"

#define BLOCK HUGE_FRAME_BYTES

static struct pressure_now at(uint64_t ms, uint64_t held_blocks, uint64_t limit_blocks)
{
	return (struct pressure_now){ .now_ns = (1000 + ms) * NS_PER_MS,
				      .held_bytes = held_blocks * BLOCK,
				      .limit_bytes = limit_blocks * BLOCK,
				      .block_bytes = BLOCK };
}

static struct pressure_demand demand_at(struct pressure *pressure, struct pressure_now now)
{
	return pressure_demand(pressure, &now);
}

static void without_a_limit_nothing_leaves(void **state)
{
	struct pressure pressure;
	struct pressure_now now = at(0, 100000, 0);

	(void)state;
	pressure_init(&pressure);
	assert_int_equal(demand_at(&pressure, now).blocks, 0);
	assert_true(pressure_room_blocks(&pressure, &now) > 1000000);
}

static void above_a_limit_all_of_it_leaves_and_the_headroom_too(void **state)
{
	struct pressure pressure;
	struct pressure_demand demand;

	(void)state;
	pressure_init(&pressure);
	demand = demand_at(&pressure, at(0, 700, 640));
	assert_int_equal(demand.blocks, 60 + 20); /* 640 / 32 */
	assert_int_equal(demand.reason, SWAP_LIMIT);
	assert_true(demand.urgent);
	demand = demand_at(&pressure, at(1, 640, 640)); /* Q1 */
	assert_int_equal(demand.blocks, 20);
	assert_false(demand.urgent);
	assert_int_equal(demand_at(&pressure, at(2, 620, 640)).blocks, 0);
	/* Half of the headroom may be used before it is made again. */
	assert_int_equal(demand_at(&pressure, at(3, 630, 640)).blocks, 0);
	assert_int_equal(demand_at(&pressure, at(4, 631, 640)).blocks, 11);
	assert_int_equal(demand_at(&pressure, at(5, 625, 640)).blocks, 5);
}

static void the_headroom_is_small_where_memory_is_small(void **state)
{
	(void)state;
	assert_int_equal(pressure_headroom_blocks(1), 1);
	assert_int_equal(pressure_headroom_blocks(8), 2);
	assert_int_equal(pressure_headroom_blocks(16), 4);
	assert_int_equal(pressure_headroom_blocks(128), 4);
	assert_int_equal(pressure_headroom_blocks(512), 16);
	assert_int_equal(pressure_headroom_blocks(1 << 30), 32);
}

static void what_was_held_in_a_famine_is_the_ceiling_until_it_is_calm(void **state)
{
	struct pressure pressure;
	struct pressure_demand demand;
	struct pressure_now now = at(0, 320, 0);

	(void)state;
	pressure_init(&pressure);
	now.waiting = true;
	pressure_short(&pressure, &now);
	demand = pressure_demand(&pressure, &now);
	assert_int_equal(demand.blocks, 10);
	assert_int_equal(demand.reason, SWAP_FAMINE);
	assert_true(demand.urgent);
	assert_int_equal(demand_at(&pressure, at(10, 310, 0)).blocks, 0);
	now = at(20, 310, 0);
	assert_int_equal(pressure_room_blocks(&pressure, &now), 10);
	assert_true(demand_at(&pressure, at(30, 320, 0)).blocks > 0); /* it still holds */
	(void)demand_at(&pressure, at(40, 310, 0));
	(void)demand_at(&pressure, at(1100, 310, 0)); /* nothing had to leave for a second */
	assert_int_equal(demand_at(&pressure, at(1101, 5000, 0)).blocks, 0);
}

static void a_ceiling_rises_while_nothing_fails(void **state)
{
	struct pressure pressure;
	struct pressure_now now = at(0, 320, 0);
	uint64_t before;

	(void)state;
	pressure_init(&pressure);
	pressure_short(&pressure, &now);
	before = pressure.ceiling_bytes;
	for (uint64_t ms = 100; ms < 2000; ms += 100) /* always at the ceiling: never calm */
		(void)demand_at(&pressure, at(ms, pressure.ceiling_bytes / BLOCK, 0));
	assert_in_range(pressure.ceiling_bytes, before + 2 * BLOCK, before + 12 * BLOCK);
}

/* Q1 to Q3, whatever happens. */
static void no_demand_is_absurd(void **state)
{
	struct test_random random = test_random_start();
	struct pressure pressure;

	(void)state;
	pressure_init(&pressure);
	for (uint64_t ms = 0; ms < 200000; ms += test_random_below(&random, 300)) {
		struct pressure_now now = at(ms, test_random_below(&random, 2000),
					     test_random_below(&random, 3) * 700);
		struct pressure_demand demand;
		bool is_short = test_random_below(&random, 8) == 0;
		uint64_t bound;

		now.waiting = is_short;
		if (is_short)
			pressure_short(&pressure, &now);
		demand = pressure_demand(&pressure, &now);
		bound = pressure.ceiling_bytes;
		if (now.limit_bytes && now.limit_bytes < bound)
			bound = now.limit_bytes;
		assert_true(demand.blocks * BLOCK <= now.held_bytes + BLOCK);
		if (is_short && now.held_bytes)
			assert_true(demand.blocks > 0); /* Q2 */
		if (!now.waiting && (!now.limit_bytes || now.held_bytes <= now.limit_bytes))
			assert_false(demand.urgent);	 /* Q1 */
		if (demand.blocks && bound >= 4 * BLOCK) /* Q3 */
			assert_true(now.held_bytes - (demand.blocks - 1) * BLOCK >=
				    bound - bound / 4);
	}
}

enum { BLOCKS = 1000 };

struct made_up {
	bool swapped[BLOCKS], untouched[BLOCKS];
};

static bool is_swapped(void *ctx, uint64_t block)
{
	return ((struct made_up *)ctx)->swapped[block];
}

static bool is_untouched(void *ctx, uint64_t block)
{
	return ((struct made_up *)ctx)->untouched[block];
}

static struct readahead_view view_of(struct made_up *memory)
{
	return (struct readahead_view){ .is_swapped = is_swapped,
					.is_untouched = is_untouched,
					.ctx = memory,
					.block_count = BLOCKS };
}

static void all_swapped(struct made_up *memory)
{
	memset(memory, 0, sizeof(*memory));
	memset(memory->swapped, true, sizeof(memory->swapped));
}

/* As the swapper does it: what is planned has been read. */
static void refault(struct readahead *ahead, struct made_up *memory, uint64_t block,
		    struct readahead_plan *plan)
{
	struct readahead_view view = view_of(memory);

	memory->swapped[block] = false;
	readahead_refault(ahead, &view, block, READAHEAD_MOST, plan);
	for (unsigned i = 0; i < plan->read_count; i++) {
		assert_true(memory->swapped[plan->read[i]]);
		memory->swapped[plan->read[i]] = false;
		memory->untouched[plan->read[i]] = true;
	}
}

static void windows_double_up_to_the_most_in_either_direction(void **state)
{
	static const unsigned windows[] = { 0, 1, 2, 4, 8, 8, 8 };
	static struct made_up memory;
	struct readahead_plan plan;

	(void)state;
	for (int step = -1; step <= 1; step += 2) {
		struct readahead ahead = { 0 };
		uint64_t block = BLOCKS / 2;

		all_swapped(&memory);
		for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
			refault(&ahead, &memory, block, &plan);
			assert_int_equal(plan.read_count, windows[i]);
			for (unsigned j = 0; j < plan.read_count; j++) {
				assert_int_equal(plan.read[j],
						 block + (uint64_t)(step * (int)(j + 1)));
				memory.untouched[plan.read[j]] = false;
			}
			block += (uint64_t)(step * (int)(plan.read_count + 1));
		}
	}
}

static void a_touch_of_the_marker_orders_the_next_window(void **state)
{
	static struct made_up memory;
	struct readahead_view view = view_of(&memory);
	struct readahead ahead = { 0 };
	struct readahead_plan plan;

	(void)state;
	all_swapped(&memory);
	refault(&ahead, &memory, 10, &plan);
	refault(&ahead, &memory, 11, &plan);
	assert_int_equal(plan.read_count, 1);
	memory.untouched[12] = false;
	readahead_touched(&ahead, &view, 12, READAHEAD_MOST, &plan);
	assert_int_equal(plan.read_count, 2);
	assert_int_equal(plan.read[0], 13);
	assert_int_equal(plan.read[1], 14);
	readahead_touched(&ahead, &view, 14, READAHEAD_MOST, &plan); /* no marker */
	assert_int_equal(plan.read_count, 0);
}

static void windows_that_nobody_touched_halve(void **state)
{
	static struct made_up memory;
	struct readahead ahead = { 0 };
	struct readahead_plan plan;
	uint64_t block = 100;
	unsigned most = 0, last = 0;

	(void)state;
	all_swapped(&memory);
	for (unsigned i = 0; i < 24; i++) { /* it goes on, but steps over all that was read */
		refault(&ahead, &memory, block, &plan);
		last = plan.read_count;
		most = last > most ? last : most;
		block = last ? plan.read[last - 1] + 1 : block + 1;
	}
	assert_true(most <= 4);
	assert_true(last <= 2);
}

static void chance_is_no_sweep_and_plans_are_bounded(void **state)
{
	static struct made_up memory;
	struct test_random random = test_random_start();
	struct readahead ahead = { 0 };
	uint64_t read = 0, wanted = 0;

	(void)state;
	all_swapped(&memory);
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t block = test_random_below(&random, BLOCKS);
		struct readahead_plan plan;

		if (!memory.swapped[block])
			continue;
		refault(&ahead, &memory, block, &plan);
		assert_in_range(plan.read_count, 0, READAHEAD_MOST); /* A1 */
		assert_in_range(plan.passed_count, 0, 2 * (READAHEAD_MOST + 1));
		wanted++;
		read += plan.read_count;
		if (wanted % 16 == 0)
			all_swapped(&memory);
	}
	assert_true(read * 4 < wanted);
}

static void no_room_is_no_window(void **state)
{
	static struct made_up memory;
	struct readahead_view view = view_of(&memory);
	struct readahead ahead = { 0 };
	struct readahead_plan plan;

	(void)state;
	all_swapped(&memory);
	for (uint64_t block = 0; block < 20; block++) {
		memory.swapped[block] = false;
		readahead_refault(&ahead, &view, block, 0, &plan);
		assert_int_equal(plan.read_count, 0);
	}
}

enum { PUTTERS = 3, TAKERS = 3, PUTS = 20000 };

struct crowd {
	struct read_queue queue;
	struct wake wake;
	_Atomic uint64_t taken, sum;
};

static void *put_all(void *arg)
{
	struct crowd *crowd = arg;

	for (uint64_t i = 1; i <= PUTS; i++) {
		while (!read_queue_put(&crowd->queue, i))
			(void)sched_yield();
		wake_one(&crowd->wake);
	}
	return NULL;
}

static void *take_all(void *arg)
{
	struct crowd *crowd = arg;

	while (atomic_load(&crowd->taken) < PUTTERS * PUTS) {
		uint32_t seen = wake_look(&crowd->wake);
		uint64_t block;

		if (!read_queue_take(&crowd->queue, &block)) {
			if (atomic_load(&crowd->taken) < PUTTERS * PUTS)
				wake_sleep(&crowd->wake, seen, 10 * NS_PER_S);
			continue;
		}
		atomic_fetch_add(&crowd->sum, block);
		if (atomic_fetch_add(&crowd->taken, 1) + 1 == PUTTERS * PUTS)
			wake_all(&crowd->wake);
	}
	return NULL;
}

/* Sleeps are ten seconds: a wake-up that was missed would be seen by the clock. */
static void what_is_put_is_taken_once_and_no_wake_up_is_missed(void **state)
{
	static struct crowd crowd;
	pthread_t threads[PUTTERS + TAKERS];
	uint64_t start_ns = clock_now_ns();

	(void)state;
	read_queue_init(&crowd.queue);
	for (unsigned i = 0; i < PUTTERS + TAKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < PUTTERS ? put_all : take_all,
						&crowd),
				 0);
	for (unsigned i = 0; i < PUTTERS + TAKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&crowd.sum), (uint64_t)PUTTERS * PUTS * (PUTS + 1) / 2);
	assert_true(clock_now_ns() - start_ns < 9 * NS_PER_S);
}

static void a_full_queue_says_so(void **state)
{
	static struct read_queue queue;
	uint64_t block;

	(void)state;
	read_queue_init(&queue);
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < READ_QUEUE_ROOM; i++)
			assert_true(read_queue_put(&queue, i));
		assert_false(read_queue_put(&queue, 0));
		for (uint64_t i = 0; i < READ_QUEUE_ROOM; i++) {
			assert_true(read_queue_take(&queue, &block));
			assert_int_equal(block, i);
		}
		assert_false(read_queue_take(&queue, &block));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_limit_nothing_leaves),
		cmocka_unit_test(above_a_limit_all_of_it_leaves_and_the_headroom_too),
		cmocka_unit_test(the_headroom_is_small_where_memory_is_small),
		cmocka_unit_test(what_was_held_in_a_famine_is_the_ceiling_until_it_is_calm),
		cmocka_unit_test(a_ceiling_rises_while_nothing_fails),
		cmocka_unit_test(no_demand_is_absurd),
		cmocka_unit_test(windows_double_up_to_the_most_in_either_direction),
		cmocka_unit_test(a_touch_of_the_marker_orders_the_next_window),
		cmocka_unit_test(windows_that_nobody_touched_halve),
		cmocka_unit_test(chance_is_no_sweep_and_plans_are_bounded),
		cmocka_unit_test(no_room_is_no_window),
		cmocka_unit_test(a_full_queue_says_so),
		cmocka_unit_test(what_is_put_is_taken_once_and_no_wake_up_is_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
