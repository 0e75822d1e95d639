/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* victims.h - which block goes to swap next. Inside memory/ only; pure: no system call, no clock.
 *
 * For: choosing. Not for: writing it out, or knowing how many have to go (pressure.h).
 * victims.c says how it chooses and what that was measured to be worth.
 * Threads: one at a time (the swapper's lock).
 */
#ifndef NEAP_MEMORY_VICTIMS_H
#define NEAP_MEMORY_VICTIMS_H

#include <stdbool.h>
#include <stdint.h>

/* What victims.c knows of memory. */
struct victims_view {
	/* Make the block one whose next touch is seen; true when it is one now. */
	bool (*watch)(void *ctx, uint64_t block);
	/* Watched, in RAM, and not touched since. */
	bool (*is_untouched)(void *ctx, uint64_t block);
	void *ctx;
};

enum { VICTIMS_ROOM = 256, VICTIMS_LEAST = 4, VICTIMS_SHARE = 16 };

struct victims_fifo {
	uint64_t blocks[VICTIMS_ROOM];
	unsigned first, count;
};

struct victims {
	uint64_t block_count;
	uint64_t random;
	struct victims_fifo candidates; /* chosen at random, on trial */
	struct victims_fifo passed;	/* left behind by a sweep */
};

void victims_init(struct victims *victims, uint64_t block_count, uint64_t seed);

/* A sweep has gone past @block: it is not likely to be touched soon. */
void victims_passed(struct victims *victims, const struct victims_view *view, uint64_t block);

/**
 * victims_next() - the next to go
 * @in_ram_blocks: how many there are to choose from
 *
 * False: none was found now (all were touched, or cannot be watched); another call may find one.
 * The work of a call is bounded by VICTIMS_ROOM views and one pass over the blocks.
 */
bool victims_next(struct victims *victims, const struct victims_view *view, uint64_t in_ram_blocks,
		  uint64_t *ret_block);

#endif
