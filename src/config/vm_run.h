/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vm_run.h - how a VM's process is kept, by a person at a terminal or by a program that supervises it.
 *
 * Not in vm.json: that says what the VM is, whoever runs it, and is what vm.info shows.
 */
#ifndef NEAP_CONFIG_VM_RUN_H
#define NEAP_CONFIG_VM_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "config/exit_record.h"

/* What comes first through ready_fd when the VM runs; no sentence begins with it. */
enum { VM_RUN_READY = '+' };

struct vm_run {
	bool foreground; /* standard input and output are the guest's console */
	int ready_fd; /* >= 0: told once: VM_RUN_READY when the control socket answers and the guest
			  * runs, else the sentence that says why not; then closed */
	struct exit_place exit_place;
	uint64_t grant_bytes; /* most to hold of the host until told otherwise; 0: no such limit */
};

#endif
