/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* connection.h - one client of a server, and what the clients share. Inside rpc/ only; loop thread. */
#ifndef NEAP_RPC_CONNECTION_H
#define NEAP_RPC_CONNECTION_H

#include <uv.h>

#include "api/api.h"
#include "rpc/events.h"
#include "rpc/jsonrpc.h"

enum { CONNECTION_KINDS_MAX = 64 }; /* events of a set */

/* What connections share; the server owns it. */
struct connection_hub {
	uv_loop_t *loop;
	const struct api_backend *backend;
	bool any_user;
	unsigned connections_max;

	struct connection *first, *dirty;
	unsigned count;
	uint64_t held_bytes; /* by all */
	unsigned subscribers[CONNECTION_KINDS_MAX];
	struct jsonrpc_pool calls;
	struct event_ring ring;
	struct api_backend called; /* what a connection calls: the backend's handlers, and ours */
	api_handler handlers[API_HOST_VERB_COUNT];
	uv_prepare_t before_sleep; /* dirty ones are settled then */
	uv_timer_t deadline_timer;
	uint64_t timer_ns; /* it is set to; DEADLINES_NONE: it is not */
	unsigned open_handles;
};

/* After loop, backend, any_user, connections_max and ring were set. */
void connection_hub_init(struct connection_hub *hub);
/* Sends what leaves at once, closes all connections and the hub's handles, and runs the loop until
 * they are gone. */
void connection_hub_fini(struct connection_hub *hub);

/* Takes @fd. -EPERM: the peer is another user; -EBUSY: there are enough, the client was told. In each
 * case of failure the connection is closed. */
int connection_create(struct connection_hub *hub, int fd, bool may_change);

/* To all who want it. */
void connection_publish(struct connection_hub *hub, const struct event *event);

#endif
