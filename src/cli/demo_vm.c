/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* demo_vm.c - the guest of `neap demo`: a `neap run` of its own, its socket and its console.
 *
 * The guest answers each command with one line that starts with "ok" or "error"; other lines
 * (its prompt and echo, events) are passed over. guest-drivers/bare/README.md has the commands.
 */
#include "cli/demo.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/output.h"
#include "cli/run.h"

enum {
	COMMAND_BYTES = 128,
	GUEST_PATIENCE_MS = 15000,
	SETTLE_PATIENCE_MS = 10000,
	SETTLE_LOOK_MS = 2
};

static int attach_console(struct demo_vm *vm)
{
	struct vm console;
	json_t *result;
	int ret = vm_open_own(vm->vm.name, &console);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = vm_call(&console, "vm.console", NULL, &result);
	if (ret != EXIT_CODE_OK) {
		vm_close(&console);
		return ret;
	}
	json_decref(result);
	vm->console_fd = rpc_client_take_fd(console.client);
	return EXIT_CODE_OK;
}

static int silent_guest(const char *command)
{
	return out_fail(EXIT_CODE_FAILED, "the guest did not answer \"%s\" within %d s", command,
			GUEST_PATIENCE_MS / 1000);
}

/* More bytes of the console; false: none within the patience, or its end. */
static bool read_console(struct demo_vm *vm, uint64_t deadline_ns)
{
	struct pollfd poller = { .fd = vm->console_fd, .events = POLLIN };
	uint64_t now_ns = clock_now_ns();
	ssize_t got;

	if (now_ns >= deadline_ns ||
	    poll(&poller, 1, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1) < 0)
		return now_ns < deadline_ns && errno == EINTR;
	if (vm->line_len == sizeof(vm->line))
		vm->line_len = 0; /* no answer of this guest is so long */
	got = read(vm->console_fd, vm->line + vm->line_len, sizeof(vm->line) - vm->line_len);
	if (got > 0)
		vm->line_len += (size_t)got;
	return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool next_line(struct demo_vm *vm, uint64_t deadline_ns, char ret_line[DEMO_LINE_BYTES])
{
	char *newline;
	size_t len;

	while (!(newline = memchr(vm->line, '\n', vm->line_len)))
		if (!read_console(vm, deadline_ns))
			return false;
	len = (size_t)(newline - vm->line);
	memcpy(ret_line, vm->line, len);
	ret_line[len] = '\0';
	ret_line[strcspn(ret_line, "\r")] = '\0';
	vm->line_len -= len + 1;
	memmove(vm->line, newline + 1, vm->line_len);
	return true;
}

static bool await_line(struct demo_vm *vm, const char *start, char ret_line[DEMO_LINE_BYTES])
{
	uint64_t deadline_ns = clock_now_ns() + GUEST_PATIENCE_MS * NS_PER_MS;

	while (next_line(vm, deadline_ns, ret_line))
		if (strncmp(ret_line, start, strlen(start)) == 0 ||
		    strncmp(ret_line, "error", strlen("error")) == 0)
			return true;
	return false;
}

static void remove_log(const char *vm_name)
{
	char path[RPC_PATH_BYTES];

	if (rpc_vm_path(vm_name, RPC_LOG_SUFFIX, path, NULL) == 0)
		(void)unlink(path);
}

int demo_vm_start(const struct cli_programs *programs, const struct vm_config *config,
		  struct demo_vm *ret_vm)
{
	char line[DEMO_LINE_BYTES];
	int ret;

	*ret_vm = (struct demo_vm){ .console_fd = -1 };
	ret = run_in_background(programs, config, true, &ret_vm->child);
	if (ret != EXIT_CODE_OK)
		return ret;
	remove_log(config->name);
	ret = vm_open_own(config->name, &ret_vm->vm);
	if (ret == EXIT_CODE_OK)
		ret = attach_console(ret_vm);
	if (ret == EXIT_CODE_OK && !await_line(ret_vm, "ready", line))
		ret = silent_guest("start");
	if (ret != EXIT_CODE_OK)
		demo_vm_stop(ret_vm);
	return ret;
}

void demo_vm_stop(struct demo_vm *vm)
{
	if (vm->child <= 0)
		return;
	close_fd(&vm->console_fd);
	rpc_client_close(vm->vm.client);
	(void)kill(vm->child, SIGTERM);
	while (waitpid(vm->child, NULL, 0) < 0 && errno == EINTR)
		;
	*vm = (struct demo_vm){ .console_fd = -1 };
}

/* Its answer, be it "ok ..." or "error ...". */
static int converse(struct demo_vm *vm, char ret_answer[DEMO_LINE_BYTES],
		    char command[COMMAND_BYTES + 1])
{
	size_t len = strlen(command);

	command[len] = '\n';
	if (fd_write_full(vm->console_fd, command, len + 1) < 0)
		return out_fail(EXIT_CODE_FAILED, "the guest's console is closed");
	command[len] = '\0';
	return await_line(vm, "ok", ret_answer) ? EXIT_CODE_OK : silent_guest(command);
}

int demo_vm_try(struct demo_vm *vm, char ret_answer[DEMO_LINE_BYTES], const char *fmt, ...)
{
	char command[COMMAND_BYTES + 1];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(command, COMMAND_BYTES, fmt, args);
	va_end(args);
	return converse(vm, ret_answer, command);
}

int demo_vm_ask(struct demo_vm *vm, char ret_answer[DEMO_LINE_BYTES], const char *fmt, ...)
{
	char command[COMMAND_BYTES + 1];
	va_list args;
	int ret;

	va_start(args, fmt);
	(void)vsnprintf(command, COMMAND_BYTES, fmt, args);
	va_end(args);
	ret = converse(vm, ret_answer, command);
	if (ret == EXIT_CODE_OK && strncmp(ret_answer, "ok", 2) != 0)
		return out_fail(EXIT_CODE_FAILED, "the guest answered \"%s\" with: %s", command,
				ret_answer);
	return ret;
}

uint64_t demo_number(const char *answer, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(answer, name); at; at = strstr(at + 1, name))
		if (at > answer && at[-1] == ' ' && at[len] == '=')
			return strtoull(at + len + 1, NULL, 10);
	return 0;
}

