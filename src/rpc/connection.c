/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* connection.c - one client: its requests, its answers, its events, its end.
 *
 * Whatever happens to a connection, connection_settle() is what follows. Answers and events from
 * elsewhere only mark it dirty; the hub settles the dirty ones before the loop sleeps, so what comes
 * together leaves together.
 *
 * Invariants
 *  C1  No client can make the loop wait: one turn does the work of at most WIRE_READ_BYTES of requests,
 *      and stops sooner at UNSENT_PAUSE_BYTES of answers.
 *  C2  A client that does not read is not read from: above UNSENT_PAUSE_BYTES or UNSENT_FDS, or while it
 *      is full of unanswered calls (JSONRPC_MAX_CALLS), its requests wait. Events do not wait for it:
 *      above UNSENT_MAX_BYTES it is closed, and so it is when the ring forgets what it is yet to get.
 *  C3  The console gets the socket only when the answer has left and nothing is buffered, so its first
 *      byte is the first byte after the answer, in both directions.
 *  C4  A subscriber gets what it asked for in order, without a gap and without a double: up to
 *      replay_seq from the ring, from there on as it happens.
 * Transitions
 *  open -> leaving  [leave_after]    a last error was queued; nothing more is read
 *  open -> ending   [on_end]         the client says no more; it is answered, then closed
 *  open -> console  [hand_over]      the socket belongs to the backend, the connection is gone
 *  any  -> closed   [connection_close]
 */
#include "rpc/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/units.h"
#include "rpc/hub.h"

#define UNSENT_PAUSE_BYTES (UINT64_C(256) * KIB_BYTES)
#define UNSENT_MAX_BYTES   (UINT64_C(4) * MIB_BYTES)
enum { UNSENT_FDS = 16 };

/* What things cost that have no length of their own, roughly. */
enum { CALL_BYTES = 512, VM_NAME_IN_FILTER_BYTES = 128 };

static struct connection *of_wire(struct wire *wire)
{
	return (struct connection *)wire;
}

/* --- closing --------------------------------------------------------------------------------- */

/* Everything but the socket. */
static void retire(struct connection *connection)
{
	hub_leave(connection->hub, connection);
	subscription_fini(&connection->subscription);
	jsonrpc_leave(&connection->rpc);
}

void connection_close(struct connection *connection)
{
	if (wire_is_closed(&connection->wire))
		return;
	retire(connection);
	wire_close(&connection->wire);
}

static void on_freed(struct wire *wire)
{
	struct connection *connection = of_wire(wire);

	hub_forget(connection->hub);
	free(connection);
}

static void hand_over(struct connection *connection)
{
	const struct api_backend *vm = connection->hub->backend;

	retire(connection);
	vm->take_console(vm->ctx, wire_take_fd(&connection->wire));
}

/* --- what is to be done ---------------------------------------------------------------------- */

static void leave_after(struct connection *connection, enum api_error code, const char *sentence)
{
	(void)wire_say_json(&connection->wire, jsonrpc_error(code, sentence));
	connection->is_leaving = true;
	hub_mark_dirty(connection->hub, connection);
}

static bool may_read(const struct connection *connection)
{
	return !connection->is_leaving && !connection->becomes_console &&
	       connection->wire.unsent_bytes < UNSENT_PAUSE_BYTES &&
	       connection->wire.unsent_fds < UNSENT_FDS && !jsonrpc_is_full(&connection->rpc) &&
	       !wire_is_closed(&connection->wire);
}

static void take_messages(struct connection *connection)
{
	const char *message;
	size_t len;

	while (connection->has_more && may_read(connection)) {
		int ret = frame_next(&connection->wire.in, &message, &len);

		connection->has_more = ret > 0;
		if (ret < 0)
			leave_after(connection, API_ERROR_TOO_LARGE,
				    "a message may have at most 1 MiB; this connection ends");
		else if (ret > 0 && jsonrpc_take(&connection->rpc, message, len) < 0)
			connection_close(connection);
	}
}

void connection_say_event(struct connection *connection, const struct event *event)
{
	struct wire *wire = &connection->wire;

	if (wire->unsent_bytes + event->text->len > UNSENT_MAX_BYTES ||
	    wire_say_shared(wire, event->text) < 0)
		connection_close(connection);
}

/* C4: the next of the ring, as long as the client takes them. */
static void replay(struct connection *connection)
{
	const struct event_ring *ring = &connection->hub->ring;

	while (connection->replay_seq > 0 && !wire_is_closed(&connection->wire) &&
	       connection->wire.unsent_bytes < UNSENT_PAUSE_BYTES) {
		const struct event *event = event_ring_at(ring, connection->replay_seq);

		if (!event && connection->replay_seq < ring->next_seq) {
			connection_close(connection);
		} else if (!event) {
			connection->replay_seq = 0;
		} else {
			if (subscription_wants(&connection->subscription, event))
				connection_say_event(connection, event);
			connection->replay_seq++;
		}
	}
}

