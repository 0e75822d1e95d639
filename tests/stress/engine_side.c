/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* engine_side.c - what takes blocks away and brings them back.
 *
 * Direct: no swapper runs; evictors here take blocks at random, as fast as they can, and readers here
 * answer engine_read_back(), which the linker gives to us. Else those calls go on to the real engine,
 * and only what any thread may do is done here: sampling, preparing, mapping ahead.
 *
 * A block that was aborted keeps its stale copy: whoever evicts it next may be at it already, and
 * storing it anew replaces the copy. What was read is dropped while the block is READING.
 */
#include "stress.h"

#include <sched.h>
#include <time.h>

#include "base/clock.h"

bool __real_engine_read_back(struct ram *ram, uint64_t block);
bool __wrap_engine_read_back(struct ram *ram, uint64_t block);
void __real_engine_forget(struct ram *ram, uint64_t block);
void __wrap_engine_forget(struct ram *ram, uint64_t block);

enum { RETRY_READ_MS = 20, STARVED_US = 300 };

/* Reads asked for: a block is READING once, so the ring never overflows. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t ring[MOST_BLOCKS];
	unsigned first, count;
	bool stop;
	bool lost[MOST_BLOCKS];
	uint64_t poke_ns; /* when to ask again for what could not be read; 0: nothing */
} reads = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

bool __wrap_engine_read_back(struct ram *ram, uint64_t block)
{
	if (!world.options.direct || ram != world.ram)
		return __real_engine_read_back(ram, block);
	(void)pthread_mutex_lock(&reads.lock);
	if (reads.count == MOST_BLOCKS)
		stress_fail("more reads than blocks");
	reads.ring[(reads.first + reads.count++) % MOST_BLOCKS] = block;
	(void)pthread_cond_signal(&reads.changed);
	(void)pthread_mutex_unlock(&reads.lock);
	return true;
}

void __wrap_engine_forget(struct ram *ram, uint64_t block)
{
	if (world.options.direct && ram == world.ram)
		swap_store_drop(world.store, block);
	else
		__real_engine_forget(ram, block);
}

void reader_stop(void)
{
	(void)pthread_mutex_lock(&reads.lock);
	reads.stop = true;
	(void)pthread_cond_broadcast(&reads.changed);
	(void)pthread_mutex_unlock(&reads.lock);
}

static struct swap_worker *open_worker(void)
{
	struct swap_worker *worker = NULL;
	struct err err = { 0 };

	if (swap_worker_open(world.store, &worker, &err))
		stress_fail("%s", err.text);
	return worker;
}

static void evict(struct swap_worker *worker, uint64_t block)
{
	uint64_t live[BLOCK_PAGE_WORDS];
	int result;
	bool gone;

	if (block_write_begin(world.ram, block))
		return;
	block_live_pages(world.ram, block, live);
	result = swap_store_write(worker, block, block_data(world.ram, block),
				  block_bytes(world.ram, block), live);
	gone = block_write_end(world.ram, block,
			       result == 0   ? WRITE_STORED
			       : result == 1 ? WRITE_ZERO
					     : WRITE_FAILED);
	stress_add(&world.numbers.evictions, gone);
	stress_add(&world.numbers.evictions_zero, gone && result == 1);
	stress_add(&world.numbers.aborts, !gone && result >= 0);
}

void *evictor_thread(void *unused)
{
	struct test_random random = stress_random();
	struct swap_worker *worker = open_worker();

	(void)unused;
	while (!atomic_load(&world.stop_hosts)) {
		evict(worker, test_random_below(&random, world.block_count));
		if (test_random_below(&random, 8) == 0)
			stress_pause_us(&random, 100);
	}
	swap_worker_close(worker);
	return NULL;
}

static void could_not_read(uint64_t block)
{
	block_read_fail(world.ram, block);
	(void)pthread_mutex_lock(&reads.lock);
	stress_add(&world.numbers.unreadable, !reads.lost[block]);
	reads.lost[block] = true;
	reads.poke_ns = clock_now_ns() + RETRY_READ_MS * NS_PER_MS;
	(void)pthread_mutex_unlock(&reads.lock);
}

