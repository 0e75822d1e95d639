/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hub.h - what the connections of a server share. Inside rpc/ only; loop thread. */
#ifndef NEAP_RPC_HUB_H
#define NEAP_RPC_HUB_H

#include <uv.h>

#include "api/api.h"
#include "rpc/connection.h"
#include "rpc/events.h"
#include "rpc/jsonrpc.h"

enum { HUB_KINDS_MAX = 64 }; /* events of a set */

struct hub {
	uv_loop_t *loop;
	const struct api_backend *backend;
	bool any_user;
	unsigned connections_max;

	struct connection *first, *dirty;
	unsigned count;
	uint64_t held_bytes;			     /* by all */
	_Atomic unsigned subscribers[HUB_KINDS_MAX]; /* written by the loop, read by any */
	void (*subscribed)(void *ctx);		     /* may be NULL */
	void *subscribed_ctx;
	struct jsonrpc_pool calls;
	struct event_ring ring;
	struct api_backend
		called; /* what a connection calls: the backend's handlers, and verbs.c's */
	api_handler handlers[API_HOST_VERB_COUNT];
	uv_prepare_t before_sleep; /* dirty ones are settled then */
	uv_timer_t deadline_timer;
	uint64_t timer_ns; /* it is set to; DEADLINES_NONE: it is not */
	unsigned open_handles;
};

/* After loop, backend, any_user, connections_max and ring were set. */
void hub_init(struct hub *hub);
/* Sends what leaves at once, closes all connections and the hub's handles, and runs the loop until
 * they, and open_handles of the server, are gone. */
void hub_fini(struct hub *hub);

/* To all who want it. */
void hub_publish(struct hub *hub, const struct event *event);

/* --- for connections ------------------------------------------------------------------------- */

bool hub_may_enter(const struct hub *hub, const struct api_peer *peer);
bool hub_is_full_for(const struct hub *hub, const struct api_peer *peer); /* who is in it already */

void hub_join(struct hub *hub, struct connection *connection);
void hub_leave(struct hub *hub, struct connection *connection); /* closed */
void hub_forget(struct hub *hub);				/* freed */

/* It is settled before the loop sleeps, unless it was before. */
void hub_mark_dirty(struct hub *hub, struct connection *connection);
void hub_mark_clean(struct connection *connection);

/* How much memory it holds now. May close this one or another. */
void hub_hold(struct hub *hub, struct connection *connection, size_t held_bytes);

/* To the deadline that comes first. */
void hub_set_timer(struct hub *hub);

/* Before and after its subscription changes: -1 and 1. */
void hub_count_subscriber(struct hub *hub, const struct connection *connection, int change);

/* verbs.c: the verbs that are about a connection, in place of the backend's. */
void verbs_install(struct hub *hub);

#endif
