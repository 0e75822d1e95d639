/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pager.h - the thread that answers when the guest view is touched where nothing is mapped.
 * Inside memory/ only; see pager.c.
 */
#ifndef NEAP_MEMORY_PAGER_H
#define NEAP_MEMORY_PAGER_H

#include "memory/ram.h"

struct pager; /* opaque */

/**
 * pager_start() - register the guest view with userfaultfd and start the thread
 *
 * Return: 0; -EPERM, -ENOSYS, -EINVAL: this host does not let us: nothing is registered, and the
 * kernel answers faults itself; another negative errno with @err.
 * Source: userfaultfd.rst "API"; userfaultfd(2); ioctl_userfaultfd(2).
 */
int pager_start(struct ram *ram, const struct ram_events *events, struct pager **ret_pager,
		struct err *err);

/* Nobody may touch the guest view any more. */
void pager_stop(struct pager *pager);

/* Map [offset, offset + len) of the file into the guest view, where it holds memory already, so
 * that it never faults. Whole frames. Best effort. */
void pager_map(struct pager *pager, uint64_t offset_bytes, uint64_t len_bytes);

#endif
