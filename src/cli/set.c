/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* set.c - `neap set NAME KEY=VALUE...`: ask, and with --wait watch until it is done.
 *
 * Of the balloon "done" is taken == asked: the guest does it. Of the limit it is resident <= limit:
 * the swapper does it. While it waits it shows a line per change; on a terminal the line is redrawn
 * in place. The VM tells of changes (memory.balloon), and is asked again at least every
 * SET_LOOK_MS, so a lost event costs no more than that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"
#include "config/suggest.h"

enum { SET_LOOK_MS = 500, SET_WAIT_DEFAULT_S = 30 };

/* How far it has come with what was asked for. */
struct progress {
	bool (*is_settled)(const json_t *memory);
	void (*show)(const json_t *memory, bool redraw);
	int (*say_unfinished)(const struct vm *vm, const json_t *memory);
	const char *moves; /* the number of vm.memory that shows how far it is */
};

enum value_type { VALUE_SIZE, VALUE_NUMBER, VALUE_WORD };

struct setting {
	const char *key;
	const char *method, *param;
	enum value_type type;
	const struct progress *progress; /* NULL: done when it is said */
};

/* What is asked for: one call. */
struct request {
	const char *method; /* NULL: nothing yet */
	json_t *params;
	const struct progress *progress;
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

static const struct progress balloon_progress = { balloon_is_settled, show_balloon,
						  say_balloon_unfinished, "taken_bytes" };
static const struct progress limit_progress = { limit_is_settled, show_limit, say_limit_unfinished,
						"resident_bytes" };

static const struct setting settings[] = {
	{ "memory", "vm.memory.set", "target_bytes", VALUE_SIZE, &balloon_progress },
	{ "balloon", "vm.memory.set", "balloon_bytes", VALUE_SIZE, &balloon_progress },
	{ "memory.minimum", "vm.memory.set", "minimum_bytes", VALUE_SIZE, NULL },
	{ "memory.buffer", "vm.memory.set", "buffer_percent", VALUE_NUMBER, NULL },
	{ "memory.weight", "vm.memory.set", "weight", VALUE_NUMBER, NULL },
	{ "memory.mode", "vm.memory.set", "mode", VALUE_WORD, NULL },
	{ "memory.limit", "vm.memory.limit", "limit_bytes", VALUE_SIZE, &limit_progress },
};

static void show_settings(const json_t *memory)
{
	const json_t *policy = json_object_get(memory, "policy");
	const char *mode = json_string_value(json_object_get(policy, "mode"));
	char minimum[UNITS_TEXT_BYTES];

	(void)printf("mode %s, minimum %s, buffer %" PRIu64 " %%, weight %" PRIu64 "\n",
		     mode ? mode : "unknown",
		     units_format_size(out_u64(policy, "minimum_bytes"), minimum),
		     out_u64(policy, "buffer_percent"), out_u64(policy, "weight"));
}

static int wrong_key(const char *text)
{
	char word[QUOTE_BYTES], quoted[QUOTE_BYTES], hint[HINT_BYTES];
	struct suggest suggest;

	(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(text, "="), text);
	suggest = suggest_start(word);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		suggest_offer(&suggest, settings[i].key);
	return out_fail(EXIT_CODE_USAGE,
			"%s cannot be set%s (write memory=SIZE, balloon=SIZE, or KEY=VALUE with "
			"one of memory.limit, memory.minimum, memory.buffer, memory.weight, "
			"memory.mode)",
			quote_text(word, quoted), suggest_hint(&suggest, "", hint));
}

static int read_number(const char *text, uint64_t *ret_value, struct err *err)
{
	char quoted[QUOTE_BYTES];
	char *end;

	*ret_value = strtoull(text, &end, 10); /* too large is the largest */
	if (*text < '0' || *text > '9' || *end)
		return err_set(err, -EINVAL, "%s is not a number", quote_text(text, quoted));
	return 0;
}

/* NULL: it is no such value, which was said. */
static json_t *read_value(const struct setting *setting, const char *text)
{
	struct err err = { 0 };
	uint64_t value;
	int ret;

	if (setting->type == VALUE_WORD)
		return json_string(text);
	ret = setting->type == VALUE_SIZE ? units_parse_size(text, &value, &err)
					  : read_number(text, &value, &err);
	if (ret == 0 && value > INT64_MAX)
		ret = err_set(&err, -ERANGE, "more than any VM has");
	if (ret == 0)
		return json_integer((json_int_t)value);
	(void)out_fail(EXIT_CODE_USAGE, "%s: %s", setting->key, err.text);
	return NULL;
}

/* All settings of a request go in one call, so that all of them are done or none. */
static int add_setting(struct request *request, const struct setting *setting, const char *text)
{
	json_t *value;

	if (request->method && strcmp(request->method, setting->method) != 0)
		return out_fail(EXIT_CODE_USAGE, "memory.limit is set by itself: use two commands");
	if (json_object_get(request->params, setting->param))
		return out_fail(EXIT_CODE_USAGE, "%s is given twice", setting->key);
	value = read_value(setting, text);
	if (!value)
		return EXIT_CODE_USAGE;
	request->method = setting->method;
	(void)json_object_set_new(request->params, setting->param, value);
	if (setting->progress)
		request->progress = setting->progress;
	return EXIT_CODE_OK;
}

static int read_setting(const char *text, struct request *request)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		size_t len = strlen(settings[i].key);

