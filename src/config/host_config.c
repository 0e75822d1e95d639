/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host_config.c - what a daemon is told by its flags, and what it does untold. */
#include "config/host_config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "config/options.h"
#include "config/suggest.h"

enum type { TYPE_PATH, TYPE_TEXT, TYPE_NUMBER, TYPE_SIZE, TYPE_UNSIGNED, TYPE_MODE, TYPE_BOOL };

#define FIELD(name_, type_, field_)                                                              \
	{                                                                                        \
		.name = (name_), .type = (type_), .offset = offsetof(struct host_config, field_) \
	}

static const struct flag {
	const char *name;
	enum type type;
	size_t offset;
} flags[] = {
	FIELD("state", TYPE_PATH, state_dir),
	FIELD("runtime", TYPE_PATH, runtime_dir),
	FIELD("neap", TYPE_PATH, neap_path),
	FIELD("socket", TYPE_PATH, socket.path),
	FIELD("read-socket", TYPE_PATH, socket.read_path),
	FIELD("socket-mode", TYPE_MODE, socket.mode),
	FIELD("read-socket-mode", TYPE_MODE, socket.read_mode),
	FIELD("socket-group", TYPE_TEXT, socket.group),
	FIELD("connections", TYPE_NUMBER, socket.connections),
	FIELD("events", TYPE_NUMBER, socket.events),
	FIELD("grants", TYPE_BOOL, broker.grants),
	FIELD("metrics", TYPE_BOOL, metrics.enabled),
	FIELD("metrics-socket", TYPE_PATH, metrics.path),
	FIELD("metrics-port", TYPE_UNSIGNED, metrics.port),
	FIELD("log-size", TYPE_SIZE, log.bytes),
	FIELD("log-keep", TYPE_UNSIGNED, log.keep),
	FIELD("ready", TYPE_NUMBER, vm.ready_s),
	FIELD("restart-least", TYPE_NUMBER, vm.restart_least_ms),
	FIELD("restart-most", TYPE_NUMBER, vm.restart_most_ms),
	FIELD("silent", TYPE_NUMBER, vm.silent_s),
};

static char *under(const char *dir, const char *tail)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, tail) < 0 ? NULL : path;
}

static char *under_env(const char *name, const char *tail, const char *otherwise)
{
	const char *dir = getenv(name);

	return dir && dir[0] == '/' ? under(dir, tail) : strdup(otherwise);
}

/* The program beside this one, else on PATH. */
static char *find_neap(void)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[len > 0 ? len : 0] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return strdup("neap");
	(void)snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "neap");
	return strdup(access(path, X_OK) == 0 ? path : "neap");
}

void host_config_init(struct host_config *config)
{
	*config = (struct host_config){ .socket = { .mode = 0600,
						    .read_mode = 0600,
						    .connections = 16384,
						    .events = 16384 },
					.broker = { .grants = true },
					.metrics = { .enabled = true },
					.log = { .bytes = 4 * MIB_BYTES, .keep = 2 },
					.vm = { .ready_s = 60,
						.restart_least_ms = 500,
						.restart_most_ms = 60000,
						.silent_s = 5 } };
	config->state_dir = under_env("XDG_STATE_HOME", "neap", "/var/lib/neap");
	config->runtime_dir = under_env("XDG_RUNTIME_DIR", "neapd", "/run/neapd");
	config->neap_path = find_neap();
}

void host_config_fini(struct host_config *config)
{
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (flags[i].type == TYPE_PATH || flags[i].type == TYPE_TEXT)
			free(*(char **)(void *)((char *)config + flags[i].offset));
	*config = (struct host_config){ 0 };
}

/* What follows from the runtime directory, when nobody said otherwise. */
static void fill(struct host_config *config)
{
	if (!config->socket.path)
		config->socket.path = under(config->runtime_dir, "neapd.sock");
	if (!config->socket.read_path)
		config->socket.read_path = under(config->runtime_dir, "neapd-ro.sock");
	if (!config->metrics.path)
		config->metrics.path = under(config->runtime_dir, "metrics.sock");
}

int host_config_check(const struct host_config *config, struct err *err)
{
	if (config->vm.silent_s == 0 || config->vm.restart_least_ms == 0)
		return err_set(err, -EINVAL, "silent and restart-least are at least 1");
	if (config->vm.restart_most_ms < config->vm.restart_least_ms)
		return err_set(err, -EINVAL, "restart-most is less than restart-least");
	return 0;
}

static int set_number(const struct flag *flag, char *field, const char *text, struct err *err)
{
	char *end = NULL;
	uint64_t number = strtoull(text, &end, flag->type == TYPE_MODE ? 8 : 10);

	if (flag->type == TYPE_SIZE)
		return units_parse_size(text, (uint64_t *)(void *)field, err);
	if (!text[0] || *end || text[0] == '-')
		return err_set(err, -EINVAL, "--%s: not a number", flag->name);
	if (flag->type == TYPE_NUMBER)
		*(uint64_t *)(void *)field = number;
	else
		*(unsigned *)(void *)field = (unsigned)number;
	return 0;
}

static int set(struct host_config *config, const struct flag *flag, const char *text,
	       struct err *err)
{
	char *field = (char *)config + flag->offset;

	if (flag->type == TYPE_BOOL)
		return option_parse_bool(text, (bool *)(void *)field)
			       ? 0
			       : err_set(err, -EINVAL, "--%s: on or off", flag->name);
	if (flag->type != TYPE_PATH && flag->type != TYPE_TEXT)
		return set_number(flag, field, text, err);
	free(*(char **)(void *)field);
	*(char **)(void *)field = strdup(text);
	return 0;
}

static const struct flag *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (strcmp(flags[i].name, name) == 0)
			return &flags[i];
	return NULL;
}

int host_config_parse_flags(struct host_config *config, int argc, char *const argv[], int *ret_used,
			    struct err *err)
{
	char quoted[QUOTE_BYTES];
	int used = 0;

	while (used < argc && argv[used][0] == '-') {
		const struct flag *flag =
			strncmp(argv[used], "--", 2) ? NULL : find(argv[used] + 2);
		int ret;

		if (!flag)
			return err_set(err, -EINVAL, "unknown flag %s",
				       quote_text(argv[used], quoted));
		if (used + 1 == argc)
			return err_set(err, -EINVAL, "--%s needs a value", flag->name);
		ret = set(config, flag, argv[used + 1], err);
		if (ret < 0)
			return ret;
		used += 2;
	}
	fill(config);
	*ret_used = used;
	return 0;
}
