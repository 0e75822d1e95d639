/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine.c - one VM from beginning to end; see machine.h. */
#include "machine/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "machine/machine_internal.h"

enum { LEAVE_MS = 20, END_IO_MS = 1000 };

static void tell_ready(int ready_fd)
{
	if (ready_fd < 0)
		return;
	(void)fd_write_full(ready_fd, &(char){ VM_RUN_READY }, 1);
	(void)close(ready_fd);
}

/* Also to whoever reads the log. */
static void tell_failure(const char *name, int ready_fd, const char *text)
{
	(void)fprintf(stderr, "neap: %s: %s\n", name, text);
	if (ready_fd < 0)
		return;
	(void)fd_write_full(ready_fd, text, strlen(text));
	(void)close(ready_fd);
}

/* vCPUs are parked, so none of them waits for the I/O thread. It may sleep for memory itself. */
static bool end_io_thread(struct machine *machine, unsigned patience_ms)
{
	loop_stop(&machine->io);
	return loop_join_within(&machine->io, patience_ms);
}

/* A thread that sleeps in the kernel for want of memory cannot be joined: before Linux 6.3 no signal
 * reaches a vCPU there, and where nobody answers page faults it would fall asleep again. What
 * people see is put in order, and the process ends with all its threads. */
static _Noreturn void leave_at_once(struct machine *machine, int code, const char *reason)
{
	if (end_io_thread(machine, LEAVE_MS))
		terminal_destroy(machine->terminal);
	else
		terminal_abandon(machine->terminal);
	rpc_server_destroy(machine->server);
	lifecycle_leave_record(machine, code, reason);
	if (code != EXIT_CODE_OK)
		lifecycle_say_why(machine, reason);
	_exit(code);
}

static int run_built(struct machine *machine)
{
	lifecycle_start(machine);
	tell_ready(machine->run->ready_fd);
	loop_run(&machine->control);
	return machine->life.exit_code;
}

/* Somebody may have ended it meanwhile. */
static int fail_to_build(struct machine *machine, int code, const char *text)
{
	bool was_ended = machine->life.state == API_STATE_STOPPED;

	machine_unbuild(machine);
	if (was_ended) {
		code = machine->life.exit_code;
		text = machine->life.reason;
	}
	lifecycle_leave_record(machine, code, text);
	tell_failure(machine->config->name, machine->run->ready_fd, text);
	return code;
}

static int run(struct machine *machine)
{
	enum exit_code build_code = EXIT_CODE_FAILED;
	char reason[REASON_BYTES];
	struct err err = { 0 };
	int code;

	if (machine_build(machine, &build_code, &err) < 0)
		return fail_to_build(machine, (int)build_code, err.text);
	code = run_built(machine);
	memcpy(reason, machine->life.reason, sizeof(reason));
	if (atomic_load(&machine->life.abandoned) || !end_io_thread(machine, END_IO_MS))
		leave_at_once(machine, code, reason);
	machine_unbuild(machine); /* the terminal is itself again before we speak */
	lifecycle_leave_record(machine, code, reason);
	if (code != EXIT_CODE_OK)
		lifecycle_say_why(machine, reason);
	return code;
}

int machine_run(const struct vm_config *config, const struct vm_run *how)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	int code;

	log_set_name(config->name);
	(void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error of write() */
	(void)signal(SIGXFSZ, SIG_IGN); /* so is a file that grew to what the user may write */
	if (!machine) {
		(void)exit_record_write(&how->exit_place, EXIT_CODE_FAILED, "out of memory",
					config->uuid, NULL);
		tell_failure(config->name, how->ready_fd, "out of memory");
		return EXIT_CODE_FAILED;
	}
	machine->config = config;
	machine->run = how;
	code = run(machine);
	free(machine);
	return code;
}
