/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_internal.h - shared by metrics.c, metrics_doors.c and metrics_answer.c only. */
#ifndef NEAP_HOST_METRICS_INTERNAL_H
#define NEAP_HOST_METRICS_INTERNAL_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "host/metrics.h"
#include "host/metrics_http.h"
#include "host/page.h"
#include "host/page_feed.h"

enum metrics_socket { METRICS_UNIX, METRICS_TCP };

_Static_assert(METRICS_TCP + 1 == METRICS_DOORS, "metrics.h");

struct metrics {
	struct metrics_config config;
	struct {
		bool is_wanted;
		struct http_server *server; /* NULL: not open */
		char at[METRICS_AT_BYTES];
		struct err err; /* why it is not; its code is 0 when it is */
	} doors[METRICS_DOORS];
	uv_timer_t again; /* while one that is wanted is not open */
	bool has_timer, is_bound;
	dev_t socket_dev; /* of the socket that we bound */
	ino_t socket_ino;
	struct page *page;
	struct page_feed feed;
	struct metrics_kept {
		struct MHD_Response *response; /* or NULL */
		uint64_t made_ns;
	} kept[2]; /* by open_metrics */
};

#define METRICS_POLICY_NOTHING "default-src 'none'; frame-ancestors 'none'"

void metrics_open_doors(struct metrics *metrics);
void metrics_close_doors(struct metrics *metrics); /* runs the loop */

/* The headers that every answer has. */
void metrics_dress(struct MHD_Response *response, const char *type, const char *policy);

/* The numbers now; the metrics keep it. NULL: no memory. */
struct MHD_Response *metrics_text(struct metrics *metrics, bool open_metrics);

/* http_config.answer; @ctx: the metrics. */
enum MHD_Result metrics_answer(void *ctx, struct http_peer *peer, struct MHD_Connection *connection,
			       const char *method, const char *untrusted_path);

#endif
