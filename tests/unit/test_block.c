/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_block.c - every step of a block's life in every state it can be asked in, and what the guest
 * finds afterwards: test-block 2M | 4K. Two threads at once: test_block_races.c.
 */
#include "block_rig.h"

#include <pthread.h>
#include <sched.h>

#include "memory/access.h"
#include "memory/discard.h"
#include "memory/hold.h"

enum { SEED = 7, OTHER_SEED = 8, MIDDLE = 2, SENTINEL = 42 };

/* Ways in which a block can be found. */
enum situation {
	ABSENT,
	RESIDENT,
	SAMPLED,
	FRESH,
	WRITING,
	ABORTED, /* touched while it was written; its writer has not noticed yet */
	SWAPPED,
	READING,
	WANTED, /* READING, and somebody sleeps */
	HELD,
	SITUATION_COUNT
};

static const char *const situation_names[] = { "absent",  "resident", "sampled", "fresh",
					       "writing", "aborted",  "swapped", "reading",
					       "wanted",  "held" };

static int evict_now(struct ram *ram, uint64_t block)
{
	rig_quiet(ram, block);
	return rig_evict(ram, block);
}

static gpa_t block_gpa(uint64_t block)
{
	return GPA(block << BLOCK_SHIFT);
}

static void *block_hold(struct ram *ram, uint64_t block)
{
	void *pointer = NULL;

	assert_int_equal(ram_hold(ram, block_gpa(block), block_bytes(ram, block), &pointer), 0);
	return pointer;
}

static void arrange(struct ram *ram, uint64_t block, enum situation situation)
{
	if (situation == ABSENT || situation == FRESH) {
		assert_int_equal(block_discard(ram, block, 1), 0);
	} else {
		rig_fill(ram, block, SEED);
	}
	if (situation == FRESH)
		assert_int_equal(block_prepare(ram, block), 0);
	if (situation == SAMPLED)
		assert_int_equal(block_unmap(ram, block), 0);
	if (situation == WRITING || situation == ABORTED) {
		assert_int_equal(block_write_begin(ram, block), 0);
		rig_store(ram, block);
	}
	if (situation == ABORTED)
		assert_int_equal(block_touch(ram, block << BLOCK_SHIFT, NULL, NULL), TOUCH_MAPPED);
	if (situation == SWAPPED || situation == READING || situation == WANTED)
		assert_int_equal(evict_now(ram, block), 0);
	if (situation == READING || situation == WANTED)
		assert_int_equal(block_read_begin(ram, block), 0);
	if (situation == WANTED)
		assert_int_equal(block_touch(ram, block << BLOCK_SHIFT, NULL, NULL), TOUCH_READING);
	if (situation == HELD)
		(void)block_hold(ram, block);
}

/* Back to a state in which the guest can look. */
static void let_go(struct ram *ram, uint64_t block, enum situation situation)
{
	uint64_t word = frames_peek(&ram->frames, block);

	if (situation == HELD)
		ram_release(ram, block_gpa(block), block_bytes(ram, block));
	if (word & FRAME_WRITER)
		assert_false(block_write_end(ram, block, WRITE_FAILED));
	if (frame_state_of(word) == FRAME_READING)
		(void)rig_serve(ram, block, true);
}

static int touch_it(struct ram *ram, uint64_t block)
{
	return (int)block_touch(ram, (block << BLOCK_SHIFT) + 1, NULL, NULL);
}

static int write_stored(struct ram *ram, uint64_t block)
{
	return block_write_end(ram, block, WRITE_STORED);
}

static int write_zero(struct ram *ram, uint64_t block)
{
	return block_write_end(ram, block, WRITE_ZERO);
}

static int write_failed(struct ram *ram, uint64_t block)
{
	return block_write_end(ram, block, WRITE_FAILED);
}

static int discard_it(struct ram *ram, uint64_t block)
{
	return block_discard(ram, block, 1);
}

enum { BUSY = -EBUSY, YES = true, NO = false };

