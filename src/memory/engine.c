/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* engine.c - the threads that serve guest RAM, put together; who asks whom.
 *
 *      guest, devices --fault--> pager --swapped--> swapper
 *                                  |  \--no frame--> keeper (gives back), swapper (evicts)
 *                                  \--touched-----> keeper (prepares what comes next)
 *      swapper --a block came or went--> engine_arrived() --> pager, ram_back()
 *
 * Each of them works on blocks only through block.h, so none needs to know what the others do at
 * the moment.
 */
#include <errno.h>

#include "memory/keeper.h"
#include "memory/pager.h"
#include "memory/ram_internal.h"
#include "memory/swapper.h"
#include "memory/trace.h"
#include "memory/watch.h"

bool engine_make_room(struct ram *ram)
{
	if (ram->keeper && keeper_give_back(ram->keeper) > 0)
		return true;
	if (ram->swapper)
		swapper_want_frames(ram->swapper);
	return false;
}

/* On 2 MiB memory the states say it; of 4 KiB memory the file knows. */
static uint64_t held_bytes(const struct ram *ram)
{
	const struct frames *frames = &ram->frames;
	uint64_t blocks = frames->block_count;

	if (ram->known.words)
		return ram_resident_bytes(ram);
	blocks -= atomic_load_explicit(&frames->in_state[FRAME_ABSENT], memory_order_relaxed);
	return (blocks -
		atomic_load_explicit(&frames->in_state[FRAME_SWAPPED], memory_order_relaxed))
	       << BLOCK_SHIFT;
}

uint64_t engine_room_bytes(struct ram *ram)
{
	return grant_is_none(&ram->grant) ? GRANT_NONE
					  : grant_room_bytes(&ram->grant, held_bytes(ram));
}

/* What a touch of @offset_bytes in a block of @state takes of the host; 0: it is there. */
static uint64_t bytes_to_take(const struct ram *ram, enum frame_state state, uint64_t offset_bytes)
{
	uint64_t page = bytes_to_pages(offset_bytes);

	if (state == FRAME_SWAPPED)
		return BLOCK_BYTES;
	if (!ram->known.words)
		return state == FRAME_ABSENT ? BLOCK_BYTES : 0;
	return state == FRAME_READING || known_find_set(&ram->known, page, page + 1) == page
		       ? 0
		       : GUEST_PAGE_BYTES;
}

/* The swapper makes room for what it brings back, as long as it can. */
static bool is_swappers(const struct ram *ram, enum frame_state state)
{
	return state == FRAME_SWAPPED && ram->swapper && swapper_can_make_room(ram->swapper);
}

/* What was only prepared goes first. */
static bool is_beyond_grant(struct ram *ram, uint64_t wanted_bytes)
{
	bool held = wanted_bytes > engine_room_bytes(ram);

	if (held && ram->keeper && keeper_give_back(ram->keeper) > 0)
		held = wanted_bytes > engine_room_bytes(ram);
	if (grant_note_wanted(&ram->grant, held) && held && ram->events.wanting)
		ram->events.wanting(ram->events.ctx);
	return held;
}

enum growth engine_growth(struct ram *ram, uint64_t offset_bytes)
{
	enum frame_state state;
	uint64_t wanted_bytes;

	if (!ram->swapper && grant_is_none(&ram->grant))
		return GROWTH_FREE;
	state = frame_state_of(frames_peek(&ram->frames, offset_bytes >> BLOCK_SHIFT));
	if (state == FRAME_ABSENT && ram->swapper && !swapper_may_grow(ram->swapper))
		return GROWTH_SWAPS;
	wanted_bytes = bytes_to_take(ram, state, offset_bytes);
	if (wanted_bytes == 0 || grant_is_none(&ram->grant) || is_swappers(ram, state))
		return GROWTH_FREE;
	return is_beyond_grant(ram, wanted_bytes) ? GROWTH_HELD : GROWTH_FREE;
}

bool engine_read_back(struct ram *ram, uint64_t block)
{
	return ram->swapper && swapper_read(ram->swapper, block);
}

bool engine_is_starving(const struct ram *ram)
{
	return ram->swapper && swapper_is_starving(ram->swapper);
}

void engine_touched(struct ram *ram, uint64_t block)
{
	if (ram->swapper)
		swapper_touched(ram->swapper, block);
}

unsigned engine_coldest(struct ram *ram, uint64_t *ret_blocks, unsigned room)
{
	return ram->keeper ? keeper_coldest(ram->keeper, ret_blocks, room) : 0;
}

void engine_forget(struct ram *ram, uint64_t block)
{
	if (ram->swapper)
		swapper_drop(ram->swapper, block);
}

void engine_arrived(struct ram *ram)
{
	(void)pthread_mutex_lock(&ram->arrival_lock);
	(void)pthread_cond_broadcast(&ram->arrival);
	(void)pthread_mutex_unlock(&ram->arrival_lock);
	if (ram->pager)
		pager_poke(ram->pager);
}

