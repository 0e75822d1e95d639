/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* server.c - the sockets of a VM or of a daemon, who comes in, and events for all who asked. See rpc.h.
 *
 * Limits: connections_max at once. One more is told so and closed; the others notice nothing. A process without a free
 * descriptor lets new clients wait in the kernel's queue and looks again after ACCEPT_PAUSE_MS.
 */
#include "rpc/rpc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "rpc/hub.h"
#include "rpc/listener.h"

enum {
	VM_CONNECTIONS_MAX = 64,
	ACCEPTS_PER_TURN = 64,
	ACCEPT_PAUSE_MS = 100,
};

/* A listener on the loop. */
struct door {
	struct rpc_server *server;
	struct listener listener;
	uv_poll_t poll;
	bool is_on_loop;
};

struct rpc_server {
	struct hub hub;
	uv_timer_t accept_timer;
	unsigned door_count;
	struct door doors[];
};

/* --- who comes in ---------------------------------------------------------------------------- */

static void open_doors(struct rpc_server *server);

static void on_accept_timer(uv_timer_t *timer)
{
	open_doors(timer->data);
}

static void pause_accepting(struct rpc_server *server, int reason)
{
	log_debug("rpc", "new clients wait: %s", strerror(-reason));
	for (unsigned i = 0; i < server->door_count; i++)
		if (server->doors[i].is_on_loop)
			(void)uv_poll_stop(&server->doors[i].poll);
	(void)uv_timer_start(&server->accept_timer, on_accept_timer, ACCEPT_PAUSE_MS, 0);
}

static void on_knock(uv_poll_t *poll, int status, int events)
{
	struct door *door = poll->data;
	struct rpc_server *server = door->server;
	int ret = status;

	(void)events;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN && ret >= 0; i++) {
		ret = listener_accept(&door->listener);
		if (ret >= 0)
			(void)connection_create(&server->hub, ret, door->listener.may_change);
	}
	if (ret < 0 && ret != -EAGAIN && ret != -EINTR && ret != -ECONNABORTED)
		pause_accepting(server, ret);
}

static void open_doors(struct rpc_server *server)
{
	for (unsigned i = 0; i < server->door_count; i++)
		if (server->doors[i].is_on_loop)
			(void)uv_poll_start(&server->doors[i].poll, UV_READABLE, on_knock);
}

/* --- the server's life ----------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	((struct rpc_server *)handle->data)->hub.open_handles--;
}

static void on_door_closed(uv_handle_t *handle)
{
	((struct door *)handle->data)->server->hub.open_handles--;
}

void rpc_server_destroy(struct rpc_server *server)
{
	if (!server)
		return;
	for (unsigned i = 0; i < server->door_count; i++) {
		struct door *door = &server->doors[i];

		if (door->is_on_loop)
			uv_close((uv_handle_t *)&door->poll, on_door_closed);
		listener_close(&door->listener);
	}
	uv_close((uv_handle_t *)&server->accept_timer, on_closed);
	hub_fini(&server->hub);
	free(server);
}

static int add_door(struct rpc_server *server, const struct rpc_server_config *config,
		    const struct rpc_listen *listen_at, struct err *err)
{
	struct door *door = &server->doors[server->door_count];
	int ret = listener_open(&door->listener, listen_at, config->connections_max,
				config->taken ? config->taken : "somebody listens there already",
				err);

	if (ret < 0)
		return ret;
	server->door_count++;
	door->server = server;
	ret = uv_poll_init(config->loop, &door->poll, door->listener.fd);
	if (ret < 0)
		return err_set(err, ret, "listening on %s: %s", door->listener.path,
			       uv_strerror(ret));
	door->poll.data = door;
	door->is_on_loop = true;
	server->hub.open_handles++;
	return 0;
}

static struct rpc_server *create_closed(const struct rpc_server_config *config)
{
	struct rpc_server *server =
		calloc(1, sizeof(*server) + config->listen_count * sizeof(server->doors[0]));
	struct hub *hub = server ? &server->hub : NULL;

	if (!server || event_ring_init(&hub->ring, config->events_kept,
				       config->first_seq ? config->first_seq : 1) < 0) {
		free(server);
		return NULL;
	}
	hub->loop = config->loop;
	hub->backend = config->backend;
	hub->any_user = config->any_user;
	hub->connections_max = config->connections_max;
	hub_init(hub);
	(void)uv_timer_init(config->loop, &server->accept_timer);
	server->accept_timer.data = server;
	hub->open_handles++;
	return server;
}

static void forget_descriptors(const struct rpc_server_config *config, unsigned from)
{
	for (unsigned i = from; i < config->listen_count; i++)
		if (config->listens[i].fd >= 0)
			(void)close(config->listens[i].fd);
}

int rpc_server_create_many(const struct rpc_server_config *config, struct rpc_server **ret_server,
			   struct err *err)
{
	struct rpc_server *server = create_closed(config);
	int ret = 0;

	if (!server) {
		forget_descriptors(config, 0);
		return err_set(err, -ENOMEM, "no memory for the control socket");
	}
	/* Consoles and logs are written to, too: a reader that leaves early must not end us. */
	(void)signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < config->listen_count && ret == 0; i++) {
		ret = add_door(server, config, &config->listens[i], err);
		if (ret < 0)
			forget_descriptors(config, i + 1);
	}
	if (ret < 0) {
		rpc_server_destroy(server);
		return ret;
	}
	open_doors(server);
	*ret_server = server;
	return 0;
}

