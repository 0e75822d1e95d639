/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swapper_in.c - reading blocks back; see swapper.c.
 *
 * A read goes: a zeroed frame, allocated while the disk begins to read (unless none was to be had a
 * moment ago); the store's bytes into it through the host view; what the store holds is dropped (from
 * here on the frame is the only copy, and nobody can take it: the block is READING); mapped, and the
 * sleepers woken.
 *
 * Two things can be in the way, and neither may end in zeros:
 *     no frame     The read waits in `pending`, READING, and evictions become urgent. It is tried
 *                  again when one ended, and every STARVED_RETRY_NS.
 *     no data      (the disk refuses, the file is cut off, the bytes are not those that were
 *                  written.) The frame goes back, the block is SWAPPED again, unreadable() is told
 *                  once, and it is tried again every LOST_RETRY_NS until it can be read or nobody
 *                  needs it any more. Whoever touches it sleeps.
 */
#include <errno.h>

#include "memory/swapper_internal.h"

#define STARVED_RETRY_NS (2 * NS_PER_MS)
#define LOST_RETRY_NS	 (1 * NS_PER_S)

static void add(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static struct pending_read *find_pending(struct swapper *swapper, uint64_t block)
{
	for (unsigned i = 0; i < swapper->pending_count; i++)
		if (swapper->pending[i].block == block)
			return &swapper->pending[i];
	return NULL;
}

static void remove_pending(struct swapper *swapper, struct pending_read *read)
{
	if (read->begun)
		atomic_fetch_sub(&swapper->starving, 1);
	*read = swapper->pending[--swapper->pending_count];
}

static void add_pending(struct swapper *swapper, const struct pending_read *read)
{
	swapper->pending[swapper->pending_count++] = *read; /* W3 */
	if (read->begun)
		atomic_fetch_add(&swapper->starving, 1);
}

static void tell_unreadable(const struct swapper *swapper, uint64_t block, const char *why,
			    bool lost)
{
	const struct ram_events *events = &swapper->events;

	if (events->unreadable)
		events->unreadable(events->ctx,
				   ram_layout_gpa(&swapper->ram->layout, block << BLOCK_SHIFT), why,
				   lost);
}

uint64_t swapper_next_pending_ns_locked(const struct swapper *swapper)
{
	uint64_t next_ns = UINT64_MAX;

	for (unsigned i = 0; i < swapper->pending_count; i++)
		if (swapper->pending[i].due_ns < next_ns)
			next_ns = swapper->pending[i].due_ns;
	return next_ns;
}

void swapper_frame_came_free_locked(struct swapper *swapper)
{
	for (unsigned i = 0; i < swapper->pending_count; i++)
		if (swapper->pending[i].begun)
			swapper->pending[i].due_ns = 0;
}

bool swapper_may_read_locked(const struct swapper *swapper)
{
	return swapper->pending_count + SWAPPER_WORKERS <= SWAPPER_PENDING_ROOM;
}

/* No read begins, and those that have not got a frame are called off. */
void swapper_cancel_reads_locked(struct swapper *swapper)
{
	uint64_t block;

	while (read_queue_take(&swapper->queue, &block))
		if (!(block & SWAPPER_MARKER_FLAG))
			block_read_fail(swapper->ram, block);
	for (unsigned i = swapper->pending_count; i-- > 0;) {
		if (!swapper->pending[i].begun)
			continue;
		block_read_fail(swapper->ram, swapper->pending[i].block);
		remove_pending(swapper, &swapper->pending[i]);
	}
	swapper->ahead_count = 0;
}

/* The frames that may be filled without anybody waiting for one. */
static unsigned ahead_room(const struct swapper *swapper)
{
	struct pressure_now now = swapper_pressure_now(swapper);
	uint64_t room = pressure_room_blocks(&swapper->pressure, &now);
	unsigned free_places = SWAPPER_AHEAD_ROOM - swapper->ahead_count;

	return room < free_places ? (unsigned)room : free_places;
}

static void queue_ahead(struct swapper *swapper, const struct readahead_plan *plan)
{
	for (unsigned i = 0; i < plan->read_count; i++) {
		unsigned place = (swapper->ahead_first + swapper->ahead_count) % SWAPPER_AHEAD_ROOM;

		swapper->ahead_blocks[place] = plan->read[i];
		swapper->ahead_count++;
	}
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++)
		atomic_store(&swapper->markers[i], swapper->readahead.streams[i].marker);
	if (plan->read_count)
		wake_one(&swapper->wake);
}

