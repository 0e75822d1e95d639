/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace_policy.h - what `neap trace` does with decisions of the policy: of a VM, or in a file. */
#ifndef NEAP_CLI_TRACE_POLICY_H
#define NEAP_CLI_TRACE_POLICY_H

#include "cli/commands.h"

/* Does a file begin with the columns of --policy-trace? False as well for what cannot be read. */
bool trace_is_policy(const char *path);

int trace_policy_file(struct cli_call *call, const char *path); /* an enum exit_code */
int trace_policy_vm(struct cli_call *call, const char *name);	/* an enum exit_code */

#endif
