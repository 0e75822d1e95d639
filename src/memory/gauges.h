/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* gauges.h - whatever of the host's memory can run out for this process, each as two numbers: the pool
 * that frames come from, and every limit on this process.
 *
 * For: a VM that looks at its host, and a daemon that divides it. Not for: what is short (policy).
 * Reads files only, and writes nothing. Threads: one at a time.
 */
#ifndef NEAP_MEMORY_GAUGES_H
#define NEAP_MEMORY_GAUGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct gauges; /* opaque */

struct gauges_config {
	uint64_t frame_bytes;	   /* HUGE_FRAME_BYTES: the huge page pool; GUEST_PAGE_BYTES: RAM */
	const char *hugetlbfs_dir; /* the mount that the frames come from; NULL: none. Not copied */
	const char *root;	   /* before /proc and /sys: "", or a made-up host's (tests) */
};

struct gauge {
	uint64_t total_bytes, free_bytes;
};

enum { GAUGES_MOST = 9 };

/* What cannot be opened is left out. -ENOMEM. */
int gauges_open(const struct gauges_config *config, struct gauges **ret_gauges, struct err *err);
void gauges_close(struct gauges *gauges); /* NULL is fine */

/* How many there are, at most GAUGES_MOST: the pool or the host's RAM is number 0. */
unsigned gauges_count(const struct gauges *gauges);

/* False: it cannot be read now, or has no limit. */
bool gauges_read(const struct gauges *gauges, unsigned index, struct gauge *ret_gauge);

/* The share of the last ten seconds in which some task waited for memory, and in which nobody did
 * anything else: the worse of the host's and the cgroup's. 0: nobody did, or it is not told. */
void gauges_read_pressure(const struct gauges *gauges, unsigned *ret_some_permille,
			  unsigned *ret_full_permille);

#endif
