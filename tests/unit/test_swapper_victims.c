/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swapper_victims.c - which blocks stay: victims.c and readahead.c on made-up guests.
 *
 * Memory is an array of states here, time is the number of touches, and a read takes none. Shown
 * beside them on the same touches: exact recency (LRU), and blind chance. "hits" are touches that
 * did not have to wait for the disk; "minor" are those that found their block unmapped.
 */
#include "../support/testing.h"

#include <string.h>

#include "memory/readahead.h"
#include "memory/victims.h"

enum { BLOCKS = 3072, ROOM = 2048, TOUCHES = 60000, WARM_UP = 20000 };

enum sim_state { SIM_SWAPPED, SIM_MAPPED, SIM_WATCHED };

struct sim {
	enum sim_state states[BLOCKS];
	uint64_t in_ram;
	struct victims victims;
	struct readahead readahead;
	uint64_t marker_blocks[READAHEAD_STREAMS];
	uint64_t touches, waits, minor, reads, evictions;
};

static bool sim_watch(void *ctx, uint64_t block)
{
	struct sim *sim = ctx;

	if (sim->states[block] == SIM_MAPPED)
		sim->states[block] = SIM_WATCHED;
	return sim->states[block] == SIM_WATCHED;
}

static bool sim_is_untouched(void *ctx, uint64_t block)
{
	return ((struct sim *)ctx)->states[block] == SIM_WATCHED;
}

static bool sim_is_swapped(void *ctx, uint64_t block)
{
	return ((struct sim *)ctx)->states[block] == SIM_SWAPPED;
}

static void evict_one(struct sim *sim, bool blind, struct test_random *random)
{
	const struct victims_view view = { .watch = sim_watch,
					   .is_untouched = sim_is_untouched,
					   .ctx = sim };
	uint64_t block;

	if (blind)
		do
			block = test_random_below(random, BLOCKS);
		while (sim->states[block] == SIM_SWAPPED);
	else
		while (!victims_next(&sim->victims, &view, sim->in_ram, &block))
			;
	assert_int_not_equal(sim->states[block], SIM_SWAPPED);
	sim->states[block] = SIM_SWAPPED;
	sim->in_ram--;
	sim->evictions++;
}

static void bring_in(struct sim *sim, uint64_t block, enum sim_state state, bool blind,
		     struct test_random *random)
{
	while (sim->in_ram >= ROOM)
		evict_one(sim, blind, random);
	sim->states[block] = state;
	sim->in_ram++;
	sim->reads++;
}

static void follow_plan(struct sim *sim, const struct readahead_plan *plan,
			struct test_random *random)
{
	const struct victims_view view = { .watch = sim_watch,
					   .is_untouched = sim_is_untouched,
					   .ctx = sim };

	for (unsigned i = 0; i < plan->passed_count; i++)
		victims_passed(&sim->victims, &view, plan->passed[i]);
	for (unsigned i = 0; i < plan->read_count; i++)
		if (sim->states[plan->read[i]] == SIM_SWAPPED)
			bring_in(sim, plan->read[i], SIM_WATCHED, false, random);
}

static void touch(struct sim *sim, uint64_t block, bool blind, struct test_random *random)
{
	const struct readahead_view view = { .is_swapped = sim_is_swapped,
					     .is_untouched = sim_is_untouched,
					     .ctx = sim,
					     .block_count = BLOCKS };
	struct readahead_plan plan = { 0 };
	enum sim_state before = sim->states[block];

	sim->touches++;
	if (before == SIM_SWAPPED) {
		sim->waits++;
		bring_in(sim, block, SIM_MAPPED, blind, random);
		if (!blind)
			readahead_refault(&sim->readahead, &view, block, READAHEAD_MOST, &plan);
	} else if (before == SIM_WATCHED) {
		sim->minor++;
		sim->states[block] = SIM_MAPPED;
		readahead_touched(&sim->readahead, &view, block, READAHEAD_MOST, &plan);
	}
	follow_plan(sim, &plan, random);
}

/* Exact recency, as no one can have it. */
struct recency {
	uint64_t last[BLOCKS]; /* 0: not in RAM */
	uint64_t now, in_ram, waits;
};

static void recency_touch(struct recency *recency, uint64_t block)
{
	uint64_t oldest = 0;

	recency->now++;
	if (!recency->last[block]) {
		recency->waits++;
		if (recency->in_ram++ >= ROOM) {
			for (uint64_t i = 0; i < BLOCKS; i++)
				if (recency->last[i] && (!recency->last[oldest] ||
							 recency->last[i] < recency->last[oldest]))
					oldest = i;
			recency->last[oldest] = 0;
			recency->in_ram--;
		}
	}
	recency->last[block] = recency->now;
}

typedef uint64_t next_block(struct test_random *random, uint64_t turn);

static uint64_t sweep_up(struct test_random *random, uint64_t turn)
{
	(void)random;
	return turn % BLOCKS;
}

static uint64_t sweep_down(struct test_random *random, uint64_t turn)
{
	(void)random;
	return BLOCKS - 1 - turn % BLOCKS;
}