/* What is not named in a row is refused with -EBUSY and changes nothing. */
static const struct step {
	const char *name;
	int (*run)(struct ram *ram, uint64_t block);
	bool only_for_writers; /* makes sense after block_write_begin() only */
	struct {
		bool allowed;
		int result;
		enum frame_state state;
		uint64_t flags;
		bool zeros; /* the guest finds zeros afterwards where it had something */
	} then[SITUATION_COUNT];
} steps[] = {
	{ "touch",
	  touch_it,
	  false,
	  { [ABSENT] = { true, TOUCH_MAPPED, FRAME_RESIDENT, 0, false },
	    [RESIDENT] = { true, TOUCH_MAPPED, FRAME_RESIDENT, 0, false },
	    [SAMPLED] = { true, TOUCH_MAPPED, FRAME_RESIDENT, 0, false },
	    [FRESH] = { true, TOUCH_MAPPED, FRAME_RESIDENT, 0, false },
	    [WRITING] = { true, TOUCH_MAPPED, FRAME_RESIDENT, FRAME_WRITER, false },
	    [ABORTED] = { true, TOUCH_MAPPED, FRAME_RESIDENT, FRAME_WRITER, false },
	    [SWAPPED] = { true, TOUCH_SWAPPED, FRAME_READING, FRAME_WANTED, false },
	    [READING] = { true, TOUCH_READING, FRAME_READING, FRAME_WANTED, false },
	    [WANTED] = { true, TOUCH_READING, FRAME_READING, FRAME_WANTED, false },
	    [HELD] = { true, TOUCH_MAPPED, FRAME_RESIDENT, 0, false } } },
	{ "prepare",
	  block_prepare,
	  false,
	  { [ABSENT] = { true, 0, FRAME_SAMPLED, FRAME_FRESH, false } } },
	{ "map ahead",
	  block_map_ahead,
	  false,
	  { [SAMPLED] = { true, 0, FRAME_RESIDENT, 0, false },
	    [FRESH] = { true, 0, FRAME_RESIDENT, 0, false } } },
	{ "drop fresh",
	  block_drop_fresh,
	  false,
	  { [FRESH] = { true, 0, FRAME_ABSENT, 0, false } } },
	{ "unmap", block_unmap, false, { [RESIDENT] = { true, 0, FRAME_SAMPLED, 0, false } } },
	{ "write begin",
	  block_write_begin,
	  false,
	  { [RESIDENT] = { true, 0, FRAME_WRITING, FRAME_WRITER, false },
	    [SAMPLED] = { true, 0, FRAME_WRITING, FRAME_WRITER, false } } },
	{ "write end, stored",
	  write_stored,
	  true,
	  { [WRITING] = { true, YES, FRAME_SWAPPED, 0, false },
	    [ABORTED] = { true, NO, FRAME_RESIDENT, 0, false } } },
	{ "write end, zero",
	  write_zero,
	  true,
	  { [WRITING] = { true, YES, FRAME_ABSENT, 0, true },
	    [ABORTED] = { true, NO, FRAME_RESIDENT, 0, false } } },
	{ "write end, failed",
	  write_failed,
	  true,
	  { [WRITING] = { true, NO, FRAME_SAMPLED, 0, false },
	    [ABORTED] = { true, NO, FRAME_RESIDENT, 0, false } } },
	{ "read begin",
	  block_read_begin,
	  false,
	  { [SWAPPED] = { true, 0, FRAME_READING, 0, false } } },
	{ "discard",
	  discard_it,
	  false,
	  { [ABSENT] = { true, 0, FRAME_ABSENT, 0, false },
	    [RESIDENT] = { true, 0, FRAME_ABSENT, 0, true },
	    [SAMPLED] = { true, 0, FRAME_ABSENT, 0, true },
	    [FRESH] = { true, 0, FRAME_ABSENT, 0, false },
	    [SWAPPED] = { true, 0, FRAME_ABSENT, 0, true } } },
};

static void assert_step(struct ram *ram, uint64_t block, const struct step *step,
			enum situation situation)
{
	bool nothing_there = situation == ABSENT || situation == FRESH;
	uint64_t before, after;
	int result;

	arrange(ram, block, situation);
	before = frames_peek(&ram->frames, block);
	result = step->run(ram, block);
	after = frames_peek(&ram->frames, block);
	if (!step->then[situation].allowed) {
		if (result != -EBUSY || after != before)
			fail_msg("%s when %s: %d, %llx -> %llx", step->name,
				 situation_names[situation], result, (unsigned long long)before,
				 (unsigned long long)after);
	} else if (result != step->then[situation].result ||
		   frame_state_of(after) != step->then[situation].state ||
		   (after & FRAME_FLAGS) != step->then[situation].flags) {
		fail_msg("%s when %s: %d, %s, flags %llx", step->name, situation_names[situation],
			 result, frame_state_names[frame_state_of(after)],
			 (unsigned long long)(after & FRAME_FLAGS));
	}
	let_go(ram, block, situation);
	if (nothing_there || step->then[situation].zeros)
		rig_assert_zeros(ram, block);
	else
		rig_assert_filled(ram, block, SEED);
}

