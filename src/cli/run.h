/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* run.h - a VM in a process of its own. Inside cli/ only. */
#ifndef NEAP_CLI_RUN_H
#define NEAP_CLI_RUN_H

#include <sys/types.h>

#include "cli/cli.h"

/**
 * run_in_background() - start a VM in a child, and return when it runs and answers
 * @dies_with_us: it is asked to end (SIGTERM) when this process ends, however that happens
 * @ret_child:    its process id; the caller may wait for it
 *
 * Return: EXIT_CODE_OK; another exit code, with the reason said on standard error.
 * Context: no other thread may run.
 */
int run_in_background(const struct cli_programs *programs, const struct vm_config *config,
		      bool dies_with_us, pid_t *ret_child);

#endif
