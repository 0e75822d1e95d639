/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* runs.h - how many 4 KiB pages to make for one touch. Inside memory/ only. Pure: no clock, no system
 * call, no allocation.
 *
 * A fault that the pager answers costs three times the kernel's own; made in runs, the pages after
 * the first are nearly free. Owner: the pager's thread.
 */
#ifndef NEAP_MEMORY_RUNS_H
#define NEAP_MEMORY_RUNS_H

#include <stdint.h>

enum { RUNS_STREAMS = 8 };

/* A stretch [low, high) of pages that was made touch after touch. */
struct run_stream {
	uint64_t low, high;
	uint64_t last_used; /* counts touches; 0: free */
	unsigned run_pages; /* made for the latest touch */
};

struct runs {
	struct run_stream streams[RUNS_STREAMS];
	uint64_t touches;
	unsigned strays; /* touches in a row that followed nothing */
};

struct page_run {
	uint64_t first, count;
};

/**
 * runs_touched() - page @page was touched and is not there: what to make
 * @there_pages: of its block, as far as they tell what the guest will touch; 0: they do not
 *
 * Returns a run that holds @page, inside its block and below @page_count (@page < @page_count).
 * Some of its pages may be there.
 */
struct page_run runs_touched(struct runs *runs, uint64_t page, uint64_t page_count,
			     uint64_t there_pages);

#endif
