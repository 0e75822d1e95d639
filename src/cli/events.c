/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* events.c - `neap events`: a line for each thing that happens to a VM, until it ends, or to all.
 *
 * A daemon numbers events, and keeps some: when it is gone, for a new version perhaps, it is looked for
 * until it is back, and asked for those after the last one seen. Without a daemon it is one VM's own
 * socket.
 *
 * An event carries monotonic time; it is shown as the wall clock's, by the difference of the two
 * clocks now.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"

enum { AGAIN_MS = 250 };

static void print_time(uint64_t event_ns)
{
	struct timespec now;
	struct tm local;
	char text[16] = "";
	uint64_t age_ns = clock_now_ns() - event_ns;
	uint64_t wall_ns;
	time_t wall_s;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	wall_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec - age_ns;
	wall_s = (time_t)(wall_ns / NS_PER_S);
	if (localtime_r(&wall_s, &local))
		(void)strftime(text, sizeof(text), "%H:%M:%S", &local);
	(void)printf("%s%s.%03" PRIu64 "%s", out_colour_on(stdout, OUT_DIM), text,
		     wall_ns / NS_PER_MS % 1000, out_colour_off(stdout, OUT_DIM));
}

static void print_words(const char *name, const char *untrusted_text)
{
	(void)printf("  %s ", name);
	out_words(untrusted_text);
}

static void print_list(const char *name, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *word = json_string_value(json_array_get(list, i));

		(void)printf("%s%s%s", i ? ", " : "  ", i ? "" : name, i ? "" : " ");
		out_words(word ? word : "?");
	}
}

/* "asked_bytes": 1048576 is shown as "asked 1 MiB"; "waited_ns" as a duration. */
static void print_member(const char *name, const json_t *value)
{
	size_t len = strlen(name);
	char text[UNITS_TEXT_BYTES];

	if (json_is_integer(value) && len > 6 && strcmp(name + len - 6, "_bytes") == 0)
		(void)printf("  %.*s %s", (int)len - 6, name,
			     units_format_size((uint64_t)json_integer_value(value), text));
	else if (json_is_integer(value) && len > 3 && strcmp(name + len - 3, "_ns") == 0)
		(void)printf("  %.*s %s", (int)len - 3, name,
			     out_duration((uint64_t)json_integer_value(value), text));
	else if (json_is_integer(value))
		(void)printf("  %s %" JSON_INTEGER_FORMAT, name, json_integer_value(value));
	else if (json_is_string(value) && json_string_length(value) > 0)
		print_words(name, json_string_value(value));
	else if (json_is_array(value))
		print_list(name, value);
	else if (json_is_boolean(value))
		(void)printf("  %s %s", name, json_is_true(value) ? "yes" : "no");
}

struct follower {
	const struct cli_call *call;
	const char *vm_name; /* NULL: all */
	json_t *kinds;	     /* NULL: all */
	bool hides_end;	     /* vm.ended is not wanted, only looked for */
	uint64_t last_seq;   /* of the daemon's events */
	bool has_last;
	bool is_back; /* the daemon was away: another one has numbers of its own, far above */
};

static void print_event(const struct follower *follower, const json_t *params)
{
	json_t *data = json_object_get(params, "data");
	const json_t *value;
	const char *name;

	print_time(out_u64(params, "time_ns"));
	if (!follower->vm_name)
		(void)printf("  %s%-16s%s", out_colour_on(stdout, OUT_BOLD),
			     json_object_get(params, "vm") ? out_text(params, "vm") : "-",
			     out_colour_off(stdout, OUT_BOLD));
	(void)printf("  %s%-18s%s", out_colour_on(stdout, OUT_CYAN), out_text(params, "kind"),
		     out_colour_off(stdout, OUT_CYAN));
	json_object_foreach(data, name, value)
	{
		print_member(name, value);
	}
	(void)putchar('\n');
}

/* False: nobody reads any more. */
static bool show(const struct follower *follower, const json_t *params)
{
	if (!cli_wants_json(follower->call)) {
		print_event(follower, params);
	} else {
		(void)json_dumpf(params, stdout, JSON_COMPACT);
		(void)putchar('\n');
	}
	return fflush(stdout) == 0 && !ferror(stdout);
}

/* --- one VM by its own socket ------------------------------------------------------------------- */

static int follow_own(struct follower *follower, struct vm *vm)
{
	int ret = vm_subscribe(vm, json_incref(follower->kinds));
	struct err err = { 0 };
	json_t *event;

	if (ret != EXIT_CODE_OK)
		return ret;
	while ((ret = rpc_client_next_event(vm->client, -1, &event, &err)) == 0) {
		bool is_read = show(follower, json_object_get(event, "params"));

		json_decref(event);
		if (!is_read)
			return EXIT_CODE_OK;
	}
	return ret == -EPIPE ? EXIT_CODE_OK : vm_say_failure(vm, ret, &err);
}

/* --- a daemon's --------------------------------------------------------------------------------- */