static void could_read(uint64_t block)
{
	(void)pthread_mutex_lock(&reads.lock);
	stress_add(&world.numbers.readable_again, reads.lost[block]);
	reads.lost[block] = false;
	(void)pthread_mutex_unlock(&reads.lock);
	engine_arrived(world.ram);
}

static void serve(struct swap_worker *worker, struct test_random *random, uint64_t block)
{
	int result;

	while ((result = block_read_allocate(world.ram, block)) == -ENOSPC || result == -ENOMEM)
		stress_pause_us(random, STARVED_US);
	if (result)
		stress_fail("allocating block %u: %s", (unsigned)block, strerror(-result));
	result = swap_store_read(worker, block, block_data(world.ram, block),
				 block_bytes(world.ram, block));
	if (result == -ENOENT || result == -EINVAL)
		stress_fail("block %u: nothing is stored for it", (unsigned)block);
	if (result) {
		could_not_read(block);
		return;
	}
	swap_store_drop(world.store, block);
	(void)block_read_end(world.ram, block, test_random_below(random, 2));
	stress_add(&world.numbers.refills, 1);
	could_read(block);
}

static bool take_read(uint64_t *ret_block)
{
	bool poke;

	(void)pthread_mutex_lock(&reads.lock);
	while (reads.count == 0 && !reads.stop && reads.poke_ns == 0)
		(void)pthread_cond_wait(&reads.changed, &reads.lock);
	if (reads.count > 0) {
		*ret_block = reads.ring[reads.first];
		reads.first = (reads.first + 1) % MOST_BLOCKS;
		reads.count--;
		(void)pthread_mutex_unlock(&reads.lock);
		return true;
	}
	poke = reads.poke_ns && clock_now_ns() >= reads.poke_ns;
	if (poke)
		reads.poke_ns = 0;
	(void)pthread_mutex_unlock(&reads.lock);
	if (poke)
		engine_arrived(world.ram);
	return false;
}

void *reader_thread(void *unused)
{
	struct test_random random = stress_random();
	struct swap_worker *worker = open_worker();
	uint64_t block;

	(void)unused;
	for (;;) {
		if (take_read(&block)) {
			serve(worker, &random, block);
			continue;
		}
		(void)pthread_mutex_lock(&reads.lock);
		if (reads.stop && reads.count == 0) {
			(void)pthread_mutex_unlock(&reads.lock);
			break;
		}
		(void)pthread_mutex_unlock(&reads.lock);
		stress_pause_us(&random, 1000);
	}
	swap_worker_close(worker);
	return NULL;
}

static void disturb(struct test_random *random, uint64_t block)
{
	struct numbers *numbers = &world.numbers;

	switch (test_random_below(random, 8)) {
	case 0: stress_add(&numbers->prepares, block_prepare(world.ram, block) == 0); break;
	case 1: stress_add(&numbers->maps_ahead, block_map_ahead(world.ram, block) == 0); break;
	case 2:
		stress_add(&numbers->prepares_dropped, block_drop_fresh(world.ram, block) == 0);
		break;
	case 3:
		if (world.options.direct && block_read_begin(world.ram, block) == 0)
			(void)__wrap_engine_read_back(world.ram, block);
		break;
	default: stress_add(&numbers->samplings, block_unmap(world.ram, block) == 0);
	}
}

void *chaos_thread(void *unused)
{
	struct test_random random = stress_random();

	(void)unused;
	while (!atomic_load(&world.stop_others)) {
		for (unsigned i = 0; i < 8; i++)
			disturb(&random, test_random_below(&random, world.block_count));
		stress_pause_us(&random, 1000);
	}
	return NULL;
}

void *limit_thread(void *unused)
{
	struct test_random random = stress_random();
	uint64_t frames = world.options.pool_frames;

	(void)unused;
	while (!atomic_load(&world.stop_others)) {
		uint64_t limit = frames / 8 + test_random_below(&random, frames * 3 / 4);

		if (test_random_below(&random, 8) == 0)
			limit = 0;
		if (ram_set_limit(world.ram, limit << BLOCK_SHIFT))
			stress_fail("the memory limit cannot be set");
		stress_add(&world.numbers.limit_changes, 1);
		stress_pause_us(&random, 100000);
	}
	return NULL;
}
