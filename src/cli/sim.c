/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sim.c - `neap sim`: traces decided again (here), or a fleet (sim_fleet.c). */
#include "cli/sim.h"

#include <stdlib.h>

#include "sim/chart.h"
#include "sim/fleet.h"
#include "sim/replay.h"

uint64_t sim_ppm(uint64_t part, uint64_t whole)
{
	return whole ? (uint64_t)((__int128)part * FLEET_PPM / whole) : 0;
}

const char *sim_percent(uint64_t ppm, char text[UNITS_TEXT_BYTES])
{
	(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 ".%02" PRIu64 " %%", ppm / 10000,
		       ppm / 100 % 100);
	return text;
}

/* ---- The chart of a trace ---- */

enum { LINE_MINIMUM, LINE_DEMAND, LINE_ASSIGNED, LINE_MAXIMUM, LINE_COUNT };

struct trace_chart {
	struct chart chart;
	uint64_t first_ns;
};

static struct trace_chart *new_chart(const char *title)
{
	struct trace_chart *made = calloc(1, sizeof(*made));

	if (!made)
		return NULL;
	(void)snprintf(made->chart.title, sizeof(made->chart.title), "%s", title);
	made->chart.step_s = 1;
	made->chart.panel_count = 1;
	made->chart.panels[0].title = "memory of the VM";
	made->chart.panels[0].line_count = LINE_COUNT;
	made->chart.panels[0].lines[LINE_MINIMUM].name = "minimum";
	made->chart.panels[0].lines[LINE_DEMAND].name = "demand";
	made->chart.panels[0].lines[LINE_ASSIGNED].name = "assigned";
	made->chart.panels[0].lines[LINE_MAXIMUM].name = "maximum";
	return made;
}

static void draw_tick(void *ctx, const struct policy_record *record)
{
	struct trace_chart *made = ctx;
	uint64_t now_ns = record->input.now_ns;
	uint64_t points[CHART_PANELS][CHART_LINES] = { {
		[LINE_MINIMUM] = record->settings.minimum_bytes,
		[LINE_DEMAND] = record->decision.demand_bytes,
		[LINE_ASSIGNED] = record->decision.assigned_bytes,
		[LINE_MAXIMUM] = record->settings.maximum_bytes,
	} };

	if (made->first_ns == 0)
		made->first_ns = now_ns;
	chart_add(&made->chart, (now_ns - made->first_ns) / NS_PER_S, points);
}

/* ---- What came of a trace ---- */

static json_t *sums_json(const struct replay_sums *sums)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "counted_ms",
			 (json_int_t)sums->counted_ms, "demanded_mib_ms",
			 (json_int_t)sums->demanded_mib_ms, "granted_mib_ms",
			 (json_int_t)sums->granted_mib_ms, "below_demand_ms",
			 (json_int_t)sums->below_ms, "moved_bytes", (json_int_t)sums->moved_bytes,
			 "reversals", (json_int_t)sums->reversals);
}

static json_t *result_json(const char *path, const struct replay_result *result, bool has_set)
{
	const struct replay_difference *difference = &result->difference;
	json_t *object =
		json_pack("{s:s, s:I, s:I, s:s, s:o}", "trace", path, "ticks",
			  (json_int_t)result->ticks, "span_ns", (json_int_t)result->span_ns,
			  "answered_by", has_set ? "model" : "recording", "recorded",
			  sums_json(&result->recorded));

	if (has_set)
		(void)json_object_set_new(object, "changed", sums_json(&result->changed));
	else
		(void)json_object_set_new(object, "identical", json_boolean(!difference->found));
	if (difference->found)
		(void)json_object_set_new(object, "first_difference",
					  json_pack("{s:I, s:s, s:s, s:s}", "line",
						    (json_int_t)difference->line, "column",
						    difference->column, "recorded",
						    difference->recorded, "now", difference->now));
	return object;
}

