/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* adopt.h - VMs that run already: those of a daemon before us, and those that people start by hand.
 *
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_ADOPT_H
#define NEAP_HOST_ADOPT_H

#include "host/host_internal.h"

/* Takes what is on record as running, and looks at the sockets, now and whenever one appears. */
int adopt_start(struct host *host, struct err *err);
void adopt_stop(struct host *host);

/* True when everything that was found at the start has said what it is, or does not answer. */
bool adopt_is_settled(const struct host *host);

void adopt_tick(struct host *host);

#endif
