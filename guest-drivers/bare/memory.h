/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* memory.h - the machine's RAM: mapped, and handed out by alloc.h under one lock.
 *
 * Threads: any processor, after memory_init().
 */
#ifndef BARE_MEMORY_H
#define BARE_MEMORY_H

#include "alloc.h"
#include "boot_info.h"

/* Maps all RAM and makes what the image, the loader and the tables do not need free. False: no
 * room for the tables. */
bool memory_init(const struct boot_info *info);

bool memory_take_block(enum alloc_owner owner, enum alloc_order order, uint32_t seed,
		       uint64_t *ret_address);
bool memory_take_page(enum alloc_owner owner, enum alloc_order order, uint32_t seed,
		      uint64_t *ret_address);
void memory_publish(uint64_t address, unsigned pages);
void memory_give(uint64_t address, unsigned pages);

/* A wholly free block that has been so for @age_ns and was not reported yet becomes the balloon's
 * until memory_reported() gives it back. */
bool memory_take_unreported(uint64_t age_ns, uint64_t *ret_address);
void memory_reported(uint64_t address);

/* What a reader without the lock compares: it looked at the same pages if nothing changed. */
struct memory_look {
	uint64_t address;
	uint32_t seed, generation;
};

/* The first page of the working set in [@address, @end); false: there is none. */
bool memory_next_work(uint64_t address, uint64_t end, struct memory_look *ret_look);
bool memory_still(const struct memory_look *look);

/* Whole blocks, from the first page of the working set to the last; empty when there is none. */
void memory_work_span(uint64_t *ret_start, uint64_t *ret_end);

/* @blocks wholly free blocks side by side become the system's; false: there are none. */
bool memory_take_side_by_side(uint64_t blocks, uint64_t *ret_address);

/* Takes a page back from the working set: the first of it at or after a random address. With
 * @whole: all of it in one block. False: the working set is empty. */
bool memory_shrink_work(bool whole, unsigned *ret_pages);

/* Any page of @owner, at or after @address, wrapping around. */
bool memory_find(enum alloc_owner owner, uint64_t address, uint64_t *ret_address);

/* The next pages of @owner at or after @address that lie together in one block, as many as there
 * are up to @max; 0: none up to the end of RAM. */
unsigned memory_find_run(enum alloc_owner owner, uint64_t address, uint64_t max,
			 uint64_t *ret_address);

struct memory_counts {
	uint64_t pages[ALLOC_OWNERS];
	uint64_t total_pages; /* RAM by the memory map */
	uint64_t whole_blocks;
};
struct memory_counts memory_count(void);

#endif
