/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fake_vm.c - the whole `neap` program around a VM without KVM, for tests of rpc and cli.
 *
 * `fake-neap run --name x [--detach]` serves the real control socket with the real rpc room; behind
 * it is a guest made of numbers: it hands memory over FAKE_STEP_BYTES at a time, powers off when
 * the button is pressed, and echoes its console in capitals.
 * --cmdline makes it misbehave: "fail" cannot start, "die" ends on the way, "deaf" ignores the
 * power button, "stuck" hands nothing over, "chatter" publishes events without a pause, "hungry" needs
 * more than it has, "plain" has no dynamic memory.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "cli/cli.h"
#include "config/vm_config.h"
#include "rpc/rpc.h"

enum { FAKE_TICK_MS = 5, FAKE_CONSOLE_BYTES = 4096 };
#define FAKE_STEP_BYTES	    (UINT64_C(16) * MIB_BYTES)
#define FAKE_RESIDENT_BYTES (UINT64_C(64) * MIB_BYTES)
#define FAKE_DEMAND_BYTES   (UINT64_C(128) * MIB_BYTES)

struct fake {
	uv_loop_t loop;
	uv_timer_t timer;
	uv_poll_t console_poll;
	struct rpc_server *server;
	const struct vm_config *config;
	enum api_state state;
	const char *reason;
	uint64_t asked_bytes, taken_bytes, limit_bytes;
	uint64_t minimum_bytes, buffer_percent, weight;
	const char *mode;
	uint64_t start_ns, resets;
	int console_fd;
	int exit_code;
};

static bool behaves(const struct fake *fake, const char *how)
{
	return fake->config->boot.cmdline && strcmp(fake->config->boot.cmdline, how) == 0;
}

static enum api_state fake_state(void *ctx)
{
	return ((struct fake *)ctx)->state;
}

static void enter(struct fake *fake, enum api_state state, const char *reason)
{
	fake->state = state;
	fake->reason = reason;
	rpc_server_publish(fake->server, "vm.state",
			   json_pack("{s:s, s:s}", "state", api_state_name(state), "reason",
				     reason));
}

static json_t *state_result(const struct fake *fake)
{
	return json_pack("{s:s}", "state", api_state_name(fake->state));
}

static int fake_info(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const struct fake *fake = ctx;
	char *config_text = vm_config_to_json(fake->config);
	json_t *config = json_loads(config_text ? config_text : "{}", 0, NULL);

	(void)request;
	(void)err;
	free(config_text);
	*ret_result =
		json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, "
			  "s:[{s:s, s:s, s:b, s:i}, {s:s, s:s, s:b, s:i}], s:o}",
			  "name", fake->config->name, "uuid", fake->config->uuid, "state",
			  api_state_name(fake->state), "reason", fake->reason, "pid", (int)getpid(),
			  "neap_version", NEAP_VERSION, "cpus", (json_int_t)fake->config->cpus,
			  "memory_maximum_bytes", (json_int_t)fake->config->memory.maximum_bytes,
			  "frame_bytes", (json_int_t)HUGE_FRAME_BYTES, "kernel", "embedded",
			  "uptime_ns", (json_int_t)(clock_now_ns() - fake->start_ns), "exits",
			  (json_int_t)1234, "resets", (json_int_t)fake->resets, "devices", "name",
			  "balloon", "status", "in use", "broken", 0, "bad_requests", 0, "name",
			  "rng", "status", "in use", "broken", 1, "bad_requests", 3, "config",
			  config);
	return 0;
}

/* What the memory engine would say of 512 MiB, of which half is above the limit if there is one. */
static void add_engine(const struct fake *fake, json_t *memory)
{
	json_int_t swapped = fake->limit_bytes ? (json_int_t)(32 * MIB_BYTES) : 0;

	(void)json_object_update_new(
		memory,
		json_pack("{s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:I, s:i, s:i, s:i, s:i, s:i}",
			  "limit_bytes", (json_int_t)fake->limit_bytes, "frames", "absent",
			  (json_int_t)(432 * MIB_BYTES) - swapped, "resident",
			  (json_int_t)(64 * MIB_BYTES), "sampled", (json_int_t)(16 * MIB_BYTES),
			  "writing", (json_int_t)0, "swapped", swapped, "reading", (json_int_t)0,
			  "fresh_bytes", (json_int_t)(8 * MIB_BYTES), "faults", 1200, "stall_us",
			  34500, "starved_us", 2500, "over_grant_us", 0, "ahead_hits", 17));
	if (!fake->config->swap.dir)
		return;
	(void)json_object_update_new(
		memory,
		json_pack(
			"{s:{s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:i, s:b}, s:{s:i, s:i, s:i}}",
			"swap", "size_bytes", (json_int_t)GIB_BYTES, "used_bytes",
			(json_int_t)(12 * MIB_BYTES), "out_bytes", (json_int_t)(96 * MIB_BYTES),
			"in_bytes", (json_int_t)(40 * MIB_BYTES), "zero_bytes",
			(json_int_t)(10 * MIB_BYTES), "aborts", 3, "refaults", 19, "write_errors",
			1, "read_errors", 0, "closed", 1, "sampler", "active_percent", 37,
			"sampled_blocks", 100, "periods", 4));
}

