/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hold.c - see hold.h.
 *
 * A count is added under the block's lock and only while the block is RESIDENT with all its pages:
 * that aborts a write to swap (WRITING became RESIDENT first, and its writer will see it), and whoever
 * unmaps, stores or punches asks for the count under the same lock. So nothing moves a held block.
 */
#include "memory/hold.h"

#include <errno.h>

#include "base/clock.h"
#include "memory/frames.h"
#include "memory/ram_internal.h"

/* How often a block may be taken away between bringing it and counting it. */
enum { HOLD_TRIES = 100 };

/* Locked, or held. */
static bool is_whole(const struct ram *ram, uint64_t word, uint64_t start, uint64_t end)
{
	uint64_t first = start >> ram->frame_shift;
	uint64_t stop = (end + ram->layout.frame_bytes - 1) >> ram->frame_shift;

	return frame_state_of(word) == FRAME_RESIDENT &&
	       (!ram->known.words || known_find_clear(&ram->known, first, stop) == stop);
}

/* What nearly always happens: it is there, and nobody has its lock. */
static bool hold_at_once(struct ram *ram, uint64_t start, uint64_t end)
{
	uint64_t block = start >> BLOCK_SHIFT;

	if (!frames_hold(&ram->frames, block))
		return false;
	if (is_whole(ram, FRAME_RESIDENT, start, end))
		return true;
	frames_release(&ram->frames, block);
	return false;
}

/* [start, end) of the file lies in one block. */
static int hold_part(struct ram *ram, uint64_t start, uint64_t end)
{
	uint64_t block = start >> BLOCK_SHIFT;
	int result = 0;

	if (hold_at_once(ram, start, end))
		return 0;
	for (int i = 0; i < HOLD_TRIES && result == 0; i++) {
		uint64_t word = frames_lock(&ram->frames, block);
		bool whole = is_whole(ram, word, start, end);
		bool counted = whole && frames_hold_locked(&ram->frames, block);

		frames_unlock_same(&ram->frames, block);
		if (whole)
			return counted ? 0 : -EBUSY;
		result = ram_map_offset(ram, start);
		if (result == 0)
			result = ram_back_offset(ram, start, end - start);
	}
	return result ? result : -ENOSPC;
}

static uint64_t part_end(uint64_t start, uint64_t end)
{
	uint64_t block_end = align_down(start, BLOCK_BYTES) + BLOCK_BYTES;

	return block_end < end ? block_end : end;
}

static void release_parts(struct ram *ram, uint64_t start, uint64_t end)
{
	for (; start < end; start = part_end(start, end))
		frames_release(&ram->frames, start >> BLOCK_SHIFT);
}

int ram_hold(struct ram *ram, gpa_t gpa, uint64_t len_bytes, void **ret_pointer)
{
	uint64_t give_up_ns = clock_now_ns() + HOLD_WAIT_MS * NS_PER_MS;
	uint64_t offset, at;
	int result = 0;

	if (!ram_layout_offset(&ram->layout, gpa, len_bytes, &offset))
		return -EFAULT;
	for (at = offset; at < offset + len_bytes; at = part_end(at, offset + len_bytes)) {
		result = at > offset && clock_now_ns() > give_up_ns
				 ? -ENOSPC
				 : hold_part(ram, at, part_end(at, offset + len_bytes));
		if (result)
			break;
	}
	if (result) {
		release_parts(ram, offset, at);
		return result;
	}
	*ret_pointer = ram->guest.base + gpa.addr;
	return 0;
}

void ram_release(struct ram *ram, gpa_t gpa, uint64_t len_bytes)
{
	uint64_t offset;

	if (ram_layout_offset(&ram->layout, gpa, len_bytes, &offset))
		release_parts(ram, offset, offset + len_bytes);
}