/* Nothing is left to do for a client that says no more. */
static bool is_over(const struct connection *connection)
{
	return connection->is_leaving ||
	       (connection->wire.has_ended && !connection->has_more &&
		connection->rpc.in_flight == 0 && connection->subscription.kinds == 0);
}

static size_t held_bytes(const struct connection *connection)
{
	const struct jsonrpc *rpc = &connection->rpc;

	return wire_held_bytes(&connection->wire) + rpc->in_flight_bytes +
	       rpc->in_flight * (size_t)CALL_BYTES +
	       json_object_size(connection->subscription.vms) * VM_NAME_IN_FILTER_BYTES;
}

void connection_settle(struct connection *connection)
{
	struct wire *wire = &connection->wire;

	take_messages(connection);
	replay(connection);
	if (wire_is_closed(wire))
		return;
	hub_mark_clean(connection);
	if (wire_flush(wire) < 0 || (wire->unsent_bytes == 0 && is_over(connection))) {
		connection_close(connection);
		return;
	}
	if (wire->unsent_bytes == 0 && connection->becomes_console) {
		hand_over(connection);
		return;
	}
	wire_watch(wire, may_read(connection) && !connection->has_more,
		   wire->unsent_bytes > 0 || connection->replay_seq > 0 ||
			   (connection->has_more && may_read(connection)));
	hub_hold(connection->hub, connection, held_bytes(connection));
}

/* --- a connection's life --------------------------------------------------------------------- */

static void send_answer(struct jsonrpc *rpc, json_t *answer, int fd)
{
	struct connection *connection = connection_of_rpc(rpc);
	struct wire *wire = &connection->wire;
	int ret = fd < 0 ? wire_say_json(wire, answer) : wire_say_with_fd(wire, answer, fd);

	if (ret < 0)
		connection_close(connection);
	else
		hub_mark_dirty(connection->hub, connection);
}

static void send_answer_by(struct jsonrpc *rpc, api_write write, void *ctx)
{
	struct connection *connection = connection_of_rpc(rpc);

	if (wire_say_by(&connection->wire, write, ctx) < 0)
		connection_close(connection);
	else
		hub_mark_dirty(connection->hub, connection);
}

static void on_room(struct jsonrpc *rpc)
{
	struct connection *connection = connection_of_rpc(rpc);

	hub_mark_dirty(connection->hub, connection);
}

static void on_writable(struct wire *wire)
{
	struct hub *hub = of_wire(wire)->hub;

	connection_settle(of_wire(wire));
	hub_set_timer(hub);
}

static void on_bytes(struct wire *wire)
{
	of_wire(wire)->has_more = true;
	on_writable(wire);
}

static void on_end(struct wire *wire, int reason)
{
	struct connection *connection = of_wire(wire);

	if (reason == -EMSGSIZE || reason == -ENOMEM)
		leave_after(connection, API_ERROR_TOO_LARGE, "no memory for this message");
	else if (reason < 0)
		connection_close(connection);
	else
		connection_settle(connection);
}

/* Who is at the other end, and whether it may be there. */
static bool identify(struct connection *connection, int fd, bool may_change)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	connection->rpc.peer = (struct api_peer){
		.uid = peer.uid, .gid = peer.gid, .pid = peer.pid, .may_change = may_change
	};
	return hub_may_enter(connection->hub, &connection->rpc.peer);
}

int connection_create(struct hub *hub, int fd, bool may_change)
{
	static const struct wire_ops ops = { .on_bytes = on_bytes,
					     .on_writable = on_writable,
					     .on_end = on_end,
					     .on_freed = on_freed };
	struct connection *connection = calloc(1, sizeof(*connection));
	bool is_full;
	int ret;

	if (!connection) {
		(void)close(fd);
		return -ENOMEM;
	}
	connection->hub = hub;
	connection->rpc = (struct jsonrpc){ .backend = &hub->called,
					    .pool = &hub->calls,
					    .send = send_answer,
					    .send_by = send_answer_by,
					    .on_room = on_room };
	ret = wire_open(&connection->wire, hub->loop, fd, &ops);
	if (ret < 0) {
		free(connection);
		return ret;
	}
	hub_join(hub, connection);
	if (!identify(connection, fd, may_change)) {
		connection_close(connection);
		return -EPERM;
	}
	is_full = hub_is_full_for(hub, &connection->rpc.peer);
	if (is_full)
		leave_after(connection, API_ERROR_INTERNAL,
			    "too many connections; close one and try again");
	connection_settle(connection);
	if (is_full)
		connection_close(connection);
	return is_full ? -EBUSY : 0;
}
