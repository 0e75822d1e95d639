/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host.c - `neap host`: the ledger of a host's memory, so that one look says whether there is enough,
 * who has it, and why a VM does not get more.
 */
#include <string.h>

#include "cli/bulk.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/top.h"
#include "cli/vms.h"

enum { BAR_CELLS = 56 };

/* What a pool's bytes are used for, as the bar shows them from left to right. */
static const struct part {
	const char *member, *name, *unicode;
	char ascii;
	enum out_colour colour;
	const char *meaning;
} parts[] = {
	{ "others_bytes", "others", "\u2593", '%', OUT_DIM, "held by other programs" },
	{ "used_bytes", "VMs", "\u2588", '#', OUT_CYAN, "held by VMs" },
	{ "promised_bytes", "promised", "\u2592", '+', OUT_YELLOW,
	  "granted to VMs and not used yet" },
	{ NULL, "kept", "\u2591", '-', OUT_DIM, "kept free, so that VMs can grow at once" },
	{ "room_bytes", "room", "\u2581", '.', OUT_GREEN, "could still be promised" },
};

/* What is free is promised, or room, or kept free for growth. */
static void part_bytes(const json_t *pool, uint64_t ret_bytes[ARRAY_LEN(parts)])
{
	uint64_t left = out_u64(pool, "total_bytes");
	size_t kept = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		uint64_t bytes = parts[i].member ? out_u64(pool, parts[i].member) : 0;

		if (!parts[i].member)
			kept = i;
		ret_bytes[i] = bytes < left ? bytes : left;
		left -= ret_bytes[i];
	}
	ret_bytes[kept] = left;
}

static void print_bar(const json_t *pool, const uint64_t bytes[ARRAY_LEN(parts)])
{
	uint64_t total = out_u64(pool, "total_bytes"), sum = 0;
	bool has_unicode = top_has_unicode();
	unsigned shown = 0;

	if (total == 0)
		return;
	(void)fputs("  ", stdout);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		unsigned end;

		sum += bytes[i];
		end = (unsigned)((double)sum / (double)total * BAR_CELLS + 0.5);
		(void)fputs(out_colour_on(stdout, parts[i].colour), stdout);
		for (; shown < end; shown++) {
			if (has_unicode)
				(void)fputs(parts[i].unicode, stdout);
			else
				(void)putchar(parts[i].ascii);
		}
		(void)fputs(out_colour_off(stdout, parts[i].colour), stdout);
	}
	(void)putchar('\n');
}

static void print_parts(const uint64_t bytes[ARRAY_LEN(parts)])
{
	static const char *const columns[] = { "", "", ">", "" };
	bool has_unicode = top_has_unicode();
	struct out_table table;

	out_table_init(&table, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (has_unicode)
			out_cell(&table, parts[i].colour, "%s", parts[i].unicode);
		else
			out_cell(&table, parts[i].colour, "%c", parts[i].ascii);
		out_cell(&table, OUT_DIM, "%s", parts[i].name);
		out_cell_bytes(&table, bytes[i]);
		out_cell(&table, OUT_PLAIN, "%s", parts[i].meaning);
	}
	out_table_print(&table, stdout, "  ");
}

/* --- what its state means ----------------------------------------------------------------------- */

static const struct {
	enum host_state state;
	enum out_colour colour;
	const char *meaning;
} states[] = {
	{ HOST_CLEAR, OUT_GREEN, "every VM gets what it wants" },
	{ HOST_SOFT, OUT_YELLOW, "VMs give back what they do not need" },
	{ HOST_HARD, OUT_RED, "VMs give back more, and idle memory goes to swap" },
	{ HOST_LOW, OUT_RED, "almost nothing is free: VMs may have to wait for memory" },
};

static void print_state(const json_t *pool)
{
	const char *state = out_text(pool, "state");
	char free_text_[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES], frame[UNITS_TEXT_BYTES];
	enum out_colour colour = OUT_PLAIN;
	const char *meaning = "";

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (strcmp(host_state_names[states[i].state], state) != 0)
			continue;
		colour = states[i].colour;
		meaning = states[i].meaning;
	}
	(void)fputs(out_colour_on(stdout, OUT_BOLD), stdout);
	out_words(out_text(pool, "name"));
	(void)printf("%s: %s free of %s, pages of %s, %s", out_colour_off(stdout, OUT_BOLD),
		     units_format_size(out_u64(pool, "free_bytes"), free_text_),
		     units_format_size(out_u64(pool, "total_bytes"), total),
		     units_format_size(out_u64(pool, "frame_bytes"), frame),
		     out_colour_on(stdout, colour));
	out_words(state);
	(void)printf("%s%s%s\n", out_colour_off(stdout, colour), *meaning ? ": " : "", meaning);
}

