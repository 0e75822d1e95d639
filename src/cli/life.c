/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* life.c - `neap pause, resume, reset, stop, kill`: the state of a VM. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/bulk.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"

enum { STOP_WAIT_DEFAULT_S = 60, STOP_LOOK_MS = 1000, KILL_ANSWER_MS = 2000, KILL_WAIT_MS = 5000 };

/* Says the new state: steals @result. */
static int say_state(struct cli_call *call, const struct vm *vm, json_t *result)
{
	if (cli_wants_json(call))
		return out_json(result) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	out_about(vm->name, out_text(result, "state"));
	json_decref(result);
	return EXIT_CODE_OK;
}

static int change_state(struct cli_call *call, const char *method)
{
	json_t *result;
	struct vm vm;
	int ret;

	if (!call->args[0])
		return bulk_do(call, method, NULL, VM_CHANGE_TIMEOUT_MS);
	ret = vm_open(call, call->args[0], &vm);
	if (ret != EXIT_CODE_OK)
		return ret;
	ret = vm_call_within(&vm, method, NULL, VM_CHANGE_TIMEOUT_MS, &result);
	if (ret == EXIT_CODE_OK)
		ret = say_state(call, &vm, result);
	vm_close(&vm);
	return ret;
}

int cli_pause(struct cli_call *call)
{
	return change_state(call, "vm.pause");
}

int cli_resume(struct cli_call *call)
{
	return change_state(call, "vm.resume");
}

int cli_reset(struct cli_call *call)
{
	return change_state(call, "vm.reset");
}

static json_t *state_stopped(void)
{
	return json_pack("{s:s}", "state", api_state_name(API_STATE_STOPPED));
}

static int stop_and_wait(struct cli_call *call, struct vm *vm, uint64_t timeout_ns)
{
	json_t *result;
	int ret = vm_call(vm, "vm.stop", NULL, &result);

	if (ret != EXIT_CODE_OK)
		return ret;
	if (!cli_flag(call, "wait"))
		return say_state(call, vm, result);
	json_decref(result);
	if (vm_wait_gone(vm, (int)(timeout_ns / NS_PER_MS)) < 0)
		return out_fail(EXIT_CODE_FAILED,
				"%s: the guest has not powered off; it may ignore the button (neap "
				"kill %s ends it)",
				vm->name, vm->name);
	return say_state(call, vm, state_stopped());
}

/* --- many ------------------------------------------------------------------------------------- */

static bool has_process(const json_t *vms, const char *name)
{
	for (size_t i = 0; i < json_array_size(vms); i++)
		if (strcmp(out_text(json_array_get(vms, i), "name"), name) == 0)
			return out_u64(json_array_get(vms, i), "pid") > 0;
	return false;
}

/* Those of @results that were told to stop and still run become failures. How many run. */
static size_t mark_running(json_t *results, const json_t *vms, bool is_over)
{
	size_t running = 0;

	for (size_t i = 0; i < json_array_size(results); i++) {
		json_t *row = json_array_get(results, i);
		bool runs = !json_object_get(row, "error") && has_process(vms, out_text(row, "vm"));

		running += runs;
		if (runs && is_over)
			(void)json_object_set_new(row, "error",
						  json_pack("{s:i, s:s}", "code",
							    API_ERROR_DEADLINE, "message",
							    "the guest has not powered off; it may "
							    "ignore the button"));
		else if (!runs && json_object_get(row, "result"))
			(void)json_object_set_new(row, "result", state_stopped());
	}
	return running;
}

/* Looks when a VM ended, and each second. */
static int await_ends(struct daemon *daemon, json_t *results, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	size_t running = 1;

	while (running > 0) {
		bool is_over = clock_now_ns() >= deadline_ns;
		struct err err = { 0 };
		json_t *event = NULL;
		int code = 0;
		json_t *vms = vm_list(daemon->client, NULL, DAEMON_LIST_TIMEOUT_MS, &code, &err);

		if (!vms)
			return daemon_say_failure(NULL, code, &err);
		running = mark_running(results, vms, is_over);
		json_decref(vms);
		if (is_over)
			break;
		if (running > 0)
			(void)rpc_client_next_event(daemon->client, STOP_LOOK_MS, &event, NULL);
		json_decref(event);
	}
	return EXIT_CODE_OK;
}

