/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet_link.c - see fleet_link.h. */
#include "cli/fleet_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "config/json_strict.h"
#include "rpc/jsonrpc.h"
#include "rpc/rpc.h"

enum { LINK_DEPTH = JSONRPC_MAX_DEPTH + 8, READ_BYTES = 65536 };
#define LINK_OUT_MAX_BYTES (UINT64_C(64) * KIB_BYTES)

void fleet_link_init(struct fleet_link *link)
{
	*link = (struct fleet_link){ .fd = -1 };
	strbuf_init(&link->in, RPC_ANSWER_MAX_BYTES);
	strbuf_init(&link->out, LINK_OUT_MAX_BYTES);
}

void fleet_link_close(struct fleet_link *link)
{
	close_fd(&link->fd);
	strbuf_fini(&link->in);
	strbuf_fini(&link->out);
	fleet_link_init(link);
}

int fleet_link_open(struct fleet_link *link, const char *path, pid_t *ret_pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
	    sizeof(address.sun_path))
		return -ENAMETOOLONG;
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_pid = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		*ret_pid = peer.pid;
	link->fd = take_fd(&fd);
	return 0;
}

void fleet_link_send(struct fleet_link *link)
{
	ssize_t put;

	if (link->out.len == 0)
		return;
	put = send(link->fd, link->out.text, link->out.len, MSG_NOSIGNAL);
	if (put > 0)
		strbuf_drop_front(&link->out, (size_t)put);
	else if (put < 0 && errno != EAGAIN && errno != EINTR)
		fleet_link_close(link);
}

bool fleet_link_put(struct fleet_link *link, json_t *request)
{
	CLEANUP(free_text)
	char *line = jsonrpc_line(request);

	if (!line)
		return false;
	strbuf_append(&link->out, line, strlen(line));
	if (link->out.failed) {
		fleet_link_close(link);
		return false;
	}
	fleet_link_send(link);
	return link->fd >= 0;
}

json_t *fleet_link_call(int id, const char *method, json_t *params)
{
	return json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id", id, "method", method,
			 "params", params);
}

static void take_line(struct fleet_link *link, size_t len,
		      void (*take)(void *ctx, const json_t *message), void *ctx)
{
	json_t *message = NULL;

	if (json_strict_parse_long(link->in.text, len, LINK_DEPTH, RPC_ANSWER_MAX_VALUES, &message,
				   NULL) < 0)
		message = NULL;
	strbuf_drop_front(&link->in, len + 1);
	take(ctx, message);
	json_decref(message);
}

void fleet_link_read(struct fleet_link *link, void (*take)(void *ctx, const json_t *message),
		     void *ctx)
{
	char bytes[READ_BYTES];
	ssize_t got = recv(link->fd, bytes, sizeof(bytes), 0);
	const char *newline;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0)
		strbuf_append(&link->in, bytes, (size_t)got);
	if (got <= 0 || link->in.failed) {
		fleet_link_close(link);
		return;
	}
	while (link->in.len > 0 && (newline = memchr(link->in.text, '\n', link->in.len)))
		take_line(link, (size_t)(newline - link->in.text), take, ctx);
}
