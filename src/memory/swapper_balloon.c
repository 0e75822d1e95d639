/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swapper_balloon.c - partly ballooned blocks go to swap, so that what was taken is given back.
 *
 * Problem. A frame of 2 MiB is given back only whole. A guest whose memory is fragmented puts half
 * of the pages of a thousand blocks into the balloon, and the host gets nothing. Stored, such a
 * block takes as much disk as it has live pages, and the host gets all of its frame.
 *
 * Design. Every SWEEP_NS a look over the blocks in RAM counts their dead pages, by eighths of a
 * block (levels). Those of the fullest level go first, then the next, down to the level that makes
 * 90 % of the dead bytes; blocks with less than an eighth dead stay: there the guest would pay with
 * eight times as much live memory as is won. No list is kept, so that no memory is needed per
 * block: a cursor walks once per level.
 *
 * Never thrash. While nothing is short, refaults are what this costs the guest. More of them than
 * 0.2 % of its blocks a minute (but at least LEAST_REFAULTS) pause the background part, for a
 * minute first, then twice as long each time up to 16 minutes; a pause is forgotten after as long
 * without another. And a block that came back stays for a minute, doubling each time (`cooling`; a
 * small table: an entry that is pushed out costs one more round at worst).
 *
 * When memory is short, partly ballooned blocks are the first to go whatever the budget says; those
 * that came back a moment ago have no such preference then.
 */
#include <string.h>

#include "memory/swapper_internal.h"

#define MINUTE_NS (60 * NS_PER_S)
#define SWEEP_NS  (1 * NS_PER_S)

enum {
	LOWEST_LEVEL = 1, /* in eighths of a block */
	DEAD_OUT_PERCENT = 90,
	LEAST_REFAULTS = 4,
	REFAULTS_PER_MILLE = 2, /* of the blocks, a minute */
	MOST_DOUBLINGS = 4,
	LOOKS_PER_PICK = 2048, /* blocks per call: the lock is not kept for longer */
	PER_MILLE = 1000
};

static bool is_in_ram(const struct swapper *swapper, uint64_t block)
{
	uint64_t word = frames_peek(&swapper->ram->frames, block);
	enum frame_state state = frame_state_of(word);

	return (state == FRAME_RESIDENT || state == FRAME_SAMPLED) && !(word & FRAME_FRESH);
}

static unsigned level_of(const struct swapper *swapper, uint64_t block)
{
	return swapper_dead_pages(swapper, block) / DEAD_LEVEL_PAGES;
}

/* The level down to which blocks have to go. */
static unsigned lowest_level(const uint64_t dead_pages[DEAD_LEVELS])
{
	uint64_t total = 0, covered = 0;
	unsigned level = DEAD_LEVELS;

	for (unsigned i = 0; i < DEAD_LEVELS; i++)
		total += dead_pages[i];
	while (level > LOWEST_LEVEL && covered * 100 < total * DEAD_OUT_PERCENT)
		covered += dead_pages[--level];
	return level;
}

/* Some more blocks of the look over all of them. True: it is complete. */
static bool count_dead(struct swapper *swapper)
{
	struct balloon_work *work = &swapper->balloon;

	for (unsigned looks = 0; looks < LOOKS_PER_PICK; looks++, work->cursor++) {
		unsigned dead;

		if (work->cursor == swapper->block_count)
			return true;
		if (!is_in_ram(swapper, work->cursor))
			continue;
		dead = swapper_dead_pages(swapper, work->cursor);
		work->dead_pages[dead / DEAD_LEVEL_PAGES] += dead;
	}
	return false;
}

/* False: nothing is known of dead pages now. */
static bool sweep(struct swapper *swapper, uint64_t now_ns)
{
	struct balloon_work *work = &swapper->balloon;

	if (!swapper->events.dead)
		return false;
	if (!work->counting && now_ns < work->next_sweep_ns)
		return true;
	if (!work->counting) {
		work->counting = true;
		work->cursor = 0;
		memset(work->dead_pages, 0, sizeof(work->dead_pages));
	}
	if (!count_dead(swapper))
		return false;
	work->counting = false;
	work->lowest_level = lowest_level(work->dead_pages);
	work->level = DEAD_LEVELS - 1;
	work->cursor = 0;
	work->next_sweep_ns = now_ns + SWEEP_NS;
	return true;
}

