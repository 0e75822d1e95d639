/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* alloc.h - who has which 4 KiB page: free, working set, balloon, or the system.
 *
 * A table of 2 MiB blocks from address 0 up, two bits per page. Addresses are numbers here, never
 * pointers, so that the host can test it. Pure; the caller holds the lock.
 */
#ifndef BARE_ALLOC_H
#define BARE_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

enum {
	ALLOC_PAGE_SHIFT = 12,
	ALLOC_BLOCK_SHIFT = 21,
	ALLOC_BLOCK_PAGES = 512,
	ALLOC_BLOCK_WORDS = ALLOC_BLOCK_PAGES / 64,
};
#define ALLOC_PAGE_BYTES  (UINT64_C(1) << ALLOC_PAGE_SHIFT)
#define ALLOC_BLOCK_BYTES (UINT64_C(1) << ALLOC_BLOCK_SHIFT)

/* Bit 0 is in low[], bit 1 in high[]. */
enum alloc_owner { ALLOC_FREE, ALLOC_WORK, ALLOC_BALLOON, ALLOC_SYSTEM, ALLOC_OWNERS };

struct alloc_block {
	uint64_t low[ALLOC_BLOCK_WORDS], high[ALLOC_BLOCK_WORDS];
	uint64_t free_since_ns; /* of the last page given back */
	uint32_t generation;	/* counts pages given back: a reader without the lock looks twice */
	uint32_t seed;		/* of the block's working-set pages; A1 */
	uint16_t free_pages;
	uint16_t work_pages; /* with those taken for the working set and not yet written */
	bool reported;	     /* told to the host as free, and not used since */
};

enum alloc_order { ALLOC_LOWEST, ALLOC_HIGHEST, ALLOC_SCATTERED };

struct alloc {
	struct alloc_block *blocks;
	uint64_t block_count;
	uint64_t pages[ALLOC_OWNERS];	/* of RAM that was added */
	uint64_t low_block, high_block; /* no free page outside [low, high] */
	uint64_t low_whole, high_whole; /* no wholly free block outside */
	uint64_t random;
};

/* @blocks: @block_count of them, any contents. All pages are the system's until added. */
void alloc_init(struct alloc *alloc, struct alloc_block *blocks, uint64_t block_count);

/* Whole pages inside [start, end) become free RAM, free since @now_ns. */
void alloc_add_ram(struct alloc *alloc, uint64_t start, uint64_t end, uint64_t now_ns);

/* Pages touching [start, end) that are free become the system's, for good. */
void alloc_reserve(struct alloc *alloc, uint64_t start, uint64_t end);

/* A wholly free block, or one page of a free or partly free one; false: there is none. For
 * ALLOC_WORK the pages count for @seed at once but are ALLOC_SYSTEM until alloc_publish(). */
bool alloc_take_block(struct alloc *alloc, enum alloc_owner owner, enum alloc_order order,
		      uint32_t seed, uint64_t *ret_address);
bool alloc_take_page(struct alloc *alloc, enum alloc_owner owner, enum alloc_order order,
		     uint32_t seed, uint64_t *ret_address);

/* These pages, all free and all in one block; not for ALLOC_WORK. */
void alloc_take_at(struct alloc *alloc, uint64_t address, unsigned pages, enum alloc_owner owner);

/* The pages, taken for ALLOC_WORK and all in one block, now hold their pattern. */
void alloc_publish(struct alloc *alloc, uint64_t address, unsigned pages);

/* Back to free; all in one block, none of them free. */
void alloc_give(struct alloc *alloc, uint64_t address, unsigned pages, uint64_t now_ns);

/* The first page of @owner at or after @address (wraps around once); false: there is none. */
bool alloc_find(const struct alloc *alloc, enum alloc_owner owner, uint64_t address,
		uint64_t *ret_address);

/* The first page of @owner in [@address, @end); false: there is none. */
bool alloc_find_before(const struct alloc *alloc, enum alloc_owner owner, uint64_t address,
		       uint64_t end, uint64_t *ret_address);

/* From the block of the first page of the working set to the end of that of the last one; false:
 * there is none. */
bool alloc_work_span(const struct alloc *alloc, uint64_t *ret_start, uint64_t *ret_end);

/* The lowest @blocks wholly free blocks that lie side by side; false: there are none. */
bool alloc_find_side_by_side(const struct alloc *alloc, uint64_t blocks, uint64_t *ret_address);

/* How many pages from @address on, within its block, have the same owner. */
unsigned alloc_run(const struct alloc *alloc, uint64_t address);

/* Wholly free blocks. */
uint64_t alloc_whole_blocks(const struct alloc *alloc);

enum alloc_owner alloc_owner_of(const struct alloc *alloc, uint64_t address);

static inline struct alloc_block *alloc_block_of(const struct alloc *alloc, uint64_t address)
{
	return &alloc->blocks[address >> ALLOC_BLOCK_SHIFT];
}

/* A number that looks random, for choosing pages. */
uint64_t alloc_random(struct alloc *alloc);

#endif
