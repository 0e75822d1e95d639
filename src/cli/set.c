/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* set.c - `neap set NAME memory=SIZE`: ask, and with --wait watch until the guest has done it.
 *
 * "Done" is taken == asked. While it waits it shows a line per change; on a terminal the line is
 * redrawn in place. The VM tells of changes (memory.balloon), and is asked again at least every
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

static const struct {
	const char *key;
	const char *param; /* of vm.memory.set */
} keys[] = {
	{ "memory", "target_bytes" },
	{ "balloon", "balloon_bytes" },
};

static int wrong_key(const char *text)
{
	char word[QUOTE_BYTES], quoted[QUOTE_BYTES], hint[HINT_BYTES];
	struct suggest suggest;

	(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(text, "="), text);
	suggest = suggest_start(word);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		suggest_offer(&suggest, keys[i].key);
	return out_fail(EXIT_CODE_USAGE, "%s cannot be set%s (write memory=SIZE or balloon=SIZE)",
			quote_text(word, quoted), suggest_hint(&suggest, "", hint));
}

static int read_setting(const char *text, json_t **ret_params)
{
	struct err err = { 0 };
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		size_t len = strlen(keys[i].key);

		if (strncmp(text, keys[i].key, len) != 0 || text[len] != '=')
			continue;
		if (units_parse_size(text + len + 1, &bytes, &err) < 0)
			return out_fail(EXIT_CODE_USAGE, "%s: %s", keys[i].key, err.text);
		if (bytes > INT64_MAX)
			return out_fail(EXIT_CODE_USAGE, "%s: more than any VM has", keys[i].key);
		*ret_params = json_pack("{s:I}", keys[i].param, (json_int_t)bytes);
		return EXIT_CODE_OK;
	}
	return wrong_key(text);
}

static void show_progress(const json_t *memory, bool redraw)
{
	char asked[UNITS_TEXT_BYTES], taken[UNITS_TEXT_BYTES], returned[UNITS_TEXT_BYTES];

	(void)printf("%sasked %s, taken %s, returned %s%s", redraw ? "\r\x1b[K" : "",
		     units_format_size(out_u64(memory, "asked_bytes"), asked),
		     units_format_size(out_u64(memory, "taken_bytes"), taken),
		     units_format_size(out_u64(memory, "returned_bytes"), returned),
		     redraw ? "" : "\n");
	(void)fflush(stdout);
}

static bool is_settled(const json_t *memory)
{
	return out_u64(memory, "asked_bytes") == out_u64(memory, "taken_bytes");
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

static int say_unfinished(const struct vm *vm, const json_t *memory)
{
	char asked[UNITS_TEXT_BYTES], taken[UNITS_TEXT_BYTES];

	return out_fail(
		EXIT_CODE_FAILED,
		"%s: the guest has handed over %s of the %s it is asked for; it goes on trying "
		"(neap info %s)",
		vm->name, units_format_size(out_u64(memory, "taken_bytes"), taken),
		units_format_size(out_u64(memory, "asked_bytes"), asked), vm->name);
}

/* EXIT_CODE_OK with the last look in *ret_memory. */
static int wait_until_settled(struct vm *vm, uint64_t timeout_ns, bool quiet, json_t **ret_memory)
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
		if (!quiet && out_u64(memory, "taken_bytes") != shown_bytes)
			show_progress(memory, redraw);
		shown_bytes = out_u64(memory, "taken_bytes");
		if (is_settled(memory) || clock_now_ns() >= deadline_ns)
			break;
		json_decref(memory);
		ret = wait_for_change(vm);
		if (ret != EXIT_CODE_OK)
			return ret;
	}
	if (!quiet && redraw)
		(void)putchar('\n');
	if (is_settled(memory)) {
		*ret_memory = memory;
		return EXIT_CODE_OK;
	}
	ret = say_unfinished(vm, memory);
	json_decref(memory);
	return ret;
}

static int ask(struct vm *vm, json_t *params, bool will_wait)
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
	ret = vm_call(vm, "vm.memory.set", params, &result);
	if (ret == EXIT_CODE_OK)
		json_decref(result);
	return ret;
}

static int report(struct vm *vm, struct cli_call *call, uint64_t timeout_ns)
{
	bool quiet = cli_wants_json(call);
	json_t *memory;
	int ret;

	if (cli_flag(call, "wait"))
		ret = wait_until_settled(vm, timeout_ns, quiet, &memory);
	else
		ret = vm_call(vm, "vm.memory", NULL, &memory);
	if (ret != EXIT_CODE_OK)
		return ret;
	if (quiet)
		return out_json(memory) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	if (!cli_flag(call, "wait"))
		show_progress(memory, false);
	json_decref(memory);
	return EXIT_CODE_OK;
}

int cli_set(struct cli_call *call)
{
	json_t *params = NULL;
	uint64_t timeout_ns;
	struct vm vm;
	int ret = cli_seconds(cli_flag(call, "timeout"), SET_WAIT_DEFAULT_S, &timeout_ns);

	if (ret == EXIT_CODE_OK)
		ret = read_setting(call->args[1], &params);
	if (ret != EXIT_CODE_OK)
		return ret;
	ret = vm_open(call->args[0], &vm);
	if (ret != EXIT_CODE_OK) {
		json_decref(params);
		return ret;
	}
	ret = ask(&vm, params, cli_flag(call, "wait") != NULL);
	if (ret == EXIT_CODE_OK)
		ret = report(&vm, call, timeout_ns);
	vm_close(&vm);
	return ret;
}
