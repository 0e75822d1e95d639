/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* life.c - `neap pause, resume, reset, stop, kill`: the state of a VM. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/api.h"
#include "base/fd.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"

enum { STOP_WAIT_DEFAULT_S = 60, KILL_ANSWER_MS = 2000, KILL_WAIT_MS = 5000 };

/* Says the new state: steals @result. */
static int say_state(struct cli_call *call, const struct vm *vm, json_t *result)
{
	if (cli_wants_json(call))
		return out_json(result) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	(void)printf("%s: %s\n", vm->name, out_text(result, "state"));
	json_decref(result);
	return EXIT_CODE_OK;
}

static int change_state(struct cli_call *call, const char *method)
{
	json_t *result;
	struct vm vm;
	int ret = vm_open(call->args[0], &vm);

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

int cli_stop(struct cli_call *call)
{
	uint64_t timeout_ns;
	struct vm vm;
	int ret = cli_seconds(cli_flag(call, "timeout"), STOP_WAIT_DEFAULT_S, &timeout_ns);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = vm_open(call->args[0], &vm);
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
	int ret = vm_open(call->args[0], &vm);
	int code;

	if (ret != EXIT_CODE_OK)
		return ret;
	code = rpc_client_call(vm.client, "vm.kill", NULL, KILL_ANSWER_MS, &result, &err);
	json_decref(result);
	/* -EPIPE: it ended faster than its answer came, which is what was asked for. */
	if (code == -ETIMEDOUT || (code == 0 && vm_wait_gone(&vm, KILL_WAIT_MS) < 0))
		ret = kill_by_signal(&vm);
	else if (code != 0 && code != -EPIPE)
		ret = vm_say_failure(&vm, code, &err);
	if (ret == EXIT_CODE_OK)
		ret = say_state(call, &vm, state_stopped());
	vm_close(&vm);
	return ret;
}
