/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* connection.c - one client: its requests, its answers, its subscription, its way to the console.
 *
 * The verbs that are about the connection itself (events.subscribe, rpc.discover, vm.console) stand in
 * the hub's copy of the backend's handlers, so they pass the same checks as all others.
 *
 * Whatever happens to a connection, settle() is what follows: it does what can be done now, sends, and
 * says what to wait for. Answers and events from elsewhere only mark it dirty; the dirty ones are
 * settled before the loop sleeps, so what comes together leaves together.
 *
 * Invariants
 *  C1  No client can make the loop wait: one turn does the work of at most WIRE_READ_BYTES of requests,
 *      and stops sooner at UNSENT_PAUSE_BYTES of answers.
 *  C2  A client that does not read is not read from: above UNSENT_PAUSE_BYTES, or while it is full of
 *      unanswered calls (JSONRPC_MAX_CALLS), its requests wait. Events do not wait for it: above
 *      UNSENT_MAX_BYTES it is closed, and so it is when the ring forgets what it has not been sent.
 *  C3  The console gets the socket only when the answer has left and nothing is buffered, so its first
 *      byte is the first byte after the answer, in both directions.
 *  C4  A subscriber gets what it asked for in order, without a gap and without a double: up to
 *      replay_seq from the ring, from there on as it happens.
 *  C5  All connections together hold at most HELD_MAX_BYTES; above it the one that holds most is
 *      closed.
 *  C6  Where several users may connect, the last RESERVED places are for our own user and root.
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

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "rpc/wire.h"

#define UNSENT_PAUSE_BYTES (UINT64_C(256) * KIB_BYTES)
#define UNSENT_MAX_BYTES   (UINT64_C(4) * MIB_BYTES)
#define HELD_MAX_BYTES	   (UINT64_C(256) * MIB_BYTES)
enum { RESERVED = 8 };

struct connection {
	struct wire wire; /* first */
	struct connection_hub *hub;
	struct connection *next, **link; /* the hub's list; link: what points here */
	struct connection *next_dirty,
		**dirty_link; /* the same of the dirty ones; NULL: it is clean */
	struct jsonrpc rpc;
	struct subscription subscription;
	uint64_t
		replay_seq; /* next event to be sent from the ring; 0: it gets them as they happen */
	size_t held_bytes;  /* as counted in the hub */
	bool has_more;	    /* whole messages may be waiting */
	bool is_leaving;
	bool becomes_console;
};

static struct connection *of_wire(struct wire *wire)
{
	return (struct connection *)wire;
}

static struct connection *of_rpc(struct jsonrpc *rpc)
{
	return (struct connection *)((char *)rpc - offsetof(struct connection, rpc));
}

/* --- closing --------------------------------------------------------------------------------- */

static void count_subscriber(struct connection *connection, int change)
{
	for (unsigned i = 0; i < connection->hub->backend->set->event_count; i++)
		if (connection->subscription.kinds >> i & 1)
			connection->hub->subscribers[i] += (unsigned)change;
}

static void count_held(struct connection *connection, size_t held_bytes)
{
	connection->hub->held_bytes += held_bytes - connection->held_bytes;
	connection->held_bytes = held_bytes;
}

static void mark_clean(struct connection *connection)
{
	if (!connection->dirty_link)
		return;
	*connection->dirty_link = connection->next_dirty;
	if (connection->next_dirty)
		connection->next_dirty->dirty_link = connection->dirty_link;
	connection->dirty_link = NULL;
}

/* Everything but the socket. */
static void retire(struct connection *connection)
{
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	count_held(connection, 0);
	count_subscriber(connection, -1);
	subscription_fini(&connection->subscription);
	jsonrpc_leave(&connection->rpc);
	mark_clean(connection);
}

static void connection_close(struct connection *connection)
{
	if (wire_is_closed(&connection->wire))
		return;
	retire(connection);
	wire_close(&connection->wire);
}

