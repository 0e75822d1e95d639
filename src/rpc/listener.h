/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* listener.h - one listening socket of a server: bound here or handed in. Inside rpc/ only; loop thread. */
#ifndef NEAP_RPC_LISTENER_H
#define NEAP_RPC_LISTENER_H

#include <stdbool.h>
#include <sys/stat.h>
#include <uv.h>

#include "rpc/rpc.h"

struct listener {
	int fd; /* -1: not open */
	bool may_change;
	bool is_ours;	  /* bound here, so it is unlinked */
	dev_t socket_dev; /* the file we made: only that one is unlinked */
	ino_t socket_ino;
	char path[RPC_PATH_BYTES]; /* "" of one that was handed in */
};

/* Binds, or takes over, and listens. @backlog: that may wait to be accepted. @taken: said when somebody answers there already. */
int listener_open(struct listener *listener, const struct rpc_listen *listen_at, unsigned backlog,
		  const char *taken, struct err *err);
void listener_close(struct listener *listener); /* zeroed with fd -1, or open */

/* A connected socket; -EAGAIN: nobody waits; -EMFILE and the like: no room in this process or host. */
int listener_accept(const struct listener *listener);

#endif
