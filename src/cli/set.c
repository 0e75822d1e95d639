/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* set.c - `neap set NAME KEY=VALUE...`: ask, and with --wait watch until it is done.
 *
 * Three ways lead to a VM:
 *   memory= and balloon= move its balloon: at once, and nothing is kept
 *   what may change while it runs (settings below) goes to the VM itself
 *   of a VM that a daemon keeps, every option does: the daemon stores it, and passes on what holds at once
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
#include "cli/bulk.h"
#include "cli/output.h"
#include "cli/set.h"

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

/* What is asked for, as a call to the VM itself and as one to the daemon that keeps it. */
struct request {
	const char *method; /* of the VM; NULL: nothing yet */
	json_t *params;
	const struct progress *progress;
	bool moves_balloon;    /* nothing of it is kept */
	bool has_two_methods;  /* so the VM itself cannot do it in one call */
	const char *kept_only; /* something that only a daemon can do */
	json_t *update;	       /* parameters of vm.update */
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

	(void)fputs("mode ", stdout);
	out_words(mode ? mode : "unknown");
	(void)printf(", minimum %s, buffer %" PRIu64 " %%, weight %" PRIu64 "\n",
		     units_format_size(out_u64(policy, "minimum_bytes"), minimum),
		     out_u64(policy, "buffer_percent"), out_u64(policy, "weight"));
}

static void suggest_key(void *ctx, const char *key, const char *metavar, const char *help)
{
	(void)metavar;
	(void)help;
	suggest_offer(ctx, key);
}

void set_each_key(set_take_key take, void *ctx)
{
	take(ctx, "memory", "SIZE", "what the guest shall keep, now");
	take(ctx, "balloon", "SIZE", "what it shall hand over, now");
	set_each_kept_key(take, ctx);
}