static int subscribe(struct follower *follower, struct rpc_client *client, struct err *err)
{
	json_t *params = json_pack("{s:O*}", "kinds", follower->kinds), *answer = NULL;
	bool is_bound;
	int ret;

	if (follower->vm_name)
		(void)json_object_set_new(params, "vms", json_pack("[s]", follower->vm_name));
	if (follower->has_last)
		(void)json_object_set_new(params, "after",
					  json_integer((json_int_t)follower->last_seq));
	ret = daemon_ask(client, "events.subscribe", params, VM_CALL_TIMEOUT_MS, &answer, err);
	is_bound = json_is_true(json_object_get(answer, "missed_is_bound"));
	if (ret == 0 && is_bound && follower->is_back)
		out_note("neapd is back; what happened in between may be missing here");
	else if (ret == 0 && out_u64(answer, "missed") > 0)
		out_note("%s%" PRIu64 " events are not kept any more", is_bound ? "at most " : "",
			 out_u64(answer, "missed"));
	else if (ret == 0 && follower->is_back)
		out_note("neapd is back");
	if (ret == 0 && !follower->has_last)
		follower->last_seq = out_u64(answer, "seq");
	follower->has_last |= ret == 0;
	json_decref(answer);
	return ret;
}

/* The VM's last event: it has ended, and is not started again. */
static bool is_last(const struct follower *follower, const json_t *params)
{
	return follower->vm_name && strcmp(out_text(params, "kind"), "vm.ended") == 0 &&
	       !json_object_get(json_object_get(params, "data"), "restart_in_ms");
}

/* True: there is nothing more to come, or nobody reads. Steals @event. */
static bool take_event(struct follower *follower, json_t *event)
{
	const json_t *params = json_object_get(event, "params");
	bool is_end = strcmp(out_text(params, "kind"), "vm.ended") == 0;
	bool is_over = is_last(follower, params);

	follower->last_seq = out_u64(params, "seq");
	if (!(is_end && follower->hides_end) && !show(follower, params))
		is_over = true;
	json_decref(event);
	return is_over;
}

/* It is waited for as long as that takes. One that is just ending may still take a connection. */
static int find_again(struct follower *follower, const char *path, struct rpc_client **client,
		      struct err *err)
{
	int ret;

	out_note("neapd is gone; waiting until it is back");
	follower->is_back = true;
	do {
		rpc_client_close(*client);
		*client = NULL;
		while (rpc_client_open(path, client, NULL) < 0)
			(void)poll(NULL, 0, AGAIN_MS);
		ret = subscribe(follower, *client, err);
	} while (ret == -EPIPE);
	return ret;
}

static int follow_daemon(struct follower *follower, const char *path, struct rpc_client **client)
{
	struct err err = { 0 };
	json_t *event;
	int ret = subscribe(follower, *client, &err);

	while (ret == 0) {
		ret = rpc_client_next_event(*client, -1, &event, &err);
		if (ret == 0 && take_event(follower, event))
			return EXIT_CODE_OK;
		if (ret == -EPIPE)
			ret = find_again(follower, path, client, &err);
	}
	return daemon_say_failure(follower->vm_name, ret, &err);
}

/* --- which -------------------------------------------------------------------------------------- */

static void wants_end(struct follower *follower)
{
	for (size_t i = 0; i < json_array_size(follower->kinds); i++)
		if (strcmp(json_string_value(json_array_get(follower->kinds, i)), "vm.ended") == 0)
			return;
	if (!follower->kinds)
		return;
	follower->hides_end = true;
	(void)json_array_append_new(follower->kinds, json_string("vm.ended"));
}

static int follow_all(struct follower *follower)
{
	struct daemon daemon;
	int ret = daemon_need(follower->call, "All VMs are followed", &daemon);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = follow_daemon(follower, daemon.path, &daemon.client);
	daemon_close(&daemon);
	return ret;
}

static int follow_vm(struct follower *follower)
{
	char path[RPC_PATH_BYTES] = "";
	json_t *info = NULL;
	bool is_named;
	struct vm vm;
	int ret = vm_open(follower->call, follower->vm_name, &vm);

	if (ret != EXIT_CODE_OK)
		return ret;
	if (vm.by_daemon) /* known there, or only by its own socket? */
		ret = vm_call(&vm, "vm.info", NULL, &info);
	json_decref(info);
	if (ret == EXIT_CODE_OK && !vm.by_daemon && follower->has_last)
		ret = out_fail(EXIT_CODE_FAILED,
			       "a VM by itself keeps no events: --after is neapd's");
	else if (ret == EXIT_CODE_OK && !vm.by_daemon)
		ret = follow_own(follower, &vm);
	else if (ret == EXIT_CODE_OK && daemon_socket(follower->call, path, &is_named)) {
		wants_end(follower);
		ret = follow_daemon(follower, path, &vm.client);
	}
	vm_close(&vm);
	return ret;
}

static int read_after(struct follower *follower)
{
	const char *text = cli_flag(follower->call, "after");
	char *end;

	if (!text)
		return EXIT_CODE_OK;
	errno = 0;
	follower->last_seq = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || follower->last_seq > INT64_MAX)
		return out_fail(
			EXIT_CODE_USAGE,
			"--after takes the number of an event (seq in --json), and not \"%.40s\"",
			text);
	follower->has_last = true;
	return EXIT_CODE_OK;
}

int cli_events(struct cli_call *call)
{
	struct follower follower = { .call = call };
	unsigned first_kind = 0;
	int ret = read_after(&follower);

	if (ret != EXIT_CODE_OK)
		return ret;
	if (call->arg_count > 0 && !cli_flag(call, "all"))
		follower.vm_name = call->args[first_kind++];
	if (call->arg_count > first_kind)
		follower.kinds = json_array();
	for (unsigned i = first_kind; i < call->arg_count; i++)
		(void)json_array_append_new(follower.kinds, json_string(call->args[i]));
	ret = follower.vm_name ? follow_vm(&follower) : follow_all(&follower);
	json_decref(follower.kinds);
	return ret;
}
