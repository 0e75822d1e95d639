/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace_summary.c - see trace_summary.h. */
#include "cli/trace_summary.h"

#include <stdlib.h>

/* Times below 16 ns have a class each; above, the four bits after the highest choose. */
static unsigned class_of(uint64_t time_ns)
{
	unsigned top;

	if (time_ns < 1U << TIME_CLASS_SHIFT)
		return (unsigned)time_ns;
	top = 63U - (unsigned)__builtin_clzll(time_ns);
	return ((top - TIME_CLASS_SHIFT + 1) << TIME_CLASS_SHIFT) |
	       ((unsigned)(time_ns >> (top - TIME_CLASS_SHIFT)) & ((1U << TIME_CLASS_SHIFT) - 1));
}

static uint64_t start_of_class(unsigned number)
{
	unsigned power = number >> TIME_CLASS_SHIFT;
	uint64_t rest = number & ((1U << TIME_CLASS_SHIFT) - 1);

	if (power == 0)
		return rest;
	return ((UINT64_C(1) << TIME_CLASS_SHIFT) | rest) << (power - 1);
}

struct trace_summary *trace_summary_create(const struct trace_info *info)
{
	struct trace_summary *summary =
		calloc(1, sizeof(*summary) + info->block_count * sizeof(uint64_t));

	if (summary) {
		summary->block_count = info->block_count;
		summary->first_ns = UINT64_MAX;
	}
	return summary;
}

/* Numbers are given in the order of moves, but the clock was read a moment before. */
static void add_time(struct trace_times *times, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t time_ns = to_ns > from_ns ? to_ns - from_ns : 0;

	times->count++;
	times->classes[class_of(time_ns)]++;
	if (time_ns > times->longest_ns)
		times->longest_ns = time_ns;
}

void trace_summary_add(struct trace_summary *summary, const struct trace_record *record)
{
	struct trace_tally *tally = &summary->tallies[record->from][record->to];
	uint64_t *last_move_ns = &summary->last_move_ns[record->block];

	tally->count++;
	tally->by[record->actor]++;
	if (*last_move_ns)
		add_time(&tally->times, *last_move_ns - 1, record->time_ns);
	*last_move_ns = record->time_ns + 1;
	if (record->time_ns < summary->first_ns)
		summary->first_ns = record->time_ns;
	if (record->time_ns > summary->last_ns)
		summary->last_ns = record->time_ns;
}

uint64_t trace_times_percentile(const struct trace_times *times, unsigned permille)
{
	uint64_t wanted = times->count * permille / 1000; /* units: a share, not bytes */
	uint64_t seen = 0;

	for (unsigned i = 0; i < TIME_CLASSES && times->count > 0; i++) {
		seen += times->classes[i];
		if (seen > wanted)
			return start_of_class(i);
	}
	return times->longest_ns;
}
