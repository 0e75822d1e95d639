/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ps.c - `neap ps`: every VM that has a socket, also those that do not answer; with a daemon also those
 * that it keeps and that do not run.
 *
 * The daemon is asked once for all (ps_daemon.c). Each VM that it does not know is given PS_TIMEOUT_MS;
 * one that hangs costs that, and the others are still shown.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/ps.h"
#include "cli/vms.h"

enum { PS_TIMEOUT_MS = 1000 };

const struct ps_column ps_columns[PS_COLUMN_COUNT] = {
	{ "pid", false, NULL },
	{ "cpus", false, NULL },
	{ "uptime_ns", false, NULL },
	{ "maximum_bytes", true, NULL },
	{ "resident_bytes", true, NULL },
	{ "asked_bytes", true, "target_bytes" },
	{ "taken_bytes", true, "assigned_bytes" },
	{ "returned_bytes", true, NULL },
};

static json_t *call_quietly(struct vm *vm, const char *method, int *ret_code)
{
	json_t *result = NULL;

	*ret_code = rpc_client_call(vm->client, method, NULL, PS_TIMEOUT_MS, &result, NULL);
	return *ret_code == 0 ? result : NULL;
}

/* A row for a VM that gives no answer. NULL: it has gone meanwhile, so there is nothing to show. */
static json_t *silent_row(const struct vm *vm, int code)
{
	const char *state = "not answering";

	if (code == -ENOENT || code == -EPIPE)
		return NULL;
	if (code == -ECONNREFUSED)
		state = "left over";
	return json_pack("{s:s, s:s, s:I}", "name", vm->name, "state", state, "pid",
			 vm->client ? (json_int_t)rpc_client_peer_pid(vm->client) : 0);
}

static json_t *answering_row(const struct vm *vm, const json_t *info, const json_t *memory)
{
	json_t *row =
		json_pack("{s:s, s:s, s:s, s:s}", "name", vm->name, "uuid", out_text(info, "uuid"),
			  "state", out_text(info, "state"), "reason", out_text(info, "reason"));

	for (size_t i = 0; i < PS_COLUMN_COUNT; i++) {
		const struct ps_column *column = &ps_columns[i];
		const json_t *from = column->is_of_memory ? memory : info;

		(void)json_object_set_new(row, column->key,
					  json_integer((json_int_t)out_u64(from, column->key)));
	}
	return row;
}

static json_t *row_of(struct vm *vm)
{
	json_t *info, *memory = NULL, *row;
	int code = rpc_client_open(vm->path, &vm->client, NULL);

	if (code < 0)
		return silent_row(vm, code);
	info = call_quietly(vm, "vm.info", &code);
	if (info)
		memory = call_quietly(vm, "vm.memory", &code);
	if (info && memory)
		row = answering_row(vm, info, memory);
	else
		row = silent_row(vm, code);
	json_decref(info);
	json_decref(memory);
	vm_close(vm);
	return row;
}

/* An object whose keys are the names of @rows. */
static json_t *names_of(const json_t *rows)
{
	json_t *names = json_object();

	for (size_t i = 0; i < json_array_size(rows); i++)
		(void)json_object_set_new(names, out_text(json_array_get(rows, i), "name"),
					  json_true());
	return names;
}

/* Of all VMs that have a socket, but those of @known_rows. */
static json_t *own_rows(const json_t *known_rows, struct err *err)
{
	json_t *names = vm_names(err), *rows = names ? json_array() : NULL;
	json_t *known = names_of(known_rows);

	for (size_t i = 0; i < json_array_size(names); i++) {
		struct vm vm = { 0 };
		json_t *row = NULL;

		(void)snprintf(vm.name, sizeof(vm.name), "%s",
			       json_string_value(json_array_get(names, i)));
		if (!json_object_get(known, vm.name) &&
		    rpc_vm_path(vm.name, RPC_SOCKET_SUFFIX, vm.path, NULL) == 0)
			row = row_of(&vm);
		if (row)
			(void)json_array_append_new(rows, row);
	}
	json_decref(names);
	json_decref(known);
	return rows;
}

enum out_colour ps_state_colour(const char *state)
{
	if (strcmp(state, "running") == 0)
		return OUT_GREEN;
	if (strcmp(state, "not answering") == 0 || strcmp(state, "left over") == 0 ||
	    strcmp(state, "silent") == 0)
		return OUT_RED;
	if (strcmp(state, "stopped") == 0)
		return OUT_DIM;
	return OUT_YELLOW;
}

