/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* connection.h - one client of a server. Inside rpc/ only; loop thread. */
#ifndef NEAP_RPC_CONNECTION_H
#define NEAP_RPC_CONNECTION_H

#include "rpc/events.h"
#include "rpc/jsonrpc.h"
#include "rpc/wire.h"

struct hub;

struct connection {
	struct wire wire; /* first */
	struct hub *hub;
	/* the hub's lists; link, dirty_link: what points here; dirty_link NULL: it is clean */
	struct connection *next, **link, *next_dirty, **dirty_link;
	struct jsonrpc rpc;
	struct subscription subscription;
	uint64_t replay_seq; /* next event to come from the ring; 0: it gets them as they happen */
	size_t held_bytes;   /* as counted in the hub */
	bool has_more;	     /* whole messages may be waiting */
	bool is_leaving;
	bool becomes_console;
};

static inline struct connection *connection_of_rpc(struct jsonrpc *rpc)
{
	return (struct connection *)((char *)rpc - offsetof(struct connection, rpc));
}

/* Takes @fd. -EPERM: the peer is another user; -EBUSY: there are enough, the client was told. In each
 * case of failure the connection is closed. */
int connection_create(struct hub *hub, int fd, bool may_change);
void connection_close(struct connection *connection); /* any number of times */

/* Does what can be done now, sends, and says what to wait for. May close it. */
void connection_settle(struct connection *connection);

/* To be sent when it is settled. May close it. */
void connection_say_event(struct connection *connection, const struct event *event);

#endif