/* Somebody looks after those who serve, and a touch that nobody serves is a wait. */
static int start_watch(struct ram *ram, struct err *err)
{
	int result = watch_start(&ram->events, &ram->watch, err);

	if (result)
		return result;
	ram->guard = (struct sigbus_guard){ .layout = &ram->layout,
					    .guest_view = ram->guest.base,
					    .host_view = ram->host.base,
					    .fd = ram->fd,
					    .watch = ram->watch };
	result = sigbus_guard(&ram->guard);
	if (result == 0 && ram->uffd >= 0)
		result = watch_keep_uffd(ram->watch, ram->uffd);
	if (result == 0)
		return 0;
	errno = -result;
	return err_set(err, result, "guest RAM: watching over it: %m");
}

static int start_pager(struct ram *ram, struct err *err)
{
	int result = pager_start(ram, &ram->pager, err);

	if (result == 0 && ram->swapper)
		swapper_resume(ram->swapper);
	return result;
}

int engine_start(struct ram *ram, const struct ram_config *config, struct err *err)
{
	int result = start_watch(ram, err);

	if (result)
		return result;
	if (config->trace_path) {
		result = trace_open(config->trace_path, config->ram_bytes, &ram->trace, err);
		if (result)
			return result;
		ram->frames.trace = ram->trace;
	}
	if (ram->uffd < 0)
		return 0;
	result = keeper_start(ram, config, &ram->keeper, err);
	if (result == 0 && config->swap.dir)
		result = swapper_start(ram, config, &ram->swapper, err);
	return result ? result : start_pager(ram, err);
}

/* The swapper pokes the pager and the pager asks the swapper: first neither does anything new. */
void engine_stop(struct ram *ram)
{
	if (ram->swapper)
		swapper_hush(ram->swapper);
	pager_stop(ram->pager);
	ram->pager = NULL;
	swapper_stop(ram->swapper);
	ram->swapper = NULL;
	keeper_stop(ram->keeper); /* after the pager, which asks it */
	ram->keeper = NULL;
	sigbus_unguard(&ram->guard);
	watch_stop(ram->watch);
	ram->watch = NULL;
	ram->frames.trace = NULL;
	trace_close(ram->trace);
	ram->trace = NULL;
}

static void read_states(const struct ram *ram, struct ram_statistics *statistics)
{
	for (int state = 0; state < FRAME_STATE_COUNT; state++)
		statistics->state_bytes[state] = atomic_load(&ram->frames.in_state[state])
						 << BLOCK_SHIFT;
	statistics->fresh_bytes = atomic_load(&ram->frames.fresh_blocks) << BLOCK_SHIFT;
}

static void read_grant(const struct ram *ram, struct ram_statistics *statistics)
{
	uint64_t most = grant_most_bytes(&ram->grant);

	statistics->grant_most_bytes = most == GRANT_NONE ? 0 : most;
}

void ram_read_statistics(const struct ram *ram, struct ram_statistics *ret_statistics)
{
	*ret_statistics = (struct ram_statistics){ 0 };
	read_states(ram, ret_statistics);
	read_grant(ram, ret_statistics);
	if (ram->pager)
		pager_read_statistics(ram->pager, ret_statistics);
	if (ram->keeper)
		keeper_read_statistics(ram->keeper, ret_statistics);
	if (ram->swapper)
		swapper_read_statistics(ram->swapper, ret_statistics);
}

enum frame_state ram_block_state(const struct ram *ram, uint64_t block)
{
	return frame_state_of(frames_peek(&ram->frames, block));
}

int ram_set_limit(struct ram *ram, uint64_t limit_bytes)
{
	if (!ram->swapper)
		return -EOPNOTSUPP;
	if (ram->keeper)
		keeper_set_limit(ram->keeper, limit_bytes);
	swapper_set_limit(ram->swapper, limit_bytes);
	return 0;
}

/* Without a pager all was taken, or nobody knows who takes. */
void ram_set_grant(struct ram *ram, uint64_t grant_bytes, uint64_t slack_bytes)
{
	if (!ram->pager)
		return;
	grant_set(&ram->grant, grant_bytes, slack_bytes, held_bytes(ram));
	keeper_set_grant(ram->keeper, grant_bytes);
	engine_arrived(ram); /* whoever waits may look again */
}

bool ram_wants_grant(const struct ram *ram)
{
	uint64_t held = held_bytes(ram), most = grant_most_bytes(&ram->grant);

	return atomic_load(&ram->grant.wanted) && most != GRANT_NONE &&
	       held + (ram->known.words ? GUEST_PAGE_BYTES : BLOCK_BYTES) > most;
}

bool ram_has_pager(const struct ram *ram)
{
	return ram->pager != NULL;
}

const char *ram_why_no_pager(const struct ram *ram)
{
	return ram->uffd < 0 ? ram->why_no_pager : NULL;
}
