/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ahead_internal.h - what ahead.c and ahead_wish.c share. */
#ifndef NEAP_MEMORY_AHEAD_INTERNAL_H
#define NEAP_MEMORY_AHEAD_INTERNAL_H

#include "memory/ahead.h"
#include "memory/ram_internal.h"

static inline bool ahead_is_absent(const struct ahead *ahead, uint64_t block)
{
	return frame_state_of(frames_peek(&ahead->ram->frames, block)) == FRAME_ABSENT;
}

/* Given back and not wanted since (A2). */
static inline bool ahead_is_gone(const struct ahead *ahead, uint64_t block)
{
	return known_find_set(&ahead->gone, block, block + 1) == block;
}

static inline uint64_t ahead_count_fresh(const struct ahead *ahead)
{
	return atomic_load_explicit(&ahead->ram->frames.fresh_blocks, memory_order_relaxed);
}

/* The keeper's: a block that somebody wished for. */
bool ahead_next_wish(struct ahead *ahead, uint64_t *ret_block);

/* Blocks that are wished for, or were prepared for a wish a moment ago. */
uint64_t ahead_count_wished(struct ahead *ahead, uint64_t now_ns);

#endif