		if (strncmp(text, settings[i].key, len) == 0 && text[len] == '=')
			return add_setting(request, &settings[i], text + len + 1);
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
static int wait_until_settled(struct vm *vm, const struct progress *progress, uint64_t timeout_ns,
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
		if (!quiet && out_u64(memory, progress->moves) != shown_bytes)
			progress->show(memory, redraw);
		shown_bytes = out_u64(memory, progress->moves);
		if (progress->is_settled(memory) || clock_now_ns() >= deadline_ns)
			break;
		json_decref(memory);
		ret = wait_for_change(vm);
		if (ret != EXIT_CODE_OK)
			return ret;
	}
	if (!quiet && redraw)
		(void)putchar('\n');
	if (progress->is_settled(memory)) {
		*ret_memory = memory;
		return EXIT_CODE_OK;
	}
	ret = progress->say_unfinished(vm, memory);
	json_decref(memory);
	return ret;
}

/* A target by hand ends what the policy does: not a thing to find out later. */
static void tell_mode(const struct vm *vm, const json_t *result)
{
	const char *now = out_text(result, "mode");

	if (strcmp(out_text(result, "mode_before"), "auto") == 0 && strcmp(now, "manual") == 0)
		(void)fprintf(stderr,
			      "neap: %s: the target is set by hand from now on (neap set %s "
			      "memory.mode=auto gives it back to the policy)\n",
			      vm->name, vm->name);
}

static int ask(struct vm *vm, struct request *request, bool will_wait)
{
	json_t *params = request->params, *result;
	int ret = EXIT_CODE_OK;

	if (will_wait) {
		ret = vm_call(vm, "events.subscribe",
			      json_pack("{s:[s]}", "kinds", "memory.balloon"), &result);
		if (ret != EXIT_CODE_OK)
			return ret;
		json_decref(result);
	}
	request->params = NULL;
	ret = vm_call(vm, request->method, params, &result);
	if (ret == EXIT_CODE_OK) {
		tell_mode(vm, result);
		json_decref(result);
	}
	return ret;
}

static int report(struct vm *vm, const struct progress *progress, struct cli_call *call,
		  uint64_t timeout_ns)
{
	bool quiet = cli_wants_json(call);
	bool waits = progress && cli_flag(call, "wait");
	json_t *memory;
	int ret;

	if (waits)
		ret = wait_until_settled(vm, progress, timeout_ns, quiet, &memory);
	else
		ret = vm_call(vm, "vm.memory", NULL, &memory);
	if (ret != EXIT_CODE_OK)
		return ret;
	if (quiet)
		return out_json(memory) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	if (!progress)
		show_settings(memory);
	else if (!waits)
		progress->show(memory, false);
	json_decref(memory);
	return EXIT_CODE_OK;
}

static int set(struct cli_call *call, struct request *request)
{
	uint64_t timeout_ns;
	struct vm vm;
	int ret = cli_seconds(cli_flag(call, "timeout"), SET_WAIT_DEFAULT_S, &timeout_ns);

	for (unsigned i = 1; i < call->arg_count && ret == EXIT_CODE_OK; i++)
		ret = read_setting(call->args[i], request);
	if (ret != EXIT_CODE_OK)
		return ret;
	ret = vm_open(call->args[0], &vm);
	if (ret != EXIT_CODE_OK)
		return ret;
	ret = ask(&vm, request, cli_flag(call, "wait") != NULL);
	if (ret == EXIT_CODE_OK)
		ret = report(&vm, request->progress, call, timeout_ns);
	vm_close(&vm);
	return ret;
}

int cli_set(struct cli_call *call)
{
	struct request request = { .params = json_object() };
	int ret = set(call, &request);

	json_decref(request.params);
	return ret;
}
