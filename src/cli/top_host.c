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

void top_host_read(struct top_host *ret_host)
{
	struct top_host host = { 0 };
	struct hostmem_pool pool;

	if (hostmem_read_pool(HUGE_FRAME_BYTES, &pool, NULL) == 0) {
		host.has_pool = true;
		host.pool_bytes = pool.total_frames * pool.frame_bytes;
		host.pool_free_bytes = hostmem_available_frames(&pool) * pool.frame_bytes;
	}
	read_meminfo(&host);
	*ret_host = host;
}