static int wrong_key(const char *text)
{
	char word[QUOTE_BYTES], quoted[QUOTE_BYTES], hint[HINT_BYTES];
	struct suggest suggest;

	(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(text, "="), text);
	suggest = suggest_start(word);
	set_each_key(suggest_key, &suggest);
	return out_fail(EXIT_CODE_USAGE,
			"%s cannot be set%s (write memory=SIZE, balloon=SIZE, or KEY=VALUE with "
			"one of memory.limit, memory.minimum, memory.buffer, memory.weight, "
			"memory.mode; of a VM that neapd keeps also any other option)",
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
		request->has_two_methods = true;
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

static const struct setting *find_setting(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		size_t len = strlen(settings[i].key);

		if (strncmp(text, settings[i].key, len) == 0 && text[len] == '=')
			return &settings[i];
	}
	return NULL;
}

static int read_setting(const char *text, struct request *request)
{
	const struct setting *setting = find_setting(text);
	int ret = EXIT_CODE_OK;

	if (setting)
		ret = add_setting(request, setting, text + strlen(setting->key) + 1);
	if (ret != EXIT_CODE_OK)
		return ret;
	if (setting && !strchr(setting->key, '.')) {
		request->moves_balloon = true;
		return EXIT_CODE_OK;
	}
	if (!setting)
		request->kept_only = text;
	ret = set_keep(request->update, text);
	return ret == -ENOENT ? wrong_key(text) : ret;
}

/* What goes together in one command. */
static int check(const struct request *request)
{
	if (request->moves_balloon && request->kept_only)
		return out_fail(
			EXIT_CODE_USAGE,
			"memory= and balloon= hold until something else is said, and %.*s is "
			"kept: use two commands",
			(int)strcspn(request->kept_only, "="), request->kept_only);
	if (request->moves_balloon && request->has_two_methods)
		return out_fail(EXIT_CODE_USAGE, "memory.limit is set by itself: use two commands");
	return EXIT_CODE_OK;
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
	int ret = will_wait ? vm_subscribe(vm, json_pack("[s]", "memory.balloon")) : EXIT_CODE_OK;

	if (ret != EXIT_CODE_OK)
		return ret;
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

/* --- by whom ------------------------------------------------------------------------------------ */

/* The VM itself does it. */
static int set_now(struct cli_call *call, struct vm *vm, struct request *request,
		   uint64_t timeout_ns)
{
	int ret;

	if (request->has_two_methods)
		return out_fail(EXIT_CODE_USAGE, "memory.limit is set by itself: use two commands");
	if (request->kept_only)
		return out_fail(
			EXIT_CODE_USAGE,
			"%s: %.*s cannot change while a VM runs, and no neapd keeps this one for "
			"another start (neap create makes such VMs)",
			vm->name, (int)strcspn(request->kept_only, "="), request->kept_only);
	ret = ask(vm, request, cli_flag(call, "wait") != NULL);
	return ret == EXIT_CODE_OK ? report(vm, request->progress, call, timeout_ns) : ret;
}

/* The daemon does it. What holds at once, of a VM that runs, is shown as if the VM had done it. */
static int set_kept(struct cli_call *call, struct vm *vm, struct request *request, bool runs,
		    uint64_t timeout_ns)
{
	json_t *result = NULL;
	int ret = vm_call_within(vm, "vm.update", json_incref(request->update),
				 VM_CHANGE_TIMEOUT_MS, &result);

	if (ret == EXIT_CODE_OK && runs && !request->kept_only)
		ret = report(vm, request->progress, call, timeout_ns);
	else if (ret == EXIT_CODE_OK && cli_wants_json(call))
		ret = out_json(json_incref(result)) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	else if (ret == EXIT_CODE_OK)
		set_say_kept(vm->name, result);
	json_decref(result);
	return ret;
}

/* Is it a daemon's, to be started again with what is set now? */
static int look_who_keeps(struct vm *vm, bool *ret_is_kept, bool *ret_runs)
{
	json_t *info = NULL;
	int ret = EXIT_CODE_OK;

	*ret_is_kept = false;
	*ret_runs = true;
	if (vm->by_daemon)
		ret = vm_call(vm, "vm.info", NULL, &info);
	if (vm->by_daemon && ret == EXIT_CODE_OK) {
		*ret_is_kept =
			json_is_false(json_object_get(json_object_get(info, "host"), "transient"));
		*ret_runs = json_object_get(info, "pid") != NULL;
	}
	json_decref(info);
	return ret;
}

static int set_one(struct cli_call *call, struct request *request, uint64_t timeout_ns)
{
	bool is_kept, runs;
	struct vm vm;
	int ret = vm_open(call, call->args[0], &vm);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = look_who_keeps(&vm, &is_kept, &runs);
	is_kept |= vm.by_daemon && request->kept_only; /* it has labels, and words for the rest */
	if (ret == EXIT_CODE_OK && is_kept && !request->moves_balloon)
		ret = set_kept(call, &vm, request, runs, timeout_ns);
	else if (ret == EXIT_CODE_OK)
		ret = set_now(call, &vm, request, timeout_ns);
	vm_close(&vm);
	return ret;
}

static int set_selected(struct cli_call *call, struct request *request)
{
	if (cli_flag(call, "wait"))
		return out_fail(EXIT_CODE_USAGE,
				"--wait follows one VM; it does not go with --selector");
	if (!request->moves_balloon)
		return set_keep_selected(call, request->update);
	return bulk_do(call, request->method, json_incref(request->params), VM_CHANGE_TIMEOUT_MS);
}

static int set(struct cli_call *call, struct request *request)
{
	uint64_t timeout_ns;
	int ret = cli_seconds(cli_flag(call, "timeout"), SET_WAIT_DEFAULT_S, &timeout_ns);

	for (unsigned i = 1; i < call->arg_count && ret == EXIT_CODE_OK; i++)
		ret = read_setting(call->args[i], request);
	if (ret == EXIT_CODE_OK)
		ret = check(request);
	if (ret != EXIT_CODE_OK)
		return ret;
	return call->args[0] ? set_one(call, request, timeout_ns) : set_selected(call, request);
}

int cli_set(struct cli_call *call)
{
	struct request request = { .params = json_object(), .update = json_object() };
	int ret = set(call, &request);

	json_decref(request.params);
	json_decref(request.update);
	return ret;
}
