/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* jsonrpc.h - one message in, its answers out, at once or later. Knows no socket and no loop: a
 * function of bytes, a backend and the time.
 *
 * One struct jsonrpc per client, one struct jsonrpc_pool for all clients of a server.
 * Source: JSON-RPC 2.0 §4 "Request object", §5 "Response object", §6 "Batch".
 */
#ifndef NEAP_RPC_JSONRPC_H
#define NEAP_RPC_JSONRPC_H

#include <stddef.h>

#include "api/api.h"
#include "base/units.h"
#include "rpc/deadlines.h"
#include "rpc/text.h"

enum {
	JSONRPC_MAX_DEPTH = 64,
	JSONRPC_MAX_BATCH = 64,
	JSONRPC_MAX_ID_BYTES = 1024,
	/* A client with more than this unanswered is full: whoever reads from it stops. */
	JSONRPC_MAX_CALLS = 256,
	/* Of all clients, those that left included; then calls are refused. */
	JSONRPC_MAX_POOL_CALLS = 65536,
};
/* The same for their messages; short ones are taken even then. */
#define JSONRPC_MAX_POOL_BYTES (128 * MIB_BYTES)
#define JSONRPC_SHORT_BYTES    (4 * KIB_BYTES)

struct call; /* call.c's */

struct jsonrpc_pool { /* zeroed: empty */
	struct deadlines deadlines;
	struct call *orphans; /* their client left; they are still being worked on */
	unsigned call_count;
	uint64_t call_bytes; /* of their messages */
};

struct jsonrpc {
	const struct api_backend *backend;
	struct jsonrpc_pool *pool;
	struct api_peer peer;
	/* An answer, or an array of them; NULL: there was no memory for it, so the client waits in
	 * vain. Steals both; @fd: -1, or what goes with it. May call jsonrpc_leave(). */
	void (*send)(struct jsonrpc *rpc, json_t *answer, int fd);
	/* The same of an answer that is written in place; NULL: it goes through send, too. */
	void (*send_by)(struct jsonrpc *rpc, api_write write, void *ctx);
	void (*on_room)(struct jsonrpc *rpc); /* a call is done with, told or not */

	/* jsonrpc's own; zeroed at first */
	struct call *calls;
	unsigned in_flight;
	size_t in_flight_bytes; /* of their messages */
	bool has_left;
};

/**
 * jsonrpc_take() - do what a message asks
 * @untrusted_message: one frame, without its newline; not kept
 *
 * Answers leave through rpc->send(), during this call or later. There is none for notifications and
 * for a message of white space only.
 *
 * Return: 0, or -ENOMEM: the client cannot be served any more.
 */
int jsonrpc_take(struct jsonrpc *rpc, const char *untrusted_message, size_t len);

/* The client is gone, nothing more is sent to it; what it began goes on. Any number of times. */
void jsonrpc_leave(struct jsonrpc *rpc);

bool jsonrpc_is_full(const struct jsonrpc *rpc);

/* For handlers, while they run: whose request this is, and whether it stands outside a batch and will
 * be answered. What changes the connection (vm.console) is legal only then. */
struct jsonrpc *jsonrpc_of(const struct api_request *request);
bool jsonrpc_is_alone(const struct api_request *request);

/* Tells the clients whose time has passed. */
void jsonrpc_expire(struct jsonrpc_pool *pool, uint64_t now_ns);

/* After all its clients left. What is still being worked on may be answered after that. */
void jsonrpc_pool_fini(struct jsonrpc_pool *pool);

/* An error answer without a request, for what the connection itself refuses. NULL: no memory. */
json_t *jsonrpc_error(enum api_error code, const char *sentence);

#endif
