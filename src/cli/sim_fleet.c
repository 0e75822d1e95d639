/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sim_fleet.c - `neap sim --fleet`: the same fleet under four rules, and how many VMs each would
 * carry.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/sim.h"
#include "sim/chart.h"
#include "sim/fleet.h"

enum {
	MOST_BELOW_PPM = FLEET_PPM / 100,
	SMALL_GAIN_PERCENT = 5,
	HOUR_S = 3600,
	LIST_BYTES = 256,
	CHART_STEP_S = 10,
	PROGRESS_TICKS = 1024,
};
enum { FLEET_HELD, FLEET_DEMAND, FLEET_ASSIGNED, FLEET_POOL, FLEET_LINES };
enum { VM_MINIMUM, VM_DEMAND, VM_ASSIGNED, VM_MAXIMUM, VM_LINES };

static const struct fleet_rule *const rules[] = {
	&fleet_rule_static,
	&fleet_rule_proxmox,
	&fleet_rule_mom,
	&fleet_rule_neap,
};
enum { RULE_COUNT = sizeof(rules) / sizeof(rules[0]) };

struct outcome {
	struct fleet_result result;
	bool runs; /* static sizing does not start what does not fit */
	uint64_t most_vms;
};

/* What is kept of the run under neap's policy. */
struct pictures {
	struct chart *chart; /* or NULL */
	FILE *trace;
};

struct fleet_job {
	const struct fleet_spec *spec;
	const char *rule_name; /* running now */
	bool shows_progress;
	uint64_t ticks;
	struct chart *chart; /* of this run; or NULL */
	FILE *trace;	     /* the same */
};

/* ---- While it runs ---- */

static void show_progress(struct fleet_job *job, const struct fleet *fleet)
{
	if (!job->shows_progress || job->ticks++ % PROGRESS_TICKS != 0)
		return;
	(void)fprintf(stderr, "\r\x1b[K%s, %" PRIu64 " VMs: %" PRIu64 " %%", job->rule_name,
		      fleet->vm_count, fleet->now_s * 100 / job->spec->duration_s);
}

static void end_progress(const struct fleet_job *job)
{
	if (job->shows_progress)
		(void)fputs("\r\x1b[K", stderr);
}

/* The one that a chart and a trace are of. */
static uint64_t shown_vm(const struct fleet *fleet)
{
	return fleet->vm_count / 2;
}

static void draw_tick(struct chart *chart, const struct fleet *fleet)
{
	const struct fleet_vm *vm = &fleet->vms[shown_vm(fleet)];
	uint64_t points[CHART_PANELS][CHART_LINES] = { { 0 } };

	if (fleet->now_s < chart->next_s)
		return;
	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		points[0][FLEET_DEMAND] += fleet->vms[i].guest.demand_bytes;
		points[0][FLEET_ASSIGNED] += guest_assigned_bytes(&fleet->vms[i].guest);
	}
	points[0][FLEET_HELD] = fleet->spec->pool_bytes - fleet->pool_free_bytes;
	points[0][FLEET_POOL] = fleet->spec->pool_bytes;
	points[1][VM_MINIMUM] = vm->class->settings.minimum_bytes;
	points[1][VM_DEMAND] = vm->guest.demand_bytes;
	points[1][VM_ASSIGNED] = guest_assigned_bytes(&vm->guest);
	points[1][VM_MAXIMUM] = vm->guest.maximum_bytes;
	chart_add(chart, fleet->now_s, points);
}

static void write_tick(FILE *file, const struct fleet *fleet)
{
	char line[POLICY_RECORD_BYTES];
	struct policy_record record;

	fleet_record(fleet, shown_vm(fleet), &record);
	(void)policy_record_format(&record, line);
	(void)fputs(line, file);
}

static void on_tick(void *ctx, const struct fleet *fleet)
{
	struct fleet_job *job = ctx;

	show_progress(job, fleet);
	if (job->chart)
		draw_tick(job->chart, fleet);
	if (job->trace)
		write_tick(job->trace, fleet);
}

static struct chart *new_chart(const struct fleet_spec *spec)
{
	struct chart *chart = calloc(1, sizeof(*chart));
	char pool[UNITS_TEXT_BYTES];

