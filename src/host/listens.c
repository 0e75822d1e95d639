/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* listens.c - see listens.h. */
#include "host/listens.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

/* A number, when the whole text is one. */
static bool read_gid(const char *text, gid_t *ret_gid)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || number >= (gid_t)-1)
		return false;
	*ret_gid = (gid_t)number;
	return true;
}

int listens_find_group(const char *name, gid_t *ret_gid, struct err *err)
{
	const struct group *group;

	*ret_gid = (gid_t)-1;
	if (!name || read_gid(name, ret_gid))
		return 0;
	group = getgrnam(name);
	if (!group)
		return err_set(err, -ENOENT,
			       "socket.group: there is no group %s; make it with groupadd --system "
			       "%s, or name another",
			       name, name);
	*ret_gid = group->gr_gid;
	return 0;
}

/* systemd's sockets are told from each other by their paths. */
static int take_activated(const struct host_config *config, int fd, struct rpc_listen *ret_listen,
			  struct err *err)
{
	struct sockaddr_un address = { 0 };
	socklen_t len = sizeof(address);
	bool is_read;

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0 || address.sun_family != AF_UNIX)
		return err_set(err, -EINVAL, "descriptor %d of systemd is no UNIX socket", fd);
	is_read = strcmp(address.sun_path, config->socket.read_path) == 0;
	if (!is_read && strcmp(address.sun_path, config->socket.path) != 0)
		return err_set(err, -EINVAL,
			       "systemd hands in %s, which is neither socket.path (%s) nor "
			       "socket.read_path (%s)",
			       address.sun_path, config->socket.path, config->socket.read_path);
	*ret_listen = (struct rpc_listen){ .path = is_read ? config->socket.read_path
							   : config->socket.path,
					   .fd = fd,
					   .gid = (gid_t)-1,
					   .may_change = !is_read };
	return 0;
}

int listens_find(const struct host_config *config, struct rpc_listen listens[LISTENS_MAX],
		 unsigned *ret_count, struct err *err)
{
	int activated = sd_listen_fds(1);
	unsigned count = 0;
	gid_t gid;
	int ret = listens_find_group(config->socket.group, &gid, err);

	for (int i = 0; ret == 0 && i < activated && count < LISTENS_MAX; i++)
		ret = take_activated(config, SD_LISTEN_FDS_START + i, &listens[count++], err);
	if (ret < 0)
		return ret;
	if (activated <= 0) {
		listens[count++] = (struct rpc_listen){ .path = config->socket.path,
							.fd = -1,
							.mode = config->socket.mode,
							.gid = gid,
							.may_change = true };
		if (config->socket.read_path[0])
			listens[count++] = (struct rpc_listen){ .path = config->socket.read_path,
								.fd = -1,
								.mode = config->socket.read_mode,
								.gid = gid };
	}
	*ret_count = count;
	return 0;
}
