/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pressure.c - a limit that is given, and a ceiling that is found by hitting it.
 *
 * Problem. A fault that has to wait until a victim is written out takes twice as long. So frames
 * have to be free before they are wanted, but only while there is a shortage; and how much a VM may
 * hold when the host is short is told by nobody: an allocation fails, that is all.
 *
 * Design. What was held when an allocation failed is the ceiling. It works like a limit, and below
 * both a little is kept free (the headroom): 1/32 of what may be held, at least 4 and at most 32
 * blocks, but never more than 1/4. Blocks leave when less than half of the headroom is free, until
 * all of it is. The ceiling is a guess of that moment, so it rises again by a quarter of the
 * headroom every RAISE_NS; if that was too much, an allocation fails and it is set anew: one short
 * wait every few seconds is the price of finding out. When nothing had to leave for CALM_NS, there
 * is no shortage any more and no ceiling.
 *
 * Invariants
 *  Q1  While nobody waits and held_bytes <= limit_bytes, nothing is urgent.
 *  Q2  After an allocation failed, the demand is at least one block, if any is held. So whoever waits
 *      tries again, fails, and lowers the ceiling further until a frame comes to us.
 *  Q3  No demand reaches below a quarter under the limit or ceiling (or one block).
 */
#include "memory/pressure.h"

#include "base/bounds.h"
#include "base/units.h"

#define RAISE_NS (500 * NS_PER_MS)
#define CALM_NS	 (1 * NS_PER_S)

enum { HEADROOM_SHARE = 32, HEADROOM_LEAST = 4, HEADROOM_MOST = 32, HEADROOM_SMALL = 4 };

uint64_t pressure_headroom_blocks(uint64_t most_blocks)
{
	uint64_t blocks = most_blocks / HEADROOM_SHARE;

	if (blocks < HEADROOM_LEAST)
		blocks = HEADROOM_LEAST;
	if (blocks > HEADROOM_MOST)
		blocks = HEADROOM_MOST;
	blocks = least(blocks, most_blocks / HEADROOM_SMALL);
	return blocks ? blocks : 1;
}

void pressure_init(struct pressure *pressure)
{
	*pressure = (struct pressure){ .ceiling_bytes = PRESSURE_NONE };
}

static uint64_t limit_of(const struct pressure_now *now)
{
	return now->limit_bytes ? now->limit_bytes : PRESSURE_NONE;
}

/* What may be held: the lower of the two. */
static uint64_t bound_bytes(const struct pressure *pressure, const struct pressure_now *now)
{
	return least(pressure->ceiling_bytes, limit_of(now));
}

static uint64_t headroom_bytes(uint64_t bound, const struct pressure_now *now)
{
	return pressure_headroom_blocks(bound / now->block_bytes) * now->block_bytes;
}

void pressure_short(struct pressure *pressure, const struct pressure_now *now)
{
	pressure->ceiling_bytes = now->held_bytes;
	pressure->short_ns = pressure->raised_ns = pressure->busy_ns = now->now_ns;
	pressure->draining = true;
}

static void raise_ceiling(struct pressure *pressure, const struct pressure_now *now)
{
	if (pressure->ceiling_bytes == PRESSURE_NONE || now->waiting)
		return;
	if (pressure_calm_ns(pressure, now) >= CALM_NS) {
		pressure->ceiling_bytes = PRESSURE_NONE;
	} else if (now->now_ns - pressure->raised_ns >= RAISE_NS) {
		pressure->ceiling_bytes += headroom_bytes(pressure->ceiling_bytes, now) / 4;
		pressure->raised_ns = now->now_ns;
	}
}

struct pressure_demand pressure_demand(struct pressure *pressure, const struct pressure_now *now)
{
	struct pressure_demand demand = { 0 };
	uint64_t bound, headroom, low, high;

	raise_ceiling(pressure, now);
	bound = bound_bytes(pressure, now);
	if (bound == PRESSURE_NONE) {
		pressure->draining = false;
		return demand;
	}
	headroom = headroom_bytes(bound, now);
	low = bound > headroom ? bound - headroom : 0;
	high = bound > headroom / 2 ? bound - headroom / 2 : 0;
	if (now->held_bytes > high || now->waiting)
		pressure->draining = true;
	if (now->held_bytes <= low)
		pressure->draining = false;
	if (pressure->draining) {
		demand.blocks = (now->held_bytes - low + now->block_bytes - 1) / now->block_bytes;
		pressure->busy_ns = now->now_ns;
	}
	demand.reason = bound < limit_of(now) ? SWAP_FAMINE : SWAP_LIMIT;
	demand.urgent = now->waiting || now->held_bytes > limit_of(now); /* Q1 */
	return demand;
}

uint64_t pressure_calm_ns(const struct pressure *pressure, const struct pressure_now *now)
{
	return now->now_ns - pressure->busy_ns;
}

uint64_t pressure_room_blocks(const struct pressure *pressure, const struct pressure_now *now)
{
	uint64_t bound = bound_bytes(pressure, now);

	if (now->waiting || now->held_bytes >= bound)
		return 0;
	return (bound - now->held_bytes) / now->block_bytes;
}