/* A policy that decided once, and a guest that needs always the same. */
static json_t *policy_of(const struct fake *fake)
{
	uint64_t assigned_bytes = fake->config->memory.maximum_bytes - fake->taken_bytes;
	bool is_hungry = behaves(fake, "hungry");
	uint64_t demand_bytes = is_hungry ? assigned_bytes + 64 * MIB_BYTES : FAKE_DEMAND_BYTES;

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, "
			 "s:s, s:I, s:I, "
			 "s:i, s:i}",
			 "mode", fake->mode, "startup_bytes",
			 (json_int_t)fake->config->memory.maximum_bytes, "minimum_bytes",
			 (json_int_t)fake->minimum_bytes, "buffer_percent",
			 (json_int_t)fake->buffer_percent, "weight", (json_int_t)fake->weight,
			 "assigned_bytes", (json_int_t)assigned_bytes, "demand_bytes",
			 (json_int_t)demand_bytes, "want_bytes",
			 (json_int_t)(demand_bytes * (100 + fake->buffer_percent) / 100),
			 "target_bytes", (json_int_t)assigned_bytes, "available_bytes",
			 (json_int_t)(is_hungry ? 0 : assigned_bytes - demand_bytes),
			 "pressure_percent", (json_int_t)(demand_bytes * 100 / assigned_bytes),
			 "average_pressure_percent", (json_int_t)80, "status",
			 is_hungry ? "Warning" : "OK", "rule", is_hungry ? "maximum" : "dead-band",
			 "host", "clear", "added_bytes", (json_int_t)(96 * MIB_BYTES),
			 "removed_bytes", (json_int_t)(32 * MIB_BYTES), "added_operations", 3,
			 "removed_operations", 1);
}

static int fake_memory(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const struct fake *fake = ctx;
	json_int_t taken = (json_int_t)fake->taken_bytes;

	(void)request;
	(void)err;
	*ret_result = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:i, s:b, s:i, s:i, s:{s:b}, s:{s:I, s:I, s:I}, "
		"s:{s:I, s:I, s:I}}",
		"maximum_bytes", (json_int_t)fake->config->memory.maximum_bytes, "resident_bytes",
		(json_int_t)FAKE_RESIDENT_BYTES, "asked_bytes", (json_int_t)fake->asked_bytes,
		"taken_bytes", taken, "returned_bytes", taken, "reported_total_bytes", 0, "waiting",
		0, "waits", 0, "waited_ns", 0, "balloon", "driver_ready", 1, "statistics",
		"free_bytes", (json_int_t)(32 * MIB_BYTES), "major_faults", (json_int_t)7, "age_ns",
		(json_int_t)NS_PER_S, "pool", "frame_bytes", (json_int_t)HUGE_FRAME_BYTES,
		"total_bytes", (json_int_t)GIB_BYTES, "free_bytes", (json_int_t)(GIB_BYTES / 2));
	add_engine(fake, *ret_result);
	if (!behaves(fake, "plain"))
		(void)json_object_set_new(*ret_result, "policy", policy_of(fake));
	return 0;
}

static int fake_limit(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct fake *fake = ctx;
	json_int_t limit = json_integer_value(json_object_get(request->params, "limit_bytes"));

	if (!fake->config->swap.dir) {
		(void)err_set(err, -EOPNOTSUPP, "this VM has no swap");
		return API_ERROR_UNSUPPORTED;
	}
	fake->limit_bytes = (uint64_t)limit;
	*ret_result = json_pack("{s:I}", "limit_bytes", limit);
	return 0;
}

static void take_setting(const json_t *params, const char *name, uint64_t *value)
{
	const json_t *given = json_object_get(params, name);

	if (given)
		*value = (uint64_t)json_integer_value(given);
}

static json_t *settings_of(const struct fake *fake, const char *mode_before)
{
	json_t *result = policy_of(fake);

	(void)json_object_update_new(result, json_pack("{s:I, s:s}", "asked_bytes",
						       (json_int_t)fake->asked_bytes, "mode_before",
						       mode_before));
	return result;
}

static int fake_settings(struct fake *fake, struct api_request *request, json_t **ret_result,
			 struct err *err)
{
	static const char *const modes[] = { "auto", "manual", "off" };
	const char *mode = json_string_value(json_object_get(request->params, "mode"));
	const char *known = mode ? NULL : fake->mode, *before;

