/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_listen.c - the sockets that metrics and the page are read from. */
#include "host/metrics_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

enum { BACKLOG = 128 };

/* What a daemon left that was killed. One daemon has the state directory, so nobody races with us. */
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
		return err_set(err, -EADDRINUSE, "%s answers: another daemon has it", path);
	if (errno != ECONNREFUSED)
		return err_set(err, -errno, "%s: %m", path);
	if (unlink(path) < 0)
		return err_set(err, -errno, "removing the stale socket %s: %m", path);
	return 0;
}

/* Closed to all until it has its group. */
static int bind_closed(int fd, const struct sockaddr_un *address, unsigned mode, gid_t gid)
{
	mode_t old_umask = umask(0777);
	int ret = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	(void)umask(old_umask);
	if (ret < 0)
		return ret;
	if ((gid != (gid_t)-1 && chown(address->sun_path, (uid_t)-1, gid) < 0) ||
	    chmod(address->sun_path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		ret = -errno;
		(void)unlink(address->sun_path);
	}
	return ret;
}

int http_listen_unix(const char *path, unsigned mode, gid_t gid, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG,
			       "the socket's path is too long (at most %zu bytes): %s",
			       sizeof(address.sun_path) - 1, path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ret = remove_stale(&address, err);
	if (ret < 0)
		return ret;
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket: %m");
	ret = bind_closed(fd, &address, mode, gid);
	if (ret < 0)
		return err_set(err, ret, "listening on %s: %s", path, strerror(-ret));
	return take_fd(&fd);
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
		return err_set(err, -errno, "listening on 127.0.0.1:%u: %m", port);
	return take_fd(&fd);
}
