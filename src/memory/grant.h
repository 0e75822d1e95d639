/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* grant.h - the most of the host's memory that this VM may hold, and whether somebody waits for more.
 * Inside memory/ only. grant.c has the rule and why it never locks a guest up.
 *
 * For: may one more frame be taken? Not for: taking it (block.h), nor for who waits (pager.c, back.c).
 * Threads: any; no lock, nothing allocates.
 */
#ifndef NEAP_MEMORY_GRANT_H
#define NEAP_MEMORY_GRANT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define GRANT_NONE UINT64_MAX

struct grant {
	_Atomic uint64_t base_bytes;  /* GRANT_NONE: there is no grant */
	_Atomic uint64_t grant_bytes; /* the last that was told; not above base_bytes */
	_Atomic uint64_t slack_bytes;
	atomic_bool wanted; /* more than that was asked for, and nothing was taken since */
};

void grant_init(struct grant *grant);

static inline bool grant_is_none(const struct grant *grant)
{
	return atomic_load_explicit(&grant->base_bytes, memory_order_relaxed) == GRANT_NONE;
}

/* @grant_bytes 0: none from now on. @held_bytes now. */
void grant_set(struct grant *grant, uint64_t grant_bytes, uint64_t slack_bytes,
	       uint64_t held_bytes);

/* How much more may be taken by one that holds @held_bytes. What was given back by then is not to be
 * had again, as far as it was above the grant (G2). */
uint64_t grant_room_bytes(struct grant *grant, uint64_t held_bytes);

/* The limit now; GRANT_NONE. */
uint64_t grant_most_bytes(const struct grant *grant);

/* Somebody did not get a frame (true), or one was taken. True: that is news. */
bool grant_note_wanted(struct grant *grant, bool wanted);

#endif
