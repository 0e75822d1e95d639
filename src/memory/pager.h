/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pager.h - the thread that answers when the guest view is touched where nothing is mapped.
 * Inside memory/ only; see pager.c.
 */
#ifndef NEAP_MEMORY_PAGER_H
#define NEAP_MEMORY_PAGER_H

#include "memory/ram.h"

struct pager; /* opaque */

/* Start the thread; ram->uffd is registered. 0 or a negative errno with @err. */
int pager_start(struct ram *ram, struct pager **ret_pager, struct err *err);

/* Nobody may touch the guest view any more. */
void pager_stop(struct pager *pager);

/* Something changed for those who sleep: look again. Any thread, never blocks. */
void pager_poke(struct pager *pager);

void pager_read_statistics(const struct pager *pager, struct ram_statistics *statistics);

#endif
