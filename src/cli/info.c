/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* info.c - `neap info NAME`: everything a VM says of itself, on one screen. */
#include <inttypes.h>
#include <string.h>

#include "api/usage.h"
#include "base/fd.h"
#include "base/strbuf.h"
#include "cli/commands.h"
#include "cli/info.h"
#include "cli/output.h"
#include "cli/ps.h"
#include "cli/vms.h"

enum { HOST_LABELS_BYTES = 512 };

static const char *const two_columns[] = { "", "" };
static const char *const memory_columns[] = { "", ">", "" };

static void print_name_and_state(const json_t *info)
{
	(void)fputs(out_colour_on(stdout, OUT_BOLD), stdout);
	out_words(out_text(info, "name"));
	(void)printf("%s is ", out_colour_off(stdout, OUT_BOLD));
	out_words(out_text(info, "state"));
}

static void print_head(const json_t *info)
{
	char text[UNITS_TEXT_BYTES];
	struct out_table table;

	print_name_and_state(info);
	if (*out_text(info, "reason")) {
		(void)fputs(" (", stdout);
		out_words(out_text(info, "reason"));
		(void)putchar(')');
	}
	(void)printf(", up %s\n", out_duration(out_u64(info, "uptime_ns"), text));
	out_table_init(&table, two_columns, ARRAY_LEN(two_columns));
	out_cell(&table, OUT_DIM, "kernel");
	out_cell(&table, OUT_PLAIN, "%s", out_text(info, "kernel"));
	out_cell(&table, OUT_DIM, "vCPUs");
	out_cell(&table, OUT_PLAIN, "%" PRIu64, out_u64(info, "cpus"));
	out_cell(&table, OUT_DIM, "exits");
	out_cell(&table, OUT_PLAIN, "%" PRIu64, out_u64(info, "exits"));
	out_cell(&table, OUT_DIM, "resets");
	out_cell(&table, OUT_PLAIN, "%" PRIu64, out_u64(info, "resets"));
	out_cell(&table, OUT_DIM, "process");
	out_cell(&table, OUT_PLAIN, "%" PRIu64 ", neap %s", out_u64(info, "pid"),
		 out_text(info, "neap_version"));
	out_cell(&table, OUT_DIM, "uuid");
	out_cell(&table, OUT_PLAIN, "%s", out_text(info, "uuid"));
	out_table_print(&table, stdout, "  ");
}

static void memory_row(struct out_table *table, const char *name, uint64_t bytes,
		       const char *meaning)
{
	out_cell(table, OUT_DIM, "%s", name);
	out_cell_bytes(table, bytes);
	out_cell(table, OUT_PLAIN, "%s", meaning);
}

static void print_pool(const json_t *pool)
{
	char free_text_[UNITS_TEXT_BYTES], total_text[UNITS_TEXT_BYTES];

	if (pool)
		(void)printf("  host pool: %s free of %s\n",
			     units_format_size(out_u64(pool, "free_bytes"), free_text_),
			     units_format_size(out_u64(pool, "total_bytes"), total_text));
}

static void print_what_for(const json_t *memory)
{
	bool for_grant =
		out_u64(json_object_get(memory, "usage"), "waits_for") == API_USAGE_WAITS_FOR_GRANT;
	char most[UNITS_TEXT_BYTES];

	if (!json_is_true(json_object_get(memory, "waiting")))
		return;
	(void)fputs(out_colour_on(stdout, OUT_RED), stdout);
	if (for_grant)
		(void)printf("  a vCPU waits for a larger grant: the VM may hold %s of the host",
			     units_format_size(out_u64(memory, "grant_most_bytes"), most));
	else
		(void)fputs("  a vCPU waits for a free host page", stdout);
	(void)printf("%s\n", out_colour_off(stdout, OUT_RED));
}

static void print_waits(const json_t *memory)
{
	uint64_t starved_us = out_u64(memory, "starved_us");
	uint64_t over_grant_us = out_u64(memory, "over_grant_us");
	char text[UNITS_TEXT_BYTES];

	print_what_for(memory);
	if (out_u64(memory, "waits") > 0)
		(void)printf("  waited %" PRIu64 " times for the host, %s in all\n",
			     out_u64(memory, "waits"),
			     out_duration(out_u64(memory, "waited_ns"), text));
	if (out_u64(memory, "faults") == 0)
		return;
	(void)printf("  stalled: %s in %" PRIu64 " touches that neap answered",
		     out_short_time(out_u64(memory, "stall_us") * NS_PER_US, text),
		     out_u64(memory, "faults"));
	if (starved_us > 0)
		(void)printf(", %s of it for want of host pages",
			     out_short_time(starved_us * NS_PER_US, text));
	if (over_grant_us > 0)
		(void)printf(", %s of it for a larger grant",
			     out_short_time(over_grant_us * NS_PER_US, text));
	(void)putchar('\n');
}

