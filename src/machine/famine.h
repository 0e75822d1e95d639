/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* famine.h - the guest waits for a frame: who does, since when, and telling it. See famine.c.
 *
 * Inside machine/ only. Any thread, unless it says so.
 */
#ifndef NEAP_MACHINE_FAMINE_H
#define NEAP_MACHINE_FAMINE_H

#include <stdatomic.h>

#include "machine/loop.h"

struct machine;

struct famine {
	atomic_uint waiting;	/* threads that wait now */
	atomic_uint generation; /* a reset makes older waits void */
	_Atomic uint64_t waits;
	_Atomic uint64_t waited_ns; /* of waits that are over */
	_Atomic uint64_t since_ns;  /* start of the present wait */
	_Atomic uint64_t address;   /* what the first of them touched */
	struct loop_task changed;   /* -> control */
	bool told;		    /* control: famine was announced, relief not yet */
};

void famine_init(struct machine *machine);
int famine_wait(struct machine *machine, uint64_t guest_address); /* returns -EAGAIN */
void famine_over(struct machine *machine);
void famine_forget(struct machine *machine);
uint64_t famine_waited_ns(const struct machine *machine);

#endif