/* Below how much free memory the next worse state begins, and above how much this one ends. */
static void print_marks(const json_t *pool)
{
	const json_t *marks = json_object_get(pool, "marks");
	char soft[UNITS_TEXT_BYTES], hard[UNITS_TEXT_BYTES], low[UNITS_TEXT_BYTES];

	if (json_object_get(marks, "soft_bytes"))
		(void)printf("  soft below %s free, hard below %s, low below %s\n",
			     units_format_size(out_u64(marks, "soft_bytes"), soft),
			     units_format_size(out_u64(marks, "hard_bytes"), hard),
			     units_format_size(out_u64(marks, "low_bytes"), low));
}

/* --- who holds what ----------------------------------------------------------------------------- */

/* Why it has what it has, in a word or two. */
static const char *why(const json_t *vm, enum out_colour *ret_colour)
{
	uint64_t want = out_u64(vm, "want_bytes"), grant = out_u64(vm, "grant_bytes");
	uint64_t held = out_u64(vm, "held_bytes");

	*ret_colour = OUT_PLAIN;
	if (json_is_false(json_object_get(vm, "answering"))) {
		*ret_colour = OUT_RED;
		return "does not answer: keeps what it holds";
	}
	if (grant == 0)
		return "decides by itself";
	if (json_is_true(json_object_get(vm, "waits"))) {
		*ret_colour = OUT_RED;
		return "waits: its guest touched more than its grant";
	}
	if (grant < want) {
		*ret_colour = grant <= out_u64(vm, "minimum_bytes") ? OUT_RED : OUT_YELLOW;
		return grant <= out_u64(vm, "minimum_bytes") ? "wants more: cut to its minimum"
							     : "wants more: shared out by weight";
	}
	if (held > grant) {
		*ret_colour = OUT_YELLOW;
		return "gives back";
	}
	*ret_colour = OUT_GREEN;
	return "has what it wants";
}

static void rho_cell(struct out_table *table, const json_t *vm)
{
	const json_t *rho = json_object_get(vm, "rho");

	if (json_is_number(rho))
		out_cell(table, OUT_PLAIN, json_number_value(rho) < 100 ? "%.3g" : "%.0f",
			 json_number_value(rho));
	else
		out_cell(table, OUT_PLAIN, "-");
}

static void vm_row(struct out_table *table, const json_t *vm)
{
	enum out_colour colour;
	const char *reason = why(vm, &colour);

	out_cell(table, OUT_BOLD, "%s", out_text(vm, "vm"));
	out_cell_bytes(table, out_u64(vm, "held_bytes"));
	if (out_u64(vm, "grant_bytes") > 0)
		out_cell_bytes(table, out_u64(vm, "grant_bytes"));
	else
		out_cell(table, OUT_PLAIN, "-");
	out_cell_bytes(table, out_u64(vm, "want_bytes"));
	out_cell_bytes(table, out_u64(vm, "minimum_bytes"));
	out_cell(table, OUT_PLAIN, "%" PRIu64, out_u64(vm, "weight"));
	if (json_object_get(vm, "active_percent"))
		out_cell(table, OUT_PLAIN, "%" PRIu64 " %%", out_u64(vm, "active_percent"));
	else
		out_cell(table, OUT_PLAIN, "-");
	rho_cell(table, vm);
	out_cell(table, colour, "%s", reason);
}

static void print_vms(const json_t *vms)
{
	static const char *const headers[] = { "NAME",	  ">HOLDS",  ">GRANT", ">WANTS", ">MINIMUM",
					       ">WEIGHT", ">ACTIVE", ">RHO",   "WHY" };
	struct out_table table;

	if (json_array_size(vms) == 0)
		return;
	out_table_init(&table, headers, ARRAY_LEN(headers));
	for (size_t i = 0; i < json_array_size(vms); i++)
		vm_row(&table, json_array_get(vms, i));
	out_table_print(&table, stdout, "  ");
}

