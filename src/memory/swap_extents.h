/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_extents.h - which 4 KiB pages of the swap file each block has.
 *
 * For: swap_store.c. Not for: I/O; nothing here knows a file.
 * Threads: any; a lock inside is held for about a microsecond, longer only in a group with hundreds of
 * pieces, and never over I/O.
 */
#ifndef NEAP_MEMORY_SWAP_EXTENTS_H
#define NEAP_MEMORY_SWAP_EXTENTS_H

#include <pthread.h>
#include <stdint.h>

#include "base/units.h"

enum {
	SWAP_GROUP_PAGES = HUGE_FRAME_BYTES / GUEST_PAGE_BYTES,
	SWAP_MAX_PIECES = 4,
	/* Pieces that failed to be written and are kept out of use: more failures than a store
	 * survives (SWAP_MAX_WRITE_ERRORS, and one more by each worker). */
	SWAP_RETIRED_ROOM = 16
};
/* Page numbers have 32 bits, numbers of pieces too. */
#define SWAP_MAX_FILE_BYTES (UINT64_C(1) << (32 + GUEST_PAGE_SHIFT))
#define SWAP_MAX_BLOCKS	    (UINT64_C(1) << 31)

/* Where something lies: up to four runs of pages, in order; a piece of no pages ends the list. */
struct swap_place {
	uint32_t first_page[SWAP_MAX_PIECES];
	uint16_t len_pages[SWAP_MAX_PIECES];
};

/* A run of pages of one group. A link is the number of a piece + 1; 0: none. */
struct swap_piece {
	uint32_t first_page;
	uint32_t next_link;	 /* in its group, in the order of pages */
	uint32_t len_pages : 10; /* 0: it has no pages */
	uint32_t more_link : 22; /* the block's next piece, counted from the first spare one */
};
_Static_assert(sizeof(struct swap_piece) == 12, "there is one per block and half another");

enum { SWAP_LEVELS = 4, SWAP_FAN_OUT = 64 };

struct swap_extents {
	pthread_mutex_t lock;
	uint64_t group_count; /* of 2 MiB */
	uint64_t block_count;
	uint64_t spare_count;	   /* pieces beyond the blocks' own */
	struct swap_piece *pieces; /* [block]: that block's first; then the spare ones */
	uint32_t *first_links;	   /* per group */
	uint16_t *
		lacks[SWAP_LEVELS]; /* [0][group]: how many pages the group's longest free run lacks
				       * to all of it; [level + 1][i]: the least of SWAP_FAN_OUT */
	unsigned level_count;
	uint64_t spare_used; /* so many were handed out at least once ... */
	uint32_t spare_link; /* ... and these were given back: a list by next_link */
	uint64_t spare_free; /* both kinds */
	uint64_t used_pages;
	uint64_t retired_pages;
};

/**
 * swap_extents_init() - all of @group_count groups free, for blocks 0 .. @block_count - 1
 *
 * 18 bytes per block and 6 per 2 MiB of file, mapped when first touched.
 * Return: 0 or -ENOMEM.
 */
int swap_extents_init(struct swap_extents *extents, uint64_t group_count, uint64_t block_count);
void swap_extents_fini(struct swap_extents *extents);

/**
 * swap_extents_take() - find room for 1 .. 512 pages of @block, which has none
 * Return: 0; -ENOSPC: not in four pieces, or too many blocks are in pieces; nothing taken.
 */
int swap_extents_take(struct swap_extents *extents, uint64_t block, uint32_t pages);
/* All that @block has. */
void swap_extents_give(struct swap_extents *extents, uint64_t block);
/* Give all pieces but @bad back; that one is never handed out again. */
void swap_extents_retire(struct swap_extents *extents, uint64_t block, unsigned bad_piece);

/* What @block has. Without the lock: the caller orders it against the three above on that block. */
struct swap_place swap_extents_place(const struct swap_extents *extents, uint64_t block);

void swap_extents_count(struct swap_extents *extents, uint64_t *ret_used_pages,
			uint64_t *ret_retired_pages);

uint32_t swap_place_pages(const struct swap_place *place);

#endif
