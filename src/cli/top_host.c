/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top_host.c - what the host has left, for the top of the table.
 *
 * Source: proc(5), /proc/meminfo "MemTotal", "MemAvailable".
 */
#include <stdio.h>
#include <string.h>

#include "cli/top.h"
#include "memory/hostmem.h"

static void read_meminfo(struct top_host *host)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib;
	char line[128];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemTotal: %llu", &kib) == 1)
			host->memory_bytes = kib * KIB_BYTES;
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			host->memory_available_bytes = kib * KIB_BYTES;
	}
	(void)fclose(file);
	host->has_memory = host->memory_bytes > 0;
}

static void read_pool(struct top_host *host, enum host_state before)
{
	struct hostmem_pool pool;
	struct host_marks marks;

	if (hostmem_read_pool(HUGE_FRAME_BYTES, &pool, NULL) < 0)
		return;
	host->has_pool = true;
	host->pool_bytes = pool.total_frames * pool.frame_bytes;
	host->pool_free_bytes = hostmem_available_frames(&pool) * pool.frame_bytes;
	marks = host_marks(host->pool_bytes);
	host->pool_state = host_state_step(&marks, before, host->pool_free_bytes);
}

void top_host_read(struct top_host *host)
{
	enum host_state before = host->pool_state;

	*host = (struct top_host){ 0 };
	read_pool(host, before);
	read_meminfo(host);
}

enum out_colour top_host_colour(const struct top_host *host)
{
	switch (host->pool_state) {
	case HOST_SOFT: return OUT_YELLOW;
	case HOST_HARD:
	case HOST_LOW: return OUT_RED;
	default: return OUT_GREEN;
	}
}