static uint64_t hot_and_cold(struct test_random *random, uint64_t turn)
{
	(void)turn;
	return test_random_below(random, 100) < 95 ? test_random_below(random, ROOM * 3 / 4)
						   : test_random_below(random, BLOCKS);
}

static uint64_t all_alike(struct test_random *random, uint64_t turn)
{
	(void)turn;
	return test_random_below(random, BLOCKS);
}

/* What a program with a hot set does that reads a large file now and then. */
static uint64_t hot_with_a_sweep(struct test_random *random, uint64_t turn)
{
	return turn % 4 ? test_random_below(random, ROOM / 2)
			: ROOM / 2 + turn / 4 % (BLOCKS - ROOM / 2);
}

/* Shares of touches that did not wait, in tenths of a percent. */
struct outcome {
	unsigned ours, blind, recency, minor;
	uint64_t reads, waits;
};

static unsigned per_mille(uint64_t part, uint64_t whole)
{
	return (unsigned)(part * 1000 / whole);
}

static unsigned run(next_block *next, bool blind, uint64_t seed, struct outcome *outcome)
{
	static struct sim sim;
	struct test_random random = { .state = seed }, touches = { .state = seed + 1 };

	memset(&sim, 0, sizeof(sim));
	victims_init(&sim.victims, BLOCKS, seed);
	for (uint64_t turn = 0; turn < TOUCHES; turn++) {
		if (turn == WARM_UP)
			sim.touches = sim.waits = sim.minor = sim.reads = 0;
		touch(&sim, next(&touches, turn), blind, &random);
	}
	if (!blind) {
		outcome->minor = per_mille(sim.minor, sim.touches);
		outcome->reads = sim.reads;
		outcome->waits = sim.waits;
	}
	return per_mille(sim.touches - sim.waits, sim.touches);
}

static unsigned run_recency(next_block *next, uint64_t seed)
{
	static struct recency recency;
	struct test_random touches = { .state = seed + 1 };

	memset(&recency, 0, sizeof(recency));
	for (uint64_t turn = 0; turn < TOUCHES; turn++) {
		if (turn == WARM_UP)
			recency.waits = 0;
		recency_touch(&recency, next(&touches, turn));
	}
	return 1000 - per_mille(recency.waits, TOUCHES - WARM_UP);
}

static struct outcome compare(const char *name, next_block *next)
{
	uint64_t seed = test_random_start().state;
	struct outcome outcome = { 0 };

	outcome.ours = run(next, false, seed, &outcome);
	outcome.blind = run(next, true, seed, NULL);
	outcome.recency = run_recency(next, seed);
	print_message(
		"%s: hits %u per mille (blind chance %u, recency %u), minor %u, "
		"blocks read per wait %llu.%llu, reads per 1000 touches %llu\n",
		name, outcome.ours, outcome.blind, outcome.recency, outcome.minor,
		(unsigned long long)(outcome.reads / (outcome.waits + !outcome.waits)),
		(unsigned long long)(outcome.reads * 10 / (outcome.waits + !outcome.waits) % 10),
		(unsigned long long)(outcome.reads * 1000 / (TOUCHES - WARM_UP)));
	return outcome;
}

static void a_sweep_through_more_than_fits_beats_recency_and_chance(void **state)
{
	struct outcome up = compare("sweep upwards, 1.5 x memory", sweep_up);
	struct outcome down = compare("sweep downwards", sweep_down);

	(void)state;
	assert_int_equal(up.recency, 0);
	assert_true(up.ours > up.blind + 300); /* most waits are read ahead */
	assert_true(down.ours > down.blind + 300);
	/* And what leaves is what the sweep left behind: fewer reads than chance would need. */
	assert_true(up.reads < (TOUCHES - WARM_UP) * 45 / 100);
	assert_true(down.reads < (TOUCHES - WARM_UP) * 45 / 100);
}

static void a_hot_set_stays(void **state)
{
	struct outcome o = compare("95 % of touches in 3/4 of memory", hot_and_cold);

	(void)state;
	assert_true(o.ours > o.blind);
	assert_true(o.ours + 15 > o.recency);
	assert_true(o.minor < 100);
}

static void where_nothing_helps_nothing_is_lost(void **state)
{
	struct outcome o = compare("all blocks alike", all_alike);

	(void)state;
	assert_true(o.ours + 30 > o.blind);
	assert_true(o.reads < o.waits * 11 / 10); /* chance is not taken for a sweep */
}

static void a_hot_set_outlives_a_sweep_beside_it(void **state)
{
	struct outcome o = compare("hot half, and a sweep over the rest", hot_with_a_sweep);

	(void)state;
	assert_true(o.ours > o.blind);
	assert_true(o.ours > o.recency);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sweep_through_more_than_fits_beats_recency_and_chance),
		cmocka_unit_test(a_hot_set_stays),
		cmocka_unit_test(where_nothing_helps_nothing_is_lost),
		cmocka_unit_test(a_hot_set_outlives_a_sweep_beside_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