static void on_freed(struct wire *wire)
{
	struct connection *connection = of_wire(wire);

	connection->hub->count--;
	free(connection);
}

static void hand_over(struct connection *connection)
{
	const struct api_backend *vm = connection->hub->backend;

	retire(connection);
	vm->take_console(vm->ctx, wire_take_fd(&connection->wire));
}

/* --- what is to be done ---------------------------------------------------------------------- */

static void mark_dirty(struct connection *connection);

static void leave_after(struct connection *connection, enum api_error code, const char *sentence)
{
	(void)wire_say_json(&connection->wire, jsonrpc_error(code, sentence));
	connection->is_leaving = true;
	mark_dirty(connection);
}

static bool may_read(const struct connection *connection)
{
	return !connection->is_leaving && !connection->becomes_console &&
	       connection->wire.unsent_bytes < UNSENT_PAUSE_BYTES &&
	       !jsonrpc_is_full(&connection->rpc) && !wire_is_closed(&connection->wire);
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

static void say_event(struct connection *connection, const struct event *event)
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
				say_event(connection, event);
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

/* C5 */
static void make_room(struct connection_hub *hub)
{
	struct connection *largest = hub->first;

	if (hub->held_bytes <= HELD_MAX_BYTES)
		return;
	for (struct connection *each = hub->first; each; each = each->next)
		if (each->held_bytes > largest->held_bytes)
			largest = each;
	log_debug("rpc", "a client is dropped: the server holds too much for all, and most for it");
	connection_close(largest);
}

static void settle(struct connection *connection)
{
	struct wire *wire = &connection->wire;

	take_messages(connection);
	replay(connection);
	if (wire_is_closed(wire))
		return;
	mark_clean(connection);
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
	count_held(connection, wire_held_bytes(wire));
	make_room(connection->hub);
}

/* --- dirty ones ------------------------------------------------------------------------------ */

static void set_timer(struct connection_hub *hub);

static void settle_dirty(struct connection_hub *hub)
{
	while (hub->dirty) {
		struct connection *connection = hub->dirty;

		mark_clean(connection);
		settle(connection);
	}
}

static void on_before_sleep(uv_prepare_t *prepare)
{
	struct connection_hub *hub = prepare->data;

	settle_dirty(hub);
	set_timer(hub);
	(void)uv_prepare_stop(prepare);
}

static void wake_before_sleep(struct connection_hub *hub)
{
	if (!uv_is_active((uv_handle_t *)&hub->before_sleep))
		(void)uv_prepare_start(&hub->before_sleep, on_before_sleep);
}

static void mark_dirty(struct connection *connection)
{
	struct connection_hub *hub = connection->hub;

	if (connection->dirty_link || wire_is_closed(&connection->wire))
		return;
	connection->next_dirty = hub->dirty;
	connection->dirty_link = &hub->dirty;
	if (hub->dirty)
		hub->dirty->dirty_link = &connection->next_dirty;
	hub->dirty = connection;
	wake_before_sleep(hub);
}

/* --- deadlines ------------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *timer)
{
	struct connection_hub *hub = timer->data;

	hub->timer_ns = DEADLINES_NONE;
	jsonrpc_expire(&hub->calls, clock_now_ns());
	set_timer(hub);
}

static void set_timer(struct connection_hub *hub)
{
	uint64_t next_ns = deadlines_next_ns(&hub->calls.deadlines);
	uint64_t now_ns;

	if (next_ns == hub->timer_ns)
		return;
	hub->timer_ns = next_ns;
	if (next_ns == DEADLINES_NONE) {
		(void)uv_timer_stop(&hub->deadline_timer);
		return;
	}
	now_ns = clock_now_ns();
	uv_update_time(hub->loop);
	(void)uv_timer_start(&hub->deadline_timer, on_deadline,
			     next_ns > now_ns ? (next_ns - now_ns) / NS_PER_MS + 1 : 0, 0);
}

/* --- the verbs of a connection --------------------------------------------------------------- */

static bool has_result(const struct api_verb_row *verb, const char *name)
{
	for (const struct api_field *field = verb->results; field->name; field++)
		if (strcmp(field->name, name) == 0)
			return true;
	return false;
}

/* First what is kept after the number that the client knows. */
static uint64_t replay_from(const struct event_ring *ring, const json_t *after,
			    uint64_t *ret_missed)
{
	uint64_t known_seq = (uint64_t)json_integer_value(after);

	*ret_missed = 0;
	if (!after || known_seq + 1 >= ring->next_seq)
		return 0;
	if (known_seq + 1 < ring->oldest_seq)
		*ret_missed = ring->oldest_seq - known_seq - 1;
	if (ring->oldest_seq == ring->next_seq)
		return 0;
	return known_seq + 1 > ring->oldest_seq ? known_seq + 1 : ring->oldest_seq;
}

static int subscribe(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct connection *connection = of_rpc(jsonrpc_of(request));
	struct connection_hub *hub = connection->hub;
	const struct event_ring *ring = &hub->ring;
	uint64_t missed;
	int code;

	(void)ctx;
	count_subscriber(connection, -1);
	code = subscription_set(&connection->subscription, hub->backend->set, request->params, err);
	count_subscriber(connection, 1);
	if (code != 0)
		return code;
	connection->replay_seq =
		replay_from(ring, json_object_get(request->params, "after"), &missed);
	*ret_result = json_pack("{s:I}", "seq", (json_int_t)(ring->next_seq - 1));
	if (!has_result(request->verb, "oldest"))
		return 0;
	(void)json_object_update_new(*ret_result, json_pack("{s:I, s:I}", "oldest",
							    ring->oldest_seq < ring->next_seq
								    ? (json_int_t)ring->oldest_seq
								    : (json_int_t)0,
							    "missed", (json_int_t)missed));
	return 0;
}

static int become_console(void *ctx, struct api_request *request, json_t **ret_result,
			  struct err *err)
{
	struct connection *connection = of_rpc(jsonrpc_of(request));
	const struct api_backend *vm = connection->hub->backend;
	int code;

	if (!jsonrpc_is_alone(request) || frame_waiting(&connection->wire.in) > 0 ||
	    connection->rpc.in_flight > 1) {
		(void)err_set(err, -EINVAL,
			      "vm.console stands alone: no batch, an id, and nothing behind it "
			      "until its answer has come");
		return API_ERROR_INVALID_REQUEST;
	}
	code = vm->handlers[request->verb - vm->set->verbs](ctx, request, ret_result, err);
	connection->becomes_console = code == 0;
	return code;
}

static int discover(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const struct connection *connection = of_rpc(jsonrpc_of(request));

	(void)ctx;
	(void)err;
	*ret_result = api_discover(connection->hub->backend->set);
	return 0;
}

static void take_over(struct connection_hub *hub, const char *method, api_handler handler)
{
	const struct api_set *set = hub->backend->set;
	const struct api_verb_row *verb = api_verb_by_method(set, method);

	if (verb)
		hub->handlers[verb - set->verbs] = handler;
}

/* --- a connection's life --------------------------------------------------------------------- */

static void send_answer(struct jsonrpc *rpc, json_t *answer, int fd)
{
	struct connection *connection = of_rpc(rpc);
	struct wire *wire = &connection->wire;
	int ret = fd < 0 ? wire_say_json(wire, answer) : wire_say_with_fd(wire, answer, fd);

	if (ret < 0)
		connection_close(connection);
	else
		mark_dirty(connection);
}

static void on_bytes(struct wire *wire)
{
	of_wire(wire)->has_more = true;
	settle(of_wire(wire));
	set_timer(of_wire(wire)->hub);
}

static void on_writable(struct wire *wire)
{
	settle(of_wire(wire));
	set_timer(of_wire(wire)->hub);
}

static void on_end(struct wire *wire, int reason)
{
	struct connection *connection = of_wire(wire);

	if (reason == -EMSGSIZE || reason == -ENOMEM)
		leave_after(connection, API_ERROR_TOO_LARGE, "no memory for this message");
	else if (reason < 0)
		connection_close(connection);
	else
		settle(connection);
}

static bool is_master(const struct api_peer *peer)
{
	return peer->uid == geteuid() || peer->uid == 0;
}

static void on_room(struct jsonrpc *rpc)
{
	mark_dirty(of_rpc(rpc));
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
	return connection->hub->any_user || is_master(&connection->rpc.peer);
}

/* C6 */
static unsigned places_for(const struct connection *connection)
{
	const struct connection_hub *hub = connection->hub;

	if (hub->any_user && !is_master(&connection->rpc.peer) && hub->connections_max > RESERVED)
		return hub->connections_max - RESERVED;
	return hub->connections_max;
}

static void join(struct connection_hub *hub, struct connection *connection)
{
	connection->rpc.backend = &hub->called;
	connection->rpc.pool = &hub->calls;
	connection->rpc.send = send_answer;
	connection->rpc.on_room = on_room;
	connection->link = &hub->first;
	connection->next = hub->first;
	if (hub->first)
		hub->first->link = &connection->next;
	hub->first = connection;
	hub->count++;
}

int connection_create(struct connection_hub *hub, int fd, bool may_change)
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
	ret = wire_open(&connection->wire, hub->loop, fd, &ops);
	if (ret < 0) {
		free(connection);
		return ret;
	}
	join(hub, connection);
	if (!identify(connection, fd, may_change)) {
		connection_close(connection);
		return -EPERM;
	}
	is_full = hub->count > places_for(connection);
	if (is_full)
		leave_after(connection, API_ERROR_INTERNAL,
			    "too many connections; close one and try again");
	settle(connection);
	if (is_full)
		connection_close(connection);
	return is_full ? -EBUSY : 0;
}

