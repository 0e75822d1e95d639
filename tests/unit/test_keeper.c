/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_keeper.c - the keeper at work in a RAM: pager, pool and clock are real.
 *
 * Nothing sleeps to wait; what must happen is looked for until PATIENCE_S have passed.
 */
#include "../support/hugemount.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "memory/discard.h"
#include "memory/keeper.h"
#include "memory/prepare.h"
#include "memory/ram_internal.h"

enum { POOL_FRAMES = 64, BLOCKS = 40, AHEAD = 8, STOCK = 6, PATIENCE_S = 20, ROUNDS = 20 };

static char pool_dir[HUGEMOUNT_TEXT_BYTES];

struct told {
	atomic_uint starved;
	atomic_bool starving;
};

static void on_starved(void *ctx, gpa_t gpa, bool starving)
{
	struct told *told = ctx;

	(void)gpa;
	atomic_fetch_add(&told->starved, starving);
	atomic_store(&told->starving, starving);
}

static struct ram *open_ram(struct ram_config config)
{
	struct err err = { 0 };
	struct ram *ram = NULL;

	config.frame_bytes = config.frame_bytes ? config.frame_bytes : HUGE_FRAME_BYTES;
	if (config.frame_bytes == HUGE_FRAME_BYTES)
		config.hugetlbfs_dir = pool_dir;
	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	if (!ram_has_pager(ram))
		test_skip_program("this process may not use userfaultfd");
	return ram;
}

static uint64_t count_fresh(const struct ram *ram)
{
	return atomic_load(&ram->frames.fresh_blocks);
}

#define AWAIT(condition)                                                              \
	do {                                                                          \
		uint64_t patience_ns = clock_now_ns() + PATIENCE_S * NS_PER_S;        \
		while (!(condition)) {                                                \
			if (clock_now_ns() > patience_ns)                             \
				fail_msg("not within %d s: " #condition, PATIENCE_S); \
			(void)sched_yield();                                          \
		}                                                                     \
	} while (0)

static void touch(struct ram *ram, uint64_t block)
{
	volatile uint8_t *view = ram_guest_view(ram, 0);

	assert_int_equal(view[block * BLOCK_BYTES], 0);
	view[block * BLOCK_BYTES] = (uint8_t)(block + 1);
}

static void a_ramp_finds_most_of_its_memory_ready(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ .ram_bytes = BLOCKS * BLOCK_BYTES,
							.ahead_bytes = AHEAD * BLOCK_BYTES });
	struct ram_statistics statistics;

	(void)state;
	AWAIT(count_fresh(ram) == STOCK);
	for (uint64_t block = 1; block <= STOCK; block++)
		touch(ram, block);
	/* All were ready, most of them mapped with the one before; the pager counts a moment later. */
	AWAIT((ram_read_statistics(ram, &statistics), statistics.ahead_hits >= STOCK));
	assert_in_range(statistics.faults, 1, STOCK);
	for (uint64_t block = STOCK + 1; block < BLOCKS; block++)
		touch(ram, block);
	ram_close(ram);
}

static void *touch_all(void *arg)
{
	struct ram *ram = arg;

	for (uint64_t block = 1; block < BLOCKS; block++)
		touch(ram, block);
	return NULL;
}

/* The neighbour leaves what the guest needs and no more: nobody may starve while something is only
 * prepared. */