int demo_vm_look(struct demo_vm *vm, struct tide_sample *ret_sample)
{
	json_t *memory;
	int ret = vm_call(&vm->vm, "vm.memory", NULL, &memory);

	if (ret != EXIT_CODE_OK)
		return ret;
	*ret_sample = (struct tide_sample){
		.asked_bytes = out_u64(memory, "asked_bytes"),
		.taken_bytes = out_u64(memory, "taken_bytes"),
		.returned_bytes = out_u64(memory, "returned_bytes"),
		.resident_bytes = out_u64(memory, "resident_bytes"),
	};
	json_decref(memory);
	return EXIT_CODE_OK;
}

/* All three numbers have to arrive at @bytes. */
int demo_vm_set_balloon(struct demo_vm *vm, uint64_t bytes)
{
	uint64_t deadline_ns = clock_now_ns() + SETTLE_PATIENCE_MS * NS_PER_MS;
	struct tide_sample sample;
	json_t *result;
	int ret = vm_call(&vm->vm, "vm.memory.set",
			  json_pack("{s:I}", "balloon_bytes", (json_int_t)bytes), &result);

	if (ret != EXIT_CODE_OK)
		return ret;
	json_decref(result);
	while ((ret = demo_vm_look(vm, &sample)) == EXIT_CODE_OK) {
		if (sample.taken_bytes == bytes && sample.returned_bytes == bytes)
			return EXIT_CODE_OK;
		if (clock_now_ns() >= deadline_ns)
			return out_fail(EXIT_CODE_FAILED,
					"the balloon stands at %llu bytes taken and %llu returned, "
					"and not at %llu",
					(unsigned long long)sample.taken_bytes,
					(unsigned long long)sample.returned_bytes,
					(unsigned long long)bytes);
		(void)poll(NULL, 0, SETTLE_LOOK_MS);
	}
	return ret;
}
