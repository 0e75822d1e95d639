/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* client.c - calls to one VM or daemon, one after the other. See rpc.h.
 *
 * Blocking with a deadline, for programs that have nothing else to do meanwhile. No byte behind a
 * message's newline is ever taken from the socket (it is looked at first, with MSG_PEEK): so after
 * vm.console the descriptor is the console's stream from its first byte.
 *
 * Events that arrive while an answer is awaited are kept, at most EVENTS_KEPT_MAX; then the oldest
 * goes, and the gap shows in `seq`.
 */
#include "rpc/rpc.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "config/json_strict.h"
#include "rpc/jsonrpc.h"
#include "rpc/text.h"

enum {
	PASSED_FDS_MAX = 4,
	EVENTS_KEPT_MAX = 1024,
	CONNECT_TIMEOUT_MS = 2000,
	CONNECT_RETRY_MS = 10
};
#define CLIENT_MAX_DEPTH  (JSONRPC_MAX_DEPTH + 8)
#define CLIENT_PEEK_BYTES (UINT64_C(64) * KIB_BYTES)
#define WAIT_FOREVER	  UINT64_MAX

struct rpc_client {
	int fd;
	json_int_t last_id;
	struct strbuf line; /* the message that is arriving */
	json_t *events;	    /* notifications not yet asked for */
	int passed_fd;	 /* came with the message that is arriving, or with the last answer; -1 */
	const char *who; /* is at the other end, for sentences */
};

static uint64_t deadline_after(int timeout_ms)
{
	return timeout_ms < 0 ? WAIT_FOREVER : clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
}

/* 0; -ETIMEDOUT; another negative errno. */
static int wait_until(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd poller = { .fd = fd, .events = events };
	uint64_t now_ns = clock_now_ns();
	int wait_ms = -1;
	int ready;

	if (deadline_ns != WAIT_FOREVER && now_ns >= deadline_ns)
		wait_ms = 0;
	else if (deadline_ns != WAIT_FOREVER)
		wait_ms = (int)((deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
	ready = poll(&poller, 1, wait_ms);
	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	return ready == 0 ? -ETIMEDOUT : 0;
}

/* A full backlog is the sign of a VM that does not get to its socket: EAGAIN until it does. */
static int connect_until(int fd, const struct sockaddr_un *address, uint64_t deadline_ns)
{
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (clock_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, CONNECT_RETRY_MS);
	}
	return 0;
}

static const char *connect_advice(int code)
{
	switch (code) {
	case -ENOENT: return "no VM of that name runs";
	case -ECONNREFUSED: return "nothing answers there; the VM has ended without cleaning up";
	case -ETIMEDOUT: return "the VM does not take new connections";
	case -EACCES: return "it belongs to another user";
	default: return strerror(-code);
	}
}

int rpc_client_open(const char *path, struct rpc_client **ret_client, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct rpc_client *client;
	int ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG, "%s: the socket's path is too long", path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket: %m");
	ret = connect_until(fd, &address, deadline_after(CONNECT_TIMEOUT_MS));
	if (ret < 0)
		return err_set(err, ret, "%s: %s", path, connect_advice(ret));
	client = calloc(1, sizeof(*client));
	if (!client)
		return err_set(err, -ENOMEM, "no memory for a connection");
	client->fd = take_fd(&fd);
	client->passed_fd = -1;
	client->who = strstr(path, "/neapd/") ? "neapd" : "the VM";
	strbuf_init(&client->line, RPC_ANSWER_MAX_BYTES);
	client->events = json_array();
	*ret_client = client;
	return 0;
}

void rpc_client_close(struct rpc_client *client)
{
	if (!client)
		return;
	close_fd(&client->fd);
	close_fd(&client->passed_fd);
	strbuf_fini(&client->line);
	json_decref(client->events);
	free(client);
}

int rpc_client_take_fd(struct rpc_client *client)
{
	int fd = take_fd(&client->fd);

	rpc_client_close(client);
	return fd;
}

int rpc_client_take_passed_fd(struct rpc_client *client)
{
	return take_fd(&client->passed_fd);
}

pid_t rpc_client_peer_pid(const struct rpc_client *client)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return 0;
	return peer.pid;
}

static int send_all(struct rpc_client *client, const char *text, uint64_t deadline_ns)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t put = send(client->fd, text, left, MSG_NOSIGNAL);
		int ret = put < 0 ? -errno : 0;

		if (ret == -EAGAIN)
			ret = wait_until(client->fd, POLLOUT, deadline_ns);
		else if (ret == -EINTR)
			ret = 0;
		if (ret < 0)
			return ret;
		if (put > 0) {
			text += put;
			left -= (size_t)put;
		}
	}
	return 0;
}

/* The first descriptor is kept, in place of an older one; all others are closed. */
static void keep_passed(struct rpc_client *client, struct msghdr *message)
{
	for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each; each = CMSG_NXTHDR(message, each))
		for (size_t at = 0;
		     each->cmsg_type == SCM_RIGHTS && each->cmsg_level == SOL_SOCKET &&
		     CMSG_LEN(at + sizeof(int)) <= each->cmsg_len;
		     at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(each) + at, sizeof(int));
			if (at == 0) {
				close_fd(&client->passed_fd);
				client->passed_fd = take_fd(&fd);
			}
			close_fd(&fd);
		}
}