static int stop_selected(struct cli_call *call, uint64_t timeout_ns)
{
	json_t *results = NULL, *result = NULL;
	struct daemon daemon;
	int ret = daemon_need(call, "VMs are selected", &daemon);

	if (ret != EXIT_CODE_OK)
		return ret;
	if (cli_flag(call, "wait"))
		ret = daemon_call(&daemon, "events.subscribe",
				  json_pack("{s:[s]}", "kinds", "vm.ended"), VM_CALL_TIMEOUT_MS,
				  &result);
	json_decref(result);
	if (ret == EXIT_CODE_OK)
		ret = bulk_call(call, &daemon, "vm.stop", NULL, VM_CHANGE_TIMEOUT_MS, &results);
	if (ret == EXIT_CODE_OK && cli_flag(call, "wait"))
		ret = await_ends(&daemon, results, timeout_ns);
	daemon_close(&daemon);
	if (ret == EXIT_CODE_OK)
		return bulk_report(call, results, NULL);
	json_decref(results);
	return ret;
}

int cli_stop(struct cli_call *call)
{
	uint64_t timeout_ns;
	struct vm vm;
	int ret = cli_seconds(cli_flag(call, "timeout"), STOP_WAIT_DEFAULT_S, &timeout_ns);

	if (ret == EXIT_CODE_OK && !call->args[0])
		return stop_selected(call, timeout_ns);
	if (ret != EXIT_CODE_OK)
		return ret;
	ret = vm_open(call, call->args[0], &vm);
	if (ret != EXIT_CODE_OK)
		return ret;
	ret = stop_and_wait(call, &vm, timeout_ns);
	vm_close(&vm);
	return ret;
}

/* The process behind the socket, by a descriptor, so that no other can be hit if it ends now. */
static int kill_by_signal(struct vm *vm)
{
	pid_t pid = rpc_client_peer_pid(vm->client);
	CLEANUP(close_fd)
	int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (pidfd < 0 || syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
		return out_fail(EXIT_CODE_FAILED, "%s does not answer, and process %d: %s",
				vm->name, (int)pid, strerror(errno));
	out_note("%s did not answer; its process %d was killed", vm->name, (int)pid);
	return EXIT_CODE_OK;
}

int cli_kill(struct cli_call *call)
{
	struct err err = { 0 };
	json_t *result = NULL;
	struct vm vm;
	int ret, code;

	if (!call->args[0])
		return bulk_do(call, "vm.kill", NULL, VM_CHANGE_TIMEOUT_MS);
	ret = vm_open(call, call->args[0], &vm);
	if (ret != EXIT_CODE_OK)
		return ret;
	code = vm_ask(&vm, "vm.kill", NULL, vm.by_daemon ? VM_CHANGE_TIMEOUT_MS : KILL_ANSWER_MS,
		      &result, &err);
	json_decref(result);
	/* -EPIPE: it ended faster than its answer came, which is what was asked for. A daemon sends
	 * the signal itself where that is needed. */
	if (vm.by_daemon && code != 0)
		ret = vm_say_failure(&vm, code, &err);
	else if (vm.by_daemon)
		(void)vm_wait_gone(&vm, KILL_WAIT_MS);
	else if (code == -ETIMEDOUT || (code == 0 && vm_wait_gone(&vm, KILL_WAIT_MS) < 0))
		ret = kill_by_signal(&vm);
	else if (code != 0 && code != -EPIPE)
		ret = vm_say_failure(&vm, code, &err);
	if (ret == EXIT_CODE_OK)
		ret = say_state(call, &vm, state_stopped());
	vm_close(&vm);
	return ret;
}
