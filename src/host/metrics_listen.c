/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_listen.c - the sockets that metrics and the page are read from. */
#include "host/metrics_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "rpc/rpc.h"

enum { BACKLOG = 128 };

int http_listen_unix(const char *path, unsigned mode, gid_t gid, struct err *err)
{
	const struct rpc_listen at = { .path = path, .fd = -1, .mode = mode, .gid = gid };

	return rpc_listen_at(&at, BACKLOG, "another daemon has it", err);
}

int http_listen_local(unsigned port, struct err *err)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int on = 1;
	CLEANUP(close_fd)
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_set(err, -errno, "socket: %m");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return err_set(err, -errno,
			       errno == EADDRINUSE ? "another program has that port" : "%m");
	return take_fd(&fd);
}
