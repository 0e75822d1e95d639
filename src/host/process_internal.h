/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* process_internal.h - a watched process from inside. */
#ifndef NEAP_HOST_PROCESS_INTERNAL_H
#define NEAP_HOST_PROCESS_INTERNAL_H

#include "host/process.h"

/* The child's side of a start: argv, descriptors, environment. */
struct process_child {
	pid_t pid;
	int ready_fd; /* ours, to read; not blocking */
};

/* -errno: there is no process; @err says why. */
int process_exec(const struct process_start *start, struct process_child *ret_child,
		 struct err *err);

int process_open_pidfd(pid_t pid); /* or a negative errno */

#endif
