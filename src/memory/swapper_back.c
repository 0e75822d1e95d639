/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swapper_back.c - when the shortage is over, blocks come back before they are missed.
 *
 * Only when all of this holds, looked at every LOOK_NS: nothing had to leave for CALM_NS; the limit
 * has room beyond its headroom; the host has room for all that is swapped, an eighth more, and a
 * sixteenth of all its memory (so that two VMs do not hand the same memory back and forth). Then one block at a time, each followed by
 * a pause of PAUSE_FACTOR times what it took, so that at most a fifth of one worker and of the disk
 * goes into it; every other job comes first, and a failed allocation ends it at once.
 * Partly ballooned blocks stay out: bringing one back would take from the host what the guest has
 * given.
 */
#include <sys/sysinfo.h>

#include "memory/hostmem.h"
#include "memory/swapper_internal.h"

#define LOOK_NS	   (500 * NS_PER_MS)
#define CALM_NS	   (1 * NS_PER_S)
#define NOTHING_NS (5 * NS_PER_S)

enum { PAUSE_FACTOR = 4, SWAPPED_SHARE = 8, HOST_SHARE = 16, LOOKS_PER_PICK = 1024 };

/* What the host has for us, less a share that others may want. */
static uint64_t host_room_bytes(const struct swapper *swapper)
{
	uint64_t frame_bytes = swapper->ram->layout.frame_bytes;
	struct hostmem_pool pool;
	struct sysinfo info;
	struct err err = { 0 };
	uint64_t total, room;

	if (frame_bytes < BLOCK_BYTES) {
		if (sysinfo(&info) < 0)
			return 0;
		total = (uint64_t)info.totalram * info.mem_unit;
		room = (uint64_t)info.freeram * info.mem_unit;
	} else {
		if (swapper->hugetlbfs_dir
			    ? hostmem_read_mount(swapper->hugetlbfs_dir, frame_bytes, &pool, &err)
			    : hostmem_read_pool(frame_bytes, &pool, &err))
			return 0;
		total = pool.total_frames * frame_bytes;
		room = hostmem_available_frames(&pool) * frame_bytes;
	}
	return room > total / HOST_SHARE ? room - total / HOST_SHARE : 0;
}

static bool is_shortage_over(const struct swapper *swapper)
{
	struct pressure_now now = swapper_pressure_now(swapper);
	const struct frames *frames = &swapper->ram->frames;
	uint64_t swapped_bytes = atomic_load(&frames->in_state[FRAME_SWAPPED]) << BLOCK_SHIFT;

	if (swapped_bytes == 0 || pressure_calm_ns(&swapper->pressure, &now) < CALM_NS)
		return false;
	if (pressure_room_blocks(&swapper->pressure, &now) <=
	    2 * pressure_headroom_blocks(now.limit_bytes / now.block_bytes))
		return false;
	return host_room_bytes(swapper) >= swapped_bytes + swapped_bytes / SWAPPED_SHARE;
}

static bool find_swapped(struct swapper *swapper, uint64_t *ret_block)
{
	struct back_work *back = &swapper->back;
	uint64_t most =
		swapper->block_count < LOOKS_PER_PICK ? swapper->block_count : LOOKS_PER_PICK;

	for (uint64_t looks = 0; looks < most; looks++) {
		uint64_t block = back->cursor;

		back->cursor = block + 1 >= swapper->block_count ? 0 : block + 1;
		if (swapper_is_swapped(swapper, block) &&
		    swapper_dead_pages(swapper, block) < DEAD_LEVEL_PAGES &&
		    block_read_begin(swapper->ram, block) == 0) {
			*ret_block = block;
			return true;
		}
	}
	return false;
}

bool swapper_may_bring_back(const struct swapper *swapper)
{
	return atomic_load(&swapper->ram->frames.in_state[FRAME_SWAPPED]) > 0;
}

bool swapper_pick_back_locked(struct swapper *swapper, struct swap_job *ret_job)
{
	struct back_work *back = &swapper->back;
	uint64_t now_ns = clock_now_ns();

	if (back->running || now_ns < back->next_ns || !swapper_may_read_locked(swapper))
		return false;
	back->next_ns = now_ns + LOOK_NS;
	if (!is_shortage_over(swapper))
		return false;
	*ret_job = (struct swap_job){ .kind = JOB_READ, .map = true, .background = true };
	if (!find_swapped(swapper, &ret_job->block)) {
		ret_job->kind = JOB_NONE;
		if (swapper->block_count <= LOOKS_PER_PICK)
			back->next_ns = now_ns + NOTHING_NS; /* all of it was looked at */
		return false;
	}
	back->running = true;
	return true;
}

void swapper_back_done_locked(struct swapper *swapper, uint64_t took_ns)
{
	swapper->back.running = false;
	swapper->back.next_ns = clock_now_ns() + PAUSE_FACTOR * took_ns;
}
