/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace_audit.c - the trace of the run, read back: every move is one of the table, and every block goes
 * on from where it was.
 */
#include "stress.h"

#include <unistd.h>

#include "memory/trace_read.h"

enum { UNKNOWN = FRAME_STATE_COUNT };

static void audit(const struct trace_record *record, unsigned states[MOST_BLOCKS])
{
	if (!frames_may_move(record->from, record->to))
		stress_fail("trace: block %u went from %s to %s", (unsigned)record->block,
			    frame_state_names[record->from], frame_state_names[record->to]);
	if (states[record->block] != UNKNOWN && states[record->block] != record->from)
		stress_fail("trace: block %u was %s, and left %s", (unsigned)record->block,
			    frame_state_names[states[record->block]],
			    frame_state_names[record->from]);
	states[record->block] = record->to;
}

void trace_audit(const char *path)
{
	struct trace_reader *reader;
	struct trace_record record;
	const struct trace_counts *counts;
	unsigned states[MOST_BLOCKS];
	struct err err = { 0 };

	for (unsigned i = 0; i < MOST_BLOCKS; i++)
		states[i] = UNKNOWN;
	if (trace_reader_open(path, &reader, &err))
		stress_fail("%s", err.text);
	while (trace_reader_next(reader, &record) > 0)
		audit(&record, states);
	counts = trace_reader_counts(reader);
	print_message("trace: %llu moves of %llu, all of the table, one after the other\n",
		      (unsigned long long)counts->good,
		      (unsigned long long)trace_reader_info(reader)->written);
	if (counts->torn || counts->damaged || counts->overwritten || !counts->good)
		stress_fail("trace: %llu moves torn, %llu damaged",
			    (unsigned long long)counts->torn, (unsigned long long)counts->damaged);
	trace_reader_close(reader);
	(void)unlink(path);
}
