/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swapper_out.c - taking blocks out of RAM; see swapper.c.
 *
 * How many: pressure.c. Which, in this order:
 *     prepared ahead and not used yet: given back, nothing to write
 *     partly ballooned: the most dead pages first, since only the live ones are written
 *     those that the sampler has seen untouched the longest (engine_coldest())
 *     those that victims.c finds by watching
 * What cannot be stored stays in RAM (D1 to D4 of swap_store.h's promise are the store's): a full
 * store is tried again after FULL_PAUSE_NS or when something was read back; one that closed itself
 * after too many errors is not asked again, and then neither limit nor famine moves anything.
 */
#include <errno.h>

#include "memory/swapper_internal.h"

#define FULL_PAUSE_NS	 (100 * NS_PER_MS)
#define NO_VICTIM_NS	 (2 * NS_PER_MS)
#define COLDEST_PAUSE_NS (200 * NS_PER_MS)

static void add(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

/* W2: is some worker not yet done with it? */
bool swapper_is_busy_locked(const struct swapper *swapper, uint64_t block)
{
	for (unsigned i = 0; i < SWAPPER_WORKERS; i++)
		if (swapper->threads[i].busy_block == block)
			return true;
	return false;
}

bool swapper_watch(void *ctx, uint64_t block)
{
	struct swapper *swapper = ctx;
	enum frame_state state = frame_state_of(frames_peek(&swapper->ram->frames, block));

	if (state == FRAME_RESIDENT)
		return !swapper_is_busy_locked(swapper, block) &&
		       block_unmap(swapper->ram, block) == 0;
	return swapper_is_untouched(swapper, block);
}

bool swapper_can_evict(const struct swapper *swapper, uint64_t now_ns)
{
	return now_ns >= atomic_load(&swapper->no_evict_until_ns);
}

void swapper_store_has_room_locked(struct swapper *swapper)
{
	if (atomic_load(&swapper->no_evict_until_ns) != UINT64_MAX)
		atomic_store(&swapper->no_evict_until_ns, 0);
}

/* Prepared ahead of need, and not used. */
static bool pick_fresh(struct swapper *swapper, uint64_t *ret_block)
{
	const struct frames *frames = &swapper->ram->frames;

	if (atomic_load(&frames->fresh_blocks) == 0)
		return false;
	for (uint64_t i = 0; i < swapper->block_count; i++) {
		uint64_t block = swapper->fresh_cursor;

		swapper->fresh_cursor = block + 1 == swapper->block_count ? 0 : block + 1;
		if (frames_peek(frames, block) & FRAME_FRESH) {
			*ret_block = block;
			return true;
		}
	}
	return false;
}

static void ask_keeper(struct swapper *swapper, uint64_t now_ns)
{
	if (now_ns - swapper->coldest_ns < COLDEST_PAUSE_NS)
		return;
	swapper->coldest_ns = now_ns;
	swapper->coldest_count =
		engine_coldest(swapper->ram, swapper->coldest, SWAPPER_COLDEST_ROOM);
	for (unsigned i = 0; i < swapper->coldest_count / 2; i++) { /* the coldest is taken first */
		uint64_t other = swapper->coldest[swapper->coldest_count - 1 - i];

		swapper->coldest[swapper->coldest_count - 1 - i] = swapper->coldest[i];
		swapper->coldest[i] = other;
	}
}

static bool pick_coldest(struct swapper *swapper, uint64_t now_ns, uint64_t *ret_block)
{
	if (!swapper->coldest_count)
		ask_keeper(swapper, now_ns);
	while (swapper->coldest_count) {
		*ret_block = swapper->coldest[--swapper->coldest_count];
		if (swapper_is_untouched(swapper, *ret_block) &&
		    !swapper_is_busy_locked(swapper, *ret_block))
			return true;
	}
	return false;
}

static bool pick_watched(struct swapper *swapper, uint64_t *ret_block)
{
	const struct victims_view view = { .watch = swapper_watch,
					   .is_untouched = swapper_is_untouched,
					   .ctx = swapper };

	for (unsigned i = 0; i < SWAPPER_WORKERS + 1; i++) {
		if (!victims_next(&swapper->victims, &view, swapper_in_ram_blocks(swapper),
				  ret_block))
			return false;
		if (!swapper_is_busy_locked(swapper, *ret_block))
			return true;
	}
	return false;
}

static bool pick_victim(struct swapper *swapper, uint64_t now_ns, struct swap_job *job)
{
	if (pick_fresh(swapper, &job->block)) {
		job->kind = JOB_DROP_FRESH;
		return true;
	}
	if (!swapper_can_evict(swapper, now_ns))
		return false;
	job->kind = JOB_EVICT;
	return swapper_pick_dead_locked(swapper, now_ns, &job->block) ||
	       pick_coldest(swapper, now_ns, &job->block) || pick_watched(swapper, &job->block);
}

/* For everything but urgent needs one worker stays free to read. */
static bool may_use_worker(const struct swapper *swapper, bool urgent)
{
	return urgent || SWAPPER_WORKERS == 1 || swapper->evicting + 1 < SWAPPER_WORKERS;
}

static bool pick_demanded(struct swapper *swapper, const struct pressure_now *now, bool urgent,
			  struct swap_job *job)
{
	struct pressure_demand demand = pressure_demand(&swapper->pressure, now);

	if (demand.blocks <= swapper->evicting || demand.urgent != urgent ||
	    !may_use_worker(swapper, urgent))
		return false;
	*job = (struct swap_job){ .kind = JOB_NONE, .reason = demand.reason };
	if (pick_victim(swapper, now->now_ns, job))
		return true;
	job->kind = JOB_NONE;
	if (swapper_can_evict(swapper, now->now_ns))
		atomic_store(&swapper->no_evict_until_ns, now->now_ns + NO_VICTIM_NS);
	return false;
}

static bool pick_ballooned(struct swapper *swapper, uint64_t now_ns, struct swap_job *job)
{
	*job = (struct swap_job){ .kind = JOB_EVICT, .reason = SWAP_BALLOON, .background = true };
	if (swapper_can_evict(swapper, now_ns) && may_use_worker(swapper, false) &&
	    swapper_pick_balloon_locked(swapper, now_ns, &job->block))
		return true;
	job->kind = JOB_NONE;
	return false;
}

static bool began(struct swapper *swapper, const struct swap_job *job)
{
	swapper->evicting += job->kind == JOB_EVICT || job->kind == JOB_DROP_FRESH;
	return true;
}

bool swapper_pick_excess_locked(struct swapper *swapper, struct swap_job *job)
{
	struct pressure_now now = swapper_pressure_now(swapper);

	return now.limit_bytes && now.held_bytes > now.limit_bytes &&
	       pick_demanded(swapper, &now, true, job) && began(swapper, job);
}

bool swapper_pick_evict_locked(struct swapper *swapper, struct swap_job *job)
{
	struct pressure_now now = swapper_pressure_now(swapper);

	if (atomic_exchange(&swapper->want_frames, false)) {
		now.waiting = true;
		swapper->wanted_ns = now.now_ns;
		pressure_short(&swapper->pressure, &now);
	}
	return (pick_demanded(swapper, &now, true, job) ||
		swapper_pick_ahead_locked(swapper, job) ||
		pick_demanded(swapper, &now, false, job) ||
		pick_ballooned(swapper, now.now_ns, job)) &&
	       began(swapper, job);
}

static void count_out(struct swapper *swapper, const struct swap_job *job, bool zeros)
{
	uint64_t len_bytes = block_bytes(swapper->ram, job->block);

	add(&swapper->counters.out_bytes, len_bytes);
	add(&swapper->counters.out_reason_bytes[job->reason], len_bytes);
	if (zeros)
		add(&swapper->counters.zero_bytes, len_bytes);
}

/* A frame came free (@gone), or nothing did. */
static void end_evicting(struct swapper *swapper, bool gone, uint64_t pause_ns)
{
	(void)pthread_mutex_lock(&swapper->lock);
	swapper->evicting--;
	if (gone)
		swapper_frame_came_free_locked(swapper);
	if (pause_ns)
		atomic_store(&swapper->no_evict_until_ns,
			     pause_ns == UINT64_MAX ? UINT64_MAX : clock_now_ns() + pause_ns);
	(void)pthread_mutex_unlock(&swapper->lock);
	if (gone) {
		engine_arrived(swapper->ram);
		if (atomic_load(&swapper->starving))
			wake_one(&swapper->wake);
	}
}

static uint64_t pause_after(int result)
{
	switch (result) {
	case -ENOSPC: return FULL_PAUSE_NS;
	case -EROFS: return UINT64_MAX;
	default: return 0;
	}
}

void swapper_do_evict(struct swapper *swapper, struct swap_thread *thread,
		      const struct swap_job *job)
{
	struct ram *ram = swapper->ram;
	uint64_t live[BLOCK_PAGE_WORDS], block = job->block;
	int result;
	bool gone;

	if (block_write_begin(ram, block)) { /* touched, held or discarded since it was picked */
		end_evicting(swapper, false, 0);
		return;
	}
	block_live_pages(ram, block, live);
	result = swap_store_write(thread->store_worker, block, block_data(ram, block),
				  block_bytes(ram, block), live);
	gone = block_write_end(ram, block,
			       result == 0   ? WRITE_STORED
			       : result == 1 ? WRITE_ZERO
					     : WRITE_FAILED);
	if (gone)
		count_out(swapper, job, result == 1);
	else if (result >= 0)
		add(&swapper->counters.aborts, 1);
	if (!gone && result == 0)
		swap_store_drop(swapper->store, block); /* W2: we are busy_block still */
	end_evicting(swapper, gone, pause_after(result));
}

void swapper_do_drop_fresh(struct swapper *swapper, const struct swap_job *job)
{
	end_evicting(swapper, block_drop_fresh(swapper->ram, job->block) == 0, 0);
}
