/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ps_daemon.c - see ps.h.
 *
 * A row for programs is what the daemon says, with the numbers of its usage beside the rest, and with all
 * members that a row has without a daemon (ps_columns).
 */
#include "cli/ps.h"

#include <string.h>

#include "cli/vms.h"

enum { LABELS_BYTES = 64 * 320 }; /* as many as a VM may have */

static uint64_t value_of(const struct ps_column *column, const json_t *usage, const json_t *row)
{
	uint64_t maximum_bytes = out_u64(usage, "maximum_bytes");
	const json_t *less = column->less ? json_object_get(usage, column->less) : NULL;

	if (!column->less)
		return out_u64(row, column->key);
	return less ? maximum_bytes - out_u64(usage, column->less) : 0;
}

/* A new reference. */
static json_t *row_of(const json_t *vm)
{
	json_t *row = json_copy((json_t *)vm);
	json_t *usage = json_incref(json_object_get(row, "usage"));
	bool answers = json_object_get(usage, "maximum_bytes") != NULL;

	(void)json_object_del(row, "usage");
	(void)json_object_update_missing(row, usage);
	for (size_t i = 0; i < PS_COLUMN_COUNT && answers; i++)
		(void)json_object_set_new(
			row, ps_columns[i].key,
			json_integer((json_int_t)value_of(&ps_columns[i], usage, row)));
	if (!json_object_get(row, "pid"))
		(void)json_object_set_new(row, "pid", json_integer(0));
	json_decref(usage);
	return row;
}

int ps_daemon_rows(struct daemon *daemon, const char *selector, json_t **ret_rows, struct err *err)
{
	int code = 0;
	json_t *vms = vm_list(daemon->client, selector, DAEMON_LIST_TIMEOUT_MS, &code, err);
	json_t *rows;

	if (code != 0)
		return code;
	rows = json_array();
	for (size_t i = 0; i < json_array_size(vms); i++)
		(void)json_array_append_new(rows, row_of(json_array_get(vms, i)));
	json_decref(vms);
	*ret_rows = rows;
	return 0;
}

const char *ps_labels(const json_t *labels, char text[], size_t text_bytes)
{
	json_t *value;
	const char *key;
	size_t len = 0;

	(void)snprintf(text, text_bytes, "-");
	json_object_foreach((json_t *)labels, key, value)
	{
		const char *word = json_string_value(value);

		len += (size_t)snprintf(text + len, text_bytes - len, "%s%s%s%s", len ? "," : "",
					key, word && *word ? "=" : "", word ? word : "");
		if (len < text_bytes)
			continue;
		(void)snprintf(text + text_bytes - 4, 4, "...");
		break;
	}
	return text;
}

static void size_cell(struct out_table *table, const json_t *row, const char *member)
{
	if (json_object_get(row, member))
		out_cell_bytes(table, out_u64(row, member));
	else
		out_cell(table, OUT_PLAIN, "-");
}

static void add_row(struct out_table *table, const json_t *row)
{
	char text[UNITS_TEXT_BYTES], labels[LABELS_BYTES];
	const char *state = out_text(row, "state");

	out_cell(table, OUT_BOLD, "%s", out_text(row, "name"));
	out_cell(table, ps_state_colour(state), "%s", state);
	size_cell(table, row, "maximum_bytes");
	size_cell(table, row, "assigned_bytes");
	size_cell(table, row, "resident_bytes");
	if (out_u64(row, "pid"))
		out_cell(table, OUT_PLAIN, "%s", out_duration(out_u64(row, "uptime_ns"), text));
	else
		out_cell(table, OUT_PLAIN, "-");
	out_cell(table, OUT_PLAIN, "%" PRIu64, out_u64(row, "restarts"));
	if (out_u64(row, "pid"))
		out_cell(table, OUT_PLAIN, "%" PRIu64, out_u64(row, "pid"));
	else
		out_cell(table, OUT_PLAIN, "-");
	out_cell(table, OUT_PLAIN, "%s",
		 ps_labels(json_object_get(row, "labels"), labels, sizeof(labels)));
}

void ps_print_daemon_rows(const json_t *rows)
{
	static const char *const headers[] = { "NAME",	    "STATE",	 ">MEMORY",
					       ">ASSIGNED", ">RESIDENT", ">UP",
					       ">RESTARTS", ">PID",	 "<LABELS" };
	struct out_table table;

	out_table_init(&table, headers, ARRAY_LEN(headers));
	for (size_t i = 0; i < json_array_size(rows); i++)
		add_row(&table, json_array_get(rows, i));
	out_table_print(&table, stdout, "");
}
