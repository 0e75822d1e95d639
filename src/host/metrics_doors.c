/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_doors.c - where metrics are told, and another try where that did not work.
 *
 * Who has the port or the path may go away, so each is tried again for as long as the daemon runs; its log
 * has a line when it fails for another reason than before, and one when it works at last.
 */
#include "host/metrics_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

enum { AGAIN_MS = 2000 };

static int bind_path(struct metrics *metrics, struct err *err)
{
	const struct metrics_config *config = &metrics->config;
	int fd = http_listen_unix(config->path, config->mode, config->gid, err);
	struct stat st;

	if (fd < 0 || lstat(config->path, &st) < 0)
		return fd;
	metrics->is_bound = true;
	metrics->socket_dev = st.st_dev;
	metrics->socket_ino = st.st_ino;
	return fd;
}

static int listen_there(struct metrics *metrics, enum metrics_socket which, struct err *err)
{
	int fd;

	if (which == METRICS_TCP)
		return http_listen_local(metrics->config.port, err);
	if (metrics->config.fd < 0)
		return bind_path(metrics, err);
	fd = fcntl(metrics->config.fd, F_DUPFD_CLOEXEC, 0); /* the next try needs it, too */
	return fd < 0 ? err_set(err, -errno, "the socket of systemd: %m") : fd;
}

static int open_door(struct metrics *metrics, enum metrics_socket which, struct err *err)
{
	struct http_config config = {
		.loop = metrics->config.loop,
		.fd = listen_there(metrics, which, err),
		.is_tcp = which == METRICS_TCP,
		.answer = metrics_answer,
		.ctx = metrics,
	};

	if (config.fd < 0)
		return config.fd;
	return http_open(&config, &metrics->doors[which].server, err);
}

static void try_door(struct metrics *metrics, enum metrics_socket which)
{
	struct err before = metrics->doors[which].err, err = { 0 };
	const char *at = metrics->doors[which].at;

	if (!metrics->doors[which].is_wanted || metrics->doors[which].server)
		return;
	if (open_door(metrics, which, &err) < 0 && err.code != before.code)
		log_warn("metrics", "not at %s, which is tried again: %s", at, err.text);
	if (err.code == 0 && before.code != 0)
		log_info("metrics", "now at %s", at);
	metrics->doors[which].err = err;
}

static void try_doors(struct metrics *metrics)
{
	bool is_missing = false;

	for (unsigned i = 0; i < METRICS_DOORS; i++) {
		try_door(metrics, i);
		is_missing |= metrics->doors[i].is_wanted && !metrics->doors[i].server;
	}
	if (!is_missing)
		(void)uv_timer_stop(&metrics->again);
}

static void on_again(uv_timer_t *timer)
{
	try_doors(timer->data);
}

void metrics_open_doors(struct metrics *metrics)
{
	const struct metrics_config *config = &metrics->config;

	metrics->doors[METRICS_UNIX].is_wanted = true;
	(void)snprintf(metrics->doors[METRICS_UNIX].at, METRICS_AT_BYTES, "%s", config->path);
	metrics->doors[METRICS_TCP].is_wanted = config->port > 0;
	(void)snprintf(metrics->doors[METRICS_TCP].at, METRICS_AT_BYTES, "127.0.0.1:%u",
		       config->port);
	(void)uv_timer_init(config->loop, &metrics->again);
	metrics->again.data = metrics;
	metrics->has_timer = true;
	(void)uv_timer_start(&metrics->again, on_again, AGAIN_MS, AGAIN_MS);
	try_doors(metrics);
}

static void unlink_own(const struct metrics *metrics)
{
	const char *path = metrics->config.path;
	struct stat st;

	if (metrics->is_bound && lstat(path, &st) == 0 && st.st_dev == metrics->socket_dev &&
	    st.st_ino == metrics->socket_ino)
		(void)unlink(path);
}

static void on_closed(uv_handle_t *handle)
{
	((struct metrics *)handle->data)->has_timer = false;
}

void metrics_close_doors(struct metrics *metrics)
{
	unlink_own(metrics);
	if (metrics->has_timer)
		uv_close((uv_handle_t *)&metrics->again, on_closed);
	while (metrics->has_timer)
		(void)uv_run(metrics->config.loop, UV_RUN_NOWAIT);
	for (unsigned i = 0; i < METRICS_DOORS; i++)
		http_close(metrics->doors[i].server);
	close_fd(&metrics->config.fd);
}

unsigned metrics_doors(const struct metrics *metrics, struct metrics_door ret_doors[METRICS_DOORS])
{
	unsigned count = 0;

	for (unsigned i = 0; i < METRICS_DOORS; i++)
		if (metrics->doors[i].is_wanted)
			ret_doors[count++] = (struct metrics_door){
				.at = metrics->doors[i].at,
				.error = metrics->doors[i].server ? NULL
								  : metrics->doors[i].err.text,
			};
	return count;
}