void connection_publish(struct connection_hub *hub, const struct event *event)
{
	struct connection *next;

	if (hub->subscribers[event->kind] == 0)
		return;
	for (struct connection *each = hub->first; each; each = next) {
		next = each->next;
		if (each->becomes_console || each->is_leaving || each->replay_seq > 0 ||
		    !subscription_wants(&each->subscription, event))
			continue;
		say_event(each, event);
		mark_dirty(each);
	}
}

/* --- the hub --------------------------------------------------------------------------------- */

void connection_hub_init(struct connection_hub *hub)
{
	const struct api_set *set = hub->backend->set;

	hub->called = *hub->backend;
	hub->called.handlers = hub->handlers;
	memcpy(hub->handlers, hub->backend->handlers, set->verb_count * sizeof(hub->handlers[0]));
	take_over(hub, "events.subscribe", subscribe);
	take_over(hub, "rpc.discover", discover);
	if (hub->backend->take_console)
		take_over(hub, "vm.console", become_console);
	(void)uv_prepare_init(hub->loop, &hub->before_sleep);
	(void)uv_timer_init(hub->loop, &hub->deadline_timer);
	hub->before_sleep.data = hub;
	hub->deadline_timer.data = hub;
	hub->timer_ns = DEADLINES_NONE;
	hub->open_handles = 2;
}

static void on_hub_handle_closed(uv_handle_t *handle)
{
	((struct connection_hub *)handle->data)->open_handles--;
}

void connection_hub_fini(struct connection_hub *hub)
{
	settle_dirty(hub);
	while (hub->first)
		connection_close(hub->first);
	uv_close((uv_handle_t *)&hub->before_sleep, on_hub_handle_closed);
	uv_close((uv_handle_t *)&hub->deadline_timer, on_hub_handle_closed);
	while (hub->open_handles > 0 || hub->count > 0)
		(void)uv_run(hub->loop, UV_RUN_NOWAIT);
	jsonrpc_pool_fini(&hub->calls);
	event_ring_fini(&hub->ring);
}
