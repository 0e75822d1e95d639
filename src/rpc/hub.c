/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hub.c - see hub.h.
 *
 * Invariants
 *  H1  All connections together hold at most HELD_MAX_BYTES; above it the one that holds most is closed.
 *  H2  Where several users may connect, the last RESERVED places are for our own user and root.
 *  H3  The timer is set anew wherever a call may have begun or ended: after messages were taken, and
 *      before the loop sleeps when a connection was dirty. One that fires too early does no harm.
 */
#include "rpc/hub.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"

#define HELD_MAX_BYTES (UINT64_C(256) * MIB_BYTES)
enum { RESERVED = 8 };

/* --- who is here ----------------------------------------------------------------------------- */

static bool is_master(const struct api_peer *peer)
{
	return peer->uid == geteuid() || peer->uid == 0;
}

bool hub_may_enter(const struct hub *hub, const struct api_peer *peer)
{
	return hub->any_user || is_master(peer);
}

bool hub_is_full_for(const struct hub *hub, const struct api_peer *peer)
{
	bool is_guest = hub->any_user && !is_master(peer) && hub->connections_max > RESERVED;

	return hub->count > hub->connections_max - (is_guest ? RESERVED : 0);
}

void hub_join(struct hub *hub, struct connection *connection)
{
	connection->link = &hub->first;
	connection->next = hub->first;
	if (hub->first)
		hub->first->link = &connection->next;
	hub->first = connection;
	hub->count++;
}

static void count_held(struct hub *hub, struct connection *connection, size_t held_bytes)
{
	hub->held_bytes += held_bytes - connection->held_bytes;
	connection->held_bytes = held_bytes;
}

void hub_leave(struct hub *hub, struct connection *connection)
{
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	count_held(hub, connection, 0);
	hub_count_subscriber(hub, connection, -1);
	hub_mark_clean(connection);
}

void hub_forget(struct hub *hub)
{
	hub->count--;
}

void hub_hold(struct hub *hub, struct connection *connection, size_t held_bytes)
{
	struct connection *largest = connection;

	count_held(hub, connection, held_bytes);
	if (hub->held_bytes <= HELD_MAX_BYTES)
		return;
	for (struct connection *each = hub->first; each; each = each->next)
		if (each->held_bytes > largest->held_bytes)
			largest = each;
	log_debug("rpc", "a client is dropped: the server holds too much for all, and most for it");
	connection_close(largest);
}

void hub_count_subscriber(struct hub *hub, const struct connection *connection, int change)
{
	for (unsigned i = 0; i < hub->backend->set->event_count; i++)
		if (connection->subscription.kinds >> i & 1)
			hub->subscribers[i] += (unsigned)change;
	if (change > 0 && hub->subscribed)
		hub->subscribed(hub->subscribed_ctx);
}

/* --- deadlines ------------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *timer)
{
	struct hub *hub = timer->data;

	hub->timer_ns = DEADLINES_NONE;
	jsonrpc_expire(&hub->calls, clock_now_ns());
	hub_set_timer(hub);
}

void hub_set_timer(struct hub *hub)
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

/* --- dirty ones ------------------------------------------------------------------------------ */

void hub_mark_clean(struct connection *connection)
{
	if (!connection->dirty_link)
		return;
	*connection->dirty_link = connection->next_dirty;
	if (connection->next_dirty)
		connection->next_dirty->dirty_link = connection->dirty_link;
	connection->dirty_link = NULL;
}

static void settle_dirty(struct hub *hub)
{
	while (hub->dirty) {
		struct connection *connection = hub->dirty;

		hub_mark_clean(connection);
		connection_settle(connection);
	}
}

static void on_before_sleep(uv_prepare_t *prepare)
{
	struct hub *hub = prepare->data;

	settle_dirty(hub);
	hub_set_timer(hub);
	(void)uv_prepare_stop(prepare);
}

void hub_mark_dirty(struct hub *hub, struct connection *connection)
{
	if (connection->dirty_link || wire_is_closed(&connection->wire))
		return;
	connection->next_dirty = hub->dirty;
	connection->dirty_link = &hub->dirty;
	if (hub->dirty)
		hub->dirty->dirty_link = &connection->next_dirty;
	hub->dirty = connection;
	(void)uv_prepare_start(&hub->before_sleep, on_before_sleep);
}

void hub_publish(struct hub *hub, const struct event *event)
{
	struct connection *next;

	if (hub->subscribers[event->kind] == 0)
		return;
	for (struct connection *each = hub->first; each; each = next) {
		next = each->next;
		if (each->becomes_console || each->is_leaving || each->replay_seq > 0 ||
		    !subscription_wants(&each->subscription, event))
			continue;
		connection_say_event(each, event);
		hub_mark_dirty(hub, each);
	}
}

/* --- its life -------------------------------------------------------------------------------- */

void hub_init(struct hub *hub)
{
	const struct api_set *set = hub->backend->set;

	hub->called = *hub->backend;
	hub->called.handlers = hub->handlers;
	memcpy(hub->handlers, hub->backend->handlers, set->verb_count * sizeof(hub->handlers[0]));
	verbs_install(hub);
	(void)uv_prepare_init(hub->loop, &hub->before_sleep);
	(void)uv_timer_init(hub->loop, &hub->deadline_timer);
	hub->before_sleep.data = hub;
	hub->deadline_timer.data = hub;
	hub->timer_ns = DEADLINES_NONE;
	hub->open_handles = 2;
}

static void on_hub_handle_closed(uv_handle_t *handle)
{
	((struct hub *)handle->data)->open_handles--;
}

void hub_fini(struct hub *hub)
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
