/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* diary.c - see diary.h. Whoever reads a log at night wants to know which VM came, went or hangs, and since
 * when memory is short; how much each has from second to second is for the metrics to say.
 *
 * What makes these events bounds the lines: a VM that ends is started again after a pause that doubles, a
 * pool's state has hysteresis, a VM that hangs says so once.
 */
#include "host/diary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/units.h"

enum { REASON_BYTES = 256, TAIL_BYTES = 96 };

static uint64_t number(const json_t *data, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(data, key));
}

static const char *size(const json_t *data, const char *key, char text[UNITS_TEXT_BYTES])
{
	return units_format_size(number(data, key), text);
}

/* In the words of a VM's process, whose line breaks would look like lines of ours. */
static void copy_reason(const json_t *data, char ret_reason[REASON_BYTES])
{
	const char *untrusted_reason = json_string_value(json_object_get(data, "reason"));

	(void)snprintf(ret_reason, REASON_BYTES, "%s", untrusted_reason ? untrusted_reason : "");
	for (char *each = ret_reason; *each; each++)
		if ((unsigned char)*each < ' ' || *each == '\177')
			*each = ' ';
}

static void on_created(const char *vm, const json_t *data)
{
	(void)data;
	log_info("vm", "%s: stored", vm);
}

static void on_deleted(const char *vm, const json_t *data)
{
	(void)data;
	log_info("vm", "%s: forgotten", vm);
}

static void on_started(const char *vm, const json_t *data)
{
	log_info("vm", "%s: runs, process %" PRIu64, vm, number(data, "pid"));
}

static void on_adopted(const char *vm, const json_t *data)
{
	log_info("vm", "%s: found running, process %" PRIu64, vm, number(data, "pid"));
}

static void on_ended(const char *vm, const json_t *data)
{
	const json_t *code = json_object_get(data, "exit_code");
	json_int_t number_of_code = json_integer_value(code);
	bool was_asked =
		code && (number_of_code == EXIT_CODE_OK || number_of_code == EXIT_CODE_KILLED);
	char reason[REASON_BYTES], code_text[TAIL_BYTES] = "", again[TAIL_BYTES] = "";

	copy_reason(data, reason);
	if (code)
		(void)snprintf(code_text, sizeof(code_text), " (exit code %d)",
			       (int)number_of_code);
	if (json_object_get(data, "restart_in_ms"))
		(void)snprintf(again, sizeof(again), "; starts again in %" PRIu64 " ms",
			       number(data, "restart_in_ms"));
	log_line(was_asked ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "vm", "%s: ended%s%s%s%s", vm,
		 reason[0] ? ": " : "", reason, code_text, again);
}

static void on_silent(const char *vm, const json_t *data)
{
	log_warn("vm", "%s: has not answered for %" PRIu64 " ms", vm, number(data, "silent_ms"));
}

static void on_answers(const char *vm, const json_t *data)
{
	log_info("vm", "%s: answers again, after %" PRIu64 " ms", vm, number(data, "silent_ms"));
}

static void on_waits(const char *vm, const json_t *data)
{
	char startup[UNITS_TEXT_BYTES], room[UNITS_TEXT_BYTES];

	log_warn("vm", "%s: its start waits: it needs %s, there is room for %s", vm,
		 size(data, "startup_bytes", startup), size(data, "room_bytes", room));
}

static void on_over(const char *vm, const json_t *data)
{
	char held[UNITS_TEXT_BYTES], grant[UNITS_TEXT_BYTES];

	log_warn("vm", "%s: holds %s of the %s that it may, and gives nothing back", vm,
		 size(data, "held_bytes", held), size(data, "grant_bytes", grant));
}

static void on_pool(const char *vm, const json_t *data)
{
	const char *state = json_string_value(json_object_get(data, "state"));
	const char *pool = json_string_value(json_object_get(data, "pool"));
	char free_text[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES];
	bool is_short = state && (strcmp(state, "hard") == 0 || strcmp(state, "low") == 0);

	(void)vm;
	log_line(is_short ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "pool", "%s: %s, %s of %s are free",
		 pool, state, size(data, "free_bytes", free_text),
		 size(data, "total_bytes", total));
}

void diary_write(const char *vm_name, const char *kind, const json_t *data)
{
	static const struct {
		const char *kind;
		void (*write)(const char *vm_name, const json_t *data);
	} rows[] = {
		{ "vm.created", on_created }, { "vm.deleted", on_deleted },
		{ "vm.started", on_started }, { "vm.adopted", on_adopted },
		{ "vm.ended", on_ended },     { "vm.silent", on_silent },
		{ "vm.answers", on_answers }, { "vm.waits", on_waits },
		{ "memory.over", on_over },   { "host.pool", on_pool },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].kind, kind) == 0)
			rows[i].write(vm_name, data);
}
