/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine.h - one VM in this process, from its configuration to its end.
 *
 * The only room that knows all rooms below. Everything a person or program asks of the running VM
 * comes through its control socket.
 */
#ifndef NEAP_MACHINE_MACHINE_H
#define NEAP_MACHINE_MACHINE_H

#include <stdbool.h>

#include "config/vm_config.h"

/**
 * machine_run() - build the VM, run it, return when it has ended
 * @config:     checked; outlives the call
 * @foreground: standard input and output are the guest's console
 * @ready_fd:   >= 0: told once: '+' when the control socket answers and the guest runs, else the
 *              sentence that says why not; then closed. < 0: sentences go to standard error.
 *
 * Return: an enum exit_code, or EXIT_CODE_GUEST_STATUS + n.
 * Context: the main thread, with no other thread running yet.
 */
int machine_run(const struct vm_config *config, bool foreground, int ready_fd);

#endif
