/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* events.c - `neap events NAME`: a line for each thing that happens to a VM, until it ends.
 *
 * An event carries monotonic time; it is shown as the wall clock's, by the difference of the two
 * clocks now.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"

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
		(void)printf("  %s %s", name, json_string_value(value));
	else if (json_is_boolean(value))
		(void)printf("  %s %s", name, json_is_true(value) ? "yes" : "no");
}

static void print_event(const json_t *params)
{
	json_t *data = json_object_get(params, "data");
	const json_t *value;
	const char *name;

	print_time(out_u64(params, "time_ns"));
	(void)printf("  %s%-18s%s", out_colour_on(stdout, OUT_CYAN), out_text(params, "kind"),
		     out_colour_off(stdout, OUT_CYAN));
	json_object_foreach(data, name, value)
	{
		print_member(name, value);
	}
	(void)putchar('\n');
	(void)fflush(stdout);
}

static json_t *subscription(const struct cli_call *call)
{
	json_t *kinds;

	if (call->arg_count < 2)
		return NULL;
	kinds = json_array();
	for (unsigned i = 1; i < call->arg_count; i++)
		(void)json_array_append_new(kinds, json_string(call->args[i]));
	return json_pack("{s:o}", "kinds", kinds);
}

static int follow(struct cli_call *call, struct vm *vm)
{
	struct err err = { 0 };
	json_t *event;
	int ret;

	while ((ret = rpc_client_next_event(vm->client, -1, &event, &err)) == 0) {
		const json_t *params = json_object_get(event, "params");

		if (!cli_wants_json(call)) {
			print_event(params);
		} else {
			(void)json_dumpf(params, stdout, JSON_COMPACT);
			(void)putchar('\n');
			(void)fflush(stdout);
		}
		json_decref(event);
		if (ferror(stdout))
			return EXIT_CODE_OK;
	}
	return ret == -EPIPE ? EXIT_CODE_OK : vm_say_failure(vm, ret, &err);
}

int cli_events(struct cli_call *call)
{
	json_t *result;
	struct vm vm;
	int ret = vm_open(call->args[0], &vm);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = vm_call(&vm, "events.subscribe", subscription(call), &result);
	if (ret == EXIT_CODE_OK) {
		json_decref(result);
		ret = follow(call, &vm);
	}
	vm_close(&vm);
	return ret;
}
