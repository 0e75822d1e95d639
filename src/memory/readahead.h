/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* readahead.h - which swapped blocks will be wanted next. Inside memory/ only; pure.
 *
 * For: recognising sweeps by the refaults they make, upwards or downwards, a few at once. Not for:
 * reading.
 * Threads: one at a time (the swapper's lock).
 */
#ifndef NEAP_MEMORY_READAHEAD_H
#define NEAP_MEMORY_READAHEAD_H

#include <stdbool.h>
#include <stdint.h>

enum {
	READAHEAD_STREAMS = 4,
	READAHEAD_MOST = 8, /* blocks read at once */
	/* Blocks in RAM that a sweep may step over between two refaults. */
	READAHEAD_GAP = 64
};

#define READAHEAD_NOWHERE UINT64_MAX

/* What readahead.c knows of memory. */
struct readahead_view {
	bool (*is_swapped)(void *ctx, uint64_t block);
	bool (*is_untouched)(void *ctx, uint64_t block); /* in RAM since it was read, unused */
	void *ctx;
	uint64_t block_count;
};

struct readahead_window {
	uint64_t blocks[READAHEAD_MOST + 1]; /* what was wanted, and what was read after it */
	unsigned count;
};

struct readahead_stream {
	bool live;
	int step;	 /* +1, -1; 0: one refault says nothing yet */
	unsigned window; /* blocks to read the next time */
	uint64_t edge;	 /* the last block wanted or read */
	uint64_t marker; /* a touch of this one asks for more */
	uint64_t used;	 /* turn of the last use: the least is replaced */
	struct readahead_window before, now;
};

struct readahead {
	struct readahead_stream streams[READAHEAD_STREAMS];
	uint64_t turn;
};

/* What to do. */
struct readahead_plan {
	uint64_t read[READAHEAD_MOST];
	unsigned read_count;
	/* The sweep has gone past these, or they were read for nothing. */
	uint64_t passed[2 * (READAHEAD_MOST + 1)];
	unsigned passed_count;
};

/* Somebody touched @block, which was swapped. At most @room blocks more may be read. */
void readahead_refault(struct readahead *ahead, const struct readahead_view *view, uint64_t block,
		       unsigned room, struct readahead_plan *ret_plan);

/* Somebody touched @block, which was some stream's marker. */
void readahead_touched(struct readahead *ahead, const struct readahead_view *view, uint64_t block,
		       unsigned room, struct readahead_plan *ret_plan);

#endif