static void print_memory(const json_t *info, const json_t *memory)
{
	uint64_t limit_bytes = out_u64(memory, "limit_bytes");
	char text[UNITS_TEXT_BYTES];
	struct out_table table;

	(void)printf("\n%sMemory%s on host pages of %s\n", out_colour_on(stdout, OUT_BOLD),
		     out_colour_off(stdout, OUT_BOLD),
		     units_format_size(out_u64(info, "frame_bytes"), text));
	out_table_init(&table, memory_columns, ARRAY_LEN(memory_columns));
	memory_row(&table, "maximum", out_u64(memory, "maximum_bytes"), "the guest's RAM");
	memory_row(&table, "resident", out_u64(memory, "resident_bytes"),
		   "what it holds of the host now");
	if (limit_bytes > 0)
		memory_row(&table, "limit", limit_bytes,
			   "the most it may hold; the rest is swapped");
	memory_row(&table, "asked", out_u64(memory, "asked_bytes"),
		   "what the guest is asked to hand over");
	memory_row(&table, "taken", out_u64(memory, "taken_bytes"), "what it has handed over");
	memory_row(&table, "returned", out_u64(memory, "returned_bytes"),
		   "what of that the host got back");
	memory_row(&table, "reported", out_u64(memory, "reported_total_bytes"),
		   "reported free by the guest and dropped, since the start");
	out_table_print(&table, stdout, "  ");
	print_waits(memory);
	print_pool(json_object_get(memory, "pool"));
	if (json_is_false(json_object_get(info, "pager")) && *out_text(info, "pager_reason"))
		(void)printf("  %sno pager: %s%s\n", out_colour_on(stdout, OUT_YELLOW),
			     out_text(info, "pager_reason"), out_colour_off(stdout, OUT_YELLOW));
}

static bool ends_with(const char *text, const char *tail)
{
	size_t len = strlen(text), tail_len = strlen(tail);

	return len >= tail_len && strcmp(text + len - tail_len, tail) == 0;
}

/* "free_bytes": 1048576 becomes "free  1 MiB"; other numbers stay as they are. */
static void statistic_row(struct out_table *table, const char *name, const json_t *value)
{
	uint64_t number = (uint64_t)json_integer_value(value);

	if (ends_with(name, "_bytes")) {
		out_cell(table, OUT_DIM, "%.*s", (int)(strlen(name) - strlen("_bytes")), name);
		out_cell_bytes(table, number);
		return;
	}
	out_cell(table, OUT_DIM, "%s", name);
	out_cell(table, OUT_PLAIN, "%" PRIu64, number);
}

static void print_statistics(json_t *statistics)
{
	static const char *const columns[] = { "", ">" };
	char text[UNITS_TEXT_BYTES];
	struct out_table table;
	const json_t *value;
	const char *name;

	if (!statistics)
		return;
	(void)printf("\n%sWhat the guest says%s, %s ago\n", out_colour_on(stdout, OUT_BOLD),
		     out_colour_off(stdout, OUT_BOLD),
		     out_duration(out_u64(statistics, "age_ns"), text));
	out_table_init(&table, columns, ARRAY_LEN(columns));
	json_object_foreach(statistics, name, value)
	{
		if (json_is_integer(value) && strcmp(name, "age_ns") != 0)
			statistic_row(&table, name, value);
	}
	out_table_print(&table, stdout, "  ");
}

static void print_devices(const json_t *devices)
{
	static const char *const columns[] = { "DEVICE", "STATUS", ">BAD REQUESTS" };
	struct out_table table;

	if (json_array_size(devices) == 0)
		return;
	(void)putchar('\n');
	out_table_init(&table, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < json_array_size(devices); i++) {
		const json_t *device = json_array_get(devices, i);
		const json_t *status = json_object_get(device, "status");

		out_cell(&table, OUT_PLAIN, "%s", out_text(device, "name"));
		if (json_is_true(json_object_get(device, "broken")))
			out_cell(&table, OUT_RED, "broken: waits for a reset by its driver");
		else if (json_is_string(status))
			out_cell(&table, OUT_PLAIN, "%s", json_string_value(status));
		else
			out_cell(&table, OUT_PLAIN, "%s",
				 out_u64(device, "status") & 4 ? "in use" : "no driver");
		out_cell(&table, OUT_PLAIN, "%" PRIu64, out_u64(device, "bad_requests"));
	}
	out_table_print(&table, stdout, "  ");
}

static void put_end(struct out_table *table, const json_t *host)
{
	char text[UNITS_TEXT_BYTES];

	if (!json_object_get(host, "ended_ago_ms"))
		return;
	out_cell(table, OUT_DIM, "last end");
	if (json_object_get(host, "exit_code"))
		out_cell(table, OUT_PLAIN, "%s ago, with exit code %" PRIu64,
			 out_duration(out_u64(host, "ended_ago_ms") * NS_PER_MS, text),
			 out_u64(host, "exit_code"));
	else
		out_cell(table, OUT_PLAIN, "%s ago",
			 out_duration(out_u64(host, "ended_ago_ms") * NS_PER_MS, text));
}