static ssize_t receive(struct rpc_client *client, char *bytes, size_t len)
{
	union {
		char bytes[CMSG_SPACE(PASSED_FDS_MAX * sizeof(int))];
		struct cmsghdr header;
	} control;
	struct iovec piece = { .iov_base = bytes, .iov_len = len };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	ssize_t got = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC);

	if (got >= 0)
		keep_passed(client, &message);
	return got;
}

/* Takes what is there, up to and with the first newline. 1: the line is whole; 0: not yet. */
static int read_some(struct rpc_client *client)
{
	char bytes[CLIENT_PEEK_BYTES];
	ssize_t seen = recv(client->fd, bytes, sizeof(bytes), MSG_PEEK);
	const char *newline;

	if (seen < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (seen == 0)
		return -EPIPE;
	newline = memchr(bytes, '\n', (size_t)seen);
	if (newline)
		seen = newline - bytes + 1;
	seen = receive(client, bytes, (size_t)seen);
	if (seen < 0)
		return -errno;
	strbuf_append(&client->line, bytes, (size_t)seen);
	if (client->line.failed)
		return -EMSGSIZE;
	return newline != NULL;
}

static int next_message(struct rpc_client *client, uint64_t deadline_ns, json_t **ret_message,
			struct err *err)
{
	int ret;

	do {
		ret = wait_until(client->fd, POLLIN, deadline_ns);
		if (ret == 0)
			ret = read_some(client);
	} while (ret == 0);
	if (ret == -ETIMEDOUT)
		return err_set(err, ret, "%s does not answer", client->who);
	if (ret == -EPIPE || ret == -ECONNRESET)
		return err_set(err, -EPIPE, "%s closed the connection", client->who);
	if (ret < 0)
		return err_set(err, ret, "reading from %s: %s", client->who, strerror(-ret));
	ret = json_strict_parse_long(client->line.text, client->line.len, CLIENT_MAX_DEPTH,
				     RPC_ANSWER_MAX_VALUES, ret_message, err);
	strbuf_fini(&client->line);
	if (ret < 0)
		(void)err_wrap(err, "%s sent what is no JSON", client->who);
	return ret;
}

static bool is_event(const json_t *message)
{
	return json_object_get(message, "method") && !json_object_get(message, "id");
}

/* Steals @event. */
static void keep_event(struct rpc_client *client, json_t *event)
{
	if (json_array_size(client->events) >= EVENTS_KEPT_MAX)
		(void)json_array_remove(client->events, 0);
	(void)json_array_append_new(client->events, event);
}

/* What an answer says. Steals @answer. */
static int open_answer(json_t *answer, json_t **ret_result, struct err *err)
{
	const json_t *error = json_object_get(answer, "error");
	json_t *result = json_incref(json_object_get(answer, "result"));
	int code = (int)json_integer_value(json_object_get(error, "code"));
	const char *sentence = json_string_value(json_object_get(error, "message"));

	if (error && code != 0)
		code = err_set(err, code, "%s", sentence ? sentence : "no reason was given");
	else if (!result)
		code = err_set(err, -EPROTO, "the answer has no result");
	json_decref(answer);
	if (code != 0)
		json_decref(result);
	else
		*ret_result = result;
	return code;
}

static int await_answer(struct rpc_client *client, uint64_t deadline_ns, json_t **ret_result,
			struct err *err)
{
	for (;;) {
		json_t *message = NULL;
		const json_t *id;
		int ret = next_message(client, deadline_ns, &message, err);

		if (ret < 0)
			return ret;
		id = json_object_get(message, "id");
		/* Errors that the connection itself raises have id null. */
		if (json_integer_value(id) == client->last_id || json_is_null(id))
			return open_answer(message, ret_result, err);
		close_fd(&client->passed_fd); /* nobody asked for one */
		if (is_event(message))
			keep_event(client, message);
		else
			json_decref(message); /* the answer to a call that timed out */
	}
}

int rpc_client_call(struct rpc_client *client, const char *method, json_t *params, int timeout_ms,
		    json_t **ret_result, struct err *err)
{
	uint64_t deadline_ns = deadline_after(timeout_ms);
	CLEANUP(free_text)
	char *line = jsonrpc_line(json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id",
					    ++client->last_id, "method", method, "params", params));
	int ret;

	if (!line)
		return err_set(err, -ENOMEM, "no memory for a request");
	close_fd(&client->passed_fd);
	ret = send_all(client, line, deadline_ns);
	/* The server may have said why before it closed. */
	if (ret < 0 && ret != -EPIPE && ret != -ECONNRESET)
		return err_set(err, ret, "sending to %s: %s", client->who, strerror(-ret));
	return await_answer(client, deadline_ns, ret_result, err);
}

int rpc_client_next_event(struct rpc_client *client, int timeout_ms, json_t **ret_event,
			  struct err *err)
{
	uint64_t deadline_ns = deadline_after(timeout_ms);

	if (json_array_size(client->events) > 0) {
		*ret_event = json_incref(json_array_get(client->events, 0));
		(void)json_array_remove(client->events, 0);
		return 0;
	}
	for (;;) {
		json_t *message = NULL;
		int ret = next_message(client, deadline_ns, &message, err);

		if (ret < 0)
			return ret;
		close_fd(&client->passed_fd);
		if (is_event(message)) {
			*ret_event = message;
			return 0;
		}
		json_decref(message);
	}
}
