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
	const char *neap_path; /* the program `neap`: absolute, or to be found on PATH */
	const char *name;      /* of the VM */
	const json_t *config;  /* as vm.json */
	const char *log_path;  /* rotated by the VM: neap run --log */
	uint64_t log_bytes;    /* --log-size, and --log-keep; 0: neap's own defaults of both */
	unsigned log_keep;
	const char *exit_path;	   /* neap run --exit-record */
	uint64_t grant_bytes;	   /* --grant; 0: none */
	uint64_t start_timeout_ns; /* 0: as long as it takes */
};

struct process; /* opaque */

struct process_ops {
	/* A started VM runs and its socket answers (@code 0), or could not start (an enum exit_code, and
	 * its sentence); then on_end follows. Not for adopted ones. One that ends before it said anything
	 * could not start; one that says nothing in time is killed. */
	void (*on_ready)(void *ctx, int code, const char *sentence);
	/* Once; the process is gone, and the owner forgets it. */
	void (*on_end)(void *ctx, const struct process_end *end);
};

/**
 * process_spawn() - start a VM
 *
 * It leads a session of its own, its signals are as if nobody had touched them, its standard input is
 * its configuration and then nothing, and of our descriptors it has one end of a pipe until it runs.
 * It inherits our environment but for what systemd said to us alone.
 *
 * Return: 0: it is on its way, and on_end will be called; a negative errno: there is no process.
 */
int process_spawn(uv_loop_t *loop, const struct process_start *start, const struct process_ops *ops,
		  void *ctx, struct process **ret_process, struct err *err);

/* -ESRCH: no process of that identity lives (any more). */
int process_adopt(uv_loop_t *loop, const struct process_identity *identity, const char *exit_path,
		  const struct process_ops *ops, void *ctx, struct process **ret_process,
		  struct err *err);

const struct process_identity *process_identity(const struct process *process);

/* Through its pidfd: never another process. -ESRCH: it is gone. */
int process_signal(struct process *process, int signal);

/* No callback comes any more, and nothing of its end is read; what it is can still be asked. NULL is fine. */
void process_mute(struct process *process);

/* Stop watching; the process goes on. No callback comes after. NULL is fine. */
void process_forget(struct process *process);

/* What an exit record says about a VM that ended while nobody watched. False: there is none. The record
 * is removed. */
bool process_read_exit(const char *exit_path, struct process_end *ret_end);

#endif