bool swapper_is_sweeping_locked(const struct swapper *swapper)
{
	const struct balloon_work *work = &swapper->balloon;

	return swapper->events.dead && (work->counting || work->level >= work->lowest_level);
}

static struct cooling *cooling_of(struct balloon_work *work, uint64_t block)
{
	return &work->cooling[block % COOLING_ROOM];
}

static bool is_cooling(struct balloon_work *work, uint64_t block, uint64_t now_ns)
{
	const struct cooling *cooling = cooling_of(work, block);

	return cooling->strikes && cooling->block == block && now_ns < cooling->until_ns;
}

static void strike(struct balloon_work *work, uint64_t block, uint64_t now_ns)
{
	struct cooling *cooling = cooling_of(work, block);

	if (cooling->block != block || !cooling->strikes)
		*cooling = (struct cooling){ .block = block };
	cooling->until_ns = now_ns + (MINUTE_NS << cooling->strikes);
	if (cooling->strikes < MOST_DOUBLINGS)
		cooling->strikes++;
}

/* The next block of the walk. */
static bool walk(struct swapper *swapper, uint64_t now_ns, uint64_t *ret_block)
{
	struct balloon_work *work = &swapper->balloon;

	for (unsigned looks = 0; looks < LOOKS_PER_PICK; looks++) {
		uint64_t block = work->cursor;

		if (work->level < work->lowest_level)
			return false;
		if (++work->cursor >= swapper->block_count) {
			work->cursor = 0;
			work->level--;
		}
		if (is_in_ram(swapper, block) && !swapper_is_busy_locked(swapper, block) &&
		    !is_cooling(work, block, now_ns) && level_of(swapper, block) >= work->level) {
			*ret_block = block;
			return true;
		}
	}
	return false;
}

bool swapper_pick_dead_locked(struct swapper *swapper, uint64_t now_ns, uint64_t *ret_block)
{
	return sweep(swapper, now_ns) && walk(swapper, now_ns, ret_block);
}

bool swapper_pick_balloon_locked(struct swapper *swapper, uint64_t now_ns, uint64_t *ret_block)
{
	return now_ns >= swapper->balloon.paused_until_ns &&
	       swapper_pick_dead_locked(swapper, now_ns, ret_block);
}

/* In thousandths of a refault. */
static uint64_t budget_permille(const struct swapper *swapper)
{
	uint64_t blocks = swapper_in_ram_blocks(swapper) +
			  atomic_load(&swapper->ram->frames.in_state[FRAME_SWAPPED]);
	uint64_t budget = blocks * REFAULTS_PER_MILLE, least = LEAST_REFAULTS;

	least *= PER_MILLE;
	return budget > least ? budget : least;
}

static void leak(struct balloon_work *work, uint64_t budget, uint64_t now_ns)
{
	uint64_t gone = (now_ns - work->leaked_ns) / NS_PER_MS * budget / (MINUTE_NS / NS_PER_MS);

	work->refaults_permille =
		gone < work->refaults_permille ? work->refaults_permille - gone : 0;
	work->leaked_ns = now_ns;
}

static void pause_background(struct balloon_work *work, uint64_t now_ns)
{
	bool long_ago = now_ns - work->paused_until_ns > work->pause_ns;

	if (now_ns < work->paused_until_ns)
		return;
	work->pause_ns = !work->pause_ns || long_ago	   ? MINUTE_NS
			 : work->pause_ns < 16 * MINUTE_NS ? 2 * work->pause_ns
							   : work->pause_ns;
	work->paused_until_ns = now_ns + work->pause_ns;
}

void swapper_note_back_locked(struct swapper *swapper, uint64_t block)
{
	if (swapper->events.dead)
		strike(&swapper->balloon, block, clock_now_ns());
}

void swapper_note_refault_locked(struct swapper *swapper, uint64_t now_ns)
{
	struct balloon_work *work = &swapper->balloon;
	uint64_t budget = budget_permille(swapper);

	if (!swapper->events.dead)
		return;
	leak(work, budget, now_ns);
	work->refaults_permille += PER_MILLE;
	if (work->refaults_permille > budget)
		pause_background(work, now_ns);
}
