/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cli.h - everything a person types. One row per command in commands.c; one file per group.
 *
 * cli knows api and rpc, never machine: what `neap run` starts is handed in by main_neap.c.
 */
#ifndef NEAP_CLI_CLI_H
#define NEAP_CLI_CLI_H

#include "base/exit_code.h"
#include "config/vm_config.h"
#include "config/vm_run.h"

struct cli_programs {
	/* Run one VM in this process until it ends. Returns an enum exit_code. */
	int (*run_vm)(const struct vm_config *config, const struct vm_run *run);
};

int cli_main(int argc, char *argv[], const struct cli_programs *programs);

#endif
