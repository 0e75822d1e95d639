/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* listener.c - see listener.h.
 *
 * The socket is bound here and not by libuv, which would cut a long path short, and unlink whatever
 * bears that name when it closes.
 *
 * Two programs may want the same name at once. The directory is locked from the look at the old
 * socket until the new one listens, so nobody can take a socket that is bound but not yet listening
 * for a stale one.
 *
 * A socket that was handed in stays on the disk when we end: its maker listens on.
 */
#include "rpc/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

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
static int remove_stale(const struct sockaddr_un *address, const char *taken, struct err *err)
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
		return err_set(err, -EADDRINUSE, "%s (%s answers)", taken, path);
	if (errno != ECONNREFUSED)
		return err_set(err, -errno, "%s: %m", path);
	if (unlink(path) < 0)
		return err_set(err, -errno, "removing the stale socket %s: %m", path);
	return 0;
}

/* The file has its mode from the first moment, and nobody can connect before it has its group: it does
 * not listen yet. */
static int bind_at(int fd, const struct sockaddr_un *address, const struct rpc_listen *listen_at,
		   unsigned backlog)
{
	mode_t old_umask = umask(0777 & ~listen_at->mode);
	int ret = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	(void)umask(old_umask);
	if (ret < 0)
		return ret;
	if (listen_at->gid != (gid_t)-1 && lchown(address->sun_path, (uid_t)-1, listen_at->gid) < 0)
		ret = -errno;
	if (ret == 0 && listen(fd, (int)backlog) < 0)
		ret = -errno;
	if (ret < 0)
		(void)unlink(address->sun_path);
	return ret;
}

int rpc_listen_at(const struct rpc_listen *listen_at, unsigned backlog, const char *taken,
		  struct err *err)
{
	struct sockaddr_un address;
	int ret = fill_address(listen_at->path, &address, err);

	if (ret < 0)
		return ret;
	CLEANUP(close_fd)
	int lock_fd = lock_dir_of(listen_at->path, err);
	if (lock_fd < 0)
		return lock_fd;
	ret = remove_stale(&address, taken, err);
	if (ret < 0)
		return ret;
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket: %m");
	ret = bind_at(fd, &address, listen_at, backlog);
	if (ret < 0)
		return err_set(err, ret, "listening on %s: %s", listen_at->path, strerror(-ret));
	return take_fd(&fd);
}

/* A socket that was handed in must be what we would have made. */
static int check_handed_in(int fd, struct err *err)
{
	int domain = 0, type = 0, listens = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
		return err_set(err, -errno, "the socket that was handed in (descriptor %d): %m",
			       fd);
	if (domain != AF_UNIX || type != SOCK_STREAM || !listens)
		return err_set(
			err, -EINVAL,
			"descriptor %d was handed in and is no listening UNIX stream socket; "
			"use ListenStream= with a path",
			fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_set(err, -errno, "descriptor %d: %m", fd);
	return 0;
}

static int open_handed_in(struct listener *listener, const struct rpc_listen *listen_at,
			  struct err *err)
{
	CLEANUP(close_fd)
	int fd = listen_at->fd;
	int ret = check_handed_in(fd, err);

	if (ret == 0)
		listener->fd = take_fd(&fd);
	return ret;
}

int listener_open(struct listener *listener, const struct rpc_listen *listen_at, unsigned backlog,
		  const char *taken, struct err *err)
{
	struct stat st = { 0 };
	int fd;

	*listener = (struct listener){ .fd = -1, .may_change = listen_at->may_change };
	if (listen_at->fd >= 0)
		return open_handed_in(listener, listen_at, err);
	fd = rpc_listen_at(listen_at, backlog, taken, err);
	if (fd < 0)
		return fd;
	listener->fd = fd;
	(void)snprintf(listener->path, sizeof(listener->path), "%s", listen_at->path);
	listener->is_ours = lstat(listen_at->path, &st) == 0;
	listener->socket_dev = st.st_dev;
	listener->socket_ino = st.st_ino;
	return 0;
}

void listener_close(struct listener *listener)
{
	struct stat st;

	if (listener->is_ours && lstat(listener->path, &st) == 0 &&
	    st.st_dev == listener->socket_dev && st.st_ino == listener->socket_ino)
		(void)unlink(listener->path);
	listener->is_ours = false;
	close_fd(&listener->fd);
}

int listener_accept(const struct listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}
