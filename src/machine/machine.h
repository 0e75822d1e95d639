/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine.h - one VM in this process, from its configuration to its end.
 *
 * The only room that knows all rooms below. Everything a person or program asks of the running VM
 * comes through its control socket.
 */
#ifndef NEAP_MACHINE_MACHINE_H
#define NEAP_MACHINE_MACHINE_H

#include "config/vm_config.h"
#include "config/vm_run.h"

/**
 * machine_run() - build the VM, run it, return when it has ended
 * @config: checked; outlives the call, as does @run
 * @run:    its exit record is written before the return, whatever happened
 *
 * Return: an enum exit_code, or EXIT_CODE_GUEST_STATUS + n.
 * Context: the main thread, with no other thread running yet.
 */
int machine_run(const struct vm_config *config, const struct vm_run *run);

#endif
