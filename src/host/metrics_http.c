/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_http.c - see metrics_http.h.
 *
 * Connections are accepted here and handed to libmicrohttpd: on its own it would try again and again
 * while this process has no descriptor left.
 *
 * libmicrohttpd waits with an epoll of its own, which is itself a descriptor: the loop polls that one, and
 * when it is readable MHD_run() does one round without waiting.
 *
 * Its own timeout counts from the last byte, so that a client which sends one now and then stays for ever.
 * Here each connection has a deadline instead: for its next request to have come, for the answer to have
 * gone, for a follower to have read everything. Past it, and when there are too many, the socket is shut
 * down under libmicrohttpd, which finds it closed and cleans up.
 *
 * Invariants
 *  W1  A peer is on the list from its connection's start to its end; no memory for one: no answer.
 *  W2  Peers that are shut down do not count: so there is always room for the next.
 *  W3  A connection that rests (is suspended) is woken before it is shut down, or nobody would look at it.
 */
#include "host/metrics_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"

enum { SPARE_PEERS = 32, ACCEPT_AT_ONCE = 16, ACCEPT_REST_MS = 1000, SWEEP_MS = 1000 };

_Static_assert(ACCEPT_AT_ONCE < SPARE_PEERS, "W2: those shut down in one round have room to end");

struct http_peer {
	struct http_server *server;
	struct MHD_Connection *connection;
	int fd;
	uint64_t deadline_ns;
	bool is_follower, is_resting, is_shut;
	struct http_peer *prev, *next;
};

struct http_server {
	struct http_config config;
	struct MHD_Daemon *daemon;
	uv_poll_t listening;
	uv_timer_t rest; /* no descriptor was left: try again after it */
	uv_poll_t poll;
	uv_timer_t again; /* libmicrohttpd wants another round */
	uv_timer_t sweep;
	unsigned handles; /* of the loop, not closed yet */
	struct http_peer *first;
	unsigned count, followers; /* W2 */
};

static uint64_t deadline_in(unsigned seconds)
{
	return clock_now_ns() + seconds * NS_PER_S;
}

/* --- peers ---------------------------------------------------------------------------------------- */

static void stop_following(struct http_peer *peer)
{
	if (peer->is_follower)
		peer->server->followers--;
	peer->is_follower = false;
}

static void shut(struct http_peer *peer)
{
	if (peer->is_shut)
		return;
	peer->is_shut = true;
	peer->server->count--;
	(void)shutdown(peer->fd, SHUT_RDWR);
	http_peer_wake(peer); /* W3 */
}

/* Who has dawdled longest; a follower is never pushed out, there are few. */
static void make_room(struct http_server *server)
{
	struct http_peer *worst = NULL;

	for (struct http_peer *each = server->first; each; each = each->next)
		if (!each->is_follower && !each->is_shut &&
		    (!worst || each->deadline_ns < worst->deadline_ns))
			worst = each;
	if (worst)
		shut(worst);
}

static void add_peer(struct http_server *server, struct MHD_Connection *connection,
		     void **socket_context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct http_peer *peer = calloc(1, sizeof(*peer));

	*socket_context = peer;
	if (!peer || !info) {
		free(peer);
		*socket_context = NULL; /* W1 */
		return;
	}
	if (server->count >= HTTP_PEERS)
		make_room(server);
	peer->server = server;
	peer->connection = connection;
	peer->fd = info->connect_fd;
	peer->deadline_ns = deadline_in(HTTP_REQUEST_S);
	peer->next = server->first;
	if (peer->next)
		peer->next->prev = peer;
	server->first = peer;
	server->count++;
	if (!uv_is_active((uv_handle_t *)&server->sweep))
		(void)uv_timer_start(&server->sweep, server->sweep.timer_cb, SWEEP_MS, SWEEP_MS);
}

static void drop_peer(struct http_peer *peer)
{
	struct http_server *server = peer->server;

	stop_following(peer);
	if (!peer->is_shut)
		server->count--;
	if (peer->next)
		peer->next->prev = peer->prev;
	if (peer->prev)
		peer->prev->next = peer->next;
	else
		server->first = peer->next;
	free(peer);
}

bool http_peer_is_tcp(const struct http_peer *peer)
{
	return peer->server->config.is_tcp;
}

bool http_peer_follow(struct http_peer *peer)
{
	if (peer->server->followers >= HTTP_FOLLOWERS)
		return false;
	peer->server->followers++;
	peer->is_follower = true;
	peer->deadline_ns = deadline_in(HTTP_FOLLOWER_S);
	return true;
}

bool http_peer_rest(struct http_peer *peer)
{
	if (peer->is_shut)
		return false;
	peer->deadline_ns = deadline_in(HTTP_FOLLOWER_S);
	peer->is_resting = true;
	MHD_suspend_connection(peer->connection);
	return true;
}

void http_peer_wake(struct http_peer *peer)
{
	if (!peer->is_resting)
		return;
	peer->is_resting = false;
	MHD_resume_connection(peer->connection);
	/* libmicrohttpd looks at it in its next round, and does not ask for one. */
	(void)uv_timer_start(&peer->server->again, peer->server->again.timer_cb, 0, 0);
}

/* --- callbacks of libmicrohttpd -------------------------------------------------------------------- */

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		add_peer(ctx, connection, socket_context);
	else if (*socket_context)
		drop_peer(*socket_context);
}

