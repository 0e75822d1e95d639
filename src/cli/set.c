/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* set.c - `neap set NAME KEY=SIZE`: ask, and with --wait watch until it is done.
 *
 * Of the balloon "done" is taken == asked: the guest does it. Of the limit it is resident <= limit:
 * the swapper does it. While it waits it shows a line per change; on a terminal the line is redrawn
 * in place. The VM tells of changes (memory.balloon), and is asked again at least every
 * SET_LOOK_MS, so a lost event costs no more than that.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"
#include "config/suggest.h"

enum { SET_LOOK_MS = 500, SET_WAIT_DEFAULT_S = 30 };

struct setting {
	const char *key;
	const char *method, *param;
	bool (*is_settled)(const json_t *memory);
	void (*show)(const json_t *memory, bool redraw);
	int (*say_unfinished)(const struct vm *vm, const json_t *memory);
	const char *moves; /* the number of vm.memory that shows how far it is */
};

static void show_balloon(const json_t *memory, bool redraw)
{
	char asked[UNITS_TEXT_BYTES], taken[UNITS_TEXT_BYTES], returned[UNITS_TEXT_BYTES];

	(void)printf("%sasked %s, taken %s, returned %s%s", redraw ? "\r\x1b[K" : "",
		     units_format_size(out_u64(memory, "asked_bytes"), asked),
		     units_format_size(out_u64(memory, "taken_bytes"), taken),
		     units_format_size(out_u64(memory, "returned_bytes"), returned),
		     redraw ? "" : "\n");
	(void)fflush(stdout);
}

static bool balloon_is_settled(const json_t *memory)
{
	return out_u64(memory, "asked_bytes") == out_u64(memory, "taken_bytes");
}

static int say_balloon_unfinished(const struct vm *vm, const json_t *memory)
{
	char asked[UNITS_TEXT_BYTES], taken[UNITS_TEXT_BYTES];

	return out_fail(
		EXIT_CODE_FAILED,
		"%s: the guest has handed over %s of the %s it is asked for; it goes on trying "
		"(neap info %s)",
		vm->name, units_format_size(out_u64(memory, "taken_bytes"), taken),
		units_format_size(out_u64(memory, "asked_bytes"), asked), vm->name);
}

static const char *limit_text(const json_t *memory, char text[UNITS_TEXT_BYTES])
{
	uint64_t limit_bytes = out_u64(memory, "limit_bytes");

	return limit_bytes ? units_format_size(limit_bytes, text) : "none";
}

static void show_limit(const json_t *memory, bool redraw)
{
	char limit[UNITS_TEXT_BYTES], resident[UNITS_TEXT_BYTES], swapped[UNITS_TEXT_BYTES];
	const json_t *frames = json_object_get(memory, "frames");

	(void)printf("%slimit %s, resident %s, swapped %s%s", redraw ? "\r\x1b[K" : "",
		     limit_text(memory, limit),
		     units_format_size(out_u64(memory, "resident_bytes"), resident),
		     units_format_size(out_u64(frames, "swapped"), swapped), redraw ? "" : "\n");
	(void)fflush(stdout);
}

static bool limit_is_settled(const json_t *memory)
{
	uint64_t limit_bytes = out_u64(memory, "limit_bytes");

	return limit_bytes == 0 || out_u64(memory, "resident_bytes") <= limit_bytes;
}

static int say_limit_unfinished(const struct vm *vm, const json_t *memory)
{
	char limit[UNITS_TEXT_BYTES], resident[UNITS_TEXT_BYTES];

	return out_fail(EXIT_CODE_FAILED,
			"%s: still holds %s, and the limit is %s; it goes on trying (neap info %s)",
			vm->name, units_format_size(out_u64(memory, "resident_bytes"), resident),
			limit_text(memory, limit), vm->name);
}

static const struct setting settings[] = {
	{ "memory", "vm.memory.set", "target_bytes", balloon_is_settled, show_balloon,
	  say_balloon_unfinished, "taken_bytes" },
	{ "balloon", "vm.memory.set", "balloon_bytes", balloon_is_settled, show_balloon,
	  say_balloon_unfinished, "taken_bytes" },
	{ "memory.limit", "vm.memory.limit", "limit_bytes", limit_is_settled, show_limit,
	  say_limit_unfinished, "resident_bytes" },
};

static int wrong_key(const char *text)
{
	char word[QUOTE_BYTES], quoted[QUOTE_BYTES], hint[HINT_BYTES];
	struct suggest suggest;

	(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(text, "="), text);
	suggest = suggest_start(word);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		suggest_offer(&suggest, settings[i].key);
	return out_fail(EXIT_CODE_USAGE,
			"%s cannot be set%s (write memory=SIZE, balloon=SIZE or memory.limit=SIZE)",
			quote_text(word, quoted), suggest_hint(&suggest, "", hint));
}

