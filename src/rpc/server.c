/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* server.c - the listening socket of a VM, and events for all who asked. See rpc.h.
 *
 * The socket is bound here and not by libuv, which would cut a long path short, and unlink whatever
 * bears that name when it closes.
 *
 * Two programs may want the same name at once. The directory is locked from the look at the old
 * socket until the new one listens, so nobody can take a socket that is bound but not yet listening
 * for a stale one.
 *
 * Limits: CONNECTIONS_MAX at once. One more is told so and closed; the others notice nothing.
 */
#include "rpc/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "rpc/connection.h"

enum { CONNECTIONS_MAX = 64 };

struct rpc_server {
	uv_pipe_t listener;
	bool is_closed;
	char path[RPC_PATH_BYTES];
	dev_t socket_dev; /* the file we made: only that one is unlinked */
	ino_t socket_ino;
	struct connection_hub hub;
};

static int fill_address(const char *path, struct sockaddr_un *ret_address, struct err *err)
{
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret_address->sun_path))
		return err_set(err, -ENAMETOOLONG,
			       "the socket's path is too long (%zu bytes, at most %zu): %s",
			       strlen(path), sizeof(ret_address->sun_path) - 1, path);
	(void)snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%s", path);
	return 0;
}

/* Held until the descriptor is closed. */
static int lock_dir_of(const char *path, struct err *err)
{
	char dir[RPC_PATH_BYTES];
	char *slash;
	int fd;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "the directory of %s: %m", path);
	if (flock(fd, LOCK_EX) < 0) {
		close_fd(&fd);
		return err_set(err, -errno, "locking the directory of %s: %m", path);
	}
	return fd;
}

/* 0: nothing is at that address any more. */
static int remove_stale(const struct sockaddr_un *address, struct err *err)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %m", path);
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, -EEXIST, "%s is in the way and no socket of ours; remove it",
			       path);
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket: %m");
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return err_set(err, -EADDRINUSE,
			       "a VM of that name runs already (%s answers); choose another name",
			       path);
	if (errno != ECONNREFUSED)
		return err_set(err, -errno, "%s: %m", path);
	if (unlink(path) < 0)
		return err_set(err, -errno, "removing the stale socket %s: %m", path);
	return 0;
}

static int bind_listening(const char *path, struct err *err)
{
	struct sockaddr_un address;
	mode_t old_umask;
	int ret = fill_address(path, &address, err);

	if (ret < 0)
		return ret;
	CLEANUP(close_fd)
	int lock_fd = lock_dir_of(path, err);
	if (lock_fd < 0)
		return lock_fd;
	ret = remove_stale(&address, err);
	if (ret < 0)
		return ret;
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket: %m");
	old_umask = umask(0177);
	ret = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	(void)umask(old_umask);
	if (ret == 0 && listen(fd, CONNECTIONS_MAX) < 0) {
		ret = -errno;
		(void)unlink(path);
	}
	if (ret < 0)
		return err_set(err, ret, "listening on %s: %s", path, strerror(-ret));
	return take_fd(&fd);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct rpc_server *server = listener->data;
	int ret = status;

	if (status == 0)
		ret = connection_accept(&server->hub, listener,
					server->hub.count >= CONNECTIONS_MAX);
	if (ret < 0)
		log_debug("rpc", "%s: a client was turned away: %s", server->path, strerror(-ret));
}

static void on_listener_closed(uv_handle_t *handle)
{
	((struct rpc_server *)handle->data)->is_closed = true;
}

/* Owns @fd. */
static int start_listening(struct rpc_server *server, int fd)
{
	uv_stream_t *listener = (uv_stream_t *)&server->listener;
	struct stat st = { 0 };
	int ret = lstat(server->path, &st) < 0 ? -errno : 0;

	server->socket_dev = st.st_dev;
	server->socket_ino = st.st_ino;
	if (ret == 0)
		ret = uv_pipe_open(&server->listener, fd);
	if (ret < 0) {
		close_fd(&fd);
		return ret;
	}
	return uv_listen(listener, CONNECTIONS_MAX, on_connection);
}

int rpc_server_create(uv_loop_t *loop, const char *path, const struct api_backend *backend,
		      struct rpc_server **ret_server, struct err *err)
{
	struct rpc_server *server;
	int fd = bind_listening(path, err);
	int ret;

	if (fd < 0)
		return fd;
	/* libuv writes without MSG_NOSIGNAL: a client that leaves early would end the VM. */
	(void)signal(SIGPIPE, SIG_IGN);
	server = calloc(1, sizeof(*server));
	if (!server || uv_pipe_init(loop, &server->listener, 0) < 0) {
		free(server);
		close_fd(&fd);
		(void)unlink(path);
		return err_set(err, -ENOMEM, "no memory for the control socket");
	}
	server->hub.loop = loop;
	server->hub.backend = backend;
	connection_hub_init(&server->hub);
	server->listener.data = server;
	(void)snprintf(server->path, sizeof(server->path), "%s", path);
	ret = start_listening(server, fd);
	if (ret < 0) {
		rpc_server_destroy(server);
		return err_set(err, ret, "listening on %s: %s", path, strerror(-ret));
	}
	*ret_server = server;
	return 0;
}

static void unlink_own(const struct rpc_server *server)
{
	struct stat st;

	if (lstat(server->path, &st) == 0 && st.st_dev == server->socket_dev &&
	    st.st_ino == server->socket_ino)
		(void)unlink(server->path);
}

void rpc_server_destroy(struct rpc_server *server)
{
	struct connection *next;

	if (!server)
		return;
	unlink_own(server);
	for (struct connection *each = server->hub.first; each; each = next) {
		next = connection_next(each);
		connection_close(each);
	}
	uv_close((uv_handle_t *)&server->listener, on_listener_closed);
	while (!server->is_closed || server->hub.count > 0)
		(void)uv_run(server->hub.loop, UV_RUN_NOWAIT);
	free(server);
}

/* Steals @data. One text for all subscribers, or NULL. */
static struct shared_text *event_text(uint64_t seq, const char *kind, json_t *data)
{
	json_t *event =
		json_pack("{s:s, s:s, s:{s:I, s:I, s:s, s:o}}", "jsonrpc", "2.0", "method", "event",
			  "params", "seq", (json_int_t)seq, "time_ns", (json_int_t)clock_now_ns(),
			  "kind", kind, "data", data ? data : json_object());
	char *line = jsonrpc_line(event);

	return shared_text_create(line);
}

void rpc_server_publish(struct rpc_server *server, const char *kind, json_t *data)
{
	int kind_index = api_event_by_kind(server->hub.backend->set, kind);
	struct shared_text *shared;
	struct connection *next;

	if (kind_index < 0) {
		log_debug("rpc", "event %s has no row in api/events.def", kind);
		json_decref(data);
		return;
	}
	shared = event_text(++server->hub.last_seq, kind, data);
	for (struct connection *each = server->hub.first; each && shared; each = next) {
		next = connection_next(each);
		if (connection_wants_event(each, (unsigned)kind_index))
			connection_send(each, shared);
	}
	shared_text_put(shared);
}
