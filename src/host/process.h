/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* process.h - one VM's process: started so that it outlives us, known again after we were gone, and
 * watched until its end.
 *
 * A process is known by its pid and the time it started at (clock ticks since boot), which no later
 * process of the same pid shares. A VM leads a session of its own, holds no descriptor of ours, and is in
 * no process group of ours. It writes its log and, at its end, its exit record itself, so both are right
 * whoever started it and whoever watches.
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_PROCESS_H
#define NEAP_HOST_PROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/err.h"

struct process_identity {
	pid_t pid;
	uint64_t start_ticks; /* field 22 of /proc/PID/stat */
};

/* -ESRCH: there is none. */
int process_identify(pid_t pid, struct process_identity *ret_identity);

/* How a VM's process ended. */
struct process_end {
	bool has_exit_code; /* an enum exit_code, from the exit record or from wait() */
	int exit_code;
	int signal; /* it died of; 0: of none, or nobody knows */
	char reason
		[512]; /* in words; from the exit record, or made up from the above; never empty */
};

struct process_start {
	const char *neap_path;	   /* the program `neap` */
	const char *name;	   /* of the VM */
	const json_t *config;	   /* as vm.json */
	const char *log_path;	   /* rotated by the VM: neap run --log */
	const char *exit_path;	   /* neap run --exit-record */
	uint64_t start_timeout_ns; /* 0: as long as it takes */
};

struct process; /* opaque */

struct process_ops {
	/* A started VM runs and its socket answers (@code 0), or could not start (an enum exit_code, and
	 * its sentence); then on_end follows. Not for adopted ones. */
	void (*on_ready)(void *ctx, int code, const char *sentence);
	void (*on_end)(void *ctx, const struct process_end *end); /* once; the process is gone */
};

int process_spawn(uv_loop_t *loop, const struct process_start *start, const struct process_ops *ops,
		  void *ctx, struct process **ret_process, struct err *err);

/* -ESRCH: no process of that identity lives (any more). */
int process_adopt(uv_loop_t *loop, const struct process_identity *identity, const char *exit_path,
		  const struct process_ops *ops, void *ctx, struct process **ret_process,
		  struct err *err);

const struct process_identity *process_identity(const struct process *process);
int process_signal(struct process *process,
		   int signal); /* through its pidfd: never another process */

/* Stop watching; the process goes on. No callback comes after. NULL is fine. */
void process_forget(struct process *process);

/* What an exit record says about a VM that ended while nobody watched. False: there is none. The record
 * is removed. */
bool process_read_exit(const char *exit_path, struct process_end *ret_end);

#endif
