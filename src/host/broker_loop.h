/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker_loop.h - the broker in the daemon's loop. */
#ifndef NEAP_HOST_BROKER_LOOP_H
#define NEAP_HOST_BROKER_LOOP_H

#include "base/err.h"

struct host;

/* Makes host->broker, and sees to it that it gets a tick soon when it wants one. The ticks of each second
 * are the host's. */
int broker_loop_open(struct host *host, struct err *err);

void broker_loop_stop(struct host *host); /* no tick soon any more; never opened is fine */

#endif
