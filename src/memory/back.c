/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* back.c - making sure that the host has memory behind a range of guest RAM; see ram_back().
 *
 * A device's thread asks before it touches, so that it is told to come back later instead of being
 * put to sleep for as long as a famine lasts. What is in swap it waits for, a little: reading it
 * takes a millisecond or two, and asking again takes longer.
 */
#include <errno.h>
#include <time.h>

#include "memory/block.h"
#include "memory/hold.h"
#include "memory/ram_internal.h"

static struct timespec deadline_from_now(unsigned ms)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += (long)(ms * NS_PER_MS);
	at.tv_sec += at.tv_nsec / (long)NS_PER_S;
	at.tv_nsec %= (long)NS_PER_S;
	return at;
}

/* Wait until @block is not being read any more, or HOLD_WAIT_MS. */
static int await_block(struct ram *ram, uint64_t block)
{
	struct timespec deadline = deadline_from_now(HOLD_WAIT_MS);
	int result = 0;

	(void)pthread_mutex_lock(&ram->arrival_lock);
	while (result == 0 && frame_state_of(frames_peek(&ram->frames, block)) == FRAME_READING)
		result = pthread_cond_timedwait(&ram->arrival, &ram->arrival_lock, &deadline);
	(void)pthread_mutex_unlock(&ram->arrival_lock);
	if (frame_state_of(frames_peek(&ram->frames, block)) == FRAME_SWAPPED)
		result = -EIO; /* it could not be read: not a reason to ask for ever */
	return result ? -ENOSPC : 0;
}

/* The frame at @offset_bytes; @run as for block_touch(). */
static int back_frame(struct ram *ram, uint64_t offset_bytes, const struct page_run *run)
{
	uint64_t block = offset_bytes >> BLOCK_SHIFT;

	for (;;) {
		if (engine_growth(ram, offset_bytes) == GROWTH_HELD)
			return -ENOSPC;
		switch (block_touch(ram, offset_bytes, run, NULL)) {
		case TOUCH_MAPPED: return 0;
		case TOUCH_HELD: return -ENOSPC;
		case TOUCH_NO_MEMORY:
			if (!engine_make_room(ram))
				return -ENOSPC;
			break;
		case TOUCH_SWAPPED:
			if (!engine_read_back(ram, block)) {
				block_read_fail(ram, block);
				return -ENOSPC;
			}
			/* fall through */
		case TOUCH_READING:
			if (await_block(ram, block))
				return -ENOSPC;
			break;
		case TOUCH_FAILED: return -EIO;
		}
	}
}

/* As much of a run as the grant allows, and at least a page: the next one is asked for anew. */
static uint64_t run_pages(struct ram *ram, uint64_t wanted_pages)
{
	uint64_t room_bytes = engine_room_bytes(ram);

	if (room_bytes == GRANT_NONE || bytes_to_pages(room_bytes) >= wanted_pages)
		return wanted_pages;
	return bytes_to_pages(room_bytes) ? bytes_to_pages(room_bytes) : 1;
}

/* A device says how much it wants: no need to guess a run. */
static int back_pages(struct ram *ram, uint64_t first, uint64_t end)
{
	int result = 0;

	while (result == 0 && (first = known_find_clear(&ram->known, first, end)) < end) {
		uint64_t block_end = align_down(first, BLOCK_PAGES) + BLOCK_PAGES;
		struct page_run run = { .first = first,
					.count = (end < block_end ? end : block_end) - first };

		run.count = run_pages(ram, run.count);
		result = back_frame(ram, pages_to_bytes(first), &run);
	}
	return result;
}

static int back_blocks(struct ram *ram, uint64_t first, uint64_t end)
{
	int result = 0;

	for (; result == 0 && first < end; first++)
		if (!frame_in_ram(frame_state_of(frames_peek(&ram->frames, first))))
			result = back_frame(ram, first << BLOCK_SHIFT, NULL);
	return result;
}

int ram_map_offset(struct ram *ram, uint64_t offset_bytes)
{
	return back_frame(ram, offset_bytes, NULL);
}

int ram_back_offset(struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t first = offset_bytes >> ram->frame_shift;
	uint64_t end = (offset_bytes + len_bytes + ram->layout.frame_bytes - 1) >> ram->frame_shift;

	return ram->known.words ? back_pages(ram, first, end) : back_blocks(ram, first, end);
}

int ram_back(struct ram *ram, gpa_t gpa, uint64_t len_bytes)
{
	uint64_t offset_bytes;

	if (!ram_layout_offset(&ram->layout, gpa, len_bytes, &offset_bytes))
		return -EFAULT;
	return ram_back_offset(ram, offset_bytes, len_bytes);
}