	for (size_t i = 0; mode && i < ARRAY_LEN(modes); i++)
		if (strcmp(mode, modes[i]) == 0)
			known = modes[i];
	if (!known || json_integer_value(json_object_get(request->params, "weight")) > 10000) {
		(void)err_set(err, -EINVAL, "such a setting makes no sense");
		return API_ERROR_INVALID_PARAMS;
	}
	before = fake->mode;
	fake->mode = known;
	take_setting(request->params, "minimum_bytes", &fake->minimum_bytes);
	take_setting(request->params, "buffer_percent", &fake->buffer_percent);
	take_setting(request->params, "weight", &fake->weight);
	*ret_result = settings_of(fake, before);
	return 0;
}

/* Its text has what a VM should not send. */
static int fake_why(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	(void)err;
	*ret_result = policy_of(ctx);
	(void)json_object_update_new(
		*ret_result,
		json_pack("{s:s, s:s, s:s, s:i}", "text",
			  "It needs 128 MiB and has 512 MiB; with its buffer of 20 % it wants "
			  "153.5 MiB. \x1b[2JIt gives back 25 MiB a second, no more at a time "
			  "than the guest can follow.",
			  "meaning", "the difference is too small to act on", "waits_for",
			  "the next tick", "decided_ago_ms", 1500));
	return 0;
}

static int fake_memory_set(void *ctx, struct api_request *request, json_t **ret_result,
			   struct err *err)
{
	struct fake *fake = ctx;
	const json_t *target = json_object_get(request->params, "target_bytes");
	const json_t *balloon = json_object_get(request->params, "balloon_bytes");
	json_int_t maximum = (json_int_t)fake->config->memory.maximum_bytes;
	json_int_t asked =
		target ? maximum - json_integer_value(target) : json_integer_value(balloon);
	const char *before;

	if (!target && !balloon)
		return fake_settings(fake, request, ret_result, err);
	if (target && balloon) {
		(void)err_set(err, -EINVAL, "give one of target_bytes and balloon_bytes");
		return API_ERROR_INVALID_PARAMS;
	}
	if (asked < 0 || asked > maximum) {
		(void)err_set(err, -ERANGE, "the guest has only %" JSON_INTEGER_FORMAT " bytes",
			      maximum);
		return API_ERROR_INVALID_PARAMS;
	}
	fake->asked_bytes = (uint64_t)asked;
	before = fake->mode;
	fake->mode = "manual";
	*ret_result = settings_of(fake, before);
	return 0;
}

static int fake_pause(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	(void)err;
	enter(ctx, API_STATE_PAUSED, "by request");
	*ret_result = state_result(ctx);
	return 0;
}

static int fake_resume(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	(void)err;
	enter(ctx, API_STATE_RUNNING, "");
	*ret_result = state_result(ctx);
	return 0;
}

static int fake_reset(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct fake *fake = ctx;

	(void)request;
	(void)err;
	fake->resets++;
	fake->taken_bytes = 0;
	rpc_server_publish(fake->server, "vm.reset", json_pack("{s:s}", "cause", "request"));
	*ret_result = state_result(fake);
	return 0;
}

static void end(struct fake *fake, enum exit_code code)
{
	fake->exit_code = (int)code;
	enter(fake, API_STATE_STOPPED, "it has ended");
	uv_stop(&fake->loop);
}

static int fake_stop(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct fake *fake = ctx;

	(void)request;
	(void)err;
	*ret_result = state_result(fake);
	if (!behaves(fake, "deaf"))
		end(fake, EXIT_CODE_OK);
	return 0;
}

static int fake_kill(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	(void)err;
	end(ctx, EXIT_CODE_KILLED);
	*ret_result = state_result(ctx);
	return 0;
}

static int fake_console(void *ctx, struct api_request *request, json_t **ret_result,
			struct err *err)
{
	(void)ctx;
	(void)request;
	(void)err;
	*ret_result = json_pack("{s:b}", "stream", 1);
	return 0;
}

static void drop_console(struct fake *fake)
{
	if (fake->console_fd < 0)
		return;
	(void)uv_poll_stop(&fake->console_poll);
	uv_close((uv_handle_t *)&fake->console_poll, NULL);
	close_fd(&fake->console_fd);
}

static void on_console(uv_poll_t *poll, int status, int events)
{
	struct fake *fake = poll->data;
	char bytes[FAKE_CONSOLE_BYTES];
	ssize_t got = read(fake->console_fd, bytes, sizeof(bytes));

	(void)status;
	(void)events;
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		drop_console(fake);
		return;
	}
	for (ssize_t i = 0; i < got; i++)
		bytes[i] = (char)toupper((unsigned char)bytes[i]);
	(void)fd_write_full(fake->console_fd, bytes, (size_t)got);
}