static struct http_peer *peer_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *body,
				  size_t *body_len, void **request_context)
{
	struct http_server *server = ctx;
	struct http_peer *peer = peer_of(connection);

	(void)version, (void)body, (void)body_len, (void)request_context;
	if (!peer || peer->is_shut)
		return MHD_NO;
	peer->deadline_ns = deadline_in(HTTP_REQUEST_S);
	return server->config.answer(server->config.ctx, peer, connection, method, path);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **request_context,
			 enum MHD_RequestTerminationCode code)
{
	struct http_peer *peer = peer_of(connection);

	(void)ctx, (void)request_context, (void)code;
	if (!peer)
		return;
	stop_following(peer);
	peer->deadline_ns = deadline_in(HTTP_REQUEST_S);
}

/* --- in the loop ------------------------------------------------------------------------------------ */

static void run(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	(void)MHD_run(server->daemon);
	if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
		(void)uv_timer_start(&server->again, server->again.timer_cb, wait_ms, 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	run(poll->data);
}

/* True: there may be more. */
static bool accept_one(struct http_server *server)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);
	int fd = accept4(server->config.fd, (struct sockaddr *)&address, &len,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
		return true;
	if (fd < 0 && errno != EAGAIN) {
		(void)uv_poll_stop(&server->listening);
		(void)uv_timer_start(&server->rest, server->rest.timer_cb, ACCEPT_REST_MS, 0);
	}
	if (fd >= 0) /* closed when it is refused */
		(void)MHD_add_connection(server->daemon, fd, (struct sockaddr *)&address, len);
	return fd >= 0;
}

static void on_listening(uv_poll_t *poll, int status, int events)
{
	struct http_server *server = poll->data;

	(void)status, (void)events;
	for (int i = 0; i < ACCEPT_AT_ONCE && accept_one(server); i++)
		;
	run(server);
}

static void listen_again(struct http_server *server)
{
	(void)uv_poll_start(&server->listening, UV_READABLE, on_listening);
}

static void on_rested(uv_timer_t *timer)
{
	listen_again(timer->data);
}

static void on_again(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_sweep(uv_timer_t *timer)
{
	struct http_server *server = timer->data;
	uint64_t now_ns = clock_now_ns();

	for (struct http_peer *each = server->first; each; each = each->next)
		if (each->deadline_ns < now_ns)
			shut(each);
	if (!server->first)
		(void)uv_timer_stop(timer);
}

static int start_daemon(struct http_server *server, struct err *err)
{
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
		on_request, server, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)(HTTP_PEERS + SPARE_PEERS), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)HTTP_PEER_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 0U,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
		server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_END);
	if (server->daemon)
		return 0;
	return err_set(err, -EIO, "starting the HTTP server for metrics failed");
}

/* Timers keep their callbacks, and are not started yet. */
static void init_timer(struct http_server *server, uv_timer_t *timer, uv_timer_cb callback)
{
	(void)uv_timer_init(server->config.loop, timer);
	(void)uv_timer_start(timer, callback, 0, 0);
	(void)uv_timer_stop(timer);
	timer->data = server;
	server->handles++;
}

static int start_polling(struct http_server *server, uv_poll_t *poll, int fd, uv_poll_cb callback,
			 struct err *err)
{
	int ret = uv_poll_init(server->config.loop, poll, fd);

	if (ret == 0) {
		server->handles++;
		poll->data = server;
		ret = uv_poll_start(poll, UV_READABLE, callback);
	}
	return ret == 0 ? 0 : err_set(err, ret, "waiting for metrics' clients: %s", strerror(-ret));
}

static int start(struct http_server *server, struct err *err)
{
	const union MHD_DaemonInfo *info;
	int ret = start_daemon(server, err);

	if (ret < 0)
		return ret;
	info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	ret = start_polling(server, &server->poll, info ? info->epoll_fd : -1, on_readable, err);
	if (ret == 0)
		ret = start_polling(server, &server->listening, server->config.fd, on_listening,
				    err);
	return ret;
}

int http_open(const struct http_config *config, struct http_server **ret_server, struct err *err)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int ret;

	if (!server) {
		int fd = config->fd;

		close_fd(&fd);
		return err_set(err, -ENOMEM, "no memory for the HTTP server");
	}
	server->config = *config;
	init_timer(server, &server->again, on_again);
	init_timer(server, &server->sweep, on_sweep);
	init_timer(server, &server->rest, on_rested);
	ret = start(server, err);
	if (ret < 0) {
		http_close(server);
		return ret;
	}
	*ret_server = server;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	((struct http_server *)handle->data)->handles--;
}

void http_close(struct http_server *server)
{
	if (!server)
		return;
	uv_close((uv_handle_t *)&server->again, on_closed);
	uv_close((uv_handle_t *)&server->sweep, on_closed);
	uv_close((uv_handle_t *)&server->rest, on_closed);
	if (server->listening.data) /* before their descriptors go */
		uv_close((uv_handle_t *)&server->listening, on_closed);
	if (server->poll.data)
		uv_close((uv_handle_t *)&server->poll, on_closed);
	while (server->handles > 0)
		(void)uv_run(server->config.loop, UV_RUN_NOWAIT);
	for (struct http_peer *each = server->first; each; each = each->next)
		http_peer_wake(each);
	if (server->daemon)
		MHD_stop_daemon(server->daemon);
	close_fd(&server->config.fd);
	free(server);
}
