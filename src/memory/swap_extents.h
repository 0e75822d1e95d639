/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_extents.h - which 4 KiB pages of the swap file are free.
 *
 * For: swap_store.c. Not for: I/O; nothing here knows a file.
 * Threads: any; a lock inside is held for about a microsecond and never over I/O.
 */
#ifndef NEAP_MEMORY_SWAP_EXTENTS_H
#define NEAP_MEMORY_SWAP_EXTENTS_H

#include <pthread.h>
#include <stdint.h>

#include "base/units.h"

enum {
	SWAP_GROUP_PAGES = HUGE_FRAME_BYTES / GUEST_PAGE_BYTES,
	SWAP_GROUP_WORDS = SWAP_GROUP_PAGES / 64,
	SWAP_MAX_PIECES = 4
};
/* Page numbers have 32 bits. */
#define SWAP_MAX_FILE_BYTES (UINT64_C(1) << (32 + GUEST_PAGE_SHIFT))

/* Where something lies: up to four runs of pages, in order; a piece of no pages ends the list. */
struct swap_place {
	uint32_t first_page[SWAP_MAX_PIECES];
	uint16_t len_pages[SWAP_MAX_PIECES];
};

struct swap_extents {
	pthread_mutex_t lock;
	uint64_t group_count; /* of 2 MiB */
	uint64_t leaf_count;  /* group_count, rounded up to a power of two */
	uint64_t *words;      /* SWAP_GROUP_WORDS per group; a set bit is a page in use */
	uint16_t *longest;    /* a heap of maxima: [leaf_count + group] is that group's longest free
			       * run, [i] the larger of [2 i] and [2 i + 1], [1] the largest of all */
	uint64_t used_pages;
	uint64_t retired_pages;
};

/**
 * swap_extents_init() - all of @group_count groups free
 *
 * 68 bytes per 2 MiB of file, mapped when first touched.
 * Return: 0 or -ENOMEM.
 */
int swap_extents_init(struct swap_extents *extents, uint64_t group_count);
void swap_extents_fini(struct swap_extents *extents);

/**
 * swap_extents_take() - find room for 1 .. 512 pages
 * Return: 0; -ENOSPC: not in four pieces, nothing taken.
 */
int swap_extents_take(struct swap_extents *extents, uint32_t pages, struct swap_place *ret_place);
void swap_extents_give(struct swap_extents *extents, const struct swap_place *place);
/* Give all pieces but @bad back; that one is never handed out again. */
void swap_extents_retire(struct swap_extents *extents, const struct swap_place *place,
			 unsigned bad_piece);

void swap_extents_count(struct swap_extents *extents, uint64_t *ret_used_pages,
			uint64_t *ret_retired_pages);

uint32_t swap_place_pages(const struct swap_place *place);

#endif
