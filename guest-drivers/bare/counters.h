/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* counters.h - the counters at the end of every page of the working set. Pure.
 *
 * A pattern cannot tell a page from its own past; counters can. Each of the first processors has
 * one counter in every page, and all share one more. They only ever grow by one, by a locked
 * addition, once per page and round: a lost write, or a page that came back as it once was, is a
 * counter that is behind.
 */
#ifndef BARE_COUNTERS_H
#define BARE_COUNTERS_H

#include "pattern.h"

enum { COUNTERS_CPUS = PATTERN_COUNTERS - 1, COUNTERS_SHARED = COUNTERS_CPUS };

/* What the counters of a page may stand at. */
struct counters_bounds {
	uint64_t least[PATTERN_COUNTERS], most[PATTERN_COUNTERS];
};

/* A page whose pattern was just written joins those that were counted @rounds times by each
 * processor. */
void counters_join(void *page, const uint64_t rounds[COUNTERS_CPUS]);

void counters_read(const void *page, uint64_t address, uint32_t seed,
		   uint64_t ret_counts[PATTERN_COUNTERS]);

/* Adds one, whoever else adds at that moment; returns what it was before. */
uint64_t counters_add(void *page, uint64_t address, uint32_t seed, unsigned which);

/* True: @counts, as they were read from a page, are within @bounds. False: @ret_fault says where in
 * the page one is not. */
bool counters_check(const uint64_t counts[PATTERN_COUNTERS], uint64_t address, uint32_t seed,
		    const struct counters_bounds *bounds, struct pattern_fault *ret_fault);

#endif
