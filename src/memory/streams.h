/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* streams.h - where the guest's touches go, block after block. Inside memory/ only. Pure: no clock,
 * no system call, no allocation. Owner: the pager's thread.
 */
#ifndef NEAP_MEMORY_STREAMS_H
#define NEAP_MEMORY_STREAMS_H

#include <stdint.h>

enum { STREAMS = 4, STREAM_WINDOW_MOST_BLOCKS = 64, STREAM_MAP_MOST_BLOCKS = 8 };

/* A stretch [low, high] of blocks that were touched one after the other. */
struct stream {
	uint64_t low, high;
	uint64_t last_used; /* counts touches; 0: free */
	unsigned length;    /* touches that went on with it */
	int way;	    /* 1 upwards, -1 downwards, 0: one touch only */
};

struct streams {
	struct stream streams[STREAMS];
	uint64_t touches;
};

/* What a touch tells. */
struct stream_step {
	unsigned index;
	int way;		/* 0: nothing can be said */
	uint64_t edge;		/* the last block of the stream, the way it goes */
	unsigned window_blocks; /* so many after the edge will be touched soon */
	unsigned map_blocks;	/* so many of them are worth mapping at once */
};

struct stream_step streams_touched(struct streams *streams, uint64_t block);

/* @count blocks after the edge were mapped: their touches will not be seen. */
void streams_mapped(struct streams *streams, unsigned index, unsigned count);

#endif