static void print_waiting(const json_t *waiting, const json_t *pool)
{
	char needs[UNITS_TEXT_BYTES], room[UNITS_TEXT_BYTES];

	for (size_t i = 0; i < json_array_size(waiting); i++) {
		const json_t *row = json_array_get(waiting, i);

		(void)printf("  %s%s waits to start%s: needs %s, there is room for %s\n",
			     out_colour_on(stdout, OUT_YELLOW), out_text(row, "vm"),
			     out_colour_off(stdout, OUT_YELLOW),
			     units_format_size(out_u64(row, "startup_bytes"), needs),
			     units_format_size(out_u64(pool, "room_bytes"), room));
	}
}

static void print_pool(const json_t *pool)
{
	uint64_t bytes[ARRAY_LEN(parts)];

	print_state(pool);
	if (out_u64(pool, "total_bytes") == 0) {
		(void)puts("  the host has reserved none (neap doctor says how)");
		return;
	}
	part_bytes(pool, bytes);
	print_bar(pool, bytes);
	print_parts(bytes);
	print_marks(pool);
	print_vms(json_object_get(pool, "vms"));
	print_waiting(json_object_get(pool, "waiting"), pool);
}

/* --- the daemon --------------------------------------------------------------------------------- */

static void print_silent(const json_t *metrics)
{
	for (size_t i = 0; i < json_array_size(metrics); i++) {
		const json_t *door = json_array_get(metrics, i);
		const char *error = json_string_value(json_object_get(door, "error"));

		if (error)
			(void)printf("%sno metrics%s at %s: %s\n", out_colour_on(stdout, OUT_RED),
				     out_colour_off(stdout, OUT_RED), out_text(door, "at"), error);
	}
}

/* "12 running 3 stopped", or "none". */
static void print_counts(json_t *vms)
{
	const json_t *count;
	const char *state;
	bool has_any = false;

	json_object_foreach(vms, state, count)
	{
		if (json_integer_value(count) <= 0)
			continue;
		(void)printf(" %" JSON_INTEGER_FORMAT " %s", json_integer_value(count), state);
		has_any = true;
	}
	(void)puts(has_any ? "" : " none");
}

static void print_info(const json_t *info)
{
	const json_t *aside = json_object_get(info, "set_aside");
	char text[UNITS_TEXT_BYTES];

	(void)printf("neapd %s, process %" PRIu64 ", up %s; VMs:", out_text(info, "neap_version"),
		     out_u64(info, "pid"), out_duration(out_u64(info, "uptime_ns"), text));
	print_counts(json_object_get(info, "vms"));
	for (size_t i = 0; i < json_array_size(aside); i++)
		(void)printf("%sset aside%s: %s\n", out_colour_on(stdout, OUT_RED),
			     out_colour_off(stdout, OUT_RED),
			     json_string_value(json_array_get(aside, i)));
	print_silent(json_object_get(info, "metrics"));
}

static int print_all(const struct cli_call *call, const json_t *info, const json_t *pools)
{
	if (cli_wants_json(call))
		return out_json(json_pack("{s:O, s:O}", "info", info, "pools", pools))
			       ? EXIT_CODE_OK
			       : EXIT_CODE_FAILED;
	print_info(info);
	for (size_t i = 0; i < json_array_size(pools); i++) {
		(void)putchar('\n');
		print_pool(json_array_get(pools, i));
	}
	return EXIT_CODE_OK;
}

int cli_host(struct cli_call *call)
{
	json_t *info = NULL, *ledger = NULL;
	struct daemon daemon;
	int ret = daemon_need(call, "The host's memory is looked after", &daemon);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = daemon_call(&daemon, "host.info", NULL, VM_CALL_TIMEOUT_MS, &info);
	if (ret == EXIT_CODE_OK)
		ret = daemon_call(&daemon, "host.pools", NULL, VM_CALL_TIMEOUT_MS, &ledger);
	if (ret == EXIT_CODE_OK)
		ret = print_all(call, info, json_object_get(ledger, "pools"));
	json_decref(info);
	json_decref(ledger);
	daemon_close(&daemon);
	return ret;
}