static void a_stock_never_makes_anybody_starve(void **state)
{
	struct told told = { 0 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct ram *neighbour = open_ram((struct ram_config){
			.ram_bytes = (POOL_FRAMES - BLOCKS) * BLOCK_BYTES, .reserve = true });
		struct ram *ram = open_ram(
			(struct ram_config){ .ram_bytes = BLOCKS * BLOCK_BYTES,
					     .ahead_bytes = AHEAD * BLOCK_BYTES,
					     .events = { .starved = on_starved, .ctx = &told } });
		pthread_t thread;

		if (round % 4 == 0)
			AWAIT(count_fresh(ram) > 0);
		assert_int_equal(pthread_create(&thread, NULL, touch_all, ram), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(atomic_load(&told.starved), 0);
		ram_close(ram);
		ram_close(neighbour);
	}
}

static void a_famine_of_a_neighbour_is_over_when_it_was_our_stock(void **state)
{
	struct told told = { 0 };
	struct ram *ram = open_ram((struct ram_config){ .ram_bytes = BLOCKS * BLOCK_BYTES,
							.ahead_bytes = AHEAD * BLOCK_BYTES });
	struct ram *neighbour =
		open_ram((struct ram_config){ .ram_bytes = (POOL_FRAMES - 1) * BLOCK_BYTES,
					      .events = { .starved = on_starved, .ctx = &told } });

	(void)state;
	AWAIT(count_fresh(ram) > 0);
	for (uint64_t block = 1; block < POOL_FRAMES - 1; block++)
		touch(neighbour, block); /* ends: ours goes back within two readings of the pool */
	assert_int_equal(count_fresh(ram), 0);
	AWAIT(!atomic_load(&told.starving));
	ram_close(neighbour);
	ram_close(ram);
}

static void what_was_discarded_stays_given_back(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ .ram_bytes = BLOCKS * BLOCK_BYTES,
							.ahead_bytes = AHEAD * BLOCK_BYTES });
	uint64_t end_ns;

	(void)state;
	AWAIT(count_fresh(ram) == STOCK);
	assert_int_equal(ram_discard(ram, 0, BLOCKS - 1), 0);
	assert_int_equal(ram_discard(ram, BLOCKS - 1, 1), 0);
	end_ns = clock_now_ns() + NS_PER_S / 4; /* more than two looks of the keeper */
	while (clock_now_ns() < end_ns)
		assert_int_equal(ram_resident_bytes(ram), 0);
	ram_prepare(ram, GPA(5 * BLOCK_BYTES), 2 * BLOCK_BYTES);
	AWAIT(count_fresh(ram) == 2);
	touch(ram, 5);
	touch(ram, 6);
	ram_close(ram);
}

static void wishes_outside_ram_are_no_harm(void **state)
{
	struct ram *ram = open_ram((struct ram_config){ .ram_bytes = BLOCKS * BLOCK_BYTES,
							.ahead_bytes = AHEAD * BLOCK_BYTES });

	(void)state;
	ram_prepare(ram, GPA(UINT64_MAX), UINT64_MAX);
	ram_prepare(ram, GPA(BLOCKS * BLOCK_BYTES), BLOCK_BYTES);
	ram_prepare(ram, GPA(0), UINT64_MAX);
	ram_prepare(ram, GPA(BLOCKS * BLOCK_BYTES - 1), 1);
	ram_prepare(ram, GPA(7), 0);
	AWAIT(count_fresh(ram) > 0);
	ram_close(ram);
}

struct worker {
	struct ram *ram;
	uint64_t hot_blocks;
	atomic_bool stop;
};

static void *keep_hot(void *arg)
{
	struct worker *worker = arg;
	volatile uint8_t *view = ram_guest_view(worker->ram, 0);

	while (!atomic_load(&worker->stop)) {
		for (uint64_t block = 0; block < worker->hot_blocks; block++)
			view[block * BLOCK_BYTES] += 1;
		(void)sched_yield();
	}
	return NULL;
}

/* All blocks are drawn, so there is nothing left to chance; but on a busy host the worker may not
 * come round within a period. */
