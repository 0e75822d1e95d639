/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics.h - the daemon's HTTP: numbers for Prometheus at /metrics, and for people a page at / that draws
 * them as they come (page.h).
 *
 * It reads hosted.h and broker.h and changes nothing. On a UNIX socket, and if asked on 127.0.0.1. Where it
 * cannot listen, because another has the port or the path, it says so once and tries again; the other of the
 * two does not suffer.
 *
 * Limits, on each of the two: 96 connections (one more pushes out the one that has dawdled longest), 24 of
 * them followers of the page; a request has 16 KiB for its head, 10 s to arrive and 10 s to be answered; a
 * follower that does not read for 30 s is dropped. Whatever a client does, others notice nothing.
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_METRICS_H
#define NEAP_HOST_METRICS_H

#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/err.h"

struct host;
struct metrics;

/* What only the program knows. */
struct metrics_daemon {
	unsigned connections; /* to its JSON-RPC sockets, now */
	uint64_t events;      /* number of the last one */
	uint64_t started_ns;  /* clock_now_ns() */
};

struct metrics_config {
	uv_loop_t *loop;
	struct host *host; /* outlives the metrics */
	const char *path;  /* the socket, bound here unless fd >= 0 */
	int fd;	       /* a listening UNIX socket that was handed in (systemd), taken over, also on
			* failure; -1: none */
	unsigned mode; /* of the file: 0600; who may open it may look */
	gid_t gid;     /* of the file; (gid_t)-1: ours */
	unsigned port; /* also on 127.0.0.1; 0: not */
	void (*daemon)(void *ctx, struct metrics_daemon *ret_daemon);
	void *ctx;
};

/* -ENOMEM, and what uv says: no page. A socket that cannot be had is no failure: metrics_doors() tells it. */
int metrics_create(const struct metrics_config *config, struct metrics **ret_metrics,
		   struct err *err);

enum { METRICS_DOORS = 2, METRICS_AT_BYTES = 112 };

struct metrics_door {
	const char *at; /* a path, or 127.0.0.1:PORT */
	const char
		*error; /* why nobody is answered there, which is tried again; NULL: all is well */
};

/* Those that are wanted; how many. The words are the metrics'. */
unsigned metrics_doors(const struct metrics *metrics, struct metrics_door ret_doors[METRICS_DOORS]);

/* Runs the loop until its own handles are closed, so not from a callback of that loop. NULL is fine. */
void metrics_destroy(struct metrics *metrics);

#endif
