/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace.c - `neap trace FILE`: what `neap run --trace FILE` wrote, counted or move by move. A file of
 * --policy-trace, which its first line tells, and a VM are trace_policy.c's; a file is one that is
 * there, or has a slash in its name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/trace_policy.h"
#include "cli/trace_summary.h"

enum { BY_BYTES = 128, HALF = 500, NEARLY_ALL = 990 }; /* permille */

static const char *reason(enum frame_state from, enum frame_state to)
{
	const char *why = trace_move_reason(from, to);

	return why ? why : "not a move that neap makes";
}

/* ---- Move by move ---- */

static bool print_record(const struct trace_record *record)
{
	return printf("%5" PRIu64 ".%09" PRIu64 "  block %-7" PRIu64 " %-8s -> %-8s  %-7s  %s\n",
		      record->time_ns / NS_PER_S, record->time_ns % NS_PER_S, record->block,
		      frame_state_names[record->from], frame_state_names[record->to],
		      trace_actor_name(record->actor), reason(record->from, record->to)) > 0;
}

static bool print_record_json(const struct trace_record *record)
{
	return printf("{\"number\": %" PRIu64 ", \"time_ns\": %" PRIu64 ", \"block\": %" PRIu64
		      ", \"from\": \"%s\", \"to\": \"%s\", \"by\": \"%s\"}\n",
		      record->number, record->time_ns, record->block,
		      frame_state_names[record->from], frame_state_names[record->to],
		      trace_actor_name(record->actor)) > 0;
}

static int list(struct trace_reader *reader, bool json)
{
	struct trace_record record;
	int result;

	while ((result = trace_reader_next(reader, &record)) == 1)
		if (!(json ? print_record_json(&record) : print_record(&record)))
			return -EPIPE;
	return fflush(stdout) == 0 ? result : -EPIPE;
}

/* ---- As a whole ---- */

typedef void (*tally_fn)(void *ctx, enum frame_state from, enum frame_state to,
			 const struct trace_tally *tally);

static void each_tally(const struct trace_summary *summary, tally_fn fn, void *ctx)
{
	for (unsigned from = 0; from < FRAME_STATE_COUNT; from++)
		for (unsigned to = 0; to < FRAME_STATE_COUNT; to++)
			if (summary->tallies[from][to].count > 0)
				fn(ctx, (enum frame_state)from, (enum frame_state)to,
				   &summary->tallies[from][to]);
}

static uint64_t span_ns(const struct trace_summary *summary)
{
	return summary->last_ns > summary->first_ns ? summary->last_ns - summary->first_ns : 0;
}

static void started_text(const struct trace_info *info, char *text, size_t text_bytes)
{
	time_t seconds = (time_t)(info->started_realtime_ns / NS_PER_S);
	struct tm local;

	if (!localtime_r(&seconds, &local) ||
	    strftime(text, text_bytes, "%Y-%m-%d %H:%M:%S", &local) == 0)
		(void)snprintf(text, text_bytes, "at an unknown time");
}

static void name_actors(const struct trace_tally *tally, char text[BY_BYTES])
{
	size_t len = 0;

	text[0] = '\0';
	for (unsigned actor = 0; actor < trace_actor_count(); actor++)
		if (tally->by[actor] > 0 && len < BY_BYTES)
			len += (size_t)snprintf(text + len, BY_BYTES - len, "%s%s", len ? ", " : "",
						trace_actor_name(actor));
}

static void time_cell(struct out_table *table, const struct trace_times *times, unsigned permille)
{
	char text[UNITS_TEXT_BYTES];

	if (times->count > 0)
		out_cell(table, OUT_PLAIN, "%s",
			 out_short_time(trace_times_percentile(times, permille), text));
	else
		out_cell(table, OUT_DIM, "-");
}

static void tally_row(void *ctx, enum frame_state from, enum frame_state to,
		      const struct trace_tally *tally)
{
	struct out_table *table = ctx;
	char by[BY_BYTES];

	name_actors(tally, by);
	out_cell(table, OUT_PLAIN, "%" PRIu64, tally->count);
	out_cell(table, OUT_PLAIN, "%s", frame_state_names[from]);
	out_cell(table, OUT_PLAIN, "%s", frame_state_names[to]);
	time_cell(table, &tally->times, HALF);
	time_cell(table, &tally->times, NEARLY_ALL);
	out_cell(table, OUT_PLAIN, "%s", by);
	out_cell(table, OUT_DIM, "%s", reason(from, to));
}

static void print_losses(const struct trace_info *info, const struct trace_counts *counts)
{
	if (info->first > 0)
		(void)printf("%" PRIu64 " older moves were overwritten: the file keeps the newest "
			     "%" PRIu64 ".\n",
			     info->first, info->ring_records);
	if (counts->overwritten > 0)
		(void)printf("%" PRIu64 " more were overwritten while this was read.\n",
			     counts->overwritten);
	if (counts->torn > 0)
		(void)printf("%" PRIu64 " were begun and not finished.\n", counts->torn);
	if (counts->damaged > 0)
		(void)printf("%" PRIu64 " records are damaged and left out.\n", counts->damaged);
}