static void add_row(struct out_table *table, const json_t *row)
{
	const char *state = out_text(row, "state");
	bool answers = json_object_get(row, "maximum_bytes") != NULL;
	uint64_t pid = out_u64(row, "pid");
	char text[UNITS_TEXT_BYTES];

	out_cell(table, OUT_BOLD, "%s", out_text(row, "name"));
	out_cell(table, ps_state_colour(state), "%s", state);
	if (!answers) {
		for (int i = 0; i < 5; i++)
			out_cell(table, OUT_PLAIN, "-");
	} else {
		out_cell(table, OUT_PLAIN, "%" PRIu64, out_u64(row, "cpus"));
		out_cell_bytes(table, out_u64(row, "maximum_bytes"));
		out_cell_bytes(table, out_u64(row, "resident_bytes"));
		out_cell_bytes(table, out_u64(row, "returned_bytes"));
		out_cell(table, OUT_PLAIN, "%s", out_duration(out_u64(row, "uptime_ns"), text));
	}
	if (pid)
		out_cell(table, OUT_PLAIN, "%" PRIu64, pid);
	else
		out_cell(table, OUT_PLAIN, "-");
}

static void print_rows(const json_t *rows)
{
	static const char *const headers[] = { "NAME",	    "STATE",	 ">CPUS", ">MEMORY",
					       ">RESIDENT", ">RETURNED", ">UP",	  ">PID" };
	struct out_table table;

	out_table_init(&table, headers, ARRAY_LEN(headers));
	for (size_t i = 0; i < json_array_size(rows); i++)
		add_row(&table, json_array_get(rows, i));
	out_table_print(&table, stdout, "");
}

static void explain_left_over(const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++) {
		if (strcmp(out_text(json_array_get(rows, i), "state"), "left over") != 0)
			continue;
		out_note("\"left over\": ended without cleaning up; the next VM of that name "
			 "replaces its socket");
		return;
	}
}

static int print(struct cli_call *call, const struct daemon *daemon, json_t *rows)
{
	if (cli_wants_json(call))
		return out_json(json_incref(rows)) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	if (json_array_size(rows) == 0 && cli_flag(call, "selector"))
		out_note("no VM is selected");
	else if (json_array_size(rows) == 0)
		out_note(daemon->client ? "no VM (make one: neap create, or neap run)"
					: "no VM is running (start one: neap run)");
	else if (daemon->client)
		ps_print_daemon_rows(rows);
	else
		print_rows(rows);
	explain_left_over(rows);
	return EXIT_CODE_OK;
}

static int find_daemon(struct cli_call *call, struct daemon *daemon)
{
	return cli_flag(call, "selector") ? daemon_need(call, "VMs are selected", daemon)
					  : daemon_open(call, daemon);
}

/* A daemon that ended while it was asked is looked for again; it may be none any more. */
static int daemon_rows(struct cli_call *call, struct daemon *daemon, json_t **ret_rows)
{
	const char *selector = cli_flag(call, "selector");
	struct err err = { 0 };
	int code = ps_daemon_rows(daemon, selector, ret_rows, &err);

	for (int tries = 0; code == -EPIPE && tries < DAEMON_AGAIN_TRIES; tries++) {
		int ret;

		daemon_close(daemon);
		(void)poll(NULL, 0, DAEMON_AGAIN_MS);
		ret = find_daemon(call, daemon);
		if (ret != EXIT_CODE_OK || !daemon->client)
			return ret;
		code = ps_daemon_rows(daemon, selector, ret_rows, &err);
	}
	return code == 0 ? EXIT_CODE_OK : daemon_say_failure(NULL, code, &err);
}

/* With a daemon that was named, or a selector, the daemon's are all. */
static int list(struct cli_call *call, struct daemon *daemon, json_t **ret_rows)
{
	json_t *rows = NULL, *own = NULL;
	struct err err = { 0 };
	int ret = daemon->client ? daemon_rows(call, daemon, &rows) : EXIT_CODE_OK;

	if (ret != EXIT_CODE_OK)
		return ret;
	if (!daemon->client || (!daemon->is_named && !cli_flag(call, "selector")))
		own = own_rows(rows, &err);
	if (!daemon->client && !own)
		return out_fail(EXIT_CODE_FAILED, "%s", err.text);
	*ret_rows = rows ? rows : json_array();
	(void)json_array_extend(*ret_rows, own);
	json_decref(own);
	return EXIT_CODE_OK;
}

int cli_ps(struct cli_call *call)
{
	json_t *rows = NULL;
	struct daemon daemon;
	int ret = find_daemon(call, &daemon);

	if (ret == EXIT_CODE_OK)
		ret = list(call, &daemon, &rows);
	if (ret == EXIT_CODE_OK)
		ret = print(call, &daemon, rows);
	json_decref(rows);
	daemon_close(&daemon);
	return ret;
}