	if (!chart)
		return NULL;
	(void)snprintf(chart->title, sizeof(chart->title),
		       "Fleet %s under neap's policy: %" PRIu64 " VMs on %s", spec->name,
		       fleet_spec_vms(spec), units_format_size(spec->pool_bytes, pool));
	chart->step_s = CHART_STEP_S;
	chart->panel_count = 2;
	chart->panels[0] = (struct chart_panel){ .title = "all VMs", .line_count = FLEET_LINES };
	chart->panels[0].lines[FLEET_DEMAND].name = "demand";
	chart->panels[0].lines[FLEET_HELD].name = "held of the pool";
	chart->panels[0].lines[FLEET_ASSIGNED].name = "assigned";
	chart->panels[0].lines[FLEET_POOL].name = "pool";
	chart->panels[1] = (struct chart_panel){ .title = "one of them", .line_count = VM_LINES };
	chart->panels[1].lines[VM_MINIMUM].name = "minimum";
	chart->panels[1].lines[VM_DEMAND].name = "demand";
	chart->panels[1].lines[VM_ASSIGNED].name = "assigned";
	chart->panels[1].lines[VM_MAXIMUM].name = "maximum";
	return chart;
}

/* ---- Running ---- */

static int run_rule(struct fleet_job *job, const struct fleet_rule *rule, bool searches,
		    const struct pictures *pictures, struct outcome *outcome)
{
	uint64_t vm_count = fleet_spec_vms(job->spec), fitting = fleet_static_vms(job->spec);
	struct fleet_watch watch = { .tick = on_tick, .ctx = job };
	int ret;

	outcome->runs = rule != &fleet_rule_static || vm_count <= fitting;
	outcome->most_vms = rule == &fleet_rule_static ? fitting : 0;
	job->rule_name = rule->name;
	if (rule == &fleet_rule_neap) {
		job->chart = pictures->chart;
		job->trace = pictures->trace;
	}
	ret = fleet_run(job->spec, vm_count, rule, &watch, &outcome->result);
	job->chart = NULL;
	job->trace = NULL;
	if (ret < 0 || !searches || rule == &fleet_rule_static)
		return ret;
	return fleet_most_vms(job->spec, rule, MOST_BELOW_PPM, &watch, &outcome->most_vms);
}

/* ---- Telling ---- */

static int gain_percent(const struct outcome *outcome, const struct outcome *fixed)
{
	int64_t more = (int64_t)outcome->most_vms - (int64_t)fixed->most_vms;

	return fixed->most_vms ? (int)(more * 100 / (int64_t)fixed->most_vms) : 0;
}

/* Per VM and hour, in hundredths. */
static uint64_t reversal_rate(const struct fleet_result *result)
{
	return result->reversals * HOUR_S * 100 / (result->vm_count * result->duration_s);
}

static void print_head(const struct fleet_spec *spec, const struct fleet_result *result)
{
	char a[UNITS_TEXT_BYTES], b[UNITS_TEXT_BYTES], c[UNITS_TEXT_BYTES];

	(void)printf("Fleet %s: %" PRIu64 " VMs on a pool of %s, %s in ticks of %" PRIu64
		     " s, seed %" PRIu64 ".\n",
		     spec->name, result->vm_count, units_format_size(spec->pool_bytes, a),
		     out_duration(spec->duration_s * NS_PER_S, b), spec->tick_s, spec->seed);
	for (unsigned i = 0; i < spec->class_count; i++)
		(void)printf("  %-5" PRIu64 " %s: up to %s, %s, %s to %s\n", spec->classes[i].count,
			     spec->classes[i].name,
			     units_format_size(spec->classes[i].settings.maximum_bytes, a),
			     fleet_patterns[spec->classes[i].pattern].name,
			     units_format_size(spec->classes[i].low_bytes, b),
			     units_format_size(spec->classes[i].high_bytes, c));
	(void)printf(
		"They demand %s on average and %s at the worst moment; their peaks together are "
		"%s.\n\n",
		units_format_size(result->demanded_bytes, a),
		units_format_size(result->peak_demand_bytes, b),
		units_format_size(result->sum_of_peaks_bytes, c));
}

static void percent_cell(struct out_table *table, uint64_t ppm)
{
	char text[UNITS_TEXT_BYTES];

	out_cell(table, ppm > MOST_BELOW_PPM ? OUT_RED : OUT_PLAIN, "%s", sim_percent(ppm, text));
}

static void result_cells(struct out_table *table, const struct fleet_result *result)
{
	uint64_t rate = reversal_rate(result);

	out_cell_bytes(table, result->assigned_bytes);
	out_cell(table, OUT_PLAIN, "%" PRIu64 " %%",
		 sim_ppm(result->assigned_bytes, result->demanded_bytes) / (FLEET_PPM / 100));
	percent_cell(table, result->below_p50_ppm);
	percent_cell(table, result->below_p99_ppm);
	percent_cell(table, result->below_worst_ppm);
	percent_cell(table, result->below_ppm);
	out_cell_bytes(table, result->moved_bytes);
	out_cell(table, OUT_PLAIN, "%" PRIu64 ".%02" PRIu64, rate / 100, rate % 100);
}

