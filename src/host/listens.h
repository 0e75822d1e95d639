/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* listens.h - on which sockets the daemon answers: those that systemd hands in, else those of its
 * configuration. */
#ifndef NEAP_HOST_LISTENS_H
#define NEAP_HOST_LISTENS_H

#include "config/host_config.h"
#include "rpc/rpc.h"

enum { LISTENS_MAX = 8 };

/* A group by name or number; NULL: (gid_t)-1, none. -ENOENT: there is no such group. */
int listens_find_group(const char *name, gid_t *ret_gid, struct err *err);

struct listens {
	struct rpc_listen rpc[LISTENS_MAX];
	unsigned rpc_count;
	int metrics_fd; /* handed in for metrics; -1: none */
};

/* -EINVAL: systemd hands in what is not known. Whose descriptors those are then is nobody's business: the
 * daemon cannot serve. */
int listens_find(const struct host_config *config, struct listens *ret_listens, struct err *err);

#endif