static void fake_take_console(void *ctx, int fd)
{
	static const char banner[] = "fake guest\r\n";
	struct fake *fake = ctx;

	if (fake->console_fd >= 0) {
		(void)close(fd);
		return;
	}
	fake->console_fd = fd;
	(void)fd_write_full(fd, banner, sizeof(banner) - 1);
	(void)uv_poll_init(&fake->loop, &fake->console_poll, fd);
	fake->console_poll.data = fake;
	(void)uv_poll_start(&fake->console_poll, UV_READABLE, on_console);
}

static void move_balloon(struct fake *fake)
{
	uint64_t asked = fake->asked_bytes, taken = fake->taken_bytes;
	uint64_t gap = asked > taken ? asked - taken : taken - asked;
	uint64_t step = gap < FAKE_STEP_BYTES ? gap : FAKE_STEP_BYTES;

	if (step == 0 || behaves(fake, "stuck"))
		return;
	fake->taken_bytes = asked > taken ? taken + step : taken - step;
	rpc_server_publish(fake->server, "memory.balloon",
			   json_pack("{s:I, s:I, s:I}", "asked_bytes", (json_int_t)asked,
				     "taken_bytes", (json_int_t)fake->taken_bytes, "returned_bytes",
				     (json_int_t)fake->taken_bytes));
}

static void on_tick(uv_timer_t *timer)
{
	struct fake *fake = timer->data;

	move_balloon(fake);
	for (int i = 0; behaves(fake, "chatter") && i < 1000; i++)
		rpc_server_publish(fake->server, "guest.status", json_pack("{s:i}", "status", i));
}

static const api_handler fake_handlers[API_VERB_COUNT] = {
	[API_VM_INFO] = fake_info,
	[API_VM_MEMORY] = fake_memory,
	[API_VM_MEMORY_SET] = fake_memory_set,
	[API_VM_MEMORY_WHY] = fake_why,
	[API_VM_MEMORY_LIMIT] = fake_limit,
	[API_VM_PAUSE] = fake_pause,
	[API_VM_RESUME] = fake_resume,
	[API_VM_STOP] = fake_stop,
	[API_VM_RESET] = fake_reset,
	[API_VM_KILL] = fake_kill,
	[API_VM_CONSOLE] = fake_console,
};

static const struct api_backend fake_backend = {
	.set = &api_vm_set,
	.state = fake_state,
	.handlers = fake_handlers,
	.take_console = fake_take_console,
};

static int say_failure(int ready_fd, const char *sentence, int exit_code)
{
	if (ready_fd >= 0)
		(void)fd_write_full(ready_fd, sentence, strlen(sentence));
	else
		(void)fprintf(stderr, "neap: %s\n", sentence);
	return exit_code;
}

static int serve(struct fake *fake, int ready_fd)
{
	(void)uv_timer_init(&fake->loop, &fake->timer);
	fake->timer.data = fake;
	(void)uv_timer_start(&fake->timer, on_tick, FAKE_TICK_MS, FAKE_TICK_MS);
	enter(fake, API_STATE_RUNNING, "");
	if (ready_fd >= 0)
		(void)fd_write_full(ready_fd, &(char){ VM_RUN_READY }, 1);
	(void)uv_run(&fake->loop, UV_RUN_DEFAULT);
	drop_console(fake);
	rpc_server_destroy(fake->server);
	uv_close((uv_handle_t *)&fake->timer, NULL);
	(void)uv_run(&fake->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&fake->loop);
	return fake->exit_code;
}

static int run_fake(const struct vm_config *config, const struct vm_run *run)
{
	struct fake fake = { .config = config,
			     .console_fd = -1,
			     .reason = "",
			     .minimum_bytes = 64 * MIB_BYTES,
			     .buffer_percent = 20,
			     .weight = 1000,
			     .mode = "auto" };
	struct api_backend backend = fake_backend;
	char path[RPC_PATH_BYTES];
	struct err err = { 0 };
	int ready_fd = run->ready_fd;

	if (behaves(&fake, "fail"))
		return say_failure(ready_fd, "this host lacks a guest", EXIT_CODE_HOST);
	if (behaves(&fake, "die"))
		_exit(9);
	backend.ctx = &fake;
	fake.start_ns = clock_now_ns();
	(void)uv_loop_init(&fake.loop);
	if (rpc_vm_path(config->name, RPC_SOCKET_SUFFIX, path, &err) < 0 ||
	    rpc_server_create(&fake.loop, path, &backend, &fake.server, &err) < 0) {
		(void)uv_loop_close(&fake.loop);
		return say_failure(ready_fd, err.text, EXIT_CODE_FAILED);
	}
	return serve(&fake, ready_fd);
}

int main(int argc, char *argv[])
{
	const struct cli_programs programs = { .run_vm = run_fake };

	return cli_main(argc, argv, &programs);
}