int rpc_server_create(uv_loop_t *loop, const char *path, const struct api_backend *backend,
		      struct rpc_server **ret_server, struct err *err)
{
	struct rpc_listen listen_at = {
		.path = path, .fd = -1, .mode = 0600, .gid = (gid_t)-1, .may_change = true
	};
	struct rpc_server_config config = {
		.loop = loop,
		.backend = backend,
		.listens = &listen_at,
		.listen_count = 1,
		.connections_max = VM_CONNECTIONS_MAX,
		.taken = "a VM of that name runs already; choose another name",
	};

	return rpc_server_create_many(&config, ret_server, err);
}

bool rpc_server_has_subscriber(const struct rpc_server *server, const char *kind)
{
	int index = api_event_by_kind(server->hub.backend->set, kind);

	return index >= 0 && server->hub.subscribers[index] > 0;
}

void rpc_server_on_subscribed(struct rpc_server *server, void (*subscribed)(void *ctx), void *ctx)
{
	server->hub.subscribed = subscribed;
	server->hub.subscribed_ctx = ctx;
}

unsigned rpc_server_connections(const struct rpc_server *server)
{
	return server->hub.count;
}

uint64_t rpc_server_next_seq(const struct rpc_server *server)
{
	return server->hub.ring.next_seq;
}

/* --- events ---------------------------------------------------------------------------------- */

static void wall_clock(char ret_text[CLOCK_UTC_BYTES])
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)clock_utc_text(&now, true, ret_text);
}

/* Steals @data. One text for all subscribers, or NULL. */
static struct shared_text *event_text(const struct event *event, const char *kind, json_t *data)
{
	char time_text[CLOCK_UTC_BYTES];
	json_t *message;
	char *line;

	wall_clock(time_text);
	message = json_pack("{s:s, s:s, s:{s:I, s:I, s:s, s:s, s:s*, s:s*, s:o}}", "jsonrpc", "2.0",
			    "method", "event", "params", "seq", (json_int_t)event->seq, "time_ns",
			    (json_int_t)clock_now_ns(), "time", time_text, "kind", kind, "vm",
			    event->vm_name, "uuid", event->vm_uuid, "data",
			    data ? data : json_object());
	line = jsonrpc_line(message);
	return shared_text_create(line, line ? strlen(line) : 0);
}

void rpc_server_publish_of(struct rpc_server *server, const char *vm_name, const char *vm_uuid,
			   const char *kind, json_t *data)
{
	struct hub *hub = &server->hub;
	int index = api_event_by_kind(hub->backend->set, kind);
	struct event event = { .seq = hub->ring.next_seq, .vm_name = vm_name, .vm_uuid = vm_uuid };

	if (index < 0) {
		log_debug("rpc", "event %s has no row in api/events.def", kind);
		json_decref(data);
		return;
	}
	event.kind = (unsigned)index;
	event.text = event_text(&event, kind, data);
	event_ring_push(&hub->ring, &event);
	if (event.text)
		hub_publish(hub, &event);
	shared_text_put(event.text);
}

void rpc_server_publish(struct rpc_server *server, const char *kind, json_t *data)
{
	rpc_server_publish_of(server, NULL, NULL, kind, data);
}