static void the_share_in_use_is_found_while_a_guest_works(void **state)
{
	struct ram_config config = { .ram_bytes = 200 * BLOCK_BYTES,
				     .frame_bytes = GUEST_PAGE_BYTES,
				     .sample_blocks = 1000,
				     .sample_period_ns = 100 * NS_PER_MS };
	struct worker worker = { .ram = open_ram(config), .hot_blocks = 60 };
	struct ram_statistics statistics;
	uint64_t cold[8];
	pthread_t thread;

	(void)state;
	for (uint64_t block = 0; block < 200; block++)
		touch(worker.ram, block);
	assert_int_equal(pthread_create(&thread, NULL, keep_hot, &worker), 0);
	AWAIT((ram_read_statistics(worker.ram, &statistics),
	       statistics.sample_periods >= 4 && statistics.active_percent >= 29));
	assert_in_range(statistics.active_percent, 29, 31); /* a block may be locked just then */
	assert_in_range(statistics.sampled_blocks, 198, 200);
	assert_int_equal(keeper_coldest(worker.ram->keeper, cold, 8), 8);
	for (int i = 0; i < 8; i++)
		assert_in_range(cold[i], 60, 199);
	atomic_store(&worker.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	ram_close(worker.ram);
}

static void a_keeper_with_nothing_to_do_ends_at_once(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++)
		ram_close(open_ram((struct ram_config){ .ram_bytes = BLOCKS * BLOCK_BYTES }));
	for (int round = 0; round < ROUNDS; round++)
		ram_close(open_ram((struct ram_config){ .ram_bytes = BLOCKS * BLOCK_BYTES,
							.ahead_bytes = AHEAD * BLOCK_BYTES,
							.sample_blocks = 100,
							.sample_period_ns = NS_PER_MS }));
}

/* The linker gives us the keeper's allocations: one of them can be made to last. */
int __real_backing_allocate(int fd, uint64_t offset_bytes, uint64_t len_bytes);
int __wrap_backing_allocate(int fd, uint64_t offset_bytes, uint64_t len_bytes);

static struct {
	atomic_bool armed, over;
	atomic_int thread;
	_Atomic uint64_t block;
} slow;

int __wrap_backing_allocate(int fd, uint64_t offset_bytes, uint64_t len_bytes)
{
	if (atomic_exchange(&slow.armed, false)) {
		atomic_store(&slow.block, offset_bytes / BLOCK_BYTES);
		atomic_store(&slow.thread, gettid());
		AWAIT(atomic_load(&slow.over));
	}
	return __real_backing_allocate(fd, offset_bytes, len_bytes);
}

static int policy_of(pid_t thread)
{
	return sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK;
}

static bool may_go_first(void)
{
	const struct sched_param first = { .sched_priority = sched_get_priority_min(SCHED_RR) };
	const struct sched_param none = { 0 };
	int policy = sched_getscheduler(0);

	return sched_setscheduler(0, SCHED_RR, &first) == 0 &&
	       sched_setscheduler(0, policy, &none) == 0;
}

/* Else it might lose its processor in the middle, and who came would wait for a whole slice. */
static void who_wants_the_block_in_work_lends_the_keeper_real_time(void **state)
{
	struct ram *ram;

	(void)state;
	if (!may_go_first())
		test_skip_case("this process may not use real time");
	atomic_store(&slow.armed, true);
	ram = open_ram((struct ram_config){ .ram_bytes = BLOCKS * BLOCK_BYTES,
					    .ahead_bytes = AHEAD * BLOCK_BYTES });
	AWAIT(atomic_load(&slow.thread));
	assert_int_equal(policy_of(atomic_load(&slow.thread)), SCHED_BATCH);
	keeper_hurry(ram->keeper, atomic_load(&slow.block) + 1);
	assert_int_equal(policy_of(atomic_load(&slow.thread)), SCHED_BATCH);
	keeper_hurry(ram->keeper, atomic_load(&slow.block));
	assert_int_equal(policy_of(atomic_load(&slow.thread)), SCHED_RR);
	atomic_store(&slow.over, true);
	AWAIT(policy_of(atomic_load(&slow.thread)) == SCHED_BATCH);
	ram_close(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ramp_finds_most_of_its_memory_ready),
		cmocka_unit_test(a_stock_never_makes_anybody_starve),
		cmocka_unit_test(a_famine_of_a_neighbour_is_over_when_it_was_our_stock),
		cmocka_unit_test(what_was_discarded_stays_given_back),
		cmocka_unit_test(wishes_outside_ram_are_no_harm),
		cmocka_unit_test(the_share_in_use_is_found_while_a_guest_works),
		cmocka_unit_test(a_keeper_with_nothing_to_do_ends_at_once),
		cmocka_unit_test(who_wants_the_block_in_work_lends_the_keeper_real_time),
	};

	hugemount_make(POOL_FRAMES, pool_dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
