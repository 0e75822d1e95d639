/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* connection.h - one client of a server. Inside rpc/ only; loop thread. */
#ifndef NEAP_RPC_CONNECTION_H
#define NEAP_RPC_CONNECTION_H

#include <uv.h>

#include "api/api.h"
#include "base/units.h"
#include "rpc/frame.h"
#include "rpc/jsonrpc.h"

enum { CONNECTION_READ_BYTES = 32 * KIB_BYTES };

/* What connections share; the server owns it. */
struct connection_hub {
	uv_loop_t *loop;
	const struct api_backend *backend;
	struct connection *first;
	unsigned count;
	api_handler handlers[API_HOST_VERB_COUNT]; /* what a connection calls; the set's numbers */
	uint64_t last_seq;			   /* number of the last event */
	char read_buffer[CONNECTION_READ_BYTES];
};

/* Text that several connections may be sending. */
struct shared_text {
	unsigned references;
	size_t len;
	char *text;
};

struct shared_text *shared_text_create(char *text); /* steals; NULL on no memory */
void shared_text_put(struct shared_text *shared);

/* Takes one connection from @listener. -EPERM: the peer is another user; -EBUSY: @is_full, the
 * client was told. In each case of failure the connection is closed. */
int connection_accept(struct connection_hub *hub, uv_stream_t *listener, bool is_full);

/* After loop and backend were set. */
void connection_hub_init(struct connection_hub *hub);

struct connection *connection_next(struct connection *connection);
bool connection_wants_event(const struct connection *connection, unsigned kind_index);
void connection_send(struct connection *connection, struct shared_text *shared);
void connection_close(struct connection *connection); /* any number of times */

#endif