static void print_rules(const struct outcome *outcomes, bool searched)
{
	static const char *const columns[] = { "RULE",	 ">GRANTED", ">OF DEMAND", ">BELOW P50",
					       ">P99",	 ">WORST",   ">ALL",	   ">MOVED",
					       ">TURNS", ">VMS FIT", ">GAIN" };
	struct out_table table;

	out_table_init(&table, columns, searched ? ARRAY_LEN(columns) : ARRAY_LEN(columns) - 2);
	for (unsigned i = 0; i < RULE_COUNT; i++) {
		out_cell(&table, OUT_PLAIN, "%s", rules[i]->name);
		if (outcomes[i].runs)
			result_cells(&table, &outcomes[i].result);
		for (unsigned cell = 0; !outcomes[i].runs && cell < 8; cell++)
			out_cell(&table, OUT_DIM, "-");
		if (!searched)
			continue;
		out_cell(&table, OUT_BOLD, "%" PRIu64, outcomes[i].most_vms);
		out_cell(&table, OUT_BOLD, "%+d %%", gain_percent(&outcomes[i], &outcomes[0]));
	}
	out_table_print(&table, stdout, "");
}

/* If one knew each VM's peak, and gave it that, always. */
static uint64_t vms_by_peaks(const struct fleet_spec *spec, const struct fleet_result *result)
{
	return (uint64_t)((__int128)spec->pool_bytes * result->vm_count /
			  (result->sum_of_peaks_bytes + 1));
}

static void print_notes(const struct fleet_spec *spec, const struct outcome *outcomes,
			bool searched)
{
	const struct fleet_result *neap = &outcomes[RULE_COUNT - 1].result;
	char share[UNITS_TEXT_BYTES];

	(void)printf(
		"\nBELOW is the share of time with less than demanded: of half the VMs at most "
		"P50, of 99 in\n100 at most P99, of all VMs together ALL. TURNS: how often memory "
		"began to go the other way,\nper VM and hour.");
	if (!searched) {
		(void)putchar('\n');
		return;
	}
	(void)printf(
		" VMS FIT: the most VMs of this mix on this pool with ALL at most 1 %%; GAIN\nis "
		"against static. With the peak of each VM, if one knew it, instead of its "
		"maximum,\n%" PRIu64 " would fit.\n",
		vms_by_peaks(spec, neap));
	if (gain_percent(&outcomes[RULE_COUNT - 1], &outcomes[0]) > SMALL_GAIN_PERCENT)
		return;
	(void)printf(
		"\nDynamic memory gains nothing here: %s of all peaks come at the same moment, "
		"and then\neverybody needs what it has. Peaks apart in time, or a lower maximum, "
		"would help.\n",
		sim_percent(sim_ppm(neap->peak_demand_bytes, neap->sum_of_peaks_bytes), share));
}

static json_t *outcome_json(const struct fleet_rule *rule, const struct outcome *outcome,
			    const struct outcome *fixed, bool searched)
{
	const struct fleet_result *r = &outcome->result;
	json_t *row = json_pack("{s:s, s:s, s:b}", "rule", rule->name, "help", rule->help, "runs",
				(int)outcome->runs);

	if (outcome->runs)
		(void)json_object_update_new(
			row, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
				       "granted_bytes", (json_int_t)r->assigned_bytes, "held_bytes",
				       (json_int_t)r->held_bytes, "least_free_bytes",
				       (json_int_t)r->least_free_bytes, "below_p50_ppm",
				       (json_int_t)r->below_p50_ppm, "below_p99_ppm",
				       (json_int_t)r->below_p99_ppm, "below_worst_ppm",
				       (json_int_t)r->below_worst_ppm, "below_ppm",
				       (json_int_t)r->below_ppm, "waited_for_pool_ppm",
				       (json_int_t)r->stalled_ppm, "moved_bytes",
				       (json_int_t)r->moved_bytes, "reversals",
				       (json_int_t)r->reversals));
	if (searched)
		(void)json_object_update_new(
			row, json_pack("{s:I, s:i}", "most_vms", (json_int_t)outcome->most_vms,
				       "gain_percent", gain_percent(outcome, fixed)));
	return row;
}