static int read_setting(const char *text, const struct setting **ret_setting, json_t **ret_params)
{
	struct err err = { 0 };
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *setting = &settings[i];
		size_t len = strlen(setting->key);

		if (strncmp(text, setting->key, len) != 0 || text[len] != '=')
			continue;
		if (units_parse_size(text + len + 1, &bytes, &err) < 0)
			return out_fail(EXIT_CODE_USAGE, "%s: %s", setting->key, err.text);
		if (bytes > INT64_MAX)
			return out_fail(EXIT_CODE_USAGE, "%s: more than any VM has", setting->key);
		*ret_params = json_pack("{s:I}", setting->param, (json_int_t)bytes);
		*ret_setting = setting;
		return EXIT_CODE_OK;
	}
	return wrong_key(text);
}

/* Waits for the next change, or a while. */
static int wait_for_change(struct vm *vm)
{
	struct err err = { 0 };
	json_t *event = NULL;
	int ret = rpc_client_next_event(vm->client, SET_LOOK_MS, &event, &err);

	json_decref(event);
	return ret == 0 || ret == -ETIMEDOUT ? EXIT_CODE_OK : vm_say_failure(vm, ret, &err);
}

/* EXIT_CODE_OK with the last look in *ret_memory. */
static int wait_until_settled(struct vm *vm, const struct setting *setting, uint64_t timeout_ns,
			      bool quiet, json_t **ret_memory)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	bool redraw = isatty(STDOUT_FILENO);
	uint64_t shown_bytes = UINT64_MAX;
	json_t *memory;
	int ret;

	for (;;) {
		ret = vm_call(vm, "vm.memory", NULL, &memory);
		if (ret != EXIT_CODE_OK)
			return ret;
		if (!quiet && out_u64(memory, setting->moves) != shown_bytes)
			setting->show(memory, redraw);
		shown_bytes = out_u64(memory, setting->moves);
		if (setting->is_settled(memory) || clock_now_ns() >= deadline_ns)
			break;
		json_decref(memory);
		ret = wait_for_change(vm);
		if (ret != EXIT_CODE_OK)
			return ret;
	}
	if (!quiet && redraw)
		(void)putchar('\n');
	if (setting->is_settled(memory)) {
		*ret_memory = memory;
		return EXIT_CODE_OK;
	}
	ret = setting->say_unfinished(vm, memory);
	json_decref(memory);
	return ret;
}

static int ask(struct vm *vm, const struct setting *setting, json_t *params, bool will_wait)
{
	json_t *result;
	int ret;

	if (will_wait) {
		ret = vm_call(vm, "events.subscribe",
			      json_pack("{s:[s]}", "kinds", "memory.balloon"), &result);
		if (ret != EXIT_CODE_OK) {
			json_decref(params);
			return ret;
		}
		json_decref(result);
	}
	ret = vm_call(vm, setting->method, params, &result);
	if (ret == EXIT_CODE_OK)
		json_decref(result);
	return ret;
}

static int report(struct vm *vm, const struct setting *setting, struct cli_call *call,
		  uint64_t timeout_ns)
{
	bool quiet = cli_wants_json(call);
	json_t *memory;
	int ret;

	if (cli_flag(call, "wait"))
		ret = wait_until_settled(vm, setting, timeout_ns, quiet, &memory);
	else
		ret = vm_call(vm, "vm.memory", NULL, &memory);
	if (ret != EXIT_CODE_OK)
		return ret;
	if (quiet)
		return out_json(memory) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	if (!cli_flag(call, "wait"))
		setting->show(memory, false);
	json_decref(memory);
	return EXIT_CODE_OK;
}

int cli_set(struct cli_call *call)
{
	const struct setting *setting = NULL;
	json_t *params = NULL;
	uint64_t timeout_ns;
	struct vm vm;
	int ret = cli_seconds(cli_flag(call, "timeout"), SET_WAIT_DEFAULT_S, &timeout_ns);

	if (ret == EXIT_CODE_OK)
		ret = read_setting(call->args[1], &setting, &params);
	if (ret != EXIT_CODE_OK || !setting)
		return ret;
	ret = vm_open(call->args[0], &vm);
	if (ret != EXIT_CODE_OK) {
		json_decref(params);
		return ret;
	}
	ret = ask(&vm, setting, params, cli_flag(call, "wait") != NULL);
	if (ret == EXIT_CODE_OK)
		ret = report(&vm, setting, call, timeout_ns);
	vm_close(&vm);
	return ret;
}
