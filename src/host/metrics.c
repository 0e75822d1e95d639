/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics.c - see metrics.h. The text is made at most twice a second, however many ask; all who ask
 * meanwhile are sent the same copy.
 */
#include "host/metrics_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "host/metrics_text.h"

enum { POOLS_MAX = 16, TEXT_KEPT_MS = 500 };

/* Source: proc(5), /proc/pid/statm. */
static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*u %" SCNu64, &pages) != 1)
		pages = 0;
	(void)fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t microseconds(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * (NS_PER_S / NS_PER_US) + (uint64_t)time->tv_usec;
}

static struct metrics_process read_process(void)
{
	struct rusage usage = { 0 };

	(void)getrusage(RUSAGE_SELF, &usage);
	return (struct metrics_process){
		.resident_bytes = resident_bytes(),
		.cpu_us = microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime),
	};
}

static char *render(struct metrics *metrics, bool open_metrics, size_t *ret_len)
{
	struct broker_pool_numbers pools[POOLS_MAX];
	struct metrics_numbers numbers = { .pools = pools, .now_ns = clock_now_ns() };

	numbers.vms = host_vms(metrics->config.host, &numbers.vm_count);
	numbers.pool_count = broker_pools(host_broker(metrics->config.host), pools, POOLS_MAX);
	numbers.process = read_process();
	metrics->config.daemon(metrics->config.ctx, &numbers.daemon);
	return metrics_render(&numbers, open_metrics, ret_len);
}

struct MHD_Response *metrics_text(struct metrics *metrics, bool open_metrics)
{
	struct metrics_kept *kept = &metrics->kept[open_metrics];
	uint64_t now_ns = clock_now_ns();
	struct MHD_Response *response;
	size_t len;
	char *text;

	if (kept->response && now_ns - kept->made_ns < TEXT_KEPT_MS * NS_PER_MS)
		return kept->response;
	text = render(metrics, open_metrics, &len);
	if (!text)
		return NULL;
	response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return NULL;
	}
	metrics_dress(response, open_metrics ? METRICS_OPENMETRICS_TYPE : METRICS_TEXT_TYPE,
		      METRICS_POLICY_NOTHING);
	if (kept->response)
		MHD_destroy_response(kept->response); /* those who are still sent it have it */
	*kept = (struct metrics_kept){ .response = response, .made_ns = now_ns };
	return response;
}

static void on_step(void *ctx)
{
	page_feed_step(&((struct metrics *)ctx)->feed);
}

int metrics_create(const struct metrics_config *config, struct metrics **ret_metrics,
		   struct err *err)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	int ret;

	if (!metrics) {
		int fd = config->fd;

		close_fd(&fd);
		return err_set(err, -ENOMEM, "no memory for metrics");
	}
	metrics->config = *config;
	ret = page_create(config->loop, config->host, on_step, metrics, &metrics->page, err);
	if (ret < 0) {
		metrics_destroy(metrics);
		return ret;
	}
	metrics_open_doors(metrics);
	*ret_metrics = metrics;
	return 0;
}

void metrics_destroy(struct metrics *metrics)
{
	if (!metrics)
		return;
	metrics_close_doors(metrics);
	page_destroy(metrics->page);
	for (unsigned i = 0; i < ARRAY_LEN(metrics->kept); i++)
		if (metrics->kept[i].response)
			MHD_destroy_response(metrics->kept[i].response);
	free(metrics);
}