static json_t *fleet_json(const struct fleet_spec *spec, const struct outcome *outcomes,
			  bool searched)
{
	const struct fleet_result *any = &outcomes[0].result;
	json_t *rows = json_array();

	for (unsigned i = 0; i < RULE_COUNT; i++)
		(void)json_array_append_new(rows, outcome_json(rules[i], &outcomes[i], &outcomes[0],
							       searched));
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "fleet",
			 spec->name, "seed", (json_int_t)spec->seed, "pool_bytes",
			 (json_int_t)spec->pool_bytes, "duration_s", (json_int_t)spec->duration_s,
			 "tick_s", (json_int_t)spec->tick_s, "vms", (json_int_t)any->vm_count,
			 "demanded_bytes", (json_int_t)any->demanded_bytes, "peak_demand_bytes",
			 (json_int_t)any->peak_demand_bytes, "sum_of_peaks_bytes",
			 (json_int_t)any->sum_of_peaks_bytes, "vms_by_peaks",
			 (json_int_t)vms_by_peaks(spec, any), "rules", rows);
}

static int run_all(struct cli_call *call, const struct fleet_spec *spec,
		   const struct pictures *pictures, struct outcome outcomes[RULE_COUNT])
{
	struct fleet_job job = { .spec = spec, .shows_progress = isatty(STDERR_FILENO) };
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < RULE_COUNT; i++)
		ret = run_rule(&job, rules[i], cli_flag(call, "brief") == NULL, pictures,
			       &outcomes[i]);
	end_progress(&job);
	return ret < 0 ? out_fail(EXIT_CODE_FAILED, "%s", strerror(-ret)) : EXIT_CODE_OK;
}

static int tell(struct cli_call *call, const struct fleet_spec *spec,
		const struct outcome outcomes[RULE_COUNT])
{
	bool searched = cli_flag(call, "brief") == NULL;

	if (cli_wants_json(call))
		return out_json(fleet_json(spec, outcomes, searched)) ? EXIT_CODE_OK
								      : EXIT_CODE_FAILED;
	print_head(spec, &outcomes[0].result);
	print_rules(outcomes, searched);
	print_notes(spec, outcomes, searched);
	return EXIT_CODE_OK;
}

/* Before hours of simulation, not after. */
static int open_pictures(struct cli_call *call, const struct fleet_spec *spec,
			 struct pictures *pictures)
{
	const char *trace_path = cli_flag(call, "trace");
	char header[POLICY_RECORD_BYTES];

	if (cli_flag(call, "chart") && !(pictures->chart = new_chart(spec)))
		return out_fail(EXIT_CODE_FAILED, "out of memory");
	if (!trace_path)
		return EXIT_CODE_OK;
	pictures->trace = fopen(trace_path, "we");
	if (!pictures->trace)
		return out_fail(EXIT_CODE_FAILED, "%s: %s", trace_path, strerror(errno));
	(void)policy_record_header(header);
	(void)fputs(header, pictures->trace);
	return EXIT_CODE_OK;
}

static int close_pictures(struct cli_call *call, const struct pictures *pictures, int status)
{
	struct err err = { 0 };
	bool is_written = true;

	if (status == EXIT_CODE_OK && pictures->chart &&
	    chart_write(pictures->chart, cli_flag(call, "chart"), &err) < 0)
		status = out_fail(EXIT_CODE_FAILED, "%s", err.text);
	if (pictures->trace) {
		is_written = !ferror(pictures->trace);
		is_written = fclose(pictures->trace) == 0 && is_written;
	}
	free(pictures->chart);
	if (!is_written)
		return out_fail(EXIT_CODE_FAILED, "%s: writing failed: %s", cli_flag(call, "trace"),
				strerror(errno));
	return status;
}

int sim_fleet(struct cli_call *call, const char *spec_name)
{
	struct outcome outcomes[RULE_COUNT] = { 0 };
	const char *set = cli_flag(call, "set");
	struct pictures pictures = { 0 };
	struct fleet_spec spec;
	struct err err = { 0 };
	int status;

	if (fleet_spec_load(spec_name, &spec, &err) < 0 ||
	    (set && fleet_spec_set(&spec, set, &err) < 0))
		return out_fail(EXIT_CODE_USAGE, "%s", err.text);
	status = open_pictures(call, &spec, &pictures);
	if (status == EXIT_CODE_OK)
		status = run_all(call, &spec, &pictures, outcomes);
	status = close_pictures(call, &pictures, status);
	return status == EXIT_CODE_OK ? tell(call, &spec, outcomes) : status;
}