static void put_next_start(struct out_table *table, const json_t *host)
{
	const json_t *options = json_object_get(host, "next_start");
	CLEANUP(strbuf_fini)
	struct strbuf text;

	strbuf_init(&text, KIB_BYTES);
	if (json_array_size(options) == 0)
		return;
	for (size_t i = 0; i < json_array_size(options); i++)
		strbuf_printf(&text, "%s%s", i ? ", " : "",
			      json_string_value(json_array_get(options, i)));
	out_cell(table, OUT_DIM, "next start");
	out_cell(table, OUT_YELLOW, "changes %s", text.text ? text.text : "more than fits here");
}

/* What a daemon knows of it. */
static void print_host(const json_t *host)
{
	char labels[HOST_LABELS_BYTES], grant[UNITS_TEXT_BYTES];
	struct out_table table;

	if (!host)
		return;
	(void)printf("\n%sneapd%s %s\n", out_colour_on(stdout, OUT_BOLD),
		     out_colour_off(stdout, OUT_BOLD),
		     json_is_true(json_object_get(host, "transient")) ? "forgets it when it ends"
								      : "keeps it");
	out_table_init(&table, two_columns, ARRAY_LEN(two_columns));
	out_cell(&table, OUT_DIM, "labels");
	out_cell(&table, OUT_PLAIN, "%s",
		 ps_labels(json_object_get(host, "labels"), labels, sizeof(labels)));
	if (json_is_false(json_object_get(host, "transient"))) {
		out_cell(&table, OUT_DIM, "autostart");
		out_cell(&table, OUT_PLAIN, "%s",
			 json_is_true(json_object_get(host, "autostart")) ? "on" : "off");
		out_cell(&table, OUT_DIM, "restart");
		out_cell(&table, OUT_PLAIN, "%s (%" PRIu64 " times so far)",
			 out_text(host, "restart"), out_u64(host, "restarts"));
	}
	if (out_u64(host, "grant_bytes") > 0) {
		out_cell(&table, OUT_DIM, "grant");
		out_cell(&table, OUT_PLAIN, "%s",
			 units_format_size(out_u64(host, "grant_bytes"), grant));
	}
	put_next_start(&table, host);
	put_end(&table, host);
	out_cell(&table, OUT_DIM, "log");
	out_cell(&table, OUT_PLAIN, "%s", out_text(host, "log_path"));
	out_table_print(&table, stdout, "  ");
}

/* Of a VM that does not run what it will be; of one that does not answer what is known without it. */
static void print_known(const json_t *info)
{
	const json_t *config = json_object_get(info, "config");
	const char *kernel = out_text(json_object_get(config, "boot"), "kernel");
	const char *reason = out_text(info, "reason");
	struct out_table table;

	print_name_and_state(info);
	(void)puts(*reason ? ":" : "");
	if (*reason) {
		(void)printf("  ");
		out_wrapped(reason, strlen(reason), 2, 2);
	}
	out_table_init(&table, two_columns, ARRAY_LEN(two_columns));
	out_cell(&table, OUT_DIM, "kernel");
	out_cell(&table, OUT_PLAIN, "%s", *kernel ? kernel : "embedded");
	out_cell(&table, OUT_DIM, "memory");
	out_cell(&table, OUT_PLAIN, "%s", out_text(json_object_get(config, "memory"), "maximum"));
	if (out_u64(info, "pid") > 0) {
		out_cell(&table, OUT_DIM, "process");
		out_cell(&table, OUT_PLAIN, "%" PRIu64, out_u64(info, "pid"));
	}
	out_cell(&table, OUT_DIM, "uuid");
	out_cell(&table, OUT_PLAIN, "%s", out_text(info, "uuid"));
	out_table_print(&table, stdout, "  ");
	print_host(json_object_get(info, "host"));
}

/* The daemon answers for one that does not, or not yet. */
static bool has_answered(const json_t *info)
{
	return json_object_get(info, "uptime_ns") != NULL;
}

static void print_running(const json_t *info, const json_t *memory)
{
	print_head(info);
	print_host(json_object_get(info, "host"));
	print_memory(info, memory);
	info_print_policy(memory, out_text(info, "name"));
	info_print_blocks(memory);
	info_print_swap(memory);
	print_statistics(json_object_get(memory, "statistics"));
	print_devices(json_object_get(info, "devices"));
}

int cli_info(struct cli_call *call)
{
	json_t *info = NULL, *memory = NULL;
	struct vm vm;
	int ret = vm_open(call, call->args[0], &vm);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = vm_call(&vm, "vm.info", NULL, &info);
	if (ret == EXIT_CODE_OK && has_answered(info))
		ret = vm_call(&vm, "vm.memory", NULL, &memory);
	if (ret == EXIT_CODE_OK && cli_wants_json(call)) {
		if (!out_json(json_pack("{s:O, s:O*}", "info", info, "memory", memory)))
			ret = EXIT_CODE_FAILED;
	} else if (ret == EXIT_CODE_OK && memory) {
		print_running(info, memory);
	} else if (ret == EXIT_CODE_OK) {
		print_known(info);
	}
	json_decref(info);
	json_decref(memory);
	vm_close(&vm);
	return ret;
}
