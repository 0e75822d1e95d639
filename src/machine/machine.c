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

enum { READY = '+', LEAVE_MS = 20, END_IO_MS = 1000 };

static void tell_ready(int ready_fd)
{
	if (ready_fd < 0)
		return;
	(void)fd_write_full(ready_fd, &(char){ READY }, 1);
	(void)close(ready_fd);
}

static void tell_failure(const struct machine *machine, int ready_fd, const char *text)
{
	if (ready_fd < 0) {
		(void)fprintf(stderr, "neap: %s: %s\n", machine->config->name, text);
		return;
	}
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
	if (code != EXIT_CODE_OK)
		lifecycle_say_why(machine, reason);
	_exit(code);
}

static int run_built(struct machine *machine, int ready_fd)
{
	lifecycle_start(machine);
	tell_ready(ready_fd);
	loop_run(&machine->control);
	return machine->life.exit_code;
}

int machine_run(const struct vm_config *config, bool foreground, int ready_fd)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	enum exit_code build_code = EXIT_CODE_FAILED;
	char reason[REASON_BYTES];
	struct err err = { 0 };
	int code;

	if (!machine)
		return EXIT_CODE_FAILED;
	machine->config = config;
	machine->foreground = foreground;
	log_set_name(config->name);
	(void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error of write() */
	if (machine_build(machine, &build_code, &err) < 0) {
		machine_unbuild(machine);
		if (machine->life.state == API_STATE_STOPPED) { /* somebody ended it meanwhile */
			build_code = (enum exit_code)machine->life.exit_code;
			(void)err_set(&err, err.code, "%.500s", machine->life.reason);
		}
		tell_failure(machine, ready_fd, err.text);
		free(machine);
		return (int)build_code;
	}
	code = run_built(machine, ready_fd);
	memcpy(reason, machine->life.reason, sizeof(reason));
	if (atomic_load(&machine->life.abandoned) || !end_io_thread(machine, END_IO_MS))
		leave_at_once(machine, code, reason);
	machine_unbuild(machine); /* the terminal is itself again before we speak */
	if (code != EXIT_CODE_OK)
		lifecycle_say_why(machine, reason);
	free(machine);
	return code;
}
