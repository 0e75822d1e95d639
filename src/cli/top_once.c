/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top_once.c - `neap top --once`: the table, or its data, once. See top.h. */
#include <string.h>

#include "base/exit_code.h"
#include "cli/top.h"

enum { ONCE_BAR_CELLS = 24 };

static void print_host(const struct top_host *host)
{
	char free_text_[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES];

	if (host->has_pool && host->pool_bytes > 0)
		(void)printf("pool of 2 MiB pages: %s free of %s, %s\n",
			     units_format_size(host->pool_free_bytes, free_text_),
			     units_format_size(host->pool_bytes, total),
			     host_state_names[host->pool_state]);
	if (host->has_memory)
		(void)printf("host memory: %s available of %s\n",
			     units_format_size(host->memory_available_bytes, free_text_),
			     units_format_size(host->memory_bytes, total));
}

static void size_cell(struct out_table *table, bool is_known, uint64_t bytes)
{
	if (is_known)
		out_cell_bytes(table, bytes);
	else
		out_cell(table, OUT_PLAIN, "-");
}

static void bar_cell(struct out_table *table, const struct top_row *row, uint64_t scale_bytes,
		     bool has_unicode)
{
	enum top_cell cells[TOP_BAR_MAX];
	char text[ONCE_BAR_CELLS * 4 + 1] = "", *at = text;

	top_bar(row, scale_bytes, ONCE_BAR_CELLS, cells);
	for (unsigned i = 0; i < ONCE_BAR_CELLS && cells[i] != TOP_CELL_NONE; i++) {
		if (has_unicode)
			at = stpcpy(at, top_looks[cells[i]].unicode);
		else
			*at++ = top_looks[cells[i]].ascii;
	}
	*at = '\0';
	out_cell(table, OUT_PLAIN, "%s", text);
}

static void add_row(struct out_table *table, const struct top_row *row, uint64_t scale_bytes,
		    bool has_unicode)
{
	char text[UNITS_TEXT_BYTES];

	out_cell(table, OUT_BOLD, "%s", row->name);
	out_cell(table, row->answers ? OUT_PLAIN : OUT_RED, "%s", row->state);
	out_cell(table, top_status_colour(row), "%s", row->has_policy ? row->status : "-");
	size_cell(table, row->has_policy, row->minimum_bytes);
	size_cell(table, row->has_demand, row->demand_bytes);
	size_cell(table, row->answers, row->assigned_bytes);
	size_cell(table, row->answers, row->maximum_bytes);
	if (row->has_demand)
		out_cell(table, OUT_PLAIN, "%" PRIu64 " %%", row->pressure_percent);
	else
		out_cell(table, OUT_PLAIN, "-");
	size_cell(table, row->answers, row->swapped_bytes);
	out_cell(table, OUT_PLAIN, "%s", top_stall(row, text));
	bar_cell(table, row, scale_bytes, has_unicode);
}

static void print_rows(const struct top_rows *rows)
{
	static const char *const headers[] = { "NAME",	   "STATE",	"STATUS",   ">MINIMUM",
					       ">DEMAND",  ">ASSIGNED", ">MAXIMUM", ">PRESSURE",
					       ">SWAPPED", ">STALLED",	"TO SCALE" };
	uint64_t scale_bytes = top_rows_largest_bytes(rows);
	bool has_unicode = top_has_unicode();
	struct out_table table;

	out_table_init(&table, headers, ARRAY_LEN(headers));
	for (unsigned i = 0; i < rows->count; i++)
		add_row(&table, &rows->rows[i], scale_bytes, has_unicode);
	out_table_print(&table, stdout, "");
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *host_json(const struct top_host *host)
{
	json_t *json = json_object();

	if (host->has_pool)
		(void)json_object_set_new(json, "pool",
					  json_pack("{s:s, s:I, s:I, s:I}", "state",
						    host_state_names[host->pool_state],
						    "frame_bytes", (json_int_t)HUGE_FRAME_BYTES,
						    "total_bytes", (json_int_t)host->pool_bytes,
						    "free_bytes",
						    (json_int_t)host->pool_free_bytes));
	if (host->has_memory)
		(void)json_object_set_new(
			json, "memory",
			json_pack("{s:I, s:I}", "total_bytes", (json_int_t)host->memory_bytes,
				  "available_bytes", (json_int_t)host->memory_available_bytes));
	return json;
}

static json_t *policy_json(const struct top_row *row)
{
	json_t *json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "status", row->status, "mode",
				 row->mode, "minimum_bytes", (json_int_t)row->minimum_bytes,
				 "want_bytes", (json_int_t)row->want_bytes, "target_bytes",
				 (json_int_t)row->target_bytes, "weight", (json_int_t)row->weight);

	if (row->has_details)
		(void)json_object_update_new(json, json_pack("{s:s, s:I}", "rule", row->rule,
							     "buffer_percent",
							     (json_int_t)row->buffer_percent));
	if (row->has_demand)
		(void)json_object_update_new(
			json, json_pack("{s:I, s:I}", "demand_bytes", (json_int_t)row->demand_bytes,
					"pressure_percent", (json_int_t)row->pressure_percent));
	if (row->has_demand && row->has_details)
		(void)json_object_set_new(json, "average_pressure_percent",
					  json_integer((json_int_t)row->average_pressure_percent));
	return json;
}

/* What is not known is left out. */
static json_t *row_json(const struct top_row *row)
{
	json_t *json = json_pack("{s:s, s:s, s:I}", "name", row->name, "state", row->state, "pid",
				 (json_int_t)row->pid);

	if (row->answers)
		(void)json_object_update_new(
			json, json_pack("{s:I, s:I, s:I, s:I, s:I}", "maximum_bytes",
					(json_int_t)row->maximum_bytes, "assigned_bytes",
					(json_int_t)row->assigned_bytes, "resident_bytes",
					(json_int_t)row->resident_bytes, "swapped_bytes",
					(json_int_t)row->swapped_bytes, "stall_us",
					(json_int_t)row->stall_us));
	if (row->has_policy)
		(void)json_object_update_new(json, policy_json(row));
	return json;
}

static json_t *top_json(const struct top_rows *rows, const struct top_host *host)
{
	json_t *vms = json_array();

	for (unsigned i = 0; i < rows->count; i++)
		(void)json_array_append_new(vms, row_json(&rows->rows[i]));
	return json_pack("{s:o, s:o}", "host", host_json(host), "vms", vms);
}

int top_once(const struct top_rows *rows, const struct top_host *host, bool as_json)
{
	if (as_json)
		return out_json(top_json(rows, host)) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	print_host(host);
	if (rows->count == 0)
		out_note("no VM is running (start one: neap run)");
	else
		print_rows(rows);
	return EXIT_CODE_OK;
}