static struct readahead_view ahead_view(struct swapper *swapper)
{
	return (struct readahead_view){ .is_swapped = swapper_is_swapped,
					.is_untouched = swapper_is_untouched,
					.ctx = swapper,
					.block_count = swapper->block_count };
}

static void look_at_passed(struct swapper *swapper, const struct readahead_plan *plan)
{
	const struct victims_view view = { .watch = swapper_watch,
					   .is_untouched = swapper_is_untouched,
					   .ctx = swapper };

	for (unsigned i = 0; i < plan->passed_count; i++)
		victims_passed(&swapper->victims, &view, plan->passed[i]);
}

static void marker_touched(struct swapper *swapper, uint64_t block)
{
	struct readahead_view view = ahead_view(swapper);
	struct readahead_plan plan;

	readahead_touched(&swapper->readahead, &view, block, ahead_room(swapper), &plan);
	queue_ahead(swapper, &plan);
	look_at_passed(swapper, &plan);
}

/* From the queue: @block is READING. False: it is not to be read now. */
static bool take_refault(struct swapper *swapper, uint64_t block, struct swap_job *ret_job)
{
	struct readahead_view view = ahead_view(swapper);
	const struct pending_read *before = find_pending(swapper, block);

	if (before && before->due_ns > clock_now_ns()) { /* unreadable a moment ago */
		block_read_fail(swapper->ram, block);
		return false;
	}
	*ret_job =
		(struct swap_job){ .kind = JOB_READ, .block = block, .wanted = true, .map = true };
	readahead_refault(&swapper->readahead, &view, block, ahead_room(swapper), &ret_job->plan);
	queue_ahead(swapper, &ret_job->plan);
	swapper_note_refault_locked(swapper, clock_now_ns());
	return true;
}

static bool take_queued(struct swapper *swapper, struct swap_job *ret_job)
{
	uint64_t block;

	while (swapper_may_read_locked(swapper) && read_queue_take(&swapper->queue, &block)) {
		if (block & SWAPPER_MARKER_FLAG)
			marker_touched(swapper, block & ~SWAPPER_MARKER_FLAG);
		else if (take_refault(swapper, block, ret_job))
			return true;
	}
	return false;
}

/* Read in the meantime, or nobody needs it any more. */
static void not_lost_any_more(struct swapper *swapper, struct pending_read *read)
{
	uint64_t block = read->block;
	bool told = read->unreadable;

	remove_pending(swapper, read);
	if (told)
		tell_unreadable(swapper, block, "", false);
}

static bool take_due(struct swapper *swapper, struct pending_read *read, struct swap_job *ret_job)
{
	*ret_job = (struct swap_job){ .kind = JOB_READ, .block = read->block, .map = true };
	if (read->begun) {
		ret_job->wanted = ret_job->starved = true;
		remove_pending(swapper, read);
		return true;
	}
	read->due_ns = clock_now_ns() + LOST_RETRY_NS;
	if (block_read_begin(swapper->ram, read->block) == 0)
		return true;
	switch (frame_state_of(frames_peek(&swapper->ram->frames, read->block))) {
	case FRAME_SWAPPED:
	case FRAME_READING: break;
	default: not_lost_any_more(swapper, read);
	}
	ret_job->kind = JOB_NONE;
	return false;
}

static bool take_pending(struct swapper *swapper, struct swap_job *ret_job)
{
	uint64_t now_ns = clock_now_ns();

	for (unsigned i = 0; i < swapper->pending_count; i++)
		if (swapper->pending[i].due_ns <= now_ns &&
		    take_due(swapper, &swapper->pending[i], ret_job))
			return true;
	return false;
}

bool swapper_pick_read_locked(struct swapper *swapper, struct swap_job *ret_job)
{
	return take_queued(swapper, ret_job) || take_pending(swapper, ret_job);
}

bool swapper_pick_ahead_locked(struct swapper *swapper, struct swap_job *ret_job)
{
	while (swapper->ahead_count && swapper_may_read_locked(swapper)) {
		uint64_t block = swapper->ahead_blocks[swapper->ahead_first];

		swapper->ahead_first = (swapper->ahead_first + 1) % SWAPPER_AHEAD_ROOM;
		swapper->ahead_count--;
		if (block_read_begin(swapper->ram, block))
			continue;
		*ret_job = (struct swap_job){ .kind = JOB_READ, .block = block };
		return true;
	}
	return false;
}