static void sums_row(struct out_table *table, const char *name, const struct replay_sums *sums)
{
	char text[UNITS_TEXT_BYTES];
	uint64_t counted = sums->counted_ms ? sums->counted_ms : 1;

	out_cell(table, OUT_PLAIN, "%s", name);
	out_cell_bytes(table, sums->demanded_mib_ms / counted * MIB_BYTES);
	out_cell_bytes(table, sums->granted_mib_ms / counted * MIB_BYTES);
	out_cell(table, OUT_PLAIN, "%s",
		 sim_percent(sim_ppm(sums->below_ms, sums->counted_ms), text));
	out_cell_bytes(table, sums->moved_bytes);
	out_cell(table, OUT_PLAIN, "%" PRIu64, sums->reversals);
}

static void print_result(const char *path, const struct replay_result *result, const char *set)
{
	static const char *const columns[] = { "",	 ">USED",  ">GRANTED",
					       ">BELOW", ">MOVED", ">REVERSALS" };
	char span[UNITS_TEXT_BYTES];
	struct out_table table;

	(void)printf("%s: %" PRIu64 " ticks in %s%s\n", path, result->ticks,
		     out_duration(result->span_ns, span),
		     result->continues ? ", from where the one before ends" : "");
	out_table_init(&table, columns, ARRAY_LEN(columns));
	sums_row(&table, "as recorded", &result->recorded);
	if (set)
		sums_row(&table, set, &result->changed);
	out_table_print(&table, stdout, "  ");
	if (set)
		(void)printf("  The second row was answered by a model of a guest, and by the host "
			     "as recorded.\n");
	else if (!result->difference.found)
		(void)printf("  Every decision is as it was recorded.\n");
}

static void print_difference(const char *path, const struct replay_difference *difference)
{
	(void)out_fail(EXIT_CODE_FAILED,
		       "%s:%" PRIu64
		       ": %s was %s, and would be %s now: another version of the policy "
		       "wrote this, or the file was changed, or its beginning is missing",
		       path, difference->line, difference->column, difference->recorded,
		       difference->now);
}

static int replay_one(struct cli_call *call, const char *path, struct replay_memory *memory,
		      json_t *results)
{
	const char *set = cli_flag(call, "set"), *chart_path = cli_flag(call, "chart");
	struct trace_chart *made = chart_path ? new_chart("A VM as recorded") : NULL;
	struct replay_options options = {
		.set = set, .memory = memory, .tick = made ? draw_tick : NULL, .ctx = made
	};
	struct replay_result result;
	struct err err = { 0 };
	int ret = 0;

	if (made && set)
		(void)snprintf(made->chart.title, sizeof(made->chart.title), "A VM, with %.100s",
			       set);
	ret = replay_file(path, &options, &result, &err);
	if (ret == 0 && made)
		ret = chart_write(&made->chart, chart_path, &err);
	free(made);
	if (ret < 0)
		return out_fail(EXIT_CODE_FAILED, "%s", err.text);
	if (results)
		(void)json_array_append_new(results, result_json(path, &result, set != NULL));
	else
		print_result(path, &result, set);
	if (result.difference.found)
		print_difference(path, &result.difference);
	return result.difference.found ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

static int replay_all(struct cli_call *call)
{
	json_t *results = cli_wants_json(call) ? json_array() : NULL;
	struct replay_memory memory = { 0 };
	int worst = EXIT_CODE_OK;

	for (unsigned i = 0; i < call->arg_count; i++) {
		int ret = replay_one(call, call->args[i], &memory, results);

		worst = ret != EXIT_CODE_OK ? ret : worst;
	}
	if (results && !out_json(results))
		return EXIT_CODE_FAILED;
	return worst;
}

int cli_sim(struct cli_call *call)
{
	const char *fleet = cli_flag(call, "fleet");

	if (fleet && call->arg_count > 0)
		return out_fail(EXIT_CODE_USAGE, "give TRACE files or --fleet SPEC, not both");
	if (fleet)
		return sim_fleet(call, fleet);
	if (call->arg_count == 0)
		return out_fail(EXIT_CODE_USAGE,
				"give TRACE files or --fleet SPEC (see: neap help sim)");
	if (cli_flag(call, "brief") || cli_flag(call, "trace"))
		return out_fail(EXIT_CODE_USAGE, "--brief and --trace are for --fleet");
	if (cli_flag(call, "chart") && call->arg_count > 1)
		return out_fail(EXIT_CODE_USAGE, "--chart draws one TRACE; give one");
	return replay_all(call);
}
