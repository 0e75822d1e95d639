/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* stats.c - see stats.h. */
#include "balloon/stats.h"

#include <endian.h>
#include <string.h>

const struct balloon_stat_row balloon_stat_rows[BALLOON_STAT_COUNT] = {
	[BALLOON_STAT_SWAP_IN] = { "swap_in_bytes", true },
	[BALLOON_STAT_SWAP_OUT] = { "swap_out_bytes", true },
	[BALLOON_STAT_MAJFLT] = { "major_faults", false },
	[BALLOON_STAT_MINFLT] = { "minor_faults", false },
	[BALLOON_STAT_MEMFREE] = { "free_bytes", true },
	[BALLOON_STAT_MEMTOT] = { "total_bytes", true },
	[BALLOON_STAT_AVAIL] = { "available_bytes", true },
	[BALLOON_STAT_CACHES] = { "caches_bytes", true },
	[BALLOON_STAT_HTLB_PGALLOC] = { "hugetlb_allocations", false },
	[BALLOON_STAT_HTLB_PGFAIL] = { "hugetlb_failures", false },
	[BALLOON_STAT_OOM_KILL] = { "oom_kills", false },
	[BALLOON_STAT_ALLOC_STALL] = { "allocation_stalls", false },
	[BALLOON_STAT_ASYNC_SCAN] = { "async_scanned_pages", false },
	[BALLOON_STAT_DIRECT_SCAN] = { "direct_scanned_pages", false },
	[BALLOON_STAT_ASYNC_RECLAIM] = { "async_reclaimed_pages", false },
	[BALLOON_STAT_DIRECT_RECLAIM] = { "direct_reclaimed_pages", false },
};

unsigned stats_parse(const void *untrusted_bytes, size_t len, struct balloon_guest_stats *ret_stats)
{
	const uint8_t *entry = untrusted_bytes;
	unsigned known = 0;

	*ret_stats = (struct balloon_guest_stats){ 0 };
	for (; len >= STATS_ENTRY_BYTES; entry += STATS_ENTRY_BYTES, len -= STATS_ENTRY_BYTES) {
		uint16_t tag;
		uint64_t value;

		memcpy(&tag, entry, sizeof(tag));
		memcpy(&value, entry + sizeof(tag), sizeof(value));
		tag = le16toh(tag);
		if (tag >= BALLOON_STAT_COUNT)
			continue;
		ret_stats->value[tag] = le64toh(value);
		ret_stats->present |= UINT32_C(1) << tag;
		known++;
	}
	return known;
}