static bool is_shortage(int result)
{
	return result == -ENOSPC || result == -ENOMEM;
}

/* Without the lock. Into the frame, and out of the store. */
static int read_data(struct swapper *swapper, struct swap_thread *thread, uint64_t block)
{
	struct ram *ram = swapper->ram;
	int result = swap_store_read(thread->store_worker, block, block_data(ram, block),
				     block_bytes(ram, block));

	if (result == 0)
		swap_store_drop(swapper->store, block); /* W2 */
	return result;
}

static void no_frame(struct swapper *swapper, const struct swap_job *job)
{
	struct pressure_now now;

	if (!job->wanted) { /* then it was not worth a wait; whoever came to want it asks again */
		block_read_fail(swapper->ram, job->block);
		engine_arrived(swapper->ram);
		return;
	}
	(void)pthread_mutex_lock(&swapper->lock);
	now = swapper_pressure_now(swapper);
	add_pending(swapper, &(struct pending_read){ .block = job->block,
						     .due_ns = now.now_ns + STARVED_RETRY_NS,
						     .begun = true });
	pressure_short(&swapper->pressure, &now);
	(void)pthread_mutex_unlock(&swapper->lock);
	engine_arrived(swapper->ram); /* the pager tells that we starve */
	wake_all(&swapper->wake);
}

static const char *why_unreadable(int result)
{
	switch (result) {
	case -EBADMSG: return "swap: what was read back is not what was written";
	case -EIO: return "swap: the disk refused, or the file was cut off";
	default: return "swap: reading back failed";
	}
}

static void no_data(struct swapper *swapper, uint64_t block, int result)
{
	block_read_fail(swapper->ram, block);
	(void)pthread_mutex_lock(&swapper->lock);
	if (!find_pending(swapper, block)) {
		add_pending(swapper,
			    &(struct pending_read){ .block = block,
						    .due_ns = clock_now_ns() + LOST_RETRY_NS,
						    .unreadable = true });
		/* With the lock, so that the good news cannot overtake it. */
		tell_unreadable(swapper, block, why_unreadable(result), true);
	}
	(void)pthread_mutex_unlock(&swapper->lock);
}

static void have_data(struct swapper *swapper, const struct swap_job *job, uint64_t start_ns)
{
	struct ram *ram = swapper->ram;
	struct pending_read *read;
	uint64_t len_bytes = block_bytes(ram, job->block);

	(void)block_read_end(ram, job->block, job->map);
	engine_arrived(ram);
	add(&swapper->counters.in_bytes, len_bytes);
	if (job->background)
		add(&swapper->counters.back_bytes, len_bytes);
	else if (!job->map)
		add(&swapper->counters.ahead_bytes, len_bytes);
	(void)pthread_mutex_lock(&swapper->lock);
	swapper_store_has_room_locked(swapper);
	swapper_note_back_locked(swapper, job->block);
	read = find_pending(swapper, job->block);
	if (read)
		not_lost_any_more(swapper, read);
	if (job->background)
		swapper_back_done_locked(swapper, clock_now_ns() - start_ns);
	look_at_passed(swapper, &job->plan);
	(void)pthread_mutex_unlock(&swapper->lock);
}

void swapper_do_read(struct swapper *swapper, struct swap_thread *thread,
		     const struct swap_job *job)
{
	uint64_t start_ns = clock_now_ns();
	int result;

	if (!job->starved && atomic_load(&swapper->starving) == 0)
		swap_store_fetch(thread->store_worker, job->block);
	result = block_read_allocate(swapper->ram, job->block);
	if (is_shortage(result)) {
		no_frame(swapper, job);
	} else {
		if (result == 0)
			result = read_data(swapper, thread, job->block);
		if (result)
			no_data(swapper, job->block, result);
		else
			have_data(swapper, job, start_ns);
	}
	if (job->background && result) {
		(void)pthread_mutex_lock(&swapper->lock);
		swapper_back_done_locked(swapper, NS_PER_S);
		(void)pthread_mutex_unlock(&swapper->lock);
	}
}
