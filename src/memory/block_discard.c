/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* block_discard.c - giving blocks back: locked in a row, punched with one call.
 *
 * Problem. A punch costs about a microsecond, most of it per call; a balloon gives back thousands
 * of neighbours. Design. Up to RUN_BLOCKS neighbours are locked in ascending order, punched at
 * once, and let go. A block in use (held, being written to swap or read from it) ends the run and
 * is left out: the caller is told and tries again.
 *
 * Without a pager the guest's own first touches are not seen, so ABSENT says nothing there and
 * everything is punched.
 * Source: fallocate(2) "Deallocating file space"; Linux fs/hugetlbfs/inode.c hugetlbfs_punch_hole.
 */
#include <errno.h>

#include "memory/block.h"
#include "memory/ram_internal.h"
#include "memory/uffd.h"

enum { RUN_BLOCKS = 32 };

struct run {
	uint64_t first, count;
	bool in_ram; /* there is something to punch */
};

static bool may_discard(uint64_t word)
{
	enum frame_state state = frame_state_of(word);

	return state != FRAME_WRITING && state != FRAME_READING && !(word & FRAME_WRITER) &&
	       frame_holds_of(word) == 0;
}

/* The first block of [first, end) that may hold something: the others are not even locked, and so
 * the table of a large guest stays untouched where the guest never was. */
static uint64_t skip_absent(const struct ram *ram, uint64_t first, uint64_t end)
{
	while (ram->pager && first < end && frames_peek(&ram->frames, first) == FRAME_ABSENT)
		first++;
	return first;
}

/* Lock blocks from @first on while they may be discarded. Only this takes several locks, and it goes
 * up (B2). */
static struct run lock_run(struct ram *ram, uint64_t first, uint64_t end)
{
	struct run run = { .first = first, .in_ram = !ram->pager };

	while (first + run.count < end && run.count < RUN_BLOCKS) {
		uint64_t block = first + run.count;
		uint64_t word = frames_lock(&ram->frames, block);

		if (!may_discard(word)) {
			frames_unlock_same(&ram->frames, block);
			break;
		}
		run.in_ram = run.in_ram || frame_in_ram(frame_state_of(word));
		run.count++;
	}
	return run;
}

static int punch_run(struct ram *ram, const struct run *run)
{
	uint64_t start = run->first << BLOCK_SHIFT;
	uint64_t len = run->count << BLOCK_SHIFT;
	uint64_t pages;

	if (!run->in_ram)
		return 0;
	if (len > ram->layout.ram_bytes - start)
		len = ram->layout.ram_bytes - start;
	pages = bytes_to_pages(len);
	if (ram->known.words) {
		known_clear(&ram->known, bytes_to_pages(start), pages);
		known_set(&ram->torn, run->first, run->count);
	}
	return ram_punch(ram, start, len);
}

/* Whoever slept until @block was read back (it may be unreadable) would sleep for ever: what it
 * sleeps for will not come. It touches the block again, and gets zeros. */
static void forget_swapped(struct ram *ram, uint64_t block)
{
	engine_forget(ram, block);
	frames_unlock(&ram->frames, block, FRAME_ABSENT, 0, ACTOR_DEVICE);
	uffd_wake(ram, block << BLOCK_SHIFT, block_bytes(ram, block));
}

static void unlock_run(struct ram *ram, const struct run *run, int result)
{
	for (uint64_t block = run->first; block < run->first + run->count; block++) {
		enum frame_state state = frame_state_of(frames_peek(&ram->frames, block));

		if (result)
			frames_unlock_same(&ram->frames, block);
		else if (state == FRAME_SWAPPED)
			forget_swapped(ram, block);
		else
			frames_unlock(&ram->frames, block, FRAME_ABSENT, 0, ACTOR_DEVICE);
	}
}

int block_discard(struct ram *ram, uint64_t first_block, uint64_t block_count)
{
	uint64_t end = first_block + block_count;
	int result = 0;

	while ((first_block = skip_absent(ram, first_block, end)) < end) {
		struct run run = lock_run(ram, first_block, end);
		int now = punch_run(ram, &run);

		unlock_run(ram, &run, now);
		first_block += run.count;
		if (run.count == 0) {
			now = -EBUSY;
			first_block++;
		}
		if (result == 0)
			result = now;
	}
	return result;
}

int block_discard_part(struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t block = offset_bytes >> BLOCK_SHIFT;
	uint64_t word = frames_lock(&ram->frames, block);
	int result = 0;

	if (!may_discard(word)) {
		result = -EBUSY;
	} else if (frame_in_ram(frame_state_of(word)) || !ram->pager) {
		known_clear(&ram->known, bytes_to_pages(offset_bytes), bytes_to_pages(len_bytes));
		known_set(&ram->torn, block, 1);
		result = ram_punch(ram, offset_bytes, len_bytes);
	}
	frames_unlock_same(&ram->frames, block);
	return result;
}
