/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host.h - a host's daemon, from its configuration to its end. hosted.h has what its parts share. */
#ifndef NEAP_HOST_HOST_H
#define NEAP_HOST_HOST_H

#include "base/err.h"
#include "config/host_config.h"

/**
 * host_run() - be the daemon, until SIGTERM or SIGINT
 *
 * VMs go on when it ends, however it ends; the next one takes them over.
 *
 * Return:  0; a negative errno: it could not start, @err says why (-EBUSY: another one is there).
 * Context: the main thread; no other runs. Takes over the listening sockets that systemd hands in.
 */
int host_run(const struct host_config *config, struct err *err);

#endif
