/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_text.h - the host's numbers as Prometheus reads them: a function of numbers to text.
 *
 * Names carry base units (_bytes, _seconds, _ratio): what usage.def counts in microseconds or percent is
 * divided here, by the ending of its field's name.
 * Sources: Prometheus "Exposition formats" (text format 0.0.4); OpenMetrics 1.0.0 "Text format".
 */
#ifndef NEAP_HOST_METRICS_TEXT_H
#define NEAP_HOST_METRICS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/broker.h"
#include "host/hosted.h"
#include "host/metrics.h"

struct metrics_process { /* the daemon's own */
	uint64_t resident_bytes, cpu_us;
};

struct metrics_numbers {
	struct hosted *const *vms;
	unsigned vm_count;
	const struct broker_pool_numbers *pools;
	unsigned pool_count;
	struct metrics_daemon daemon;
	struct metrics_process process;
	uint64_t now_ns;
};

#define METRICS_TEXT_TYPE	 "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* malloc()ed, or NULL: no memory, or more than 64 MiB. */
char *metrics_render(const struct metrics_numbers *numbers, bool open_metrics, size_t *ret_len);

#endif
