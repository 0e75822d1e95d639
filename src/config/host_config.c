/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host_config.c - a daemon's configuration as a whole: defaults that depend on who and where it is, and
 * rules between values.
 */
#include "config/host_config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "config/options.h"

void host_config_init(struct host_config *config)
{
	options_init(&host_options, config);
}

void host_config_fini(struct host_config *config)
{
	options_fini(&host_options, config);
}

int host_config_load(struct host_config *config, const char *path, struct err *err)
{
	return options_load(&host_options, config, path, err);
}

char *host_config_to_json(const struct host_config *config)
{
	return options_to_json(&host_options, config);
}

char *host_config_help(void)
{
	return options_help(&host_options);
}

/* @variable's directory, or NULL: the XDG specification passes over relative ones. */
static const char *xdg_dir(const char *variable)
{
	const char *dir = getenv(variable);

	return dir && dir[0] == '/' ? dir : NULL;
}

/* Puts @base/@tail where nothing was said. */
static int join(char **field, const char *base, const char *tail, struct err *err)
{
	if (*field)
		return 0;
	if (asprintf(field, "%s/%s", base, tail) < 0) {
		*field = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int default_state_dir(struct host_config *config, struct err *err)
{
	const char *base = xdg_dir("XDG_STATE_HOME");

	if (base)
		return join(&config->state_dir, base, "neap", err);
	if (geteuid() == 0)
		return join(&config->state_dir, "/var/lib", "neap", err);
	base = xdg_dir("HOME");
	if (!base && !config->state_dir)
		return err_set(err, -ENOENT,
			       "neither HOME nor XDG_STATE_HOME says where to keep VMs; name a "
			       "directory with --state");
	return join(&config->state_dir, base, ".local/state/neap", err);
}

static int default_runtime_dir(struct host_config *config, struct err *err)
{
	const char *base = xdg_dir("XDG_RUNTIME_DIR");

	if (!base && geteuid() == 0)
		base = "/run";
	if (!base && !config->runtime_dir)
		return err_set(
			err, -ENOENT,
			"XDG_RUNTIME_DIR is not set to an absolute path; name a directory for "
			"the sockets with --runtime");
	return join(&config->runtime_dir, base, "neapd", err);
}

/* A development tree and an installed one both have the two programs side by side. */
static int default_neap_path(struct host_config *config, struct err *err)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (config->neap_path)
		return 0;
	self[len > 0 ? len : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	if (slash && join(&config->neap_path, self, "neap", err) < 0)
		return -ENOMEM;
	if (config->neap_path && access(config->neap_path, X_OK) == 0)
		return 0;
	free_text(&config->neap_path);
	config->neap_path = strdup("neap");
	return config->neap_path ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int host_config_complete(struct host_config *config, struct err *err)
{
	int ret = default_state_dir(config, err);

	if (ret == 0)
		ret = default_runtime_dir(config, err);
	if (ret == 0)
		ret = default_neap_path(config, err);
	if (ret == 0)
		ret = join(&config->socket.path, config->runtime_dir, "neapd.sock", err);
	if (ret == 0)
		ret = join(&config->socket.read_path, config->runtime_dir, "neapd-ro.sock", err);
	if (ret == 0)
		ret = join(&config->metrics.path, config->runtime_dir, "metrics.sock", err);
	return ret;
}

int host_config_parse_flags(struct host_config *config, int argc, char *const argv[], int *ret_used,
			    struct err *err)
{
	int used = 0;
	int ret = options_parse_flags(&host_options, config, argc, argv, &used, err);

	if (ret == 0)
		ret = host_config_complete(config, err);
	if (ret == 0)
		*ret_used = used;
	return ret;
}

static int check_socket(const char *key, const char *path, struct err *err)
{
	struct sockaddr_un address;

	if (path && strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG,
			       "%s: a socket's path has at most %zu bytes, and \"%s\" has %zu", key,
			       sizeof(address.sun_path) - 1, path, strlen(path));
	return 0;
}

static int check_sockets(const struct host_config *config, struct err *err)
{
	const char *const keys[] = { "socket.path", "socket.read_path", "metrics.path" };
	const char *const paths[] = { config->socket.path, config->socket.read_path,
				      config->metrics.enabled ? config->metrics.path : NULL };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		int ret = check_socket(keys[i], paths[i], err);

		if (ret < 0)
			return ret;
		for (size_t j = 0; j < i; j++)
			if (paths[i] && paths[j] && strcmp(paths[i], paths[j]) == 0)
				return err_set(err, -EINVAL, "%s is \"%s\", as %s is", keys[i],
					       paths[i], keys[j]);
	}
	return 0;
}

int host_config_check(const struct host_config *config, struct err *err)
{
	int ret = check_sockets(config, err);

	if (ret < 0)
		return ret;
	if (config->vm.restart_least_ms > config->vm.restart_most_ms)
		return err_set(err, -EINVAL,
			       "vm.restart_least: %llu ms is more than vm.restart_most, %llu ms",
			       (unsigned long long)config->vm.restart_least_ms,
			       (unsigned long long)config->vm.restart_most_ms);
	return 0;
}
