/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* runs.c - see runs.h.
 *
 * Design. A touch right after (or right before) what was made last for one of RUNS_STREAMS streams
 * goes on with it, and its run doubles, from RUN_FIRST to a whole block. A touch elsewhere is a stray:
 * it begins a stream in the place of the one that waits longest. After RUN_PATIENCE strays in a row
 * the guest jumps about, and a stray gets RUN_STRAY pages, until some stream goes on again. A stray
 * into a block of which RUN_FILL_AT pages are there gets the rest of it: most of the block will be
 * touched one by one, and making all of it costs as much as twenty touches.
 *
 * Invariants
 *  U1  The run holds the page that was touched, and stays in its block (one state, one lock).
 *  U2  A stream's runs do not overlap: a stream that goes up makes what is above it, one that goes
 *      down what is below.
 *
 * Limits. A guest that touches one page here and there holds at most RUN_STRAY times the memory that
 * it touched (RUN_FIRST times, for the first RUN_PATIENCE), and the whole of a block where it touched
 * every sixteenth page, RUN_FILL_AT / RUN_STRAY of them. One page at a time would save little more
 * and cost as many faults as pages.
 */
#include "memory/runs.h"

#include <stdbool.h>
#include <stddef.h>

#include "memory/ram.h"

enum {
	RUN_FIRST = 16,
	RUN_STRAY = 4,
	RUN_PATIENCE = 16,
	RUN_MOST = BLOCK_PAGES,
	RUN_FILL_AT = BLOCK_PAGES / 4
};

static uint64_t block_end(uint64_t page, uint64_t page_count)
{
	uint64_t end = (page / BLOCK_PAGES + 1) * BLOCK_PAGES;

	return end < page_count ? end : page_count;
}

/* @run pages from @page on, or fewer (U1). */
static struct page_run run_up(uint64_t page, uint64_t run, uint64_t page_count)
{
	uint64_t room = block_end(page, page_count) - page;

	return (struct page_run){ page, run < room ? run : room };
}

/* @run pages that end with @page, or fewer. */
static struct page_run run_down(uint64_t page, uint64_t run)
{
	uint64_t room = page % BLOCK_PAGES + 1;
	uint64_t count = run < room ? run : room;

	return (struct page_run){ page + 1 - count, count };
}

static struct run_stream *find(struct runs *runs, uint64_t page, bool *ret_up)
{
	for (size_t i = 0; i < RUNS_STREAMS; i++) {
		struct run_stream *stream = &runs->streams[i];

		if (stream->last_used == 0)
			continue;
		if (page == stream->high || page + 1 == stream->low) {
			*ret_up = page == stream->high;
			return stream;
		}
	}
	return NULL;
}

static struct page_run go_on(struct run_stream *stream, bool up, uint64_t page, uint64_t page_count)
{
	struct page_run run;

	if (stream->run_pages < RUN_MOST)
		stream->run_pages *= 2;
	run = up ? run_up(page, stream->run_pages, page_count) : run_down(page, stream->run_pages);
	if (up)
		stream->high = run.first + run.count;
	else
		stream->low = run.first;
	return run;
}

static struct run_stream *oldest(struct runs *runs)
{
	struct run_stream *oldest = &runs->streams[0];

	for (size_t i = 1; i < RUNS_STREAMS; i++)
		if (runs->streams[i].last_used < oldest->last_used)
			oldest = &runs->streams[i];
	return oldest;
}

static struct page_run begin(struct runs *runs, uint64_t page, uint64_t page_count)
{
	bool jumps = runs->strays >= RUN_PATIENCE;
	struct page_run run = run_up(page, jumps ? RUN_STRAY : RUN_FIRST, page_count);

	if (!jumps)
		runs->strays++;
	*oldest(runs) = (struct run_stream){ .low = run.first,
					     .high = run.first + run.count,
					     .last_used = runs->touches,
					     .run_pages = RUN_FIRST };
	return run;
}

static struct page_run whole_block(uint64_t page, uint64_t page_count)
{
	uint64_t first = page - page % BLOCK_PAGES;

	return (struct page_run){ first, block_end(page, page_count) - first };
}

struct page_run runs_touched(struct runs *runs, uint64_t page, uint64_t page_count,
			     uint64_t there_pages)
{
	struct run_stream *stream;
	bool up;

	runs->touches++;
	stream = find(runs, page, &up);
	if (!stream && there_pages >= RUN_FILL_AT)
		return whole_block(page, page_count);
	if (!stream)
		return begin(runs, page, page_count);
	stream->last_used = runs->touches;
	runs->strays = 0;
	return go_on(stream, up, page, page_count);
}