static void print_summary(const struct trace_reader *reader, const struct trace_summary *summary)
{
	static const char *const columns[] = { ">MOVES", "FROM", "TO", ">STAYED P50",
					       ">P99",	 "BY",	 "WHY" };
	const struct trace_info *info = trace_reader_info(reader);
	const struct trace_counts *counts = trace_reader_counts(reader);
	char size[UNITS_TEXT_BYTES], span[UNITS_TEXT_BYTES], started[64];
	struct out_table table;

	started_text(info, started, sizeof(started));
	(void)printf("Guest RAM of %s in %" PRIu64 " blocks, traced since %s.\n",
		     units_format_size(info->ram_bytes, size), info->block_count, started);
	(void)printf("%" PRIu64 " moves within %s.\n", counts->good,
		     out_short_time(span_ns(summary), span));
	print_losses(info, counts);
	if (counts->good == 0)
		return;
	(void)putchar('\n');
	out_table_init(&table, columns, ARRAY_LEN(columns));
	each_tally(summary, tally_row, &table);
	out_table_print(&table, stdout, "");
}

static void tally_json(void *ctx, enum frame_state from, enum frame_state to,
		       const struct trace_tally *tally)
{
	json_t *by = json_object();
	json_t *row = json_pack("{s:s, s:s, s:s, s:I}", "from", frame_state_names[from], "to",
				frame_state_names[to], "why", reason(from, to), "count",
				(json_int_t)tally->count);

	for (unsigned actor = 0; actor < trace_actor_count(); actor++)
		if (tally->by[actor] > 0)
			(void)json_object_set_new(by, trace_actor_name(actor),
						  json_integer((json_int_t)tally->by[actor]));
	(void)json_object_set_new(row, "by", by);
	if (tally->times.count > 0)
		(void)json_object_set_new(
			row, "stayed_ns",
			json_pack("{s:I, s:I, s:I}", "p50",
				  (json_int_t)trace_times_percentile(&tally->times, HALF), "p99",
				  (json_int_t)trace_times_percentile(&tally->times, NEARLY_ALL),
				  "longest", (json_int_t)tally->times.longest_ns));
	(void)json_array_append_new(ctx, row);
}

static json_t *summary_json(const struct trace_reader *reader, const struct trace_summary *summary)
{
	const struct trace_info *info = trace_reader_info(reader);
	const struct trace_counts *counts = trace_reader_counts(reader);
	json_t *moves = json_array();

	each_tally(summary, tally_json, moves);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "ram_bytes",
			 (json_int_t)info->ram_bytes, "block_bytes", (json_int_t)info->block_bytes,
			 "started_realtime_ns", (json_int_t)info->started_realtime_ns, "written",
			 (json_int_t)info->written, "lost", (json_int_t)info->first, "read",
			 (json_int_t)counts->good, "overwritten", (json_int_t)counts->overwritten,
			 "torn", (json_int_t)counts->torn, "damaged", (json_int_t)counts->damaged,
			 "span_ns", (json_int_t)span_ns(summary), "moves", moves);
}

static int summarise(struct trace_reader *reader, bool json)
{
	struct trace_summary *summary = trace_summary_create(trace_reader_info(reader));
	struct trace_record record;
	int result = summary ? 1 : -ENOMEM;

	while (result == 1) {
		result = trace_reader_next(reader, &record);
		if (result == 1)
			trace_summary_add(summary, &record);
	}
	if (result == 0 && json)
		result = out_json(summary_json(reader, summary)) ? 0 : -EPIPE;
	else if (result == 0)
		print_summary(reader, summary);
	free(summary);
	return result;
}

int cli_trace(struct cli_call *call)
{
	const char *name = call->args[0];
	struct trace_reader *reader;
	struct err err = { 0 };
	int result;

	if (!strchr(name, '/') && access(name, F_OK) < 0)
		return trace_policy_vm(call, name);
	if (trace_is_policy(name))
		return trace_policy_file(call, name);
	if (trace_reader_open(call->args[0], &reader, &err) < 0)
		return out_fail(EXIT_CODE_FAILED, "%s", err.text);
	if (cli_flag(call, "list"))
		result = list(reader, cli_wants_json(call));
	else
		result = summarise(reader, cli_wants_json(call));
	trace_reader_close(reader);
	if (result == -EPIPE)
		return EXIT_CODE_FAILED;
	if (result < 0)
		return out_fail(EXIT_CODE_FAILED, "%s: %s", call->args[0], strerror(-result));
	return EXIT_CODE_OK;
}