static void every_step_in_every_situation(void **state)
{
	struct ram *ram = rig_open(NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		for (unsigned s = 0; s < SITUATION_COUNT; s++) {
			if (steps[i].only_for_writers && !steps[i].then[s].allowed)
				continue;
			assert_step(ram, MIDDLE, &steps[i], s);
			assert_step(ram, RIG_LAST, &steps[i], s);
		}
	rig_close(ram);
}

static uint64_t faults(const struct ram *ram)
{
	struct ram_statistics statistics;

	ram_read_statistics(ram, &statistics);
	return statistics.faults;
}

/* What sampling and the safety of eviction rest on. */
static void unmapped_blocks_fault_and_mapped_ones_do_not(void **state)
{
	struct ram *ram = rig_open(NULL);
	uint64_t before;

	(void)state;
	rig_fill(ram, MIDDLE, SEED);
	before = faults(ram);
	rig_assert_filled(ram, MIDDLE, SEED);
	assert_int_equal(faults(ram), before);
	assert_int_equal(block_unmap(ram, MIDDLE), 0);
	rig_assert_filled(ram, MIDDLE, SEED);
	assert_int_equal(faults(ram), before + 1);
	assert_int_equal(block_write_begin(ram, MIDDLE), 0);
	rig_assert_filled(ram, MIDDLE, SEED);
	assert_int_equal(faults(ram), before + 2);
	assert_false(block_write_end(ram, MIDDLE, WRITE_STORED));
	assert_int_equal(block_unmap(ram, MIDDLE), 0);
	assert_int_equal(block_map_ahead(ram, MIDDLE), 0);
	rig_assert_filled(ram, MIDDLE, SEED);
	assert_int_equal(faults(ram), before + 2);
	rig_close(ram);
}

static void a_swapped_block_holds_nothing_of_the_host(void **state)
{
	struct ram *ram = rig_open(NULL);
	uint64_t before;

	(void)state;
	for (uint64_t block = MIDDLE; block < RIG_BLOCKS; block++) {
		rig_fill(ram, block, SEED);
		before = ram_resident_bytes(ram);
		assert_int_equal(block_write_begin(ram, block), 0);
		rig_store(ram, block);
		assert_int_equal(ram_resident_bytes(ram), before);
		assert_true(block_write_end(ram, block, WRITE_STORED));
		assert_int_equal(ram_resident_bytes(ram), before - block_bytes(ram, block));
		rig_assert_filled(ram, block, SEED);
		assert_int_equal(ram_resident_bytes(ram), before);
	}
	rig_close(ram);
}

static void prepared_blocks_are_counted_and_a_touch_says_it_found_one(void **state)
{
	struct ram *ram = rig_open(NULL);
	bool was_fresh = false;

	(void)state;
	assert_int_equal(block_prepare(ram, MIDDLE), 0);
	assert_int_equal(ram->frames.fresh_blocks, 1);
	assert_int_equal(block_touch(ram, MIDDLE * BLOCK_BYTES, NULL, &was_fresh), TOUCH_MAPPED);
	assert_true(was_fresh);
	assert_int_equal(ram->frames.fresh_blocks, 0);
	assert_int_equal(block_touch(ram, MIDDLE * BLOCK_BYTES, NULL, &was_fresh), TOUCH_MAPPED);
	assert_false(was_fresh);
	rig_close(ram);
}

/* D1, the order of things: what the guest wrote last is what it has. */
static void writes_of_the_guest_abort_an_eviction_and_are_kept(void **state)
{
	struct ram *ram = rig_open(NULL);

	(void)state;
	rig_fill(ram, MIDDLE, SEED);
	assert_int_equal(block_write_begin(ram, MIDDLE), 0);
	rig_store(ram, MIDDLE);
	rig_fill(ram, MIDDLE, OTHER_SEED);
	assert_false(block_write_end(ram, MIDDLE, WRITE_STORED));
	rig_assert_filled(ram, MIDDLE, OTHER_SEED);
	assert_int_equal(evict_now(ram, MIDDLE), 0); /* and nothing keeps it from going later */
	rig_assert_filled(ram, MIDDLE, OTHER_SEED);
	rig_close(ram);
}

static void writes_of_a_device_abort_an_eviction_as_well(void **state)
{
	struct ram *ram = rig_open(NULL);
	uint64_t word = SENTINEL;

	(void)state;
	rig_fill(ram, MIDDLE, SEED);
	assert_int_equal(block_write_begin(ram, MIDDLE), 0);
	rig_store(ram, MIDDLE);
	assert_int_equal(ram_write(ram, block_gpa(MIDDLE), &word, sizeof(word)), 0);
	assert_false(block_write_end(ram, MIDDLE, WRITE_STORED));
	assert_int_equal(*rig_word(ram, MIDDLE, 0), SENTINEL);
	rig_close(ram);
}

static void a_device_reads_and_writes_what_is_in_swap(void **state)
{
	struct ram *ram = rig_open(NULL);
	uint64_t word = SENTINEL, seen = 0;

	(void)state;
	rig_fill(ram, MIDDLE, SEED);
	*rig_word(ram, MIDDLE, 1) = SENTINEL + 1;
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	assert_int_equal(ram_write(ram, block_gpa(MIDDLE), &word, sizeof(word)), 0);
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	assert_int_equal(ram_read(ram, GPA(MIDDLE * BLOCK_BYTES + 8), &seen, sizeof(seen)), 0);
	assert_int_equal(seen, SENTINEL + 1);
	assert_int_equal(*rig_word(ram, MIDDLE, 0), SENTINEL);
	rig_close(ram);
}

struct sleeper {
	struct ram *ram;
	uint64_t block;
	atomic_bool awake;
	uint64_t seen;
	pthread_t thread;
};

static void *sleep_on_it(void *arg)
{
	struct sleeper *sleeper = arg;

	sleeper->seen = *rig_word(sleeper->ram, sleeper->block, 3);
	atomic_store(&sleeper->awake, true);
	return NULL;
}

static void start_sleeper(struct sleeper *sleeper, struct ram *ram, uint64_t block)
{
	*sleeper = (struct sleeper){ .ram = ram, .block = block };
	assert_int_equal(pthread_create(&sleeper->thread, NULL, sleep_on_it, sleeper), 0);
}

static uint64_t end_sleeper(struct sleeper *sleeper)
{
	assert_int_equal(pthread_join(sleeper->thread, NULL), 0);
	return sleeper->seen;
}

/* READING: nobody sees the frame before its bytes are whole, not even a readahead's. */
static void who_touches_a_swapped_block_sleeps_until_it_is_whole(void **state)
{
	struct ram *ram = rig_open(NULL);
	struct sleeper sleepers[2];

	(void)state;
	rig_read_by_hand(true);
	rig_fill(ram, MIDDLE, SEED);
	*rig_word(ram, MIDDLE, 3) = SENTINEL;
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	start_sleeper(&sleepers[0], ram, MIDDLE);
	rig_await(ram, MIDDLE, FRAME_READING, FRAME_WANTED);
	assert_int_equal(block_read_allocate(ram, MIDDLE), 0);
	start_sleeper(&sleepers[1], ram, MIDDLE);
	assert_false(atomic_load(&sleepers[0].awake));
	assert_true(rig_serve(ram, MIDDLE, false)); /* mapped: somebody wants it */
	assert_int_equal(end_sleeper(&sleepers[0]), SENTINEL);
	assert_int_equal(end_sleeper(&sleepers[1]), SENTINEL);
	assert_false(atomic_load(&ram->frames.words[MIDDLE]) & FRAME_WANTED);
	rig_close(ram);
}

static void a_block_read_ahead_is_not_mapped_until_somebody_wants_it(void **state)
{
	struct ram *ram = rig_open(NULL);

	(void)state;
	rig_read_by_hand(true);
	rig_fill(ram, MIDDLE, SEED);
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	assert_int_equal(block_read_begin(ram, MIDDLE), 0);
	assert_false(rig_serve(ram, MIDDLE, false));
	assert_int_equal(rig_state(ram, MIDDLE), FRAME_SAMPLED);
	assert_int_equal(rig_flags(ram, MIDDLE), 0);
	rig_assert_filled(ram, MIDDLE, SEED);
	rig_close(ram);
}

/* D2: never zeros. */
static void who_sleeps_when_reading_fails_sleeps_on_and_then_sees_its_bytes(void **state)
{
	struct ram *ram = rig_open(NULL);
	uint64_t before;
	struct sleeper sleeper;

	(void)state;
	rig_read_by_hand(true);
	rig_fill(ram, MIDDLE, SEED);
	*rig_word(ram, MIDDLE, 3) = SENTINEL;
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	before = ram_resident_bytes(ram);
	start_sleeper(&sleeper, ram, MIDDLE);
	for (int i = 0; i < 3; i++) {
		if (i > 0)
			assert_int_equal(block_read_begin(ram, MIDDLE), 0);
		else
			rig_await(ram, MIDDLE, FRAME_READING, FRAME_WANTED);
		assert_int_equal(block_read_allocate(ram, MIDDLE), 0);
		block_read_fail(ram, MIDDLE);
		assert_int_equal(rig_state(ram, MIDDLE), FRAME_SWAPPED);
		assert_int_equal(ram_resident_bytes(ram), before);
		assert_false(atomic_load(&sleeper.awake));
	}
	assert_int_equal(block_read_begin(ram, MIDDLE), 0);
	assert_true(rig_serve(ram, MIDDLE, true));
	assert_int_equal(end_sleeper(&sleeper), SENTINEL);
	rig_close(ram);
}

struct device {
	struct ram *ram;
	int result;
	pthread_t thread;
};

static void *read_as_device(void *arg)
{
	struct device *device = arg;
	uint64_t word;

	device->result = ram_read(device->ram, block_gpa(MIDDLE), &word, sizeof(word));
	return NULL;
}

/* It comes back later; it does not hang for as long as the disk is broken. */
static void a_device_whose_block_cannot_be_read_is_told_so(void **state)
{
	struct ram *ram = rig_open(NULL);
	struct device device = { .ram = ram };

	(void)state;
	rig_read_by_hand(true);
	rig_fill(ram, MIDDLE, SEED);
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	assert_int_equal(pthread_create(&device.thread, NULL, read_as_device, &device), 0);
	rig_await(ram, MIDDLE, FRAME_READING, FRAME_WANTED);
	assert_int_equal(block_read_allocate(ram, MIDDLE), 0);
	block_read_fail(ram, MIDDLE);
	engine_arrived(ram);
	assert_int_equal(pthread_join(device.thread, NULL), 0);
	assert_int_equal(device.result, -ENOSPC);
	assert_int_equal(rig_state(ram, MIDDLE), FRAME_SWAPPED);
	assert_int_equal(block_read_begin(ram, MIDDLE), 0);
	(void)rig_serve(ram, MIDDLE, true);
	rig_assert_filled(ram, MIDDLE, SEED);
	rig_close(ram);
}

static void holds_keep_a_block_in_ram_until_the_last_is_released(void **state)
{
	struct ram *ram = rig_open(NULL);
	uint64_t first = MIDDLE * BLOCK_BYTES + BLOCK_BYTES - 1;
	void *pointer = NULL;

	(void)state;
	rig_fill(ram, MIDDLE, SEED);
	rig_fill(ram, MIDDLE + 1, SEED);
	assert_int_equal(ram_hold(ram, GPA(first), 2, &pointer), 0); /* of two blocks */
	assert_ptr_equal(pointer, (uint8_t *)ram_guest_view(ram, 0) + first);
	(void)block_hold(ram, MIDDLE);
	for (uint64_t block = MIDDLE; block <= MIDDLE + 1; block++) {
		assert_int_equal(block_write_begin(ram, block), -EBUSY);
		assert_int_equal(block_unmap(ram, block), -EBUSY);
		assert_int_equal(block_discard(ram, block, 1), -EBUSY);
	}
	ram_release(ram, GPA(first), 2);
	assert_int_equal(block_write_begin(ram, MIDDLE), -EBUSY);
	assert_int_equal(evict_now(ram, MIDDLE + 1), 0);
	ram_release(ram, block_gpa(MIDDLE), block_bytes(ram, MIDDLE));
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	rig_assert_filled(ram, MIDDLE, SEED);
	rig_assert_filled(ram, MIDDLE + 1, SEED);
	rig_close(ram);
}

static void a_hold_aborts_an_eviction_and_brings_back_what_was_swapped(void **state)
{
	struct ram *ram = rig_open(NULL);

	(void)state;
	rig_fill(ram, MIDDLE, SEED);
	assert_int_equal(block_write_begin(ram, MIDDLE), 0);
	rig_store(ram, MIDDLE);
	(void)block_hold(ram, MIDDLE);
	assert_false(block_write_end(ram, MIDDLE, WRITE_STORED));
	assert_int_equal(block_write_begin(ram, MIDDLE), -EBUSY);
	ram_release(ram, block_gpa(MIDDLE), block_bytes(ram, MIDDLE));
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	assert_int_equal(*(uint64_t *)block_hold(ram, MIDDLE), *rig_word(ram, MIDDLE, 0));
	assert_int_equal(block_write_begin(ram, MIDDLE), -EBUSY);
	ram_release(ram, block_gpa(MIDDLE), block_bytes(ram, MIDDLE));
	rig_assert_filled(ram, MIDDLE, SEED);
	rig_close(ram);
}

static void a_hold_that_cannot_have_its_block_holds_nothing(void **state)
{
	struct ram *ram = rig_open(NULL);
	void *untouched = &ram;

	(void)state;
	rig_read_by_hand(true);
	rig_fill(ram, MIDDLE, SEED);
	rig_fill(ram, MIDDLE + 1, SEED);
	assert_int_equal(evict_now(ram, MIDDLE + 1), 0);
	assert_int_equal(ram_hold(ram, block_gpa(MIDDLE), 2 * BLOCK_BYTES, &untouched), -ENOSPC);
	assert_ptr_equal(untouched, &ram);
	assert_int_equal(frame_holds_of(frames_peek(&ram->frames, MIDDLE)), 0);
	assert_int_equal(frame_holds_of(frames_peek(&ram->frames, MIDDLE + 1)), 0);
	assert_int_equal(ram_hold(ram, GPA(ram_layout(ram)->ram_bytes - 1), 2, &untouched),
			 -EFAULT);
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	if (rig_state(ram, MIDDLE + 1) == FRAME_READING)
		(void)rig_serve(ram, MIDDLE + 1, true);
	rig_read_by_hand(false);
	rig_assert_filled(ram, MIDDLE, SEED);
	rig_assert_filled(ram, MIDDLE + 1, SEED);
	rig_close(ram);
}

static void a_busy_block_is_left_out_of_a_discard_and_its_neighbours_go(void **state)
{
	struct ram *ram = rig_open(NULL);

	(void)state;
	for (uint64_t block = 0; block < RIG_BLOCKS; block++)
		rig_fill(ram, block, SEED);
	assert_int_equal(evict_now(ram, MIDDLE + 1), 0);
	(void)block_hold(ram, MIDDLE);
	assert_int_equal(block_discard(ram, 0, RIG_BLOCKS), -EBUSY);
	assert_int_equal(rig_drops(MIDDLE + 1), 1);
	for (uint64_t block = 0; block < RIG_BLOCKS; block++)
		assert_int_equal(rig_state(ram, block),
				 block == MIDDLE ? FRAME_RESIDENT : FRAME_ABSENT);
	rig_assert_filled(ram, MIDDLE, SEED);
	ram_release(ram, block_gpa(MIDDLE), block_bytes(ram, MIDDLE));
	assert_int_equal(ram_resident_bytes(ram), BLOCK_BYTES);
	assert_int_equal(block_discard(ram, 0, RIG_BLOCKS), 0);
	assert_int_equal(ram_resident_bytes(ram), 0);
	for (uint64_t block = 0; block < RIG_BLOCKS; block++)
		rig_assert_zeros(ram, block);
	rig_close(ram);
}

/* BL03-04: the first half of block MIDDLE, and every page of the last, matter to nobody. */
static bool half_is_dead(void *ctx, uint64_t first, uint64_t *ret_dead)
{
	(void)ctx;
	if (first == MIDDLE * BLOCK_PAGES)
		memset(ret_dead, 0xff, BLOCK_PAGE_WORDS * sizeof(uint64_t) / 2);
	if (first == RIG_LAST * BLOCK_PAGES)
		memset(ret_dead, 0xff, BLOCK_PAGE_WORDS * sizeof(uint64_t));
	return true;
}

static unsigned live_count(struct ram *ram, uint64_t block)
{
	uint64_t live[BLOCK_PAGE_WORDS];
	unsigned count = 0;

	memset(live, 0xff, sizeof(live));
	rig_quiet(ram, block);
	assert_int_equal(block_write_begin(ram, block), 0);
	block_live_pages(ram, block, live);
	assert_false(block_write_end(ram, block, WRITE_FAILED));
	for (unsigned i = 0; i < BLOCK_PAGE_WORDS; i++)
		count += (unsigned)__builtin_popcountll(live[i]);
	return count;
}

static void dead_pages_and_pages_that_are_not_there_are_not_live(void **state)
{
	struct ram *ram = rig_open(half_is_dead);
	unsigned there = rig_is_huge() ? BLOCK_PAGES : 1;

	(void)state;
	*rig_word(ram, 1, 0) = SENTINEL; /* one page of it on 4 KiB memory, or a short run */
	assert_in_range(live_count(ram, 1), there, BLOCK_PAGES);
	rig_fill(ram, 1, SEED);
	assert_int_equal(live_count(ram, 1), BLOCK_PAGES);
	rig_fill(ram, MIDDLE, SEED);
	assert_int_equal(live_count(ram, MIDDLE), BLOCK_PAGES / 2);
	rig_fill(ram, RIG_LAST, SEED);
	assert_int_equal(live_count(ram, RIG_LAST), 0);
	rig_close(ram);
}

static void dead_pages_come_back_as_zeros_and_live_ones_as_they_were(void **state)
{
	struct ram *ram = rig_open(half_is_dead);
	uint64_t middle = BLOCK_BYTES / sizeof(uint64_t) / 2;

	(void)state;
	rig_fill(ram, MIDDLE, SEED);
	*rig_word(ram, MIDDLE, middle) = SENTINEL;
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	assert_int_equal(*rig_word(ram, MIDDLE, middle), SENTINEL);
	assert_int_equal(*rig_word(ram, MIDDLE, middle - 1), 0);
	assert_int_equal(*rig_word(ram, MIDDLE, 0), 0);
	rig_close(ram);
}

static void pages_discarded_within_a_block_are_zeros_and_the_rest_is_untouched(void **state)
{
	struct ram *ram;
	uint64_t words = GUEST_PAGE_BYTES / sizeof(uint64_t);

	(void)state;
	if (rig_is_huge())
		test_skip_case("a frame is a block");
	ram = rig_open(NULL);
	rig_fill(ram, MIDDLE, SEED);
	*rig_word(ram, MIDDLE, 3 * words) = *rig_word(ram, MIDDLE, 6 * words) = SENTINEL;
	assert_int_equal(ram_discard(ram, MIDDLE * BLOCK_PAGES + 4, 2), 0);
	assert_int_equal(evict_now(ram, MIDDLE), 0);
	assert_int_equal(*rig_word(ram, MIDDLE, 3 * words), SENTINEL);
	assert_int_equal(*rig_word(ram, MIDDLE, 4 * words), 0);
	assert_int_equal(*rig_word(ram, MIDDLE, 6 * words - 1), 0);
	assert_int_equal(*rig_word(ram, MIDDLE, 6 * words), SENTINEL);
	rig_close(ram);
}

/* 4 KiB memory: pages of @block that are there. */
static uint64_t there(const struct ram *ram, uint64_t block)
{
	return known_count(&ram->known, block * BLOCK_PAGES, (block + 1) * BLOCK_PAGES);
}

/* Touch pages of @block that are @step apart, until they are all touched or all pages are there. How
 * many touches found nothing. */
static unsigned touch_scattered(struct ram *ram, uint64_t block, uint64_t step)
{
	uint64_t words = GUEST_PAGE_BYTES / sizeof(uint64_t);
	unsigned touches = 0;

	for (uint64_t i = 0; i < BLOCK_PAGES && there(ram, block) < BLOCK_PAGES; i++) {
		uint64_t page = i * step % BLOCK_PAGES, before = there(ram, block);

		*rig_word(ram, block, page * words) = SENTINEL + page;
		rig_quiet(ram, block);
		touches += there(ram, block) > before;
	}
	return touches;
}

static void a_block_touched_here_and_there_is_filled_around_what_it_holds(void **state)
{
	uint64_t words = GUEST_PAGE_BYTES / sizeof(uint64_t);
	struct ram *ram;

	(void)state;
	if (rig_is_huge())
		test_skip_case("a frame is a block");
	ram = rig_open(NULL);
	assert_in_range(touch_scattered(ram, MIDDLE, 37), 2, BLOCK_PAGES / 8);
	assert_int_equal(there(ram, MIDDLE), BLOCK_PAGES);
	assert_int_equal(*rig_word(ram, MIDDLE, 0), SENTINEL);
	assert_int_equal(*rig_word(ram, MIDDLE, 36 * words), 0);
	rig_close(ram);
}

/* What the balloon took out of a block stays out of it while the guest touches the rest. */
static void a_block_of_which_something_was_given_back_is_not_filled(void **state)
{
	struct ram *ram;

	(void)state;
	if (rig_is_huge())
		test_skip_case("a frame is a block");
	ram = rig_open(NULL);
	rig_fill(ram, MIDDLE, SEED);
	assert_int_equal(ram_discard(ram, MIDDLE * BLOCK_PAGES + 128, 384), 0);
	assert_int_equal(there(ram, MIDDLE), 128);
	*rig_word(ram, MIDDLE, BLOCK_BYTES / sizeof(uint64_t) / 2) = SENTINEL;
	rig_quiet(ram, MIDDLE);
	assert_in_range(there(ram, MIDDLE), 129, 128 + 16);
	assert_int_equal(ram_discard(ram, 0, ram_frame_count(ram)), 0); /* a reset */
	assert_in_range(touch_scattered(ram, MIDDLE, 37), 2, BLOCK_PAGES / 8);
	rig_close(ram);
}

/* HP01: all frames of the pool but one are the neighbour's. */
static struct ram *open_neighbour(void)
{
	struct ram_config config = { .ram_bytes = (RIG_POOL_FRAMES - 1) * BLOCK_BYTES,
				     .frame_bytes = HUGE_FRAME_BYTES,
				     .hugetlbfs_dir = rig_pool_dir(),
				     .reserve = true };
	struct ram *ram = NULL;
	struct err err = { 0 };

	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	return ram;
}

static void an_empty_pool_changes_no_state_and_loses_nothing(void **state)
{
	struct ram *ram, *neighbour;

	(void)state;
	if (!rig_is_huge())
		test_skip_case("there is no pool to run dry");
	ram = rig_open(NULL);
	rig_read_by_hand(true);
	*rig_word(ram, 0, 3) = SENTINEL;
	assert_int_equal(evict_now(ram, 0), 0);
	*rig_word(ram, 1, 0) = SENTINEL;
	neighbour = open_neighbour();
	assert_int_equal(block_prepare(ram, MIDDLE), -ENOSPC);
	assert_int_equal(block_touch(ram, MIDDLE * BLOCK_BYTES, NULL, NULL), TOUCH_NO_MEMORY);
	assert_int_equal(rig_state(ram, MIDDLE), FRAME_ABSENT);
	assert_int_equal(block_touch(ram, 0, NULL, NULL), TOUCH_SWAPPED);
	assert_int_equal(block_read_allocate(ram, 0), -ENOSPC);
	assert_int_equal(rig_state(ram, 0), FRAME_READING);
	assert_int_equal(block_discard(ram, 1, 1), 0); /* one frame comes back */
	assert_true(rig_serve(ram, 0, true));
	assert_int_equal(*rig_word(ram, 0, 3), SENTINEL);
	ram_close(neighbour);
	rig_close(ram);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_in_every_situation),
		cmocka_unit_test(unmapped_blocks_fault_and_mapped_ones_do_not),
		cmocka_unit_test(a_swapped_block_holds_nothing_of_the_host),
		cmocka_unit_test(prepared_blocks_are_counted_and_a_touch_says_it_found_one),
		cmocka_unit_test(writes_of_the_guest_abort_an_eviction_and_are_kept),
		cmocka_unit_test(writes_of_a_device_abort_an_eviction_as_well),
		cmocka_unit_test(a_device_reads_and_writes_what_is_in_swap),
		cmocka_unit_test(who_touches_a_swapped_block_sleeps_until_it_is_whole),
		cmocka_unit_test(a_block_read_ahead_is_not_mapped_until_somebody_wants_it),
		cmocka_unit_test(who_sleeps_when_reading_fails_sleeps_on_and_then_sees_its_bytes),
		cmocka_unit_test(a_device_whose_block_cannot_be_read_is_told_so),
		cmocka_unit_test(holds_keep_a_block_in_ram_until_the_last_is_released),
		cmocka_unit_test(a_hold_aborts_an_eviction_and_brings_back_what_was_swapped),
		cmocka_unit_test(a_hold_that_cannot_have_its_block_holds_nothing),
		cmocka_unit_test(a_busy_block_is_left_out_of_a_discard_and_its_neighbours_go),
		cmocka_unit_test(dead_pages_and_pages_that_are_not_there_are_not_live),
		cmocka_unit_test(dead_pages_come_back_as_zeros_and_live_ones_as_they_were),
		cmocka_unit_test(
			pages_discarded_within_a_block_are_zeros_and_the_rest_is_untouched),
		cmocka_unit_test(a_block_touched_here_and_there_is_filled_around_what_it_holds),
		cmocka_unit_test(a_block_of_which_something_was_given_back_is_not_filled),
		cmocka_unit_test(an_empty_pool_changes_no_state_and_loses_nothing),
	};

	rig_choose_frames(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
