/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace_summary.h - a trace as a whole: how often each move was made, by whom, and how long blocks
 * had been in the state they left. Inside cli/ only.
 *
 * Memory: 8 bytes per block of the traced VM, and 300 KiB; nothing grows with the number of moves.
 */
#ifndef NEAP_CLI_TRACE_SUMMARY_H
#define NEAP_CLI_TRACE_SUMMARY_H

#include "memory/trace_read.h"

enum {
	TRACE_ACTORS_MAX = 16,
	/* Times fall into 16 classes per power of two, so a percentile is right to a sixteenth. */
	TIME_CLASS_SHIFT = 4,
	TIME_CLASSES = (64 - TIME_CLASS_SHIFT + 1) << TIME_CLASS_SHIFT,
};

/* How long blocks had been in the state that they left by one kind of move. */
struct trace_times {
	uint64_t count; /* the first move of a block that the trace holds tells no time */
	uint64_t longest_ns;
	uint64_t classes[TIME_CLASSES];
};

struct trace_tally {
	uint64_t count;
	uint64_t by[TRACE_ACTORS_MAX];
	struct trace_times times;
};

struct trace_summary {
	uint64_t first_ns, last_ns; /* of the moves read */
	struct trace_tally tallies[FRAME_STATE_COUNT][FRAME_STATE_COUNT];
	uint64_t block_count;
	uint64_t last_move_ns[]; /* of each block, plus 1; 0: none yet */
};

/* NULL: no memory. free() it. */
struct trace_summary *trace_summary_create(const struct trace_info *info);
void trace_summary_add(struct trace_summary *summary, const struct trace_record *record);

/* The time that @permille of them did not exceed; 0 when there are none. */
uint64_t trace_times_percentile(const struct trace_times *times, unsigned permille);

#endif
