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

#include "base/fd.h"

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

/* What a socket of systemd is for. */
enum purpose { PURPOSE_CHANGE, PURPOSE_READ, PURPOSE_METRICS, PURPOSES };

/* FileDescriptorName= of our units. */
static const char *const purpose_names[PURPOSES] = { "neapd", "neapd-ro", "neapd-metrics" };

static const char *configured_path(const struct host_config *config, enum purpose purpose)
{
	const char *const paths[PURPOSES] = { config->socket.path, config->socket.read_path,
					      config->metrics.path };

	return paths[purpose];
}

/* By its name; of a unit that gives none, by its path. */
static enum purpose purpose_of(const struct host_config *config, const char *name, const char *path)
{
	enum purpose purpose = 0;

	while (purpose < PURPOSES && strcmp(name, purpose_names[purpose]) != 0)
		purpose++;
	if (purpose < PURPOSES)
		return purpose;
	for (purpose = 0; purpose < PURPOSES; purpose++)
		if (strcmp(path, configured_path(config, purpose)) == 0)
			break;
	return purpose;
}

static int take_activated(const struct host_config *config, int fd, const char *name,
			  struct listens *listens, struct err *err)
{
	struct sockaddr_un address = { 0 };
	socklen_t len = sizeof(address);
	enum purpose purpose;

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0 || address.sun_family != AF_UNIX)
		return err_set(err, -EINVAL, "systemd hands in %s, which is no UNIX socket", name);
	purpose = purpose_of(config, name, address.sun_path);
	if (purpose == PURPOSES)
		return err_set(err, -EINVAL,
			       "systemd hands in %s, which has none of the names neapd, neapd-ro "
			       "and neapd-metrics (FileDescriptorName=), and none of the paths %s, "
			       "%s and %s",
			       address.sun_path, config->socket.path, config->socket.read_path,
			       config->metrics.path);
	if (purpose != PURPOSE_METRICS && listens->rpc_count == LISTENS_MAX)
		return err_set(err, -EINVAL, "systemd hands in more than %d sockets", LISTENS_MAX);
	if (purpose == PURPOSE_METRICS && listens->metrics_fd >= 0)
		return err_set(err, -EINVAL, "systemd hands in two sockets for metrics");
	if (purpose == PURPOSE_METRICS)
		listens->metrics_fd = fd;
	else
		listens->rpc[listens->rpc_count++] =
			(struct rpc_listen){ .path = configured_path(config, purpose),
					     .fd = fd,
					     .gid = (gid_t)-1,
					     .may_change = purpose == PURPOSE_CHANGE };
	return 0;
}

static void bind_own(const struct host_config *config, gid_t gid, struct listens *listens)
{
	listens->rpc[listens->rpc_count++] = (struct rpc_listen){ .path = config->socket.path,
								  .fd = -1,
								  .mode = config->socket.mode,
								  .gid = gid,
								  .may_change = true };
	if (config->socket.read_path[0])
		listens->rpc[listens->rpc_count++] =
			(struct rpc_listen){ .path = config->socket.read_path,
					     .fd = -1,
					     .mode = config->socket.read_mode,
					     .gid = gid };
}

static void free_names(char ***names)
{
	for (char **each = *names; each && *each; each++)
		free(*each);
	free(*names);
}

int listens_find(const struct host_config *config, struct listens *ret_listens, struct err *err)
{
	CLEANUP(free_names)
	char **names = NULL;
	int activated = sd_listen_fds_with_names(1, &names), ret;
	struct listens listens = { .metrics_fd = -1 };
	gid_t gid;

	ret = listens_find_group(config->socket.group, &gid, err);
	for (int i = 0; ret == 0 && i < activated; i++)
		ret = take_activated(config, SD_LISTEN_FDS_START + i, names[i], &listens, err);
	if (ret < 0)
		return ret;
	if (listens.rpc_count == 0)
		bind_own(config, gid, &listens);
	*ret_listens = listens;
	return 0;
}
