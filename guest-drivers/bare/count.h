/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* count.h - several processors count in all pages of the working set, and know the exact totals.
 *
 * Threads: any processor; counting, the first COUNTERS_CPUS ones. The working set does not change
 * while one counts.
 */
#ifndef BARE_COUNT_H
#define BARE_COUNT_H

#include "counters.h"
#include "work.h"

/* Before and after the working set is changed; false: processors are counting. Several may change
 * it at once. */
bool count_try_change(void);
void count_end_change(void);

/* How often each processor has counted the whole working set: for new pages. */
const uint64_t *count_rounds(void);

/* What a page's counters may stand at, when it is read between the two calls. */
void count_before_look(struct counters_bounds *ret_bounds);
void count_after_look(struct counters_bounds *bounds);

struct count_result {
	uint64_t pages, increments, wrong;
	uint64_t address, expected, seen; /* the first wrong one */
};
/* This processor adds one to its counters in every page, @rounds times over, and sees that each
 * stands where it left it. False: the working set is being changed, or this processor has no
 * counters. */
bool count_run(uint64_t rounds, const struct work_way *way, struct count_result *ret_result);

struct count_tally {
	uint64_t pages;
	uint64_t counted[PATTERN_COUNTERS], expected[PATTERN_COUNTERS]; /* sums over all pages */
};
/* False: processors are counting. */
bool count_tally(struct count_tally *ret_tally);

#endif
